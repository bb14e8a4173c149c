// @ts-check
// What Cloudflare calls: the `fetch` event, and the Durable Object.
//
// After a trap the bindings make a new instance of the module by themselves, the next time that anything is called.
// What is left to see to is that an object of the old instance is not used in the new one.

import { fetch, Replay as Shard, __worker_init_state } from "airlock:bindings";

/** Counts the instances of the module. */
const module = __worker_init_state();

export default { fetch };

/** src/edge/replay.rs, whatever instance of the module that is in. All it knows is in its storage. */
export class Replay {
  /**
   * @param {unknown} state
   * @param {unknown} env
   */
  constructor(state, env) {
    this.make = () => new Shard(state, env);
    this.latest = this.make();
    this.instance = module.instanceId;
  }

  shard() {
    if (this.instance !== module.instanceId) {
      this.latest = this.make();
      this.instance = module.instanceId;
    }
    return this.latest;
  }

  /** @param {Request} request */
  fetch(request) {
    return this.shard().fetch(request);
  }

  alarm() {
    return this.shard().alarm();
  }
}
