// npm run counts: how many vectors, texts, changed bytes, faults and mutants the tests behind docs/security.md use. The
// tests count them and print "counted: ...". Some minutes.

import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { run as runTests } from "node:test";

import { Failure, root, run } from "./setup/shell.ts";
import { build } from "./setup/worker.ts";

const COUNTED = /^counted: (.*)$/;
const E2E = join(root, "tests", "e2e");

await build();

console.log("\nnatively");
const native = await run("cargo", ["test", "--locked", "--quiet", "--lib", "--", "--nocapture", "wycheproof", "canonical_text"], { stdio: ["ignore", "pipe", 2] });
for (const line of native.split("\n")) {
  const [, text] = COUNTED.exec(line.replace(/^\.*/, "")) ?? [];
  if (text) console.log(`  ${text}`);
}

console.log("\non workerd");
let failed = 0;
const files: string[] = [];
for (const name of (await readdir(E2E)).sort()) {
  if (name.endsWith(".test.ts") && (await readFile(join(E2E, name), "utf8")).includes("counted: ")) files.push(join(E2E, name));
}
const events = runTests({ files, concurrency: 1 });
for await (const { type, data } of events) {
  if (type === "test:fail") failed++;
  if (type !== "test:diagnostic") continue;
  const [, text] = COUNTED.exec(data.message) ?? [];
  if (text) console.log(`  ${text}`);
}

console.log("\nmutants (recorded by npm run mutants)");
const total = { caught: 0, timeout: 0, unviable: 0, missed: 0 };
const mutants: Record<string, typeof total> = JSON.parse(await readFile(join(root, "docs", "mutants.json"), "utf8").catch(() => "{}"));
const said = ({ caught, timeout, unviable, missed }: typeof total) => `${caught} caught, ${timeout} that never end, ${unviable} that do not compile, ${missed} missed`;
for (const [file, counts] of Object.entries(mutants)) {
  console.log(`  ${file}: ${said(counts)}`);
  for (const word of ["caught", "timeout", "unviable", "missed"] as const) total[word] += counts[word];
}
console.log(`  in all: ${said(total)}`);
if (failed > 0) throw new Failure(`${failed} tests failed.`);
