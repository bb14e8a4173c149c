// The resources of the project whose tables new-resource made. Tests of their common rules leave out tables from before
// Airlock.

import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";

import { checkedDeclaration, type Declaration, declarationFile, toJson } from "../../tools/declaration.ts";
import { isAdopted } from "../e2e/adopted.ts";

/** The declaration without adopted tables. */
export async function ownDeclaration(): Promise<Declaration> {
  const declaration = await checkedDeclaration();
  const { resources = {} } = JSON.parse(toJson(await readFile(declarationFile, "utf8"))) as {
    resources?: Record<string, unknown>;
  };
  return { ...declaration, resources: declaration.resources.filter(({ name }) => !isAdopted(resources[name])) };
}

/** SQL that leaves these tables alone in the schema public. */
export const OWN_TABLES = await readFile(
  fileURLToPath(new URL("../../supabase/tests/include/own.psql", import.meta.url)),
  "utf8",
);
