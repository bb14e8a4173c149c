// npm run deploy: gives the Worker to `wrangler deploy`, which builds it. All arguments are wrangler's, and one is ours:
// --upload-only runs `wrangler versions upload` instead, for a version that gets no traffic yet.

import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";

import { unstable_readConfig } from "wrangler";

import { inspector } from "./declaration.ts";
import { commit, type DeploymentConfig, unset } from "./setup/deployment.ts";
import { Failure, project, refuseKept, run } from "./setup/shell.ts";
import { buildModule } from "./setup/worker.ts";
import { appGuardIn } from "./stack/app-guard.ts";

refuseKept("deploy", "env", "dry_run", "config", "secrets_file", "upload_only");
const args = process.argv.slice(2);
const { values } = parseArgs({
  args,
  strict: false,
  options: {
    config: { type: "string", short: "c" },
    env: { type: "string", short: "e" },
    "dry-run": { type: "boolean" },
    "secrets-file": { type: "string" },
    "upload-only": { type: "boolean" },
  },
});
const env = typeof values.env === "string" ? values.env : (process.env.CLOUDFLARE_ENV ?? "");

const file = typeof values.config === "string" ? values.config : join(project, "wrangler.toml");
const config: DeploymentConfig = unstable_readConfig({ config: file, env });
const missing = unset(config);
if (missing.length > 0) {
  const where = env === "" ? "wrangler.toml" : `env.${env} of wrangler.toml`;
  const message = `${where} has no value for ${missing.join(", ")}. Fill it in: a Worker without it answers every request with 503.`;
  if (!values["dry-run"]) throw new Failure(message);
  console.error(`airlock: warning: ${message}`);
}

// Wrangler would upload any text.
if (typeof values["secrets-file"] === "string") {
  if (!existsSync(inspector)) await buildModule();
  await appGuardIn(readFileSync(values["secrets-file"], "utf8"));
}

const command = values["upload-only"] ? ["versions", "upload"] : ["deploy"];
const given = args.filter((arg) => arg !== "--upload-only");
// GET /health names the commit: `npm run doctor` compares it.
const deployed = await commit();
// Without --env wrangler warns that there are environments.
const own = [
  ...(values.env === undefined ? [`--env=${env}`] : []),
  ...(deployed === undefined ? [] : ["--var", `AIRLOCK_COMMIT:${deployed}`]),
];
await run("wrangler", [...command, ...given, ...own], { stdio: "inherit" });
