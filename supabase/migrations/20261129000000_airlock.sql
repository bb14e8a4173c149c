-- The core of Airlock: everything that a resource's table needs, in the schema airlock, and the functions
-- public.airlock_* that the Worker calls. A resource is a row of airlock.resources; no function here knows one by name.

-- PostgREST does not expose this schema. Policies, checks and the functions below run with their caller's rights, so
-- callers need USAGE, and EXECUTE or SELECT where this file grants it.
create schema airlock;
grant usage on schema airlock to anon, authenticated, service_role;


-- Text and time

-- A timestamp as the API shows it. Not immutable and without settings of its own, so that the planner inlines it.
create function airlock.wire_time(at timestamptz) returns text
language sql stable return pg_catalog.to_char(at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"');

-- The position after a row in a list: created_at in microseconds, then id, in base64url without padding.
create function airlock.cursor(created_at timestamptz, id uuid) returns text
language sql stable return pg_catalog.rtrim(pg_catalog.translate(
  pg_catalog.encode(
    pg_catalog.int8send((extract(epoch from created_at) * 1000000)::bigint) || pg_catalog.uuid_send(id), 'base64'
  ),
  '+/' || E'\n', '-_'
), '=');

-- Whether a text neither begins nor ends with one of the 25 code points of Unicode White_Space, which the Worker trims.
-- Plain btrim knows the space alone, and SQL's \s misses U+00A0, U+2007 and U+202F.
create function airlock.is_trimmed(value text) returns boolean
language sql immutable return value = pg_catalog.btrim(
  value,
  U&'\0009\000A\000B\000C\000D\0020\0085\00A0\1680'
  '\2000\2001\2002\2003\2004\2005\2006\2007\2008\2009\200A'
  '\2028\2029\202F\205F\3000'
);

-- Whether a list of texts is one-dimensional, without nulls, and within its limits.
create function airlock.are_texts(value text[], items integer, length integer) returns boolean
language sql immutable return value is null or pg_catalog.cardinality(value) = 0 or (
  pg_catalog.array_ndims(value) = 1
  and pg_catalog.cardinality(value) <= items
  and not exists (
    select from pg_catalog.unnest(value) as text
      where (pg_catalog.char_length(text) between 1 and length) is not true
  )
);


-- Organisations, where they are left out. The next migration replaces these functions.

-- Raises PT404 unless the caller is a member of this live organisation.
create function airlock.require_member(org uuid) returns void
language plpgsql stable set search_path = '' as $$
begin
  raise sqlstate 'PT404' using message = 'airlock_not_found';
end
$$;

-- Raises insufficient_privilege unless the caller has at least this role in the organisation.
create function airlock.require_role(org uuid, at_least text) returns void
language plpgsql set search_path = '' as $$
begin
  raise insufficient_privilege using message = 'row-level security: organisations are not installed';
end
$$;

create function airlock.org_is_live(org uuid) returns boolean
language sql stable set search_path = '' as $$ select false $$;

create function airlock.purge_organizations(due timestamptz, at_most integer) returns integer
language sql set search_path = '' as $$ select 0 $$;

create function airlock.purge_invitations(at_most integer) returns integer
language sql set search_path = '' as $$ select 0 $$;


-- Claims: each app signature's nonce is good for one change by one user.

create table airlock.claims (
  -- No foreign key: its lock on the account would make requests of one user wait for each other's account changes, and
  -- the claims of a deleted account expire anyway.
  user_id uuid not null,
  -- <app id>:<nonce>
  nonce text not null,
  -- The Worker makes one for each request that it receives, so copies of a request differ in it.
  request text not null,
  expires_at timestamptz not null,

  primary key (user_id, nonce)
);
create index claims_expires_at_idx on airlock.claims (expires_at);
alter table airlock.claims enable row level security;

-- The claim that this request's X-Airlock-Claim asks for: v1.<seconds>.<request uuid>.<app id>:<nonce>. Null without the
-- header, which callers of PostgREST other than the Worker do not send, and without a user.
create function airlock.requested_claim() returns airlock.claims
language plpgsql stable set search_path = '' as $$
declare
  header constant text := nullif(current_setting('request.headers', true), '')::json ->> 'x-airlock-claim';
  seconds constant text := split_part(header, '.', 2);
  request constant text := split_part(header, '.', 3);
  nonce constant text := substr(header, length(seconds) + length(request) + 6);
begin
  if header is null or auth.uid() is null then
    return null;
  end if;
  -- With bounds and groups this pattern would cost 0.4 ms.
  if header !~ '^v1\.[1-9][0-9]*\.[0-9a-f-]+\.[A-Za-z0-9._-]+:[A-Za-z0-9_-]+$'
    or length(seconds) > 3 or length(request) <> 36
    or length(split_part(nonce, ':', 1)) > 64 or length(split_part(nonce, ':', 2)) not between 22 and 64
    or lpad(seconds, 3, '0') > '900'
  then
    raise sqlstate 'PT400' using message = 'airlock_malformed_claim';
  end if;
  return (auth.uid(), nonce, request, now() + make_interval(secs => seconds::integer))::airlock.claims;
end
$$;

-- Raises PT409 if another copy of this request was carried out. Functions call it first, so that a copy is told this and
-- no later error, and again before each answer that a copy could have caused while they waited for a lock: in READ
-- COMMITTED each statement sees what was committed before it.
create function airlock.refuse_copy() returns void
language plpgsql security definer set search_path = '' as $$
declare
  mine constant airlock.claims := airlock.requested_claim();
begin
  if exists (
    select from airlock.claims as claim
      where claim.user_id = mine.user_id and claim.nonce = mine.nonce and claim.request <> mine.request
  ) then
    raise sqlstate 'PT409' using message = 'airlock_request_replayed';
  end if;
end
$$;

-- Claims the nonce for this transaction, which is about to change a row or has changed one. A transaction that fails
-- afterwards leaves the nonce free. A copy waits here until the first one has committed or failed.
create function airlock.claim() returns void
language plpgsql security definer set search_path = ''
-- A session may plan the DELETE while the table is small, and keep the plan.
set enable_seqscan = off
as $$
declare
  mine constant airlock.claims := airlock.requested_claim();
begin
  if mine.user_id is null then
    return;
  end if;
  insert into airlock.claims select mine.* on conflict do nothing;
  if not found then
    perform airlock.refuse_copy();
  end if;
  -- Keeps the table small without a scheduled job. Locked rows are being deleted by somebody else.
  delete from airlock.claims as claim where claim.ctid = any (array(
    select expired.ctid from airlock.claims as expired where expired.expires_at < now()
      order by expired.expires_at limit 4 for update skip locked
  ));
end
$$;


-- Idempotency-Key: however often a POST with one key is sent, one row is made.

create table airlock.idempotency_keys (
  user_id uuid not null references auth.users (id) on delete cascade,
  key text not null,
  -- SHA-256, in hex, of what the request asks for: a key is for one request.
  digest text not null,
  -- Which list the row was made in.
  place text not null,
  -- The row. No foreign key, because rows of any table can be meant.
  target uuid not null,
  created_at timestamptz not null default now(),

  primary key (user_id, key),
  constraint idempotency_keys_key_form check (key ~ '^[A-Za-z0-9_-]{8,64}$'),
  constraint idempotency_keys_digest_form check (digest ~ '^[0-9a-f]{64}$')
);
create index idempotency_keys_created_at_idx on airlock.idempotency_keys (created_at);
alter table airlock.idempotency_keys enable row level security;

-- The id of the row that this key stands for. `made` itself: the key is new, or older than 24 hours, and the caller now
-- makes the row under that id. Another id: the row was made before. Null: the key was used for another request.
-- Two requests with one key wait for each other at the primary key.
create function airlock.use_key(request_key text, request_digest text, place text, made uuid) returns uuid
language plpgsql security definer set search_path = '' as $$
declare
  known airlock.idempotency_keys;
begin
  perform airlock.check_edge();
  insert into airlock.idempotency_keys as keys (user_id, key, digest, place, target)
    values (auth.uid(), request_key, request_digest, use_key.place, made)
    on conflict (user_id, key) do update
      set digest = excluded.digest, place = excluded.place, target = excluded.target, created_at = excluded.created_at
      where keys.created_at <= now() - interval '24 hours'
    returning * into known;
  if not found then
    perform airlock.refuse_copy();
    select * into known from airlock.idempotency_keys as keys where keys.user_id = auth.uid() and keys.key = request_key;
    if not found then
      -- The job has deleted the key since the INSERT found it; the client may send the request again.
      raise serialization_failure using message = 'the idempotency key expired during the request';
    end if;
  end if;
  return case when known.digest = request_digest and known.place = use_key.place then known.target end;
end
$$;


-- Triggers of resource tables

-- Callers may read these columns and never choose them.
create function airlock.touch_insert() returns trigger
language plpgsql set search_path = '' as $$
begin
  -- Without a caller (seed, restore) there is no auth.uid(), and the row names its owner.
  new.user_id := coalesce(auth.uid(), new.user_id);
  new.version := 1;
  new.created_at := now();
  new.updated_at := now();
  new.deleted_at := null;
  -- Not every table has this column. (Asking the catalog costs 5 µs a row.)
  if exists (
    select from pg_catalog.pg_attribute where attrelid = tg_relid and attname = 'published_at' and not attisdropped
  ) then
    new.published_at := null;
  end if;
  return new;
end
$$;

create function airlock.touch_update() returns trigger
language plpgsql set search_path = '' as $$
declare
  optional constant text[] := array(
    select attname::text from pg_catalog.pg_attribute
      where attrelid = tg_relid and attname in ('org_id', 'published_at') and not attisdropped
  );
begin
  -- The foreign key to a deleted account sets user_id to null. That alone is let through, and changes nothing that the
  -- API shows. (Nested, because ordinary callers may not name auth.users.)
  if new.user_id is null and old.user_id is not null then
    if not exists (select from auth.users where users.id = old.user_id) then
      new := old;
      new.user_id := null;
      return new;
    end if;
  end if;

  new.id := old.id;
  new.user_id := old.user_id;
  new.created_at := old.created_at;
  new.version := old.version + 1;
  -- now() is when the transaction began, which may be before a change that it waited for.
  new.updated_at := greatest(now(), old.updated_at);
  if new.deleted_at is not null then
    new.deleted_at := coalesce(old.deleted_at, now());
  end if;
  if 'org_id' = any (optional) then
    -- Otherwise an editor could take an organisation's row away, or put one of theirs where others write.
    new.org_id := old.org_id;
  end if;
  if 'published_at' = any (optional) then
    new.published_at := case when new.published_at is not null then coalesce(old.published_at, now()) end;
  end if;
  return new;
end
$$;

-- After an UPDATE OF user_id on a table whose rows may be an organisation's: only the foreign key to a deleted account
-- makes it null. The account's own rows go; an organisation's rows stay. Once a statement it costs a fifth of once a row.
-- Definer, because Supabase Auth, which deletes accounts, has no rights on the table.
create function airlock.delete_ownerless() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
  execute format('delete from %s where user_id is null and org_id is null', tg_relid::regclass);
  return null;
end
$$;

-- For a field that refers to a row: ('<field>', '<target table>', '<whether this table has org_id>'). A missing row, a
-- deleted one and one that the caller may not see are the same error. The rows of an organisation refer to rows of the
-- same organisation. Invoker: the target's policies decide what the caller sees.
create function airlock.check_reference() returns trigger
language plpgsql set search_path = '' as $$
declare
  field constant text := tg_argv[0];
  target constant regclass := tg_argv[1];
  same_org constant text := case
    when tg_argv[2] <> 'true' then 'true'
    when (select owner from airlock.resources where relation = target) = 'user' then '($1).org_id is null'
    else '(($1).org_id is null or target.org_id = ($1).org_id)'
  end;
  good boolean;
begin
  execute format(
    'select ($1).%1$I is null or exists (
      select from %2$s as target where target.id = ($1).%1$I and target.deleted_at is null and %3$s
    )',
    field, target, same_org
  ) into good using new;
  if not good then
    raise foreign_key_violation using message = 'airlock_reference', detail = field;
  end if;
  return new;
end
$$;


-- The registry of resources

create table airlock.resources (
  name text primary key,
  relation regclass not null unique,
  owner text not null check (owner in ('user', 'org', 'both')),
  -- What a client may write, in the order of the declaration.
  fields text[] not null,
  -- What a published row shows; null: rows cannot be published.
  publish text[],
  searchable boolean not null,
  -- SQL expressions over the table as t: a row as the API shows it, and as it shows a published one.
  wire text not null,
  public_wire text
);
alter table airlock.resources enable row level security;
create policy resources_select on airlock.resources for select to anon, authenticated using (true);
-- service_role for check_reference().
grant select on table airlock.resources to anon, authenticated, service_role;

-- The expression for a row with these columns. row_to_json adds no spaces, unlike json_build_object.
create function airlock.wire_of(relation regclass, columns text[]) returns text
language sql stable set search_path = '' as $$
  select format('(select row_to_json(w) from (select %s) as w)', string_agg(
    case
      when attribute.atttypid = 'timestamptz'::regtype then format('airlock.wire_time(t.%1$I) as %1$I', attribute.attname)
      else format('t.%I', attribute.attname)
    end,
    ', ' order by place
  ))
  from unnest(columns) with ordinality as wanted (name, place)
  join pg_catalog.pg_attribute as attribute
    on attribute.attrelid = relation and attribute.attname = wanted.name and not attribute.attisdropped
$$;

-- Registers a table as a resource, or what has changed about it. The last word of its migration but for close_table().
create function airlock.serve(
  name text, relation regclass, owner text, fields text[], publish text[] default null, searchable boolean default false
) returns void
language plpgsql set search_path = '' as $$
begin
  if not (select relkind in ('r', 'p') and relrowsecurity from pg_catalog.pg_class where oid = relation) then
    raise invalid_parameter_value using message = format('%s is no table with Row Level Security', relation);
  end if;
  insert into airlock.resources values (
    name, relation, owner, fields, publish, searchable,
    airlock.wire_of(relation, array['id'] || fields || array['version', 'created_at', 'updated_at', 'deleted_at']),
    case when publish is not null then
      airlock.wire_of(relation, array['id'] || publish || array['version', 'published_at', 'updated_at'])
    end
  )
  on conflict on constraint resources_pkey do update set
    relation = excluded.relation, owner = excluded.owner, fields = excluded.fields, publish = excluded.publish,
    searchable = excluded.searchable, wire = excluded.wire, public_wire = excluded.public_wire;
end
$$;

-- Whether this database has all that a Worker needs, and accepts its proof in edge-only mode. The number counts up with
-- each change of this schema that a Worker has to know.
create function public.airlock_ready(schema_version integer, organizations boolean, resources text[]) returns boolean
language plpgsql stable set search_path = '' as $$
begin
  perform airlock.check_edge();
  return schema_version = 1
    and (not organizations or to_regclass('airlock.organizations') is not null)
    and resources <@ array(select name from airlock.resources);
end
$$;

-- The resource of this name, if the caller may look into this place: null is the caller's own rows.
create function airlock.find_resource(resource text, org uuid) returns airlock.resources
language plpgsql stable set search_path = '' as $$
declare
  found_resource airlock.resources;
begin
  select * into found_resource from airlock.resources where name = resource;
  if not found or found_resource.owner = (case when org is null then 'org' else 'user' end) then
    raise sqlstate 'PT404' using message = 'airlock_unknown_resource';
  end if;
  if org is not null then
    perform airlock.require_member(org);
  end if;
  return found_resource;
end
$$;

-- The condition for the rows of one place; $1 is the organisation, or the caller. (A parameter: with auth.uid() in its
-- place, the planner reads a whole table where it could read a range of an index.)
create function airlock.place(owner text, org uuid) returns text
language sql immutable return case
  when org is not null then 't.org_id = $1'
  when owner = 'user' then 't.user_id = $1'
  else 't.user_id = $1 and t.org_id is null'
end;


-- Reading

-- A page as the answer's own bytes: {"data":[...],"next_cursor":...} without spaces.
create function public.airlock_list(
  resource text, org uuid, state text, words text, after_at timestamptz, after_id uuid, page_size integer
) returns json
language plpgsql stable set search_path = '' as $$
declare
  served constant airlock.resources := airlock.find_resource(resource, org);
  in_state constant text := case
    when state = 'active' then 't.deleted_at is null'
    when state = 'deleted' then 't.deleted_at is not null'
    when state = 'published' and served.publish is not null then 't.deleted_at is null and t.published_at is not null'
  end;
  page json;
begin
  if in_state is null or words is not null and not served.searchable or (page_size between 1 and 100) is not true then
    raise invalid_parameter_value using message = 'airlock_list: no such state, search or page size';
  end if;
  execute format(
    'select row_to_json(page) from (
      select
        array_to_json(coalesce(
          array_agg(wire order by created_at desc, id desc) filter (where place <= $4), ''{}''
        )) as data,
        case when count(*) > $4 then max(airlock.cursor(created_at, id)) filter (where place = $4) end as next_cursor
      from (
        select t.created_at, t.id, t.wire, row_number() over (order by t.created_at desc, t.id desc) as place
          from (
            select t.created_at, t.id, %4$s as wire from %1$s as t
              where %2$s and %3$s and (t.created_at, t.id) < ($2, $3)
              order by t.created_at desc, t.id desc
              limit $4 + 1
          ) as t
      ) as t
    ) as page',
    served.relation,
    airlock.place(served.owner, org),
    concat(in_state, case when words is not null then
      ' and t.airlock_search @@ websearch_to_tsquery(''simple'', normalize($5))'
    end),
    served.wire
  )
  into page
  using
    coalesce(org, auth.uid()),
    coalesce(after_at, 'infinity'),
    coalesce(after_id, 'ffffffff-ffff-ffff-ffff-ffffffffffff'),
    page_size,
    words;
  return page;
end
$$;

-- A row, deleted or not.
create function airlock.row_of(served airlock.resources, org uuid, id uuid, condition text default 'true') returns json
language plpgsql stable set search_path = '' as $$
declare
  found_row json;
begin
  execute format(
    'select %s from %s as t where %s and t.id = $2 and %s',
    served.wire, served.relation, airlock.place(served.owner, org), condition
  ) into found_row using coalesce(org, auth.uid()), id;
  return found_row;
end
$$;

-- A row that is not deleted, or null.
create function public.airlock_read(resource text, org uuid, id uuid) returns json
language sql stable set search_path = ''
as $$ select airlock.row_of(airlock.find_resource(resource, org), org, id, 't.deleted_at is null') $$;

-- Whether everybody may read this row. A policy says the same to anon; this holds if a team changes that policy. Definer,
-- because anon may not read whose a row is.
create function airlock.is_published(resource text, id uuid) returns boolean
language plpgsql stable security definer set search_path = '' as $$
declare
  served airlock.resources;
  published boolean;
begin
  select * into served from airlock.resources where name = resource and publish is not null;
  if not found then
    raise sqlstate 'PT404' using message = 'airlock_unknown_resource';
  end if;
  execute format(
    'select t.published_at is not null and t.deleted_at is null %s from %s as t where t.id = $1',
    case when served.owner <> 'user' then 'and (t.org_id is null or airlock.org_is_live(t.org_id))' end,
    served.relation
  ) into published using id;
  return coalesce(published, false);
end
$$;

-- A published row, or null.
create function public.airlock_published(resource text, id uuid) returns json
language plpgsql stable set search_path = '' as $$
declare
  found_row json;
begin
  if airlock.is_published(resource, id) then
    execute (
      select format('select %s from %s as t where t.id = $1 and t.published_at is not null', public_wire, relation)
        from airlock.resources where name = resource
    ) into found_row using id;
  end if;
  return found_row;
end
$$;


-- Writing. Each function calls refuse_copy(), locks the row, decides, claims the nonce and writes, in one transaction.
-- It claims before the write, so that a copy waits for the claim and never reports an error that the first copy caused.

-- The columns that a draft names, each in this format, separated by commas; null for an empty draft.
create function airlock.columns_of(fields text[], draft json, form text) returns text
language plpgsql immutable set search_path = '' as $$
declare
  members constant text[] := array(select json_object_keys(draft));
begin
  if not members <@ fields then
    raise invalid_parameter_value using message = 'airlock: the draft has a member that is not a field';
  end if;
  return (
    select string_agg(format(form, field), ', ' order by place)
      from unnest(fields) with ordinality as declared (field, place)
      where field = any (members)
  );
end
$$;

-- Raises PT404 if the caller was a member of this organisation when the request began and is none now. A policy or a
-- trigger then refuses the write, but for its caller the organisation does not exist any more.
create function airlock.still_member(org uuid) returns void
language plpgsql set search_path = '' as $$
begin
  if org is not null then
    perform airlock.require_member(org);
  end if;
end
$$;

create function airlock.insert_row(served airlock.resources, org uuid, id uuid, draft json) returns json
language plpgsql set search_path = '' as $$
declare
  made json;
begin
  execute format(
    'insert into %1$s as t (%2$s) select %3$s from json_populate_record(null::%1$s, $3) as draft returning %4$s',
    served.relation,
    concat_ws(', ', 'id', case when org is not null then 'org_id' end, airlock.columns_of(served.fields, draft, '%I')),
    concat_ws(', ', '$2', case when org is not null then '$1' end, airlock.columns_of(served.fields, draft, 'draft.%I')),
    served.wire
  ) into made using org, id, draft;
  return made;
exception when insufficient_privilege then
  perform airlock.still_member(org);
  raise;
end
$$;

-- Changes a row that the caller has locked and returns it. `assignments` may refer to the draft.
create function airlock.update_row(served airlock.resources, org uuid, id uuid, assignments text, draft json) returns json
language plpgsql set search_path = '' as $$
declare
  changed json;
begin
  execute format(
    'update %1$s as t set %2$s from json_populate_record(null::%1$s, $3) as draft where %3$s and t.id = $2 returning %4$s',
    served.relation, assignments, airlock.place(served.owner, org), served.wire
  ) into changed using coalesce(org, auth.uid()), id, draft;
  if changed is null then
    -- The caller lost the right to change the row after it was locked. A new attempt is told so.
    raise serialization_failure using message = 'airlock: the caller''s rights changed during the request';
  end if;
  return changed;
exception when insufficient_privilege then
  perform airlock.still_member(org);
  raise;
end
$$;

-- What a write function has to know about a row. `writable` is false if the caller sees the row and may not change it.
create type airlock.row_state as (version integer, deleted boolean, published boolean, writable boolean);

-- Locks a row, deleted or not, until the transaction ends, and returns its state; null if the caller sees no such row.
create function airlock.lock_row(served airlock.resources, org uuid, id uuid) returns airlock.row_state
language plpgsql set search_path = '' as $$
declare
  look constant text := format(
    'select t.version, t.deleted_at is not null, %s, $3 from %s as t where %s and t.id = $2',
    case when served.publish is not null then 't.published_at is not null' else 'false' end,
    served.relation, airlock.place(served.owner, org)
  );
  owner_id constant uuid := coalesce(org, auth.uid());
  state airlock.row_state;
begin
  -- A row that is seen and was not locked may have been made between the two statements: then the second round locks it.
  for round in 1 .. 2 loop
    execute look || ' for no key update of t' into state using owner_id, id, true;
    exit when state.version is not null;
    execute look into state using owner_id, id, false;
    exit when state.version is null;
  end loop;
  return state;
end
$$;

create function airlock.outcome(name text, row_json json default null) returns json
language sql stable return case
  when row_json is null then json_build_object('outcome', name)
  else json_build_object('outcome', name, 'row', row_json)
end;


-- created(row), reused: the key belongs to another request, deleted: the row that the key made is deleted since.
create function public.airlock_create(
  resource text, org uuid, draft json, request_key text, request_digest text
) returns json
language plpgsql set search_path = '' as $$
declare
  served airlock.resources;
  made constant uuid := gen_random_uuid();
  target uuid;
  earlier json;
begin
  perform airlock.refuse_copy();
  served := airlock.find_resource(resource, org);
  if request_key is not null then
    target := airlock.use_key(request_key, request_digest, concat_ws('/', 'orgs/' || org, resource), made);
    if target is null then
      return airlock.outcome('reused');
    elsif target <> made then
      earlier := public.airlock_read(resource, org, target);
      return airlock.outcome(case when earlier is null then 'deleted' else 'created' end, earlier);
    end if;
  end if;
  perform airlock.claim();
  return airlock.outcome('created', airlock.insert_row(served, org, made, draft));
end
$$;

-- Modes: 'any' replaces a live row or creates one, 'create' never replaces, 'replace' never creates.
-- created(row), done(row), mismatch(row), missing, taken: the id belongs to a row that is deleted or not the caller's,
-- forbidden: the caller may see the row and not change it.
create function public.airlock_put(
  resource text, org uuid, id uuid, draft json, mode text, if_match integer
) returns json
language plpgsql set search_path = '' as $$
declare
  served airlock.resources;
  before airlock.row_state;
  violated text;
  refusal text;
begin
  perform airlock.refuse_copy();
  served := airlock.find_resource(resource, org);
  if (mode in ('any', 'create', 'replace')) is not true then
    raise invalid_parameter_value using message = 'airlock_put: unknown mode';
  end if;

  before := airlock.lock_row(served, org, id);
  if before.version is null and mode <> 'replace' then
    begin
      perform airlock.claim();
      return airlock.outcome('created', airlock.insert_row(served, org, id, draft));
    exception when unique_violation then
      get stacked diagnostics violated = constraint_name;
      if violated is distinct from (
        select conname from pg_catalog.pg_constraint where conrelid = served.relation and contype = 'p'
      ) then
        raise;
      end if;
    end;
    -- The id is taken, perhaps by another request of the caller since the row was looked for.
    before := airlock.lock_row(served, org, id);
  end if;

  refusal := case
    when before.version is null or before.deleted then case when mode = 'replace' then 'missing' else 'taken' end
    when mode = 'create' or before.version <> if_match then 'mismatch'
    when not before.writable then 'forbidden'
  end;
  if refusal is not null then
    perform airlock.refuse_copy();
    return airlock.outcome(refusal, case when refusal = 'mismatch' then airlock.row_of(served, org, id) end);
  end if;
  perform airlock.claim();
  return airlock.outcome(
    'done', airlock.update_row(served, org, id, airlock.columns_of(served.fields, draft, '%1$I = draft.%1$I'), draft)
  );
end
$$;

-- Actions: patch, delete, restore, publish, unpublish.
-- done(row), already(row): the row is as wanted, mismatch(row), missing, forbidden: as in airlock_put.
create function public.airlock_change(
  resource text, org uuid, id uuid, action text, draft json, if_match integer
) returns json
language plpgsql set search_path = '' as $$
declare
  served airlock.resources;
  before airlock.row_state;
  assignments text;
  refusal text;
begin
  perform airlock.refuse_copy();
  served := airlock.find_resource(resource, org);
  -- The trigger writes its own time.
  assignments := case
    when action = 'patch' then airlock.columns_of(served.fields, draft, '%1$I = draft.%1$I')
    when action = 'delete' then 'deleted_at = now()'
    when action = 'restore' then 'deleted_at = null'
    when action = 'publish' and served.publish is not null then 'published_at = now()'
    when action = 'unpublish' and served.publish is not null then 'published_at = null'
  end;
  if assignments is null then
    raise invalid_parameter_value using message = 'airlock_change: unknown action, or nothing to change';
  end if;

  before := airlock.lock_row(served, org, id);
  refusal := case
    when before.version is null or before.deleted and action not in ('delete', 'restore') then 'missing'
    when case action
        when 'delete' then before.deleted
        when 'restore' then not before.deleted
        when 'publish' then before.published
        when 'unpublish' then not before.published
      end then 'already'
    when before.version <> if_match then 'mismatch'
    when not before.writable then 'forbidden'
  end;
  if refusal is not null then
    perform airlock.refuse_copy();
    return airlock.outcome(refusal, case when refusal in ('already', 'mismatch') then airlock.row_of(served, org, id) end);
  end if;
  perform airlock.claim();
  return airlock.outcome('done', airlock.update_row(served, org, id, assignments, draft));
end
$$;


-- Edge-only mode: a table that is closed shows its rows to requests that come through the Worker alone. Off until an
-- operator turns it on; docs/edge-only.md describes how, and its limits.

-- One row, for the database's owner alone: nobody else has a right on it.
create table airlock.edge_settings (
  id boolean not null default true primary key,
  mode text not null default 'off',
  -- The Worker's EDGE_PROOF_SECRET; a second one while it is changed.
  secret text,
  next_secret text,

  constraint edge_settings_one_row check (id),
  constraint edge_settings_mode check (mode in ('off', 'report', 'enforce')),
  constraint edge_settings_has_secret check (mode = 'off' or secret is not null),
  -- The Worker's own limits: 32 or more printable ASCII characters without a space.
  constraint edge_settings_secret_form check (secret collate "C" ~ '^[!-~]{32,}$'),
  constraint edge_settings_next_secret_form check (next_secret collate "C" ~ '^[!-~]{32,}$')
);
-- Without FORCE: an owner without BYPASSRLS would not find the mode, and refuse everything.
alter table airlock.edge_settings enable row level security;
insert into airlock.edge_settings default values;

-- Whether this request has a proof: X-Edge-Proof: v1.<Unix seconds>.<HMAC-SHA256, in hex>, over user, method and path.
-- The proof does not cover query and body, which SQL cannot see.
create function airlock.edge_proof_ok() returns boolean
language plpgsql stable security definer set search_path = '' as $$
declare
  settings airlock.edge_settings;
  method text;
  path text;
  proof text[];
  signed text;
  given bytea;
  refusal text;
begin
  select * into settings from airlock.edge_settings;

  method := current_setting('request.method', true);
  path := current_setting('request.path', true);
  proof := regexp_match(
    nullif(current_setting('request.headers', true), '')::json ->> 'x-edge-proof',
    '^v1\.([1-9][0-9]*)\.([0-9a-f]*)$'
  );
  if length(proof[1]) > 11 or length(proof[2]) <> 64 then
    proof := null;
  end if;
  signed := format(E'v1\n%s\n%s\n%s\n%s', proof[1], auth.uid(), method, path);
  -- Hashes are compared, not the MACs: how far two of them agree tells nothing about the MAC that was sent.
  given := sha256(decode(proof[2], 'hex'));
  -- now() is the same for all statements of a transaction, so all of them get one answer.
  refusal := case
    when proof is null
      then 'no proof, or a malformed one'
    when (given in (
      sha256(extensions.hmac(signed, settings.secret, 'sha256')),
      sha256(extensions.hmac(signed, settings.next_secret, 'sha256'))
    )) is not true
      then 'a proof with another secret, user, method or path'
    when proof[1]::bigint - floor(extract(epoch from now())) not between -60 and 5
      then 'a proof from another time'
  end;
  if refusal is null then
    return true;
  end if;

  -- For the database's log; clients do not receive messages of this level.
  raise log 'edge-only mode (%): % % by %: %', settings.mode, method, path, coalesce(auth.uid()::text, 'nobody'), refusal;
  -- No error: a policy would raise it for rows that exist and not for others, which tells them apart, and in Realtime
  -- one user's error would stop the others.
  return settings.mode is not distinct from 'report';
end
$$;

-- Policies call this with every statement. While the mode is off, the planner replaces the call by its body, `true`.
-- (So the function is not definer and has no settings.)
create function airlock.edge_ok() returns boolean
language sql stable return true;

-- `true` stands for the mode 'off' alone, and not for settings that are missing.
create function airlock.edge_settings_after_change() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
  if (select mode from airlock.edge_settings) = 'off' then
    create or replace function airlock.edge_ok() returns boolean language sql stable return true;
  else
    create or replace function airlock.edge_ok() returns boolean language sql stable return airlock.edge_proof_ok();
  end if;
  return null;
end
$$;

create trigger edge_settings_after_change after insert or update or delete or truncate on airlock.edge_settings
  for each statement execute function airlock.edge_settings_after_change();
-- In a restore of data alone as well.
alter table airlock.edge_settings enable always trigger edge_settings_after_change;

-- The same check for code that no policy holds back: definer functions, and PostgREST's pre-request.
create function airlock.check_edge() returns void
language plpgsql security definer set search_path = '' as $$
begin
  if current_setting('role', true) in ('anon', 'authenticated') and airlock.edge_ok() is not true then
    -- PostgREST answers it as 403.
    raise sqlstate 'PT403' using message = 'airlock_edge_only';
  end if;
end
$$;

-- Closes a table: from now on the mode applies to it. The policy is restrictive, so it allows nothing by itself.
-- service_role has BYPASSRLS and needs no proof.
create function airlock.close_table(relation regclass) returns void
language plpgsql set search_path = '' as $$
begin
  perform airlock.open_table(relation);
  execute format(
    'create policy %I on %s as restrictive for all to anon, authenticated
      using ((select airlock.edge_ok())) with check ((select airlock.edge_ok()))',
    (select relname from pg_catalog.pg_class where oid = relation) || '_edge_only',
    relation
  );
end
$$;

create function airlock.open_table(relation regclass) returns void
language plpgsql set search_path = '' as $$
declare
  policy constant name := (select relname from pg_catalog.pg_class where oid = relation) || '_edge_only';
begin
  if exists (select from pg_catalog.pg_policy where polrelid = relation and polname = policy) then
    execute format('drop policy %I on %s', policy, relation);
  end if;
end
$$;


-- Scheduled jobs, which pass by Row Level Security. Each use is recorded.

create table airlock.bypass_audit (
  id bigint generated always as identity primary key,
  at timestamptz not null default now(),
  label text not null,
  -- Shared by all jobs that one event of the schedule began. The Worker's log lines have it as well.
  run uuid not null,
  after_days integer not null,
  -- Deleted in this batch.
  rows integer not null,

  constraint bypass_audit_label_form check (label ~ '^job:[a-z0-9-]{1,64}$'),
  constraint bypass_audit_rows_counted check (rows >= 0)
);
alter table airlock.bypass_audit enable row level security;

-- The condition that no foreign key without an action refers to a row of this table, as t: neither a required ref nor a
-- key of a table that is not a resource.
create function airlock.unreferenced(relation regclass) returns text
language sql stable set search_path = '' as $$
  select coalesce(string_agg(format(
    'and not exists (select from %s as other where %s %s)',
    key.conrelid::regclass,
    (
      select string_agg(format('other.%I = t.%I', referring.attname, referred.attname), ' and ')
        from unnest(key.conkey, key.confkey) as pair (near, far)
        join pg_catalog.pg_attribute as referring on referring.attrelid = key.conrelid and referring.attnum = near
        join pg_catalog.pg_attribute as referred on referred.attrelid = key.confrelid and referred.attnum = far
    ),
    -- A row that refers to itself is not kept by that.
    case when key.conrelid = relation then 'and other.id <> t.id' end
  ), ' '), '')
  from pg_catalog.pg_constraint as key
  where key.contype = 'f' and key.confrelid = relation and key.confdeltype in ('a', 'r') and key.conparentid = 0
$$;

-- Deletes rows of a resource that were deleted softly at `due` or before. A required ref keeps its target; a nullable
-- one becomes null.
create function airlock.purge_rows(relation regclass, due timestamptz, at_most integer) returns integer
language plpgsql set search_path = '' as $$
declare
  deleted integer;
begin
  -- An array, because Postgres may evaluate a subquery with a limit more than once. The next batch takes the rows that
  -- are locked now.
  execute format(
    'delete from %1$s where id = any (array(
      select t.id from %1$s as t where t.deleted_at > ''-infinity'' and t.deleted_at <= $1 %2$s
        order by t.deleted_at limit $2 for update of t skip locked
    ))',
    relation, airlock.unreferenced(relation)
  ) using due, at_most;
  get diagnostics deleted = row_count;
  return deleted;
end
$$;

-- One batch of a job and its record, in one transaction. Returns how many rows were deleted.
create function airlock.run_job(job_label text, job_run uuid, after_days integer, at_most integer) returns integer
language plpgsql security definer set search_path = '' as $$
declare
  due constant timestamptz := now() - make_interval(days => after_days);
  deleted integer := 0;
  resource airlock.resources;
begin
  -- Even a stolen secret key cannot delete today's rows, nor all rows at once.
  if (after_days between 1 and 3650 and at_most between 1 and 1000) is not true then
    raise exception 'a job takes 1 to 3650 days and 1 to 1000 rows' using errcode = '22023';
  end if;
  case job_label
    when 'job:purge-deleted-rows' then
      for resource in select * from airlock.resources order by name loop
        exit when deleted >= at_most;
        deleted := deleted + airlock.purge_rows(resource.relation, due, at_most - deleted);
      end loop;
    -- After 24 hours a key counts no more, see use_key().
    when 'job:purge-expired-idempotency-keys' then
      delete from airlock.idempotency_keys where ctid = any (array(
        select ctid from airlock.idempotency_keys where created_at <= now() - interval '24 hours'
          order by created_at limit at_most for update skip locked
      ));
      get diagnostics deleted = row_count;
    when 'job:purge-deleted-organizations' then
      deleted := airlock.purge_organizations(due, at_most);
    when 'job:purge-expired-invitations' then
      deleted := airlock.purge_invitations(at_most);
    else
      raise exception 'unknown job' using errcode = '22023';
  end case;
  insert into airlock.bypass_audit (label, run, after_days, rows) values (job_label, job_run, after_days, deleted);
  return deleted;
end
$$;

create function public.airlock_run_job(job_label text, job_run uuid, after_days integer, at_most integer) returns integer
language sql set search_path = ''
as $$ select airlock.run_job(job_label, job_run, after_days, at_most) $$;


-- Rights. Postgres lets everybody call a new function, and hosted Supabase grants those of schema public to its roles.

revoke all on all functions in schema airlock from public;
revoke all
  on function
    public.airlock_ready(integer, boolean, text[]),
    public.airlock_list(text, uuid, text, text, timestamptz, uuid, integer),
    public.airlock_read(text, uuid, uuid),
    public.airlock_create(text, uuid, json, text, text),
    public.airlock_put(text, uuid, uuid, json, text, integer),
    public.airlock_change(text, uuid, uuid, text, json, integer),
    public.airlock_published(text, uuid),
    public.airlock_run_job(text, uuid, integer, integer)
  from public, anon, authenticated, service_role;

-- Checks and triggers of tables call these, whoever writes.
grant execute
  on function airlock.wire_time(timestamptz), airlock.is_trimmed(text), airlock.are_texts(text[], integer, integer)
  to anon, authenticated, service_role;
-- Policies call these, and PostgREST calls check_edge() for every role where it is the pre-request.
grant execute on function airlock.edge_ok(), airlock.edge_proof_ok(), airlock.org_is_live(uuid) to anon, authenticated;
grant execute on function airlock.check_edge() to anon, authenticated, service_role;

grant execute
  on function
    public.airlock_list(text, uuid, text, text, timestamptz, uuid, integer),
    public.airlock_read(text, uuid, uuid),
    public.airlock_create(text, uuid, json, text, text),
    public.airlock_put(text, uuid, uuid, json, text, integer),
    public.airlock_change(text, uuid, uuid, text, json, integer),
    airlock.cursor(timestamptz, uuid),
    airlock.require_member(uuid),
    airlock.require_role(uuid, text),
    airlock.refuse_copy(),
    airlock.claim(),
    airlock.use_key(text, text, text, uuid),
    airlock.find_resource(text, uuid),
    airlock.place(text, uuid),
    airlock.columns_of(text[], json, text),
    airlock.still_member(uuid),
    airlock.insert_row(airlock.resources, uuid, uuid, json),
    airlock.update_row(airlock.resources, uuid, uuid, text, json),
    airlock.lock_row(airlock.resources, uuid, uuid),
    airlock.row_of(airlock.resources, uuid, uuid, text),
    airlock.outcome(text, json)
  to authenticated;
grant execute
  on function public.airlock_ready(integer, boolean, text[]), public.airlock_published(text, uuid), airlock.is_published(text, uuid)
  to anon;
grant execute on function public.airlock_run_job(text, uuid, integer, integer), airlock.run_job(text, uuid, integer, integer)
  to service_role;
