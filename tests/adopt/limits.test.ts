// CHECK constraints and defaults in the forms that PostgreSQL prints, and the limits that a field gets from them.

import assert from "node:assert/strict";
import { test } from "node:test";

import type { Column, Constraint, Type } from "../../tools/adopt/catalogue.ts";
import { parseExpression } from "../../tools/adopt/expression.ts";
import { readColumn } from "../../tools/adopt/kinds.ts";
import { addCheck, noLimits } from "../../tools/adopt/limits.ts";
import { wireName } from "../../tools/adopt/names.ts";

const ANY = Infinity;

const LENGTHS: [string, number, number][] = [
  ["CHECK ((char_length(x) > 3))", 4, ANY],
  ["CHECK ((char_length(x) >= 3)) NOT VALID", 3, ANY],
  ["CHECK (((char_length(x) >= 1) AND (char_length(x) <= 80)))", 1, 80],
  ["CHECK ((length((x)::text) < 10))", 0, 9],
  ["CHECK ((100 >= length(x)))", 0, 100],
  ["CHECK ((length(x) = 2))", 2, 2],
  ["CHECK ((x <> ''::text))", 1, ANY],
  ["CHECK (((x)::text <> ''::text))", 1, ANY],
  ["CHECK ((TRIM(BOTH FROM x) <> ''::text))", 1, ANY],
  ["CHECK (((char_length(TRIM(BOTH FROM x)) >= 1) AND (char_length(TRIM(BOTH FROM x)) <= 2000)))", 1, 2000],
  ["CHECK ((btrim(x) <> ''::text))", 1, ANY],
  ["CHECK (((x IS NULL) OR (char_length(x) >= 3)))", 3, ANY],
  ["CHECK (((char_length(x) >= 2) AND (char_length(x) >= 5)))", 5, ANY],
];
for (const [definition, min, max] of LENGTHS) {
  test(`length: ${definition}`, () => {
    const limits = noLimits();
    assert.equal(addCheck(definition, "x", limits), true);
    const { above, below } = limits.length;
    assert.deepEqual([limits.length.min + (above ? 1 : 0), limits.length.max - (below ? 1 : 0)], [min, max]);
  });
}

const VALUES: [string, string[]][] = [
  ["CHECK (((x)::text = ANY ((ARRAY['a'::character varying, 'b'::character varying])::text[])))", ["a", "b"]],
  ["CHECK ((x = ANY (ARRAY['a'::text, 'it''s'::text])))", ["a", "it's"]],
  ["CHECK (((x = 'a'::text) OR (x = 'b'::text)))", ["a", "b"]],
  ["CHECK (((x IS NULL) OR (x = ANY (ARRAY['a'::text]))))", ["a"]],
  ["CHECK ((x = 'a'::text))", ["a"]],
  ["CHECK ((x = ANY (ARRAY['{\"a\"}'::text, 'b::c'::text, 'd, e)'::text])))", ['{"a"}', "b::c", "d, e)"]],
];
for (const [definition, values] of VALUES) {
  test(`values: ${definition}`, () => {
    const limits = noLimits();
    assert.equal(addCheck(definition, "x", limits), true);
    assert.deepEqual(limits.values, values);
  });
}

const OWN = [
  "CHECK ((x ~ '^[a-z]+$'::text))",
  "CHECK ((x > y))",
  "CHECK ((x >= '1900-01-01'::date))",
  "CHECK (((x)::text <> ALL ((ARRAY['a'::character varying])::text[])))",
  "CHECK (((x = 'a'::text) OR (char_length(x) = 5)))",
  "CHECK (private.is_good(x))",
  "CHECK ((NOT (x = 'a'::text)))",
  "CHECK (CASE WHEN x THEN true ELSE false END)",
  "CHECK ((jsonb_typeof(x) = 'object'::text))",
  "CHECK (((x = 'a'::text) OR (y = 'b'::text)))",
  "CHECK ((octet_length(x) <= 100))",
  "EXCLUDE USING gist (x WITH &&)",
];
for (const definition of OWN) {
  test(`left to the database: ${definition}`, () => {
    const limits = noLimits();
    assert.equal(addCheck(definition, "x", limits), false);
    assert.deepEqual(limits, noLimits());
  });
}

test("one part of a CHECK is read beside another that is left to the database", () => {
  const limits = noLimits();
  assert.equal(addCheck("CHECK (((x >= 0) AND (x < y)))", "x", limits), false);
  assert.equal(limits.value.min, 0);
});

const base = (name: string): Type => ({ schema: "pg_catalog", name, form: "b" });
const column = (type: Type, more: Partial<Column> = {}): Column => ({
  number: 1,
  name: "x",
  type,
  typeName: type.name,
  modifier: -1,
  notNull: false,
  default: null,
  identity: "",
  generated: "",
  dimensions: 0,
  granted: [],
  open: false,
  numbered: true,
  ...more,
});
const checks = (...definitions: string[]): Constraint[] =>
  definitions.map((definition, at) => ({ name: `check_${at}`, kind: "c", columns: ["x"], definition }));

const KINDS: [string, Column, string[], string][] = [
  ["varchar(50)", column(base("varchar"), { modifier: 54 }), [], "text(0..50)"],
  [
    "varchar(50) with a narrower CHECK",
    column(base("varchar"), { modifier: 54 }),
    ["CHECK ((char_length((x)::text) <= 20))"],
    "text(0..20)",
  ],
  [
    "text with a least length above the usual most",
    column(base("text")),
    ["CHECK ((length(x) >= 20000))"],
    "text(20000..20000)",
  ],
  ["smallint", column(base("int2")), [], "integer(-32768..32767)"],
  ["integer above a fraction", column(base("int4")), ["CHECK (((x)::numeric > 0.5))"], "integer(1..2147483647)"],
  ["integer between", column(base("int4")), ["CHECK (((x >= 1) AND (x <= 5)))"], "integer(1..5)"],
  ["integer below a negative", column(base("int4")), ["CHECK ((x < '-1'::integer))"], "integer(-2147483648..-2)"],
  ["bigint", column(base("int8")), [], "integer(-9007199254740991..9007199254740991)"],
  [
    "double above zero",
    column(base("float8")),
    ["CHECK ((x > (0)::double precision))"],
    "number(5e-324..1.7976931348623157e+308)",
  ],
  [
    "double below one",
    column(base("float8")),
    ["CHECK (((x >= ('-1'::integer)::double precision) AND (x < (1)::double precision)))"],
    "number(-1..0.9999999999999999)",
  ],
  ["numeric(10,2)", column(base("numeric"), { modifier: ((10 << 16) | 2) + 4 }), [], "decimal(10,2)"],
  ["numeric(38,10)", column(base("numeric"), { modifier: ((38 << 16) | 10) + 4 }), [], "decimal(38,10)"],
  ["time", column(base("time")), [], "time"],
  [
    "integer[] with a most",
    column({ ...base("_int4"), element: base("int4") }),
    ["CHECK ((cardinality(x) <= 5))"],
    "integers(5,-2147483648..2147483647)",
  ],
  [
    "bigint[]",
    column({ ...base("_int8"), element: base("int8") }),
    [],
    "integers(100,-9007199254740991..9007199254740991)",
  ],
  ["uuid[]", column({ ...base("_uuid"), element: base("uuid") }), [], "uuids(100)"],
  ["char(3)", column(base("bpchar"), { modifier: 7 }), [], "text(3..3)"],
  [
    "a list with a most",
    column({ ...base("_text"), element: base("text") }),
    ["CHECK ((array_length(x, 1) <= 5))"],
    "texts(5,1000)",
  ],
  [
    "an enum with a CHECK",
    column({ schema: "public", name: "mood", form: "e", labels: ["a", "b", "so so"] }),
    ["CHECK ((x = ANY (ARRAY['a'::public.mood, 'so so'::public.mood])))"],
    "one_of(a,'so so')",
  ],
  [
    "a domain",
    column({
      schema: "public",
      name: "tag",
      form: "d",
      domain: {
        base: base("text"),
        modifier: -1,
        notNull: true,
        default: null,
        checks: [{ name: "c", definition: "CHECK ((char_length(VALUE) <= 9))" }],
      },
    }),
    [],
    "text(0..9)",
  ],
];
for (const [name, one, definitions, kind] of KINDS) {
  test(`${name} becomes ${kind}`, () => {
    const read = readColumn(one, checks(...definitions));
    assert.ok("kind" in read, JSON.stringify(read));
    assert.equal(read.kind.text, kind);
    assert.deepEqual(read.own, []);
  });
}

const PRESETS: [Type, string, unknown][] = [
  [base("bool"), "false", { is: "value", text: "false" }],
  [base("text"), "'it''s'::text", { is: "value", text: "'it''s'" }],
  [base("text"), "' padded '::text", { is: "database" }],
  [base("text"), "E'a\\\\b'::text", { is: "value", text: "'a\\b'" }],
  [base("text"), "NULL::text", { is: "none" }],
  [base("int4"), "'-1'::integer", { is: "value", text: "-1" }],
  [base("int4"), "nextval('public.s'::regclass)", { is: "database" }],
  [base("timestamptz"), "now()", { is: "database" }],
  [base("uuid"), "auth.uid()", { is: "database" }],
  [base("date"), "CURRENT_DATE", { is: "database" }],
  [base("date"), "'2026-01-01'::date", { is: "value", text: "'2026-01-01'" }],
  [{ ...base("_text"), element: base("text") }, "'{}'::text[]", { is: "value", text: "[]" }],
  [{ ...base("_text"), element: base("text") }, "ARRAY['a'::text, 'b c'::text]", { is: "value", text: '["a","b c"]' }],
  [base("jsonb"), "'{\"a\": 1}'::jsonb", { is: "value", text: '{"a":1}' }],
  [base("time"), "'09:30:00'::time without time zone", { is: "value", text: "'09:30:00'" }],
  [base("time"), "LOCALTIME", { is: "database" }],
  [{ ...base("_uuid"), element: base("uuid") }, "'{}'::uuid[]", { is: "value", text: "[]" }],
  [{ ...base("_int4"), element: base("int4") }, "'{1}'::integer[]", { is: "database" }],
  [base("jsonb"), "jsonb_build_object()", { is: "database" }],
];
for (const [type, preset, expected] of PRESETS) {
  test(`default ${preset} of ${type.name}`, () => {
    const read = readColumn(column(type, { default: preset }), []);
    assert.ok("kind" in read, JSON.stringify(read));
    assert.deepEqual(read.preset, expected);
  });
}

test("a default that is a JSON array keeps its column out", () => {
  assert.deepEqual(readColumn(column(base("jsonb"), { default: "'[]'::jsonb" }), []), {
    reason: "its default '[]'::jsonb is not a JSON object",
  });
});

test("an expression of an unknown form is not parsed", () => {
  for (const text of ["", "a b", "f(", "(1", "'a", "x::", "ARRAY[1", "E'\\n'::text"])
    assert.equal(parseExpression(text), undefined, text);
});

const NAMES: [string, string | undefined][] = [
  ["task", "task"],
  ["isDone", "is_done"],
  ["HTTPServer", "http_server"],
  ["Full Name", "full_name"],
  ["a-b", "a_b"],
  ["userID2", "user_id2"],
  ["select", undefined],
  ["user", undefined],
  ["🎉", undefined],
  ["é", undefined],
  ["_x", undefined],
  ["1x", undefined],
  ['a"b', undefined],
  ["a".repeat(41), undefined],
  ["", undefined],
];
for (const [name, wire] of NAMES)
  test(`the wire name of ${JSON.stringify(name).slice(0, 20)}`, () => assert.equal(wireName(name), wire));
