// Measurements in front of an upstream that costs next to nothing.

import { QUICK } from "./budget.ts";
import { coldStarts } from "./cold.ts";
import { LARGE_PAGES, largePages, memory, NEW_TOKENS } from "./memory.ts";
import { pressure } from "./pressure.ts";
import type { Plan, Results } from "./results.ts";
import { cpuRounds } from "./rounds.ts";
import { sameAnswers, sameRefusals } from "./sameness.ts";
import { scales } from "./scaling.ts";
import { startStatic } from "./upstreams.ts";
import { measurable } from "./usage.ts";
import { start, type Bundle, type Running } from "./workers.ts";
import { largePage, staticWorkloads, workerVars, type Workload } from "./workloads.ts";

export async function onStatic(bundles: Bundle[], results: Results, plan: Plan): Promise<void> {
  const { only, quick, progress } = plan;
  const wanted = (part: string) => !quick && part.includes(only);
  const upstream = await startStatic();
  const vars = workerVars(upstream.url);
  const issuer = `${upstream.url}/auth/v1`;
  const workers = await Promise.all(bundles.map((bundle) => start(bundle, vars)));
  const [floor, hono, airlock] = workers as [Running, Running, Running];
  const honoWithObjects = await start(bundles[1]!, vars, { realReplay: true });
  const fleet = ({ realReplay }: Workload) => (realReplay ? [floor, honoWithObjects, airlock] : workers);
  const workloads = staticWorkloads(issuer);
  const called = (wanted: string) => workloads.find(({ name }) => name === wanted)!;

  progress("comparing the answers");
  await sameAnswers(workloads, fleet);
  await sameRefusals([hono, airlock], issuer);
  await sameRefusals([honoWithObjects, airlock], issuer);

  const chosen = workloads.filter(({ name }) => name.includes(only) && (!quick || QUICK.includes(name)));
  if (measurable) Object.assign(results.cpu, await cpuRounds(chosen, fleet, plan));
  if (wanted("pressure")) {
    results.pressure = {};
    for (const name of ["list, HS256", "create, HS256"]) {
      progress(`under pressure: ${name}`);
      results.pressure[name] = await pressure(called(name), workers, 3, 1500);
    }
  }
  if (wanted("scaling") && measurable) {
    results.scaling = [];
    for (const { name, unit, requests, steps } of scales(issuer, upstream.lengthOfNotes)) {
      const cells = await cpuRounds(steps.map(({ workload }) => workload), () => [floor, airlock], { rounds: 3, requests, progress });
      results.scaling.push({ name, unit, steps: steps.map(({ at, workload }) => ({ at, cells: cells[workload.name]! })) });
    }
    await upstream.lengthOfNotes();
  }
  await Promise.all([...workers, honoWithObjects].map((worker) => worker.stop()));

  if (wanted("cold")) {
    progress("cold starts");
    results.cold = await coldStarts(bundles, vars, called("list, HS256").make, 15);
  }
  if (wanted("memory") && measurable) {
    progress("memory over 100,000 requests");
    // All at once: it takes minutes, and no time is measured.
    const one = async (bundle: Bundle, workload: string, marks: number[], options = {}) => {
      const worker = await start(bundle, vars);
      const series = await memory(worker, called(workload), marks, options);
      await worker.stop();
      return series;
    };
    const replayed = bundles.map((bundle) => one(bundle, "list, HS256", [1000, 10_000, 20_000, 50_000, 100_000]));
    const unseen = one(bundles[2]!, "list, ES256 never seen", [1000, 10_000, 20_000], { fresh: true });
    const [ofFloor, ofHono, ofAirlock] = (await Promise.all(replayed)) as [never, never, never];
    results.memory = { floor: ofFloor, hono: ofHono, airlock: ofAirlock, [NEW_TOKENS]: await unseen };
    progress("memory over large pages");
    await upstream.lengthOfNotes(LARGE_PAGES.bodyBytes);
    for (const bundle of bundles) {
      const worker = await start(bundle, vars);
      results.memory[`${bundle.name}, ${LARGE_PAGES.name}`] = await largePages(worker, largePage(issuer));
      await worker.stop();
    }
    await upstream.lengthOfNotes();
  }
  upstream.stop();
}
