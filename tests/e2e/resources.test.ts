// Every resource of airlock.toml, and the tests' own resources with every kind of field: rows of users and of
// organisations, through the Worker and without it.

import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { readFile } from "node:fs/promises";
import { after, before, describe, test } from "node:test";

import type { Answer } from "../../client/src/index.ts";
import { checkedDeclaration, declarationFile, type Field, type Resource, toJson } from "../../tools/declaration.ts";
import { everything } from "../resources/everything.ts";
import { members, refused, taken } from "../resources/values.ts";
import { assertApart, isAdopted } from "./adopted.ts";
import { answer, assertOk, assertProblem, flaws, headersOf, open, type Sent, withoutId } from "./http.ts";
import { type Caller, caller, type Stack, startStack, type User } from "./support.ts";

type Body = Record<string, unknown>;

const project = await checkedDeclaration();
const tests = await everything();
const sections = async (file: string | URL): Promise<Record<string, { owner?: unknown }>> =>
  JSON.parse(toJson(await readFile(file, "utf8"))).resources ?? {};
const own = await sections(declarationFile);
const adopted = project.resources.filter(({ name }) => isAdopted(own[name]));
const resources = [...project.resources.filter((resource) => !adopted.includes(resource)), ...tests.resources];

/** Names of resources with a suite already. */
const begun = new Set<string>();

let stack: Stack;
let alice: Caller;
let bob: Caller;
let org = "";
/** Rows of alice that others are served below, by their resources. */
const parents: Record<string, string> = {};

before(async () => {
  const declared = { ...(await sections(new URL("../resources/everything.toml", import.meta.url))), ...own };
  const served = Object.fromEntries([
    ...resources.map(({ name, owner }) => [name, { ...declared[name], owner }]),
    ...adopted.map(({ name }) => [name, own[name]]),
  ]);
  stack = await startStack(
    {},
    { declaration: JSON.stringify({ organizations: project.organizations, resources: served }) },
  );
  await stack.sql(tests.sql);
  alice = caller(stack.url, stack.alice.token);
  bob = caller(stack.url, stack.bob.token);
  if (project.organizations) org = assertOk(await alice("POST", "/v1/orgs", { name: "tests" }), 201).id;
  for (const { under } of resources) if (under) parents[under.resource] ??= await target(under.resource, "");
});
after(() => stack?.stop());

test("the database has a table that can be served for each resource", async () => {
  const names = [...resources, ...adopted].map(({ name }) => name);
  const [{ ready } = { ready: false }] = await stack.sql("select public.airlock_ready(1, $1, $2) as ready", [
    project.organizations,
    names,
  ]);
  assert.equal(ready, true);
});

for (const resource of adopted) {
  test(`${resource.name}: users reach only rows that the policies show`, () =>
    assertApart(resource, stack, alice, bob));
}
for (const resource of resources) {
  if (resource.under)
    describe(`${resource.name} of a row of ${resource.under.resource}`, () =>
      suite(resource, () => collection(resource.name, "")));
  else if (resource.owner !== "org")
    describe(`${resource.name} of a user`, () => suite(resource, () => `/v1/${resource.name}`));
  if (resource.owner !== "user")
    describe(`${resource.name} of an organisation`, () => suite(resource, () => `/v1/orgs/${org}/${resource.name}`));
}

function suite(resource: Resource, path: () => string): void {
  const { fields, name } = resource;
  const required = fields.filter((field) => !field.nullable && field.default === undefined);
  // A field's values are the same for each owner: they are tried once, but for refs.
  const tried = fields.filter(({ kind }) => kind === "ref" || !begun.has(name));
  begun.add(name);

  /** A whole draft: a value for each field that needs one. */
  async function draft(over: Body = {}): Promise<Body> {
    const values = await Promise.all(
      required.map(async (field) => [field.name, field.name in over ? over[field.name] : await goodValue(field)]),
    );
    return { ...Object.fromEntries(values), ...over };
  }
  async function goodValue(field: Field): Promise<unknown> {
    return field.kind === "ref" ? target(field.resource, path()) : taken(field)[0]?.sent;
  }
  const create = async (over: Body = {}) => assertOk(await alice("POST", path(), await draft(over)), 201);
  /** A PATCH that changes a row. */
  async function change(): Promise<Body> {
    for (const field of fields) {
      const [, second] = taken(field);
      if (second) return { [field.name]: second.sent };
    }
    return draft();
  }

  test("a created row has its members in order, its tag and its place", async () => {
    const created = await alice("POST", path(), await draft());
    const row = assertOk(created, 201);
    assert.deepEqual(Object.keys(row), members(fields));
    for (const field of fields.filter((one) => one.default !== undefined))
      assert.deepEqual(row[field.name], field.default, field.name);
    for (const field of fields.filter((one) => one.nullable)) assert.equal(row[field.name], null, field.name);
    assert.equal(row.version, 1);
    for (const member of ["created_at", "updated_at"])
      assert.match(row[member], /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/);
    assert.equal(row.deleted_at, null);
    assert.equal(created.headers.get("etag"), '"1"');
    assert.equal(created.headers.get("location"), `${path()}/${row.id}`);
    assert.deepEqual(assertOk(await alice("GET", `${path()}/${row.id}`), 200), row);
  });

  for (const field of tried) {
    test(`${field.name} takes the values that are declared`, async () => {
      const { id } = await create();
      const values = field.kind === "ref" ? [{ sent: await goodValue(field) }] : taken(field);
      for (const { sent, stored = sent } of [...values, ...(field.nullable ? [{ sent: null }] : [])]) {
        const row = assertOk(await alice("PATCH", `${path()}/${id}`, { [field.name]: sent }), 200);
        assert.deepEqual(row[field.name], stored, JSON.stringify(sent)?.slice(0, 80));
      }
    });

    test(`${field.name} refuses all others, with pointer and code`, async () => {
      const { id } = await create();
      const nulls = field.nullable ? [] : [{ sent: null, code: "type", at: "" }];
      for (const { sent, code, at = "" } of [...refused(field), ...nulls]) {
        const expected = [`/${field.name}${at} ${code}`];
        assert.deepEqual(
          flaws(await alice("PATCH", `${path()}/${id}`, { [field.name]: sent })),
          expected,
          JSON.stringify(sent)?.slice(0, 80),
        );
        assert.deepEqual(flaws(await alice("POST", path(), await draft({ [field.name]: sent }))), expected);
      }
    });

    if (field.kind === "json")
      test(`${field.name} refuses an object that repeats a name at any depth`, async () => {
        const at = `${path()}/${(await create()).id}`;
        for (const object of ['{"a":1,"a":1}', '{"a":1,"\\u0061":2}', '{"x":[{"b":1,"c":{},"b":2}]}']) {
          const body: string = `{"${field.name}":${object}}`;
          assert.deepEqual(flaws(await alice("PATCH", at, undefined, { body })), [`/${field.name} duplicate`], body);
        }
      });
  }

  test("all errors come at once, in the order of the declaration", async () => {
    const wrong = Object.fromEntries([...fields].reverse().map((field) => [field.name, refused(field)[0]?.sent]));
    const expected = fields.map((field) => `/${field.name} ${refused(field)[0]?.code}`);
    const answered = flaws(await alice("POST", path(), { nothing: 1, ...wrong }));
    assert.deepEqual(answered, [...expected, "/nothing unknown"].slice(0, 16));
    assert.deepEqual(
      flaws(await alice("POST", path(), {})),
      required.map((field) => `/${field.name} required`),
    );
    const { id } = await create();
    assert.deepEqual(flaws(await alice("PATCH", `${path()}/${id}`, {})), [" required"]);
    for (const member of ["id", "user_id", "org_id", "version", "created_at", "deleted_at", "published_at"]) {
      assert.deepEqual(flaws(await alice("PATCH", `${path()}/${id}`, { [member]: null })), [`/${member} unknown`]);
    }
  });

  test("PUT creates, replaces and keeps its preconditions", async () => {
    const id = randomUUID();
    const at = `${path()}/${id}`;
    const body = await draft();
    assertProblem(await alice("PUT", at, body, header("If-Match", "*")), "not_found");
    assert.equal(assertOk(await alice("PUT", at, body), 201).version, 1);
    assert.equal(assertOk(await alice("PUT", at, body), 200).version, 2);
    const current = assertProblem(await alice("PUT", at, body, header("If-None-Match", "*")), "version_mismatch")
      .current as Body;
    assert.equal(current.version, 2);
    assertProblem(await alice("PUT", at, body, header("If-Match", '"1"')), "version_mismatch");
    assert.equal(assertOk(await alice("PUT", at, body, header("If-Match", 'W/"2"')), 200).version, 3);
    // bob's reference to alice's row is refused before the taken id is.
    const seen = required.some((field) => field.kind === "ref") ? "validation_failed" : "conflict";
    assertProblem(await bob("PUT", at, body), path().includes("/orgs/") || resource.under ? "not_found" : seen);
  });

  test("PATCH, DELETE and restore keep their preconditions", async () => {
    const { id } = await create();
    const at = `${path()}/${id}`;
    const body = await change();
    assertProblem(await alice("PATCH", at, body, header("If-Match", '"7"')), "version_mismatch");
    assert.equal(assertOk(await alice("PATCH", at, body, header("If-Match", '"1"')), 200).version, 2);
    const read = await alice("GET", at, undefined, header("If-None-Match", '"2"'));
    assert.equal(`${read.status} ${read.body}`, "304 ");
    assertProblem(await alice("DELETE", at, undefined, header("If-Match", '"1"')), "version_mismatch");
    assert.equal((await alice("DELETE", at)).status, 204);
    assert.equal((await alice("DELETE", at)).status, 204);
    assertProblem(await alice("GET", at), "not_found");
    assertProblem(await alice("PATCH", at, body), "not_found");
    assertProblem(await alice("PUT", at, await draft()), "conflict");
    assert.deepEqual(await ids("state=deleted&limit=1"), [id]);
    const restored = assertOk(await alice("POST", `${at}/restore`), 200);
    assert.equal(restored.version, 4);
    assert.deepEqual(assertOk(await alice("POST", `${at}/restore`), 200), restored);
  });

  const ids = async (query: string) =>
    assertOk(await alice("GET", `${path()}?${query}`), 200).data.map((row: { id: string }) => row.id);

  test("pages are in order, without a gap or a repeat", async () => {
    const made: string[] = [];
    for (let i = 0; i < 5; i++) made.unshift((await create()).id);
    const seen: string[] = [];
    let cursor = "";
    while (seen.length < 5) {
      const page = assertOk(await alice("GET", `${path()}?limit=2${cursor}`), 200);
      assert.equal(page.data.length, 2);
      seen.push(...page.data.map((row: { id: string }) => row.id));
      cursor = `&cursor=${page.next_cursor}`;
    }
    const rows = await stack.sql(
      `select id from public.${name} where id = any ($1) order by created_at desc, id desc`,
      [made],
    );
    assert.deepEqual(
      seen.slice(0, 5),
      rows.map((row) => row.id),
    );
    assertProblem(await alice("GET", `${path()}?limit=0`), "validation_failed");
    assertProblem(await alice("GET", `${path()}?color=red`), "validation_failed");
  });

  test("an Idempotency-Key makes one row, by the meaning of its draft", async () => {
    const key = header("Idempotency-Key", randomUUID());
    const body = await draft();
    const first = assertOk(await alice("POST", path(), body, key), 201);
    const spelled = { ...Object.fromEntries(Object.entries(body).reverse()), ...defaults() };
    assert.deepEqual(assertOk(await alice("POST", path(), spelled, key), 201), first);
    assertProblem(await alice("POST", path(), { ...body, ...(await change()) }, key), "idempotency_key_reused");
    assert.equal((await alice("DELETE", `${path()}/${first.id}`)).status, 204);
    assertProblem(await alice("POST", path(), body, key), "conflict");
    assertProblem(await alice("PUT", `${path()}/${randomUUID()}`, body, key), "malformed_request");
  });
  const defaults = () =>
    Object.fromEntries(
      fields.filter((field) => field.default !== undefined).map((field) => [field.name, field.default]),
    );

  test("a copy of a write that was carried out is refused", async () => {
    const { id } = await create();
    const at = `${path()}/${id}`;
    const body = JSON.stringify(await draft());
    const patch = JSON.stringify(await change());
    for (const [method, target, sent] of [
      ["POST", path(), { body }],
      ["PUT", `${path()}/${randomUUID()}`, { body }],
      ["PUT", at, { body }],
      ["PATCH", at, { body: patch }],
      ["DELETE", at, {}],
      ["POST", `${at}/restore`, {}],
    ] as [string, string, Sent][]) {
      const copies = await twice(method, target, { token: stack.alice.token, ...sent });
      assert.ok(copies[0] && copies[0].status < 300, `${method}: ${copies[0]?.body}`);
      assertProblem(copies[1] as Answer, "request_replayed");
    }
  });

  test("another user finds nothing, through the Worker and past it", async () => {
    const row = await create();
    const missing = withoutId(await bob("GET", `${path()}/${randomUUID()}`));
    for (const [method, suffix, body] of [
      ["GET", "", undefined],
      ["PATCH", "", await change()],
      ["DELETE", "", undefined],
      ["POST", "/restore", undefined],
    ] as const) {
      assert.equal(withoutId(await bob(method, `${path()}/${row.id}${suffix}`, body)), missing, method);
    }
    const list = await bob("GET", path());
    if (path().includes("/orgs/") || resource.under) assertProblem(list, "not_found");
    else assert.deepEqual(assertOk(list, 200).data, []);
    for (const user of [stack.bob, null]) assert.deepEqual(await past(user, row.id), []);
    assert.deepEqual(assertOk(await alice("GET", `${path()}/${row.id}`), 200), row);
  });

  /** The rows of this id that a caller of PostgREST reads or changes. */
  async function past(user: User | null, id: string): Promise<unknown[]> {
    const rows: unknown[] = [];
    for (const [method, body] of [["GET"], ["PATCH", { deleted_at: null }], ["DELETE"]] as [string, object?][]) {
      const response = await stack.direct(user, `/${name}?id=eq.${id}${method === "GET" ? "&select=id" : ""}`, {
        method,
        headers: { prefer: "return=representation" },
        ...(body && { body: JSON.stringify(body) }),
      });
      const answered: unknown = await response.json().catch(() => []);
      if (Array.isArray(answered)) rows.push(...answered);
    }
    return rows;
  }

  test("at PostgREST the owner can make only the changes of the Worker", async () => {
    const { id } = await create();
    for (const column of ["user_id", "version", "created_at", "updated_at"]) {
      const response = await stack.direct(stack.alice, `/${name}?id=eq.${id}`, {
        method: "PATCH",
        body: JSON.stringify({ [column]: null }),
      });
      assert.equal(response.status, 403, column);
    }
    assert.equal((await stack.direct(stack.alice, `/${name}?id=eq.${id}`, { method: "DELETE" })).status, 403);
    assert.equal((await alice("GET", `${path()}/${id}`)).status, 200);
  });

  for (const field of fields.filter((one) => one.kind === "ref")) {
    test(`${field.name} refers to a live row that its user sees`, async () => {
      const { id } = await create();
      const gone = await target(field.resource, path());
      assert.equal((await alice("DELETE", `${collection(field.resource, path())}/${gone}`)).status, 204);
      for (const other of [randomUUID(), gone]) {
        assert.deepEqual(flaws(await alice("PATCH", `${path()}/${id}`, { [field.name]: other })), [
          `/${field.name} reference`,
        ]);
      }
    });
  }

  if (resource.under) {
    const { resource: parent, column } = resource.under;
    test("a parent that is missing, deleted, another's or of another row is the same 404", async () => {
      const { id } = await create();
      const body = await draft();
      const rest = path().slice(`/v1/${parent}/${parents[parent]}`.length);
      const deleted = await target(parent, "");
      const there = `/v1/${parent}/${deleted}${rest}`;
      const kept = assertOk(await alice("POST", there, body), 201);
      const other = await target(parent, "");
      assert.equal((await alice("DELETE", `/v1/${parent}/${deleted}`)).status, 204);
      const missing = withoutId(await alice("GET", `/v1/${parent}/${randomUUID()}${rest}`));
      assertProblem(await alice("GET", `/v1/${parent}/${randomUUID()}${rest}`), "not_found");
      const requests: [string, string, Body?][] = [
        ["GET", ""],
        ["PATCH", "", await change()],
        ["DELETE", ""],
        ["POST", "/restore"],
      ];
      for (const [as, base, row] of [
        [alice, there, kept.id],
        [alice, `/v1/${parent}/${randomUUID()}${rest}`, id],
        [bob, path(), id],
      ] as const) {
        assert.equal(withoutId(await as("GET", base)), missing);
        assert.equal(withoutId(await as("POST", base, body)), missing);
        assert.equal(withoutId(await as("PUT", `${base}/${randomUUID()}`, body)), missing);
        for (const [method, suffix, sent] of requests)
          assert.equal(withoutId(await as(method, `${base}/${row}${suffix}`, sent)), missing, method);
      }
      // The row is not found below another parent.
      const wrong = `/v1/${parent}/${other}${rest}`;
      for (const [method, suffix, sent] of requests)
        assert.equal(withoutId(await alice(method, `${wrong}/${id}${suffix}`, sent)), missing, method);
      assertProblem(await alice("PUT", `${wrong}/${id}`, body), "conflict");
      assertProblem(await alice("PUT", `${wrong}/${id}`, body, header("If-Match", "*")), "not_found");
      assert.deepEqual(assertOk(await alice("GET", wrong), 200).data, []);
      assert.equal(assertOk(await alice("GET", `${path()}/${id}`), 200).version, 1);
      for (const target of [`/v1/${name}`, `/v1/${name}/${id}`, `/v1/${parent}/7${rest}`, `/v1/${parent}/me${rest}`])
        assertProblem(await alice("GET", target), "not_found");
    });

    test("only the path sets the parent of a row", async () => {
      const row = await create();
      const value = async () =>
        (await stack.sql(`select ${column} as parent from public.${name} where id = $1`, [row.id]))[0]?.parent;
      assert.equal(await value(), parents[parent]);
      const other = await target(parent, "");
      for (const [method, at] of [
        ["POST", path()],
        ["PUT", `${path()}/${row.id}`],
        ["PATCH", `${path()}/${row.id}`],
      ] as const) {
        assert.deepEqual(flaws(await alice(method, at, { ...(await draft()), [column]: other })), [
          `/${column} unknown`,
        ]);
      }
      const past = await stack.direct(stack.alice, `/${name}?id=eq.${row.id}`, {
        method: "PATCH",
        body: JSON.stringify({ [column]: other }),
      });
      assert.equal(past.status, 403);
      assert.equal(await value(), parents[parent]);
      const foreign = assertOk(await bob("POST", collection(parent, ""), await parentOf(bob)), 201).id;
      for (const [user, id] of [
        [stack.bob, parents[parent]],
        [stack.alice, foreign],
      ] as const) {
        const made = await stack.direct(user, `/${name}`, {
          method: "POST",
          body: JSON.stringify({ ...(await draft()), [column]: id }),
        });
        assert.equal(
          ((await made.json()) as { code: string }).code,
          "23503",
          "past the Worker it is a row that the caller sees",
        );
      }
    });
    const parentOf = async (as: typeof bob) => ({
      title: "of bob",
      thing: assertOk(await as("POST", "/v1/things", { label: "of bob" }), 201).id,
    });

    test("an Idempotency-Key is of one parent", async () => {
      const key = header("Idempotency-Key", randomUUID());
      const body = await draft();
      const first = assertOk(await alice("POST", path(), body, key), 201);
      assert.deepEqual(assertOk(await alice("POST", path(), body, key), 201), first);
      const other = path().replace(parents[parent] ?? "", await target(parent, ""));
      assertProblem(await alice("POST", other, body, key), "idempotency_key_reused");
    });
  }

  for (const embed of resource.embed ?? []) {
    test(`include=${embed.name} adds the named fields of the caller's live rows`, async () => {
      const { id } = await create();
      const added = async (target: string) => (await alice("GET", target)).body;
      const [read, page] = [
        JSON.parse(await added(`${path()}/${id}?include=${embed.name}`)),
        JSON.parse(await added(`${path()}?limit=1&include=${embed.name}`)),
      ];
      assert.deepEqual(page.data, [read]);
      const value = read.included[embed.name];
      if (embed.many) assert.deepEqual(value, { data: [], more: false });
      else if (value !== null) assert.deepEqual(Object.keys(value), embed.fields);
      assertProblem(await bob("GET", `${path()}/${id}?include=${embed.name}`), "not_found");
    });
  }

  if (resource.search.length > 0) {
    test("q finds rows by the words of the searched fields", async () => {
      const [field = ""] = resource.search;
      const { id } = await create({ [field]: "Käse zebra" });
      assert.deepEqual(await ids("q=zebra"), [id]);
      assert.deepEqual(await ids(`q=${encodeURIComponent("ka\u0308se")}`), [id]);
      assert.deepEqual(await ids("q=giraffe"), []);
    });
  }

  if (resource.publish) {
    const publish = resource.publish;
    test("a published row shows the named fields to every app", async () => {
      const row = await create();
      const nobody = caller(stack.url);
      const shown = () => nobody("GET", `/v1/public/${name}/${row.id}`);
      assertProblem({ ...(await shown()) }, "not_found");
      const published = assertOk(await alice("POST", `${path()}/${row.id}/publish`), 200);
      assert.deepEqual(await ids("state=published&limit=1"), [row.id]);
      const answered = await shown();
      assert.equal(answered.headers.get("cache-control"), "public, max-age=60");
      const body = JSON.parse(answered.body);
      assert.deepEqual(Object.keys(body), ["id", ...publish, "version", "published_at", "updated_at"]);
      for (const field of publish) assert.deepEqual(body[field], published[field], field);
      assert.equal((await alice("POST", `${path()}/${row.id}/unpublish`)).status, 200);
      assertProblem(await shown(), "not_found");
    });
  }
}

/** The collection of another resource from which a row of this one may refer. */
function collection(name: string, from: string): string {
  const { owner, under } = resources.find((one) => one.name === name) as Resource;
  if (under) return `${collection(under.resource, from)}/${parents[under.resource]}/${name}`;
  return owner !== "user" && (from.includes("/orgs/") || owner === "org") ? `/v1/orgs/${org}/${name}` : `/v1/${name}`;
}

/** The id of a new row, to refer to. */
async function target(name: string, from: string): Promise<string> {
  const { fields } = resources.find((one) => one.name === name) as Resource;
  const body: Body = {};
  for (const field of fields.filter((one) => !one.nullable && one.default === undefined)) {
    body[field.name] = field.kind === "ref" ? await target(field.resource, from) : taken(field)[0]?.sent;
  }
  return assertOk(await alice("POST", collection(name, from), body), 201).id;
}

function header(name: string, value: string) {
  return { headers: { [name]: value } };
}

/** The answers to one signed request that is sent twice. */
async function twice(method: string, target: string, sent: Sent): Promise<Answer[]> {
  const headers = headersOf(method, target, sent);
  const answers: Answer[] = [];
  for (let i = 0; i < 2; i++) {
    const request = open(stack.url, method, target, headers);
    request.end(sent.body);
    answers.push(await answer(request));
  }
  return answers;
}
