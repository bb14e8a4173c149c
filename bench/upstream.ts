// A stand-in for Supabase that costs next to nothing: answers like PostgREST's, prepared in advance. Airlock calls the
// functions public.airlock_*, the peers read and write the table.
//
// Its own process, forked by the bench, which tells it the key set.

import { createServer, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { buffer } from "node:stream/consumers";

import { BODY_BYTES, cursor, LONG_BODY_BYTES, LONG_PAGE, note, wireNote } from "./notes.ts";

/** A page, and the row after it that the peers ask for. */
const ROWS = LONG_PAGE + 1;
/** Nonces are remembered up to this number, so that memory stays bounded. */
const CLAIMS_MAX = 20_000;

let keySet = "";
const lists = new Map<number, Buffer>();
const pages = new Map<number, Buffer>();
const [row, wireRow] = [note(0, BODY_BYTES), wireNote(0, BODY_BYTES)].map((one) => JSON.stringify(one)) as [
  string,
  string,
];
/** For each nonce, the request that claimed it. */
const claims = new Map<string, string>();

const server = createServer(async (request, response) => {
  const { method, url = "", headers } = request;
  // As PostgREST does, an object in place of an array on request.
  const one = () => (headers.accept?.includes("vnd.pgrst.object") ? row : `[${row}]`);
  if (method === "POST") {
    const body = await buffer(request);
    const [, name] = /^\/rest\/v1\/rpc\/(\w+)/.exec(url) ?? [];
    if (name) call(name, body, headers["x-airlock-claim"], response);
    else answer(response, 201, one());
  } else if (url.startsWith("/auth/v1/.well-known/")) answer(response, 200, keySet);
  else if (url.includes("&id=eq.")) answer(response, 200, one());
  else answer(response, 200, list(limitOf(url, headers.range)));
});
server.keepAliveTimeout = 120_000;

function answer(response: ServerResponse, status: number, body: string | Buffer): void {
  response
    .writeHead(status, { "content-type": "application/json; charset=utf-8", "content-length": Buffer.byteLength(body) })
    .end(body);
}

function call(name: string, body: Buffer, claim: string | string[] | undefined, response: ServerResponse): void {
  if (name === "airlock_list") {
    const { page_size: size } = JSON.parse(body.toString()) as { page_size: number };
    answer(response, 200, page(size));
  } else if (name === "airlock_read") {
    answer(response, 200, wireRow);
  } else if (name === "airlock_create") {
    if (isCopy(String(claim)))
      answer(response, 409, '{"code":"PT409","details":null,"hint":null,"message":"airlock_request_replayed"}');
    // As json_build_object writes it.
    else answer(response, 200, `{"outcome" : "created", "row" : ${wireRow}}`);
  } else {
    answer(response, 404, `{"code":"PGRST202","details":null,"hint":null,"message":"there is no function ${name}"}`);
  }
}

/** Whether another request claimed the nonce before. */
function isCopy(claim: string): boolean {
  const [, , request = "", ...nonce] = claim.split(".");
  const key = nonce.join(".");
  const before = claims.get(key);
  if (claims.size >= CLAIMS_MAX) claims.clear();
  if (before === undefined) claims.set(key, request);
  return before !== undefined && before !== request;
}

/** PostgREST takes it as a parameter, or as a range of rows. */
function limitOf(url: string, range = ""): number {
  const last = /^0-(\d+)$/.exec(range)?.[1];
  const limit = last ? Number(last) + 1 : Number(/[?&]limit=(\d+)/.exec(url)?.[1]);
  if (!(limit >= 1 && limit <= ROWS)) throw new Error(`${url} asks for no number of rows that there is`);
  return limit;
}

function list(limit: number): Buffer {
  let body = lists.get(limit);
  if (!body) lists.set(limit, (body = Buffer.from(JSON.stringify(notes(limit, limit - 1, note)))));
  return body;
}

/** As airlock_list() writes it. */
function page(size: number): Buffer {
  let body = pages.get(size);
  if (!body)
    pages.set(
      size,
      (body = Buffer.from(JSON.stringify({ data: notes(size, size, wireNote), next_cursor: cursor(size - 1) }))),
    );
  return body;
}

/** The first rows of a list with pages of this size. */
function notes(count: number, pageSize: number, make: typeof note | typeof wireNote) {
  return Array.from({ length: count }, (_, place) =>
    make(place, pageSize === LONG_PAGE ? LONG_BODY_BYTES : BODY_BYTES),
  );
}

process.on("message", (keys: unknown[]) => {
  keySet = JSON.stringify({ keys });
  process.send?.((server.address() as AddressInfo).port);
});
process.on("disconnect", () => process.exit());
server.listen(0, "127.0.0.1");
