// The catalogue of a database in use.

import type { Sql } from "../evidence/finding.ts";
import { reading } from "../evidence/foreign.ts";
import { type Catalogue, readTables } from "./catalogue.ts";
import { lookAtRows } from "./looks.ts";

/** Reads everything in one read-only transaction. */
export const readUrl = (url: string): Promise<Catalogue> => reading(url, readAll);

/** Must run in its own transaction, which may be read-only. */
export async function readAll(sql: Sql): Promise<Catalogue> {
  const catalogue = await readTables(sql);
  await lookAtRows(sql, catalogue.tables);
  return catalogue;
}
