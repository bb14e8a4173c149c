// The figures as a table, for people and for docs/performance.md.

import { readFile, writeFile } from "node:fs/promises";

import { LIMITS } from "./budget.ts";
import type { Figure } from "./figure.ts";

const [BEGIN, END] = ["<!-- written by `npm run bench -- --record` -->", "<!-- end of the table -->"];
const HEAD = ["row", "figure", "spread", "run before", "goal"];

/** `before` has the figures of an earlier run, by row. */
export function table(figures: Figure[], before: Map<string, string>): string {
  const rows = figures.map((one) => [
    one.row,
    shown(one),
    one.spread ? one.spread.map((end) => number(end, one.unit)).join(" to ") : "",
    before.get(one.row) ?? "",
    verdict(one),
  ]);
  const all = [HEAD, ...rows];
  const widths = HEAD.map((_, column) => Math.max(...all.map((row) => row[column]?.length ?? 0)));
  const line = (row: string[]) => `| ${row.map((cell, column) => cell.padEnd(widths[column]!)).join(" | ")} |`;
  return [line(HEAD), line(widths.map((width) => "-".repeat(width))), ...rows.map(line)].join("\n");
}

/** Replaces the table of docs/performance.md, which has the rows of LIMITS. Its figures become the column "run before". */
export async function record(path: string, heading: string, figures: Figure[]): Promise<void> {
  const page = await readFile(path, "utf8");
  const [start, end] = [page.indexOf(BEGIN), page.indexOf(END)];
  const before = new Map<string, string>();
  const kept = figures.filter(({ row }) => row in LIMITS);
  for (const line of page.slice(start, end).split("\n")) {
    const [, row, figure] = line.split("|").map((cell) => cell.trim());
    if (row && figure) before.set(row, figure);
  }
  await writeFile(
    path,
    `${page.slice(0, start)}${BEGIN}\n\n${heading}\n\n${table(kept, before)}\n\n${page.slice(end)}`,
  );
}

function verdict({ row, value, unit }: Figure): string {
  const limit = LIMITS[row];
  if (limit?.goal === undefined) return "";
  const { goal, aim } = limit;
  const met = value > goal ? "missed" : aim !== undefined && value <= aim ? "aim reached" : "met";
  return `${number(goal, unit)}${aim === undefined ? "" : `, aim ${number(aim, unit)}`}: ${met}`;
}

function shown({ value, unit }: Figure): string {
  return `${number(value, unit)}${unit === "times" ? "" : ` ${unit}`}`;
}

function number(value: number, unit: Figure["unit"]): string {
  const digits = { times: 2, ms: 1, µs: 0, MB: 0, bytes: 0 }[unit];
  return value.toLocaleString("en-US", { minimumFractionDigits: digits, maximumFractionDigits: digits });
}
