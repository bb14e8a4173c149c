// Tries on a database that is in use: reads, and writes that match no row.
//
// `key=is.null` on a primary key matches no row. So such a PATCH or DELETE changes nothing, and shows whether the verb
// is granted. A POST could make a row, and is not sent.

import type { Accepted } from "./finding.ts";
import type { Table } from "./rows.ts";
import {
  answered,
  ask,
  type Caller,
  denied,
  openOnPurpose,
  type Reply,
  type Rest,
  type Tried,
  type Verb,
} from "./tries.ts";

const MOST = 1000;
const VERBS: Verb[] = ["select", "insert", "upsert", "update", "delete"];

/** The others should not see the rows of `first`. The two users must share no rows. */
export async function look(
  rest: Rest | undefined,
  tables: Table[],
  first: Caller | undefined,
  second: Caller | undefined,
  accepted: Accepted[],
): Promise<Tried[]> {
  const anon: Caller = { name: "anon", role: "anon" };
  const tried: Tried[] = [];
  for (const table of tables) {
    for (const caller of [anon, second ?? { name: "a second user", role: "authenticated" as const }]) {
      const known = caller === anon || caller === second;
      for (const verb of VERBS) {
        const one = { object: table.name, as: caller.name, verb };
        const no = (how: string): Tried => ({ ...one, outcome: "not tried", how, requests: 0 });
        if (!rest) tried.push(no("no --rest-url and --publishable-key"));
        else if (!known || (caller === second && !first)) tried.push(no("no two users"));
        else if (verb === "insert" || verb === "upsert") tried.push(no("a POST could make a row"));
        else if (verb === "select") tried.push(await select(rest, table, first, caller, accepted));
        else if (table.isView || table.key.length === 0)
          tried.push(no("no primary key that could be asked to be null"));
        else if (!table.key.every(isFilter))
          tried.push(no("a primary key whose name REST could take for another option"));
        else if (table.statementTriggers)
          tried.push(no("a trigger runs for each statement, even for one that meets no row"));
        else tried.push(await writeNothing(rest, table, caller, verb));
      }
    }
  }
  return tried;
}

/** Whether `name=is.null` asks for this column. A PATCH with `limit=is.null` would change all rows. */
const isFilter = (name: string) =>
  /^[a-z_]\w*$/i.test(name) && !/^(select|columns|order|limit|offset|on_conflict|and|or|not)$/i.test(name);

async function select(
  rest: Rest,
  table: Table,
  first: Caller | undefined,
  caller: Caller,
  accepted: Accepted[],
): Promise<Tried> {
  const one = { object: table.name, as: caller.name, verb: "select" as const };
  const columns = (role: string) => (table.granted[`${role} SELECT`] ?? []).map(encodeURIComponent).join(",") || "*";
  const read = (by: Caller, names: string) =>
    ask(rest, by, table.schema, "GET", `${encodeURIComponent(table.relname)}?select=${names}&limit=${MOST}`);
  const reply = await read(caller, columns(caller.role));
  const seen = reply.rows.map((row) => JSON.stringify(row));
  if (caller.role === "anon" || !first)
    return {
      ...one,
      outcome: outcomeOf(reply, seen.length, accepted, table, caller),
      how: `GET: ${reply.status}, ${seen.length} rows`,
      requests: 1,
    };

  const firsts = (await read(first, columns(first.role))).rows.map((row) => JSON.stringify(row));
  const how = `GET as both: ${first.name} ${firsts.length} rows, ${caller.name} ${seen.length} (${reply.status})`;
  if (firsts.length === 0 && answered(reply))
    return { ...one, outcome: "not tried", how: `${how}: there are no rows to protect`, requests: 2 };
  const shared = seen.filter((row) => firsts.includes(row)).length;
  return {
    ...one,
    outcome: outcomeOf(reply, shared, accepted, table, caller),
    how: `${how}, ${shared} of them the same`,
    requests: 2,
  };
}

function outcomeOf(reply: Reply, rows: number, accepted: Accepted[], table: Table, caller: Caller): Tried["outcome"] {
  if (rows > 0) return openOnPurpose(accepted, table, caller.role) ? "open on purpose" : "reached";
  return denied(reply) ? "denied" : answered(reply) ? "nothing" : "not tried";
}

async function writeNothing(rest: Rest, table: Table, caller: Caller, verb: Verb): Promise<Tried> {
  const [column] = table.granted[`${caller.role} UPDATE`] ?? table.columns.map(({ name }) => name);
  const path = `${encodeURIComponent(table.relname)}?${table.key.map((name) => `${name}=is.null`).join("&")}`;
  const reply = await (verb === "delete"
    ? ask(rest, caller, table.schema, "DELETE", path)
    : ask(rest, caller, table.schema, "PATCH", path, { [column ?? ""]: null }));
  const refused = denied(reply);
  const met =
    refused || !answered(reply) ? ` ${reply.code}` : "; the verb is granted, and its policy met no row to decide on";
  const how = `${verb === "delete" ? "DELETE" : "PATCH"} where the key is null: ${reply.status}${met}`;
  return {
    object: table.name,
    as: caller.name,
    verb,
    outcome: outcomeOf(reply, 0, [], table, caller),
    how,
    requests: 1,
  };
}
