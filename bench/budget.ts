// Goals and budgets for the cost of Airlock, as ratios: milliseconds depend on the machine.
//
// CI fails if a budget is exceeded. It leaves room for the noise of a shared machine.

import type { Name } from "./workers.ts";

export interface Limit {
  over: Exclude<Name, "airlock">;
  goal: number;
  /** Better still. */
  aim?: number;
  /** Twice what a quiet machine measures, about; CI holds the cheapest rounds against it. Absent where CI does not insist. */
  budget?: number;
}

const NEAR_THE_FLOOR: Limit = { over: "floor", goal: 1.5, aim: 1.3, budget: 3 };
const NEAR_THE_FLOOR_UNSEEN: Limit = { over: "floor", goal: 1.7, budget: 4 };
const BELOW_THE_FLOOR: Limit = { over: "floor", goal: 1, budget: 1.8 };
const HALF_OF_HONO: Limit = { over: "hono", goal: 0.6, aim: 0.5, budget: 1 };
/** For Hono too, a refusal costs a fraction of a served request. */
const HALF_OF_A_REFUSAL: Limit = { over: "hono", goal: 0.6, aim: 0.5 };

/** CPU per request, by workload. */
export const CPU: Record<string, Limit[]> = {
  "list, HS256": [NEAR_THE_FLOOR, HALF_OF_HONO],
  "list, ES256 seen before": [NEAR_THE_FLOOR, HALF_OF_HONO],
  "list, ES256 never seen": [NEAR_THE_FLOOR_UNSEEN, HALF_OF_HONO],
  "list, RS256 never seen": [HALF_OF_HONO],
  "create, HS256": [NEAR_THE_FLOOR, HALF_OF_HONO],
  "create, ES256 seen before": [NEAR_THE_FLOOR, HALF_OF_HONO],
  "create, HS256, Hono with a Durable Object": [HALF_OF_HONO],
  "read, not modified, HS256": [HALF_OF_HONO],
  "refused signature": [BELOW_THE_FLOOR, HALF_OF_A_REFUSAL],
  "refused token, HS256": [BELOW_THE_FLOOR, HALF_OF_A_REFUSAL],
  "refused token, ES256": [BELOW_THE_FLOOR, HALF_OF_A_REFUSAL],
};

/** The workloads that CI measures. */
export const QUICK = ["list, HS256", "list, ES256 never seen", "create, HS256", "refused signature"];

/** Gzipped bytes of the wasm module. `npm run check` has the budget, of the whole Worker. */
export const WASM_GZIPPED = 200_000;

/** The first response of a cold process, over Hono's. */
export const COLD_OVER_HONO = 1;

/** More memory than this times what it was is growth. */
export const FLAT = 1.1;
