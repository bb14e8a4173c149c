// npm run adopt and npm run check -- --db-url: their files, which a second run does not change, and their exit codes.

import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, beforeEach, test } from "node:test";

import pg from "pg";
import { parse } from "smol-toml";

import { tableReport } from "../../tools/adopt/report.ts";
import { query } from "../../tools/setup/postgres.ts";
import { makeProject, type Project } from "./project.ts";
import { type Server, schemaOf, startServer } from "./support.ts";

let project: Project;
let server: Server;
before(async () => {
  [project, server] = await Promise.all([makeProject("adopt-command"), startServer()]);
});
after(async () => {
  await server.postgres.stop();
  await project.remove();
});
beforeEach(() => project.reset(EMPTY));

const EMPTY = "# Ours.\norganizations = true\n";
const command = (task: string, args: string[]) => project.command(task, args);
const toml = () => project.toml();
const adopted = () => project.adopted();

const TODOS = `# Ours.
organizations = true

[resources.todos]
table = "todos"
id = "bigint"
owner = { column = "user_id", set = "worker" }
version = false
created = "inserted_at"
updated = false
deleted = false
[resources.todos.fields]
task = "text(4..10000)?"  # no upper limit in the database
is_complete = "boolean? = false"
`;

test("a line break in a name does not end a comment of the printed SQL", () => {
  const table = "public.t\ndrop table users --";
  const stops = [{ what: "ids past 2^53-1 are in use (id)", mend: `-- renumber ${table}.id` }];
  assert.equal(
    tableReport({ table, stops, left: [], warnings: [] }),
    "public.t drop table users --: stopped\n  stop: ids past 2^53-1 are in use (id)\n    SQL: -- renumber public.t drop table users --.id",
  );
});

test("--plan prints and writes nothing", async () => {
  const url = await server.create("plan", await schemaOf("todos"));
  const { code, output } = await command("adopt", ["--db-url", url, "--plan"]);
  assert.equal(code, 0, output);
  assert.match(output, /^public\.todos: served as todos$/m);
  assert.match(output, /^ {4}task = "text\(4\.\.10000\)\?" {2}# no upper limit in the database$/m);
  assert.match(output, /supabase\/migrations\/\d{14}_adopt\.sql would be:/);
  assert.doesNotMatch(output, /does not have the core/);
  await query(server.postgres.url("plan"), "drop schema airlock cascade");
  const bare = await command("adopt", ["--db-url", url, "--plan"]);
  assert.equal(bare.code, 0, bare.output);
  assert.match(bare.output, /^The database does not have the core of Airlock yet: /m);
  assert.equal(await toml(), EMPTY);
  assert.deepEqual(await adopted(), []);
});

test("section and migration are written once; the old app keeps working", async () => {
  const url = await server.create("once", await schemaOf("todos"));
  const owner = server.postgres.url("once");
  const first = await command("adopt", ["--db-url", url]);
  assert.equal(first.code, 0, first.output);
  assert.equal(await toml(), TODOS);
  const [file = "", ...others] = await adopted();
  assert.deepEqual(others, []);

  const again = await command("adopt", ["--db-url", url]);
  assert.equal(again.code, 0, again.output);
  assert.match(again.output, /^Nothing is new, and nothing was written\.$/m);
  assert.equal(await toml(), TODOS);
  assert.deepEqual(await adopted(), [file]);

  const migration = await readFile(join(project.migrations, file), "utf8");
  const app = `
    set role authenticated; set request.jwt.claims = '{"sub":"a11ce000-0000-4000-8000-000000000001"}';
    insert into public.todos (user_id, task) values (auth.uid(), 'by the old app');
    update public.todos set is_complete = true; delete from public.todos; reset role;
  `;
  await query(owner, "insert into auth.users (id) values ('a11ce000-0000-4000-8000-000000000001')");
  for (const sql of [app, migration, app, migration, app]) await query(owner, sql);
  const applied = await command("adopt", ["--db-url", url]);
  assert.match(applied.output, /^Nothing is new, and nothing was written\.$/m);

  const sound = await command("check", ["--db-url", url]);
  assert.deepEqual(
    [sound.code, sound.output],
    [0, "airlock: the database keeps what airlock.toml says about 1 adopted table.\n"],
  );
  await query(owner, "alter table public.todos add check (char_length(task) < 50)");
  const drifted = await command("check", ["--db-url", url]);
  assert.equal(drifted.code, 1, drifted.output);
  assert.match(drifted.output, /^todos: drift: task: its limit is wider than the database's; /m);

  const left = await command("adopt", ["--db-url", url]);
  assert.match(left.output, /^1 difference was left\. /m);
  assert.equal(await toml(), TODOS);
  const taken = await command("adopt", ["--db-url", url, "--take"]);
  assert.equal(taken.code, 0, taken.output);
  assert.equal(await toml(), TODOS.replace("4..10000", "4..49"));
  assert.equal((await command("check", ["--db-url", url])).code, 0);
});

/** Rows of one statement. */
async function rowsOf(url: string, sql: string): Promise<Record<string, unknown>[]> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    return (await client.query(sql)).rows;
  } finally {
    await client.end();
  }
}

const ADOPTED = /^Nothing is new, and nothing was written\.$/m;

test("in a terminal each difference is asked about", async () => {
  const url = await server.create("asked", await schemaOf("todos"));
  const first = await project.inTerminal("adopt", ["--db-url", url], []);
  assert.equal(first.code, 0, first.output);
  assert.equal(await toml(), TODOS);
  await query(
    server.postgres.url("asked"),
    "alter table public.todos add check (char_length(task) < 50), add column due date",
  );
  const { code, output } = await project.inTerminal("adopt", ["--db-url", url], ["n", "y"]);
  assert.equal(code, 0, output);
  assert.match(
    output,
    /^todos: drift: task: its limit is wider than the database's; .*\n.*\n.*\nTake it\? \[y\/N\] n$/m,
  );
  assert.match(output, /^todos: new: due \(date\?\) is not declared\n.*\n.*\nTake it\? \[y\/N\] y$/m);
  assert.match(output, /^airlock\.toml follows the database in 1 place\.$/m);
  assert.match(output, /^1 difference was left\. /m);
  assert.equal(await toml(), `${TODOS}due = "date?"\n`);
});

test("--with adds version and deleted_at, which are served, and writes nothing again", async () => {
  const url = await server.create("added", await schemaOf("todos"));
  const owner = server.postgres.url("added");
  const first = await command("adopt", ["--db-url", url, "--with", "version,deleted"]);
  assert.equal(first.code, 0, first.output);
  assert.equal(
    await toml(),
    TODOS.replace(
      'version = false\ncreated = "inserted_at"\nupdated = false\ndeleted = false',
      'created = "inserted_at"\nupdated = false',
    ),
  );
  const [file = ""] = await adopted();
  const migration = await readFile(join(project.migrations, file), "utf8");
  for (let run = 0; run < 2; run++) await query(owner, migration);
  const user = "a11ce000-0000-4000-8000-000000000001";
  await query(owner, `insert into auth.users (id) values ('${user}')`);
  const as = (sql: string, request = "") =>
    rowsOf(
      owner,
      `begin; set local role authenticated; set local request.jwt.claims = '{"sub":"${user}"}'; ${request} ${sql}; commit`,
    );
  // The old app's statements know nothing of it.
  await as(
    "insert into public.todos (user_id, task) values (auth.uid(), 'by the old app'); update public.todos set is_complete = true",
  );
  const change = async (action: string, tag: number) => {
    const claim = JSON.stringify({ "x-airlock-claim": `v1.360.${randomUUID()}.rn-test:${randomUUID()}` });
    const client = new pg.Client({ connectionString: owner });
    await client.connect();
    try {
      await client.query(
        `begin; set local role authenticated; set local request.jwt.claims = '{"sub":"${user}"}'; set local request.headers = '${claim}'`,
      );
      const {
        rows: [row],
      } = await client.query(
        `select airlock_change('todos', null, (select id::text from public.todos), '${action}', null, ${tag}) as answer`,
      );
      await client.query("commit");
      const { outcome, row: made } = row.answer as { outcome: string; row: Record<string, unknown> };
      return [outcome, made.version, typeof made.deleted_at];
    } finally {
      await client.end();
    }
  };
  assert.deepEqual(await change("delete", 1), ["mismatch", 2, "object"]);
  assert.deepEqual(await change("delete", 2), ["done", 3, "string"]);
  assert.deepEqual(await change("restore", 3), ["done", 4, "object"]);

  for (const args of [["--with", "version,deleted"], []]) {
    const again = await command("adopt", ["--db-url", url, ...args]);
    assert.equal(again.code, 0, again.output);
    assert.match(again.output, ADOPTED);
  }
  assert.deepEqual(await adopted(), [file]);
  const sound = await command("check", ["--db-url", url]);
  assert.equal(sound.code, 0, sound.output);
});

test("the index of a large table is made outside of a transaction", async () => {
  const url = await server.create("large", await schemaOf("todos"));
  const owner = server.postgres.url("large");
  const user = "a11ce000-0000-4000-8000-000000000001";
  await query(
    owner,
    `insert into auth.users (id) values ('${user}'); insert into public.todos (user_id, task) select '${user}', repeat('x', 1900) from generate_series(1, 9500)`,
  );
  const { code, output } = await command("adopt", ["--db-url", url]);
  assert.equal(code, 0, output);
  assert.match(output, /outside of a transaction: psql "\$DATABASE_URL" -f supabase\/indexes\/todos\.sql$/m);
  const [file = ""] = await adopted();
  assert.doesNotMatch(await readFile(join(project.migrations, file), "utf8"), /create index/);
  assert.deepEqual(await readdir(project.indexes), ["todos.sql"]);
  const index = await readFile(join(project.indexes, "todos.sql"), "utf8");
  await assert.rejects(query(owner, `begin; ${index}; commit`), { code: "25001" });
  for (let run = 0; run < 2; run++) await query(owner, index);
  assert.deepEqual(
    await rowsOf(
      owner,
      "select indisvalid as valid, pg_get_indexdef(indexrelid) as definition from pg_index where indexrelid = 'public.todos_airlock_page_idx'::regclass",
    ),
    [
      {
        valid: true,
        definition:
          "CREATE INDEX todos_airlock_page_idx ON public.todos USING btree (user_id, inserted_at DESC, id DESC)",
      },
    ],
  );
  const again = await command("adopt", ["--db-url", url]);
  assert.match(again.output, ADOPTED);
});

test("50 tables take less than 10 seconds for a role that can only connect", async () => {
  const tables = Array.from(
    { length: 50 },
    (_, at) => `
    create table public.t${at} (
      id uuid primary key default gen_random_uuid(), user_id uuid not null references auth.users, title varchar(200) not null check (char_length(title) > 0),
      state text not null default 'open' check (state in ('open', 'done')), tags text[] not null default '{}', due date,
      created_at timestamptz not null default now() ${at > 0 ? `, parent uuid references public.t${at - 1}` : ""}
    );
    create index on public.t${at} (user_id, due);
    alter table public.t${at} enable row level security;
    create policy "own" on public.t${at} for all to authenticated using ((select auth.uid()) = user_id) with check ((select auth.uid()) = user_id);`,
  );
  const url = await server.create("fifty", tables.join("\n"));
  const held = await rowsOf(
    url,
    `
    select 'schema ' || nspname as held from pg_namespace where nspname !~ '^(pg_|information_schema)' and has_schema_privilege(oid, 'USAGE, CREATE')
    union all select 'table ' || relname from pg_class where relnamespace = 'public'::regnamespace and relkind = 'r' and has_any_column_privilege(oid, 'SELECT, INSERT, UPDATE, REFERENCES')
    union all select 'role ' || rolname from pg_roles where rolname <> current_user and pg_has_role(oid, 'MEMBER')`,
  );
  assert.deepEqual(held, []);
  const begin = performance.now();
  const { code, output } = await command("adopt", ["--db-url", url]);
  const seconds = (performance.now() - begin) / 1000;
  assert.equal(code, 0, output);
  assert.equal((await toml()).match(/^\[resources\.t\d+\]$/gm)?.length, 50);
  assert.ok(seconds < 10, `${seconds.toFixed(1)} s`);
});

test("a table that stops ends with 1, and the others are written", async () => {
  const url = await server.create("stopped", await schemaOf("chat"));
  const { code, output } = await command("adopt", ["--db-url", url]);
  assert.equal(code, 1, output);
  assert.match(
    output,
    /^public\.channels: stopped\n {2}stop: policy "signed in read" for SELECT to authenticated: using true holds for anybody\. If this is intended: adopt with --read-user channels, or read = "user" in its section\n {4}SQL: alter policy "signed in read" on public\.channels using \(\(select auth\.uid\(\)\) = created_by\);$/m,
  );
  assert.match(await toml(), /^\[resources\.direct_messages\]$/m);
  assert.doesNotMatch(await toml(), /channels|resources\.messages/);
  const meant = await command("adopt", ["--db-url", url, "--tables", "channels", "--read-user", "channels"]);
  assert.equal(meant.code, 0, meant.output);
  assert.match(await toml(), /^owner = \{ column = "created_by", set = "worker" \}\nread = "user"$/m);
  assert.equal((await command("check", ["--db-url", url])).code, 0);
  const only = await command("adopt", ["--db-url", url, "--tables", "direct_messages", "--plan"]);
  assert.deepEqual([only.code, only.output.includes("channels")], [0, false]);
});

test("names of a database run nothing in the files, and are printed with visible control characters", async () => {
  const names = [
    `a"b`,
    "a\nb [c",
    `a\n[resources.more]\ntable = "x"`,
    "-- a",
    "*/ $$ /*",
    `""" '''`,
    "\\a\\",
    "\u001b[31ma",
    "a\u0085\u2028\u202eb",
    "🔒",
    "x'); select public.runs(); --",
    "n".repeat(63),
  ];
  const quoted = (name: string) => `"${name.replaceAll('"', '""')}"`;
  const text = (value: string) => `'${value.replaceAll("'", "''")}'`;
  const table = (name: string, columns: string, owner = "user_id") => `
    create table public.${name} (id uuid primary key, ${owner} uuid not null default auth.uid(), ${columns}, created_at timestamptz not null);
    alter table public.${name} enable row level security; grant select, insert, update, delete on public.${name} to authenticated;
    create policy own on public.${name} to authenticated using ((select auth.uid()) = ${owner}) with check ((select auth.uid()) = ${owner});`;
  const tables = names.flatMap((name, at) => [
    table(quoted(name), "title text"),
    table(`columns${at}`, `${quoted(name)} text default ${text(name)}, title text`),
    table(`checks${at}`, `title text constraint ${quoted(name)} check (title in ('a', ${text(name)}))`),
    table(`owners${at}`, "title text", quoted(name)),
    `create policy ${quoted(name)} on public.${quoted(name)} for select to anon using (true); comment on table public.checks${at} is ${text(name)};`,
  ]);
  const url = await server.create(
    "names",
    `create table public.ran (); create function public.runs() returns void language sql as 'insert into public.ran default values'; ${tables.join("\n")}`,
  );
  const owner = server.postgres.url("names");
  const objects = () =>
    rowsOf(
      owner,
      "select (select count(*) from pg_policy) as policies, (select count(*) from pg_proc) as functions, (select count(*) from pg_class where relkind <> 'i') as relations, (select count(*) from public.ran) as ran",
    );
  const before = await objects();
  const first = await command("adopt", ["--db-url", url]);
  assert.equal(first.code, 0, first.output);
  assert.match(first.output, /^public\.\\u001b\[31ma: left out: /m);
  assert.doesNotMatch(first.output, /(?!\n)[\p{Cc}\u2028\u202e]/u);
  const declared = Object.keys((parse(await toml()) as { resources: object }).resources);
  assert.ok(declared.length >= 3 * names.length && !declared.includes("more"), declared.join());
  const [file = ""] = await adopted();
  const migration = await readFile(join(project.migrations, file), "utf8");
  await query(owner, `${migration} ${migration}`);
  assert.deepEqual(await objects(), before);
  const [{ registered } = {}] = await rowsOf(owner, "select count(*)::int as registered from airlock.resources");
  assert.equal(registered, declared.length);
  const check = await command("check", ["--db-url", url]);
  assert.equal(check.code, 0, check.output);
});

test("a field that the grammar lacks is left out, with all that follows", async () => {
  const url = await server.create("grammar", await schemaOf("bookmarks"));
  const { code, output } = await command("adopt", ["--db-url", url]);
  assert.equal(code, 0, output);
  const left = [...output.matchAll(/^ {2}left out: (\w+): /gm)].map(([, column]) => column);
  assert.deepEqual(left, ["history", "search"]);
  for (const column of left) assert.doesNotMatch(await toml(), new RegExp(`^${column} =`, "m"));
  assert.match(await toml(), /^tags = "texts\(20,1000\) = \[\]"$/m);
});

test("without a URL the migrations are read on the embedded database", async () => {
  await writeFile(join(project.migrations, "20240101000000_before.sql"), await schemaOf("todos"));
  const first = await command("adopt", []);
  assert.equal(first.code, 0, first.output);
  assert.equal(await toml(), TODOS);
  const again = await command("adopt", []);
  assert.match(again.output, /^Nothing is new, and nothing was written\.$/m, again.output);
  assert.equal((await adopted()).length, 1);
});

test("exit code 2 and a sentence if it could not read", async () => {
  const url = await server.create("unread", await schemaOf("todos"));
  await query(server.postgres.url("postgres"), "create database plain");
  const plain = server.postgres.url("plain");
  for (const [args, sentence] of [
    [["--db-url", "postgres://postgres@127.0.0.1:1/postgres"], /ECONNREFUSED/],
    [["--db-url", plain], /not a Supabase project's/],
    [
      ["--db-url", url, "--tables", "nowhere"],
      /No exposed schema has the table public\.nowhere\. They have: .*public\.todos/,
    ],
    [["--db-url", url, "--with", "colour"], /--with knows version and deleted/],
    [["--colour"], /npm run adopt -- /],
  ] as [string[], RegExp][]) {
    const { code, output } = await command("adopt", args);
    assert.equal(code, 2, output);
    assert.match(output, sentence);
    assert.match(output, /^airlock: /m);
  }
  assert.equal(await toml(), EMPTY);
});
