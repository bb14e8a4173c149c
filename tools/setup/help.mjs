// @ts-check
// The help of a task is the comment at the top of its file.

import { readFileSync } from "node:fs";

/**
 * @param {string} file
 * @returns {string}
 */
export function helpOf(file) {
  const [comment = ""] = /^(\/\/.*\n)+/.exec(readFileSync(file, "utf8")) ?? [];
  return comment.replace(/^\/\/ ?/gm, "").trimEnd();
}
