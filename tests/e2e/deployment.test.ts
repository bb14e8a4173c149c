// What an operator decides: limits, bindings, origins. In front of a stand-in for Supabase, which most of it never reaches.

import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";

import type { Answer } from "../../client/src/index.ts";
import type { Vars } from "../../tools/stack/vars.ts";
import { assertOk, assertProblem, send, type HeaderFields } from "./http.ts";
import { claims, json, jws, legacy, ROW, startStub, type Stub } from "./stub.ts";
import { APP, appGuard, damage, withWorker, workerVars } from "./support.ts";

const NOTE = `/v1/notes/${ROW.id}`;

let stub: Stub;
let token: string;

before(async () => {
  stub = await startStub();
  stub.rest = json(200, [ROW]);
  token = jws(legacy);
});
after(() => stub?.stop());

// 429

test("an address has a limit before any door, and all of an IPv6 /64 is one address", async () => {
  await withWorker(workerVars(stub.url), { limits: { ip: 3, user: 1000 } }, async ({ url }) => {
    // More than twice as many as fit, since a new minute may begin in between. "*" is another one each time.
    const knock = async (address: string) => {
      const answers: Answer[] = [];
      for (let n = 1; n <= 8; n++) {
        const headers = { "CF-Connecting-IP": address.replace("*", String(n)) };
        answers.push(await send(url, "GET", "/v1/me", { signed: null, headers }));
      }
      return answers;
    };
    for (const address of ["203.0.113.7", "2001:db8:1:2:*::1", "2001:db8:1:3::*", "::ffff:203.0.113.8"]) {
      const answers = await knock(address);
      assertProblem(answers[0]!, "app_guard_rejected");
      assertProblem(answers.findLast(({ status }) => status === 429) ?? answers[7]!, "rate_limited");
    }
    for (const others of ["203.0.114.*", "2001:db8:*::1"]) {
      assert.deepEqual((await knock(others)).map(({ status }) => status), Array(8).fill(401), others);
    }
    assert.equal((await send(url, "GET", "/health", { headers: { "CF-Connecting-IP": "203.0.113.7" } })).status, 200, "public documents have none");
  });
});

test("a user has a limit, wherever the requests come from, and other users go on", async () => {
  await withWorker(workerVars(stub.url), { limits: { ip: 1000, user: 3 } }, async ({ url }) => {
    const answers: Answer[] = [];
    for (let n = 1; n <= 8; n++) answers.push(await send(url, "GET", "/v1/me", { token, headers: { "CF-Connecting-IP": `203.0.113.${n}` } }));
    assertOk(answers[0]!, 200);
    assertProblem(answers.findLast(({ status }) => status === 429) ?? answers[7]!, "rate_limited");
    const other = jws(legacy, claims({ sub: "b0b00000-0000-4000-8000-000000000000" }));
    assertOk(await send(url, "GET", "/v1/me", { token: other }), 200);
  });
});

test("a limiter that fails lets nobody in", async () => {
  const dataDir = await mkdtemp(join(tmpdir(), "airlock-e2e-"));
  const vars = workerVars(stub.url);
  await withWorker(vars, { dataDir }, async ({ url }) => void assertOk(await send(url, "GET", "/v1/me", { token }), 200));
  await damage(dataDir, "RateLimiter");
  await withWorker(vars, { dataDir }, async ({ url }) => {
    stub.received.length = 0;
    for (const [method, target, body] of [["GET", "/v1/me"], ["GET", NOTE], ["POST", "/v1/notes", '{"title":"a"}']] as const) {
      assertProblem(await send(url, method, target, { token, ...(body && { body }) }), "dependency_unavailable");
    }
    assert.deepEqual(stub.received, []);
  });
  await rm(dataDir, { recursive: true });
});

// 503 misconfigured

const keys = (secret: string) => appGuard({ a: { keys: [{ id: "k", secret }] } });
const MISCONFIGURED: [name: string, why: string, change: Vars | string[], unspoken?: string][] = [
  ["SUPABASE_URL", "plain http to another machine", { SUPABASE_URL: "http://db.example" }, "db.example"],
  ["SUPABASE_URL", "none", { SUPABASE_URL: "" }],
  ["SUPABASE_PUBLISHABLE_KEY", "a secret key", { SUPABASE_PUBLISHABLE_KEY: "sb_secret_abcdefgh" }, "sb_secret_abcdefgh"],
  ["SUPABASE_PUBLISHABLE_KEY", "a service key", { SUPABASE_PUBLISHABLE_KEY: jws(legacy, { role: "service_role" }) }, "eyJ"],
  ["SUPABASE_JWT_ISSUER", "off for a project that is not on this machine", { SUPABASE_URL: "https://db.example", SUPABASE_JWT_ISSUER: "-" }, "db.example"],
  ["SUPABASE_JWT_SECRET", "too short", { SUPABASE_JWT_SECRET: "a secret of 31 characters, alas" }, "alas"],
  ["EDGE_PROOF_SECRET", "too short", { EDGE_PROOF_SECRET: "a secret of 31 characters, alas" }, "alas"],
  ["APP_GUARD", "a short key", { APP_GUARD: keys(APP.secret.slice(0, 42)) }, APP.secret.slice(0, 42)],
  ["APP_GUARD", "no JSON", { APP_GUARD: APP.secret }, APP.secret],
  ["UPSTREAM_TIMEOUT_MS", "no number", { UPSTREAM_TIMEOUT_MS: "soon" }, "soon"],
  ["CORS_ORIGINS", "any", { CORS_ORIGINS: "*" }],
  ["LIMIT_IP", "not bound", ["LIMIT_IP"]],
  ["LIMIT_USER", "not bound", ["LIMIT_USER"]],
  ["REPLAY", "not bound", ["REPLAY"]],
];

for (const [name, why, change, unspoken] of MISCONFIGURED) {
  test(`${name} (${why}) stops every request, and the log says so, once`, async () => {
    const vars = workerVars(stub.url, Array.isArray(change) ? {} : change);
    await withWorker(vars, Array.isArray(change) ? { without: change } : {}, async ({ url, logs }) => {
      stub.received.length = 0;
      for (const [method, target, body] of [["GET", NOTE], ["POST", "/v1/notes", '{"title":"a"}'], ["GET", "/nothing"]] as const) {
        const answered = await send(url, method, target, { token, ...(body && { body }) });
        assertProblem(answered, "misconfigured");
        assert.ok(!answered.body.includes(name));
      }
      assert.deepEqual(stub.received, []);
      assert.equal(logs.filter((line) => line.includes(`${name} `)).length, 1, logs.join("\n"));
      if (unspoken) assert.ok(!logs.join().includes(unspoken), "its value is quoted");
    });
  });
}

// Warnings

test("what is open or dangerous is warned of once", async () => {
  const guard = appGuard({ closed: { keys: [{ id: "k", secret: APP.secret }] }, ajar: { mode: "report" }, open: { mode: "off" } }, "report");
  await withWorker(workerVars(stub.url, { APP_GUARD: guard }), {}, async ({ url, logs }) => {
    for (let n = 0; n < 3; n++) await send(url, "GET", "/health");
    const warnings = logs.map((line) => JSON.parse(line)).filter(({ event }) => event === "warning");
    assert.equal(warnings.length, 2, logs.join("\n"));
    assert.equal(warnings.filter(({ message }) => message.includes("SUPABASE_JWT_SECRET")).length, 1);
    const open = warnings.find(({ message }) => message.includes("APP_GUARD")).message;
    for (const app of ["ajar", "open", "default"]) assert.ok(open.includes(app), open);
    assert.ok(!open.includes("closed"), open);
  });
});

test("with report or off as the default, requests without an app go on, and those of an enforced app do not", async () => {
  for (const mode of ["report", "off"] as const) {
    const guard = appGuard({ [APP.appId]: { keys: [{ id: "k", secret: APP.secret }] } }, mode);
    await withWorker(workerVars(stub.url, { APP_GUARD: guard }), {}, async ({ url }) => {
      for (const sent of [{ signed: null }, { signed: { appId: "unknown" } }]) {
        assert.equal(assertOk(await send(url, "GET", "/v1/me", { token, ...sent }), 200).app_id, null);
      }
      assert.equal(assertOk(await send(url, "GET", "/v1/me", { token }), 200).app_id, APP.appId);
      assertProblem(await send(url, "GET", "/v1/me", { token, signed: { target: "/v1/you" } }), "app_guard_rejected");
    });
  }
});

// CORS

const ORIGIN = "https://app.example.com";
const PREFLIGHT: HeaderFields = { Origin: ORIGIN, "Access-Control-Request-Method": "PATCH", "Access-Control-Request-Headers": "authorization,x-app-id" };

function corsHeaders({ headers }: Answer): string[] {
  return [...headers.keys()].filter((name) => name.startsWith("access-control-"));
}

test("CORS is off unless it is asked for", async () => {
  await withWorker(workerVars(stub.url), {}, async ({ url }) => {
    const preflight = await send(url, "OPTIONS", NOTE, { signed: null, headers: PREFLIGHT });
    assertProblem(preflight, "method_not_allowed");
    assert.deepEqual(corsHeaders(preflight), []);
    assert.deepEqual(corsHeaders(await send(url, "GET", NOTE, { token, headers: { Origin: ORIGIN } })), []);
  });
});

test("pages of named origins may call and read everything, others nothing", async () => {
  await withWorker(workerVars(stub.url, { CORS_ORIGINS: `${ORIGIN}, http://localhost:3000` }), {}, async ({ url }) => {
    const preflight = await send(url, "OPTIONS", NOTE, { signed: null, headers: PREFLIGHT });
    assert.deepEqual([preflight.status, preflight.body, preflight.headers.get("access-control-allow-origin")], [204, "", ORIGIN]);
    assert.equal(preflight.headers.get("access-control-allow-credentials"), null);
    const list = (answer: Answer, name: string) => (answer.headers.get(name) ?? "").toLowerCase().split(/, */);
    for (const method of ["get", "put", "patch", "delete"]) assert.ok(list(preflight, "access-control-allow-methods").includes(method), method);
    const conditional = ["if-match", "if-none-match", "idempotency-key"];
    for (const name of ["authorization", "content-type", ...conditional, "x-app-id", "x-app-nonce", "x-app-signature", "x-app-timestamp"]) {
      assert.ok(list(preflight, "access-control-allow-headers").includes(name), name);
    }

    const headers = { Origin: ORIGIN };
    const read = await send(url, "GET", NOTE, { token, headers });
    assertOk(read, 200);
    const refused = await send(url, "GET", NOTE, { signed: null, headers });
    assertProblem(refused, "app_guard_rejected");
    for (const answered of [read, refused]) {
      assert.deepEqual([answered.headers.get("access-control-allow-origin"), answered.headers.get("vary")], [ORIGIN, "Origin"]);
      for (const name of ["etag", "location", "retry-after", "x-request-id"]) assert.ok(list(answered, "access-control-expose-headers").includes(name), name);
    }

    for (const origin of [`${ORIGIN}.evil.example`, "https://APP.example.com", "http://app.example.com", `${ORIGIN}/`, `${ORIGIN}:443`, "null", "https://evil.example"]) {
      const answered = await send(url, "OPTIONS", NOTE, { signed: null, headers: { ...PREFLIGHT, Origin: origin } });
      assert.deepEqual([answered.status, corsHeaders(answered)], [405, []], origin);
      assert.deepEqual(corsHeaders(await send(url, "GET", "/health", { headers: { Origin: origin } })), []);
    }
    const unknown = await send(url, "OPTIONS", "/v1/nothing", { signed: null, headers: PREFLIGHT });
    assertProblem(unknown, "not_found");
  });
});
