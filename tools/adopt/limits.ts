// The limits that CHECK constraints set for one column.

import { bare, checkCondition, type Expression, numberOf, textOf } from "./expression.ts";

export interface Limits {
  /** Characters of a text. */
  length: Range;
  value: Range;
  /** Elements of an array. */
  items: Range;
  /** The only texts that are allowed. */
  values?: string[];
}

export interface Range {
  min: number;
  max: number;
  /** The limit itself is not allowed. */
  above?: boolean;
  below?: boolean;
}

const OPEN = (): Range => ({ min: -Infinity, max: Infinity });
export const noLimits = (): Limits => ({
  length: { min: 0, max: Infinity },
  value: OPEN(),
  items: { min: 0, max: Infinity },
});

/**
 * Adds the limits of a CHECK to those of a column. Returns whether all that it says is a limit of this column; otherwise the
 * database alone knows the rest.
 */
export function addCheck(definition: string, column: string, limits: Limits): boolean {
  const condition = checkCondition(definition);
  return condition !== undefined && add(condition, column, limits);
}

function add(condition: Expression, column: string, limits: Limits): boolean {
  switch (condition.is) {
    case "and":
      // Each part is read, also after one that is not understood.
      return condition.parts.map((part) => add(part, column, limits)).every(Boolean);
    case "or": {
      // A CHECK lets null pass anyway.
      const others = condition.parts.filter(
        (part) => !(part.is === "null test" && !part.negated && isColumn(part.of, column)),
      );
      if (others.length === 1 && others[0]) return add(others[0], column, limits);
      const values = others.map((part) => valuesOf(part, column));
      return values.every((list) => list !== undefined) && restrict(limits, values.flat());
    }
    case "compare": {
      const values = valuesOf(condition, column);
      return values ? restrict(limits, values) : compare(condition, column, limits);
    }
    default:
      return false;
  }
}

function restrict(limits: Limits, values: string[]): boolean {
  limits.values = limits.values ? limits.values.filter((value) => values.includes(value)) : [...new Set(values)];
  return true;
}

const isColumn = (value: Expression, column: string) => {
  const inner = bare(value);
  return inner.is === "column" && inner.name === column;
};

/** The texts that `column = 'a'` or `column = ANY (ARRAY['a', 'b'])` allow. */
function valuesOf(condition: Expression, column: string): string[] | undefined {
  if (
    condition.is !== "compare" ||
    condition.operator !== "=" ||
    condition.quantifier === "all" ||
    !isColumn(condition.left, column)
  )
    return undefined;
  const right = bare(condition.right);
  const items = condition.quantifier === "any" ? (right.is === "list" ? right.items : undefined) : [condition.right];
  const texts = items?.map((item) => (numberOf(item) === undefined ? textOf(item) : undefined));
  return texts?.every((text) => text !== undefined) ? texts : undefined;
}

const FLIPPED: Record<string, string> = { "<": ">", "<=": ">=", ">": "<", ">=": "<=", "=": "=", "<>": "<>" };

function compare(
  { operator, left, right, quantifier }: Extract<Expression, { is: "compare" }>,
  column: string,
  limits: Limits,
): boolean {
  if (quantifier !== undefined) return false;
  const constant = numberOf(right);
  if (constant === undefined && numberOf(left) !== undefined) {
    const flipped = FLIPPED[operator];
    return (
      flipped !== undefined && compare({ is: "compare", operator: flipped, left: right, right: left }, column, limits)
    );
  }
  // No empty text.
  if (operator === "<>" && textOf(right) === "" && isText(left, column)) return narrow(limits.length, ">=", 1);
  if (constant === undefined) return false;
  if (isColumn(left, column)) return narrow(limits.value, operator, constant);
  const inner = bare(left);
  if (inner.is !== "call") return false;
  const [of, dimension] = inner.args;
  if (/^(char_length|character_length|length)$/.test(inner.name) && of && isText(of, column))
    return narrow(limits.length, operator, constant);
  const counted =
    inner.name === "cardinality" ||
    (inner.name === "array_length" && dimension !== undefined && numberOf(dimension) === 1);
  return counted && of !== undefined && isColumn(of, column) && narrow(limits.items, operator, constant);
}

/** A column, or a column without the white space around it: the Worker trims a text before it counts. */
function isText(value: Expression, column: string): boolean {
  const inner = bare(value);
  if (inner.is === "call" && /^(trim|btrim)$/.test(inner.name) && inner.args.length === 1 && inner.args[0])
    return isColumn(inner.args[0], column);
  return isColumn(inner, column);
}

function narrow(range: Range, operator: string, limit: number): boolean {
  const lower = () => {
    if (limit < range.min || (limit === range.min && range.above)) return;
    range.min = limit;
    range.above = operator === ">";
  };
  const upper = () => {
    if (limit > range.max || (limit === range.max && range.below)) return;
    range.max = limit;
    range.below = operator === "<";
  };
  switch (operator) {
    case ">":
    case ">=":
      lower();
      return true;
    case "<":
    case "<=":
      upper();
      return true;
    case "=":
      lower();
      upper();
      return true;
    default:
      return false;
  }
}

/** The least and the greatest whole number of a range. */
export function whole({ min, max, above, below }: Range): { min: number; max: number } {
  return { min: above ? Math.floor(min) + 1 : Math.ceil(min), max: below ? Math.ceil(max) - 1 : Math.floor(max) };
}

/** The least and the greatest double of a range. */
export function doubles({ min, max, above, below }: Range): { min: number; max: number } {
  return { min: above ? next(min, 1) : min, max: below ? next(max, -1) : max };
}

/** The double beside this one. */
function next(value: number, direction: 1 | -1): number {
  if (value === 0) return direction * Number.MIN_VALUE;
  const bytes = new DataView(new ArrayBuffer(8));
  bytes.setFloat64(0, value);
  bytes.setBigInt64(0, bytes.getBigInt64(0) + (value > 0 === direction > 0 ? 1n : -1n));
  return bytes.getFloat64(0);
}
