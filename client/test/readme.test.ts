// The README's code compiles, against the sources and the real types of its imports.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { copyFile, mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

import { readmeBlocks } from "./blocks.ts";

const root = fileURLToPath(new URL("../..", import.meta.url));

/** What a new app has by its other packages and commands. */
const AROUND: Record<string, string> = {
  "globals.d.ts": `
declare const process: { env: Record<string, string | undefined> };
declare const __DEV__: boolean;
declare const jest: { mock(module: string, factory: () => object): void; requireActual<T = any>(module: string): T };
declare function test(name: string, run: () => Promise<void>): void;
declare function expect(value: unknown): { toHaveLength(length: number): void; rejects: { toMatchObject(members: object): Promise<void> } };
`,
  // What openapi-typescript writes.
  "paths.ts": `
export interface paths {
  "/v1/notes": {
    get: {
      responses: {
        200: { content: { "application/json": { data: { title: string }[] } } };
        401: { content: { "application/problem+json": { detail: string } } };
      };
    };
  };
}
`,
  "expo-constants.d.ts": `
declare const Constants: { expoConfig: { extra?: Record<string, any> } | null };
export default Constants;
`,
  "async-storage.d.ts": `
declare module "@react-native-async-storage/async-storage" {
  const AsyncStorage: {
    getItem(key: string): Promise<string | null>;
    setItem(key: string, value: string): Promise<void>;
    removeItem(key: string): Promise<void>;
  };
  export default AsyncStorage;
}
`,
  // As in version 26.
  "firebase.d.ts": `
declare module "@react-native-firebase/app" {
  export interface FirebaseApp { name: string }
  export function getApp(name?: string): FirebaseApp;
}
declare module "@react-native-firebase/app-check" {
  import type { FirebaseApp } from "@react-native-firebase/app";
  export interface AppCheck { app: FirebaseApp }
  interface Options {
    android?: { provider?: "debug" | "playIntegrity" };
    apple?: { provider?: "debug" | "deviceCheck" | "appAttest" | "appAttestWithDeviceCheckFallback" };
  }
  export function initializeAppCheck(app?: FirebaseApp, options?: { provider: { providerOptions: Options } }): AppCheck;
  export function getToken(appCheck: AppCheck, forceRefresh?: boolean): Promise<{ readonly token: string }>;
}
`,
};

test("the README's code compiles", async () => {
  const blocks = await readmeBlocks();
  assert.ok(blocks.length >= 6);
  await mkdir(`${root}.airlock`, { recursive: true });
  const folder = await mkdtemp(`${root}.airlock/client-readme-`);
  try {
    await copyFile(`${root}client/test/generated.ts`, `${folder}/airlock-types.ts`);
    // client/test/app.test.ts compiles with the real types of Expo.
    await copyFile(`${root}client/src/platform.d.ts`, `${folder}/platform.d.ts`);
    for (const [file, code] of Object.entries(AROUND)) await writeFile(`${folder}/${file}`, code);
    for (const [n, { file, replaced, code }] of blocks.entries())
      await writeFile(`${folder}/${replaced ? `block${n}.ts` : file}`, code);
    const options = {
      ...{
        target: "ES2022",
        lib: ["ES2023", "DOM", "ESNext.Disposable"],
        module: "ESNext",
        moduleResolution: "Bundler",
        types: [],
      },
      ...{ strict: true, noEmit: true, skipLibCheck: true, allowImportingTsExtensions: true, jsx: "preserve" },
      paths: {
        "react-native-airlock": [`${root}client/src/index.ts`],
        "react-native-airlock/*": [`${root}client/src/*.ts`],
        "expo-constants": [`${folder}/expo-constants.d.ts`],
      },
    };
    await writeFile(`${folder}/tsconfig.json`, JSON.stringify({ compilerOptions: options, include: ["."] }));
    const tsc = promisify(execFile)(process.execPath, [`${root}node_modules/typescript/bin/tsc`, "-p", folder]);
    assert.equal(
      await tsc.then(
        () => "",
        ({ stdout, message }) => stdout || message,
      ),
      "",
    );
  } finally {
    await rm(folder, { recursive: true });
  }
});
