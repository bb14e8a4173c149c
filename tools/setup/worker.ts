// The Worker that is served and deployed: its modules in build/ of the team's folder.

import { readFile } from "node:fs/promises";
import { join } from "node:path";

import { buildDeclaration, update } from "../declaration.ts";
import { requireCore } from "./core.ts";
import { isClone, project, root } from "./shell.ts";

/** The Worker's modules. With the assets beside them they are all that is deployed. */
export const outputs = ["build/index.js", "build/index_bg.wasm", "build/declaration.js"];

/** The file with number and name of each function of the module, to read the stack trace of a trap. It is not uploaded. */
export const functionNames = join(project, ".airlock", "functions.txt");

/** Builds the Worker and checks airlock.toml. Takes a second or two when nothing has changed. */
export async function build(): Promise<void> {
  await buildModule();
  await buildDeclaration();
}

/** All of the build but the declaration. The package has the compiled Worker. */
export async function buildModule(): Promise<void> {
  if (isClone) return (await import("./compile.ts")).compile();
  await requireCore();
  for (const path of [...outputs.slice(0, 2), ".airlock/functions.txt"])
    await update(join(project, path), await readFile(join(root, path)));
}
