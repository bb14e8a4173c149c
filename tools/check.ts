// npm run check: formatting, lints and types, as CI asks for them.

import { run } from "./setup/shell.ts";

await run("cargo", ["fmt", "--check"]);
await run("cargo", ["clippy", "--all-targets", "--", "--deny", "warnings"]);
await run("tsc", []);
await run("tsc", ["--project", "client", "--noEmit"]);
