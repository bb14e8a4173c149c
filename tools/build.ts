// npm run build: the release build of the Worker, and its size. Cloudflare's limit is in gzipped bytes.

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { project, refuseArguments } from "./setup/shell.ts";
import { build, outputs } from "./setup/worker.ts";

refuseArguments("build");
await build();
for (const file of outputs) {
  const bytes = readFileSync(join(project, file));
  console.log(`${file.padEnd(22)}${kilobytes(bytes.length)}${kilobytes(gzipSync(bytes).length)} gzipped`);
}

function kilobytes(bytes: number): string {
  return `${(bytes / 1000).toFixed(1)} kB`.padStart(12);
}
