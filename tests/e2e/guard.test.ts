// The app signature.

import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { readFile } from "node:fs/promises";
import { after, before, test } from "node:test";

import { canonicalString, createAirlock, createNonce, type SignInput, signRequest } from "../../client/src/index.ts";
import type { Declaration } from "../../client/test/generated.ts";
import {
  answer,
  assertOk,
  assertProblem,
  type HeaderFields,
  headersOf,
  logOf,
  open,
  raw,
  type Sent,
  send,
  withoutId,
} from "./http.ts";
import { functionOf, jws, legacy, ROW, type Stub, startStub } from "./stub.ts";
import { APP, app, appGuard, type LoggedWorker, startWorkerAlone, workerVars } from "./support.ts";

const SECOND_KEY = randomBytes(32).toString("base64url");
const NOTE = `/v1/notes/${ROW.id}`;
const VECTORS = JSON.parse(await readFile(new URL("../vectors/app-guard.json", import.meta.url), "utf8"));

let stub: Stub;
/** Has one app with one key. */
let worker: LoggedWorker;
/** Has apps of every mode, with two keys. */
let modes: LoggedWorker;
let url: string;
let token: string;

before(async () => {
  stub = await startStub();
  token = jws(legacy);
  worker = await startWorkerAlone(workerVars(stub.url));
  url = worker.url;
  const keys = [
    { id: "old", secret: APP.secret },
    { id: "new", secret: SECOND_KEY },
  ];
  const vectors = [{ id: "vectors", secret: VECTORS[0].secret }];
  const live = { id: "new", secret: SECOND_KEY };
  const retired = { id: "old", secret: APP.secret, retired: true };
  const apps = {
    [APP.appId]: { keys },
    retired: { keys: [retired, live] },
    "retired-with-message": { keys: [live, { ...retired, message: "Install version 3." }] },
    "reporting-retired": { mode: "report", keys: [retired] },
    reporting: { mode: "report", keys },
    open: { mode: "off" },
    "rn-ios": { keys: vectors },
  } as const;
  modes = await startWorkerAlone(workerVars(stub.url, { APP_GUARD: appGuard(apps) }));
});
after(async () => {
  await modes?.stop();
  await worker?.stop();
  await stub?.stop();
});

function post(sent: Sent = {}, to = url) {
  return send(to, "POST", "/v1/notes", { token, body: '{"title":"a"}', ...sent });
}

function now(offset = 0): number {
  return Math.floor(Date.now() / 1000) + offset;
}

// Signed parts

for (const vector of VECTORS) {
  test(`vector: ${vector.name}`, async () => {
    const {
      app_id: appId,
      idempotency_key: idempotencyKey,
      if_match: ifMatch,
      if_none_match: ifNoneMatch,
      ...rest
    } = vector;
    const fields = { appId, idempotencyKey, ifMatch, ifNoneMatch, ...rest };
    assert.equal(canonicalString(fields), vector.canonical);
    const signature = signRequest(fields);
    assert.equal(signature["X-App-Signature"], vector.signature);

    // The Worker accepts the signature and refuses the time.
    const headers: HeaderFields = {
      ...signature,
      ...(idempotencyKey && { "Idempotency-Key": idempotencyKey }),
      ...(ifMatch && { "If-Match": ifMatch }),
    };
    const sent = {
      headers,
      signed: null,
      ...(vector.body && { body: vector.body }),
      ...(vector.token && { token: vector.token }),
    };
    const inWindow = vector.token ? "token_invalid" : "token_missing";
    assertProblem(
      await send(modes.url, vector.method, vector.target, sent),
      Math.abs(vector.timestamp - now()) > 300 ? "clock_skew" : inWindow,
    );
    headers["X-App-Signature"] = vector.signature.replace(/.$/, (last: string) => (last === "0" ? "1" : "0"));
    assertProblem(await send(modes.url, vector.method, vector.target, sent), "app_guard_rejected");
  });
}

test("one changed byte of any signed part is refused", async () => {
  const body = '{"title":"b"}';
  const headers = { "If-Match": '"1"', "If-None-Match": '"1"', "Idempotency-Key": "order-0001" };
  const good = { token, body, headers };
  const nonce = createNonce();
  const other: [string, Partial<SignInput>][] = [
    ["method", { method: "PUT" }],
    ["target", { target: NOTE.replace(/.$/, (c) => (c === "0" ? "1" : "0")) }],
    ["query", { target: `${NOTE}?` }],
    ["token", { token: `${token.slice(0, -1)}${token.endsWith("A") ? "B" : "A"}` }],
    ["no token", { token: null }],
    ["body", { body: '{"title":"c"}' }],
    ["no body", { body: null }],
    ["spacing of the body", { body: `${body} ` }],
    ["Idempotency-Key", { idempotencyKey: "order-0002" }],
    ["no Idempotency-Key", { idempotencyKey: null }],
    ["If-Match", { ifMatch: '"2"' }],
    ["no If-Match", { ifMatch: null }],
    ["If-None-Match", { ifNoneMatch: '"2"' }],
    ["If-Match for If-None-Match", { ifMatch: null, ifNoneMatch: '"1"' }],
    ["key", { secret: SECOND_KEY }],
  ];
  for (const [what, signed] of other) {
    assert.deepEqual(
      [what, (await send(url, "PATCH", NOTE, { ...good, signed: { nonce, ...signed } })).status],
      [what, 401],
    );
  }
  const signature = headersOf("PATCH", NOTE, { ...good, signed: { nonce } }) as Record<string, string>;
  const flip = (text: string) => text.slice(0, -1) + (text.endsWith("1") ? "2" : "1");
  for (const name of ["X-App-Id", "X-App-Timestamp", "X-App-Nonce", "X-App-Signature"]) {
    const tampered = { ...good, signed: null, headers: { ...signature, [name]: flip(signature[name]!) } };
    assertProblem(await send(url, "PATCH", NOTE, tampered), "app_guard_rejected");
    const { [name]: _, ...without } = signature;
    assertProblem(await send(url, "PATCH", NOTE, { ...good, signed: null, headers: without }), "app_guard_rejected");
  }
  for (const name of Object.keys(headers)) {
    const { [name]: _, ...stripped } = signature;
    assertProblem(
      await send(url, "PATCH", NOTE, { token, body, signed: null, headers: stripped }),
      "app_guard_rejected",
    );
  }
  // The nonce is still free, and the unchanged request is accepted.
  assert.equal((await send(url, "PATCH", NOTE, { token, body, signed: { nonce } })).status, 200);
});

test("a signed header of another form is refused", async () => {
  const id22 = "A".repeat(22);
  const timestamps = ["-1", "0", `0${now()}`, `+${now()}`, `${now()}.0`, "1e9", "999999999999", "x", "0x60000000"];
  const nonces = ["", "A".repeat(21), "A".repeat(65), ...["=", "+", ".", " A", ",A"].map((end) => id22 + end)];
  const appIds = ["", "a b", "a/b", "a".repeat(65), `${APP.appId},${APP.appId}`];
  const forms: Partial<SignInput>[] = [
    ...timestamps.map((timestamp) => ({ timestamp })),
    ...nonces.map((nonce) => ({ nonce })),
    ...appIds.map((appId) => ({ appId })),
  ];
  for (const signed of forms) {
    const answered = await send(url, "GET", "/v1/me", { token, signed });
    assert.equal(answered.status, 401, JSON.stringify(signed));
    assertProblem(answered, "app_guard_rejected");
  }
});

test("a signature has one spelling; up to four may be sent", async () => {
  const nonce = createNonce();
  const at = now();
  const wrong = `v1=${"0".repeat(64)}`;
  const spelled = (value: string) =>
    send(url, "GET", NOTE, { token, signed: { nonce, timestamp: at }, headers: { "X-App-Signature": value } });
  const good = headersOf("GET", NOTE, { token, signed: { nonce, timestamp: at } })["X-App-Signature"] as string;
  assert.match(good, /^v1=[0-9a-f]{64}$/);
  for (const value of [good, `${wrong} ${good}`, `${good} ${wrong}`, `${wrong} ${wrong} ${wrong} ${good}`])
    assertOk(await spelled(value), 200);
  for (const value of [
    wrong,
    good.slice(3),
    good.toUpperCase(),
    `v1=${good.slice(3).toUpperCase()}`,
    good.replace("v1", "v2"),
    good.slice(0, -2),
    `${good}00`,
    `${wrong}  ${good}`,
    `${wrong},${good}`,
    `${wrong}, ${good}`,
    `${wrong} ${wrong} ${wrong} ${wrong} ${good}`,
    `${good} v2=${good.slice(3)}`,
    Buffer.from(good.slice(3), "hex").toString("base64url"),
  ]) {
    assertProblem(await spelled(value), "app_guard_rejected");
  }
});

test("a repeated header is refused", async () => {
  const nonce = createNonce();
  const headers = headersOf("GET", NOTE, { token, signed: { nonce } }) as Record<string, string>;
  for (const name of ["X-App-Id", "X-App-Timestamp", "X-App-Nonce", "X-App-Signature", "Authorization"]) {
    const answered = await send(url, "GET", NOTE, {
      signed: null,
      headers: { ...headers, [name]: [headers[name]!, headers[name]!] },
    });
    assert.deepEqual(
      [name, answered.status, /Guard/.test(answered.headers.get("www-authenticate") ?? "")],
      [name, 401, true],
    );
  }
  const double = { token, headers: { "If-Match": ['"1"', '"2"'] }, body: '{"title":"c"}' };
  assertProblem(await send(url, "PATCH", NOTE, double), "malformed_request");
});

test("the token's scheme is Bearer in any case", async () => {
  for (const scheme of ["Bearer", "bearer", "BEARER"]) {
    assertOk(
      await send(url, "GET", "/v1/me", { headers: { Authorization: `${scheme} ${token}` }, signed: { token } }),
      200,
    );
  }
  for (const value of [`Basic ${token}`, token, `Bearer${token}`, "Bearer", `Token ${token}`]) {
    assertProblem(await send(url, "GET", "/v1/me", { headers: { Authorization: value } }), "token_invalid");
    assertProblem(
      await send(url, "GET", "/v1/me", { headers: { Authorization: value }, signed: { token } }),
      "app_guard_rejected",
    );
  }
  assertProblem(
    await send(url, "GET", "/v1/me", {
      headers: { Authorization: `Bearer  ${token}` },
      signed: { token: ` ${token}` },
    }),
    "token_invalid",
  );
});

// Paths

test("a path in another spelling is 404 before any check", async () => {
  const id = NOTE.slice("/v1/notes/".length);
  for (const path of [
    "//v1/notes",
    "/v1//notes",
    "/v1/notes/",
    "/v1/./notes",
    "/v1/x/../notes",
    "/v1/notes/.",
    "/v1/notes/..",
    "/%761/notes",
    "/v1/%6eotes",
    "/v1/%2e/notes",
    "/v1/x/%2e%2e/notes",
    "/v1%2Fnotes",
    "/v1%2fnotes",
    "/v1/notes;x=1",
    "/v1/notes%3Flimit=1",
    "/V1/notes",
    "/v1/notes\\",
    "/v1\\notes",
    "/v1/notes%00",
    `/v1/notes/${id.toUpperCase()}`,
    `/v1/notes/${id}/`,
    `/v1/notes//${id}`,
    `/v1/notes/${id}%20`,
    `/v1/notes/{${id}}`,
    `/v1/notes/${id.replaceAll("-", "")}`,
    `/v1/notes/${id}/restore/`,
    `/v1/notes/${id}/Restore`,
    "/v1/notes/x",
    "/v1/caf\u00c3\u00a9",
    "/",
    "/health/",
    "/v1/notes,",
    "*",
  ]) {
    const answered = await send(url, "GET", path, { signed: null });
    assert.deepEqual([path, answered.status], [path, 404]);
    assertProblem(answered, "not_found");
  }
});

test("the target is signed as it was received", async () => {
  const [bare, empty, query] = ["/v1/notes", "/v1/notes?", "/v1/notes?limit=5&state=active"];
  for (const target of [bare, empty, query, "/v1/notes?limit=%35", "/v1/notes?&limit=5&&"]) {
    assertOk(await send(url, "GET", target, { token }), 200);
  }
  for (const [sent, signed] of [
    [empty, bare],
    [bare, empty],
    [query, "/v1/notes?state=active&limit=5"],
    ["/v1/notes?limit=%35", "/v1/notes?limit=5"],
    ["/v1/notes?cursor=%2d", "/v1/notes?cursor=%2D"],
    ["/v1/notes?limit=5", "/v1/notes?limit=5&limit=5"],
  ] as const) {
    assertProblem(await send(url, "GET", sent, { token, signed: { target: signed } }), "app_guard_rejected");
  }
});

const UNENCODED = ["a'b", "a/b", "a?b", "a:b", "a;b", "a,b", "a[]=1", "a|b", "a*b", "a@b", "a!b", "caf\u00c3\u00a9"];

test("query bytes that need percent-encoding are malformed_request", async () => {
  for (const query of UNENCODED) {
    assertProblem(await send(url, "GET", `/v1/notes?${query}`, { signed: null }), "malformed_request");
  }
});

test("a target in absolute form or with a fragment is refused", async () => {
  const host = new URL(url).host;
  // The last one is not UTF-8: workerd itself refuses it.
  for (const target of [
    `http://${host}/v1/notes`,
    "http://evil.example/v1/notes",
    "/v1/notes#x",
    "/v1/notes?#x",
    "v1/notes",
    "*",
    "/v1/caf\u00e9",
  ]) {
    const status = /^HTTP\/1\.1 (\d+)/.exec(await raw(url, `GET ${target} HTTP/1.1`, `Host: ${host}`))?.[1];
    assert.ok(["400", "401", "404"].includes(status ?? ""), `${target}: ${status}`);
  }
});

test("a Host header does not change the path", async () => {
  const { port } = new URL(url);
  for (const host of [`127.0.0.1:${port}/health?`, "x/health#", "evil.example", "x@y", ""]) {
    const received = await raw(url, "GET /v1/me HTTP/1.1", `Host: ${host}`);
    assert.doesNotMatch(received, /^HTTP\/1\.1 2/, host);
  }
});

// The clock

test("only a good signature outside 300 seconds gets the server time", async () => {
  for (const offset of [-3600, -303, -301, 303, 3600, -1e9]) {
    const answered = await send(url, "GET", NOTE, { token, signed: { timestamp: now(offset) } });
    const { server_time: time } = assertProblem(answered, "clock_skew") as { server_time: number };
    assert.ok(Number.isInteger(time) && Math.abs(time - now()) <= 2, String(time));
    const bad = { token, signed: { timestamp: now(offset), secret: SECOND_KEY } };
    assertProblem(await send(url, "GET", NOTE, bad), "app_guard_rejected");
  }
  for (const offset of [-297, 297, 300])
    assertOk(await send(url, "GET", NOTE, { token, signed: { timestamp: now(offset) } }), 200);
});

test("a client whose clock is an hour off corrects itself once", async () => {
  for (const offset of [-3_600_000, 3_600_000]) {
    const statuses: number[] = [];
    const fetch = async (to: string, init: RequestInit) => {
      const response = await globalThis.fetch(to, init);
      statuses.push(response.status);
      return response;
    };
    const client = createAirlock<Declaration>({
      url,
      ...APP,
      fetch,
      getToken: async () => token,
      now: () => Date.now() + offset,
    });
    await client.me();
    await client.notes.create({ title: "off" });
    assert.deepEqual(statuses, [401, 200, 201]);
  }
});

// Keys and modes

test("both keys of a rotation are good, and the log names the key", async () => {
  for (const [secret, id] of [
    [APP.secret, "old"],
    [SECOND_KEY, "new"],
  ] as const) {
    const answered = await send(modes.url, "GET", "/v1/me", { token, signed: { secret } });
    assertOk(answered, 200);
    assert.equal((await logOf(modes, answered)).guard_key, id);
  }
  const third = randomBytes(32).toString("base64url");
  assertProblem(await send(modes.url, "GET", "/v1/me", { token, signed: { secret: third } }), "app_guard_rejected");
});

test("a retired key gets upgrade_required if signature and clock are good", async () => {
  const { url } = modes;
  for (const [keyed, message] of [
    ["retired", undefined],
    ["retired-with-message", "Install version 3."],
  ] as const) {
    const signed = { appId: keyed };
    for (const [method, target] of [
      ["GET", "/v1/me"],
      ["POST", "/v1/notes"],
    ] as const) {
      const body = method === "POST" ? '{"title":"a"}' : undefined;
      const problem = assertProblem(
        await send(url, method, target, { token, signed, ...(body && { body }) }),
        "upgrade_required",
      );
      assert.equal(problem.message, message);
    }
    assertProblem(
      await send(url, "GET", "/v1/me", { token, signed: { ...signed, timestamp: now(-9999) } }),
      "clock_skew",
    );
    assertProblem(
      await send(url, "GET", "/v1/me", { token, signed: { ...signed, target: "/v1/you" } }),
      "app_guard_rejected",
    );
    assertOk(await send(url, "GET", "/v1/me", { token, signed: { ...signed, secret: SECOND_KEY } }), 200);
  }
  assertOk(await send(url, "GET", "/v1/me", { token, signed: { appId: "reporting-retired" } }), 200);
});

test("an unknown app is answered like a bad signature", async () => {
  const bad = await send(url, "GET", NOTE, { token, signed: { secret: SECOND_KEY } });
  for (const appId of ["rn-tesT", "rn-unknown", "constructor", "__proto__", ".."]) {
    const unknown = await send(url, "GET", NOTE, { token, signed: { appId } });
    assertProblem(unknown, "app_guard_rejected");
    assert.equal(withoutId(unknown), withoutId(bad), appId);
    const names = (a: typeof bad) => [...a.headers].filter(([name]) => name !== "x-request-id");
    assert.deepEqual(names(unknown), names(bad));
  }
  assert.equal(withoutId(await send(url, "GET", NOTE, { token, signed: null })), withoutId(bad), "no signature");
});

test("report admits every request and logs the verdict", async () => {
  const nonce = createNonce();
  for (const [signed, guard, appId] of [
    [{ appId: "reporting" }, "verified", "reporting"],
    [{ appId: "reporting", target: "/v1/you" }, "bad_signature", null],
    [{ appId: "reporting", timestamp: now(-9999) }, "skewed", null],
    [{ appId: "reporting", nonce: "short" }, "incomplete", null],
  ] as const) {
    const answered = await send(modes.url, "GET", "/v1/me", { token, signed });
    assert.equal(assertOk(answered, 200).app_id, appId);
    assert.equal((await logOf(modes, answered)).guard, guard);
  }
  for (const _ of ["first", "again"]) assertOk(await post({ signed: { appId: "reporting", nonce } }, modes.url), 201);
  assertProblem(await send(modes.url, "GET", "/v1/me", { signed: { appId: "reporting" } }), "token_missing");
});

test("off checks nothing, and other apps stay closed", async () => {
  for (const signed of [{ appId: "open" }, { appId: "open", nonce: "short" }]) {
    const answered = await send(modes.url, "GET", "/v1/me", { token, signed });
    assert.equal(assertOk(answered, 200).app_id, null);
    assert.equal((await logOf(modes, answered)).guard, "off");
  }
  for (const headers of [
    {},
    { "X-App-Id": "open2" },
    { "X-App-Id": ["open", "open"] },
    { "X-App-Id": APP.appId },
  ] as HeaderFields[]) {
    assertProblem(await send(modes.url, "GET", "/v1/me", { token, signed: null, headers }), "app_guard_rejected");
  }
  assert.match(modes.logs.find((line) => line.includes('"warning"') && line.includes("APP_GUARD")) ?? "", /open/);
});

// Headers that were added

test("only an If-None-Match of GET and HEAD may be added after signing", async () => {
  const added = (method: string, target: string, name: string, value: string, body?: string) =>
    send(url, method, target, {
      token,
      headers: { [name]: value },
      signed: { ifNoneMatch: null, ifMatch: null, idempotencyKey: null },
      ...(body && { body }),
    });
  for (const method of ["GET", "HEAD"]) {
    for (const [value, status] of [
      [`"${ROW.version}"`, 304],
      ["*", 304],
      ['"1"', 200],
      ["-", 200],
      ["no tag", 200],
    ] as const)
      assert.equal((await added(method, NOTE, "If-None-Match", value)).status, status, `${method} ${value}`);
    // A list has no tag.
    assert.equal((await added(method, "/v1/notes", "If-None-Match", "*")).status, 200);
    // A tag that was signed is not to be changed or removed.
    for (const headers of [{}, { "If-None-Match": '"1"' }] as HeaderFields[])
      assert.equal((await send(url, method, NOTE, { token, headers, signed: { ifNoneMatch: '"2"' } })).status, 401);
  }
  stub.received.length = 0;
  for (const [method, target, name, value, body] of [
    ["GET", NOTE, "If-Match", '"1"'],
    ["POST", "/v1/notes", "Idempotency-Key", "order-0001", '{"title":"a"}'],
    ["PUT", NOTE, "If-None-Match", "*", '{"title":"a"}'],
    ["PATCH", NOTE, "If-None-Match", "*", '{"title":"a"}'],
    ["PATCH", NOTE, "If-Match", "*", '{"title":"a"}'],
    ["DELETE", NOTE, "If-None-Match", "*"],
  ] as const)
    assertProblem(await added(method, target, name, value, body), "app_guard_rejected");
  assert.deepEqual(stub.received, []);
});

// Methods and bodies

test("HEAD is signed as HEAD", async () => {
  assert.equal((await send(url, "HEAD", NOTE, { token })).status, 200);
  assert.equal((await send(url, "HEAD", NOTE, { token, signed: { method: "GET" } })).status, 401);
  assertProblem(await send(url, "GET", NOTE, { token, signed: { method: "HEAD" } }), "app_guard_rejected");
});

test("a header that names another method is ignored", async () => {
  const override = { "X-HTTP-Method-Override": "DELETE", "X-HTTP-Method": "DELETE", "X-Method-Override": "DELETE" };
  assertOk(await send(url, "GET", NOTE, { token, headers: override }), 200);
  assert.equal(functionOf(stub.received.at(-1)!), "airlock_read");
  assertOk(await post({ headers: override }), 201);
  assert.equal(functionOf(stub.received.at(-1)!), "airlock_create");
});

test("an empty body is signed like no body", async () => {
  for (const headers of [{}, { "Content-Length": "0" }, { "Transfer-Encoding": "chunked" }] as HeaderFields[]) {
    assertOk(await send(url, "POST", `${NOTE}/restore`, { token, headers }), 200);
    assertOk(await send(url, "POST", `${NOTE}/restore`, { token, headers, signed: { body: "" } }), 200);
  }
});

test("a chunked body is signed as its bytes", async () => {
  const body = JSON.stringify({ title: "chunked", body: "é".repeat(3000) });
  const { "Content-Length": _, ...headers } = headersOf("POST", "/v1/notes", { token, body });
  const request = open(url, "POST", "/v1/notes", { ...headers, "Transfer-Encoding": "chunked" });
  const bytes = Buffer.from(body);
  for (let at = 0; at < bytes.length; at += 1001) request.write(bytes.subarray(at, at + 1001));
  request.end();
  assertOk(await answer(request), 201);
  assert.deepEqual(JSON.parse(stub.received.at(-1)!.body).draft, JSON.parse(body));
});

test("a byte order mark is part of the signed body and not JSON", async () => {
  assertProblem(await post({ body: '\ufeff{"title":"a"}' }), "malformed_json");
  assertProblem(await post({ body: '\ufeff{"title":"a"}', signed: { body: '{"title":"a"}' } }), "app_guard_rejected");
});

test("the client signs as the Worker expects", async () => {
  await assert.rejects(createAirlock({ url, appId: APP.appId, secret: SECOND_KEY, getToken: async () => token }).me(), {
    code: "app_guard_rejected",
  });
  assert.equal((await app(url, token).me()).app_id, APP.appId);
});
