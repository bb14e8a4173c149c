// What acts past Row Level Security can't be had where requests are answered: such code does not compile.

import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import { appendFileSync, cpSync, mkdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";

/** Always the same folder, so that cargo replaces what it made of the last copy. */
const COPY = join(".airlock", "compile");

/** All rooms of the crate but the jobs' own; those for fuzzing are in no build but that one. */
const rooms = execFileSync("git", ["ls-files", "src/*.rs", "src/**/*.rs"], { encoding: "utf8" })
  .trim()
  .split("\n")
  .filter((file) => !/^src\/job\/|fuzzing\.rs$/.test(file));

/** The errors that the compiler has for a copy of the crate with these lines added, as `file:line code`. */
function errors(added: [file: string, lines: string[]][]): string[] {
  rmSync(COPY, { recursive: true, force: true });
  mkdirSync(COPY, { recursive: true });
  for (const name of ["src", "tests", "Cargo.toml", "Cargo.lock", "openapi.json"]) cpSync(name, join(COPY, name), { recursive: true });
  for (const [file, lines] of added) appendFileSync(join(COPY, file), lines.map((line) => `${line}\n`).join(""));
  // As `npm test` has just compiled it, so that there is nothing but the crate itself to compile.
  const args = ["test", "--no-run", "--lib", "--locked", "--offline", "--message-format=short"];
  const env = { ...process.env, CARGO_TARGET_DIR: process.env["CARGO_TARGET_DIR"] ?? join(process.cwd(), "target") };
  const { stderr } = spawnSync("cargo", args, { cwd: COPY, env, encoding: "utf8" });
  assert.match(stderr, /could not compile `airlock`/, stderr);
  return [...stderr.matchAll(/^(src\/\S+?):(\d+):\d+: error\[(E\d+)\]/gm)].map(([, file, line, code]) => `${file}:${line} ${code}`).sort();
}

/** The number of the first line that would be added to a file. */
const next = (file: string) => readFileSync(file, "utf8").split("\n").length;

test("no room but the jobs' own can name the bypass, its key or its labels", () => {
  assert.ok(rooms.length > 30);
  const named = ["crate::job::Jobs", "crate::job::bypass::Bypass", "crate::job::bypass::Job"];
  // The first of them is public, and no error: all else in the copy is as it should be.
  const found = errors(rooms.map((file) => [file, named.map((path, n) => `mod probe_${n} { use ${path} as _; }`)]));
  // E0603: it is private.
  assert.deepEqual(found, rooms.flatMap((file) => [1, 2].map((n) => `${file}:${next(file) + n} E0603`)).sort());
});

test("what a route is given leads neither to the bypass nor to a setting", () => {
  const file = "src/notes.rs";
  const lines: [code: string | null, line: string][] = [
    [null, "async fn probe_0(jobs: &crate::job::Jobs, edge: &impl crate::seam::Edge) { jobs.run(edge).await }"],
    // A private field, no such method, no such field.
    ["E0616", "fn probe_1(jobs: &crate::job::Jobs) { let _ = &jobs.bypass; }"],
    ["E0599", 'fn probe_2(edge: &impl crate::seam::Edge) { let _ = edge.text("SUPABASE_SECRET_KEY"); }'],
    ["E0609", "fn probe_3(config: &crate::config::Config) { let _ = &config.bindings; }"],
    ["E0609", "fn probe_4(config: &crate::config::Config) { let _ = &config.secret_key; }"],
  ];
  const found = errors([[file, lines.map(([, line]) => line)]]);
  assert.deepEqual(found, lines.flatMap(([code], n) => (code ? [`${file}:${next(file) + n} ${code}`] : [])).sort());
});
