// Published notes: every user of the app may read them, and the answers do not name their owners.

import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";

import type { Answer, RequestOptions } from "../../client/src/index.ts";
import { assertOk, assertProblem, logOf, send, withoutId } from "./http.ts";
import { functionOf, functions, ROW, withStub } from "./stub.ts";
import { stackOfFile, withWorker, workerVars } from "./support.ts";

const { stack, alice, bob, anybody } = await stackOfFile();
beforeEach(() => stack.sql("delete from airlock.organizations; delete from public.notes"));

async function draft(): Promise<string> {
  return assertOk(await alice("POST", "/v1/notes", { title: "News", body: "of today" }), 201).id;
}

async function published(): Promise<string> {
  const id = await draft();
  assertOk(await alice("POST", `/v1/notes/${id}/publish`), 200);
  return id;
}

function read(id: string, options?: RequestOptions): Promise<Answer> {
  return anybody("GET", `/v1/public/notes/${id}`, undefined, options);
}

function header(name: string, value: string): RequestOptions {
  return { headers: { [name]: value } };
}

const MISSING = "00000000-0000-4000-8000-000000000000";

test("a published note needs no user and names no author", async () => {
  const id = await published();
  const answer = await read(id);
  assert.equal(answer.status, 200, answer.body);
  const note = JSON.parse(answer.body);
  assert.deepEqual(Object.keys(note), ["id", "title", "body", "version", "published_at", "updated_at"]);
  assert.deepEqual([note.id, note.title, note.body, note.version], [id, "News", "of today", 2]);
  assert.deepEqual([answer.headers.get("etag"), answer.headers.get("content-type")], ['"2"', "application/json"]);
  assert.ok(!answer.body.includes(stack.alice.id));
});

test("a published note may be cached for a minute and has an ETag", async () => {
  const id = await published();
  const kept = "public, max-age=60";
  const get = await read(id);
  assert.equal(get.headers.get("cache-control"), kept);
  const head = await anybody("HEAD", `/v1/public/notes/${id}`);
  assert.deepEqual([head.status, head.body], [200, ""]);
  for (const name of ["etag", "content-type", "cache-control"])
    assert.equal(head.headers.get(name), get.headers.get(name), name);
  for (const tags of ['"2"', 'W/"2"', '"1", "2"', "*"]) {
    const same = await read(id, header("If-None-Match", tags));
    assert.deepEqual(
      [same.status, same.body, same.headers.get("etag"), same.headers.get("cache-control")],
      [304, "", '"2"', kept],
      tags,
    );
  }
  assertOk(await alice("PATCH", `/v1/notes/${id}`, { body: "of tomorrow" }), 200);
  const changed = await read(id, header("If-None-Match", '"2"'));
  assert.deepEqual(
    [changed.status, JSON.parse(changed.body).body, changed.headers.get("etag")],
    [200, "of tomorrow", '"3"'],
  );
});

test("draft, unpublished, deleted and missing notes are one 404", async () => {
  const missing = await read(MISSING);
  assertProblem(missing, "not_found");
  const back = await published();
  assertOk(await alice("POST", `/v1/notes/${back}/unpublish`), 200);
  const gone = await published();
  assert.equal((await alice("DELETE", `/v1/notes/${gone}`)).status, 204);
  for (const id of [await draft(), back, gone]) {
    assert.equal(withoutId(await read(id)), withoutId(missing));
    assertProblem(await read(id, header("If-None-Match", "*")), "not_found");
  }
});

test("a too wide policy for anon shows no unpublished note by the Worker", async () => {
  const missing = await read(MISSING);
  const [hidden, back, gone, shown] = [await draft(), await published(), await published(), await published()];
  assertOk(await alice("POST", `/v1/notes/${back}/unpublish`), 200);
  assert.equal((await alice("DELETE", `/v1/notes/${gone}`)).status, 204);
  const { id: org } = assertOk(await alice("POST", "/v1/orgs", { name: "Press" }), 201);
  const theirs = assertOk(await alice("POST", `/v1/orgs/${org}/notes`, { title: "Theirs" }), 201).id;
  assertOk(await alice("POST", `/v1/orgs/${org}/notes/${theirs}/publish`), 200);
  assert.equal((await alice("DELETE", `/v1/orgs/${org}`)).status, 204);
  await stack.sql("create policy too_wide on public.notes for select to anon using (true)");
  try {
    for (const id of [hidden, back, gone, theirs]) {
      const direct = await stack.direct(null, `/notes?select=id&id=eq.${id}`);
      assert.deepEqual(await direct.json(), [{ id }], "the policy alone would show it");
      assert.equal(withoutId(await read(id)), withoutId(missing));
      assert.equal((await anybody("HEAD", `/v1/public/notes/${id}`)).status, 404);
    }
    assert.equal((await read(shown)).status, 200);
  } finally {
    await stack.sql("drop policy too_wide on public.notes");
  }
});

test("a deleted note that is restored is published as it was", async () => {
  const id = await published();
  await alice("DELETE", `/v1/notes/${id}`);
  assertOk(await alice("POST", `/v1/notes/${id}/restore`), 200);
  assert.equal((await read(id)).status, 200);
});

test("publish of published and unpublish of unpublished do nothing", async () => {
  const id = await draft();
  const publish = `/v1/notes/${id}/publish`;
  const unpublish = `/v1/notes/${id}/unpublish`;
  for (const [path, options, version] of [
    [unpublish, {}, 1],
    [unpublish, header("If-Match", '"9"'), 1],
    [publish, header("If-Match", '"1"'), 2],
    // Again, as its answer may be lost.
    [publish, header("If-Match", '"1"'), 2],
    [publish, {}, 2],
    [unpublish, header("If-Match", '"2"'), 3],
    [unpublish, header("If-Match", '"2"'), 3],
  ] as const) {
    const answer = await alice("POST", path, undefined, options);
    assert.deepEqual([assertOk(answer, 200).version, answer.headers.get("etag")], [version, `"${version}"`]);
  }
  assertProblem(await alice("POST", publish, undefined, header("If-Match", '"1"')), "version_mismatch");
  assertProblem(await alice("POST", publish, undefined, header("If-None-Match", "*")), "malformed_request");
  assertProblem(await alice("POST", publish, {}), "malformed_request");
  await alice("DELETE", `/v1/notes/${id}`);
  for (const path of [publish, unpublish]) assertProblem(await alice("POST", path), "not_found");
});

test("of 20 publishes at once one changes the note", async () => {
  const id = await draft();
  const answers = await Promise.all(Array.from({ length: 20 }, () => alice("POST", `/v1/notes/${id}/publish`)));
  for (const answer of answers) assert.equal(assertOk(answer, 200).version, 2);
});

test("no other user publishes or unpublishes a user's note", async () => {
  const [mine, open] = [await draft(), await published()];
  const rows = () => stack.sql("select *, xmin::text from public.notes order by id");
  const untouched = await rows();
  for (const action of ["publish", "unpublish"]) {
    for (const options of [{}, header("If-Match", "*"), header("If-Match", '"1"')]) {
      const missing = await bob("POST", `/v1/notes/${MISSING}/${action}`, undefined, options);
      assertProblem(missing, "not_found");
      for (const id of [mine, open]) {
        assert.equal(withoutId(await bob("POST", `/v1/notes/${id}/${action}`, undefined, options)), withoutId(missing));
      }
    }
  }
  // A published note is not among Bob's own notes.
  assertProblem(await bob("GET", `/v1/notes/${open}`), "not_found");
  assert.deepEqual(assertOk(await bob("GET", "/v1/notes?state=published"), 200).data, []);
  assert.deepEqual(await rows(), untouched);
});

test("state=published lists live published notes of its place", async () => {
  await draft();
  const [open, gone] = [await published(), await published()];
  await alice("DELETE", `/v1/notes/${gone}`);
  const { id: org } = assertOk(await alice("POST", "/v1/orgs", { name: "Press" }), 201);
  const theirs = assertOk(await alice("POST", `/v1/orgs/${org}/notes`, { title: "Theirs" }), 201).id;
  assertOk(await alice("POST", `/v1/orgs/${org}/notes/${theirs}/publish`), 200);
  const listed = async (path: string) =>
    assertOk(await alice("GET", `${path}?state=published`), 200).data.map(({ id }: { id: string }) => id);
  assert.deepEqual(await listed("/v1/notes"), [open]);
  assert.deepEqual(await listed(`/v1/orgs/${org}/notes`), [theirs]);
  assert.equal((await read(theirs)).status, 200);
});

test("a published note needs an app and ignores the token", async () => {
  const target = `/v1/public/notes/${await published()}`;
  assertProblem(await send(stack.url, "GET", target, { signed: null }), "app_guard_rejected");
  assertProblem(await send(stack.url, "GET", target, { token: stack.alice.token, signed: null }), "app_guard_rejected");
  assertProblem(await send(stack.url, "GET", target, { signed: { target: "/v1/notes" } }), "app_guard_rejected");
  assertProblem(await send(stack.url, "GET", target, { signed: { timestamp: 1_700_000_000 } }), "clock_skew");
  for (const token of [undefined, stack.alice.token, stack.bob.token, "no.token.at-all"]) {
    assert.equal((await send(stack.url, "GET", target, { token })).status, 200);
  }
  for (const method of ["PUT", "PATCH", "DELETE", "POST"]) {
    assert.equal(assertProblem(await send(stack.url, method, target), "method_not_allowed").status, 405);
  }
  assertProblem(await send(stack.url, "GET", "/v1/public/notes"), "not_found");
  assertProblem(await send(stack.url, "GET", `${target}?x=1`), "validation_failed");
  assertProblem(await send(stack.url, "GET", target, { headers: { "If-Match": "*" } }), "malformed_request");
});

test("no token is sent to the database for a published note", async () => {
  const { created_at: _, deleted_at: __, ...row } = ROW;
  const [request, ...more] = await withStub(async (stub) => {
    stub.rest = functions({ ...row, published_at: ROW.updated_at });
    await withWorker(workerVars(stub.url), {}, async ({ url }) => {
      const answer = await send(url, "GET", `/v1/public/notes/${ROW.id}`, {
        token: stack.alice.token,
        headers: { Cookie: "a=b", apikey: "mine" },
      });
      assert.equal(answer.status, 200, answer.body);
    });
    return stub.received;
  });
  assert.deepEqual(more, []);
  assert.ok(request);
  assert.equal(functionOf(request), "airlock_published");
  assert.deepEqual(JSON.parse(request.body), { resource: "notes", id: ROW.id });
  const { authorization, cookie, apikey } = request.headers;
  assert.deepEqual([authorization, cookie], [undefined, undefined]);
  assert.match(String(apikey), /^sb_publishable_/);
  assert.ok(!JSON.stringify(request).includes(stack.alice.token));
});

test("anon reads published notes past the Worker, without owners", async () => {
  const open = await published();
  await draft();
  const columns = "id,title,body,version,updated_at,published_at";
  const listed = await stack.direct(null, `/notes?select=${columns}`);
  assert.deepEqual(
    ((await listed.json()) as { id: string }[]).map(({ id }) => id),
    [open],
  );
  for (const query of [
    "select=*",
    "select=user_id",
    "select=id,created_at",
    "select=id,org_id",
    `select=id&user_id=eq.${stack.alice.id}`,
    "select=id&order=created_at",
  ]) {
    assert.equal((await stack.direct(null, `/notes?${query}`)).status, 401, query);
  }
  for (const table of ["organizations", "members", "invitations", "idempotency_keys", "claims", "resources"]) {
    assert.equal((await stack.direct(null, `/${table}?select=*`)).status, 404, table);
  }
});

test("the log line of a published note names no note or user", async () => {
  const id = await published();
  const answer = await send(stack.url, "GET", `/v1/public/notes/${id}`, { token: stack.alice.token });
  const line = await logOf(stack.worker, answer);
  assert.deepEqual(
    [line.route, line.status, line.guard, line.user_id],
    ["GET /v1/public/notes/{id}", 200, "verified", null],
  );
  for (const secret of [id, stack.alice.id, "News", "today"]) assert.ok(!JSON.stringify(line).includes(secret), secret);
});
