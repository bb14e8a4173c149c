// In front of the embedded Supabase. The database's CPU is not counted, but its answers take time, so each worker has few
// requests in flight.

import { join } from "node:path";

import type { Plan, Results } from "./results.ts";
import { cpuRounds } from "./rounds.ts";
import { sameAnswers, sameSecondPage } from "./sameness.ts";
import { startDatabase } from "./upstreams.ts";
import { measurable } from "./usage.ts";
import { start, type Bundle } from "./workers.ts";
import { databaseWorkloads, workerVars } from "./workloads.ts";

export async function onDatabase(bundles: Bundle[], results: Results, { only, progress, rounds }: Plan): Promise<void> {
  progress("starting the embedded Supabase");
  const database = await startDatabase(join(bundles[0]!.folder, "database"));
  // It writes no issuer into its tokens.
  const vars = { ...workerVars(database.url), SUPABASE_JWT_ISSUER: "-" };
  const workers = await Promise.all(bundles.map((bundle) => start(bundle, vars)));
  const [list, create] = databaseWorkloads(database.token) as [never, never];

  // A page and more for the list to show.
  await cpuRounds([create], () => workers.slice(0, 1), { rounds: 1, requests: 30, progress });
  await sameAnswers([list], () => workers);
  await sameSecondPage(workers.slice(1), database.token);
  const chosen = [list, create].filter(({ name }: { name: string }) => name.includes(only));
  if (measurable) Object.assign(results.cpu, await cpuRounds(chosen, () => workers, { rounds: Math.min(rounds, 3), requests: 200, progress }));

  await Promise.all(workers.map((worker) => worker.stop()));
  await database.stop();
}
