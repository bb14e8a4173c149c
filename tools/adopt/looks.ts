// Facts that only the rows have: the largest id, and values that JSON cannot hold. It is looked at where the role may
// see all rows, and named as not looked at elsewhere.

import { identifier, type Sql } from "../evidence/finding.ts";
import { running } from "../evidence/foreign.ts";
import type { Column, Table } from "./catalogue.ts";

/** Larger tables are not read as a whole. */
const MOST_BYTES = 256 * 1024 * 1024;
const WHOLE = 9_007_199_254_740_991n;

/** Adds to each table the facts of its rows. Only functions of PostgreSQL itself run. */
export async function lookAtRows(sql: Sql, tables: Table[]): Promise<void> {
  const closed = await running(sql);
  for (const table of tables.filter(({ kind, partition, member }) => kind === "r" && !partition && !member))
    await look(sql, table, closed.get(`${table.schema}.${table.name}`));
}

async function look(sql: Sql, table: Table, closed: string | undefined): Promise<void> {
  const key = table.constraints.find(({ kind }) => kind === "p")?.columns ?? [];
  const questions = table.columns.flatMap((column) => questionOf(column));
  const [identifiers, others] = [
    questions.filter(({ column }) => key.length === 1 && key[0] === column),
    questions.filter(({ column }) => !(key.length === 1 && key[0] === column)),
  ];
  if (closed !== undefined) {
    if (questions.length > 0)
      table.looks.open.push(`${questions.map(({ column, of }) => `${column}: ${of}`).join("; ")} (${closed})`);
    return;
  }
  for (const { column } of identifiers) {
    // An index answers this one.
    const largest = await ask(
      sql,
      `select (select max(${identifier(column)}) from ${named(table)} t) > ${WHOLE} as "0"`,
    );
    const next = await sequenceOf(sql, table, column);
    if (largest?.["0"] === true || next === true) table.looks.unfit[column] = "ids past 2^53-1";
    else if (!largest) table.looks.open.push(`whether ids past 2^53-1 are in use (${column})`);
  }
  if (others.length === 0) return;
  const what = others.map(({ column, of }) => `${column}: ${of}`).join("; ");
  if (table.bytes > MOST_BYTES) {
    table.looks.open.push(`${what} (the table has more than ${MOST_BYTES / 1024 / 1024} MB)`);
    return;
  }
  const found = await ask(
    sql,
    `select ${others.map(({ condition }, at) => `coalesce(bool_or(${condition}), false) as "${at}"`).join(", ")} from ${named(table)} t`,
  );
  if (!found) table.looks.open.push(what);
  else
    for (const [at, { column, of }] of others.entries()) if (found[String(at)] === true) table.looks.unfit[column] = of;
}

/** Whether the sequence of a column has passed the limit; undefined if there is none, or the role may not ask. */
async function sequenceOf(sql: Sql, { schema, name }: Table, column: string): Promise<boolean | undefined> {
  const [found] = await sql(
    `select case when has_sequence_privilege(s.oid, 'USAGE, SELECT') then pg_sequence_last_value(s.oid) > ${WHOLE} end as passed
     from pg_class s join pg_depend d on d.classid = 'pg_class'::regclass and d.objid = s.oid and d.deptype in ('a', 'i')
       join pg_attribute on attrelid = d.refobjid and attnum = d.refobjsubid join pg_class c on c.oid = attrelid join pg_namespace n on n.oid = c.relnamespace
     where s.relkind = 'S' and n.nspname = $1 and c.relname = $2 and attname = $3`,
    [schema, name, column],
  );
  return typeof found?.passed === "boolean" ? found.passed : undefined;
}

const named = ({ schema, name }: Table) => `${identifier(schema)}.${identifier(name)}`;

/** Which values of a column JSON could not hold. A virtual column would run the database's code. */
function questionOf({ name, type, generated }: Column): { column: string; of: string; condition: string }[] {
  const column = identifier(name);
  if (generated === "v" || type.schema !== "pg_catalog") return [];
  if (type.name === "int8")
    return [{ column: name, of: "integers past 2^53-1", condition: `t.${column} not between -${WHOLE} and ${WHOLE}` }];
  if (/^(float[48]|numeric)$/.test(type.name))
    return [
      { column: name, of: "NaN or infinity", condition: `t.${column}::text in ('NaN', 'Infinity', '-Infinity')` },
    ];
  if (type.name === "time") return [{ column: name, of: "the time 24:00:00", condition: `t.${column} = '24:00:00'` }];
  if (/^(date|timestamptz?)$/.test(type.name))
    return [
      {
        column: name,
        of: "infinity, or years outside 1 to 9999",
        condition: `not isfinite(t.${column}) or extract(year from t.${column}) not between 1 and 9999`,
      },
    ];
  if (type.element?.name === "int8") {
    const beyond = `exists (select from unnest(t.${column}) item where item not between -${WHOLE} and ${WHOLE})`;
    return [
      {
        column: name,
        of: "nested arrays, null elements or integers past 2^53-1",
        condition: `array_ndims(t.${column}) > 1 or ${beyond} or exists (select from unnest(t.${column}) item where item is null)`,
      },
    ];
  }
  if (type.element && /^(text|varchar|uuid|int[24])$/.test(type.element.name))
    return [
      {
        column: name,
        of: "nested arrays or null elements",
        condition: `array_ndims(t.${column}) > 1 or array_position(t.${column}, null) is not null`,
      },
    ];
  return [];
}

/** The row of a statement; undefined if the role may not see all rows of the table, or it takes too long. */
async function ask(sql: Sql, text: string): Promise<Record<string, unknown> | undefined> {
  await sql("savepoint look");
  try {
    // Then Postgres refuses queries that policies would filter, and runs no policy.
    await sql("set local row_security = off");
    return (await sql(text))[0];
  } catch (error) {
    if (!/^(42501|57014|55P03)$/.test((error as { code?: string }).code ?? "")) throw error;
    return undefined;
  } finally {
    await sql("rollback to savepoint look; release savepoint look");
  }
}
