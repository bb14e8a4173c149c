// The log: one line of JSON a request, without secrets and without texts of users.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { assertOk, logOf, type Sent, send } from "./http.ts";
import { claims, functions, jws, legacy, ROW, type Stub, SUB, startStub } from "./stub.ts";
import {
  APP,
  JWT_SECRET,
  type LoggedWorker,
  PUBLISHABLE_KEY,
  SECRET_KEY,
  startWorkerAlone,
  withWorker,
  workerVars,
} from "./support.ts";

const NOTE = `/v1/notes/${ROW.id}`;
const TITLE = "a very private title";
const BODY = "a very private body";

let stub: Stub;
let worker: LoggedWorker;
const token = jws(legacy, claims({ email: "somebody@example.com" }));

before(async () => {
  stub = await startStub();
  stub.rest = functions({ ...ROW, title: TITLE, body: BODY });
  worker = await startWorkerAlone(workerVars(stub.url));
  assertOk(await send(worker.url, "GET", "/health"), 200);
});
after(async () => {
  await worker?.stop();
  await stub?.stop();
});

const NOBODY = { app_id: null, user_id: null };
const VERIFIED = { guard: "verified", guard_key: "test", app_id: APP.appId };
const USER = { ...VERIFIED, user_id: SUB };
const body = JSON.stringify({ title: TITLE, body: BODY });

const REQUESTS: [method: string, target: string, sent: Sent, line: Record<string, unknown>][] = [
  [
    "GET",
    "/openapi.json",
    { signed: null },
    { ...NOBODY, route: "GET /openapi.json", status: 200, code: null, guard: null },
  ],
  ["GET", "/health?a/b", { signed: null }, { ...NOBODY, route: null, status: 400, code: "malformed_request" }],
  [
    "GET",
    `/v1/${TITLE.replaceAll(" ", "-")}`,
    { signed: null },
    { ...NOBODY, route: null, status: 404, code: "not_found" },
  ],
  [
    "GET",
    "/v1/notes?cursor=private&limit=1",
    { token, signed: null },
    { ...NOBODY, route: "GET /v1/notes", status: 401, code: "app_guard_rejected", guard: "incomplete" },
  ],
  ["GET", "/v1/me", { token, signed: { appId: "other" } }, { ...NOBODY, status: 401, guard: "unknown_app" }],
  ["GET", "/v1/me", { token, signed: { target: "/" } }, { ...NOBODY, status: 401, guard: "bad_signature" }],
  [
    "GET",
    "/v1/me",
    { token, signed: { timestamp: 1_700_000_000 } },
    { ...NOBODY, status: 401, guard: "skewed", code: "clock_skew" },
  ],
  ["GET", "/v1/me", {}, { ...VERIFIED, user_id: null, status: 401, code: "token_missing" }],
  ["GET", "/v1/me", { token: `${token}x` }, { ...VERIFIED, user_id: null, status: 401, code: "token_invalid" }],
  ["GET", "/v1/me", { token }, { ...USER, status: 200, code: null }],
  ["POST", "/v1/notes", { token, body }, { ...USER, route: "POST /v1/notes", status: 201, code: null }],
  ["GET", NOTE, { token }, { ...USER, route: "GET /v1/notes/{id}", status: 200 }],
  ["HEAD", NOTE, { token }, { ...USER, method: "HEAD", route: "GET /v1/notes/{id}", status: 200 }],
  [
    "PATCH",
    NOTE,
    { token, body: JSON.stringify({ title: TITLE, [BODY]: 1 }) },
    { ...USER, route: "PATCH /v1/notes/{id}", status: 422, code: "validation_failed" },
  ],
  ["POST", "/v1/notes", { token, body: `{"title":"${TITLE}` }, { ...USER, status: 400, code: "malformed_json" }],
  ["GET", `/v1/notes?q=${TITLE.replaceAll(" ", "+")}`, { token }, { ...USER, route: "GET /v1/notes", status: 200 }],
  ["GET", NOTE, { token, headers: { "If-Match": `"${TITLE.replaceAll(" ", "-")}"` } }, { ...USER, status: 400 }],
];

for (const [method, target, sent, expected] of REQUESTS) {
  test(`${method} ${target.replace(ROW.id, "{id}")}, answered ${expected.status}, leaves one log line`, async () => {
    const answered = await send(worker.url, method, target, sent);
    const line = await logOf(worker, answered);
    assert.deepEqual([line.event, line.method, line.status], ["request", method, answered.status]);
    assert.ok(Number.isInteger(line.duration_ms) && line.duration_ms >= 0);
    if (answered.status < 300) assert.equal(Number.isInteger(line.upstream_ms), line.user_id !== null);
    for (const [name, value] of Object.entries(expected)) assert.deepEqual([name, line[name]], [name, value]);
  });
}

test("LOG_READS_ONE_IN logs one in N good reads, and all writes and refusals", async () => {
  await withWorker(workerVars(stub.url, { LOG_READS_ONE_IN: "10000" }), {}, async (sampled) => {
    for (let n = 0; n < 30; n++) assertOk(await send(sampled.url, "GET", NOTE, { token }), 200);
    const [written, refused] = [
      await send(sampled.url, "POST", "/v1/notes", { token, body }),
      await send(sampled.url, "GET", NOTE),
    ];
    for (const answered of [written, refused]) assert.equal((await logOf(sampled, answered)).one_in, undefined);
    const lines = sampled.logs.map((line) => JSON.parse(line)).filter(({ event }) => event === "request");
    assert.ok(lines.length <= 4, `${lines.length} lines`);
  });
});

test("no log line has secrets, addresses or texts of users", async () => {
  const nonce = "nonce-that-is-not-logged-";
  await send(worker.url, "POST", "/v1/notes", { token, body, signed: { nonce } });
  const headers = {
    "CF-Connecting-IP": "203.0.113.77",
    "User-Agent": "some browser",
    "X-Request-Id": "chosen-by-the-client",
  };
  await logOf(worker, await send(worker.url, "POST", "/v1/notes", { token, body, signed: { nonce }, headers }));
  const log = worker.logs.join("\n");
  const [head, payload, signature] = token.split(".") as [string, string, string];
  for (const secret of [
    head,
    payload,
    signature,
    APP.secret,
    JWT_SECRET,
    PUBLISHABLE_KEY,
    SECRET_KEY,
    "v1=",
    nonce,
    "private",
    ROW.id,
    "somebody@",
    "203.0.113.77",
    "some browser",
    "chosen-by-the-client",
    "cursor",
    "apps",
  ]) {
    assert.ok(!log.includes(secret), secret);
  }
});
