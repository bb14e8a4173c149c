// Edge-only mode at the REST API: with a valid token and without the Worker.

import assert from "node:assert/strict";
import { createHash, randomUUID } from "node:crypto";
import { readFileSync } from "node:fs";
import { rm } from "node:fs/promises";
import { after, before, beforeEach, test } from "node:test";

import { openDatabase } from "../../tools/supabase/database.ts";
import { preparedFolder } from "../../tools/supabase/prepared.ts";
import type { Supabase } from "../../tools/supabase.ts";
import { edgeProof } from "../support/edge_proof.ts";
import { freshSupabase, publishableKey, secretKey, signIn, type User } from "./support.ts";

const SECRET = "s".repeat(32);
const ORGANIZATION = "0f000000-0000-4000-8000-000000000001";
const NOTE = "10000000-0000-4000-8000-000000000001";
const INVITATION = "20000000-0000-4000-8000-000000000001";
const digest = (text: string) => createHash("sha256").update(text).digest("hex");

let supabase: Supabase;
let alice: User;
let bob: User;

before(async () => {
  supabase = await freshSupabase();
  [alice, bob] = [await signIn(supabase.url, "alice"), await signIn(supabase.url, "bob")];
});
after(() => supabase?.stop());

/** Alice owns an organisation, in which bob is a viewer, and a published note. */
beforeEach(async () => {
  await supabase.sql(`
    update private.edge_settings set mode = 'enforce', secret = '${SECRET}', next_secret = null;
    delete from public.idempotency_keys;
    delete from public.notes;
    delete from public.organizations;
    insert into public.organizations (id, name) values ('${ORGANIZATION}', 'of alice');
    insert into public.organization_members (org_id, user_id, role)
      values ('${ORGANIZATION}', '${alice.id}', 'owner'), ('${ORGANIZATION}', '${bob.id}', 'viewer');
    insert into public.organization_invitations (id, org_id, role, token_digest, created_by)
      values ('${INVITATION}', '${ORGANIZATION}', 'editor', '${digest("token")}', '${alice.id}');
    insert into public.notes (id, user_id, title) values ('${NOTE}', '${alice.id}', 'of alice');
    update public.notes set published_at = now();
    insert into public.idempotency_keys (user_id, key, digest, note_id)
      values ('${alice.id}', '00000000', '${digest("body")}', '${NOTE}');
  `);
});

type Request = [method: string, path: string, json?: object, as?: "alice" | "bob" | "anon"];

/** One for all that anybody may do; each gives a row or more, one after another. */
const REQUESTS: Request[] = [
  ["GET", "/notes?select=id"],
  ["GET", "/notes?select=id", undefined, "anon"],
  ["GET", "/idempotency_keys?select=key"],
  ["GET", "/organizations?select=id"],
  ["GET", "/organization_members?select=user_id"],
  ["GET", "/organization_invitations?select=id"],
  ["GET", "/my_organizations?select=id"],
  ["POST", "/notes?select=id", { title: "new" }],
  ["POST", "/idempotency_keys?select=key", { key: "11111111", digest: digest("body"), note_id: NOTE }],
  ["POST", "/organization_invitations?select=id", { org_id: ORGANIZATION, role: "viewer", token_digest: digest("another") }],
  ["PATCH", `/notes?select=id&id=eq.${NOTE}`, { title: "changed" }],
  ["PATCH", "/idempotency_keys?select=key&key=eq.00000000", { digest: digest("changed") }],
  ["PATCH", `/organizations?select=id&id=eq.${ORGANIZATION}`, { name: "changed" }],
  ["PATCH", "/organization_members?select=user_id&role=eq.viewer", { role: "editor" }],
  ["DELETE", "/organization_members?select=user_id&role=neq.owner"],
  ["POST", "/rpc/accept_invitation?select=id", { invitation_token: "token" }, "bob"],
  ["DELETE", `/organization_invitations?select=id&id=eq.${INVITATION}`],
  ["POST", "/rpc/create_organization?select=id", { org_name: "new" }],
  ["POST", "/rpc/create_note_once?select=id", { request_key: "22222222", request_digest: digest("body"), note_title: "once", note_body: "" }],
];

const pathOf = (path: string) => path.split("?")[0] ?? "";

async function ask([method, path, json, as = "alice"]: Request, proof?: string): Promise<{ status: number; body: any }> {
  const user = { alice, bob, anon: null }[as];
  const response = await fetch(`${supabase.url}/rest/v1${path}`, {
    method,
    headers: {
      apikey: publishableKey,
      prefer: "return=representation",
      ...(user && { authorization: `Bearer ${user.token}` }),
      ...(json && { "content-type": "application/json" }),
      ...(proof && { "x-edge-proof": proof }),
    },
    body: json ? JSON.stringify(json) : null,
  });
  return { status: response.status, body: JSON.parse(await response.text()) };
}

/** With a proof of its own. */
function askProven(request: Request, secret = SECRET) {
  const [method, path, , as = "alice"] = request;
  const sub = { alice: alice.id, bob: bob.id, anon: "" }[as];
  return ask(request, edgeProof({ secret, sub, method, path: pathOf(path) }));
}

/** Everything that is in the exposed tables, and when it was last written. */
async function everything(): Promise<unknown> {
  const tables = await supabase.sql("select oid::regclass::text as name from pg_class where relnamespace = 'public'::regnamespace and relkind = 'r' order by 1");
  return Promise.all(tables.map(({ name }) => supabase.sql(`select *, xmin::text, ctid::text from ${name} order by ctid`)));
}

test("the requests of these tests are all that a grant allows", async () => {
  const granted = await supabase.sql(`
    select privilege_type || ' /' || table_name as what from information_schema.column_privileges
      where table_schema = 'public' and grantee in ('anon', 'authenticated') and privilege_type <> 'REFERENCES'
    union select privilege_type || ' /' || table_name from information_schema.table_privileges
      where table_schema = 'public' and grantee in ('anon', 'authenticated')
    union select 'EXECUTE /rpc/' || proname from pg_proc, unnest(array['anon', 'authenticated']) as role
      where pronamespace = 'public'::regnamespace and has_function_privilege(role, oid, 'execute')
  `);
  const privileges: Record<string, string> = { GET: "SELECT", POST: "INSERT", PATCH: "UPDATE", DELETE: "DELETE" };
  const asked = REQUESTS.map(([method, path]) => `${path.startsWith("/rpc/") ? "EXECUTE" : privileges[method]} ${pathOf(path)}`);
  assert.deepEqual([...new Set(asked)].sort(), granted.map(({ what }) => String(what)).sort());
});

test("a valid token alone reads no row and writes none, in every table, by every verb and every function", async () => {
  const before = await everything();
  for (const request of REQUESTS) {
    const { status, body } = await ask(request);
    if (status === 200) assert.deepEqual(body, [], request.join(" "));
    else assert.deepEqual([status, /^(42501|PT403)$/.test(body.code)], [request[3] === "anon" ? 401 : 403, true], request.join(" "));
  }
  assert.deepEqual(await everything(), before);
});

test("with a proof each of them is as it was", async () => {
  for (const request of REQUESTS) {
    const { status, body } = await askProven(request);
    assert.ok(status === 200 || status === 201, `${request.join(" ")}: ${JSON.stringify(body)}`);
    assert.ok(body.length > 0, request.join(" "));
  }
});

test("a proof is for its user, method and path, and for 60 seconds, in which it can be sent again", async () => {
  const read: Request = ["GET", "/notes?select=title"];
  const its = { secret: SECRET, sub: alice.id, method: "GET", path: "/notes" };
  const rows = async (proof: string, request = read) => (await ask(request, proof)).body.length;
  const proof = edgeProof(its);
  // The query is not in it.
  for (const request of [read, read, ["GET", "/notes?select=id,body"]] as Request[]) assert.equal(await rows(proof, request), 1);
  assert.equal(await rows(edgeProof({ ...its, age: 55 })), 1);
  for (const other of [{ age: 61 }, { age: -10 }, { sub: bob.id }, { sub: "" }, { method: "HEAD" }, { path: "/organizations" }, { path: "/rest/v1/notes" }, { secret: "o".repeat(32) }]) {
    assert.equal(await rows(edgeProof({ ...its, ...other })), 0, JSON.stringify(other));
  }
  assert.equal(await rows(proof, ["GET", "/organizations?select=id"]), 0);
  assert.equal((await ask(["PATCH", `/notes?id=eq.${NOTE}`, { title: "x" }], proof)).body.length, 0);
  assert.equal((await ask(["POST", "/notes", { title: "x" }], proof)).body.code, "42501");
  assert.equal((await ask(["GET", "/notes?select=title", undefined, "bob"], proof)).body.length, 0);
});

test("report lets everything pass and writes to the database's log what enforce would refuse", async () => {
  const dataDir = await preparedFolder("airlock-database-");
  const { connection, close } = await openDatabase(dataDir, false);
  const lines: string[] = [];
  const exec = (text: string) =>
    connection.driver.exec(text, { onNotice: ({ severity, message }) => void (severity === "LOG" && message?.startsWith("edge-only") && lines.push(message)) });
  const headers = (proof: string) => JSON.stringify({ "x-edge-proof": proof });
  const its = { secret: SECRET, sub: alice.id, method: "GET", path: "/notes" };
  try {
    await exec(`insert into public.notes (user_id, title) values ('${alice.id}', 'of alice')`);
    for (const [mode, proof, rows, reason] of [
      ["off", "", 1, null],
      ["report", edgeProof(its), 1, null],
      ["report", "", 1, "no proof, or one of another form"],
      ["report", edgeProof({ ...its, path: "/other" }), 1, "a proof of another secret, user, method or path"],
      ["report", edgeProof({ ...its, age: 100 }), 1, "a proof of another time"],
      ["enforce", "", 0, "no proof, or one of another form"],
      ["enforce", edgeProof(its), 1, null],
    ] as const) {
      lines.length = 0;
      const results = await exec(`
        update private.edge_settings set mode = '${mode}', secret = '${SECRET}';
        begin;
        set local client_min_messages = log;
        set local role authenticated;
        set local request.jwt.claims = '{"role": "authenticated", "sub": "${alice.id}"}';
        set local request.method = 'GET';
        set local request.path = '/notes';
        set local request.headers = '${headers(proof)}';
        select title from public.notes;
        rollback;
      `);
      assert.equal(results.at(-2)?.rows.length, rows, `${mode} ${reason}`);
      assert.deepEqual(lines, reason ? [`edge-only mode (${mode}): GET /notes of ${alice.id}: ${reason}`] : []);
    }
  } finally {
    await close();
    await rm(dataDir, { recursive: true });
  }
});

test("a statement looks at its proof once, however many rows it reads, and at nothing while the mode is off", async () => {
  await supabase.sql(`
    insert into public.notes (user_id, title) select '${alice.id}', 'note ' || n from generate_series(1, 500) as n;
  `);
  const planned = async (mode: string) =>
    (
      await supabase.sql(`
        begin;
        update private.edge_settings set mode = '${mode}', secret = '${SECRET}';
        set local role authenticated;
        set local request.jwt.claims = '{"role": "authenticated", "sub": "${alice.id}"}';
        explain (analyze, verbose, costs off, timing off, summary off) select title from public.notes;
        rollback;
      `)
    ).map((row) => String(Object.values(row)[0]));
  const plan = await planned("report");
  const at = plan.flatMap((line, n) => (line.trim() === "Output: private.edge_proof_ok()" ? [n] : []));
  assert.deepEqual(at.map((n) => plan[n - 1]?.trim()), ["->  Result (actual rows=1 loops=1)"], plan.join("\n"));
  assert.match(plan.join("\n"), /actual rows=501 /);

  const off = (await planned("off")).join("\n");
  assert.match(off, /actual rows=501 /);
  assert.doesNotMatch(off, /edge/);
});

test("with the pre-request of docs/edge-only.md every request without a proof is told no, whatever it asks for", async () => {
  const page = readFileSync(new URL("../../docs/edge-only.md", import.meta.url), "utf8");
  const text = /^    create function public\.edge_only[^]*?^    notify pgrst.*$/m.exec(page)?.[0] ?? assert.fail("not in the page");
  await supabase.sql(text);
  try {
    for (const request of [...REQUESTS, ["GET", "/notes?select=id&id=is.null"]] as Request[]) {
      const { status, body } = await ask(request);
      assert.deepEqual([status, body.code], [403, "PT403"], request.join(" "));
    }
    for (const request of REQUESTS) assert.ok((await askProven(request)).body.length > 0, request.join(" "));
    // A scheduled job has no proof, and needs none.
    const job = await fetch(`${supabase.url}/rest/v1/rpc/run_job`, {
      method: "POST",
      headers: { apikey: secretKey, "content-type": "application/json" },
      body: JSON.stringify({ job_label: "job:purge-deleted-notes", job_run: randomUUID(), after_days: 30, at_most: 1 }),
    });
    assert.deepEqual([job.status, await job.json()], [200, 0]);
    await supabase.sql("update private.edge_settings set mode = 'off'");
    assert.equal((await ask(["GET", "/notes?select=id"])).status, 200);
  } finally {
    await supabase.sql("alter role authenticator reset pgrst.db_pre_request; drop function public.edge_only()");
  }
});
