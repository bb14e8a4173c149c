// By trying: what the catalogue's rules do not see, another user does.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { readAccepted } from "../../tools/evidence/audit.ts";
import { type Embedded, signIn, startEmbedded } from "../../tools/evidence/embedded.ts";
import { look } from "../../tools/evidence/looks.ts";
import { readTables } from "../../tools/evidence/rows.ts";
import { type Caller, findingsOf, notTried, tryAll, VERBS } from "../../tools/evidence/tries.ts";

const ANON: Caller = { name: "anon", role: "anon" };
const accepted = await readAccepted("supabase/evidence.json");

let embedded: Embedded;
let alice: Caller & { id: string };
let bob: Caller & { id: string };
before(async () => {
  embedded = await startEmbedded();
  alice = await signIn(embedded.rest, "alice@example.com", "airlock-dev-password");
  bob = await signIn(embedded.rest, "bob@example.com", "airlock-dev-password");
  // All before the first REST request, which is when the API learns what there is; closed until a test opens them.
  await sql(`
    create table public.things (id uuid primary key default gen_random_uuid(), user_id uuid not null references auth.users (id), title text not null default '');
    alter table public.things enable row level security;
    create view public.all_things as select * from public.things;
    create function public.dump() returns setof public.notes language sql security definer set search_path = '' as 'select * from public.notes';
    revoke execute on function public.dump() from public;
  `);
});
after(() => embedded.stop());

const sql = (text: string, parameters?: unknown[]) => embedded.supabase.sql(text, parameters);
const tryTables = (only?: string) => tryAll(sql, embedded.rest, ["public"], alice.id, [ANON, bob], accepted, only);

test("anon and a second user try every verb on every table, reach nothing, and leave nothing", async () => {
  const tried = await tryTables();
  assert.deepEqual([...findingsOf(tried), ...notTried(tried)], []);
  const tables = await sql("select 'public.' || relname as name from pg_class where relnamespace = 'public'::regnamespace and relkind in ('r', 'v')");
  for (const { name } of tables) {
    for (const caller of [ANON, bob]) {
      const verbs = tried.filter(({ object, as }) => object === name && as === caller.name).map(({ verb }) => verb);
      assert.deepEqual(verbs, VERBS.filter((verb) => verb !== "call"), String(name));
    }
  }
  assert.ok(tried.some(({ object, outcome }) => object === "public.notes" && outcome === "own row"), "bob makes a note of his own");
  assert.deepEqual(await sql("select id from public.notes"), []);
});

/** Has `things` open as it should not be, for as long as `work` takes. */
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
  ["row level security that is off", `${GRANT} alter table public.things disable row level security`, ["select", "insert", "upsert", "update", "delete"]],
  ["policies for any user", GRANT + policies("(select auth.uid()) is not null"), ["select", "insert", "upsert", "update", "delete"]],
  // What no rule about a policy's form sees: it asks who the caller is, and lets everybody in.
  ["a policy that gets it wrong", GRANT + policies("(select auth.uid()) <> user_id"), ["select", "insert", "upsert", "update", "delete"]],
  ["an insert in another's name", GRANT + policies(OWN, "(select auth.uid()) is not null"), ["insert"]],
  ["a view that reads as its owner", "grant select on public.all_things to authenticated", []],
] as const) {
  test(`${name} is found by trying`, () =>
    opened(flaw, async () => {
      const findings = findingsOf([...(await tryTables("public.things")), ...(await tryTables("public.all_things"))]);
      const expected = reached.length > 0 ? reached.map((verb) => [`tried-${verb}`, "public.things"]) : [["tried-select", "public.all_things"]];
      assert.deepEqual(findings.map(({ rule, object }) => [rule, object]), expected, JSON.stringify(findings, null, 2));
      for (const { what, why, mend } of findings) assert.ok(what.startsWith("as ") && why.length > 40 && mend.startsWith("--"));
      assert.deepEqual(await sql("select id from public.things"), [], "what was reached is put back");
    }));
}

test("what is open to anon on purpose excuses no other role", () =>
  opened(`grant select on public.things to anon; create policy things_open on public.things for select to anon using (true); ${GRANT} ${policies("(select auth.uid()) <> user_id")}`, async () => {
    const open = { rule: "policy-true", object: "public.things.things_open", why: "A test's." };
    const tried = await tryAll(sql, embedded.rest, ["public"], alice.id, [ANON, bob], [...accepted, open], "public.things");
    const selects = tried.filter(({ verb }) => verb === "select").map(({ as, outcome }) => [as, outcome]);
    assert.deepEqual(selects, [["anon", "open on purpose"], ["bob@example.com", "reached"]]);
  }));

test("a policy that shows what was published, or deleted, to any user is found by trying", async () => {
  for (const column of ["published_at", "deleted_at"]) {
    await sql(`create policy flaw on public.notes for select to authenticated using (${column} is not null and (select auth.uid()) is not null)`);
    try {
      const findings = findingsOf(await tryTables("public.notes"));
      assert.deepEqual(findings.map(({ rule, what }) => [rule, what.slice(0, 18)]), [["tried-select", "as bob@example.com"]], column);
    } finally {
      await sql("drop policy flaw on public.notes");
    }
  }
});

test("a function that gives out another's rows is found by trying", () =>
  opened("grant execute on function public.dump() to authenticated", async () => {
    assert.deepEqual(findingsOf(await tryTables("public.dump()")).map(({ rule, object }) => `${rule} ${object}`), ["tried-call public.dump()"]);
  }));

test("a table that takes no made-up row is no pass, nor is one that the API does not know", () =>
  opened("alter table public.things add constraint odd check (char_length(title) = 77)", async () => {
    await sql("create table public.unknown (id uuid primary key)");
    const tried = [...(await tryTables("public.things")), ...(await tryTables("public.unknown"))];
    await sql("drop table public.unknown");
    assert.deepEqual(notTried(tried).map(({ rule, object }) => [rule, object]), [["not-tried", "public.things"], ["not-tried", "public.unknown"]]);
  }));

test("on a database that is somebody's, trying changes nothing, and says what it did not try", () =>
  opened("grant select, insert, update, delete on public.things to authenticated; grant select, delete on public.things to anon; alter table public.things disable row level security", async () => {
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
    assert.ok((await look(undefined, tables, undefined, undefined, [])).every(({ outcome, how }) => outcome === "not tried" && how.length > 10));

    // A token that is not taken is answered 401: that is no denial.
    const forged = await look(embedded.rest, tables, alice, { ...bob, token: "a.b.c" }, []);
    assert.ok(forged.filter(({ as }) => as === bob.name).every(({ outcome }) => outcome === "not tried"), JSON.stringify(forged));
  }));
