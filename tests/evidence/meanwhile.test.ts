// What an ordinary role of the audited database does while a superuser audits it: none of its code runs, and what it keeps
// from being read is not left out of the report.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import pg from "pg";

import { readAll } from "../../tools/adopt/source.ts";
import { audit } from "../../tools/evidence/audit.ts";
import type { Sql } from "../../tools/evidence/finding.ts";
import { isReadable, reading } from "../../tools/evidence/foreign.ts";
import { readTables } from "../../tools/evidence/rows.ts";
import { type Postgres, query, startPostgres } from "../../tools/setup/postgres.ts";

const PASSWORD = "an-ordinary-role";
const CODE = `create function public.runs() returns text language plpgsql immutable as $$begin perform pg_advisory_lock_shared(1); return 'a'; end$$;`;
const POLICY = (helper: string) =>
  `create function public.mine() returns boolean language sql stable as '${helper.replaceAll("'", "''")}';
   create table public.t (id int primary key); alter table public.t enable row level security;
   create policy p on public.t for select to authenticated using (public.mine());`;

let postgres: Postgres;
before(async () => {
  postgres = await startPostgres();
  await query(postgres.url("postgres"), `create role ordinary login password '${PASSWORD}'`);
});
after(() => postgres.stop());

/** A database with these objects of the ordinary role, and a connection of its own. */
async function opened(name: string, sql: string): Promise<pg.Client> {
  await postgres.create(name, []);
  await query(
    postgres.url(name),
    `grant create on database ${name} to ordinary; grant create on schema public to ordinary; grant usage on schema auth to ordinary`,
  );
  const url = new URL(postgres.url(name));
  [url.username, url.password] = ["ordinary", PASSWORD];
  const client = new pg.Client({ connectionString: url.href });
  await client.connect();
  await client.query(`${CODE} ${sql}`);
  return client;
}

/** Lets the ordinary role change something in front of the first statement that `when` matches, if there is one. */
const meanwhile = (sql: Sql, client: pg.Client, when: RegExp, change: string): Sql => {
  let changed = false;
  return async (text, ...rest) => {
    if (!changed && when.test(text)) {
      changed = true;
      await client.query(change);
    }
    return sql(text, ...rest);
  };
};

for (const [name, what, objects, when, change, work] of [
  [
    "domain",
    "a CHECK that a domain gets",
    `create domain public.checked as text; ${POLICY("select auth.uid() is not null and '{a}'::public.checked[] is not null")}`,
    /^prepare/,
    "alter domain public.checked add check (public.runs() is not null)",
    (sql: Sql) => audit(sql, ["public"], []),
  ],
  [
    "registry",
    "a view that takes the place of the registry",
    "create schema airlock; create table airlock.resources (name text, relation regclass, publish text[])",
    /from airlock\.resources/,
    "alter table airlock.resources rename to old; create view airlock.resources as select public.runs() as name, 'pg_class'::regclass as relation, array[public.runs()] as publish",
    (sql: Sql) => audit(sql, ["public"], []),
  ],
  [
    "rows",
    "a view that takes the place of a table",
    "create table public.t (id int primary key, n numeric)",
    /bool_or/,
    "alter table public.t rename to old; create view public.t as select 1 as id, length(public.runs())::numeric as n",
    readAll,
  ],
] as const)
  test(`${what} meanwhile is not run`, async () => {
    const client = await opened(name, objects);
    try {
      const locks = await reading(postgres.url(name), async (sql) => {
        await work(meanwhile(sql, client, when, change));
        return sql("select from pg_locks where locktype = 'advisory' and pid = pg_backend_pid()");
      });
      assert.deepEqual(locks, []);
    } finally {
      await client.end();
    }
  });

test("no statement names an object of the database, but the PREPARE of bodies", async () => {
  const client = await opened(
    "statements",
    `create schema airlock; create table airlock.resources (name text, relation regclass, publish text[]);
     create schema cron; create table cron.job (jobid int, command text);
     create function public.format(text, text) returns text language sql as 'select public.runs()';
     create function public.equals(name, text) returns boolean language sql as 'select public.runs() is not null';
     create operator public.= (leftarg = name, rightarg = text, function = public.equals);
     create table public.pg_class (id int primary key, n numeric, at timestamptz); create view public.v as select public.runs();
     create sequence public.s; create rule r as on insert to public.pg_class do also select public.runs();
     ${POLICY("select auth.uid() is not null")}`,
  );
  const sent = new Set<string>();
  try {
    await reading(postgres.url("statements"), async (sql) => {
      const recorded: Sql = (text, ...rest) => {
        sent.add(text);
        return sql(text, ...rest);
      };
      await audit(recorded, ["public"], []);
      await readTables(recorded, ["public"]);
      await readAll(recorded);
      await sql(
        "set local client_min_messages = log; set local debug_pretty_print = off; set local debug_print_parse = on",
      );
      let queries = 0;
      for (const text of sent) {
        if (/^prepare airlock_evidence_body /.test(text)) continue;
        if (!/^\s*(select|with)\b/.test(text)) {
          assert.match(
            text,
            /^((set local \w+ = ['\w]+|(rollback to |release )?savepoint \w+|deallocate \w+)(; |$))+$/,
          );
          continue;
        }
        const trees: string[] = [];
        await sql(`prepare statement as ${text}`, [], (detail) => trees.push(detail));
        await sql("deallocate statement");
        // Types, functions, operators and tables of the database have greater numbers than those of PostgreSQL.
        const used = trees.flatMap((tree) => [...tree.matchAll(/:(\w+(?:id|no|type|oid)) (\d+)/g)]);
        assert.ok(used.length > 0, text);
        assert.deepEqual(
          used.filter(([, , oid]) => Number(oid) >= 16384).map(([found]) => found),
          [],
          text,
        );
        queries++;
      }
      assert.ok(queries >= 20, `${queries} queries`);
    });
  } finally {
    await client.end();
  }
  assert.ok([...sent].some((text) => text.startsWith("prepare")));
});

test("a helper whose table is locked meanwhile fails the audit", async () => {
  const client = await opened(
    "locked",
    `create table public.people (id uuid); ${POLICY("select exists (select from public.people)")}`,
  );
  try {
    await assert.rejects(
      reading(postgres.url("locked"), (sql) =>
        audit(
          meanwhile(sql, client, /^prepare/, "begin; lock table public.people in access exclusive mode"),
          ["public"],
          [],
        ),
      ),
      /lock timeout/,
    );
  } finally {
    await client.end();
  }
});

test("rows are read where their owner has the rights of the reader, or owns the database", async () => {
  const client = await opened("owners", "create table public.theirs (id int)");
  await client.end();
  const url = postgres.url("owners");
  await query(
    url,
    "create role keeper; create role keepers role keeper; create table public.ours (id int); create table public.kept (id int); alter table public.kept owner to keeper; grant select on all tables in schema public to public",
  );
  const readable = (role: string) =>
    reading(url, async (sql) => {
      await sql(`set local role ${role}`);
      const found: string[] = [];
      for (const name of ["ours", "kept", "theirs"]) if (await isReadable(sql, "public", name)) found.push(name);
      return found;
    });
  assert.deepEqual(await readable("postgres"), ["ours"]);
  assert.deepEqual(await readable("keepers"), ["ours", "kept"]);
  await query(url, "alter database owners owner to ordinary");
  assert.deepEqual(await readable("keepers"), ["ours", "kept", "theirs"]);
  // The schema public is the database owner's.
  assert.deepEqual(await readable("postgres"), []);
});
