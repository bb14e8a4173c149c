-- Edge-only mode: rows for those alone whose request comes through the Worker. Off until an operator turns it
-- on; docs/edge-only.md says how, and what it is not.

-- One row, for the database's owner alone: there is no grant, and no policy.
create table private.edge_settings (
  id boolean not null default true primary key,
  mode text not null default 'off',
  -- The Worker's EDGE_PROOF_SECRET; a second one while it is changed.
  secret text,
  next_secret text,

  constraint edge_settings_one_row check (id),
  constraint edge_settings_mode check (mode in ('off', 'report', 'enforce')),
  constraint edge_settings_has_secret check (mode = 'off' or secret is not null),
  -- What the Worker takes: 32 or more printable ASCII characters, none of them a space.
  constraint edge_settings_secret_form check (secret collate "C" ~ '^[!-~]{32,}$'),
  constraint edge_settings_next_secret_form check (next_secret collate "C" ~ '^[!-~]{32,}$')
);
-- Not under FORCE: an owner without BYPASSRLS would not find the mode, and refuse everything.
alter table private.edge_settings enable row level security;
insert into private.edge_settings default values;


-- Whether this request has a proof: X-Edge-Proof: v1.<Unix seconds>.<HMAC-SHA256, in hex>, over user, method and
-- path. Query and body are not in it: nothing here can see them.
create function private.edge_proof_ok() returns boolean
language plpgsql
stable
security definer
set search_path = ''
as $$
declare
  settings private.edge_settings;
  method text;
  path text;
  proof text[];
  signed text;
  given bytea;
  refusal text;
begin
  select * into settings from private.edge_settings;

  method := current_setting('request.method', true);
  path := current_setting('request.path', true);
  proof := regexp_match(
    nullif(current_setting('request.headers', true), '')::json ->> 'x-edge-proof',
    '^v1\.([1-9][0-9]{0,10})\.([0-9a-f]{64})$'
  );
  signed := format(E'v1\n%s\n%s\n%s\n%s', proof[1], auth.uid(), method, path);
  -- Hashes are compared, not the MACs: how far two of them agree says nothing about what a forger sent.
  given := sha256(decode(proof[2], 'hex'));
  -- The time is that of the transaction's beginning, so that all its statements get one answer.
  refusal := case
    when proof is null
      then 'no proof, or one of another form'
    when (given in (
      sha256(extensions.hmac(signed, settings.secret, 'sha256')),
      sha256(extensions.hmac(signed, settings.next_secret, 'sha256'))
    )) is not true
      then 'a proof of another secret, user, method or path'
    when proof[1]::bigint - floor(extract(epoch from now())) not between -60 and 5
      then 'a proof of another time'
  end;
  if refusal is null then
    return true;
  end if;

  -- For the database's log; a client sees no message of this level.
  raise log 'edge-only mode (%): % % of %: %', settings.mode, method, path, coalesce(auth.uid()::text, 'nobody'), refusal;
  -- In a policy no error: it would come for rows that are there and not for others, which tells them apart. And in
  -- Realtime, one user's would stop it for all.
  return settings.mode is not distinct from 'report';
end
$$;

-- What policies ask, with every statement. Off is how it is nearly everywhere, and then there is nothing to call: the
-- planner puts the one word in its place. (So it is not definer, and has no settings: what is in its body was resolved
-- when it was made.)
create function private.edge_ok() returns boolean
language sql
stable
return true;

-- Whatever changes the settings: `true` is said for 'off' alone, not for settings that are gone.
create function private.edge_settings_after_change() returns trigger
language plpgsql
security definer
set search_path = ''
as $$
begin
  if (select mode from private.edge_settings) = 'off' then
    create or replace function private.edge_ok() returns boolean language sql stable return true;
  else
    create or replace function private.edge_ok() returns boolean language sql stable return private.edge_proof_ok();
  end if;
  return null;
end
$$;

create trigger edge_settings_after_change after insert or update or delete or truncate on private.edge_settings
  for each statement execute function private.edge_settings_after_change();
-- In a restore of the data alone as well.
alter table private.edge_settings enable always trigger edge_settings_after_change;

-- The same for what is decided before any row: functions with the owner's rights, which no policy holds back, and
-- PostgREST's pre-request. Those who have policies are asked, as there.
create function private.check_edge() returns void
language plpgsql
security definer
set search_path = ''
as $$
begin
  if current_setting('role', true) in ('anon', 'authenticated') and private.edge_ok() is not true then
    -- PostgREST answers it as 403.
    raise sqlstate 'PT403' using message = 'This database answers its edge alone';
  end if;
end
$$;


-- Restrictive: it gives nothing, and what other policies give is had with a proof only. For a migration that
-- adds a table, as its last word about it. (Once a statement, as auth.uid() is; service_role has no proof and no
-- policies.)
create function private.require_edge(target regclass) returns void
language plpgsql
set search_path = ''
as $$
begin
  execute format(
    'create policy %I on %s as restrictive for all to anon, authenticated
      using ((select private.edge_ok())) with check ((select private.edge_ok()))',
    (select relname from pg_catalog.pg_class where oid = target) || '_edge_only',
    target
  );
end
$$;

select private.require_edge(oid::regclass)
  from pg_catalog.pg_class
  where relnamespace = 'public'::regnamespace and relkind in ('r', 'p') and relrowsecurity;


-- As before, but asked first.
create or replace function public.create_organization(org_name text) returns setof public.organizations
language sql
security invoker
set search_path = ''
begin atomic
  select private.check_edge();
  select * from private.create_organization(org_name);
end;

create or replace function public.accept_invitation(invitation_token text) returns setof public.organizations
language sql
security invoker
set search_path = ''
begin atomic
  select private.check_edge();
  select * from private.accept_invitation(invitation_token);
end;


create function private.grants_edge_only() returns void
language sql
set search_path = ''
as $$
  revoke all on table private.edge_settings from public, anon, authenticated, service_role;
  grant execute on function private.edge_ok(), private.edge_proof_ok(), private.check_edge() to anon, authenticated;
  -- PostgREST calls its pre-request for whatever role a request has.
  grant execute on function private.check_edge() to service_role;
$$;

select private.apply_grants();
