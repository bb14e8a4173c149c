#!/usr/bin/env node
// @ts-check
// Runs one task of the project: `npm run build` is `node tools/run.mjs build`. In the package airlock-edge it is the
// command `airlock`, for the team's folder that the command is in.
//
// Only this script runs on the machine's own Node.js (20 or newer). A fresh clone has no packages, so it imports none.
// `--help` is answered by it alone. It installs the npm packages of a clone when they are missing or out of date. Then
// it starts tools/<task>.ts on the Node.js 22 among them, which wrangler needs. A task itself asks for its other needs
// (Rust, the wasm target).
//
// A task and all that it starts is one process group. The task gets SIGTERM when this process is told to end
// (Ctrl-C, SIGTERM, SIGHUP) or npm has died. After its end the rest of its group is killed. Should this very process be
// killed, the task sees its IPC channel close (setup/preload.ts). Either way nothing stays behind. The `exec` in
// package.json makes npm itself our parent. A shell between the two (dash stays there) would end on SIGTERM before the
// task, and would outlive an npm that is killed: tests/tools/signals.test.ts.

import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { constants } from "node:os";
import { delimiter, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

import { helpOf } from "./setup/help.mjs";

const GRACE_MS = 10_000;

const root = fileURLToPath(new URL("..", import.meta.url));
const packages = join(root, "node_modules");
const lockFile = join(root, "package-lock.json");
/** npm publishes no lock file. */
const isClone = existsSync(lockFile);
const extension = isClone ? ".ts" : ".js";
const require = createRequire(import.meta.url);

const [task = "", ...args] = process.argv.slice(2);
const script = join(root, "tools", `${task}${extension}`);

if (process.platform === "win32") {
  fail("On Windows, Airlock runs in WSL: `wsl --install`, then run it there.");
}
if (Number.parseInt(process.versions.node, 10) < 20) {
  fail(`Airlock needs Node.js 20 or newer; this is ${process.versions.node}.`);
}
if (!/^[a-z]+(-[a-z]+)*$/.test(task) || !existsSync(script)) {
  fail(`There is no task "${task}". The tasks are the scripts in package.json: npm run.`);
}
if (args.includes("--help") || args.includes("-h")) {
  console.log(helpOf(script));
  process.exit();
}
const project = isClone ? root : findProject();
const node = isClone ? await installPackages() : requireNode();
const bins = [...new Set([packages, join(project, "node_modules")])].map((folder) => join(folder, ".bin"));
process.exitCode = await inGroup(
  node,
  ["--import", new URL(`setup/preload${extension}`, import.meta.url).href, script, ...args],
  {
    cwd: project,
    stdio: ["inherit", "inherit", "inherit", "ipc"],
    env: {
      ...process.env,
      // As npm sets it.
      INIT_CWD: process.env.INIT_CWD ?? process.cwd(),
      PATH: [dirname(node), ...bins, process.env.PATH].join(delimiter),
      // What V8 made of the sources is kept for the next start, and for the processes that the task starts.
      NODE_COMPILE_CACHE: process.env.NODE_COMPILE_CACHE ?? join(project, "node_modules", ".cache", "airlock"),
      ...(isClone && {
        NODE_OPTIONS: `${process.env.NODE_OPTIONS ?? ""} --import=${import.meta.resolve("./setup/typescript.mjs")}`,
      }),
      WRANGLER_SEND_METRICS: "false",
      DO_NOT_TRACK: "1",
    },
  },
);

/** `npm ci`, unless the installed packages are those of package-lock.json; returns the path of their Node.js. */
async function installPackages() {
  const stamp = join(packages, ".airlock-lock");
  const wanted = createHash("sha256").update(readFileSync(lockFile)).digest("hex");
  const installed = findNode();
  if (installed && existsSync(stamp) && readFileSync(stamp, "utf8") === wanted) return installed;

  console.error("airlock: installing the npm packages (about a minute the first time)");
  // Without our own folders on the path, because npm may replace the `node` in them. npm's messages are not output of
  // the task, so they go to stderr; it would warn of packages that want the Node.js they get.
  const path = (process.env.PATH ?? "").split(delimiter).filter((folder) => !folder.startsWith(packages));
  const code = await inGroup("npm", ["ci", "--loglevel=error"], {
    cwd: root,
    stdio: ["ignore", 2, 2],
    env: { ...process.env, PATH: path.join(delimiter) },
  });
  if (code !== 0) fail("`npm ci` failed, see above.", code);
  const node = requireNode();
  writeFileSync(stamp, wanted);
  return node;
}

function requireNode() {
  return (
    findNode() ??
    fail(
      `npm installed no Node.js 22 for ${process.platform} on ${process.arch}: there is none for this platform, or npm is set to leave out optional packages.`,
    )
  );
}

/**
 * The path of the Node.js 22 among the packages. Not .bin/node: npm 10 leaves that link out when it skips those for
 * other platforms.
 */
function findNode() {
  for (const name of ["node", "node-bin"]) {
    try {
      return require.resolve(`${name}-${process.platform}-${process.arch}/bin/node`);
    } catch {
      // Not installed.
    }
  }
}

/** The folder of airlock.toml: the working folder, or the closest one above it. */
function findProject() {
  for (let folder = process.cwd(); ; folder = dirname(folder)) {
    if (existsSync(join(folder, "airlock.toml"))) return folder;
    if (folder === dirname(folder))
      fail("There is no airlock.toml here or in a folder above. `npm create airlock my-api` makes a project.");
  }
}

/**
 * Runs a command as a process group and waits until all of it has ended.
 * @param {string} command
 * @param {string[]} args
 * @param {import("node:child_process").SpawnOptions} options
 * @returns {Promise<number>} its exit code
 */
function inGroup(command, args, options) {
  return new Promise((resolve) => {
    const child = spawn(command, args, { detached: true, ...options });
    const killGroup = () => {
      try {
        if (child.pid) process.kill(-child.pid, "SIGKILL");
      } catch {
        // The group has already ended.
      }
    };

    let stoppedAt = 0;
    const stop = () => {
      // One Ctrl-C arrives twice, from the terminal and from npm; the user's second one means "now".
      if (stoppedAt && Date.now() - stoppedAt > 1000) return killGroup();
      if (stoppedAt) return;
      stoppedAt = Date.now();
      child.kill("SIGTERM");
      setTimeout(killGroup, GRACE_MS).unref();
    };
    const signals = /** @type {const} */ (["SIGINT", "SIGTERM", "SIGHUP"]);
    for (const signal of signals) process.on(signal, stop);
    const parent = process.ppid;
    const watch = setInterval(() => process.ppid === parent || stop(), 500);

    child.on("error", (error) => fail(`${command} does not start: ${error.message}`));
    child.on("exit", (code, signal) => {
      killGroup();
      clearInterval(watch);
      for (const name of signals) process.off(name, stop);
      resolve(code ?? 128 + (signal ? constants.signals[signal] : 0));
    });
  });
}

/**
 * @param {string} message
 * @returns {never}
 */
function fail(message, code = 1) {
  console.error(`airlock: ${message}`);
  process.exit(code);
}
