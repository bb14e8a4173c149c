// The migrations of `npm run close` and `npm run open`: edge-only mode of one table, on and off.

import { readdirSync } from "node:fs";
import { readFile, writeFile } from "node:fs/promises";
import { join, relative } from "node:path";
import { parseArgs } from "node:util";

import { named } from "../adopt/access.ts";
import { isAdopted, resourcesOf } from "../adopt/toml.ts";
import { check, declarationFile, type Resource, toJson } from "../declaration.ts";
import { Failure, project, refuseKept, wrongUsage } from "../setup/shell.ts";
import { buildModule } from "../setup/worker.ts";
import { literal } from "./sql.ts";
import { nextVersion } from "./write.ts";

type Task = "close" | "report" | "open";

const USAGE = { close: "npm run close -- TABLE [--report]", open: "npm run open -- TABLE" };
const MIGRATIONS = join(project, "supabase", "migrations");

/** The SQL of each task for the table with this name. */
const STATEMENTS: Record<Task, (table: string, adopted: boolean) => string[]> = {
  report: (table) => [`select airlock.close_table(${table}, 'report');`],
  close: (table, adopted) => [
    "update airlock.edge_settings set mode = 'enforce' where mode = 'report';",
    `select airlock.close_table(${table});`,
    // A table of new-resource has these grants from the start.
    ...(adopted ? [`select airlock.narrow_grants(${table});`] : []),
  ],
  open: (table) => [`select airlock.open_table(${table});`],
};

const COMMENTS: Record<Task, string> = {
  report: "direct calls are answered as before, and each one is a line of the database's log.",
  close: "in edge-only mode its rows are for requests through the Worker, and callers keep the grants that these need.",
  open: "direct calls are answered again, with the grants that there were before npm run close.",
};

/** Writes the migration that closes or opens the table of the command line. */
export async function writeClosing(command: "close" | "open"): Promise<void> {
  const { name, report } = parsed(command);
  const task = report ? "report" : command;
  // The checker of declarations is in the Worker's module.
  await buildModule();
  const toml = await readFile(declarationFile, "utf8").catch(() => "");
  const { resources } = await check(toJson(toml));
  const resource = find(resources, name);
  const table = literal(named(resource.table));
  const adopted = resourcesOf(toml).some(([one, section]) => one === resource.name && isAdopted(section));
  const migrations = await readMigrations();
  if (adopted && !migrations.includes(`airlock.serve(\n  ${literal(resource.name)},`))
    throw new Failure(`No migration registers ${resource.name}. \`npm run adopt\` writes it.`);
  if (task === "open" && !isClosed(migrations, table)) throw new Failure(`No migration closes ${name}, so it is open.`);

  const migration = `-- ${resource.name}: ${COMMENTS[task]}\n${STATEMENTS[task](table, adopted).join("\n")}\n`;
  const file = join(MIGRATIONS, `${nextVersion()}_${task}_${resource.name}.sql`);
  await writeFile(file, migration, { flag: "wx" });
  console.log(`${relative(project, file)} is new:\n\n${migration.replace(/^(?=.)/gm, "    ")}`);
  console.log(AFTERWARDS[task](resource));
}

const AFTERWARDS: Record<Task, (resource: Resource) => string> = {
  report: ({ name }) => `\
Then: npm run generate, supabase db push --remote. Count the direct calls as docs/adopting.md says. When none comes any more: npm run close -- ${name}`,
  close: ({ name, table }) => `\
With it ends, as soon as edge-only mode is enforced:
  - direct calls: versions of the app that reach ${table.name} by supabase-js get no rows, and 403 when they write
  - Realtime: no changes of ${table.name}
  - rows of ${table.name} in functions, views and policies of yours that run with the caller's rights
Requests through the Worker and those of service_role go on.

Before it: the Worker has EDGE_PROOF_SECRET, airlock.edge_settings the same secret and the mode enforce (docs/operations/edge-only.md).
Then: npm run generate, npm test, supabase db push --remote, whose warnings name policies and functions that this may stop.
The way back: npm run open -- ${name}`,
  open: ({ name }) => `Then: npm run generate, supabase db push --remote. To close it again: npm run close -- ${name}`,
};

function parsed(command: "close" | "open"): { name: string; report: boolean } {
  refuseKept(command, "report");
  try {
    const { values, positionals } = parseArgs({
      allowPositionals: true,
      options: command === "close" ? { report: { type: "boolean" } } : {},
    });
    const [name = "", ...others] = positionals;
    if (name === "") throw new Error("Which table?");
    if (others.length > 0)
      throw new Error(`The command takes one table, not ${positionals.length}. A name with spaces needs quotes.`);
    return { name, report: "report" in values };
  } catch (error) {
    throw wrongUsage(error, USAGE[command]);
  }
}

/** The resource of this name, or the one of this table: `Order Items`, `api.todos`, `api."Order Items"`. */
function find(resources: Resource[], name: string): Resource {
  const namesOf = ({ table }: Resource) => [
    `${table.schema}.${table.name}`,
    named(table),
    ...(table.schema === "public" ? [table.name, named(table).slice("public.".length)] : []),
  ];
  const found =
    resources.find((resource) => resource.name === name) ??
    resources.find((resource) => namesOf(resource).includes(name));
  if (found) return found;
  throw new Failure(
    `airlock.toml has no resource ${name}, and no table of that name. It has: ${resources.map((resource) => resource.name).join(", ") || "none"}. A table that the Worker does not serve has no other way to its rows, so it is not closed.`,
  );
}

/** The text of all migrations, in order. */
async function readMigrations(): Promise<string> {
  const files = readdirSync(MIGRATIONS)
    .filter((file) => file.endsWith(".sql"))
    .sort();
  return (await Promise.all(files.map((file) => readFile(join(MIGRATIONS, file), "utf8")))).join("\n");
}

/** Whether the last statement about it closes the table, or reports about it. */
function isClosed(migrations: string, table: string): boolean {
  const last = (call: string) => migrations.lastIndexOf(`airlock.${call}_table(${table}`);
  return last("close") > last("open");
}
