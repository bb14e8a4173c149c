// No command for users needs GNU tools or a certain shell: they run on Linux, macOS, and Windows by WSL.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { test } from "node:test";

const files = execFileSync("git", ["ls-files", "--cached", "--others", "--exclude-standard"], { encoding: "utf8" })
  .trim()
  .split("\n")
  .filter((file) => existsSync(file));

test("each npm script is one command that every POSIX shell has, for a file in tools/", () => {
  const { scripts } = JSON.parse(readFileSync("package.json", "utf8")) as { scripts: Record<string, string> };
  for (const [name, script] of Object.entries(scripts)) {
    const task = /^exec node tools\/run\.mjs ([a-z]+(?:-[a-z]+)*)$/.exec(script)?.[1];
    assert.ok(task && existsSync(`tools/${task}.ts`), `${name}: ${script}`);
  }
});

test("documents and tools name no command that macOS lacks", () => {
  const absent =
    /\b(?:basenc|readlink -f|sed -i |grep -P|date -d|sha256sum|nproc|xargs -r|mktemp --|stat -c|timeout \d|base64 -w)/;
  for (const file of files.filter((name) =>
    /^(?:docs\/|README|CONTRIBUTING|tools\/|client\/README|wrangler\.toml)/.test(name),
  )) {
    const line = readFileSync(file, "utf8")
      .split("\n")
      .findIndex((text) => absent.test(text));
    assert.equal(line, -1, `${file}:${line + 1}`);
  }
});

test("file names differ by more than their case and fit every file system", () => {
  const lower = files.map((file) => file.toLowerCase());
  assert.equal(new Set(lower).size, files.length);
  for (const file of files) assert.doesNotMatch(file, /[<>:"|?*\\]|[ .]$/, file);
});
