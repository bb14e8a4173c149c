// The output of `npm run adopt`.

import { oneLine } from "../setup/output.ts";
import type { Decision } from "./decide.ts";
import type { Change } from "./drift.ts";
import type { Edit } from "./toml.ts";

const indent = (text: string, by = "    ") => text.replace(/^(?=.)/gm, by);

/** One table: its parts that were made, left out and stopped. */
export function tableReport({ table, section, stops, out, left, warnings }: Decision): string {
  const head =
    stops.length > 0
      ? "stopped"
      : out !== undefined
        ? `left out: ${out}`
        : section
          ? `served as ${section.resource}`
          : "";
  return [
    oneLine(`${table}: ${head}`),
    ...stops.map(({ what, mend }) => indent(`stop: ${oneLine(what)}\n  SQL: ${oneLine(mend)}`, "  ")),
    ...left.map(({ column, reason }) => oneLine(`  left out: ${column}: ${reason}`)),
    ...warnings.map((warning) => oneLine(`  warning: ${warning}`)),
  ].join("\n");
}

/** A change of a section, as a diff of lines. */
export function changeReport({ resource, drift, stop, what, edits }: Change): string {
  return [
    oneLine(`${resource}: ${stop ? "stop" : drift ? "drift" : "new"}: ${what}`),
    ...edits.map((edit) => indent(editReport(edit))),
  ].join("\n");
}

const editReport = ({ section, key, value }: Edit) =>
  `[${section}]\n${value === null ? `- ${key}` : `+ ${key} = ${value}`}`;

export const indented = indent;
