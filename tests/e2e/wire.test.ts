// The app signature byte by byte: requests that no client would send, written to the socket.

import assert from "node:assert/strict";
import { after, before, beforeEach, test } from "node:test";

import { type Answer, createNonce } from "../../client/src/index.ts";
import { assertOk, assertProblem, type HeaderFields, headersOf, raw, send } from "./http.ts";
import { inParallel } from "./parallel.ts";
import { jws, legacy, ROW, type Stub, startStubbed } from "./stub.ts";

const NOTE = `/v1/notes/${ROW.id}`;

let stub: Stub;
let url: string;
let stop: () => Promise<void>;
const token = jws(legacy);

before(async () => void ({ stub, url, stop } = await startStubbed()));
after(() => stop?.());
beforeEach(() => {
  stub.received.length = 0;
});

// One changed byte

interface Written {
  method: string;
  target: string;
  headers: Record<string, string>;
  body: string;
}

/** A good request with every signed part. */
function good(method: string, target: string, body: string, conditional: Record<string, string>): Written {
  const headers = headersOf(method, target, { token, headers: conditional, ...(body && { body }) }) as Record<
    string,
    string
  >;
  return { method, target, headers, body };
}

function deliver({ method, target, headers, body }: Written): Promise<Answer> {
  return send(url, method, target, { signed: null, headers, ...(body && { body }) });
}

/** Another character of the same kind: the form stays right and only the signature differs. */
function other(character: string): string {
  if (/[0-8]/.test(character)) return String(Number(character) + 1);
  if (/[9a-e]/.test(character)) return "f";
  return character === "f" ? "a" : character === "Q" ? "R" : /[\w-]/.test(character) ? "Q" : " ";
}

/** All texts that differ from this one in one character. */
function changes(text: string): string[] {
  return Array.from(text, (character, at) => text.slice(0, at) + other(character) + text.slice(at + 1)).filter(
    (changed) => changed !== text,
  );
}

/** The text with one character added or removed at either end. */
function lengths(text: string): string[] {
  return [`${text}0`, `0${text}`, text.slice(1), text.slice(0, -1)];
}

test("any changed byte of a signed field is refused", async (context) => {
  const patch = good("PATCH", NOTE, '{"title":"one","body":"two"}', { "If-Match": '"3"' });
  const list = good("GET", "/v1/notes?limit=20&state=active", "", {});
  const read = good("GET", NOTE, "", { "If-None-Match": '"1", W/"3"' });
  const post = good("POST", "/v1/notes", '{"title":"one"}', { "Idempotency-Key": "order-0001" });
  // The signature of each unchanged request is accepted; later steps may refuse it.
  for (const request of [patch, list, read, post])
    assert.notEqual((await deliver(request)).status, 401, request.method);
  stub.received.length = 0;

  const changed: [field: string, request: Written][] = [];
  const header = (request: Written, name: string, values: string[]) => {
    for (const value of values) changed.push([name, { ...request, headers: { ...request.headers, [name]: value } }]);
  };
  for (const name of ["X-App-Id", "X-App-Timestamp", "X-App-Nonce", "X-App-Signature"]) {
    header(patch, name, [...changes(patch.headers[name]!), ...lengths(patch.headers[name]!)]);
  }
  header(
    patch,
    "Authorization",
    changes(token)
      .concat(lengths(token))
      .map((value) => `Bearer ${value}`),
  );
  header(patch, "If-Match", [...changes('"3"'), '"33"', 'W/"3"', "*"]);
  header(read, "If-None-Match", [...changes('"1", W/"3"'), '"1",W/"3"', 'W/"3", "1"', "*"]);
  header(post, "Idempotency-Key", [...changes("order-0001"), ...lengths("order-0001")]);
  for (const body of [...changes(patch.body), ...lengths(patch.body), patch.body.toUpperCase(), `${patch.body}\n`]) {
    changed.push(["body", { ...patch, body, headers: { ...patch.headers, "Content-Length": String(body.length) } }]);
  }
  const id = NOTE.length - ROW.id.length;
  for (const target of changes(NOTE)
    .slice(id)
    .filter((target) => !target.includes("Q")))
    changed.push(["path", { ...patch, target }]);
  for (const target of [
    ...changes(list.target).slice("/v1/notes?".length),
    `${list.target}&`,
    list.target.replace("?", "?&"),
    "/v1/notes?state=active&limit=20",
  ]) {
    if (!target.includes(" ")) changed.push(["query", { ...list, target }]);
  }
  for (const method of ["PUT", "DELETE", "GET", "HEAD"]) changed.push(["method", { ...patch, method }]);
  for (const method of ["HEAD"]) changed.push(["method", { ...read, method }]);

  const counts: Record<string, number> = {};
  await inParallel(changed, 8, async ([field, request]) => {
    const answered = await deliver(request);
    const shown = `${field}: ${request.method} ${request.target} ${JSON.stringify(request.headers[field] ?? request.body)}: ${answered.status} ${answered.body}`;
    assert.equal(answered.status, 401, shown);
    if (request.method !== "HEAD") assert.equal(JSON.parse(answered.body).code, "app_guard_rejected", shown);
    counts[field] = (counts[field] ?? 0) + 1;
  });
  context.diagnostic(`${changed.length} requests with one byte changed, all refused: ${JSON.stringify(counts)}`);
  assert.equal(Object.keys(counts).length, 12, "all ten fields, of the target path and query, and the signature");
  assert.deepEqual(stub.received, []);
  // The nonce is still free.
  assertOk(await deliver(good("PATCH", NOTE, patch.body, { "If-Match": '"3"' })), 200);
});

test("bytes cannot move between signed fields", async () => {
  const { headers } = good("PATCH", NOTE, '{"title":"one"}', { "If-Match": '"3"' });
  const swapped: HeaderFields[] = [
    { ...headers, "If-Match": "", "If-None-Match": '"3"' },
    { ...headers, "Idempotency-Key": headers["If-Match"]! },
    { ...headers, "X-App-Nonce": headers["X-App-Nonce"]! + headers["X-App-Timestamp"]!, "X-App-Timestamp": "1" },
    { ...headers, "X-App-Id": `${headers["X-App-Id"]}\n${headers["X-App-Timestamp"]}`.replace("\n", ".") },
  ];
  for (const fields of swapped) {
    assertProblem(
      await send(url, "PATCH", NOTE, { signed: null, headers: fields, body: '{"title":"one"}' }),
      "app_guard_rejected",
    );
  }
  assert.deepEqual(stub.received, []);
});

// Paths

/** The status of a raw response. */
function statusOf(received: string): string {
  return /^HTTP\/1\.1 (\d{3})/.exec(received)?.[1] ?? "none";
}

/** Writes a request for this target, signed for `signed`. */
function written(target: string, signed = target, method = "GET"): Promise<string> {
  const headers = headersOf(method, signed, { token }) as Record<string, string>;
  return raw(
    url,
    `${method} ${target} HTTP/1.1`,
    `Host: ${new URL(url).host}`,
    ...Object.entries(headers).map(([name, value]) => `${name}: ${value}`),
  );
}

test("a signed path in another spelling is 404", async () => {
  // In hex, upper and lower case, wherever a parser might normalise.
  const forms = [
    "//v1/notes",
    "/v1//notes",
    "/v1/notes//",
    "/v1/notes/",
    "/./v1/notes",
    "/v1/./notes",
    "/v1/notes/.",
    "/x/../v1/notes",
    "/v1/x/../notes",
    "/v1/notes/x/..",
    "/../v1/notes",
    "/%2e/v1/notes",
    "/%2E/v1/notes",
    "/v1/%2e%2e/v1/notes",
    "/x/%2E%2e/v1/notes",
    "/v1/.%2e/v1/notes",
    "/v1%2Fnotes",
    "/v1%2fnotes",
    "/v1%252Fnotes",
    "/%2Fv1/notes",
    "/v1/%6Eotes",
    "/v1/%6eotes",
    "/%76%31/notes",
    "/v1/note%73",
    "/v1/notes;",
    "/v1/notes;v=1",
    "/v1;x/notes",
    "/v1/notes%3B",
    "/v1/notes%3F",
    "/v1/notes%3Flimit=1",
    "/v1/notes%23",
    "/v1/notes%00",
    "/v1/notes%0a",
    "/v1/notes%0d%0aX-A:b",
    "/v1/notes%20",
    "/v1/notes%",
    "/v1/notes%zz",
    "/v1/notes%u002f",
    "/V1/notes",
    "/v1/NOTES",
    "/v1\\notes",
    "/v1/notes\\",
    "/v1/n\u00c3\u00b6tes",
    "/v1/n%C3%B6tes",
    "/v1/\u00ef\u00bd\u008eotes",
    "/v1/notes,",
    "/v1/notes+",
    "/v1/notes:",
    "/v1/notes@x",
    "/v1/notes*",
    "/v1/notes.json",
    "/v1/notes/index",
    '/v1/notes"',
    `${NOTE}/`,
    `${NOTE}/.`,
    `${NOTE}/../${ROW.id}`,
    `/v1/notes/${ROW.id.toUpperCase()}`,
    `${NOTE}%20`,
    `${NOTE};x`,
    `${NOTE}/restore/..`,
    `${NOTE}%2frestore`,
    `/v1/notes/%7${ROW.id.slice(1)}`,
  ];
  assert.equal(new Set(forms).size, forms.length);
  await inParallel(forms, 4, async (form) => {
    const right = form.includes("7efe") || form.includes(ROW.id.toUpperCase()) ? NOTE : "/v1/notes";
    for (const signed of [form, right]) {
      const received = await written(form, signed);
      assert.equal(statusOf(received), "404", `${form}, signed as ${signed}: ${received}`);
      assert.match(received, /"code":"not_found"/);
    }
  });
  assert.deepEqual(stub.received, []);
});

test("a query is signed as it was sent", async () => {
  const forms: [sent: string, status: string][] = [
    ["/v1/notes", "200"],
    ["/v1/notes?", "200"],
    ["/v1/notes?&", "200"],
    ["/v1/notes?limit=5&state=active", "200"],
    ["/v1/notes?state=active&limit=5", "200"],
    ["/v1/notes?limit=%35", "200"],
    ["/v1/notes?l%69mit=5", "200"],
    ["/v1/notes?state=%61ctive", "200"],
    ["/v1/notes?state=activ%65", "200"],
    ["/v1/notes?limit=5&limit=5", "422"],
    ["/v1/notes?limit=5&limit=%35", "422"],
    ["/v1/notes?limit", "422"],
    ["/v1/notes?=5", "422"],
    ["/v1/notes?cursor=%2b", "422"],
    ["/v1/notes?cursor=%2B", "422"],
    ["/v1/notes?x=%C3%B6", "422"],
    ["/v1/notes?x=%c3%b6", "422"],
  ];
  for (const [sent, status] of forms) assert.equal(statusOf(await written(sent)), status, sent);
  const reached = stub.received.length;
  // No two of them are the same request.
  await inParallel(forms, 4, async ([sent]) => {
    for (const [signed] of forms)
      if (signed !== sent) assert.equal(statusOf(await written(sent, signed)), "401", `${sent}, signed as ${signed}`);
  });
  assert.equal(stub.received.length, reached);
});

test("a signed query byte that needs encoding is refused", async () => {
  for (const target of ["?limit=5;state=active", "?a=\u00c3\u00b6", "?a=\\", "??", "?a=/", "?a=[]", "?a='", '?a="']) {
    assert.equal(statusOf(await written(`/v1/notes${target}`)), "400", target);
  }
  // Half an escape is accepted as a query byte and refused as a parameter's value.
  for (const target of ["?limit=%", "?limit=%3", "?limit=%g5", "?%=5"])
    assert.equal(statusOf(await written(`/v1/notes${target}`)), "422", target);
  assert.deepEqual(stub.received, []);
});

test("a fragment, which the platform removes, adds nothing", async () => {
  for (const [bare, fragment] of [
    ["/v1/notes", "#"],
    ["/v1/notes", "#/v1/me"],
    ["/v1/notes?", "#x"],
    ["/v1/notes?limit=5", "#&limit=100"],
    [NOTE, "#/restore"],
  ] as const) {
    assert.equal(statusOf(await written(bare + fragment)), "401", "signed with it");
    stub.received.length = 0;
    for (const target of [bare, bare + fragment]) assert.equal(statusOf(await written(target, bare)), "200", target);
    const [without, withFragment] = stub.received;
    assert.equal(withFragment?.target, without?.target);
    assert.equal(stub.received.length, 2);
  }
});

// Headers

test("a repeated signed header is refused in any case", async () => {
  const lines = Object.entries(
    headersOf("PATCH", NOTE, { token, body: "{}", headers: { "If-Match": '"3"' } }) as Record<string, string>,
  );
  const request = (...more: string[]) =>
    raw(
      url,
      `PATCH ${NOTE} HTTP/1.1`,
      `Host: ${new URL(url).host}`,
      ...lines.filter(([name]) => name !== "Content-Length").map(([name, value]) => `${name}: ${value}`),
      "Transfer-Encoding: chunked",
      ...more,
    );
  for (const [name, value] of lines) {
    if (!/^(X-App|Authorization|If-Match)/.test(name)) continue;
    for (const line of [
      `${name}: ${value}`,
      `${name.toLowerCase()}: ${value}`,
      `${name.toUpperCase()}:`,
      `${name}: x`,
      `${name}:,`,
    ]) {
      const received = await writeChunked(request, line);
      assert.match(statusOf(received), /^40[01]$/, `${line}: ${received}`);
    }
  }
  assert.equal(
    statusOf(await writeChunked(request, "X-Other: x")),
    "422",
    "but for that, the empty change is what is wrong with it",
  );
  assert.deepEqual(stub.received, []);
});

/** `raw` ends the head; an empty chunked body has to follow it. */
async function writeChunked(request: (...more: string[]) => Promise<string>, line: string): Promise<string> {
  return request(line, "Connection: close\r\n\r\n2\r\n{}\r\n0\r\n\r\nX: ");
}

test("space around a header's value is removed, within it kept", async () => {
  const signed = { nonce: createNonce() };
  const headers = headersOf("GET", NOTE, { token, signed }) as Record<string, string>;
  const lines = (change: (value: string) => string, of: string) =>
    raw(
      url,
      `GET ${NOTE} HTTP/1.1`,
      `Host: ${new URL(url).host}`,
      ...Object.entries(headers).map(([name, value]) => `${name}:${name === of ? change(value) : ` ${value}`}`),
    );
  for (const name of Object.keys(headers)) {
    for (const around of [(v: string) => v, (v: string) => `   ${v}  `, (v: string) => `\t${v}\t`])
      assert.equal(statusOf(await lines(around, name)), "200", name);
    for (const within of [
      (v: string) => ` ${v.slice(0, 5)} ${v.slice(5)}`,
      (v: string) => ` ${v},`,
      (v: string) => ` ,${v}`,
      (v: string) => ` ${v}, ${v}`,
      (v: string) => ` ${v};`,
      (v: string) => ` "${v}"`,
      (v: string) => ` ${v}\u00e9`,
      (v: string) => ` \u00a0${v}`,
      (v: string) => ` ${v}\u00c2\u00a0`,
      (v: string) => ` ${v.slice(0, 5)}\r\n ${v.slice(5)}`,
      (v: string) => ` ${v}\0`,
      () => "",
    ]) {
      // The platform's own refusal is 400.
      assert.match(statusOf(await lines(within, name)), /^40[01]$/, `${name}:${within("value")}`);
    }
  }
});

// Bodies

/** Writes a POST whose head says `framing`, and then `body`. */
function posted(framing: string[], body: string, signed: string): Promise<string> {
  const headers = headersOf("POST", "/v1/notes", { token, body: signed }) as Record<string, string>;
  const lines = Object.entries(headers)
    .filter(([name]) => name !== "Content-Length")
    .map(([name, value]) => `${name}: ${value}`);
  return raw(
    url,
    "POST /v1/notes HTTP/1.1",
    `Host: ${new URL(url).host}`,
    ...lines,
    ...framing,
    `Connection: close\r\n\r\n${body}`,
  );
}

test("a chunked body is its bytes, however they are cut", async () => {
  const body = '{"title":"cut"}';
  const cuts: Record<string, string> = {
    "byte by byte": [...body].map((byte) => `1\r\n${byte}\r\n`).join("") + "0\r\n\r\n",
    "at once": `f\r\n${body}\r\n0\r\n\r\n`,
    "with zeros before the size": `00f\r\n${body}\r\n000\r\n\r\n`,
    "in upper-case hex": `F\r\n${body}\r\n0\r\n\r\n`,
  };
  for (const [how, chunks] of Object.entries(cuts)) {
    stub.received.length = 0;
    assert.equal(statusOf(await posted(["Transfer-Encoding: chunked"], chunks, body)), "201", how);
    assert.equal(JSON.parse(stub.received.at(-1)!.body).draft.title, "cut", how);
    assert.equal(statusOf(await posted(["Transfer-Encoding: chunked"], chunks, `${body} `)), "401", how);
  }
});

test("ambiguous body lengths are refused", async () => {
  const body = '{"title":"a"}';
  const chunks = `d\r\n${body}\r\n0\r\n\r\n`;
  const framings: [framing: string[], written: string][] = [
    [["Content-Length: 13", "Content-Length: 14"], `${body} `],
    [["Content-Length: 13, 14"], `${body} `],
    [["Content-Length: +13"], body],
    [["Content-Length: 0x0d"], body],
    [["Content-Length: -13"], body],
    [["Content-Length: 13.0"], body],
    [["Content-Length : 13"], body],
    [["Transfer-Encoding: chunked, identity"], chunks],
    [["Transfer-Encoding: x"], chunks],
    [["Transfer-Encoding: chunked"], `${chunks.replace("d", "zz")}`],
    [["Transfer-Encoding: chunked"], `-d${chunks.slice(1)}`],
    [["Content-Length: 5", "Transfer-Encoding: chunked", "Transfer-Encoding: identity"], chunks],
  ];
  for (const [framing, text] of framings) {
    const received = await posted(framing, text, body);
    assert.doesNotMatch(statusOf(received), /^[23]/, `${framing}: ${received}`);
  }
  assert.deepEqual(stub.received, []);
  for (const [framing, text] of [
    ["Content-Length: 13", body],
    ["Transfer-Encoding: chunked", chunks],
  ] as const) {
    assert.equal(statusOf(await posted([framing], text, body)), "201", framing);
  }
});

test("a trailer is not read as a header", async () => {
  const body = '{"title":"a"}';
  const headers = headersOf("POST", "/v1/notes", { token, body }) as Record<string, string>;
  const { "X-App-Signature": signature, "Content-Length": _, ...rest } = headers;
  const received = await raw(
    url,
    "POST /v1/notes HTTP/1.1",
    `Host: ${new URL(url).host}`,
    ...Object.entries(rest).map(([name, value]) => `${name}: ${value}`),
    "Trailer: X-App-Signature",
    `Transfer-Encoding: chunked\r\n\r\nd\r\n${body}\r\n0\r\nX-App-Signature: ${signature}\r\n\r\nX: `,
  );
  assert.match(statusOf(received), /^40[01]$/, received);
  assert.deepEqual(stub.received, []);
});

test("a signature covers a byte order mark; an empty body is signed as no body", async () => {
  const bom = "\u00ef\u00bb\u00bf";
  const body = '{"title":"a"}';
  // `raw` writes a character a byte.
  const signed = Buffer.from(bom + body, "latin1").toString();
  assert.equal(statusOf(await posted(["Content-Length: 16"], bom + body, signed)), "400");
  assert.equal(statusOf(await posted(["Content-Length: 16"], bom + body, body)), "401");
  assert.equal(statusOf(await posted(["Content-Length: 13"], body, signed)), "401");
  for (const framing of [["Content-Length: 0"], []]) {
    // An empty body with the signature of none is accepted and is not JSON.
    assert.equal(statusOf(await posted(framing, "", "")), "400", framing.join());
    assert.equal(statusOf(await posted(framing, "", " ")), "401", framing.join());
  }
  assert.deepEqual(stub.received, []);
});
