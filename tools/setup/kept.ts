// Where tools are kept that cargo compiles. That takes minutes, so a second clone finds them there.

import { existsSync } from "node:fs";
import { mkdir, rename, rm } from "node:fs/promises";
import { homedir } from "node:os";
import { dirname, join } from "node:path";

/** In the user's cache folder; each tool has a folder in it that names its version. */
export const tools = join(process.env["XDG_CACHE_HOME"] || join(homedir(), ".cache"), "airlock", "tools");

/** Makes such a folder, whole or not at all: two clones may be at it at once. */
export async function keep(folder: string, make: (unfinished: string) => Promise<void>): Promise<void> {
  const unfinished = `${folder}.${process.pid}`;
  await mkdir(dirname(folder), { recursive: true });
  try {
    await make(unfinished);
    // The one that another clone has made meanwhile is as good.
    if (!existsSync(folder)) await rename(unfinished, folder);
  } finally {
    await rm(unfinished, { recursive: true, force: true, maxRetries: 5 });
  }
}
