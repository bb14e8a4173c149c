// Finds secrets in files, commits and builds.
//
// No pattern needs a word border before the secret, because the strings of a build follow each other directly.

import { execFileSync } from "node:child_process";
import { existsSync, globSync, lstatSync, mkdtempSync, readFileSync, readlinkSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { Failure } from "./setup/shell.ts";
import { outputs } from "./setup/worker.ts";

/** A text that could contain a secret, one character a byte: secrets are ASCII. */
export interface Place {
  name: string;
  text: string;
}

function run(args: string[], input?: string): string {
  try {
    return execFileSync("git", args, {
      encoding: "latin1",
      maxBuffer: 1 << 30,
      env: { ...process.env, LC_ALL: "C" },
      stdio: "pipe",
      ...(input !== undefined && { input }),
    });
  } catch (error) {
    const { code, stderr } = error as NodeJS.ErrnoException & { stderr?: string };
    if (code === "ENOENT") throw new Failure("git is not installed, and it says which files are the project's");
    throw new Failure(`git: ${stderr?.trim().split("\n")[0] ?? (error as Error).message}`);
  }
}

/** Whether a folder is in a repository. `npm create airlock` makes none. */
export function isRepository(folder = "."): boolean {
  try {
    run(["-C", folder, "rev-parse", "--git-dir"]);
    return true;
  } catch (error) {
    if ((error as Error).message.includes("not a git repository")) return false;
    throw error;
  }
}

const NOT_IGNORED = ["ls-files", "-z", "--cached", "--others", "--exclude-standard"];

/** The files of a folder that are not ignored, as git lists them. */
function filesOf(folder: string): string {
  if (isRepository(folder)) return run(["-C", folder, ...NOT_IGNORED]);
  const empty = mkdtempSync(join(tmpdir(), "airlock-git-"));
  try {
    run(["init", "--quiet", "--bare", empty]);
    return run(["-C", folder, "--git-dir", empty, "--work-tree", ".", ...NOT_IGNORED]);
  } finally {
    rmSync(empty, { recursive: true });
  }
}

const read = (name: string): Place => ({ name, text: readFileSync(name, "latin1") });

/** Called for each unreadable file. */
export type Unread = (what: string) => void;
const refuse: Unread = (what) => {
  throw new Error(what);
};

/** All files of the tree, but those that are ignored; of a link where it points to, of a submodule its own files. */
export function tree(unread = refuse, folder = "."): Place[] {
  const files = filesOf(folder)
    .split("\0")
    .filter((file) => file !== "");
  return [...new Set(files)].flatMap((file) => {
    // git's bytes are UTF-8.
    const name = join(folder, Buffer.from(file, "latin1").toString());
    try {
      const status = lstatSync(name, { throwIfNoEntry: false });
      // Deleted, and not yet committed.
      if (!status) return [];
      if (status.isSymbolicLink()) return [{ name, text: readlinkSync(name) }];
      if (status.isFile()) return [read(name)];
      if (status.isDirectory() && existsSync(join(name, ".git"))) return tree(unread, name);
      unread(
        status.isDirectory() ? `${name}: a submodule that is not checked out` : `${name}: neither a file nor a folder`,
      );
    } catch (error) {
      unread(`${name}: ${(error as Error).message}`);
    }
    return [];
  });
}

/** All objects that any branch or tag reaches: files in every version, commits and tags, binary or not. */
export function history(unread = refuse, folder = "."): Place[] {
  if (!isRepository(folder)) return [];
  const git = (args: string[], input?: string) => run(["-C", folder, ...args], input);
  if (git(["rev-parse", "--is-shallow-repository"]).trim() === "true")
    unread("the clone is shallow: older commits are missing (git fetch --unshallow)");
  const objects = git(["rev-list", "--objects", "--all"])
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => [line.slice(0, 40), line.slice(41)] as const);
  const contents = git(["cat-file", "--batch"], objects.map(([id]) => id).join("\n"));
  let at = 0;
  return objects.flatMap(([id, path]) => {
    const begin = contents.indexOf("\n", at) + 1;
    const header = contents.slice(at, begin).trim();
    const name = `${path || "commit"} (${id.slice(0, 12)})`;
    if (header.endsWith(" missing")) {
      unread(`${name}: the object is missing`);
      at = begin;
      return [];
    }
    const end = begin + Number(header.split(" ").at(-1));
    at = end + 1;
    return [{ name, text: contents.slice(begin, end) }];
  });
}

/** The built Worker and the built client, if they exist. */
export function built(): Place[] {
  return [...outputs.filter((file) => existsSync(file)), ...globSync("client/dist/**/*.{js,ts,map}")].map(read);
}

/** A secret that was found, shortened. */
export interface Finding {
  kind: string;
  /** Enough to find it again. */
  begins: string;
}

const PATTERNS: [kind: string, pattern: RegExp][] = [
  // A compiler may put the two prefixes, which the Worker compares, side by side. A key after both of them is found.
  ["a Supabase secret key", /sb_secret_(?!sb_publishable_(?![A-Za-z0-9_-]{16}))[A-Za-z0-9_-]{16,}/g],
  ["a Supabase access token", /sbp_[0-9a-f]{40}/g],
  // Also as a JSON string, which writes its line feeds as \n.
  ["a private key", /-----BEGIN [A-Z ]*PRIVATE KEY-----(?:\s|\\[nr])+(?:[A-Za-z0-9+/=\s]|\\[nr]){40,}/g],
  ["a private JSON Web Key", /"d"\s*:\s*"[A-Za-z0-9_-]{40,}"/g],
  // A placeholder in brackets is not a password.
  ["a database's password", /postgres(?:ql)?:\/\/[^\s:/@]+:[^\s@${}<>[\]]{8,}@/g],
  ["a Cloudflare API token", /CLOUDFLARE_API_TOKEN\s*=\s*\S{20,}/g],
];
// Any JSON object, in base64url, begins so.
const JWT = /e[yw][A-Za-z0-9_-]{5,}\.(e[yw][A-Za-z0-9_-]{5,})\.[A-Za-z0-9_-]{20,}/g;

/** All secrets in a text. A JWT counts by its role: the legacy anon key is public, any other is not. */
export function findSecrets(text: string): Finding[] {
  const findings = PATTERNS.flatMap(([kind, pattern]) =>
    [...text.matchAll(pattern)].map(([match]) => ({ kind, begins: begin(match) })),
  );
  for (const [match, payload = ""] of text.matchAll(JWT)) {
    const role = roleOf(payload);
    if (role !== undefined && role !== "anon") findings.push({ kind: `a token of role ${role}`, begins: begin(match) });
  }
  return findings;
}

function begin(secret: string): string {
  return `${secret.slice(0, 16)}...`;
}

function roleOf(payload: string): string | undefined {
  try {
    const { role } = JSON.parse(Buffer.from(payload, "base64url").toString()) as { role?: unknown };
    return role === undefined ? undefined : String(role);
  } catch {
    return undefined;
  }
}
