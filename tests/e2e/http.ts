// Requests byte for byte, which `fetch` would change or refuse, and checks that hold for every answer.

import assert from "node:assert/strict";
import { type ClientRequest, request as httpRequest, type IncomingMessage } from "node:http";
import { connect } from "node:net";
import { buffer } from "node:stream/consumers";

import { type Answer, type ProblemCode, type SignInput, signRequest } from "../../client/src/index.ts";
import { until } from "../support/patience.ts";
import { APP } from "./support.ts";

/** A header's value; an array is sent as that many headers. */
export type HeaderFields = Record<string, string | string[]>;

export interface Sent {
  token?: string;
  body?: string | Uint8Array;
  /** These win over the signer's. */
  headers?: HeaderFields;
  /** Values to sign in place of those that are sent; `null`: no signature. */
  signed?: Partial<SignInput> | null;
}

/** Sends one request, signed for the test app unless `signed` says otherwise. */
export async function send(url: string, method: string, target: string, sent: Sent = {}): Promise<Answer> {
  const request = open(url, method, target, headersOf(method, target, sent));
  request.end(sent.body);
  return answer(request);
}

/** The headers of that request. */
export function headersOf(
  method: string,
  target: string,
  { token, body, headers = {}, signed = {} }: Sent,
): HeaderFields {
  const joined = (name: string) => [headers[name] ?? null].flat().join(", ") || null;
  const signature = signed && {
    ...signRequest({
      ...APP,
      method,
      target,
      token: token ?? null,
      body: body ?? null,
      idempotencyKey: joined("Idempotency-Key"),
      ifMatch: joined("If-Match"),
      ifNoneMatch: joined("If-None-Match"),
      ...signed,
    }),
  };
  return {
    ...signature,
    ...(token !== undefined && { Authorization: `Bearer ${token}` }),
    ...(body !== undefined && {
      "Content-Type": "application/json",
      "Content-Length": String(Buffer.byteLength(body)),
    }),
    ...headers,
  };
}

/** Opens a request; the caller writes and ends its body. */
export function open(url: string, method: string, target: string, headers: HeaderFields): ClientRequest {
  const { hostname, port } = new URL(url);
  return httpRequest({ hostname, port, method, path: target, headers, agent: false });
}

/** The response to a request, as soon as its headers are there. */
export async function begun(request: ClientRequest): Promise<IncomingMessage> {
  const response = await new Promise<IncomingMessage>((resolve, reject) => {
    request.once("response", resolve).once("error", reject);
  });
  // The rest of a refused body cannot be sent.
  request.on("error", () => {});
  return response;
}

/** Reads a response to its end. */
export async function read(response: IncomingMessage): Promise<Answer> {
  const headers = new Headers();
  for (const [name, values] of Object.entries(response.headersDistinct)) {
    for (const value of values ?? []) headers.append(name, value);
  }
  return { status: response.statusCode ?? 0, headers, body: (await buffer(response)).toString() };
}

/** The whole answer to a request. */
export async function answer(request: ClientRequest): Promise<Answer> {
  return read(await begun(request));
}

/** Sends these lines, which no HTTP client would send. Returns the raw response. */
export function raw(url: string, ...lines: string[]): Promise<string> {
  const { hostname, port } = new URL(url);
  return new Promise((resolve, reject) => {
    let received = "";
    const socket = connect(Number(port), hostname, () =>
      socket.write([...lines, "Connection: close", "", ""].join("\r\n"), "latin1"),
    );
    socket.setEncoding("utf8");
    socket.on("data", (chunk) => (received += chunk));
    socket.on("close", () => resolve(received));
    socket.on("error", reject);
  });
}

/** Sends a chunked body without an end, at most `most` bytes, until the connection ends. Returns the raw response and the number of bytes. */
export function sendEndless(
  url: string,
  lines: string[],
  most = Infinity,
): Promise<{ received: string; sent: number }> {
  const { hostname, port } = new URL(url);
  const chunk = `4000\r\n${"x".repeat(0x4000)}\r\n`;
  return new Promise((resolve) => {
    let [received, sent] = ["", 0];
    const more = () => {
      while (socket.writable && sent < most) {
        sent += 0x4000;
        if (!socket.write(chunk)) return;
      }
    };
    const socket = connect(Number(port), hostname, () => {
      socket.write([...lines, "Transfer-Encoding: chunked", "", ""].join("\r\n"));
      more();
    });
    socket.setEncoding("utf8");
    socket.on("drain", more);
    socket.on("data", (text) => (received += text));
    // The connection is expected to break.
    socket.on("error", () => {});
    socket.on("close", () => resolve({ received, sent }));
  });
}

/** `code` of a problem. */
export type Code = ProblemCode | "upgrade_required";

/** Status, `retryable` and headers of each code, as clients rely on them. */
const PROBLEMS: Record<Code, [status: number, retryable: boolean, headers?: Record<string, RegExp>]> = {
  malformed_json: [400, false],
  malformed_request: [400, false],
  app_guard_rejected: [401, false, { "www-authenticate": /^AppGuard\b/ }],
  clock_skew: [401, true, { "www-authenticate": /^AppGuard\b/ }],
  attestation_missing: [401, true, { "www-authenticate": /^AppGuard\b/ }],
  attestation_expired: [401, true, { "www-authenticate": /^AppGuard\b/ }],
  attestation_invalid: [401, false, { "www-authenticate": /^AppGuard\b/ }],
  token_missing: [401, false, { "www-authenticate": /^Bearer\b(?!.*error=)/ }],
  token_expired: [401, true, { "www-authenticate": /^Bearer\b.*error="invalid_token"/ }],
  token_invalid: [401, false, { "www-authenticate": /^Bearer\b.*error="invalid_token"/ }],
  forbidden: [403, false],
  not_found: [404, false],
  method_not_allowed: [405, false, { allow: /^[A-Z]+(, [A-Z]+)*$/ }],
  request_replayed: [409, false],
  conflict: [409, false],
  version_mismatch: [412, false, { etag: /^"\d+"$/ }],
  payload_too_large: [413, false],
  unsupported_media_type: [415, false],
  validation_failed: [422, false],
  idempotency_key_reused: [422, false],
  upgrade_required: [426, false],
  rate_limited: [429, true, { "retry-after": /^[1-9]\d*$/ }],
  internal: [500, true],
  upstream_invalid: [502, true],
  upstream_unavailable: [503, true, { "retry-after": /^[1-9]\d*$/ }],
  misconfigured: [503, true, { "retry-after": /^[1-9]\d*$/ }],
  dependency_unavailable: [503, true, { "retry-after": /^[1-9]\d*$/ }],
  upstream_timeout: [504, true, { "retry-after": /^[1-9]\d*$/ }],
};

/** Members that only some problems have. */
const EXTRAS: Partial<Record<Code, string[]>> = { clock_skew: ["server_time"], version_mismatch: ["current"] };

export interface ProblemBody {
  [member: string]: unknown;
  errors?: { pointer?: string; parameter?: string; code: string; message: string }[];
}

/** Asserts that the answer is this problem with every member and header. Returns its body. */
export function assertProblem(answer: Answer, code: Code): ProblemBody {
  assert.equal(`${answer.status} ${parse(answer).code}`, `${PROBLEMS[code][0]} ${code}`, answer.body);
  const [status, retryable, headers = {}] = PROBLEMS[code];
  const body = parse(answer);
  assert.equal(answer.headers.get("content-type"), "application/problem+json");
  assert.equal(body.type, `urn:airlock:problem:${code}`);
  assert.equal(body.status, status);
  assert.equal(body.retryable, retryable);
  assert.equal(body.request_id, requestId(answer));
  for (const member of ["title", "detail"])
    assert.ok(typeof body[member] === "string" && body[member].length > 0, member);
  for (const member of EXTRAS[code] ?? []) assert.ok(member in body, member);
  const optional = code === "upgrade_required" ? ["errors", "message"] : ["errors"];
  const known = [
    "type",
    "title",
    "status",
    "code",
    "detail",
    "request_id",
    "retryable",
    ...optional,
    ...(EXTRAS[code] ?? []),
  ];
  assert.deepEqual(
    Object.keys(body).filter((member) => !known.includes(member)),
    [],
    "members beyond the contract's",
  );
  for (const [name, pattern] of Object.entries(headers))
    assert.match(answer.headers.get(name) ?? "(absent)", pattern, name);
  return body;
}

/** The errors of a 422, as `pointer code` or `parameter code`. */
export function flaws(answer: Answer): string[] {
  return (assertProblem(answer, "validation_failed").errors ?? []).map(
    ({ pointer, parameter, code }) => `${pointer ?? parameter} ${code}`,
  );
}

/** Asserts that the answer is a success with this status. Returns its JSON. */
export function assertOk(answer: Answer, status: number): any {
  assert.equal(answer.status, status, answer.body);
  assert.equal(answer.headers.get("content-type"), "application/json");
  requestId(answer);
  return parse(answer);
}

/** Asserts the headers of every response and returns the request id. */
export function requestId(answer: Answer): string {
  const id = answer.headers.get("x-request-id") ?? "";
  assert.match(id, /^[0-9a-f-]{36}$/);
  assert.equal(answer.headers.get("cache-control"), "no-store");
  return id;
}

/** The log line of this answer's request. It is written a moment after the answer. */
export async function logOf({ logs }: { logs: string[] }, answer: Answer): Promise<Record<string, any>> {
  const id = answer.headers.get("x-request-id") ?? assert.fail("no request id");
  const lines = () => logs.filter((line) => line.includes(id));
  await until(`${id} has a log line`, () => lines().length > 0);
  const [line = "", ...more] = lines();
  assert.deepEqual(more, []);
  return JSON.parse(line);
}

/** The body without `request_id`, which always differs. */
export function withoutId(answer: Answer): string {
  return answer.body.replace(requestId(answer), "<request id>");
}

function parse(answer: Answer): any {
  try {
    return JSON.parse(answer.body);
  } catch {
    return assert.fail(`${answer.status} is not JSON: ${answer.body.slice(0, 200)}`);
  }
}
