// npm run close and npm run open on a real Postgres server. Direct calls are counted, then refused, then answered as
// before. Meanwhile the functions that the Worker calls serve the table.

import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, beforeEach, test } from "node:test";

import pg from "pg";

import { edgeProof } from "../support/edge_proof.ts";
import { makeProject, type Project } from "./project.ts";
import { type Server, schemaOf, startServer } from "./support.ts";

type Row = Record<string, unknown>;

const SECRET = "the-secret-of-tests-of-closed-tables";
const ALICE = "a11ce000-0000-4000-8000-000000000001";

let project: Project;
let server: Server;
let reader: string;
let owner: pg.Client;
let adopted: string;
before(async () => {
  [project, server] = await Promise.all([makeProject("adopt-closed"), startServer()]);
  const schema = `${await schemaOf("todos")}\n${await schemaOf("camel")}`;
  reader = await server.create("closed", schema);
  owner = new pg.Client({ connectionString: server.postgres.url("closed") });
  await owner.connect();
  await project.reset("");
  const { code, output } = await project.command("adopt", ["--db-url", reader]);
  assert.equal(code, 0, output);
  const [file = ""] = await project.adopted();
  adopted = await readFile(join(project.migrations, file), "utf8");
  await owner.query(adopted);
  // Grants of several forms, to be found again.
  await owner.query(`
    insert into auth.users (id) values ('${ALICE}');
    update airlock.edge_settings set mode = 'report', secret = '${SECRET}';
    create role auditor; grant select on public.todos to auditor;
    revoke all on public."BlogPost" from anon, authenticated;
    grant select, insert, delete on public."BlogPost" to authenticated;
    grant update ("postTitle", "isPublished", "viewCount", "updatedAt") on public."BlogPost" to authenticated with grant option;
    grant select (id) on public."BlogPost" to anon;
    grant references on public."BlogPost" to public;
  `);
});
after(async () => {
  await owner.end();
  await server.postgres.stop();
  await project.remove();
});
beforeEach(() =>
  owner.query(`delete from public.todos; insert into public.todos (user_id, task) values ('${ALICE}', 'of alice')`),
);

/** Runs a command; the migration that it wrote, applied twice. */
async function applied(
  task: "close" | "open",
  args: string[],
): Promise<{ text: string; output: string; warnings: string[] }> {
  const { code, output } = await project.command(task, args);
  assert.equal(code, 0, output);
  const [, file = ""] = /^supabase\/migrations\/(\S+) is new:$/m.exec(output) ?? [];
  const text = await readFile(join(project.migrations, file), "utf8");
  const warnings: string[] = [];
  const hear = ({ severity, message }: { severity?: string | undefined; message?: string | undefined }) =>
    void (severity === "WARNING" && warnings.push(message ?? ""));
  owner.on("notice", hear);
  for (let run = 0; run < 2; run++) await owner.query(text);
  owner.off("notice", hear);
  return { text, output, warnings: [...new Set(warnings)] };
}

interface Request {
  method?: string;
  path?: string;
  headers?: Record<string, string>;
  readOnly?: boolean;
}

/** A statement in a request of alice, as PostgREST runs it, and its log lines. */
async function ask(
  sql: string,
  { method = "GET", path = "/todos", headers = {}, readOnly = false }: Request = {},
): Promise<{ rows: Row[]; code: string | undefined; log: string[] }> {
  const log: string[] = [];
  const hear = ({ message }: { message?: string | undefined }) => void log.push(message ?? "");
  await owner.query(
    `begin${readOnly ? " read only" : ""}; set local client_min_messages = log; set local role authenticated`,
  );
  const settings = {
    "request.jwt.claims": JSON.stringify({ sub: ALICE, role: "authenticated" }),
    "request.method": method,
    "request.path": path,
    "request.headers": JSON.stringify(headers),
  };
  await owner.query(
    `select ${Object.keys(settings)
      .map((name, at) => `set_config('${name}', $${at + 1}, true)`)
      .join(", ")}`,
    Object.values(settings),
  );
  owner.on("notice", hear);
  try {
    const { rows } = await owner.query<Row>(sql);
    return { rows, code: undefined, log };
  } catch (error) {
    return { rows: [], code: (error as { code?: string }).code, log };
  } finally {
    owner.off("notice", hear);
    await owner.query("rollback");
  }
}

/** A call of a function with a proof, as the Worker makes it. */
async function worker(name: string, args: string): Promise<Row> {
  const path = `/rpc/${name}`;
  const claim: Record<string, string> = name === "airlock_list" ? {} : { "x-airlock-claim": claimOf() };
  const {
    rows: [row],
    code,
  } = await ask(`select public.${name}(${args}) as answer`, {
    method: "POST",
    path,
    headers: { "x-edge-proof": edgeProof({ secret: SECRET, sub: ALICE, method: "POST", path }), ...claim },
  });
  assert.equal(code, undefined, name);
  return row?.answer as Row;
}

let nonces = 0;
const claimOf = () => `v1.360.${randomUUID()}.rn-test:${String(++nonces).padStart(22, "n")}`;

/** The rights of each role on a table. */
async function grants(table: string): Promise<string[]> {
  const { rows } = await owner.query(
    `select pg_get_userbyid(grantee) || ' ' || privilege_type || coalesce(' ' || attname, '') || case when is_grantable then ' with grant option' else '' end as line
     from (
       select held.*, null as attname from pg_class, aclexplode(relacl) held where oid = $1::regclass
       union all select held.*, attname from pg_attribute, aclexplode(attacl) held where attrelid = $1::regclass
     ) held where grantee <> (select relowner from pg_class where oid = $1::regclass) order by 1`,
    [table],
  );
  return rows.map(({ line }) => line as string);
}

test("--report logs each direct call with the app's version and refuses none", async () => {
  const before = await grants("public.todos");
  const { text } = await applied("close", ["todos", "--report"]);
  assert.match(text, /^select airlock\.close_table\('public\.todos', 'report'\);$/m);
  const client = {
    "x-client-info": "supabase-js-react-native/2.39.3",
    "user-agent": "Todos/41 CFNetwork/1410 Darwin/22",
  };
  const line = (method: string, info = client["x-client-info"], agent = client["user-agent"]) =>
    `airlock direct call: ${method} public.todos, client ${info}, agent ${agent}`;
  for (const [method, sql, readOnly] of [
    ["GET", "select * from public.todos", true],
    ["GET", "select count(*) from public.todos a join public.todos b using (id)", true],
    ["POST", `insert into public.todos (user_id, task) values ('${ALICE}', 'another') returning *`, false],
    ["PATCH", "update public.todos set is_complete = true where id > 0 returning *", false],
    ["DELETE", "delete from public.todos where id > 0 returning *", false],
  ] as const) {
    const { rows, log } = await ask(sql, { method, headers: client, readOnly });
    assert.deepEqual([rows.length, log], [1, [line(method)]], sql);
  }
  for (const [headers, expected] of [
    [{}, line("GET", "-", "-")],
    [
      { "x-client-info": "a\nairlock direct call: é", "user-agent": "x".repeat(200) },
      line("GET", "a?airlock direct call: ?", "x".repeat(100)),
    ],
  ] as const)
    assert.deepEqual((await ask("select * from public.todos", { headers })).log, [expected]);
  // The Worker, with and without edge-only mode, and Realtime.
  for (const request of [
    { path: "/rpc/airlock_list" },
    { path: "/rpc/mine", headers: { "x-edge-proof": "v1.1.a" } },
    { path: "" },
  ]) {
    const { rows, log } = await ask("select * from public.todos", request);
    assert.deepEqual([rows.length, log], [1, []], JSON.stringify(request));
  }
  // A function of the project's own is a direct call of each table that it reads.
  assert.equal((await ask("select * from public.todos", { path: "/rpc/mine" })).log.length, 1);
  assert.deepEqual(await grants("public.todos"), before);
});

test("close refuses direct calls and keeps the Worker's grants", async () => {
  const { output, warnings } = await applied("close", ["todos"]);
  for (const said of [/Realtime: no changes of todos/, /The way back: npm run open -- todos/])
    assert.match(output, said);
  // On this server the mode was report; the migration enforces it.
  assert.deepEqual(warnings, []);
  assert.deepEqual((await owner.query("select mode from airlock.edge_settings")).rows, [{ mode: "enforce" }]);
  assert.deepEqual(
    (await grants("public.todos")).filter((line) => !line.startsWith("service_role ")),
    [
      "auditor SELECT",
      "authenticated DELETE",
      ...["is_complete", "task", "user_id"].map((column) => `authenticated INSERT ${column}`),
      ...["id", "inserted_at", "is_complete", "task", "user_id"].map((column) => `authenticated SELECT ${column}`),
      ...["is_complete", "task"].map((column) => `authenticated UPDATE ${column}`),
    ],
  );

  assert.deepEqual((await ask("select id, task from public.todos")).rows, []);
  assert.deepEqual((await ask("update public.todos set is_complete = true where id > 0 returning id")).rows, []);
  assert.deepEqual((await ask("delete from public.todos where id > 0 returning id")).rows, []);
  for (const sql of [
    `insert into public.todos (user_id, task) values ('${ALICE}', 'another')`,
    "update public.todos set inserted_at = now()",
  ])
    assert.equal((await ask(sql)).code, "42501", sql);
  assert.equal((await owner.query("select from public.todos")).rowCount, 1);

  const {
    data: [row],
  } = (await worker("airlock_list", "'todos', null, 'active', null, null, 20")) as { data: Row[] };
  assert.equal(row?.task, "of alice");
  const made = await worker("airlock_create", `'todos', null, '{"task": "by the Worker"}', null, null`);
  assert.deepEqual([made.outcome, (made.row as Row).task], ["created", "by the Worker"]);
  assert.equal(
    (await worker("airlock_change", `'todos', null, '${row?.id}', 'patch', '{"is_complete": true}', null`)).outcome,
    "done",
  );
  assert.equal(
    (await worker("airlock_put", `'todos', null, '${row?.id}', '{"task": "replaced"}', 'replace', null`)).outcome,
    "done",
  );
  assert.equal((await worker("airlock_change", `'todos', null, '${row?.id}', 'delete', null, null`)).outcome, "done");

  // The declaration still holds.
  const checked = await project.command("check", ["--db-url", reader]);
  assert.equal(checked.code, 0, checked.output);
  const again = await project.command("adopt", ["--db-url", reader]);
  assert.match(again.output, /^Nothing is new, and nothing was written\.$/m);
  // The policy of edge-only mode is not reported as new.
  assert.doesNotMatch(again.output, /edge_only/);
});

test("open answers direct calls as before, with the earlier grants", async () => {
  const { text } = await applied("open", ["public.todos"]);
  assert.match(text, /^select airlock\.open_table\('public\.todos'\);$/m);
  const all = ["DELETE", "INSERT", "MAINTAIN", "REFERENCES", "SELECT", "TRIGGER", "TRUNCATE", "UPDATE"];
  assert.deepEqual(
    await grants("public.todos"),
    ["anon", "auditor", "authenticated", "service_role"].flatMap((role) =>
      role === "auditor" ? ["auditor SELECT"] : all.map((privilege) => `${role} ${privilege}`),
    ),
  );
  assert.equal((await ask("select * from public.todos")).rows.length, 1);
  assert.equal(
    (await ask(`insert into public.todos (user_id, task) values ('${ALICE}', 'another') returning *`)).rows.length,
    1,
  );
  assert.deepEqual((await owner.query("select from airlock.earlier_grants")).rows, []);
  assert.deepEqual(
    (await owner.query("select polname from pg_policy where polrelid = 'public.todos'::regclass and not polpermissive"))
      .rows,
    [],
  );
});

test("a name with capitals, grants of columns and a column that is gone meanwhile", async () => {
  const before = await grants('public."BlogPost"');
  await owner.query(
    `insert into public."BlogPost" ("authorId", "postTitle", "updatedAt") values ('${ALICE}', 'of alice', now())`,
  );
  for (const [closing, opening] of [
    ["blog_post", "BlogPost"],
    ["public.BlogPost", 'public."BlogPost"'],
  ] as const) {
    await applied("close", [closing]);
    assert.deepEqual(
      (await grants('public."BlogPost"')).filter((line) => !line.startsWith("service_role ")),
      [
        "authenticated DELETE",
        ...["authorId", "id", "isPublished", "postTitle", "updatedAt", "viewCount"].map(
          (column) => `authenticated INSERT ${column}`,
        ),
        ...["authorId", "createdAt", "id", "isPublished", "postTitle", "updatedAt", "viewCount"].map(
          (column) => `authenticated SELECT ${column}`,
        ),
        ...["isPublished", "postTitle", "updatedAt", "viewCount"].map((column) => `authenticated UPDATE ${column}`),
      ],
    );
    assert.deepEqual((await ask(`select id from public."BlogPost"`)).rows, []);
    const { data } = (await worker("airlock_list", "'blog_post', null, 'active', null, null, 20")) as { data: Row[] };
    assert.equal(data.length, 1);
    await applied("open", [opening]);
    assert.deepEqual(await grants('public."BlogPost"'), before);
  }
  await applied("close", ["blog_post"]);
  await owner.query(`alter table public."BlogPost" drop column "isPublished" cascade`);
  await applied("open", ["blog_post"]);
  assert.deepEqual(
    await grants('public."BlogPost"'),
    before.filter((line) => !line.includes("isPublished")),
  );
});

test("rows below a parent and rows for every app keep their grants", async () => {
  const none = "version => null, created => null, updated => null, deleted => null";
  await owner.query(`
    create table public.crews (id uuid primary key default gen_random_uuid(), user_id uuid not null, name text not null, secret text);
    create table public.mates (id uuid primary key default gen_random_uuid(), crew uuid not null references public.crews, name text not null);
    create table public.ranks (id uuid primary key default gen_random_uuid(), name text not null, secret text);
    alter table public.crews enable row level security; alter table public.mates enable row level security; alter table public.ranks enable row level security;
    create policy own on public.crews to authenticated using ((select auth.uid()) = user_id) with check ((select auth.uid()) = user_id);
    create policy own on public.mates to authenticated using (exists (select from public.crews c where c.id = crew)) with check (exists (select from public.crews c where c.id = crew));
    create policy everybody on public.ranks for select to anon, authenticated using (true);
    grant all on public.crews, public.mates, public.ranks to anon, authenticated;
    select airlock.serve('crews', 'public.crews', 'user', array['name'], set_owner => true, ${none});
    select airlock.serve('mates', 'public.mates', 'user', array['name'], owner_column => null, under => 'crews.crew', ${none});
    select airlock.serve('ranks', 'public.ranks', 'user', array['name'], owner_column => null, scope => 'visible', readers => 'app', ${none});
    update airlock.edge_settings set mode = 'enforce';
  `);
  for (const table of ["crews", "mates", "ranks"])
    await owner.query(`select airlock.close_table('public.${table}'), airlock.narrow_grants('public.${table}')`);
  // Each call is rolled back.
  const crew = "c0000000-0000-4000-8000-000000000001";
  await owner.query(
    `insert into public.crews (id, user_id, name) values ('${crew}', '${ALICE}', 'Nostromo'); insert into public.mates (crew, name) values ('${crew}', 'Ripley')`,
  );
  assert.equal((await worker("airlock_create", `'crews', null, '{"name": "Sulaco"}', null, null`)).outcome, "created");
  assert.equal(
    (await worker("airlock_create", `'crews/${crew}/mates', null, '{"name": "Ash"}', null, null`)).outcome,
    "created",
  );
  assert.equal(
    ((await worker("airlock_list", `'crews/${crew}/mates', null, 'active', null, null, 20`)) as { data: Row[] }).data
      .length,
    1,
  );
  assert.deepEqual((await ask("select id from public.mates")).rows, []);
  assert.deepEqual(
    (await grants("public.ranks")).filter((line) => !line.startsWith("service_role ")),
    [
      "anon SELECT id",
      "anon SELECT name",
      "authenticated DELETE",
      "authenticated INSERT id",
      "authenticated INSERT name",
      "authenticated SELECT id",
      "authenticated SELECT name",
      "authenticated UPDATE name",
    ],
  );
});

test("narrowing warns about tables and functions, and that the mode is off", async () => {
  await owner.query(`
    create table public.notes_of_todos (id bigint primary key, todo bigint); alter table public.notes_of_todos enable row level security;
    create policy "of own todos" on public.notes_of_todos for select using (exists (select from public.todos t where t.id = todo and t.is_complete is not null));
    create function public.count_todos() returns bigint language sql as 'select count(*) from public.todos';
    update airlock.edge_settings set mode = 'off';
  `);
  const { warnings } = await applied("close", ["todos"]);
  assert.deepEqual(warnings, [
    "edge-only mode is off: requests past the Worker are answered as far as the grants on public.todos go",
    "policies of public.notes_of_todos read public.todos, so direct calls of these tables get fewer rows or none",
    "public.count_todos() may use public.todos with the rights of the caller, who has fewer now",
  ]);
  await applied("open", ["todos"]);
});

test("tables with names up to 63 bytes are closed and opened, and a team's own policies stay", async () => {
  for (const table of ["t".repeat(53), "t".repeat(54), "t".repeat(63), `${"ü".repeat(31)}x`, "🔒".repeat(15)]) {
    const policies = async () =>
      (
        await owner.query(
          "select polname as name from pg_policy join pg_class c on c.oid = polrelid where relname = any ($1) order by polname",
          [[table, "renamed"]],
        )
      ).rows.map(({ name }) => String(name));
    const own = ["own_edge_only", table].sort();
    await owner.query(`
      create table public."${table}" (id bigint primary key); alter table public."${table}" enable row level security;
      create policy "${table}" on public."${table}" as restrictive using (true);
      create policy own_edge_only on public."${table}" as restrictive using (true);
    `);
    for (const mode of ["report", "enforce"]) {
      await owner.query("select airlock.close_table($1::regclass, $2)", [`public."${table}"`, mode]);
      const made = (await policies()).filter((name) => !own.includes(name));
      assert.equal(made.length, 1, `${table}: ${made}`);
      assert.match(made[0] ?? "", /_edge_only$/);
    }
    await owner.query(`alter table public."${table}" rename to renamed; select airlock.open_table('public.renamed')`);
    assert.deepEqual((await policies()).sort(), own);
    await owner.query("drop table public.renamed");
  }
});

test("an impossible name is refused, and nothing is written", async () => {
  const before = (await readdir(project.migrations)).sort();
  for (const [task, args, sentence] of [
    ["close", [], /Which table\?\nnpm run close -- TABLE \[--report\]/],
    [
      "close",
      ["nowhere"],
      /airlock\.toml has no resource nowhere, and no table of that name\. It has: blog_post, todos\. /,
    ],
    ["close", ["User"], /no resource User/],
    ["close", ["todos; drop table todos"], /no resource todos; drop table todos/],
    ["close", ["todos", "blog_post"], /takes one table, not 2/],
    ["close", ["todos", "--enforce"], /Unknown option '--enforce'/],
    ["open", ["todos"], /^airlock: No migration closes todos, so it is open\.$/m],
    ["open", ["todos", "--report"], /Unknown option '--report'/],
  ] as const) {
    const { code, output } = await project.command(task, [...args]);
    assert.equal(code, 1, output);
    assert.match(output, sentence);
  }
  const [file = ""] = await project.adopted();
  await writeFile(join(project.migrations, file), "select 1;");
  const unregistered = await project.command("close", ["todos"]);
  await writeFile(join(project.migrations, file), adopted);
  assert.equal(unregistered.code, 1);
  assert.match(unregistered.output, /^airlock: No migration registers todos\. `npm run adopt` writes it\.$/m);
  assert.deepEqual((await readdir(project.migrations)).sort(), before);
});
