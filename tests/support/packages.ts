// The npm packages as they would be published, and projects that use them on a machine without Rust.

import { type ChildProcess, execFile, spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { chmod, mkdir, mkdtemp, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { delimiter, dirname, join } from "node:path";
import { promisify } from "node:util";

import { makePackages, type Packages } from "../../tools/setup/packages.ts";
import { root } from "../../tools/setup/shell.ts";
import { freePort, type Run, watched } from "./commands.ts";

const execute = promisify(execFile);

export interface Workshop {
  /** A new folder outside of this repository. */
  folder: string;
  tarballs: Packages;
  /** Programs of the machine, without those of this repository, without Rust, with free ports for the servers. */
  env: NodeJS.ProcessEnv;
  remove(): Promise<void>;
}

export interface Ended {
  code: number;
  output: string;
}

/** Packs both packages. */
export async function openWorkshop(): Promise<Workshop> {
  const folder = await mkdtemp(join(tmpdir(), "airlock-packages-"));
  const tarballs = await makePackages(join(folder, "packed"));
  const programs = join(folder, "programs");
  await mkdir(programs);
  for (const name of ["cargo", "rustc", "rustup"])
    await writeFile(join(programs, name), "#!/bin/sh\necho 'Rust is not needed here' >&2\nexit 1\n", { mode: 0o755 });
  const path = (process.env.PATH ?? "").split(delimiter).filter((entry) => !entry.startsWith(root));
  // Variables that npm and the runner of these tests set for the processes that they start.
  const { INIT_CWD: _, NODE_TEST_CONTEXT: __, ...inherited } = process.env;
  const ports = { AIRLOCK_PORT: String(await freePort()), SUPABASE_PORT: String(await freePort()) };
  const env = { ...inherited, ...ports, PATH: [programs, ...path].join(delimiter) };
  return { folder, tarballs, env, remove: () => rm(folder, { recursive: true, force: true }) };
}

/** The files of a tarball by their names in the package. */
export async function filesOf(tarball: string): Promise<Map<string, Buffer>> {
  const unpacked = await mkdtemp(join(tmpdir(), "airlock-unpacked-"));
  try {
    await unpack(tarball, unpacked);
    const { stdout } = await execute("tar", ["tzf", tarball]);
    const names = stdout
      .trim()
      .split("\n")
      .map((name) => name.replace(/^package\//, ""));
    return new Map(await Promise.all(names.map(async (name) => [name, await readFile(join(unpacked, name))] as const)));
  } finally {
    await rm(unpacked, { recursive: true });
  }
}

async function unpack(tarball: string, to: string): Promise<void> {
  await mkdir(to, { recursive: true });
  await execute("tar", ["xzf", tarball, "--strip-components=1", "-C", to]);
}

/**
 * Installs airlock-edge without the registry: its dependencies, and none but these, are links to the packages of this
 * repository.
 */
export async function link(tarball: string, project: string): Promise<void> {
  const packages = join(project, "node_modules");
  const edge = join(packages, "airlock-edge");
  await unpack(tarball, edge);
  const { dependencies, optionalDependencies } = JSON.parse(await readFile(join(edge, "package.json"), "utf8"));
  for (const name of Object.keys({ ...dependencies, ...optionalDependencies })) {
    await mkdir(dirname(join(packages, name)), { recursive: true });
    await symlink(join(root, "node_modules", name), join(packages, name));
  }
  await mkdir(join(packages, ".bin"));
  const node = Object.keys(optionalDependencies)
    .map((name) => join(packages, name, "bin", "node"))
    .find(existsSync);
  if (node) await symlink(node, join(packages, ".bin", "node"));
  await chmod(join(edge, "tools", "run.mjs"), 0o755);
  await symlink("../airlock-edge/tools/run.mjs", join(packages, ".bin", "airlock"));
  await symlink("../wrangler/bin/wrangler.js", join(packages, ".bin", "wrangler"));
}

/** Runs create-airlock as `npm create airlock` does, below the workshop's folder. */
export async function create({ folder, tarballs, env }: Workshop, ...args: string[]): Promise<Ended> {
  const tool = join(folder, "create-airlock");
  await unpack(tarballs.create, tool);
  return command(folder, env, "node", join(tool, "index.js"), ...args);
}

/** Runs a command to its end. */
export function command(cwd: string, env: NodeJS.ProcessEnv, program: string, ...args: string[]): Promise<Ended> {
  return execute(program, args, { cwd, env, maxBuffer: 1 << 26 }).then(
    ({ stdout, stderr }) => ({ code: 0, output: stdout + stderr }),
    ({ code, stdout, stderr }) => ({ code, output: stdout + stderr }),
  );
}

/** Starts an npm script of a project. */
export function started(cwd: string, env: NodeJS.ProcessEnv, ...args: string[]): Run {
  const child: ChildProcess = spawn("npm", ["run", ...args], { cwd, env, stdio: ["ignore", "pipe", "pipe"] });
  return watched(child);
}
