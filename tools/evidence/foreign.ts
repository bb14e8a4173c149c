// A database that is in use: one connection, one read-only transaction.
//
// Nothing that the database defines may run here: the statements read the catalogue, and a function or a policy that ran
// would run with the rights of this connection, which it can take back even from `set role`.

import pg from "pg";

import type { Sql } from "./finding.ts";

/** The extended protocol, which takes one statement alone, wherever there is a list of parameters. The types lack it. */
const config = (text: string, values?: unknown[]): pg.QueryConfig =>
  values ? ({ text, values, queryMode: "extended" } as pg.QueryConfig) : { text };

/** Runs statements on a connection. */
export const statements =
  (client: pg.Client): Sql =>
  async (text, parameters, onNotice) => {
    const heard = ({ detail }: { detail?: string | undefined }) => onNotice?.(detail ?? "");
    client.on("notice", heard);
    try {
      return [await client.query(config(text, parameters))].flat().flatMap(({ rows }) => rows);
    } finally {
      client.off("notice", heard);
    }
  };

/** Runs `work` in a read-only transaction and rolls it back. */
export async function reading<T>(url: string, work: (sql: Sql) => Promise<T>): Promise<T> {
  const client = new pg.Client({
    connectionString: url,
    connectionTimeoutMillis: 15_000,
    application_name: "airlock evidence",
  });
  // The statement that waits for a lost connection fails by itself.
  client.on("error", () => undefined);
  await client.connect();
  const sql = statements(client);
  try {
    await sql("begin transaction isolation level repeatable read, read only");
    // First: with the search_path of the database, a name could lead to a function that somebody made.
    await sql("set local search_path = ''");
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
