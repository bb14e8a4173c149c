// The way to Supabase, when it answers as hosted Supabase does, and when it does anything but answer.

import assert from "node:assert/strict";
import { after, before, beforeEach, test } from "node:test";

import type { Answer } from "../../client/src/index.ts";
import { SLACK, until } from "../support/patience.ts";
import { assertOk, assertProblem, headersOf, logOf, open, send } from "./http.ts";
import { bytes, json, jws, legacy, ROW, startStub, SUB, withStub, type Handler, type Stub } from "./stub.ts";
import { PUBLISHABLE_KEY, startWorkerAlone, withWorker, workerVars, type LoggedWorker } from "./support.ts";

const NOTE = `/v1/notes/${ROW.id}`;
const TIMEOUT = 4000;
/** What a statement may take where nothing is set. */
const CONTRACT = 10_000;

let stub: Stub;
let worker: LoggedWorker;
/** One whose deadline is soon. */
let hasty: LoggedWorker;
let token: string;

before(async () => {
  stub = await startStub();
  token = jws(legacy);
  worker = await startWorkerAlone(workerVars(stub.url));
  hasty = await startWorkerAlone(workerVars(stub.url, { UPSTREAM_TIMEOUT_MS: String(TIMEOUT) }));
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
const BODY = '{"title":"t","body":"b"}';
/** One for each route that needs the database. */
const REQUESTS: Request[] = [
  ["GET", NOTE],
  ["GET", "/v1/notes"],
  ["POST", "/v1/notes", BODY],
  ["PUT", NOTE, BODY],
  ["PATCH", NOTE, BODY],
  ["DELETE", NOTE],
  ["POST", `${NOTE}/restore`],
];

function ask([method, target, body]: Request, headers: Record<string, string> = {}, to = worker): Promise<Answer> {
  return send(to.url, method, target, { token, headers, ...(body && { body }) });
}

type Code = Parameters<typeof assertProblem>[1];

/** What the upstream says in these tests, and no answer and no log line may repeat. */
const SPOKEN_UPSTREAM = /SECRET|public\.notes|<html|127\.0\.0\.1/;

/** Every route that needs the database answers with this problem, in time, and without a word of the upstream. */
async function everyRoute(code: Code): Promise<void> {
  stub.received.length = 0;
  const asked = code === "upstream_timeout" ? hasty : worker;
  const began = Date.now();
  const answers = await Promise.all(REQUESTS.map((request) => ask(request, {}, asked)));
  assert.ok(Date.now() - began < (asked === hasty ? TIMEOUT : CONTRACT) + SLACK, `${Date.now() - began} ms`);
  for (const answered of answers) {
    assertProblem(answered, code);
    assert.doesNotMatch(answered.body, SPOKEN_UPSTREAM);
    assert.doesNotMatch(JSON.stringify(await logOf(asked, answered)), SPOKEN_UPSTREAM);
  }
  assert.ok(stub.received.length <= REQUESTS.length * 3, "no storm of retries");
}

// What goes out

test("the user's own token goes out unchanged, with the publishable key and nothing of the client's", async () => {
  const smuggled = {
    apikey: "stolen",
    Prefer: "count=exact, tx=rollback",
    "Accept-Profile": "auth",
    "Content-Profile": "auth",
    Accept: "text/csv",
    Range: "0-99999",
    Cookie: "a=b",
    "User-Agent": "smuggler",
    "X-Client-Info": "x",
    "X-Forwarded-For": "203.0.113.7",
    "X-Forwarded-Host": "evil.example",
    "X-Upsert": "true",
    Origin: "https://evil.example",
  };
  for (const request of REQUESTS) await ask(request, smuggled);
  assert.ok(stub.received.length >= REQUESTS.length);
  // The range is postgrest's spelling of a limit.
  const allowed = ["apikey", "authorization", "prefer", "range", "range-unit", "accept", "accept-encoding", "content-type", "content-length"];
  const platforms = ["host", "connection", "transfer-encoding", "user-agent", "cf-worker"];
  for (const { method, headers } of stub.received) {
    assert.equal(headers.authorization, `Bearer ${token}`);
    assert.equal(headers["apikey"], PUBLISHABLE_KEY);
    assert.equal(headers.host, new URL(stub.url).host);
    assert.deepEqual(Object.keys(headers).filter((name) => ![...allowed, ...platforms].includes(name)), [], method);
    assert.doesNotMatch(Object.values(headers).join(), /stolen|rollback|count=exact|evil|smuggler|csv|99999/);
  }
});

test("every statement names the user and, if it changes something, the note", async () => {
  for (const request of REQUESTS) await ask(request, request[0] === "PATCH" ? { "If-Match": '"3"' } : {});
  for (const { method, target, body } of stub.received) {
    const query = new URL(target, stub.url).searchParams;
    assert.equal(new URL(target, stub.url).pathname, "/rest/v1/notes");
    assert.equal(query.get("select"), "id,title,body,version,created_at,updated_at,deleted_at");
    if (method === "POST") assert.doesNotMatch(body, /user_id|version|created_at/);
    else assert.equal(query.get("user_id"), `eq.${SUB}`, method);
    if (method === "PATCH") assert.equal(query.get("id"), `eq.${ROW.id}`);
    assert.notEqual(method, "DELETE");
    assert.doesNotMatch(target, /on_conflict/);
  }
  assert.ok(stub.received.some(({ method, target }) => method === "PATCH" && target.includes("version=eq.3")));
});

// What comes back from hosted Supabase

test("times come in PostgREST's spellings and go out in one", async () => {
  for (const [sent, expected] of [
    ["2026-11-22T12:15:40.76+00:00", "2026-11-22T12:15:40.760000Z"],
    ["2026-11-22T12:15:40+00:00", "2026-11-22T12:15:40.000000Z"],
    ["2026-11-22T12:15:40.123456+00:00", "2026-11-22T12:15:40.123456Z"],
    ["2026-11-22T13:45:40.5+01:30", "2026-11-22T12:15:40.500000Z"],
    ["2026-11-22 12:15:40.76+00", "2026-11-22T12:15:40.760000Z"],
  ] as const) {
    stub.rest = json(200, [{ ...ROW, created_at: sent, updated_at: sent }]);
    const { created_at, updated_at } = assertOk(await ask(["GET", NOTE]), 200);
    assert.deepEqual([created_at, updated_at], [expected, expected]);
  }
});

test("a page has a cursor if there is one row more", async () => {
  const row = (n: number) => ({ ...ROW, id: `7efe3d84-2d6a-4174-899e-${String(n).padStart(12, "0")}` });
  stub.rest = json(200, [row(1), row(2), row(3)]);
  const page = assertOk(await ask(["GET", "/v1/notes?limit=2"]), 200);
  assert.equal(page.data.length, 2);
  assertOk(await ask(["GET", `/v1/notes?limit=2&cursor=${page.next_cursor}`]), 200);
  const query = new URL(stub.received.at(-1)!.target, stub.url).searchParams;
  assert.match(decodeURIComponent(query.toString()), new RegExp(`2026-11-22T12:15:40\\.760000.*${row(2).id}`));
  assert.equal(query.get("order"), "created_at.desc,id.desc");
});

const rls = 'new row violates row-level security policy for table "public.notes"';
/** As PostgREST answers: status, code, message; and what a client is to see. */
const POSTGREST: [status: number, code: string, message: string, expected: Code][] = [
  [401, "PGRST301", "JWSError JWSInvalidSignature", "token_invalid"],
  [401, "PGRST301", "No suitable key or wrong key type", "token_invalid"],
  [401, "PGRST302", "Anonymous access is disabled", "token_invalid"],
  [401, "PGRST303", "JWT expired", "token_expired"],
  [403, "42501", rls, "forbidden"],
  [401, "42501", rls, "forbidden"],
  [403, "42501", 'new row violates row-level security policy "notes_edge_only" for table "notes"', "internal"],
  [403, "PT403", "This database answers its edge alone", "internal"],
  [403, "42501", "permission denied for table public.notes", "internal"],
  [403, "42501", "permission denied for column SECRET of public.notes", "internal"],
  [500, "42P17", 'infinite recursion detected in policy for relation "public.notes"', "internal"],
  [404, "42P01", 'relation "public.notes" does not exist', "internal"],
  [400, "42703", "column notes.SECRET does not exist", "internal"],
  [404, "PGRST202", "Could not find the function public.SECRET in the schema cache", "internal"],
  [400, "PGRST204", "Could not find the 'SECRET' column of 'notes' in the schema cache", "internal"],
  [404, "PGRST205", "Could not find the table 'public.notes' in the schema cache", "internal"],
  [400, "23502", 'null value in column "SECRET" of relation "public.notes"', "validation_failed"],
  [400, "23514", 'new row for relation "public.notes" violates check constraint "SECRET"', "validation_failed"],
  [400, "22P02", 'invalid input syntax for type uuid: "SECRET"', "validation_failed"],
  [400, "22P05", "unsupported Unicode escape sequence", "validation_failed"],
  [400, "22021", "invalid byte sequence for encoding", "validation_failed"],
  [500, "SUP", "SECRET", "upstream_invalid"],
  [406, "PGRST116", "Cannot coerce the result to a single JSON object", "not_found"],
  [500, "40001", "could not serialize access due to concurrent update", "upstream_unavailable"],
  [500, "40P01", "deadlock detected", "upstream_unavailable"],
  [503, "53300", "sorry, too many clients already", "upstream_unavailable"],
  [503, "57P03", "the database system is starting up", "upstream_unavailable"],
  [405, "25006", "cannot execute UPDATE in a read-only transaction", "upstream_unavailable"],
  [500, "57014", "canceling statement due to statement timeout", "upstream_timeout"],
  [504, "PGRST003", "Timed out acquiring connection from connection pool.", "upstream_timeout"],
  [503, "PGRST000", "Could not connect with the database", "upstream_unavailable"],
  [503, "PGRST001", "Could not connect with the database due to an internal error", "upstream_unavailable"],
  [503, "PGRST002", "Could not query the database for the schema cache. Retrying.", "upstream_unavailable"],
  [400, "P0001", "SECRET raised", "upstream_invalid"],
  [400, "PGRST100", "failed to parse filter (SECRET)", "upstream_invalid"],
  [500, "XX000", "SECRET internal error", "upstream_invalid"],
  [429, "over_request_rate_limit", "SECRET", "upstream_unavailable"],
];

test("answers of PostgREST's are told apart by more than their code", (context) => {
  assert.equal(new Set(POSTGREST.map(([status, , message]) => `${status} ${message}`)).size, POSTGREST.length);
  context.diagnostic(`counted: ${POSTGREST.length} answers of PostgREST's, each on every route`);
});

for (const [status, code, message, expected] of POSTGREST) {
  test(`${status} ${code} (${message.slice(0, 40)}) is ${expected}`, async () => {
    stub.rest = json(status, { code, message, details: "SECRET: Failing row contains (public.notes, ...)", hint: "Perhaps you meant SECRET" });
    await everyRoute(expected);
  });
}

test("23505 is a conflict where a client chose the id", async () => {
  const message = 'duplicate key value violates unique constraint "notes_pkey"';
  const taken = json(409, { code: "23505", message, details: "Key (id)=(SECRET) already exists.", hint: null });
  stub.rest = (request, response) => (request.method === "POST" ? taken : json(200, []))(request, response);
  for (const headers of [{}, { "If-None-Match": "*" }] as Record<string, string>[]) assertProblem(await ask(["PUT", NOTE, BODY], headers), "conflict");
});

test("an INSERT that is refused for an account that was deleted is a matter of its token", async () => {
  const message = 'insert or update on table "notes" violates foreign key constraint "notes_user_id_fkey"';
  const gone = json(409, { code: "23503", message, details: "SECRET", hint: null });
  stub.rest = (request, response) => (request.method === "POST" ? gone : json(200, []))(request, response);
  for (const request of [["POST", "/v1/notes", BODY], ["PUT", NOTE, BODY]] as Request[]) assertProblem(await ask(request), "token_invalid");
});

// What comes back from anything else

const head = (status: string, ...headers: string[]) => [`HTTP/1.1 ${status}`, "Content-Type: application/json", ...headers, ""];
const page: Handler = (_, response) => void response.writeHead(200, { "content-type": "text/html" }).end("<html>SECRET</html>");
const gateway = (status: number): Handler => (_, response) => void response.writeHead(status, { "content-type": "text/html" }).end("<html>SECRET</html>");
const text = (body: string): Handler => ({ method }, response) => void response.writeHead(method === "POST" ? 201 : 200).end(body);
const shaped = (row: unknown): Handler => text(JSON.stringify([row]));

const FAULTS: [what: string, fault: Handler, expected: Code][] = [
  ["resets the connection", (_, response) => void response.socket?.resetAndDestroy(), "upstream_unavailable"],
  ["closes the connection", (_, response) => void response.destroy(), "upstream_unavailable"],
  ["resets in the middle of the body", (_, response) => void response.write("[", () => response.socket?.resetAndDestroy()), "upstream_unavailable"],
  ["sends less than it declared", bytes([...head("200 OK", "Content-Length: 999"), "[]"]), "upstream_unavailable"],
  ["breaks off in its chunks", bytes([...head("200 OK", "Transfer-Encoding: chunked"), "5", "[", ""]), "upstream_unavailable"],
  ["sends chunks that are none", bytes([...head("200 OK", "Transfer-Encoding: chunked"), "zz", "[]", "0", "", ""]), "upstream_unavailable"],
  ["speaks no HTTP", bytes(["SSH-2.0-OpenSSH_9.9", ""]), "upstream_unavailable"],
  ["never answers", () => {}, "upstream_timeout"],
  ["hangs in its headers", bytes(["HTTP/1.1 200 OK", "Content-"], { hang: true }), "upstream_timeout"],
  ["hangs in its body", bytes([...head("200 OK", "Content-Length: 999"), "["], { hang: true }), "upstream_timeout"],
  ["drips", (_, response) => void setInterval(() => response.write(" "), 100).unref(), "upstream_timeout"],
  ["is too busy (429)", gateway(429), "upstream_unavailable"],
  ["fails (500)", gateway(500), "upstream_invalid"],
  ["is a bad gateway (502)", gateway(502), "upstream_unavailable"],
  ["is unavailable (503)", gateway(503), "upstream_unavailable"],
  ["is a gateway that timed out (504)", gateway(504), "upstream_timeout"],
  ["has no origin (522)", gateway(522), "upstream_unavailable"],
  ["is paused (540)", gateway(540), "upstream_unavailable"],
  ["knows nothing (404)", gateway(404), "upstream_invalid"],
  ["is a teapot (418)", gateway(418), "upstream_invalid"],
  ["does not know its own key (401)", json(401, { message: "Invalid API key", hint: "SECRET" }), "internal"],
  ["answers with a page", page, "upstream_invalid"],
  ["answers with nothing", text(""), "upstream_invalid"],
  ["answers 204", (_, response) => void response.writeHead(204).end(), "upstream_invalid"],
  ["answers with an object", text("{}"), "upstream_invalid"],
  ["answers with null", text("null"), "upstream_invalid"],
  ["answers with half of an array", text(JSON.stringify([ROW]).slice(0, -1)), "upstream_invalid"],
  ["answers with more than an array", text(`${JSON.stringify([ROW])}SECRET`), "upstream_invalid"],
  ["answers with no UTF-8", (_, response) => void response.end(Buffer.from('[{"title":"\xff"}]', "latin1")), "upstream_invalid"],
  ["answers with other rows", shaped({ SECRET: 1 }), "upstream_invalid"],
  ["answers with a row without version", shaped({ ...ROW, version: undefined }), "upstream_invalid"],
  ["answers with a title that is none", shaped({ ...ROW, title: null }), "upstream_invalid"],
  ["answers with a time that is none", shaped({ ...ROW, created_at: "infinity" }), "upstream_invalid"],
  ["answers with a UUID that is none", shaped({ ...ROW, id: "SECRET" }), "upstream_invalid"],
];

for (const [what, fault, expected] of FAULTS) {
  test(`an upstream that ${what} is ${expected}`, async () => {
    stub.rest = fault;
    await everyRoute(expected);
  });
}

test("rows of one note that are two are no answer", async () => {
  stub.rest = json(200, [ROW, ROW]);
  for (const request of REQUESTS.filter(([, target]) => target.startsWith(NOTE))) assertProblem(await ask(request), "upstream_invalid");
});

test("an upstream that is not there is upstream_unavailable", async () => {
  const url = await withStub(async (gone) => gone.url);
  await withWorker(workerVars(url), {}, async ({ url }) => {
    assertProblem(await send(url, "GET", NOTE, { token }), "upstream_unavailable");
    assertProblem(await send(url, "POST", "/v1/notes", { token, body: BODY }), "upstream_unavailable");
  });
});

test("an answer of more than 16 MiB is cut off there", async () => {
  let sent = 0;
  stub.rest = (_, response) => {
    const more = setInterval(() => {
      while (response.writable && response.write(" ".repeat(1024 * 1024))) sent++;
    }, 1);
    response.on("drain", () => sent++).on("close", () => clearInterval(more));
  };
  await withWorker(workerVars(stub.url), {}, async ({ url }) => {
    assertProblem(await send(url, "GET", "/v1/notes", { token }), "upstream_invalid");
    stub.rest = json(200, [{ ...ROW, body: "x".repeat(15 * 1024 * 1024) }]);
    assertOk(await send(url, "GET", "/v1/notes", { token }), 200);
  });
  assert.ok(sent < 64, `${sent} MiB were sent`);
});

test("an answer that sends more than it declares is cut off there as well", async () => {
  let sent = 0;
  stub.rest = (_, { socket }) => {
    // With chunks the length says nothing (RFC 9112 section 6.3), but it is what a reader of headers sees.
    socket?.write(head("200 OK", "Content-Length: 5", "Transfer-Encoding: chunked").join("\r\n"));
    const chunk = `\r\n100000\r\n${" ".repeat(1024 * 1024)}`;
    const more = setInterval(() => {
      while (socket?.writable && socket.write(chunk)) sent++;
      sent++;
    }, 1);
    socket?.on("close", () => clearInterval(more)).on("error", () => {});
  };
  await withWorker(workerVars(stub.url), {}, async ({ url }) => {
    assertProblem(await send(url, "GET", "/v1/notes", { token }), "upstream_invalid");
  });
  assert.ok(sent < 64, `${sent} MiB were sent`);
});

test("a redirect is not followed, and the token goes nowhere", async () => {
  await withStub(async (trap) => {
    for (const status of [301, 302, 303, 307, 308]) {
      for (const location of [`${trap.url}/rest/v1/notes`, `${stub.url}/elsewhere`]) {
        stub.rest = (_, response) => void response.writeHead(status, { location }).end();
        await everyRoute("upstream_invalid");
        assert.ok(stub.received.every(({ target }) => target !== "/elsewhere"));
      }
    }
    assert.deepEqual(trap.received, []);
  });
});

test("a write whose reply was lost is not said to have failed for good, and a retry of PUT finds it", async () => {
  const stored: unknown[] = [];
  stub.rest = ({ method, body }, response) => {
    if (method === "PATCH") return json(200, stored)(null as never, response);
    if (method === "POST") stored.push({ ...ROW, ...JSON.parse(body), version: 1 });
    response.destroy();
  };
  assertProblem(await ask(["PUT", NOTE, BODY]), "upstream_unavailable");
  assertOk(await ask(["PUT", NOTE, BODY]), 200);
  assert.equal(stored.length, 1);
});

test("the statements of one request share one deadline", async () => {
  stub.rest = (_, response) => void setTimeout(() => json(200, [])(null as never, response), TIMEOUT * 0.6);
  const began = Date.now();
  assertProblem(await ask(["PUT", NOTE, BODY], {}, hasty), "upstream_timeout");
  assert.ok(Date.now() - began < TIMEOUT + SLACK, `${Date.now() - began} ms`);
});

/** Five of this request, each of whose clients goes away as soon as the database has been asked. */
async function resetFive(method: string, target: string, body?: string): Promise<void> {
  for (let n = 0; n < 5; n++) {
    const asked = stub.received.length;
    const request = open(worker.url, method, target, headersOf(method, target, { token, ...(body && { body }) }));
    request.on("error", () => {});
    request.end(body);
    await until("the database was asked", () => stub.received.length > asked);
    request.socket?.resetAndDestroy();
  }
}

test("a write goes on to its log line though its client has gone, and the Worker is as it was", async () => {
  stub.rest = (_, response) => void setTimeout(() => json(201, [ROW])(null as never, response), 200);
  const before = worker.logs.length;
  await resetFive("POST", "/v1/notes", BODY);
  const lines = () => worker.logs.slice(before).map((line) => JSON.parse(line));
  const statuses = () => lines().flatMap(({ event, status }) => (event === "request" ? [status] : []));
  await until("five lines are logged", () => statuses().length >= 5);
  assert.deepEqual(statuses(), Array(5).fill(201));
  stub.rest = json(200, [ROW]);
  assertOk(await ask(["GET", NOTE]), 200);
});

// By a reset: a client that only closes its side may still be listening, as far as workerd can tell.
test("a read is given up when its client goes away, and the database with it", async () => {
  let given = 0;
  stub.rest = (_, response) => void response.on("close", () => (given += response.writableEnded ? 0 : 1));
  await resetFive("GET", NOTE);
  await until("five were given up", () => given === 5);
  stub.rest = json(200, [ROW]);
  assertOk(await ask(["GET", NOTE]), 200);
});
