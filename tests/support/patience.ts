// Waiting, on whatever machine the tests run on. One that is many times slower than it should be is no defect of what is
// tested, so nothing is said to be late that is not later than that.

/** Milliseconds for everything that is no waiting: of an answer "in time", what may come on top of its deadline. */
export const SLACK = 8000;

/** Waits until `so` holds; without end, it is for the test's own limit to end it. */
export async function until(so: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await so())) await new Promise((resolve) => setTimeout(resolve, 10));
}
