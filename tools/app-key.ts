// npm run app-key: the app keys in APP_GUARD, in .dev.vars or in a file with the secrets of a deployment.
//
//     npm run app-key -- add APP [--id ID]                a new key; its id is the month by default
//     npm run app-key -- retire APP ID [--message TEXT]   its requests get 426 upgrade_required
//     npm run app-key -- remove APP ID                    its requests are refused
//     npm run app-key -- list                             all apps and keys, without secrets
//
// In .dev.vars, or in --file FILE, such as .dev.vars.production.

import { spawnSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { existsSync } from "node:fs";
import { rename } from "node:fs/promises";
import { basename, join } from "node:path";
import { parseArgs } from "node:util";

import { inspector } from "./declaration.ts";
import { helpOf } from "./setup/help.mjs";
import { callers, Failure, project, read, refuseKept, writeSecret, wrongUsage } from "./setup/shell.ts";
import { buildModule } from "./setup/worker.ts";
import { type AppGuard, appGuardIn, withAppGuard } from "./stack/app-guard.ts";
import { devVars } from "./stack/vars.ts";

type App = AppGuard["apps"][string];
type Key = App["keys"][number];

const { command, app, id, message, file } = parse();

if (file === undefined) await devVars();
const path = file === undefined ? join(project, ".dev.vars") : callers(file);
const text = command === "add" && !existsSync(path) ? "" : await read(path);
if (!existsSync(inspector)) await buildModule();
const found = await appGuardIn(text);
if (!found && command !== "add")
  throw new Failure(`${path} has no APP_GUARD. \`npm run app-key -- add APP\` makes the first key.`);
const guard: AppGuard = found ?? { default: "enforce", apps: {} };

if (command === "list") list();
else await save(change());

/** Changes the guard, and returns a message for the user. */
function change(): string {
  if (command === "add") return add();
  const { keys } = existingApp();
  const key = keys.find((one) => one.id === id);
  if (!key) throw new Failure(`${app} has no key ${id}. Its keys: ${keys.map((one) => one.id).join(", ")}.`);
  if (command === "retire") {
    Object.assign(key, { retired: true }, message !== undefined && { message });
    return `${app}: the key ${id} is retired. Its requests get 426 upgrade_required${message === undefined ? "" : " with the message"}.`;
  }
  keys.splice(keys.indexOf(key), 1);
  if (keys.length > 0) return `${app}: the key ${id} is removed. Its requests are refused.`;
  delete guard.apps[app];
  return `${app}: its last key is removed, and the app with it. All its requests are refused.`;
}

function add(): string {
  const month = new Date().toISOString().slice(0, 7);
  const known = (guard.apps[app] ??= { mode: "enforce", keys: [] }).keys;
  const taken = (name: string) => known.some((one) => one.id === name);
  let name = id ?? month;
  if (id !== undefined && taken(id)) throw new Failure(`${app} has a key ${id} already. Choose another --id.`);
  for (let n = 2; taken(name); n += 1) name = `${month}-${n}`;
  const key: Key = { id: name, secret: randomBytes(32).toString("base64url") };
  known.push(key);
  return `${app}: the key ${name} is new. The app signs with it:\n  app id  ${app}\n  key id  ${name}\n  secret  ${key.secret}`;
}

function existingApp(): App {
  const known = guard.apps[app];
  if (!known) throw new Failure(`There is no app ${app}. The apps: ${Object.keys(guard.apps).join(", ") || "none"}.`);
  return known;
}

function list(): void {
  for (const [name, { mode = "enforce", attest, keys }] of Object.entries(guard.apps)) {
    console.log(`${name} (${mode}${attest ? `, attest ${attest.mode}` : ""})`);
    for (const { id, retired, message, attest } of keys) {
      console.log(
        `  ${id}${attest ? `  attest ${attest.mode}` : ""}${retired ? `  retired${message ? `: ${message}` : ""}` : ""}`,
      );
    }
  }
  if (guard.default !== undefined && guard.default !== "enforce") console.log(`unknown apps (${guard.default})`);
}

async function save(said: string): Promise<void> {
  const changed = await withAppGuard(text, guard);
  await writeSecret(`${path}.new`, changed);
  await rename(`${path}.new`, path);
  console.log(said);
  if (file === undefined) {
    console.log("\n.dev.vars is for development alone. `npm run dev` reads it when it starts.");
    return;
  }
  const environment = /^\.dev\.vars\.([\w-]+)$/.exec(basename(path))?.[1];
  const options = `${file}${environment ? ` --env ${environment}` : ""}`;
  console.log(`
All secrets of ${file}, with the first deployment:   npm run deploy -- --secrets-file ${options}
later, at once for all requests:   npx wrangler secret bulk ${options}
or in a new version without traffic:   npx wrangler versions secret bulk ${options}`);
  if (spawnSync("git", ["check-ignore", "--quiet", path], { cwd: project }).status === 1) {
    console.error(
      `airlock: warning: git does not ignore ${file}. Never commit it: move it to a name such as .dev.vars.production.`,
    );
  }
}

function parse(): {
  command: string;
  app: string;
  id?: string | undefined;
  message?: string | undefined;
  file?: string | undefined;
} {
  refuseKept("app-key", "file");
  try {
    const { values, positionals } = parseArgs({
      allowPositionals: true,
      options: { file: { type: "string" }, id: { type: "string" }, message: { type: "string" } },
    });
    const [command = "", app = "", key, ...rest] = positionals;
    const expected = { add: 2, retire: 3, remove: 3, list: 1 }[command];
    if (expected === undefined || positionals.length !== expected || rest.length > 0)
      throw new Error("The command line is incomplete.");
    if (values.id !== undefined && command !== "add") throw new Error("--id goes with add.");
    if (values.message !== undefined && command !== "retire") throw new Error("--message goes with retire.");
    return { command, app, id: command === "add" ? values.id : key, message: values.message, file: values.file };
  } catch (error) {
    throw wrongUsage(error, helpOf(import.meta.filename));
  }
}
