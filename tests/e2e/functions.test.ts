// Database functions that airlock.toml declares (tests/resources/relations.sql), called through the Worker.

import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { after, before, beforeEach, test } from "node:test";

import type { Answer } from "../../client/src/index.ts";
import { startDeclared } from "./declared.ts";
import { answer, assertOk, assertProblem, flaws, headersOf, open } from "./http.ts";
import { caller, type Stack } from "./support.ts";

let stack: Stack;
let alice: (name: string, body?: unknown, options?: object) => Promise<Answer>;

before(async () => {
  const declared = await startDeclared("relations");
  ({ stack } = declared);
  await stack.sql(`insert into public.profiles values ('${stack.alice.id}', 'alice')`);
  alice = (name, body = {}, options = {}) => declared.alice("POST", `/v1/functions/${name}`, body, options);
});
after(() => stack?.stop());
beforeEach(() => stack.sql("delete from public.teams; delete from public.visits; delete from airlock.claims"));

const teams = async () => (await stack.sql("select name from public.teams order by name")).map(({ name }) => name);

test("a function runs with the user's rights and its result is the answer", async () => {
  const made = assertOk(await alice("create_team", { name: " Press " }), 200);
  assert.deepEqual(made, { id: made.id, name: "Press, 3", made_by: stack.alice.id, archivedAt: null });
  assert.equal(
    assertOk(await alice("create_team", { name: "News", seats: 7, lead: stack.alice.id }), 200).name,
    `News, 7, ${stack.alice.id}`,
  );
  assert.deepEqual(assertOk(await alice("team_names"), 200), [`News, 7, ${stack.alice.id}`, "Press, 3"]);
  assert.deepEqual(
    (assertOk(await alice("own_teams"), 200) as { seats: number }[]).map(({ seats }) => seats),
    [3, 3],
  );
  assert.deepEqual(assertOk(await alice("odd", { format: { a: "it's", b: [1e2] } }), 200), [
    { a: "it's", b: [100] },
    [],
  ]);
  const nothing = await alice("nothing");
  assert.deepEqual([nothing.status, nothing.body], [204, ""]);
  assert.deepEqual(await stack.sql("select user_id, place from public.visits"), [
    { user_id: stack.alice.id, place: "nothing" },
  ]);
  const bob = caller(stack.url, stack.bob.token);
  assert.deepEqual(assertOk(await bob("POST", "/v1/functions/team_names", {}), 200), []);
  assertProblem(await caller(stack.url)("POST", "/v1/functions/team_names", {}), "token_missing");
});

test("arguments are checked like a draft", async () => {
  assert.deepEqual(flaws(await alice("create_team", { seats: 1.5, lead: "x", p_name: "y" })), [
    "/name required",
    "/seats type",
    "/lead format",
    "/p_name unknown",
  ]);
  assert.deepEqual(flaws(await alice("create_team", { name: "ab", seats: 101 })), ["/name length", "/seats range"]);
  assert.deepEqual(flaws(await alice("team_names", { name: "x" })), ["/name unknown"]);
  assert.deepEqual(flaws(await alice("create_team", [])), [" type"]);
  assert.deepEqual(
    flaws(await caller(stack.url, stack.alice.token)("POST", "/v1/functions/team_names?select=id", {})),
    ["select unknown"],
  );
  for (const name of ["Idempotency-Key", "If-Match", "If-None-Match"]) {
    assertProblem(
      await alice("nothing", {}, { headers: { [name]: name === "Idempotency-Key" ? randomUUID() : '"1"' } }),
      "malformed_request",
    );
  }
  assertProblem(await alice("nothing", {}, { headers: { "Content-Type": "text/plain" } }), "unsupported_media_type");
  assert.deepEqual([...(await teams()), ...(await stack.sql("select from public.visits"))], []);
});

test("a copy of a signed call is refused, whatever the function writes", async () => {
  for (const [name, body] of [
    ["create_team", { name: "once" }],
    ["visit", { place: "here" }],
    ["nothing", {}],
    ["team_names", {}],
  ] as const) {
    const target = `/v1/functions/${name}`;
    const text = JSON.stringify(body);
    const headers = headersOf("POST", target, { token: stack.alice.token, body: text });
    const answers: Answer[] = [];
    for (let copy = 0; copy < 3; copy++) {
      const request = open(stack.url, "POST", target, headers);
      request.end(text);
      answers.push(await answer(request));
    }
    assert.ok(answers[0] && answers[0].status < 300, answers[0]?.body);
    for (const copy of answers.slice(1)) assertProblem(copy, "request_replayed");
  }
  assert.deepEqual(await teams(), ["once, 3"]);
  assert.deepEqual(
    (await stack.sql("select place from public.visits order by place")).map(({ place }) => place),
    ["here", "nothing"],
  );
});

test("a function that fails changes nothing and does not claim its nonce", async () => {
  for (const [how, code] of [
    ["rule", "validation_failed"],
    ["status", "validation_failed"],
    ["policy", "forbidden"],
    ["grant", "internal"],
    ["unique", "conflict"],
    ["timeout", "upstream_timeout"],
    ["unknown", "upstream_invalid"],
  ] as const) {
    const text = JSON.stringify({ how });
    const headers = headersOf("POST", "/v1/functions/fail", { token: stack.alice.token, body: text });
    for (let copy = 0; copy < 2; copy++) {
      const request = open(stack.url, "POST", "/v1/functions/fail", headers);
      request.end(text);
      const answered = await answer(request);
      assertProblem(answered, code);
      assert.ok(!answered.body.includes("text of the database"));
    }
  }
  assert.deepEqual(flaws(await alice("fail", { how: "rule" })), [" rule"]);
  assert.deepEqual(await teams(), []);
  assert.deepEqual(await stack.sql("select from airlock.claims"), []);
});

test("undeclared, missing, closed and overloaded functions are not called", async () => {
  const call = caller(stack.url, stack.alice.token);
  for (const name of [
    "secret",
    "public.create_team",
    "public.secret",
    "%22secret%22",
    "create_team%28text%29",
    "CREATE_TEAM",
    "create_team/",
    "",
    "airlock_call",
    "airlock_run_job",
    "auth.uid",
    "pg_sleep",
    "create_team;select",
    "create_team%20",
    "..%2Fteams",
    "airlock.claim",
  ]) {
    assertProblem(await call("POST", `/v1/functions/${name}`, {}), "not_found");
  }
  assert.equal((await call("GET", "/v1/functions/create_team")).headers.get("allow"), "POST");
  for (const name of ["missing", "closed"]) assertProblem(await alice(name), "internal");
  assertProblem(
    await alice("twofold", { a: 1 }).then(async (first) => {
      assert.equal(JSON.parse(first.body), 1);
      await stack.sql("create function public.twofold(a text) returns integer language sql as $$ select 2 $$");
      return alice("twofold", { a: 1 });
    }),
    "internal",
  );
  await stack.sql(
    "drop function public.twofold(integer); drop function public.twofold(text); create function public.twofold(b integer) returns integer language sql as $$ select 2 $$",
  );
  assertProblem(await alice("twofold", { a: 1 }), "internal");
  const alarms = stack.worker.logs.filter(
    (line) => line.includes("/v1/functions/twofold") && line.includes('"status":500'),
  );
  assert.equal(alarms.length, 2, alarms.join("\n"));
});

test("direct callers of airlock_call run registered functions as themselves", async () => {
  const rpc = async (user: Parameters<Stack["direct"]>[0], function_: string, args: object = {}) => {
    const response = await stack.direct(user, "/rpc/airlock_call", {
      method: "POST",
      body: JSON.stringify({ function: function_, arguments: args }),
    });
    return {
      status: response.status,
      json: (await response.json()) as { code?: string; message?: string; row?: unknown },
    };
  };
  assert.deepEqual((await rpc(stack.bob, "team_names")).json, { outcome: "done", row: [] });
  for (const name of [
    "secret",
    "public.secret",
    "public.create_team",
    '"secret"',
    "create_team(text)",
    "auth.uid",
    "airlock.claim",
    "pg_sleep",
    "team_names(); select 1",
    "",
  ]) {
    assert.equal((await rpc(stack.alice, name)).json.message, "airlock_unknown_resource", name);
  }
  for (const args of [{ p_name: "x" }, { 'name" text); drop table x --': 1 }, { how: "rule", where: 1 }])
    assert.equal((await rpc(stack.alice, "fail", args)).json.code, "22023");
  assert.equal((await rpc(stack.alice, "closed")).json.code, "42501");
  assert.ok([401, 403].includes((await rpc(null, "team_names")).status));
  assert.equal(
    (await stack.direct(stack.alice, "/functions?select=name", { headers: { "accept-profile": "airlock" } })).status,
    406,
  );
});
