// Claims and races of the write functions, on a real Postgres server: PGlite has one connection and so no races. Each
// request here is one transaction, as PostgREST makes it.

import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { after, before, beforeEach, test } from "node:test";

import type pg from "pg";

import { type Connections, startConnections } from "./connections.ts";
import {
  type Answer,
  begin,
  type Call,
  CONNECTIONS,
  COPIES,
  call,
  claimOf,
  end,
  newNonce,
  replayed,
  send as sendAs,
  copies as sendCopies,
} from "./requests.ts";

const ROUNDS = 2;

/** A resource of users, with everything that a resource may have. */
const TABLES = `
create table public.entries (
  id uuid not null default gen_random_uuid() primary key,
  user_id uuid default auth.uid() references auth.users (id) on delete set null,
  title text not null check (char_length(title) between 1 and 200),
  label text,
  version integer not null default 1,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  deleted_at timestamptz,
  published_at timestamptz,
  constraint entries_label_key unique (user_id, label)
);
create index entries_due_idx on public.entries (deleted_at) where deleted_at is not null;
create trigger airlock_touch_insert before insert on public.entries for each row execute function airlock.touch_insert();
create trigger airlock_touch_update before update on public.entries for each row execute function airlock.touch_update();
alter table public.entries enable row level security;
create policy entries_select on public.entries for select to authenticated using ((select auth.uid()) = user_id);
create policy entries_insert on public.entries for insert to authenticated with check ((select auth.uid()) = user_id);
create policy entries_update on public.entries for update to authenticated
  using ((select auth.uid()) = user_id and title <> 'sealed') with check ((select auth.uid()) = user_id);
revoke all on table public.entries from public, anon, authenticated, service_role;
grant select, insert (id, title, label), update (title, label, deleted_at, published_at) on table public.entries to authenticated;
select airlock.serve('entries', 'public.entries', 'user', array['title', 'label'], publish => array['title']);
`;

interface Row {
  id: string;
  title: string;
  version: number;
  deleted_at: string | null;
}
let server: Connections;
let owner: pg.Client;
let clients: pg.Client[];
let user = "";

before(async () => {
  server = await startConnections(TABLES, CONNECTIONS);
  ({ owner, clients } = server);
});
after(() => server?.stop());
beforeEach(async () => {
  user = await server.account();
});

const create = (draft: object, key: string | null = null): Call => [
  "create",
  { resource: "entries", org: null, draft, request_key: key, request_digest: key && "0".repeat(64) },
];
const put = (id: string, draft: object, mode = "any", ifMatch: number | null = null): Call => [
  "put",
  { resource: "entries", org: null, id, draft, mode, if_match: ifMatch },
];
const change = (id: string, action: string, draft: object | null = null, ifMatch: number | null = null): Call => [
  "change",
  { resource: "entries", org: null, id, action, draft, if_match: ifMatch },
];
const patch = (id: string, title: string, ifMatch: number | null = null) => change(id, "patch", { title }, ifMatch);

/** One request of the user, or of another one. */
const send = (request: Call, claim?: string, client = owner, as = user) => sendAs<Row>(client, as, request, claim);
/** Sends copies of one request on all connections at once, each as a request of its own. */
const copies = (request: Call, of = newNonce(), count = COPIES) =>
  sendCopies(clients, (client) => send(request, claimOf(of), client), count);

async function made(title = "first"): Promise<Row> {
  const { row } = await send(create({ title }));
  assert.ok(row);
  return row;
}

async function rows(): Promise<{ id: string; title: string; version: number; deleted: boolean; published: boolean }[]> {
  const result = await owner.query(
    "select id, title, version, deleted_at is not null as deleted, published_at is not null as published from public.entries where user_id = $1",
    [user],
  );
  return result.rows;
}

async function claims(): Promise<number> {
  const result = await owner.query("select count(*)::int as claims from airlock.claims where user_id = $1", [user]);
  return result.rows[0].claims;
}

/** Each kind of write: a row to begin with, the request, and its outcome. */
const KINDS: { kind: string; outcome: string; before?: string[]; request(row: Row): Call; version: number }[] = [
  { kind: "create", outcome: "created", request: () => create({ title: "new", label: "only" }), version: 1 },
  {
    kind: "create with a key",
    outcome: "created",
    request: () => create({ title: "new", label: "only" }, "order-0001"),
    version: 1,
  },
  {
    kind: "PUT that creates",
    outcome: "created",
    request: (row) => put(newId(row), { title: "new", label: "only" }),
    version: 1,
  },
  {
    kind: "PUT that never replaces",
    outcome: "created",
    request: (row) => put(newId(row), { title: "new" }, "create"),
    version: 1,
  },
  { kind: "PUT that replaces", outcome: "done", request: ({ id }) => put(id, { title: "new" }), version: 2 },
  {
    kind: "PUT with If-Match",
    outcome: "done",
    request: ({ id }) => put(id, { title: "new" }, "replace", 1),
    version: 2,
  },
  { kind: "PATCH", outcome: "done", request: ({ id }) => patch(id, "new"), version: 2 },
  { kind: "PATCH with If-Match", outcome: "done", request: ({ id }) => patch(id, "new", 1), version: 2 },
  { kind: "DELETE", outcome: "done", request: ({ id }) => change(id, "delete"), version: 2 },
  { kind: "DELETE with If-Match", outcome: "done", request: ({ id }) => change(id, "delete", null, 1), version: 2 },
  { kind: "restore", outcome: "done", before: ["delete"], request: ({ id }) => change(id, "restore"), version: 3 },
  { kind: "publish", outcome: "done", request: ({ id }) => change(id, "publish"), version: 2 },
  {
    kind: "unpublish",
    outcome: "done",
    before: ["publish"],
    request: ({ id }) => change(id, "unpublish", null, 2),
    version: 3,
  },
];

/** The same id for the same row, and no row's. */
function newId({ id }: Row): string {
  return id.replace(/^.{8}/, (start) => (start === "00000000" ? "00000001" : "00000000"));
}

async function prepared({ before: actions = [] }: (typeof KINDS)[number]): Promise<Row> {
  const row = await made();
  for (const action of actions) assert.equal((await send(change(row.id, action))).outcome, "done");
  return row;
}

for (const kind of KINDS) {
  test(`of 200 copies at once one is carried out: ${kind.kind}`, async () => {
    for (let round = 0; round < ROUNDS; round++) {
      user = await server.account();
      const row = await prepared(kind);
      const answers = await copies(kind.request(row));
      const others = answers.filter((answer) => !replayed(answer));
      assert.equal(others.length, 1, JSON.stringify(others));
      assert.equal(others[0]?.outcome, kind.outcome);
      const changed = (await rows()).filter(({ id }) => id === others[0]?.row?.id);
      assert.deepEqual(
        changed.map(({ version }) => version),
        [kind.version],
      );
      assert.equal((await rows()).length, kind.outcome === "created" ? 2 : 1);
      assert.equal(await claims(), 1);
    }
  });
}

test("a copy that waited for the first is request_replayed", async () => {
  const [first, copy] = clients as [pg.Client, pg.Client];
  for (const kind of KINDS) {
    user = await server.account();
    const request = kind.request(await prepared(kind));
    const of = newNonce();
    await begin(first, user, claimOf(of));
    const answer = await call<Row>(first, request);
    assert.equal(answer.outcome, kind.outcome, kind.kind);
    const waiting = send(request, claimOf(of), copy);
    await waits(copy);
    await end(first, answer);
    assert.ok(replayed(await waiting), `${kind.kind}: ${JSON.stringify(await waiting)}`);
    await owner.query("delete from public.entries where user_id = $1", [user]);
    assert.ok(replayed(await send(request, claimOf(of))), kind.kind);
  }
});

test("a copy is refused before any other error", async () => {
  for (const kind of KINDS) {
    user = await server.account();
    const of = newNonce();
    const [name, args] = kind.request(await prepared(kind));
    assert.equal((await send([name, args], claimOf(of))).outcome, kind.outcome);
    assert.ok(replayed(await send([name, { ...args, resource: "unknown" }], claimOf(of))), kind.kind);
  }
});

test("a first request that is rolled back leaves its nonce to a copy", async () => {
  const [first, ...others] = clients as [pg.Client, ...pg.Client[]];
  for (const kind of KINDS) {
    user = await server.account();
    const request = kind.request(await prepared(kind));
    const of = newNonce();
    await begin(first, user, claimOf(of));
    assert.equal((await call<Row>(first, request)).outcome, kind.outcome);
    const waiting = others.slice(0, 5).map((client) => send(request, claimOf(of), client));
    await waits(others[0] as pg.Client);
    await first.query("rollback");
    const answers = await Promise.all(waiting);
    assert.deepEqual(
      answers.filter((answer) => !replayed(answer)).map(({ outcome }) => outcome),
      [kind.outcome],
      kind.kind,
    );
  }
});

/** Resolves when this connection waits for a lock. */
async function waits(client: pg.Client): Promise<void> {
  for (let tries = 0; tries < 500; tries++) {
    const { rows } = await owner.query("select from pg_stat_activity where pid = $1 and wait_event_type = 'Lock'", [
      client["processID" as keyof pg.Client],
    ]);
    if (rows.length > 0) return;
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  assert.fail("the connection did not wait");
}

test("a refused or failed request claims nothing, and its copy is answered alike", async () => {
  const { id } = await made();
  const deleted = await made("deleted");
  await send(change(deleted.id, "delete"));
  await send(create({ title: "labelled", label: "taken" }));
  const stranger = await server.account();
  const foreign = (await send(create({ title: "foreign" }), undefined, owner, stranger)).row as Row;
  const cases: [Call, Answer<Row>][] = [
    [patch(id, "x", 7), { outcome: "mismatch" }],
    [put(id, { title: "x" }, "create"), { outcome: "mismatch" }],
    [put(id, { title: "x" }, "replace", 7), { outcome: "mismatch" }],
    [put(randomUUID(), { title: "x" }, "replace"), { outcome: "missing" }],
    [patch(randomUUID(), "x"), { outcome: "missing" }],
    [patch(deleted.id, "x"), { outcome: "missing" }],
    [change(deleted.id, "publish"), { outcome: "missing" }],
    [patch(foreign.id, "x"), { outcome: "missing" }],
    [change(foreign.id, "restore"), { outcome: "missing" }],
    [put(foreign.id, { title: "x" }), { outcome: "taken" }],
    [put(deleted.id, { title: "x" }), { outcome: "taken" }],
    [change(id, "restore", null, 7), { outcome: "already" }],
    [change(deleted.id, "delete", null, 7), { outcome: "already" }],
    [create({ title: "" }), { code: "23514" }],
    [create({ title: "x", label: "taken" }), { code: "23505" }],
    [put(randomUUID(), { title: "x", label: "taken" }), { code: "23505" }],
    [patch(id, ""), { code: "23514" }],
    [change(id, "patch", { label: "taken" }), { code: "23505" }],
    [create({ title: "x", version: 9 }), { code: "22023" }],
    [create({ title: "x", user_id: stranger }), { code: "22023" }],
  ];
  // The policy for UPDATE refuses this row.
  const sealed = await made("sealed");
  cases.push(
    [patch(sealed.id, "x"), { outcome: "forbidden" }],
    [patch(sealed.id, "x", 7), { outcome: "mismatch" }],
    [change(sealed.id, "delete"), { outcome: "forbidden" }],
    [change(sealed.id, "restore"), { outcome: "already" }],
    [put(sealed.id, { title: "x" }), { outcome: "forbidden" }],
    [put(sealed.id, { title: "x" }, "replace", 1), { outcome: "forbidden" }],
    [put(sealed.id, { title: "x" }, "create"), { outcome: "mismatch" }],
  );
  const before = await rows();
  for (const [request, expected] of cases) {
    const of = newNonce();
    for (const claim of [claimOf(of), claimOf(of)]) {
      const answer = await send(request, claim);
      assert.deepEqual({ ...answer, ...expected }, answer, JSON.stringify(request));
    }
  }
  assert.equal(await claims(), 0);
  assert.deepEqual(await rows(), before);
});

test("a key returns its row to new requests; only the first one claims", async () => {
  const key = "order-0001";
  const of = newNonce();
  const first = await send(create({ title: "first" }, key), claimOf(of));
  assert.equal(first.outcome, "created");
  assert.deepEqual(await send(create({ title: "first" }, key), claimOf(newNonce())), first);
  assert.equal(await claims(), 1);
  await send(change(first.row?.id as string, "delete"));
  assert.equal((await send(create({ title: "first" }, key), claimOf(newNonce()))).outcome, "deleted");
  assert.ok(replayed(await send(create({ title: "first" }, key), claimOf(of))));
});

test("requests with one key at once make one row", async () => {
  for (let round = 0; round < 10; round++) {
    const request = create({ title: "x" }, `order-${round}-0001`);
    const answers = await Promise.all(clients.map((client) => send(request, claimOf(newNonce()), client)));
    assert.equal(new Set(answers.map(({ outcome, row }) => `${outcome} ${row?.id}`)).size, 1, JSON.stringify(answers));
  }
  assert.equal((await rows()).length, 10);
});

test("different requests at once are never forbidden", async () => {
  const pairs: [string[], string[]][] = [
    [
      ["publish", "unpublish"],
      ["done", "already"],
    ],
    [
      ["restore", "publish"],
      ["done", "already", "missing"],
    ],
    [
      ["delete", "patch"],
      ["done", "already", "missing"],
    ],
    [
      ["delete", "restore", "patch", "publish", "unpublish"],
      ["done", "already", "missing"],
    ],
  ];
  for (const [actions, allowed] of pairs) {
    const { id } = await made();
    const answers = clients.map(async (client, place) => {
      const own: Answer<Row>[] = [];
      for (let n = 0; n < 8; n++) {
        const action = actions[(place + n) % actions.length] as string;
        own.push(
          await send(
            change(id, action, action === "patch" ? { title: `${place}` } : null),
            claimOf(newNonce()),
            client,
          ),
        );
      }
      return own;
    });
    const seen = (await Promise.all(answers)).flat();
    assert.deepEqual(
      seen.filter(({ outcome = "" }) => !allowed.includes(outcome)),
      [],
    );
    const changes = seen.filter(({ outcome }) => outcome === "done").length;
    assert.equal((await rows()).find((row) => row.id === id)?.version, 1 + changes);
  }
});

test("PUTs of one new id at once create one row and replace it", async () => {
  for (let round = 0; round < 5; round++) {
    const id = randomUUID();
    const answers = await Promise.all(
      clients.map((client, n) => send(put(id, { title: `${n}` }), claimOf(newNonce()), client)),
    );
    const count = (name: string) => answers.filter(({ outcome }) => outcome === name).length;
    assert.deepEqual([count("created"), count("done")], [1, clients.length - 1], JSON.stringify(answers));
  }
});

test("of many changes of one version at once, one is carried out", async () => {
  const { id } = await made();
  const answers = await Promise.all(
    clients.map((client, n) => send(patch(id, `${n}`, 1), claimOf(newNonce()), client)),
  );
  assert.equal(answers.filter(({ outcome }) => outcome === "done").length, 1);
  assert.equal(
    answers.filter(({ outcome, row }) => outcome === "mismatch" && row?.version === 2).length,
    clients.length - 1,
  );
});

test("at repeatable read a copy that waited fails with 40001", async () => {
  const [first, copy] = clients as [pg.Client, pg.Client];
  for (const kind of KINDS) {
    user = await server.account();
    const request = kind.request(await prepared(kind));
    const of = newNonce();
    await begin(copy, user, claimOf(of), "repeatable read");
    await begin(first, user, claimOf(of), "repeatable read");
    const answer = await call<Row>(first, request);
    const waiting = call<Row>(copy, request);
    await waits(copy);
    assert.equal((await end(first, answer)).outcome, kind.outcome);
    assert.equal((await end(copy, await waiting)).code, "40001", kind.kind);
  }
});

test("two users and two apps may use one nonce", async () => {
  const of = newNonce();
  const stranger = await server.account();
  assert.equal((await send(create({ title: "x" }), claimOf(of))).outcome, "created");
  assert.equal((await send(create({ title: "x" }), claimOf(of), owner, stranger)).outcome, "created");
  assert.equal((await send(create({ title: "x" }), claimOf(of).replace("rn-dev", "rn-ios"))).outcome, "created");
});

test("a malformed claim header is refused; without one nothing is claimed", async () => {
  const good = claimOf(newNonce());
  const request = "00000000-0000-4000-8000-000000000000";
  const malformed = [
    "",
    " ",
    "v1",
    good.slice(0, -1),
    `${good}.`,
    `${good}\n`,
    ` ${good}`,
    `${good}, ${good}`,
    good.replace("v1", "v2"),
    good.toUpperCase(),
    `v1.0.${request}.a:${newNonce()}`,
    `v1.901.${request}.a:${newNonce()}`,
    `v1.-1.${request}.a:${newNonce()}`,
    `v1.60.${request}.:${newNonce()}`,
    `v1.60.x.a:${newNonce()}`,
    `v1.60.${request}.a:${"n".repeat(21)}`,
    `v1.60.${request}.a:${"n".repeat(65)}`,
    `v1.60.${request}.${"a".repeat(65)}:${newNonce()}`,
    `v1.60.${request}.a:${"n".repeat(1_000_000)}`,
    `v1.99999999999999999999.${request}.a:${newNonce()}`,
    `v1.60.${request}.a:${newNonce()}é`,
  ].filter((header) => !/^v1\.360\.\S+:[\w-]{22,64}$/.test(header) || /\s/.test(header));
  for (const header of malformed) {
    const answer = await send(create({ title: "x" }), header);
    assert.deepEqual(answer, { code: "PT400", message: "airlock_malformed_claim" }, header.slice(0, 100));
  }
  assert.deepEqual(await rows(), []);
  assert.equal((await send(create({ title: "x" }))).outcome, "created");
  assert.equal(await claims(), 0);
});

test("each claim deletes a few expired ones and waits for none", { timeout: 20_000 }, async () => {
  await owner.query(
    "insert into airlock.claims select gen_random_uuid(), 'a:' || n, gen_random_uuid(), now() - interval '1 second' from generate_series(1, 10) as n",
  );
  const expired = async () =>
    (await owner.query("select count(*)::int as n from airlock.claims where expires_at < now()")).rows[0].n;
  const [holding] = clients as [pg.Client];
  await holding.query(
    "begin; select from airlock.claims where expires_at < now() order by expires_at limit 2 for update",
  );
  await send(create({ title: "x" }), claimOf(newNonce()), clients[1]);
  assert.equal(await expired(), 6);
  await holding.query("rollback");
  for (let n = 0; n < 2; n++) await send(create({ title: "x" }), claimOf(newNonce()));
  assert.equal(await expired(), 0);
  const { rows } = await owner.query(
    "select extract(epoch from expires_at - now()) as seconds from airlock.claims where user_id = $1",
    [user],
  );
  for (const { seconds } of rows) assert.ok(seconds > 350 && seconds <= 360);
});

test("the purge job and writers do not stop each other", { timeout: 30_000 }, async () => {
  const purging = await server.connect();
  const shared = [await made(), await made(), await made(), await made()];
  let over = false;
  const jobs = (async () => {
    let deleted = 0;
    while (!over) {
      // As if every deleted row had been deleted long ago.
      await purging.query(
        "begin; set local session_replication_role = replica; update public.entries set deleted_at = now() - interval '40 days' where id = any (array(select id from public.entries where deleted_at is not null limit 50 for update skip locked)); commit",
      );
      await purging.query("begin; set local role service_role");
      const { rows } = await purging.query(
        "select public.airlock_run_job('job:purge-deleted-rows', gen_random_uuid(), 30, 100) as deleted",
      );
      deleted += rows[0].deleted;
      await purging.query("commit");
    }
    return deleted;
  })();
  const writers = clients.slice(0, 24).map(async (client, place) => {
    const errors: Answer<Row>[] = [];
    for (let n = 0; !over; n++) {
      const { row } = await send(create({ title: "x" }), claimOf(newNonce()), client);
      const id = place % 2 ? (row as Row).id : (shared[n % 4] as Row).id;
      for (const request of [
        patch(id, "y"),
        change(id, "delete"),
        change(id, "restore"),
        put(id, { title: "z" }),
        change(id, "delete"),
      ]) {
        const answer = await send(request, claimOf(newNonce()), client);
        if (answer.outcome === undefined || answer.outcome === "forbidden") errors.push(answer);
      }
    }
    return errors;
  });
  await new Promise((resolve) => setTimeout(resolve, 4000));
  over = true;
  try {
    assert.deepEqual((await Promise.all(writers)).flat(), []);
    assert.ok((await jobs) > 0);
  } finally {
    await purging.end();
  }
});
