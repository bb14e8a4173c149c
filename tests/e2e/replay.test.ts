// A signed change is good once, and the database proves it.

import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";

import { createNonce } from "../../client/src/index.ts";
import { assertOk, assertProblem, send, type Sent } from "./http.ts";
import { APP, appGuard, damage, startStack, withWorker, workerVars, type Stack } from "./support.ts";

/** What the test needs of a Durable Object namespace, which Miniflare types as a union of all there is. */
interface Objects {
  idFromName(name: string): unknown;
  get(id: unknown): { fetch(url: string, init: RequestInit): Promise<Response> };
}

let stack: Stack;
let url: string;
let token: string;
/** A note of Alice's. */
let note: string;

before(async () => {
  const keys = [{ id: "test", secret: APP.secret }];
  stack = await startStack({ APP_GUARD: appGuard({ [APP.appId]: { keys }, other: { keys } }) });
  ({ url, alice: { token } } = stack);
  note = `/v1/notes/${assertOk(await post("a"), 201).id}`;
});
after(() => stack?.stop());

function post(title: string, sent: Sent = {}, to = url) {
  return send(to, "POST", "/v1/notes", { token, body: JSON.stringify({ title }), ...sent });
}

async function count(title: string): Promise<number> {
  return (await stack.sql("select id from public.notes where title = $1", [title])).length;
}

/** What makes two requests the very same. */
function fixed() {
  return { nonce: createNonce(), timestamp: Math.floor(Date.now() / 1000) };
}

test("the very same POST a second time is a replay, and is in the table once", async () => {
  const signed = fixed();
  assertOk(await post("once", { signed }), 201);
  for (const _ of ["again", "and again"]) assertProblem(await post("once", { signed }), "request_replayed");
  assert.equal(await count("once"), 1);
});

test("of many sends of the very same POST exactly one is accepted", async () => {
  const signed = fixed();
  const answers = await Promise.all(Array.from({ length: 50 }, () => post("one of many", { signed })));
  assert.equal(answers.filter(({ status }) => status === 201).length, 1);
  for (const replayed of answers.filter(({ status }) => status !== 201)) assertProblem(replayed, "request_replayed");
  assert.equal(await count("one of many"), 1);
});

test("a nonce is good for one change, whatever that change was and came to", async () => {
  const nonce = createNonce();
  const missing = `/v1/notes/${randomUUID()}`;
  assertProblem(await send(url, "DELETE", missing, { token, signed: { nonce } }), "not_found");
  for (const [method, target, body] of [["DELETE", missing], ["POST", `${note}/restore`], ["PUT", missing, '{"title":"a"}'], ["PATCH", note, '{"title":"a"}']] as const) {
    assertProblem(await send(url, method, target, { token, signed: { nonce }, ...(body && { body }) }), "request_replayed");
  }
  assertProblem(await send(url, "POST", "/v1/notes", { token: stack.bob.token, body: '{"title":"a"}', signed: { nonce } }), "request_replayed");
});

test("each app has nonces of its own", async () => {
  const nonce = createNonce();
  for (const appId of [APP.appId, "other"]) {
    assertOk(await post("a", { signed: { nonce, appId } }), 201);
    assertProblem(await post("a", { signed: { nonce, appId } }), "request_replayed");
  }
});

test("reading may be repeated, even with the nonce of a change", async () => {
  const signed = fixed();
  assertOk(await post("a", { signed }), 201);
  for (const method of ["GET", "GET", "HEAD", "HEAD"]) assert.equal((await send(url, method, note, { token, signed })).status, 200);
});

test("a request that was refused before the database does not use up its nonce", async () => {
  const signed = { nonce: createNonce() };
  const refusals: [Parameters<typeof assertProblem>[1], Sent][] = [
    ["app_guard_rejected", { signed: { ...signed, method: "PUT" } }],
    ["clock_skew", { signed: { ...signed, timestamp: 1_700_000_000 } }],
    ["token_invalid", { signed, token: "a.b.c" }],
    ["malformed_json", { signed, body: "{" }],
    ["validation_failed", { signed, body: "{}" }],
    ["malformed_request", { signed, headers: { "If-Match": "*" } }],
    ["unsupported_media_type", { signed, headers: { "Content-Type": "text/plain" } }],
  ];
  for (const [code, sent] of refusals) assertProblem(await post("a", sent), code);
  assertOk(await post("a", { signed }), 201);
  assertProblem(await post("a", { signed }), "request_replayed");
});

test("a nonce stays used when its object is evicted and when the Worker starts again; when that can't be told, nothing is changed", async () => {
  const dataDir = await mkdtemp(join(tmpdir(), "airlock-e2e-"));
  const vars = workerVars(stack.supabase.url);
  const signed = fixed();
  await withWorker(vars, { dataDir }, async ({ url, miniflare }) => {
    assertOk(await post("restart", { signed }, url), 201);
    const shards = Array.from({ length: 32 }, (_, n) => miniflare.unsafeEvictDurableObject("airlock", "Replay", { name: `shard-${n}` }));
    assert.ok((await Promise.allSettled(shards)).some(({ status }) => status === "fulfilled"), "one was there to be evicted");
    assertProblem(await post("restart", { signed }, url), "request_replayed");
  });
  await withWorker(vars, { dataDir }, async ({ url }) => {
    assertProblem(await post("restart", { signed }, url), "request_replayed");
  });

  await damage(dataDir, "Replay");
  await withWorker(vars, { dataDir }, async ({ url }) => {
    assertProblem(await post("restart", { signed }, url), "dependency_unavailable");
    assertOk(await send(url, "GET", note, { token }), 200);
  });

  await rm(dataDir, { recursive: true });
  assert.equal(await count("restart"), 1);
});

test("a claim is forgotten by the object's alarm once it may be, and not before", async () => {
  const objects = (await stack.worker.miniflare.getDurableObjectNamespace("REPLAY", "airlock")) as unknown as Objects;
  // None that the Worker uses: a claim of an earlier test would have set its alarm for much later already.
  const object = objects.get(objects.idFromName("of this test alone"));
  const claim = async (key: string, seconds: number) => {
    const { status } = await object.fetch(`https://replay/${seconds}/${key}`, { method: "POST" });
    return status;
  };
  const began = Date.now();
  assert.equal(await claim("app:short", 0), 200);
  assert.equal(await claim("app:long", 60), 200);
  assert.equal(await claim("app:short", 0), 409);
  while ((await claim("app:short", 0)) !== 200) {
    assert.ok(Date.now() < began + 20_000, "the alarm has not come");
    await new Promise((resolve) => setTimeout(resolve, 250));
  }
  assert.equal(await claim("app:long", 60), 409);
  // By the clock of whoever asks it is past: that is no claim, whatever the object's clock says.
  await assert.rejects(claim("app:past", -1), /seconds is no number/);
});
