// A Worker for the resources of tests/resources/<name>.toml, with the tables of <name>.sql.

import { readFile } from "node:fs/promises";

import { check, type Resource, toJson } from "../../tools/declaration.ts";
import { openapi } from "../../tools/openapi/document.ts";
import { describe } from "./documented.ts";
import { type Caller, caller, type Stack, startStack } from "./support.ts";

export interface Declared {
  stack: Stack;
  resources: Resource[];
  /** Their answers are held against the document. */
  alice: Caller;
  bob: Caller;
}

export async function startDeclared(name: string): Promise<Declared> {
  const read = (extension: string) => readFile(new URL(`../resources/${name}.${extension}`, import.meta.url), "utf8");
  const declaration = toJson(await read("toml"));
  const stack = await startStack({}, { declaration });
  await stack.sql(await read("sql"));
  const checked = await check(declaration);
  const description = describe(openapi(checked));
  const documented =
    (call: Caller): Caller =>
    async (method, target, ...rest) => {
      const answered = await call(method, target, ...rest);
      if (description.documents(method, target)) description.assertDocumented(method, target, answered);
      return answered;
    };
  return {
    stack,
    resources: checked.resources,
    alice: documented(caller(stack.url, stack.alice.token)),
    bob: documented(caller(stack.url, stack.bob.token)),
  };
}
