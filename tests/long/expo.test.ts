// Metro bundles an app that follows the client's README for iOS and Android, as Expo's builds do, and Hermes compiles it.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { readdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { promisify } from "node:util";

import { installApp } from "../../client/test/install-app.ts";

const WITHOUT_EXPORTS = `
const config = require("expo/metro-config").getDefaultConfig(__dirname);
config.resolver.unstable_enablePackageExports = false;
module.exports = config;
`;

test("expo export makes bytecode for iOS and Android, with and without package exports", async () => {
  const app = await installApp();
  const configuration = join(app, "metro.config.js");
  const env = { PATH: process.env.PATH, HOME: process.env.HOME, CI: "1", EXPO_OFFLINE: "1", EXPO_NO_TELEMETRY: "1" };
  try {
    for (const text of [undefined, WITHOUT_EXPORTS]) {
      if (text !== undefined) await writeFile(configuration, text);
      const platforms = ["--platform", "ios", "--platform", "android"];
      await promisify(execFile)(
        process.execPath,
        ["node_modules/expo/bin/cli", "export", ...platforms, "--output-dir", "exported"],
        { cwd: app, env },
      );
      for (const platform of ["ios", "android"]) {
        const files = await readdir(join(app, "exported", "_expo", "static", "js", platform));
        assert.match(files.join(), /^index-\w+\.hbc$/);
      }
    }
  } finally {
    await rm(configuration, { force: true });
  }
});
