// The limits of the declaration and those of the tables are the same. A user writes values to PostgREST directly: each
// one at a limit is accepted, and none above it.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import type { Field, Resource } from "../../tools/declaration.ts";
import { identifier, literal } from "../../tools/resource/sql.ts";
import type { Supabase } from "../../tools/supabase.ts";
import { everything } from "../resources/everything.ts";
import { OWN_TABLES, ownDeclaration } from "../support/own.ts";
import { freshSupabase } from "./support.ts";

const USER = "00000000-0000-4000-8000-00000000000a";
const ORG = "20000000-0000-4000-8000-000000000000";

const project = await ownDeclaration();
const tests = await everything();
const resources = [...project.resources, ...tests.resources];

let supabase: Supabase;
before(async () => {
  supabase = await freshSupabase();
  await supabase.sql(OWN_TABLES);
  await supabase.sql(tests.sql);
  await supabase.sql(`insert into auth.users (id, email) values ('${USER}', 'a@limits.test')`);
  if (project.organizations) {
    await supabase.sql(`
      insert into airlock.organizations (id, name) values ('${ORG}', 'organisation');
      insert into airlock.members (org_id, user_id, role) values ('${ORG}', '${USER}', 'owner')`);
  }
  // For the rest of this file there is a caller, and rows that a statement makes do not stay.
  await supabase.sql(`
    set role authenticated;
    select set_config('request.jwt.claims', '{"role": "authenticated", "sub": "${USER}"}', false);
    create function pg_temp.attempt(statement text) returns text language plpgsql as $$
    declare
      violated text;
    begin
      execute statement;
      raise sqlstate 'TRIED';
    exception when others then
      get stacked diagnostics violated = constraint_name;
      return case sqlstate when 'TRIED' then 'accepted' else concat_ws(' ', sqlstate, nullif(violated, '')) end;
    end
    $$`);
});
after(async () => {
  await supabase?.sql("reset role");
  await supabase?.stop();
});

test("the registry of the database is the declaration", async () => {
  const rows = await supabase.sql(
    "select name, owner, fields, publish, searchable, scope, under || '.' || under_column as under from airlock.resources order by name",
  );
  const declared = resources.map(({ name, owner, fields, publish, search, scope, under }) => ({
    name,
    owner,
    fields: fields.map((field) => field.name),
    publish,
    searchable: search.length > 0,
    scope,
    under: under ? `${under.resource}.${under.column}` : null,
  }));
  assert.deepEqual(
    rows,
    declared.sort((a, b) => (a.name < b.name ? -1 : 1)),
  );
});

for (const resource of resources) {
  for (const field of resource.fields) {
    test(`${resource.name}.${field.name} takes the values that are declared`, async () => {
      await assertOutcomes(resource, field, await good(resource, field), (outcome) => outcome === "accepted");
    });

    test(`${resource.name}.${field.name} refuses all others`, async () => {
      const start = `${resource.name}_${field.name}`.slice(0, 45);
      const refused = field.kind === "ref" ? "23503" : `23514 ${start}`;
      await assertOutcomes(resource, field, bad(field), (outcome) => outcome.startsWith(refused));
      await assertOutcomes(resource, field, malformed(field), (outcome) => outcome.startsWith("22"));
    });

    test(`${resource.name}.${field.name} is null and absent as declared`, async () => {
      const [nulled = ""] = await attempts(resource, field, ["null"]);
      assert.equal(nulled, field.nullable ? "accepted" : "23502");
      const [row] = await supabase.sql("select pg_temp.attempt($1) as outcome", [await insert(resource, field)]);
      const required = !field.nullable && field.default === undefined;
      assert.equal(row?.outcome, required ? "23502" : "accepted");
    });
  }

  test(`${resource.name} has the declared defaults`, async () => {
    const id = await rowOf(resource);
    for (const field of resource.fields.filter(({ nullable, default: preset }) => nullable || preset !== undefined)) {
      const [row] = await supabase.sql(
        `select to_json(${identifier(field.name)}${field.kind === "decimal" ? "::text" : ""}) as value from public.${resource.name} where id = $1`,
        [id],
      );
      const expected =
        field.kind === "timestamp" && field.default !== undefined
          ? new Date(field.default as string)
          : (field.default ?? null);
      assert.deepEqual(expected instanceof Date ? new Date(row?.value as string) : row?.value, expected, field.name);
    }
  });
}

async function assertOutcomes(
  resource: Resource,
  field: Field,
  values: string[],
  expected: (outcome: string) => boolean,
): Promise<void> {
  const outcomes = await attempts(resource, field, values);
  const wrong = values
    .map((value, n) => `${value.slice(0, 80)}: ${outcomes[n]}`)
    .filter((_, n) => !expected(outcomes[n] ?? ""));
  assert.deepEqual(wrong, []);
}

/** The outcome of rows with these values (SQL) of the field: "accepted", or a SQLSTATE and the constraint. */
async function attempts(resource: Resource, field: Field, values: string[]): Promise<string[]> {
  const statements = await Promise.all(values.map((value) => insert(resource, field, value)));
  const rows = await supabase.sql(
    "select pg_temp.attempt(statement) as outcome from unnest($1::text[]) with ordinality as tried (statement, place) order by place",
    [statements],
  );
  return rows.map(({ outcome }) => String(outcome));
}

/** A statement for a row with the required fields and this value of the field; without a value, the field is absent. */
async function insert(resource: Resource, field?: Field, value?: string): Promise<string> {
  const columns = resource.owner === "org" ? ["org_id"] : [];
  const values = resource.owner === "org" ? [literal(ORG)] : [];
  const { under } = resource;
  if (under) {
    columns.push(identifier(under.column));
    values.push(literal(await rowOf(resources.find(({ name }) => name === under.resource) as Resource)));
  }
  for (const other of resource.fields) {
    const given =
      other === field
        ? value
        : other.nullable || other.default !== undefined
          ? undefined
          : (await good(resource, other))[0];
    if (given === undefined) continue;
    columns.push(identifier(other.name));
    values.push(given);
  }
  return `insert into public.${resource.name} (${columns.join(", ")}) values (${values.join(", ")})`.replace(
    "() values ()",
    "default values",
  );
}

const rows = new Map<string, Promise<string>>();

/** The id of a row that stays. */
function rowOf(resource: Resource, org = resource.owner === "org"): Promise<string> {
  const place = `${resource.name} ${org}`;
  const made =
    rows.get(place) ??
    insert({ ...resource, owner: org ? "org" : "user" }).then(async (statement) => {
      const [row] = await supabase.sql(`${statement} returning id`);
      return String(row?.id);
    });
  rows.set(place, made);
  return made;
}

// Values, as SQL

async function good(resource: Resource, field: Field): Promise<string[]> {
  switch (field.kind) {
    case "text":
    case "verbatim":
      return [
        ...lengths(field.max),
        ...lengths(field.min),
        ...(field.kind === "verbatim" && field.max > 1
          ? [`rpad(' ', ${field.max})`, `repeat(E'\\u2003', ${field.max})`]
          : []),
        ...(field.kind === "text" && field.max > 2 ? [`'x' || repeat(' ', ${field.max - 2}) || 'x'`] : []),
      ];
    case "integer":
      return [String(BigInt(field.min)), String(BigInt(field.max))];
    case "number":
      return [double(field.min), double(field.max), double(field.min / 2 + field.max / 2)];
    case "decimal":
      return [decimal(field, "9"), `-${decimal(field, "9")}`, "0", decimal(field, "1")];
    case "boolean":
      return ["true", "false"];
    case "uuid":
      return [literal("0123ABCD-0000-0000-0000-00000000000f"), literal("ffffffff-ffff-ffff-ffff-ffffffffffff")];
    case "date":
      return ["'0001-01-01'", "'9999-12-31'", "'2024-02-29'"];
    case "time":
      return ["'00:00:00'", "'23:59:59.999999'"];
    case "timestamp":
      return ["'0001-01-01T00:00:00Z'", "'9999-12-31T23:59:59.999999Z'", "'0001-01-01T01:00:00+01:00'"];
    case "one_of":
      return field.values.map(literal);
    case "texts":
      return [
        "array[]::text[]",
        texts(field.items, `repeat('x', ${field.length})`),
        texts(1, `repeat(U&'\\+01F642', ${field.length})`),
        "array['x']",
      ];
    case "integers":
      return [
        "array[]::bigint[]",
        `array_fill(${field.max}::bigint, array[${field.items}])`,
        `array[${field.min}]::bigint[]`,
      ];
    case "uuids":
      return ["array[]::uuid[]", `array_fill('ffffffff-ffff-ffff-ffff-ffffffffffff'::uuid, array[${field.items}])`];
    case "json":
      return [
        "'{}'",
        json(field.bytes, "x"),
        ...(field.bytes >= 200
          ? [
              nested(32, "[", "]"),
              nested(32, '{"a":', "}"),
              `'{"a":1.7976931348623157e308,"b":-1.7976931348623157e308,"c":5e-324}'`,
            ]
          : []),
        `'{"a":1}'`,
      ];
    case "ref": {
      const target = resources.find(({ name }) => name === field.resource);
      assert.ok(target);
      return [literal(await rowOf(target, resource.owner === "org"))];
    }
  }
}

/** Values of the field's type beyond its limits. */
function bad(field: Field): string[] {
  switch (field.kind) {
    case "text":
    case "verbatim":
      return [
        ...lengths(field.max + 1),
        ...(field.min > 0 ? lengths(field.min - 1) : []),
        ...(field.kind === "text" && field.max > 1
          ? ["' x'", "'x '", "U&'\\00A0x'", "U&'x\\3000'", "E'x\\n'", "' '"].map((value) =>
              field.min > 2 ? `rpad(${value}, ${field.min}, ' ')` : value,
            )
          : []),
      ];
    case "integer":
      return [String(BigInt(field.min) - 1n), String(BigInt(field.max) + 1n)];
    case "number":
      return [
        double(next(field.min, -1)),
        double(next(field.max, 1)),
        double(NaN),
        double(Infinity),
        double(-Infinity),
      ];
    // A number that is too large is malformed for the type.
    case "decimal":
      return ["'NaN'"];
    case "boolean":
    case "uuid":
      return [];
    case "time":
      return ["'24:00:00'", "'23:59:59.9999999'"];
    case "date":
      return ["'0001-12-31 BC'", "'10000-01-01'", "'infinity'", "'-infinity'"];
    case "timestamp":
      return [
        "'0001-12-31T23:59:59.999999Z BC'",
        "'10000-01-01T00:00:00Z'",
        "'infinity'",
        "'-infinity'",
        "'9999-12-31T23:00:00-02:00'",
      ];
    case "one_of":
      return [
        "''",
        ...field.values.flatMap((value) =>
          [`${value} `, ` ${value}`, value.toUpperCase(), `${value}\n`]
            .filter((other) => !field.values.includes(other))
            .map(literal),
        ),
      ];
    case "texts":
      return [
        texts(field.items + 1, "'x'"),
        texts(1, `repeat('x', ${field.length + 1})`),
        texts(1, `repeat(U&'\\+01F642', ${field.length + 1})`),
        "array['']",
        "array[null]::text[]",
        "array['x', null]",
        "array[['x'], ['y']]",
      ];
    case "integers":
      return [
        `array_fill(${field.max}::bigint, array[${field.items + 1}])`,
        `array[${field.min}, ${BigInt(field.min) - 1n}]::bigint[]`,
        `array[${BigInt(field.max) + 1n}]::bigint[]`,
        "array[null]::bigint[]",
        `array[${field.max}, null]::bigint[]`,
        `array[[${field.max}], [${field.min}]]::bigint[]`,
      ];
    case "uuids": {
      const uuid = literal(ORG);
      return [
        `array_fill(${uuid}::uuid, array[${field.items + 1}])`,
        "array[null]::uuid[]",
        `array[${uuid}, null]::uuid[]`,
        `array[[${uuid}], [${uuid}]]::uuid[]`,
      ];
    }
    case "json":
      return [
        json(field.bytes + 1, "x"),
        // The limit is in bytes, not in characters.
        json(field.bytes - 1, "é"),
        "'[]'",
        `'"x"'`,
        "'1'",
        "'null'",
        "'true'",
        nested(33, "[", "]"),
        nested(33, '{"a":', "}"),
        `'{"a":1e400}'`,
        `'{"a":[{"b":-1e400}]}'`,
      ];
    case "ref":
      return ["gen_random_uuid()", literal(ORG)];
  }
}

/** Values that the field's type does not accept. */
function malformed(field: Field): string[] {
  switch (field.kind) {
    case "decimal":
      return ["'x'", "''", "'Infinity'", `1${decimal(field, "0")}`, `-1${decimal(field, "0")}`];
    case "time":
      return ["'24:00:01'", "'12:60:00'", "'x'"];
    case "integer":
      return ["'1.5'", "'x'", "9223372036854775808"];
    case "boolean":
      return ["'maybe'"];
    case "date":
      return ["'2023-02-29'", "'x'"];
    case "timestamp":
      return ["'2023-02-29T00:00:00Z'", "'x'"];
    case "json":
      return ["'{'", `'{"a":"\\u0000"}'`, `'{"a":"\\ud800"}'`];
    case "number":
    case "uuid":
    case "texts":
    case "integers":
    case "uuids":
    case "ref":
      return ["'x'", "''"];
    default:
      return [];
  }
}

/** Texts of as many characters: of one byte, of four, and of letters with marks. */
function lengths(count: number): string[] {
  if (count === 0) return ["''"];
  return [`repeat('x', ${count})`, `repeat(U&'\\+01F642', ${count})`, `left(repeat(U&'e\\0301', ${count}), ${count})`];
}

/** A number of all digits of a decimal, each of them this one. */
const decimal = ({ precision, scale }: { precision: number; scale: number }, digit: string) =>
  `${digit.repeat(precision - scale)}.${digit.repeat(scale)}`;

const double = (value: number) => `'${Object.is(value, -0) ? "-0" : value}'::double precision`;

/** The next double in a direction. */
function next(value: number, direction: 1 | -1): number {
  if (value === 0) return direction * Number.MIN_VALUE;
  const view = new DataView(new ArrayBuffer(8));
  view.setFloat64(0, value);
  view.setBigInt64(0, view.getBigInt64(0) + BigInt(value > 0 ? direction : -direction));
  return view.getFloat64(0);
}

const texts = (count: number, item: string) => `array_fill((${item})::text, array[${count}])`;

/** An object of as many bytes, or more if a character has more than one. */
const json = (bytes: number, character: string) =>
  `('{"a":"' || repeat('${character}', ${bytes - '{"a":""}'.length}) || '"}')::json`;

/** An object this deep. */
const nested = (depth: number, open: string, close: string) =>
  `('{"a":' || repeat('${open}', ${depth - 1}) || '${open === "[" ? "" : "1"}' || repeat('${close}', ${depth - 1}) || '}')::json`;
