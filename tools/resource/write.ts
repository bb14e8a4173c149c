// Writes the planned files of new-resource and new-field, and prints the next steps.

import { existsSync, readdirSync } from "node:fs";
import { readFile, rm, writeFile } from "node:fs/promises";
import { join, relative } from "node:path";

import { declarationFile } from "../declaration.ts";
import { Failure, project, runTool, tool } from "../setup/shell.ts";
import { buildModule } from "../setup/worker.ts";
import type { Database } from "../supabase/database.ts";
import type { Plan } from "./plan.ts";

const MIGRATIONS = join(project, "supabase", "migrations");

/** Plans with airlock.toml as it is, and writes that file and a migration. A failure leaves nothing written. */
export async function write(plan: (toml: string, args: string[]) => Promise<Plan>, review: string): Promise<void> {
  // The checker of declarations is in the Worker's module.
  await buildModule();
  const { toml, lines, name, made, migration } = await plan(
    await readFile(declarationFile, "utf8"),
    process.argv.slice(2),
  );
  console.error("airlock: trying the migration on a temporary database");
  await tryMigration(migration, made);

  const file = join(MIGRATIONS, `${nextVersion()}_${name}.sql`);
  await writeFile(file, migration, { flag: "wx" });
  try {
    await writeFile(declarationFile, toml);
  } catch (error) {
    await rm(file);
    throw error;
  }
  console.log(`airlock.toml has new lines:\n\n${lines.replace(/^/gm, "    ")}\n\n${relative(project, file)} is new.\n`);
  if (existsSync(tool("generate"))) await runTool("generate");
  console.log(
    `\n${review} Then start \`npm run dev\` (again, if it runs), which applies the migration, and run \`npm test\`.`,
  );
}

/** Runs a migration on a temporary database that has all others. `made`: the table that it makes, if any. */
export async function tryMigration(migration: string, made?: string): Promise<void> {
  // Here, because the embedded database takes half of the start of a command, and not every one opens it.
  const [{ openDatabase }, { preparedFolder }] = await Promise.all([
    import("../supabase/database.ts"),
    import("../supabase/prepared.ts"),
  ]);
  const folder = await preparedFolder("airlock-resource-");
  try {
    const { connection, close } = await openDatabase(folder, false);
    try {
      if (made !== undefined) await refuseRelation(connection, made);
      await connection.driver.exec(migration);
    } finally {
      await close();
    }
  } catch (error) {
    if (error instanceof Failure) throw error;
    throw new Failure(
      `On a database with all migrations the new one fails: ${(error as Error).message}. Nothing was written.`,
    );
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/**
 * Refuses the name of a relation of Postgres or of Airlock: a name without its schema would mean another one in each
 * place.
 */
async function refuseRelation({ driver }: Database["connection"], name: string): Promise<void> {
  const text =
    "select nspname as schema from pg_class join pg_namespace n on n.oid = relnamespace where relname = $1 and nspname in ('pg_catalog', 'airlock', 'public')";
  const [found] = (await driver.query<{ schema: string }>(text, [name])).rows;
  if (found)
    throw new Failure(`The relation ${found.schema}.${name} exists already; choose another name. Nothing was written.`);
}

/** Now, or one more than the latest migration: they are applied in the order of their names. */
export function nextVersion(): string {
  const versions = readdirSync(MIGRATIONS)
    .map((file) => file.slice(0, 14))
    .filter((version) => /^\d{14}$/.test(version));
  const latest = versions.sort().at(-1) ?? "0";
  const now = new Date().toISOString().replace(/\D/g, "").slice(0, 14);
  return now > latest ? now : String(BigInt(latest) + 1n);
}
