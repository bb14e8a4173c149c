// The rows that a definer function shows and changes: its caller's, those of callers with a role, or any.
//
// Conditions that end the function come before its queries. They can tie an argument to the caller, such as the id of
// the caller's organization, and can ask for a role.

import type { Called } from "./bodies.ts";
import type { Tables } from "./tables.ts";
import { CALLER, type Condition, type Reader, type Scope, Ties, targetsOf } from "./ties.ts";
import {
  combined,
  conditionsOf,
  entries,
  inside,
  isCoalesce,
  isQuery,
  isTop,
  type Node,
  nodesOf,
  type Value,
  word,
} from "./tree.ts";
import { verdictOf } from "./verdict.ts";

/** `right`: of callers with a role, or with a token that they know. */
export type Rows = "none" | "own" | "right" | "any";

export type DefinerRows = Record<"returned" | "changed", Rows>;

/** Columns whose value only those know who were given it. */
const TOKEN = /(^|_)(token|secret|hash|digest)(_|$)|^code$|(invite|invitation|access|share|join)_code/i;

/** The rows of a function that is read as a whole; undefined of another one. */
export function rowsOfDefiner(called: Called, reader: Reader, tables: Tables): DefinerRows | undefined {
  const { returned, changed, partly, source } = called;
  // set_config() can change who the caller is.
  if (!returned || !changed || partly || /\bset_config\b/i.test(source)) return undefined;
  const trees = [...returned, ...changed];
  if (nodesOf(trees).some(({ node }) => isQuery(node) && word(node, "commandType") !== "1")) return undefined;
  // PERFORM private.close(id) changes the rows that the function changes.
  const performed = nodesOf(changed).flatMap(({ node }) =>
    node.type === "FUNCEXPR" ? (reader.called(node) ?? []) : [],
  );
  if (performed.some((next) => !next.foreign && !next.changed)) return undefined;
  const of = (queries: Node[]) => widest(queries.map((tree) => rowsOf(tree, called, reader, tables)));
  return { returned: of(returned), changed: of(changed.filter((tree) => !isExpiry(tree))) };
}

/** Whether the time chooses the rows, and no argument: `where expires_at < now()`. */
const isExpiry = (tree: Node) =>
  nodesOf(targetsOf(tree)).some(({ node }) => node.type === "SQLVALUEFUNCTION" || NOW.has(word(node, "funcid"))) &&
  !nodesOf(targetsOf(tree)).some(isTop);
/** now(), transaction_timestamp(), statement_timestamp(), clock_timestamp() */
const NOW = new Set(["1299", "2647", "2648", "2649"]);

const ORDER: Rows[] = ["none", "own", "right", "any"];
export const widest = (rows: Rows[]): Rows => ORDER[Math.max(0, ...rows.map((one) => ORDER.indexOf(one)))] ?? "any";

/** Where the function's arguments are columns. */
const ARGUMENTS: Scope = {
  kind: "query",
  id: "argument",
  query: { type: "QUERY", fields: new Map() },
  definer: true,
  above: { kind: "row", relation: "" },
};

function argument(at: number): Condition {
  const field = (name: string, value: number): [string, Value[]] => [name, [String(value)]];
  const fields = new Map([field("varno", at), field("varattno", 1), field("varlevelsup", 0)]);
  return { node: { type: "VAR", fields }, scope: ARGUMENTS };
}

const MOST_CASES = 50;

/** The rows of one query, in each case that its guards let pass. */
function rowsOf(tree: Node, called: Called, reader: Reader, tables: Tables): Rows {
  const places = called.arguments.map((_, at) => at + 1);
  const named: Scope = { kind: "call", values: places.map(argument), definer: true };
  const cases = guardsOf(tree, named, reader).reduce<Condition[][]>(
    (all, { node, scope }) => {
      const condition = { node: positive(node, reader), scope };
      const further = reader.branches(condition.node, scope);
      return all.length * further.length > MOST_CASES
        ? all.map((one) => [...one, condition])
        : all.flatMap((one) => further.map((branch) => [...one, ...branch]));
    },
    [[]],
  );
  return widest(cases.map((guards) => rowsIn(guards)));

  function rowsIn(guards: Condition[]): Rows {
    const tied = new Ties();
    // coalesce(p_user, auth.uid()) is the caller's id or another's.
    for (const one of guards) if (!nodesOf(one.node).some(({ node }) => isCoalesce(node))) reader.tie(one, tied);
    const known = places.filter((at) => tied.tied(`argument.${at}`, CALLER));
    const values = places.map((at) => (known.includes(at) ? argument(at) : NOTHING));
    const { own, ties } = read(tree, { kind: "call", values, definer: true }, reader, known);
    if (own) return ties.read.size > 0 ? "own" : "none";
    const others = [...ties.read].filter((source) => !ties.tied(source, CALLER));
    const tokens = ties.uses.filter(
      ({ relation, column, against, value, sometimes }) =>
        against === "constant" && value !== "true" && !sometimes && TOKEN.test(tables.columnName(relation, column)),
    );
    const ofRole = guards.filter((one) => !namesArgument(one, reader));
    const isRight = (source: string) =>
      tokens.some((token) => ties.tied(source, token.source)) ||
      ["role", "never"].includes(verdictOf(ofRole, ties.relations.get(source) ?? "", reader, tables).kind);
    return others.length > 0 && others.every(isRight) ? "right" : "any";
  }
}

/** Whether a condition compares an argument, such as the id of an organization: it is about that one's rows. */
function namesArgument(condition: Condition, reader: Reader): boolean {
  const ties = new Ties();
  reader.tie(condition, ties);
  return ties.all().some((source) => source.startsWith("argument."));
}

const NOTHING: Condition = { node: { type: "CONST", fields: new Map() }, scope: ARGUMENTS };

/** The conditions of queries that name none of their rows. */
function guardsOf(tree: Node, scope: Scope, reader: Reader): Condition[] {
  const found: Condition[] = [];
  const visit = (query: Node, above: Scope) => {
    const inner = reader.enter(query, above);
    for (const node of conditionsOf(query))
      if (!nodesOf(node).some((placed) => isTop(placed))) found.push({ node, scope: inner });
    const joins = nodesOf(inside(query, "jointree")).some(({ node }) => node.type === "JOINEXPR");
    if (joins || inside(query, "setOperations").length > 0) return;
    for (const entry of entries(query)) for (const sub of inside(entry, "subquery")) visit(sub, inner);
  };
  for (const target of targetsOf(tree)) for (const query of inside(target, "subselect")) visit(query, scope);
  return found;
}

/** A condition with NOT at its innermost parts; NOT a <> b is a = b. */
function positive(node: Node, reader: Reader, negated = false): Node {
  if (negated && (node.type === "DISTINCTEXPR" || (node.type === "OPEXPR" && reader.operator(node) === "<>")))
    return { type: "OPEXPR", fields: new Map(node.fields).set("opno", [EQUALS]) };
  if (node.type !== "BOOLEXPR") return negated ? combined("not", [node]) : node;
  const [op, args] = [word(node, "boolop"), inside(node, "args")];
  if (op === "not") return args[0] ? positive(args[0], reader, !negated) : node;
  const parts = args.map((arg) => positive(arg, reader, negated));
  return combined(negated ? (op === "and" ? "or" : "and") : op, parts);
}
/** Of texts: only its name is read. */
const EQUALS = "98";

/** The ties of a query, and whether each row that it reads is tied to the caller, as the known arguments are. */
function read(tree: Node, above: Scope, reader: Reader, known: number[]): { own: boolean; ties: Ties } {
  const start = () => {
    const ties = new Ties();
    ties.tie([CALLER, ...known.map((at) => `argument.${at}`)]);
    return ties;
  };
  const ties = start();
  let whole = true;
  // Of each sub-query, whether its value matters or not.
  const visit = (node: Node, scope: Scope): void => {
    const body = node.type === "FUNCEXPR" ? reader.body(node, scope) : undefined;
    const [query] = inside(node, "subselect");
    if (body) visit(body.node, body.scope);
    const changed = node.type === "FUNCEXPR" ? (reader.called(node)?.changed ?? []) : [];
    for (const change of changed.filter((tree) => !isExpiry(tree))) {
      const values = inside(node, "args").map((arg) => ({ node: arg, scope }));
      for (const target of targetsOf(change)) visit(target, { kind: "call", values, definer: true });
    }
    if (query && entries(query).length > 0) {
      // Its rows first, then the values that sub-queries add to them.
      const rows = start();
      reader.read(query, scope, rows, false);
      reader.read(query, scope, ties);
      // A guard reads rows and shows none.
      const asked = new Ties();
      for (const guard of entries(query).flatMap((entry) => inside(entry, "subquery")))
        if (entries(guard).length === 0) reader.read(guard, reader.enter(query, scope), asked);
      for (const source of asked.read) ties.read.delete(source);
      whole &&= rows.rows().every((source) => asked.read.has(source) || rows.tied(source, CALLER));
    } else if (query) for (const target of targetsOf(query)) visit(target, reader.enter(query, scope));
    else if (!body && nodesOf(node).some(({ node }) => node.type === "SUBLINK" || node.type === "FUNCEXPR"))
      for (const field of node.fields.keys()) for (const inner of inside(node, field)) visit(inner, scope);
    else if (!body) reader.sources(node, scope, ties);
  };
  for (const target of targetsOf(tree)) visit(target, above);
  return { own: whole && [...ties.read].every((source) => ties.tied(source, CALLER)), ties };
}
