// Every route of notes for one signed-in user.

import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { beforeEach, test } from "node:test";

import type { AirlockProblem, Row } from "../../client/src/index.ts";
import type { Declaration } from "../../client/test/generated.ts";
import { assertOk, assertProblem, requestId } from "./http.ts";
import { app, stackOfFile } from "./support.ts";

const { stack, alice, bob } = await stackOfFile();
beforeEach(() => stack.sql("delete from public.notes"));

type WireNote = Omit<Row<"notes", Declaration>, "etag">;

async function create(json: object = { title: "a" }, as = alice): Promise<WireNote> {
  return assertOk(await as("POST", "/v1/notes", json), 201);
}

async function deleted(): Promise<WireNote> {
  const note = await create();
  assert.equal((await alice("DELETE", path(note))).status, 204);
  return note;
}

function path({ id }: { id: string }): string {
  return `/v1/notes/${id}`;
}

function matching(tag: string) {
  return { headers: { "If-Match": tag } };
}

/** The stored row, without policies. */
async function stored({ id }: { id: string }): Promise<Record<string, unknown>> {
  const [row] = await stack.sql("select *, xmin::text from public.notes where id = $1", [id]);
  return row ?? assert.fail(`${id} is not stored`);
}

const nobodys = { id: "00000000-0000-4000-8000-000000000000" };

// Create

test("a created note has all members, Location and ETag", async () => {
  const answer = await alice("POST", "/v1/notes", { title: "Groceries", body: "milk" });
  const note = assertOk(answer, 201);
  assert.deepEqual(Object.keys(note), ["id", "title", "body", "version", "created_at", "updated_at", "deleted_at"]);
  assert.match(note.id, /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/);
  assert.deepEqual([note.title, note.body, note.version, note.deleted_at], ["Groceries", "milk", 1, null]);
  for (const time of [note.created_at, note.updated_at]) {
    assert.match(time, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/);
    assert.ok(Math.abs(Date.parse(time) - Date.now()) < 60_000, time);
  }
  assert.equal(answer.headers.get("location"), path(note));
  assert.equal(answer.headers.get("etag"), '"1"');
  assert.equal((await stored(note)).user_id, stack.alice.id);
});

test("an absent body is empty", async () => {
  assert.equal((await create({ title: "a" })).body, "");
});

test("a title is trimmed of Unicode White_Space only", async () => {
  const space =
    "\t\n\v\f\r \u0085\u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u2028\u2029\u202f\u205f\u3000";
  assert.equal((await create({ title: `${space}a${space}b${space}` })).title, `a${space}b`);
  for (const kept of ["\u200b", "\ufeff", "\u180e", "\u2060", "\u001c", "\u001f"]) {
    assert.equal((await create({ title: `${kept}a${kept}` })).title, `${kept}a${kept}`, JSON.stringify(kept));
  }
  for (const blank of ["", space])
    assertProblem(await alice("POST", "/v1/notes", { title: blank }), "validation_failed");
});

test("limits count characters, not bytes or UTF-16 units", async () => {
  for (const character of ["a", "👩", "\u0301", "\u200d", "￿"]) {
    const longest = { title: character.repeat(200), body: character.repeat(20_000) };
    const note = await create(longest);
    assert.deepEqual({ title: note.title, body: note.body }, longest);
    for (const field of ["title", "body"] as const) {
      const answer = await alice("PATCH", path(note), { [field]: longest[field] + character });
      assert.deepEqual(
        assertProblem(answer, "validation_failed").errors?.map((e) => [e.pointer, e.code]),
        [[`/${field}`, "length"]],
      );
    }
  }
});

test("JSON may be escaped, ordered and spaced freely", async () => {
  const body = ' \r\n{ "body" :\t"\\ud83d\\ude00\\/\\b" , "\\u0074itle":"\\u00e9" } \n';
  const note = assertOk(await alice("POST", "/v1/notes", undefined, { body }), 201);
  assert.deepEqual([note.title, note.body], ["é", "😀/\b"]);
});

// Read

test("GET has the ETag, and HEAD the same without the body", async () => {
  const note = await create();
  const get = await alice("GET", path(note));
  assert.deepEqual(assertOk(get, 200), note);
  const head = await alice("HEAD", path(note));
  assert.deepEqual([head.status, head.body], [200, ""]);
  for (const name of ["etag", "content-type", "cache-control"])
    assert.equal(head.headers.get(name), get.headers.get(name), name);
  assert.equal(head.headers.get("etag"), '"1"');
});

test("If-None-Match with the current tag gives 304", async () => {
  const note = await create();
  for (const tags of ['"1"', 'W/"1"', '"7", "1"', '"x,y" ,W/"1"', "*"]) {
    for (const method of ["GET", "HEAD"]) {
      const answer = await alice(method, path(note), undefined, { headers: { "If-None-Match": tags } });
      assert.deepEqual([answer.status, answer.body, answer.headers.get("etag")], [304, "", '"1"'], `${method} ${tags}`);
      requestId(answer);
    }
  }
  for (const tags of ['"2"', '"01"', '"+1"', 'W/"2", "3"', '""', '"99999999999999999999"']) {
    assertOk(await alice("GET", path(note), undefined, { headers: { "If-None-Match": tags } }), 200);
  }
});

test("a missing or deleted note is not_found", async () => {
  for (const note of [nobodys, await deleted()]) {
    assertProblem(await alice("GET", path(note)), "not_found");
    assertProblem(await alice("GET", path(note), undefined, { headers: { "If-None-Match": "*" } }), "not_found");
    assert.equal((await alice("HEAD", path(note))).status, 404);
  }
});

// List

/** Notes of the same microsecond, except every fourth. */
async function ties(count: number): Promise<string[]> {
  await stack.sql("alter table public.notes disable trigger user");
  const rows = await stack.sql(
    `insert into public.notes (user_id, title, created_at, updated_at)
     select $1, 'n' || n, timestamptz '2026-01-01 00:00:00.123456+00' + interval '1 microsecond' * (n % 4 / 3), now()
     from generate_series(1, $2) n returning id, created_at::text`,
    [stack.alice.id, count],
  );
  await stack.sql("alter table public.notes enable trigger user");
  const key = (row: Record<string, unknown>) => `${row.created_at} ${row.id}`;
  return rows.sort((a, b) => (key(a) < key(b) ? 1 : -1)).map((row) => String(row.id));
}

async function pages(query: string): Promise<string[][]> {
  const all: string[][] = [];
  for (let cursor = ""; all.length < 50; ) {
    const page = assertOk(await alice("GET", `/v1/notes?${query}${cursor}`), 200);
    assert.deepEqual(Object.keys(page), ["data", "next_cursor"]);
    all.push(page.data.map((note: WireNote) => note.id));
    if (page.next_cursor === null) break;
    assert.match(page.next_cursor, /^[\w-]+$/);
    cursor = `&cursor=${page.next_cursor}`;
  }
  return all;
}

test("pages have every note once, also with equal times", async () => {
  const order = await ties(23);
  for (const [limit, sizes] of [
    [1, 23],
    [5, 5],
    [22, 2],
    [23, 1],
    [100, 1],
  ] as const) {
    const seen = await pages(`limit=${limit}`);
    assert.deepEqual(seen.flat(), order, `limit=${limit}`);
    assert.equal(seen.length, sizes, `limit=${limit}`);
  }
  assert.equal((await pages("state=active"))[0]?.length, 20, "the default");
});

test("a note that is written meanwhile moves no page", async () => {
  const order = await ties(6);
  const first = assertOk(await alice("GET", "/v1/notes?limit=3"), 200);
  await create();
  await alice("DELETE", `/v1/notes/${order[0]}`);
  const second = assertOk(await alice("GET", `/v1/notes?limit=3&cursor=${first.next_cursor}`), 200);
  assert.deepEqual(
    [...first.data, ...second.data].map((note: WireNote) => note.id),
    order,
  );
  assert.equal(second.next_cursor, null);
});

test("deleted notes show only under state=deleted", async () => {
  const [live, gone] = [await create(), await deleted()];
  assert.deepEqual(await pages("limit=1"), [[live.id]]);
  assert.deepEqual(await pages("state=active"), [[live.id]]);
  assert.deepEqual(await pages("state=deleted&limit=1"), [[gone.id]]);
});

test("an empty list is a page, and HEAD has no body", async () => {
  assert.deepEqual(assertOk(await alice("GET", "/v1/notes"), 200), { data: [], next_cursor: null });
  const head = await alice("HEAD", "/v1/notes");
  assert.deepEqual([head.status, head.body, head.headers.get("content-type")], [200, "", "application/json"]);
});

// Put

test("PUT creates under the client's id, then replaces all of it", async () => {
  const note = { id: randomUUID() };
  const created = await alice("PUT", path(note), { title: "a", body: "b" });
  assert.equal(created.headers.get("etag"), '"1"');
  const first = assertOk(created, 201);
  assert.deepEqual([first.id, first.title, first.body, first.version], [note.id, "a", "b", 1]);
  const replaced = await alice("PUT", path(note), { title: " c " });
  assert.equal(replaced.headers.get("etag"), '"2"');
  const second = assertOk(replaced, 200);
  assert.deepEqual(second, { ...first, title: "c", body: "", version: 2, updated_at: second.updated_at });
  assertProblem(await alice("PUT", path(note), { body: "no title" }), "validation_failed");
});

test("PUT with If-Match replaces and never creates", async () => {
  const note = await create();
  for (const [tag, version] of [
    ['"1"', 2],
    ['W/"2"', 3],
    ["*", 4],
  ] as const) {
    assert.equal(assertOk(await alice("PUT", path(note), { title: "b" }, matching(tag)), 200).version, version);
  }
  const answer = await alice("PUT", path(note), { title: "c" }, matching('"3"'));
  assert.deepEqual(assertProblem(answer, "version_mismatch").current, assertOk(await alice("GET", path(note)), 200));
  assert.equal(answer.headers.get("etag"), '"4"');
  for (const absent of [nobodys, await deleted()]) {
    for (const tag of ["*", '"1"'])
      assertProblem(await alice("PUT", path(absent), { title: "c" }, matching(tag)), "not_found");
  }
});

test("PUT with If-None-Match: * creates and never replaces", async () => {
  const only = { headers: { "If-None-Match": "*" } };
  const note = assertOk(await alice("PUT", path({ id: randomUUID() }), { title: "a" }, only), 201);
  const again = await alice("PUT", path(note), { title: "b" }, only);
  assert.deepEqual(assertProblem(again, "version_mismatch").current, note);
  assert.equal(again.headers.get("etag"), '"1"');
  const refused: Record<string, string>[] = [{ "If-None-Match": '"1"' }, { "If-None-Match": "*", "If-Match": "*" }];
  for (const headers of refused) {
    assertProblem(await alice("PUT", path(note), { title: "b" }, { headers }), "malformed_request");
  }
});

test("PUT of an id that is not a live own note is a conflict", async () => {
  for (const [whose, note] of [
    ["bob's", await create({ title: "b" }, bob)],
    ["deleted", await deleted()],
  ] as const) {
    const before = await stored(note);
    for (const options of [{}, { headers: { "If-None-Match": "*" } }]) {
      assertProblem(await alice("PUT", path(note), { title: "mine" }, options), "conflict");
    }
    assert.deepEqual(await stored(note), before, whose);
  }
});

// Patch

test("PATCH changes the given fields, in both media types", async () => {
  const note = await create({ title: "a", body: "b" });
  const answer = await alice("PATCH", path(note), { body: "c" });
  const first = assertOk(answer, 200);
  assert.deepEqual(first, { ...note, body: "c", version: 2, updated_at: first.updated_at });
  assert.equal(answer.headers.get("etag"), '"2"');
  assert.ok(first.updated_at > note.updated_at);
  const merge = { headers: { "Content-Type": "application/merge-patch+json" } };
  const second = assertOk(await alice("PATCH", path(note), { title: " d " }, merge), 200);
  assert.deepEqual([second.title, second.body, second.version], ["d", "c", 3]);
  assert.equal(
    assertOk(await alice("PATCH", path(note), { title: "d" }), 200).version,
    4,
    "a change that changes nothing",
  );
});

test("PATCH, DELETE and restore of a missing note are 404", async () => {
  for (const options of [{}, matching("*"), matching('"1"')]) {
    assertProblem(await alice("PATCH", path(nobodys), { title: "b" }, options), "not_found");
    assertProblem(await alice("DELETE", path(nobodys), undefined, options), "not_found");
    assertProblem(await alice("POST", `${path(nobodys)}/restore`, undefined, options), "not_found");
    assertProblem(await alice("PATCH", path(await deleted()), { title: "b" }, options), "not_found");
  }
});

test("a failed If-Match changes nothing and shows the current note", async () => {
  const note = await create();
  const current = assertOk(await alice("PATCH", path(note), { body: "newer" }), 200);
  const before = await stored(note);
  for (const tag of ['"1"', 'W/"1"', '"3"', '"02"', '"0"', '"-2"', '""', '"x"']) {
    for (const [method, target, json] of [
      ["PUT", path(note), { title: "b" }],
      ["PATCH", path(note), { title: "b" }],
      ["DELETE", path(note), undefined],
    ] as const) {
      const answer = await alice(method, target, json, matching(tag));
      assert.deepEqual(assertProblem(answer, "version_mismatch").current, current, `${method} ${tag}`);
      assert.equal(answer.headers.get("etag"), '"2"');
    }
  }
  assert.deepEqual(await stored(note), before);
});

test("a tag beyond any version does not match", async () => {
  const note = await create();
  for (const tag of ['"2147483647"', '"2147483648"', '"9223372036854775807"', '"9223372036854775808"']) {
    assertProblem(await alice("PATCH", path(note), { title: "b" }, matching(tag)), "version_mismatch");
  }
});

// Delete and restore

test("DELETE is soft, and 204 however often", async () => {
  const note = await create();
  for (const options of [matching('W/"1"'), {}, {}]) {
    const answer = await alice("DELETE", path(note), undefined, options);
    assert.deepEqual([answer.status, answer.body, answer.headers.get("content-type")], [204, "", null]);
    requestId(answer);
  }
  const row = await stored(note);
  assert.equal(row.version, 2, "deleted once");
  assert.ok(row.deleted_at);
  assert.equal(row.title, "a");
});

test("restore undoes a deletion, and leaves a live note as it is", async () => {
  const note = await deleted();
  const answer = await alice("POST", `${path(note)}/restore`, undefined, matching('"2"'));
  const restored = assertOk(answer, 200);
  assert.deepEqual(restored, { ...note, version: 3, updated_at: restored.updated_at });
  assert.equal(answer.headers.get("etag"), '"3"');
  const again = await alice("POST", `${path(note)}/restore`);
  assert.deepEqual(assertOk(again, 200), restored);
  assert.equal(again.headers.get("etag"), '"3"');
  assert.deepEqual(assertOk(await alice("GET", path(note)), 200), restored);
});

test("a repeated DELETE or restore with its old tag succeeds", async () => {
  const note = await create();
  for (const _ of [1, 2]) assert.equal((await alice("DELETE", path(note), undefined, matching('"1"'))).status, 204);
  for (const _ of [1, 2]) {
    assert.equal(assertOk(await alice("POST", `${path(note)}/restore`, undefined, matching('"2"')), 200).version, 3);
  }
});

test("restore with another version leaves the note deleted", async () => {
  const note = await deleted();
  const answer = await alice("POST", `${path(note)}/restore`, undefined, matching('"1"'));
  const { current } = assertProblem(answer, "version_mismatch") as { current: WireNote };
  assert.deepEqual([current.id, current.version], [note.id, 2]);
  assert.match(String(current.deleted_at), /\.\d{6}Z$/);
  assertProblem(await alice("GET", path(note)), "not_found");
});

// Concurrency

test("of 12 changes of one version exactly one wins", async () => {
  const note = await create();
  const bodies = Array.from({ length: 12 }, (_, n) => ({ body: `${n}` }));
  const answers = await Promise.all(bodies.map((body) => alice("PATCH", path(note), body, matching('"1"'))));
  const won = answers.filter(({ status }) => status === 200);
  assert.equal(won.length, 1);
  const current = assertOk(won[0]!, 200);
  for (const answer of answers.filter((a) => a !== won[0])) {
    assert.deepEqual(assertProblem(answer, "version_mismatch").current, current);
  }
  assert.deepEqual(assertOk(await alice("GET", path(note)), 200), current);
});

test("of many PUTs of one new id one creates and the others replace", async () => {
  const note = { id: randomUUID() };
  const answers = await Promise.all(Array.from({ length: 12 }, (_, n) => alice("PUT", path(note), { title: `${n}` })));
  assert.deepEqual(answers.map(({ status }) => status).sort(), [...Array(11).fill(200), 201]);
  const versions = answers.map((answer) => Number(JSON.parse(answer.body).version));
  assert.deepEqual(
    versions.sort((a, b) => a - b),
    Array.from({ length: 12 }, (_, n) => n + 1),
    "no write is lost",
  );
});

test("many DELETEs of one note all succeed and delete it once", async () => {
  const note = await create();
  const answers = await Promise.all(Array.from({ length: 8 }, () => alice("DELETE", path(note))));
  assert.deepEqual(
    answers.map(({ status }) => status),
    Array(8).fill(204),
  );
  assert.equal((await stored(note)).version, 2);
});

// The app's client

test("the client does all of it", async () => {
  const { me, notes } = app(stack.url, stack.alice.token);
  const who = await me();
  assert.deepEqual(
    [who.sub, who.email, who.aal, who.is_anonymous, who.app_id],
    [
      stack.alice.id,
      "alice@example.com",
      JSON.parse(Buffer.from(stack.alice.token.split(".")[1]!, "base64url").toString()).aal ?? null,
      false,
      "rn-test",
    ],
  );
  assert.ok(who.exp > Date.now() / 1000);

  const note = await notes.create({ title: "a" });
  assert.equal(await notes.get(note.id, { ifNoneMatch: note.version }), undefined);
  const changed = await notes.patch(note.id, { body: "b" }, { ifMatch: note.version });
  await assert.rejects(
    notes.remove(note.id, { ifMatch: note.version }),
    (error: AirlockProblem) => error.current?.version === changed.version,
  );
  await notes.remove(note.id, { ifMatch: changed.version });
  await assert.rejects(notes.get(note.id), { code: "not_found" });
  assert.equal((await notes.list({ state: "deleted" })).data.length, 1);
  await notes.restore(note.id);
  await notes.put(randomUUID(), { title: "b" }, { ifNoneMatch: "*" });
  const titles: string[] = [];
  for await (const { title } of notes.all({ limit: 1 })) titles.push(title);
  assert.deepEqual(titles, ["b", "a"]);
});
