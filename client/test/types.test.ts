import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

import type { Airlock, IdKind, LooseDeclaration } from "../src/index.ts";
import { clientTypes } from "../../tools/client-types.ts";
import type { Declaration, Field } from "../../tools/declaration.ts";
import { airlockWith, ID } from "./stub.ts";

const root = fileURLToPath(new URL("../..", import.meta.url));

/** The errors of the compiler, with the options of tsconfig.json that matter to types. */
async function compile(...files: string[]): Promise<string> {
  const options = ["--noEmit", "--strict", "--noUncheckedIndexedAccess", "--allowImportingTsExtensions", "--verbatimModuleSyntax"];
  const libraries = ["--ignoreConfig", "--target", "ES2023", "--lib", "ES2023,DOM", "--module", "NodeNext", "--types", ""];
  const command = promisify(execFile)(process.execPath, [`${root}node_modules/typescript/bin/tsc`, ...options, ...libraries, ...files]);
  return command.then(() => "", ({ stdout, message }) => stdout || message);
}

test("rows, drafts and calls are typed as declared", async () => {
  assert.equal(await compile(`${root}client/test/types.ts`), "");
});

test("the types of any declaration compile", async () => {
  const text = (name: string, more: Partial<Field> = {}) => ({ name, kind: "text", min: 0, max: 9, nullable: false, ...more }) as Field;
  const resource = (name: string, fields: Field[], publish: string[] | null = null) => ({ name, owner: "user" as const, search: [], publish, unique: {}, fields });
  const words = ["get", "set", "new", "readonly", "constructor", "typeof", "string", "delete", "notes", "fields"];
  const declarations: Declaration[] = [
    { organizations: true, resources: [] },
    { organizations: false, resources: [resource("tags", [text("label")])] },
    { organizations: true, resources: [{ ...resource("todos", [{ name: "after", kind: "ref", resource: "todos", nullable: true }]), id: "bigint" }, { ...resource("profiles", []), id: "owner" }] },
    { organizations: true, resources: words.map((word) => resource(word, words.map((name) => text(name)), words)) },
    {
      organizations: false,
      resources: [
        resource("quotes", [
          { name: "one", kind: "one_of", values: ['"', "'", "\\", "`", "*/", "${1}", "\u2028", "é"], nullable: true },
          text("comment", { default: "*/ } // \n" }),
          { name: "settings", kind: "json", bytes: 100, nullable: false, default: { "*/": ["*/"] } },
        ]),
      ],
    },
  ];
  await mkdir(`${root}.airlock`, { recursive: true });
  const folder = await mkdtemp(`${root}.airlock/client-types-`);
  try {
    const names = declarations.map((_, n) => `declaration${n}`);
    for (const [n, name] of names.entries()) await writeFile(`${folder}/${name}.ts`, clientTypes(declarations[n]!));
    const client = 'import { createAirlock, type AirlockOptions, type Draft } from "../../client/src/index.ts";\ndeclare const options: AirlockOptions;\n';
    const quote = `export const draft: Draft<"quotes", ${names.at(-1)}> = { one: "*/", settings: { a: 1 } };\n`;
    const uses = names.map((name) => `import { ids as ids_${name}, type Declaration as ${name} } from "./${name}.ts";\ncreateAirlock<${name}>({ ...options, ids: ids_${name} });\n`);
    await writeFile(`${folder}/use.ts`, client + uses.join("") + quote);
    assert.equal(await compile(`${folder}/use.ts`), "");
  } finally {
    await rm(folder, { recursive: true });
  }
});

test("a generated file has the kind of each id, as a type and at run time", async () => {
  const fields: Field[] = [{ name: "todo", kind: "ref", resource: "todos", nullable: false }];
  const resource = { owner: "user" as const, search: [], publish: null, unique: {}, fields };
  const text = clientTypes({ organizations: true, resources: [{ ...resource, name: "todos", id: "bigint" }, { ...resource, name: "profiles", id: "owner" }, { ...resource, name: "tags" }] });
  assert.deepEqual(text.match(/(?<= id: ).*(?=;)/g), ["number", '"me"', "string"]);
  assert.deepEqual(text.match(/(?<= todo: ).*(?=;)/g), ["number", "number", "number"]);
  // A data URL takes JavaScript: the value alone.
  const [value] = /^export const ids = .*(?= as const;$)/m.exec(text) ?? assert.fail(text);
  const { ids } = await import(`data:text/javascript,${encodeURIComponent(value)}`);
  const kinds: Record<string, IdKind> = { todos: "bigint", profiles: "owner", tags: "uuid" };
  assert.deepEqual(ids, kinds);
  const { airlock, sent } = airlockWith([], { ids });
  const loose = airlock as unknown as Airlock<LooseDeclaration>;
  await assert.rejects(loose.resource("todos").get(ID), /An id is a whole number/);
  await assert.rejects(loose.resource("profiles").get(ID), /An id is "me"/);
  await assert.rejects(loose.resource("tags").get(1), /An id is a lower-case UUID/);
  assert.equal(sent.length, 0);
});
