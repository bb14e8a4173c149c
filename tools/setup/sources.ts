// Checks of `npm run check` on the sources of Airlock itself.

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";

import { SIZE_MAX } from "../../bench/budget.ts";
import { deny } from "./deny.ts";
import { Failure, root, run } from "./shell.ts";
import { outputs } from "./worker.ts";

/** Formatting, lints, types, documentation and the crates that are depended on. May return a warning. */
export async function checkSources(fetchAdvisories: boolean): Promise<string | undefined> {
  await run("cargo", ["fmt", "--check"]);
  await run("cargo", ["clippy", "--locked", "--all-targets", "--", "--deny", "warnings"]);
  await run("cargo", ["doc", "--locked", "--no-deps", "--document-private-items"], {
    // The crate's page is a map of its private modules.
    env: { ...process.env, RUSTDOCFLAGS: "--deny warnings --allow rustdoc::private_intra_doc_links" },
  });
  await run("biome", ["check", "--error-on-warnings"]);
  await run("tsc", []);
  await run("tsc", ["--project", "client", "--noEmit"]);
  return deny(fetchAdvisories);
}

/** The Worker must have been built. */
export function checkSize(): void {
  const size = outputs.reduce((sum, file) => sum + gzipSync(readFileSync(join(root, file))).length, 0);
  console.log(`airlock: the Worker is ${size} bytes gzipped, of ${SIZE_MAX} at most`);
  if (size > SIZE_MAX) throw new Failure('The Worker has become too large: see docs/performance.md, "Size".');
}
