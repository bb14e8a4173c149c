// More broken answers of an upstream: huge, compressed, contradictory. upstream.test.ts has the common ones.

import assert from "node:assert/strict";
import { type AddressInfo, createServer } from "node:net";
import { before, test } from "node:test";
import { brotliCompressSync, gzipSync } from "node:zlib";

import { SLACK } from "../support/patience.ts";
import { BODY, brokenOfFile, head, LIST, type ListEnd, NOTE, type Request, TIMEOUT, WHOLE } from "./broken.ts";
import { assertOk, assertProblem, type Code, send } from "./http.ts";
import { inParallel } from "./parallel.ts";
import {
  bytes,
  claims,
  functionOf,
  functions,
  type Handler,
  json,
  jws,
  legacy,
  newKey,
  ROW,
  withStub,
} from "./stub.ts";
import { withWorker, workerVars } from "./support.ts";

const MIB = 1024 * 1024;
const es256 = newKey("es");

const broken = await brokenOfFile(es256);
const { stub, ask } = broken;

before(async () => {
  stub.keys = json(200, { keys: [es256.jwk] });
  for (const { url } of [broken.worker, broken.hasty])
    assertOk(await send(url, "GET", "/v1/me", { token: broken.token }), 200);
});

const row = JSON.stringify(ROW);
const type = { "content-type": "application/json" };
const whole =
  (status: number, headers: Record<string, string>, body: string | Buffer): Handler =>
  (_, response) =>
    void response.writeHead(status, headers).end(body);
const answered = (body: string | Buffer, headers: Record<string, string> = {}) =>
  whole(200, { ...type, ...headers }, body);

/** Declares this many MiB and sends them for as long as they are read. */
const huge =
  (status: number, mebibytes = 100): Handler =>
  (_, response) => {
    response.writeHead(status, { ...type, "content-length": String(mebibytes * MIB) });
    const chunk = Buffer.alloc(MIB, " ");
    let left = mebibytes;
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

const FAULTS: [what: string, fault: Handler, expected: Code, list?: ListEnd][] = [
  ["sends 100 MB", huge(200), "upstream_invalid"],
  [
    "compresses half of its answer",
    answered(gzipSync(row).subarray(0, -9), { "content-encoding": "gzip" }),
    "upstream_unavailable",
    "breaks off",
  ],
  [
    "declares gzip and sends plain text",
    answered(row, { "content-encoding": "gzip" }),
    "upstream_unavailable",
    "breaks off",
  ],
  [
    "sends half of a brotli stream",
    answered(brotliCompressSync(row).subarray(0, -4), { "content-encoding": "br" }),
    "upstream_unavailable",
    "breaks off",
  ],
  ["sends gzip and declares nothing", answered(gzipSync(row)), "upstream_invalid", "is not JSON"],
  ["answers in UTF-16", answered(Buffer.from(row, "utf16le")), "upstream_invalid", "is not JSON"],
  ["answers with a byte order mark", answered(`\ufeff${row}`), "upstream_invalid", "is not JSON"],
  ["opens 100,000 arrays", answered(`{"title":${"[".repeat(100_000)}`), "upstream_invalid", "is not JSON"],
  ["answers with a part (206)", whole(206, { ...type, "content-range": "0-0/2" }, row), "upstream_invalid"],
  ["answers not modified (304)", (_, response) => void response.writeHead(304).end(), "upstream_invalid"],
  ["answers multiple choices (300)", whole(300, type, row), "upstream_invalid"],
  ["refuses in JSON of another kind", json(403, { error: "SECRET", statusCode: 403 }), "internal"],
  ["has an error whose code is a number", json(500, { code: 42501, message: "SECRET" }), "upstream_invalid"],
  ["has an error in an error", json(400, { code: { code: "23505" }, message: ["SECRET"] }), "upstream_invalid"],
  ["fails with 100 MB", huge(500), "upstream_invalid"],
  ["sends a status and hangs", bytes(["HTTP/1.1 200 OK", ""], { hang: true }), "upstream_timeout"],
  ["sends half of a header's value", bytes(["HTTP/1.1 200 OK", "Content-Type: appl"]), "upstream_unavailable"],
  [
    "sends headers without end",
    (_, { socket }) => {
      socket?.write("HTTP/1.1 200 OK\r\n");
      const more = setInterval(() => socket?.writable && socket.write(`X-${"a".repeat(16_384)}: SECRET\r\n`), 1);
      socket?.on("close", () => clearInterval(more)).on("error", () => {});
    },
    "upstream_unavailable",
  ],
  ["sends the status 999", bytes([...head("999 SECRET", "Content-Length: 2"), "[]"]), "upstream_invalid"],
  [
    "sends two lengths",
    bytes([...head("200 OK", "Content-Length: 2", "Content-Length: 3"), "[]"]),
    "upstream_unavailable",
  ],
  ["sends a length below zero", bytes([...head("200 OK", "Content-Length: -1"), "[]"]), "upstream_unavailable"],
  [
    "sends a chunk of impossible size",
    bytes([...head("200 OK", "Transfer-Encoding: chunked"), "ffffffffffffffffff", "[]", "0", "", ""]),
    "upstream_unavailable",
    "breaks off",
  ],
  [
    "closes after its headers",
    bytes([...head("200 OK", `Content-Length: ${row.length}`), ""]),
    "upstream_unavailable",
    "breaks off",
  ],
];

test("the faults of an upstream are different ones", (context) => {
  assert.equal(new Set(FAULTS.map(([what]) => what)).size, FAULTS.length);
  context.diagnostic(`${FAULTS.length} faults of an upstream, each on every route`);
});

for (const [what, fault, expected, list] of FAULTS) {
  test(`an upstream that ${what} is ${expected}${list ? `, and a list ${list}` : ""}`, () =>
    broken.assertFault(fault, expected, list));
}

test("an invalid row is upstream_invalid", async () => {
  for (const bad of [
    row.replace('"version":3', '"version":1e999'),
    row.replace('"version":3', '"version":-1'),
    row.replace('"version":3', '"version":3,"version":4'),
  ]) {
    stub.rest = (request, response) =>
      answered(functionOf(request) === "airlock_read" ? bad : `{"outcome":"done","row":${bad}}`)(request, response);
    for (const request of [
      ["GET", NOTE],
      ["PATCH", NOTE, BODY],
    ] as Request[])
      assertProblem(await ask(request), "upstream_invalid");
  }
  stub.rest = answered(Buffer.from(row.replace(':"title"', ':"\xff"'), "latin1"));
  assertProblem(await ask(["GET", NOTE]), "upstream_invalid");
});

test("100 MB in 100 kB of gzip are cut off where the answer is read whole", async () => {
  stub.rest = answered(bomb, { "content-encoding": "gzip" });
  for (const request of [
    ["GET", NOTE],
    ["PATCH", NOTE, BODY],
  ] as Request[])
    assertProblem(await ask(request), "upstream_invalid");
});

test("an unusual but whole answer is accepted", async () => {
  for (const [what, fault] of [
    ["compressed", answered(gzipSync(row), { "content-encoding": "gzip" })],
    ["to the end of the connection", bytes([...head("200 OK", "Connection: close"), row])],
    ["in HTTP/1.0", bytes(["HTTP/1.0 200 OK", "Content-Type: application/json", "", row])],
    [
      "in small chunks",
      bytes([...head("200 OK", "Transfer-Encoding: chunked"), ...[...row].flatMap((byte) => ["1", byte]), "0", "", ""]),
    ],
    ["with other members", json(200, { ...ROW, more: { a: [1] } })],
    ["with space around it", answered(` \r\n${row}\n`)],
    ["with a charset", whole(200, { "content-type": "Application/JSON; charset=UTF-8" }, row)],
    [
      "after a while",
      ((request, response) => void setTimeout(() => functions()(request, response), TIMEOUT / 8)) as Handler,
    ],
  ] as [string, Handler][]) {
    stub.rest = fault;
    const note = assertOk(await ask(["GET", NOTE]), 200);
    assert.deepEqual([what, note.version, note.id], [what, 3, ROW.id]);
    assertOk(await ask(LIST), 200);
  }
});

test("an upstream that accepts connections and is silent delays no one", async (context) => {
  const silent = createServer(() => {});
  context.after(() => silent.close());
  await new Promise<void>((resolve) => silent.listen(0, "127.0.0.1", resolve));
  const { port } = silent.address() as AddressInfo;
  const vars = workerVars(`http://127.0.0.1:${port}`, { UPSTREAM_TIMEOUT_MS: "500", JWKS_TIMEOUT_MS: "500" });
  await withWorker(vars, {}, async (worker) => {
    const began = Date.now();
    const answers = Array.from({ length: 50 }, (_, n) =>
      n % 2 ? ask(["GET", NOTE], worker) : send(worker.url, "GET", NOTE, { token: jws(legacy) }),
    );
    for (const [n, answer] of (await Promise.all(answers)).entries())
      assertProblem(answer, n % 2 ? "dependency_unavailable" : "upstream_timeout");
    assert.ok(Date.now() - began < 500 + SLACK, `${Date.now() - began} ms`);
  });
});

test("a broken key set and a broken database have their own codes", async () => {
  const deadline = 2 * TIMEOUT;
  const deadlines = { UPSTREAM_TIMEOUT_MS: String(deadline), JWKS_TIMEOUT_MS: String(deadline) };
  const cases: [Handler, Code][] = [
    [() => {}, "dependency_unavailable"],
    [json(200, { keys: [es256.jwk] }), "upstream_timeout"],
  ];
  await inParallel(cases, 2, ([keys, code]) =>
    withStub(async (other) => {
      other.keys = keys;
      other.rest = () => {};
      await withWorker(workerVars(other.url, deadlines), {}, async (worker) => {
        const began = Date.now();
        for (const answer of await Promise.all([...WHOLE, LIST].map((request) => ask(request, worker))))
          assertProblem(answer, code);
        assert.ok(Date.now() - began < 2 * deadline, `${Date.now() - began} ms`);
      });
    }),
  );
});

test("after many answers of 100 MB the Worker answers as before", async () => {
  stub.rest = huge(200);
  const requests = [LIST, ["GET", NOTE]] as Request[];
  await inParallel(
    Array(30).fill(0),
    3,
    async (_, n) => void assertProblem(await ask(requests[n % 2]!), "upstream_invalid"),
  );
  stub.rest = functions();
  for (const request of [["GET", NOTE], ["PATCH", NOTE, BODY], LIST] as Request[]) assertOk(await ask(request), 200);
  assert.deepEqual(
    broken.worker.logs.filter((line) => /RuntimeError|out of memory/i.test(line)),
    [],
  );
});

test("no redirect is followed, neither by a call nor by the key set", async () => {
  const unknown = jws(newKey("unknown"), claims());
  await withStub((trap) =>
    withStub(async (redirecting) => {
      await withWorker(workerVars(redirecting.url), {}, async (worker) => {
        redirecting.keys = json(200, { keys: [es256.jwk] });
        for (const status of [301, 302, 303, 307, 308]) {
          for (const location of [
            `${trap.url}/rest/v1/notes`,
            `//${new URL(trap.url).host}/rest/v1/notes`,
            "/rest/v1/elsewhere",
          ]) {
            redirecting.received.length = 0;
            redirecting.rest = whole(
              status,
              { location, refresh: `0; url=${location}`, link: `<${location}>; rel=canonical` },
              row,
            );
            for (const request of [...WHOLE, LIST]) assertProblem(await ask(request, worker), "upstream_invalid");
            assert.ok(redirecting.received.every(({ target }) => !target.includes("elsewhere")));
          }
        }
      });
      redirecting.keys = whole(
        302,
        { location: `${trap.url}/auth/v1/.well-known/jwks.json` },
        JSON.stringify({ keys: [es256.jwk] }),
      );
      trap.keys = json(200, { keys: [es256.jwk] });
      await withWorker(workerVars(redirecting.url), {}, async ({ url }) => {
        for (const bearer of [broken.token, unknown])
          assertProblem(await send(url, "GET", NOTE, { token: bearer }), "dependency_unavailable");
      });
      assert.deepEqual(trap.received, []);
    }),
  );
});
