// The npm packages airlock-edge and create-airlock: their files, and a new project that uses them without Rust.
// tests/long/package.test.ts installs them from the registry.

import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { readdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, test } from "node:test";

import { root } from "../../tools/setup/shell.ts";
import { end, killAll, output } from "../support/commands.ts";
import { command, create, filesOf, link, openWorkshop, started, type Workshop } from "../support/packages.ts";

let workshop: Workshop;
let project: string;

before(async () => {
  workshop = await openWorkshop();
  const { code, output } = await create(workshop, "my-api");
  assert.equal(code, 0, output);
  assert.match(output, /my-api is ready[\s\S]*cd my-api\n +npm install\n +npm run dev\n/);
  project = join(workshop.folder, "my-api");
  await link(workshop.tarballs.edge, project);
});
after(async () => {
  killAll();
  await workshop?.remove();
});

const json = async (file: string) => JSON.parse(await readFile(file, "utf8"));

test("airlock-edge has JavaScript, the compiled Worker and the core's migrations", async () => {
  const files = await filesOf(workshop.tarballs.edge);
  const names = [...files.keys()].sort();
  const folders =
    /^(tools\/.*\.(js|mjs|json|sql)|client\/src\/.*\.js|tests\/(e2e|database|support|resources)\/.*\.(js|toml)|supabase\/tests\/include\/own\.psql|docs\/[\w/-]+\.md)$/;
  assert.deepEqual(
    names.filter((name) => !folders.test(name)),
    [
      ".airlock/functions.txt",
      ".airlock/inspect.mjs",
      "CHANGELOG.md",
      "LICENSE",
      "README.md",
      "build/index.js",
      "build/index_bg.wasm",
      "package.json",
      "supabase/migrations/20261129000000_airlock.sql",
      "supabase/migrations/20261129000100_airlock_organizations.sql",
    ],
  );
  for (const own of ["compile", "toolchain", "sources", "example", "packages"])
    assert.ok(!files.has(`tools/setup/${own}.js`), `${own} needs a clone`);
  assert.deepEqual(
    names.filter((name) => name.endsWith(".test.js")),
    ["tests/database/limits.test.js", "tests/e2e/resources.test.js"],
  );
  for (const [name, content] of files)
    assert.ok(!content.includes(root), `${name} has a path of the machine that packed it`);
  for (const name of ["build/index.js", "build/index_bg.wasm"])
    assert.ok(files.get(name)?.equals(await readFile(join(root, name))), name);
});

test("airlock-edge depends on its imports, in this repository's versions", async () => {
  const { version, dependencies, optionalDependencies, bin } = await json(
    join(project, "node_modules/airlock-edge/package.json"),
  );
  const own = await json(join(root, "package.json"));
  for (const heavy of ["esbuild", "playwright-core", "hono", "typescript", "binaryen", "ajv"])
    assert.ok(!(heavy in dependencies), `${heavy} is not needed`);
  const versions = { ...own.devDependencies, ...(await json(join(root, "client/package.json"))).devDependencies };
  for (const [name, pinned] of Object.entries(dependencies)) assert.equal(pinned, versions[name], name);
  assert.ok(Object.keys(optionalDependencies).every((name) => /^node-/.test(name)));
  assert.deepEqual(bin, { airlock: "tools/run.mjs" });
  const crate = /^version = "(.+)"$/m.exec(await readFile(join(root, "Cargo.toml"), "utf8"))?.[1];
  const [{ version: client }, { version: created }] = [
    await json(join(root, "client/package.json")),
    await json(join(workshop.folder, "create-airlock/package.json")),
  ];
  assert.deepEqual([version, crate, client, created], Array(4).fill(own.version), "all parts have one version");
});

test("commands look for a team's files in its folder", async () => {
  const files = [...(await filesOf(workshop.tarballs.edge))].filter(
    ([name]) => name.startsWith("tools/") && name.endsWith(".js"),
  );
  const naming = files
    .filter(([, content]) => /^import \{[^}]*\broot\b[^}]*\} from ".*shell\.js"/m.test(content.toString()))
    .map(([name]) => name.slice("tools/".length));
  // Airlock's own: the checker of declarations, sources of a clone, its version, SQL, the compiled Worker, tests.
  const own = [
    "declaration.js",
    "dev.js",
    "doctor.js",
    "setup/core.js",
    "setup/generated.js",
    "setup/node-tests.js",
    "setup/worker.js",
    "supabase/prepared.js",
    "test.js",
  ];
  assert.deepEqual(naming.sort(), own, "root is the package's folder, project the team's");
});

test("a new project is small, and its generated files are fresh", async () => {
  const files = (await readdir(project, { recursive: true, withFileTypes: true })).filter((entry) => entry.isFile());
  const names = files
    .map(({ parentPath, name }) => join(parentPath, name).slice(project.length + 1))
    .filter((name) => !name.startsWith("node_modules"));
  assert.deepEqual(
    names
      .filter((name) => !/^supabase\/migrations\/\d{14}_(airlock|airlock_organizations|notes)\.sql$/.test(name))
      .sort(),
    [
      ".gitignore",
      "README.md",
      "airlock.toml",
      "airlock.ts",
      "openapi.json",
      "package.json",
      "supabase/access.txt",
      "supabase/config.toml",
      "supabase/evidence.json",
      "worker.js",
      "wrangler.toml",
    ],
  );
  assert.match(await readFile(join(project, "supabase/config.toml"), "utf8"), /^project_id = "my-api"$/m);
  const check = await command(project, workshop.env, "npm", "run", "check");
  assert.equal(check.code, 0, check.output);
});

test("create-airlock refuses invalid names and folders in use", async () => {
  for (const [args, message] of [
    [[], /Name the new folder/],
    [["My_API"], /"My_API" cannot be the name of a Worker/],
    [["a", "b"], /Name the new folder/],
    [["my-api"], /is not empty/],
    [["other", "--full"], /--full/],
  ] as const) {
    const { code, output } = await create(workshop, ...args);
    assert.equal(code, 1, output);
    assert.match(output, message);
  }
  const kept = { ...workshop, env: { ...workshop.env, npm_config_empty: "true" } };
  assert.match((await create(kept, "other")).output, /npm took --empty for an option of its own/);
});

test("--empty makes a project for tables that exist already", async () => {
  assert.equal((await create(workshop, "empty", "--empty")).code, 0);
  const folder = join(workshop.folder, "empty");
  assert.equal(await readFile(join(folder, "airlock.toml"), "utf8"), "");
  assert.ok((await readdir(join(folder, "supabase/migrations"))).every((name) => /_airlock[_.]/.test(name)));
  assert.ok(!existsSync(join(folder, "openapi.json")));
  await link(workshop.tarballs.edge, folder);
  const build = await command(folder, workshop.env, "npm", "run", "build");
  assert.equal(build.code, 0, build.output);
});

for (const env of ["", "production"]) {
  test(`a dry run of ${env || "the deployment without an environment"} bundles the entry module with the package's Worker`, async () => {
    const out = join(workshop.folder, `out-${env}`);
    const { code, output } = await command(
      project,
      workshop.env,
      "npx",
      "wrangler",
      "deploy",
      "--dry-run",
      "--outdir",
      out,
      `--env=${env}`,
    );
    assert.equal(code, 0, output);
    assert.match(output, /\[custom build\] Running: npm run build/);
    for (const binding of ["LIMIT_IP", "LIMIT_USER", "ASSETS", "SUPABASE_URL"])
      assert.match(output, new RegExp(`env\\.${binding} `));
    const files = await readdir(out);
    assert.ok(files.includes("worker.js") && files.some((name) => name.endsWith("index_bg.wasm")), files.join());
    assert.match(
      await readFile(join(out, "worker.js"), "utf8"),
      /resources[\s\S]*notes[\s\S]*verbatim\(0\.\.20000\)/,
      "the declaration is part of it",
    );
  });
}

test("npm run dev serves the first signed request", async () => {
  const dev = started(project, workshop.env, "dev");
  await output(dev, /^airlock ready/m);
  const { code, output: answer } = await command(
    project,
    workshop.env,
    "npm",
    "run",
    "request",
    "--",
    "POST",
    "/v1/notes",
    '{"title":"hello"}',
  );
  assert.equal(code, 0, answer);
  assert.match(answer, /^HTTP 201$/m);
  dev.child.kill("SIGTERM");
  await end(dev);
});

test("a command outside of a project says how to make one", async () => {
  const { code, output } = await command(
    workshop.folder,
    workshop.env,
    join(project, "node_modules/.bin/airlock"),
    "build",
  );
  assert.equal(code, 1);
  assert.match(output, /There is no airlock\.toml here or in a folder above/);
});

test("every command stops while a migration of the core is missing", async () => {
  const added = join(project, "node_modules/airlock-edge/supabase/migrations/20991231000000_airlock_more.sql");
  await writeFile(added, "create function airlock.more() returns integer language sql as 'select 1';\n");
  try {
    for (const task of ["build", "test", "deploy"]) {
      const { code, output } = await command(
        project,
        workshop.env,
        "npm",
        "run",
        task,
        ...(task === "deploy" ? ["--", "--dry-run"] : []),
      );
      assert.notEqual(code, 0, task);
      assert.match(
        output,
        /supabase\/migrations lacks airlock_more\.sql of airlock-edge\. Run `npm run upgrade`\./,
        task,
      );
    }
  } finally {
    await rm(added);
  }
});
