// The time from the start of a worker's process to its first response.

import { ask } from "./load.ts";
import { rotated } from "./rounds.ts";
import { start, type Bundle, type Name } from "./workers.ts";
import type { Vars } from "../tools/stack/vars.ts";
import { Failure } from "../tools/setup/shell.ts";

/** Milliseconds, one for each start. */
export async function coldStarts(bundles: Bundle[], vars: Vars, request: () => Buffer, times: number): Promise<Record<Name, number[]>> {
  const results: Record<Name, number[]> = { floor: [], hono: [], airlock: [] };
  // The first start of each reads files that later ones find in memory.
  for (let time = -1; time < times; time++) {
    for (const bundle of rotated(bundles, time + 1)) {
      const signed = request();
      const began = performance.now();
      const worker = await start(bundle, vars);
      const { status } = await ask(worker.port, signed);
      const took = performance.now() - began;
      await worker.stop();
      if (status !== 200) throw new Failure(`The first request to a new ${bundle.name} was answered with ${status}.`);
      if (time >= 0) results[bundle.name].push(took);
    }
  }
  return results;
}
