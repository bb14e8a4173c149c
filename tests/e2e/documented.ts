// An OpenAPI document, such as a Worker serves, and checks of answers against it.

import assert from "node:assert/strict";

import { Ajv2020, type ValidateFunction } from "ajv/dist/2020.js";
import addFormats from "ajv-formats";

import type { Answer } from "../../client/src/index.ts";

/** Any part of the document. */
export type Part = any;

export interface Description {
  document: Part;
  /** Follows a reference. */
  resolve(part: Part): Part;
  /** A validator of one of the document's schemas; `closed` refuses members that it does not name. */
  validator(schema: Part, options?: { closed?: boolean }): ValidateFunction;
  assertValid(schema: Part, value: unknown, context: string, options?: { closed: boolean }): void;
  /** Whether there is this operation. */
  documents(method: string, target: string): boolean;
  /** The answer is one that the operation documents: status, headers, media type and body. Returns the operation's id. */
  assertDocumented(method: string, target: string, answer: Answer): string;
}

/** The document's path of a target: of those that match it, the one with the fewest parameters. */
function pathOf(paths: string[], target: string): string {
  const path = target.replace(/\?.*/, "");
  const parameters = (path: string) => path.split("{").length;
  const [found = path] = paths
    .filter((one) => new RegExp(`^${one.replaceAll(/\{\w+\}/g, "[^/]+")}$`).test(path))
    .sort((a, b) => parameters(a) - parameters(b));
  return found;
}

/** The document that a Worker serves. */
export async function readDescription(url: string): Promise<Description> {
  return describe(await (await fetch(`${url}/openapi.json`)).json());
}

export function describe(document: Part): Description {
  // Strict, except for two rules that forbid schemas which complete each other.
  const ajv = new Ajv2020({ strict: true, strictTypes: false, strictRequired: false });
  addFormats.default(ajv);
  // The whole document is added as a schema, because references lead into it.
  ajv.addVocabulary(Object.keys(document));
  ajv.addSchema(document, "openapi.json");
  const compiled = new Map<string, ValidateFunction>();

  function resolve(part: Part): Part {
    if (part?.$ref === undefined) return part;
    return part.$ref
      .slice(2)
      .split("/")
      .reduce((parent: Part, name: string) => parent[name], document);
  }

  function validator(schema: Part, { closed = false } = {}): ValidateFunction {
    // References in it are relative to the document.
    const rooted = JSON.stringify(closed ? { ...schema, unevaluatedProperties: false } : schema).replaceAll(
      '"#/',
      '"openapi.json#/',
    );
    const validate = compiled.get(rooted) ?? ajv.compile(JSON.parse(rooted));
    compiled.set(rooted, validate);
    return validate;
  }

  function assertValid(schema: Part, value: unknown, context: string, options?: { closed: boolean }): void {
    const validate = validator(schema, options);
    assert.ok(validate(value), `${context}: ${ajv.errorsText(validate.errors)} in ${JSON.stringify(value)}`);
  }

  function assertDocumented(method: string, target: string, answer: Answer): string {
    const path = pathOf(Object.keys(document.paths), target);
    const operation = document.paths[path][method.toLowerCase()];
    const context = `${method} ${path}: ${answer.status}`;
    assert.ok(answer.status in operation.responses, `${context} is not documented: ${answer.body}`);
    const response = resolve(operation.responses[answer.status]);

    for (const [name, reference] of Object.entries<Part>(response.headers)) {
      const { required, schema } = resolve(reference);
      const text = answer.headers.get(name);
      assert.ok(text !== null || !required, `${context}: no ${name}`);
      if (text !== null) assertValid(schema, schema.type === "integer" ? Number(text) : text, `${context}: ${name}`);
    }

    const mediaType = answer.headers.get("content-type");
    if (response.content === undefined) {
      assert.deepEqual([mediaType, answer.body], [null, ""], context);
    } else {
      assert.deepEqual(Object.keys(response.content), [mediaType], context);
      assertValid(response.content[mediaType!].schema, JSON.parse(answer.body), context, { closed: true });
    }
    return operation.operationId;
  }

  const documents = (method: string, target: string) =>
    document.paths[pathOf(Object.keys(document.paths), target)]?.[method.toLowerCase()] !== undefined;

  return { document, resolve, validator, assertValid, documents, assertDocumented };
}
