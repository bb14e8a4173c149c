// The baseline: a file of findings that are known and not mended yet. New ones fail.

import { readFile, writeFile } from "node:fs/promises";

import { type Finding, membersOf } from "./finding.ts";

type Known = Pick<Finding, "rule" | "object" | "what">;

const same = (one: Known, other: Known) =>
  one.rule === other.rule && one.object === other.object && one.what === other.what;

export interface Compared {
  /** Findings that the baseline lacks. */
  findings: Finding[];
  /** Findings that the baseline has. */
  known: Finding[];
  /** Entries of the baseline that no finding matches any more. */
  gone: Known[];
}

export async function compare(findings: Finding[], file: string): Promise<Compared> {
  const before = await read(file);
  const isKnown = (one: Finding) => before.some((entry) => same(entry, one));
  return {
    findings: findings.filter((one) => !isKnown(one)),
    known: findings.filter(isKnown),
    gone: before.filter((entry) => !findings.some((one) => same(entry, one))),
  };
}

async function read(file: string): Promise<Known[]> {
  const text = await readFile(file, "utf8").catch((error: Error) => {
    throw new Error(`${error.message}. --write-baseline makes the file.`);
  });
  const { findings } = membersOf(text);
  const sound = (entry: unknown) =>
    ["rule", "object", "what"].every((name) => typeof (entry as Record<string, unknown> | null)?.[name] === "string");
  if (!Array.isArray(findings) || !findings.every(sound))
    throw new Error(
      `${file}: "findings" has to be a list of { "rule", "object", "what" }. --write-baseline writes it again.`,
    );
  return findings as Known[];
}

/** Writes all findings, in an order that leaves the file as it is while they are the same. */
export async function writeBaseline(findings: Finding[], file: string): Promise<void> {
  const entries = findings.map(({ rule, object, what }) => ({ rule, object, what }));
  const ordered = entries.sort((one, other) => (JSON.stringify(one) < JSON.stringify(other) ? -1 : 1));
  await writeFile(file, `${JSON.stringify({ findings: ordered }, null, 2)}\n`);
}
