// Data folders for as long as a test or an audit takes. A new cluster and all migrations are five seconds of two cores, which
// dozens of suites would each spend on the same: it is made once, kept under .airlock/, and copied.

import { createHash } from "node:crypto";
import { constants, existsSync } from "node:fs";
import { cp, mkdir, mkdtemp, readdir, readFile, rename, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { root } from "../setup/shell.ts";
import { openDatabase } from "./database.ts";

const KEPT = join(root, ".airlock", "clusters");
/** What a cluster is made from, besides the migrations. */
const SOURCES = ["supabase/seed.sql", "tools/supabase/embedded.sql", "tools/supabase/database.ts", "package-lock.json"];

/** A new folder under the system's for temporary ones, whose database has all migrations and nothing but the seed's rows. */
export async function preparedFolder(prefix: string): Promise<string> {
  const cluster = await prepared();
  const folder = await mkdtemp(join(tmpdir(), prefix));
  await cp(cluster, folder, { recursive: true, mode: constants.COPYFILE_FICLONE });
  return folder;
}

async function prepared(): Promise<string> {
  const kept = join(KEPT, await digest());
  if (existsSync(kept)) return kept;
  await mkdir(KEPT, { recursive: true });
  // Of other migrations.
  for (const name of await readdir(KEPT)) if (!name.startsWith("making-")) await rm(join(KEPT, name), { recursive: true, force: true });
  // Nobody finds it half done, and of two processes that make it one is too late.
  const making = await mkdtemp(join(KEPT, "making-"));
  await (await openDatabase(making, false)).close();
  await rename(making, kept).catch(async (error: NodeJS.ErrnoException) => {
    await rm(making, { recursive: true });
    if (error.code !== "ENOTEMPTY" && error.code !== "EEXIST") throw error;
  });
  return kept;
}

async function digest(): Promise<string> {
  const migrations = (await readdir(join(root, "supabase", "migrations"))).sort().map((name) => `supabase/migrations/${name}`);
  const hash = createHash("sha256");
  for (const file of [...SOURCES, ...migrations]) hash.update(`${file}\0`).update(await readFile(join(root, file))).update("\0");
  return hash.digest("hex").slice(0, 16);
}
