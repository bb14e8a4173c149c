// What two transactions do to each other, on a real Postgres server: PGlite, which is one connection, has them one after
// another.

import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { after, before, test } from "node:test";

import pg from "pg";

import { startPostgres, type Postgres } from "../../tools/setup/postgres.ts";

const ROUNDS = 20;

let postgres: Postgres;
let owner: pg.Client;
const clients: pg.Client[] = [];

before(async () => {
  postgres = await startPostgres();
  await postgres.create("airlock");
  owner = await client();
});
after(async () => {
  for (const one of clients) await one.end();
  await postgres?.stop();
});

async function client(): Promise<pg.Client> {
  const one = new pg.Client({ connectionString: postgres.url("airlock") });
  await one.connect();
  clients.push(one);
  return one;
}

async function users(count: number): Promise<string[]> {
  const ids = Array.from({ length: count }, () => randomUUID());
  await owner.query("insert into auth.users (id) select unnest($1::uuid[])", [ids]);
  return ids;
}

/** As PostgREST runs a statement of this user's: the error's code, or its rows. */
async function as(connection: pg.Client, user: string, text: string, values: unknown[]): Promise<Record<string, unknown>[] | string> {
  try {
    await connection.query("begin");
    const claims = JSON.stringify({ role: "authenticated", sub: user });
    await connection.query("select set_config('role', 'authenticated', true), set_config('request.jwt.claims', $1, true)", [claims]);
    const { rows } = await connection.query(text, values);
    await connection.query("commit");
    return rows;
  } catch (error) {
    await connection.query("rollback");
    return (error as pg.DatabaseError).code ?? String(error);
  }
}

/** The same at once, each on a connection of its own. */
function together(all: { user: string; text: string; values: unknown[] }[], connections: pg.Client[]) {
  return Promise.all(all.map(({ user, text, values }, place) => as(connections[place] as pg.Client, user, text, values)));
}

async function organisation(of: string): Promise<string> {
  const [row] = (await as(owner, of, "select id from public.create_organization('o')", [])) as { id: string }[];
  assert.ok(row);
  return row.id;
}

test("of two owners who leave, step down or remove each other at once, one stays", async () => {
  const connections = [await client(), await client()];
  const leave = "delete from public.organization_members where org_id = $1 and user_id = $2 returning user_id";
  const demote = "update public.organization_members set role = 'viewer' where org_id = $1 and user_id = $2 returning user_id";
  const kinds = [
    [leave, 0, leave, 1],
    [demote, 1, demote, 0],
    [leave, 1, demote, 0],
    [leave, 0, demote, 1],
  ] as const;
  let refused = 0;
  for (let round = 0; round < ROUNDS; round++) {
    const both = await users(2);
    const org = await organisation(both[0] as string);
    await owner.query("insert into public.organization_members (org_id, user_id, role) values ($1, $2, 'owner')", [org, both[1]]);
    const [first, of, second, of2] = kinds[round % kinds.length] as (typeof kinds)[number];
    const outcomes = await together(
      [
        { user: both[0] as string, text: first, values: [org, both[of]] },
        { user: both[1] as string, text: second, values: [org, both[of2]] },
      ],
      connections,
    );
    const { rows } = await owner.query("select count(*)::int as owners from public.organization_members where org_id = $1 and role = 'owner'", [org]);
    assert.equal(rows[0].owners, 1, JSON.stringify(outcomes));
    refused += outcomes.filter((outcome) => outcome === "PT409" || outcome === "42501" || (Array.isArray(outcome) && outcome.length === 0)).length;
  }
  assert.equal(refused, ROUNDS, "one of the two each time");
});

/** Sends statements on all connections, over and over, until `work` is done. */
async function underFire<T>(connections: pg.Client[], statement: (place: number) => { user: string; text: string; values: unknown[] }, work: () => Promise<T>): Promise<T> {
  let over = false;
  const fire = connections.map(async (connection, place) => {
    const { user, text, values } = statement(place);
    while (!over) await as(connection, user, text, values);
  });
  await new Promise((resolve) => setTimeout(resolve, 30));
  const result = await work();
  await new Promise((resolve) => setTimeout(resolve, 30));
  over = true;
  await Promise.all(fire);
  return result;
}

test("an owner who is removed does not come back by invitations of their own, however many are under way", async () => {
  const connections = await Promise.all(Array.from({ length: 8 }, client));
  const invite = "insert into public.organization_invitations (org_id, role, token_digest) values ($1, 'owner', encode(sha256(convert_to($2, 'UTF8')), 'hex'))";
  for (let round = 0; round < ROUNDS; round++) {
    const [host = "", rival = ""] = await users(2);
    const org = await organisation(host);
    await owner.query("insert into public.organization_members (org_id, user_id, role) values ($1, $2, 'owner')", [org, rival]);
    const tokens = connections.map((_, place) => `${round}x${place}`.padEnd(43, "r"));
    for (const token of tokens) assert.ok(Array.isArray(await as(owner, rival, invite, [org, token])));
    const remove = "delete from public.organization_members where org_id = $1 and user_id = $2 returning user_id";
    const accept = (place: number) => ({ user: rival, text: "select id from public.accept_invitation($1)", values: [tokens[place]] });
    const removed = await underFire(connections, accept, () => as(owner, host, remove, [org, rival]));
    assert.equal(removed.length, 1);
    const { rows } = await owner.query("select role from public.organization_members where org_id = $1 and user_id = $2", [org, rival]);
    assert.deepEqual(rows, [], `round ${round}`);
  }
});

test("an owner who is demoted can neither undo it, nor promote, remove or rename any more, whatever is under way", async () => {
  const connections = await Promise.all(Array.from({ length: 8 }, client));
  for (let round = 0; round < ROUNDS; round++) {
    const [host = "", rival = "", friend = ""] = await users(3);
    const org = await organisation(host);
    await owner.query("insert into public.organization_members (org_id, user_id, role) values ($1, $2, 'owner'), ($1, $3, 'viewer')", [org, rival, friend]);
    const statements = [
      { text: "update public.organization_members set role = 'owner' where org_id = $1 and user_id = $2", values: [org, rival] },
      { text: "update public.organizations set name = name || '!' where id = $1", values: [org] },
    ];
    const demote = "update public.organization_members set role = 'viewer' where org_id = $1 and user_id = $2 returning role";
    let demotedAt = 0;
    await underFire(
      connections,
      (place) => ({ user: rival, ...(statements[place % statements.length] as (typeof statements)[number]) }),
      async () => {
        assert.deepEqual(await as(owner, host, demote, [org, rival]), [{ role: "viewer" }]);
        const { rows } = await owner.query("select length(name) as length from public.organizations where id = $1", [org]);
        demotedAt = rows[0].length;
      },
    );
    const { rows } = await owner.query("select role, (select length(name) from public.organizations where id = $1) as length from public.organization_members where org_id = $1 and user_id = $2", [org, rival]);
    assert.deepEqual(rows, [{ role: "viewer", length: demotedAt }], `round ${round}`);
  }
});

test("an organisation that is deleted while its members change and join is live for none of them", async () => {
  const connections = await Promise.all(Array.from({ length: 4 }, client));
  let deleted = 0;
  for (let round = 0; round < ROUNDS; round++) {
    const [host = "", rival = "", friend = "", guest = ""] = await users(4);
    const org = await organisation(host);
    await owner.query("insert into public.organization_members (org_id, user_id, role) values ($1, $2, 'owner'), ($1, $3, 'viewer')", [org, rival, friend]);
    const token = `${round}`.padStart(43, "d");
    const invite = "insert into public.organization_invitations (org_id, role, token_digest) values ($1, 'editor', encode(sha256(convert_to($2, 'UTF8')), 'hex')) returning id";
    assert.ok(Array.isArray(await as(owner, rival, invite, [org, token])));
    const outcomes = await together(
      [
        { user: host, text: "update public.organizations set deleted_at = now() where id = $1 returning id", values: [org] },
        { user: rival, text: "update public.organization_members set role = 'editor' where org_id = $1 and user_id = $2 returning role", values: [org, friend] },
        { user: friend, text: "delete from public.organization_members where org_id = $1 and user_id = $2 returning role", values: [org, friend] },
        { user: guest, text: "select id from public.accept_invitation($1)", values: [token] },
      ],
      connections,
    );
    // They lock in another order than a change of members: Postgres may end one of the two (40P01), which its client sends again.
    for (const outcome of outcomes) assert.ok(Array.isArray(outcome) || outcome === "40P01" || outcome === "42501", JSON.stringify(outcomes));
    const { rows } = await owner.query(
      "select deleted_at is null as live, (select array_agg(distinct members.live) from public.organization_members as members where members.org_id = $1) as members from public.organizations where id = $1",
      [org],
    );
    assert.deepEqual(rows[0].members, [rows[0].live], JSON.stringify(outcomes));
    if (!rows[0].live) deleted++;
  }
  assert.ok(deleted > 0);
});

test("who is removed, or whose organisation is deleted, while a statement of theirs waits, has nothing of it", async () => {
  const waiting = await client();
  const rename = "update public.organizations set name = name where id = $1 returning name";
  const restore = "update public.organizations set deleted_at = null where id = $1 returning id";
  const overwrite = "update public.notes set title = 'after' where org_id = $1 returning body";
  const takeBack = "delete from public.organization_invitations where org_id = $1 returning role";
  const remove = "delete from public.organization_members where org_id = $1 and user_id = $2 returning role";
  const end = "update public.organizations set deleted_at = now() where id = $1 returning id";
  for (const [meanwhile, statement] of [[remove, rename], [remove, overwrite], [remove, takeBack], [end, restore], [end, rename], [end, overwrite], [end, takeBack]] as const) {
    const [host = "", rival = ""] = await users(2);
    const org = await organisation(host);
    await owner.query("insert into public.organization_members (org_id, user_id, role) values ($1, $2, 'owner')", [org, rival]);
    assert.ok(Array.isArray(await as(owner, host, "insert into public.notes (title, body, org_id) values ('before', 'secret', $1) returning id", [org])));
    const invite = "insert into public.organization_invitations (org_id, role, token_digest) values ($1, 'viewer', encode(sha256(convert_to($2, 'UTF8')), 'hex')) returning id";
    assert.ok(Array.isArray(await as(owner, host, invite, [org, org])));

    await owner.query("begin");
    for (const table of ["organizations", "notes", "organization_invitations"]) {
      await owner.query(`select from public.${table} where $1 in (${table === "organizations" ? "id" : "org_id"}) for update`, [org]);
    }
    const outcome = as(waiting, rival, statement, [org]);
    await new Promise((resolve) => setTimeout(resolve, 100));
    // In the transaction that it waits for.
    await owner.query("select set_config('role', 'authenticated', true), set_config('request.jwt.claims', $1, true)", [JSON.stringify({ role: "authenticated", sub: host })]);
    const { rows } = await owner.query(meanwhile, meanwhile === remove ? [org, rival] : [org]);
    assert.equal(rows.length, 1);
    await owner.query("commit");
    assert.equal(await outcome, "42501", statement);

    const left = await owner.query("select deleted_at is null as live, (select title from public.notes where org_id = $1), (select count(*)::int as invitations from public.organization_invitations where org_id = $1) from public.organizations where id = $1", [org]);
    assert.deepEqual(left.rows, [{ live: meanwhile === remove, title: "before", invitations: 1 }], statement);
  }
});

test("nor has a statement of many rows that waits after it has written the first", async () => {
  const [waiting, holding] = [await client(), await client()];
  for (const rounds of [1, 2]) {
    const [host = "", rival = ""] = await users(2);
    const org = await organisation(host);
    await owner.query("insert into public.organization_members (org_id, user_id, role) values ($1, $2, 'editor')", [org, rival]);
    const [shared] = (await as(owner, host, "insert into public.notes (title, org_id) values ('before', $1) returning id", [org])) as { id: string }[];
    const [own] = (await as(owner, rival, "insert into public.notes (title) values ('own') returning id", [])) as { id: string }[];
    const made = randomUUID();

    await holding.query("begin");
    if (rounds === 1) await holding.query("select from public.notes where id = $1 for update", [own?.id]);
    else await holding.query("insert into public.notes (id, user_id, title) values ($1, $2, 'held')", [made, rival]);
    const [text, values] =
      rounds === 1
        ? ["update public.notes set published_at = now() where id = any ($1) returning id", [[shared?.id, own?.id]]]
        : ["insert into public.notes (id, org_id, title) values ($1, $2, 'late') returning id", [made, org]];
    const outcome = as(waiting, rival, text as string, values as unknown[]);
    await new Promise((resolve) => setTimeout(resolve, 100));
    const removed = await as(owner, host, "delete from public.organization_members where org_id = $1 and user_id = $2 returning role", [org, rival]);
    assert.equal(removed.length, 1);
    await holding.query("rollback");
    assert.equal(await outcome, "42501");
    const { rows } = await owner.query("select title, published_at from public.notes where org_id = $1", [org]);
    assert.deepEqual(rows, [{ title: "before", published_at: null }]);
  }
});

test("of nine who accept one invitation at once, one joins", async () => {
  const connections = await Promise.all(Array.from({ length: 9 }, client));
  for (let round = 0; round < ROUNDS; round++) {
    const [host = "", ...guests] = await users(10);
    const org = await organisation(host);
    const token = `${round}`.padStart(43, "t");
    const invite = "insert into public.organization_invitations (org_id, role, token_digest) values ($1, 'editor', encode(sha256(convert_to($2, 'UTF8')), 'hex')) returning id";
    assert.ok(Array.isArray(await as(owner, host, invite, [org, token])));
    const outcomes = await together(guests.map((user) => ({ user, text: "select id from public.accept_invitation($1)", values: [token] })), connections);
    assert.equal(outcomes.filter((outcome) => Array.isArray(outcome) && outcome.length === 1).length, 1, JSON.stringify(outcomes));
    const { rows } = await owner.query("select count(*)::int as members from public.organization_members where org_id = $1", [org]);
    assert.equal(rows[0].members, 2);
  }
});

test("of nine requests with one Idempotency-Key at once, one makes the note and all are told of it", async () => {
  const connections = await Promise.all(Array.from({ length: 9 }, client));
  const [user = ""] = await users(1);
  for (let round = 0; round < ROUNDS; round++) {
    const values = [`order-${round}-0001`, "0".repeat(64)];
    const request = { user, text: "select id from public.create_note_once($1, $2, 't', 'b')", values };
    const outcomes = await together(Array(9).fill(request), connections);
    const ids = new Set(outcomes.map((outcome) => (Array.isArray(outcome) ? outcome[0]?.["id"] : outcome)));
    assert.equal(ids.size, 1, JSON.stringify(outcomes));
  }
  const { rows } = await owner.query("select count(*)::int as notes from public.notes where user_id = $1", [user]);
  assert.equal(rows[0].notes, ROUNDS);
});

test("of two changes of one version at once, one finds it", async () => {
  const connections = [await client(), await client()];
  const [user = ""] = await users(1);
  for (let round = 0; round < ROUNDS; round++) {
    const [note] = (await as(owner, user, "insert into public.notes (title) values ('t') returning id", [])) as { id: string }[];
    const text = "update public.notes set title = $2 where id = $1 and version = 1 returning version";
    const outcomes = await together(["a", "b"].map((title) => ({ user, text, values: [note?.id, title] })), connections);
    assert.equal(outcomes.flat().length, 1, JSON.stringify(outcomes));
  }
});
