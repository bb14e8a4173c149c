// Resident memory of a process after very many requests.

import type { Vars } from "../tools/stack/vars.ts";
import { flood } from "./load.ts";
import { batch } from "./meter.ts";
import { residentBytes } from "./process.ts";
import { type Bundle, start } from "./workers.ts";
import { statusOf, type Workload } from "./workloads.ts";

const BLOCK = 5000;
/** Reads claim no nonce, so the same request can be sent again. */
const DISTINCT = 250;

/** The bytes in use after each of these counts of requests. */
export async function memoryAfter(counts: number[], bundle: Bundle, vars: Vars, workload: Workload): Promise<number[]> {
  const worker = await start(bundle, vars);
  const held: number[] = [];
  let sent = 0;
  for (const count of counts) {
    for (; sent < count; sent += BLOCK) {
      // Signed again for each block, since a signature is good for five minutes.
      const distinct = batch(workload, DISTINCT);
      const requests = Array.from({ length: BLOCK }, (_, place) => distinct[place % DISTINCT]!);
      await flood(worker.port, requests, statusOf(workload, bundle.name));
    }
    held.push(residentBytes(worker.pid));
  }
  await worker.stop();
  return held;
}
