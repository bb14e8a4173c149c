// Which findings come first, and which mends can stop an app that runs.

import type { Finding } from "./finding.ts";

/** Rules whose findings expose rows or keys now. All others are hygiene. */
export const LEAKS = new Set([
  "rls-disabled",
  "owner-is-client",
  "view-definer",
  "rule-definer",
  "view-of-users",
  "materialized-view",
  "foreign-table",
  "realtime",
  "role-power",
  "queue-exposed",
  "sensitive-column",
  "policy-true",
  "policy-compares-itself",
  "policy-any-tenant",
  "policy-any-account",
  "request-header",
  "user-metadata",
  "check-looser",
  "helper-escapes",
  "trusted-column",
  "self-made-membership",
  "tenant-unchecked",
  "membership-ended",
  "signup-metadata",
  "definer-exposed",
  "definer-below",
  "stored-secret",
]);

/** `secret` and `tried-...` are found outside of the catalogue. */
export const leaks = ({ rule, level }: Pick<Finding, "rule" | "level">) =>
  level === "finding" && (LEAKS.has(rule) || rule === "secret" || rule.startsWith("tried-"));

/** Rules whose SQL takes nothing that an app can use over REST today. */
const HARMLESS = new Set([
  "call-per-row",
  "update-without-check",
  "grant-whole-select",
  "grant-beyond-rows",
  "default-privileges",
  "default-privileges-of-supabase",
]);

/** Whether the SQL can break an app that runs today. */
export function breaks({ rule, mend }: Pick<Finding, "rule" | "mend">): boolean {
  const sql = mend.replace(/--.*$/gm, "").trim();
  return sql !== "" && !HARMLESS.has(rule) && !/^(create (index|policy)|drop index|alter extension)\b/.test(sql);
}

const rank = (one: Finding) => (leaks(one) ? 0 : one.level === "finding" ? 1 : 2);
export const ranked = (findings: Finding[]): Finding[] => findings.toSorted((one, other) => rank(one) - rank(other));
