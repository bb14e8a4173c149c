// A database that is in use: one connection, one read-only transaction.

import pg from "pg";

import type { Sql } from "./finding.ts";

/** Runs `work` in a read-only transaction and rolls it back. */
export async function reading<T>(url: string, work: (sql: Sql) => Promise<T>): Promise<T> {
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: 15_000, application_name: "airlock evidence" });
  // The statement that waits for a lost connection fails by itself.
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

/** Host and database of a connection string. */
export function whereTo(url: string): string {
  const { host, pathname } = URL.canParse(url) ? new URL(url) : { host: "", pathname: "" };
  return `${host}${pathname}` || "the database of the connection string";
}
