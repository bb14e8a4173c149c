// The cost that one address can cause. In `enforce` a limit counts refusals; in `report` it counts every request before
// any check. The CPU times that it prints are those of docs/security.md.

import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { after, before, test } from "node:test";

import { cpuNanos } from "../../bench/process.ts";
import { createAirlock } from "../../client/src/index.ts";
import { APP, app, appGuard, type Stack, startStack, withWorker, workerVars } from "../e2e/support.ts";

const LIMIT = 60;
const REQUESTS = 10 * LIMIT;

let stack: Stack;
before(async () => {
  stack = await startStack();
});
after(() => stack.stop());

/** The workerd that was started last. */
function workerd(): number {
  const own = readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .flatMap((pid) => {
      try {
        return /^PPid:\t(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, "latin1"))?.[1] === String(process.pid) &&
          /workerd/.test(readFileSync(`/proc/${pid}/comm`, "latin1"))
          ? [Number(pid)]
          : [];
      } catch {
        return [];
      }
    });
  return Math.max(...own);
}

interface Sent {
  /** How often each status was answered. */
  statuses: Record<number, number>;
  /** CPU milliseconds of the Worker for each request. */
  cpu: number;
}

/** Sends requests one after another, all from one address. */
async function send(
  mode: "enforce" | "report",
  request: (url: string) => Promise<{ status: number }>,
  ip = LIMIT,
): Promise<Sent> {
  const vars = workerVars(stack.supabase.url, {
    APP_GUARD: appGuard({ [APP.appId]: { mode, keys: [{ id: "test", secret: APP.secret }] } }),
  });
  return withWorker(vars, { limits: { ip, user: 100_000 } }, async ({ url }) => {
    // Lets V8 compile the code of the requests first.
    for (let at = 0; at < 200; at++) await (await fetch(`${url}/health`)).arrayBuffer();
    const pid = workerd();
    const [began, statuses]: [number, Record<number, number>] = [cpuNanos(pid), {}];
    for (let at = 0; at < REQUESTS; at++) {
      const { status } = await request(url);
      statuses[status] = (statuses[status] ?? 0) + 1;
    }
    return { statuses, cpu: (cpuNanos(pid) - began) / 1e6 / REQUESTS };
  });
}

const phone = (url: string) => app(url, stack.alice.token).request("GET", "/v1/me");
const forged =
  (body = "", appId = APP.appId) =>
  (url: string) =>
    createAirlock({
      url,
      appId,
      secret: Buffer.alloc(32).toString("base64url"),
      getToken: async () => stack.alice.token,
    }).request(body ? "POST" : "GET", "/v1/notes", body ? { body } : {});
const bare = async (url: string) => {
  const answer = await fetch(`${url}/v1/notes`);
  await answer.arrayBuffer();
  return answer;
};

function print(what: string, { statuses, cpu }: Sent): void {
  console.log(`${what}: ${cpu.toFixed(3)} ms of CPU a request; ${JSON.stringify(statuses)}`);
}

test("many phones behind one address are answered", async () => {
  const sent = await send("enforce", phone);
  print("phones", sent);
  assert.deepEqual(sent.statuses, { 200: REQUESTS });
  const earlier = await send("report", phone);
  print("phones, each request counted", earlier);
  assert.ok((earlier.statuses[429] ?? 0) >= REQUESTS - LIMIT - 5, JSON.stringify(earlier.statuses));
});

test("no headers: always refused as 401, without the body", async () => {
  const sent = await send("enforce", bare);
  print("no headers", sent);
  assert.deepEqual(sent.statuses, { 401: REQUESTS });
});

for (const [what, request] of [
  ["a forged signature", forged()],
  ["a forged signature over 200 KiB", forged(JSON.stringify({ title: "x", body: "y".repeat(200 * 1024) }))],
] as const) {
  test(`${what}: refused as 401 up to the limit, then as 429 for less`, async () => {
    const limited = await send("enforce", request);
    print(what, limited);
    const free = await send("enforce", request, 1_000_000);
    print(`${what}, without a limit`, free);
    assert.deepEqual(free.statuses, { 401: REQUESTS });
    // The binding is told beside the answer, so a few more may pass before it says no.
    assert.ok(
      (limited.statuses[401] ?? 0) <= LIMIT + 5 && (limited.statuses[429] ?? 0) >= REQUESTS - LIMIT - 5,
      JSON.stringify(limited.statuses),
    );
  });
}

test("a request of an unknown app costs as much as one with a forged signature", async () => {
  for (const body of ["", JSON.stringify({ title: "x", body: "y".repeat(200 * 1024) })]) {
    const known = await send("enforce", forged(body), 1_000_000);
    const unknown = await send("enforce", forged(body, "rn-unknown"), 1_000_000);
    print("an unknown app", unknown);
    assert.deepEqual(unknown.statuses, { 401: REQUESTS });
    assert.ok(Math.abs(unknown.cpu / known.cpu - 1) < 0.25, `${unknown.cpu} ms and ${known.cpu} ms`);
  }
});
