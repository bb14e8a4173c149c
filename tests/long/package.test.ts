// A team's way with the npm packages, from an empty folder without Rust: create, install from the registry, the first signed
// request, a table of its own, tests, a dry run of the deployment, an upgrade.

import assert from "node:assert/strict";
import { readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, test } from "node:test";

import { end, killAll, output } from "../support/commands.ts";
import { command, openWorkshop, started, type Ended, type Workshop } from "../support/packages.ts";

let workshop: Workshop;
let project: string;
const npm = (...args: string[]): Promise<Ended> => command(project, workshop.env, "npm", ...args);
const migrations = () => join(project, "supabase", "migrations");

before(async () => {
  workshop = await openWorkshop();
  project = join(workshop.folder, "my-api");
});
after(async () => {
  killAll();
  await workshop?.remove();
});

async function ok(ended: Promise<Ended>): Promise<string> {
  const { code, output } = await ended;
  assert.equal(code, 0, output);
  return output;
}

/** Runs `npm run dev` while `work` takes. */
async function served<T>(work: () => Promise<T>): Promise<T> {
  const dev = started(project, workshop.env, "dev");
  await output(dev, /^airlock ready/m);
  try {
    return await work();
  } finally {
    dev.child.kill("SIGTERM");
    await end(dev);
  }
}

test("npm create, npm install and npm run dev lead to a signed request", async (context) => {
  const { tarballs, folder, env } = workshop;
  const began = Date.now();
  await ok(command(folder, env, "npm", "exec", "--yes", `--package=${tarballs.create}`, "--", "create-airlock", "my-api"));
  const installed = await ok(npm("install", tarballs.edge));
  assert.doesNotMatch(installed, /npm warn/);
  await served(async () => assert.match(await ok(npm("run", "request", "--", "POST", "/v1/notes", '{"title":"hello"}')), /^HTTP 201$/m));
  context.diagnostic(`${Math.round((Date.now() - began) / 1000)} s from an empty folder to the first row`);
});

test("new-resource makes a table whose generic tests pass", async () => {
  await ok(npm("run", "new-resource", "--", "records", "label:text(1..50)", "color:one_of(red,green)=red", "due:date?", "note:ref(notes)?", "--owner", "both", "--search", "label"));
  await ok(npm("run", "check"));
  const output = await ok(npm("test"));
  for (const suite of ["notes of a user", "notes of an organisation", "records of a user", "records of an organisation"]) assert.match(output, new RegExp(`# Subtest: ${suite}`));
  assert.match(output, /^# fail 0$/m);
  assert.ok(Number(/^# pass (\d+)$/m.exec(output)?.[1]) > 90, output.slice(-500));
  assert.match(await ok(npm("run", "deploy", "--", "--dry-run", "--env", "production")), /--dry-run: exiting now/);
});

test("upgrade adds the core's new migrations after all others and changes none", async () => {
  const added = "20270101000000_airlock_more.sql";
  const text = "create function airlock.more() returns integer language sql as 'select 1';\n";
  await writeFile(join(project, "node_modules/airlock-edge/supabase/migrations", added), text);
  const read = async () => new Map(await Promise.all((await readdir(migrations())).sort().map(async (name) => [name, await readFile(join(migrations(), name), "utf8")] as const)));
  const before = await read();
  const said = await ok(npm("run", "upgrade"));
  const upgraded = await read();
  const [name = ""] = [...upgraded.keys()].filter((file) => !before.has(file));
  assert.match(name, /^\d{14}_airlock_more\.sql$/);
  assert.equal([...upgraded.keys()].at(-1), name, "it is the last one");
  assert.equal(upgraded.get(name), text);
  assert.match(said, new RegExp(`supabase/migrations/${name} is new`));
  for (const [file, before_] of before) assert.equal(upgraded.get(file), before_, file);

  assert.match(await ok(npm("run", "upgrade")), /has all migrations of Airlock's core/);
  assert.deepEqual([...(await read()).keys()], [...upgraded.keys()]);
  // On the database of the first test.
  await served(async () => assert.match(await ok(npm("run", "request", "--", "GET", "/v1/notes")), /"title": "hello"/));
});

test("upgrade writes nothing that fails on a database with all other migrations", async () => {
  await writeFile(join(project, "node_modules/airlock-edge/supabase/migrations/20270102000000_airlock_broken.sql"), "create table airlock.claims ();\n");
  const before = await readdir(migrations());
  const { code, output } = await npm("run", "upgrade");
  assert.notEqual(code, 0);
  assert.match(output, /airlock_broken|already exists/);
  assert.deepEqual(await readdir(migrations()), before);
});
