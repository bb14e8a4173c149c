-- The core on its own test tables: triggers, account deletion, references, the purge job, edge-only mode of one table,
-- and tables without rights for callers.
begin;
create extension if not exists pgtap with schema extensions;
\ir include/versioned.psql
select plan(88);


-- Texts and times

select is(airlock.wire_time('2026-11-29 01:02:03.4+02'), '2026-11-28T23:02:03.400000Z', 'a time has six fraction digits, in UTC');
select is(airlock.wire_time(null), null, 'a null time stays null');
select is(
  airlock.cursor('["things -rank",7,"\u00e4/?"]'), 'WyJ0aGluZ3MgLXJhbmsiLDcsIlx1MDBlNC8_Il0', 'a cursor is JSON in base64url'
);
select is(
  airlock.read_cursor(airlock.cursor(json_build_array(list, value, id)), list, type, id_type), array[value, id],
  format('a cursor of %s and %s comes back', type, id_type)
) from (values
  ('things', '2026-11-29T01:02:03.000004+00:00', 'timestamptz', 'ffffffff-ffff-4fff-bfff-fffffffffffb', 'uuid'),
  ('things', repeat('ä"', 100), 'text', '9007199254740991', 'bigint'),
  ('things', null, 'text', '1', 'bigint')
) as cases (list, value, type, id, id_type);
select is(length(airlock.cursor(json_build_array('things', repeat('a', 1517), '1'))), 2048, 'a cursor has at most 2,048 characters');
select is(
  airlock.read_cursor(airlock.cursor(json_build_array('things', repeat(text, 1518), '1')), 'things', 'text', 'bigint', true),
  array['1'], 'a longer one has no value'
) from unnest(array['a', E'\u0001', 'ä']) as text;
select throws_ok(
  format('select airlock.read_cursor(%L, ''things'', ''text'', ''bigint'', true)', airlock.cursor('["things",null]')),
  'PT422', 'airlock_cursor', 'the id of a cursor without a value is not null'
);
select throws_ok(
  format('select airlock.read_cursor(%L, ''things'', ''integer'', ''bigint'')', cursor), 'PT422', 'airlock_cursor', why
) from (values
  ('', 'no cursor is empty'),
  ('A', 'a cursor is base64url'),
  ('AAAA', 'a cursor is JSON'),
  ('_w', 'a cursor is UTF-8'),
  (airlock.cursor('{}'), 'a cursor is a list'),
  (airlock.cursor('["others",1,"1"]'), 'a cursor is of its list'),
  (airlock.cursor('["things",1]'), 'a cursor has an id'),
  (airlock.cursor('["things",1,null]'), 'the id of a cursor is not null'),
  (airlock.cursor('["things","x","1"]'), 'the value of a cursor has the type of its column'),
  (airlock.cursor('["things",2147483648,"1"]'), 'the value of a cursor is in the range of its type'),
  (airlock.cursor('["things",1,"x"]'), 'the id of a cursor has the type of an id')
) as cases (cursor, why);
select ok(airlock.is_trimmed(text), format('%L is trimmed', text))
  from unnest(array['', 'a', 'a b', U&'\200Ba', U&'a\FEFF', U&'\180Ea']) as text;
select is(
  (
    select string_agg(to_hex(code_point), ' ') from generate_series(1, 65535) as code_point
      where code_point not between x'd800'::integer and x'dfff'::integer
        and not (airlock.is_trimmed(chr(code_point) || 'a') and airlock.is_trimmed('a' || chr(code_point)))
  ),
  '9 a b c d 20 85 a0 1680 2000 2001 2002 2003 2004 2005 2006 2007 2008 2009 200a 2028 2029 202f 205f 3000',
  'the 25 code points of White_Space are trimmed, and no other'
);
select is(airlock.are_texts(value, 2, 3), good, format('%L as two texts of three characters', value))
  from (values
    (null::text[], true), ('{}', true), ('{a,bbb}', true), ('{a,b,c}', false), ('{aaaa}', false), ('{""}', false),
    ('{a,null}', false), ('{{a},{b}}', false)
  ) as cases (value, good);

select is(airlock.are_items(value, 2), good, format('%L as two numbers', value))
  from (values
    (null::bigint[], true), ('{}', true), ('{1,2}', true), ('{1,2,3}', false), ('{1,null}', false), ('{{1},{2}}', false)
  ) as cases (value, good);
select is(airlock.are_items(array[gen_random_uuid()], 1), true, 'one UUID is a list of one');


-- Two resources. A task is a user's, and has optional and required references.

create table public.core_lists (
  id uuid not null default gen_random_uuid() primary key,
  user_id uuid default auth.uid() references auth.users (id) on delete set null,
  org_id uuid,
  title text not null,
  like versioned including defaults,
  published_at timestamptz
);
create table public.core_tasks (
  id uuid not null default gen_random_uuid() primary key,
  user_id uuid default auth.uid() references auth.users (id) on delete cascade,
  list uuid not null references public.core_lists (id) deferrable initially deferred,
  later_list uuid references public.core_lists (id) on delete set null,
  parent uuid references public.core_tasks (id) deferrable initially deferred,
  like versioned including defaults
);
do $$
declare
  relation regclass;
begin
  foreach relation in array array['public.core_lists', 'public.core_tasks']::regclass[] loop
    execute format(
      'create trigger airlock_touch_insert before insert on %1$s for each row execute function airlock.touch_insert();
      create trigger airlock_touch_update before update on %1$s for each row execute function airlock.touch_update();
      alter table %1$s enable row level security;
      create policy own on %1$s to authenticated using ((select auth.uid()) = user_id);
      revoke all on table %1$s from public, anon, authenticated, service_role;
      grant select, insert, update on table %1$s to authenticated;',
      relation
    );
  end loop;
end
$$;
create trigger airlock_ownerless after update of user_id on public.core_lists
  for each statement execute function airlock.delete_ownerless();
create trigger reference_list_insert before insert on public.core_tasks
  for each row execute function airlock.check_reference('list', 'public.core_lists', 'false');
create trigger reference_list_update before update of list on public.core_tasks
  for each row when (new.list is distinct from old.list) execute function airlock.check_reference('list', 'public.core_lists', 'false');
select airlock.serve('core_lists', 'public.core_lists', 'both', array['title'], publish => array['title']);
select airlock.serve('core_tasks', 'public.core_tasks', 'user', array['list', 'later_list', 'parent']);

insert into auth.users (id, email) values
  ('c0000000-0000-4000-8000-00000000000a', 'a@core.test'),
  ('c0000000-0000-4000-8000-00000000000b', 'b@core.test');

create function pg_temp.be(role text, id text default null) returns void language sql as $$
  select
    set_config('request.jwt.claims', json_build_object('role', role, 'sub', 'c0000000-0000-4000-8000-00000000000' || id)::text, true),
    set_config('role', role, true);
$$;


-- Resources

select throws_ok(
  $$ select airlock.serve('core_none', 'airlock.cursor_dummy', 'user', '{}') $$, '42P01', null, 'only a table can be served'
);
create table public.core_open (id uuid primary key);
select throws_ok(
  $$ select airlock.serve('core_open', 'public.core_open', 'user', '{}') $$, '22023', null,
  'a table without Row Level Security cannot be served'
);
select pg_temp.be('authenticated', 'a');
select throws_ok(format('select public.airlock_list(%L, null, ''active'', null, null, 20)', name), 'PT404', message, why)
  from (values ('core_nothing', 'airlock_unknown_resource', 'an unknown resource is PT404')) as cases (name, message, why);
select throws_ok(
  $$ select public.airlock_list('core_tasks', gen_random_uuid(), 'active', null, null, 20) $$,
  'PT404', 'airlock_unknown_resource', 'rows of users are in no organisation'
);
select throws_ok(
  format('select public.airlock_list(''core_tasks'', null, %L, %L, null, %L)', state, words, page_size),
  '22023', null, why
) from (values
  ('gone', null, 20, 'another state is refused'),
  (null, null, 20, 'no state is refused'),
  ('published', null, 20, 'a resource without publishing has no published rows'),
  ('active', 'x', 20, 'a resource without search has no search'),
  ('active', null, 101, 'a page has at most 100 rows'),
  ('active', null, 0, 'a page has at least one row')
) as cases (state, words, page_size, why);
select is(
  public.airlock_list('core_lists', null, 'active', null, null, 20)::text, '{"data":[],"next_cursor":null}',
  'an empty page has no spaces'
);

create temporary table made as
  select (public.airlock_create('core_lists', null, json_build_object('title', title), null, null) -> 'row' ->> 'id')::uuid as id, title
    from unnest(array['kept', 'later', 'gone', 'required']) as title;
grant select on made to authenticated, service_role;
create function pg_temp.id_of(wanted text) returns uuid language sql as $$ select id from made where title = wanted $$;
select is(
  public.airlock_read('core_lists', null, pg_temp.id_of('kept')::text)::text,
  format(
    '{"id":"%s","title":"kept","version":1,"created_at":"%2$s","updated_at":"%2$s","deleted_at":null}',
    pg_temp.id_of('kept'), airlock.wire_time(now())
  ),
  'a row has its fields between id and version'
);

-- Pages: created_at is the same for all rows here, so id decides.
select is(
  (public.airlock_list('core_lists', null, 'active', null, null, 3) -> 'data')::text
    || (
      public.airlock_list('core_lists', null, 'active', null, public.airlock_list('core_lists', null, 'active', null, null, 3) ->> 'next_cursor', 3)
        -> 'data'
    )::text,
  (
    select '[' || string_agg(public.airlock_read('core_lists', null, id::text)::text, case when place = 4 then '][' else ',' end order by id desc) || ']'
      from (select id, row_number() over (order by id desc) as place from made) as ordered
  ),
  'two pages have all rows, by created_at and id'
);
select is(
  public.airlock_list('core_lists', null, 'active', null, null, 3) ->> 'next_cursor',
  airlock.cursor(json_build_array('core_lists', now(), (select id from made order by id desc offset 2 limit 1))),
  'a page that is not the last has the cursor of its last row'
);
select is(
  public.airlock_list('core_lists', null, 'active', null, null, 4) ->> 'next_cursor', null, 'the last page has no cursor'
);


-- Triggers

update public.core_lists set version = 9, created_at = '1999-01-01', updated_at = '1999-01-01', published_at = '1999-01-01',
  user_id = 'c0000000-0000-4000-8000-00000000000b' where id = pg_temp.id_of('kept');
select results_eq(
  $$ select user_id, version, created_at, updated_at, published_at from public.core_lists where id = pg_temp.id_of('kept') $$,
  $$ values ('c0000000-0000-4000-8000-00000000000a'::uuid, 2, now(), now(), now()) $$,
  'a caller chooses neither owner, version nor times'
);
select throws_ok(
  $$ update public.core_lists set user_id = null where id = pg_temp.id_of('kept') $$, '42501', null,
  'a caller with the right to write user_id cannot abandon a row'
);


-- References

select lives_ok(
  format('insert into public.core_tasks (list, later_list) values (%L, %L)', pg_temp.id_of('kept'), pg_temp.id_of('later')),
  'a row refers to a live row of its caller'
);
select public.airlock_change('core_lists', null, pg_temp.id_of('gone')::text, 'delete', null, null);
select pg_temp.be('authenticated', 'b');
insert into public.core_lists (id, title) values ('c1000000-0000-4000-8000-00000000000b', 'foreign');
select pg_temp.be('authenticated', 'a');
create function pg_temp.reference_error(list uuid) returns text language plpgsql as $$
declare
  message text;
  detail text;
begin
  perform public.airlock_create('core_tasks', null, json_build_object('list', list), null, null);
  return 'none';
exception when foreign_key_violation then
  get stacked diagnostics message = message_text, detail = pg_exception_detail;
  return message || ' ' || detail;
end
$$;
select is(pg_temp.reference_error(id), 'airlock_reference list', format('a reference to a %s row is refused', why))
  from (values
    ('c2000000-0000-4000-8000-000000000000'::uuid, 'missing'), (pg_temp.id_of('gone'), 'deleted'),
    ('c1000000-0000-4000-8000-00000000000b', 'stranger''s')
  ) as cases (id, why);
select throws_ok(
  $$ update public.core_tasks set list = 'c1000000-0000-4000-8000-00000000000b' $$, '23503', 'airlock_reference',
  'an update to another user''s row is refused'
);
select public.airlock_change('core_lists', null, pg_temp.id_of(title)::text, 'delete', null, null) from unnest(array['kept', 'later']) as title;
select lives_ok(
  $$ update public.core_tasks set list = list, later_list = later_list $$, 'a reference that does not change is not checked again'
);
reset role;


-- The purge job

create function pg_temp.purge(at_most integer default 100) returns integer language sql as $$
  select pg_temp.be('service_role');
  select public.airlock_run_job('job:purge-deleted-rows', gen_random_uuid(), 30, at_most);
$$;
set local session_replication_role = replica;
update public.core_lists set deleted_at = now() - interval '31 days' where deleted_at is not null;
set local session_replication_role = origin;
create temporary table task as select id, version from public.core_tasks;
create function public.core_count_tasks() returns trigger language plpgsql as $$
begin
  perform count(*) from core_tasks;
  return old;
end
$$;
create trigger core_count_tasks before delete on public.core_lists for each row execute function public.core_count_tasks();
select is(pg_temp.purge(1), 1, 'a batch has at most as many rows as asked for');
select is(pg_temp.purge(), 1, 'the next batch has the rest, but not the target of a required ref');
reset role;
drop trigger core_count_tasks on public.core_lists;
select bag_eq(
  $$ select title from public.core_lists where user_id = 'c0000000-0000-4000-8000-00000000000a' $$, array['kept', 'required'],
  'the target of a required reference is kept'
);
select results_eq(
  'select later_list, core_tasks.version - task.version from public.core_tasks join task using (id)', 'values (null::uuid, 1)',
  'a nullable reference becomes null, which is a change'
);
set constraints all immediate;
update public.core_tasks set deleted_at = now(), parent = id;
set local session_replication_role = replica;
update public.core_tasks set deleted_at = now() - interval '31 days';
set local session_replication_role = origin;
select is(pg_temp.purge() + pg_temp.purge(), 2, 'a row that refers to itself is purged, and then its target');
reset role;
select lives_ok('set constraints all immediate', 'no reference is broken');
set constraints all deferred;
select throws_ok(
  format('select public.airlock_run_job(%L, gen_random_uuid(), %s, %s)', label, days, rows), '22023', null, label || ' is refused'
) from (values ('job:other', 30, 10), ('job:purge-deleted-rows', 0, 10), ('job:purge-deleted-rows', 30, 1001)) as cases (label, days, rows);


-- Deleting an account, by a role without rights on the tables

select pg_temp.be('authenticated', 'a');
insert into public.core_tasks (list) values (pg_temp.id_of('required')) returning id;
update public.core_tasks set parent = id;
select public.airlock_create('core_lists', null, '{"title":"keyed"}', 'key-0001', repeat('0', 64));
insert into public.core_lists (org_id, title) values (gen_random_uuid(), 'shared');
reset role;
select set_config('request.jwt.claims', '', true);
create role core_auth nologin;
grant usage on schema auth, extensions to core_auth;
grant select, delete on table auth.users to core_auth;
set local role core_auth;
select lives_ok($$ delete from auth.users where id = 'c0000000-0000-4000-8000-00000000000a' $$, 'an account can be deleted');
reset role;
select lives_ok('set constraints all immediate', 'and no reference is broken');
select is((select count(*) from public.core_tasks), 0::bigint, 'its rows go with it');
select results_eq(
  'select title, user_id is null, version from public.core_lists order by title',
  $$ values ('foreign', false, 1), ('shared', true, 1) $$,
  'rows of other users and of organisations stay'
);
select is_empty('select from airlock.idempotency_keys where key = ''key-0001''', 'its idempotency keys go with it');


-- Edge-only mode of one table

select airlock.close_table('public.core_lists');
select airlock.close_table('public.core_lists');
create function pg_temp.closed() returns text[] language sql as $$
  select array(select tablename::text from pg_policies where tablename like 'core\_%' and policyname = tablename || '_edge_only')
$$;
select is(pg_temp.closed(), array['core_lists'], 'one table is closed, also when it is closed again');
update airlock.edge_settings set mode = 'enforce', secret = repeat('k', 32);
select pg_temp.be('authenticated', 'b');
select is_empty('select from public.core_lists', 'a closed table has no rows without a proof');
select throws_ok(
  $$ select public.airlock_create('core_lists', null, '{"title":"x"}', null, null) $$, '42501', null, 'and takes none'
);
select lives_ok('select from public.core_tasks', 'an open table needs no proof');
reset role;
select airlock.open_table('public.core_lists');
select airlock.open_table('public.core_lists');
select is(pg_temp.closed(), array[]::text[], 'a table is opened again');
select pg_temp.be('authenticated', 'b');
select isnt_empty('select from public.core_lists', 'and has its rows');
reset role;


-- Rights

select is_empty(
  $$
    select relname, role
      from pg_class, unnest(array['anon', 'authenticated', 'service_role']) as role
      where relname in ('claims', 'idempotency_keys', 'edge_settings', 'earlier_grants', 'bypass_audit')
        and relnamespace = 'airlock'::regnamespace
        and (
          has_any_column_privilege(role, pg_class.oid, 'SELECT, INSERT, UPDATE, REFERENCES')
          or has_table_privilege(role, pg_class.oid, 'DELETE, TRUNCATE, TRIGGER')
        )
  $$,
  'callers have no right on claims, idempotency keys, settings and records'
);

select * from finish();
rollback;
