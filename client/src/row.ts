/** What all rows have in common. */

/** One page of a list, newest first. */
export interface Page<T> {
  data: T[];
  /** Hand it to the next `list`; `null` on the last page. */
  next_cursor: string | null;
}

/**
 * The tag comes from the version, as the server's own does: what is in a page, and the `current`
 * copy of a problem, have no `ETag` header of their own.
 */
export function withEtag<T extends { version: number }>(row: T): T & { etag: string } {
  return { ...row, etag: `"${row.version}"` };
}

const SET_BY_AIRLOCK = new Set(["id", "version", "created_at", "updated_at", "deleted_at", "published_at", "etag"]);

/** The declared fields of a row or a draft, so that a whole row can be passed: the server refuses the other members. */
export function fieldsOf(row: object): Record<string, unknown> {
  return Object.fromEntries(Object.entries(row).filter(([name]) => !SET_BY_AIRLOCK.has(name)));
}
