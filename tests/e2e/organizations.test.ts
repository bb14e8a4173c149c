// Organisations through the Worker: every role with every route, invitations, members and lists. tests/database has the
// rules that hold without the Worker.

import assert from "node:assert/strict";
import { createHash, randomBytes, randomUUID } from "node:crypto";
import { after, before, beforeEach, test } from "node:test";

import type { Answer, RequestOptions } from "../../client/src/index.ts";
import { replaceOrganizations } from "../support/organizations.ts";
import { assertOk, assertProblem, logOf, withoutId } from "./http.ts";
import { claims, jws, legacy } from "./stub.ts";
import { type Caller, caller, type Stack, startStack } from "./support.ts";

const ROLES = ["owner", "editor", "viewer"] as const;
/** The mate is a member of the own organisation; the stranger owns the other one. */
const PEOPLE = [...ROLES, "outsider", "mate", "stranger"] as const;
type Person = (typeof PEOPLE)[number];

const ids = Object.fromEntries(PEOPLE.map((who) => [who, randomUUID()])) as Record<Person, string>;
const [OWN, OTHER] = [randomUUID(), randomUUID()];
const token = randomBytes(32).toString("base64url");
const digest = createHash("sha256").update(token).digest("hex");
/** Rows of the own organisation. */
const things = { draft: randomUUID(), published: randomUUID(), deleted: randomUUID(), invitation: randomUUID() };
/** A note of the other organisation. */
const foreign = randomUUID();

let stack: Stack;
let as: Record<Person, Caller>;

before(async () => {
  stack = await startStack();
  for (const who of PEOPLE)
    await stack.sql("insert into auth.users (id, email) values ($1, $2)", [ids[who], `${who}@example.com`]);
  as = Object.fromEntries(PEOPLE.map((who) => [who, person(ids[who])])) as typeof as;
});
after(() => stack?.stop());
beforeEach(reset);

function person(sub: string) {
  return caller(stack.url, jws(legacy, claims({ sub, exp: Math.floor(Date.now() / 1000) + 3600 })));
}

/** Makes both organisations as they were. */
async function reset(): Promise<void> {
  const { draft, published, deleted, invitation } = things;
  const note = (id: string, org: string, author: Person) => `('${id}', '${org}', '${ids[author]}', 'note')`;
  await stack.sql(`
    ${replaceOrganizations({
      [OWN]: { [ids.owner]: "owner", [ids.editor]: "editor", [ids.viewer]: "viewer", [ids.mate]: "editor" },
      [OTHER]: { [ids.stranger]: "owner" },
    })}
    delete from public.notes;
    insert into airlock.invitations (id, org_id, role, created_by, token_digest)
      values ('${invitation}', '${OWN}', 'editor', '${ids.owner}', '${digest}');
    insert into public.notes (id, org_id, user_id, title) values
      ${note(draft, OWN, "owner")}, ${note(published, OWN, "editor")}, ${note(deleted, OWN, "editor")}, ${note(foreign, OTHER, "stranger")};
    update public.notes set published_at = now() where id = '${published}';
    update public.notes set deleted_at = now() where id = '${deleted}';
  `);
}

/** All rows, without policies, with the transactions that wrote them. */
function everything(): Promise<Record<string, unknown>[]> {
  const tables = [
    "airlock.organizations",
    "airlock.members",
    "airlock.invitations",
    "public.notes",
    "airlock.idempotency_keys",
  ];
  return stack.sql(tables.map((table) => `select *, xmin::text from ${table} order by 1, 2`).join(";"));
}

function at(org: string, suffix = ""): string {
  return `/v1/orgs/${org}${suffix}`;
}

function header(name: string, value: string): RequestOptions {
  return { headers: { [name]: value } };
}

async function statusOf(answer: Promise<Answer>): Promise<number> {
  return (await answer).status;
}

// Rights of each role

const { draft, published, deleted, invitation } = things;
const title = { title: "new" };
const CREATE_ONLY = header("If-None-Match", "*");

/** The statuses for owner, editor and viewer; an outsider and members of another organisation get 404. */
const MATRIX: [
  method: string,
  suffix: (me: string) => string,
  json: object | undefined,
  options: RequestOptions,
  expected: [number, number, number],
][] = [
  ["GET", () => "", undefined, {}, [200, 200, 200]],
  ["HEAD", () => "", undefined, {}, [200, 200, 200]],
  ["GET", () => "", undefined, CREATE_ONLY, [304, 304, 304]],
  ["PATCH", () => "", { name: "renamed" }, {}, [200, 403, 403]],
  ["PATCH", () => "", { name: "renamed" }, header("If-Match", '"999"'), [412, 412, 412]],
  ["DELETE", () => "", undefined, {}, [204, 403, 403]],

  ["GET", () => "/members", undefined, {}, [200, 200, 200]],
  ["GET", () => `/members/${ids.mate}`, undefined, {}, [200, 200, 200]],
  ["GET", () => `/members/${ids.outsider}`, undefined, {}, [404, 404, 404]],
  ["PATCH", () => `/members/${ids.mate}`, { role: "viewer" }, {}, [200, 403, 403]],
  ["PATCH", () => `/members/${ids.mate}`, { role: "owner" }, {}, [200, 403, 403]],
  ["PATCH", () => `/members/${ids.outsider}`, { role: "viewer" }, {}, [404, 404, 404]],
  ["PATCH", (me) => `/members/${me}`, { role: "owner" }, {}, [200, 403, 403]],
  ["PATCH", (me) => `/members/${me}`, { role: "viewer" }, {}, [409, 403, 403]],
  ["DELETE", () => `/members/${ids.mate}`, undefined, {}, [204, 403, 403]],
  ["DELETE", () => `/members/${ids.outsider}`, undefined, {}, [404, 404, 404]],
  ["DELETE", (me) => `/members/${me}`, undefined, {}, [409, 204, 204]],

  ["GET", () => "/invitations", undefined, {}, [200, 403, 403]],
  ["POST", () => "/invitations", { role: "viewer" }, {}, [201, 403, 403]],
  ["POST", () => "/invitations", { role: "owner" }, {}, [201, 403, 403]],
  ["DELETE", () => `/invitations/${invitation}`, undefined, {}, [204, 403, 403]],
  ["DELETE", () => `/invitations/${randomUUID()}`, undefined, {}, [404, 403, 403]],

  ["GET", () => "/notes", undefined, {}, [200, 200, 200]],
  ["GET", () => "/notes?state=deleted", undefined, {}, [200, 200, 200]],
  ["GET", () => "/notes?state=published", undefined, {}, [200, 200, 200]],
  ["GET", () => "/notes?q=nothing", undefined, {}, [200, 200, 200]],
  ["GET", () => `/notes/${draft}`, undefined, {}, [200, 200, 200]],
  ["GET", () => `/notes/${deleted}`, undefined, {}, [404, 404, 404]],
  ["GET", () => `/notes/${foreign}`, undefined, {}, [404, 404, 404]],
  ["POST", () => "/notes", title, {}, [201, 201, 403]],
  ["POST", () => "/notes", title, header("Idempotency-Key", "a-key-of-one-request"), [201, 201, 403]],
  ["PUT", () => `/notes/${randomUUID()}`, title, {}, [201, 201, 403]],
  ["PUT", () => `/notes/${draft}`, title, {}, [200, 200, 403]],
  ["PUT", () => `/notes/${draft}`, title, header("If-Match", "*"), [200, 200, 403]],
  ["PUT", () => `/notes/${draft}`, title, CREATE_ONLY, [412, 412, 412]],
  ["PATCH", () => `/notes/${draft}`, title, {}, [200, 200, 403]],
  ["PATCH", () => `/notes/${draft}`, title, header("If-Match", '"1"'), [200, 200, 403]],
  ["PATCH", () => `/notes/${draft}`, title, header("If-Match", '"999"'), [412, 412, 412]],
  ["PATCH", () => `/notes/${foreign}`, title, {}, [404, 404, 404]],
  ["DELETE", () => `/notes/${draft}`, undefined, {}, [204, 204, 403]],
  // A row that is already as wanted is success for everybody who sees it.
  ["DELETE", () => `/notes/${deleted}`, undefined, {}, [204, 204, 204]],
  ["DELETE", () => `/notes/${foreign}`, undefined, {}, [404, 404, 404]],
  ["POST", () => `/notes/${deleted}/restore`, undefined, {}, [200, 200, 403]],
  ["POST", () => `/notes/${draft}/restore`, undefined, {}, [200, 200, 200]],
  ["POST", () => `/notes/${draft}/publish`, undefined, {}, [200, 200, 403]],
  ["POST", () => `/notes/${published}/publish`, undefined, {}, [200, 200, 200]],
  ["POST", () => `/notes/${published}/unpublish`, undefined, {}, [200, 200, 403]],
  ["POST", () => `/notes/${draft}/unpublish`, undefined, {}, [200, 200, 200]],
  ["POST", () => `/notes/${foreign}/publish`, undefined, {}, [404, 404, 404]],
];

for (const [method, suffix, json, options, expected] of MATRIX) {
  const shown = suffix("{me}").replaceAll(
    /[0-9a-f-]{36}/g,
    (id) => Object.entries({ ...ids, ...things, foreign }).find(([, known]) => known === id)?.[0] ?? "{new}",
  );
  const conditions = Object.entries(options.headers ?? {}).map(([name, value]) => ` ${name}: ${value}`);
  test(`${method} /v1/orgs/{org_id}${shown} ${JSON.stringify(json) ?? ""}${conditions} follows the role`, async () => {
    let found = await everything();
    for (const [n, who] of ROLES.entries()) {
      const answer = await as[who](method, at(OWN, suffix(ids[who])), json, options);
      assert.equal(answer.status, expected[n], `${who}: ${answer.body}`);
      if (method === "GET" || method === "HEAD" || answer.status >= 400) {
        assert.deepEqual(await everything(), found, `${who} has changed something`);
      } else {
        await reset();
        found = await everything();
      }
    }
    const missing = await as.outsider(method, at(randomUUID(), suffix(ids.outsider)), json, options);
    for (const [who, org] of [
      ["outsider", OWN],
      ["owner", OTHER],
      ["editor", OTHER],
      ["viewer", OTHER],
      ["outsider", OTHER],
    ] as const) {
      const answer = await as[who](method, at(org, suffix(ids[who])), json, options);
      assert.deepEqual(
        [answer.status, withoutId(answer)],
        [404, withoutId(missing)],
        `${who}, ${org === OWN ? "own" : "other"}`,
      );
      if (method !== "HEAD") assertProblem(answer, "not_found");
      for (const name of ["content-type", "etag", "cache-control", "content-length"])
        assert.equal(answer.headers.get(name), missing.headers.get(name), name);
    }
    assert.deepEqual(await everything(), found);
  });
}

test("no route of organisations works without a token", async () => {
  const nobody = caller(stack.url);
  assertProblem(await nobody("GET", "/v1/orgs"), "token_missing");
  assertProblem(await nobody("POST", "/v1/orgs/join", { token }), "token_missing");
  for (const [method, suffix, json, options] of MATRIX) {
    const answer = await nobody(method, at(OWN, suffix(ids.owner)), json, options);
    assert.equal(answer.status, 401);
    if (method !== "HEAD") assertProblem(answer, "token_missing");
  }
});

test("GET /v1/orgs lists the caller's organisations with the caller's role", async () => {
  for (const who of ROLES) {
    const { data } = assertOk(await as[who]("GET", "/v1/orgs"), 200);
    assert.deepEqual(
      data.map(({ id, role }: { id: string; role: string }) => [id, role]),
      [[OWN, who]],
    );
  }
  assert.deepEqual(assertOk(await as.outsider("GET", "/v1/orgs"), 200), { data: [], next_cursor: null });
});

test("a note is served only under its own path", async () => {
  const { id: personal } = assertOk(await as.owner("POST", "/v1/notes", title), 201);
  assert.equal(await statusOf(as.owner("GET", at(OWN, `/notes/${personal}`))), 404);
  assert.equal(await statusOf(as.owner("GET", `/v1/notes/${draft}`)), 404);
  assert.deepEqual(
    assertOk(await as.owner("GET", "/v1/notes"), 200).data.map(({ id }: { id: string }) => id),
    [personal],
  );
  // Its id is taken all the same.
  for (const path of [`/v1/notes/${draft}`, at(OWN, `/notes/${personal}`), at(OWN, `/notes/${foreign}`)]) {
    assertProblem(await as.owner("PUT", path, title), "conflict");
  }
});

test("a new organisation has its creator as the only member", async () => {
  const created = await as.outsider("POST", "/v1/orgs", { name: " Travellers " });
  const org = assertOk(created, 201);
  assert.deepEqual(Object.keys(org), ["id", "name", "role", "version", "created_at", "updated_at"]);
  assert.deepEqual([org.name, org.role, org.version], ["Travellers", "owner", 1]);
  assert.deepEqual([created.headers.get("location"), created.headers.get("etag")], [at(org.id), '"1"']);
  const { data } = assertOk(await as.outsider("GET", at(org.id, "/members")), 200);
  assert.deepEqual(
    data.map(({ user_id, role }: { user_id: string; role: string }) => [user_id, role]),
    [[ids.outsider, "owner"]],
  );
  for (const bad of [{}, { name: "" }, { name: "a".repeat(201) }, { name: "a\0" }, { name: "a", role: "owner" }]) {
    assertProblem(await as.outsider("POST", "/v1/orgs", bad), "validation_failed");
  }
});

// Time

test("a demoted or removed member loses access with the next request", async () => {
  const note = assertOk(await as.editor("POST", at(OWN, "/notes"), title), 201);
  const path = at(OWN, `/notes/${note.id}`);
  assert.equal(await statusOf(as.owner("PATCH", at(OWN, `/members/${ids.editor}`), { role: "viewer" })), 200);
  assertProblem(await as.editor("PATCH", path, { body: "more" }), "forbidden");
  assertOk(await as.editor("GET", path), 200);

  assert.equal(await statusOf(as.owner("DELETE", at(OWN, `/members/${ids.editor}`))), 204);
  assert.equal(await statusOf(as.viewer("DELETE", at(OWN, `/members/${ids.viewer}`))), 204);
  for (const who of ["editor", "viewer"] as const) {
    for (const gone of [at(OWN), at(OWN, "/members"), at(OWN, "/notes"), path, `/v1/notes/${note.id}`]) {
      assertProblem(await as[who]("GET", gone), "not_found");
    }
    assertProblem(await as[who]("PATCH", path, { body: "more" }), "not_found");
    assert.deepEqual(assertOk(await as[who]("GET", "/v1/orgs"), 200).data, []);
    assert.deepEqual(assertOk(await as[who]("GET", "/v1/notes"), 200).data, []);
  }
  assert.equal(assertOk(await as.owner("GET", path), 200).version, 1);
});

test("when two owners leave at once, one stays", async () => {
  for (let round = 0; round < 5; round++) {
    await reset();
    await as.owner("PATCH", at(OWN, `/members/${ids.mate}`), { role: "owner" });
    const leaving = (["owner", "mate"] as const).map((who) => as[who]("DELETE", at(OWN, `/members/${ids[who]}`)));
    const answers = (await Promise.all(leaving)).sort((a, b) => a.status - b.status);
    assert.equal(answers[0]!.status, 204);
    assertProblem(answers[1]!, "conflict");
    const owners = await stack.sql("select 1 from airlock.members where org_id = $1 and role = 'owner'", [OWN]);
    assert.equal(owners.length, 1);
  }
});

test("a deleted organisation disappears for all its members", async () => {
  const anybody = caller(stack.url);
  assert.equal(await statusOf(anybody("GET", `/v1/public/notes/${published}`)), 200);
  assert.equal(await statusOf(as.owner("DELETE", at(OWN))), 204);
  for (const who of ROLES) {
    assert.deepEqual(assertOk(await as[who]("GET", "/v1/orgs"), 200).data, []);
    for (const suffix of ["", "/members", "/invitations", "/notes", `/notes/${draft}`, `/members/${ids.mate}`]) {
      assertProblem(await as[who]("GET", at(OWN, suffix)), "not_found");
    }
    assertProblem(await as[who]("POST", at(OWN, "/notes"), title), "not_found");
  }
  assertProblem(await anybody("GET", `/v1/public/notes/${published}`), "not_found");
  assertProblem(await as.outsider("POST", "/v1/orgs/join", { token }), "not_found");
  assertProblem(await as.owner("DELETE", at(OWN)), "not_found");
  assertProblem(await as.owner("POST", at(OWN, "/restore")), "not_found");
});

// Deleted accounts

/** Deletes this person's account while `work` takes. */
async function withoutAccount(who: Person, work: () => Promise<void>): Promise<void> {
  await stack.sql("delete from auth.users where id = $1", [ids[who]]);
  try {
    await work();
  } finally {
    await stack.sql("insert into auth.users (id, email) values ($1, $2)", [ids[who], `${who}@example.com`]);
  }
}

test("an organisation is deleted with its last owner's account", async () => {
  const anybody = caller(stack.url);
  await withoutAccount("owner", async () => {
    for (const who of ["editor", "viewer", "mate"] as const) {
      assert.deepEqual(assertOk(await as[who]("GET", "/v1/orgs"), 200).data, []);
      for (const suffix of ["", "/members", "/notes", `/notes/${draft}`])
        assertProblem(await as[who]("GET", at(OWN, suffix)), "not_found");
    }
    assertProblem(await anybody("GET", `/v1/public/notes/${published}`), "not_found");
    assertProblem(await as.outsider("POST", "/v1/orgs/join", { token }), "not_found");
    assert.equal((await stack.sql("select from public.notes where org_id = $1", [OWN])).length, 3);
  });
});

test("an organisation's notes outlive their author's account", async () => {
  const { id: own } = assertOk(await as.editor("POST", "/v1/notes", title), 201);
  const before = assertOk(await as.owner("GET", at(OWN, `/notes/${published}`)), 200);
  await withoutAccount("editor", async () => {
    assert.deepEqual(assertOk(await as.owner("GET", at(OWN, `/notes/${published}`)), 200), before);
    assertOk(await as.mate("PATCH", at(OWN, `/notes/${published}`), { body: "more" }), 200);
    assert.deepEqual(await stack.sql("select user_id from public.notes where id = $1", [published]), [
      { user_id: null },
    ]);
    assert.deepEqual(await stack.sql("select from public.notes where id = $1", [own]), []);
  });
});

test("a write with the token of a deleted account is token_invalid", async () => {
  const key = header("Idempotency-Key", "a-key-of-one-request");
  await withoutAccount("outsider", async () => {
    for (const [target, json] of [
      ["/v1/notes", title],
      ["/v1/orgs", { name: "a" }],
    ] as const) {
      for (const options of [{}, key]) assertProblem(await as.outsider("POST", target, json, options), "token_invalid");
    }
    assertProblem(await as.outsider("PUT", `/v1/notes/${randomUUID()}`, title), "token_invalid");
    assertProblem(await as.outsider("POST", "/v1/orgs/join", { token }), "token_invalid");
  });
});

// Invitations

async function invite(role: string, by: Person = "owner"): Promise<{ id: string; token: string }> {
  return assertOk(await as[by]("POST", at(OWN, "/invitations"), { role }), 201);
}

test("an invitation's token makes one user a member", async () => {
  const invited = await invite("viewer");
  assert.deepEqual(Object.keys(invited), ["id", "role", "created_at", "expires_at", "accepted_at", "token"]);
  assert.match(invited.token, /^[A-Za-z0-9_-]{43}$/);

  const joined = await as.outsider("POST", "/v1/orgs/join", { token: invited.token });
  const org = assertOk(joined, 200);
  assert.deepEqual([org.id, org.role, joined.headers.get("etag")], [OWN, "viewer", `"${org.version}"`]);
  assertOk(await as.outsider("GET", at(OWN, "/notes")), 200);
  assertProblem(await as.stranger("POST", "/v1/orgs/join", { token: invited.token }), "not_found");
  // The answer to the first request may be lost.
  assert.deepEqual(assertOk(await as.outsider("POST", "/v1/orgs/join", { token: invited.token }), 200), org);
  assert.equal(await statusOf(as.outsider("DELETE", at(OWN, `/members/${ids.outsider}`))), 204);
  assertProblem(await as.outsider("POST", "/v1/orgs/join", { token: invited.token }), "not_found");
  const { data } = assertOk(await as.owner("GET", at(OWN, "/invitations")), 200);
  const accepted = data.find(({ id }: { id: string }) => id === invited.id);
  assert.notEqual(accepted.accepted_at, null);
});

test("of 20 users with one token at once exactly one joins", async () => {
  const invited = await invite("editor");
  const crowd = Array.from({ length: 20 }, () => randomUUID());
  for (const id of crowd) await stack.sql("insert into auth.users (id) values ($1)", [id]);
  const answers = await Promise.all(crowd.map((id) => person(id)("POST", "/v1/orgs/join", { token: invited.token })));
  assert.equal(answers.filter(({ status }) => status === 200).length, 1);
  for (const answer of answers) if (answer.status !== 200) assertProblem(answer, "not_found");
  const members = await stack.sql("select user_id from airlock.members where org_id = $1", [OWN]);
  assert.deepEqual(members.filter(({ user_id }) => crowd.some((id) => id === user_id)).length, 1);
});

test("a member's join is a conflict and leaves the token usable", async () => {
  for (const who of ["owner", "viewer"] as const)
    assertProblem(await as[who]("POST", "/v1/orgs/join", { token }), "conflict");
  // As it is pasted from a message.
  assert.equal(
    assertOk(await as.outsider("POST", "/v1/orgs/join", { token: `\u00a0 ${token}\r\n` }), 200).role,
    "editor",
  );
});

test("all unusable tokens get the same 404", async () => {
  const join = (secret: string) => as.outsider("POST", "/v1/orgs/join", { token: secret });
  const never = await join(randomBytes(32).toString("base64url"));
  assertProblem(never, "not_found");

  const back = await invite("viewer");
  assert.equal(await statusOf(as.owner("DELETE", at(OWN, `/invitations/${back.id}`))), 204);
  assert.equal(withoutId(await join(back.token)), withoutId(never));
  // A copy of the table has the digest, which is not a token.
  assert.equal(withoutId(await join(Buffer.from(digest, "hex").toString("base64url"))), withoutId(never));

  await as.owner("PATCH", at(OWN, `/members/${ids.mate}`), { role: "owner" });
  const former = await invite("owner", "mate");
  await as.owner("PATCH", at(OWN, `/members/${ids.mate}`), { role: "editor" });
  assert.equal(withoutId(await join(former.token)), withoutId(never));

  await stack.sql("update airlock.invitations set expires_at = now() - interval '1 second'");
  assert.equal(withoutId(await join(token)), withoutId(never));
  assert.deepEqual(assertOk(await as.outsider("GET", "/v1/orgs"), 200).data, []);
  for (const bad of [{}, { token: "" }, { token: "a".repeat(42) }, { token: `${token}=` }, { token: 1 }]) {
    assertProblem(await as.outsider("POST", "/v1/orgs/join", bad), "validation_failed");
  }
});

test("an invitation is revoked only in its own organisation", async () => {
  assertProblem(await as.stranger("DELETE", at(OTHER, `/invitations/${invitation}`)), "not_found");
  assert.equal(assertOk(await as.outsider("POST", "/v1/orgs/join", { token }), 200).id, OWN);
});

test("an invitation's token is in no list, table or log line", async () => {
  const invited = await invite("viewer");
  const list = await as.owner("GET", at(OWN, "/invitations"));
  assert.equal(assertOk(list, 200).data.length, 2);
  const joined = await as.outsider("POST", "/v1/orgs/join", { token: invited.token });
  const line = await logOf(stack.worker, joined);
  assert.deepEqual([line.route, line.user_id], ["POST /v1/orgs/join", ids.outsider]);
  const hidden = createHash("sha256").update(invited.token).digest("hex");
  const rows = JSON.stringify(await everything());
  assert.ok(rows.includes(hidden));
  for (const place of [list.body, rows, joined.body, stack.worker.logs.join("\n")])
    assert.ok(!place.includes(invited.token));
  for (const place of [list.body, stack.worker.logs.join("\n")]) assert.ok(!place.includes(hidden));
});

test("a log line has the route without the ids in its path", async () => {
  const answer = await as.owner("GET", at(OWN, `/members/${ids.mate}`));
  const line = await logOf(stack.worker, answer);
  assert.equal(line.route, "GET /v1/orgs/{org_id}/members/{user_id}");
  for (const id of [OWN, ids.mate]) assert.ok(!JSON.stringify(line).includes(id));
});

// Versions and pages

test("organisations and members have their version as ETag", async () => {
  for (const [path, change] of [
    [at(OWN), { name: "renamed" }],
    [at(OWN, `/members/${ids.mate}`), { role: "viewer" }],
  ] as const) {
    const read = await as.owner("GET", path);
    const tag = read.headers.get("etag")!;
    assert.equal(tag, `"${assertOk(read, 200).version}"`);
    const head = await as.owner("HEAD", path);
    assert.deepEqual([head.status, head.body, head.headers.get("etag")], [200, "", tag]);
    for (const tags of [tag, `W/${tag}`, `"x", ${tag}`, "*"]) {
      const same = await as.owner("GET", path, undefined, header("If-None-Match", tags));
      assert.deepEqual([same.status, same.body, same.headers.get("etag")], [304, "", tag], tags);
    }
    assertOk(await as.owner("GET", path, undefined, header("If-None-Match", '"999"')), 200);

    const stale = await as.owner("PATCH", path, change, header("If-Match", '"999"'));
    assert.deepEqual(assertProblem(stale, "version_mismatch").current, assertOk(read, 200));
    assert.equal(stale.headers.get("etag"), tag);
    const changed = await as.owner("PATCH", path, change, header("If-Match", tag));
    assert.equal(changed.headers.get("etag"), `"${assertOk(changed, 200).version}"`);
    assert.notEqual(changed.headers.get("etag"), tag);
    assertProblem(await as.owner("PATCH", path, change, header("If-Match", tag)), "version_mismatch");
  }
  assertProblem(await as.owner("DELETE", at(OWN), undefined, header("If-Match", '"1"')), "version_mismatch");
  const tag = (await as.owner("GET", at(OWN))).headers.get("etag")!;
  assert.equal(await statusOf(as.owner("DELETE", at(OWN), undefined, header("If-Match", tag))), 204);
});

test("a change of a member's role changes the organisation's ETag", async () => {
  const seen = await as.editor("GET", at(OWN));
  await as.owner("PATCH", at(OWN, `/members/${ids.editor}`), { role: "viewer" });
  const now = await as.editor("GET", at(OWN), undefined, header("If-None-Match", seen.headers.get("etag")!));
  assert.equal(assertOk(now, 200).role, "viewer");
});

test("of 20 changes of one version exactly one wins", async () => {
  const tag = (await as.owner("GET", at(OWN))).headers.get("etag")!;
  const renames = Array.from({ length: 20 }, (_, n) =>
    as.owner("PATCH", at(OWN), { name: `name ${n}` }, header("If-Match", tag)),
  );
  const answers = await Promise.all(renames);
  assert.equal(answers.filter(({ status }) => status === 200).length, 1);
  for (const answer of answers) if (answer.status !== 200) assertProblem(answer, "version_mismatch");
});

test("a header or parameter that a route does not accept is refused", async () => {
  const match = header("If-Match", "*");
  for (const [method, path, json, options] of [
    ["GET", "/v1/orgs", undefined, CREATE_ONLY],
    ["POST", "/v1/orgs", { name: "a" }, match],
    ["POST", "/v1/orgs/join", { token }, match],
    ["GET", at(OWN), undefined, match],
    ["PATCH", at(OWN), { name: "a" }, CREATE_ONLY],
    ["GET", at(OWN, "/members"), undefined, CREATE_ONLY],
    ["DELETE", at(OWN, `/members/${ids.mate}`), undefined, match],
    ["POST", at(OWN, "/invitations"), { role: "viewer" }, match],
    ["DELETE", at(OWN, `/invitations/${invitation}`), undefined, match],
    ["POST", "/v1/orgs/join", { token }, header("Idempotency-Key", "a-key-of-one-request")],
    ["PATCH", at(OWN), { name: "a" }, header("Idempotency-Key", "a-key-of-one-request")],
  ] as const) {
    assertProblem(await as.owner(method, path, json, options), "malformed_request");
  }
  for (const path of [
    "/v1/orgs?state=active",
    at(OWN, "/members?q=a"),
    at(OWN, "?limit=1"),
    at(OWN, "/members?limit=0"),
    at(OWN, "/invitations?cursor=x"),
  ]) {
    assertProblem(await as.owner("GET", path), "validation_failed");
  }
});

test("pages have each row once while rows are added", async () => {
  const many = Array.from({ length: 5 }, () => randomUUID());
  for (const id of many) await stack.sql("insert into auth.users (id) values ($1)", [id]);
  // In one statement, so at one time: the ids tell them apart.
  const rows = (row: (id: string) => string) => many.map((id) => `(${row(id)})`).join(", ");
  await stack.sql(`
    insert into airlock.members (org_id, user_id, role) values ${rows((id) => `'${OWN}', '${id}', 'viewer'`)};
    insert into airlock.invitations (id, org_id, role, created_by, token_digest)
      values ${rows((id) => `'${id}', '${OWN}', 'viewer', '${ids.owner}', '${createHash("sha256").update(id).digest("hex")}'`)};
    insert into public.notes (id, org_id, user_id, title) values ${rows((id) => `'${id}', '${OWN}', '${ids.owner}', 'more'`)};
    insert into airlock.organizations (id, name) values ${rows((id) => `'${id}', 'more'`)};
    insert into airlock.members (org_id, user_id, role) values ${rows((id) => `'${id}', '${ids.owner}', 'owner'`)};
  `);
  const key = (row: any): string => row.id ?? row.user_id;
  for (const [path, more] of [
    ["/v1/orgs", () => as.owner("POST", "/v1/orgs", { name: "newer" })],
    [at(OWN, "/members"), async () => as.outsider("POST", "/v1/orgs/join", { token: (await invite("viewer")).token })],
    [at(OWN, "/invitations"), () => invite("viewer")],
    [at(OWN, "/notes"), () => as.owner("POST", at(OWN, "/notes"), title)],
  ] as const) {
    const whole: { created_at: string }[] = assertOk(await as.owner("GET", `${path}?limit=100`), 200).data;
    assert.ok(whole.length > 5, path);
    const order = whole.map((row) => `${row.created_at} ${key(row)}`);
    assert.deepEqual(order, [...order].sort().reverse());

    const walked: unknown[] = [];
    for (let cursor: string | null = ""; cursor !== null; ) {
      const page: { data: unknown[]; next_cursor: string | null } = assertOk(
        await as.owner("GET", `${path}?limit=2${cursor && `&cursor=${cursor}`}`),
        200,
      );
      if (cursor === "") await more();
      walked.push(...page.data);
      cursor = page.next_cursor;
    }
    // A member who joins meanwhile changes no row of the list, nor does anything else here.
    assert.deepEqual(walked.map(key), whole.map(key), path);
  }
});

test("a former member's repeated Idempotency-Key is 404", async () => {
  const once = (who: Person, path: string) =>
    as[who]("POST", path, title, header("Idempotency-Key", "a-key-of-one-note"));
  const missing = withoutId(await as.outsider("POST", at(OWN, "/notes"), title));
  assertOk(await once("editor", at(OWN, "/notes")), 201);
  assert.equal((await as.owner("DELETE", at(OWN, `/members/${ids.editor}`))).status, 204);
  assert.deepEqual(withoutId(await once("editor", at(OWN, "/notes"))), missing);

  assertOk(await once("owner", at(OWN, "/notes")), 201);
  assert.equal((await as.owner("DELETE", at(OWN))).status, 204);
  assert.deepEqual(withoutId(await once("owner", at(OWN, "/notes"))), missing);
});
