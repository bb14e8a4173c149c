// npm run bench: what Airlock costs, beside a worker that does nothing and one that does the same in JavaScript.
//
//     npm run bench                       everything, about ten minutes
//     npm run bench -- --quick            what CI insists on; exit code 1 if a budget is broken
//     npm run bench -- --only "list, ES"  the workloads and parts (pressure, scaling, cold, memory) of such a name
//     npm run bench -- --record           keeps the result in docs/
//
// Also: --rounds N, --requests N (of a workload in a round), --set static|supabase|all, --worker <folder of a build>.
// Ratios stand some noise, but the machine had better do nothing else.

import { rmSync } from "node:fs";
import { mkdir, mkdtemp, readFile, writeFile } from "node:fs/promises";
import { cpus, tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { parseArgs } from "node:util";

import { chart } from "../bench/chart.ts";
import { onDatabase } from "../bench/database.ts";
import { goals } from "../bench/goals.ts";
import { report } from "../bench/report.ts";
import type { Plan, Results } from "../bench/results.ts";
import { onStatic } from "../bench/static.ts";
import { measurable } from "../bench/usage.ts";
import { bundle } from "../bench/workers.ts";
import { Failure, root } from "./setup/shell.ts";
import { build } from "./setup/worker.ts";

const { options, plan } = parse();
if (!measurable) progress("the CPU and the memory of another process can be read on Linux only: they are left out");
if (!options.worker) await build();

const folder = await mkdtemp(join(tmpdir(), "airlock-bench-"));
process.on("exit", () => rmSync(folder, { recursive: true, force: true, maxRetries: 5 }));
for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => process.exit(1));

const bundles = await bundle(folder, resolve(options.worker ?? join(root, "build")));
const results: Results = {
  versions: await versions(),
  machine: `${process.platform} ${process.arch}, ${cpus().length} × ${cpus()[0]?.model}`,
  rounds: plan.rounds,
  requests: plan.requests,
  seconds: 0,
  sizes: Object.fromEntries(bundles.map(({ name, files }) => [name, files])),
  cpu: {},
};
if (options.set !== "supabase") await onStatic(bundles, results, plan);
if (options.set !== "static" && !plan.quick) await onDatabase(bundles, results, plan);
results.seconds = Math.round(performance.now() / 1000);

const verdicts = goals(results);
console.log(report(results, verdicts));
const json = `${JSON.stringify({ ...results, goals: verdicts }, null, 1)}\n`;
await keep(".airlock/bench.json", json);
if (options.record) {
  await keep("docs/performance.json", json);
  await keep("docs/performance.svg", chart(results));
}
const broken = verdicts.flatMap(({ what, budget }) => (plan.quick && budget && budget.best > budget.most ? [{ what, ...budget }] : []));
for (const { what, best, most } of broken) console.error(`bench: ${what}: ${best.toFixed(2)} at best, over the budget of ${most}`);
process.exit(broken.length > 0 ? 1 : 0);

function progress(text: string): void {
  console.error(`bench: ${(performance.now() / 1000).toFixed(0).padStart(4)} s  ${text}`);
}

async function versions(): Promise<Record<string, string>> {
  const version = async (name: string) => [name, JSON.parse(await readFile(join(root, "node_modules", name, "package.json"), "utf8")).version];
  const found = await Promise.all(["workerd", "hono", "jose", "valibot", "@supabase/supabase-js"].map(version));
  return { node: process.versions.node, ...Object.fromEntries(found) };
}

async function keep(path: string, text: string): Promise<void> {
  await mkdir(dirname(join(root, path)), { recursive: true });
  await writeFile(join(root, path), text);
  progress(`wrote ${path}`);
}

function parse() {
  const { values: options } = parseArgs({
    options: {
      rounds: { type: "string" },
      requests: { type: "string" },
      only: { type: "string", default: "" },
      set: { type: "string", default: "all" },
      quick: { type: "boolean", default: false },
      record: { type: "boolean", default: false },
      worker: { type: "string" },
    },
  });
  const { quick, only, set } = options;
  const count = (name: "rounds" | "requests", fallback: number) => {
    const text = options[name] ?? String(fallback);
    if (!/^[1-9]\d*$/.test(text)) throw new Failure(`--${name} takes a whole number; it is "${text}".`);
    return Number(text);
  };
  if (!["static", "supabase", "all"].includes(set)) throw new Failure(`--set is static, supabase or all, not "${set}".`);
  const plan: Plan = { rounds: count("rounds", quick ? 3 : 5), requests: count("requests", quick ? 800 : 1000), only, quick, progress };
  return { options, plan };
}
