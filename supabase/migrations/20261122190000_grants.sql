-- Grants, a function for each table. Before, apply_grants() was one list, which every migration that added a
-- table or a column had to write anew, whole.
--
-- A migration that adds the table t makes private.grants_t(), which begins by revoking everything on t; one
-- that adds a column to t replaces that function. Both end with `select private.apply_grants();`.

create function private.grants_notes() returns void
language sql
set search_path = ''
as $$
  revoke all on table public.notes from public, anon, authenticated, service_role;
  grant
    select (id, user_id, title, body, version, created_at, updated_at, deleted_at, search),
    insert (id, title, body),
    update (title, body, deleted_at)
    on table public.notes to authenticated;
$$;

create function private.grants_idempotency_keys() returns void
language sql
set search_path = ''
as $$
  revoke all on table public.idempotency_keys from public, anon, authenticated, service_role;
  grant
    select (user_id, key, digest, note_id, created_at),
    insert (key, digest, note_id),
    update (digest, note_id, created_at)
    on table public.idempotency_keys to authenticated;
  revoke all on function public.create_note_once(text, text, text, text) from public, anon, authenticated, service_role;
  grant execute on function public.create_note_once(text, text, text, text) to authenticated;
$$;

-- Every grants_ function in the schema, and before them a clean slate there: Postgres lets everybody execute a
-- new function.
create or replace function private.apply_grants() returns void
language plpgsql
set search_path = ''
as $$
declare
  one regproc;
begin
  revoke all on all functions in schema private from public, anon, authenticated, service_role;
  for one in
    select oid::regproc from pg_catalog.pg_proc
      where pronamespace = 'private'::regnamespace and proname like 'grants\_%'
      order by proname
  loop
    execute format('select %s()', one);
  end loop;
end
$$;

select private.apply_grants();
