// A proxy in front of the real Supabase that treats some requests as broken networks, gateways and databases do. It counts
// the faults and the requests that it passed on.

import { createServer, request as httpRequest, type ServerResponse } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import { buffer } from "node:stream/consumers";

interface Reply {
  status: number;
  headers: Record<string, string>;
  body: Buffer;
}

/** A fault of a request: `forward` sends it to Supabase and returns the answer. */
type Fault = (response: ServerResponse, forward: () => Promise<Reply>) => unknown;

const html =
  (status: number): Fault =>
  (response) =>
    response.writeHead(status, { "content-type": "text/html" }).end("<html>SECRET</html>");
const socketOf = (response: ServerResponse) => response.socket as Socket;
const wait = (millis: number) => new Promise((resolve) => setTimeout(resolve, millis).unref());

/** The classes of faults. With "lost:" Supabase carries the request out and the answer is lost. */
export const FAULTS: Record<string, Fault> = {
  refused: (response) => socketOf(response).resetAndDestroy(),
  closed: (response) => socketOf(response).destroy(),
  hanging: () => {},
  "too busy (429)": html(429),
  "failed (500)": html(500),
  "bad gateway (502)": html(502),
  "unavailable (503)": html(503),
  "timed out (504)": html(504),
  redirected: (response) => response.writeHead(307, { location: "http://127.0.0.1:9/rest/v1/notes" }).end(),
  "a page (200)": html(200),
  "garbage (200)": (response) =>
    response.writeHead(200, { "content-type": "application/json" }).end(Buffer.from([0xff, 0xfe, 0x00, 0x7b])),
  "another status (418)": html(418),
  "no HTTP": (response) => socketOf(response).end("\0\x01\x02 SECRET\r\n\r\n"),
  endless: (response) => {
    response.writeHead(200, { "content-type": "application/json" });
    const chunk = Buffer.alloc(1024 * 1024, " ");
    const more = () => {
      while (!response.destroyed && response.write(chunk));
    };
    response.on("drain", more).on("error", () => {});
    more();
  },
  "lost: reset": async (response, forward) => {
    await forward();
    socketOf(response).resetAndDestroy();
  },
  "lost: hanging": async (_, forward) => void (await forward()),
  "lost: too late": async (response, forward) => {
    const { status, headers, body } = await forward();
    await wait(20_000);
    response.writeHead(status, headers).end(body);
  },
  "lost: hanging in mid-body": async (response, forward) => {
    const { status, headers, body } = await forward();
    response.writeHead(status, { ...headers, "content-length": String(body.length + 1) }).write(body);
  },
  "lost: reset in mid-body": async (response, forward) => {
    const { status, headers, body } = await forward();
    response
      .writeHead(status, headers)
      .write(body.subarray(0, body.length / 2), () => socketOf(response)?.resetAndDestroy());
  },
  "lost: short of its length": async (response, forward) => {
    const { body } = await forward();
    socketOf(response).end(
      `HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: ${body.length + 9}\r\n\r\n${body}`,
    );
  },
  "lost: broken in its chunks": async (response, forward) => {
    const { body } = await forward();
    socketOf(response).end(
      `HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n${body.length.toString(16)}\r\n${body}\r\nzz\r\n`,
    );
  },
  "lost: a page instead (200)": async (response, forward) => {
    await forward();
    html(200)(response, forward);
  },
  "lost: unavailable instead (503)": async (response, forward) => {
    await forward();
    html(503)(response, forward);
  },
  "slow, but in time": async (response, forward) => {
    const { status, headers, body } = await forward();
    await wait(50);
    response.writeHead(status, headers);
    for (const byte of [body.subarray(0, 3), body.subarray(3)]) response.write(byte);
    response.end();
  },
};

export interface Flaky {
  url: string;
  /** How many requests met each fault. */
  met: Record<string, number>;
  /** How many were passed on without a fault. */
  untouched: number;
  stop(): Promise<void>;
}

/** Pseudo-random numbers from 0 to 1 of this seed. */
export function randomly(seed: number): () => number {
  return () => {
    seed = (seed + 0x6d2b79f5) | 0;
    let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** In front of `upstream`: every request meets a fault with this probability, each class in turn. */
export async function startFlaky(upstream: string, probability: number, random: () => number): Promise<Flaky> {
  const names = Object.keys(FAULTS);
  let faults = 0;
  const sockets = new Set<Socket>();
  const flaky: Flaky = { url: "", met: {}, untouched: 0, stop };

  const server = createServer(async (incoming, response) => {
    response.on("error", () => {});
    const sent = await buffer(incoming);
    const forward = () => pass(upstream, incoming.method ?? "GET", incoming.url ?? "/", incoming.headers, sent);
    const name = random() < probability ? names[faults++ % names.length] : undefined;
    try {
      if (name !== undefined) {
        flaky.met[name] = (flaky.met[name] ?? 0) + 1;
        await FAULTS[name]!(response, forward);
      } else {
        flaky.untouched++;
        const { status, headers, body } = await forward();
        response.writeHead(status, headers).end(body);
      }
    } catch {
      // The other side has disconnected.
      response.destroy();
    }
  });
  server.on("connection", (socket) => {
    sockets.add(socket);
    socket.on("error", () => {}).on("close", () => sockets.delete(socket));
  });
  server.keepAliveTimeout = 120_000;
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  flaky.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return flaky;

  async function stop(): Promise<void> {
    for (const socket of sockets) socket.destroy();
    await new Promise((resolve) => server.close(resolve));
  }
}

function pass(
  upstream: string,
  method: string,
  path: string,
  headers: NodeJS.Dict<string | string[]>,
  body: Buffer,
): Promise<Reply> {
  const { host: _, connection: __, "transfer-encoding": ___, ...rest } = headers;
  return new Promise((resolve, reject) => {
    const request = httpRequest(
      new URL(path, upstream),
      { method, headers: { ...rest, "content-length": String(body.length) } },
      async (response) => {
        const headers = { "content-type": String(response.headers["content-type"] ?? "application/json") };
        resolve({ status: response.statusCode ?? 0, headers, body: await buffer(response) });
      },
    );
    request.on("error", reject).end(body);
  });
}
