// npm run dev: the embedded Supabase and the Worker on workerd, until Ctrl-C or SIGTERM.
//
//     npm run dev [-- --fresh]      --fresh starts with a new data folder

import { fork, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { parseArgs } from "node:util";

import { Failure, root } from "./setup/shell.ts";
import { build } from "./setup/worker.ts";
import { devVars, number, overrides, places, required, type Vars } from "./stack/vars.ts";
import { requireFreePort, startWorker, type Worker } from "./stack/worker.ts";

const options = parseOptions();
const { port, supabasePort, dataDir } = places();
const limits = { ip: number("AIRLOCK_LIMIT_IP", 100_000), user: number("AIRLOCK_LIMIT_USER", 100_000) };
const upstream = process.env["AIRLOCK_UPSTREAM"];
await requireFreePort(port, "AIRLOCK_PORT");
if (!upstream) await requireFreePort(supabasePort, "SUPABASE_PORT");

const vars = await devVars();
const changes = await overrides();
let worker: Worker | undefined;
let stopping: Promise<void> | undefined;
const supabase = upstream ? undefined : startSupabase();
for (const signal of ["SIGTERM", "SIGINT"]) process.on(signal, () => (stopping ??= stop()));

const [supabaseUrl] = await Promise.all([supabase?.ready ?? upstream, build()]);
const storage = join(dataDir, "worker");
// Used nonces outlive a restart. Miniflare would also keep the limiters' counts, which nobody expects.
await rm(options.fresh ? storage : join(storage, "ratelimit"), { recursive: true, force: true });
worker = await startWorker({
  port,
  limits,
  dataDir: storage,
  vars: { ...vars, SUPABASE_URL: supabaseUrl ?? "", ...changes },
});
// It answers, whatever it answers: a configuration that it refuses is a thing to try, too.
await fetch(`${worker.url}/health`);

console.log(`airlock ready ${worker.url}`);
if (upstream) {
  console.log(`  upstream  ${upstream}`);
} else {
  console.log(`  Supabase  ${supabaseUrl}  users alice@example.com and bob@example.com, password airlock-dev-password`);
  console.log(`  try it    ${portsInFront()}npm run request -- POST /v1/notes '{"title":"hello"}'`);
}

async function stop(): Promise<void> {
  // The Worker first: what it has acknowledged is in the database, which then closes in peace.
  await worker?.stop();
  await supabase?.stop();
  process.exit();
}

function parseOptions(): { fresh: boolean } {
  try {
    return parseArgs({ options: { fresh: { type: "boolean", default: false } } }).values;
  } catch (error) {
    throw new Failure(`${(error as Error).message}\nnpm run dev [-- --fresh]`);
  }
}

/** In a process of its own: a slow query holds up everything else in the same one. */
function startSupabase(): { ready: Promise<string>; stop(): Promise<void> } {
  // What is overridden with nothing is missing to the Worker alone: a database without keys would be of no use.
  const given = Object.entries(changes).filter(([, value]) => value !== "");
  const settings: Vars = { ...vars, ...Object.fromEntries(given) };
  const needed = required(settings, "SUPABASE_JWT_SECRET", "SUPABASE_PUBLISHABLE_KEY");
  const child: ChildProcess = fork(join(root, "tools/supabase.ts"), options.fresh ? ["--fresh"] : [], {
    execArgv: [],
    stdio: ["ignore", "pipe", 2, "ipc"],
    env: {
      ...process.env,
      SUPABASE_PORT: String(supabasePort),
      AIRLOCK_DATA: dataDir,
      ...needed,
      // .dev.vars may be older than the first job.
      SUPABASE_SECRET_KEY: settings["SUPABASE_SECRET_KEY"] ?? "",
      EDGE_PROOF_SECRET: settings["EDGE_PROOF_SECRET"] ?? "",
    },
  });
  const ended = once(child, "exit").then(() => {
    // It has said why. Without a database there is nothing to serve.
    if (!stopping) process.exit(1);
  });
  const ready = new Promise<string>((resolve) => {
    if (!child.stdout) return;
    createInterface({ input: child.stdout }).on("line", (line) => {
      const url = /^supabase ready (\S+)$/.exec(line)?.[1];
      if (url) resolve(url);
      else console.log(line);
    });
  });
  return {
    ready,
    async stop() {
      child.kill("SIGTERM");
      await ended;
    },
  };
}

/** What to put before a command so that it finds this server. */
function portsInFront(): string {
  return ["AIRLOCK_PORT", "SUPABASE_PORT"]
    .filter((name) => process.env[name])
    .map((name) => `${name}=${process.env[name]} `)
    .join("");
}
