// The bodies of functions, as Postgres parses them.
//
// A body is only parsed, never run: PREPARE of a statement that is never executed, with the parse tree sent as a notice.
// The function's arguments become columns of a table around its body. So names bind as they do in the function: a
// column first, then an argument.
//
// The parser itself converts a string literal to its type and runs the CHECKs of a domain, and a CHECK can be added while
// the audit runs. So each literal is sent as a parameter, and becomes a constant again in the tree. Where JSON_VALUE
// and its like name the type that they return, the parser plans its CHECKs, and so runs parts of them: such a body is not
// read.

import { identifier, list, ofExtension, type Sql } from "./finding.ts";
import { type Node, nodesOf, parseTree, type Value, word } from "./tree.ts";

export interface Called {
  oid: string;
  schema: string;
  name: string;
  /** The name in findings: `private.is_admin(uuid)`. */
  identity: string;
  /** The same for SQL. */
  named: string;
  arguments: { name: string; type: string }[];
  language: string;
  /** The function is not IMMUTABLE: its result can change between statements. */
  stable: boolean;
  /** Runs with its owner's rights. */
  definer: boolean;
  /** The function belongs to an extension or to Supabase itself, not to a role that put it into one of their schemas. */
  foreign: boolean;
  returnsBoolean: boolean;
  /** The roles among anon and authenticated that may execute it. */
  callers: string[];
  /** The body as text. */
  source: string;
  searchPath: string;
  /** The query around the body, if the body is one expression. */
  tree?: Node;
  /** The body has loops, which the expression leaves out. */
  partly?: boolean;
  /** A tree for each query that the body returns rows or a value of; undefined if a statement is not read. */
  returned?: Node[];
  /** The same for the rows that it updates or deletes. */
  changed?: Node[];
}

/** Whether a function's body is not read, or in part. */
export const isUnread = ({ foreign, tree, partly }: Called) => !foreign && (!tree || partly === true);

/** A body as queries. */
interface Body {
  /** The query of its value or rows, if it has them, and changes no others. */
  query?: string;
  partly: boolean;
  /** The query of each RETURN. */
  returned: string[];
  /** Queries for the rows that it updates or deletes. */
  changed: string[];
}

/** Functions whose result, a length or a depth, many values share. */
export const LENGTHS = new Set(["length", "char_length", "octet_length", "ascii", "nlevel"]);
/** Functions of PostgreSQL whose result many texts share. */
export const PARTS = new Set(["left", "right", "substr", "substring", ...LENGTHS]);

export async function readFunctions(sql: Sql): Promise<Map<string, Called>> {
  const rows = await sql(
    `select p.oid::text, n.nspname as schema, proname as name, lanname as language, provolatile <> 'i' as stable, prosecdef as definer,
       format('%s.%s(%s)', n.nspname, proname, pg_get_function_identity_arguments(p.oid)) as identity,
       format('%I.%I(%s)', n.nspname, proname, pg_get_function_identity_arguments(p.oid)) as named,
       (n.nspname = any (array['pg_catalog', 'information_schema', 'storage', 'realtime', 'extensions', 'vault', 'graphql', 'net', 'cron'])
             or n.nspname = 'auth' and (proname in ('uid', 'role', 'email', 'jwt') or pg_get_userbyid(proowner) = 'supabase_auth_admin'))
           and exists (
             select from pg_roles o join pg_database on datname = current_database()
             where o.oid = proowner and (rolsuper or o.oid = datdba or rolname = 'postgres' or rolname like 'supabase\\_%')
           )
         or ${ofExtension("'pg_proc'::regclass", "p.oid", "proowner")} as foreign,
       prorettype = 'boolean'::regtype and not proretset as "returnsBoolean",
       array(select rolname::text from pg_roles r where rolname in ('anon', 'authenticated') and has_function_privilege(r.oid, p.oid, 'EXECUTE')) as callers,
       coalesce(nullif(prosrc, ''), pg_get_function_sqlbody(p.oid), '') as source,
       coalesce((select substr(setting, 13) from unnest(proconfig) setting where setting like 'search_path=%'), 'public, extensions') as "searchPath",
       coalesce((select jsonb_agg(jsonb_build_object('name', coalesce(proargnames[place], ''), 'type', format_type(type, null)) order by place)
         from unnest(proargtypes) with ordinality as argument (type, place)), '[]') as arguments
     from pg_proc p join pg_namespace n on n.oid = pronamespace join pg_language l on l.oid = prolang
     where prokind in ('f', 'p') and (n.nspname <> 'pg_catalog' or proname = any ($1::text[]))`,
    [["current_setting", ...PARTS]],
  );
  return new Map((rows as unknown as Called[]).map((one) => [one.oid, one]));
}

/** Parses the bodies of these functions and of those that they call; adds the results. */
export async function readBodies(
  sql: Sql,
  functions: Map<string, Called>,
  first: Iterable<string>,
  callsOf: (tree: Value) => string[],
): Promise<void> {
  const waiting = [...first];
  const seen = new Set<string>();
  for (let oid = waiting.pop(); oid !== undefined; oid = waiting.pop()) {
    const called = functions.get(oid);
    if (!called || called.foreign || seen.has(oid)) continue;
    seen.add(oid);
    const body = queriesOf(called);
    if (!body) continue;
    const read = async (queries: string[]) => {
      const trees: Node[] = [];
      for (const query of queries) {
        const tree = query === body.query ? called.tree : await treeOf(sql, called, query);
        if (!tree) return undefined;
        trees.push(tree);
      }
      return trees;
    };
    const tree = body.query === undefined ? undefined : await treeOf(sql, called, body.query);
    if (tree) called.tree = tree;
    called.partly = body.partly;
    const [returned, changed] = [await read(body.returned), await read(body.changed)];
    if (returned && changed) Object.assign(called, { returned, changed });
    waiting.push(...callsOf(treesOf(called)));
  }
  for (const oid of seen) {
    const called = functions.get(oid);
    // A body stands in the place of each call, so one that calls itself is not read.
    if (called && reaches(called, oid))
      for (const field of ["tree", "returned", "changed"] as const) delete called[field];
  }

  function reaches(called: Called, oid: string, passed = new Set<string>()): boolean {
    return callsOf(treesOf(called)).some((call) => {
      if (call === oid) return true;
      const next = passed.has(call) ? undefined : functions.get(call);
      passed.add(call);
      return next !== undefined && reaches(next, oid, passed);
    });
  }
}

const treesOf = ({ tree, returned = [], changed = [] }: Called): Node[] => [
  ...(tree ? [tree] : []),
  ...returned,
  ...changed,
];

/** A quoted name, a text with the type in front of it, an argument. */
const PIECE =
  /("(?:[^"]|"")*")|(?:\b(date|interval|time|timestamp|timestamptz)\s+)?(?<![\w$&])'((?:[^']|'')*)'|\$(\d+)/gi;

/** A body whose arguments are columns and whose texts are parameters; undefined if the parser could run something by the others. */
function withParameters(
  { name, arguments: named }: Called,
  body: string,
): { query: string; texts: string[] } | undefined {
  const texts: string[] = [];
  let whole = !/["'$]|--|\/\*|\breturning\b/i.test(body.replace(PIECE, " "));
  const query = body.replace(PIECE, (_all, quoted?: string, type?: string, text?: string, number?: string) => {
    if (quoted !== undefined) return quoted;
    if (text !== undefined) return ` $${texts.push(text.replaceAll("''", "'"))}${type ? `::${type}` : ""} `;
    const argument = named[Number(number) - 1];
    whole &&= argument !== undefined;
    return `${identifier(name)}.${identifier(argument?.name || `$${number}`)}`;
  });
  return whole ? { query, texts } : undefined;
}

async function treeOf(sql: Sql, called: Called, body: string): Promise<Node | undefined> {
  const found = withParameters(called, body);
  if (!found) return undefined;
  const named = called.arguments.map(({ name, type }, at) => `null::${type} as ${identifier(name || `$${at + 1}`)}`);
  const around = named.length > 0 ? ` from (select ${named.join(", ")}) as ${identifier(called.name)}` : "";
  // A body of several columns is not a value.
  for (const value of [`(${found.query})`, `exists (${found.query})`]) {
    const tree = await parsed(sql, called.searchPath, `select ${value}${around}`, found.texts);
    if (tree) return withTexts(tree, found.texts);
  }
  return undefined;
}

/** The tree with constants in place of the parameters. */
function withTexts(tree: Node, texts: string[]): Node {
  for (const { node } of nodesOf(tree)) {
    const text = node.type === "PARAM" && word(node, "paramkind") === "0" && texts[Number(word(node, "paramid")) - 1];
    if (typeof text !== "string") continue;
    // As Postgres prints a text: its length, and bytes of which the first four are the length again.
    const bytes = [0, 0, 0, 0, ...Buffer.from(text)].map(String);
    node.fields
      .set("consttype", node.fields.get("paramtype") ?? [])
      .set("constlen", ["-1"])
      .set("constvalue", [String(bytes.length), "[", ...bytes, "]"]);
    node.type = "CONST";
  }
  return tree;
}

/** Errors of a text that is no statement. Others, such as a lock that another session holds, say nothing about it. */
const UNFIT = /^(0A|22|3F|42|54)/;

async function parsed(
  sql: Sql,
  searchPath: string,
  query: string,
  texts: string[],
  types = texts.map(() => "pg_catalog.unknown"),
): Promise<Node | undefined> {
  const trees: string[] = [];
  let open = 0;
  await sql(
    "savepoint body; set local client_min_messages = log; set local debug_pretty_print = off; set local debug_print_parse = on",
  );
  try {
    await sql("select pg_catalog.set_config('search_path', $1, true)", [searchPath]);
    const parameters = types.length > 0 ? ` (${types.join(", ")})` : "";
    // With parameters, be they none, the server takes one statement alone: a body cannot end the PREPARE and begin another.
    await sql(`prepare airlock_evidence_body${parameters} as ${query}`, [], (detail) => trees.push(detail));
    await sql("set local debug_print_parse = off; deallocate airlock_evidence_body");
  } catch (error) {
    const { code = "", message } = error as Error & { code?: string };
    if (!UNFIT.test(code)) throw error;
    // A function that takes any type: there a text is a text.
    open = code === "42P18" ? Number(/\$(\d+)/.exec(message)?.[1]) : 0;
  } finally {
    await sql("rollback to savepoint body; release savepoint body");
  }
  if (types[open - 1] === "pg_catalog.unknown")
    return parsed(sql, searchPath, query, texts, types.with(open - 1, "pg_catalog.text"));
  const text = trees.find((tree) => /^\{QUERY\s+:commandType\s+1\b/.test(tree));
  return text === undefined ? undefined : (parseTree(text) as Node);
}

/** The queries that a body evaluates; undefined if a statement is of another kind. */
function queriesOf({ language, source, returnsBoolean }: Called): Body | undefined {
  const text = withoutComments(source).trim();
  if (language === "sql") return ofSql(split(/^begin\s+atomic\b([\s\S]*)\bend$/i.exec(text)?.[1] ?? text));
  if (language !== "plpgsql") return undefined;
  const block = /^(?:<<\w+>>\s*)?(?:declare\b([\s\S]*?))?\bbegin\b([\s\S]*)\bend\s*;?$/i.exec(text);
  return block ? ofPlpgsql(block[1] ?? "", split(block[2] ?? ""), returnsBoolean) : undefined;
}

const IS_QUERY = /^(select|with|return|values|\()/i;

/** The last statement has the result. */
function ofSql(statements: string[]): Body | undefined {
  const last = statements.at(-1) ?? "";
  const changed: string[] = [];
  for (const statement of IS_QUERY.test(last) ? statements.slice(0, -1) : statements) {
    const change = changeOf(statement);
    if (!change) return undefined;
    changed.push(...change.rows);
  }
  if (!IS_QUERY.test(last)) return { partly: false, returned: [], changed };
  const query = last.replace(/^return\b/i, "select");
  return { ...(changed.length === 0 && { query }), partly: false, returned: [query], changed };
}

/** A text of the same length, without quoted parts and those in parentheses. */
function outline(text: string): string {
  let depth = 0;
  return text.replace(/'(?:[^']|'')*'|"(?:[^"]|"")*"|[\s\S]/g, (piece) => {
    if (piece === ")") depth--;
    const shown = depth === 0 && piece.length === 1;
    if (piece === "(") depth++;
    return shown ? piece : "_".repeat(piece.length);
  });
}

const UPDATE =
  /^update\s+(?:only\s+)?(.+?)\s+set\s.+?(?:\sfrom\s+(.+?))?(?:\swhere\s+(.+?))?(?:\sreturning\s+(.+))?$/dis;
const DELETE =
  /^delete\s+from\s+(?:only\s+)?(.+?)(?:\s+using\s+(.+?))?(?:\s+where\s+(.+?))?(?:\s+returning\s+(.+))?$/dis;

interface Change {
  /** The query for the rows that an UPDATE or DELETE changes. An INSERT of new rows has none. */
  rows: string[];
  /** The value of RETURNING. */
  value: string;
  /** The number of changed rows. */
  count: string;
}

function changeOf(statement: string): Change | undefined {
  const whole = outline(statement);
  if (/^insert\s+into\s/i.test(whole) && !/\sdo\s+update\s/i.test(whole))
    return { rows: [], value: "null", count: "1" };
  const { indices } = UPDATE.exec(whole) ?? DELETE.exec(whole) ?? {};
  if (!indices) return undefined;
  const [, target, others, where, returned] = indices.map((place) => place && statement.slice(...place));
  const from = `from ${[target, others].filter(Boolean).join(", ")} where ${where ?? "true"}`;
  const rows = `select 1 ${from}`;
  return { rows: [rows], value: `(select ${returned ?? "1"} ${from})`, count: `(select count(*) ${from})` };
}

/** An IF with the conditions of the arm that is being read. */
interface If {
  conditions: string[];
  /** Whether each arm ends the function. */
  ends: boolean;
}

/** The most characters of a variable's value. */
const MOST = 20_000;
const THEN = /^if\b([\s\S]*?)\bthen\b([\s\S]*)$/i;
const ELSIF = /^els(?:e\s*)?if\b([\s\S]*?)\bthen\b([\s\S]*)$/i;
const LOOP = /^(?:<<\w+>>\s*)?(?:for|foreach|while)\b[\s\S]*?\bloop\b/i;
const LOOP_END = /^end\s+loop\b/i;

/** A query for the case that conditions hold. They have no columns of its tables. */
function guarded(conditions: string[], query: string): string {
  if (conditions.length === 0) return query;
  const asked = `where ${conditions.join(" and ")}`;
  return isValue(query)
    ? `${query} ${asked}`
    : `select airlock_rows.* from (select 1 ${asked}) airlock_guard, (${query}) airlock_rows`;
}

/** Whether a query has values and no rows. */
const isValue = (query: string) => !/^\(|^with\b|^values\b|\b(from|where|union)\b/i.test(outline(query).trim());

/** Statements that assign, decide, change rows and return, as queries. Results of loops are left out. */
function ofPlpgsql(declared: string, statements: string[], returnsBoolean: boolean): Body | undefined {
  const values = new Map<string, string>();
  /** Variables that can be rows: of these a query is the value. */
  const records = new Set<string>();
  const put = (text: string) =>
    [...values].reduce((done, [name, value]) => {
      const member = records.has(name) ? "(?:\\s*\\.\\s*(\\w+))?" : "()";
      return done.replace(
        new RegExp(`('(?:[^']|'')*'|"(?:[^"]|"")*")|(?<![.\\w$])${name}${member}(?![\\w$(])`, "gi"),
        (_all, quoted?: string, column?: string) =>
          quoted ?? (column ? `(select airlock_row.${column} from ${value} airlock_row)` : value),
      );
    }, text);
  for (const line of split(declared)) {
    const [, record = "", type = ""] = /^(\w+)\s+([\w."]+(?:\s*%\s*\w+)?)/.exec(line) ?? [];
    if (/^record$|rowtype$|^[^%]*\.[^%]*$/i.test(type)) records.add(record);
    const [, name = "", value] = /^(\w+)\s+[\s\S]*?(?::=|\bdefault\b)([\s\S]+)$/i.exec(line) ?? [];
    if (name && value) values.set(name, `(${put(value)})`);
  }
  const branches: string[] = [];
  const results: string[] = [];
  const changed: string[] = [];
  const ifs: If[] = [];
  /** Conditions of which one ended the function, had it held. */
  const passed: string[] = [];
  let loops = 0;
  let partly = false;
  let changes = false;
  /** The number of rows that the last UPDATE or DELETE changed. */
  let count = "0";
  let ended = false;
  for (let statement of statements) {
    if (loops > 0 || LOOP.test(statement)) {
      partly = true;
      loops += (statement.match(/(?<!\bend\s+)\bloop\b/gi) ?? []).length - (LOOP_END.test(statement) ? 1 : 0);
      continue;
    }
    // The arms of EXCEPTION are reached from anywhere.
    const handled = /^(?:exception\s+)?when\b[\s\S]*?\bthen\b([\s\S]*)$/i.exec(statement);
    if (handled) {
      if (ifs.length > 0) return undefined;
      passed.length = 0;
      statement = (handled[1] ?? "").trim();
    }
    const current = ifs.at(-1);
    const other = ELSIF.exec(statement) ?? /^else\b()([\s\S]*)$/i.exec(statement);
    if (other && current) {
      current.ends &&= ended;
      current.conditions.push(`(not ${current.conditions.pop()})`, ...(other[1] ? [`(${put(other[1])})`] : ["true"]));
      statement = (other[2] ?? "").trim();
    }
    for (let opened = THEN.exec(statement); opened; opened = THEN.exec(statement)) {
      ifs.push({ conditions: [`(${put(opened[1] ?? "")})`], ends: true });
      statement = (opened[2] ?? "").trim();
    }
    if (/^end\s+if$/i.test(statement)) {
      const done = ifs.pop();
      if (!done) return undefined;
      // The statements after it are reached if none of its conditions held.
      if (done.ends && ended && ifs.length === 0 && done.conditions.at(-1) !== "true")
        passed.push(...done.conditions.slice(0, -1), `(not ${done.conditions.at(-1)})`);
      ended &&= done.ends;
      continue;
    }
    const within = [...passed, ...ifs.flatMap(({ conditions }) => conditions)];
    const returned = /^return\s+(?!query\b|next\b)([\s\S]+)$/i.exec(statement);
    const query = /^return\s+query\s+((?:select|with|values)\b[\s\S]+|\([\s\S]+)$/i.exec(statement);
    const stored = /^(\w+\b[\s\S]*?\breturning\b[\s\S]*?)\s+into\s+(?:strict\s+)?(\w+)$/i.exec(statement);
    const change = changeOf(stored?.[1] ?? statement.replace(/^return\s+query\s+/i, ""));
    const counted = /^get\s+diagnostics\s+(\w+)\s*:?=\s*row_count$/i.exec(statement)?.[1];
    const assigned = /^(\w+)\s*:?=\s*([\s\S]+)$/.exec(statement);
    const performed = /^perform\b([\s\S]+)$/i.exec(statement);
    const into = /^(select\b[\s\S]*?)\binto\s+(?:strict\s+)?(\w+(?:\s*,\s*\w+)*)\b([\s\S]*)$/i.exec(statement);
    ended =
      /^return$/i.test(statement) || returned !== null || /^raise\s+(?!notice|warning|info|log|debug)/i.test(statement);
    if (returned && returnsBoolean) branches.push([...within, `(${put(returned[1] ?? "")})`].join(" and "));
    // It has no rows.
    else if (returned && /^null$/i.test(returned[1] ?? "")) continue;
    else if (returned) {
      const value = put(returned[1] ?? "");
      results.push(guarded(within, records.has(returned[1] ?? "") ? value : `select ${value}`));
    } else if (query) results.push(guarded(within, put(query[1] ?? "")));
    else if (change) {
      changes ||= change.rows.length > 0;
      changed.push(...change.rows.map((rows) => guarded(within, put(rows))));
      if (stored && ifs.length > 0) return undefined;
      if (stored) values.set(stored[2] ?? "", put(change.value));
      count = put(change.count);
      values.set(
        "found",
        ifs.length > 0 ? "(not read)" : change.rows[0] ? `(exists (${put(change.rows[0])}))` : "true",
      );
    } else if (counted) values.set(counted, count);
    else if (performed || into) {
      const text = put(performed ? `select ${performed[1]}` : `${into?.[1] ?? ""}${into?.[3] ?? ""}`);
      if (into && ifs.length > 0) return undefined;
      // PERFORM private.close(id): the function that is called can change rows.
      if (performed && isValue(text)) changed.push(guarded(within, text));
      const names = (into?.[2] ?? "").split(",").map((name) => name.trim());
      if (into && names.length === 1) values.set(names[0] ?? "", `(${text})`);
      else if (into) {
        // select a, b into x, y from ...
        const targets = list((into[1] ?? "").replace(/^select\b/i, ""));
        if (targets.length !== names.length || /\bfrom\b/i.test(into[1] ?? "")) return undefined;
        const each = targets.map((target) => `(select ${put(target)} ${put(into[3] ?? "")})`);
        for (const [at, name] of names.entries()) values.set(name, each[at] ?? "");
      }
      // Whether it has a row.
      values.set("found", ifs.length > 0 ? "(not read)" : `(exists (${text}))`);
    } else if (assigned) {
      const [name, value] = [assigned[1] ?? "", `(${put(assigned[2] ?? "")})`];
      const when = ifs.flatMap(({ conditions }) => conditions).join(" and ");
      values.set(name, when ? `(case when ${when} then ${value} else ${values.get(name) ?? "null"} end)` : value);
    } else if (/^(raise\b|(null|return)$)/i.test(statement)) continue;
    else return undefined;
    // Each value holds those before it.
    if ([...values.values()].some(({ length }) => length > MOST)) return undefined;
    // Each query holds the conditions before it.
    if ([...results, ...changed].join("").length > 10 * MOST) return undefined;
  }
  if (branches.length > 0) results.push(`select ${branches.map((branch) => `(${branch})`).join(" or ")}`);
  const query = results.length > 1 ? results.map((one) => `(${one})`).join(" union all ") : results[0];
  return { ...(query !== undefined && !changes && { query }), partly, returned: results, changed };
}

/** A text without comments, and with each string literal in the form '...'. */
export function withoutComments(text: string): string {
  return text.replace(
    /(?<![\w$])e('(?:[^'\\]|\\.|'')*')|('(?:[^']|'')*'|"(?:[^"]|"")*")|(?<![\w$])(\$(?:[a-z_]\w*)?\$)([\s\S]*?)\3|--[^\n]*|\/\*[\s\S]*?\*\//gis,
    (whole, escapes?: string, quoted?: string, tag?: string, inner?: string) => {
      if (escapes !== undefined) return unescaped(escapes) ?? whole;
      return quoted ?? (tag === undefined ? " " : `'${(inner ?? "").replaceAll("'", "''")}'`);
    },
  );
}

const ESCAPED: Record<string, string> = { "'": "''", "\\": "\\", b: "\b", f: "\f", n: "\n", r: "\r", t: "\t" };

/** The literal E'...' as '...'; undefined if it names a character by its number. */
const unescaped = (literal: string) =>
  /\\[^'\\bfnrt]/.test(literal.replaceAll("\\\\", ""))
    ? undefined
    : literal.replace(/\\(.)/gs, (_all, character: string) => ESCAPED[character] ?? "");

/** Splits at semicolons outside of quotes. */
function split(text: string): string[] {
  const pieces = text.match(/(?:'(?:[^']|'')*'|"(?:[^"]|"")*"|[^;'"])+/g) ?? [];
  return pieces.map((piece) => piece.trim()).filter((piece) => piece !== "");
}
