// No secret in the tree, the history or the build.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { test } from "node:test";

import { findSecrets } from "../../tools/secrets.ts";

const git = (...args: string[]) => execFileSync("git", args, { encoding: "utf8", maxBuffer: 1 << 30 });

const token = (role: string) => {
  const part = (value: object) => Buffer.from(JSON.stringify(value)).toString("base64url");
  return `${part({ alg: "HS256" })}.${part({ iss: "supabase", role })}.${"x".repeat(43)}`;
};

test("the scan finds a service key and lets the anon key pass", () => {
  for (const [text, found] of [
    [token("service_role"), 1],
    [token("authenticated"), 1],
    [token("anon"), 0],
    [`key = "sb_secret_${"x".repeat(30)}"`, 1],
    ["sb_secret_ keys bypass Row Level Security", 0],
    [`-----BEGIN PRIVATE KEY-----\n${"A".repeat(64)}\n`, 1],
  ] as const) {
    assert.equal(findSecrets(text).length, found, text.slice(0, 40));
  }
});

test("no file of the tree holds a secret", () => {
  const files = git("ls-files", "-z", "--cached", "--others", "--exclude-standard").split("\0").filter(Boolean);
  assert.ok(files.length > 50);
  for (const file of files) assert.deepEqual(findSecrets(readFileSync(file, "utf8")), [], file);
});

test("no commit holds a secret", () => {
  const objects = git("rev-list", "--objects", "--all").trim().split("\n");
  assert.ok(objects.length > 0);
  assert.deepEqual(findSecrets(git("log", "--all", "--patch", "--no-color")), []);
});

test("the build holds no secret", () => {
  for (const file of ["build/index.js", "build/index_bg.wasm"]) {
    assert.deepEqual(findSecrets(readFileSync(file, "latin1")), [], file);
  }
});

test(".dev.vars and what else is local is ignored by git", () => {
  const local = [".dev.vars", ".env", ".airlock/data/x", "build/index.js", "node_modules/x", "target/x"];
  const ignored = execFileSync("git", ["check-ignore", "--no-index", ...local], { encoding: "utf8" });
  assert.deepEqual(ignored.trim().split("\n"), local);
});
