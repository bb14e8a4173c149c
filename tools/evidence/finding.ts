// What an audit looks for, and what it has found.

/** Rows of one statement. */
export type Sql = (text: string, parameters?: unknown[]) => Promise<Record<string, unknown>[]>;

export interface Rule {
  id: string;
  /** A note is worth knowing and fails nothing. */
  level: "finding" | "note";
  /** Why it matters. */
  why: string;
}

/** What a rule says of one object. */
export interface Fault {
  rule: string;
  /** As it is called, schema and all. */
  object: string;
  /** What about it. */
  what: string;
  /** The SQL that ends it; for a fault that no SQL ends, what to do, as a comment. */
  mend: string;
}

export interface Finding extends Fault {
  level: Rule["level"];
  why: string;
}

/** A fault that is meant: no finding, for this reason. */
export interface Accepted {
  rule: string;
  object: string;
  why: string;
}

/** The roles that a client can become with a publishable key. */
export const ROLES = ["anon", "authenticated"];

export const identifier = (name: string) => (/^[a-z_][a-z0-9_]*$/.test(name) ? name : `"${name.replaceAll('"', '""')}"`);
