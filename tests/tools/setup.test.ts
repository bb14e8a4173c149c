// Help, and messages for a machine that lacks Rust and for a task that does not exist.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { cpSync, existsSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";

const scratch = mkdtempSync(join(tmpdir(), "airlock-setup-"));
symlinkSync(process.execPath, join(scratch, "node"));
after(() => rmSync(scratch, { recursive: true, force: true }));

/** The error of `npm run build` on a machine whose only programs are Node.js and these shell scripts. */
function build(programs: Record<string, string>): string {
  for (const name of ["rustc", "cargo"]) rmSync(join(scratch, name), { force: true });
  for (const [name, script] of Object.entries(programs)) {
    writeFileSync(join(scratch, name), `#!/bin/sh\n${script}\n`, { mode: 0o755 });
  }
  const run = spawnSync(join(scratch, "node"), ["tools/run.mjs", "build"], {
    encoding: "utf8",
    env: { PATH: scratch },
  });
  assert.equal(run.status, 1, run.stdout + run.stderr);
  return run.stderr;
}

test("without Rust the build says where to get it", () => {
  assert.match(build({}), /Install Rust with rustup \(https:\/\/rustup\.rs\)/);
});

test("the build names a Rust that is too old and the version it needs", () => {
  const message = build({ rustc: "echo rustc 1.80.0", cargo: "echo cargo 1.80.0" });
  assert.match(message, /needs Rust 1\.91 or newer; this is rustc 1\.80\.0/);
});

test("an unknown task is refused with a pointer to the list of tasks", () => {
  const run = spawnSync(process.execPath, ["tools/run.mjs", "nonsense"], { encoding: "utf8" });
  assert.notEqual(run.status, 0);
  assert.match(run.stderr, /There is no task "nonsense"/);
});

const tasks = Object.values<string>(JSON.parse(readFileSync("package.json", "utf8")).scripts).map(
  (script) => script.split(" ").at(-1) ?? "",
);
/** As on a fresh clone: the files of git, without packages. */
const clone = join(scratch, "clone");

test("every task answers --help on a fresh clone, and starts and installs nothing", () => {
  const files = spawnSync("git", ["ls-files", "-z", "tools", "package.json", "package-lock.json"], { encoding: "utf8" })
    .stdout.split("\0")
    .filter(Boolean);
  for (const file of files) cpSync(file, join(clone, file));
  assert.ok(tasks.length > 15, tasks.join());
  for (const task of tasks) {
    for (const args of [["--help"], ["tags", "-h"]]) {
      const run = spawnSync(join(scratch, "node"), [join(clone, "tools/run.mjs"), task, ...args], {
        encoding: "utf8",
        env: { PATH: scratch },
      });
      assert.deepEqual([run.status, run.stderr], [0, ""], task);
      assert.match(run.stdout, new RegExp(`^npm (run )?${task === "rlscost" ? "rls:cost" : task}\\b`), task);
      assert.doesNotMatch(run.stdout, /^\/\/|^import /m);
    }
  }
  assert.equal(existsSync(join(clone, "node_modules")), false);
});
