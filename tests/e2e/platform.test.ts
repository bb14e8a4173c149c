// When the platform fails: limiters and a nonce store that throw, hang, are late or make no sense. Whoever can't be
// asked lets nobody in, in time, and nothing reaches the database.

import assert from "node:assert/strict";
import { after, before, beforeEach, test } from "node:test";

import { createNonce, type Answer } from "../../client/src/index.ts";
import { SLACK } from "../support/patience.ts";
import { assertOk, assertProblem, logOf, send, type Sent } from "./http.ts";
import { claims, json, jws, legacy, ROW, startStub, type Stub } from "./stub.ts";
import { startWorkerAlone, workerVars, type LoggedWorker } from "./support.ts";

const NOTE = `/v1/notes/${ROW.id}`;
const BODY = '{"title":"t"}';

const STORE_TIMEOUT = 3000;
const UPSTREAM_TIMEOUT = 3000;
/** What a slow one takes. */
const SLOWNESS = STORE_TIMEOUT / 10;

/** How a stand-in behaves is the last digit of what it is asked about: an address, a user, a nonce. */
const GOOD = 0;
const LIMITER = { throws: 1, hangs: 2, "answers late": 4, "answers with nothing": 5 };
const SLOW = 3;
const NONCES = {
  throws: 1, hangs: 2, "is overloaded": 4, "answers late": 5, "fails (500)": 6, "is too busy (429)": 7, "answers something else (204)": 8, "is aborted": 9,
};

const STAND_INS = `
  import { DurableObject, WorkerEntrypoint } from "cloudflare:workers";

  const slow = () => scheduler.wait(${SLOWNESS});
  const late = () => scheduler.wait(${STORE_TIMEOUT * 1.5});
  const hang = () => scheduler.wait(600_000);

  export class Limiter extends WorkerEntrypoint {
    async limit({ key }) {
      switch (Number(key.at(-1))) {
        case 1: throw new Error("SECRET: limiter");
        case 2: await hang(); break;
        case 3: await slow(); break;
        case 4: await late(); break;
        case 5: return undefined;
      }
      return { success: true };
    }
  }

  export class Replay extends DurableObject {
    async fetch(request) {
      const { pathname } = new URL(request.url);
      switch (Number(pathname.at(-1))) {
        case 1: throw new Error("SECRET: nonces");
        case 2: await hang(); break;
        case 3: await slow(); break;
        case 4: throw Object.assign(new Error("Durable Object is overloaded. Too many requests queued."), { overloaded: true, retryable: true });
        case 5: await late(); break;
        case 6: return new Response("SECRET", { status: 500 });
        case 7: return new Response("SECRET", { status: 429 });
        case 8: return new Response(null, { status: 204 });
        case 9: this.ctx.abort("SECRET: evicted"); break;
      }
      return new Response();
    }
  }

  export default { fetch: () => new Response() };
`;

let stub: Stub;
let worker: LoggedWorker;

before(async () => {
  stub = await startStub();
  const timeouts = { STORE_TIMEOUT_MS: String(STORE_TIMEOUT), UPSTREAM_TIMEOUT_MS: String(UPSTREAM_TIMEOUT) };
  worker = await startWorkerAlone(workerVars(stub.url, timeouts), { standIns: STAND_INS });
});
after(async () => {
  await worker?.stop();
  await stub?.stop();
});
beforeEach(() => {
  stub.rest = (request, response) => json(request.method === "POST" ? 201 : 200, [ROW])(request, response);
  stub.received.length = 0;
});

type Request = [method: string, target: string, body?: string];
const READS: Request[] = [["GET", NOTE], ["GET", "/v1/notes"]];
const WRITES: Request[] = [["POST", "/v1/notes", BODY], ["PUT", NOTE, BODY], ["PATCH", NOTE, BODY], ["DELETE", NOTE], ["POST", `${NOTE}/restore`]];

interface Behaviour {
  address?: number;
  user?: number;
  nonce?: number;
}

/** One request that meets stand-ins of these behaviours. */
function ask([method, target, body]: Request, { address = GOOD, user = GOOD, nonce = GOOD }: Behaviour, sent: Sent = {}): Promise<Answer> {
  return send(worker.url, method, target, {
    token: jws(legacy, claims({ sub: `00000000-0000-4000-8000-00000000000${user}` })),
    headers: { "CF-Connecting-IP": `203.0.113.${address}` },
    signed: { nonce: `${createNonce()}${nonce}` },
    ...(body && { body }),
    ...sent,
  });
}

/** All of these are refused, in time, and none of them reaches the database. */
async function refused(requests: Request[], behaviour: Behaviour, most = STORE_TIMEOUT): Promise<void> {
  const began = Date.now();
  const answers = await Promise.all(requests.map((request) => ask(request, behaviour)));
  const took = Date.now() - began;
  for (const answered of answers) {
    assertProblem(answered, "dependency_unavailable");
    assert.doesNotMatch(answered.body, /SECRET/);
    assert.doesNotMatch(JSON.stringify(await logOf(worker, answered)), /SECRET/);
  }
  assert.ok(took < most + SLACK, `${took} ms`);
  assert.deepEqual(stub.received, []);
}

test("stand-ins that do their work let everything pass", async () => {
  for (const request of [...READS, ...WRITES]) assert.ok((await ask(request, {})).status < 300, request.join(" "));
  assert.ok(stub.received.length >= READS.length + WRITES.length);
});

for (const [what, behaviour] of Object.entries(LIMITER)) {
  test(`a limiter that ${what} lets nobody in: neither that of the addresses nor that of the users`, async () => {
    await refused([...READS, ...WRITES, ["GET", "/v1/me"]], { address: behaviour });
    await refused([...READS, ...WRITES, ["GET", "/v1/me"]], { user: behaviour });
    assertOk(await ask(["GET", NOTE], {}), 200);
    assertOk(await send(worker.url, "GET", "/health", { signed: null, headers: { "CF-Connecting-IP": `203.0.113.${behaviour}` } }), 200);
  });
}

for (const [what, behaviour] of Object.entries(NONCES)) {
  test(`a nonce store that ${what} stops every write and no read`, async () => {
    await refused(WRITES, { nonce: behaviour });
    for (const read of READS) assertOk(await ask(read, { nonce: behaviour }), 200);
    assertOk(await ask(["PATCH", NOTE, BODY], {}), 200);
  });
}

test("a claim that was granted too late is not acted upon later", async () => {
  await refused([["POST", "/v1/notes", BODY]], { nonce: NONCES["answers late"] });
  await new Promise((resolve) => setTimeout(resolve, STORE_TIMEOUT));
  assert.deepEqual(stub.received, []);
});

test("what is slow but in time is waited for", async () => {
  for (const behaviour of [{ address: SLOW }, { user: SLOW }, { nonce: SLOW }, { address: SLOW, user: SLOW, nonce: SLOW }]) {
    assertOk(await ask(["POST", "/v1/notes", BODY], behaviour), 201);
  }
});

test("many that wait for a limiter that hangs hold up nobody else, and all of them are answered in time", async () => {
  const began = Date.now();
  const waiting = Promise.all(Array.from({ length: 100 }, () => ask(["POST", "/v1/notes", BODY], { address: LIMITER.hangs })));
  const others = await Promise.all(Array.from({ length: 20 }, () => ask(["GET", NOTE], {})));
  for (const answered of others) assertOk(answered, 200);
  for (const answered of await waiting) assertProblem(answered, "dependency_unavailable");
  assert.ok(Date.now() - began < STORE_TIMEOUT + SLACK, `${Date.now() - began} ms`);
  assert.ok(stub.received.every(({ method }) => method === "GET"));
});

test("deadlines one after another are the most that a request takes", async () => {
  stub.rest = () => {};
  const began = Date.now();
  const answered = await ask(["POST", "/v1/notes", BODY], { address: SLOW, user: SLOW, nonce: SLOW });
  const took = Date.now() - began;
  assertProblem(answered, "upstream_timeout");
  const waits = 3 * SLOWNESS + UPSTREAM_TIMEOUT;
  assert.ok(took >= waits - 50 && took < waits + SLACK, `${took} ms`);
});
