// The field that a column becomes: its kind with the limits of the database, or the reason why there is none.

import type { Column, Constraint, Type } from "./catalogue.ts";
import { bare, type Expression, numberOf, parseExpression, textOf } from "./expression.ts";
import { addCheck, doubles, type Limits, noLimits, type Range, whole } from "./limits.ts";

/** Characters of a text without a limit in the database, elements and characters of a list, bytes of a JSON object. */
const TEXT_MAX = 10_000;
const ITEMS_MAX = 100;
const ITEM_MAX = 1000;
const JSON_MAX = 65_536;
const WHOLE_MAX = 9_007_199_254_740_991;

const UNLIMITED = { comment: "no upper limit in the database", unlimited: true };

export interface Kind {
  /** The kind as airlock.toml has it, without ? and =. */
  text: string;
  /** Notes for readers of airlock.toml. */
  comment?: string;
  /** The database has no limit: the one of the kind may be another. */
  unlimited?: boolean;
}

export type Read = { kind: Kind; preset: Preset; nullable: boolean; own: string[] } | { reason: string };

/** The value when absent: none, one that airlock.toml names, or the database's. */
export type Preset = { is: "none" } | { is: "value"; text: string } | { is: "database" };

/** Reads a column. `own` names the CHECKs that the database alone knows. */
export function readColumn(column: Column, constraints: Constraint[]): Read {
  const limits = noLimits();
  const checks = constraints.filter(({ kind, columns }) => kind === "c" && columns.includes(column.name));
  const own = checks.filter(({ definition }) => !addCheck(definition, column.name, limits)).map(({ name }) => name);
  const domains: string[] = [];
  let [type, modifier, notNull, preset] = [column.type, column.modifier, column.notNull, column.default];
  while (type.domain) {
    const { domain } = type;
    for (const { name, definition } of domain.checks) {
      domains.push(name);
      if (!addCheck(definition, "VALUE", limits)) own.push(name);
    }
    [modifier, notNull, preset] = [domain.modifier, notNull || domain.notNull, preset ?? domain.default];
    type = domain.base;
  }
  if (column.dimensions > 1) return { reason: "there is no kind for a list of lists" };
  const found = kindOf(type, modifier, limits);
  if ("reason" in found) return found;
  const value = column.identity !== "" ? ({ is: "database" } as const) : presetOf(preset, found);
  // decimal has no least and no greatest value.
  if (found.text.startsWith("decimal") && (limits.value.min > -Infinity || limits.value.max < Infinity))
    own.push(...checks.map(({ name }) => name), ...domains);
  if (value === undefined) return { reason: `its default ${preset} is not a JSON object` };
  return {
    kind: {
      text: found.text,
      ...(found.comment && { comment: found.comment }),
      ...(found.unlimited && { unlimited: true }),
    },
    preset: value,
    nullable: !notNull,
    own,
  };
}

interface Known extends Kind {
  /** The default as airlock.toml writes it; undefined if the kind has no such value. */
  value(constant: Expression): string | undefined;
  /** Whether a default of another form keeps the column out. */
  strict?: boolean;
}

const INTEGERS: Record<string, number> = { int2: 32_767, int4: 2_147_483_647, int8: WHOLE_MAX };

function kindOf(type: Type, modifier: number, limits: Limits): Known | { reason: string } {
  if (type.form === "e") return oneOf((type.labels ?? []).filter((label) => limits.values?.includes(label) ?? true));
  if (type.schema !== "pg_catalog" && type.name !== "citext")
    return { reason: `there is no kind for the type ${type.schema}.${type.name}` };
  if (type.element) return listOf(type.element, modifier, limits);
  if (type.name in INTEGERS) return integer(INTEGERS[type.name] ?? 0, type.name, limits.value);
  switch (type.name) {
    case "text":
    case "citext":
    case "varchar":
    case "bpchar":
      return text(type.name, modifier, limits);
    case "bool":
      return {
        text: "boolean",
        value: (constant) =>
          bare(constant).is === "boolean" ? String((bare(constant) as { value: boolean }).value) : undefined,
      };
    case "float8":
    case "float4":
      return double(
        type.name === "float4" ? 3.4028234663852886e38 : Number.MAX_VALUE,
        limits.value,
        type.name === "float4",
      );
    case "numeric":
      return modifier < 0
        ? { reason: "numeric without a precision has no kind; give it one: numeric(12, 2)" }
        : decimal(modifier);
    case "uuid":
      return {
        text: "uuid",
        value: (constant) => quotedIf(textOf(constant), /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/),
      };
    case "date":
      return { text: "date", value: (constant) => quotedIf(textOf(constant), /^\d{4}-\d\d-\d\d$/) };
    case "time":
      return {
        text: "time",
        ...keptDigits(modifier),
        value: (constant) => quotedIf(textOf(constant), /^([01]\d|2[0-3]):[0-5]\d:[0-5]\d(\.\d{1,6})?$/),
      };
    case "timestamptz":
    case "timestamp": {
      const notes = [
        type.name === "timestamp" ? "without a time zone in the database: taken as UTC" : undefined,
        keptDigits(modifier)?.comment,
      ].filter((note) => note !== undefined);
      return { text: "timestamp", ...(notes.length > 0 && { comment: notes.join("; ") }), value: () => undefined };
    }
    case "json":
    case "jsonb":
      return { text: `json(${JSON_MAX})`, ...UNLIMITED, strict: true, value: jsonObject };
    default:
      return { reason: `there is no kind for the type ${type.name}` };
  }
}

/** The fractions of a second that the type of a time keeps. */
const keptDigits = (modifier: number) =>
  modifier >= 0 && modifier < 6 ? { comment: `the database keeps ${modifier} digits of a second` } : undefined;

function text(name: string, modifier: number, limits: Limits): Known | { reason: string } {
  if (limits.values) return oneOf(limits.values);
  // The modifier counts four bytes that no character uses.
  const declared = modifier >= 4 ? modifier - 4 : Infinity;
  let { min, max } = whole(limits.length);
  max = Math.min(max, declared);
  const unlimited = max === Infinity;
  if (unlimited) max = Math.max(TEXT_MAX, min);
  if (name === "bpchar") {
    if (declared === Infinity) return { reason: "character without a length has no kind; use text" };
    // A shorter value would come back with spaces.
    min = Math.max(min, max);
  }
  if (min > max) return { reason: "no text meets its CHECKs" };
  return {
    text: `text(${min}..${max})`,
    ...(unlimited && UNLIMITED),
    value(constant) {
      const value = textOf(constant);
      const length = [...(value ?? "")].length;
      return value !== undefined && value === value.trim() && length >= min && length <= max
        ? quoted(value)
        : undefined;
    },
  };
}

function integer(most: number, name: string, range: Range): Known | { reason: string } {
  const limit = whole(range);
  const min = Math.max(limit.min, name === "int8" ? -WHOLE_MAX : -most - 1);
  const max = Math.min(limit.max, most);
  if (min > max) return { reason: "no number meets its CHECKs" };
  return {
    text: `integer(${min}..${max})`,
    value: (constant) => within(numberOf(constant), min, max, Number.isInteger),
  };
}

function double(most: number, range: Range, single: boolean): Known | { reason: string } {
  const limit = doubles(range);
  const [min, max] = [Math.max(limit.min, -most), Math.min(limit.max, most)];
  if (min > max) return { reason: "no number meets its CHECKs" };
  return {
    text: `number(${min}..${max})`,
    ...(single && { comment: "the database keeps about seven digits" }),
    value: (constant) => within(numberOf(constant), min, max),
  };
}

function decimal(modifier: number): Known | { reason: string } {
  // The scale is a signed number of 11 bits.
  const [precision, scale] = [((modifier - 4) >> 16) & 0xffff, ((modifier - 4) << 21) >> 21];
  if (scale < 0 || scale > precision)
    return { reason: `numeric(${precision},${scale}) has no kind; its scale must be from 0 to its precision` };
  const form = new RegExp(`^-?\\d{1,${Math.max(precision - scale, 1)}}${scale > 0 ? `(\\.\\d{1,${scale}})?` : ""}$`);
  return {
    text: `decimal(${precision},${scale})`,
    value(constant) {
      const value = numberOf(constant);
      // Greater ones have more digits than a double of JavaScript.
      return value !== undefined && Math.abs(value) < 1e15 ? quotedIf(String(value), form) : undefined;
    },
  };
}

function listOf(element: Type, modifier: number, limits: Limits): Known | { reason: string } {
  const { min, max } = whole(limits.items);
  if (min > 0) return { reason: "a list with a least number of elements has no kind" };
  const items = Math.max(1, Math.min(max, ITEMS_MAX));
  const value = (constant: Expression) => {
    const elements = elementsOf(constant);
    return elements === undefined || elements.length > items ? undefined : JSON.stringify(elements);
  };
  const comment = max === Infinity ? UNLIMITED : {};
  if (element.name === "text" || element.name === "varchar") {
    const length = modifier >= 4 ? Math.min(modifier - 4, ITEM_MAX) : ITEM_MAX;
    return { text: `texts(${items},${length})`, ...comment, value };
  }
  const most = INTEGERS[element.name];
  const empty = (constant: Expression) => (elementsOf(constant)?.length === 0 ? "[]" : undefined);
  if (most !== undefined)
    return {
      text: `integers(${items},${element.name === "int8" ? -most : -most - 1}..${most})`,
      ...comment,
      value: empty,
    };
  if (element.name === "uuid") return { text: `uuids(${items})`, ...comment, value: empty };
  return {
    reason: `there is no kind for a list of ${element.schema === "pg_catalog" ? element.name : `${element.schema}.${element.name}`}`,
  };
}

/** The texts of an array that is a constant. */
function elementsOf(constant: Expression): string[] | undefined {
  const inner = bare(constant);
  if (inner.is === "list") {
    const texts = inner.items.map(textOf);
    return texts.every((text) => text !== undefined) ? texts : undefined;
  }
  const [, elements] = inner.is === "text" ? (/^\{((?:\w+(?:,\w+)*)?)\}$/.exec(inner.value) ?? []) : [];
  return elements === undefined ? undefined : elements === "" ? [] : elements.split(",");
}

function oneOf(values: string[]): Known | { reason: string } {
  if (values.length === 0) return { reason: "no value meets its CHECKs" };
  const shown = values.map((value) => (/^[A-Za-z0-9_.-]{1,63}$/.test(value) ? value : quoted(value)));
  return {
    text: `one_of(${shown.join(",")})`,
    value(constant) {
      const value = textOf(constant);
      return value !== undefined && values.includes(value) ? quoted(value) : undefined;
    },
  };
}

function jsonObject(constant: Expression): string | undefined {
  try {
    const value: unknown = JSON.parse(textOf(constant) ?? "");
    return typeof value === "object" && value !== null && !Array.isArray(value) ? JSON.stringify(value) : undefined;
  } catch {
    return undefined;
  }
}

const quoted = (value: string) => `'${value.replaceAll("'", "''")}'`;
const quotedIf = (value: string | undefined, form: RegExp) =>
  value !== undefined && form.test(value) ? quoted(value) : undefined;
const within = (value: number | undefined, min: number, max: number, also: (value: number) => boolean = () => true) =>
  value !== undefined && value >= min && value <= max && also(value) ? String(value) : undefined;

/** Undefined if the default shows that the column holds values that its kind cannot. */
function presetOf(preset: string | null, kind: Known): Preset | undefined {
  if (preset === null) return { is: "none" };
  const expression = parseExpression(preset);
  if (expression && bare(expression).is === "null") return { is: "none" };
  const value = expression && kind.value(expression);
  if (value !== undefined) return { is: "value", text: value };
  const constant = expression && textOf(expression) !== undefined;
  return kind.strict && constant ? undefined : { is: "database" };
}
