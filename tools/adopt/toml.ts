// airlock.toml as text. Sections are added and lines changed; comments, order and all other lines stay.

import { parse } from "smol-toml";

import { escaped } from "../evidence/finding.ts";
import { Failure } from "../setup/shell.ts";
import type { Readers } from "./access.ts";
import type { Field, Options, Section } from "./decide.ts";

/** A value of airlock.toml as smol-toml reads it. */
export type Raw = Record<string, unknown>;

/** A line of a section; null removes it. */
export interface Edit {
  section: string;
  key: string;
  value: string | null;
  comment?: string;
}

const text = (value: string) => JSON.stringify(value).replaceAll("\u007f", "\\u007f");
const key = (name: string) => (/^[A-Za-z0-9_-]+$/.test(name) ? name : text(name));
export const list = (values: string[]) => `[${values.map(text).join(", ")}]`;
const inline = (members: [string, string][]) =>
  `{ ${members.map(([name, value]) => `${key(name)} = ${value}`).join(", ")} }`;

/** How airlock.toml names a table. */
export const tableName = ({ schema, table }: Pick<Section, "schema" | "table">) =>
  schema === "public" && !table.includes(".") ? table : `${schema}.${table}`;

/** The lines of a section before its fields. */
export function settings(section: Section): [key: string, value: string][] {
  const { id, owner, read } = section;
  const column = (name: string, value: string | null): [string, string][] => {
    const usual = { version: "version", created: "created_at", updated: "updated_at", deleted: "deleted_at" }[name];
    return value === usual ? [] : [[name, value === null ? "false" : text(value)]];
  };
  return [
    ["table", text(tableName(section))],
    ...(id.kind === "uuid" && id.column === "id"
      ? []
      : [
          [
            "id",
            id.column === "id"
              ? text(id.kind)
              : inline([
                  ["kind", text(id.kind)],
                  ["column", text(id.column)],
                ]),
          ] as [string, string],
        ]),
    [
      "owner",
      inline([
        ...(owner.column === undefined ? [] : [["column", text(owner.column)] as [string, string]]),
        ["set", text(owner.set)],
      ]),
    ],
    ...(read
      ? [["read", text(read)] as [string, string]]
      : owner.scope === "visible"
        ? [["scope", text("visible")] as [string, string]]
        : []),
    ...(section.timestampVersion && section.version
      ? [
          [
            "version",
            inline([
              ["column", text(section.version)],
              ["kind", text("timestamp")],
            ]),
          ] as [string, string],
        ]
      : column("version", section.version)),
    ...column("created", section.created),
    ...column("updated", section.updated),
    ...column("deleted", section.deleted),
    ...(section.routes ? [["routes", list(section.routes)] as [string, string]] : []),
    ...(Object.keys(section.unique).length > 0 ? [["unique", uniqueValue(section.unique)] as [string, string]] : []),
    ...(Object.keys(section.filters).length > 0
      ? [
          ["filters", inline(Object.entries(section.filters).map(([name, operators]) => [name, list(operators)]))] as [
            string,
            string,
          ],
        ]
      : []),
  ];
}

export const uniqueValue = (unique: Section["unique"]) =>
  inline(
    Object.entries(unique).map(([name, fields]) => [name, fields.length === 1 ? text(fields[0] ?? "") : list(fields)]),
  );

export function fieldValue({ name, column, text: kind, readOnly }: Field): string {
  if (name === column && !readOnly) return text(kind);
  return inline([
    ["kind", text(kind)],
    ...(name === column ? [] : [["column", text(column)] as [string, string]]),
    ...(readOnly ? [["read_only", "true"] as [string, string]] : []),
  ]);
}

const line = (name: string, value: string, comment?: string) =>
  `${key(name)} = ${value}${comment ? `  # ${comment}` : ""}`;

/** Lines that a person can uncomment. */
function proposals({ resource, under, embed }: Section): string[] {
  const { field } = under ?? {};
  return [
    ...(under && field
      ? [
          `# under = ${text(`${under.resource}.${field.column}`)}  # serves /v1/${under.resource}/{${field.column}}/${resource} alone; then ${line(field.name, fieldValue({ ...field, readOnly: true }))}`,
        ]
      : []),
    ...(embed
      ? [`# ${line("embed", inline(Object.entries(embed).map(([name, fields]) => [name, list(fields)])))}`]
      : []),
  ];
}

/** A section as text. */
export function sectionText(section: Section): string {
  return [
    `[resources.${section.resource}]`,
    ...settings(section).map(([name, value]) => line(name, value)),
    ...proposals(section),
    `[resources.${section.resource}.fields]`,
    ...section.fields.map((field) => line(field.name, fieldValue(field), field.comment)),
  ].join("\n");
}

/** The file with further sections at its end. */
export const withSections = (toml: string, sections: string[]) =>
  sections.length > 0 ? `${[toml.trimEnd(), ...sections].filter((part) => part !== "").join("\n\n")}\n` : toml;

/** The sections of resources, in their order. */
export function resourcesOf(toml: string): [name: string, section: Raw][] {
  const { resources } = parse(toml) as { resources?: Record<string, Raw> };
  return Object.entries(resources ?? {});
}

/** Which table a section is about. */
export function tableOf(name: string, section: Raw): string {
  const table = typeof section.table === "string" ? section.table : name;
  return table.includes(".") ? table : `public.${table}`;
}

/** A section of `npm run new-resource` names no table. */
export const isAdopted = (section: Raw) => typeof section.table === "string";

interface Declared {
  column: string;
  text: string;
  readOnly: boolean;
}

/** The declared fields, by name. */
export function declaredFields(raw: Raw): Map<string, Declared> {
  return new Map(
    Object.entries((raw.fields ?? {}) as Raw).map(([name, value]) => {
      const {
        kind = "",
        column = name,
        read_only = false,
      } = (typeof value === "string" ? { kind: value } : value) as {
        kind?: string;
        column?: string;
        read_only?: boolean;
      };
      return [name, { column, text: kind, readOnly: read_only }];
    }),
  );
}

/** The names that airlock.toml has already. */
export function optionsOf(
  toml: string,
  added: Options["with"] = [],
  read: Iterable<[table: string, readers: Readers]> = [],
): Options {
  const sections = resourcesOf(toml).map(([name, raw]): [string, string, Raw] => [tableOf(name, raw), name, raw]);
  return {
    with: added,
    read: new Map([
      ...read,
      ...sections.flatMap(([table, , { read: said }]) =>
        said === "user" || said === "app" ? [[table, said] as [string, Readers]] : [],
      ),
    ]),
    resources: new Map(sections.map(([table, name]) => [table, name])),
    named: new Map(
      sections.map(([table, , raw]) => [
        table,
        new Map([...declaredFields(raw)].map(([field, { column }]) => [column, field])),
      ]),
    ),
    refused: new Map(),
  };
}

/** The file with these lines changed. */
export function edited(toml: string, edits: Edit[]): string {
  return edits.reduce(editedOnce, toml);
}

function editedOnce(toml: string, { section, key: name, value, comment }: Edit): string {
  const lines = toml.split("\n");
  const header = lines.findIndex((one) => /^\s*\[([^\]]*)\]/.exec(one)?.[1]?.replaceAll(/[\s"']/g, "") === section);
  const made = value === null ? [] : [line(name, value, comment)];
  if (header < 0)
    throw new Failure(
      `airlock.toml has no section [${section}] with one line for each key; change it by hand: ${made[0] ?? `remove ${name}`}`,
    );
  const after = lines.findIndex((one, at) => at > header && /^\s*\[/.test(one));
  const next = after < 0 ? lines.length : after;
  const at = lines.findIndex(
    (one, place) =>
      place > header &&
      place < next &&
      new RegExp(`^\\s*("${escaped(name)}"|'${escaped(name)}'|${escaped(name)})\\s*=`).test(one),
  );
  if (at < 0) {
    let end = next;
    // Comments in front of the next section belong to it.
    while (end > header + 1 && /^\s*(#|$)/.test(lines[end - 1] ?? "")) end--;
    return [...lines.slice(0, end), ...made, ...lines.slice(end)].join("\n");
  }
  let end = at + 1;
  while (end < next && !isWhole(lines.slice(at, end).join("\n"))) end++;
  const own = value === null ? undefined : commentOf(lines[end - 1] ?? "");
  return [
    ...lines.slice(0, at),
    ...(own === undefined ? made : [`${line(name, value ?? "")}  ${own}`]),
    ...lines.slice(end),
  ].join("\n");
}

function isWhole(lines: string): boolean {
  try {
    parse(lines);
    return true;
  } catch {
    return false;
  }
}

/** The comment at the end of a line. */
function commentOf(one: string): string | undefined {
  const [rest = ""] =
    /(?:#.*)?$/.exec(one.replace(/"(?:[^"\\]|\\.)*"|'[^']*'/g, (quoted) => "_".repeat(quoted.length))) ?? [];
  return rest === "" ? undefined : one.slice(one.length - rest.length);
}
