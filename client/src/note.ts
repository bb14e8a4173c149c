/** A note and the shapes around it, named as on the wire. */

/** A note of the signed-in user or of an organisation. Times are RFC 3339 in UTC with six fraction digits. */
export interface Note {
  /** UUID, lower case. */
  id: string;
  /** 1-200 characters, trimmed. */
  title: string;
  /** 0-20,000 characters. */
  body: string;
  /** Starts at 1; every change adds 1. */
  version: number;
  created_at: string;
  updated_at: string;
  /** `null` while the note lives. */
  deleted_at: string | null;
  /** Entity tag of this version, for `ifMatch` and `ifNoneMatch`. Added by this client. */
  etag: string;
}

/** Content of a new or replaced note; an absent `body` is `""`. */
export interface NoteDraft {
  title: string;
  body?: string;
}

/** The fields to change, at least one. */
export type NoteChanges = Partial<NoteDraft>;

/** A note as everybody may read it. */
export type PublishedNote = Omit<Note, "created_at" | "deleted_at"> & { published_at: string };

/** One page of a list, newest first. */
export interface Page<T> {
  data: T[];
  /** Hand it to the next `list`; `null` on the last page. */
  next_cursor: string | null;
}

/** One page of notes. */
export type NotePage = Page<Note>;

/**
 * The tag comes from the version, as the server's own does: what is in a page, and the `current`
 * copy of a problem, have no `ETag` header of their own.
 */
export function withEtag<T extends { version: number }>(row: T): T & { etag: string } {
  return { ...row, etag: `"${row.version}"` };
}
