// Memory of the Worker's isolate while many large bodies are in flight, in either direction.

import assert from "node:assert/strict";
import type { ClientRequest, IncomingMessage } from "node:http";
import { after, before, test } from "node:test";

import type { Answer } from "../../client/src/index.ts";
import { type Inspector, openInspector } from "../../tools/stack/inspector.ts";
import { until } from "../support/patience.ts";
import { answer, assertOk, assertProblem, begun, headersOf, open, read, send } from "./http.ts";
import { inParallel } from "./parallel.ts";
import { functions, json, jws, legacy, ROW, type Stub, startStub } from "./stub.ts";
import { type LoggedWorker, startWorkerAlone, workerVars } from "./support.ts";

const MIB = 1024 * 1024;
const token = jws(legacy);

let stub: Stub;
let worker: LoggedWorker;
let inspector: Inspector;

before(async () => {
  stub = await startStub();
  worker = await startWorkerAlone(workerVars(stub.url), { inspector: true });
  inspector = await openInspector(worker);
});
after(async () => {
  inspector?.close();
  await worker?.stop();
  await stub?.stop();
});

/** Bytes of the isolate: V8's heap, array buffers and the memory of WASM. */
async function isolateBytes(): Promise<number> {
  const { usedSize, embedderHeapUsedSize, backingStorageSize } = await inspector.heapUsage();
  return usedSize + embedderHeapUsedSize + backingStorageSize;
}

async function warmUp(): Promise<void> {
  stub.rest = functions();
  const body = '{"title":"a"}';
  await inParallel(Array(200).fill(0), 16, async (_, n) => {
    if (n % 2) assertOk(await send(worker.url, "GET", "/v1/notes", { token }), 200);
    else assertOk(await send(worker.url, "POST", "/v1/notes", { token, body }), 201);
  });
}

test("24 pages of 5 MB in flight take less than 40 MB", async (context) => {
  await warmUp();
  const page = { data: Array(50).fill({ ...ROW, body: "x".repeat(100_000) }), next_cursor: null };
  stub.rest = json(200, page);
  const whole = JSON.stringify(page);
  // A response that is not read stays in memory.
  const responses = await inParallel(Array(24).fill(0), 24, (): Promise<IncomingMessage> => {
    const request = open(worker.url, "GET", "/v1/notes", headersOf("GET", "/v1/notes", { token }));
    request.end();
    return begun(request);
  });
  await new Promise((resolve) => setTimeout(resolve, 1000));
  const bytes = await isolateBytes();
  for (const response of responses) assert.ok((await read(response)).body === whole, "the page is whole");
  context.diagnostic(`24 pages of 5 MB in flight, the isolate has ${Math.round(bytes / MIB)} MiB`);
  assert.ok(bytes < 40e6, `${bytes} bytes`);
});

const SIZE = 256 * 1024;
const BODY = `{"title":"a"${" ".repeat(SIZE - 13)}}`;
const BUDGET = 32 * MIB;

interface HalfSent {
  request: ClientRequest;
  answer: ReturnType<typeof answer>;
}

/** Sends the first half of a POST of 256 KiB. */
function sendHalf(): HalfSent {
  const request = open(worker.url, "POST", "/v1/notes", headersOf("POST", "/v1/notes", { token, body: BODY }));
  request.write(BODY.slice(0, SIZE / 2));
  return { request, answer: answer(request) };
}

test("1,000 half-sent bodies stay within the isolate's memory", async (context) => {
  await warmUp();
  let most = 0;
  const waiting = new Set<HalfSent>();
  const refused: Answer[] = [];
  for (let n = 0; n < 1000; n++) {
    const half = sendHalf();
    waiting.add(half);
    half.answer.then(
      (answered) => {
        refused.push(answered);
        waiting.delete(half);
        half.request.destroy();
      },
      // The test has ended this request.
      () => {},
    );
    if (n % 50 === 0) {
      await new Promise((resolve) => setTimeout(resolve, 20));
      most = Math.max(most, await isolateBytes());
    }
  }
  await until("requests beyond the budget are refused", () => waiting.size * (SIZE / 2) <= BUDGET);
  most = Math.max(most, await isolateBytes());
  for (const answered of refused) assertProblem(answered, "dependency_unavailable");
  // Requests without a body go on.
  assertOk(await send(worker.url, "GET", `/v1/notes/${ROW.id}`, { token }), 200);
  const held = waiting.size;
  context.diagnostic(
    `1,000 half-sent bodies, ${refused.length} refused, ${held} held, at most ${Math.round(most / MIB)} MiB`,
  );
  assert.ok(held >= BUDGET / SIZE / 2, `${held} are held`);
  assert.ok(most < 128e6, `${most} bytes`);

  // Disconnects give their part of the budget back.
  const ended = [...waiting];
  const [whole, broken] = [ended.slice(0, 20), ended.slice(20)];
  for (const { request } of broken) request.destroy();
  for (const { request } of whole) request.end(BODY.slice(SIZE / 2));
  for (const { answer } of whole) assertOk(await answer, 201);
  const free = async () => {
    const answers = await inParallel(Array(60).fill(0), 60, () =>
      send(worker.url, "POST", "/v1/notes", { token, body: BODY }),
    );
    return answers.every(({ status }) => status === 201);
  };
  for (let n = 0; !(await free()); n++) assert.ok(n < 20, "the budget stays taken");
});
