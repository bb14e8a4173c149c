// npm run mutants [-- options of cargo-mutants]: changes the doors and the validation in every way that cargo-mutants
// knows, one at a time, and asks the native tests to notice. Which files, and what is left out and why, is in
// .cargo/mutants.toml. All of it takes hours; `-- --re src/json.rs` is one file.

import { join } from "node:path";

import { root, run } from "./setup/shell.ts";
import { cargoTool } from "./setup/toolchain.ts";

const cargoMutants = await cargoTool("cargo-mutants", "27.1.0", "cargo-mutants", ["--locked"]);
const output = join(root, ".airlock", "mutants");
await run(cargoMutants, ["mutants", "--output", output, ...process.argv.slice(2)], { stdio: "inherit" });
