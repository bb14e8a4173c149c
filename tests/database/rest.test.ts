// The embedded Supabase answers as hosted Supabase's gateway, PostgREST and Auth do: to two users, to anon and to a forger,
// without the Worker. The table is one of the tests' own.

import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { connect } from "node:net";
import { networkInterfaces } from "node:os";
import { after, before, beforeEach, test } from "node:test";

import type { Supabase } from "../../tools/supabase.ts";
import { everything } from "../resources/everything.ts";
import { freshSupabase, publishableKey, type Sent, secretKey, send, sign, signIn, type User } from "./support.ts";

let supabase: Supabase;
let alice: User;
let bob: User;
let grantsOfMigrations: unknown;

before(async () => {
  supabase = await freshSupabase();
  await supabase.sql((await everything()).sql);
  await supabase.sql(PROBE);
  grantsOfMigrations = await grants();
  alice = await signIn(supabase.url, "alice");
  bob = await signIn(supabase.url, "bob");
  // The embedded Supabase may prepare its roles at the first REST request; all tests come after it.
  assert.equal((await request("GET", "/things", { as: alice })).status, 200);
});
after(() => supabase?.stop());
beforeEach(() => supabase.sql("delete from public.things"));

/** A function for these tests, whose argument names the answer or the error, and a table without a required column. */
const PROBE = `
  create function public.probe(what text) returns json language plpgsql as $$
  begin
    case what
      when 'null' then return null;
      when 'row' then return (select row_to_json(w) from (
        select 'Ä ☕ " \\ / \u2028 \u007f' || chr(9) || chr(1) as text, null as nothing, 2147483647 as whole, 0.5::double precision as half,
          true as yes, array['a', 'b'] as list, '{}'::json as object, airlock.wire_time('2026-01-31 12:00:00.1+00') as at
      ) as w);
      when 'request' then return json_build_object(
        'method', current_setting('request.method'), 'path', current_setting('request.path'), 'role', current_user,
        'sub', auth.uid(), 'headers', current_setting('request.headers')::json
      );
      when 'write' then
        insert into public.things (label) values ('written');
        raise sqlstate 'PT409' using message = 'airlock_request_replayed';
      when 'slow' then
        insert into public.things (label) values ('slow');
        perform pg_sleep(0.3);
        return to_json(current_setting('statement_timeout'));
      when 'reset' then
        reset role;
        return to_json(concat_ws(' ', session_user, current_user, current_setting('is_superuser')));
    end case;
  end
  $$;
  revoke execute on function public.probe(text) from public;
  grant execute on function public.probe(text) to authenticated;

  create table public.defaults (id integer generated always as identity primary key, name text default 'none');
  grant select, insert (name) on public.defaults to authenticated`;

interface Thing {
  id: string;
  user_id: string;
  label: string;
  memo: string;
  version: number;
  created_at: string;
  updated_at: string;
  deleted_at: string | null;
}

const request = (method: string, path: string, sent?: Sent) => send<Thing>(supabase.url, method, path, sent);

async function create(as: User, json: object): Promise<Thing> {
  const { status, rows } = await request("POST", "/things", { as, json });
  assert.equal(status, 201);
  return rows[0] as Thing;
}

/** Calls a function; the answer's body is kept as text. */
async function call(
  name: string,
  json: object,
  { as, headers }: Sent = {},
): Promise<{ status: number; type: string | null; text: string }> {
  const response = await fetch(`${supabase.url}/rest/v1/rpc/${name}`, {
    method: "POST",
    headers: {
      apikey: publishableKey,
      "content-type": "application/json",
      ...(as && { authorization: `Bearer ${as.token}` }),
      ...headers,
    },
    body: JSON.stringify(json),
  });
  return { status: response.status, type: response.headers.get("content-type"), text: await response.text() };
}

/** The stored row, read as the owner of the database. */
async function stored(id: string): Promise<Thing> {
  const [row] = await supabase.sql("select * from public.things where id = $1", [id]);
  return row as unknown as Thing;
}

const token = (claims: object, header?: object): User => ({ ...alice, token: sign(claims, header) });

const inSeconds = (seconds: number) => Math.floor(Date.now() / 1000) + seconds;

/** All rights of PostgREST's roles, and the default privileges for objects to come. */
function grants(): Promise<unknown> {
  return supabase.sql(`
    select nspname || '.' || relname as name, relacl::text as acl from pg_class join pg_namespace on pg_namespace.oid = relnamespace
      where nspname in ('public', 'airlock') and relkind in ('r', 'v', 'p')
    union all
    select attrelid::regclass || '.' || attname, attacl::text from pg_attribute join pg_class on pg_class.oid = attrelid
      where relnamespace in ('public'::regnamespace, 'airlock'::regnamespace) and attacl is not null
    union all
    select oid::regprocedure::text, proacl::text from pg_proc
      where pronamespace in ('public'::regnamespace, 'airlock'::regnamespace)
    union all
    select 'default ' || defaclobjtype::text, defaclacl::text from pg_default_acl
    order by 1, 2`);
}

test("the first REST request changes no grant", async () => {
  assert.deepEqual(await grants(), grantsOfMigrations);
  assert.deepEqual(
    await supabase.sql("select * from pg_default_acl"),
    [],
    "a later migration's table starts without grants",
  );
});

test("a user creates, reads, changes, deletes and restores a row", async () => {
  const thing = await create(alice, { label: "hello" });
  const { id, user_id, label, memo, version, deleted_at } = thing;
  assert.deepEqual(
    { user_id, label, memo, version, deleted_at },
    { user_id: alice.id, label: "hello", memo: "", version: 1, deleted_at: null },
  );
  assert.match(thing.created_at, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?\+00:00$/);

  const live = `/things?id=eq.${id}&deleted_at=is.null`;
  const changed = await request("PATCH", `${live}&version=eq.1`, { as: alice, json: { label: "changed" } });
  assert.equal(changed.rows[0]?.version, 2);
  const outdated = await request("PATCH", `${live}&version=eq.1`, { as: alice, json: { label: "late" } });
  assert.deepEqual([outdated.status, outdated.rows], [200, []]);

  const deleted = await request("PATCH", live, { as: alice, json: { deleted_at: "now" } });
  assert.equal(deleted.rows[0]?.deleted_at, deleted.rows[0]?.updated_at);
  assert.deepEqual((await request("GET", live, { as: alice })).rows, []);

  const restored = await request("PATCH", `/things?id=eq.${id}&deleted_at=not.is.null`, {
    as: alice,
    json: { deleted_at: null },
  });
  assert.equal(restored.rows[0]?.version, 4);
  assert.equal((await request("GET", live, { as: alice })).rows[0]?.label, "changed");
});

test("keyset pages have every row once, in order", async () => {
  for (let i = 0; i < 5; i++) await create(alice, { label: `${i}` });
  // Three rows of one instant, which only the id can order.
  await supabase.sql(`
    set session_replication_role = replica;
    update public.things set created_at = '2026-01-01T00:00:00.123456Z' where label in ('1', '2', '3');
    set session_replication_role = default;
  `);
  const query = "/things?select=id,label,created_at&deleted_at=is.null&order=created_at.desc,id.desc";
  const all = (await request("GET", query, { as: alice })).rows;

  const seen: Thing[] = [];
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

test("a user neither sees nor changes nor deletes another's row", async () => {
  const thing = await create(alice, { label: "of alice" });
  const before = await stored(thing.id);
  const path = `/things?id=eq.${thing.id}`;

  assert.deepEqual((await request("GET", "/things", { as: bob })).rows, []);
  assert.deepEqual((await request("GET", path, { as: bob })).rows, []);
  for (const json of [{ label: "taken" }, { deleted_at: "now" }, { deleted_at: null }]) {
    assert.deepEqual(await request("PATCH", path, { as: bob, json }), { status: 200, rows: [] });
  }
  const denied = await request("DELETE", path, { as: bob });
  assert.deepEqual([denied.status, denied.code], [403, "42501"]);
  assert.deepEqual(await stored(thing.id), before);
});

test("PATCH and DELETE without a filter are refused, as pg-safeupdate does", async () => {
  const thing = await create(alice, { label: "of alice" });
  const before = await stored(thing.id);
  for (const [method, path, json] of [
    ["PATCH", "/things", { label: "all" }],
    ["PATCH", "/things?select=id&limit=1&order=id", { label: "all" }],
    ["PATCH", "/things?select=id,parent(id)", { label: "all" }],
    ["PATCH", "/things?columns=label", { label: "all" }],
    ["DELETE", "/things", undefined],
    ["DELETE", "/things?select=id", undefined],
  ] as const) {
    const response = await fetch(`${supabase.url}/rest/v1${path}`, {
      method,
      headers: { apikey: publishableKey, authorization: `Bearer ${alice.token}`, "content-type": "application/json" },
      body: json ? JSON.stringify(json) : null,
    });
    const message = `${method === "PATCH" ? "UPDATE" : "DELETE"} requires a WHERE clause`;
    assert.deepEqual(
      [response.status, await response.json()],
      [400, { code: "21000", details: null, hint: null, message }],
      path,
    );
  }
  assert.deepEqual(await stored(thing.id), before);
  assert.deepEqual(
    await request("PATCH", "/things", { as: alice, json: {} }),
    { status: 200, rows: [] },
    "it updates nothing",
  );
});

test("a PATCH of all rows changes the caller's rows alone", async () => {
  const thing = await create(alice, { label: "of alice" });
  const own = [await create(bob, { label: "1" }), await create(bob, { label: "2" })];
  const { rows } = await request("PATCH", "/things?id=not.is.null", { as: bob, json: { label: "all" } });
  assert.deepEqual(rows.map(({ id }) => id).sort(), own.map(({ id }) => id).sort());
  assert.equal((await stored(thing.id)).label, "of alice");
});

test("an id that another user has taken is not overwritten", async () => {
  const thing = await create(alice, { label: "of alice" });
  const json = { id: thing.id, label: "taken" };
  const before = await stored(thing.id);

  const insert = await request("POST", "/things", { as: bob, json });
  assert.deepEqual([insert.status, insert.code], [409, "23505"]);
  const merge = await request("POST", "/things", { as: bob, json, prefer: "resolution=merge-duplicates" });
  assert.deepEqual([merge.status, merge.code], [403, "42501"]);
  const ignore = await request("POST", "/things", { as: bob, json, prefer: "resolution=ignore-duplicates" });
  assert.deepEqual(ignore.rows, []);
  const put = await request("PUT", `/things?id=eq.${thing.id}`, { as: bob, json });
  assert.deepEqual([put.status, put.code], [403, "42501"]);
  assert.deepEqual(await stored(thing.id), before);
});

test("no caller chooses owner, version or times of a row", async () => {
  const thing = await create(alice, { label: "thing" });
  const before = await stored(thing.id);
  const smuggled = { user_id: bob.id, version: 99, created_at: "1999-01-01", updated_at: "1999-01-01" };
  for (const [column, value] of Object.entries(smuggled)) {
    const insert = await request("POST", "/things", { as: alice, json: { label: "x", [column]: value } });
    assert.deepEqual([insert.status, insert.code], [403, "42501"], `insert ${column}`);
    const update = await request("PATCH", `/things?id=eq.${thing.id}`, { as: alice, json: { [column]: value } });
    assert.deepEqual([update.status, update.code], [403, "42501"], `update ${column}`);
  }
  const born = await request("POST", "/things", { as: alice, json: { label: "x", deleted_at: "now" } });
  assert.deepEqual([born.status, born.code], [403, "42501"]);
  const moved = await request("PATCH", `/things?id=eq.${thing.id}`, { as: alice, json: { id: randomUUID() } });
  assert.deepEqual([moved.status, moved.code], [403, "42501"]);
  assert.deepEqual(await supabase.sql("select * from public.things"), [before]);

  const { rows } = await request("PATCH", `/things?id=eq.${thing.id}`, {
    as: alice,
    json: { deleted_at: "1999-01-01" },
  });
  assert.equal(rows[0]?.deleted_at, rows[0]?.updated_at);
});

test("DELETE is denied to the owner and to anon", async () => {
  const thing = await create(alice, { label: "thing" });
  for (const path of ["/things?id=not.is.null", `/things?id=eq.${thing.id}`]) {
    const owner = await request("DELETE", path, { as: alice });
    assert.deepEqual([owner.status, owner.code], [403, "42501"]);
    const anon = await request("DELETE", path);
    assert.deepEqual([anon.status, anon.code], [401, "42501"]);
  }
  assert.equal((await stored(thing.id)).version, 1);
});

test("anon reads published columns and nothing else", async () => {
  const thing = await create(alice, { label: "thing" });
  const path = `/things?id=eq.${thing.id}`;
  const answers = [
    await request("GET", "/things"),
    await request("GET", path),
    await request("POST", "/things", { json: { label: "x" } }),
    await request("POST", "/things", { json: { label: "x" }, prefer: "resolution=merge-duplicates" }),
    await request("PATCH", path, { json: { label: "x" } }),
    await request("PUT", path, { json: { id: thing.id, label: "x" } }),
    await request("DELETE", path),
  ];
  for (const { status, code } of answers) assert.deepEqual([status, code], [401, "42501"]);
  assert.equal((await stored(thing.id)).version, 1);

  const published = "/things?select=id,label";
  assert.deepEqual((await request("GET", published)).rows, []);
  await supabase.sql("update public.things set published_at = now()");
  assert.deepEqual((await request("GET", published)).rows, [{ id: thing.id, label: thing.label }]);
});

test("service_role has no grant, and a token names no other role", async () => {
  const service = await request("GET", "/things", { as: token({ role: "service_role" }) });
  assert.deepEqual([service.status, service.code], [403, "42501"]);
  for (const role of ["AUTHENTICATED", "", null, ["authenticated"], "nobody"]) {
    const { status, code } = await request("GET", "/things", { as: token({ sub: alice.id, role }) });
    assert.deepEqual([status, code], [401, "22023"], String(role));
  }
  for (const role of ["postgres", "pg_read_all_data", "authenticator", "none"]) {
    const { status, code } = await request("GET", "/things", { as: token({ sub: alice.id, role }) });
    assert.deepEqual([status, code], [403, "42501"], role);
  }
});

test("a role of the project's own is the caller's, once it is granted to authenticator", async () => {
  await supabase.sql(
    "create role auditor; grant usage on schema public to auditor; grant select on public.things to auditor",
  );
  const as = token({ sub: alice.id, role: "auditor" });
  assert.deepEqual((({ status, code }) => [status, code])(await request("GET", "/things", { as })), [403, "42501"]);
  await supabase.sql("grant auditor to authenticator");
  try {
    assert.deepEqual(await request("GET", "/things", { as }), { status: 200, rows: [] });
  } finally {
    await supabase.sql("drop owned by auditor; drop role auditor");
  }
});

test("a function that resets its role is authenticator, never a superuser", async () => {
  const { status, text } = await call("probe", { what: "reset" }, { as: alice });
  assert.deepEqual([status, JSON.parse(text)], [200, "authenticator authenticator off"]);
  const [row] = await supabase.sql(
    "select concat_ws(' ', session_user, current_user, current_setting('is_superuser')) as who",
  );
  assert.equal(row?.who, "postgres postgres on", "the database's owner is not concerned");
});

test("a statement longer than its role's statement_timeout is 57014", async () => {
  const defaults = await supabase.sql(
    "select rolname, setting from pg_roles, unnest(rolconfig) as setting where setting like 'statement_timeout=%' order by 1",
  );
  assert.deepEqual(
    defaults.map(({ rolname, setting }) => `${rolname} ${setting}`),
    ["anon statement_timeout=3s", "authenticated statement_timeout=8s", "authenticator statement_timeout=8s"],
  );
  await supabase.sql("alter role authenticated set statement_timeout = '250ms'");
  try {
    const { status, text } = await call("probe", { what: "slow" }, { as: alice });
    assert.deepEqual(
      [status, JSON.parse(text)],
      [500, { code: "57014", details: null, hint: null, message: "canceling statement due to statement timeout" }],
    );
    assert.deepEqual(await supabase.sql("select id from public.things"), []);
    for (const [timeout, seen] of [
      ["60000", "1min"],
      ["0", "0"],
    ]) {
      await supabase.sql(`alter role authenticated set statement_timeout = ${timeout}`);
      assert.deepEqual(JSON.parse((await call("probe", { what: "slow" }, { as: alice })).text), seen);
    }
  } finally {
    await supabase.sql("alter role authenticated set statement_timeout = '8s'");
  }
});

test("times have microseconds", async () => {
  const times = new Set<string>();
  for (let n = 0; n < 3; n++) times.add((await create(alice, { label: "thing" })).created_at.slice(23, 26));
  assert.ok(times.size > 1, `all end in ${[...times].join()}`);
  const [row] = await supabase.sql("select extract(epoch from clock_timestamp())::float8 * 1000 as now");
  assert.ok(Math.abs(Number(row?.now) - Date.now()) < 1000);
});

test("a body of lone surrogates or invalid UTF-8 is PGRST102", async () => {
  const refused = [
    '{"label":"\\ud800"}',
    '{"label":"\\udc00\\ud800"}',
    '{"label":"x","\\udfff":1}',
    '{"label":"x","extra":{"a":["\\ud83d"]}}',
    ...["\xff", "\xed\xa0\x80", "\xc0\xaf"].map((bytes) => Buffer.from(`{"label":"${bytes}"}`, "latin1")),
    '\ufeff{"label":"x"}',
    "{",
    "",
    '{"label":"x"}}',
  ];
  const bodies: [string, string, string | Buffer<ArrayBuffer>][] = refused.flatMap((body) => [
    ["POST", "/things", body],
    ["PATCH", `/things?id=eq.${randomUUID()}`, body],
  ]);
  bodies.push(
    ["POST", "/rpc/probe", '{"what":"\\ud800"}'],
    ["POST", "/rpc/probe", Buffer.from('{"what":"\xff"}', "latin1")],
  );
  for (const [method, path, body] of bodies) {
    const headers = {
      apikey: publishableKey,
      authorization: `Bearer ${alice.token}`,
      "content-type": "application/json",
    };
    const response = await fetch(`${supabase.url}/rest/v1${path}`, { method, headers, body });
    assert.deepEqual(
      [response.status, await response.json()],
      [400, { code: "PGRST102", details: null, hint: null, message: "Empty or invalid json" }],
      `${method} ${body}`,
    );
  }
  assert.deepEqual(await supabase.sql("select id from public.things"), []);
  const pair = await create(alice, { label: "\ud83d\ude42", memo: "\\ud800" });
  assert.deepEqual([pair.label, pair.memo], ["🙂", "\\ud800"], "pairs and escaped backslashes are text");
});

test("POST {} inserts a row of defaults; a value that is not a row is refused", async () => {
  const post = async (body: string, headers: Record<string, string> = {}) => {
    const sent = {
      apikey: publishableKey,
      authorization: `Bearer ${alice.token}`,
      "content-type": "application/json",
      prefer: "return=representation",
      ...headers,
    };
    const response = await fetch(`${supabase.url}/rest/v1/defaults`, { method: "POST", headers: sent, body });
    return [response.status, JSON.parse((await response.text()) || "null")];
  };
  assert.deepEqual(await post("{}"), [201, [{ id: 1, name: "none" }]]);
  assert.deepEqual(await post("[{},{}]"), [
    201,
    [
      { id: 2, name: "none" },
      { id: 3, name: "none" },
    ],
  ]);
  for (const body of ["[]", "3", "null", '"x"']) assert.deepEqual(await post(body), [201, []], body);
  assert.deepEqual(await post("{}", { prefer: "return=minimal" }), [201, null]);
  const required = await request("POST", "/things", { as: alice, json: {} });
  assert.deepEqual([required.status, required.code], [400, "23502"]);
  const anon = await request("POST", "/defaults", { json: {} });
  assert.deepEqual([anon.status, anon.code], [401, "42501"]);
});

test("the secret key is service_role, unless there is a user's token", async () => {
  await create(alice, { label: "thing" });
  const headers = { apikey: secretKey };
  const alone = await request("GET", "/things", { headers });
  assert.deepEqual([alone.status, alone.code], [403, "42501"]);
  const twice = await request("GET", "/things", { headers: { ...headers, authorization: `Bearer ${secretKey}` } });
  assert.deepEqual([twice.status, twice.code], [403, "42501"]);
  assert.equal((await request("GET", "/things", { as: alice, headers })).rows.length, 1);
  assert.equal((await request("GET", "/things", { as: bob, headers })).rows.length, 0);
  for (const other of [`${secretKey}x`, secretKey.slice(0, -1), "sb_secret_", ""]) {
    assert.equal((await request("GET", "/things", { headers: { apikey: other } })).status, 401);
  }
  const { status, code } = await request("GET", "/things", { headers: { authorization: `Bearer ${secretKey}` } });
  assert.deepEqual([status, code], [401, "PGRST301"], "a key is not a token");
});

test("text limits hold for direct callers", async () => {
  const whiteSpace = [
    0x9, 0xa, 0xb, 0xc, 0xd, 0x20, 0x85, 0xa0, 0x1680, 0x2000, 0x2001, 0x2002, 0x2003, 0x2004, 0x2005, 0x2006, 0x2007,
    0x2008, 0x2009, 0x200a, 0x2028, 0x2029, 0x202f, 0x205f, 0x3000,
  ].map((code) => String.fromCodePoint(code));
  const refused: object[] = [
    ...whiteSpace.flatMap((space) => [{ label: `${space}x` }, { label: `x${space}` }, { label: space }]),
    { label: "" },
    { label: "🙂".repeat(51) },
    { label: "x", memo: "🙂".repeat(501) },
  ];
  for (const json of refused) {
    const { status, code } = await request("POST", "/things", { as: alice, json });
    assert.deepEqual([status, code], [400, "23514"], JSON.stringify(json).slice(0, 40));
  }
  assert.deepEqual(await supabase.sql("select * from public.things"), []);

  const accepted = [
    ...whiteSpace.map((space) => ({ label: `x${space}x`, memo: `${space}x${space}` })),
    { label: "🙂".repeat(50), memo: "🙂".repeat(500) },
    { label: "\u{200b}", memo: "\u{feff}" },
  ];
  for (const json of accepted) {
    const thing = await create(alice, json);
    assert.deepEqual({ label: thing.label, memo: thing.memo }, json);
  }
});

test("NUL, null, absent, ill-typed and unknown values write nothing", async () => {
  const refused: [object, string][] = [
    [{ label: "a\u0000b" }, "22P05"],
    [{ label: "x", memo: "\u0000" }, "22P05"],
    [{ label: null }, "23502"],
    [{ memo: "x" }, "23502"],
    [{ id: "x", label: "x" }, "22P02"],
    [{ label: "x", colour: "red" }, "PGRST204"],
  ];
  for (const [json, expected] of refused) {
    const { status, code } = await request("POST", "/things", { as: alice, json });
    assert.deepEqual([status, code], [400, expected]);
  }
  assert.deepEqual(await supabase.sql("select * from public.things"), []);
});

test("a request without the publishable key is refused", async () => {
  for (const headers of [{}, { authorization: `Bearer ${alice.token}` }, { apikey: "sb_publishable_x" }]) {
    for (const path of ["/rest/v1/things", "/auth/v1/user"]) {
      const response = await fetch(supabase.url + path, { headers: headers as Record<string, string> });
      assert.equal(response.status, 401);
    }
  }
});

test("an invalid token is refused as PostgREST does, never made anon", async () => {
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
    const { status, code } = await request("GET", "/things", { as: { ...alice, token: bearer } });
    assert.deepEqual([status, code], [401, expected], bearer);
  }
  for (const authorization of ["Bearer", "Bearer ", "bearer"]) {
    const { status, code } = await request("GET", "/things?select=id,label", { headers: { authorization } });
    assert.deepEqual([status, code], [401, "PGRST301"], "an empty token");
  }
  assert.equal(
    (await request("GET", "/things?select=id,label", { headers: { authorization: "Basic eA==" } })).status,
    200,
    "no bearer token",
  );
  const justExpired = token({ ...claims, exp: inSeconds(-20) });
  assert.equal((await request("GET", "/things", { as: justExpired })).status, 200, "30 s of leeway");
  const lowerCase = { authorization: `bearer ${alice.token}` };
  assert.equal((await request("GET", "/things", { headers: lowerCase })).status, 200);
});

test("policies see the request's headers, method and path", async () => {
  await create(alice, { label: "thing" });
  await supabase.sql(`
    create policy probe on public.things as restrictive for select using (
      nullif(current_setting('request.headers', true), '')::jsonb ->> 'x-probe' = 'yes'
        and current_setting('request.method') = 'GET' and current_setting('request.path') = '/things'
    )
  `);
  try {
    const without = await request("GET", "/things", { as: alice });
    assert.equal(without.rows.length, 0);
    const withHeader = await request("GET", "/things", { as: alice, headers: { "X-Probe": "yes" } });
    assert.equal(withHeader.rows.length, 1);
  } finally {
    await supabase.sql("drop policy probe on public.things");
  }
});

test("a function's JSON is answered byte for byte as Postgres writes it", async () => {
  const [row] = await supabase.sql("select public.probe('row')::text as text");
  const answer = await call("probe", { what: "row" }, { as: alice });
  assert.deepEqual(answer, { status: 200, type: "application/json; charset=utf-8", text: row?.text });
  assert.match(
    answer.text,
    /^\{"text":"Ä ☕ \\" [\s\S]*,"half":0\.5,"yes":true,"list":\["a","b"\],"object":\{\},"at":"2026-01-31T12:00:00\.100000Z"\}$/,
  );
});

test("a page of airlock_list has no spaces between its tokens", async () => {
  const list = (page_size: number) =>
    call(
      "airlock_list",
      { resource: "things", org: null, state: "active", words: null, after: null, page_size },
      { as: alice },
    );
  assert.equal((await list(1)).text, '{"data":[],"next_cursor":null}');
  for (const label of ["one", "two"]) await create(alice, { label, memo: " a : b " });
  const { status, text } = await list(1);
  assert.equal(status, 200);
  assert.match(
    text,
    /^\{"data":\[\{"id":"[0-9a-f-]{36}","label":"two","memo":" a : b ",[^ ]*"deleted_at":null\}\],"next_cursor":"[A-Za-z0-9_-]+"\}$/,
  );
});

test("a function's null is answered as null", async () => {
  assert.deepEqual(await call("probe", { what: "null" }, { as: alice }), {
    status: 200,
    type: "application/json; charset=utf-8",
    text: "null",
  });
  const read = await call("airlock_read", { resource: "things", org: null, id: randomUUID() }, { as: alice });
  assert.deepEqual([read.status, read.text], [200, "null"]);
});

test("an error PTxyz has that status and its message, and rolls back", async () => {
  const { status, text } = await call("probe", { what: "write" }, { as: alice });
  assert.equal(status, 409);
  assert.deepEqual(JSON.parse(text), { code: "PT409", message: "airlock_request_replayed", details: null, hint: null });
  assert.deepEqual(await supabase.sql("select id from public.things"), []);

  const unknown = await call("airlock_read", { resource: "unknown", org: null, id: randomUUID() }, { as: alice });
  assert.deepEqual([unknown.status, JSON.parse(unknown.text).message], [404, "airlock_unknown_resource"]);
  const claim = { as: alice, headers: { "X-Airlock-Claim": "v1" } };
  const malformed = await call(
    "airlock_create",
    { resource: "things", org: null, draft: { label: "x" }, request_key: null, request_digest: null },
    claim,
  );
  assert.deepEqual([malformed.status, JSON.parse(malformed.text).message], [400, "airlock_malformed_claim"]);
});

test("functions see the caller and the request's headers, method and path", async () => {
  const { text } = await call(
    "probe",
    { what: "request" },
    { as: alice, headers: { "X-Airlock-Claim": "claim", "X-Edge-Proof": "proof" } },
  );
  const { headers, ...seen } = JSON.parse(text);
  assert.deepEqual(seen, { method: "POST", path: "/rpc/probe", role: "authenticated", sub: alice.id });
  assert.deepEqual([headers["x-airlock-claim"], headers["x-edge-proof"]], ["claim", "proof"]);
  const next = await call("probe", { what: "request" }, { as: bob });
  assert.equal(JSON.parse(next.text).headers["x-airlock-claim"], undefined, "the next request does not see them");
});

test("a missing or ungranted function is refused as PostgREST does", async () => {
  const refused: [string, object, Sent, number, string][] = [
    ["nothing", {}, { as: alice }, 404, "PGRST202"],
    ["probe", { what: "null", more: 1 }, { as: alice }, 404, "PGRST202"],
    ["probe", { what: "null" }, {}, 401, "42501"],
    [
      "airlock_run_job",
      { job_label: "job:x", job_run: randomUUID(), after_days: 1, at_most: 1 },
      { as: alice },
      403,
      "42501",
    ],
    [
      "airlock_change",
      { resource: "things", org: null, id: randomUUID(), action: "delete", draft: null, if_match: null },
      {},
      401,
      "42501",
    ],
    // Granted to anon, for resources that every app reads. This is none.
    ["airlock_read", { resource: "things", org: null, id: randomUUID() }, {}, 404, "PT404"],
  ];
  for (const [name, json, sent, status, code] of refused) {
    const answer = await call(name, json, sent);
    assert.deepEqual([answer.status, JSON.parse(answer.text).code], [status, code], name);
  }
});

test("concurrent requests of two users stay apart", async () => {
  const users = Array.from({ length: 40 }, (_, i) => (i % 2 ? alice : bob));
  await Promise.all(
    users.map(async (as) => {
      await create(as, { label: "thing" });
      const { rows } = await request("GET", "/things?select=user_id", { as });
      assert.ok(rows.length > 0 && rows.every(({ user_id }) => user_id === as.id));
    }),
  );
});

test("supabase-js works with the publishable key and a signed-in user", async () => {
  const { data } = await alice.client.from("things").insert({ label: "thing" }).select().single().throwOnError();
  assert.equal(data.user_id, alice.id);
  const { error } = await bob.client.from("things").select().eq("id", data.id).single();
  assert.equal(error?.code, "PGRST116");
  assert.equal((await alice.client.auth.getUser()).data.user?.email, "alice@example.com");
});

test("a page of any origin may sign in and call", async () => {
  const origin = { origin: "http://localhost:8081" };
  for (const path of ["/auth/v1/token?grant_type=password", "/rest/v1/things"]) {
    const asked = "apikey,authorization,content-type,x-client-info";
    const headers = { ...origin, "access-control-request-method": "POST", "access-control-request-headers": asked };
    const preflight = await fetch(supabase.url + path, { method: "OPTIONS", headers });
    assert.deepEqual([preflight.status, preflight.headers.get("access-control-allow-origin")], [204, "*"], path);
    assert.equal(preflight.headers.get("access-control-allow-headers"), asked);
    assert.match(preflight.headers.get("access-control-allow-methods") ?? "", /\bPATCH,POST,DELETE\b/);

    const refused = await fetch(supabase.url + path, { method: "POST", headers: origin });
    assert.deepEqual(
      [refused.ok, refused.headers.get("access-control-allow-origin")],
      [false, "*"],
      "errors are readable, too",
    );
  }
});

test("only the REST and Auth APIs are served, only on 127.0.0.1", async () => {
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
