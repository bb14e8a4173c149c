// Whether memory grows with requests: what a fresh process holds after more and more of them.

import { flood } from "./load.ts";
import { batch } from "./rounds.ts";
import { residentBytes } from "./usage.ts";
import type { Running } from "./workers.ts";
import { statusOf, type Workload } from "./workloads.ts";

/** Bytes that a process held after so many requests. */
export type Series = { requests: number; bytes: number }[];

/** The series in which no token comes twice, by name. */
export const NEW_TOKENS = "airlock, each token new";

const BLOCK = 5000;
/** Reads may be sent again, as no nonce is claimed for them. Enough of them to last for a while. */
const DISTINCT = 250;

/** Sends up to the last of `marks` requests; `fresh` makes each of them anew. */
export async function memory(worker: Running, workload: Workload, marks: number[], { fresh = false } = {}): Promise<Series> {
  const series: Series = [];
  let sent = 0;
  for (const mark of marks) {
    while (sent < mark) {
      const count = Math.min(BLOCK, mark - sent);
      // Signed anew for each block, since a signature is good for five minutes.
      const distinct = batch(workload, fresh ? count : DISTINCT);
      const requests = Array.from({ length: count }, (_, place) => distinct[place % distinct.length]!);
      await flood(worker.port, requests, statusOf(workload, worker.name), 16);
      sent += count;
    }
    series.push({ requests: sent, bytes: residentBytes(worker.pid) });
  }
  return series;
}
