// The types that `npm run generate` makes: code that the compiler accepts and refuses in the app of a team.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { resource as declared, type FieldPart } from "../../tests/support/declared.ts";
import { clientTypes } from "../../tools/client-types.ts";
import type { Declaration, Resource } from "../../tools/declaration.ts";
import type { Airlock, IdKind, LooseDeclaration, ResourceIds } from "../src/index.ts";
import { airlockWith, ID, json } from "./stub.ts";

const root = fileURLToPath(new URL("../..", import.meta.url));

/** The errors of the compiler, with the options of tsconfig.json that matter to types. */
async function compile(...files: string[]): Promise<string> {
  const options = [
    "--noEmit",
    "--strict",
    "--noUncheckedIndexedAccess",
    "--allowImportingTsExtensions",
    "--verbatimModuleSyntax",
  ];
  const libraries = [
    "--ignoreConfig",
    "--target",
    "ES2023",
    "--lib",
    "ES2023,DOM",
    "--module",
    "NodeNext",
    "--types",
    "",
  ];
  const command = promisify(execFile)(process.execPath, [
    `${root}node_modules/typescript/bin/tsc`,
    ...options,
    ...libraries,
    ...files,
  ]);
  return command.then(
    () => "",
    ({ stdout, message }) => stdout || message,
  );
}

test("rows, drafts and calls are typed as declared", async () => {
  assert.equal(await compile(`${root}client/test/types.ts`), "");
});

test("the types of any declaration compile", async () => {
  const text = (name: string, more: Partial<FieldPart> = {}) =>
    ({ name, kind: "text", min: 0, max: 9, nullable: false, ...more }) as FieldPart;
  const resource = (
    name: string,
    fields: FieldPart[],
    publish: string[] | null = null,
    more: Partial<Omit<Resource, "fields">> = {},
  ) => declared({ name, owner: "user", publish, fields, ...more });
  const words = ["get", "set", "new", "readonly", "constructor", "typeof", "string", "delete", "notes", "fields"];
  const declarations: Declaration[] = [
    { organizations: true, resources: [] },
    { organizations: false, resources: [resource("tags", [text("label")])] },
    {
      organizations: false,
      resources: [
        resource(
          "todos",
          [text("task"), text("words", { read_only: true }), text("rank", { database_default: true })],
          null,
          {
            id: { kind: "bigint", column: "id" },
            version: null,
            updated: null,
            deleted: null,
            filters: { task: ["eq", "in"] },
            sorts: ["created"],
            count: true,
          },
        ),
        resource("profiles", [text("label")], null, {
          id: { kind: "owner", column: "id" },
          version: { kind: "timestamp", column: "updated_at" },
          created: null,
        }),
      ],
    },
    {
      organizations: true,
      resources: words.map((word) =>
        resource(
          word,
          words.map((name) => text(name)),
          words,
        ),
      ),
    },
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
    const client =
      'import { createAirlock, type AirlockOptions, type Draft } from "../../client/src/index.ts";\ndeclare const options: AirlockOptions;\n';
    const quote = `export const draft: Draft<"quotes", ${names.at(-1)}> = { one: "*/", settings: { a: 1 } };\n`;
    const uses = names.map(
      (name) =>
        `import { ids as ids_${name}, type Declaration as ${name} } from "./${name}.ts";\ncreateAirlock<${name}>({ ...options, ids: ids_${name} });\n`,
    );
    const adopted = `
      const { resource } = createAirlock<${names[2]}>({ ...options, ids: ids_${names[2]} });
      export async function use(): Promise<[number, string, "me", string]> {
        const { data } = await resource("todos").list({ filters: { "task.eq": "a", "task.in": "a,b" }, sort: "-created", count: "exact" });
        const todo = await resource("todos").create({ task: "a" });
        // @ts-expect-error It is only read.
        await resource("todos").patch(todo.id, { words: "a" });
        // @ts-expect-error There is no version.
        todo.version;
        // @ts-expect-error There is no such filter.
        await resource("todos").list({ filters: { "task.lt": "a" } });
        // @ts-expect-error An id is a number.
        await resource("todos").get("7");
        const profile = await resource("profiles").patch("me", { label: "a" });
        return [todo.id, data[0]?.words ?? "", "me", profile.version];
      }\n`;
    await writeFile(`${folder}/use.ts`, client + uses.join("") + quote + adopted);
    assert.equal(await compile(`${folder}/use.ts`), "");
  } finally {
    await rm(folder, { recursive: true });
  }
});

test("a generated file has the kind of each id, as a type and at run time", async () => {
  const fields: FieldPart[] = [{ name: "todo", kind: "ref", resource: "todos", nullable: false }];
  const resource = (name: string, kind: IdKind) =>
    declared({ name, owner: "user", id: { kind, column: "id" }, fields });
  const times: FieldPart[] = [
    { name: "created_at", kind: "timestamp", nullable: true, read_only: true },
    { name: "updated_at", kind: "timestamp", nullable: true },
  ];
  const logs = declared({
    name: "logs",
    owner: "user",
    id: { kind: "bigint", column: "id" },
    created: null,
    updated: null,
    fields: times,
  });
  const text = clientTypes({
    organizations: true,
    resources: [resource("todos", "bigint"), resource("profiles", "owner"), resource("tags", "uuid"), logs],
  });
  assert.deepEqual(text.match(/(?<=^ {6}id: ).*(?=;)/gm), ["number", '"me"', "string", "number"]);
  assert.deepEqual(text.match(/(?<= todo: ).*(?=;)/g), ["number", "number", "number"]);
  // A data URL takes JavaScript: the value alone.
  const [value] = /^export const ids = .*(?= as const;$)/m.exec(text) ?? assert.fail(text);
  const { ids } = await import(`data:text/javascript,${encodeURIComponent(value)}`);
  const kinds: Record<string, ResourceIds> = {
    todos: "bigint",
    profiles: "owner",
    tags: "uuid",
    logs: { id: "bigint", fields: ["updated_at"] },
  };
  assert.deepEqual(ids, kinds);
  const { airlock, sent } = airlockWith([], { ids });
  const loose = airlock as unknown as Airlock<LooseDeclaration>;
  await assert.rejects(loose.resource("todos").get(ID), /An id is a whole number/);
  await assert.rejects(loose.resource("profiles").get(ID), /An id is "me"/);
  await assert.rejects(loose.resource("tags").get(1), /An id is a lower-case UUID/);
  assert.equal(sent.length, 0);
});

test("a whole row can be sent back, whatever its fields are called", async () => {
  const row = { id: 7, label: "a", updated_at: "2026-01-31T00:00:00Z", version: 1, created_at: "2026-01-31T00:00:00Z" };
  const own: ResourceIds = { id: "bigint", fields: ["updated_at"] };
  for (const [logs, kept] of [
    [own, ["label", "updated_at"]],
    ["bigint", ["label"]],
  ] as [ResourceIds, string[]][]) {
    const { airlock, sent } = airlockWith([json(201, row), json(200, row), json(200, row)], { ids: { logs } });
    const { create, put, patch } = (airlock as unknown as Airlock<LooseDeclaration>).resource("logs");
    await create(row);
    await put(7, row);
    await patch(7, row);
    for (const { body } of sent) assert.deepEqual(Object.keys(JSON.parse(new TextDecoder().decode(body))), kept);
  }
});
