// Cold starts: from the start of a process to its first response.

import { Failure } from "../tools/setup/shell.ts";
import type { Vars } from "../tools/stack/vars.ts";
import { rotated } from "./figure.ts";
import { ask } from "./load.ts";
import { cpuNanos } from "./process.ts";
import { type Bundle, start } from "./workers.ts";

/** Milliseconds by block and round. */
export interface Starts {
  elapsed: number[][];
  cpu: number[][];
}

/** The cold starts of each worker. */
export async function coldStarts(
  bundles: Bundle[],
  vars: Vars,
  request: () => Buffer,
  blocks: number,
  rounds: number,
): Promise<Map<string, Starts>> {
  const starts = new Map<string, Starts>(bundles.map(({ name }) => [name, { elapsed: [], cpu: [] }]));
  // The first start of each worker reads files that later ones find in memory.
  for (const bundle of bundles) await once(bundle);
  for (let block = 0; block < blocks; block++) {
    for (const { elapsed, cpu } of starts.values()) for (const series of [elapsed, cpu]) series.push([]);
    for (let round = 0; round < rounds; round++) {
      for (const bundle of rotated(bundles, round)) {
        const { elapsed, cpu } = await once(bundle);
        starts.get(bundle.name)?.elapsed.at(-1)?.push(elapsed);
        starts.get(bundle.name)?.cpu.at(-1)?.push(cpu);
      }
    }
  }
  return starts;

  async function once(bundle: Bundle) {
    const signed = request();
    const began = performance.now();
    const worker = await start(bundle, vars);
    const { status } = await ask(worker.port, signed);
    const elapsed = performance.now() - began;
    const cpu = cpuNanos(worker.pid) / 1e6;
    await worker.stop();
    if (status !== 200) throw new Failure(`The first request to a new ${bundle.name} was answered with ${status}.`);
    return { elapsed, cpu };
  }
}
