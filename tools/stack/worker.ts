// The built Worker on workerd, as wrangler.toml describes it.

import { createServer } from "node:net";
import { join } from "node:path";

import { convertV4MiniflareOptions, Log, LogLevel, Miniflare } from "miniflare";
import { unstable_readConfig } from "wrangler";

import { Failure, root } from "../setup/shell.ts";
import { outputs } from "../setup/worker.ts";
import type { Vars } from "./vars.ts";

export interface WorkerOptions {
  port: number;
  /** All variables and secrets; those in wrangler.toml are for production. */
  vars: Vars;
  /** Requests a minute, in place of those in wrangler.toml. */
  limits: { ip: number; user: number };
  /** Where Durable Objects keep what they store; in memory if absent. */
  dataDir?: string;
  /** Gets the Worker's log lines; they go to stdout and stderr if absent. */
  log?: (line: { level: string; message: string }) => void;
  /** Bindings to leave out: for tests of an incomplete deployment. */
  without?: string[];
  /** In place of the built WASM: for tests of an instance that traps. */
  wasm?: Uint8Array<ArrayBuffer>;
  /**
   * Source of a module whose classes `Limiter` and `Replay` take the place of the rate limiters and of the nonce store:
   * for tests of a platform that fails.
   */
  standIns?: string;
}

export interface Worker {
  url: string;
  /** Has the schedule's event come now, and waits for its end. */
  scheduled(): Promise<{ outcome: string }>;
  stop(): Promise<void>;
  /** The platform around the Worker, for tests that reach into it. */
  miniflare: Miniflare;
}

const SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP"] as const;

/** As Miniflare hands a Worker out; its own type of that is too wide to be checked. */
interface Schedulable {
  scheduled(event: { cron: string | undefined }): Promise<{ outcome: string }>;
}

/** What of wrangler.toml matters here; wrangler's own type is too wide to be checked. */
interface WranglerConfig {
  compatibility_date: string;
  compatibility_flags: string[];
  ratelimits: { name: string; namespace_id: string; simple: { limit: number; period: 10 | 60 } }[];
  triggers: { crons: string[] };
  durable_objects: { bindings: { name: string; class_name: string }[] };
}

export async function startWorker(options: WorkerOptions): Promise<Worker> {
  const config: WranglerConfig = unstable_readConfig({ config: join(root, "wrangler.toml") });
  const bound = ({ name }: { name: string }) => !options.without?.includes(name);
  const limits: Record<string, number> = { LIMIT_IP: options.limits.ip, LIMIT_USER: options.limits.user };
  const ratelimits = config.ratelimits.filter(bound).map(({ name, namespace_id, simple }) => {
    return [name, { namespace_id, simple: { ...simple, limit: limits[name] ?? simple.limit } }] as const;
  });
  const durableObjects = config.durable_objects.bindings.filter(bound).map(({ name, class_name: className }) => {
    return [name, { className, useSQLite: true }] as const;
  });

  const { standIns } = options;
  const platform = {
    name: "stand-ins",
    compatibilityDate: config.compatibility_date,
    modules: [{ type: "ESModule" as const, path: "stand-ins.js", contents: standIns ?? "" }],
    durableObjects: { REPLAY: { className: "Replay", useSQLite: true } },
  };

  const listening = SIGNALS.map((signal) => [signal, process.listeners(signal)] as const);
  const miniflare = new Miniflare(
    convertV4MiniflareOptions({
      host: "127.0.0.1",
      port: 0,
      cf: false,
      log: new Log(LogLevel.ERROR),
      ...(options.log && { handleStructuredLogs: options.log }),
      workers: [
        {
          name: "airlock",
          compatibilityDate: config.compatibility_date,
          compatibilityFlags: config.compatibility_flags,
          modules: outputs.map((path) => ({
            type: path.endsWith(".wasm") ? ("CompiledWasm" as const) : ("ESModule" as const),
            path: join(root, path),
            ...(path.endsWith(".wasm") && options.wasm && { contents: options.wasm }),
          })),
          modulesRoot: join(root, "build"),
          bindings: options.vars,
          ...(standIns === undefined
            ? { ratelimits: Object.fromEntries(ratelimits), durableObjects: Object.fromEntries(durableObjects) }
            : {
                serviceBindings: Object.fromEntries(ratelimits.map(([name]) => [name, { name: platform.name, entrypoint: "Limiter" }])),
                durableObjects: Object.fromEntries(durableObjects.map(([name, { className }]) => [name, { className, scriptName: platform.name }])),
              }),
          // Miniflare's own entry normalises the request's target before the Worker sees it (`..`,
          // `%2e`, `\`), which would hide what Cloudflare hands over as received. This is workerd itself.
          unsafeDirectSockets: [{ host: "127.0.0.1", port: options.port }],
        },
        ...(standIns === undefined ? [] : [platform]),
      ],
      ...(options.dataDir && { resourcePersistencePath: options.dataDir }),
    }),
  );
  // Miniflare ends the process at a signal, there and then. How it ends is for the caller to say, who may
  // have a database to close.
  for (const [signal, before] of listening) {
    for (const listener of process.listeners(signal)) if (!before.includes(listener)) process.off(signal, listener);
  }
  const url = await miniflare.unsafeGetDirectURL("airlock");
  return {
    url: url.origin,
    async scheduled() {
      const worker: unknown = await miniflare.getWorker("airlock");
      return (worker as Schedulable).scheduled({ cron: config.triggers.crons[0] });
    },
    stop: () => miniflare.dispose(),
    miniflare,
  };
}

/** Fails with a sentence if the port is taken: better before a long build than after it. */
export async function requireFreePort(port: number, variable: string): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    const probe = createServer();
    probe.once("error", (error: NodeJS.ErrnoException) => {
      const taken = `Port ${port} is taken: stop the program that uses it, or set ${variable} to another one.`;
      reject(error.code === "EADDRINUSE" ? new Failure(taken) : error);
    });
    probe.listen(port, "127.0.0.1", () => probe.close(() => resolve()));
  });
}
