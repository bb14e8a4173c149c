-- The planner's numbers, which any caller can read from EXPLAIN and from
-- `Prefer: count=planned`, tell nothing about values.
begin;
create extension if not exists pgtap with schema extensions;
\ir include/own.psql
select * from no_plan();

-- Of the columns that are not declared: ids, versions and times, and organisations' roles, which are three words.
select is_empty(
  $$
    select attrelid::regclass, attname
    from airlock.resources
    join pg_attribute on attrelid = relation and attname = any (fields || array['airlock_search'])
    where attstattarget is distinct from 0
  $$,
  'the planner keeps no statistics of a declared field'
);
select is_empty(
  $$
    select attrelid::regclass, attname
    from pg_attribute join pg_class on pg_class.oid = attrelid
    where relkind in ('r', 'p') and relnamespace in ('public'::regnamespace, 'airlock'::regnamespace)
      and attnum > 0 and not attisdropped and atttypid in ('text'::regtype, 'tsvector'::regtype, 'json'::regtype, 'text[]'::regtype)
      and attname <> 'role'
      and (has_column_privilege('anon', attrelid, attnum, 'SELECT') or has_column_privilege('authenticated', attrelid, attnum, 'SELECT'))
      -- The registries are the same for everybody.
      and attrelid <> all (array['airlock.resources'::regclass, 'airlock.functions'])
      and attstattarget is distinct from 0
  $$,
  'the planner keeps no statistics of a text that callers may ask for'
);

insert into auth.users (id, email) values ('00000000-0000-4000-8000-00000000000a', 'a@statistics.test');
\ir include/nullable.psql
do $$
declare
  target record;
begin
  for target in select relation from airlock.resources where owner <> 'org' loop
    execute format('insert into %s (user_id) select %L from generate_series(1, 200)', target.relation, '00000000-0000-4000-8000-00000000000a');
    execute format('analyze %s', target.relation);
  end loop;
end
$$;
select is_empty(
  format(
    $$ select attname from pg_stats where format('%%I.%%I', schemaname, tablename)::regclass = %L::regclass and attname = any (%L) $$,
    relation, fields || array['airlock_search']
  ),
  format('%s: ANALYZE keeps no statistics of declared fields', name)
) from airlock.resources where owner <> 'org';

select * from finish();
rollback;
