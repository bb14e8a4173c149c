// A task ends with npm, however npm ends: tools/run.mjs in a project that has one task.

import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { cp, mkdir, mkdtemp, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { after, before, test } from "node:test";

import { root } from "../../tools/setup/shell.ts";

let project: string;
const children = new Set<ChildProcess>();

before(async () => {
  project = await mkdtemp(join(tmpdir(), "airlock-signals-"));
  await mkdir(join(project, "tools"));
  for (const path of ["package-lock.json", "tools/run.mjs", "tools/setup"])
    await cp(join(root, path), join(project, path), { recursive: true });
  await symlink(join(root, "node_modules"), join(project, "node_modules"));
  // As each script of the project is written.
  const { scripts } = JSON.parse(await readFile(join(root, "package.json"), "utf8")) as {
    scripts: Record<string, string>;
  };
  await writeFile(
    join(project, "package.json"),
    JSON.stringify({ type: "module", scripts: { task: String(scripts.dev).replace(/ dev$/, " task") } }),
  );
  // The task and a process of its own.
  await writeFile(
    join(project, "tools", "task.ts"),
    `import { spawn } from "node:child_process";
     const child = spawn(process.execPath, ["-e", "setInterval(() => {}, 1000)"]);
     process.on("SIGTERM", () => process.exit(0));
     setInterval(() => {}, 1000);
     console.log(\`task \${process.pid} \${child.pid}\`);`,
  );
});
after(async () => {
  for (const child of children) child.kill("SIGKILL");
  await rm(project, { recursive: true, force: true });
});

for (const signal of ["SIGTERM", "SIGINT", "SIGHUP", "SIGKILL"] as const) {
  test(`${signal} to npm ends the task and all that it started`, async () => {
    const npm = spawn("npm", ["run", "--silent", "task"], { cwd: project, stdio: ["ignore", "pipe", "ignore"] });
    children.add(npm);
    const ended = once(npm, "exit");
    const [line] = (await once(createInterface({ input: npm.stdout }), "line")) as [string];
    const pids = /^task (\d+) (\d+)$/.exec(line)?.slice(1).map(Number) ?? assert.fail(line);
    assert.deepEqual(pids.map(runs), [true, true]);
    npm.kill(signal);
    await ended;
    if (signal === "SIGTERM" || signal === "SIGINT")
      assert.equal(runs(Number(pids[0])), false, "npm waits for the task");
    for (let tries = 0; pids.some(runs); tries += 1) {
      assert.ok(tries < 200, `it runs after ${signal}: ${pids.filter(runs).join()}`);
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  });
}

function runs(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}
