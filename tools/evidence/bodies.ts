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
}

/** Whether a function's body is not read, or in part. */
export const isUnread = ({ foreign, tree, partly }: Called) => !foreign && (!tree || partly === true);

/** A body as one query. */
interface Body {
  query: string;
  partly: boolean;
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
    const body = expression(called);
    const tree = body && (await treeOf(sql, called, body.query));
    if (!tree) continue;
    called.tree = tree;
    called.partly = body.partly;
    waiting.push(...callsOf(tree));
  }
}

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

/** The one query that a body evaluates; undefined if it does more than that. */
export function expression({ language, source }: Pick<Called, "language" | "source">): Body | undefined {
  const text = withoutComments(source).trim();
  if (language === "sql") {
    const atomic = /^begin\s+atomic\b([\s\S]*)\bend$/i.exec(text)?.[1] ?? text;
    const statements = split(atomic);
    const [only = ""] = statements;
    if (statements.length !== 1 || !/^(select|with|return|values|\()/i.test(only)) return undefined;
    return { query: only.replace(/^return\b/i, "select"), partly: false };
  }
  if (language !== "plpgsql") return undefined;
  const block = /^(?:<<\w+>>\s*)?(?:declare\b([\s\S]*?))?\bbegin\b([\s\S]*)\bend\s*;?$/i.exec(text);
  return block ? ofPlpgsql(block[1] ?? "", split(block[2] ?? "")) : undefined;
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

/** Statements that assign, decide and return, as one expression. Results of loops are left out. */
function ofPlpgsql(declared: string, statements: string[]): Body | undefined {
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
  const ifs: If[] = [];
  /** Conditions of which one ended the function, had it held. */
  const passed: string[] = [];
  let loops = 0;
  let partly = false;
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
    const query = /^return\s+query\s+(select[\s\S]+)$/i.exec(statement);
    const assigned = /^(\w+)\s*:?=\s*([\s\S]+)$/.exec(statement);
    const performed = /^perform\b([\s\S]+)$/i.exec(statement);
    const into = /^(select\b[\s\S]*?)\binto\s+(?:strict\s+)?(\w+(?:\s*,\s*\w+)*)\b([\s\S]*)$/i.exec(statement);
    ended = returned !== null || /^raise\s+(?!notice|warning|info|log|debug)/i.test(statement);
    if (returned) branches.push([...within, `(${put(returned[1] ?? "")})`].join(" and "));
    else if (query && branches.length === 0 && within.length === 0) return { query: put(query[1] ?? ""), partly };
    else if (performed || into) {
      const text = put(performed ? `select ${performed[1]}` : `${into?.[1] ?? ""}${into?.[3] ?? ""}`);
      if (into && ifs.length > 0) return undefined;
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
    } else if (/^(raise\b|null$)/i.test(statement)) continue;
    else return undefined;
    // Each value holds those before it.
    if ([...values.values()].some(({ length }) => length > MOST)) return undefined;
  }
  return branches.length > 0
    ? { query: `select ${branches.map((branch) => `(${branch})`).join(" or ")}`, partly }
    : undefined;
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
