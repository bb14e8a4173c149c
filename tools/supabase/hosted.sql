-- What an empty Postgres lacks of Supabase before embedded.sql and the migrations: the users of Supabase Auth, as far
-- as our tables name them.

create schema auth;
create table auth.users (
  id uuid not null primary key default gen_random_uuid(),
  email text,
  raw_user_meta_data jsonb
);
