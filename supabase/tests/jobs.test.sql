-- Scheduled jobs: the rows that they delete and keep, the role that may run them, and their record.
begin;
create extension if not exists pgtap with schema extensions;
\ir include/own.psql
select * from no_plan();
-- A table with a deferred foreign key could not be altered after a write.
set constraints all immediate;

insert into auth.users (id, email) values ('00000000-0000-4000-8000-00000000000a', 'a@jobs.test');
create function pg_temp.ago(text) returns timestamptz language sql as 'select now() - $1::interval';

\ir include/nullable.psql
-- No trigger sets times. The rollback brings back the rows of a development database.
do $$
declare
  served airlock.resources;
begin
  for served in select * from airlock.resources loop
    execute format('truncate %s cascade', served.relation);
    execute format('alter table %s disable trigger user', served.relation);
    if served.owner <> 'user' then
      execute format('alter table %s alter column org_id drop not null', served.relation);
    end if;
  end loop;
end
$$;

-- Of each resource: live, deleted yesterday, kept for a second more, due, due for long.
create temporary table times (id uuid, deleted_at timestamptz);
insert into times values
  ('10000000-0000-4000-8000-000000000000', null),
  ('10000000-0000-4000-8000-000000000001', pg_temp.ago('1 day')),
  ('10000000-0000-4000-8000-000000000029', pg_temp.ago('30 days') + interval '1 second'),
  ('10000000-0000-4000-8000-000000000030', pg_temp.ago('30 days')),
  ('10000000-0000-4000-8000-000000000060', pg_temp.ago('60 days'));
do $$
declare
  target regclass;
begin
  for target in select relation from airlock.resources loop
    execute format(
      'insert into %s (id, user_id, created_at, updated_at, deleted_at)
        select id, %L, pg_temp.ago(''900 days''), now(), deleted_at from times',
      target, '00000000-0000-4000-8000-00000000000a'
    );
  end loop;
end
$$;
insert into airlock.idempotency_keys (user_id, key, digest, place, target, created_at)
  select '00000000-0000-4000-8000-00000000000a', key, repeat('0', 64), 'x', gen_random_uuid(), created_at
  from (values ('key-kept', pg_temp.ago('24 hours') + interval '1 second'), ('key-due-', pg_temp.ago('24 hours'))) as made (key, created_at);

-- Organisations: live, kept for a second more, and due, with two rows of each resource.
create temporary table orgs (id uuid, name text, deleted_at timestamptz);
insert into orgs values
  ('20000000-0000-4000-8000-000000000000', 'live', null),
  ('20000000-0000-4000-8000-000000000029', 'kept', pg_temp.ago('30 days') + interval '1 second'),
  ('20000000-0000-4000-8000-000000000030', 'due', pg_temp.ago('30 days'));
create temporary table resources as select name, relation from airlock.resources;
grant select on resources to service_role;
create temporary table org_resources as select name, relation from airlock.resources where owner <> 'user';
do $$
declare
  target regclass;
begin
  if to_regclass('airlock.organizations') is null then
    return;
  end if;
  alter table airlock.organizations disable trigger user;
  insert into airlock.organizations (id, name, created_at, updated_at, deleted_at)
    select id, name, pg_temp.ago('90 days'), now(), deleted_at from orgs;
  alter table airlock.organizations enable trigger user;
  insert into airlock.members (org_id, user_id, role) select id, '00000000-0000-4000-8000-00000000000a', 'owner' from orgs;
  insert into airlock.invitations (org_id, role, token_digest, created_by, expires_at, accepted_at)
    select '20000000-0000-4000-8000-000000000000', role, encode(sha256(role::bytea), 'hex'), '00000000-0000-4000-8000-00000000000a', expires_at, accepted_at
    from (values
      ('viewer', now() + interval '1 second', null),
      ('editor', now(), null),
      ('owner', now(), now())
    ) as made (role, expires_at, accepted_at);
  for target in select relation from org_resources loop
    execute format(
      'insert into %s (user_id, org_id) select %L, id from orgs, generate_series(1, 2)', target, '00000000-0000-4000-8000-00000000000a'
    );
  end loop;
end
$$;

-- How many rows each resource has, in and out of organisations.
create function pg_temp.rows_of(relation regclass, condition text) returns integer language plpgsql as $$
declare
  result integer;
begin
  execute format('select count(*)::integer from %s where %s', relation, condition) into result;
  return result;
end
$$;


-- Rights

create function pg_temp.run(label text, days integer default 30, most integer default 1000) returns integer
language sql as $$ select public.airlock_run_job(label, '30000000-0000-4000-8000-000000000000', days, most) $$;

set local role anon;
select throws_ok($$ select pg_temp.run('job:purge-deleted-rows') $$, '42501', null, 'anon runs no job');
set local role authenticated;
set local request.jwt.claims = '{"role": "authenticated", "sub": "00000000-0000-4000-8000-00000000000a"}';
select throws_ok($$ select pg_temp.run('job:purge-deleted-rows') $$, '42501', null, 'a user runs no job');
set local role service_role;
set local request.jwt.claims = '{"role": "service_role"}';
select throws_ok($$ select from airlock.bypass_audit $$, '42501', null, 'service_role does not read the record');
select throws_ok(format('%s %s', statement, relation), '42501', null, format('%s: service_role cannot %s', name, statement))
  from resources, unnest(array['select from', 'delete from']) as statement;


-- Refused runs

select throws_ok(format('select pg_temp.run(%L)', label), '22023', null, format('%L is not a job', label))
  from unnest(array['job:purge-everything', 'purge-deleted-rows', '', null]) as label;
select throws_ok(
  $$ select public.airlock_run_job('job:purge-deleted-rows', null, 30, 1000) $$, '23502', null, 'a run has an id'
);
select throws_ok(
  format('select pg_temp.run(''job:purge-deleted-rows'', %s)', coalesce(days::text, 'null')), '22023', null,
  format('a job does not take %L days', days)
) from unnest(array[0, -1, null, 3651]) as days;
select throws_ok(
  format('select pg_temp.run(''job:purge-deleted-rows'', 30, %s)', coalesce(most::text, 'null')), '22023', null,
  format('a job does not take a batch of %L rows', most)
) from unnest(array[1001, 0, null]) as most;
reset role;
select is_empty('select from airlock.bypass_audit', 'a refused job leaves no record');
select is(pg_temp.rows_of(relation, 'org_id is null'), 5, format('%s: a refused job deletes nothing', name)) from org_resources;


-- Deleted rows

set local role service_role;
create temporary table batches as select pg_temp.run('job:purge-deleted-rows', 30, 1) as first;
create temporary table rest as select pg_temp.run('job:purge-deleted-rows') as rows;
reset role;
select is((select first from batches), least(1, count(*)::integer), 'a batch has at most as many rows as it was given')
  from airlock.resources;
select is((select rows + first from rest, batches), 2 * count(*)::integer, 'rows go 30 days after they were deleted')
  from airlock.resources;
set local role service_role;
select is(pg_temp.run('job:purge-deleted-rows'), 0, 'a second run deletes nothing more');
select is(pg_temp.run('job:purge-expired-idempotency-keys'), 1, 'an idempotency key goes after 24 hours');
reset role;
select results_eq(
  format('select id from %s where id in (select id from times) order by id', relation),
  array['10000000-0000-4000-8000-000000000000', '10000000-0000-4000-8000-000000000001', '10000000-0000-4000-8000-000000000029']::uuid[],
  format('%s: rows that are live, or were deleted a second too late, stay', name)
) from airlock.resources;
select results_eq('select key from airlock.idempotency_keys', array['key-kept'], 'a key that has not expired stays');

create temporary table org_jobs as select to_regclass('airlock.organizations') is not null as installed;
grant select on org_jobs to service_role;
set local role service_role;
create temporary table org_batches as select
  pg_temp.run('job:purge-deleted-organizations', 30, 1) as first, pg_temp.run('job:purge-deleted-organizations') as rest,
  pg_temp.run('job:purge-expired-invitations') as invitations;
reset role;
select is(first + rest, 1 + 2 * (select count(*)::integer from org_resources), 'a deleted organisation goes with its rows')
  from org_batches, org_jobs where installed;
select is(first, 1, 'a batch of that job is bounded too') from org_batches, org_jobs where installed;
select is(invitations, 2, 'an invitation goes when it has expired, accepted or not') from org_batches, org_jobs where installed;
select results_eq('select name from airlock.organizations order by name', array['kept', 'live'], 'an organisation that is not due stays')
  from org_jobs where installed;
select results_eq('select role from airlock.invitations', array['viewer'], 'an invitation that can be used stays')
  from org_jobs where installed;
select is(pg_temp.rows_of(relation, 'org_id is not null'), 4, format('%s: rows of an organisation that is not due stay', name)) from org_resources, org_jobs where installed;
select is(array[first, rest, invitations], array[0, 0, 0], 'without organisations their jobs have nothing to do')
  from org_batches, org_jobs where not installed;

select results_eq(
  'select label, after_days, sum(rows)::integer from airlock.bypass_audit group by 1, 2 order by 1',
  format(
    $$ values
      ('job:purge-deleted-organizations', 30, %s),
      ('job:purge-deleted-rows', 30, %s),
      ('job:purge-expired-idempotency-keys', 30, 1),
      ('job:purge-expired-invitations', 30, %s) $$,
    (select first + rest from org_batches), 2 * (select count(*) from airlock.resources), (select invitations from org_batches)
  ),
  'each use is on record, with the number of rows that it has deleted'
);
select is((select count(*)::integer from airlock.bypass_audit), 7, 'uses that deleted nothing are on record too');


-- Refs

set local request.jwt.claims = '';
create temporary table refs as
  select resources.name, relation, attname as field, confrelid::regclass as target, confdeltype = 'n' as nullable
  from airlock.resources
  join pg_constraint on conrelid = relation and contype = 'f' and confrelid in (select relation from airlock.resources)
  join pg_attribute on attrelid = conrelid and attnum = conkey[1];
do $$
declare
  ref refs;
begin
  for ref in select * from refs loop
    execute format('insert into %s (id, user_id, created_at, updated_at, deleted_at) values (%L, %L, pg_temp.ago(''99 days''), now(), pg_temp.ago(''99 days''))',
      ref.target, md5(ref.name || ref.field)::uuid, '00000000-0000-4000-8000-00000000000a');
    execute format('insert into %s (id, user_id, %I) values (%L, %L, %L)',
      ref.relation, ref.field, md5(ref.field || ref.name)::uuid, '00000000-0000-4000-8000-00000000000a', md5(ref.name || ref.field)::uuid);
  end loop;
  for ref in select * from refs loop
    execute format('alter table %s enable trigger user', ref.relation);
  end loop;
end
$$;
grant select on refs to service_role;
set local role service_role;
select is(pg_temp.run('job:purge-deleted-rows'), (select count(*)::integer from refs where nullable), 'a required ref keeps its target');
reset role;
select results_eq(
  format('select %I, version from %s where id = %L', field, relation, md5(field || name)::uuid),
  format('values (%L::uuid, %s)', case when not nullable then md5(name || field)::uuid end, case when nullable then 2 else 1 end),
  format('%s.%s: %s', name, field, case when nullable then 'a ref to a purged row becomes null' else 'a required ref is as it was' end)
) from refs;

select * from finish();
rollback;
