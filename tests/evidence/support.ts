// Databases for audits, on a real Postgres server and the embedded one. Some have the core of Airlock and the notes of
// the tests, some only Supabase's roles. Each case is applied in a transaction that is rolled back.

import { rm } from "node:fs/promises";

import pg from "pg";

import { type Audit, audit } from "../../tools/evidence/audit.ts";
import type { Accepted, Finding, Sql } from "../../tools/evidence/finding.ts";
import { statements } from "../../tools/evidence/foreign.ts";
import { type Postgres, query, startPostgres } from "../../tools/setup/postgres.ts";
import { openDatabase } from "../../tools/supabase/database.ts";
import { preparedFolder } from "../../tools/supabase/prepared.ts";
import { baseline, notesMigration } from "../support/notes.ts";

export interface Audited {
  sql: Sql;
  /** Runs `work` in a transaction and rolls it back. */
  undone<T>(work: () => Promise<T>): Promise<T>;
  audit(accepted: Accepted[]): Promise<Audit>;
  close(): Promise<void>;
}

/** On a server, which audits four times as fast as the embedded database. */
export async function openAudited(): Promise<Audited> {
  const server = await startPostgres();
  await server.create("airlock", baseline);
  await query(server.url("airlock"), await notesMigration());
  const connection = await connect(server, "airlock");
  return { ...connection, audit: (accepted) => audit(connection.sql, ["public"], accepted) };
}

/** A connection to a database of a server. To close it stops the server too. */
async function connect(server: Postgres, name: string): Promise<Omit<Audited, "audit">> {
  const client = new pg.Client({ connectionString: server.url(name) });
  await client.connect();
  const sql = statements(client);
  return {
    sql,
    undone: undoneBy(sql),
    async close() {
      await client.end();
      await server.stop();
    },
  };
}

export async function openEmbedded(): Promise<Audited> {
  const dataDir = await preparedFolder("airlock-evidence-", { baseline });
  const database = await openDatabase(dataDir, false, { baseline });
  const sql: Sql = async (text, parameters, onNotice) => {
    const { driver } = database.connection;
    const results = parameters
      ? [await driver.query(text, parameters, { onNotice: ({ detail }) => onNotice?.(detail ?? "") })]
      : await driver.exec(text);
    return results.flatMap(({ rows }) => rows as Record<string, unknown>[]);
  };
  await sql(await notesMigration());
  return {
    sql,
    undone: undoneBy(sql),
    audit: (accepted) => audit(sql, ["public"], accepted),
    async close() {
      await database.close();
      await rm(dataDir, { recursive: true });
    },
  };
}

const undoneBy =
  (sql: Sql): Audited["undone"] =>
  async (work) => {
    await sql("begin");
    try {
      return await work();
    } finally {
      await sql("rollback");
    }
  };

/**
 * A database of a project without Airlock. The auditor owns its objects and is not a superuser, as on hosted Supabase.
 */
export async function openForeign(): Promise<Audited> {
  const server = await startPostgres();
  await server.create("shop", []);
  await query(server.url("shop"), "create role auditor bypassrls in role postgres");
  const connection = await connect(server, "shop");
  const { sql } = connection;
  return {
    ...connection,
    async audit(accepted) {
      await sql("set local role auditor");
      const found = await audit(sql, ["public"], accepted);
      await sql("reset role");
      return found;
    },
  };
}

export const all = ({ findings, notes }: Audit): Finding[] => [...findings, ...notes];
export const key = ({ rule, object, what }: Finding) => `${rule}: ${object}: ${what}`;

/** Findings and notes of `now` that `before` lacks. */
export const newFaults = (now: Audit, before: Audit) =>
  all(now).filter((one) => !all(before).some((other) => key(one) === key(other)));
