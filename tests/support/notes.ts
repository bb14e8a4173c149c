// The resource `notes` of the tests, which do not depend on the resources of airlock.toml.

import { readFile } from "node:fs/promises";
import { basename } from "node:path";
import { fileURLToPath } from "node:url";

import { checkedDeclaration, toJson } from "../../tools/declaration.ts";
import { migration } from "../../tools/resource/migration.ts";
import { migrationFiles } from "../../tools/supabase/database.ts";

const FILE = fileURLToPath(new URL("../resources/notes.toml", import.meta.url));

/** The migrations of the core and of organisations, without those of resources. */
export const baseline = (await migrationFiles()).filter((file) => /_airlock(_|\.)/.test(basename(file)));

/** The declaration, as JSON. */
export const notesDeclaration = toJson(await readFile(FILE, "utf8"));

/** The migration. */
export async function notesMigration(): Promise<string> {
  return (await checkedDeclaration(FILE)).resources.map((resource) => migration(resource)).join("\n");
}
