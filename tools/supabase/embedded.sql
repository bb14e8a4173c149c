-- The parts of hosted Supabase before the first migration that the embedded one lacks. Run at every start, so each
-- statement must be repeatable.

do $$
begin
  if to_regrole('anon') is null then
    create role anon nologin;
    create role authenticated nologin;
    create role service_role nologin bypassrls;
  end if;
end
$$;

-- Supabase Auth's own role, to which migrations grant its hooks.
do $$
begin
  if to_regrole('supabase_auth_admin') is null then
    create role supabase_auth_admin nologin;
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

-- The publication for Realtime. Migrations add tables to it.
do $$
begin
  if not exists (select from pg_publication where pubname = 'supabase_realtime') then
    create publication supabase_realtime;
  end if;
end
$$;

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
