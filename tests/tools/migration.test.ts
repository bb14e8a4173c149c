// The generator of migrations: its SQL for the project and for the tests, and that Postgres takes it for any names.

import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, type TestContext, test } from "node:test";

import pg from "pg";

import { checkedDeclaration, type Field, type Kind, type Resource } from "../../tools/declaration.ts";
import { fieldMigration, migration } from "../../tools/resource/migration.ts";
import { constraintName, fieldIndexName, indexName } from "../../tools/resource/sql.ts";
import { type Postgres, query, startPostgres } from "../../tools/setup/postgres.ts";
import { root } from "../../tools/setup/shell.ts";
import { resource as declared, field as declaredField, type FieldPart } from "../support/declared.ts";

const CORE = join(root, "supabase", "migrations", "20261129000000_airlock.sql");
const ORGANIZATIONS = join(root, "supabase", "migrations", "20261129000100_airlock_organizations.sql");
const NOTES = join(root, "supabase", "migrations", "20261129000200_notes.sql");

const KINDS: Kind[] = [
  { kind: "text", min: 1, max: 20 },
  { kind: "verbatim", min: 0, max: 20 },
  { kind: "integer", min: -1, max: 1 },
  { kind: "number", min: -1.5, max: 1e300 },
  { kind: "decimal", precision: 9, scale: 3 },
  { kind: "boolean" },
  { kind: "uuid" },
  { kind: "date" },
  { kind: "time" },
  { kind: "timestamp" },
  { kind: "one_of", values: ["a", "b"] },
  { kind: "texts", items: 2, length: 3 },
  { kind: "integers", items: 2, min: -1, max: 3 },
  { kind: "uuids", items: 2 },
  { kind: "json", bytes: 100 },
  { kind: "ref", resource: "things" },
];
const LONG = "a_name_of_forty_characters_is_the_longes";

const resource = (name: string, fields: FieldPart[], more: Partial<Omit<Resource, "fields">> = {}): Resource =>
  declared({ name, owner: "user", fields, ...more });
const things = resource("things", [{ name: "label", kind: "text", min: 1, max: 50, nullable: false }]);

// A server, since it takes the largest of these tables several times as fast as the embedded database.
let server: Postgres;
let client: pg.Client;
before(async () => {
  server = await startPostgres();
  // Of the project's migrations, those that the generated ones need.
  await server.create("airlock", [CORE, ORGANIZATIONS].filter(existsSync));
  client = new pg.Client({ connectionString: server.url("airlock") });
  await client.connect();
  await client.query("insert into auth.users (id) values (gen_random_uuid())");
});
after(async () => {
  await client?.end();
  await server?.stop();
});

/** Runs statements and then `look`, and undoes them. */
async function tried<T>(
  statements: string[],
  look?: (sql: (text: string) => Promise<Record<string, unknown>[]>) => Promise<T>,
): Promise<T | undefined> {
  await client.query("begin");
  try {
    for (const statement of statements) await client.query(statement);
    return await look?.(async (text) => (await client.query<Record<string, unknown>>(text)).rows);
  } finally {
    await client.query("rollback");
  }
}

const organizations = existsSync(ORGANIZATIONS);
const owners: Resource["owner"][] = organizations ? ["user", "org", "both"] : ["user"];

/** `node --test --test-update-snapshots` updates the file. */
const isFile = (context: TestContext, file: string, text: string) =>
  context.assert.fileSnapshot(text, file, { serializers: [(value: string) => value] });

test("the migration of notes is the generator's", { skip: !existsSync(NOTES) }, (context) => {
  // As airlock.toml declared it when the migration was written. Later fields have migrations of their own.
  const notes = resource(
    "notes",
    [
      { name: "title", kind: "text", min: 1, max: 200, nullable: false },
      { name: "body", kind: "verbatim", min: 0, max: 20_000, nullable: false, default: "" },
    ],
    { owner: "both", search: ["title", "body"], publish: ["title", "body"] },
  );
  isFile(context, NOTES, migration(notes));
});

test("the migration of the tests' resources is the generator's", async (context) => {
  const folder = join(root, "tests", "resources");
  const { resources } = await checkedDeclaration(join(folder, "everything.toml"));
  isFile(context, join(folder, "everything.sql"), resources.map((one) => migration(one, resources)).join("\n\n"));
});

for (const owner of owners) {
  test(`a resource owned by ${owner} can have any mix of search and publishing`, async () => {
    const fields = KINDS.map(
      (kind): FieldPart => ({ ...kind, name: `a_${kind.kind}`, nullable: kind.kind === "verbatim" }),
    );
    for (const search of [[], ["a_text"], ["a_text", "a_verbatim"]]) {
      for (const publish of [null, ["a_text"], fields.map(({ name }) => name)]) {
        await tried([migration(things), migration(resource("examples", fields, { owner, search, publish }))]);
      }
    }
  });
}

test("a resource of users needs no organisations", async () => {
  await server.create("users", [CORE]);
  await query(
    server.url("users"),
    migration(resource("things", things.fields, { search: ["label"], publish: ["label"] })),
  );
});

test("a name may be any keyword that is not reserved", async () => {
  const keywords = "select word, catcode from pg_get_keywords() where catcode in ('U', 'C') and word <> 'version'";
  const { rows } = await client.query<{ word: string; catcode: string }>(keywords);
  const words = rows.map(({ word }) => word);
  assert.ok(words.length > 300);
  // Each table has fields of all kinds, and each word is of several kinds.
  for (const first of [0, 5, 10]) {
    const fields = words.map((name, n): FieldPart => {
      const kind = KINDS[(first + n) % KINDS.length] ?? assert.fail();
      return { ...kind, name, nullable: kind.kind === "verbatim" };
    });
    const search = fields.flatMap(({ name, kind }) => (kind === "text" || kind === "verbatim" ? [name] : []));
    await tried([migration(things), migration(resource("words", fields, { search, publish: words }))]);
  }
  for (const { word } of rows.filter(({ catcode }) => catcode === "C"))
    await tried([migration(resource(word, things.fields))]);
});

test("generated names fit Postgres and differ", async () => {
  const end = (letter: string) => LONG.slice(0, -1) + letter;
  const fields = ["x", "y", "z"].flatMap((letter) =>
    KINDS.slice(-2).map(
      (kind): FieldPart => ({ ...kind, name: end(letter).slice(0, kind.kind === "ref" ? 40 : 39), nullable: true }),
    ),
  );
  const unique = fields.filter(({ name }, n) => fields.findIndex((other) => other.name === name) === n);
  await tried(
    [migration(things), migration(resource(LONG, unique)), migration(resource(end("x"), unique))],
    async (sql) => {
      const [count] = await sql(
        `select count(*)::integer as indexes from pg_indexes where tablename in ('${LONG}', '${end("x")}')`,
      );
      // The primary key, four that every table of users has, and one a ref.
      assert.equal(count?.indexes, 2 * (5 + 3));
    },
  );

  const names = [
    indexName("a", "active"),
    indexName("a_active", "org"),
    indexName("a", "orgactive"),
    indexName("a_org", "active"),
    ...["active", "due", "b_c", "b_due", "user", "org_active"].map((field) => fieldIndexName("a", field)),
    ...["c", "due", "active"].map((field) => fieldIndexName("a_b", field)),
    fieldIndexName(LONG, end("x")),
    fieldIndexName(LONG, end("y")),
    fieldIndexName(end("x"), end("x")),
    constraintName(LONG, end("x"), "length"),
    constraintName(LONG, end("y"), "length"),
    constraintName(LONG, end("x"), "trimmed"),
  ];
  assert.equal(new Set(names).size, names.length, names.join(" "));
  assert.deepEqual(
    names.filter((name) => name.length > 63),
    [],
  );
});

test("strings of a declaration reach SQL unchanged", async () => {
  const strings = [
    "it's",
    "a\\b",
    "line\nbreak",
    "tab\t",
    "\u00a0\u2028",
    "\u{1f642}",
    "%s $1 {x}",
    `"quoted"`,
    "--",
    "\ufeff",
    "e\u0301",
  ];
  for (const text of strings) {
    const fields: FieldPart[] = [
      { name: "words", kind: "verbatim", min: 0, max: 50, nullable: false, default: text },
      { name: "choice", kind: "one_of", values: [text, "other"], nullable: false, default: text },
      { name: "list", kind: "texts", items: 2, length: 50, nullable: false, default: [text, "x"] },
      { name: "object", kind: "json", bytes: 500, nullable: false, default: { [text]: text } },
    ];
    await tried([migration(resource("examples", fields))], async (sql) => {
      const [row] = await sql(
        "insert into public.examples (user_id) select id from auth.users limit 1 returning to_json(words) as words, to_json(choice) as choice, to_json(list) as list, object",
      );
      assert.deepEqual(row, { words: text, choice: text, list: [text, "x"], object: { [text]: text } });
    });
  }
});

test("a field that is added later is as one that was there from the start", async () => {
  // Everything about the table and its columns that has no place in the order of columns.
  const LOOK = `
    select 'column' as what, concat_ws(' ', attname, format_type(atttypid, atttypmod), attnotnull, attstattarget, attacl, pg_get_expr(adbin, adrelid)) as is
      from pg_attribute left join pg_attrdef on adrelid = attrelid and adnum = attnum
      where attrelid = 'public.examples'::regclass and attnum > 0
    union all select 'constraint', conname || ' ' || pg_get_constraintdef(oid) from pg_constraint where conrelid = 'public.examples'::regclass
    union all select 'index', indexdef from pg_indexes where tablename = 'examples'
    union all select 'trigger', pg_get_triggerdef(oid) from pg_trigger where tgrelid = 'public.examples'::regclass and not tgisinternal
    union all select 'policy', row(policyname, roles, cmd, qual, with_check)::text from pg_policies where tablename = 'examples'
    union all select 'registry', row(owner, fields, publish, searchable, wire, public_wire)::text from airlock.resources where name = 'examples'
    order by 1, 2`;
  for (const owner of owners) {
    for (const kind of KINDS) {
      const field = declaredField({ ...kind, name: "added_field", nullable: true });
      const label = things.fields[0] as Field;
      const complete = resource("examples", [label, field], { owner, publish: ["label", "added_field"] });
      const start = resource("examples", [label], { owner, publish: ["label"] });
      const expected = await tried([migration(things), migration(complete)], (sql) => sql(LOOK));
      const found = await tried([migration(things), migration(start), fieldMigration(complete, field)], (sql) =>
        sql(LOOK),
      );
      assert.deepEqual(found, expected, `${owner}, ${kind.kind}`);
    }
  }
});

test("a ref to an existing table has its name and its kind of id, and keeps no account", async () => {
  const items = resource("items", [{ name: "label", kind: "verbatim", min: 0, max: 50, nullable: false }], {
    table: { schema: "public", name: "Order Items" },
    id: { kind: "bigint", column: "itemId" },
    scope: "visible",
  });
  const [item, other]: FieldPart[] = [
    { name: "item", kind: "ref", resource: "items", nullable: false },
    { name: "other", kind: "ref", resource: "items", nullable: true },
  ];
  const start = resource("likes", [item as FieldPart]);
  const likes = resource("likes", [item as FieldPart, other as FieldPart]);
  const statements = [
    `create table public."Order Items" ("itemId" bigint generated always as identity primary key, user_id uuid references auth.users (id) on delete cascade, label text);
     alter table public."Order Items" enable row level security;
     select airlock.serve('items', 'public."Order Items"', 'user', array['label'], id => 'itemId', scope => 'visible', version => null, created => null, updated => null, deleted => null);`,
    migration(start, [items]),
    fieldMigration(likes, declaredField(other as FieldPart), [items]),
    `insert into auth.users (id) select gen_random_uuid() from generate_series(1, 2);
     with author as (select id from auth.users limit 1) insert into public."Order Items" (user_id) select id from author;
     insert into public.likes (user_id, item, other) select u.id, i."itemId", i."itemId" from auth.users u, public."Order Items" i where u.id <> i.user_id;
     delete from auth.users where id = (select user_id from public."Order Items"); set constraints all immediate;`,
  ];
  const left = await tried(statements, (sql) =>
    sql(`select * from public."Order Items" union all select null, null, null from public.likes`),
  );
  assert.deepEqual(left, []);
});

test("a field made as docs/resources.md says is required", { skip: !organizations }, async () => {
  const title = declaredField({ name: "title", kind: "text", min: 1, max: 200, nullable: false });
  const body = declaredField({ name: "body", kind: "verbatim", min: 0, max: 20_000, nullable: false, default: "" });
  const required = { name: "rank", kind: "integer", min: 0, max: 1000, nullable: false } as const;
  const more = { owner: "both", search: ["title", "body"], publish: ["title", "body"] } as const;
  const served = (...fields: Field[]) =>
    resource("notes", fields, { ...more, search: [...more.search], publish: [...more.publish] });
  const rank = declaredField(required);
  const before = ["drop table if exists public.notes cascade", migration(served(title, body))];
  const withDefault = declaredField({ ...required, default: 0 });
  const edited = [fieldMigration(served(title, body, withDefault), withDefault), await dropDefault()];
  const found = await tried([...before, ...edited], catalog("notes"));
  assert.deepEqual(found, await tried([...before, fieldMigration(served(title, body, rank), rank)], catalog("notes")));
  assert.ok((found?.length ?? 0) > 20);
});

/** The SQL of docs/resources.md that takes away the default of the new field. */
async function dropDefault(): Promise<string> {
  const page = await readFile(join(root, "docs", "resources.md"), "utf8");
  const [block, ...others] = [...page.matchAll(/```sql\n(.*?)```/gs)].filter(([, sql]) =>
    sql?.includes("drop default"),
  );
  assert.ok(block?.[1] && others.length === 0);
  return block[1];
}

/** All that the catalog says of a table, and how it is served. */
const catalog = (table: string) => (sql: (text: string) => Promise<Record<string, unknown>[]>) =>
  sql(`
    select 'table' as what, format('%s %s %s', relrowsecurity, relforcerowsecurity, relacl) as says
      from pg_class where oid = 'public.${table}'::regclass
    union all select 'column', format('%s %s %s %s %s %s', attname, atttypid::regtype, attnotnull, attstattarget, attacl, pg_get_expr(adbin, adrelid))
      from pg_attribute left join pg_attrdef on adrelid = attrelid and adnum = attnum
      where attrelid = 'public.${table}'::regclass and attnum > 0
    union all select 'constraint', format('%s %s', conname, pg_get_constraintdef(oid)) from pg_constraint where conrelid = 'public.${table}'::regclass
    union all select 'index', pg_get_indexdef(indexrelid) from pg_index where indrelid = 'public.${table}'::regclass
    union all select 'trigger', pg_get_triggerdef(oid) from pg_trigger where tgrelid = 'public.${table}'::regclass and not tgisinternal
    union all select 'policy', to_jsonb(policy)::text from pg_policies policy where tablename = '${table}'
    union all select 'resource', to_jsonb(served)::text from airlock.resources served where name = '${table}'
    order by 1, 2`);
