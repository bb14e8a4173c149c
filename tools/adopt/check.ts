// npm run check -- --db-url URL: whether a database still fits the adopted tables of airlock.toml.

import { readFile } from "node:fs/promises";

import { check, declarationFile, toJson } from "../declaration.ts";
import { Failure } from "../setup/shell.ts";
import { buildModule } from "../setup/worker.ts";
import { allChanges } from "./drift.ts";
import { decideDeclarable } from "./grammar.ts";
import { changeReport } from "./report.ts";
import { readUrl } from "./source.ts";
import { isAdopted, optionsOf, resourcesOf, tableOf } from "./toml.ts";

/** Fails on drift. Additions of the database to the declaration are printed. */
export async function checkDrift(url: string): Promise<void> {
  await buildModule();
  const toml = await readFile(declarationFile, "utf8");
  await check(toJson(toml));
  const sections = resourcesOf(toml).filter(([, raw]) => isAdopted(raw));
  const catalogue = await readUrl(url);
  const changes = allChanges(
    sections,
    catalogue,
    await decideDeclarable(
      catalogue,
      { ...optionsOf(toml), chosen: new Set(sections.map(([name, raw]) => tableOf(name, raw))) },
      resourcesOf(toml),
    ),
  );
  for (const change of changes) console.log(changeReport(change));
  const drift = changes.filter((change) => change.drift);
  if (drift.length > 0)
    throw new Failure(
      `airlock.toml and the database differ in ${drift.length} ${drift.length === 1 ? "place" : "places"}. Change the database, or run npm run adopt -- --db-url URL --take.`,
    );
  console.log(
    `airlock: the database keeps what airlock.toml says about ${sections.length} adopted ${sections.length === 1 ? "table" : "tables"}.`,
  );
}
