// The example app: installs its packages, bundles it, and serves its web build.
//
// It is not a workspace of this project: Expo and React Native are half a gigabyte, which nothing else here needs. Its
// packages are installed when it is first started or tested.

import { createHash } from "node:crypto";
import { cp, glob, mkdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { createServer, type Server } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";

import sirv from "sirv";

import type { Vars } from "../stack/vars.ts";
import { Failure, root, run, step } from "./shell.ts";

export const app = join(root, "examples", "expo-notes");
/** Bundles, and caches of the example's commands. */
export const kept = join(root, ".airlock", "example");

const CLIENT = ["client/**/*"];
const APP = ["app/**/*", "src/**/*", "*.json"].map((pattern) => `examples/expo-notes/${pattern}`);

/**
 * Installs the packages of the app's lock file, and the client as it would be published, unless they are there already.
 */
export async function installApp(): Promise<void> {
  const wanted = await digest([...CLIENT, "examples/expo-notes/package-lock.json"]);
  const stamp = join(app, "node_modules", ".airlock-installed");
  if ((await readFile(stamp, "utf8").catch(() => "")) === wanted) return;
  await step("installing the packages of examples/expo-notes", "about a minute", async () => {
    await run("node", ["build.mjs"], { cwd: join(root, "client") });
    // Not `npm ci`, which refuses the lock file: it lacks optional packages of other platforms that Expo's have.
    await rm(join(app, "node_modules", "react-native-airlock"), { recursive: true, force: true });
    await run("npm", ["install", "--no-save", "--loglevel=error"], { cwd: app });
  });
  await writeFile(stamp, wanted);
}

/** Placeholders in the web build, in place of settings. */
const STAND_INS: Vars = {
  EXPO_PUBLIC_AIRLOCK_URL: "https://airlock.stand-in",
  EXPO_PUBLIC_AIRLOCK_APP_ID: "app-id.stand-in",
  EXPO_PUBLIC_AIRLOCK_ATTEST_URL: "https://attest.stand-in",
  EXPO_PUBLIC_AIRLOCK_SECRET: "stand-in-of-a-secret-with-43-characters-or-more",
  EXPO_PUBLIC_SUPABASE_URL: "https://supabase.stand-in",
  EXPO_PUBLIC_SUPABASE_KEY: "sb_publishable_stand-in",
};

/**
 * The web build with these settings. Metro, which takes a minute, makes one build for all settings; they are put into
 * it.
 */
export async function bundleWeb(settings: Vars): Promise<string> {
  for (const [name, value] of Object.entries(settings)) {
    if (!/^[^\s"'`\\$]+$/.test(value)) throw new Failure(`${name} is "${value}", which the web build cannot use.`);
  }
  const bundled = await bundleApp(["web"], STAND_INS);
  const wanted = await readFile(join(bundled, ".made-from"), "utf8");
  return keepBundle(`web-${await digest([], JSON.stringify(settings))}`, wanted, async (unfinished) => {
    await cp(bundled, unfinished, { recursive: true });
    for await (const file of glob("**/*.{js,html,json}", { cwd: unfinished })) {
      const path = join(unfinished, file);
      const text = await readFile(path, "utf8");
      await writeFile(
        path,
        Object.entries(STAND_INS).reduce(
          (changed, [name, standIn]) => changed.replaceAll(standIn, settings[name] ?? ""),
          text,
        ),
      );
    }
  });
}

/** Bundles the app with Metro, and returns the folder. Kept until the app or the client changes. */
export async function bundleApp(platforms: ("web" | "ios" | "android")[], settings: Vars): Promise<string> {
  const ofSettings = await digest([], JSON.stringify(settings));
  // Metro caches modules with other settings, and would put those into the web build.
  const cache = join(tmpdir(), `airlock-expo-${await digest(["examples/expo-notes/app.json"], ofSettings)}`);
  await mkdir(cache, { recursive: true });
  const options = platforms.flatMap((platform) => ["--platform", platform]);
  return keepBundle(`${platforms.join("-")}-${ofSettings}`, await digest([...CLIENT, ...APP]), (unfinished) =>
    step(`bundling examples/expo-notes for ${platforms.join(" and ")}`, "about a minute", async () => {
      await run("npx", ["expo", "export", ...options, "--output-dir", unfinished], {
        cwd: app,
        stdio: ["ignore", "ignore", 2],
        // A file .env of the app must not win over these settings.
        env: {
          ...process.env,
          ...settings,
          TMPDIR: cache,
          CI: "1",
          EXPO_OFFLINE: "1",
          EXPO_NO_TELEMETRY: "1",
          EXPO_NO_DOTENV: "1",
        },
      });
    }),
  );
}

/** The kept folder of this name, made again if it was made from something else. */
async function keepBundle(name: string, wanted: string, make: (unfinished: string) => Promise<void>): Promise<string> {
  const folder = join(kept, name);
  const stamp = join(folder, ".made-from");
  if ((await readFile(stamp, "utf8").catch(() => "")) === wanted) return folder;
  const unfinished = `${folder}.${process.pid}`;
  await mkdir(kept, { recursive: true });
  await make(unfinished);
  await writeFile(join(unfinished, ".made-from"), wanted);
  await rm(folder, { recursive: true, force: true });
  await rename(unfinished, folder);
  return folder;
}

/** Serves a web build on loopback. A path without a file is a route of the app. */
export async function serveApp(folder: string, port: number): Promise<Server> {
  const files = sirv(folder, { single: true, etag: true });
  const server = createServer((request, response) => files(request, response));
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, "127.0.0.1", () => resolve(server));
  });
}

async function digest(patterns: string[], more = ""): Promise<string> {
  const hash = createHash("sha256").update(more);
  const files: string[] = [];
  const exclude = (name: string) => /(^|\/)(node_modules|dist|test)$|\.tgz$/.test(name);
  for await (const file of glob(patterns, { cwd: root, exclude })) files.push(file);
  for (const file of files.sort()) {
    const path = join(root, file);
    const content = await readFile(path).catch((error: NodeJS.ErrnoException) => {
      if (error.code === "EISDIR") return "";
      throw error;
    });
    hash.update(file).update("\0").update(content);
  }
  return hash.digest("hex").slice(0, 16);
}
