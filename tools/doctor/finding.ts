// What the doctor says about one thing.

export interface Finding {
  /** What was looked at. */
  what: string;
  found: string;
  /** What to do; absent if all is well. */
  mend?: string;
}

export const well = (what: string, found: string): Finding => ({ what, found });
export const fault = (what: string, found: string, mend: string): Finding => ({ what, found, mend });
