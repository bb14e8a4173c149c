// Attestation on the built Worker. The stand-in for Supabase serves App Check's key set as well, below a loopback URL.
// tests/attestation.rs has the claims one by one, and the hours.

import assert from "node:assert/strict";
import { createHash, createHmac, createPrivateKey } from "node:crypto";
import { readFileSync } from "node:fs";
import { after, before, beforeEach, test } from "node:test";

import type { Answer } from "../../client/src/index.ts";
import { SLACK, until } from "../support/patience.ts";
import { assertOk, assertProblem, type Sent, send } from "./http.ts";
import { claims, type Handler, json, jws, legacy, newKey, type Signer, type Stub, SUB, withStub } from "./stub.ts";
import { APP, appGuard, type LoggedWorker, withWorker, workerVars } from "./support.ts";

const PROJECT = "123456789012";
const IOS = `1:${PROJECT}:ios:0a1b2c3d`;
const KEY_SET = "/app-check/v1/jwks";
const PLACEHOLDER = "eyJlcnJvciI6IlVOS05PV05fRVJST1IifQ==";
const APPROOV = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8";
const PUBLIC = "/v1/public/notes/7efe3d84-2d6a-4174-899e-8ffddea7a39a";

/** The key of RFC 7515 A.2. */
const google: Signer = (() => {
  const { private: der, jwk } = JSON.parse(readFileSync("tests/vectors/keys.json", "utf8")).rfc7515_a2;
  const key = createPrivateKey({ key: Buffer.from(der, "base64"), format: "der", type: "pkcs1" });
  return { alg: "RS256", kid: "g1", key, jwk: { ...jwk, kid: "g1", alg: "RS256", use: "sig" } };
})();
const user = newKey("user");

const now = () => Math.floor(Date.now() / 1000);
const keySet = (...keys: Signer[]): Handler => json(200, { keys: keys.map(({ jwk }) => jwk) });

/** The claims of an installation of the app. */
function install(changes: Record<string, unknown> = {}): Record<string, unknown> {
  const iss = `https://firebaseappcheck.googleapis.com/${PROJECT}`;
  return {
    iss,
    aud: [`projects/${PROJECT}`, "projects/my-project"],
    sub: IOS,
    iat: now() - 5,
    exp: now() + 3600,
    ...changes,
  };
}

const token = (changes: Record<string, unknown> = {}, header: Record<string, unknown> = {}, signer = google) =>
  jws(signer, install(changes), header);
const firebase = (mode: string) => ({ mode, firebase: { project: PROJECT, app_ids: [IOS] } });
const guarded = (attest: unknown) => appGuard({ [APP.appId]: { attest, keys: [{ id: "test", secret: APP.secret }] } });

interface Scene {
  stub: Stub;
  worker: LoggedWorker;
  /** How often App Check's key set was fetched. */
  fetches(): number;
  /** A read as a user, with this attestation. */
  ask(attest: string | null, sent?: Sent): Promise<Answer>;
  /** The log line of the latest request. */
  logged(): Promise<Record<string, unknown>>;
}

/** A cold Worker whose app has this `attest`, and whose key sets have the keys of the tests. */
async function scene(
  attest: unknown,
  work: (scene: Scene) => Promise<void>,
  options: Parameters<typeof withWorker>[1] = {},
  vars = {},
): Promise<void> {
  await withStub(async (stub) => {
    stub.keys = keySet(user);
    stub.others = { [KEY_SET]: keySet(google) };
    const guard = { APP_GUARD: guarded(attest), APP_CHECK_JWKS_URL: `${stub.url}${KEY_SET}`, ...vars };
    await withWorker(workerVars(stub.url, guard), options, async (worker) => {
      let last: string | null = null;
      await work({
        stub,
        worker,
        fetches: () => stub.received.filter(({ target }) => target === KEY_SET).length,
        async ask(attest, sent = {}) {
          const headers = { ...(attest !== null && { "X-Firebase-AppCheck": attest }), ...sent.headers };
          const answer = await send(worker.url, "GET", "/v1/me", { token: jws(legacy), ...sent, headers });
          last = answer.headers.get("x-request-id");
          return answer;
        },
        async logged() {
          const find = () => worker.logs.find((line) => last !== null && line.includes(last));
          await until("the request is logged", () => find() !== undefined);
          return JSON.parse(find() ?? "");
        },
      });
    });
  });
}

let enforced: Scene;
let end: () => void;
let ended: Promise<void>;
before(async () => {
  await new Promise<void>((ready, failed) => {
    ended = scene(firebase("enforce"), (one) => {
      enforced = one;
      ready();
      return new Promise((resolve) => (end = resolve));
    });
    ended.catch(failed);
  });
});
after(async () => {
  end?.();
  await ended;
});
beforeEach(() => {
  enforced.stub.others[KEY_SET] = keySet(google);
});

async function verdict(attest: string | null, sent: Sent = {}): Promise<string> {
  const answer = await enforced.ask(attest, sent);
  const { attest: found } = await enforced.logged();
  return `${answer.status === 200 ? 200 : JSON.parse(answer.body).code} ${found}`;
}

// Firebase App Check

test("a token of a listed app passes, and the log names the app", async () => {
  assertOk(await enforced.ask(token()), 200);
  const { attest, attest_by, attest_app } = await enforced.logged();
  assert.deepEqual({ attest, attest_by, attest_app }, { attest: "verified", attest_by: "firebase", attest_app: IOS });
  assert.ok(
    enforced.worker.logs.every((line) => !line.includes("eyJ")),
    "a token is in the log",
  );
});

test("App Check tokens are judged exactly", async () => {
  const issuer = `https://firebaseappcheck.googleapis.com/${PROJECT}`;
  const good = token();
  const [, payload = ""] = good.split(".");
  const repeated = JSON.stringify(install()).replace("{", '{"sub":"x",');
  const es = newKey("g1");
  const cases: [attest: string, expected: string][] = [
    [token({ aud: `projects/${PROJECT}` }), "200 verified"],
    [token({ aud: [PROJECT] }), "attestation_invalid wrong_project"],
    [token({ aud: ["projects/my-project"] }), "attestation_invalid wrong_project"],
    [token({ aud: ["projects/210987654321"] }), "attestation_invalid wrong_project"],
    [token({ aud: `projects/${PROJECT}3` }), "attestation_invalid wrong_project"],
    [token({ iss: issuer.slice(0, -1) }), "attestation_invalid wrong_project"],
    [token({ iss: `${issuer}3` }), "attestation_invalid wrong_project"],
    [token({ iss: `${issuer}/` }), "attestation_invalid wrong_project"],
    [token({ sub: `1:${PROJECT}:android:ffff` }), "attestation_invalid wrong_app"],
    [token({ iat: now() + 40 }), "attestation_invalid malformed"],
    [token({ iat: now() + 25 }), "200 verified"],
    [token({ exp: now() - 25 }), "200 verified"],
    [token({ exp: now() - 31 }), "attestation_expired expired"],
    [token({ exp: undefined }), "attestation_invalid malformed"],
    [token({ exp: now() + 8 * 86_400 }), "attestation_invalid malformed"],
    [token({}, {}, es), "attestation_invalid malformed"],
    [token({}, { kid: "g1" }, legacy), "attestation_invalid malformed"],
    [token({}, { kid: "g1" }, { ...legacy, key: JSON.stringify(google.jwk) }), "attestation_invalid malformed"],
    [token({}, { kid: undefined }), "attestation_invalid malformed"],
    [token({}, { crit: ["exp"] }), "attestation_invalid malformed"],
    [token({}, { alg: "none" }), "attestation_invalid malformed"],
    [token({}, { jwk: es.jwk, jku: "https://evil.example/jwks.json" }), "200 verified"],
    [jws(google, repeated), "attestation_invalid malformed"],
    [`${good.slice(0, -4)}AAAA`, "attestation_invalid bad_signature"],
    [
      `${token({ sub: "x" }).split(".")[0]}.${payload}.${token({ sub: "x" }).split(".")[2]}`,
      "attestation_invalid bad_signature",
    ],
    [jws(newKey("g1", "RS256"), install()), "attestation_invalid bad_signature"],
    ["x".repeat(9000), "attestation_invalid malformed"],
    [PLACEHOLDER, "attestation_missing placeholder"],
  ];
  for (const [attest, expected] of cases) assert.equal(await verdict(attest), expected, attest.slice(0, 200));
  assert.equal(await verdict(null), "attestation_missing missing");
  assert.equal(await verdict(""), "attestation_missing missing");
  const twice = await enforced.ask(null, { headers: { "X-Firebase-AppCheck": [good, good] } });
  assertProblem(twice, "attestation_invalid");
  for (const [attest, code] of [
    [null, "attestation_missing"],
    [token({ exp: now() - 31 }), "attestation_expired"],
    ["x", "attestation_invalid"],
  ] as const) {
    assertProblem(await enforced.ask(attest), code);
  }
});

test("a user's token attests nothing, and an attestation is no user", async () => {
  const app = token();
  const session = jws(user);
  assertOk(await enforced.ask(app, { token: session }), 200);
  assertProblem(await enforced.ask(session, { token: session }), "attestation_invalid");
  assertProblem(await enforced.ask(jws(legacy), { token: session }), "attestation_invalid");
  assertProblem(await enforced.ask(app, { token: app }), "token_invalid");
});

test("signature, clock and retired key come first, the user's token comes after", async () => {
  const before = enforced.stub.received.length;
  const bad = jws(newKey("never"), install());
  assertProblem(await enforced.ask(bad, { signed: null }), "app_guard_rejected");
  assertProblem(await enforced.ask(bad, { signed: { method: "PUT" } }), "app_guard_rejected");
  assertProblem(await enforced.ask(bad, { signed: { timestamp: 1_700_000_000 } }), "clock_skew");
  assertProblem(await enforced.ask(bad, { signed: { appId: "unknown" } }), "app_guard_rejected");
  assert.equal(enforced.stub.received.length, before, "a request without a key caused a fetch");
  assertProblem(await enforced.ask("x", { token: "a.b.c" }), "attestation_invalid");
  assertProblem(await enforced.ask(token(), { token: "a.b.c" }), "token_invalid");
  const published = (headers: Record<string, string>) => send(enforced.worker.url, "GET", PUBLIC, { headers });
  assertProblem(await published({}), "attestation_missing");
  assert.equal((await published({ "X-Firebase-AppCheck": token() })).status, 200);

  const keys = [{ id: "test", secret: APP.secret, retired: true }];
  const retired = { APP_GUARD: appGuard({ [APP.appId]: { attest: firebase("enforce"), keys } }) };
  await scene(null, async ({ ask }) => void assertProblem(await ask(null), "upgrade_required"), {}, retired);
});

test("the vectors of App Guard are signed alike with and without the header", async () => {
  const vectors = JSON.parse(readFileSync("tests/vectors/app-guard.json", "utf8"));
  assert.equal(vectors.length, 3);
  const key = { id: "k", secret: APPROOV };
  const app = (attest: object) => ({ APP_GUARD: appGuard({ "rn-ios": { ...attest, keys: [key] } }) });
  for (const attest of [{}, { attest: firebase("enforce") }]) {
    await scene(
      null,
      async ({ worker }) => {
        for (const vector of vectors) {
          for (const header of [null, token()]) {
            const headers = {
              "X-App-Id": vector.app_id,
              "X-App-Timestamp": String(vector.timestamp),
              "X-App-Nonce": vector.nonce,
              "X-App-Signature": vector.signature,
              ...(vector.token && { Authorization: `Bearer ${vector.token}` }),
              ...(vector.body && { "Content-Type": "application/json" }),
              ...(vector.idempotency_key && { "Idempotency-Key": vector.idempotency_key }),
              ...(vector.if_match && { "If-Match": vector.if_match }),
              ...(header && { "X-Firebase-AppCheck": header }),
            };
            const answer = await send(worker.url, vector.method, vector.target, {
              body: vector.body ?? undefined,
              headers,
              signed: null,
            });
            // Their time is another one: the clock is looked at after a good signature.
            assertProblem(answer, "clock_skew");
          }
        }
      },
      {},
      app(attest),
    );
  }
});

// The key set

test("keys rotate in mid-traffic without a refused request", async () => {
  await scene(firebase("enforce"), async ({ ask, stub, fetches }) => {
    const next = newKey("g2", "RS256");
    assertOk(await ask(token()), 200);
    stub.others[KEY_SET] = keySet(google, next);
    const both = Array.from({ length: 20 }, (_, n) => ask(n % 2 ? token() : token({}, {}, next)));
    for (const answer of await Promise.all(both)) assertOk(answer, 200);
    assert.equal(fetches(), 2);
  });
});

test("a hanging endpoint on a cold isolate is 503 in enforce and a verdict in report", async () => {
  const hanging: Handler = () => {};
  for (const [mode, status] of [
    ["enforce", 503],
    ["report", 200],
  ] as const) {
    await scene(
      firebase(mode),
      async ({ ask, stub, logged, worker }) => {
        stub.others[KEY_SET] = hanging;
        const began = Date.now();
        for (const answer of await Promise.all([ask(token()), ask(token()), ask(token())])) {
          assert.equal(answer.status, status);
          if (status === 503) assertProblem(answer, "dependency_unavailable");
        }
        assert.ok(Date.now() - began < 2000 + SLACK);
        assert.equal((await logged()).attest, "keys_unavailable");
        await until("the fetch is logged", () =>
          worker.logs.some((line) => line.includes("jwks_failed") && line.includes('"source":"app_check"')),
        );
      },
      {},
      { JWKS_TIMEOUT_MS: "1000" },
    );
  }
});

test("a flood of unknown kids costs one fetch, then counts for the address", async () => {
  await scene(
    firebase("enforce"),
    async ({ ask, fetches }) => {
      const from = (address: string) => ({ headers: { "CF-Connecting-IP": address } });
      assertOk(await ask(token(), from("203.0.113.9")), 200);
      const flood = Array.from({ length: 40 }, (_, n) => ask(token({}, { kid: `x${n}` }), from("203.0.113.7")));
      const codes = (await Promise.all(flood)).map(({ body }) => JSON.parse(body).code);
      assert.ok(
        codes.every((code) => /^(attestation_invalid|dependency_unavailable|rate_limited)$/.test(code)),
        codes.join(),
      );
      assert.equal(fetches(), 2);
      // An address is counted after its answer.
      let code: string | undefined;
      for (let n = 0; n < 100 && code !== "rate_limited"; n++)
        code = JSON.parse((await ask("x", from("203.0.113.7"))).body).code;
      assert.equal(code, "rate_limited");
      assertOk(await ask(token(), from("203.0.113.9")), 200);
    },
    { limits: { ip: 10, user: 100_000 } },
  );
});

test("phones that fail to attest share a limit; others are not refused", async () => {
  await scene(
    firebase("enforce"),
    async ({ ask, worker }) => {
      const codes = [];
      const expired = token({ exp: now() - 60 });
      for (let n = 0; n < 30; n++)
        codes.push(JSON.parse((await ask([null, PLACEHOLDER, expired][n % 3] ?? null)).body).code);
      assert.ok(codes.includes("attestation_missing") && codes.includes("attestation_expired"), codes.join());
      assert.equal(codes.at(-1), "rate_limited", codes.join());
      assertOk(await ask(token()), 200);
      assert.equal(
        (await send(worker.url, "GET", PUBLIC, { headers: { "X-Firebase-AppCheck": token() } })).status,
        200,
      );
    },
    { limits: { ip: 3, user: 20 } },
  );
});

// Modes and configuration

test("report answers as without attestation, and logs the verdict", async () => {
  await scene(firebase("report"), async ({ ask, logged }) => {
    for (const [attest, expected] of [
      [null, "missing"],
      [PLACEHOLDER, "placeholder"],
      ["x", "malformed"],
      [token({ exp: now() - 60 }), "expired"],
      [token({ sub: "x" }), "wrong_app"],
      [token({ iss: "x" }), "wrong_project"],
      [token({}, { kid: "x" }), "unknown_key"],
      [token(), "verified"],
    ] as const) {
      assertOk(await ask(attest), 200);
      assert.equal((await logged()).attest, expected);
    }
  });
});

test("without attest no verdict is logged, and off logs off", async () => {
  await scene(undefined, async ({ ask, logged, fetches }) => {
    assertOk(await ask("x"), 200);
    assert.deepEqual(
      Object.keys(await logged()).filter((name) => name.startsWith("attest")),
      [],
    );
    assert.equal(fetches(), 0);
  });
  await scene(firebase("off"), async ({ ask, logged }) => {
    assertOk(await ask("x"), 200);
    assert.equal((await logged()).attest, "off");
  });
});

test("a key with an attest of its own is enforced beside an old key", async () => {
  const old = { id: "old", secret: Buffer.alloc(32, 1).toString("base64url") };
  const app = {
    APP_GUARD: appGuard({
      [APP.appId]: { keys: [old, { id: "new", secret: APP.secret, attest: firebase("enforce") }] },
    }),
  };
  await scene(
    null,
    async ({ ask, worker, logged }) => {
      assertProblem(await ask(null), "attestation_missing");
      assertOk(await ask(token()), 200);
      assertOk(await ask(null, { signed: { secret: old.secret } }), 200);
      assert.equal((await logged()).guard_key, "old");
      assert.ok(worker.logs.some((line) => line.includes(`not for app ${APP.appId} with key old`)));
    },
    {},
    app,
  );
});

test("a Worker with an invalid attest refuses all requests and logs why", async () => {
  for (const [attest, says, more] of [
    [{ mode: "enforce", firebase: { project: "my-project", app_ids: [IOS] } }, "not its number", {}],
    [{ firebase: firebase("report").firebase }, "mode is not off, report or enforce", {}],
    [
      firebase("report"),
      "APP_CHECK_JWKS_URL may be below a loopback SUPABASE_URL only",
      { APP_CHECK_JWKS_URL: "https://evil.example/jwks" },
    ],
  ] as const) {
    await scene(
      attest,
      async ({ ask, worker }) => {
        assertProblem(await ask(null), "misconfigured");
        await until("it is logged", () => worker.logs.some((line) => line.includes(says)));
      },
      {},
      more,
    );
  }
});

// Approov

const approovToken = (payload: object) => {
  const input = [{ alg: "HS256", typ: "JWT" }, payload]
    .map((part) => Buffer.from(JSON.stringify(part)).toString("base64url"))
    .join(".");
  return `${input}.${createHmac("sha256", Buffer.from(APPROOV, "base64url")).update(input).digest("base64url")}`;
};

test("Approov's tokens are judged exactly, and bound to their session", async () => {
  const attest = { mode: "enforce", approov: { secret: APPROOV, bind: true } };
  const pay = (authorization: string) => createHash("sha256").update(authorization).digest("base64");
  assert.equal(pay("Bearer header.payload.signature"), "LTZzpqBLg8031GS7P917VhPP0ZuaGH2orTq2JAfzvYU=");
  await scene(attest, async ({ ask, logged }) => {
    const session = jws(legacy, claims({ sub: SUB }));
    const bound = { exp: now() + 300, pay: pay(`Bearer ${session}`) };
    const judge = async (approov: string) => {
      const answer = await ask(null, { token: session, headers: { "Approov-Token": approov } });
      return `${answer.status === 200 ? 200 : JSON.parse(answer.body).code} ${(await logged()).attest}`;
    };
    for (const [approov, expected] of [
      [approovToken(bound), "200 verified"],
      [approovToken({ ...bound, exp: now() + 300.5 }), "200 verified"],
      [approovToken({ ...bound, exp: now() - 31 }), "attestation_expired expired"],
      [approovToken({ pay: bound.pay }), "attestation_invalid malformed"],
      [approovToken({ exp: bound.exp }), "attestation_invalid unbound"],
      [approovToken({ ...bound, pay: pay(session) }), "attestation_invalid unbound"],
      [jws(legacy, bound), "attestation_invalid bad_signature"],
      [jws(google, bound), "attestation_invalid unknown_key"],
      ["NO_NETWORK", "attestation_missing placeholder"],
    ] as const) {
      assert.equal(await judge(approov), expected, approov);
    }
    const other = jws(legacy, claims({ sub: SUB, email: "other@example.com" }));
    assertProblem(
      await ask(null, { token: other, headers: { "Approov-Token": approovToken(bound) } }),
      "attestation_invalid",
    );
    // App Check's header counts for nothing where it is not configured.
    assertProblem(await ask(token()), "attestation_missing");
  });
});

test("one good token of two vendors is enough", async () => {
  const es = newKey("a1");
  const attest = { ...firebase("enforce"), approov: { keys: [es.jwk] } };
  await scene(attest, async ({ ask }) => {
    const approov = jws(es, { exp: now() + 300 });
    assertOk(await ask("x", { headers: { "Approov-Token": approov } }), 200);
    assertOk(await ask(token(), { headers: { "Approov-Token": "x" } }), 200);
    assertProblem(
      await ask(null, { headers: { "Approov-Token": jws(newKey("a1"), { exp: now() + 300 }) } }),
      "attestation_invalid",
    );
    assertProblem(await ask(null), "attestation_missing");
  });
});
