// Notes as people write them: paragraphs, quotes, a few letters beyond ASCII.

const PARAGRAPH = `Ask Zoë whether "the second draft" can wait until Thursday; the printer needs two days.\n\n`;

/** Bytes of a note's body. */
export const BODY_BYTES = 500;
/** Rows of the page with long notes, and bytes of their bodies. */
export const LONG_PAGE = 100;
export const LONG_BODY_BYTES = 5000;

/** A text of this many bytes in UTF-8. */
export function text(bytes: number): string {
  const long = PARAGRAPH.repeat(Math.ceil(bytes / PARAGRAPH.length));
  // Cut by bytes, which may halve a letter; the pad makes up for it.
  const cut = Buffer.from(long)
    .subarray(0, bytes)
    .toString()
    .replace(/\uFFFD+$/, "");
  return cut + ".".repeat(bytes - Buffer.byteLength(cut));
}

/** A row of `notes` as PostgREST writes it for the table: fractions of a second without trailing zeros. */
export function note(place: number, bodyBytes: number) {
  const millis =
    String(999 - place)
      .padStart(3, "0")
      .replace(/0+$/, "") || "1";
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

/** The same row as the functions public.airlock_* write it. */
export function wireNote(place: number, bodyBytes: number) {
  const row = note(place, bodyBytes);
  const time = (text: string) =>
    text.replace(/\.(\d+)\+00:00$/, (_, fraction: string) => `.${fraction.padEnd(6, "0")}Z`);
  return { ...row, created_at: time(row.created_at), updated_at: time(row.updated_at) };
}

/** The cursor after this row, as airlock_list() writes it. */
export function cursor(place: number): string {
  const { id, created_at: at } = wireNote(place, 0);
  return Buffer.from(JSON.stringify(["notes", at, id])).toString("base64url");
}

export function noteId(place: number): string {
  return `7efe3d84-2d6a-4174-899e-8ffddea7a${String(place).padStart(3, "0")}`;
}
