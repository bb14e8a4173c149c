// Licences, duplicates, sources and known flaws of the crates, as deny.toml has them.

import { existsSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";

import { run } from "./shell.ts";
import { cargoDeny } from "./toolchain.ts";

/** Where cargo-deny keeps the database of RustSec, once it has been told to fetch it. */
const DATABASE = join(
  process.env.CARGO_HOME ?? join(homedir(), ".cargo"),
  "advisory-dbs",
  "advisory-db-3157b0e258782691",
);

/**
 * Fails on anything that deny.toml does not allow, and on an exception in it that nothing needs any more. Without a
 * database of advisories it returns a warning: the crates were not looked up. `fetchDatabase` fetches it from its code
 * host, and fails if it cannot.
 */
export async function deny(fetchDatabase = false): Promise<string | undefined> {
  const cargoDenyPath = await cargoDeny();
  // cargo takes the crates from their registry; the steps after it run without a network.
  await run("cargo", ["fetch", "--locked", "--quiet"]);
  const check = (...checks: string[]) => run(cargoDenyPath, ["--frozen", "check", "--deny", "warnings", ...checks]);
  await check("bans", "licenses", "sources");

  // No package registry has the database of advisories. Without being asked nothing is downloaded from a code host.
  if (fetchDatabase) await run(cargoDenyPath, ["fetch", "db"]);
  if (existsSync(DATABASE)) return void (await check("advisories"));
  return `THE CRATES WERE NOT CHECKED FOR KNOWN FLAWS: there is no database of advisories at ${DATABASE}, and no package
registry has one. \`npm run check -- --advisories\` fetches it from github.com/rustsec/advisory-db.`;
}
