-- POST with an Idempotency-Key: however often it is sent, there is one note.

-- Which of a user's keys made which note. A key counts for 24 hours.
create table public.idempotency_keys (
  user_id uuid not null default auth.uid() references auth.users (id) on delete cascade,
  key text not null,
  -- SHA-256 of the request's body, in hex: a key is for one request.
  digest text not null,
  -- No foreign key: its check would tell a caller whether an id exists that is not theirs.
  note_id uuid not null,
  created_at timestamptz not null default now(),

  primary key (user_id, key),
  constraint idempotency_keys_key_form check (key ~ '^[A-Za-z0-9_-]{8,64}$'),
  constraint idempotency_keys_digest_form check (digest ~ '^[0-9a-f]{64}$')
);

-- For whoever clears out keys that are past.
create index idempotency_keys_created_at_idx on public.idempotency_keys (created_at);

alter table public.idempotency_keys enable row level security;
alter table public.idempotency_keys force row level security;

create policy idempotency_keys_select_own on public.idempotency_keys
  for select to authenticated
  using ((select auth.uid()) = user_id);

create policy idempotency_keys_insert_own on public.idempotency_keys
  for insert to authenticated
  with check ((select auth.uid()) = user_id);

create policy idempotency_keys_update_own on public.idempotency_keys
  for update to authenticated
  using ((select auth.uid()) = user_id)
  with check ((select auth.uid()) = user_id);


-- The note that this key made, as it is now; or a new one, if the key is new or past. No row if the key
-- was used with another body. All in the caller's own transaction and with the caller's own rights: the
-- policies of both tables decide. Two that come together wait for each other at the primary key.
create function public.create_note_once(request_key text, request_digest text, note_title text, note_body text)
returns setof public.notes
language plpgsql
security invoker
set search_path = ''
as $$
declare
  made uuid;
begin
  insert into public.idempotency_keys as known (key, digest, note_id)
    values (request_key, request_digest, gen_random_uuid())
    on conflict (user_id, key) do update
      set digest = excluded.digest, note_id = excluded.note_id, created_at = excluded.created_at
      where known.created_at <= now() - interval '24 hours'
    returning known.note_id into made;
  if made is not null then
    return query
      insert into public.notes (id, title, body) values (made, note_title, note_body)
      returning *;
  else
    return query
      select notes.* from public.notes
        join public.idempotency_keys as known on known.note_id = notes.id
        where known.user_id = (select auth.uid())
          and known.key = request_key
          and known.digest = request_digest;
  end if;
end
$$;


create or replace function private.apply_grants() returns void
language sql
set search_path = ''
as $$
  revoke all on table public.notes, public.idempotency_keys from public, anon, authenticated, service_role;
  grant
    select (id, user_id, title, body, version, created_at, updated_at, deleted_at),
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
