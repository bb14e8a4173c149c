/** The app of client/test/app, with its packages and the packed client. */

import { execFile } from "node:child_process";
import { cp, mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

import { readmeBlocks } from "./blocks.ts";
import { pack, unpack } from "./pack.ts";

const run = promisify(execFile);
const root = fileURLToPath(new URL("../..", import.meta.url));
const source = join(root, "client", "test", "app");

/** The README's files that need packages which the app does not have. readme.test.ts compiles them. */
const OTHERS = ["api.ts", "attest.ts"];

/**
 * Its folder, with the README's code in it. Its packages are installed again when its lock file has changed, which takes a minute.
 */
export async function installApp(): Promise<string> {
  const app = join(root, ".airlock", "expo-app");
  const read = (folder: string) => readFile(join(folder, "package-lock.json"), "utf8").catch(() => "");
  const [wanted, installed] = await Promise.all([read(source), read(join(app, "node_modules"))]);
  if (wanted !== installed) {
    await rm(app, { recursive: true, force: true });
    await cp(source, app, { recursive: true });
    await run("npm", ["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel", "error"], { cwd: app });
    await cp(join(source, "package-lock.json"), join(app, "node_modules", "package-lock.json"));
  }
  await cp(source, app, { recursive: true });
  await cp(join(root, "tests", "vectors", "app-guard.json"), join(app, "app-guard.json"));
  await cp(join(root, "client", "test", "generated.ts"), join(app, "airlock-types.ts"));
  await cp(join(root, "client", "test", "vector.ts"), join(app, "vector.ts"));
  for (const { file, code } of await readmeBlocks()) if (!OTHERS.includes(file)) await writeFile(join(app, file), code);

  const packed = join(root, ".airlock", "expo-package");
  await rm(packed, { recursive: true, force: true });
  await mkdir(packed, { recursive: true });
  await unpack(await pack(packed), app);
  return app;
}
