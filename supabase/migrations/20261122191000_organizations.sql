-- Organisations: members read, editors write, owners manage. A note belongs to its author alone, or to an
-- organisation, whose members' roles then decide and not who wrote it.

create table public.organizations (
  id uuid not null default gen_random_uuid() primary key,
  name text not null,
  version integer not null default 1,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  deleted_at timestamptz,

  constraint organizations_name_length check (char_length(name) between 1 and 200),
  -- As a note's title.
  constraint organizations_name_trimmed check (
    name = btrim(
      name,
      U&'\0009\000A\000B\000C\000D\0020\0085\00A0\1680'
      '\2000\2001\2002\2003\2004\2005\2006\2007\2008\2009\200A'
      '\2028\2029\202F\205F\3000'
    )
  ),
  constraint organizations_version_positive check (version >= 1),
  constraint organizations_updated_after_created check (updated_at >= created_at)
);

create table public.organization_members (
  org_id uuid not null references public.organizations (id) on delete cascade,
  user_id uuid not null references auth.users (id) on delete cascade,
  role text not null,
  version integer not null default 1,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  -- Whether the organisation is; kept by triggers. Policies ask who is what with every statement, and one table
  -- answers faster than two.
  live boolean not null default true,

  primary key (org_id, user_id),
  constraint organization_members_role_known check (role in ('owner', 'editor', 'viewer')),
  constraint organization_members_version_positive check (version >= 1),
  constraint organization_members_updated_after_created check (updated_at >= created_at)
);

-- For the helper of the policies and for the cascade from auth.users.
create index organization_members_user_id_idx on public.organization_members (user_id);
create index organization_members_page_idx on public.organization_members (org_id, created_at desc, user_id desc);

-- An invitation is a token that is good once. It is made outside the database, which knows its digest alone:
-- a copy of this table lets nobody in.
create table public.organization_invitations (
  id uuid not null default gen_random_uuid() primary key,
  org_id uuid not null references public.organizations (id) on delete cascade,
  role text not null,
  -- SHA-256 of the token, in hex.
  token_digest text not null unique,
  created_by uuid not null default auth.uid() references auth.users (id) on delete cascade,
  created_at timestamptz not null default now(),
  expires_at timestamptz not null default now() + interval '7 days',
  accepted_at timestamptz,
  accepted_by uuid references auth.users (id) on delete set null,

  constraint organization_invitations_role_known check (role in ('owner', 'editor', 'viewer')),
  constraint organization_invitations_token_digest_form check (token_digest ~ '^[0-9a-f]{64}$')
);

create index organization_invitations_page_idx on public.organization_invitations (org_id, created_at desc, id desc);
-- For the actions on a deleted account.
create index organization_invitations_created_by_idx on public.organization_invitations (created_by);
create index organization_invitations_accepted_by_idx on public.organization_invitations (accepted_by)
  where accepted_by is not null;


-- Who is what

-- What the caller is in each live organisation. Policies ask it, those of the table that it reads among them: with the
-- caller's rights they would ask themselves for ever. A view has its owner's, and the table is not under FORCE for that.
create view private.memberships as
  select org_id, role
    from public.organization_members
    where user_id = (select auth.uid()) and live;

-- The organisations in which the caller has at least this role; none for a role that there is not. In a policy it stands in
-- `array(select id from private.org_ids(...) as id)`: read once a statement, and of use to an index. It has no rights
-- of its own and no settings, so that the planner puts its query in its place: calling it would cost an organisation's
-- list a fifth more (npm run rls:cost).
create function private.org_ids(at_least text) returns setof uuid
language sql
stable
begin atomic
  select org_id
    from private.memberships
    where case at_least
      when 'viewer' then role in ('viewer', 'editor', 'owner')
      when 'editor' then role in ('editor', 'owner')
      when 'owner' then role = 'owner'
    end;
end;


-- Triggers

-- Policies are asked as a statement begins. One that had to wait for a row may find that its caller is no owner or
-- editor any more, or that the organisation is gone, so the triggers ask once more. (In READ COMMITTED each statement
-- of a trigger sees what was committed meanwhile.) Jobs, and the cascade of an account, have no such caller.
create function private.require_role(org uuid, at_least text) returns void
language plpgsql
security definer
set search_path = ''
as $$
begin
  -- Whoever is signed in has been given a role, by whatever name; a database's owner at work has not.
  if coalesce(current_setting('role', true), 'none') <> 'none'
    and (select auth.uid()) is not null
    and not exists (select from private.org_ids(at_least) as id where id = org)
  then
    raise insufficient_privilege using message = 'row-level security: the caller has no such role in the organisation';
  end if;
end
$$;

create function private.organizations_before_update() returns trigger
language plpgsql
security definer
set search_path = ''
as $$
begin
  -- A change of members, which counts the version up, comes by their trigger; its caller may be leaving.
  if pg_trigger_depth() = 1 then
    perform private.require_role(old.id, 'owner');
  end if;
  new.id := old.id;
  new.created_at := old.created_at;
  new.version := old.version + 1;
  -- now() is when the transaction began, which may be before a change that it waited for.
  new.updated_at := greatest(now(), old.updated_at);
  if new.deleted_at is distinct from old.deleted_at and new.deleted_at is not null then
    new.deleted_at := now();
  end if;
  return new;
end
$$;

create function private.organizations_after_update() returns trigger
language plpgsql
security definer
set search_path = ''
as $$
begin
  update public.organization_members set live = new.deleted_at is null where org_id = new.id;
  return null;
end
$$;

-- With the owner's rights: whoever leaves may not change the organisation, and must not hide an owner.
create function private.organization_members_before_change() returns trigger
language plpgsql
security definer
set search_path = ''
as $$
declare
  org_is_live boolean;
begin
  if tg_op = 'UPDATE' then
    new.org_id := old.org_id;
    new.user_id := old.user_id;
    new.created_at := old.created_at;
    new.version := old.version + 1;
    new.updated_at := greatest(now(), old.updated_at);
  end if;

  -- What a member is shown of an organisation has their role in it. And first of all: two owners who leave
  -- together wait for each other here, and the second one then sees that the first has gone.
  update public.organizations set version = version + 1 where id = coalesce(new.org_id, old.org_id)
    returning deleted_at is null into org_is_live;

  -- Not found: the organisation itself is being deleted, or made.
  if not found then
    return coalesce(new, old);
  end if;
  if tg_op = 'INSERT' then
    new.live := org_is_live;
  end if;
  -- Everybody may leave; what else there is to change is for owners.
  if tg_op = 'UPDATE' or tg_op = 'DELETE' and old.user_id is distinct from (select auth.uid()) then
    perform private.require_role(old.org_id, 'owner');
  end if;
  -- An account that is being deleted may be the last owner's as well; nobody is promoted then, as nobody else was
  -- trusted with that much.
  if tg_op in ('UPDATE', 'DELETE')
    and old.role = 'owner'
    and new.role is distinct from 'owner'
    and exists (select from auth.users where id = old.user_id)
    and not exists (
      select from public.organization_members as others
        where others.org_id = old.org_id and others.role = 'owner' and others.user_id <> old.user_id
    )
  then
    -- PostgREST answers it as 409.
    raise sqlstate 'PT409' using message = 'last owner';
  end if;
  return coalesce(new, old);
end
$$;

create function private.organization_invitations_after_change() returns trigger
language plpgsql
security definer
set search_path = ''
as $$
begin
  -- Those of an organisation or an account that is deleted go with it, whoever deletes that.
  if tg_op = 'INSERT' or pg_trigger_depth() = 1 then
    perform private.require_role(coalesce(new.org_id, old.org_id), 'owner');
  end if;
  return null;
end
$$;

create trigger organizations_before_update before update on public.organizations
  for each row execute function private.organizations_before_update();
create trigger organizations_after_update after update of deleted_at on public.organizations
  for each row when (old.deleted_at is distinct from new.deleted_at) execute function private.organizations_after_update();
-- Not of `live`, which is no change of who is what.
create trigger organization_members_before_change
  before insert or delete or update of org_id, user_id, role, version, created_at, updated_at on public.organization_members
  for each row execute function private.organization_members_before_change();
create trigger organization_invitations_after_change after insert or delete on public.organization_invitations
  for each row execute function private.organization_invitations_after_change();


-- What is more than one row: a definer function in the private schema, and what PostgREST can call has no rights
-- of its own. Its body is resolved when it is made, so its callers need no usage of that schema.

-- One statement: the foreign key is looked at when it ends. The owner comes first, so that this is no change of an
-- organisation that is there, and its version is 1.
create function private.create_organization(org_name text) returns setof public.organizations
language sql
security definer
set search_path = ''
as $$
  with owner as (
    insert into public.organization_members (org_id, user_id, role)
      values (gen_random_uuid(), (select auth.uid()), 'owner')
      returning org_id
  )
  insert into public.organizations (id, name) select org_id, org_name from owner
    returning *
$$;

create function public.create_organization(org_name text) returns setof public.organizations
language sql
security invoker
set search_path = ''
begin atomic
  select * from private.create_organization(org_name);
end;

-- No row if the token is good for nothing: nobody learns whether it ever was. Of those who bring it together,
-- one finds it unused.
create function private.accept_invitation(invitation_token text) returns setof public.organizations
language plpgsql
security definer
set search_path = ''
as $$
declare
  accepted public.organization_invitations;
begin
  -- First the lock that every change of members takes: the maker could be removed between what follows.
  perform from public.organizations
    where id = (
      select invitation.org_id from public.organization_invitations as invitation
        where invitation.token_digest = encode(sha256(convert_to(invitation_token, 'UTF8')), 'hex')
    )
    for no key update;

  update public.organization_invitations as invitation
    set accepted_at = now(), accepted_by = (select auth.uid())
    -- Hashed here, or else the digest would do for a token.
    where invitation.token_digest = encode(sha256(convert_to(invitation_token, 'UTF8')), 'hex')
      and invitation.accepted_at is null
      and invitation.expires_at > now()
      and exists (
        select from public.organizations as orgs
          where orgs.id = invitation.org_id and orgs.deleted_at is null
      )
      -- Whoever is removed could have put one by for the way back.
      and exists (
        select from public.organization_members as members
          where members.org_id = invitation.org_id
            and members.user_id = invitation.created_by
            and members.role = 'owner'
      )
    returning * into accepted;
  if not found then
    return;
  end if;

  insert into public.organization_members (org_id, user_id, role)
    values (accepted.org_id, accepted.accepted_by, accepted.role)
    on conflict (org_id, user_id) do nothing;
  if not found then
    -- All of it is undone, so the invitation is good for somebody else.
    raise sqlstate 'PT409' using message = 'already a member';
  end if;
  return query select * from public.organizations where id = accepted.org_id;
end
$$;

create function public.accept_invitation(invitation_token text) returns setof public.organizations
language sql
security invoker
set search_path = ''
begin atomic
  select * from private.accept_invitation(invitation_token);
end;

-- The caller's organisations and what the caller is in them.
create view public.my_organizations with (security_invoker = true) as
  select orgs.id, orgs.name, members.role, orgs.version, orgs.created_at, orgs.updated_at
    from public.organizations as orgs
    join public.organization_members as members on members.org_id = orgs.id
    where members.user_id = (select auth.uid()) and orgs.deleted_at is null;


-- Row Level Security

alter table public.organizations enable row level security;
alter table public.organization_members enable row level security;
alter table public.organization_invitations enable row level security;

-- An owner's soft delete gets by although only live organisations may be seen: the helper is stable, and knows
-- what was there when the statement began. Afterwards nobody sees it, so nobody undoes it; who waited is asked again.
create policy organizations_select_member on public.organizations
  for select to authenticated
  using (id = any (array(select id from private.org_ids('viewer') as id)));

create policy organizations_update_owner on public.organizations
  for update to authenticated
  using (id = any (array(select id from private.org_ids('owner') as id)))
  with check (id = any (array(select id from private.org_ids('owner') as id)));

create policy organization_members_select_member on public.organization_members
  for select to authenticated
  using (org_id = any (array(select id from private.org_ids('viewer') as id)));

create policy organization_members_update_owner on public.organization_members
  for update to authenticated
  using (org_id = any (array(select id from private.org_ids('owner') as id)))
  with check (org_id = any (array(select id from private.org_ids('owner') as id)));

create policy organization_members_delete_owner on public.organization_members
  for delete to authenticated
  using (org_id = any (array(select id from private.org_ids('owner') as id)));

-- Leaving.
create policy organization_members_delete_self on public.organization_members
  for delete to authenticated
  using ((select auth.uid()) = user_id and org_id = any (array(select id from private.org_ids('viewer') as id)));

create policy organization_invitations_select_owner on public.organization_invitations
  for select to authenticated
  using (org_id = any (array(select id from private.org_ids('owner') as id)));

create policy organization_invitations_insert_owner on public.organization_invitations
  for insert to authenticated
  with check ((select auth.uid()) = created_by and org_id = any (array(select id from private.org_ids('owner') as id)));

create policy organization_invitations_delete_owner on public.organization_invitations
  for delete to authenticated
  using (org_id = any (array(select id from private.org_ids('owner') as id)));


-- Notes of an organisation

-- Null: the author's own.
alter table public.notes add column org_id uuid references public.organizations (id) on delete cascade;

-- For the policies and for the cascade from organizations.
create index notes_org_id_idx on public.notes (org_id) where org_id is not null;

-- A page of an author's own notes or of an organisation's, live or deleted, is one index range.
drop index public.notes_active_idx;
drop index public.notes_deleted_idx;
create index notes_active_idx on public.notes (user_id, created_at desc, id desc)
  where org_id is null and deleted_at is null;
create index notes_deleted_idx on public.notes (user_id, created_at desc, id desc)
  where org_id is null and deleted_at is not null;
create index notes_org_active_idx on public.notes (org_id, created_at desc, id desc)
  where org_id is not null and deleted_at is null;
create index notes_org_deleted_idx on public.notes (org_id, created_at desc, id desc)
  where org_id is not null and deleted_at is not null;

create or replace function private.notes_before_update() returns trigger
language plpgsql
set search_path = ''
as $$
begin
  new.id := old.id;
  new.user_id := old.user_id;
  -- Otherwise an editor could take a note home, or put one of theirs where others write.
  new.org_id := old.org_id;
  new.created_at := old.created_at;
  new.version := old.version + 1;
  -- now() is when the transaction began, which may be before a change that it waited for.
  new.updated_at := greatest(now(), old.updated_at);
  if new.deleted_at is distinct from old.deleted_at and new.deleted_at is not null then
    new.deleted_at := now();
  end if;
  return new;
end
$$;

create function private.notes_require_editor() returns trigger
language plpgsql
security definer
set search_path = ''
as $$
begin
  perform private.require_role(new.org_id, 'editor');
  return null;
end
$$;

-- After, so that nothing that the statement may still wait for comes later.
create trigger notes_require_editor after insert or update on public.notes
  for each row when (new.org_id is not null) execute function private.notes_require_editor();

-- A note of an organisation is its members' by their roles, any other its author's: who wrote an organisation's note is
-- no reason to see it, and an author who was removed is as anybody else.
--
-- As one CASE, where two policies would read as well. Those are combined with OR, which the planner takes to be true of
-- next to no row that a query's own `user_id = ...` has found already: it then reads and sorts all notes of a
-- user to show a page of 20, in place of the first 21 of an index (npm run rls:cost). The price is that a query which
-- names neither a user nor an organisation reads the table; the Worker makes none.
drop policy notes_select_own on public.notes;
drop policy notes_insert_own on public.notes;
drop policy notes_update_own on public.notes;

create policy notes_select on public.notes
  for select to authenticated
  using (
    case
      when org_id is null then (select auth.uid()) = user_id
      else org_id = any (array(select id from private.org_ids('viewer') as id))
    end
  );

create policy notes_insert on public.notes
  for insert to authenticated
  with check (
    (select auth.uid()) = user_id
    and (org_id is null or org_id = any (array(select id from private.org_ids('editor') as id)))
  );

create policy notes_update on public.notes
  for update to authenticated
  using (
    case
      when org_id is null then (select auth.uid()) = user_id
      else org_id = any (array(select id from private.org_ids('editor') as id))
    end
  )
  with check (
    case
      when org_id is null then (select auth.uid()) = user_id
      else org_id = any (array(select id from private.org_ids('editor') as id))
    end
  );


-- As before, and `note_org` is the organisation of the note. A key that made a note elsewhere was used for something
-- else.
drop function public.create_note_once(text, text, text, text);
create function public.create_note_once(
  request_key text, request_digest text, note_title text, note_body text, note_org uuid default null
)
returns setof public.notes
language plpgsql
security invoker
set search_path = ''
as $$
declare
  made uuid;
begin
  insert into public.idempotency_keys as known (key, digest, note_id)
    values (request_key, request_digest, gen_random_uuid())
    on conflict (user_id, key) do update
      set digest = excluded.digest, note_id = excluded.note_id, created_at = excluded.created_at
      where known.created_at <= now() - interval '24 hours'
    returning known.note_id into made;
  if made is not null then
    return query
      insert into public.notes (id, title, body, org_id) values (made, note_title, note_body, note_org)
      returning *;
  else
    return query
      select notes.* from public.notes
        join public.idempotency_keys as known on known.note_id = notes.id
        where known.user_id = (select auth.uid())
          and known.key = request_key
          and known.digest = request_digest
          and notes.org_id is not distinct from note_org;
  end if;
end
$$;


-- Grants

create function private.grants_organizations() returns void
language sql
set search_path = ''
as $$
  revoke all on table public.organizations, public.my_organizations, private.memberships
    from public, anon, authenticated, service_role;
  -- What a policy names its caller reads; nobody else can name it, which takes usage of the schema.
  grant select on table private.memberships to authenticated;
  grant
    select (id, name, version, created_at, updated_at, deleted_at),
    update (name, deleted_at)
    on table public.organizations to authenticated;
  grant select (id, name, role, version, created_at, updated_at) on table public.my_organizations to authenticated;
  revoke all on function public.create_organization(text) from public, anon, authenticated, service_role;
  -- Not one of them can be named by a caller: that takes usage of the schema.
  grant execute
    on function private.org_ids(text), private.create_organization(text), public.create_organization(text)
    to authenticated;
$$;

create function private.grants_organization_members() returns void
language sql
set search_path = ''
as $$
  revoke all on table public.organization_members from public, anon, authenticated, service_role;
  grant
    select (org_id, user_id, role, version, created_at, updated_at, live),
    update (role),
    delete
    on table public.organization_members to authenticated;
$$;

create function private.grants_organization_invitations() returns void
language sql
set search_path = ''
as $$
  revoke all on table public.organization_invitations from public, anon, authenticated, service_role;
  -- The digest goes in and never out.
  grant
    select (id, org_id, role, created_by, created_at, expires_at, accepted_at, accepted_by),
    insert (id, org_id, role, token_digest),
    delete
    on table public.organization_invitations to authenticated;
  revoke all on function public.accept_invitation(text) from public, anon, authenticated, service_role;
  grant execute on function private.accept_invitation(text), public.accept_invitation(text) to authenticated;
$$;

create or replace function private.grants_notes() returns void
language sql
set search_path = ''
as $$
  revoke all on table public.notes from public, anon, authenticated, service_role;
  grant
    select (id, user_id, title, body, version, created_at, updated_at, deleted_at, search, org_id),
    insert (id, title, body, org_id),
    update (title, body, deleted_at)
    on table public.notes to authenticated;
$$;

create or replace function private.grants_idempotency_keys() returns void
language sql
set search_path = ''
as $$
  revoke all on table public.idempotency_keys from public, anon, authenticated, service_role;
  grant
    select (user_id, key, digest, note_id, created_at),
    insert (key, digest, note_id),
    update (digest, note_id, created_at)
    on table public.idempotency_keys to authenticated;
  revoke all on function public.create_note_once(text, text, text, text, uuid) from public, anon, authenticated, service_role;
  grant execute on function public.create_note_once(text, text, text, text, uuid) to authenticated;
$$;

select private.apply_grants();
