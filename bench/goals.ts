// Which goals are met.

import { COLD_OVER_HONO, CPU, FLAT, WASM_GZIPPED } from "./budget.ts";
import { NEW_TOKENS } from "./memory.ts";
import type { Results } from "./results.ts";
import { ratio } from "./stats.ts";

export interface Goal {
  what: string;
  measured: number;
  goal: number;
  aim: number | undefined;
  /** Only where CI insists on something. */
  budget: Budget | undefined;
  verdict: "aim reached" | "met" | "missed";
}

/** What CI insists on. */
export interface Budget {
  most: number;
  /** The cheapest round of the one over the cheapest of the other: neighbours of a machine only ever add to a round. */
  best: number;
}

export function goals({ sizes, cpu, cold, memory }: Results): Goal[] {
  const found: Goal[] = [];
  const judge = (what: string, measured: number | undefined, goal: number, aim?: number, budget?: Budget) => {
    if (measured === undefined) return;
    const verdict = measured > goal ? "missed" : aim === undefined || measured > aim ? "met" : "aim reached";
    found.push({ what, measured, goal, aim, budget, verdict });
  };
  judge("bytes of wasm, gzipped", sizes["airlock"]?.find(({ file }) => file.endsWith(".wasm"))?.gzipped, WASM_GZIPPED);
  for (const [workload, limits] of Object.entries(CPU)) {
    for (const { over, goal, aim, budget } of limits) {
      const { airlock = [], [over]: other = [] } = cpu[workload] ?? {};
      const insisted = budget === undefined ? undefined : { most: budget, best: Math.min(...airlock) / Math.min(...other) };
      judge(`CPU over ${over}'s: ${workload}`, ratio(airlock, other)?.median, goal, aim, insisted);
    }
  }
  judge("first response over hono's", ratio(cold?.airlock, cold?.hono)?.median, COLD_OVER_HONO);
  const held = (name: string, after: number) => memory?.[name]?.find(({ requests }) => requests === after)?.bytes ?? Number.NaN;
  if (memory) {
    // Until then the heap of any worker grows, the floor's as well.
    judge("memory after 100,000 requests over that after 50,000", held("airlock", 100_000) / held("airlock", 50_000), FLAT);
    judge("memory after 20,000 tokens over that after 20,000 requests with one", held(NEW_TOKENS, 20_000) / held("airlock", 20_000), FLAT);
  }
  return found;
}
