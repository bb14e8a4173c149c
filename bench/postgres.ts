// CPU time of Postgres for one create: the INSERT of the peers, and the function that Airlock calls, which claims the
// nonce as well. On a Postgres server of its own, with PostgREST's statements, one connection for each.

import { createHash, randomBytes, randomUUID } from "node:crypto";

import pg from "pg";

import { startPostgres } from "../tools/setup/postgres.ts";
import { rotated } from "./figure.ts";
import { cpuNanos } from "./process.ts";
import { NOTE } from "./workloads.ts";

const CREATES = 50;
const WARM_UP = 200;
const USER = randomUUID();

interface Statement {
  text: string;
  path: string;
  values(): string[];
}

const CALL = `
  with pgrst_source as (
    select pgrst_call.pgrst_scalar
    from (select $1::json as json_data) pgrst_payload,
      lateral (select resource, org, draft, request_key, request_digest from json_to_record(pgrst_payload.json_data) as _(resource text, org uuid, draft json, request_key text, request_digest text) limit 1) pgrst_body,
      lateral (select public.airlock_create(resource := pgrst_body.resource, org := pgrst_body.org, draft := pgrst_body.draft, request_key := pgrst_body.request_key, request_digest := pgrst_body.request_digest) pgrst_scalar) pgrst_call
  )
  select null::bigint as total_result_set, 1 as page_total, coalesce(json_agg(_postgrest_t.pgrst_scalar) -> 0, 'null') as body,
    nullif(current_setting('response.headers', true), '') as response_headers, nullif(current_setting('response.status', true), '') as response_status
  from (select * from pgrst_source) _postgrest_t`;

const INSERT = `
  with pgrst_source as (
    insert into public.notes (body, title)
      select pgrst_body.body, pgrst_body.title
      from (select $1::json as json_data) pgrst_payload,
        lateral (select case when json_typeof(pgrst_payload.json_data) = 'array' then pgrst_payload.json_data else json_build_array(pgrst_payload.json_data) end as val) pgrst_uniform_json,
        lateral (select body, title from json_to_recordset(pgrst_uniform_json.val) as _(body text, title text)) pgrst_body
      returning id, title, body, version, created_at, updated_at, deleted_at
  )
  select '' as total_result_set, count(_postgrest_t) as page_total, coalesce(json_agg(_postgrest_t) -> 0, 'null') as body,
    nullif(current_setting('response.headers', true), '') as response_headers, nullif(current_setting('response.status', true), '') as response_status
  from (select * from pgrst_source) _postgrest_t`;

const key = (request_key: string | null, request_digest: string | null) =>
  JSON.stringify({ resource: "notes", org: null, draft: NOTE, request_key, request_digest });

const STATEMENTS = {
  insert: { text: INSERT, path: "/notes", values: () => [JSON.stringify(NOTE)] },
  create: { text: CALL, path: "/rpc/airlock_create", values: () => [key(null, null)] },
  createWithKey: {
    text: CALL,
    path: "/rpc/airlock_create",
    values: () => [
      key(randomBytes(16).toString("base64url"), createHash("sha256").update(randomBytes(16)).digest("hex")),
    ],
  },
} satisfies Record<string, Statement>;

type Name = keyof typeof STATEMENTS;

/** Microseconds of CPU per create, by block and round. A block has connections of its own. */
export async function createsOnPostgres(blocks: number, rounds: number): Promise<Record<Name, number[][]>> {
  const times: Record<Name, number[][]> = { insert: [], create: [], createWithKey: [] };
  const names = Object.keys(times) as Name[];
  const postgres = await startPostgres(["jit=off"]);
  try {
    await postgres.create("bench");
    for (let block = 0; block < blocks; block++) {
      const connections = new Map<Name, Connection>();
      for (const name of names) connections.set(name, await connect(postgres.url("bench")));
      for (const name of names) {
        for (let sent = 0; sent < WARM_UP; sent++) await transaction(connections.get(name)!, STATEMENTS[name]);
        times[name].push([]);
      }
      for (let round = 0; round < rounds; round++) {
        for (const name of rotated(names, round)) {
          const connection = connections.get(name)!;
          const before = cpuNanos(connection.pid);
          for (let sent = 0; sent < CREATES; sent++) await transaction(connection, STATEMENTS[name]);
          times[name].at(-1)?.push((cpuNanos(connection.pid) - before) / 1000 / CREATES);
        }
      }
      for (const { client } of connections.values()) await client.end();
    }
  } finally {
    await postgres.stop();
  }
  return times;
}

interface Connection {
  client: pg.Client;
  /** The id of the server's process for this connection. */
  pid: number;
}

async function connect(url: string): Promise<Connection> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  await client.query("insert into auth.users (id) values ($1) on conflict do nothing", [USER]);
  const { rows } = await client.query("select pg_backend_pid() as pid");
  return { client, pid: rows[0].pid };
}

/** One request as PostgREST runs it. */
async function transaction({ client }: Connection, { text, path, values }: Statement): Promise<void> {
  const claims = JSON.stringify({ role: "authenticated", sub: USER, aud: "authenticated", email: "user@example.com" });
  // Claims expire after a second, so each one deletes an expired one, as in production.
  const claim =
    path === "/notes"
      ? {}
      : { "x-airlock-claim": `v1.1.${randomUUID()}.rn-bench:${randomBytes(18).toString("base64url")}` };
  const headers = JSON.stringify({ accept: "application/json", "content-type": "application/json", ...claim });
  await client.query("begin isolation level read committed read write");
  const settings = `select set_config('search_path', 'public, extensions', true), set_config('role', 'authenticated', true), set_config('request.jwt.claims', $1, true),
    set_config('request.method', 'POST', true), set_config('request.path', $2, true), set_config('request.headers', $3, true), set_config('request.cookies', '{}', true)`;
  await client.query({ name: "settings", text: settings, values: [claims, path, headers] });
  await client.query({ name: "create", text, values: values() });
  await client.query("commit");
}
