// Commands, started as a person starts them.

import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";

import { root } from "../../tools/setup/shell.ts";

/** Milliseconds for a start or a restart, which may build the Worker first. */
const PATIENCE = 300_000;

export interface Run {
  child: ChildProcess;
  /** stdout and stderr. */
  output: string;
  stdout: string;
  ended: Promise<number | null>;
}

const children = new Set<ChildProcess>();

/** Ends processes that a failed test has left. */
export function killAll(): void {
  for (const child of children) child.kill();
}

export function npm(args: string[], env: NodeJS.ProcessEnv): Run {
  return watched(spawn("npm", args, { env, stdio: ["ignore", "pipe", "pipe"] }));
}

/** Runs `npm run <task>` without npm in front of it, which takes half a second. */
export function task(args: string[], env: NodeJS.ProcessEnv): Run {
  return watched(
    spawn(process.execPath, [join(root, "tools", "run.mjs"), ...args], { env, stdio: ["ignore", "pipe", "pipe"] }),
  );
}

export function watched(child: ChildProcess): Run {
  children.add(child);
  const run: Run = {
    child,
    output: "",
    stdout: "",
    ended: once(child, "close").then(([code]) => code as number | null),
  };
  child.stdout?.on("data", (chunk: Buffer) => (run.stdout += chunk.toString()));
  for (const stream of [child.stdout, child.stderr])
    stream?.on("data", (chunk: Buffer) => (run.output += chunk.toString()));
  return run;
}

/** The exit code. A command that does not end fails the test. */
export async function end(run: Run): Promise<number | null> {
  const late = setTimeout(() => run.child.kill("SIGKILL"), PATIENCE);
  const code = await run.ended;
  clearTimeout(late);
  assert.ok(run.child.signalCode !== "SIGKILL", `it did not end:\n${run.output}`);
  return code;
}

/** Waits for a line of the output. */
export async function output(run: Run, line: RegExp): Promise<void> {
  const began = Date.now();
  while (!line.test(run.output)) {
    assert.ok(run.child.exitCode === null && run.child.signalCode === null, `it ended:\n${run.output}`);
    assert.ok(Date.now() - began < PATIENCE, `no ${line} in:\n${run.output}`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

/** Whether something listens there. */
export async function answers(port: string | undefined, host = "127.0.0.1"): Promise<boolean> {
  return fetch(`http://${host}:${port}/`).then(
    () => true,
    () => false,
  );
}

export async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}
