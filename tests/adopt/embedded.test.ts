// The embedded database with the migrations of a project that is older than Airlock.

import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";

import { openDatabase } from "../../tools/supabase/database.ts";
import { preparedFolder } from "../../tools/supabase/prepared.ts";
import { statements } from "../../tools/supabase/statements.ts";
import { baseline } from "../support/notes.ts";
import { schemaOf } from "./support.ts";

let folder: string;
before(async () => {
  folder = await mkdtemp(join(tmpdir(), "airlock-older-"));
});
after(() => rm(folder, { recursive: true }));

/** A database with these migrations of a project, then those of Airlock, then further ones. */
async function withMigrations<T>(
  older: string[],
  newer: string[],
  work: (rows: (sql: string) => Promise<Record<string, unknown>[]>) => Promise<T>,
): Promise<T> {
  const place = await mkdtemp(join(folder, "case-"));
  const write = (year: string) => async (text: string, at: number) => {
    const file = join(place, `${year}010100000${at}_part_${at}.sql`);
    await writeFile(file, text);
    return file;
  };
  const files = [
    ...(await Promise.all(older.map(write("2024")))),
    ...baseline,
    ...(await Promise.all(newer.map(write("2099")))),
  ];
  const database = await openDatabase(join(place, "data"), true, { baseline: files });
  try {
    return await work(async (sql) => (await database.connection.driver.query<Record<string, unknown>>(sql)).rows);
  } finally {
    await database.close();
  }
}

test("Storage, extensions and the grants of hosted Supabase are there", async () => {
  const older = [
    await schemaOf("profiles"),
    `create extension if not exists "uuid-ossp" with schema extensions; create extension if not exists citext; create extension if not exists vector with schema extensions; create table old (id uuid primary key default extensions.uuid_generate_v4(), name citext, meaning extensions.vector(3));`,
  ];
  await withMigrations(older, ["create table new (id uuid primary key);"], async (rows) => {
    const granted = (table: string) =>
      rows(`select has_table_privilege('authenticated', '${table}', 'SELECT, INSERT, UPDATE, DELETE') as granted`);
    assert.deepEqual(await granted("old"), [{ granted: true }]);
    assert.deepEqual(await granted("new"), [{ granted: false }]);
    assert.deepEqual(await rows("select id from storage.buckets"), [{ id: "avatars" }]);
    assert.deepEqual(
      await rows(
        "select count(*)::int as policies from pg_policies where schemaname = 'storage' and tablename = 'objects'",
      ),
      [{ policies: 3 }],
    );
    assert.deepEqual(
      await rows(
        "select storage.foldername('a/b/c.png') as folder, storage.filename('a/b/c.png') as name, storage.extension('a/b/c.png') as extension",
      ),
      [{ folder: ["a", "b"], name: "c.png", extension: "png" }],
    );
  });
});

/** The statements of `supabase db dump` before and after the tables of a project. */
const DUMP = `
SET statement_timeout = 0;
SET client_encoding = 'UTF8';
SET standard_conforming_strings = on;
SELECT pg_catalog.set_config('search_path', '', false);
SET check_function_bodies = false;
SET client_min_messages = warning;
SET row_security = off;
COMMENT ON SCHEMA "public" IS 'standard public schema';
CREATE EXTENSION IF NOT EXISTS "pg_graphql" WITH SCHEMA "graphql";
CREATE EXTENSION IF NOT EXISTS "pg_stat_statements" WITH SCHEMA "extensions";
CREATE EXTENSION IF NOT EXISTS "moddatetime" WITH SCHEMA "extensions";
CREATE EXTENSION IF NOT EXISTS "pgcrypto" WITH SCHEMA "extensions";
CREATE EXTENSION IF NOT EXISTS "supabase_vault" WITH SCHEMA "vault";
CREATE EXTENSION IF NOT EXISTS "uuid-ossp" WITH SCHEMA "extensions";
SET default_tablespace = '';
SET default_table_access_method = "heap";
CREATE TABLE IF NOT EXISTS "public"."dumped" ("id" "uuid" DEFAULT "extensions"."uuid_generate_v4"() NOT NULL, "changed" timestamp with time zone);
ALTER TABLE "public"."dumped" OWNER TO "postgres";
ALTER TABLE ONLY "public"."dumped" ADD CONSTRAINT "dumped_pkey" PRIMARY KEY ("id");
CREATE OR REPLACE TRIGGER "touch" BEFORE UPDATE ON "public"."dumped" FOR EACH ROW EXECUTE FUNCTION "extensions"."moddatetime"('changed');
ALTER TABLE "public"."dumped" ENABLE ROW LEVEL SECURITY;
ALTER PUBLICATION "supabase_realtime" OWNER TO "postgres";
ALTER PUBLICATION "supabase_realtime" ADD TABLE ONLY "public"."dumped";
GRANT USAGE ON SCHEMA "public" TO "postgres";
GRANT USAGE ON SCHEMA "public" TO "anon";
GRANT ALL ON TABLE "public"."dumped" TO "service_role";
ALTER DEFAULT PRIVILEGES FOR ROLE "postgres" IN SCHEMA "public" GRANT ALL ON TABLES  TO "postgres";
`;
test("a dump of a hosted project is a migration, and leaves the session as it was", async () => {
  const later = "create table later (id uuid primary key default uuid_generate_v4());";
  for (const dump of [DUMP, `${DUMP}RESET ALL;`])
    await withMigrations([dump], [later], async (rows) => {
      await rows("insert into public.dumped values (default, null)");
      await rows("update public.dumped set changed = null");
      assert.deepEqual(await rows("select count(*)::int as rows from public.dumped where changed is not null"), [
        { rows: 1 },
      ]);
      assert.deepEqual(
        await rows("select current_setting('row_security') as rls, current_setting('check_function_bodies') as bodies"),
        [{ rls: "on", bodies: "on" }],
      );
    });
});

const FAILING: [string, string, RegExp][] = [
  [
    "an error of syntax",
    "create table a (id int);\n\ncreate tabel b (id int);\n",
    /^supabase\/migrations\/20990101000000_part\.sql, line 3: syntax error/,
  ],
  [
    "an error at run time",
    "create table a (id int primary key);\n-- twice\ninsert into a values (1);\ncreate function f() returns int language sql as $$ select 1; select 2 $$;\n\ninsert into a values (1);\n",
    /, line 6: duplicate key/,
  ],
];
test("a migration that fails is named with its line, and undone", async () => {
  const data = await preparedFolder("airlock-failing-", { baseline });
  try {
    for (const [name, text, message] of FAILING) {
      const file = join(folder, "20990101000000_part.sql");
      await writeFile(file, text);
      await assert.rejects(openDatabase(data, false, { baseline: [...baseline, file] }), { message }, name);
    }
    const { connection, close } = await openDatabase(data, false, { baseline });
    const { rows } = await connection.driver.query("select to_regclass('public.a') as made");
    await close();
    assert.deepEqual(rows, [{ made: null }]);
  } finally {
    await rm(data, { recursive: true });
  }
});

test("statements end at semicolons outside of quotes, bodies and comments", () => {
  const text =
    "select ';';\n-- a;\nselect $x$;$x$; /* ; */ select \";\";\ncreate function f() returns int begin atomic select 1; select 2; end;\nselect 3";
  assert.deepEqual(
    statements(text).map(({ line, text }) => [line, text.slice(0, 12)]),
    [
      [1, "select ';'"],
      [3, "select $x$;$"],
      [3, 'select ";"'],
      [4, "create funct"],
      [5, "select 3"],
    ],
  );
});
