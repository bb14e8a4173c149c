// Scheduled jobs: the scheduled event on workerd, against real Postgres.

import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";

import { until } from "../support/patience.ts";
import { assertOk, logOf, send } from "./http.ts";
import { json, jws, legacy, withStub } from "./stub.ts";
import { type LoggedWorker, PUBLISHABLE_KEY, SECRET_KEY, stackOfFile, withWorker, workerVars } from "./support.ts";

const JOBS = [
  "job:purge-deleted-rows",
  "job:purge-expired-idempotency-keys",
  "job:purge-deleted-organizations",
  "job:purge-expired-invitations",
];

const { stack } = await stackOfFile();

beforeEach(() =>
  stack.sql(
    "truncate airlock.organizations, airlock.invitations, airlock.members, public.notes, airlock.idempotency_keys, airlock.bypass_audit",
  ),
);

interface JobLine {
  event: string;
  label: string;
  run: string;
  outcome: string;
  code: string | null;
  reason: string | null;
  rows: number;
  batches: number;
  duration_ms: number;
}

/** Sends the scheduled event and returns its log lines, which are written a moment after its end. */
async function runJobs(worker: LoggedWorker, lines = JOBS.length): Promise<JobLine[]> {
  worker.logs.length = 0;
  const { outcome } = await worker.scheduled();
  const failed = /"outcome":"failed"|"event":"misconfigured"/;
  await until(`${lines} lines are logged`, () => worker.logs.length >= lines);
  assert.equal(outcome, worker.logs.some((line) => failed.test(line)) ? "exception" : "ok");
  // The platform's record of the failed event.
  const logs = worker.logs.filter((line) => !/A scheduled job failed: see its log line/.test(line));
  assert.equal(logs.length, lines, worker.logs.join("\n"));
  for (const key of [SECRET_KEY, PUBLISHABLE_KEY]) assert.ok(!worker.logs.some((line) => line.includes(key)));
  return logs.map((line) => JSON.parse(line));
}

/** The log lines of a run with these variables. */
async function run(vars: Record<string, string>, lines?: number, url = stack.supabase.url): Promise<JobLine[]> {
  return withWorker(workerVars(url, vars), {}, (worker) => runJobs(worker, lines));
}

const counted = (lines: JobLine[]) => lines.map(({ label, outcome, rows, batches }) => [label, outcome, rows, batches]);
const titles = async () => (await stack.sql("select title from public.notes order by title")).map(({ title }) => title);

/** Makes a note of each user for each age; the age is the time since its deletion. */
async function deletedNotes(...ages: string[]): Promise<void> {
  // Triggers choose these times otherwise.
  await stack.sql("set session_replication_role = replica");
  for (const user of [stack.alice, stack.bob]) {
    for (const age of ages) {
      await stack.sql(
        `insert into public.notes (user_id, title, created_at, updated_at, deleted_at)
         values ($1, $2::text, now() - interval '900 days', now(), now() - $2::text::interval)`,
        [user.id, age],
      );
    }
  }
  await stack.sql("set session_replication_role = default");
}

const expiredKeys = (count: number) =>
  stack.sql(
    `insert into airlock.idempotency_keys (user_id, key, digest, place, target, created_at)
     select $1, 'expired-' || n, repeat('0', 64), 'notes', gen_random_uuid(), now() - interval '25 hours' from generate_series(1, $2::integer) as n`,
    [stack.alice.id, count],
  );

test("the jobs delete exactly the rows that are due, and record it", async () => {
  await deletedNotes("29 days 23:59:00", "30 days", "400 days");
  await stack.sql("insert into public.notes (user_id, title) values ($1, 'live')", [stack.alice.id]);
  await expiredKeys(3);
  await stack.sql(
    "insert into airlock.idempotency_keys (user_id, key, digest, place, target) values ($1, 'still-good', repeat('0', 64), 'notes', gen_random_uuid())",
    [stack.bob.id],
  );
  const [org] = await stack.sql("insert into airlock.organizations (name) values ('live') returning id");
  await stack.sql(
    `insert into airlock.invitations (org_id, role, token_digest, created_by, expires_at)
     select $1, 'viewer', repeat(n::text, 64), $2, now() + n * interval '1 minute' from generate_series(0, 1) as n`,
    [org?.id, stack.alice.id],
  );
  await stack.sql(
    "insert into airlock.organizations (name, deleted_at) values ('gone', now() - interval '31 days'), ('going', now() - interval '29 days')",
  );

  const lines = await runJobs(stack.worker);
  assert.deepEqual(counted(lines), [
    [JOBS[0], "done", 4, 1],
    [JOBS[1], "done", 3, 1],
    [JOBS[2], "done", 1, 1],
    [JOBS[3], "done", 1, 1],
  ]);
  assert.deepEqual(await titles(), ["29 days 23:59:00", "29 days 23:59:00", "live"]);
  assert.deepEqual(await stack.sql("select key from airlock.idempotency_keys"), [{ key: "still-good" }]);
  assert.deepEqual(await stack.sql("select name from airlock.organizations order by name"), [
    { name: "going" },
    { name: "live" },
  ]);
  assert.equal((await stack.sql("select from airlock.invitations")).length, 1);

  const [first] = lines;
  assert.match(first?.run ?? "", /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
  assert.deepEqual(Object.keys(first ?? {}), [
    "event",
    "label",
    "run",
    "outcome",
    "code",
    "reason",
    "rows",
    "batches",
    "duration_ms",
  ]);
  for (const line of lines)
    assert.deepEqual([line.event, line.run, line.code, line.reason], ["job", first?.run, null, null]);
  assert.deepEqual(
    await stack.sql("select label, run, rows, after_days from airlock.bypass_audit order by id"),
    lines.map(({ label, run, rows }) => ({ label, run, rows, after_days: 30 })),
  );

  const again = await runJobs(stack.worker);
  assert.deepEqual(
    again.map(({ rows }) => rows),
    [0, 0, 0, 0],
  );
  assert.notEqual(again[0]?.run, first?.run);
});

test("PURGE_AFTER_DAYS says how long deleted rows are kept", async () => {
  await deletedNotes("23:00:00", "25:00:00", "29 days");
  await run({ PURGE_AFTER_DAYS: "1" });
  assert.deepEqual(await titles(), ["23:00:00", "23:00:00"]);
  assert.deepEqual(await stack.sql("select distinct after_days from airlock.bypass_audit"), [{ after_days: 1 }]);
});

test("a run ends at its bound and the next one goes on", async () => {
  await expiredKeys(11_234);
  const [, first] = await runJobs(stack.worker);
  assert.deepEqual([first?.outcome, first?.rows, first?.batches], ["unfinished", 10_000, 10]);
  assert.equal(
    (await stack.sql("select from airlock.bypass_audit where run = $1 and label = $2", [first?.run, first?.label]))
      .length,
    10,
  );
  const [, second] = await runJobs(stack.worker);
  assert.deepEqual([second?.outcome, second?.rows, second?.batches], ["done", 1234, 2]);
});

test("without a secret key the jobs are off, with one log line", async () => {
  await withStub(async (stub) => {
    const [line] = await run({ SUPABASE_SECRET_KEY: "" }, 1, stub.url);
    assert.deepEqual(line as unknown, {
      event: "jobs_off",
      message: "SUPABASE_SECRET_KEY is not set: scheduled jobs are off.",
    });
    assert.deepEqual(stub.received, []);
  });
});

test("with another project's key each job fails with a log line", async () => {
  await deletedNotes("31 days");
  const lines = await run({ SUPABASE_SECRET_KEY: `${SECRET_KEY}x` });
  assert.deepEqual(
    counted(lines),
    JOBS.map((label) => [label, "failed", 0, 0]),
  );
  for (const { code, reason } of lines)
    assert.deepEqual([code, reason], ["internal", "the gateway refused the API key"]);
  assert.equal((await titles()).length, 2);
});

test("a bad secret key or number of days turns the jobs off", async () => {
  for (const [name, value] of [
    ["SUPABASE_SECRET_KEY", PUBLISHABLE_KEY],
    ["SUPABASE_SECRET_KEY", jws(legacy, { role: "anon" })],
    ["SUPABASE_SECRET_KEY", "anything"],
    ["PURGE_AFTER_DAYS", "0"],
    ["PURGE_AFTER_DAYS", "3651"],
  ] as const) {
    await withWorker(workerVars(stack.supabase.url, { [name]: value }), {}, async (worker) => {
      await runJobs(worker, 1);
      const line = JSON.parse(worker.logs[0] ?? "");
      assert.equal(line.event, "misconfigured");
      assert.match(line.message, new RegExp(`^${name} is `));
      assert.ok(value.length < 8 || !line.message.includes(value));
      // Requests go on, and the first one logs the mistake too.
      const answered = await send(worker.url, "GET", "/v1/me", { token: stack.alice.token });
      assertOk(answered, 200);
      await logOf(worker, answered);
      const lines = worker.logs
        .slice(1)
        .filter((text) => text.startsWith("{"))
        .map((text) => JSON.parse(text));
      assert.deepEqual(
        lines.flatMap(({ event, message }) => (event === "misconfigured" ? [message] : [])),
        [line.message],
      );
    });
  }
});

test("a job that fails does not stop the others", async () => {
  const lines = await withStub((stub) => {
    stub.rest = (request, response) => {
      const { job_label: label } = JSON.parse(request.body);
      if (label === JOBS[0]) return;
      if (label === JOBS[1]) return json(500, { code: "57014", message: "SECRET" })(request, response);
      return json(200, label === JOBS[2] ? "SECRET" : 7)(request, response);
    };
    return run({ UPSTREAM_TIMEOUT_MS: "5000" }, JOBS.length, stub.url);
  });
  assert.deepEqual(
    lines.map(({ outcome, code, rows }) => [outcome, code, rows]),
    [
      ["failed", "upstream_timeout", 0],
      ["failed", "upstream_timeout", 0],
      ["failed", "upstream_invalid", 0],
      ["done", null, 7],
    ],
  );
  assert.ok(!JSON.stringify(lines).includes("SECRET"));
});

test("an sb_secret_ key is sent as apikey, a legacy key as token too", async () => {
  const serviceRole = jws(legacy, { role: "service_role" });
  await withStub(async (stub) => {
    stub.rest = json(200, 0);
    await run({}, JOBS.length, stub.url);
    await run({ SUPABASE_SECRET_KEY: serviceRole }, JOBS.length, stub.url);
    assert.deepEqual(
      stub.received.map(({ method, target, headers }) => [method, target, headers.apikey, headers.authorization]),
      [
        ...JOBS.map(() => ["POST", "/rest/v1/rpc/airlock_run_job", SECRET_KEY, undefined]),
        ...JOBS.map(() => ["POST", "/rest/v1/rpc/airlock_run_job", serviceRole, `Bearer ${serviceRole}`]),
      ],
    );
  });
});

test("only the secret key may call airlock_run_job in the REST API", async () => {
  await deletedNotes("31 days");
  const body = JSON.stringify({ job_label: JOBS[0], job_run: crypto.randomUUID(), after_days: 30, at_most: 1000 });
  const call = { method: "POST", body };
  const code = async (response: Response) => [response.status, (await response.json()).code];
  assert.deepEqual(await code(await stack.direct(null, "/rpc/airlock_run_job", call)), [401, "42501"]);
  assert.deepEqual(await code(await stack.direct(stack.alice, "/rpc/airlock_run_job", call)), [403, "42501"]);
  const secret = { headers: { apikey: SECRET_KEY } };
  // A user's token decides the role, whichever key is sent.
  assert.deepEqual(await code(await stack.direct(stack.alice, "/rpc/airlock_run_job", { ...call, ...secret })), [
    403,
    "42501",
  ]);
  assert.equal((await titles()).length, 2);

  for (const method of ["GET", "DELETE"]) {
    assert.deepEqual(await code(await stack.direct(null, "/notes?id=not.is.null", { ...secret, method })), [
      403,
      "42501",
    ]);
    for (const table of ["claims", "idempotency_keys", "organizations", "members", "invitations", "bypass_audit"]) {
      assert.equal((await stack.direct(null, `/${table}`, { ...secret, method })).status, 404, table);
    }
  }
  for (const other of [{ job_label: "job:purge-everything" }, { after_days: 0 }, { at_most: 1_000_000 }]) {
    const body = JSON.stringify({ ...JSON.parse(call.body), ...other });
    assert.deepEqual(await code(await stack.direct(null, "/rpc/airlock_run_job", { ...call, ...secret, body })), [
      400,
      "22023",
    ]);
  }
  const done = await stack.direct(null, "/rpc/airlock_run_job", { ...call, ...secret });
  assert.deepEqual([done.status, await done.json()], [200, 2]);
});
