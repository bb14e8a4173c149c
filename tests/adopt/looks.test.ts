// What rows tell: looked at where the role may see all of them, without running code of the database.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import type { Catalogue } from "../../tools/adopt/catalogue.ts";
import { decide } from "../../tools/adopt/decide.ts";
import { readUrl } from "../../tools/adopt/source.ts";
import { query } from "../../tools/setup/postgres.ts";
import { type Server, startServer } from "./support.ts";

let server: Server;
before(async () => {
  server = await startServer();
});
after(() => server.postgres.stop());

const table = (name: string, columns: string, id = "bigint primary key") => `
  create table ${name} (id ${id}, user_id uuid not null, ${columns});
  alter table ${name} enable row level security;
  create policy own on ${name} for all to authenticated using ((select auth.uid()) = user_id) with check ((select auth.uid()) = user_id);
`;
const ME = "00000000-0000-4000-8000-000000000001";

const looks = (catalogue: Catalogue, name: string) => catalogue.tables.find((one) => one.name === name)?.looks;

test("values that JSON cannot hold keep a field out, large ids stop a table", async () => {
  const schema = `
    ${table("fine", "n bigint, d double precision, t timestamptz, tags text[]")}
    ${table("large", "label text")}
    ${table("unfit", "n bigint, d double precision, t timestamptz, day date, tags text[], label text")}
    insert into fine values (1, '${ME}', 9007199254740991, 1.5, now(), '{a}');
    insert into large values (9007199254740992, '${ME}', 'x');
    insert into unfit values (1, '${ME}', 9007199254740992, 'NaN', 'infinity', '-infinity', '{{a},{b}}', 'x');
  `;
  await server.create("looked", schema);
  const catalogue = await readUrl(server.postgres.url("looked"));
  assert.deepEqual(looks(catalogue, "fine"), { unfit: {}, open: [] });
  assert.deepEqual(looks(catalogue, "large"), { unfit: { id: "ids past 2^53-1" }, open: [] });
  const decisions = new Map(decide(catalogue).map((decision) => [decision.table, decision]));
  assert.match(decisions.get("public.large")?.stops[0]?.what ?? "", /^ids past 2\^53-1 are in use \(id\)/);
  assert.deepEqual(decisions.get("public.unfit")?.left.map(({ column, reason }) => `${column}: ${reason}`), [
    "n: it holds integers past 2^53-1",
    "d: it holds NaN or infinity",
    "t: it holds infinity, or years outside 1 to 9999",
    "day: it holds infinity, or years outside 1 to 9999",
    "tags: it holds nested arrays or null elements",
  ]);
  assert.deepEqual(decisions.get("public.unfit")?.section?.fields.map(({ name }) => name), ["label"]);
});

test("a role that policies concern runs none of them, and says what it left", async () => {
  const schema = `
    create schema private;
    create function private.told() returns boolean language plpgsql security definer as $body$begin raise exception 'the policy ran'; end$body$;
    create table watched (id bigint primary key, user_id uuid not null, n bigint);
    alter table watched enable row level security;
    create policy told on watched for all using (private.told());
    insert into watched values (1, '${ME}', 1);
  `;
  const url = await server.create("watched", `${schema}; grant usage on schema public to reader; grant select on watched to reader;`);
  const catalogue = await readUrl(url);
  assert.deepEqual(looks(catalogue, "watched"), { unfit: {}, open: ["whether ids past 2^53-1 are in use (id)", "n: integers past 2^53-1"] });
});

test("50 tables take less than 10 seconds", async () => {
  const many = Array.from({ length: 50 }, (_, at) => `${table(`table_${at}`, Array.from({ length: 20 }, (_, n) => `c${n} text check (char_length(c${n}) between 1 and ${n + 9})`).join(", "))} create index on table_${at} (user_id);`);
  const url = await server.create("many", many.join("\n"));
  await query(server.postgres.url("many"), "analyze");
  const begin = performance.now();
  const decisions = decide(await readUrl(url));
  const seconds = (performance.now() - begin) / 1000;
  assert.equal(decisions.filter(({ section }) => section?.fields.length === 20).length, 50);
  assert.ok(seconds < 10, `${seconds} s`);
});
