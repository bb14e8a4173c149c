// The rules and the findings of an audit.

/** Rows of one statement. */
export type Sql = (text: string, parameters?: unknown[]) => Promise<Record<string, unknown>[]>;

export interface Rule {
  id: string;
  /** A note is worth knowing and fails nothing. */
  level: "finding" | "note";
  /** Why it matters. */
  why: string;
}

/** A violation of a rule by one object. */
export interface Fault {
  rule: string;
  /** Its name with its schema. */
  object: string;
  /** What is wrong with it. */
  what: string;
  /** The SQL that fixes it, or a comment that says what to do. */
  mend: string;
}

export interface Finding extends Fault {
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

export const identifier = (name: string) => (/^[a-z_][a-z0-9_]*$/.test(name) ? name : `"${name.replaceAll('"', '""')}"`);
