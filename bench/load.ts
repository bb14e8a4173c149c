// The load generator: requests that are bytes already, over raw connections that stay open.
//
// The status of each response is looked at: a worker that answers something else is not measured, it
// ends the bench.

import { connect, type Socket } from "node:net";

import { Failure } from "../tools/setup/shell.ts";

export interface Answer {
  status: number;
  headers: Map<string, string>;
  body: string;
}

/** One connection, one request at a time. */
class Connection {
  #socket: Socket;
  #received: Buffer[] = [];
  #length = 0;
  /** Bytes of the whole response; infinite while unknown, and for a chunked one. */
  #expected = Number.POSITIVE_INFINITY;
  #settle: { resolve(response: Buffer): void; reject(error: Error): void } | undefined;

  private constructor(socket: Socket) {
    this.#socket = socket.setNoDelay(true);
    socket.on("data", (data) => this.#take(data));
    const lost = (error?: Error) => this.#settle?.reject(new Failure(`a worker closed a connection: ${error?.message ?? "no reason given"}`));
    socket.on("error", lost).on("close", () => lost());
  }

  static open(port: number): Promise<Connection> {
    return new Promise((resolve, reject) => {
      const socket = connect(port, "127.0.0.1", () => resolve(new Connection(socket)));
      socket.once("error", reject);
    });
  }

  /** The bytes of the response. */
  send(request: Buffer): Promise<Buffer> {
    return new Promise((resolve, reject) => {
      this.#settle = { resolve, reject };
      this.#socket.write(request);
    });
  }

  close(): void {
    this.#settle = undefined;
    this.#socket.destroy();
  }

  #take(data: Buffer): void {
    this.#received.push(data);
    this.#length += data.length;
    if (this.#expected === Number.POSITIVE_INFINITY) {
      const response = this.#received.length === 1 ? data : Buffer.concat(this.#received);
      this.#received = [response];
      const end = response.indexOf("\r\n\r\n");
      if (end < 0) return;
      const head = response.toString("latin1", 0, end).toLowerCase();
      if (head.includes("\r\ntransfer-encoding: chunked")) {
        // No JSON holds these bytes, and nothing follows a response that was not asked for.
        if (response.subarray(-5).toString("latin1") !== "0\r\n\r\n") return;
        this.#expected = this.#length;
      } else {
        this.#expected = end + 4 + Number(/\r\ncontent-length: (\d+)/.exec(head)?.[1] ?? 0);
      }
    }
    if (this.#length < this.#expected) return;
    const response = this.#received.length === 1 ? this.#received[0]! : Buffer.concat(this.#received);
    this.#received = [];
    this.#length = 0;
    this.#expected = Number.POSITIVE_INFINITY;
    this.#settle?.resolve(response);
  }
}

function statusOf(response: Buffer): number {
  return Number(response.toString("latin1", 9, 12));
}

function parse(response: Buffer): Answer {
  const end = response.indexOf("\r\n\r\n");
  const [, ...lines] = response.toString("latin1", 0, end).split("\r\n");
  const headers = new Map(lines.map((line) => [line.slice(0, line.indexOf(":")).toLowerCase(), line.slice(line.indexOf(":") + 2)]));
  const raw = response.subarray(end + 4);
  return { status: statusOf(response), headers, body: (headers.has("transfer-encoding") ? unchunk(raw) : raw).toString() };
}

function unchunk(raw: Buffer): Buffer {
  const chunks: Buffer[] = [];
  for (let at = 0; ; ) {
    const line = raw.indexOf("\r\n", at);
    const size = Number.parseInt(raw.toString("latin1", at, line), 16);
    if (!(size > 0)) return Buffer.concat(chunks);
    chunks.push(raw.subarray(line + 2, line + 2 + size));
    at = line + 4 + size;
  }
}

function unexpected(request: Buffer, response: Buffer, status: number): Failure {
  const target = request.toString("latin1", 0, request.indexOf(" HTTP"));
  return new Failure(`${target} was answered with ${statusOf(response)} in place of ${status}:\n${parse(response).body.slice(0, 2000)}`);
}

/** One request and its answer, whatever that is. */
export async function ask(port: number, request: Buffer): Promise<Answer> {
  const connection = await Connection.open(port);
  try {
    return parse(await connection.send(request));
  } finally {
    connection.close();
  }
}

/** Sends all requests over so many connections, as fast as they are answered; returns the seconds that took. */
export async function flood(port: number, requests: Buffer[], status: number, connections: number): Promise<number> {
  const open = await Promise.all(Array.from({ length: connections }, () => Connection.open(port)));
  let next = 0;
  const began = performance.now();
  try {
    await Promise.all(
      open.map(async (connection) => {
        for (let request = requests[next++]; request; request = requests[next++]) {
          const response = await connection.send(request);
          if (statusOf(response) !== status) throw unexpected(request, response, status);
        }
      }),
    );
    return (performance.now() - began) / 1000;
  } finally {
    for (const connection of open) connection.close();
  }
}

/**
 * Sends the requests at a fixed rate, answered or not, and returns the milliseconds that each took from the moment
 * it was due: a worker that stalls makes those wait that come after.
 */
export async function drip(port: number, requests: Buffer[], status: number, perSecond: number): Promise<number[]> {
  const idle = await Promise.all(Array.from({ length: 64 }, () => Connection.open(port)));
  const all = [...idle];
  const waiting: number[] = [];
  const latencies: number[] = [];
  const began = performance.now() + 10;
  const due = (place: number) => began + (place * 1000) / perSecond;
  try {
    await new Promise<void>((resolve, reject) => {
      let next = 0;
      const dispatch = () => {
        for (let connection = waiting.length > 0 && idle.pop(); connection; connection = waiting.length > 0 && idle.pop()) {
          const place = waiting.shift() ?? 0;
          const [sender, request] = [connection, requests[place]!];
          sender.send(request).then((response) => {
            if (statusOf(response) !== status) return reject(unexpected(request, response, status));
            latencies.push(performance.now() - due(place));
            idle.push(sender);
            if (latencies.length === requests.length) resolve();
            else dispatch();
          }, reject);
        }
      };
      const tick = () => {
        while (next < requests.length && performance.now() >= due(next)) waiting.push(next++);
        dispatch();
        if (next === requests.length) return;
        // Timers are a millisecond coarse, which is as long as a request takes: the last one is spent awake.
        const wait = due(next) - performance.now();
        if (wait > 2) setTimeout(tick, wait - 1.5);
        else setImmediate(tick);
      };
      tick();
    });
    return latencies;
  } finally {
    for (const connection of all) connection.close();
  }
}
