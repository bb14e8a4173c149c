-- Run by `npm test` and by `supabase test db`.
begin;
create extension if not exists pgtap with schema extensions;
select plan(17);

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
    'authenticated: INSERT (body, id, title) on notes',
    'authenticated: INSERT (digest, key, note_id) on idempotency_keys',
    'authenticated: SELECT (body, created_at, deleted_at, id, search, title, updated_at, user_id, version) on notes',
    'authenticated: SELECT (created_at, digest, key, note_id, user_id) on idempotency_keys',
    'authenticated: UPDATE (body, deleted_at, title) on notes',
    'authenticated: UPDATE (created_at, digest, note_id) on idempotency_keys'
  ],
  'the column privileges are these and no others'
);

select is_empty(
  $$
    select grantee, table_name, privilege_type from information_schema.table_privileges
    where table_schema = 'public' and grantee in ('PUBLIC', 'anon', 'authenticated', 'service_role')
  $$,
  'nobody has a privilege on a whole table'
);

select is_empty(
  $$ select relname from pg_class where relnamespace = 'public'::regnamespace and relkind in ('r', 'p') and not relrowsecurity $$,
  'every exposed table has row level security'
);
select ok(
  (select relforcerowsecurity from pg_class where oid = 'public.notes'::regclass),
  'an owner without BYPASSRLS is under the policies of notes too'
);

select policies_are(
  'public', 'notes', array['notes_select_own', 'notes_insert_own', 'notes_update_own'],
  'notes has three policies, none of them for DELETE'
);
select policy_roles_are('public', 'notes', 'notes_select_own', array['authenticated']);
select policy_roles_are('public', 'notes', 'notes_insert_own', array['authenticated']);
select policy_roles_are('public', 'notes', 'notes_update_own', array['authenticated']);

select policies_are(
  'public', 'idempotency_keys',
  array['idempotency_keys_select_own', 'idempotency_keys_insert_own', 'idempotency_keys_update_own'],
  'idempotency_keys has three policies, none of them for DELETE'
);
select policy_roles_are('public', 'idempotency_keys', 'idempotency_keys_select_own', array['authenticated']);
select policy_roles_are('public', 'idempotency_keys', 'idempotency_keys_insert_own', array['authenticated']);
select policy_roles_are('public', 'idempotency_keys', 'idempotency_keys_update_own', array['authenticated']);

select results_eq(
  $$
    select format('%s: %s (definer: %s)', role, proname, prosecdef) collate "default"
    from pg_proc, unnest(array['anon', 'authenticated', 'service_role']) as role
    where pronamespace = 'public'::regnamespace and has_function_privilege(role, oid, 'execute')
  $$,
  array['authenticated: create_note_once (definer: f)'],
  'one function may be called, by those who are signed in, and it has no rights of its own'
);

select is_empty(
  $$
    select role, oid::regprocedure
    from pg_proc, unnest(array['anon', 'authenticated', 'service_role']) as role
    where pronamespace = 'private'::regnamespace and has_function_privilege(role, oid, 'execute')
  $$,
  'nobody may call a function of the private schema'
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
    and not has_any_column_privilege('anon', 'public.notes', 'SELECT, INSERT, UPDATE, REFERENCES'),
  'apply_grants takes back what it does not list'
);
select ok(
  has_column_privilege('authenticated', 'public.notes', 'title', 'UPDATE')
    and not has_column_privilege('authenticated', 'public.notes', 'version', 'UPDATE'),
  'apply_grants grants what it lists'
);

select * from finish();
rollback;
