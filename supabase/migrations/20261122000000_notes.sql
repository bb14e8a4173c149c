-- Notes that belong to users. Row Level Security decides which rows exist for a caller; grants,
-- checks and triggers decide what may be written, because a caller can talk to PostgREST without
-- the Worker in between.

-- Not exposed by PostgREST, and nobody but the owner has usage on it.
create schema private;

create table public.notes (
  id uuid not null default gen_random_uuid() primary key,
  user_id uuid not null default auth.uid() references auth.users (id) on delete cascade,
  title text not null,
  body text not null default '',
  version integer not null default 1,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  deleted_at timestamptz,

  constraint notes_title_length check (char_length(title) between 1 and 200),
  -- The 25 code points of Unicode White_Space, which is what the Worker trims. Plain btrim knows
  -- only the space, and SQL's \s misses U+00A0, U+2007 and U+202F.
  constraint notes_title_trimmed check (
    title = btrim(
      title,
      U&'\0009\000A\000B\000C\000D\0020\0085\00A0\1680'
      '\2000\2001\2002\2003\2004\2005\2006\2007\2008\2009\200A'
      '\2028\2029\202F\205F\3000'
    )
  ),
  constraint notes_body_length check (char_length(body) <= 20000),
  constraint notes_version_positive check (version >= 1),
  constraint notes_updated_after_created check (updated_at >= created_at)
);

-- For the policies and for the cascade from auth.users.
create index notes_user_id_idx on public.notes (user_id);

-- One page of either list is one index range, however many notes are in the other list.
create index notes_active_idx on public.notes (user_id, created_at desc, id desc)
  where deleted_at is null;
create index notes_deleted_idx on public.notes (user_id, created_at desc, id desc)
  where deleted_at is not null;


-- Triggers: what callers may read but never choose

create function private.notes_before_insert() returns trigger
language plpgsql
set search_path = ''
as $$
begin
  -- Without a caller (seed, restore) there is no auth.uid(), and the row names its owner.
  new.user_id := coalesce((select auth.uid()), new.user_id);
  new.version := 1;
  new.created_at := now();
  new.updated_at := now();
  new.deleted_at := null;
  return new;
end
$$;

create function private.notes_before_update() returns trigger
language plpgsql
set search_path = ''
as $$
begin
  new.id := old.id;
  new.user_id := old.user_id;
  new.created_at := old.created_at;
  new.version := old.version + 1;
  -- now() is when the transaction began, which may be before a change that it waited for.
  new.updated_at := greatest(now(), old.updated_at);
  if new.deleted_at is distinct from old.deleted_at and new.deleted_at is not null then
    new.deleted_at := now();
  end if;
  return new;
end
$$;

revoke all on function private.notes_before_insert() from public;
revoke all on function private.notes_before_update() from public;

create trigger notes_before_insert before insert on public.notes
  for each row execute function private.notes_before_insert();
create trigger notes_before_update before update on public.notes
  for each row execute function private.notes_before_update();


-- Row Level Security

alter table public.notes enable row level security;
-- The owner too, where the owner is an ordinary role. Hosted Supabase's postgres has BYPASSRLS: there a
-- SECURITY DEFINER function of its own still walks past every policy.
alter table public.notes force row level security;

-- auth.uid() in a subquery is evaluated once a statement, not once a row.
-- "deleted_at is null" belongs in the query: in this policy it would make a soft delete fail, as
-- the changed row must still be visible to its owner.
create policy notes_select_own on public.notes
  for select to authenticated
  using ((select auth.uid()) = user_id);

create policy notes_insert_own on public.notes
  for insert to authenticated
  with check ((select auth.uid()) = user_id);

create policy notes_update_own on public.notes
  for update to authenticated
  using ((select auth.uid()) = user_id)
  with check ((select auth.uid()) = user_id);

-- No policy and no grant for DELETE: deleting is writing deleted_at.


-- Grants

-- All of them in one place, to be replaced and called again by a migration that adds a table.
-- Column by column, so that a new column is closed until it is listed. The revoke comes first
-- because projects of a certain age grant everything to these roles by default.
create function private.apply_grants() returns void
language sql
set search_path = ''
as $$
  revoke all on table public.notes from public, anon, authenticated, service_role;
  grant
    select (id, user_id, title, body, version, created_at, updated_at, deleted_at),
    insert (id, title, body),
    update (title, body, deleted_at)
    on table public.notes to authenticated;
$$;

revoke all on function private.apply_grants() from public;

select private.apply_grants();
