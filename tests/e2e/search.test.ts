// Full-text search: `q`, against real Postgres.

import assert from "node:assert/strict";
import { before, test } from "node:test";

import type { Row } from "../../client/src/index.ts";
import type { Declaration } from "../../client/test/generated.ts";
import { assertOk } from "./http.ts";
import { app, stackOfFile } from "./support.ts";

const { stack, alice, bob } = await stackOfFile();

const NOTES: [title: string, body: string][] = [
  ["Packing list", "passport, charger, umbrella"],
  ["Café ☕", "Zoë's espresso machine"],
  ["Umbrella", "lent to Zoë"],
  ["Über die Brücke", "日本語 のメモ"],
  ["x', or 1=1; --", "a&b|c !d <-> (e) :* \\ %"],
];

before(async () => {
  for (const [title, body] of NOTES) assertOk(await alice("POST", "/v1/notes", { title, body }), 201);
  assertOk(await bob("POST", "/v1/notes", { title: "Bob's umbrella", body: "passport" }), 201);
});

async function found(q: string, more = ""): Promise<string[]> {
  const answer = await alice(
    "GET",
    `/v1/notes?q=${encodeURIComponent(q).replace(/[!'()*]/g, (c) => `%${c.charCodeAt(0).toString(16)}`)}${more}`,
  );
  return assertOk(answer, 200).data.map(({ title }: Row<"notes", Declaration>) => title);
}

test("words are found in title and body, newest note first", async () => {
  assert.deepEqual(await found("UMBRELLA"), ["Umbrella", "Packing list"]);
  assert.deepEqual(await found("über"), ["Über die Brücke"]);
  assert.deepEqual(await found("zoë"), ["Umbrella", "Café ☕"]);
  assert.deepEqual(await found("日本語"), ["Über die Brücke"]);
  assert.deepEqual(await found("umbrellas"), []);
});

test("a search knows all words, either, a phrase and not", async () => {
  assert.deepEqual(await found("umbrella passport"), ["Packing list"]);
  assert.deepEqual(await found("espresso or passport"), ["Café ☕", "Packing list"]);
  assert.deepEqual(await found('"espresso machine"'), ["Café ☕"]);
  assert.deepEqual(await found('"machine espresso"'), []);
  assert.deepEqual(await found("umbrella -zoë"), ["Packing list"]);
});

const SEARCH_TEXTS = [
  "'",
  '"',
  "\\",
  ":*",
  "!",
  "&",
  "|",
  "(",
  ")",
  "<->",
  "a:b",
  "a,b",
  "a.b",
  "*",
  "%",
  "eq.x",
  "not.is.null",
  "x', or 1=1; --",
  "☕",
  "\u0001",
  "-",
  " ",
  "or",
  "or or",
  '""',
  "a".repeat(200),
  "👩‍👩‍👧",
  "simple",
  ")&user_id=eq.x",
];

test("no search text is an error or finds others' notes", async () => {
  for (const q of SEARCH_TEXTS) {
    for (const title of await found(q))
      assert.ok(
        NOTES.some(([known]) => known === title),
        `${q}: ${title}`,
      );
  }
  assert.deepEqual(await found("bob's"), []);
});

test("composed and decomposed characters find each other", async () => {
  const word = "cr\u00e8me br\u00fbl\u00e9e \ud55c\uae00 \u1ec7";
  const forms = ["NFC", "NFD"] as const;
  assert.notEqual(word.normalize("NFC"), word.normalize("NFD"));
  for (const form of forms)
    assertOk(await alice("POST", "/v1/notes", { title: `Dessert ${form}`, body: word.normalize(form) }), 201);
  for (const form of forms) {
    for (const one of word.split(" "))
      assert.deepEqual(await found(one.normalize(form)), ["Dessert NFD", "Dessert NFC"], `${one} ${form}`);
    assert.deepEqual(await found(`"${word.normalize(form)}"`), ["Dessert NFD", "Dessert NFC"], form);
  }
  // The stored text is not changed.
  const { data } = assertOk(await alice("GET", "/v1/notes?q=dessert"), 200);
  assert.deepEqual(
    data.map(({ body }: Row<"notes", Declaration>) => body),
    [word.normalize("NFD"), word.normalize("NFC")],
  );
});

test("a search has pages and honours state", async () => {
  const client = app(stack.url, stack.alice.token);
  const titles: string[] = [];
  for await (const note of client.notes.all({ q: "umbrella", limit: 1 })) titles.push(note.title);
  assert.deepEqual(titles, ["Umbrella", "Packing list"]);

  const { id } = (await client.notes.list({ q: "umbrella" })).data[0]!;
  await client.notes.remove(id);
  assert.deepEqual(await found("umbrella"), ["Packing list"]);
  assert.deepEqual(await found("umbrella", "&state=deleted"), ["Umbrella"]);
  await client.notes.patch((await client.notes.list({ q: "umbrella" })).data[0]!.id, { body: "nothing" });
  assert.deepEqual(await found("umbrella"), []);
});
