// The migrations of Airlock's core: those of the package, and their copies in a team's folder.
//
// A migration is known by the name behind its version, since a later one is copied with the time of the copy.

import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";

import { checkedDeclaration } from "../declaration.ts";
import { Failure, project, root } from "./shell.ts";

export interface CoreMigration {
  /** The file's name without its version: `airlock.sql`. */
  name: string;
  text: string;
}

/** The core's migrations that supabase/migrations lacks, in order. Without organisations, theirs is left out. */
export async function missingCore(): Promise<CoreMigration[]> {
  const { organizations } = await checkedDeclaration();
  const own = new Set((await migrationsIn(project)).map(({ name }) => name));
  const core = await migrationsIn(root);
  return core.filter(({ name }) => !own.has(name) && (organizations || !name.startsWith("airlock_organizations")));
}

/** Fails if supabase/migrations lacks a migration of the core, which this version of the Worker needs. */
export async function requireCore(): Promise<void> {
  const missing = await missingCore();
  if (missing.length > 0) {
    const names = missing.map(({ name }) => name).join(" and ");
    throw new Failure(`supabase/migrations lacks ${names} of airlock-edge. Run \`npm run upgrade\`.`);
  }
}

async function migrationsIn(folder: string): Promise<CoreMigration[]> {
  const migrations = join(folder, "supabase", "migrations");
  const files = (await readdir(migrations)).filter((file) => /^\d{14}_airlock(_\w+)?\.sql$/.test(file)).sort();
  const texts = await Promise.all(files.map((file) => readFile(join(migrations, file), "utf8")));
  return files.map((file, n) => ({ name: file.slice("20261129000000_".length), text: texts[n] ?? "" }));
}
