// airlock.toml as text: additions, changes, and lines that stay. The differences that a section has from its table.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import type { Catalogue } from "../../tools/adopt/catalogue.ts";
import { decide } from "../../tools/adopt/decide.ts";
import { allChanges, type Change, wider } from "../../tools/adopt/drift.ts";
import { migrationText, missing, statementsOf } from "../../tools/adopt/migration.ts";
import { edited, optionsOf, resourcesOf, sectionText, withSections } from "../../tools/adopt/toml.ts";
import { check, toJson } from "../../tools/declaration.ts";
import { type Embedded, openEmbedded, schemaOf } from "./support.ts";

const HAND = `# Ours.
organizations = false

[resources.todos]   # the list
table = "todos"
id = "bigint"
owner = { column = "user_id", set = "worker" }
version = false
created = "inserted_at"   # the order
updated = false
deleted = false
routes = [
  "list",  # all
  "read",
]
[resources.todos.fields]
# What is to be done.
task = "text(4..200)?"  # ours is narrower
is_complete = "boolean? = false"

# The other one.
[resources.notes]
owner = "user"
[resources.notes.fields]
title = "text(1..9)"
`;

test("a line changes and keeps its comment, all others stay", () => {
  const after = edited(HAND, [{ section: "resources.todos.fields", key: "task", value: '"text(4..100)?"' }]);
  assert.equal(after, HAND.replace('"text(4..200)?"', '"text(4..100)?"'));
});

test("a value of several lines changes as one", () => {
  const after = edited(HAND, [{ section: "resources.todos", key: "routes", value: '["list"]' }]);
  assert.equal(after, HAND.replace(/routes = \[[^\]]*\]/, 'routes = ["list"]'));
});

test("a new line comes before the comment of the next section", () => {
  const after = edited(HAND, [{ section: "resources.todos.fields", key: "due", value: '"date?"', comment: "new" }]);
  assert.equal(after, HAND.replace('= false"\n\n# The other', '= false"\ndue = "date?"  # new\n\n# The other'));
});

test("a line is removed", () => {
  const after = edited(HAND, [{ section: "resources.todos.fields", key: "is_complete", value: null }]);
  assert.equal(after, HAND.replace('is_complete = "boolean? = false"\n', ""));
});

test("an inline section is left to its author", () => {
  assert.throws(
    () =>
      edited("resources = { a = { fields = {} } }\n", [{ section: "resources.a.fields", key: "b", value: '"date?"' }]),
    /by hand: b = "date\?"/,
  );
});

test("sections are added at the end", () => {
  assert.equal(withSections(HAND, []), HAND);
  assert.equal(withSections(HAND, ["[resources.a]\nx = 1"]), `${HAND}\n[resources.a]\nx = 1\n`);
  assert.equal(withSections("", ["[resources.a]"]), "[resources.a]\n");
});

const WIDER: [string, string, boolean, RegExp | undefined][] = [
  ["text(1..10)", "text(0..20)", false, undefined],
  ["verbatim(0..20)", "text(0..20)", false, undefined],
  ["text(0..21)", "text(0..20)", false, /wider/],
  ["text(0..50000)", "text(0..10000)", true, undefined],
  ["text(0..10)?", "text(0..20)", false, /NOT NULL/],
  ["text(1..10)", "text(1..10)?", false, undefined],
  ["text(3..10)", "text(4..10)", false, /wider/],
  ["integer(0..9)", "integer(0..9) = 3", false, undefined],
  ["integer(0..10)", "integer(0..9)", false, /wider/],
  ["integer(0..9)", "text(0..9)", false, /another type/],
  ["one_of(a,b)", "one_of(a,b,'c d')", false, undefined],
  ["one_of(a,'c e')", "one_of(a,b,'c d')", false, /values/],
  ["decimal(8,2)", "decimal(10,4)", false, undefined],
  ["decimal(10,2)", "decimal(10,4)", false, /wider/],
  ["decimal(10,4)", "decimal(12,2)", false, /wider/],
  ["integers(100,0..9)", "integers(100,-5..9)", true, undefined],
  ["integers(200,0..9)", "integers(100,-5..9)", true, undefined],
  ["integers(6,0..9)", "integers(5,0..9)", false, /wider/],
  ["integers(5,-6..9)", "integers(5,-5..9)", true, /wider/],
  ["uuids(6)", "uuids(5)", false, /wider/],
  ["number(0..1)", "decimal(3,2)", false, /type/],
  ["one_of(a,b)", "text(0..5)", false, undefined],
  ["one_of(abcdef)", "text(0..5)", false, /longer/],
  ["texts(5,20)", "texts(100,1000)", true, undefined],
  ["texts(5,31)", "texts(5,30)", false, /wider/],
  ["json(100000)", "json(65536)", true, undefined],
  ["uuid", "ref(teams)", false, undefined],
  ["ref(teams)?", "uuid?", false, undefined],
  ["ref(teams)", "text(0..5)", false, /another type/],
  ["date? = default", "date?", false, /no default/],
  ["boolean? = true", "boolean? = false", false, undefined],
];
for (const [declared, now, unlimited, what] of WIDER) {
  test(`declared ${declared}, the database has ${now}`, () => {
    const found = wider(declared, { text: now, unlimited });
    if (what) assert.match(found ?? "", what);
    else assert.equal(found, undefined);
  });
}

// With a database.

let embedded: Embedded;
let todos: Catalogue;
before(async () => {
  embedded = await openEmbedded();
  todos = await embedded.catalogueOf(await schemaOf("todos"));
});
after(() => embedded.close());

/** A schema after adopt wrote its sections. */
function adopted(catalogue: Catalogue): string {
  return withSections(
    "",
    decide(catalogue).flatMap(({ section }) => (section ? [sectionText(section)] : [])),
  );
}

const changes = (toml: string, catalogue: Catalogue): Change[] =>
  allChanges(resourcesOf(toml), catalogue, decide(catalogue, optionsOf(toml)));
const whats = (toml: string, catalogue: Catalogue) =>
  changes(toml, catalogue).map(({ drift, what }) => `${drift ? "drift" : "new"}: ${what}`);

test("adopt finds no difference to its own output, for each schema", async () => {
  // tests/long/adopt.test.ts asks the command itself about all.
  for (const name of ["profiles", "teams", "odd"]) {
    const catalogue = await embedded.catalogueOf(await schemaOf(name));
    assert.deepEqual(whats(adopted(catalogue), catalogue), [], name);
  }
});

test("hand edits that promise less are no difference", () => {
  const toml = adopted(todos)
    .replace("text(4..10000)?", "text(10..50)")
    .replace("[resources.todos.fields]", 'routes = ["list", "read"]\n[resources.todos.fields]')
    .replace("task =", "what_to_do =")
    .replace('"text(10..50)"', '{ kind = "text(10..50)", column = "task" }');
  assert.deepEqual(whats(toml, todos), []);
});

test("new columns are shown, and added only with --take", async () => {
  const before = adopted(todos);
  const after = await embedded.catalogueOf(
    `${await schemaOf("todos")}; alter table todos add column due date, add column rank integer not null; create unique index todos_task on todos (task);`,
  );
  assert.deepEqual(whats(before, after), [
    "new: unique: the database has todos_task",
    "new: due (date?) is not declared",
    "drift: rank (integer(-2147483648..2147483647)) is not declared, and no new row is without it",
  ]);
  const taken = edited(
    before,
    changes(before, after).flatMap(({ edits }) => edits),
  );
  assert.equal(
    taken,
    before
      .replace("deleted = false\n", 'deleted = false\nunique = { todos_task = "task" }\n')
      .replace(/\n$/, '\ndue = "date?"\nrank = "integer(-2147483648..2147483647)"\n'),
  );
  assert.deepEqual(whats(taken, after), []);
});

const DRIFTS: [string, string, RegExp][] = [
  [
    "a narrower limit",
    "alter table todos add check (char_length(task) < 100)",
    /^drift: task: its limit is wider than the database's; declared text\(4\.\.10000\)\?, the database has text\(4\.\.99\)\?$/,
  ],
  [
    "another type",
    "alter table todos drop constraint todos_task_check, alter column task type integer using 1",
    /^drift: task: the column has another type; /,
  ],
  [
    "a column that is gone",
    "alter table todos drop column is_complete",
    /^drift: is_complete \(boolean\? = false\): there is no such column$/,
  ],
  [
    "NOT NULL",
    "alter table todos alter column is_complete set not null",
    /^drift: is_complete: the column is NOT NULL; /,
  ],
  [
    "an open policy",
    'create policy "open" on todos for select using (true)',
    /^drift: policy "open" for SELECT to everybody: using true holds for anybody\. If this is intended: .* SQL: /,
  ],
  ["Row Level Security off", "alter table todos disable row level security", /^drift: row level security is off/],
  ["a policy that is gone", 'drop policy "delete own" on todos', /^drift: routes: grants or policies refuse delete$/],
  [
    "a policy for rows of others",
    `drop policy "select own" on todos; create policy "select some" on todos for select using (auth.uid() = user_id or exists (select from auth.users u where u.id = auth.uid() and u.email = task))`,
    /^drift: scope: the policies show a caller rows of others/,
  ],
  [
    "a right that is gone",
    "revoke update on todos from authenticated",
    /^drift: routes: grants or policies refuse put, patch$/,
  ],
  [
    "the order's column",
    "alter table todos alter column inserted_at drop not null",
    /^drift: created: inserted_at does not serve as it in the database$/,
  ],
  ["a table that is gone", "drop table todos", /^drift: there is no table public\.todos$/],
  [
    "a column without UPDATE",
    "revoke update on todos from authenticated; grant update (task) on todos to authenticated",
    /^drift: is_complete: it cannot be written; /,
  ],
];
for (const [name, sql, what] of DRIFTS) {
  test(`drift: ${name}`, async () => {
    const found = whats(adopted(todos), await embedded.catalogueOf(`${await schemaOf("todos")}; ${sql};`));
    assert.ok(
      found.some((one) => what.test(one)),
      found.join("\n"),
    );
  });
}

test("routes that are refused are removed, and omitted ones stay omitted", async () => {
  const narrowed = adopted(todos).replace(
    "[resources.todos.fields]",
    'routes = ["list", "read", "delete"]\n[resources.todos.fields]',
  );
  const after = await embedded.catalogueOf(`${await schemaOf("todos")}; drop policy "delete own" on todos;`);
  const taken = edited(
    narrowed,
    changes(narrowed, after).flatMap(({ edits }) => edits),
  );
  assert.equal(taken, narrowed.replace(', "delete"', ""));
});

test("drift: a declared filter or sort without an index", () => {
  const toml = adopted(todos).replace(
    "[resources.todos.fields]",
    'filters = { is_complete = ["eq"] }\nsorts = ["created"]\n[resources.todos.fields]',
  );
  assert.deepEqual(whats(toml, todos), [
    "drift: is_complete is a filter or a sort, and no index begins with is_complete. SQL: create index on public.todos (user_id, is_complete);",
  ]);
});

test("a table of another exposed schema is named with its schema", async () => {
  const schema =
    `create schema api; create table api.things (id uuid primary key, user_id uuid not null, label text, span int4range, exclude using gist (span with &&, label with =));
    alter table api.things enable row level security; grant all on api.things to authenticated;
    create policy own on api.things for all to authenticated using ((select auth.uid()) = user_id) with check ((select auth.uid()) = user_id);`.replace(
      ", label with =",
      "",
    );
  assert.deepEqual(decide(await embedded.catalogueOf(schema)), []);
  const catalogue = await embedded.catalogueOf(
    `${schema} alter role authenticator set pgrst.db_schemas = 'public, api';`,
  );
  const toml = adopted(catalogue);
  assert.match(toml, /^table = "api\.things"$/m);
  const sections = resourcesOf(toml);
  assert.match(
    statementsOf(catalogue.tables[0]!, "things", sections[0]![1], [], sections).serve,
    /^ {2}'things', 'api\.things', 'user',$/m,
  );
});

const CATALOGUE = `
  create table kinds (id bigint primary key, label text not null, secret text);
  create table posts (id uuid primary key default gen_random_uuid(), author uuid not null references auth.users, title text not null);
  alter table kinds enable row level security; alter table posts enable row level security;
  revoke all on kinds from anon; grant select (id, label) on kinds to anon;
  create policy shown on kinds for select using (true);
  create policy shown on posts for select to authenticated using (true);
  create policy own on posts for insert to authenticated with check ((select auth.uid()) = author);
  create policy change on posts for update to authenticated using ((select auth.uid()) = author);`;

test("rows open to everybody stop their table, until --read allows it", async () => {
  const catalogue = await embedded.catalogueOf(CATALOGUE);
  const options = (...read: [string, "user" | "app"][]) => optionsOf("", [], read);
  const stops = (...read: [string, "user" | "app"][]) =>
    decide(catalogue, options(...read)).flatMap(({ table, stops }) =>
      stops.map(({ what, mend }) => `${table}: ${what}; ${mend}`),
    );
  const open = (who: string, name: string) =>
    `using true holds for anybody. If this is intended: adopt with --read-${who} ${name}, or read = "${who}" in its section; `;
  assert.deepEqual(stops(), [
    `public.kinds: policy "shown" for SELECT to everybody: ${open("app", "kinds")}drop policy shown on public.kinds; -- or let it name the row's owner: (select auth.uid()) = user_id`,
    `public.posts: policy "shown" for SELECT to authenticated: ${open("user", "posts")}alter policy shown on public.posts using ((select auth.uid()) = author);`,
  ]);
  // A policy that admits anon is more than was said.
  assert.deepEqual(stops(["public.kinds", "user"], ["public.posts", "user"]), [
    `public.kinds: policy "shown" for SELECT to everybody: ${open("app", "kinds")}alter policy shown on public.kinds to authenticated;`,
  ]);
  assert.deepEqual(
    decide(catalogue, options(["public.posts", "app"]))
      .find(({ table }) => table === "public.posts")
      ?.out?.replace(/ SQL: .*/, ""),
    'no policy lets anon read it, as read = "app" needs.',
  );

  const sections = decide(catalogue, options(["public.kinds", "app"], ["public.posts", "user"])).flatMap(
    ({ section }) => section ?? [],
  );
  const toml = withSections("", sections.map(sectionText));
  assert.equal(
    toml,
    `\
[resources.kinds]
table = "kinds"
id = "bigint"
owner = { set = "none" }
read = "app"
version = false
created = false
updated = false
deleted = false
[resources.kinds.fields]
label = "text(0..10000)"  # no upper limit in the database

[resources.posts]
table = "posts"
owner = { column = "author", set = "worker" }
read = "user"
version = false
created = false
updated = false
deleted = false
[resources.posts.fields]
author = { kind = "uuid", read_only = true }
title = "text(0..10000)"  # no upper limit in the database
`,
  );
  await check(toJson(toml));
  const declared = resourcesOf(toml);
  const [kinds] = catalogue.tables;
  assert.ok(kinds);
  assert.match(
    statementsOf(kinds, "kinds", declared[0]![1], [], declared).serve,
    /scope => 'visible', readers => 'app',$/m,
  );
  assert.deepEqual(whats(toml, catalogue), []);
  // A parent that was added by hand stays.
  const below = statementsOf(
    kinds,
    "kinds",
    { ...declared[0]![1], read: undefined, under: "teams.team_id" },
    [],
    declared,
  );
  assert.match(below.serve, /scope => 'visible', under => 'teams\.team_id',$/m);
  assert.match(below.statements.join(), /kinds_airlock_page_idx on public\.kinds \("?team_id"?, /);
  // Routes that policies allow can be added, and others not.
  const routes = (...names: string[]) =>
    toml.replace('read = "user"', `read = "user"\nroutes = ${JSON.stringify(names)}`);
  assert.deepEqual(whats(routes("list", "read", "create", "patch"), catalogue), []);
  assert.deepEqual(whats(routes("list", "delete"), catalogue), ["drift: routes: grants or policies refuse delete"]);
  const closed = await embedded.catalogueOf(
    `${CATALOGUE} alter policy shown on kinds to authenticated; create policy rest on posts for select using (true);`,
  );
  assert.deepEqual(
    whats(toml, closed).map((what) => what.replace(/ SQL: .*| If this is intended.*/, "")),
    [
      'drift: public.kinds cannot be served: no policy lets anon read it, as read = "app" needs.',
      'drift: policy "rest" for SELECT to everybody: using true holds for anybody.',
    ],
  );
});

test("sorts by nullable columns and unique constraints are corrected", async () => {
  const before =
    adopted(todos)
      .replace("[resources.todos.fields]", 'sorts = ["created", "due"]\n[resources.todos.fields]')
      .trimEnd() + '\ndue = "date"\nrank = "integer(0..9)?"\n';
  const after = await embedded.catalogueOf(
    `${await schemaOf("todos")}; alter table todos add column due date, add column rank integer check (rank between 0 and 9), add constraint once unique (user_id, due, rank); create index on todos (user_id, due, id);`,
  );
  assert.deepEqual(whats(before, after), [
    "new: unique: the database has once",
    'drift: sorts: due may be null in the database; write "due nulls last"',
  ]);
  const taken = edited(
    before,
    changes(before, after).flatMap(({ edits }) => edits),
  );
  assert.match(taken, /^sorts = \["created", "due nulls last"\]$/m);
  assert.match(taken, /^unique = \{ once = \["due", "rank"\] \}$/m);
  assert.deepEqual(whats(taken, after), []);
});

test("a migration that is there already is not written again", () => {
  const sections = resourcesOf(adopted(todos));
  const [table] = todos.tables;
  const [[name, raw] = ["", {}]] = sections;
  assert.ok(table);
  const all = [statementsOf(table, name, raw, [], sections)];
  const file = migrationText(missing(all, []));
  assert.deepEqual(missing(all, [file]), []);
  // A field that was left out by hand is registered again.
  const narrower = [statementsOf(table, name, { ...raw, fields: { task: "text(4..9)?" } }, [], sections)];
  const [again] = missing(narrower, [file]);
  assert.deepEqual(again?.statements, []);
  assert.match(again?.serve ?? "", /columns => array\['task'\]/);
  assert.deepEqual(missing(narrower, [file, migrationText([again!])]), []);
  assert.equal(missing(all, [file, migrationText([again!])]).length, 1);
});

test("a large table gets its index in a file of its own", () => {
  const [table] = todos.tables;
  const sections = resourcesOf(adopted(todos));
  const [[name, raw] = ["", {}]] = sections;
  assert.ok(table);
  const { statements, concurrent } = statementsOf({ ...table, bytes: 1e9 }, name, raw, [], sections);
  assert.deepEqual(statements, []);
  assert.equal(
    concurrent,
    "create index concurrently if not exists todos_airlock_page_idx on public.todos (user_id, inserted_at desc, id desc);",
  );
});

test("--with adds columns, and the trigger that counts", () => {
  const [decision] = decide(todos, { ...optionsOf(""), with: ["version", "deleted"] });
  assert.ok(decision?.section);
  const toml = sectionText(decision.section);
  assert.doesNotMatch(toml, /version = false|deleted = false/);
  const sections = resourcesOf(toml);
  const [table] = todos.tables;
  assert.ok(table);
  const { statements, serve } = statementsOf(table, "todos", sections[0]![1], decision.section.added, sections);
  assert.deepEqual(
    statements.map((statement) => statement.split("\n")[0]),
    [
      "alter table public.todos add column if not exists version integer not null default 1;",
      "create or replace function airlock.count_version() returns trigger",
      "create or replace trigger airlock_count_version before update on public.todos",
      "alter table public.todos add column if not exists deleted_at timestamptz;",
      "create index if not exists todos_airlock_page_idx on public.todos (user_id, inserted_at desc, id desc) where deleted_at is null;",
    ],
  );
  assert.match(serve, /version => 'version', created => 'inserted_at', updated => null, deleted => 'deleted_at'/);
});
