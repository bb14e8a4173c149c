// The audit of a real Postgres server with a project that does not use Airlock: a part of the set of schemas, and what the
// embedded database cannot have. tests/long/foreign.test.ts has all schemas.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { testSet } from "./set.ts";
import { type Audited, openForeign } from "./support.ts";

let audited: Audited;
before(async () => {
  audited = await openForeign();
});
after(() => audited.close());

const found = (sql: string) =>
  audited.undone(async () => {
    await audited.sql(sql);
    return (await audited.look([])).findings.map(({ rule, object }) => `${rule}: ${object}`);
  });

const MEMBER = (name: string) => `create table public.${name} (code int primary key, label text); grant select on public.${name} to anon, authenticated;`;

test("a table of an extension is not for its users to mend", async () => {
  const owned = `create extension citext with schema extensions; ${MEMBER("codes")} alter extension citext add table public.codes;`;
  assert.deepEqual(await found(owned), []);
  assert.ok((await found(MEMBER("codes"))).includes("rls-disabled: public.codes"));
  assert.ok((await found(`${owned} ${MEMBER("zones")}`)).every((one) => one.includes("public.zones")));
});

testSet(20, openForeign, []);
