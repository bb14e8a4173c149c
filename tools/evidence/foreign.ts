// A database that is somebody's: one connection, one transaction, which can only read.

import pg from "pg";

import type { Sql } from "./finding.ts";

/** What reads it, for as long as the work takes; then all is rolled back. */
export async function reading<T>(url: string, work: (sql: Sql) => Promise<T>): Promise<T> {
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: 15_000, application_name: "airlock evidence" });
  // A connection that ends early fails the statement that waits for it; there is nothing more to say.
  client.on("error", () => undefined);
  await client.connect();
  const sql: Sql = async (text, parameters) => [await client.query(text, parameters)].flat().flatMap(({ rows }) => rows);
  try {
    await sql("begin transaction isolation level repeatable read, read only");
    await sql("set local statement_timeout = '30s'; set local lock_timeout = '5s'");
    return await work(sql);
  } finally {
    await client.query("rollback").catch(() => undefined);
    await client.end();
  }
}

/** Where a connection string leads, without its password. */
export function whereTo(url: string): string {
  const { host, pathname } = URL.canParse(url) ? new URL(url) : { host: "", pathname: "" };
  return `${host}${pathname}` || "the database of the connection string";
}
