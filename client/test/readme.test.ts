// The README's code compiles, against the sources and the real types of what it imports.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { copyFile, mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

const root = fileURLToPath(new URL("../..", import.meta.url));

/** What the recipes take for granted. Each block may declare the same names again. */
const AROUND = `
import type { Airlock, AirlockError, AirlockOptions, CurrentRow, Row } from "react-native-airlock";
declare global {
  const process: { env: Record<string, string | undefined> };
  const options: AirlockOptions;
  const airlock: Airlock;
  const note: Row<"notes">;
  const orgId: string;
  function show(text: string): void;
  function later(error: AirlockError): void;
  function merge(current: CurrentRow | null): void;
  function signIn(): void;
  interface paths {
    "/v1/notes": { get: { responses: { 200: { content: { "application/json": { data: unknown[] } } } } } };
  }
}
`;

/** What the recipes use of the platform's modules, with the types that these have. */
const PLATFORM = {
  "expo-crypto": "export function getRandomBytes(byteCount: number): Uint8Array;",
  "expo-network": `
    export type NetworkState = { type?: string; isConnected?: boolean; isInternetReachable?: boolean };
    export function addNetworkStateListener(listener: (event: NetworkState) => void): { remove(): void };
  `,
  "react-native": `
    export const AppState: {
      addEventListener(type: "change" | "blur" | "focus" | "memoryWarning", listener: (state: "active" | "background" | "inactive" | "unknown" | "extension") => void): { remove(): void };
    };
  `,
};

test("the README's code compiles", async () => {
  const blocks = [...(await readFile(`${root}client/README.md`, "utf8")).matchAll(/^```tsx?\n(.*?)^```$/gms)].map(([, code]) => code!);
  assert.ok(blocks.length >= 6);
  await mkdir(`${root}.airlock`, { recursive: true });
  const folder = await mkdtemp(`${root}.airlock/client-readme-`);
  try {
    await copyFile(`${root}client/test/generated.ts`, `${folder}/airlock-types.ts`);
    await writeFile(`${folder}/around.ts`, AROUND);
    for (const [module, types] of Object.entries(PLATFORM)) await writeFile(`${folder}/${module}.d.ts`, types);
    for (const [n, code] of blocks.entries()) await writeFile(`${folder}/block${n}.tsx`, `${code}\nexport {};\n`);
    const options = {
      ...{ target: "ES2022", lib: ["ES2023", "DOM", "ESNext.Disposable"], module: "ESNext", moduleResolution: "Bundler", types: [] },
      ...{ strict: true, noEmit: true, skipLibCheck: true, allowImportingTsExtensions: true, jsx: "preserve" },
      paths: {
        "react-native-airlock": [`${root}client/src/index.ts`],
        "react-native-airlock/*": [`${root}client/src/*.ts`],
        ...Object.fromEntries(Object.keys(PLATFORM).map((module) => [module, [`${folder}/${module}.d.ts`]])),
      },
    };
    await writeFile(`${folder}/tsconfig.json`, JSON.stringify({ compilerOptions: options, include: ["."] }));
    const tsc = promisify(execFile)(process.execPath, [`${root}node_modules/typescript/bin/tsc`, "-p", folder]);
    assert.equal(await tsc.then(() => "", ({ stdout, message }) => stdout || message), "");
  } finally {
    await rm(folder, { recursive: true });
  }
});
