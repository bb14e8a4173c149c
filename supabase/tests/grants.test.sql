-- The rules that the rights of callers follow. supabase/access.txt lists the rights.
begin;
create extension if not exists pgtap with schema extensions;
\ir include/own.psql
select * from no_plan();

create temporary table callers as select unnest(array['anon', 'authenticated', 'service_role']) as role;


-- Tables

select set_eq(
  $$
    select format('%s: %s (%s) on %s', grantee, privilege_type, string_agg(column_name, ', ' order by column_name), table_name)
    from information_schema.column_privileges
    where table_schema = 'public' and grantee in ('PUBLIC', 'anon', 'authenticated', 'service_role')
    group by grantee, table_name, privilege_type
  $$,
  $$
    select format('%s: %s (%s) on %s', role, verb, string_agg(distinct name, ', ' order by name), relation)
    from (
      select 'authenticated' as role, 'SELECT' as verb, relation, array(
        select attname::text from pg_attribute where attrelid = relation and attnum > 0 and not attisdropped
      ) as columns from airlock.resources
      union all
      select 'authenticated', 'INSERT', relation, fields || array['id', under_column] || case when owner <> 'user' then array['org_id'] end
        from airlock.resources
      union all
      select 'authenticated', 'UPDATE', relation, fields || array['deleted_at'] || case when publish is not null then array['published_at'] end
        from airlock.resources
      union all
      select 'anon', 'SELECT', relation, publish || array['id', 'version', 'updated_at', 'published_at']
        from airlock.resources where publish is not null
    ) as expected, unnest(columns) as name
    group by role, verb, relation
  $$,
  'on resources a user writes declared fields, and anon reads published ones'
);
select is_empty(
  $$
    select grantee, privilege_type, table_name from information_schema.table_privileges
    where table_schema = 'public' and grantee in ('PUBLIC', 'anon', 'authenticated', 'service_role')
  $$,
  'no API role has a right on a whole exposed table'
);
select is_empty(
  $$
    select relname from pg_class
    where relnamespace in ('public'::regnamespace, 'airlock'::regnamespace) and relkind in ('r', 'p') and not relrowsecurity
  $$,
  'every table has row level security'
);
select is_empty(
  $$
    select relname from pg_class
    where relnamespace in ('public'::regnamespace, 'airlock'::regnamespace) and relkind in ('v', 'm')
      and not 'security_invoker=true' = any (coalesce(reloptions, '{}'))
      -- The view of memberships for policies.
      and oid <> coalesce(to_regclass('airlock.memberships'), 0)
  $$,
  'every view is read with the rights of its reader'
);


-- Policies

select set_eq(
  $$
    select format('%s on %s: %s to %s', cmd, tablename, policyname, array_to_string(roles, ', '))
    from pg_policies where schemaname = 'public' and permissive = 'PERMISSIVE'
  $$,
  $$
    select format('%s on %s: %s_%s to authenticated', verb, name, name, lower(verb))
      from airlock.resources, unnest(array['SELECT', 'INSERT', 'UPDATE']) as verb
    union all
    select format('SELECT on %s: %s_select_published to anon', name, name) from airlock.resources where publish is not null
  $$,
  'a resource has one policy a verb, and one for anon if it can be published'
);


-- Functions

select is_empty(
  $$ select proname from pg_proc, callers where pronamespace = 'public'::regnamespace and prosecdef and has_function_privilege(role, oid, 'execute') $$,
  'functions of the exposed schema have the rights of their caller'
);
select is_empty(
  $$
    select oid::regprocedure from pg_proc, aclexplode(coalesce(proacl, acldefault('f', proowner))) as acl
    where pronamespace in ('public'::regnamespace, 'airlock'::regnamespace) and proname like any (array['airlock%', case when pronamespace = 'airlock'::regnamespace then '%' end])
      and acl.grantee = 0
  $$,
  'no function is for everybody'
);
select is_empty(
  $$
    select oid::regprocedure from pg_proc
    where pronamespace in ('public'::regnamespace, 'airlock'::regnamespace)
      and not 'search_path=""' = any (coalesce(proconfig, '{}'))
      -- Or a body that was resolved when it was made, and the rights of its caller.
      and not (prosqlbody is not null and not prosecdef)
  $$,
  'every function has an empty search_path, or nothing left to look up'
);
select is_empty(
  $$
    select distinct refobjid::regprocedure from pg_depend join pg_proc on pg_proc.oid = refobjid
    where classid = 'pg_policy'::regclass and refclassid = 'pg_proc'::regclass
      and (provolatile = 'v' or pronamespace = 'public'::regnamespace)
  $$,
  'policies call no volatile function, and none of the exposed schema'
);
select is_empty(
  $$ select role from callers where has_schema_privilege(role, 'airlock', 'create') $$,
  'no API role can create in the schema airlock'
);

select * from finish();
rollback;
