// The plans of the lists of every resource, on a real Postgres server, under Row Level Security.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import pg from "pg";

import type { Resource } from "../../tools/declaration.ts";
import { type Postgres, startPostgres } from "../../tools/setup/postgres.ts";
import { everything } from "../resources/everything.ts";
import { taken } from "../resources/values.ts";
import { ownDeclaration } from "./own.ts";

/** Has a tenth of all rows. */
const USER = "00000000-0000-4000-8000-000000000001";
const ORG = "00000000-0000-4000-9000-000000000001";
const PAGE_SIZE = 20;

export interface Plan {
  "Node Type": string;
  "Relation Name"?: string;
  "Index Name"?: string;
  "Actual Rows": number;
  "Actual Loops": number;
  "Rows Removed by Filter"?: number;
  Plans?: Plan[];
}

/** Declares a test for each list of each resource: it reads one index range, a page and one row, of this many rows. */
export async function testPlans(rows: number, only: (resource: Resource) => boolean = () => true): Promise<void> {
  const project = await ownDeclaration();
  const tests = await everything();
  const all = [...project.resources, ...tests.resources];
  const resources = all.filter(only);
  let postgres: Postgres;
  let client: pg.Client;

  before(async () => {
    postgres = await startPostgres(["shared_buffers=256MB", "max_wal_size=4GB", "synchronous_commit=off", "jit=off"]);
    await postgres.create("plans");
    client = new pg.Client({ connectionString: postgres.url("plans") });
    await client.connect();
    await client.query(tests.sql);
    await client.query(
      "insert into auth.users (id) select ('00000000-0000-4000-8000-' || lpad(n::text, 12, '0'))::uuid from generate_series(1, 50) n",
    );
    if (project.organizations) {
      await client.query(`
        insert into airlock.organizations (id, name) select ('00000000-0000-4000-9000-' || lpad(n::text, 12, '0'))::uuid, 'o' from generate_series(1, 10) n;
        insert into airlock.members (org_id, user_id, role) values ('${ORG}', '${USER}', 'owner')`);
    }
    for (const resource of all) await fill(client, resource, resources.includes(resource) ? rows : 100);
    await client.query("vacuum analyze");
    await explainEach(client);
  });
  after(async () => {
    await client?.end();
    await postgres?.stop();
  });

  for (const resource of resources) {
    for (const place of ["own", "org"] as const) {
      if (resource.owner === (place === "own" ? "org" : "user")) continue;
      for (const state of ["active", "deleted", ...(resource.publish ? ["published"] : [])]) {
        test(`${resource.name}, ${place === "own" ? "a user's" : "an organisation's"} ${state} rows: one index range`, async () => {
          const { name, under } = resource;
          const path = under ? `${under.resource}/${await parentOf(client, under.resource)}/${name}` : name;
          const read = scans(await planOf(client, path, name, place === "org" ? ORG : null, state), resource.name);
          assert.deepEqual(
            read.map((scan) => scan["Index Name"]),
            [`${resource.name}_${place === "org" ? "org" : ""}${state}_idx`],
          );
          const [scan] = read as [Plan];
          const looked = (scan["Actual Rows"] + (scan["Rows Removed by Filter"] ?? 0)) * scan["Actual Loops"];
          assert.ok(looked <= PAGE_SIZE + 1, `${looked} rows`);
        });
      }
    }
  }
}

/** Rows of fifty users, half of them in organisations, half deleted, half published. */
async function fill(client: pg.Client, { name, owner, under, fields, publish }: Resource, rows: number): Promise<void> {
  const draft: Record<string, unknown> = {};
  for (const field of fields.filter((one) => !one.nullable && one.default === undefined)) {
    draft[field.name] =
      field.kind === "ref"
        ? (await client.query(`select id from public.${field.resource} limit 1`)).rows[0].id
        : taken(field).at(-1)?.sent;
  }
  if (under) draft[under.column] = await parentOf(client, under.resource, "<>");
  const columns = Object.keys(draft).map((column) => `"${column}"`);
  const org = owner === "user" ? [] : ["org_id"];
  const inOrg = owner === "org" ? "true" : "n % 2 = 0";
  const published = publish ? ["published_at"] : [];
  await client.query(`alter table public.${name} disable trigger user`);
  await client.query(
    `insert into public.${name} (user_id, ${[...org, ...columns].join(", ")}${columns.length > 0 || org.length > 0 ? ", " : ""}created_at, updated_at, deleted_at${published.map((column) => `, ${column}`).join("")})
     select ('00000000-0000-4000-8000-' || lpad((case when n / 2 % 10 = 0 then 1 else 2 + n % 49 end)::text, 12, '0'))::uuid,
       ${org.map(() => `case when ${inOrg} then ('00000000-0000-4000-9000-' || lpad((1 + n / 4 % 10)::text, 12, '0'))::uuid end,`).join("")}
       ${columns.map((column) => `draft.${column},`).join(" ")}
       at, at, case when n / 20 % 2 = 0 then at end${published.map(() => ", case when n / 40 % 2 = 0 then at end").join("")}
     from generate_series(1, ${rows}) n
     cross join json_populate_record(null::public.${name}, $1) as draft
     cross join lateral (select timestamptz '2026-01-01' + n * interval '1 second' as at) as made`,
    [JSON.stringify(draft)],
  );
  if (under)
    await client.query(`update public.${name} set ${under.column} = $1 where user_id = $2`, [
      await parentOf(client, under.resource),
      USER,
    ]);
  await client.query(`alter table public.${name} enable trigger user`);
}

/** The id of a live row of USER, or of another user, that others are served below. */
async function parentOf(client: pg.Client, name: string, whose: "=" | "<>" = "="): Promise<string> {
  return (
    await client.query(
      `select id from public.${name} where user_id ${whose} $1 and deleted_at is null order by id limit 1`,
      [USER],
    )
  ).rows[0].id;
}

/** From now on this session tells the plan of each statement. */
export async function explainEach(client: pg.Client): Promise<void> {
  await client.query(`
    load 'auto_explain';
    set auto_explain.log_min_duration = 0; set auto_explain.log_nested_statements = on; set auto_explain.log_analyze = on;
    set auto_explain.log_format = 'json'; set auto_explain.log_timing = off; set client_min_messages = log`);
}

/** The plan of the statement inside airlock_list. */
function planOf(client: pg.Client, path: string, resource: string, org: string | null, state: string): Promise<Plan> {
  const statement = "select public.airlock_list($1, $2, $3, null, null, $4)";
  return explained(client, resource, USER, statement, [path, org, state, PAGE_SIZE]);
}

/** The plan of the statement that a call of this user runs on a table. */
export async function explained(
  client: pg.Client,
  table: string,
  user: string,
  call: string,
  values: unknown[],
): Promise<Plan> {
  const plans: Plan[] = [];
  const listen = ({ message = "" }: { message?: string | undefined }) => {
    const at = message.indexOf("{");
    if (message.includes(`public.${table} as t`) && at >= 0) plans.push(JSON.parse(message.slice(at)).Plan);
  };
  client.on("notice", listen);
  try {
    await client.query("begin read only");
    const claims = JSON.stringify({ role: "authenticated", sub: user });
    await client.query("select set_config('role', 'authenticated', true), set_config('request.jwt.claims', $1, true)", [
      claims,
    ]);
    await client.query(call, values);
  } finally {
    await client.query("rollback");
    client.off("notice", listen);
  }
  return plans.at(-1) ?? assert.fail("auto_explain showed no plan");
}

/** The nodes that read this table. */
export function scans(plan: Plan, table: string): Plan[] {
  const below = (plan.Plans ?? []).flatMap((child) => scans(child, table));
  return plan["Relation Name"] === table ? [plan, ...below] : below;
}

/** Asserts that each page of todos, with any sort and filter, is a range of an index. Half of the rows are the user's. */
export async function assertRanges(owner: pg.Client, user: string, others: string, rows: number): Promise<void> {
  await owner.query(
    `insert into public.todos (user_id, task, is_complete, priority, due, inserted_at)
      select case when n % 2 = 0 then $1 else $2 end::uuid, 'task ' || n, n % 3 = 0, n % 10,
        case when n % 5 = 0 then date '2026-01-01' + n % 100 end, timestamptz '2026-01-01' + n * interval '1 second'
      from generate_series(1, ${rows}) n`,
    [user, others],
  );
  await owner.query("create index todos_complete on public.todos (user_id, is_complete, inserted_at desc, id desc)");
  await owner.query("vacuum analyze public.todos");
  await explainEach(owner);
  const call = (more: object): [statement: string, values: unknown[]] => {
    const args = {
      resource: "todos",
      org: null,
      state: "active",
      words: null,
      after: null,
      page_size: PAGE_SIZE,
      ...more,
    };
    const named = Object.keys(args)
      .map((argument, place) => `${argument} => $${place + 1}`)
      .join(", ");
    return [
      `select public.airlock_list(${named}) as page`,
      Object.values(args).map((value) => (Array.isArray(value) ? JSON.stringify(value) : value)),
    ];
  };
  const cursorOf = async (more: object): Promise<string> => {
    await owner.query("begin");
    await owner.query("select set_config('role', 'authenticated', true), set_config('request.jwt.claims', $1, true)", [
      JSON.stringify({ role: "authenticated", sub: user }),
    ]);
    const {
      rows: [row],
    } = await owner.query(...call(more));
    await owner.query("rollback");
    return row.page.next_cursor;
  };
  for (const [more, index] of [
    [{}, "todos_page"],
    [{ sort: "created" }, "todos_page"],
    [{ sort: "priority" }, "todos_priority"],
    [{ sort: "-priority" }, "todos_priority"],
    [{ filters: [["is_complete", "eq", "true"]] }, "todos_complete"],
    [{ filters: [["priority", "in", ["3"]]], sort: "priority" }, "todos_priority"],
    [{ sort: "due" }, "todos_due"],
    [{ sort: "-due" }, "todos_due"],
    [{ filters: [["due", "is", "null"]], sort: "-due" }, "todos_due"],
  ] as [Record<string, unknown>, string][]) {
    for (const after of [null, await cursorOf(more)]) {
      const read = scans(await explained(owner, "todos", user, ...call({ ...more, after })), "todos");
      // Rows without a value are a range of their own, read when the others do not fill the page.
      assert.deepEqual(
        [...new Set(read.map((scan) => scan["Index Name"]))],
        [index],
        JSON.stringify({ ...more, after }),
      );
      const looked = read.reduce(
        (sum, scan) => sum + (scan["Actual Rows"] + (scan["Rows Removed by Filter"] ?? 0)) * scan["Actual Loops"],
        0,
      );
      assert.ok(looked <= PAGE_SIZE + 1, `${looked} rows: ${JSON.stringify({ ...more, after })}`);
    }
  }
}
