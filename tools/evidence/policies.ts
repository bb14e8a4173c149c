// Rules about policies: which callers they admit, to which rows, and at what cost.
//
// The expressions are read as Postgres has parsed them, and evaluated as a stranger: a user who owns nothing.

import { type Fault, identifier, type Rule, ROLES, type Sql } from "./finding.ts";
import { bare, branches, entries, inside, isQuery, type Node, nodesOf, once, parseTree, type Placed, relationsOf, type Value, word } from "./tree.ts";

export const POLICY_RULES: Rule[] = [
  {
    id: "policy-for-everybody",
    level: "finding",
    why: "A policy without TO holds for every role, anon too, and for roles that are yet to be made.",
  },
  {
    id: "policy-true",
    level: "finding",
    why: "Policies are joined by OR: one that holds for everybody makes all others of its table worthless. Being signed in is no right to a row, as anybody can sign up.",
  },
  {
    id: "call-per-row",
    level: "finding",
    why: "Called bare, the function runs once for each row that is looked at; in a sub-select it runs once a statement. On large tables that is the difference between milliseconds and seconds.",
  },
  {
    id: "column-not-indexed",
    level: "finding",
    why: "The policy is part of every query. Without an index that begins with this column, each one reads the whole table, everybody's rows included.",
  },
  {
    id: "policy-recursion",
    level: "finding",
    why: "To read the table Postgres has to ask the policy, which reads the table: every query fails (42P17), or runs out of stack. It tempts to turn Row Level Security off.",
  },
  {
    id: "check-looser",
    level: "finding",
    why: "WITH CHECK is what a changed row has to meet. It asks for less than USING does: a caller can hand over or push a row to somebody else.",
  },
  {
    id: "update-without-check",
    level: "note",
    why: "Without WITH CHECK a changed row has to meet USING. It is so until somebody loosens USING for reading's sake; written out, it stays.",
  },
  {
    id: "user-metadata",
    level: "finding",
    why: "user_metadata is written by the user: supabase.auth.updateUser({ data }) makes anybody whatever the policy asks for. app_metadata is not.",
  },
];

interface Policy {
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
interface Part {
  clause: "using" | "with check";
  tree: Value;
  text: string;
}

interface Called {
  name: string;
  schema: string;
  stable: boolean;
  /** Runs with its owner's rights. */
  definer: boolean;
  /** Its body. */
  source: string;
}

interface Catalogue {
  policies: Policy[];
  functions: Map<string, Called>;
  equals: Set<string>;
  /** What a view reads, by its oid; none for a view that its owner's rights carry past all policies. */
  views: Map<string, string[]>;
  /** `schema.table`, and the name of each column, by `oid.number`. */
  tables: Map<string, string>;
  columns: Map<string, string>;
  /** As `oid.number`: the columns that an index of the whole table begins with. */
  indexed: Set<string>;
}

export async function auditPolicies(sql: Sql, schemas: string[]): Promise<{ faults: Fault[]; policies: number }> {
  const catalogue = await read(sql, schemas);
  const policies = catalogue.policies.filter(({ audited }) => audited);
  const faults: Fault[] = [];
  for (const policy of policies) {
    faults.push(...forEverybody(policy), ...metadata(policy, catalogue));
    // A restrictive policy only takes away.
    const open = policy.permissive ? await holdsForEverybody(sql, policy, catalogue) : [];
    faults.push(...open, ...perRow(policy, catalogue), ...unindexed(policy, catalogue));
    if (open.length === 0 && policy.permissive) faults.push(...check(policy, catalogue));
  }
  const recursive = recursion(catalogue);
  faults.push(...recursive, ...(await recursionByTrying(sql, schemas, recursive)));
  return { faults: faults.filter(({ mend }, at) => faults.findIndex((other) => other.mend === mend) === at), policies: policies.length };
}

async function read(sql: Sql, schemas: string[]): Promise<Catalogue> {
  const found = await sql(
    `select n.nspname as schema, c.relname, c.oid::text as relation, polname as name, polpermissive as permissive, polcmd::text as command,
       n.nspname = any ($1::text[]) as audited, c.relrowsecurity as secured,
       array(select case role when 0 then 'public' else role::regrole::text end from unnest(polroles) role)::text[] as roles,
       polqual::text as "using tree", pg_get_expr(polqual, polrelid) as "using",
       polwithcheck::text as "with check tree", pg_get_expr(polwithcheck, polrelid) as "with check"
     from pg_policy join pg_class c on c.oid = polrelid join pg_namespace n on n.oid = c.relnamespace
     order by n.nspname, c.relname, polname`,
    [schemas],
  );
  const policies = found.map((row) => {
    const parts = (["using", "with check"] as const).flatMap((clause): Part[] => {
      const [tree, text] = [row[`${clause} tree`], row[clause]];
      return typeof tree === "string" && typeof text === "string" ? [{ clause, tree: parseTree(tree), text }] : [];
    });
    return { ...row, parts } as unknown as Policy;
  });
  const called = policies.flatMap(({ parts }) => parts.flatMap(({ tree }) => calls(tree).map(({ node }) => word(node, "funcid"))));
  const functions = await sql(
    `select p.oid::text, n.nspname as schema, proname as name, provolatile <> 'i' as stable, prosecdef as definer, coalesce(nullif(prosrc, ''), pg_get_function_sqlbody(p.oid), '') as source
     from pg_proc p join pg_namespace n on n.oid = pronamespace where p.oid = any ($1::text[]::oid[])`,
    [[...new Set(called)]],
  );
  const equals = await sql("select oid::text from pg_operator where oprname = '='");
  const views = await sql(
    `select ev_class::text as oid, ev_action::text as tree from pg_rewrite join pg_class c on c.oid = ev_class join pg_roles o on o.oid = relowner
     where c.relkind = 'v' and c.relnamespace <> all (array['pg_catalog', 'information_schema']::regnamespace[]) and (
       not (rolsuper or rolbypassrls)
       or exists (select from pg_options_to_table(reloptions) where option_name = 'security_invoker' and option_value in ('true', 'on', 'yes', '1'))
     )`,
  );
  const columns = await sql(
    `select attrelid::text || '.' || attnum as key, attname as name, attrelid::text as relation, format('%s.%s', nspname, relname) as "table"
     from pg_attribute join pg_class c on c.oid = attrelid join pg_namespace n on n.oid = relnamespace
     where relkind in ('r', 'p') and attnum > 0 and nspname <> all (array['pg_catalog', 'information_schema'])`,
  );
  const indexed = await sql(
    `select indrelid::text || '.' || indkey[0] as key from pg_index
     where indisvalid and (
       indpred is null or pg_get_expr(indpred, indrelid) = (
         select format('(%I IS NOT NULL)', attname) from pg_attribute where attrelid = indrelid and attnum = indkey[0]
       )
     )`,
  );
  return {
    policies,
    functions: new Map(functions.map(({ oid, ...one }) => [String(oid), one as unknown as Called])),
    equals: new Set(equals.map(({ oid }) => String(oid))),
    views: new Map(views.map(({ oid, tree }) => [String(oid), relationsOf(parseTree(String(tree))).filter((read) => read !== oid)])),
    tables: new Map(columns.map(({ relation, table }) => [String(relation), String(table)])),
    columns: new Map(columns.map(({ key, name }) => [String(key), String(name)])),
    indexed: new Set(indexed.map(({ key }) => String(key))),
  };
}

const calls = (tree: Value): Placed[] => [...nodesOf(tree)].filter(({ node }) => node.type === "FUNCEXPR");
const fault = (rule: string, { schema, relname, name }: Policy, what: string, mend: string): Fault => ({ rule, object: `${schema}.${relname}.${name}`, what, mend });
const on = ({ schema, relname, name }: Policy) => `policy ${identifier(name)} on ${identifier(schema)}.${identifier(relname)}`;
const writes = ({ command }: Policy) => command === "w" || command === "*";

function forEverybody(policy: Policy): Fault[] {
  if (!policy.permissive || !policy.roles.includes("public")) return [];
  return [fault("policy-for-everybody", policy, "it names no role", `alter ${on(policy)} to authenticated;`)];
}

/** Finds policies that hold for everybody, by their expression or by evaluating it. */
async function holdsForEverybody(sql: Sql, policy: Policy, { functions }: Catalogue): Promise<Fault[]> {
  const roles = policy.roles.flatMap((role) => (role === "public" ? ["authenticated"] : ROLES.filter((known) => known === role)));
  if (roles.length === 0) return [];
  const faults: Fault[] = [];
  for (const { clause, tree, text } of policy.parts) {
    const regardless = branches(tree).some((branch) => !asksWho(branch, policy, functions) && !isFalse(branch));
    const open = regardless || (await holdsForStranger(sql, policy, roles, text));
    const why = regardless ? "does not ask who the caller is" : "holds for whoever is signed in, and of a row that is nobody's";
    if (open) faults.push(fault("policy-true", policy, `${clause} ${text} ${why}`, `drop ${on(policy)}; -- or let it name the row's owner: (select auth.uid()) = user_id`));
  }
  // WITH CHECK adds nothing where USING is open already.
  return faults.slice(0, 1);
}

/** Text of a function that may depend on its caller: it reads a setting, or calls another function. */
const ASKS = /current_setting|current_user|current_role|session_user|\b(?!pg_catalog\.)[a-z_]\w*\.[a-z_]\w*\(/i;

/**
 * Whether the answer can depend on the caller: by a claim, by the role, or by a table that has policies. Such a table
 * does not tell callers without an account apart.
 */
function asksWho(tree: Value, { roles }: Policy, functions: Map<string, Called>): boolean {
  const known = roles.some((role) => role !== "anon");
  return [...nodesOf(tree)].some(({ node }) => {
    if (node.type === "SQLVALUEFUNCTION") return true;
    if (node.type !== "FUNCEXPR") return known && relationsOf([node]).length > 0;
    const called = functions.get(word(node, "funcid"));
    if (!called || called.schema === "pg_catalog") return called?.name === "current_setting";
    return called.schema === "auth" || ASKS.test(called.source) || (known && !called.definer && /\b(?:from|join)\b/i.test(called.source));
  });
}

const isFalse = (tree: Value) => [...nodesOf(tree)].every(({ node }) => node.type === "CONST" && (node.fields.get("constvalue") ?? []).join(" ").includes("[ 0 "));

async function holdsForStranger(sql: Sql, { schema, relname }: Policy, roles: string[], text: string): Promise<boolean> {
  const table = `${identifier(schema)}.${identifier(relname)}`;
  for (const role of roles) {
    for (const as of [role, null]) {
      // As the role itself, if it may: often only policies may use a helper's schema.
      const rows = await attempt(sql, as, role, `select (${text}) as holds from (select (null::${table}).*) as ${identifier(relname)}`);
      if (rows instanceof Error) continue;
      if (rows[0]?.["holds"] === true) return true;
      break;
    }
  }
  return false;
}

/** Runs a statement as a new user and undoes its effects. */
async function attempt(sql: Sql, as: string | null, role: string, text: string): Promise<Record<string, unknown>[] | Error> {
  const sub = "5717a96e-0000-4000-8000-000000000000";
  const claims = role === "anon" ? { role } : { sub, role, aud: "authenticated", aal: "aal2", email: "stranger@example.com", is_anonymous: false, user_metadata: {}, app_metadata: {} };
  await sql("savepoint attempt");
  try {
    await sql("select set_config('request.jwt.claims', $1, true), set_config('request.jwt.claim.sub', $2, true), set_config('request.jwt.claim.role', $3, true)", [
      JSON.stringify(claims),
      role === "anon" ? "" : sub,
      role,
    ]);
    if (as) await sql(`set local role ${identifier(as)}`);
    return await sql(text);
  } catch (error) {
    return error as Error;
  } finally {
    await sql("rollback to savepoint attempt; release savepoint attempt");
  }
}

function perRow(policy: Policy, { functions }: Catalogue): Fault[] {
  const faults: Fault[] = [];
  for (const { clause, tree, text } of policy.parts) {
    const bareCalls = calls(tree).filter(({ node, within }) => {
      const called = functions.get(word(node, "funcid"));
      if (!called?.stable || (called.schema === "pg_catalog" && called.name !== "current_setting")) return false;
      return ![...nodesOf(inside(node, "args"))].some((arg) => arg.node.type === "VAR") && !once({ node, within });
    });
    const names = [...new Set(bareCalls.map(({ node }) => functions.get(word(node, "funcid"))))].flatMap((called) => (called ? [called] : []));
    if (names.length === 0) continue;
    const what = `${clause} calls ${names.map(({ schema, name }) => `${schema}.${name}()`).join(", ")} for each row`;
    faults.push(fault("call-per-row", policy, what, `alter ${on(policy)} ${clause} (${names.reduce(wrapped, text)});`));
  }
  return faults;
}

/** Each bare call of a function in an expression put into a sub-select. */
function wrapped(text: string, { schema, name }: Called): string {
  const call = schema === "pg_catalog" ? `${name}(` : `${identifier(schema)}.${identifier(name)}(`;
  let done = "";
  let rest = text;
  for (let at = rest.indexOf(call); at >= 0; at = rest.indexOf(call)) {
    let end = at + call.length;
    for (let depth = 1; depth > 0 && end < rest.length; end++) depth += rest[end] === "(" ? 1 : rest[end] === ")" ? -1 : 0;
    const before = rest.slice(0, at);
    const found = rest.slice(at, end);
    done += before + (/select\s+$/i.test(before) ? found : `(select ${found})`);
    rest = rest.slice(end);
  }
  return done + rest;
}

interface Compared {
  relation: string;
  column: string;
}

/** Columns that are compared with something that is neither a constant nor of the same table. */
function compared({ relation }: Policy, tree: Value, { equals }: Catalogue): Compared[] {
  return [...nodesOf(tree)].flatMap(({ node, within }) => {
    if (!["OPEXPR", "SCALARARRAYOPEXPR"].includes(node.type) || !equals.has(word(node, "opno"))) return [];
    const query = within.findLast(isQuery);
    const own = (placed: Node) => placed.type === "VAR" && word(placed, "varlevelsup") === "0";
    const sides = inside(node, "args").map(bare);
    return sides.flatMap((side, at) => {
      const other = sides[1 - at];
      if (!own(side) || !other || other.type === "CONST" || [...nodesOf(other)].some(({ node, within }) => own(node) && !within.some(isQuery))) return [];
      const entry = query && entries(query)[Number(word(side, "varno")) - 1];
      return [{ relation: query ? (entry ? word(entry, "relid") : "") : relation, column: word(side, "varattno") }];
    });
  });
}

function unindexed(policy: Policy, catalogue: Catalogue): Fault[] {
  const using = policy.parts.filter(({ clause }) => clause === "using");
  return using.flatMap(({ tree }) => compared(policy, tree, catalogue)).flatMap(({ relation, column }) => {
    const key = `${relation}.${column}`;
    const [table, name] = [catalogue.tables.get(relation), catalogue.columns.get(key)];
    if (!table || !name || catalogue.indexed.has(key)) return [];
    const on = table.split(".").map(identifier).join(".");
    return [{ rule: "column-not-indexed", object: `${table}.${name}`, what: `${policy.name} compares it, and no index begins with it`, mend: `create index on ${on} (${identifier(name)});` }];
  });
}

function check(policy: Policy, catalogue: Catalogue): Fault[] {
  const [using, withCheck] = (["using", "with check"] as const).map((clause) => policy.parts.find((part) => part.clause === clause));
  if (!writes(policy) || !using) return [];
  if (!withCheck) return [fault("update-without-check", policy, "no WITH CHECK of its own", `alter ${on(policy)} with check (${using.text});`)];
  const columns = ({ tree }: Part) => compared(policy, tree, catalogue).filter(({ relation }) => relation === policy.relation).map(({ column }) => column);
  const kept = columns(withCheck);
  const lost = columns(using).filter((column) => !kept.includes(column)).map((column) => catalogue.columns.get(`${policy.relation}.${column}`));
  if (lost.length === 0) return [];
  return [fault("check-looser", policy, `WITH CHECK leaves ${lost.join(", ")} open`, `alter ${on(policy)} with check (${using.text});`)];
}

const USERS_OWN = /user_metadata|raw_user_meta_data/;

function metadata(policy: Policy, { functions }: Catalogue): Fault[] {
  return policy.parts.flatMap(({ clause, tree, text }) => {
    const trusting = calls(tree).map(({ node }) => functions.get(word(node, "funcid"))).find((called) => called && USERS_OWN.test(called.source));
    if (USERS_OWN.test(text)) {
      const trusted = text.replaceAll("raw_user_meta_data", "raw_app_meta_data").replaceAll("user_metadata", "app_metadata");
      return [fault("user-metadata", policy, `${clause} trusts it`, `alter ${on(policy)} ${clause} (${trusted});`)];
    }
    return trusting ? [fault("user-metadata", policy, `${clause} calls ${trusting.schema}.${trusting.name}(), which trusts it`, `drop ${on(policy)}; -- and let the function read app_metadata`)] : [];
  });
}

const HELPER = "-- then read the table in a helper: security definer, stable, set search_path = '', in a schema that is not exposed";

/** Finds policies whose evaluation reads their own table again, as Postgres does. */
function recursion({ policies, functions, views, tables }: Catalogue): Fault[] {
  const secured = policies.filter((policy) => policy.secured);
  const tablesOf = (oid: string): string[] => views.get(oid)?.flatMap(tablesOf) ?? [oid];
  // The policies apply to a function that runs as its caller. Only its text tells which tables it reads.
  const readBy = ({ definer, source }: Called) =>
    definer ? [] : [...tables].filter(([, table]) => new RegExp(`\\b(?:from|join)\\s+(?:\\w+\\.)?${table.split(".")[1]}\\b`, "i").test(source)).map(([oid]) => oid);
  const readOf = new Map(
    secured.map((policy) => [
      policy,
      policy.parts.flatMap(({ tree }) => {
        const called = calls(tree).flatMap(({ node }) => functions.get(word(node, "funcid")) ?? []);
        return [...relationsOf(tree).flatMap(tablesOf), ...called.filter(({ schema }) => schema !== "pg_catalog" && schema !== "auth").flatMap(readBy)];
      }),
    ]),
  );
  const reads = (policy: Policy) => readOf.get(policy) ?? [];
  const hasSelect = (policy: Policy) => reads(policy).length > 0 || policy.parts.some(({ tree }) => [...nodesOf(tree)].some(({ node }) => node.type === "SUBLINK"));
  const meetsAgain = (relation: string, active: string[], role: string): boolean => {
    const applying = secured.filter((one) => one.relation === relation && ["r", "*"].includes(one.command) && holds(one, role));
    if (!applying.some(hasSelect)) return false;
    if (active.includes(relation)) return relation === active[0];
    return applying.flatMap(reads).some((next) => meetsAgain(next, [...active, relation], role));
  };
  return secured.filter(({ audited }) => audited).flatMap((policy) => {
    const role = ROLES.find((role) => holds(policy, role) && reads(policy).some((next) => meetsAgain(next, [policy.relation], role)));
    return role ? [fault("policy-recursion", policy, "it reads its own table, by itself or through another policy", `drop ${on(policy)}; ${HELPER}`)] : [];
  });
}

const holds = ({ roles }: Policy, role: string) => roles.includes(role) || roles.includes("public");

/** Recursion that no tree shows. Tables that are known to recurse are skipped: PGlite's stack is too short for them. */
async function recursionByTrying(sql: Sql, schemas: string[], known: Fault[]): Promise<Fault[]> {
  const tables = await sql(
    `select n.nspname as schema, relname, c.oid::text as relation from pg_class c join pg_namespace n on n.oid = relnamespace
     where relkind in ('r', 'p') and relrowsecurity and n.nspname = any ($1::text[])`,
    [schemas],
  );
  const faults: Fault[] = [];
  for (const { schema, relname } of tables as { schema: string; relname: string }[]) {
    if (known.some(({ object }) => object.startsWith(`${schema}.${relname}.`))) continue;
    for (const role of ROLES) {
      const table = `${identifier(schema)}.${identifier(relname)}`;
      const outcome = await attempt(sql, role, role, `select 1 from ${table} limit 1`);
      const code = outcome instanceof Error ? (outcome as Error & { code?: string }).code : undefined;
      if (code !== "42P17" && code !== "54001") continue;
      const named = await sql("select polname from pg_policies p join pg_policy on polname = policyname where p.schemaname = $1 and p.tablename = $2 and p.cmd in ('SELECT', 'ALL')", [schema, relname]);
      const drops = named.map(({ polname }) => `drop policy if exists ${identifier(String(polname))} on ${table};`).join(" ");
      faults.push({ rule: "policy-recursion", object: `${schema}.${relname}`, what: `reading it as ${role} fails with ${code}`, mend: `${drops} ${HELPER}` });
      break;
    }
  }
  return faults;
}
