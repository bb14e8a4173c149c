// npm run rls:cost [-- --notes 1000000]: what Row Level Security costs on a real Postgres with these very migrations.
//
// Two databases, one of a thousand notes and one of a million. Each statement is what PostgREST makes of the Worker's, run over
// and over, by turns under the policies and past them: as a role with the same grants and BYPASSRLS. There are two
// times, medians both: what `EXPLAIN (ANALYZE, BUFFERS)` says that the execution took, and how long PostgREST would wait for the
// whole transaction, with the role and the claims that it sets and the statement prepared. The ratio is that of the transactions:
// in executions of a tenth of a millisecond the policies' own few hundredths, the same for any number of rows, would be all that
// it shows.

import { parseArgs } from "node:util";

import pg from "pg";

import { startPostgres } from "./setup/postgres.ts";
import { Failure, step } from "./setup/shell.ts";

/** Most that a statement under RLS may take, in times of the same one without. */
const RATIO_MAX = 1.2;
const MILLISECONDS_MAX = 5;
/** Most that a million notes, or the thousandth page, may take in times of a thousand notes, or the first page. */
const GROWTH_MAX = 1.5;

const { values } = parseArgs({
  options: { notes: { type: "string", default: "1000000" }, rounds: { type: "string", default: "101" }, json: { type: "boolean", default: false } },
});
/** Notes, and their users. */
const SIZES = { small: [1000, 10], large: [Number(values.notes), 1000] } as const;
const ROUNDS = Number(values.rounds);
const PAGES = 1000;

const userId = (n: number) => `00000000-0000-4000-8000-${String(n).padStart(12, "0")}`;
/** Has as many notes as everybody. */
const USUAL = userId(7);
/** Has a thousand pages of them. */
const HEAVY = userId(1);
const ORG = "00000000-0000-4000-9000-000000000001";

/**
 * A tenth of the notes in organisations of ten members, a thousand pages of one user's, the rest of everybody alike; one in
 * twenty deleted.
 */
const fill = (notes: number, users: number) => `
  insert into auth.users (id) select ('00000000-0000-4000-8000-' || lpad(n::text, 12, '0'))::uuid from generate_series(1, ${users}) n;
  alter table public.organization_members disable trigger user;
  insert into public.organizations (id, name) select ('00000000-0000-4000-9000-' || lpad(n::text, 12, '0'))::uuid, 'o' from generate_series(1, ${users / 10}) n;
  insert into public.organization_members (org_id, user_id, role)
    select ('00000000-0000-4000-9000-' || lpad(((n - 1) / 10 + 1)::text, 12, '0'))::uuid,
           ('00000000-0000-4000-8000-' || lpad(n::text, 12, '0'))::uuid,
           case n % 10 when 1 then 'owner' when 2 then 'viewer' else 'editor' end
    from generate_series(1, ${users}) n;
  alter table public.organization_members enable trigger user;
  alter table public.notes disable trigger user;
  insert into public.notes (user_id, org_id, title, body, created_at, updated_at, deleted_at)
    select ('00000000-0000-4000-8000-' || lpad((case when heavy then 1 else u end)::text, 12, '0'))::uuid,
           case when shared then ('00000000-0000-4000-9000-' || lpad(((u - 1) / 10 + 1)::text, 12, '0'))::uuid end,
           'note ' || n, 'word' || (n % 997) || ' ' || repeat('lorem ipsum dolor sit amet ', 8), at, at, case when n % 19 = 0 then at end
    from (
      select n, 1 + (n * 7919::bigint) % ${users} as u, n % 11 = 0 as shared, n % 11 <> 0 and n % ${Math.max(Math.floor(notes / 25_000), 3)} = 3 as heavy,
             timestamptz '2026-01-01' + n * interval '1 second' as at
      from generate_series(1, ${notes}) n
    ) as made;
  alter table public.notes enable trigger user;`;

/** What authenticated may read, without its policies. */
const pastPolicies = `
  do $$
  begin
    if to_regrole('past_policies') is null then
      create role past_policies bypassrls;
    end if;
    execute (
      select format('grant select (%s) on public.notes to past_policies', string_agg(column_name, ', '))
      from information_schema.column_privileges
      where table_schema = 'public' and table_name = 'notes' and grantee = 'authenticated' and privilege_type = 'SELECT'
    );
    grant usage on schema public to past_policies;
  end
  $$`;

const COLUMNS = ["id", "title", "body", "version", "created_at", "updated_at", "deleted_at"].map((name) => `"public"."notes"."${name}"`).join(", ");

/** What PostgREST 14 makes of a GET. */
const get = (where: string, rest = "") => `
  with pgrst_source as (select ${COLUMNS} from "public"."notes" where ${where} ${rest})
  select null::bigint as total_result_set, pg_catalog.count(_postgrest_t) as page_total,
         coalesce(json_agg(_postgrest_t), '[]') as body,
         nullif(current_setting('response.headers', true), '') as response_headers,
         nullif(current_setting('response.status', true), '') as response_status
  from (select * from pgrst_source) _postgrest_t`;
const PAGE = `order by "public"."notes"."created_at" desc, "public"."notes"."id" desc limit 21 offset 0`;
const own = (user: string) => `"user_id" = '${user}' and "org_id" is null and "deleted_at" is null`;
const shared = `"org_id" = '${ORG}' and "deleted_at" is null`;
const after = ({ created_at: at, id }: Place) => ` and "created_at" <= '${at}' and ("created_at" < '${at}' or "id" < '${id}')`;

interface Place {
  id: string;
  created_at: string;
}

interface Figure {
  name: string;
  /** Of the transaction. */
  withRls: number;
  without: number;
  /** Of the execution within it. */
  execution: number;
  executionWithout: number;
  buffers: number;
  plan: string;
}

const postgres = await step("a Postgres with a thousand and with a million notes", "two minutes", async () => {
  const started = await startPostgres(["shared_buffers=512MB", "max_wal_size=4GB", "synchronous_commit=off", "jit=off"]);
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
});

const missed: string[] = [];
try {
  const small = await connected(postgres.url("small"), async (client) => [
    ...(await compare(client, [{ name: "list, page 1", user: USUAL, statement: get(own(USUAL), PAGE) }])),
    ...(await compare(client, [{ name: "organisation's list, page 1", user: USUAL, statement: get(shared, PAGE) }])),
  ]);
  await connected(postgres.url("large"), async (client) => {
    const { rows: [count] } = await client.query("select count(*)::int as notes, pg_size_pretty(pg_total_relation_size('public.notes')) as size from public.notes");
    const { rows: [note] } = await client.query(`select id from public.notes where ${own(USUAL)} limit 1`);
    const { rows: [foreign] } = await client.query(`select id from public.notes where ${own(HEAVY)} limit 1`);
    const { rows: [place] } = await client.query(`select id, to_char(created_at, 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') as created_at from public.notes where ${own(HEAVY)} order by created_at desc, id desc offset ${PAGES * 20 - 21} limit 1`);
    if (!place) throw new Failure(`There is no page ${PAGES}: take more notes.`);
    const words = (text: string) => `"search" @@ websearch_to_tsquery('simple', '${text}')`;
    const groups: Measured[][] = [
      [{ name: "list, page 1", user: USUAL, statement: get(own(USUAL), PAGE) }],
      [
        { name: "list of 20,000, page 1", user: HEAVY, statement: get(own(HEAVY), PAGE) },
        { name: `list of 20,000, page ${PAGES}`, user: HEAVY, statement: get(own(HEAVY) + after(place), PAGE) },
      ],
      [{ name: "organisation's list, page 1", user: USUAL, statement: get(shared, PAGE) }],
      [{ name: "read by id", user: USUAL, statement: get(`${own(USUAL)} and "id" = '${note.id}'`) }],
      [{ name: "another user's id", user: USUAL, statement: get(`"id" = '${foreign.id}'`) }],
      [{ name: "search, words of one note in 997", user: USUAL, statement: get(`${own(USUAL)} and ${words("word5")}`, PAGE) }],
      [{ name: "search, words of none", user: USUAL, statement: get(`${own(USUAL)} and ${words("nowhere")}`, PAGE) }],
    ];
    const figures: Figure[] = [];
    for (const group of groups) figures.push(...(await compare(client, group)));
    const [list, first, last, org, , unread, found] = figures as [Figure, Figure, Figure, Figure, Figure, Figure, Figure];
    // It looks at each note of its user, with policies and without, and is here to show what that comes to.
    const everything = { name: "search of 20,000, words of none", user: HEAVY, statement: get(`${own(HEAVY)} and ${words("nowhere")}`, PAGE) };
    const shown = [...figures, ...(await compare(client, [everything]))];
    const [smallList, smallOrg] = small as [Figure, Figure];

    if (values.json) console.log(JSON.stringify({ ...count, figures: shown, small }, null, 2));
    else {
      console.log(`\n${count.notes} notes (${count.size}) of ${SIZES.large[1]} users; medians of ${ROUNDS} rounds, in milliseconds\n`);
      console.log(`${" ".repeat(34)}       transaction              execution`);
      console.log(["statement".padEnd(34), "with RLS", "without", "ratio", "with RLS", "without", "buffers", " index"].join("  "));
      for (const { name, withRls, without, execution, executionWithout, buffers, plan } of shown) {
        const columns = [withRls.toFixed(2).padStart(8), without.toFixed(2).padStart(7), (withRls / without).toFixed(2).padStart(5)];
        console.log([name.padEnd(34), ...columns, execution.toFixed(3).padStart(8), executionWithout.toFixed(3).padStart(7), String(buffers).padStart(7), ` ${plan}`].join("  "));
      }
      console.log();
    }
    for (const { name, withRls, without, execution } of figures) {
      // Without, it finds the row: there is nothing to compare.
      if (name !== unread.name) atMost(`${name}: with RLS over without`, withRls / without, RATIO_MAX);
      atMost(`${name}: milliseconds`, execution, MILLISECONDS_MAX);
    }
    const grown = (what: string, more: Figure, less: Figure) => {
      atMost(`${what}, execution`, more.execution / less.execution, GROWTH_MAX);
      atMost(`${what}, transaction`, more.withRls / less.withRls, GROWTH_MAX);
    };
    grown(`page ${PAGES} over page 1`, last, first);
    grown(`list: ${SIZES.large[0]} notes over ${SIZES.small[0]}`, list, smallList);
    grown(`organisation's list: ${SIZES.large[0]} notes over ${SIZES.small[0]}`, org, smallOrg);

    await fullTextIndex(client, found);
  });
} finally {
  await postgres.stop();
}
if (missed.length > 0) throw new Failure(`Missed: ${missed.join("; ")}.`);

/** Whether an index over the words would be asked, with policies and without. */
async function fullTextIndex(client: pg.Client, before: Figure): Promise<void> {
  await client.query(`create index notes_search_idx on public.notes using gin (search); analyze public.notes`);
  const statement = get(`${own(USUAL)} and "search" @@ websearch_to_tsquery('simple', 'word5')`, PAGE);
  const [again] = (await compare(client, [{ name: "search with a GIN index", user: USUAL, statement }])) as [Figure];
  const { rows } = await client.query("select pg_size_pretty(pg_relation_size('public.notes_search_idx')) as size");
  console.error(`airlock: with a GIN index on search (${rows[0].size}) the same search takes ${again.execution.toFixed(3)} ms in place of ${before.execution.toFixed(3)} ms, by ${again.plan}: behind a policy it is not asked`);
}

function atMost(what: string, figure: number, most: number): void {
  const good = figure <= most;
  if (!values.json) console.log(`${good ? "met   " : "MISSED"}  ${what}: ${figure.toFixed(2)}, at most ${most}`);
  if (!good) missed.push(what);
}

interface Measured {
  name: string;
  user: string;
  statement: string;
}

/** By turns, under the policies and past them: a machine that is slow for a while is so for all. */
async function compare(client: pg.Client, statements: Measured[]): Promise<Figure[]> {
  const headers = JSON.stringify({ accept: "application/json", "x-forwarded-for": "203.0.113.7", "user-agent": "airlock" });
  const transaction = async (role: string, user: string, query: pg.QueryConfig) => {
    const claims = JSON.stringify({ role: "authenticated", sub: user, aud: "authenticated", session_id: ORG, email: "somebody@example.com" });
    const began = performance.now();
    await client.query("begin read only");
    // As PostgREST does, whoever it is.
    const settings = `select set_config('search_path', 'public, extensions', true), set_config('role', $1, true), set_config('request.jwt.claims', $2, true),
      set_config('request.method', 'GET', true), set_config('request.path', '/notes', true), set_config('request.headers', $3, true), set_config('request.cookies', '{}', true)`;
    await client.query({ name: "settings", text: settings, values: [role, claims, headers] });
    const { rows } = await client.query(query);
    await client.query("commit");
    return { rows, took: performance.now() - began };
  };
  const kinds = { rls: "authenticated", bare: "past_policies" };
  const seen = statements.map((measured) => ({
    ...measured,
    whole: { rls: [] as number[], bare: [] as number[] },
    executed: { rls: [] as number[], bare: [] as number[] },
    buffers: 0,
    plan: "",
  }));
  for (let round = -5; round < ROUNDS; round++) {
    for (const one of seen) {
      // Whichever comes second finds the caches warm.
      for (const kind of round % 2 === 0 ? (["rls", "bare"] as const) : (["bare", "rls"] as const)) {
        const { took } = await transaction(kinds[kind], one.user, { name: `${kind} ${one.name}`, text: one.statement });
        const { rows } = await transaction(kinds[kind], one.user, { text: `explain (analyze, buffers, timing off, format json) ${one.statement}` });
        if (round < 0) continue;
        const [explained] = rows[0]["QUERY PLAN"];
        one.whole[kind].push(took);
        one.executed[kind].push(explained["Execution Time"]);
        if (kind === "rls") {
          one.buffers = explained.Plan["Shared Hit Blocks"] + explained.Plan["Shared Read Blocks"];
          one.plan = [...JSON.stringify(explained.Plan).matchAll(/"Index Name":"(notes_\w+)"/g)].map(([, index]) => index).join(", ");
        }
      }
    }
  }
  return seen.map(({ name, whole, executed, buffers, plan }) => ({
    name,
    withRls: median(whole.rls),
    without: median(whole.bare),
    execution: median(executed.rls),
    executionWithout: median(executed.bare),
    buffers,
    plan,
  }));
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
