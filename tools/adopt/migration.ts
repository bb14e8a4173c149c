// The migrations of adopted tables: an index for the order of pages, wanted columns, and the call that registers the table for
// the functions of the Worker. All statements can be repeated, and none changes an answer to the old app.

import { identifier } from "../evidence/finding.ts";
import { fit, literal } from "../resource/sql.ts";
import { named } from "./access.ts";
import type { Table } from "./catalogue.ts";
import type { Section } from "./decide.ts";
import { declaredFields, type Raw, tableOf } from "./toml.ts";

/** A table of this size takes seconds to index, in which writes wait. */
const SMALL_BYTES = 16 * 1024 * 1024;

export interface Statements {
  resource: string;
  /** Each can be repeated. */
  statements: string[];
  /** An index to be made outside of a transaction. */
  concurrent?: string;
  /** Registers the resource. */
  serve: string;
}

/** The parts that a table lacks. `section` is the declared one, as airlock.toml has it or will have it. */
export function statementsOf(
  table: Table,
  resource: string,
  section: Raw,
  added: Section["added"],
  sections: [name: string, section: Raw][],
): Statements {
  const served = readServed(resource, section, table);
  // The columns that have one value in a list come first.
  const fixed = [
    ...(served.parent ? [served.parent] : []),
    ...(served.owner && served.scope === "owner" ? [served.owner] : []),
  ];
  const columns = [
    ...(served.id.kind === "owner" ? [] : fixed),
    ...(served.created ? [served.created] : []),
    served.id.column,
  ];
  const live = served.deleted;
  const index =
    served.id.kind === "owner" || !served.lists || hasIndex(table, columns, fixed.length, live)
      ? undefined
      : pageIndex(table, resource, columns, fixed, live);
  const small = table.bytes <= SMALL_BYTES;
  return {
    resource,
    statements: [
      ...added.flatMap((one) => COLUMNS[one](table)),
      ...(index && small ? [`${index.replace("{if}", "if not exists")};`] : []),
      ...references(table, section, new Map(sections.map(([name, raw]) => [name, tableOf(name, raw)]))),
    ],
    ...(index &&
      !small && { concurrent: `${index.replace("create index {if}", "create index concurrently if not exists")};` }),
    serve: served.call,
  };
}

interface Served {
  id: { kind: string; column: string };
  owner: string | null;
  /** The column with the id of the parent, of rows that are served below one. */
  parent: string | undefined;
  scope: string;
  created: string | null;
  deleted: string | null;
  lists: boolean;
  call: string;
}

/** The values of a section, with defaults for the usual names. */
function readServed(resource: string, section: Raw, table: Table): Served {
  const id = typeof section.id === "object" ? (section.id as Raw) : { kind: section.id ?? "uuid" };
  const owner = typeof section.owner === "object" ? (section.owner as Raw) : { column: "user_id", set: "default" };
  const idColumn = String(id.column ?? "id");
  const ownId = id.kind === "owner";
  const column = (name: string, usual: string) => {
    const value = section[name] ?? usual;
    return value === false ? null : typeof value === "object" ? String((value as Raw).column) : String(value);
  };
  const fields = Object.entries((section.fields ?? {}) as Raw).map(([name, field]) => {
    const { column = name, read_only = false } = (typeof field === "object" ? field : {}) as {
      column?: string;
      read_only?: boolean;
    };
    return { name, column, readOnly: read_only };
  });
  const readers = section.read as string | undefined;
  const under = section.under as string | undefined;
  const scope = String(section.scope ?? (readers || under ? "visible" : "owner"));
  const ownerColumn = ownId ? idColumn : owner.column === undefined ? null : String(owner.column);
  const [version, created, updated, deleted] = [
    column("version", "version"),
    column("created", "created_at"),
    column("updated", "updated_at"),
    column("deleted", "deleted_at"),
  ];
  const value = (text: string | null) => (text === null ? "null" : literal(text));
  const array = (texts: string[]) => (texts.length > 0 ? `array[${texts.map(literal).join(", ")}]` : "array[]::text[]");
  const routes = section.routes as string[] | undefined;
  return {
    id: { kind: String(id.kind), column: idColumn },
    owner: ownerColumn,
    parent: under?.slice(under.indexOf(".") + 1),
    scope,
    created,
    deleted,
    lists: routes?.includes("list") ?? true,
    call: `\
select airlock.serve(
  ${literal(resource)}, ${literal(named(table))}, 'user',
  ${array(fields.map(({ name }) => name))},
  columns => ${array(fields.map(({ column }) => column))},
  read_only => ${array(fields.filter(({ readOnly }) => readOnly).map(({ name }) => name))},
  id => ${literal(idColumn)}, owner_column => ${value(ownerColumn)}, set_owner => ${ownId || owner.set === "worker"}, scope => ${literal(scope)},${readers ? ` readers => ${literal(readers)},` : ""}${under ? ` under => ${literal(under)},` : ""}
  version => ${value(version)}, created => ${value(created)}, updated => ${value(updated)}, deleted => ${value(deleted)}
);`,
  };
}

/**
 * Whether an index of the table has these columns in the order of pages; the first `fixed` ones have one value in a
 * list.
 */
function hasIndex({ indexes, constraints }: Table, columns: string[], fixed: number, live: string | null): boolean {
  return indexes.some(({ valid, method, predicate, columns: own, descending, unique, name }) => {
    if (
      !valid ||
      method !== "btree" ||
      (predicate !== null && (live === null || predicate !== `(${identifier(live)} IS NULL)`))
    )
      return false;
    if (!columns.every((column, at) => own[at] === column)) {
      // The primary key alone.
      return (
        columns.length === 1 &&
        unique &&
        constraints.some(
          (constraint) => constraint.kind === "p" && constraint.name === name && constraint.columns[0] === columns[0],
        )
      );
    }
    const ordered = descending.slice(fixed, columns.length);
    return ordered.every((one) => one === ordered[0]);
  });
}

function pageIndex(table: Table, resource: string, columns: string[], fixed: string[], live: string | null): string {
  const ordered = columns.map((column) => (fixed.includes(column) ? identifier(column) : `${identifier(column)} desc`));
  return `create index {if} ${resource}_airlock_page_idx on ${named(table)} (${ordered.join(", ")})${live ? ` where ${identifier(live)} is null` : ""}`;
}

/** Calls of the Worker's functions, also those without a claim: of apps whose mode is report or off. */
const OF_WORKER = "current_setting('request.path', true) like '/rpc/airlock\\_%'";

/**
 * A foreign key alone would tell a caller which ids of others exist. Requests that do not come from the Worker pass.
 */
function references(table: Table, section: Raw, tables: Map<string, string>): string[] {
  return [...declaredFields(section)].flatMap(([field, { column, text }]) => {
    const target = tables.get(/^ref\((\w+)\)/.exec(text)?.[1] ?? "");
    if (target === undefined) return [];
    const at = target.indexOf(".");
    const to = named({ schema: target.slice(0, at), name: target.slice(at + 1) });
    const call = `execute function airlock.check_reference(${literal(field)}, ${literal(to)}, 'false'${column === field ? "" : `, ${literal(column)}`})`;
    const trigger = (event: "insert" | "update", when: string, also: string) =>
      `create or replace trigger ${fit(`airlock_reference_${field}`, `_${event}`)} before ${event}${when} on ${named(table)}\n  for each row when (new.${identifier(column)} is not null${also} and ${OF_WORKER})\n  ${call};`;
    return [
      trigger("insert", "", ""),
      trigger(
        "update",
        ` of ${identifier(column)}`,
        ` and new.${identifier(column)} is distinct from old.${identifier(column)}`,
      ),
    ];
  });
}

/** Columns and triggers of `--with`. A table whose columns are granted one by one gets the new ones in the same way. */
const COLUMNS: Record<Section["added"][number], (table: Table) => string[]> = {
  version: (table) => [
    `alter table ${named(table)} add column if not exists version integer not null default 1;`,
    ...granted(table, "SELECT", "version"),
    `create or replace function airlock.count_version() returns trigger\nlanguage plpgsql set search_path = '' as $$\nbegin\n  new.version := old.version + 1;\n  return new;\nend\n$$;`,
    `create or replace trigger airlock_count_version before update on ${named(table)}\n  for each row execute function airlock.count_version();`,
  ],
  deleted: (table) => [
    `alter table ${named(table)} add column if not exists deleted_at timestamptz;`,
    ...granted(table, "SELECT", "deleted_at"),
    ...granted(table, "UPDATE", "deleted_at"),
  ],
};

const granted = (table: Table, verb: "SELECT" | "UPDATE", column: string) =>
  table.granted.includes(verb)
    ? []
    : [`grant ${verb.toLowerCase()} (${column}) on table ${named(table)} to authenticated;`];

/** The text of a migration. */
export function migrationText(all: Statements[]): string {
  const parts = all.map(({ resource, statements, serve }) => [`-- ${resource}`, ...statements, serve].join("\n"));
  return `-- Tables that exist already, for the functions that the Worker calls. It adds, and can be repeated.\n\n${parts.join("\n\n")}\n`;
}

/** The text of a file for an index that is made while the table is in use. */
export function indexText({ resource, concurrent }: Statements): string {
  return `\
-- The order of pages of ${resource}. The table is large, so the index is made while others write. That takes no transaction:
--     psql "$DATABASE_URL" -f supabase/indexes/${resource}.sql
-- If it is interrupted, drop the index that is left and run the file again.
${concurrent}
`;
}

/** The parts that the files do not have yet. `files` are the migrations in order. */
export function missing(all: Statements[], files: string[]): Statements[] {
  return all.flatMap((one) => {
    const statements = one.statements.filter((statement) => !files.some((file) => file.includes(statement)));
    const begin = `select airlock.serve(\n  ${literal(one.resource)},`;
    const last = files.findLast((file) => file.includes(begin)) ?? "";
    const registered = last.slice(last.lastIndexOf(begin)).startsWith(one.serve);
    return statements.length === 0 && registered ? [] : [{ ...one, statements }];
  });
}
