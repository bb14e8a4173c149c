// npm run check: checks that generated files are fresh. In a clone it also checks formatting, lints, types,
// documentation, dependencies and the size of the Worker, as CI does. With --advisories it first fetches the database
// of known flaws of crates from its code host. With --db-url it only compares the adopted tables of airlock.toml with a
// database.

import { parseArgs } from "node:util";

import { checkDrift } from "./adopt/check.ts";
import { printVisibly } from "./setup/output.ts";
import { isClone, wrongUsage } from "./setup/shell.ts";
import { build } from "./setup/worker.ts";

const { advisories, "db-url": url } = parseOptions();
if (url === undefined) await checkAll();
else {
  printVisibly();
  await checkDrift(url);
}

async function checkAll(): Promise<void> {
  const sources = isClone ? await import("./setup/sources.ts") : undefined;
  const warning = await sources?.checkSources(advisories);
  await build();
  const { requireFresh } = await import("./setup/generated.ts");
  await requireFresh();
  sources?.checkSize();
  // At the end, where it is seen.
  if (warning !== undefined) console.error(`\n${"!".repeat(100)}\nairlock: ${warning}\n${"!".repeat(100)}`);
}

function parseOptions(): { advisories: boolean; "db-url"?: string | undefined } {
  try {
    return parseArgs({ options: { advisories: { type: "boolean", default: false }, "db-url": { type: "string" } } })
      .values;
  } catch (error) {
    throw wrongUsage(error, "npm run check [-- --advisories | --db-url URL]");
  }
}
