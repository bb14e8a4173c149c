// A stand-in for Supabase that costs next to nothing: answers like PostgREST's, made before they are asked for.
//
// Its own process, forked by the bench, which tells it the key set and how long notes are to be.

import { createServer } from "node:http";
import type { AddressInfo } from "node:net";

import { note } from "./notes.ts";

/** What the bench sends; each message is answered by one. */
export interface Setting {
  keys?: unknown[];
  bodyBytes?: number;
}

const ROWS = 101;

let keySet = "";
let rows: string[] = [];
let lists = new Map<number, Buffer>();

const server = createServer((request, response) => {
  const { method, url = "", headers } = request;
  // As PostgREST does, an object in place of an array for who asks for one.
  const one = () => (headers.accept?.includes("vnd.pgrst.object") ? rows[0] : `[${rows[0]}]`) ?? "";
  const answer = (status: number, body: string | Buffer) => {
    response.writeHead(status, { "content-type": "application/json; charset=utf-8", "content-length": Buffer.byteLength(body) }).end(body);
  };
  if (method === "POST") request.resume().on("end", () => answer(201, one()));
  else if (url.startsWith("/auth/v1/.well-known/")) answer(200, keySet);
  else if (url.includes("&id=eq.")) answer(200, one());
  else answer(200, list(limitOf(url, headers.range)));
});
server.keepAliveTimeout = 120_000;

/** PostgREST takes it as a parameter, or as a range of rows. */
function limitOf(url: string, range = ""): number {
  const last = /^0-(\d+)$/.exec(range)?.[1];
  const limit = last ? Number(last) + 1 : Number(/[?&]limit=(\d+)/.exec(url)?.[1]);
  if (!(limit >= 1 && limit <= ROWS)) throw new Error(`${url} asks for no number of rows that there is`);
  return limit;
}

function list(limit: number): Buffer {
  let body = lists.get(limit);
  if (!body) lists.set(limit, (body = Buffer.from(`[${rows.slice(0, limit).join(",")}]`)));
  return body;
}

process.on("message", ({ keys, bodyBytes }: Setting) => {
  if (keys) keySet = JSON.stringify({ keys });
  if (bodyBytes !== undefined) {
    rows = Array.from({ length: ROWS }, (_, place) => JSON.stringify(note(place, bodyBytes)));
    lists = new Map();
  }
  process.send?.((server.address() as AddressInfo).port);
});
process.on("disconnect", () => process.exit());
server.listen(0, "127.0.0.1");
