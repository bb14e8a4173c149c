// npm run adopt and npm run check -- --db-url: the files that they write, that they write nothing twice, and their exit codes.

import assert from "node:assert/strict";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, beforeEach, test } from "node:test";

import { query } from "../../tools/setup/postgres.ts";
import { makeProject, type Project } from "./project.ts";
import { schemaOf, type Server, startServer } from "./support.ts";

let project: Project;
let server: Server;
before(async () => {
  [project, server] = await Promise.all([makeProject(), startServer()]);
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

test("a section and a migration are written once; the migration runs twice and the old app goes on", async () => {
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
  assert.deepEqual([sound.code, sound.output], [0, "airlock: the database keeps what airlock.toml says about 1 adopted table.\n"]);
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

test("a table that stops ends with 1, and the others are written", async () => {
  const url = await server.create("stopped", await schemaOf("chat"));
  const { code, output } = await command("adopt", ["--db-url", url]);
  assert.equal(code, 1, output);
  assert.match(output, /^public\.channels: stopped\n {2}stop: policy "signed in read" for SELECT to authenticated: using true holds for anybody\n {4}SQL: alter policy "signed in read" on public\.channels using \(\(select auth\.uid\(\)\) = created_by\);$/m);
  assert.match(await toml(), /^\[resources\.direct_messages\]$/m);
  assert.doesNotMatch(await toml(), /channels|resources\.messages/);
  const only = await command("adopt", ["--db-url", url, "--tables", "direct_messages", "--plan"]);
  assert.deepEqual([only.code, only.output.includes("channels")], [0, false]);
});

test("a field that the grammar lacks is left out, with all that follows", async () => {
  const url = await server.create("grammar", await schemaOf("bookmarks"));
  const { code, output } = await command("adopt", ["--db-url", url]);
  assert.equal(code, 0, output);
  for (const line of output.matchAll(/^ {2}left out: (\w+): airlock\.toml cannot say (.*): .*$/gm)) assert.doesNotMatch(await toml(), new RegExp(`^${line[1]} =`, "m"));
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
    [["--db-url", url, "--tables", "nowhere"], /No exposed schema has the table public\.nowhere\. They have: .*public\.todos/],
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
