// @ts-check
// Keeps sources without their types. Node.js 22 strips the types anew in each process, which takes a fifth of a second.
// run.mjs has each Node.js that a task starts load this file.

import { createHash } from "node:crypto";
import { mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import module from "node:module";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const kept = fileURLToPath(new URL("../../node_modules/.cache/airlock/stripped/", import.meta.url));

// npm may run on an older Node.js, which has no hooks and gets no TypeScript.
module.registerHooks?.({
  load(url, context, next) {
    if (context.format !== "module-typescript") return next(url, context);
    const path = fileURLToPath(url);
    return { format: "module", shortCircuit: true, source: `${stripped(path)}\n\n//# sourceURL=${path}` };
  },
});

/** @param {string} path */
function stripped(path) {
  const source = readFileSync(path, "utf8");
  const file = join(kept, `${process.version}-${createHash("sha256").update(source).digest("hex")}`);
  try {
    return readFileSync(file, "utf8");
  } catch {
    const text = strip(source, path);
    mkdirSync(kept, { recursive: true });
    // Whole at once, for the processes that read it meanwhile.
    writeFileSync(`${file}.${process.pid}`, text);
    renameSync(`${file}.${process.pid}`, file);
    return text;
  }
}

/**
 * Without the warning that this function of Node.js is experimental.
 * @param {string} source
 * @param {string} path
 */
function strip(source, path) {
  const { emitWarning } = process;
  process.emitWarning = () => {};
  try {
    return module.stripTypeScriptTypes(source);
  } catch (error) {
    throw new Error(`${path}: ${error}`, { cause: error });
  } finally {
    process.emitWarning = emitWarning;
  }
}
