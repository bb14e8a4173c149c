// npm run new-table -- NAME: a migration and a policy test for a table of rows that belong to users, from
// supabase/templates. docs/data-boundary.md goes on from there to its route.

import { existsSync, readdirSync } from "node:fs";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";

import { Failure, root } from "./setup/shell.ts";

const [name = ""] = process.argv.slice(2);
// As Postgres takes it without quotation marks, with room for `_before_insert` in its 63 bytes.
if (!/^[a-z][a-z0-9_]{0,47}$/.test(name)) {
  throw new Failure("npm run new-table -- NAME, where NAME is a plural in lower case: letters, digits and _, such as shopping_lists.");
}

const supabase = join(root, "supabase");
const migrations = readdirSync(join(supabase, "migrations")).sort();
if (migrations.some((file) => file.replace(/^\d+_/, "") === `${name}.sql`)) throw new Failure(`There is a migration of that name already.`);

// After every other one, or the database refuses it: migrations are applied in the order of their names.
const now = new Date().toISOString().replace(/\D/g, "").slice(0, 14);
const latest = migrations.at(-1)?.slice(0, 14) ?? "";
const version = now > latest ? now : String(BigInt(latest) + 1n);

const made = [
  ["templates/migration.sql", `migrations/${version}_${name}.sql`],
  ["templates/policies.test.sql", `tests/${name}.test.sql`],
] as const;
for (const [template, file] of made) {
  if (existsSync(join(supabase, file))) throw new Failure(`supabase/${file} is there already.`);
  const text = await readFile(join(supabase, template), "utf8");
  await writeFile(join(supabase, file), text.replaceAll("TABLE", name));
  console.log(`supabase/${file}`);
}
console.log(`
Put your columns in both, then go on with "Adding a table" in docs/data-boundary.md: its second step says what the
other tests have to be told.`);
