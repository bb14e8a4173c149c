// A platform that fails: limiters that throw, hang, answer late or answer with nothing. Requests are then refused in time
// and do not reach the database.

import assert from "node:assert/strict";
import { after, before, beforeEach, test } from "node:test";

import type { Answer } from "../../client/src/index.ts";
import { SLACK } from "../support/patience.ts";
import { assertOk, assertProblem, logOf, type Sent, send } from "./http.ts";
import { claims, functionOf, functions, jws, legacy, ROW, type Stub, startStub } from "./stub.ts";
import { type LoggedWorker, startWorkerAlone, withWorker, workerVars } from "./support.ts";

const NOTE = `/v1/notes/${ROW.id}`;
const BODY = '{"title":"t"}';

const STORE_TIMEOUT = 3000;
const UPSTREAM_TIMEOUT = 3000;
/** Milliseconds that a slow limiter takes. */
const SLOWNESS = STORE_TIMEOUT / 10;

/** A stand-in's behaviour is the last digit of the address or user that it is asked about. */
const GOOD = 0;
const LIMITER = { throws: 1, hangs: 2, "answers late": 4, "answers with nothing": 5 };
const SLOW = 3;

const STAND_INS = `
  import { WorkerEntrypoint } from "cloudflare:workers";

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
  stub.rest = functions();
  stub.received.length = 0;
});

type Request = [method: string, target: string, body?: string];
const READS: Request[] = [
  ["GET", NOTE],
  ["GET", "/v1/notes"],
];
const WRITES: Request[] = [
  ["POST", "/v1/notes", BODY],
  ["PUT", NOTE, BODY],
  ["PATCH", NOTE, BODY],
  ["DELETE", NOTE],
  ["POST", `${NOTE}/restore`],
];

interface Behaviour {
  address?: number;
  user?: number;
}

/** Sends one request whose limiters behave so. */
function ask(
  [method, target, body]: Request,
  { address = GOOD, user = GOOD }: Behaviour,
  sent: Sent = {},
): Promise<Answer> {
  return send(worker.url, method, target, {
    token: jws(legacy, claims({ sub: `00000000-0000-4000-8000-00000000000${user}` })),
    headers: { "CF-Connecting-IP": `203.0.113.${address}` },
    ...(body && { body }),
    ...sent,
  });
}

/** All requests are refused in time, and none reaches the database. */
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

test("requests pass when limiters answer", async () => {
  for (const request of [...READS, ...WRITES]) assert.ok((await ask(request, {})).status < 300, request.join(" "));
  assert.ok(stub.received.length >= READS.length + WRITES.length);
});

const PUBLISHED = `/v1/public/notes/${ROW.id}`;

for (const [what, behaviour] of Object.entries(LIMITER)) {
  test(`a user limiter that ${what} refuses every request`, async () => {
    await refused([...READS, ...WRITES, ["GET", "/v1/me"]], { user: behaviour });
    // Its bucket is the app and the address.
    await refused([["GET", PUBLISHED]], { address: behaviour });
    assertOk(await ask(["GET", NOTE], {}), 200);
  });

  test(`an address limiter that ${what} refuses no request`, async () => {
    const behave = { address: behaviour };
    for (let n = 0; n < 3; n++) assertProblem(await ask(["GET", NOTE], behave, { signed: null }), "app_guard_rejected");
    for (const request of [...READS, ...WRITES])
      assert.ok((await ask(request, behave)).status < 300, request.join(" "));
  });
}

test("a refusal does not wait for the address limiter", async () => {
  await withWorker(workerVars(stub.url, { STORE_TIMEOUT_MS: "60000" }), { standIns: STAND_INS }, async ({ url }) => {
    const began = Date.now();
    const headers = { "CF-Connecting-IP": `203.0.113.${LIMITER.hangs}` };
    assertProblem(await send(url, "GET", NOTE, { signed: null, headers }), "app_guard_rejected");
    assert.ok(Date.now() - began < SLACK, `${Date.now() - began} ms`);
  });
});

test("a slow limiter that answers in time is waited for", async () => {
  assertOk(await ask(["POST", "/v1/notes", BODY], { user: SLOW }), 201);
});

test("requests that wait for a limiter do not delay others", async () => {
  const began = Date.now();
  const waiting = Promise.all(
    Array.from({ length: 100 }, () => ask(["POST", "/v1/notes", BODY], { user: LIMITER.hangs })),
  );
  const others = await Promise.all(Array.from({ length: 20 }, () => ask(["GET", NOTE], {})));
  for (const answered of others) assertOk(answered, 200);
  for (const answered of await waiting) assertProblem(answered, "dependency_unavailable");
  assert.ok(Date.now() - began < STORE_TIMEOUT + SLACK, `${Date.now() - began} ms`);
  assert.ok(stub.received.every((received) => functionOf(received) === "airlock_read"));
});

test("a request takes at most the sum of its deadlines", async () => {
  stub.rest = () => {};
  const began = Date.now();
  const answered = await ask(["POST", "/v1/notes", BODY], { user: SLOW });
  const took = Date.now() - began;
  assertProblem(answered, "upstream_timeout");
  const waits = SLOWNESS + UPSTREAM_TIMEOUT;
  assert.ok(took >= waits - 50 && took < waits + SLACK, `${took} ms`);
});
