// The catalogue that supabase/migrations make, on an embedded database.

import { rm } from "node:fs/promises";

import type { Sql } from "../evidence/finding.ts";
import { type Database, openDatabase } from "../supabase/database.ts";
import { preparedFolder } from "../supabase/prepared.ts";
import type { Catalogue } from "./catalogue.ts";
import { readAll } from "./source.ts";

/** Reads the result of all migrations. */
export async function readMigrations(): Promise<Catalogue> {
  const folder = await preparedFolder("airlock-adopt-");
  try {
    const database = await openDatabase(folder, false);
    const sql = statementsOn(database);
    try {
      await sql("begin transaction read only");
      return await readAll(sql);
    } finally {
      await sql("rollback");
      await database.close();
    }
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** Statements on the one connection of an embedded database. */
export function statementsOn({ connection: { driver } }: Database): Sql {
  return async (text, parameters, onNotice) => {
    const results = parameters
      ? [await driver.query(text, parameters, { onNotice: ({ detail }) => onNotice?.(detail ?? "") })]
      : await driver.exec(text);
    return results.flatMap(({ rows }) => rows as Record<string, unknown>[]);
  };
}
