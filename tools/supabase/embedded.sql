-- What hosted Supabase has before the first migration and the embedded one lacks. Run at every
-- start, so each statement must be repeatable.

-- PGlite sets no session user by name, and without one a transaction that changes it would not give it back.
select set_config('session_authorization', session_user, false);
set timezone to 'UTC';
set search_path to "$user", public, extensions;

do $$
begin
  if to_regrole('anon') is null then
    create role anon nologin;
    create role authenticated nologin;
    create role service_role nologin bypassrls;
  end if;
end
$$;

-- PostgREST's own role; its settings are PostgREST's. The timeouts are those of a new project.
do $$
begin
  if to_regrole('authenticator') is null then
    create role authenticator noinherit nologin;
    alter role authenticator set statement_timeout = '8s';
    alter role authenticator set lock_timeout = '8s';
    alter role authenticated set statement_timeout = '8s';
    alter role anon set statement_timeout = '3s';
  end if;
end
$$;
grant anon, authenticated, service_role to authenticator;

create schema if not exists extensions;
create extension if not exists pgcrypto with schema extensions;

grant usage on schema public, auth, extensions to anon, authenticated, service_role;

create or replace function auth.jwt() returns jsonb
language sql stable
as $$
  select coalesce(
    nullif(current_setting('request.jwt.claim', true), ''),
    nullif(current_setting('request.jwt.claims', true), '')
  )::jsonb
$$;

create or replace function auth.uid() returns uuid
language sql stable
as $$
  select coalesce(
    nullif(current_setting('request.jwt.claim.sub', true), ''),
    nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'sub'
  )::uuid
$$;

create or replace function auth.role() returns text
language sql stable
as $$
  select coalesce(
    nullif(current_setting('request.jwt.claim.role', true), ''),
    nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'role'
  )
$$;

-- Supabase Auth finds users by it, so demo_users.sql writes it.
alter table auth.users add column if not exists instance_id uuid;
