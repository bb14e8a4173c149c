// npm run doctor: finds faults of a set-up, on this machine or deployed. A line for each check: its subject, the result
// and the remedy. It ends with 0 if all is well, 1 if something is not, 2 if it could not look.
//
//     npm run doctor                                    the development server, which must be running
//     npm run doctor -- --url URL [--env ENVIRONMENT]   a deployment
//         --secrets-file FILE   its secrets; .dev.vars.ENVIRONMENT by default
//         --evidence            the audit of this project's data boundary, too
//         --log FILE            the verdicts about the apps' attestation in a log, too
//
// The user whose requests it sends signs in with AIRLOCK_EMAIL and AIRLOCK_PASSWORD.

import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { parseArgs } from "node:util";

import { createClient } from "@supabase/supabase-js";

import { check, declarationFile, toJson } from "./declaration.ts";
import { ofKeys, ofLog } from "./doctor/attestation.ts";
import type { Finding } from "./doctor/finding.ts";
import { examine } from "./doctor/requests.ts";
import { bindings, type Environments, type Settings, startOf, values } from "./doctor/settings.ts";
import { commit, configuration } from "./setup/deployment.ts";
import { helpOf } from "./setup/help.mjs";
import { printVisibly } from "./setup/output.ts";
import { callers, Failure, project, read, refuseKept, root, tool, wrongUsage } from "./setup/shell.ts";
import { build } from "./setup/worker.ts";
import { secretsIn } from "./stack/app-guard.ts";
import { devVars, overrides, places, type Vars } from "./stack/vars.ts";
import { KEY_SET } from "./supabase/app-check.ts";

printVisibly();
const { url, env, file, evidence, log } = parse();

try {
  process.exitCode = report(url === undefined ? await local() : await deployed(url, env));
} catch (error) {
  console.error(`airlock: ${error instanceof Failure ? error.message : (error as Error).stack}`);
  process.exitCode = 2;
}

async function local(): Promise<Finding[]> {
  await build();
  const { json, declaration } = await declared();
  const { port, supabasePort } = places();
  const supabase = process.env.AIRLOCK_UPSTREAM || `http://127.0.0.1:${supabasePort}`;
  const vars: Vars = {
    ...(await devVars()),
    APP_CHECK_JWKS_URL: supabase + KEY_SET,
    ...(await overrides()),
    SUPABASE_URL: supabase,
  };
  const environments = await readAll();
  const token = await signIn(
    vars,
    process.env.AIRLOCK_EMAIL || "alice@example.com",
    process.env.AIRLOCK_PASSWORD || "airlock-dev-password",
  );
  return [
    ...Object.keys(environments).flatMap((name) => bindings(name, environments)),
    ...(await startOf(vars, json, false)),
    ...(await examine({ url: `http://127.0.0.1:${port}`, vars, declaration, token })),
    ...(await attestation(vars)),
    ...audit(),
  ];
}

async function deployed(url: string, env: string): Promise<Finding[]> {
  await build();
  const { json, declaration } = await declared();
  const environments = await readAll();
  const settings = environments[env];
  if (!settings) return bindings(env, environments);
  const path = secretsPath();
  const secrets = path === undefined ? undefined : secretsIn(await read(path));
  const vars: Vars = { ...(settings.vars as Vars), ...secrets };
  const { version }: { version: string } = JSON.parse(await readFile(join(root, "package.json"), "utf8"));
  const { AIRLOCK_EMAIL: email, AIRLOCK_PASSWORD: password } = process.env;
  const token = email && password ? await signIn(vars, email, password) : undefined;
  const known = await commit();
  return [
    ...bindings(env, environments),
    ...(await values(settings, secrets, json)),
    ...(await examine({
      url,
      vars,
      declaration,
      token,
      version: known === undefined ? version : `${version}+${known}`,
    })),
    ...(await attestation(vars)),
    ...audit(),
  ];
}

/** The file of a deployment's secrets, if there is one. */
function secretsPath(): string | undefined {
  const path = callers(file ?? `.dev.vars.${env}`);
  return file === undefined && !existsSync(path) ? undefined : path;
}

async function declared() {
  const json = toJson(await readFile(declarationFile, "utf8"));
  return { json, declaration: await check(json) };
}

async function readAll(): Promise<Environments> {
  const config = join(project, "wrangler.toml");
  const names = (await configuration(config)).definedEnvironments ?? [];
  const environments: Environments = {};
  for (const name of ["", ...names]) environments[name] = (await configuration(config, name)) as Settings;
  return environments;
}

/** The token of a user; undefined if the sign-in fails, which later lines explain. */
async function signIn(vars: Vars, email: string, password: string): Promise<string | undefined> {
  const { SUPABASE_URL: supabase, SUPABASE_PUBLISHABLE_KEY: key } = vars;
  if (!supabase || !key) return undefined;
  const { data, error } = await createClient(supabase, key, {
    auth: { persistSession: false, autoRefreshToken: false },
  }).auth.signInWithPassword({ email, password });
  if (error) console.error(`airlock: ${email} cannot sign in at ${supabase}: ${error.message}`);
  return data.session?.access_token;
}

function audit(): Finding[] {
  if (!evidence) return [];
  const what = "npm run evidence";
  const path = url === undefined ? undefined : secretsPath();
  const secrets = path === undefined ? [] : ["--secrets-file", path];
  const { status } = spawnSync(process.execPath, ["--import", tool("setup/preload"), tool("evidence"), ...secrets], {
    cwd: project,
    stdio: ["ignore", 2, 2],
  });
  if (status === 0) return [{ what, found: "no findings" }];
  if (status === 1)
    return [{ what, found: "it has findings, see above", mend: "docs/operations/audit.md explains each rule." }];
  return [
    { what, found: "it could not check, see above", mend: "Without DATABASE_URL it checks a database of its own." },
  ];
}

async function attestation(vars: Vars): Promise<Finding[]> {
  return [...(await ofKeys(vars)), ...(log === undefined ? [] : await ofLog(log, vars))];
}

function report(findings: Finding[]): number {
  const width = Math.max(...findings.map(({ what }) => what.length));
  for (const { what, found, mend } of findings) {
    console.log(`${mend === undefined ? "ok   " : "FAULT"}  ${what.padEnd(width)}  ${found}`);
    if (mend !== undefined) console.log(`${" ".repeat(9 + width)}${mend}`);
  }
  const faults = findings.filter(({ mend }) => mend !== undefined).length;
  console.log(faults === 0 ? "All is well." : `${faults} ${faults === 1 ? "fault" : "faults"}.`);
  return faults === 0 ? 0 : 1;
}

function parse() {
  try {
    refuseKept("doctor", "url", "env", "secrets-file", "log");
    const { values } = parseArgs({
      options: {
        url: { type: "string" },
        env: { type: "string", short: "e" },
        "secrets-file": { type: "string" },
        evidence: { type: "boolean", default: false },
        log: { type: "string" },
      },
    });
    const url = values.url?.replace(/\/$/, "");
    if (url !== undefined && !/^https?:\/\/[^/]+$/.test(url))
      throw new Error("--url is the Worker's address, such as https://api.example.com.");
    for (const name of ["env", "secrets-file"] as const)
      if (url === undefined && values[name] !== undefined) throw new Error(`--${name} goes with --url.`);
    const log = values.log === undefined ? undefined : callers(values.log);
    if (log !== undefined && !existsSync(log)) throw new Error(`${log} does not exist.`);
    return { url, env: values.env ?? "", file: values["secrets-file"], evidence: values.evidence, log };
  } catch (error) {
    console.error(`airlock: ${wrongUsage(error, helpOf(import.meta.filename)).message}`);
    process.exit(2);
  }
}
