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

/** The bytes in use after this many requests. */
export async function memoryAfter(requests: number, bundle: Bundle, vars: Vars, workload: Workload): Promise<number> {
  const worker = await start(bundle, vars);
  for (let sent = 0; sent < requests; sent += BLOCK) {
    // Signed again for each block, since a signature is good for five minutes.
    const distinct = batch(workload, DISTINCT);
    const block = Array.from({ length: BLOCK }, (_, place) => distinct[place % DISTINCT]!);
    await flood(worker.port, block, statusOf(workload, bundle.name));
  }
  const bytes = residentBytes(worker.pid);
  await worker.stop();
  return bytes;
}
