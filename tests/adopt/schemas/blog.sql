-- A blog: posts with slugs and a status, comments, a counter that a trigger keeps, deletes that hide.
create type post_status as enum ('draft', 'published', 'archived for good');
create table posts (
  id uuid primary key default gen_random_uuid(),
  author_id uuid not null default auth.uid() references auth.users,
  title varchar(200) not null check (btrim(title) <> ''),
  slug text not null check (slug ~ '^[a-z0-9-]+$'),
  excerpt text check (char_length(excerpt) <= 500),
  body text not null default '',
  status post_status not null default 'draft',
  comment_count integer not null default 0,
  published_at timestamptz,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  deleted_at timestamptz,
  check (status <> 'published' or published_at is not null)
);
create unique index posts_author_slug on posts (author_id, lower(slug)) where deleted_at is null;
create table comments (
  id bigserial primary key,
  post_id uuid not null references posts on delete cascade,
  author_id uuid not null references auth.users,
  body text not null check (char_length(trim(both from body)) between 1 and 2000),
  created_at timestamptz default now()
);
create function touch_posts() returns trigger language plpgsql as $$
begin
  new.updated_at = clock_timestamp();
  return new;
end $$;
create trigger touch before update on posts for each row execute function touch_posts();
create function count_comments() returns trigger language plpgsql security definer set search_path = '' as $$
begin
  update public.posts set comment_count = comment_count + 1 where id = new.post_id;
  return new;
end $$;
create trigger count_comments after insert on comments for each row execute function count_comments();
alter table posts enable row level security;
alter table comments enable row level security;
create policy "own or published" on posts for select using (status = 'published' or (select auth.uid()) = author_id);
create policy "own insert" on posts for insert with check ((select auth.uid()) = author_id);
create policy "own update" on posts for update using ((select auth.uid()) = author_id) with check ((select auth.uid()) = author_id);
create policy "of visible posts" on comments for select to authenticated using (exists (select 1 from posts where posts.id = post_id));
create policy "own insert" on comments for insert to authenticated with check ((select auth.uid()) = author_id);
create policy "own delete" on comments for delete to authenticated using ((select auth.uid()) = author_id);
