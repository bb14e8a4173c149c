// Tables that were there before Airlock (tests/resources/existing.sql), served unchanged by the Worker, and by
// PostgREST as before.

import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { after, before, beforeEach, describe, test } from "node:test";

import type { Answer } from "../../client/src/index.ts";
import type { Resource } from "../../tools/declaration.ts";
import { assertApart } from "./adopted.ts";
import { startDeclared } from "./declared.ts";
import { assertOk, assertProblem, flaws, type Sent, send } from "./http.ts";
import { type Caller, caller, type Stack, type User } from "./support.ts";

const TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/;

let stack: Stack;
let resources: Resource[];
let alice: Caller;
let bob: Caller;

before(async () => {
  ({ stack, resources, alice, bob } = await startDeclared("existing"));
});
after(() => stack?.stop());
beforeEach(() =>
  stack.sql(
    'delete from public.todos; delete from public.profiles; delete from public."Order Items"; delete from public.comments; delete from public.tasks',
  ),
);

const header = (name: string, value: string) => ({ headers: { [name]: value } });

/** The answers to one signed request that is sent twice. */
async function twice(method: string, target: string, body?: unknown): Promise<Answer[]> {
  const nonce = { "X-App-Nonce": randomUUID().replaceAll("-", "") };
  const time = { "X-App-Timestamp": String(Math.floor(Date.now() / 1000)) };
  const sent: Sent = {
    token: stack.alice.token,
    ...(body !== undefined && { body: JSON.stringify(body) }),
    signed: { nonce: nonce["X-App-Nonce"], timestamp: Number(time["X-App-Timestamp"]) },
  };
  return [await send(stack.url, method, target, sent), await send(stack.url, method, target, sent)];
}

/** PostgREST's answer to the app as it was before: its status and JSON. */
async function direct(
  user: User | null,
  method: string,
  path: string,
  body?: unknown,
  prefer = "return=representation",
) {
  const response = await stack.direct(user, path, {
    method,
    headers: { prefer },
    ...(body !== undefined && { body: JSON.stringify(body) }),
  });
  const text = await response.text();
  return { status: response.status, json: text === "" ? null : JSON.parse(text) };
}

describe("a to-do list with numbers as ids, without versions", () => {
  const create = async (task: string | null, more: object = {}) =>
    assertOk(await alice("POST", "/v1/todos", { task, ...more }), 201);

  test("a row has the fields and the capabilities that are declared, and no tag", async () => {
    const made = await alice("POST", "/v1/todos", { task: "buy some milk" });
    const row = assertOk(made, 201);
    assert.deepEqual(Object.keys(row), ["id", "task", "is_complete", "priority", "due", "words", "created_at"]);
    assert.equal(typeof row.id, "number");
    assert.deepEqual(
      [row.task, row.is_complete, row.priority, row.due, row.words],
      ["buy some milk", false, 5, null, 3],
    );
    assert.match(row.created_at, TIME);
    assert.equal(made.headers.get("etag"), null);
    assert.equal(made.headers.get("location"), `/v1/todos/${row.id}`);
    const read = await alice("GET", `/v1/todos/${row.id}`);
    assert.deepEqual(assertOk(read, 200), row);
    assert.equal(read.headers.get("etag"), null);
    assert.deepEqual(await stack.sql(`select user_id from public.todos where id = ${row.id}`), [
      { user_id: stack.alice.id },
    ]);
  });

  test("null, a default and the database's default are three things", async () => {
    const nothing = await create(null, { is_complete: null, priority: 0 });
    assert.deepEqual([nothing.task, nothing.is_complete, nothing.priority, nothing.words], [null, null, 0, null]);
    const usual = assertOk(await alice("POST", "/v1/todos", {}), 201);
    assert.deepEqual([usual.task, usual.is_complete, usual.priority], [null, false, 5]);
    const replaced = assertOk(await alice("PUT", `/v1/todos/${nothing.id}`, { task: "replaced" }), 200);
    assert.deepEqual(
      [replaced.task, replaced.is_complete, replaced.priority, replaced.created_at],
      ["replaced", false, 5, nothing.created_at],
    );
    const patched = assertOk(await alice("PATCH", `/v1/todos/${nothing.id}`, { is_complete: true }), 200);
    assert.deepEqual(patched, { ...replaced, is_complete: true });
  });

  test("undeclared and read-only fields are unknown in a body", async () => {
    const { id } = await create("task");
    for (const body of [
      { words: 7 },
      { user_id: stack.bob.id },
      { id: 7 },
      { created_at: null },
      { inserted_at: null },
    ]) {
      const [name] = Object.keys(body);
      assert.deepEqual(flaws(await alice("PATCH", `/v1/todos/${id}`, body)), [`/${name} unknown`]);
      assert.deepEqual(flaws(await alice("POST", "/v1/todos", body)), [`/${name} unknown`]);
    }
    assert.deepEqual(flaws(await alice("POST", "/v1/todos", { task: "abc", priority: 11 })), [
      "/task length",
      "/priority range",
    ]);
  });

  test("routes, methods and ids are those of the declaration", async () => {
    const { id } = await create("task");
    const at = `/v1/todos/${id}`;
    assertProblem(await alice("POST", `${at}/restore`), "not_found");
    for (const other of ["0", "01", "-1", "1.0", "9007199254740992", "me", randomUUID()]) {
      assertProblem(await alice("GET", `/v1/todos/${other}`), "not_found");
    }
    assertProblem(await alice("GET", "/v1/todos/9007199254740991"), "not_found");
    assertProblem(await alice("PUT", "/v1/todos/9007199254740991", { task: "never made" }), "not_found");
    for (const method of ["PUT", "PATCH", "DELETE"]) {
      for (const value of ["*", '"1"']) {
        const sent = method === "DELETE" ? undefined : { task: "with If-Match" };
        assertProblem(await alice(method, at, sent, header("If-Match", value)), "malformed_request");
      }
    }
    assertProblem(await alice("PUT", at, { task: "only made" }, header("If-None-Match", "*")), "malformed_request");
    assertProblem(await alice("GET", at, undefined, header("If-None-Match", '"1"')), "malformed_request");
    const cached = await send(stack.url, "GET", at, {
      token: stack.alice.token,
      headers: { "If-None-Match": '"1"' },
      signed: { ifNoneMatch: null },
    });
    assert.equal(assertOk(cached, 200).id, id);
    assert.deepEqual(flaws(await alice("GET", "/v1/todos?state=active")), ["state unknown"]);
    assert.equal((await alice("POST", at, {})).headers.get("allow"), "GET, HEAD, PUT, PATCH, DELETE");
  });

  test("a DELETE deletes for good, and a second one is 404", async () => {
    const { id } = await create("task");
    assertProblem(await bob("DELETE", `/v1/todos/${id}`), "not_found");
    assert.equal((await alice("DELETE", `/v1/todos/${id}`)).status, 204);
    assert.deepEqual(await stack.sql("select from public.todos"), []);
    assertProblem(await alice("DELETE", `/v1/todos/${id}`), "not_found");
  });

  test("only a copy of a request that was carried out is refused as a copy", async () => {
    const { id } = await create("task");
    for (const [method, target, body] of [
      ["POST", "/v1/todos", { task: "made once" }],
      ["PUT", `/v1/todos/${id}`, { task: "replaced once" }],
      ["PATCH", `/v1/todos/${id}`, { priority: 3 }],
      ["DELETE", `/v1/todos/${id}`],
    ] as const) {
      const [first, copy] = (await twice(method, target, body)) as [Answer, Answer];
      assert.ok(first.status < 300, `${method}: ${first.body}`);
      assertProblem(copy, "request_replayed");
    }
    for (const answered of await twice("DELETE", `/v1/todos/${id}`)) assertProblem(answered, "not_found");
    assert.deepEqual(
      (await stack.sql("select task from public.todos")).map(({ task }) => task),
      ["made once"],
    );
  });

  test("an Idempotency-Key makes one row, whose id the database makes", async () => {
    const key = header("Idempotency-Key", randomUUID());
    const body = { task: "make one", due: "2026-01-31" };
    const first = assertOk(await alice("POST", "/v1/todos", body, key), 201);
    assert.deepEqual(assertOk(await alice("POST", "/v1/todos", { ...body, is_complete: false }, key), 201), first);
    assertProblem(await alice("POST", "/v1/todos", { ...body, priority: 5 }, key), "idempotency_key_reused");
    assert.deepEqual(await stack.sql("select target from airlock.idempotency_keys where target <> ''"), [
      { target: String(first.id) },
    ]);
    assert.equal((await alice("DELETE", `/v1/todos/${first.id}`)).status, 204);
    assertProblem(await alice("POST", "/v1/todos", body, key), "conflict");
    // A request that fails keeps no key.
    const taken = await create("taken task");
    const other = header("Idempotency-Key", randomUUID());
    assertProblem(await alice("POST", "/v1/todos", { task: taken.task }, other), "conflict");
    assertOk(await alice("POST", "/v1/todos", { task: "not taken" }, other), 201);
  });

  test("a value that is taken names its field", async () => {
    await create("only once");
    const { errors } = assertProblem(await alice("POST", "/v1/todos", { task: "only once" }), "conflict");
    assert.deepEqual(
      errors?.map(({ pointer, code }) => `${pointer} ${code}`),
      ["/task unique"],
    );
    assertOk(await bob("POST", "/v1/todos", { task: "only once" }), 201);
  });

  test("another user and a request without a user reach no row", async () => {
    const row = await create("task");
    for (const [method, body] of [
      ["GET"],
      ["PATCH", { task: "taken over" }],
      ["PUT", { task: "taken over" }],
      ["DELETE"],
    ] as [string, object?][]) {
      assertProblem(await bob(method, `/v1/todos/${row.id}`, body), "not_found");
      assertProblem(await caller(stack.url)(method, `/v1/todos/${row.id}`, body), "token_missing");
    }
    assert.deepEqual(assertOk(await bob("GET", "/v1/todos"), 200), { data: [], next_cursor: null });
    assert.deepEqual(assertOk(await alice("GET", `/v1/todos/${row.id}`), 200), row);
  });

  /** The tasks of all pages of two rows. */
  async function tasks(query: string): Promise<string[]> {
    const seen: string[] = [];
    for (let cursor = ""; ; ) {
      const page = assertOk(await alice("GET", `/v1/todos?limit=2&${query}${cursor}`), 200);
      seen.push(...page.data.map((row: { task: string }) => row.task));
      if (page.next_cursor === null) return seen;
      cursor = `&cursor=${page.next_cursor}`;
    }
  }

  test("pages go by the declared order and by declared sorts", async () => {
    for (const [place, priority] of [3, 1, 2, 1, 3].entries()) {
      const { id } = await create(`task ${place}`, { priority });
      // Two rows of one time, so that the id decides.
      await stack.sql(
        `update public.todos set inserted_at = timestamptz '2026-01-01' + ${Math.floor(place / 2)} * interval '1 microsecond' where id = ${id}`,
      );
    }
    const of = (...places: number[]) => places.map((place) => `task ${place}`);
    assert.deepEqual(await tasks(""), of(4, 3, 2, 1, 0));
    assert.deepEqual(await tasks("sort=-created"), of(4, 3, 2, 1, 0));
    assert.deepEqual(await tasks("sort=created"), of(0, 1, 2, 3, 4));
    assert.deepEqual(await tasks("sort=priority"), of(1, 3, 2, 0, 4));
    assert.deepEqual(await tasks("sort=-priority"), of(4, 0, 2, 3, 1));
    const { next_cursor: cursor } = assertOk(await alice("GET", "/v1/todos?limit=2&sort=priority"), 200);
    for (const query of [
      `cursor=${cursor}`,
      `sort=-priority&cursor=${cursor}`,
      "cursor=WyJ4Il0",
      `sort=priority&cursor=${cursor}A`,
    ]) {
      assert.deepEqual(flaws(await alice("GET", `/v1/todos?${query}`)), ["cursor value"], query);
    }
    assert.deepEqual(flaws(await alice("GET", "/v1/todos?sort=task")), ["sort value"]);
  });

  test("rows without a value come last in both orders of a sort", async () => {
    for (const [place, due] of ["2026-01-02", null, "2026-01-01", null, "2026-01-02", null, null].entries())
      await create(`task ${place}`, { due });
    const of = (...places: number[]) => places.map((place) => `task ${place}`);
    // Pages of two: one of each order has both kinds of rows, and one begins after a row without a value.
    assert.deepEqual(await tasks("sort=due"), of(2, 0, 4, 1, 3, 5, 6));
    assert.deepEqual(await tasks("sort=-due"), of(4, 0, 2, 6, 5, 3, 1));
    assert.deepEqual(await tasks("sort=due&due.is=null"), of(1, 3, 5, 6));
    assert.deepEqual(await tasks("sort=-due&due.is=not_null"), of(4, 0, 2));
    for (const order of ["due", "-due"]) {
      for (let limit = 1; limit <= 8; limit++) {
        const all = assertOk(await alice("GET", `/v1/todos?sort=${order}`), 200).data;
        const seen: unknown[] = [];
        for (let cursor = ""; ; ) {
          const page = assertOk(await alice("GET", `/v1/todos?sort=${order}&limit=${limit}${cursor}`), 200);
          seen.push(...page.data);
          if (page.next_cursor === null) break;
          cursor = `&cursor=${page.next_cursor}`;
        }
        assert.deepEqual(seen, all, `${order}, ${limit}`);
      }
    }
  });

  test("filters are compared as the type of their column", async () => {
    await create("task one", { priority: 1, due: "2026-01-01" });
    await create("task two", { priority: 2, due: "2026-02-01", is_complete: true });
    await create("task ten", { priority: 10 });
    await create("it's, 100%", { is_complete: null });
    const other = assertOk(await bob("POST", "/v1/todos", { task: "task one" }), 201);
    for (const [query, expected] of [
      ["is_complete.eq=true", ["task two"]],
      ["is_complete.neq=true", ["task ten", "task one"]],
      ["is_complete.is=null", ["it's, 100%"]],
      ["due.is=not_null", ["task two", "task one"]],
      ["due.gte=2026-01-01&due.lt=2026-02-01", ["task one"]],
      ["due.gt=2026-01-01", ["task two"]],
      ["due.lte=2026-02-01&is_complete.eq=false", ["task one"]],
      ["priority.in=1%2C10", ["task ten", "task one"]],
      ["priority.in=7", []],
      ["task.eq=it%27s%2C+100%25", ["it's, 100%"]],
      ["task.eq=task+one%27+or+true--", []],
      ["priority.in=2%2C5&sort=priority", ["task two", "it's, 100%"]],
    ] as const) {
      assert.deepEqual(await tasks(query), expected, query);
    }
    assert.deepEqual(
      flaws(
        await alice(
          "GET",
          "/v1/todos?is_complete.eq=yes&priority.in=1%2Cx&due.gte=tomorrow&task.like=a&inserted_at.gt=a",
        ),
      ).sort(),
      ["due.gte value", "inserted_at.gt unknown", "is_complete.eq value", "priority.in value", "task.like unknown"],
    );
    assert.ok(other.id);
  });

  test("count=exact counts the rows of the filtered list, up to ten thousand", async () => {
    for (const task of ["task one", "task two", "task ten"]) await create(task, { is_complete: task === "task one" });
    await bob("POST", "/v1/todos", { task: "of bob" });
    const counted = async (query: string) => assertOk(await alice("GET", `/v1/todos?limit=1&count=exact${query}`), 200);
    const page = await counted("");
    assert.deepEqual(Object.keys(page), ["data", "next_cursor", "count"]);
    assert.equal(page.count, 3);
    assert.equal((await counted(`&cursor=${page.next_cursor}`)).count, 3);
    assert.equal((await counted("&is_complete.eq=false")).count, 2);
    await stack.sql(
      `insert into public.todos (user_id, task) select '${stack.alice.id}', 'task ' || n from generate_series(1, 10010) n`,
    );
    assert.equal((await counted("")).count, 10_000);
  });

  test("the app's own calls are answered as before", async () => {
    const made = await direct(stack.alice, "POST", "/todos", { task: "the old way", user_id: stack.alice.id });
    assert.equal(made.status, 201);
    const [row] = made.json;
    assert.deepEqual(Object.keys(row), [
      "id",
      "user_id",
      "task",
      "is_complete",
      "priority",
      "due",
      "words",
      "inserted_at",
    ]);
    assert.deepEqual((await direct(stack.alice, "GET", "/todos?select=*&order=id")).json, [row]);
    assert.equal(
      (await direct(stack.alice, "PATCH", `/todos?id=eq.${row.id}`, { is_complete: true })).json[0].is_complete,
      true,
    );
    assert.equal(
      (await direct(stack.bob, "POST", "/todos", { task: "for alice", user_id: stack.alice.id })).status,
      403,
    );
    assert.deepEqual((await direct(stack.bob, "DELETE", `/todos?id=eq.${row.id}`)).json, []);
    assert.deepEqual((await direct(null, "GET", "/todos")).json, []);
    assert.equal(assertOk(await alice("GET", `/v1/todos/${row.id}`), 200).is_complete, true);
    assert.deepEqual((await direct(stack.alice, "DELETE", `/todos?id=eq.${row.id}`)).json.length, 1);
  });
});

describe("profiles, whose id is the user's", () => {
  test("a profile is made, read, replaced and changed as /me", async () => {
    assertProblem(await alice("GET", "/v1/profiles/me"), "not_found");
    assertProblem(await alice("PATCH", "/v1/profiles/me", { username: "alice" }), "not_found");
    const made = await alice("PUT", "/v1/profiles/me", { username: "alice" });
    const row = assertOk(made, 201);
    assert.deepEqual(Object.keys(row), ["id", "username", "full_name", "version", "updated_at"]);
    assert.deepEqual([row.id, row.username, row.full_name], [stack.alice.id, "alice", null]);
    assert.equal(
      row.version,
      String(BigInt(Date.parse(row.updated_at)) * 1000n + BigInt(row.updated_at.slice(23, 26))),
    );
    assert.equal(made.headers.get("etag"), `"${row.version}"`);
    assert.equal(made.headers.get("location"), "/v1/profiles/me");
    const read = await alice("GET", "/v1/profiles/me");
    assert.deepEqual([assertOk(read, 200), read.headers.get("etag")], [row, `"${row.version}"`]);
    assert.equal(
      (await alice("GET", "/v1/profiles/me", undefined, header("If-None-Match", `W/"${row.version}"`))).status,
      304,
    );

    const changed = assertOk(
      await alice("PATCH", "/v1/profiles/me", { full_name: "Alice" }, header("If-Match", `"${row.version}"`)),
      200,
    );
    assert.ok(BigInt(changed.version) > BigInt(row.version));
    const stale = await alice("PATCH", "/v1/profiles/me", { full_name: "A" }, header("If-Match", `"${row.version}"`));
    assert.deepEqual(assertProblem(stale, "version_mismatch").current, changed);
    assert.equal(stale.headers.get("etag"), `"${changed.version}"`);
    assert.equal(assertOk(await alice("PUT", "/v1/profiles/me", { username: "alice" }), 200).full_name, null);
    assertProblem(await alice("PUT", "/v1/profiles/me", {}, header("If-None-Match", "*")), "version_mismatch");
  });

  test("there is no other path to its row", async () => {
    assertOk(await bob("PUT", "/v1/profiles/me", { username: "bob" }), 201);
    assertProblem(await alice("GET", "/v1/profiles/me"), "not_found");
    for (const path of ["/v1/profiles", `/v1/profiles/${stack.bob.id}`, `/v1/profiles/${stack.alice.id}`])
      assertProblem(await alice("GET", path), "not_found");
    assert.equal((await alice("DELETE", "/v1/profiles/me")).headers.get("allow"), "GET, HEAD, PUT, PATCH");
    assertProblem(await caller(stack.url)("GET", "/v1/profiles/me"), "token_missing");
    const { errors } = assertProblem(await alice("PUT", "/v1/profiles/me", { username: "bob" }), "conflict");
    assert.deepEqual(
      errors?.map(({ pointer }) => pointer),
      ["/username"],
    );
  });

  test("copies of the PUT that made it are refused", async () => {
    const [first, copy] = (await twice("PUT", "/v1/profiles/me", { username: "alice" })) as [Answer, Answer];
    assert.equal(first.status, 201);
    assertProblem(copy, "request_replayed");
  });

  test("the app's own upsert is answered as before", async () => {
    const mine = { id: stack.alice.id, username: "alice", updated_at: "2026-01-01T00:00:00+00:00" };
    const upsert = () =>
      direct(stack.alice, "POST", "/profiles", mine, "resolution=merge-duplicates,return=representation");
    assert.equal((await upsert()).status, 201);
    assert.equal(assertOk(await alice("PATCH", "/v1/profiles/me", { full_name: "Alice" }), 200).username, "alice");
    assert.equal((await upsert()).json[0].full_name, "Alice");
    assert.equal((await direct(null, "GET", "/profiles?select=username")).json[0].username, "alice");
  });
});

describe("a table with capitals, spaces and quotes", () => {
  const draft = { label: 'a "label"', price: "2.5" };
  const create = async (more: object = {}) =>
    assertOk(await alice("POST", "/v1/order_items", { ...draft, ...more }), 201);

  test("a row shows its columns under the names of the API", async () => {
    const made = await alice("POST", "/v1/order_items", { ...draft, order: 3 });
    const row = assertOk(made, 201);
    assert.deepEqual(Object.keys(row), [
      "id",
      "label",
      "order",
      "price",
      "total",
      "parent",
      "version",
      "created_at",
      "updated_at",
      "deleted_at",
    ]);
    assert.deepEqual(
      [row.label, row.order, row.price, row.total, row.parent, row.version, row.deleted_at],
      ['a "label"', 3, "2.50", "7.50", null, 0, null],
    );
    assert.ok(Math.abs(Date.parse(row.created_at) - Date.now()) < 600_000, row.created_at);
    assert.equal(made.headers.get("etag"), '"0"');
    const changed = assertOk(
      await alice("PATCH", `/v1/order_items/${row.id}`, { order: 4 }, header("If-Match", '"0"')),
      200,
    );
    assert.deepEqual([changed.version, changed.total, changed.created_at], [1, "10.00", row.created_at]);
    assertProblem(
      await alice("PATCH", `/v1/order_items/${row.id}`, { order: 4 }, header("If-Match", '"0"')),
      "version_mismatch",
    );
    assertProblem(
      await alice("PATCH", `/v1/order_items/${row.id}`, { order: 4 }, header("If-Match", '"-1"')),
      "version_mismatch",
    );
    assert.equal(
      (await alice("GET", `/v1/order_items/${row.id}`, undefined, header("If-None-Match", '"1"'))).status,
      304,
    );
  });

  test("a PUT makes and replaces a row under an id of the client", async () => {
    const at = `/v1/order_items/${randomUUID()}`;
    assert.equal(assertOk(await alice("PUT", at, draft), 201).version, 0);
    assert.equal(assertOk(await alice("PUT", at, { ...draft, order: 2 }), 200).version, 1);
    assertProblem(await bob("PUT", at, draft), "conflict");
    assertProblem(await alice("PUT", `/v1/order_items/${randomUUID()}`, draft, header("If-Match", "*")), "not_found");
  });

  test("a soft delete writes the app's own column, and is undone", async () => {
    const { id } = await create();
    const at = `/v1/order_items/${id}`;
    assert.equal((await alice("DELETE", at)).status, 204);
    assert.equal((await alice("DELETE", at)).status, 204);
    assertProblem(await alice("GET", at), "not_found");
    const listed = async (state: string) =>
      assertOk(await alice("GET", `/v1/order_items?state=${state}`), 200).data.map((row: { id: string }) => row.id);
    assert.deepEqual([await listed("active"), await listed("deleted")], [[], [id]]);
    await stack.sql(
      `update public."Order Items" set "deletedAt" = '2020-01-01'; select airlock.run_job('job:purge-deleted-rows', gen_random_uuid(), 1, 1000)`,
    );
    assert.equal(assertOk(await alice("POST", `${at}/restore`), 200).deleted_at, null);
  });

  test("a unique constraint of two fields is an error for each", async () => {
    await stack.sql(`create unique index order_items_once on public."Order Items" ("the ""label""", "order")`);
    try {
      await create({ order: 77 });
      const taken = assertProblem(await alice("POST", "/v1/order_items", { ...draft, order: 77 }), "conflict");
      assert.deepEqual(
        taken.errors,
        ["/label", "/order"].map((pointer) => ({ pointer, code: "unique", message: "is taken" })),
      );
    } finally {
      await stack.sql("drop index public.order_items_once");
    }
  });

  test("refs, filters and sorts are by the columns", async () => {
    const first = await create({ label: "zebra", order: 1 });
    const second = await create({ label: "a, b", order: 2, parent: first.id });
    assert.equal(second.parent, first.id);
    assert.deepEqual(flaws(await alice("PATCH", `/v1/order_items/${first.id}`, { parent: randomUUID() })), [
      "/parent reference",
    ]);
    const labels = async (query: string) =>
      assertOk(await alice("GET", `/v1/order_items?${query}`), 200).data.map((row: { label: string }) => row.label);
    assert.deepEqual(await labels("order.gte=2"), ["a, b"]);
    assert.deepEqual(await labels("label.in=zebra%2Ca%5C%2C+b&sort=label"), ["a, b", "zebra"]);
    assert.deepEqual(await labels("sort=-updated"), ["a, b", "zebra"]);
    const { next_cursor: cursor } = assertOk(await alice("GET", "/v1/order_items?sort=updated&limit=1"), 200);
    assert.deepEqual(await labels(`sort=updated&limit=1&cursor=${cursor}`), ["a, b"]);
  });

  test("another user reaches no row", async () => {
    const { id } = await create();
    for (const [method, suffix, body] of [
      ["GET", ""],
      ["PATCH", "", { order: 2 }],
      ["DELETE", ""],
      ["POST", "/restore"],
    ] as [string, string, object?][]) {
      assertProblem(await bob(method, `/v1/order_items/${id}${suffix}`, body), "not_found");
    }
    assert.deepEqual((await direct(stack.bob, "GET", `/Order%20Items`)).json, []);
  });
});

describe("tasks, which the members of a team see", () => {
  beforeEach(() =>
    stack.sql(
      `delete from public.members; insert into public.members values (1, '${stack.alice.id}'), (1, '${stack.bob.id}'), (2, '${stack.alice.id}')`,
    ),
  );
  const create = async (team_id: number, title: string) =>
    assertOk(await alice("POST", "/v1/tasks", { team_id, title }), 201);

  test("only the policies decide about reads and changes of a row", async () => {
    const shared = await create(1, "shared");
    const own = await create(2, "of alice");
    assert.deepEqual(Object.keys(shared), ["id", "team_id", "title", "author", "version"]);
    assert.equal(shared.author, stack.alice.id);
    assert.equal(typeof shared.version, "string");
    assert.deepEqual(assertOk(await bob("GET", "/v1/tasks"), 200).data, [shared]);
    assert.deepEqual(assertOk(await alice("GET", "/v1/tasks"), 200).data, [own, shared]);
    assert.deepEqual(assertOk(await alice("GET", "/v1/tasks?team_id.eq=1"), 200).data, [shared]);
    assert.equal(
      assertOk(
        await bob("PATCH", `/v1/tasks/${shared.id}`, { title: "by bob" }, header("If-Match", `"${shared.version}"`)),
        200,
      ).title,
      "by bob",
    );
    assertProblem(await bob("PATCH", `/v1/tasks/${own.id}`, { title: "by bob" }), "not_found");
    assertProblem(await bob("POST", "/v1/tasks", { team_id: 2, title: "by bob" }), "forbidden");
    assertProblem(await bob("PATCH", `/v1/tasks/${shared.id}`, { team_id: 2 }), "forbidden");
    assertProblem(await bob("DELETE", `/v1/tasks/${own.id}`), "not_found");
  });

  test("a DELETE compares the version, and a row that others refer to stays", async () => {
    const { id, version } = await create(1, "referred to");
    const changed = assertOk(await alice("PATCH", `/v1/tasks/${id}`, { title: "changed" }), 200);
    const stale = await alice("DELETE", `/v1/tasks/${id}`, undefined, header("If-Match", `"${version}"`));
    assert.deepEqual(assertProblem(stale, "version_mismatch").current, changed);
    await stack.sql(`insert into public.comments (task_id) values (${id})`);
    assertProblem(await alice("DELETE", `/v1/tasks/${id}`), "conflict");
    await stack.sql("delete from public.comments");
    const [first, copy] = [
      await alice("DELETE", `/v1/tasks/${id}`, undefined, header("If-Match", `"${changed.version}"`)),
      await alice("DELETE", `/v1/tasks/${id}`),
    ];
    assert.equal(first.status, 204);
    assertProblem(copy, "not_found");
  });

  test("a row that the caller may see and not delete is forbidden", async () => {
    const { id } = await create(1, "kept");
    await stack.sql("create policy kept on public.tasks as restrictive for delete using (title <> 'kept')");
    try {
      assertProblem(await alice("DELETE", `/v1/tasks/${id}`), "forbidden");
    } finally {
      await stack.sql("drop policy kept on public.tasks");
    }
    assert.equal((await alice("DELETE", `/v1/tasks/${id}`)).status, 204);
  });

  test("pages without a time go by the id", async () => {
    const ids: number[] = [];
    for (const title of ["a", "b", "c"]) ids.unshift((await create(1, title)).id);
    const first = assertOk(await alice("GET", "/v1/tasks?limit=2"), 200);
    const rest = assertOk(await alice("GET", `/v1/tasks?limit=2&cursor=${first.next_cursor}`), 200);
    assert.deepEqual(
      [...first.data, ...rest.data].map(({ id }) => id),
      ids,
    );
    assert.equal(rest.next_cursor, null);
  });

  test("a time that a member wrote past the Worker leaves the rows readable for the others", async () => {
    const usual = await create(1, "usual");
    for (const changed_at of ["infinity", "-infinity", "294276-12-31", "4713-01-01 BC"]) {
      const written = await direct(stack.bob, "POST", "/tasks", { team_id: 1, title: "odd", changed_at });
      assert.equal(written.status, 201, changed_at);
      const { data } = assertOk(await alice("GET", "/v1/tasks"), 200);
      assert.deepEqual([data.length, data[1]], [2, usual], changed_at);
      const [{ id, version }] = data;
      const read = await alice("GET", `/v1/tasks/${id}`);
      assert.deepEqual([assertOk(read, 200), read.headers.get("etag")], [data[0], `"${version}"`], changed_at);
      const change = await alice("PATCH", `/v1/tasks/${id}`, { title: "mended" }, header("If-Match", `"${version}"`));
      assert.equal(assertOk(change, 200).title, "mended", changed_at);
      assert.equal((await alice("DELETE", `/v1/tasks/${id}`)).status, 204, changed_at);
    }
  });

  test("an id beyond the column's type is 404", async () => {
    assertProblem(await alice("GET", "/v1/tasks/9007199254740991"), "not_found");
    assertProblem(await alice("DELETE", "/v1/tasks/2147483648"), "not_found");
  });

  test("a route that is left out is 405", async () => {
    const { id } = await create(1, "a");
    assertProblem(await alice("PUT", `/v1/tasks/${id}`, { team_id: 1, title: "b" }), "method_not_allowed");
  });
});

describe("rows that are not their reader's own", () => {
  const nobody = (method: string, target: string, body?: unknown) => caller(stack.url)(method, target, body);

  test("a catalogue is read with only the app signature, as anon", async () => {
    const free = { id: 1, name: "free", price: "0.00", opens: "09:00:00" };
    const team = { id: 2, name: "team", price: "9.50", opens: null };
    for (const call of [nobody, alice]) {
      assert.deepEqual(assertOk(await call("GET", "/v1/plans"), 200), { data: [team, free], next_cursor: null });
      assert.deepEqual(assertOk(await call("GET", "/v1/plans/2"), 200), team);
      assert.deepEqual(assertOk(await call("GET", "/v1/plans?price.gte=9.5&sort=price"), 200).data, [team]);
      assert.deepEqual(assertOk(await call("GET", "/v1/plans?opens.lte=09%3A00%3A00"), 200).data, [free]);
      assertProblem(await call("GET", "/v1/plans/3"), "not_found");
      assertProblem(await call("POST", "/v1/plans", { name: "mine", price: "0" }), "method_not_allowed");
      assertProblem(await call("PATCH", "/v1/plans/1", { name: "mine" }), "method_not_allowed");
    }
    const first = assertOk(await nobody("GET", "/v1/plans?limit=1&sort=price"), 200);
    assert.deepEqual(
      assertOk(await nobody("GET", `/v1/plans?limit=1&sort=price&cursor=${first.next_cursor}`), 200).data,
      [team],
    );
    assert.equal((await fetch(`${stack.url}/v1/plans`)).status, 401);
  });

  test("anon reaches by the functions only rows for every app", async () => {
    const page = (resource: string, included?: object[]) =>
      stack.direct(null, "/rpc/airlock_list", {
        method: "POST",
        body: JSON.stringify({
          resource,
          org: null,
          state: "active",
          words: null,
          after: null,
          page_size: 5,
          included: JSON.stringify(included),
        }),
      });
    assert.equal((await page("plans")).status, 200);
    for (const name of ["posts", "todos", "tasks"]) assert.equal((await page(name)).status, 404, name);
    const embedded = (resource: string) => ({ name: "x", resource, many: false, field: "name", fields: ["id"] });
    for (const name of ["posts", "todos", "tasks"])
      assert.equal((await page("plans", [embedded(name)])).status, 404, name);
    assert.equal((await page("plans", Array(9).fill(embedded("plans")))).status, 400);
  });

  test("a feed is read by every user, and written by its author", async () => {
    const post = assertOk(await alice("POST", "/v1/posts", { title: "of alice" }), 201);
    assert.deepEqual(Object.keys(post), ["id", "title", "created_at"]);
    assert.deepEqual(assertOk(await bob("GET", `/v1/posts/${post.id}`), 200), post);
    assertProblem(await bob("PATCH", `/v1/posts/${post.id}`, { title: "of bob" }), "forbidden");
    assertProblem(await nobody("GET", "/v1/posts"), "token_missing");
    assert.equal((await alice("DELETE", `/v1/posts/${post.id}`)).status, 204);
  });

  test("the generic proof holds for both", async () => {
    assertOk(await alice("POST", "/v1/posts", { title: "of alice" }), 201);
    assertOk(await bob("POST", "/v1/posts", { title: "of bob" }), 201);
    for (const resource of resources.filter(({ read }) => read !== null)) {
      await assertApart(resource, stack, alice, bob);
    }
  });
});
