// The command: its output, its exit code, and that it only reads a database in use.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { cp, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";

import { reading } from "../../tools/evidence/foreign.ts";
import type { Report } from "../../tools/evidence/report.ts";
import { type Postgres, query, startPostgres } from "../../tools/setup/postgres.ts";
import { root } from "../../tools/setup/shell.ts";
import { baseline, notesMigration } from "../support/notes.ts";

const PROGRAM = fileURLToPath(new URL("../../tools/evidence.ts", import.meta.url));
const ACCEPTED = join("supabase", "evidence.json");

const WRITES = [
  "delete from public.notes",
  "create table public.mine ()",
  "select airlock.close_table('public.notes')",
  "set transaction read write",
  "select set_config('transaction_read_only', 'off', false)",
];

let folder: string;
let postgres: Postgres;
let url: string;
before(async () => {
  folder = await mkdtemp(join(tmpdir(), "airlock-evidence-"));
  await cp(join(root, ACCEPTED), join(folder, ACCEPTED));
  postgres = await startPostgres();
  await postgres.create("airlock", baseline);
  await query(postgres.url("airlock"), await notesMigration());
  url = `${postgres.url("airlock")}?sslmode=disable`;
});
after(async () => {
  await postgres.stop();
  await rm(folder, { recursive: true });
});

/** In a folder with few files, where the search for secrets takes no time. */
async function evidence(args: string[], env: Record<string, string> = {}, cwd = folder) {
  const child = spawn(process.execPath, [PROGRAM, ...args], {
    cwd,
    env: { ...process.env, DATABASE_URL: "", ...env },
    stdio: ["ignore", "pipe", "pipe"],
  });
  const ended = new Promise((resolve) => child.on("exit", resolve));
  const [stdout, stderr, code] = await Promise.all([text(child.stdout), text(child.stderr), ended]);
  return { stdout, stderr, code };
}

test("exit code 0 and one JSON object for the migrations", async () => {
  const { stdout, stderr, code } = await evidence(["--json"], {}, root);
  assert.equal(code, 0, stdout + stderr);
  const { findings, checked, tried } = JSON.parse(stdout) as Report;
  assert.deepEqual(findings, []);
  for (const what of ["rules", "tables", "policies", "files", "objects of the history", "built files"])
    assert.ok((checked[what] ?? 0) > 0, what);
  assert.ok(tried.length > 10 && tried.every(({ outcome }) => outcome !== "not tried" && outcome !== "reached"));
  assert.equal(stderr, "");
});

test("names of a database are printed with visible control characters, each in its line", async () => {
  await postgres.create("names", []);
  const name = '"a\u001b[31m\u202e\n0 findings ["';
  await query(postgres.url("names"), `create table public.${name} (id uuid); grant select on public.${name} to anon`);
  const { stdout, stderr, code } = await evidence(["--db-url", postgres.url("names")]);
  assert.equal(code, 1, stderr);
  assert.match(stdout, /^no-primary-key: public\.a\\u001b\[31m\\u202e 0 findings \[$/m);
  assert.doesNotMatch(stdout, /(?!\n)[\p{Cc}\u202e]|^0 findings/mu);
});

test("apps that are not attested are notes", async () => {
  const file = join(folder, ".dev.vars.production");
  const key = (id: string, attest?: string) => ({
    id,
    secret: "A".repeat(43),
    ...(attest && { attest: { mode: attest, approov: { secret: "A".repeat(43) } } }),
  });
  const notes = async (apps: object) => {
    await writeFile(file, `APP_GUARD='${JSON.stringify({ apps })}'\n`);
    const { stdout, stderr, code } = await evidence(["--db-url", url, "--secrets-file", file, "--json"]);
    assert.equal(code, 0, stderr);
    const { notes } = JSON.parse(stdout) as Report;
    return notes.flatMap(({ rule, object, what }) => (rule === "app-not-attested" ? [`${object}: ${what}`] : []));
  };
  assert.deepEqual(await notes({ ios: { keys: [key("one")] }, android: { keys: [key("one", "report")] } }), [
    "APP_GUARD: no app enforces attestation",
  ]);
  assert.deepEqual(
    await notes({
      ios: { keys: [{ ...key("old"), retired: true }, key("two"), key("three", "enforce")] },
      android: { keys: [key("one", "report")] },
    }),
    ["ios two: needs no attestation", "android one: attestation is reported, not enforced"],
  );
  assert.deepEqual(await notes({ ios: { keys: [key("one", "enforce")] } }), []);
});

test("exit code 1 for a database with a finding; the report names skipped tries", async () => {
  const sound = await evidence([], { DATABASE_URL: url });
  assert.equal(sound.code, 0, sound.stdout + sound.stderr);
  assert.match(sound.stdout, /^Evidence of 127\.0\.0\.1:\d+\/airlock: /);
  assert.match(sound.stdout, /^Not checked: \d+ tries: no --rest-url and --publishable-key \(as anon\)$/m);
  // Supabase's own auth.uid() and its like.
  assert.match(
    sound.stdout,
    /^Not checked: schema auth: open to clients and not audited \(relations: 0, functions: \d+\)$/m,
  );
  assert.match(sound.stdout, /^0 findings, /m);

  await query(url, "alter table public.notes disable row level security");
  try {
    const broken = await evidence(["--db-url", url]);
    assert.equal(broken.code, 1, broken.stdout + broken.stderr);
    assert.match(broken.stdout, /^leak +public\.notes +rls-disabled +row level security is off$/m);
    assert.match(
      broken.stdout,
      /Why: Without Row Level Security .*\n {2}SQL \(can refuse what a running app does\): alter table public\.notes enable row level security;/,
    );
    assert.match(broken.stdout, /^1 finding, /m);
  } finally {
    await query(url, "alter table public.notes enable row level security");
  }
});

test("leaks come first, and with a baseline only new findings fail", async () => {
  const baseline = join(folder, "baseline.json");
  const look = (...more: string[]) => evidence(["--db-url", url, "--baseline", baseline, ...more]);
  const known = {
    rule: "grant-whole-table",
    object: "public.notes",
    what: "UPDATE on the whole table granted to authenticated",
  };
  await query(url, "grant update on public.notes to authenticated");
  try {
    const made = await look("--write-baseline");
    assert.equal(made.code, 0, made.stdout + made.stderr);
    assert.deepEqual(JSON.parse(await readFile(baseline, "utf8")), { findings: [known] });

    await query(
      url,
      "create policy open on public.notes for select to authenticated using (true); grant insert on public.notes to authenticated",
    );
    const worse = await look();
    assert.equal(worse.code, 1, worse.stdout + worse.stderr);
    const [heads, ...lines] = worse.stdout.split("\n\n")[1]?.split("\n") ?? [];
    assert.match(heads ?? "", /^RANK +OBJECT +RULE +WHAT$/);
    assert.match(lines[0] ?? "", /^leak +public\.notes\.open +policy-true /);
    assert.match(lines[1] ?? "", /^hygiene +public\.notes +grant-whole-table +INSERT /);
    assert.match(worse.stdout, /^The baseline has 1 finding of these that are left out above\.$/m);
    assert.match(worse.stdout, /^2 findings, /m);

    await query(
      url,
      "drop policy open on public.notes; revoke insert, update on public.notes from authenticated; grant insert (id, org_id, title, body), update (title, body, deleted_at, published_at) on public.notes to authenticated",
    );
    const mended = await look("--json");
    assert.equal(mended.code, 0, mended.stdout + mended.stderr);
    assert.deepEqual((JSON.parse(mended.stdout) as Report).baseline, { known: [], gone: [known] });
  } finally {
    await query(url, "drop policy if exists open on public.notes");
  }
});

test("a database that is given by its connection string is only read", async () => {
  for (const write of WRITES) {
    await assert.rejects(
      reading(url, async (sql) => {
        await sql("select 1");
        await sql(write);
      }),
      { code: /^(25006|25001)$/ },
      write,
    );
  }
  assert.deepEqual(await reading(url, (sql) => sql("select current_setting('transaction_read_only') as only")), [
    { only: "on" },
  ]);
});

test("settings of a database do not change how the statements of the audit are read", async () => {
  await query(url, "alter database airlock set standard_conforming_strings = off");
  await query(url, "alter database airlock set quote_all_identifiers = on");
  const read = await reading(url, (sql) => sql("select '\\d' as text, quote_ident('a') as name"));
  await query(url, "alter database airlock reset all");
  assert.deepEqual(read, [{ text: "\\d", name: "a" }]);
});

test("no code of the audited database runs, and no body escapes from being parsed", async () => {
  const proof = join(folder, "ran");
  const program = `copy (select 1) to program 'touch ${proof}'`;
  await query(
    url,
    `
    create schema attack; create role mallory; grant usage on schema attack to authenticated;
    create table public.bait (id uuid primary key, user_id uuid not null); create index on public.bait (user_id);
    alter table public.bait enable row level security; grant select (id) on public.bait to authenticated;
    create function attack.ok() returns boolean language plpgsql set search_path = '' as $f$begin reset role; ${program}; return auth.uid() is not null; end$f$;
    create function attack.quoted() returns boolean language plpgsql set search_path = '' as $f$begin return length($$'$$) > 0); ${program}; select (length($$'$$) > 0; end$f$;
    alter function attack.ok() owner to mallory; alter function attack.quoted() owner to mallory;
    create policy bait_select on public.bait for select to authenticated using ((select attack.ok()) and (select attack.quoted()));
  `.replace("create function attack.quoted", "set check_function_bodies = off; create function attack.quoted"),
  );
  try {
    const { stdout, code } = await evidence(["--db-url", url]);
    assert.equal(code, 1, stdout);
    assert.match(stdout, /^helper-escapes: attack\.ok\(\)$/m);
    assert.equal(existsSync(proof), false, "the audit ran code of the database");
  } finally {
    await query(url, "drop table public.bait; drop schema attack cascade; drop role mallory");
  }
});

test("exit code 2 and a sentence on stderr if it could not check", async () => {
  const odd = join(folder, "odd.json");
  await writeFile(odd, '{"accepted": [{"rule": "policy-true"}]}');
  for (const args of [
    ["--db-url", "postgres://postgres@127.0.0.1:1/postgres"],
    ["--db-url", url, "--schemas", "nowhere"],
    ["--db-url", url, "--accepted", odd],
    ["--db-url", url, "--user", "alice@example.com:x"],
    ["--db-url", url, "--baseline", join(folder, "nowhere.json")],
    ["--db-url", url, "--baseline", odd],
    ["--db-url", url, "--write-baseline"],
    ["--no-such-option"],
  ]) {
    const { stdout, stderr, code } = await evidence(args);
    assert.equal(code, 2, `${args}: ${stderr}`);
    assert.equal(stdout, "");
    assert.match(stderr, /^airlock: could not check: .+\n$/);
  }
});

test("doctor --evidence has a line for each end of the audit", async () => {
  const doctor = async (database: string) => {
    const env = { ...process.env, DATABASE_URL: database, AIRLOCK_PORT: "1", SUPABASE_PORT: "2" };
    const child = spawn(
      process.execPath,
      [fileURLToPath(new URL("../../tools/run.mjs", import.meta.url)), "doctor", "--evidence"],
      { env, stdio: ["ignore", "pipe", "ignore"] },
    );
    return text(child.stdout);
  };
  await postgres.create("flawed", baseline);
  await query(postgres.url("flawed"), "create table public.open (id int); grant select on public.open to anon");
  const [sound, flawed, unread] = await Promise.all(
    [url, `${postgres.url("flawed")}?sslmode=disable`, "postgres://postgres@127.0.0.1:1/postgres"].map(doctor),
  );
  assert.match(String(sound), /^ok {5}npm run evidence +no findings$/m);
  assert.match(
    String(flawed),
    /^FAULT {2}npm run evidence +it has findings, see above\n +docs\/operations\/audit\.md/m,
  );
  assert.match(String(unread), /^FAULT {2}npm run evidence +it could not check, see above\n +Without DATABASE_URL/m);
});
