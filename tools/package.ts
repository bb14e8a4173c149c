// npm run package: the npm packages airlock-edge and create-airlock, as tarballs in .airlock/packages/. It publishes
// nothing.

import { readFileSync } from "node:fs";
import { join, relative } from "node:path";

import { makePackages } from "./setup/packages.ts";
import { refuseArguments, root } from "./setup/shell.ts";
import { buildModule } from "./setup/worker.ts";

refuseArguments("package");
await buildModule();
for (const path of Object.values(await makePackages(join(root, ".airlock", "packages")))) {
  console.log(`${relative(root, path)}  ${Math.round(readFileSync(path).length / 1000)} kB`);
}
