// Idempotency-Key: a POST that is sent again with its key makes no second row, and the answer is the row's current
// state.

import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { createServer, request as httpRequest } from "node:http";
import type { AddressInfo } from "node:net";
import { beforeEach, test } from "node:test";

import { AirlockProblem, type Answer } from "../../client/src/index.ts";
import { assertOk, assertProblem, send } from "./http.ts";
import { app, stackOfFile, type User, withWorker, workerVars } from "./support.ts";

const { stack, alice, bob } = await stackOfFile();
beforeEach(() =>
  stack.sql("delete from public.notes; delete from airlock.organizations; delete from airlock.idempotency_keys"),
);

const BODY = '{"title":"once","body":"b"}';

function post(key: string, body = BODY, user: User = stack.alice, url = stack.url): Promise<Answer> {
  return send(url, "POST", "/v1/notes", { token: user.token, body, headers: { "Idempotency-Key": key } });
}

async function notes(): Promise<number> {
  return Number((await stack.sql("select count(*) from public.notes"))[0]?.count);
}

test("a repeated POST is answered with the note as it is then", async () => {
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

test("without a key or under different keys, each POST makes a note", async () => {
  for (const key of ["00000000", "AAAAAAAA", "aaaaaaaa", "k".repeat(64)]) assertOk(await post(key), 201);
  for (let n = 0; n < 2; n++) assertOk(await alice("POST", "/v1/notes", { title: "once", body: "b" }), 201);
  assert.equal(await notes(), 6);
});

test("another spelling of the same draft is the same request", async () => {
  const key = randomUUID();
  const { id } = assertOk(await post(key, '{"title":"once"}'), 201);
  for (const spelling of [
    '{"title":"once","body":""}',
    '{"body":"","title":"once"}',
    ' { "title" : "once" } ',
    '{"title":"\\u006fnce"}',
    '{"\\u0074itle":"once"}',
    '{"title":"  once\\u00a0"}',
  ]) {
    assert.equal(assertOk(await post(key, spelling), 201).id, id, spelling);
  }
  assert.equal(await notes(), 1);
});

test("another draft under the same key is refused", async () => {
  const key = randomUUID();
  const { id } = assertOk(await post(key), 201);
  for (const other of [
    '{"title":"other","body":"b"}',
    '{"title":"once"}',
    '{"title":"once","body":" b"}',
    '{"title":"b","body":"once"}',
    '{"title":"Once","body":"b"}',
  ]) {
    assertProblem(await post(key, other), "idempotency_key_reused");
  }
  assert.equal(assertOk(await post(key), 201).id, id);
  assert.equal(await notes(), 1);
});

test("the same draft in another place is refused", async () => {
  const key = randomUUID();
  const once = { headers: { "Idempotency-Key": key } };
  const org = assertOk(await alice("POST", "/v1/orgs", { name: "a" }), 201);
  const other = assertOk(await alice("POST", "/v1/orgs", { name: "b" }), 201);
  const note = assertOk(await alice("POST", `/v1/orgs/${org.id}/notes`, { title: "a" }, once), 201);
  const places = ["/v1/notes", `/v1/orgs/${other.id}/notes`];
  for (const place of places) assertProblem(await alice("POST", place, { title: "a" }, once), "idempotency_key_reused");
  assertProblem(await alice("POST", "/v1/orgs", { name: "a" }, once), "idempotency_key_reused");
  assertProblem(
    await alice("POST", `/v1/orgs/${org.id}/invitations`, { role: "viewer" }, once),
    "idempotency_key_reused",
  );
  assert.equal(assertOk(await alice("POST", `/v1/orgs/${org.id}/notes`, { title: "a" }, once), 201).id, note.id);
  assert.equal(await notes(), 1);
});

// Organisations and invitations

test("a key makes one organisation, with any spelling of its name", async () => {
  const key = randomUUID();
  const create = (body: string) =>
    send(stack.url, "POST", "/v1/orgs", { token: stack.alice.token, body, headers: { "Idempotency-Key": key } });
  const first = await create('{"name":"a"}');
  const org = assertOk(first, 201);
  const many = await Promise.all(Array.from({ length: 10 }, () => create('{ "name": " \\u0061" }')));
  for (const again of many) {
    assert.deepEqual(assertOk(again, 201), org);
    assert.deepEqual([again.headers.get("location"), again.headers.get("etag")], [`/v1/orgs/${org.id}`, '"1"']);
  }
  assertProblem(await create('{"name":"b"}'), "idempotency_key_reused");
  assertOk(await alice("PATCH", `/v1/orgs/${org.id}`, { name: "renamed" }), 200);
  assert.equal(assertOk(await create('{"name":"a"}'), 201).name, "renamed");
  assert.equal(assertOk(await alice("GET", "/v1/orgs"), 200).data.length, 1);
  assert.equal((await alice("DELETE", `/v1/orgs/${org.id}`)).status, 204);
  assertProblem(await create('{"name":"a"}'), "conflict");
});

/** A new organisation of Alice, and a request that invites to it under one key. */
async function inviting() {
  const org = assertOk(await alice("POST", "/v1/orgs", { name: "a" }), 201);
  const key = randomUUID();
  const invite = (role = "editor") =>
    alice("POST", `/v1/orgs/${org.id}/invitations`, { role }, { headers: { "Idempotency-Key": key } });
  const join = (token: string) => bob("POST", "/v1/orgs/join", { token });
  return { org, invite, join };
}

test("a repeated invitation gets a new token and ends the earlier one", async () => {
  const { org, invite, join } = await inviting();
  const first = assertOk(await invite(), 201);
  const second = assertOk(await invite(), 201);
  const { token: _, ...shown } = first;
  const { token: __, ...again } = second;
  assert.deepEqual(again, shown);
  assert.notEqual(second.token, first.token);
  assertProblem(await invite("viewer"), "idempotency_key_reused");
  assert.equal(assertOk(await alice("GET", `/v1/orgs/${org.id}/invitations`), 200).data.length, 1);
  assertProblem(await join(first.token), "not_found");
  assert.equal(assertOk(await join(second.token), 200).role, "editor");
});

test("an accepted or revoked invitation is not made again", async () => {
  for (const end of ["accept", "revoke"]) {
    const { org, invite, join } = await inviting();
    const { id, token } = assertOk(await invite(), 201);
    if (end === "accept") assertOk(await join(token), 200);
    else assert.equal((await alice("DELETE", `/v1/orgs/${org.id}/invitations/${id}`)).status, 204);
    assertProblem(await invite(), "conflict");
  }
});

// Notes

test("an invalid body uses up no key", async () => {
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

test("many POSTs with one key at once make one note", async () => {
  const key = randomUUID();
  const answers = await Promise.all(Array.from({ length: 30 }, () => post(key)));
  const ids = new Set(answers.map((answer) => assertOk(answer, 201).id));
  assert.equal(ids.size, 1);
  assert.equal(await notes(), 1);
});

test("of many drafts with one key at once, one is made", async () => {
  const key = randomUUID();
  const answers = await Promise.all(Array.from({ length: 20 }, (_, n) => post(key, `{"title":"note ${n}"}`)));
  assert.equal(answers.filter(({ status }) => status === 201).length, 1);
  for (const answer of answers) if (answer.status !== 201) assertProblem(answer, "idempotency_key_reused");
  assert.equal(await notes(), 1);
});

test("each user has their own keys", async () => {
  const key = randomUUID();
  const hers = assertOk(await post(key), 201);
  const his = assertOk(await post(key, BODY, stack.bob), 201);
  assert.notEqual(his.id, hers.id);
  assert.equal(assertOk(await post(key), 201).id, hers.id);
  assert.equal(assertOk(await post(key, BODY, stack.bob), 201).id, his.id);
});

test("a caller of the REST API uses only their own keys", async () => {
  const key = randomUUID();
  const hers = assertOk(await post(key), 201);
  const [{ digest } = {}] = await stack.sql("select digest from airlock.idempotency_keys where user_id = $1", [
    stack.alice.id,
  ]);
  const create = (user: User | null) =>
    stack.direct(user, "/rpc/airlock_create", {
      method: "POST",
      body: JSON.stringify({
        resource: "notes",
        org: null,
        draft: { title: "his" },
        request_key: key,
        request_digest: digest,
      }),
    });
  const { outcome, row } = (await (await create(stack.bob)).json()) as {
    outcome: string;
    row: { id: string; title: string };
  };
  assert.deepEqual([outcome, row.title], ["created", "his"]);
  assert.notEqual(row.id, hers.id);
  assert.equal((await create(null)).status, 401);
  for (const method of ["GET", "POST", "PATCH", "DELETE"]) {
    const response = await stack.direct(stack.bob, "/idempotency_keys", {
      method,
      ...(method !== "GET" && { body: "{}" }),
    });
    assert.equal(response.status, 404, method);
  }
});

test("after 24 hours a key is free again", async () => {
  const key = randomUUID();
  const old = assertOk(await post(key), 201);
  await stack.sql("update airlock.idempotency_keys set created_at = now() - interval '23 hours 59 minutes'");
  assert.equal(assertOk(await post(key), 201).id, old.id);
  await stack.sql("update airlock.idempotency_keys set created_at = now() - interval '24 hours 1 second'");
  const fresh = assertOk(await post(key, '{"title":"another"}'), 201);
  assert.notEqual(fresh.id, old.id);
  assertProblem(await post(key), "idempotency_key_reused");
  assert.equal(await notes(), 2);
});

test("a retry after a lost answer finds the note that was made", async (context) => {
  let lose = true;
  const proxy = createServer((incoming, response) => {
    const { method, url, headers } = incoming;
    const onwards = httpRequest(new URL(url ?? "/", stack.supabase.url), { method, headers }, (reply) => {
      if (lose && url?.endsWith("airlock_create")) reply.resume().on("end", () => response.destroy());
      else reply.pipe(response.writeHead(reply.statusCode ?? 500, reply.headers));
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
    assert.equal(assertOk(await post(key, BODY, stack.alice, worker.url), 201).id, made[0]?.id);
    assert.equal(await notes(), 1);
  });
});

test("the client sends the key that it is given", async () => {
  const client = app(stack.url, stack.alice.token);
  const idempotencyKey = randomUUID();
  const note = await client.notes.create({ title: "from an app" }, { idempotencyKey });
  assert.equal((await client.notes.create({ title: "from an app" }, { idempotencyKey })).id, note.id);
  await assert.rejects(
    client.notes.create({ title: "another" }, { idempotencyKey }),
    (error) => error instanceof AirlockProblem && error.code === "idempotency_key_reused",
  );
});
