// A database that is in use: one connection, one read-only transaction.
//
// No code of the database may run here, so the statements only read the catalogue. A function or a policy would run
// with the rights of this connection, and could undo a `set role`.

import pg from "pg";

import { Failure } from "../setup/shell.ts";
import type { Sql } from "./finding.ts";

/**
 * The extended protocol, which takes one statement alone, wherever there is a list of parameters. The types lack it.
 */
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
  if (!/^postgres(ql)?:\/\//.test(url))
    throw new Failure('--db-url takes a connection string: postgres://... It is on the page "Connect" of a project.');
  const client = new pg.Client({
    connectionString: url,
    connectionTimeoutMillis: 15_000,
    application_name: "airlock evidence",
  });
  // The statement that waits for a lost connection fails by itself.
  client.on("error", () => undefined);
  await client.connect().catch(({ message }: Error) => {
    throw new Failure(`${whereTo(url)} gives no connection: ${message}. Compare the connection string.`);
  });
  const sql = statements(client);
  try {
    await sql("begin transaction isolation level repeatable read, read only");
    // First: with the search_path of the database, a name could lead to a function of the database.
    await sql("set local search_path = ''");
    // A database can set these too: its own way to read the texts of statements, and to print names.
    await sql("set local standard_conforming_strings = on; set local quote_all_identifiers = off");
    // Else the planner evaluates the CHECKs of inherited tables.
    await sql("set local constraint_exclusion = off");
    await sql("set local statement_timeout = '30s'; set local lock_timeout = '5s'");
    return await work(sql);
  } finally {
    await client.query("rollback").catch(() => undefined);
    await client.end();
  }
}

/**
 * Functions that the database defines, with the objects whose expressions call them, and those that run when a value of a type
 * is made: the CHECKs of domains, and the comparisons of ranges. In `pg_catalog` and in C or `internal` only a superuser makes one.
 * A CHECK can run any statement by those that are not immutable, such as `query_to_xml`; `pg_depend` lacks those of PostgreSQL.
 */
const CALLS = `
  defined (oid, identity) as (
    select p.oid, p.oid::regprocedure::text from pg_proc p join pg_language l on l.oid = prolang
      where pronamespace <> 'pg_catalog'::regnamespace and lanname not in ('internal', 'c')
  ), calls (classid, objid, function) as (
    select d.classid, d.objid, identity from pg_depend d
      left join pg_operator o on d.refclassid = 'pg_operator'::regclass and o.oid = d.refobjid
      join defined on defined.oid = case d.refclassid when 'pg_proc'::regclass then d.refobjid when 'pg_operator'::regclass then oprcode end
  ), checked (function) as (
    select function from calls join pg_constraint k on classid = 'pg_constraint'::regclass and objid = k.oid where contypid <> 0
    union
    select p.oid::regprocedure::text from pg_constraint, regexp_matches(conbin::text, ':(?:func|opfunc)id (\\d+)', 'g') as found (oid)
      join pg_proc p on p.oid = found.oid[1]::oid where contypid <> 0 and provolatile <> 'i'
    union select identity from pg_amproc join defined on defined.oid = amproc
  )`;

/**
 * Tables whose rows cannot be read without running a function that the database defines, as `schema.table`, with the reason: the
 * planner evaluates constant parts of the expressions of their indexes and statistics. And an owner can put a view in a table's place
 * after it was looked at here, so each owner has the rights of this role anyway, or is the database's and this role no superuser.
 */
export async function running(sql: Sql): Promise<Map<string, string>> {
  const rows = await sql(`
    with recursive ${CALLS}, trusted (oid) as (
      select r.oid from pg_database d cross join pg_roles me cross join pg_roles r
        cross join lateral (select case r.rolname when 'pg_database_owner' then datdba else r.oid end as oid) holder
        where datname = current_database() and me.rolname = current_user
          and (pg_has_role(holder.oid, me.oid, 'MEMBER') or holder.oid = datdba and not me.rolsuper)
    ), family (root, oid) as (
      select oid, oid from pg_class where relkind = 'r'
      union select root, inhrelid from family join pg_inherits on inhparent = family.oid
    ), planned (relation, classid, objid) as (
      select indrelid, 'pg_class'::regclass, indexrelid from pg_index
      union all select stxrelid, 'pg_statistic_ext'::regclass, oid from pg_statistic_ext
    ), ran (classid, objid, function) as (
      select classid, objid, function from calls
      union all
      select d.classid, d.objid, checked.function from checked, pg_depend d
        join pg_type t on d.refclassid = 'pg_type'::regclass and t.oid = d.refobjid left join pg_type e on e.oid = t.typelem
        where t.typnamespace <> 'pg_catalog'::regnamespace and coalesce(e.typtype, t.typtype) in ('c', 'd', 'm', 'r')
    )
    select n.nspname || '.' || c.relname as name, min(case
        when own.relkind <> 'r' then 'it has rows of a foreign table'
        when function is not null then 'an index or statistics would run ' || function
        else 'its owner ' || pg_get_userbyid(case when own.relowner in (select oid from trusted) then n.nspowner else own.relowner end) || ' could change it meanwhile'
      end) as reason
      from family join pg_class c on c.oid = root join pg_namespace n on n.oid = c.relnamespace
        join pg_class own on own.oid = family.oid
        left join (planned join ran using (classid, objid)) on planned.relation = family.oid
      where function is not null or own.relkind <> 'r' or not array[own.relowner, n.nspowner] <@ array(select oid from trusted) group by 1`);
  return new Map(rows.map(({ name, reason }) => [String(name), String(reason)]));
}

/** Whether this role can read the rows of a table of another project, and runs nothing that the database defines by that. */
export async function isReadable(sql: Sql, schema: string, name: string): Promise<boolean> {
  // A policy, or a cast of a type of the database, would run.
  const [table] = await sql(
    `select c.oid from pg_class c join pg_namespace n on n.oid = relnamespace
       where nspname = $1 and relname = $2 and relkind = 'r' and has_table_privilege(c.oid, 'SELECT') and not row_security_active(c.oid)
         and not exists (
           select from pg_attribute join pg_type t on t.oid = atttypid
             where attrelid = c.oid and attnum > 0 and not attisdropped and (typnamespace <> 'pg_catalog'::regnamespace or attgenerated = 'v')
         )`,
    [schema, name],
  );
  return table !== undefined && !(await running(sql)).has(`${schema}.${name}`);
}

/** Whether the registry of resources is there and can be read. */
export const hasRegistry = (sql: Sql): Promise<boolean> => isReadable(sql, "airlock", "resources");

/** Host and database of a connection string. */
export function whereTo(url: string): string {
  const { host, pathname } = URL.canParse(url) ? new URL(url) : { host: "", pathname: "" };
  return `${host}${pathname}` || "the database of the connection string";
}
