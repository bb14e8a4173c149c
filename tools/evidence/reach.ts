// Rules about objects below the API: views that other views read, functions that other functions call, and keys in
// functions, triggers and scheduled jobs.

import { literal } from "../resource/sql.ts";
import { findSecrets } from "../secrets.ts";
import { oneLine } from "../setup/output.ts";
import { type Called, withoutComments } from "./bodies.ts";
import type { Catalogue } from "./catalogue.ts";
import { type DefinerRows, widest } from "./definers.ts";
import { escaped, type Fault, list, type Rule, type Sql } from "./finding.ts";
import { hasRegistry, isReadable } from "./foreign.ts";
import { callOf } from "./ties.ts";

export const REACH_RULES: Rule[] = [
  {
    id: "definer-below",
    level: "finding",
    why: "A function that REST offers calls this one. It runs with its owner's rights, without policies, and does not check its caller.",
  },
  {
    id: "definer-unread",
    level: "note",
    why: "A function that REST offers calls this one. It runs with its owner's rights, and names its caller in statements that the audit does not read.",
  },
  {
    id: "stored-secret",
    level: "finding",
    why: "Every reader of the catalogue reads the key: function bodies, triggers and defaults are open to every role, and are in every dump.",
  },
  {
    id: "resource-unfit",
    level: "finding",
    why: "The Worker serves tables. A partition has its own policies, not those of its table. A view or a foreign table has none.",
  },
];

/** Resources of Airlock's registry that it cannot serve, or no longer. */
export async function unfitResources(sql: Sql): Promise<Fault[]> {
  if (!(await hasRegistry(sql))) return [];
  const rows = await sql(
    `select coalesce(format('%s.%s', nspname, relname), relation::text) as object, name, relispartition as partition
     from airlock.resources left join pg_class c on c.oid = relation left join pg_namespace n on n.oid = relnamespace
     where c.oid is null or relispartition or relkind not in ('r', 'p')`,
  );
  return rows.map(({ object, name, partition }) => ({
    rule: "resource-unfit",
    object: String(object),
    what: `resource ${String(name)}: ${partition === true ? "a partition that is named directly" : "no table"}`,
    mend: `delete from airlock.resources where name = ${literal(String(name))}; -- and remove its section of airlock.toml`,
  }));
}

/** Definer functions that exposed ones call. */
export async function auditReach(
  sql: Sql,
  { functions, reader, definers }: Catalogue,
  exposed: string[],
): Promise<Fault[]> {
  const faults: Fault[] = [];
  const wrappers = [...functions.values()].filter(
    (called) => exposed.includes(called.schema) && !called.foreign && !called.definer && called.callers.length > 0,
  );
  const visit = (wrapper: string, by: Called, seen: Set<string>) => {
    for (const next of reader.calledBy(by)) {
      if (seen.has(next.oid) || next.callers.length === 0) continue;
      seen.add(next.oid);
      if (!next.definer) visit(wrapper, next, seen);
      else if (!exposed.includes(next.schema)) {
        const rows = definers.get(next.oid);
        if (!READS.test(next.source) && rows?.changed !== "any") continue;
        const mend = `revoke execute on function ${next.named} from public, anon, authenticated; -- or let it ask for auth.uid()`;
        const others = reader.asks(next) ? rows !== undefined && showsOthers(next, rows) : !asksToken(rows);
        if (others && !passesCaller(by, next))
          faults.push({
            rule: "definer-below",
            object: next.identity,
            what: `security definer; ${wrapper} calls it for every caller`,
            mend,
          });
        // The core of Airlock has tests of its own.
        else if (!rows && reader.asks(next) && next.schema !== "airlock")
          faults.push({
            rule: "definer-unread",
            object: next.identity,
            what: `security definer, in ${next.language}; ${wrapper} calls it`,
            mend: `-- Read ${oneLine(next.identity)}: each row that it returns or changes has to be tied to auth.uid().`,
          });
      }
    }
  };
  for (const wrapper of wrappers) visit(wrapper.identity, wrapper, new Set());
  const views = await sql(
    `select format('%s.%s', nspname, relname) as name, pg_get_viewdef(c.oid) as text from pg_class c join pg_namespace n on n.oid = relnamespace
     where relkind = 'v' and nspname = any ($1::text[])
       and exists (select from pg_roles where rolname in ('anon', 'authenticated') and has_any_column_privilege(pg_roles.oid, c.oid, 'SELECT'))`,
    [exposed],
  );
  for (const { name, text } of views) visit(String(name), { source: String(text), oid: "" } as Called, new Set());
  return faults.filter(({ object }, at) => faults.findIndex((other) => other.object === object) === at);
}

const READS = /\b(from|join|update|insert\s+into|delete)\b/i;

/** Whether a function that was read shows or changes rows beside its caller's. A boolean answers a policy. */
const showsOthers = ({ returnsBoolean }: Called, { returned, changed }: DefinerRows) =>
  (returned === "any" && !returnsBoolean) || changed === "any";

/** Whether each row is found by a token that the call names. */
const asksToken = (rows: DefinerRows | undefined) =>
  rows !== undefined && widest([rows.returned, rows.changed]) === "right";

/** Whether the caller's id is among the arguments of the call, and the function reads that argument. */
function passesCaller({ source, searchPath }: Called, called: Called): boolean {
  const [call = ""] = callOf(called, searchPath).exec(source) ?? [];
  const values = list(source.slice(source.indexOf(call) + call.length));
  return values.some((value, at) => {
    const name = called.arguments[at]?.name;
    const read = new RegExp(`\\$${at + 1}(?!\\d)${name ? `|\\b${escaped(name)}\\b` : ""}`, "i");
    return CALLERS_ID.test(value) && read.test(withoutComments(called.source));
  });
}
const CALLERS_ID = /auth\.(uid|jwt|email)|request\.jwt/;

/** Keys in texts of the catalogue. */
export async function storedSecrets(sql: Sql): Promise<Fault[]> {
  const cron = await isReadable(sql, "cron", "job");
  const texts = await sql(`
    select format('%s.%s(%s)', nspname, proname, pg_get_function_identity_arguments(p.oid)) as object, coalesce(nullif(prosrc, ''), pg_get_function_sqlbody(p.oid), '') || coalesce(array_to_string(proconfig, ' '), '') || pg_get_function_arguments(p.oid) as text
    from pg_proc p join pg_namespace n on n.oid = pronamespace join pg_language on pg_language.oid = prolang where lanname not in ('internal', 'c')
    union all
    select format('%s.%s.%s', nspname, relname, tgname), encode(tgargs, 'escape') from pg_trigger join pg_class c on c.oid = tgrelid join pg_namespace n on n.oid = relnamespace where tgnargs > 0
    union all
    select format('%s.%s.%s', nspname, relname, attname), pg_get_expr(adbin, adrelid) from pg_attrdef join pg_attribute on attrelid = adrelid and attnum = adnum join pg_class c on c.oid = adrelid join pg_namespace n on n.oid = relnamespace
    union all
    select format('%s.%s', nspname, relname), pg_get_viewdef(c.oid) from pg_class c join pg_namespace n on n.oid = relnamespace where relkind in ('v', 'm') and nspname not in ('pg_catalog', 'information_schema')
    union all
    select format('%s.%s.%s', nspname, relname, polname), concat_ws(' ', pg_get_expr(polqual, polrelid), pg_get_expr(polwithcheck, polrelid)) from pg_policy join pg_class c on c.oid = polrelid join pg_namespace n on n.oid = relnamespace
    union all
    select concat_ws(' ', 'settings of', 'database ' || datname, 'role ' || rolname), array_to_string(setconfig, ' ') from pg_db_role_setting left join pg_database d on d.oid = setdatabase left join pg_roles r on r.oid = setrole
    union all
    select format('server %s', srvname), array_to_string(srvoptions, ' ') from pg_foreign_server
    ${cron ? "union all select format('cron.job %s', jobid), command from cron.job" : ""}
  `);
  const why =
    "-- Revoke the key where it was made, then keep the new one in Vault (vault.decrypted_secrets) and read it there.";
  return texts.flatMap(({ object, text }) =>
    findSecrets(String(text ?? "")).map(({ kind, begins }) => ({
      rule: "stored-secret",
      object: String(object),
      what: `${kind}: ${begins}`,
      mend: why,
    })),
  );
}
