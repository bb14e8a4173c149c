// Every rule of the audit, on schemas with a fault for each.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { type Audit, readAccepted } from "../../tools/evidence/audit.ts";
import type { Accepted } from "../../tools/evidence/finding.ts";
import { POLICY_RULES } from "../../tools/evidence/policies.ts";
import { breaks, LEAKS } from "../../tools/evidence/rank.ts";
import { REACH_RULES } from "../../tools/evidence/reach.ts";
import { RULES } from "../../tools/evidence/rules.ts";
import { TRUST_RULES } from "../../tools/evidence/trust.ts";
import { everything } from "../resources/everything.ts";
import { FLAWS, GROUND } from "./flaws.ts";
import { CASES } from "./set.ts";
import { type Audited, key, newFaults, openAudited } from "./support.ts";

const accepted: Accepted[] = await readAccepted("supabase/evidence.json");
let audited: Audited;
let good: Audit;
before(async () => {
  audited = await openAudited();
  good = await undone(() => auditNow());
});
after(() => audited.close());

const sql = (text: string) => audited.sql(text);
const undone = <T>(work: () => Promise<T>) => audited.undone(work);
const auditNow = (list = accepted) => audited.audit(list);

test("the schema has no finding", () => {
  assert.deepEqual(good.findings, []);
  assert.ok((good.checked.tables ?? 0) >= 2 && (good.checked.policies ?? 0) >= 6);
});

test("resources with every kind of field have no finding", () =>
  undone(async () => {
    await sql((await everything()).sql);
    assert.deepEqual((await auditNow()).findings, []);
  }));

test("there is a broken schema for every rule", () => {
  const proven = new Set([...FLAWS, ...CASES].map(({ rule }) => rule));
  // tests/evidence/foreign.test.ts has it.
  const unproven = ["queue-exposed"];
  assert.deepEqual(
    [...RULES, ...POLICY_RULES, ...TRUST_RULES, ...REACH_RULES]
      .filter(({ level, id }) => level === "finding" && !unproven.includes(id))
      .map(({ id }) => id)
      .filter((id) => !proven.has(id)),
    [],
  );
  assert.ok(FLAWS.length >= 25);
});

test("only rules whose faults are findings rank as leaks", () => {
  const findings = [...RULES, ...POLICY_RULES, ...TRUST_RULES, ...REACH_RULES]
    .filter(({ level }) => level === "finding")
    .map(({ id }) => id);
  assert.deepEqual(
    [...LEAKS].filter((id) => !findings.includes(id)),
    [],
  );
});

test("a mend that takes something from a running app is marked", () => {
  for (const [rule, mend, marked] of [
    ["rls-disabled", "alter table public.a enable row level security;", true],
    ["policy-true", "drop policy b on public.a; -- or let it name the row's owner", true],
    ["no-policy", "create policy a_select on public.a for select to authenticated using (false);", false],
    ["column-not-indexed", "create index on public.a (b);", false],
    ["call-per-row", "alter policy b on public.a using ((select auth.uid()) = user_id);", false],
    ["foreign-key-discloses", "-- Let a trigger refuse it.", false],
  ] as const)
    assert.equal(breaks({ rule, mend }), marked, mend);
});

for (const flaw of FLAWS) {
  test(`${flaw.name}: ${flaw.rule}, and its SQL mends it`, () =>
    undone(async () => {
      await sql(`set local search_path = public, extensions; ${GROUND}`);
      await sql(flaw.sql);
      const broken = await auditNow();
      const found = newFaults(broken, good);
      const failing = flaw.note ? found : found.filter(({ level }) => level === "finding");
      assert.deepEqual(
        [...new Set(failing.map(({ rule }) => rule))].filter(
          (rule) => rule !== flaw.also && (!flaw.note || rule === flaw.rule),
        ),
        [flaw.rule],
        JSON.stringify(found, null, 2),
      );
      assert.ok(
        found.some(({ object }) => object === flaw.object),
        JSON.stringify(found),
      );
      for (const one of found.filter(({ rule }) => rule === flaw.rule)) {
        assert.equal(one.level, flaw.note ? "note" : "finding");
        assert.ok(one.why.length > 40 && one.what.length > 3 && one.mend.length > 10, key(one));
      }

      const mends = found.filter(({ rule }) => rule === flaw.rule).map(({ mend }) => mend);
      if (mends.every((mend) => mend.startsWith("--"))) return;
      for (const mend of mends) await sql(mend);
      // The mend ends the fault and opens nothing else. Dropping a policy may leave a table without one.
      const left = newFaults(await auditNow(), good).filter(
        ({ rule, level }) =>
          (rule === flaw.rule || level === "finding") && (rule !== "no-policy" || flaw.rule === "no-policy"),
      );
      assert.deepEqual(left, []);
    }));
}

test("an accepted fault is no finding; an unused entry is one", () =>
  undone(async () => {
    const why = "Everybody may read what is published.";
    const list = [
      ...accepted,
      { rule: "policy-true", object: "public.news.news_anon", why },
      { rule: "anon-grant", object: "SELECT (body, title) on public.news", why },
    ];
    await sql(`
      create table public.news (id uuid primary key, title text, body text, author uuid, live boolean);
      alter table public.news enable row level security;
      create policy news_anon on public.news for select to anon using (live);
      grant select (title, body) on public.news to anon;
    `);
    assert.deepEqual((await auditNow(list)).findings, []);

    // One column more than was accepted, and a policy that is gone.
    await sql(
      "grant select (author) on public.news to anon; drop policy news_anon on public.news; create policy news_none on public.news for select to anon using (false)",
    );
    const { findings } = await auditNow(list);
    assert.deepEqual(
      findings.map(({ rule, object }) => [rule, object]),
      [
        ["anon-grant", "SELECT (author, body, title) on public.news"],
        ["accepted-in-vain", "public.news.news_anon"],
        ["accepted-in-vain", "SELECT (body, title) on public.news"],
      ],
    );
  }));

test("rows that the registry opens are no finding; wider access is one", () =>
  undone(async () => {
    await sql(`
      create table public.plans (id bigint primary key, label text not null, author uuid, live boolean);
      create table public.posts (id bigint primary key, title text not null, author uuid default auth.uid(), live boolean);
      alter table public.plans enable row level security; alter table public.posts enable row level security;
      create policy plans_shown on public.plans for select using (true);
      create policy posts_shown on public.posts for select to authenticated using (true);
      grant select on public.plans, public.posts to authenticated;
      grant select on public.plans to anon;
      grant insert (id, title), update (title) on public.posts to authenticated;
      create policy posts_own on public.posts for insert to authenticated with check ((select auth.uid()) = author);
    `);
    const serve = (
      name: string,
      readers: string,
      field: string,
    ) => `select airlock.serve('${name}', 'public.${name}', 'user', array['${field}'], owner_column => null, scope => 'visible',
      version => null, created => null, updated => null, deleted => null, readers => ${readers});`;
    const found = async () =>
      newFaults(await auditNow(), good)
        .filter(({ level }) => level === "finding")
        .map(({ rule, object }) => `${rule} ${object}`)
        .sort();
    const closed = await found();
    assert.ok(closed.includes("policy-true public.posts.posts_shown"), closed.join("\n"));
    await sql(serve("plans", "'app'", "label") + serve("posts", "'user'", "title"));
    assert.deepEqual(await found(), []);
    await sql(
      "grant update (label) on public.plans to anon; alter policy posts_shown on public.posts to public; create policy plans_open on public.plans for update to authenticated using (true)",
    );
    const unintended = await found();
    for (const one of [
      "anon-grant UPDATE (label) on public.plans",
      "policy-true public.plans.plans_open",
      "policy-true public.posts.posts_shown",
    ])
      assert.ok(unintended.includes(one), `${one}: ${unintended.join("\n")}`);
  }));

test("helpers in another schema and restrictive policies are no finding", () =>
  undone(async () => {
    await sql(`
      create schema private;
      create function private.ids_of(lowest text) returns setof uuid language sql stable security definer set search_path = '' as 'select id from auth.users where id = auth.uid()';
      create function private.gate() returns boolean language sql stable security definer set search_path = '' as 'select true';
      revoke execute on function private.ids_of(text), private.gate() from public;
      grant execute on function private.ids_of(text) to authenticated;
      grant execute on function private.gate() to anon, authenticated;
      alter table public.notes add team uuid;
      create index on public.notes (team) where team is not null;
      create policy notes_select_team on public.notes for select to authenticated using (team in (select private.ids_of('viewer')));
      create policy notes_gate on public.notes as restrictive for all to anon, authenticated using ((select private.gate())) with check ((select private.gate()));
      create policy notes_gate_all on public.notes as restrictive for all using ((select private.gate()));
      create view public.own_notes with (security_invoker = true) as select id from public.notes;
      grant select on public.own_notes to authenticated;
    `);
    assert.deepEqual((await auditNow()).findings, []);
  }));
