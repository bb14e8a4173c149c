// The audit of a database: the findings of all rules, without those that are accepted.

import { read } from "../setup/shell.ts";
import { readCatalogue } from "./catalogue.ts";
import { type Accepted, type Fault, type Finding, membersOf, type Rule, type Sql } from "./finding.ts";
import { hasRegistry } from "./foreign.ts";
import { auditHooks } from "./hooks.ts";
import { auditPolicies, POLICY_RULES } from "./policies.ts";
import { auditReach, REACH_RULES, storedSecrets, unfitResources } from "./reach.ts";
import { CATALOGUE, EXPOSED, RULES, UNLOOKED, USABLE } from "./rules.ts";
import { auditTrust, decided, TRUST_RULES, trustedColumns } from "./trust.ts";

export interface Audit {
  findings: Finding[];
  notes: Finding[];
  /** Counts of the objects that were audited. */
  checked: Record<string, number>;
  /** Schemas with grants that were not audited. */
  left: string[];
}

/** The list of accepted findings. */
export async function readAccepted(file: string): Promise<Accepted[]> {
  const { accepted } = membersOf(await read(file));
  const sound = (entry: unknown) =>
    ["rule", "object", "why"].every((name) => typeof (entry as Record<string, unknown> | null)?.[name] === "string");
  if (!Array.isArray(accepted) || !accepted.every(sound))
    throw new Error(`${file}: "accepted" has to be a list of { "rule", "object", "why" }.`);
  return accepted as Accepted[];
}

/** Schemas of the project that a client's role may use, exposed or not. */
export async function usableSchemas(sql: Sql): Promise<string[]> {
  return (await sql(`select nspname from (${USABLE}) as usable`)).map(({ nspname }) => String(nspname));
}

/** The list, and the published columns of the registry of resources, which everybody may read. */
export async function withPublished(sql: Sql, accepted: Accepted[]): Promise<Accepted[]> {
  return [...accepted, ...(await published(sql))];
}

async function published(sql: Sql): Promise<Accepted[]> {
  if (!(await hasRegistry(sql))) return [];
  const rows = await sql(`
    select n.nspname || '.' || relname as table, relname,
      (select string_agg(name, ', ' order by name) from unnest(publish || array['id', 'published_at', 'updated_at', 'version']) as name) as columns
    from airlock.resources join pg_class c on c.oid = relation join pg_namespace n on n.oid = relnamespace where publish is not null`);
  const why = "The registry of resources says that everybody may read these columns of a published row.";
  return [
    ...rows.flatMap(({ table, relname, columns }) => [
      { rule: "policy-true", object: `${table}.${relname}_select_published`, why },
      { rule: "policy-public", object: `${table}.${relname}_select_published`, why },
      { rule: "anon-grant", object: `SELECT (${columns}) on ${table}`, why },
    ]),
    ...(await readByAll(sql)).flatMap(({ policy, open }) => {
      const why = "The registry of resources says that everybody may read these rows.";
      const rules = ["policy-true", "policy-public", ...(open ? ["policy-for-everybody"] : [])];
      return rules.map((rule) => ({ rule, object: policy, why }));
    }),
  ];
}

interface ReadByAll {
  /** The table's oid. */
  relation: string;
  /** A policy by which its rows are read. */
  policy: string;
  /** Whether anon reads it too. */
  open: boolean;
}

/** Tables of which the registry says that every user reads all rows, or every app. Only the latter may admit anon. */
async function readByAll(sql: Sql): Promise<ReadByAll[]> {
  const rows = await sql(`
    select c.oid::text as relation, n.nspname || '.' || relname || '.' || polname as policy, to_jsonb(r) ->> 'readers' = 'app' as open
    from airlock.resources r join pg_class c on c.oid = r.relation join pg_namespace n on n.oid = relnamespace join pg_policy on polrelid = c.oid
    where polcmd = 'r' and (to_jsonb(r) ->> 'readers' = 'app'
      or to_jsonb(r) ->> 'readers' = 'user' and (not polroles && array[0::oid, to_regrole('anon')::oid] or pg_get_expr(polqual, polrelid) ~ '''authenticated'''))`);
  return rows as unknown as ReadByAll[];
}

const UNUSED: Rule = {
  id: "accepted-in-vain",
  level: "finding",
  why: "The list of intended access names an object that is gone, or is no fault any more. A later fault of that name would be accepted unseen.",
};

/** The schemas that REST exposes: the given ones, and those of PostgREST's settings in the database. */
export async function exposedSchemas(sql: Sql, schemas: string[]): Promise<string[]> {
  const set = await sql(EXPOSED);
  return [...new Set([...schemas, ...set.map(({ nspname }) => String(nspname))])];
}

const ALL_RULES: Rule[] = [...RULES, ...POLICY_RULES, ...TRUST_RULES, ...REACH_RULES, UNUSED];

/** Must run in its own transaction, which may be read-only. */
export async function audit(sql: Sql, given: string[], accepted: Accepted[]): Promise<Audit> {
  // Then Postgres writes all names with their schemas.
  await sql("set local search_path = ''");
  const missing = await sql(
    "select name from unnest($1::text[]) name where to_regnamespace(quote_ident(name)) is null",
    [given],
  );
  if (missing.length > 0) throw new Error(`There is no schema ${missing.map(({ name }) => name).join(", ")}.`);
  const schemas = await exposedSchemas(sql, given);
  const rules = new Map(ALL_RULES.map((rule) => [rule.id, rule]));
  const audited = [...new Set([...schemas, ...(await usableSchemas(sql))])];
  const catalogue = await readCatalogue(sql, audited);
  const ofPolicies = await auditPolicies(catalogue);
  const named = (object: string) =>
    catalogue.policies.find(({ schema, relname, name }) => `${schema}.${relname}.${name}` === object);
  const open = (await hasRegistry(sql))
    ? (await readByAll(sql)).flatMap((table) => (table.open ? [table.relation] : []))
    : [];
  const shown = ofPolicies.faults.flatMap(({ rule, object }) =>
    rule === "policy-public" ? (named(object)?.relation ?? []) : [],
  );
  const kept = trustedColumns(catalogue).map(({ relation, column }) => `${relation}.${column}`);
  const found = (await sql(CATALOGUE, [schemas, [...shown, ...open], kept])) as unknown as Fault[];
  // A view or function that shows only its caller's rows may have its owner's rights. A policy may decide about the
  // owner's column.
  const harmless = (fault: Fault) =>
    ((fault.rule === "view-definer" || fault.rule === "definer-exposed") && catalogue.own.has(fault.object)) ||
    (fault.rule === "service-column" && decided(fault, catalogue));
  const faults = found.map((fault) => (harmless(fault) ? { ...fault, level: "note" as const } : fault));
  faults.push(
    ...ofPolicies.faults,
    ...auditTrust(catalogue),
    ...auditHooks(catalogue),
    ...(await auditReach(sql, catalogue, schemas)),
    ...(await storedSecrets(sql)),
    ...(await unfitResources(sql)),
  );

  const matches = (entry: Accepted, { rule, object }: Fault) => entry.rule === rule && entry.object === object;
  for (const entry of accepted) {
    if (faults.some((fault) => matches(entry, fault))) continue;
    faults.push({
      rule: UNUSED.id,
      object: entry.object,
      what: `accepted for ${entry.rule}, which does not find it`,
      mend: "-- Remove the entry from the list, or correct its name.",
    });
  }
  const meant = await withPublished(sql, accepted);
  const all = faults
    .filter((fault) => !meant.some((entry) => matches(entry, fault)))
    .map(
      (fault): Finding => ({
        ...fault,
        level: fault.level ?? rules.get(fault.rule)?.level ?? "finding",
        why: rules.get(fault.rule)?.why ?? "",
      }),
    );
  const [counts] = await sql(
    `select count(*) filter (where relkind in ('r', 'p'))::int as tables, count(*) filter (where relkind in ('v', 'm'))::int as views,
       (select count(*)::int from pg_proc where pronamespace = any ($1::text[]::regnamespace[])) as functions
     from pg_class where relnamespace = any ($1::text[]::regnamespace[])`,
    [audited],
  );
  return {
    findings: all.filter(({ level }) => level === "finding"),
    notes: all.filter(({ level }) => level === "note"),
    left: (await sql(UNLOOKED, [audited])).map(({ schema, what }) => `schema ${schema}: ${what}`),
    checked: {
      rules: rules.size,
      ...(counts as Record<string, number>),
      policies: ofPolicies.policies,
      accepted: accepted.length,
    },
  };
}
