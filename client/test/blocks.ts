/** The code of the README. */

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";

export interface Block {
  /** The file that its first line names. */
  file: string;
  /** Whether a later block is the same file. */
  replaced: boolean;
  code: string;
}

export async function readmeBlocks(): Promise<Block[]> {
  const page = await readFile(new URL("../README.md", import.meta.url), "utf8");
  const blocks = [...page.matchAll(/^```tsx?\n(.*?)^```$/gms)].map(([, code]) => {
    const [, file] = /^\/\/ (\S+\.tsx?)\n/.exec(code!) ?? assert.fail(`The block names no file:\n${code}`);
    return { file: file!, code: code! };
  });
  return blocks.map((block, n) => ({
    ...block,
    replaced: blocks.slice(n + 1).some(({ file }) => file === block.file),
  }));
}
