// The secret APP_GUARD: its checks, by the Worker itself, and its place in a file like .dev.vars.

import { parseEnv } from "node:util";

import { diagnose } from "../declaration.ts";
import { Failure } from "../setup/shell.ts";
import type { Vars } from "./vars.ts";

/** Bytes. Cloudflare's limit for a variable is 5 KB. */
const SIZE_MAX = 5_000;

export type Mode = "off" | "report" | "enforce";

export interface AppGuard {
  default?: Mode;
  apps: Record<string, { mode?: Mode; attest?: Attest; keys: AppKey[] }>;
}

export interface AppKey {
  id: string;
  secret: string;
  retired?: boolean;
  message?: string | null;
  /** Overrides the app's setting. */
  attest?: Attest;
}

export interface Attest {
  mode: Mode;
  firebase?: { project: string; app_ids: string[] };
  approov?: { secret: string; bind?: boolean } | { keys: object[]; bind?: boolean };
}

/** Valid values of all other settings, so that each error of the Worker is about APP_GUARD. */
const REST = {
  SUPABASE_URL: "https://x.supabase.co",
  SUPABASE_PUBLISHABLE_KEY: "sb_publishable_x",
  LIMIT_IP: {},
  LIMIT_USER: {},
};

const STRING = /"(?:[^"\\]|\\.)*"/g;

/** Parses the secret's value as the Worker does. An error never quotes a secret. */
export async function parseAppGuard(text: string): Promise<AppGuard> {
  const refuse = (why: string) => new Failure(`APP_GUARD ${why}`);
  if (text.startsWith("\ufeff")) throw refuse("begins with a byte order mark. Save it as UTF-8 without one.");
  const outside = text.replaceAll(STRING, "");
  const curly = /[\u2018-\u201f\u00ab\u00bb]/.exec(outside)?.[0];
  if (curly) throw refuse(`has the typographic quote ${curly}. Replace it by a straight one, " in JSON.`);
  if (/,\s*[}\]]/.test(outside)) throw refuse("has a comma in front of a closing bracket. Remove it.");
  const notices = await diagnose({ ...REST, APP_GUARD: text }, '{"resources":{}}');
  const error = notices.find(({ event }) => event === "misconfigured");
  if (error) throw new Failure(`${error.message}.`);
  if (Buffer.byteLength(text) > SIZE_MAX) {
    throw refuse(
      `has ${Buffer.byteLength(text)} bytes, and at most ${SIZE_MAX} fit into a secret. Remove old keys or shorten messages.`,
    );
  }
  const guard = JSON.parse(text) as AppGuard;
  for (const app of Object.values(guard.apps)) app.keys ??= [];
  return guard;
}

/** One line of JSON without a single quote, so that it fits between two in a file, and without $, which `wrangler deploy` expands. */
async function formatAppGuard(guard: AppGuard): Promise<string> {
  const text = JSON.stringify(guard).replaceAll("'", "\\u0027").replaceAll("$", "\\u0024");
  await parseAppGuard(text);
  return text;
}

const LINE = /^[ \t]*(?:export[ \t]+)?APP_GUARD[ \t]*=[ \t]*(?:'[^']*'|"[^"]*"|`[^`]*`|.*)$/m;

/** The secrets in the text of a file like .dev.vars, or of JSON `{"NAME": "value"}`: the two forms that wrangler reads. */
export function secretsIn(text: string): Vars {
  if (text.startsWith("\ufeff"))
    throw new Failure("The file begins with a byte order mark. Save it as UTF-8 without one.");
  const secrets = isJson(text) ? parseJson(text) : (parseEnv(text) as Vars);
  const escaped = Object.keys(secrets).find((name) => secrets[name]?.includes("\\$"));
  if (escaped !== undefined)
    throw new Failure(`${escaped} has \\$, which is uploaded as it stands. Write $ alone: nothing replaces it.`);
  return secrets;
}

/** The secret in the text of such a file; `undefined` if there is none. */
export async function appGuardIn(text: string): Promise<AppGuard | undefined> {
  const quoted = /^[ \t]*APP_GUARD[ \t]*=[ \t]*[\u2018-\u201f]/m.test(text);
  if (quoted)
    throw new Failure("APP_GUARD is between typographic quotes. Replace them by straight ones: APP_GUARD='...'.");
  const value = secretsIn(text).APP_GUARD;
  return value === undefined ? undefined : await parseAppGuard(value);
}

/** The text of the file with this secret in place of the one that it has. */
export async function withAppGuard(text: string, guard: AppGuard): Promise<string> {
  const value = await formatAppGuard(guard);
  if (isJson(text)) return `${JSON.stringify({ ...parseJson(text), APP_GUARD: value }, null, 2)}\n`;
  const line = `APP_GUARD='${value}'`;
  if (LINE.test(text)) return text.replace(LINE, () => line);
  return `${text}${text === "" || text.endsWith("\n") ? "" : "\n"}${line}\n`;
}

const isJson = (text: string) => text.trimStart().startsWith("{");

function parseJson(text: string): Vars {
  try {
    const parsed = JSON.parse(text) as Record<string, unknown>;
    if (Object.values(parsed).every((value) => typeof value === "string")) return parsed as Vars;
  } catch {
    // The parser's own message quotes the text.
  }
  throw new Failure('The file is no JSON object of texts. Write {"NAME": "value"}, or lines NAME=value.');
}
