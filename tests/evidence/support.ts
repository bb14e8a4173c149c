// A database for audits: the core of Airlock and the notes of the tests. Each case is applied in a transaction that is
// rolled back.

import { rm } from "node:fs/promises";

import { type Audit, audit } from "../../tools/evidence/audit.ts";
import type { Accepted, Finding, Sql } from "../../tools/evidence/finding.ts";
import { openDatabase } from "../../tools/supabase/database.ts";
import { preparedFolder } from "../../tools/supabase/prepared.ts";
import { baseline, notesMigration } from "../support/notes.ts";

export interface Audited {
  sql: Sql;
  /** Runs `work` in a transaction and rolls it back. */
  undone<T>(work: () => Promise<T>): Promise<T>;
  look(accepted: Accepted[]): Promise<Audit>;
  close(): Promise<void>;
}

export async function openAudited(): Promise<Audited> {
  const dataDir = await preparedFolder("airlock-evidence-", { baseline });
  const database = await openDatabase(dataDir, false, { baseline });
  const sql: Sql = async (text, parameters, onNotice) => {
    const { driver } = database.connection;
    const results = parameters ? [await driver.query(text, parameters, { onNotice: ({ detail }) => onNotice?.(detail ?? "") })] : await driver.exec(text);
    return results.flatMap(({ rows }) => rows as Record<string, unknown>[]);
  };
  await sql(await notesMigration());
  return {
    sql,
    async undone(work) {
      await sql("begin");
      try {
        return await work();
      } finally {
        await sql("rollback");
      }
    },
    look: (accepted) => audit(sql, ["public"], accepted),
    async close() {
      await database.close();
      await rm(dataDir, { recursive: true });
    },
  };
}

export const all = ({ findings, notes }: Audit): Finding[] => [...findings, ...notes];
export const key = ({ rule, object, what }: Finding) => `${rule}: ${object}: ${what}`;

/** Findings and notes of `now` that `before` lacks. */
export const beyond = (now: Audit, before: Audit) => all(now).filter((one) => !all(before).some((other) => key(one) === key(other)));
