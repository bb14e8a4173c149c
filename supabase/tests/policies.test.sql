-- Every resource: its owner, another user, members of its organisation and anon. First with the real grants and
-- triggers, then with the policies only.
begin;
create extension if not exists pgtap with schema extensions;
\ir include/own.psql
\ir include/functions.psql
select * from no_plan();

create temporary table people as
  select name, id, format('{"role": "authenticated", "sub": "%s"}', id) as claims
  from (values
    ('author', '00000000-0000-4000-8000-00000000000a'::uuid),
    ('other', '00000000-0000-4000-8000-00000000000b'),
    ('viewer', '00000000-0000-4000-8000-00000000000c'),
    ('editor', '00000000-0000-4000-8000-00000000000d')
  ) as people (name, id);
insert into auth.users (id, email) select id, name || '@policies.test' from people;
select pg_temp.add_organization(
  '20000000-0000-4000-8000-000000000000', jsonb_object_agg(id, case name when 'author' then 'owner' else name end)
) from people where name <> 'other';

-- Policies do not depend on values.
\ir include/nullable.psql

-- Where a resource has rows, with a row of the author in each place.
create temporary table places as
  select name, relation, org, case when org is null then 'own' else 'of an organisation' end as place,
    case when org is null then 'id' else 'id, org_id' end as columns,
    coalesce(', ' || quote_literal(org), '') as org_value,
    case when org is null then '10000000-0000-4000-8000-00000000000a'::uuid else '10000000-0000-4000-8000-00000000000b' end as row_id
  from airlock.resources,
    (values (null::uuid, array['user', 'both']), ('20000000-0000-4000-8000-000000000000', array['org', 'both'])) as whose (org, owners)
  where owner = any (owners);
grant select on people, places to anon, authenticated;

create function pg_temp.add(place places, id uuid) returns text language sql as $$
  select format('insert into %s (%s) values (%L%s)', place.relation, place.columns, id, place.org_value)
$$;
select pg_temp.execute(format(
  'insert into %s (user_id, %s) values (%L, %L%s)',
  relation, columns, '00000000-0000-4000-8000-00000000000a', row_id, org_value
)) from places;

select set_eq(
  'select relation::oid from airlock.resources',
  $$
    select oid from pg_class where relnamespace = 'public'::regnamespace and relkind in ('r', 'p')
      and relname in (select name from airlock.resources)
  $$,
  'every resource is a table'
);
select is_empty(
  $$ select name from airlock.resources join pg_class on oid = relation where not relrowsecurity or not relforcerowsecurity $$,
  'every resource has row level security, for the owner of its table too'
);


-- Another user

set local role authenticated;
select set_config('request.jwt.claims', claims, true) from people where name = 'other';

select is_empty(format('select id from %s where id = %L', relation, row_id), format('%s: another user sees no row %s', name, place))
  from places;
select is_empty(
  format('update %s set deleted_at = now() where id = %L returning id', relation, row_id),
  format('%s: another user cannot delete a row %s', name, place)
) from places;
select is_empty(
  format('update %1$s set %2$I = %2$I where id = %3$L returning id', relation, field, row_id),
  format('%s: another user cannot change a row %s', name, place)
) from places join lateral (select fields[1] as field from airlock.resources where resources.name = places.name) as first on true;
select throws_ok(
  pg_temp.add(places, row_id) || ' on conflict (id) do update set deleted_at = null',
  '42501', null, format('%s: an upsert of another user cannot reach a row %s', name, place)
) from places;
select throws_ok(
  pg_temp.add(places, row_id),
  case when org is null then '23505' else '42501' end, null, format('%s: another user cannot take the id of a row %s', name, place)
) from places;
select throws_ok(
  pg_temp.add(places, gen_random_uuid()), '42501', null, format('%s: another user cannot add a row %s', name, place)
) from places where org is not null;

select lives_ok(pg_temp.add(places, '10000000-0000-4000-8000-00000000000c'), format('%s: a user can add a row', name))
  from places where org is null;
select results_eq(
  format('select id, user_id from %s', relation),
  $$ values ('10000000-0000-4000-8000-00000000000c'::uuid, '00000000-0000-4000-8000-00000000000b'::uuid) $$,
  format('%s: a user sees their own rows alone', name)
) from places where org is null;
select results_eq(
  format('update %s set deleted_at = now() returning id', relation), array['10000000-0000-4000-8000-00000000000c'::uuid],
  format('%s: a user deletes their own rows alone, without a filter', name)
) from places where org is null;
select isnt_empty(
  format('update %s set deleted_at = null returning id', relation), format('%s: a user can restore a row', name)
) from places where org is null;

select throws_ok(
  format('insert into %s (user_id) values (%L)', relation, '00000000-0000-4000-8000-00000000000a'), '42501', null,
  format('%s: a user cannot name the author of a new row', name)
) from airlock.resources;
select throws_ok(
  format('update %s set %s = default', relation, chosen), '42501', null, format('%s: a user cannot choose %s', name, chosen)
) from airlock.resources, unnest(array['id', 'user_id', 'version', 'created_at', 'updated_at']) as chosen;
select throws_ok(
  format('update %s set org_id = null', relation), '42501', null, format('%s: a user cannot move a row', name)
) from airlock.resources where owner <> 'user';
select throws_ok(format('delete from %s', relation), '42501', null, format('%s: a user cannot delete in SQL', name))
  from airlock.resources;
select throws_ok(format('truncate %s cascade', relation), '42501', null, format('%s: a user cannot truncate', name))
  from airlock.resources;


-- Members of the organisation

select set_config('request.jwt.claims', claims, true) from people where name = 'viewer';

select results_eq(
  format('select id from %s', relation), array[row_id], format('%s: a viewer sees the rows of the organisation alone', name)
) from places where org is not null;
select is_empty(
  format('update %s set deleted_at = now() returning id', relation), format('%s: a viewer cannot delete a row', name)
) from places where org is not null;
select throws_ok(
  pg_temp.add(places, gen_random_uuid()), '42501', null, format('%s: a viewer cannot add a row', name)
) from places where org is not null;

select set_config('request.jwt.claims', claims, true) from people where name = 'editor';

select results_eq(
  format('update %s set deleted_at = null returning id, user_id', relation),
  format('select %L::uuid, %L::uuid', row_id, '00000000-0000-4000-8000-00000000000a'),
  format('%s: an editor changes the rows of the organisation, which keep their author', name)
) from places where org is not null;
select lives_ok(pg_temp.add(places, gen_random_uuid()), format('%s: an editor can add a row', name))
  from places where org is not null;

-- The author, who is an owner, leaves.
reset role;
select set_config('request.jwt.claims', '', true);
do $$
begin
  if to_regclass('airlock.organizations') is not null then
    update airlock.members set role = 'owner' where user_id = '00000000-0000-4000-8000-00000000000d';
    delete from airlock.members where user_id = '00000000-0000-4000-8000-00000000000a';
  end if;
end
$$;
set local role authenticated;
select set_config('request.jwt.claims', claims, true) from people where name = 'author';

select is_empty(
  format('select id from %s where org_id is not null', relation),
  format('%s: an author who has left sees no row of the organisation', name)
) from places where org is not null;
select is_empty(
  format('update %s set deleted_at = now() where org_id is not null returning id', relation),
  format('%s: an author who has left cannot delete a row', name)
) from places where org is not null;


-- A token without a user, and anon

set local request.jwt.claims = '{"role": "authenticated"}';
select is_empty(format('select id from %s', relation), format('%s: a token without a subject sees nothing', name))
  from airlock.resources;
select throws_ok(
  pg_temp.add(places, gen_random_uuid()), '42501', null, format('%s: a token without a subject adds no row %s', name, place)
) from places;

set local role anon;
set local request.jwt.claims = '{"role": "anon"}';
select is_empty(format('select id from %s', relation), format('%s: anon sees no row that is not published', name))
  from airlock.resources where publish is not null;
select throws_ok(format('select id from %s', relation), '42501', null, format('%s: anon cannot read', name))
  from airlock.resources where publish is null;
select throws_ok(pg_temp.add(places, gen_random_uuid()), '42501', null, format('%s: anon cannot add a row %s', name, place))
  from places;
select throws_ok(format('update %s set deleted_at = now()', relation), '42501', null, format('%s: anon cannot change', name))
  from airlock.resources;

reset role;
select set_config('request.jwt.claims', '', true);
select results_eq(
  format('select version, deleted_at from %s where id = %L', relation, row_id),
  format('values (%s, null::timestamptz)', case when org is null then 1 else 2 end),
  format('%s: the row %s is as its author or an editor left it', name, place)
) from places;


-- The policies only

do $$
declare
  target regclass;
begin
  for target in select relation from airlock.resources loop
    execute format('grant all on %s to anon, authenticated', target);
    execute format('alter table %s disable trigger user', target);
  end loop;
end
$$;
set local role authenticated;
select set_config('request.jwt.claims', claims, true) from people where name = 'other';

select throws_ok(
  format('insert into %s (user_id, %s) values (%L, gen_random_uuid()%s)', relation, columns, '00000000-0000-4000-8000-00000000000a', org_value),
  '42501', format('new row violates row-level security policy for table "%s"', name),
  format('%s: the policy for INSERT refuses another author of a row %s', name, place)
) from places;
select throws_ok(
  format('insert into %s (user_id, %s) values (%L, gen_random_uuid()%s)', relation, columns, '00000000-0000-4000-8000-00000000000b', org_value),
  '42501', format('new row violates row-level security policy for table "%s"', name),
  format('%s: the policy for INSERT refuses an organisation of others', name)
) from places where org is not null;
select throws_ok(
  format('update %s set user_id = %L', relation, '00000000-0000-4000-8000-00000000000a'),
  '42501', format('new row violates row-level security policy for table "%s"', name),
  format('%s: the policy for UPDATE refuses another author', name)
) from places where org is null;
select throws_ok(
  format('update %s set org_id = %L', relation, '20000000-0000-4000-8000-000000000000'),
  '42501', format('new row violates row-level security policy for table "%s"', name),
  format('%s: the policy for UPDATE refuses an organisation of others', name)
) from airlock.resources where owner = 'both';
select is_empty(
  format('delete from %s returning id', relation), format('%s: without a policy for it, DELETE finds no row', name)
) from airlock.resources;

set local role anon;
set local request.jwt.claims = '{"role": "anon"}';
select is_empty(
  format('select id from %s', relation), format('%s: anon sees no row that is not published', name)
) from airlock.resources;
select is_empty(
  format('update %s set deleted_at = now() returning id', relation), format('%s: without a policy for it, anon changes nothing', name)
) from airlock.resources;

reset role;
select * from finish();
rollback;
