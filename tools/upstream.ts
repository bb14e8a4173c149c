// npm run upstream: settings for `npm run dev` in front of another Supabase than the embedded one, as a file for AIRLOCK_VARS.
//
//     npx supabase status -o env | npm run -s upstream                                     the one of `supabase start`
//     npm run upstream -- --url https://<ref>.supabase.co --key sb_publishable_...         a hosted project
//     [--file FILE]                                                                        .dev.vars.upstream by default

import { join } from "node:path";
import { text } from "node:stream/consumers";
import { parseArgs, parseEnv } from "node:util";

import { callers, Failure, project, refuseKept, writeSecret, wrongUsage } from "./setup/shell.ts";
import type { Vars } from "./stack/vars.ts";

const USAGE = `npx supabase status -o env | npm run -s upstream [-- --file FILE]
npm run upstream -- --url URL --key PUBLISHABLE_KEY [--file FILE]`;

const FILE = ".dev.vars.upstream";

const { given, file } = await parsed();
const { SUPABASE_URL: url = "" } = given;
const hs256 = (await keysOf(url)).length === 0;
// Not an option: other accounts of this machine see the arguments of a command.
const secret = given.SUPABASE_JWT_SECRET || process.env.SUPABASE_JWT_SECRET;
if (hs256 && !secret) {
  throw new Failure(
    `${url} signs tokens with HS256: its key set is empty. Move it to asymmetric keys, or run this command with its legacy secret in SUPABASE_JWT_SECRET.`,
  );
}
// An empty value takes the place of the one in .dev.vars, and counts as absent: the issuer is then that of the project.
const vars: Vars = {
  SUPABASE_SECRET_KEY: "",
  ...given,
  SUPABASE_JWT_ISSUER: "",
  SUPABASE_JWT_SECRET: (hs256 && secret) || "",
};
const lines = Object.entries(vars).map(([name, value]) => `${name}=${value}\n`);
await writeSecret(file === FILE ? join(project, file) : callers(file), lines.join(""));
console.log(`${file} is written; ${url} signs tokens with ${hs256 ? "HS256" : "keys of its key set"}. Then:

    AIRLOCK_UPSTREAM=${url} AIRLOCK_VARS=${file} npm run dev`);

/** The keys with which a project's tokens are verified; none for HS256. */
async function keysOf(project: string): Promise<unknown[]> {
  const address = `${project}/auth/v1/.well-known/jwks.json`;
  try {
    const answer = await fetch(address, {
      headers: { apikey: given.SUPABASE_PUBLISHABLE_KEY ?? "" },
      signal: AbortSignal.timeout(10_000),
    });
    if (!answer.ok) throw new Error(`status ${answer.status}`);
    return ((await answer.json()) as { keys: unknown[] }).keys;
  } catch (error) {
    const { message, cause } = error as Error;
    throw new Failure(
      `${address} gives no key set: ${cause instanceof Error ? cause.message : message}. Is Supabase running there?`,
    );
  }
}

async function parsed(): Promise<{ given: Vars; file: string }> {
  refuseKept("upstream", "url", "key", "file");
  try {
    const {
      url,
      key,
      file = FILE,
    } = parseArgs({ options: { url: { type: "string" }, key: { type: "string" }, file: { type: "string" } } }).values;
    if ((url === undefined) !== (key === undefined)) throw new Error("--url and --key come together.");
    if (url === undefined && process.stdin.isTTY) throw new Error("Nothing comes from `supabase status -o env`.");
    const given =
      url !== undefined && key !== undefined
        ? { SUPABASE_URL: url, SUPABASE_PUBLISHABLE_KEY: key }
        : fromStatus(await text(process.stdin));
    if (!URL.canParse(given.SUPABASE_URL)) throw new Error(`${given.SUPABASE_URL} is not a URL.`);
    return { given: { ...given, SUPABASE_URL: given.SUPABASE_URL.replace(/\/+$/, "") }, file };
  } catch (error) {
    throw wrongUsage(error, USAGE);
  }
}

/**
 * The output of `supabase status -o env`, under the names of the Worker. Earlier versions of the CLI know legacy keys
 * alone.
 */
function fromStatus(output: string): { SUPABASE_URL: string; SUPABASE_PUBLISHABLE_KEY: string } & Vars {
  const status = parseEnv(output) as Vars;
  const { API_URL, PUBLISHABLE_KEY, ANON_KEY, SECRET_KEY, SERVICE_ROLE_KEY, JWT_SECRET } = status;
  const key = PUBLISHABLE_KEY || ANON_KEY;
  if (!API_URL || !key)
    throw new Error(
      "The input has no API_URL and PUBLISHABLE_KEY or ANON_KEY: it is not that of `supabase status -o env`.",
    );
  return {
    SUPABASE_URL: API_URL,
    SUPABASE_PUBLISHABLE_KEY: key,
    SUPABASE_SECRET_KEY: SECRET_KEY || SERVICE_ROLE_KEY || "",
    SUPABASE_JWT_SECRET: JWT_SECRET ?? "",
  };
}
