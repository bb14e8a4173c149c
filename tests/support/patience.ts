// Waiting, on slow machines too. A machine that is many times slower is no fault of the tested code, so the limits are
// generous.

import assert from "node:assert/strict";

/** Milliseconds that an answer "in time" may take in addition to its deadline. */
export const SLACK = 8000;

/** Milliseconds after which waiting fails. */
const PATIENCE = 60_000;

/** Waits until `so` holds; fails with the sentence otherwise. */
export async function until(sentence: string, so: () => boolean): Promise<void> {
  const began = Date.now();
  while (!so()) {
    assert.ok(Date.now() - began < PATIENCE, `not within ${PATIENCE} ms: ${sentence}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}
