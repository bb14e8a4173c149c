// How the cost of a list grows with the length of its notes, with their number, and with how many ask at once.

import { newToken } from "./tokens.ts";
import { BODY_BYTES, request, type Workload } from "./workloads.ts";

export interface Scale {
  /** What grows. */
  name: string;
  unit: string;
  /** In each round, for each step. */
  requests: number;
  steps: { at: number; workload: Workload }[];
}

/** `lengthOfNotes` tells the upstream how many bytes the body of a note has. */
export function scales(issuer: string, lengthOfNotes: (bytes: number) => Promise<void>): Scale[] {
  const token = newToken("HS256", issuer);
  const list = (name: string, { bytes = BODY_BYTES, limit = 20, connections = 16 }): Workload => {
    const make = () => request({ token, target: `/v1/notes?limit=${limit}` });
    return { name, status: 200, passed: 200, make, connections, before: () => lengthOfNotes(bytes) };
  };
  const scale = (name: string, unit: string, requests: number, steps: number[], workload: (at: number, name: string) => Workload): Scale => {
    return { name, unit, requests, steps: steps.map((at) => ({ at, workload: workload(at, `${at} ${unit}`) })) };
  };
  return [
    scale("length of a note", "KB", 300, [1, 2, 5, 10, 20], (at, name) => list(name, { bytes: at * 1000 })),
    scale("page size", "notes", 300, [1, 5, 20, 50, 100], (limit, name) => list(name, { limit })),
    // Opening the connections is to be a small part of it.
    scale("concurrency", "connections", 1500, [1, 4, 16, 64, 256], (connections, name) => list(name, { connections })),
  ];
}
