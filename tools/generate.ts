// npm run generate: writes openapi.json and the types of the client from airlock.toml. It also writes
// supabase/access.txt, the rights of each role after the migrations, and tests/README.md, the list of tests. `npm run
// check` fails when one is stale.
//
//     npm run generate -- --out ../app/src/airlock.ts    the types of the client in an app's repository, too

import { join } from "node:path";
import { parseArgs } from "node:util";

import { clientTypes } from "./client-types.ts";
import { checkedDeclaration, update } from "./declaration.ts";
import { generated } from "./setup/generated.ts";
import { callers, Failure, project, refuseKept, wrongUsage } from "./setup/shell.ts";
import { buildModule } from "./setup/worker.ts";

const USAGE = "npm run generate [-- --out FILE.ts]";

const out = parse();
// The checker of declarations is in the Worker's module.
await buildModule();
for (const [path, text] of await generated()) await write(path, join(project, path), text);
if (out !== undefined) {
  await write(out, callers(out), clientTypes(await checkedDeclaration()));
}

async function write(name: string, path: string, text: string): Promise<void> {
  const written = await update(path, text).catch((error: Error) => {
    throw new Failure(`${name} cannot be written: ${error.message}`);
  });
  console.log(`${name} ${written ? "was written; review its changes" : "is up to date"}.`);
}

function parse(): string | undefined {
  refuseKept("generate", "out");
  try {
    const { values } = parseArgs({ options: { out: { type: "string" } } });
    if (values.out !== undefined && !values.out.endsWith(".ts")) throw new Error("--out needs the name of a .ts file.");
    return values.out;
  } catch (error) {
    throw wrongUsage(error, USAGE);
  }
}
