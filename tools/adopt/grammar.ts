// Leaves out all that airlock.toml cannot express: the Worker's own checker is asked about each section.

import { parse } from "smol-toml";

import { inspect } from "../declaration.ts";
import { Failure } from "../setup/shell.ts";
import type { Catalogue } from "./catalogue.ts";
import { type Decision, decide, type Options } from "./decide.ts";
import { type Raw, sectionText } from "./toml.ts";

/** Decides, and leaves out each field and each table that the checker refuses, with its sentence. */
export async function decideDeclarable(
  catalogue: Catalogue,
  options: Options,
  declared: [name: string, section: Raw][],
): Promise<Decision[]> {
  const refused = new Map([...options.refused].map(([table, columns]) => [table, new Map(columns)]));
  const out = new Map<string, string>();
  const chosen = (decisions: Decision[]) =>
    decisions.flatMap(({ table, section }) =>
      section && !out.has(table) && (options.chosen?.has(table) ?? true) ? [{ table, section }] : [],
    );
  for (;;) {
    const all = decide(catalogue, {
      ...options,
      refused,
      chosen: new Set(
        catalogue.tables
          .map(({ schema, name }) => `${schema}.${name}`)
          .filter((table) => !out.has(table) && (options.chosen?.has(table) ?? true)),
      ),
    });
    const sections = chosen(all);
    // With the sections that are there, to which fields may refer.
    const names = new Set(sections.map(({ section }) => section.resource));
    const others = Object.fromEntries(declared.filter(([name]) => !names.has(name)));
    const { resources = {} } = parse(sections.map(({ section }) => sectionText(section)).join("\n")) as {
      resources?: Record<string, Raw>;
    };
    const checked = await inspect(JSON.stringify({ resources: { ...others, ...resources } }));
    if (!("error" in checked))
      return all.map(({ section, ...rest }) =>
        section && !out.has(rest.table)
          ? { section, ...rest }
          : { ...rest, ...(section && { out: out.get(rest.table) ?? "" }) },
      );
    const [, resource, name, sentence = ""] = /^resources\.(\w+)(?:\.fields\.(\w+): (.*))?/s.exec(checked.error) ?? [];
    const found = sections.find(({ section }) => section.resource === resource);
    if (!found) throw new Failure(`airlock.toml: ${checked.error}`);
    const field = found.section.fields.find((one) => one.name === name);
    if (field)
      refused.set(
        found.table,
        (refused.get(found.table) ?? new Map<string, string>()).set(
          field.column,
          `airlock.toml cannot say ${field.text}: ${sentence}`,
        ),
      );
    else out.set(found.table, `airlock.toml cannot say it: ${checked.error}`);
  }
}
