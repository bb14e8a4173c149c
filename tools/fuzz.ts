// npm run fuzz -- [seconds per target] [target]: lets libFuzzer look for bytes that break a promise (src/fuzzing.rs).
//
// What it finds new stays in fuzz/corpus, and what breaks something in fuzz/artifacts.

import { mkdir } from "node:fs/promises";
import { join } from "node:path";

import { Failure, root, run } from "./setup/shell.ts";
import { cargoTool } from "./setup/toolchain.ts";

const TARGETS = ["token", "key_set", "canonical", "note", "cursor", "rows"];

const [time = "60", only] = process.argv.slice(2);
if (!/^[1-9]\d*$/.test(time) || (only && !TARGETS.includes(only))) {
  throw new Failure(`npm run fuzz -- [seconds per target] [${TARGETS.join("|")}]`);
}
const cargoFuzz = await cargoTool("cargo-fuzz", "0.13.2", "cargo-fuzz", ["--locked"]);

// The sanitizers need a nightly compiler, and there is no unsafe code here for them to look at; the coverage that
// guides the fuzzer does not.
const cargo = (...args: string[]) => run(cargoFuzz, ["fuzz", ...args], { stdio: "inherit" });
await cargo("build", "--sanitizer", "none");
for (const target of only ? [only] : TARGETS) {
  const corpus = join(root, "fuzz", "corpus", target);
  await mkdir(corpus, { recursive: true });
  console.log(`airlock: fuzzing ${target} for ${time} s`);
  const limits = [`-max_total_time=${time}`, "-max_len=8192", "-timeout=10", "-print_final_stats=1", "-verbosity=0"];
  await cargo("run", "--sanitizer", "none", target, corpus, join(root, "fuzz", "seeds", target), "--", ...limits);
}
