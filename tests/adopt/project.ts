// A copy of the project whose checker is built, without resources, to run commands in.

import assert from "node:assert/strict";
import { execFile, spawn } from "node:child_process";
import { readdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify, stripVTControlCharacters } from "node:util";

import { copyProject } from "../support/project.ts";

export interface Project {
  migrations: string;
  /** Leaves this airlock.toml, and the migrations of the core. */
  reset(toml: string): Promise<void>;
  /** Runs a command; returns all that it prints. */
  command(task: string, args: string[]): Promise<{ code: number; output: string }>;
  /** Runs a command in a terminal of its own, and answers each of its questions. */
  inTerminal(task: string, args: string[], answers: string[]): Promise<{ code: number; output: string }>;
  toml(): Promise<string>;
  /** The files with indexes that are made outside of a transaction. */
  indexes: string;
  /** The migrations that adopt wrote, in order. */
  adopted(): Promise<string[]>;
  remove(): Promise<void>;
}

/** `name`: of the file of tests. */
export async function makeProject(name: string): Promise<Project> {
  const project = await copyProject(name);
  const migrations = join(project, "supabase", "migrations");
  const indexes = join(project, "supabase", "indexes");
  const nodeOf = (task: string, args: string[]) => [
    "--import",
    join(project, "tools", "setup", "preload.ts"),
    join(project, "tools", `${task}.ts`),
    ...args,
  ];
  return {
    migrations,
    indexes,
    async reset(toml) {
      await writeFile(join(project, "airlock.toml"), toml);
      await rm(indexes, { recursive: true, force: true });
      for (const file of await readdir(migrations)) if (!/_airlock(_|\.)/.test(file)) await rm(join(migrations, file));
    },
    command(task, args) {
      return promisify(execFile)(process.execPath, nodeOf(task, args), { cwd: project }).then(
        ({ stdout, stderr }) => ({ code: 0, output: stdout + stderr }),
        ({ code, stdout, stderr }) => ({ code, output: stdout + stderr }),
      );
    },
    async inTerminal(task, args, answers) {
      const words = [process.execPath, ...nodeOf(task, args)];
      const quoted = words.map((word) => `'${word.replaceAll("'", "'\\''")}'`).join(" ");
      const child = spawn(
        "script",
        process.platform === "darwin" ? ["-q", "/dev/null", ...words] : ["-qec", quoted, "/dev/null"],
        { cwd: project },
      );
      const left = [...answers];
      let output = "";
      let asked = 0;
      child.stdout.on("data", (chunk: Buffer) => {
        output += chunk.toString();
        for (const questions = output.split("[y/N] ").length - 1; asked < questions; asked++)
          child.stdin.write(`${left.shift()}\n`);
      });
      const code = await new Promise<number>((resolve, reject) => child.on("error", reject).on("close", resolve));
      assert.deepEqual(left, [], `not asked in:\n${output}`);
      return { code, output: stripVTControlCharacters(output).replace(/\r+\n/g, "\n") };
    },
    toml: () => readFile(join(project, "airlock.toml"), "utf8"),
    adopted: async () => (await readdir(migrations)).filter((file) => /_adopt\.sql$/.test(file)).sort(),
    remove: () => rm(project, { recursive: true }),
  };
}
