-- Full-text search, for the parameter `q` of a list.

-- In every language alike: words as they are, whatever their case, none left out. (With very many notes in the
-- table already this statement takes its time, and locks it for as long.)
alter table public.notes add column search tsvector not null
  generated always as (to_tsvector('simple'::regconfig, title || ' ' || body)) stored;

-- No index: behind a policy Postgres asks an index only what cannot leak, and `@@` is not declared to be so.
-- A search reads its user's notes by notes_active_idx, the newest first, until the page is full.

create or replace function private.apply_grants() returns void
language sql
set search_path = ''
as $$
  revoke all on table public.notes, public.idempotency_keys from public, anon, authenticated, service_role;
  grant
    select (id, user_id, title, body, version, created_at, updated_at, deleted_at, search),
    insert (id, title, body),
    update (title, body, deleted_at)
    on table public.notes to authenticated;
  grant
    select (user_id, key, digest, note_id, created_at),
    insert (key, digest, note_id),
    update (digest, note_id, created_at)
    on table public.idempotency_keys to authenticated;
  revoke all on function public.create_note_once(text, text, text, text) from public, anon, authenticated, service_role;
  grant execute on function public.create_note_once(text, text, text, text) to authenticated;
$$;

select private.apply_grants();
