// npm run check: formatting, lints, types, documentation, the crates that are depended on, generated files and
// the size of the Worker, as CI asks for them. With --advisories it first fetches the database of known flaws of crates
// from its code host. With --db-url it compares the adopted tables of airlock.toml with a database, and does nothing else.

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { gzipSync } from "node:zlib";

import { SIZE_MAX } from "../bench/budget.ts";
import { checkDrift } from "./adopt/check.ts";
import { deny } from "./setup/deny.ts";
import { requireFresh } from "./setup/generated.ts";
import { Failure, root, run } from "./setup/shell.ts";
import { build, outputs } from "./setup/worker.ts";

const { advisories, "db-url": url } = parseOptions();
if (url === undefined) await checkAll();
else await checkDrift(url);

async function checkAll(): Promise<void> {
  await run("cargo", ["fmt", "--check"]);
  await run("cargo", ["clippy", "--locked", "--all-targets", "--", "--deny", "warnings"]);
  await run("cargo", ["doc", "--locked", "--no-deps", "--document-private-items"], {
    // The crate's page is a map of its private modules.
    env: { ...process.env, RUSTDOCFLAGS: "--deny warnings --allow rustdoc::private_intra_doc_links" },
  });
  await run("tsc", []);
  await run("tsc", ["--project", "client", "--noEmit"]);
  const warning = await deny(advisories);

  await build();
  await requireFresh();
  const size = outputs.reduce((sum, file) => sum + gzipSync(readFileSync(join(root, file))).length, 0);
  console.log(`airlock: the Worker is ${size} bytes gzipped, of ${SIZE_MAX} at most`);
  if (size > SIZE_MAX) throw new Failure("The Worker has become too large: see docs/performance.md, \"Size\".");
  // At the end, where it is seen.
  if (warning !== undefined) console.error(`\n${"!".repeat(100)}\nairlock: ${warning}\n${"!".repeat(100)}`);
}

function parseOptions(): { advisories: boolean; "db-url"?: string | undefined } {
  try {
    return parseArgs({ options: { advisories: { type: "boolean", default: false }, "db-url": { type: "string" } } }).values;
  } catch (error) {
    throw new Failure(`${(error as Error).message}\nnpm run check [-- --advisories | --db-url URL]`);
  }
}
