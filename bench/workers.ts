// The workers that are compared, each in processes of its own on plain `workerd serve`.

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { copyFile, mkdir, mkdtemp, readFile, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { basename, join } from "node:path";
import type { Readable } from "node:stream";

import { build } from "esbuild";
import { parse } from "smol-toml";

import { toJson } from "../tools/declaration.ts";
import { Failure, root } from "../tools/setup/shell.ts";
import type { Vars } from "../tools/stack/vars.ts";
import { ATTESTED } from "./workloads.ts";

/** A worker, ready to be started. */
export interface Bundle {
  name: string;
  folder: string;
  /** The worker's modules in `folder`; the first is the entry. */
  files: string[];
  /** Replaces the variables that all workers have. */
  vars?: Vars;
}

export interface Running {
  name: string;
  port: number;
  pid: number;
  stop(): Promise<void>;
}

// Its package has no types. Not .bin/workerd: without install scripts that is a Node.js program in front of it.
const { default: workerd }: { default: string } = createRequire(import.meta.url)("workerd");
const wrangler = parse(await readFile(join(root, "wrangler.toml"), "utf8"));

const children = new Set<ChildProcess>();
// However the bench ends, its workers end with it.
process.on("exit", () => {
  for (const child of children) child.kill("SIGKILL");
});

/**
 * Makes the workers in `folder`: the peers as a deployment would bundle them, and Airlock as it was built. `airlock-20`
 * declares twenty resources, `airlock-attested` asks for attestations. The folders of other builds are their names.
 */
export async function bundles(folder: string, built: string, others: string[]): Promise<Bundle[]> {
  const peers = await Promise.all(
    Object.entries({ floor: "floor", unchecked: "unchecked", hono: "hono", "hono-objects": "hono" }).map(
      async ([name, source]): Promise<Bundle> => {
        const bundle = { name, folder: join(folder, name), files: [`${source}.js`] };
        await build({
          entryPoints: [join(root, "bench", "peers", `${source}.ts`)],
          outdir: bundle.folder,
          bundle: true,
          minify: true,
          format: "esm",
          target: "es2024",
          conditions: ["workerd", "worker", "browser"],
          external: ["cloudflare:workers"],
          logLevel: "warning",
        });
        return bundle;
      },
    ),
  );
  const one = await declaration(1);
  const builds = [
    airlock("airlock", join(folder, "airlock"), built, one),
    airlock("airlock-attested", join(folder, "airlock-attested"), built, one, ATTESTED),
    airlock("airlock-20", join(folder, "airlock-20"), built, await declaration(20)),
    ...others.map((other, place) => airlock(other, join(folder, `other-${place}`), other, one)),
  ];
  const all = [...peers, ...(await Promise.all(builds))];
  for (const bundle of all)
    await copyFile(join(root, "bench", "peers", "stand-ins.js"), join(bundle.folder, "stand-ins.js"));
  return all;
}

async function airlock(
  name: string,
  folder: string,
  built: string,
  declared: string,
  vars: Vars = {},
): Promise<Bundle> {
  await mkdir(folder);
  for (const file of ["index.js", "index_bg.wasm"]) {
    await copyFile(join(built, file), join(folder, file)).catch(() => {
      throw new Failure(`${built} has no ${file}: run \`npm run build\`.`);
    });
  }
  await writeFile(join(folder, "declaration.js"), declared);
  return { name, folder, files: ["index.js", "index_bg.wasm", "declaration.js"], vars };
}

/** The module of a declaration of `count` resources: the notes of the tests, and others. */
export async function declaration(count: number): Promise<string> {
  const { resources } = JSON.parse(toJson(await readFile(join(root, "tests", "resources", "notes.toml"), "utf8")));
  const fields = {
    label: "text(1..50)",
    amount: "integer(0..1000)?",
    color: "one_of(red,green,blue) = 'red'",
    due: "date?",
    tags: "texts(5,20) = []",
  };
  for (let number = 2; number <= count; number++)
    resources[`resource_${number}`] = { owner: "both", search: ["label"], fields };
  return `export default ${JSON.stringify(JSON.stringify({ resources }))};\n`;
}

/** Starts a worker on a free port. */
export async function start(bundle: Bundle, vars: Vars): Promise<Running> {
  const { name, folder } = bundle;
  const own = await mkdtemp(join(folder, "process-"));
  const config = join(folder, `${basename(own)}.capnp`);
  await writeFile(config, configOf(bundle, { ...vars, ...bundle.vars }, own));
  // The log is written and not read: the writing is part of a request's cost.
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

/** In workerd's language; `own` is the folder of this process. */
function configOf({ name, files }: Bundle, vars: Vars, own: string): string {
  const objects = name === "hono-objects";
  // Cap'n Proto's text has JSON's escapes, for what is ASCII.
  const text = JSON.stringify;
  const module = (file: string) =>
    `(name = ${text(file)}, ${file.endsWith(".wasm") ? "wasm" : "esModule"} = embed ${text(file)})`;
  const limiter = (name: string) =>
    `(name = "${name}", wrapped = (moduleName = "bench:stand-ins", entrypoint = "limiter"))`;
  const bindings = [
    ...Object.entries(vars).map(([name, value]) => `(name = ${text(name)}, text = ${text(value)})`),
    limiter("LIMIT_IP"),
    limiter("LIMIT_USER"),
    ...(objects ? [`(name = "REPLAY", durableObjectNamespace = "Replay")`] : []),
  ];
  return `using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = (
  services = [
    (name = "worker", worker = .worker),
    (name = "internet", network = (allow = ["public", "private"])),
    ${objects ? `(name = "objects", disk = (path = ${text(own)}, writable = true)),` : ""}
  ],
  sockets = [(name = "http", address = "127.0.0.1:0", http = (), service = "worker")],
  extensions = [(modules = [(name = "bench:stand-ins", internal = true, esModule = embed "stand-ins.js")])],
);
const worker :Workerd.Worker = (
  modules = [${files.map(module).join(", ")}],
  compatibilityDate = ${text(wrangler.compatibility_date)},
  compatibilityFlags = ${text(wrangler.compatibility_flags ?? [])},
  bindings = [${bindings.join(", ")}],
  ${objects ? `durableObjectNamespaces = [(className = "Replay", uniqueKey = "replay", enableSql = true)], durableObjectStorage = (localDisk = "objects"),` : ""}
);
`;
}
