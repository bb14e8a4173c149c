// The three schemas, adopted without an edit. The built Worker serves each user their own rows, and the old app's
// direct calls are answered as before.

import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";

import { type Catalogue, readTables } from "../../tools/adopt/catalogue.ts";
import { NO_OPTIONS, type Options } from "../../tools/adopt/decide.ts";
import { decideDeclarable } from "../../tools/adopt/grammar.ts";
import { migrationText, missing, statementsOf } from "../../tools/adopt/migration.ts";
import { resourcesOf, sectionText } from "../../tools/adopt/toml.ts";
import { check, toJson } from "../../tools/declaration.ts";
import { type Supabase, startSupabase } from "../../tools/supabase.ts";
import { assertApart } from "../e2e/adopted.ts";
import { assertOk, assertProblem, withoutId } from "../e2e/http.ts";
import {
  APP,
  appGuard,
  type Caller,
  caller,
  directTo,
  JWT_SECRET,
  type LoggedWorker,
  PUBLISHABLE_KEY,
  SECRET_KEY,
  signIn,
  startWorkerAlone,
  type User,
  withWorker,
  workerVars,
} from "../e2e/support.ts";
import { baseline } from "../support/notes.ts";
import { schemaOf } from "./support.ts";

type Row = Record<string, unknown>;

const SECRET = "the-secret-of-tests-of-served-tables";

let folder: string;
let supabase: Supabase;
let worker: LoggedWorker;
let declaration: string;
let users: { alice: User; bob: User };
let alice: Caller;
let bob: Caller;
let calls: { before: string[]; after: string[] };

before(async () => {
  folder = await mkdtemp(join(tmpdir(), "airlock-served-"));
  const older = await Promise.all(
    ["todos", "profiles", "teams"].map(async (name, at) => {
      const file = join(folder, `2024010100000${at}_${name}.sql`);
      await writeFile(file, await schemaOf(name));
      return file;
    }),
  );
  supabase = await startSupabase({
    port: 0,
    dataDir: join(folder, "data"),
    jwtSecret: JWT_SECRET,
    publishableKey: PUBLISHABLE_KEY,
    secretKey: SECRET_KEY,
    baseline: [...older, ...baseline],
  });
  users = { alice: await signIn(supabase.url, "alice"), bob: await signIn(supabase.url, "bob") };
  const first = await oldApp();

  const catalogue = await readCatalogue();
  const decisions = await decideDeclarable(catalogue, NO_OPTIONS, []);
  const sections = decisions.flatMap(({ section }) => section ?? []);
  assert.deepEqual(
    sections.map(({ resource }) => resource),
    ["profiles", "projects", "tasks", "teams", "todos"],
  );
  const toml = sections.map(sectionText).join("\n\n");
  const declared = resourcesOf(toml);
  const statements = declared.map(([name, raw], at) => {
    const table = catalogue.tables.find((one) => one.name === name);
    assert.ok(table);
    return statementsOf(table, name, raw, sections[at]?.added ?? [], declared);
  });
  // Twice: a migration of adopt can be repeated.
  for (let run = 0; run < 2; run++) await supabase.sql(migrationText(statements));
  calls = { before: first, after: await oldApp() };

  declaration = toJson(toml);
  // A secret that is not used before the table is closed.
  await supabase.sql(`update airlock.edge_settings set mode = 'enforce', secret = '${SECRET}'`);
  worker = await startWorkerAlone(workerVars(supabase.url, { EDGE_PROOF_SECRET: SECRET }), { declaration });
  alice = caller(worker.url, users.alice.token);
  bob = caller(worker.url, users.bob.token);
});
after(async () => {
  await worker?.stop();
  await supabase?.stop();
  await rm(folder, { recursive: true });
});

async function readCatalogue(): Promise<Catalogue> {
  await supabase.sql("begin");
  try {
    return await readTables(supabase.sql);
  } finally {
    await supabase.sql("rollback");
  }
}

async function direct(
  user: User | null,
  method: string,
  path: string,
  json?: unknown,
  prefer = "return=representation",
): Promise<{ status: number; body: string }> {
  const answer = await fetch(`${supabase.url}/rest/v1${path}`, {
    method,
    headers: {
      apikey: PUBLISHABLE_KEY,
      ...(user && { authorization: `Bearer ${user.token}` }),
      "content-type": "application/json",
      prefer,
    },
    ...(json !== undefined && { body: JSON.stringify(json) }),
  });
  return { status: answer.status, body: await answer.text() };
}

/** The requests of the old app, and the answers without ids and times. It leaves no row. */
async function oldApp(): Promise<string[]> {
  const { alice, bob } = users;
  const answers: string[] = [];
  const names = new Map<string, string>();
  const plain = (body: string) =>
    body
      .replace(/\d{4}-\d\d-\d\d[T ][\d:.]+(?:\+00:00|Z)?/g, "<time>")
      .replace(
        /[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}/g,
        (id) => names.get(id) ?? names.set(id, `<id ${names.size}>`).get(id) ?? "",
      )
      .replace(/"id":\d+/g, '"id":<number>');
  const ask = async (user: User | null, method: string, path: string, json?: unknown, prefer?: string) => {
    const { status, body } = await direct(user, method, path, json, prefer);
    answers.push(`${method} ${path.replace(/eq\.[^&]*/g, "eq.<value>")}: ${status} ${plain(body)}`);
    return body;
  };
  const slug = `team-${randomUUID()}`;
  const one = async (body: Promise<string>) => (JSON.parse(await body) as Row[])[0] ?? {};
  const todo = await one(ask(alice, "POST", "/todos?select=*", { user_id: alice.id, task: "by the old app" }));
  await ask(alice, "POST", "/todos", { user_id: bob.id, task: "for somebody else" });
  await ask(alice, "POST", "/todos", { user_id: alice.id, task: "abc" });
  await ask(alice, "GET", "/todos?select=*");
  await ask(bob, "GET", "/todos?select=*");
  await ask(null, "GET", "/todos?select=*");
  await ask(alice, "PATCH", `/todos?id=eq.${todo.id}`, { is_complete: true });
  await ask(bob, "PATCH", `/todos?id=eq.${todo.id}`, { is_complete: false });
  await ask(alice, "DELETE", `/todos?id=eq.${todo.id}`);
  await ask(
    alice,
    "POST",
    "/profiles?on_conflict=id",
    { id: alice.id, username: "alice", website: "https://example.com" },
    "resolution=merge-duplicates,return=representation",
  );
  await ask(null, "GET", `/profiles?select=*&id=eq.${alice.id}`);
  await ask(bob, "PATCH", `/profiles?id=eq.${alice.id}`, { username: "mallory" });
  const team = JSON.parse(await ask(alice, "POST", "/rpc/create_team", { name: "Old", slug })) as Row | Row[];
  const { id: teamId } = [team].flat()[0] ?? {};
  const project = await one(ask(alice, "POST", "/projects?select=*", { team_id: teamId, name: "old" }));
  await ask(bob, "POST", "/projects", { team_id: teamId, name: "intruder" });
  const task = await one(
    ask(alice, "POST", "/tasks?select=*", { project_id: project.id, title: "old", tags: ["a"], metadata: { a: 1 } }),
  );
  await ask(alice, "PATCH", `/tasks?id=eq.${task.id}`, { done_at: "2026-01-01T00:00:00Z" });
  await ask(bob, "GET", "/tasks?select=*");
  await ask(alice, "GET", "/task_counts?select=*");
  await supabase.sql("delete from public.teams where slug = $1", [slug]);
  return answers.map((answer) => answer.replaceAll(slug, "<slug>"));
}

test("the old app's direct calls are answered as before", () => {
  assert.equal(calls.before.length, 19);
  assert.deepEqual(calls.after, calls.before);
  assert.ok(
    calls.before.some((answer) => answer.includes("201")) && calls.before.some((answer) => answer.includes("403")),
  );
});

/** The id of a new team of the user alice. */
async function oneTeam(): Promise<unknown> {
  const { body } = await direct(users.alice, "POST", "/rpc/create_team", { name: "New", slug: `team-${randomUUID()}` });
  return [JSON.parse(body) as Row | Row[]].flat()[0]?.id;
}

const everybody = () => [alice, bob] as const;

test("todos: only own rows, by number, with real deletes", async () => {
  const row = assertOk(await alice("POST", "/v1/todos", { task: "  water the plants " }), 201) as Row;
  assert.deepEqual(Object.keys(row), ["id", "task", "is_complete", "created_at"]);
  assert.deepEqual([row.task, row.is_complete, typeof row.id], ["water the plants", false, "number"]);
  const at = `/v1/todos/${row.id}`;
  assert.deepEqual(assertOk(await alice("GET", at), 200), row);
  assert.deepEqual((assertOk(await alice("GET", "/v1/todos"), 200) as { data: Row[] }).data, [row]);
  assert.deepEqual((assertOk(await bob("GET", "/v1/todos"), 200) as { data: Row[] }).data, []);
  for (const [method, body] of [
    ["GET", undefined],
    ["PATCH", { is_complete: true }],
    ["PUT", { task: "mine now" }],
    ["DELETE", undefined],
  ] as const) {
    const missing = await bob(method, "/v1/todos/9007199254740991", body);
    assertProblem(missing, "not_found");
    assert.equal(withoutId(await bob(method, at, body)), withoutId(missing), method);
  }
  assert.deepEqual(assertOk(await alice("GET", at), 200), row);
  assertProblem(await alice("POST", "/v1/todos", { task: "abc" }), "validation_failed");
  assertProblem(await alice("POST", "/v1/todos", { task: "for bob", user_id: users.bob.id }), "validation_failed");
  assert.equal((assertOk(await alice("PATCH", at, { is_complete: null }), 200) as Row).is_complete, null);
  assert.equal((await alice("DELETE", at)).status, 204);
  assertProblem(await alice("DELETE", at), "not_found");
});

test("profiles: only the own row, as /me", async () => {
  const [mine, other] = await Promise.all(
    everybody().map(async (user) => assertOk(await user("GET", "/v1/profiles/me"), 200) as Row),
  );
  assert.deepEqual([mine?.id, other?.id], [users.alice.id, users.bob.id]);
  assert.equal(
    (assertOk(await alice("PATCH", "/v1/profiles/me", { full_name: "Alice" }), 200) as Row).full_name,
    "Alice",
  );
  assert.deepEqual(assertOk(await bob("GET", "/v1/profiles/me"), 200), other);
  assertProblem(await bob("PATCH", "/v1/profiles/me", { username: "ab" }), "validation_failed");
  assertProblem(await alice("GET", `/v1/profiles/${users.bob.id}`), "not_found");
  assertProblem(await alice("GET", "/v1/profiles"), "not_found");
  // The name is taken: the old app gave it to alice.
  const conflict = assertProblem(await bob("PATCH", "/v1/profiles/me", { username: "alice" }), "conflict");
  assert.deepEqual(
    (conflict.errors as Row[]).map(({ pointer, code }) => `${pointer} ${code}`),
    ["/username unique"],
  );
});

test("teams, projects and tasks: members see and refer to only their rows", async () => {
  const slug = `team-${randomUUID()}`;
  const made = await direct(users.alice, "POST", "/rpc/create_team", { name: "New", slug });
  const team = [JSON.parse(made.body) as Row | Row[]].flat()[0]?.id;
  assert.deepEqual(
    (assertOk(await alice("GET", "/v1/teams"), 200) as { data: Row[] }).data.map(({ id }) => id),
    [team],
  );
  assert.deepEqual((assertOk(await bob("GET", "/v1/teams"), 200) as { data: Row[] }).data, []);
  assertProblem(await bob("GET", `/v1/teams/${team}`), "not_found");

  const project = assertOk(await alice("POST", "/v1/projects", { team_id: team, name: "new" }), 201) as Row;
  const task = assertOk(await alice("POST", "/v1/tasks", { project_id: project.id, title: "new" }), 201) as Row;
  assert.deepEqual([task.priority, task.tags, task.metadata, task.status], [3, [], {}, "open"]);
  for (const [resource, row, change] of [
    ["projects", project, { name: "mine" }],
    ["tasks", task, { title: "mine" }],
  ] as const) {
    assert.deepEqual((assertOk(await bob("GET", `/v1/${resource}`), 200) as { data: Row[] }).data, []);
    assertProblem(await bob("GET", `/v1/${resource}/${row.id}`), "not_found");
    assertProblem(await bob("PATCH", `/v1/${resource}/${row.id}`, change), "not_found");
    assert.deepEqual(assertOk(await alice("GET", `/v1/${resource}/${row.id}`), 200), row);
  }
  // Another user's team and a missing team get bob the same answer, also through an app without signatures.
  const unsigned = { EDGE_PROOF_SECRET: SECRET, APP_GUARD: appGuard({ [APP.appId]: { mode: "report", keys: [] } }) };
  await withWorker(workerVars(supabase.url, unsigned), { declaration }, async (open) => {
    for (const as of [bob, caller(open.url, users.bob.token)]) {
      const refusals = await Promise.all(
        [team, randomUUID()].map(async (id) =>
          withoutId(await as("POST", "/v1/projects", { team_id: id, name: "intruder" })),
        ),
      );
      assert.equal(refusals[0], refusals[1]);
      assert.match(refusals[0] ?? "", /"reference"/);
    }
  });

  const filtered = async (filter: string) =>
    (assertOk(await alice("GET", `/v1/tasks?${filter}`), 200) as { data: Row[] }).data.length;
  assert.deepEqual(
    [
      await filtered(`project_id.eq=${project.id}`),
      await filtered(`project_id.eq=${randomUUID()}`),
      await filtered("assignee.is=null"),
    ],
    [1, 0, 1],
  );

  const done = assertOk(
    await alice("PATCH", `/v1/tasks/${task.id}`, { done_at: "2026-01-01T00:00:00Z", tags: ["a"] }),
    200,
  ) as Row;
  assert.deepEqual([done.status, done.tags], ["done", ["a"]]);
  assert.equal(String(done.updated_at) > String(task.updated_at), true);
  assertProblem(await alice("PATCH", `/v1/tasks/${task.id}`, { status: "open" }), "validation_failed");
  assertProblem(await alice("DELETE", `/v1/projects/${project.id}`), "method_not_allowed");
  assert.equal((await alice("DELETE", `/v1/tasks/${task.id}`)).status, 204);
});

test("all of them: users reach only rows that the policies show", async () => {
  const { resources } = await check(declaration);
  const stack = { url: worker.url, sql: supabase.sql, direct: directTo(supabase.url), ...users };
  const team = await oneTeam();
  const project = assertOk(await alice("POST", "/v1/projects", { team_id: team, name: "apart" }), 201) as Row;
  assertOk(await alice("POST", "/v1/tasks", { project_id: project.id, title: "apart" }), 201);
  assertOk(await alice("POST", "/v1/todos", { task: "apart" }), 201);
  for (const resource of resources) {
    const rows = await supabase.sql(`select from public.${resource.name}`);
    assert.ok(rows.length > 0, resource.name);
    await assertApart(resource, stack, alice, bob);
  }
});

test("a closed table answers only the Worker; open serves the old app again", async () => {
  const tables = ["todos", "profiles", "teams", "projects", "tasks"];
  await supabase.sql("delete from public.teams");
  const before = await oldApp();
  await supabase.sql("select airlock.close_table('public.todos'), airlock.narrow_grants('public.todos')");
  const row = assertOk(await alice("POST", "/v1/todos", { task: "behind the Worker" }), 201) as Row;
  const at = `/v1/todos/${row.id}`;
  assert.deepEqual(assertOk(await alice("GET", at), 200), row);
  assert.equal((assertOk(await alice("PUT", at, { task: "replaced" }), 200) as Row).task, "replaced");
  assert.equal((assertOk(await alice("PATCH", at, { is_complete: true }), 200) as Row).is_complete, true);
  assert.ok((assertOk(await alice("GET", "/v1/todos"), 200) as { data: Row[] }).data.some(({ id }) => id === row.id));
  assert.equal((await bob("GET", at)).status, 404);
  const past = async (method: string, path: string, json?: unknown) => {
    const { status, body } = await direct(users.alice, method, path, json);
    assert.ok(status === 403 || (status === 200 && body === "[]"), `${method} ${path}: ${status} ${body}`);
  };
  await past("GET", "/todos?select=*");
  await past("GET", `/todos?select=task&id=eq.${row.id}`);
  await past("POST", "/todos", { user_id: users.alice.id, task: "past the Worker" });
  await past("PATCH", `/todos?id=eq.${row.id}`, { is_complete: false });
  await past("DELETE", `/todos?id=eq.${row.id}`);
  assert.equal((await alice("DELETE", at)).status, 204);
  // Other tables are open, and all of them serve the Worker when they are closed too.
  await past("GET", "/todos?select=task");
  assert.match((await direct(users.alice, "GET", "/profiles?select=username")).body, /alice/);
  for (const table of tables)
    await supabase.sql(`select airlock.close_table('public.${table}'), airlock.narrow_grants('public.${table}')`);
  const team = await oneTeam();
  const project = assertOk(await alice("POST", "/v1/projects", { team_id: team, name: "closed" }), 201) as Row;
  const task = assertOk(await alice("POST", "/v1/tasks", { project_id: project.id, title: "closed" }), 201) as Row;
  assert.equal(
    (assertOk(await alice("PATCH", `/v1/tasks/${task.id}`, { done_at: "2026-01-01T00:00:00Z" }), 200) as Row).status,
    "done",
  );
  assertOk(await alice("PATCH", "/v1/profiles/me", { full_name: "Alice" }), 200);
  assert.ok((assertOk(await alice("GET", "/v1/teams"), 200) as { data: Row[] }).data.length > 0);
  for (const table of tables) await past("GET", `/${table}?select=id`);

  for (const table of tables) await supabase.sql(`select airlock.open_table('public.${table}')`);
  await supabase.sql("delete from public.teams where id = $1", [team]);
  assert.equal(before.length, 19);
  assert.deepEqual(await oldApp(), before);
  assert.deepEqual(
    await supabase.sql(
      "select polname from pg_policy where polname like '%\\_edge\\_only' and polrelid::regclass::text = any ($1)",
      [tables],
    ),
    [],
  );
});

test("--with version,deleted: rows have tags and are deleted softly", async () => {
  await supabase.sql(`
    create table public.wishes (id uuid primary key default gen_random_uuid(), user_id uuid not null references auth.users, label text not null);
    alter table public.wishes enable row level security;
    create policy "own" on public.wishes for all to authenticated using ((select auth.uid()) = user_id) with check ((select auth.uid()) = user_id);
    grant all on public.wishes to anon, authenticated`);
  const options = { ...NO_OPTIONS, chosen: new Set(["public.wishes"]) };
  const decided = async (added: Options["with"]) => {
    const catalogue = await readCatalogue();
    const table = catalogue.tables.find(({ name }) => name === "wishes");
    const section = (await decideDeclarable(catalogue, { ...options, with: added }, [])).find(
      ({ table: called }) => called === "public.wishes",
    )?.section;
    assert.ok(table && section);
    const toml = sectionText(section);
    return {
      toml,
      statements: statementsOf(table, "wishes", resourcesOf(toml)[0]?.[1] ?? {}, section.added, resourcesOf(toml)),
    };
  };
  const { toml, statements } = await decided(["version", "deleted"]);
  const migration = migrationText([statements]);
  for (let run = 0; run < 2; run++) await supabase.sql(migration);
  await withWorker(workerVars(supabase.url), { declaration: toJson(toml) }, async ({ url }) => {
    const call = caller(url, users.alice.token);
    const made = await call("POST", "/v1/wishes", { label: "a boat" });
    const { id } = assertOk(made, 201) as Row;
    assert.equal(made.headers.get("etag"), '"1"');
    // As the old app changes it, which knows nothing of versions.
    await supabase.sql("update public.wishes set label = 'a ship'");
    const tag = (value: string) => ({ headers: { "If-Match": value } });
    assertProblem(await call("DELETE", `/v1/wishes/${id}`, undefined, tag('"1"')), "version_mismatch");
    assert.equal((await call("DELETE", `/v1/wishes/${id}`, undefined, tag('"2"'))).status, 204);
    assertProblem(await call("GET", `/v1/wishes/${id}`), "not_found");
    assert.equal((await call("POST", `/v1/wishes/${id}/restore`)).headers.get("etag"), '"4"');
  });
  for (const added of [["version", "deleted"], []] as const) {
    const again = await decided([...added]);
    assert.equal(again.toml, toml);
    assert.deepEqual(missing([again.statements], [migration]), []);
  }
});

test("a reference in a column whose name is not the field's is checked", async () => {
  await supabase.sql(`
    create table public.shelves (id uuid primary key default gen_random_uuid(), user_id uuid not null references auth.users, label text not null);
    create table public.books (
      id uuid primary key default gen_random_uuid(), user_id uuid not null references auth.users, "shelfId" uuid references public.shelves
    );
    alter table public.shelves enable row level security;
    alter table public.books enable row level security;
    create policy "own" on public.shelves for all to authenticated using ((select auth.uid()) = user_id) with check ((select auth.uid()) = user_id);
    create policy "own" on public.books for all to authenticated using ((select auth.uid()) = user_id) with check ((select auth.uid()) = user_id);
    grant all on public.shelves, public.books to anon, authenticated`);
  const chosen = new Set(["public.shelves", "public.books"]);
  const catalogue = await readCatalogue();
  const sections = (await decideDeclarable(catalogue, { ...NO_OPTIONS, chosen }, [])).flatMap(({ table, section }) =>
    section && chosen.has(table) ? [section] : [],
  );
  const toml = sections.map(sectionText).join("\n");
  const statements = sections.map(({ resource, added }) => {
    const table = catalogue.tables.find(({ name }) => name === resource);
    assert.ok(table);
    return statementsOf(table, resource, new Map(resourcesOf(toml)).get(resource) ?? {}, added, resourcesOf(toml));
  });
  await supabase.sql(migrationText(statements));
  await withWorker(workerVars(supabase.url), { declaration: toJson(toml) }, async ({ url }) => {
    const [asAlice, asBob] = [caller(url, users.alice.token), caller(url, users.bob.token)];
    const shelf = assertOk(await asAlice("POST", "/v1/shelves", { label: "upper" }), 201) as Row;
    const book = assertOk(await asAlice("POST", "/v1/books", { shelf_id: shelf.id }), 201) as Row;
    assertOk(await asAlice("PUT", `/v1/books/${book.id}`, { shelf_id: shelf.id }), 200);
    for (const shelf_id of [shelf.id, randomUUID()]) {
      const answer = await asBob("POST", "/v1/books", { shelf_id });
      assert.deepEqual(
        assertProblem(answer, "validation_failed").errors?.map(({ pointer, code }) => [pointer, code]),
        [["/shelf_id", "reference"]],
      );
    }
  });
});

test("without a token no row is shown", async () => {
  const nobody = caller(worker.url);
  for (const path of ["/v1/todos", "/v1/profiles/me", "/v1/teams", "/v1/projects", "/v1/tasks"])
    assertProblem(await nobody("GET", path), "token_missing");
});
