// A route that bypasses Row Level Security, or reaches the database without both proofs, does not compile.

import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import { appendFileSync, cpSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";

/** Always the same folder, so that cargo replaces the artefacts of the last copy. */
const COPY = join(".airlock", "compile");

/** A file that handlers are in. */
const HANDLER = "src/handlers/me.rs";

/** All files of the crate except those of the jobs and those for tests and fuzzing. */
const files = execFileSync(
  "git",
  ["ls-files", "--cached", "--others", "--exclude-standard", "src/*.rs", "src/**/*.rs"],
  { encoding: "utf8" },
)
  .trim()
  .split("\n")
  .filter((file) => existsSync(file) && !/^src\/jobs\/|\/tests(\/|\.rs$)|fuzzing\.rs$|vectors\.rs$/.test(file));

/** The compiler's output for a copy of the crate after a change. */
function compile(change: () => void): string {
  rmSync(COPY, { recursive: true, force: true });
  mkdirSync(COPY, { recursive: true });
  for (const name of ["src", "tests", "Cargo.toml", "Cargo.lock"]) cpSync(name, join(COPY, name), { recursive: true });
  change();
  // With the options of `npm test`, so that all dependencies are compiled already.
  const args = ["test", "--no-run", "--lib", "--locked", "--message-format=short"];
  const env = { ...process.env, CARGO_TARGET_DIR: process.env.CARGO_TARGET_DIR ?? join(process.cwd(), "target") };
  return spawnSync("cargo", args, { cwd: COPY, env, encoding: "utf8" }).stderr;
}

/** The compiler's errors for a copy of the crate with these lines added, as `file:line code`. */
function errors(added: [file: string, lines: string[]][]): string[] {
  const stderr = compile(() => {
    for (const [file, lines] of added) appendFileSync(join(COPY, file), lines.map((line) => `${line}\n`).join(""));
  });
  assert.match(stderr, /could not compile `airlock`/, stderr);
  return [...stderr.matchAll(/^(src\/\S+?):(\d+):\d+: error\[(E\d+)\]/gm)]
    .map(([, file, line, code]) => `${file}:${line} ${code}`)
    .sort();
}

/** The number of the first line that would be added to a file. */
const next = (file: string) => readFileSync(file, "utf8").split("\n").length;

/** Checks that the compiler refuses exactly the lines that have an error code, with this code. */
function assertRefused(lines: [code: string | null, line: string][]): void {
  const found = errors([[HANDLER, lines.map(([, line]) => line)]]);
  assert.deepEqual(
    found,
    lines.flatMap(([code], n) => (code ? [`${HANDLER}:${next(HANDLER) + n} ${code}`] : [])).sort(),
  );
}

test("no other module can name the secret key's module", () => {
  assert.ok(files.length > 30);
  const named = ["crate::jobs::Jobs", "crate::jobs::secret_key::ServiceRole", "crate::jobs::secret_key::Job"];
  // The first one is public, so it shows that the probes themselves compile. E0603: the module is private.
  const found = errors(files.map((file) => [file, named.map((path, n) => `mod probe_${n} { use ${path} as _; }`)]));
  assert.deepEqual(found, files.flatMap((file) => [1, 2].map((n) => `${file}:${next(file) + n} E0603`)).sort());
});

test("a handler reaches neither the secret key nor a binding", () => {
  assertRefused([
    [
      null,
      "async fn probe_0(jobs: &crate::jobs::Jobs, platform: &impl Platform) { let _ = jobs.run(platform).await; }",
    ],
    // E0616: a private field. E0599: no such method. E0609: no such field.
    ["E0616", "fn probe_1(jobs: &crate::jobs::Jobs) { let _ = &jobs.service_role; }"],
    ["E0599", 'fn probe_2(platform: &impl Platform) { let _ = platform.text("SUPABASE_SECRET_KEY"); }'],
    ["E0609", "fn probe_3(config: &crate::config::Config) { let _ = &config.bindings; }"],
    ["E0609", "fn probe_4(config: &crate::config::Config) { let _ = &config.secret_key; }"],
  ]);
});

test("a user's database needs a session and a guarded request", () => {
  const types =
    "database: &'a crate::postgrest::Database, session: &'a crate::auth::Session, request: &crate::app_guard::GuardedRequest, platform: &'a P";
  const probe = (n: number, body: string) =>
    `fn probe_${n}<'a, P: Platform>(${types}) -> crate::postgrest::UserDatabase<'a, P> { let _ = (session, request); ${body} }`;
  assertRefused([
    [null, probe(0, "database.as_user(session, request, platform)")],
    // E0061: an argument is missing. E0308: a type that is not the one required.
    ["E0061", probe(1, "database.as_user(request, platform)")],
    ["E0061", probe(2, "database.as_user(session, platform)")],
    ["E0308", probe(3, "database.as_app(request, platform)")],
    // E0599: an app's database has no such method.
    [
      "E0599",
      "fn probe_4<P: Platform>(call: &super::AppCall<'_, P>, of: crate::postgrest::Function) { let _ = call.database.write(of, &(), None); }",
    ],
  ]);
});

test("a handler can make none of the proofs by itself", () => {
  // E0451: private fields.
  assertRefused([
    [null, "fn probe_0(session: crate::auth::Session) -> crate::auth::Session { session }"],
    [
      "E0451",
      "fn probe_1(session: crate::auth::Session) -> crate::auth::Session { crate::auth::Session { ..session } }",
    ],
    [
      "E0451",
      "fn probe_2(request: crate::app_guard::GuardedRequest) -> crate::app_guard::GuardedRequest { crate::app_guard::GuardedRequest { ..request } }",
    ],
    [
      "E0451",
      "fn probe_3<'a, P>(database: crate::postgrest::UserDatabase<'a, P>) -> crate::postgrest::UserDatabase<'a, P> { crate::postgrest::UserDatabase { ..database } }",
    ],
  ]);
});

test("the route of docs/resources.md compiles, in at most 30 lines", () => {
  const [handler = "", row = ""] = [...readFileSync("docs/resources.md", "utf8").matchAll(/```rust\n(.*?)```/gs)].map(
    ([, code]) => code,
  );
  assert.ok(handler.split("\n").length + 1 <= 30);
  const edit = (file: string, change: (text: string) => string) =>
    writeFileSync(join(COPY, file), change(readFileSync(join(COPY, file), "utf8")));
  const stderr = compile(() => {
    writeFileSync(join(COPY, "src", "handlers", "duplicate.rs"), handler);
    edit("src/handlers/mod.rs", (text) =>
      text.replace("pub(crate) mod me;", "pub(crate) mod duplicate;\npub(crate) mod me;"),
    );
    edit("src/router.rs", (text) =>
      text
        .replace("PathMatch, Scope, UserCall, ", "PathMatch, Scope, UserCall, duplicate, ")
        .replace(
          /const FIXED: \[Self; (\d+)\] = \[\n/,
          (_, length) => `const FIXED: [Self; ${Number(length) + 1}] = [\n${row}`,
        ),
    );
    // This error of a lint is found after all others, and spares the making of a program.
    appendFileSync(join(COPY, HANDLER), "pub fn probe_0() {}\n");
  });
  assert.deepEqual(
    stderr.match(/^.*: error.*$/gm),
    [`${HANDLER}:${next(HANDLER)}:1: error: unreachable \`pub\` item`],
    stderr,
  );
});
