// No secret in the tree, the history or the build.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { test } from "node:test";

import { findSecrets } from "../../tools/secrets.ts";
import { outputs } from "../../tools/setup/worker.ts";

/** One character a byte: secrets are ASCII, wherever they are. */
const git = (args: string[], input?: string) => execFileSync("git", args, { encoding: "latin1", maxBuffer: 1 << 30, ...(input !== undefined && { input }) });

/** All files of the tree, but those that are ignored. */
const tree = () => git(["ls-files", "-z", "--cached", "--others", "--exclude-standard"]).split("\0").filter((file) => file !== "" && existsSync(file));
const built = () => outputs.map((file) => readFileSync(file, "latin1"));
/** Every version of every file, every message and every tag that any branch leads to, binary or not. */
const history = () => git(["cat-file", "--batch"], git(["rev-list", "--objects", "--no-object-names", "--all"]));

const token = (payload: string) => `${base64url('{"alg":"HS256"}')}.${base64url(payload)}.${"x".repeat(43)}`;
const base64url = (text: string) => Buffer.from(text).toString("base64url");

test("the scan finds a service key and lets the anon key pass", () => {
  for (const [text, found] of [
    [token('{"iss":"supabase","role":"service_role"}'), 1],
    [token('{ "role": "service_role" }'), 1],
    [token('{\n"role":"supabase_admin"}'), 1],
    [token('{"role":"authenticated"}'), 1],
    [token('{"iss":"supabase","role":"anon"}'), 0],
    // As in a build, whose strings have nothing between them.
    [`malformed_json${token('{"role":"service_role"}')}misconfigured`, 1],
    [`malformed_json${token('{"role":"anon"}')}misconfigured`, 0],
    [`key = "sb_secret_${"x".repeat(30)}"`, 1],
    [`forbiddensb_secret_${"x".repeat(30)}`, 1],
    ["sb_secret_ keys bypass Row Level Security", 0],
    [`sb_publishable_${"x".repeat(30)}`, 0],
    [`sbp_${"0".repeat(40)}`, 1],
    [`-----BEGIN PRIVATE KEY-----\n${"A".repeat(64)}\n`, 1],
    [`"-----BEGIN EC PRIVATE KEY-----\\n${"A".repeat(64)}\\n"`, 1],
    [`{"kty":"EC","d": "${"A".repeat(43)}"}`, 1],
    [`postgresql://postgres:${"x".repeat(16)}@db.example.com:5432/postgres`, 1],
  ] as const) {
    assert.equal(findSecrets(text).length, found, text.slice(0, 40));
  }
});

test("no file of the tree holds a secret", () => {
  const files = tree();
  assert.ok(files.length > 50);
  for (const file of files) assert.deepEqual(findSecrets(readFileSync(file, "latin1")), [], file);
});

test("no commit holds a secret", () => {
  const objects = history();
  assert.ok(objects.includes(readFileSync("LICENSE", "latin1")), "the history is not complete");
  assert.deepEqual(findSecrets(objects), []);
});

test("the build holds no secret", () => {
  for (const text of built()) assert.deepEqual(findSecrets(text), []);
});

test("the keys of this machine's .dev.vars are nowhere else", { skip: !existsSync(".dev.vars") }, () => {
  const keys = readFileSync(".dev.vars", "latin1").match(/(?<![\w-])(?:sb_secret_[\w-]+|[\w-]{43})(?![\w-])/g) ?? [];
  assert.ok(keys.length >= 2);
  const texts = [...tree().map((file) => readFileSync(file, "latin1")), history(), ...built()];
  for (const key of keys) assert.ok(!texts.some((text) => text.includes(key)), `${key.slice(0, 4)}...`);
});

test(".dev.vars and what else is local is ignored by git", () => {
  const local = [".dev.vars", ".env", ".airlock/data/x", "build/index.js", "node_modules/x", "target/x"];
  assert.deepEqual(git(["check-ignore", "--no-index", ...local]).trim().split("\n"), local);
});
