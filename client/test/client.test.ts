// The calls of the client against a stub: paths, bodies, retries, errors.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import {
  type Airlock,
  AirlockError,
  AirlockNetworkError,
  AirlockProblem,
  createAirlock,
  type LooseDeclaration,
} from "../src/index.ts";
import { isOlder, VERSION } from "../src/version.ts";
import { airlockWith, expectedSignature, ID, json, NOW, note, problem, SECRET, TOKEN, tokenOf } from "./stub.ts";

const utf8 = (bytes: Uint8Array) => Buffer.from(bytes).toString("utf8");

async function thrownBy(promise: Promise<unknown>): Promise<Error> {
  return promise.then(
    () => assert.fail("nothing was thrown"),
    (error: Error) => error,
  );
}

async function problemOf(promise: Promise<unknown>): Promise<AirlockProblem> {
  const error = await thrownBy(promise);
  assert.ok(error instanceof AirlockProblem, String(error));
  return error;
}

test("every call signs the method, target, conditions and body that it sends", async () => {
  const page = { data: [note(2)], next_cursor: null };
  const { airlock, sent } = airlockWith([
    json(200, { sub: ID }),
    json(200, page),
    json(201, note()),
    json(200, note()),
    json(201, note()),
    json(200, note(3)),
    new Response(null, { status: 204 }),
    json(200, note(5)),
  ]);
  const { notes } = airlock;

  await airlock.me();
  assert.equal((await notes.list()).data[0]?.version, 2);
  assert.equal((await notes.create({ title: "Café ☕ \u{1F9F3}" })).version, 1);
  await notes.get(ID);
  await notes.put(ID, { title: "b", body: "" }, { ifNoneMatch: "*" });
  assert.equal((await notes.patch(ID, { body: "c" }, { ifMatch: '"2"' })).version, 3);
  assert.equal(await notes.remove(ID, { ifMatch: '"3"' }), undefined);
  assert.equal((await notes.restore(ID, { ifMatch: '"4"' })).version, 5);

  const line = ({ method, target, headers, body }: (typeof sent)[number]) =>
    [method, target, headers.get("If-Match"), headers.get("If-None-Match"), utf8(body)].join(" ");
  assert.deepEqual(sent.map(line), [
    "GET /v1/me   ",
    "GET /v1/notes   ",
    'POST /v1/notes   {"title":"Café ☕ \u{1F9F3}"}',
    `GET /v1/notes/${ID}   `,
    `PUT /v1/notes/${ID}  * {"title":"b","body":""}`,
    `PATCH /v1/notes/${ID} "2"  {"body":"c"}`,
    `DELETE /v1/notes/${ID} "3"  `,
    `POST /v1/notes/${ID}/restore "4"  `,
  ]);
  for (const request of sent) {
    assert.equal(request.headers.get("X-App-Signature"), expectedSignature(request));
    assert.equal(request.headers.get("X-App-Timestamp"), String(NOW));
    assert.equal(request.headers.get("Authorization"), `Bearer ${TOKEN}`);
    const media = /^(GET|DELETE)$/.test(request.method) ? null : "application/json";
    assert.equal(request.headers.get("Content-Type"), media);
  }
  assert.equal(new Set(sent.map(({ headers }) => headers.get("X-App-Nonce"))).size, sent.length);
});

test("calls about organisations and published rows match their routes", async () => {
  const org = (version: number) => ({ id: ID, name: "Press", role: "owner", version });
  const member = { user_id: ID, role: "viewer", version: 1 };
  const invitation = { id: ID, role: "viewer", accepted_at: null };
  const page = (...data: unknown[]) => json(200, { data, next_cursor: null });
  const { airlock, sent } = airlockWith([
    json(201, org(1)),
    page(org(2)),
    json(200, org(2)),
    json(200, org(3)),
    json(200, org(4)),
    page(member),
    json(200, member),
    json(200, { ...member, version: 2 }),
    new Response(null, { status: 204 }),
    json(201, { ...invitation, token: "t" }),
    page(invitation),
    new Response(null, { status: 204 }),
    json(201, note()),
    json(200, note(2)),
    json(200, note(3)),
    json(200, { ...note(2), published_at: "2026-11-22T12:00:00.000000Z" }),
    new Response(null, { status: 304 }),
    new Response(null, { status: 204 }),
  ]);
  const { orgs } = airlock;

  assert.equal((await orgs.create("Press")).version, 1);
  assert.equal((await orgs.list({ limit: 5 })).data[0]?.version, 2);
  assert.equal((await orgs.get(ID)).role, "owner");
  assert.equal((await orgs.rename(ID, "News", { ifMatch: '"2"' })).version, 3);
  assert.equal((await orgs.join("token")).version, 4);
  const members = orgs.members(ID);
  for await (const { version } of members.all()) assert.equal(version, 1);
  assert.equal((await members.get(ID)).version, 1);
  assert.equal((await members.setRole(ID, "editor", { ifMatch: '"1"' })).version, 2);
  await members.remove(ID);
  const invitations = orgs.invitations(ID);
  assert.equal((await invitations.create("viewer")).token, "t");
  assert.deepEqual((await invitations.list()).data, [invitation]);
  await invitations.remove(ID);
  const notes = airlock.org(ID).resource("notes");
  await notes.create({ title: "a" });
  await notes.publish(ID, { ifMatch: '"1"' });
  await notes.unpublish(ID);
  assert.equal((await airlock.published("notes", ID)).version, 2);
  assert.equal(await airlock.published("notes", ID, { ifNoneMatch: '"2"' }), undefined);
  await orgs.remove(ID, { ifMatch: '"4"' });

  const line = ({ method, target, headers, body }: (typeof sent)[number]) =>
    [method, target, headers.get("If-Match"), headers.get("If-None-Match"), utf8(body)].join(" ");
  assert.deepEqual(sent.map(line), [
    'POST /v1/orgs   {"name":"Press"}',
    "GET /v1/orgs?limit=5   ",
    `GET /v1/orgs/${ID}   `,
    `PATCH /v1/orgs/${ID} "2"  {"name":"News"}`,
    'POST /v1/orgs/join   {"token":"token"}',
    `GET /v1/orgs/${ID}/members   `,
    `GET /v1/orgs/${ID}/members/${ID}   `,
    `PATCH /v1/orgs/${ID}/members/${ID} "1"  {"role":"editor"}`,
    `DELETE /v1/orgs/${ID}/members/${ID}   `,
    `POST /v1/orgs/${ID}/invitations   {"role":"viewer"}`,
    `GET /v1/orgs/${ID}/invitations   `,
    `DELETE /v1/orgs/${ID}/invitations/${ID}   `,
    `POST /v1/orgs/${ID}/notes   {"title":"a"}`,
    `POST /v1/orgs/${ID}/notes/${ID}/publish "1"  `,
    `POST /v1/orgs/${ID}/notes/${ID}/unpublish   `,
    `GET /v1/public/notes/${ID}   `,
    `GET /v1/public/notes/${ID}  "2" `,
    `DELETE /v1/orgs/${ID} "4"  `,
  ]);
});

test("a resource has the same calls, of the user or of an organisation", async () => {
  for (const place of ["/v1/things", `/v1/orgs/${ID}/things`]) {
    const thing = (version: number) => json(200, { id: ID, label: "a", version });
    const { airlock, sent } = airlockWith([
      json(201, { id: ID, label: "a", version: 1 }),
      json(200, { data: [{ id: ID, label: "a", version: 1 }], next_cursor: null }),
      ...[2, 3, 4, 5].map(thing),
      new Response(null, { status: 204 }),
      ...[6, 7].map(thing),
    ]);
    const things = place === "/v1/things" ? airlock.resource("things") : airlock.org(ID).resource("things");

    assert.equal((await things.create({ label: "a", rank: 3 }, { idempotencyKey: "order-0001" })).version, 1);
    for await (const { version } of things.all({ limit: 5, q: "a b", state: "published" })) assert.equal(version, 1);
    assert.equal((await things.get(ID)).version, 2);
    assert.equal((await things.put(ID, { label: "a", tags: ["x"] }, { ifMatch: '"2"' })).version, 3);
    assert.equal((await things.patch(ID, { remark: null, extra: { a: [1] } })).version, 4);
    assert.equal((await things.publish(ID, { ifMatch: '"4"' })).version, 5);
    assert.equal(await things.remove(ID), undefined);
    assert.equal((await things.restore(ID)).version, 6);
    assert.equal((await things.unpublish(ID)).version, 7);

    assert.deepEqual(
      sent.map(({ method, target, body }) => [method, target, utf8(body)].join(" ")),
      [
        `POST ${place} {"label":"a","rank":3}`,
        `GET ${place}?limit=5&q=a%20b&state=published `,
        `GET ${place}/${ID} `,
        `PUT ${place}/${ID} {"label":"a","tags":["x"]}`,
        `PATCH ${place}/${ID} {"remark":null,"extra":{"a":[1]}}`,
        `POST ${place}/${ID}/publish `,
        `DELETE ${place}/${ID} `,
        `POST ${place}/${ID}/restore `,
        `POST ${place}/${ID}/unpublish `,
      ],
    );
    assert.equal(sent[0]!.headers.get("Idempotency-Key"), "order-0001");
    for (const request of sent) assert.equal(request.headers.get("X-App-Signature"), expectedSignature(request));
  }
});

test("without generated types any resource can be called", async () => {
  const answers = [json(201, { id: ID, a: 1, version: 1 }), json(200, { id: ID, a: 1, version: 1 })];
  const { airlock, sent } = airlockWith(answers);
  const loose = airlock as unknown as Airlock<LooseDeclaration>;
  assert.equal((await loose.resource("shopping_lists").create({ a: 1 })).a, 1);
  assert.equal((await loose.published("shopping_lists", ID)).version, 1);
  assert.deepEqual(
    sent.map(({ target }) => target),
    ["/v1/shopping_lists", `/v1/public/shopping_lists/${ID}`],
  );
});

test("every request has the client's version", async () => {
  const { version } = JSON.parse(readFileSync(new URL("../package.json", import.meta.url), "utf8"));
  const { airlock, sent } = airlockWith([json(201, note()), json(200, {}), json(200, {})]);
  await airlock.notes.create({ title: "a" });
  await airlock.request("GET", "/v1/me");
  await airlock.request("GET", "/v1/me", { headers: { "x-client-info": "mine/2" } });
  const own = `react-native-airlock/${version}`;
  assert.deepEqual(
    sent.map(({ headers }) => headers.get("X-Client-Info")),
    [own, own, "mine/2"],
  );
});

test("an older Worker causes one warning, when a call fails", async (context) => {
  const warn = context.mock.method(console, "warn", () => {});
  const [major = 0, minor = 0] = VERSION.split(".").map(Number);
  const warnings = async (...versions: (string | undefined)[]) => {
    const failed = (version = "") => problem(404, "not_found", {}, { "X-Airlock-Version": version });
    const { airlock } = airlockWith([json(200, note()), ...versions.map(failed)]);
    await airlock.notes.get(ID);
    for (const _ of versions) assert.equal((await problemOf(airlock.notes.get(ID))).code, "not_found");
    const texts = warn.mock.calls.map((call) => String(call.arguments[0]));
    warn.mock.resetCalls();
    return texts;
  };
  const older = `${major}.${minor - 1}.9+85333d3`;
  const [warning, ...more] = await warnings(older, older);
  assert.deepEqual(more, []);
  assert.equal(
    warning,
    `https://api.example.com is Airlock ${older}, older than react-native-airlock ${VERSION}: deploy a newer one.`,
  );
  const newer = [`${major}.${minor}.0`, `${major}.${minor + 1}.0+abc`, `${major + 1}.0.0`];
  assert.deepEqual(await warnings(...newer, "", "none", undefined), []);
});

test("a version is older by its numbers", () => {
  const now = VERSION.split(".").map(Number);
  const versions = [
    [now[0]! - 1, 99, 0],
    [now[0], now[1]! - 1, 99],
    now,
    [now[0], now[1], 99],
    [now[0], now[1]! + 10, 0],
    [now[0]! + 1, 0, 0],
  ];
  assert.deepEqual(
    versions.map((version) => isOlder(version.join("."))),
    [true, true, false, false, false, false],
  );
});

test("fetch follows no redirect, sends no cookies and gets no cache option", async () => {
  const { airlock, sent } = airlockWith([json(200, { sub: ID })]);
  await airlock.me();
  const { init } = sent[0]!;
  assert.deepEqual([init.redirect, init.credentials, "cache" in init], ["manual", "omit", false]);
});

test("POST, PUT and PATCH have an explicit body and its type, also if it is empty", async () => {
  const { airlock, sent } = airlockWith([
    json(200, note()),
    json(200, {}),
    json(200, {}),
    json(200, note()),
    new Response(null, { status: 204 }),
  ]);
  await airlock.notes.restore(ID);
  await airlock.request("PUT", "/v1/x");
  await airlock.request("patch", "/v1/x");
  await airlock.notes.get(ID);
  await airlock.notes.remove(ID);
  const bodies = sent.map(({ init }) => (init.body as Uint8Array | undefined)?.length);
  assert.deepEqual(bodies, [0, 0, 0, undefined, undefined]);
  const type = "application/json";
  assert.deepEqual(
    sent.map(({ headers }) => headers.get("Content-Type")),
    [type, type, type, null, null],
  );
});

test("a row can be sent back whole: only its declared fields go", async () => {
  const errand = { ...note(), thing: ID, published_at: null };
  const answers = [json(200, errand), ...[json(200, errand), json(200, errand), json(201, errand)]];
  const { airlock, sent } = airlockWith(answers);
  const errands = airlock.resource("errands");
  const row = await errands.get(ID);
  await errands.put(ID, { ...row, title: "new" });
  await errands.patch(ID, row);
  await errands.create(row);
  const sentBack = (title: string) => `{"title":"${title}","body":"","thing":"${ID}"}`;
  assert.deepEqual(
    sent.slice(1).map(({ body }) => utf8(body)),
    ["new", "Title", "Title"].map(sentBack),
  );
});

test("get with ifNoneMatch gives undefined when nothing changed", async () => {
  const { airlock, sent } = airlockWith([new Response(null, { status: 304 }), json(200, note(4))]);
  assert.equal(await airlock.notes.get(ID, { ifNoneMatch: '"3"' }), undefined);
  assert.equal((await airlock.notes.get(ID, { ifNoneMatch: undefined }))?.version, 4);
  assert.deepEqual(
    sent.map(({ headers }) => headers.get("If-None-Match")),
    ['"3"', null],
  );
});

test("all but unreserved characters are percent-encoded", async () => {
  const empty = () => json(200, { data: [], next_cursor: null });
  const { airlock, sent } = airlockWith([empty(), empty()]);
  await airlock.notes.list({ limit: 5, cursor: "aZ09-._~!*'()=+/& é€\u{1F9F3}", state: "deleted" });
  await airlock.notes.list({ cursor: null });
  assert.deepEqual(
    sent.map(({ target }) => target),
    [
      "/v1/notes?limit=5&cursor=aZ09-._~%21%2A%27%28%29%3D%2B%2F%26%20%C3%A9%E2%82%AC%F0%9F%A7%B3&state=deleted",
      "/v1/notes",
    ],
  );
});

test("an impossible id or name is a TypeError, and nothing is sent", async () => {
  const { airlock, sent } = airlockWith([]);
  const loose = airlock as unknown as Airlock<LooseDeclaration>;
  for (const id of ["../orgs", "", ID.toUpperCase(), `${ID} `, `${ID}/restore`, undefined, null, -7, 7.5] as string[]) {
    for (const call of [
      () => airlock.notes.get(id),
      () => airlock.notes.put(id, { title: "a" }),
      () => airlock.notes.patch(id, { title: "a" }),
      () => airlock.notes.remove(id),
      () => airlock.notes.restore(id),
      () => airlock.notes.publish(id),
      () => airlock.notes.unpublish(id),
      () => airlock.published("notes", id),
      () => airlock.org(id).resource("notes").list(),
      () => airlock.org(id).resource("notes").create({ title: "a" }),
      () => airlock.orgs.get(id),
      () => airlock.orgs.rename(id, "a"),
      () => airlock.orgs.remove(id),
      () => airlock.orgs.members(id).list(),
      () => airlock.orgs.members(ID).setRole(id, "viewer"),
      () => airlock.orgs.members(ID).remove(id),
      () => airlock.orgs.invitations(id).create("viewer"),
      () => airlock.orgs.invitations(ID).remove(id),
    ]) {
      assert.ok((await thrownBy(call())) instanceof TypeError, String(call));
    }
  }
  for (const name of ["../orgs", "", "Notes", "notes?x"]) {
    assert.ok((await thrownBy(loose.resource(name).list())) instanceof TypeError);
    assert.ok((await thrownBy(loose.published(name, ID))) instanceof TypeError);
  }
  for (const idempotencyKey of ["", "short", "a".repeat(65), "order 0001", "order-0001\n"]) {
    assert.ok((await thrownBy(airlock.notes.create({ title: "a" }, { idempotencyKey }))) instanceof TypeError);
    assert.ok((await thrownBy(airlock.orgs.create("a", { idempotencyKey }))) instanceof TypeError);
  }
  assert.equal(sent.length, 0);
});

test("rows below a row of another resource have its place in their path", async () => {
  const row = { id: ID, version: 1 };
  const { airlock, sent } = airlockWith(
    [json(200, { data: [row], next_cursor: null }), json(201, row), json(200, row)],
    { ids: { teams: "bigint" } },
  );
  const loose = airlock as unknown as Airlock<LooseDeclaration>;
  const projects = loose.under("teams", 7).resource("projects");
  await projects.list({ limit: 5 });
  await projects.create({ name: "a" });
  await projects.patch(ID, { name: "b" });
  assert.deepEqual(
    sent.map(({ target }) => target),
    ["/v1/teams/7/projects?limit=5", "/v1/teams/7/projects", `/v1/teams/7/projects/${ID}`],
  );
  for (const id of [ID, "7", 0, "7/x"])
    await assert.rejects(loose.under("teams", id).resource("projects").list(), TypeError);
  for (const name of ["../orgs", "", "a/b"]) {
    await assert.rejects(loose.under(name, 7).resource("projects").list(), TypeError);
    await assert.rejects(loose.under("teams", 7).resource(name).list(), TypeError);
  }
  assert.equal(sent.length, 3);
});

test("rows are asked for with others, and written without them", async () => {
  const row = { id: ID, version: 1, title: "a", included: { tasks: { data: [], more: false } } };
  const { airlock, sent } = airlockWith([
    json(200, { data: [row], next_cursor: null }),
    json(200, row),
    json(200, row),
  ]);
  const projects = (airlock as unknown as Airlock<LooseDeclaration>).resource("projects");
  await projects.list({ include: ["tasks", "lead"] });
  const read = await projects.get(ID, { include: ["tasks"] });
  assert.deepEqual(read.included?.tasks, { data: [], more: false });
  await projects.put(ID, read);
  assert.deepEqual(
    sent.map(({ target }) => target),
    ["/v1/projects?include=tasks%2Clead", `/v1/projects/${ID}?include=tasks`, `/v1/projects/${ID}`],
  );
  assert.equal(utf8(sent[2]!.body), '{"title":"a"}');
});

test("a function is called by its name with its arguments", async () => {
  const { airlock, sent } = airlockWith([json(200, { id: 7 }), json(204, undefined), json(200, [])]);
  const loose = airlock as unknown as Airlock<LooseDeclaration>;
  assert.deepEqual(await loose.call("create_team", { name: "a" }), { id: 7 });
  assert.equal(await loose.call("nothing", {}), undefined);
  assert.deepEqual(await loose.call("names", {}), []);
  assert.deepEqual(
    sent.map(({ method, target, body }) => `${method} ${target} ${utf8(body)}`),
    ['POST /v1/functions/create_team {"name":"a"}', "POST /v1/functions/nothing {}", "POST /v1/functions/names {}"],
  );
  for (const name of ["", "../me", "a/b", "Names"]) await assert.rejects(loose.call(name, {}), TypeError);
  assert.equal(sent.length, 3);
});

test("an id is of the kind that the generated file says, else a UUID", async () => {
  const row = { id: 12, version: 1 };
  const { airlock, sent } = airlockWith([json(200, row), json(200, row), json(200, row), json(200, row)], {
    ids: { todos: "bigint", profiles: "owner" },
  });
  const loose = airlock as unknown as Airlock<LooseDeclaration>;
  const [todos, profiles] = [loose.resource("todos"), loose.resource("profiles")];
  await todos.get(12);
  await loose.org(ID).resource("todos").patch(Number.MAX_SAFE_INTEGER, { a: 1 });
  await loose.published("todos", 1);
  await profiles.put("me", { name: "a" });
  assert.deepEqual(
    sent.map(({ target }) => target),
    ["/v1/todos/12", `/v1/orgs/${ID}/todos/9007199254740991`, "/v1/public/todos/1", "/v1/profiles/me"],
  );
  for (const id of ["12", ID, 0, -1, 1.5, NaN, 2 ** 53, "", null]) await assert.rejects(todos.get(id), TypeError);
  for (const id of [ID, "ME", 12, "me/x"]) await assert.rejects(profiles.get(id), TypeError);
  for (const name of ["notes", "constructor"])
    for (const id of [12, "me"]) await assert.rejects(loose.resource(name).get(id), TypeError);
  assert.equal(sent.length, 4);
});

test("a version is sent as its entity tag, and a tag as it is", async () => {
  const { airlock, sent } = airlockWith(Array.from({ length: 5 }, () => json(200, note())));
  for (const ifMatch of [3, "3", '"3"', 'W/"3"', "*"]) await airlock.notes.patch(ID, { title: "a" }, { ifMatch });
  assert.deepEqual(
    sent.map(({ headers }) => headers.get("If-Match")),
    ['"3"', '"3"', '"3"', 'W/"3"', "*"],
  );
});

test("a field called etag is a field like any other", async () => {
  const row = { id: ID, etag: '"3"', version: 3 };
  const { airlock, sent } = airlockWith([json(200, row), json(200, row)]);
  const feeds = (airlock as unknown as Airlock<LooseDeclaration>).resource("feeds");
  const feed = await feeds.get(ID);
  assert.deepEqual(feed, row);
  await feeds.put(ID, feed);
  assert.equal(utf8(sent[1]!.body), '{"etag":"\\"3\\""}');
});

test("all() walks the pages and stops asking when the reader does", async () => {
  const pages = () => [
    json(200, { data: [note(1), note(2)], next_cursor: "p2" }),
    json(200, { data: [], next_cursor: "p3" }),
    json(200, { data: [note(3)], next_cursor: null }),
  ];
  const whole = airlockWith(pages());
  const versions: number[] = [];
  for await (const { version } of whole.airlock.notes.all({ limit: 2, state: "deleted" })) {
    versions.push(version);
  }
  assert.deepEqual(versions, [1, 2, 3]);
  assert.deepEqual(
    whole.sent.map(({ target }) => target),
    [
      "/v1/notes?limit=2&state=deleted",
      "/v1/notes?limit=2&state=deleted&cursor=p2",
      "/v1/notes?limit=2&state=deleted&cursor=p3",
    ],
  );

  const part = airlockWith(pages());
  for await (const _ of part.airlock.notes.all()) break;
  assert.equal(part.sent.length, 1);
});

test("a wrong clock is corrected once and stays corrected", async () => {
  const skew = () => problem(401, "clock_skew", { server_time: NOW + 4000 });
  const { airlock, sent } = airlockWith([skew(), json(201, note()), json(200, note()), skew(), skew()]);
  await airlock.notes.create({ title: "a" });
  await airlock.notes.get(ID);
  assert.equal((await problemOf(airlock.notes.get(ID))).code, "clock_skew");

  const timestamps = sent.map(({ headers }) => Number(headers.get("X-App-Timestamp")) - NOW);
  assert.deepEqual(timestamps, [0, 4000, 4000, 4000, 4000]);
  assert.deepEqual(sent[0]!.body, sent[1]!.body);
  assert.notEqual(sent[0]!.headers.get("X-App-Nonce"), sent[1]!.headers.get("X-App-Nonce"));
  for (const request of sent) {
    assert.equal(request.headers.get("X-App-Signature"), expectedSignature(request));
  }
});

test("a server's time that is no time corrects nothing", async () => {
  for (const server_time of [{ a: 1 }, 1.5, 1e300, "1795000000", null]) {
    const { airlock, sent } = airlockWith([problem(401, "clock_skew", { server_time }), json(200, note())]);
    assert.equal((await problemOf(airlock.notes.get(ID))).server_time, null);
    await airlock.notes.get(ID);
    assert.equal(sent[1]!.headers.get("X-App-Timestamp"), String(NOW));
  }
});

test("an expired token is refreshed once", async () => {
  const asked: boolean[] = [];
  const getToken = async ({ refresh }: { refresh: boolean }) => {
    asked.push(refresh);
    return refresh ? "new.token" : "old.token";
  };
  const { airlock, sent } = airlockWith(
    [problem(401, "token_expired"), json(200, note()), problem(401, "token_expired"), problem(401, "token_expired")],
    { getToken },
  );
  await airlock.notes.get(ID);
  assert.equal((await problemOf(airlock.notes.get(ID))).code, "token_expired");
  assert.deepEqual(asked, [false, true, false, true]);
  assert.deepEqual(
    sent.map(({ headers }) => headers.get("Authorization")),
    ["Bearer old.token", "Bearer new.token", "Bearer old.token", "Bearer new.token"],
  );
  for (const request of sent) {
    assert.equal(request.headers.get("X-App-Signature"), expectedSignature(request));
  }
});

test("a token that cannot be refreshed is not sent again", async () => {
  for (const fresh of [TOKEN, null, undefined]) {
    const { airlock, sent } = airlockWith([problem(401, "token_expired")], {
      getToken: async ({ refresh }) => (refresh ? fresh : TOKEN),
    });
    assert.equal((await problemOf(airlock.me())).code, "token_expired");
    assert.equal(sent.length, 1);
  }
});

async function each(rows: AsyncIterable<unknown>) {
  for await (const _ of rows);
}

test("no request of one user is sent with the token of another who has signed in since", async () => {
  const old = tokenOf("alice");
  const calls: ((airlock: ReturnType<typeof airlockWith>["airlock"]) => Promise<unknown>)[] = [
    ({ notes }) => notes.create({ title: "a" }),
    ({ notes }) => notes.patch(ID, { title: "a" }),
    ({ orgs }) => orgs.join("token"),
    (airlock) => airlock.request("POST", "/v1/notes", { body: "{}" }),
  ];
  for (const call of calls) {
    const { airlock, sent } = airlockWith([problem(401, "token_expired")], {
      getToken: async ({ refresh }) => (refresh ? tokenOf("bob") : old),
    });
    await assert.rejects(call(airlock), { name: "AirlockUserError", code: "user_changed", retryable: false });
    assert.equal(sent.length, 1);
  }

  // Between the pages of one list, and before the row is read of a change whose answer was lost.
  const page = json(200, { data: [note()], next_cursor: "next" });
  for (const [answer, call] of [
    [page, ({ notes }) => each(notes.all())],
    [problem(409, "request_replayed"), async ({ notes }) => notes.patch(ID, { title: "a" })],
  ] as [Response, (typeof calls)[number]][]) {
    const tokens = [old, tokenOf("bob")];
    const { airlock, sent } = airlockWith([answer], { getToken: async () => tokens.shift() });
    await assert.rejects(call(airlock), { code: "user_changed" });
    assert.equal(sent.length, 1);
  }

  const refreshed = [old, `${old}2`];
  const { airlock } = airlockWith([problem(401, "token_expired"), json(200, note())], {
    getToken: async () => refreshed.shift(),
  });
  await airlock.notes.get(ID);
});

test("a call for one user is not sent with the token of another", async () => {
  const calls: ((airlock: ReturnType<typeof airlockWith>["airlock"], user: string) => Promise<unknown>)[] = [
    ({ notes }, user) => notes.create({ title: "a" }, { user }),
    ({ notes }, user) => notes.put(ID, { title: "a" }, { user }),
    ({ notes }, user) => notes.patch(ID, { title: "a" }, { user }),
    ({ notes }, user) => notes.remove(ID, { user }),
    ({ notes }, user) => notes.restore(ID, { user }),
    ({ notes }, user) => notes.publish(ID, { user }),
    ({ notes }, user) => notes.get(ID, { user }),
    ({ notes }, user) => notes.list({ user }),
    ({ notes }, user) => each(notes.all({ user })),
    ({ orgs }, user) => orgs.create("a", { user }),
    ({ orgs }, user) => orgs.join("token", { user }),
    ({ orgs }, user) => orgs.members(ID).remove(ID, { user }),
    (airlock, user) => airlock.me({ user }),
    (airlock, user) => airlock.request("POST", "/v1/notes", { body: "{}", user }),
    (airlock, user) => airlock.request("POST", "/v1/notes", { body: "{}", user, token: tokenOf("bob") }),
  ];
  for (const call of calls) {
    const { airlock, sent } = airlockWith([problem(404, "not_found")], { getToken: async () => tokenOf("bob") });
    await assert.rejects(call(airlock, "alice"), { code: "user_changed" });
    assert.equal(sent.length, 0);
    await call(airlock, "bob").catch(({ code }) => assert.equal(code, "not_found"));
    assert.equal(sent.length, 1);
    assert.doesNotMatch(sent[0]!.target, /user/);
  }
  for (const token of [null, TOKEN]) {
    const { airlock, sent } = airlockWith([problem(401, "token_missing")], { getToken: async () => token });
    assert.equal((await problemOf(airlock.notes.get(ID, { user: "alice" }))).code, "token_missing");
    assert.equal(sent.length, 1, "the server refuses a call without a user");
  }
});

test("signed out, the request carries no token", async () => {
  for (const none of [null, undefined]) {
    const { airlock, sent } = airlockWith([problem(401, "token_missing")], { getToken: async () => none });
    assert.equal((await problemOf(airlock.me())).code, "token_missing");
    assert.equal(sent[0]!.headers.get("Authorization"), null);
    assert.equal(sent[0]!.headers.get("X-App-Signature"), expectedSignature(sent[0]!));
  }
});

test("a problem carries its members", async () => {
  const errors = [{ pointer: "/title", code: "length", message: "1 to 200 characters" }];
  const { airlock } = airlockWith([
    problem(422, "validation_failed", { errors }),
    problem(412, "version_mismatch", { current: note(7) }, { ETag: '"7"' }),
    problem(503, "upstream_unavailable", { retryable: true }, { "Retry-After": "12" }),
  ]);

  const invalid = await problemOf(airlock.notes.create({ title: "" }));
  assert.deepEqual(
    { ...invalid },
    {
      name: "AirlockProblem",
      type: "urn:airlock:problem:validation_failed",
      title: "Title",
      status: 422,
      code: "validation_failed",
      detail: "Detail.",
      request_id: "request-1",
      retryable: false,
      errors,
      current: null,
      server_time: null,
      retryAfter: null,
    },
  );
  assert.equal(invalid.message, "422 validation_failed: Detail.");
  assert.ok(invalid instanceof AirlockError && invalid instanceof Error);

  const mismatch = await problemOf(airlock.notes.patch(ID, { body: "x" }, { ifMatch: '"3"' }));
  assert.equal(mismatch.current?.version, 7);
  assert.deepEqual(mismatch.errors, []);

  const unavailable = await problemOf(airlock.me());
  assert.equal(unavailable.retryable, true);
  assert.equal(unavailable.retryAfter, 12);
});

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;
const REPLAYED = () => problem(409, "request_replayed");

test("a removal that was carried out without an answer is done", async () => {
  const { airlock, sent } = airlockWith([REPLAYED(), REPLAYED(), REPLAYED(), REPLAYED()]);
  const { notes, orgs } = airlock;
  for (const remove of [
    () => notes.remove(ID, { ifMatch: '"3"' }),
    () => orgs.remove(ID),
    () => orgs.members(ID).remove(ID),
    () => orgs.invitations(ID).remove(ID),
  ]) {
    assert.equal(await remove(), undefined);
  }
  assert.deepEqual(
    sent.map(({ method }) => method),
    Array(4).fill("DELETE"),
  );
});

test("a change that was carried out without an answer reads the row", async () => {
  const row = () => json(200, note(7));
  const org = () => json(200, { id: ID, name: "Press", role: "owner", version: 7 });
  const member = () => json(200, { user_id: ID, role: "viewer", version: 7 });
  const answers = [row, row, row, row, row, org, member].flatMap((answer) => [REPLAYED(), answer()]);
  const { airlock, sent } = airlockWith(answers);
  const { notes, orgs } = airlock;
  const conditions = { ifMatch: '"6"' };
  for (const change of [
    () => notes.put(ID, { title: "a" }, { ifNoneMatch: "*" }),
    () => notes.patch(ID, { title: "a" }, conditions),
    () => notes.restore(ID, conditions),
    () => notes.publish(ID, conditions),
    () => notes.unpublish(ID),
    () => orgs.rename(ID, "Press", conditions),
    () => orgs.members(ID).setRole(ID, "viewer", conditions),
  ]) {
    assert.equal((await change()).version, 7);
    const [write, read] = sent.splice(0);
    assert.match(write!.method, /^(PUT|PATCH|POST)$/);
    const target = write!.target.replace(/\/(restore|publish|unpublish)$/, "");
    assert.deepEqual([read!.method, read!.target, read!.body.length], ["GET", target, 0]);
    assert.deepEqual([read!.headers.get("If-Match"), read!.headers.get("If-None-Match")], [null, null]);
    assert.equal(read!.headers.get("X-App-Signature"), expectedSignature(read!));
  }
});

test("a POST with an Idempotency-Key is sent once more with a fresh nonce", async () => {
  const invitation = { id: ID, role: "viewer", accepted_at: null, token: "t" };
  const created = [json(201, note()), json(201, { id: ID, name: "Press", version: 1 }), json(201, invitation)];
  const joined = json(200, { id: ID, name: "Press", version: 2 });
  const { airlock, sent } = airlockWith([...created, joined].flatMap((answer) => [REPLAYED(), answer]));
  const { notes, orgs } = airlock;
  const options = { idempotencyKey: "order-0001" };
  for (const create of [
    () => notes.create({ title: "a" }, options),
    () => orgs.create("Press", options),
    () => orgs.invitations(ID).create("viewer", options),
    // The token is its key: the server answers the member who used it.
    () => orgs.join("token"),
  ]) {
    assert.equal((await create()).id, ID);
    const [first, second] = sent.splice(0);
    assert.deepEqual([second!.method, second!.target, second!.body], ["POST", first!.target, first!.body]);
    assert.equal(second!.headers.get("Idempotency-Key"), first!.headers.get("Idempotency-Key"));
    assert.notEqual(second!.headers.get("X-App-Nonce"), first!.headers.get("X-App-Nonce"));
    assert.equal(second!.headers.get("X-App-Signature"), expectedSignature(second!));
  }

  const twice = airlockWith([REPLAYED(), REPLAYED()]);
  assert.equal((await problemOf(twice.airlock.notes.create({ title: "a" }, options))).code, "request_replayed");
  assert.equal(twice.sent.length, 2);
});

test("create makes a key if none is given, and keeps it for the call's own retries", async () => {
  const skew = () => problem(401, "clock_skew", { server_time: NOW + 4000 });
  const { airlock, sent } = airlockWith([skew(), REPLAYED(), ...Array.from({ length: 4 }, () => json(201, note()))]);
  await airlock.notes.create({ title: "a" });
  await airlock.notes.create({ title: "a" });
  await airlock.orgs.create("Press");
  await airlock.orgs.invitations(ID).create("viewer");
  const keys = sent.map(({ headers }) => headers.get("Idempotency-Key")!);
  for (const key of keys) assert.match(key, UUID);
  assert.deepEqual([keys[1], keys[2]], [keys[0], keys[0]]);
  assert.equal(new Set(keys).size, 4);
});

test("reading the row after a lost answer fails like any other read", async () => {
  const { airlock } = airlockWith([
    REPLAYED(),
    REPLAYED(),
    REPLAYED(),
    problem(404, "not_found"),
    REPLAYED(),
    new TypeError("Network request failed"),
  ]);
  assert.equal((await problemOf(airlock.notes.patch(ID, { title: "a" }))).code, "request_replayed");
  assert.equal((await problemOf(airlock.notes.patch(ID, { title: "a" }))).code, "not_found");
  assert.ok((await thrownBy(airlock.notes.patch(ID, { title: "a" }))) instanceof AirlockNetworkError);
});

test("an answer that is not Airlock's is a retryable problem", async () => {
  const html = (status: number) =>
    new Response("<html>Welcome to the hotel", { status, headers: { "Content-Type": "text/html" } });
  const cases: [Response, string][] = [
    [html(200), "upstream_invalid"],
    [html(302), "upstream_invalid"],
    [html(403), "upstream_invalid"],
    [html(429), "rate_limited"],
    [html(503), "upstream_unavailable"],
    [html(504), "upstream_timeout"],
    [html(520), "upstream_invalid"],
    [json(404, { code: "not_found", message: "somebody else's" }), "upstream_invalid"],
    [json(200, null), "upstream_invalid"],
    [new Response(null, { status: 304 }), "upstream_invalid"],
    [new Response('{"type":"urn:airl', { status: 500 }), "upstream_invalid"],
  ];
  for (const [answer, code] of cases) {
    const { status } = answer;
    const { airlock, sent } = airlockWith([answer]);
    const thrown = await problemOf(airlock.notes.get(ID));
    assert.deepEqual([thrown.code, thrown.status, thrown.retryable], [code, status, true]);
    assert.ok(!thrown.message.includes("hotel"));
    assert.equal(sent.length, 1);
  }

  const { airlock } = airlockWith([html(200)]);
  assert.equal((await problemOf(airlock.notes.remove(ID))).code, "upstream_invalid");
});

test("a broken connection is a retryable error with its cause", async () => {
  const cause = new TypeError("Network request failed");
  const broken = new ReadableStream({ pull: (controller) => controller.error(cause) });
  const { airlock } = airlockWith([cause, new Response(broken, { status: 200 })]);
  for (let round = 0; round < 2; round++) {
    const error = await thrownBy(airlock.notes.get(ID));
    assert.ok(error instanceof AirlockNetworkError && error instanceof AirlockError);
    assert.deepEqual([error.code, error.retryable, error.retryAfter], ["network_error", true, null]);
    assert.equal(error.cause, cause);
  }
});

test("the caller's own abort is passed on unchanged", async () => {
  const reason = new Error("the app gave up");
  const fetch = (_: string, { signal }: RequestInit) =>
    new Promise<Response>((_, reject) => signal!.addEventListener("abort", () => reject(signal!.reason)));
  const { airlock } = airlockWith([], { fetch });
  const controller = new AbortController();
  const thrown = thrownBy(airlock.notes.get(ID, { signal: controller.signal }));
  setTimeout(() => controller.abort(reason), 5);
  assert.equal(await thrown, reason);
});

test("errors of getToken are passed on unchanged", async () => {
  const failure = new Error("keychain locked");
  const { airlock, sent } = airlockWith([], { getToken: () => Promise.reject(failure) });
  assert.equal(await thrownBy(airlock.me()), failure);
  assert.equal(sent.length, 0);
});

test("no error repeats the secret or the token", async () => {
  const token = "secret-part-1.secret-part-2.secret-part-3";
  const errors = [
    await thrownBy(airlockWith([problem(401, "token_invalid")], { getToken: async () => token }).airlock.me()),
    await thrownBy(airlockWith([new TypeError("failed")], { getToken: async () => token }).airlock.me()),
    await thrownBy(airlockWith([], { getToken: async () => `${token}\n` }).airlock.me()),
    await thrownBy(airlockWith([], { getToken: async () => `${token} é` }).airlock.me()),
    await thrownBy(airlockWith([]).airlock.request("GET", "/v1/me", { token: "" })),
    await thrownBy(Promise.resolve().then(() => airlockWith([], { secret: `${SECRET}=` }))),
  ];
  for (const error of errors) {
    const text = `${error.stack} ${JSON.stringify(error)} ${String(error.cause)}`;
    assert.ok(!text.includes("secret-part"), text);
    assert.ok(!text.includes(SECRET.slice(0, 12)), text);
  }
});

test("invalid options are refused at once", () => {
  const options = { url: "https://api.example.com", appId: "rn-ios", secret: SECRET, getToken: async () => null };
  for (const url of ["api.example.com", "https://a.example/v1", "https://a@b.example", "ftp://a", "https://a?b", ""]) {
    assert.throws(() => createAirlock({ ...options, url }), /url must be an origin/);
  }
  for (const appId of ["", "rn ios", "é", "a".repeat(65)]) {
    assert.throws(() => createAirlock({ ...options, appId }), /appId must be/);
  }
  assert.throws(() => createAirlock({ ...options, secret: "c2hvcnQ" }), /5 bytes, and needs 32/);
  assert.throws(() => createAirlock({ ...options, getToken: undefined as never }), /getToken must be a function/);
  createAirlock({ ...options, url: "http://127.0.0.1:8787/" });
});

test("request repairs clock and token, and repeats a POST only with a key", async () => {
  const skew = problem(401, "clock_skew", { server_time: NOW + 4000 });
  const getToken = async ({ refresh }: { refresh: boolean }) => (refresh ? "new.token" : "old.token");
  const { airlock, sent } = airlockWith(
    [skew, problem(401, "token_expired"), REPLAYED(), json(201, {}), REPLAYED(), REPLAYED()],
    { getToken },
  );
  const headers = { "Idempotency-Key": "order-0001" };
  assert.equal((await airlock.request("POST", "/v1/tags", { body: "{}", headers })).status, 201);
  assert.deepEqual(
    sent.map((request) => request.headers.get("X-App-Signature") === expectedSignature(request)),
    Array(4).fill(true),
  );
  const last = sent.at(-1)!.headers;
  assert.deepEqual([last.get("Authorization"), last.get("X-App-Timestamp")], ["Bearer new.token", String(NOW + 4000)]);
  for (const options of [{ body: "{}" }, { body: "{}", headers, nonce: "AAAAAAAAAAAAAAAAAAAAAA" }]) {
    assert.equal((await airlock.request("POST", "/v1/tags", options)).status, 409);
  }
  assert.equal(sent.length, 6);
});

test("request goes to no other host with any target", async () => {
  for (const target of ["@evil.test/x", ".evil.test/x", ":1@evil.test/", "", "https://evil.test/"]) {
    const { airlock, sent } = airlockWith([json(200, {})]);
    await assert.rejects(airlock.request("GET", target), TypeError, target);
    assert.equal(sent.length, 0);
  }
});

test("request refuses a method that fetch refuses, and a GET with a body", async () => {
  const { airlock, sent } = airlockWith([]);
  for (const method of ["", "NO WAY", "GET\n"]) await assert.rejects(airlock.request(method, "/v1/me"), TypeError);
  for (const method of ["get", "HEAD"])
    await assert.rejects(airlock.request(method, "/v1/me", { body: "{}" }), TypeError);
  assert.equal(sent.length, 0);
});

test("request sends and signs exactly its arguments and returns any answer", async () => {
  const { airlock, sent } = airlockWith([
    problem(404, "not_found", {}, { "X-Request-Id": "r1" }),
    new Response(null, { status: 204 }),
    json(200, {}),
  ]);
  const bytes = new Uint8Array([0xff, 0x00, 0x7b]);
  const answer = await airlock.request("patch", "/v1/../x?q=%2f", {
    body: bytes,
    token: "other.token",
    nonce: "AAAAAAAAAAAAAAAAAAAAAA",
    timestamp: 12,
    headers: { "content-type": "text/plain", "idempotency-key": "order-0001", "if-match": '"3"', "if-none-match": "*" },
  });
  assert.equal(answer.status, 404);
  assert.equal(answer.headers.get("X-Request-Id"), "r1");
  assert.equal(JSON.parse(answer.body).code, "not_found");

  const [first] = sent;
  assert.equal(first!.method, "PATCH");
  assert.equal(first!.target, "/v1/../x?q=%2f");
  assert.deepEqual(first!.body, bytes);
  assert.equal(first!.headers.get("Content-Type"), "text/plain");
  assert.equal(first!.headers.get("Authorization"), "Bearer other.token");
  assert.equal(first!.headers.get("X-App-Nonce"), "AAAAAAAAAAAAAAAAAAAAAA");
  assert.equal(first!.headers.get("X-App-Timestamp"), "12");
  assert.equal(first!.headers.get("X-App-Signature"), expectedSignature(first!));

  assert.equal((await airlock.request("DELETE", "/v1/notes/x", { token: null })).body, "");
  assert.equal(sent[1]!.headers.get("Authorization"), null);

  const forged = { "X-App-Signature": `v1=${"0".repeat(64)}` };
  await airlock.request("GET", "/v1/me", { headers: forged });
  assert.equal(sent[2]!.headers.get("X-App-Signature"), forged["X-App-Signature"]);
  assert.equal(sent[2]!.headers.get("Authorization"), `Bearer ${TOKEN}`);
});
