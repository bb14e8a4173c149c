// The files that `npm run generate` writes, and whether they are fresh.

import { readFile } from "node:fs/promises";
import { join } from "node:path";

import { clientTypes } from "../client-types.ts";
import { checkedDeclaration, type Declaration } from "../declaration.ts";
import { formatted, projectDocument } from "../openapi/document.ts";
import { access } from "../supabase/access.ts";
import { Failure, isClone, project, root } from "./shell.ts";

/** Their paths, below the team's folder, and their texts. The WASM module must have been built. */
export async function generated(): Promise<Map<string, string>> {
  const declaration = await checkedDeclaration();
  return new Map([
    ["openapi.json", `${formatted(projectDocument(declaration))}\n`],
    ["supabase/access.txt", await access()],
    ...(isClone ? await ofAirlock(declaration) : [["airlock.ts", clientTypes(declaration)] as const]),
  ]);
}

/** The files that are in a clone alone. */
async function ofAirlock(declaration: Declaration): Promise<[path: string, text: string][]> {
  return [
    ["client/src/generated.ts", clientTypes(declaration)],
    ["client/test/generated.ts", clientTypes(await testDeclaration(), "the resources of the tests")],
    ["tests/README.md", await (await import("./test-index.ts")).testIndex()],
  ];
}

/** The resources of the tests, so that these do not depend on airlock.toml. */
async function testDeclaration(): Promise<Declaration> {
  const files = ["notes.toml", "everything.toml"].map((name) => checkedDeclaration(join(root, "tests", "resources", name)));
  return { organizations: true, resources: (await Promise.all(files)).flatMap(({ resources }) => resources) };
}

/** Fails if airlock.toml or a migration was changed since `npm run generate`. */
export async function requireFresh(): Promise<void> {
  const stale: string[] = [];
  for (const [path, text] of await generated()) {
    if ((await readFile(join(project, path), "utf8").catch(() => "")) !== text) stale.push(path);
  }
  if (stale.length > 0) throw new Failure(`${stale.join(" and ")} ${stale.length > 1 ? "are" : "is"} stale. Run \`npm run generate\` and review the changes.`);
}
