// The package as it is published: packed, unpacked into an app's node_modules, and used from there.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { gzipSync } from "node:zlib";

import { build } from "esbuild";

import { pack, unpack } from "./pack.ts";

const run = promisify(execFile);
const root = fileURLToPath(new URL("../..", import.meta.url));
const bin = (path: string) => join(root, "node_modules", path);

/** Most bytes of the root entry, minified and gzipped. */
const SIZE_MAX = 8_000;

let app: string;
let tarball: string;
let installed: string;

before(async () => {
  await mkdir(`${root}.airlock`, { recursive: true });
  app = await mkdtemp(`${root}.airlock/client-package-`);
  tarball = await pack(app);
  installed = await unpack(tarball, app);
});
after(() => app && rm(app, { recursive: true }));

const manifest = async () => JSON.parse(await readFile(join(installed, "package.json"), "utf8"));

test("publint and attw find nothing", async () => {
  const lint = await run(process.execPath, [bin("publint/src/cli.js"), tarball, "--strict"]);
  assert.match(lint.stdout, /All good!/);
  const types = await run(process.execPath, [bin("@arethetypeswrong/cli/dist/index.js"), tarball]);
  assert.match(types.stdout, /No problems found/);
});

test("the package has no dependencies and both licences", async () => {
  const { dependencies, private: hidden } = await manifest();
  assert.deepEqual([dependencies, hidden], [undefined, undefined]);
  assert.equal(await readFile(join(installed, "LICENSE"), "utf8"), await readFile(join(root, "LICENSE"), "utf8"));
  assert.match(await readFile(join(installed, "dist", "stablelib.LICENSE"), "utf8"), /Dmitry Chestnykh/);
});

test("every module has a source map with its sources", async () => {
  for (const format of ["esm", "cjs"]) {
    const files = (await readdir(join(installed, "dist", format))).filter((file) => file.endsWith(".js"));
    assert.ok(files.includes("index.js"));
    for (const file of files) {
      const map = JSON.parse(await readFile(join(installed, "dist", format, `${file}.map`), "utf8"));
      assert.equal(map.sourcesContent.length, map.sources.length, file);
      assert.ok(
        map.sourcesContent.every((source: string | null) => source),
        file,
      );
    }
  }
});

test("import and require give the same exports, with working classes", async () => {
  const use =
    "const error = new airlock.AirlockNetworkError(); console.log(JSON.stringify([Object.keys(airlock).sort(), error instanceof airlock.AirlockError, airlock.createId().length]));";
  await writeFile(join(app, "use.mjs"), `import * as airlock from "react-native-airlock"; ${use}`);
  await writeFile(join(app, "use.cjs"), `const airlock = require("react-native-airlock"); ${use}`);
  const [imported, required] = await Promise.all(
    ["use.mjs", "use.cjs"].map((file) => run(process.execPath, [join(app, file)])),
  );
  assert.equal(imported!.stdout, required!.stdout);
  const [names, instance, length] = JSON.parse(imported!.stdout);
  for (const name of ["createAirlock", "createSignedFetch", "supabaseToken", "createId", "AirlockUpgradeRequired"])
    assert.ok(names.includes(name), name);
  assert.deepEqual([instance, length], [true, 36]);
});

test("the other entries work by import, by require, and without package exports", async () => {
  const entries = {
    "react-query": ["followAppState", "followNetwork", "publishOptions", "retry", "retryDelay", "rowOptions"],
    testing: ["createStubServer"],
  };
  for (const [entry, names] of Object.entries(entries)) {
    const use = "console.log(Object.keys(all).sort().join());";
    await writeFile(join(app, "entry.mjs"), `import * as all from "react-native-airlock/${entry}"; ${use}`);
    await writeFile(join(app, "entry.cjs"), `const all = require("react-native-airlock/${entry}"); ${use}`);
    await writeFile(join(app, "folder.cjs"), `const all = require(${JSON.stringify(join(installed, entry))}); ${use}`);
    const outputs = await Promise.all(
      ["entry.mjs", "entry.cjs", "folder.cjs"].map((file) => run(process.execPath, [join(app, file)])),
    );
    assert.deepEqual(
      outputs.map(({ stdout }) => stdout.trim()),
      Array(3).fill(names.join()),
    );
  }
});

test("bundlers find it with and without package exports", async () => {
  await writeFile(
    join(app, "entry.js"),
    'import { createAirlock } from "react-native-airlock"; console.log(createAirlock);',
  );
  const inputs = async (options: object) => {
    const { metafile } = await build({
      entryPoints: [join(app, "entry.js")],
      bundle: true,
      write: false,
      metafile: true,
      logLevel: "silent",
      ...options,
    });
    return Object.keys(metafile!.inputs).filter((file) => file.includes("react-native-airlock"));
  };
  // Metro and jest with package exports, Vite, and Metro without package exports.
  assert.match(
    (await inputs({ conditions: ["react-native", "require"], platform: "neutral" })).join(),
    /dist\/(esm|cjs)\/index\.js$/,
  );
  assert.match((await inputs({ platform: "browser" })).join(), /dist\/esm\/index\.js$/);
  const { main } = await manifest();
  const file = join(installed, main);
  assert.match((await inputs({ alias: { "react-native-airlock": file } })).join(), /dist\/cjs\/index\.js$/);
});

test(`the root entry is at most ${SIZE_MAX} bytes`, async () => {
  const { outputFiles } = await build({
    entryPoints: [join(root, "client/src/index.ts")],
    bundle: true,
    minify: true,
    format: "esm",
    write: false,
  });
  const size = gzipSync(outputFiles[0]!.contents, { level: 9 }).length;
  assert.ok(size <= SIZE_MAX, `${size} bytes`);
});
