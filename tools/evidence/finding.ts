// The rules and the findings of an audit.

/** Rows of one statement. `onNotice` gets the detail of each message that the server sends meanwhile. */
export type Sql = (
  text: string,
  parameters?: unknown[],
  onNotice?: (detail: string) => void,
) => Promise<Record<string, unknown>[]>;

export interface Rule {
  id: string;
  /** A note does not make the audit fail. */
  level: "finding" | "note";
  /** Why it matters. */
  why: string;
}

/** A violation of a rule by one object. */
export interface Fault {
  rule: string;
  /** The object's name with its schema. */
  object: string;
  /** The fault. */
  what: string;
  /** The SQL that fixes it, or a comment with the remedy. */
  mend: string;
  /** Overrides the rule's level. */
  level?: Rule["level"] | null;
}

export interface Finding extends Omit<Fault, "level"> {
  level: Rule["level"];
  why: string;
}

/** A fault that is intended, and the reason. */
export interface Accepted {
  rule: string;
  object: string;
  why: string;
}

/** The roles that a client can become with a publishable key. */
export const ROLES = ["anon", "authenticated"];

/** Words that need quotes as names: `pg_get_keywords()`, catcode R and T. */
export const RESERVED = new Set(
  `all analyse analyze and any array as asc asymmetric authorization binary both case cast check collate collation column concurrently constraint create cross
  current_catalog current_date current_role current_schema current_time current_timestamp current_user default deferrable desc distinct do else end except false
  fetch for foreign freeze from full grant group having ilike in initially inner intersect into is isnull join lateral leading left like limit localtime
  localtimestamp natural not notnull null offset on only or order outer overlaps placing primary references returning right select session_user similar some
  symmetric system_user table tablesample then to trailing true union unique user using variadic verbose when where window with`.split(
    /\s+/,
  ),
);

export const identifier = (name: string) =>
  /^[a-z_][a-z0-9_]*$/.test(name) && !RESERVED.has(name) ? name : `"${name.replaceAll('"', '""')}"`;

/** A name as it stands in a regular expression. */
export const escaped = (name: string) => name.replace(/\W/g, "\\$&");

/** The expressions of a list, up to its end. */
export function list(text: string): string[] {
  const values: string[] = [];
  let [depth, quoted, value] = [0, false, ""];
  for (const character of text) {
    if (character === "'") quoted = !quoted;
    if (!quoted && (character === "(" || character === "[")) depth++;
    if (!quoted && (character === ")" || character === "]")) depth--;
    if (!quoted && (depth < 0 || character === ";")) break;
    if (!quoted && depth === 0 && character === ",") {
      values.push(value.trim());
      value = "";
    } else value += character;
  }
  return [...values, value.trim()];
}

/** The members of a JSON object; none for another text. */
export function membersOf(text: string): Record<string, unknown> {
  try {
    return Object(JSON.parse(text)) as Record<string, unknown>;
  } catch {
    return {};
  }
}

/**
 * Whether an object belongs to an extension, in SQL. A role that owns an extension can add objects of its own to it, which are
 * audited as before.
 */
export const ofExtension = (catalogue: string, oid: string, owner: string) =>
  `exists (select from pg_depend member join pg_roles on pg_roles.oid = ${owner} and rolsuper where member.classid = ${catalogue} and member.objid = ${oid} and member.deptype = 'e')`;
