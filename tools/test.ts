// npm test: everything, on the real parts. Ends with the runners' own summaries.
//
//     npm test                        all suites
//     npm test -- e2e                 one suite: a folder of tests, "client" or "rust"
//     npm test -- tests/e2e/x.test.ts one file
//     npm test -- "part of a name"    all tests whose name has these words
//     npm test -- long                what takes too long for every run
//
// The package has the tests that prove a team's own resources.

import { existsSync, readFileSync } from "node:fs";
import { glob } from "node:fs/promises";
import { join } from "node:path";

import { Failure, isClone, root, run, tool } from "./setup/shell.ts";
import { build } from "./setup/worker.ts";

const SUITES: Record<string, string> = {
  client: "client/test",
  repository: "tests/repository",
  tools: "tests/tools",
  database: "tests/database",
  evidence: "tests/evidence",
  adopt: "tests/adopt",
  e2e: "tests/e2e",
  example: "tests/example",
};
const LONG = "tests/long";
const [wanted, ...others] = process.argv.slice(2);
if (others.length > 0)
  throw new Failure('Give one suite, one file or one name in quotes: npm test -- "part of a name"');

await build();
process.env.AIRLOCK_BUILT = root;
if (wanted === undefined) {
  if (isClone) await rust([]);
  await node(await files(Object.values(SUITES)));
} else if (wanted === "rust" && isClone) {
  await rust([]);
} else if (wanted === "long") {
  await node(await files([LONG]));
} else if (wanted in SUITES) {
  await node(await files([SUITES[wanted] ?? ""]));
} else if (existsSync(join(root, wanted))) {
  await (wanted.endsWith(".rs") ? rust(["--test", wanted.replace(/^tests\/|\.rs$/g, "")]) : node([wanted]));
} else {
  await byName(wanted);
}

async function byName(name: string): Promise<void> {
  const having = (await files([...Object.values(SUITES), LONG])).filter((file) =>
    readFileSync(join(root, file), "utf8")
      .split("\n")
      .some((line) => line.includes(name) && !/^\s*(\/\/|\*|\/\*)/.test(line)),
  );
  if (having.length > 0) return node(having, name.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"));
  if (/^\w+$/.test(name) && isClone) return rust([name]);
  throw new Failure(`No test has the name "${name}".`);
}

async function files(folders: string[]): Promise<string[]> {
  const found: string[] = [];
  for (const folder of folders)
    for await (const file of glob(`${folder}/**/*.test.{ts,js}`, { cwd: root })) found.push(file);
  // Jest runs the tests in the Expo app: see client/test/app.test.ts.
  return found.filter((file) => !file.startsWith("client/test/app/")).sort();
}

async function rust(args: string[]): Promise<void> {
  console.log("airlock: Rust tests, natively through the whole path");
  await run("cargo", ["test", "--locked", "--quiet", ...args], { stdio: "inherit" });
}

async function node(tests: string[], pattern = ""): Promise<void> {
  // Once, before its tests run in processes of their own.
  if (tests.some((file) => file.startsWith(SUITES.example ?? "")))
    await (await import("./setup/example.ts")).installApp();
  console.log(`airlock: ${tests.length} files of tests on workerd and Postgres`);
  await run("node", [tool("setup/node-tests"), pattern, ...tests], { stdio: "inherit" });
}
