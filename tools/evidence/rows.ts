// Makes rows of one user in every table, from the catalogue alone, and compares the tables afterwards.

import { randomBytes, randomUUID } from "node:crypto";

import { identifier, ofExtension, type Sql } from "./finding.ts";

export interface Column {
  name: string;
  type: string;
  category: string;
  required: boolean;
  /** Written by the database alone. */
  generated: boolean;
  unique: boolean;
  /** Words that its CHECKs, its enum or the bounds of its partitions name. */
  words: string[];
}

/** A foreign key of one column. */
export interface Reference {
  column: string;
  table: string;
  target: string;
}

export interface Table {
  schema: string;
  relname: string;
  /** The name for people: `public.notes`. */
  name: string;
  /** The name for SQL, quoted. */
  sql: string;
  /** The name for SQL with ONLY: without the rows of tables that inherit from it. */
  only: string;
  isView: boolean;
  /** Triggers that run for a statement, whether or not it finds a row. */
  statementTriggers: boolean;
  columns: Column[];
  key: string[];
  references: Reference[];
  /** For each role, the names of the policies by which it reads. */
  policies: Record<string, string[]>;
  /** For each role and privilege, the granted columns. */
  granted: Record<string, string[]>;
}

export type Row = Record<string, unknown>;

/** The tables and views of these schemas, those that others refer to first. */
export async function readTables(sql: Sql, schemas: string[]): Promise<Table[]> {
  const tables = (await sql(
    `select n.nspname as schema, relname, n.nspname || '.' || relname as name, format('%I.%I', n.nspname, relname) as sql,
       case when relkind = 'r' then 'only ' else '' end || format('%I.%I', n.nspname, relname) as only, relkind in ('v', 'm') as "isView",
       exists (select from pg_trigger where tgrelid = c.oid and not tgisinternal and tgtype & 1 = 0) as "statementTriggers",
       array(select attname::text from pg_index, unnest(indkey) key join pg_attribute on attnum = key and attrelid = c.oid where indrelid = c.oid and indisprimary) as key,
       (select coalesce(jsonb_agg(jsonb_build_object(
          'name', attname, 'type', format_type(atttypid, atttypmod), 'category', typcategory, 'required', attnotnull and not atthasdef,
          'generated', attgenerated <> '' or attidentity = 'a',
          'unique', exists (select from pg_index where indrelid = c.oid and indisunique and attnum = any (indkey)),
          'words', coalesce((select jsonb_agg(enumlabel) from pg_enum where enumtypid = atttypid), '[]') || coalesce((
            select jsonb_agg(word[1]) from pg_constraint, regexp_matches(pg_get_constraintdef(pg_constraint.oid), '''([^'']*)''::text', 'g') word
            where conrelid = c.oid and contype = 'c' and attnum = any (conkey)
          ), '[]') || coalesce((
            select jsonb_agg(word[1]) from pg_inherits join pg_class part on part.oid = inhrelid join pg_partitioned_table on partrelid = inhparent,
              regexp_matches(pg_get_expr(part.relpartbound, part.oid), '''([^'']*)''', 'g') word
            where inhparent = c.oid and attnum = any (partattrs)
          ), '[]')
        ) order by attnum), '[]') from pg_attribute join pg_type t on t.oid = atttypid where attrelid = c.oid and attnum > 0 and not attisdropped) as columns,
       (select coalesce(jsonb_agg(jsonb_build_object('column', a.attname, 'table', rn.nspname || '.' || r.relname, 'target', f.attname)), '[]')
        from pg_constraint k join pg_class r on r.oid = confrelid join pg_namespace rn on rn.oid = r.relnamespace
          join pg_attribute a on a.attrelid = conrelid and a.attnum = conkey[1] join pg_attribute f on f.attrelid = confrelid and f.attnum = confkey[1]
        where conrelid = c.oid and contype = 'f' and cardinality(conkey) = 1) as references,
       (select coalesce(jsonb_object_agg(rolname, policies), '{}') from (
          select rolname, jsonb_agg(format('%s.%s.%s', n.nspname, relname, polname)) as policies from pg_roles, pg_policy
          where rolname in ('anon', 'authenticated') and polrelid = c.oid and polcmd in ('r', '*') and polroles && array[0, pg_roles.oid]
          group by rolname
        ) by_role) as policies,
       (select coalesce(jsonb_object_agg(key, columns), '{}') from (
          select rolname || ' ' || privilege as key, jsonb_agg(attname order by attnum) as columns
          from pg_roles, unnest(array['SELECT', 'INSERT', 'UPDATE']) privilege, pg_attribute
          where rolname in ('anon', 'authenticated') and attrelid = c.oid and attnum > 0 and not attisdropped and has_column_privilege(rolname, c.oid, attnum, privilege)
          group by rolname, privilege
        ) by_role) as granted
     from pg_class c join pg_namespace n on n.oid = relnamespace
     where n.nspname = any ($1::text[]) and relkind in ('r', 'p', 'v', 'm')
       -- REST offers a partitioned table and not its partitions, and an extension's tables are its own.
       and not relispartition and not ${ofExtension("'pg_class'::regclass", "c.oid", "relowner")}
     order by 1, 2`,
    [schemas],
  )) as unknown as Table[];
  const sorted: Table[] = [];
  const visit = (table: Table, above: Table[]) => {
    if (sorted.includes(table) || above.includes(table)) return;
    for (const { table: name } of table.references) {
      const needed = tables.find((one) => one.name === name);
      if (needed) visit(needed, [...above, table]);
    }
    sorted.push(table);
  };
  for (const table of tables) visit(table, []);
  return sorted;
}

const OWNERS = ["user_id", "owner_id", "created_by"];

/** Whether a column names the row's owner. */
export const namesOwner = ({ references }: Table, column: Column) =>
  references.some((one) => one.column === column.name && one.table === "auth.users") ||
  (OWNERS.includes(column.name) && column.type === "uuid");

/** Values that a column might accept, the likeliest first. */
function candidates({ type, category, words }: Column): string[] {
  if (type === "uuid") return [randomUUID()];
  if (/^jsonb?$/.test(type)) return ["{}", "[]"];
  if (type === "bytea") return [`\\x${randomBytes(32).toString("hex")}`];
  // By the category of the type in pg_type: S text, N number, B boolean, D date, T interval, A array, I address, E enum.
  const any: Record<string, string[]> = {
    S: [
      ...words,
      `evidence ${randomUUID()}`,
      randomBytes(32).toString("hex"),
      randomBytes(32).toString("base64url"),
      randomUUID(),
      "evidence",
      "evidence@example.com",
      "https://example.com/",
      "2026-01-01",
      "1",
      "EN",
    ],
    N: [...words.filter((word) => /^-?\d+$/.test(word)), "1", "0", "100"],
    B: ["true", "false"],
    D: [...words.filter((word) => /^\d{4}-/.test(word)), "2026-01-01T00:00:00Z", "2100-01-01T00:00:00Z"],
    T: ["1 hour"],
    A: ["{}"],
    I: ["192.0.2.1"],
    E: words,
    R: ["empty"],
  };
  return any[category] ?? words;
}

/**
 * Makes rows of the owner in every table, as far as possible. One has the required columns, one also refers to the
 * owner's rows of other tables, and one has each optional time, such as published_at or deleted_at. Runs as the
 * database's owner; triggers and constraints apply.
 */
export async function seed(sql: Sql, tables: Table[], owner: string): Promise<Map<string, Row[]>> {
  const seeded = new Map<string, Row[]>();
  for (const table of tables.filter(({ isView }) => !isView)) {
    const lean = await insert(sql, table, owner, seeded, false);
    const optional = table.references.some(
      ({ column, table: target }) =>
        target !== "auth.users" && !table.columns.find(({ name }) => name === column)?.required,
    );
    const full = optional ? await insert(sql, table, owner, seeded, true) : undefined;
    const later: (Row | undefined)[] = [];
    for (const { name } of table.columns.filter(
      ({ category, required, generated }) => category === "D" && !required && !generated,
    )) {
      const row = lean && (lean[name] ?? null) === null ? await insert(sql, table, owner, seeded, false) : undefined;
      if (row) later.push(await pass(sql, table, row, name));
    }
    seeded.set(
      table.name,
      [lean, full, ...later].flatMap((row) => (row ? [row] : [])),
    );
  }
  return seeded;
}

/** Sets this time column of the row; returns the row unchanged if that is impossible. */
async function pass(sql: Sql, { sql: table, key }: Table, row: Row, column: string): Promise<Row> {
  const whose = key.map((name, at) => `made.${identifier(name)}::text = $${at + 1}`).join(" and ");
  if (!whose) return row;
  const passed = await sql(
    `update ${table} as made set ${identifier(column)} = now() where ${whose} returning to_jsonb(made) as row`,
    key.map((name) => String(row[name])),
  ).catch(() => []);
  return (passed[0]?.row as Row | undefined) ?? row;
}

async function insert(
  sql: Sql,
  table: Table,
  owner: string,
  seeded: Map<string, Row[]>,
  full: boolean,
): Promise<Row | undefined> {
  const values = new Map<string, string[]>();
  for (const column of table.columns) {
    if (column.generated) continue;
    const reference = table.references.find((one) => one.column === column.name);
    const known = reference ? (seeded.get(reference.table) ?? []).map((row) => String(row[reference.target])) : [];
    if (namesOwner(table, column)) values.set(column.name, [owner]);
    else if (known.length > 0 && (column.required || full)) values.set(column.name, known);
    else if (column.required) values.set(column.name, candidates(column));
  }
  // The column that a CHECK refuses gets its next candidate, and so does a reference to a row of another organisation.
  for (let attempts = 0; attempts < 100; attempts++) {
    const names = [...values.keys()];
    const typed = names.map(
      (name, at) => `$${at + 1}::text::${table.columns.find((column) => column.name === name)?.type}`,
    );
    try {
      const into =
        names.length > 0 ? `(${names.map(identifier).join(", ")}) values (${typed.join(", ")})` : "default values";
      const [row] = await sql(
        `insert into ${table.sql} as made ${into} returning to_jsonb(made) as row`,
        names.map((name) => values.get(name)?.[0]),
      );
      return row?.row as Row;
    } catch (error) {
      const { code, constraint, detail } = error as { code?: string; constraint?: string; detail?: string };
      // A trigger of sign-up may have made it.
      if (code === "23505") return existing(sql, table, owner);
      if (code !== "23514" && code !== "23503" && !code?.startsWith("22")) return undefined;
      const about = await sql(
        "select attname from pg_constraint join pg_attribute on attrelid = conrelid and attnum = any (conkey) where conrelid = $1::regclass and conname = $2",
        [table.sql, constraint ?? ""],
      );
      // airlock.check_reference() names the field.
      const refused = code === "23503" ? [detail] : about.map(({ attname }) => attname);
      const next = names.find(
        (name) => (values.get(name)?.length ?? 0) > 1 && (refused.length === 0 || refused.includes(name)),
      );
      if (next === undefined) return undefined;
      values.get(next)?.shift();
    }
  }
  return undefined;
}

/** A row that the owner has already. */
async function existing(sql: Sql, table: Table, owner: string): Promise<Row | undefined> {
  for (const column of table.columns.filter((one) => namesOwner(table, one))) {
    const [row] = await sql(
      `select to_jsonb(made) as row from ${table.sql} as made where ${identifier(column.name)}::text = $1 limit 1`,
      [owner],
    );
    if (row) return row.row as Row;
  }
  return undefined;
}

/** A similar value that no row has yet. */
export function another(value: unknown): unknown {
  if (typeof value === "number") return value + 1;
  if (typeof value !== "string") return value ?? "2026-01-01T00:00:00Z";
  if (/^[0-9a-f]{8}-[0-9a-f-]{27}$/.test(value)) return randomUUID();
  if (/^[0-9a-f]{64}$/.test(value)) return randomBytes(32).toString("hex");
  return value === "" || value.startsWith("evidence") ? `evidence ${randomUUID()}` : value;
}

/** All rows of all tables, as text. */
export type State = Map<string, string[]>;

export async function state(sql: Sql, tables: Table[]): Promise<State> {
  const each = tables
    .filter(({ isView }) => !isView)
    .map(
      ({ name, only: table }, at) =>
        `select ${at} as at, '${name.replaceAll("'", "''")}' as name, to_jsonb(t)::text as row from ${table} t`,
    );
  const rows = each.length > 0 ? await sql(each.join(" union all ")) : [];
  const all: State = new Map();
  for (const { name, row } of rows) all.set(String(name), [...(all.get(String(name)) ?? []), String(row)]);
  return all;
}

/** Rows of `one` that `other` lacks. */
export function rowsOnlyIn(one: State, other: State): { table: string; row: string }[] {
  return [...one].flatMap(([table, rows]) =>
    rows.filter((row) => !other.get(table)?.includes(row)).map((row) => ({ table, row })),
  );
}

/** Restores the tables whose rows differ, without triggers and policies. */
export async function restore(sql: Sql, tables: Table[], before: State): Promise<void> {
  const now = await state(sql, tables);
  const rows = (at: State, name: string) => (at.get(name) ?? []).toSorted().join();
  const changed = tables.filter(({ isView, name }) => !isView && rows(before, name) !== rows(now, name));
  await sql("set session_replication_role = replica");
  try {
    for (const { name, sql: table, only, columns } of changed.toReversed()) {
      await sql(`delete from ${only}`);
      // Identity values are restored; generated columns are computed again.
      const names = await sql(
        "select attname from pg_attribute where attrelid = $1::regclass and attnum > 0 and not attisdropped and attgenerated = ''",
        [table],
      );
      const list = columns
        .map(({ name }) => name)
        .filter((column) => names.some(({ attname }) => attname === column))
        .map(identifier)
        .join(", ");
      await sql(
        `insert into ${table} (${list}) overriding system value select ${list} from jsonb_populate_recordset(null::${table}, $1::text::jsonb)`,
        [`[${(before.get(name) ?? []).join(",")}]`],
      );
    }
  } finally {
    await sql("set session_replication_role = default");
  }
}
