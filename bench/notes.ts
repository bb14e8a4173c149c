// Notes as people write them: paragraphs, quotes, a few letters beyond ASCII.

const PARAGRAPH = `Ask Zoë whether "the second draft" can wait until Thursday; the printer needs two days.\n\n`;

/** A text of so many bytes in UTF-8. */
export function text(bytes: number): string {
  const long = PARAGRAPH.repeat(Math.ceil(bytes / PARAGRAPH.length));
  // Cut by bytes, which may halve a letter; the pad makes up for it.
  const cut = Buffer.from(long).subarray(0, bytes).toString().replace(/\uFFFD+$/, "");
  return cut + ".".repeat(bytes - Buffer.byteLength(cut));
}

/** A row of `notes` as hosted PostgREST writes it: fractions of a second without trailing zeros. */
export function note(place: number, bodyBytes: number) {
  const millis = String(999 - place).padStart(3, "0").replace(/0+$/, "") || "1";
  return {
    id: noteId(place),
    title: `Things to settle before the move, part ${place + 1}`,
    body: text(bodyBytes),
    version: 3,
    created_at: `2026-11-22T12:15:40.${millis}+00:00`,
    updated_at: "2026-11-22T12:16:02.481516+00:00",
    deleted_at: null,
  };
}

export function noteId(place: number): string {
  return `7efe3d84-2d6a-4174-899e-8ffddea7a${String(place).padStart(3, "0")}`;
}
