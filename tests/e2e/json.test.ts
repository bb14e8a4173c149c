// The JSON of request bodies. A text is malformed_json exactly when RFC 8259 does not allow it, and no text is a 5xx.
// JSON.parse, which follows the RFC, is the judge.

import assert from "node:assert/strict";
import { isUtf8 } from "node:buffer";
import { readFile } from "node:fs/promises";
import { after, before, test } from "node:test";

import { assertOk, assertProblem, send } from "./http.ts";
import { inParallel } from "./parallel.ts";
import { functions, jws, legacy, ROW, type Stub, startStubbed } from "./stub.ts";

const NOTE = `/v1/notes/${ROW.id}`;

let stub: Stub;
let url: string;
let stop: () => Promise<void>;
const token = jws(legacy);

before(async () => {
  ({ stub, url, stop } = await startStubbed());
  stub.rest = (request, response) => functions({ ...ROW, ...JSON.parse(request.body).draft })(request, response);
});
after(() => stop?.());

type Bytes = Buffer | string;

/** One byte for each character. */
function latin1(text: string): Buffer {
  return Buffer.from(text, "latin1");
}

function join(...parts: Bytes[]): Buffer {
  return Buffer.concat(parts.map((part) => Buffer.from(part as string)));
}

/** The text's value, or nothing if it is not JSON. */
function parse(body: Buffer): { value: unknown } | undefined {
  if (!isUtf8(body)) return undefined;
  try {
    return { value: JSON.parse(body.toString()) };
  } catch {
    return undefined;
  }
}

/** The title as it is stored, or nothing if it is not valid. */
function stored(title: unknown): string | undefined {
  if (typeof title !== "string" || /\p{Surrogate}/u.test(title) || title.includes("\0")) return undefined;
  const trimmed = title.replace(/^\p{White_Space}+|\p{White_Space}+$/gu, "");
  const { length } = [...trimmed];
  return length >= 1 && length <= 200 ? trimmed : undefined;
}

interface Sending {
  method: "POST" | "PATCH";
  body: Buffer;
}

/** Sends each body, compares the answer with JSON.parse's verdict and counts the answers. */
async function judge(sendings: Sending[]): Promise<Record<string, number>> {
  const counts: Record<string, number> = {};
  await inParallel(sendings, 8, async ({ method, body }) => {
    const answered = await send(url, method, method === "POST" ? "/v1/notes" : NOTE, { token, body });
    const shown = `${method} ${body.subarray(0, 120).toString("latin1")}: ${answered.status} ${answered.body}`;
    const parsed = parse(body);
    const members = (parsed?.value ?? {}) as Record<string, unknown>;
    const names = typeof members === "object" ? Object.keys(members) : [];
    const title = names.length === 1 && names[0] === "title" ? stored(members.title) : undefined;
    let outcome: string;
    if (parsed && title !== undefined) {
      assert.ok(answered.status < 300, shown);
      // The stub returns the title that the Worker parsed.
      assert.equal(assertOk(answered, method === "POST" ? 201 : 200).title, title, shown);
      outcome = "accepted";
    } else {
      outcome = parsed ? "validation_failed" : "malformed_json";
      assert.equal(JSON.parse(answered.body).code, outcome, shown);
      assertProblem(answered, outcome as "validation_failed");
    }
    counts[outcome] = (counts[outcome] ?? 0) + 1;
  });
  return counts;
}

function posts(...bodies: Buffer[]): Sending[] {
  return bodies.map((body) => ({ method: "POST", body }));
}

/** The text as the whole body, as a title (without its brackets) and as the value of an unknown member. */
function everywhere(text: Bytes): Sending[] {
  const bytes = join(text);
  const bare = bytes.at(0) === 0x5b && bytes.at(-1) === 0x5d ? bytes.subarray(1, -1) : bytes;
  return [
    { method: "POST", body: bytes },
    { method: "PATCH", body: join('{"title":', bare, "}") },
    { method: "POST", body: join('{"title":"t","x":', bytes, "}") },
  ];
}

test("every text of the JSON test suite is judged as JSON.parse does", async (context) => {
  const suite: { texts: Record<string, string> } = JSON.parse(
    await readFile(new URL("../vectors/json.json", import.meta.url), "utf8"),
  );
  const texts = new Map(Object.entries(suite.texts).map(([name, text]) => [name, latin1(text)]));
  // Two more that are too long for the file.
  texts.set("n_structure_100000_opening_arrays", latin1("[".repeat(100_000)));
  texts.set("n_structure_open_array_object", latin1('[{"":'.repeat(50_000)));
  for (const [name, text] of texts) {
    // JSON.parse agrees with the suite.
    if (!name.startsWith("i_")) assert.equal(parse(text) !== undefined, name.startsWith("y_"), name);
  }
  const sendings = [...texts.values()].flatMap(everywhere);
  const counts = await judge(sendings);
  context.diagnostic(`${texts.size} JSON texts, ${sendings.length} requests: ${JSON.stringify(counts)}`);
  assert.equal(texts.size, 318);
  for (const outcome of ["malformed_json", "validation_failed", "accepted"]) assert.ok(counts[outcome]! >= 30, outcome);
});

test("extreme texts are judged right and do not end the Worker", async () => {
  const deep = 100_000;
  const texts = [
    `${"[".repeat(deep)}${"]".repeat(deep)}`,
    `${"[".repeat(deep)}${"]".repeat(deep - 1)}`,
    `${'{"a":'.repeat(40_000)}1${"}".repeat(40_000)}`,
    `${'{"a":'.repeat(40_000)}1${"}".repeat(39_999)}`,
    `${'[{"a":'.repeat(30_000)}[]${"}]".repeat(30_000)}`,
    "9".repeat(200_000),
    `-${"9".repeat(200_000)}`,
    `0.${"0".repeat(200_000)}1`,
    `1${"0".repeat(400)}.5`,
    "1e999",
    "-1e999",
    "1e-999",
    "1e99999999999999999999",
    "1E+0000000000000000000000000000001",
    "-0",
    "-0.0e-0",
    "18446744073709551616",
    "-9223372036854775809",
    "0e0",
    `1e${"9".repeat(100_000)}`,
    `"${"a".repeat(200_000)}"`,
    `"${"\\u0041".repeat(30_000)}"`,
    `"${"\\ud83d\\ude00".repeat(15_000)}"`,
    `"${"\\ud83d".repeat(30_000)}"`,
    `"${"\\".repeat(100_000)}"`,
    `"${"\\".repeat(100_001)}"`,
    `[${"1,".repeat(100_000)}1]`,
    `[${",".repeat(100_000)}]`,
    `{${'"a":1,'.repeat(30_000)}"a":1}`,
    `{"${"k".repeat(200_000)}":1}`,
    `{${Array.from({ length: 15_000 }, (_, n) => `"k${n}":${n}`).join()}}`,
    `"${"\u{1f4dd}".repeat(200)}"`,
    `"${"\u{1f4dd}".repeat(201)}"`,
    " ".repeat(200_000),
    `${" ".repeat(100_000)}"t"${"\n".repeat(100_000)}`,
  ];
  const counts = await judge(texts.flatMap(everywhere));
  assert.equal(counts.accepted, 2, "the title of 200, and the one with all that space around it");
  assertOk(await send(url, "GET", "/health", { signed: null }), 200);
});

test("only white space may stand before and after a text", async () => {
  const bytes = Array.from({ length: 256 }, (_, byte) => Buffer.from([byte]));
  const note = '{"title":"t"}';
  const counts = await judge(posts(...bytes.flatMap((byte) => [join(byte, note), join(note, byte)])));
  assert.deepEqual(counts, { accepted: 2 * 4, malformed_json: 2 * 252 });
});

test("a string takes the bytes that JSON and UTF-8 allow", async () => {
  const bytes = Array.from({ length: 256 }, (_, byte) => Buffer.from([byte]));
  const counts = await judge(posts(...bytes.map((byte) => join('{"title":"a', byte, 'b"}'))));
  // All but control characters, the quotation mark and bytes that are not ASCII.
  assert.deepEqual(counts, { accepted: 0x80 - 0x20 - 1, malformed_json: 0x80 + 0x20 + 1 });
});

test("only the escapes of JSON are accepted", async () => {
  const ascii = Array.from({ length: 0x5f }, (_, n) => String.fromCharCode(0x20 + n));
  const hex = [
    "u",
    "u0",
    "u00",
    "u004",
    "u00g1",
    "u 041",
    "u+041",
    "u-041",
    "U0041",
    "u0041",
    "u00E9",
    "u00e9",
    "x41",
    "u{41}",
    "u{1F600}",
    "ud83d",
    "ude00",
    "ud83d\\ude00",
    "ude00\\ud83d",
    "ud83d\\u0041",
    "u0000",
    "uffff",
  ];
  const counts = await judge(posts(...[...ascii, ...hex].map((escaped) => join(`{"title":"a\\${escaped}"}`))));
  // Eight have one letter. Lone surrogates and NUL are invalid values; the rest is not JSON.
  assert.deepEqual(counts, {
    accepted: 8 + 5,
    validation_failed: 5,
    malformed_json: ascii.length + hex.length - 8 - 5 - 5,
  });
});

test("only UTF-8 without a byte order mark is accepted", async () => {
  const wrong: Record<string, string> = {
    "overlong NUL": "\xc0\x80",
    "overlong slash": "\xc0\xaf",
    "overlong in three": "\xe0\x80\xaf",
    "overlong in four": "\xf0\x80\x80\xaf",
    "a surrogate": "\xed\xa0\x80",
    "a pair of surrogates": "\xed\xa0\xbd\xed\xb8\x80",
    "beyond Unicode": "\xf4\x90\x80\x80",
    "five bytes": "\xf8\x88\x80\x80\x80",
    "six bytes": "\xfc\x84\x80\x80\x80\x80",
    "a continuation alone": "\x80",
    "two of them": "\xbf\xbf",
    "half of two": "\xc3",
    "half of three": "\xe2\x82",
    "half of four": "\xf0\x9f\x98",
    "Latin 1": "caf\xe9",
    "FE and FF": "\xfe\xff",
    "a start within a character": "\xe2\xc3\xa9",
  };
  const right = [
    "\u00e9",
    "\u20ac",
    "\u{1f600}",
    "\ufeff",
    "\ufffe",
    "\uffff",
    "\u{10ffff}",
    "\ufffd",
    "\ud7ff",
    "\ue000",
  ];
  const counts = await judge([
    ...Object.values(wrong).flatMap((bytes) =>
      posts(
        join('{"title":"', latin1(bytes), '"}'),
        join('{"title":"t","', latin1(bytes), '":1}'),
        join('{"title":"t","x":["', latin1(bytes), '"]}'),
        join('{"title":"t"}', latin1(bytes)),
      ),
    ),
    ...posts(...right.map((text) => join('{"title":"', text, '"}'))),
    ...["\ufeff", "\ufeff\ufeff", " \ufeff"].flatMap((mark) => everywhere(`${mark}"t"`)),
    ...posts(
      Buffer.from('\ufeff{"title":"t"}'),
      Buffer.from('{"title":"t"}', "utf16le"),
      Buffer.from('\ufeff{"title":"t"}', "utf16le"),
      Buffer.from('{"title":"t"}', "utf16le").swap16(),
    ),
  ]);
  assert.deepEqual(counts, { malformed_json: Object.keys(wrong).length * 4 + 3 * 3 + 4, accepted: right.length });
});

test("a NUL is malformed_json as a byte, invalid as an escape", async () => {
  for (const [body, code, at] of [
    ['{"title":"a\0b"}', "malformed_json"],
    ['{"title":"t"\0}', "malformed_json"],
    ['{"title":"t","\0":1}', "malformed_json"],
    ['{"title":"\\u0000"}', "validation_failed", "/title characters"],
    ['{"title":"t","body":"a\\u0000"}', "validation_failed", "/body characters"],
    ['{"title":"t","\\u0000":1}', "validation_failed", "/\0 unknown"],
    ['{"title\\u0000":"t"}', "validation_failed", "/title\0 unknown", "/title required"],
  ] as const) {
    const { errors } = assertProblem(await send(url, "POST", "/v1/notes", { token, body }), code);
    if (code === "validation_failed")
      assert.ok(
        errors?.some((error) => `${error.pointer} ${error.code}` === at),
        JSON.stringify(errors),
      );
  }
});

test("a repeated member is refused in every spelling", async () => {
  stub.received.length = 0;
  for (const [body, ...expected] of [
    ['{"title":"a","title":"a"}', "/title duplicate"],
    ['{"title":"a","\\u0074itle":"b"}', "/title duplicate"],
    ['{"t\\u0069tle":"a","titl\\u0065":"b"}', "/title duplicate"],
    ['{"title":null,"title":"a"}', "/title duplicate"],
    ['{"title":"a","body":"","body":"b"}', "/body duplicate"],
    ['{"title":"a","title":"b","title":"c"}', "/title duplicate"],
    ['{"x":1,"body":"","body":1,"title":"a","title":"b"}', "/title duplicate", "/body duplicate", "/x unknown"],
    ['{"title":"a","x":1,"x":2}', "/x unknown"],
    ['{"title":"a","x":{"title":"b","title":"c"}}', "/x unknown"],
  ] as const) {
    for (const [method, target] of [
      ["POST", "/v1/notes"],
      ["PUT", NOTE],
      ["PATCH", NOTE],
    ] as const) {
      const { errors } = assertProblem(await send(url, method, target, { token, body }), "validation_failed");
      assert.deepEqual(
        errors?.map(({ pointer, code }) => `${pointer} ${code}`),
        expected,
        `${method} ${body}`,
      );
    }
  }
  assert.deepEqual(stub.received, []);
});
