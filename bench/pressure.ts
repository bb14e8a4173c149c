// Throughput under full load, and latency at a fixed rate.

import { drip, flood } from "./load.ts";
import { batch, rotated } from "./rounds.ts";
import { quantile } from "./stats.ts";
import type { Name, Running } from "./workers.ts";
import { statusOf, type Workload } from "./workloads.ts";

/** Round by round. */
export interface Pressure {
  perSecond: number[];
  p50: number[];
  p99: number[];
}

export const RATE = 300;
const CROWD = 64;
const DRIP_SECONDS = 3;

export async function pressure(workload: Workload, workers: Running[], rounds: number, requests: number): Promise<Record<Name, Pressure>> {
  const empty = (): Pressure => ({ perSecond: [], p50: [], p99: [] });
  const results = { floor: empty(), hono: empty(), airlock: empty() };
  for (let round = 0; round < rounds; round++) {
    const many = batch(workload, requests);
    const steady = batch(workload, RATE * DRIP_SECONDS);
    for (const worker of rotated(workers, round)) {
      const { perSecond, p50, p99 } = results[worker.name];
      const status = statusOf(workload, worker.name);
      perSecond.push(many.length / (await flood(worker.port, many, status, CROWD)));
      const latencies = await drip(worker.port, steady, status, RATE);
      p50.push(quantile(latencies, 0.5));
      p99.push(quantile(latencies, 0.99));
    }
  }
  return results;
}
