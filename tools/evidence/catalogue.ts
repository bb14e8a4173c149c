// The policies of a database, and the parts that are needed to read them.

import { type Called, readBodies, readFunctions, withoutComments } from "./bodies.ts";
import { type DefinerRows, rowsOfDefiner } from "./definers.ts";
import type { Sql } from "./finding.ts";
import { hooksOf } from "./hooks.ts";
import { SUPABASE_TABLES, Tables } from "./tables.ts";
import { CALLER, type Condition, type Facts, Reader, type Scope, Ties, targetsOf } from "./ties.ts";
import {
  entries,
  inside,
  isQuery,
  type Node,
  nodesOf,
  type Placed,
  parseTree,
  relationsOf,
  type Value,
  word,
} from "./tree.ts";
import { type Verdict, verdictOf } from "./verdict.ts";

export interface Policy {
  schema: string;
  relname: string;
  relation: string;
  name: string;
  permissive: boolean;
  /** Whether it is in a schema that is audited. */
  audited: boolean;
  secured: boolean;
  /** `r`, `a`, `w`, `d` or `*`. */
  command: string;
  roles: string[];
  parts: Part[];
}

/** USING or WITH CHECK. */
export interface Part {
  clause: "using" | "with check";
  tree: Value;
  text: string;
  /** The verdict on each branch. */
  verdicts: Verdict[];
}

export interface View {
  oid: string;
  name: string;
  /** Reads with its caller's rights. */
  invoker: boolean;
  /** The view's owner bypasses all policies. */
  bypasses: boolean;
  tree: Value;
}

export interface Catalogue {
  policies: Policy[];
  functions: Map<string, Called>;
  reader: Reader;
  /** Takes unread functions for ones that ask nothing. */
  strict: Reader;
  tables: Tables;
  equals: Set<string>;
  /** Views and functions that run with their owner's rights and show their caller's rows alone. */
  own: Set<string>;
  /** The rows of each definer function that is read as a whole, by its oid. */
  definers: Map<string, DefinerRows>;
  /** Functions that add claims to tokens. */
  hooks: Called[];
  /** The tables that a view reads, by its oid; none for a view whose owner's rights bypass all policies. */
  views: Map<string, string[]>;
  /** Columns, as `oid.number`, with which an index of the whole table begins. */
  indexed: Set<string>;
}

export const calls = (tree: Value): Placed[] => nodesOf(tree).filter(({ node }) => node.type === "FUNCEXPR");
export const holds = ({ roles }: Policy, role: string) => roles.includes(role) || roles.includes("public");
const callsOf = (tree: Value) => calls(tree).map(({ node }) => word(node, "funcid"));

export async function readCatalogue(sql: Sql, schemas: string[]): Promise<Catalogue> {
  const found = await sql(
    `select n.nspname as schema, c.relname, c.oid::text as relation, polname as name, polpermissive as permissive, polcmd::text as command,
       (n.nspname = any ($1::text[]) or n.nspname || '.' || relname = any ($2::text[])) as audited, c.relrowsecurity as secured,
       array(select case role when 0 then 'public' else role::regrole::text end from unnest(polroles) role)::text[] as roles,
       polqual::text as "using tree", pg_get_expr(polqual, polrelid) as "using",
       polwithcheck::text as "with check tree", pg_get_expr(polwithcheck, polrelid) as "with check"
     from pg_policy join pg_class c on c.oid = polrelid join pg_namespace n on n.oid = c.relnamespace
     order by n.nspname, c.relname, polname`,
    [schemas, SUPABASE_TABLES],
  );
  const policies = found.map((row) => {
    const parts = (["using", "with check"] as const).flatMap((clause): Part[] => {
      const [tree, text] = [row[`${clause} tree`], row[clause]];
      return typeof tree === "string" && typeof text === "string"
        ? [{ clause, tree: parseTree(tree), text, verdicts: [] }]
        : [];
    });
    return { ...row, parts } as unknown as Policy;
  });
  const operators = new Map(
    (
      await sql(
        `select o.oid::text, case when pronamespace <> 'pg_catalog'::regnamespace and lanname not in ('internal', 'c') then n.nspname || '.' else '' end || oprname as name
         from pg_operator o join pg_namespace n on n.oid = oprnamespace join pg_proc p on p.oid = oprcode join pg_language l on l.oid = prolang`,
      )
    ).map(({ oid, name }) => [String(oid), String(name)]),
  );
  const views = (
    await sql(
      `select ev_class::text as oid, ev_action::text as tree, n.nspname || '.' || relname as name,
       exists (select from pg_options_to_table(reloptions) where option_name = 'security_invoker' and option_value in ('true', 'on', 'yes', '1')) as invoker,
       rolsuper or rolbypassrls as bypasses
     from pg_rewrite join pg_class c on c.oid = ev_class join pg_namespace n on n.oid = relnamespace join pg_roles o on o.oid = relowner
     where c.relkind = 'v' and nspname <> all (array['pg_catalog', 'information_schema'])`,
    )
  ).map(({ tree, ...view }) => ({ ...view, tree: parseTree(String(tree)) })) as unknown as View[];
  const indexed = await sql(
    `select indrelid::text || '.' || indkey[0] as key from pg_index
     where indisvalid and (
       indpred is null or pg_get_expr(indpred, indrelid) = (
         select format('(%I IS NOT NULL)', attname) from pg_attribute where attrelid = indrelid and attnum = indkey[0]
       )
     )`,
  );
  const functions = await readFunctions(sql);
  const offered = [...functions.values()].filter(
    ({ definer, foreign, callers }) => definer && !foreign && callers.length > 0,
  );
  const hooks = await hooksOf(sql, functions);
  await readBodies(
    sql,
    functions,
    [...offered, ...hooks].map(({ oid }) => oid),
    callsOf,
  );
  await readBodies(
    sql,
    functions,
    [...policies.flatMap(({ parts }) => parts), ...views].flatMap(({ tree }) => callsOf(tree)),
    callsOf,
  );
  const tables = await Tables.read(sql);
  const facts: Facts = {
    functions,
    operators,
    views,
    rowsOf: (relation) => rowsOf(relation),
    filled: (relation, column) => tables.column(relation, column)?.filled ?? false,
    labels: tables.labels,
  };
  const catalogue: Catalogue = {
    policies,
    functions,
    tables,
    reader: new Reader(facts),
    strict: new Reader({ ...facts, strict: true }),
    equals: new Set([...operators].flatMap(([oid, name]) => (name === "=" ? [oid] : []))),
    views: new Map(
      views
        .filter(({ invoker, bypasses }) => invoker || !bypasses)
        .map(({ oid, tree }) => [oid, relationsOf(tree).filter((read) => read !== oid)]),
    ),
    own: new Set(),
    definers: new Map(),
    hooks,
    indexed: new Set(indexed.map(({ key }) => String(key))),
  };
  const rowsOf = rowsOfTables(catalogue, new Map(views.map((view) => [view.oid, view])));
  // First those that make rows: they say which tables everybody has a row in.
  for (const first of [true, false]) {
    for (const policy of policies) {
      for (const part of policy.parts)
        if ((part.clause === "with check") === first) part.verdicts = verdicts(policy, part, catalogue);
    }
    tables.insertable = first ? insertable(catalogue) : tables.insertable;
  }
  for (const called of offered) {
    const rows = rowsOfDefiner(called, catalogue.reader, tables);
    if (rows) catalogue.definers.set(called.oid, rows);
  }
  const shown = [
    ...views.flatMap((view) =>
      view.invoker ? [] : [{ name: view.name, own: rowsOf(view.oid) === "own" && !isWritten(view, tables) }],
    ),
    ...offered.map(({ oid, identity, source }) => {
      const rows = catalogue.definers.get(oid);
      return { name: identity, own: rows?.returned === "own" && !WRITES.test(withoutComments(source)) };
    }),
  ];
  // A view can have the name of a function with its arguments.
  const open = new Set(shown.flatMap(({ name, own }) => (own ? [] : [name])));
  for (const { name } of shown) if (!open.has(name)) catalogue.own.add(name);
  return catalogue;
}

const WRITES = /\b(insert\s+into|update|delete\s+from)\b/i;

/** The branches of a clause. */
export function branchesOf({ relation }: Policy, { tree }: Part, reader: Reader): Condition[][] {
  return reader.branches(tree as Node, { kind: "row", relation });
}

const verdicts = (policy: Policy, part: Part, catalogue: Catalogue) =>
  branchesOf(policy, part, catalogue.reader).map((branch) =>
    verdictOf(branch, policy.relation, catalogue.reader, catalogue.tables),
  );

/** Tables in which a client may make a row of its own. */
function insertable({ policies, tables }: Catalogue): Set<string> {
  const open = policies.filter(
    ({ permissive, command, parts }) =>
      permissive &&
      ["a", "*"].includes(command) &&
      parts.some(
        ({ clause, verdicts }) =>
          clause === "with check" && verdicts.some(({ kind, ties }) => kind === "open" || ties.owners.length > 0),
      ),
  );
  const granted = (relation: string) =>
    tables.columns(relation).some((column) => column.granted.some((one) => one.endsWith("INSERT")));
  return new Set(open.map(({ relation }) => relation).filter(granted));
}

/** Whether a client writes to the table below a view, by the view's own rights. Postgres does that for simple views. */
function isWritten({ oid, tree }: View, tables: Tables): boolean {
  const [query] = nodesOf(tree);
  if (!query) return false;
  const { node } = query;
  const from = inside(node, "jointree").flatMap((tree) => inside(tree, "fromlist"));
  const isSimple =
    from.length === 1 &&
    from.every(
      (one) =>
        one.type === "RANGETBLREF" && word(entries(node)[Number(word(one, "rtindex")) - 1] ?? one, "rtekind") === "0",
    ) &&
    word(node, "hasAggs") === "false" &&
    ["setOperations", "groupClause", "distinctClause", "limitCount", "limitOffset", "cteList"].every(
      (field) => inside(node, field).length === 0,
    );
  return isSimple && tables.columns(oid).some(({ granted }) => granted.some((one) => /INSERT|UPDATE/.test(one)));
}

/** Whether the rows of a view's query, and the values that its sub-queries add to them, are tied to the caller. */
function showsOwn(view: string, query: Node, above: Scope, reader: Reader): boolean {
  if (inside(query, "setOperations").length > 0) {
    const scope = reader.enter(query, above);
    return entries(query).every((entry) =>
      inside(entry, "subquery").every((arm) => showsOwn(view, arm, scope, reader)),
    );
  }
  const ties = new Ties();
  const { scope } = reader.read(query, above, ties, false);
  const isOwn = (source: string) => source === CALLER || ties.tied(source, CALLER);
  // Before PostgreSQL 16 a view's query also names the view itself.
  const rows = ties.rows().filter((source) => ties.relations.get(source) !== view);
  if (rows.length === 0 || !rows.every(isOwn)) return false;
  const added = targetsOf(query).flatMap((target) =>
    nodesOf(target).flatMap(({ node, within }) =>
      node.type === "SUBLINK" && "46".includes(word(node, "subLinkType")) && !within.some(isQuery) ? [node] : [],
    ),
  );
  return added.every((sub) => [...reader.sources(sub, scope, ties)].every(isOwn));
}

/** The owners whose rows a client sees in a table or view. */
function rowsOfTables({ policies, tables, reader }: Catalogue, views: Map<string, View>): Facts["rowsOf"] {
  const known = new Map<string, ReturnType<Facts["rowsOf"]>>();
  /** Whether each table that the view reads is tied to the caller. */
  const ownView = ({ oid, tree, invoker }: View): boolean => {
    const [query] = nodesOf(tree);
    return query !== undefined && showsOwn(oid, query.node, { kind: "call", values: [], definer: !invoker }, reader);
  };
  const find: Facts["rowsOf"] = (relation) => {
    const before = known.get(relation);
    if (before !== undefined) return before;
    // A table that is read while its own policies are read: its other policies decide.
    known.set(relation, "own");
    const view = views.get(relation);
    let rows: ReturnType<Facts["rowsOf"]> = "any";
    if (view) rows = ownView(view) ? "own" : "any";
    else if (tables.secured(relation)) {
      const applying = policies.filter(
        (policy) =>
          policy.relation === relation &&
          policy.permissive &&
          ["r", "*"].includes(policy.command) &&
          holds(policy, "authenticated"),
      );
      const using = applying.flatMap((policy) =>
        policy.parts.flatMap((part) => (part.clause === "using" ? branchesOf(policy, part, reader) : [])),
      );
      const kinds = using.map((branch) => verdictOf(branch, relation, reader, tables).kind);
      rows = kinds.includes("open") ? "any" : kinds.includes("public") ? "public" : "own";
    }
    known.set(relation, rows);
    return rows;
  };
  return find;
}
