// npm run example: examples/expo-notes in a browser, against the development server. Starts that unless it runs, until
// Ctrl-C or SIGTERM.

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { createInterface } from "node:readline";

import { bundleWeb, installApp, kept, serveApp } from "./setup/example.ts";
import { Failure, refuseArguments, root } from "./setup/shell.ts";
import { appSettings, devApp, devVars, number, overrides, places } from "./stack/vars.ts";
import { requireFreePort } from "./stack/worker.ts";

refuseArguments("example");
const { port, supabasePort } = places();
const examplePort = number("EXAMPLE_PORT", 8081, 65535);
const origin = `http://localhost:${examplePort}`;
const airlock = `http://127.0.0.1:${port}`;
await requireFreePort(examplePort, "EXAMPLE_PORT");

const changes = await overrides();
const vars = { ...(await devVars()), ...changes };
devApp(vars);
let stopping: Promise<void> | undefined;
let dev: ChildProcess | undefined;
for (const signal of ["SIGTERM", "SIGINT"]) process.on(signal, () => (stopping ??= stop()));

await installApp();
const settings = appSettings(vars, airlock, process.env.AIRLOCK_UPSTREAM ?? `http://127.0.0.1:${supabasePort}`);
const [folder] = await Promise.all([bundleWeb(settings), running()]);
await serveApp(folder, examplePort);
console.log(`example ready ${origin}`);
console.log("  sign in as alice@example.com or bob@example.com, password airlock-dev-password");

/** Resolves once a development server answers pages of `origin`. */
async function running(): Promise<void> {
  const allowed = await preflight();
  if (allowed === undefined) return startDev();
  if (!allowed) {
    throw new Failure(
      `The server at ${airlock} refuses pages of ${origin}. Add CORS_ORIGINS=${origin} to .dev.vars and start \`npm run dev\` again.`,
    );
  }
}

/** Whether the Worker allows pages of `origin`; `undefined` if no server is there. */
async function preflight(): Promise<boolean | undefined> {
  const headers = { Origin: origin, "Access-Control-Request-Method": "GET" };
  const answer = await fetch(`${airlock}/v1/me`, { method: "OPTIONS", headers }).catch(() => undefined);
  return answer && answer.headers.get("access-control-allow-origin") === origin;
}

async function startDev(): Promise<void> {
  // Allows `origin` too, which an older .dev.vars does not.
  const file = join(kept, "vars");
  const origins = [vars.CORS_ORIGINS, origin].filter((text) => text);
  const lines = Object.entries({ ...changes, CORS_ORIGINS: [...new Set(origins.join(",").split(","))].join(",") });
  await mkdir(kept, { recursive: true });
  await writeFile(file, lines.map(([name, value]) => `${name}=${quoted(value)}\n`).join(""), { mode: 0o600 });

  const preload = new URL("setup/preload.ts", import.meta.url).href;
  const child = spawn(process.execPath, ["--import", preload, join(root, "tools", "dev.ts")], {
    stdio: ["ignore", "pipe", 2],
    env: { ...process.env, AIRLOCK_VARS: file },
  });
  dev = child;
  child.once("exit", (code) => {
    // It has printed why.
    if (!stopping) process.exit(code ?? 1);
  });
  await new Promise<void>((resolve) => {
    if (child.stdout)
      createInterface({ input: child.stdout }).on("line", (line) => {
        console.log(line);
        if (line.startsWith("airlock ready ")) resolve();
      });
  });
}

/** As a value in a file of variables, where a quote cannot be escaped. */
function quoted(value: string): string {
  const quote = ["'", "`", '"'].find((mark) => !value.includes(mark)) ?? "";
  return quote + value + quote;
}

async function stop(): Promise<void> {
  if (dev?.exitCode === null) {
    dev.kill("SIGTERM");
    await once(dev, "exit");
  }
  process.exit();
}
