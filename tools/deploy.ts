// npm run deploy: builds the Worker and gives it to `wrangler deploy`, with the arguments given here.

import { run } from "./setup/shell.ts";
import { build } from "./setup/worker.ts";

await build();
await run("wrangler", ["deploy", ...process.argv.slice(2)], { stdio: "inherit" });
