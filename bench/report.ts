// The results as tables.

import type { Goal } from "./goals.ts";
import { RATE } from "./pressure.ts";
import type { Results } from "./results.ts";
import type { Cells } from "./rounds.ts";
import { line, ratio, spread, type Spread } from "./stats.ts";
import { NAMES } from "./workers.ts";

export function report(results: Results, goals: Goal[]): string {
  const { versions, machine, rounds, requests, seconds, sizes, cpu, pressure, cold, memory, scaling } = results;
  const parts = [
    `${Object.entries(versions).map((entry) => entry.join(" ")).join(", ")}\n${machine}; ${rounds} rounds of ${requests} requests; ${seconds} s in all`,
    table(["size", "bytes", "gzipped"], Object.values(sizes).flat().map(({ file, bytes, gzipped }) => [file, grouped(bytes), grouped(gzipped)])),
  ];
  const ratios = (cells: Cells) => [ratio(cells.airlock, cells.floor), ratio(cells.airlock, cells.hono), ratio(cells.hono, cells.floor)].map((one) => withSpread(one));
  if (Object.keys(cpu).length > 0) {
    const rows = Object.entries(cpu).map(([name, cells]) => [name, ...NAMES.map((one) => micros(cells[one])), ...ratios(cells)]);
    parts.push(table(["CPU per request, µs", ...NAMES, "airlock/floor", "airlock/hono", "hono/floor"], rows));
  }
  for (const [workload, workers] of Object.entries(pressure ?? {})) {
    const median = (values: number[], digits: number) => spread(values).median.toFixed(digits);
    const rows = NAMES.map((name) => [name, median(workers[name].perSecond, 0), median(workers[name].p50, 2), median(workers[name].p99, 2)]);
    parts.push(table([workload, "requests/s", `p50 at ${RATE}/s, ms`, "p99, ms"], rows));
  }
  if (cold) {
    const rows = NAMES.map((name) => [name, withSpread(spread(cold[name]), 1), withSpread(ratio(cold[name], cold.floor)), withSpread(ratio(cold[name], cold.hono))]);
    parts.push(table(["first response, ms from the start of the process", "", "over floor", "over hono"], rows));
  }
  if (memory) {
    const rows = Object.entries(memory).map(([name, series]) => [name, series.map(({ requests, bytes }) => `${(bytes / 1e6).toFixed(0)} after ${grouped(requests)}`).join("   ")]);
    parts.push(table(["resident memory, MB", "requests"], rows));
  }
  for (const { name, unit, steps } of scaling ?? []) {
    const rows = steps.map(({ at, cells }) => [`${at} ${unit}`, micros(cells.floor), micros(cells.airlock), withSpread(ratio(cells.airlock, cells.floor))]);
    const grows = (worker: "floor" | "airlock") => `  ${worker}: ${growth(unit, steps.map(({ at, cells }) => [at, spread(cells[worker] ?? []).median]))}`;
    parts.push(`${table([`list by ${name}: CPU per request, µs`, "floor", "airlock", "airlock/floor"], rows)}\n${grows("floor")}\n${grows("airlock")}`);
  }
  const verdicts = goals.map(({ what, measured, goal, aim, verdict }) => [what, short(measured), short(goal), aim === undefined ? "" : short(aim), verdict]);
  parts.push(table(["goals", "measured", "goal", "aim", ""], verdicts));
  return parts.join("\n\n");
}

/** How the cost grows, and whether evenly. */
function growth(unit: string, points: [at: number, micros: number][]): string {
  const values = points.map(([, value]) => value);
  const times = Math.max(...values) / Math.min(...values);
  if (times < 1.6) return `flat: the highest is ${times.toFixed(2)} times the lowest`;
  const { slope, r2 } = line(points);
  if (r2 < 0.9) return `the highest is ${times.toFixed(2)} times the lowest, on no straight line (R² ${r2.toFixed(2)})`;
  const steps = points.slice(1).map(([at, value], place) => ((value - points[place]![1]) / (at - points[place]![0])).toFixed(1));
  return `${slope.toFixed(1)} µs for each of the ${unit} (R² ${r2.toFixed(3)}; from step to step ${steps.join(", ")})`;
}

function table(head: string[], rows: string[][]): string {
  const widths = head.map((_, column) => Math.max(...[head, ...rows].map((row) => row[column]?.length ?? 0)));
  const print = (row: string[]) => row.map((cell, column) => (column === 0 ? cell.padEnd(widths[0]!) : cell.padStart(widths[column]!))).join("  ").trimEnd();
  return [print(head), print(widths.map((width) => "-".repeat(width))), ...rows.map(print)].join("\n");
}

function withSpread(numbers: Spread | undefined, digits = 2): string {
  if (!numbers) return "";
  const [median, min, max] = [numbers.median, numbers.min, numbers.max].map((value) => value.toFixed(digits));
  return `${median} (${min}-${max})`;
}

function micros(values: number[] | undefined): string {
  return values ? spread(values).median.toFixed(0) : "";
}

function short(value: number): string {
  return value >= 100 ? grouped(value) : value.toFixed(2);
}

function grouped(value: number): string {
  return value.toLocaleString("en-US");
}
