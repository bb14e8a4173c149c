// @ts-check
// What Cloudflare calls: the `fetch` event, the `scheduled` event, and the Durable Object.
//
// After a trap the instance of the module is replaced, there and then. The bindings would do it by themselves the next
// time that they are called, but only after they have copied that call's arguments, for the old instance.

import { fetch as answer, scheduled as work, Replay as Shard, __wbg_reset_state, __worker_init_state } from "airlock:bindings";
import { onTrap } from "airlock:exchange";

/** Counts the instances of the module. */
const module = __worker_init_state();

onTrap(__wbg_reset_state);

/**
 * @template Event, Result
 * @param {(event: Event, env: unknown, context: unknown) => Result} call
 * @returns {typeof call}
 */
function entering(call) {
  return (event, env, context) => {
    try {
      return call(event, env, context);
    } catch (error) {
      if (error instanceof WebAssembly.RuntimeError) __wbg_reset_state();
      throw error;
    }
  };
}

export default { fetch: entering(answer), scheduled: entering(work) };

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
    // Any call does what a trap has left to be done.
    __worker_init_state();
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
