// npm run dev, npm run request and npm run job, run as a person runs them.

import assert from "node:assert/strict";
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";

import { createClient } from "@supabase/supabase-js";

import { devVars, required } from "../../tools/stack/vars.ts";

interface Run {
  child: ChildProcess;
  output: string;
  ended: Promise<number | null>;
}

const children = new Set<ChildProcess>();
let scratch: string;
let environment: NodeJS.ProcessEnv;

before(async () => {
  scratch = await mkdtemp(join(tmpdir(), "airlock-dev-"));
  environment = {
    ...process.env,
    AIRLOCK_PORT: String(await freePort()),
    SUPABASE_PORT: String(await freePort()),
    AIRLOCK_DATA: join(scratch, "data"),
  };
});

after(async () => {
  for (const child of children) child.kill();
  await rm(scratch, { recursive: true, force: true });
});

test("it serves both, loses nothing over a restart and leaves nothing running", async () => {
  const first = npm(["run", "dev"], environment);
  await ready(first);
  assert.match(first.output, new RegExp(`^airlock ready http://127.0.0.1:${environment["AIRLOCK_PORT"]}$`, "m"));

  const created = await request("POST", "/v1/notes", '{"title":"hello"}');
  assert.match(created, /^HTTP 201$/m);
  assert.match(created, /^etag: "1"$/m);
  assert.doesNotMatch(await request("GET", "/v1/notes", "--as", "bob"), /hello/);
  assert.match(await request("GET", "/v1/me", "--no-token"), /^HTTP 401$/m);

  const job = npm(["run", "job", "--", "purge"], environment);
  assert.equal(await job.ended, 0, job.output);
  assert.equal(job.output.match(/^\{"event":"job","label":"job:purge-[a-z-]+",.*"outcome":"done",.*\}$/gm)?.length, 4, job.output);
  await stop(first);

  const second = npm(["run", "dev"], environment);
  await ready(second);
  assert.match(await request("GET", "/v1/notes"), /"title": "hello"/);
  await stop(second, "SIGINT");

  const fresh = npm(["run", "dev", "--", "--fresh"], environment);
  await ready(fresh);
  assert.match(await request("GET", "/v1/notes"), /"data": \[\]/);
  await stop(fresh);
});

test("a port that is taken is named, with the variable that sets another", async (context) => {
  const other = createServer().listen(0, "127.0.0.1");
  context.after(() => other.close());
  await once(other, "listening");
  const taken = String((other.address() as AddressInfo).port);
  for (const name of ["AIRLOCK_PORT", "SUPABASE_PORT"]) {
    const dev = npm(["run", "dev"], { ...environment, [name]: taken });
    assert.notEqual(await dev.ended, 0);
    assert.match(dev.output, new RegExp(`Port ${taken} is taken: .*${name}`));
  }
});

test("settings that are none are refused by name", async () => {
  for (const [name, value] of [
    ["AIRLOCK_PORT", "http"],
    ["SUPABASE_PORT", "70000"],
    ["AIRLOCK_LIMIT_IP", "-1"],
    ["AIRLOCK_VARS", join(scratch, "absent")],
  ] as const) {
    const dev = npm(["run", "dev"], { ...environment, [name]: value });
    assert.notEqual(await dev.ended, 0, name);
    assert.match(dev.output, new RegExp(name === "AIRLOCK_VARS" ? value : name));
  }
});

test("AIRLOCK_UPSTREAM takes the place of the embedded Supabase, AIRLOCK_VARS and the limits are obeyed", async (context) => {
  const upstream: Server = createServer((_, response) => response.end("{}")).listen(0, "127.0.0.1");
  context.after(() => upstream.close());
  await once(upstream, "listening");
  const vars = join(scratch, "vars");
  await writeFile(vars, `APP_GUARD='{"default":"off","apps":{}}'\n`);
  const dev = npm(["run", "dev"], {
    ...environment,
    AIRLOCK_UPSTREAM: `http://127.0.0.1:${(upstream.address() as AddressInfo).port}`,
    AIRLOCK_VARS: vars,
    AIRLOCK_LIMIT_IP: "2",
  });
  await ready(dev);
  const statuses: number[] = [];
  // Twice the limit and one more: the count begins anew with each minute, which may be now.
  for (let i = 0; i < 5; i += 1) {
    const { status } = await fetch(`http://127.0.0.1:${environment["AIRLOCK_PORT"]}/v1/me`);
    statuses.push(status);
  }
  assert.deepEqual(statuses.slice(0, 2), [401, 401], "unsigned requests pass an open door to the second one");
  assert.ok(statuses.includes(429), `limited: ${statuses}`);
  assert.equal(await answers(environment["SUPABASE_PORT"]), false, "no embedded Supabase");
  await stop(dev);
});

test("EDGE_PROOF_SECRET alone turns on edge-only mode, and off again when it is gone", async () => {
  const vars = join(scratch, "edge-only");
  await writeFile(vars, `EDGE_PROOF_SECRET=${"s".repeat(32)}\n`);
  for (const [setting, expected] of [[{ AIRLOCK_VARS: vars }, 0], [{}, 1]] as const) {
    const dev = npm(["run", "dev", "--", "--fresh"], { ...environment, ...setting });
    await ready(dev);
    assert.match(await request("POST", "/v1/notes", '{"title":"hello"}'), /^HTTP 201$/m);
    assert.match(await request("GET", "/v1/notes"), /"title": "hello"/);
    assert.equal(await direct(), expected);
    await stop(dev);
  }
});

test("without a server the request and the job say what to do", async () => {
  for (const args of [["request", "--", "GET", "/health", "--no-token"], ["request", "--", "GET", "/health", "--as", "bob"], ["job", "--", "purge"]]) {
    const run = npm(["run", ...args], environment);
    assert.notEqual(await run.ended, 0);
    assert.match(run.output, /Is `npm run dev` running\?/);
  }
});

test("a request or a job that was not meant is refused with what is wrong", async () => {
  for (const [[task, ...args], says] of [
    [["job"], /The one job is purge/],
    [["job", "everything"], /The one job is purge/],
    [["job", "purge", "--now"], /npm run job -- purge/],
    [["request", "GET"], /A request is a METHOD and a PATH/],
    [["request", "GET", "/v1/notes", "bob"], /GET has no body/],
    [["request", "GET", "/v1/notes", "--as", "mallory"], /alice and bob/],
    [["request", "PATCH", "/v1/notes", "{}", "--header", "If-Match"], /--header takes 'Name: value'/],
    [["request", "GET", "/v1/me", "--header", "Authorization: Bearer x"], /makes itself/],
  ] as const) {
    const run = npm(["run", task, "--", ...args], environment);
    assert.notEqual(await run.ended, 0);
    assert.match(run.output, says);
  }
});

function npm(args: string[], env: NodeJS.ProcessEnv): Run {
  const child = spawn("npm", args, { env, stdio: ["ignore", "pipe", "pipe"] });
  children.add(child);
  const run: Run = { child, output: "", ended: once(child, "close").then(([code]) => code as number | null) };
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (chunk: Buffer) => (run.output += chunk.toString()));
  return run;
}

async function ready(run: Run): Promise<void> {
  let ended = false;
  void run.ended.then(() => (ended = true));
  while (!/^airlock ready /m.test(run.output)) {
    assert.ok(!ended, `it ended:\n${run.output}`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

async function stop(run: Run, signal: "SIGTERM" | "SIGINT" = "SIGTERM"): Promise<void> {
  run.child.kill(signal);
  assert.equal(await run.ended, 0, `it did not end by itself:\n${run.output}`);
  assert.equal(existsSync(join(scratch, "data", "pglite.lock")), false, "the database was closed");
  for (const name of ["AIRLOCK_PORT", "SUPABASE_PORT"]) {
    assert.equal(await answers(environment[name]), false, `${name} still answers`);
  }
}

async function request(...args: string[]): Promise<string> {
  const run = npm(["run", "request", "--", ...args], environment);
  await run.ended;
  return run.output;
}

/** How many notes alice gets from the embedded Supabase itself. */
async function direct(): Promise<number> {
  const { SUPABASE_PUBLISHABLE_KEY } = required(await devVars(), "SUPABASE_PUBLISHABLE_KEY");
  const supabase = createClient(`http://127.0.0.1:${environment["SUPABASE_PORT"]}`, SUPABASE_PUBLISHABLE_KEY, { auth: { persistSession: false, autoRefreshToken: false } });
  await supabase.auth.signInWithPassword({ email: "alice@example.com", password: "airlock-dev-password" });
  const { data } = await supabase.from("notes").select("id").throwOnError();
  return data.length;
}

async function answers(port: string | undefined): Promise<boolean> {
  return fetch(`http://127.0.0.1:${port}/`).then(
    () => true,
    () => false,
  );
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}
