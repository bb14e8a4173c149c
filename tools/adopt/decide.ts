// The decision about each table: a section of airlock.toml, a stop with the SQL that mends it, or a reason why it is left out.
// Nothing is read here but the catalogue, so that the same catalogue always has the same outcome.

import { withoutComments } from "../evidence/bodies.ts";
import { escaped, identifier } from "../evidence/finding.ts";
import {
  isCallers,
  isShown,
  named,
  type Owner,
  ownerOf,
  permits,
  policiesFor,
  type Readers,
  type Stop,
  secure,
  stopsOf,
} from "./access.ts";
import type { Catalogue, Column, Table } from "./catalogue.ts";
import { type Read, readColumn } from "./kinds.ts";
import { isKeptResource, whyNot, wireName } from "./names.ts";

export interface Field {
  name: string;
  column: string;
  /** Kind, ? and default, as in airlock.toml. */
  text: string;
  comment?: string;
  /** The database has no limit. */
  unlimited: boolean;
  readOnly: boolean;
}

export interface Section {
  resource: string;
  schema: string;
  table: string;
  id: { kind: "uuid" | "bigint" | "owner"; column: string };
  owner: Owner;
  /** The readers of all rows, if a person has set them. */
  read: Readers | undefined;
  /** Column names; null: the table has no such column. */
  version: string | null;
  timestampVersion: boolean;
  created: string | null;
  updated: string | null;
  deleted: string | null;
  /** The routes that grants and policies allow. */
  offered: string[];
  /** The routes that the section names; null if it needs no such key. */
  routes: string[] | null;
  unique: Record<string, string[]>;
  /** Operators for fields that an index serves. */
  filters: Record<string, string[]>;
  fields: Field[];
  /** Columns that `--with` adds. */
  added: ("version" | "deleted")[];
  /** The parent under whose rows these could be served, and the field with the parent's id. */
  under?: { resource: string; field: Field };
  /** The rows that could be embedded: names with fields of their resources. */
  embed?: Record<string, string[]>;
}

export interface Decision {
  /** The table's name with its schema. */
  table: string;
  section?: Section;
  stops: Stop[];
  /** Why the whole table is left out. */
  out?: string;
  /** Columns that are left out, with the reason. */
  left: { column: string; reason: string }[];
  warnings: string[];
}

export interface Options {
  /** Capabilities to add columns for. */
  with: ("version" | "deleted")[];
  /** Tables whose rows a person means for everybody, as `schema.table`. */
  read: Map<string, Readers>;
  /** Names of the resources that serve tables already, by `schema.table`. */
  resources: Map<string, string>;
  /** Names that a person has declared, of the fields for columns, by `schema.table`. */
  named: Map<string, Map<string, string>>;
  /** Columns whose field the grammar of airlock.toml refuses, by `schema.table`, with its sentence. */
  refused: Map<string, Map<string, string>>;
  /** The tables to write sections for, as `schema.table`; all if absent. */
  chosen?: Set<string>;
}

export const NO_OPTIONS: Options = {
  with: [],
  read: new Map(),
  resources: new Map(),
  named: new Map(),
  refused: new Map(),
};

/** Resources that a field can refer to, by `schema.table`, with the column of their id. */
type Targets = Map<string, { resource: string; id: string }>;

/** Tables in which tools keep their own state. */
const TOOLS =
  /^(_prisma_migrations|__drizzle_migrations|drizzle_migrations|knex_migrations(_lock)?|schema_migrations|ar_internal_metadata|alembic_version|flyway_schema_history|databasechangelog(lock)?|django_migrations|typeorm_metadata|sequelizemeta|goose_db_version|spatial_ref_sys)$/i;

/** Decides about each table that is not one of Airlock's own. */
export function decide(catalogue: Catalogue, options: Options = NO_OPTIONS): Decision[] {
  const tables = catalogue.tables.filter((table) => !isOwn(table) && !table.member);
  // Whether a table is served does not depend on those that it refers to.
  const alone = decideAll(tables, options, new Map());
  const served = alone.flatMap(({ table, section }) =>
    section && section.id.kind !== "owner" && (options.resources.has(table) || (options.chosen?.has(table) ?? true))
      ? [section]
      : [],
  );
  const decisions = decideAll(
    tables,
    options,
    new Map(served.map(({ schema, table, resource, id }) => [`${schema}.${table}`, { resource, id: id.column }])),
  );
  const names = new Set(served.map(({ resource }) => resource));
  const sections = decisions.flatMap(({ section }) => (section && names.has(section.resource) ? [section] : []));
  for (const { table: called, section } of decisions) {
    const table = tables.find(({ schema, name }) => `${schema}.${name}` === called);
    if (!section || !table) continue;
    const under = underOf(section, table, sections);
    const embed = embedOf(section, sections, tables);
    Object.assign(section, { ...(under && { under }), ...(embed && { embed }) });
  }
  return decisions;
}

/** The resource that a field refers to. */
const targetOf = ({ text }: Field) => /^ref\((\w+)\)/.exec(text)?.[1];

/** The one parent whose rows decide who sees these: all policies name its column, which is never null. */
function underOf(section: Section, table: Table, sections: Section[]): Section["under"] {
  if (section.owner.scope !== "visible" || section.read || section.id.kind === "owner") return undefined;
  const policies = policiesFor(table, "SELECT");
  const found = section.fields.flatMap((field) => {
    const parent = sections.find(({ resource }) => resource === targetOf(field));
    const asked = policies.every(({ using }) => new RegExp(`\\b${escaped(field.column)}\\b`).test(using?.text ?? ""));
    const whole = !field.text.includes("?") && !field.readOnly && field.column !== section.owner.column;
    return parent && parent !== section && !parent.read && asked && whole ? [{ resource: parent.resource, field }] : [];
  });
  return found.length === 1 ? found[0] : undefined;
}

/** The rows that fields of this resource refer to, and those whose one field refers to this resource, by an index. */
function embedOf(section: Section, sections: Section[], tables: Table[]): Section["embed"] {
  if (section.fields.some(({ name }) => name === "included")) return undefined;
  const shown = ({ fields }: Section) => {
    const first =
      fields.find((field) => /^(text|one_of)\b/.test(field.text)) ?? fields.find((field) => !targetOf(field));
    return ["id", ...(first ? [first.name] : [])];
  };
  const seen = ({ read }: Section) => section.read !== "app" || read === "app";
  const one = section.fields.flatMap((field): [string, string[]][] => {
    const target = sections.find(({ resource }) => resource === targetOf(field));
    return target && target !== section && seen(target) ? [[field.name, shown(target)]] : [];
  });
  const many = sections.flatMap((other): [string, string[]][] => {
    const refers = other.fields.filter((field) => targetOf(field) === section.resource);
    const indexes = tables.find(({ schema, name }) => schema === other.schema && name === other.table)?.indexes ?? [];
    const indexed = indexes.some(
      ({ valid, predicate, columns }) => valid && predicate === null && columns[0] === refers[0]?.column,
    );
    const free = section.fields.every(({ name }) => name !== other.resource);
    return refers.length === 1 && other !== section && other.id.kind !== "owner" && indexed && free && seen(other)
      ? [[other.resource, shown(other)]]
      : [];
  });
  const all = [...one, ...many];
  return all.length > 0 ? Object.fromEntries(all) : undefined;
}

function decideAll(tables: Table[], options: Options, targets: Targets): Decision[] {
  const taken = new Map([...options.resources].map(([table, resource]) => [resource, table]));
  return tables.map((table) => {
    const called = `${table.schema}.${table.name}`;
    const resource = options.resources.get(called) ?? wireName(table.name);
    const decision = decideTable(table, resource, called, options, targets);
    if (!decision.section || !resource) return decision;
    const other = taken.get(resource);
    if (other !== undefined && other !== called) {
      const { section: _, ...rest } = decision;
      return {
        ...rest,
        out: `its name ${resource} is the name of ${other} already; declare it by hand under another name`,
      };
    }
    taken.set(resource, called);
    return decision;
  });
}

/** Made by `npm run new-resource`, or a view of the core. */
const isOwn = ({ triggers, name }: Table) =>
  name.startsWith("airlock_") || triggers.some(({ called }) => called === "airlock.touch_insert");

/** The warning about a table that is left out, of which a grant shows all rows. */
function unsecured(table: Table): string[] {
  const { kind, secured, invoker, granted, columns } = table;
  if (granted.length === 0 && columns.every((column) => column.granted.length === 0 && !column.open)) return [];
  const all = "every signed-in user reaches all rows";
  if (kind === "r" || kind === "p") return secured ? [] : [`row level security is off: ${all}. SQL: ${secure(table)}`];
  if (kind === "v")
    return invoker
      ? []
      : [
          `row level security is off: it reads with its owner's rights. SQL: alter view ${named(table)} set (security_invoker = true);`,
        ];
  return [
    `row level security is off, and it can have none: ${all}. SQL: revoke all on ${named(table)} from anon, authenticated;`,
  ];
}

function decideTable(
  table: Table,
  resource: string | undefined,
  called: string,
  options: Options,
  targets: Targets,
): Decision {
  const out = (reason: string): Decision => ({
    table: called,
    stops: [],
    out: reason,
    left: [],
    warnings: unsecured(table),
  });
  const kinds: Record<string, string> = {
    v: "a view",
    m: "a materialized view",
    f: "a foreign table",
    p: "a partitioned table",
  };
  const kind = table.partition ? "a partition" : kinds[table.kind];
  if (kind) return out(`it is ${kind}: a write through it cannot claim its request`);
  if (TOOLS.test(table.name)) return out("it is a migration tool's own table");
  if (resource === undefined || isKeptResource(resource))
    return out(
      resource === undefined
        ? whyNot(table.name)
        : `the name ${resource} is Airlock's own; declare it by hand under another name`,
    );
  const [key] = table.constraints.filter(({ kind }) => kind === "p");
  if (!key) return out("it has no primary key");
  if (key.columns.length > 1)
    return out(`its primary key has ${key.columns.length} columns (${key.columns.join(", ")})`);
  const id = table.columns.find(({ name }) => name === key.columns[0]);
  if (!id) return out("it has no primary key");
  const idKind = id.type.name === "uuid" ? "uuid" : /^int[248]$/.test(id.type.name) ? "bigint" : undefined;
  if (!idKind) return out(`its id ${id.name} is ${id.typeName}; ids are uuid or bigint`);

  if (!table.secured)
    return {
      table: called,
      stops: [{ what: "row level security is off: every signed-in user reaches all rows", mend: secure(table) }],
      left: [],
      warnings: [],
    };
  const read = options.read.get(called);
  const owner = read ? authorOf(table, id) : ownerOf(table);
  const ownId = owner.column === id.name && owner.scope === "owner";
  const made = read === undefined && isMadeForUser(table, id);
  const { stops, warnings } = stopsOf(table, ownId || made, read);
  if (table.looks.unfit[id.name])
    stops.push({
      what: `ids past 2^53-1 are in use (${id.name}): JavaScript cannot hold them`,
      mend: `-- renumber ${called}.${id.name}, or keep the table for callers that read 64 bits`,
    });
  if (stops.length > 0) return { table: called, stops, left: [], warnings };
  if (read === "app" && !id.open)
    return out(`anon may not read ${id.name}. SQL: grant select on table ${named(table)} to anon;`);
  if (read === "app" && !isShown(table))
    return out(
      `no policy lets anon read it, as read = "app" needs. SQL: create policy ${identifier(`${table.name}_read`)} on ${named(table)} for select to anon, authenticated using (true);`,
    );
  for (const open of table.looks.open) warnings.push(`not looked at: ${open}`);
  return section(
    table,
    resource,
    called,
    {
      id,
      kind: ownId || made ? "owner" : idKind,
      owner: made ? { column: id.name, set: "worker", scope: "owner" } : owner,
    },
    warnings,
    options,
    targets,
  );
}

/** The authors of the rows in a table that others read. */
function authorOf(table: Table, id: Column): Owner {
  const owner = ownerOf(table);
  return owner.column === id.name
    ? { column: undefined, set: "none", scope: "visible" }
    : { ...owner, scope: "visible" };
}

/** A row for each user, with the user's id, such as a profile. */
function isMadeForUser(table: Table, id: Column): boolean {
  const key = table.constraints.some(
    ({ kind, columns, references }) =>
      kind === "f" && columns.length === 1 && columns[0] === id.name && references?.table === "auth.users",
  );
  const written = [
    ...policiesFor(table, "INSERT").map(({ check, using }) => check ?? using),
    ...policiesFor(table, "UPDATE").map(({ using }) => using),
  ];
  return (
    key &&
    id.type.name === "uuid" &&
    written
      .flatMap((clause) => clause?.branches ?? [])
      .every(({ kind, owners }) => kind === "never" || owners.includes(id.name))
  );
}

interface Identity {
  id: Column;
  kind: Section["id"]["kind"];
  owner: Owner;
}

function section(
  table: Table,
  resource: string,
  called: string,
  { id, kind, owner }: Identity,
  warnings: string[],
  options: Options,
  targets: Targets,
): Decision {
  const capabilities = capabilitiesOf(table, options.read.get(called), warnings);
  const added = wanted(table, capabilities, options.with, warnings);
  if (added.includes("version")) [capabilities.version, capabilities.timestampVersion] = ["version", false];
  if (added.includes("deleted")) capabilities.deleted = "deleted_at";
  // A user who sees rows of others sees whose they are.
  const own = [
    id.name,
    owner.scope === "owner" ? owner.column : undefined,
    capabilities.version,
    capabilities.created,
    capabilities.updated,
    capabilities.deleted,
  ];
  const { fields, left, required } = fieldsOf(table, called, own, owner, warnings, options, targets);
  const offered = offer(
    table,
    { id, kind, owner, deleted: capabilities.deleted, softly: added.includes("deleted") },
    fields,
    required,
    left,
    warnings,
  );
  if (offered.length === 0) {
    const role = table.granted.includes("SELECT") || table.columns.some(({ granted }) => granted.includes("SELECT"));
    const reason = role
      ? "no policy lets authenticated read it"
      : `authenticated has no right to read it. SQL: grant select, insert, update, delete on table ${named(table)} to authenticated;`;
    return { table: called, stops: [], out: reason, left: [], warnings };
  }
  if (fields.length === 0)
    return { table: called, stops: [], out: "none of its columns can be a field", left, warnings };
  const read = options.read.get(called);
  if (owner.scope === "visible" && !read)
    warnings.push(
      'scope = "visible": only Row Level Security decides which rows a caller reaches; the Worker adds no condition',
    );
  const all = everyRoute(kind, capabilities.deleted, read);
  const routes = read ? offered.filter((route) => all.includes(route)) : offered;
  return {
    table: called,
    stops: [],
    left,
    warnings,
    section: {
      resource,
      schema: table.schema,
      table: table.name,
      id: { kind, column: id.name },
      owner,
      read,
      ...capabilities,
      offered,
      routes: routes.join() === all.join() ? null : routes,
      unique: uniqueOf(table, fields),
      filters: offered.includes("list") ? filtersOf(table, owner, fields) : {},
      fields,
      added,
    },
  };
}

/** The columns that `--with` adds: missing ones, whose capability no other column has. */
function wanted(
  { columns }: Table,
  capabilities: Capabilities,
  names: Options["with"],
  warnings: string[],
): Section["added"] {
  return names.filter((name) => {
    const column = name === "version" ? "version" : "deleted_at";
    if (capabilities[name] !== null) return false;
    const there = columns.some((one) => one.name === column);
    if (there) warnings.push(`--with ${name}: there is a column ${column} already, which does not serve as one`);
    return !there;
  });
}

type Capabilities = Pick<Section, "version" | "timestampVersion" | "created" | "updated" | "deleted">;

/** A column by which a SELECT policy hides deleted rows. A request that writes it fails with 42501. */
function hiding(table: Table): string | undefined {
  const columns = table.columns.filter(
    ({ name, type }) => wireName(name) === "deleted_at" && /^timestamp(tz)?$/.test(type.name),
  );
  return columns.find(({ name }) =>
    policiesFor(table, "SELECT").some(({ using }) => new RegExp(`\\b${escaped(name)}\\b`).test(using?.text ?? "")),
  )?.name;
}

const NOW =
  /^(timezone\('utc'::text, )?\(?(now\(\)|CURRENT_TIMESTAMP|clock_timestamp\(\)|statement_timestamp\(\)|transaction_timestamp\(\))\)*$/i;

function capabilitiesOf(table: Table, read: Readers | undefined, warnings: string[]): Capabilities {
  const moment = ({ type, notNull }: Column) => /^timestamp(tz)?$/.test(type.name) && notNull;
  const kept = (column: Column) => touchOf(table, column.name);
  const find = (names: RegExp, fits: (column: Column) => boolean) => {
    const found = table.columns.filter(
      (column) =>
        names.test(wireName(column.name) ?? column.name) &&
        column.granted.includes("SELECT") &&
        (read !== "app" || column.open) &&
        fits(column),
    );
    return (found.find(({ name }) => name.includes("_at")) ?? found[0])?.name ?? null;
  };
  const counted = find(
    /^(lock_|row_)?(version|revision)$/,
    (column) => /^int[248]$/.test(column.type.name) && column.notNull && kept(column) === "counted",
  );
  const rising = counted ?? find(/updat|modif|chang|version/, (column) => moment(column) && kept(column) === "clock");
  const hidden = hiding(table);
  if (hidden)
    warnings.push(
      `deleted = false: a SELECT policy filters by ${hidden}, so that a soft delete would fail with 42501; DELETE is a real DELETE`,
    );
  return {
    version: rising,
    timestampVersion: counted === null && rising !== null,
    created: find(
      /^(created|inserted|added|posted|sent|date_created|created_date)(_at|_on)?$/,
      (column) => moment(column) && NOW.test(column.default ?? ""),
    ),
    updated: find(
      /^(date_)?(updated|modified|last_modified|last_updated|changed)(_at|_on)?$/,
      (column) => moment(column) && NOW.test(column.default ?? "") && ["now", "clock"].includes(kept(column) ?? ""),
    ),
    deleted: find(
      /^deleted_at$/,
      ({ name, type, notNull, granted }) =>
        name !== hidden && /^timestamp(tz)?$/.test(type.name) && !notNull && granted.includes("UPDATE"),
    ),
  };
}

/** A trigger's change of a column at every update. */
function touchOf({ triggers }: Table, column: string): "counted" | "clock" | "now" | undefined {
  for (const {
    before,
    forEachRow,
    on,
    always,
    called,
    source,
    arguments: [first],
  } of triggers) {
    if (!before || !forEachRow || !always || !on.includes("UPDATE")) continue;
    if (/\.moddatetime$/.test(called) && first === column) return "now";
    const text = withoutComments(source);
    // A value that only one branch sets does not count.
    if (/\b(if|case|loop)\b/i.test(text.replace(/\bend\s+(if|case|loop)\b/gi, ""))) continue;
    const value = assignment(column).exec(text)?.[1]?.trim() ?? "";
    if (/^\(?(coalesce\s*\()?\s*old\s*\.\s*"?\w+"?[^+]*\+\s*1\)?$/i.test(value)) return "counted";
    if (/^clock_timestamp\(\)$/i.test(value)) return "clock";
    if (
      /^(timezone\('utc'(::text)?,\s*)?(now\(\)|current_timestamp|transaction_timestamp\(\))\)?(\s+at\s+time\s+zone\s+'utc')?$/i.test(
        value,
      )
    )
      return "now";
  }
  return undefined;
}

/** Whether a trigger gives a column its value in a new row. */
const isSetAtInsert = ({ triggers }: Table, column: string) =>
  triggers.some(
    ({ before, forEachRow, on, source }) =>
      before && forEachRow && on.includes("INSERT") && assignment(column).test(source),
  );

const assignment = (column: string) => new RegExp(`\\bnew\\s*\\.\\s*"?${escaped(column)}"?\\s*:?=\\s*([^;]+);`, "i");

interface Fields {
  fields: Field[];
  left: Decision["left"];
  /** Columns that a new row needs and that no request can give. */
  required: string[];
}

function fieldsOf(
  table: Table,
  called: string,
  own: (string | null | undefined)[],
  owner: Owner,
  warnings: string[],
  options: Options,
  targets: Targets,
): Fields {
  const [fields, left, required]: [Field[], Decision["left"], string[]] = [[], [], []];
  const verbs = (["INSERT", "UPDATE"] as const).filter((verb) =>
    table.columns.some(({ granted }) => granted.includes(verb)),
  );
  const taken = new Set(["id"]);
  const checks = new Set<string>();
  const needed = ({ name, notNull, identity, generated, ...column }: Column) =>
    name !== owner.column && notNull && column.default === null && identity === "" && generated === "";
  // A version that a trigger counts, and that nothing begins.
  for (const column of table.columns.filter(({ name }) => own.slice(1).includes(name)))
    if (needed(column) && !isSetAtInsert(table, column.name)) required.push(column.name);
  for (const column of table.columns.filter(({ name }) => !own.includes(name))) {
    const leave = (reason: string) => {
      left.push({ column: column.name, reason });
      if (needed(column)) required.push(column.name);
    };
    const wire = options.named.get(called)?.get(column.name) ?? wireName(column.name);
    const refused = options.refused.get(called)?.get(column.name);
    const read = readColumn(column, table.constraints);
    if (!column.granted.includes("SELECT")) leave("authenticated may not read it");
    else if (options.read.get(called) === "app" && !column.open) leave("anon may not read it");
    else if (column.name === hiding(table)) leave("a SELECT policy filters by it");
    else if (refused !== undefined) leave(refused);
    else if ("reason" in read) leave(read.reason);
    else if (table.looks.unfit[column.name]) leave(`it holds ${table.looks.unfit[column.name]}`);
    else if (wire === undefined) leave(whyNot(column.name));
    else if (taken.has(wire))
      leave(`its name ${wire} is another field's already; declare it by hand under another name`);
    else {
      taken.add(wire);
      const lacking = verbs.filter((verb) => !column.granted.includes(verb));
      const isOwner = column.name === owner.column;
      const readOnly =
        isOwner ||
        column.generated !== "" ||
        column.identity !== "" ||
        lacking.length > 0 ||
        table.counted.includes(column.name) ||
        isCallers(column);
      if (readOnly && !isOwner && column.generated === "" && read.preset.is === "none" && !read.nullable)
        required.push(column.name);
      const target = referred(table, column, targets);
      const kind =
        target !== undefined
          ? { ...read, kind: { text: `ref(${target})` }, preset: constantAsDatabase(read.preset) }
          : read;
      fields.push({
        name: wire,
        column: column.name,
        text: readOnly ? textReadOnly(kind) : textOf(kind),
        ...(read.kind.comment && { comment: read.kind.comment }),
        unlimited: read.kind.unlimited === true,
        readOnly,
      });
      for (const check of read.own) checks.add(check);
    }
  }
  if (checks.size > 0)
    warnings.push(`the database alone checks ${[...checks].join(", ")}: what it refuses is answered with 422 \`rule\``);
  return { fields, left, required };
}

/** The resource that a column refers to. */
function referred({ constraints }: Table, { name }: Column, targets: Targets): string | undefined {
  const keys = constraints.filter(({ kind, columns }) => kind === "f" && columns.length === 1 && columns[0] === name);
  const found = keys.flatMap(({ references }) => {
    const target = references && targets.get(references.table);
    return target && references.columns[0] === target.id ? [target.resource] : [];
  });
  return found[0];
}

const constantAsDatabase = (preset: Readable["preset"]): Readable["preset"] =>
  preset.is === "none" ? preset : { is: "database" };

type Readable = Extract<Read, { kind: unknown }>;

function textOf({ kind, nullable, preset }: Readable): string {
  const value = preset.is === "none" ? "" : ` = ${preset.is === "value" ? preset.text : "default"}`;
  return `${kind.text}${nullable ? "?" : ""}${value}`;
}

/** No default: a request never gives the value. */
const textReadOnly = ({ kind, nullable }: Readable) => `${kind.text}${nullable ? "?" : ""}`;

interface Offer {
  id: Column;
  kind: Section["id"]["kind"];
  owner: Owner;
  deleted: string | null;
  /** `deleted_at` is yet to be made. */
  softly: boolean;
}

/** The routes of a section that names none. */
export const everyRoute = (kind: Section["id"]["kind"], deleted: string | null, read: Readers | undefined): string[] =>
  read
    ? ["list", "read"]
    : kind === "owner"
      ? ["read", "put", "patch"]
      : ["list", "read", "create", "put", "patch", "delete", ...(deleted ? ["restore"] : [])];

/** The routes that grants and policies allow. */
function offer(
  table: Table,
  { id, kind, owner, deleted, softly }: Offer,
  fields: Field[],
  required: string[],
  left: Decision["left"],
  warnings: string[],
): string[] {
  const grants = (column: Column | undefined, verb: "SELECT" | "INSERT" | "UPDATE") =>
    column?.granted.includes(verb) === true;
  const ownerColumn = table.columns.find(({ name }) => name === owner.column);
  const reads =
    grants(id, "SELECT") && permits(table, "SELECT") && (owner.scope === "visible" || grants(ownerColumn, "SELECT"));
  if (!reads) return [];
  const inserts = table.columns.some((column) => grants(column, "INSERT")) && permits(table, "INSERT");
  const namesItself = owner.set === "none" ? true : owner.set === "default" || grants(ownerColumn, "INSERT");
  // The Worker's functions give each row its uuid; a bigint is the database's to make.
  const named = grants(id, "INSERT") && id.generated === "";
  const made = kind === "bigint" ? id.numbered && (id.identity !== "" || id.default !== null) : named;
  const creates = inserts && namesItself && made && required.length === 0;
  if (inserts && required.length > 0) {
    const why = (column: string) => `${column} (${left.find((one) => one.column === column)?.reason ?? "read-only"})`;
    warnings.push(`no new rows through the Worker: a row needs ${required.map(why).join(", ")}`);
  } else if (inserts && !made) {
    const why =
      !named && kind !== "bigint" ? `authenticated may not insert ${id.name}` : `nothing gives ${id.name} a value`;
    warnings.push(`no new rows through the Worker: ${why}`);
  } else if (inserts && !namesItself)
    warnings.push(
      `no new rows through the Worker: authenticated may not insert ${owner.column}, which names the owner`,
    );
  const patches =
    permits(table, "UPDATE") &&
    fields.some(
      ({ column, readOnly }) =>
        !readOnly &&
        grants(
          table.columns.find(({ name }) => name === column),
          "UPDATE",
        ),
    );
  const soft =
    deleted !== null &&
    permits(table, "UPDATE") &&
    (softly ||
      grants(
        table.columns.find(({ name }) => name === deleted),
        "UPDATE",
      ));
  const hard = deleted === null && table.granted.includes("DELETE") && permits(table, "DELETE");
  const routes: Record<string, boolean> = {
    list: kind !== "owner",
    read: true,
    create: kind !== "owner" && creates,
    // With a bigint id a PUT only replaces rows.
    put: patches && (kind === "bigint" || creates),
    patch: patches,
    delete: hard || soft,
    restore: kind !== "owner" && soft,
  };
  return Object.keys(routes).filter((route) => routes[route]);
}

/** The fields of which an error says that their value is taken. */
function uniqueOf({ constraints, indexes }: Table, fields: Field[]): Section["unique"] {
  const keys = constraints.filter(({ kind }) => kind === "p").map(({ name }) => name);
  const all = [
    ...constraints
      .filter(({ kind }) => kind === "u" || kind === "x")
      .map(({ name, columns }) => ({ name, columns, index: indexes.find((index) => index.name === name) })),
    ...indexes
      .filter(
        ({ unique, name }) =>
          unique && !keys.includes(name) && !constraints.some((constraint) => constraint.name === name),
      )
      .map((index) => ({ name: index.name, columns: index.columns, index })),
  ];
  const found = all.flatMap(({ name, columns, index }): [string, string[]][] => {
    // An expression names its columns in the catalogue of dependencies alone, beside those of the predicate.
    const whole = columns.length > 0 && columns.every((column) => column !== null);
    const used = whole ? columns : (index?.uses ?? []);
    const own = fields.filter(({ column }) => used.includes(column));
    const changed = own.filter(({ readOnly }) => !readOnly);
    // Name the fields that a person can change: a ref to the parent is seldom the cause.
    const named = changed.filter(({ text }) => !text.startsWith("ref("));
    const last = changed.at(-1) ?? own.at(-1);
    return last ? [[name, (named.length > 0 ? named : [last]).map((field) => field.name)]] : [];
  });
  return Object.fromEntries(found);
}

/** Kinds whose values have an order that a list can be cut by. */
const ORDERED = /^(integer|number|decimal|date|time|timestamp)\b/;

/** Filters of fields with which an index of the whole table begins, after the owner's column or alone. */
function filtersOf({ indexes }: Table, owner: Owner, fields: Field[]): Section["filters"] {
  const served = ({ column }: Field) =>
    indexes.some(
      ({ valid, method, predicate, columns: [first, second] }) =>
        valid &&
        method === "btree" &&
        predicate === null &&
        (first === column || (owner.scope === "owner" && first === owner.column && second === column)),
    );
  const filterable = fields.filter(
    (field) =>
      /^(text|integer|number|decimal|boolean|uuid|date|time|timestamp|one_of|ref)\b/.test(field.text) && served(field),
  );
  return Object.fromEntries(
    filterable.map(({ name, text }) => [
      name,
      ["eq", ...(ORDERED.test(text) ? ["gte", "lt"] : ["in"]), ...(/\?( =|$)/.test(text) ? ["is"] : [])],
    ]),
  );
}
