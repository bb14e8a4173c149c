// The browser of the example's tests.

import { existsSync } from "node:fs";

import { aptInstall } from "./debian.ts";
import { Failure } from "./shell.ts";

/** Where Debian, Chrome for Linux and Chrome for macOS put it. */
const PLACES = [
  "/usr/bin/chromium",
  "/usr/bin/google-chrome",
  "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
  "/Applications/Chromium.app/Contents/MacOS/Chromium",
];

/** The path of Chromium; on Debian it is installed as root, otherwise the command is named. */
export async function chromium(): Promise<string> {
  const find = () => PLACES.find(existsSync);
  if (find() === undefined && process.platform === "linux")
    await aptInstall(["chromium"], "The tests of examples/expo-notes need Chromium.");
  const found = find();
  if (found === undefined)
    throw new Failure(
      "The tests of examples/expo-notes need Chromium or Google Chrome. Install one of them, then try again.",
    );
  return found;
}
