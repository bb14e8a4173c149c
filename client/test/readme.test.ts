// The README's code compiles, against the sources and the real types of what it imports.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { copyFile, mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

import { readmeBlocks } from "./blocks.ts";

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
  const jest: { mock(module: string, factory: () => object): void; requireActual<T = any>(module: string): T };
  function test(name: string, run: () => Promise<void>): void;
  function expect(value: unknown): { toHaveLength(length: number): void; rejects: { toMatchObject(members: object): Promise<void> } };
  interface paths {
    "/v1/notes": { get: { responses: { 200: { content: { "application/json": { data: unknown[] } } } } } };
  }
}
`;

test("the README's code compiles", async () => {
  const blocks = await readmeBlocks();
  assert.ok(blocks.length >= 6);
  await mkdir(`${root}.airlock`, { recursive: true });
  const folder = await mkdtemp(`${root}.airlock/client-readme-`);
  try {
    await copyFile(`${root}client/test/generated.ts`, `${folder}/airlock-types.ts`);
    await writeFile(`${folder}/around.ts`, AROUND);
    // client/test/app.test.ts compiles with the real types of Expo.
    await copyFile(`${root}client/src/platform.d.ts`, `${folder}/platform.d.ts`);
    await writeFile(
      `${folder}/expo-constants.d.ts`,
      "declare const Constants: { expoConfig: { extra?: Record<string, any> } | null };\nexport default Constants;\n",
    );
    for (const [n, { file = `block${n}.tsx`, code }] of blocks.entries())
      await writeFile(`${folder}/${file}`, `${code}\nexport {};\n`);
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
