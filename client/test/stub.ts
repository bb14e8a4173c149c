/** A stand-in for the server: gives the answers of a list, and keeps the requests. */

import { createHash, createHmac } from "node:crypto";
import { type AirlockOptions, type ClientOptions, createAirlock, createSignedFetch } from "../src/index.ts";
import type { Declaration } from "./generated.ts";

export const SECRET = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8";
export const NOW = 1795348800;
export const TOKEN = "header.payload.signature";
/** A token of this user, whose name may have any characters. */
export const tokenOf = (sub: string) =>
  `header.${Buffer.from(JSON.stringify({ user_metadata: { sub: "?", name: "Zoë" }, sub })).toString("base64url")}.signature`;
export const ID = "7efe3d84-2d6a-4174-899e-8ffddea7a39a";

export interface Sent {
  method: string;
  /** Path and query. */
  target: string;
  headers: Headers;
  body: Uint8Array;
  init: RequestInit;
}

/** Options whose requests meet these answers, in order, and the requests. An `Error` is a connection that broke. */
function recorded(answers: (Response | Error)[]): { options: AirlockOptions; sent: Sent[] } {
  const sent: Sent[] = [];
  const url = "https://api.example.com";
  const options: AirlockOptions = {
    url,
    appId: "rn-ios",
    secret: SECRET,
    getToken: async () => TOKEN,
    now: () => NOW * 1000 + 999,
    fetch: async (address, init) => {
      sent.push({
        method: String(init.method),
        target: address.slice(url.length),
        headers: new Headers(init.headers),
        body: (init.body ?? new Uint8Array()) as Uint8Array,
        init,
      });
      const answer = answers.shift();
      if (answer === undefined) throw new Error("one request too many");
      if (answer instanceof Error) throw answer;
      return answer;
    },
  };
  return { options, sent };
}

/** A client with such options. */
export function airlockWith(answers: (Response | Error)[], overrides: Partial<ClientOptions> = {}) {
  const { options, sent } = recorded(answers);
  return { airlock: createAirlock<Declaration>({ ...options, ...overrides }), sent };
}

/** A signed fetch with such options. */
export function signedFetchWith(answers: (Response | Error)[], overrides: Partial<AirlockOptions> = {}) {
  const { options, sent } = recorded(answers);
  return { signedFetch: createSignedFetch({ ...options, ...overrides }), sent };
}

export function json(status: number, body: unknown, headers: Record<string, string> = {}): Response {
  return new Response(JSON.stringify(body), { status, headers: { "Content-Type": "application/json", ...headers } });
}

export function problem(
  status: number,
  code: string,
  members: Record<string, unknown> = {},
  headers: Record<string, string> = {},
): Response {
  const body = {
    type: `urn:airlock:problem:${code}`,
    title: "Title",
    status,
    code,
    detail: "Detail.",
    request_id: "request-1",
    retryable: false,
    ...members,
  };
  return json(status, body, { "Content-Type": "application/problem+json", ...headers });
}

export function note(version = 1, members: Record<string, unknown> = {}) {
  return {
    id: ID,
    title: "Title",
    body: "",
    version,
    created_at: "2026-11-22T12:00:00.000000Z",
    updated_at: "2026-11-22T12:00:00.000000Z",
    deleted_at: null,
    ...members,
  };
}

/** The signature that these sent bytes need, by other code than the client's. */
export function expectedSignature({ method, target, headers, body }: Sent): string {
  const sha256 = (data: string | Uint8Array) => createHash("sha256").update(data).digest("hex");
  const bearer = headers.get("Authorization");
  const canonical = [
    "v1",
    headers.get("X-App-Id"),
    headers.get("X-App-Timestamp"),
    headers.get("X-App-Nonce"),
    method,
    target,
    bearer === null ? "-" : sha256(bearer.slice("Bearer ".length)),
    sha256(body),
    headers.get("Idempotency-Key") ?? "-",
    headers.get("If-Match") ?? "-",
    headers.get("If-None-Match") ?? "-",
  ].join("\n");
  const key = Buffer.from(SECRET, "base64url");
  return `v1=${createHmac("sha256", key).update(canonical).digest("hex")}`;
}
