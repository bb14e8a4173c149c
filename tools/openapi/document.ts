// The OpenAPI document of a declaration: base.json, which is written by hand, and the routes and schemas of each resource.
// Operations of routes that a project adds are in own.json.

import { readFileSync } from "node:fs";

import {
  type Declaration,
  type Embed,
  type Field,
  isRequired,
  type Operator,
  type Resource,
  type Verb,
} from "../declaration.ts";

/** Any part of a document. */
type Part = any;

export interface Document {
  openapi: string;
  info: Part;
  tags: { name: string; description: string }[];
  paths: Record<string, Record<string, Part>>;
  components: Record<string, Record<string, Part>>;
  [key: string]: Part;
}

const read = (name: string) => JSON.parse(readFileSync(new URL(name, import.meta.url), "utf8"));

/** The document of airlock.toml, with the project's own operations. */
export function projectDocument(declaration: Declaration): Document {
  return openapi(declaration, read("own.json"));
}

/** The document of a checked declaration. Operations and components of `own` are added. */
export function openapi(
  { organizations, resources, functions = [] }: Declaration,
  own: Pick<Document, "paths" | "components"> = { paths: {}, components: {} },
): Document {
  const document: Document = read("base.json");
  if (!organizations) {
    document.tags = document.tags.filter(({ name }) => name !== "Organisations");
    for (const path of Object.keys(document.paths)) if (path.startsWith("/v1/orgs")) delete document.paths[path];
  }
  // Rows that a problem can show.
  const { current } = document.components.schemas!.VersionMismatchProblem.allOf[1].properties;
  if (!organizations) current.anyOf = [];
  const tags: Document["tags"] = [];
  for (const resource of resources) {
    const name = freeName(document, resource.name);
    tags.push({ name: resource.name, description: description(resource) });
    addComponents(document, resource, name, resources);
    if (resource.version) {
      current.anyOf.push(ref("schemas", `${name}Row`));
      showAsCurrent(document, name);
    }
    addPaths(
      document,
      resource,
      name,
      resources.find((one) => one.name === resource.under?.resource),
    );
  }
  document.tags.unshift(...tags);
  if (functions.length > 0)
    document.tags.push({
      name: "Functions",
      description: "Functions of the database. They run with the user's rights.",
    });
  for (const { name, arguments: fields } of functions) {
    const shown = fieldsOf({ fields }, resources);
    document.paths[`/v1/functions/${name}`] = {
      post: {
        operationId: `function_${name}`,
        tags: ["Functions"],
        summary: `Call ${name}`,
        requestBody: {
          required: true,
          content: json(
            draftSchema("An absent argument has its default, or is null.", shown),
            Object.fromEntries(shown.map((field) => [field.name, example(field)])),
          ),
        },
        responses: {
          ...responses({ ...OF_BODIES, 204: "Done", 404: "NotFound", 409: "Conflict" }),
          200: answer(
            "What the function returns; 204 if that is nothing.",
            [],
            json({ description: "Any JSON.", additionalProperties: true }, null),
          ),
        },
      },
    };
  }
  for (const kind of ["paths", "components"] as const) {
    for (const [name, added] of Object.entries(own[kind])) document[kind][name] = { ...document[kind][name], ...added };
  }
  removeUnused(document);
  return document;
}

const ref = (kind: string, name: string) => ({ $ref: `#/components/${kind}/${name}` });

/**
 * `shopping_lists` is ShoppingLists in the names of schemas and operations, or ShoppingLists_ if one of those names is
 * taken.
 */
function freeName({ components, paths }: Document, resource: string): string {
  const operations = Object.values(paths)
    .flatMap((path) => Object.values(path))
    .map(({ operationId }) => operationId);
  const taken = new Set([...Object.keys(components.schemas ?? {}), ...operations]);
  const isTaken = (name: string) =>
    [...SCHEMAS.map((kind) => name + kind), ...VERBS.flatMap((verb) => [verb + name, `${verb}Org${name}`])].some(
      (one) => taken.has(one),
    );
  let name = resource.replace(/(?:^|_)([a-z0-9])/g, (_, letter: string) => letter.toUpperCase());
  while (isTaken(name)) name += "_";
  return name;
}

const OWNERS = {
  user: "Rows of the user.",
  org: "Rows of an organisation. The member's role decides, not the author.",
  both: "Rows of the user, and rows of an organisation. There the member's role decides, not the author.",
};

function description({ owner, scope, under, read, id, search, publish }: Resource): string {
  const searched = search.length > 0 ? [`\`q\` searches ${list(search)}.`] : [];
  const published = publish ? [`A published row shows ${list(publish)} to every user of the app.`] : [];
  const whose =
    read !== null
      ? read === "user"
        ? "Rows that every user reads."
        : "Rows that the app reads without a user; a token makes no difference."
      : under
        ? `Rows of one row of \`${under.resource}\`, which must be live and one that the user may see.`
        : scope === "visible"
          ? "Rows that the user may see."
          : id.kind === "owner"
            ? "One row of the user."
            : OWNERS[owner];
  if (read !== null) return [whose, ...searched].join(" ");
  return [
    whose,
    "A row that the user may not see gets the same answer as a missing one.",
    ...searched,
    ...published,
  ].join(" ");
}

/** In English: `a`, `b` and `c`. */
function list(names: string[]): string {
  return new Intl.ListFormat("en-GB").format(names.map((name) => `\`${name}\``));
}

// Schemas

const SCHEMAS = ["Row", "Draft", "Patch", "Page", "Published"];

const EXAMPLE = {
  id: "7efe3d84-2d6a-4174-899e-8ffddea7a39a",
  created_at: "2026-11-22T12:15:40.760000Z",
  updated_at: "2026-11-22T12:20:05.000000Z",
};

/** The fields; a ref has the form of its target's id. */
function fieldsOf({ fields }: Pick<Resource, "fields">, resources: Resource[]): Field[] {
  return fields.map((field) => {
    const target = field.kind === "ref" && resources.find((one) => one.name === field.resource);
    return target && target.id.kind === "bigint" ? ({ ...field, kind: "integer", ...NUMBERS } as Field) : field;
  });
}

const idSchemaOf = ({ id }: Resource): Part =>
  id.kind === "bigint"
    ? { description: "The database makes it.", type: "integer", minimum: NUMBERS.min, maximum: NUMBERS.max }
    : ref("schemas", "Id");

/** The rows that `include` adds. */
function includedSchema(embeds: Embed[], resources: Resource[]): Part {
  const one = ({ resource, fields }: Embed) => {
    const target = resources.find(({ name }) => name === resource) as Resource;
    const all = new Map(fieldsOf(target, resources).map((field) => [field.name, fieldSchema(field, "Timestamp")]));
    return row(Object.fromEntries(fields.map((name) => [name, name === "id" ? idSchemaOf(target) : all.get(name)])));
  };
  return {
    description: "What `include` names.",
    type: "object",
    properties: Object.fromEntries(
      embeds.map((embed) => [
        embed.name,
        embed.many
          ? {
              ...row({
                data: { type: "array", maxItems: 100, items: one(embed) },
                more: { description: "Whether there are more than these.", type: "boolean" },
              }),
            }
          : { oneOf: [one(embed), { type: "null" }] },
      ]),
    ),
  };
}

const draftSchema = (description: string, fields: Field[]): Part => ({
  description,
  type: "object",
  additionalProperties: false,
  required: fields.filter(isRequired).map((field) => field.name),
  properties: Object.fromEntries(fields.map((field) => [field.name, withDefault(field)])),
});

function addComponents({ components }: Document, resource: Resource, name: string, resources: Resource[]): void {
  const { publish, embed } = resource;
  const fields = fieldsOf(resource, resources);
  const writable = fields.filter((field) => !field.read_only);
  const schemas = (components.schemas ??= {});
  const bodies = (components.requestBodies ??= {});
  const responses = (components.responses ??= {});
  const answered = (field: Field) => [field.name, fieldSchema(field, "Timestamp")];
  const schema = (name: string) => ref("schemas", name);

  const bigint = resource.id.kind === "bigint";
  const idSchema = idSchemaOf(resource);
  const { owner_column: owner } = resource;
  // Other tables than those of new-resource may count from 0.
  const fromOne = owner.column === "user_id" && owner.set === "default" && resource.version?.column === "version";
  const rises = { description: "Rises with every change. In quotes it is the `ETag`." };
  const number = fromOne ? schema("Version") : { ...rises, type: "integer", minimum: 0 };
  const version = resource.version && {
    version: resource.version.kind === "integer" ? number : { ...rises, type: "string", pattern: "^[0-9]+$" },
  };
  schemas[`${name}Row`] = row({
    id: idSchema,
    ...Object.fromEntries(fields.map(answered)),
    ...version,
    ...(resource.created && { created_at: schema("Timestamp") }),
    ...(resource.updated && { updated_at: schema("Timestamp") }),
    ...(resource.deleted && {
      deleted_at: { description: "Null while the row is live.", oneOf: [schema("Timestamp"), { type: "null" }] },
    }),
  });
  if (embed) schemas[`${name}Row`].properties.included = includedSchema(embed, resources);
  schemas[`${name}Draft`] = draftSchema("A whole row. An absent field has its default, or is null.", writable);
  schemas[`${name}Patch`] = {
    description: "The fields to change, at least one. An absent field stays as it is.",
    type: "object",
    additionalProperties: false,
    minProperties: 1,
    properties: Object.fromEntries(writable.map((field) => [field.name, fieldSchema(field, "Time")])),
  };
  const count = {
    description: "How many rows the list has in all its pages; 10000 stands for that many or more.",
    type: "integer",
    minimum: 0,
    maximum: 10000,
  };
  schemas[`${name}Page`] = {
    type: "object",
    required: ["data", "next_cursor"],
    properties: {
      data: { type: "array", maxItems: 100, items: schema(`${name}Row`) },
      next_cursor: schema("NextCursor"),
      ...(resource.count && { count }),
    },
  };

  const valuesOf = (of: Field[]) => Object.fromEntries(of.map((field) => [field.name, example(field)]));
  const values = valuesOf(writable);
  const { created_at, updated_at } = EXAMPLE;
  const id = bigint ? 7 : EXAMPLE.id;
  const times = (at: string) => ({
    ...(resource.created && { created_at }),
    ...(resource.updated && { updated_at: at }),
    ...(resource.deleted && { deleted_at: null }),
  });
  const shownVersion = (number: number, time: string) =>
    resource.version && { version: resource.version.kind === "integer" ? number : time };
  const changed = { id, ...valuesOf(fields), ...shownVersion(3, "1795349740760000"), ...times(updated_at) };
  const created = { ...changed, ...shownVersion(1, "1795349740760000"), ...times(created_at) };
  bodies[`${name}Draft`] = { required: true, content: json(schema(`${name}Draft`), values) };
  const [patch] = Object.entries(values);
  const patched = json(schema(`${name}Patch`), patch ? { [patch[0]]: patch[1] } : {});
  bodies[`${name}Patch`] = {
    required: true,
    content: { ...patched, "application/merge-patch+json": patched["application/json"] },
  };
  const tag = resource.version ? ["ETag"] : [];
  responses[`${name}Row`] = answer("The row as it is now.", tag, json(schema(`${name}Row`), changed));
  // With \`include\` there is no tag.
  responses[`${name}RowWith`] = answer("The row as it is now.", [], json(schema(`${name}Row`), changed));
  responses[`${name}Created`] = answer("The new row.", ["Location", ...tag], json(schema(`${name}Row`), created));
  const page = {
    data: [changed],
    next_cursor:
      "WyJub3RlcyIsICIyMDI2LTExLTIyVDEyOjE1OjQwLjc2KzAwOjAwIiwgIjdlZmUzZDg0LTJkNmEtNDE3NC04OTllLThmZmRkZWE3YTM5YSJd",
  };
  responses[`${name}Page`] = answer("One page.", [], json(schema(`${name}Page`), page));

  if (!publish) return;
  const shown = fields.filter((field) => publish.includes(field.name));
  schemas[`${name}Published`] = {
    description: "A published row, without its author.",
    ...row({
      id: idSchema,
      ...Object.fromEntries(shown.map(answered)),
      ...version,
      published_at: schema("Timestamp"),
      ...(resource.updated && { updated_at: schema("Timestamp") }),
    }),
  };
  const published = {
    id,
    ...Object.fromEntries(shown.map((field) => [field.name, example(field)])),
    ...shownVersion(3, "1795349740760000"),
    published_at: updated_at,
    ...(resource.updated && { updated_at }),
  };
  responses[`${name}Published`] = answer("The published row.", tag, json(schema(`${name}Published`), published));
  responses[`${name}Published`].headers["Cache-Control"] = ref("headers", "Kept-A-Minute");
}

/** The example of a failed precondition shows a row of this resource. */
function showAsCurrent({ components: { responses = {} } }: Document, name: string): void {
  const { version_mismatch } = responses.VersionMismatch.content["application/problem+json"].examples;
  version_mismatch.value.current = responses[`${name}Row`].content["application/json"].example;
}

const row = (properties: Record<string, Part>) => ({ type: "object", required: Object.keys(properties), properties });
const json = (schema: Part, example: Part) => ({ "application/json": { schema, example } });

function answer(description: string, headers: string[], content: Part): Part {
  return {
    description,
    headers: Object.fromEntries(["X-Request-Id", ...headers].map((name) => [name, ref("headers", name)])),
    content,
  };
}

/** Ids that a database makes. */
const NUMBERS = { min: 1, max: 2 ** 53 - 1 };

function withDefault(field: Field): Part {
  const schema = fieldSchema(field, "Time");
  return isRequired(field) || field.database_default ? schema : { ...schema, default: field.default ?? null };
}

/** The values of a field; `time` is the form of its times. */
function fieldSchema(field: Field, time: "Time" | "Timestamp"): Part {
  const schema = kindSchema(field, time);
  return field.nullable ? { oneOf: [schema, { type: "null" }] } : schema;
}

/** Unicode White_Space, as the parts of a character class. */
const SPACE = "\\t-\\r \\u0085\\u00a0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000";

function kindSchema(field: Field, time: "Time" | "Timestamp"): Part {
  const schema = (name: string) => ref("schemas", name);
  switch (field.kind) {
    case "text": {
      const { min, max } = field;
      if (min === 0) return { ...schema("Text"), maxLength: max };
      // At least `min` characters after trimming.
      const pattern = `^[${SPACE}]*[^${SPACE}\\u0000][^\\u0000]{${min - 2},}[^${SPACE}\\u0000][${SPACE}]*$`;
      return { ...schema("NonBlankText"), minLength: min, maxLength: max, ...(min > 1 && { pattern }) };
    }
    case "verbatim":
      return { ...schema("VerbatimText"), ...(field.min > 0 && { minLength: field.min }), maxLength: field.max };
    case "integer":
    case "number":
      return { type: field.kind, minimum: field.min, maximum: field.max };
    case "decimal": {
      const [before, after] = [field.precision - field.scale, field.scale];
      const whole = before > 0 ? `(0|[1-9][0-9]{0,${before - 1}})` : "0";
      return { type: "string", pattern: `^-?${whole}${after > 0 ? `(\\.[0-9]{1,${after}})?` : ""}$` };
    }
    case "boolean":
      return { type: "boolean" };
    case "uuid":
      return schema("Id");
    case "date":
      return schema("Date");
    case "time":
      return { type: "string", pattern: "^([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\\.[0-9]{1,6})?$" };
    case "timestamp":
      return schema(time);
    case "one_of":
      return { type: "string", enum: field.values };
    case "texts":
      return {
        type: "array",
        maxItems: field.items,
        items: { ...schema("VerbatimText"), minLength: 1, maxLength: field.length },
      };
    case "integers":
      return {
        type: "array",
        maxItems: field.items,
        items: { type: "integer", minimum: field.min, maximum: field.max },
      };
    case "uuids":
      return { type: "array", maxItems: field.items, items: schema("Id") };
    case "json":
      return {
        ...schema("Object"),
        description: `At most ${field.bytes} bytes as sent, and 32 levels deep. Numbers are doubles.`,
      };
    case "ref":
      return { ...schema("Id"), description: `The id of a live row of \`${field.resource}\` that the user may see.` };
  }
}

/** A value of a field. */
function example(field: Field): unknown {
  const text = (min: number, max: number) => "example".padEnd(min, "e").slice(0, max);
  switch (field.kind) {
    case "text":
    case "verbatim":
      return text(field.min, field.max);
    case "integer":
    case "number":
      return Math.min(Math.max(1, field.min), field.max);
    case "decimal":
      return `0${field.scale > 0 ? `.${"0".repeat(field.scale)}` : ""}`;
    case "boolean":
      return false;
    case "uuid":
    case "ref":
      return "0d1f1c9e-5b0a-4c38-9d0e-0a6a3f0f8f11";
    case "date":
      return "2026-11-29";
    case "time":
      return "09:30:00";
    case "timestamp":
      return "2026-11-29T12:00:00.000000Z";
    case "one_of":
      return field.values[0];
    case "texts":
      return field.items > 0 ? [text(1, field.length)] : [];
    case "integers":
      return [Math.min(Math.max(1, field.min), field.max)];
    case "uuids":
      return ["0d1f1c9e-5b0a-4c38-9d0e-0a6a3f0f8f11"];
    case "json":
      return {};
  }
}

// Routes

const VERBS = ["list", "create", "get", "put", "patch", "delete", "restore", "publish", "unpublish", "getPublished"];

/** Responses that every route with rows has. */
const COMMON = {
  400: "MalformedRequest",
  401: "Unauthorized",
  403: "Forbidden",
  413: "PayloadTooLarge",
  422: "ValidationFailed",
  426: "UpgradeRequired",
  429: "RateLimited",
  500: "Internal",
  502: "UpstreamInvalid",
  503: "Unavailable",
  504: "UpstreamTimeout",
};
const OF_BODIES = { 400: "MalformedBody", 415: "UnsupportedMediaType" };

/** The security of routes without a user. */
const OF_APP = [{ AppId: [], AppTimestamp: [], AppNonce: [], AppSignature: [] }];

function addPaths(document: Document, resource: Resource, name: string, parent?: Resource): void {
  const { owner, publish } = resource;
  const ofOrganization = `/v1/orgs/{org_id}/${resource.name}`;
  if (parent) {
    const parentId = parameterOf(resource);
    Object.assign(document.paths, collection(resource, name, pathOf(resource), [rowId(parent, parentId)]));
  } else if (owner !== "org") Object.assign(document.paths, collection(resource, name, pathOf(resource), []));
  if (owner !== "user")
    Object.assign(
      document.paths,
      collection(resource, `Org${name}`, ofOrganization, [ref("parameters", "OrgId")], name),
    );
  if (!publish) return;
  const conditions = resource.version ? ["IfNoneMatch"] : [];
  document.paths[`/v1/public/${resource.name}/{id}`] = {
    parameters: [rowId(resource)],
    get: {
      ...operation(
        resource,
        `getPublished${name}`,
        "Read a published row",
        "Needs no user; a token makes no difference.",
        conditions,
      ),
      security: OF_APP,
      responses: responses({
        200: `${name}Published`,
        ...(resource.version && { 304: "PublishedNotModified" }),
        401: "AppRejected",
        404: "NotFound",
      }),
    },
  };
}

/** The name of the parent's id in paths. */
function parameterOf({ under }: Resource): string {
  return under && /^[a-z][a-z0-9_]*$/.test(under.column) && under.column !== "id" ? under.column : "parent_id";
}

/** The path of the collection of a user's rows, or of a parent's. */
function pathOf(resource: Resource): string {
  const { name, under } = resource;
  return under ? `/v1/${under.resource}/{${parameterOf(resource)}}/${name}` : `/v1/${name}`;
}

function rowId({ id, name: resource }: Resource, name = "id"): Part {
  if (id.kind !== "bigint" && name === "id") return ref("parameters", "RowId");
  const description = `The ${name === "id" ? "row's id" : `id of a row of \`${resource}\``}${id.kind === "bigint" ? ", in digits" : ""}.`;
  if (id.kind !== "bigint")
    return { name, in: "path", required: true, description, schema: ref("schemas", "Id"), example: EXAMPLE.id };
  const schema = { type: "integer", minimum: NUMBERS.min, maximum: NUMBERS.max };
  return { name, in: "path", required: true, description, schema, example: 7 };
}

const COMPARED: Record<Operator, string> = {
  eq: "Only rows with this value.",
  neq: "Only rows with another value; null is none.",
  lt: "Only rows with a value below.",
  lte: "Only rows with this value or one below.",
  gt: "Only rows with a value above.",
  gte: "Only rows with this value or one above.",
  in: "Only rows with one of these values, at most 100, with commas between them; a comma in a value is `\\,`.",
  is: "Only rows without a value, or with one.",
};

const parameter = (name: string, description: string, schema: Part) => ({ name, in: "query", description, schema });

/** The parameter for embedded rows. */
function includeParameters({ embed }: Resource): Part[] {
  if (!embed) return [];
  const names = embed.map(({ name }) => name);
  return [
    parameter(
      "include",
      `Adds \`included\` to each row, with ${list(names)}, as far as it is named; commas between the names. The answer has no \`ETag\`.`,
      { type: "string", pattern: `^(${names.join("|")})(,(${names.join("|")}))*$` },
    ),
  ];
}

/** The parameters of a list that its declaration adds. */
function listParameters(resource: Resource): Part[] {
  const { fields, filters, sorts, count, created } = resource;
  const filtered = Object.entries(filters).flatMap(([name, operators]) =>
    operators.map((operator) => {
      const field = fields.find((one) => one.name === name) as Field;
      const one = field.kind === "ref" ? { type: "string" } : kindSchema(field, "Time");
      const schema =
        operator === "in"
          ? { type: "string" }
          : operator === "is"
            ? { type: "string", enum: ["null", "not_null"] }
            : one;
      return parameter(`${name}.${operator}`, COMPARED[operator], schema);
    }),
  );
  const order = sorts.flatMap((sort) => [sort, `-${sort}`]);
  return [
    ...(order.length > 0
      ? [
          parameter(
            "sort",
            `The order, descending after \`-\`. Without it the newest ${created ? "row" : "id"} comes first. Rows without a value come last, in both orders. A cursor is of one order.`,
            { type: "string", enum: order },
          ),
        ]
      : []),
    ...(count ? [parameter("count", "Adds `count` to the page.", { type: "string", const: "exact" })] : []),
    ...filtered,
    ...includeParameters(resource),
  ];
}

/** The routes of a user's rows, an organisation's or a parent's. Components are named after the resource in both. */
function collection(resource: Resource, id: string, path: string, parents: Part[], name = id): Document["paths"] {
  const { search, publish, routes, version, deleted, created } = resource;
  const open = resource.read === "app";
  const missing = { ...(parents.length > 0 && { 404: "NotFound" }), ...(open && { 401: "AppRejected" }) };
  const security = open && { security: OF_APP };
  const change = { 404: "NotFound", ...(version && { 412: "VersionMismatch" }) };
  const ifMatch = version ? ["IfMatch"] : [];
  const body = (kind: string) => ({ requestBody: ref("requestBodies", `${name}${kind}`) });
  const of = (verb: string, summary: string, description: string, ...names: string[]) =>
    operation(resource, verb + id, summary, description, names);
  const own = resource.id.kind === "owner";
  const at = own ? `${path}/me` : `${path}/{id}`;
  const parameters = (...rest: Part[]) => {
    const all = [...parents, ...rest];
    return all.length > 0 ? { parameters: all } : {};
  };
  const idParameter = own ? [] : [rowId(resource)];
  const action = (verb: string, summary: string, description: string) => ({
    [`${at}/${verb}`]: {
      ...parameters(...idParameter),
      post: {
        ...of(verb, summary, description, ...ifMatch),
        responses: responses({ ...change, 200: `${name}Row`, 409: "Conflict" }),
      },
    },
  });
  const searched = search.length > 0 ? ` \`q\` searches ${list(search)}.` : "";
  const states = deleted && resource.read === null ? [publish ? "PublishableState" : "State"] : [];
  const ids = resource.id.kind === "bigint" ? "" : ", or use `PUT` with a UUID of your own";
  const many = of(
    "list",
    "List rows, newest first",
    `By ${created ? "`created_at`, then `id`, descending" : "`id`, descending"}. Pass \`next_cursor\` as \`cursor\` until it is null; rows that are written meanwhile do not move others.${searched}`,
    "Limit",
    "Cursor",
    ...(search.length > 0 ? ["Words"] : []),
    ...states,
  );
  const read = of(
    "get",
    "Read a row",
    deleted ? "Deleted rows are 404 here; only the list with `state=deleted` shows them." : "",
    ...(version ? ["IfNoneMatch"] : []),
  );
  const putParameters = [...ifMatch, ...(resource.id.kind === "bigint" ? [] : ["CreateOnly"])];
  const has = (verb: Verb, operation: Part) => (routes.includes(verb) ? operation : {});
  const putWhole =
    "Repeating it makes no second row, so it suits offline writes. `If-None-Match: *` only creates, `If-Match` only replaces; not both. An absent field has its default here too.";
  const putOther = `${resource.id.kind === "bigint" ? "It makes no row." : "Repeating it makes no second row."} An absent field has its default here too.`;

  const found: Document["paths"] = {
    [path]: {
      ...parameters(),
      ...has("list", {
        get: {
          ...many,
          ...security,
          parameters: [...many.parameters, ...listParameters(resource)],
          responses: responses({ ...missing, 200: `${name}Page` }),
        },
      }),
      ...has("create", {
        post: {
          ...of(
            "create",
            "Create a row",
            `The database makes the id. To repeat a request of unknown outcome, send an \`Idempotency-Key\`${ids}. A repeated request with the same key within 24 hours is answered with the row as it is then.`,
            "IdempotencyKey",
          ),
          ...body("Draft"),
          responses: responses({
            ...OF_BODIES,
            ...missing,
            201: `${name}Created`,
            409: "Conflict",
            422: "InvalidOrReused",
          }),
        },
      }),
    },
    [at]: {
      ...parameters(...idParameter),
      ...has("read", {
        get: {
          ...read,
          ...security,
          parameters: [...read.parameters, ...includeParameters(resource)],
          responses: responses({
            ...missing,
            200: resource.embed ? `${name}RowWith` : `${name}Row`,
            ...(version && { 304: "NotModified" }),
            404: "NotFound",
          }),
        },
      }),
      ...has("put", {
        put: {
          ...of(
            "put",
            resource.id.kind === "uuid"
              ? "Create or replace a row under your own UUID"
              : own
                ? "Create or replace the row"
                : "Replace a row",
            version && resource.id.kind !== "bigint" ? putWhole : putOther,
            ...putParameters,
          ),
          ...body("Draft"),
          responses: responses({
            ...OF_BODIES,
            ...change,
            ...(putParameters.length > 0 && { 412: "VersionMismatch" }),
            200: `${name}Row`,
            ...(resource.id.kind === "bigint" ? {} : { 201: `${name}Created` }),
            409: "Conflict",
          }),
        },
      }),
      ...has("patch", {
        patch: {
          ...of("patch", "Change some fields of a row", "", ...ifMatch),
          ...body("Patch"),
          responses: responses({ ...OF_BODIES, ...change, 200: `${name}Row`, 409: "Conflict" }),
        },
      }),
      ...has("delete", {
        delete: {
          ...(deleted
            ? of(
                "delete",
                "Delete a row, until it is restored",
                "Sets `deleted_at`. A row that is deleted already is 204 again, for any `If-Match`.",
                ...ifMatch,
              )
            : of("delete", "Delete a row for good", "A second request is 404.", ...ifMatch)),
          responses: responses({ ...change, 204: "Done", 409: deleted ? "Replayed" : "Conflict" }),
        },
      }),
    },
    ...has(
      "restore",
      action(
        "restore",
        "Undo the deletion of a row",
        "A live row is answered as it is, with its version unchanged, for any `If-Match`.",
      ),
    ),
    ...has("publish", {
      ...action(
        "publish",
        "Let everybody read a row",
        "Everybody who has its id can read it from then on. A published row is answered as it is, for any `If-Match`.",
      ),
      ...action(
        "unpublish",
        "Stop publishing a row",
        "Caches may show it for one more minute. A row that is not published is answered as it is.",
      ),
    }),
  };
  return Object.fromEntries(
    Object.entries(found).filter(([, operations]) => Object.keys(operations).some((key) => key !== "parameters")),
  );
}

function operation(
  resource: Resource,
  operationId: string,
  summary: string,
  description: string,
  parameters: string[],
): Part {
  return {
    operationId,
    tags: [resource.name],
    summary,
    ...(description && { description }),
    parameters: parameters.map((name) => ref("parameters", name)),
  };
}

/** All responses of a route with rows, with these in place of the common ones or beside them. */
function responses(own: Record<number, string | undefined>): Part {
  return Object.fromEntries(
    Object.entries({ ...COMMON, ...own }).map(([status, name]) => [status, ref("responses", name)]),
  );
}

// Text

/** Removes components that nothing refers to. */
function removeUnused({ components, ...rest }: Document): void {
  const used = new Set<string>();
  const visit = (part: Part): void => {
    if (typeof part !== "object" || part === null) return;
    if (typeof part.$ref === "string" && !used.has(part.$ref)) {
      used.add(part.$ref);
      const [, , kind = "", name = ""] = part.$ref.split("/");
      visit(components[kind]?.[name]);
    }
    Object.values(part).forEach(visit);
  };
  // Its description in `info` refers to this response.
  visit([rest, ref("responses", "MethodNotAllowed")]);
  for (const [kind, named] of Object.entries(components)) {
    if (kind === "securitySchemes") continue;
    for (const name of Object.keys(named)) if (!used.has(`#/components/${kind}/${name}`)) delete named[name];
  }
}

const WIDTH = 120;

/** JSON text for people: objects and lists that fit into a line stay in one. */
export function formatted(value: Part, indent = ""): string {
  if (typeof value !== "object" || value === null) return JSON.stringify(value);
  const inner = `${indent}  `;
  const isList = Array.isArray(value);
  const parts = (deeper: string) =>
    isList
      ? value.map((part) => formatted(part, deeper))
      : Object.entries(value).map(([name, part]) => `${JSON.stringify(name)}: ${formatted(part, deeper)}`);
  const [open, close] = isList ? ["[", "]"] : ["{", "}"];
  const plain = parts("");
  const line = isList || plain.length === 0 ? `${open}${plain.join(", ")}${close}` : `{ ${plain.join(", ")} }`;
  if (!line.includes("\n") && indent.length + line.length <= WIDTH) return line;
  return `${open}\n${parts(inner)
    .map((part) => inner + part)
    .join(",\n")}\n${indent}${close}`;
}
