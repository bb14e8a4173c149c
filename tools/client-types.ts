// The types and the kinds of ids of the client's resources, made from a declaration. client/src/declaration.ts makes rows and drafts of them.

import type { Declaration, Field, Resource } from "./declaration.ts";

/** The text of a TypeScript file that imports nothing. `source` is what its first line calls the declaration's file. */
export function clientTypes({ organizations, resources }: Declaration, source = "airlock.toml"): string {
  const numbered = new Set(resources.filter(({ id }) => id === "bigint").map(({ name }) => name));
  const lines = [
    `// Generated from ${source} by \`npm run generate\`. Do not edit.`,
    "",
    "export interface Declaration {",
    `  organizations: ${organizations};`,
    ...(resources.length > 0 ? ["  resources: {", ...resources.flatMap((resource) => resourceLines(resource, numbered)), "  };"] : ["  resources: {};"]),
    "}",
    "",
    "/** The kinds of ids, for the client's option of this name. */",
    `export const ids = {${resources.map(({ name, id }) => ` ${name}: "${id ?? "uuid"}"`).join(",")}${resources.length > 0 ? " " : ""}} as const;`,
  ];
  if (resources.some(({ fields }) => fields.some(({ kind }) => kind === "json"))) {
    lines.push("", "type Json = string | number | boolean | null | Json[] | JsonObject;", "type JsonObject = { [name: string]: Json };");
  }
  return `${lines.join("\n")}\n`;
}

function resourceLines({ name, owner, id = "uuid", search, publish, fields }: Resource, numbered: Set<string>): string[] {
  const optional = fields.filter((field) => field.nullable || field.default !== undefined).map((field) => field.name);
  return [
    `    ${name}: {`,
    `      owner: "${owner}";`,
    `      id: ${{ uuid: "string", bigint: "number", owner: '"me"' }[id]};`,
    `      searchable: ${search.length > 0};`,
    "      fields: {",
    ...fields.flatMap((field) => fieldLines(field, numbered)),
    "      };",
    `      optional: ${union(optional)};`,
    `      publish: ${union(publish ?? [])};`,
    "    };",
  ];
}

function fieldLines(field: Field, numbered: Set<string>): string[] {
  const { name, nullable, default: value } = field;
  const comment = [limits(field), value === undefined ? "" : `Default: ${JSON.stringify(value)}.`].filter(Boolean).join(" ");
  return [
    ...(comment ? [`        /** ${comment.replaceAll("*/", "*\\/")} */`] : []),
    `        ${name}: ${type(field, numbered)}${nullable ? " | null" : ""};`,
  ];
}

/** `numbered`: resources whose ids are numbers. */
function type(field: Field, numbered: Set<string>): string {
  switch (field.kind) {
    case "integer":
    case "number":
      return "number";
    case "boolean":
      return "boolean";
    case "one_of":
      return union(field.values);
    case "texts":
      return "string[]";
    case "json":
      return "JsonObject";
    case "ref":
      return numbered.has(field.resource) ? "number" : "string";
    default:
      return "string";
  }
}

/** In words, what the type does not say. */
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
    case "uuid":
      return "A UUID, lower case.";
    case "date":
      return "A date, `YYYY-MM-DD`.";
    case "timestamp":
      return "A time, RFC 3339. Answers are in UTC.";
    case "texts":
      return `At most ${field.items} texts of 1 to ${field.length} characters.`;
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
