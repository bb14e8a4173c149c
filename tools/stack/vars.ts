// The development server's settings: .dev.vars, generated on the first run, and the environment.

import { randomBytes } from "node:crypto";
import { existsSync } from "node:fs";
import { readFile, writeFile } from "node:fs/promises";
import { isIP } from "node:net";
import { join } from "node:path";
import { parseEnv } from "node:util";

import { Failure, project } from "../setup/shell.ts";
import { appId, projectNumber, TOKEN } from "../supabase/app-check.ts";

/** Variables and secrets of the Worker. */
export type Vars = Record<string, string>;

const FILE = join(project, ".dev.vars");

/** Where the development server listens and keeps its data. */
export interface Places {
  /** Port of the Worker; 8787, or `AIRLOCK_PORT`. */
  port: number;
  /** Port of the embedded Supabase; 54321, or `SUPABASE_PORT`. */
  supabasePort: number;
  /** Address to listen on; 127.0.0.1, or `AIRLOCK_HOST`. */
  host: string;
  /** Folder of the database; `.airlock/data`, or `AIRLOCK_DATA`. */
  dataDir: string;
}

export function places(): Places {
  return {
    port: port("AIRLOCK_PORT", 8787),
    supabasePort: port("SUPABASE_PORT", 54321),
    host: address("AIRLOCK_HOST", "127.0.0.1"),
    dataDir: process.env.AIRLOCK_DATA || join(project, ".airlock", "data"),
  };
}

function address(name: string, fallback: string): string {
  const text = process.env[name] || fallback;
  if (!isIP(text))
    throw new Failure(`${name} must be an IP address of this machine, or 0.0.0.0 for all of them; it is "${text}".`);
  return text;
}

/** A whole number from the environment. */
export function number(name: string, fallback: number, max = Number.MAX_SAFE_INTEGER): number {
  const text = process.env[name];
  if (!text) return fallback;
  const value = Number(text);
  if (!/^\d+$/.test(text) || value < 1 || value > max)
    throw new Failure(`${name} must be a whole number from 1 to ${max}; it is "${text}".`);
  return value;
}

function port(name: string, fallback: number): number {
  return number(name, fallback, 65535);
}

/** Reads .dev.vars; generates it if there is none. */
export async function devVars(): Promise<Vars> {
  if (!existsSync(FILE)) {
    await writeFile(FILE, newVars(), { mode: 0o600 });
    console.error("airlock: generated .dev.vars with new keys for development");
  }
  return read(FILE);
}

/** Reads the file `AIRLOCK_VARS`; its lines override those of the same name in .dev.vars. */
export async function overrides(): Promise<Vars> {
  const file = process.env.AIRLOCK_VARS;
  return file ? read(file) : {};
}

/** Fails if one of the named values is missing. */
export function required<Name extends string>(vars: Vars, ...names: Name[]): Record<Name, string> {
  for (const name of names) {
    if (!vars[name])
      throw new Failure(`.dev.vars has no ${name}. Delete the file; \`npm run dev\` generates it again.`);
  }
  return vars as Record<Name, string>;
}

/** The first key of the development app, for signing requests. */
export function devApp(vars: Vars): { appId: string; secret: string } {
  const secret = devSecret(vars);
  if (!secret)
    throw new Failure("APP_GUARD has no key for the app rn-dev. Delete .dev.vars; `npm run dev` generates it again.");
  return { appId: "rn-dev", secret };
}

function devSecret(vars: Vars): string | undefined {
  const guard: { apps?: Record<string, { keys?: { secret: string }[] }> } = JSON.parse(vars.APP_GUARD ?? "{}");
  return guard.apps?.["rn-dev"]?.keys?.[0]?.secret;
}

/** How the development server treats attestation: `AIRLOCK_ATTEST`. */
export function attestMode(): "off" | "report" | "enforce" {
  const mode = process.env.AIRLOCK_ATTEST || "off";
  if (mode !== "off" && mode !== "report" && mode !== "enforce") {
    throw new Failure(`AIRLOCK_ATTEST must be off, report or enforce; it is "${mode}".`);
  }
  return mode;
}

/** `APP_GUARD` whose app rn-dev asks for tokens of the stand-in for App Check. */
export function withAttest(appGuard: string): string {
  const mode = attestMode();
  if (mode === "off") return appGuard;
  const guard = JSON.parse(appGuard);
  guard.apps["rn-dev"].attest = { mode, firebase: { project: projectNumber, app_ids: [appId] } };
  return JSON.stringify(guard);
}

/** The settings of an Expo app under development: the URLs of both servers, and its keys. */
export function appSettings(vars: Vars, airlock: string, supabase: string): Vars {
  return {
    EXPO_PUBLIC_AIRLOCK_URL: airlock,
    EXPO_PUBLIC_AIRLOCK_APP_ID: "rn-dev",
    EXPO_PUBLIC_AIRLOCK_SECRET: devSecret(vars) ?? "",
    EXPO_PUBLIC_SUPABASE_URL: supabase,
    EXPO_PUBLIC_SUPABASE_KEY: vars.SUPABASE_PUBLISHABLE_KEY ?? "",
    ...(attestMode() !== "off" && { EXPO_PUBLIC_AIRLOCK_ATTEST_URL: supabase + TOKEN }),
  };
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
  return `# Generated by \`npm run dev\`, for development on this machine alone. If you delete it, it is generated again.
# \`npm run dev\` points the Worker at the embedded Supabase, or at AIRLOCK_UPSTREAM.
SUPABASE_URL=http://127.0.0.1:54321
SUPABASE_PUBLISHABLE_KEY=sb_publishable_${key(16)}
# For scheduled jobs alone; \`npm run job -- purge\` runs them now.
SUPABASE_SECRET_KEY=sb_secret_${key(24)}
# The embedded Supabase signs tokens with this secret (HS256) and writes no issuer into them.
SUPABASE_JWT_ISSUER=-
SUPABASE_JWT_SECRET=${key(32)}
APP_GUARD='${JSON.stringify(guard)}'
# Web builds of an app: where Expo serves them, and \`npm run example\`.
CORS_ORIGINS=http://localhost:8081
`;
}
