// The secret APP_GUARD: its checks, which are the Worker's (src/app_guard/keys.rs), and its place in a file like .dev.vars.

import { parseEnv } from "node:util";

import * as v from "valibot";

import { Failure } from "../setup/shell.ts";

/** Bytes. Cloudflare's limit for a variable is 5 KB. */
const SIZE_MAX = 5_000;
const KEYS_MAX = 8;
const SECRET_MIN = 32;

const NAME = v.pipe(v.string(), v.regex(/^[A-Za-z0-9._-]{1,64}$/, "is not 1 to 64 of A-Z a-z 0-9 . _ -"));
const MODE = v.picklist(["off", "report", "enforce"], "is not off, report or enforce");
const SECRET = v.pipe(v.string(), v.check(isSecret, `is not base64url, without padding, of ${SECRET_MIN} bytes or more`));
const KEY = v.strictObject({ id: NAME, secret: SECRET, retired: v.optional(v.boolean()), message: v.optional(v.nullable(v.string())) });
const APP = v.pipe(
  v.strictObject({ mode: v.optional(MODE), keys: v.optional(v.pipe(v.array(KEY), v.maxLength(KEYS_MAX, `has more than ${KEYS_MAX} keys`)), []) }),
  v.check(({ mode, keys }) => keys.length > 0 || (mode !== undefined && mode !== "enforce"), "is enforced but has no key"),
  v.check(({ keys }) => new Set(keys.map(({ id }) => id)).size === keys.length, "has two keys of one id"),
);
const GUARD = v.strictObject({ default: v.optional(MODE), apps: v.record(NAME, APP) });

export type AppGuard = v.InferOutput<typeof GUARD>;

function isSecret(text: string): boolean {
  const bytes = Buffer.from(text, "base64url");
  return bytes.length >= SECRET_MIN && bytes.toString("base64url") === text;
}

const STRING = /"(?:[^"\\]|\\.)*"/g;

/** Parses the secret's value. An error never quotes a secret. */
export function parseAppGuard(text: string): AppGuard {
  const refuse = (why: string) => new Failure(`APP_GUARD ${why}`);
  if (text.startsWith("\ufeff")) throw refuse("begins with a byte order mark. Save it as UTF-8 without one.");
  const outside = text.replaceAll(STRING, "");
  const curly = /[\u2018-\u201f\u00ab\u00bb]/.exec(outside)?.[0];
  if (curly) throw refuse(`has the typographic quote ${curly}. Replace it by a straight one, " in JSON.`);
  if (/,\s*[}\]]/.test(outside)) throw refuse("has a comma in front of a closing bracket. Remove it.");
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    const at = /at position \d+/.exec((error as Error).message)?.[0];
    throw refuse(`is not JSON${at ? ` (${at})` : ""}.`);
  }
  // Of two members with one name, JSON.parse drops the first.
  if (JSON.stringify(value).length !== compact(text).length) throw refuse("repeats a name in one of its objects.");
  const result = v.safeParse(GUARD, value);
  if (!result.success) {
    const [{ path, message, expected }] = result.issues;
    const place = path?.map(({ key }) => String(key)).join(".") ?? "it";
    throw refuse(`is refused at ${place}: ${message.startsWith("Invalid") ? (expected === "never" ? "there is no such member" : `${expected} is expected`) : message}.`);
  }
  if (Buffer.byteLength(text) > SIZE_MAX) {
    throw refuse(`has ${Buffer.byteLength(text)} bytes, and at most ${SIZE_MAX} fit into a secret. Remove old keys or shorten messages.`);
  }
  return result.output;
}

function compact(text: string): string {
  return text.replaceAll(/("(?:[^"\\]|\\.)*")|\s+/g, (_, string?: string) => (string ? JSON.stringify(JSON.parse(string)) : ""));
}

/** One line of JSON without a single quote, so that it fits between two in a file. */
export function formatAppGuard(guard: AppGuard): string {
  const text = JSON.stringify(guard).replaceAll("'", "\\u0027");
  parseAppGuard(text);
  return text;
}

const LINE = /^[ \t]*(?:export[ \t]+)?APP_GUARD[ \t]*=[ \t]*(?:'[^']*'|"[^"]*"|`[^`]*`|.*)$/m;

/** The secret in the text of a file like .dev.vars, or of JSON `{"APP_GUARD": "..."}`; `undefined` if there is none. */
export function appGuardIn(text: string): AppGuard | undefined {
  if (text.startsWith("\ufeff")) throw new Failure("The file begins with a byte order mark. Save it as UTF-8 without one.");
  const quoted = /^[ \t]*APP_GUARD[ \t]*=[ \t]*[\u2018-\u201f]/m.test(text);
  if (quoted) throw new Failure("APP_GUARD is between typographic quotes. Replace them by straight ones: APP_GUARD='...'.");
  const value = text.trimStart().startsWith("{") ? (JSON.parse(text) as Record<string, string>)["APP_GUARD"] : parseEnv(text)["APP_GUARD"];
  return value === undefined ? undefined : parseAppGuard(value);
}

/** The text of the file with this secret in place of the one that it has. */
export function withAppGuard(text: string, guard: AppGuard): string {
  const line = `APP_GUARD='${formatAppGuard(guard)}'`;
  if (LINE.test(text)) return text.replace(LINE, () => line);
  return `${text}${text === "" || text.endsWith("\n") ? "" : "\n"}${line}\n`;
}
