// What holds of the sources as a whole.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { test } from "node:test";

const files = (...patterns: string[]) =>
  execFileSync("git", ["ls-files", "--cached", "--others", "--exclude-standard", ...patterns], { encoding: "utf8" }).trim().split("\n");

test("the platform is named at the edge alone", () => {
  const naming = files("src/*.rs", "src/**/*.rs").filter((file) => /\bworker(?=::)|\buse worker\b/.test(readFileSync(file, "utf8")));
  assert.deepEqual(naming, ["src/edge/mod.rs", "src/edge/replay.rs"]);
});

test("the jobs alone name the secret key, and the edge alone names the jobs", () => {
  const naming = (pattern: RegExp) => files("src/*.rs", "src/**/*.rs").filter((file) => pattern.test(readFileSync(file, "utf8")));
  assert.deepEqual(naming(/SECRET_KEY|sb_secret_/).filter((file) => !file.startsWith("src/job/")), ["src/config.rs"]);
  assert.doesNotMatch(readFileSync("src/config.rs", "utf8"), /SECRET_KEY/);
  assert.deepEqual(naming(/\bjob::/).filter((file) => !file.startsWith("src/job/")), ["src/edge/mod.rs", "src/gateway.rs"]);
  // Which looks whether they would find what they need, and is told no more.
  assert.deepEqual(readFileSync("src/gateway.rs", "utf8").match(/\bjob::\w+/g), ["job::check"]);
});

test("every module says what it promises", () => {
  for (const file of files("src/*.rs", "src/**/*.rs")) {
    if (file.endsWith("tests.rs")) continue;
    assert.match(readFileSync(file, "utf8"), /^\/\/! /, file);
  }
});

test("every npm package is pinned to one version", () => {
  for (const file of ["package.json", "client/package.json"]) {
    const { dependencies = {}, devDependencies = {}, optionalDependencies = {} } = JSON.parse(readFileSync(file, "utf8"));
    for (const [name, version] of Object.entries({ ...dependencies, ...devDependencies, ...optionalDependencies })) {
      assert.match(String(version), /^\d+\.\d+\.\d+(-[\w.]+)?$/, `${name} in ${file}`);
    }
  }
});

test("the lock files name no host", () => {
  assert.doesNotMatch(readFileSync("package-lock.json", "utf8"), /"resolved": "http/);
  assert.doesNotMatch(readFileSync("tests/api/requirements.txt", "utf8"), /:\/\//);
});

test("nothing but its build is deployed", () => {
  const config = readFileSync("wrangler.toml", "utf8");
  assert.match(config, /^main = "build\/index.js"$/m);
  assert.match(config, /^\[observability\]\nenabled = true$/m);
});

test("the log that is deployed is ours alone", () => {
  assert.match(readFileSync("wrangler.toml", "utf8"), /^\[observability\.logs\]\nenabled = true\ninvocation_logs = false$/m);
});
