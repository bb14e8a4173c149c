-- Bookmarks with lists and JSON, soft deletes, and a search column.
create table bookmarks (
  id uuid primary key default gen_random_uuid(),
  user_id uuid not null default auth.uid() references auth.users on delete cascade,
  url text not null check (char_length(url) <= 2048),
  tags text[] not null default '{}' check (cardinality(tags) <= 20),
  labels varchar(30)[] default '{read,later}',
  scores integer[],
  meta jsonb not null default '{}'::jsonb check (jsonb_typeof(meta) = 'object'),
  history jsonb not null default '[]',
  search tsvector generated always as (to_tsvector('simple', url)) stored,
  remind_at time,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  deleted_at timestamptz
);
create unique index bookmarks_url_once on bookmarks (user_id, url) where deleted_at is null;
create index on bookmarks (user_id, created_at desc, id desc) where deleted_at is null;
alter table bookmarks enable row level security;
create policy "own read" on bookmarks for select to authenticated using ((select auth.uid()) = user_id);
create policy "own insert" on bookmarks for insert to authenticated with check ((select auth.uid()) = user_id);
create policy "own update" on bookmarks for update to authenticated using ((select auth.uid()) = user_id) with check ((select auth.uid()) = user_id);
