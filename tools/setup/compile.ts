// Compiles the Worker: the crate to WASM, and the script around it. Needs Rust; the package has its output.

import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { mkdir, mkdtemp, readdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { basename, dirname, join } from "node:path";

import { type BuildOptions, build as esbuild, type Plugin } from "esbuild";

import { forgetInspector, inspector } from "../declaration.ts";
import { type Replacement, removeDead } from "./dead-code.ts";
import { Failure, root, run } from "./shell.ts";
import { toolchain, wasmTarget } from "./toolchain.ts";

/** Its output: the script, the module, its functions' names and the checker. */
const made = ["build/index.js", "build/index_bg.wasm", ".airlock/functions.txt"]
  .map((path) => join(root, path))
  .concat(inspector);

/** Installs missing tools. Takes a second or two when nothing has changed. */
export async function compile(): Promise<void> {
  // `npm test` has built it, and its tests start commands by the hundred.
  if (process.env.AIRLOCK_BUILT === root) return;
  const { env, wasmBindgen } = await toolchain();

  // `worker` requires wasm-bindgen to use js-sys.
  const options = ["--release", "--lib", "--target", wasmTarget, "--message-format=json-render-diagnostics"];
  const args = ["rustc", ...options, "--", "-C", "link-arg=--emit-relocs"];
  const messages = await run("cargo", args, {
    cwd: root,
    env: { ...env, WASM_BINDGEN_USE_JS_SYS: "1" },
    stdio: ["ignore", "pipe", 2],
  });
  const module = wasmModule(messages);

  const inputs = [
    "src/worker/worker.js",
    "src/worker/exchange.js",
    "tools/setup/compile.ts",
    "tools/setup/dead-code.ts",
    "Cargo.lock",
    "package-lock.json",
  ];
  const wanted = await digest([module, ...inputs.map((file) => join(root, file))]);
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
    await run(wasmBindgen, [
      await withoutDead(module, join(folder, "airlock.wasm")),
      "--target",
      "module",
      "--no-typescript",
      "--out-dir",
      folder,
      "--out-name",
      "index",
      ...recovery,
    ]);
    const worker = await trim(folder, "worker", { entryPoints: [join(root, "src", "worker", "worker.js")] });
    const checker = await trim(folder, "inspector", {
      stdin: { contents: 'export { diagnose, inspect } from "airlock:bindings";', resolveDir: root },
    });
    const files = [worker.script, ...(await optimise(worker.module)), await embed(checker)];
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

/** A script, and the module that it needs. */
interface Program {
  script: string;
  module: string;
}

/**
 * The script in one file with the bindings that it uses, and the module without the exports that it does not use. Some
 * imports of the module have no user then, and the script is made again without them.
 */
async function trim(
  bindings: string,
  name: string,
  entry: Pick<BuildOptions, "entryPoints" | "stdin">,
): Promise<Program> {
  const [script, module] = [join(bindings, name, "index.js"), join(bindings, name, "index_bg.wasm")];
  await bundle(bindings, entry, script);
  await removeUnused(bindings, script, module);
  const used = WebAssembly.Module.imports(new WebAssembly.Module(await readFile(module))).map((one) => one.name);
  await bundle(bindings, entry, script, used);
  await removeUnused(bindings, script, module);
  return { script, module };
}

/** Bundles `entry`. With `used`, functions that the module could import but does not are left out. */
async function bundle(
  bindings: string,
  entry: Pick<BuildOptions, "entryPoints" | "stdin">,
  outfile: string,
  used?: string[],
): Promise<void> {
  const snippets = await readdir(join(bindings, "snippets"));
  const ours = snippets.find((name) => name.startsWith("airlock-")) ?? "";
  const generated: Plugin = {
    name: "bindings",
    setup({ onLoad }) {
      onLoad({ filter: /\/index\.js$/ }, async ({ path }) => ({
        contents: reduced(await readFile(path, "utf8"), used),
      }));
    },
  };
  await esbuild({
    ...entry,
    outfile,
    alias: {
      "airlock:bindings": join(bindings, "index.js"),
      "airlock:exchange": join(bindings, "snippets", ours, "src", "worker", "exchange.js"),
    },
    plugins: [declarationBeside, generated],
    external: ["./index_bg.wasm", "cloudflare:*"],
    bundle: true,
    minify: true,
    format: "esm",
    target: "es2024",
    logLevel: "warning",
  });
}

/** The bindings, in a form that esbuild can remove parts of. */
function reduced(text: string, used: string[] | undefined): string {
  return (
    text
      // workerd imports a compiled module where the proposed standard has `import source`.
      .replace("import source ", "import ")
      // The bindings have classes of `worker` that nothing uses here. These statements would keep them in the bundle.
      .replace(/^if \(Symbol\.dispose\) .*$/gm, "")
      .replaceAll(": new FinalizationRegistry(", ": /* @__PURE__ */ new FinalizationRegistry(")
      .replace(/^ {8}(__wb\w+): function\((?:.*\},|[\s\S]*?^ {8}\},)$/gm, (all, name: string) =>
        used && !used.includes(name) ? "" : all,
      )
  );
}

/** The declaration stays a file of its own, so a change of airlock.toml needs no other build. */
const declarationBeside: Plugin = {
  name: "declaration",
  setup({ onResolve }) {
    onResolve({ filter: /^airlock:declaration$/ }, () => ({ path: "./declaration.js", external: true }));
  },
};

/**
 * The script of the checker, which holds its module: Node.js, where the tools call `inspect` and `diagnose`, cannot
 * import one.
 */
async function embed({ script, module }: Program): Promise<string> {
  const outfile = join(dirname(script), basename(inspector));
  const base64 = (await readFile(module)).toString("base64");
  const text = await readFile(script, "utf8");
  await writeFile(
    outfile,
    text.replace(
      /import (\w+) from"\.\/index_bg\.wasm";/,
      `var $1=new WebAssembly.Module(Buffer.from("${base64}","base64"));`,
    ),
  );
  return outfile;
}

/**
 * Functions that are replaced, by their mangled names. They would keep code and data in the module that nothing uses. Another
 * version of Rust may have other names: then the module is larger, which `npm run check` finds.
 */
const REPLACED: [by: Replacement, names: RegExp][] = [
  // A panic ends the instance. Its message would take more code than the stack of a trap, which names the function.
  [
    "trap",
    /^_(?:ZN|RI?(?:N[vt]|Ms\d*_)*C\w+?_)(?:4core|5alloc)\w*?(?:\dpanicking|\dpanic_|_fail|handle_(?:alloc_)?error|capacity_overflow)/,
  ],
  ["trap", /^_(?:ZN|RNvNtC\w+_)3std9panicking1[23](?:default_hook|panic_handler)/],
  // Streams and promises of `worker`. The Worker has none of their exports. wasm-bindgen runs their descriptions.
  ["trap", /^(?!.*describe).*(?:wasm_streams|js_sys(?:7|\.\.)futures|futures_)/],
  // The URLs that the Worker reads begin with https:// or http://: `web_url` in src/config.rs.
  [
    "trap",
    /^_ZN3url6parser6Parser\d+(?:parse_file|file_host|parse_relative|fragment_only|parse_cannot_be_a_base_path)17h/,
  ],
  // Only messages of panics and of serde's errors have these texts, and nothing reads them. Other functions of `Debug` may
  // be one with a function of `Display`, since equal functions are merged.
  ["zero", /^_(?:RNvX\w+4core3fmt[ec]NtB\w+5Debug|ZN\d+_\$LT\$(?:str|char)\$\S+Debug\$GT\$)3fmt/],
  ["zero", /serde\w+\.\.\w+\.\.(?:JsonUnexpected|Unexpected|OneOf)\$\S+Display\$GT\$3fmt/],
  // Only the error messages of serde refer to it, where serde_json writes a float by code of its own.
  ["trap", /^_(?:RNvX\w+5floatd|ZN\w+float\S+f64)\w+Display\S*3fmt/],
];

/** A copy of the crate's module without these functions, and without the code and data that only they refer to. */
async function withoutDead(module: string, to: string): Promise<string> {
  const replacement = (name: string) => REPLACED.find(([, names]) => names.test(name))?.[0];
  await writeFile(to, removeDead(await readFile(module), replacement));
  return to;
}

/** The features that rustc and wasm-bindgen use; wasm-opt must not add others, which workerd may not support yet. */
const FEATURES = [
  "mutable-globals",
  "sign-ext",
  "nontrapping-float-to-int",
  "bulk-memory",
  "multivalue",
  "reference-types",
  "exception-handling",
  "simd",
].map((name) => `--enable-${name}`);

/** Removes from the module all that this script does not use. Names of functions stay. */
async function removeUnused(bindings: string, script: string, to: string): Promise<void> {
  const from = join(bindings, "index_bg.wasm");
  const text = await readFile(script, "utf8");
  const names = WebAssembly.Module.exports(new WebAssembly.Module(await readFile(from))).map(({ name }) => name);
  const used = names.filter((name) => new RegExp(`\\.${name}\\b`).test(text));
  const graph = `${to}.json`;
  await writeFile(
    graph,
    JSON.stringify([{ name: "used", reaches: used, root: true }, ...used.map((name) => ({ name, export: name }))]),
  );
  await run("wasm-metadce", [...FEATURES, "--debuginfo", `--graph-file=${graph}`, from, "-o", to], {
    stdio: ["ignore", "ignore", 2],
  });
}

/**
 * Makes the module a third smaller. A tenth of that is the names of functions, which are used to put similar functions
 * side by side before they are dropped. Functions are not merged into their only caller: V8 compiles a function when it is
 * first called, and a large one late.
 */
async function optimise(module: string): Promise<[module: string, names: string]> {
  const [names, to] = [join(dirname(module), "functions.txt"), join(dirname(module), "optimised.wasm")];
  const smaller = [
    "-O",
    "--one-caller-inline-max-function-size=0",
    "--reorder-functions-by-name",
    `--symbolmap=${names}`,
    "--strip-debug",
    "--strip-producers",
  ];
  await run("wasm-opt", [...smaller, ...FEATURES, module, "-o", to]);
  return [to, names];
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
