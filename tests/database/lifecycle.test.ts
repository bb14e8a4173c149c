// The embedded Supabase as its own process: the data that it keeps, and its message when it cannot start.

import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { mkdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, afterEach, before, test } from "node:test";
import { fileURLToPath } from "node:url";

import { openDatabase } from "../../tools/supabase/database.ts";
import { preparedFolder } from "../../tools/supabase/prepared.ts";
import { jwtSecret, publishableKey, signIn, temporaryFolder } from "./support.ts";

const PROGRAM = fileURLToPath(new URL("../../tools/supabase.ts", import.meta.url));

let dataDir: string;
const children = new Set<ChildProcess>();
before(async () => {
  dataDir = await preparedFolder("airlock-database-");
  // A table of this test, so that it needs none of the project's.
  const { connection, close } = await openDatabase(dataDir, false);
  await connection.driver.exec(
    "create table public.kept (title text); grant select, insert on public.kept to authenticated",
  );
  await close();
});
afterEach(() => {
  for (const child of children) child.kill("SIGKILL");
  children.clear();
});
after(() => rm(dataDir, { recursive: true }));

interface Running {
  url: string;
  process: ChildProcess;
}

interface Setting {
  dataDir?: string;
  port?: number;
  fresh?: boolean;
}

function run({ port = 0, fresh = false, ...setting }: Setting = {}): ChildProcess {
  const child = spawn(process.execPath, [PROGRAM, ...(fresh ? ["--fresh"] : [])], {
    env: {
      ...process.env,
      SUPABASE_PORT: String(port),
      AIRLOCK_DATA: setting.dataDir ?? dataDir,
      SUPABASE_JWT_SECRET: jwtSecret,
      SUPABASE_PUBLISHABLE_KEY: publishableKey,
    },
    stdio: ["ignore", "pipe", "pipe", "ipc"],
  });
  children.add(child);
  return child;
}

async function start(setting?: Setting): Promise<Running> {
  const child = run(setting);
  let output = "";
  child.stderr?.on("data", (chunk) => (output += chunk));
  for await (const chunk of child.stdout ?? []) {
    output += chunk;
    const url = /^supabase ready (http:\S+)$/m.exec(output)?.[1];
    if (url) return { url, process: child };
  }
  throw new Error(output);
}

/** The message of a server that does not start. */
async function refusal(setting?: Setting): Promise<string> {
  const child = run(setting);
  let stderr = "";
  child.stderr?.on("data", (chunk) => (stderr += chunk));
  const [code] = await once(child, "close");
  assert.equal(code, 1);
  assert.doesNotMatch(stderr, /\n\s+at /, "no stack trace");
  return stderr;
}

async function end({ process }: Running, signal: NodeJS.Signals): Promise<number | null> {
  const closed = once(process, "close");
  process.kill(signal);
  const [code] = await closed;
  return code;
}

async function titles(url: string): Promise<string[]> {
  const { client } = await signIn(url, "alice");
  const { data } = await client.from("kept").select("title").throwOnError();
  return data.map(({ title }) => title);
}

test("acknowledged writes survive SIGTERM and SIGKILL", async () => {
  let supabase = await start();
  const alice = await signIn(supabase.url, "alice");
  await alice.client.from("kept").insert({ title: "before SIGTERM" }).throwOnError();
  assert.equal(await end(supabase, "SIGTERM"), 0);
  assert.ok(!existsSync(join(dataDir, "pglite.lock")));

  supabase = await start();
  const { client } = await signIn(supabase.url, "alice");
  const acknowledged = ["before SIGTERM"];
  // Three at a time, so that some are in flight when it is killed.
  async function write(writer: number): Promise<void> {
    for (let i = 0; ; i++) {
      const title = `${writer}: ${i}`;
      const { error } = await client.from("kept").insert({ title });
      if (error) return;
      if (acknowledged.push(title) === 20) supabase.process.kill("SIGKILL");
    }
  }
  const killed = once(supabase.process, "exit");
  await Promise.all([write(1), write(2), write(3)]);
  // Its connections break before the process is gone, and a running one keeps its data folder.
  await killed;

  const { connection, close } = await openDatabase(dataDir, false);
  const { rows } = await connection.driver.query<{ title: string }>("select title from public.kept");
  await close();
  const kept = rows.map(({ title }) => title);
  assert.deepEqual(
    acknowledged.filter((title) => !kept.includes(title)),
    [],
  );
});

test("a second process is kept out of the data folder and off the port until the first ends with its parent", async () => {
  const supabase = await start();
  const inUse = await refusal();
  assert.match(inUse, new RegExp(`in use by process ${supabase.process.pid}`));

  const other = await temporaryFolder();
  const taken = await refusal({ dataDir: other, port: Number(new URL(supabase.url).port) });
  assert.match(taken, /^Port \d+ is taken: .* SUPABASE_PORT .*\n$/);
  await rm(other, { recursive: true });

  assert.ok((await titles(supabase.url)).length > 0);
  // It ends with the process that started it.
  const exited = once(supabase.process, "exit");
  supabase.process.disconnect();
  assert.deepEqual(await exited, [0, null]);
});

test("a database with other migrations or damage is refused in a sentence", async () => {
  const { connection, close } = await openDatabase(dataDir, false);
  await connection.driver.exec(
    "insert into supabase_migrations.schema_migrations (version, statements) values ('29990101000000', '{}')",
  );
  await close();
  assert.match(await refusal(), /lacks \(29990101000000\)\. Start with --fresh/);

  await writeFile(join(dataDir, "pglite", "global", "pg_control"), "");
  assert.match(await refusal(), /can't be opened .* start with --fresh/);

  const file = join(dataDir, "file");
  await writeFile(file, "");
  assert.match(await refusal({ dataDir: file }), /can't be created/);
});

test("--fresh starts with an empty database and keeps other files", async () => {
  await mkdir(join(dataDir, "mine"));
  const supabase = await start({ fresh: true });
  await assert.rejects(titles(supabase.url));
  assert.ok(existsSync(join(dataDir, "mine")));
  await end(supabase, "SIGTERM");
});
