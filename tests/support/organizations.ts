// Common parts of tests of organisations.

import { test as always } from "node:test";

import { migration } from "../../tools/resource/migration.ts";
import { migrationFiles } from "../../tools/supabase/database.ts";
import { resource } from "./declared.ts";

/** The migration of organisations can be left out. */
export const installed = (await migrationFiles()).some((file) => file.endsWith("_airlock_organizations.sql"));
export const test = installed ? always : always.skip;

/** The SQL of a resource of users and of organisations, independent of airlock.toml. */
export const papers = migration(
  resource({
    name: "papers",
    owner: "both",
    publish: ["title"],
    fields: [{ name: "title", kind: "text", min: 1, max: 200, nullable: false }],
  }),
);
