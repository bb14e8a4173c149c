// The Worker's requests to PostgREST, and its answers to PostgREST's answers and errors.

import assert from "node:assert/strict";
import { test } from "node:test";

import { SLACK, until } from "../support/patience.ts";
import { BODY, brokenOfFile, head, LIST, type ListEnd, NOTE, type Request, TIMEOUT, WHOLE } from "./broken.ts";
import { assertOk, assertProblem, type Code, headersOf, open } from "./http.ts";
import { bytes, databaseError, functionOf, functions, type Handler, json, ROW, withStub } from "./stub.ts";
import { PUBLISHABLE_KEY, withWorker, workerVars } from "./support.ts";

const broken = await brokenOfFile();
const { stub, ask } = broken;

// Requests of the Worker

test("the user's token is sent with the publishable key and no client header", async () => {
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
  for (const request of [...WHOLE, LIST]) await ask(request, broken.worker, smuggled);
  assert.equal(stub.received.length, WHOLE.length + 1);
  const allowed = [
    "apikey",
    "authorization",
    "x-airlock-claim",
    "accept",
    "accept-encoding",
    "content-type",
    "content-length",
  ];
  const platforms = ["host", "connection", "transfer-encoding", "user-agent", "cf-worker"];
  for (const { target, headers } of stub.received) {
    assert.equal(headers.authorization, `Bearer ${broken.token}`);
    assert.equal(headers.apikey, PUBLISHABLE_KEY);
    assert.equal(headers.host, new URL(stub.url).host);
    assert.deepEqual(
      Object.keys(headers).filter((name) => ![...allowed, ...platforms].includes(name)),
      [],
      target,
    );
    assert.doesNotMatch(Object.values(headers).join(), /stolen|rollback|count=exact|evil|smuggler|csv|99999/);
  }
});

const ORG = "0f0f0f0f-2d6a-4174-899e-8ffddea7a39a";
const draft = JSON.parse(BODY);
const own = { resource: "notes", org: null };
const change = { ...own, id: ROW.id, draft: null, if_match: null };
const page = { page_size: 20, after: null };
const key = "a-key-of-one-request";

/** Each kind of request, and the call that it makes. */
const CALLS: [request: Request, headers: Record<string, string>, name: string, json: object][] = [
  [["GET", NOTE], {}, "airlock_read", { ...own, id: ROW.id }],
  [LIST, {}, "airlock_list", { ...own, ...page, state: "active", words: null }],
  [
    ["GET", "/v1/notes?limit=5&state=deleted&q=a+b"],
    {},
    "airlock_list",
    { ...own, ...page, page_size: 5, state: "deleted", words: "a b" },
  ],
  [["POST", "/v1/notes", BODY], {}, "airlock_create", { ...own, draft, request_key: null, request_digest: null }],
  [["PUT", NOTE, BODY], {}, "airlock_put", { ...own, id: ROW.id, draft, mode: "any", if_match: null }],
  [
    ["PUT", NOTE, BODY],
    { "If-Match": '"3"' },
    "airlock_put",
    { ...own, id: ROW.id, draft, mode: "replace", if_match: 3 },
  ],
  [
    ["PUT", NOTE, BODY],
    { "If-None-Match": "*" },
    "airlock_put",
    { ...own, id: ROW.id, draft, mode: "create", if_match: null },
  ],
  [
    ["PATCH", NOTE, '{"body":"b"}'],
    { "If-Match": '"3"' },
    "airlock_change",
    { ...change, action: "patch", draft: { body: "b" }, if_match: 3 },
  ],
  [
    ["PATCH", NOTE, '{"body":"b"}'],
    { "If-Match": '"03"' },
    "airlock_change",
    { ...change, action: "patch", draft: { body: "b" }, if_match: -1 },
  ],
  [["DELETE", NOTE], { "If-Match": "*" }, "airlock_change", { ...change, action: "delete" }],
  [["POST", `${NOTE}/restore`], {}, "airlock_change", { ...change, action: "restore" }],
  [["POST", `${NOTE}/publish`], {}, "airlock_change", { ...change, action: "publish" }],
  [["POST", `${NOTE}/unpublish`], {}, "airlock_change", { ...change, action: "unpublish" }],
  [["GET", `/v1/orgs/${ORG}/notes/${ROW.id}`], {}, "airlock_read", { resource: "notes", org: ORG, id: ROW.id }],
  [["DELETE", `/v1/orgs/${ORG}/notes/${ROW.id}`], {}, "airlock_change", { ...change, org: ORG, action: "delete" }],
];

test("each route makes one call with named arguments", async () => {
  for (const [request, headers, name, expected] of CALLS) {
    stub.received.length = 0;
    const answered = await ask(request, broken.worker, headers);
    assert.ok(answered.status < 300, answered.body);
    const [received, ...more] = stub.received;
    assert.deepEqual(more, []);
    assert.equal(functionOf(received!), name, request.join(" "));
    assert.equal(received!.headers["content-type"], "application/json");
    assert.deepEqual(JSON.parse(received!.body), expected, request.join(" "));
  }
});

test("an Idempotency-Key is sent with the digest of the draft's meaning", async () => {
  const digestOf = async (body: string) => {
    await ask(["POST", "/v1/notes", body], broken.worker, { "Idempotency-Key": key });
    const { request_key, request_digest } = JSON.parse(stub.received.at(-1)!.body);
    assert.equal(request_key, key);
    assert.match(request_digest, /^[0-9a-f]{64}$/);
    return request_digest;
  };
  const digest = await digestOf('{"title":"a"}');
  assert.equal(await digestOf('{ "body": "", "title": " \\u0061 " }'), digest);
  for (const other of ['{"title":"b"}', '{"title":"a","body":"b"}', '{"title":"A"}'])
    assert.notEqual(await digestOf(other), digest);
});

test("a cursor is sent unread", async () => {
  assertOk(await ask(["GET", "/v1/notes?limit=2&cursor=WyJub3RlcyJd"]), 200);
  const { after, page_size } = JSON.parse(stub.received.at(-1)!.body);
  assert.deepEqual([after, page_size], ["WyJub3RlcyJd", 2]);
});

// Answers of PostgREST

test("a row and a page are passed on byte for byte", async () => {
  const row = JSON.stringify({ ...ROW, title: "\u2028é😀", extra: [1.0, { a: null }] }).replace("é", "\\u00e9");
  const list = ` {"data": [${row}],\n"next_cursor":null } `;
  stub.rest = (request, response) =>
    void response
      .writeHead(200, { "content-type": "application/json" })
      .end(functionOf(request) === "airlock_list" ? list : row);
  const read = await ask(["GET", NOTE]);
  assert.deepEqual([read.status, read.body, read.headers.get("etag")], [200, row, '"3"']);
  const listed = await ask(LIST);
  assert.deepEqual([listed.status, listed.body, listed.headers.get("content-type")], [200, list, "application/json"]);
});

const outcome = (name: string, row?: object): Handler => json(200, { outcome: name, ...(row && { row }) });
const PATCH: Request = ["PATCH", NOTE, BODY];
const POST: Request = ["POST", "/v1/notes", BODY];
const PUT: Request = ["PUT", NOTE, BODY];
const DELETE: Request = ["DELETE", NOTE];

/** Outcomes of the functions with a row, and the Worker's answer to each. */
const WITH_ROW: [name: string, requests: Request[], expected: number | Code][] = [
  ["created", [POST, PUT], 201],
  ["done", [PUT, PATCH], 200],
  ["already", [PATCH], 200],
  ["done", [DELETE], 204],
  ["already", [DELETE], 204],
  ["mismatch", [PATCH, DELETE, PUT], "version_mismatch"],
  ["perhaps", [PATCH], "upstream_invalid"],
];

/** Outcomes without a row, and the problem that a client gets. */
const WITHOUT_ROW: [name: string, requests: Request[], expected: Code][] = [
  ["missing", [PATCH, DELETE], "not_found"],
  ["forbidden", [PATCH], "forbidden"],
  ["taken", [PUT], "conflict"],
  ["reused", [POST], "idempotency_key_reused"],
  ["deleted", [POST], "conflict"],
  ["created", [POST], "upstream_invalid"],
  ["done", [PATCH], "upstream_invalid"],
  ["mismatch", [PATCH], "upstream_invalid"],
];

test("each outcome of a function becomes its status", async () => {
  for (const [name, requests, expected] of WITH_ROW) {
    stub.rest = outcome(name, ROW);
    for (const request of requests) {
      const answered = await ask(request);
      if (typeof expected === "string") {
        const { current } = assertProblem(answered, expected);
        if (name === "mismatch") assert.deepEqual(current, ROW);
      } else {
        assert.equal(answered.status, expected, `${name}: ${answered.body}`);
        if (expected !== 204) assert.deepEqual(assertOk(answered, expected), ROW);
        assert.equal(answered.headers.get("location"), expected === 201 ? NOTE : null);
      }
    }
  }
  for (const [name, requests, expected] of WITHOUT_ROW) {
    stub.rest = outcome(name);
    for (const request of requests) assertProblem(await ask(request), expected);
  }
  stub.rest = outcome("created", { ...ROW, id: undefined });
  assertProblem(await ask(POST), "upstream_invalid");
  stub.rest = json(200, null);
  assertProblem(await ask(["GET", NOTE]), "not_found");
});

// Errors of the database

const rls = 'new row violates row-level security policy for table "public.notes"';
/** As PostgREST answers: status, code, message; and the problem that a client gets. */
const POSTGREST: [status: number, code: string, message: string, expected: Code][] = [
  [401, "PGRST301", "JWSError JWSInvalidSignature", "token_invalid"],
  [401, "PGRST301", "No suitable key or wrong key type", "token_invalid"],
  [401, "PGRST302", "Anonymous access is disabled", "token_invalid"],
  [401, "PGRST303", "JWT expired", "token_expired"],
  [401, "PGRST303", "JWT issued at future", "upstream_unavailable"],
  [401, "PGRST303", "JWT not in audience", "token_invalid"],
  [403, "42501", rls, "forbidden"],
  [401, "42501", rls, "forbidden"],
  [403, "42501", "row-level security: the caller does not have this role in the organisation", "forbidden"],
  [403, "42501", 'new row violates row-level security policy "notes_edge_only" for table "notes"', "internal"],
  [403, "PT403", "airlock_edge_only", "internal"],
  [403, "42501", "SECRET of a trigger", "forbidden"],
  [403, "42501", "must be owner of table SECRET", "internal"],
  [403, "42501", "permission denied for table public.notes", "internal"],
  [403, "42501", "permission denied for column SECRET of public.notes", "internal"],
  [500, "42P17", 'infinite recursion detected in policy for relation "public.notes"', "internal"],
  [404, "42P01", 'relation "public.notes" does not exist', "internal"],
  [400, "42703", "column notes.SECRET does not exist", "internal"],
  [404, "42883", "function airlock.SECRET() does not exist", "internal"],
  [406, "PGRST106", "Invalid schema: SECRET", "internal"],
  [404, "PGRST202", "Could not find the function public.SECRET in the schema cache", "internal"],
  [300, "PGRST203", "Could not choose the best candidate function between: public.SECRET", "internal"],
  [400, "PGRST204", "Could not find the 'SECRET' column of 'notes' in the schema cache", "internal"],
  [404, "PGRST205", "Could not find the table 'public.notes' in the schema cache", "internal"],
  [404, "PT404", "airlock_unknown_resource", "internal"],
  [400, "PT400", "airlock_malformed_claim", "internal"],
  [404, "PT404", "airlock_not_found", "not_found"],
  [409, "PT409", "airlock_request_replayed", "request_replayed"],
  [409, "PT409", "airlock_last_owner", "conflict"],
  [409, "PT409", "airlock_already_member", "conflict"],
  [409, "PT409", "SECRET of a trigger", "validation_failed"],
  [404, "PT404", "SECRET of a trigger", "validation_failed"],
  [402, "PT402", "SECRET of a trigger", "validation_failed"],
  [400, "P0001", "SECRET raised", "validation_failed"],
  [400, "23502", 'null value in column "SECRET" of relation "public.notes"', "validation_failed"],
  [400, "23514", 'new row for relation "public.notes" violates check constraint "SECRET"', "validation_failed"],
  [409, "23503", 'update on table "notes" violates foreign key constraint "SECRET"', "validation_failed"],
  [409, "23505", 'duplicate key value violates unique constraint "SECRET"', "conflict"],
  [409, "23P01", 'conflicting key value violates exclusion constraint "SECRET"', "conflict"],
  [400, "22003", "numeric field overflow: SECRET", "validation_failed"],
  [400, "22007", 'invalid input syntax for type timestamp: "SECRET"', "validation_failed"],
  [400, "22008", 'date/time field value out of range: "SECRET"', "validation_failed"],
  [400, "22P02", 'invalid input syntax for type uuid: "SECRET"', "validation_failed"],
  [400, "22P05", "unsupported Unicode escape sequence", "validation_failed"],
  [400, "22021", "invalid byte sequence for encoding", "validation_failed"],
  [500, "SUP", "SECRET", "upstream_invalid"],
  [406, "PGRST116", "Cannot coerce the result to a single JSON object", "upstream_invalid"],
  [500, "40001", "could not serialize access due to concurrent update", "upstream_unavailable"],
  [500, "40P01", "deadlock detected", "upstream_unavailable"],
  [503, "53300", "sorry, too many clients already", "upstream_unavailable"],
  [503, "57P03", "the database system is starting up", "upstream_unavailable"],
  [405, "25006", "cannot execute UPDATE in a read-only transaction", "upstream_unavailable"],
  [400, "0A000", "cannot lock rows on a read-only replica", "upstream_unavailable"],
  [400, "55P03", "canceling statement due to lock timeout", "upstream_timeout"],
  [500, "57014", "canceling statement due to statement timeout", "upstream_timeout"],
  [504, "PGRST003", "Timed out acquiring connection from connection pool.", "upstream_timeout"],
  [503, "PGRST000", "Could not connect with the database", "upstream_unavailable"],
  [503, "PGRST001", "Could not connect with the database due to an internal error", "upstream_unavailable"],
  [503, "PGRST002", "Could not query the database for the schema cache. Retrying.", "upstream_unavailable"],
  [400, "PGRST100", "failed to parse filter (SECRET)", "upstream_invalid"],
  [500, "XX000", "SECRET internal error", "upstream_invalid"],
  [429, "over_request_rate_limit", "SECRET", "upstream_unavailable"],
];

test("the errors of PostgREST are different ones", (context) => {
  assert.equal(new Set(POSTGREST.map((error) => error.slice(0, 3).join())).size, POSTGREST.length);
  context.diagnostic(`${POSTGREST.length} errors of PostgREST, each on every route`);
});

for (const [status, code, message, expected] of POSTGREST) {
  test(`${status} ${code} (${message.slice(0, 40)}) is ${expected}`, async () => {
    const details = "SECRET: Failing row contains (public.notes, ...)";
    await broken.assertFault(json(status, { code, message, details, hint: "Perhaps you meant SECRET" }), expected);
  });
}

test("errors of constraints name the field that the declaration knows", async () => {
  const foreignKey = 'insert or update on table "notes" violates foreign key constraint "notes_SECRET_fkey"';
  for (const [rest, code, error] of [
    [databaseError(409, "23503", "airlock_reference", "title"), "validation_failed", "/title reference"],
    [
      databaseError(409, "23503", foreignKey, 'Key (title)=(SECRET) is not present in table "SECRET".'),
      "validation_failed",
      "/title reference",
    ],
    [
      databaseError(409, "23503", foreignKey, 'Key (SECRET)=(SECRET) is not present in table "SECRET".'),
      "validation_failed",
      " reference",
    ],
    [
      databaseError(
        409,
        "23505",
        'duplicate key value violates unique constraint "SECRET"',
        "Key (SECRET)=(SECRET) already exists.",
      ),
      "conflict",
      " unique",
    ],
    [databaseError(400, "23514", 'violates check constraint "SECRET"'), "validation_failed", " rule"],
    [databaseError(400, "P0001", "SECRET"), "validation_failed", " rule"],
  ] as [Handler, Code, string][]) {
    stub.rest = rest;
    for (const request of [POST, PUT, PATCH]) {
      const answered = await ask(request);
      const { errors } = assertProblem(answered, code);
      assert.deepEqual(
        errors?.map((one) => `${one.pointer} ${one.code}`),
        [error],
      );
      assert.doesNotMatch(answered.body, /SECRET/);
    }
  }
});

test("a broken key to auth.users is token_invalid", async () => {
  const message = 'insert or update on table "notes" violates foreign key constraint "notes_user_id_fkey"';
  // Postgres names the key only to callers that may read the table.
  for (const details of [
    `Key (user_id)=(${ROW.id}) is not present in table "users".`,
    'Key is not present in table "users".',
  ]) {
    stub.rest = databaseError(409, "23503", message, details);
    for (const request of [POST, PUT]) assertProblem(await ask(request), "token_invalid");
  }
});

// Broken answers

const html =
  (status: number): Handler =>
  (_, response) =>
    void response.writeHead(status, { "content-type": "text/html" }).end("<html>SECRET</html>");
const text =
  (body: string): Handler =>
  (_, response) =>
    void response.writeHead(200, { "content-type": "application/json" }).end(body);
/** The first bytes of a JSON answer. */
const beginning: Handler = (_, response) =>
  void response.writeHead(200, { "content-type": "application/json" }).write("[");

const FAULTS: [what: string, fault: Handler, expected: Code, list?: ListEnd][] = [
  ["resets the connection", (_, response) => void response.socket?.resetAndDestroy(), "upstream_unavailable"],
  ["closes the connection", (_, response) => void response.destroy(), "upstream_unavailable"],
  [
    "resets in the middle of the body",
    (request, response) => {
      beginning(request, response);
      setTimeout(() => response.socket?.resetAndDestroy(), 100);
    },
    "upstream_unavailable",
    "breaks off",
  ],
  [
    "sends less than it declared",
    bytes([...head("200 OK", "Content-Length: 999"), "[]"]),
    "upstream_unavailable",
    "breaks off",
  ],
  [
    "breaks off in its chunks",
    bytes([...head("200 OK", "Transfer-Encoding: chunked"), "5", "[", ""]),
    "upstream_unavailable",
    "breaks off",
  ],
  [
    "sends malformed chunks",
    bytes([...head("200 OK", "Transfer-Encoding: chunked"), "zz", "[]", "0", "", ""]),
    "upstream_unavailable",
    "breaks off",
  ],
  [
    "ends before its last chunk",
    bytes([...head("200 OK", "Transfer-Encoding: chunked"), "2", "[]", ""]),
    "upstream_unavailable",
    "breaks off",
  ],
  ["does not speak HTTP", bytes(["SSH-2.0-OpenSSH_9.9", ""]), "upstream_unavailable"],
  ["never answers", () => {}, "upstream_timeout"],
  ["hangs in its headers", bytes(["HTTP/1.1 200 OK", "Content-"], { hang: true }), "upstream_timeout"],
  [
    "hangs in its body",
    bytes([...head("200 OK", "Content-Length: 999"), "["], { hang: true }),
    "upstream_timeout",
    "stays open",
  ],
  [
    "drips",
    (request, response) => {
      beginning(request, response);
      setInterval(() => response.write(" "), 100).unref();
    },
    "upstream_timeout",
    "stays open",
  ],
  ["is too busy (429)", html(429), "upstream_unavailable"],
  ["fails (500)", html(500), "upstream_invalid"],
  ["is a bad gateway (502)", html(502), "upstream_unavailable"],
  ["is unavailable (503)", html(503), "upstream_unavailable"],
  ["is a gateway that timed out (504)", html(504), "upstream_timeout"],
  ["has no origin (522)", html(522), "upstream_unavailable"],
  ["is paused (540)", html(540), "upstream_unavailable"],
  ["restricts the project (402)", html(402), "upstream_unavailable"],
  ["knows nothing (404)", html(404), "upstream_invalid"],
  ["is a teapot (418)", html(418), "upstream_invalid"],
  ["refuses its own key (401)", json(401, { message: "Invalid API key", hint: "SECRET" }), "internal"],
  ["answers with HTML", html(200), "upstream_invalid"],

  ["answers with nothing", text(""), "upstream_invalid", "is not JSON"],
  ["answers 204", (_, response) => void response.writeHead(204).end(), "upstream_invalid"],
  ["answers with half of a row", text(JSON.stringify(ROW).slice(0, -1)), "upstream_invalid", "is not JSON"],
  ["answers with more than a row", text(`${JSON.stringify(ROW)}SECRET`), "upstream_invalid", "is not JSON"],
];

for (const [what, fault, expected, list] of FAULTS) {
  test(`an upstream that ${what} is ${expected}${list ? `, and a list ${list}` : ""}`, () =>
    broken.assertFault(fault, expected, list));
}

const NO_ROWS = [
  "{}",
  "[]",
  "true",
  '{"SECRET":1}',
  JSON.stringify({ ...ROW, version: undefined }),
  JSON.stringify({ ...ROW, version: -1 }),
  `[${JSON.stringify(ROW)}]`,
];

test("a row that is not a row of the resource is upstream_invalid", async () => {
  for (const row of NO_ROWS) {
    stub.rest = (request, response) =>
      text(functionOf(request) === "airlock_read" ? row : `{"outcome":"done","row":${row}}`)(request, response);
    for (const request of [["GET", NOTE], PUT, PATCH] as Request[])
      assertProblem(await ask(request), "upstream_invalid");
  }
});

test("an upstream that is not there is upstream_unavailable", async () => {
  const url = await withStub(async (gone) => gone.url);
  await withWorker(workerVars(url), {}, async (worker) => {
    for (const request of [["GET", NOTE], LIST, POST] as Request[])
      assertProblem(await ask(request, worker), "upstream_unavailable");
  });
});

/**
 * Sends spaces as JSON for as long as they are read; with chunks, the length says nothing (RFC 9112 section 6.3).
 */
function endless(headers: string[], sent: (mebibytes: number) => void): Handler {
  return (_, { socket }) => {
    socket?.write(head("200 OK", ...headers, "Transfer-Encoding: chunked").join("\r\n"));
    const chunk = `\r\n100000\r\n${" ".repeat(1024 * 1024)}`;
    let count = 0;
    const more = () => {
      for (let room = true; room && socket?.writable; sent(++count)) room = socket.write(chunk);
    };
    // Only when all is on its way, or the rest would pile up here.
    socket?.on("drain", more).on("error", () => {});
    more();
  };
}

test("an answer that is read whole is cut off at 16 MiB", async () => {
  for (const headers of [[], ["Content-Length: 5"]]) {
    let most = 0;
    stub.rest = endless(headers, (mebibytes) => (most = mebibytes));
    assertProblem(await ask(["GET", NOTE]), "upstream_invalid");
    assert.ok(most < 64, `${most} MiB were sent`);
  }
  stub.rest = functions({ ...ROW, body: "x".repeat(15 * 1024 * 1024) });
  assertOk(await ask(["GET", NOTE]), 200);
});

test("a redirect is not followed and the token is sent nowhere else", async () => {
  await withStub(async (trap) => {
    for (const status of [301, 302, 303, 307, 308]) {
      for (const location of [`${trap.url}/rest/v1/rpc/airlock_list`, `${stub.url}/elsewhere`]) {
        await broken.assertFault(
          (_, response) => void response.writeHead(status, { location }).end(),
          "upstream_invalid",
        );
        assert.ok(stub.received.every(({ target }) => target !== "/elsewhere"));
      }
    }
    assert.deepEqual(trap.received, []);
  });
});

test("the calls of one request share one deadline", async () => {
  stub.rest = (request, response) =>
    void setTimeout(() => databaseError(500, "40001")(request, response), TIMEOUT * 0.6);
  const began = Date.now();
  assertProblem(await ask(PATCH, broken.hasty), "upstream_timeout");
  assert.ok(Date.now() - began < TIMEOUT + SLACK, `${Date.now() - began} ms`);
});

// Disconnects

/** Sends five of this request and resets each connection as soon as the database was asked. */
async function resetFive([method, target, body]: Request): Promise<void> {
  const { worker, token } = broken;
  for (let n = 0; n < 5; n++) {
    const asked = stub.received.length;
    const request = open(worker.url, method, target, headersOf(method, target, { token, ...(body && { body }) }));
    request.on("error", () => {});
    request.end(body);
    await until("the database was asked", () => stub.received.length > asked);
    request.socket?.resetAndDestroy();
  }
}

test("a write runs to its log line after its client disconnected", async () => {
  stub.rest = (request, response) => void setTimeout(() => functions()(request, response), 200);
  const before = broken.worker.logs.length;
  await resetFive(POST);
  const lines = () => broken.worker.logs.slice(before).map((line) => JSON.parse(line));
  const statuses = () => lines().flatMap(({ event, status }) => (event === "request" ? [status] : []));
  await until("five lines are logged", () => statuses().length >= 5);
  assert.deepEqual(statuses(), Array(5).fill(201));
  stub.rest = functions();
  assertOk(await ask(["GET", NOTE]), 200);
});

// By a reset: a client that only closes its side may still be listening, as far as workerd can tell.
test("a read is cancelled in the database when its client disconnects", async () => {
  for (const request of [["GET", NOTE], LIST] as Request[]) {
    let cancelled = 0;
    stub.rest = (_, response) => void response.on("close", () => (cancelled += response.writableEnded ? 0 : 1));
    await resetFive(request);
    await until("five were cancelled", () => cancelled === 5);
  }
  stub.rest = functions();
  assertOk(await ask(["GET", NOTE]), 200);
});
