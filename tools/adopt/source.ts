// Where the catalogue is read: a database in use, or supabase/migrations on an embedded one.

import { rm } from "node:fs/promises";

import { reading } from "../evidence/foreign.ts";
import type { Sql } from "../evidence/finding.ts";
import { openDatabase } from "../supabase/database.ts";
import { preparedFolder } from "../supabase/prepared.ts";
import { type Catalogue, readTables } from "./catalogue.ts";
import { lookAtRows } from "./looks.ts";

/** Reads everything in one read-only transaction. */
export const readUrl = (url: string): Promise<Catalogue> => reading(url, readAll);

/** Reads what all migrations make. */
export async function readMigrations(): Promise<Catalogue> {
  const folder = await preparedFolder("airlock-adopt-");
  try {
    const { connection, close } = await openDatabase(folder, false);
    const sql: Sql = async (text, parameters, onNotice) => {
      const { driver } = connection;
      const results = parameters ? [await driver.query(text, parameters, { onNotice: ({ detail }) => onNotice?.(detail ?? "") })] : await driver.exec(text);
      return results.flatMap(({ rows }) => rows as Record<string, unknown>[]);
    };
    try {
      await sql("begin transaction read only");
      return await readAll(sql);
    } finally {
      await sql("rollback");
      await close();
    }
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function readAll(sql: Sql): Promise<Catalogue> {
  const catalogue = await readTables(sql);
  await lookAtRows(sql, catalogue.tables);
  return catalogue;
}
