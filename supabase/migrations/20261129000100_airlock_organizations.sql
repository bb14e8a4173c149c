-- Organisations: viewers read, editors write, owners manage. A member's role decides about a row of an organisation,
-- not its author. PostgREST reaches these tables only through the functions public.airlock_*.
--
-- This file is optional. It replaces the core's placeholder functions.

create table airlock.organizations (
  id uuid not null default gen_random_uuid() primary key,
  name text not null,
  version integer not null default 1,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  deleted_at timestamptz,

  constraint organizations_name_length check (char_length(name) between 1 and 200),
  constraint organizations_name_trimmed check (airlock.is_trimmed(name))
);
-- The planner's statistics are visible in EXPLAIN, so names have no statistics.
alter table airlock.organizations alter column name set statistics 0;
create index organizations_due_idx on airlock.organizations (deleted_at) where deleted_at is not null;

create table airlock.members (
  org_id uuid not null references airlock.organizations (id) on delete cascade,
  user_id uuid not null references auth.users (id) on delete cascade,
  role text not null,
  version integer not null default 1,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  -- Whether the organisation is not deleted; kept by triggers. Policies need it in every statement, and one table
  -- answers faster than two.
  live boolean not null default true,

  primary key (org_id, user_id),
  constraint members_role_known check (role in ('owner', 'editor', 'viewer'))
);
-- For the policies' helper and for the cascade from auth.users, which so locks the organisations in order.
create index members_user_idx on airlock.members (user_id, org_id);
create index members_page_idx on airlock.members (org_id, created_at desc, user_id desc);

-- An invitation is a token that is good once. The token is made outside the database, which stores its digest: a copy
-- of this table has no usable token.
create table airlock.invitations (
  id uuid not null default gen_random_uuid() primary key,
  org_id uuid not null references airlock.organizations (id) on delete cascade,
  role text not null,
  -- SHA-256 of the token, in hex.
  token_digest text not null unique,
  created_by uuid not null default auth.uid() references auth.users (id) on delete cascade,
  created_at timestamptz not null default now(),
  expires_at timestamptz not null default now() + interval '7 days',
  accepted_at timestamptz,
  accepted_by uuid references auth.users (id) on delete set null,

  constraint invitations_role_known check (role in ('owner', 'editor', 'viewer')),
  constraint invitations_token_digest_form check (token_digest ~ '^[0-9a-f]{64}$')
);
create index invitations_page_idx on airlock.invitations (org_id, created_at desc, id desc);
create index invitations_due_idx on airlock.invitations (expires_at);
-- For the actions on a deleted account.
create index invitations_created_by_idx on airlock.invitations (created_by);
create index invitations_accepted_by_idx on airlock.invitations (accepted_by) where accepted_by is not null;


-- Roles

-- The caller's role in each live organisation. Policies read it, the policy of members among them: with the caller's
-- rights that policy would call itself without end. A view has its owner's rights, and members is not under FORCE for that.
create view airlock.memberships as
  select org_id, role from airlock.members where user_id = (select auth.uid()) and live;

-- The organisations in which the caller has at least this role; none for an unknown role. Policies write
-- `array(select id from airlock.org_ids(...) as id)`: read once a statement, and an index can use it. The function has
-- no rights and no settings of its own, so that the planner inlines it: a call would make lists a fifth slower.
create function airlock.org_ids(at_least text) returns setof uuid
language sql stable
begin atomic
  select org_id from airlock.memberships
    where case at_least
      when 'viewer' then role in ('viewer', 'editor', 'owner')
      when 'editor' then role in ('editor', 'owner')
      when 'owner' then role = 'owner'
    end;
end;

-- For anon's policies: anon is a member of nothing, and sees published rows of live organisations.
create or replace function airlock.org_is_live(org uuid) returns boolean
language sql stable security definer set search_path = '' as $$
  select exists (select from airlock.organizations where id = org and deleted_at is null)
$$;

-- Outsiders get the same answer for a foreign organisation and for a missing one.
create or replace function airlock.require_member(org uuid) returns void
language plpgsql stable security definer set search_path = '' as $$
begin
  if not exists (select from airlock.memberships where org_id = org) then
    raise sqlstate 'PT404' using message = 'airlock_not_found';
  end if;
end
$$;

-- Policies are checked as a statement begins. One that waited for a lock may run for a caller who has lost the role
-- meanwhile, so triggers check again. (In READ COMMITTED each statement of a trigger has a new snapshot.)
create or replace function airlock.require_role(org uuid, at_least text) returns void
language plpgsql security definer set search_path = '' as $$
begin
  -- Jobs and the cascade of a deleted account have no such caller.
  if coalesce(current_setting('role', true), 'none') <> 'none'
    and (select auth.uid()) is not null
    and not exists (select from airlock.org_ids(at_least) as id where id = org)
  then
    raise insufficient_privilege using message = 'row-level security: the caller does not have this role in the organisation';
  end if;
end
$$;

-- For the tables of resources: after insert or update, when the row has an org_id.
create function airlock.require_editor() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
  -- Only the foreign key changes user_id, when the author's account is deleted.
  if tg_op = 'INSERT' or new.user_id is not distinct from old.user_id then
    perform airlock.require_role(new.org_id, 'editor');
  end if;
  return null;
end
$$;


-- Triggers

create function airlock.organizations_before_update() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
  -- A change of members comes by their trigger and counts the version up; its caller may be leaving.
  if pg_trigger_depth() = 1 then
    perform airlock.require_role(old.id, 'owner');
  end if;
  new.version := old.version + 1;
  -- now() is when the transaction began, which may be before a change that it waited for.
  new.updated_at := greatest(now(), old.updated_at);
  if new.deleted_at is distinct from old.deleted_at then
    new.deleted_at := case when new.deleted_at is not null then now() end;
    update airlock.members set live = new.deleted_at is null where org_id = new.id;
  end if;
  return new;
end
$$;

-- Definer: a member who leaves may not change the organisation, and the last owner is found also where the caller does not see them.
create function airlock.members_before_change() returns trigger
language plpgsql security definer set search_path = '' as $$
declare
  account_is_gone constant boolean := tg_op = 'DELETE' and not exists (select from auth.users where id = old.user_id);
  org_is_live boolean;
begin
  if tg_op = 'UPDATE' then
    new.version := old.version + 1;
    new.updated_at := greatest(now(), old.updated_at);
  end if;

  -- An account that is no owner's leaves without a decision, and waits for no lock: the deletion of the last owner's
  -- account, which may hold it, changes `live` of this row. The version is then left to the holder of the lock.
  if account_is_gone and old.role <> 'owner' then
    update airlock.organizations set version = version + 1
      where id = (select id from airlock.organizations where id = old.org_id for no key update skip locked);
    return old;
  end if;

  -- A member is shown the organisation with their role, so its version counts. This is also the lock. When two owners
  -- leave at once, the second waits here and then sees that the first has left.
  update airlock.organizations set version = version + 1 where id = coalesce(new.org_id, old.org_id)
    returning deleted_at is null into org_is_live;

  -- Not found: the organisation itself is being made or deleted.
  if not found then
    return coalesce(new, old);
  end if;
  if tg_op = 'INSERT' then
    new.live := org_is_live;
    return new;
  end if;
  -- A deleted account leaves, also as the last owner: members_after_delete.
  if account_is_gone then
    return old;
  end if;
  -- Every member may leave; other changes are for owners.
  if tg_op = 'UPDATE' or old.user_id is distinct from (select auth.uid()) then
    perform airlock.require_role(old.org_id, 'owner');
  end if;
  if org_is_live
    and old.role = 'owner'
    and new.role is distinct from 'owner'
    and not exists (
      select from airlock.members as others
        where others.org_id = old.org_id and others.role = 'owner' and others.user_id <> old.user_id
    )
  then
    raise sqlstate 'PT409' using message = 'airlock_last_owner';
  end if;
  return coalesce(new, old);
end
$$;

-- No other member was trusted with an owner's rights, so none is promoted when the last owner's account is deleted. The
-- organisation is deleted with it, and its published rows disappear, too.
create function airlock.members_after_delete() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
  update airlock.organizations set deleted_at = now()
    where id = old.org_id
      and deleted_at is null
      and not exists (select from airlock.members where org_id = old.org_id and role = 'owner');
  return null;
end
$$;

create function airlock.invitations_after_change() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
  -- Invitations are deleted with their organisation and with their creator's account.
  if exists (select from airlock.organizations where id = coalesce(new.org_id, old.org_id))
    and exists (select from auth.users where id = coalesce(new.created_by, old.created_by))
  then
    perform airlock.require_role(coalesce(new.org_id, old.org_id), 'owner');
  end if;
  return null;
end
$$;

create trigger organizations_before_update before update on airlock.organizations
  for each row execute function airlock.organizations_before_update();
-- Not for updates of `live`, which the organisation's trigger writes. Callers may update nothing but the role.
create trigger members_before_change before insert or delete or update of role on airlock.members
  for each row execute function airlock.members_before_change();
create trigger members_after_delete after delete on airlock.members
  for each row when (old.role = 'owner') execute function airlock.members_after_delete();
create trigger invitations_after_change after insert or delete on airlock.invitations
  for each row execute function airlock.invitations_after_change();


-- Row Level Security

alter table airlock.organizations enable row level security;
alter table airlock.members enable row level security;
alter table airlock.invitations enable row level security;

-- An owner's soft delete passes although only live organisations are visible: org_ids is stable and sees the state at
-- the start of the statement. Afterwards no caller sees the organisation or can restore it.
create policy organizations_select on airlock.organizations for select to authenticated
  using (id = any (array(select id from airlock.org_ids('viewer') as id)));
create policy organizations_update on airlock.organizations for update to authenticated
  using (id = any (array(select id from airlock.org_ids('owner') as id)));

create policy members_select on airlock.members for select to authenticated
  using (org_id = any (array(select id from airlock.org_ids('viewer') as id)));
create policy members_update on airlock.members for update to authenticated
  using (org_id = any (array(select id from airlock.org_ids('owner') as id)));
create policy members_delete on airlock.members for delete to authenticated
  using (org_id = any (array(select id from airlock.org_ids('owner') as id)));
create policy members_leave on airlock.members for delete to authenticated
  using ((select auth.uid()) = user_id and org_id = any (array(select id from airlock.org_ids('viewer') as id)));

create policy invitations_select on airlock.invitations for select to authenticated
  using (org_id = any (array(select id from airlock.org_ids('owner') as id)));
create policy invitations_insert on airlock.invitations for insert to authenticated
  with check ((select auth.uid()) = created_by and org_id = any (array(select id from airlock.org_ids('owner') as id)));
-- For another token; not after the invitation was accepted, which its new holder could not use.
create policy invitations_update on airlock.invitations for update to authenticated
  using (
    (select auth.uid()) = created_by and accepted_at is null and expires_at > now()
    and org_id = any (array(select id from airlock.org_ids('owner') as id))
  );
create policy invitations_delete on airlock.invitations for delete to authenticated
  using (org_id = any (array(select id from airlock.org_ids('owner') as id)));

select airlock.close_table(relation) from unnest(array['airlock.organizations', 'airlock.members', 'airlock.invitations']::regclass[]) as relation;


-- Reading

-- Rows as the API shows them (wire), and the columns that pages and decisions need. Invoker views: the policies hold.
create view airlock.org_rows with (security_invoker = true) as
  select orgs.id as org_id, orgs.id, members.role, orgs.version, orgs.created_at,
      (select row_to_json(w) from (
        select orgs.id, orgs.name, members.role, orgs.version,
          airlock.wire_time(orgs.created_at) as created_at, airlock.wire_time(orgs.updated_at) as updated_at
      ) as w) as wire
    from airlock.organizations as orgs join airlock.members on members.org_id = orgs.id
    where members.user_id = (select auth.uid()) and orgs.deleted_at is null;

create view airlock.member_rows with (security_invoker = true) as
  select org_id, user_id as id, version, created_at,
      (select row_to_json(w) from (
        select user_id, role, version, airlock.wire_time(created_at) as created_at, airlock.wire_time(updated_at) as updated_at
      ) as w) as wire
    from airlock.members;

create view airlock.invitation_rows with (security_invoker = true) as
  select org_id, id, created_at,
      (select row_to_json(w) from (
        select id, role, airlock.wire_time(created_at) as created_at, airlock.wire_time(expires_at) as expires_at,
          airlock.wire_time(accepted_at) as accepted_at
      ) as w) as wire
    from airlock.invitations;

-- A page of one of these views, of one organisation or of all, as the JSON that clients get.
create function airlock.page(rows_of regclass, org uuid, after text, page_size integer) returns json
language plpgsql stable set search_path = '' as $$
declare
  reached text[];
  page json;
begin
  if (page_size between 1 and 100) is not true then
    raise invalid_parameter_value using message = 'airlock: a page has 1 to 100 rows';
  end if;
  if after is not null then
    reached := airlock.read_cursor(after, rows_of::text, 'timestamptz', 'uuid');
  end if;
  execute format(
    'select row_to_json(page) from (
      select
        array_to_json(coalesce(array_agg(wire order by place) filter (where place <= $4), ''{}'')) as data,
        case when count(*) > $4 then
          max(airlock.cursor(json_build_array($5, created_at, id))) filter (where place = $4)
        end as next_cursor
      from (
        select created_at, id, wire, row_number() over (order by created_at desc, id desc) as place from (
          select created_at, id, wire from %s where %s and (created_at, id) < ($2, $3)
            order by created_at desc, id desc limit $4 + 1
        ) as found
      ) as numbered
    ) as page',
    rows_of, case when org is null then 'true' else 'org_id = $1' end
  )
  into page
  using org, coalesce(reached[1]::timestamptz, 'infinity'), coalesce(reached[2]::uuid, 'ffffffff-ffff-ffff-ffff-ffffffffffff'),
    page_size, rows_of::text;
  return page;
end
$$;

create function public.airlock_orgs(after text, page_size integer) returns json
language sql stable set search_path = ''
as $$ select airlock.page('airlock.org_rows', null, after, page_size) $$;

create function public.airlock_org(org uuid) returns json
language sql stable set search_path = ''
as $$ select wire from airlock.org_rows where id = org $$;

create function public.airlock_members(org uuid, after text, page_size integer) returns json
language plpgsql stable set search_path = '' as $$
begin
  perform airlock.require_member(org);
  return airlock.page('airlock.member_rows', org, after, page_size);
end
$$;

create function public.airlock_member(org uuid, member uuid) returns json
language sql stable set search_path = ''
as $$ select wire from airlock.member_rows where org_id = org and id = member $$;

create function public.airlock_invitations(org uuid, after text, page_size integer) returns json
language plpgsql stable set search_path = '' as $$
begin
  perform airlock.require_member(org);
  perform airlock.require_role(org, 'owner');
  return airlock.page('airlock.invitation_rows', org, after, page_size);
end
$$;


-- Writing. Each function locks, refuses a copy that was carried out meanwhile, decides, writes and claims the nonce.
-- Definer functions make changes beyond a member's own rights; no caller of PostgREST can name them.

-- All writes in one organisation wait for each other here, so a decision made afterwards stays true until the write.
-- First the accounts, whose deletion locks an account, its memberships and then their organisations. Outsiders lock
-- nothing.
create function airlock.lock_organization(org uuid, member uuid default null, everybody boolean default false) returns void
language plpgsql security definer set search_path = '' as $$
begin
  perform airlock.check_edge();
  if exists (select from airlock.memberships where org_id = org) then
    perform from auth.users
      where id = any (array(select user_id from airlock.members where org_id = org and everybody) || auth.uid() || member)
      order by id for key share;
    perform from airlock.organizations where id = org for no key update;
  end if;
  perform airlock.refuse_copy();
end
$$;

-- Makes an organisation whose owner is the caller. The owner comes first: so this is not a change of an organisation that
-- exists, and its version stays 1. (The foreign key is checked at the end of the statement.)
create function airlock.make_organization(new_id uuid, org_name text) returns void
language sql security definer set search_path = '' as $$
  with owner as (
    insert into airlock.members (org_id, user_id, role) values (new_id, auth.uid(), 'owner') returning org_id
  )
  insert into airlock.organizations (id, name) select org_id, org_name from owner
$$;

-- created(row), reused: the key belongs to another request, deleted: the caller is no longer in the key's organisation.
create function public.airlock_org_create(org_name text, request_key text default null, request_digest text default null) returns json
language plpgsql set search_path = '' as $$
declare
  new_id constant uuid := gen_random_uuid();
  target uuid := new_id;
  made json;
begin
  perform airlock.check_edge();
  perform airlock.refuse_copy();
  if request_key is not null then
    target := airlock.use_key(request_key, request_digest, 'orgs', new_id::text);
  end if;
  if target is null then
    return airlock.outcome('reused');
  end if;
  if target = new_id then
    -- Copies wait for the claim, and so report no error that the first one caused.
    perform airlock.claim();
    perform airlock.make_organization(new_id, org_name);
  end if;
  select wire into made from airlock.org_rows where id = target;
  return airlock.outcome(case when found then 'created' else 'deleted' end, made);
end
$$;

-- Actions: rename, delete. done(row; none after delete), mismatch(row), missing, forbidden: the caller is not an owner.
create function public.airlock_org_change(org uuid, action text, org_name text, if_match bigint) returns json
language plpgsql set search_path = '' as $$
declare
  current airlock.org_rows;
begin
  perform airlock.lock_organization(org, everybody => action = 'delete');
  select * into current from airlock.org_rows where id = org;
  if not found then
    return airlock.outcome('missing');
  elsif current.version <> if_match then
    return airlock.outcome('mismatch', current.wire);
  elsif current.role <> 'owner' then
    return airlock.outcome('forbidden');
  end if;

  case action
    when 'rename' then update airlock.organizations set name = org_name where id = org;
    when 'delete' then update airlock.organizations set deleted_at = now() where id = org;
    else raise invalid_parameter_value using message = 'airlock_org_change: unknown action';
  end case;
  perform airlock.claim();
  return airlock.outcome('done', public.airlock_org(org));
end
$$;

-- Actions: set_role, remove. done(row; none after remove), mismatch(row), missing, forbidden.
create function public.airlock_member_change(org uuid, member uuid, action text, member_role text, if_match bigint) returns json
language plpgsql set search_path = '' as $$
declare
  leaves constant boolean := action = 'remove' and member = auth.uid();
  current airlock.member_rows;
begin
  perform airlock.lock_organization(org, member);
  select * into current from airlock.member_rows where org_id = org and id = member;
  if not found then
    return airlock.outcome('missing');
  elsif current.version <> if_match then
    return airlock.outcome('mismatch', current.wire);
  elsif not leaves and not exists (select from airlock.org_ids('owner') as id where id = org) then
    return airlock.outcome('forbidden');
  end if;

  case action
    when 'set_role' then update airlock.members set role = member_role where org_id = org and user_id = member;
    when 'remove' then delete from airlock.members where org_id = org and user_id = member;
    else raise invalid_parameter_value using message = 'airlock_member_change: unknown action';
  end case;
  perform airlock.claim();
  return airlock.outcome('done', public.airlock_member(org, member));
end
$$;

-- created(row), reused, deleted: accepted or revoked since. A known key gives its invitation another token, because the
-- earlier one may be lost with its answer.
create function public.airlock_invite(
  org uuid, member_role text, token_digest text, request_key text default null, request_digest text default null
) returns json
language plpgsql set search_path = '' as $$
declare
  new_id constant uuid := gen_random_uuid();
  target uuid := new_id;
begin
  if request_key is not null then
    target := airlock.use_key(request_key, request_digest, 'orgs/' || org || '/invitations', new_id::text);
  end if;
  perform airlock.lock_organization(org);
  perform airlock.require_member(org);
  perform airlock.require_role(org, 'owner');
  if target is null then
    return airlock.outcome('reused');
  elsif target = new_id then
    insert into airlock.invitations (id, org_id, role, token_digest) values (new_id, org, member_role, token_digest);
  else
    update airlock.invitations set token_digest = airlock_invite.token_digest where org_id = org and id = target;
    if not found then
      return airlock.outcome('deleted');
    end if;
  end if;
  perform airlock.claim();
  return airlock.outcome('created', (select wire from airlock.invitation_rows where org_id = org and id = target));
end
$$;

-- done, missing, forbidden.
create function public.airlock_invitation_revoke(org uuid, invitation uuid) returns json
language plpgsql set search_path = '' as $$
declare
  own_role text;
begin
  perform airlock.lock_organization(org);
  select role into own_role from airlock.org_rows where id = org;
  if own_role <> 'owner' then
    return airlock.outcome('forbidden');
  end if;
  delete from airlock.invitations where org_id = org and id = invitation;
  if not found then
    return airlock.outcome('missing');
  end if;
  perform airlock.claim();
  return airlock.outcome('done');
end
$$;

-- Makes the caller a member of the token's organisation, and returns its id; null for a token that is not valid, or no
-- longer.
create function airlock.accept_invitation(invitation_token text) returns uuid
language plpgsql security definer set search_path = '' as $$
declare
  caller constant uuid := auth.uid();
  -- Hashed here, or else the digest would work as a token.
  digest constant text := encode(sha256(convert_to(invitation_token, 'UTF8')), 'hex');
  invitation airlock.invitations;
begin
  -- The locks of lock_organization(): a change of members could come between the following statements. When several
  -- callers use one token at once, only the first finds it unused.
  perform from auth.users where id = caller for key share;
  perform from airlock.organizations as orgs
    where orgs.id = (select known.org_id from airlock.invitations as known where known.token_digest = digest)
    for no key update;
  perform airlock.refuse_copy();
  select known.* into invitation from airlock.invitations as known
    join airlock.organizations as orgs on orgs.id = known.org_id
    where known.token_digest = digest and orgs.deleted_at is null
    for update of known;
  if not found then
    return null;
  end if;

  -- The answer to an earlier request may be lost.
  if invitation.accepted_by = caller and exists (select from airlock.memberships where org_id = invitation.org_id) then
    return invitation.org_id;
  end if;
  if invitation.accepted_at is not null
    or invitation.expires_at <= now()
    -- A removed owner could have kept an invitation of their own to return by.
    or not exists (
      select from airlock.members as members
        where members.org_id = invitation.org_id and members.user_id = invitation.created_by and members.role = 'owner'
    )
  then
    return null;
  end if;

  insert into airlock.members (org_id, user_id, role) values (invitation.org_id, caller, invitation.role)
    on conflict (org_id, user_id) do nothing;
  if not found then
    -- The invitation stays valid for another user.
    raise sqlstate 'PT409' using message = 'airlock_already_member';
  end if;
  update airlock.invitations set accepted_at = now(), accepted_by = caller where id = invitation.id;
  perform airlock.claim();
  return invitation.org_id;
end
$$;

-- done(row), missing.
create function public.airlock_join(invitation_token text) returns json
language plpgsql set search_path = '' as $$
declare
  org uuid;
  joined json;
begin
  perform airlock.check_edge();
  org := airlock.accept_invitation(invitation_token);
  joined := public.airlock_org(org);
  return airlock.outcome(case when joined is null then 'missing' else 'done' end, joined);
end
$$;


-- Scheduled jobs: see airlock_run_job() in the core

-- For organisations that were deleted at `due` or before: deletes at most that many rows of resources, then the
-- organisations that have none left.
create or replace function airlock.purge_organizations(due timestamptz, at_most integer) returns integer
language plpgsql set search_path = '' as $$
declare
  remaining integer := at_most;
  before integer;
  gone integer;
  resource airlock.resources;
  no_rows text;
  orgs uuid[];
begin
  -- A row to which a required ref points goes after the rows that refer to it: in a later pass.
  loop
    before := remaining;
    for resource in select * from airlock.resources where owner <> 'user' order by name loop
      -- An array, because Postgres may evaluate a subquery with a limit more than once. The next batch takes the rows
      -- that are locked now.
      execute format(
        'delete from %1$s where id = any (array(
          select t.id from %1$s as t join airlock.organizations as orgs on orgs.id = t.org_id
            where orgs.deleted_at <= $1 %2$s limit $2 for update of t skip locked
        ))',
        resource.relation, airlock.unreferenced(resource.relation)
      ) using due, remaining;
      get diagnostics gone = row_count;
      remaining := remaining - gone;
    end loop;
    exit when remaining in (0, before);
  end loop;

  -- A row that is kept, because a user's own row has a required ref to it, keeps its organisation.
  select string_agg(format('and not exists (select from %s as t where t.org_id = orgs.id)', relation), ' ')
    into no_rows from airlock.resources where owner <> 'user';
  execute format(
    'select array(select id from airlock.organizations as orgs where deleted_at <= $1 %s order by deleted_at limit $2)', no_rows
  ) into orgs using due, remaining;
  -- Locks in the same order as the deletion of an account, the only other writer left.
  perform from airlock.members where org_id = any (orgs) order by user_id for update;
  delete from airlock.organizations where id = any (orgs) and deleted_at <= due;
  get diagnostics gone = row_count;
  return at_most - remaining + gone;
end
$$;

-- Deletes at most that many invitations that have expired, accepted or not.
create or replace function airlock.purge_invitations(at_most integer) returns integer
language plpgsql set search_path = '' as $$
declare
  deleted integer;
begin
  delete from airlock.invitations where id = any (array(
    select id from airlock.invitations where expires_at <= now()
      order by expires_at limit at_most for update skip locked
  ));
  get diagnostics deleted = row_count;
  return deleted;
end
$$;


-- Rights

grant select on table airlock.memberships, airlock.org_rows, airlock.member_rows, airlock.invitation_rows to authenticated;
grant select (id, name, version, created_at, updated_at, deleted_at), update (name, deleted_at)
  on table airlock.organizations to authenticated;
grant select (org_id, user_id, role, version, created_at, updated_at, live), update (role), delete
  on table airlock.members to authenticated;
-- Callers write the digest and cannot read it.
grant
  select (id, org_id, role, created_by, created_at, expires_at, accepted_at, accepted_by),
  insert (id, org_id, role, token_digest), update (token_digest), delete
  on table airlock.invitations to authenticated;

revoke all on all functions in schema airlock from public;
grant execute
  on function airlock.org_ids(text), airlock.page(regclass, uuid, text, integer),
    airlock.lock_organization(uuid, uuid, boolean), airlock.make_organization(uuid, text), airlock.accept_invitation(text)
  to authenticated;

-- Hosted Supabase grants new functions of the schema public to its roles.
do $$
declare
  function regprocedure;
begin
  foreach function in array array[
    'public.airlock_orgs(text, integer)', 'public.airlock_org(uuid)',
    'public.airlock_org_create(text, text, text)', 'public.airlock_org_change(uuid, text, text, bigint)',
    'public.airlock_members(uuid, text, integer)', 'public.airlock_member(uuid, uuid)',
    'public.airlock_member_change(uuid, uuid, text, text, bigint)',
    'public.airlock_invitations(uuid, text, integer)', 'public.airlock_invite(uuid, text, text, text, text)',
    'public.airlock_invitation_revoke(uuid, uuid)', 'public.airlock_join(text)'
  ] loop
    execute format('revoke all on function %s from public, anon, authenticated, service_role', function);
    execute format('grant execute on function %s to authenticated', function);
  end loop;
end
$$;
