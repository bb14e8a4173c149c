// CPU per request, in rounds: each workload on each worker in turn, so that what else the machine does falls on
// all alike. A ratio is of one round; only ratios are compared across rounds.

import { flood } from "./load.ts";
import { cpuNanos } from "./usage.ts";
import type { Name, Running } from "./workers.ts";
import { statusOf, type Workload } from "./workloads.ts";

/** Microseconds of CPU per request of each worker, round by round. */
export type Cells = Partial<Record<Name, number[]>>;

export interface Rounds {
  rounds: number;
  /** In each round, of each workload, to each worker. */
  requests: number;
  progress(text: string): void;
}

const CONNECTIONS = 16;

/** Measures the workloads, each on the workers that `fleet` names for it. */
export async function cpuRounds(workloads: Workload[], fleet: (workload: Workload) => Running[], options: Rounds): Promise<Record<string, Cells>> {
  const { rounds, requests, progress } = options;
  const results: Record<string, Cells> = Object.fromEntries(workloads.map(({ name }) => [name, {}]));
  // Round 0 is not counted: V8 compiles what is hot, and compiles it better when it stays hot.
  for (let round = 0; round <= rounds; round++) {
    for (const [place, workload] of workloads.entries()) {
      progress(round === 0 ? `warming up: ${workload.name}` : `round ${round} of ${rounds}: ${workload.name}`);
      await workload.before?.();
      const warm = batch(workload, Math.ceil(requests / 10));
      const timed = batch(workload, requests);
      for (const worker of rotated(fleet(workload), round + place)) {
        await cpuPerRequest(worker, workload, warm);
        const micros = await cpuPerRequest(worker, workload, timed);
        if (round > 0) (results[workload.name]![worker.name] ??= []).push(micros);
      }
    }
  }
  return results;
}

async function cpuPerRequest(worker: Running, workload: Workload, requests: Buffer[]): Promise<number> {
  const before = cpuNanos(worker.pid);
  await flood(worker.port, requests, statusOf(workload, worker.name), workload.connections ?? CONNECTIONS);
  return (cpuNanos(worker.pid) - before) / 1000 / requests.length;
}

export function batch({ make }: Workload, count: number): Buffer[] {
  return Array.from({ length: count }, () => make());
}

/** Rotates the order from round to round. */
export function rotated<T>(items: T[], by: number): T[] {
  const first = by % items.length;
  return [...items.slice(first), ...items.slice(0, first)];
}
