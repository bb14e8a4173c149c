// node tools/setup/node-tests.ts PATTERN FILE...: runs files of tests, the slowest first. PATTERN is part of the names
// of the tests to run; all of them if it is empty.

import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { join, resolve } from "node:path";
import { run } from "node:test";
import { spec, tap } from "node:test/reporters";

import { project, root } from "./shell.ts";

/** Milliseconds for one file. One that hangs must fail, and let the others run. */
const FILE_TIMEOUT = 1_200_000;
/** These take longest, in this order. */
const SLOW = [
  "tests/e2e/resources.test.ts",
  "tests/evidence/command.test.ts",
  "tests/adopt/command.test.ts",
  "tests/e2e/keys.test.ts",
  "tests/e2e/replay.test.ts",
  "tests/database/lifecycle.test.ts",
  "tests/evidence/audit.test.ts",
  "tests/e2e/organizations.test.ts",
  "tests/example/web.test.ts",
  "tests/tools/dev.test.ts",
  "tests/tools/arguments.test.ts",
  "client/test/app.test.ts",
  "tests/tools/deploy.test.ts",
  "tests/tools/package.test.ts",
  "tests/tools/newresource.test.ts",
  "tests/repository/bypass.test.ts",
];
/**
 * Files in these folders run in this many processes. Half of what one of them takes alone is the start: workerd's and Postgres'
 * JavaScript and WASM are loaded, compiled and optimised.
 */
const SHARED = /^tests\/(adopt|database|e2e|evidence)\//;
const PROCESSES = 2 * availableParallelism();

const [pattern = "", ...given] = process.argv.slice(2);
const made = join(project, ".airlock", "tests");
mkdirSync(made, { recursive: true });
const folder = mkdtempSync(join(made, "run-"));
process.on("exit", () => rmSync(folder, { recursive: true, force: true }));

// What takes longest first, so that none is left for the end.
const ordered = [...SLOW.filter((file) => given.includes(file)), ...given.filter((file) => !SLOW.includes(file))];
// By name each runs alone: the hooks of a suite run even if no test in it has the name.
const shared = ordered.filter((file) => pattern === "" && SHARED.test(file));
const files = [...together(shared), ...ordered.filter((file) => !shared.includes(file))].map((file) =>
  resolve(root, file),
);
// More than there are cores: half of the time files wait, for servers to start and for deadlines.
const events = run({
  files,
  concurrency: PROCESSES + 1,
  timeout: FILE_TIMEOUT,
  execArgv: ["--expose-gc"],
  // A file without a test of this name would stay: Node.js runs `after` before an asynchronous `before` has ended.
  ...(pattern && { testNamePatterns: [pattern], forceExit: true }),
});
events.on("test:fail", () => (process.exitCode = 1));
events.compose(process.stdout.isTTY ? new spec() : tap).pipe(process.stdout);

/** Files that each run some of these. Neighbours, which take equally long, are in different ones. */
function together(shared: string[]): string[] {
  const groups = Array.from({ length: Math.min(PROCESSES, shared.length) }, (_, n) =>
    shared.filter((_, at) => at % PROCESSES === n),
  );
  return groups.map((files, n) => {
    const group = join(folder, `${n + 1}.test.mjs`);
    // The databases of the last suite are garbage of half a gigabyte, which V8 takes for a few objects.
    const suites = files.map(
      (file) => `
await suite(${JSON.stringify(file)}, () => {
  before(() => gc());
  return import(${JSON.stringify(join(root, file))});
});
`,
    );
    writeFileSync(group, `import { before, suite } from "node:test";\n${suites.join("")}`);
    return group;
  });
}
