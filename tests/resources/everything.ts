// The resources of the tests, for the database that airlock.toml asks for.

import { checkedDeclaration, type Declaration } from "../../tools/declaration.ts";
import { migration } from "../../tools/resource/migration.ts";
import { isClone } from "../../tools/setup/shell.ts";

const FILE = new URL("everything.toml", import.meta.url).pathname;

/**
 * everything.toml, and the SQL that makes its tables. Without organisations, resources of both are a user's. There are none
 * beside a team's own resources, whose names they could have.
 */
export async function everything(): Promise<Declaration & { sql: string }> {
  const { organizations } = await checkedDeclaration();
  const declared = isClone ? (await checkedDeclaration(FILE)).resources : [];
  const resources = organizations
    ? declared
    : declared.filter(({ owner }) => owner !== "org").map((resource) => ({ ...resource, owner: "user" as const }));
  return { organizations, resources, sql: resources.map((resource) => migration(resource)).join("\n\n") };
}
