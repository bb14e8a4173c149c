// Functions, and rows below others (tests/resources/relations.sql), on a real Postgres server: copies of requests at once, and
// the plans of lists with embedded rows.

import assert from "node:assert/strict";
import { after, before, beforeEach, test } from "node:test";

import type pg from "pg";

import { explainEach, explained, scans } from "../support/plans.ts";
import type { Connections } from "./connections.ts";
import { type Call, COPIES, claimOf, copies, newNonce, replayed, send as sendAs, startTables } from "./requests.ts";

let server: Connections;
let owner: pg.Client;
let clients: pg.Client[];
let user = "";
let team = 0;

before(async () => {
  server = await startTables("relations");
  ({ owner, clients } = server);
});
after(() => server?.stop());
beforeEach(async () => {
  user = await server.account();
  await owner.query("insert into public.profiles values ($1, 'name')", [user]);
  team = (await owner.query("insert into public.teams (name, made_by) values ('team', $1) returning id::int", [user]))
    .rows[0].id;
});

/** One request of the user. */
const send = (request: Call, nonce: string, client = owner) => sendAs(client, user, request, claimOf(nonce));
const count = async (statement: string): Promise<number> =>
  (await owner.query(`select count(*)::int as rows from ${statement}`, [user])).rows[0].rows;

for (const [kind, request, outcome, changed] of [
  [
    "a function that writes to a table that is not served",
    () => ["call", { function: "visit", arguments: { place: "here" } }],
    "done",
    "public.visits where user_id = $1",
  ],
  [
    "a function without a result",
    () => ["call", { function: "nothing", arguments: {} }],
    "done",
    "public.visits where user_id = $1",
  ],
  [
    "a function that writes to a served table",
    () => ["call", { function: "create_team", arguments: { name: "made" } }],
    "done",
    "public.teams where made_by = $1 and name like 'made%'",
  ],
  [
    "create below a parent",
    () => [
      "create",
      {
        resource: `teams/${team}/projects`,
        org: null,
        draft: { name: "made" },
        request_key: null,
        request_digest: null,
      },
    ],
    "created",
    "public.projects where lead = $1",
  ],
] as [string, () => Call, string, string][]) {
  test(`of ${COPIES} copies at once one is carried out: ${kind}`, async () => {
    const nonce = newNonce();
    const answers = await copies(clients, (client) => send(request(), nonce, client));
    assert.deepEqual(
      answers.filter((answer) => !replayed(answer)).map((answer) => answer.outcome),
      [outcome],
    );
    assert.equal(await count(changed), 1);
    assert.equal(await count("airlock.claims where user_id = $1"), 1);
    assert.equal((await send(request(), newNonce())).outcome, outcome, "another request is carried out");
    assert.equal(await count(changed), 2);
  });
}

test("a function that fails leaves its nonce to a copy", async () => {
  const nonce = newNonce();
  assert.equal((await send(["call", { function: "fail", arguments: { how: "rule" } }], nonce)).code, "P0001");
  assert.equal(await count("airlock.claims where user_id = $1"), 0);
  assert.equal((await send(["call", { function: "visit", arguments: { place: "here" } }], nonce)).outcome, "done");
});

test("an overload is reached by no call, and neither is the function then", async () => {
  await owner.query(
    "create function public.visit(place text, again boolean default true) returns text language sql as $$ select 'overload' $$",
  );
  const call: Call = ["call", { function: "visit", arguments: { place: "here" } }];
  assert.equal((await send(call, newNonce())).code, "42883");
  await owner.query("drop function public.visit(text, boolean)");
  assert.deepEqual(await send(call, newNonce()), { outcome: "done", row: 1 });
});

test("rows that a function returns are whole, with an argument or a column of any name", async () => {
  await owner.query(`
    create function public.numbers(r integer, draft integer) returns setof integer language sql as 'select generate_series(draft, r)';
    create function public.pairs(page integer) returns table (r integer, w text) language sql as 'select page, ''a''';
    select airlock.serve_function('numbers', 'public.numbers', array['r', 'draft']), airlock.serve_function('pairs', 'public.pairs', array['page'])`);
  const result = async (name: string, args: object) =>
    (await send(["call", { function: name, arguments: args }], newNonce())).row;
  assert.deepEqual(await result("numbers", { r: 3, draft: 2 }), [2, 3]);
  assert.deepEqual(await result("pairs", { page: 1 }), [{ r: 1, w: "a" }]);
});

test("airlock_ready is false while a declared function has an overload", async () => {
  const ready = async (names = ["projects", "functions/visit", "functions/nothing"]) => {
    await owner.query("begin; set local role anon");
    const { rows } = await owner.query("select public.airlock_ready(1, true, $1) as ready", [names]);
    await owner.query("commit");
    return rows[0].ready;
  };
  assert.equal(await ready(), true);
  await owner.query(
    "create function public.visit(place text, again boolean) returns text language sql as $$ select 'overload' $$",
  );
  assert.equal(await ready(), false);
  assert.equal(await ready(["projects", "functions/nothing"]), true, "this Worker does not declare it");
  await owner.query("drop function public.visit(text, boolean)");
  assert.equal(await ready(), true);
});

test("pages below a parent and embedded rows are read from index ranges", async () => {
  await owner.query(
    `with made as (
      insert into public.projects ("teamId", name, lead, created_at)
        select case when n % 100 = 0 then $2::bigint else t.id end, 'project ' || n, $1, timestamptz '2026-01-01' + n * interval '1 second'
        from generate_series(1, 5000) n, (select id from public.teams where id <> $2 order by id limit 1) as t
      returning id
    ) insert into public.tasks (project, title) select id, 'task ' || n from made, generate_series(1, 4) n`,
    [user, team],
  );
  await owner.query("vacuum analyze public.projects, public.tasks");
  await explainEach(owner);
  const included = JSON.stringify([{ name: "tasks", resource: "tasks", many: true, field: null, fields: ["title"] }]);
  const statement = "select public.airlock_list($1, null, 'active', null, null, 20, included => $2)";
  const plan = await explained(owner, "projects", user, statement, [`teams/${team}/projects`, included]);
  const pages = scans(plan, "projects").filter((scan) => scan["Index Name"] === "projects_page");
  assert.equal(pages.length, 1);
  assert.ok((pages[0]?.["Actual Rows"] ?? 0) <= 21);
  // Four rows for each row of the page, however many others there are.
  const embedded = scans(plan, "tasks");
  assert.ok(embedded.length > 0);
  for (const scan of embedded)
    assert.ok(scan["Node Type"] !== "Seq Scan" && scan["Actual Rows"] <= 4, JSON.stringify(scan));
});
