// airlock.toml, checked. The only checker is the Worker's own, in Rust: the tools run it from the built WASM module.
// They parse TOML, since no TOML parser belongs into the Worker, and pass JSON on.

import { statSync } from "node:fs";
import { mkdir, readFile, rename, writeFile } from "node:fs/promises";
import { dirname, join, relative } from "node:path";
import { pathToFileURL } from "node:url";

import { parse, TomlError } from "smol-toml";

import { projectDocument } from "./openapi/document.ts";
import { Failure, project, root } from "./setup/shell.ts";

export const declarationFile = join(project, "airlock.toml");
/** The module of the Worker's bundle that holds the declaration. */
export const declarationModule = join(project, "build", "declaration.js");
/** The OpenAPI document, as a static asset of the Worker. */
export const documentAsset = join(project, "build", "assets", "openapi.json");
/** The Worker's checker for Node.js, made by the build. */
export const inspector = join(root, ".airlock", "inspect.mjs");

export type Kind =
  | { kind: "text" | "verbatim" | "integer" | "number"; min: number; max: number }
  | { kind: "decimal"; precision: number; scale: number }
  | { kind: "boolean" | "uuid" | "date" | "time" | "timestamp" }
  | { kind: "one_of"; values: string[] }
  | { kind: "texts"; items: number; length: number }
  | { kind: "integers"; items: number; min: number; max: number }
  | { kind: "uuids"; items: number }
  | { kind: "json"; bytes: number }
  | { kind: "ref"; resource: string };

export type Field = Kind & {
  name: string;
  /** Whether null is allowed; such a field is null when absent. */
  nullable: boolean;
  /** The value when absent. */
  default?: unknown;
  /** Whether the database has the value when absent. */
  database_default: boolean;
  column: string;
  /** Whether it is answered and never written. */
  read_only: boolean;
};

export type Verb = "list" | "read" | "create" | "put" | "patch" | "delete" | "restore" | "publish";
export type Operator = "eq" | "neq" | "lt" | "lte" | "gt" | "gte" | "in" | "is";

export interface Resource {
  name: string;
  table: { schema: string; name: string };
  /** The owners of rows: users, organisations or both. */
  owner: "user" | "org" | "both";
  /** The column with the owner of a user's row, and its setter in a new row. */
  owner_column: { column: string | null; set: "worker" | "default" | "none" };
  /** `owner`: a condition on the owner's column beside the policies; `visible`: the policies alone. */
  scope: "owner" | "visible";
  /** Served below rows of another resource, and the column that has their parent's id. */
  under?: { resource: string; column: string };
  /** The readers of all rows that the policies show: every user, or every app without a user; null: none. */
  read: "user" | "app" | null;
  /** `bigint`: the database makes it; `owner`: it is the user's id. */
  id: { kind: "uuid" | "bigint" | "owner"; column: string };
  /** Null: rows have no version, and no tags. */
  version: { kind: "integer" | "timestamp"; column: string } | null;
  /** Columns; null: there is none. */
  created: string | null;
  updated: string | null;
  deleted: string | null;
  routes: Verb[];
  /** Operators by field. */
  filters: Record<string, Operator[]>;
  sorts: string[];
  count: boolean;
  /** Fields of the full-text search; none if it is empty. */
  search: string[];
  /** Fields that a published row shows; null if rows cannot be published. */
  publish: string[] | null;
  /** Unique constraints, and the fields that errors about each name. */
  unique: Record<string, string[]>;
  /** The rows that can be embedded; absent if none. */
  embed?: Embed[];
  fields: Field[];
}

/** Rows of another resource that a row can be answered with. */
export interface Embed {
  name: string;
  resource: string;
  /** Whether the rows refer to this one, and not this one to a row. */
  many: boolean;
  /** The field that refers; absent if the rows are below this one. */
  field: string | null;
  /** The fields of a row that are shown. */
  fields: string[];
}

/** Whether a body that makes a row must have this field. */
export function isRequired(field: Field): boolean {
  return !field.nullable && field.default === undefined && !field.database_default && !field.read_only;
}

/** A declaration that the Worker accepts, in the order of its file. */
export interface Declaration {
  organizations: boolean;
  resources: Resource[];
  /** Database functions that clients may call; absent if none. */
  functions?: { name: string; arguments: Field[] }[];
}

/** The declaration of this file. The WASM module must have been built; see setup/worker.ts. */
export async function checkedDeclaration(path = declarationFile): Promise<Declaration> {
  return check(toJson(await read(path), relative(project, path)), relative(project, path));
}

/** TOML text as the JSON that the Worker reads, keys in their order. `name` is the file's name in errors. */
export function toJson(toml: string, name = "airlock.toml"): string {
  try {
    return JSON.stringify(parse(toml));
  } catch (error) {
    if (!(error instanceof TomlError)) throw error;
    const [what = ""] = error.message.replace(/^Invalid TOML document: /, "").split("\n");
    const mend: Record<string, string> = {
      "invalid value": '; text needs double quotes, such as title = "text(1..200)"',
      "trying to redefine an already defined table or value": "; remove this line, or the one before that has its name",
    };
    throw new Failure(`${name}, line ${error.line}: ${what}${mend[what] ?? ""}.`);
  }
}

/** The checked declaration, or a Failure that names the file. */
export async function check(json: string, name = "airlock.toml"): Promise<Declaration> {
  const checked = await inspect(json);
  if ("error" in checked) throw new Failure(`${name}: ${checked.error}`);
  return checked.ok;
}

/** The Worker's checks of a declaration. */
export async function inspect(json: string): Promise<{ ok: Declaration } | { error: string }> {
  return JSON.parse((await load()).inspect(json));
}

/** A line that the Worker would write when it starts: an error or a warning about its configuration. */
export interface Notice {
  event: "misconfigured" | "warning";
  message: string;
}

/** The Worker's verdict on these bindings and this declaration (JSON). */
export async function diagnose(env: Record<string, unknown>, declaration: string): Promise<Notice[]> {
  const lines = (await load()).diagnose(env, declaration);
  return lines
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line) as Notice);
}

let loaded: Promise<{ diagnose(env: unknown, json: string): string; inspect(json: string): string }> | undefined;

function load(): NonNullable<typeof loaded> {
  const file = statSync(inspector, { throwIfNoEntry: false });
  if (!file) throw new Failure("The Worker is not built yet. Run `npm run build`.");
  // A new URL for each build, because a module is loaded once for each URL, and its compiled code is kept for each URL.
  loaded ??= import(`${pathToFileURL(inspector)}?${file.mtimeMs}`) as NonNullable<typeof loaded>;
  return loaded;
}

/** Called after a build, whose checker may be another one. */
export function forgetInspector(): void {
  loaded = undefined;
}

/** Checks airlock.toml, and writes its module and the OpenAPI document. */
export async function buildDeclaration(): Promise<void> {
  const json = toJson(await read(declarationFile));
  const declaration = await check(json);
  await update(documentAsset, JSON.stringify(projectDocument(declaration)));
  await update(declarationModule, `export default ${JSON.stringify(json)};\n`);
}

/**
 * Writes a file unless it has this content; returns whether it did. A reader gets either the whole old content or the
 * whole new one.
 */
export async function update(path: string, content: string | Buffer): Promise<boolean> {
  if ((await readFile(path).catch(() => undefined))?.equals(Buffer.from(content))) return false;
  await mkdir(dirname(path), { recursive: true });
  const unfinished = `${path}.${process.pid}`;
  await writeFile(unfinished, content);
  await rename(unfinished, path);
  return true;
}

function read(path: string): Promise<string> {
  return readFile(path, "utf8").catch((error: Error) => {
    throw new Failure(`${relative(project, path)} cannot be read: ${error.message}`);
  });
}
