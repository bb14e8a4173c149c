// Edge-only mode: the proof that the Worker sends, and a Worker whose secret is not the database's.

import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { createServer, request as httpRequest, type IncomingHttpHeaders } from "node:http";
import type { AddressInfo } from "node:net";
import { after, before, beforeEach, test } from "node:test";

import type { Vars } from "../../tools/stack/vars.ts";
import { edgeProof } from "../support/edge_proof.ts";
import { assertOk, assertProblem, logOf, send } from "./http.ts";
import { functionOf, jws, legacy, ROW, withStub } from "./stub.ts";
import {
  type Caller,
  caller,
  type LoggedWorker,
  stackOfFile,
  startWorkerAlone,
  type User,
  withWorker,
  workerVars,
} from "./support.ts";

const SECRET = "the-secret-of-edge-only-mode-tests";
const OTHER = "another-secret-of-these-tests-here";

/** The pre-request that docs/operations/edge-only.md describes. */
const PRE_REQUEST = `
  create function public.edge_only() returns void language sql set search_path = '' begin atomic select airlock.check_edge(); end;
  alter role authenticator set pgrst.db_pre_request = 'public.edge_only';
`;
const NO_PRE_REQUEST =
  "alter role authenticator reset pgrst.db_pre_request; drop function if exists public.edge_only();";

const { stack } = await stackOfFile();
/** The Worker's requests to the REST API, in order. */
const sent: { method: string; path: string; headers: IncomingHttpHeaders }[] = [];
/** It has the secret, and reaches the stack's Supabase through a proxy that records its requests. */
let worker: LoggedWorker;
let proxyUrl: string;
let alice: Caller;

const proxy = createServer((incoming, response) => {
  const { method = "", url = "", headers } = incoming;
  if (url.startsWith("/rest/v1/")) sent.push({ method, path: url.split("?")[0]!.replace("/rest/v1", ""), headers });
  const onwards = httpRequest(new URL(url, stack.supabase.url), { method, headers }, (reply) => {
    response.writeHead(reply.statusCode ?? 500, reply.headers);
    reply.pipe(response);
  });
  incoming.pipe(onwards);
});

before(async () => {
  await new Promise<void>((resolve) => proxy.listen(0, "127.0.0.1", resolve));
  proxyUrl = `http://127.0.0.1:${(proxy.address() as AddressInfo).port}`;
  worker = await startWorkerAlone(workerVars(proxyUrl, { EDGE_PROOF_SECRET: SECRET }));
  alice = caller(worker.url, stack.alice.token);
});
after(async () => {
  await worker?.stop();
  proxy.closeAllConnections();
  proxy.close();
});
beforeEach(async () => {
  await stack.sql(`delete from airlock.idempotency_keys; delete from public.notes; ${NO_PRE_REQUEST}`);
  await mode("enforce");
  sent.length = 0;
});

async function mode(mode: string, secret = SECRET, next: string | null = null): Promise<void> {
  await stack.sql("update airlock.edge_settings set mode = $1, secret = $2, next_secret = $3", [mode, secret, next]);
}

async function everyNoteRoute(as: Caller): Promise<void> {
  const { id } = assertOk(await as("POST", "/v1/notes", { title: "one" }), 201);
  const headers = { "Idempotency-Key": randomUUID() };
  const once = assertOk(await as("POST", "/v1/notes", { title: "once" }, { headers }), 201);
  assert.deepEqual(assertOk(await as("POST", "/v1/notes", { title: "once" }, { headers }), 201), once);
  assertOk(await as("PUT", `/v1/notes/${randomUUID()}`, { title: "put" }), 201);
  assertOk(await as("PUT", `/v1/notes/${id}`, { title: "two words" }), 200);
  assertOk(await as("PATCH", `/v1/notes/${id}`, { body: "b" }), 200);
  assert.equal(assertOk(await as("GET", `/v1/notes/${id}`), 200).version, 3);
  assert.equal((await as("HEAD", `/v1/notes/${id}`)).status, 200);
  const page = assertOk(await as("GET", "/v1/notes?limit=2"), 200);
  assert.deepEqual(
    [page.data.length, assertOk(await as("GET", `/v1/notes?cursor=${page.next_cursor}`), 200).data.length],
    [2, 1],
  );
  assert.equal(assertOk(await as("GET", "/v1/notes?q=words"), 200).data.length, 1);
  assert.equal((await as("DELETE", `/v1/notes/${id}`)).status, 204);
  assert.equal(assertOk(await as("GET", "/v1/notes?state=deleted"), 200).data.length, 1);
  assertOk(await as("POST", `/v1/notes/${id}/restore`), 200);
}

for (const preRequest of ["", PRE_REQUEST]) {
  test(`every route works through the Worker and no call past it${preRequest && ", with the pre-request"}`, async () => {
    await stack.sql(preRequest);
    await everyNoteRoute(alice);
    const stored = await stack.sql("select *, xmin::text from public.notes order by id");
    assert.equal(stored.length, 3);
    for (const [method, body] of [
      ["GET"],
      ["POST", '{"title":"x"}'],
      ["PATCH", '{"title":"x"}'],
      ["DELETE"],
    ] as const) {
      const path = method === "PATCH" || method === "DELETE" ? "/notes?id=not.is.null" : "/notes";
      const answer = await stack.direct(stack.alice, path, {
        method,
        ...(body && { body }),
        headers: { prefer: "return=representation" },
      });
      const rows = await answer.json();
      assert.ok(
        answer.status === 403 || (answer.status === 200 && rows.length === 0 && !preRequest),
        `${method}: ${answer.status}`,
      );
    }
    for (const [name, json] of [
      ["create", { draft: { title: "x" }, request_key: null, request_digest: null }],
      ["put", { id: randomUUID(), draft: { title: "x" }, mode: "any", if_match: null }],
    ] as const) {
      const body = JSON.stringify({ resource: "notes", org: null, ...json });
      assert.equal(
        (await stack.direct(stack.alice, `/rpc/airlock_${name}`, { method: "POST", body })).status,
        403,
        name,
      );
    }
    assert.deepEqual(await stack.sql("select *, xmin::text from public.notes order by id"), stored);
  });
}

test("every call has its own proof, as docs/edge-only.md describes it", async () => {
  await everyNoteRoute(alice);
  assert.ok(sent.length > 12);
  for (const { method, path, headers } of sent) {
    const [, seconds] = String(headers["x-edge-proof"]).split(".");
    const age = Math.floor(Date.now() / 1000) - Number(seconds);
    assert.ok(age >= 0 && age < 60);
    assert.equal(headers["x-edge-proof"], edgeProof({ secret: SECRET, sub: stack.alice.id, method, path, age }));
  }
  assert.deepEqual(
    [...new Set(sent.map(({ method, path }) => `${method} ${path}`))].sort(),
    ["change", "create", "list", "put", "read"].map((name) => `POST /rpc/airlock_${name}`),
  );
});

test("a proof is good only for its user, function and minute", async () => {
  assertOk(await alice("POST", "/v1/notes", { title: "caught" }), 201);
  assertOk(await caller(worker.url, stack.bob.token)("POST", "/v1/notes", { title: "his" }), 201);
  assertOk(await alice("GET", "/v1/notes"), 200);
  const caught = String(sent.at(-1)?.headers["x-edge-proof"]);
  const call = async (user: User | null, name: string, json: object, proof = caught) => {
    const answer = await stack.direct(user, `/rpc/${name}`, {
      method: "POST",
      body: JSON.stringify(json),
      headers: { "x-edge-proof": proof },
    });
    return answer.ok ? answer.json() : answer.status;
  };
  const page = { resource: "notes", org: null, state: "active", words: null, after: null, page_size: 20 };
  const rows = async (...[user, proof]: [User, string?]) => (await call(user, "airlock_list", page, proof)).data.length;
  assert.equal(await rows(stack.alice), 1);
  assert.equal(await rows(stack.bob), 0);
  assert.equal(await call(null, "airlock_list", page), 404);
  const draft = { resource: "notes", org: null, draft: { title: "x" }, request_key: null, request_digest: null };
  assert.equal(await call(stack.alice, "airlock_create", draft), 403);
  const table = await stack.direct(stack.alice, "/notes", { headers: { "x-edge-proof": caught } });
  assert.deepEqual(await table.json(), []);
  const past = edgeProof({ secret: SECRET, sub: stack.alice.id, method: "POST", path: "/rpc/airlock_list", age: 61 });
  assert.equal(await rows(stack.alice, past), 0);
});

test("a client's own X-Edge-Proof is not passed on", async () => {
  const headers = { "X-Edge-Proof": "v1.1.of-the-client", "x-edge-proof-2": "of-the-client" };
  for (const [vars, form] of [
    [{ EDGE_PROOF_SECRET: SECRET }, /^v1\.\d{10}\.[0-9a-f]{64}$/],
    [{}, /^absent$/],
  ] as const) {
    await withStub(async (stub) => {
      await withWorker(workerVars(stub.url, vars), {}, async ({ url }) => {
        const token = jws(legacy);
        assertOk(await send(url, "GET", "/v1/notes", { token, headers }), 200);
        assertOk(await send(url, "PATCH", `/v1/notes/${ROW.id}`, { token, headers, body: '{"title":"t"}' }), 200);
      });
      assert.deepEqual(stub.received.map(functionOf), ["airlock_list", "airlock_change"]);
      for (const received of stub.received) {
        assert.match(String(received.headers["x-edge-proof"] ?? "absent"), form);
        assert.doesNotMatch(JSON.stringify(received.headers), /of-the-client/);
      }
    });
  }
});

test("a Worker with another secret or none answers internal and logs why", async () => {
  await alice("POST", "/v1/notes", { title: "there" });
  await stack.sql(PRE_REQUEST);
  for (const vars of [{ EDGE_PROOF_SECRET: OTHER }, {} as Vars]) {
    await withWorker(workerVars(stack.supabase.url, vars), {}, async (wrong) => {
      const as = caller(wrong.url, stack.alice.token);
      const id = randomUUID();
      for (const [method, target, body] of [
        ["GET", "/v1/notes"],
        ["GET", `/v1/notes/${id}`],
        ["POST", "/v1/notes", { title: "t" }],
        ["PATCH", `/v1/notes/${id}`, { title: "t" }],
      ] as const) {
        const answer = await as(method, target, body);
        assertProblem(answer, "internal");
        assert.match((await logOf(wrong, answer)).reason, /did not accept the edge proof/);
      }
    });
  }
});

test("without the pre-request such a Worker sees no row and cannot insert", async () => {
  await alice("POST", "/v1/notes", { title: "there" });
  await withWorker(workerVars(stack.supabase.url, { EDGE_PROOF_SECRET: OTHER }), {}, async (wrong) => {
    const as = caller(wrong.url, stack.alice.token);
    assert.deepEqual(assertOk(await as("GET", "/v1/notes"), 200).data, []);
    for (const options of [{}, { headers: { "Idempotency-Key": randomUUID() } }]) {
      const answer = await as("POST", "/v1/notes", { title: "t" }, options);
      assertProblem(answer, "internal");
      assert.match((await logOf(wrong, answer)).reason, /did not accept the edge proof/);
    }
  });
  assert.equal((await stack.sql("select 1 from public.notes")).length, 1);
});

test("no request fails while the secret is changed", async () => {
  await stack.sql(PRE_REQUEST);
  await alice("POST", "/v1/notes", { title: "there" });
  await withWorker(workerVars(stack.supabase.url, { EDGE_PROOF_SECRET: OTHER }), {}, async (changed) => {
    const later = caller(changed.url, stack.alice.token);
    const works = async (as: typeof later) => assert.equal(assertOk(await as("GET", "/v1/notes"), 200).data.length, 1);
    // While one version of the Worker takes over from the other, both are asked.
    let asked = 0;
    let over = false;
    const meanwhile = (async () => {
      for (; !over; asked++) await works(alice);
    })();
    await mode("enforce", SECRET, OTHER);
    for (let n = 0; n < 10; n++) await Promise.all([works(alice), works(later)]);
    over = true;
    await meanwhile;
    assert.ok(asked > 0);
    await stack.sql("update airlock.edge_settings set secret = next_secret, next_secret = null");
    await works(later);
    assertProblem(await alice("GET", "/v1/notes"), "internal");
  });
});

test("off and report admit requests with and without a proof", async () => {
  for (const step of ["off", "report"]) {
    await mode(step);
    await stack.sql("delete from airlock.idempotency_keys; delete from public.notes");
    await everyNoteRoute(alice);
    await stack.sql("delete from public.notes");
    await everyNoteRoute(caller(stack.url, stack.alice.token));
    assert.equal((await (await stack.direct(stack.alice, "/notes")).json()).length, 3);
  }
});
