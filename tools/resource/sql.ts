// SQL text for the generated migrations: identifiers, literals, and names that fit Postgres.

import { createHash } from "node:crypto";

/** Postgres cuts longer names off. */
const NAME_MAX = 63;

/**
 * Keywords that need quotes as a name: those of pg_get_keywords() with catcode C, R or T in Postgres 17 and 18.
 * `format` and `without` are here because they are other tokens in front of `json` and of `time`.
 */
const QUOTED = new Set(
  `all analyse analyze and any array as asc asymmetric authorization between bigint binary bit boolean both case cast char
   character check coalesce collate collation column concurrently constraint create cross current_catalog current_date
   current_role current_schema current_time current_timestamp current_user dec decimal default deferrable desc distinct do else
   end except exists extract false fetch float for foreign format freeze from full grant greatest group grouping having ilike in
   initially inner inout int integer intersect interval into is isnull join json json_array json_arrayagg json_exists json_object
   json_objectagg json_query json_scalar json_serialize json_table json_value lateral leading least left like limit localtime
   localtimestamp merge_action national natural nchar none normalize not notnull null nullif numeric offset on only or order out
   outer overlaps overlay placing position precision primary real references returning right row select session_user setof
   similar smallint some substring symmetric system_user table tablesample then time timestamp to trailing treat trim true union
   unique user using values varchar variadic verbose when where window with without xmlattributes xmlconcat xmlelement xmlexists
   xmlforest xmlnamespaces xmlparse xmlpi xmlroot xmlserialize xmltable`.split(/\s+/),
);

/** A name as an identifier. */
export function identifier(name: string): string {
  const plain = /^[a-z_][a-z0-9_]*$/.test(name) && !QUOTED.has(name);
  return plain ? name : `"${name.replaceAll('"', '""')}"`;
}

/** A string literal. Characters that an editor does not show are written as escapes. */
export function literal(text: string): string {
  const quoted = text.replaceAll("'", "''");
  if (!/[\p{C}\p{Z}]/u.test(text.replaceAll(" ", ""))) return `'${quoted}'`;
  const escaped = quoted.replaceAll("\\", "\\\\").replace(/[\p{C}\p{Z}]/gu, (character) => {
    const code = character.codePointAt(0) ?? 0;
    if (code === 0x20) return character;
    return code > 0xffff
      ? `\\+${code.toString(16).toUpperCase().padStart(6, "0")}`
      : `\\${code.toString(16).toUpperCase().padStart(4, "0")}`;
  });
  return `U&'${escaped}'`;
}

/** A number literal. A negative zero stays one. */
export function number(value: number): string {
  return Object.is(value, -0) ? "-0" : String(value);
}

/** Digits that differ for different texts, as good as always. */
function hash(text: string): string {
  return createHash("sha256").update(text).digest().readUIntBE(0, 6).toString().slice(-8).padStart(8, "0");
}

/**
 * Name of a constraint of a table. `what` is one word, so that two fields never share a name: names of constraints are unique in
 * their table.
 */
export function constraintName(table: string, field: string, what: string): string {
  return fit(`${table}_${field}`, `_${what}`);
}

/** Words of the indexes that every table has; a field of this name gets a hash. */
const INDEX_WORDS = [
  "user",
  "org",
  "active",
  "deleted",
  "published",
  "orgactive",
  "orgdeleted",
  "orgpublished",
  "due",
] as const;

/** Name of an index that every table has. */
export function indexName(table: string, word: (typeof INDEX_WORDS)[number]): string {
  return `${table}_${word}_idx`;
}

/**
 * Name of the index of a field. Index names are unique in their schema: without the hash, the field `b_c` of `a` and the field `c`
 * of `a_b` would share one. No field's name begins with a digit.
 */
export function fieldIndexName(table: string, field: string): string {
  const plain = !field.includes("_") && !INDEX_WORDS.some((word) => word === field);
  return fit(
    plain ? `${table}_${field}` : `${table}_${field}_${hash(`${table}.${field}`)}`,
    "_idx",
    `${table}.${field}`,
  );
}

/** `start` and `end` as one name; a start that is too long is cut and gets a hash of `whole`. */
export function fit(start: string, end: string, whole = start): string {
  if (start.length + end.length <= NAME_MAX) return start + end;
  const digits = `_${hash(whole)}`;
  return start.slice(0, NAME_MAX - digits.length - end.length) + digits + end;
}
