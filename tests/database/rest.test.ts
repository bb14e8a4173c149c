// The embedded Supabase's REST API without the Worker in front of it: as two users, as anon, and
// as a forger, with the database as the only line of defence.

import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { connect } from "node:net";
import { networkInterfaces } from "node:os";
import { after, before, beforeEach, test } from "node:test";

import type { Supabase } from "../../tools/supabase.ts";
import { freshSupabase, secretKey, send, sign, signIn, type Sent, type User } from "./support.ts";

let supabase: Supabase;
let alice: User;
let bob: User;

before(async () => {
  supabase = await freshSupabase();
  alice = await signIn(supabase.url, "alice");
  bob = await signIn(supabase.url, "bob");
  // What a first REST request does to grants is part of every test that follows.
  assert.equal((await request("GET", "/notes", { as: alice })).status, 200);
});
after(() => supabase.stop());
beforeEach(() => supabase.sql("delete from public.notes"));

interface Note {
  id: string;
  user_id: string;
  title: string;
  body: string;
  version: number;
  created_at: string;
  updated_at: string;
  deleted_at: string | null;
}

const request = (method: string, path: string, sent?: Sent) => send<Note>(supabase.url, method, path, sent);

async function create(as: User, json: object): Promise<Note> {
  const { status, rows } = await request("POST", "/notes", { as, json });
  assert.equal(status, 201);
  return rows[0] as Note;
}

/** The note as it is, past all policies. */
async function stored(id: string): Promise<Note> {
  const [row] = await supabase.sql("select * from public.notes where id = $1", [id]);
  return row as unknown as Note;
}

const token = (claims: object, header?: object): User => ({ ...alice, token: sign(claims, header) });

const inSeconds = (seconds: number) => Math.floor(Date.now() / 1000) + seconds;

test("after the first REST request the grants are those of the migration", async () => {
  const roles = "('PUBLIC', 'anon', 'authenticated', 'service_role')";
  const tables = await supabase.sql(
    `select grantee || ' ' || privilege_type || ' ' || table_name as line from information_schema.table_privileges
     where table_schema = 'public' and grantee in ${roles} order by 1`,
  );
  assert.deepEqual(
    tables.map(({ line }) => line),
    ["authenticated DELETE organization_invitations", "authenticated DELETE organization_members"],
  );

  const columns = await supabase.sql(
    `select grantee || ' ' || privilege_type || ' ' || table_name || ': ' || string_agg(column_name, ' ' order by column_name) as line
     from information_schema.column_privileges
     where table_schema = 'public' and grantee in ${roles} group by grantee, privilege_type, table_name order by 1`,
  );
  assert.deepEqual(
    columns.map(({ line }) => line),
    [
      "anon SELECT notes: body id published_at title updated_at version",
      "authenticated INSERT idempotency_keys: digest key note_id",
      "authenticated INSERT notes: body id org_id title",
      "authenticated INSERT organization_invitations: id org_id role token_digest",
      "authenticated SELECT idempotency_keys: created_at digest key note_id user_id",
      "authenticated SELECT my_organizations: created_at id name role updated_at version",
      "authenticated SELECT notes: body created_at deleted_at id org_id published_at search title updated_at user_id version",
      "authenticated SELECT organization_invitations: accepted_at accepted_by created_at created_by expires_at id org_id role",
      "authenticated SELECT organization_members: created_at live org_id role updated_at user_id version",
      "authenticated SELECT organizations: created_at deleted_at id name updated_at version",
      "authenticated UPDATE idempotency_keys: created_at digest note_id",
      "authenticated UPDATE notes: body deleted_at published_at title",
      "authenticated UPDATE organization_members: role",
      "authenticated UPDATE organizations: deleted_at name",
    ],
  );

  const defaults = await supabase.sql("select * from pg_default_acl");
  assert.deepEqual(defaults, [], "a table of a later migration starts without grants");
});

test("a user creates, reads, changes, deletes and restores a note", async () => {
  const note = await create(alice, { title: "hello" });
  assert.deepEqual(
    { ...note, id: "", created_at: "", updated_at: "" },
    {
      id: "",
      user_id: alice.id,
      title: "hello",
      body: "",
      version: 1,
      created_at: "",
      updated_at: "",
      deleted_at: null,
      search: "'hello':1",
      org_id: null,
      published_at: null,
    },
  );
  assert.match(note.created_at, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?\+00:00$/);

  const live = `/notes?id=eq.${note.id}&deleted_at=is.null`;
  const changed = await request("PATCH", `${live}&version=eq.1`, { as: alice, json: { title: "changed" } });
  assert.equal(changed.rows[0]?.version, 2);
  const outdated = await request("PATCH", `${live}&version=eq.1`, { as: alice, json: { title: "late" } });
  assert.deepEqual([outdated.status, outdated.rows], [200, []]);

  const deleted = await request("PATCH", live, { as: alice, json: { deleted_at: "now" } });
  assert.equal(deleted.rows[0]?.deleted_at, deleted.rows[0]?.updated_at);
  assert.deepEqual((await request("GET", live, { as: alice })).rows, []);

  const restored = await request("PATCH", `/notes?id=eq.${note.id}&deleted_at=not.is.null`, {
    as: alice,
    json: { deleted_at: null },
  });
  assert.equal(restored.rows[0]?.version, 4);
  assert.equal((await request("GET", live, { as: alice })).rows[0]?.title, "changed");
});

test("pages by created_at and id meet every note once, in order", async () => {
  for (let i = 0; i < 5; i++) await create(alice, { title: `${i}` });
  // Two of one instant, which only the id can order.
  await supabase.sql(`
    set session_replication_role = replica;
    update public.notes set created_at = '2026-01-01T00:00:00.123456Z' where title in ('1', '2', '3');
    set session_replication_role = default;
  `);
  const query = "/notes?select=id,title,created_at&deleted_at=is.null&order=created_at.desc,id.desc";
  const all = (await request("GET", query, { as: alice })).rows;

  const seen: Note[] = [];
  let after = "";
  for (;;) {
    const { rows } = await request("GET", `${query}&limit=2${after}`, { as: alice });
    seen.push(...rows);
    const last = rows.at(-1);
    if (!last) break;
    const at = encodeURIComponent(last.created_at);
    after = `&created_at=lte.${at}&or=(created_at.lt.${at},id.lt.${last.id})`;
  }
  assert.equal(all.length, 5);
  assert.deepEqual(seen, all);
});

test("a user neither sees nor changes nor deletes the note of another", async () => {
  const note = await create(alice, { title: "of alice" });
  const before = await stored(note.id);
  const path = `/notes?id=eq.${note.id}`;

  assert.deepEqual((await request("GET", "/notes", { as: bob })).rows, []);
  assert.deepEqual((await request("GET", path, { as: bob })).rows, []);
  for (const json of [{ title: "taken" }, { deleted_at: "now" }, { deleted_at: null }]) {
    assert.deepEqual(await request("PATCH", path, { as: bob, json }), { status: 200, rows: [] });
  }
  const denied = await request("DELETE", path, { as: bob });
  assert.deepEqual([denied.status, denied.code], [403, "42501"]);
  assert.deepEqual(await stored(note.id), before);
});

test("a change without a filter reaches the caller's notes alone", async () => {
  const note = await create(alice, { title: "of alice" });
  const own = [await create(bob, { title: "1" }), await create(bob, { title: "2" })];
  const { rows } = await request("PATCH", "/notes", { as: bob, json: { title: "all" } });
  assert.deepEqual(rows.map(({ id }) => id).sort(), own.map(({ id }) => id).sort());
  assert.equal((await stored(note.id)).title, "of alice");
});

test("an id that another user has taken cannot be written over", async () => {
  const note = await create(alice, { title: "of alice" });
  const json = { id: note.id, title: "taken" };
  const before = await stored(note.id);

  const insert = await request("POST", "/notes", { as: bob, json });
  assert.deepEqual([insert.status, insert.code], [409, "23505"]);
  const merge = await request("POST", "/notes", { as: bob, json, prefer: "resolution=merge-duplicates" });
  assert.deepEqual([merge.status, merge.code], [403, "42501"]);
  const ignore = await request("POST", "/notes", { as: bob, json, prefer: "resolution=ignore-duplicates" });
  assert.deepEqual(ignore.rows, []);
  const put = await request("PUT", `/notes?id=eq.${note.id}`, { as: bob, json });
  assert.deepEqual([put.status, put.code], [403, "42501"]);
  assert.deepEqual(await stored(note.id), before);
});

test("nobody chooses owner, version or times of a note", async () => {
  const note = await create(alice, { title: "note" });
  const before = await stored(note.id);
  const smuggled = {
    user_id: bob.id,
    version: 99,
    created_at: "1999-01-01",
    updated_at: "1999-01-01",
  };
  for (const [column, value] of Object.entries(smuggled)) {
    const insert = await request("POST", "/notes", { as: alice, json: { title: "x", [column]: value } });
    assert.deepEqual([insert.status, insert.code], [403, "42501"], `insert ${column}`);
    const update = await request("PATCH", `/notes?id=eq.${note.id}`, { as: alice, json: { [column]: value } });
    assert.deepEqual([update.status, update.code], [403, "42501"], `update ${column}`);
  }
  const born = await request("POST", "/notes", { as: alice, json: { title: "x", deleted_at: "now" } });
  assert.deepEqual([born.status, born.code], [403, "42501"]);
  const moved = await request("PATCH", `/notes?id=eq.${note.id}`, { as: alice, json: { id: randomUUID() } });
  assert.deepEqual([moved.status, moved.code], [403, "42501"]);
  assert.deepEqual(await supabase.sql("select * from public.notes"), [before]);

  const { rows } = await request("PATCH", `/notes?id=eq.${note.id}`, {
    as: alice,
    json: { deleted_at: "1999-01-01" },
  });
  assert.equal(rows[0]?.deleted_at, rows[0]?.updated_at);
});

test("DELETE is denied to the owner and to anon", async () => {
  const note = await create(alice, { title: "note" });
  for (const path of ["/notes", `/notes?id=eq.${note.id}`]) {
    const owner = await request("DELETE", path, { as: alice });
    assert.deepEqual([owner.status, owner.code], [403, "42501"]);
    const anon = await request("DELETE", path);
    assert.deepEqual([anon.status, anon.code], [401, "42501"]);
  }
  assert.equal((await stored(note.id)).version, 1);
});

test("anon is denied every verb", async () => {
  const note = await create(alice, { title: "note" });
  const path = `/notes?id=eq.${note.id}`;
  const answers = [
    await request("GET", "/notes"),
    await request("GET", path),
    await request("POST", "/notes", { json: { title: "x" } }),
    await request("POST", "/notes", { json: { title: "x" }, prefer: "resolution=merge-duplicates" }),
    await request("PATCH", path, { json: { title: "x" } }),
    await request("PUT", path, { json: { id: note.id, title: "x" } }),
    await request("DELETE", path),
  ];
  for (const { status, code } of answers) assert.deepEqual([status, code], [401, "42501"]);
  assert.equal((await stored(note.id)).version, 1);
});

test("service_role has no grant on notes, and no other role can be named", async () => {
  const service = await request("GET", "/notes", { as: token({ role: "service_role" }) });
  assert.deepEqual([service.status, service.code], [403, "42501"]);
  for (const role of ["postgres", "pg_read_all_data", "AUTHENTICATED", "", null, ["authenticated"]]) {
    const { status } = await request("GET", "/notes", { as: token({ sub: alice.id, role }) });
    assert.equal(status, 401, String(role));
  }
});

test("the secret key alone is service_role, and a token beside it stays whose it is", async () => {
  await create(alice, { title: "note" });
  const headers = { apikey: secretKey };
  const alone = await request("GET", "/notes", { headers });
  assert.deepEqual([alone.status, alone.code], [403, "42501"]);
  const twice = await request("GET", "/notes", { headers: { ...headers, authorization: `Bearer ${secretKey}` } });
  assert.deepEqual([twice.status, twice.code], [403, "42501"]);
  assert.equal((await request("GET", "/notes", { as: alice, headers })).rows.length, 1);
  assert.equal((await request("GET", "/notes", { as: bob, headers })).rows.length, 0);
  for (const other of [`${secretKey}x`, secretKey.slice(0, -1), "sb_secret_", ""]) {
    assert.equal((await request("GET", "/notes", { headers: { apikey: other } })).status, 401);
  }
  const { status, code } = await request("GET", "/notes", { headers: { authorization: `Bearer ${secretKey}` } });
  assert.deepEqual([status, code], [401, "PGRST301"], "it is no token");
});

test("the checks hold for callers without the Worker", async () => {
  const whiteSpace = [
    0x9, 0xa, 0xb, 0xc, 0xd, 0x20, 0x85, 0xa0, 0x1680, 0x2000, 0x2001, 0x2002, 0x2003, 0x2004, 0x2005,
    0x2006, 0x2007, 0x2008, 0x2009, 0x200a, 0x2028, 0x2029, 0x202f, 0x205f, 0x3000,
  ].map((code) => String.fromCodePoint(code));
  const refused: object[] = [
    ...whiteSpace.flatMap((space) => [{ title: `${space}x` }, { title: `x${space}` }, { title: space }]),
    { title: "" },
    { title: "🙂".repeat(201) },
    { title: "x", body: "🙂".repeat(20_001) },
  ];
  for (const json of refused) {
    const { status, code } = await request("POST", "/notes", { as: alice, json });
    assert.deepEqual([status, code], [400, "23514"], JSON.stringify(json).slice(0, 40));
  }
  assert.deepEqual(await supabase.sql("select * from public.notes"), []);

  const accepted = [
    ...whiteSpace.map((space) => ({ title: `x${space}x`, body: `${space}x${space}` })),
    { title: "🙂".repeat(200), body: "🙂".repeat(20_000) },
    { title: "\u{200b}", body: "\u{feff}" },
  ];
  for (const json of accepted) {
    const note = await create(alice, json);
    assert.deepEqual({ title: note.title, body: note.body }, json);
  }
});

test("NUL, null, a missing title, a wrong type and an unknown column write nothing", async () => {
  const refused: [object, string][] = [
    [{ title: "a\u0000b" }, "22021"],
    [{ title: "x", body: "\u0000" }, "22021"],
    [{ title: null }, "23502"],
    [{ body: "x" }, "23502"],
    [{ id: "x", title: "x" }, "22P02"],
    [{ title: "x", colour: "red" }, "PGRST204"],
  ];
  for (const [json, expected] of refused) {
    const { status, code } = await request("POST", "/notes", { as: alice, json });
    assert.deepEqual([status, code], [400, expected]);
  }
  assert.deepEqual(await supabase.sql("select * from public.notes"), []);
});

test("a request without the publishable key is refused, whatever else it has", async () => {
  for (const headers of [{}, { authorization: `Bearer ${alice.token}` }, { apikey: "sb_publishable_x" }]) {
    for (const path of ["/rest/v1/notes", "/auth/v1/user"]) {
      const response = await fetch(supabase.url + path, { headers: headers as Record<string, string> });
      assert.equal(response.status, 401);
    }
  }
});

test("a bearer that is no good token is refused as PostgREST does, never made anon", async () => {
  const claims = { sub: alice.id, role: "authenticated", exp: inSeconds(60) };
  const [header, payload, signature] = alice.token.split(".") as [string, string, string];
  const refused: [string, string][] = [
    ["garbage", "PGRST301"],
    ["a.b.c", "PGRST301"],
    [`${header}.${payload}.`, "PGRST301"],
    [`${header}.${payload}.${signature.slice(1)}`, "PGRST301"],
    [token(claims, { alg: "none" }).token, "PGRST301"],
    [token({ ...claims, exp: inSeconds(-40) }).token, "PGRST303"],
    [token({ ...claims, nbf: inSeconds(40) }).token, "PGRST303"],
    [token({ ...claims, iat: inSeconds(40) }).token, "PGRST303"],
  ];
  for (const [bearer, expected] of refused) {
    const { status, code } = await request("GET", "/notes", { as: { ...alice, token: bearer } });
    assert.deepEqual([status, code], [401, expected], bearer);
  }
  const justExpired = token({ ...claims, exp: inSeconds(-20) });
  assert.equal((await request("GET", "/notes", { as: justExpired })).status, 200, "30 s of leeway");
  const lowerCase = { authorization: `bearer ${alice.token}` };
  assert.equal((await request("GET", "/notes", { headers: lowerCase })).status, 200);
});

test("policies see the headers of the request", async () => {
  await create(alice, { title: "note" });
  await supabase.sql(`
    create policy probe on public.notes as restrictive for select using (
      nullif(current_setting('request.headers', true), '')::jsonb ->> 'x-probe' = 'yes'
        and current_setting('request.method') = 'GET' and current_setting('request.path') = '/notes'
    )
  `);
  try {
    const without = await request("GET", "/notes", { as: alice });
    assert.equal(without.rows.length, 0);
    const withHeader = await request("GET", "/notes", { as: alice, headers: { "X-Probe": "yes" } });
    assert.equal(withHeader.rows.length, 1);
  } finally {
    await supabase.sql("drop policy probe on public.notes");
  }
});

test("requests of two users at the same time stay apart", async () => {
  const users = Array.from({ length: 40 }, (_, i) => (i % 2 ? alice : bob));
  await Promise.all(
    users.map(async (as) => {
      await create(as, { title: "note" });
      const { rows } = await request("GET", "/notes?select=user_id", { as });
      assert.ok(rows.length > 0 && rows.every(({ user_id }) => user_id === as.id));
    }),
  );
});

test("supabase-js works with the publishable key and a signed-in user", async () => {
  const { data } = await alice.client.from("notes").insert({ title: "note" }).select().single().throwOnError();
  assert.equal(data.user_id, alice.id);
  const { error } = await bob.client.from("notes").select().eq("id", data.id).single();
  assert.equal(error?.code, "PGRST116");
  assert.equal((await alice.client.auth.getUser()).data.user?.email, "alice@example.com");
});

test("nothing but the REST and the Auth API is served, and on 127.0.0.1 alone", async () => {
  for (const path of ["/", "/_system/config", "/storage/v1/bucket", "/rest", "/rest/v1/../../_system/config"]) {
    assert.equal((await fetch(supabase.url + path)).status, 404, path);
  }
  const port = Number(new URL(supabase.url).port);
  const others = Object.values(networkInterfaces())
    .flatMap((addresses) => addresses ?? [])
    .filter(({ internal, family }) => !internal && family === "IPv4");
  for (const host of ["::1", "127.0.0.2", ...others.map(({ address }) => address)]) {
    const refused = await new Promise<boolean>((resolve) => {
      const socket = connect({ host, port, timeout: 2000 });
      socket.once("connect", () => resolve(false));
      socket.once("timeout", () => resolve(true));
      socket.once("error", () => resolve(true));
      socket.once("close", () => socket.destroy());
    });
    assert.ok(refused, host);
  }
});
