// The key cache, with an endpoint that misbehaves. tests/token.rs has the rules of minutes and hours, with its own
// clock.

import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { test } from "node:test";
import { gzipSync } from "node:zlib";

import type { Answer } from "../../client/src/index.ts";
import type { Vars } from "../../tools/stack/vars.ts";
import { SLACK, until } from "../support/patience.ts";
import { assertOk, assertProblem, headersOf, open, send } from "./http.ts";
import { inParallel } from "./parallel.ts";
import { bytes, claims, type Handler, json, jws, legacy, newKey, type Signer, type Stub, withStub } from "./stub.ts";
import { JWT_SECRET, type LoggedWorker, withWorker, workerVars } from "./support.ts";

const TIMEOUT = 4000;

const first = newKey("first");
const second = newKey("second", "RS256");
/** Another key under the kid of the first. */
const impostor = newKey("first");

function keySet(...keys: (Signer | object)[]): Handler {
  return json(200, { keys: keys.map((key) => ("jwk" in key ? key.jwk : key)) });
}

interface ColdWorker {
  worker: LoggedWorker;
  stub: Stub;
  me(token: string): Promise<Answer>;
  /** How often the key set was fetched. */
  fetches(): number;
}

/** A Worker that knows no key yet, in front of a stub of its own. */
async function withColdWorker(
  keys: Handler,
  work: (cold: ColdWorker) => Promise<void>,
  vars: Vars = {},
): Promise<void> {
  await withStub(async (stub) => {
    stub.keys = keys;
    await withWorker(workerVars(stub.url, { JWKS_TIMEOUT_MS: String(TIMEOUT), ...vars }), {}, (worker) =>
      work({
        worker,
        stub,
        me: (token) => send(worker.url, "GET", "/v1/me", { token }),
        fetches: () => stub.received.filter(({ target }) => target.endsWith("jwks.json")).length,
      }),
    );
  });
}

// Bad answers of the endpoint

const head = (...headers: string[]) => ["HTTP/1.1 200 OK", "Content-Type: application/json", ...headers, ""];
const said =
  (body: string | Buffer, headers: Record<string, string> = {}, status = 200): Handler =>
  (_, response) =>
    void response.writeHead(status, headers).end(body);
const good = JSON.stringify({ keys: [first.jwk] });
const oct = (kid: string) => ({ kty: "oct", kid, alg: "HS256", k: Buffer.from(JWT_SECRET).toString("base64url") });

const BROKEN: Record<string, Handler> = {
  reset: (_, response) => void response.socket?.resetAndDestroy(),
  hanging: () => {},
  "hanging in its body": bytes([...head("Content-Length: 999"), '{"keys":['], { hang: true }),
  dripping: (_, response) => void setInterval(() => response.write(" "), 100).unref(),
  "short of its length": bytes([...head(`Content-Length: ${good.length + 1}`), good]),
  "broken in its chunks": bytes([...head("Transfer-Encoding: chunked"), good.length.toString(16), good, "zz", "", ""]),
  "too busy (429)": json(429, {}),
  "refusing (401)": json(401, { keys: [first.jwk] }),
  "unavailable (503), with a set": json(503, { keys: [first.jwk] }),
  "empty (204)": (_, response) => void response.writeHead(204).end(),
  "redirecting, with a set": said(good, { location: "/rest/v1/keys" }, 302),
  "a page": said("<html><body>It works!</body></html>", { "content-type": "text/html" }),
  nothing: said(""),
  null: said("null"),
  "a list": said(JSON.stringify([first.jwk])),
  "keys in an object": said(JSON.stringify({ keys: { first: first.jwk } })),
  "keys that are texts": said(JSON.stringify({ keys: [JSON.stringify(first.jwk)] })),
  "without a usable key": keySet({ ...first.jwk, use: "enc" }, { ...first.jwk, crv: "P-384" }),
  "two sets in one": said(`{"keys":[],"keys":[${JSON.stringify(first.jwk)}]}`),
  "half of one": said(good.slice(0, -1)),
  "more than one": said(good + good),
  "behind a byte order mark": said(`\ufeff${good}`),
  "in UTF-16": said(Buffer.from(good, "utf16le")),
  nested: said(`{"keys":${"[".repeat(100_000)}${"]".repeat(100_000)}}`),
  "symmetric alone": keySet(oct("first")),
  "symmetric among others": keySet(first, second, oct("oct")),
  "1 MB of good keys": keySet(...Array.from({ length: 5000 }, (_, n) => ({ ...first.jwk, kid: `k${n}` })), first),
  "1 MB that was 10 kB": said(gzipSync(good.padEnd(1024 * 1024)), { "content-encoding": "gzip" }),
};

test("a bad key set yields 503 in time and starts the cool-down", async (context) => {
  await inParallel(Object.entries(BROKEN), 3, async ([what, broken]) => {
    await withColdWorker(broken, async ({ me, fetches, stub }) => {
      const began = Date.now();
      for (const answered of await Promise.all([me(jws(first)), me(jws(second)), me(jws(first))])) {
        assert.equal(answered.status, 503, `${what}: ${answered.body}`);
        assertProblem(answered, "dependency_unavailable");
      }
      assert.ok(Date.now() - began < TIMEOUT + SLACK, what);
      assertProblem(await me(jws(first)), "dependency_unavailable");
      assert.equal(fetches(), 1, what);
      // The legacy secret is in no key set.
      assertOk(await me(jws(legacy)), 200);
      assert.equal(stub.received.length, 1, "a redirect was followed");
    });
  });
  context.diagnostic(`${Object.keys(BROKEN).length} kinds of broken key set endpoints, cold`);
});

/** One of each way to break: no answer, half of one, a status, and a body that is no key set. */
const WAYS = ["reset", "hanging", "dripping", "unavailable (503), with a set", "nested", "symmetric among others"];

test("an endpoint that breaks leaves the known keys as they are", async (context) => {
  await inParallel(WAYS, 3, async (what) => {
    const broken = BROKEN[what] ?? assert.fail(what);
    await withColdWorker(keySet(first), async ({ me, fetches, stub, worker }) => {
      assertOk(await me(jws(first)), 200);
      stub.keys = broken;
      const unknown = jws(newKey("unknown"));
      for (const answered of await Promise.all([me(unknown), me(jws(first)), me(unknown)])) {
        assert.ok([200, 503].includes(answered.status), `${what}: ${answered.body}`);
      }
      assertProblem(await me(unknown), "dependency_unavailable");
      assertOk(await me(jws(first)), 200);
      assertProblem(await me(jws(impostor)), "token_invalid");
      assert.equal(fetches(), 2, what);
      await until(`${what} is logged`, () => worker.logs.some((line) => line.includes("jwks_failed")));
    });
  });
  context.diagnostic(`${WAYS.length} kinds of broken key set endpoints, warm`);
});

test("an empty key set is an answer, and is logged", async () => {
  await withColdWorker(keySet(), async ({ me }) => void assertProblem(await me(jws(first)), "token_invalid"));
  await withColdWorker(keySet(first), async ({ me, stub, worker }) => {
    assertOk(await me(jws(first)), 200);
    stub.keys = keySet();
    assertProblem(await me(jws(second)), "token_invalid");
    assertProblem(await me(jws(first)), "dependency_unavailable");
    await until("an empty set is logged", () => worker.logs.some((line) => line.includes("jwks_empty")));
  });
});

// Rotation

test("a rotation is followed key by key", async () => {
  await withColdWorker(keySet(first), async ({ me, stub, fetches }) => {
    const [old, fresh] = [jws(first), jws(second)];
    assertOk(await me(old), 200);
    stub.keys = keySet(first, second);
    assertOk(await me(fresh), 200);
    assertOk(await me(old), 200);
    assert.equal(fetches(), 2, "found at once");
    stub.keys = keySet(second, newKey("third"));
    assertOk(await me(old), 200);
    assert.equal(fetches(), 2, "what is known is not asked for");
  });
  await withColdWorker(keySet(first, second), async ({ me, stub }) => {
    const old = jws(first);
    assertOk(await me(old), 200);
    const third = newKey("third");
    stub.keys = keySet(second, third);
    assertOk(await me(jws(third)), 200);
    assertProblem(await me(old), "dependency_unavailable");
    assertOk(await me(jws(second)), 200);
  });
});

test("another key under a known kid replaces it at the next fetch", async () => {
  await withColdWorker(keySet(first), async ({ me, stub, fetches }) => {
    assertOk(await me(jws(first)), 200);
    stub.keys = keySet(impostor, second);
    assertProblem(await me(jws(impostor)), "token_invalid");
    assert.equal(fetches(), 1, "a bad signature is no reason to fetch");
    assertOk(await me(jws(second)), 200);
    assertOk(await me(jws(impostor)), 200);
    assertProblem(await me(jws(first)), "token_invalid");
  });
});

test("a new key within the cool-down is dependency_unavailable", async () => {
  await withColdWorker(keySet(first), async ({ me, stub, fetches }) => {
    assertProblem(await me(jws(newKey("made up"))), "token_invalid");
    stub.keys = keySet(first, second);
    assertProblem(await me(jws(second)), "dependency_unavailable");
    assert.equal(fetches(), 1);
  });
});

// Many at once

test("made-up kids cause one fetch a cool-down; known keys go on", async () => {
  await withColdWorker(
    keySet(first),
    async ({ me, stub, fetches }) => {
      assertOk(await me(jws(first)), 200);
      let answered = 0;
      let letGo = () => {};
      stub.keys = (request, response) => void (letGo = () => keySet(first)(request, response));
      const kids = [
        ...Array.from({ length: 250 }, () => randomUUID()),
        "../../jwks",
        "/etc/passwd",
        "' or 1=1 --",
        "x".repeat(5000),
        "FIRST",
        "first ",
        "first\u0000",
        "__proto__",
        "constructor",
        "\u{1f511}",
      ];
      const flood = Promise.all(
        kids.map(async (kid) => {
          const refused = await me(jws(impostor, claims(), { kid }));
          answered++;
          return refused;
        }),
      );
      await until("the flood has led to a fetch", () => fetches() === 2);
      assertOk(await me(jws(first)), 200);
      assert.equal(answered, 0, "before the fetch is back");
      letGo();
      for (const refused of await flood) assertProblem(refused, "token_invalid");
      // And again, one after another, in the cool-down.
      for (let n = 0; n < 50; n++)
        assertProblem(await me(jws(impostor, claims(), { kid: randomUUID() })), "dependency_unavailable");
      assert.equal(fetches(), 2);
    },
    { JWKS_TIMEOUT_MS: "60000" },
  );
});

test("a flood during a hanging fetch is answered in time", async () => {
  await withColdWorker(
    () => {},
    async ({ me, fetches }) => {
      const tokens = Array.from({ length: 100 }, () => jws(impostor, claims(), { kid: randomUUID() }));
      const began = Date.now();
      const answers = await Promise.all(tokens.map(me));
      for (const answered of answers) assertProblem(answered, "dependency_unavailable");
      const took = Date.now() - began;
      assert.ok(took < TIMEOUT + SLACK, `${took} ms`);
      // A request takes over a fetch that is half a second late, which happens only on a machine that stood still.
      assert.ok(fetches() === 1 || (fetches() === 2 && took > TIMEOUT + 500), `${fetches()} fetches in ${took} ms`);
    },
  );
});

test("a fetch goes on when the client that began it disconnects", async () => {
  const slowly: Handler = (request, response) =>
    void setTimeout(() => keySet(first)(request, response), TIMEOUT / 10).unref();
  await withColdWorker(slowly, async ({ worker, me, fetches }) => {
    const token = jws(first);
    const gone = open(worker.url, "GET", "/v1/me", headersOf("GET", "/v1/me", { token }));
    gone.on("error", () => {});
    gone.end();
    await until("the request has led to a fetch", () => fetches() === 1);
    const waiting = Array.from({ length: 5 }, () => me(token));
    setTimeout(() => gone.destroy(), 20);
    for (const answered of await Promise.all(waiting)) assertOk(answered, 200);
    assert.equal(fetches(), 1);
  });
});
