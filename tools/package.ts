// npm run package: the npm packages airlock-edge, create-airlock and react-native-airlock, as tarballs in
// .airlock/packages/. It publishes nothing.

import { readFileSync } from "node:fs";
import { join, relative } from "node:path";

import { makePackages, pack } from "./setup/packages.ts";
import { refuseArguments, root } from "./setup/shell.ts";
import { buildModule } from "./setup/worker.ts";

refuseArguments("package");
await buildModule();
const folder = join(root, ".airlock", "packages");
const { edge, create } = await makePackages(folder);
for (const path of [edge, create, await pack(join(root, "client"), folder)]) {
  console.log(`${relative(root, path)}  ${Math.round(readFileSync(path).length / 1000)} kB`);
}
