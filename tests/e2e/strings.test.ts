// Texts through real Postgres: they come back byte by byte, or are refused with their pointer.

import assert from "node:assert/strict";
import { test } from "node:test";

import { assertOk, assertProblem } from "./http.ts";
import { inParallel } from "./parallel.ts";
import { stackOfFile } from "./support.ts";

const { stack, alice } = await stackOfFile();

const NAUGHTY: Record<string, string[]> = {
  "words of programs": [
    "undefined",
    "undef",
    "null",
    "NULL",
    "(null)",
    "nil",
    "NIL",
    "true",
    "FALSE",
    "None",
    "hasOwnProperty",
    "__proto__",
    "constructor",
    "toString",
    "\\",
    "\\\\",
    "then",
  ],
  numbers: [
    "0",
    "1",
    "1.00",
    "$1.00",
    "1/2",
    "1E2",
    "-1",
    "-0",
    "1/0",
    "0..0",
    ".",
    "1,000.00",
    "NaN",
    "Infinity",
    "-Infinity",
    "0x0",
    "0xffffffff",
    "01",
    "1e999",
    "999999999999999999999",
    "٠١٢٣",
    "१२३",
    "½",
    "²",
    "Ⅷ",
  ],
  punctuation: [
    ",./;'[]-=",
    '<>?:"{}|_+',
    "!@#$%^&*()`~",
    "'",
    '"',
    "''",
    '""',
    "'\"'",
    "--",
    "/*",
    "*/",
    ";",
    "#",
    "%",
    "%%",
    "%s%s%n",
    "%00",
    "%20",
    "&",
    "&amp;",
    "&#39;",
    "+",
    "=1+1",
    "@SUM(1)",
    "-2+3",
    "\u2026",
    "\u2018\u2019\u201c\u201d",
    "\u20ac\u00a3\u00a5\u20bf",
  ],
  "what PostgREST reads": [
    "*",
    "*,user_id",
    "eq.1",
    "not.is.null",
    "a,b",
    "(a,b)",
    "a.b",
    "{a,b}",
    "[1,2)",
    "in.(1)",
    "a->>b",
    "select",
    "or=(id.not.is.null)",
    "null::text",
    "\\N",
    "$1",
    "$$",
    "$body$",
    "now",
    "infinity",
    "a&b=c",
    "limit=0",
  ],
  SQL: [
    "'; drop table public.notes; --",
    "' or '1'='1",
    "1;select pg_sleep(9)",
    '" or ""="',
    "admin'--",
    "E'\\x41'",
    "U&'\\0041'",
    "\\'; drop table notes; --",
    "'||(select version())||'",
    "x') on conflict do nothing --",
  ],
  "HTML and script": [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "<svg/onload=alert(1)>",
    "</title><b>",
    "<!--",
    "-->",
    "<![CDATA[",
    "javascript:alert(1)",
    '"><script>',
    '<a href="\u0001javascript:x">',
    "\u00bcscript\u00beb\u00bc/script\u00be",
    "&lt;b&gt;",
  ],
  "templates and shells": [
    "{{7*7}}",
    "${7*7}",
    "#{7*7}",
    "<%= 7*7 %>",
    "${jndi:ldap://x.example/a}",
    "{{constructor.constructor('x')()}}",
    "%{1}",
    "`id`",
    "$(id)",
    "; id",
    "| id",
    "../../etc/passwd",
    "..\\..\\x",
    "file:///etc/passwd",
    "http://example.com/?a=b#c",
    "a\r\nSet-Cookie: a=b",
    "() { :;}; x",
  ],
  "JSON in JSON": ["{}", "[]", '{"a":1}', "\\u0000", "\\ud800", "\\n", '"\\""', '{"title":"x"}'],
  "control characters": [
    "\u0001",
    "\u0001\u0002\u0003\u0004\u0005\u0006\u0007\u0008",
    "\u000e\u000f\u0010\u001b[31mred",
    "a\tb\nc\vd\fe\rf",
    "\u007f",
    "a\u0080\u0081\u0084\u009fb",
    "a\u0085b",
    "a\u2028b\u2029c",
    "a\r\nb",
    "a\u00adb",
  ],
  "nothing to see": [
    "\u200b",
    "\u200b\u200c\u200d",
    "\ufeff",
    "\ufeffa",
    "a\ufeff",
    "\u2060",
    "\u180e",
    "\u061c",
    "\u034f",
    "\u2800",
    "\u3164",
    "\u115f\u1160",
    "\ufff9a\ufffab\ufffb",
    "\u{e0041}",
    "a\u{e0020}b",
    "\ufe0f",
  ],
  "from right to left": [
    "\u0645\u064f\u0646\u064e\u0627\u0642\u064e\u0634\u064e\u0629\u064f",
    "\ufdfa",
    "\ufdfd",
    "\u05d1\u05b0\u05bc\u05e8\u05b5\u05d0\u05e9\u05b4\u05c1\u05d9\u05ea",
    "\u202etest\u202c",
    "\u2066a\u2069b\u2067c\u2069",
    "\u200fa\u200eb",
    "a\u05d0\u202d1",
  ],
  "combining marks": [
    "e\u0301",
    "\u00e9",
    "\u0301",
    "a\u0300\u0301\u0302\u0303\u0304",
    `Z${"\u0337\u0322\u0353".repeat(20)}`,
    "\u1112\u1161\u11ab",
    "\ud55c",
    "\u0baa\u0bcd",
    "q\u0323\u0307",
    "q\u0307\u0323",
    "\ufb01",
    "\u212b",
    "\u00c5",
    "\u0130 I \u0131 i",
    "\u1e9e \u00df SS",
    "\u03c3\u03c2\u03a3",
  ],
  emoji: [
    "\u{1f600}",
    "\u{1f468}\u200d\u{1f469}\u200d\u{1f467}\u200d\u{1f466}",
    "\u{1f44b}\u{1f3fe}",
    "\u{1f3f3}\ufe0f\u200d\u{1f308}",
    "\u{1f1e9}\u{1f1ea}",
    "\u{1f1e9}",
    "1\ufe0f\u20e3",
    "\u{1f3f4}\u{e0067}\u{e0062}\u{e0065}\u{e006e}\u{e0067}\u{e007f}",
    "\u2764\ufe0f",
    "\u{1f9d1}\u{1f3fb}\u200d\u{1f9b0}",
    "(\u256f\u00b0\u25a1\u00b0)\u256f\ufe35 \u253b\u2501\u253b",
    "\u0ca0_\u0ca0",
  ],
  "other planes and none": [
    "\u{10ffff}",
    "\u{1fffe}",
    "\ufffe",
    "\uffff",
    "\ufdd0",
    "\ufffd",
    "\ue000",
    "\u{f0000}",
    "\u{20bb7}",
    "\u{1d517}\u{1d525}\u{1d522}",
    "\u{12031}",
    "\u{10000}",
  ],
  languages: [
    "\u7530\u4e2d\u3055\u3093\u306b\u3042\u3052\u3066\u4e0b\u3055\u3044",
    "\uc0ac\ud68c\uacfc\ud559\uc6d0 \uc5b4\ud559\uc5f0\uad6c\uc18c",
    "\u4e02\u3460\u5029",
    "\u0e2a\u0e27\u0e31\u0e2a\u0e14\u0e35",
    "\u0939\u093f\u0928\u094d\u0926\u0940",
    "\u10e5\u10d0\u10e0\u10d7\u10e3\u10da\u10d8",
    "\u0416\u0419\u0429\u044a\u044b\u044d",
    "\u1200\u1208\u1210",
    "\u1783\u17d2\u1798\u17c2\u179a",
    "\u2126\u2248\u00e7\u221a\u222b\u02dc\u00b5\u2264\u2265\u00f7",
    "\u02d9\u0250n\u0265\u0131\u0287",
    "\uff21\uff22\uff23",
  ],
};

test("texts of every kind come back byte by byte", async (context) => {
  const texts = Object.values(NAUGHTY).flat();
  assert.equal(new Set(texts).size, texts.length, "none twice");
  const trim = (text: string) => text.replace(/^\p{White_Space}+|\p{White_Space}+$/gu, "");

  const notes = await inParallel(texts, 4, async (text) => {
    const draft = { title: text, body: `${text}\n${text}` };
    const expected = { title: trim(text), body: draft.body };
    const pick = ({ title, body }: typeof draft) => ({ title, body });
    const note = assertOk(await alice("POST", "/v1/notes", draft), 201);
    assert.deepEqual(pick(note), expected, JSON.stringify(text));
    const patched = assertOk(await alice("PATCH", `/v1/notes/${note.id}`, { body: text }), 200);
    assert.deepEqual(pick(patched), { ...expected, body: text }, JSON.stringify(text));
    return { id: note.id, title: expected.title, body: text };
  });
  const byId = (a: { id: string }, b: { id: string }) => (a.id < b.id ? -1 : 1);
  notes.sort(byId);

  // And in a page.
  const listed: typeof notes = [];
  for (let cursor = ""; ; ) {
    const page = assertOk(await alice("GET", `/v1/notes?limit=100${cursor}`), 200);
    listed.push(...page.data.map(({ id, title, body }: (typeof notes)[0]) => ({ id, title, body })));
    if (page.next_cursor === null) break;
    cursor = `&cursor=${page.next_cursor}`;
  }
  assert.deepEqual(listed.sort(byId), notes);

  // Compared as bytes: equal JSON may have other bytes.
  const hex = (text: string) => Buffer.from(text).toString("hex");
  const rows = await stack.sql(
    "select id, encode(convert_to(title, 'UTF8'), 'hex') as title, encode(convert_to(body, 'UTF8'), 'hex') as body from public.notes",
    [],
  );
  assert.deepEqual(
    (rows as typeof notes).sort(byId),
    notes.map(({ id, title, body }) => ({ id, title: hex(title), body: hex(body) })),
  );
  context.diagnostic(`${texts.length} naughty strings of ${Object.keys(NAUGHTY).length} kinds`);
  assert.ok(texts.length >= 150);
});

test("invalid texts are refused with their pointer", async () => {
  const before = await stack.sql("select count(*)::int as count from public.notes");
  for (const [json, ...errors] of [
    [{ title: "a\0b" }, "/title characters"],
    [{ title: "t", body: "\0" }, "/body characters"],
    [{ title: "" }, "/title length"],
    [{ title: " \t\r\n\u00a0\u3000\u2003" }, "/title length"],
    [{ title: "\u2028" }, "/title length"],
    [{ title: "a".repeat(201) }, "/title length"],
    [{ title: "\u{1f600}".repeat(201), body: "b".repeat(20_001) }, "/title length", "/body length"],
  ] as const) {
    const problem = assertProblem(await alice("POST", "/v1/notes", json), "validation_failed");
    assert.deepEqual(
      problem.errors?.map(({ pointer, code }) => `${pointer} ${code}`),
      errors,
    );
  }
  for (const body of [
    '{"title":"\\ud800"}',
    '{"title":"\\udc00\\ud800"}',
    '{"title":"t","body":"\\udfff"}',
    '{"title":"t","body":"a\\ud83d"}',
  ]) {
    assertProblem(await alice("POST", "/v1/notes", undefined, { body }), "validation_failed");
  }
  assert.deepEqual(await stack.sql("select count(*)::int as count from public.notes"), before);
});

test("lengths count the characters of the trimmed text", async () => {
  const family = "\u{1f468}\u200d\u{1f469}\u200d\u{1f467}\u200d\u{1f466}";
  assert.equal([...family].length, 7);
  const full: Record<string, { title: string; body: string }> = {
    "a family is seven": { title: `${family.repeat(28)}abcd`, body: `${family.repeat(2857)}a` },
    "a mark is one": { title: "e\u0301".repeat(100), body: "e\u0301".repeat(10_000) },
    "what has no width counts": { title: `a${"\u200b".repeat(199)}`, body: "\u200d".repeat(20_000) },
    "a line break may be two": { title: `a${"\r\n".repeat(99)}b`, body: "\r\n".repeat(10_000) },
    "beyond the first plane": { title: "\u{10ffff}".repeat(200), body: "\u{20bb7}".repeat(20_000) },
    "in three bytes": { title: "\uffff".repeat(200), body: "\ud55c".repeat(20_000) },
  };
  for (const [what, note] of Object.entries(full)) {
    assert.deepEqual([[...note.title].length, [...note.body].length], [200, 20_000], what);
    const { title, body } = assertOk(await alice("POST", "/v1/notes", note), 201);
    assert.deepEqual({ title, body }, note, what);
    // A title's surrounding space does not count; a body's does.
    const spaced = assertOk(await alice("POST", "/v1/notes", { title: ` \u3000\t${note.title}\n\u2003` }), 201);
    assert.equal(spaced.title, note.title, what);
    for (const more of [
      { title: `${note.title}a` },
      { title: `a ${[...note.title].slice(1).join("")}` },
      { title: "t", body: `${note.body}a` },
      { title: "t", body: ` ${note.body}` },
    ]) {
      const problem = assertProblem(await alice("POST", "/v1/notes", more), "validation_failed");
      assert.deepEqual(
        problem.errors?.map(({ pointer, code }) => `${pointer} ${code}`),
        ["body" in more ? "/body length" : "/title length"],
        what,
      );
    }
  }
});
