// docs/security.md names the tests that show what it says. They exist, and they run.

import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { test } from "node:test";

const page = readFileSync("docs/security.md", "utf8");

/** Every test that it names, as `path: name`. */
const named = [...page.matchAll(/`([^`\s]+\.(?:rs|ts|sql)): ([^`]+)`/g)].map(([, file = "", name = ""]) => ({ file, name }));

/** What a line of the file has to look like. One that is commented out, ignored, skipped or still to do does not. */
function has(file: string, name: string): boolean {
  const lines = readFileSync(file, "utf8").split("\n").map((line) => line.trim());
  if (file.endsWith(".rs")) return lines.some((line, at) => line === `fn ${name}() {` && lines[at - 1] === "#[test]");
  if (file.endsWith(".sql")) return lines.some((line) => !line.startsWith("--") && line.replace(/\);$/, "").endsWith(`'${name.replaceAll("'", "''")}'`));
  const begins = [`test("${name}", `, `test(\`${name}\`, `];
  return lines.some((line) => begins.some((begin) => line.startsWith(begin) && /^(?:async )?\(/.test(line.slice(begin.length))));
}

test("every test that docs/security.md names is there", () => {
  assert.ok(named.length > 100);
  // A name that is spelled in another way would not be looked for.
  assert.equal(page.match(/`[^`]*\.(?:rs|ts|sql):[^`]*`/g)?.length, named.length);
  assert.deepEqual(named.filter(({ file, name }) => !existsSync(file) || !has(file, name)), []);
});

test("every point of its two checklists is there, with a test", () => {
  const points = [...Array.from({ length: 12 }, (_, n) => `3.${n + 1}`), "9.1.1", "9.1.2", "9.1.3", "9.2.1", "9.2.2", "9.2.3", "9.2.4"];
  for (const point of points) assert.match(page, new RegExp(`^\\| ${point.replaceAll(".", "\\.")} [^|]+ \\| [^|]+ \\| \`[^|]+ \\|$`, "m"), point);
});
