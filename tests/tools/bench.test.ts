// The bench's arithmetic and its table. CI runs the bench itself (`npm run bench -- --quick`).

import assert from "node:assert/strict";
import { mkdtemp, readFile, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";

import { figure, midmean, pairwise } from "../../bench/figure.ts";
import { record } from "../../bench/report.ts";

test("a midmean ignores the lowest and the highest quarter", () => {
  assert.equal(midmean([1000, 3, 2, -1000]), 2.5);
  assert.equal(midmean([5]), 5);
});

test("a figure has the spread of its blocks", () => {
  const ratios = pairwise(
    [
      [2, 4],
      [9, 9],
    ],
    [
      [1, 2],
      [3, 3],
    ],
    (one, other) => one / other,
  );
  assert.deepEqual(figure("list", "times", ratios), { row: "list", unit: "times", value: 2.5, spread: [2, 3] });
});

test("a recorded table has the rows of LIMITS, and the figures of the run before", async () => {
  const page = join(await mkdtemp(join(tmpdir(), "airlock-bench-test-")), "page.md");
  await writeFile(
    page,
    "# Cost\n\n<!-- written by `npm run bench -- --record` -->\n\nNone yet.\n\n<!-- end of the table -->\n\nMore.\n",
  );
  const row = "list, 20 rows: over Hono";
  const without = figure("a row that is not kept", "times", [[7, 7]]);
  await record(page, "first", [figure(row, "times", [[1.5, 1.5]]), without]);
  await record(page, "second", [figure(row, "times", [[1.25, 1.25]]), without]);
  const text = await readFile(page, "utf8");
  assert.match(text, /^# Cost\n/);
  assert.match(text, /\nsecond\n/);
  assert.match(text, /\| list, 20 rows: over Hono +\| 1\.25 +\| 1\.25 to 1\.25 +\| 1\.50 +\|/);
  assert.match(text, /<!-- end of the table -->\n\nMore\.\n$/);
  assert.doesNotMatch(text, /None yet|first|not kept/);
});
