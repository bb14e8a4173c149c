// The built Worker on workerd, as wrangler.toml describes it.

import { readFile } from "node:fs/promises";
import { createServer } from "node:net";
import { join, normalize } from "node:path";

import type { Miniflare } from "miniflare";
import { parse } from "smol-toml";

import { check, documentAsset } from "../declaration.ts";
import { openapi } from "../openapi/document.ts";
import { loadMiniflare } from "../setup/heavy.ts";
import { Failure, project } from "../setup/shell.ts";
import { outputs } from "../setup/worker.ts";
import type { Vars } from "./vars.ts";

export interface WorkerOptions {
  port: number;
  /** All variables and secrets; those in wrangler.toml are for production. */
  vars: Vars;
  /** Requests a minute, in place of those in wrangler.toml. */
  limits: { ip: number; user: number };
  /** The address to listen on; 127.0.0.1 if absent. */
  host?: string;
  /** Gets the Worker's log lines; they go to stdout and stderr if absent. */
  log?: (line: { level: string; message: string }) => void;
  /** Bindings to leave out: for tests of an incomplete deployment. */
  without?: string[];
  /** JSON text of a declaration in place of the built one; the OpenAPI document is its own, too. */
  declaration?: string;
  /** Replaces the built WASM, for tests of an instance that traps. */
  wasm?: Uint8Array<ArrayBuffer>;
  /** Opens an inspector on a free port; see inspector.ts. */
  inspector?: boolean;
  /** Source of a module whose class `Limiter` replaces the rate limiters: for tests of a platform that fails. */
  standIns?: string;
}

export interface Worker {
  url: string;
  /** Sends the `scheduled` event and waits until it has ended. */
  scheduled(): Promise<{ outcome: string }>;
  stop(): Promise<void>;
  /** The platform around the Worker, for tests that reach into it. */
  miniflare: Miniflare;
}

const SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP"] as const;

/** A Worker as Miniflare returns it; Miniflare's own type is too wide to be checked. */
interface Schedulable {
  scheduled(event: { cron: string | undefined }): Promise<{ outcome: string }>;
}

/** The part of wrangler.toml that is used here. */
interface WranglerConfig {
  main: string;
  compatibility_date: string;
  compatibility_flags?: string[];
  assets: { binding: string };
  ratelimits: { name: string; namespace_id: string; simple: { limit: number; period: 10 | 60 } }[];
  triggers: { crons: string[] };
}

export async function startWorker(options: WorkerOptions): Promise<Worker> {
  // wrangler, whose reader of wrangler.toml does no more for these names, takes a second to load.
  const { convertV4MiniflareOptions, Log, LogLevel, Miniflare, Response } = loadMiniflare();
  const config = parse(await readFile(join(project, "wrangler.toml"), "utf8")) as unknown as WranglerConfig;
  const bound = ({ name }: { name: string }) => !options.without?.includes(name);
  const limits: Record<string, number> = { LIMIT_IP: options.limits.ip, LIMIT_USER: options.limits.user };
  const ratelimits = config.ratelimits.filter(bound).map(({ name, namespace_id, simple }) => {
    return [name, { namespace_id, simple: { ...simple, limit: limits[name] ?? simple.limit } }] as const;
  });
  const replaced: Record<string, string | Uint8Array<ArrayBuffer> | undefined> = {
    "build/index_bg.wasm": options.wasm,
    "build/declaration.js":
      options.declaration === undefined ? undefined : `export default ${JSON.stringify(options.declaration)};`,
  };

  // Not Miniflare's own assets, in front of which is a router that rewrites the request's target.
  const assets =
    options.declaration === undefined
      ? await readFile(documentAsset)
      : JSON.stringify(openapi(await check(options.declaration)));
  const services = {
    [config.assets.binding]: (request: { url: string }) =>
      new URL(request.url).pathname === "/openapi.json" ? new Response(assets) : new Response(null, { status: 404 }),
  };
  for (const name of options.without ?? []) delete services[name];

  const { standIns } = options;
  const platform = {
    name: "stand-ins",
    compatibilityDate: config.compatibility_date,
    modules: [{ type: "ESModule" as const, path: "stand-ins.js", contents: standIns ?? "" }],
  };

  const listening = SIGNALS.map((signal) => [signal, process.listeners(signal)] as const);
  const miniflare = new Miniflare(
    convertV4MiniflareOptions({
      host: "127.0.0.1",
      port: 0,
      cf: false,
      ...(options.inspector && { inspectorPort: 0 }),
      log: new Log(LogLevel.ERROR),
      ...(options.log && { handleStructuredLogs: options.log }),
      workers: [
        {
          name: "airlock",
          compatibilityDate: config.compatibility_date,
          compatibilityFlags: config.compatibility_flags ?? [],
          // The first one is the entry point, which in a team's folder is a file of its own.
          modules: [...new Set([normalize(config.main), ...outputs])].map((path) => ({
            type: path.endsWith(".wasm") ? ("CompiledWasm" as const) : ("ESModule" as const),
            path: join(project, path),
            ...(replaced[path] !== undefined && { contents: replaced[path] }),
          })),
          modulesRoot: project,
          bindings: options.vars,
          ...(standIns === undefined ? { ratelimits: Object.fromEntries(ratelimits) } : {}),
          serviceBindings: {
            ...services,
            ...(standIns !== undefined &&
              Object.fromEntries(ratelimits.map(([name]) => [name, { name: platform.name, entrypoint: "Limiter" }]))),
          },
          // Miniflare's own entry normalises the request's target (`..`, `%2e`, `\`) before the Worker sees it.
          // Cloudflare does not, and neither does this socket of workerd itself.
          unsafeDirectSockets: [{ host: options.host ?? "127.0.0.1", port: options.port }],
        },
        ...(standIns === undefined ? [] : [platform]),
      ],
    }),
  );
  // Miniflare would end the process at a signal, but the caller may have a database to close first.
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
export async function requireFreePort(port: number, variable: string, host = "127.0.0.1"): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    const probe = createServer();
    probe.once("error", (error: NodeJS.ErrnoException) => {
      const taken = `Port ${port} is taken: stop the program that uses it, or set ${variable} to another one.`;
      reject(error.code === "EADDRINUSE" ? new Failure(taken) : error);
    });
    probe.listen(port, host, () => probe.close(() => resolve()));
  });
}
