// Messages for a machine that lacks Rust, and for a task that does not exist.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
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
  const run = spawnSync(join(scratch, "node"), ["tools/run.mjs", "build"], { encoding: "utf8", env: { PATH: scratch } });
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
