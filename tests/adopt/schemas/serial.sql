-- A schema as an ORM with serial ids makes it: no foreign key to the users, no Row Level Security on one table.
create table categories (id serial primary key, name varchar(256) not null, owner_id uuid);
create table bookmarks (
  id serial primary key,
  user_id uuid not null default auth.uid(),
  url varchar(2048) not null,
  title varchar(256),
  category_id integer references categories (id),
  created_at timestamp default now() not null,
  position serial
);
alter table bookmarks enable row level security;
create policy "crud" on bookmarks as permissive for all to authenticated using ((select auth.uid()) = user_id) with check ((select auth.uid()) = user_id);
