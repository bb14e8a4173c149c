/** The package as it is published, for the tests that install it. */

import { execFile } from "node:child_process";
import { cp, mkdir, readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

const run = promisify(execFile);
const client = fileURLToPath(new URL("..", import.meta.url));

/** Packs into this folder, which is inside of the project, since the build needs the project's packages. Returns the path of the tarball. */
export async function pack(folder: string): Promise<string> {
  // A copy, so that no other test meets dist/ half built.
  const copy = join(folder, "client");
  await cp(client, copy, { recursive: true, filter: (path) => !/\/(dist|test|node_modules)$/.test(path) });
  await run("npm", ["pack", "--silent", "--pack-destination", folder], { cwd: copy });
  await rm(copy, { recursive: true });
  return join(folder, (await readdir(folder)).find((file) => file.endsWith(".tgz"))!);
}

/** Unpacks into the packages of an app, as npm does: the package has no dependencies. Returns the folder. */
export async function unpack(tarball: string, app: string): Promise<string> {
  const installed = join(app, "node_modules", "react-native-airlock");
  await rm(installed, { recursive: true, force: true });
  await mkdir(installed, { recursive: true });
  await run("tar", ["xzf", tarball, "--strip-components=1", "-C", installed]);
  return installed;
}
