// Databases with the schemas of the tests. The embedded one has them in a transaction that is rolled back. On a server,
// a role that may only connect reads them.

import { readFile, rm } from "node:fs/promises";
import { fileURLToPath } from "node:url";

import type { Catalogue } from "../../tools/adopt/catalogue.ts";
import { type Decision, decide, type Options } from "../../tools/adopt/decide.ts";
import { statementsOn } from "../../tools/adopt/embedded.ts";
import { statementsOf } from "../../tools/adopt/migration.ts";
import { tableReport } from "../../tools/adopt/report.ts";
import { readAll, readUrl } from "../../tools/adopt/source.ts";
import { resourcesOf, sectionText } from "../../tools/adopt/toml.ts";
import { type Postgres, query, startPostgres } from "../../tools/setup/postgres.ts";
import { granting, openDatabase } from "../../tools/supabase/database.ts";
import { preparedFolder } from "../../tools/supabase/prepared.ts";
import { baseline } from "../support/notes.ts";

const read = (path: string) => readFile(fileURLToPath(new URL(path, import.meta.url)), "utf8");
const storage = await read("../../tools/supabase/storage.sql");

export const schemaOf = (name: string) => read(`schemas/${name}.sql`);
export const expectedOf = (name: string) => read(`schemas/${name}.txt`);

/** The roles and schemas of hosted Supabase before the first migration, then the schema. */
const project = (schema: string) =>
  `${storage}\n${granting("grant")}\nset search_path to public, extensions;\n${schema}`;

export interface Embedded {
  catalogueOf(schema: string): Promise<Catalogue>;
  close(): Promise<void>;
}

export async function openEmbedded(): Promise<Embedded> {
  const folder = await preparedFolder("airlock-adopt-", { baseline });
  const database = await openDatabase(folder, false, { baseline });
  const sql = statementsOn(database);
  return {
    async catalogueOf(schema) {
      await sql("begin");
      try {
        await sql(project(schema));
        return await readAll(sql);
      } finally {
        await sql("rollback");
      }
    },
    async close() {
      await database.close();
      await rm(folder, { recursive: true });
    },
  };
}

export interface Server {
  postgres: Postgres;
  /** Makes a database; returns the connection string of a role that may only connect. */
  create(name: string, schema: string): Promise<string>;
  catalogueOf(name: string, schema: string): Promise<Catalogue>;
}

export async function startServer(): Promise<Server> {
  const postgres = await startPostgres();
  await query(postgres.url("postgres"), "create role reader login password 'reader'");
  const create = async (name: string, schema: string) => {
    await postgres.create(name, baseline);
    await query(
      postgres.url(name),
      `${project(schema)};\nrevoke all on schema public from public; revoke all on all tables in schema public from public`,
    );
    const url = new URL(postgres.url(name));
    [url.username, url.password] = ["reader", "reader"];
    return url.href;
  };
  return { postgres, create, catalogueOf: async (name, schema) => readUrl(await create(name, schema)) };
}

/** All that adopt says and writes for a catalogue, as the expected files have it. */
export function outcome(catalogue: Catalogue, options?: Options): string {
  const decisions = decide(catalogue, options);
  const toml = decisions.flatMap(({ section }) => (section ? [sectionText(section)] : [])).join("\n");
  return decisions.map((decision) => outcomeOf(catalogue, decision, resourcesOf(toml))).join("\n\n");
}

function outcomeOf({ tables }: Catalogue, decision: Decision, sections: ReturnType<typeof resourcesOf>): string {
  const { section, table: called } = decision;
  const table = tables.find(({ schema, name }) => `${schema}.${name}` === called);
  const [, raw] = sections.find(([name]) => name === section?.resource) ?? [];
  if (!section || !table || !raw) return tableReport(decision);
  const { statements, concurrent, serve } = statementsOf(table, section.resource, raw, section.added, sections);
  return [tableReport(decision), sectionText(section), ...statements, ...(concurrent ? [concurrent] : []), serve].join(
    "\n",
  );
}
