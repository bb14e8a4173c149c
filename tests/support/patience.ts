// Waiting, on slow machines too. One that is many times slower than it should be is no defect of what is
// tested, so nothing is said to be late that is not later than that.

import assert from "node:assert/strict";

/** Milliseconds for everything that is no waiting: of an answer "in time", what may come on top of its deadline. */
export const SLACK = 8000;

/** What is not there after so many milliseconds does not come. */
const PATIENCE = 60_000;

/** Waits until `so` holds, and fails with the sentence that it is if it does not. */
export async function until(sentence: string, so: () => boolean): Promise<void> {
  const began = Date.now();
  while (!so()) {
    assert.ok(Date.now() - began < PATIENCE, `not within ${PATIENCE} ms: ${sentence}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}
