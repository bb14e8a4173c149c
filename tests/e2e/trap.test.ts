// An instance of the module that traps: here because it gets no more memory. What it had under way fails, and the next
// request is answered as if nothing had been.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, beforeEach, test } from "node:test";

import { createNonce, type Answer } from "../../client/src/index.ts";
import { root } from "../../tools/setup/shell.ts";
import { SLACK } from "../support/patience.ts";
import { assertOk, assertProblem, send, type Sent } from "./http.ts";
import { json, jws, legacy, ROW, startStub, type Stub } from "./stub.ts";
import { withWorker, workerVars, type LoggedWorker } from "./support.ts";

const NOTE = `/v1/notes/${ROW.id}`;
const BODY = '{"title":"t"}';
const token = jws(legacy);

let stub: Stub;
before(async () => {
  stub = await startStub();
});
after(() => stub?.stop());
beforeEach(() => {
  stub.rest = json(200, [ROW]);
});

/** The built module, which gets so many pages of 64 KiB beyond those that it starts with. */
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
      return Uint8Array.from(Buffer.concat([module.subarray(0, at + 1), Buffer.from([...encode(section.length), ...section]), module.subarray(content + size)]));
    }
    at = content + size;
  }
  throw new Error("the module has no memory");
}

async function withBound(pages: number, work: (worker: LoggedWorker, ask: (method: string, target: string, sent?: Sent) => Promise<Answer>) => Promise<void>) {
  await withWorker(workerVars(stub.url), { wasm: await bounded(pages) }, (worker) =>
    work(worker, (method, target, sent) => send(worker.url, method, target, { token, ...sent })),
  );
}

/** A page of 12 MB, for which there is no room. */
const LARGE = json(200, Array(100).fill({ ...ROW, body: "x".repeat(120_000) }));

// Where it traps depends on how far it gets: while the answer is copied in, or in the middle of the page.
for (const pages of [40, 170, 230, 300]) {
  test(`with ${pages} pages of memory to spare, a request for which they do not suffice fails alone, however often`, async () => {
    await withBound(pages, async (worker, ask) => {
      assertOk(await ask("GET", NOTE), 200);
      for (let n = 0; n < 3; n++) {
        stub.rest = LARGE;
        const { status } = await ask("GET", "/v1/notes?limit=100");
        assert.equal(status, 500);
        stub.rest = json(200, [ROW]);
        for (let n = 0; n < 3; n++) assertOk(await ask("GET", NOTE), 200);
      }
      assert.ok(worker.logs.some((line) => /unreachable|RuntimeError/.test(line)));
    });
  });
}

test("what was under way ends with the instance, at once, and its nonces stay used", async () => {
  await withBound(40, async (_, ask) => {
    const signed = { nonce: createNonce(), timestamp: Math.floor(Date.now() / 1000) };
    stub.rest = json(201, [ROW]);
    assertOk(await ask("POST", "/v1/notes", { body: BODY, signed }), 201);

    // Some wait for the database, and some are let go on after the trap.
    stub.rest = (received, response) => {
      if (!received.target.includes("&id=eq.")) return LARGE(received, response);
      setTimeout(() => json(200, [ROW])(received, response), 600);
    };
    const began = Date.now();
    const waiting = Array.from({ length: 8 }, () => ask("GET", NOTE));
    await new Promise((resolve) => setTimeout(resolve, 200));
    assert.equal((await ask("GET", "/v1/notes?limit=100")).status, 500);
    for (const answer of await Promise.all(waiting)) assert.ok([200, 500].includes(answer.status), String(answer.status));
    assert.ok(Date.now() - began < SLACK);

    stub.rest = json(201, [ROW]);
    assertProblem(await ask("POST", "/v1/notes", { body: BODY, signed }), "request_replayed");
    assertOk(await ask("POST", "/v1/notes", { body: BODY }), 201);
  });
});
