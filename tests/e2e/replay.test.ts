// Nonces: a signed write is carried out once, and Postgres knows it in the transaction that changes the row.

import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { createServer, request as httpRequest, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { after, before, beforeEach, test } from "node:test";

import { type Answer, createNonce } from "../../client/src/index.ts";
import { assertOk, assertProblem, type Sent, send } from "./http.ts";
import {
  databaseError,
  functionOf,
  functions,
  type Handler,
  jws,
  legacy,
  type Received,
  ROW,
  withStub,
} from "./stub.ts";
import {
  APP,
  appGuard,
  type Stack,
  startStack,
  startWorkerAlone,
  type User,
  withWorker,
  workerVars,
} from "./support.ts";

const keys = [{ id: "test", secret: APP.secret }];
const MODES = {
  APP_GUARD: appGuard({
    [APP.appId]: { keys },
    other: { keys },
    reporting: { mode: "report", keys },
    open: { mode: "off" },
  }),
};

let stack: Stack;
let alice: User;
let bob: User;

before(async () => {
  stack = await startStack(MODES);
  ({ alice, bob } = stack);
});
after(() => stack?.stop());
beforeEach(() => stack.sql("delete from airlock.claims"));

interface Request {
  method: string;
  target: string;
  json?: unknown;
  user?: User;
  headers?: Record<string, string>;
}

type Code = Parameters<typeof assertProblem>[1];

/** The parts that make two requests copies of each other. */
function fixed() {
  return { nonce: createNonce(), timestamp: Math.floor(Date.now() / 1000) };
}

/** Sends a request; with the same `signed` it is a copy of an earlier one. */
function ask(
  { method, target, json, user = alice, headers = {} }: Request,
  signed: Sent["signed"] = {},
  url = stack.url,
): Promise<Answer> {
  return send(url, method, target, {
    token: user.token,
    headers,
    signed,
    ...(json !== undefined && { body: JSON.stringify(json) }),
  });
}

async function made(request: Request): Promise<any> {
  const answered = await ask(request);
  assert.ok(answered.status < 300, answered.body);
  return answered.body && JSON.parse(answered.body);
}

const newNote = async () =>
  `/v1/notes/${(await made({ method: "POST", target: "/v1/notes", json: { title: "a" } })).id}`;

/** A POST with an Idempotency-Key. */
function repeatable(title: string, key: string = randomUUID()): Request {
  return { method: "POST", target: "/v1/notes", json: { title }, headers: { "Idempotency-Key": key } };
}

async function noteAfter(...actions: [method: string, path: string][]): Promise<string> {
  const note = await newNote();
  for (const [method, path] of actions) await made({ method, target: note + path });
  return note;
}

const newOrg = async () => `/v1/orgs/${(await made({ method: "POST", target: "/v1/orgs", json: { name: "a" } })).id}`;
const invite = (org: string) => made({ method: "POST", target: `${org}/invitations`, json: { role: "editor" } });

/** An organisation of Alice that Bob has joined. */
async function orgWithBob(): Promise<string> {
  const org = await newOrg();
  const { token } = await invite(org);
  await made({ method: "POST", target: "/v1/orgs/join", json: { token }, user: bob });
  return org;
}

/** Every kind of write, ready to be sent. */
const WRITES: Record<string, () => Promise<Request>> = {
  POST: async () => ({ method: "POST", target: "/v1/notes", json: { title: "a" } }),
  "POST with an Idempotency-Key": async () => repeatable("a"),
  "PUT that creates": async () => ({ method: "PUT", target: `/v1/notes/${randomUUID()}`, json: { title: "a" } }),
  "PUT with If-None-Match": async () => ({
    method: "PUT",
    target: `/v1/notes/${randomUUID()}`,
    json: { title: "a" },
    headers: { "If-None-Match": "*" },
  }),
  "PUT that replaces": async () => ({ method: "PUT", target: await newNote(), json: { title: "b" } }),
  PATCH: async () => ({ method: "PATCH", target: await newNote(), json: { title: "b" } }),
  "PATCH with If-Match": async () => ({
    method: "PATCH",
    target: await newNote(),
    json: { title: "b" },
    headers: { "If-Match": '"1"' },
  }),
  DELETE: async () => ({ method: "DELETE", target: await newNote() }),
  restore: async () => ({ method: "POST", target: `${await noteAfter(["DELETE", ""])}/restore` }),
  publish: async () => ({ method: "POST", target: `${await newNote()}/publish` }),
  unpublish: async () => ({ method: "POST", target: `${await noteAfter(["POST", "/publish"])}/unpublish` }),
  "POST of an organisation's note": async () => ({
    method: "POST",
    target: `${await newOrg()}/notes`,
    json: { title: "a" },
  }),
  "POST /v1/orgs": async () => ({ method: "POST", target: "/v1/orgs", json: { name: "a" } }),
  "PATCH of an organisation": async () => ({ method: "PATCH", target: await newOrg(), json: { name: "b" } }),
  "DELETE of an organisation": async () => ({ method: "DELETE", target: await newOrg() }),
  "PATCH of a member": async () => ({
    method: "PATCH",
    target: `${await orgWithBob()}/members/${bob.id}`,
    json: { role: "viewer" },
  }),
  "DELETE of a member": async () => ({ method: "DELETE", target: `${await orgWithBob()}/members/${bob.id}` }),
  "leaving an organisation": async () => ({
    method: "DELETE",
    target: `${await orgWithBob()}/members/${bob.id}`,
    user: bob,
  }),
  "an invitation": async () => ({ method: "POST", target: `${await newOrg()}/invitations`, json: { role: "viewer" } }),
  "revoking an invitation": async () => {
    const org = await newOrg();
    return { method: "DELETE", target: `${org}/invitations/${(await invite(org)).id}` };
  },
  "joining an organisation": async () => ({
    method: "POST",
    target: "/v1/orgs/join",
    json: { token: (await invite(await newOrg())).token },
    user: bob,
  }),
};

/** All rows that a request could have changed, with the transaction that wrote each of them. */
async function everything(): Promise<unknown[]> {
  const tables = [
    "public.notes",
    "airlock.organizations",
    "airlock.members",
    "airlock.invitations",
    "airlock.idempotency_keys",
  ];
  return Promise.all(tables.map((table) => stack.sql(`select xmin::text, t.* from ${table} as t order by ctid`)));
}

for (const [name, prepare] of Object.entries(WRITES)) {
  test(`of 20 copies at once of ${name} one is carried out`, async () => {
    const request = await prepare();
    const signed = fixed();
    const answers = await Promise.all(Array.from({ length: 20 }, () => ask(request, signed)));
    const [first, ...others] = answers.sort((a, b) => a.status - b.status);
    assert.ok(first!.status < 300, first!.body);
    for (const other of others) assertProblem(other, "request_replayed");
    const after = await everything();
    assertProblem(await ask(request, signed), "request_replayed");
    assert.deepEqual(await everything(), after);
  });
}

test("the nonce of one write serves no other write of this user", async () => {
  const signed = fixed();
  assertOk(await ask({ method: "POST", target: "/v1/notes", json: { title: "a" } }, signed), 201);
  for (const prepare of Object.values(WRITES)) {
    const request = await prepare();
    assertProblem(await ask({ ...request, user: alice }, signed), "request_replayed");
  }
});

test("two users may use one nonce, and so may two apps", async () => {
  const request = { method: "POST", target: "/v1/notes", json: { title: "a" } };
  const signed = fixed();
  for (const user of [alice, bob]) {
    for (const appId of [APP.appId, "other"]) {
      assertOk(await ask({ ...request, user }, { ...signed, appId }), 201);
      assertProblem(await ask({ ...request, user }, { ...signed, appId }), "request_replayed");
    }
  }
});

test("a claim outlives the timestamp's window and ends within 15 minutes", async () => {
  const now = Math.floor(Date.now() / 1000);
  for (const [offset, seconds] of [
    [-290, 70],
    [0, 360],
    [290, 650],
  ] as const) {
    await stack.sql("delete from airlock.claims");
    assertOk(
      await ask({ method: "POST", target: "/v1/notes", json: { title: "a" } }, { timestamp: now + offset }),
      201,
    );
    const [claim] = await stack.sql(
      "select extract(epoch from expires_at - now())::float8 as left, user_id, nonce from airlock.claims",
    );
    assert.ok(Math.abs(Number(claim?.left) - seconds) < 30, `${offset}: ${claim?.left}`);
    assert.equal(claim?.user_id, alice.id);
    assert.match(String(claim?.nonce), new RegExp(`^${APP.appId}:[\\w-]{22,64}$`));
  }
});

test("each claim deletes expired claims of anybody", async () => {
  await stack.sql(
    `insert into airlock.claims select gen_random_uuid(), 'a:' || n, gen_random_uuid(), now() + (n - 4) * interval '1 minute' from generate_series(1, 6) n`,
  );
  assertOk(await ask({ method: "POST", target: "/v1/notes", json: { title: "a" } }), 201);
  assert.deepEqual(
    (await stack.sql("select nonce from airlock.claims where nonce like 'a:%' order by nonce")).map(
      ({ nonce }) => nonce,
    ),
    ["a:5", "a:6"],
  );
});

// Nonces that stay free

test("a request that was refused before the database leaves its nonce free", async () => {
  const signed = { nonce: createNonce() };
  const refusals: [Code, Sent][] = [
    ["app_guard_rejected", { signed: { ...signed, method: "PUT" } }],
    ["clock_skew", { signed: { ...signed, timestamp: 1_700_000_000 } }],
    ["token_invalid", { signed, token: "a.b.c" }],
    ["malformed_json", { signed, body: "{" }],
    ["validation_failed", { signed, body: "{}" }],
    ["malformed_request", { signed, headers: { "If-Match": "*" } }],
    ["unsupported_media_type", { signed, headers: { "Content-Type": "text/plain" } }],
  ];
  const post = (sent: Sent) =>
    send(stack.url, "POST", "/v1/notes", { token: alice.token, body: '{"title":"a"}', ...sent });
  for (const [code, sent] of refusals) assertProblem(await post(sent), code);
  assertOk(await post({ signed }), 201);
  assertProblem(await post({ signed }), "request_replayed");
});

/** Requests that the database refuses, and the change that makes a copy of each succeed. */
const REFUSED: Record<string, () => Promise<{ request: Request; code: Code; mend: () => unknown }>> = {
  "a missing row": async () => {
    const target = `/v1/notes/${randomUUID()}`;
    return {
      request: { method: "PATCH", target, json: { title: "b" } },
      code: "not_found",
      mend: () => made({ method: "PUT", target, json: { title: "a" } }),
    };
  },
  "another version": async () => {
    const target = await newNote();
    return {
      request: { method: "DELETE", target, headers: { "If-Match": '"2"' } },
      code: "version_mismatch",
      mend: () => made({ method: "PATCH", target, json: { title: "b" } }),
    };
  },
  "an id that is taken": async () => {
    const target = await noteAfter(["DELETE", ""]);
    return {
      request: { method: "PUT", target, json: { title: "b" } },
      code: "conflict",
      mend: () => made({ method: "POST", target: `${target}/restore` }),
    };
  },
  "an Idempotency-Key that was used": async () => {
    await stack.sql("delete from airlock.idempotency_keys");
    await made(repeatable("a", "used-before"));
    return {
      request: repeatable("b", "used-before"),
      code: "idempotency_key_reused",
      mend: () => stack.sql("delete from airlock.idempotency_keys"),
    };
  },
  "a role that is too low": async () => {
    const org = await orgWithBob();
    const setRole = (role: string) => made({ method: "PATCH", target: `${org}/members/${bob.id}`, json: { role } });
    await setRole("viewer");
    return {
      request: { method: "POST", target: `${org}/notes`, json: { title: "b" }, user: bob },
      code: "forbidden",
      mend: () => setRole("editor"),
    };
  },
  "the last owner": async () => {
    const org = await orgWithBob();
    return {
      request: { method: "DELETE", target: `${org}/members/${alice.id}` },
      code: "conflict",
      mend: () => made({ method: "PATCH", target: `${org}/members/${bob.id}`, json: { role: "owner" } }),
    };
  },
  "a trigger's exception": async () => {
    await stack.sql(`
      create function public.refuse() returns trigger language plpgsql as $$ begin raise exception 'no'; end $$;
      create trigger zz_refuse after insert on public.notes for each row execute function public.refuse()`);
    return {
      request: { method: "POST", target: "/v1/notes", json: { title: "b" } },
      code: "validation_failed",
      mend: () => stack.sql("drop trigger zz_refuse on public.notes; drop function public.refuse()"),
    };
  },
};

for (const [name, prepare] of Object.entries(REFUSED)) {
  test(`a request refused for ${name} leaves its nonce free`, async () => {
    const { request, code, mend } = await prepare();
    const signed = fixed();
    for (const _ of ["first", "copy"]) assertProblem(await ask(request, signed), code);
    await mend();
    const carriedOut = await ask(request, signed);
    assert.ok(carriedOut.status < 300, carriedOut.body);
    assertProblem(await ask(request, signed), "request_replayed");
  });
}

test("a write that changes nothing claims nothing", async () => {
  const posted = repeatable("a");
  await made(posted);
  const requests: Request[] = [
    { method: "DELETE", target: await noteAfter(["DELETE", ""]) },
    { method: "POST", target: `${await newNote()}/restore` },
    { method: "POST", target: `${await noteAfter(["POST", "/publish"])}/publish` },
    { method: "POST", target: `${await newNote()}/unpublish` },
    posted,
  ];
  await stack.sql("delete from airlock.claims");
  for (const request of requests) {
    const signed = fixed();
    const [first, copy] = [await ask(request, signed), await ask(request, signed)];
    assert.ok(first.status < 300, first.body);
    assert.deepEqual([copy.status, copy.body], [first.status, first.body]);
  }
  assert.deepEqual(await stack.sql("select * from airlock.claims"), []);
});

test("a read claims nothing and may use the nonce of a write", async () => {
  const note = await newNote();
  await stack.sql("delete from airlock.claims");
  const signed = fixed();
  const read = async () => {
    for (const method of ["GET", "HEAD"]) {
      for (const target of [note, "/v1/notes", "/v1/orgs", "/v1/me"])
        assert.equal((await ask({ method, target }, signed)).status, 200);
    }
  };
  await read();
  assert.deepEqual(await stack.sql("select * from airlock.claims"), []);
  assertOk(await ask({ method: "PATCH", target: note, json: { title: "b" } }, signed), 200);
  await read();
});

test("an app in report or off claims nothing", async () => {
  for (const appId of ["reporting", "open"]) {
    const signed = { ...fixed(), appId };
    for (const _ of ["first", "copy"])
      assertOk(await ask({ method: "POST", target: "/v1/notes", json: { title: "a" } }, signed), 201);
  }
  assert.deepEqual(await stack.sql("select * from airlock.claims"), []);
});

// Lost answers

/** Has a way to Supabase on which every answer to a call of `lost` is lost after the call was carried out. */
async function losing<T>(
  lost: string,
  work: (url: string) => Promise<T>,
  lose = (response: ServerResponse): unknown => response.destroy(),
): Promise<T> {
  const proxy = createServer((incoming, response) => {
    const { method, url, headers } = incoming;
    const onwards = httpRequest(new URL(url ?? "/", stack.supabase.url), { method, headers }, (upstream) => {
      if (functionOf({ method, target: url } as Received) === lost) upstream.resume().on("end", () => lose(response));
      else upstream.pipe(response.writeHead(upstream.statusCode ?? 500, upstream.headers));
    });
    incoming.pipe(onwards);
  });
  await new Promise<void>((resolve) => proxy.listen(0, "127.0.0.1", resolve));
  try {
    return await work(`http://127.0.0.1:${(proxy.address() as AddressInfo).port}`);
  } finally {
    proxy.closeAllConnections();
    proxy.close();
  }
}

test("a copy of a write whose answer was lost is request_replayed", async () => {
  const [create, remove] = [
    { method: "PUT", target: `/v1/notes/${randomUUID()}`, json: { title: "a" } },
    { method: "DELETE", target: await newNote() },
  ];
  for (const [lost, request] of [
    ["airlock_put", create],
    ["airlock_change", remove],
  ] as [string, Request][]) {
    const signed = fixed();
    await losing(lost, (supabase) =>
      withWorker(workerVars(supabase), {}, async ({ url }) =>
        assertProblem(await ask(request, signed, url), "upstream_unavailable"),
      ),
    );
    assertProblem(await ask(request, signed), "request_replayed");
  }
  assert.equal(
    (await stack.sql("select version from public.notes where id = $1", [create.target.split("/")[3]]))[0]?.version,
    1,
  );
});

test("a Worker that dies after the commit loses and doubles no write", async () => {
  const create = repeatable("once");
  const signed = fixed();
  let carriedOut = () => {};
  const commit = new Promise<void>((resolve) => (carriedOut = resolve));
  await losing(
    "airlock_create",
    async (supabase) => {
      const worker = await startWorkerAlone(workerVars(supabase));
      const unanswered = assert.rejects(ask(create, signed, worker.url));
      await commit;
      await worker.stop();
      await unanswered;
    },
    carriedOut,
  );
  assertProblem(await ask(create, signed), "request_replayed");
  const { id } = assertOk(await ask(create), 201);
  assert.deepEqual(await stack.sql("select id, version from public.notes where title = 'once'"), [{ id, version: 1 }]);
});

// The requests of the Worker

/** Sends one request to a Worker in front of a stand-in and returns the calls that it made. */
async function callsOf(request: Request, rest: Handler, code?: Code, signed: Sent["signed"] = {}): Promise<Received[]> {
  return withStub(async (stub) => {
    stub.rest = rest;
    const user = { token: jws(legacy), id: "" };
    await withWorker(workerVars(stub.url, MODES), {}, async ({ url }) => {
      const answered = await ask({ ...request, user }, signed, url);
      if (code) assertProblem(answered, code);
      else assert.ok(answered.status < 300, answered.body);
    });
    return stub.received;
  });
}

const claimsOf = (calls: Received[]) => calls.map(({ headers }) => headers["x-airlock-claim"]);

test("the claim header has seconds, request id, app and nonce", async () => {
  const { nonce } = fixed();
  for (const [offset, seconds] of [
    [-290, 70],
    [0, 360],
    [290, 650],
  ] as const) {
    const signed = { nonce, timestamp: Math.floor(Date.now() / 1000) + offset };
    const [claim] = claimsOf(
      await callsOf(
        { method: "PATCH", target: `/v1/notes/${ROW.id}`, json: { title: "b" } },
        functions(),
        undefined,
        signed,
      ),
    );
    const [, sent, id, rest] =
      /^v1\.([1-9]\d{0,2})\.([0-9a-f-]{36})\.(.*)$/.exec(String(claim)) ?? assert.fail(String(claim));
    assert.ok(Math.abs(Number(sent) - seconds) <= 10, `${offset}: ${claim}`);
    assert.equal(rest, `${APP.appId}:${nonce}`);
    assert.notEqual(id, ROW.id);
  }
});

test("no claim header is sent for reads or apps not enforced", async () => {
  const patch = { method: "PATCH", target: `/v1/notes/${ROW.id}`, json: { title: "b" } };
  const calls = [
    ...(await callsOf({ method: "GET", target: `/v1/notes/${ROW.id}` }, functions())),
    ...(await callsOf({ method: "GET", target: "/v1/notes" }, functions())),
    ...(await callsOf(patch, functions(), undefined, { appId: "reporting" })),
    ...(await callsOf(patch, functions(), undefined, { appId: "open" })),
  ];
  assert.deepEqual(claimsOf(calls), Array(4).fill(undefined));
});

test("a client's own claim header is not passed on", async () => {
  const headers = { "X-Airlock-Claim": `v1.900.${ROW.id}.${APP.appId}:${"A".repeat(22)}` };
  const [get] = claimsOf(await callsOf({ method: "GET", target: "/v1/notes", headers }, functions()));
  const [patch] = claimsOf(
    await callsOf({ method: "PATCH", target: `/v1/notes/${ROW.id}`, json: { title: "b" }, headers }, functions()),
  );
  assert.equal(get, undefined);
  assert.doesNotMatch(String(patch), /AAAA/);
});

const PATCH = { method: "PATCH", target: `/v1/notes/${ROW.id}`, json: { title: "b" } };

test("a rolled-back write is sent three times with the same claim", async () => {
  for (const code of ["40001", "40P01"]) {
    const calls = await callsOf(PATCH, databaseError(500, code), "upstream_unavailable");
    assert.equal(calls.length, 3);
    const [claim] = claimsOf(calls);
    assert.ok(claim);
    assert.deepEqual(claimsOf(calls), [claim, claim, claim]);
    assert.deepEqual(new Set(calls.map(({ body }) => body)).size, 1);
  }
});

test("a write that succeeds after a rollback is answered so", async () => {
  let calls = 0;
  const rest: Handler = (received, response) =>
    (++calls === 1 ? databaseError(500, "40001") : functions())(received, response);
  assert.equal((await callsOf(PATCH, rest)).length, 2);
});

test("a write is sent once after a lost answer, a timeout or any other error", async () => {
  for (const [rest, code] of [
    [(_, response) => void response.destroy(), "upstream_unavailable"],
    [
      (_, response) => void response.writeHead(200, { "content-length": "99" }).write("{", () => response.destroy()),
      "upstream_unavailable",
    ],
    [(_, response) => void response.writeHead(503).end(), "upstream_unavailable"],
    [databaseError(500, "57014"), "upstream_timeout"],
    [databaseError(503, "PGRST002"), "upstream_unavailable"],
    [databaseError(500, "XX000"), "upstream_invalid"],
    [databaseError(409, "23505"), "conflict"],
  ] as [Handler, Code][]) {
    assert.equal((await callsOf(PATCH, rest, code)).length, 1);
  }
});
