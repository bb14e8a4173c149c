-- For every resource: the columns that triggers set, the rows that refs may name,
-- and deleted accounts. tests/database/limits.test.ts tests the limits of fields.
begin;
create extension if not exists pgtap with schema extensions;
\ir include/own.psql
\ir include/functions.psql
select * from no_plan();

insert into auth.users (id, email) values
  ('00000000-0000-4000-8000-00000000000a', 'a@writes.test'),
  ('00000000-0000-4000-8000-00000000000b', 'b@writes.test');
select pg_temp.add_organization(org, jsonb_object_agg(id, 'owner'))
from auth.users, unnest(array['20000000-0000-4000-8000-000000000000', '20000000-0000-4000-8000-000000000001']::uuid[]) as org
where email like '_@writes.test'
group by org;

\ir include/nullable.psql

-- Where a resource has rows.
create temporary table places as
  select name, relation, owner, under_column, publish is not null as published, org, case when org is null then 'own' else 'of an organisation' end as place
  from airlock.resources,
    (values (null::uuid, array['user', 'both']), ('20000000-0000-4000-8000-000000000000', array['org', 'both'])) as whose (org, owners)
  where owner = any (owners);
grant select on places to authenticated;

-- A row with a value in one more column, or none.
create function pg_temp.add(relation regclass, org uuid, id uuid, field text default null, value text default null) returns text
language sql as $$
  select format(
    'insert into %s (id%s%s) values (%L%s%s)',
    relation,
    case when org is not null then ', org_id' end, ', ' || quote_ident(field),
    id, ', ' || quote_literal(org), case when field is not null then ', ' || quote_nullable(value) end
  )
$$;


-- Triggers, as the owner of the table, who needs no grants

select pg_temp.execute(format(
  'insert into %s (id, user_id, version, created_at, updated_at, deleted_at%s%s) values
    (%L, %L, 99, ''1999-01-01'', ''2999-01-01'', ''1999-01-01''%s%s)',
  relation, case when org is not null then ', org_id' end, case when published then ', published_at' end,
  case when org is null then '10000000-0000-4000-8000-00000000000a' else '10000000-0000-4000-8000-00000000000b' end,
  '00000000-0000-4000-8000-00000000000a', ', ' || quote_literal(org), case when published then ', ''1999-01-01''' end
)) from places;
-- The columns that triggers set.
create function pg_temp.state(place places) returns text language sql as $$
  select format(
    'select version, created_at, updated_at, deleted_at, user_id, %s, %s from %s where id = %L',
    case when place.published then 'published_at' else 'null::timestamptz' end,
    case when place.owner <> 'user' then 'org_id' else 'null::uuid' end,
    place.relation,
    case when place.org is null then '10000000-0000-4000-8000-00000000000a' else '10000000-0000-4000-8000-00000000000b' end
  )
$$;
create function pg_temp.expected(place places, version integer, deleted_at text, published_at text) returns text language sql as $$
  select format(
    'select %s, now(), now(), %s::timestamptz, %L::uuid, %s::timestamptz, %L::uuid',
    version, deleted_at, '00000000-0000-4000-8000-00000000000a', case when place.published then published_at else 'null' end, place.org
  )
$$;
create function pg_temp.change(place places, change text) returns text language plpgsql as $$
begin
  execute format(
    'update %s set %s where id = %L', place.relation, change,
    case when place.org is null then '10000000-0000-4000-8000-00000000000a' else '10000000-0000-4000-8000-00000000000b' end
  );
  return pg_temp.state(place);
end
$$;

select results_eq(
  pg_temp.state(places), pg_temp.expected(places, 1, 'null', 'null'),
  format('%s: a row %s starts at version 1, now, live and unpublished', name, place)
) from places;
select results_eq(
  pg_temp.change(places, format(
    'user_id = %L, version = 99, created_at = ''1999-01-01'', updated_at = ''1999-01-01''%s',
    '00000000-0000-4000-8000-00000000000b', case when owner <> 'user' then ', org_id = ''20000000-0000-4000-8000-000000000001''' end
  )),
  pg_temp.expected(places, 2, 'null', 'null'),
  format('%s: an update adds 1 to the version and moves nothing', name)
) from places;
select is_empty(
  format('update %s set id = gen_random_uuid() where id::text not like ''10000000-%%'' returning id', relation),
  format('%s: a row keeps its id', name)
) from airlock.resources;
select results_eq(
  pg_temp.change(places, 'deleted_at = ''1999-01-01'''), pg_temp.expected(places, 3, 'now()', 'null'),
  format('%s: deleted_at of a row %s is now, not the time that was sent', name, place)
) from places;
select results_eq(
  pg_temp.change(places, 'deleted_at = null'), pg_temp.expected(places, 4, 'null', 'null'),
  format('%s: a restored row %s is live', name, place)
) from places;
select results_eq(
  pg_temp.change(places, 'published_at = ''1999-01-01'''), pg_temp.expected(places, 5, 'null', 'now()'),
  format('%s: published_at of a row %s is now, not the time that was sent', name, place)
) from places where published;

-- A change that another transaction began earlier.
do $$
declare
  place places;
begin
  for place in select * from places loop
    execute format('alter table %s disable trigger user', place.relation);
    perform pg_temp.change(place, 'updated_at = now() + interval ''1 hour''');
    if place.published then
      perform pg_temp.change(place, 'published_at = now() - interval ''1 hour''');
    end if;
    execute format('alter table %s enable trigger user', place.relation);
    perform pg_temp.change(place, 'deleted_at = null');
    if place.published then
      perform pg_temp.change(place, 'published_at = now()');
    end if;
  end loop;
end
$$;
create function pg_temp.holds(place places, condition text) returns boolean language plpgsql as $$
declare
  result boolean;
begin
  execute format('select bool_and(%s) from %s where id::text like ''10000000-%%''', condition, place.relation) into result;
  return result;
end
$$;
select ok(
  pg_temp.holds(places, 'updated_at = now() + interval ''1 hour'''),
  format('%s: updated_at of a row %s never goes back', name, place)
) from places;
select ok(
  pg_temp.holds(places, 'published_at = now() - interval ''1 hour'''),
  format('%s: a published row %s stays published since then', name, place)
) from places where published;


-- Refs

create temporary table refs as
  select places.name, places.relation, places.org, places.place, attname as field, confrelid::regclass as target,
    targets.owner as target_owner, confdeltype = 'n' as nullable, attname is distinct from places.under_column as writable
  from places
  join pg_constraint on conrelid = places.relation and contype = 'f'
  join airlock.resources as targets on targets.relation = confrelid
  join pg_attribute on attrelid = conrelid and attnum = conkey[1];

-- Rows that a ref may name or not, in every place of its target.
create temporary table targets (of uuid, author uuid, org uuid, deleted boolean);
insert into targets values
  ('30000000-0000-4000-8000-000000000001', '00000000-0000-4000-8000-00000000000a', null, false),
  ('30000000-0000-4000-8000-000000000002', '00000000-0000-4000-8000-00000000000a', null, true),
  ('30000000-0000-4000-8000-000000000003', '00000000-0000-4000-8000-00000000000b', null, false),
  ('30000000-0000-4000-8000-000000000004', '00000000-0000-4000-8000-00000000000b', '20000000-0000-4000-8000-000000000000', false),
  ('30000000-0000-4000-8000-000000000005', '00000000-0000-4000-8000-00000000000b', '20000000-0000-4000-8000-000000000000', true),
  ('30000000-0000-4000-8000-000000000006', '00000000-0000-4000-8000-00000000000b', '20000000-0000-4000-8000-000000000001', false);
do $$
declare
  made record;
begin
  for made in
    select targets.*, resources.relation, resources.owner from targets, airlock.resources
    where relation in (select target from refs) and owner = any (case when org is null then array['user', 'both'] else array['org', 'both'] end)
  loop
    execute format(
      'insert into %s (id, user_id%s) values (%L, %L%s)', made.relation, case when made.org is not null then ', org_id' end,
      made.of, made.author, ', ' || quote_literal(made.org)
    );
    if made.deleted then
      execute format('update %s set deleted_at = now() where id = %L', made.relation, made.of);
    end if;
  end loop;
end
$$;
grant select on refs, targets to authenticated;

set local role authenticated;
set local request.jwt.claims = '{"role": "authenticated", "sub": "00000000-0000-4000-8000-00000000000a"}';

-- One error for all, so it does not show whether the row of another user exists.
select throws_ok(
  pg_temp.add(relation, refs.org, gen_random_uuid(), field, of::text), '23503', 'airlock_reference',
  format('%s.%s: a row %s cannot refer to %s', name, field, place, what)
) from refs, (values
  ('30000000-0000-4000-8000-000000000002'::uuid, 'a deleted row', true),
  ('30000000-0000-4000-8000-000000000005', 'a deleted row of the organisation', true),
  ('30000000-0000-4000-8000-000000000003', 'the row of another user', true),
  ('30000000-0000-4000-8000-00000000ffff', 'a missing row', true),
  ('30000000-0000-4000-8000-000000000001', 'an own row', false),
  ('30000000-0000-4000-8000-000000000006', 'a row of another organisation', false)
) as bad (of, what, always)
where always or org is not null;
select lives_ok(
  pg_temp.add(relation, refs.org, '40000000-0000-4000-8000-000000000001', field, of::text),
  format('%s.%s: a row %s can refer to a live row that the caller sees', name, field, place)
) from (select distinct on (relation, org) * from refs order by relation, org, field) as refs, targets
where not deleted and refs.org is null and target_owner <> 'org' and of = '30000000-0000-4000-8000-000000000001';
select lives_ok(
  pg_temp.add(relation, refs.org, gen_random_uuid(), field, '30000000-0000-4000-8000-000000000004'),
  format('%s.%s: a row %s can refer to a row of the organisation', name, field, place)
) from refs where target_owner <> 'user';
select throws_ok(
  format('update %s set %I = %L where id = %L', relation, field, '30000000-0000-4000-8000-000000000003', '40000000-0000-4000-8000-000000000001'),
  '23503', 'airlock_reference', format('%s.%s: a ref cannot be changed to the row of another user', name, field)
) from refs where org is null and target_owner <> 'org' and writable;
select lives_ok(
  format('update %s set %I = null where id = %L', relation, field, '40000000-0000-4000-8000-000000000001'),
  format('%s.%s: a ref can be changed to null', name, field)
) from refs where org is null and nullable;

reset role;
set local request.jwt.claims = '';
-- Each ref on its own row, to a row of its own.
do $$
declare
  ref refs;
begin
  for ref in select * from refs where org is null and target_owner <> 'org' loop
    execute format('insert into %s (id, user_id) values (%L, %L)', ref.target, md5(ref.name || ref.field)::uuid, '00000000-0000-4000-8000-00000000000a');
    execute format('insert into %s (id, user_id, %I) values (%L, %L, %L)',
      ref.relation, ref.field, md5(ref.field || ref.name)::uuid, '00000000-0000-4000-8000-00000000000a', md5(ref.name || ref.field)::uuid);
    execute format('update %s set deleted_at = now() where id = %L', ref.target, md5(ref.name || ref.field)::uuid);
  end loop;
end
$$;
set local role authenticated;
set local request.jwt.claims = '{"role": "authenticated", "sub": "00000000-0000-4000-8000-00000000000a"}';
select lives_ok(
  format('update %1$s set deleted_at = null, %2$I = %2$I where id = %3$L', relation, field, md5(field || name)::uuid),
  format('%s.%s: a row can be changed after its target was deleted', name, field)
) from refs where org is null and target_owner <> 'org' and writable;
reset role;
set local request.jwt.claims = '';
select throws_ok(
  format('delete from %s where id = %L', target, md5(name || field)::uuid), '23503', null,
  format('%s.%s: a required ref keeps its target', name, field)
) from refs where org is null and target_owner <> 'org' and not nullable;
select lives_ok(
  format('delete from %s where id = %L', target, md5(name || field)::uuid),
  format('%s.%s: the target of a nullable ref can be purged', name, field)
) from refs where org is null and target_owner <> 'org' and nullable;
select results_eq(
  format('select %I, version from %s where id = %L', field, relation, md5(field || name)::uuid), 'values (null::uuid, 3)',
  format('%s.%s: the ref becomes null, which is a change of the row', name, field)
) from refs where org is null and target_owner <> 'org' and nullable;


-- White space

create temporary table white_space as
  select bits::integer as code_point from unnest(array[
    x'0009', x'000A', x'000B', x'000C', x'000D', x'0020', x'0085', x'00A0', x'1680',
    x'2000', x'2001', x'2002', x'2003', x'2004', x'2005', x'2006', x'2007', x'2008', x'2009', x'200A',
    x'2028', x'2029', x'202F', x'205F', x'3000'
  ]) as bits;
select ok(
  not airlock.is_trimmed(chr(code_point) || 'x') and not airlock.is_trimmed('x' || chr(code_point))
    and airlock.is_trimmed('x' || chr(code_point) || 'x'),
  format('a text may contain white space %s, and not begin or end with it', to_hex(code_point))
) from white_space;
-- Not White_Space in Unicode: zero width space, byte order mark, Mongolian vowel separator.
select ok(airlock.is_trimmed(chr(code_point)), format('%s is not white space', to_hex(code_point)))
  from unnest(array[x'200B'::integer, x'FEFF'::integer, x'180E'::integer]) as code_point;


-- Accounts

select throws_ok(
  format('insert into %s (user_id%s) values (gen_random_uuid()%s)', relation, case when org is not null then ', org_id' end, ', ' || quote_literal(org)),
  '23503', null, format('%s: the author of a row %s exists', name, place)
) from places;
delete from auth.users where id = '00000000-0000-4000-8000-00000000000a';
select is_empty(
  format('select id from %s where id = %L', relation, '10000000-0000-4000-8000-00000000000a'),
  format('%s: own rows go with the account', name)
) from places where org is null;
select isnt_empty(
  format('select id from %s where id = %L and user_id is null', relation, '10000000-0000-4000-8000-00000000000b'),
  format('%s: rows of an organisation stay, without an author', name)
) from places where org is not null;
select is_empty(
  format('select id from %s where %s user_id is null', relation, case when owner = 'both' then 'org_id is null and' when owner = 'org' then 'false and' end),
  format('%s: no own row is without a user', name)
) from airlock.resources;

select * from finish();
rollback;
