// The folder that all clones share: the tools that cargo compiles, which takes minutes, and an empty database.

import { existsSync } from "node:fs";
import { mkdir, rename, rm } from "node:fs/promises";
import { homedir } from "node:os";
import { dirname, join } from "node:path";

/** In the user's cache folder; each thing has a folder in it that names its version. */
export const tools = join(process.env.XDG_CACHE_HOME || join(homedir(), ".cache"), "airlock", "tools");

/** Makes such a folder completely or not at all: two clones may make it at the same time. */
export async function keep(folder: string, make: (unfinished: string) => Promise<void>): Promise<void> {
  const unfinished = `${folder}.${process.pid}`;
  await mkdir(dirname(folder), { recursive: true });
  try {
    await make(unfinished);
    // Another clone may have made the same folder meanwhile.
    if (!existsSync(folder)) await rename(unfinished, folder);
  } finally {
    await rm(unfinished, { recursive: true, force: true, maxRetries: 5 });
  }
}
