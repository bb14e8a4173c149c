// Plans the files of `npm run new-resource` and `npm run new-field`, checked and not yet written.

import { isDeepStrictEqual, parseArgs } from "node:util";

import { check, type Declaration, type Field, toJson } from "../declaration.ts";
import { Failure, refuseKept, wrongUsage } from "../setup/shell.ts";
import { fieldMigration, migration } from "./migration.ts";

export interface Plan {
  /** The whole text of airlock.toml. */
  toml: string;
  /** The new lines of airlock.toml. */
  lines: string;
  /** Name of the migration, without its version. */
  name: string;
  /** The table that is made, if it is a new one. */
  made?: string;
  migration: string;
}

const RESOURCE_USAGE = `npm run new-resource -- NAME FIELD... --owner user|org|both [--search FIELDS] [--under RESOURCE.COLUMN]
  such as: npm run new-resource -- tags "label:text(1..50)" "color:one_of(red,green)=red" "due:date?" --owner user --search label`;
const FIELD_USAGE = `npm run new-field -- RESOURCE FIELD
  such as: npm run new-field -- notes "color:one_of(red,green)=red"`;

/** A new resource of these command line arguments, at the end of this airlock.toml. */
export async function planResource(toml: string, args: string[]): Promise<Plan> {
  const { name, fields, owner, search, under } = parsed(args);
  if ((await declarationOf(toml)).resources.some((resource) => resource.name === name)) {
    throw new Failure(
      `airlock.toml has the resource ${name} already. Add a field to it with \`npm run new-field\`, or choose another name.`,
    );
  }

  const declared = fields.map(fieldOf);
  const repeated = declared.find((field, n) => declared.findIndex((other) => other.name === field.name) < n);
  if (repeated) throw new Failure(`The field ${repeated.name} is given twice; leave one out.`);
  const lines = [
    `[resources.${name}]`,
    `owner = ${tomlString(owner)}`,
    ...(under !== undefined ? [`under = ${tomlString(under)}`] : []),
    ...(search ? [`search = [${search.map(tomlString).join(", ")}]`] : []),
    `[resources.${name}.fields]`,
    ...declared.map(({ line }) => line),
  ].join("\n");
  const extended = `${toml.trimEnd()}\n\n${lines}\n`.trimStart();
  const { resources } = await declarationOf(extended);
  const made = resources.at(-1);
  if (made?.name !== name)
    throw new Failure(
      `airlock.toml ends in a form that this command cannot append to; add the section by hand:\n\n${lines}`,
    );
  made.fields.forEach(refuseAdopted);
  return { toml: extended, lines, name, made: name, migration: migration(made, resources) };
}

/** Refuses settings that are only for existing tables. */
function refuseAdopted({ name, nullable, default: value, database_default }: Field): void {
  if (database_default)
    throw new Failure(`${name}: needs a value after =; only a table that exists already has defaults of its own.`);
  if (nullable && value !== undefined)
    throw new Failure(`${name}: choose between ? and a default; only a table that exists already has both.`);
}

/** A new field of these command line arguments, in this airlock.toml. */
export async function planField(toml: string, args: string[]): Promise<Plan> {
  const [name = "", argument = "", ...rest] = args;
  if (argument === "" || rest.length > 0)
    throw new Failure(`The command takes one resource and one field.\n${FIELD_USAGE}`);
  const { resources } = await declarationOf(toml);
  const before = resources.find((resource) => resource.name === name);
  if (!before) {
    const known = resources.map((resource) => resource.name).join(", ") || "none";
    throw new Failure(`airlock.toml has no resource ${name}. It has: ${known}. For a new one: npm run new-resource.`);
  }
  const { name: fieldName, line } = fieldOf(argument);
  if (before.fields.some((field) => field.name === fieldName))
    throw new Failure(`${name} has the field ${fieldName} already; choose another name.`);
  const extended = withField(toml, name, line);
  const after =
    extended === undefined
      ? undefined
      : (await declarationOf(extended)).resources.find((resource) => resource.name === name);
  const field = after?.fields.at(-1);
  if (
    extended === undefined ||
    !after ||
    !field ||
    !isDeepStrictEqual({ ...after, fields: after.fields.slice(0, -1) }, before)
  ) {
    throw new Failure(
      `airlock.toml has no section [resources.${name}.fields] with one line for each field, which this command needs.`,
    );
  }
  refuseAdopted(field);
  if (!field.nullable && field.default === undefined) {
    throw new Failure(
      `${field.name} needs ? or a default, because rows that exist have no value: "${argument}?" or "${argument}=...".`,
    );
  }
  return {
    toml: extended,
    lines: line,
    name: `${name}_${field.name}`,
    migration: fieldMigration(after, field, resources),
  };
}

interface Arguments {
  name: string;
  fields: string[];
  owner: string;
  under?: string;
  search?: string[];
}

function parsed(args: string[]): Arguments {
  const refuse = (sentence: string): never => {
    throw wrongUsage(new Error(sentence), RESOURCE_USAGE);
  };
  refuseKept("new-resource", "owner", "search", "under");
  const { values, positionals } = (() => {
    try {
      const option = { type: "string", multiple: true } as const;
      return parseArgs({ args, options: { owner: option, search: option, under: option }, allowPositionals: true });
    } catch (error) {
      throw wrongUsage(error, RESOURCE_USAGE);
    }
  })();
  const [name = "", ...fields] = positionals;
  if (name === "") return refuse("The new table needs a name.");
  // Other forms of names are refused by the checker of declarations.
  if (!/^\w+$/.test(name))
    return refuse(`${name} is not a name. A name has a-z, 0-9 and _, and comes before the fields.`);
  if (fields.length === 0) return refuse(`${name} needs at least one field.`);
  const [owner, ...owners] = values.owner ?? [];
  if (owner === undefined) return refuse("Whose rows are they? Add --owner user, --owner org or --owner both.");
  if (owners.length > 0)
    return refuse("--owner is given twice; leave one out. Rows of users and of organisations: --owner both.");
  const [search, ...searches] = values.search ?? [];
  if (searches.length > 0)
    return refuse(`--search is given twice. Name all fields in one: --search ${[search, ...searches].join(",")}.`);
  const [under, ...unders] = values.under ?? [];
  if (unders.length > 0) return refuse("--under is given twice; leave one out.");
  if (under !== undefined && !/^\w+\.[a-z][a-z0-9_]{0,39}$/.test(under))
    return refuse(`--under ${under} is not a resource, a dot and a new column, such as teams.team_id.`);
  return {
    name,
    fields,
    owner,
    ...(under !== undefined && { under }),
    ...(search !== undefined && { search: search.split(",").map((field) => field.trim()) }),
  };
}

const declarationOf = (toml: string): Promise<Declaration> => check(toJson(toml));

/** A basic string of TOML, whose escapes are those of JSON. */
const tomlString = (text: string) => JSON.stringify(text).replaceAll("\u007f", "\\u007f");

/**
 * A field of the command line, NAME:KIND, and its line for airlock.toml. On the command line a default that is a text may stand
 * without quotes, which shells take away, and may be empty.
 */
function fieldOf(argument: string): { name: string; line: string } {
  const [, name = "", text = ""] = /^([^:]*):(.*)$/s.exec(argument) ?? [];
  if (!/^\w+$/.test(name))
    throw new Failure(`${argument} is not a field. A field is NAME:KIND, such as "label:text(1..50)".`);
  // The first = that is outside of quotes.
  const [, kind = "", preset] = /^((?:'[^']*'|[^'=])*)=(.*)$/s.exec(text) ?? [];
  if (preset === undefined) return { name, line: `${name} = ${tomlString(text.trim())}` };
  const isText = /^\s*(text|verbatim|decimal|one_of|uuid|date|time|timestamp|ref)\b/.test(kind);
  const quoted = isText && !/^\s*['"]/.test(preset) ? `'${preset.replaceAll("'", "''")}'` : preset.trim();
  return { name, line: `${name} = ${tomlString(`${kind.trim()} = ${quoted}`)}` };
}

/** The text with one line more at the end of a resource's fields; undefined without such a section. */
function withField(toml: string, name: string, added: string): string | undefined {
  const lines = toml.split("\n");
  const header = lines.findIndex(
    (line) => /^\s*\[([^\]]*)\]/.exec(line)?.[1]?.replaceAll(/[\s"']/g, "") === `resources.${name}.fields`,
  );
  if (header < 0) return undefined;
  const next = lines.findIndex((line, n) => n > header && /^\s*\[/.test(line));
  let end = next < 0 ? lines.length : next;
  // Comments in front of the next section belong to it.
  while (end > header + 1 && /^\s*(#|$)/.test(lines[end - 1] ?? "")) end--;
  return [...lines.slice(0, end), added, ...lines.slice(end)].join("\n");
}
