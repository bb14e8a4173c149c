// Where tools are kept that are no npm packages. To build them takes minutes, so a second clone finds them there.

import { homedir } from "node:os";
import { join } from "node:path";

/** In the user's cache folder; each tool has a folder in it that names its version. */
export const tools = join(process.env["XDG_CACHE_HOME"] || join(homedir(), ".cache"), "airlock", "tools");
