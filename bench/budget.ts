// The rows of the bench that docs/performance.md has, with their goals and the budgets that CI insists on. All are upper
// limits.

export interface Limit {
  goal?: number;
  /** Better still. */
  aim?: number;
  /**
   * CI fails if the lowest block of the quick run is above it. It is about a tenth above the figure in
   * docs/performance.md, so a busy minute does not break it.
   */
  budget?: number;
}

/** Gzipped bytes that `wrangler deploy` uploads as the script. A build in another folder differs by some hundred, since messages hold paths. */
export const SIZE_MAX = 236_000;

export const LIMITS: Record<string, Limit> = {
  "list, 20 rows: over the floor": { goal: 1.45, aim: 1.3, budget: 2 },
  "list, 20 rows: over Hono": { goal: 0.5, budget: 0.56 },
  "list, 20 rows: 20 resources over one": { goal: 1.03 },
  "create: over the floor": { goal: 1.65, aim: 1.5, budget: 2.25 },
  "create: over Hono with a Durable Object": { goal: 0.4, budget: 0.48 },
  "refused signature: over Hono": { goal: 1, budget: 1.35 },
  "refused token, HS256: over Hono": { goal: 1 },
  "refused token, ES256: over Hono": { goal: 1 },
  "cold: after Hono": { goal: -2 },
  "cold: 20 resources after one": { goal: 1 },
  "cold, CPU: 20 resources after one": { goal: 1 },
  "size, gzipped": { goal: 240_000, aim: 215_000 },
  "size of 20 resources, gzipped": { goal: 2000 },
  "memory: over the floor, after 100,000 requests": {},
};

/** The workloads of the quick run. */
export const QUICK = ["list, 20 rows", "create", "refused signature"];
