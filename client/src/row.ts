/** The fields of all rows. */

/** One page of a list, newest first. */
export interface Page<T> {
  data: T[];
  /** Hand it to the next `list`; `null` on the last page. */
  next_cursor: string | null;
  /** The rows of all pages, if `count: "exact"` was asked for; 10000 stands for that many or more. */
  count?: number;
}

const SET_BY_AIRLOCK = new Set(["id", "version", "created_at", "updated_at", "deleted_at", "published_at", "included"]);

/**
 * The fields of a row or a draft, so that a whole row can be passed. `own` are fields that have a name which Airlock sets
 * in other tables.
 */
export function fieldsOf(row: object, own: readonly string[]): Record<string, unknown> {
  return Object.fromEntries(Object.entries(row).filter(([name]) => !SET_BY_AIRLOCK.has(name) || own.includes(name)));
}
