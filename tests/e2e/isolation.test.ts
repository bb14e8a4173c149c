// Isolation of users, through the Worker and at PostgREST, where only Row Level Security separates them.

import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { before, test } from "node:test";

import { assertOk, assertProblem, withoutId } from "./http.ts";
import { type Caller, stackOfFile, type User } from "./support.ts";

const { stack, alice, bob, anybody } = await stackOfFile();
/** A live and a deleted note of Alice, and a note of Bob. */
let live: string;
let deleted: string;
let bobs: string;
let untouched: Record<string, unknown>[];

before(async () => {
  const create = async (as: Caller) => assertOk(await as("POST", "/v1/notes", { title: "secret" }), 201).id as string;
  [live, deleted, bobs] = [await create(alice), await create(alice), await create(bob)];
  assert.equal((await alice("DELETE", `/v1/notes/${deleted}`)).status, 204);
  untouched = await rows(stack.alice);
});

/** All rows of a user, without policies, with the transactions that wrote them. */
function rows(user: User): Promise<Record<string, unknown>[]> {
  return stack.sql("select *, xmin::text, ctid::text from public.notes where user_id = $1 order by id", [user.id]);
}

async function nothingOfAlicesHasChanged(): Promise<void> {
  assert.deepEqual(await rows(stack.alice), untouched);
}

// Through the Worker

test("another user's note and a missing one are the same 404", async () => {
  const json = { title: "mine now" };
  const match = { headers: { "If-Match": "*" } };
  const tag = { headers: { "If-Match": '"1"' } };
  for (const [method, suffix, body, options] of [
    ["GET", "", undefined, {}],
    ["GET", "", undefined, { headers: { "If-None-Match": "*" } }],
    ["PUT", "", json, match],
    ["PUT", "", json, tag],
    ["PATCH", "", json, {}],
    ["PATCH", "", json, match],
    ["PATCH", "", json, tag],
    ["DELETE", "", undefined, {}],
    ["DELETE", "", undefined, match],
    ["DELETE", "", undefined, tag],
    ["POST", "/restore", undefined, {}],
    ["POST", "/restore", undefined, match],
  ] as const) {
    const missing = await bob(method, `/v1/notes/${randomUUID()}${suffix}`, body, options);
    assertProblem(missing, "not_found");
    for (const id of [live, deleted]) {
      const answer = await bob(method, `/v1/notes/${id}${suffix}`, body, options);
      assert.equal(withoutId(answer), withoutId(missing), `${method} ${suffix}`);
    }
  }
  assert.equal((await bob("HEAD", `/v1/notes/${live}`)).status, 404);
  await nothingOfAlicesHasChanged();
});

test("PUT of another user's id is a conflict in any state", async () => {
  for (const id of [live, deleted]) {
    for (const options of [{}, { headers: { "If-None-Match": "*" } }]) {
      assertProblem(await bob("PUT", `/v1/notes/${id}`, { title: "mine now" }, options), "conflict");
    }
  }
  await nothingOfAlicesHasChanged();
});

test("lists have only own notes, even after another user's list's cursor", async () => {
  for (let i = 0; i < 2; i++) assertOk(await alice("PUT", `/v1/notes/${randomUUID()}`, { title: "more" }), 201);
  const { next_cursor: cursor } = assertOk(await alice("GET", "/v1/notes?limit=1"), 200);
  const lists: [string, string[]][] = [
    ["limit=100", [bobs]],
    ["state=deleted", []],
    [`cursor=${cursor}`, [bobs]],
  ];
  for (const [query, expected] of lists) {
    const { data } = assertOk(await bob("GET", `/v1/notes?${query}`), 200);
    assert.deepEqual(
      data.map((note: { id: string }) => note.id),
      expected,
      query,
    );
  }
  await stack.sql("delete from public.notes where title = 'more'");
});

test("no route of notes works without a token", async () => {
  for (const [method, target, json] of [
    ["GET", "/v1/me"],
    ["GET", "/v1/notes"],
    ["POST", "/v1/notes", { title: "a" }],
    ["GET", `/v1/notes/${live}`],
    ["PUT", `/v1/notes/${live}`, { title: "a" }],
    ["PATCH", `/v1/notes/${live}`, { title: "a" }],
    ["DELETE", `/v1/notes/${live}`],
    ["POST", `/v1/notes/${live}/restore`],
  ] as const) {
    assertProblem(await anybody(method, target, json), "token_missing");
  }
  await nothingOfAlicesHasChanged();
});

// Without the Worker

const returning = { prefer: "return=representation" };

test("bob's own token reads no row of alice from the REST API", async () => {
  for (const query of [
    "select=*",
    `id=eq.${live}`,
    `user_id=eq.${stack.alice.id}`,
    "deleted_at=not.is.null",
    "or=(user_id.not.is.null,id.not.is.null)",
    "title=eq.secret&order=created_at",
    "user_id=neq.00000000-0000-0000-0000-000000000000",
  ]) {
    const response = await stack.direct(stack.bob, `/notes?${query}`);
    assert.equal(response.status, 200, query);
    const ids = ((await response.json()) as { id: string }[]).map(({ id }) => id);
    assert.deepEqual(
      ids.filter((id) => id !== bobs),
      [],
      query,
    );
  }
  const head = await stack.direct(stack.bob, "/notes?select=id", {
    method: "HEAD",
    headers: { prefer: "count=exact" },
  });
  assert.match(head.headers.get("content-range") ?? "", /\/1$/, "bob's one note");
});

test("bob's own token changes no row of alice in the REST API", async () => {
  const body = JSON.stringify({ title: "mine now" });
  for (const [query, mine] of [
    [`id=eq.${live}`, 0],
    [`id=eq.${deleted}`, 0],
    [`user_id=eq.${stack.alice.id}`, 0],
    ["title=eq.secret", 1],
  ] as const) {
    const response = await stack.direct(stack.bob, `/notes?${query}`, { method: "PATCH", headers: returning, body });
    const changed = (await response.json()) as { id: string }[];
    assert.deepEqual([response.status, changed.length], [200, mine], query);
  }
  for (const change of [{ deleted_at: "now" }, { deleted_at: null }]) {
    const response = await stack.direct(stack.bob, `/notes?id=in.(${live},${deleted})`, {
      method: "PATCH",
      headers: returning,
      body: JSON.stringify(change),
    });
    assert.deepEqual(await response.json(), []);
  }
  await nothingOfAlicesHasChanged();
});

test("bob's own token takes over no id or note of alice's", async () => {
  const upsert = (resolution: string) => ({ prefer: `return=representation, resolution=${resolution}` });
  for (const [json, headers, statuses] of [
    [{ id: live, title: "mine now" }, returning, [409]],
    [{ id: live, title: "mine now" }, upsert("merge-duplicates"), [401, 403, 409]],
    [{ title: "hers", user_id: stack.alice.id }, returning, [401, 403]],
    [[{ title: "mine" }, { title: "hers", user_id: stack.alice.id }], returning, [400, 401, 403]],
  ] as const) {
    const response = await stack.direct(stack.bob, "/notes", { method: "POST", headers, body: JSON.stringify(json) });
    assert.ok(
      (statuses as readonly number[]).includes(response.status),
      `${JSON.stringify(json)}: ${response.status} ${await response.text()}`,
    );
  }
  for (const change of [{ user_id: stack.alice.id }, { id: live }, { version: 9 }, { created_at: "2000-01-01" }]) {
    const response = await stack.direct(stack.bob, `/notes?id=eq.${bobs}`, {
      method: "PATCH",
      headers: returning,
      body: JSON.stringify(change),
    });
    assert.equal(response.status, 403, JSON.stringify(change));
  }
  assert.deepEqual(
    (await rows(stack.bob)).map(({ id }) => id),
    [bobs],
  );
  await nothingOfAlicesHasChanged();
});

test("no user deletes a row in the REST API", async () => {
  for (const [user, query] of [
    [stack.bob, `id=eq.${live}`],
    [stack.bob, `id=eq.${bobs}`],
    [stack.bob, "id=not.is.null"],
    [stack.alice, `id=eq.${deleted}`],
    [null, `id=eq.${live}`],
  ] as const) {
    const response = await stack.direct(user, `/notes?${query}`, { method: "DELETE", headers: returning });
    assert.ok([401, 403].includes(response.status), `${query}: ${response.status}`);
  }
  assert.equal((await rows(stack.bob)).length, 1);
  await nothingOfAlicesHasChanged();
});

test("anon, forged tokens and other schemas get nothing", async () => {
  const [header, , signature] = stack.bob.token.split(".");
  const claims = Buffer.from(
    JSON.stringify({ sub: stack.alice.id, role: "authenticated", aud: "authenticated", exp: 4e9 }),
  );
  const forged = { id: stack.alice.id, token: `${header}.${claims.toString("base64url")}.${signature}` };
  const body = JSON.stringify({ title: "a" });
  for (const [who, user] of [
    ["anon", null],
    ["forger", forged],
  ] as const) {
    for (const [method, path, init] of [
      ["GET", "/notes", {}],
      ["HEAD", "/notes", {}],
      ["GET", `/notes?id=eq.${live}`, {}],
      ["POST", "/notes", { body, headers: returning }],
      ["PATCH", `/notes?id=eq.${live}`, { body, headers: returning }],
      ["DELETE", `/notes?id=eq.${live}`, { headers: returning }],
    ] as const) {
      const response = await stack.direct(user, path, { method, ...init });
      assert.equal(response.status, 401, `${who} ${method} ${path}`);
    }
  }
  for (const profile of ["auth", "airlock", "supabase_migrations"]) {
    const response = await stack.direct(stack.bob, "/users?select=*", { headers: { "accept-profile": profile } });
    assert.ok([404, 406].includes(response.status), `${profile}: ${response.status}`);
  }
  for (const name of ["claim", "run_job", "update_row", "airlock_run_job"]) {
    const response = await stack.direct(stack.bob, `/rpc/${name}`, { method: "POST", body: "{}" });
    assert.equal(response.status, 404, name);
  }
  await nothingOfAlicesHasChanged();
});
