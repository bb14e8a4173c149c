// Tools that are Python packages: in a virtual environment of the project's own, exactly as a file of
// requirements pins them.

import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";

import { aptInstall } from "./debian.ts";
import { ask, Failure, root, run, step } from "./shell.ts";

/** The folder of the commands that these requirements install, each with its hash. */
export async function pythonTools(requirements: string): Promise<string> {
  const python = await requirePython();
  const made = createHash("sha256")
    .update(python)
    .update(await readFile(join(root, requirements)));
  const folder = join(root, ".airlock", "tools", `python-${made.digest("hex").slice(0, 12)}`);
  const bin = join(folder, "bin");
  const stamp = join(folder, "complete");
  if (existsSync(stamp)) return bin;

  await step(`installing the Python packages of ${requirements}`, "half a minute", async () => {
    await rm(folder, { recursive: true, force: true });
    await run("python3", ["-m", "venv", folder]);
    const pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check"];
    // A wheel runs no code while it is installed, and --no-deps leaves out packages that the file does not name.
    await run(join(bin, "python"), [
      ...pip,
      "--require-hashes",
      "--no-deps",
      "--only-binary",
      ":all:",
      "--requirement",
      requirements,
    ]);
    await writeFile(stamp, "");
  });
  return bin;
}

/** The version of Python, which has to be one that schemathesis runs on and has to have venv. */
async function requirePython(): Promise<string> {
  // On Debian, virtual environments need another package.
  const find = () => ask("python3", ["-c", "import ensurepip, sys; print('%d.%d.%d' % sys.version_info[:3])"]);
  let version = await find();
  if (version === undefined) {
    await aptInstall(
      ["python3", "python3-venv"],
      "This needs Python 3.11 or newer with its modules venv and ensurepip.",
    );
    version = await find();
  }
  const [major = 0, minor = 0] = (version ?? "").split(".").map(Number);
  if (major !== 3 || minor < 11)
    throw new Failure(`This needs Python 3.11 or newer; \`python3\` is ${version ?? "none that works"}.`);
  return version ?? "";
}
