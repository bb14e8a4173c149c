// tests/README.md: every file of tests with the first comment in it. `npm run generate` writes it, so it is never kept by hand.

import { readFileSync } from "node:fs";
import { glob } from "node:fs/promises";
import { join } from "node:path";

import { Failure, root } from "./shell.ts";

const FOLDERS = [
  { pattern: "tests/*.rs", title: "Native tests of the whole path (`tests/*.rs`)" },
  { pattern: "tests/e2e/*.test.ts", title: "The built Worker on workerd (`tests/e2e`)" },
  { pattern: "tests/database/*.test.ts", title: "SQL and the REST API (`tests/database`)" },
  { pattern: "supabase/tests/*.sql", title: "Policies in SQL (`supabase/tests`)" },
  { pattern: "tests/evidence/*.test.ts", title: "The audit (`tests/evidence`)" },
  { pattern: "tests/adopt/*.test.ts", title: "Existing tables (`tests/adopt`)" },
  { pattern: "client/test/*.test.ts", title: "The client (`client/test`)" },
  { pattern: "tests/example/*.test.ts", title: "The example app (`tests/example`)" },
  { pattern: "tests/tools/*.test.ts", title: "The commands (`tests/tools`)" },
  { pattern: "tests/repository/*.test.ts", title: "The repository (`tests/repository`)" },
  { pattern: "tests/long/*.test.ts", title: "Long tests (`tests/long`, by `npm test -- long`)" },
];

const HEAD = `<!-- Written by \`npm run generate\` from the first comment of each file. -->

# The tests

[CONTRIBUTING.md](../CONTRIBUTING.md#run-one-test) says how to run one of them. The unit tests of a module are beside it in
\`src/\`, and \`npm run fuzz-api\` makes requests from openapi.json (\`tests/api\`).
`;

/** The text of tests/README.md. */
export async function testIndex(): Promise<string> {
  const sections = await Promise.all(
    FOLDERS.map(async ({ pattern, title }) => `\n## ${title}\n\n${(await rows(pattern)).join("\n")}\n`),
  );
  return HEAD + sections.join("");
}

async function rows(pattern: string): Promise<string[]> {
  const files: string[] = [];
  for await (const file of glob(pattern, { cwd: root })) files.push(file);
  return files
    .sort()
    .map((file) => `- [${file.slice(file.lastIndexOf("/") + 1)}](${fromTests(file)}): ${firstComment(file)}`);
}

function fromTests(file: string): string {
  return file.startsWith("tests/") ? file.slice("tests/".length) : `../${file}`;
}

/** The first paragraph of the comment at the start of a file, as one line. */
function firstComment(file: string): string {
  const lines: string[] = [];
  for (const line of readFileSync(join(root, file), "utf8").split("\n")) {
    const comment = /^(?:\/\/!?|--)(?: (.*))?$/.exec(line);
    if (comment === null || comment[1] === undefined) break;
    lines.push(comment[1]);
  }
  if (lines.length === 0) throw new Failure(`${file} has to begin with a comment about its tests.`);
  return lines.join(" ");
}
