// npm run deploy: gives the Worker to `wrangler deploy`, which builds it. All arguments are wrangler's, and one is ours:
// --upload-only runs `wrangler versions upload` instead, for a version that gets no traffic yet.

import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";

import { inspector } from "./declaration.ts";
import { commit, configuration, unset } from "./setup/deployment.ts";
import { callers, Failure, read, refuseKept, run } from "./setup/shell.ts";
import { buildModule } from "./setup/worker.ts";
import { appGuardIn, secretsIn } from "./stack/app-guard.ts";

refuseKept("deploy", "env", "dry-run", "config", "secrets-file", "upload-only");
const args = process.argv.slice(2);
const { values, tokens } = parseArgs({
  args,
  strict: false,
  tokens: true,
  options: {
    config: { type: "string", short: "c" },
    env: { type: "string", short: "e" },
    "dry-run": { type: "boolean" },
    "secrets-file": { type: "string" },
    "upload-only": { type: "boolean" },
  },
});
const text = (name: "config" | "env" | "secrets-file"): string | undefined => {
  const value = values[name];
  // Without a value, parseArgs has true for it.
  if (value === true) throw new Failure(`--${name} needs a value.`);
  return value as string | undefined;
};
const env = text("env") ?? process.env.CLOUDFLARE_ENV ?? "";
const secretsFile = text("secrets-file");

const missing = unset(await configuration(text("config") ?? "wrangler.toml", env));
if (missing.length > 0) {
  const where = env === "" ? "wrangler.toml" : `env.${env} of wrangler.toml`;
  const message = `${where} has no value for ${missing.join(", ")}. Fill it in: a Worker without it answers every request with 503.`;
  if (!values["dry-run"]) throw new Failure(message);
  console.error(`airlock: warning: ${message}`);
}

const command = values["upload-only"] ? ["versions", "upload"] : ["deploy"];
// GET /health names the commit: `npm run doctor` compares it.
const deployed = await commit();
const own = [
  // Without --env wrangler warns that there are environments.
  ...(values.env === undefined ? [`--env=${env}`] : []),
  ...(deployed === undefined ? [] : ["--var", `AIRLOCK_COMMIT:${deployed}`]),
  ...(secretsFile === undefined ? [] : ["--secrets-file", await secrets(secretsFile)]),
];
await run("wrangler", [...command, ...wranglers(), ...own], { stdio: "inherit" });

/** The arguments without those that are ours or are replaced. */
function wranglers(): string[] {
  const left = new Set(args.keys());
  for (const token of tokens) {
    if (token.kind !== "option" || !["upload-only", "secrets-file"].includes(token.name)) continue;
    left.delete(token.index);
    if (token.value !== undefined && !token.inlineValue) left.delete(token.index + 1);
  }
  return args.filter((_, index) => left.has(index));
}

/**
 * The file of secrets as JSON. In one like .dev.vars, `wrangler deploy` replaces $NAME, and takes a variable of its
 * environment in place of a line.
 */
async function secrets(given: string): Promise<string> {
  const text = await read(callers(given));
  // Wrangler would upload any text.
  if (!existsSync(inspector)) await buildModule();
  await appGuardIn(text);
  const folder = mkdtempSync(join(tmpdir(), "airlock-secrets-"));
  process.once("SIGTERM", () => process.exit(143));
  process.once("exit", () => rmSync(folder, { recursive: true }));
  const file = join(folder, "secrets.json");
  writeFileSync(file, JSON.stringify(secretsIn(text)), { mode: 0o600 });
  return file;
}
