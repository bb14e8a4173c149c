-- Every resource that can be published: the rows that anon reads, and the users who publish.
begin;
create extension if not exists pgtap with schema extensions;
\ir include/functions.psql
select * from no_plan();

insert into auth.users (id, email) values
  ('00000000-0000-4000-8000-00000000000a', 'author@published.test'),
  ('00000000-0000-4000-8000-00000000000b', 'viewer@published.test');
select pg_temp.add_organization(
  '20000000-0000-4000-8000-000000000000',
  '{"00000000-0000-4000-8000-00000000000a": "owner", "00000000-0000-4000-8000-00000000000b": "viewer"}'
);

\ir include/nullable.psql
-- The rollback brings back the rows of a development database.
select pg_temp.execute(format('truncate %s cascade', relation)) from airlock.resources;

-- In each place a draft, a row to be published, and one to be published and deleted.
create temporary table places as
  select name, relation, publish, org, case when org is null then '1' else '2' end as first_digit
  from airlock.resources,
    (values (null::uuid, array['user', 'both']), ('20000000-0000-4000-8000-000000000000', array['org', 'both'])) as whose (org, owners)
  where publish is not null and owner = any (owners);
create function pg_temp.id_of(place places, kind text) returns uuid language sql as $$
  select (place.first_digit || '0000000-0000-4000-8000-00000000000' || case kind when 'draft' then 'a' when 'published' then 'b' else 'c' end)::uuid
$$;
grant select on places to anon, authenticated;
select pg_temp.execute(format(
  'insert into %s (id, user_id%s) values (%L, %L%s)', relation, case when org is not null then ', org_id' end,
  pg_temp.id_of(places, kind), '00000000-0000-4000-8000-00000000000a', ', ' || quote_literal(org)
)) from places, unnest(array['draft', 'published', 'deleted']) as kind;
-- The published rows of a resource that should be visible.
create function pg_temp.visible(resource text) returns uuid[] language sql as $$
  select array_agg(pg_temp.id_of(places, 'published') order by first_digit) from places where name = resource
$$;


-- Publishing

set local role authenticated;
set local request.jwt.claims = '{"role": "authenticated", "sub": "00000000-0000-4000-8000-00000000000b"}';
select is_empty(
  format('update %s set published_at = now() returning id', relation),
  format('%s: neither a viewer nor a stranger publishes a row', name)
) from airlock.resources where publish is not null;

set local request.jwt.claims = '{"role": "authenticated", "sub": "00000000-0000-4000-8000-00000000000a"}';
select results_eq(
  format('update %s set published_at = ''1999-01-01'' where id = any (%L) returning published_at, version', relation,
    array[pg_temp.id_of(places, 'published'), pg_temp.id_of(places, 'deleted')]),
  'select now(), 2 from generate_series(1, 2)',
  format('%s: authors and editors publish, now', name)
) from places;
select lives_ok(
  format('update %s set deleted_at = now() where id = %L', relation, pg_temp.id_of(places, 'deleted')),
  format('%s: a published row can be deleted', name)
) from places;


-- Anon

set local role anon;
set local request.jwt.claims = '{"role": "anon"}';
select results_eq(
  format('select id from %s order by id', relation), pg_temp.visible(name),
  format('%s: anon reads published rows, and neither drafts nor deleted rows', name)
) from airlock.resources where publish is not null;
select lives_ok(
  format('select id, %s, version, updated_at, published_at from %s', (select string_agg(quote_ident(field), ', ') from unnest(publish) as field), relation),
  format('%s: anon reads the published fields', name)
) from airlock.resources where publish is not null;
select throws_ok(
  format('select %I from %s', attname, relation), '42501', null, format('%s: anon does not read %s', name, attname)
) from airlock.resources join pg_attribute on attrelid = relation and attnum > 0 and not attisdropped
where publish is not null and not attname = any (publish || array['id', 'version', 'updated_at', 'published_at']);
select throws_ok(
  format('select id from %s where user_id = %L', relation, '00000000-0000-4000-8000-00000000000a'), '42501', null,
  format('%s: anon cannot ask for the rows of an author', name)
) from airlock.resources where publish is not null;
select throws_ok(format('%s %s', statement, relation), '42501', null, format('%s: anon cannot %s', name, statement))
  from airlock.resources, unnest(array['delete from', 'truncate']) as statement where publish is not null;

select is(
  airlock_published(name, pg_temp.id_of(places, 'published')::text) ->> 'id', pg_temp.id_of(places, 'published')::text,
  format('%s: airlock_published shows a published row', name)
) from places;
select is(
  airlock_published(name, pg_temp.id_of(places, hidden)::text)::text, null, format('%s: airlock_published shows no row that is %s', name, hidden)
) from places, unnest(array['draft', 'deleted']) as hidden;
select results_eq(
  format('select json_object_keys(airlock_published(%L, %L))', name, pg_temp.id_of(places, 'published')),
  array['id'] || publish || array['version', 'published_at', 'updated_at'],
  format('%s: airlock_published shows the published fields alone', name)
) from places;
select throws_ok(
  format('select airlock_published(%L, gen_random_uuid()::text)', name), 'PT404', null,
  format('%s: airlock_published refuses a resource that cannot be published', name)
) from airlock.resources where publish is null
union all
select throws_ok('select airlock_published(''x'', gen_random_uuid()::text)', 'PT404', null, 'airlock_published refuses an unknown resource');


-- Signed in

set local role authenticated;
set local request.jwt.claims = '{"role": "authenticated", "sub": "00000000-0000-4000-8000-00000000000b"}';
select is_empty(
  format('select id from %s where user_id <> %L and id::text like ''1%%''', relation, '00000000-0000-4000-8000-00000000000b'),
  format('%s: a user''s rows do not include those that others published', name)
) from airlock.resources where publish is not null;


-- Withdrawn

set local request.jwt.claims = '{"role": "authenticated", "sub": "00000000-0000-4000-8000-00000000000a"}';
select lives_ok(
  format('update %s set published_at = null where id = %L', relation, pg_temp.id_of(places, 'published')),
  format('%s: the author withdraws a row', name)
) from places where org is null;
set local role anon;
set local request.jwt.claims = '{"role": "anon"}';
select is_empty(
  format('select id from %s where id = %L', relation, pg_temp.id_of(places, 'published')),
  format('%s: a row that was withdrawn is a draft again', name)
) from places where org is null;

reset role;
set local request.jwt.claims = '';
do $$
begin
  if to_regclass('airlock.organizations') is not null then
    update airlock.organizations set deleted_at = now() where id = '20000000-0000-4000-8000-000000000000';
  end if;
end
$$;
set local role anon;
set local request.jwt.claims = '{"role": "anon"}';
select is_empty(
  format('select id from %s', relation), format('%s: published rows of a deleted organisation are hidden', name)
) from airlock.resources where publish is not null;
select is(
  airlock_published(name, pg_temp.id_of(places, 'published')::text)::text, null,
  format('%s: airlock_published shows neither withdrawn rows nor those of a deleted organisation', name)
) from places;


-- The policy only, with every grant

reset role;
set local request.jwt.claims = '';
select pg_temp.execute(format('grant all on %s to anon', relation)) from places;
select pg_temp.execute(format('update %s set published_at = now() where id = %L', relation, pg_temp.id_of(places, 'published')))
  from places;
set local role anon;
set local request.jwt.claims = '{"role": "anon"}';
select results_eq(
  format('select id from %s', relation), array[pg_temp.id_of(places, 'published')],
  format('%s: the policy for anon shows published rows alone', name)
) from places where org is null;
select is_empty(
  format('update %s set published_at = null returning id', relation),
  format('%s: without a policy for it, anon changes nothing', name)
) from airlock.resources where publish is not null;

reset role;
select * from finish();
rollback;
