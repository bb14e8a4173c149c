// The development server's settings: .dev.vars, made on the first run, and what the environment changes.

import { randomBytes } from "node:crypto";
import { existsSync } from "node:fs";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { parseEnv } from "node:util";

import { Failure, root } from "../setup/shell.ts";

/** What the Worker is given as variables and secrets. */
export type Vars = Record<string, string>;

const FILE = join(root, ".dev.vars");

/** The ports and the data folder. */
export interface Places {
  /** Of the Worker; 8787, or `AIRLOCK_PORT`. */
  port: number;
  /** Of the embedded Supabase; 54321, or `SUPABASE_PORT`. */
  supabasePort: number;
  /** Of the database and the Worker's storage; `.airlock/data`, or `AIRLOCK_DATA`. */
  dataDir: string;
}

export function places(): Places {
  return {
    port: port("AIRLOCK_PORT", 8787),
    supabasePort: port("SUPABASE_PORT", 54321),
    dataDir: process.env["AIRLOCK_DATA"] || join(root, ".airlock", "data"),
  };
}

/** A whole number from the environment. */
export function number(name: string, fallback: number, max = Number.MAX_SAFE_INTEGER): number {
  const text = process.env[name];
  if (!text) return fallback;
  const value = Number(text);
  if (!/^\d+$/.test(text) || value < 1 || value > max) throw new Failure(`${name} must be a whole number from 1 to ${max}; it is "${text}".`);
  return value;
}

function port(name: string, fallback: number): number {
  return number(name, fallback, 65535);
}

/** .dev.vars, made if there is none. */
export async function devVars(): Promise<Vars> {
  if (!existsSync(FILE)) {
    await writeFile(FILE, newVars(), { mode: 0o600 });
    console.error("airlock: made .dev.vars with new keys for development");
  }
  return read(FILE);
}

/** The lines of the file `AIRLOCK_VARS`, each of which takes the place of the one of that name. */
export async function overrides(): Promise<Vars> {
  const file = process.env["AIRLOCK_VARS"];
  return file ? read(file) : {};
}

/** The named values, all of which development needs. */
export function required<Name extends string>(vars: Vars, ...names: Name[]): Record<Name, string> {
  for (const name of names) {
    if (!vars[name]) throw new Failure(`.dev.vars has no ${name}. Delete the file to have it made anew.`);
  }
  return vars as Record<Name, string>;
}

/** The first key of the development app, for signing requests. */
export function devApp(vars: Vars): { appId: string; secret: string } {
  const guard: { apps?: Record<string, { keys?: { secret: string }[] }> } = JSON.parse(vars["APP_GUARD"] ?? "{}");
  const secret = guard.apps?.["rn-dev"]?.keys?.[0]?.secret;
  if (!secret) throw new Failure("APP_GUARD has no key for the app rn-dev. Delete .dev.vars to have it made anew.");
  return { appId: "rn-dev", secret };
}

async function read(file: string): Promise<Vars> {
  const text = await readFile(file, "utf8").catch((error: Error) => {
    throw new Failure(`${file} can't be read: ${error.message}`);
  });
  return parseEnv(text) as Vars;
}

function newVars(): string {
  const key = (bytes: number) => randomBytes(bytes).toString("base64url");
  const guard = { apps: { "rn-dev": { mode: "enforce", keys: [{ id: "dev", secret: key(32) }] } } };
  return `# Made by the first \`npm run dev\`, for development on this machine alone. Delete it to have it made anew.
# \`npm run dev\` points the Worker at the embedded Supabase, or at AIRLOCK_UPSTREAM.
SUPABASE_URL=http://127.0.0.1:54321
SUPABASE_PUBLISHABLE_KEY=sb_publishable_${key(16)}
# For scheduled jobs alone; \`npm run job -- purge\` runs them now.
SUPABASE_SECRET_KEY=sb_secret_${key(24)}
# The embedded Supabase signs tokens with this secret (HS256) and writes no issuer into them.
SUPABASE_JWT_ISSUER=-
SUPABASE_JWT_SECRET=${key(32)}
APP_GUARD='${JSON.stringify(guard)}'
`;
}
