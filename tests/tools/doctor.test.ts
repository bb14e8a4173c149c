// npm run doctor: quiet on a right set-up, and one line for each planted fault.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, beforeEach, test } from "node:test";

import { parse } from "smol-toml";

import type { Declaration } from "../../tools/declaration.ts";
import { check } from "../../tools/declaration.ts";
import { ofKeys, ofLog } from "../../tools/doctor/attestation.ts";
import type { Finding } from "../../tools/doctor/finding.ts";
import { type Deployment, examine } from "../../tools/doctor/requests.ts";
import { bindings, type Environments, type Settings, startOf, values } from "../../tools/doctor/settings.ts";
import { root } from "../../tools/setup/shell.ts";
import type { Vars } from "../../tools/stack/vars.ts";
import {
  claims,
  databaseError,
  functionOf,
  functions,
  type Handler,
  json,
  jws,
  newKey,
  ROW,
  type Stub,
  startStub,
} from "../e2e/stub.ts";
import {
  APP,
  appGuard,
  type LoggedWorker,
  PUBLISHABLE_KEY,
  SECRET_KEY,
  startStack,
  startWorkerAlone,
  workerVars,
} from "../e2e/support.ts";
import { notesDeclaration } from "../support/notes.ts";

const faultsOf = (findings: Finding[]) =>
  findings.flatMap(({ what, found, mend }) => (mend === undefined ? [] : [`${what}: ${found}`]));

// Settings.

type Written = Settings & { env: Record<string, Settings> };
const written = parse(readFileSync(join(root, "wrangler.toml"), "utf8")) as unknown as Written;

/** The environments of wrangler.toml, filled in. */
function environments(): Environments {
  const { observability, assets, ...top } = structuredClone(written);
  const fill = (settings: Settings): Settings => ({
    ...settings,
    ...(observability && { observability }),
    ...(assets && { assets }),
    routes: settings.routes && [{ pattern: "api.notes.app" }],
    vars: { SUPABASE_URL: "https://abcdefghijklmnopqrst.supabase.co", SUPABASE_PUBLISHABLE_KEY: "sb_publishable_x" },
  });
  return {
    "": fill(top),
    ...Object.fromEntries(Object.entries(top.env).map(([name, settings]) => [name, structuredClone(fill(settings))])),
  };
}

const APP_GUARD = appGuard({ [APP.appId]: { keys: [{ id: "k", secret: APP.secret }] } });

const SETTINGS: [fault: string, plant: (settings: Settings, secrets: Vars) => void, says: RegExp][] = [
  ["empty variable", ({ vars }) => (vars.SUPABASE_URL = ""), /^variables: no value for SUPABASE_URL/],
  [
    "placeholder of a domain",
    (settings) => (settings.routes = [{ pattern: "api.example.com" }]),
    /^variables: .*api\.example\.com is a placeholder/,
  ],
  ["unbound limiter", (settings) => settings.ratelimits?.pop(), /^bindings: .*does not bind LIMIT_USER/],
  ["unbound assets", (settings) => (settings.assets = {}), /^bindings: .*does not bind ASSETS/],
  [
    "limiter shared with staging",
    ({ ratelimits = [] }) => (ratelimits[0]!.namespace_id = "8787011"),
    /^limiters: namespace_id 8787011 .*used twice/,
  ],
  [
    "limiters with one number",
    ({ ratelimits = [] }) => (ratelimits[0]!.namespace_id = ratelimits[1]!.namespace_id),
    /^limiters: namespace_id .*used twice/,
  ],
  ["APP_GUARD not required", (settings) => (settings.secrets = {}), /^required secrets: /],
  [
    "logged query strings",
    (settings) => (settings.observability = { ...settings.observability, redact_query_string: false }),
    /^query strings: /,
  ],
  [
    "invocation logs",
    (settings) => (settings.observability = { ...settings.observability, logs: {} }),
    /^invocation logs: /,
  ],
  ["workers.dev beside a domain", (settings) => (settings.workers_dev = true), /^workers\.dev: /],
  ["missing secret", (_, secrets) => delete secrets.APP_GUARD, /^secrets: the file has no APP_GUARD/],
  [
    "trailing comma in APP_GUARD",
    (_, secrets) => (secrets.APP_GUARD = APP_GUARD.replace("]}", ",]}")),
    /^app keys: APP_GUARD has a comma/,
  ],
  [
    "typographic quotes in APP_GUARD",
    (_, secrets) => (secrets.APP_GUARD = APP_GUARD.replace('"', "“")),
    /^app keys: APP_GUARD has the typographic quote/,
  ],
  [
    "short app key",
    (_, secrets) => (secrets.APP_GUARD = APP_GUARD.replace(APP.secret, APP.secret.slice(0, 40))),
    /^app keys: APP_GUARD app rn-test has a key whose secret/,
  ],
  [
    "APP_GUARD over 5 KB",
    (_, secrets) => (secrets.APP_GUARD = APP_GUARD.replace('"id"', `"message":"${"x".repeat(5000)}","id"`)),
    /^app keys: APP_GUARD has \d+ bytes/,
  ],
  [
    "app that is not enforced",
    (_, secrets) => (secrets.APP_GUARD = APP_GUARD.replace('"keys"', '"mode":"report","keys"')),
    /^configuration: APP_GUARD does not enforce/,
  ],
  [
    "secret key in place of the publishable one",
    ({ vars }) => (vars.SUPABASE_PUBLISHABLE_KEY = SECRET_KEY),
    /^configuration: SUPABASE_PUBLISHABLE_KEY is a secret key/,
  ],
  [
    "plain http to another machine",
    ({ vars }) => (vars.SUPABASE_URL = "http://db.notes.app"),
    /^configuration: SUPABASE_URL must be https/,
  ],
  [
    "publishable key for the jobs",
    (_, secrets) => (secrets.SUPABASE_SECRET_KEY = PUBLISHABLE_KEY),
    /^configuration: SUPABASE_SECRET_KEY is a key of another role/,
  ],
  [
    "HS256 secret",
    (_, secrets) => (secrets.SUPABASE_JWT_SECRET = "x".repeat(32)),
    /^configuration: SUPABASE_JWT_SECRET is set/,
  ],
  ["short edge proof", (_, secrets) => (secrets.EDGE_PROOF_SECRET = "short"), /^configuration: EDGE_PROOF_SECRET /],
];

async function settingsOf(plant: (settings: Settings, secrets: Vars) => void): Promise<string[]> {
  const all = environments();
  const secrets: Vars = { APP_GUARD };
  plant(all.production!, secrets);
  return faultsOf([...bindings("production", all), ...(await values(all.production!, secrets, notesDeclaration))]);
}

test("right settings have no fault", async () => {
  assert.deepEqual(await settingsOf(() => {}), []);
  for (const env of ["", "staging", "production"]) assert.deepEqual(faultsOf(bindings(env, environments())), [], env);
});

for (const [name, plant, says] of SETTINGS) {
  test(`the doctor finds ${name}`, async () => {
    const faults = await settingsOf(plant);
    assert.deepEqual(faults.length, 1, faults.join("\n"));
    assert.match(faults[0] ?? "", says);
    assert.ok(!faults.join().includes(APP.secret.slice(0, 40)), "a secret is quoted");
  });
}

test("an environment that does not exist is a fault", () => {
  assert.match(faultsOf(bindings("prod", environments())).join(), /no environment prod/);
});

// Requests to a hosted project, which is a stub, and to the embedded one.

const VERSION = "0.1.0+abc";
let stub: Stub;
let worker: LoggedWorker;
let declaration: Declaration;
let deployment: Deployment;
const key = newKey("a");

before(async () => {
  declaration = await check(notesDeclaration);
  stub = await startStub();
  worker = await startWorkerAlone(
    workerVars(stub.url, { SUPABASE_JWT_SECRET: "", SUPABASE_JWT_ISSUER: "", AIRLOCK_COMMIT: "abc" }),
  );
});
after(async () => {
  await worker?.stop();
  await stub?.stop();
});
beforeEach(() => {
  stub.keys = json(200, { keys: [key.jwk] });
  stub.rest = project();
  const vars = { SUPABASE_URL: stub.url, SUPABASE_PUBLISHABLE_KEY: PUBLISHABLE_KEY, APP_GUARD };
  deployment = {
    url: worker.url,
    vars,
    declaration,
    token: jws(key, claims({ iss: `${stub.url}/auth/v1` })),
    version: VERSION,
  };
});

/** A project's REST API when all is well, with some answers changed. */
function project(changes: Record<string, Handler> = {}): Handler {
  const made = new Set<string>();
  return (request, response) => {
    const name = functionOf(request) || (/^\/rest\/v1\/(\w+)/.exec(request.target)?.[1] ?? "");
    const change = changes[name];
    if (change) return change(request, response);
    if (name === "claims") return databaseError(406, "PGRST106")(request, response);
    if (name === "airlock_ready") return json(200, true)(request, response);
    if (name === "notes") return json(200, [{ id: ROW.id }])(request, response);
    const nonce = name === "airlock_create" ? String(request.headers["x-airlock-claim"]).split(".").at(-1)! : "";
    if (nonce !== "" && made.has(nonce))
      return json(409, { code: "PT409", message: "airlock_request_replayed" })(request, response);
    made.add(nonce);
    return functions()(request, response);
  };
}

/** A Worker of which some answers are changed on the way. */
async function behind(
  work: (url: string) => Promise<void>,
  change: (path: string, headers: Headers) => string,
): Promise<void> {
  const proxy = createServer(async (request, response) => {
    const headers = new Headers();
    for (const [name, value] of Object.entries(request.headers))
      if (!["host", "connection", "content-length"].includes(name)) headers.set(name, String(value));
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const answered = new Headers();
    const path = change(request.url ?? "", answered);
    const reply = await fetch(`${worker.url}${path}`, {
      method: request.method ?? "GET",
      headers,
      ...(chunks.length > 0 && { body: Buffer.concat(chunks) }),
    });
    response
      .writeHead(reply.status, { ...Object.fromEntries(reply.headers), ...Object.fromEntries(answered) })
      .end(await reply.text());
  });
  await new Promise<void>((resolve) => proxy.listen(0, "127.0.0.1", resolve));
  try {
    await work(`http://127.0.0.1:${(proxy.address() as { port: number }).port}`);
  } finally {
    proxy.close();
  }
}

const hourAhead = () => new Date(Date.now() + 3_600_000).toUTCString();

test("a right deployment in front of a hosted project has no fault", async () => {
  const findings = await examine(deployment);
  assert.deepEqual(faultsOf(findings), []);
  for (const what of [
    "GET /health",
    "version",
    "paths",
    "key set",
    "publishable key",
    "migrations",
    "schema airlock",
    "demo users",
    "issuer",
    "GET /ready",
    "GET /v1/me",
    "POST /v1/notes",
    "edge-only mode",
  ]) {
    assert.ok(
      findings.some((finding) => finding.what === what),
      what,
    );
  }
});

test("an adopted table is asked for by its own names, without read-only fields", async () => {
  const [resource, ...others] = deployment.declaration.resources;
  assert.ok(resource);
  const author = {
    name: "author",
    kind: "uuid",
    nullable: false,
    database_default: false,
    column: "author",
    read_only: true,
  };
  const adopted = {
    ...resource,
    table: { schema: "api", name: "Old Notes" },
    id: { ...resource.id, column: "note_id" },
    fields: [...resource.fields, author as (typeof resource.fields)[number]],
  };
  deployment.declaration = { ...deployment.declaration, resources: [adopted, ...others] };
  stub.rest = project({ Old: json(200, [{ note_id: ROW.id }]) });
  const findings = await examine(deployment);
  assert.deepEqual(faultsOf(findings), []);
  const asked = stub.received.find(({ target }) => target.startsWith("/rest/v1/Old%20Notes?"));
  assert.equal(asked?.target, `/rest/v1/Old%20Notes?select=note_id&note_id=eq.${ROW.id}`);
  assert.equal(asked?.headers["accept-profile"], "api");
  assert.ok(findings.some(({ what, found }) => what === "edge-only mode" && found === "off on both sides"));
});

const REQUESTS: [fault: string, plant: () => unknown, says: RegExp][] = [
  ["a Worker that is not there", () => (deployment.url = "http://127.0.0.1:1"), /^the Worker: nothing answers/],
  ["another version", () => (deployment.version = "0.1.0+def"), /^version: 0\.1\.0\+abc is deployed/],
  [
    "a project that is not there",
    () => (deployment.vars.SUPABASE_URL = "http://127.0.0.1:1"),
    /^SUPABASE_URL: nothing answers/,
  ],
  ["a missing key set", () => (stub.keys = json(404, {})), /^key set: its URL answers 404/],
  ["an HS256 project", () => (stub.keys = json(200, { keys: [] })), /^key set: it has no usable key/],
  [
    "the key of another project",
    () => (stub.rest = json(401, { message: "Invalid API key" })),
    /^publishable key: the project answers 401/,
  ],
  [
    "missing migrations",
    () => (stub.rest = project({ airlock_ready: databaseError(404, "PGRST202") })),
    /^migrations: airlock_ready answers 404 PGRST202/,
  ],
  [
    "a resource without its migration",
    () => (stub.rest = project({ airlock_ready: json(200, false) })),
    /^migrations: a resource .* is missing, or a resource's table has become a partition/,
  ],
  [
    "an exposed schema",
    () => (stub.rest = project({ claims: databaseError(401, "42501") })),
    /^schema airlock: a request for it is answered with 401/,
  ],
  ["tokens of another issuer", () => (deployment.vars.SUPABASE_JWT_ISSUER = "https://auth.notes.app"), /^issuer: /],
  [
    "another app key",
    () => (deployment.vars.APP_GUARD = APP_GUARD.replace(APP.secret, "A".repeat(43))),
    /^GET \/v1\/me: 401 app_guard_rejected/,
  ],
  [
    "an expired token",
    () => (deployment.token = jws(key, claims({ iss: `${stub.url}/auth/v1`, exp: 1_700_000_000 }))),
    /^GET \/v1\/me: 401 token_expired/,
  ],
  [
    "a table that refuses a row",
    () => (stub.rest = project({ airlock_create: databaseError(403, "42501", "permission denied for table notes") })),
    /^POST \/v1\/notes: 500 internal/,
  ],
  [
    "nonces that are not claimed",
    () => (stub.rest = project({ airlock_create: functions() })),
    /^POST \/v1\/notes: a copy of the signed request is answered with 201/,
  ],
  [
    "rows that the Worker does not get",
    () => (stub.rest = project({ airlock_read: json(200, null) })),
    /^edge-only mode: the row that was made/,
  ],
  [
    "proofs that nobody asks for",
    () => (deployment.vars.EDGE_PROOF_SECRET = "x".repeat(32)),
    /^edge-only mode: the Worker sends proofs/,
  ],
  [
    "a clock of Supabase's that is off",
    () =>
      (stub.rest = project({
        airlock_ready: (request, response) => (
          response.setHeader("date", hourAhead()), json(200, true)(request, response)
        ),
      })),
    /^Supabase's clock: 3[56]\d\d seconds ahead/,
  ],
];

for (const [name, plant, says] of REQUESTS) {
  test(`the doctor finds ${name}`, async () => {
    plant();
    const faults = faultsOf(await examine(deployment)).filter((line) => !line.startsWith("GET /ready"));
    assert.match(faults[0] ?? "(none)", says);
  });
}

test("the doctor finds demo users", async () => {
  // A Worker's project at the same URL, whose Auth lets alice in.
  const auth = createServer((request, response) => {
    if (request.url?.startsWith("/auth/v1/token"))
      return void response.writeHead(200, { "content-type": "application/json" }).end('{"access_token":"x"}');
    void fetch(`${stub.url}${request.url}`).then(async (reply) =>
      response.writeHead(reply.status).end(await reply.text()),
    );
  });
  await new Promise<void>((resolve) => auth.listen(0, "127.0.0.1", resolve));
  try {
    deployment.vars.SUPABASE_URL = `http://127.0.0.1:${(auth.address() as { port: number }).port}`;
    assert.ok(
      faultsOf(await examine(deployment)).some((line) => /^demo users: alice@example\.com can sign in/.test(line)),
    );
  } finally {
    auth.close();
  }
});

test("the doctor finds a normalised URL and a clock of the Worker's that is off", () =>
  behind(
    async (url) => {
      const faults = faultsOf(await examine({ ...deployment, url }));
      assert.match(faults[0] ?? "", /^the Worker's clock: 3[56]\d\d seconds ahead/);
      assert.match(faults[1] ?? "", /^paths: \/\/health arrives as \/health/);
    },
    (path, headers) => {
      headers.set("date", hourAhead());
      return path.replace(/^\/+/, "/");
    },
  ));

test("a misconfigured Worker is found", async () => {
  const broken = await startWorkerAlone(workerVars(stub.url, { APP_GUARD: "{}" }));
  try {
    assert.match(
      faultsOf(await examine({ ...deployment, url: broken.url }))[0] ?? "",
      /^GET \/health: 503 misconfigured/,
    );
  } finally {
    await broken.stop();
  }
});

test("the embedded Supabase and a Worker in front of it have no fault", async () => {
  const stack = await startStack();
  try {
    const vars = workerVars(stack.supabase.url);
    const findings = [
      ...(await startOf(vars, notesDeclaration, false)),
      ...(await examine({ url: stack.url, vars, declaration, token: stack.alice.token })),
    ];
    assert.deepEqual(faultsOf(findings), []);
    assert.match(
      findings.find(({ what }) => what === "POST /v1/notes")?.found ?? "",
      /a copy of the request was refused/,
    );
    const [left] = await stack.sql("select count(*)::integer as rows from public.notes where deleted_at is null");
    assert.equal(left?.rows, 0, "the row is deleted");
  } finally {
    await stack.stop();
  }
});

// Attestation.

const attest = (mode: string, project = "123456789012") => ({
  mode,
  firebase: { project, app_ids: [`1:${project}:ios:0a1b2c3d`] },
});
const attested = (appAttest: unknown, keyAttest?: unknown): string =>
  appGuard({
    [APP.appId]: {
      attest: appAttest,
      keys: [
        { id: "old", secret: APP.secret },
        { id: "new", secret: APP.secret, attest: keyAttest },
      ],
    },
  });

test("a project id and the weakest app are faults of the settings", async () => {
  const byId = await settingsOf((_, secrets) => (secrets.APP_GUARD = attested(attest("report", "my-project"))));
  assert.match(
    byId.join("\n"),
    /^app keys: APP_GUARD app rn-test has a firebase whose project is not its number as a text/,
  );
  const weak = await settingsOf((_, secrets) => (secrets.APP_GUARD = attested(undefined, attest("enforce"))));
  assert.match(
    weak.join("\n"),
    /^configuration: APP_GUARD enforces attestation, but not for app rn-test with key old\./,
  );
  assert.deepEqual(await settingsOf((_, secrets) => (secrets.APP_GUARD = attested(attest("enforce")))), []);
});

test("the doctor looks whether App Check's key set is usable, if an app needs it", async () => {
  const stub = await startStub();
  try {
    const url = `${stub.url}/jwks`;
    const keys = (appGuard: string) => ofKeys({ APP_GUARD: appGuard, APP_CHECK_JWKS_URL: url });
    stub.others["/jwks"] = json(200, { keys: [newKey("a", "RS256").jwk] });
    assert.deepEqual(await keys(attested(undefined)), []);
    assert.deepEqual(await keys(attested(attest("off"))), []);
    assert.match((await keys(attested(attest("report"))))[0]?.found ?? "", /^1 usable key at /);
    assert.match((await keys(attested(undefined, attest("report"))))[0]?.found ?? "", /^1 usable key at /);
    stub.others["/jwks"] = json(200, { keys: [newKey("a").jwk] });
    assert.match(faultsOf(await keys(attested(attest("report")))).join(), /no usable key/);
    stub.others["/jwks"] = json(500, "broken");
    assert.match(faultsOf(await keys(attested(attest("report")))).join(), /gives no key set/);
  } finally {
    await stub.stop();
  }
});

test("verdicts of a log are counted by app, key and user, with advice", async () => {
  const folder = await mkdtemp(join(tmpdir(), "airlock-doctor-"));
  try {
    const line = (attest: string | undefined, guard_key: string, user_id: string) => ({
      event: "request",
      guard: "verified",
      guard_key,
      ...(attest && { attest }),
      app_id: APP.appId,
      user_id,
    });
    const many = (count: number, attest: string, key: string) =>
      Array.from({ length: count }, (_, n) => line(attest, key, `user-${n % 100}`));
    const log = async (lines: unknown[], appGuard: string) => {
      const file = join(folder, "log");
      await writeFile(file, lines.map((one) => (typeof one === "string" ? one : JSON.stringify(one))).join("\n"));
      return (await ofLog(file, { APP_GUARD: appGuard })).map(({ what, found }) => `${what}: ${found}`);
    };
    const report = attested(attest("report"));
    assert.deepEqual(
      await log(
        [
          ...many(995, "verified", "new"),
          ...many(3, "missing", "new"),
          ...many(2, "expired", "new"),
          ...many(2, "missing", "old"),
          line(undefined, "new", "x"),
          "no JSON",
          "",
        ],
        report,
      ),
      [
        "attestation of rn-test with key new: 995 verified, 3 missing, 2 expired; 100 users, 3 of them without a good token (0.5 % of requests); enforce it, if the log covers 7 days",
        "attestation of rn-test with key old: 2 missing; 2 users, 2 of them without a good token (100.0 % of requests); an older key",
      ],
    );
    assert.match(
      (await log([...many(99, "verified", "new"), ...many(1, "missing", "new")], report)).join(),
      /\(1\.0 % of requests\); stay in report/,
    );
    assert.match((await log(many(1, "verified", "new"), attested(attest("enforce")))).join(), /it is enforced/);
    // As `wrangler tail --format json` prints it, on one line and on many.
    const tail = { outcome: "ok", logs: [{ level: "log", message: [JSON.stringify(line("verified", "new", "u"))] }] };
    for (const text of [JSON.stringify(tail), JSON.stringify(tail, null, 2)])
      assert.match((await log([text], report)).join(), /: 1 verified; 1 users/);
    assert.match((await log([line(undefined, "new", "x")], report)).join(), /has no line with attest/);
    const begun = Date.now();
    assert.match((await log(many(60_000, "verified", "new"), report)).join(), /: 60000 verified; 100 users/);
    assert.ok(Date.now() - begun < 30_000, "the time grows with the lines alone");
  } finally {
    await rm(folder, { recursive: true });
  }
});

test("it ends with 1 for a fault and 2 for a wrong command line", async () => {
  const run = (...args: string[]) =>
    new Promise<{ code: number; output: string }>((resolve) => {
      const env = { ...process.env, AIRLOCK_PORT: "1", SUPABASE_PORT: "2" };
      execFile(process.execPath, ["tools/run.mjs", "doctor", ...args], { cwd: root, env }, (error, stdout, stderr) =>
        resolve({ code: error ? Number(error.code) : 0, output: stdout + stderr }),
      );
    });
  const fault = await run();
  assert.equal(fault.code, 1, fault.output);
  assert.match(fault.output, /^FAULT {2}the Worker +nothing answers at http:\/\/127\.0\.0\.1:1\n +.*npm run dev/m);
  assert.match(fault.output, /^\d faults?\.$/m);
  for (const args of [
    ["--url", "api"],
    ["--env", "production"],
    ["--what"],
    ["--url", "https://api.notes.app", "--secrets-file", "/nowhere"],
    ["--log", "/nowhere"],
  ]) {
    const wrong = await run(...args);
    assert.equal(wrong.code, 2, wrong.output);
  }
});
