// The requests of a signed fetch, and the arguments that it refuses.

import assert from "node:assert/strict";
import { test } from "node:test";

import { AirlockNetworkError } from "../src/index.ts";
import { expectedSignature, json, NOW, problem, signedFetchWith, tokenOf } from "./stub.ts";

test("another origin, a path with dots and an impossible body are TypeErrors", async () => {
  const { signedFetch, sent } = signedFetchWith([]);
  for (const url of [
    "https://evil.example/v1/notes",
    "https://api.example.com.evil.example/",
    "https://api.example.com@evil.example/",
    "https://api.example.com:8443/",
    "http://api.example.com/v1/notes",
    "//evil.example/v1/notes",
    "v1/notes",
    "",
    "https://api.example.com/v1/../openapi.json",
    "/v1/./notes",
  ]) {
    await assert.rejects(signedFetch(url), TypeError, url);
  }
  await assert.rejects(signedFetch(new Request("https://evil.example/v1/notes")), TypeError);
  await assert.rejects(signedFetch("/v1/notes", { method: "POST", body: new FormData() }), TypeError);
  await assert.rejects(signedFetch("/v1/notes", { body: "{}" }), TypeError);
  await assert.rejects(signedFetch("/v1/notes", { method: "NO WAY" }), TypeError);
  assert.equal(sent.length, 0);
});

test("the target that is signed is the one that is sent, in the server's characters", async () => {
  const targets: [string, string][] = [
    ["https://api.example.com", "/"],
    ["https://API.example.com:443/v1/me", "/v1/me"],
    ["https://api.example.com?a=b", "/?a=b"],
    ["/v1/notes?q=it's (é)!*#part", "/v1/notes?q=it%27s%20%28%C3%A9%29%21%2A"],
    ["/v1/notes?q=a%20b&x=?\ud83d", "/v1/notes?q=a%20b&x=%3F%EF%BF%BD"],
  ];
  const { signedFetch, sent } = signedFetchWith(targets.map(() => json(200, {})));
  for (const [url] of targets) await signedFetch(url);
  assert.deepEqual(
    sent.map(({ target }) => target),
    targets.map(([, target]) => target),
  );
  for (const request of sent) assert.equal(request.headers.get("X-App-Signature"), expectedSignature(request));
});

test("a request's method, headers and body are sent, and init wins", async () => {
  const { signedFetch, sent } = signedFetchWith([json(200, {}), json(200, {}), json(200, {}), json(200, {})]);
  const request = () =>
    new Request("https://api.example.com/v1/x", {
      method: "POST",
      body: "é",
      headers: { "Content-Type": "text/plain" },
    });
  await signedFetch(request());
  // As with fetch, null is no other body.
  await signedFetch(request(), { body: null });
  await signedFetch(request(), { method: "patch", body: new Uint8Array([1, 2]).buffer, headers: {} });
  await signedFetch("/v1/x", { method: "put", body: new Uint8Array([3]) });
  assert.deepEqual(
    sent.map(({ method, body, headers }) => [
      method,
      Buffer.from(body).toString("latin1"),
      headers.get("Content-Type"),
    ]),
    [
      ["POST", "\u00c3\u00a9", "text/plain"],
      ["POST", "\u00c3\u00a9", "text/plain"],
      ["PATCH", "\u0001\u0002", "application/json"],
      ["PUT", "\u0003", "application/json"],
    ],
  );
});

test("clock and token are mended, and a POST with a key is repeated", async () => {
  const { signedFetch, sent } = signedFetchWith(
    [
      problem(401, "clock_skew", { server_time: NOW + 4000 }),
      problem(401, "token_expired"),
      problem(409, "request_replayed"),
      json(201, {}),
    ],
    { getToken: async ({ refresh }) => (refresh ? "new.token" : "old.token") },
  );
  const init = { method: "POST", body: "{}", headers: { "Idempotency-Key": "order-0001" } };
  assert.equal((await signedFetch("/v1/notes", init)).status, 201);
  assert.equal(sent.at(-1)!.headers.get("Authorization"), "Bearer new.token");
  assert.equal(sent.at(-1)!.headers.get("X-App-Timestamp"), String(NOW + 4000));
  assert.equal(new Set(sent.map(({ headers }) => headers.get("X-App-Nonce"))).size, 4);
});

test("a problem is a response, with its body", async () => {
  const { signedFetch, sent } = signedFetchWith([
    problem(409, "request_replayed"),
    problem(401, "token_missing", {}, { "WWW-Authenticate": "Bearer" }),
  ]);
  const replayed = await signedFetch("/v1/notes", { method: "POST", body: "{}" });
  assert.deepEqual([replayed.status, ((await replayed.json()) as { code: string }).code], [409, "request_replayed"]);
  const missing = await signedFetch("/v1/me");
  assert.deepEqual([missing.status, missing.ok, missing.headers.get("WWW-Authenticate")], [401, false, "Bearer"]);
  assert.equal(sent.length, 2);
});

test("no answer is an AirlockNetworkError; an abort is its reason", async () => {
  const { signedFetch } = signedFetchWith([new TypeError("Network request failed")]);
  await assert.rejects(signedFetch("/v1/me"), AirlockNetworkError);
  const slow = signedFetchWith([], { timeoutMs: 10, fetch: () => new Promise(() => {}) }).signedFetch;
  await assert.rejects(slow("/v1/me"), AirlockNetworkError);
  const reason = new Error("closed");
  await assert.rejects(slow("/v1/me", { signal: AbortSignal.abort(reason) }), reason);
  await assert.rejects(
    slow(new Request("https://api.example.com/v1/me", { signal: AbortSignal.abort(reason) })),
    /closed/,
  );
});

test("a request is not repeated with the token of another user", async () => {
  const { signedFetch, sent } = signedFetchWith([problem(401, "token_expired")], {
    getToken: async ({ refresh }) => tokenOf(refresh ? "bob" : "alice"),
  });
  await assert.rejects(signedFetch("/v1/notes", { method: "POST", body: "{}" }), { code: "user_changed" });
  assert.equal(sent.length, 1);
});
