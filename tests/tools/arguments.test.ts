// What each command says to arguments that cannot be: a sentence that names them, and no stack trace.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, suite, test } from "node:test";

import { root } from "../../tools/setup/shell.ts";

const folder = mkdtempSync(join(tmpdir(), "airlock-arguments-"));
after(() => rmSync(folder, { recursive: true }));
const missing = join(folder, "missing", "file");
const closed = "postgres://user@127.0.0.1:1/postgres";

const UNKNOWN = /Unknown option '--nope'/;
const NO_VALUE = /argument missing|needs a value/;
const ABSENT = /missing\/file does not exist\./;

/** The arguments, and what is said to them. */
const CASES: Record<string, [args: string[], says: RegExp][]> = {
  deploy: [
    [["--env", "nope"], /wrangler\.toml has no environment "nope"\. It has: staging, production\./],
    [["--env"], NO_VALUE],
    [["--secrets-file"], NO_VALUE],
    [["--dry-run", "--env", "staging", "--secrets-file", missing], ABSENT],
    [["--config", `${missing}.toml`], /wrangler refuses .*missing\/file\.toml: Could not read file/],
  ],
  doctor: [
    [["--nope"], UNKNOWN],
    [["--log"], NO_VALUE],
    [["--log", missing], ABSENT],
    [["--log", folder], /cannot be read: EISDIR/],
    [["--secrets-file", missing], /--secrets-file goes with --url/],
    [["--url", "https://api.notes.app", "--secrets-file", missing], ABSENT],
  ],
  "app-key": [
    [["list", "--nope"], UNKNOWN],
    [["list", "--file"], NO_VALUE],
    [["list", "--file", missing], ABSENT],
    [["list", "--file", folder], /cannot be read: EISDIR/],
    [["add", "rn-ios", "--file", missing], /missing\/file\.new cannot be written: ENOENT/],
  ],
  dev: [
    [["--nope"], UNKNOWN],
    [["extra"], /Unexpected argument 'extra'/],
  ],
  example: [[["--nope"], /npm run example takes no --nope/]],
  build: [[["--nope"], /npm run build takes no --nope/]],
  package: [[["extra"], /npm run package takes no extra/]],
  upgrade: [[["extra"], /npm run upgrade takes no extra/]],
  test: [[["one", "two"], /Give one suite, one file or one name in quotes/]],
  generate: [
    [["--nope"], UNKNOWN],
    [["--out"], NO_VALUE],
    [["--out", folder], /--out needs the name of a \.ts file/],
  ],
  "new-resource": [
    [[], /The new table needs a name/],
    [["tags", "label:text(1..9)", "--owner", "user", "--nope"], UNKNOWN],
    [["tags", "label:text(1..9)"], /Whose rows are they\?/],
    [["tags", "label:nope", "--owner", "user"], /does not begin with a kind/],
  ],
  "new-field": [
    [[], /takes one resource and one field/],
    [["nope", "label:text(1..9)?"], /has no resource nope/],
    [["notes", "label"], /label is not a field/],
  ],
  adopt: [
    [["--nope"], UNKNOWN],
    [["--db-url"], NO_VALUE],
    [["--db-url", "nope"], /--db-url takes a connection string/],
    [["--db-url", closed], /127\.0\.0\.1:1\/postgres gives no connection: .*Compare the connection string/],
  ],
  close: [
    [[], /Which table\?/],
    [["--nope"], UNKNOWN],
    [["nope"], /has no resource nope/],
  ],
  open: [
    [[], /Which table\?/],
    [["--nope"], UNKNOWN],
    [["nope"], /has no resource nope/],
  ],
  upstream: [
    [["--nope"], UNKNOWN],
    [["--url", "https://x.supabase.co"], /--url and --key come together/],
    [["--url", "nope", "--key", "k"], /nope is not a URL/],
    [["--url", "http://127.0.0.1:1", "--key", "k"], /gives no key set: .*Is Supabase running there\?/],
  ],
  request: [
    [[], /A request is a METHOD and a PATH/],
    [["GET", "/v1/me", "--nope"], UNKNOWN],
    [["GET", "/v1/me", "--header"], NO_VALUE],
    [["GET", "/v1/me"], /Nothing answers at .*Is `npm run dev` running\?/],
  ],
  job: [
    [[], /The one job is purge/],
    [["purge", "--nope"], UNKNOWN],
    [["purge"], /Nothing answers at .*Is `npm run dev` running\?/],
  ],
  check: [
    [["--nope"], UNKNOWN],
    [["--db-url"], NO_VALUE],
    [["--db-url", "nope"], /--db-url takes a connection string/],
  ],
  bench: [
    [["--nope"], UNKNOWN],
    [["--only"], NO_VALUE],
    [["--against", missing], /missing\/file has no index\.js/],
  ],
  evidence: [
    [["--nope"], UNKNOWN],
    [["--db-url"], NO_VALUE],
    [["--db-url", "nope"], /--db-url takes a connection string/],
    [["--db-url", closed], /gives no connection/],
    [["--accepted", missing], ABSENT],
    [["--secrets-file", missing], ABSENT],
  ],
  fuzz: [
    [["nope"], /takes seconds and one target/],
    [["5", "nope"], /takes seconds and one target/],
  ],
  rlscost: [
    [["--nope"], UNKNOWN],
    [["--notes"], NO_VALUE],
    [["--notes", "nope"], /--notes is a whole number/],
  ],
};

suite("wrong arguments", { concurrency: 4 }, () => {
  for (const [task, cases] of Object.entries(CASES)) {
    test(`${task} refuses wrong arguments in a sentence`, async () => {
      for (const [args, says] of cases) {
        const { code, output } = await run(task, args);
        const context = `${args.join(" ")}: ${code}: ${output}`;
        assert.ok(code === 1 || code === 2, context);
        assert.match(output, says, context);
        assert.doesNotMatch(output, /^\s+at |To specify a positional argument/m, context);
      }
    });
  }
});

function run(task: string, args: string[]): Promise<{ code: unknown; output: string }> {
  const preload = new URL("../../tools/setup/preload.ts", import.meta.url).href;
  const env = { ...process.env, AIRLOCK_PORT: "1", SUPABASE_PORT: "2", DATABASE_URL: "", INIT_CWD: root };
  return new Promise((resolve) => {
    const child = execFile(
      process.execPath,
      ["--import", preload, `tools/${task}.ts`, ...args],
      { cwd: root, env, timeout: 120_000 },
      (error, stdout, stderr) => resolve({ code: error ? error.code : 0, output: stdout + stderr }),
    );
    child.stdin?.end();
  });
}
