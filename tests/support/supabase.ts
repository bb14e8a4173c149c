// The embedded Supabase in a thread of its own, one for all databases of a process. In the thread of the tests the runner
// would follow each of its promises, which takes a fifth of the database's time.

import { once } from "node:events";
import { isMainThread, type MessagePort, parentPort, Worker } from "node:worker_threads";

import type { Supabase as Embedded, SupabaseOptions } from "../../tools/supabase.ts";

/** Without the notices of Postgres, for which a function would have to get into the thread. */
export interface Supabase extends Omit<Embedded, "sql"> {
  sql(text: string, parameters?: unknown[]): ReturnType<Embedded["sql"]>;
}

interface Asked {
  id: number;
  /** The number of the call that started the database. */
  database: number;
  call: "start" | "sql" | "stop";
  parameters: unknown[];
}

interface Answered {
  id: number;
  value?: unknown;
  error?: object;
}

type Ask = (question: Omit<Asked, "id">) => Promise<unknown>;

let asking: { ask: Ask; next(): number } | undefined;

export async function startSupabase(options: SupabaseOptions): Promise<Supabase> {
  const { ask, next } = (asking ??= openThread());
  const database = next();
  const url = (await ask({ database, call: "start", parameters: [options] })) as string;
  return {
    url,
    sql: (...parameters) => ask({ database, call: "sql", parameters }) as ReturnType<Embedded["sql"]>,
    stop: () => ask({ database, call: "stop", parameters: [] }) as Promise<void>,
  };
}

function openThread(): NonNullable<typeof asking> {
  const thread = new Worker(new URL(import.meta.url));
  const waiting = new Map<number, PromiseWithResolvers<unknown>>();
  let last = 0;
  thread.on("message", ({ id, value, error }: Answered) => {
    const { resolve, reject } = waiting.get(id) ?? Promise.withResolvers();
    waiting.delete(id);
    if (waiting.size === 0) thread.unref();
    if (error) reject(Object.assign(new Error(), error));
    else resolve(value);
  });
  void once(thread, "error").then(([error]) => {
    throw error;
  });
  return {
    next: () => ++last,
    ask(question) {
      const id = ++last;
      const answer = Promise.withResolvers<unknown>();
      thread.postMessage({ id, ...question });
      waiting.set(id, answer);
      thread.ref();
      return answer.promise;
    },
  };
}

async function serve(port: MessagePort): Promise<void> {
  const { startSupabase } = await import("../../tools/supabase.ts");
  const databases = new Map<number, Embedded>();
  const calls: Record<Asked["call"], (database: number, parameters: unknown[]) => Promise<unknown>> = {
    async start(database, [options]) {
      const started = await startSupabase(options as SupabaseOptions);
      databases.set(database, started);
      return started.url;
    },
    sql: async (database, parameters) => databases.get(database)?.sql(...(parameters as Parameters<Embedded["sql"]>)),
    async stop(database) {
      await databases.get(database)?.stop();
      databases.delete(database);
      // It is garbage of half a gigabyte, which V8 takes for a few objects.
      globalThis.gc?.();
    },
  };
  port.on("message", ({ id, database, call, parameters }: Asked) => {
    calls[call](database, parameters).then(
      (value) => port.postMessage({ id, value }),
      // A clone has none of the fields that Postgres adds to an error.
      (error: Error) => port.postMessage({ id, error: { ...error, message: error.message, stack: error.stack } }),
    );
  });
}

if (!isMainThread && parentPort) await serve(parentPort);
