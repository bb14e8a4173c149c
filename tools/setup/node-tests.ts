// node tools/setup/node-tests.ts PATTERN FILE...: runs files of tests in this order, which `node --test` would sort. PATTERN is
// part of the names of the tests to run; all of them if it is empty.

import { availableParallelism } from "node:os";
import { run } from "node:test";
import { spec, tap } from "node:test/reporters";

/** Milliseconds for one file. One that hangs must fail, and let the others run. */
const FILE_TIMEOUT = 1_200_000;

const [pattern = "", ...files] = process.argv.slice(2);
// One more than there are cores: files wait for servers to start, and for deadlines.
const events = run({ files, concurrency: availableParallelism() + 1, timeout: FILE_TIMEOUT, ...(pattern && { testNamePatterns: [pattern] }) });
events.on("test:fail", () => (process.exitCode = 1));
events.compose(process.stdout.isTTY ? new spec() : tap).pipe(process.stdout);
