// The errors that a client can cause, on the real parts.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import type { Answer } from "../../client/src/index.ts";
import {
  answer,
  assertOk,
  assertProblem,
  type Code,
  headersOf,
  logOf,
  open,
  type ProblemBody,
  raw,
  requestId,
  type Sent,
  send,
  sendEndless,
} from "./http.ts";
import { claims, jws, legacy } from "./stub.ts";
import { type Caller, caller, type Stack, startStack, withWorker, workerVars } from "./support.ts";

const MISSING = "/v1/notes/00000000-0000-4000-8000-000000000000";

let stack: Stack;
let url: string;
let token: string;
let alice: Caller;
let note: string;
let stored: unknown;
/** The answer to a request whose body does not come to its end. */
let slow: Promise<Answer>;

before(async () => {
  stack = await startStack();
  ({
    url,
    alice: { token },
  } = stack);
  alice = caller(url, token);
  note = `/v1/notes/${assertOk(await alice("POST", "/v1/notes", { title: "the only one" }), 201).id}`;
  stored = await table();
  const body = '{"title":"slow"}';
  const request = open(url, "POST", "/v1/notes", headersOf("POST", "/v1/notes", { token, body }));
  request.write(body.slice(0, 5));
  slow = answer(request).finally(() => request.destroy());
  slow.catch(() => {});
});
after(() => stack?.stop());

const table = () => stack.sql("select *, xmin::text from public.notes");

type Case = [method: string, target: string, sent?: Sent];

/** Sends each request and expects this problem and no change in the table. */
async function refused(code: Parameters<typeof assertProblem>[1], requests: Case[]): Promise<ProblemBody[]> {
  const problems: ProblemBody[] = [];
  for (const [method, target, sent] of requests) {
    const answered = await send(url, method, target, { token, ...sent });
    assert.equal(
      JSON.parse(answered.body).code,
      code,
      `${method} ${target} ${JSON.stringify(sent)?.slice(0, 200)}: ${answered.body}`,
    );
    problems.push(assertProblem(answered, code));
  }
  assert.deepEqual(await table(), stored);
  return problems;
}

// 400

test("a body that is not JSON or not UTF-8 is malformed_json", async () => {
  const bodies: (string | Uint8Array)[] = [
    "",
    " ",
    "{",
    "{}}",
    "{'title':'a'}",
    '{"title":"a",}',
    '{"title":"a"}x',
    '{"title":"a"}{"title":"b"}',
    '{title:"a"}',
    '{"title":"a\nb"}',
    '{"title":"\\x41"}',
    '{"title":NaN}',
    '{"title":01}',
    '{"title":+1}',
    '{"title":.5}',
    "undefined",
    "nul",
    '"a',
    "[1,]",
    '\ufeff{"title":"a"}',
    '{"title":"a"}\u0000',
    "/**/{}",
    '{"title":"a" "body":"b"}',
    '{"title"}',
    Buffer.from('{"title":"\xff"}', "latin1"),
    Buffer.from('{"title":"\xed\xa0\x80"}', "latin1"),
    Buffer.from('{"title":"\xc0\x80"}', "latin1"),
    Buffer.from('{"\xfe":1,"title":"a"}', "latin1"),
    Buffer.from('{"title":"a"}', "utf16le"),
  ];
  await refused(
    "malformed_json",
    bodies.flatMap(
      (body) =>
        [
          ["POST", "/v1/notes", { body }],
          ["PATCH", note, { body }],
        ] as Case[],
    ),
  );
});

const EXTREME = [
  '{"title":"\\ud800"}',
  '{"title":"\\udc00\\ud800"}',
  '{"title":"a","body":"\\ud83d"}',
  '{"\\ud800":1,"title":"a"}',
  '{"title":1e999}',
  '{"title":-1e400}',
  `{"title":${"9".repeat(10_000)}}`,
  "[".repeat(100_000),
  `${"[".repeat(100_000)}${"]".repeat(100_000)}`,
  `{"title":${'{"a":'.repeat(40_000)}1${"}".repeat(40_000)}}`,
  `{"title":"a","x":${"[".repeat(100_000)}${"]".repeat(100_000)}}`,
];

test("extreme JSON is 400 or 422, never 5xx", async () => {
  for (const body of EXTREME) {
    const { status } = await send(url, "POST", "/v1/notes", { token, body });
    assert.ok(status === 400 || status === 422, `${status} ${body.slice(0, 40)}`);
  }
  assert.deepEqual(await table(), stored);
});

test("a body on a route without one is malformed_request", async () => {
  const bodies: [string, string][] = [
    ["GET", note],
    ["GET", "/v1/notes"],
    ["GET", "/v1/me"],
    ["DELETE", note],
    ["POST", `${note}/restore`],
  ];
  await refused(
    "malformed_request",
    bodies.map(([method, target]) => [method, target, { body: '{"title":"a"}' }]),
  );
  assert.equal((await send(url, "HEAD", note, { token, body: "x" })).status, 400);
});

test("malformed and unsupported conditions are malformed_request", async () => {
  const body = '{"title":"b"}';
  const ifMatch = ["1", '"1', '1"', '"1", "2"', 'w/"1"', '*, "1"', '"1"x', ",", '"a b"', "W/1", '""1""'];
  const ifNoneMatch = ["1", '"1" "2"', '"1", *', '"1', ","];
  const idempotencyKey = ["short", "a".repeat(65), "with space", "semi;colon"];
  await refused("malformed_request", [
    ...ifMatch.flatMap((value): Case[] => {
      const headers = { "If-Match": value };
      return [
        ["PATCH", note, { body, headers }],
        ["PUT", note, { body, headers }],
        ["DELETE", note, { headers }],
      ];
    }),
    ...ifNoneMatch.map((value): Case => ["GET", note, { headers: { "If-None-Match": value } }]),
    ...idempotencyKey.map((value): Case => ["POST", "/v1/notes", { body, headers: { "Idempotency-Key": value } }]),
    ["PATCH", note, { body, headers: { "If-None-Match": '"1"' } }],
    ["DELETE", note, { headers: { "If-None-Match": "*" } }],
    ["POST", `${note}/restore`, { headers: { "If-None-Match": "*" } }],
    ["GET", note, { headers: { "If-Match": '"1"' } }],
    ["GET", "/v1/notes", { headers: { "If-None-Match": "*" } }],
    ["GET", "/v1/me", { headers: { "If-Match": "*" } }],
    ["POST", "/v1/notes", { body, headers: { "If-Match": "*" } }],
    ["POST", "/v1/notes", { body, headers: { "If-None-Match": "*" } }],
  ]);
});

test("a header of - or beyond ASCII cannot be signed", async () => {
  const body = '{"title":"b"}';
  await refused("app_guard_rejected", [
    ...["If-Match", "If-None-Match", "Idempotency-Key"].flatMap((name): Case[] => [
      ["PATCH", note, { body, headers: { [name]: "-" } }],
      ["PATCH", note, { body, headers: { [name]: '"\u00e9"' } }],
    ]),
  ]);
});

test("a query with unencoded bytes is malformed_request", async () => {
  await refused("malformed_request", [
    ["GET", "/v1/notes?limit=5;state=active"],
    ["GET", "/v1/notes?q=a:b"],
    ["POST", "/v1/notes?a/b", { body: '{"title":"a"}' }],
  ]);
});

// 401

test("missing, expired and invalid tokens have their own codes", async () => {
  for (const [sent, code] of [
    [{}, "token_missing"],
    [{ token: jws(legacy, claims({ exp: 1_700_000_000 })) }, "token_expired"],
    [{ token: jws(legacy, claims({ role: "service_role" })) }, "token_invalid"],
    [{ token: jws({ ...legacy, key: "another secret of at least 32 bytes" }) }, "token_invalid"],
    [{ token: jws(legacy, claims(), { alg: "none" }).replace(/[^.]*$/, "") }, "token_invalid"],
  ] as const) {
    assertProblem(await send(url, "GET", "/v1/notes", sent), code);
    assertProblem(await send(url, "POST", "/v1/notes", { ...sent, body: '{"title":"a"}' }), code);
  }
  assertProblem(await send(url, "GET", "/v1/notes", { token, signed: null }), "app_guard_rejected");
  assertProblem(await send(url, "GET", "/v1/notes", { token, signed: { timestamp: 1_700_000_000 } }), "clock_skew");
  assert.deepEqual(await table(), stored);
});

// 404, 405

test("unknown paths are 404, other methods are 405 with Allow", async () => {
  assertProblem(await send(url, "GET", "/v2/notes", { signed: null }), "not_found");
  await refused("not_found", [
    ["GET", MISSING],
    ["DELETE", MISSING],
    ["POST", "/v1/notes/x/restore"],
  ]);
  for (const [target, allow, methods] of [
    ["/health", "GET, HEAD", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS"]],
    ["/openapi.json", "GET, HEAD", ["POST", "OPTIONS"]],
    ["/v1/me", "GET, HEAD", ["POST", "PUT", "DELETE", "OPTIONS"]],
    ["/v1/notes", "GET, HEAD, POST", ["PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND"]],
    [note, "GET, HEAD, PUT, PATCH, DELETE", ["POST", "OPTIONS"]],
    [`${note}/restore`, "POST", ["GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS"]],
  ] as const) {
    for (const method of methods) {
      const answered = await send(url, method, target, { signed: null });
      if (method !== "HEAD") assertProblem(answered, "method_not_allowed");
      assert.deepEqual([answered.status, answered.headers.get("allow")], [405, allow], `${method} ${target}`);
    }
  }
});

// 413

test("a declared size over 256 KiB is refused before the body", async () => {
  for (const length of ["262145", "1073741824", "99999999999"]) {
    const request = open(url, "POST", "/v1/notes", { "Content-Type": "application/json", "Content-Length": length });
    request.flushHeaders();
    assertProblem(await answer(request), "payload_too_large");
    request.destroy();
  }
});

test("a body over 256 KiB is refused while it is read", async () => {
  const headers = { ...headersOf("POST", "/v1/notes", { token }), "Content-Type": "application/json" };
  const lines = [
    "POST /v1/notes HTTP/1.1",
    "Host: localhost",
    ...Object.entries(headers).map(([name, value]) => `${name}: ${value}`),
  ];
  // A little more than fits: the answer does not wait for the end.
  const { received } = await sendEndless(url, lines, 17 * 0x4000);
  assert.match(received, /^HTTP\/1\.1 413 .*"code":"payload_too_large"/s);
  // A client that goes on sending is cut off.
  const { sent } = await sendEndless(url, lines);
  assert.ok(sent < 16 * 1024 * 1024, `${sent} bytes were taken`);
  assert.deepEqual(await table(), stored);
});

test("a body of exactly 256 KiB is read", async () => {
  const body = (bytes: number) => `{"title":"a"${" ".repeat(bytes - 13)}}`;
  await refused("payload_too_large", [["PATCH", note, { body: body(262_145) }]]);
  const unknown = await send(url, "PATCH", note, { token, body: body(262_144).replace("title", "titel") });
  assertProblem(unknown, "validation_failed");
});

// 415

test("other media types and encodings are unsupported_media_type", async () => {
  const body = '{"title":"a"}';
  const types = [
    "text/plain",
    "application/x-www-form-urlencoded",
    "multipart/form-data; boundary=x",
    "application/jsonx",
    "application/problem+json",
    "json",
    "application/",
    "text/json",
  ];
  const { "Content-Type": _, ...untyped } = headersOf("POST", "/v1/notes", { token, body });
  const request = open(url, "POST", "/v1/notes", untyped);
  request.end(body);
  assertProblem(await answer(request), "unsupported_media_type");
  await refused("unsupported_media_type", [
    ...types.map((type) => ["POST", "/v1/notes", { body, headers: { "Content-Type": type } }] as Case),
    ["POST", "/v1/notes", { body, headers: { "Content-Type": "application/merge-patch+json" } }],
    ["PUT", note, { body, headers: { "Content-Type": "application/merge-patch+json" } }],
    ["POST", "/v1/notes", { body, headers: { "Content-Type": ["application/json", "text/plain"] } }],
    ...["gzip", "identity", "br"].map(
      (encoding) => ["POST", "/v1/notes", { body, headers: { "Content-Encoding": encoding } }] as Case,
    ),
    ["POST", "/v1/notes", {}],
  ]);
  for (const type of [
    "application/json; charset=utf-8",
    "APPLICATION/JSON",
    "application/json;charset=x",
    "application/merge-patch+json; a=b",
  ]) {
    assertProblem(
      await send(url, "PATCH", note, { token, body: "{}", headers: { "Content-Type": type } }),
      "validation_failed",
    );
  }
});

// 422

test("errors of a body have pointers, in the order of the declaration", async () => {
  for (const [body, ...errors] of [
    ["{}", "/title required"],
    ['{"title":""}', "/title length"],
    ['{"title":" \\u00a0 "}', "/title length"],
    ['{"title":"a\\u0000b"}', "/title characters"],
    ['{"title":"a","body":"\\u0000"}', "/body characters"],
    ['{"title":null}', "/title type"],
    ['{"title":1,"body":[]}', "/title type", "/body type"],
    ['{"title":"a","title":"a"}', "/title duplicate"],
    ['{"title":"a","\\u0074itle":"b"}', "/title duplicate"],
    ['{"body":"\\u0000","title":""}', "/title length", "/body characters"],
    ['{"x":1,"body":1}', "/title required", "/body type", "/x unknown"],
    [
      `{"body":"${"a".repeat(20_001)}","y":1,"title":null,"x":1}`,
      "/title type",
      "/body length",
      "/y unknown",
      "/x unknown",
    ],
    ['{"title":"a","x":1}', "/x unknown"],
    ['{"title":"a","a/b~c":1}', "/a~1b~0c unknown"],
    ['{"title":"a","user_id":"x","id":"x","version":9}', "/user_id unknown", "/id unknown", "/version unknown"],
    [
      '{"title":"a","created_at":"x","updated_at":"x","deleted_at":null}',
      "/created_at unknown",
      "/updated_at unknown",
      "/deleted_at unknown",
    ],
    ['{"title":"a","__proto__":{}}', "/__proto__ unknown"],
    ["[]", " type"],
    ["null", " type"],
    ['"title"', " type"],
    ["1", " type"],
    ["true", " type"],
    ['[{"title":"a"}]', " type"],
  ] as const) {
    const [problem] = await refused("validation_failed", [["POST", "/v1/notes", { body }]]);
    const found = (problem?.errors ?? []).map((e) => `${e.pointer} ${e.code}`);
    assert.deepEqual(found, errors, body);
    for (const error of problem?.errors ?? [])
      assert.deepEqual(Object.keys(error).sort(), ["code", "message", "pointer"]);
  }
  const [empty] = await refused("validation_failed", [["PATCH", note, { body: "{}" }]]);
  assert.deepEqual(
    empty?.errors?.map(({ pointer }) => pointer),
    [""],
  );
});

test("errors of a query have parameters", async () => {
  const cursor = "A".repeat(32);
  const wrong: Record<string, string[]> = {
    limit: [
      "limit=0",
      "limit=101",
      "limit=-1",
      "limit=1.5",
      "limit=",
      "limit=%31%30%31",
      "limit=020",
      "limit=1e1",
      "limit=+5",
      "limit=99999999999999999999",
      "limit=1&limit=1",
      "l%69mit=1&limit=1",
    ],
    state: ["state=gone", "state=", "state=Active", "state=active&state=active"],
    cursor: [
      "cursor=x",
      "cursor=",
      `cursor=${cursor.slice(1)}`,
      `cursor=${cursor}A`,
      `cursor=f_________8${"A".repeat(21)}`,
    ],
    "cursor limit state": ["limit=0&state=x&cursor=%2B"],
    q: ["q=", "q=%00", "q=a&q=b", `q=${"a".repeat(201)}`],
    offset: ["offset=1"],
    Limit: ["Limit=1"],
    select: ["select=id"],
    user_id: ["user_id=eq.x"],
    "\0": ["%00=1"],
  };
  for (const [parameters, queries] of Object.entries(wrong)) {
    for (const query of queries) {
      const [problem] = await refused("validation_failed", [["GET", `/v1/notes?${query}`]]);
      assert.deepEqual(problem?.errors?.map(({ parameter }) => parameter).sort(), parameters.split(" "), query);
      for (const error of problem?.errors ?? [])
        assert.deepEqual(Object.keys(error).sort(), ["code", "message", "parameter"]);
    }
  }
  await refused("validation_failed", [
    ["GET", "/v1/me?a=1"],
    ["GET", `${note}?limit=1`],
    ["POST", "/v1/notes?limit=1", { body: '{"title":"a"}' }],
    ["DELETE", `${note}?x`],
    ["POST", `${note}/restore?x=1`],
  ]);
});

test("errors repeat little of what a client sent", async () => {
  const long = "x".repeat(10_000);
  const [problem] = await refused("validation_failed", [
    ["POST", "/v1/notes", { body: JSON.stringify({ title: "a", [long]: 1 }) }],
  ]);
  assert.ok(JSON.stringify(problem).length < 2000);
  const many = Object.fromEntries(Array.from({ length: 5000 }, (_, n) => [`f${n}`, n]));
  const [flood] = await refused("validation_failed", [["POST", "/v1/notes", { body: JSON.stringify(many) }]]);
  assert.equal(flood?.errors?.length, 16);
  assert.equal(flood?.errors?.[0]?.pointer, "/title");
  const query = Array.from({ length: 500 }, (_, n) => `f${n}=1`).join("&");
  const [parameters] = await refused("validation_failed", [["GET", `/v1/notes?${query}`]]);
  assert.ok((parameters?.errors?.length ?? 99) <= 16, `${parameters?.errors?.length} errors`);
});

// Errors of the database, which Postgres itself raises

const TITLE = "the only one";
const trigger = (body: string): [sql: string, undo: string] => [
  `create function public.broken() returns trigger language plpgsql as $$ begin ${body} return new; end $$;
   create trigger zz_broken before insert on public.notes for each row execute function public.broken()`,
  "drop trigger zz_broken on public.notes; drop function public.broken()",
];
const constraint = (text: string): [sql: string, undo: string] => [
  `alter table public.notes add constraint broken ${text}`,
  "alter table public.notes drop constraint broken",
];
const raised = (code: string) => trigger(`raise sqlstate '${code}' using message = 'SECRET';`);
const renamed = (kind: string, name: string, short: string): [sql: string, undo: string] => [
  `alter ${kind} ${name} rename to gone`,
  `alter ${kind} ${name.replace(short, "gone")} rename to ${short}`,
];
const CREATE = "function public.airlock_create(text, uuid, json, text, text)";

const DATABASE: [what: string, code: Code, error: string | undefined, change: [sql: string, undo: string]][] = [
  ["23505", "conflict", " unique", ["create unique index broken on public.notes (title)", "drop index public.broken"]],
  ["23P01", "conflict", " unique", constraint("exclude using btree (title with =)")],
  [
    "23503",
    "validation_failed",
    " reference",
    [
      `create table public.known (name text primary key); ${constraint("foreign key (title) references public.known not valid")[0]}`,
      `${constraint("")[1]}; drop table public.known`,
    ],
  ],
  [
    "23502",
    "validation_failed",
    " rule",
    [
      "alter table public.notes add column needed text not null default 'x'; alter table public.notes alter column needed drop default",
      "alter table public.notes drop column needed",
    ],
  ],
  ["23514", "validation_failed", " rule", constraint("check (title = 'SECRET') not valid")],
  ["22012", "validation_failed", " rule", trigger("perform 1 / 0;")],
  ["22P02", "validation_failed", " rule", trigger("perform 'SECRET'::integer;")],
  ["P0001", "validation_failed", " rule", trigger("raise exception 'SECRET';")],
  ["P0001 for a suppressed row", "validation_failed", " rule", trigger("return null;")],
  ["PT418", "validation_failed", " rule", raised("PT418")],
  [
    "42501 by a policy",
    "forbidden",
    undefined,
    [
      "create policy broken on public.notes as restrictive for insert to authenticated with check (false)",
      "drop policy broken on public.notes",
    ],
  ],
  [
    "42501 by a grant",
    "internal",
    undefined,
    [
      "revoke insert (title) on public.notes from authenticated",
      "grant insert (title) on public.notes to authenticated",
    ],
  ],
  [
    "42P17",
    "internal",
    undefined,
    [
      "create policy broken on public.notes for select to authenticated using (exists (select from public.notes))",
      "drop policy broken on public.notes",
    ],
  ],
  ["42883, of the claim", "internal", undefined, renamed("function", "airlock.claim()", "claim")],
  ["42P01, of the claims", "internal", undefined, renamed("table", "airlock.claims", "claims")],
  [
    "42883, of the called function",
    "internal",
    undefined,
    renamed(CREATE.split(" ")[0]!, CREATE.slice(9), "airlock_create"),
  ],
  ["40001", "upstream_unavailable", undefined, raised("40001")],
  ["40P01", "upstream_unavailable", undefined, raised("40P01")],
  [
    "25006",
    "upstream_unavailable",
    undefined,
    trigger("set local transaction_read_only = on; delete from public.notes;"),
  ],
  ["0A000", "upstream_unavailable", undefined, raised("0A000")],
  ["55P03", "upstream_timeout", undefined, raised("55P03")],
  ["57014", "upstream_timeout", undefined, raised("57014")],
  ["XX001", "upstream_invalid", undefined, raised("XX001")],
];

for (const [what, code, error, [sql, undo]] of DATABASE) {
  test(`${what} of Postgres is ${code} and writes nothing`, async () => {
    const columns = (rows: Record<string, unknown>[]) => rows.map(({ needed: _, ...row }) => row);
    const claimed = () => stack.sql("select user_id, nonce from airlock.claims order by 1, 2");
    const before = await claimed();
    await stack.sql(sql);
    try {
      const answered = await send(url, "POST", "/v1/notes", { token, body: JSON.stringify({ title: TITLE }) });
      const { errors } = assertProblem(answered, code);
      assert.deepEqual(
        errors?.map((one) => `${one.pointer} ${one.code}`),
        error === undefined ? undefined : [error],
      );
      assert.doesNotMatch(answered.body, /SECRET/);
    } finally {
      await stack.sql(undo);
    }
    assert.deepEqual(columns(await table()), stored);
    assert.deepEqual(await claimed(), before);
  });
}

test("a function that PostgREST does not find, or finds twice, is internal", async () => {
  // PostgREST reads the schema once, here at the first request.
  const other = await startStack();
  try {
    await other.sql(`
      alter function public.airlock_read(text, uuid, text, text) rename to gone;
      create function public.airlock_create(
        resource text, org uuid, draft json, request_key text, request_digest text, more text default null
      ) returns json language sql return null::json`);
    for (const [method, target, body, upstream] of [
      ["GET", note, undefined, "PGRST202"],
      ["POST", "/v1/notes", '{"title":"a"}', "PGRST203"],
    ] as const) {
      const answered = await send(other.url, method, target, { token: other.alice.token, ...(body && { body }) });
      assertProblem(answered, "internal");
      assert.equal((await logOf(other.worker, answered)).upstream_code, upstream);
    }
  } finally {
    await other.stop();
  }
});

test("a token that the database refuses is token_invalid", async () => {
  const other = "another secret of at least 32 bytes";
  await withWorker(workerVars(stack.supabase.url, { SUPABASE_JWT_SECRET: other }), {}, async (worker) => {
    const forged = jws({ ...legacy, key: other }, claims({ sub: stack.alice.id }));
    assertOk(await send(worker.url, "GET", "/v1/me", { token: forged }), 200);
    const answered = await send(worker.url, "GET", note, { token: forged });
    assertProblem(answered, "token_invalid");
    assert.equal((await logOf(worker, answered)).upstream_code, "PGRST301");
  });
});

// 503

test("a body that takes over 30 seconds is 503, with its reason in the log", async () => {
  const answered = await slow;
  const { detail } = assertProblem(answered, "dependency_unavailable");
  assert.equal(detail, "The body took longer than 30 seconds to arrive.");
  assert.equal((await logOf(stack.worker, answered)).reason, "the request body was slow");
  assert.deepEqual(await table(), stored);
});

// Public documents, and rules of every answer

test("public documents need no proof, and caches may keep one", async () => {
  for (const method of ["GET", "HEAD"]) {
    const health = await send(url, method, "/health", { signed: null });
    assert.equal(health.status, 200);
    requestId(health);
    const document = await send(url, method, "/openapi.json", { signed: null });
    assert.deepEqual([document.status, document.headers.get("content-type")], [200, "application/json"]);
    assert.match(document.headers.get("cache-control") ?? "", /public|max-age/);
    assert.ok(document.headers.get("x-request-id"));
  }
});

test("requests that the platform refuses stay refused", async () => {
  const { host } = new URL(url);
  for (const line of [
    "get /v1/notes HTTP/1.1",
    "CONNECT /v1/notes HTTP/1.1",
    "GET /v1/notes?a b HTTP/1.1",
    "GET /v1/notes HTTP/3.0",
    "\u0000",
  ]) {
    assert.doesNotMatch(await raw(url, line, `Host: ${host}`), /^HTTP\/1\.1 [23]/, line);
  }
});

test("Accept is ignored", async () => {
  assert.equal(
    assertOk(await alice("GET", note, undefined, { headers: { Accept: "text/html;q=1, */*;q=0" } }), 200).title,
    "the only one",
  );
});
