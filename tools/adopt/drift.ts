// Compares an adopted section with the database.

import { identifier } from "../evidence/finding.ts";
import { named as nameOf } from "./access.ts";
import type { Catalogue, Table } from "./catalogue.ts";
import { type Decision, everyRoute, type Field, type Section } from "./decide.ts";
import {
  declaredFields,
  type Edit,
  fieldValue,
  isAdopted,
  list,
  type Raw,
  settings,
  tableOf,
  uniqueValue,
} from "./toml.ts";

export interface Change {
  resource: string;
  /** Whether airlock.toml contradicts the database. Else the database has more than is declared. */
  drift: boolean;
  /** The table is not served until this is fixed. */
  stop?: true;
  what: string;
  /** Lines that follow the database; none if a person has to decide. */
  edits: Edit[];
}

/** The changes of a section of airlock.toml. */
export function changesOf(name: string, raw: Raw, decision: Decision | undefined, table: Table | undefined): Change[] {
  const called = tableOf(name, raw);
  const drift = (what: string, ...edits: Edit[]): Change => ({ resource: name, drift: true, what, edits });
  if (!decision || !table) return [drift(`there is no table ${called}`)];
  if (decision.stops.length > 0) return decision.stops.map(({ what, mend }) => drift(`${what}. SQL: ${mend}`));
  const { section } = decision;
  if (!section) return [drift(`${called} cannot be served: ${decision.out}`)];
  return [
    ...ofSettings(name, raw, section),
    ...ofFields(name, raw, decision, section, table),
    ...ofIndexes(name, raw, section, table),
  ];
}

function ofSettings(name: string, raw: Raw, section: Section): Change[] {
  const changes: Change[] = [];
  const wanted = new Map(settings(section));
  const edit = (key: string): Edit => ({ section: `resources.${name}`, key, value: wanted.get(key) ?? null });
  const drift = (key: string, what: string) =>
    changes.push({ resource: name, drift: true, what: `${key}: ${what}`, edits: [edit(key)] });

  const id = typeof raw.id === "object" ? (raw.id as Raw) : { kind: raw.id ?? "uuid" };
  const [kind, column] = [String(id.kind), String(id.column ?? "id")];
  if (kind !== section.id.kind || column !== section.id.column)
    drift("id", `the database has ${section.id.kind} in ${section.id.column}`);
  const owner = ownerOf(raw);
  const scope = raw.scope ?? (section.read || raw.under ? "visible" : "owner");
  if (kind !== "owner") {
    if (scope === "owner" && section.owner.scope === "visible")
      drift("scope", "the policies show a caller rows of others, or rows without an owner");
    if (scope === "owner" && owner !== section.owner.column)
      drift("owner", `the policies compare ${section.owner.column ?? "no column"} with the caller`);
  }
  for (const [key, usual] of [
    ["version", "version"],
    ["created", "created_at"],
    ["updated", "updated_at"],
    ["deleted", "deleted_at"],
  ] as const) {
    const value = raw[key] ?? usual;
    const declared = typeof value === "object" ? (value as Raw).column : value;
    if (declared !== false && declared !== section[key])
      drift(key, `${String(declared)} does not serve as it in the database`);
  }
  const routes = (raw.routes as string[] | undefined) ?? everyRoute(section.id.kind, section.deleted, section.read);
  const refused = routes.filter((route) => !section.offered.includes(route));
  const kept = routes.filter((route) => !refused.includes(route));
  // Fields that a person left out stay out.
  if (kept.length > 0) wanted.set("routes", list(kept));
  if (refused.length > 0) drift("routes", `grants or policies refuse ${refused.join(", ")}`);
  const unique: Section["unique"] = Object.fromEntries(
    Object.entries((raw.unique ?? {}) as Record<string, string | string[]>).map(([constraint, fields]) => [
      constraint,
      [fields].flat(),
    ]),
  );
  const known = Object.entries(section.unique).filter(([constraint]) => !(constraint in unique));
  const gone = Object.keys(unique).filter((constraint) => !(constraint in section.unique));
  if (known.length > 0 || gone.length > 0) {
    const kept = Object.entries(unique).filter(([constraint]) => !gone.includes(constraint));
    const what =
      gone.length > 0
        ? `unique: the database has no ${gone.join(", ")}`
        : `unique: the database has ${known.map(([constraint]) => constraint).join(", ")}`;
    const all = Object.fromEntries([...kept, ...known]);
    changes.push({
      resource: name,
      drift: gone.length > 0,
      what,
      edits: [
        { section: `resources.${name}`, key: "unique", value: Object.keys(all).length > 0 ? uniqueValue(all) : null },
      ],
    });
  }
  return changes;
}

function ownerOf(raw: Raw): string | undefined {
  if (raw.owner === undefined || typeof raw.owner === "string") return "user_id";
  const { column } = raw.owner as { column?: string };
  return column;
}

function ofFields(name: string, raw: Raw, { left }: Decision, section: Section, table: Table): Change[] {
  const declared = declaredFields(raw);
  const place = `resources.${name}.fields`;
  const changes: Change[] = [];
  for (const [field, { column, text, readOnly }] of declared) {
    const now = section.fields.find((one) => one.column === column);
    const gone: Edit = { section: place, key: field, value: null };
    if (!now) {
      const why =
        left.find((one) => one.column === column)?.reason ??
        (table.columns.some((one) => one.name === column) ? "it is no field" : "there is no such column");
      changes.push({ resource: name, drift: true, what: `${field} (${text}): ${why}`, edits: [gone] });
      continue;
    }
    const what = wider(text, now) ?? (now.readOnly && !readOnly ? "it cannot be written" : undefined);
    const edit: Edit = { section: place, key: field, value: fieldValue({ ...now, name: field }) };
    if (what)
      changes.push({
        resource: name,
        drift: true,
        what: `${field}: ${what}; declared ${text}, the database has ${now.text}`,
        edits: [edit],
      });
  }
  const columns = new Set([...declared.values()].map(({ column }) => column));
  for (const field of section.fields.filter(({ column }) => !columns.has(column))) {
    const needed =
      !field.readOnly &&
      /[)\w]$/.test(field.text) &&
      !field.text.includes("=") &&
      (raw.routes as string[] | undefined)?.includes("create") !== false;
    const edit: Edit = {
      section: place,
      key: field.name,
      value: fieldValue(field),
      ...(field.comment && { comment: field.comment }),
    };
    changes.push({
      resource: name,
      drift: needed,
      what: `${field.name} (${field.text}) is not declared${needed ? ", and no new row is without it" : ""}`,
      edits: [edit],
    });
  }
  return changes;
}

interface Parts {
  kind: string;
  inner: string;
  nullable: boolean;
  preset: string | undefined;
}

function partsOf(text: string): Parts {
  const [, kind = "", inner = "", nullable = "", preset] =
    /^\s*(\w+)\s*(?:\(((?:'[^']*'|[^')])*)\))?\s*(\??)\s*(?:=\s*([\s\S]*))?$/.exec(text) ?? [];
  return { kind, inner, nullable: nullable === "?", preset };
}

/** The values that a declared field allows and the database refuses; undefined if none. */
export function wider(declared: string, now: Pick<Field, "text" | "unlimited">): string | undefined {
  const [said, has] = [partsOf(declared), partsOf(now.text)];
  if (said.nullable && !has.nullable) return "the column is NOT NULL";
  if (said.preset?.trim() === "default" && has.preset === undefined) return "the column has no default";
  const texts = ["text", "verbatim"];
  if (texts.includes(said.kind) && texts.includes(has.kind))
    return outside(range(said.inner), range(has.inner), now.unlimited);
  if (said.kind === "one_of") {
    const values = valuesOf(said.inner);
    if (has.kind === "one_of")
      return values.every((value) => valuesOf(has.inner).includes(value))
        ? undefined
        : "its values are not those of the database";
    const { min, max } = range(has.inner);
    if (has.kind === "text")
      return now.unlimited || values.every((value) => [...value].length >= min && [...value].length <= max)
        ? undefined
        : "a value is longer than the column, or shorter";
  }
  // A reference only adds a check of the Worker's requests.
  if (
    (said.kind === "ref") !== (has.kind === "ref") &&
    /^(uuid|integer)$/.test(said.kind === "ref" ? has.kind : said.kind)
  )
    return undefined;
  if (said.kind !== has.kind) return "the column has another type";
  switch (said.kind) {
    case "integer":
    case "number":
      return outside(range(said.inner), range(has.inner), false);
    case "decimal": {
      const digits = (inner: string) => inner.split(",").map(Number) as [number, number];
      const [[precision, scale], [most, places]] = [digits(said.inner), digits(has.inner)];
      return precision - scale <= most - places && scale <= places
        ? undefined
        : "its limit is wider than the database's";
    }
    case "integers": {
      const [, items = "", limits = ""] = /^([^,]*),(.*)$/.exec(said.inner) ?? [];
      const [, most = "", theirs = ""] = /^([^,]*),(.*)$/.exec(has.inner) ?? [];
      return !now.unlimited && Number(items) > Number(most)
        ? "its limit is wider than the database's"
        : outside(range(limits), range(theirs), false);
    }
    case "texts":
    case "uuids":
    case "json": {
      const [ours, theirs] = [said.inner.split(",").map(Number), has.inner.split(",").map(Number)];
      return now.unlimited || ours.every((value, at) => value <= (theirs[at] ?? Infinity))
        ? undefined
        : "its limit is wider than the database's";
    }
    default:
      return undefined;
  }
}

function range(inner: string): { min: number; max: number } {
  const [min = NaN, max = NaN] = inner.split("..").map(Number);
  return { min, max };
}

const outside = (ours: { min: number; max: number }, theirs: { min: number; max: number }, unlimited: boolean) =>
  ours.min < theirs.min || (!unlimited && ours.max > theirs.max) ? "its limit is wider than the database's" : undefined;

const valuesOf = (inner: string) =>
  (inner.match(/'(?:[^']|'')*'|[^,\s']+/g) ?? []).map((value) =>
    value.startsWith("'") ? value.slice(1, -1).replaceAll("''", "'") : value,
  );

/** Declared filters and sorts that no index serves. */
function ofIndexes(name: string, raw: Raw, section: Section, table: Table): Change[] {
  const declared = declaredFields(raw);
  const columnOf = (field: string) =>
    (field === "created" ? section.created : field === "updated" ? section.updated : null) ??
    declared.get(field)?.column ??
    null;
  const filters = Object.keys((raw.filters ?? {}) as Raw);
  const named = (raw.sorts ?? []) as string[];
  const sorts = named.map((sort) => sort.replace(/ nulls last$/, ""));
  const unsaid = named.filter((sort) =>
    table.columns.some((column) => column.name === columnOf(sort) && !column.notNull),
  );
  const said = unsaid.map(
    (sort): Change => ({
      resource: name,
      drift: true,
      what: `sorts: ${sort} may be null in the database; write "${sort} nulls last"`,
      edits: [
        {
          section: `resources.${name}`,
          key: "sorts",
          value: list(named.map((one) => (unsaid.includes(one) ? `${one} nulls last` : one))),
        },
      ],
    }),
  );
  const served = (column: string) =>
    table.indexes.some(
      ({ valid, columns }) =>
        valid && (columns[0] === column || (columns[0] === section.owner.column && columns[1] === column)),
    );
  const unserved = [...new Set([...filters, ...sorts])].flatMap((field): Change[] => {
    const column = columnOf(field);
    // The order of pages has its index by the migration of the table.
    if (column === null || column === section.created || served(column)) return [];
    return [
      {
        resource: name,
        drift: true,
        stop: true as const,
        what: `${field} is a filter or a sort, and no index begins with ${column}. SQL: create index on ${nameOf(table)} (${[...(section.owner.scope === "owner" && section.owner.column !== undefined ? [section.owner.column] : []), column].map(identifier).join(", ")});`,
        edits: [],
      },
    ];
  });
  return [...said, ...unserved];
}

/** All changes of the adopted sections of airlock.toml. */
export function allChanges(
  sections: [name: string, section: Raw][],
  catalogue: Catalogue,
  decisions: Decision[],
): Change[] {
  return sections
    .filter(([, raw]) => isAdopted(raw))
    .flatMap(([name, raw]) => {
      const called = tableOf(name, raw);
      return changesOf(
        name,
        raw,
        decisions.find(({ table }) => table === called),
        catalogue.tables.find((table) => `${table.schema}.${table.name}` === called),
      );
    });
}
