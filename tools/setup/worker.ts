// The release build of the Worker.

import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";

import { build as esbuild } from "esbuild";

import { Failure, root, run } from "./shell.ts";
import { toolchain, wasmTarget } from "./toolchain.ts";

/** What the build makes, and all that is deployed. */
export const outputs = ["build/index.js", "build/index_bg.wasm"];

const bindings = join(root, ".airlock", "bindings");

/** Builds the Worker, installing whatever that takes; a second or two when nothing has changed. */
export async function build(): Promise<void> {
  const { env, wasmBindgen } = await toolchain();

  // js-sys in place of bindings of its own: so wants `worker`.
  const args = ["build", "--release", "--lib", "--target", wasmTarget, "--message-format=json-render-diagnostics"];
  const messages = await run("cargo", args, { env: { ...env, WASM_BINDGEN_USE_JS_SYS: "1" }, stdio: ["ignore", "pipe", 2] });
  const module = wasmModule(messages);

  const made = createHash("sha256");
  const inputs = ["src/edge/worker.js", "src/edge/exchange.js", "tools/setup/worker.ts", "Cargo.lock", "package-lock.json"];
  for (const file of [module, ...inputs]) made.update(await readFile(resolve(root, file)));
  const wanted = made.digest("hex");
  const stamp = join(root, ".airlock", "built-from");
  const last = await readFile(stamp, "utf8").catch(() => undefined);
  if (last === wanted && outputs.every((file) => existsSync(join(root, file)))) return;

  await rm(stamp, { force: true });
  await rm(bindings, { recursive: true, force: true });
  // With them a module that trapped is replaced by a new instance, the next time that it is called.
  const recovery = ["--experimental-reset-state-function", "--force-enable-abort-handler"];
  await run(wasmBindgen, [module, "--target", "module", "--no-typescript", "--out-dir", bindings, "--out-name", "index", ...recovery]);
  await mkdir(join(root, "build"), { recursive: true });
  await bundle();
  await optimise();
  await writeFile(stamp, wanted);
}

/** All JavaScript in one file: ours, and what wasm-bindgen wrote. */
async function bundle(): Promise<void> {
  const generated = join(bindings, "index.js");
  // workerd has the module itself where the standard to come has its source.
  await writeFile(generated, (await readFile(generated, "utf8")).replace("import source ", "import "));
  const [snippet] = await readdir(join(bindings, "snippets"));
  await esbuild({
    entryPoints: [join(root, "src", "edge", "worker.js")],
    outfile: join(root, "build", "index.js"),
    alias: {
      "airlock:bindings": generated,
      "airlock:exchange": join(bindings, "snippets", snippet ?? "", "src", "edge", "exchange.js"),
    },
    external: ["./index_bg.wasm", "cloudflare:*"],
    bundle: true,
    minify: true,
    format: "esm",
    target: "es2024",
    logLevel: "warning",
  });
}

/** What rustc and wasm-bindgen put into a module, so that wasm-opt adds nothing that workerd may not know yet. */
const FEATURES = ["mutable-globals", "sign-ext", "nontrapping-float-to-int", "bulk-memory", "multivalue", "reference-types", "exception-handling", "simd"];

/** Smaller by a quarter, a tenth of which is the names of functions. */
async function optimise(): Promise<void> {
  const features = FEATURES.map((name) => `--enable-${name}`);
  const [from, to] = [join(bindings, "index_bg.wasm"), join(root, "build", "index_bg.wasm")];
  await run("wasm-opt", ["-O", ...features, "--strip-debug", "--strip-producers", from, "-o", to]);
}

/** Where cargo, by its JSON messages, has put the crate's wasm module. */
function wasmModule(messages: string): string {
  for (const line of messages.split("\n")) {
    const message: { manifest_path?: string; filenames?: string[] } = JSON.parse(line);
    const module = message.filenames?.find((file) => file.endsWith(".wasm"));
    if (module && message.manifest_path === join(root, "Cargo.toml")) return module;
  }
  throw new Failure('The crate builds no wasm module: crate-type in Cargo.toml must have "cdylib".');
}
