// Real answers agree with the document that the Worker serves. tests/tools/generate.test.ts checks the document by itself.

import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { before, test } from "node:test";

import type { RequestOptions } from "../../client/src/index.ts";
import { type Description, type Part, readDescription } from "./documented.ts";
import { claims, jws, legacy } from "./stub.ts";
import { type Caller, caller, stackOfFile } from "./support.ts";

const { stack } = await stackOfFile();
let description: Description;
let document: Part;
/** The successes so far, as `operationId status`. */
const met = new Set<string>();

before(async () => {
  description = await readDescription(stack.url);
  ({ document } = description);
});

/** Whether the document allows this JSON body for an operation. */
function allowsBody(method: string, path: string, value: unknown): boolean {
  const { content } = description.resolve(document.paths[path][method].requestBody);
  return description.validator(content["application/json"].schema)(value);
}

/** Whether the document allows this value for a parameter of an operation. */
function allowsParameter(method: string, path: string, name: string, value: unknown): boolean {
  const item = document.paths[path];
  const parameters: Part[] = [...(item.parameters ?? []), ...(item[method].parameters ?? [])].map((part: Part) =>
    description.resolve(part),
  );
  return description.validator(parameters.find((one) => one.name === name).schema)(value);
}

/** Requests of one user; every answer is compared with the document. */
function documentedCaller(token?: string): Caller {
  const call = caller(stack.url, token);
  return async (method: string, target: string, json?: unknown, options: RequestOptions = {}) => {
    const answer = await call(method, target, json, options);
    const operation = description.assertDocumented(method, target, answer);
    if (answer.status < 400) met.add(`${operation} ${answer.status}`);
    return answer;
  };
}

function header(name: string, value: string): RequestOptions {
  return { headers: { [name]: value } };
}

test("every operation succeeds as documented", async () => {
  const nobody = documentedCaller();
  await nobody("GET", "/health");
  await nobody("GET", "/ready");
  await nobody("GET", "/openapi.json");

  const alice = documentedCaller(stack.alice.token);
  await alice("GET", "/v1/me");
  const note = JSON.parse((await alice("POST", "/v1/notes", { title: "first", body: "text" })).body);
  const path = `/v1/notes/${note.id}`;
  await alice("GET", path);
  await alice("GET", path, undefined, header("If-None-Match", '"1"'));
  await alice("PATCH", path, { body: "new" }, header("If-Match", '"1"'));
  await alice("PATCH", path, { title: "other" }, header("Content-Type", "application/merge-patch+json"));
  await alice("PUT", path, { title: "whole" });
  await alice("PUT", `/v1/notes/${randomUUID()}`, { title: "own id" }, header("If-None-Match", "*"));

  const page = JSON.parse((await alice("GET", "/v1/notes?limit=1")).body);
  assert.equal(typeof page.next_cursor, "string");
  await alice("GET", `/v1/notes?limit=100&cursor=${page.next_cursor}`);
  await alice("DELETE", path);
  await alice("GET", "/v1/notes?state=deleted");
  await alice("POST", `${path}/restore`);

  await alice("POST", `${path}/publish`);
  await alice("GET", "/v1/notes?state=published");
  const { headers } = await nobody("GET", `/v1/public/notes/${note.id}`);
  await nobody("GET", `/v1/public/notes/${note.id}`, undefined, header("If-None-Match", headers.get("etag")!));
  await alice("POST", `${path}/unpublish`);

  const bob = documentedCaller(stack.bob.token);
  const org = JSON.parse((await alice("POST", "/v1/orgs", { name: "ours" })).body);
  const ours = `/v1/orgs/${org.id}`;
  await alice("GET", "/v1/orgs");
  await alice("GET", ours);
  await alice("GET", ours, undefined, header("If-None-Match", '"1"'));
  await alice("PATCH", ours, { name: "new" }, header("If-Match", '"1"'));
  const { id: unwanted } = JSON.parse((await alice("POST", `${ours}/invitations`, { role: "owner" })).body);
  const { token } = JSON.parse((await alice("POST", `${ours}/invitations`, { role: "viewer" })).body);
  await alice("GET", `${ours}/invitations?limit=1`);
  await alice("DELETE", `${ours}/invitations/${unwanted}`);
  await bob("POST", "/v1/orgs/join", { token });
  const member = `${ours}/members/${stack.bob.id}`;
  await alice("GET", `${ours}/members?limit=1`);
  await alice("GET", member);
  await alice("GET", member, undefined, header("If-None-Match", "*"));
  await alice("PATCH", member, { role: "editor" }, header("If-Match", '"1"'));

  const theirs = JSON.parse(
    (await bob("POST", `${ours}/notes`, { title: "first" }, header("Idempotency-Key", randomUUID()))).body,
  );
  const there = `${ours}/notes/${theirs.id}`;
  await bob("GET", `${ours}/notes?q=first`);
  await bob("GET", there);
  await bob("GET", there, undefined, header("If-None-Match", '"1"'));
  await bob("PATCH", there, { body: "new" }, header("If-Match", '"1"'));
  await bob("PUT", there, { title: "whole" });
  await bob("PUT", `${ours}/notes/${randomUUID()}`, { title: "own id" }, header("If-None-Match", "*"));
  await bob("POST", `${there}/publish`);
  await bob("POST", `${there}/unpublish`);
  await bob("DELETE", there);
  await bob("POST", `${there}/restore`);
  await bob("DELETE", member);
  await alice("DELETE", ours);

  const documented = Object.values<Part>(document.paths)
    .flatMap((item) => Object.values<Part>(item))
    .filter(({ operationId }) => operationId !== undefined)
    .flatMap(({ operationId, responses }) => Object.keys(responses).map((status) => `${operationId} ${status}`))
    .filter((success) => / [23]..$/.test(success));
  assert.deepEqual([...met].sort(), documented.sort());
});

test("refusals are as documented", async () => {
  const nobody = documentedCaller();
  const alice = documentedCaller(stack.alice.token);
  const bob = documentedCaller(stack.bob.token);
  const { id } = JSON.parse((await alice("POST", "/v1/notes", { title: "first" })).body);
  const path = `/v1/notes/${id}`;
  const ours = `/v1/orgs/${JSON.parse((await alice("POST", "/v1/orgs", { name: "ours" })).body).id}`;
  const self = `${ours}/members/${stack.alice.id}`;
  const { token } = JSON.parse((await alice("POST", `${ours}/invitations`, { role: "editor" })).body);
  const sub = randomUUID();
  await stack.sql("insert into auth.users (id) values ($1)", [sub]);
  const viewer = documentedCaller(jws(legacy, claims({ sub })));
  const toRead = JSON.parse((await alice("POST", `${ours}/invitations`, { role: "viewer" })).body);
  await viewer("POST", "/v1/orgs/join", { token: toRead.token });
  const nonce = "a-nonce-for-two-requests";
  await alice("POST", "/v1/notes", { title: "second" }, { nonce });

  for (const [refusal, ...expected] of [
    [() => nobody("GET", "/health?a/b"), 400, "malformed_request"],
    [() => nobody("GET", "/v1/me"), 401, "token_missing"],
    [() => nobody("GET", "/v1/me", undefined, { token: "header.payload.signature" }), 401, "token_invalid"],
    [() => alice("GET", "/v1/me", undefined, header("X-App-Id", "another-app")), 401, "app_guard_rejected"],
    [() => alice("GET", "/v1/me", undefined, { timestamp: 1 }), 401, "clock_skew"],
    [() => alice("GET", "/v1/me?x=1"), 422, "validation_failed"],
    [() => alice("GET", "/v1/notes?limit=0&q="), 422, "validation_failed"],
    [() => alice("GET", "/v1/notes?cursor=forged"), 422, "validation_failed"],
    [() => alice("GET", "/v1/notes", undefined, header("If-None-Match", "*")), 400, "malformed_request"],
    [() => alice("POST", "/v1/notes", undefined, { body: "{" }), 400, "malformed_json"],
    [() => alice("POST", "/v1/notes", { title: "t" }, header("Idempotency-Key", "a key")), 400, "malformed_request"],
    [
      () => alice("POST", "/v1/notes", { title: "t" }, header("Content-Type", "text/plain")),
      415,
      "unsupported_media_type",
    ],
    [() => alice("POST", "/v1/notes", { title: "t".repeat(256 * 1024) }), 413, "payload_too_large"],
    [() => alice("POST", "/v1/notes", { title: "", user_id: stack.bob.id }), 422, "validation_failed"],
    [() => alice("GET", `/v1/notes/${randomUUID()}`), 404, "not_found"],
    [() => alice("GET", `/v1/notes/${id.toUpperCase()}`), 404, "not_found"],
    [() => bob("GET", path), 404, "not_found"],
    [() => bob("PUT", path, { title: "mine" }), 409, "conflict"],
    [() => alice("PATCH", path, { title: "t" }, header("If-Match", '"2"')), 412, "version_mismatch"],
    [() => alice("PUT", path, { title: "t" }, header("If-None-Match", "*")), 412, "version_mismatch"],
    [() => alice("DELETE", path, undefined, { nonce }), 409, "request_replayed"],
    [() => alice("POST", `${path}/restore`, undefined, header("If-Match", "1")), 400, "malformed_request"],
    [() => alice("POST", `${path}/publish`, undefined, header("If-Match", '"2"')), 412, "version_mismatch"],
    [() => bob("POST", `${path}/publish`), 404, "not_found"],
    [() => alice("GET", `/v1/public/notes/${id}`), 404, "not_found"],
    [() => alice("GET", `/v1/public/notes/${id}`, undefined, { timestamp: 1 }), 401, "clock_skew"],
    [() => alice("PATCH", ours, { name: "new" }, header("If-Match", '"9"')), 412, "version_mismatch"],
    [() => alice("PATCH", self, { role: "owner" }, header("If-Match", '"9"')), 412, "version_mismatch"],
    [() => alice("PATCH", self, { role: "viewer" }), 409, "conflict"],
    [() => alice("DELETE", self), 409, "conflict"],
    [() => alice("PATCH", self, { role: "admin" }), 422, "validation_failed"],
    [() => alice("POST", "/v1/orgs/join", { token }), 409, "conflict"],
    [() => bob("POST", "/v1/orgs/join", { token: token.replaceAll(/[^A]/g, "A") }), 404, "not_found"],
    [() => bob("GET", ours), 404, "not_found"],
    [() => bob("POST", `${ours}/notes`, { title: "t" }), 404, "not_found"],
    [() => bob("POST", `${ours}/invitations`, { role: "owner" }), 404, "not_found"],
    [() => viewer("POST", `${ours}/notes`, { title: "t" }), 403, "forbidden"],
    [() => viewer("GET", `${ours}/invitations`), 403, "forbidden"],
  ] as const) {
    const { status, body } = await refusal();
    assert.deepEqual([status, JSON.parse(body).code], expected);
  }

  const wrongMethod = await caller(stack.url)("PUT", "/v1/notes");
  const { headers, content } = document.components.responses.MethodNotAllowed;
  description.assertValid(content["application/problem+json"].schema, JSON.parse(wrongMethod.body), "405", {
    closed: true,
  });
  description.assertValid(description.resolve(headers.Allow).schema, wrongMethod.headers.get("allow"), "405: Allow");
});

// The Worker accepts exactly the values that the document's schemas accept.

/** The 25 code points of Unicode White_Space. */
const WHITE_SPACE = [
  ..."\t\n\v\f\r \u0085\u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a",
  ..."\u2028\u2029\u202f\u205f\u3000",
];
/** Characters that some languages trim and that are not White_Space. */
const LOOKALIKES = [..."\u001c\u001f\u180e\u200b\u2060\ufeff"];

test("bodies are accepted exactly if their schema allows them", async () => {
  const alice = documentedCaller(stack.alice.token);
  const title = (text: string) => ({ title: text });
  const bodies: unknown[] = [
    ...[...WHITE_SPACE, ...LOOKALIKES].flatMap((c) => [title(c), title(`${c}a`)]),
    ...["", "a", "a\n", "a\0", "\0", "\0a", "\u{1F4DD}".repeat(200), "\u{1F4DD}".repeat(201)].map(title),
    ...["", "\0", "a\n\0", "\u{1F4DD}".repeat(20_000), "a".repeat(20_001)].map((body) => ({ title: "t", body })),
    ...[{}, { body: "b" }, { title: null }, { title: 1 }, { title: "t", body: null }, { title: "t", id: randomUUID() }],
    ...[[], [{ title: "t" }], "t", 1, null, true],
  ];
  const path = `/v1/notes/${randomUUID()}`;
  await alice("PUT", path, { title: "t" });
  for (const body of bodies) {
    const shown = JSON.stringify(body).slice(0, 80);
    const put = await alice("PUT", path, body);
    assert.equal(put.status, allowsBody("put", "/v1/notes/{id}", body) ? 200 : 422, `PUT ${shown}`);
    const patch = await alice("PATCH", path, body);
    assert.equal(patch.status, allowsBody("patch", "/v1/notes/{id}", body) ? 200 : 422, `PATCH ${shown}`);
  }
});

test("bodies of organisations are accepted exactly by their schema", async () => {
  const alice = documentedCaller(stack.alice.token);
  const { id } = JSON.parse((await alice("POST", "/v1/orgs", { name: "ours" })).body);
  const member = `/v1/orgs/${id}/members/${stack.alice.id}`;
  const names = [
    "",
    " ",
    "a",
    "a\n",
    "a\0",
    "\u{1F4DD}".repeat(200),
    "\u{1F4DD}".repeat(201),
    ...WHITE_SPACE,
    ...LOOKALIKES,
    null,
    1,
  ];
  for (const body of [...names.map((name) => ({ name })), {}, { name: "a", id }, [], "a", null]) {
    const { status } = await alice("PATCH", `/v1/orgs/${id}`, body);
    assert.equal(status, allowsBody("patch", "/v1/orgs/{org_id}", body) ? 200 : 422, JSON.stringify(body));
  }
  for (const body of [
    ...["owner", "Owner", "admin", "", null, 1].map((role) => ({ role })),
    {},
    { role: "owner", user_id: id },
    [],
    null,
  ]) {
    const { status } = await alice("PATCH", member, body);
    assert.equal(
      status,
      allowsBody("patch", "/v1/orgs/{org_id}/members/{user_id}", body) ? 200 : 422,
      JSON.stringify(body),
    );
  }
  const token = "A".repeat(42);
  for (const body of [
    ...[`${token}A`, `${token}E`, `${token}B`, `${token}A=`, token, `${token}AA`, "", `${token}+`, 1].map((token) => ({
      token,
    })),
    {},
    null,
  ]) {
    const { status } = await alice("POST", "/v1/orgs/join", body);
    assert.equal(status, allowsBody("post", "/v1/orgs/join", body) ? 404 : 422, JSON.stringify(body));
  }
});

test("parameters are accepted exactly if their schemas say so", async () => {
  const alice = documentedCaller(stack.alice.token);
  for (const id of [
    randomUUID(),
    randomUUID().toUpperCase(),
    "00000000-0000-0000-0000-000000000000",
    "1",
    randomUUID().replaceAll("-", ""),
  ]) {
    const { status } = await alice("PUT", `/v1/notes/${id}`, { title: "t" });
    assert.equal(status, allowsParameter("put", "/v1/notes/{id}", "id", id) ? 201 : 404, id);
  }
  for (const limit of [-1, 0, 1, 1.5, 20, 100, 101, 1000]) {
    const { status } = await alice("GET", `/v1/notes?limit=${limit}`);
    assert.equal(status, allowsParameter("get", "/v1/notes", "limit", limit) ? 200 : 422, `limit=${limit}`);
  }
  for (const state of ["active", "deleted", "published", "Active", "all", ""]) {
    const { status } = await alice("GET", `/v1/notes?state=${state}`);
    assert.equal(status, allowsParameter("get", "/v1/notes", "state", state) ? 200 : 422, `state=${state}`);
  }

  const path = `/v1/notes/${randomUUID()}`;
  await alice("PUT", path, { title: "t" });
  const tags = [
    "*",
    '"1"',
    'W/"1"',
    '"abc"',
    '""',
    '"1", "2"',
    '"1" , W/"2"',
    "1",
    '"1',
    '1"',
    'w/"1"',
    '"a b"',
    '"1" "2"',
    '*, "1"',
    '"1", *',
  ];
  for (const tag of tags) {
    const ifMatch = await alice("PATCH", path, { title: "t" }, header("If-Match", tag));
    assert.equal(
      ifMatch.status !== 400,
      allowsParameter("patch", "/v1/notes/{id}", "If-Match", tag),
      `If-Match: ${tag}`,
    );
    const ifNoneMatch = await alice("GET", path, undefined, header("If-None-Match", tag));
    assert.equal(
      ifNoneMatch.status !== 400,
      allowsParameter("get", "/v1/notes/{id}", "If-None-Match", tag),
      `If-None-Match: ${tag}`,
    );
    const createOnly = await alice("PUT", path, { title: "t" }, header("If-None-Match", tag));
    assert.equal(
      createOnly.status !== 400,
      allowsParameter("put", "/v1/notes/{id}", "If-None-Match", tag),
      `PUT, If-None-Match: ${tag}`,
    );
  }
});
