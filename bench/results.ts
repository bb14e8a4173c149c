// The plan and the results of a bench.

import type { Series } from "./memory.ts";
import type { Pressure } from "./pressure.ts";
import type { Cells, Rounds } from "./rounds.ts";
import type { Bundle, Name } from "./workers.ts";

export interface Plan extends Rounds {
  /** Workloads and parts with this in their name. */
  only: string;
  /** What CI has the time for. */
  quick: boolean;
}

/** Round by round. What was not asked for is absent. */
export interface Results {
  versions: Record<string, string>;
  machine: string;
  rounds: number;
  requests: number;
  seconds: number;
  sizes: Record<string, Bundle["files"]>;
  /** By workload: microseconds of CPU per request. */
  cpu: Record<string, Cells>;
  /** By workload. */
  pressure?: Record<string, Record<Name, Pressure>>;
  /** Milliseconds to the first response. */
  cold?: Record<Name, number[]>;
  /** By worker. */
  memory?: Record<string, Series>;
  scaling?: { name: string; unit: string; steps: { at: number; cells: Cells }[] }[];
}
