// The report of an audit, as text.

import { oneLine } from "../setup/output.ts";
import type { Compared } from "./baseline.ts";
import type { Finding } from "./finding.ts";
import { breaks, leaks, ranked } from "./rank.ts";
import { type Tried, VERBS } from "./tries.ts";

export interface Report {
  /** Which database was audited. */
  database: string;
  findings: Finding[];
  notes: Finding[];
  /** The comparison with a baseline, if there is one. */
  baseline?: Omit<Compared, "findings">;
  checked: Record<string, number>;
  tried: Tried[];
  /** The parts that were not checked, with reasons. */
  left: string[];
  /** The parts that could not be read, so that the report is not complete. */
  unread: string[];
}

/** Lines with aligned columns. */
function table(rows: string[][]): string {
  const widths = rows[0]?.map((_, at) => Math.max(...rows.map((row) => (row[at] ?? "").length))) ?? [];
  return rows
    .map((row) =>
      row
        .map((cell, at) => (at === row.length - 1 ? cell : cell.padEnd(widths[at] ?? 0)))
        .join("  ")
        .trimEnd(),
    )
    .join("\n");
}

const short = (text: string) => (text.length > 100 ? `${text.slice(0, 97)}...` : text);

const rankOf = (one: Finding) => (one.level === "note" ? "note" : leaks(one) ? "leak" : "hygiene");

export function readable({ database, findings, notes, baseline, checked, tried, left, unread }: Report): string {
  const blocks = [
    `Evidence of ${database}: ${Object.entries(checked)
      .map(([what, count]) => `${count} ${what}`)
      .join(", ")}.`,
  ];
  const all = ranked([...findings, ...notes]);
  if (all.length > 0) {
    blocks.push(
      table([
        ["RANK", "OBJECT", "RULE", "WHAT"],
        ...all.map((one) => [rankOf(one), oneLine(one.object), one.rule, short(oneLine(one.what))]),
      ]),
    );
    blocks.push(
      ...all.map(
        (one) =>
          `${one.rule}: ${oneLine(one.object)}\n  ${oneLine(one.what)}\n  Why: ${one.why}\n  SQL${breaks(one) ? " (can refuse what a running app does)" : ""}: ${oneLine(one.mend)}`,
      ),
    );
  }
  if (tried.length > 0)
    blocks.push(
      `By trying, over REST (${tried.reduce((sum, { requests }) => sum + requests, 0)} requests):\n${matrix(tried)}`,
    );
  if (left.length > 0) blocks.push(left.map((line) => `Not checked: ${oneLine(line)}`).join("\n"));
  if (unread.length > 0) blocks.push(unread.map((line) => `Could not be read: ${oneLine(line)}`).join("\n"));
  if (baseline) {
    const count = (number: number) => `${number} ${number === 1 ? "finding" : "findings"}`;
    blocks.push(
      [
        `The baseline has ${count(baseline.known.length)} of these that are left out above.`,
        ...baseline.gone.map(({ rule, object, what }) => `Gone: ${rule}: ${oneLine(object)}: ${oneLine(what)}`),
        ...(baseline.gone.length > 0 ? ["--write-baseline takes them out."] : []),
      ].join("\n"),
    );
  }
  blocks.push(
    `${findings.length} ${findings.length === 1 ? "finding" : "findings"}, ${notes.length} ${notes.length === 1 ? "note" : "notes"}.`,
  );
  return blocks.join("\n\n");
}

function matrix(tried: Tried[]): string {
  const lines = new Map<string, Tried[]>();
  for (const one of tried) lines.set(`${one.object} ${one.as}`, [...(lines.get(`${one.object} ${one.as}`) ?? []), one]);
  const rows = [...lines.values()].map((line) => [
    oneLine(line[0]?.object ?? ""),
    oneLine(line[0]?.as ?? ""),
    ...VERBS.map((verb) => line.find((one) => one.verb === verb)?.outcome ?? ""),
  ]);
  return table([["OBJECT", "AS", ...VERBS.map((verb) => verb.toUpperCase())], ...rows]);
}
