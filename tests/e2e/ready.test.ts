// GET /ready: whether Supabase is usable, on the real database and on unusable ones.

import assert from "node:assert/strict";
import { test } from "node:test";

import { assertOk, assertProblem, logOf, send } from "./http.ts";
import { bytes, databaseError, type Handler, json, newKey, type Stub, withStub } from "./stub.ts";
import { type LoggedWorker, startStack, withWorker, workerVars } from "./support.ts";

const ready = (worker: LoggedWorker) => send(worker.url, "GET", "/ready", { signed: null });
const callsOf = (stub: Stub) => stub.received.filter(({ target }) => target.endsWith("/rpc/airlock_ready")).length;

test("on the real database /ready and /health are well and write no log line", async () => {
  const stack = await startStack();
  try {
    for (const path of ["/ready", "/health", "/ready"]) {
      const answer = await send(stack.url, "GET", path, { signed: null });
      assert.deepEqual(assertOk(answer, 200), { status: "ok" });
      assert.equal(answer.headers.get("cache-control"), "no-store");
    }
    // The line of a later request shows that lines have been written.
    await logOf(stack.worker, await send(stack.url, "GET", "/openapi.json", { signed: null }));
    assert.deepEqual(
      stack.worker.logs.filter((line) => /"GET \/(ready|health)"/.test(line)),
      [],
    );
  } finally {
    await stack.stop();
  }
});

test("a declared resource without its migration is not ready", async () => {
  const declaration = JSON.stringify({ resources: { unmigrated: { owner: "user", fields: { title: "text(1..9)" } } } });
  const stack = await startStack({}, { declaration });
  try {
    const answer = await send(stack.url, "GET", "/ready", { signed: null });
    assertProblem(answer, "dependency_unavailable");
    assert.equal(answer.headers.get("retry-after"), "15");
    const line = await logOf(stack.worker, answer);
    assert.equal(
      line.reason,
      "the database lacks a migration of this Worker or of a declared resource, or a declared function has an overload",
    );
  } finally {
    await stack.stop();
  }
});

const FAULTS: [name: string, prepare: (stub: Stub) => void, reason: RegExp][] = [
  ["key set is missing", (stub) => (stub.keys = json(404, {})), /^no usable key of the key set$/],
  ["key set hangs", (stub) => (stub.keys = bytes([], { hang: true })), /^no usable key of the key set$/],
  [
    "key of the project is another's",
    (stub) => (stub.rest = json(401, { message: "Invalid API key" })),
    /gateway refused the API key/,
  ],
  ["project is paused", (stub) => (stub.rest = json(540, {})), /paused/],
  ["migrations are missing", (stub) => (stub.rest = databaseError(404, "PGRST202")), /migrations/],
  ["database is down", (stub) => (stub.rest = databaseError(503, "PGRST002")), /no database/],
  ["answer is garbage", (stub) => (stub.rest = json(200, "yes")), /not what the function returns/],
];

for (const [name, prepare, reason] of FAULTS) {
  test(`not ready when the ${name}, with the reason in the log`, () =>
    withStub(async (stub) => {
      stub.keys = json(200, { keys: [newKey("a").jwk] });
      stub.rest = json(200, true);
      prepare(stub);
      await withWorker(workerVars(stub.url, { JWKS_TIMEOUT_MS: "500" }), {}, async (worker) => {
        const answer = await ready(worker);
        assertProblem(answer, "dependency_unavailable");
        const line = await logOf(worker, answer);
        assert.match(line.reason, reason);
        assert.equal(line.route, "GET /ready");
      });
    }));
}

test("an answer is kept, so that many requests ask Supabase once", () =>
  withStub(async (stub) => {
    const answers: Handler[] = [json(200, true), databaseError(503, "PGRST002")];
    stub.rest = (request, response) => answers.shift()?.(request, response);
    await withWorker(workerVars(stub.url), {}, async (worker) => {
      for (let n = 0; n < 20; n++) assertOk(await ready(worker), 200);
      assert.equal(callsOf(stub), 1);
      const call = stub.received.find(({ target }) => target.endsWith("/rpc/airlock_ready"));
      assert.equal(call?.headers.authorization, undefined, "as nobody");
    });
  }));

test("a host that does not exist is not ready", () =>
  withWorker(workerVars("http://127.0.0.1:1"), {}, async (worker) => {
    assertProblem(await ready(worker), "dependency_unavailable");
  }));
