// Limits, configuration and CORS, in front of a stand-in for Supabase.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import type { Answer } from "../../client/src/index.ts";
import type { Vars } from "../../tools/stack/vars.ts";
import { until } from "../support/patience.ts";
import { assertOk, assertProblem, type Code, type HeaderFields, type Sent, send } from "./http.ts";
import { claims, jws, legacy, ROW, type Stub, startStub } from "./stub.ts";
import { APP, appGuard, withWorker, workerVars } from "./support.ts";

const NOTE = `/v1/notes/${ROW.id}`;

let stub: Stub;
let token: string;

before(async () => {
  stub = await startStub();
  token = jws(legacy);
});
after(() => stub?.stop());

// 429

/** Whether a good request from this address is refused for the address's limit. */
async function isLimited(url: string, address: string): Promise<boolean> {
  const answered = await send(url, "GET", "/v1/me", { token, headers: { "CF-Connecting-IP": address } });
  if (answered.status === 429) assertProblem(answered, "rate_limited");
  else assertOk(answered, 200);
  return answered.status === 429;
}

/** Waits until the isolate knows that this address is over its limit. */
async function untilLimited(url: string, address: string): Promise<void> {
  for (let tries = 0; !(await isLimited(url, address)); tries++) assert.ok(tries < 500, `${address} is not limited`);
}

/** Sends eight requests from this address, more than twice as many as fit: a new minute may begin in between. */
async function sendEight(url: string, address: (n: number) => string, sent: Sent, code: Code): Promise<void> {
  for (let n = 0; n < 8; n++) {
    const headers = { "CF-Connecting-IP": address(n), ...sent.headers };
    const answered = await send(
      url,
      sent.body === undefined ? "GET" : "POST",
      sent.body === undefined ? "/v1/me" : "/v1/notes",
      { ...(code !== "token_missing" && { token }), ...sent, headers },
    );
    if (answered.status !== 429) assertProblem(answered, code);
  }
}

const expired = () => jws(legacy, claims({ exp: 1_700_000_000 }));
const COUNTED: [code: Code, sent: Sent][] = [
  ["app_guard_rejected", { signed: null }],
  ["app_guard_rejected", { signed: { nonce: "short" } }],
  ["app_guard_rejected", { signed: { target: "/v1/you" } }],
  ["token_invalid", { token: "a.b.c" }],
  ["token_missing", {}],
  ["payload_too_large", { body: `{"title":"${"a".repeat(262_144)}"}` }],
];
const UNCOUNTED: [code: Code, sent: () => Sent][] = [
  ["clock_skew", () => ({ signed: { timestamp: 1_700_000_000 } })],
  ["token_expired", () => ({ token: expired() })],
  ["malformed_json", () => ({ body: "{" })],
  ["validation_failed", () => ({ body: "{}" })],
  ["unsupported_media_type", () => ({ body: "{}", headers: { "Content-Type": "text/plain" } })],
];

test("an address is limited by its refused requests", async () => {
  await withWorker(workerVars(stub.url), { limits: { ip: 3, user: 1000 } }, async ({ url }) => {
    for (const [place, [code, sent]] of COUNTED.entries()) {
      const address = `203.0.113.${place}`;
      await sendEight(url, () => address, sent, code);
      await untilLimited(url, address);
      assert.ok(!(await isLimited(url, `203.0.114.${place}`)));
      assert.equal((await send(url, "GET", "/health", { headers: { "CF-Connecting-IP": address } })).status, 200);
    }
  });
});

test("requests that honest clients send do not limit their address", async () => {
  await withWorker(workerVars(stub.url), { limits: { ip: 3, user: 1000 } }, async ({ url }) => {
    const address = "203.0.113.7";
    for (let n = 0; n < 8; n++) assert.ok(!(await isLimited(url, address)));
    for (const [code, sent] of UNCOUNTED) await sendEight(url, () => address, sent(), code);
    await new Promise((resolve) => setTimeout(resolve, 500));
    assert.ok(!(await isLimited(url, address)));
  });
});

test("an IPv6 /64 is one address", async () => {
  await withWorker(workerVars(stub.url), { limits: { ip: 3, user: 1000 } }, async ({ url }) => {
    await sendEight(url, (n) => `2001:db8:1:2:${n}::1`, { signed: null }, "app_guard_rejected");
    await sendEight(url, (n) => `2001:db8:2:${n}::1`, { signed: null }, "app_guard_rejected");
    await untilLimited(url, "2001:db8:1:2:ffff::1");
    for (let n = 0; n < 8; n++) assert.ok(!(await isLimited(url, `2001:db8:2:${n}::1`)));
    assert.ok(!(await isLimited(url, "2001:db8:1:3::1")));
  });
});

test("an app in report counts every request against its address", async () => {
  const guard = appGuard({ [APP.appId]: { keys: [{ id: "k", secret: APP.secret }] }, reporting: { mode: "report" } });
  await withWorker(workerVars(stub.url, { APP_GUARD: guard }), { limits: { ip: 3, user: 1000 } }, async ({ url }) => {
    const headers = { "CF-Connecting-IP": "203.0.113.9" };
    for (let n = 0; n < 8; n++) await send(url, "GET", "/v1/me", { token, headers, signed: { appId: "reporting" } });
    await untilLimited(url, "203.0.113.9");
  });
});

test("published rows are limited by app and address", async () => {
  await withWorker(workerVars(stub.url), { limits: { ip: 1000, user: 3 } }, async ({ url }) => {
    const read = (address: string) =>
      send(url, "GET", `/v1/public/notes/${ROW.id}`, { headers: { "CF-Connecting-IP": address } });
    const statuses: number[] = [];
    for (let n = 0; n < 8; n++) statuses.push((await read("203.0.113.7")).status);
    assert.ok(statuses[0] === 200 && statuses.includes(429), statuses.join());
    assert.equal((await read("203.0.113.8")).status, 200);
  });
});

test("each user has a limit, from any address", async () => {
  await withWorker(workerVars(stub.url), { limits: { ip: 1000, user: 3 } }, async ({ url }) => {
    const answers: Answer[] = [];
    for (let n = 1; n <= 8; n++)
      answers.push(await send(url, "GET", "/v1/me", { token, headers: { "CF-Connecting-IP": `203.0.113.${n}` } }));
    assertOk(answers[0]!, 200);
    assertProblem(answers.findLast(({ status }) => status === 429) ?? answers[7]!, "rate_limited");
    const other = jws(legacy, claims({ sub: "b0b00000-0000-4000-8000-000000000000" }));
    assertOk(await send(url, "GET", "/v1/me", { token: other }), 200);
  });
});

// 503 misconfigured

const keys = (secret: string) => appGuard({ a: { keys: [{ id: "k", secret }] } });
const MISCONFIGURED: [name: string, why: string, change: Vars | string[], unspoken?: string][] = [
  ["SUPABASE_URL", "plain http to another machine", { SUPABASE_URL: "http://db.example" }, "db.example"],
  ["SUPABASE_URL", "none", { SUPABASE_URL: "" }],
  [
    "SUPABASE_PUBLISHABLE_KEY",
    "a secret key",
    { SUPABASE_PUBLISHABLE_KEY: "sb_secret_abcdefgh" },
    "sb_secret_abcdefgh",
  ],
  [
    "SUPABASE_PUBLISHABLE_KEY",
    "a service key",
    { SUPABASE_PUBLISHABLE_KEY: jws(legacy, { role: "service_role" }) },
    "eyJ",
  ],
  [
    "SUPABASE_JWT_ISSUER",
    "off for a project that is not on this machine",
    { SUPABASE_URL: "https://db.example", SUPABASE_JWT_ISSUER: "-" },
    "db.example",
  ],
  ["SUPABASE_JWT_SECRET", "too short", { SUPABASE_JWT_SECRET: "a secret of 31 characters, alas" }, "alas"],
  ["EDGE_PROOF_SECRET", "too short", { EDGE_PROOF_SECRET: "a secret of 31 characters, alas" }, "alas"],
  ["APP_GUARD", "a short key", { APP_GUARD: keys(APP.secret.slice(0, 42)) }, APP.secret.slice(0, 42)],
  ["APP_GUARD", "no JSON", { APP_GUARD: APP.secret }, APP.secret],
  ["UPSTREAM_TIMEOUT_MS", "no number", { UPSTREAM_TIMEOUT_MS: "soon" }, "soon"],
  ["CORS_ORIGINS", "any", { CORS_ORIGINS: "*" }],
  ["LIMIT_IP", "not bound", ["LIMIT_IP"]],
  ["LIMIT_USER", "not bound", ["LIMIT_USER"]],
];

for (const [name, why, change, unspoken] of MISCONFIGURED) {
  test(`${name} (${why}) is misconfigured, and each log line names it`, async () => {
    const vars = workerVars(stub.url, Array.isArray(change) ? {} : change);
    await withWorker(vars, Array.isArray(change) ? { without: change } : {}, async ({ url, logs }) => {
      stub.received.length = 0;
      for (const [method, target, body] of [
        ["GET", NOTE],
        ["POST", "/v1/notes", '{"title":"a"}'],
        ["GET", "/nothing"],
      ] as const) {
        const answered = await send(url, method, target, { token, ...(body && { body }) });
        assertProblem(answered, "misconfigured");
        assert.ok(!answered.body.includes(name));
      }
      assert.deepEqual(stub.received, []);
      await until("all lines are written", () => logs.length >= 4);
      const lines = logs.map((line) => JSON.parse(line) as { event: string; message?: string; reason?: string });
      assert.deepEqual(
        lines.map(({ event }) => event),
        ["misconfigured", "request", "request", "request"],
      );
      for (const { message, reason } of lines) assert.ok((message ?? reason)?.startsWith(`${name} `), logs.join("\n"));
      if (unspoken) assert.ok(!logs.join().includes(unspoken), "its value is quoted");
    });
  });
}

// Warnings

test("each dangerous setting is warned of once", async () => {
  const guard = appGuard(
    { closed: { keys: [{ id: "k", secret: APP.secret }] }, ajar: { mode: "report" }, open: { mode: "off" } },
    "report",
  );
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

test("report or off as the default admits requests of unknown apps", async () => {
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
const PREFLIGHT: HeaderFields = {
  Origin: ORIGIN,
  "Access-Control-Request-Method": "PATCH",
  "Access-Control-Request-Headers": "authorization,x-app-id",
};

function corsHeaders({ headers }: Answer): string[] {
  return [...headers.keys()].filter((name) => name.startsWith("access-control-"));
}

test("CORS is off unless configured", async () => {
  await withWorker(workerVars(stub.url), {}, async ({ url }) => {
    const preflight = await send(url, "OPTIONS", NOTE, { signed: null, headers: PREFLIGHT });
    assertProblem(preflight, "method_not_allowed");
    assert.deepEqual(corsHeaders(preflight), []);
    assert.deepEqual(corsHeaders(await send(url, "GET", NOTE, { token, headers: { Origin: ORIGIN } })), []);
  });
});

test("only pages of the named origins may call", async () => {
  await withWorker(workerVars(stub.url, { CORS_ORIGINS: `${ORIGIN}, http://localhost:3000` }), {}, async ({ url }) => {
    const preflight = await send(url, "OPTIONS", NOTE, { signed: null, headers: PREFLIGHT });
    assert.deepEqual(
      [preflight.status, preflight.body, preflight.headers.get("access-control-allow-origin")],
      [204, "", ORIGIN],
    );
    assert.equal(preflight.headers.get("access-control-allow-credentials"), null);
    const list = (answer: Answer, name: string) => (answer.headers.get(name) ?? "").toLowerCase().split(/, */);
    for (const method of ["get", "put", "patch", "delete"])
      assert.ok(list(preflight, "access-control-allow-methods").includes(method), method);
    const conditional = ["if-match", "if-none-match", "idempotency-key"];
    for (const name of [
      "authorization",
      "content-type",
      ...conditional,
      "x-app-id",
      "x-app-nonce",
      "x-app-signature",
      "x-app-timestamp",
      "x-client-info",
      "x-firebase-appcheck",
      "approov-token",
    ]) {
      assert.ok(list(preflight, "access-control-allow-headers").includes(name), name);
    }

    const headers = { Origin: ORIGIN };
    const read = await send(url, "GET", NOTE, { token, headers });
    assertOk(read, 200);
    const refused = await send(url, "GET", NOTE, { signed: null, headers });
    assertProblem(refused, "app_guard_rejected");
    for (const answered of [read, refused]) {
      assert.deepEqual(
        [answered.headers.get("access-control-allow-origin"), answered.headers.get("vary")],
        [ORIGIN, "Origin"],
      );
      for (const name of ["etag", "location", "retry-after", "x-airlock-version", "x-request-id"])
        assert.ok(list(answered, "access-control-expose-headers").includes(name), name);
    }

    for (const origin of [
      `${ORIGIN}.evil.example`,
      "https://APP.example.com",
      "http://app.example.com",
      `${ORIGIN}/`,
      `${ORIGIN}:443`,
      "null",
      "https://evil.example",
    ]) {
      const answered = await send(url, "OPTIONS", NOTE, { signed: null, headers: { ...PREFLIGHT, Origin: origin } });
      assert.deepEqual([answered.status, corsHeaders(answered)], [405, []], origin);
      assert.deepEqual(corsHeaders(await send(url, "GET", "/health", { headers: { Origin: origin } })), []);
    }
    const unknown = await send(url, "OPTIONS", "/v1/nothing", { signed: null, headers: PREFLIGHT });
    assertProblem(unknown, "not_found");
  });
});
