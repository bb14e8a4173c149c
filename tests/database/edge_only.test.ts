// Edge-only mode at the REST API: with a valid token and without the Worker, in every table and every function.

import assert from "node:assert/strict";
import { createHash, randomUUID } from "node:crypto";
import { readFileSync } from "node:fs";
import { rm } from "node:fs/promises";
import { after, before, beforeEach, test } from "node:test";

import type { Resource } from "../../tools/declaration.ts";
import { migrationFiles, openDatabase } from "../../tools/supabase/database.ts";
import { preparedFolder } from "../../tools/supabase/prepared.ts";
import type { Supabase } from "../../tools/supabase.ts";
import { everything } from "../resources/everything.ts";
import { taken } from "../resources/values.ts";
import { edgeProof } from "../support/edge_proof.ts";
import { OWN_TABLES, ownDeclaration } from "../support/own.ts";
import { freshSupabase, publishableKey, secretKey, sign } from "./support.ts";

const SECRET = "s".repeat(32);
const ORG = "0f000000-0000-4000-8000-000000000001";
const INVITATIONS = ["20000000-0000-4000-8000-000000000001", "20000000-0000-4000-8000-000000000002"] as const;
const digest = (text: string) => createHash("sha256").update(text).digest("hex");
const user = (id: string) => ({
  id,
  token: sign({ sub: id, role: "authenticated", exp: Math.floor(Date.now() / 1000) + 3600 }),
});
/** Alice owns everything, bob is a viewer of her organisation, and carol is invited. */
const users = {
  alice: user("a0000000-0000-4000-8000-00000000000a"),
  bob: user("b0000000-0000-4000-8000-00000000000b"),
  carol: user("c0000000-0000-4000-8000-00000000000c"),
};
const { alice, bob } = users;

const { resources: projects } = await ownDeclaration();
/**
 * Their functions are open to callers if their migration is applied, even if airlock.toml does not declare
 * organisations.
 */
const organizations = (await migrationFiles()).some((file) => file.includes("_airlock_organizations"));
const tests = await everything();
const resources = [...projects, ...tests.resources];

let supabase: Supabase;

before(async () => {
  supabase = await freshSupabase();
  await supabase.sql(OWN_TABLES);
  await supabase.sql(tests.sql);
  await supabase.sql(`
    create function public.titles() returns setof text language sql as 'select title from public.errands';
    revoke execute on function public.titles() from public, anon;
    grant execute on function public.titles() to authenticated;
    select airlock.serve_function('titles', 'public.titles');
  `);
  for (const [name, { id }] of Object.entries(users)) {
    await supabase.sql("insert into auth.users (id, email) values ($1, $2)", [id, `${name}@edge-only.test`]);
  }
});
after(() => supabase?.stop());

/** Gives alice a row in each place of each resource, published where that is possible. */
beforeEach(async () => {
  await supabase.sql(`
    update airlock.edge_settings set mode = 'enforce', secret = '${SECRET}', next_secret = null;
    delete from airlock.claims;
    delete from airlock.idempotency_keys;
    truncate ${resources.map(({ name }) => `public.${name}`).join(", ")};
  `);
  if (organizations) {
    await supabase.sql(`
      delete from airlock.organizations;
      insert into airlock.organizations (id, name) values ('${ORG}', 'of alice');
      insert into airlock.members (org_id, user_id, role) values ('${ORG}', '${alice.id}', 'owner'), ('${ORG}', '${bob.id}', 'viewer');
      insert into airlock.invitations (id, org_id, role, token_digest, created_by) values
        ('${INVITATIONS[0]}', '${ORG}', 'editor', '${digest("token")}', '${alice.id}'),
        ('${INVITATIONS[1]}', '${ORG}', 'editor', '${digest("another token")}', '${alice.id}');
    `);
  }
  // No trigger checks the refs, whose targets may come later.
  await supabase.sql("set session_replication_role = replica");
  for (const resource of resources) {
    for (const org of placesOf(resource)) {
      const row = {
        ...draftOf(resource, org),
        ...parentOf(resource),
        id: rowOf(resource, org),
        user_id: alice.id,
        ...(org && { org_id: org }),
        ...(resource.publish && { published_at: "now" }),
      };
      const columns = Object.keys(row)
        .map((name) => `"${name}"`)
        .join(", ");
      const from = `json_populate_record(null::public.${resource.name}, $1::json)`;
      await supabase.sql(`insert into public.${resource.name} (${columns}) select ${columns} from ${from}`, [
        JSON.stringify(row),
      ]);
    }
  }
  await supabase.sql("set session_replication_role = default");
});

/** The owners of alice's rows in a resource: herself (null) or her organisation. */
function placesOf({ owner }: Resource): (string | null)[] {
  return { user: [null], org: [ORG], both: [null, ORG] }[owner];
}

/** The id of alice's row with this owner. */
function rowOf({ name }: { name: string }, org: string | null): string {
  return `10000000-0000-4000-8000-${digest(`${name} ${org}`).slice(0, 12)}`;
}

/** The column with the id of a row's parent. */
function parentOf({ under }: Resource): Record<string, string> {
  return under ? { [under.column]: rowOf({ name: under.resource }, null) } : {};
}

/** A short value for each required field. */
function draftOf({ fields }: Resource, org: string | null): Record<string, unknown> {
  const required = fields.filter((field) => !field.nullable && field.default === undefined);
  return Object.fromEntries(
    required.map((field) => {
      const target = field.kind === "ref" && resources.find(({ name }) => name === field.resource);
      const values = target
        ? [rowOf(target, placesOf(target).includes(org) ? org : null)]
        : taken(field).map(({ sent }) => sent);
      return [field.name, values.sort((one, other) => JSON.stringify(one).length - JSON.stringify(other).length)[0]];
    }),
  );
}

type Request = [method: string, path: string, json?: object, as?: "alice" | "bob" | "carol" | "anon"];

/** A request for each right of a role. In this order each one finds a row. */
const REQUESTS: Request[] = [
  ...resources.flatMap((resource) => placesOf(resource).flatMap((org) => requestsOf(resource, org))),
  ...(organizations ? requestsOfOrganizations() : []),
  ["POST", "/rpc/titles", {}],
  rpc("airlock_call", { function: "titles", arguments: {} }),
  rpc("airlock_ready", { schema_version: 1, organizations, resources: resources.map(({ name }) => name) }, "anon"),
];

function requestsOf(resource: Resource, org: string | null): Request[] {
  const { name, publish, under } = resource;
  const collection = under ? `${under.resource}/${rowOf({ name: under.resource }, null)}/${name}` : name;
  const [id, draft, place] = [rowOf(resource, org), draftOf(resource, org), { resource: collection, org }];
  const change = (action: string) =>
    rpc("airlock_change", { ...place, id, action, draft: action === "patch" ? draft : null, if_match: null });
  return [
    ["GET", `/${name}?select=id`],
    ["POST", `/${name}?select=id`, { ...draft, ...parentOf(resource), ...(org && { org_id: org }) }],
    ["PATCH", `/${name}?select=id&id=eq.${id}`, draft],
    rpc("airlock_list", { ...place, state: "active", words: null, after: null, page_size: 20 }),
    rpc("airlock_read", { ...place, id }),
    rpc("airlock_create", { ...place, draft, request_key: digest(id), request_digest: digest(name) }),
    rpc("airlock_put", { ...place, id, draft, mode: "any", if_match: null }),
    rpc("airlock_put", { ...place, id: id.replace(/^1/, "3"), draft, mode: "any", if_match: null }),
    change("patch"),
    ...(publish
      ? ([
          ["GET", `/${name}?select=id`, undefined, "anon"],
          rpc("airlock_published", { resource: name, id }, "anon"),
          change("unpublish"),
          change("publish"),
        ] as Request[])
      : []),
    change("delete"),
    change("restore"),
  ];
}

function requestsOfOrganizations(): Request[] {
  const [org, page] = [ORG, { after: null, page_size: 20 }];
  return [
    rpc("airlock_orgs", page),
    rpc("airlock_org", { org }),
    rpc("airlock_org_create", { org_name: "new", request_key: "key-of-organization", request_digest: digest("org") }),
    rpc("airlock_org_change", { org, action: "rename", org_name: "renamed", if_match: null }),
    rpc("airlock_members", { org, ...page }),
    rpc("airlock_member", { org, member: bob.id }),
    rpc("airlock_member_change", { org, member: bob.id, action: "set_role", member_role: "editor", if_match: null }),
    rpc("airlock_invitations", { org, ...page }),
    rpc("airlock_invite", {
      org,
      member_role: "viewer",
      token_digest: digest("third"),
      request_key: "key-of-invitation",
      request_digest: digest("invite"),
    }),
    rpc("airlock_invitation_revoke", { org, invitation: INVITATIONS[1] }),
    rpc("airlock_join", { invitation_token: "token" }, "carol"),
  ];
}

function rpc(name: string, json: object, as?: Request[3]): Request {
  return ["POST", `/rpc/${name}`, json, as];
}

const pathOf = (path: string) => path.split("?")[0] ?? "";
const nameOf = ([method, path, json, as = "alice"]: Request) =>
  `${method} ${path} ${JSON.stringify(json) ?? ""} as ${as}`;

async function ask(
  [method, path, json, as = "alice"]: Request,
  proof?: string,
): Promise<{ status: number; body: any }> {
  const caller = as === "anon" ? null : users[as];
  const response = await fetch(`${supabase.url}/rest/v1${path}`, {
    method,
    headers: {
      apikey: publishableKey,
      prefer: "return=representation",
      ...(caller && { authorization: `Bearer ${caller.token}` }),
      ...(json && { "content-type": "application/json" }),
      ...(proof && { "x-edge-proof": proof }),
    },
    body: json ? JSON.stringify(json) : null,
  });
  return { status: response.status, body: JSON.parse(await response.text()) };
}

/** The same request with a good proof. */
function askWithProof(request: Request, secret = SECRET) {
  const [method, path, , as = "alice"] = request;
  return ask(request, edgeProof({ secret, sub: as === "anon" ? "" : users[as].id, method, path: pathOf(path) }));
}

/** Whether an answer has a row, or reports a write. */
function gives({ status, body }: { status: number; body: any }): boolean {
  if (status >= 300 || body === null) return false;
  if (Array.isArray(body)) return body.length > 0;
  if (Array.isArray(body.data)) return body.data.length > 0;
  return !["missing", "taken", "deleted"].includes(body.outcome);
}

/** All rows of all tables, and when they were last written. */
async function rows(): Promise<unknown> {
  const tables = await supabase.sql(
    "select oid::regclass::text as name from pg_class where relnamespace in ('public'::regnamespace, 'airlock'::regnamespace) and relkind = 'r' order by 1",
  );
  return Promise.all(
    tables.map(({ name }) => supabase.sql(`select *, xmin::text, ctid::text from ${name} order by ctid`)),
  );
}

test("these requests are all that PostgREST's callers may make", async () => {
  const granted = await supabase.sql(`
    select privilege_type || ' /' || table_name as request from information_schema.column_privileges
      where table_schema = 'public' and grantee in ('PUBLIC', 'anon', 'authenticated') and privilege_type <> 'REFERENCES'
    union select privilege_type || ' /' || table_name from information_schema.table_privileges
      where table_schema = 'public' and grantee in ('PUBLIC', 'anon', 'authenticated')
    union select 'EXECUTE /rpc/' || proname from pg_proc, unnest(array['anon', 'authenticated']) as role
      where pronamespace = 'public'::regnamespace and has_function_privilege(role, oid, 'execute')
  `);
  const privileges: Record<string, string> = { GET: "SELECT", POST: "INSERT", PATCH: "UPDATE" };
  const asked = REQUESTS.map(
    ([method, path]) => `${path.startsWith("/rpc/") ? "EXECUTE" : privileges[method]} ${pathOf(path)}`,
  );
  assert.deepEqual([...new Set(asked)].sort(), granted.map(({ request }) => String(request)).sort());
});

test("without a proof a valid token reads and writes no row", async () => {
  const before = await rows();
  for (const request of REQUESTS) {
    const answer = await ask(request);
    const said = `${nameOf(request)}: ${JSON.stringify(answer.body)}`;
    assert.equal(gives(answer), false, said);
    // Without a proof the target of a ref is not found either, nor a parent.
    if (answer.status >= 300)
      assert.match(
        `${answer.body.code} ${answer.body.message}`,
        /^(42501 |PT403 |PT404 airlock_not_found$|23503 airlock_reference$)/,
        said,
      );
  }
  assert.deepEqual(await rows(), before);
});

test("with a proof each request is answered as in mode off", async () => {
  for (const request of REQUESTS) {
    const answer = await askWithProof(request);
    assert.ok(gives(answer), `${nameOf(request)}: ${JSON.stringify(answer)}`);
  }
});

test("a proof covers user, method, path and 60 seconds; it can be replayed", async () => {
  const read: Request = ["GET", "/errands?select=title"];
  const its = { secret: SECRET, sub: alice.id, method: "GET", path: "/errands" };
  const count = async (proof: string, request = read) => (await ask(request, proof)).body.length;
  const proof = edgeProof(its);
  // The proof does not cover the query.
  for (const request of [read, read, ["GET", "/errands?select=id,version"]] as Request[])
    assert.equal(await count(proof, request), 1);
  assert.equal(await count(edgeProof({ ...its, age: 55 })), 1);
  for (const other of [
    { age: 61 },
    { age: -10 },
    { sub: bob.id },
    { sub: "" },
    { method: "HEAD" },
    { path: "/things" },
    { path: "/rest/v1/errands" },
    { secret: "o".repeat(32) },
  ]) {
    assert.equal(await count(edgeProof({ ...its, ...other })), 0, JSON.stringify(other));
  }
  assert.equal(await count(proof, ["GET", "/things?select=id"]), 0);
  assert.equal(await count(proof, ["PATCH", "/errands?select=id&version=eq.1", { title: "x" }]), 0);
  assert.equal((await ask(["POST", "/errands", { title: "x" }], proof)).body.code, "42501");
  assert.equal(await count(proof, ["GET", "/errands?select=title", undefined, "bob"]), 0);
});

test("close_table and open_table change one table, and may be repeated", async () => {
  const readsOf = (name: string): Request[] => [
    ["GET", `/${name}?select=id`],
    rpc("airlock_read", { resource: name, org: null, id: rowOf({ name }, null) }),
  ];
  const [opened, closed] = [readsOf("things"), readsOf("errands")];
  const given = async (requests: Request[]) => Promise.all(requests.map(async (request) => gives(await ask(request))));
  for (const [change, expected] of [
    ["open", true],
    ["open", true],
    ["close", false],
    ["close", false],
  ] as const) {
    await supabase.sql(`select airlock.${change}_table('public.things')`);
    assert.deepEqual(await given(opened), [expected, expected], change);
    assert.deepEqual(await given(closed), [false, false], change);
  }
  await supabase.sql("update airlock.edge_settings set mode = 'off'");
  assert.deepEqual(await given([...opened, ...closed]), [true, true, true, true]);
});

test("report passes every request and logs those that enforce would refuse", async () => {
  const dataDir = await preparedFolder("airlock-database-");
  const { connection, close } = await openDatabase(dataDir, false);
  const lines: string[] = [];
  const exec = (text: string) =>
    connection.driver.exec(text, {
      onNotice: ({ severity, message }) =>
        void (severity === "LOG" && message?.startsWith("edge-only") && lines.push(message)),
    });
  const its = { secret: SECRET, sub: alice.id, method: "GET", path: "/things" };
  try {
    await exec(tests.sql);
    await exec(`
      insert into auth.users (id, email) values ('${alice.id}', 'alice@edge-only.test');
      insert into public.things (user_id, label) values ('${alice.id}', 'of alice')`);
    for (const [mode, proof, count, reason] of [
      ["off", "", 1, null],
      ["report", edgeProof(its), 1, null],
      ["report", "", 1, "no proof, or a malformed one"],
      ["report", edgeProof({ ...its, path: "/other" }), 1, "a proof with another secret, user, method or path"],
      ["report", edgeProof({ ...its, age: 100 }), 1, "a proof from another time"],
      ["enforce", "", 0, "no proof, or a malformed one"],
      ["enforce", edgeProof(its), 1, null],
    ] as const) {
      lines.length = 0;
      const results = await exec(`
        update airlock.edge_settings set mode = '${mode}', secret = '${SECRET}';
        begin;
        set local client_min_messages = log;
        set local role authenticated;
        set local request.jwt.claims = '{"role": "authenticated", "sub": "${alice.id}"}';
        set local request.method = 'GET';
        set local request.path = '/things';
        set local request.headers = '${JSON.stringify({ "x-edge-proof": proof })}';
        select label from public.things;
        rollback;
      `);
      assert.equal(results.at(-2)?.rows.length, count, `${mode} ${reason}`);
      assert.deepEqual(lines, reason ? [`edge-only mode (${mode}): GET /things by ${alice.id}: ${reason}`] : []);
    }
  } finally {
    await close();
    await rm(dataDir, { recursive: true });
  }
});

test("a statement checks its proof once, and nothing while the mode is off", async () => {
  await supabase.sql(
    `truncate public.things cascade; insert into public.things (user_id, label) select '${alice.id}', 'thing ' || n from generate_series(1, 500) as n`,
  );
  const planned = async (mode: string) =>
    (
      await supabase.sql(`
        begin;
        update airlock.edge_settings set mode = '${mode}', secret = '${SECRET}';
        set local role authenticated;
        set local request.jwt.claims = '{"role": "authenticated", "sub": "${alice.id}"}';
        explain (analyze, verbose, costs off, timing off, summary off) select label from public.things;
        rollback;
      `)
    ).map((row) => String(Object.values(row)[0]));
  const plan = await planned("report");
  const at = plan.flatMap((line, n) => (line.trim() === "Output: airlock.edge_proof_ok()" ? [n] : []));
  assert.deepEqual(
    at.map((n) => plan[n - 1]?.trim()),
    ["->  Result (actual rows=1 loops=1)"],
    plan.join("\n"),
  );
  assert.match(plan.join("\n"), /actual rows=500 /);

  const off = (await planned("off")).join("\n");
  assert.match(off, /actual rows=500 /);
  assert.doesNotMatch(off, /edge/);
});

test("the pre-request of docs/operations/edge-only.md refuses requests without a proof", async () => {
  const page = readFileSync(new URL("../../docs/operations/edge-only.md", import.meta.url), "utf8");
  const text =
    /^ {4}create function public\.edge_only[\s\S]*?^ {4}notify pgrst.*$/m.exec(page)?.[0] ??
    assert.fail("the page does not have it");
  await supabase.sql(text);
  try {
    for (const request of [...REQUESTS, ["GET", "/things?select=id&id=is.null"]] as Request[]) {
      const { status, body } = await ask(request);
      assert.deepEqual([status, body.code], [403, "PT403"], nameOf(request));
    }
    for (const request of REQUESTS) assert.ok(gives(await askWithProof(request)), nameOf(request));
    // A scheduled job has no proof and needs none.
    const job = await fetch(`${supabase.url}/rest/v1/rpc/airlock_run_job`, {
      method: "POST",
      headers: { apikey: secretKey, "content-type": "application/json" },
      body: JSON.stringify({ job_label: "job:purge-deleted-rows", job_run: randomUUID(), after_days: 30, at_most: 1 }),
    });
    assert.deepEqual([job.status, await job.json()], [200, 0]);
    await supabase.sql("update airlock.edge_settings set mode = 'off'");
    assert.equal((await ask(["GET", "/things?select=id"])).status, 200);
  } finally {
    await supabase.sql("alter role authenticator reset pgrst.db_pre_request; drop function public.edge_only()");
  }
});
