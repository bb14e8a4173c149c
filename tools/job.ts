// npm run job -- purge: runs the scheduled jobs now, against the development server's database.
//
// It starts a Worker of its own, because no request can start a job.

import { parseArgs } from "node:util";

import { Failure, wrongUsage } from "./setup/shell.ts";
import { build } from "./setup/worker.ts";
import { devVars, overrides, places, required } from "./stack/vars.ts";
import { startWorker } from "./stack/worker.ts";

const USAGE = "npm run job -- purge";

parse();
const vars = { ...(await devVars()), ...(await overrides()) };
required(vars, "SUPABASE_SECRET_KEY");
const url = process.env.AIRLOCK_UPSTREAM || `http://127.0.0.1:${places().supabasePort}`;
await fetch(url).catch(() => {
  throw new Failure(`Nothing answers at ${url}. Is \`npm run dev\` running? (SUPABASE_PORT sets another port.)`);
});
await build();

let succeeded = true;
const worker = await startWorker({
  port: 0,
  vars: { ...vars, SUPABASE_URL: url },
  limits: { ip: 1, user: 1 },
  log: ({ level, message }) => {
    if (level === "error") succeeded = false;
    console.log(message);
  },
});
try {
  const { outcome } = await worker.scheduled();
  if (outcome !== "ok") throw new Failure(`The scheduled event ended with "${outcome}".`);
} finally {
  await worker.stop();
}
if (!succeeded) throw new Failure("Not everything was done, see above.");

function parse(): void {
  try {
    const { positionals } = parseArgs({ allowPositionals: true });
    if (positionals.join(" ") !== "purge") throw new Error("The one job is purge.");
  } catch (error) {
    throw wrongUsage(error, USAGE);
  }
}
