-- Names and types that are not ordinary.
create schema if not exists geo;
create type geo.point3 as (x float8, y float8, z float8);
create type mood as enum ('good', 'so so', 'it''s bad');
create domain short as varchar(10) not null default 'x' check (value <> 'y');
create table "My Things" (
  id uuid primary key default gen_random_uuid(),
  user_id uuid not null references auth.users,
  "Full Name" text,
  "full_name" text,
  "say ""hi""" text,
  "select" text,
  "🎉" text,
  "camelCase" text not null default 'it''s \ here' check ("camelCase" <> ''),
  "HTTPServer2URL" text,
  short short,
  mood mood default 'so so',
  place geo.point3,
  span int4range,
  grid integer[][],
  ids uuid[],
  whole numeric(10, 0),
  any_number numeric,
  fixed char(3) check (fixed in ('EUR', 'USD')),
  bits bit(3),
  bytes bytea,
  ip inet,
  xml_text xml,
  cash money,
  at_time timetz,
  quick real default 1.5,
  ratio double precision not null default '-1'::integer check (ratio >= '-1'::integer and ratio < 1),
  huge bigint check (huge >= 0),
  tiny smallint default 7,
  weekday date default current_date,
  born date check (born >= '1900-01-01'),
  double_it integer generated always as (tiny * 2) stored,
  token uuid not null default gen_random_uuid(),
  never integer check (never > 5 and never < 3),
  either text check (either = 'a' or char_length(either) = 5)
);
create table "user" (id uuid primary key, user_id uuid not null);
create table "me" (id uuid primary key, user_id uuid not null);
create table "myThings" (id uuid primary key, user_id uuid not null, label text);
create table "my.dots" (id uuid primary key, user_id uuid not null, label text);
create table "🎉" (id uuid primary key, user_id uuid not null);
create table no_key (user_id uuid not null, label text);
create table text_key (slug text primary key, user_id uuid not null);
create table open_rows (id uuid primary key, label text);
create table hidden_rows (id uuid primary key, user_id uuid not null, label text);
create table no_policies (id uuid primary key, user_id uuid not null, label text);
create table by_header (id uuid primary key, user_id uuid not null, label text);
create table signed_key (id bigint primary key, user_id uuid not null, label text);
create table needs_more (id uuid primary key default gen_random_uuid(), user_id uuid not null, place geo.point3 not null, label text);
create table years (id uuid, year integer, user_id uuid not null, primary key (id, year)) partition by range (year);
create table years_2026 partition of years for values from (2026) to (2027);
create view my_view as select id, label from hidden_rows;
create materialized view my_counts as select count(*) as n from hidden_rows;
create foreign data wrapper nowhere;
create server elsewhere foreign data wrapper nowhere;
create foreign table remote_rows (id uuid, label text) server elsewhere;
do $$
declare
  name text;
begin
  foreach name in array array['My Things', 'user', 'me', 'myThings', 'my.dots', '🎉', 'no_key', 'text_key', 'hidden_rows', 'no_policies', 'by_header', 'signed_key', 'needs_more', 'years'] loop
    execute format('alter table %I enable row level security', name);
    if name not in ('no_policies', 'by_header') then
      execute format('create policy "own rows" on %I for all to authenticated using ((select auth.uid()) = user_id) with check ((select auth.uid()) = user_id)', name);
    end if;
  end loop;
end $$;
create policy "by header" on by_header for select to authenticated using (current_setting('request.headers', true)::json ->> 'x-user' = user_id::text);
revoke all on hidden_rows from anon, authenticated;
create table trash (id uuid primary key, user_id uuid not null, label text, deleted_at timestamptz);
alter table trash enable row level security;
create policy "live rows" on trash for select to authenticated using ((select auth.uid()) = user_id and deleted_at is null);
create policy "own update" on trash for update to authenticated using ((select auth.uid()) = user_id);
create policy "own delete" on trash for delete to authenticated using ((select auth.uid()) = user_id);
create table reports (id uuid primary key default gen_random_uuid(), user_id uuid not null, label text);
alter table reports enable row level security;
create policy "own reports" on reports for select to authenticated using ((select auth.uid()) = user_id);
create policy "anybody reports" on reports for insert to authenticated with check (true);
create policy "service" on reports for all to service_role using (true);
