// Runs commands and reports progress.

import { type SpawnOptions, spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { readFile, writeFile } from "node:fs/promises";
import { extname, join, resolve } from "node:path";
import { text } from "node:stream/consumers";
import { fileURLToPath } from "node:url";

/** Where Airlock's own files are: this repository, or the package airlock-edge. */
export const root = fileURLToPath(new URL("../..", import.meta.url));

/** Whether that is a clone, whose Worker is compiled from its sources. npm publishes no lock file. */
export const isClone = existsSync(join(root, "package-lock.json"));

/**
 * Where a team's files are: airlock.toml, wrangler.toml, supabase/, .dev.vars and all that the commands make of them. A clone
 * has them itself; for the package, run.mjs starts each command in their folder.
 */
export const project = isClone ? root : process.cwd();

/** The path of tools/<name>: TypeScript in this repository, JavaScript in the package. */
export const tool = (name: string): string => join(root, "tools", `${name}${extname(import.meta.filename)}`);

/** A failure whose message needs no stack trace. */
export class Failure extends Error {}

/** The path of a file that the caller names. npm changes the working folder; the file is where the caller is. */
export const callers = (file: string): string => resolve(process.env.INIT_CWD ?? project, file);

/** The text of a file that must be there. */
export function read(path: string): Promise<string> {
  return readFile(path, "utf8").catch(({ code, message }: NodeJS.ErrnoException) => {
    throw new Failure(code === "ENOENT" ? `${path} does not exist.` : `${path} cannot be read: ${message}.`);
  });
}

/** Writes a file that its owner alone may read. */
export function writeSecret(path: string, text: string): Promise<void> {
  return writeFile(path, text, { mode: 0o600 }).catch(({ message }: Error) => {
    throw new Failure(`${path} cannot be written: ${message}.`);
  });
}

/** What is wrong with a command line, and how the command is used. */
export function wrongUsage(error: unknown, usage: string): Failure {
  // What follows parseArgs's first sentence is about arguments in general.
  const [sentence = ""] = (error as Error).message.split(". To specify a positional argument");
  return new Failure(`${/[.?]$/.test(sentence) ? sentence : `${sentence}.`}\n${usage}`);
}

/** Refuses arguments of a command that takes none. */
export function refuseArguments(task: string): void {
  const [first] = process.argv.slice(2);
  if (first !== undefined) throw new Failure(`npm run ${task} takes no ${first}, and no other argument.`);
}

/**
 * Runs a command in the team's folder and returns its stdout, if `options` pipes that. By default all it says goes to
 * stderr: stdout belongs to the task. Fails when the command does.
 */
export async function run(command: string, args: string[], options: SpawnOptions = {}): Promise<string> {
  const child = spawn(command, args, { cwd: project, stdio: ["inherit", 2, 2], ...options });
  const ended = new Promise<void>((resolve, reject) => {
    const fail = (how: string) => reject(new Failure(`\`${[command, ...args].join(" ")}\` ${how}`));
    child.on("error", (error) => fail(`does not start: ${error.message}`));
    child.on("exit", (code, signal) => (code === 0 ? resolve() : fail(`failed (${signal ?? `exit code ${code}`}).`)));
  });
  const [stdout] = await Promise.all([child.stdout ? text(child.stdout) : "", ended]);
  return stdout.trim();
}

/** Runs the command `npm run <name>`. */
export async function runTool(name: string): Promise<void> {
  await run("node", ["--import", tool("setup/preload"), tool(name)], { stdio: "inherit" });
}

/** The stdout of a command; `undefined` when it fails or does not exist. */
export function ask(command: string, args: string[], env = process.env): Promise<string | undefined> {
  return run(command, args, { env, stdio: ["ignore", "pipe", "ignore"] }).catch(() => undefined);
}

/** Refuses options that npm kept: without a -- in front of them it passes on at most their values. */
export function refuseKept(task: string, ...options: string[]): void {
  const kept = options.find((option) => process.env[`npm_config_${option.replaceAll("-", "_")}`] !== undefined);
  if (kept) throw new Failure(`npm took --${kept} for an option of its own. Write -- after "npm run ${task}".`);
}

/** Announces a step that takes long, runs it, says how long it took. */
export async function step<T>(title: string, estimate: string, work: () => Promise<T>): Promise<T> {
  console.error(`airlock: ${title} (once, ${estimate})`);
  const begin = Date.now();
  const result = await work();
  console.error(`airlock: ${title}: done in ${Math.round((Date.now() - begin) / 1000)} s`);
  return result;
}
