// The audit of a real Postgres server with a project without Airlock: the lints of Splinter, features that the embedded
// database lacks, and a part of the set of schemas. tests/long/foreign.test.ts has all of them.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { exposedSchemas } from "../../tools/evidence/audit.ts";
import { look } from "../../tools/evidence/looks.ts";
import type { Table } from "../../tools/evidence/rows.ts";
import { inside, type Node, parseTree, word } from "../../tools/evidence/tree.ts";
import { type Audited, all, openForeign } from "./support.ts";

let audited: Audited;
before(async () => {
  audited = await openForeign();
});
after(() => audited.close());

const found = (sql: string) =>
  audited.undone(async () => {
    await audited.sql(sql);
    return (await audited.audit([])).findings.map(({ rule, object }) => `${rule}: ${object}`);
  });

test("each schema with grants that is not audited is named, and no other", () =>
  audited.undone(async () => {
    const left = async () => (await audited.audit([])).left;
    const before = await left();
    const table = (name: string, grant: string) =>
      `create schema ${name.split(".")[0]}; create table ${name} (id int); ${grant}`;
    await audited.sql(`
      ${table("vault.secrets", "grant usage on schema vault to anon; grant delete on vault.secrets to anon;")}
      create table vault.closed (id int);
      ${table("supabase_functions.hooks", "grant usage on schema supabase_functions to authenticated; grant select (id) on supabase_functions.hooks to authenticated;")}
      ${table("net.unreachable", "grant select on net.unreachable to anon;")}
      ${table("realtime.messages", "grant usage on schema realtime to anon; grant select on realtime.messages to anon;")}
      ${table("shop.orders", "grant usage on schema shop to anon; grant select on shop.orders to anon;")}
      create schema graphql_public; grant usage on schema graphql_public to anon;
      create function graphql_public.ask() returns int language sql as 'select 1';
      create function graphql_public.closed() returns int language sql as 'select 1';
      revoke execute on function graphql_public.closed() from public;
      create function graphql_public.touch() returns trigger language plpgsql as 'begin return new; end';
    `);
    const open = "open to clients and not audited";
    assert.deepEqual(
      (await left()).filter((line) => !before.includes(line)),
      [
        `schema graphql_public: ${open} (relations: 0, functions: 1)`,
        `schema supabase_functions: ${open} (relations: 1, functions: 0)`,
        `schema vault: ${open} (relations: 1, functions: 0)`,
      ],
    );
  }));

const MEMBER = (name: string) =>
  `create table public.${name} (code int primary key, label text); grant select on public.${name} to anon, authenticated;`;

test("a table of an extension is not for its users to mend", async () => {
  const owned = `create extension citext with schema extensions; ${MEMBER("codes")} alter extension citext add table public.codes;`;
  assert.deepEqual(await found(owned), []);
  assert.ok((await found(MEMBER("codes"))).includes("rls-disabled: public.codes"));
  assert.ok((await found(`${owned} ${MEMBER("zones")}`)).every((one) => one.includes("public.zones")));
});

/** A table with rows of its users, and a function that shows them to everybody. */
const LEAK = `
  create table public.secrets (id int primary key, user_id uuid, body text); alter table public.secrets enable row level security;
  create function public.leak() returns setof text language sql security definer stable set search_path = '' as 'select body from public.secrets';
  revoke execute on function public.leak() from public; grant execute on function public.leak() to authenticated;`;
const ORDINARY =
  "create role ordinary; grant create on schema public to ordinary; grant create on database shop to ordinary;";

test("no other object's name makes a finding a note", async () => {
  const view = `create view public."leak()" as select id from public.secrets where user_id = auth.uid(); grant select on public."leak()" to authenticated;`;
  assert.ok((await found(`${LEAK} ${view}`)).includes("definer-exposed: public.leak()"));
});

test("what a role sets for itself is not what PostgREST is told", async () => {
  const set = `${ORDINARY} create schema theirs authorization ordinary; create table theirs.notes ();
    alter role ordinary set pgrst.db_pre_request = 'public.leak'; alter role ordinary set pgrst.db_schemas = 'public, theirs';`;
  assert.ok((await found(`${LEAK} ${set}`)).includes("definer-exposed: public.leak()"));
  await audited.undone(async () => {
    await audited.sql(set.replace(/alter role ordinary set pgrst.db_pre_request.*?;/, ""));
    assert.deepEqual(await exposedSchemas(audited.sql, ["public"]), ["public"]);
  });
});

test("a role hides no object in an extension of its own", async () => {
  const hidden = await found(`${ORDINARY} set local role ordinary; create extension citext;
    create table public.wide (id int primary key, body text); grant select on public.wide to anon; alter extension citext add table public.wide;
    create function public.deep() returns text language sql security definer as 'select 1::text'; alter extension citext add function public.deep();
    reset role`);
  for (const finding of ["rls-disabled: public.wide", "definer-public: public.deep()"])
    assert.ok(hidden.includes(finding));
});

test("a comment does not ask who the caller is", async () => {
  const findings = await found(`${LEAK} drop function public.leak();
    create schema private; grant usage on schema private to authenticated;
    create function private.all_secrets() returns setof public.secrets language plpgsql security definer set search_path = '' as $$begin
      -- TODO: only those of auth.uid()
      return query select * from public.secrets;
    end$$;
    create function public.list() returns setof public.secrets language sql set search_path = '' as 'select * from private.all_secrets()';
    revoke execute on function public.list(), private.all_secrets() from public, anon;
    grant execute on function public.list(), private.all_secrets() to authenticated;`);
  assert.deepEqual(
    findings.filter((finding) => finding.startsWith("definer-below")),
    ["definer-below: private.all_secrets()"],
  );
});

for (const [what, name] of [
  ["a space that Postgres does not escape", "w\u00a0:rtekind\u00a00\u00a0:relid\u00a0%s"],
  ["a carriage return", "w\r:rtekind\r0\r:relid\r%s"],
] as const)
  test(`a name with ${what} is read as a name`, async () => {
    const query = `exists (with "${name}" as (select 1) select from "${name.replace("%s", "%1$s")}")`;
    const findings = await found(`
      create table public.admins (user_id uuid primary key); alter table public.admins enable row level security;
      create policy own on public.admins for select to authenticated using ((select auth.uid()) = user_id);
      create table public.t (id int primary key, user_id uuid, body text); alter table public.t enable row level security; grant select on public.t to authenticated;
      do $do$ begin execute format($f$create policy p on public.t for select to authenticated using (${query})$f$, 'public.admins'::regclass::oid); end $do$;`);
    assert.ok(findings.includes("policy-true: public.t.p"));
  });

test("a name that begins with a colon is no field", () => {
  const tree = parseTree("{TARGETENTRY :expr {VAR :varno 1} :resno 1 :resname :expr :resjunk false}") as Node;
  assert.deepEqual([inside(tree, "expr").length, word(tree, "resname")], [1, ":expr"]);
});

/** A function that may run anything, as an index, a domain and a view of its database call it. */
const RUNS = `
  create function public.runs() returns text language plpgsql as $$begin perform pg_advisory_lock(1); return 'a'; end$$;
  create function public.hidden() returns text language plpgsql immutable as $$begin return public.runs(); end$$;`;
const ran = async () => (await audited.sql("select from pg_locks where locktype = 'advisory'")).length > 0;

for (const [where, sql] of [
  [
    "a domain in the body of a helper",
    `create domain public.checked as text check (public.runs() is not null);
     create function public.mine() returns boolean language sql stable as 'select auth.uid() is not null and ''{a}''::public.checked[] is not null';
     create table public.t (id int primary key); alter table public.t enable row level security; create policy p on public.t for select to authenticated using (public.mine());`,
  ],
  [
    "what a function of PostgreSQL runs in a domain's CHECK",
    `create domain public.checked as text check (query_to_xml('select public.runs()', true, true, '') is not null);
     create function public.mine() returns boolean language sql stable as 'select auth.uid() is not null and ''{a}''::public.checked[] is not null';
     create table public.t (id int primary key); alter table public.t enable row level security; create policy p on public.t for select to authenticated using (public.mine());`,
  ],
  [
    "the comparison of a range",
    `create function public.compares(int, int) returns int language plpgsql immutable as $$begin perform public.runs(); return $1 - $2; end$$;
     create operator class public.ops for type int using btree as operator 1 <, operator 2 <=, operator 3 =, operator 4 >=, operator 5 >, function 1 public.compares(int, int);
     create type public.span as range (subtype = int, subtype_opclass = public.ops);
     create function public.mine() returns boolean language sql stable as 'select auth.uid() is not null and ''[1,3)''::public.span is not null';
     create table public.t (id int primary key); alter table public.t enable row level security; create policy p on public.t for select to authenticated using (public.mine());`,
  ],
  [
    "the CHECK of a domain that JSON_VALUE returns",
    `create domain public.checked as text check (public.hidden() = 'a');
     create function public.mine() returns boolean language sql stable as 'select auth.uid() is not null and json_value(to_jsonb(1), ''$'' returning public.checked default null on empty) is not null';
     create table public.t (id int primary key); alter table public.t enable row level security; create policy p on public.t for select to authenticated using (public.mine());`,
  ],
  [
    "a view in the place of the registry",
    "create schema airlock; create view airlock.resources as select public.runs() as name, 'pg_aggregate'::regclass as relation, array['a'] as publish where public.runs() = 'a'",
  ],
  [
    "an index of a table in the place of the registry",
    "create schema airlock; create table airlock.resources (name text, relation regclass, publish text[]); create index on airlock.resources (name) where public.hidden() = 'a'",
  ],
  [
    "a view in the place of the list of jobs",
    "create schema cron; create view cron.job as select 1 as jobid, public.runs() as command",
  ],
] as const)
  test(`the audit does not run ${where}`, () =>
    audited.undone(async () => {
      await audited.sql(`${RUNS} ${sql}; select pg_advisory_unlock_all()`);
      await audited.audit([]);
      assert.equal(await ran(), false);
    }));

test("helpers that an ordinary role has put into a schema of Supabase's are read", () =>
  audited.undone(async () => {
    await audited.sql(`create role ordinary; create schema net; grant usage on schema net to authenticated; create table public.t (id uuid primary key, user_id uuid);
      create function net.same(a uuid, b uuid) returns boolean language sql stable as 'select true';
      alter function net.same owner to ordinary; alter table public.t enable row level security;
      create policy p on public.t for select to authenticated using (net.same((select auth.uid()), user_id))`);
    const { findings } = await audited.audit([]);
    assert.ok(findings.some(({ rule, object }) => rule === "policy-true" && object === "public.t.p"));
  }));

test("the SQL of a finding has names as names", () =>
  audited.undone(async () => {
    const name = 'private."f(); drop table public.t; --"()';
    await audited.sql(`create schema private; grant usage on schema private to authenticated; create table private.s (id int);
      create function ${name} returns bigint language sql security definer set search_path = '' as 'select count(*) from private.s';
      create function public.wrapper() returns bigint language sql as 'select ${name}'`);
    const { findings } = await audited.audit([]);
    const mends = findings.filter(({ rule }) => rule === "definer-below").map(({ mend }) => mend.split(" from ")[0]);
    assert.deepEqual(mends, [`revoke execute on function ${name}`]);
  }));

test("no PATCH and no DELETE is sent by a key that REST takes for an option", async (t) => {
  const sent: string[] = [];
  t.mock.method(globalThis, "fetch", async (url: string, { method }: { method: string }) => {
    sent.push(`${method} ${new URL(url).search}`);
    return new Response("[]");
  });
  const [first, second] = ["one", "two"].map((name) => ({ name, role: "authenticated" as const }));
  const table = { schema: "public", relname: "t", name: "public.t", columns: [], granted: {}, policies: {} };
  for (const key of ["id", "limit", "or=(id.gt.0)&id"]) {
    const tables = [{ ...table, key: [key] }] as unknown as Table[];
    await look({ url: "http://localhost", publishableKey: "k" }, tables, first, second, []);
  }
  assert.deepEqual(
    [...new Set(sent.filter((one) => !one.startsWith("GET")))],
    ["PATCH ?id=is.null", "DELETE ?id=is.null"],
  );
});

const T =
  "create table public.t (id uuid primary key, user_id uuid not null, other uuid); create index on public.t (user_id); alter table public.t enable row level security;";
const OWN =
  "create policy own on public.t for select to authenticated using ((select auth.uid()) = user_id); grant select (id, user_id) on public.t to authenticated;";
const DEFINER = "language sql security definer set search_path = '' as 'select id from public.t'";

/** The lints that the catalogue can answer; docs/operations/audit.md says why 0005, 0012 and 0020 are left out. */
const SPLINTER: [lint: string, sql: string, rule: string, object: string][] = [
  [
    "0001 unindexed foreign keys",
    `${T} ${OWN} alter table public.t add foreign key (other) references public.t`,
    "foreign-key-not-indexed",
    "public.t.t_other_fkey",
  ],
  [
    "0002 auth users exposed",
    "create view public.people as select id, email from auth.users; grant select on public.people to anon",
    "view-of-users",
    "public.people",
  ],
  [
    "0003 auth RLS initplan",
    `${T} create policy own on public.t for select to authenticated using (auth.uid() = user_id); grant select (id) on public.t to authenticated`,
    "call-per-row",
    "public.t.own",
  ],
  ["0004 no primary key", "create table public.t (id uuid)", "no-primary-key", "public.t"],
  [
    "0006 multiple permissive policies",
    `${T} ${OWN} create policy two on public.t for select to authenticated using ((select auth.uid()) = id)`,
    "many-policies",
    "public.t",
  ],
  [
    "0007 policy exists, RLS disabled",
    `${T} ${OWN} alter table public.t disable row level security`,
    "rls-disabled",
    "public.t",
  ],
  ["0008 RLS enabled, no policy", `${T} grant select on public.t to authenticated`, "no-policy", "public.t"],
  ["0009 duplicate index", `${T} ${OWN} create index again on public.t (user_id)`, "duplicate-index", "public.t"],
  [
    "0010 security definer view",
    `${T} create view public.v as select id from public.t; grant select on public.v to authenticated`,
    "view-definer",
    "public.v",
  ],
  [
    "0011 function search path mutable",
    "create function public.f() returns int language sql as 'select 1'",
    "function-search-path",
    "public.f()",
  ],
  [
    "0013 RLS disabled in public",
    "create table public.t (id uuid primary key); grant select on public.t to anon",
    "rls-disabled",
    "public.t",
  ],
  ["0014 extension in public", "create extension citext with schema public", "extension-exposed", "citext"],
  [
    "0015 RLS references user metadata",
    `${T} create policy p on public.t for select to authenticated using ((select auth.jwt()) -> 'user_metadata' ->> 'role' = 'admin'); grant select (id) on public.t to authenticated`,
    "user-metadata",
    "public.t.p",
  ],
  [
    "0016 materialized view in API",
    `${T} create materialized view public.m as select id from public.t; grant select on public.m to anon`,
    "materialized-view",
    "public.m",
  ],
  [
    "0017 foreign table in API",
    "create foreign data wrapper w; create server s foreign data wrapper w; create foreign table public.f (id int) server s; grant select on public.f to anon",
    "foreign-table",
    "public.f",
  ],
  [
    "0018 unsupported reg types",
    "create table public.t (id uuid primary key, kind regproc)",
    "unsupported-type",
    "public.t.kind",
  ],
  [
    "0019 insecure queue exposed",
    "create schema pgmq; create table pgmq.q_jobs (id int); grant usage on schema pgmq to authenticated; grant select on pgmq.q_jobs to authenticated",
    "queue-exposed",
    "pgmq.q_jobs",
  ],
  [
    "0021 foreign key to auth unique",
    "alter table auth.users add unique (email); create table public.t (id uuid primary key, email text references auth.users (email))",
    "users-key-not-unique",
    "public.t.t_email_fkey",
  ],
  [
    "0022 extension versions outdated",
    "create extension citext with schema extensions version '1.4'",
    "extension-outdated",
    "citext",
  ],
  [
    "0023 sensitive columns exposed",
    "create table public.t (id uuid primary key, password text); grant select on public.t to anon",
    "sensitive-column",
    "public.t.password",
  ],
  [
    "0024 permissive RLS policy",
    `${T} create policy p on public.t for insert to authenticated with check (true); grant insert (id) on public.t to authenticated`,
    "policy-true",
    "public.t.p",
  ],
  [
    "0025 public bucket allows listing",
    "create schema storage; create table storage.objects (id uuid primary key, bucket_id text); alter table storage.objects enable row level security; create policy p on storage.objects for select to anon using (bucket_id = 'avatars')",
    "policy-public",
    "storage.objects.p",
  ],
  [
    "0026 table visible to anon in GraphQL",
    `${T} grant select on public.t to anon`,
    "anon-grant",
    "SELECT on public.t",
  ],
  [
    "0027 table visible to authenticated in GraphQL",
    `${T} ${OWN} grant select on public.t to authenticated`,
    "grant-whole-select",
    "public.t",
  ],
  [
    "0028 definer function executable by anon",
    `${T} create function public.f() returns setof uuid ${DEFINER}`,
    "definer-public",
    "public.f()",
  ],
  [
    "0029 definer function executable by authenticated",
    `${T} create function public.f() returns setof uuid ${DEFINER}; revoke execute on function public.f() from public; grant execute on function public.f() to authenticated`,
    "definer-exposed",
    "public.f()",
  ],
];
for (const [lint, sql, rule, object] of SPLINTER) {
  test(`Splinter's ${lint}: ${rule}`, () =>
    audited.undone(async () => {
      await audited.sql(sql);
      const found = all(await audited.audit([]));
      assert.ok(
        found.some((one) => one.rule === rule && one.object === object),
        found.map(({ rule, object }) => `${rule}: ${object}`).join("\n"),
      );
    }));
}
