// An expression as Postgres itself has parsed it: the text of a pg_node_tree.
//
// The source of a policy can be written in many ways. Its tree names the columns that it reads, the functions that it
// calls and the values that it compares.

export interface Node {
  type: string;
  fields: Map<string, Value[]>;
}

export type Value = Node | Value[] | string;

/** A node with all nodes around it, the outermost first. */
export interface Placed {
  node: Node;
  within: Node[];
}

/** Reads `{OPEXPR :opno 2972 ... :args ({VAR ...} {CONST ...})}`. */
export function parseTree(text: string): Value {
  // PostgreSQL escapes these characters in names, and no others.
  const tokens = [...text.matchAll(/[(){}]|(?:\\.|[^ \n\t(){}\\])+/gs)].map(([token]) => token);
  let at = 0;
  const next = () => tokens[at++] ?? "";
  const value = (): Value => {
    const token = next();
    if (token === "{") {
      const fields = new Map<string, Value[]>();
      const type = next();
      let values: Value[] | undefined;
      while (at < tokens.length && tokens[at] !== "}") {
        // Each field has a value, and a value can be a name that begins with a colon.
        if (!values || (values.length > 0 && tokens[at]?.startsWith(":"))) fields.set(next().slice(1), (values = []));
        else values.push(value());
      }
      at++;
      return { type, fields };
    }
    if (token === "(") {
      const list: Value[] = [];
      while (at < tokens.length && tokens[at] !== ")") list.push(value());
      at++;
      return list;
    }
    return token;
  };
  return value();
}

const isNode = (value: Value | undefined): value is Node => typeof value === "object" && !Array.isArray(value);

/** The nodes of a value, each before those inside it. */
export function nodesOf(value: Value): Placed[] {
  const found: Placed[] = [];
  const visit = (value: Value, within: Node[]) => {
    if (Array.isArray(value)) for (const one of value) visit(one, within);
    if (!isNode(value)) return;
    found.push({ node: value, within });
    const inner = [...within, value];
    for (const values of value.fields.values()) visit(values, inner);
  };
  visit(value, []);
  return found;
}

/** The word that a field holds; "" if it is absent. */
export function word(node: Node, field: string): string {
  const [value] = node.fields.get(field) ?? [];
  return typeof value === "string" ? value : "";
}

/** The nodes that a field holds, alone or as a list. */
export function inside(node: Node, field: string): Node[] {
  return (node.fields.get(field) ?? []).flat(1).filter((value) => isNode(value as Value)) as Node[];
}

/** The node inside the casts that change no value. */
export function bare(node: Node): Node {
  const [inner] = ["RELABELTYPE", "COERCEVIAIO"].includes(node.type) ? inside(node, "arg") : [];
  return inner ? bare(inner) : node;
}

export const isQuery = ({ type }: Node) => type === "QUERY";
const isTable = ({ type }: Node) => type === "RANGETBLENTRY" || type === "RTE";

/** The entries of a query's FROM, in the order in which its variables count them. */
export const entries = (query: Node) => inside(query, "rtable");

export const isCoalesce = ({ type }: Node) => type === "COALESCEEXPR" || type === "COALESCE";

/** Whether a comparison holds of a column without a value to compare with: `a = coalesce(b, a)`. */
export function isVacuous(comparison: Node): boolean {
  const sides = inside(comparison, "args").map(bare);
  const same = (one: Node, other: Node) =>
    one.type === "VAR" &&
    other.type === "VAR" &&
    ["varno", "varattno", "varlevelsup"].every((field) => word(one, field) === word(other, field));
  return sides.some((side, at) =>
    nodesOf(sides[1 - at] ?? []).some(
      ({ node }) => isCoalesce(node) && inside(node, "args").some((arg) => same(bare(arg), side)),
    ),
  );
}

/** All tables and views that a tree reads. */
export function relationsOf(tree: Value): string[] {
  const read = nodesOf(tree)
    .filter(({ node }) => isTable(node))
    .map(({ node }) => word(node, "relid"));
  return [...new Set(read)].filter((oid) => oid !== "" && oid !== "0");
}

/** Whether a query uses variables of an outer query, so that it runs once for each outer row. */
export function correlated(query: Node): boolean {
  for (const { node, within } of nodesOf(query)) {
    if (node.type === "VAR" && Number(word(node, "varlevelsup")) > within.filter(isQuery).length - 1) return true;
  }
  return false;
}

/** Whether this expression is evaluated once a statement, not once a row: in `(select f())`, or `from f()`. */
export function once({ within }: Placed): boolean {
  const query = within.findLast(isQuery);
  if (!query || correlated(query)) return false;
  const tables = entries(query).filter((entry) => word(entry, "rtekind") !== "8");
  return tables.length === 0 || within.slice(within.indexOf(query)).some(isTable);
}

/** Whether a node is a variable of the row that the whole expression is about. */
export const isTop = ({ node, within }: Placed) =>
  node.type === "VAR" && Number(word(node, "varlevelsup")) === within.filter(isQuery).length;

/** The text of a constant; undefined if it is null or of another kind. */
export function textOf(node: Node): string | undefined {
  const bytes = (node.fields.get("constvalue") ?? []).filter((value): value is string => typeof value === "string");
  const values = bytes.slice(bytes.indexOf("[") + 1, bytes.lastIndexOf("]")).map((byte) => Number(byte) & 255);
  // A text begins with its length, in one or four bytes.
  const length = word(node, "constlen");
  // A name has 64 bytes.
  const whole = length === "-1" ? values.slice(4) : length === "64" ? values.slice(0, values.indexOf(0)) : undefined;
  return whole && values.length > 0 ? Buffer.from(whole).toString("utf8") : undefined;
}

/** Whether a constant is null or false, so that the condition never holds. */
export const neverHolds = (node: Node) =>
  node.type === "CONST" &&
  (word(node, "constisnull") === "true" ||
    (word(node, "consttype") === "16" && (node.fields.get("constvalue") ?? []).join(" ").includes("[ 0 ")));

/** The conditions that a query's FROM and WHERE ask of each row. */
export const conditionsOf = (query: Node): Node[] => askedOf(query).conditions;

/** Numbers of the tables of outer joins that may be without a row, because no condition and no column needs one. */
export const absentOf = (query: Node): Set<string> => askedOf(query).absent;

function askedOf(query: Node): { conditions: Node[]; absent: Set<string> } {
  const optional: { tables: Set<string>; conditions: Node[] }[] = [];
  const within = (node: Node): Node[] => {
    const sides = ["fromlist", "larg", "rarg"].flatMap((field) => inside(node, field));
    // LEFT, FULL, RIGHT: without a row on that side its columns are null.
    const kind = node.type === "JOINEXPR" ? word(node, "jointype") : "0";
    const missing = { "1": [1], "2": [0, 1], "3": [0] }[kind];
    if (!missing) return [...inside(node, "quals"), ...sides.flatMap(within)];
    for (const at of missing) {
      const side = sides[at];
      if (side)
        optional.push({
          tables: new Set(nodesOf(side).map(({ node }) => word(node, "rtindex"))),
          // A row of a FULL join need not meet its condition.
          conditions: [...(kind === "2" ? [] : inside(node, "quals")), ...within(side)],
        });
    }
    return sides.filter((_, at) => !missing.includes(at)).flatMap(within);
  };
  const all = (node: Node): Node[] => (operation(node) === "and" ? inside(node, "args").flatMap(all) : [node]);
  let conditions = inside(query, "jointree").flatMap(within).flatMap(all);
  const absent = new Set<string>();
  const shown = new Set(nodesOf(inside(query, "targetList")).map(({ node }) => word(node, "varno")));
  for (const { tables, conditions: join } of optional) {
    const needed = conditions.some((condition) => needs(condition, tables));
    const perhaps = conditions.some(
      (condition) => operation(condition) === "or" && inside(condition, "args").some((arm) => needs(arm, tables)),
    );
    conditions = withJoin(conditions, tables, join);
    if (!needed && !perhaps && ![...tables].some((table) => shown.has(table)))
      for (const table of tables) absent.add(table);
  }
  return { conditions, absent };
}

/** Conditions combined by `and`, `or` or `not`. */
export const combined = (operation: string, args: Node[]): Node => ({
  type: "BOOLEXPR",
  fields: new Map<string, Value[]>([
    ["boolop", [operation]],
    ["args", [args]],
  ]),
});

/** `and`, `or` or `not`; "" of a node of another kind. */
const operation = (node: Node) => (node.type === "BOOLEXPR" ? word(node, "boolop") : "");

/** Whether a condition holds of no row without a row of these tables. */
function needs(node: Node, tables: Set<string>): boolean {
  if (operation(node) !== "")
    return operation(node) === "and"
      ? inside(node, "args").some((arg) => needs(arg, tables))
      : operation(node) === "or" && inside(node, "args").every((arg) => needs(arg, tables));
  return (
    ["OPEXPR", "SCALARARRAYOPEXPR"].includes(node.type) &&
    nodesOf(node).some(
      ({ node, within }) =>
        node.type === "VAR" &&
        tables.has(word(node, "varno")) &&
        Number(word(node, "varlevelsup")) === within.filter(isQuery).length,
    )
  );
}

/** The conditions with those of an outer join, where one of them needs a row of its tables. */
function withJoin(asked: Node[], tables: Set<string>, join: Node[]): Node[] {
  const both = (node: Node) => combined("and", [node, ...join]);
  if (asked.some((node) => needs(node, tables))) return [...asked, ...join];
  return asked.map((node) =>
    operation(node) === "or"
      ? {
          type: node.type,
          fields: new Map(node.fields).set(
            "args",
            inside(node, "args").map((arm) => (needs(arm, tables) ? both(arm) : arm)),
          ),
        }
      : node,
  );
}
