// Data folders for tests and audits. A new one with all migrations takes a second of work, so it is made once, kept
// under .airlock/ and copied.

import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { mkdir, mkdtemp, readdir, readFile, rename, rm, stat, utimes } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";

import { project, root, run, tool } from "../setup/shell.ts";
import { type MigrationOptions, migrationFiles, openDatabase } from "./database.ts";

const KEPT = join(project, ".airlock", "clusters");
/** How long a kept cluster may be unused, in milliseconds. */
const UNUSED_MAX = 86_400_000;
/** The inputs of a cluster, in addition to the migrations. */
const SOURCES = [
  "tools/supabase/demo_users.sql",
  "tools/supabase/embedded.sql",
  "tools/supabase/storage.sql",
  "package.json",
]
  .map((name) => join(root, name))
  .concat(tool("supabase/database"));

/**
 * A new temporary folder, whose database has the migrations and the users of demo_users.sql. Open it with the same
 * options.
 */
export async function preparedFolder(prefix: string, options: MigrationOptions = {}): Promise<string> {
  const cluster = await prepared(options);
  const folder = await mkdtemp(join(tmpdir(), prefix));
  // Node's own cp takes a second for the thousand files of a cluster.
  await run("cp", ["-R", `${cluster}/.`, folder]);
  return folder;
}

async function prepared(options: MigrationOptions): Promise<string> {
  const kept = join(KEPT, await digest(options));
  if (!existsSync(kept)) await make(kept, options);
  const now = new Date();
  await utimes(kept, now, now);
  return kept;
}

/** Another process may make the same cluster at the same time: it appears complete or not at all. */
async function make(kept: string, options: MigrationOptions): Promise<void> {
  await mkdir(KEPT, { recursive: true });
  await removeUnused();
  const making = await mkdtemp(join(KEPT, "making-"));
  await (await openDatabase(making, false, options)).close();
  await rename(making, kept).catch(async (error: NodeJS.ErrnoException) => {
    await rm(making, { recursive: true });
    if (error.code !== "ENOTEMPTY" && error.code !== "EEXIST") throw error;
  });
}

async function removeUnused(): Promise<void> {
  for (const name of await readdir(KEPT)) {
    const folder = join(KEPT, name);
    const used = await stat(folder).then(
      ({ mtimeMs }) => mtimeMs,
      () => Infinity,
    );
    if (Date.now() - used > UNUSED_MAX) await rm(folder, { recursive: true, force: true });
  }
}

async function digest(options: MigrationOptions): Promise<string> {
  const hash = createHash("sha256");
  for (const file of [...SOURCES, ...(await migrationFiles(options))]) {
    hash
      .update(`${basename(file)}\0`)
      .update(await readFile(file))
      .update("\0");
  }
  return hash.digest("hex").slice(0, 16);
}
