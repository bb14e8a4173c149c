/** The client's version, and the Worker's version that it needs. */

/** The same version as in package.json. */
export const VERSION = "0.1.0";

/** Whether a Worker of this version, such as `0.1.0+85333d3`, is older than the client's minor version. */
export function isOlder(worker: string): boolean {
  return release(worker) < release(VERSION);
}

/** Major and minor version in one number; NaN for anything else. */
function release(version: string): number {
  const [major, minor] = version.split(".");
  return Number(major) * 1000 + Number(minor);
}
