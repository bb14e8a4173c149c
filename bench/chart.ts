// The ratios as a picture: horizontal bars over the floor, one pair for each workload.

import type { Results } from "./results.ts";
import { ratio } from "./stats.ts";

// In the middle between black and white, so that both backgrounds of GitHub do.
const INK = "#7d8590";
const COLORS = { hono: "#d1822f", airlock: "#2f81d1" };
const [WIDTH, LEFT, RIGHT, TOP, BAR, ROW] = [860, 240, 60, 84, 13, 44];

export function chart({ cpu, versions }: Results): string {
  const rows = Object.entries(cpu).flatMap(([name, cells]) => {
    const bars = (["hono", "airlock"] as const).map((worker) => ({ worker, times: ratio(cells[worker], cells.floor)?.median ?? 0 }));
    return bars.every(({ times }) => times > 0) ? [{ name, bars }] : [];
  });
  const most = Math.ceil(Math.max(1, ...rows.flatMap(({ bars }) => bars.map(({ times }) => times))));
  const step = Math.ceil(most / 8);
  const x = (times: number) => LEFT + (times / most) * (WIDTH - LEFT - RIGHT);
  // A number is not written across the floor's line.
  const beside = (end: number) => (end < x(1) && end > x(1) - 40 ? x(1) : end) + 6;
  const bottom = TOP + rows.length * ROW;
  const text = (at: number, y: number, words: string, more = "") => `<text x="${at.toFixed(1)}" y="${y}" ${more}>${words.replace(/&/g, "&amp;").replace(/</g, "&lt;")}</text>`;

  const grid = Array.from({ length: Math.floor(most / step) + 1 }, (_, place) => place * step).map((times) => {
    return `<line x1="${x(times)}" x2="${x(times)}" y1="${TOP - 6}" y2="${bottom}" stroke="${INK}" stroke-opacity="0.3"/>${text(x(times), bottom + 18, `${times}×`, 'text-anchor="middle"')}`;
  });
  const bars = rows.flatMap(({ name, bars }, row) => [
    text(LEFT - 10, TOP + row * ROW + 20, name, 'text-anchor="end"'),
    ...bars.map(({ worker, times }, place) => {
      const y = TOP + row * ROW + 3 + place * (BAR + 2);
      return `<rect x="${LEFT}" y="${y}" width="${(x(times) - LEFT).toFixed(1)}" height="${BAR}" rx="2" fill="${COLORS[worker]}"/>${text(beside(x(times)), y + 11, times.toFixed(2))}`;
    }),
  ]);
  const legend = (["hono", "airlock"] as const).map((worker, place) => {
    const label = { hono: `Hono ${versions["hono"] ?? ""} + jose + valibot + supabase-js`, airlock: "Airlock" }[worker];
    const at = LEFT + place * 340;
    return `<rect x="${at}" y="48" width="${BAR}" height="${BAR}" rx="2" fill="${COLORS[worker]}"/>${text(at + BAR + 6, 59, label)}`;
  });
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${WIDTH}" height="${bottom + 56}" viewBox="0 0 ${WIDTH} ${bottom + 56}" role="img" font-family="-apple-system, 'Segoe UI', Helvetica, Arial, sans-serif" font-size="12" fill="${INK}">
<title>CPU time per request on workerd, over that of a worker that only passes the request on</title>
${text(16, 26, "CPU time per request on workerd", 'font-size="16" font-weight="600"')}
${legend.join("\n")}
${grid.join("\n")}
${bars.join("\n")}
<line x1="${x(1)}" x2="${x(1)}" y1="${TOP - 6}" y2="${bottom}" stroke="${INK}" stroke-width="1.5" stroke-dasharray="4 3"/>
${text(16, bottom + 42, "× the CPU of the floor (dashed), a JavaScript worker that only passes the request on. Median of the rounds; less is better.")}
</svg>
`;
}
