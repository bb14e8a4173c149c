// The release build of the Worker.

import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { mkdir, mkdtemp, readdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { basename, join, resolve } from "node:path";

import { build as esbuild, type Plugin } from "esbuild";

import { buildDeclaration, forgetInspector, inspector } from "../declaration.ts";
import { Failure, root, run } from "./shell.ts";
import { toolchain, wasmTarget } from "./toolchain.ts";

/** The Worker's modules. With the assets beside them they are all that is deployed. */
export const outputs = ["build/index.js", "build/index_bg.wasm", "build/declaration.js"];

/** What `buildModule` makes: the script, the module and the checker. */
const made = [join(root, "build", "index.js"), join(root, "build", "index_bg.wasm"), inspector];

/** Builds the Worker and checks airlock.toml; installs missing tools. Takes a second or two when nothing has changed. */
export async function build(): Promise<void> {
  await buildModule();
  await buildDeclaration();
}

/** All of the build but the declaration. */
export async function buildModule(): Promise<void> {
  const { env, wasmBindgen } = await toolchain();

  // `worker` requires wasm-bindgen to use js-sys.
  const args = ["build", "--release", "--lib", "--target", wasmTarget, "--message-format=json-render-diagnostics"];
  const messages = await run("cargo", args, { env: { ...env, WASM_BINDGEN_USE_JS_SYS: "1" }, stdio: ["ignore", "pipe", 2] });
  const module = wasmModule(messages);

  const inputs = ["src/worker/worker.js", "src/worker/exchange.js", "tools/setup/worker.ts", "Cargo.lock", "package-lock.json"];
  const wanted = await digest([module, ...inputs.map((file) => resolve(root, file))]);
  const stamp = join(root, ".airlock", "built-from");
  // The outputs are in the stamp as well: when two builds of different sources end at once, there can be outputs of both.
  const last = await readFile(stamp, "utf8").catch(() => undefined);
  if (made.every(existsSync) && last === `${wanted} ${await digest(made)}`) return;

  await mkdir(join(root, ".airlock"), { recursive: true });
  // A folder of its own, because two commands may build at once. Each file is replaced as a whole.
  const folder = await mkdtemp(join(root, ".airlock", "bindings-"));
  try {
    // With these a module that trapped can be replaced by a new instance.
    const recovery = ["--experimental-reset-state-function", "--force-enable-abort-handler"];
    await run(wasmBindgen, [module, "--target", "module", "--no-typescript", "--out-dir", folder, "--out-name", "index", ...recovery]);
    const [script, checker] = [await bundle(folder), await bundleInspector(folder)];
    const files = [script, await optimise(folder, [script, checker]), checker];
    const state = `${wanted} ${await digest(files)}`;
    await mkdir(join(root, "build"), { recursive: true });
    for (const [n, file] of files.entries()) await rename(file, made[n] ?? "");
    await writeFile(stamp, state);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
  forgetInspector();
}

async function digest(files: string[]): Promise<string> {
  const hash = createHash("sha256");
  for (const file of files) hash.update(await readFile(file));
  return hash.digest("hex");
}

/** The Worker's JavaScript in one file: ours and what wasm-bindgen generates. */
async function bundle(bindings: string): Promise<string> {
  const outfile = join(bindings, "bundled", "index.js");
  const generated = join(bindings, "index.js");
  const text = (await readFile(generated, "utf8"))
    // workerd imports a compiled module where the proposed standard has `import source`.
    .replace("import source ", "import ")
    // The bindings have classes of `worker` that nothing uses here. These statements would keep them in the bundle.
    .replace(/^if \(Symbol\.dispose\) .*$/gm, "")
    .replaceAll(": new FinalizationRegistry(", ": /* @__PURE__ */ new FinalizationRegistry(");
  await writeFile(generated, text);
  const snippets = await readdir(join(bindings, "snippets"));
  const ours = snippets.find((name) => name.startsWith("airlock-")) ?? "";
  await esbuild({
    entryPoints: [join(root, "src", "worker", "worker.js")],
    outfile,
    alias: {
      "airlock:bindings": generated,
      "airlock:exchange": join(bindings, "snippets", ours, "src", "worker", "exchange.js"),
    },
    plugins: [declarationBeside],
    external: ["./index_bg.wasm", "cloudflare:*"],
    bundle: true,
    minify: true,
    format: "esm",
    target: "es2024",
    logLevel: "warning",
  });
  return outfile;
}

/** The declaration stays a file of its own, so a change of airlock.toml needs no other build. */
const declarationBeside: Plugin = {
  name: "declaration",
  setup({ onResolve }) {
    onResolve({ filter: /^airlock:declaration$/ }, () => ({ path: "./declaration.js", external: true }));
  },
};

/** The bindings for Node.js, where the tools call `inspect`. */
async function bundleInspector(bindings: string): Promise<string> {
  const outfile = join(bindings, "bundled", basename(inspector));
  const module = JSON.stringify(join("..", "build", "index_bg.wasm"));
  const wasm: Plugin = {
    name: "wasm",
    setup({ onResolve, onLoad }) {
      onResolve({ filter: /\.wasm$/ }, () => ({ path: "wasm", namespace: "wasm" }));
      onLoad({ filter: /./, namespace: "wasm" }, () => ({
        contents: `import { readFileSync } from "node:fs";
          export default new WebAssembly.Module(readFileSync(new URL(${module}, import.meta.url)));`,
      }));
    },
  };
  await esbuild({
    stdin: { contents: 'export { inspect } from "./index.js";', resolveDir: bindings },
    outfile,
    plugins: [wasm],
    bundle: true,
    minify: true,
    format: "esm",
    platform: "node",
    logLevel: "warning",
  });
  return outfile;
}

/** The features that rustc and wasm-bindgen use; wasm-opt must not add others, which workerd may not support yet. */
const FEATURES = ["mutable-globals", "sign-ext", "nontrapping-float-to-int", "bulk-memory", "multivalue", "reference-types", "exception-handling", "simd"];

/**
 * Makes the module a third smaller. A tenth of that is the names of functions, which are used to put similar functions
 * side by side before they are dropped. Functions are not merged into their only caller: V8 compiles a function when it is
 * first called, and a large one late.
 */
async function optimise(folder: string, scripts: string[]): Promise<string> {
  const features = FEATURES.map((name) => `--enable-${name}`);
  const [from, used, to] = ["index_bg.wasm", "used.wasm", "optimised.wasm"].map((name) => join(folder, name)) as [string, string, string];
  const graph = join(folder, "exports.json");
  await writeFile(graph, JSON.stringify(await usedExports(from, scripts)));
  await run("wasm-metadce", [...features, "--debuginfo", `--graph-file=${graph}`, from, "-o", used], { stdio: ["ignore", "ignore", 2] });
  const smaller = ["-O", "--one-caller-inline-max-function-size=0", "--reorder-functions-by-name", "--strip-debug", "--strip-producers"];
  await run("wasm-opt", [...smaller, ...features, used, "-o", to]);
  return to;
}

/** The exports that these scripts use, in the form that wasm-metadce reads. */
async function usedExports(module: string, scripts: string[]) {
  const texts = await Promise.all(scripts.map((file) => readFile(file, "utf8")));
  const names = WebAssembly.Module.exports(new WebAssembly.Module(await readFile(module))).map(({ name }) => name);
  const used = names.filter((name) => texts.some((text) => new RegExp(`\\.${name}\\b`).test(text)));
  return [{ name: "used", reaches: used, root: true }, ...used.map((name) => ({ name, export: name }))];
}

/** The path of the crate's wasm module, from cargo's JSON messages. */
function wasmModule(messages: string): string {
  for (const line of messages.split("\n")) {
    const message: { manifest_path?: string; filenames?: string[] } = JSON.parse(line);
    const module = message.filenames?.find((file) => file.endsWith(".wasm"));
    if (module && message.manifest_path === join(root, "Cargo.toml")) return module;
  }
  throw new Failure('The crate builds no wasm module: crate-type in Cargo.toml must have "cdylib".');
}
