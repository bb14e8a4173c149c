// npm test: everything, on the real parts. Ends with the runners' own summaries.

import { run } from "./setup/shell.ts";
import { build } from "./setup/worker.ts";

/** Milliseconds for one file of tests. One takes two minutes at most; one that hangs must fail, and let the others run. */
const FILE_TIMEOUT = 1_200_000;

const SUITES = ["client/test", "tests/repository", "tests/tools", "tests/database", "tests/evidence", "tests/e2e"];

await build();
console.log("airlock: Rust tests, natively through the whole path");
await run("cargo", ["test", "--locked", "--quiet"], { stdio: "inherit" });
console.log("airlock: client, repository, database, evidence and end-to-end tests (about seven minutes)");
const globs = SUITES.map((folder) => `${folder}/**/*.test.ts`);
// Two at a time: most suites run a Postgres of their own.
await run("node", ["--test", "--test-concurrency=2", `--test-timeout=${FILE_TIMEOUT}`, ...globs], { stdio: "inherit" });
