// The three workers that are compared, each in a workerd process of its own, with the same rate limiters. The Hono peer
// keeps its nonces in a Durable Object or a stand-in for one; Airlock's are claimed by the database.

import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { copyFile, mkdtemp, readFile, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { join } from "node:path";
import type { Readable } from "node:stream";
import { gzipSync } from "node:zlib";

import { build } from "esbuild";
import { unstable_readConfig } from "wrangler";

import { Failure, root } from "../tools/setup/shell.ts";
import type { Vars } from "../tools/stack/vars.ts";

export const NAMES = ["floor", "hono", "airlock"] as const;
export type Name = (typeof NAMES)[number];

/** What is uploaded of a worker. */
export interface Bundle {
  name: Name;
  folder: string;
  /** Its modules in `folder`; the first is the entry. */
  files: { file: string; bytes: number; gzipped: number }[];
}

/** A worker that serves. */
export interface Running {
  name: Name;
  port: number;
  pid: number;
  stop(): Promise<void>;
}

// Its package has no types. Not .bin/workerd: without install scripts that is a Node.js program in front of it.
const { default: workerd }: { default: string } = createRequire(import.meta.url)("workerd");

const children = new Set<ChildProcess>();
// However the bench ends, its workers end with it.
process.on("exit", () => children.forEach((child) => child.kill("SIGKILL")));

/** Puts all that is served into `folder`: the peers as a deployment would bundle them, Airlock as it was built. */
export async function bundle(folder: string, built: string): Promise<Bundle[]> {
  await build({
    entryPoints: ["floor", "hono"].map((name) => join(root, "bench", "peers", `${name}.ts`)),
    outdir: folder,
    bundle: true,
    minify: true,
    format: "esm",
    target: "es2024",
    conditions: ["workerd", "worker", "browser"],
    external: ["cloudflare:workers"],
    logLevel: "warning",
  });
  const outputs = ["index.js", "index_bg.wasm", "declaration.js"];
  for (const file of outputs) {
    await copyFile(join(built, file), join(folder, file)).catch(() => {
      throw new Failure(`${built} has no ${file}: run \`npm run build\`.`);
    });
  }
  await copyFile(join(root, "bench", "peers", "stand-ins.js"), join(folder, "stand-ins.js"));
  const modules = { floor: ["floor.js"], hono: ["hono.js"], airlock: outputs };
  const sizes = async (file: string) => {
    const content = await readFile(join(folder, file));
    return { file, bytes: content.length, gzipped: gzipSync(content).length };
  };
  return Promise.all(NAMES.map(async (name) => ({ name, folder, files: await Promise.all(modules[name].map(sizes)) })));
}

/** Starts a worker on a free port; with `realReplay` Hono has Durable Objects with SQLite in place of the stand-in. */
export async function start(bundle: Bundle, vars: Vars, { realReplay = false } = {}): Promise<Running> {
  const { name, folder } = bundle;
  const own = await mkdtemp(join(folder, `${name}-`));
  const config = join(folder, `${name}.capnp`);
  await writeFile(config, configOf(bundle, vars, realReplay && name === "hono" ? own : undefined));
  // Its log is written to where nobody has to read it: the writing is part of a request's cost.
  const child = spawn(workerd, ["serve", config, "--control-fd=3"], { stdio: ["ignore", "ignore", "pipe", "pipe"] });
  let complaints = "";
  child.stderr?.on("data", (data) => (complaints = (complaints + String(data)).slice(-4000)));
  children.add(child);
  const ended = once(child, "exit").then(() => children.delete(child));
  const port = await new Promise<number>((resolve, reject) => {
    let heard = "";
    (child.stdio[3] as Readable).on("data", (data) => {
      const port = /"event":"listen".*?"port":(\d+)/.exec((heard += String(data)))?.[1];
      if (port) resolve(Number(port));
    });
    child.once("error", reject);
    child.once("exit", () => reject(new Failure(`workerd did not start ${name}: ${complaints}`)));
  });
  const stop = async () => {
    child.kill("SIGKILL");
    await ended;
  };
  return { name, port, pid: child.pid ?? 0, stop };
}

/** In workerd's language; `objects` is the folder of the Durable Objects, if they keep the nonces. */
function configOf({ name, files }: Bundle, vars: Vars, objects: string | undefined): string {
  const wrangler: { compatibility_date: string; compatibility_flags: string[] } = unstable_readConfig({ config: join(root, "wrangler.toml") });
  // Cap'n Proto's text has JSON's escapes, for what is ASCII.
  const text = JSON.stringify;
  const module = ({ file }: { file: string }) => `(name = ${text(file)}, ${file.endsWith(".wasm") ? "wasm" : "esModule"} = embed ${text(file)})`;
  const standIn = (name: string, entrypoint: string) => `(name = "${name}", wrapped = (moduleName = "bench:stand-ins", entrypoint = "${entrypoint}"))`;
  const bindings = [
    ...Object.entries(vars).map(([name, value]) => `(name = ${text(name)}, text = ${text(value)})`),
    standIn("LIMIT_IP", "limiter"),
    standIn("LIMIT_USER", "limiter"),
    ...(name === "hono" ? [objects ? `(name = "REPLAY", durableObjectNamespace = "Replay")` : standIn("REPLAY", "nonces")] : []),
  ];
  return `using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = (
  services = [
    (name = "worker", worker = .worker),
    (name = "internet", network = (allow = ["public", "private"])),
    ${objects ? `(name = "objects", disk = (path = ${text(objects)}, writable = true)),` : ""}
  ],
  sockets = [(name = "http", address = "127.0.0.1:0", http = (), service = "worker")],
  extensions = [(modules = [(name = "bench:stand-ins", internal = true, esModule = embed "stand-ins.js")])],
);
const worker :Workerd.Worker = (
  modules = [${files.map(module).join(", ")}],
  compatibilityDate = ${text(wrangler.compatibility_date)},
  compatibilityFlags = ${text(wrangler.compatibility_flags)},
  bindings = [${bindings.join(", ")}],
  ${objects ? `durableObjectNamespaces = [(className = "Replay", uniqueKey = "replay", enableSql = true)], durableObjectStorage = (localDisk = "objects"),` : ""}
);
`;
}
