// A body's JSON. What RFC 8259 calls JSON is never malformed_json, whatever else is wrong with it; what it does not
// is always; and nothing that can be sent is a 5xx. The judge is JSON.parse, which keeps to the RFC.

import assert from "node:assert/strict";
import { isUtf8 } from "node:buffer";
import { readFile } from "node:fs/promises";
import { after, before, test } from "node:test";

import { assertOk, assertProblem, send } from "./http.ts";
import { inParallel } from "./parallel.ts";
import { json, jws, legacy, ROW, startStub, type Stub } from "./stub.ts";
import { startWorkerAlone, workerVars, type LoggedWorker } from "./support.ts";

const NOTE = `/v1/notes/${ROW.id}`;

let stub: Stub;
let worker: LoggedWorker;
let url: string;
const token = jws(legacy);

before(async () => {
  stub = await startStub();
  // What it is given, as a row.
  stub.rest = (request, response) => {
    const note = request.body ? JSON.parse(request.body) : {};
    json(request.method === "POST" ? 201 : 200, [{ ...ROW, ...note }])(request, response);
  };
  worker = await startWorkerAlone(workerVars(stub.url));
  url = worker.url;
});
after(async () => {
  await worker?.stop();
  await stub?.stop();
});

type Bytes = Buffer | string;

/** The bytes of a text in which a character is a byte. */
function latin1(text: string): Buffer {
  return Buffer.from(text, "latin1");
}

function join(...parts: Bytes[]): Buffer {
  return Buffer.concat(parts.map((part) => Buffer.from(part as string)));
}

/** What the text says, or nothing if it is no JSON. */
function parse(body: Buffer): { value: unknown } | undefined {
  if (!isUtf8(body)) return undefined;
  try {
    return { value: JSON.parse(body.toString()) };
  } catch {
    return undefined;
  }
}

/** The title that is stored for this one, or nothing if it can't be one. */
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

/** Sends each and holds the answer against what JSON.parse makes of it. Counts the answers by their code, or status. */
async function judge(sendings: Sending[]): Promise<Record<string, number>> {
  const counts: Record<string, number> = {};
  await inParallel(sendings, 8, async ({ method, body }) => {
    const answered = await send(url, method, method === "POST" ? "/v1/notes" : NOTE, { token, body });
    const shown = `${method} ${body.subarray(0, 120).toString("latin1")}: ${answered.status} ${answered.body}`;
    const parsed = parse(body);
    const members = (parsed?.value ?? {}) as Record<string, unknown>;
    const names = typeof members === "object" ? Object.keys(members) : [];
    const title = names.length === 1 && names[0] === "title" ? stored(members["title"]) : undefined;
    let outcome: string;
    if (parsed && title !== undefined) {
      assert.ok(answered.status < 300, shown);
      // The Worker's reading of the text went to the database and came back.
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

/** As the whole body, as a title (without the brackets that it may have), as the value of a member that is none of a note's. */
function everywhere(text: Bytes): Sending[] {
  const bytes = join(text);
  const bare = bytes.at(0) === 0x5b && bytes.at(-1) === 0x5d ? bytes.subarray(1, -1) : bytes;
  return [
    { method: "POST", body: bytes },
    { method: "PATCH", body: join('{"title":', bare, "}") },
    { method: "POST", body: join('{"title":"t","x":', bytes, "}") },
  ];
}

test("every text of the JSON test suite is told for what it is, wherever it stands", async (context) => {
  const suite: { texts: Record<string, string> } = JSON.parse(await readFile(new URL("../vectors/json.json", import.meta.url), "utf8"));
  const texts = new Map(Object.entries(suite.texts).map(([name, text]) => [name, latin1(text)]));
  // Two that are too long for a table.
  texts.set("n_structure_100000_opening_arrays", latin1("[".repeat(100_000)));
  texts.set("n_structure_open_array_object", latin1('[{"":'.repeat(50_000)));
  for (const [name, text] of texts) {
    // The judge agrees with the suite, or it would be none.
    if (!name.startsWith("i_")) assert.equal(parse(text) !== undefined, name.startsWith("y_"), name);
  }
  const sendings = [...texts.values()].flatMap(everywhere);
  const counts = await judge(sendings);
  context.diagnostic(`counted: ${texts.size} JSON texts, ${sendings.length} requests: ${JSON.stringify(counts)}`);
  assert.equal(texts.size, 318);
  for (const outcome of ["malformed_json", "validation_failed", "accepted"]) assert.ok(counts[outcome]! >= 30, outcome);
});

test("extremes are told for what they are, and the Worker lives on", async () => {
  const deep = 100_000;
  const texts = [
    `${"[".repeat(deep)}${"]".repeat(deep)}`,
    `${"[".repeat(deep)}${"]".repeat(deep - 1)}`,
    `${'{"a":'.repeat(40_000)}1${"}".repeat(40_000)}`,
    `${'{"a":'.repeat(40_000)}1${"}".repeat(39_999)}`,
    `${'[{"a":'.repeat(30_000)}[]${"}]".repeat(30_000)}`,
    "9".repeat(200_000), `-${"9".repeat(200_000)}`, `0.${"0".repeat(200_000)}1`, `1${"0".repeat(400)}.5`, "1e999", "-1e999", "1e-999", "1e99999999999999999999",
    "1E+0000000000000000000000000000001", "-0", "-0.0e-0", "18446744073709551616", "-9223372036854775809", "0e0", `1e${"9".repeat(100_000)}`,
    `"${"a".repeat(200_000)}"`, `"${"\\u0041".repeat(30_000)}"`, `"${"\\ud83d\\ude00".repeat(15_000)}"`, `"${"\\ud83d".repeat(30_000)}"`, `"${"\\".repeat(100_000)}"`,
    `"${"\\".repeat(100_001)}"`, `[${"1,".repeat(100_000)}1]`, `[${",".repeat(100_000)}]`, `{${'"a":1,'.repeat(30_000)}"a":1}`, `{"${"k".repeat(200_000)}":1}`,
    `{${Array.from({ length: 15_000 }, (_, n) => `"k${n}":${n}`).join()}}`, `"${"\u{1f4dd}".repeat(200)}"`, `"${"\u{1f4dd}".repeat(201)}"`, " ".repeat(200_000),
    `${" ".repeat(100_000)}"t"${"\n".repeat(100_000)}`,
  ];
  const counts = await judge(texts.flatMap(everywhere));
  assert.equal(counts["accepted"], 2, "the title of 200, and the one with all that space around it");
  assertOk(await send(url, "GET", "/health", { signed: null }), 200);
});

test("of all bytes before or after a text only white space is let pass", async () => {
  const bytes = Array.from({ length: 256 }, (_, byte) => Buffer.from([byte]));
  const note = '{"title":"t"}';
  const counts = await judge(posts(...bytes.flatMap((byte) => [join(byte, note), join(note, byte)])));
  assert.deepEqual(counts, { accepted: 2 * 4, malformed_json: 2 * 252 });
});

test("of all bytes within a string those are let pass that JSON and UTF-8 allow", async () => {
  const bytes = Array.from({ length: 256 }, (_, byte) => Buffer.from([byte]));
  const counts = await judge(posts(...bytes.map((byte) => join('{"title":"a', byte, 'b"}'))));
  // Neither control characters nor a quotation mark, a backslash that escapes b, and no half of a character.
  assert.deepEqual(counts, { accepted: 0x80 - 0x20 - 1, malformed_json: 0x80 + 0x20 + 1 });
});

test("of all escapes those exist that JSON has", async () => {
  const ascii = Array.from({ length: 0x5f }, (_, n) => String.fromCharCode(0x20 + n));
  const hex = ["u", "u0", "u00", "u004", "u00g1", "u 041", "u+041", "u-041", "U0041", "u0041", "u00E9", "u00e9", "x41", "u{41}", "u{1F600}", "ud83d", "ude00", "ud83d\\ude00", "ude00\\ud83d", "ud83d\\u0041", "u0000", "uffff"];
  const counts = await judge(posts(...[...ascii, ...hex].map((escape) => join(`{"title":"a\\${escape}"}`))));
  // Eight of one letter; of the others a lone surrogate or a NUL has no value, and the rest is no JSON.
  assert.deepEqual(counts, { accepted: 8 + 5, validation_failed: 5, malformed_json: ascii.length + hex.length - 8 - 5 - 5 });
});

test("no UTF-8 but UTF-8, and no byte order mark", async () => {
  const wrong: Record<string, string> = {
    "overlong NUL": "\xc0\x80", "overlong slash": "\xc0\xaf", "overlong in three": "\xe0\x80\xaf", "overlong in four": "\xf0\x80\x80\xaf", "a surrogate": "\xed\xa0\x80",
    "a pair of surrogates": "\xed\xa0\xbd\xed\xb8\x80", "beyond Unicode": "\xf4\x90\x80\x80", "five bytes": "\xf8\x88\x80\x80\x80", "six bytes": "\xfc\x84\x80\x80\x80\x80",
    "a continuation alone": "\x80", "two of them": "\xbf\xbf", "half of two": "\xc3", "half of three": "\xe2\x82", "half of four": "\xf0\x9f\x98", "Latin 1": "caf\xe9",
    "FE and FF": "\xfe\xff", "a start within a character": "\xe2\xc3\xa9",
  };
  const right = ["\u00e9", "\u20ac", "\u{1f600}", "\ufeff", "\ufffe", "\uffff", "\u{10ffff}", "\ufffd", "\ud7ff", "\ue000"];
  const counts = await judge([
    ...Object.values(wrong).flatMap((bytes) => posts(
      join('{"title":"', latin1(bytes), '"}'),
      join('{"title":"t","', latin1(bytes), '":1}'),
      join('{"title":"t","x":["', latin1(bytes), '"]}'),
      join('{"title":"t"}', latin1(bytes)),
    )),
    ...posts(...right.map((text) => join('{"title":"', text, '"}'))),
    ...["\ufeff", "\ufeff\ufeff", " \ufeff"].flatMap((mark) => everywhere(`${mark}"t"`)),
    ...posts(Buffer.from('\ufeff{"title":"t"}'), Buffer.from('{"title":"t"}', "utf16le"), Buffer.from('\ufeff{"title":"t"}', "utf16le"), Buffer.from('{"title":"t"}', "utf16le").swap16()),
  ]);
  assert.deepEqual(counts, { malformed_json: Object.keys(wrong).length * 4 + 3 * 3 + 4, accepted: right.length });
});

test("a NUL is no JSON as a byte, and no text as an escape", async () => {
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
    if (code === "validation_failed") assert.ok(errors?.some((error) => `${error.pointer} ${error.code}` === at), JSON.stringify(errors));
  }
});

test("a name that comes twice is refused, however it is spelled", async () => {
  stub.received.length = 0;
  for (const [body, ...expected] of [
    ['{"title":"a","title":"a"}', "/title duplicate"],
    ['{"title":"a","\\u0074itle":"b"}', "/title duplicate"],
    ['{"t\\u0069tle":"a","titl\\u0065":"b"}', "/title duplicate"],
    ['{"title":null,"title":"a"}', "/title type", "/title duplicate"],
    ['{"title":"a","body":"","body":"b"}', "/body duplicate"],
    ['{"title":"a","title":"b","title":"c"}', "/title duplicate", "/title duplicate"],
    ['{"title":"a","x":1,"x":2}', "/x unknown", "/x unknown"],
    ['{"title":"a","x":{"title":"b","title":"c"}}', "/x unknown"],
  ] as const) {
    for (const [method, target] of [["POST", "/v1/notes"], ["PUT", NOTE], ["PATCH", NOTE]] as const) {
      const { errors } = assertProblem(await send(url, method, target, { token, body }), "validation_failed");
      assert.deepEqual(errors?.map(({ pointer, code }) => `${pointer} ${code}`), expected, `${method} ${body}`);
    }
  }
  assert.deepEqual(stub.received, []);
});
