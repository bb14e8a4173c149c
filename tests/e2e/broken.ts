// Requests to a Worker whose upstream is broken, and the answers that they must get.

import assert from "node:assert/strict";
import type { IncomingMessage } from "node:http";
import { after, beforeEach } from "node:test";

import type { Answer } from "../../client/src/index.ts";
import { SLACK } from "../support/patience.ts";
import { assertOk, assertProblem, begun, type Code, headersOf, logOf, open, read, send } from "./http.ts";
import { functions, type Handler, jws, legacy, ROW, type Signer, type Stub, startStub } from "./stub.ts";
import { type LoggedWorker, startWorkerAlone, workerVars } from "./support.ts";

export type Request = [method: string, target: string, body?: string];

export const NOTE = `/v1/notes/${ROW.id}`;
export const BODY = '{"title":"t","body":"b"}';
export const LIST: Request = ["GET", "/v1/notes"];
/** All routes of notes whose answer the Worker reads whole. */
export const WHOLE: Request[] = [
  ["GET", NOTE],
  ["POST", "/v1/notes", BODY],
  ["PUT", NOTE, BODY],
  ["PATCH", NOTE, BODY],
  ["DELETE", NOTE],
  ["POST", `${NOTE}/restore`],
  ["POST", `${NOTE}/publish`],
];

/** The lines of an answer's head. */
export const head = (status: string, ...headers: string[]) => [
  `HTTP/1.1 ${status}`,
  "Content-Type: application/json",
  ...headers,
  "",
];

/** UPSTREAM_TIMEOUT_MS of the hasty Worker. */
export const TIMEOUT = 3000;
/** UPSTREAM_TIMEOUT_MS unless configured. */
const DEFAULT_TIMEOUT = 10_000;

/** A list's answer: a problem, or a 200 whose body then breaks off, is not JSON or stays open beyond the deadline. */
export type ListEnd = Code | "breaks off" | "is not JSON" | "stays open";

/** The upstream's words in these tests, which no answer and no log line may repeat. */
const UPSTREAM_WORDS = /SECRET|public\.notes|<html|127\.0\.0\.1/;

interface Broken {
  stub: Stub;
  worker: LoggedWorker;
  /** Another Worker, whose deadline is TIMEOUT. */
  hasty: LoggedWorker;
  token: string;
  ask(request: Request, to?: LoggedWorker, headers?: Record<string, string>): Promise<Answer>;
  /** Begins the list and returns when its headers are there. */
  beginList(to?: LoggedWorker): Promise<IncomingMessage>;
  /** Every route that needs the database answers with this problem, in time and without the upstream's words. */
  assertFault(rest: Handler, code: Code, list?: ListEnd): Promise<void>;
  stop(): Promise<void>;
}

async function startBroken(signer: Signer = legacy): Promise<Broken> {
  const stub = await startStub();
  const token = jws(signer);
  const [worker, hasty] = await Promise.all([
    startWorkerAlone(workerVars(stub.url)),
    startWorkerAlone(workerVars(stub.url, { UPSTREAM_TIMEOUT_MS: String(TIMEOUT) })),
  ]);

  function ask([method, target, body]: Request, to = worker, headers: Record<string, string> = {}): Promise<Answer> {
    return send(to.url, method, target, { token, headers, ...(body && { body }) });
  }

  function beginList(to = worker): Promise<IncomingMessage> {
    const request = open(to.url, "GET", "/v1/notes", headersOf("GET", "/v1/notes", { token }));
    request.end();
    return begun(request);
  }

  async function assertRefused(answered: Answer, code: Code, to: LoggedWorker): Promise<void> {
    assertProblem(answered, code);
    assert.doesNotMatch(answered.body + JSON.stringify(await logOf(to, answered)), UPSTREAM_WORDS);
  }

  async function assertList(end: ListEnd, to: LoggedWorker): Promise<void> {
    const response = await beginList(to);
    if (response.statusCode !== 200) return assertRefused(await read(response), end as Code, to);
    const seen = Promise.race([
      endOf(response),
      new Promise((resolve) => setTimeout(resolve, TIMEOUT + 500, "stays open")),
    ]);
    assert.equal(await seen, end);
    response.destroy();
  }

  return {
    stub,
    worker,
    hasty,
    token,
    ask,
    beginList,
    async assertFault(rest, code, list = code) {
      stub.rest = rest;
      stub.received.length = 0;
      const asked = code === "upstream_timeout" ? hasty : worker;
      const began = Date.now();
      const refused = async (request: Request) => {
        await assertRefused(await ask(request, asked), code, asked);
        const took = Date.now() - began;
        assert.ok(took < (asked === hasty ? TIMEOUT : DEFAULT_TIMEOUT) + SLACK, `${took} ms`);
      };
      await Promise.all([...WHOLE.map(refused), assertList(list, list === "stays open" ? hasty : asked)]);
      assert.ok(stub.received.length <= WHOLE.length * 3 + 1, "no storm of retries");
      // The next request is answered as usual.
      stub.rest = functions();
      assertOk(await ask(["GET", NOTE], asked), 200);
    },
    async stop() {
      await worker.stop();
      await hasty.stop();
      await stub.stop();
    },
  };
}

/** Starts it until the tests of the file end. Before each test the upstream works, and has received nothing. */
export async function brokenOfFile(signer?: Signer): Promise<Broken> {
  const broken = await startBroken(signer);
  after(() => broken.stop());
  beforeEach(() => {
    broken.stub.rest = functions();
    broken.stub.received.length = 0;
  });
  return broken;
}

async function endOf(response: IncomingMessage): Promise<ListEnd | "is whole"> {
  let body: string;
  try {
    ({ body } = await read(response));
  } catch {
    return "breaks off";
  }
  try {
    JSON.parse(body);
    return "is whole";
  } catch {
    return "is not JSON";
  }
}
