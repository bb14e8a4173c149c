// Common parts of tests of organisations.

import { test as always } from "node:test";

import { migration } from "../../tools/resource/migration.ts";
import { migrationFiles } from "../../tools/supabase/database.ts";
import { resource } from "./declared.ts";

/** The migration of organisations can be left out. */
export const installed = (await migrationFiles()).some((file) => file.endsWith("_airlock_organizations.sql"));
export const test = installed ? always : always.skip;

/** SQL that deletes all organisations and idempotency keys and adds these organisations, with the roles of their users. */
export function replaceOrganizations(organizations: Record<string, Record<string, string>>): string {
  const members = Object.entries(organizations).flatMap(([org, roles]) =>
    Object.entries(roles).map(([user, role]) => `('${org}', '${user}', '${role}')`),
  );
  return `
    delete from airlock.organizations;
    delete from airlock.idempotency_keys;
    insert into airlock.organizations (id, name) values ${Object.keys(organizations).map((org) => `('${org}', 'name')`)};
    insert into airlock.members (org_id, user_id, role) values ${members};`;
}

/** The SQL of a resource of users and of organisations, independent of airlock.toml. */
export const papers = migration(
  resource({
    name: "papers",
    owner: "both",
    publish: ["title"],
    fields: [{ name: "title", kind: "text", min: 1, max: 200, nullable: false }],
  }),
);
