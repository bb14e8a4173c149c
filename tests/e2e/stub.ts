// A stand-in for Supabase, for answers that the real one never gives, and tokens as if it had signed them.

import { createHmac, generateKeyPairSync, type JsonWebKey, type KeyObject, sign } from "node:crypto";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import { text } from "node:stream/consumers";

import { JWT_SECRET, startWorkerAlone, workerVars } from "./support.ts";

export interface Received {
  method: string;
  /** Path and query. */
  target: string;
  headers: IncomingMessage["headers"];
  body: string;
}

/** Answers a request, or breaks as a server may. */
export type Handler = (request: Received, response: ServerResponse) => void;

export interface Stub {
  url: string;
  /** All requests, in order. */
  received: Received[];
  /** How it answers under `/rest/v1/`; as the database's functions, unless a test changes it. */
  rest: Handler;
  /** How it answers for its key set. */
  keys: Handler;
  /** How it answers at other paths. */
  others: Record<string, Handler>;
  stop(): Promise<void>;
}

/** A stub, and the URL of a Worker in front of it. */
export async function startStubbed(): Promise<{ stub: Stub; url: string; stop(): Promise<void> }> {
  const stub = await startStub();
  const worker = await startWorkerAlone(workerVars(stub.url));
  return {
    stub,
    url: worker.url,
    async stop() {
      await worker.stop();
      await stub.stop();
    },
  };
}

export async function startStub(): Promise<Stub> {
  const sockets = new Set<Socket>();
  const server = createServer(async (request, response) => {
    const { method = "", url: target = "", headers } = request;
    const received = { method, target, headers, body: await text(request) };
    stub.received.push(received);
    if (target === "/auth/v1/.well-known/jwks.json") stub.keys(received, response);
    else if (target.startsWith("/rest/v1/")) stub.rest(received, response);
    else (stub.others[target] ?? json(404, {}))(received, response);
  });
  server.on("connection", (socket) => sockets.add(socket));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const stub: Stub = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    received: [],
    rest: functions(),
    keys: json(200, { keys: [] }),
    others: {},
    async stop() {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
  return stub;
}

/** Runs such a stand-in while `work` takes. */
export async function withStub<T>(work: (stub: Stub) => Promise<T>): Promise<T> {
  const stub = await startStub();
  try {
    return await work(stub);
  } finally {
    await stub.stop();
  }
}

/** Always this answer. */
export function json(status: number, body: unknown): Handler {
  return (_, response) =>
    response.writeHead(status, { "content-type": "application/json; charset=utf-8" }).end(JSON.stringify(body));
}

/** Writes these lines to the connection and ends it, unless it shall hang. */
export function bytes(lines: string[], { hang = false } = {}): Handler {
  return (_, { socket }) => {
    socket?.write(lines.join("\r\n"), () => hang || socket.end());
  };
}

/** A note as the functions of the database return it. */
export const ROW = {
  id: "7efe3d84-2d6a-4174-899e-8ffddea7a39a",
  title: "title",
  body: "body",
  version: 3,
  created_at: "2026-11-22T12:15:40.760000Z",
  updated_at: "2026-11-22T12:15:41.000000Z",
  deleted_at: null as string | null,
};

/** The function that a request calls. */
export function functionOf({ method, target }: Received): string {
  return (method === "POST" && /^\/rest\/v1\/rpc\/(\w+)$/.exec(target)?.[1]) || "";
}

/** Answers as the functions of the database when all goes well, with this row; PUT replaces. */
export function functions(row: object = ROW): Handler {
  const results: Record<string, unknown> = {
    airlock_list: { data: [row], next_cursor: null },
    airlock_read: row,
    airlock_create: { outcome: "created", row },
    airlock_put: { outcome: "done", row },
    airlock_change: { outcome: "done", row },
    airlock_published: row,
  };
  return (request, response) => json(200, results[functionOf(request)] ?? null)(request, response);
}

/** An error as PostgREST reports it. */
export function databaseError(status: number, code: string, message = "", details: string | null = null): Handler {
  return json(status, { code, message, details, hint: null });
}

export interface Signer {
  alg: "ES256" | "RS256" | "HS256";
  kid?: string;
  key: KeyObject | string;
  jwk: JsonWebKey & Record<string, unknown>;
}

/** A new key under this kid, with its public half. */
export function newKey(kid: string, alg: "ES256" | "RS256" = "ES256", modulusLength = 2048): Signer {
  const { privateKey, publicKey } =
    alg === "ES256"
      ? generateKeyPairSync("ec", { namedCurve: "P-256" })
      : generateKeyPairSync("rsa", { modulusLength });
  return { alg, kid, key: privateKey, jwk: { ...publicKey.export({ format: "jwk" }), kid, alg, use: "sig" } };
}

export const legacy: Signer = { alg: "HS256", key: JWT_SECRET, jwk: {} };

export const SUB = "7efe3d84-0000-4000-8000-8ffddea7a39a";

/** The claims of a signed-in user. */
export function claims(changes: Record<string, unknown> = {}): Record<string, unknown> {
  const now = Math.floor(Date.now() / 1000);
  return {
    sub: SUB,
    role: "authenticated",
    aud: "authenticated",
    iat: now - 5,
    exp: now + 600,
    email: "user@example.com",
    ...changes,
  };
}

/** A compact JWS of this payload. `header` changes its header; a string is used as it is. */
export function jws(
  signer: Signer,
  payload: unknown = claims(),
  header: Record<string, unknown> | string = {},
): string {
  const encode = (part: unknown) =>
    Buffer.from(typeof part === "string" ? part : JSON.stringify(part)).toString("base64url");
  const fields =
    typeof header === "string"
      ? header
      : { alg: signer.alg, ...(signer.kid && { kid: signer.kid }), typ: "JWT", ...header };
  const input = `${encode(fields)}.${encode(payload)}`;
  return `${input}.${signatureOf(signer, input).toString("base64url")}`;
}

function signatureOf({ alg, key }: Signer, input: string): Buffer {
  if (alg === "HS256")
    return createHmac("sha256", key as string)
      .update(input)
      .digest();
  return sign("sha256", Buffer.from(input), { key: key as KeyObject, dsaEncoding: "ieee-p1363" });
}
