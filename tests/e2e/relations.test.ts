// Rows below rows of other resources (tests/resources/relations.sql), as policies by memberships show them: through the Worker.

import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { after, before, beforeEach, describe, test } from "node:test";

import type { Answer } from "../../client/src/index.ts";
import type { Resource } from "../../tools/declaration.ts";
import { assertApart } from "./adopted.ts";
import { startDeclared } from "./declared.ts";
import { answer, assertOk, assertProblem, flaws, headersOf, open, send, withoutId } from "./http.ts";
import { type Caller, caller, type Stack } from "./support.ts";

let stack: Stack;
let resources: Resource[];
const resource = (name: string) => resources.find((one) => one.name === name) as Resource;
let alice: Caller;
let bob: Caller;
/** A team of alice alone, one of alice and bob, one of bob alone. */
let [own, shared, bobs] = [0, 0, 0];

before(async () => {
  ({ stack, resources, alice, bob } = await startDeclared("relations"));
  await stack.sql(`insert into public.profiles values ('${stack.alice.id}', 'alice'), ('${stack.bob.id}', 'robert')`);
});
after(() => stack?.stop());
beforeEach(async () => {
  await stack.sql("delete from public.teams");
  const make = async (as: typeof alice, name: string) =>
    assertOk(await as("POST", "/v1/teams", { name }), 201).id as number;
  [own, shared, bobs] = [await make(alice, "own"), await make(alice, "shared"), await make(bob, "of bob")];
  await stack.sql(`insert into public.members values (${shared}, '${stack.bob.id}')`);
});

const header = (name: string, value: string) => ({ headers: { [name]: value } });
const projectsOf = (team: number | string) => `/v1/teams/${team}/projects`;
const project = async (team: number, as = alice) =>
  assertOk(await as("POST", projectsOf(team), { name: "a project" }), 201);
/** Bob's rows, written as every caller of PostgREST can. */
const writePastWorker = async (table: string, rows: object[]) => {
  const written = await stack.direct(stack.bob, `/${table}`, { method: "POST", body: JSON.stringify(rows) });
  assert.equal(written.status, 201, await written.text());
};
const tasksOf = (project: { id: string }) => `/v1/projects/${project.id}/tasks`;
const names = (answered: Answer) => assertOk(answered, 200).data.map((row: { name: string }) => row.name);

describe("answered with other rows", () => {
  const included = async (target: string, as = alice) => assertOk(await as("GET", target), 200).included;

  test("a row and each row of a list have exactly the named rows embedded", async () => {
    const made = await project(shared);
    const task = assertOk(await alice("POST", tasksOf(made), { title: "first", assignee: stack.bob.id }), 201);
    const at = `${projectsOf(shared)}/${made.id}`;
    const lead = { id: stack.alice.id, username: "alice" };
    const tasks = { data: [{ id: task.id, title: "first" }], more: false };
    assert.deepEqual(assertOk(await bob("GET", `${at}?include=tasks%2Clead%2Cteam`), 200), {
      ...made,
      included: { tasks, lead, team: { name: "shared" } },
    });
    assert.deepEqual(assertOk(await bob("GET", `${at}?include=lead`), 200), { ...made, included: { lead } });
    assert.deepEqual(assertOk(await bob("GET", `${projectsOf(shared)}?include=team%2Ctasks&sort=name`), 200), {
      data: [{ ...made, included: { team: { name: "shared" }, tasks } }],
      next_cursor: null,
    });
    assert.equal(
      (await bob("GET", `${at}?include=lead`)).body,
      JSON.stringify({ ...made, included: { lead } }),
      "without spaces, members in their order",
    );
    assert.deepEqual(assertOk(await alice("GET", at), 200), made);
    assert.deepEqual(await included(`${tasksOf(made)}/${task.id}?include=assignee`), {
      assignee: { username: "robert" },
    });
    assert.deepEqual(await included(`/v1/teams/${shared}?include=projects`), {
      projects: { data: [{ id: made.id, name: "a project", team: shared }], more: false },
    });
  });

  test("undeclared or repeated names are refused with their parameter", async () => {
    const { id } = await project(own);
    for (const value of [
      "",
      "members",
      "tasks%2C",
      "tasks%2Ctasks",
      "tasks.assignee",
      "Tasks",
      "lead%2Cid",
      "%2A",
      "tasks%28id%29",
      "tasks+",
      "included",
    ]) {
      for (const target of [projectsOf(own), `${projectsOf(own)}/${id}`]) {
        assert.deepEqual(flaws(await alice("GET", `${target}?include=${value}`)), ["include value"], value);
      }
    }
    assert.deepEqual(flaws(await alice("GET", `${projectsOf(own)}/${id}?include=tasks&include=lead`)), [
      "include duplicate",
    ]);
    assert.deepEqual(flaws(await alice("GET", `${projectsOf(own)}/${id}?sort=name`)), ["sort unknown"]);
    assert.deepEqual(flaws(await alice("GET", "/v1/profiles/me?include=tasks")), ["include unknown"]);
    assert.deepEqual(flaws(await alice("POST", `${projectsOf(own)}?include=tasks`, { name: "a" })), [
      "include unknown",
    ]);
  });

  test("an answer with other rows has no tag and is never a 304", async () => {
    const made = await project(own);
    const at = `${projectsOf(own)}/${made.id}`;
    assert.equal((await alice("GET", at)).headers.get("etag"), '"1"');
    assert.equal((await alice("GET", at, undefined, header("If-None-Match", '"1"'))).status, 304);
    const before = await alice("GET", `${at}?include=tasks`);
    assert.equal(before.headers.get("etag"), null);
    assertOk(await alice("POST", tasksOf(made), { title: "new" }), 201);
    for (const value of ['"1"', "*"])
      assertProblem(
        await alice("GET", `${at}?include=tasks`, undefined, header("If-None-Match", value)),
        "malformed_request",
      );
    const cached = await send(stack.url, "GET", `${at}?include=tasks`, {
      token: stack.alice.token,
      headers: { "If-None-Match": '"1"' },
      signed: { ifNoneMatch: null },
    });
    assert.equal(assertOk(cached, 200).included.tasks.data.length, 1);
  });

  test("rows that the caller does not see, and deleted ones, are left out", async () => {
    const made = await project(shared);
    const at = `${projectsOf(shared)}/${made.id}`;
    const names = async (as = alice) =>
      (await included(`/v1/teams/${shared}?include=projects`, as)).projects.data.map(
        ({ name }: { name: string }) => name,
      );
    assert.deepEqual(await names(), ["a project"]);
    // A policy that shows bob the team, and of its projects those that he leads.
    await stack.sql(
      `drop policy members on public.projects; create policy leads on public.projects using (lead = (select auth.uid()))`,
    );
    try {
      assert.deepEqual(await names(bob), []);
      assert.deepEqual(await names(), ["a project"]);
    } finally {
      await stack.sql(`drop policy leads on public.projects; create policy members on public.projects
        using ("teamId" in (select team_id from public.members where user_id = (select auth.uid())))
        with check ("teamId" in (select team_id from public.members where user_id = (select auth.uid())))`);
    }
    assert.equal((await alice("DELETE", at)).status, 204);
    assert.deepEqual(await names(), []);
    assert.deepEqual(
      assertOk(await alice("GET", `${projectsOf(shared)}?state=deleted&include=lead`), 200).data[0].included,
      { lead: { id: stack.alice.id, username: "alice" } },
    );
    const orphan = await project(own);
    await stack.sql(`update public.projects set lead = null where id = '${orphan.id}'`);
    assert.deepEqual(await included(`${projectsOf(own)}/${orphan.id}?include=lead`), { lead: null });
    // The team is archived in the moment between: a policy shows its name, and the row is left out.
    const args = {
      resource: `teams/${own}/projects`,
      org: null,
      id: orphan.id,
      included: JSON.stringify([{ name: "team", resource: "teams", many: false, field: "team", fields: ["name"] }]),
    };
    const rpc = async (over: object) =>
      (
        await stack.direct(stack.bob, "/rpc/airlock_read", {
          method: "POST",
          body: JSON.stringify({ ...args, ...over }),
        })
      ).json();
    assert.equal(((await rpc({})) as { message: string }).message, "airlock_not_found");
  });

  test("nothing is embedded below a deleted row, which has no rows below it", async () => {
    const made = await project(shared);
    assertOk(await alice("POST", tasksOf(made), { title: "first" }), 201);
    const deleted = async (list: string, as = alice) =>
      assertOk(await as("GET", list), 200).data.map((row: { included: object }) => row.included);
    const none = { data: [], more: false };
    assert.equal((await alice("DELETE", `${projectsOf(shared)}/${made.id}`)).status, 204);
    assert.deepEqual(await deleted(`${projectsOf(shared)}?state=deleted&include=tasks`, bob), [{ tasks: none }]);
    await project(shared);
    assert.equal((await alice("DELETE", `/v1/teams/${shared}`)).status, 204);
    assertProblem(await bob("GET", projectsOf(shared)), "not_found");
    assert.deepEqual(await deleted("/v1/teams?state=deleted&include=projects", bob), [{ projects: none }]);
    assertOk(await alice("POST", `/v1/teams/${shared}/restore`), 200);
    assert.equal((await included(`/v1/teams/${shared}?include=projects`, bob)).projects.data.length, 1);
  });

  test("direct callers of the functions embed only rows that they see", async () => {
    const made = await project(shared);
    await alice("POST", tasksOf(made), { title: "secret" });
    await stack.sql(`delete from public.members where user_id = '${stack.bob.id}' and team_id = ${shared}`);
    const mine = assertOk(await bob("POST", projectsOf(bobs), { name: "of bob" }), 201);
    const read = async (spec: object) => {
      const args = {
        resource: `teams/${bobs}/projects`,
        org: null,
        id: mine.id,
        included: JSON.stringify([{ name: "x", ...spec }]),
      };
      const response = await stack.direct(stack.bob, "/rpc/airlock_read", {
        method: "POST",
        body: JSON.stringify(args),
      });
      return { status: response.status, body: await response.text() };
    };
    for (const spec of [
      { resource: "tasks", many: true, field: null, fields: ["title"] },
      { resource: "projects", many: true, field: "lead", fields: ["name"] },
      { resource: "teams", many: false, field: "team", fields: ["name"] },
      { resource: "members", many: false, field: "lead", fields: ["id"] },
      { resource: "auth.users", many: false, field: "lead", fields: ["id"] },
      { resource: "profiles", many: false, field: "lead", fields: ["id", "email"] },
      { resource: "profiles", many: false, field: "teamId", fields: ["id"] },
      { resource: "profiles", many: false, field: "lead", fields: ["id from auth.users"] },
      { resource: "profiles", many: false, field: "lead", fields: [] },
    ]) {
      const { status, body } = await read(spec);
      assert.ok(!/secret|a project|shared/.test(body), body);
      // Rows below a parent are embedded in that parent alone.
      assert.equal(
        status === 200,
        ["tasks", "teams"].includes(spec.resource),
        `${JSON.stringify(spec)}: ${status} ${body}`,
      );
    }
    const quoted = await read({
      resource: "profiles",
      many: false,
      field: "lead",
      fields: ["username"],
      name: 'a" from auth.users --',
    });
    assert.deepEqual(JSON.parse(quoted.body).included, { 'a" from auth.users --': { username: "robert" } });
  });

  test("of many rows the newest hundred are shown, and that there are more", async () => {
    const made = await project(own);
    await stack.sql(
      `insert into public.tasks (project, title) select '${made.id}', 'task ' || n from generate_series(1, 100) n`,
    );
    const shown = async () => (await included(`${projectsOf(own)}/${made.id}?include=tasks`)).tasks;
    let tasks = await shown();
    assert.deepEqual(
      [tasks.data.length, tasks.more, tasks.data[0].title, tasks.data[99].title],
      [100, false, "task 100", "task 1"],
    );
    await stack.sql(`insert into public.tasks (project, title) values ('${made.id}', 'task 101')`);
    tasks = await shown();
    assert.deepEqual(
      [tasks.data.length, tasks.more, tasks.data[0].title, tasks.data[99].title],
      [100, true, "task 101", "task 2"],
    );
  });
});

describe("below a row that others see too", () => {
  test("a row has its parent from the path and is seen by whom the policies name", async () => {
    const made = await alice("POST", projectsOf(shared), { name: "made" });
    const row = assertOk(made, 201);
    assert.deepEqual(Object.keys(row), ["id", "name", "team", "lead", "version", "created_at", "deleted_at"]);
    assert.deepEqual([row.team, row.lead], [shared, stack.alice.id]);
    assert.equal(made.headers.get("location"), `${projectsOf(shared)}/${row.id}`);
    assert.deepEqual(assertOk(await bob("GET", `${projectsOf(shared)}/${row.id}`), 200), row);
    assert.equal(assertOk(await bob("PATCH", `${projectsOf(shared)}/${row.id}`, { name: "changed" }), 200).version, 2);
    assert.deepEqual(names(await alice("GET", projectsOf(shared))), ["changed"]);
    assert.deepEqual(names(await alice("GET", projectsOf(own))), []);
    for (const member of ["team", "teamId", "lead"]) {
      for (const [method, at] of [
        ["POST", projectsOf(own)],
        ["PATCH", `${projectsOf(shared)}/${row.id}`],
        ["PUT", `${projectsOf(shared)}/${row.id}`],
      ] as const) {
        assert.deepEqual(flaws(await alice(method, at, { name: "moved", [member]: own })), [`/${member} unknown`]);
      }
    }
  });

  test("lists, filters, sorts, counts and cursors are of one parent", async () => {
    for (const name of ["b", "a", "c"])
      for (const team of [own, shared])
        assertOk(await alice("POST", projectsOf(team), { name: `${name} ${team}` }), 201);
    const all = ["a", "b", "c"].map((name) => `${name} ${own}`);
    assert.deepEqual(names(await alice("GET", `${projectsOf(own)}?sort=name`)), all);
    const page = assertOk(await alice("GET", `${projectsOf(own)}?sort=name&limit=2&count=exact`), 200);
    assert.equal(page.count, 3);
    assert.deepEqual(
      names(await alice("GET", `${projectsOf(own)}?sort=name&cursor=${page.next_cursor}`)),
      all.slice(2),
    );
    assert.deepEqual(flaws(await alice("GET", `${projectsOf(shared)}?sort=name&cursor=${page.next_cursor}`)), [
      "cursor value",
    ]);
    assert.deepEqual(names(await alice("GET", `${projectsOf(shared)}?name.eq=a+${own}`)), []);
    assert.deepEqual(flaws(await alice("GET", `${projectsOf(own)}?teamId.eq=${shared}`)), ["teamId.eq unknown"]);
  });

  test("a version that a member wrote past the Worker leaves the row readable and guarded for the others", async () => {
    for (const revision of [-2, -1, -2147483648]) {
      const { id } = await project(shared);
      await writePastWorker("projects", [{ teamId: shared, name: "odd", revision }]);
      const [row] = assertOk(await alice("GET", `${projectsOf(shared)}?name.eq=odd`), 200).data;
      const at = `${projectsOf(shared)}/${row.id}`;
      const read = await alice("GET", at);
      assert.deepEqual([assertOk(read, 200), read.headers.get("etag")], [row, `"${row.version}"`], `${revision}`);
      const ifMatch = header("If-Match", `"${row.version}"`);
      const change = await alice("PATCH", at, { name: "mended" }, ifMatch);
      assert.equal(assertOk(change, 200).name, "mended", `${revision}`);
      assertProblem(await alice("PATCH", at, { name: "lost" }, ifMatch), "version_mismatch");
      assert.equal(assertOk(await alice("GET", `${projectsOf(shared)}/${id}`), 200).version, 1);
      await stack.sql("delete from public.projects");
    }
  });

  test("a long value that a member wrote past the Worker leaves the pages after it readable for the others", async () => {
    // The document says that no name is so long.
    const undocumented = caller(stack.url, stack.alice.token);
    const long = `b${"\u0001\u{1F600}".repeat(500)}`;
    const all = ["a", long, `${long}b`, "c", "d"];
    await writePastWorker(
      "projects",
      all.map((name) => ({ teamId: shared, name })),
    );
    for (const [sort, expected] of [
      ["name", all],
      ["-name", all.toReversed()],
    ] as const) {
      const seen: string[] = [];
      for (let cursor = ""; ; ) {
        const page = assertOk(await undocumented("GET", `${projectsOf(shared)}?limit=1&sort=${sort}${cursor}`), 200);
        seen.push(...page.data.map((row: { name: string }) => row.name));
        if (page.next_cursor === null) break;
        cursor = `&cursor=${page.next_cursor}`;
      }
      assert.deepEqual(seen, expected, sort);
    }
    const page = `${projectsOf(shared)}?limit=2&sort=name`;
    const { next_cursor: cursor } = assertOk(await undocumented("GET", page), 200);
    await stack.sql("delete from public.projects where name = $1", [long]);
    assert.deepEqual(flaws(await undocumented("GET", `${page}&cursor=${cursor}`)), ["cursor value"], "its row is gone");
  });

  test("many bytes that a member wrote past the Worker leave the answer with other rows readable for the others", async () => {
    const made = await project(shared);
    const at = `${projectsOf(shared)}/${made.id}?include=tasks`;
    const undocumented = caller(stack.url, stack.alice.token);
    // 18 MB, where the Worker takes 16 MiB.
    for (let n = 0; n < 9; n++)
      await writePastWorker(
        "tasks",
        Array.from({ length: 10 }, () => ({ project: made.id, title: "x".repeat(200_000) })),
      );
    const { data, more } = assertOk(await undocumented("GET", at), 200).included.tasks;
    assert.deepEqual([data.length, more], [5, true]);
    const listed = assertOk(await undocumented("GET", `${tasksOf(made)}?limit=5`), 200).data;
    assert.deepEqual(
      data,
      listed.map(({ id, title }: { id: number; title: string }) => ({ id, title })),
    );
    await stack.sql("delete from public.tasks");
    await writePastWorker("tasks", [{ project: made.id, title: "x".repeat(1_100_000) }]);
    assert.deepEqual(assertOk(await alice("GET", at), 200).included, { tasks: { data: [], more: true } });
  });

  test("a parent that the caller does not see is as one that is missing", async () => {
    const { id } = await project(bobs, bob);
    const missing = withoutId(await alice("GET", projectsOf("9007199254740991")));
    assertProblem(await alice("GET", projectsOf("9007199254740991")), "not_found");
    const requests: [string, string, object?][] = [
      ["GET", ""],
      ["POST", "", { name: "mine" }],
      ["GET", `/${id}`],
      ["PUT", `/${id}`, { name: "mine" }],
      ["PUT", `/${randomUUID()}`, { name: "mine" }],
      ["PATCH", `/${id}`, { name: "mine" }],
      ["DELETE", `/${id}`],
      ["POST", `/${id}/restore`],
    ];
    for (const team of [bobs, "9007199254740991"]) {
      for (const [method, rest, body] of requests)
        assert.equal(withoutId(await alice(method, projectsOf(team) + rest, body)), missing, `${method} ${rest}`);
    }
    for (const [method, rest, body] of requests.slice(2).filter(([method]) => method !== "PUT")) {
      assert.equal(
        withoutId(await alice(method, projectsOf(own) + rest, body)),
        missing,
        `below another: ${method} ${rest}`,
      );
    }
    assertProblem(await alice("PUT", `${projectsOf(own)}/${id}`, { name: "mine" }), "conflict");
    assert.equal((await alice("HEAD", projectsOf(bobs))).status, 404);
    assert.deepEqual(await stack.sql("select name, revision, deleted_at from public.projects"), [
      { name: "a project", revision: 1, deleted_at: null },
    ]);
    for (const target of [
      "/v1/projects",
      `/v1/projects/${id}`,
      projectsOf(randomUUID()),
      projectsOf("0"),
      projectsOf("1%20or%201=1"),
    ]) {
      assertProblem(await bob("GET", target), "not_found");
    }
    assertProblem(await caller(stack.url)("GET", projectsOf(bobs)), "token_missing");
  });

  test("a parent is 404 while it or its own parent is deleted", async () => {
    const made = await project(shared);
    const task = assertOk(await alice("POST", tasksOf(made), { title: "first" }), 201);
    const found = async (...statuses: number[]) => {
      const seen = [
        `/v1/teams/${shared}`,
        `${projectsOf(shared)}/${made.id}`,
        `${tasksOf(made)}/${task.id}`,
        tasksOf(made),
      ];
      assert.deepEqual(await Promise.all(seen.map(async (target) => (await bob("GET", target)).status)), statuses);
    };
    await found(200, 200, 200, 200);
    assert.equal((await bob("DELETE", `${projectsOf(shared)}/${made.id}`)).status, 204);
    await found(200, 404, 404, 404);
    assertProblem(await bob("POST", tasksOf(made), { title: "second" }), "not_found");
    assertOk(await bob("POST", `${projectsOf(shared)}/${made.id}/restore`), 200);
    await found(200, 200, 200, 200);
    assert.equal((await alice("DELETE", `/v1/teams/${shared}`)).status, 204);
    await found(404, 404, 404, 404);
    assertProblem(await bob("DELETE", `${tasksOf(made)}/${task.id}`), "not_found");
    assertOk(await alice("POST", `/v1/teams/${shared}/restore`), 200);
    await stack.sql(`delete from public.members where user_id = '${stack.bob.id}' and team_id = ${shared}`);
    await found(404, 404, 404, 404);
    assert.deepEqual(await stack.sql("select title from public.tasks"), [{ title: "first" }]);
  });

  test("rows without a version are served below a parent as elsewhere", async () => {
    const [first, second] = [await project(own), await project(shared)];
    const task = assertOk(await alice("POST", tasksOf(first), { title: "first", assignee: stack.bob.id }), 201);
    assert.deepEqual(task, { id: task.id, title: "first", assignee: stack.bob.id });
    assert.equal(
      assertOk(await alice("PUT", `${tasksOf(first)}/${task.id}`, { title: "replaced" }), 200).assignee,
      null,
    );
    assertProblem(await alice("PUT", `${tasksOf(second)}/${task.id}`, { title: "replaced" }), "not_found");
    assertProblem(await alice("DELETE", `${tasksOf(second)}/${task.id}`), "not_found");
    assert.equal((await alice("DELETE", `${tasksOf(first)}/${task.id}`)).status, 204);
    assertProblem(await alice("DELETE", `${tasksOf(first)}/${task.id}`), "not_found");
  });

  test("below a parent a copy is refused, and a key is for one parent", async () => {
    const body = JSON.stringify({ name: "made once" });
    const headers = headersOf("POST", projectsOf(own), { token: stack.alice.token, body });
    const answers: Answer[] = [];
    for (let copy = 0; copy < 2; copy++) {
      const request = open(stack.url, "POST", projectsOf(own), headers);
      request.end(body);
      answers.push(await answer(request));
    }
    assertOk(answers[0] as Answer, 201);
    assertProblem(answers[1] as Answer, "request_replayed");
    const key = header("Idempotency-Key", randomUUID());
    const first = assertOk(await alice("POST", projectsOf(own), { name: "by key" }, key), 201);
    assert.deepEqual(assertOk(await alice("POST", projectsOf(own), { name: "by key" }, key), 201), first);
    assertProblem(await alice("POST", projectsOf(shared), { name: "by key" }, key), "idempotency_key_reused");
    assert.equal((await alice("DELETE", `/v1/teams/${own}`)).status, 204);
    assertProblem(await alice("POST", projectsOf(own), { name: "by key" }, key), "not_found");
  });

  for (const name of ["projects", "tasks"]) {
    test(`${name}: users reach only rows that the policies show`, async () => {
      for (const [team, as] of [
        [own, alice],
        [shared, alice],
        [shared, bob],
        [bobs, bob],
      ] as const) {
        assertOk(await as("POST", tasksOf(await project(team, as)), { title: "a task" }), 201);
      }
      await assertApart(resource(name), stack, alice, bob);
    });
  }

  test("callers of the functions without the Worker look below no other parent", async () => {
    await project(bobs, bob);
    const rpc = async (resource: string) => {
      const args = { resource, org: null, state: "active", words: null, after: null, page_size: 20 };
      const response = await stack.direct(stack.alice, "/rpc/airlock_list", {
        method: "POST",
        body: JSON.stringify(args),
      });
      return (await response.json()) as { data?: unknown[]; message?: string; code?: string };
    };
    assert.deepEqual((await rpc(`teams/${own}/projects`)).data, []);
    assert.equal((await rpc(`teams/${bobs}/projects`)).message, "airlock_not_found");
    for (const other of [
      "projects",
      "projects/projects",
      `tasks/${own}/projects`,
      `teams/${own}/tasks`,
      `teams/${own}/teams`,
      `x/teams/${own}/projects`,
      `teams/${own}/projects/`,
    ]) {
      assert.equal((await rpc(other)).message, "airlock_unknown_resource", other);
    }
    for (const id of ["", "x", "1 or 1=1", "1'"]) assert.equal((await rpc(`teams/${id}/projects`)).code, "22P02", id);
  });
});
