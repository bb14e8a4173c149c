// A copy of the project whose checker is built, for commands that write into it.

import { cp, mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { root } from "../../tools/setup/shell.ts";

const COPIED = [
  "tools",
  "supabase",
  "build",
  "package.json",
  "package-lock.json",
  join("bench", "budget.ts"),
  join(".airlock", "inspect.mjs"),
];

/** Its commands build no Worker and generate nothing. */
export async function copyProject(): Promise<string> {
  const project = await mkdtemp(join(tmpdir(), "airlock-project-"));
  for (const name of COPIED) await cp(join(root, name), join(project, name), { recursive: true });
  await symlink(join(root, "node_modules"), join(project, "node_modules"));
  await writeFile(
    join(project, "tools", "setup", "worker.ts"),
    "export const buildModule = async () => {}; export const build = buildModule; export const outputs = [];",
  );
  await rm(join(project, "tools", "generate.ts"), { force: true });
  return project;
}
