// No secret in the tree, the history or the build.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { mkdir, mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import { test } from "node:test";

import { parse } from "smol-toml";

import { built, findSecrets, history, isRepository, tree } from "../../tools/secrets.ts";
import { outputs } from "../../tools/setup/worker.ts";

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
    [`sb_secret_sb_publishable_${"x".repeat(30)}`, 1],
    ["sb_secret_sb_publishable_is neither", 0],
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
  for (const { name, text } of files) assert.deepEqual(findSecrets(text), [], name);
});

test("links and submodules do not end the scan of files", async () => {
  const folder = await mkdtemp(join(tmpdir(), "airlock-tree-"));
  try {
    const git = (...args: string[]) =>
      execFileSync("git", ["-C", folder, "-c", "user.name=a", "-c", "user.email=a@example.com", ...args], {
        stdio: "ignore",
      });
    git("init");
    await writeFile(join(folder, "a.txt"), "text");
    await symlink("/nowhere", join(folder, "broken"));
    await symlink(".", join(folder, "loop"));
    execFileSync("git", ["init", join(folder, "inner")], { stdio: "ignore" });
    await writeFile(join(folder, "inner", "b.txt"), "text");
    git("-C", "inner", "add", ".");
    git("-C", "inner", "commit", "-m", "b");
    git("add", "a.txt", "broken", "loop", "inner");
    // A submodule that is not checked out.
    git("update-index", "--add", "--cacheinfo", `160000,${"1".repeat(40)},absent`);
    await mkdir(join(folder, "absent"));
    const unread: string[] = [];
    const names = tree((what) => unread.push(what), folder).map(({ name }) => relative(folder, name));
    assert.deepEqual(names.sort(), ["a.txt", "broken", "inner/b.txt", "loop"]);
    assert.deepEqual(unread, [`${join(folder, "absent")}: a submodule that is not checked out`]);
    assert.throws(() => tree(undefined, folder), /not checked out/);
  } finally {
    await rm(folder, { recursive: true });
  }
});

test("without a repository the files that no .gitignore names are read", async () => {
  const folder = await mkdtemp(join(tmpdir(), "airlock-tree-"));
  try {
    for (const name of [".gitignore", ".dev.vars", "a.txt"]) await writeFile(join(folder, name), ".dev.vars\n");
    const names = () => tree(undefined, folder).map(({ name }) => relative(folder, name));
    assert.equal(isRepository(folder), false);
    assert.deepEqual(names().sort(), [".gitignore", "a.txt"]);
    execFileSync("git", ["init", folder], { stdio: "ignore" });
    assert.equal(isRepository(folder), true);
    assert.deepEqual(names().sort(), [".gitignore", "a.txt"]);
    assert.deepEqual(history(undefined, folder), []);
  } finally {
    await rm(folder, { recursive: true });
  }
});

test("no commit holds a secret", () => {
  const objects = history();
  const license = readFileSync("LICENSE", "latin1");
  assert.ok(
    objects.some(({ name, text }) => name.startsWith("LICENSE (") && text === license),
    "the history is not complete",
  );
  for (const { name, text } of objects) assert.deepEqual(findSecrets(text), [], name);
});

test("the build holds no secret", () => {
  const files = built();
  assert.deepEqual(
    files.slice(0, outputs.length).map(({ name }) => name),
    outputs,
  );
  for (const { name, text } of files) assert.deepEqual(findSecrets(text), [], name);
});

test("the keys of this machine's .dev.vars are nowhere else", { skip: !existsSync(".dev.vars") }, () => {
  const keys = readFileSync(".dev.vars", "latin1").match(/(?<![\w-])(?:sb_secret_[\w-]+|[\w-]{43})(?![\w-])/g) ?? [];
  assert.ok(keys.length >= 2);
  const places = [...tree(), ...history(), ...built()];
  for (const key of keys) assert.ok(!places.some(({ text }) => text.includes(key)), `${key.slice(0, 4)}...`);
});

test(".dev.vars and other local files are ignored by git", () => {
  const local = [".dev.vars", ".env", ".airlock/data/x", "build/index.js", "node_modules/x", "target/x"];
  const ignored = execFileSync("git", ["check-ignore", "--no-index", ...local], { encoding: "utf8" });
  assert.deepEqual(ignored.trim().split("\n"), local);
});

const supabase = structuredClone(parse(readFileSync("supabase/config.toml", "utf8"))) as {
  api: Record<string, unknown>;
  auth: Record<string, unknown>;
  db: { seed: { enabled: boolean } };
};

test("`supabase config push` sets no more than what must hold in every project", () => {
  const { port, ...api } = supabase.api;
  assert.deepEqual(
    { api, auth: supabase.auth },
    { api: { schemas: ["public"] }, auth: { email: { enable_confirmations: true } } },
  );
});

test("no user is made in a project by the migrations, a seed or the CLI's configuration", () => {
  assert.equal(supabase.db.seed.enabled, false);
  assert.ok(!existsSync("supabase/seed.sql"), "hosted Supabase runs it in each preview branch");
  for (const { name, text } of tree().filter(
    ({ name }) => /^supabase\/.*\.(sql|toml)$/.test(name) && !name.startsWith("supabase/tests/"),
  )) {
    assert.doesNotMatch(text, /insert into auth\.users|encrypted_password/i, name);
  }
});
