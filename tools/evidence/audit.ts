// The audit of a database: every rule over its catalogue, less what is meant to be so.

import { readFile } from "node:fs/promises";

import { type Accepted, type Fault, type Finding, type Rule, type Sql } from "./finding.ts";
import { auditPolicies, POLICY_RULES } from "./policies.ts";
import { CATALOGUE, RULES } from "./rules.ts";

export interface Audit {
  findings: Finding[];
  notes: Finding[];
  /** How much was looked at. */
  checked: Record<string, number>;
}

/** The list of what is open on purpose. */
export async function readAccepted(file: string): Promise<Accepted[]> {
  const { accepted } = JSON.parse(await readFile(file, "utf8")) as { accepted?: unknown };
  const sound = (entry: unknown) => ["rule", "object", "why"].every((name) => typeof (entry as Record<string, unknown> | null)?.[name] === "string");
  if (!Array.isArray(accepted) || !accepted.every(sound)) throw new Error(`${file}: "accepted" has to be a list of { "rule", "object", "why" }.`);
  return accepted as Accepted[];
}

const UNUSED: Rule = {
  id: "accepted-in-vain",
  level: "finding",
  why: "The list of what is meant to be open names something that is not there, or no fault any more: the next one of that name would pass unseen.",
};

/** Has to run inside a transaction of its own, which may be read-only. */
export async function audit(sql: Sql, schemas: string[], accepted: Accepted[]): Promise<Audit> {
  // Names come out with their schemas, whatever the database's own path is.
  await sql("select set_config('search_path', '', true)");
  const missing = await sql("select name from unnest($1::text[]) name where to_regnamespace(quote_ident(name)) is null", [schemas]);
  if (missing.length > 0) throw new Error(`There is no schema ${missing.map(({ name }) => name).join(", ")}.`);
  const rules = new Map<string, Rule>([...RULES, ...POLICY_RULES, UNUSED].map((rule) => [rule.id, rule]));
  const faults = (await sql(CATALOGUE, [schemas])) as unknown as Fault[];
  const ofPolicies = await auditPolicies(sql, schemas);
  faults.push(...ofPolicies.faults);

  const matches = (entry: Accepted, { rule, object }: Fault) => entry.rule === rule && entry.object === object;
  for (const entry of accepted) {
    if (faults.some((fault) => matches(entry, fault))) continue;
    faults.push({ rule: UNUSED.id, object: entry.object, what: `accepted for ${entry.rule}, which does not find it`, mend: "-- Remove the entry from the list, or correct its name." });
  }
  const found = faults
    .filter((fault) => !accepted.some((entry) => matches(entry, fault)))
    .map((fault): Finding => ({ ...fault, level: rules.get(fault.rule)?.level ?? "finding", why: rules.get(fault.rule)?.why ?? "" }));
  const [counts] = await sql(
    `select count(*) filter (where relkind in ('r', 'p'))::int as tables, count(*) filter (where relkind in ('v', 'm'))::int as views,
       (select count(*)::int from pg_proc where pronamespace = any ($1::text[]::regnamespace[])) as functions
     from pg_class where relnamespace = any ($1::text[]::regnamespace[])`,
    [schemas],
  );
  return {
    findings: found.filter(({ level }) => level === "finding"),
    notes: found.filter(({ level }) => level === "note"),
    checked: { rules: rules.size, ...(counts as Record<string, number>), policies: ofPolicies.policies, accepted: accepted.length },
  };
}
