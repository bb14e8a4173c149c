/** The code of the README. */

import { readFile } from "node:fs/promises";

export interface Block {
  /** The file that its first line names. */
  file?: string;
  code: string;
}

export async function readmeBlocks(): Promise<Block[]> {
  const page = await readFile(new URL("../README.md", import.meta.url), "utf8");
  return [...page.matchAll(/^```tsx?\n(?:\/\/ (\S+\.tsx?)\n)?(.*?)^```$/gms)].map(([, file, code]) => ({
    ...(file && { file }),
    code: code!,
  }));
}
