// The proofs of edge-only mode, as docs/edge-only.md describes them, made without the Worker.

import { createHmac } from "node:crypto";

/** The request that a proof is for; `age` is in seconds. */
export interface Proven {
  secret: string;
  /** The user's id; empty without a user. */
  sub: string;
  method: string;
  /** As PostgREST has it: `/notes`. */
  path: string;
  age?: number;
}

/** The value of `X-Edge-Proof`. */
export function edgeProof({ secret, sub, method, path, age = 0 }: Proven): string {
  const seconds = Math.floor(Date.now() / 1000) - age;
  const mac = createHmac("sha256", secret).update(`v1\n${seconds}\n${sub}\n${method}\n${path}`).digest("hex");
  return `v1.${seconds}.${mac}`;
}
