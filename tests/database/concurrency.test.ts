// Races of transactions in organisations, on a real Postgres server. The embedded database has one connection and runs
// transactions one after another.

import assert from "node:assert/strict";
import { createHash, randomBytes, randomUUID } from "node:crypto";
import { after, before } from "node:test";

import pg from "pg";

import { type Postgres, startPostgres } from "../../tools/setup/postgres.ts";
import { installed, papers, test } from "../support/organizations.ts";

const ROUNDS = 20;
const COPIES = 50;

let postgres: Postgres;
let owner: pg.Client;
const clients: pg.Client[] = [];

before(async () => {
  if (!installed) return;
  postgres = await startPostgres();
  await postgres.create("airlock");
  owner = await client();
  await owner.query(papers);
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

/** Connections to run requests on at once; each test uses the same ones. */
async function pool(size: number): Promise<pg.Client[]> {
  while (clients.length <= size) await client();
  return clients.slice(1, size + 1);
}

async function users(count: number): Promise<string[]> {
  const ids = Array.from({ length: count }, () => randomUUID());
  await owner.query("insert into auth.users (id) select unnest($1::uuid[])", [ids]);
  return ids;
}

interface Call {
  user: string;
  name: string;
  args: Record<string, unknown>;
  /** X-Airlock-Claim. */
  claim?: string;
}

type Answer = { outcome: string; row?: Record<string, any> };

/** Runs a statement in a transaction as PostgREST does for this user: its rows, or the error's code and message. */
async function as(
  connection: pg.Client,
  user: string,
  text: string,
  values: unknown[],
  claim?: string,
): Promise<Record<string, any>[] | string> {
  const claims = JSON.stringify({ role: "authenticated", sub: user });
  const headers = JSON.stringify(claim ? { "x-airlock-claim": claim } : {});
  try {
    await connection.query("begin");
    await connection.query(
      "select set_config('role', 'authenticated', true), set_config('request.jwt.claims', $1, true), set_config('request.headers', $2, true)",
      [claims, headers],
    );
    const { rows } = await connection.query(text, values);
    await connection.query("commit");
    return rows;
  } catch (error) {
    await connection.query("rollback");
    const { code, message } = error as pg.DatabaseError;
    return code === "42501" ? code : `${code} ${message}`;
  }
}

/** Calls one of the functions of the API. */
async function call(connection: pg.Client, { user, name, args, claim }: Call): Promise<Answer> {
  const names = Object.keys(args).map((key, place) => `${key} => $${place + 1}`);
  const rows = await as(
    connection,
    user,
    `select public.airlock_${name}(${names.join(", ")}) as answer`,
    Object.values(args),
    claim,
  );
  return typeof rows === "string" ? { outcome: rows } : rows[0]?.answer;
}

async function together(calls: Call[]): Promise<Answer[]> {
  const connections = await pool(calls.length);
  return Promise.all(calls.map((one, place) => call(connections[place] as pg.Client, one)));
}

const outcomes = (answers: Answer[]) => answers.map(({ outcome }) => outcome);
const count = (answers: Answer[], outcome: string) => outcomes(answers).filter((one) => one === outcome).length;
const digest = (text: string) => createHash("sha256").update(text).digest("hex");
const newKey = () => ({ request_key: randomUUID(), request_digest: digest("request") });

const change = (user: string, org: string, action: string, more: object = {}): Call => ({
  user,
  name: "org_change",
  args: { org, action, org_name: null, if_match: null, ...more },
});
const setRole = (
  user: string,
  org: string,
  member: string,
  member_role: string,
  if_match: number | null = null,
): Call => ({ user, name: "member_change", args: { org, member, action: "set_role", member_role, if_match } });
const remove = (user: string, org: string, member: string): Call => ({
  user,
  name: "member_change",
  args: { org, member, action: "remove", member_role: null, if_match: null },
});
const invite = (user: string, org: string, token: string, more: object = {}): Call => ({
  user,
  name: "invite",
  args: { org, member_role: "editor", token_digest: digest(token), ...more },
});
const join = (user: string, invitation_token: string): Call => ({ user, name: "join", args: { invitation_token } });

const created = async (one: Call): Promise<string> => {
  const { outcome, row } = await call(owner, one);
  assert.equal(outcome, "created");
  return row?.id;
};
const organisation = (user: string) => created({ user, name: "org_create", args: { org_name: "o" } });
const addMember = (org: string, user: string, role: string) =>
  owner.query("insert into airlock.members (org_id, user_id, role) values ($1, $2, $3)", [org, user, role]);
const newPaper = (user: string, org: string | null, more: object = {}): Call => ({
  user,
  name: "create",
  args: { resource: "papers", org, draft: { title: "before" }, request_key: null, request_digest: null, ...more },
});
const changePaper = (user: string, org: string | null, id: string, action: string, more: object = {}): Call => ({
  user,
  name: "change",
  args: {
    resource: "papers",
    org,
    id,
    action,
    draft: action === "patch" ? { title: "after" } : null,
    if_match: null,
    ...more,
  },
});

const demote = (user: string, org: string, member: string) => setRole(user, org, member, "viewer");

test("when two owners leave or remove each other at once, one stays", async () => {
  const kinds: ((org: string, a: string, b: string) => [Call, Call])[] = [
    (org, a, b) => [remove(a, org, a), remove(b, org, b)],
    (org, a, b) => [setRole(a, org, b, "viewer"), setRole(b, org, a, "viewer")],
    (org, a, b) => [setRole(a, org, a, "viewer"), setRole(b, org, b, "viewer")],
    (org, a, b) => [remove(a, org, b), setRole(b, org, a, "viewer")],
    (org, a, b) => [remove(a, org, a), setRole(b, org, b, "viewer")],
  ];
  for (let round = 0; round < ROUNDS; round++) {
    const [a = "", b = ""] = await users(2);
    const org = await organisation(a);
    await addMember(org, b, "owner");
    const answers = await together((kinds[round % kinds.length] as (typeof kinds)[number])(org, a, b));
    const { rows } = await owner.query(
      "select count(*)::int as owners from airlock.members where org_id = $1 and role = 'owner'",
      [org],
    );
    assert.equal(rows[0].owners, 1, JSON.stringify(answers));
    assert.equal(count(answers, "done"), 1, JSON.stringify(answers));
    const [refused = ""] = outcomes(answers).filter((outcome) => outcome !== "done");
    // Forbidden and missing are for the owner whom the other one has demoted or removed.
    assert.match(
      refused,
      [0, 2, 4].includes(round % kinds.length) ? /^PT409 airlock_last_owner$/ : /^(forbidden|missing)$/,
    );
  }
});

test("an organisation is deleted with the accounts of both its owners", async () => {
  const connections = await pool(2);
  for (let round = 0; round < ROUNDS; round++) {
    const both = await users(2);
    const org = await organisation(both[0] as string);
    await addMember(org, both[1] as string, "owner");
    await Promise.all(
      both.map((user, place) => connections[place]?.query("delete from auth.users where id = $1", [user])),
    );
    const { rows } = await owner.query(
      "select deleted_at is not null as deleted from airlock.organizations where id = $1",
      [org],
    );
    assert.deepEqual(rows, [{ deleted: true }]);
  }
});

test("accounts of an organisation can be deleted at once", async () => {
  const [holding = owner, ...connections] = await pool(4);
  for (let round = 0; round < ROUNDS; round++) {
    const accounts = await users(3);
    const [host = "", second = "", third = ""] = accounts;
    const org = await organisation(host);
    await addMember(org, second, round % 2 ? "owner" : "viewer");
    await addMember(org, third, "editor");
    // A change of the organisation, for which all of them wait.
    await holding.query("begin");
    await holding.query("select from airlock.organizations where id = $1 for no key update", [org]);
    const deleted = Promise.all(
      accounts.map((user, place) => connections[place]?.query("delete from auth.users where id = $1", [user])),
    );
    await new Promise((resolve) => setTimeout(resolve, 30));
    await holding.query("commit");
    await deleted;
    const { rows } = await owner.query(
      "select deleted_at is not null as deleted, (select count(*)::int from airlock.members where org_id = $1) as members from airlock.organizations where id = $1",
      [org],
    );
    assert.deepEqual(rows, [{ deleted: true, members: 0 }], `round ${round}`);
  }
});

test("an account can be deleted while its organisation changes", async () => {
  const [deleting = owner] = await pool(1);
  for (let round = 0; round < ROUNDS; round++) {
    const [host = "", rival = "", guest = ""] = await users(3);
    const org = await organisation(host);
    await addMember(org, rival, "owner");
    const token = randomUUID();
    await created(invite(rival, org, token));
    const calls = [
      change(host, org, "delete"),
      remove(host, org, rival),
      setRole(host, org, rival, "viewer"),
      join(guest, token),
      change(host, org, "rename", { org_name: "n" }),
    ];
    const connections = (await pool(calls.length + 1)).slice(1);
    const [, ...answers] = await Promise.all([
      deleting.query("delete from auth.users where id = $1", [rival]),
      ...calls.map((one, place) => call(connections[place] as pg.Client, one)),
    ]);
    for (const { outcome } of answers as Answer[]) assert.match(outcome, /^(done|missing)$/);
  }
});

/** Makes these calls over and over, each on its connection, until `work` is done. */
async function underFire<T>(calls: Call[], work: () => Promise<T>): Promise<T> {
  const connections = await pool(calls.length);
  let over = false;
  const fire = calls.map(async (one, place) => {
    while (!over) await call(connections[place] as pg.Client, one);
  });
  await new Promise((resolve) => setTimeout(resolve, 30));
  const result = await work();
  await new Promise((resolve) => setTimeout(resolve, 30));
  over = true;
  await Promise.all(fire);
  return result;
}

test("a removed owner does not come back by their own invitations", async () => {
  for (let round = 0; round < ROUNDS; round++) {
    const [host = "", rival = ""] = await users(2);
    const org = await organisation(host);
    await addMember(org, rival, "owner");
    const tokens = Array.from({ length: 8 }, () => randomUUID());
    for (const token of tokens) await created(invite(rival, org, token));
    const removed = await underFire(
      tokens.map((token) => join(rival, token)),
      () => call(owner, remove(host, org, rival)),
    );
    assert.equal(removed.outcome, "done");
    const { rows } = await owner.query("select role from airlock.members where org_id = $1 and user_id = $2", [
      org,
      rival,
    ]);
    assert.deepEqual(rows, [], `round ${round}`);
  }
});

test("a demoted owner can neither undo it nor rename", async () => {
  for (let round = 0; round < ROUNDS; round++) {
    const [host = "", rival = ""] = await users(2);
    const org = await organisation(host);
    await addMember(org, rival, "owner");
    const calls = Array.from({ length: 8 }, (_, place) =>
      place % 2 ? setRole(rival, org, rival, "owner") : change(rival, org, "rename", { org_name: "x" }),
    );
    let demotedAt = 0;
    await underFire(calls, async () => {
      assert.equal((await call(owner, setRole(host, org, rival, "viewer"))).outcome, "done");
      const { rows } = await owner.query("select version from airlock.organizations where id = $1", [org]);
      demotedAt = rows[0].version;
    });
    const { rows } = await owner.query(
      "select role, (select version from airlock.organizations where id = $1) from airlock.members where org_id = $1 and user_id = $2",
      [org, rival],
    );
    assert.deepEqual(rows, [{ role: "viewer", version: demotedAt }], `round ${round}`);
  }
});

test("an organisation that is deleted while its members change is live for none", async () => {
  let deleted = 0;
  for (let round = 0; round < ROUNDS; round++) {
    const [host = "", rival = "", friend = "", guest = ""] = await users(4);
    const org = await organisation(host);
    await addMember(org, rival, "owner");
    await addMember(org, friend, "viewer");
    const token = randomUUID();
    await created(invite(rival, org, token));
    const answers = await together([
      change(host, org, "delete"),
      setRole(rival, org, friend, "editor"),
      remove(friend, org, friend),
      join(guest, token),
    ]);
    for (const { outcome } of answers) assert.match(outcome, /^(done|missing)$/, JSON.stringify(answers));
    const { rows } = await owner.query(
      "select deleted_at is null as live, (select array_agg(distinct members.live) from airlock.members where members.org_id = $1) as members from airlock.organizations where id = $1",
      [org],
    );
    assert.deepEqual(rows[0].members, [rows[0].live], JSON.stringify(answers));
    if (!rows[0].live) deleted++;
  }
  assert.equal(deleted, ROUNDS);
});

/** Runs `waiting` while `owner` holds these rows, and `meanwhile` in the transaction that holds them. */
async function whileHeld(org: string, waiting: () => Promise<unknown>, meanwhile: Call): Promise<unknown> {
  await owner.query("begin");
  await owner.query("select from airlock.organizations where id = $1 for update", [org]);
  await owner.query("select from public.papers where org_id = $1 for update", [org]);
  const outcome = waiting();
  await new Promise((resolve) => setTimeout(resolve, 100));
  const names = Object.keys(meanwhile.args).map((key, place) => `${key} => $${place + 1}`);
  await owner.query("select set_config('role', 'authenticated', true), set_config('request.jwt.claims', $1, true)", [
    JSON.stringify({ role: "authenticated", sub: meanwhile.user }),
  ]);
  const { rows } = await owner.query(
    `select public.airlock_${meanwhile.name}(${names.join(", ")}) as answer`,
    Object.values(meanwhile.args),
  );
  assert.equal(rows[0].answer.outcome, "done");
  await owner.query("commit");
  return outcome;
}

test("a request that waited finds the organisation as it is then", async () => {
  const [waiting = owner] = await pool(1);
  for (const [removed, expected] of [
    [true, "missing"],
    [false, "missing"],
    [null, "forbidden"],
  ] as const) {
    const statements: ((rival: string, org: string, invitation: string) => Call)[] = [
      (rival, org) => change(rival, org, "rename", { org_name: "after" }),
      (rival, org) => change(rival, org, "delete"),
      (rival, org, invitation) => ({ user: rival, name: "invitation_revoke", args: { org, invitation } }),
    ];
    for (const statement of statements) {
      const [host = "", rival = ""] = await users(2);
      const org = await organisation(host);
      await addMember(org, rival, "owner");
      const invitation = await created(invite(host, org, randomUUID()));
      const meanwhile =
        removed === null
          ? setRole(host, org, rival, "viewer")
          : removed
            ? remove(host, org, rival)
            : change(host, org, "delete");
      const answer = await whileHeld(org, () => call(waiting, statement(rival, org, invitation)), meanwhile);
      assert.deepEqual(answer, { outcome: expected });
      const left = await owner.query(
        "select name, (select count(*)::int as invitations from airlock.invitations where org_id = $1) from airlock.organizations where id = $1",
        [org],
      );
      assert.deepEqual(left.rows, [{ name: "o", invitations: 1 }]);
    }
  }
});

test("a statement to a table that waited is refused when the role is lost", async () => {
  const [waiting = owner] = await pool(1);
  for (const removed of [true, false]) {
    const [host = "", rival = ""] = await users(2);
    const org = await organisation(host);
    await addMember(org, rival, "owner");
    await created(newPaper(host, org));
    const overwrite = () =>
      as(waiting, rival, "update public.papers set title = 'after' where org_id = $1 returning title", [org]);
    assert.equal(
      await whileHeld(org, overwrite, removed ? remove(host, org, rival) : change(host, org, "delete")),
      "42501",
    );
    const { rows } = await owner.query("select title from public.papers where org_id = $1", [org]);
    assert.deepEqual(rows, [{ title: "before" }]);
  }
});

test("a writer who lost the role while waiting writes no row", async () => {
  const [waiting = owner, holding = owner] = await pool(2);
  for (const rounds of [1, 2]) {
    const [host = "", rival = ""] = await users(2);
    const org = await organisation(host);
    await addMember(org, rival, "editor");
    const shared = await created(newPaper(host, org));
    const own = await created(newPaper(rival, null));
    const made = randomUUID();

    await holding.query("begin");
    if (rounds === 1) await holding.query("select from public.papers where id = $1 for update", [own]);
    else await holding.query("insert into public.papers (id, user_id, title) values ($1, $2, 'held')", [made, rival]);
    const [text, values] =
      rounds === 1
        ? ["update public.papers set published_at = now() where id = any ($1) returning id", [[shared, own]]]
        : ["insert into public.papers (id, org_id, title) values ($1, $2, 'late') returning id", [made, org]];
    const outcome = as(waiting, rival, text as string, values as unknown[]);
    await new Promise((resolve) => setTimeout(resolve, 100));
    assert.equal((await call(owner, remove(host, org, rival))).outcome, "done");
    await holding.query("rollback");
    assert.equal(await outcome, "42501");
    const { rows } = await owner.query("select title, published_at from public.papers where org_id = $1", [org]);
    assert.deepEqual(rows, [{ title: "before", published_at: null }]);
  }
});

test("a write of a member who is removed meanwhile finds nothing", async () => {
  const [waiting = owner, holding = owner] = await pool(2);
  for (const [meanwhile, expected] of [
    [remove, "PT404 airlock_not_found"],
    [demote, "42501"],
  ] as const) {
    const writes: ((rival: string, org: string, paper: string) => Call)[] = [
      (rival, org) => newPaper(rival, org),
      (rival, org) => ({
        user: rival,
        name: "put",
        args: { resource: "papers", org, id: randomUUID(), draft: { title: "before" }, mode: "any", if_match: null },
      }),
      (rival, org, paper) => changePaper(rival, org, paper, "patch"),
    ];
    for (const write of writes) {
      const [host = "", rival = ""] = await users(2);
      const org = await organisation(host);
      await addMember(org, rival, "editor");
      const paper = await created(newPaper(host, org));
      const nonce = randomBytes(16).toString("hex");
      // The write waits for this claim, after it has found the organisation and the row.
      await holding.query("begin");
      await holding.query("insert into airlock.claims values ($1, $2, $3, now() + interval '1 minute')", [
        rival,
        `rn-ios:${nonce}`,
        randomUUID(),
      ]);
      const answer = call(waiting, { ...write(rival, org, paper), claim: `v1.360.${randomUUID()}.rn-ios:${nonce}` });
      await new Promise((resolve) => setTimeout(resolve, 100));
      assert.equal((await call(owner, meanwhile(host, org, rival))).outcome, "done");
      await holding.query("rollback");
      const { outcome } = await answer;
      // An UPDATE of a row that the caller may not change any more changes none; the Worker sends it again.
      assert.ok(outcome === expected || outcome.startsWith("40001 "), outcome);
      const { rows } = await owner.query("select title from public.papers where org_id = $1", [org]);
      assert.deepEqual(rows, [{ title: "before" }]);
    }
  }
});

test("one of nine users joins by one invitation", async () => {
  for (let round = 0; round < ROUNDS; round++) {
    const [host = "", ...guests] = await users(10);
    const org = await organisation(host);
    const token = randomUUID();
    await created(invite(host, org, token));
    const answers = await together(guests.map((user) => join(user, token)));
    assert.deepEqual([count(answers, "done"), count(answers, "missing")], [1, 8], JSON.stringify(answers));
    const { rows } = await owner.query("select count(*)::int as members from airlock.members where org_id = $1", [org]);
    assert.equal(rows[0].members, 2);
  }
});

test("of nine requests with one Idempotency-Key, one creates the row", async () => {
  const [user = ""] = await users(1);
  const org = await organisation(user);
  for (let round = 0; round < ROUNDS; round++) {
    const key = newKey();
    const kinds: ((place: number) => Call)[] = [
      () => newPaper(user, null, key),
      () => newPaper(user, org, key),
      () => ({ user, name: "org_create", args: { org_name: "o", ...key } }),
      (place) => invite(user, org, `${round} ${place}`, key),
    ];
    const kind = kinds[round % kinds.length] as (typeof kinds)[number];
    const answers = await together(Array.from({ length: 9 }, (_, place) => kind(place)));
    assert.equal(count(answers, "created"), 9, JSON.stringify(answers));
    assert.equal(new Set(answers.map(({ row }) => row?.id)).size, 1, JSON.stringify(answers));
  }
  const { rows } = await owner.query(
    "select (select count(*)::int from public.papers where user_id = $1) as papers, (select count(*)::int from airlock.members where user_id = $1) as orgs, (select count(*)::int from airlock.invitations where created_by = $1) as invitations",
    [user],
  );
  assert.deepEqual(rows, [{ papers: ROUNDS / 2, orgs: ROUNDS / 4 + 1, invitations: ROUNDS / 4 }]);
});

test("of two changes of one version at once, one is made", async () => {
  const [user = "", friend = ""] = await users(2);
  for (let round = 0; round < ROUNDS; round++) {
    const org = await organisation(user);
    await addMember(org, friend, "viewer");
    const paper = await created(newPaper(user, null));
    const kinds: ((title: string) => Call)[] = [
      (title) => changePaper(user, null, paper, "patch", { draft: { title }, if_match: 1 }),
      (org_name) => change(user, org, "rename", { org_name, if_match: 2 }),
      (name) => setRole(user, org, friend, name === "a" ? "editor" : "owner", 1),
    ];
    const answers = await together(["a", "b"].map(kinds[round % kinds.length] as (typeof kinds)[number]));
    assert.deepEqual(outcomes(answers).sort(), ["done", "mismatch"]);
  }
});

const putPaper = (user: string, org: string, id: string): Call => ({
  user,
  name: "put",
  args: { resource: "papers", org, id, draft: { title: "put" }, mode: "any", if_match: null },
});

/** A change of a row of the organisation, after the one that it needs. */
function changedPaper(action: string, before?: string) {
  return async (user: string, org: string): Promise<Call> => {
    const id = await created(newPaper(user, org));
    if (before) assert.equal((await call(owner, changePaper(user, org, id, before))).outcome, "done");
    return changePaper(user, org, id, action);
  };
}

/** Each kind of write in organisations: prepares its rows and returns the request. */
const WRITES: [name: string, prepare: (user: string, org: string) => Promise<Call> | Call][] = [
  ["create an organisation", (user) => ({ user, name: "org_create", args: { org_name: "copied" } })],
  [
    "create an organisation under a key",
    (user) => ({ user, name: "org_create", args: { org_name: "copied", ...newKey() } }),
  ],
  ["rename an organisation", (user, org) => change(user, org, "rename", { org_name: "copied" })],
  [
    "rename one version of an organisation",
    (user, org) => change(user, org, "rename", { org_name: "copied", if_match: 1 }),
  ],
  ["delete an organisation", (user, org) => change(user, org, "delete")],
  ["set a role", async (user, org) => setRole(user, org, await member(org), "owner")],
  ["step down", async (user, org) => (await member(org, "owner"), setRole(user, org, user, "viewer"))],
  ["remove a member", async (user, org) => remove(user, org, await member(org))],
  ["leave", async (_, org) => ((user) => remove(user, org, user))(await member(org))],
  ["invite", (user, org) => invite(user, org, randomUUID())],
  ["invite under a key", (user, org) => invite(user, org, randomUUID(), newKey())],
  [
    "invite again under a key",
    async (user, org) => {
      const key = newKey();
      await created(invite(user, org, randomUUID(), key));
      return invite(user, org, randomUUID(), key);
    },
  ],
  [
    "revoke an invitation",
    async (user, org) => ({
      user,
      name: "invitation_revoke",
      args: { org, invitation: await created(invite(user, org, randomUUID())) },
    }),
  ],
  [
    "join",
    async (user, org) => {
      const token = randomUUID();
      await created(invite(user, org, token));
      return join((await users(1))[0] as string, token);
    },
  ],
  ["create a row", (user, org) => newPaper(user, org)],
  ["create a row under a key", (user, org) => newPaper(user, org, newKey())],
  ["put a new row", (user, org) => putPaper(user, org, randomUUID())],
  ["put a row", async (user, org) => putPaper(user, org, await created(newPaper(user, org)))],
  ["patch a row", changedPaper("patch")],
  ["delete a row", changedPaper("delete")],
  ["restore a row", changedPaper("restore", "delete")],
  ["publish a row", changedPaper("publish")],
  ["unpublish a row", changedPaper("unpublish", "publish")],
];

async function member(org: string, role = "viewer"): Promise<string> {
  const [user = ""] = await users(1);
  await addMember(org, user, role);
  return user;
}

for (const [name, prepare] of WRITES) {
  test(`one of ${COPIES} copies is carried out: ${name}`, async () => {
    const [user = ""] = await users(1);
    const org = await organisation(user);
    const request = await prepare(user, org);
    const nonce = randomBytes(16).toString("base64url");
    const copies = Array.from({ length: COPIES }, () => ({
      ...request,
      claim: `v1.360.${randomUUID()}.rn-ios:${nonce}`,
    }));
    const answers = await together(copies);
    assert.equal(count(answers, "done") + count(answers, "created"), 1, JSON.stringify(answers));
    assert.equal(count(answers, "PT409 airlock_request_replayed"), COPIES - 1, JSON.stringify(answers));
  });
}
