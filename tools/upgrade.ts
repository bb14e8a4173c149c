// npm run upgrade: after `npm update`, copies the migrations of Airlock's core that supabase/migrations lacks. Each
// gets a version after all others there, since these may be applied already, and no file that is there is changed.

import { writeFile } from "node:fs/promises";
import { join } from "node:path";

import { nextVersion, tryMigration } from "./resource/write.ts";
import { missingCore } from "./setup/core.ts";
import { project, refuseArguments, runTool } from "./setup/shell.ts";

refuseArguments("upgrade");
const missing = await missingCore();
if (missing.length > 0) {
  console.error("airlock: trying the migrations on a temporary database");
  await tryMigration(missing.map(({ text }) => text).join("\n"));
}
for (const { name, text } of missing) {
  const path = join("supabase", "migrations", `${nextVersion()}_${name}`);
  await writeFile(join(project, path), text, { flag: "wx" });
  console.log(`${path} is new.`);
}
if (missing.length === 0) {
  console.log("supabase/migrations has all migrations of Airlock's core.");
} else {
  await runTool("generate");
  console.log("\nReview them and run `npm test`. Then the database first, and the Worker second:");
  console.log("npx supabase db push --remote, npm run deploy -- --env production.");
}
