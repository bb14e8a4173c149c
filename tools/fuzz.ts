// npm run fuzz -- [seconds] [target]: libFuzzer looks for bytes that break a property of src/fuzzing.rs.
//
// The 60 seconds, or as many as are given, are shared by all targets, which are the files in fuzz/fuzz_targets. New inputs stay in fuzz/corpus, inputs that break something in fuzz/artifacts.

import { mkdir, readdir } from "node:fs/promises";
import { basename, join } from "node:path";

import { Failure, root, run } from "./setup/shell.ts";

const folder = join(root, "fuzz");
const targets = (await readdir(join(folder, "fuzz_targets"))).map((file) => basename(file, ".rs")).sort();
const usage = `npm run fuzz -- [seconds, 60 if absent] [${targets.join("|")}]`;

const [time = "60", only] = process.argv.slice(2);
if (!/^[1-9]\d*$/.test(time) || (only && !targets.includes(only)))
  throw new Failure(`The command takes seconds and one target.\n${usage}`);

// The coverage that guides libFuzzer. cargo-fuzz gives rustc the same flags without a sanitizer; they need no nightly
// compiler. There is no unsafe code here that a sanitizer could check.
const llvm = ["level=4", "inline-8bit-counters", "pc-table", "trace-compares"].map(
  (option) => `-Cllvm-args=-sanitizer-coverage-${option}`,
);
const flags = ["--cfg", "fuzzing", "-Cpasses=sancov-module", ...llvm, "-Ccodegen-units=1"];
const host = /^host: (.+)$/m.exec(await run("rustc", ["-vV"], { stdio: ["ignore", "pipe", 2] }))?.[1] ?? "";
await run(
  "cargo",
  ["build", "--release", "--locked", "--manifest-path", join(folder, "Cargo.toml"), "--target", host],
  {
    stdio: "inherit",
    // With --target these flags hold for the targets and not for build scripts.
    env: { ...process.env, RUSTFLAGS: flags.join(" ") },
  },
);

const chosen = only ? [only] : targets;
const each = Math.max(1, Math.round(Number(time) / chosen.length));
for (const target of chosen) {
  const [corpus, artifacts] = [join(folder, "corpus", target), join(folder, "artifacts", target)];
  for (const made of [corpus, artifacts]) await mkdir(made, { recursive: true });
  console.log(`airlock: fuzzing ${target} for ${each} s`);
  const options = [
    `-max_total_time=${each}`,
    `-artifact_prefix=${artifacts}/`,
    "-max_len=8192",
    "-timeout=10",
    "-print_final_stats=1",
    "-verbosity=0",
  ];
  await run(join(folder, "target", host, "release", target), [...options, corpus, join(folder, "seeds", target)], {
    stdio: "inherit",
  });
}
