// Rust for wasm out of Debian's packages, for machines that cannot reach rustup's server. Debian has a
// recent compiler and its sources, but no matching standard library for wasm. It is compiled here, once, into a sysroot
// that cargo uses as a toolchain.

import { existsSync } from "node:fs";
import { copyFile, mkdir, readdir, rm, symlink, writeFile } from "node:fs/promises";
import { delimiter, join } from "node:path";
import { keep } from "./kept.ts";
import { ask, Failure, run, step } from "./shell.ts";

const packages = ["rustc-web", "cargo-web", "rust-web-src", "lld-19"];
const rustc = "/usr/bin/rustc";
const cargo = "/usr/bin/cargo";
const rustlib = "/usr/lib/rustlib";
const linker = "/usr/lib/llvm-19/bin/wasm-ld";

const target = "wasm32-unknown-unknown";

/** The environment with Debian's Rust for wasm, if it has been built below `folder`. */
export async function findDebianRust(folder: string): Promise<NodeJS.ProcessEnv | undefined> {
  const sysroot = await sysrootBelow(folder);
  return sysroot && existsSync(sysroot) ? environment(sysroot) : undefined;
}

/** Installs missing packages, builds the sysroot below `folder` and returns its environment. */
export async function buildDebianRust(folder: string): Promise<NodeJS.ProcessEnv> {
  if (![rustc, cargo, join(rustlib, "src/rust/library"), linker].every(existsSync)) {
    await aptInstall(
      packages,
      `This Rust cannot compile for wasm: it lacks its target ${target}, which \`rustup target add ${target}\` adds. Without rustup's server, Debian 12 has packages that do.`,
    );
  }
  const sysroot = await sysrootBelow(folder);
  if (!sysroot) throw new Failure(`${rustc} does not run.`);
  await step("compiling Rust's standard library for wasm", "about a minute", () => keep(sysroot, buildSysroot));
  return environment(sysroot);
}

/** Installs Debian packages, or says how to. `reason` names the missing part. */
export async function aptInstall(names: string[], reason: string): Promise<void> {
  const list = names.join(" ");
  if ((await ask("apt-get", ["--version"])) === undefined)
    throw new Failure(`${reason} (Debian's packages for that: ${list})`);
  if (process.getuid?.() !== 0)
    throw new Failure(`${reason} Run \`sudo apt-get install --no-remove ${list}\`, then try again.`);

  const apt = (...args: string[]) =>
    run("apt-get", args, { env: { ...process.env, DEBIAN_FRONTEND: "noninteractive" } });
  // Never at the price of a package that is there: Debian's own rustup, for one, excludes these.
  const install = () => apt("install", "--yes", "--no-remove", "--no-install-recommends", ...names);
  await step(`installing the Debian packages ${list}`, "about a minute", () =>
    // A new machine or container may have no package lists yet, or outdated ones.
    install().catch(() => apt("update").then(install)),
  ).catch((error: Error) => {
    throw new Failure(`${reason} ${error.message}`);
  });
}

/** One folder for each version of the compiler, which reads nothing but its own libraries. */
async function sysrootBelow(folder: string): Promise<string | undefined> {
  const version = await ask(rustc, ["--version"]);
  return version && join(folder, `debian-rust-${version.split(" ")[1]}`);
}

function environment(sysroot: string): NodeJS.ProcessEnv {
  return {
    ...process.env,
    PATH: [join(sysroot, "bin"), process.env.PATH].join(delimiter),
    CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER: linker,
  };
}

async function buildSysroot(sysroot: string): Promise<void> {
  const crate = `${sysroot}.build`;
  await mkdir(join(crate, "src"), { recursive: true });
  await writeFile(join(crate, "Cargo.toml"), '[package]\nname = "empty"\nedition = "2024"\n\n[workspace]\n');
  await writeFile(join(crate, "src/lib.rs"), "");
  await run(cargo, ["build", "--release", "--target", target, "-Z", "build-std=std,panic_abort,proc_macro,test"], {
    cwd: crate,
    env: {
      ...process.env,
      RUSTC: rustc,
      // Compiling a standard library counts as a nightly feature, and bitcode in it lets the Worker have LTO.
      RUSTC_BOOTSTRAP: "1",
      RUSTFLAGS: "-Cembed-bitcode=yes",
      CARGO_TARGET_DIR: join(crate, "target"),
    },
  });

  const library = join(sysroot, "lib/rustlib", target, "lib");
  await mkdir(library, { recursive: true });
  const compiled = join(crate, "target", target, "release/deps");
  for (const file of await readdir(compiled)) {
    if (file.endsWith(".rlib") && !file.startsWith("libempty-"))
      await copyFile(join(compiled, file), join(library, file));
  }
  const host = /^host: (.+)$/m.exec((await ask(rustc, ["-vV"])) ?? "")?.[1] ?? "";
  await symlink(join(rustlib, host), join(sysroot, "lib/rustlib", host));

  await mkdir(join(sysroot, "bin"));
  await symlink(cargo, join(sysroot, "bin/cargo"));
  await writeFile(join(sysroot, "bin/rustc"), `#!/bin/sh\nexec ${rustc} --sysroot "\${0%/bin/rustc}" "$@"\n`, {
    mode: 0o755,
  });

  await rm(crate, { recursive: true });
}
