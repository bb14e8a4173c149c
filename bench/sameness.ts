// Before anything is measured, the Hono peer and Airlock must give the same answers.

import { isDeepStrictEqual } from "node:util";

import { Failure } from "../tools/setup/shell.ts";
import { type Answer, ask } from "./load.ts";
import { newToken } from "./tokens.ts";
import type { Running } from "./workers.ts";
import { create, request, statusOf, type Workload } from "./workloads.ts";

/** Free to differ in a problem: the request's name, and words for people. */
const FREE = new Set(["request_id", "title", "detail", "message"]);
const HEADERS = [
  "content-type",
  "etag",
  "location",
  "cache-control",
  "x-content-type-options",
  "www-authenticate",
  "retry-after",
];

/** One request of each workload: the same status, headers and body. The floor's body has the same notes. */
export async function sameAnswers(workloads: Workload[], running: Running[]): Promise<void> {
  for (const workload of workloads) {
    const [floor, hono, ...others] = await Promise.all(
      running
        .filter(({ name }) => workload.workers.includes(name))
        .map(async ({ name, port }) => {
          const answer = await ask(port, workload.make());
          if (answer.status !== statusOf(workload, name)) differ(workload.name, { [name]: answer });
          return { name, answer };
        }),
    );
    for (const { name, answer } of others) {
      if (!isDeepStrictEqual(comparable(hono!.answer), comparable(answer))) {
        differ(workload.name, { hono: comparable(hono!.answer), [name]: comparable(answer) });
      }
      if (!answer.headers.get("x-request-id")) differ(workload.name, { "no x-request-id": answer });
      const shown: unknown = answer.body && JSON.parse(answer.body).data;
      const ids = (notes: unknown) => (Array.isArray(notes) ? notes.map(({ id }: { id: string }) => id) : []);
      const passed = shown ? ids(JSON.parse(floor!.answer.body)).slice(0, ids(shown).length) : [];
      if (!isDeepStrictEqual(passed, ids(shown))) differ(workload.name, { floor: passed, [name]: ids(shown) });
    }
  }
}

/** Requests that both must refuse, with the same code. */
export async function sameRefusals(workers: Running[], issuer: string): Promise<void> {
  const token = newToken("HS256", issuer);
  const json = (value: unknown) => JSON.stringify(value);
  const replayed = request(create(token));
  const refusals: [name: string, status: number, code: string, Buffer][] = [
    [
      "a body changed after it was signed",
      401,
      "app_guard_rejected",
      request({ ...create(token, json({ title: "a" })), tampered: json({ title: "b" }) }),
    ],
    [
      "a signature of ten minutes ago",
      401,
      "clock_skew",
      request({ token, timestamp: Math.floor(Date.now() / 1000) - 600 }),
    ],
    ["an expired token", 401, "token_expired", request({ token: newToken("HS256", issuer, -60) })],
    ["a token of another issuer", 401, "token_invalid", request({ token: newToken("ES256", "https://example.com") })],
    ["an unknown field", 422, "validation_failed", request(create(token, json({ title: "a", user_id: "b" })))],
    ["no title", 422, "validation_failed", request(create(token, json({ body: "a" })))],
    ["a title that is too long", 422, "validation_failed", request(create(token, json({ title: "a".repeat(201) })))],
    ["no JSON", 400, "malformed_json", request(create(token, "{"))],
    ["a page that is too large", 422, "validation_failed", request({ token, target: "/v1/notes?limit=101" })],
    ["an unknown parameter", 422, "validation_failed", request({ token, target: "/v1/notes?order=asc" })],
    ["a nonce used twice", 409, "request_replayed", replayed],
  ];
  for (const { name, port } of workers) {
    const answer = await ask(port, replayed);
    if (answer.status !== 201) differ("a nonce used once", { [name]: answer });
  }
  for (const [what, status, code, sent] of refusals) {
    const answers = await Promise.all(workers.map(async ({ name, port }) => [name, await ask(port, sent)] as const));
    for (const [name, answer] of answers) {
      if (answer.status !== status || JSON.parse(answer.body).code !== code) differ(what, { [name]: answer });
    }
    const [one, other] = answers.map(([, answer]) => comparable(answer));
    if (!isDeepStrictEqual(one, other))
      differ(what, Object.fromEntries(answers.map(([name, answer]) => [name, comparable(answer)])));
  }
}

/** The same first two pages of a new user's notes; each worker has cursors of its own. */
export async function sameSecondPage(workers: Running[], token: string): Promise<void> {
  for (const { port } of Array(3).fill(workers).flat() as Running[]) await ask(port, request(create(token)));
  const pages = await Promise.all(
    workers.map(async ({ port }) => {
      const first = JSON.parse((await ask(port, request({ token, target: "/v1/notes?limit=3" }))).body);
      const second = await ask(port, request({ token, target: `/v1/notes?limit=3&cursor=${first.next_cursor}` }));
      return [...first.data, ...JSON.parse(second.body).data] as { id: string }[];
    }),
  );
  if (pages.some((page) => new Set(page.map(({ id }) => id)).size !== 6 || !isDeepStrictEqual(page, pages[0])))
    differ("the second page", pages);
}

function comparable({ status, headers, body }: Answer) {
  const problem = headers.get("content-type")?.includes("problem");
  const parsed: unknown =
    body &&
    JSON.parse(body, (name, value: unknown) => {
      if (problem && FREE.has(name)) return undefined;
      // Opaque, and so of any form; and the clock of the answer, which was a moment ago in the other.
      return name === "next_cursor" || name === "server_time" ? typeof value : value;
    });
  return { status, headers: Object.fromEntries(HEADERS.map((name) => [name, headers.get(name)])), body: parsed };
}

/** Ends the bench: with the differences of two answers, or with an unexpected answer. */
function differ(what: string, answers: object): never {
  const plain = Object.entries(answers).map(
    ([name, answer]) => [name, answer instanceof Map ? Object.fromEntries(answer) : answer] as const,
  );
  const [one, other] = plain.map(([, answer]) => answer);
  const lines = plain.length === 2 ? differences(one, other) : plain.map((entry) => JSON.stringify(entry));
  throw new Failure(
    `The workers do not answer alike, so there is nothing to compare: ${what} (${Object.keys(answers).join(" | ")})\n${lines.slice(0, 20).join("\n")}`,
  );
}

function differences(one: unknown, other: unknown, path = ""): string[] {
  if (isDeepStrictEqual(one, other)) return [];
  const isObject = (value: unknown): value is Record<string, unknown> => typeof value === "object" && value !== null;
  if (!isObject(one) || !isObject(other))
    return [`  ${path || "all of it"}: ${JSON.stringify(one)} | ${JSON.stringify(other)}`];
  return [...new Set([...Object.keys(one), ...Object.keys(other)])].flatMap((key) =>
    differences(one[key], other[key], `${path}.${key}`),
  );
}
