// The types and the kinds of ids of the client's resources, made from a declaration. client/src/declaration.ts makes rows and drafts of them.

import { type Declaration, type Embed, type Field, isRequired, type Resource } from "./declaration.ts";

/**
 * The text of a TypeScript file that imports nothing. `source` is the name of the declaration's file in its first line.
 */
export function clientTypes(
  { organizations, resources, functions = [] }: Declaration,
  source = "airlock.toml",
): string {
  const lines = [
    `// Generated from ${source} by \`npm run generate\`. Do not edit.`,
    "",
    "export interface Declaration {",
    `  organizations: ${organizations};`,
    ...(resources.length > 0 ? ["  resources: {", ...resources.flatMap(resourceLines), "  };"] : ["  resources: {};"]),
    ...(functions.length > 0
      ? ["  functions: {", ...functions.flatMap((one) => functionLines(one, resources)), "  };"]
      : []),
    "}",
    "",
    "/** The kinds of ids, for the client's option of this name. */",
    `export const ids = {${resources.map((resource) => ` ${resource.name}: ${idsOf(resource)}`).join(",")}${resources.length > 0 ? " " : ""}} as const;`,
  ];
  const all = [...resources.map(({ fields }) => fields), ...functions.map((one) => one.arguments)].flat();
  if (all.some(({ kind }) => kind === "json")) {
    lines.push(
      "",
      "type Json = string | number | boolean | null | Json[] | JsonObject;",
      "type JsonObject = { [name: string]: Json };",
    );
  }
  return `${lines.join("\n")}\n`;
}

/** Names of members that Airlock sets, unless they are fields of a table that was there before. */
const SET_BY_AIRLOCK = ["version", "created_at", "updated_at", "deleted_at", "published_at", "included"];

function idsOf({ id, fields }: Resource): string {
  const own = fields
    .filter(({ name, read_only }) => !read_only && SET_BY_AIRLOCK.includes(name))
    .map(({ name }) => name);
  return own.length > 0 ? `{ id: "${id.kind}", fields: ${JSON.stringify(own)} }` : `"${id.kind}"`;
}

function resourceLines(resource: Resource, _: number, resources: Resource[]): string[] {
  const {
    name,
    owner,
    under,
    search,
    publish,
    fields,
    id,
    version,
    created,
    updated,
    deleted,
    filters,
    sorts,
    count,
    embed,
  } = resource;
  const writable = fields.filter((field) => !field.read_only);
  const optional = writable.filter((field) => !isRequired(field)).map((field) => field.name);
  const names = (of: Field[]) => of.map((field) => field.name);
  const parameters = Object.entries(filters).flatMap(([field, operators]) =>
    operators.map((operator) => `${field}.${operator}`),
  );
  return [
    `    ${name}: {`,
    `      owner: "${owner}";`,
    ...(under ? [`      under: "${under.resource}";`] : []),
    `      id: ${{ uuid: "string", bigint: "number", owner: '"me"' }[id.kind]};`,
    `      searchable: ${search.length > 0};`,
    "      fields: {",
    ...fields.flatMap((field) => fieldLines(field, resources)),
    "      };",
    `      optional: ${union(optional)};`,
    `      publish: ${union(publish ?? [])};`,
    // The differences from a table of new-resource.
    ...(version?.kind === "integer" ? [] : [`      version: ${version ? '"timestamp"' : "false"};`]),
    ...Object.entries({ created, updated, deleted })
      .filter(([, column]) => column === null)
      .map(([time]) => `      ${time}: false;`),
    ...(writable.length < fields.length
      ? [`      readOnly: ${union(names(fields.filter((field) => field.read_only)))};`]
      : []),
    ...(parameters.length > 0 ? [`      filters: ${union(parameters)};`] : []),
    ...(sorts.length > 0 ? [`      sorts: ${union(sorts.flatMap((sort) => [sort, `-${sort}`]))};`] : []),
    ...(count ? ["      count: true;"] : []),
    ...(embed ? ["      embed: {", ...embed.map((one) => embedLine(one, resources)), "      };"] : []),
    "    };",
  ];
}

function functionLines(
  { name, arguments: fields }: { name: string; arguments: Field[] },
  resources: Resource[],
): string[] {
  const optional = fields.filter((field) => !isRequired(field)).map((field) => field.name);
  const given =
    fields.length > 0
      ? ["      arguments: {", ...fields.flatMap((field) => fieldLines(field, resources)), "      };"]
      : ["      arguments: {};"];
  return [`    ${name}: {`, ...given, `      optional: ${union(optional)};`, "    };"];
}

function embedLine({ name, resource, many, fields }: Embed, resources: Resource[]): string {
  const target = resources.find((one) => one.name === resource) as Resource;
  const member = (name: string) => {
    const field = target.fields.find((one) => one.name === name);
    return field
      ? `${name}: ${type(field, resources)}${field.nullable ? " | null" : ""}`
      : `id: ${target.id.kind === "bigint" ? "number" : "string"}`;
  };
  const row = `{ ${fields.map(member).join("; ")} }`;
  return `        ${name}: ${many ? `{ data: ${row}[]; more: boolean }` : `${row} | null`};`;
}

function fieldLines(field: Field, resources: Resource[]): string[] {
  const { name, nullable, default: value } = field;
  const absent =
    value === undefined
      ? field.database_default
        ? "The database has a default."
        : ""
      : `Default: ${JSON.stringify(value)}.`;
  const comment = [limits(field), field.read_only ? "Read only." : absent].filter(Boolean).join(" ");
  return [
    ...(comment ? [`        /** ${comment.replaceAll("*/", "*\\/")} */`] : []),
    `        ${name}: ${type(field, resources)}${nullable ? " | null" : ""};`,
  ];
}

function type(field: Field, resources: Resource[]): string {
  switch (field.kind) {
    case "ref":
      return resources.find(({ name }) => name === field.resource)?.id.kind === "bigint" ? "number" : "string";
    case "integer":
    case "number":
      return "number";
    case "boolean":
      return "boolean";
    case "one_of":
      return union(field.values);
    case "integers":
      return "number[]";
    case "texts":
    case "uuids":
      return "string[]";
    case "json":
      return "JsonObject";
    default:
      return "string";
  }
}

/** The limits that the type cannot express, in words. */
function limits(field: Field): string {
  switch (field.kind) {
    case "text":
      return `${field.min} to ${field.max} characters, trimmed.`;
    case "verbatim":
      return `${field.min} to ${field.max} characters.`;
    case "integer":
      return `A whole number from ${field.min} to ${field.max}.`;
    case "number":
      return `From ${field.min} to ${field.max}.`;
    case "decimal":
      return `A number of at most ${field.precision} digits, ${field.scale} of them after the point.`;
    case "uuid":
      return "A UUID, lower case.";
    case "date":
      return "A date, `YYYY-MM-DD`.";
    case "time":
      return "A time of day, `HH:MM:SS`.";
    case "timestamp":
      return "A time, RFC 3339. Answers are in UTC.";
    case "texts":
      return `At most ${field.items} texts of 1 to ${field.length} characters.`;
    case "integers":
      return `At most ${field.items} whole numbers from ${field.min} to ${field.max}.`;
    case "uuids":
      return `At most ${field.items} UUIDs, lower case.`;
    case "json":
      return `At most ${field.bytes} bytes.`;
    case "ref":
      return `Id of a row of ${field.resource}.`;
    default:
      return "";
  }
}

function union(names: string[]): string {
  return names.length > 0 ? names.map((name) => JSON.stringify(name)).join(" | ") : "never";
}
