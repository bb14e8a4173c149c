// More ways in which an upstream breaks, beside those of upstream.test.ts: what is huge, what lies about itself, and
// what comes right after. Each answer is the documented problem, within its deadline, and the next request is served.

import assert from "node:assert/strict";
import { createServer, type AddressInfo } from "node:net";
import { after, before, beforeEach, test } from "node:test";
import { brotliCompressSync, gzipSync } from "node:zlib";

import type { Answer } from "../../client/src/index.ts";
import { SLACK } from "../support/patience.ts";
import { assertOk, assertProblem, logOf, send } from "./http.ts";
import { inParallel } from "./parallel.ts";
import { bytes, claims, json, jws, newKey, ROW, startStub, withStub, type Handler, type Stub } from "./stub.ts";
import { startWorkerAlone, withWorker, workerVars, type LoggedWorker } from "./support.ts";

const NOTE = `/v1/notes/${ROW.id}`;
const BODY = '{"title":"t","body":"b"}';
const TIMEOUT = 4000;
/** What a statement may take where nothing is set. */
const CONTRACT = 10_000;
const MIB = 1024 * 1024;

const es256 = newKey("es");
const token = jws(es256);

let stub: Stub;
let worker: LoggedWorker;
/** One whose deadlines are soon. To read a hundred megabytes takes a slow machine longer. */
let hasty: LoggedWorker;

before(async () => {
  stub = await startStub();
  stub.keys = json(200, { keys: [es256.jwk] });
  [worker, hasty] = await Promise.all([startWorkerAlone(workerVars(stub.url)), startWorkerAlone(workerVars(stub.url, { UPSTREAM_TIMEOUT_MS: String(TIMEOUT) }))]);
  for (const { url } of [worker, hasty]) assertOk(await send(url, "GET", "/v1/me", { token }), 200);
});
after(async () => {
  await worker?.stop();
  await hasty?.stop();
  await stub?.stop();
});
beforeEach(() => {
  stub.rest = json(200, [ROW]);
  stub.received.length = 0;
});

type Request = [method: string, target: string, body?: string];
/** One for each kind of statement: SELECT of one and of many, INSERT, UPDATE, and UPDATE and then INSERT. */
const REQUESTS: Request[] = [["GET", NOTE], ["GET", "/v1/notes"], ["POST", "/v1/notes", BODY], ["PATCH", NOTE, BODY], ["PUT", NOTE, BODY]];
type Code = Parameters<typeof assertProblem>[1];

function ask([method, target, body]: Request, to = worker.url): Promise<Answer> {
  return send(to, method, target, { token, ...(body && { body }) });
}

async function everyStatement(code: Code): Promise<void> {
  const asked = code === "upstream_timeout" ? hasty : worker;
  const began = Date.now();
  const answers = await Promise.all(REQUESTS.map((request) => ask(request, asked.url)));
  const took = Date.now() - began;
  for (const answered of answers) {
    assertProblem(answered, code);
    assert.doesNotMatch(answered.body + JSON.stringify(await logOf(asked, answered)), /SECRET|127\.0\.0\.1|<html/);
  }
  assert.ok(took < (asked === hasty ? TIMEOUT : CONTRACT) + SLACK, `${took} ms`);
  // What was broken is broken no longer.
  stub.rest = json(200, [ROW]);
  assertOk(await ask(["GET", NOTE], asked.url), 200);
}

const rows = JSON.stringify([ROW]);
const whole = (status: number, headers: Record<string, string>, body: string | Buffer): Handler => (_, response) => void response.writeHead(status, headers).end(body);
const head = (status: string, ...headers: string[]) => [`HTTP/1.1 ${status}`, "Content-Type: application/json", ...headers, ""];

/** Says that it has 100 MB, and sends them for as long as somebody takes them. */
const huge = (status: number): Handler => (_, response) => {
  response.writeHead(status, { "content-type": "application/json", "content-length": String(100 * MIB) });
  const chunk = Buffer.alloc(MIB, " ");
  let left = 100;
  const more = () => {
    while (left > 0 && !response.destroyed) {
      left--;
      if (!response.write(chunk)) return;
    }
  };
  response.on("drain", more).on("error", () => {});
  more();
};

const bomb = gzipSync(Buffer.alloc(100 * MIB, " "));
const nested = (text: string) => `[{"title":${text}}]`;

const FAULTS: [what: string, fault: Handler, expected: Code][] = [
  ["sends 100 MB", huge(200), "upstream_invalid"],
  ["sends 100 MB in 100 kB", whole(200, { "content-encoding": "gzip" }, bomb), "upstream_invalid"],
  ["compresses half of its answer", whole(200, { "content-encoding": "gzip" }, gzipSync(rows).subarray(0, -9)), "upstream_unavailable"],
  ["says that it compresses, and does not", whole(200, { "content-encoding": "gzip" }, rows), "upstream_unavailable"],
  ["compresses in a way that nobody asked for", whole(200, { "content-encoding": "br" }, brotliCompressSync(rows).subarray(0, -4)), "upstream_unavailable"],
  ["compresses what it calls plain", whole(200, {}, gzipSync(rows)), "upstream_invalid"],
  ["answers in UTF-16", whole(200, {}, Buffer.from(rows, "utf16le")), "upstream_invalid"],
  ["answers behind a byte order mark", whole(200, {}, `\ufeff${rows}`), "upstream_invalid"],
  ["answers to half of the depth that there is", whole(200, {}, nested("[".repeat(100_000))), "upstream_invalid"],
  ["answers as deep as it gets", whole(200, {}, nested("[".repeat(100_000) + "]".repeat(100_000))), "upstream_invalid"],
  ["answers with a lone surrogate", whole(200, {}, rows.replace(':"title"', ':"\\ud800"')), "upstream_invalid"],
  ["answers with a version that is no number", whole(200, {}, rows.replace('"version":3', '"version":1e999')), "upstream_invalid"],
  ["answers with a version below 1", json(200, [{ ...ROW, version: -1 }]), "upstream_invalid"],
  ["says everything twice", whole(200, {}, rows.replace('"version":3', '"version":3,"version":4')), "upstream_invalid"],
  ["answers with a part (206)", whole(206, { "content-range": "0-0/2" }, rows), "upstream_invalid"],
  ["says that nothing has changed (304)", (_, response) => void response.writeHead(304).end(), "upstream_invalid"],
  ["has moved, and says no more (300)", whole(300, {}, rows), "upstream_invalid"],
  ["refuses in JSON of another kind", json(403, { error: "SECRET", statusCode: 403 }), "internal"],
  ["fails with an error whose code is a number", json(500, { code: 42501, message: "SECRET" }), "upstream_invalid"],
  ["fails with an error in an error", json(400, { code: { code: "23505" }, message: ["SECRET"] }), "upstream_invalid"],
  ["fails with 100 MB", huge(500), "upstream_invalid"],
  ["sends a status and hangs", bytes(["HTTP/1.1 200 OK", ""], { hang: true }), "upstream_timeout"],
  ["sends half of a header's value", bytes(["HTTP/1.1 200 OK", "Content-Type: appl"]), "upstream_unavailable"],
  ["sends headers without end", (_, { socket }) => {
    socket?.write("HTTP/1.1 200 OK\r\n");
    const more = setInterval(() => socket?.writable && socket.write(`X-${"a".repeat(16_384)}: SECRET\r\n`), 1);
    socket?.on("close", () => clearInterval(more)).on("error", () => {});
  }, "upstream_unavailable"],
  ["sends a status that is none", bytes([...head("999 SECRET", "Content-Length: 2"), "[]"]), "upstream_invalid"],
  ["sends two lengths", bytes([...head("200 OK", "Content-Length: 2", "Content-Length: 3"), "[]"]), "upstream_unavailable"],
  ["sends a length below zero", bytes([...head("200 OK", "Content-Length: -1"), "[]"]), "upstream_unavailable"],
  ["sends a size that is too large for a chunk", bytes([...head("200 OK", "Transfer-Encoding: chunked"), "ffffffffffffffffff", "[]", "0", "", ""]), "upstream_unavailable"],
  ["closes after its headers", bytes([...head("200 OK", `Content-Length: ${rows.length}`), ""]), "upstream_unavailable"],
];

test("faults have names of their own", (context) => {
  assert.equal(new Set(FAULTS.map(([what]) => what)).size, FAULTS.length);
  context.diagnostic(`counted: ${FAULTS.length} faults of an upstream, each met by every statement`);
});

for (const [what, fault, expected] of FAULTS) {
  test(`an upstream that ${what} is ${expected}`, async () => {
    stub.rest = fault;
    await everyStatement(expected);
  });
}

test("what is unusual but whole is an answer", async () => {
  for (const [what, fault] of [
    ["compressed", whole(200, { "content-encoding": "gzip" }, gzipSync(rows))],
    ["without a media type", whole(200, {}, rows)],
    ["of another media type", whole(200, { "content-type": "text/plain" }, rows)],
    ["to the end of the connection", bytes(["HTTP/1.1 200 OK", "Connection: close", "", rows])],
    ["in HTTP/1.0", bytes(["HTTP/1.0 200 OK", "", rows])],
    ["in small chunks", bytes([...head("200 OK", "Transfer-Encoding: chunked"), ...[...rows].flatMap((byte) => ["1", byte]), "0", "", ""])],
    ["with other members", json(200, [{ ...ROW, user_id: "x", SECRET: { a: [1] } }])],
    ["with space around it", whole(200, {}, ` \r\n${rows}\n`)],
    ["after a while", ((_, response) => void setTimeout(() => json(200, [ROW])(_, response), TIMEOUT / 8)) as Handler],
  ] as [string, Handler][]) {
    stub.rest = fault;
    const note = assertOk(await ask(["GET", NOTE]), 200);
    assert.deepEqual([what, note.version, Object.keys(note).length], [what, 3, 7]);
  }
});

test("an upstream that takes connections and says nothing holds up nobody beyond the deadline, however many ask", async (context) => {
  const silent = createServer(() => {});
  context.after(() => silent.close());
  await new Promise<void>((resolve) => silent.listen(0, "127.0.0.1", resolve));
  const { port } = silent.address() as AddressInfo;
  const vars = workerVars(`http://127.0.0.1:${port}`, { UPSTREAM_TIMEOUT_MS: "500", JWKS_TIMEOUT_MS: "500" });
  const { SUPABASE_JWT_SECRET: secret } = vars;
  const hs256 = jws({ alg: "HS256", key: secret!, jwk: {} });
  await withWorker(vars, {}, async ({ url }) => {
    const began = Date.now();
    const answers = await Promise.all(Array.from({ length: 50 }, (_, n) => (n % 2 ? ask(["GET", NOTE], url) : send(url, "GET", NOTE, { token: hs256 }))));
    answers.forEach((answered, n) => assertProblem(answered, n % 2 ? "dependency_unavailable" : "upstream_timeout"));
    assert.ok(Date.now() - began < 500 + SLACK, `${Date.now() - began} ms`);
  });
});

test("key set and database that break at once are told apart, in the time of one", async () => {
  const deadline = 2 * TIMEOUT;
  const deadlines = { UPSTREAM_TIMEOUT_MS: String(deadline), JWKS_TIMEOUT_MS: String(deadline) };
  const cases: [Handler, Code][] = [[() => {}, "dependency_unavailable"], [json(200, { keys: [es256.jwk] }), "upstream_timeout"]];
  await inParallel(cases, 2, ([keys, code]) =>
    withStub(async (broken) => {
      broken.keys = keys;
      broken.rest = () => {};
      await withWorker(workerVars(broken.url, deadlines), {}, async ({ url }) => {
        const began = Date.now();
        for (const answered of await Promise.all(REQUESTS.map((request) => ask(request, url)))) assertProblem(answered, code);
        assert.ok(Date.now() - began < 2 * deadline, `${Date.now() - began} ms`);
      });
    }),
  );
});

test("after many answers of 100 MB the Worker is as it was", async () => {
  stub.rest = huge(200);
  await inParallel(Array(30).fill(0), 3, async () => void assertProblem(await ask(["GET", "/v1/notes"]), "upstream_invalid"));
  stub.rest = json(200, [ROW]);
  for (const request of [["GET", NOTE], ["PATCH", NOTE, BODY]] as Request[]) assertOk(await ask(request), 200);
  assert.deepEqual(worker.logs.filter((line) => /RuntimeError|out of memory/i.test(line)), []);
});

test("a redirect of any kind is not followed, by no statement and not by the key set, and no token goes anywhere", async () => {
  const unknown = jws(newKey("unknown"), claims());
  await withStub((trap) => withStub(async (redirecting) => {
    await withWorker(workerVars(redirecting.url), {}, async ({ url }) => {
      for (const status of [301, 302, 303, 307, 308]) {
        for (const location of [`${trap.url}/rest/v1/notes`, `//${new URL(trap.url).host}/rest/v1/notes`, "/rest/v1/elsewhere"]) {
          redirecting.received.length = 0;
          redirecting.keys = json(200, { keys: [es256.jwk] });
          redirecting.rest = whole(status, { location, refresh: `0; url=${location}`, link: `<${location}>; rel=canonical` }, rows);
          for (const request of REQUESTS) assertProblem(await ask(request, url), "upstream_invalid");
          assert.ok(redirecting.received.every(({ target }) => !target.includes("elsewhere")));
        }
      }
    });
    redirecting.keys = whole(302, { location: `${trap.url}/auth/v1/.well-known/jwks.json` }, JSON.stringify({ keys: [es256.jwk] }));
    trap.keys = json(200, { keys: [es256.jwk] });
    await withWorker(workerVars(redirecting.url), {}, async ({ url }) => {
      for (const bearer of [token, unknown]) assertProblem(await send(url, "GET", NOTE, { token: bearer }), "dependency_unavailable");
    });
    assert.deepEqual(trap.received, []);
  }));
});
