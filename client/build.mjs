// npm run build, here: dist/ as it is published. ESM and CommonJS, each with its types and source maps. Without
// dependencies, because jest-expo only transforms packages named react-native-*. Metro needs no exports.

import { execFileSync } from "node:child_process";
import { copyFileSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";

import { build } from "esbuild";

process.chdir(import.meta.dirname);
rmSync("dist", { recursive: true, force: true });
const { peerDependencies } = JSON.parse(readFileSync("package.json", "utf8"));
const require = createRequire(import.meta.url);
const tsc = join(dirname(require.resolve("typescript/package.json")), "bin", "tsc");

for (const [format, type] of /** @type {const} */ ([
  ["esm", "module"],
  ["cjs", "commonjs"],
])) {
  await build({
    entryPoints: ["src/index.ts", "src/expo.ts", "src/react-query.ts", "src/testing.ts"],
    outdir: `dist/${format}`,
    bundle: true,
    external: Object.keys(peerDependencies),
    format,
    target: "es2020",
    sourcemap: true,
    logLevel: "warning",
  });
  execFileSync(process.execPath, [tsc, "--emitDeclarationOnly", "--outDir", `dist/${format}`], { stdio: "inherit" });
  writeFileSync(`dist/${format}/package.json`, `${JSON.stringify({ type, sideEffects: false })}\n`);
}
copyFileSync(join(dirname(require.resolve("@stablelib/sha256/package.json")), "LICENSE"), "dist/stablelib.LICENSE");
