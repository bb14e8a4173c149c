// Idempotency-Key: however often a POST is sent, and whatever becomes of its answers, there is one note.

import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { createServer, request as httpRequest } from "node:http";
import type { AddressInfo } from "node:net";
import { after, before, beforeEach, test } from "node:test";

import { AirlockProblem, type Answer } from "../../client/src/index.ts";
import { assertOk, assertProblem, send } from "./http.ts";
import { app, caller, startStack, withWorker, workerVars, type Stack, type User } from "./support.ts";

let stack: Stack;
let alice: ReturnType<typeof caller>;

before(async () => {
  stack = await startStack();
  alice = caller(stack.url, stack.alice.token);
});
after(() => stack?.stop());
beforeEach(() => stack.sql("delete from public.notes; delete from public.idempotency_keys"));

const BODY = '{"title":"once","body":"b"}';

function post(key: string, body = BODY, user: User = stack.alice, url = stack.url): Promise<Answer> {
  return send(url, "POST", "/v1/notes", { token: user.token, body, headers: { "Idempotency-Key": key } });
}

async function notes(): Promise<number> {
  return Number((await stack.sql("select count(*) from public.notes"))[0]?.["count"]);
}

test("a key and a body make one note, which every repetition answers with as it is then", async () => {
  const key = randomUUID();
  const first = await post(key);
  const note = assertOk(first, 201);
  assert.deepEqual([note.title, note.body, note.version], ["once", "b", 1]);
  assert.equal(first.headers.get("location"), `/v1/notes/${note.id}`);

  const again = await post(key);
  assert.deepEqual(assertOk(again, 201), note);
  assert.deepEqual([again.headers.get("etag"), again.headers.get("location")], ['"1"', `/v1/notes/${note.id}`]);

  assertOk(await alice("PATCH", `/v1/notes/${note.id}`, { title: "changed" }), 200);
  const later = await post(key);
  assert.deepEqual([assertOk(later, 201).title, later.headers.get("etag")], ["changed", '"2"']);
  assert.equal(await notes(), 1);
});

test("without a key, and under different ones, each POST makes a note", async () => {
  for (const key of ["00000000", "AAAAAAAA", "aaaaaaaa", "k".repeat(64)]) assertOk(await post(key), 201);
  for (let n = 0; n < 2; n++) assertOk(await alice("POST", "/v1/notes", { title: "once", body: "b" }), 201);
  assert.equal(await notes(), 6);
});

test("another body under the same key is refused, were it only spelled otherwise", async () => {
  const key = randomUUID();
  const { id } = assertOk(await post(key), 201);
  for (const other of ['{"title":"other","body":"b"}', '{"body":"b","title":"once"}', BODY.replace(",", ", "), `${BODY} `]) {
    assertProblem(await post(key, other), "idempotency_key_reused");
  }
  assert.equal(assertOk(await post(key), 201).id, id);
  assert.equal(await notes(), 1);
});

test("a body that is not valid uses up no key", async () => {
  const key = randomUUID();
  assertProblem(await post(key, '{"title":""}'), "validation_failed");
  assertProblem(await post(key, '{"title":'), "malformed_json");
  assertOk(await post(key), 201);
});

test("a note that was deleted since is not made again", async () => {
  const key = randomUUID();
  const { id } = assertOk(await post(key), 201);
  assert.equal((await alice("DELETE", `/v1/notes/${id}`)).status, 204);
  assertProblem(await post(key), "conflict");
  assertProblem(await post(key, '{"title":"other"}'), "idempotency_key_reused");
  assertOk(await alice("POST", `/v1/notes/${id}/restore`), 200);
  assert.equal(assertOk(await post(key), 201).id, id);
});

test("many at once make one note, and all are answered with it", async () => {
  const key = randomUUID();
  const answers = await Promise.all(Array.from({ length: 30 }, () => post(key)));
  const ids = new Set(answers.map((answer) => assertOk(answer, 201).id));
  assert.equal(ids.size, 1);
  assert.equal(await notes(), 1);
});

test("of many at once with different bodies one wins, and the others are told", async () => {
  const key = randomUUID();
  const answers = await Promise.all(Array.from({ length: 20 }, (_, n) => post(key, `{"title":"note ${n}"}`)));
  assert.equal(answers.filter(({ status }) => status === 201).length, 1);
  for (const answer of answers) if (answer.status !== 201) assertProblem(answer, "idempotency_key_reused");
  assert.equal(await notes(), 1);
});

test("keys are each user's own", async () => {
  const key = randomUUID();
  const hers = assertOk(await post(key), 201);
  const his = assertOk(await post(key, '{"title":"his"}', stack.bob), 201);
  assert.notEqual(his.id, hers.id);
  assert.equal(assertOk(await post(key), 201).id, hers.id);

  // Past the Worker as well: he neither sees her keys nor can he make one of his own lead to her note.
  const seen = await stack.direct(stack.bob, "/idempotency_keys?select=key,note_id");
  assert.deepEqual(await seen.json(), [{ key, note_id: his.id }]);
  const digest = (await stack.sql("select digest from public.idempotency_keys where user_id = $1", [stack.bob.id]))[0]?.["digest"];
  const pointed = await stack.direct(stack.bob, `/idempotency_keys?key=eq.${key}`, { method: "PATCH", body: JSON.stringify({ note_id: hers.id }) });
  assert.equal(pointed.status, 204);
  const through = await stack.direct(stack.bob, "/rpc/create_note_once", {
    method: "POST",
    body: JSON.stringify({ request_key: key, request_digest: digest, note_title: "his", note_body: "" }),
  });
  assert.deepEqual(await through.json(), []);
  assertProblem(await post(key, '{"title":"his"}', stack.bob), "idempotency_key_reused");
  for (const [method, user] of [["GET", null], ["POST", null], ["DELETE", stack.bob]] as const) {
    const response = await stack.direct(user, "/idempotency_keys", { method, ...(method === "POST" && { body: JSON.stringify({ key, digest, note_id: his.id }) }) });
    assert.ok([401, 403].includes(response.status), `${method} ${response.status}`);
  }
  const anonymous = await stack.direct(null, "/rpc/create_note_once", { method: "POST", body: JSON.stringify({ request_key: key, request_digest: digest, note_title: "a", note_body: "" }) });
  assert.ok([401, 403, 404].includes(anonymous.status), String(anonymous.status));
  assert.equal(await notes(), 2);
});

test("after 24 hours a key is free again", async () => {
  const key = randomUUID();
  const old = assertOk(await post(key), 201);
  await stack.sql("update public.idempotency_keys set created_at = now() - interval '23 hours 59 minutes'");
  assert.equal(assertOk(await post(key), 201).id, old.id);
  await stack.sql("update public.idempotency_keys set created_at = now() - interval '24 hours 1 second'");
  const fresh = assertOk(await post(key, '{"title":"another"}'), 201);
  assert.notEqual(fresh.id, old.id);
  assertProblem(await post(key), "idempotency_key_reused");
  assert.equal(await notes(), 2);
});

test("a retry after a lost reply finds the note that was made", async (context) => {
  let lose = true;
  const proxy = createServer((incoming, response) => {
    const { method, url, headers } = incoming;
    const onwards = httpRequest(new URL(url ?? "/", stack.supabase.url), { method, headers }, (reply) => {
      // It is done, and nobody hears of it.
      if (lose && method === "POST") reply.resume().on("end", () => response.destroy());
      else response.writeHead(reply.statusCode ?? 500, reply.headers), reply.pipe(response);
    });
    incoming.pipe(onwards);
  });
  context.after(() => proxy.close());
  await new Promise<void>((resolve) => proxy.listen(0, "127.0.0.1", resolve));
  const url = `http://127.0.0.1:${(proxy.address() as AddressInfo).port}`;
  await withWorker(workerVars(url), {}, async (worker) => {
    const key = randomUUID();
    assertProblem(await post(key, BODY, stack.alice, worker.url), "upstream_unavailable");
    const made = await stack.sql("select id from public.notes");
    assert.equal(made.length, 1);
    lose = false;
    assert.equal(assertOk(await post(key, BODY, stack.alice, worker.url), 201).id, made[0]?.["id"]);
    assert.equal(await notes(), 1);
  });
});

test("the client sends the key, signed, and again after it has corrected its clock", async () => {
  const client = app(stack.url, stack.alice.token);
  const idempotencyKey = randomUUID();
  const note = await client.notes.create({ title: "from an app" }, { idempotencyKey });
  assert.equal((await client.notes.create({ title: "from an app" }, { idempotencyKey })).id, note.id);
  await assert.rejects(client.notes.create({ title: "another" }, { idempotencyKey }), (error) => error instanceof AirlockProblem && error.code === "idempotency_key_reused");
});
