// The release build of the Worker.

import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { readFile, rm, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { Failure, root, run } from "./shell.ts";
import { toolchain, wasmTarget } from "./toolchain.ts";

/** What the build makes, and all that is deployed. */
export const outputs = ["build/index.js", "build/index_bg.wasm"];

/** Builds the Worker, installing whatever that takes; a second or two when nothing has changed. */
export async function build(): Promise<void> {
  const env = await toolchain();

  // cargo alone knows whether anything has changed; worker-build would bind and optimise the same
  // module once more. So cargo goes first, with the flags that worker-build gives it.
  const args = ["build", "--release", "--lib", "--target", wasmTarget, "--message-format=json-render-diagnostics"];
  const messages = await run("cargo", args, { env: { ...env, WASM_BINDGEN_USE_JS_SYS: "1" }, stdio: ["ignore", "pipe", 2] });

  const made = createHash("sha256");
  for (const file of [wasmModule(messages), "Cargo.toml", "Cargo.lock", "package-lock.json"]) made.update(await readFile(resolve(root, file)));
  const wanted = made.digest("hex");
  const stamp = join(root, ".airlock", "built-from");
  const last = await readFile(stamp, "utf8").catch(() => undefined);
  if (last === wanted && outputs.every((file) => existsSync(join(root, file)))) return;

  await rm(stamp, { force: true });
  await run("worker-build", ["--release"], { env });
  await optimise(join(root, "build", "index_bg.wasm"));
  await writeFile(stamp, wanted);
}

/** What rustc and wasm-bindgen put into a module, so that wasm-opt adds nothing that workerd may not know yet. */
const FEATURES = ["mutable-globals", "sign-ext", "nontrapping-float-to-int", "bulk-memory", "multivalue", "reference-types", "exception-handling"];

/** Smaller by a quarter, a tenth of which is the names of functions. */
async function optimise(module: string): Promise<void> {
  const features = FEATURES.map((name) => `--enable-${name}`);
  await run("wasm-opt", ["-O", ...features, "--strip-debug", "--strip-producers", module, "-o", module]);
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
