// Wire names: the names of tables and columns in airlock.toml and in JSON.

import { RESERVED } from "../evidence/finding.ts";

/** A name of camelCase, capitals, spaces or hyphens as a wire name; undefined if it cannot be one. */
export function wireName(name: string): string | undefined {
  const snake = name
    .replace(/([a-z0-9])([A-Z])/g, "$1_$2")
    .replace(/([A-Z])([A-Z][a-z])/g, "$1_$2")
    .replace(/[\s-]+/g, "_")
    .replace(/_+/g, "_")
    .toLowerCase();
  return /^[a-z][a-z0-9_]{0,39}$/.test(snake) && !RESERVED.has(snake) ? snake : undefined;
}

/** Names of resources that Airlock keeps for itself. */
export const isKeptResource = (name: string) => ["me", "orgs", "public"].includes(name) || name.startsWith("airlock");

/** Why a name has no wire name. */
export function whyNot(name: string): string {
  return `the name ${JSON.stringify(name)} cannot become one of a-z, 0-9 and _ (at most 40, no reserved word); declare it by hand under another name`;
}
