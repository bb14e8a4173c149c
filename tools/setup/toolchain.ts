// All that turns the crate into a Worker: Rust with the wasm target, worker-build, wasm-bindgen,
// wasm-opt, esbuild. What is missing is installed, into `.airlock/tools` as far as that is possible.
//
// It takes nothing but package registries, and for the wasm target rustup's server or, where that cannot
// be reached, Debian. Left alone, worker-build would download wasm-bindgen and esbuild from elsewhere; it is
// told where they are instead. (wasm-opt is run by worker.ts.)

import { existsSync, readFileSync } from "node:fs";
import { rm } from "node:fs/promises";
import { delimiter, dirname, join } from "node:path";
import { aptInstall, buildDebianRust, findDebianRust } from "./debian.ts";
import { ask, Failure, root, run, step } from "./shell.ts";

export const wasmTarget = "wasm32-unknown-unknown";
const tools = join(root, ".airlock", "tools");

/** The environment in which cargo and worker-build can build the Worker. Native builds need none of it. */
export async function toolchain(): Promise<NodeJS.ProcessEnv> {
  await requireRust();
  const rust = await rustForWasm();

  // The crates of workers-rs share one version number, and the command line tool of wasm-bindgen reads
  // the output of exactly its own version of the library.
  const workerBuild = await cargoTool("worker-build", locked("worker"), "worker-build", ["--locked"]);
  const wasmBindgen = await cargoTool("wasm-bindgen-cli", locked("wasm-bindgen"), "wasm-bindgen", ["--no-default-features"]);
  await rm(join(tools, "target"), { recursive: true, force: true });

  const packages = join(root, "node_modules", ".bin");
  return {
    ...rust,
    PATH: [dirname(workerBuild), rust.PATH].join(delimiter),
    WASM_BINDGEN_BIN: wasmBindgen,
    ESBUILD_BIN: join(packages, "esbuild"),
  };
}

async function requireRust(): Promise<void> {
  const version = await ask("rustc", ["--version"]);
  if (version === undefined || (await ask("cargo", ["--version"])) === undefined) {
    // When rustup is there but has no usable toolchain, it explains that better than we could.
    if (await ask("rustup", ["--version"])) await run("cargo", ["--version"]).catch(() => {});
    throw new Failure("`cargo` and `rustc` do not run. Install Rust with rustup (https://rustup.rs), open a new shell and try again.");
  }
  const minimum = /^rust-version = "(.+)"/m.exec(read("Cargo.toml"))?.[1] ?? "1.0";
  if (!isAtLeast(version, minimum)) {
    throw new Failure(`Airlock needs Rust ${minimum} or newer; this is ${version}. With rustup, run \`rustup update stable\`.`);
  }
}

/** An environment whose `rustc` can compile for wasm. */
async function rustForWasm(): Promise<NodeJS.ProcessEnv> {
  if (await compilesToWasm(process.env)) return process.env;
  const debian = await findDebianRust(tools);
  if (debian) return debian;

  if (await ask("rustup", ["--version"])) {
    const addTarget = () => run("rustup", ["target", "add", wasmTarget], { timeout: 5 * 60_000 });
    try {
      await step("adding the wasm target to Rust", "a few seconds", addTarget);
      // Not so when the `rustc` on the path is another one than rustup's.
      if (await compilesToWasm(process.env)) return process.env;
    } catch (error) {
      if (!(error instanceof Failure)) throw error;
      console.error(`airlock: ${error.message} Debian's Rust may do instead.`);
    }
  }
  return buildDebianRust(tools);
}

async function compilesToWasm(env: NodeJS.ProcessEnv): Promise<boolean> {
  const library = await ask("rustc", ["--print", "target-libdir", "--target", wasmTarget], env);
  return library !== undefined && existsSync(library);
}

/** The path of a tool that cargo has installed, in this version, into a folder of its own. */
export async function cargoTool(crate: string, version: string, binary: string, options: string[]): Promise<string> {
  const folder = join(tools, `${crate}-${version}`);
  const path = join(folder, "bin", binary);
  if (existsSync(path)) return path;

  await requireOpenSsl();
  const env = {
    ...process.env,
    PATH: [dirname(path), process.env.PATH].join(delimiter),
    // The tools run for a second per build: optimising them would take minutes to save less than that.
    CARGO_PROFILE_RELEASE_OPT_LEVEL: "0",
    // Shared, so that what both depend on is compiled once.
    CARGO_TARGET_DIR: join(tools, "target"),
  };
  const args = ["install", `${crate}@${version}`, "--bin", binary, "--root", folder, ...options];
  await step(`building ${crate} ${version}`, "one to three minutes", () => run("cargo", args, { env }));
  return path;
}

/** worker-build links to the system's OpenSSL on Linux, and would fail after a minute without it. */
async function requireOpenSsl(): Promise<void> {
  if (process.platform !== "linux" || (await ask("pkg-config", ["--exists", "openssl"])) !== undefined) return;
  await aptInstall(["pkg-config", "libssl-dev"], "Building worker-build needs pkg-config and the development files of OpenSSL.");
}

/** The version of a package in Cargo.lock. */
function locked(name: string): string {
  const version = new RegExp(`^name = "${name}"\nversion = "(.+)"`, "m").exec(read("Cargo.lock"))?.[1];
  if (!version) throw new Failure(`Cargo.lock has no package ${name}.`);
  return version;
}

/** Whether the first version number in a text, such as `rustc 1.95.0`, is the minimum or above. */
function isAtLeast(text: string, minimum: string): boolean {
  const [major = 0, minor = 0] = /\d+\.\d+/.exec(text)?.[0].split(".").map(Number) ?? [];
  const [minMajor = 0, minMinor = 0] = minimum.split(".").map(Number);
  return major > minMajor || (major === minMajor && minor >= minMinor);
}

function read(file: string): string {
  return readFileSync(join(root, file), "utf8");
}
