-- Published notes: anybody reads them, signed in as nobody. Their author, or an organisation's editors, publish
-- and withdraw.

alter table public.notes add column published_at timestamptz;

create or replace function private.notes_before_insert() returns trigger
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
  new.published_at := null;
  return new;
end
$$;

create or replace function private.notes_before_update() returns trigger
language plpgsql
set search_path = ''
as $$
begin
  new.id := old.id;
  new.user_id := old.user_id;
  -- Otherwise an editor could take a note home, or put one of theirs where others write.
  new.org_id := old.org_id;
  new.created_at := old.created_at;
  new.version := old.version + 1;
  -- now() is when the transaction began, which may be before a change that it waited for.
  new.updated_at := greatest(now(), old.updated_at);
  if new.deleted_at is distinct from old.deleted_at and new.deleted_at is not null then
    new.deleted_at := now();
  end if;
  if new.published_at is not null then
    new.published_at := coalesce(old.published_at, now());
  end if;
  return new;
end
$$;

-- What policies ask of a row's organisation for those who are in none.
create function private.org_is_live(org uuid) returns boolean
language sql
stable
security definer
set search_path = ''
as $$
  select exists (select from public.organizations where id = org and deleted_at is null)
$$;

-- For anon alone: whoever is signed in sees their own notes and their organisations', as before. A deleted
-- organisation's notes are hidden, as nobody is left who could withdraw them.
-- Published is public and not secret behind an id: through PostgREST itself anon can list all of them.
create policy notes_select_published on public.notes
  for select to anon
  using (published_at is not null and deleted_at is null and (org_id is null or private.org_is_live(org_id)));

create or replace function private.grants_notes() returns void
language sql
set search_path = ''
as $$
  revoke all on table public.notes from public, anon, authenticated, service_role;
  grant
    select (id, user_id, title, body, version, created_at, updated_at, deleted_at, search, org_id, published_at),
    insert (id, title, body, org_id),
    update (title, body, deleted_at, published_at)
    on table public.notes to authenticated;
  -- Nothing about whose it is, nor when it was a draft.
  grant select (id, title, body, version, updated_at, published_at) on table public.notes to anon;
  grant execute on function private.org_is_live(uuid) to anon;
$$;

select private.apply_grants();
