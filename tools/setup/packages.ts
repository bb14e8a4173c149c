// The two npm packages. airlock-edge has the compiled Worker, the commands, the core's migrations and the tests of a
// team's own resources. create-airlock has the files of a new project.

import { cp, glob, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { dirname, join, relative } from "node:path";

import { build as esbuild } from "esbuild";

import { clientTypes } from "../client-types.ts";
import { checkedDeclaration } from "../declaration.ts";
import { HEAVY } from "./heavy.ts";
import { root, run } from "./shell.ts";

export interface Packages {
  /** Paths of the tarballs. */
  edge: string;
  create: string;
}

interface Manifest {
  version: string;
  scripts: Record<string, string>;
  optionalDependencies?: Record<string, string>;
  [key: string]: unknown;
}

/** Scripts of this repository that need its sources, or are about Airlock itself. */
const OWN_SCRIPTS = ["example", "bench", "rls:cost", "fuzz", "fuzz-api", "mutants", "package"];
/** Tests of every resource in airlock.toml. */
const TESTS = ["tests/e2e/resources.test.ts", "tests/database/limits.test.ts"];
/** Started by their path, and not by an import. */
const STARTED = ["tools/supabase.ts", "tools/setup/preload.ts", "tools/setup/node-tests.ts"];
/** Modules that only a clone loads. */
const CLONE_ONLY = ["./compile.ts", "./setup/sources.ts", "./setup/example.ts", "./test-index.ts"];
/** Files that are read by their path. */
const DATA = [
  "tools/**/*.mjs",
  "tools/supabase/{demo_users,embedded,storage}.sql",
  "tools/openapi/*.json",
  "tests/resources/{notes,everything}.toml",
  "supabase/tests/include/own.psql",
  "docs/**/*.md",
  "CHANGELOG.md",
  "LICENSE",
  "supabase/migrations/*_airlock*.sql",
];
const BUILT = ["build/index.js", "build/index_bg.wasm", ".airlock/functions.txt", ".airlock/inspect.mjs"];

/** Makes both in this folder. The Worker must have been built. */
export async function makePackages(folder: string): Promise<Packages> {
  const unfinished = await mkdtemp(join(root, ".airlock", "packages-"));
  try {
    const { scripts, version } = await json("package.json");
    const commands = [...Object.keys(scripts).filter((name) => !OWN_SCRIPTS.includes(name)), "upgrade"];
    const [edge, create] = [join(unfinished, "airlock-edge"), join(unfinished, "create-airlock")];
    await writeEdge(edge, version, commands);
    await writeCreate(create, version, commands);
    await mkdir(folder, { recursive: true });
    return { edge: await pack(edge, folder), create: await pack(create, folder) };
  } finally {
    await rm(unfinished, { recursive: true, force: true });
  }
}

/** Packs a folder into another one, and returns the path of the tarball. */
export async function pack(from: string, to: string): Promise<string> {
  const options = ["--silent", "--pack-destination", to];
  return join(to, await run("npm", ["pack", ...options], { cwd: from, stdio: ["ignore", "pipe", 2] }));
}

async function writeEdge(to: string, version: string, commands: string[]): Promise<void> {
  const scripts = commands.map((command) => `tools/${command}.ts`);
  const { sources, packages } = await reached([...scripts, ...STARTED, ...TESTS]);
  await copyCompiled(sources, to);
  for (const file of [...BUILT, ...(await matching(DATA))]) await copy(file, join(to, file));
  await copy("packages/airlock-edge/README.md", join(to, "README.md"));
  const { optionalDependencies = {} } = await json("package.json");
  const node = Object.entries(optionalDependencies).filter(([name]) => name.startsWith("node-"));
  const versions = packages.map(async (name) => [name, (await json(`node_modules/${name}/package.json`)).version]);
  await write(join(to, "package.json"), {
    ...(await json("packages/airlock-edge/package.json")),
    version,
    files: ["*"].concat((await readdir(to)).filter((name) => name.startsWith("."))),
    dependencies: Object.fromEntries(await Promise.all(versions)),
    // The Node.js of all commands.
    optionalDependencies: Object.fromEntries(node),
  });
}

/** The files that these import, directly or not, and the npm packages that they need. */
async function reached(entryPoints: string[]): Promise<{ sources: string[]; packages: string[] }> {
  const { metafile } = await esbuild({
    absWorkingDir: root,
    entryPoints,
    bundle: true,
    packages: "external",
    external: CLONE_ONLY,
    platform: "node",
    format: "esm",
    metafile: true,
    write: false,
    outdir: "unused",
  });
  const imports = Object.values(metafile.inputs).flatMap((input) => input.imports.filter(({ external }) => external));
  const named = [...imports.map(({ path }) => path), ...HEAVY].filter((path) => !/^(\.|node:)/.test(path));
  const packages = named.map((path) =>
    path
      .split("/")
      .slice(0, path.startsWith("@") ? 2 : 1)
      .join("/"),
  );
  return { sources: Object.keys(metafile.inputs), packages: [...new Set(packages)].sort() };
}

/** Node.js runs no TypeScript below node_modules. Each file stays a file of its own, in its place. */
async function copyCompiled(sources: string[], to: string): Promise<void> {
  const compiled = await mkdtemp(join(root, ".airlock", "compiled-"));
  try {
    const emit = ["--noEmit", "false", "--noCheck", "--allowJs", "false", "--rewriteRelativeImportExtensions"];
    await run("tsc", [...emit, "--rootDir", ".", "--outDir", compiled], { cwd: root });
    for (const source of sources.filter((name) => name.endsWith(".ts"))) {
      const file = source.replace(/\.ts$/, ".js");
      await copy(relative(root, join(compiled, file)), join(to, file));
    }
  } finally {
    await rm(compiled, { recursive: true, force: true });
  }
}

/** The files of a new project: those of this repository, as far as a team has them. */
async function writeCreate(to: string, version: string, commands: string[]): Promise<void> {
  const template = join(to, "template");
  await cp(join(root, "packages", "create-airlock"), to, { recursive: true });
  await copy("LICENSE", join(to, "LICENSE"));
  await write(join(to, "package.json"), { ...(await json("packages/create-airlock/package.json")), version });
  const same = ["airlock.toml", "openapi.json", "supabase/{access.txt,evidence.json}", "supabase/migrations/*.sql"];
  for (const file of await matching(same)) await copy(file, join(template, file));
  await writeFile(join(template, "airlock.ts"), clientTypes(await checkedDeclaration()));
  await writeFile(join(template, "supabase", "config.toml"), replaced(await text("supabase/config.toml"), CONFIG));
  await writeFile(join(template, "wrangler.toml"), inPackage(replaced(await text("wrangler.toml"), WRANGLER)));
  await write(join(template, "package.json"), {
    name: "my-api",
    private: true,
    type: "module",
    // See tools/run.mjs.
    scripts: Object.fromEntries(commands.map((command) => [command, `exec airlock ${command}`])),
    dependencies: { "airlock-edge": `^${version}` },
    // Of wrangler.
    allowScripts: { esbuild: true, workerd: true },
  });
}

type Changes = [before: string | RegExp, after: string][];

/** The differences of a project's supabase/config.toml. */
const CONFIG: Changes = [['project_id = "airlock"', 'project_id = "my-api"']];

/** The differences of its wrangler.toml. */
const WRANGLER: Changes = [
  ['name = "airlock"', 'name = "my-api"'],
  ['main = "build/index.js"', 'main = "worker.js"'],
  [/# The modules of build\/[^[]*no_bundle = true\nrules = .*\n/, "minify = true\n"],
  ['command = "node tools/run.mjs build"', 'command = "npm run build"'],
  ['watch_dir = ["src", "airlock.toml"]', 'watch_dir = ["airlock.toml"]'],
];

function replaced(text: string, changes: Changes): string {
  return changes.reduce((before, [from, to]) => {
    const after = before.replace(from, to);
    if (after === before) throw new Error(`Nothing in the file of this repository is ${from}.`);
    return after;
  }, text);
}

/** Documents are in the package. */
const inPackage = (text: string) => text.replaceAll(/(?<![\w/])docs\//g, "node_modules/airlock-edge/docs/");

async function matching(patterns: string[]): Promise<string[]> {
  const files: string[] = [];
  for await (const file of glob(patterns, { cwd: root })) files.push(file);
  return files.sort();
}

const text = (file: string) => readFile(join(root, file), "utf8");
const json = async (file: string): Promise<Manifest> => JSON.parse(await text(file));

async function copy(file: string, to: string): Promise<void> {
  await mkdir(dirname(to), { recursive: true });
  await cp(join(root, file), to);
}

const write = (path: string, manifest: object) => writeFile(path, `${JSON.stringify(manifest, null, 2)}\n`);
