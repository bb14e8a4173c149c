// Packages that take long to load, and that not every command which imports their user needs. With `import` they take up to
// twice as long: Node.js searches their source, megabytes of CommonJS, for the names that it exports.

import { createRequire } from "node:module";

const load = createRequire(import.meta.url);

/** Half a second. */
export const loadMiniflare = (): typeof import("miniflare") => load("miniflare");

/** A second. */
export const loadWrangler = (): typeof import("wrangler") => load("wrangler");

/** Their names, which a bundler does not see. */
export const HEAVY = ["miniflare", "wrangler"];
