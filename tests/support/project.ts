// A copy of the project whose checker is built, for commands that write into it.

import { cp, mkdir, rm, symlink, writeFile } from "node:fs/promises";
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

/**
 * Its commands build no Worker and generate nothing. Each `name` has a folder of its own, the same in each run: Node.js keeps
 * what it compiles by the path of the source.
 */
export async function copyProject(name: string): Promise<string> {
  const project = join(root, ".airlock", "copies", name);
  await rm(project, { recursive: true, force: true });
  await mkdir(project, { recursive: true });
  for (const part of COPIED) await cp(join(root, part), join(project, part), { recursive: true });
  await symlink(join(root, "node_modules"), join(project, "node_modules"));
  await writeFile(
    join(project, "tools", "setup", "worker.ts"),
    "export const buildModule = async () => {}; export const build = buildModule; export const outputs = [];",
  );
  await rm(join(project, "tools", "generate.ts"), { force: true });
  return project;
}
