// The catalogue's facts about the tables that REST exposes. Only pg_catalog is read, so the right CONNECT is enough.

import { exposedSchemas } from "../evidence/audit.ts";
import {
  branchesOf,
  type Part,
  type Catalogue as Policies,
  type Policy as ReadPolicy,
  readCatalogue,
} from "../evidence/catalogue.ts";
import { ofExtension, type Sql } from "../evidence/finding.ts";
import { auditPolicies } from "../evidence/policies.ts";
import type { Condition } from "../evidence/ties.ts";
import {
  bare,
  correlated,
  inside,
  isQuery,
  isTop,
  nodesOf,
  relationsOf,
  textOf,
  type Value,
  word,
} from "../evidence/tree.ts";
import { Failure } from "../setup/shell.ts";

export type Verb = "SELECT" | "INSERT" | "UPDATE" | "DELETE";

export interface Type {
  schema: string;
  name: string;
  /** `b`ase, `e`num, `d`omain, `r`ange, `m`ultirange, `c`omposite, `p`seudo. */
  form: string;
  /** Type of the elements, if it is an array. */
  element?: Type;
  /** Values of an enum, in order. */
  labels?: string[];
  /** The base type and checks of a domain. */
  domain?: {
    base: Type;
    modifier: number;
    notNull: boolean;
    default: string | null;
    checks: { name: string; definition: string }[];
  };
}

export interface Column {
  number: number;
  name: string;
  type: Type;
  /** The type as PostgreSQL prints it, with its modifier. */
  typeName: string;
  modifier: number;
  notNull: boolean;
  /** The default as PostgreSQL prints it; for a generated column, its expression. */
  default: string | null;
  /** `a`lways or by `d`efault. */
  identity: string;
  /** `s`tored or `v`irtual. */
  generated: string;
  /** The number of dimensions of an array. */
  dimensions: number;
  /** Whether authenticated may use the sequences of its default. */
  numbered: boolean;
  /** The rights of authenticated on it. */
  granted: Verb[];
  /** Whether anon may read it. */
  open: boolean;
}

export interface Constraint {
  name: string;
  /** `p`rimary key, `u`nique, `c`heck, `f`oreign key, e`x`clusion. */
  kind: string;
  columns: string[];
  definition: string;
  /** The target of a foreign key. */
  references?: { table: string; columns: string[] };
}

export interface Index {
  name: string;
  unique: boolean;
  valid: boolean;
  method: string;
  /** The condition of a partial index. */
  predicate: string | null;
  /** The indexed columns, in order; null for an expression. */
  columns: (string | null)[];
  /** Whether each column is in descending order. */
  descending: boolean[];
  /** All columns that the index names, also within expressions and in its predicate. */
  uses: string[];
}

export interface Trigger {
  name: string;
  before: boolean;
  forEachRow: boolean;
  on: ("INSERT" | "UPDATE" | "DELETE")[];
  /** Runs whenever a row is written: no WHEN, and no list of columns. */
  always: boolean;
  called: string;
  source: string;
  arguments: string[];
}

/** One of the conditions that a policy combines with OR. */
export interface Branch {
  /** The audit's verdict: `tied`, `role`, `open`, ...; `public` also for rows that another table's policies show. */
  kind: string;
  /** Columns that are compared with the caller's id. */
  owners: string[];
}

export interface Policy {
  name: string;
  permissive: boolean;
  /** `r`, `a`, `w`, `d` or `*`. */
  command: string;
  roles: string[];
  using?: { text: string; branches: Branch[] };
  check?: { text: string; branches: Branch[] };
  /** Functions of the project that the policy calls. */
  functions: string[];
  faults: { rule: string; what: string; mend: string }[];
}

export interface Table {
  schema: string;
  name: string;
  /** `r`: a table; `p`artitioned, `v`iew, `m`aterialized view, `f`oreign table. */
  kind: string;
  partition: boolean;
  secured: boolean;
  /** Whether a view reads with the rights of its caller. */
  invoker: boolean;
  /** Whether the table belongs to an extension. */
  member: boolean;
  bytes: number;
  /** The rights of authenticated on the whole table; a column may have more. */
  granted: Verb[];
  columns: Column[];
  constraints: Constraint[];
  indexes: Index[];
  triggers: Trigger[];
  policies: Policy[];
  /** Columns that triggers of other tables count up and down. */
  counted: string[];
  /** Facts about the rows: see looks.ts. */
  looks: Looks;
}

export interface Looks {
  /** Columns with values that JSON cannot hold, and which values. */
  unfit: Record<string, string>;
  /** Questions that stay open, because the role may not ask or the table is too large. */
  open: string[];
}

export interface Catalogue {
  schemas: string[];
  tables: Table[];
  /** Whether the core of Airlock is there. */
  core: boolean;
}

/** Reads all tables of the exposed schemas. Must run in its own transaction, which may be read-only. */
export async function readTables(sql: Sql): Promise<Catalogue> {
  await sql("set local search_path = ''");
  const [database] = await sql(
    "select to_regrole('authenticated') is not null and exists (select from pg_namespace where nspname = 'auth') as supabase, to_regnamespace('airlock') is not null as core",
  );
  if (database?.supabase !== true)
    throw new Failure(
      "The database has no role authenticated or no schema auth, so it is not a Supabase project's. Give the connection string of a Supabase project.",
    );
  const schemas = await exposedSchemas(sql, ["public"]);
  const types = await readTypes(sql);
  const relations = await sql(
    `select c.oid::text, n.nspname as schema, relname as name, relkind::text as kind, relispartition as partition, relrowsecurity as secured,
       exists (select from pg_options_to_table(reloptions) where option_name = 'security_invoker' and option_value in ('true', 'on', 'yes', '1')) as invoker,
       ${ofExtension("'pg_class'::regclass", "c.oid", "relowner")} as member,
       case when relkind in ('r', 'm') then pg_relation_size(c.oid) else 0 end::float8 as bytes,
       array(select verb from unnest(array['SELECT', 'INSERT', 'UPDATE', 'DELETE']) verb where has_table_privilege('authenticated', c.oid, verb)) as granted
     from pg_class c join pg_namespace n on n.oid = relnamespace
     where relkind in ('r', 'p', 'v', 'm', 'f') and n.nspname = any ($1::text[]) order by n.nspname, relname`,
    [schemas],
  );
  const oids = relations.map(({ oid }) => oid);
  const by = async <T>(text: string, more: unknown[] = []) => {
    const groups = new Map<string, T[]>();
    for (const { relation, ...row } of await sql(text, [oids, ...more]))
      groups.set(String(relation), [...(groups.get(String(relation)) ?? []), row as T]);
    return (relation: unknown) => groups.get(String(relation)) ?? [];
  };
  const columns = await by<Column & { typeOid: string }>(
    `select attrelid::text as relation, attnum::int as number, attname as name, atttypid::text as "typeOid", format_type(atttypid, atttypmod) as "typeName",
       atttypmod as modifier, attnotnull as "notNull", pg_get_expr(adbin, adrelid) as default, attidentity::text as identity, attgenerated::text as generated, attndims::int as dimensions,
       not exists (
         select from pg_depend d join pg_class s on s.oid = d.refobjid
         where d.classid = 'pg_attrdef'::regclass and d.objid = pg_attrdef.oid and d.refclassid = 'pg_class'::regclass
           and case s.relkind when 'S' then not has_sequence_privilege('authenticated', s.oid, 'USAGE, UPDATE') end
       ) as numbered,
       array(select verb from unnest(array['SELECT', 'INSERT', 'UPDATE']) verb where has_column_privilege('authenticated', attrelid, attnum, verb)) as granted,
       has_column_privilege('anon', attrelid, attnum, 'SELECT') as open
     from pg_attribute left join pg_attrdef on adrelid = attrelid and adnum = attnum
     where attrelid = any ($1::oid[]) and attnum > 0 and not attisdropped order by attrelid, attnum`,
  );
  const constraints = await by<Constraint>(
    `select conrelid::text as relation, conname as name, contype::text as kind, pg_get_constraintdef(k.oid) as definition,
       array(select attname::text from unnest(conkey) with ordinality key (number, place) join pg_attribute on attrelid = conrelid and attnum = number order by place) as columns,
       case when contype = 'f' then jsonb_build_object(
         'table', (select n.nspname || '.' || relname from pg_class c join pg_namespace n on n.oid = relnamespace where c.oid = confrelid),
         'columns', array(select attname::text from unnest(confkey) with ordinality key (number, place) join pg_attribute on attrelid = confrelid and attnum = number order by place)
       ) end as references
     from pg_constraint k where conrelid = any ($1::oid[]) and contype in ('p', 'u', 'c', 'f', 'x') order by conrelid, conname`,
  );
  const indexes = await by<Index>(
    `select indrelid::text as relation, c.relname as name, indisunique as unique, indisvalid as valid, amname as method, pg_get_expr(indpred, indrelid) as predicate,
       (select jsonb_agg(attname order by place) from generate_series(0, indnkeyatts - 1) place left join pg_attribute on attrelid = indrelid and attnum = indkey[place] and attnum <> 0) as columns,
       array(select indoption[place] & 1 = 1 from generate_series(0, indnkeyatts - 1) place order by place) as descending,
       array(select attname::text from pg_attribute where attrelid = indrelid and (attnum = any (indkey) or exists (
         select from pg_depend d where d.classid = 'pg_class'::regclass and d.objid = indexrelid and d.refobjid = indrelid and d.refobjsubid = attnum
       )) and attnum > 0 order by attnum) as uses
     from pg_index join pg_class c on c.oid = indexrelid join pg_am a on a.oid = c.relam where indrelid = any ($1::oid[]) order by indrelid, c.relname`,
  );
  const triggers = await readTriggers(sql);
  const policies = await readPolicies(sql, schemas);
  const counted = countedBy(triggers.map(({ source }) => source));
  const tables = relations.map((relation): Table => {
    const { oid, ...table } = relation as unknown as Omit<Table, "columns"> & { oid: string };
    const called = `${table.schema}.${table.name}`;
    return {
      ...table,
      columns: columns(oid).map(({ typeOid, ...column }) => ({ ...column, type: types(typeOid) })),
      constraints: constraints(oid).map(({ references, ...constraint }) => ({
        ...constraint,
        ...(references && { references }),
      })),
      indexes: indexes(oid),
      triggers: triggers.filter((trigger) => trigger.relation === oid).map(({ relation: _, ...trigger }) => trigger),
      policies: policies.get(called) ?? [],
      counted: counted.get(called) ?? [],
      looks: { unfit: {}, open: [] },
    };
  });
  return { schemas, tables, core: database.core === true };
}

interface TypeRow {
  oid: string;
  schema: string;
  name: string;
  form: string;
  element: string | null;
  base: string;
  modifier: number;
  notNull: boolean;
  default: string | null;
  labels: string[];
  checks: { name: string; definition: string }[];
}

async function readTypes(sql: Sql): Promise<(oid: string) => Type> {
  const rows = (await sql(
    `select t.oid::text, n.nspname as schema, typname as name, typtype::text as form, case when typcategory = 'A' then typelem::text end as element,
       typbasetype::text as base, typtypmod as modifier, typnotnull as "notNull", typdefault as default,
       array(select enumlabel::text from pg_enum where enumtypid = t.oid order by enumsortorder) as labels,
       coalesce((select jsonb_agg(jsonb_build_object('name', conname, 'definition', pg_get_constraintdef(k.oid)) order by conname) from pg_constraint k where contypid = t.oid and contype = 'c'), '[]') as checks
     from pg_type t join pg_namespace n on n.oid = typnamespace`,
  )) as unknown as TypeRow[];
  const all = new Map(rows.map((row) => [row.oid, row]));
  const type = (oid: string): Type => {
    const row = all.get(oid);
    if (!row) return { schema: "", name: "unknown", form: "b" };
    const { schema, name, form, labels, modifier, notNull, checks } = row;
    return {
      schema,
      name,
      form,
      ...(form === "e" && { labels }),
      ...(form === "d" && { domain: { base: type(row.base), modifier, notNull, default: row.default, checks } }),
      ...(row.element !== null && { element: type(row.element) }),
    };
  };
  return type;
}

async function readTriggers(sql: Sql): Promise<(Trigger & { relation: string })[]> {
  const rows = await sql(
    `select tgrelid::text as relation, tgname as name, tgtype & 2 <> 0 as before, tgtype & 1 <> 0 as "forEachRow", tgqual is null and cardinality(tgattr::int2[]) = 0 as always,
       array_remove(array[case when tgtype & 4 <> 0 then 'INSERT' end, case when tgtype & 8 <> 0 then 'DELETE' end, case when tgtype & 16 <> 0 then 'UPDATE' end], null) as on,
       n.nspname || '.' || proname as called, prosrc as source, encode(tgargs, 'hex') as arguments
     from pg_trigger join pg_proc p on p.oid = tgfoid join pg_namespace n on n.oid = pronamespace where not tgisinternal and tgenabled <> 'D' order by tgrelid, tgname`,
  );
  return rows.map(({ arguments: bytes, ...row }) => {
    const texts = Buffer.from(String(bytes), "hex").toString("utf8").split("\0").slice(0, -1);
    return { ...row, arguments: texts } as unknown as Trigger & { relation: string };
  });
}

/** The policies of each table, read from their trees as the audit does. */
async function readPolicies(sql: Sql, schemas: string[]): Promise<Map<string, Policy[]>> {
  const catalogue = await readCatalogue(sql, schemas);
  const { faults } = await auditPolicies(catalogue);
  const found = new Map<string, Policy[]>();
  for (const policy of catalogue.policies.filter(({ audited }) => audited)) {
    const { schema, relname, name, permissive, command, roles } = policy;
    const part = (clause: "using" | "with check") =>
      partOf(
        policy.parts.find((one) => one.clause === clause),
        policy,
        catalogue,
      );
    const [using, check] = [part("using"), part("with check")];
    const reached = policy.parts
      .flatMap(({ tree }) => catalogue.reader.reached(tree))
      .filter(({ foreign }) => !foreign)
      .map(({ identity }) => identity);
    const one: Policy = {
      name,
      permissive,
      command,
      roles,
      ...(using && { using }),
      ...(check && { check }),
      functions: [...new Set(reached)],
      faults: faults
        .filter(({ object }) => object === `${schema}.${relname}.${name}`)
        .map(({ rule, what, mend }) => ({ rule, what, mend })),
    };
    found.set(`${schema}.${relname}`, [...(found.get(`${schema}.${relname}`) ?? []), one]);
  }
  return found;
}

function partOf(part: Part | undefined, policy: ReadPolicy, catalogue: Policies): Policy["using"] {
  if (!part) return undefined;
  const branches = branchesOf(policy, part, catalogue.reader);
  const compared = comparedWithId(part.tree, catalogue);
  return {
    text: part.text,
    branches: part.verdicts.map(({ kind, ties, open }, at) => ({
      kind: kind === "open" && !open && isNarrowed(branches[at] ?? [], part.text, catalogue) ? "public" : kind,
      owners: ties.owners
        .filter((number) => compared.has(number))
        .map((number) => catalogue.tables.columnName(policy.relation, number)),
    })),
  };
}

const PUBLIC = /publi[cs]|visib|shared|listed|everyone|anyone/i;

/**
 * Whether a branch names rows that are public, or rows of another table that its own policies show. The audit knows no
 * enums.
 */
function isNarrowed(branch: Condition[], text: string, { tables, equals }: Policies): boolean {
  const nodes = branch.flatMap(({ node }) => nodesOf(node));
  const shown = nodes.some(
    ({ node }) => isQuery(node) && correlated(node) && relationsOf(node).some((relation) => tables.secured(relation)),
  );
  const says = nodes.some(
    ({ node }) =>
      node.type === "OPEXPR" &&
      equals.has(word(node, "opno")) &&
      inside(node, "args").some(({ type }) => type === "VAR") &&
      inside(node, "args").some(({ type }) => type === "CONST"),
  );
  return shown || (says && PUBLIC.test(text));
}

/** The numbers of the row's columns that are compared with the id of the caller, and not with another claim. */
function comparedWithId(tree: Value, { reader }: Policies): Set<string> {
  const isId = (value: Value) =>
    nodesOf(value).some(({ node }) => {
      const called = node.type === "FUNCEXPR" ? reader.called(node) : undefined;
      if (called?.schema === "auth") return called.name === "uid";
      return (
        (called !== undefined && !called.foreign && /\bauth\.uid\(\)|'sub'/.test(called.source)) ||
        (node.type === "CONST" && textOf(node) === "sub")
      );
    });
  const found = new Set<string>();
  for (const { node, within } of nodesOf(tree)) {
    if (!["OPEXPR", "SCALARARRAYOPEXPR"].includes(node.type)) continue;
    const sides = inside(node, "args").map(bare);
    for (const [at, side] of sides.entries()) {
      const other = sides[1 - at];
      if (side.type === "VAR" && isTop({ node: side, within: [...within, node] }) && other && isId(other))
        found.add(word(side, "varattno"));
    }
  }
  return found;
}

/** The columns that triggers' functions compute from themselves or from a count, by table: `set likes = likes + 1`. */
function countedBy(sources: string[]): Map<string, string[]> {
  const found = new Map<string, string[]>();
  for (const source of sources) {
    for (const [, table = "", assignments = ""] of source.matchAll(
      /\bupdate\s+(?:only\s+)?([\w".]+)(?:\s+(?:as\s+)?(?!set\b)\w+)?\s+set\s+([\s\S]*?)(?:\bwhere\b|;)/gi,
    )) {
      const path = table.replaceAll('"', "");
      const called = path.includes(".") ? path : `public.${path}`;
      for (const [, column = ""] of assignments.matchAll(
        /"?(\w+)"?\s*=\s*(?:greatest\s*\(|coalesce\s*\(|\(\s*select\s+count\b)?[^,]*?(?:\b\1\b\s*[^,]*[-+]\s*1|count\s*\()/gi,
      ))
        found.set(called, [...(found.get(called) ?? []), column]);
    }
  }
  return found;
}
