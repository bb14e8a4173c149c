// npm run dev: the embedded Supabase and the Worker on workerd, until Ctrl-C or SIGTERM. When src/ or airlock.toml
// changes, the Worker is built and started again; the database stays.
//
//     npm run dev [-- --fresh]      --fresh starts with a new data folder

import { type ChildProcess, fork } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { watch } from "node:fs";
import { readFile } from "node:fs/promises";
import { connect, createServer, isIP } from "node:net";
import { networkInterfaces } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { parseArgs } from "node:util";

import { renderUnicodeCompact } from "uqr";

import { buildDeclaration, checkedDeclaration } from "./declaration.ts";
import { Failure, isClone, project, refuseKept, root, tool, wrongUsage } from "./setup/shell.ts";
import { build, outputs } from "./setup/worker.ts";
import {
  appSettings,
  attestMode,
  devVars,
  number,
  overrides,
  places,
  required,
  type Vars,
  withAttest,
} from "./stack/vars.ts";
import { requireFreePort, startWorker, type Worker } from "./stack/worker.ts";
import { KEY_SET } from "./supabase/app-check.ts";

const options = parseOptions();
const { port, supabasePort, dataDir, host } = places();
const everywhere = host === "0.0.0.0" || host === "::";
/** Where both servers listen. The Worker reaches Supabase by loopback, since it refuses http to other addresses. */
const listenOn = everywhere ? host : "127.0.0.1";
const limits = { ip: number("AIRLOCK_LIMIT_IP", 100_000), user: number("AIRLOCK_LIMIT_USER", 100_000) };
const upstream = process.env.AIRLOCK_UPSTREAM;
if (upstream && attestMode() !== "off")
  throw new Failure(
    "AIRLOCK_ATTEST needs the embedded Supabase, which stands in for App Check. Leave out AIRLOCK_UPSTREAM.",
  );
await requireFreePort(port, "AIRLOCK_PORT", listenOn);
if (!upstream) await requireFreePort(supabasePort, "SUPABASE_PORT", listenOn);

const vars = await devVars();
const changes = await overrides();
let worker: Worker | undefined;
/** Digest of the files that the Worker was started from. */
let serving: string | undefined;
let stopping: Promise<void> | undefined;
const supabase = upstream ? undefined : startSupabase();
for (const signal of ["SIGTERM", "SIGINT"]) process.on(signal, () => (stopping ??= stop()));

const [supabaseUrl = ""] = await Promise.all([supabase?.ready ?? upstream, build()]);
await serve();
if (!everywhere && host !== "127.0.0.1") {
  await forward(port);
  if (!upstream) await forward(supabasePort);
}
watchSources();

// One write, so that a reader that waits for the first line has all of them.
console.log([`airlock ready http://127.0.0.1:${port}`, ...(await details())].join("\n"));

async function details(): Promise<string[]> {
  const phones = host === "127.0.0.1" ? [] : forPhones(everywhere ? lanAddresses() : [host]);
  if (upstream) return [`  upstream  ${upstream}`, ...phones];
  return [
    `  Supabase  ${supabaseUrl}  users alice@example.com and bob@example.com, password airlock-dev-password`,
    `  try it    ${environmentPrefix()}npm run request -- ${await exampleRequest()}`,
    ...phones,
  ];
}

/** The request of the README, or one that any declaration serves. */
async function exampleRequest(): Promise<string> {
  const { resources } = await checkedDeclaration();
  const [first] = resources.filter(({ owner, under }) => owner !== "org" && !under);
  if (first?.name === "notes") return `POST /v1/notes '{"title":"hello"}'`;
  return `GET /v1/${first?.name ?? "me"}`;
}

/** Settings of an Expo app on a phone: the addresses of both servers, and a code that opens the app in Expo Go. */
function forPhones(addresses: string[]): string[] {
  const [address] = addresses;
  if (address === undefined) return [];
  const settings = appSettings(
    { ...vars, ...changes },
    `http://${inUrl(address)}:${port}`,
    upstream ?? `http://${inUrl(address)}:${supabasePort}`,
  );
  const metro = `exp://${inUrl(address)}:8081`;
  return [
    ...addresses.map((one) => `  phones    http://${inUrl(one)}:${port}`),
    "\nFor the app's .env.local:\n",
    ...Object.entries(settings).map(([name, value]) => `${name}=${value}`),
    `\nWhile \`npx expo start\` runs for the app, Expo Go opens ${metro}:\n`,
    renderUnicodeCompact(metro),
  ];
}

/** Starts the Worker from the files that were built last. */
async function serve(): Promise<void> {
  const digest = await digestOfOutputs();
  await worker?.stop();
  worker = undefined;
  const all: Vars = {
    ...vars,
    SUPABASE_URL: supabaseUrl,
    ...(!upstream && { APP_CHECK_JWKS_URL: supabaseUrl + KEY_SET }),
    ...changes,
  };
  worker = await startWorker({
    port,
    host: listenOn,
    limits,
    vars: { ...all, ...(all.APP_GUARD && { APP_GUARD: withAttest(all.APP_GUARD) }) },
  });
  serving = digest;
  // Any answer will do: a configuration that the Worker refuses should be served, too.
  await fetch(`http://127.0.0.1:${port}/health`);
}

/** Builds and serves again after a change. Errors are shown, and the next change is waited for. */
function watchSources(): void {
  let sourcesChanged = false;
  let timer: NodeJS.Timeout | undefined;
  let last = Promise.resolve();
  const changed = () => {
    clearTimeout(timer);
    // An editor writes several files at once.
    timer = setTimeout(() => (last = last.then(update)), 200);
  };
  const update = async () => {
    if (stopping) return;
    const sources = sourcesChanged;
    sourcesChanged = false;
    try {
      await (sources ? build() : buildDeclaration());
      if (stopping || (await digestOfOutputs()) === serving) return;
      await serve();
      console.log("airlock: serving the changed Worker");
    } catch (error) {
      sourcesChanged ||= sources;
      console.error(error instanceof Failure ? `airlock: ${error.message}` : error);
    }
  };
  if (isClone) {
    watch(join(root, "src"), { recursive: true }, () => {
      sourcesChanged = true;
      changed();
    });
  }
  // The folder and not the file, which editors replace.
  watch(project, (_, name) => {
    if (name === "airlock.toml") changed();
  });
  let said: NodeJS.Timeout | undefined;
  watch(join(project, "supabase", "migrations"), () => {
    clearTimeout(said);
    // Writing one file is several events.
    said = setTimeout(
      () => console.error("airlock: supabase/migrations has changed. Start `npm run dev` again to apply it."),
      200,
    );
  });
}

async function digestOfOutputs(): Promise<string> {
  const hash = createHash("sha256");
  for (const file of outputs) hash.update(await readFile(join(project, file)));
  return hash.digest("hex");
}

/** Passes connections to `host` on to the server on loopback. */
async function forward(to: number): Promise<void> {
  const server = createServer((client) => {
    const target = connect(to, "127.0.0.1");
    for (const [from, into] of [
      [client, target],
      [target, client],
    ] as const) {
      from.pipe(into);
      from.on("error", () => into.destroy());
    }
  });
  server.listen(to, host);
  await once(server, "listening").catch((error: Error) => {
    throw new Failure(`AIRLOCK_HOST: ${error.message}`);
  });
}

/** The IPv4 addresses of this machine that others can reach. */
function lanAddresses(): string[] {
  const all = Object.values(networkInterfaces()).flatMap((addresses) => addresses ?? []);
  return all.filter(({ family, internal }) => family === "IPv4" && !internal).map(({ address }) => address);
}

function inUrl(address: string): string {
  return isIP(address) === 6 ? `[${address}]` : address;
}

async function stop(): Promise<void> {
  // The Worker first, so no request meets a closed database.
  await worker?.stop();
  await supabase?.stop();
  process.exit();
}

function parseOptions(): { fresh: boolean } {
  refuseKept("dev", "fresh");
  try {
    return parseArgs({ options: { fresh: { type: "boolean", default: false } } }).values;
  } catch (error) {
    throw wrongUsage(error, "npm run dev [-- --fresh]");
  }
}

/** Starts it as its own process, because a slow query holds up everything else in the same one. */
function startSupabase(): { ready: Promise<string>; stop(): Promise<void> } {
  // An override with an empty value is for the Worker alone; a database without keys would be useless.
  const given = Object.entries(changes).filter(([, value]) => value !== "");
  const settings: Vars = { ...vars, ...Object.fromEntries(given) };
  const needed = required(settings, "SUPABASE_JWT_SECRET", "SUPABASE_PUBLISHABLE_KEY");
  const child: ChildProcess = fork(tool("supabase"), options.fresh ? ["--fresh"] : [], {
    execArgv: [],
    stdio: ["ignore", "pipe", 2, "ipc"],
    env: {
      ...process.env,
      SUPABASE_PORT: String(supabasePort),
      AIRLOCK_HOST: listenOn,
      AIRLOCK_DATA: dataDir,
      ...needed,
      // .dev.vars may be older than the first job.
      SUPABASE_SECRET_KEY: settings.SUPABASE_SECRET_KEY ?? "",
      EDGE_PROOF_SECRET: settings.EDGE_PROOF_SECRET ?? "",
    },
  });
  const ended = once(child, "exit").then(() => {
    // It has printed why. Without a database there is nothing to serve.
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

/** The variables to put before a command so that it finds this server. */
function environmentPrefix(): string {
  return ["AIRLOCK_PORT", "SUPABASE_PORT"]
    .filter((name) => process.env[name])
    .map((name) => `${name}=${process.env[name]} `)
    .join("");
}
