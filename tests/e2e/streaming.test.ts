// Lists stream: the Worker checks an answer's head and passes the body on without parsing.

import assert from "node:assert/strict";
import { once } from "node:events";
import type { IncomingMessage, ServerResponse } from "node:http";
import { test } from "node:test";

import { until } from "../support/patience.ts";
import { brokenOfFile, LIST, TIMEOUT } from "./broken.ts";
import { assertOk, assertProblem, begun, headersOf, open, read, send } from "./http.ts";
import { type Handler, ROW } from "./stub.ts";

const MIB = 1024 * 1024;
const JSON_TYPE = { "content-type": "application/json" };
const PAGE = JSON.stringify({ data: [ROW], next_cursor: null });

const MEDIA_TYPES = [
  "text/html",
  "text/plain",
  "application/jsonp",
  "application/problem+json",
  "application/vnd.pgrst.object+json",
  "",
];

const broken = await brokenOfFile();
const { stub } = broken;
/** The upstream's side of the latest list. */
let upstream: ServerResponse;

/** Answers with the first half of a page; the test ends it. */
function half(headers: Record<string, string> = {}): Handler {
  return (_, response) => {
    upstream = response;
    response.writeHead(200, { ...JSON_TYPE, ...headers }).write(PAGE.slice(0, 20));
  };
}

async function firstBytes(response: IncomingMessage): Promise<string> {
  const [chunk] = await once(response, "data");
  response.pause();
  return String(chunk);
}

test("the first bytes of a list arrive before the upstream has ended", async () => {
  stub.rest = half();
  const response = await broken.beginList();
  const first = await firstBytes(response);
  assert.equal(first, PAGE.slice(0, 20));
  upstream.end(PAGE.slice(20));
  assert.equal(first + (await read(response)).body, PAGE);
});

test("a list's log line is written at its headers", async () => {
  stub.rest = half();
  const response = await broken.beginList();
  const id = String(response.headers["x-request-id"]);
  const line = () => broken.worker.logs.find((one) => one.includes(id));
  await until("the line is written", () => line() !== undefined);
  const { status, streamed } = JSON.parse(line()!);
  assert.deepEqual([status, streamed], [200, true]);
  upstream.end();
  await read(response);
});

test("a list's deadline ends at its headers", async () => {
  stub.rest = half();
  const response = await broken.beginList(broken.hasty);
  await new Promise((resolve) => setTimeout(resolve, TIMEOUT + 500));
  upstream.end(PAGE.slice(20));
  assert.equal((await read(response)).body, PAGE);

  stub.rest = (_, response) => void setTimeout(() => response.writeHead(200, JSON_TYPE).end(PAGE), TIMEOUT + 2000);
  assertProblem(await broken.ask(LIST, broken.hasty), "upstream_timeout");
});

test("a list may be longer than an answer that is read whole", async () => {
  const body = JSON.stringify({ data: [{ ...ROW, body: "x".repeat(20 * MIB) }], next_cursor: null });
  stub.rest = (_, response) => void response.writeHead(200, JSON_TYPE).end(body);
  assert.equal(assertOk(await broken.ask(LIST), 200).data[0].body.length, 20 * MIB);
});

test("a list that declares more than 64 MiB is upstream_invalid", async () => {
  stub.rest = half({ "content-length": String(64 * MIB + 1) });
  assertProblem(await broken.ask(LIST), "upstream_invalid");
  await once(upstream, "close");

  stub.rest = half({ "content-length": String(64 * MIB) });
  const response = await broken.beginList();
  assert.equal(response.statusCode, 200);
  response.destroy();
});

test("a list of another media type is upstream_invalid", async () => {
  for (const type of MEDIA_TYPES) {
    stub.rest = (_, response) => {
      upstream = response;
      response.writeHead(200, type ? { "content-type": type } : {}).write(PAGE);
    };
    assertProblem(await broken.ask(LIST), "upstream_invalid");
    await once(upstream, "close");
  }
});

test("HEAD of a list cancels the body", async () => {
  stub.rest = half();
  const answered = await send(broken.worker.url, "HEAD", "/v1/notes", { token: broken.token });
  assert.deepEqual(
    [answered.status, answered.body, answered.headers.get("content-type")],
    [200, "", "application/json"],
  );
  await once(upstream, "close");
});

test("a client that disconnects in the middle of a list cancels it", async () => {
  stub.rest = half();
  const request = open(broken.worker.url, "GET", "/v1/notes", headersOf("GET", "/v1/notes", { token: broken.token }));
  request.end();
  const response = await begun(request);
  await firstBytes(response);
  response.on("error", () => {});
  const closed = once(upstream, "close");
  request.socket?.resetAndDestroy();
  const more = setInterval(() => upstream.write(" ".repeat(65_536)), 50);
  upstream.on("error", () => {});
  await closed;
  clearInterval(more);
});

test("lists of organisations stream too", async () => {
  const org = "/v1/orgs/0f0f0f0f-2d6a-4174-899e-8ffddea7a39a";
  for (const target of ["/v1/orgs", `${org}/members`, `${org}/invitations`, `${org}/notes`]) {
    stub.rest = half();
    const request = open(broken.worker.url, "GET", target, headersOf("GET", target, { token: broken.token }));
    request.end();
    const response = await begun(request);
    const first = await firstBytes(response);
    upstream.end(PAGE.slice(20));
    assert.equal(first + (await read(response)).body, PAGE, target);
  }
});
