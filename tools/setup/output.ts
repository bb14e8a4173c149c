// What the commands print of a database, whose names may hold any character.

/** Characters that a terminal obeys or does not show, but line feeds and tabs. */
const HIDDEN = /(?![\n\t])[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu;

/** The text with these characters as `\u001b`, which is valid in JSON too. */
export const visible = (text: string): string =>
  text.replace(HIDDEN, (character) =>
    [...Array(character.length).keys()]
      .map((at) => `\\u${character.charCodeAt(at).toString(16).padStart(4, "0")}`)
      .join(""),
  );

/** A text of a database in one line, so that no line of the output is a name. */
export const oneLine = (text: string): string => text.replace(/[\t\n\v\f\r]+/g, " ");

/** Lets all that this process prints show these characters. */
export function printVisibly(): void {
  for (const stream of [process.stdout, process.stderr]) {
    const write = stream.write.bind(stream) as (chunk: unknown, ...rest: unknown[]) => boolean;
    stream.write = (chunk: unknown, ...rest: unknown[]) =>
      write(typeof chunk === "string" ? visible(chunk) : chunk, ...rest);
  }
}
