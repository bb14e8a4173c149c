// Expressions as PostgreSQL prints them: CHECK constraints and defaults. Printed expressions have parentheses around every
// operation, so the precedence of operators needs no table.

export type Expression =
  | { is: "text"; value: string }
  | { is: "number"; value: number }
  | { is: "boolean"; value: boolean }
  | { is: "null" }
  /** A column, by its last name; VALUE in the CHECK of a domain. */
  | { is: "column"; name: string }
  | { is: "list"; items: Expression[] }
  | { is: "cast"; of: Expression; type: string }
  | { is: "call"; name: string; args: Expression[] }
  | { is: "compare"; operator: string; left: Expression; right: Expression; quantifier?: "any" | "all" }
  | { is: "null test"; of: Expression; negated: boolean }
  | { is: "and" | "or"; parts: Expression[] }
  | { is: "not"; of: Expression };

/** Types of more than one word; the longest first. */
const LONG_TYPES = [
  "timestamp without time zone",
  "timestamp with time zone",
  "time without time zone",
  "time with time zone",
  "character varying",
  "double precision",
  "bit varying",
];

/** The expression of a text that PostgreSQL printed; undefined if it has a form that is not known here. */
export function parseExpression(text: string): Expression | undefined {
  try {
    const parser = new Parser(text);
    const parsed = parser.disjunction();
    return parser.ended ? parsed : undefined;
  } catch (error) {
    if (error instanceof Unknown) return undefined;
    throw error;
  }
}

/** The condition of `CHECK (...)`, with or without NOT VALID. */
export function checkCondition(definition: string): Expression | undefined {
  const [, condition] = /^CHECK \(([\s\S]*)\)(?: NO INHERIT)?(?: NOT VALID)?(?: NOT ENFORCED)?$/.exec(definition) ?? [];
  return condition === undefined ? undefined : parseExpression(condition);
}

class Unknown extends Error {}

const TOKEN =
  /\s*(?:(E?'(?:[^']|'')*')|("(?:[^"]|"")*"|[A-Za-z_\u0080-\uffff][\w$\u0080-\uffff]*)|(\d+(?:\.\d*)?(?:[eE][-+]?\d+)?)|(::|<=|>=|<>|[-+*/<>=~!@#%^&|?]+|[()[\],.]))/y;

interface Token {
  kind: "text" | "name" | "number" | "symbol";
  value: string;
}

class Parser {
  readonly #tokens: Token[] = [];
  #at = 0;

  constructor(text: string) {
    const end = text.trimEnd().length;
    TOKEN.lastIndex = 0;
    while (TOKEN.lastIndex < end) {
      const [, string, name, number, symbol] = TOKEN.exec(text) ?? [];
      if (string !== undefined) this.#tokens.push({ kind: "text", value: unquoted(string) });
      else if (name !== undefined) this.#tokens.push({ kind: "name", value: name });
      else if (number !== undefined) this.#tokens.push({ kind: "number", value: number });
      else if (symbol !== undefined) this.#tokens.push({ kind: "symbol", value: symbol });
      else throw new Unknown();
    }
  }

  get ended(): boolean {
    return this.#at === this.#tokens.length;
  }

  disjunction(): Expression {
    const parts = [this.#conjunction()];
    while (this.#take("OR")) parts.push(this.#conjunction());
    return parts.length > 1 ? { is: "or", parts } : (parts[0] as Expression);
  }

  #conjunction(): Expression {
    const parts = [this.#negation()];
    while (this.#take("AND")) parts.push(this.#negation());
    return parts.length > 1 ? { is: "and", parts } : (parts[0] as Expression);
  }

  #negation(): Expression {
    return this.#take("NOT") ? { is: "not", of: this.#negation() } : this.#comparison();
  }

  #comparison(): Expression {
    let left = this.#value();
    for (;;) {
      if (this.#take("IS")) {
        const negated = this.#take("NOT");
        this.#expect("NULL");
        left = { is: "null test", of: left, negated };
        continue;
      }
      const token = this.#tokens[this.#at];
      if (token?.kind !== "symbol" || !/^[-+*/<>=~!@#%^&|?]+$/.test(token.value)) return left;
      this.#at++;
      const quantifier = this.#take("ANY") ? "any" : this.#take("ALL") ? "all" : undefined;
      left = { is: "compare", operator: token.value, left, right: this.#value(), ...(quantifier && { quantifier }) };
    }
  }

  #value(): Expression {
    let value = this.#primary();
    while (this.#take("::")) value = { is: "cast", of: value, type: this.#type() };
    return value;
  }

  #primary(): Expression {
    const token = this.#tokens[this.#at++];
    if (!token) throw new Unknown();
    if (token.kind === "text") return { is: "text", value: token.value };
    if (token.kind === "number") return { is: "number", value: Number(token.value) };
    if (token.kind === "symbol") return this.#afterSymbol(token.value);
    if (token.value === "true" || token.value === "false") return { is: "boolean", value: token.value === "true" };
    if (token.value === "NULL") return { is: "null" };
    if (token.value === "ARRAY") {
      this.#expect("[");
      return { is: "list", items: this.#list("]") };
    }
    let name = plain(token.value);
    while (this.#take(".")) name += `.${plain(this.#name())}`;
    if (!this.#take("(")) {
      // A keyword that is not a column: CASE, CURRENT_TIMESTAMP.
      if (/^[A-Z]/.test(token.value) && token.value !== "VALUE")
        return { is: "call", name: name.toLowerCase(), args: [] };
      return { is: "column", name: name.split(".").at(-1) ?? "" };
    }
    if (token.value === "TRIM") {
      this.#expect("BOTH");
      this.#expect("FROM");
      return { is: "call", name: "trim", args: this.#list(")") };
    }
    return { is: "call", name, args: this.#list(")") };
  }

  #afterSymbol(symbol: string): Expression {
    if (symbol === "-") {
      const value = this.#primary();
      if (value.is !== "number") throw new Unknown();
      return { is: "number", value: -value.value };
    }
    if (symbol !== "(") throw new Unknown();
    const value = this.disjunction();
    this.#expect(")");
    return value;
  }

  #list(end: string): Expression[] {
    const items: Expression[] = [];
    if (this.#take(end)) return items;
    do items.push(this.disjunction());
    while (this.#take(","));
    this.#expect(end);
    return items;
  }

  #type(): string {
    const rest = this.#tokens.slice(this.#at, this.#at + 4).map(({ value }) => value);
    const long = LONG_TYPES.find((words) => words === rest.slice(0, words.split(" ").length).join(" "));
    let type = long ?? plain(this.#name());
    if (long !== undefined) this.#at += long.split(" ").length;
    while (this.#take(".")) type += `.${plain(this.#name())}`;
    if (this.#take("(")) this.#list(")");
    while (this.#take("[")) {
      this.#expect("]");
      type += "[]";
    }
    return type;
  }

  #name(): string {
    const token = this.#tokens[this.#at++];
    if (token?.kind !== "name") throw new Unknown();
    return token.value;
  }

  #take(value: string): boolean {
    const token = this.#tokens[this.#at];
    const found = token !== undefined && token.kind !== "text" && token.value === value;
    if (found) this.#at++;
    return found;
  }

  #expect(value: string): void {
    if (!this.#take(value)) throw new Unknown();
  }
}

const plain = (name: string) => (name.startsWith('"') ? name.slice(1, -1).replaceAll('""', '"') : name);

function unquoted(literal: string): string {
  const text = literal.replace(/^E?'|'$/g, "").replaceAll("''", "'");
  if (!literal.startsWith("E")) return text;
  // PostgreSQL prints E'' only for backslashes.
  if (/\\[^\\]/.test(text.replaceAll("\\\\", ""))) throw new Unknown();
  return text.replaceAll("\\\\", "\\");
}

/** The expression inside its casts. */
export function bare(value: Expression): Expression {
  return value.is === "cast" ? bare(value.of) : value;
}

const NUMERIC = /^(smallint|integer|bigint|numeric|real|double precision|int[248]|float[48])$/;

/** The number that a constant is; '-1'::integer is one. */
export function numberOf(value: Expression): number | undefined {
  if (value.is === "number") return value.value;
  if (value.is !== "cast" || !NUMERIC.test(value.type)) return undefined;
  if (value.of.is !== "text") return numberOf(value.of);
  const number = Number(value.of.value);
  return value.of.value.trim() === "" || Number.isNaN(number) ? undefined : number;
}

/** The text of a constant. */
export function textOf(value: Expression): string | undefined {
  const inner = bare(value);
  return inner.is === "text" ? inner.value : undefined;
}
