// Splits an SQL text into statements, to name the line of one that fails.

export interface Statement {
  text: string;
  /** The line of the first word, counted from 1. */
  line: number;
}

/** Texts in which a semicolon does not end a statement: quotes, dollar quotes, comments, BEGIN ATOMIC bodies. */
const PART =
  /'(?:[^'\\]|''|\\[\s\S])*'|"(?:[^"]|"")*"|\$(\w*)\$[\s\S]*?\$\1\$|--[^\n]*|\/\*[\s\S]*?\*\/|\bbegin\s+atomic\b[\s\S]*?\bend\b(?=\s*;)|;/gi;

export function statements(text: string): Statement[] {
  const found: Statement[] = [];
  let begin = 0;
  const add = (end: number) => {
    const piece = text.slice(begin, end);
    // Comments in front of a statement are not its line.
    const skipped = /^(?:\s+|--[^\n]*(?:\n|$)|\/\*[\s\S]*?\*\/)*/.exec(piece)?.[0].length ?? 0;
    const own = piece.slice(skipped);
    if (own.trim() !== "") found.push({ text: own, line: text.slice(0, begin + skipped).split("\n").length });
    begin = end + 1;
  };
  for (const match of text.matchAll(PART)) if (match[0] === ";") add(match.index);
  add(text.length);
  return found;
}
