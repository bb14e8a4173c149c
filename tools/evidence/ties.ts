// The ties of a condition: between the row that a policy decides about, the caller, and the tables that it reads.
//
// A policy is sound if each of its branches ties the row to the caller, by equal values or through rows of other tables.
// So the sources of each value are found (the row, the caller, a table of a query), and each equality joins the sources of
// its two sides. Functions are read as if their bodies stood in their place.

import { type Called, isUnread, LENGTHS, PARTS, withoutComments } from "./bodies.ts";
import { escaped, list } from "./finding.ts";
import {
  absentOf,
  bare,
  combined,
  conditionsOf,
  entries,
  inside,
  isCoalesce,
  isQuery,
  isVacuous,
  type Node,
  neverHolds,
  nodesOf,
  type Placed,
  relationsOf,
  textOf,
  type Value,
  word,
} from "./tree.ts";

export const ROW = "row";
export const CALLER = "caller";

/** The queries around an expression, the innermost first, so that a variable can be found. */
export type Scope =
  | { kind: "row"; relation: string }
  | { kind: "query"; id: string; query: Node; definer: boolean; above: Scope }
  | { kind: "call"; values: Condition[]; definer: boolean };

export interface Condition {
  node: Node;
  scope: Scope;
}

/** The scope that many queries further out, and the levels that are left where the queries end. */
export function outward(from: Scope, levels: number): { scope: Scope; left: number } {
  let [scope, left] = [from, levels];
  for (; left > 0 && scope.kind === "query"; left--) scope = scope.above;
  return { scope, left };
}

/** A column of a table that a condition reads, and the value that it is compared with. */
export interface Use {
  relation: string;
  column: string;
  source: string;
  /** `present`: it is not null; `absent`: it is. */
  against: "constant" | "caller" | "other" | "present" | "absent";
  /** The constant's text. */
  value?: string | undefined;
  /** The texts of a list of constants. */
  values?: string[];
  /** The operator of a comparison that ties nothing, such as `<>`. */
  loose?: string;
  /** Another value holds too, or another branch of the same condition does not read it. */
  sometimes?: true;
}

export interface Facts {
  functions: Map<string, Called>;
  operators: Map<string, string>;
  views: { name: string; tree: Value }[];
  /** The rows that a client reads in the table: those that are tied to the caller, also public ones, or any. */
  rowsOf(relation: string): "own" | "public" | "any";
  /** Whether a column of a table is NOT NULL. */
  filled(relation: string, column: string): boolean;
  /** The text of each value of an enum, by its oid. */
  labels: Map<string, string>;
  /** Take an unread function for one that asks nothing about its caller. */
  strict?: boolean;
}

/** Sources that are tied together. */
export class Ties {
  readonly #parents = new Map<string, string>();
  /** Each tie that was made. */
  readonly #groups: string[][] = [];
  readonly uses: Use[] = [];
  /** Columns of the row that are compared with constants. */
  readonly ofRow: Use[] = [];
  /** Columns of the row that are compared with a claim of the caller's itself. */
  readonly owners: string[] = [];
  /** Columns of the row that are compared with a column of another table. */
  readonly links: string[] = [];
  /** Comparisons of a table's column with a column of the same row. */
  readonly vain: Use[] = [];
  /** Tables whose rows a client reads because they are its own, or public. */
  readonly shown = new Set<string>();
  /** The table or view of each source. */
  readonly relations = new Map<string, string>();
  /** Tables, views, and functions of the project that a query reads rows from. */
  readonly read = new Set<string>();

  #root(source: string): string {
    const above = this.#parents.get(source);
    if (above === undefined) this.#parents.set(source, source);
    return above === undefined || above === source ? source : this.#root(above);
  }

  tie(sources: Iterable<string>): void {
    const [first, ...others] = sources;
    if (others.length > 0 && first !== undefined) this.#groups.push([first, ...others]);
    if (first !== undefined)
      for (const other of [first, ...others]) this.#parents.set(this.#root(other), this.#root(first));
  }

  tied(one: string, other: string): boolean {
    return (
      one === other || (this.#parents.has(one) && this.#parents.has(other) && this.#root(one) === this.#root(other))
    );
  }

  with(source: string): string[] {
    return [...this.#parents.keys()].filter((other) => other !== source && this.tied(source, other));
  }

  all = () => [...this.#parents.keys()];

  /** What a query reads rows from, without what only values aside read. */
  rows = () => this.all().filter((source) => this.read.has(source));

  /** Sources that are tied to the caller by other ways than through the row. */
  besidesRow(): Set<string> {
    const found = new Set([CALLER]);
    for (let size = 0; size < found.size; ) {
      size = found.size;
      for (const group of this.#groups)
        if (group.some((one) => found.has(one))) for (const one of group) if (one !== ROW) found.add(one);
    }
    return found;
  }

  copy(): Ties {
    const copy = new Ties();
    copy.#groups.push(...this.#groups);
    for (const source of this.shown) copy.shown.add(source);
    for (const [source, relation] of this.relations) copy.relations.set(source, relation);
    for (const source of this.read) copy.read.add(source);
    for (const [source, above] of this.#parents) copy.#parents.set(source, above);
    return copy;
  }
}

/** Operators that do not tie: true of nearly everything, or with a schema before them because the database defines them. */
export const LOOSE = /^(<>|!=|<|>|<=|>=|!~~?\*?|!~)$|\./;
const BOOLEAN_UNEQUAL = "85";
const BOOLEAN_EQUALS = /^(91|85)$/;
/** Of arrays and of JSON: `<@` and `@>`. The empty value is contained in each. */
const CONTAINED = /^(2752|3250)$/;
const CONTAINS = /^(2751|3246)$/;
/** count(x) and count(*), which have a value without a row too. */
const COUNTS = /^(2147|2803)$/;
const CLAIM = /^request\.jwt/;
const MOST_BRANCHES = 200;

export class Reader {
  readonly #facts: Facts;
  #queries = 0;
  readonly #asking = new Map<string, boolean>();
  readonly #scopes = new WeakMap<Node, Map<Scope, Scope>>();

  constructor(facts: Facts) {
    this.#facts = facts;
  }

  get strict(): boolean {
    return this.#facts.strict === true;
  }

  called(node: Node): Called | undefined {
    return this.#facts.functions.get(word(node, "funcid"));
  }

  /** The text of a constant: of a text, a boolean, a number or a value of an enum. */
  text(node: Node): string | undefined {
    if (node.type !== "CONST" || word(node, "constisnull") === "true") return undefined;
    if (isBoolean(node)) return String(!neverHolds(node));
    const number = numberOf(node);
    if (number === undefined) return textOf(node);
    return INTEGERS.has(word(node, "consttype")) ? String(number) : this.#facts.labels.get(String(number));
  }

  /** The constants that a value names, also as an argument of the function around it. */
  constants(value: Node, scope: Scope): string[] {
    return nodesOf(value).flatMap(({ node, within }) => {
      if (node.type !== "VAR") return this.text(node) ?? [];
      const { scope: found, left } = outward(scope, Number(word(node, "varlevelsup")) - within.filter(isQuery).length);
      const passed = left === 0 && found.kind === "call" ? found.values[Number(word(node, "varattno")) - 1] : undefined;
      return passed ? this.constants(passed.node, passed.scope) : [];
    });
  }

  operator = (node: Node) => this.#facts.operators.get(word(node, "opno")) ?? "";

  /** Whether the body of a function asks who the caller is, itself or by a function that it calls. */
  asks(called: Called): boolean {
    if (called.schema === "auth" && called.foreign) return ["uid", "jwt", "email"].includes(called.name);
    if (called.schema === "pg_catalog") return false;
    const known = this.#asking.get(called.oid);
    if (known !== undefined) return known;
    this.#asking.set(called.oid, false);
    if (this.#facts.strict && isUnread(called)) return false;
    const source = withoutComments(called.source);
    const asks =
      /auth\.(uid|jwt|email)\b|request\.jwt/.test(source) ||
      this.calledBy({ ...called, source }).some((next) => this.asks(next)) ||
      this.#readsAsking(source);
    this.#asking.set(called.oid, asks);
    return asks;
  }

  /** Whether a text reads a view that asks who the caller is. */
  #readsAsking(source: string): boolean {
    return this.#facts.views.some(
      ({ name, tree }) =>
        source.includes(name) &&
        nodesOf(tree).some(({ node }) => node.type === "FUNCEXPR" && this.called(node)?.schema === "auth"),
    );
  }

  /** Functions of the project that a function's text calls. */
  calledBy({ source, oid, searchPath }: Called): Called[] {
    return [...this.#facts.functions.values()].filter(
      (next) =>
        !next.foreign && next.oid !== oid && source.includes(next.name) && callOf(next, searchPath).test(source),
    );
  }

  /** The functions that a tree calls, with those that their bodies call. */
  reached(tree: Value): Called[] {
    const found = new Map<string, Called>();
    const visit = (called: Called | undefined) => {
      if (!called || found.has(called.oid) || called.schema === "pg_catalog") return;
      found.set(called.oid, called);
      if (called.foreign) return;
      if (called.tree)
        for (const { node } of nodesOf(called.tree)) if (node.type === "FUNCEXPR") visit(this.called(node));
      for (const next of this.calledBy(called)) visit(next);
    };
    for (const { node } of nodesOf(tree)) if (node.type === "FUNCEXPR") visit(this.called(node));
    return [...found.values()];
  }

  /** The branches of an OR, each with all its conditions. */
  branches(node: Node, scope: Scope, depth = 0): Condition[][] {
    const again = (next: Node, in_ = scope) => this.branches(next, in_, depth + 1);
    const alone = [[{ node, scope }]];
    if (depth > 40) return alone;
    const args = inside(node, "args");
    if (node.type === "BOOLEXPR") {
      const op = word(node, "boolop");
      if (op === "or") return args.flatMap((arg) => again(arg));
      if (op === "and") {
        return args.reduce<Condition[][]>(
          (all, arg) => {
            const further = again(arg);
            return all.length * further.length > MOST_BRANCHES
              ? all.map((branch) => [...branch, { node: arg, scope }])
              : all.flatMap((branch) => further.map((one) => [...branch, ...one]));
          },
          [[]],
        );
      }
      const [arg] = args;
      if (arg?.type === "BOOLEXPR" && word(arg, "boolop") === "not")
        return inside(arg, "args").flatMap((inner) => again(inner));
    }
    // One of its values decides.
    if (isCoalesce(node)) return args.filter((arg) => !neverHolds(arg)).flatMap((arg) => again(arg));
    if (node.type === "BOOLEANTEST" && word(node, "booltesttype") === "0")
      return inside(node, "arg").flatMap((arg) => again(arg));
    if (node.type === "BOOLEANTEST" && word(node, "booltesttype") === "2")
      return [inside(node, "arg").map((arg) => ({ node: combined("not", [arg]), scope }))];
    // f(x) = true
    if (node.type === "OPEXPR" && BOOLEAN_EQUALS.test(word(node, "opno"))) {
      const at = args.findIndex(isBoolean);
      const other = args[1 - at];
      if (at >= 0 && other && other.type !== "VAR" && !readsValue(other)) {
        const holds = neverHolds(args[at] as Node) === (word(node, "opno") === BOOLEAN_UNEQUAL);
        return holds ? again(other) : [[{ node: combined("not", [other]), scope }]];
      }
    }
    if (["RELABELTYPE", "COERCEVIAIO"].includes(node.type)) return inside(node, "arg").flatMap((arg) => again(arg));
    if (node.type === "CASEEXPR" || node.type === "CASE") {
      const whens = args.flatMap((when) => {
        const results = inside(when, "result").flatMap((result) => again(result));
        return inside(when, "expr")
          .flatMap((expr) => again(expr))
          .flatMap((left) => results.map((right) => [...left, ...right]));
      });
      return [...whens, ...inside(node, "defresult").flatMap((otherwise) => again(otherwise))];
    }
    if (node.type === "SUBLINK" && word(node, "subLinkType") === "4") {
      const [query] = inside(node, "subselect");
      const target = query && targetsOf(query)[0];
      if (query && target && entries(query).length === 0 && inside(query, "setOperations").length === 0) {
        const inner = this.enter(query, scope);
        return conditionsOf(query).reduce(
          (all, condition) => all.flatMap((branch) => again(condition, inner).map((one) => [...branch, ...one])),
          again(target, inner),
        );
      }
    }
    if (node.type === "FUNCEXPR") {
      const body = this.body(node, scope);
      if (body && this.called(node)?.returnsBoolean) return again(body.node, body.scope);
    }
    return alone;
  }

  /** The body of the function that is called, with the call's values for its arguments. */
  body(call: Node, scope: Scope): Condition | undefined {
    const called = this.called(call);
    const target = called?.tree && targetsOf(called.tree)[0];
    if (!called || !target || (this.#facts.strict && called.partly)) return undefined;
    const values = inside(call, "args").map((node) => ({ node, scope }));
    const definer = called.definer || (scope.kind !== "row" && scope.definer);
    return { node: target, scope: this.#once(call, scope, () => ({ kind: "call", values, definer })) };
  }

  /** One scope for one node in one scope, so that its sources keep their names. */
  #once(node: Node, above: Scope, make: () => Scope): Scope {
    const known = this.#scopes.get(node) ?? new Map<Scope, Scope>();
    this.#scopes.set(node, known);
    const scope = known.get(above) ?? make();
    known.set(above, scope);
    return scope;
  }

  /** The scope of a query in `above`. */
  enter(query: Node, above: Scope): Scope {
    return this.#once(query, above, () => ({
      kind: "query",
      id: `q${++this.#queries}`,
      query,
      definer: above.kind !== "row" && above.definer,
      above,
    }));
  }

  /**
   * The sources of a value: the row, the caller, tables of queries around it. Also adds the ties of its sub-queries.
   */
  sources(value: Value, scope: Scope, ties: Ties): Set<string> {
    if (typeof value === "string") return new Set();
    if (Array.isArray(value)) return new Set(value.flatMap((one) => [...this.sources(one, scope, ties)]));
    if (value.type === "VAR") return this.#ofVariable(value, scope, ties);
    // These have a value without the rows of their sub-queries too.
    if (UNSURE.has(value.type) || (value.type === "SUBLINK" && "012".includes(word(value, "subLinkType"))))
      return aside(ties, (copy) => this.#sourcesOf(value, scope, copy));
    return this.#sourcesOf(value, scope, ties);
  }

  #sourcesOf(value: Node, scope: Scope, ties: Ties): Set<string> {
    const found = new Set<string>();
    const add = (more: Iterable<string>) => {
      for (const source of more) found.add(source);
    };
    if (isCoalesce(value)) {
      const each = inside(value, "args").map((arg) => ({ arg, sources: this.sources(arg, scope, ties) }));
      // An argument that the caller of a function chooses, or a setting that any function may write.
      const isFree = ({ node }: Placed) => node.type === "VAR" || this.called(node)?.name === "current_setting";
      if (each.some(({ arg, sources }) => sources.size === 0 && nodesOf(arg).some(isFree))) return found;
      add(each.flatMap(({ sources }) => [...sources]));
      return found;
    }
    if (value.type === "FUNCEXPR") {
      const called = this.called(value);
      const body = this.body(value, scope);
      if (called && this.#isClaim(called, value)) add([CALLER]);
      else if (called?.schema === "realtime" && called.name === "topic") add([ROW]);
      else if (body) return this.sources(body.node, body.scope, ties);
      else if (called && !called.foreign && this.asks(called)) add([CALLER]);
      add(this.sources(inside(value, "args"), scope, ties));
      return found;
    }
    if (value.type === "SUBLINK") {
      const [query] = inside(value, "subselect");
      if (!query) return found;
      const { targets } = this.read(query, scope, ties);
      add(targets.flatMap((sources) => [...sources]));
      if (found.size === 0 || word(value, "subLinkType") === "0") {
        // EXISTS, or an aggregate: all that its conditions name.
        for (const { node } of nodesOf(inside(query, "jointree")))
          if (node.type === "FUNCEXPR" && this.called(node) && this.#isClaim(this.called(node)!, node)) add([CALLER]);
      }
      add(this.sources(inside(value, "testexpr"), scope, ties));
      return found;
    }
    for (const values of value.fields.values()) add(this.sources(values, scope, ties));
    return found;
  }

  #isClaim(called: Called, node: Node): boolean {
    if (called.schema === "auth" && called.foreign) return this.asks(called);
    return (
      called.schema === "pg_catalog" &&
      called.name === "current_setting" &&
      nodesOf(inside(node, "args")).some((arg) => CLAIM.test(textOf(arg.node) ?? ""))
    );
  }

  /** Where a variable comes from. */
  place(variable: Node, scope: Scope): { scope: Scope; entry?: Node; at: number; column: string } {
    const { scope: found } = outward(scope, Number(word(variable, "varlevelsup")));
    const at = Number(word(variable, "varno"));
    const entry = found.kind === "query" ? entries(found.query)[at - 1] : undefined;
    return { scope: found, at, column: word(variable, "varattno"), ...(entry && { entry }) };
  }

  #ofVariable(variable: Node, scope: Scope, ties: Ties): Set<string> {
    const { scope: found, entry, at, column } = this.place(variable, scope);
    if (found.kind === "row") return new Set([ROW]);
    if (found.kind === "call") {
      const value = found.values[Number(column) - 1];
      return value ? this.sources(value.node, value.scope, ties) : new Set();
    }
    if (entry && word(entry, "rtekind") === "2") {
      const joined = inside(entry, "joinaliasvars")[Number(column) - 1];
      return joined ? this.sources(joined, found, ties) : new Set();
    }
    return new Set([`${found.id}.${at}`]);
  }

  /**
   * Reads a query: adds the ties of its tables and conditions; returns the sources of its columns. `values`: a row counts
   * by the values of its columns. Else it is there whether or not the sub-queries among its columns have a row.
   */
  read(query: Node, above: Scope, ties: Ties, values = true): { targets: Set<string>[]; scope: Scope } {
    const scope = this.enter(query, above) as Extract<Scope, { kind: "query" }>;
    const arms = inside(query, "setOperations").flatMap(armsOf);
    const absent = absentOf(query);
    for (const [at, entry] of entries(query).entries()) {
      if (absent.has(String(at + 1))) continue;
      const source = `${scope.id}.${at + 1}`;
      ties.tie([source]);
      const kind = word(entry, "rtekind");
      const relation = word(entry, "relid");
      if (kind === "0") ties.relations.set(source, relation);
      const isOfProject = ({ node }: Placed) => node.type === "FUNCEXPR" && this.called(node)?.foreign === false;
      if (kind === "0" || (kind === "3" && nodesOf(inside(entry, "functions")).some(isOfProject)))
        ties.read.add(source);
      const rows = kind === "0" && !scope.definer ? this.#facts.rowsOf(relation) : "any";
      if (rows === "own") ties.tie([source, CALLER]);
      if (rows === "public") ties.shown.add(source);
      const derived = arms.includes(at + 1) ? undefined : this.#derived(entry, scope);
      if (derived) this.#join(source, derived.query, derived.above, ties);
      if (kind === "3") ties.tie([source, ...this.sources(inside(entry, "functions"), scope, ties)]);
    }
    for (const condition of conditionsOf(query)) this.tie({ node: condition, scope }, ties);
    const own = targetsOf(query);
    if (arms.length > 0)
      return {
        targets: this.#united(
          arms.map((at) => inside(entries(query)[at - 1] ?? query, "subquery")),
          own.length,
          scope,
          ties,
          values,
        ),
        scope,
      };
    const targets = (into: Ties) => own.map((target) => this.sources(target, scope, into));
    return { targets: values ? targets(ties) : aside(ties, targets), scope };
  }

  /** The query whose rows an entry of FROM has, a sub-query or one of WITH. Of a recursive one, the query for its first rows, if the others follow from them. */
  #derived(entry: Node, scope: Scope): { query: Node; above: Scope } | undefined {
    const [sub] = inside(entry, "subquery");
    if (word(entry, "rtekind") === "1" && sub) return { query: sub, above: scope };
    if (word(entry, "rtekind") !== "6") return undefined;
    const { scope: named } = outward(scope, Number(word(entry, "ctelevelsup")));
    const table =
      named.kind === "query"
        ? inside(named.query, "cteList").find((one) => word(one, "ctename") === word(entry, "ctename"))
        : undefined;
    const [query] = table ? inside(table, "ctequery") : [];
    if (!table || !query) return undefined;
    if (word(entry, "self_reference") === "true") return undefined;
    if (word(table, "cterecursive") !== "true") return { query, above: named };
    const above = this.enter(query, named);
    const [arm, ...others] = inside(query, "setOperations")
      .flatMap(armsOf)
      .flatMap((at) => inside(entries(query)[at - 1] ?? query, "subquery"));
    if (!arm) return { query, above: named };
    return { query: others.find((other) => !this.#follows(other, above)) ?? arm, above };
  }

  /** Whether the tables that a recursive query reads for its next rows are tied to the rows before. */
  #follows(query: Node, above: Scope): boolean {
    const ties = new Ties();
    const { scope } = this.read(query, above, ties);
    const source = (at: number) => `${scope.kind === "query" ? scope.id : ""}.${at + 1}`;
    const before = entries(query).findIndex((entry) => word(entry, "self_reference") === "true");
    return entries(query).every(
      (entry, at) => word(entry, "rtekind") !== "0" || before < 0 || ties.tied(source(at), source(before)),
    );
  }

  /** The columns of a UNION, with the ties that all of its queries share. */
  #united(
    arms: Node[][],
    width: number,
    scope: Extract<Scope, { kind: "query" }>,
    ties: Ties,
    values: boolean,
  ): Set<string>[] {
    const names = Array.from({ length: width }, (_, at) => `${scope.id}.union${at}`);
    const each = arms.map((arm) => {
      const copy = ties.copy();
      for (const sub of arm)
        for (const [at, target] of this.read(sub, scope, copy, values).targets.entries())
          copy.tie([names[at] ?? "", ...target]);
      keep(copy, ties);
      return copy;
    });
    for (const name of names) {
      ties.tie([name]);
      for (const other of [ROW, CALLER, ...ties.with(ROW)])
        if (each.every((copy) => copy.tied(name, other))) ties.tie([name, other]);
    }
    // Then the tables of all arms are read for the caller.
    if (names.some((name) => ties.tied(name, CALLER)))
      for (const copy of each)
        for (const source of copy.with(CALLER))
          if (source !== ROW && !copy.tied(source, ROW)) ties.tie([source, CALLER]);
    return names.map((name) => new Set([name]));
  }

  #join(source: string, sub: Node, scope: Scope, ties: Ties): void {
    for (const target of this.read(sub, scope, ties).targets) ties.tie([source, ...target]);
  }

  /** Adds the ties of a condition. */
  tie(condition: Condition, ties: Ties): void {
    const { node, scope } = condition;
    const branches = this.branches(node, scope);
    const [only] = branches;
    if (branches.length === 1 && only) {
      for (const one of only) this.#atom(one, ties);
      return;
    }
    // Only ties that all branches share count.
    const each = branches
      .filter((branch) => !branch.some((one) => neverHolds(one.node)))
      .map((branch) => {
        const copy = ties.copy();
        for (const one of branch) this.#atom(one, copy);
        ties.owners.push(...copy.owners);
        ties.links.push(...copy.links);
        for (const source of copy.shown) ties.shown.add(source);
        return copy;
      });
    const same = (one: Use) => (other: Use) =>
      one.source === other.source && one.column === other.column && one.value === other.value;
    for (const copy of each) {
      const uses = copy.uses.map((use) =>
        each.every((other) => other.uses.some(same(use))) ? use : { ...use, sometimes: true as const },
      );
      keep(copy, ties, uses);
    }
    const [first, ...others] = each;
    if (!first) return;
    const sources = [ROW, CALLER, ...first.with(ROW), ...first.with(CALLER)];
    for (const one of sources)
      for (const other of sources)
        if (first.tied(one, other) && others.every((ties) => ties.tied(one, other))) ties.tie([one, other]);
  }

  #atom({ node, scope }: Condition, ties: Ties): void {
    const args = inside(node, "args");
    if (node.type === "OPEXPR" || node.type === "SCALARARRAYOPEXPR") {
      this.#compare(node, args, scope, scope, ties);
      return;
    }
    if (node.type === "BOOLEXPR" && word(node, "boolop") === "not") {
      const [arg] = args;
      if (
        (arg?.type === "DISTINCTEXPR" && !LOOSE.test(this.operator(arg)) && this.#isFilled(arg, scope)) ||
        (arg?.type === "OPEXPR" && /^(<>|!=)$/.test(this.operator(arg)))
      )
        this.#equal(inside(arg, "args"), scope, scope, ties);
      // Not null: there is such a row.
      if (arg?.type === "NULLTEST" && word(arg, "nulltesttype") === "0") this.#present(arg, scope, ties);
      if (arg?.type === "VAR")
        for (const flag of this.#columns(arg, scope))
          this.#use(flag.node, flag.in, { against: "constant", value: "false", values: ["false"] }, ties);
      return;
    }
    if (node.type === "SUBLINK") {
      this.#sublink(node, scope, ties);
      return;
    }
    if (node.type === "FUNCEXPR") {
      const sources = this.sources(node, scope, ties);
      if (!isOpenPattern(args)) ties.tie(sources);
      return;
    }
    if (node.type === "VAR") {
      const { scope: found, column } = this.place(node, scope);
      this.#use(node, scope, { against: "constant", value: "true", values: ["true"] }, ties);
      if (found.kind === "call") {
        const value = found.values[Number(column) - 1];
        if (value) this.tie(value, ties);
      }
      return;
    }
    if (node.type === "NULLTEST") {
      const isNull = word(node, "nulltesttype") === "0";
      for (const { node: arg, in: in_ } of inside(node, "arg").flatMap((arg) => this.#columns(arg, scope)))
        this.#use(arg, in_, { against: isNull ? "absent" : "present" }, ties);
      // Null: there is no such row.
      if (!isNull) this.#present(node, scope, ties);
      return;
    }
    // An expression of another kind ties nothing.
    aside(ties, (copy) => this.sources(node, scope, copy));
  }

  /** Remembers the use of a column of the row, or of a table. */
  #use(variable: Node, scope: Scope, how: Omit<Use, "relation" | "column" | "source">, ties: Ties): void {
    const { scope: found, at, column, entry } = this.place(variable, scope);
    if (found.kind === "row") ties.ofRow.push({ relation: found.relation, column, source: ROW, ...how });
    if (found.kind === "query" && entry)
      ties.uses.push({ relation: word(entry, "relid"), column, source: `${found.id}.${at}`, ...how });
  }

  /** The ties of a value that is not null: its sub-queries have a row, unless they count. */
  #present(test: Node, scope: Scope, ties: Ties): void {
    const [value] = inside(test, "arg").map((arg) => this.#bodyOf(bare(arg), scope));
    if (!value) return;
    if (counts([value]) || isCoalesce(value)) aside(ties, (copy) => this.sources(value, scope, copy));
    else this.sources(inside(test, "arg"), scope, ties);
  }

  #sublink(node: Node, scope: Scope, ties: Ties): void {
    const [query] = inside(node, "subselect");
    const kind = word(node, "subLinkType");
    if (!query) return;
    if (kind === "0") {
      this.read(query, scope, ties, false);
    } else if (kind === "4") {
      const { scope: inner } = this.read(query, scope, ties);
      const [target] = targetsOf(query);
      if (target) this.tie({ node: target, scope: inner }, ties);
    } else if (kind === "2") {
      const { targets, scope: inner } = this.read(query, scope, ties);
      for (const test of inside(node, "testexpr").flatMap((test) =>
        test.type === "BOOLEXPR" ? inside(test, "args") : [test],
      )) {
        if (LOOSE.test(this.operator(test))) continue;
        const [left, right] = inside(test, "args").map(bare);
        const at = Number(right ? word(right, "paramid") || "1" : "1") - 1;
        const target = targetsOf(query)[at];
        if (!left) continue;
        ties.tie([...this.sources(left, scope, ties), ...(targets[at] ?? [])]);
        if (target) this.#note(left, scope, target, inner, ties);
      }
    }
  }

  #compare(node: Node, args: Node[], left: Scope, right: Scope, ties: Ties): void {
    const values = args.map((arg) => this.#bodyOf(bare(arg), left));
    if (holdsWithout(node, this.operator(node), values)) {
      aside(ties, (copy) => {
        for (const arg of args) this.sources(arg, left, copy);
      });
      return;
    }
    if (
      LOOSE.test(this.operator(node)) ||
      isVacuous(node) ||
      (PATTERN.test(this.operator(node)) && isOpenPattern(args)) ||
      args.some(({ type }) => type === "MINMAXEXPR" || type === "MINMAX")
    ) {
      for (const arg of args) this.sources(arg, left, ties);
      const [one, other] = args;
      const noted = [ties.uses.length, ties.ofRow.length];
      if (one && other) this.#note(one, left, other, right, ties);
      for (const use of [...ties.uses.slice(noted[0]), ...ties.ofRow.slice(noted[1])]) {
        use.sometimes = true;
        use.loose = this.operator(node);
      }
      return;
    }
    this.#equal(args, left, right, ties);
  }

  #equal(args: Node[], left: Scope, right: Scope, ties: Ties): void {
    const [one, other] = args;
    if (!one || !other) return;
    const [ofOne, ofOther] = [this.sources(one, left, ties), this.sources(other, right, ties)];
    // The caller's id on both sides can be equal to itself: auth.uid() = any (array[user_id, auth.uid()])
    const vacuous = ofOne.has(CALLER) && ofOther.has(CALLER);
    const partly =
      nodesOf(args).some(({ node }) => this.#isPartOfUid(node)) || args.some((arg) => this.#isLength(bare(arg)));
    if (ofOne.size > 0 && ofOther.size > 0 && !vacuous && !partly) ties.tie([...ofOne, ...ofOther]);
    // The claim's member that the row names: app_metadata -> 'roles' ->> org_id::text = 'admin'
    if (ofOther.size === 0 && this.#isLookedUp(bare(one), left)) ties.tie(ofOne);
    if (ofOne.size === 0 && this.#isLookedUp(bare(other), right)) ties.tie(ofOther);
    this.#note(one, left, other, right, ties);
  }

  /** The expression that a call of a function evaluates; other nodes as they are. */
  #bodyOf(node: Node, scope: Scope): Node {
    const body = node.type === "FUNCEXPR" ? this.body(node, scope) : undefined;
    if (body) return this.#bodyOf(bare(body.node), body.scope);
    const [query] = node.type === "SUBLINK" && !readsValue(node) ? inside(node, "subselect") : [];
    const target = query && word(node, "subLinkType") === "4" ? targetsOf(query)[0] : undefined;
    return query && target ? this.#bodyOf(bare(target), this.enter(query, scope)) : node;
  }

  /** A member of a claim, with a name that the row has. */
  #isLookedUp(node: Node, scope: Scope): boolean {
    const [claim] = node.type === "OPEXPR" && /^->>?$/.test(this.operator(node)) ? inside(node, "args") : [];
    const sources = claim ? this.sources(claim, scope, new Ties()) : new Set<string>();
    return sources.size === 1 && sources.has(CALLER);
  }

  /** A length or a depth, which many values share. */
  #isLength(node: Node): boolean {
    const called = node.type === "FUNCEXPR" ? this.called(node) : undefined;
    return called?.foreign === true && LENGTHS.has(called.name);
  }

  /** A part of the caller's id, or its length, which other callers share. */
  #isPartOfUid(node: Node): boolean {
    const called = node.type === "FUNCEXPR" ? this.called(node) : undefined;
    return (
      called?.schema === "pg_catalog" &&
      PARTS.has(called.name) &&
      nodesOf(inside(node, "args")).some((arg) => {
        const inner = arg.node.type === "FUNCEXPR" ? this.called(arg.node) : undefined;
        return inner?.schema === "auth" && inner.name === "uid";
      })
    );
  }

  /** Whether a column on one side of a comparison is never null, so that two nulls do not meet. */
  #isFilled(comparison: Node, scope: Scope): boolean {
    return inside(comparison, "args")
      .map(bare)
      .some((side) => {
        if (side.type !== "VAR") return false;
        const { scope: found, column, entry } = this.place(side, scope);
        const relation = found.kind === "row" ? found.relation : entry ? word(entry, "relid") : "";
        return this.#facts.filled(relation, column);
      });
  }

  /** Remembers the compared columns of tables, with the other sides. */
  #note(one: Node, oneScope: Scope, other: Node, otherScope: Scope, ties: Ties): void {
    const sides: [Node, Scope, Node, Scope][] = [
      [one, oneScope, other, otherScope],
      [other, otherScope, one, oneScope],
    ];
    for (const [side, scope, against, againstScope] of sides) {
      for (const { node, in: in_ } of this.#columns(side, scope)) {
        const { scope: found, at, column, entry } = this.place(node, in_);
        const direct = (sources: Set<string>) =>
          sources.size === 1 && sources.has(CALLER) && relationsOf([against]).length === 0;
        if (found.kind === "row") {
          const sources = this.sources(against, againstScope, ties.copy());
          if (sources.size === 0)
            this.#use(node, in_, { against: "constant", values: this.constants(against, againstScope) }, ties);
          else if (direct(sources)) ties.owners.push(column);
          else if ([...sources].some((source) => source !== ROW && source !== CALLER)) ties.links.push(column);
        }
        if (found.kind !== "query" || !entry || word(entry, "rtekind") !== "0") continue;
        const source = `${found.id}.${at}`;
        const sources = this.sources(against, againstScope, ties.copy());
        const use = { relation: word(entry, "relid"), column, source };
        const values = this.constants(against, againstScope);
        if (sources.size === 0) ties.uses.push({ ...use, against: "constant", value: values[0], values });
        else if (direct(sources)) ties.uses.push({ ...use, against: "caller" });
        else ties.uses.push({ ...use, against: "other" });
        if (
          bare(side) === node &&
          nodesOf(against).some((placed) => placed.node.type === "VAR") &&
          sources.size === 1 &&
          sources.has(source)
        )
          ties.vain.push({ ...use, against: "other" });
      }
    }
  }

  /** The columns that a value is, or that its sub-query selects. */
  #columns(value: Node, scope: Scope): { node: Node; in: Scope }[] {
    const node = bare(value);
    if (node.type === "VAR") {
      const { scope: found, column, entry } = this.place(node, scope);
      const passed = found.kind === "call" ? found.values[Number(column) - 1] : undefined;
      if (passed) return this.#columns(passed.node, passed.scope);
      // FROM unnest(p.teams): the columns that the function is given.
      if (entry && word(entry, "rtekind") === "3")
        return inside(entry, "functions")
          .flatMap((one) => inside(one, "funcexpr"))
          .flatMap((call) => this.#columns(call, found));
      // FROM (select ...) p, WITH p AS (select ...): the columns that the query selects.
      const derived = entry && this.#derived(entry, found);
      const target = derived && targetsOf(derived.query)[Number(column) - 1];
      if (derived && target) return this.#columns(target, this.enter(derived.query, derived.above));
      return [{ node, in: scope }];
    }
    if (node.type === "SUBLINK") {
      const [query] = inside(node, "subselect");
      const [target] = query && ["4", "6"].includes(word(node, "subLinkType")) ? targetsOf(query) : [];
      return query && target ? this.#columns(target, this.enter(query, scope)) : [];
    }
    if (node.type === "FUNCEXPR") {
      const body = this.body(node, scope);
      if (body) return this.#columns(body.node, body.scope);
    }
    // lower(p.role), p.claims ->> 'role', coalesce(p.role, ''), unnest(p.teams)
    if (["FUNCEXPR", "OPEXPR"].includes(node.type) || isCoalesce(node))
      return inside(node, "args").flatMap((arg) => this.#columns(arg, scope));
    return [];
  }
}

/** A call of a function in a text, up to its arguments. Its schema may be missing if the search_path has it. */
export function callOf({ schema, name }: Called, searchPath = ""): RegExp {
  const alone = list(searchPath.replaceAll('"', "")).includes(schema) ? `|(?<![\\w$."'])"?` : "";
  return new RegExp(`(?:\\b${escaped(schema)}"?\\s*\\.\\s*"?${alone})${escaped(name)}"?\\s*\\(`);
}

/** The places of a UNION's arms; of EXCEPT and INTERSECT, the first. */
function armsOf(node: Node): number[] {
  if (node.type === "RANGETBLREF") return [Number(word(node, "rtindex"))];
  return (word(node, "op") === "1" ? ["larg", "rarg"] : ["larg"]).flatMap((side) => inside(node, side).flatMap(armsOf));
}

/** Nodes that have a value where the sub-queries inside them have no row. */
const UNSURE = new Set([
  "BOOLEXPR",
  "BOOLEANTEST",
  "NULLTEST",
  "DISTINCTEXPR",
  "CASEEXPR",
  "CASE",
  "MINMAXEXPR",
  "MINMAX",
]);

/** Keeps the uses that were noted in a copy, and not its ties. */
function keep(copy: Ties, ties: Ties, uses = copy.uses): void {
  ties.uses.push(...uses);
  ties.vain.push(...copy.vain);
  for (const [source, relation] of copy.relations) ties.relations.set(source, relation);
  for (const source of copy.read) ties.read.add(source);
}

function aside<T>(ties: Ties, work: (copy: Ties) => T): T {
  const copy = ties.copy();
  const result = work(copy);
  keep(copy, ties);
  return result;
}

/** A value of a row that is read, in difference to EXISTS. */
const readsValue = (node: Node) =>
  node.type === "SUBLINK" &&
  word(node, "subLinkType") === "4" &&
  inside(node, "subselect").some((query) => entries(query).length > 0);

const isBoolean = (node: Node) =>
  node.type === "CONST" && word(node, "consttype") === "16" && word(node, "constisnull") !== "true";

const PATTERN = /^(~~\*?|~\*?|\^@|similar to)$/;
const JOINS_TEXTS = new Set(["3058", "3059", "3539", "3540"]);

/** Whether a pattern can be one that every text meets: `coalesce(claim, '%')`, or concat(), which leaves nulls out. */
const isOpenPattern = (args: Node[]) =>
  nodesOf(args).some(
    ({ node }) => isCoalesce(node) || (node.type === "FUNCEXPR" && JOINS_TEXTS.has(word(node, "funcid"))),
  );

const counts = (args: Node[]) =>
  nodesOf(args).some(({ node }) => node.type === "AGGREF" && COUNTS.test(word(node, "aggfnoid")));

/** int8, int2 and int4 */
const INTEGERS = new Set(["20", "21", "23"]);
/** int8(integer) */
const INT8 = "481";

/** The number that a constant of an integer type is. */
function numberOf(node: Node): number | undefined {
  const cast = bare(node);
  const constant = word(cast, "funcid") === INT8 ? (inside(cast, "args")[0] ?? cast) : cast;
  const length = Number(word(constant, "constlen"));
  if (constant.type !== "CONST" || ![2, 4, 8].includes(length)) return undefined;
  const bytes = (constant.fields.get("constvalue") ?? []).filter((byte): byte is string => typeof byte === "string");
  const values = bytes.slice(bytes.indexOf("[") + 1, bytes.lastIndexOf("]")).slice(0, length);
  return Number(
    BigInt.asIntN(
      length * 8,
      values.reduceRight((all, byte) => all * 256n + BigInt(Number(byte) & 255), 0n),
    ),
  );
}

const FLIPPED: Record<string, string> = { "<": ">", "<=": ">=", ">": "<", ">=": "<=" };
const HOLDS: Record<string, (one: number, other: number) => boolean> = {
  "=": (one, other) => one === other,
  "<>": (one, other) => one !== other,
  "<": (one, other) => one < other,
  "<=": (one, other) => one <= other,
  ">": (one, other) => one > other,
  ">=": (one, other) => one >= other,
};

/**
 * Whether a comparison can hold where its sub-queries have no row: `count(*) >= 0`, `coalesce(role, 'member') <> 'x'`,
 * `x = all (array(...))`, `x @> array(...)`.
 */
function holdsWithout(node: Node, operator: string, args: Node[]): boolean {
  const [one, other] = args.map(bare);
  if (!one || !other) return false;
  const isList = (side: Node) => side.type === "SUBLINK" && word(side, "subLinkType") === "6";
  if (node.type === "SCALARARRAYOPEXPR" && word(node, "useOr") === "false") return true;
  if (node.type === "OPEXPR") {
    if (CONTAINS.test(word(node, "opno"))) return !hasElement(other);
    if (CONTAINED.test(word(node, "opno"))) return !hasElement(one);
    if (operator !== "&&" && !["@>", "<@"].includes(operator) && [one, other].some(isList)) return true;
  }
  // The value without a row.
  const otherwise = (side: Node) =>
    counts([side]) ? { value: 0 } : isCoalesce(side) ? { value: constantOf(inside(side, "args").at(-1)) } : undefined;
  const [left, right] = [otherwise(one), otherwise(other)];
  const without = left ?? right;
  const against = left ? other : one;
  if (
    !without ||
    (!counts([one, other]) && nodesOf(against).some(({ node }) => node.type !== "CONST" && !PLAIN.has(node.type)))
  )
    return false;
  const list = against.type === "ARRAYEXPR" || against.type === "ARRAY" ? inside(against, "elements") : [against];
  const does = HOLDS[left ? operator : (FLIPPED[operator] ?? operator)];
  return list.some((element) => {
    const value = constantOf(element);
    if (without.value === undefined || value === undefined || !does) return true;
    return typeof value === "number" && typeof without.value === "number"
      ? does(without.value, value)
      : operator === "="
        ? value === without.value
        : true;
  });
}

const PLAIN = new Set(["ARRAYEXPR", "ARRAY", "RELABELTYPE", "COERCEVIAIO", "ARRAYCOERCEEXPR"]);
const constantOf = (node: Node | undefined) => node && (numberOf(node) ?? textOf(bare(node)));

/** Whether an array or JSON value has an element whatever the data. */
function hasElement(value: Node): boolean {
  const node = bare(value);
  if (node.type === "ARRAYEXPR" || node.type === "ARRAY") return inside(node, "elements").length > 0;
  return node.type === "FUNCEXPR" && inside(node, "args").length > 0 && BUILDS.has(word(node, "funcid"));
}
/** jsonb_build_object, jsonb_build_array, to_jsonb */
const BUILDS = new Set(["3273", "3271", "3787"]);

/** The values that a query selects. */
export const targetsOf = (query: Node): Node[] =>
  inside(query, "targetList")
    .filter((target) => word(target, "resjunk") !== "true")
    .flatMap((target) => inside(target, "expr"));
