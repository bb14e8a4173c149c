-- TABLE: rows that belong to users.
--
-- Row Level Security decides which rows exist for a caller; grants, checks and triggers decide what may be written,
-- because a caller can talk to PostgREST without the Worker in between.

create table public.TABLE (
  id uuid not null default gen_random_uuid() primary key,
  user_id uuid not null default auth.uid() references auth.users (id) on delete cascade,
  -- Your columns in place of this one; each text with a limit.
  label text not null,
  version integer not null default 1,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  deleted_at timestamptz,

  constraint TABLE_label_length check (char_length(label) between 1 and 200),
  constraint TABLE_version_positive check (version >= 1)
);

-- For the policies and for the cascade from auth.users; and one index range for a page of either list.
create index TABLE_user_id_idx on public.TABLE (user_id);
create index TABLE_active_idx on public.TABLE (user_id, created_at desc, id desc)
  where deleted_at is null;
create index TABLE_deleted_idx on public.TABLE (user_id, created_at desc, id desc)
  where deleted_at is not null;

-- What callers may read but never choose.
create trigger TABLE_before_insert before insert on public.TABLE
  for each row execute function private.owned_before_insert();
create trigger TABLE_before_update before update on public.TABLE
  for each row execute function private.owned_before_update();


alter table public.TABLE enable row level security;
alter table public.TABLE force row level security;

create policy TABLE_select_own on public.TABLE
  for select to authenticated
  using ((select auth.uid()) = user_id);

create policy TABLE_insert_own on public.TABLE
  for insert to authenticated
  with check ((select auth.uid()) = user_id);

create policy TABLE_update_own on public.TABLE
  for update to authenticated
  using ((select auth.uid()) = user_id)
  with check ((select auth.uid()) = user_id);

-- No policy and no grant for DELETE: deleting is writing deleted_at.

-- In edge-only mode, for those alone who come through the Worker.
select private.require_edge('public.TABLE');


-- Column by column: a new column is closed until it is listed.
create function private.grants_TABLE() returns void
language sql
set search_path = ''
as $$
  revoke all on table public.TABLE from public, anon, authenticated, service_role;
  grant
    select (id, user_id, label, version, created_at, updated_at, deleted_at),
    insert (id, label),
    update (label, deleted_at)
    on table public.TABLE to authenticated;
$$;

select private.apply_grants();
