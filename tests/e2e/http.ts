// Requests byte for byte, which `fetch` would mend or refuse, and what every answer must have.

import assert from "node:assert/strict";
import { request as httpRequest, type ClientRequest, type IncomingMessage } from "node:http";
import { connect } from "node:net";
import { text } from "node:stream/consumers";

import { signRequest, type Answer, type ProblemCode, type SignInput } from "../../client/src/index.ts";
import { until } from "../support/patience.ts";
import { APP } from "./support.ts";

/** A header's value; an array is sent as that many headers. */
export type HeaderFields = Record<string, string | string[]>;

export interface Sent {
  token?: string;
  body?: string | Uint8Array;
  /** These win over the signer's. */
  headers?: HeaderFields;
  /** What the signature is made over, where that is to differ from what is sent; `null`: no signature. */
  signed?: Partial<SignInput> | null;
}

/** Sends one request, signed for the test app over exactly what is sent, unless `signed` says otherwise. */
export async function send(url: string, method: string, target: string, sent: Sent = {}): Promise<Answer> {
  const request = open(url, method, target, headersOf(method, target, sent));
  request.end(sent.body);
  return answer(request);
}

/** The headers of such a request. */
export function headersOf(method: string, target: string, { token, body, headers = {}, signed = {} }: Sent): HeaderFields {
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
    ...(body !== undefined && { "Content-Type": "application/json", "Content-Length": String(Buffer.byteLength(body)) }),
    ...headers,
  };
}

/** Begins a request; its body is for the caller to write and end. */
export function open(url: string, method: string, target: string, headers: HeaderFields): ClientRequest {
  const { hostname, port } = new URL(url);
  return httpRequest({ hostname, port, method, path: target, headers, agent: false });
}

/** What comes back. */
export async function answer(request: ClientRequest): Promise<Answer> {
  const response = await new Promise<IncomingMessage>((resolve, reject) => {
    request.once("response", resolve).once("error", reject);
  });
  // The rest of a body that was refused in the middle goes nowhere.
  request.on("error", () => {});
  const headers = new Headers();
  for (const [name, values] of Object.entries(response.headersDistinct)) {
    for (const value of values ?? []) headers.append(name, value);
  }
  return { status: response.statusCode ?? 0, headers, body: await text(response) };
}

/** Sends lines and nothing else: for requests that no HTTP client would make. Returns all that comes back. */
export function raw(url: string, ...lines: string[]): Promise<string> {
  const { hostname, port } = new URL(url);
  return new Promise((resolve, reject) => {
    let received = "";
    const socket = connect(Number(port), hostname, () => socket.write([...lines, "Connection: close", "", ""].join("\r\n"), "latin1"));
    socket.setEncoding("utf8");
    socket.on("data", (chunk) => (received += chunk));
    socket.on("close", () => resolve(received));
    socket.on("error", reject);
  });
}

/** Sends a body without an end, in chunks, `most` bytes of it, until the other side has enough. Returns what came back, and how much was sent. */
export function sendEndless(url: string, lines: string[], most = Infinity): Promise<{ received: string; sent: number }> {
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
    // Being cut off is what is waited for.
    socket.on("error", () => {});
    socket.on("close", () => resolve({ received, sent }));
  });
}

/** Status, `retryable` and headers of each code, as clients rely on them. */
const PROBLEMS: Record<ProblemCode, [status: number, retryable: boolean, headers?: Record<string, RegExp>]> = {
  malformed_json: [400, false],
  malformed_request: [400, false],
  app_guard_rejected: [401, false, { "www-authenticate": /^AppGuard\b/ }],
  clock_skew: [401, true, { "www-authenticate": /^AppGuard\b/ }],
  token_missing: [401, false, { "www-authenticate": /^Bearer\b(?!.*error=)/ }],
  token_expired: [401, true, { "www-authenticate": /^Bearer\b.*error="invalid_token"/ }],
  token_invalid: [401, false, { "www-authenticate": /^Bearer\b.*error="invalid_token"/ }],
  forbidden: [403, false],
  not_found: [404, false],
  method_not_allowed: [405, false, { allow: /^[A-Z]+(, [A-Z]+)*$/ }],
  request_replayed: [409, true],
  conflict: [409, false],
  version_mismatch: [412, false, { etag: /^"\d+"$/ }],
  payload_too_large: [413, false],
  unsupported_media_type: [415, false],
  validation_failed: [422, false],
  idempotency_key_reused: [422, false],
  rate_limited: [429, true, { "retry-after": /^[1-9]\d*$/ }],
  internal: [500, true],
  upstream_invalid: [502, true],
  upstream_unavailable: [503, true, { "retry-after": /^[1-9]\d*$/ }],
  misconfigured: [503, true, { "retry-after": /^[1-9]\d*$/ }],
  dependency_unavailable: [503, true, { "retry-after": /^[1-9]\d*$/ }],
  upstream_timeout: [504, true, { "retry-after": /^[1-9]\d*$/ }],
};

/** Members that only some problems have. */
const EXTRAS: Partial<Record<ProblemCode, string[]>> = {
  clock_skew: ["server_time"],
  version_mismatch: ["current"],
};

export interface ProblemBody {
  [member: string]: unknown;
  errors?: { pointer?: string; parameter?: string; code: string; message: string }[];
}

/** The answer is this problem, whole: every member, every header. Returns its body. */
export function assertProblem(answer: Answer, code: ProblemCode): ProblemBody {
  assert.equal(`${answer.status} ${parse(answer).code}`, `${PROBLEMS[code][0]} ${code}`, answer.body);
  const [status, retryable, headers = {}] = PROBLEMS[code];
  const body = parse(answer);
  assert.equal(answer.headers.get("content-type"), "application/problem+json");
  assert.equal(body["type"], `urn:airlock:problem:${code}`);
  assert.equal(body["status"], status);
  assert.equal(body["retryable"], retryable);
  assert.equal(body["request_id"], requestId(answer));
  for (const member of ["title", "detail"]) assert.ok(typeof body[member] === "string" && body[member].length > 0, member);
  for (const member of EXTRAS[code] ?? []) assert.ok(member in body, member);
  const known = ["type", "title", "status", "code", "detail", "request_id", "retryable", "errors", ...(EXTRAS[code] ?? [])];
  assert.deepEqual(Object.keys(body).filter((member) => !known.includes(member)), [], "members beyond the contract's");
  for (const [name, pattern] of Object.entries(headers)) assert.match(answer.headers.get(name) ?? "(absent)", pattern, name);
  return body;
}

/** The answer is a success with this status. Returns its JSON. */
export function assertOk(answer: Answer, status: number): any {
  assert.equal(answer.status, status, answer.body);
  assert.equal(answer.headers.get("content-type"), "application/json");
  requestId(answer);
  return parse(answer);
}

/** What every response has. */
export function requestId(answer: Answer): string {
  const id = answer.headers.get("x-request-id") ?? "";
  assert.match(id, /^[0-9a-f-]{36}$/);
  assert.equal(answer.headers.get("cache-control"), "no-store");
  return id;
}

/** The log line of the request that was answered so; it comes a moment after the answer. */
export async function logOf({ logs }: { logs: string[] }, answer: Answer): Promise<Record<string, any>> {
  const id = answer.headers.get("x-request-id") ?? assert.fail("no request id");
  const lines = () => logs.filter((line) => line.includes(id));
  await until(`${id} has a log line`, () => lines().length > 0);
  const [line = "", ...more] = lines();
  assert.deepEqual(more, []);
  return JSON.parse(line);
}

/** The body but for `request_id`, which is never the same twice. */
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
