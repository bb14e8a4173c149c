// Numbers of several rounds as one, and how far they are apart.

export interface Spread {
  median: number;
  min: number;
  max: number;
}

export function spread(values: number[]): Spread {
  return { median: quantile(values, 0.5), min: Math.min(...values), max: Math.max(...values) };
}

/** Where it falls between two values, in proportion. */
export function quantile(values: number[], q: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  const place = (sorted.length - 1) * q;
  const [below, above] = [sorted[Math.floor(place)] ?? Number.NaN, sorted[Math.ceil(place)] ?? Number.NaN];
  return below + (above - below) * (place - Math.floor(place));
}

/** Round by round, one over the other. */
export function ratio(values: number[] = [], over: number[] = []): Spread | undefined {
  if (values.length === 0 || over.length === 0) return undefined;
  return spread(values.map((value, round) => value / (over[round] ?? Number.NaN)));
}

/** The straight line closest to the points, and how much of their variance it explains. */
export function line(points: [x: number, y: number][]): { slope: number; r2: number } {
  const mean = (values: number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;
  const [x, y] = [mean(points.map(([x]) => x)), mean(points.map(([, y]) => y))];
  const sum = (term: (dx: number, dy: number) => number) => points.reduce((total, point) => total + term(point[0] - x, point[1] - y), 0);
  const [xx, xy, yy] = [sum((dx) => dx * dx), sum((dx, dy) => dx * dy), sum((_, dy) => dy * dy)];
  return { slope: xy / xx, r2: (xy * xy) / (xx * yy) };
}
