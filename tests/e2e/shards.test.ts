// A signed write is good once, however many copies arrive at once, on whichever object its nonce falls, and whatever
// happens to that object in between.

import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";

import { createNonce, type Answer } from "../../client/src/index.ts";
import { assertProblem, send } from "./http.ts";
import { json, jws, legacy, ROW, startStub, type Stub } from "./stub.ts";
import { APP, startWorkerAlone, withWorker, workerVars, type LoggedWorker } from "./support.ts";

/** As in src/edge/replay.rs. */
const SHARDS = 32;
const COPIES = 200;

const NOTE = `/v1/notes/${ROW.id}`;
const WRITES: [method: string, target: string, body?: string][] = [
  ["POST", "/v1/notes", '{"title":"one of many"}'],
  ["PUT", NOTE, '{"title":"one of many"}'],
  ["PATCH", NOTE, '{"title":"one of many"}'],
  ["DELETE", NOTE],
  ["POST", `${NOTE}/restore`],
];

let stub: Stub;
let dataDir: string;
const token = jws(legacy);

before(async () => {
  stub = await startStub();
  stub.rest = (request, response) => json(request.method === "POST" ? 201 : 200, [ROW])(request, response);
  dataDir = await mkdtemp(join(tmpdir(), "airlock-e2e-"));
});
after(async () => {
  await stub?.stop();
  if (dataDir) await rm(dataDir, { recursive: true, force: true });
});

/** The number of the object that the claim of this nonce falls on. */
function shardOf(nonce: string): number {
  let hash = 0x811c9dc5;
  for (const byte of Buffer.from(`${APP.appId}:${nonce}`)) hash = Math.imul(hash ^ byte, 0x01000193) >>> 0;
  return hash % SHARDS;
}

/** What makes two requests the very same; its claim falls on this object. */
function fixed(shard: number) {
  let nonce = createNonce();
  while (shardOf(nonce) !== shard) nonce = createNonce();
  return { nonce, timestamp: Math.floor(Date.now() / 1000) };
}

type Signed = ReturnType<typeof fixed>;

function copies(url: string, count: number, [method, target, body]: (typeof WRITES)[0], signed: Signed): Promise<Answer[]> {
  return Promise.all(Array.from({ length: count }, () => send(url, method, target, { token, signed, ...(body && { body }) })));
}

/** Whether this object knows the nonce: a second claim at it is refused. */
async function knows({ miniflare }: LoggedWorker, shard: number, { nonce }: Signed): Promise<boolean> {
  interface Objects {
    idFromName(name: string): unknown;
    get(id: unknown): { fetch(url: string, init: RequestInit): Promise<Response> };
  }
  const objects = (await miniflare.getDurableObjectNamespace("REPLAY", "airlock")) as unknown as Objects;
  const object = objects.get(objects.idFromName(`shard-${shard}`));
  const { status } = await object.fetch(`https://replay/360/${APP.appId}:${nonce}`, { method: "POST" });
  return status === 409;
}

async function evict({ miniflare }: LoggedWorker, shard: number): Promise<void> {
  await miniflare.unsafeEvictDurableObject("airlock", "Replay", { name: `shard-${shard}` });
}

test("of 200 copies of a write exactly one is accepted, on each of several objects, and none after it was evicted or everything was restarted", async (context) => {
  const shards = [0, 7, 13, 22, 31];
  const writes = shards.map((shard, n) => ({ shard, signed: fixed(shard), write: WRITES[n]! }));
  const accepted = (answers: Answer[]) => answers.filter(({ status }) => status < 300).length;
  const vars = workerVars(stub.url);
  let sent = 0;

  /** Sends each write again; none of the copies gets anywhere. */
  const replayed = async (url: string, count: number, when: string) => {
    stub.received.length = 0;
    for (const { write, signed } of writes) {
      for (const answered of await copies(url, count, write, signed)) assertProblem(answered, "request_replayed");
      sent += count;
    }
    assert.deepEqual(stub.received, [], when);
  };

  const worker = await startWorkerAlone(vars, { dataDir });
  try {
    for (const { shard, write, signed } of writes) {
      stub.received.length = 0;
      const answers = await copies(worker.url, COPIES, write, signed);
      sent += COPIES;
      assert.equal(accepted(answers), 1, `${write[0]} on object ${shard}`);
      for (const answered of answers) if (answered.status >= 300) assertProblem(answered, "request_replayed");
      assert.equal(stub.received.length, 1, "one statement");
    }
    // The objects are those that this test takes them for.
    for (const { shard, signed } of writes) assert.ok(await knows(worker, shard, signed));
    assert.ok(!(await knows(worker, 1, writes[0]!.signed)));

    for (const { shard } of writes) await evict(worker, shard);
    await replayed(worker.url, 20, "evicted");
    // Evicted over and over, while copies are on their way.
    const storm = Promise.allSettled(Array.from({ length: 10 }, (_, n) => evict(worker, shards[n % shards.length]!)));
    stub.received.length = 0;
    for (const { write, signed } of writes) assert.equal(accepted(await copies(worker.url, 20, write, signed)), 0);
    sent += 20 * writes.length;
    await storm;
    assert.deepEqual(stub.received, []);
  } finally {
    await worker.stop();
  }

  await withWorker(vars, { dataDir }, ({ url }) => replayed(url, 20, "restarted"));
  context.diagnostic(`counted: ${sent} copies of ${writes.length} writes on ${shards.length} objects, ${writes.length} accepted`);
});

test("a claim that meets the eviction of its object is granted once or not at all", async () => {
  const worker = await startWorkerAlone(workerVars(stub.url));
  try {
    let granted = 0;
    for (let n = 0; n < 20; n++) {
      const signed = fixed(n);
      stub.received.length = 0;
      const answers = copies(worker.url, 10, WRITES[0]!, signed);
      await Promise.allSettled([evict(worker, n), evict(worker, n)]);
      const statuses = (await answers).map(({ status }) => status);
      const accepted = statuses.filter((status) => status === 201).length;
      assert.ok(accepted <= 1 && stub.received.length === accepted, statuses.join());
      assert.deepEqual(statuses.filter((status) => ![201, 409, 503].includes(status)), []);
      granted += accepted;
    }
    assert.ok(granted > 0);
  } finally {
    await worker.stop();
  }
});
