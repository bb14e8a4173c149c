// Organisations at the REST API, without the Worker: each role calls each function, in its own organisation and in
// another one.

import assert from "node:assert/strict";
import { createHash, randomUUID } from "node:crypto";
import { after, before, beforeEach } from "node:test";

import type { Supabase } from "../../tools/supabase.ts";
import { installed, papers, replaceOrganizations, test } from "../support/organizations.ts";
import { freshSupabase, publishableKey, sign } from "./support.ts";

const ids = {
  own: "a0000000-0000-4000-8000-000000000000",
  other: "b0000000-0000-4000-8000-000000000000",
  owner: "00000000-0000-4000-8000-000000000001",
  editor: "00000000-0000-4000-8000-000000000002",
  viewer: "00000000-0000-4000-8000-000000000003",
  outsider: "00000000-0000-4000-8000-000000000004",
  /** The second owner of the own organisation. */
  mate: "00000000-0000-4000-8000-000000000005",
  /** The owner of the other organisation. */
  stranger: "00000000-0000-4000-8000-000000000006",
};

type Person = "owner" | "editor" | "viewer" | "outsider" | "mate" | "stranger";
type Row = Record<string, unknown>;

const digest = (text: string) => createHash("sha256").update(text).digest("hex");
const paperOf = (org: string) => org.replace("0000", "0001");
const invitationOf = (org: string) => org.replace("0000", "0002");
const tokenOf = (org: string) => `token of ${org}`;

let supabase: Supabase;

before(async () => {
  if (!installed) return;
  supabase = await freshSupabase();
  await supabase.sql(papers);
  const people = ["owner", "editor", "viewer", "outsider", "mate", "stranger"] as const;
  for (const who of people)
    await supabase.sql("insert into auth.users (id, email) values ($1, $2)", [ids[who], `${who}@example.com`]);
});
after(() => supabase?.stop());
beforeEach(() => (installed ? reset() : undefined));

/** Makes both organisations as they were, with an invitation and a paper in each. */
async function reset(): Promise<void> {
  const { own, other, owner, editor, viewer, mate, stranger } = ids;
  const invitation = (org: string, by: string) =>
    `('${invitationOf(org)}', '${org}', 'editor', '${by}', '${digest(tokenOf(org))}')`;
  await supabase.sql(`
    delete from public.papers;
    ${replaceOrganizations({
      [own]: { [owner]: "owner", [mate]: "owner", [editor]: "editor", [viewer]: "viewer" },
      [other]: { [stranger]: "owner" },
    })}
    delete from airlock.claims;
    insert into airlock.invitations (id, org_id, role, created_by, token_digest) values
      ${invitation(own, owner)}, ${invitation(other, stranger)};
    insert into public.papers (id, org_id, user_id, title) values
      ('${paperOf(own)}', '${own}', '${owner}', 'paper'), ('${paperOf(other)}', '${other}', '${stranger}', 'paper');
  `);
}

/** All rows, without the policies. */
function everything(): Promise<Row[]> {
  const tables = [
    "airlock.organizations",
    "airlock.members",
    "airlock.invitations",
    "public.papers",
    "airlock.idempotency_keys",
    "airlock.claims",
  ];
  return supabase.sql(tables.map((table) => `select '${table}' as name, * from ${table} order by 2, 3`).join(";"));
}

interface Sent {
  as?: Person | undefined;
  json?: object | undefined;
  headers?: Record<string, string>;
}

/** One request to PostgREST. */
async function send(method: string, path: string, { as, json, headers }: Sent): Promise<{ status: number; body: any }> {
  const token = as && sign({ sub: ids[as], role: "authenticated", exp: Math.floor(Date.now() / 1000) + 600 });
  const response = await fetch(`${supabase.url}/rest/v1${path}`, {
    method,
    headers: {
      apikey: publishableKey,
      prefer: "return=representation",
      ...(token && { authorization: `Bearer ${token}` }),
      ...(json && { "content-type": "application/json" }),
      ...headers,
    },
    body: json ? JSON.stringify(json) : null,
  });
  const text = await response.text();
  return { status: response.status, body: text ? JSON.parse(text) : null };
}

/** Calls a function; an error is answered as its code and message. */
async function call(
  as: Person | undefined,
  name: string,
  json: object,
  headers: Record<string, string> = {},
): Promise<any> {
  const { status, body } = await send("POST", `/rpc/airlock_${name}`, { as, json, headers });
  return status < 300 ? body : `${status} ${body.code} ${body.message}`;
}

/** An answer in one word: the outcome, how many rows, or the error without its text. */
function inShort(answer: any): string {
  if (answer === null) return "null";
  if (typeof answer === "string") return answer.replace(/^(\d+ 42501) .*/, "$1");
  if (Array.isArray(answer)) return `${answer.length} rows`;
  return answer.outcome ?? (answer.data ? `${answer.data.length} rows` : "row");
}

/** A request about an organisation: a function and its arguments, or a request to the table of a resource. */
type Ask = (org: string, me: string) => [name: string, json?: object];
/** The answers to the owner, the editor, the viewer, the outsider and anon. */
type Outcomes = [string, string, string, string, string];

const ANON = "401 42501";
const NO = "403 42501";
const NOT_FOUND = "404 PT404 airlock_not_found";
/** Anon may call the functions that read, for resources that apps read without a user. */
const CLOSED = "404 PT404 airlock_unknown_resource";
const all = (outcome: string, anon = ANON): Outcomes => [outcome, outcome, outcome, outcome, anon];
const page = { after: null, page_size: 20 };
const key = { request_key: "key-0001", request_digest: digest("body") };
const draft = { resource: "papers", draft: { title: "new" } };
const paper = (org: string) => ({ resource: "papers", org, id: paperOf(org), if_match: null });

/** The answers in the own and in the other organisation, and the request. */
const MATRIX: [name: string, own: Outcomes, other: Outcomes, ask: Ask][] = [
  ["read", ["row", "row", "row", "null", ANON], all("null"), (org) => ["org", { org }]],
  [
    "rename",
    ["done", "forbidden", "forbidden", "missing", ANON],
    all("missing"),
    (org) => ["org_change", { org, action: "rename", org_name: "new", if_match: null }],
  ],
  [
    "rename another version",
    ["mismatch", "mismatch", "mismatch", "missing", ANON],
    all("missing"),
    (org) => ["org_change", { org, action: "rename", org_name: "new", if_match: 99 }],
  ],
  [
    "delete",
    ["done", "forbidden", "forbidden", "missing", ANON],
    all("missing"),
    (org) => ["org_change", { org, action: "delete", org_name: null, if_match: null }],
  ],

  [
    "list members",
    ["4 rows", "4 rows", "4 rows", NOT_FOUND, ANON],
    all(NOT_FOUND),
    (org) => ["members", { org, ...page }],
  ],
  [
    "read a member",
    ["row", "row", "row", "null", ANON],
    all("null"),
    (org) => ["member", { org, member: org === ids.own ? ids.mate : ids.stranger }],
  ],
  [
    "set the role of another",
    ["done", "forbidden", "forbidden", "missing", ANON],
    all("missing"),
    (org) => ["member_change", { org, member: ids.mate, action: "set_role", member_role: "editor", if_match: null }],
  ],
  [
    "set the own role",
    ["done", "forbidden", "forbidden", "missing", ANON],
    all("missing"),
    (org, me) => ["member_change", { org, member: me, action: "set_role", member_role: "owner", if_match: null }],
  ],
  [
    "remove another",
    ["done", "forbidden", "forbidden", "missing", ANON],
    all("missing"),
    (org) => ["member_change", { org, member: ids.mate, action: "remove", member_role: null, if_match: null }],
  ],
  [
    "leave",
    ["done", "done", "done", "missing", ANON],
    all("missing"),
    (org, me) => ["member_change", { org, member: me, action: "remove", member_role: null, if_match: null }],
  ],

  ["list invitations", ["1 rows", NO, NO, NOT_FOUND, ANON], all(NOT_FOUND), (org) => ["invitations", { org, ...page }]],
  [
    "invite",
    ["created", NO, NO, NOT_FOUND, ANON],
    all(NOT_FOUND),
    (org) => [
      "invite",
      { org, member_role: "viewer", token_digest: digest("new"), request_key: null, request_digest: null },
    ],
  ],
  [
    "invite under a key",
    ["created", NO, NO, NOT_FOUND, ANON],
    all(NOT_FOUND),
    (org) => ["invite", { org, member_role: "viewer", token_digest: digest("new"), ...key }],
  ],
  [
    "revoke an invitation",
    ["done", "forbidden", "forbidden", "missing", ANON],
    all("missing"),
    (org) => ["invitation_revoke", { org, invitation: invitationOf(org) }],
  ],

  [
    "list rows",
    ["1 rows", "1 rows", "1 rows", NOT_FOUND, CLOSED],
    all(NOT_FOUND, CLOSED),
    (org) => ["list", { resource: "papers", org, state: "active", words: null, ...page }],
  ],
  [
    "read a row",
    ["row", "row", "row", NOT_FOUND, CLOSED],
    all(NOT_FOUND, CLOSED),
    (org) => ["read", { resource: "papers", org, id: paperOf(org) }],
  ],
  [
    "create a row",
    ["created", "created", NO, NOT_FOUND, ANON],
    all(NOT_FOUND),
    (org) => ["create", { ...draft, org, request_key: null, request_digest: null }],
  ],
  [
    "create a row under a key",
    ["created", "created", NO, NOT_FOUND, ANON],
    all(NOT_FOUND),
    (org) => ["create", { ...draft, org, ...key }],
  ],
  [
    "put a row",
    ["done", "done", "forbidden", NOT_FOUND, ANON],
    all(NOT_FOUND),
    (org) => ["put", { ...paper(org), draft: { title: "new" }, mode: "any" }],
  ],
  [
    "patch a row",
    ["done", "done", "forbidden", NOT_FOUND, ANON],
    all(NOT_FOUND),
    (org) => ["change", { ...paper(org), action: "patch", draft: { title: "new" } }],
  ],
  [
    "delete a row",
    ["done", "done", "forbidden", NOT_FOUND, ANON],
    all(NOT_FOUND),
    (org) => ["change", { ...paper(org), action: "delete", draft: null }],
  ],
  [
    "publish a row",
    ["done", "done", "forbidden", NOT_FOUND, ANON],
    all(NOT_FOUND),
    (org) => ["change", { ...paper(org), action: "publish", draft: null }],
  ],

  [
    "GET rows",
    ["1 rows", "1 rows", "1 rows", "0 rows", ANON],
    [...all("0 rows")],
    (org) => [`GET /papers?org_id=eq.${org}`],
  ],
  ["POST a row", ["1 rows", "1 rows", NO, NO, ANON], all(NO), (org) => ["POST /papers", { org_id: org, title: "new" }]],
  [
    "POST a row of another author",
    all(NO),
    all(NO),
    (org) => ["POST /papers", { org_id: org, title: "new", user_id: ids.mate }],
  ],
  [
    "PATCH a row",
    ["1 rows", "1 rows", "0 rows", "0 rows", ANON],
    all("0 rows"),
    (org) => [`PATCH /papers?id=eq.${paperOf(org)}`, { title: "new" }],
  ],
  [
    "PATCH the organisation of a row",
    all(NO),
    all(NO),
    (org) => [`PATCH /papers?id=eq.${paperOf(org)}`, { org_id: null }],
  ],
  ["DELETE a row", all(NO), all(NO), (org) => [`DELETE /papers?id=eq.${paperOf(org)}`]],
];

const ROLES = ["owner", "editor", "viewer", "outsider", undefined] as const;
const CHANGED = new Set(["done", "created", "1 rows"]);
const READS = /^(org|members?|invitations|list|read|GET .*)$/;

for (const [name, own, other, ask] of MATRIX) {
  test(`each role in both organisations: ${name}`, async () => {
    for (const [which, org, outcomes] of [
      ["own", ids.own, own],
      ["other", ids.other, other],
    ] as const) {
      for (const [at, as] of ROLES.entries()) {
        const before = await everything();
        const [asked, json] = ask(org, ids[as ?? "outsider"]);
        let answer: unknown;
        if (asked.includes("/")) {
          const [method = "", path = ""] = asked.split(" ");
          const { status, body } = await send(method, path, { as, json });
          answer = status < 300 ? body : `${status} ${body.code}`;
        } else {
          answer = await call(as, asked, json ?? {});
        }

        const label = `${as ?? "anon"}, ${which} organisation: ${JSON.stringify(answer)}`;
        const outcome = inShort(answer);
        assert.equal(outcome, outcomes[at], label);
        if (!READS.test(asked) && CHANGED.has(outcome)) {
          assert.notDeepEqual(await everything(), before, label);
          await reset();
        } else {
          assert.deepEqual(await everything(), before, label);
        }
      }
    }
  });
}

test("the tables of organisations cannot be reached", async () => {
  for (const table of ["organizations", "members", "invitations", "memberships", "org_rows"]) {
    for (const headers of [{}, { "accept-profile": "airlock" }] as Record<string, string>[]) {
      const { status } = await send("GET", `/${table}`, { as: "owner", headers });
      assert.ok(status >= 400, `${table} ${JSON.stringify(headers)}: ${status}`);
    }
  }
  for (const name of ["make_organization", "accept_invitation", "lock_organization", "org_ids"]) {
    const { status } = await send("POST", `/rpc/${name}`, { as: "owner", json: {} });
    assert.equal(status, 404, name);
  }
});

test("rows have the members of the API, in its order", async () => {
  const org = await call("owner", "org", { org: ids.own });
  assert.deepEqual(Object.keys(org), ["id", "name", "role", "version", "created_at", "updated_at"]);
  assert.match(org.created_at, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/);
  const member = await call("viewer", "member", { org: ids.own, member: ids.mate });
  assert.deepEqual(Object.keys(member), ["user_id", "role", "version", "created_at", "updated_at"]);
  const { data } = await call("owner", "invitations", { org: ids.own, ...page });
  assert.deepEqual(Object.keys(data[0]), ["id", "role", "created_at", "expires_at", "accepted_at"]);
  assert.deepEqual([data[0].id, data[0].accepted_at], [invitationOf(ids.own), null]);
});

test("pages of members follow their cursors", async () => {
  const seen: string[] = [];
  let after: string | null = null;
  for (let pages = 1; ; pages++) {
    const { data, next_cursor } = await call("viewer", "members", { org: ids.own, after, page_size: 2 });
    seen.push(...data.map((row: Row) => row.user_id));
    if (next_cursor === null) {
      assert.equal(pages, 2);
      break;
    }
    const [, , id] = JSON.parse(Buffer.from(next_cursor, "base64url").toString());
    assert.equal(id, data.at(-1).user_id);
    after = next_cursor;
  }
  assert.deepEqual(seen, [ids.mate, ids.editor, ids.viewer, ids.owner].sort().reverse());
});

test("an organisation is made with its owner, at version 1", async () => {
  const made = await call("outsider", "org_create", { org_name: "new" });
  assert.deepEqual([made.outcome, made.row.name, made.row.role, made.row.version], ["created", "new", "owner", 1]);
  const { data } = await call("outsider", "orgs", page);
  assert.deepEqual(data, [made.row]);

  for (const org_name of ["", " x", "x".repeat(201), null]) {
    const refused = await call("outsider", "org_create", { org_name });
    assert.match(refused, org_name === null ? /^400 23502/ : /^400 23514/, String(org_name));
  }
  assert.equal(inShort(await call(undefined, "org_create", { org_name: "new" })), ANON);
  assert.equal((await supabase.sql("select from airlock.organizations")).length, 3);
});

test("the last owner neither leaves nor steps down", async () => {
  const before = await everything();
  const me = { org: ids.other, member: ids.stranger, if_match: null };
  for (const change of [
    { action: "remove", member_role: null },
    { action: "set_role", member_role: "editor" },
  ]) {
    assert.equal(
      await call("stranger", "member_change", { ...me, ...change }),
      "409 PT409 airlock_last_owner",
      change.action,
    );
  }
  assert.deepEqual(await everything(), before);
});

const join = (who: Person, invitation_token: string) => call(who, "join", { invitation_token });

test("a token is for one user", async () => {
  const people = Array.from({ length: 10 }, (_, i): Person => (i % 2 ? "outsider" : "stranger"));
  const answers = await Promise.all(people.map((who) => join(who, tokenOf(ids.own))));
  const outcomes = answers.map(inShort);
  // The first one's later requests find that they have used it themselves.
  const [first, second] = [outcomes.filter((_, i) => i % 2 === 0), outcomes.filter((_, i) => i % 2 === 1)];
  assert.deepEqual([new Set(first), new Set(second)], [new Set(["done"]), new Set(["missing"])]);
  const joined = await supabase.sql(
    "select role, user_id from airlock.members where org_id = $1 and user_id in ($2, $3)",
    [ids.own, ids.outsider, ids.stranger],
  );
  assert.deepEqual(joined, [{ role: "editor", user_id: ids.stranger }]);
});

test("no token of a gone invitation, organisation or owner is valid", async () => {
  const token = tokenOf(ids.own);
  const spoiled: [string, string][] = [
    ["expired", "update airlock.invitations set expires_at = now()"],
    ["revoked", "delete from airlock.invitations"],
    ["deleted organisation", "update airlock.organizations set deleted_at = now()"],
    ["demoted owner", `update airlock.members set role = 'viewer' where user_id = '${ids.owner}'`],
    ["removed owner", `delete from airlock.members where user_id = '${ids.owner}'`],
  ];
  for (const [name, statement] of spoiled) {
    await supabase.sql(statement);
    assert.deepEqual(await join("outsider", token), { outcome: "missing" }, name);
    await reset();
  }
  for (const unknown of ["", "unknown", digest(token)])
    assert.deepEqual(await join("outsider", unknown), { outcome: "missing" }, unknown);
  assert.equal((await join("outsider", token)).row.id, ids.own);
});

test("a member does not use up an invitation, and keeps their role", async () => {
  for (const who of ["owner", "viewer"] as const) {
    assert.equal(await join(who, tokenOf(ids.own)), "409 PT409 airlock_already_member", who);
  }
  assert.equal((await call("viewer", "member", { org: ids.own, member: ids.viewer })).role, "viewer");
  assert.equal((await join("outsider", tokenOf(ids.own))).row.id, ids.own);
});

test("an invitation under a known key ends the earlier token", async () => {
  const invite = (token: string, request_digest = key.request_digest) =>
    call("owner", "invite", {
      org: ids.own,
      member_role: "viewer",
      token_digest: digest(token),
      ...key,
      request_digest,
    });
  const first = await invite("first");
  const second = await invite("second");
  assert.deepEqual([first.outcome, second], ["created", first]);
  assert.deepEqual(await invite("third", digest("other")), { outcome: "reused" });
  assert.deepEqual(await join("outsider", "first"), { outcome: "missing" });
  assert.equal((await join("outsider", "second")).row.role, "viewer");
  assert.deepEqual(await invite("fourth"), { outcome: "deleted" });
});

test("a removed, demoted or leaving member loses their rights at once", async () => {
  const written = await call("editor", "create", { ...draft, org: ids.own, request_key: null, request_digest: null });
  const patch = {
    resource: "papers",
    org: ids.own,
    id: written.row.id,
    if_match: null,
    action: "patch",
    draft: { title: "again" },
  };
  const read = { resource: "papers", org: ids.own, id: written.row.id };
  const rights = async () => [
    inShort(await call("editor", "read", read)),
    inShort(await call("editor", "change", patch)),
  ];
  assert.deepEqual(await rights(), ["row", "done"]);

  const change = (action: string, member_role: string | null) =>
    call("owner", "member_change", { org: ids.own, member: ids.editor, action, member_role, if_match: null });
  await change("set_role", "viewer");
  assert.deepEqual(await rights(), ["row", "forbidden"]);
  await change("remove", null);
  assert.deepEqual(await rights(), [NOT_FOUND, NOT_FOUND]);
  assert.deepEqual((await call("editor", "orgs", page)).data, []);

  await call("viewer", "member_change", {
    org: ids.own,
    member: ids.viewer,
    action: "remove",
    member_role: null,
    if_match: null,
  });
  assert.deepEqual((await send("GET", "/papers", { as: "viewer" })).body, []);
});

test("every change of its members is a change of the organisation", async () => {
  const version = async () => (await call("owner", "org", { org: ids.own })).version;
  const first = await version();
  await join("outsider", tokenOf(ids.own));
  assert.equal(await version(), first + 1);
  const joined = { org: ids.own, member: ids.outsider, if_match: null };
  const promoted = await call("owner", "member_change", { ...joined, action: "set_role", member_role: "owner" });
  assert.deepEqual([promoted.row.version, await version()], [2, first + 2]);
  await call("owner", "member_change", { ...joined, action: "remove", member_role: null });
  assert.equal(await version(), first + 3);
});

test("an organisation is deleted with the account of its last owner", async () => {
  await call("stranger", "change", { ...paper(ids.other), action: "publish", draft: null });
  const published = () => call(undefined, "published", { resource: "papers", id: paperOf(ids.other) });
  assert.equal((await published()).title, "paper");
  try {
    await supabase.sql("delete from auth.users where id = $1", [ids.stranger]);
    assert.equal(await published(), null);
    const [org] = await supabase.sql(
      "select deleted_at is not null as deleted from airlock.organizations where id = $1",
      [ids.other],
    );
    assert.deepEqual(org, { deleted: true });
    const kept = await supabase.sql("select user_id from public.papers where id = $1", [paperOf(ids.other)]);
    assert.deepEqual(kept, [{ user_id: null }]);
  } finally {
    await supabase.sql("insert into auth.users (id, email) values ($1, 'stranger@example.com')", [ids.stranger]);
  }
});

test("an account can be deleted in a request, with all its rows", async () => {
  for (const deleter of ["theirs", ids.outsider]) {
    await reset();
    const user = randomUUID();
    await supabase.sql("insert into auth.users (id) values ($1)", [user]);
    await supabase.sql(
      "insert into airlock.members (org_id, user_id, role) values ($1, $2, 'owner'), ($3, $2, 'viewer')",
      [ids.own, user, ids.other],
    );
    await supabase.sql(
      "insert into airlock.invitations (org_id, role, token_digest, created_by) values ($1, 'viewer', $2, $3)",
      [ids.own, digest("left"), user],
    );
    await supabase.sql(
      "insert into public.papers (org_id, user_id, title) values ($1, $2, 'theirs'), ($3, $2, 'theirs'), (null, $2, 'theirs')",
      [ids.own, user, ids.other],
    );
    // As an app's own function does it: with its owner's rights, in a request of the user or of an administrator.
    await supabase
      .sql(`
      create function public.delete_account() returns void language sql security definer as $$ delete from auth.users where id = '${user}' $$;
      begin;
      set local request.jwt.claims = '{"role": "authenticated", "sub": "${deleter === "theirs" ? user : deleter}"}';
      set local role authenticated;
      select public.delete_account();
      commit;
      drop function public.delete_account;
    `)
      .catch(async (error: unknown) => {
        await supabase.sql("rollback");
        throw error;
      });
    const left = await supabase.sql("select user_id from public.papers where title = 'theirs'");
    assert.deepEqual(left, [{ user_id: null }, { user_id: null }]);
    assert.equal((await supabase.sql("select from airlock.members where user_id = $1", [user])).length, 0);
  }
});

test("anon reads only the published fields", async () => {
  const columns = "id,title,version,published_at,updated_at";
  const path = `/papers?select=${columns}&id=eq.${paperOf(ids.own)}`;
  const change = (action: string) => call("editor", "change", { ...paper(ids.own), action, draft: null });
  assert.deepEqual((await send("GET", path, {})).body, []);
  await change("publish");
  const { body } = await send("GET", path, {});
  assert.deepEqual(
    body.map((row: Row) => Object.keys(row).join()),
    [columns],
  );
  for (const hidden of ["*", "user_id", "org_id", "created_at", "deleted_at"]) {
    const refused = await send("GET", `/papers?select=${hidden}`, {});
    assert.deepEqual([refused.status, refused.body.code], [401, "42501"], hidden);
  }
  // A signed-in user sees their own rows and their organisations' alone.
  const strangers = await send("GET", "/papers?select=id", { as: "stranger" });
  assert.deepEqual(strangers.body, [{ id: paperOf(ids.other) }]);

  for (const action of ["unpublish", "delete"]) {
    await reset();
    await change("publish");
    await change(action);
    assert.deepEqual((await send("GET", path, {})).body, [], action);
  }
});
