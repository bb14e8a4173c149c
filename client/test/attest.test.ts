// Attestation: the times at which the client asks for a token, and the headers that it sends.

import assert from "node:assert/strict";
import { mock, test } from "node:test";

import { firebaseAttest } from "../src/index.ts";
import { airlockWith, ID, json, NOW, note, problem, signedFetchWith } from "./stub.ts";

const HEADER = "X-Firebase-AppCheck";
const part = (json: unknown) => Buffer.from(JSON.stringify(json)).toString("base64url");
/** A token that ends this many seconds after NOW. */
const token = (seconds: number, name = "a") =>
  `${part({ alg: "RS256" })}.${part({ sub: name, exp: NOW + seconds })}.c2ln`;
const ok = () => json(200, note());

test("every call has a token, which is renewed a minute before its end", async () => {
  let now = NOW;
  const asked: boolean[] = [];
  const attest = async ({ refresh }: { refresh: boolean }) => {
    asked.push(refresh);
    return token(now - NOW + 3600, String(asked.length));
  };
  const { airlock, sent } = airlockWith([ok(), ok(), ok()], { attest, now: () => now * 1000 });
  await airlock.notes.get(ID);
  now += 3539;
  await airlock.notes.get(ID);
  assert.deepEqual(asked, [false]);
  now += 1;
  await airlock.notes.get(ID);
  assert.deepEqual(asked, [false, false]);
  assert.deepEqual(
    sent.map(({ headers }) => headers.get(HEADER)),
    [token(3600, "1"), token(3600, "1"), token(7140, "2")],
  );
});

test("the end is one of the corrected clock", async () => {
  let asked = 0;
  // A day slow: the token is over by the server's time.
  const attest = async () => token(86_400 + 3600, String(++asked));
  const { airlock } = airlockWith([problem(401, "clock_skew", { server_time: NOW + 86_400 }), ok(), ok()], { attest });
  await airlock.notes.get(ID);
  await airlock.notes.get(ID);
  assert.equal(asked, 1);
  const slow = airlockWith([problem(401, "clock_skew", { server_time: NOW + 86_400 + 3540 }), ok(), ok()], { attest });
  await slow.airlock.notes.get(ID);
  await slow.airlock.notes.get(ID);
  assert.equal(asked, 3);
});

test("concurrent calls share one attest call, which runs during getToken", async () => {
  let asked = 0;
  let answer = (_: string) => {};
  const attest = () => (asked++, new Promise<string>((resolve) => (answer = resolve)));
  const getToken = async () => {
    assert.equal(asked, 1, "attest waited for getToken");
    answer(token(3600));
    return null;
  };
  const slow = async () => (await new Promise((resolve) => setImmediate(resolve)), getToken());
  const { airlock, sent } = airlockWith([ok(), ok(), ok()], { attest, getToken: slow });
  await Promise.all([airlock.notes.get(ID), airlock.notes.get(ID), airlock.notes.get(ID)]);
  assert.equal(asked, 1);
  assert.deepEqual(
    sent.map(({ headers }) => headers.get(HEADER)),
    Array(3).fill(token(3600)),
  );
});

test("a call is sent without an invalid token; failures last a minute", async () => {
  const failures: (() => unknown)[] = [
    () => null,
    () => undefined,
    () => "",
    () => "eyJlcnJvciI6IlVOS05PV05fRVJST1IifQ==",
    () => "a.b",
    () => "a.b.c.d",
    () => "a.b.\u00e9",
    () => "a.b.c\n",
    () => Promise.reject(new Error("no network")),
    () => {
      throw new Error("no module");
    },
  ];
  for (const failure of failures) {
    let now = NOW;
    let asked = 0;
    const attest = (() => (asked++, failure())) as () => Promise<string | null>;
    const { airlock, sent } = airlockWith([ok(), ok(), ok()], { attest, now: () => now * 1000 });
    await airlock.notes.get(ID);
    now += 59;
    await airlock.notes.get(ID);
    assert.equal(asked, 1, String(failure));
    now += 1;
    await airlock.notes.get(ID);
    assert.equal(asked, 2, String(failure));
    assert.ok(
      sent.every(({ headers }) => !headers.has(HEADER)),
      String(failure),
    );
  }
});

test("an attest that hangs holds a call up for 5 seconds", async () => {
  mock.timers.enable({ apis: ["setTimeout"] });
  try {
    const { airlock, sent } = airlockWith([ok(), ok()], { attest: () => new Promise(() => {}) });
    const call = airlock.notes.get(ID);
    mock.timers.tick(4999);
    await new Promise((resolve) => setImmediate(resolve));
    assert.equal(sent.length, 0);
    mock.timers.tick(1);
    await call;
    await airlock.notes.get(ID);
    assert.deepEqual(
      sent.map(({ headers }) => headers.get(HEADER)),
      [null, null],
    );
  } finally {
    mock.timers.reset();
  }
});

test("a missing token is renewed once, at most every 5 minutes", async () => {
  for (const code of ["attestation_missing", "attestation_expired"]) {
    let now = NOW;
    const asked: boolean[] = [];
    const attest = async ({ refresh }: { refresh: boolean }) => {
      asked.push(refresh);
      return refresh ? token(86_400, String(asked.length)) : token(86_400, "old");
    };
    const refuse = () => problem(401, code, { retryable: true });
    const answers = [refuse(), ok(), refuse(), refuse(), ok(), refuse(), refuse()];
    const { airlock, sent } = airlockWith(answers, { attest, now: () => now * 1000 });
    await airlock.notes.get(ID);
    assert.deepEqual(asked, [false, true]);
    assert.deepEqual(
      sent.map(({ headers }) => headers.get(HEADER)),
      [token(86_400, "old"), token(86_400, "2")],
    );
    assert.notEqual(sent[0]?.headers.get("X-App-Nonce"), sent[1]?.headers.get("X-App-Nonce"));

    now += 299;
    await assert.rejects(airlock.notes.get(ID), { code, retryable: true });
    assert.equal(asked.length, 2);
    now += 1;
    await airlock.notes.get(ID);
    assert.deepEqual(asked, [false, true, true]);
    now += 300;
    await assert.rejects(airlock.notes.get(ID), { code }, "once a call");
    assert.equal(answers.length, 0);
  }
});

test("an invalid attestation is not repaired", async () => {
  const { airlock, sent } = airlockWith([problem(401, "attestation_invalid")], { attest: async () => token(3600) });
  await assert.rejects(airlock.notes.get(ID), { code: "attestation_invalid", retryable: false });
  assert.equal(sent.length, 1);
});

test("without attest no token is sent and no call repeated", async () => {
  const { airlock, sent } = airlockWith([problem(401, "attestation_missing", { retryable: true })]);
  await assert.rejects(airlock.notes.get(ID), { code: "attestation_missing" });
  assert.equal(sent.length, 1);
  assert.ok(!sent[0]?.headers.has(HEADER));
});

test("attestHeader names another header, and createSignedFetch sends it too", async () => {
  const { airlock, sent } = airlockWith([ok()], { attest: async () => token(3600), attestHeader: "Approov-Token" });
  await airlock.notes.get(ID);
  assert.deepEqual([sent[0]?.headers.get("Approov-Token"), sent[0]?.headers.has(HEADER)], [token(3600), false]);

  const { signedFetch, sent: signed } = signedFetchWith([ok()], { attest: async () => token(3600) });
  await signedFetch("/v1/notes");
  assert.equal(signed[0]?.headers.get(HEADER), token(3600));
});

test("firebaseAttest asks App Check, and refreshes only with `refresh`", async () => {
  const asked: unknown[] = [];
  const instance = { app: {} };
  const getToken = async (...given: unknown[]) => (asked.push(given), { token: token(3600) });
  const attest = firebaseAttest(instance, getToken);
  assert.equal(await attest({ refresh: false }), token(3600));
  assert.equal(await attest({ refresh: true }), token(3600));
  assert.deepEqual(asked.splice(0), [
    [instance, false],
    [instance, true],
  ]);

  assert.equal(await firebaseAttest({ getToken })({ refresh: true }), token(3600));
  assert.deepEqual(asked, [[true]], "an instance of before version 26 has getToken itself");
});
