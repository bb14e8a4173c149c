-- notes: rows of users or of organisations. The limits are those of airlock.toml.
--
-- Row Level Security decides which rows exist for a caller. Grants, CHECKs and triggers decide what may be written,
-- because a caller can talk to PostgREST without the Worker.

create table public.notes (
  id uuid not null default gen_random_uuid() primary key,
  -- The author. Null: the account is deleted; a row of an organisation stays.
  user_id uuid default auth.uid() references auth.users (id) on delete set null,
  -- Null: the author's own row.
  org_id uuid references airlock.organizations (id) on delete cascade,
  title text not null,
  body text not null default '',
  version integer not null default 1,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  deleted_at timestamptz,
  published_at timestamptz,
  airlock_search tsvector not null
    generated always as (to_tsvector('simple'::regconfig, normalize(title || ' ' || body))) stored,

  constraint notes_title_length check (char_length(title) between 1 and 200),
  constraint notes_title_trimmed check (airlock.is_trimmed(title)),
  constraint notes_body_length check (char_length(body) <= 20000),
  constraint notes_version_positive check (version >= 1),
  constraint notes_updated_at_order check (updated_at >= created_at)
);

-- For the foreign keys.
create index notes_user_idx on public.notes (user_id);
create index notes_org_idx on public.notes (org_id) where org_id is not null;

-- A page is one index range, however many rows are in other lists.
create index notes_active_idx on public.notes (user_id, created_at desc, id desc)
  where org_id is null and deleted_at is null;
create index notes_deleted_idx on public.notes (user_id, created_at desc, id desc)
  where org_id is null and deleted_at is not null;
create index notes_published_idx on public.notes (user_id, created_at desc, id desc)
  where org_id is null and deleted_at is null and published_at is not null;
create index notes_orgactive_idx on public.notes (org_id, created_at desc, id desc)
  where org_id is not null and deleted_at is null;
create index notes_orgdeleted_idx on public.notes (org_id, created_at desc, id desc)
  where org_id is not null and deleted_at is not null;
create index notes_orgpublished_idx on public.notes (org_id, created_at desc, id desc)
  where org_id is not null and deleted_at is null and published_at is not null;

-- For the purge, whose queries repeat the condition. Lists of deleted rows do not: for them the planner would choose this
-- index, and read the deleted rows of all users.
create index notes_due_idx on public.notes (deleted_at) where deleted_at > '-infinity';

-- PostgREST shows any caller how many rows the planner expects, of the rows of all users. So the planner gets no statistics
-- of values.
alter table public.notes
  alter column title set statistics 0,
  alter column body set statistics 0,
  alter column airlock_search set statistics 0;


-- Triggers

-- Columns that callers read and never choose. Triggers run in the order of their names: these come first.
create trigger airlock_touch_insert before insert on public.notes
  for each row execute function airlock.touch_insert();
create trigger airlock_touch_update before update on public.notes
  for each row execute function airlock.touch_update();

-- An author's own rows go with the account.
create trigger airlock_ownerless after update of user_id on public.notes
  for each statement execute function airlock.delete_ownerless();

-- Asked once more after a write that had to wait: its caller may have lost the role meanwhile.
create trigger airlock_role after insert or update on public.notes
  for each row when (new.org_id is not null) execute function airlock.require_editor();


-- Row Level Security

alter table public.notes enable row level security;
-- The table's owner too, unless that role has BYPASSRLS, as hosted Supabase's postgres has.
alter table public.notes force row level security;

-- auth.uid() in a subquery is evaluated once a statement, not once a row. "deleted_at is null" belongs in the queries: in
-- this policy it would refuse a soft delete, because a changed row must still be visible.
-- One policy with a CASE, not two, which Postgres would combine with OR. For a query that names its user the planner then
-- expects almost no row, and reads and sorts all rows of that user for a page of 20.
create policy notes_select on public.notes
  for select to authenticated
  using (
    case
      when org_id is null then (select auth.uid()) = user_id
      else org_id = any (array(select id from airlock.org_ids('viewer') as id))
    end
  );

create policy notes_insert on public.notes
  for insert to authenticated
  with check (
    (select auth.uid()) = user_id and (org_id is null or org_id = any (array(select id from airlock.org_ids('editor') as id)))
  );

create policy notes_update on public.notes
  for update to authenticated
  using (
    case
      when org_id is null then (select auth.uid()) = user_id
      else org_id = any (array(select id from airlock.org_ids('editor') as id))
    end
  )
  with check (
    case
      when org_id is null then (select auth.uid()) = user_id
      else org_id = any (array(select id from airlock.org_ids('editor') as id))
    end
  );

-- For anon alone: in the lists of signed-in users are their own rows. Published rows are public: through PostgREST anon can
-- list all of them.
create policy notes_select_published on public.notes
  for select to anon
  using (published_at is not null and deleted_at is null and (org_id is null or airlock.org_is_live(org_id)));

-- No policy and no grant for DELETE: to delete is to write deleted_at.


-- Grants

-- Column by column, so that a new column is closed until it is granted. The revoke is for projects whose default privileges
-- grant everything.
revoke all on table public.notes from public, anon, authenticated, service_role;
grant
  select (
    id, user_id, org_id, title, body, version, created_at, updated_at, deleted_at, published_at,
    airlock_search
  ),
  insert (id, org_id, title, body),
  update (title, body, deleted_at, published_at)
  on table public.notes to authenticated;
-- Neither the owner nor the time of creation is granted.
grant select (id, title, body, version, updated_at, published_at) on table public.notes to anon;


-- For the functions that the Worker calls.
select airlock.serve(
  'notes', 'public.notes', 'both',
  array['title', 'body'],
  publish => array['title', 'body'],
  searchable => true
);


-- In edge-only mode the rows are for requests through the Worker.
select airlock.close_table('public.notes');
