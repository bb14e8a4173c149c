// The owners of a table's rows, and the requests that its grants and policies allow.

import { identifier } from "../evidence/finding.ts";
import type { Column, Policy, Table } from "./catalogue.ts";

export interface Stop {
  what: string;
  /** SQL that mends it. */
  mend: string;
}

export interface Owner {
  column: string | undefined;
  set: "worker" | "default" | "none";
  /** `owner`: every row that a caller sees names the caller in the owner's column. */
  scope: "owner" | "visible";
}

export const named = ({ schema, name }: { schema: string; name: string }) =>
  `${identifier(schema)}.${identifier(name)}`;

const holds = ({ roles }: Policy, ...wanted: string[]) =>
  roles.some((role) => role === "public" || wanted.includes(role));
const VERBS = { r: "SELECT", a: "INSERT", w: "UPDATE", d: "DELETE" } as const;
const CODES = { SELECT: "r", INSERT: "a", UPDATE: "w", DELETE: "d" } as const;
type Command = keyof typeof CODES;

/** Policies for users that are signed in: those that let rows through, or those that keep some back. */
export function policiesFor({ policies }: Table, command: Command, permissive = true): Policy[] {
  return policies.filter(
    (policy) =>
      policy.permissive === permissive &&
      holds(policy, "authenticated") &&
      [CODES[command], "*"].includes(policy.command),
  );
}

/** The readers of all rows, as a person has set for a table: every user, or every app without a user. */
export type Readers = "user" | "app";

/** Whether the audience of a SELECT policy is intended. */
const isMeant = (policy: Policy, readers: Readers | undefined) =>
  readers === "app" || (readers === "user" && !admitsAnon(policy));

/** A policy for everybody that asks for the role of a user admits users alone. */
const admitsAnon = (policy: Policy) => holds(policy, "anon") && !/'authenticated'/.test(policy.using?.text ?? "");

/** Whether policies show some row to requests without a user. */
export const isShown = ({ policies }: Table) =>
  policies.some(
    (policy) =>
      policy.permissive &&
      admitsAnon(policy) &&
      ["r", "*"].includes(policy.command) &&
      policy.using?.branches.some(({ kind }) => kind !== "never"),
  );

/** Whether policies let through some row. */
export function permits(table: Table, command: Command): boolean {
  const admits = ({ using, check }: Policy) =>
    (command === "INSERT" ? [check ?? using] : command === "UPDATE" ? [using, check] : [using]).every(
      (clause) => clause === undefined || clause.branches.some(({ kind }) => kind !== "never"),
    );
  return policiesFor(table, command).some(admits) && policiesFor(table, command, false).every(admits);
}

/** Columns that each way through these clauses compares with the caller. */
function owners(clauses: Policy["using"][]): string[] {
  const branches = clauses.flatMap((clause) => clause?.branches.filter(({ kind }) => kind !== "never") ?? []);
  const [first, ...others] = branches;
  return first
    ? [...new Set(first.owners)].filter((column) => others.every((branch) => branch.owners.includes(column)))
    : [];
}

/** The owners of the rows, by the policies. */
export function ownerOf(table: Table): Owner {
  const seen = owners(policiesFor(table, "SELECT").map(({ using }) => using));
  const made = owners(policiesFor(table, "INSERT").map(({ check, using }) => check ?? using));
  const column = (names: string[]) => table.columns.find(({ name }) => names.includes(name));
  const own = column(seen.filter((name) => made.includes(name) || !permits(table, "INSERT"))) ?? column(seen);
  if (own?.type.name === "uuid") return { column: own.name, set: setBy(own), scope: "owner" };
  const author = own ?? column(made);
  if (!author) return { column: undefined, set: "none", scope: "visible" };
  // A user's id as text: the policies alone decide, and the column is a field.
  if (author.type.name !== "uuid") return { column: undefined, set: "none", scope: "visible" };
  return { column: author.name, set: setBy(author), scope: "visible" };
}

/** Whether its default is the caller. */
export const isCallers = ({ default: preset }: Column) => /\b(auth\.|request\.jwt|\w*user_id\()/.test(preset ?? "");
const setBy = (column: Column) => (isCallers(column) ? ("default" as const) : ("worker" as const));

/** Rules of the audit whose policies admit more than the row's people. */
const OPEN = [
  "request-header",
  "user-metadata",
  "policy-compares-itself",
  "policy-any-tenant",
  "policy-any-account",
  "policy-true",
];

/** The reasons not to serve a table, and warnings about its policies. */
export function stopsOf(
  table: Table,
  ownId: boolean,
  readers: Readers | undefined,
): { stops: Stop[]; warnings: string[] } {
  const stops: Stop[] = [];
  const warnings: string[] = [];
  const through = new Map<string, string[]>();
  for (const policy of table.policies) {
    const quoted = `policy ${JSON.stringify(policy.name)}`;
    const to = policy.roles.includes("public") ? "everybody" : policy.roles.join(", ");
    const open = OPEN.map((rule) => policy.faults.find((fault) => fault.rule === rule)).find(
      (fault) => fault !== undefined,
    );
    const shown =
      open?.rule === "policy-true" &&
      policy.command === "r" &&
      policy.using?.branches.every(({ kind }) => kind !== "open");
    const written = open?.what.startsWith("with check") && open.rule.startsWith("policy-");
    const verb = policy.command === "*" ? "ALL" : VERBS[policy.command as keyof typeof VERBS];
    if (open && policy.permissive && holds(policy, "anon", "authenticated")) {
      const what = `${quoted} for ${verb} to ${to}: ${open.what.replace(/\s+/g, " ")}`;
      // Airlock serves a table of profiles as the caller's own row alone.
      if (policy.command === "r" && open.rule === "policy-true" && isMeant(policy, readers)) continue;
      if (shown)
        warnings.push(
          `${quoted} for ${verb} to ${to} shows rows to others: ${policy.using?.text.replace(/\s+/g, " ")}`,
        );
      else if (policy.command === "r" && ownId)
        warnings.push(
          `${what}. Only the caller's own row is served; by PostgREST everybody reads all rows, as before.`,
        );
      else if (policy.command === "a" || written) warnings.push(what);
      else if (policy.command === "r" && open.rule === "policy-true") {
        const who = admitsAnon(policy) ? "app" : "user";
        const called = named(table).replace(/^public\./, "");
        const narrower =
          readers === "user"
            ? `alter policy ${identifier(policy.name)} on ${named(table)} to authenticated;`
            : mendOf(table, policy, open.mend);
        stops.push({
          what: `${what}. If this is intended: adopt with --read-${who} ${called}, or read = "${who}" in its section`,
          mend: narrower,
        });
      } else stops.push({ what, mend: mendOf(table, policy, open.mend) });
    }
    const functions = policy.functions.filter((name) => !name.startsWith("airlock.")).join(", ");
    if (functions !== "") through.set(functions, [...(through.get(functions) ?? []), JSON.stringify(policy.name)]);
  }
  for (const [functions, policies] of through) {
    const they = policies.length > 1 ? "policies" : "policy";
    warnings.push(
      `${they} ${policies.join(", ")} ${policies.length > 1 ? "go" : "goes"} through ${functions}: read what that decides, because the Worker cannot`,
    );
  }
  return { stops, warnings };
}

/** The column that names a user, for policies that are to be written. */
export function userColumn(table: Table): string | undefined {
  const keys = table.constraints.filter(
    ({ kind, columns, references }) => kind === "f" && columns.length === 1 && references?.table === "auth.users",
  );
  return table.columns.find(
    ({ name, type }) =>
      type.name === "uuid" &&
      (keys.some(({ columns }) => columns[0] === name) || /^(user|owner|author|profile)_?id$/i.test(name)),
  )?.name;
}

function mendOf(table: Table, { name, command }: Policy, drop: string): string {
  const column = userColumn(table);
  if (column === undefined) return drop;
  const own = `((select auth.uid()) = ${identifier(column)})`;
  return `alter policy ${identifier(name)} on ${named(table)} using ${own}${command === "w" || command === "*" ? ` with check ${own}` : ""};`;
}

/** SQL that turns Row Level Security on, with policies where the table names its user. */
export function secure(table: Table): string {
  const enable = `alter table ${named(table)} enable row level security;`;
  const column = userColumn(table);
  if (column === undefined)
    return `${enable} -- and a policy for each thing that the app does: without a policy no user sees a row`;
  const own = `((select auth.uid()) = ${identifier(column)})`;
  return `${enable} create policy ${identifier(`${table.name}_own`)} on ${named(table)} for all to authenticated using ${own} with check ${own};`;
}
