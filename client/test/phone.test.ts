// Faults of a phone in a call: dead sockets, aborts, wrong clocks, a missing crypto. No server is needed.

import assert from "node:assert/strict";
import { createHmac, randomBytes } from "node:crypto";
import { test } from "node:test";

import { AirlockError, AirlockNetworkError, AirlockProblem, AirlockUpgradeRequired, createId } from "../src/index.ts";
import { airlockWith, expectedSignature, ID, json, NOW, note, problem, SECRET, TOKEN } from "./stub.ts";

const never = () => new Promise<never>(() => {});

async function thrownBy(promise: Promise<unknown>): Promise<any> {
  return promise.then(
    () => assert.fail("nothing was thrown"),
    (error) => error,
  );
}

/** A fetch whose socket is dead. Like React Native's older ones, it does not look at its signal. */
function deadSocket() {
  const signals: AbortSignal[] = [];
  const fetch = (_url: string, { signal }: RequestInit): Promise<Response> => {
    signals.push(signal!);
    return never();
  };
  return { fetch, signals };
}

test("a call on a dead socket ends after timeoutMs with a retryable error", async () => {
  const { fetch, signals } = deadSocket();
  const error = await thrownBy(airlockWith([], { fetch, timeoutMs: 20 }).airlock.notes.get(ID));
  assert.ok(error instanceof AirlockNetworkError && error instanceof AirlockError);
  assert.deepEqual([error.code, error.retryable, error.retryAfter], ["timeout", true, null]);
  assert.equal(error.message, "No answer from Airlock within 20 ms.");
  assert.ok(signals[0]!.aborted, "the socket is given up");
});

test("timeoutMs covers getToken, the body and all repairs", async () => {
  const body = () => new Response(new ReadableStream({ pull: never }), { status: 200 });
  const slow = (answers: Response[], getToken = async () => TOKEN as string) =>
    airlockWith(answers, { timeoutMs: 20, getToken });
  for (const { airlock, sent } of [
    slow([body()]),
    slow([], never),
    slow([problem(401, "clock_skew", { server_time: NOW + 4000 }), body()]),
  ]) {
    assert.ok((await thrownBy(airlock.notes.get(ID))) instanceof AirlockNetworkError);
    assert.ok(sent.length < 3);
  }
});

test("the timeout is 30 seconds unless given", async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  let ended = false;
  const call = airlockWith([], { fetch: never })
    .airlock.me()
    .catch(() => (ended = true));
  t.mock.timers.tick(29_999);
  await new Promise(setImmediate);
  assert.equal(ended, false);
  t.mock.timers.tick(1);
  await call;
  assert.equal(ended, true);
});

test("a timeout that a timer cannot keep is refused", () => {
  for (const timeoutMs of [0, -1, NaN, Infinity, 2 ** 31, "x" as never]) {
    assert.throws(() => airlockWith([], { timeoutMs }), /timeoutMs must be/);
  }
});

test("an abort ends a call at once, also while getToken waits", async () => {
  for (const options of [{ fetch: deadSocket().fetch }, { getToken: never }]) {
    const reason = new Error("the screen was closed");
    const controller = new AbortController();
    const call = thrownBy(airlockWith([], options).airlock.notes.create({ title: "a" }, { signal: controller.signal }));
    setTimeout(() => controller.abort(reason), 5);
    assert.equal(await call, reason);
  }
});

test("an expiring signal ends a call at once, also while getToken waits", async () => {
  for (const options of [{ fetch: deadSocket().fetch }, { getToken: never }]) {
    const error = await thrownBy(airlockWith([], options).airlock.me({ signal: AbortSignal.timeout(5) }));
    assert.equal(error.name, "TimeoutError");
  }
});

test("after an abort nothing more is sent", async () => {
  let give = (_token: string) => {};
  const { airlock, sent } = airlockWith([], { getToken: () => new Promise((resolve) => (give = resolve)) });
  const controller = new AbortController();
  const call = thrownBy(airlock.me({ signal: controller.signal }));
  controller.abort();
  assert.equal((await call).name, "AbortError");
  give(TOKEN);
  await new Promise(setImmediate);
  assert.equal((await thrownBy(airlock.me({ signal: controller.signal }))).name, "AbortError");
  await new Promise(setImmediate);
  assert.equal(sent.length, 0);
});

test("an abort without a reason is an AbortError, as in older React Native", async () => {
  const listeners: (() => void)[] = [];
  const signal = {
    aborted: false,
    addEventListener: (_: string, listener: () => void) => listeners.push(listener),
    removeEventListener() {},
  };
  const call = thrownBy(airlockWith([], { fetch: never }).airlock.me({ signal: signal as unknown as AbortSignal }));
  for (const listener of listeners) listener();
  assert.equal((await call).name, "AbortError");
});

test("a call that is over leaves no listener and no timer", async () => {
  let listeners = 0;
  const signal = {
    aborted: false,
    addEventListener: () => (listeners += 1),
    removeEventListener: () => (listeners -= 1),
  };
  const { airlock } = airlockWith([json(200, note()), problem(404, "not_found")]);
  await airlock.notes.get(ID, { signal: signal as unknown as AbortSignal });
  await thrownBy(airlock.notes.get(ID, { signal: signal as unknown as AbortSignal }));
  await new Promise(setImmediate);
  assert.equal(listeners, 0);
  assert.deepEqual(
    process.getActiveResourcesInfo().filter((name) => name === "Timeout"),
    [],
  );
});

test("clocks before 1970 and beyond the format are corrected", async () => {
  for (const now of [-1, 0, -1e15, 1e16]) {
    const { airlock, sent } = airlockWith([problem(401, "clock_skew", { server_time: NOW }), json(200, note())], {
      now: () => now,
    });
    await airlock.notes.get(ID);
    const [wrong, right] = sent.map(({ headers }) => headers.get("X-App-Timestamp"));
    assert.match(wrong!, /^[1-9][0-9]{0,10}$/);
    assert.equal(right, String(NOW));
  }
});

test("calls that find the token expired at the same time share one refresh", async () => {
  let refreshes = 0;
  const getToken = async ({ refresh }: { refresh: boolean }) => (refresh ? `new.token.${++refreshes}` : "old.token");
  const fetch = async (_url: string, { headers }: RequestInit) =>
    new Headers(headers).get("Authorization") === "Bearer old.token"
      ? problem(401, "token_expired")
      : json(200, note());
  const { airlock } = airlockWith([], { fetch, getToken });
  await Promise.all(Array.from({ length: 20 }, () => airlock.notes.get(ID)));
  assert.equal(refreshes, 1);
});

test("fetch is looked up at each call", async (t) => {
  const { airlock } = airlockWith([], { fetch: undefined });
  for (const version of [1, 2]) {
    t.mock.method(globalThis, "fetch", async () => json(200, note(version)));
    assert.equal((await airlock.notes.get(ID)).version, version);
  }
});

test("random bytes and HMAC can be handed in", async (t) => {
  const crypto = Object.getOwnPropertyDescriptor(globalThis, "crypto")!;
  Object.defineProperty(globalThis, "crypto", { value: undefined, configurable: true });
  t.after(() => Object.defineProperty(globalThis, "crypto", crypto));

  const lengths: number[] = [];
  const random = (bytes: number) => {
    lengths.push(bytes);
    return new Uint8Array(randomBytes(bytes));
  };
  const keys: Uint8Array[] = [];
  const hmac = async (key: Uint8Array, message: Uint8Array) => {
    keys.push(key);
    return new Uint8Array(createHmac("sha256", key).update(message).digest());
  };
  const { airlock, sent } = airlockWith([json(201, note())], { random, hmac });
  await airlock.notes.create({ title: "a" });
  assert.equal(sent[0]!.headers.get("X-App-Signature"), expectedSignature(sent[0]!));
  assert.deepEqual(keys, [new Uint8Array(Buffer.from(SECRET, "base64url"))]);
  assert.deepEqual(lengths, [16, 16]);
  assert.throws(() => createId(), /getRandomBytes/);
});

test("createId makes random lower-case UUIDs of version 4", () => {
  const ids = Array.from({ length: 1000 }, () => createId());
  assert.equal(new Set(ids).size, 1000);
  for (const id of ids) assert.match(id, /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
  assert.equal(
    createId(() => new Uint8Array(16).fill(0xff)),
    "ffffffff-ffff-4fff-bfff-ffffffffffff",
  );
});

test("a retired key has a message that an app can show", async () => {
  const { airlock } = airlockWith([
    problem(426, "upgrade_required", { message: "Version 1 has ended." }),
    problem(426, "upgrade_required"),
  ]);
  const [told, silent] = [await thrownBy(airlock.me()), await thrownBy(airlock.me())];
  for (const error of [told, silent]) {
    assert.ok(error instanceof AirlockUpgradeRequired && error instanceof AirlockProblem);
    assert.deepEqual([error.name, error.code, error.retryable], ["AirlockUpgradeRequired", "upgrade_required", false]);
  }
  assert.equal(told.message, "Version 1 has ended.");
  assert.match(silent.message, /update/);
});

test("a redirect that a browser hides is a network error", async () => {
  const hidden = Object.defineProperty(new Response(null), "status", { value: 0 });
  assert.ok((await thrownBy(airlockWith([hidden]).airlock.me())) instanceof AirlockNetworkError);
});
