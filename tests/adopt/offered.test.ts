// The routes that adopt offers are those that grants and policies allow, and it warns of open tables that it leaves
// out.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { type Decision, decide, NO_OPTIONS } from "../../tools/adopt/decide.ts";
import { decideDeclarable } from "../../tools/adopt/grammar.ts";
import { sectionText } from "../../tools/adopt/toml.ts";
import { check, toJson } from "../../tools/declaration.ts";
import { type Embedded, openEmbedded, schemaOf } from "./support.ts";

let embedded: Embedded;
before(async () => {
  embedded = await openEmbedded();
});
after(() => embedded.close());

async function decisionOf(name: string, sql: string): Promise<Decision> {
  const found = decide(await embedded.catalogueOf(sql)).find(({ table }) => table === `public.${name}`);
  assert.ok(found, name);
  return found;
}

const OWN = "((select auth.uid()) = user_id)";
const table = (
  id: string,
  columns: string,
  after = "",
  policy = `create policy own on things for all to authenticated using ${OWN} with check ${OWN};`,
) =>
  `create table things (${id}, user_id uuid not null default auth.uid(), ${columns}); alter table things enable row level security; ${policy} ${after}`;
const UUID = "id uuid primary key default gen_random_uuid()";
const SERIAL = "id bigserial primary key";
const granted = (insert: string, update = "label") =>
  `revoke all on things from authenticated; grant select, delete on things to authenticated; grant insert (${insert}), update (${update}) on things to authenticated;`;
const ALL = ["list", "read", "create", "put", "patch", "delete"];
const NO_NEW = ["list", "read", "patch", "delete"];

const OFFERED: [what: string, sql: string, routes: string[], warning?: RegExp][] = [
  ["all is granted", table(UUID, "label text"), ALL],
  ["the columns are granted one by one", table(UUID, "label text", granted("id, label")), ALL],
  [
    "the id may not be inserted",
    table(UUID, "label text", granted("label")),
    NO_NEW,
    /^no new rows through the Worker: authenticated may not insert id$/,
  ],
  [
    "the id is generated",
    table("id uuid generated always as (md5(label)::uuid) stored primary key", "label text not null"),
    NO_NEW,
    /^no new rows through the Worker: authenticated may not insert id$/,
  ],
  ["a bigint id may not be inserted, which the database makes", table(SERIAL, "label text", granted("label")), ALL],
  [
    "the id's sequence may not be used",
    table(SERIAL, "label text", "revoke all on sequence things_id_seq from public, anon, authenticated;"),
    ["list", "read", "put", "patch", "delete"],
    /^no new rows through the Worker: nothing gives id a value$/,
  ],
  [
    "a required column may not be inserted",
    table(UUID, "label text, kind text not null", granted("id, label", "label, kind")),
    NO_NEW,
    /^no new rows through the Worker: a row needs kind \(read-only\)$/,
  ],
  [
    "a column with a default may not be inserted",
    table(UUID, "label text, kind text not null default 'a'", granted("id, label", "label, kind")),
    ALL,
  ],
  [
    "a version that nothing begins",
    table(
      UUID,
      "label text, version integer not null",
      "create function count_up() returns trigger language plpgsql as $$ begin new.version := old.version + 1; return new; end $$; create trigger count_up before update on things for each row execute function count_up();",
    ),
    NO_NEW,
    /^no new rows through the Worker: a row needs version/,
  ],
  [
    "a restrictive policy refuses all new rows",
    table(
      UUID,
      "label text",
      "create policy closed on things as restrictive for insert to authenticated with check (false);",
    ),
    NO_NEW,
  ],
  [
    "no row passes the check of updates",
    table(
      UUID,
      "label text",
      "",
      `create policy s on things for select to authenticated using ${OWN}; create policy i on things for insert to authenticated with check ${OWN}; create policy u on things for update to authenticated using ${OWN} with check (false);`,
    ),
    ["list", "read", "create"],
  ],
];
for (const [what, sql, routes, warning] of OFFERED) {
  test(`routes where ${what}`, async () => {
    const { section, warnings } = await decisionOf("things", sql);
    assert.deepEqual(section?.offered, routes);
    if (warning)
      assert.ok(
        warnings.some((one) => warning.test(one)),
        warnings.join("\n"),
      );
  });
}

test("an owner's column that may not be inserted is named", async () => {
  const sql = table(UUID, "label text", granted("id, label")).replace(" default auth.uid()", "");
  const { section, warnings } = await decisionOf("things", sql);
  assert.deepEqual(section?.offered, NO_NEW);
  assert.ok(
    warnings.some((one) => /^no new rows through the Worker: authenticated may not insert user_id, /.test(one)),
    warnings.join("\n"),
  );
});

test("rows that every app reads have only fields that anon may read", async () => {
  const feed = (grant: string) =>
    `create table things (id uuid primary key, label text, created_at timestamptz not null default now()); alter table things enable row level security;
     create policy feed on things for select to anon, authenticated using (true); revoke all on things from anon; grant select (${grant}) on things to anon;`;
  const options = { ...NO_OPTIONS, read: new Map([["public.things", "app" as const]]) };
  const served = async (grant: string) =>
    decide(await embedded.catalogueOf(feed(grant)), options).find(({ table }) => table === "public.things");
  assert.equal((await served("id, label, created_at"))?.section?.created, "created_at");
  assert.equal((await served("id, label"))?.section?.created, null);
  assert.match((await served("label, created_at"))?.out ?? "", /^anon may not read id\. SQL: grant select /);
});

const LEFT_OUT: [what: string, sql: string, warning: RegExp | undefined][] = [
  [
    "a table without a key and with grants of columns alone",
    "create table things (label text); revoke all on things from anon, authenticated; grant select (label) on things to authenticated;",
    /^row level security is off: every signed-in user reaches all rows\. SQL: alter table public\.things enable row level security;/,
  ],
  [
    "a table without a key that anon alone reads",
    "create table things (label text); revoke all on things from anon, authenticated; grant select (label) on things to anon;",
    /^row level security is off/,
  ],
  [
    "a table without a key and without grants",
    "create table things (label text); revoke all on things from anon, authenticated;",
    undefined,
  ],
  [
    "a view with its owner's rights",
    "create view things as select 1 as label;",
    /SQL: alter view public\.things set \(security_invoker = true\);$/,
  ],
  ["a view with its caller's rights", "create view things with (security_invoker) as select 1 as label;", undefined],
  [
    "a materialized view",
    "create materialized view things as select 1 as label;",
    /^row level security is off, and it can have none: .*SQL: revoke all on public\.things from anon, authenticated;$/,
  ],
];
for (const [what, sql, warning] of LEFT_OUT) {
  test(`${warning ? "a warning" : "no warning"} for ${what}`, async () => {
    const { out, warnings } = await decisionOf("things", sql);
    assert.ok(out);
    if (warning) assert.match(warnings.join("\n"), warning);
    else assert.deepEqual(warnings, []);
  });
}

test("a table with only column grants stops while Row Level Security is off", async () => {
  const { stops } = await decisionOf(
    "things",
    `${table(UUID, "label text", granted("label"))} alter table things disable row level security;`,
  );
  assert.match(stops[0]?.what ?? "", /^row level security is off/);
});

test("each line that adopt proposes in a comment can be uncommented", async () => {
  for (const name of ["teams", "blog", "fitness"]) {
    const decisions = await decideDeclarable(await embedded.catalogueOf(await schemaOf(name)), NO_OPTIONS, []);
    const toml = decisions.flatMap(({ section }) => (section ? [sectionText(section)] : [])).join("\n\n");
    const proposed = [...toml.matchAll(/^# (?:under|embed) = .*$/gm)].map(([line]) => line);
    assert.ok(proposed.length > 1, name);
    for (const line of proposed) {
      const [, field = ""] = /; then (\w+ = .*)$/.exec(line) ?? [];
      const [name = ""] = field.split(" ");
      const [before = "", after = ""] = toml.split(line);
      const taken = name === "" ? after : after.replace(new RegExp(`^${name} = .*$`, "m"), field);
      await check(toJson(before + line.slice(2) + taken));
    }
  }
});
