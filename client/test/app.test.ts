// An Expo app that follows the README, with the packed package: jest-expo, types, the config plugin, Metro, Hermes, and
// beside it Vite and Node.js 20. Its packages are real, and installed once, outside of the project's own.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { cp, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

import { installApp } from "./install-app.ts";

const root = fileURLToPath(new URL("../..", import.meta.url));
const SECRET = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8";

let app: string;
before(async () => {
  app = await installApp();
});

/**
 * Runs a script of the app or of its packages, without the settings of this machine. Fails when it does. Returns all
 * that it prints.
 */
async function good(
  script: string,
  args: string[],
  env: NodeJS.Dict<string> = {},
  node = process.execPath,
): Promise<string> {
  const settings = {
    PATH: process.env.PATH,
    HOME: process.env.HOME,
    NODE_COMPILE_CACHE: process.env.NODE_COMPILE_CACHE,
    CI: "1",
    EXPO_OFFLINE: "1",
    EXPO_NO_TELEMETRY: "1",
    ...env,
  };
  return promisify(execFile)(node, [script, ...args], { cwd: app, env: settings, maxBuffer: 2 ** 26 }).then(
    ({ stdout, stderr }) => stdout + stderr,
    ({ stdout, stderr, message }) => assert.fail(`${stdout}${stderr}` || message),
  );
}

test("jest-expo's preset runs the README's tests and Expo's entry without configuration", async () => {
  const { jest } = JSON.parse(await readFile(join(app, "package.json"), "utf8"));
  assert.deepEqual(jest, { preset: "jest-expo" });
  const output = await good("node_modules/jest/bin/jest.js", ["--cacheDirectory", ".jest", "--maxWorkers", "1"]);
  assert.match(output, /Tests: +8 passed, 8 total/);
});

test("the app's types compile, with the types of Expo", async () => {
  assert.equal(await good("node_modules/typescript/bin/tsc", ["--noEmit"]), "");
});

test("Expo's entry fits the real types of Expo's modules", async () => {
  const compilerOptions = {
    ...JSON.parse(await readFile(`${root}client/tsconfig.json`, "utf8")).compilerOptions,
    noEmit: true,
    skipLibCheck: true,
  };
  const options = {
    ...compilerOptions,
    rootDir: ".",
    module: "ESNext",
    moduleResolution: "Bundler",
    customConditions: ["react-native"],
  };
  await cp(`${root}client/src`, join(app, "src"), {
    recursive: true,
    filter: (path) => !path.endsWith("platform.d.ts"),
  });
  await writeFile(
    join(app, "src", "tsconfig.json"),
    JSON.stringify({ compilerOptions: options, include: ["expo.ts", "react-query.ts"] }),
  );
  // By the compiler that makes the package of these sources, which is ten times as fast as the app's.
  assert.equal(await good(`${root}node_modules/typescript/bin/tsc`, ["-p", "src"]), "");
});

const KEY = { EXPO_PUBLIC_AIRLOCK_APP_ID: "rn-dev", EXPO_PUBLIC_AIRLOCK_SECRET: SECRET };
const DEVELOPMENT = { ...KEY, EXPO_PUBLIC_AIRLOCK_URL: "http://192.168.0.10:8787" };

/** The app's configuration as Expo's own command resolves it. */
async function configured(env: NodeJS.Dict<string>): Promise<{ extra: any; security: any }> {
  const output = await good("node_modules/expo/bin/cli", ["config", "--type", "introspect", "--json"], env);
  const { extra, ios } = JSON.parse(output.slice(output.indexOf("{")));
  return { extra: extra.airlock, security: ios.infoPlist.NSAppTransportSecurity };
}

test("the config plugin takes URL and key from the environment", async () => {
  const { extra, security } = await configured(DEVELOPMENT);
  assert.deepEqual(extra, { url: "http://192.168.0.10:8787", keys: { default: { appId: "rn-dev", secret: SECRET } } });
  assert.deepEqual([security.NSAllowsArbitraryLoads, security.NSAllowsLocalNetworking], [false, true]);
  assert.deepEqual(security.NSExceptionDomains["192.168.0.10"], { NSExceptionAllowsInsecureHTTPLoads: true });
  const production = await configured({ ...DEVELOPMENT, NODE_ENV: "production" });
  assert.equal(production.security?.NSExceptionDomains?.["192.168.0.10"], undefined);
  assert.deepEqual(production.extra, extra);
});

test("only iOS and debug builds of Android allow http to the host", async () => {
  try {
    await good("node_modules/expo/bin/cli", ["prebuild", "--no-install"], DEVELOPMENT);
    const plist = await readFile(join(app, "ios", "app", "Info.plist"), "utf8");
    assert.match(plist, /<key>NSExceptionDomains<\/key>\s*<dict>\s*<key>192\.168\.0\.10<\/key>/);
    const manifests = await Promise.all(
      ["debug", "main"].map((variant) =>
        readFile(join(app, "android", "app", "src", variant, "AndroidManifest.xml"), "utf8"),
      ),
    );
    assert.deepEqual(
      manifests.map((text) => text.includes('usesCleartextTraffic="true"')),
      [true, false],
    );
  } finally {
    for (const folder of ["ios", "android"]) await rm(join(app, folder), { recursive: true, force: true });
  }
});

test("a build in EAS has only its key; it fails without URL, key or https", async () => {
  const build = {
    EAS_BUILD: "true",
    EAS_BUILD_PROFILE: "production",
    EAS_BUILD_PLATFORM: "ios",
    EXPO_PUBLIC_AIRLOCK_URL: "https://api.example.com",
  };
  const ios = { EXPO_PUBLIC_AIRLOCK_APP_ID_IOS: "rn-ios", EXPO_PUBLIC_AIRLOCK_SECRET_IOS: `${SECRET}AAAA` };
  const { extra, security } = await configured({ ...build, ...KEY, ...ios });
  assert.deepEqual(extra, {
    url: "https://api.example.com",
    keys: { default: { appId: "rn-ios", secret: `${SECRET}AAAA` } },
  });
  assert.equal(security?.NSExceptionDomains?.["api.example.com"], undefined);

  const { default: plugin } = await import(join(app, "node_modules", "react-native-airlock", "app.plugin.cjs"));
  const stopped = (env: NodeJS.Dict<string>, props?: object) => {
    Object.assign(process.env, env);
    try {
      plugin({}, props);
      return "built";
    } catch (error) {
      return (error as Error).message;
    } finally {
      for (const name of Object.keys(env)) delete process.env[name];
    }
  };
  assert.equal(stopped({ ...build, ...KEY }), "built");
  assert.match(stopped({ ...build, ...KEY, EXPO_PUBLIC_AIRLOCK_URL: "" }), /^EXPO_PUBLIC_AIRLOCK_URL must be set/);
  assert.match(stopped(build), /^EXPO_PUBLIC_AIRLOCK_APP_ID and EXPO_PUBLIC_AIRLOCK_SECRET must be set/);
  assert.match(stopped({ ...build, ...ios, EAS_BUILD_PLATFORM: "android" }), /must be set/);
  assert.match(stopped({ ...build, EXPO_PUBLIC_AIRLOCK_APP_ID: "rn" }), /^EXPO_PUBLIC_AIRLOCK_SECRET must be set/);
  const http = { ...build, ...DEVELOPMENT };
  assert.match(stopped(http), /only development builds may use http/);
  assert.equal(stopped({ ...http, EAS_BUILD_PROFILE: "development" }), "built");
  assert.equal(stopped(http, { development: true }), "built");
  assert.match(stopped({ ...http, EXPO_PUBLIC_AIRLOCK_URL: "https://api.example.com/v1" }), /must be an origin/);
  for (const secret of [`${SECRET}=`, "short"]) {
    const message = stopped({ ...build, ...KEY, EXPO_PUBLIC_AIRLOCK_SECRET: secret });
    assert.match(message, /^EXPO_PUBLIC_AIRLOCK_SECRET must be base64url/);
    assert.ok(!message.includes(secret));
  }
  assert.equal(stopped({}), "built", "commands that need no key work without one");
});

/** On ARM, macOS runs the binary for x64. */
const HERMES: Record<string, string> = {
  "linux-x64": "linux64-bin",
  "darwin-x64": "osx-bin",
  "darwin-arm64": "osx-bin",
};

for (const packageExports of [true, false]) {
  test(`Metro ${packageExports ? "with" : "without"} package exports bundles what Hermes runs`, async (context) => {
    const file = join(app, `bundle-${packageExports}.js`);
    const output = await good("bundle.cjs", ["hermes.ts", file, String(packageExports)], { NODE_ENV: "production" });
    assert.equal(output, "");
    // Each set of conditions has its file, so the option had its effect.
    assert.equal((await readFile(file, "utf8")).includes("__toCommonJS"), !packageExports);

    const folder = HERMES[`${process.platform}-${process.arch}`];
    if (folder === undefined)
      return context.diagnostic(
        `hermes-engine-cli has no Hermes for ${process.platform}-${process.arch}; the bundle was not run.`,
      );
    const hermes = await promisify(execFile)(join(app, "node_modules", "hermes-engine-cli", folder, "hermes"), [
      "-w",
      file,
    ]);
    const vectors = JSON.parse(await readFile(`${root}tests/vectors/app-guard.json`, "utf8"));
    assert.equal(hermes.stdout, `good: ${vectors.length} vectors\n`);
  });
}

test("Node.js 20 imports and requires it, and runs Vite's bundle", async () => {
  const platform = `${process.platform}-${process.arch}`;
  const node20 = join(
    app,
    "node_modules",
    platform === "darwin-arm64" ? `node-bin-${platform}` : `node-${platform}`,
    "bin",
    "node",
  );
  const use = `
    const note = await createAirlock(createStubServer().options).notes.create({ title: process.version });
    console.log(note.title.slice(0, 4), note.version);`;
  await writeFile(
    join(app, "use.mjs"),
    `import { createAirlock } from "react-native-airlock";\nimport { createStubServer } from "react-native-airlock/testing";${use}`,
  );
  await writeFile(
    join(app, "use.cjs"),
    `const { createAirlock } = require("react-native-airlock");\nconst { createStubServer } = require("react-native-airlock/testing");\n(async () => {${use}})();`,
  );
  await good("node_modules/vite/bin/vite.js", ["build", "--logLevel", "error"]);
  for (const file of ["use.mjs", "use.cjs", "vite/use.mjs"])
    assert.equal(await good(file, [], {}, node20), "v20. 1\n", file);
});

test("msw hands the app's requests to the stub server", async () => {
  assert.equal(await good("msw.mjs", []), "Milk 1 not_found\n");
});
