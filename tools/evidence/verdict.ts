// The callers that a branch of a policy admits: those that its row is tied to, those with a role, or all.

import { type Called, isUnread } from "./bodies.ts";
import { ofSupabase, type Tables } from "./tables.ts";
import { CALLER, type Condition, LOOSE, type Reader, ROW, Ties, targetsOf, type Use } from "./ties.ts";
import { bare, inside, isVacuous, type Node, neverHolds, nodesOf, relationsOf, textOf, word } from "./tree.ts";

export interface Verdict {
  /** `tied` to the caller; `role`: callers of a kind; `public`: rows that say so; `open`: anybody, signed in or not. */
  kind: "never" | "tied" | "role" | "public" | "open";
  ties: Ties;
  /** Why it is open, if a table makes it look closed. */
  open?: { rule: "any-tenant" | "any-account"; relation: string; column?: string };
}

/** Columns and values by which a row says that everybody may see it, or that not everybody may. */
const PUBLIC_FLAG =
  /^(?!not_|non_)(\w+_)?(public(ly)?|published)$|^(is_)?public(ly)?_(?!in_|to_|for_)\w+$|^(is_)?(visible|listed)$/i;
const PRIVATE_FLAG = /^(is_)?(private|draft|hidden|unlisted|unpublished)$/i;
const PUBLIC_TIME = /^(published|publish|public|visible)_(at|on|date|from|since)$/i;
const PUBLIC_VALUE = /^(public|published|everyone|anyone)$/i;
/** Claims that every account has, or can get by itself. */
const ORDINARY_CLAIMS = new Set([
  "aal",
  "amr",
  "aud",
  "exp",
  "iat",
  "is_anonymous",
  "iss",
  "provider",
  "providers",
  "session_id",
  "sub",
]);
/** Roles that are above all tenants. */
const ABOVE_TENANTS = /super|platform|global|root|system/i;
const PUBLIC_BUCKET =
  /public|avatar|profile|logo|icon|banner|cover|thumb|image|photo|picture|gallery|media|asset|product|post|blog/i;
const BUCKETS = /^storage\.(objects|buckets)$/;
/** Columns by which rows of the project's tables name a file's path or a channel's topic. */
const PLACE = /(^|_)(topic|room|channel|folder|bucket|path)(_(id|name|topic|key))?$/i;

type Meaning = { kind: "never" | "nothing" | "role" | "row" } | { kind: "open"; open: NonNullable<Verdict["open"]> };

export function verdictOf(branch: Condition[], relation: string, reader: Reader, tables: Tables): Verdict {
  const ties = new Ties();
  if (branch.some(({ node }) => neverHolds(node))) return { kind: "never", ties };
  for (const condition of branch) reader.tie(condition, ties);
  if (ties.tied(ROW, CALLER)) return { kind: "tied", ties };
  const meanings = branch.map((condition) => meaningOf(condition, relation, reader, tables));
  if (meanings.some(({ kind }) => kind === "never")) return { kind: "never", ties };
  if (meanings.some(({ kind }) => kind === "role")) return { kind: "role", ties };
  const open = meanings.find((meaning) => meaning.kind === "open");
  if (open?.kind === "open") return { kind: "open", ties, open: open.open };
  // Files for every signed-in user are not for everybody.
  const private_ = BUCKETS.test(tables.name(relation)) && meanings.some(({ kind }) => kind === "nothing");
  const isPublic =
    !private_ &&
    (branch.some((condition) => saysPublic(condition, relation, reader, tables)) || ofPublic(ties, tables));
  return { kind: isPublic ? "public" : "open", ties };
}

/** Whether the row belongs to a row of another table that is public, such as the comment of a published post. */
function ofPublic(ties: Ties, tables: Tables): boolean {
  const parents = ties.with(ROW);
  return (
    parents.some((parent) => ties.shown.has(parent)) ||
    ties.uses.some((use) => parents.includes(use.source) && isPublic(use, tables))
  );
}

/** Whether a row with this value of a column says that everybody may see it. */
function isPublic({ relation, column, against, values = [], loose }: Use, tables: Tables): boolean {
  const { name, type } = tables.column(relation, column) ?? { name: "", type: "" };
  if (/^(timestamp|date)/.test(type))
    return PUBLIC_TIME.test(name) && (against === "present" || (against === "constant" && loose !== undefined));
  if (against !== "constant" || loose !== undefined || values.length === 0) return false;
  return values.every((value) =>
    type === "boolean" ? (value === "true" ? PUBLIC_FLAG : PRIVATE_FLAG).test(name) : PUBLIC_VALUE.test(value),
  );
}

/** The demand of a condition on its caller, if it does not tie the row to them. */
function meaningOf(condition: Condition, relation: string, reader: Reader, tables: Tables): Meaning {
  const { node, scope } = condition;
  const all = nodesOf(node).map((placed) => placed.node);
  const constants = all.filter(({ type }) => type === "CONST").flatMap(textsOf);
  const calls = all.flatMap((one) => (one.type === "FUNCEXPR" ? (reader.called(one) ?? []) : []));

  const ties = new Ties();
  reader.tie(condition, ties);
  const read = ties.with(CALLER).filter((source) => source !== ROW);
  if (read.length > 0) return ofTables(read, ties, relation, tables);

  const asksRole =
    all.some(({ type }) => type === "SQLVALUEFUNCTION") ||
    calls.some((called) => called.schema === "auth" && called.name === "role") ||
    constants.includes("role");
  if (asksRole && isEquality(node, reader)) {
    if (constants.some((text) => text === "authenticated" || text === "anon")) return { kind: "nothing" };
    // Clients have no other role, unless the project defines its own claim.
    return { kind: constants.includes("app_metadata") ? "role" : "never" };
  }
  const sources = reader.sources(node, scope, new Ties());
  if (!sources.has(CALLER)) return { kind: "row" };
  if (callsUnread(node, reader)) return { kind: reader.strict ? "nothing" : "role" };
  // It reads tables, and holds without the caller's rows in them.
  if (all.some((one) => one.type === "SUBLINK" && relationsOf([one]).length > 0) || calls.some(readsTables))
    return { kind: "nothing" };
  // It names the row and the caller, and does not tie them.
  if (sources.has(ROW) || !isEquality(node, reader)) return { kind: "nothing" };
  if (constants.some((text) => ORDINARY_CLAIMS.has(text) || text === "user_metadata" || text === "authenticated"))
    return { kind: "nothing" };
  // Every user's id matches some pattern.
  if (
    calls.some(({ schema, name }) => schema === "auth" && name === "uid") &&
    node.type === "OPEXPR" &&
    reader.operator(node) !== "="
  )
    return { kind: "nothing" };
  // Of the caller's id itself, not of its length or a part of it.
  if (
    calls.some(({ schema, name }) => schema === "auth" && name === "uid") &&
    !inside(node, "args").some((arg) => isUid(arg, reader))
  )
    return { kind: "nothing" };
  // The empty array is contained in every array, and each claim contains it.
  if (reader.operator(node) === "<@" && reader.sources(inside(node, "args")[0] ?? node, scope, new Ties()).has(CALLER))
    return { kind: "nothing" };
  if (reader.operator(node) === "@>" && all.some(isEmptyJson)) return { kind: "nothing" };
  // A constant on the other side: a user by name, or a claim with a value.
  const sides = inside(node, "args").map((arg) => reader.sources(arg, scope, new Ties()));
  return { kind: sides.some((side) => !side.has(CALLER)) || node.type === "FUNCEXPR" ? "role" : "nothing" };
}

/** The text of a constant; of a jsonpath, which Postgres keeps as a tree, each name and text in it. */
function textsOf(node: Node): string[] {
  const text = textOf(node);
  if (text === undefined) return [];
  return word(node, "consttype") === JSONPATH ? (text.match(/\w{3,}/g) ?? []) : [text];
}
const JSONPATH = "4072";

/** '[]' or '{}' of type jsonb, which is no longer than its header. */
const isEmptyJson = (node: Node) =>
  node.type === "CONST" && word(node, "consttype") === "3802" && word(node, "constvalue") === "8";

const readsTables = ({ foreign, tree }: Called) => !foreign && tree !== undefined && relationsOf(tree).length > 0;

/** `auth.uid()`, cast or in a sub-select. */
function isUid(node: Node, reader: Reader): boolean {
  const value = bare(node);
  if (value.type === "SUBLINK")
    return inside(value, "subselect")
      .flatMap(targetsOf)
      .some((target) => isUid(target, reader));
  const called = value.type === "FUNCEXPR" ? reader.called(value) : undefined;
  return called?.schema === "auth" && called.name === "uid";
}

/** A condition about the caller's own rows: rows that give rights, or rows that every user has. */
function ofTables(read: string[], ties: Ties, relation: string, tables: Tables): Meaning {
  const used = new Map([...ties.relations].filter(([source]) => read.includes(source)));
  const decides = ties.uses.filter(({ source, against }) => against === "constant" && read.includes(source));
  const byCaller = new Set(
    ties.uses.filter(({ against }) => against === "caller").map(({ relation, column }) => `${relation}.${column}`),
  );
  // The rows of one tenant alone, or of none: m.org_id = '...', m.org_id is null
  const fixed = ties.uses.filter(({ against, loose }) => against === "absent" || (against === "constant" && !loose));
  for (const own of used.values()) {
    const isCallers = ({ number }: { number: string }) => byCaller.has(`${own}.${number}`);
    const isFixed = (name: string) =>
      fixed.some(({ relation, column }) => relation === own && tables.columnName(own, column) === name);
    const tenant = ofSupabase(tables.name(relation))
      ? (tables.tenantColumns(own)[0] ?? tables.columns(own).find(({ name }) => PLACE.test(name))?.name)
      : (tables.tenantColumns(own).find((column) => tables.shares(own, column, relation) && !isFixed(column)) ??
        tables.others(own, relation).find((column) => !isCallers(column))?.name ??
        tables.connects(own, relation, (column) => isCallers(column) || isFixed(column.name)));
    if (tenant !== undefined && !decides.some(({ value }) => ABOVE_TENANTS.test(value ?? ""))) {
      return { kind: "open", open: { rule: "any-tenant", relation: own, column: tenant } };
    }
  }
  if (decides.some((use) => !isUsual(use, tables))) return { kind: "role" };
  const [own] = used.values();
  if (own !== undefined && tables.anybodyHasRow(own))
    return { kind: "open", open: { rule: "any-account", relation: own } };
  return { kind: "role" };
}

/** Whether a row that nobody has changed yet meets a comparison. */
function isUsual({ relation, column, loose, values = [] }: Use, tables: Tables): boolean {
  const initial = tables.initial(relation, column);
  if (initial === undefined) return false;
  return loose === undefined ? values.includes(initial) : /^(<>|!=)$/.test(loose) && !values.includes(initial);
}

const isEquality = (node: Node, reader: Reader) =>
  node.type === "FUNCEXPR" ||
  ((node.type === "OPEXPR" || node.type === "SCALARARRAYOPEXPR") &&
    !LOOSE.test(reader.operator(node)) &&
    !isVacuous(node));

/** Whether a condition calls a function of the project whose body is more than one expression. */
const callsUnread = (condition: Node, reader: Reader) =>
  nodesOf(condition).some(({ node }) => {
    const called = node.type === "FUNCEXPR" ? reader.called(node) : undefined;
    return called !== undefined && isUnread(called);
  });

function saysPublic({ node, scope }: Condition, relation: string, reader: Reader, tables: Tables): boolean {
  const ties = new Ties();
  reader.tie({ node, scope }, ties);
  if (!BUCKETS.test(tables.name(relation))) return ties.ofRow.some((use) => isPublic(use, tables));
  return ties.ofRow.some(
    ({ column, values = [], loose }) =>
      tables.columnName(relation, column) === "bucket_id" &&
      loose === undefined &&
      values.some((value) => PUBLIC_BUCKET.test(value)),
  );
}

/** Columns of the caller's own rows that give rights; not the column of the owner. */
export function trusted({ ties }: Verdict): (Use & { linksRow: boolean })[] {
  // A row that the caller's own row names, such as the post of a comment, says nothing about the caller.
  const caller = ties.besidesRow();
  return ties.uses
    .filter(({ source, against }) => ["constant", "other", "absent"].includes(against) && caller.has(source))
    .map((use) => ({ ...use, linksRow: use.against === "other" && ties.tied(use.source, ROW) }));
}
