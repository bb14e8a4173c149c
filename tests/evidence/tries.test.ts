// Tries over REST find flaws that the rules over the catalogue cannot see.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { readAccepted } from "../../tools/evidence/audit.ts";
import { type Embedded, signIn, startEmbedded } from "../../tools/evidence/embedded.ts";
import { look } from "../../tools/evidence/looks.ts";
import { readTables } from "../../tools/evidence/rows.ts";
import { type Caller, findingsOf, notTried, tryAll, VERBS } from "../../tools/evidence/tries.ts";
import { baseline, notesMigration } from "../support/notes.ts";

const ANON: Caller = { name: "anon", role: "anon" };
const accepted = await readAccepted("supabase/evidence.json");

let embedded: Embedded;
let alice: Caller & { id: string };
let bob: Caller & { id: string };
before(async () => {
  embedded = await startEmbedded({ baseline });
  await sql(await notesMigration());
  alice = await signIn(embedded.rest, "alice@example.com", "airlock-dev-password");
  bob = await signIn(embedded.rest, "bob@example.com", "airlock-dev-password");
  // The API reads the schema at the first REST request, so these exist before. Tests grant rights on them.
  await sql(`
    create table public.things (id uuid primary key default gen_random_uuid(), user_id uuid not null references auth.users (id), title text not null default '');
    alter table public.things enable row level security;
    create view public.all_things as select * from public.things;
    create table public.base (id uuid primary key, user_id uuid not null); alter table public.base enable row level security;
    create table public.child (extra text, primary key (id)) inherits (public.base); alter table public.child enable row level security;
    create table public.events (user_id uuid not null, at date not null, primary key (user_id, at)) partition by range (at); alter table public.events enable row level security;
    create table public.events_1 partition of public.events for values from ('2031-11-01') to ('2031-12-01');
    create function public.dump() returns setof public.notes language sql security definer set search_path = '' as 'select * from public.notes';
    revoke execute on function public.dump() from public;
  `);
});
after(() => embedded.stop());

const sql = (text: string, parameters?: unknown[]) => embedded.supabase.sql(text, parameters);
const tryTables = (only?: string) => tryAll(sql, embedded.rest, ["public"], alice.id, [ANON, bob], accepted, only);

test("anon and a second user reach nothing, in any table or function", async () => {
  const tried = await tryTables();
  assert.deepEqual([...findingsOf(tried), ...notTried(tried)], []);
  const tables = await sql(
    "select 'public.' || relname as name from pg_class where relnamespace = 'public'::regnamespace and relkind in ('r', 'p', 'v') and not relispartition",
  );
  for (const { name } of tables) {
    for (const caller of [ANON, bob]) {
      const verbs = tried.filter(({ object, as }) => object === name && as === caller.name).map(({ verb }) => verb);
      assert.deepEqual(
        verbs,
        VERBS.filter((verb) => verb !== "call"),
        String(name),
      );
    }
  }
  assert.ok(
    tried.some(({ object, outcome }) => object === "public.notes" && outcome === "own row"),
    "bob makes a note of his own",
  );

  const functions = await sql(
    "select 'public.' || proname || '()' as name from pg_proc where pronamespace = 'public'::regnamespace and proname like 'airlock_%'",
  );
  assert.ok(functions.length >= 7);
  for (const { name } of functions) {
    const calls = tried.filter(({ object }) => object === name);
    assert.deepEqual(
      calls.map(({ as, verb }) => `${as} ${verb}`),
      ["anon call", "bob@example.com call"],
      String(name),
    );
    const expected: Record<string, string> = {
      "public.airlock_published()": "open on purpose",
      "public.airlock_ready()": "nothing",
      // Granted to anon for resources that every app reads; there is none here.
      "public.airlock_list()": "nothing",
      "public.airlock_read()": "nothing",
    };
    assert.equal(calls[0]?.outcome, expected[String(name)] ?? "denied", String(name));
  }
  for (const name of ["airlock_create", "airlock_org_create"]) {
    assert.equal(
      tried.find(({ object, as }) => object === `public.${name}()` && as === bob.name)?.outcome,
      "own row",
      name,
    );
  }
  for (const table of [
    "public.notes",
    "airlock.organizations",
    "airlock.members",
    "airlock.invitations",
    "airlock.idempotency_keys",
  ]) {
    assert.deepEqual(await sql(`select 1 from ${table}`), [], table);
  }
});

/** Applies a flaw to `things` while `work` runs. */
async function opened(flaw: string, work: () => Promise<void>): Promise<void> {
  await sql(flaw);
  try {
    await work();
  } finally {
    await sql(`
      do $$ declare one name; begin
        for one in select polname from pg_policy where polrelid = 'public.things'::regclass loop execute format('drop policy %I on public.things', one); end loop;
      end $$;
      revoke all on public.things, public.all_things from anon, authenticated;
      revoke execute on function public.dump() from authenticated;
      alter table public.things enable row level security;
      alter table public.things drop constraint if exists odd;
      delete from public.things;
    `);
  }
}

const policies = (using: string, check = using) => `
  create policy things_select on public.things for select to authenticated using (${using});
  create policy things_insert on public.things for insert to authenticated with check (${check});
  create policy things_update on public.things for update to authenticated using (${using}) with check (${check});
  create policy things_delete on public.things for delete to authenticated using (${using});
`;
const GRANT = "grant select, insert, update, delete on public.things to authenticated;";
const OWN = "(select auth.uid()) = user_id";

for (const [name, flaw, reached] of [
  [
    "row level security that is off",
    `${GRANT} alter table public.things disable row level security`,
    ["select", "insert", "upsert", "update", "delete"],
  ],
  [
    "policies for any user",
    GRANT + policies("(select auth.uid()) is not null"),
    ["select", "insert", "upsert", "update", "delete"],
  ],
  // No rule about policies sees this: the policy depends on the caller and admits everybody.
  [
    "a policy that gets it wrong",
    GRANT + policies("(select auth.uid()) <> user_id"),
    ["select", "insert", "upsert", "update", "delete"],
  ],
  ["an insert in another's name", GRANT + policies(OWN, "(select auth.uid()) is not null"), ["insert"]],
  ["a view that reads as its owner", "grant select on public.all_things to authenticated", []],
] as const) {
  test(`${name} is found by trying`, () =>
    opened(flaw, async () => {
      const findings = findingsOf([...(await tryTables("public.things")), ...(await tryTables("public.all_things"))]);
      const expected =
        reached.length > 0
          ? reached.map((verb) => [`tried-${verb}`, "public.things"])
          : [["tried-select", "public.all_things"]];
      assert.deepEqual(
        findings.map(({ rule, object }) => [rule, object]),
        expected,
        JSON.stringify(findings, null, 2),
      );
      for (const { what, why, mend } of findings)
        assert.ok(what.startsWith("as ") && why.length > 40 && mend.startsWith("--"));
      assert.deepEqual(await sql("select id from public.things"), [], "what was reached is put back");
    }));
}

test("rows that are open to anon are still a finding for other roles", () =>
  opened(
    `grant select on public.things to anon; create policy things_open on public.things for select to anon using (true); ${GRANT} ${policies("(select auth.uid()) <> user_id")}`,
    async () => {
      const open = { rule: "policy-true", object: "public.things.things_open", why: "A test's." };
      const tried = await tryAll(
        sql,
        embedded.rest,
        ["public"],
        alice.id,
        [ANON, bob],
        [...accepted, open],
        "public.things",
      );
      const selects = tried.filter(({ verb }) => verb === "select").map(({ as, outcome }) => [as, outcome]);
      assert.deepEqual(selects, [
        ["anon", "open on purpose"],
        ["bob@example.com", "reached"],
      ]);
    },
  ));

test("a policy that shows published or deleted rows to any user is found", async () => {
  for (const column of ["published_at", "deleted_at"]) {
    await sql(
      `create policy flaw on public.notes for select to authenticated using (${column} is not null and (select auth.uid()) is not null)`,
    );
    try {
      const findings = findingsOf(await tryTables("public.notes"));
      assert.deepEqual(
        findings.map(({ rule, what }) => [rule, what.slice(0, 18)]),
        [["tried-select", "as bob@example.com"]],
        column,
      );
    } finally {
      await sql("drop policy flaw on public.notes");
    }
  }
});

test("a function that gives out another's rows is found by trying", () =>
  opened("grant execute on function public.dump() to authenticated", async () => {
    assert.deepEqual(
      findingsOf(await tryTables("public.dump()")).map(({ rule, object }) => `${rule} ${object}`),
      ["tried-call public.dump()"],
    );
  }));

test("a wrong policy on a table behind the functions is found by trying them", async () => {
  const reached = async (table: string, flaw: string, name: string) => {
    await sql(`create policy flaw on ${table} for ${flaw}`);
    try {
      return findingsOf(await tryTables(`public.${name}()`)).map(({ rule, what }) => `${rule} ${what.slice(0, 18)}`);
    } finally {
      await sql(`drop policy flaw on ${table}`);
    }
  };
  const asBob = ["tried-call as bob@example.com"];
  assert.deepEqual(await reached("airlock.members", "select to authenticated using (true)", "airlock_member"), asBob);
  assert.deepEqual(await reached("airlock.organizations", "select to authenticated using (true)", "airlock_orgs"), []);
  assert.deepEqual(await reached("public.notes", "select to authenticated using (true)", "airlock_read"), []);
  await sql(
    "alter function airlock.require_member(uuid) rename to required; create function airlock.require_member(org uuid) returns void language sql as ''; grant execute on function airlock.require_member(uuid) to authenticated",
  );
  try {
    assert.deepEqual(await reached("public.notes", "select to authenticated using (true)", "airlock_list"), asBob);
    assert.deepEqual(
      await reached("public.notes", "all to authenticated using (true) with check (true)", "airlock_change"),
      asBob,
    );
  } finally {
    await sql(
      "drop function airlock.require_member(uuid); alter function airlock.required(uuid) rename to require_member",
    );
  }
});

test("a function that shows anon an unpublished row is found by trying", async () => {
  const [{ source } = {}] = await sql(
    "select pg_get_functiondef('public.airlock_published(text, text)'::regprocedure) as source",
  );
  await sql(
    "create or replace function public.airlock_published(resource text, id text) returns json language sql security definer as 'select to_json(t) from public.notes t where t.id::text = $2'",
  );
  try {
    const findings = findingsOf(await tryTables("public.airlock_published()"));
    assert.deepEqual(
      findings.map(({ rule, what }) => `${rule} ${what.slice(0, 7)}`),
      ["tried-call as anon"],
    );
  } finally {
    await sql(String(source));
  }
});

test("a table without a seeded row, or unknown to the API, is reported as not tried", () =>
  opened("alter table public.things add constraint odd check (char_length(title) = 77)", async () => {
    await sql("create table public.unknown (id uuid primary key)");
    const tried = [...(await tryTables("public.things")), ...(await tryTables("public.unknown"))];
    await sql("drop table public.unknown");
    assert.deepEqual(
      notTried(tried).map(({ rule, object }) => [rule, object]),
      [
        ["not-tried", "public.things"],
        ["not-tried", "public.unknown"],
      ],
    );
  }));

test("tries on a database in use change nothing and name skipped tries", () =>
  opened(
    "grant select, insert, update, delete on public.things to authenticated; grant select, delete on public.things to anon; alter table public.things disable row level security",
    async () => {
      await sql("insert into public.things (user_id, title) values ($1, 'of alice')", [alice.id]);
      const before = await sql("select xmin::text, * from public.things");
      const tables = (await readTables(sql, ["public"])).filter(({ name }) => name === "public.things");
      const tried = await look(embedded.rest, tables, alice, bob, []);
      assert.deepEqual(Object.fromEntries(tried.map(({ as, verb, outcome }) => [`${as} ${verb}`, outcome])), {
        "anon select": "reached",
        "anon insert": "not tried",
        "anon upsert": "not tried",
        "anon update": "denied",
        "anon delete": "nothing",
        "bob@example.com select": "reached",
        "bob@example.com insert": "not tried",
        "bob@example.com upsert": "not tried",
        "bob@example.com update": "nothing",
        "bob@example.com delete": "nothing",
      });
      assert.deepEqual(await sql("select xmin::text, * from public.things"), before);
      assert.ok(
        (await look(undefined, tables, undefined, undefined, [])).every(
          ({ outcome, how }) => outcome === "not tried" && how.length > 10,
        ),
      );

      // A refused token is answered 401, which does not count as a denial.
      const forged = await look(embedded.rest, tables, alice, { ...bob, token: "a.b.c" }, []);
      assert.ok(
        forged.filter(({ as }) => as === bob.name).every(({ outcome }) => outcome === "not tried"),
        JSON.stringify(forged),
      );
    },
  ));
