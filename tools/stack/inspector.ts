// The memory of a Worker's isolate, as its inspector reports it.

import { once } from "node:events";

import type { Worker } from "./worker.ts";

/** Memory in bytes. */
export interface HeapUsage {
  /** Objects of JavaScript. */
  usedSize: number;
  totalSize: number;
  embedderHeapUsedSize: number;
  /** Array buffers and the memory of WASM. */
  backingStorageSize: number;
}

export interface Inspector {
  heapUsage(): Promise<HeapUsage>;
  collectGarbage(): Promise<void>;
  close(): void;
}

/** Needs a Worker that was started with `inspector: true`. */
export async function openInspector(worker: Worker): Promise<Inspector> {
  const { host } = await worker.miniflare.getInspectorURL();
  const targets = (await (await fetch(`http://${host}/json`)).json()) as { webSocketDebuggerUrl: string }[];
  const socket = new WebSocket(targets[0]?.webSocketDebuggerUrl ?? "");
  await once(socket, "open");
  const waiting = new Map<number, (result: unknown) => void>();
  socket.addEventListener("message", ({ data }) => {
    const { id, result } = JSON.parse(String(data)) as { id?: number; result?: unknown };
    if (id !== undefined) waiting.get(id)?.(result);
  });
  let last = 0;
  const call = (method: string): Promise<unknown> =>
    new Promise((resolve) => {
      waiting.set(++last, resolve);
      socket.send(JSON.stringify({ id: last, method }));
    });
  return {
    heapUsage: async () => (await call("Runtime.getHeapUsage")) as HeapUsage,
    collectGarbage: async () => void (await call("HeapProfiler.collectGarbage")),
    close: () => socket.close(),
  };
}
