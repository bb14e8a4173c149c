// The catalogue's facts about tables: columns, keys, rights to write, and the triggers that fill or guard columns.

import { withoutComments } from "./bodies.ts";
import { escaped, identifier, list, type Sql } from "./finding.ts";

interface Column {
  relation: string;
  number: string;
  name: string;
  references: string | null;
  key: boolean;
  /** A unique key by itself. */
  unique: boolean;
  /** Part of a unique key of several columns. */
  shared: boolean;
  type: string;
  filled: boolean;
  /** The text of the default, or of the expression that a generated column has. */
  otherwise: string;
  generated: boolean;
  /** `authenticated INSERT`, ... */
  granted: string[];
}

interface TableRow {
  oid: string;
  schema: string;
  relname: string;
  kind: string;
  secured: boolean;
  /** Clients may delete rows. */
  deletable: boolean;
}

export interface Trigger {
  relation: string;
  name: string;
  /** The function's name and text. */
  called: string;
  source: string;
  /** Runs with its owner's rights. */
  definer: boolean;
  before: boolean;
  onInsert: boolean;
  onUpdate: boolean;
  /** Its condition, as its definition says. */
  when: string;
  /** The columns of UPDATE OF. */
  columns: string[];
}

/** A table that a trigger on auth.users fills, with the expression for each column. */
export interface Filled {
  relation: string;
  by: string;
  values: Map<string, string>;
  /** The trigger function's text. */
  source: string;
  /** Makes the row; else it changes it. */
  inserts: boolean;
}

/** Tables of Supabase's own whose policies the project writes. */
export const SUPABASE_TABLES = ["storage.objects", "storage.buckets", "realtime.messages"];
export const ofSupabase = (table: string) => SUPABASE_TABLES.includes(table);

const TENANT =
  /^(team|org|organi[sz]ation|tenant|workspace|company|group|project|account|club|school|household|family|room|channel|board|shop|store|business|agency|clinic|site|property)s?_?(id|slug)$|^tenant$/i;
const USERS = /^auth\.users$|\.(profiles?|users?)$/;
const STAFF = /[._](admins?|administrators?|moderators?|staff|operators?)$/i;
/** Tables whose rows say what kind of row another one is. */
const KINDS =
  /[._](roles?|permissions?|plans?|tiers?|types?|kinds?|status(es)?|categor(y|ies)|tags?|levels?|countr(y|ies)|currenc(y|ies)|languages?)$/i;

const PERSONAL =
  /(^|_)(users?|owners?|authors?|creators?|created_by|members?|accounts?|customers?|clients?|persons?|people|employees?|patients?|students?|actors?|senders?|recipients?|e?mails?|phone|address|ip|secrets?|tokens?|keys?|passwords?|hash|body|messages?|content|text|notes?|comments?|payload|data|records?|value|amount|salary|balance)(_|$)/i;

export class Tables {
  readonly #tables: Map<string, TableRow>;
  readonly #columns: Map<string, Column[]>;
  readonly triggers: Trigger[];
  /** The text of each value of an enum, by its oid. */
  readonly labels: Map<string, string>;
  readonly filled: Filled[];
  /** What triggers write to a row of their own table. */
  readonly set: Filled[];
  /** What triggers of other tables write with their owner's rights. */
  readonly copied: (Filled & { trigger: Trigger })[];
  /** Tables that a client may insert its own row into; policies.ts knows. */
  insertable = new Set<string>();

  private constructor(tables: TableRow[], columns: Column[], triggers: Trigger[], labels: Map<string, string>) {
    this.labels = labels;
    this.#tables = new Map(tables.map((table) => [table.oid, table]));
    this.#columns = new Map(tables.map(({ oid }) => [oid, []]));
    for (const column of columns) this.#columns.get(column.relation)?.push(column);
    this.triggers = triggers;
    this.filled = triggers
      .filter(({ relation }) => this.name(relation) === "auth.users")
      .flatMap((trigger) => this.#fills(trigger));
    this.set = triggers
      .filter(({ before }) => before)
      .map(({ relation, called, source }) => {
        const text = assigned(withoutComments(source));
        const values = [...text.matchAll(/\bnew\s*\.\s*"?(\w+)"?\s*:=\s*([^;]*)/gi)].map(
          ([, name = "", value = ""]): [string, string] => [name.toLowerCase(), value],
        );
        return { relation, by: called, values: new Map(values), source: text, inserts: false };
      });
    this.copied = triggers
      .filter(({ relation, definer }) => definer && this.name(relation) !== "auth.users")
      .flatMap((trigger) => this.#fills(trigger).map((filled) => ({ ...filled, trigger })));
  }

  static async read(sql: Sql): Promise<Tables> {
    const tables = (await sql(
      `select c.oid::text, nspname as schema, relname, relkind::text as kind, relrowsecurity as secured,
         exists (select from pg_roles where rolname in ('anon', 'authenticated') and has_table_privilege(pg_roles.oid, c.oid, 'DELETE')) as deletable
       from pg_class c join pg_namespace n on n.oid = relnamespace
       where relkind in ('r', 'p', 'v', 'm', 'f') and nspname <> all (array['pg_catalog', 'information_schema', 'pg_toast'])`,
    )) as unknown as TableRow[];
    const columns = (await sql(
      `select attrelid::text as relation, attnum::text as number, attname as name,
         (select confrelid::text from pg_constraint where conrelid = attrelid and contype = 'f' and conkey[1] = attnum and cardinality(conkey) = 1 limit 1) as references,
         exists (select from pg_index where indrelid = attrelid and indisprimary and indnatts = 1 and indkey[0] = attnum) as key,
         exists (select from pg_index where indrelid = attrelid and indisunique and indnkeyatts = 1 and indkey[0] = attnum and indpred is null) as unique,
         exists (select from pg_index where indrelid = attrelid and indisunique and indnkeyatts > 1 and attnum = any (indkey)) as shared,
         format_type(atttypid, null) as type, attnotnull as filled, attgenerated <> '' as generated,
         coalesce((select pg_get_expr(adbin, adrelid) from pg_attrdef where adrelid = attrelid and adnum = attnum), '') as otherwise,
         array(
           select rolname || ' ' || privilege from pg_roles, unnest(array['SELECT', 'INSERT', 'UPDATE']) privilege
           where rolname in ('anon', 'authenticated') and has_column_privilege(pg_roles.oid, attrelid, attnum, privilege)
         ) as granted
       from pg_attribute join pg_class c on c.oid = attrelid join pg_namespace n on n.oid = relnamespace
       where relkind in ('r', 'p', 'v', 'm', 'f') and attnum > 0 and not attisdropped and nspname <> all (array['pg_catalog', 'information_schema', 'pg_toast'])
       order by attrelid, attnum`,
    )) as unknown as Column[];
    const triggers = (await sql(
      `select tgrelid::text as relation, tgname as name, n.nspname || '.' || proname || '()' as called, prosrc as source, prosecdef as definer,
         tgtype & 2 <> 0 as before, tgtype & 4 <> 0 as "onInsert", tgtype & 16 <> 0 as "onUpdate",
         coalesce(substring(pg_get_triggerdef(pg_trigger.oid) from ' WHEN \\((.*)\\) EXECUTE'), '') as when,
         array(select attname::text from pg_attribute where attrelid = tgrelid and attnum = any (tgattr)) as columns
       from pg_trigger join pg_proc p on p.oid = tgfoid join pg_namespace n on n.oid = pronamespace where not tgisinternal and tgenabled <> 'D'`,
    )) as unknown as Trigger[];
    const labels = await sql("select oid::text, enumlabel::text as label from pg_enum");
    return new Tables(tables, columns, triggers, new Map(labels.map(({ oid, label }) => [String(oid), String(label)])));
  }

  name(relation: string): string {
    const table = this.#tables.get(relation);
    return table ? `${table.schema}.${table.relname}` : "";
  }

  sql(relation: string): string {
    const table = this.#tables.get(relation);
    return table ? `${identifier(table.schema)}.${identifier(table.relname)}` : "";
  }

  isTable = (relation: string) => ["r", "p"].includes(this.#tables.get(relation)?.kind ?? "");
  deletable = (relation: string) => this.#tables.get(relation)?.deletable ?? false;
  secured = (relation: string) => this.#tables.get(relation)?.secured ?? false;
  columns = (relation: string) => this.#columns.get(relation) ?? [];
  column = (relation: string, number: string) => this.columns(relation).find((column) => column.number === number);
  columnName = (relation: string, number: string) => this.column(relation, number)?.name ?? "";

  /** Columns that say which tenant a row belongs to. */
  tenantColumns(relation: string): string[] {
    const tenants = this.columns(relation).filter(({ name, references }) =>
      references ? !USERS.test(this.name(references)) : TENANT.test(name),
    );
    return tenants.map(({ name }) => name);
  }

  /** Columns that pair a user with another one, such as the followed or the child, if rows of `relation` have a user. */
  others(relation: string, other: string): Column[] {
    const users = this.columns(other).map(({ references }) => references);
    return this.columns(relation).filter(
      ({ shared, references }) =>
        shared && references && users.includes(references) && USERS.test(this.name(references)),
    );
  }

  /** Whether a table has one row for each user. */
  isUsers = (relation: string) =>
    USERS.test(this.name(relation)) ||
    this.columns(relation).some(({ unique, references }) => unique && references && USERS.test(this.name(references)));

  /** The tables whose rows the rows of this one belong to, also through others. */
  #above(relation: string, found = new Set<string>()): Set<string> {
    for (const { references } of this.columns(relation)) {
      if (!references || found.has(references) || this.isUsers(references) || KINDS.test(this.name(references)))
        continue;
      found.add(references);
      this.#above(references, found);
    }
    return found;
  }

  /**
   * The column of the caller's own rows that connects them with rows of `relation`: both belong to the same row, or one
   * to the other, or rows of `relation` have a user who can be a member.
   */
  connects(own: string, relation: string, isCallers: (column: Column) => boolean): string | undefined {
    const above = this.#above(relation).add(relation);
    const single =
      this.isUsers(own) ||
      STAFF.test(this.name(own)) ||
      this.columns(own).some((column) => column.unique && isCallers(column));
    const ofUser = this.columns(relation).some(
      ({ unique, references }) => unique && references && this.isUsers(references),
    );
    const link = this.columns(own).find((column) => {
      const { name, references, shared } = column;
      if (!references || references === own || isCallers(column)) return false;
      if (ofUser && shared && TENANT.test(name)) return true;
      if (this.isUsers(references) || KINDS.test(this.name(references)) || (single && !TENANT.test(name))) return false;
      return [references, ...this.#above(references)].some((one) => above.has(one));
    });
    const key = this.columns(own).find((column) => column.key);
    return link?.name ?? (!single && own !== relation && above.has(own) ? key?.name : undefined);
  }

  /** The value of a column of a new row, which sign-up makes or a client; undefined if it is not known. */
  initial(relation: string, number: string): string | undefined {
    const column = this.column(relation, number);
    if (!column || column.generated) return undefined;
    const filled = this.filled.find((one) => one.relation === relation && one.inserts)?.values.get(column.name);
    const text = filled ?? column.otherwise;
    return /^\(*'([^']*)'/.exec(text)?.[1] ?? /^\(*(true|false|-?\d+)\)*$/i.exec(text)?.[1]?.toLowerCase();
  }

  /** Whether rows of `other` belong to the same tenants as this column says. */
  shares(relation: string, column: string, other: string): boolean {
    const references = this.columns(relation).find(({ name }) => name === column)?.references;
    // A manager, or a role, is no tenant.
    if (references && relation !== other && (references === relation || KINDS.test(this.name(references))))
      return false;
    if (references && references === other && relation !== other) return true;
    return this.columns(other).some((one) => (references && one.references === references) || one.name === column);
  }

  /**
   * Whether the rows have no owner, such as countries or products. They have numbers or names, no client writes them,
   * and no column is for a person, a tenant or a user's text.
   */
  isReference(relation: string, above: string[] = []): boolean {
    const columns = this.columns(relation);
    const name = this.name(relation).split(".")[1] ?? "";
    return (
      columns.some(({ key, shared }) => key || shared) &&
      !TENANT.test(`${name}_id`) &&
      columns.every(
        ({ name, references, type, granted }) =>
          !PERSONAL.test(name) &&
          !TENANT.test(name) &&
          type !== "uuid" &&
          !granted.some((one) => /INSERT|UPDATE/.test(one)) &&
          (references === null ||
            [...above, relation].includes(references) ||
            this.isReference(references, [...above, relation])),
      )
    );
  }

  all = () => [...this.#tables.keys()];

  /** Whether a role may read some column. */
  readable = (relation: string, role: string) =>
    this.columns(relation).some(({ granted }) => granted.includes(`${role} SELECT`));

  /** Whether everybody has a row in this table, or can make one. */
  anybodyHasRow = (relation: string) =>
    this.insertable.has(relation) || this.filled.some((one) => one.relation === relation && one.inserts);

  /** Whether a trigger decides about a column before the row is written. */
  guarded(relation: string, column: string, command: "INSERT" | "UPDATE"): boolean {
    return this.#on(relation, command).some((trigger) => guards(trigger, column, command));
  }

  /** Whether a trigger names a column of the new row before it is written. */
  named(relation: string, column: string, command: "INSERT" | "UPDATE"): boolean {
    return this.#on(relation, command).some(
      ({ before, source }) => before && newField(column).test(withoutComments(source)),
    );
  }

  /** Whether a trigger acts only on a value that no client writes, such as `approved`. */
  waits({ relation, source, when }: Trigger, command: "INSERT" | "UPDATE"): boolean {
    const conditions = [when, ...conditionsOf(withoutComments(source))];
    return this.columns(relation).some(
      ({ name, granted }) =>
        !granted.some((one) => one.endsWith(command)) && conditions.some((condition) => newField(name).test(condition)),
    );
  }

  #on(relation: string, command: "INSERT" | "UPDATE"): Trigger[] {
    return this.triggers.filter(
      (one) => one.relation === relation && (command === "INSERT" ? one.onInsert : one.onUpdate),
    );
  }

  #fills({ called, source }: Trigger): Filled[] {
    const text = assigned(withoutComments(source));
    const updates = [
      ...text.matchAll(/update\s+(?:only\s+)?([\w".]+)(?:\s+(?:as\s+)?\w+)?\s+set\s+([\s\S]*?)(?:\bwhere\b|;|$)/gi),
    ].flatMap((match) => {
      const relation = this.#named(match[1] ?? "");
      const pairs = list(match[2] ?? "")
        .map((one) => one.split(/=([\s\S]*)/))
        .map(([name = "", value = ""]): [string, string] => [name.trim().replaceAll('"', ""), value.trim()]);
      return relation ? [{ relation, by: called, values: new Map(pairs), source: text, inserts: false }] : [];
    });
    const inserts = [
      ...text.matchAll(/insert\s+into\s+([\w".]+)(?:\s+as\s+\w+)?\s*(?:\(([^)]*)\)\s*)?(?:values\s*\(|select\b)/gi),
    ].flatMap((match) => {
      const relation = this.#named(match[1] ?? "");
      if (!relation) return [];
      const names =
        match[2]?.split(",").map((one) => one.trim().replaceAll('"', "")) ??
        this.columns(relation).map(({ name }) => name);
      const values = list(text.slice(match.index + match[0].length));
      return [
        {
          relation,
          by: called,
          values: new Map(names.map((one, at) => [one, values[at] ?? ""])),
          source: text,
          inserts: true,
        },
      ];
    });
    return [...inserts, ...updates];
  }

  /** The table that a function's text names. */
  #named(text: string): string | undefined {
    const path = text.replaceAll('"', "").split(".");
    const name = path.length > 1 ? path.join(".") : `public.${path[0]}`;
    return [...this.#tables.values()].find(({ schema, relname }) => `${schema}.${relname}` === name)?.oid;
  }
}

/** The conditions of each IF in a text. */
const conditionsOf = (text: string) =>
  [...text.matchAll(/\b(?:els)?if\b([\s\S]*?)\bthen\b/gi)].map(([, condition = ""]) => condition);

const newField = (column: string) => new RegExp(`\\bnew\\s*\\.\\s*"?${escaped(column)}"?(?!\\w)`, "i");

/**
 * Whether a trigger writes a column, or refuses some of its values. A default for null is neither. After the row is
 * written only an error refuses it.
 */
function guards({ source, when, columns, before }: Trigger, column: string, command: "INSERT" | "UPDATE"): boolean {
  const text = withoutComments(source);
  const { source: field } = newField(column);
  const names = (part: string) => newField(column).test(part);
  const refuses =
    /\braise\s+(?!notice|warning|info|log|debug)/i.test(text) || (before && /\breturn\s+(null|old)\b/i.test(text));
  if (refuses && (names(when) || (command === "UPDATE" && columns.length === 1 && columns[0] === column))) return true;
  const conditions = conditionsOf(text);
  const isNull = new RegExp(`${field}\\s+is\\s+null\\s*$`, "i");
  if (refuses && conditions.some((condition) => names(condition) && !isNull.test(condition))) return true;
  if (!before) return false;
  // By a function, or from a query.
  if (new RegExp(`\\binto\\s+(?:strict\\s+)?${field}`, "i").test(text)) return true;
  const assigned = [
    ...text.matchAll(new RegExp(`(?:^|;|\\bthen\\b|\\belse\\b|\\bbegin\\b)\\s*${field}\\s*:?=([^;]*)`, "gi")),
  ];
  return assigned.some(
    ({ 0: whole, 1: value = "", index }) =>
      !names(value) &&
      !(
        /^then/i.test(whole) &&
        isNull.test(
          text
            .slice(0, index)
            .split(/\bif\b/i)
            .at(-1) ?? "",
        )
      ),
  );
}

/** The condition of the IF around a place in a text. */
const conditionAround = (text: string, at: number) =>
  conditionsOf(
    text
      .slice(0, at)
      .split(/\bend\s+if\b/i)
      .at(-1) ?? "",
  ).at(-1) ?? "";

const USERS_OWN = /raw_user_meta_data/;

/** A function's text with the values of its variables in their place. */
function assigned(text: string): string {
  const set = [...text.matchAll(/(?:^|;|\bbegin\b|\bthen\b|\belse\b)\s*(\w+)\s*:=\s*([^;]+);/gi)];
  const values = [
    // The user decides where a condition names what the user writes.
    ...set.flatMap(({ 0: whole, 1: name, 2: value, index }) => {
      const condition = conditionAround(text, index + whole.length);
      return USERS_OWN.test(condition) ? [[whole, name, `case when ${condition} then ${value} end`]] : [];
    }),
    ...text.matchAll(/(?:^|;|\bdeclare\b|\bbegin\b)\s*(\w+)\s+(?:[\w.[\]]+\s*)?:=\s*([^;]+);/gi),
    ...[...text.matchAll(/\bselect\s+([^;]+?)\s+into\s+(?:strict\s+)?(\w+)\s*(?:from\b[^;]*)?;/gi)].map(
      ([whole, value, name]) => [whole, name, value],
    ),
    ...set,
  ];
  return values.reduce((done, [whole = "", name = "", value = ""]) => {
    const at = done.indexOf(whole) + whole.length;
    return (
      done.slice(0, at) +
      done.slice(at).replace(new RegExp(`(?<![.\\w"'])${name}(?![\\w"'(])(?!\\s*:=)`, "gi"), () => `(${value.trim()})`)
    );
  }, text);
}
