// Access tokens, with a stand-in for the project's key set: the embedded Supabase has none.

import assert from "node:assert/strict";
import { createPublicKey, type JsonWebKey, type KeyObject, randomUUID } from "node:crypto";
import { after, before, beforeEach, test } from "node:test";

import type { Answer } from "../../client/src/index.ts";
import type { Vars } from "../../tools/stack/vars.ts";
import { SLACK } from "../support/patience.ts";
import { assertOk, assertProblem, send } from "./http.ts";
import {
  bytes,
  claims,
  type Handler,
  json,
  jws,
  legacy,
  newKey,
  type Signer,
  type Stub,
  SUB,
  startStub,
  withStub,
} from "./stub.ts";
import { JWT_SECRET, type LoggedWorker, startWorkerAlone, withWorker, workerVars } from "./support.ts";

const KEY_SET = "/auth/v1/.well-known/jwks.json";
const es256 = newKey("es");
const rs256 = newKey("rs", "RS256");
const other = newKey("es");

let stub: Stub;
let worker: LoggedWorker;

before(async () => {
  stub = await startStub();
  worker = await startWorkerAlone(workerVars(stub.url));
});
after(async () => {
  await worker?.stop();
  await stub?.stop();
});

beforeEach(() => {
  stub.keys = keySet(es256, rs256);
});

function keySet(...keys: (Signer | JsonWebKey)[]): Handler {
  return json(200, { keys: keys.map((key) => ("jwk" in key ? key.jwk : key)) });
}

function me(token: string, url = worker.url): Promise<Answer> {
  return send(url, "GET", "/v1/me", { token });
}

/** How often the key set was fetched. */
function fetches(): number {
  return stub.received.filter(({ target }) => target === KEY_SET).length;
}

/** A new Worker that knows no key yet, in front of a stub of its own. */
async function withColdWorker(keys: Handler, work: (url: string) => Promise<void>, vars: Vars = {}): Promise<void> {
  stub.keys = keys;
  stub.received.length = 0;
  await withWorker(workerVars(stub.url, vars), {}, ({ url }) => work(url));
}

// Good tokens

test("a token of each algorithm is accepted and its claims are shown", async () => {
  for (const signer of [es256, rs256, legacy]) {
    const said = { email: "user@example.com", session_id: randomUUID(), aal: "aal2", is_anonymous: true };
    const payload = claims(said);
    assert.deepEqual(
      assertOk(await me(jws(signer, payload)), 200),
      { sub: SUB, ...said, exp: payload.exp, app_id: "rn-test" },
      signer.alg,
    );
  }
});

test("an absent optional claim is null or false", async () => {
  const { sub, role, aud, exp } = claims();
  const expected = { sub, email: null, session_id: null, aal: null, is_anonymous: false, exp, app_id: "rn-test" };
  assert.deepEqual(assertOk(await me(jws(es256, { sub, role, aud, exp })), 200), expected);
});

test("equal spellings of claims are accepted", async () => {
  const now = Math.floor(Date.now() / 1000);
  for (const changes of [
    { aud: ["authenticated"] },
    { aud: ["other", "authenticated"] },
    { sub: SUB.toUpperCase() },
    { exp: now - 20 },
    { nbf: now + 20, iat: now + 20 },
    { app_metadata: { role: "admin", aud: "x" }, amr: [{ method: "password" }] },
  ]) {
    assert.equal(assertOk(await me(jws(es256, claims(changes))), 200).sub, SUB, JSON.stringify(changes));
  }
  for (const header of [{ typ: undefined }, { typ: "jwt" }, { cty: "x" }])
    assertOk(await me(jws(es256, claims(), header)), 200);
});

// Bad tokens, under a good signature

const now = Math.floor(Date.now() / 1000);
const CLAIMS: Record<string, Record<string, unknown>> = {
  "the service key's role": { role: "service_role" },
  "the anon key's role": { role: "anon" },
  "no role": { role: undefined },
  "a list of roles": { role: ["authenticated"] },
  "a role in another case": { role: "Authenticated" },
  "another audience": { aud: "other" },
  "no audience": { aud: undefined },
  "no audience among several": { aud: ["a", "b"] },
  "an audience within an audience": { aud: [["authenticated"]] },
  "no subject": { sub: undefined },
  "an empty subject": { sub: "" },
  "a subject that is no UUID": { sub: "alice" },
  "a subject with SQL": { sub: `${SUB}' or 1=1` },
  "a subject in braces": { sub: `{${SUB}}` },
  "no expiry": { exp: undefined },
  "an expiry in text": { exp: String(now + 600) },
  "an expiry without end": { exp: 1e18 },
  "a negative expiry": { exp: -1 },
  "an expiry with a fraction": { exp: now + 600.5 },
  "a past expiry with a fraction": { exp: now - 600.5 },
  "a NUL in a claim": { email: "a\0b" },
  "no expiry but null": { exp: null },
  "a beginning in the future": { nbf: now + 120 },
  "an issue in the future": { iat: now + 120 },
  "a beginning in text": { nbf: "0" },
};

for (const [what, changes] of Object.entries(CLAIMS)) {
  test(`a token with ${what} is invalid`, async () => {
    for (const signer of [es256, legacy]) assertProblem(await me(jws(signer, claims(changes))), "token_invalid");
  });
}

test("a token is token_expired only if all else is good", async () => {
  // The leeway is 30 seconds.
  for (const exp of [Math.floor(Date.now() / 1000) - 30, now - 40, 1, 0])
    assertProblem(await me(jws(es256, claims({ exp }))), "token_expired");
  assertProblem(await me(jws(es256, claims({ exp: now - 40, role: "anon" }))), "token_invalid");
  assertProblem(await me(jws(other, claims({ exp: now - 40 }))), "token_invalid");
});

test("a token with a repeated name is invalid", async () => {
  const text = JSON.stringify(claims());
  for (const twice of [
    `{"role":"anon",${text.slice(1)}`,
    `${text.slice(0, -1)},"sub":"${SUB}"}`,
    `${text.slice(0, -1)},"x":{"a":1,"a":2}}`,
  ]) {
    assertProblem(await me(jws(es256, twice)), "token_invalid");
  }
  for (const header of ['{"alg":"ES256","kid":"es","alg":"ES256"}', '{"alg":"ES256","kid":"es","kid":"es"}']) {
    assertProblem(await me(jws(es256, claims(), header)), "token_invalid");
  }
  for (const payload of ["[]", "null", '"x"', "{", "", `${text} `.repeat(2), `\ufeff${text}`])
    assertProblem(await me(jws(es256, payload)), "token_invalid");
});

// Bad signatures

/** HS256 with a spelling of a public key as the secret. */
function confused(spelling: string | Buffer, kid: string): string {
  return jws({ alg: "HS256", kid, key: spelling as string, jwk: {} });
}

test("only a signature of the named key and algorithm is good", async () => {
  const [head, payload, signature] = jws(es256).split(".") as [string, string, string];
  const pem = createPublicKey(es256.key as KeyObject).export({ type: "spki", format: "pem" });
  const der = createPublicKey(rs256.key as KeyObject).export({ type: "spki", format: "der" });
  const raw = Buffer.from(signature, "base64url");
  const [r, s] = [raw.subarray(0, 32), raw.subarray(32)];
  const n = Buffer.from("ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551", "hex");
  const zero = Buffer.alloc(32);
  const resigned = (...parts: Buffer[]) => `${head}.${payload}.${Buffer.concat(parts).toString("base64url")}`;
  const bad: Record<string, string> = {
    "another key": jws(other),
    "another key's name": jws(es256, claims(), { kid: "rs" }),
    "the other algorithm's name": jws(es256, claims(), { alg: "RS256" }),
    "RS256 under the name of ES256": jws({ ...rs256, kid: "es" }),
    "ES256 with the name of the RSA key": jws({ ...es256, kid: "rs" }),
    PS256: jws(rs256, claims(), { alg: "PS256" }),
    ES384: jws(es256, claims(), { alg: "ES384" }),
    "another token's": `${jws(es256, claims({ exp: now + 999 }))
      .split(".")
      .slice(0, 2)
      .join(".")}.${signature}`,
    "one with a changed payload": `${head}.${Buffer.from(JSON.stringify(claims({ aal: "aal3" }))).toString("base64url")}.${signature}`,
    "r and s of zero": resigned(zero, zero),
    "r of zero": resigned(zero, s),
    "s of zero": resigned(r, zero),
    "r and s of the order": resigned(n, n),
    "r of the order": resigned(n, s),
    "s of the order": resigned(r, n),
    "63 bytes": resigned(raw.subarray(0, 63)),
    "65 bytes": resigned(raw, Buffer.from([0])),
    DER: resigned(Buffer.from([0x30, 0x44, 0x02, 0x20]), r, Buffer.from([0x02, 0x20]), s),
    "none at all": `${head}.${payload}.`,
    "HS256 with the public key in PEM": confused(pem as string, "es"),
    "HS256 with the public key in DER": confused(der as Buffer, "rs"),
    "HS256 with a coordinate of the key": confused(Buffer.from(es256.jwk.x as string, "base64url"), "es"),
    "HS256 with an empty secret": confused("", "es"),
    "HS256 with another secret": jws({ ...legacy, key: "another secret of at least 32 bytes" }),
    "HS256 with the secret decoded": jws({ ...legacy, key: Buffer.from(JWT_SECRET, "base64url") as never }),
    "no kid": jws({ ...es256, kid: "" }),
    "no name for the key but an empty one": jws(es256, claims(), { kid: "" }),
  };
  const none = Array.from({ length: 16 }, (_, bits) =>
    Array.from("none", (letter, at) => ((bits >> at) & 1 ? letter.toUpperCase() : letter)).join(""),
  );
  for (const alg of [
    ...none,
    " none",
    "none\0",
    "",
    "hs256",
    "es256",
    "HS384",
    "HS512",
    "EdDSA",
    " ES256",
    null,
    1,
    ["ES256"],
  ]) {
    bad[`alg ${JSON.stringify(alg)}`] = jws(es256, claims(), { alg });
    bad[`alg ${JSON.stringify(alg)}, unsigned`] = bad[`alg ${JSON.stringify(alg)}`]!.replace(/[^.]*$/, "");
  }
  for (const [what, token] of Object.entries(bad)) {
    const answered = await me(token);
    assert.equal(answered.status, 401, what);
    assertProblem(answered, "token_invalid");
  }
});

test("a token has one spelling", async () => {
  const token = jws(es256);
  const [head, payload, signature] = token.split(".") as [string, string, string];
  const loose = signature.slice(0, -1) + String.fromCharCode(signature.charCodeAt(85) + 1);
  // The same bytes in base64's own alphabet.
  let other = token;
  while (!/-[^.]*_[^.]*$|_[^.]*-[^.]*$/.test(other)) other = jws(es256);
  const standard = other.replace(/[^.]*$/, (text) => text.replaceAll("-", "+").replaceAll("_", "/"));
  for (const spelling of [
    `${token}.`,
    `.${token}`,
    `${token}.${signature}`,
    `${head}.${payload}`,
    head,
    "..",
    "a.b.c",
    `${token}.x.y`,
    `${head}..${signature}`,
    `${token}=`,
    `${head}=.${payload}.${signature}`,
    `${head}.${payload}.${signature}==`,
    `${head}.${payload}.${loose}`,
    `${head}.${payload} .${signature}`,
    `${head}. ${payload}.${signature}`,
    `${head}.${payload}+.${signature}`,
    `${head}.${payload}/.${signature}`,
    standard,
    jws(es256, claims({ pad: "x".repeat(8 * 1024) })),
  ]) {
    assertProblem(await me(spelling), "token_invalid");
  }
});

test("a token over 8 KiB is refused with a detail that says so", async () => {
  const sized = (pad: number) => jws(es256, claims({ pad: "x".repeat(pad) }));
  const room = 8192 - sized(0).length;
  // Base64url has no length of 4n + 1, so the last sizes below the limit may be two bytes apart.
  const fits = sized(Math.floor((room * 3) / 4) - 2);
  assert.ok(fits.length > 8180 && fits.length <= 8192, `${fits.length}`);
  assertOk(await me(fits), 200);
  const long = sized(Math.ceil((room * 3) / 4) + 2);
  assert.ok(long.length > 8192 && long.length < 8200, `${long.length}`);
  const { status, detail } = assertProblem(await me(long), "token_invalid");
  assert.equal(status, 401);
  assert.equal(detail, "The access token is longer than 8 KiB (8192 bytes). Keep its metadata small.");
  assert.notEqual(assertProblem(await me(`${fits}A`), "token_invalid").detail, detail);
});

test("a token with crit, b64 or another typ is invalid", async () => {
  for (const header of [
    { crit: ["exp"] },
    { crit: [] },
    { crit: ["unknown"], unknown: true },
    { crit: ["b64"], b64: false },
    { b64: false },
    { b64: true },
    { typ: "at+jwt" },
    { typ: "logout+jwt" },
    { typ: "dpop+jwt" },
    { typ: 1 },
    { kid: ["es"] },
    { kid: null },
    { kid: 0 },
    { kid: { es: 1 } },
  ]) {
    assertProblem(await me(jws(es256, claims(), header)), "token_invalid");
  }
});

test("keys and URLs in a token's header are ignored", async () => {
  await withStub(async (trap) => {
    trap.keys = keySet(other);
    const address = trap.url + KEY_SET;
    for (const header of [
      { jku: address },
      { x5u: address },
      { jwk: other.jwk },
      { x5c: ["MIIB"] },
      { jku: address, x5u: address, jwk: other.jwk },
    ]) {
      assertProblem(await me(jws(other, claims(), header)), "token_invalid");
      assertOk(await me(jws(es256, claims(), header)), 200);
    }
    assert.deepEqual(trap.received, []);
  });
});

// The issuer, and HS256

test("the issuer is the project's unless configured otherwise", async () => {
  const project = `${stub.url}/auth/v1`;
  for (const [setting, right] of [
    ["", project],
    ["https://auth.example.com", "https://auth.example.com"],
  ] as const) {
    await withWorker(workerVars(stub.url, { SUPABASE_JWT_ISSUER: setting }), {}, async ({ url }) => {
      assertOk(await me(jws(es256, claims({ iss: right })), url), 200);
      for (const iss of [
        undefined,
        "",
        `${right}/`,
        `${right}.evil.example`,
        right.toUpperCase(),
        [right],
        "https://evil.example/auth/v1",
        null,
      ]) {
        assertProblem(await me(jws(es256, claims({ iss })), url), "token_invalid");
      }
    });
  }
});

test("HS256 is refused where its secret is not set", async () => {
  const { SUPABASE_JWT_SECRET: _, ...vars } = workerVars(stub.url);
  await withWorker(vars, {}, async ({ url }) => {
    for (const key of [JWT_SECRET, "", "undefined"])
      assertProblem(await me(jws({ ...legacy, key }), url), "token_invalid");
    assertOk(await me(jws(es256), url), 200);
  });
});

// The life of the key set

test("requests at once share one fetch of the key set", async () => {
  const slowly: Handler = (request, response) => void setTimeout(() => keySet(es256)(request, response), 200);
  await withColdWorker(slowly, async (url) => {
    const answers = await Promise.all(Array.from({ length: 10 }, () => me(jws(es256), url)));
    assert.deepEqual(
      answers.map(({ status }) => status),
      Array(10).fill(200),
    );
    assertOk(await me(jws(es256), url), 200);
    assert.equal(fetches(), 1);
    const [request] = stub.received;
    assert.deepEqual([request?.method, request?.headers.authorization, request?.body], ["GET", undefined, ""]);
  });
});

test("a new key is found at once, a withdrawn key is gone", async () => {
  const next = newKey("next", "RS256");
  await withColdWorker(keySet(es256), async (url) => {
    assertOk(await me(jws(es256), url), 200);
    stub.keys = keySet(next);
    assertOk(await me(jws(next), url), 200);
    // The key may be newer than the fetch, so this is not final.
    assertProblem(await me(jws(es256), url), "dependency_unavailable");
    assert.equal(fetches(), 2);
  });
});

test("an unknown key is token_invalid after a fetch, 503 in the cool-down", async () => {
  await withColdWorker(keySet(es256), async (url) => {
    assertProblem(await me(jws(other, claims(), { kid: "first" }), url), "token_invalid");
    for (const kid of ["first", "second", "third"])
      assertProblem(await me(jws(other, claims(), { kid }), url), "dependency_unavailable");
    assertOk(await me(jws(es256), url), 200);
    assert.equal(fetches(), 1);
  });
});

test("a flood of made-up key names costs one fetch", async () => {
  await withColdWorker(keySet(es256), async (url) => {
    assertOk(await me(jws(es256), url), 200);
    const kids = [
      "../../jwks",
      "' or 1=1 --",
      "x".repeat(4096),
      "x".repeat(10_000),
      "ES",
      "es ",
      "\u0000",
      "__proto__",
      ...Array.from({ length: 40 }, () => randomUUID()),
    ];
    for (const answered of await Promise.all(kids.map((kid) => me(jws(other, claims(), { kid }), url))))
      assertProblem(answered, "token_invalid");
    assertOk(await me(jws(es256), url), 200);
    assert.equal(fetches(), 2, "the first one and one more");
  });
});

const FAULTS: Record<string, Handler> = {
  down: (_, response) => void response.destroy(),
  failing: json(500, { message: "SECRET" }),
  "a page": (_, response) => void response.writeHead(200, { "content-type": "text/html" }).end("<html>"),
  "cut short": bytes(["HTTP/1.1 200 OK", "Content-Length: 999", "", '{"keys":[']),
  redirecting: (_, response) => void response.writeHead(302, { location: `${stub.url}/rest/v1/keys` }).end(),
  endless: (_, response) => void response.writeHead(200).end(`{"keys":[${" ".repeat(1024 * 1024)}]}`),
  "without keys": json(200, {}),
  symmetric: keySet(es256, { kty: "oct", kid: "oct", alg: "HS256", k: Buffer.from(JWT_SECRET).toString("base64url") }),
};

for (const [what, fault] of Object.entries(FAULTS)) {
  test(`a key set that is ${what} is a 503 and leaves known keys`, async () => {
    await withColdWorker(fault, async (url) => {
      for (let n = 0; n < 3; n++) {
        const answered = await me(jws(es256), url);
        assertProblem(answered, "dependency_unavailable");
        assert.doesNotMatch(answered.body, /SECRET|html|127\.0\.0\.1/);
      }
      assert.equal(fetches(), 1, "a failed endpoint is left alone for a while");
      assertOk(await me(jws(legacy), url), 200);
    });
    await withColdWorker(keySet(es256), async (url) => {
      assertOk(await me(jws(es256), url), 200);
      stub.keys = fault;
      assertProblem(await me(jws(newKey("unknown")), url), "dependency_unavailable");
      assertOk(await me(jws(es256), url), 200);
      assert.equal(fetches(), 2);
    });
    assert.equal(stub.received.filter(({ target }) => target !== KEY_SET).length, 0, "a redirect was followed");
  });
}

test("requests wait together for a key set that hangs", async () => {
  for (const hang of [
    () => {},
    bytes(["HTTP/1.1 200 OK", "Content-Length: 999", "", "{"], { hang: true }),
  ] as Handler[]) {
    await withColdWorker(
      hang,
      async (url) => {
        const began = Date.now();
        const answers = await Promise.all(Array.from({ length: 5 }, () => me(jws(es256), url)));
        for (const answered of answers) assertProblem(answered, "dependency_unavailable");
        const took = Date.now() - began;
        assert.ok(took >= 290 && took < 300 + SLACK, `${took} ms`);
        assert.equal(fetches(), 1);
      },
      { JWKS_TIMEOUT_MS: "300" },
    );
  }
});

test("unusable keys of a set are dropped, good ones stay", async () => {
  let count = 0;
  /** A good key but for this change. */
  const key = (change: Record<string, unknown>, alg?: "RS256", bits?: number): Signer => {
    const signer = newKey(`dropped ${++count}`, alg, bits);
    return { ...signer, jwk: { ...signer.jwk, ...change } };
  };
  const dropped = [
    key({ use: "enc" }),
    key({ key_ops: ["sign"] }),
    key({ key_ops: [] }),
    key({ alg: "ES384" }),
    key({ alg: "RS256" }),
    key({ alg: "ES256" }, "RS256"),
    key({ crv: "P-384" }),
    key({ crv: "secp256k1" }),
    key({ y: other.jwk.y }),
    key({ x: "AA" }),
    key({ kty: "OKP" }),
    key({ kid: ["dropped"] }),
    key({ kid: undefined }),
    key({ e: "AQ" }, "RS256"),
    key({ e: "AQAA" }, "RS256"),
    key({}, "RS256", 1024),
    ...[newKey("twin"), newKey("twin")],
  ];
  await withColdWorker(keySet(...dropped, es256), async (url) => {
    for (const [place, signer] of dropped.entries()) {
      // After the first one the key set is in its cool-down.
      const code = place === 0 ? "token_invalid" : "dependency_unavailable";
      const answered = await me(jws(signer), url);
      assert.equal(JSON.parse(answered.body).code, code, JSON.stringify(signer.jwk));
      assertProblem(answered, code);
    }
    assertOk(await me(jws(es256), url), 200);
  });
});
