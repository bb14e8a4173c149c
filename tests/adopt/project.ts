// A copy of the project whose checker is built, without resources, to run commands in.

import { execFile } from "node:child_process";
import { cp, mkdtemp, readdir, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";

import { root } from "../../tools/setup/shell.ts";

export interface Project {
  migrations: string;
  /** Leaves this airlock.toml, and the migrations of the core. */
  reset(toml: string): Promise<void>;
  /** Runs a command; returns all that it prints. */
  command(task: string, args: string[]): Promise<{ code: number; output: string }>;
  toml(): Promise<string>;
  /** The migrations that adopt wrote, in order. */
  adopted(): Promise<string[]>;
  remove(): Promise<void>;
}

export async function makeProject(): Promise<Project> {
  const project = await mkdtemp(join(tmpdir(), "airlock-adopt-"));
  const migrations = join(project, "supabase", "migrations");
  for (const name of ["tools", "supabase", "build", "package.json", "package-lock.json", join("bench", "budget.ts"), join(".airlock", "inspect.mjs")]) await cp(join(root, name), join(project, name), { recursive: true });
  await symlink(join(root, "node_modules"), join(project, "node_modules"));
  await writeFile(join(project, "tools", "setup", "worker.ts"), "export const buildModule = async () => {}; export const build = buildModule; export const outputs = [];");
  await rm(join(project, "tools", "generate.ts"));
  return {
    migrations,
    async reset(toml) {
      await writeFile(join(project, "airlock.toml"), toml);
      for (const file of await readdir(migrations)) if (!/_airlock(_|\.)/.test(file)) await rm(join(migrations, file));
    },
    command(task, args) {
      const node = ["--import", join(project, "tools", "setup", "preload.ts"), join(project, "tools", `${task}.ts`), ...args];
      return promisify(execFile)(process.execPath, node, { cwd: project }).then(
        ({ stdout, stderr }) => ({ code: 0, output: stdout + stderr }),
        ({ code, stdout, stderr }) => ({ code, output: stdout + stderr }),
      );
    },
    toml: () => readFile(join(project, "airlock.toml"), "utf8"),
    adopted: async () => (await readdir(migrations)).filter((file) => /_adopt\.sql$/.test(file)).sort(),
    remove: () => rm(project, { recursive: true }),
  };
}
