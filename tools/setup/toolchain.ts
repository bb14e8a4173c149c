// The tools that are not on npm: Rust with the wasm target and wasm-bindgen, which build the Worker, and cargo-deny, which
// checks its dependencies. Missing tools are installed, once a machine.
//
// It takes nothing but package registries, and for the wasm target rustup's server or, where that cannot
// be reached, Debian.

import { existsSync, readFileSync } from "node:fs";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { buildDebianRust, findDebianRust } from "./debian.ts";
import { keep, tools } from "./kept.ts";
import { ask, Failure, root, run, step } from "./shell.ts";

export const wasmTarget = "wasm32-unknown-unknown";

export interface Toolchain {
  /** The environment in which cargo can build the Worker. Native builds need none of it. */
  env: NodeJS.ProcessEnv;
  /** The path of wasm-bindgen's command line tool. */
  wasmBindgen: string;
}

/** Installs missing parts. */
export async function toolchain(): Promise<Toolchain> {
  await requireRust();
  const env = await rustForWasm();
  // The tool reads the output of exactly its own version of the library.
  const wasmBindgen = await cargoTool("wasm-bindgen-cli", locked("wasm-bindgen"), "wasm-bindgen", [
    "--no-default-features",
  ]);
  return { env, wasmBindgen };
}

/** The path of cargo-deny, which reads Cargo.lock and deny.toml. */
export function cargoDeny(): Promise<string> {
  return cargoTool("cargo-deny", "0.20.2", "cargo-deny", ["--locked"]);
}

async function requireRust(): Promise<void> {
  const version = await ask("rustc", ["--version"]);
  if (version === undefined || (await ask("cargo", ["--version"])) === undefined) {
    // When rustup is there but has no usable toolchain, it explains that better than we could.
    if (await ask("rustup", ["--version"])) await run("cargo", ["--version"]).catch(() => {});
    throw new Failure(
      "`cargo` and `rustc` do not run. Install Rust with rustup (https://rustup.rs), open a new shell and try again.",
    );
  }
  const minimum = /^rust-version = "(.+)"/m.exec(read("Cargo.toml"))?.[1] ?? "1.0";
  if (!isAtLeast(version, minimum)) {
    throw new Failure(
      `Airlock needs Rust ${minimum} or newer; this is ${version}. With rustup, run \`rustup update stable\`.`,
    );
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

  const target = join(root, ".airlock", "tools.target");
  const env = {
    ...process.env,
    // The tools run for seconds: optimising them would take minutes to save less than that.
    CARGO_PROFILE_RELEASE_OPT_LEVEL: "0",
    CARGO_PROFILE_RELEASE_LTO: "off",
    CARGO_PROFILE_RELEASE_CODEGEN_UNITS: "16",
    CARGO_TARGET_DIR: target,
  };
  const install = async (into: string) =>
    void (await run("cargo", ["install", `${crate}@${version}`, "--bin", binary, "--root", into, ...options], { env }));
  await step(`building ${crate} ${version}`, "one to three minutes", () => keep(folder, install));
  await rm(target, { recursive: true, force: true, maxRetries: 5 });
  return path;
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
