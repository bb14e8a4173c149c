// npm run dev, npm run request and npm run job, started as a person starts them.

import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { appendFile, cp, mkdir, mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { networkInterfaces, tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { after, before, type TestContext, test } from "node:test";
import { parseEnv } from "node:util";

import { createClient } from "@supabase/supabase-js";
import { renderUnicodeCompact } from "uqr";

import { createAirlock, supabaseToken } from "../../client/src/index.ts";
import { checkedDeclaration } from "../../tools/declaration.ts";
import { root } from "../../tools/setup/shell.ts";
import { devVars, required } from "../../tools/stack/vars.ts";
import { taken } from "../resources/values.ts";
import { answers, end, freePort, killAll, npm, output, type Run, task, watched } from "../support/commands.ts";

/** A resource with rows of users. */
const resource = (await checkedDeclaration()).resources.find(
  ({ owner, fields }) => owner !== "org" && !fields.some(({ kind }) => kind === "ref"),
);
const list = `/v1/${resource?.name}`;
const skip = resource === undefined && "airlock.toml has no resource of users without refs";

/** The IPv4 addresses at which other machines reach this one. */
const addresses = Object.values(networkInterfaces())
  .flatMap((found) => found ?? [])
  .filter(({ family, internal }) => family === "IPv4" && !internal)
  .map(({ address }) => address);
/** What a machine without a network has in their place. */
const ELSEWHERE = "127.0.0.2";

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
  killAll();
  await rm(scratch, { recursive: true, force: true });
});

/** Rows of the resource that the first start made. */
const rows: RegExp[] = [];

test("dev serves rows on 127.0.0.1 alone; EDGE_PROOF_SECRET turns edge-only mode on", { skip }, async () => {
  const vars = join(scratch, "edge-only");
  await writeFile(vars, `EDGE_PROOF_SECRET=${"s".repeat(32)}\n`);
  const dev = npm(["run", "dev"], { ...environment, AIRLOCK_VARS: vars });
  await ready(dev);
  assert.match(dev.stdout, new RegExp(`^airlock ready http://127.0.0.1:${environment.AIRLOCK_PORT}$`, "m"));
  for (const address of addresses)
    assert.equal(await answers(environment.AIRLOCK_PORT, address), false, "it listens on 127.0.0.1 alone");

  const id = await createRow();
  rows.push(id);
  assert.match(await request("GET", list), id);
  assert.equal(await direct(), 0);
  assert.doesNotMatch(await request("GET", list, "--as", "bob"), id);
  assert.match(await request("GET", "/v1/me", "--no-token"), /^HTTP 401$/m);

  const job = npm(["run", "job", "--", "purge"], environment);
  assert.equal(await end(job), 0, job.output);
  assert.equal(
    job.output.match(/^\{"event":"job","label":"job:purge-[a-z-]+",.*"outcome":"done",.*\}$/gm)?.length,
    4,
    job.output,
  );
  await stop(dev);
});

test("rows outlive a restart, which ends edge-only mode, opens the servers and reports attestations", async () => {
  const dev = npm(["run", "dev"], { ...environment, AIRLOCK_HOST: "0.0.0.0", AIRLOCK_ATTEST: "report" });
  await ready(dev);
  if (resource) {
    rows.push(await createRow());
    const answered = await request("GET", list);
    for (const created of rows) assert.match(answered, created);
    assert.equal(await direct(), 2);
  }
  await assertReachable(dev, "0.0.0.0");
  await assertAttested(dev, { none: "200", "wrong-app": "200", good: "200" });
  await stop(dev, "SIGINT");
});

test("--fresh starts without rows, here on an address and with attestations enforced", async () => {
  const [other = ELSEWHERE] = addresses;
  const settings = { AIRLOCK_HOST: other, AIRLOCK_ATTEST: "enforce" };
  const dev = npm(["run", "dev", "--", "--fresh"], { ...environment, ...settings });
  await ready(dev);
  if (resource) assert.match(await request("GET", list, "--attest", "good"), /"data": \[\]/);
  await assertReachable(dev, other);
  await assertAttested(dev, {
    none: "attestation_missing",
    placeholder: "attestation_missing",
    expired: "attestation_expired",
    "wrong-app": "attestation_invalid",
    good: "200",
  });
  await stop(dev);
  assert.equal(await answers(environment.AIRLOCK_PORT, other), false);
});

/** Asserts that both servers answer other machines, and that an Expo app is told where. */
async function assertReachable(dev: Run, host: string): Promise<void> {
  const [other = ELSEWHERE] = addresses;
  if (host === other || addresses.length > 0) {
    await output(dev, /Expo Go opens .*\n\n.*█/);
    assert.match(dev.output, new RegExp(`^  phones    http://${other}:${environment.AIRLOCK_PORT}$`, "m"));
    // Other interfaces may come first; each setting names the same one.
    const settings = parseEnv(/^EXPO_PUBLIC[\s\S]*?\n\n/m.exec(dev.output)?.[0] ?? "");
    const { hostname } = new URL(settings.EXPO_PUBLIC_AIRLOCK_URL ?? assert.fail(dev.output));
    assert.ok([other, ...addresses].includes(hostname), hostname);
    assert.equal(settings.EXPO_PUBLIC_SUPABASE_URL, `http://${hostname}:${environment.SUPABASE_PORT}`);
    assert.equal(await signedInAs(settings), "alice@example.com");
    assert.ok(dev.output.includes(renderUnicodeCompact(`exp://${hostname}:8081`)), "the code for Expo Go");
  }
  for (const name of ["AIRLOCK_PORT", "SUPABASE_PORT"]) {
    for (const address of [other, "127.0.0.1"])
      assert.ok(await answers(environment[name], address), `${name} on ${address} with ${host}`);
  }
}

/** Asserts how requests with each kind of attestation are answered, and that the log has the verdicts. */
async function assertAttested(dev: Run, verdicts: Record<string, string>): Promise<void> {
  for (const [kind, verdict] of Object.entries(verdicts)) {
    assert.match(
      await request("GET", "/v1/me", "--attest", kind),
      new RegExp(verdict === "200" ? "^HTTP 200$" : `"code": "${verdict}"`, "m"),
      kind,
    );
  }
  assert.match(dev.output, /"attest":"wrong_app","attest_by":"firebase"/);
  assert.match(dev.output, /"attest":"verified","attest_by":"firebase","attest_app":"1:123456789012:web:0a1b2c3d4e5f"/);
}

test("a port that is taken is named, with the variable that sets another", async (context) => {
  const other = createServer().listen(0, "127.0.0.1");
  context.after(() => other.close());
  await once(other, "listening");
  const taken = String((other.address() as AddressInfo).port);
  await Promise.all(
    ["AIRLOCK_PORT", "SUPABASE_PORT"].map((name) =>
      refused(["dev"], new RegExp(`Port ${taken} is taken: .*${name}`), { [name]: taken }),
    ),
  );
});

test("an invalid setting is refused with its name", async () => {
  const settings = {
    AIRLOCK_PORT: "http",
    SUPABASE_PORT: "70000",
    AIRLOCK_LIMIT_IP: "-1",
    AIRLOCK_HOST: "localhost",
    AIRLOCK_VARS: join(scratch, "absent"),
  };
  await Promise.all(
    Object.entries(settings).map(([name, value]) =>
      refused(["dev"], new RegExp(name === "AIRLOCK_VARS" ? value : name), { [name]: value }),
    ),
  );
});

test("AIRLOCK_UPSTREAM replaces the embedded Supabase", async (context) => {
  const vars = join(scratch, "vars");
  await writeFile(vars, `APP_GUARD='{"default":"off","apps":{}}'\n`);
  const dev = npm(["run", "dev"], {
    ...environment,
    AIRLOCK_UPSTREAM: await upstream(context),
    AIRLOCK_VARS: vars,
    AIRLOCK_LIMIT_IP: "2",
  });
  await ready(dev);
  assert.equal((await fetch(`http://127.0.0.1:${environment.AIRLOCK_PORT}/health`)).status, 200, "it was ready");
  const statuses: number[] = [];
  // Twice the limit and one more, because a new minute, which may begin now, resets the count.
  for (let i = 0; i < 5; i += 1) {
    const { status } = await fetch(`http://127.0.0.1:${environment.AIRLOCK_PORT}/v1/me`);
    statuses.push(status);
  }
  assert.deepEqual(statuses.slice(0, 2), [401, 401], "an app that is not checked needs a token");
  assert.ok(statuses.includes(429), `limited: ${statuses}`);
  assert.equal(await answers(environment.SUPABASE_PORT), false, "no embedded Supabase");
  await stop(dev);
});

test("changes of airlock.toml and src/ are served; errors are shown", async (context) => {
  const copy = await copyOfProject();
  const declaration = join(copy, "airlock.toml");
  const tags = '\n[resources.dev_tags]\nowner = "user"\n[resources.dev_tags.fields]\nlabel = "text(1..50)"\n';
  const settings = {
    ...environment,
    PATH: [join(copy, "bin"), process.env.PATH].join(delimiter),
    AIRLOCK_UPSTREAM: await upstream(context),
  };
  /** 404 until the route exists, then 401: the request is not signed. */
  const status = async () => (await fetch(`http://127.0.0.1:${environment.AIRLOCK_PORT}/v1/dev_tags`)).status;
  const start = () => {
    const command = [
      "--import",
      new URL("tools/setup/preload.ts", `file://${copy}/`).href,
      join(copy, "tools", "dev.ts"),
    ];
    return watched(spawn(process.execPath, command, { cwd: copy, env: settings, stdio: ["ignore", "pipe", "pipe"] }));
  };

  const dev = start();
  await ready(dev);
  assert.equal(await status(), 404);
  await appendFile(declaration, tags);
  await output(dev, /^airlock: serving the changed Worker$/m);
  assert.equal(await status(), 401);

  dev.output = "";
  await appendFile(declaration, 'color = "colour"\n');
  await output(dev, /^airlock: airlock\.toml: .*tags.*color/m);
  assert.equal(await status(), 401, "the last good declaration is served");

  dev.output = "";
  await writeFile(declaration, tags.replaceAll("dev_tags", "dev_labels"));
  await output(dev, /^airlock: serving the changed Worker$/m);
  assert.equal(await status(), 404);

  dev.output = "";
  await appendFile(join(copy, "src", "worker", "worker.js"), '\nconsole.log("another Worker");\n');
  await output(dev, /^airlock: serving the changed Worker$/m);
  assert.equal(await status(), 404);

  dev.output = "";
  await writeFile(join(copy, "supabase", "migrations", "20990101000000_later.sql"), "select 1;\n");
  await output(dev, /Start `npm run dev` again to apply it/);
  await stop(dev);

  await appendFile(declaration, "owner = 1\n");
  const wrong = start();
  assert.notEqual(await end(wrong), 0);
  assert.match(wrong.output, /^airlock: airlock\.toml/m);
});

test("invalid settings of attestations are refused with the reason", async () => {
  await refused(["dev"], /AIRLOCK_ATTEST must be off, report or enforce; it is "on"/, { AIRLOCK_ATTEST: "on" });
  await refused(["dev"], /AIRLOCK_ATTEST needs the embedded Supabase/, {
    AIRLOCK_ATTEST: "report",
    AIRLOCK_UPSTREAM: "http://127.0.0.1:9",
  });
  await refused(
    ["request", "GET", "/v1/me", "--attest", "bad"],
    /--attest is one of none, good, expired, wrong-app, placeholder/,
  );
});

test("without a server, request and job name the command that starts it", async () => {
  const commands = [
    ["request", "GET", "/health", "--no-token"],
    ["request", "GET", "/health", "--as", "bob"],
    ["job", "purge"],
  ];
  await Promise.all(commands.map((command) => refused(command, /Is `npm run dev` running\?/)));
});

test("a wrong command line is refused with the reason", async () => {
  const commands: [string[], RegExp][] = [
    [["job"], /The one job is purge/],
    [["job", "everything"], /The one job is purge/],
    [["job", "purge", "--now"], /npm run job -- purge/],
    [["request", "GET"], /A request is a METHOD and a PATH/],
    [["request", "GET", "/v1/notes", "bob"], /GET has no body/],
    [["request", "GET", "/v1/notes", "--as", "mallory"], /alice and bob/],
    [["request", "PATCH", "/v1/notes", "{}", "--header", "If-Match"], /--header takes 'Name: value'/],
    [["request", "GET", "/v1/me", "--header", "Authorization: Bearer x"], /makes itself/],
  ];
  await Promise.all(commands.map(([command, says]) => refused(command, says)));
});

/** Runs a task, without npm in front of it, and expects it to fail with this message. */
async function refused(command: string[], says: RegExp, settings: NodeJS.ProcessEnv = {}): Promise<void> {
  const run = task(command, { ...environment, ...settings });
  assert.notEqual(await end(run), 0, command.join(" "));
  assert.match(run.output, says);
}

const ready = (run: Run) => output(run, /^airlock ready /m);

async function stop(run: Run, signal: "SIGTERM" | "SIGINT" = "SIGTERM"): Promise<void> {
  run.child.kill(signal);
  assert.equal(await end(run), 0, `it did not end by itself:\n${run.output}`);
  assert.equal(existsSync(join(scratch, "data", "pglite.lock")), false, "the database was closed");
  for (const name of ["AIRLOCK_PORT", "SUPABASE_PORT"]) {
    assert.equal(await answers(environment[name]), false, `${name} still answers`);
  }
}

/** Creates a row for alice and returns a pattern for its id. */
async function createRow(): Promise<RegExp> {
  const required = resource?.fields.filter((field) => !field.nullable && field.default === undefined) ?? [];
  const draft = Object.fromEntries(required.map((field) => [field.name, taken(field)[0]?.sent]));
  const created = await request("POST", list, JSON.stringify(draft));
  assert.match(created, /^HTTP 201$/m);
  assert.match(created, /^etag: "1"$/m);
  return new RegExp(/"id": "[0-9a-f-]+"/.exec(created)?.[0] ?? assert.fail(created));
}

async function request(...args: string[]): Promise<string> {
  const run = task(["request", ...args], environment);
  await end(run);
  return run.output;
}

/** The email address that the Worker answers to an app with these settings, in which alice signs in. */
async function signedInAs(settings: NodeJS.Dict<string>): Promise<string | null> {
  const setting = (name: string) => settings[`EXPO_PUBLIC_${name}`] ?? assert.fail(name);
  const supabase = createClient(setting("SUPABASE_URL"), setting("SUPABASE_KEY"), {
    auth: { persistSession: false, autoRefreshToken: false },
  });
  await supabase.auth.signInWithPassword({ email: "alice@example.com", password: "airlock-dev-password" });
  const airlock = createAirlock({
    url: setting("AIRLOCK_URL"),
    appId: setting("AIRLOCK_APP_ID"),
    secret: setting("AIRLOCK_SECRET"),
    getToken: supabaseToken(supabase),
    attest: async () => ((await (await fetch(setting("AIRLOCK_ATTEST_URL"))).json()) as { token: string }).token,
  });
  return (await airlock.me()).email;
}

/** The number of rows that alice gets from the embedded Supabase without the Worker. */
async function direct(): Promise<number> {
  const { SUPABASE_PUBLISHABLE_KEY } = required(await devVars(), "SUPABASE_PUBLISHABLE_KEY");
  const supabase = createClient(`http://127.0.0.1:${environment.SUPABASE_PORT}`, SUPABASE_PUBLISHABLE_KEY, {
    auth: { persistSession: false, autoRefreshToken: false },
  });
  await supabase.auth.signInWithPassword({ email: "alice@example.com", password: "airlock-dev-password" });
  const { data } = await supabase.from(String(resource?.name)).select("id").throwOnError();
  return data.length;
}

/** The URL of a server that answers every request with {}, until the test ends. */
async function upstream(context: TestContext): Promise<string> {
  const server: Server = createServer((_, response) => response.end("{}")).listen(0, "127.0.0.1");
  context.after(() => server.close());
  await once(server, "listening");
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

/**
 * A copy of the project, whose files a test may change. Its `cargo rustc` builds the project itself, because that has been
 * built already, and a crate in another folder would take a minute. Its modules are not optimised, which takes ten seconds.
 */
async function copyOfProject(): Promise<string> {
  const copy = join(scratch, "project");
  await mkdir(join(copy, "bin"), { recursive: true });
  const copied = [
    ".airlock/built-from",
    ".airlock/functions.txt",
    ".airlock/inspect.mjs",
    "airlock.toml",
    "build",
    "Cargo.lock",
    "Cargo.toml",
    "package-lock.json",
    "src",
    "supabase",
    "tools",
    "wrangler.toml",
  ];
  for (const name of copied) await cp(join(root, name), join(copy, name), { recursive: true });
  await symlink(join(root, "node_modules"), join(copy, "node_modules"));
  const cargo = execFileSync("sh", ["-c", "command -v cargo"], { encoding: "utf8" }).trim();
  const script = `#!/bin/sh
[ "$1" = rustc ] || exec '${cargo}' "$@"
cd '${root}' && messages=$('${cargo}' "$@") && printf '%s\\n' "$messages" | sed 's|"manifest_path":"${root}|"manifest_path":"${copy}/|'
`;
  await writeFile(join(copy, "bin", "cargo"), script, { mode: 0o755 });
  // OPTION... MODULE -o OUTPUT: copies the module, and lists the names of no functions.
  const optimiser = `#!/bin/sh
for option; do case $option in --symbolmap=*) : >"\${option#*=}" ;; esac; done
shift $(($# - 3))
cp "$1" "$3"
`;
  for (const name of ["wasm-opt", "wasm-metadce"]) await writeFile(join(copy, "bin", name), optimiser, { mode: 0o755 });
  return copy;
}
