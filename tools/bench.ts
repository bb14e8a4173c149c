// npm run bench: the cost of Airlock, compared with a worker that only passes requests on (the floor) and one in
// JavaScript that does the same (Hono). Linux only.
//
//     npm run bench                       all rows of docs/performance.md, some minutes
//     npm run bench -- --quick            the rows with a budget; exit code 1 if one is broken
//     npm run bench -- --only create      the workloads whose name has this word
//     npm run bench -- --against FOLDER   build/ over the build in FOLDER; may be given more than once
//     npm run bench -- --record           writes the figures into docs/performance.md

import { existsSync, rmSync } from "node:fs";
import { mkdtemp, readFile } from "node:fs/promises";
import { cpus, tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { gzipSync } from "node:zlib";

import { LIMITS, QUICK } from "../bench/budget.ts";
import { coldStarts } from "../bench/cold.ts";
import { type Figure, figure, pairwise } from "../bench/figure.ts";
import { memoryAfter } from "../bench/memory.ts";
import { measure, type Plan } from "../bench/meter.ts";
import { createsOnPostgres } from "../bench/postgres.ts";
import { useOneCpu } from "../bench/process.ts";
import { record, table } from "../bench/report.ts";
import { sameAnswers, sameRefusals, sameSecondPage } from "../bench/sameness.ts";
import { startDatabase, startStatic } from "../bench/upstreams.ts";
import { type Bundle, declaration, bundles as makeBundles, start } from "../bench/workers.ts";
import { workloads as makeWorkloads, type Workload, workerVars } from "../bench/workloads.ts";
import { callers, Failure, root } from "./setup/shell.ts";
import { build, outputs } from "./setup/worker.ts";
import type { Vars } from "./stack/vars.ts";

const { values: options } = parseArgs({
  options: {
    quick: { type: "boolean", default: false },
    only: { type: "string", default: "" },
    against: { type: "string", multiple: true, default: [] },
    record: { type: "boolean", default: false },
  },
});
const { quick, only } = options;
const against = options.against.map(callers);
/** All rows, not only those of some workloads. */
const whole = !quick && !only && against.length === 0;
if (options.record && !whole)
  throw new Failure("--record keeps the figures of a whole run: leave --quick, --only and --against out.");

const unbuilt = against.find((other) => !existsSync(join(other, "index.js")));
if (unbuilt !== undefined)
  throw new Failure(`${unbuilt} has no index.js: --against takes a copy of build/ at another commit.`);

await build();
if (!useOneCpu()) progress("there is no `taskset`, so processes move between CPUs and the figures are less exact");

const folder = await mkdtemp(join(tmpdir(), "airlock-bench-"));
process.on("exit", () => rmSync(folder, { recursive: true, force: true, maxRetries: 5 }));
for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => process.exit(1));

const bundles = await makeBundles(folder, join(root, "build"), against);
const upstream = await startStatic();
const vars = workerVars(upstream.url);
const issuer = `${upstream.url}/auth/v1`;
const all = makeWorkloads(issuer);
const figures: Figure[] = [];

progress("comparing the answers");
await compareAnswers();
await measureCpu();
if (whole) {
  progress("CPU of Postgres");
  await measurePostgres();
  progress("cold starts");
  await measureCold();
  await measureSize();
  progress("memory");
  await measureMemory();
}
upstream.stop();

const heading = `${new Date().toISOString().slice(0, 10)}; ${await versions()}; ${cpus().length} × ${cpus()[0]?.model}, ${process.platform} ${process.arch}.`;
console.log(`${heading}\n\n${table(figures, new Map())}`);
if (options.record) await record(join(root, "docs", "performance.md"), heading, figures);
const broken = quick ? figures.filter(({ row, spread: [low] = [0] }) => low > (LIMITS[row]?.budget ?? Infinity)) : [];
for (const { row, value } of broken)
  console.error(`bench: ${row}: ${value.toFixed(2)}, over the budget of ${LIMITS[row]?.budget}`);
process.exit(broken.length > 0 ? 1 : 0);

async function compareAnswers(): Promise<void> {
  const compared = ["floor", "hono", "hono-objects", "airlock"].map(named);
  const onStatic = await Promise.all(compared.map((bundle) => start(bundle, vars)));
  const unchecked = await start(named("unchecked"), vars);
  await sameAnswers(all, [...onStatic, unchecked]);
  await sameRefusals(onStatic.slice(2), issuer);
  await Promise.all([...onStatic, unchecked].map((worker) => worker.stop()));
  if (!whole) return;

  // The stand-in's answers are prepared; those of a database show that both ask for the same rows.
  const database = await startDatabase(join(folder, "database"));
  // The embedded Supabase writes no issuer into its tokens.
  const ofDatabase: Vars = { ...workerVars(database.url), SUPABASE_JWT_ISSUER: "-" };
  const onDatabase = await Promise.all(compared.map((bundle) => start(bundle, ofDatabase)));
  await sameSecondPage(onDatabase.slice(1), database.token);
  await Promise.all(onDatabase.map((worker) => worker.stop()));
  await database.stop();
}

async function measureCpu(): Promise<void> {
  const chosen = all.flatMap((workload): Workload[] => {
    if (!workload.name.includes(only) || (quick && !QUICK.includes(workload.name))) return [];
    if (against.length > 0) return [{ ...workload, workers: ["airlock", ...against] }];
    const needed = (name: string) => !quick || !["unchecked", "airlock-20"].includes(name);
    return [{ ...workload, workers: workload.workers.filter(needed) }];
  });
  if (chosen.length === 0)
    throw new Failure(`No workload has "${only}" in its name: ${all.map(({ name }) => name).join("; ")}.`);
  const used = bundles.filter(({ name }) => chosen.some(({ workers }) => workers.includes(name)));
  const plan: Plan = { blocks: quick ? 3 : 5, rounds: 10, progress };
  const times = await measure(chosen, used, vars, plan);
  for (const [workload, series] of times) {
    const over = (one: string, other: string, words: string) => {
      const [some, others] = [series.get(one), series.get(other)];
      if (some && others)
        figures.push(
          figure(
            `${workload}: ${words}`,
            "times",
            pairwise(some, others, (a, b) => a / b),
          ),
        );
    };
    over("airlock", "floor", "over the floor");
    over("unchecked", "floor", "the same I/O without checks, over the floor");
    over("airlock", "hono", series.has("hono-objects") ? "over Hono without replay protection" : "over Hono");
    over("airlock", "hono-objects", "over Hono with a Durable Object");
    over("airlock-20", "airlock", "20 resources over one");
    over("airlock-attested", "airlock", "attestation over none");
    over("airlock-attested", "floor", "with attestation, over the floor");
    for (const other of against) over("airlock", other, `over ${other}`);
    const floor = series.get("floor");
    if (floor) figures.push(figure(`${workload}: the floor`, "µs", floor));
  }
}

async function measurePostgres(): Promise<void> {
  const { insert, create, createWithKey } = await createsOnPostgres(4, 20);
  figures.push(
    figure("Postgres, create: INSERT by the peers", "µs", insert),
    figure(
      "Postgres, create: over INSERT",
      "times",
      pairwise(create, insert, (a, b) => a / b),
    ),
    figure(
      "Postgres, create, Idempotency-Key: over INSERT",
      "times",
      pairwise(createWithKey, insert, (a, b) => a / b),
    ),
  );
}

async function measureCold(): Promise<void> {
  const list = all[0]!;
  const starts = await coldStarts(list.workers.map(named), vars, list.make, 4, 15);
  const of = (name: string) => starts.get(name)!;
  const later = (a: number, b: number) => a - b;
  figures.push(
    figure("cold: first response", "ms", of("airlock").elapsed),
    figure("cold: after the floor", "ms", pairwise(of("airlock").elapsed, of("floor").elapsed, later)),
    figure("cold: after Hono", "ms", pairwise(of("airlock").elapsed, of("hono").elapsed, later)),
    figure("cold: 20 resources after one", "ms", pairwise(of("airlock-20").elapsed, of("airlock").elapsed, later)),
    figure(
      "cold, CPU: over Hono",
      "times",
      pairwise(of("airlock").cpu, of("hono").cpu, (a, b) => a / b),
    ),
    figure("cold, CPU: 20 resources after one", "ms", pairwise(of("airlock-20").cpu, of("airlock").cpu, later)),
  );
}

async function measureSize(): Promise<void> {
  const gzipped = (content: Buffer | string) => gzipSync(content).length;
  let size = 0;
  for (const file of outputs) size += gzipped(await readFile(join(root, file)));
  const more = gzipped(await declaration(20)) - gzipped(await declaration(1));
  figures.push(
    { row: "size, gzipped", unit: "bytes", value: size },
    { row: "size of 20 resources, gzipped", unit: "bytes", value: more },
  );
}

async function measureMemory(): Promise<void> {
  const held = new Map<string, number>();
  for (const name of ["floor", "hono", "airlock"]) {
    const bytes = await memoryAfter(100_000, named(name), vars, all[0]!);
    held.set(name, bytes);
    figures.push({ row: `memory: ${name} after 100,000 requests`, unit: "MB", value: bytes / 1e6 });
  }
  const value = held.get("airlock")! / held.get("floor")!;
  figures.push({ row: "memory: over the floor, after 100,000 requests", unit: "times", value });
}

function named(name: string): Bundle {
  return bundles.find((bundle) => bundle.name === name)!;
}

async function versions(): Promise<string> {
  const version = async (name: string) =>
    `${name} ${JSON.parse(await readFile(join(root, "node_modules", name, "package.json"), "utf8")).version}`;
  return (await Promise.all(["workerd", "hono", "jose", "valibot", "@supabase/supabase-js"].map(version))).join(", ");
}

function progress(text: string): void {
  console.error(`bench: ${(performance.now() / 1000).toFixed(0).padStart(4)} s  ${text}`);
}
