// Licences, duplicates, sources and known flaws of the crates, as deny.toml has them.

import { existsSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";

import { run } from "./shell.ts";
import { cargoDeny } from "./toolchain.ts";

/** Where cargo-deny keeps the database of RustSec, once it has been told to fetch it. */
const DATABASE = join(process.env["CARGO_HOME"] ?? join(homedir(), ".cargo"), "advisory-dbs", "advisory-db-3157b0e258782691");

/** Fails on anything that deny.toml does not allow, and on an exception in it that nothing needs any more. */
export async function deny(): Promise<void> {
  const cargoDenyPath = await cargoDeny();
  // cargo takes the crates from their registry; what comes after may take nothing from anywhere.
  await run("cargo", ["fetch", "--locked", "--quiet"]);
  const check = (...checks: string[]) => run(cargoDenyPath, ["--frozen", "check", "--deny", "warnings", ...checks]);
  await check("bans", "licenses", "sources");

  // The database of advisories is on a code host, from which nothing is downloaded here: one that somebody
  // has fetched (`cargo deny fetch db`) is read.
  if (existsSync(DATABASE)) await check("advisories");
  else console.error(`airlock: no database of advisories at ${DATABASE}, so the crates were not looked up in one`);
}
