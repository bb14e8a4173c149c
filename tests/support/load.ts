// A load of mixed faults in front of real Postgres: every answer is documented, every acknowledged write is there, and no
// write is there twice.

import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { after, before, type TestContext, test } from "node:test";

import { type Answer, createNonce } from "../../client/src/index.ts";
import { type Description, readDescription } from "../e2e/documented.ts";
import { FAULTS, type Flaky, randomly, startFlaky } from "../e2e/flaky.ts";
import { answer, assertOk, assertProblem, begun, headersOf, open, read, type Sent, send } from "../e2e/http.ts";
import { inParallel } from "../e2e/parallel.ts";
import { type LoggedWorker, type Stack, startStack, startWorkerAlone, workerVars } from "../e2e/support.ts";

/** Milliseconds. Without a fault an answer takes a fraction of it, on a busy machine too. */
const UPSTREAM_TIMEOUT = 5000;
/** Bytes of a list after which this client gives up. */
const LIST_MAX = 4 * 1024 * 1024;
const WIDTH = 16;
/** One in four requests to Supabase meets a fault. */
const PROBABILITY = 0.25;
const SEED = 20_261_122;

/** How often each note of a chain is changed. */
const LINKS = 30;

let stack: Stack;
let flaky: Flaky;
let worker: LoggedWorker;
let description: Description;
const random = randomly(SEED);

before(async () => {
  stack = await startStack();
  flaky = await startFlaky(stack.supabase.url, PROBABILITY, randomly(SEED + 1));
  worker = await startWorkerAlone(workerVars(flaky.url, { UPSTREAM_TIMEOUT_MS: String(UPSTREAM_TIMEOUT) }));
  description = await readDescription(worker.url);
});
after(async () => {
  await worker?.stop();
  await flaky?.stop();
  await stack?.stop();
});

/** How often each `status code` was answered. */
const outcomes: Record<string, number> = {};
let slowest = 0;

/** The problems of a broken answer of the upstream: whether the write was carried out is unknown. */
const UNKNOWN = ["upstream_invalid", "upstream_unavailable", "upstream_timeout"] as const;
type Outcome = { answer: Answer; known: true } | { answer?: Answer; known: false };

/** Sends a request of Alice and checks the answer against the table of problems and the document. */
async function ask(method: string, target: string, json?: unknown, signed: Sent["signed"] = {}): Promise<Outcome> {
  const began = Date.now();
  const body = json === undefined ? undefined : JSON.stringify(json);
  const answered = await send(worker.url, method, target, {
    token: stack.alice.token,
    signed,
    ...(body !== undefined && { body }),
  });
  slowest = Math.max(slowest, Date.now() - began);
  return judge(method, target, answered);
}

function count(outcome: string): void {
  outcomes[outcome] = (outcomes[outcome] ?? 0) + 1;
}

/**
 * Reads a page of Alice. The Worker passes its body on without parsing, so it may break off, be invalid JSON or never
 * end.
 */
async function list(target: string): Promise<void> {
  const request = open(worker.url, "GET", target, headersOf("GET", target, { token: stack.alice.token }));
  request.end();
  const response = await begun(request);
  if (response.statusCode !== 200) return void judge("GET", target, await read(response));
  const patience = setTimeout(() => response.destroy(), UPSTREAM_TIMEOUT);
  let bytes = 0;
  response.on("data", (chunk: Buffer) => (bytes += chunk.length) > LIST_MAX && response.destroy());
  try {
    const answered = await read(response);
    if (isJson(answered.body)) judge("GET", target, answered);
    else count("200 with a broken body");
  } catch {
    count("200 that broke off");
  } finally {
    clearTimeout(patience);
  }
}

function isJson(body: string): boolean {
  try {
    JSON.parse(body);
    return true;
  } catch {
    return false;
  }
}

function judge(method: string, target: string, answered: Answer): Outcome {
  description.assertDocumented(method, target, answered);
  const code = answered.status < 400 ? undefined : JSON.parse(answered.body).code;
  const outcome = code === undefined ? String(answered.status) : `${answered.status} ${code}`;
  count(outcome);
  if (code === undefined) return { answer: answered, known: true };
  assertProblem(answered, code);
  assert.doesNotMatch(answered.body, /SECRET|html|127\.0\.0\.1/);
  const known = !UNKNOWN.includes(code);
  if (known) assert.ok(["not_found", "conflict", "request_replayed"].includes(code), outcome);
  return { answer: answered, known };
}

// Notes that one request makes

interface Posted {
  title: string;
  body: string;
  /** The acknowledged id, if there is one. */
  id?: string;
}

/** Creates a note. Some are sent twice at once with one signature; some clients disconnect. */
async function post(index: number): Promise<Posted> {
  const note: Posted = { title: `post ${index} ${randomUUID()}`, body: `${index}` };
  const json = { title: note.title, body: note.body };
  const dice = random();
  if (dice < 0.05) {
    const body = JSON.stringify(json);
    const request = open(
      worker.url,
      "POST",
      "/v1/notes",
      headersOf("POST", "/v1/notes", { token: stack.alice.token, body }),
    );
    request.on("error", () => {});
    request.end(body);
    const response = answer(request).catch(() => undefined);
    await new Promise((resolve) => setTimeout(resolve, random() * 60));
    request.destroy();
    await response;
    count("client gone");
    return note;
  }
  const signed = { nonce: createNonce(), timestamp: Math.floor(Date.now() / 1000) };
  const sends = dice < 0.15 ? 2 : 1;
  const answers = await Promise.all(Array.from({ length: sends }, () => ask("POST", "/v1/notes", json, signed)));
  const created = answers.filter(({ answer, known }) => known && answer?.status === 201);
  assert.ok(created.length <= 1, `${note.title} was created twice`);
  if (created[0]?.answer) {
    const { id, title, body } = assertOk(created[0].answer, 201);
    assert.deepEqual({ title, body }, json);
    note.id = id;
  }
  return note;
}

// Refused requests

const REFUSALS: [code: Parameters<typeof assertProblem>[1], sent: Sent][] = [
  ["app_guard_rejected", { signed: null }],
  ["app_guard_rejected", { signed: { body: "{}" } }],
  ["clock_skew", { signed: { timestamp: 1_700_000_000 } }],
  ["token_invalid", { token: "header.payload.signature" }],
  ["malformed_json", { body: '{"title":' }],
  ["validation_failed", { body: '{"title":"refused","version":1}' }],
  ["malformed_request", { headers: { "If-Match": '"1"' } }],
  ["unsupported_media_type", { headers: { "Content-Type": "text/plain" } }],
];

async function refused(index: number): Promise<void> {
  const [code, sent] = REFUSALS[index % REFUSALS.length]!;
  const answered = await send(worker.url, "POST", "/v1/notes", {
    token: stack.alice.token,
    body: '{"title":"refused"}',
    ...sent,
  });
  description.assertDocumented("POST", "/v1/notes", answered);
  assertProblem(answered, code);
  count(`${answered.status} ${code}`);
}

// Notes that change

/** A note as the database may have it; undefined if there is none. */
type State = { version: number; body: string; deleted: boolean } | undefined;

interface Link {
  method: string;
  path: string;
  json?: { title: string; body: string };
  /** The answer in this state, and the state afterwards. */
  does(state: State): [status: number, next: State];
}

function links(id: string): ((body: string) => Link)[] {
  const path = `/v1/notes/${id}`;
  const changed = (state: NonNullable<State>, change: Partial<NonNullable<State>>) => ({
    ...state,
    ...change,
    version: state.version + 1,
  });
  const put = (body: string): Link => ({
    method: "PUT",
    path,
    json: { title: "chain", body },
    does: (state) =>
      !state
        ? [201, { version: 1, body, deleted: false }]
        : state.deleted
          ? [409, state]
          : [200, changed(state, { body })],
  });
  const patch = (body: string): Link => ({
    method: "PATCH",
    path,
    json: { title: "chain", body },
    does: (state) => (!state || state.deleted ? [404, state] : [200, changed(state, { body })]),
  });
  const remove = (): Link => ({
    method: "DELETE",
    path,
    does: (state) => (!state ? [404, state] : state.deleted ? [204, state] : [204, changed(state, { deleted: true })]),
  });
  const restore = (): Link => ({
    method: "POST",
    path: `${path}/restore`,
    does: (state) => (!state ? [404, state] : state.deleted ? [200, changed(state, { deleted: false })] : [200, state]),
  });
  const get = (): Link => ({ method: "GET", path, does: (state) => [!state || state.deleted ? 404 : 200, state] });
  return [put, put, patch, patch, patch, remove, restore, get];
}

interface Chain {
  id: string;
  /** All states that agree with the answers so far. */
  possible: State[];
}

/** A note that is changed by one request after another. */
async function chain(): Promise<Chain> {
  const id = randomUUID();
  const kinds = links(id);
  let possible: State[] = [undefined];
  for (let n = 0; n <= LINKS; n++) {
    const kind = n === 0 ? kinds[0]! : kinds[Math.floor(random() * kinds.length)]!;
    const link = kind(`${n}`);
    const { answer, known } = await ask(link.method, link.path, link.json);
    let next: State[];
    if (known) {
      const note = answer.status === 200 || answer.status === 201 ? JSON.parse(answer.body) : undefined;
      next = possible.flatMap((state) => {
        const [status, after] = link.does(state);
        const fits =
          status === answer.status &&
          (!note || (after?.version === note.version && after?.body === note.body && note.deleted_at === null));
        return fits ? [after] : [];
      });
      const shown = `${link.method} ${link.path}: ${answer.status} ${answer.body}, in ${JSON.stringify(possible)}`;
      assert.ok(next.length > 0, `an answer that fits no past: ${shown}`);
    } else {
      // It was done or it was not.
      next = [...possible, ...possible.map((state) => link.does(state)[1])];
    }
    possible = [...new Map(next.map((state) => [JSON.stringify(state), state])).values()];
  }
  return { id, possible };
}

/** Declares the tests, with 2,000 requests times `scale`. */
export function testLoad(scale: number): void {
  // Notes that one request makes, notes that many requests change, reads and refused requests.
  const [posts, chains, reads, refusals] = [700, 25, 200, 400].map((count) => Math.ceil(count * scale)) as [
    number,
    number,
    number,
    number,
  ];
  test("requests through all faults lose and repeat no write", (context) =>
    loseAndRepeatNothing(context, posts, chains, reads, refusals));
  // Too few would show nothing: one in four needs a second try.
  test("a POST repeated under its key until it is answered is one note", (context) =>
    repeatUntilAnswered(context, Math.max(30, 60 * scale)));
}

async function loseAndRepeatNothing(
  context: TestContext,
  posts: number,
  chained: number,
  lists: number,
  refusals: number,
): Promise<void> {
  const began = Date.now();
  const reads = ["/v1/notes", "/v1/notes?limit=100", "/v1/notes?state=deleted"];
  const [chains, posted] = await Promise.all([
    inParallel(Array(chained).fill(0), WIDTH / 2, chain),
    inParallel(Array(posts).fill(0), WIDTH / 2, (_, index) => post(index)),
    inParallel(Array(refusals).fill(0), 1, (_, index) => refused(index)),
    inParallel(Array(lists).fill(0), 1, (_, index) => list(reads[index % reads.length]!)),
  ]);
  const total = Object.values(outcomes).reduce((sum, count) => sum + count, 0);
  context.diagnostic(
    `${total} requests in ${Math.round((Date.now() - began) / 1000)} s, the slowest ${slowest} ms: ${JSON.stringify(outcomes)}`,
  );
  context.diagnostic(`${flaky.untouched} requests untouched, faults: ${JSON.stringify(flaky.met)}`);
  assert.ok(total >= posts + chained * LINKS + lists + refusals, `${total} requests`);
  assert.deepEqual(
    Object.keys(FAULTS).filter((name) => !flaky.met[name]),
    [],
    "every class was met",
  );

  // The rows in the database, read without the proxy.
  const rows = await stack.sql(
    "select id, user_id, title, body, version, deleted_at is not null as deleted from public.notes",
  );
  assert.ok(rows.every(({ user_id }) => user_id === stack.alice.id));

  const titled: Record<string, typeof rows> = {};
  for (const row of rows) (titled[String(row.title)] ??= []).push(row);
  let unheard = 0;
  for (const { title, body, id } of posted) {
    const found = titled[title] ?? [];
    assert.ok(found.length <= 1, `${title} is there ${found.length} times`);
    if (id === undefined) unheard += found.length;
    else
      assert.deepEqual(
        found,
        [{ id, user_id: stack.alice.id, title, body, version: 1, deleted: false }],
        "acknowledged",
      );
  }
  const acknowledged = posted.filter(({ id }) => id !== undefined).length;
  context.diagnostic(
    `${posted.length} notes posted, ${acknowledged} acknowledged and there once each; of the others ${unheard} are there, once each`,
  );
  // Neither may be so rare that the test shows nothing.
  assert.ok(acknowledged > posts / 4 && unheard > 0);

  for (const { id, possible } of chains) {
    const row = rows.find((row) => row.id === id);
    const state = row && { version: row.version, body: row.body, deleted: row.deleted };
    assert.ok(
      possible.some((past) => JSON.stringify(past) === JSON.stringify(state)),
      `${id} is ${JSON.stringify(state)}, and may be ${JSON.stringify(possible)}`,
    );
  }
  assert.equal(
    rows.length,
    acknowledged + unheard + chains.filter(({ id }) => rows.some((row) => row.id === id)).length,
    "nothing else is there",
  );

  // No trap in the Worker.
  assert.deepEqual(
    worker.logs.filter((line) => /RuntimeError|unreachable|panicked/.test(line)),
    [],
  );
  const lines = worker.logs.map((line) => JSON.parse(line)).filter(({ event }) => event === "request");
  assert.deepEqual(
    lines.filter(({ status }) => status === 500),
    [],
  );
  const { answer } = await ask("GET", "/v1/me");
  assert.equal(answer?.status, 200, "the Worker is alive");
}

async function repeatUntilAnswered(context: TestContext, notes: number): Promise<void> {
  const tries = await inParallel(Array(notes).fill(0), WIDTH / 2, async () => {
    const [title, key] = [`once ${randomUUID()}`, randomUUID()];
    const body = JSON.stringify({ title });
    for (let tries = 1; ; tries++) {
      // Sometimes two at once, like an app that gave up waiting.
      const sends = random() < 0.3 ? 2 : 1;
      const answers = await Promise.all(
        Array.from({ length: sends }, async () => {
          const answered = await send(worker.url, "POST", "/v1/notes", {
            token: stack.alice.token,
            body,
            headers: { "Idempotency-Key": key },
          });
          return judge("POST", "/v1/notes", answered).answer;
        }),
      );
      const created = answers.filter((answer) => answer?.status === 201).map((answer) => assertOk(answer!, 201).id);
      if (created.length > 0) {
        const rows = await stack.sql("select id from public.notes where title = $1", [title]);
        assert.deepEqual(rows, [{ id: created[0] }]);
        assert.ok(created.every((id) => id === created[0]));
        return tries;
      }
      assert.ok(tries < 50, "never answered");
    }
  });
  const repeated = tries.filter((count) => count > 1).length;
  context.diagnostic(`${notes} notes, ${repeated} of them after ${Math.max(...tries)} tries at most`);
  assert.ok(repeated > 0);
}
