// examples/expo-notes as a team would copy it: small, typed, and bundled by Metro for phones.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { before, test } from "node:test";

import { app, bundleApp, installApp } from "../../tools/setup/example.ts";
import { run } from "../../tools/setup/shell.ts";

/** Lines of the app's own code. */
const LINES_MAX = 600;

const sources = execFileSync("git", ["ls-files", "--cached", "--others", "--exclude-standard", "app", "src"], {
  cwd: app,
  encoding: "utf8",
})
  .trim()
  .split("\n");

before(installApp);

test(`the app has less than ${LINES_MAX} lines`, async () => {
  const texts = await Promise.all(sources.map((file) => readFile(join(app, file), "utf8")));
  const lines = texts.join("").split("\n").length - 1;
  assert.ok(lines > 100 && lines < LINES_MAX, `${lines} lines`);
});

test("the app has no type error", async () => {
  await run("npx", ["tsc"], { cwd: app });
});

test("Metro bundles the app for iOS and Android, with bytecode for Hermes", async () => {
  const folder = await bundleApp(["ios", "android"], { EXPO_PUBLIC_AIRLOCK_URL: "https://api.example.com" });
  const { fileMetadata } = JSON.parse(await readFile(join(folder, "metadata.json"), "utf8"));
  for (const platform of ["ios", "android"]) {
    const bundle = await readFile(join(folder, fileMetadata[platform].bundle));
    // The magic number of Hermes' bytecode.
    assert.equal(bundle.readBigUInt64LE(0).toString(16), "1f1903c103bc1fc6", platform);
    assert.ok(bundle.includes("https://api.example.com"), `${platform}: the settings are in it`);
    assert.ok(bundle.includes("urn:airlock:problem:"), `${platform}: the client is in it`);
  }
});
