// Runs commands and reports progress.

import { spawn, type SpawnOptions } from "node:child_process";
import { text } from "node:stream/consumers";
import { fileURLToPath } from "node:url";

export const root = fileURLToPath(new URL("../..", import.meta.url));

/** A failure whose message needs no stack trace. */
export class Failure extends Error {}

/**
 * Runs a command from the project's folder and returns what it prints on stdout, if `options` pipes that.
 * By default all it says goes to stderr: stdout belongs to the task. Fails when the command does.
 */
export async function run(command: string, args: string[], options: SpawnOptions = {}): Promise<string> {
  const child = spawn(command, args, { cwd: root, stdio: ["inherit", 2, 2], ...options });
  const ended = new Promise<void>((resolve, reject) => {
    const fail = (how: string) => reject(new Failure(`\`${[command, ...args].join(" ")}\` ${how}`));
    child.on("error", (error) => fail(`does not start: ${error.message}`));
    child.on("exit", (code, signal) => (code === 0 ? resolve() : fail(`failed (${signal ?? `exit code ${code}`}).`)));
  });
  const [stdout] = await Promise.all([child.stdout ? text(child.stdout) : "", ended]);
  return stdout.trim();
}

/** What a command prints on stdout; `undefined` when it fails or does not exist. */
export function ask(command: string, args: string[], env = process.env): Promise<string | undefined> {
  return run(command, args, { env, stdio: ["ignore", "pipe", "ignore"] }).catch(() => undefined);
}

/** Refuses options that npm kept: without a -- in front of them it passes on at most their values. */
export function refuseKept(task: string, ...options: string[]): void {
  const kept = options.find((option) => process.env[`npm_config_${option}`] !== undefined);
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
