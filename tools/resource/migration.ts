// The migration of a resource: one table, with all that keeps it safe from callers who reach PostgREST without the Worker.

import type { Field, Resource } from "../declaration.ts";
import { constraintName, fieldIndexName, identifier, indexName, literal, number } from "./sql.ts";

type Owner = Resource["owner"];

/** SQL that makes the table of a checked resource; `others` are those that it may refer to. */
export function migration(resource: Resource, others: Resource[] = []): string {
  return join(
    [header(resource), table(resource, others), indexes(resource), statistics(resource)].join("\n\n"),
    `-- Triggers\n\n${triggers(resource, others).join("\n\n")}`,
    `-- Row Level Security\n\n${policies(resource)}`,
    `-- Grants\n\n${grants(resource)}`,
    `-- For the functions that the Worker calls.\n${serve(resource)}`,
    `-- In edge-only mode the rows are for requests through the Worker.\nselect airlock.close_table('public.${resource.name}');`,
  );
}

/** SQL that adds one field to the table of a checked resource. The resource is given with the field. */
export function fieldMigration(resource: Resource, field: Field, others: Resource[] = []): string {
  const { name, publish } = resource;
  const column = identifier(field.name);
  const added = [
    `column ${columnDefinition(field, others)}`,
    ...checks(name, field),
    ...foreignKey(name, field, others),
  ];
  return join(
    `-- ${name}: the field ${field.name}. Rows that exist have ${field.nullable ? "null" : "its default"}.\n\n` +
      `alter table public.${name}\n${added.map((part) => `  add ${part}`).join(",\n")};`,
    ...fieldIndex(name, field),
    statistics({ ...resource, fields: [field], search: [] }),
    ...referenceTriggers(resource, field, others),
    `grant select (${column}), insert (${column}), update (${column}) on table public.${name} to authenticated;` +
      (publish?.includes(field.name) ? `\ngrant select (${column}) on table public.${name} to anon;` : ""),
    `-- For the functions that the Worker calls.\n${serve(resource)}`,
  );
}

const join = (...sections: string[]) => `${sections.join("\n\n\n")}\n`;

const OWNERS: Record<Owner, string> = {
  user: "rows of users",
  org: "rows of organisations",
  both: "rows of users or of organisations",
};

function header({ name, owner }: Resource): string {
  return `\
-- ${name}: ${OWNERS[owner]}. The limits are those of airlock.toml.
--
-- Row Level Security decides which rows exist for a caller. Grants, CHECKs and triggers decide what may be written,
-- because a caller can talk to PostgREST without the Worker.`;
}

// Table

const OWNER_COLUMNS: Record<Owner, string> = {
  user: "  user_id uuid not null default auth.uid() references auth.users (id) on delete cascade,",
  org: `\
  -- The author. Null: the account is deleted; the row stays with the organisation.
  user_id uuid default auth.uid() references auth.users (id) on delete set null,
  org_id uuid not null references airlock.organizations (id) on delete cascade,`,
  both: `\
  -- The author. Null: the account is deleted; a row of an organisation stays.
  user_id uuid default auth.uid() references auth.users (id) on delete set null,
  -- Null: the author's own row.
  org_id uuid references airlock.organizations (id) on delete cascade,`,
};

/** All fields, and the column of the parent as a ref to it that no body has. */
function fieldsOf({ fields, under }: Resource): Field[] {
  if (!under) return fields;
  const { resource, column } = under;
  const parent: Field = {
    name: column,
    column,
    kind: "ref",
    resource,
    nullable: false,
    database_default: false,
    read_only: true,
  };
  return [parent, ...fields.filter((field) => field.column !== column)];
}

function table(resource: Resource, others: Resource[]): string {
  const { name, owner, search, publish } = resource;
  const fields = fieldsOf(resource);
  const columns = [
    ...fields.map((field) => columnDefinition(field, others)),
    "version integer not null default 1",
    "created_at timestamptz not null default now()",
    "updated_at timestamptz not null default now()",
    "deleted_at timestamptz",
    ...(publish ? ["published_at timestamptz"] : []),
    ...(search.length > 0 ? [searchColumn(resource)] : []),
  ];
  const constraints = [
    ...fields.flatMap((field) => [...checks(name, field), ...foreignKey(name, field, others)]),
    `constraint ${constraintName(name, "version", "positive")} check (version >= 1)`,
    `constraint ${constraintName(name, "updated_at", "order")} check (updated_at >= created_at)`,
  ];
  return `\
create table public.${name} (
  id uuid not null default gen_random_uuid() primary key,
${OWNER_COLUMNS[owner]}
${columns.map((column) => `  ${column},`).join("\n")}

${constraints.map((constraint) => `  ${constraint}`).join(",\n")}
);`;
}

const TYPES: Record<Exclude<Field["kind"], "decimal" | "ref">, string> = {
  text: "text",
  verbatim: "text",
  integer: "bigint",
  number: "double precision",
  boolean: "boolean",
  uuid: "uuid",
  date: "date",
  time: "time",
  timestamp: "timestamptz",
  one_of: "text",
  texts: "text[]",
  integers: "bigint[]",
  uuids: "uuid[]",
  // jsonb would rewrite numbers: {"a":1e100000} becomes 100,008 bytes.
  json: "json",
};

/** The table that a ref refers to, and the type of its ids. */
function targetOf(resource: string, others: Resource[]): { table: string; id: string; type: string; shared: boolean } {
  const target = others.find(({ name }) => name === resource);
  if (!target) return { table: `public.${resource}`, id: "id", type: "uuid", shared: false };
  const { table, id, scope, read } = target;
  return {
    table: `${identifier(table.schema)}.${identifier(table.name)}`,
    id: identifier(id.column),
    type: id.kind === "bigint" ? "bigint" : "uuid",
    shared: scope === "visible" || read !== null,
  };
}

function columnDefinition(field: Field, others: Resource[]): string {
  const required = field.nullable ? "" : " not null";
  const preset =
    field.default === undefined || field.default === null ? "" : ` default ${expression(field, field.default)}`;
  const type =
    field.kind === "decimal"
      ? `numeric(${field.precision}, ${field.scale})`
      : field.kind === "ref"
        ? targetOf(field.resource, others).type
        : TYPES[field.kind];
  return `${identifier(field.name)} ${type}${required}${preset}`;
}

/** A value of the declaration, as SQL for a column of the field's type. */
function expression({ kind }: Field, value: unknown): string {
  switch (kind) {
    case "integer":
    case "number":
      return number(value as number);
    case "boolean":
      return String(value);
    case "texts":
      return `array[${(value as string[]).map(literal).join(", ")}]::text[]`;
    case "integers":
      return `array[${(value as number[]).map(number).join(", ")}]::bigint[]`;
    case "uuids":
      return `array[${(value as string[]).map(literal).join(", ")}]::uuid[]`;
    case "json":
      return literal(JSON.stringify(value));
    default:
      return literal(value as string);
  }
}

/** All languages alike: words as they are, in any case, none left out. */
function searchColumn({ fields, search }: Resource): string {
  const texts = search.map((name) => {
    const column = identifier(name);
    return fields.some((field) => field.name === name && field.nullable) ? `coalesce(${column}, '')` : column;
  });
  return `airlock_search tsvector not null
    generated always as (to_tsvector('simple'::regconfig, normalize(${texts.join(" || ' ' || ")}))) stored`;
}

// Levels of a jsonpath begin with 0: a container at level 32 is 33 deep.
const TOO_DEEP = `strict $.**{32 to last} ? (@.type() == "object" || @.type() == "array")`;
// More than half a step above the largest double: readers would parse it as infinity.
const TOO_LARGE = `strict $.** ? (@.type() == "number" && (@ > 1.797693134862315807e308 || @ < -1.797693134862315807e308))`;

/** The limits of a field. None of them refuses null, which is for NOT NULL to do. */
function checks(table: string, field: Field): string[] {
  const column = identifier(field.name);
  const check = (what: string, condition: string) =>
    `constraint ${constraintName(table, field.name, what)} check (${condition})`;
  switch (field.kind) {
    case "text":
    case "verbatim": {
      const length = `char_length(${column})`;
      const range = field.min > 0 ? `${length} between ${field.min} and ${field.max}` : `${length} <= ${field.max}`;
      return [
        check("length", range),
        ...(field.kind === "text" ? [check("trimmed", `airlock.is_trimmed(${column})`)] : []),
      ];
    }
    // NaN is more than any number in Postgres, so a range refuses it as well as infinity.
    case "integer":
    case "number":
      return [check("range", `${column} between ${number(field.min)} and ${number(field.max)}`)];
    // The type has the other limits.
    case "decimal":
      return [check("number", `${column} <> 'NaN'`)];
    case "time":
      return [check("range", `${column} < '24:00:00'`)];
    case "date":
      return [check("range", `${column} between '0001-01-01' and '9999-12-31'`)];
    case "timestamp":
      return [check("range", `${column} >= '0001-01-01 00:00:00+00' and ${column} < '10000-01-01 00:00:00+00'`)];
    case "one_of":
      return [check("values", `${column} in (${field.values.map(literal).join(", ")})`)];
    case "texts":
      return [check("items", `airlock.are_texts(${column}, ${field.items}, ${field.length})`)];
    case "integers": {
      const { min, max, items } = field;
      return [
        check(
          "items",
          `airlock.are_items(${column}, ${items}) and ${number(min)} <= all (${column}) and ${number(max)} >= all (${column})`,
        ),
      ];
    }
    case "uuids":
      return [check("items", `airlock.are_items(${column}, ${field.items})`)];
    case "json":
      return [
        check("object", `json_typeof(${column}) = 'object'`),
        check("size", `octet_length(${column}::text) <= ${field.bytes}`),
        check("depth", `not jsonb_path_exists(${column}::jsonb, '${TOO_DEEP}')`),
        check("numbers", `not jsonb_path_exists(${column}::jsonb, '${TOO_LARGE}')`),
      ];
    case "boolean":
    case "uuid":
    case "ref":
      return [];
  }
}

/**
 * A required ref keeps its target from being purged. It is checked at the end of the transaction, so that an account can be
 * deleted with all its rows. Where others see the target, their rows go with it: they must not keep an account from being
 * deleted.
 */
function foreignKey(table: string, field: Field, others: Resource[]): string[] {
  if (field.kind !== "ref") return [];
  const target = targetOf(field.resource, others);
  const kept = target.shared ? "on delete cascade" : "deferrable initially deferred";
  const action = field.nullable ? "on delete set null" : kept;
  const name = constraintName(table, field.name, "fkey");
  return [
    `constraint ${name} foreign key (${identifier(field.name)}) references ${target.table} (${target.id}) ${action}`,
  ];
}

// Indexes and statistics

function indexes(resource: Resource): string {
  const { name, owner, under, publish } = resource;
  const create = (word: Parameters<typeof indexName>[1], rest: string) =>
    `create index ${indexName(name, word)} on public.${name} ${rest};`;
  const keys = [create("user", "(user_id)")];
  const pages: string[] = [];
  const states = {
    active: "deleted_at is null",
    deleted: "deleted_at is not null",
    ...(publish && { published: "deleted_at is null and published_at is not null" }),
  };
  if (owner !== "org") {
    const own = owner === "both" ? "org_id is null and " : "";
    for (const [state, condition] of entries(states))
      pages.push(
        create(
          state,
          `(${under ? `${identifier(under.column)}, ` : ""}user_id, created_at desc, id desc)\n  where ${own}${condition}`,
        ),
      );
  }
  if (owner !== "user") {
    keys.push(create("org", owner === "both" ? "(org_id) where org_id is not null" : "(org_id)"));
    const shared = owner === "both" ? "org_id is not null and " : "";
    for (const [state, condition] of entries(states))
      pages.push(create(`org${state}`, `(org_id, created_at desc, id desc)\n  where ${shared}${condition}`));
  }
  return `\
-- For the foreign keys.
${[...keys, ...fieldsOf(resource).flatMap((field) => fieldIndex(name, field))].join("\n")}

-- A page is one index range, however many rows are in other lists.
${pages.join("\n")}

-- For the purge, whose queries repeat the condition. Lists of deleted rows do not: for them the planner would choose this
-- index, and read the deleted rows of all users.
${create("due", "(deleted_at) where deleted_at > '-infinity'")}`;
}

const entries = <Key extends string>(object: Partial<Record<Key, string>>) => Object.entries(object) as [Key, string][];

function fieldIndex(table: string, field: Field): string[] {
  if (field.kind !== "ref") return [];
  const column = identifier(field.name);
  const some = field.nullable ? ` where ${column} is not null` : "";
  return [`create index ${fieldIndexName(table, field.name)} on public.${table} (${column})${some};`];
}

function statistics({ name, fields, search }: Resource): string {
  const columns = [...fields.map((field) => identifier(field.name)), ...(search.length > 0 ? ["airlock_search"] : [])];
  return `\
-- PostgREST shows any caller how many rows the planner expects, of the rows of all users. So the planner gets no statistics
-- of values.
alter table public.${name}
${columns.map((column) => `  alter column ${column} set statistics 0`).join(",\n")};`;
}

// Triggers

function triggers(resource: Resource, others: Resource[]): string[] {
  const { name, owner } = resource;
  const create = (trigger: string, event: string, call: string) =>
    `create trigger ${trigger} ${event} on public.${name}\n  for each row ${call};`;
  return [
    `-- Columns that callers read and never choose. Triggers run in the order of their names: these come first.
${create("airlock_touch_insert", "before insert", "execute function airlock.touch_insert()")}
${create("airlock_touch_update", "before update", "execute function airlock.touch_update()")}`,
    ...(owner === "both"
      ? [
          `-- An author's own rows go with the account.
create trigger airlock_ownerless after update of user_id on public.${name}
  for each statement execute function airlock.delete_ownerless();`,
        ]
      : []),
    ...(owner === "user"
      ? []
      : [
          `-- Asked once more after a write that had to wait: its caller may have lost the role meanwhile.
${create("airlock_role", "after insert or update", `${owner === "both" ? "when (new.org_id is not null) " : ""}execute function airlock.require_editor()`)}`,
        ]),
    ...fieldsOf(resource).flatMap((field) => referenceTriggers(resource, field, others)),
  ];
}

/** A foreign key alone would tell a caller which ids of others exist. */
function referenceTriggers({ name, owner }: Resource, field: Field, others: Resource[]): string[] {
  if (field.kind !== "ref") return [];
  const column = identifier(field.name);
  const sameOrg = owner !== "user";
  const call = `execute function airlock.check_reference('${field.name}', ${literal(targetOf(field.resource, others).table)}, '${sameOrg}')`;
  return [
    `\
-- ${field.name} is a live row of ${field.resource} that the caller sees${sameOrg ? ", for a row of an organisation one of the same organisation" : ""}.
create trigger reference_${field.name}_insert before insert on public.${name}
  for each row when (new.${column} is not null)
  ${call};
create trigger reference_${field.name}_update before update of ${column} on public.${name}
  for each row when (new.${column} is not null and new.${column} is distinct from old.${column})
  ${call};`,
  ];
}

// Row Level Security

const inOrgs = (role: string) => `org_id = any (array(select id from airlock.org_ids('${role}') as id))`;
const OWN = "(select auth.uid()) = user_id";

/**
 * The rows in which the caller has a role: their own ones, and those of an organisation by membership, not by author.
 */
function rowsOf(owner: Owner, role: string): string {
  if (owner === "user") return OWN;
  if (owner === "org") return inOrgs(role);
  return `\
case
      when org_id is null then ${OWN}
      else ${inOrgs(role)}
    end`;
}

function policies({ name, owner, publish }: Resource): string {
  const writable: Record<Owner, string> = {
    user: OWN,
    org: `${OWN} and ${inOrgs("editor")}`,
    both: `${OWN} and (org_id is null or ${inOrgs("editor")})`,
  };
  const why =
    owner !== "both"
      ? ""
      : `
-- One policy with a CASE, not two, which Postgres would combine with OR. For a query that names its user the planner then
-- expects almost no row, and reads and sorts all rows of that user for a page of 20.`;
  const live =
    owner === "user"
      ? ""
      : owner === "org"
        ? " and airlock.org_is_live(org_id)"
        : " and (org_id is null or airlock.org_is_live(org_id))";
  return `\
alter table public.${name} enable row level security;
-- The table's owner too, unless that role has BYPASSRLS, as hosted Supabase's postgres has.
alter table public.${name} force row level security;

-- auth.uid() in a subquery is evaluated once a statement, not once a row. "deleted_at is null" belongs in the queries: in
-- this policy it would refuse a soft delete, because a changed row must still be visible.${why}
create policy ${name}_select on public.${name}
  for select to authenticated
  using (
    ${rowsOf(owner, "viewer")}
  );

create policy ${name}_insert on public.${name}
  for insert to authenticated
  with check (
    ${writable[owner]}
  );

create policy ${name}_update on public.${name}
  for update to authenticated
  using (
    ${rowsOf(owner, "editor")}
  )
  with check (
    ${rowsOf(owner, "editor")}
  );
${
  publish
    ? `
-- For anon alone: in the lists of signed-in users are their own rows. Published rows are public: through PostgREST anon can
-- list all of them.
create policy ${name}_select_published on public.${name}
  for select to anon
  using (published_at is not null and deleted_at is null${live});
`
    : ""
}
-- No policy and no grant for DELETE: to delete is to write deleted_at.`;
}

// Grants

function grants({ name, owner, under, fields, search, publish }: Resource): string {
  const org = owner === "user" ? [] : ["org_id"];
  const parent = under ? [identifier(under.column)] : [];
  const declared = fields.map((field) => identifier(field.name));
  const published = publish ? ["published_at"] : [];
  const searched = search.length > 0 ? ["airlock_search"] : [];
  const all = [
    "id",
    "user_id",
    ...org,
    ...parent,
    ...declared,
    "version",
    "created_at",
    "updated_at",
    "deleted_at",
    ...published,
    ...searched,
  ];
  const text = `\
-- Column by column, so that a new column is closed until it is granted. The revoke is for projects whose default privileges
-- grant everything.
revoke all on table public.${name} from public, anon, authenticated, service_role;
grant
  select (${wrapped(all)}),
  insert (${wrapped(["id", ...org, ...parent, ...declared])}),
  update (${wrapped([...declared, "deleted_at", ...published])})
  on table public.${name} to authenticated;`;
  if (!publish) return text;
  const visible = ["id", ...publish.map(identifier), "version", "updated_at", "published_at"];
  return `${text}\n-- Neither the owner nor the time of creation is granted.\ngrant select (${wrapped(visible)}) on table public.${name} to anon;`;
}

/** Names with commas, in lines of at most 100 characters. */
function wrapped(names: string[]): string {
  const lines: string[] = [];
  for (const name of names) {
    const last = lines.at(-1);
    if (last !== undefined && `${last}, ${name}`.length <= 100) lines[lines.length - 1] = `${last}, ${name}`;
    else lines.push(name);
  }
  return lines.length > 1 ? `\n    ${lines.join(",\n    ")}\n  ` : lines.join();
}

function serve({ name, owner, under, fields, search, publish }: Resource): string {
  const list = (names: string[]) => `array[${names.map(literal).join(", ")}]`;
  const shown = publish ? list(publish) : "null";
  return `\
select airlock.serve(
  '${name}', 'public.${name}', '${owner}',
  ${list(fields.map((field) => field.name))},
  publish => ${shown},
  searchable => ${search.length > 0}${under ? `,\n  under => ${literal(`${under.resource}.${under.column}`)}, scope => 'owner'` : ""}
);`;
}
