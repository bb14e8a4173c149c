// Smuggling: a client can write only title and body of a row, and only the token decides its owner.

import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { before, test } from "node:test";

import { assertOk, assertProblem } from "./http.ts";
import { stackOfFile } from "./support.ts";

const QUERIES = [
  "user_id=eq.x",
  "columns=title,user_id",
  "on_conflict=id",
  "select=*",
  "or=(id.not.is.null)",
  "title=t",
];

const { stack, alice } = await stackOfFile();
let note: string;
let table: unknown;

before(async () => {
  note = `/v1/notes/${assertOk(await alice("POST", "/v1/notes", { title: "mine", body: "b" }), 201).id}`;
  table = await rows();
});

const rows = () => stack.sql("select *, xmin::text from public.notes order by id");

/** Every way to write a note. */
const WAYS = () =>
  [
    ["POST", "/v1/notes"],
    ["PUT", note],
    ["PUT", `/v1/notes/${randomUUID()}`],
    ["PATCH", note],
  ] as const;

/** Every write refuses this body and writes nothing. */
async function refused(body: string, ...errors: string[]): Promise<void> {
  for (const [method, target] of WAYS()) {
    const problem = assertProblem(await alice(method, target, undefined, { body }), "validation_failed");
    assert.deepEqual(
      problem.errors?.map(({ pointer, code }) => `${pointer} ${code}`),
      errors,
      `${method} ${body}`,
    );
  }
  assert.deepEqual(await rows(), table);
}

test("members other than title and body are refused in any spelling", async () => {
  const smuggled: Record<string, unknown[]> = {
    user_id: [stack.bob.id, stack.alice.id, null],
    id: [randomUUID(), null],
    version: [1, 99, -1, "1"],
    created_at: ["2000-01-01T00:00:00Z", "infinity"],
    updated_at: ["2000-01-01T00:00:00Z"],
    deleted_at: ["now", null, "2000-01-01T00:00:00Z"],
    sub: [stack.bob.id],
    role: ["service_role"],
    __proto__: [{ user_id: "x" }],
    constructor: [{}],
    xmin: [1],
    ctid: ["(0,1)"],
  };
  for (const name of [
    "Title",
    "TITLE",
    "title ",
    " title",
    "titl\u0435",
    "title\u200b",
    "body[]",
    "body.x",
    "notes.user_id",
    "user_id::text",
    "*",
    "",
  ])
    smuggled[name] = ["x"];
  let count = 0;
  // Not Object.entries of a literal with __proto__: that one would be its prototype.
  for (const name of [...new Set([...Object.keys(smuggled), "__proto__"])]) {
    for (const value of Array.isArray(smuggled[name]) ? smuggled[name] : [{ user_id: "x" }]) {
      const member = `${JSON.stringify(name)}:${JSON.stringify(value)}`;
      // Before and after the other members.
      await refused(count++ % 2 ? `{"title":"t",${member}}` : `{${member},"title":"t","body":"b"}`, `/${name} unknown`);
    }
  }
  assert.ok(count > 30, `${count} members`);
});

test("escaped names are decoded", async () => {
  await refused(`{"title":"t","\\u0075ser_id":"${stack.bob.id}"}`, "/user_id unknown");
  await refused('{"title":"t","\\u0069\\u0064":"x","vers\\u0069on":9}', "/id unknown", "/version unknown");
});

test("a title or body that is not a string is refused", async () => {
  for (const value of ["null", "1", "true", "[]", '["t"]', "{}", `{"user_id":"${stack.bob.id}"}`, '{"title":"t"}']) {
    await refused(`{"title":${value}}`, "/title type");
    await refused(`{"title":"t","body":${value}}`, "/body type");
  }
});

test("a list of notes is refused", async () => {
  for (const body of ["[]", '[{"title":"t"}]', '[{"title":"a"},{"title":"b"}]', '"t"', "1", "null", "[[]]"])
    await refused(body, " type");
});

test("a note as the Worker shows it is refused as a body", async () => {
  const current = assertOk(await alice("GET", note), 200);
  await refused(
    JSON.stringify(current),
    "/id unknown",
    "/version unknown",
    "/created_at unknown",
    "/updated_at unknown",
    "/deleted_at unknown",
  );
});

test("no parameter or header reaches PostgREST", async () => {
  for (const query of QUERIES) {
    for (const [method, target] of WAYS())
      assertProblem(
        await alice(method, `${target}?${query.replaceAll(/[^\w.=-]/g, (c) => `%${c.charCodeAt(0).toString(16)}`)}`, {
          title: "t",
        }),
        "validation_failed",
      );
  }
  assert.deepEqual(await rows(), table);
  const headers = {
    Prefer: "resolution=merge-duplicates, missing=default, tx=rollback",
    "Content-Profile": "auth",
    "Accept-Profile": "auth",
    "X-User-Id": stack.bob.id,
    apikey: "x",
  };
  const { id } = assertOk(await alice("POST", "/v1/notes", { title: "plain" }, { headers }), 201);
  const [row] = await stack.sql("select user_id, version, deleted_at from public.notes where id = $1", [id]);
  assert.deepEqual(row, { user_id: stack.alice.id, version: 1, deleted_at: null });
});
