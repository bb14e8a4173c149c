// Links between the documents, and names of documents in messages and comments: each file and each heading exists.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { test } from "node:test";

const files = (...patterns: string[]) =>
  execFileSync("git", ["ls-files", "--cached", "--others", "--exclude-standard", ...patterns], { encoding: "utf8" })
    .trim()
    .split("\n")
    .filter((file) => existsSync(file));

const documents = files("*.md");

/** The README of the package airlock-edge links to the documents beside it in the package: those of this folder. */
const folderOf = (file: string) => (file === "packages/airlock-edge/README.md" ? "." : dirname(file));

/** The anchors that a page has on GitHub and npm. */
function anchors(file: string): string[] {
  const text = readFileSync(file, "utf8").replaceAll(/^```.*?^```/gms, "");
  return [...text.matchAll(/^#+ (.*)$/gm)].map(([, title = ""]) =>
    title
      .toLowerCase()
      .replaceAll(/[^\w\- ]/g, "")
      .replaceAll(" ", "-"),
  );
}

test("each link between documents has its file and its heading", () => {
  const links = documents.flatMap((file) =>
    [...readFileSync(file, "utf8").matchAll(/\]\(([^)\s]+)\)/g)].map(([, target = ""]) => ({ file, target })),
  );
  const local = links.filter(({ target }) => !/^[a-z]+:|^node_modules\//.test(target));
  assert.ok(local.length > 100);
  const broken = local.filter(({ file, target }) => {
    const [path = "", heading] = target.split("#");
    const page = path === "" ? file : join(folderOf(file), path);
    return !existsSync(page) || (heading !== undefined && page.endsWith(".md") && !anchors(page).includes(heading));
  });
  assert.deepEqual(broken, []);
});

test("each document that a source names exists", () => {
  const named = files("*.ts", "*.mjs", "*.js", "*.rs", "*.sql", "*.toml", "*.py").flatMap((file) =>
    [...readFileSync(file, "utf8").matchAll(/(?<![\w/.-])docs\/[\w/-]+\.md/g)].map(([page]) => ({ file, page })),
  );
  assert.ok(named.length > 10);
  assert.deepEqual(
    named.filter(({ page }) => !existsSync(page)),
    [],
  );
});
