// Leaves out what the grammar of airlock.toml does not have: the Worker's own checker is asked about each section.

import { inspect, toJson } from "../declaration.ts";
import type { Catalogue } from "./catalogue.ts";
import { decide, type Decision, type Options } from "./decide.ts";
import { sectionText } from "./toml.ts";

/** Decides, and leaves out each field and each table that the checker refuses, with its sentence. */
export async function decideDeclarable(catalogue: Catalogue, options: Options): Promise<Decision[]> {
  const refused = new Map([...options.refused].map(([table, columns]) => [table, new Map(columns)]));
  const out = new Map<string, string>();
  for (;;) {
    const decisions = decide(catalogue, { ...options, refused });
    let again = false;
    for (const { table, section } of decisions) {
      if (!section || out.has(table)) continue;
      const checked = await inspect(toJson(sectionText(section)));
      if (!("error" in checked)) continue;
      const [, name, sentence = ""] = /^resources\.\w+\.fields\.(\w+): (.*)$/s.exec(checked.error) ?? [];
      const field = section.fields.find((one) => one.name === name);
      if (!field) out.set(table, `airlock.toml cannot say it: ${checked.error}`);
      else {
        refused.set(table, (refused.get(table) ?? new Map<string, string>()).set(field.column, `airlock.toml cannot say ${field.text}: ${sentence}`));
        again = true;
      }
    }
    if (!again) return decisions.map(({ section, ...rest }) => (section && !out.has(rest.table) ? { section, ...rest } : { ...rest, ...(section && { out: out.get(rest.table) ?? "" }) }));
  }
}
