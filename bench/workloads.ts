// The requests that the workers get, as bytes. They are signed before anything is measured.

import { randomBytes } from "node:crypto";

import { signRequest } from "../client/src/index.ts";
import type { Vars } from "../tools/stack/vars.ts";
import { BODY_BYTES, LONG_PAGE, noteId, text } from "./notes.ts";
import { forged, JWT_SECRET, newAttestation, newToken, PUBLIC_KEYS } from "./tokens.ts";

export const APP = { appId: "rn-bench", secret: randomBytes(32).toString("base64url") };
export const PUBLISHABLE_KEY = `sb_publishable_${randomBytes(16).toString("base64url")}`;

/** The variables of all workers in front of `supabaseUrl`. */
export function workerVars(supabaseUrl: string): Vars {
  return {
    SUPABASE_URL: supabaseUrl,
    SUPABASE_PUBLISHABLE_KEY: PUBLISHABLE_KEY,
    SUPABASE_JWT_SECRET: JWT_SECRET,
    APP_GUARD: appGuard({}),
  };
}

/** The variables of a worker that asks for a token of Approov as well. */
export const ATTESTED: Vars = { APP_GUARD: appGuard({ attest: { mode: "enforce", approov: { keys: PUBLIC_KEYS } } }) };

function appGuard(more: object): string {
  return JSON.stringify({ apps: { [APP.appId]: { ...more, keys: [{ id: "bench", secret: APP.secret }] } } });
}

export interface Workload {
  name: string;
  /** The workers that get these requests, by name. */
  workers: string[];
  /** The status of the responses. */
  status: number;
  /** The status of the floor's responses: it refuses nothing. */
  passed: number;
  /** Makes one more request, with a new nonce. */
  make(): Buffer;
}

export function statusOf({ status, passed }: Workload, worker: string): number {
  return worker === "floor" ? passed : status;
}

export interface Parts {
  token: string;
  method?: "GET" | "POST";
  target?: string;
  json?: string;
  ifNoneMatch?: string;
  idempotencyKey?: string;
  attestation?: string;
  /** Unix seconds. */
  timestamp?: number;
  /** The body that is sent, if it is not the one that was signed. */
  tampered?: string;
}

const LIST = "/v1/notes?limit=20";
export const NOTE = { title: "Things to settle before the move", body: text(BODY_BYTES) };

/** A signed request; a list by default. */
export function request({ tampered, ...parts }: Parts): Buffer {
  const { token, method = "GET", target = LIST, json, ifNoneMatch, idempotencyKey, attestation, timestamp } = parts;
  const body = tampered ?? json;
  const conditions = { ...(ifNoneMatch && { ifNoneMatch }), ...(idempotencyKey && { idempotencyKey }) };
  const headers = {
    Host: "api.example.com",
    "User-Agent": "Notes/1.0",
    Accept: "application/json",
    "CF-Connecting-IP": "203.0.113.7",
    Authorization: `Bearer ${token}`,
    ...signRequest({
      ...APP,
      method,
      target,
      token,
      ...(json && { body: json }),
      ...conditions,
      ...(timestamp && { timestamp }),
    }),
    ...(ifNoneMatch && { "If-None-Match": ifNoneMatch }),
    ...(idempotencyKey && { "Idempotency-Key": idempotencyKey }),
    ...(attestation && { "Approov-Token": attestation }),
    ...(body && { "Content-Type": "application/json", "Content-Length": String(Buffer.byteLength(body)) }),
  };
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
  return Buffer.from(`${method} ${target} HTTP/1.1\r\n${lines.join("")}\r\n${body ?? ""}`);
}

export function create(token: string, json = JSON.stringify(NOTE)): Parts {
  return { token, method: "POST", target: "/v1/notes", json };
}

/** Tokens are of this issuer. */
export function workloads(issuer: string): Workload[] {
  const [hs256, es256] = [newToken("HS256", issuer), newToken("ES256", issuer)];
  const all = ["floor", "hono", "airlock"];
  const list = { workers: all, status: 200, passed: 200 };
  const write = { workers: [...all, "unchecked", "hono-objects"], status: 201, passed: 201 };
  // The floor serves the request of a refusal as a list, for comparison.
  const refusal = { workers: all, status: 401, passed: 200 };
  const attested = { ...list, workers: ["floor", "airlock", "airlock-attested"] };
  const attestation = newAttestation();
  const read = { token: hs256, target: `/v1/notes/${noteId(0)}` };
  return [
    {
      name: "list, 20 rows",
      ...list,
      workers: [...all, "unchecked", "airlock-20"],
      make: () => request({ token: hs256 }),
    },
    {
      name: "list, 100 long rows",
      ...list,
      make: () => request({ token: hs256, target: `/v1/notes?limit=${LONG_PAGE}` }),
    },
    { name: "list, ES256 seen before", ...list, make: () => request({ token: es256 }) },
    { name: "list, ES256 never seen", ...list, make: () => request({ token: newToken("ES256", issuer) }) },
    { name: "list, attestation seen before", ...attested, make: () => request({ token: hs256, attestation }) },
    {
      name: "list, attestation never seen",
      ...attested,
      make: () => request({ token: hs256, attestation: newAttestation() }),
    },
    { name: "create", ...write, make: () => request(create(hs256)) },
    {
      name: "create, Idempotency-Key",
      ...write,
      make: () => request({ ...create(hs256), idempotencyKey: randomBytes(16).toString("base64url") }),
    },
    { name: "read", ...list, make: () => request(read) },
    { name: "read, not modified", ...list, status: 304, make: () => request({ ...read, ifNoneMatch: '"3"' }) },
    { name: "refused signature", ...refusal, make: () => wrongSignature(request({ token: hs256 })) },
    { name: "refused token, HS256", ...refusal, make: () => request({ token: forged(newToken("HS256", issuer)) }) },
    { name: "refused token, ES256", ...refusal, make: () => request({ token: forged(newToken("ES256", issuer)) }) },
  ];
}

/** The last hex digit of the App Guard signature is another. */
function wrongSignature(signed: Buffer): Buffer {
  const at = signed.indexOf("v1=") + 66;
  signed[at] = signed[at] === 0x30 ? 0x31 : 0x30;
  return signed;
}
