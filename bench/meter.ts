// The meter: CPU time per request of workerd's processes.
//
// A block starts processes of its own, two of each worker, because no two processes are equally fast. Within a block
// there are many short rounds, in which the workers take turns: other load on the machine slows all of them down. Only
// ratios within one round are used.

import { setTimeout as sleep } from "node:timers/promises";
import type { Vars } from "../tools/stack/vars.ts";
import { rotated } from "./figure.ts";
import { CONNECTIONS, flood } from "./load.ts";
import { cpuNanos } from "./process.ts";
import { type Bundle, type Running, start } from "./workers.ts";
import { statusOf, type Workload } from "./workloads.ts";

export interface Plan {
  blocks: number;
  rounds: number;
  progress(text: string): void;
}

/** Microseconds of CPU per request: by workload, by worker, by block and round. */
export type Times = Map<string, Map<string, number[][]>>;

const PROCESSES = 2;
/** Requests to each process in each round of a workload. */
const REQUESTS = 128;
/** The first requests of a connection cost more. */
const UNMEASURED = 2 * CONNECTIONS;
/** Requests of all its workloads to each process before the first round: V8 compiles code that is often used. */
const WARM_UP = 3000;

export async function measure(
  workloads: Workload[],
  bundles: Bundle[],
  vars: Vars,
  { blocks, rounds, progress }: Plan,
): Promise<Times> {
  const times: Times = new Map(
    workloads.map(({ name, workers }) => [name, new Map(workers.map((worker) => [worker, []]))]),
  );
  for (let block = 0; block < blocks; block++) {
    progress(`block ${block + 1} of ${blocks}`);
    const running = await Promise.all(
      bundles.flatMap((bundle) => Array.from({ length: PROCESSES }, () => start(bundle, vars))),
    );
    const processesOf = (name: string) => running.filter((worker) => worker.name === name);
    const workloadsOf = (name: string) => workloads.filter(({ workers }) => workers.includes(name));
    for (const workload of workloads) {
      for (const name of workload.workers) {
        times.get(workload.name)?.get(name)?.push([]);
        for (const worker of processesOf(name))
          await flood(worker.port, batch(workload, WARM_UP / workloadsOf(name).length), statusOf(workload, name));
      }
    }
    for (let round = 0; round < rounds; round++) {
      for (const workload of workloads) {
        for (const name of rotated(workload.workers, round)) {
          let nanos = 0;
          for (const worker of rotated(processesOf(name), round)) nanos += await cpuOf(worker, workload);
          times
            .get(workload.name)
            ?.get(name)
            ?.at(-1)
            ?.push(nanos / 1000 / REQUESTS / PROCESSES);
        }
      }
    }
    await Promise.all(running.map((worker) => worker.stop()));
  }
  return times;
}

/** CPU nanoseconds of all requests of one round. */
async function cpuOf({ name, pid, port }: Running, workload: Workload): Promise<number> {
  const now = async () => {
    // The work after a response, such as its log line, belongs to it.
    await sleep(2);
    return cpuNanos(pid);
  };
  let before = 0;
  await flood(port, batch(workload, UNMEASURED + REQUESTS), statusOf(workload, name), UNMEASURED, async () => {
    before = await now();
  });
  return (await now()) - before;
}

/** New requests, because a nonce is good for one write. */
export function batch({ make }: Workload, count: number): Buffer[] {
  return Array.from({ length: Math.ceil(count) }, () => make());
}
