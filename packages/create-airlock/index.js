#!/usr/bin/env node
// @ts-check
// npm create airlock NAME: a project for the package airlock-edge, in a new folder.

import { cpSync, existsSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { basename, join, relative, resolve } from "node:path";
import { parseArgs } from "node:util";

const USAGE = `npm create airlock FOLDER [-- --empty]
  --empty   without the resource "notes": for tables that exist already`;

/** What the template is called, wherever it has a name. */
const NAME = "my-api";

const { folder, name, empty } = parse();
const isUsed = existsSync(folder) && readdirSync(folder).some((entry) => entry !== ".git");
if (isUsed) fail(`${folder} is not empty. Name a new folder.`);
cpSync(join(import.meta.dirname, "template"), folder, { recursive: true });
// npm would leave out a file of that name.
renameSync(join(folder, "gitignore"), join(folder, ".gitignore"));
for (const file of ["package.json", "wrangler.toml", "README.md", "supabase/config.toml"]) {
  const path = join(folder, file);
  writeFileSync(path, readFileSync(path, "utf8").replaceAll(NAME, name));
}
if (empty) removeResources();

const path = relative(process.cwd(), folder);
const quoted = /^[\w./-]+$/.test(path) ? path : `'${path}'`;
const first = empty ? "npm run adopt -- --db-url postgres://..." : "npm run dev";
const steps = [...(path === "" ? [] : [`cd ${quoted}`]), "npm install", first];
console.log(`${name} is ready. Next:\n\n${steps.map((step) => `    ${step}`).join("\n")}\n\nREADME.md says more.`);

/** Leaves Airlock's own migrations. `npm run adopt` and `npm run new-resource` write the generated files. */
function removeResources() {
  writeFileSync(join(folder, "airlock.toml"), "");
  const migrations = join(folder, "supabase", "migrations");
  for (const file of readdirSync(migrations)) if (!/^\d+_airlock(_|\.)/.test(file)) rmSync(join(migrations, file));
  for (const file of ["openapi.json", "airlock.ts", "supabase/access.txt"]) rmSync(join(folder, file));
}

function parse() {
  const isKept = process.env.npm_config_empty !== undefined;
  if (isKept) return fail(`npm took --empty for an option of its own. Write -- in front of it.\n${USAGE}`);
  try {
    const options = { empty: { type: /** @type {const} */ ("boolean"), default: false } };
    const { values, positionals } = parseArgs({ allowPositionals: true, options });
    if (positionals.length !== 1) throw new Error("Name the new folder.");
    const folder = resolve(positionals[0] ?? "");
    const name = basename(folder);
    // Names of npm packages and of Workers.
    if (!/^[a-z0-9]([a-z0-9-]{0,52}[a-z0-9])?$/.test(name)) {
      throw new Error(`"${name}" cannot be the name of a Worker: use a-z, 0-9 and -, at most 54 characters.`);
    }
    return { folder, name, empty: values.empty };
  } catch (error) {
    return fail(`${error instanceof Error ? error.message : error}\n${USAGE}`);
  }
}

/**
 * @param {string} message
 * @returns {never}
 */
function fail(message) {
  console.error(`create-airlock: ${message}`);
  process.exit(1);
}
