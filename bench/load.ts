// The load generator. It sends requests that were made and signed before, over raw connections. A response with an
// unexpected status ends the bench.

import { connect, type Socket } from "node:net";

import { Failure } from "../tools/setup/shell.ts";

/** Requests in flight at the same time. */
export const CONNECTIONS = 16;

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
    const lost = (error?: Error) =>
      this.#settle?.reject(new Failure(`a worker closed a connection: ${error?.message ?? "no reason given"}`));
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
        // No JSON holds these bytes, and no bytes follow a response.
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
  const headers = new Map(
    lines.map((line) => [line.slice(0, line.indexOf(":")).toLowerCase(), line.slice(line.indexOf(":") + 2)]),
  );
  const raw = response.subarray(end + 4);
  return {
    status: statusOf(response),
    headers,
    body: (headers.has("transfer-encoding") ? unchunk(raw) : raw).toString(),
  };
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
  return new Failure(
    `${target} was answered with ${statusOf(response)} in place of ${status}:\n${parse(response).body.slice(0, 2000)}`,
  );
}

/** One request and its answer, of any status. */
export async function ask(port: number, request: Buffer): Promise<Answer> {
  const connection = await Connection.open(port);
  try {
    return parse(await connection.send(request));
  } finally {
    connection.close();
  }
}

/**
 * Sends all requests over new connections, each as soon as the one before it is answered. `begin` is called when the
 * first `unmeasured` of them have been answered.
 */
export async function flood(
  port: number,
  requests: Buffer[],
  status: number,
  unmeasured = 0,
  begin = async () => {},
): Promise<void> {
  const open = await Promise.all(Array.from({ length: CONNECTIONS }, () => Connection.open(port)));
  const send = async (some: Buffer[]) => {
    let next = 0;
    const one = async (connection: Connection) => {
      for (let request = some[next++]; request; request = some[next++]) {
        const response = await connection.send(request);
        if (statusOf(response) !== status) throw unexpected(request, response, status);
      }
    };
    await Promise.all(open.map(one));
  };
  try {
    await send(requests.slice(0, unmeasured));
    await begin();
    await send(requests.slice(unmeasured));
  } finally {
    for (const connection of open) connection.close();
  }
}
