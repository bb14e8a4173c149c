// Organisations at the REST API without the Worker in front of it: every role, every verb, the own organisation
// and another one.

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { after, before, beforeEach, test } from "node:test";

import type { Supabase } from "../../tools/supabase.ts";
import { freshSupabase, send, sign, type Sent } from "./support.ts";

const ids = {
  own: "a0000000-0000-4000-8000-000000000000",
  other: "b0000000-0000-4000-8000-000000000000",
  owner: "00000000-0000-4000-8000-000000000001",
  editor: "00000000-0000-4000-8000-000000000002",
  viewer: "00000000-0000-4000-8000-000000000003",
  outsider: "00000000-0000-4000-8000-000000000004",
  /** A second owner of the own organisation, and the one of the other. */
  mate: "00000000-0000-4000-8000-000000000005",
  stranger: "00000000-0000-4000-8000-000000000006",
};

type Somebody = "owner" | "editor" | "viewer" | "outsider" | "mate" | "stranger";
type Row = Record<string, unknown>;

const digest = (text: string) => createHash("sha256").update(text).digest("hex");
const noteOf = (org: string) => org.replace("0000", "0001");
const invitationOf = (org: string) => org.replace("0000", "0002");
const tokenOf = (org: string) => `token of ${org}`;

let supabase: Supabase;

const as = (who: Somebody) => ({
  token: sign({ sub: ids[who], role: "authenticated", exp: Math.floor(Date.now() / 1000) + 600 }),
});
const request = (method: string, path: string, sent?: Sent) => send<Row>(supabase.url, method, path, sent);

before(async () => {
  supabase = await freshSupabase();
  const people = ["owner", "editor", "viewer", "outsider", "mate", "stranger"] as const;
  for (const who of people) await supabase.sql("insert into auth.users (id, email) values ($1, $2)", [ids[who], `${who}@example.com`]);
});
after(() => supabase.stop());
beforeEach(reset);

/** Both organisations as they were: an invitation and a note in each. */
async function reset(): Promise<void> {
  const { own, other, owner, editor, viewer, mate, stranger } = ids;
  const invitation = (org: string, by: string) => `('${invitationOf(org)}', '${org}', 'editor', '${by}', '${digest(tokenOf(org))}')`;
  await supabase.sql(`
    delete from public.organizations;
    delete from public.notes;
    delete from public.idempotency_keys;
    insert into public.organizations (id, name) values ('${own}', 'own'), ('${other}', 'other');
    insert into public.organization_members (org_id, user_id, role) values
      ('${own}', '${owner}', 'owner'), ('${own}', '${mate}', 'owner'), ('${own}', '${editor}', 'editor'),
      ('${own}', '${viewer}', 'viewer'), ('${other}', '${stranger}', 'owner');
    insert into public.organization_invitations (id, org_id, role, created_by, token_digest) values
      ${invitation(own, owner)}, ${invitation(other, stranger)};
    insert into public.notes (id, org_id, user_id, title) values
      ('${noteOf(own)}', '${own}', '${owner}', 'note'), ('${noteOf(other)}', '${other}', '${stranger}', 'note');
  `);
}

/** All rows that there are, past all policies. */
function everything(): Promise<Row[]> {
  const tables = ["organizations", "organization_members", "organization_invitations", "notes", "idempotency_keys"];
  return supabase.sql(tables.map((table) => `select '${table}' as name, * from public.${table} order by 2, 3`).join(";"));
}

/** What somebody asks about an organisation. */
type Ask = (org: string, me: string) => [method: string, path: string, json?: object, prefer?: string];
/** Of the owner, the editor, the viewer, the outsider and anon; below 100 how many rows, else the status of a refusal. */
type Outcomes = [number, number, number, number, number];

const HIDDEN: Outcomes = [0, 0, 0, 0, 401];
const DENIED: Outcomes = [403, 403, 403, 403, 401];
const UPSERT = "resolution=merge-duplicates";

const organization = (org: string) => `/organizations?id=eq.${org}`;
const members = (org: string) => `/organization_members?org_id=eq.${org}`;
const member = (org: string, user: string) => `${members(org)}&user_id=eq.${user}`;
// Without its columns the digest would be asked for as well.
const INVITATIONS = "/organization_invitations?select=id,role";
const invitations = (org: string) => `${INVITATIONS}&org_id=eq.${org}`;
const invitation = (org: string, more: object = {}) => ({ org_id: org, role: "viewer", token_digest: digest("new"), ...more });
const note = (org: string) => `/notes?id=eq.${noteOf(org)}`;
const once = (org: string) => ({ request_key: "key-0001", request_digest: digest("body"), note_title: "new", note_body: "", note_org: org });

/** In the own organisation, in the other one, and what is asked. */
const MATRIX: [name: string, own: Outcomes, other: Outcomes, ask: Ask][] = [
  ["organizations: select", [1, 1, 1, 0, 401], HIDDEN, (org) => ["GET", organization(org)]],
  ["organizations: select with the role", [1, 1, 1, 0, 401], HIDDEN, (org) => ["GET", `/my_organizations?id=eq.${org}`]],
  ["organizations: insert", DENIED, DENIED, () => ["POST", "/organizations", { name: "new" }]],
  ["organizations: update", [1, 0, 0, 0, 401], HIDDEN, (org) => ["PATCH", organization(org), { name: "new" }]],
  ["organizations: soft delete", [1, 0, 0, 0, 401], HIDDEN, (org) => ["PATCH", organization(org), { deleted_at: "now" }]],
  ["organizations: update of the version", DENIED, DENIED, (org) => ["PATCH", organization(org), { version: 9 }]],
  ["organizations: delete", DENIED, DENIED, (org) => ["DELETE", organization(org)]],
  ["organizations: upsert", DENIED, DENIED, (org) => ["POST", "/organizations", { id: org, name: "new" }, UPSERT]],

  ["members: select", [4, 4, 4, 0, 401], HIDDEN, (org) => ["GET", members(org)]],
  ["members: insert", DENIED, DENIED, (org) => ["POST", "/organization_members", { org_id: org, user_id: ids.stranger, role: "viewer" }]],
  ["members: insert of oneself", DENIED, DENIED, (org, me) => ["POST", "/organization_members", { org_id: org, user_id: me, role: "owner" }]],
  ["members: update of another", [1, 0, 0, 0, 401], HIDDEN, (org) => ["PATCH", member(org, ids.mate), { role: "editor" }]],
  ["members: update of oneself", [1, 0, 0, 0, 401], HIDDEN, (org, me) => ["PATCH", member(org, me), { role: "owner" }]],
  ["members: update of the person", DENIED, DENIED, (org) => ["PATCH", members(org), { user_id: ids.outsider }]],
  ["members: update of the organisation", DENIED, DENIED, (org, me) => ["PATCH", `/organization_members?user_id=eq.${me}`, { org_id: org }]],
  ["members: delete of another", [1, 0, 0, 0, 401], HIDDEN, (org) => ["DELETE", member(org, ids.mate)]],
  ["members: delete of oneself", [1, 1, 1, 0, 401], HIDDEN, (org, me) => ["DELETE", member(org, me)]],
  ["members: upsert", DENIED, DENIED, (org, me) => ["POST", "/organization_members", { org_id: org, user_id: me, role: "owner" }, UPSERT]],

  ["invitations: select", [1, 0, 0, 0, 401], HIDDEN, (org) => ["GET", invitations(org)]],
  ["invitations: select of the digest", DENIED, DENIED, (org) => ["GET", `/organization_invitations?select=token_digest&org_id=eq.${org}`]],
  ["invitations: select by the digest", DENIED, DENIED, (org) => ["GET", `${INVITATIONS}&token_digest=eq.${digest(tokenOf(org))}`]],
  ["invitations: insert", [1, 403, 403, 403, 401], DENIED, (org) => ["POST", INVITATIONS, invitation(org)]],
  ["invitations: insert as another", DENIED, DENIED, (org) => ["POST", INVITATIONS, invitation(org, { created_by: ids.mate })]],
  ["invitations: insert of one for ever", DENIED, DENIED, (org) => ["POST", INVITATIONS, invitation(org, { expires_at: "infinity" })]],
  ["invitations: update", DENIED, DENIED, (org) => ["PATCH", invitations(org), { role: "owner" }]],
  ["invitations: delete", [1, 0, 0, 0, 401], HIDDEN, (org) => ["DELETE", invitations(org)]],
  ["invitations: upsert", DENIED, DENIED, (org) => ["POST", INVITATIONS, invitation(org, { id: invitationOf(org) }), UPSERT]],

  ["notes: select", [1, 1, 1, 0, 401], HIDDEN, (org) => ["GET", `/notes?org_id=eq.${org}`]],
  ["notes: insert", [1, 1, 403, 403, 401], DENIED, (org) => ["POST", "/notes", { org_id: org, title: "new" }]],
  ["notes: insert under a key", [1, 1, 403, 403, 401], DENIED, (org) => ["POST", "/rpc/create_note_once", once(org)]],
  ["notes: insert as another", DENIED, DENIED, (org) => ["POST", "/notes", { org_id: org, title: "new", user_id: ids.mate }]],
  ["notes: update", [1, 1, 0, 0, 401], HIDDEN, (org) => ["PATCH", note(org), { title: "new" }]],
  ["notes: soft delete", [1, 1, 0, 0, 401], HIDDEN, (org) => ["PATCH", note(org), { deleted_at: "now" }]],
  ["notes: publish", [1, 1, 0, 0, 401], HIDDEN, (org) => ["PATCH", note(org), { published_at: "now" }]],
  ["notes: update of the organisation", DENIED, DENIED, (org) => ["PATCH", note(org), { org_id: null }]],
  ["notes: delete", DENIED, DENIED, (org) => ["DELETE", note(org)]],
  ["notes: upsert", DENIED, DENIED, (org) => ["POST", "/notes", { id: noteOf(org), org_id: org, title: "new" }, UPSERT]],
];

const ROLES = ["owner", "editor", "viewer", "outsider", "anon"] as const;

for (const [name, own, other, ask] of MATRIX) {
  test(`${name}, by every role, in the own organisation and in another`, async () => {
    for (const [which, org, outcomes] of [["own", ids.own, own], ["other", ids.other, other]] as const) {
      for (const [at, role] of ROLES.entries()) {
        const expected = outcomes[at] ?? NaN;
        const before = await everything();
        const [method, path, json, prefer] = ask(org, ids[role === "anon" ? "outsider" : role]);
        const { status, code, rows } = await request(method, path, {
          ...(role !== "anon" && { as: as(role) }),
          ...(json && { json }),
          ...(prefer && { prefer }),
        });

        const label = `${role}, ${which} organisation: ${status} ${code ?? JSON.stringify(rows)}`;
        assert.equal(status < 300 ? rows.length : status, expected, label);
        assert.equal(code, expected > 100 ? "42501" : undefined, label);
        if (method !== "GET" && expected === 1) {
          assert.notDeepEqual(await everything(), before, label);
          await reset();
        } else {
          assert.deepEqual(await everything(), before, label);
        }
      }
    }
  });
}

test("a query without a filter reaches the caller's organisations alone", async () => {
  for (const [who, organizations, invited] of [
    ["owner", [ids.own], [ids.own]],
    ["viewer", [ids.own], []],
    ["stranger", [ids.other], [ids.other]],
    ["outsider", [], []],
  ] as const) {
    for (const [path, expected] of [
      ["/organizations?select=org:id", organizations],
      ["/organization_members?select=org:org_id", organizations],
      ["/organization_invitations?select=org:org_id", invited],
      ["/notes?select=org:org_id", organizations],
    ] as const) {
      const { rows } = await request("GET", path, { as: as(who) });
      assert.deepEqual([...new Set(rows.map(({ org }) => org))], expected, `${who} ${path}`);
    }
  }
  const changed = await request("PATCH", "/notes", { as: as("editor"), json: { title: "all" } });
  assert.deepEqual(changed.rows.map(({ id }) => id), [noteOf(ids.own)]);
});

test("an organisation is made with its owner, at version 1", async () => {
  const path = "/rpc/create_organization?select=id,name,version";
  const made = await request("POST", path, { as: as("outsider"), json: { org_name: "new" } });
  assert.deepEqual([made.status, made.rows[0]?.["name"], made.rows[0]?.["version"]], [200, "new", 1]);
  const mine = await request("GET", "/my_organizations?select=id,role,version", { as: as("outsider") });
  assert.deepEqual(mine.rows, [{ id: made.rows[0]?.["id"], role: "owner", version: 1 }]);

  for (const org_name of ["", " x", "x".repeat(201), null]) {
    const refused = await request("POST", "/rpc/create_organization", { as: as("outsider"), json: { org_name } });
    assert.deepEqual([refused.status, refused.code], [400, org_name === null ? "23502" : "23514"], String(org_name));
  }
  const anon = await request("POST", "/rpc/create_organization", { json: { org_name: "new" } });
  assert.deepEqual([anon.status, anon.code], [401, "42501"]);
  assert.equal((await supabase.sql("select from public.organizations")).length, 3);
});

test("the last owner neither leaves nor steps down nor goes with all the others", async () => {
  const before = await everything();
  for (const [method, sent] of [["DELETE", {}], ["PATCH", { json: { role: "editor" } }]] as const) {
    const refused = await request(method, members(ids.other), { as: as("stranger"), ...sent });
    assert.deepEqual([refused.status, refused.code], [409, "PT409"], method);
    const both = await request(method, members(ids.own), { as: as("owner"), ...sent });
    assert.deepEqual([both.status, both.code], [409, "PT409"], `${method} of all`);
  }
  assert.deepEqual(await everything(), before);
});

test("of two owners who leave together one stays", async () => {
  const leave = (who: Somebody) => request("DELETE", member(ids.own, ids[who]), { as: as(who) });
  const answers = await Promise.all([leave("owner"), leave("mate")]);
  assert.deepEqual(answers.map(({ status }) => status).sort(), [200, 409]);
  const owners = await supabase.sql("select from public.organization_members where org_id = $1 and role = 'owner'", [ids.own]);
  assert.equal(owners.length, 1);
});

const accept = (who: Somebody, invitation_token: string) =>
  request("POST", "/rpc/accept_invitation?select=id", { as: as(who), json: { invitation_token } });

test("of many who bring one token at once exactly one becomes a member", async () => {
  const people = Array.from({ length: 10 }, (_, i): Somebody => (i % 2 ? "outsider" : "stranger"));
  const answers = await Promise.all(people.map((who) => accept(who, tokenOf(ids.own))));
  assert.ok(answers.every(({ status }) => status === 200));
  assert.deepEqual(answers.flatMap(({ rows }) => rows), [{ id: ids.own }]);
  const joined = await supabase.sql(
    "select role from public.organization_members where org_id = $1 and user_id in ($2, $3)",
    [ids.own, ids.outsider, ids.stranger],
  );
  assert.deepEqual(joined, [{ role: "editor" }]);
});

test("a token that is expired, withdrawn, unknown, of a deleted organisation or of a former owner is good for nothing", async () => {
  const token = tokenOf(ids.own);
  const spoiled: [string, string][] = [
    ["expired", "update public.organization_invitations set expires_at = now()"],
    ["withdrawn", "delete from public.organization_invitations"],
    ["of a deleted organisation", "update public.organizations set deleted_at = now()"],
    ["of one who was an owner", `update public.organization_members set role = 'viewer' where user_id = '${ids.owner}'`],
    ["of one who has left", `delete from public.organization_members where user_id = '${ids.owner}'`],
  ];
  for (const [name, statement] of spoiled) {
    await supabase.sql(statement);
    assert.deepEqual(await accept("outsider", token), { status: 200, rows: [] }, name);
    await reset();
  }
  for (const unknown of ["", "unknown", digest(token)]) {
    assert.deepEqual(await accept("outsider", unknown), { status: 200, rows: [] }, unknown);
  }
  assert.deepEqual((await accept("outsider", token)).rows, [{ id: ids.own }]);
});

test("a member does not use up an invitation, and keeps their role", async () => {
  for (const who of ["owner", "viewer"] as const) {
    const refused = await accept(who, tokenOf(ids.own));
    assert.deepEqual([refused.status, refused.code], [409, "PT409"], who);
  }
  const kept = await request("GET", member(ids.own, ids.viewer), { as: as("viewer") });
  assert.equal(kept.rows[0]?.["role"], "viewer");
  assert.deepEqual((await accept("outsider", tokenOf(ids.own))).rows, [{ id: ids.own }]);
});

test("who is removed, demoted or has left loses it with the next request, their own notes too", async () => {
  const editor = as("editor");
  const written = await request("POST", "/notes", { as: editor, json: { org_id: ids.own, title: "by the editor" } });
  const path = `/notes?id=eq.${written.rows[0]?.["id"]}`;
  const membership = member(ids.own, ids.editor);
  const change = async () => (await request("PATCH", path, { as: editor, json: { title: "again" } })).rows.length;
  const read = async () => (await request("GET", path, { as: editor })).rows.length;
  assert.deepEqual([await read(), await change()], [1, 1]);

  await request("PATCH", membership, { as: as("owner"), json: { role: "viewer" } });
  assert.deepEqual([await read(), await change()], [1, 0]);
  await request("DELETE", membership, { as: as("owner") });
  assert.deepEqual([await read(), await change()], [0, 0]);
  const { rows } = await request("GET", "/my_organizations", { as: editor });
  assert.deepEqual(rows, []);

  await request("DELETE", member(ids.own, ids.viewer), { as: as("viewer") });
  assert.deepEqual((await request("GET", "/notes", { as: as("viewer") })).rows, []);
});

test("every change of its members is a change of the organisation", async () => {
  const version = async () => {
    const { rows } = await request("GET", organization(ids.own), { as: as("owner") });
    return Number(rows[0]?.["version"]);
  };
  const first = await version();
  await accept("outsider", tokenOf(ids.own));
  assert.equal(await version(), first + 1);
  const joined = member(ids.own, ids.outsider);
  const promoted = await request("PATCH", joined, { as: as("owner"), json: { role: "owner" } });
  assert.deepEqual([promoted.rows[0]?.["version"], await version()], [2, first + 2]);
  await request("DELETE", joined, { as: as("owner") });
  assert.equal(await version(), first + 3);
});

test("anon reads what is published, without its author, organisation and age", async () => {
  const columns = "id,title,body,version,updated_at,published_at";
  const path = `/notes?select=${columns}&id=eq.${noteOf(ids.own)}`;
  assert.deepEqual((await request("GET", path)).rows, []);
  await request("PATCH", note(ids.own), { as: as("editor"), json: { published_at: "now" } });
  const { rows } = await request("GET", path);
  assert.deepEqual(rows.map((row) => Object.keys(row).join()), [columns]);
  assert.deepEqual((await request("GET", `/notes?select=${columns}`)).rows, rows);
  for (const hidden of ["*", "user_id", "org_id", "created_at", "deleted_at", "search"]) {
    const refused = await request("GET", `/notes?select=${hidden}`);
    assert.deepEqual([refused.status, refused.code], [401, "42501"], hidden);
  }
  // Signed in, it is none of one's own.
  assert.deepEqual((await request("GET", "/notes", { as: as("stranger") })).rows.map(({ id }) => id), [noteOf(ids.other)]);

  for (const json of [{ published_at: null }, { deleted_at: "now" }]) {
    await reset();
    await request("PATCH", note(ids.own), { as: as("editor"), json: { published_at: "now" } });
    await request("PATCH", note(ids.own), { as: as("editor"), json });
    assert.deepEqual((await request("GET", path)).rows, [], JSON.stringify(json));
  }
});
