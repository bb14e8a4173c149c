// npm run mutants [-- options of cargo-mutants]: makes every change to the security checks and the validation that
// cargo-mutants knows, one at a time. A native test must fail for each. .cargo/mutants.toml lists the files and the
// exceptions, with reasons. A whole run takes hours; `-- --re src/json.rs` is one file. The counts of each file go to
// docs/mutants.json, which is made if it is not there.

import { existsSync } from "node:fs";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";

import { root, run } from "./setup/shell.ts";
import { cargoTool } from "./setup/toolchain.ts";

const RECORD = join(root, "docs", "mutants.json");
const WORDS = { CaughtMutant: "caught", Timeout: "timeout", Unviable: "unviable", MissedMutant: "missed" } as const;

type Counts = Record<(typeof WORDS)[keyof typeof WORDS], number>;

interface Outcome {
  summary: string;
  scenario: "Baseline" | { Mutant: { file: string } };
}

const cargoMutants = await cargoTool("cargo-mutants", "27.1.0", "cargo-mutants", ["--locked"]);
const output = join(root, ".airlock", "mutants");
try {
  await run(cargoMutants, ["mutants", "--output", output, ...process.argv.slice(2)], { stdio: "inherit" });
} finally {
  await record();
}

async function record(): Promise<void> {
  const path = join(output, "mutants.out", "outcomes.json");
  // cargo-mutants has refused its arguments.
  if (!existsSync(path)) return;
  const { outcomes }: { outcomes: Outcome[] } = JSON.parse(await readFile(path, "utf8"));
  const found: Record<string, Counts> = {};
  for (const { summary, scenario } of outcomes) {
    const word = WORDS[summary as keyof typeof WORDS];
    if (scenario === "Baseline" || !word) continue;
    const counts = (found[scenario.Mutant.file] ??= { caught: 0, timeout: 0, unviable: 0, missed: 0 });
    counts[word]++;
  }
  const before: Record<string, Counts> = JSON.parse(await readFile(RECORD, "utf8").catch(() => "{}"));
  const kept = Object.entries({ ...before, ...found }).filter(([file]) => existsSync(join(root, file)));
  const all = kept.sort(([one], [other]) => (one < other ? -1 : 1));
  await writeFile(RECORD, `${JSON.stringify(Object.fromEntries(all), null, 2)}\n`);
}
