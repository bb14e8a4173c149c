// The requests that the workers get, as bytes: they are signed before anything is timed.

import { randomBytes } from "node:crypto";

import { signRequest } from "../client/src/index.ts";
import type { Vars } from "../tools/stack/vars.ts";
import { noteId, text } from "./notes.ts";
import { forged, JWT_SECRET, newToken } from "./tokens.ts";
import type { Name } from "./workers.ts";

export const APP = { appId: "rn-bench", secret: randomBytes(32).toString("base64url") };
export const PUBLISHABLE_KEY = `sb_publishable_${randomBytes(16).toString("base64url")}`;
/** Bytes of a note's body, where nothing else is said. */
export const BODY_BYTES = 500;

/** The variables of all workers in front of `supabaseUrl`. */
export function workerVars(supabaseUrl: string): Vars {
  return {
    SUPABASE_URL: supabaseUrl,
    SUPABASE_PUBLISHABLE_KEY: PUBLISHABLE_KEY,
    SUPABASE_JWT_SECRET: JWT_SECRET,
    APP_GUARD: JSON.stringify({ apps: { [APP.appId]: { keys: [{ id: "bench", secret: APP.secret }] } } }),
  };
}

export interface Workload {
  name: string;
  /** What Airlock and the Hono peer answer. */
  status: number;
  /** What the floor answers, which refuses nothing. */
  passed: number;
  /** The next request; its nonce is new. */
  make(): Buffer;
  /** Hono keeps its nonces in Durable Objects. */
  realReplay?: boolean;
  connections?: number;
  /** Sets the upstream up. */
  before?(): Promise<void>;
}

export function statusOf({ status, passed }: Workload, name: Name): number {
  return name === "floor" ? passed : status;
}

export interface Parts {
  token: string;
  method?: "GET" | "POST";
  target?: string;
  json?: string;
  ifNoneMatch?: string;
  /** Unix seconds. */
  timestamp?: number;
  /** What is sent, if it isn't what was signed. */
  tampered?: string;
}

const LIST = "/v1/notes?limit=20";
const NOTE = JSON.stringify({ title: "Things to settle before the move", body: text(BODY_BYTES) });

/** A signed request; a list, unless it is said to be something else. */
export function request({ tampered, ...parts }: Parts): Buffer {
  const { token, method = "GET", target = LIST, json, ifNoneMatch, timestamp } = parts;
  const body = tampered ?? json;
  const headers = {
    Host: "api.example.com",
    "User-Agent": "Notes/1.0",
    Accept: "application/json",
    "CF-Connecting-IP": "203.0.113.7",
    Authorization: `Bearer ${token}`,
    ...signRequest({ ...APP, method, target, token, ...(json && { body: json }), ...(ifNoneMatch && { ifNoneMatch }), ...(timestamp && { timestamp }) }),
    ...(ifNoneMatch && { "If-None-Match": ifNoneMatch }),
    ...(body && { "Content-Type": "application/json", "Content-Length": String(Buffer.byteLength(body)) }),
  };
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
  return Buffer.from(`${method} ${target} HTTP/1.1\r\n${lines.join("")}\r\n${body ?? ""}`);
}

export function create(token: string, json = NOTE): Parts {
  return { token, method: "POST", target: "/v1/notes", json };
}

/** In front of the stand-in for Supabase, whose tokens this issuer signs. */
export function staticWorkloads(issuer: string): Workload[] {
  const [hs256, es256] = [newToken("HS256", issuer), newToken("ES256", issuer)];
  const listing = (token: () => string) => ({ status: 200, passed: 200, make: () => request({ token: token() }) });
  const creating = (token: string) => ({ status: 201, passed: 201, make: () => request(create(token)) });
  // The floor serves such a request as a list: a refusal is compared with that.
  const refused = { status: 401, passed: 200 };
  return [
    { name: "list, HS256", ...listing(() => hs256) },
    { name: "list, ES256 seen before", ...listing(() => es256) },
    { name: "list, ES256 never seen", ...listing(() => newToken("ES256", issuer)) },
    { name: "list, RS256 never seen", ...listing(() => newToken("RS256", issuer)) },
    { name: "create, HS256", ...creating(hs256) },
    { name: "create, ES256 seen before", ...creating(es256) },
    { name: "create, HS256, Hono with a Durable Object", ...creating(hs256), realReplay: true },
    { name: "read, not modified, HS256", status: 304, passed: 200, make: () => request({ token: hs256, target: `/v1/notes/${noteId(0)}`, ifNoneMatch: '"3"' }) },
    { name: "refused signature", ...refused, make: () => wrongSignature(request({ token: hs256 })) },
    { name: "refused token, HS256", ...refused, make: () => request({ token: forged(newToken("HS256", issuer)) }) },
    { name: "refused token, ES256", ...refused, make: () => request({ token: forged(newToken("ES256", issuer)) }) },
  ];
}

/** The longest page. */
export function largePage(issuer: string): Workload {
  const token = newToken("HS256", issuer);
  return { name: "page of 100", status: 200, passed: 200, make: () => request({ token, target: "/v1/notes?limit=100" }) };
}

/** In front of a database, as a user who is signed in there. */
export function databaseWorkloads(token: string): Workload[] {
  return [
    { name: "Postgres: list, HS256", status: 200, passed: 200, make: () => request({ token }), connections: 4 },
    { name: "Postgres: create, HS256", status: 201, passed: 201, make: () => request(create(token)), connections: 4 },
  ];
}

/** The last hex digit of the App Guard signature is another. */
function wrongSignature(signed: Buffer): Buffer {
  const at = signed.indexOf("v1=") + 66;
  signed[at] = signed[at] === 0x30 ? 0x31 : 0x30;
  return signed;
}
