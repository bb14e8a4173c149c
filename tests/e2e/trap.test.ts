// An instance of the module that traps for lack of memory, or that the platform stops, as at the end of its CPU time.
// Its requests get a problem, and a new instance answers the next request.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, beforeEach, test } from "node:test";
import { createContext, runInContext } from "node:vm";

import type { Answer } from "../../client/src/index.ts";
import { root } from "../../tools/setup/shell.ts";
import { functionNames } from "../../tools/setup/worker.ts";
import { SLACK } from "../support/patience.ts";
import { assertOk, assertProblem, logOf, type Sent, send } from "./http.ts";
import { claims, functions, json, jws, legacy, newKey, ROW, type Stub, startStub } from "./stub.ts";
import { type LoggedWorker, withWorker, workerVars } from "./support.ts";

const NOTE = `/v1/notes/${ROW.id}`;
const BODY = '{"title":"t"}';
const token = jws(legacy);

let stub: Stub;
before(async () => {
  stub = await startStub();
});
after(() => stub?.stop());
beforeEach(() => {
  stub.rest = functions();
});

/** The built module, which may grow by this many pages of 64 KiB. */
async function bounded(more: number): Promise<Uint8Array<ArrayBuffer>> {
  const module = await readFile(join(root, "build", "index_bg.wasm"));
  const number = (at: number): [value: number, end: number] => {
    let [value, shift] = [0, 0];
    for (; ; shift += 7) {
      const byte = module[at++]!;
      value |= (byte & 127) << shift;
      if (byte < 128) return [value, at];
    }
  };
  const encode = (value: number): number[] => (value < 128 ? [value] : [(value & 127) | 128, ...encode(value >>> 7)]);
  for (let at = 8; at < module.length; ) {
    const [size, content] = number(at + 1);
    // The section of memories has one, without a maximum so far.
    if (module[at] === 5) {
      const [pages] = number(content + 2);
      const section = [1, 1, ...encode(pages), ...encode(pages + more)];
      return Uint8Array.from(
        Buffer.concat([
          module.subarray(0, at + 1),
          Buffer.from([...encode(section.length), ...section]),
          module.subarray(content + size),
        ]),
      );
    }
    at = content + size;
  }
  throw new Error("the module has no memory");
}

async function withBound(
  pages: number,
  work: (worker: LoggedWorker, ask: (method: string, target: string, sent?: Sent) => Promise<Answer>) => Promise<void>,
) {
  await withWorker(workerVars(stub.url), { wasm: await bounded(pages) }, (worker) =>
    work(worker, (method, target, sent) => send(worker.url, method, target, { token, ...sent })),
  );
}

/** The names of the module's functions in a stack, from the list that the build makes. */
function functionsOf(stack: string): string[] {
  const names = new Map(
    readFileSync(functionNames, "utf8")
      .split("\n")
      .map((line) => [line.split(":", 1)[0], line.slice(line.indexOf(":") + 1)]),
  );
  return [...stack.matchAll(/wasm-function\[(\d+)\]/g)].map(
    ([, number]) => names.get(number) ?? assert.fail(`${number} has no name`),
  );
}

/** A row of 12 MB, for which there is no room. */
const LARGE = functions({ ...ROW, body: "x".repeat(12_000_000) });

// It traps while the answer is copied in, while it is parsed or while the response is made.
for (const pages of [40, 230, 300]) {
  test(`only the request that needs over ${pages} pages of memory fails`, async () => {
    await withBound(pages, async (worker, ask) => {
      assertOk(await ask("GET", NOTE), 200);
      for (let n = 0; n < 3; n++) {
        stub.rest = LARGE;
        const answered = await ask("GET", NOTE);
        assertProblem(answered, "internal");
        const { request_id: _, reason, stack, ...line } = await logOf(worker, answered);
        assert.deepEqual(line, { event: "request", method: "GET", status: 500, code: "internal" });
        assert.match(reason, /^the module failed: RuntimeError: /);
        assert.ok(
          functionsOf(stack).some((name) => /malloc|alloc::|airlock::/.test(name)),
          functionsOf(stack).join("\n"),
        );
        stub.rest = functions();
        for (let n = 0; n < 3; n++) assertOk(await ask("GET", NOTE), 200);
      }
    });
  });
}

test("a list needs no memory of the module", async () => {
  await withBound(40, async (_, ask) => {
    stub.rest = json(200, { data: Array(100).fill({ ...ROW, body: "x".repeat(120_000) }), next_cursor: null });
    assert.equal(assertOk(await ask("GET", "/v1/notes?limit=100"), 200).data.length, 100);
    stub.rest = functions();
    assertOk(await ask("GET", NOTE), 200);
  });
});

test("requests in flight end with their instance, at once", async () => {
  await withBound(40, async (_, ask) => {
    // Some wait for the database, and some continue after the trap.
    stub.rest = (received, response) => void setTimeout(() => functions()(received, response), 600);
    const began = Date.now();
    const waiting = Array.from({ length: 8 }, () => ask("GET", NOTE));
    await new Promise((resolve) => setTimeout(resolve, 200));
    stub.rest = LARGE;
    assertProblem(await ask("GET", NOTE), "internal");
    for (const answer of await Promise.all(waiting)) if (answer.status !== 200) assertProblem(answer, "internal");
    assert.ok(Date.now() - began < SLACK);

    stub.rest = functions();
    assertOk(await ask("POST", "/v1/notes", { body: BODY }), 201);
  });
});

// The build replaces Rust's formatting of floats by a trap: no error message about JSON may need it.
test("a float in the place of another value is refused without a trap", async () => {
  await withWorker(workerVars(stub.url), {}, async (worker) => {
    const ask = (method: string, sent: Sent = {}) => send(worker.url, method, NOTE, { token, ...sent });
    const assertRefused = ({ status, body }: Answer) =>
      assert.ok(status >= 400 && JSON.parse(body).code !== "internal", body);

    for (const body of ["1.5", "[1.5]", '{"title":1.5}', '{"title":[1.5]}', '{"title":{"a":1e300}}'])
      assertRefused(await ask("PATCH", { body }));
    for (const name of ["sub", "role", "aud"])
      assertRefused(await ask("GET", { token: jws(legacy, claims({ [name]: 1.5 })) }));
    for (const header of [{ alg: 1.5 }, { kid: 1.5 }, "1.5"])
      assertRefused(await ask("GET", { token: jws(newKey("k"), claims(), header) }));
    for (const keys of [1.5, { keys: 1.5 }, { keys: [1.5] }, { keys: [{ kty: 1.5, kid: 1.5 }] }]) {
      stub.keys = json(200, keys);
      assertRefused(await ask("GET", { token: jws(newKey("k")) }));
    }
    for (const outcome of [
      1.5,
      { outcome: 1.5 },
      { outcome: "done", row: 1.5 },
      { outcome: "done", row: { ...ROW, version: 1.5 } },
    ]) {
      stub.rest = json(200, outcome);
      assertRefused(await ask("PATCH", { body: BODY }));
    }
    for (const error of [1.5, { code: 1.5 }, { code: "22023", message: 1.5, details: 1.5 }]) {
      stub.rest = json(400, error);
      assertRefused(await ask("PATCH", { body: BODY }));
    }
    assert.deepEqual(
      worker.logs.filter((line) => line.includes("RuntimeError")),
      [],
    );
  });
});

// workerd has no limit of CPU time on this machine. V8 ends a script of `node:vm` in the same way: no `finally` runs.
test("an instance that was ended during a call is replaced", () => {
  const source = readFileSync(join(root, "src", "worker", "exchange.js"), "utf8").replaceAll(/^export /gm, "");
  const context = createContext({ replaced: 0, reportError: () => {}, TextEncoder, WebAssembly });
  const run = (script: string): unknown => runInContext(script, context, { timeout: 200 });
  run(`${source}; entry("", { __wbg_reset_state: () => replaced++ });`);
  assert.equal(run("guarded(() => 1 + 2 + 3)"), 6);
  assert.throws(() => run("guarded(() => { throw new Error('of the platform'); })"), /of the platform/);
  assert.equal(run("replaced"), 0);
  assert.throws(() => run("guarded(() => { for (;;); })"), /timed out/);
  assert.deepEqual([run("replaced"), run("guarded(() => replaced)"), run("guarded(() => replaced)")], [0, 1, 1]);
  assert.throws(() => run("guarded(() => { throw new WebAssembly.RuntimeError('unreachable'); })"), /unreachable/);
  assert.equal(run("guarded(() => replaced)"), 2);
});
