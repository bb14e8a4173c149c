// Values for a field of any kind: accepted ones, their form in answers, and refused ones with their code.

import type { Field } from "../../tools/declaration.ts";

export interface Taken {
  sent: unknown;
  /** The value that the API answers; as sent if absent. */
  stored?: unknown;
}

export interface Refused {
  sent: unknown;
  code: string;
  /** The rest of the error's pointer after the field's own, such as `/1`. */
  at?: string;
}

/** The members of a row of a table of new-resource, in order. */
export function members(fields: Pick<Field, "name">[]): string[] {
  return ["id", ...fields.map(({ name }) => name), "version", "created_at", "updated_at", "deleted_at"];
}

const MOST = 2 ** 53 - 1;

/** Values at each limit, and other spellings of a value. */
export function taken(field: Field): Taken[] {
  switch (field.kind) {
    case "text":
      return [
        { sent: "a".repeat(field.max) },
        { sent: "\u{1F469}".repeat(field.max) },
        { sent: ` \u00a0${"b".repeat(Math.max(field.min, 1))}\u3000\n`, stored: "b".repeat(Math.max(field.min, 1)) },
        ...(field.min === 0 ? [{ sent: "" }, { sent: " \u2003 ", stored: "" }] : [{ sent: "c".repeat(field.min) }]),
      ];
    case "verbatim":
      return [
        { sent: "\u0301".repeat(field.max) },
        { sent: " ".repeat(Math.max(field.min, 1)) },
        { sent: "d".repeat(field.min) },
      ];
    case "integer":
      return [{ sent: field.min }, { sent: field.max }];
    case "number":
      return [{ sent: field.min }, { sent: field.max }, { sent: (field.min + field.max) / 3 }];
    case "decimal": {
      const [most, least] = [nines(field), `-${nines(field)}`];
      const zeros = field.scale > 0 ? `.${"0".repeat(field.scale)}` : "";
      return [{ sent: most }, { sent: least }, { sent: "0", stored: `0${zeros}` }, { sent: "-0", stored: `0${zeros}` }];
    }
    case "boolean":
      return [{ sent: true }, { sent: false }];
    case "uuid":
      return [{ sent: "7efe3d84-2d6a-4174-899e-8ffddea7a39a" }];
    case "date":
      return [{ sent: "0001-01-01" }, { sent: "2024-02-29" }, { sent: "9999-12-31" }];
    case "time":
      return [
        { sent: "00:00:00" },
        { sent: "23:59:59.999999" },
        { sent: "12:30:00.500", stored: "12:30:00.5" },
        { sent: "12:30:00.0", stored: "12:30:00" },
      ];
    case "timestamp":
      return [
        { sent: "2026-01-31T12:00:00+02:00", stored: "2026-01-31T10:00:00.000000Z" },
        { sent: "2026-01-31T12:00:00.123Z", stored: "2026-01-31T12:00:00.123000Z" },
      ];
    case "one_of":
      return field.values.map((sent) => ({ sent }));
    case "texts":
      return [{ sent: [] }, { sent: Array(field.items).fill("e".repeat(field.length)) }, { sent: ["\u{1F469}"] }];
    case "integers":
      return [{ sent: [] }, { sent: Array(field.items).fill(field.max) }, { sent: [field.min] }];
    case "uuids":
      return [{ sent: [] }, { sent: Array(field.items).fill("7efe3d84-2d6a-4174-899e-8ffddea7a39a") }];
    case "json":
      return [
        { sent: {} },
        { sent: { a: [1, null, { b: "c" }], "": true } },
        { sent: nested(32, field.bytes) },
        { sent: filled(field.bytes) },
      ];
    case "ref":
      return [];
  }
}

/** Values beyond each limit and of other types. */
export function refused(field: Field): Refused[] {
  return [...ofAnotherType(field), ...beyond(field)];
}

function ofAnotherType(field: Field): Refused[] {
  const values: Record<string, unknown> = { string: "x", number: 1, boolean: true, list: [], object: {} };
  const own =
    {
      integer: "number",
      number: "number",
      boolean: "boolean",
      texts: "list",
      integers: "list",
      uuids: "list",
      json: "object",
    }[field.kind as string] ?? "string";
  return Object.entries(values)
    .filter(([type]) => type !== own)
    .map(([, sent]) => ({ sent, code: "type" }));
}

function beyond(field: Field): Refused[] {
  const of = (code: string, ...values: unknown[]) => values.map((sent) => ({ sent, code }));
  switch (field.kind) {
    case "text":
    case "verbatim":
      return [
        ...of("length", "a".repeat(field.max + 1), ...(field.min > 0 ? ["a".repeat(field.min - 1)] : [])),
        ...of("characters", `a\0${"b".repeat(Math.max(field.min - 2, 0))}`),
      ];
    case "integer":
      return [
        ...of("type", field.min + 0.5),
        ...of("range", field.min - 1, ...(field.max < MOST ? [field.max + 1] : [MOST + 1]), 1e300),
      ];
    case "number":
      return of(
        "range",
        ...[field.min, field.max]
          .map((limit) => limit * 1.000001 + Math.sign(limit))
          .filter((value) => value < field.min || value > field.max),
      );
    case "decimal": {
      const [, whole = "", fraction = ""] = /^(\d+)\.?(\d*)$/.exec(nines(field)) ?? [];
      return [
        ...of("format", "", "1e0", ".5", "01", "+1", "1.", "NaN", `0.${fraction}1`),
        ...of("range", `1${whole.replaceAll(/\d/g, "0")}`, `-1${whole.replaceAll(/\d/g, "0")}`),
      ];
    }
    case "boolean":
      return [];
    case "time":
      return of("format", "", "24:00:00", "12:60:00", "12:30:60", "12:30", "1:00:00", "12:30:00.1234567", "12:30:00Z");
    case "uuid":
    case "ref":
      return of("format", "", "7EFE3D84-2D6A-4174-899E-8FFDDEA7A39A", "7efe3d842d6a4174899e8ffddea7a39a");
    case "date":
      return of("format", "", "2026-02-29", "2026-2-1", "0000-01-01", "10000-01-01", "2026-01-31T00:00:00Z");
    case "timestamp":
      return of(
        "format",
        "",
        "2026-01-31",
        "2026-01-31t12:00:00Z",
        "2026-01-31T12:00:00z",
        "2026-01-31T12:00:60Z",
        "2026-01-31T12:00:00.1234567Z",
        "2026-01-31T12:00:00",
        "0001-01-01T00:00:00+01:00",
        "2026-02-30T12:00:00Z",
      );
    case "one_of":
      return of("one_of", "", `${field.values[0]} `, "none of these");
    case "texts":
      return [
        { sent: Array(field.items + 1).fill("a"), code: "items" },
        { sent: ["a", "b".repeat(field.length + 1)], code: "length", at: "/1" },
        { sent: [""], code: "length", at: "/0" },
        { sent: ["a", 7], code: "type", at: "/1" },
        { sent: [null], code: "type", at: "/0" },
        { sent: ["a\0"], code: "characters", at: "/0" },
      ];
    case "integers":
      return [
        { sent: Array(field.items + 1).fill(field.max), code: "items" },
        { sent: [field.max, field.min - 1], code: "range", at: "/1" },
        { sent: [field.max < MOST ? field.max + 1 : MOST + 1], code: "range", at: "/0" },
        { sent: [field.min + 0.5], code: "type", at: "/0" },
        { sent: [null], code: "type", at: "/0" },
      ];
    case "uuids":
      return [
        { sent: Array(field.items + 1).fill("7efe3d84-2d6a-4174-899e-8ffddea7a39a"), code: "items" },
        { sent: ["7EFE3D84-2D6A-4174-899E-8FFDDEA7A39A"], code: "format", at: "/0" },
        { sent: [7], code: "type", at: "/0" },
        { sent: [null], code: "type", at: "/0" },
      ];
    case "json":
      return [
        ...of("size", { a: "b".repeat(field.bytes) }),
        ...of("depth", nested(33, field.bytes)).filter(({ sent }) => JSON.stringify(sent) !== "{}"),
        ...of("characters", { a: "\0" }, { "\0": 1 }),
      ];
  }
}

/** The greatest value of a decimal. */
function nines({ precision, scale }: { precision: number; scale: number }): string {
  const whole = "9".repeat(precision - scale) || "0";
  return scale > 0 ? `${whole}.${"9".repeat(scale)}` : whole;
}

/** An object of this depth, itself included, if it fits. */
function nested(depth: number, bytes: number): object {
  let value: object = {};
  for (let at = 2; at <= depth; at++) value = at % 2 && at < depth ? [value] : { a: value };
  return JSON.stringify(value).length <= bytes ? value : {};
}

/** An object of this many bytes. */
function filled(bytes: number): object {
  return { a: "f".repeat(bytes - '{"a":""}'.length) };
}
