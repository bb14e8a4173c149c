// npm run adopt: sections of airlock.toml and additive migrations for tables that exist already.
//
//     npm run adopt -- --db-url postgres://...    a database in use, in one read-only transaction
//     npm run adopt                               what supabase/migrations makes, on an embedded database
//     [--tables a,b] [--plan] [--take] [--with version,deleted] [--read-user a,b] [--read-app a,b]
//
// Ends with 0, with 1 when a table stopped, with 2 when something could not be read or written.

import { existsSync, readdirSync } from "node:fs";
import { mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { join, relative } from "node:path";
import { createInterface } from "node:readline/promises";
import { parseArgs } from "node:util";

import type { Readers } from "./adopt/access.ts";
import type { Catalogue } from "./adopt/catalogue.ts";
import type { Decision, Options } from "./adopt/decide.ts";
import { allChanges, type Change } from "./adopt/drift.ts";
import { decideDeclarable } from "./adopt/grammar.ts";
import { indexText, migrationText, missing, type Statements, statementsOf } from "./adopt/migration.ts";
import { changeReport, indented, tableReport } from "./adopt/report.ts";
import { readUrl } from "./adopt/source.ts";
import { type Edit, edited, optionsOf, resourcesOf, sectionText, tableOf, withSections } from "./adopt/toml.ts";
import { check, declarationFile, toJson } from "./declaration.ts";
import { nextVersion } from "./resource/write.ts";
import { printVisibly } from "./setup/output.ts";
import { Failure, project, refuseKept, runTool, tool, wrongUsage } from "./setup/shell.ts";
import { buildModule } from "./setup/worker.ts";

const USAGE =
  "npm run adopt -- [--db-url URL] [--tables a,b] [--plan] [--take] [--with version,deleted] [--read-user a,b] [--read-app a,b]";
const MIGRATIONS = join(project, "supabase", "migrations");
const INDEXES = join(project, "supabase", "indexes");

interface Arguments {
  url: string | undefined;
  tables: string[];
  plan: boolean;
  take: boolean;
  with: Options["with"];
  /** Tables that every user may read, and those that every app may read. */
  read: Record<Readers, string[]>;
}

interface File {
  path: string;
  text: string;
}

interface Plan {
  toml: string;
  sections: string[];
  changes: Change[];
  files: File[];
}

function parsed(): Arguments {
  refuseKept("adopt", "db-url", "tables", "plan", "take", "with", "read-user", "read-app");
  try {
    const { values } = parseArgs({
      options: {
        "db-url": { type: "string" },
        tables: { type: "string" },
        plan: { type: "boolean", default: false },
        take: { type: "boolean", default: false },
        with: { type: "string" },
        "read-user": { type: "string" },
        "read-app": { type: "string" },
      },
    });
    const names = (text: string | undefined) =>
      text === undefined
        ? []
        : text
            .split(",")
            .map((name) => name.trim())
            .filter((name) => name !== "");
    const wanted = names(values.with);
    const unknown = wanted.find((name) => name !== "version" && name !== "deleted");
    if (unknown !== undefined) throw new Failure(`--with knows version and deleted, and not ${unknown}.`);
    return {
      url: values["db-url"],
      tables: names(values.tables),
      plan: values.plan,
      take: values.take,
      with: wanted as Options["with"],
      read: { user: names(values["read-user"]), app: names(values["read-app"]) },
    };
  } catch (error) {
    throw wrongUsage(error, USAGE);
  }
}

async function main(): Promise<void> {
  const { url, tables: wanted, plan, take, with: added, read } = parsed();
  // The checker of declarations is in the Worker's module.
  await buildModule();
  const toml = await readFile(declarationFile, "utf8").catch(() => "");
  await check(toJson(toml));
  // The embedded database takes a second to load.
  const catalogue = await (url === undefined ? (await import("./adopt/embedded.ts")).readMigrations() : readUrl(url));
  const named = choose(catalogue, wanted);
  const readers = (["user", "app"] as const).flatMap((who) =>
    read[who].length > 0 ? [...choose(catalogue, read[who])].map((table): [string, Readers] => [table, who]) : [],
  );
  const decisions = await decideDeclarable(
    catalogue,
    { ...optionsOf(toml, added, readers), chosen: named },
    resourcesOf(toml),
  );
  const chosen = decisions.filter(({ table }) => named.has(table));
  const sections = resourcesOf(toml).filter(([name, raw]) => wanted.length === 0 || named.has(tableOf(name, raw)));
  const changes = allChanges(sections, catalogue, decisions);

  console.log(chosen.map(tableReport).join("\n\n") || "There is no table that could be adopted.");
  if (!catalogue.core)
    console.log(
      "\nThe database does not have the core of Airlock yet: supabase db push --remote applies it, and then the migration of this command.",
    );
  const asks = !plan && !take && process.stdin.isTTY && process.stdout.isTTY;
  for (const change of changes) if (!asks || change.edits.length === 0) console.log(`\n${changeReport(change)}`);
  const taken = plan ? [] : take ? changes : asks ? await ask(changes) : [];
  const stopped = new Set(changes.filter(({ stop }) => stop).map(({ resource }) => resource));
  const made = await planned(
    toml,
    catalogue,
    chosen.filter(({ section }) => section === undefined || !stopped.has(section.resource)),
    taken,
  );
  if (plan) show(made);
  else await write(made, toml, changes.length - taken.length);
  process.exitCode = stopped.size > 0 || chosen.some(({ stops }) => stops.length > 0) ? 1 : 0;
}

/** The selected tables, as `schema.table`. */
function choose({ tables }: Catalogue, wanted: string[]): Set<string> {
  const all = new Set(tables.map(({ schema, name }) => `${schema}.${name}`));
  if (wanted.length === 0) return all;
  const called = wanted.map((name) => (all.has(name) ? name : `public.${name}`));
  const unknown = called.filter((name) => !all.has(name));
  if (unknown.length > 0)
    throw new Failure(
      `No exposed schema has the table ${unknown.join(", ")}. They have: ${[...all].join(", ") || "none"}.`,
    );
  return new Set(called);
}

/** Asks about each change. */
async function ask(changes: Change[]): Promise<Change[]> {
  const open = changes.filter(({ edits }) => edits.length > 0);
  if (open.length === 0) return [];
  const lines = createInterface({ input: process.stdin, output: process.stdout, terminal: false });
  const taken: Change[] = [];
  try {
    for (const change of open)
      if (/^y/i.test(await lines.question(`\n${changeReport(change)}\nTake it? [y/N] `))) taken.push(change);
  } finally {
    lines.close();
  }
  return taken;
}

async function planned(toml: string, catalogue: Catalogue, decisions: Decision[], taken: Change[]): Promise<Plan> {
  const known = new Set(resourcesOf(toml).map(([name]) => name));
  const sections = decisions.flatMap(({ section }) =>
    section && !known.has(section.resource) ? [sectionText(section)] : [],
  );
  // An existing section has `false` where --with adds a column.
  const added = decisions.flatMap(({ section }): Edit[] =>
    section && known.has(section.resource)
      ? section.added.map((key) => ({ section: `resources.${section.resource}`, key, value: null }))
      : [],
  );
  const written = withSections(edited(toml, [...taken.flatMap(({ edits }) => edits), ...added]), sections);
  await check(toJson(written));
  const declared = new Map(resourcesOf(written));
  const all = decisions.flatMap(({ table: called, section }): Statements[] => {
    const table = catalogue.tables.find((one) => `${one.schema}.${one.name}` === called);
    const raw = section && declared.get(section.resource);
    return table && section && raw ? [statementsOf(table, section.resource, raw, section.added, [...declared])] : [];
  });
  return { toml: written, sections, changes: taken, files: await newFiles(all) };
}

/** The new files for supabase/. */
async function newFiles(all: Statements[]): Promise<File[]> {
  const read = async (folder: string) =>
    existsSync(folder)
      ? Promise.all(
          readdirSync(folder)
            .filter((name) => name.endsWith(".sql"))
            .sort()
            .map((name) => readFile(join(folder, name), "utf8")),
        )
      : [];
  const needed = missing(all, await read(MIGRATIONS));
  const indexes = await read(INDEXES);
  return [
    ...(needed.length > 0
      ? [{ path: join(MIGRATIONS, `${nextVersion()}_adopt.sql`), text: migrationText(needed) }]
      : []),
    ...all.flatMap((one) =>
      one.concurrent && !indexes.some((text) => text.includes(one.concurrent ?? ""))
        ? [{ path: join(INDEXES, `${one.resource}.sql`), text: indexText(one) }]
        : [],
    ),
  ];
}

function show({ sections, files }: Plan): void {
  for (const section of sections) console.log(`\nairlock.toml would get:\n\n${indented(section)}`);
  for (const { path, text } of files) console.log(`\n${relative(project, path)} would be:\n\n${indented(text)}`);
  console.log("\n--plan: nothing was written.");
}

async function write({ toml, sections, changes, files }: Plan, before: string, open: number): Promise<void> {
  const made: string[] = [];
  try {
    for (const { path, text } of files) {
      await mkdir(join(path, ".."), { recursive: true });
      await writeFile(path, text, { flag: "wx" });
      made.push(path);
    }
    if (toml !== before) await writeFile(declarationFile, toml);
  } catch (error) {
    for (const path of made) await rm(path);
    throw error;
  }
  for (const section of sections) console.log(`\nairlock.toml has new lines:\n\n${indented(section)}`);
  if (changes.length > 0)
    console.log(
      `\nairlock.toml follows the database in ${changes.length} ${changes.length === 1 ? "place" : "places"}.`,
    );
  for (const path of made) console.log(`\n${relative(project, path)} is new.`);
  if (open > 0)
    console.log(
      `\n${open} ${open === 1 ? "difference was" : "differences were"} left. npm run adopt -- --take writes them.`,
    );
  if (toml === before && made.length === 0) {
    console.log("\nNothing is new, and nothing was written.");
    return;
  }
  if (existsSync(tool("generate"))) await runTool("generate");
  console.log(
    "\nReview whose rows they are and the limits. Then: npm run dev, npm test, supabase db push --remote, npm run deploy.",
  );
  for (const path of made.filter((path) => path.startsWith(INDEXES)))
    console.log(
      `Before it, the index of a large table, outside of a transaction: psql "$DATABASE_URL" -f ${relative(project, path)}`,
    );
}

printVisibly();
await main().catch((error: unknown) => {
  console.error(
    `airlock: ${error instanceof Failure ? error.message : error instanceof Error ? `could not adopt: ${error.message}` : String(error)}`,
  );
  process.exitCode = 2;
});
