// Tables that were there before Airlock, on a real Postgres server: copies of requests at once, and the plans of lists.

import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { after, before, beforeEach, test } from "node:test";

import pg from "pg";

import { assertRanges } from "../support/plans.ts";
import type { Connections } from "./connections.ts";
import {
  type Call,
  COPIES,
  call,
  claimOf,
  newNonce,
  replayed,
  send as sendAs,
  copies as sendCopies,
  startTables,
} from "./requests.ts";

/** Rows of the lists that are explained; tests/long/filters.test.ts has more. */
const ROWS = 40_000;

interface Row {
  id: number;
}

let server: Connections;
let owner: pg.Client;
let clients: pg.Client[];
let user = "";

before(async () => {
  server = await startTables("existing");
  ({ owner, clients } = server);
});
after(() => server?.stop());
beforeEach(async () => {
  user = await server.account();
});

const todos = { resource: "todos", org: null };
const create = (task: string, key: string | null = null): Call => [
  "create",
  { ...todos, draft: { task }, request_key: key, request_digest: key && "0".repeat(64) },
];
const change = (id: unknown, action: string, draft: object | null = null): Call => [
  "change",
  { ...todos, id: String(id), action, draft, if_match: null },
];
const put = (id: unknown, task: string): Call => [
  "put",
  { ...todos, id: String(id), draft: { task }, mode: "replace", if_match: null },
];

/** One request of the user; with a nonce it can be repeated. */
const send = (request: Call, nonce?: string, client = owner) =>
  sendAs<Row>(client, user, request, nonce && claimOf(nonce));
/** The answers to copies on all connections at once; each has the nonce that `of` returns. */
const copies = (request: Call, of: () => string) => sendCopies(clients, (client) => send(request, of(), client));

async function tasks(): Promise<string[]> {
  return (await owner.query("select task from public.todos where user_id = $1 order by id", [user])).rows.map(
    ({ task }) => task,
  );
}

for (const [kind, request, outcome, left] of [
  ["create", () => create("new task"), "created", ["first task", "new task"]],
  ["create with a key", () => create("new task", "order-0001"), "created", ["first task", "new task"]],
  ["PUT", (id) => put(id, "new task"), "done", ["new task"]],
  ["PATCH", (id) => change(id, "patch", { task: "new task" }), "done", ["new task"]],
  ["DELETE", (id) => change(id, "delete"), "done", []],
] as [string, (id: number | undefined) => Call, string, string[]][]) {
  test(`of 200 copies at once one is carried out: ${kind}`, async () => {
    const { row } = await send(create("first task"));
    const nonce = newNonce();
    const answers = await copies(request(row?.id), () => nonce);
    assert.deepEqual(
      answers.filter((answer) => !replayed(answer)).map((answer) => answer.outcome),
      [outcome],
    );
    assert.deepEqual(await tasks(), left);
    const { rows } = await owner.query("select count(*)::int as claims from airlock.claims where user_id = $1", [user]);
    assert.equal(rows[0].claims, 1);
  });
}

test("200 concurrent requests with one Idempotency-Key make one row", async () => {
  const answers = await copies(create("made once", "order-0001"), newNonce);
  const ids = new Set(answers.map(({ outcome, row }) => `${outcome} ${row?.id}`));
  assert.equal(ids.size, 1, [...ids].join(", "));
  assert.deepEqual(await tasks(), ["made once"]);
});

test("of 200 concurrent DELETEs only one claims its nonce", async () => {
  const { row } = await send(create("first task"));
  const answers = await copies(change(row?.id, "delete"), newNonce);
  assert.deepEqual(
    answers
      .map(({ outcome }) => outcome)
      .sort()
      .reverse()
      .slice(-2),
    ["missing", "done"],
  );
  assert.equal(answers.filter(({ outcome }) => outcome === "missing").length, COPIES - 1);
  const { rows } = await owner.query("select count(*)::int as claims from airlock.claims where user_id = $1", [user]);
  assert.equal(rows[0].claims, 1);
});

test("a DELETE that is rolled back leaves its nonce to a copy", async () => {
  const { row } = await send(create("first task"));
  await owner.query("create table public.references_todos (todo bigint references public.todos (id))");
  await owner.query("insert into public.references_todos values ($1)", [row?.id]);
  const nonce = newNonce();
  assert.equal((await send(change(row?.id, "delete"), nonce)).code, "23503");
  await owner.query("drop table public.references_todos");
  assert.equal((await send(change(row?.id, "delete"), nonce)).outcome, "done");
  assert.ok(replayed(await send(change(row?.id, "delete"), nonce)));
});

test("a deleted row is missing for its readers in every call", async () => {
  const feed = { resource: "feed", org: null };
  await owner.query(
    `create table public.feed (id uuid primary key, author uuid not null, title text, version integer not null default 1, deleted_at timestamptz);
     alter table public.feed enable row level security;
     create policy "all read" on public.feed for select to authenticated using (true);
     create policy "own rows" on public.feed to authenticated using ((select auth.uid()) = author);
     grant all on public.feed to authenticated;
     select airlock.serve('feed', 'public.feed', 'user', array['title'], owner_column => 'author', set_owner => true, readers => 'user',
       created => null, updated => null)`,
  );
  const id = randomUUID();
  const reader = await server.account();
  const outcomes = async (as: string, if_match: number | null) => {
    const found: unknown[] = [];
    for (const action of ["restore", "delete", "patch"]) {
      const args = { ...feed, id, action, draft: action === "patch" ? { title: "changed" } : null, if_match };
      const { outcome, row } = await sendAs(owner, as, ["change", args]);
      found.push(row === undefined ? outcome : [outcome, row]);
    }
    return found;
  };
  await send(["put", { ...feed, id, draft: { title: "withdrawn" }, mode: "any", if_match: null }]);
  assert.deepEqual((await outcomes(reader, null)).slice(1), ["forbidden", "forbidden"]);
  assert.equal(
    (await send(["change", { ...feed, id, action: "delete", draft: null, if_match: null }])).outcome,
    "done",
  );
  for (const if_match of [null, 7])
    assert.deepEqual(await outcomes(reader, if_match), ["missing", "missing", "missing"]);
  const row = { id, title: "withdrawn", version: 1 };
  const [restored] = await outcomes(user, 7);
  assert.deepEqual((restored as [string, object])[0], "mismatch");
  assert.partialDeepStrictEqual((restored as [string, object])[1], row);
  assert.deepEqual(
    (await outcomes(user, null)).map((outcome) => [outcome].flat()[0]),
    ["done", "done", "missing"],
  );
});

test("a column with any name is served, also one that a statement uses itself", async () => {
  const odd = { resource: "odd", org: null };
  const embeds = [
    { name: "up", resource: "odd", many: false, field: "parent", fields: ["label"] },
    { name: "down", resource: "odd", many: true, field: "parent", fields: ["label"] },
  ];
  const list = `select public.airlock_list('odd', null, 'active', null, null, 1, '-label', $1, true, $2) as page`;
  for (const name of [
    "w",
    "i",
    "r",
    "t",
    "page",
    "wire",
    "place",
    "linked",
    "value",
    "draft",
    "%",
    "%s",
    "%1$I",
    "$1",
    "'",
    '"',
    "\\",
  ]) {
    const [label, parent, time] = [name, `${name} parent`, `${name} time`].map(pg.escapeIdentifier);
    await owner.query("begin");
    try {
      await owner.query(
        `create table public.odd (id uuid primary key, user_id uuid not null, ${label} text, ${parent} uuid, ${time} timestamptz not null default now());
         alter table public.odd enable row level security;
         create policy own on public.odd using ((select auth.uid()) = user_id);
         grant all on public.odd to authenticated;`,
      );
      await owner.query(
        `select airlock.serve('odd', 'public.odd', 'user', array['label', 'parent'], columns => array[$1, $2], set_owner => true,
           version => $3, created => null, updated => null, deleted => null)`,
        [name, `${name} parent`, `${name} time`],
      );
      const id = randomUUID();
      await owner.query(
        "select set_config('role', 'authenticated', true), set_config('request.jwt.claims', $1, true), set_config('request.headers', '{}', true)",
        [JSON.stringify({ role: "authenticated", sub: user })],
      );
      const made = await call<object>(owner, [
        "put",
        { ...odd, id, draft: { label: "a", parent: id }, mode: "any", if_match: null },
      ]);
      const patched = await call<object>(owner, [
        "change",
        { ...odd, id, action: "patch", draft: { label: "b" }, if_match: null },
      ]);
      assert.deepEqual([made.outcome, patched.outcome], ["created", "done"], name);
      const { rows } = await owner.query(list, [JSON.stringify([["label", "eq", "b"]]), JSON.stringify(embeds)]);
      assert.deepEqual(
        rows[0].page,
        {
          data: [{ ...patched.row, included: { up: { label: "b" }, down: { data: [{ label: "b" }], more: false } } }],
          next_cursor: null,
          count: 1,
        },
        name,
      );
      assert.deepEqual(Object.keys(patched.row ?? {}), ["id", "label", "parent", "version"], name);
    } finally {
      await owner.query("rollback");
    }
  }
});

/** Does this as the user in a project with these tables, which are gone afterwards. */
async function inProject(sql: string, work: () => Promise<void>): Promise<void> {
  await owner.query("begin");
  try {
    await owner.query(sql);
    await owner.query(
      "select set_config('role', 'authenticated', true), set_config('request.jwt.claims', $1, true), set_config('request.headers', '{}', true)",
      [JSON.stringify({ role: "authenticated", sub: user })],
    );
    await work();
  } finally {
    await owner.query("rollback");
  }
}

const list = (resource: string, more: object = {}): Call => [
  "list",
  { resource, org: null, state: "active", words: null, after: null, page_size: 2, ...more },
];
const make = (resource: string, draft: object, id: string = randomUUID()): Call => [
  "put",
  { resource, org: null, id, draft, mode: "any", if_match: null },
];

test("functions of policies and triggers find tables by names without a schema, as PostgREST lets them", async () => {
  const draft = { team: 1, name: "a" };
  const table = (name: string, more = "") =>
    `create table public.${name} (id uuid primary key, team integer not null, name text, above uuid ${more});
     alter table public.${name} enable row level security;
     create policy seen on public.${name} using (is_in(team)) with check (is_in(team));
     create trigger counted before insert or update or delete on public.${name} for each row execute function public.counted();
     grant all on public.${name} to authenticated;`;
  const none = "version => null, created => null, updated => null, deleted => null";
  await inProject(
    `create table public.own_teams (team integer, user_id uuid);
     insert into public.own_teams values (1, '${user}');
     create table public.changes (what text);
     create function public.is_in(wanted integer) returns boolean language sql stable security definer
       as $$ select exists (select from own_teams where team = wanted and user_id = auth.uid()) $$;
     create function public.counted() returns trigger language plpgsql security definer
       as $$ begin insert into changes values (tg_op); return coalesce(new, old); end $$;
     ${table("upper")} ${table("lower", "references public.upper")}
     create trigger reference before insert on public.lower for each row execute function airlock.check_reference('above', 'public.upper', 'false');
     select airlock.serve('upper', 'public.upper', 'user', array['team', 'name'], owner_column => null, scope => 'visible', ${none}),
       airlock.serve('lower', 'public.lower', 'user', array['team', 'name'], owner_column => null, under => 'upper.above', ${none});`,
    async () => {
      const [above, id] = [randomUUID(), randomUUID()];
      const lower = `upper/${above}/lower`;
      for (const [resource, key] of [
        ["upper", above],
        [lower, id],
      ] as const) {
        const one = { resource, org: null, id: key };
        assert.equal((await call(owner, make(resource, draft, key))).outcome, "created");
        const patch: Call = ["change", { ...one, action: "patch", draft: { name: "b" }, if_match: null }];
        assert.equal((await call(owner, patch)).outcome, "done");
        const row = { id: key, ...draft, name: "b" };
        assert.deepEqual(await call(owner, ["read", one]), row);
        assert.deepEqual(await call(owner, list(resource)), { data: [row], next_cursor: null });
      }
      for (const one of [
        { resource: lower, id },
        { resource: "upper", id: above },
      ]) {
        const { outcome } = await call(owner, [
          "change",
          { ...one, org: null, action: "delete", draft: null, if_match: null },
        ]);
        assert.equal(outcome, "done");
      }
    },
  );
});

test("values of citext are compared and sorted without their case, those of a domain without its checks", async () => {
  await inProject(
    `create extension citext with schema extensions;
     create domain public.address as text check (value like '%@%');
     create table public.people (id uuid primary key, user_id uuid not null, handle extensions.citext not null, mail public.address);
     alter table public.people enable row level security;
     create policy own on public.people using ((select auth.uid()) = user_id);
     grant all on public.people to authenticated;
     create function public.in_currency(code char(3), handle extensions.citext) returns text language sql as $$ select code || handle $$;
     select airlock.serve('people', 'public.people', 'user', array['handle', 'mail'], set_owner => true,
         version => null, created => null, updated => null, deleted => null),
       airlock.serve_function('in_currency', 'public.in_currency', array['code', 'handle']);`,
    async () => {
      const handles = ["a", "B", "c", "D", "e"];
      for (const handle of handles) await call(owner, make("people", { handle, mail: `${handle}@example.com` }));
      const pages = async (sort: string) => {
        const found: unknown[] = [];
        let after: unknown = null;
        do {
          const answer = await call(owner, list("people", { sort, after }));
          const page = answer as { data: { handle: string }[]; next_cursor: unknown };
          found.push(...page.data.map(({ handle }) => handle));
          after = page.next_cursor;
        } while (after);
        return found;
      };
      assert.deepEqual(await pages("handle"), handles);
      assert.deepEqual(await pages("-handle"), handles.toReversed());
      assert.deepEqual(await pages("mail"), ["B", "D", "a", "c", "e"]);
      const found = async (...filter: unknown[]) =>
        ((await call(owner, list("people", { filters: [filter] }))) as { data: { handle: string }[] }).data.map(
          ({ handle }) => handle,
        );
      assert.deepEqual(await found("handle", "eq", "A"), ["a"]);
      assert.deepEqual(await found("handle", "in", ["A", "b_"]), ["a"]);
      assert.deepEqual(await found("mail", "eq", "no address"), []);
      assert.deepEqual(await found("mail", "in", ["no address", "B@example.com"]), ["B"]);
      assert.deepEqual(
        await call(owner, ["call", { function: "in_currency", arguments: { code: "EUR", handle: "a" } }]),
        { outcome: "done", row: "EURa" },
      );
      // The check still holds for values that are written.
      assert.equal((await call(owner, make("people", { handle: "f", mail: "no address" }))).code, "23514");
    },
  );
});

test("a row with a field that is nested as deep as can be stored is listed with embedded rows", async () => {
  await inProject(
    `create table public.nested (id uuid primary key, user_id uuid not null, body json, parent uuid);
     alter table public.nested enable row level security;
     create policy own on public.nested using ((select auth.uid()) = user_id);
     grant all on public.nested to authenticated;
     select airlock.serve('nested', 'public.nested', 'user', array['body', 'parent'], set_owner => true,
       version => null, created => null, updated => null, deleted => null);`,
    async () => {
      const insert = async (depth: number) => {
        await owner.query("savepoint deeper");
        try {
          await owner.query(
            "insert into public.nested select gen_random_uuid(), auth.uid(), body from json_to_record($1) as row (body json)",
            [`{"body":${"[".repeat(depth)}${"]".repeat(depth)}}`],
          );
          return true;
        } catch (error) {
          assert.equal((error as pg.DatabaseError).code, "54001");
          return false;
        } finally {
          await owner.query("rollback to savepoint deeper");
        }
      };
      let [stored, refused] = [1, 1_000_000];
      while (refused - stored > 1) {
        const depth = Math.floor((stored + refused) / 2);
        if (await insert(depth)) stored = depth;
        else refused = depth;
      }
      const body = `${"[".repeat(stored)}${"]".repeat(stored)}`;
      await owner.query("insert into public.nested values (gen_random_uuid(), auth.uid(), $1)", [body]);
      const embeds = [{ name: "parent", resource: "nested", many: false, field: "parent", fields: ["id"] }];
      const { rows } = await owner.query(
        "select public.airlock_list('nested', null, 'active', null, null, 1, included => $1)::text as page",
        [JSON.stringify(embeds)],
      );
      assert.match(rows[0].page, /"parent":null,"included":\{"parent":null\}\}\],"next_cursor":null\}$/);
    },
  );
});

test("a change that a trigger suppresses is refused for good, not as a race", async () => {
  await inProject(
    `create table public.quiet (id uuid primary key, user_id uuid not null, name text);
     alter table public.quiet enable row level security;
     create policy own on public.quiet using ((select auth.uid()) = user_id);
     grant all on public.quiet to authenticated;
     create trigger redundant before update on public.quiet for each row execute function suppress_redundant_updates_trigger();
     select airlock.serve('quiet', 'public.quiet', 'user', array['name'], set_owner => true,
       version => null, created => null, updated => null, deleted => null);`,
    async () => {
      const id = randomUUID();
      for (const name of ["a", "b"]) assert.ok((await call(owner, make("quiet", { name }, id))).outcome);
      assert.equal((await call(owner, make("quiet", { name: "b" }, id))).code, "P0001");
    },
  );
});

const SOURCE = "(id uuid primary key, user_id uuid not null)";
const SECURED = "alter table public.source enable row level security;";
const PARTED = `create table public.parted (id uuid, user_id uuid not null, primary key (id)) partition by hash (id);
  alter table public.parted enable row level security;
  create table public.part partition of public.parted for values with (modulus 1, remainder 0);
  alter table public.part enable row level security;`;
const NOT_SERVED: [what: string, sql: string, relation: string][] = [
  ["a partition that is named directly", PARTED, "public.part"],
  [
    "a view with an INSTEAD OF trigger",
    `create table public.source ${SOURCE}; ${SECURED} create view public.shown with (security_invoker) as select * from public.source;
     create function public.write_through() returns trigger language plpgsql as $$ begin insert into public.source select new.*; return new; end $$;
     create trigger write_through instead of insert on public.shown for each row execute function public.write_through();`,
    "public.shown",
  ],
  [
    "a foreign table",
    "create foreign data wrapper nothing; create server nowhere foreign data wrapper nothing; create foreign table public.remote (id uuid, user_id uuid not null) server nowhere;",
    "public.remote",
  ],
  ["a table without Row Level Security", `create table public.source ${SOURCE};`, "public.source"],
];
const serve = (relation: string) =>
  `select airlock.serve('unfit', '${relation}', 'user', array[]::text[], version => null, created => null, updated => null, deleted => null)`;
for (const [what, sql, relation] of NOT_SERVED) {
  test(`not served: ${what}`, async () => {
    await owner.query("begin");
    try {
      await owner.query(sql);
      await assert.rejects(owner.query(serve(relation)), /is a partition, or not a table with Row Level Security$/);
    } finally {
      await owner.query("rollback");
    }
  });
}

test("the database is not ready when a resource's table becomes a partition, or is dropped", async () => {
  const ready = async () =>
    (await owner.query("select public.airlock_ready(1, false, array['unfit']) as ready")).rows[0].ready;
  await owner.query("begin");
  try {
    await owner.query(`${PARTED} alter table public.parted detach partition public.part;`);
    await owner.query(serve("public.part"));
    assert.equal(await ready(), true);
    await owner.query(
      "alter table public.parted attach partition public.part for values with (modulus 1, remainder 0)",
    );
    assert.equal(await ready(), false);
    await owner.query("drop table public.part");
    assert.equal(await ready(), false);
  } finally {
    await owner.query("rollback");
  }
});

test("a page of any sort and filter is read from a range of its index", async () => {
  await assertRanges(owner, user, await server.account(), ROWS);
});
