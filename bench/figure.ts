// One figure of the bench, and how far apart its parts are.

export interface Figure {
  /** The name of the measurement in docs/performance.md. */
  row: string;
  value: number;
  /** The lowest and the highest of the parts; absent for a figure that is always the same. */
  spread?: [low: number, high: number];
  unit: "times" | "ms" | "µs" | "MB" | "bytes";
}

/** The mean of the middle half. Unlike a median it uses many of the values, and unlike a mean no outlier. */
export function midmean(values: number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const cut = Math.floor(sorted.length / 4);
  const middle = sorted.slice(cut, sorted.length - cut);
  return middle.reduce((sum, value) => sum + value, 0) / middle.length;
}

/** The midmean of all rounds. The spread is that of the midmeans of the blocks. */
export function figure(row: string, unit: Figure["unit"], blocks: number[][]): Figure {
  const parts = blocks.map(midmean);
  return { row, unit, value: midmean(blocks.flat()), spread: [Math.min(...parts), Math.max(...parts)] };
}

/** Combines two series round by round. */
export function pairwise(
  some: number[][],
  others: number[][],
  combine: (one: number, other: number) => number,
): number[][] {
  return some.map((block, at) => block.map((one, round) => combine(one, others[at]?.[round] ?? Number.NaN)));
}

/** Rotates the order, so that no one is always first. */
export function rotated<T>(items: T[], by: number): T[] {
  const first = by % items.length;
  return [...items.slice(first), ...items.slice(0, first)];
}
