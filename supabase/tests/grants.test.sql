-- Run by `npm test` and by `supabase test db`. Every right of every role that PostgREST can become. Rights on resources follow
-- from the registry; all others are listed here.
begin;
create extension if not exists pgtap with schema extensions;
select * from no_plan();

create temporary table callers as select unnest(array['anon', 'authenticated', 'service_role']) as role;
-- Whether organisations are installed.
create temporary table installed as select to_regclass('airlock.organizations') is not null as orgs;


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
      select 'authenticated', 'INSERT', relation, fields || array['id'] || case when owner <> 'user' then array['org_id'] end
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
  'nobody has a right on a whole table of the exposed schema'
);
select set_eq(
  $$
    select format('%s: %s on %s', grantee, privilege_type, table_name) from information_schema.table_privileges
    where table_schema = 'airlock' and grantee in ('PUBLIC', 'anon', 'authenticated', 'service_role')
  $$,
  $$
    values ('anon: SELECT on resources'), ('authenticated: SELECT on resources'), ('service_role: SELECT on resources')
    union all
    select line from installed, unnest(array[
      'authenticated: DELETE on invitations',
      'authenticated: DELETE on members',
      'authenticated: SELECT on invitation_rows',
      'authenticated: SELECT on member_rows',
      'authenticated: SELECT on memberships',
      'authenticated: SELECT on org_rows'
    ]) as line where orgs
  $$,
  'in the schema airlock these are the rights on whole tables'
);
select set_eq(
  $$
    select format('%s: %s (%s) on %s', grantee, privilege_type, string_agg(column_name, ', ' order by column_name), table_name)
    from information_schema.column_privileges as columns
    where table_schema = 'airlock' and grantee in ('PUBLIC', 'anon', 'authenticated', 'service_role')
      and not exists (
        select from information_schema.table_privileges as tables
        where tables.table_schema = 'airlock' and tables.table_name = columns.table_name
          and tables.grantee = columns.grantee and tables.privilege_type = columns.privilege_type
      )
    group by grantee, table_name, privilege_type
  $$,
  $$
    select line from installed, unnest(array[
      'authenticated: INSERT (id, org_id, role, token_digest) on invitations',
      'authenticated: SELECT (accepted_at, accepted_by, created_at, created_by, expires_at, id, org_id, role) on invitations',
      'authenticated: SELECT (created_at, deleted_at, id, name, updated_at, version) on organizations',
      'authenticated: SELECT (created_at, live, org_id, role, updated_at, user_id, version) on members',
      'authenticated: UPDATE (deleted_at, name) on organizations',
      'authenticated: UPDATE (role) on members',
      'authenticated: UPDATE (token_digest) on invitations'
    ]) as line where orgs
  $$,
  'in the schema airlock these are the rights on columns'
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
      -- The policies' own view of who is a member.
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
select set_eq(
  $$
    select format('%s: %s to %s', tablename, policyname, array_to_string(roles, ', '))
    from pg_policies where schemaname = 'public' and permissive = 'RESTRICTIVE' and cmd = 'ALL'
  $$,
  $$ select format('%s: %s_edge_only to anon, authenticated', name, name) from airlock.resources $$,
  'edge-only mode applies to every resource'
);


-- Functions

select set_eq(
  $$
    select format('%s: %s (definer: %s)', role, proname, prosecdef) from pg_proc, callers
    where pronamespace = 'public'::regnamespace and has_function_privilege(role, oid, 'execute')
  $$,
  $$
    select format('%s (definer: f)', line) from unnest(array[
      'anon: airlock_published',
      'authenticated: airlock_change',
      'authenticated: airlock_create',
      'authenticated: airlock_list',
      'authenticated: airlock_put',
      'authenticated: airlock_read',
      'service_role: airlock_run_job'
    ]) as line
    union all
    select format('authenticated: %s (definer: f)', name) from installed, unnest(array[
      'airlock_invitation_revoke',
      'airlock_invitations',
      'airlock_invite',
      'airlock_join',
      'airlock_member',
      'airlock_member_change',
      'airlock_members',
      'airlock_org',
      'airlock_org_change',
      'airlock_org_create',
      'airlock_orgs'
    ]) as name where orgs
  $$,
  'PostgREST can call these functions, with the rights of the caller'
);
-- Row Level Security does not hold for them, so each checks its caller.
select set_eq(
  $$
    select format('%s: %s', role, proname) from pg_proc, callers
    where pronamespace = 'airlock'::regnamespace and prosecdef and has_function_privilege(role, oid, 'execute')
  $$,
  $$
    select line from unnest(array[
      'anon: check_edge',
      'anon: edge_proof_ok',
      'anon: is_published',
      'authenticated: check_edge',
      'authenticated: claim',
      'authenticated: edge_proof_ok',
      'authenticated: refuse_copy',
      'authenticated: use_key',
      'service_role: check_edge',
      'service_role: run_job'
    ]) as line
    union all
    select line from installed, unnest(array[
      'anon: org_is_live',
      'authenticated: accept_invitation',
      'authenticated: lock_organization',
      'authenticated: make_organization',
      'authenticated: org_is_live',
      'authenticated: require_member',
      'authenticated: require_role'
    ]) as line where orgs
  $$,
  'callers reach these functions with rights of their own'
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
  $$ select role from callers where has_schema_privilege(role, 'airlock', 'create') $$,
  'nobody adds anything to the schema airlock'
);

select * from finish();
rollback;
