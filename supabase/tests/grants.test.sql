-- Run by `npm test` and by `supabase test db`.
begin;
create extension if not exists pgtap with schema extensions;
select plan(14);

-- Every privilege of every role that PostgREST can become, on every exposed table: a table that a
-- later migration adds shows up here.
select results_eq(
  $$
    select format(
      '%s: %s (%s) on %s', grantee, privilege_type,
      string_agg(column_name, ', ' order by column_name), table_name
    ) collate "default" as line
    from information_schema.column_privileges
    where table_schema = 'public' and grantee in ('PUBLIC', 'anon', 'authenticated', 'service_role')
    group by grantee, table_name, privilege_type order by line
  $$,
  array[
    'anon: SELECT (body, id, published_at, title, updated_at, version) on notes',
    'authenticated: INSERT (body, id, org_id, title) on notes',
    'authenticated: INSERT (digest, key, note_id) on idempotency_keys',
    'authenticated: INSERT (id, org_id, role, token_digest) on organization_invitations',
    'authenticated: SELECT (accepted_at, accepted_by, created_at, created_by, expires_at, id, org_id, role) on organization_invitations',
    'authenticated: SELECT (body, created_at, deleted_at, id, org_id, published_at, search, title, updated_at, user_id, version) on notes',
    'authenticated: SELECT (created_at, deleted_at, id, name, updated_at, version) on organizations',
    'authenticated: SELECT (created_at, digest, key, note_id, user_id) on idempotency_keys',
    'authenticated: SELECT (created_at, id, name, role, updated_at, version) on my_organizations',
    'authenticated: SELECT (created_at, live, org_id, role, updated_at, user_id, version) on organization_members',
    'authenticated: UPDATE (body, deleted_at, published_at, title) on notes',
    'authenticated: UPDATE (created_at, digest, note_id) on idempotency_keys',
    'authenticated: UPDATE (deleted_at, name) on organizations',
    'authenticated: UPDATE (role) on organization_members'
  ],
  'the column privileges are these and no others'
);

select results_eq(
  $$
    select format('%s: %s on %s', grantee, privilege_type, table_name) collate "default" as line
    from information_schema.table_privileges
    where table_schema = 'public' and grantee in ('PUBLIC', 'anon', 'authenticated', 'service_role')
    order by line
  $$,
  array[
    'authenticated: DELETE on organization_invitations',
    'authenticated: DELETE on organization_members'
  ],
  'a privilege on a whole table is DELETE, of members and invitations'
);

select is_empty(
  $$ select relname from pg_class where relnamespace = 'public'::regnamespace and relkind in ('r', 'p') and not relrowsecurity $$,
  'every exposed table has row level security'
);
select is_empty(
  $$
    select relname from pg_class
    where relnamespace = 'public'::regnamespace and relkind in ('v', 'm')
      and not 'security_invoker=true' = any (coalesce(reloptions, '{}'))
  $$,
  'every exposed view is read with the rights of its reader'
);
select ok(
  (select relforcerowsecurity from pg_class where oid = 'public.notes'::regclass),
  'an owner without BYPASSRLS is under the policies of notes too'
);

select results_eq(
  $$
    select format('%s on %s: %s to %s', cmd, tablename, policyname, array_to_string(roles, ', ')) collate "default" as line
    from pg_policies where schemaname = 'public' and permissive = 'PERMISSIVE' order by line
  $$,
  array[
    'DELETE on organization_invitations: organization_invitations_delete_owner to authenticated',
    'DELETE on organization_members: organization_members_delete_owner to authenticated',
    'DELETE on organization_members: organization_members_delete_self to authenticated',
    'INSERT on idempotency_keys: idempotency_keys_insert_own to authenticated',
    'INSERT on notes: notes_insert to authenticated',
    'INSERT on organization_invitations: organization_invitations_insert_owner to authenticated',
    'SELECT on idempotency_keys: idempotency_keys_select_own to authenticated',
    'SELECT on notes: notes_select to authenticated',
    'SELECT on notes: notes_select_published to anon',
    'SELECT on organization_invitations: organization_invitations_select_owner to authenticated',
    'SELECT on organization_members: organization_members_select_member to authenticated',
    'SELECT on organizations: organizations_select_member to authenticated',
    'UPDATE on idempotency_keys: idempotency_keys_update_own to authenticated',
    'UPDATE on notes: notes_update to authenticated',
    'UPDATE on organization_members: organization_members_update_owner to authenticated',
    'UPDATE on organizations: organizations_update_owner to authenticated'
  ],
  'the permissive policies are these and no others, and one of them is for anon'
);

select results_eq(
  $$
    select format('%s: %s (definer: %s)', role, proname, prosecdef) collate "default"
    from pg_proc, unnest(array['anon', 'authenticated', 'service_role']) as role
    where pronamespace = 'public'::regnamespace and has_function_privilege(role, oid, 'execute')
    order by 1
  $$,
  array[
    'authenticated: accept_invitation (definer: f)',
    'authenticated: create_note_once (definer: f)',
    'authenticated: create_organization (definer: f)',
    'service_role: run_job (definer: f)'
  ],
  'of exposed functions these may be called, and none has rights of its own'
);

select results_eq(
  $$
    select format('%s: %s', role, proname) collate "default"
    from pg_proc, unnest(array['anon', 'authenticated', 'service_role']) as role
    where pronamespace = 'private'::regnamespace and has_function_privilege(role, oid, 'execute')
    order by 1
  $$,
  array[
    'anon: check_edge',
    'anon: edge_ok',
    'anon: edge_proof_ok',
    'anon: org_is_live',
    'authenticated: accept_invitation',
    'authenticated: check_edge',
    'authenticated: create_organization',
    'authenticated: edge_ok',
    'authenticated: edge_proof_ok',
    'authenticated: org_ids',
    'service_role: check_edge',
    'service_role: run_job'
  ],
  'of the private schema, what policies and exposed functions ask may be executed, and nothing else'
);
select is_empty(
  $$
    select oid::regprocedure from pg_proc
    where pronamespace in ('public'::regnamespace, 'private'::regnamespace)
      and not 'search_path=""' = any (coalesce(proconfig, '{}'))
      -- Or a body that was resolved when it was made, and no rights but its caller's.
      and not (prosqlbody is not null and not prosecdef)
  $$,
  'every function has an empty search_path, or nothing left to find by it'
);
select is_empty(
  $$
    select role, relname, privilege
    from pg_class, unnest(array['anon', 'authenticated', 'service_role']) as role,
      unnest(array['SELECT', 'INSERT', 'UPDATE', 'DELETE', 'TRUNCATE', 'REFERENCES', 'TRIGGER']) as privilege
    where relnamespace = 'private'::regnamespace and relkind = 'r' and has_table_privilege(role, oid, privilege)
  $$,
  'nobody may do anything with a table of the private schema'
);
select is_empty(
  $$ select relname from pg_class where relnamespace = 'private'::regnamespace and relkind = 'r' and not relrowsecurity $$,
  'every table of the private schema has row level security'
);
select is_empty(
  $$
    select role from unnest(array['anon', 'authenticated', 'service_role']) as role
    where has_schema_privilege(role, 'private', 'usage') or has_schema_privilege(role, 'private', 'create')
  $$,
  'nobody may use the private schema'
);

-- What was granted by hand or by default privileges does not survive the next migration.
grant all on public.notes to anon, authenticated, service_role;
select private.apply_grants();
select ok(
  not has_table_privilege('authenticated', 'public.notes', 'DELETE')
    and not has_any_column_privilege('anon', 'public.notes', 'INSERT, UPDATE, REFERENCES')
    and not has_column_privilege('anon', 'public.notes', 'user_id', 'SELECT'),
  'apply_grants takes back what it does not list'
);
select ok(
  has_column_privilege('authenticated', 'public.notes', 'title', 'UPDATE')
    and not has_column_privilege('authenticated', 'public.notes', 'version', 'UPDATE'),
  'apply_grants grants what it lists'
);

select * from finish();
rollback;
