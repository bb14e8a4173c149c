-- The parts of Supabase that an empty Postgres needs before embedded.sql and the migrations: the users of Supabase
-- Auth, as far as our tables refer to them.

create schema auth;
create table auth.users (
  id uuid not null primary key default gen_random_uuid(),
  email text,
  raw_user_meta_data jsonb
);
