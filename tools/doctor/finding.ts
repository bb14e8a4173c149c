// The result of one check.

export interface Finding {
  /** The subject of the check. */
  what: string;
  found: string;
  /** The remedy; absent if all is well. */
  mend?: string;
}

export const well = (what: string, found: string): Finding => ({ what, found });
export const fault = (what: string, found: string, mend: string): Finding => ({ what, found, mend });
