// Whether memory grows with requests: the resident memory of a fresh process after more and more of them.

import { flood } from "./load.ts";
import { batch } from "./rounds.ts";
import { residentBytes } from "./usage.ts";
import type { Running } from "./workers.ts";
import { statusOf, type Workload } from "./workloads.ts";

/** Bytes that a process held after so many requests. */
export type Series = { requests: number; bytes: number }[];

/** The series in which no token comes twice, by name. */
export const NEW_TOKENS = "airlock, each token new";

/** Pages of 100 notes, so many at once. */
export const LARGE_PAGES = { name: "24 pages of 5 MB at once", connections: 24, bodyBytes: 50_000 };

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

/** What a process holds while it serves large pages: the most after each round of them. */
export async function largePages(worker: Running, workload: Workload): Promise<Series> {
  const series: Series = [];
  for (let round = 1; round <= 3; round++) {
    let most = residentBytes(worker.pid);
    const watch = setInterval(() => (most = Math.max(most, residentBytes(worker.pid))), 20);
    await flood(worker.port, batch(workload, LARGE_PAGES.connections), statusOf(workload, worker.name), LARGE_PAGES.connections);
    clearInterval(watch);
    series.push({ requests: round * LARGE_PAGES.connections, bytes: most });
  }
  return series;
}
