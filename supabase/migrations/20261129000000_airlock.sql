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

-- A position in a list, in base64url without padding: JSON text of the list, the value that it is sorted by, and the id.
-- Without the value where the Worker would refuse the cursor as too long: a column can hold more than its field allows.
create function airlock.cursor(place json) returns text
language sql stable return pg_catalog.rtrim(pg_catalog.translate(
  pg_catalog.encode(
    pg_catalog.convert_to(
      case
        when pg_catalog.octet_length(place::text) <= 1536 then place
        else pg_catalog.json_build_array(place -> 0, place -> 2)
      end::text,
      'UTF8'
    ),
    'base64'
  ),
  '+/' || E'\n', '-_'
), '=');

-- The value and the id of a cursor; the id alone, if the cursor has no value and the list takes such ones. Raises PT422
-- unless the cursor is of this list, and its values are of these types.
create function airlock.read_cursor(
  cursor text, list text, value_type text, id_type text, cut boolean default false
) returns text[]
language plpgsql stable set search_path = '' as $$
declare
  place text[];
begin
  place := array(
    select json_array_elements_text(convert_from(
      decode(rpad(translate(cursor, '-_', '+/'), (length(cursor) + 3) / 4 * 4, '='), 'base64'), 'UTF8'
    )::json)
  );
  cut := cut and cardinality(place) = 2;
  if place[1] is distinct from list or place[case when cut then 2 else 3 end] is null then
    raise data_exception;
  end if;
  execute format('select $1::%s, $2::%s', value_type, id_type)
    using case when not cut then place[2] end, place[case when cut then 2 else 3 end];
  return place[2:3];
exception when data_exception then
  raise sqlstate 'PT422' using message = 'airlock_cursor';
end
$$;

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

-- Whether a list of numbers or of UUIDs is one-dimensional, without nulls, and has at most that many items. (Its body is a
-- string, because parsed ones take no polymorphic arguments.)
create function airlock.are_items(value anyarray, items integer) returns boolean
language sql immutable set search_path = '' as $$
  select value is null or cardinality(value) = 0 or (
    array_ndims(value) = 1 and cardinality(value) <= items and not exists (select from unnest(value) as item where item is null)
  )
$$;


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
  -- No foreign key: its lock on the account would make requests of one user wait for each other. The claims of a
  -- deleted account expire anyway.
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
  caller constant uuid := auth.uid();
  seconds constant text := split_part(header, '.', 2);
  request constant text := split_part(header, '.', 3);
  nonce constant text := substr(header, length(seconds) + length(request) + 6);
begin
  if header is null or caller is null then
    return null;
  end if;
  -- Lengths are compared below, because repetition bounds such as {36} would make this pattern take 0.4 ms.
  if header !~ '^v1\.[1-9][0-9]*\.[0-9a-f-]+\.[A-Za-z0-9._-]+:[A-Za-z0-9_-]+$'
    or length(seconds) > 3 or length(request) <> 36
    or length(split_part(nonce, ':', 1)) > 64 or length(split_part(nonce, ':', 2)) not between 22 and 64
    or lpad(seconds, 3, '0') > '900'
  then
    raise sqlstate 'PT400' using message = 'airlock_malformed_claim';
  end if;
  return (caller, nonce, request, now() + make_interval(secs => seconds::integer))::airlock.claims;
end
$$;

-- Raises PT409 if another copy of this request was carried out. Functions call it first, so that a copy gets this error
-- and no later one. They call it again after waiting for a lock, because a copy may have committed meanwhile (READ
-- COMMITTED).
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
  -- Keeps the table small without a scheduled job. Another transaction is deleting the locked rows.
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
  -- SHA-256, in hex, of the request's meaning: a key is for one request.
  digest text not null,
  -- The list that the row was made in.
  place text not null,
  -- The row's id; empty until the database has made it. No foreign key, because the row can be in any table.
  target text not null,
  created_at timestamptz not null default now(),

  primary key (user_id, key),
  constraint idempotency_keys_key_form check (key ~ '^[A-Za-z0-9_-]{8,64}$'),
  constraint idempotency_keys_digest_form check (digest ~ '^[0-9a-f]{64}$')
);
create index idempotency_keys_created_at_idx on airlock.idempotency_keys (created_at);
alter table airlock.idempotency_keys enable row level security;

-- The id of the row that this key made. `made` itself: the key is new, or older than 24 hours. The caller then makes
-- the row under that id, or passes another one to keep_target(). Another id: the row was made before. Null: the key was
-- used for another request. Two requests with one key wait for each other at the primary key.
create function airlock.use_key(request_key text, request_digest text, place text, made text) returns text
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

-- The id that the database made, for a key that use_key() took without one in the same transaction.
create function airlock.keep_target(request_key text, made text) returns void
language sql security definer set search_path = '' as $$
  update airlock.idempotency_keys set target = made where user_id = auth.uid() and key = request_key and target = ''
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
  -- The foreign key to a deleted account sets user_id to null. No other column changes then. (Nested, because ordinary
  -- callers may not name auth.users.)
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
  -- now() is the start of the transaction, which may be before a change that it waited for.
  new.updated_at := greatest(now(), old.updated_at);
  if new.deleted_at is not null then
    new.deleted_at := coalesce(old.deleted_at, now());
  end if;
  if 'org_id' = any (optional) then
    -- Otherwise an editor could move a row out of the organisation, or a row of their own into it.
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


-- The registry of resources

create table airlock.resources (
  name text primary key,
  relation regclass not null unique,
  -- The search path of statements about its rows, as PostgREST sets it by default: functions of policies and triggers, and
  -- operators of types, may have been named without their schema.
  search_path text not null,
  owner text not null check (owner in ('user', 'org', 'both')),
  -- The fields' names in the API, in the order of the declaration; then their columns and the types of these.
  fields text[] not null,
  columns text[] not null,
  types text[] not null,
  -- The fields that a client may write.
  writable text[] not null,
  -- The fields of a published row; null: rows cannot be published.
  publish text[],
  searchable boolean not null,
  -- The column of the id, and the type that an id is compared as: uuid or bigint. The database makes a bigint.
  id text not null,
  id_type text not null check (id_type in ('uuid', 'bigint')),
  -- The column that says whose a user's row is, and whether an insert sets it. Null: no column does.
  owner_column text,
  set_owner boolean not null,
  -- Which rows are served: 'owner': the caller's, by the owner's column and the policies; 'visible': all that the policies
  -- show the caller.
  scope text not null check (scope = 'visible' or scope = 'owner' and owner_column is not null),
  -- Rows that are served below a row of another resource, their parent: that resource, and the column with the parent's id.
  under text,
  under_column text,
  -- The parent's id, which find_resource() adds for one request.
  parent text check (parent is null),
  -- The readers of all rows that the policies show: every user, or anon too, for apps without a user. Null: the rows
  -- are not for all.
  readers text check (readers is null or readers in ('user', 'app') and scope = 'visible'),
  -- An SQL expression over the table as t: the row's version as a number; null: it has none.
  version text,
  -- Names of columns; null if the table has no such column. Without `created`, pages go by the id; without `deleted`,
  -- DELETE deletes for good.
  created text,
  updated text,
  deleted text,
  -- SQL expressions over the table as t: a row as the API shows it, and as it shows a published one.
  wire text not null,
  public_wire text
);
alter table airlock.resources enable row level security;
create policy resources_select on airlock.resources for select to anon, authenticated using (true);
-- service_role for check_reference().
grant select on table airlock.resources to anon, authenticated, service_role;

-- The type of a column. Of a domain it is the type below: a value that is compared need not pass the domain's checks.
create function airlock.type_of(relation regclass, wanted text) returns text
language plpgsql stable set search_path = '' as $$
declare
  -- With -1 for no length: the type `character` by itself would be one character.
  found_type constant text := (
    with recursive base (type) as (
      select atttypid from pg_catalog.pg_attribute
        where attrelid = relation and attname = wanted and attnum > 0 and not attisdropped
      union all select typbasetype from base join pg_catalog.pg_type on oid = type where typbasetype <> 0
    )
    select pg_catalog.format_type(type, -1) from base join pg_catalog.pg_type on oid = type where typbasetype = 0
  );
begin
  if found_type is null and wanted is not null then
    raise undefined_column using message = format('%s has no column %I', relation, wanted);
  end if;
  return found_type;
end
$$;

-- The expression for a row's version: a whole number, or a time in microseconds, within the limits of a version. A row whose
-- time is infinite or far away would otherwise fail the list of each user who sees it, and one whose number is below 0 or
-- past 2^53 - 1 each read. Of a number these are the lowest 53 bits, so that the next one is still another version.
create function airlock.version_of(relation regclass, wanted text) returns text
language plpgsql stable set search_path = '' as $$
begin
  return case
    when wanted is null then null
    when airlock.type_of(relation, wanted) like 'timestamp%' then
      format('least(greatest(extract(epoch from t.%I) * 1000000, 0), 9007199254740991)::bigint', wanted)
    else format('(t.%I::bigint & 9007199254740991)', wanted)
  end;
end
$$;

-- The expression for a row with these columns under these names. A numeric is a string, because readers of JSON take numbers
-- for doubles. row_to_json adds no spaces, unlike json_build_object. `w.*`, because `w` would be a column of the table with
-- that name.
create function airlock.wire_of(relation regclass, names text[], columns text[]) returns text
language sql stable set search_path = '' as $$
  select format('(select row_to_json(w.*) from (select %s) as w)', string_agg(
    format(
      case
        when name = 'version' and type like 'timestamp%' then '(%3$s)::text as %2$I'
        when name = 'version' then '%3$s as %2$I'
        when type = 'timestamp with time zone' then 'airlock.wire_time(t.%1$I) as %2$I'
        -- A time without a zone is taken as UTC.
        when type = 'timestamp without time zone' then 'airlock.wire_time(t.%1$I at time zone ''UTC'') as %2$I'
        when type = 'numeric' then 't.%1$I::text as %2$I'
        when name = column_name then 't.%1$I'
        else 't.%1$I as %2$I'
      end,
      column_name, name, case when name = 'version' then airlock.version_of(relation, column_name) end
    ),
    ', ' order by place
  ))
  from unnest(names, columns) with ordinality as wanted (name, column_name, place),
    airlock.type_of(relation, column_name) as type
$$;

-- Registers a table as a resource, or updates its registration. A migration calls it last, except for close_table().
-- From `columns` on, the parameters are for adopted tables; docs/adopting.md describes them. The table itself is not
-- changed.
create function airlock.serve(
  name text, relation regclass, owner text, fields text[], publish text[] default null, searchable boolean default false,
  columns text[] default null, read_only text[] default '{}', id text default 'id', owner_column text default 'user_id',
  set_owner boolean default false, scope text default null, version text default 'version',
  created text default 'created_at', updated text default 'updated_at', deleted text default 'deleted_at',
  under text default null, readers text default null
) returns void
language plpgsql set search_path = '' as $$
declare
  columns constant text[] := coalesce(serve.columns, fields);
  parent constant text := split_part(under, '.', 1);
  parent_column constant text := substr(under, length(parent) + 2);
  id_type text;
  unfit text;
begin
  -- Named directly, a partition is under its own policies and not those of its table.
  if not (select relkind in ('r', 'p') and not relispartition and relrowsecurity from pg_catalog.pg_class where oid = relation) then
    raise invalid_parameter_value using message = format('%s is a partition, or not a table with Row Level Security', relation);
  elsif cardinality(columns) <> cardinality(fields) or not read_only <@ fields
    or exists (select from unnest(fields) as field where field !~ '^[a-z][a-z0-9_]*$')
  then
    raise invalid_parameter_value using
      message = format('%s: a field name is a-z, 0-9 and _; each field has one column; read_only names only fields', relation);
  end if;
  -- Each column that has to have one of these types, and whether it may be null.
  select string_agg(format('%s: %I', role, wanted), ', ') into unfit
    from (values
      ('id', id, '^(uuid|bigint|integer|smallint)$', false),
      ('owner_column', owner_column, '^uuid$', true),
      ('under', parent_column, '^(uuid|bigint|integer|smallint)$', true),
      ('version', version, '^(bigint|integer|smallint|timestamp.*)$', false),
      ('created', created, '^timestamp', false),
      ('updated', updated, '^timestamp', true),
      ('deleted', deleted, '^timestamp', true)
    ) as needed (role, wanted, pattern, nullable)
    where wanted is not null and (
      airlock.type_of(relation, wanted) !~ pattern
      or not nullable and not (select attnotnull from pg_catalog.pg_attribute where attrelid = relation and attname = wanted)
    );
  if unfit is not null then
    raise invalid_parameter_value using
      message = format('%s: a column has another type than its role needs, or may be null (%s)', relation, unfit);
  end if;
  id_type := airlock.type_of(relation, id);
  insert into airlock.resources values (
    name, relation,
    (
      select format('%I, public, extensions', nspname)
        from pg_catalog.pg_class join pg_catalog.pg_namespace on pg_namespace.oid = relnamespace where pg_class.oid = relation
    ),
    owner, fields, columns,
    array(
      select airlock.type_of(relation, column_name) from unnest(columns) with ordinality as one (column_name, place) order by place
    ),
    array(select field from unnest(fields) with ordinality as one (field, place) where field <> all (read_only) order by place),
    publish, searchable,
    id, case id_type when 'uuid' then id_type else 'bigint' end,
    owner_column, set_owner, coalesce(scope, case when under is null and readers is null then 'owner' else 'visible' end),
    parent, parent_column, null, readers, airlock.version_of(relation, version), created, updated, deleted,
    airlock.wire_of(
      relation,
      'id'::text || fields || array_remove(array[
        case when version is not null then 'version' end, case when created is not null then 'created_at' end,
        case when updated is not null then 'updated_at' end, case when deleted is not null then 'deleted_at' end
      ], null),
      id || columns || array_remove(array[version, created, updated, deleted], null)
    ),
    case when publish is not null then
      airlock.wire_of(
        relation,
        'id'::text || publish || array_remove(array[
          case when version is not null then 'version' end, 'published_at', case when updated is not null then 'updated_at' end
        ], null),
        id || array(
          select columns[array_position(fields, field)] from unnest(publish) with ordinality as one (field, place) order by place
        ) || array_remove(array[version, 'published_at', updated], null)
      )
    end
  )
  on conflict on constraint resources_pkey do update set
    relation = excluded.relation, search_path = excluded.search_path, owner = excluded.owner,
    fields = excluded.fields, columns = excluded.columns, types = excluded.types, writable = excluded.writable,
    publish = excluded.publish, searchable = excluded.searchable,
    id = excluded.id, id_type = excluded.id_type, owner_column = excluded.owner_column, set_owner = excluded.set_owner,
    scope = excluded.scope, under = excluded.under, under_column = excluded.under_column, readers = excluded.readers,
    version = excluded.version, created = excluded.created, updated = excluded.updated, deleted = excluded.deleted,
    wire = excluded.wire, public_wire = excluded.public_wire;
end
$$;

-- The registry of database functions that clients may call through the Worker.
create table airlock.functions (
  name text primary key,
  -- Its name in SQL, with its schema.
  function text not null,
  -- Its parameters by their names in the API, and their names in SQL.
  arguments text[] not null,
  parameters text[] not null
);
alter table airlock.functions enable row level security;
create policy functions_select on airlock.functions for select to anon, authenticated using (true);
grant select on table airlock.functions to anon, authenticated;

-- Registers a function, or updates its registration. Its own grants decide about its callers.
create function airlock.serve_function(
  name text, function text, arguments text[] default '{}', parameters text[] default null
) returns void
language plpgsql set search_path = '' as $$
declare
  target constant oid := to_regproc(function);
begin
  if target is null then
    raise undefined_function using message = format('%s: there is no function with this name, or there are several', function);
  elsif (select prokind <> 'f' from pg_catalog.pg_proc where oid = target)
    or cardinality(arguments) <> cardinality(coalesce(parameters, arguments))
    or exists (select from unnest(arguments) as argument where argument !~ '^[a-z][a-z0-9_]*$')
  then
    raise invalid_parameter_value using
      message = format('%s: not a function with one parameter for each argument; names are a-z, 0-9 and _', function);
  end if;
  insert into airlock.functions
    select serve_function.name, format('%I.%I', nspname, proname), serve_function.arguments,
      coalesce(serve_function.parameters, serve_function.arguments)
      from pg_catalog.pg_proc join pg_catalog.pg_namespace on pg_namespace.oid = pronamespace where pg_proc.oid = target
    on conflict on constraint functions_pkey do update
      set function = excluded.function, arguments = excluded.arguments, parameters = excluded.parameters;
  -- Raises the error of a call, if a parameter has another name.
  perform airlock.call_of(serve_function.name, (select json_object_agg(argument, null) from unnest(arguments) as argument));
end
$$;

-- The statement that calls a registered function with the arguments that $1 names. A name that several functions share is
-- refused: the call could reach another function than the registered one.
create function airlock.call_of(name text, arguments json) returns text
language plpgsql stable set search_path = '' as $$
declare
  served airlock.functions;
  procedure pg_catalog.pg_proc;
  members constant text[] := array(select json_object_keys(arguments));
  known integer;
  passed text;
  draft text;
begin
  select * into served from airlock.functions where functions.name = call_of.name;
  if not found then
    raise sqlstate 'PT404' using message = 'airlock_unknown_resource';
  elsif not members <@ served.arguments then
    raise invalid_parameter_value using message = 'airlock: no such argument';
  end if;
  select * into procedure from pg_catalog.pg_proc where oid = to_regproc(served.function);
  select count(*), string_agg(format('%I => draft."%s"', parameter, argument), ', '),
      string_agg(format('"%s" %s', argument, pg_catalog.format_type(type, -1)), ', ')
    into known, passed, draft
    from unnest(served.arguments, served.parameters) as declared (argument, parameter)
    join unnest(
      coalesce(procedure.proallargtypes, procedure.proargtypes::oid[]), procedure.proargnames, procedure.proargmodes
    ) as found_parameter (type, name, mode) on found_parameter.name = parameter and coalesce(mode, 'i') in ('i', 'b')
    where argument = any (members);
  if procedure.oid is null or known <> cardinality(members) then
    raise undefined_function using message = format('%s: there is no function with these parameters, or there are several', served.function);
  end if;
  return format(
    case
      when procedure.proretset then 'select coalesce(json_agg(r.*), ''[]'') from %2$s %1$s(%3$s) as r'
      when procedure.prorettype = 'void'::regtype then 'select null::json from %2$s %1$s(%3$s) as r'
      else 'select to_json(%1$s(%3$s)) %4$s'
    end,
    served.function, 'json_to_record($1) as draft(' || draft || '),', passed, 'from json_to_record($1) as draft(' || draft || ')'
  );
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
    and resources <@ array(
      -- A table can become a partition, and it can be dropped.
      select name from airlock.resources join pg_catalog.pg_class on pg_class.oid = relation
        where relkind in ('r', 'p') and not relispartition
      -- A name that several functions share cannot be called. to_regproc() would need rights in the schema.
      union all select 'functions/' || name from airlock.functions where 1 = (
        select count(*) from pg_catalog.pg_proc join pg_catalog.pg_namespace on pg_namespace.oid = pronamespace
          where format('%I.%I', nspname, proname) = function
      )
    );
end
$$;

-- Raises PT404 unless the caller sees this row of a resource in its place, and its parents, and none of them is deleted.
create function airlock.require_parent(resource text, id text) returns void
language plpgsql stable set search_path = '' as $$
declare
  served airlock.resources;
  above text;
  seen boolean;
begin
  loop
    select * into served from airlock.resources where name = resource;
    if not found then
      raise sqlstate 'PT404' using message = 'airlock_unknown_resource';
    end if;
    perform set_config('search_path', served.search_path, true);
    execute format(
      'select true, %s from %s as t where %s and %s',
      case when served.under is not null then format('t.%I::text', served.under_column) else 'null' end,
      served.relation, airlock.is_row(served, null), airlock.is_live(served)
    ) into seen, above using auth.uid(), id;
    if seen is null then
      raise sqlstate 'PT404' using message = 'airlock_not_found';
    end if;
    exit when served.under is null;
    resource := served.under;
    id := above;
  end loop;
end
$$;

-- The resource of a collection, if the caller may look into this place: null is the caller's own rows. A collection is the
-- name of a resource, or <parent resource>/<parent id>/<name>. For anon it is one that apps read without a user; policies
-- and grants say the same, and this holds if a team changes those.
create function airlock.find_resource(resource text, org uuid) returns airlock.resources
language plpgsql stable set search_path = '' as $$
declare
  path constant text[] := string_to_array(resource, '/');
  found_resource airlock.resources;
begin
  select * into found_resource from airlock.resources where name = path[cardinality(path)];
  if not found or found_resource.owner = (case when org is null then 'org' else 'user' end)
    or found_resource.under is distinct from (case when cardinality(path) = 3 then path[1] end)
    or current_user = 'anon' and found_resource.readers is distinct from 'app'
  then
    raise sqlstate 'PT404' using message = 'airlock_unknown_resource';
  end if;
  if org is not null then
    perform airlock.require_member(org);
  end if;
  if found_resource.under is not null then
    perform airlock.require_parent(path[1], path[2]);
    found_resource.parent := path[2];
  end if;
  return found_resource;
end
$$;

-- The condition for the rows of one place; $1 is the organisation, or the caller. (A parameter: with auth.uid() in its
-- place, the planner reads a whole table where it could read a range of an index.)
create function airlock.place(served airlock.resources, org uuid) returns text
language sql immutable return pg_catalog.concat(
  case when served.parent is not null then pg_catalog.format('t.%I = %L and ', served.under_column, served.parent) end,
  case
    when org is not null then 't.org_id = $1'
    when served.scope = 'visible' then 'true'
    when served.owner = 'user' then pg_catalog.format('t.%I = $1', served.owner_column)
    else 't.user_id = $1 and t.org_id is null'
  end
);

-- The condition for one row of a place; $2 is its id as text.
create function airlock.is_row(served airlock.resources, org uuid) returns text
language sql immutable
return pg_catalog.format('%s and t.%I = $2::%s', airlock.place(served, org), served.id, served.id_type);

-- The condition for rows that are not deleted; of a table that is not a resource, as if it were made by new-resource.
create function airlock.is_live(served airlock.resources) returns text
language sql immutable return case
  when served.name is null then 't.deleted_at is null'
  when served.deleted is null then 'true'
  else pg_catalog.format('t.%I is null', served.deleted)
end;

-- For a field that refers to a row: ('<field>', '<target table>', '<whether this table has org_id>'), and then the column
-- if it has another name. A missing row, a deleted one and one that the caller may not see are the same error. The rows of
-- an organisation refer to rows of the same organisation. Invoker: the target's policies apply to the caller.
create function airlock.check_reference() returns trigger
language plpgsql set search_path = '' as $$
declare
  field constant text := tg_argv[0];
  target constant regclass := tg_argv[1];
  served airlock.resources;
  same_org text;
  good boolean;
begin
  select * into served from airlock.resources where relation = target;
  same_org := case
    when tg_argv[2] <> 'true' then 'true'
    when served.owner = 'user' then '($1).org_id is null'
    else '(($1).org_id is null or t.org_id = ($1).org_id)'
  end;
  perform set_config('search_path', coalesce(served.search_path, ''), true);
  execute format(
    'select ($1).%1$I is null or exists (select from %2$s as t where t.%3$I = ($1).%1$I and %4$s and %5$s)',
    coalesce(tg_argv[3], field), target, coalesce(served.id, 'id'), airlock.is_live(served), same_org
  ) into good using new;
  if not good then
    raise foreign_key_violation using message = 'airlock_reference', detail = field;
  end if;
  return new;
end
$$;


-- Reading

-- The condition for rows that pass all these filters: [["<field>", "<operator>", "<value>"], ...]; the value of `in` is a
-- list.
create function airlock.passes(served airlock.resources, filters json) returns text
language plpgsql immutable set search_path = '' as $$
declare
  condition text := 'true';
  filter json;
  value text;
  place integer;
  compared text;
begin
  for filter in select json_array_elements(filters) loop
    place := array_position(served.fields, filter ->> 0);
    value := filter ->> 2;
    compared := case filter ->> 1
      when 'eq' then '= %2$L::%3$s'
      when 'neq' then '<> %2$L::%3$s'
      when 'lt' then '< %2$L::%3$s'
      when 'lte' then '<= %2$L::%3$s'
      when 'gt' then '> %2$L::%3$s'
      when 'gte' then '>= %2$L::%3$s'
      when 'in' then '= any (%2$L::%3$s[])'
      when 'is' then case value when 'null' then 'is null' when 'not_null' then 'is not null' end
    end;
    if place is null or value is null or compared is null then
      raise invalid_parameter_value using message = 'airlock_list: no such filter';
    elsif filter ->> 1 = 'in' then
      value := array(select json_array_elements_text(filter -> 2))::text;
    end if;
    condition := concat(condition, ' and ', format('t.%1$I ' || compared, served.columns[place], value, served.types[place]));
  end loop;
  return condition;
end
$$;

-- The condition for rows after a cursor, whose key is $2 and whose id is $3; null without a cursor.
create function airlock.beyond(served airlock.resources, key text, after text, descending boolean) returns text
language sql stable return case when after is not null then pg_catalog.format(
  'and (%s t.%I) %s (%s $3::%s)',
  case when key is not null then pg_catalog.format('t.%I,', key) end, served.id,
  case when descending then '<' else '>' end,
  case when key is not null then '$2::' || airlock.type_of(served.relation, key) || ',' end, served.id_type
) end;

-- The wire form of a row with its embedded rows in `included`. It is a list of {"name", "resource", "many", "field",
-- "fields"}. Without `many` the embedded row is the one that the field refers to, or null. With `many` it is a list of
-- at most 100 rows that refer to this one, by the field or as their parent, with a flag for more. It has at most 1 MiB:
-- the Worker refuses an answer of more than 16 MiB, which one member could otherwise cause for all. Deleted rows, and
-- those that the caller does not see, are left out.
create function airlock.wire_with(served airlock.resources, org uuid, embeds text) returns text
language plpgsql stable set search_path = '' as $$
declare
  embed json;
  other airlock.resources;
  near text;
  far text;
  shown text[];
  columns text[];
  parts text[] := '{}';
begin
  if json_array_length(embeds::json) > 8 then
    raise invalid_parameter_value using message = 'airlock: too many embedded rows';
  end if;
  for embed in select json_array_elements(embeds::json) loop
    select * into other from airlock.resources where name = embed ->> 'resource';
    -- As find_resource() says of anon.
    if not found or current_user = 'anon' and other.readers is distinct from 'app' then
      raise sqlstate 'PT404' using message = 'airlock_unknown_resource';
    end if;
    if (embed ->> 'many')::boolean then
      near := 't.' || quote_ident(served.id);
      if embed ->> 'field' is not null then
        far := other.columns[array_position(other.fields, embed ->> 'field')];
      elsif other.under = served.name then
        far := other.under_column;
        -- Nothing is served below a deleted row, which a list of deleted rows has.
        near := format('case when %s then %s end', airlock.is_live(served), near);
      end if;
    else
      near := 't.' || quote_ident(served.columns[array_position(served.fields, embed ->> 'field')]);
      far := other.id;
    end if;
    shown := array(select json_array_elements_text(embed -> 'fields'));
    columns := array(
      select (other.id || other.columns)[array_position('id'::text || other.fields, field)]
        from unnest(shown) with ordinality as one (field, place) order by place
    );
    -- Rows that have a parent are embedded only in that parent, which find_resource() has checked.
    if near is null or far is null or embed ->> 'name' is null or shown = '{}' or array_position(columns, null) is not null
      or other.under is not null and embed ->> 'field' is not null
    then
      raise invalid_parameter_value using message = 'airlock: no such embedded rows';
    end if;
    -- `linked` has the join's condition, because t is the embedded table further in.
    parts := parts || format(
      case when (embed ->> 'many')::boolean then
        '(select (
          select row_to_json(page.*) from (
            select array_to_json(coalesce(array_agg(wire order by place) filter (where shown), ''{}'')) as data,
              count(*) > count(*) filter (where shown) as more
            from (
              select wire, place, place <= 100 and sum(octet_length(wire::text)) over (order by place) <= 1048576 as shown
              from (
                select %1$s as wire, row_number() over (order by %2$s t.%3$I desc) as place
                  from %4$s as t where t.%5$I = linked.value and %6$s and %7$s order by %2$s t.%3$I desc limit 101
              ) as found
            ) as sized
          ) as page
        ) from (select %8$s as value) as linked) as %9$I'
      else
        '(select (
          select %1$s from %4$s as t where t.%5$I = linked.value and %6$s
        ) from (select %8$s as value) as linked) as %9$I'
      end,
      airlock.wire_of(other.relation, shown, columns), case when other.created is not null then format('t.%I desc,', other.created) end,
      other.id, other.relation, far, airlock.is_live(other),
      -- No row of an organisation refers to a row of a user.
      case when org is not null and other.owner = 'user' then 'false' else airlock.place(other, org) end, near, embed ->> 'name'
    );
  end loop;
  return case
    when parts = '{}' then served.wire
    -- One more column of the wire form. Added to its text, the row would be parsed, and one of its fields can be too deep
    -- for that.
    else format(
      '%s, (select row_to_json(i.*) from (select %s) as i) as included) as w)',
      left(served.wire, -length(') as w)')), array_to_string(parts, ', ')
    )
  end;
end
$$;

-- The value and the id of the row of a cursor without its value. The caller sees the row, or the cursor is refused.
create function airlock.place_of(served airlock.resources, org uuid, key text, id text) returns text[]
language plpgsql stable set search_path = '' as $$
declare
  place text[];
begin
  perform set_config('search_path', served.search_path, true);
  execute format(
    'select array[t.%I::text, $2] from %s as t where %s',
    coalesce(key, served.id), served.relation, airlock.is_row(served, org)
  ) into place using coalesce(org, auth.uid()), id;
  if place is null then
    raise sqlstate 'PT422' using message = 'airlock_cursor';
  end if;
  return place;
end
$$;

-- A page as the JSON that clients get: {"data":[...],"next_cursor":...} without spaces. `sort` is a field, created or
-- updated, for descending order after a minus sign. With `counted` the page has a count of all its list's rows, of at most
-- 10,000.
create function public.airlock_list(
  resource text, org uuid, state text, words text, after text, page_size integer,
  sort text default null, filters json default null, counted boolean default false, included text default null
) returns json
language plpgsql stable set search_path = '' as $$
declare
  served constant airlock.resources := airlock.find_resource(resource, org);
  in_state constant text := case
    when state = 'active' then airlock.is_live(served)
    -- A deletion withdraws a row from all its readers, so they cannot list deleted ones.
    when state = 'deleted' and served.deleted is not null and served.readers is null then format('t.%I is not null', served.deleted)
    when state = 'published' and served.publish is not null then airlock.is_live(served) || ' and t.published_at is not null'
  end;
  sorted_by constant text := ltrim(sort, '-');
  -- The column that comes before the id in the order; null: the id alone.
  key constant text := coalesce(
    served.columns[array_position(served.fields, sorted_by)],
    case when sort is null or sorted_by = 'created' then served.created when sorted_by = 'updated' then served.updated end
  );
  -- Rows without a key come last in both orders, as a range of their own, so that one index over key and id serves both.
  nullable constant boolean := sort is not null and not (
    select attnotnull from pg_catalog.pg_attribute where attrelid = served.relation and attname = key
  );
  descending constant boolean := sort is null or sort like '-%';
  direction constant text := case when descending then 'desc' else 'asc' end;
  list constant text := concat_ws(' ', resource, sort);
  reached text[];
  condition text;
  rows text;
  ordered text;
  page json;
begin
  if in_state is null or words is not null and not served.searchable or (page_size between 1 and 100) is not true
    or sort is not null and key is null
  then
    raise invalid_parameter_value using message = 'airlock_list: no such state, search, sort or page size';
  end if;
  condition := concat_ws(
    ' and ',
    airlock.place(served, org),
    in_state,
    case when words is not null then 't.airlock_search @@ websearch_to_tsquery(''simple'', normalize($5))' end,
    case when filters is not null then airlock.passes(served, filters) end
  );
  if after is not null then
    reached := airlock.read_cursor(after, list, coalesce(airlock.type_of(served.relation, key), 'text'), served.id_type, true);
    if cardinality(reached) = 1 then
      reached := airlock.place_of(served, org, key, reached[1]);
    end if;
  end if;
  rows := format(
    'select %s as key, t.%I as id, %s as wire from %s as t where %s',
    case when key is not null then format('t.%I', key) else 'null::text' end, served.id,
    airlock.wire_with(served, org, included), served.relation, condition
  );
  ordered := concat_ws(
    ' ', 'order by', case when key is not null then format('t.%I %s,', key, direction) end,
    format('t.%I %s limit $4 + 1', served.id, direction)
  );
  if nullable then
    rows := 'select * from (' || concat_ws(
      ' union all ',
      case when after is null or reached[1] is not null then
        concat_ws(' ', '(' || rows, format('and t.%I is not null', key), airlock.beyond(served, key, after, descending), ordered || ')')
      end,
      concat_ws(
        ' ', '(' || rows, format('and t.%I is null', key),
        case when reached[1] is null then airlock.beyond(served, null, after, descending) end, ordered || ')'
      )
    ) || ') as t limit $4 + 1';
  else
    rows := concat_ws(' ', rows, airlock.beyond(served, key, after, descending), ordered);
  end if;
  perform set_config('search_path', served.search_path, true);
  execute format(
    'select row_to_json(page) from (
      select
        array_to_json(coalesce(array_agg(wire order by place) filter (where place <= $4), ''{}'')) as data,
        case when count(*) > $4 then
          max(airlock.cursor(json_build_array($6, key, id))) filter (where place = $4)
        end as next_cursor
        %s
      from (
        select t.key, t.id, t.wire, row_number() over (order by t.key %s, t.id %s) as place from (%s) as t
      ) as t
    ) as page',
    case when counted then
      format(', (select count(*) from (select from %s as t where %s limit 10000) as counted) as count', served.relation, condition)
    end,
    direction || case when nullable then ' nulls last' else '' end,
    direction,
    rows
  )
  into page
  using coalesce(org, auth.uid()), reached[1], reached[2], page_size, words, list;
  return page;
end
$$;

-- A row, deleted or not.
create function airlock.row_of(served airlock.resources, org uuid, id text, condition text default 'true') returns json
language plpgsql stable set search_path = '' as $$
declare
  found_row json;
begin
  perform set_config('search_path', served.search_path, true);
  execute format('select %s from %s as t where %s and %s', served.wire, served.relation, airlock.is_row(served, org), condition)
    into found_row using coalesce(org, auth.uid()), id;
  return found_row;
end
$$;

-- A row that is not deleted, or null.
create function public.airlock_read(resource text, org uuid, id text, included text default null) returns json
language plpgsql stable set search_path = '' as $$
declare
  served airlock.resources := airlock.find_resource(resource, org);
begin
  served.wire := airlock.wire_with(served, org, included);
  return airlock.row_of(served, org, id, airlock.is_live(served));
end
$$;

-- Whether everybody may read this row. A policy says the same to anon; this holds if a team changes that policy. Definer,
-- because anon may not read whose a row is.
create function airlock.is_published(resource text, id text) returns boolean
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
    'select t.published_at is not null and %s %s from %s as t where t.%I = $1::%s',
    airlock.is_live(served),
    case when served.owner <> 'user' then 'and (t.org_id is null or airlock.org_is_live(t.org_id))' end,
    served.relation, served.id, served.id_type
  ) into published using id;
  return coalesce(published, false);
end
$$;

-- A published row, or null.
create function public.airlock_published(resource text, id text) returns json
language plpgsql stable set search_path = '' as $$
declare
  served airlock.resources;
  found_row json;
begin
  if airlock.is_published(resource, id) then
    select * into served from airlock.resources where name = resource;
    perform set_config('search_path', served.search_path, true);
    execute format(
      'select %s from %s as t where t.%I = $1::%s and t.published_at is not null',
      served.public_wire, served.relation, served.id, served.id_type
    ) into found_row using id;
  end if;
  return found_row;
end
$$;


-- Writing. Each function calls refuse_copy(), locks the row, decides, claims the nonce and writes, in one transaction.
-- It claims before the write, so that a copy waits for the claim and never reports an error that the first copy caused.

-- The fields that a draft names, or the other writable ones, separated by commas; null for none. The format gets the
-- column, the name and the type of each.
create function airlock.columns_of(served airlock.resources, draft json, form text, absent boolean default false) returns text
language plpgsql immutable set search_path = '' as $$
declare
  members constant text[] := array(select json_object_keys(draft));
begin
  if not members <@ served.writable then
    raise invalid_parameter_value using message = 'airlock: the draft has a member that is not a field';
  end if;
  return (
    select string_agg(format(form, column_name, field, type), ', ' order by place)
      from unnest(served.fields, served.columns, served.types) with ordinality as declared (field, column_name, type, place)
      where field = any (served.writable) and (field = any (members)) <> absent
  );
end
$$;

-- The draft, $3, as a table of one row with the fields that it names. (%I would not quote `format`, and `format json` is
-- something else.)
create function airlock.draft_of(served airlock.resources, draft json) returns text
language sql immutable
return 'from json_to_record($3) as draft(' || airlock.columns_of(served, draft, '"%2$s" %3$s') || ')';

-- Raises PT404 if the caller was a member of this organisation when the request began and no longer is. A policy or a
-- trigger refuses the write anyway, but this caller gets 404, as any outsider.
create function airlock.still_member(org uuid) returns void
language plpgsql set search_path = '' as $$
begin
  if org is not null then
    perform airlock.require_member(org);
  end if;
end
$$;

-- Makes a row and returns it. The database makes a bigint id.
create function airlock.insert_row(served airlock.resources, org uuid, id text, draft json) returns json
language plpgsql set search_path = '' as $$
declare
  own_id constant boolean := served.id_type = 'uuid';
  own_owner constant boolean := served.set_owner and served.owner_column <> served.id;
  columns constant text := concat_ws(
    ', ', case when own_id then quote_ident(served.id) end, case when own_owner then quote_ident(served.owner_column) end,
    case when org is not null then 'org_id' end, quote_ident(served.under_column), airlock.columns_of(served, draft, '%1$I')
  );
  made json;
begin
  perform set_config('search_path', served.search_path, true);
  execute format(
    case
      when columns = '' then 'insert into %1$s as t default values returning %5$s'
      else 'insert into %1$s as t (%2$s) select %3$s %4$s returning %5$s'
    end,
    served.relation,
    columns,
    concat_ws(
      ', ', case when own_id then '$2::uuid' end, case when own_owner then '$4' end,
      case when org is not null then '$1' end, quote_literal(served.parent), airlock.columns_of(served, draft, 'draft.%2$I')
    ),
    airlock.draft_of(served, draft),
    served.wire
  ) into made using org, id, draft, auth.uid();
  if made is null then
    raise exception 'airlock: a trigger suppressed the row';
  end if;
  return made;
exception when insufficient_privilege then
  perform airlock.still_member(org);
  raise;
end
$$;

-- Changes a row that the caller has locked and returns it. `assignments` may refer to the draft.
create function airlock.update_row(served airlock.resources, org uuid, id text, assignments text, draft json) returns json
language plpgsql set search_path = '' as $$
declare
  changed json;
begin
  perform set_config('search_path', served.search_path, true);
  execute format(
    'update %s as t set %s %s where %s returning %s',
    served.relation, assignments, airlock.draft_of(served, draft), airlock.is_row(served, org), served.wire
  ) into changed using coalesce(org, auth.uid()), id, draft;
  if changed is null then
    if (airlock.lock_row(served, org, id)).writable then
      raise exception 'airlock: a trigger suppressed the change';
    end if;
    -- The caller lost the right to change the row after it was locked. A new attempt gets the right refusal.
    raise serialization_failure using message = 'airlock: the caller''s rights changed during the request';
  end if;
  return changed;
exception when insufficient_privilege then
  perform airlock.still_member(org);
  raise;
end
$$;

-- The state of a row for a write function. `writable` is false if the caller sees the row and may not change it.
create type airlock.row_state as (seen boolean, version bigint, deleted boolean, published boolean, writable boolean);

-- The statement that reads a row's state; $3 is `writable`.
create function airlock.state_of(served airlock.resources, org uuid) returns text
language sql immutable return pg_catalog.format(
  'select true, %s, not (%s), %s, $3 from %s as t where %s',
  coalesce(served.version, 'null::bigint'), airlock.is_live(served),
  case when served.publish is not null then 't.published_at is not null' else 'false' end,
  served.relation, airlock.is_row(served, org)
);

-- Locks a row, deleted or not, until the transaction ends, and returns its state; null if the caller sees no such row.
create function airlock.lock_row(served airlock.resources, org uuid, id text) returns airlock.row_state
language plpgsql set search_path = '' as $$
declare
  look constant text := airlock.state_of(served, org);
  owner_id constant uuid := coalesce(org, auth.uid());
  state airlock.row_state;
begin
  perform set_config('search_path', served.search_path, true);
  -- A row that is seen and was not locked may have been made between the two statements: then the second round locks it.
  for round in 1 .. 2 loop
    execute look || ' for no key update of t' into state using owner_id, id, true;
    exit when state.seen;
    execute look into state using owner_id, id, false;
    exit when state.seen is null;
  end loop;
  return state;
end
$$;

-- Deletes a row for good, where rows have no `deleted`. done, mismatch(row), missing, forbidden, as in airlock_put.
create function airlock.delete_row(served airlock.resources, org uuid, id text, if_match bigint) returns json
language plpgsql set search_path = '' as $$
declare
  owner_id constant uuid := coalesce(org, auth.uid());
  state airlock.row_state;
  deleted integer;
begin
  perform set_config('search_path', served.search_path, true);
  -- A row that is seen and was not deleted may have been made between the two statements: then the second round deletes it.
  for round in 1 .. 2 loop
    begin
      perform airlock.claim();
      execute format(
        'delete from %s as t where %s and ($3 is null or %s = $3)',
        served.relation, airlock.is_row(served, org), coalesce(served.version, 'null::bigint')
      ) using owner_id, id, if_match;
      get diagnostics deleted = row_count;
      if deleted > 0 then
        return airlock.outcome('done');
      end if;
      -- Undoes the claim.
      raise sqlstate 'AL000';
    exception when sqlstate 'AL000' then
      execute airlock.state_of(served, org) into state using owner_id, id, false;
    end;
    exit when state.seen is null or if_match is not null and state.version is distinct from if_match;
  end loop;
  perform airlock.refuse_copy();
  return case
    when state.seen is null then airlock.outcome('missing')
    when if_match is not null and state.version is distinct from if_match
      then airlock.outcome('mismatch', airlock.row_of(served, org, id))
    else airlock.outcome('forbidden')
  end;
end
$$;

create function airlock.outcome(name text, row_json json default null) returns json
language sql stable return case
  when row_json is null then json_build_object('outcome', name)
  else json_build_object('outcome', name, 'row', row_json)
end;

-- Calls a registered function. The nonce is claimed first, even if the function writes nothing. `path` is the search
-- path that it would have if the caller called it, and ends with this function.
create function airlock.run(function text, arguments json, path text) returns json
language plpgsql set search_path = '' as $$
declare
  statement constant text := airlock.call_of(function, arguments);
  result json;
begin
  perform airlock.check_edge();
  perform airlock.refuse_copy();
  perform airlock.claim();
  perform set_config('search_path', path, true);
  execute statement into result using arguments;
  return airlock.outcome('done', result);
end
$$;

-- done(result). The result is left out if the function returns null or void.
create function public.airlock_call(function text, arguments json) returns json
language sql return airlock.run(function, arguments, pg_catalog.current_setting('search_path'));


-- created(row), reused: the key belongs to another request, deleted: the row that the key made is deleted since.
create function public.airlock_create(
  resource text, org uuid, draft json, request_key text, request_digest text
) returns json
language plpgsql set search_path = '' as $$
declare
  served airlock.resources;
  made text;
  target text;
  found_row json;
begin
  perform airlock.refuse_copy();
  served := airlock.find_resource(resource, org);
  made := case served.id_type when 'uuid' then gen_random_uuid()::text else '' end;
  if request_key is not null then
    target := airlock.use_key(request_key, request_digest, concat_ws('/', 'orgs/' || org, resource), made);
    if target is null then
      return airlock.outcome('reused');
    elsif target <> made then
      found_row := public.airlock_read(resource, org, target);
      return airlock.outcome(case when found_row is null then 'deleted' else 'created' end, found_row);
    end if;
  end if;
  perform airlock.claim();
  -- In a variable, because Postgres plans outcome() again for each call with a volatile argument.
  found_row := airlock.insert_row(served, org, made, draft);
  if target = '' then
    perform airlock.keep_target(request_key, found_row ->> 'id');
  end if;
  return airlock.outcome('created', found_row);
end
$$;

-- Modes: 'any' replaces a live row or creates one, 'create' never replaces, 'replace' never creates. Where the database
-- makes the ids, rows are only replaced. created(row), done(row), mismatch(row), missing, taken: the id belongs to a
-- row that is deleted or not the caller's, forbidden: the caller may see the row and not change it.
create function public.airlock_put(
  resource text, org uuid, id text, draft json, mode text, if_match bigint
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
  if (mode = 'replace' or mode in ('any', 'create') and served.id_type = 'uuid') is not true then
    raise invalid_parameter_value using message = 'airlock_put: unknown mode';
  end if;

  before := airlock.lock_row(served, org, id);
  if before.seen is null and mode <> 'replace' then
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
    -- The id is taken, perhaps by another request of the caller since the row was searched.
    before := airlock.lock_row(served, org, id);
  end if;

  refusal := case
    when before.seen is null or before.deleted then case when mode = 'replace' then 'missing' else 'taken' end
    when mode = 'create' or if_match is not null and before.version is distinct from if_match then 'mismatch'
    when not before.writable then 'forbidden'
  end;
  if refusal is not null then
    perform airlock.refuse_copy();
    return airlock.outcome(refusal, case when refusal = 'mismatch' then airlock.row_of(served, org, id) end);
  end if;
  perform airlock.claim();
  return airlock.outcome('done', airlock.update_row(
    served, org, id,
    concat_ws(
      ', ', airlock.columns_of(served, draft, '%1$I = draft.%2$I'), airlock.columns_of(served, draft, '%1$I = default', true)
    ),
    draft
  ));
end
$$;

-- Actions: patch, delete, restore, publish, unpublish.
-- done(row; none after a DELETE for good), already(row): the row is as wanted, mismatch(row), missing, forbidden: as in
-- airlock_put.
create function public.airlock_change(
  resource text, org uuid, id text, action text, draft json, if_match bigint
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
  if action = 'delete' and served.deleted is null then
    return airlock.delete_row(served, org, id, if_match);
  end if;
  -- The trigger writes its own time.
  assignments := case
    when action = 'patch' then airlock.columns_of(served, draft, '%1$I = draft.%2$I')
    when action = 'delete' then format('%I = now()', served.deleted)
    when action = 'restore' and served.deleted is not null then format('%I = null', served.deleted)
    when action = 'publish' and served.publish is not null then 'published_at = now()'
    when action = 'unpublish' and served.publish is not null then 'published_at = null'
  end;
  if assignments is null then
    raise invalid_parameter_value using message = 'airlock_change: unknown action, or nothing to change';
  end if;

  before := airlock.lock_row(served, org, id);
  refusal := case
    when before.seen is null or before.deleted and action not in ('delete', 'restore') then 'missing'
    -- A deletion withdraws a row from its readers.
    when before.deleted and not before.writable and served.readers is not null then 'missing'
    when case action
        when 'delete' then before.deleted
        when 'restore' then not before.deleted
        when 'publish' then before.published
        when 'unpublish' then not before.published
      end then 'already'
    when if_match is not null and before.version is distinct from if_match then 'mismatch'
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


-- Edge-only mode: a closed table shows its rows only to requests that come through the Worker. Off until an operator
-- turns it on; docs/edge-only.md describes how, and its limits.

-- One row. Only the database's owner has rights on it.
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
  -- Hashes are compared, not the MACs, so that the time of the comparison tells nothing about the right MAC.
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
  -- No error, because a policy raises it only for rows that exist, which reveals them. In Realtime one user's error
  -- would also stop the others.
  return settings.mode is not distinct from 'report';
end
$$;

-- Policies call this with every statement. While the mode is off, the planner replaces the call by its body, `true`.
-- (So the function is not definer and has no settings.)
create function airlock.edge_ok() returns boolean
language sql stable return true;

-- `true` only in the mode 'off', and not if the settings are missing.
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
-- Also when only data is restored.
alter table airlock.edge_settings enable always trigger edge_settings_after_change;

-- The same check for code to which no policy applies: definer functions, and PostgREST's pre-request.
create function airlock.check_edge() returns void
language plpgsql security definer set search_path = '' as $$
begin
  if current_setting('role', true) in ('anon', 'authenticated') and airlock.edge_ok() is not true then
    -- PostgREST answers it as 403.
    raise sqlstate 'PT403' using message = 'airlock_edge_only';
  end if;
end
$$;

-- True for every request. For each one that bypasses the Worker it logs one line per table, with headers that show the
-- version of the app. The Worker calls public.airlock_* or brings a proof. Without a path there is no request: Realtime
-- asks policies for each change and each user.
create function airlock.report_direct(relation regclass) returns boolean
language plpgsql stable set search_path = '' as $$
declare
  path constant text := nullif(current_setting('request.path', true), '');
  headers constant json := nullif(current_setting('request.headers', true), '')::json;
  -- Set until the transaction ends: a statement asks several times.
  reported constant text := 'airlock.reported_' || relation::oid;
begin
  if path not like '/rpc/airlock\_%' and headers ->> 'x-edge-proof' is null
    and current_setting(reported, true) is distinct from 'on'
  then
    perform set_config(reported, 'on', true);
    raise log 'airlock direct call: % %, client %, agent %', current_setting('request.method', true), relation,
      -- Callers write these values, so only printable ASCII is logged: a line break could forge log lines.
      coalesce(left(regexp_replace(headers ->> 'x-client-info', '[^ -~]', '?', 'g'), 100), '-'),
      coalesce(left(regexp_replace(headers ->> 'user-agent', '[^ -~]', '?', 'g'), 100), '-');
  end if;
  return true;
end
$$;

-- Closes a table: from now on the mode applies to it. The policy is restrictive, so it allows nothing by itself.
-- service_role has BYPASSRLS and needs no proof. With 'report' the table stays open, and requests that bypass the
-- Worker are logged.
create function airlock.close_table(relation regclass, mode text default 'enforce') returns void
language plpgsql set search_path = '' as $$
declare
  condition constant text := case mode
    when 'enforce' then '(select airlock.edge_ok())'
    when 'report' then format('(select airlock.report_direct(%L))', relation)
  end;
begin
  if condition is null then
    raise invalid_parameter_value using
      message = format('airlock.close_table: a table has the modes enforce and report, not %s', mode);
  end if;
  perform airlock.open_table(relation);
  execute format(
    'create policy %I on %s as restrictive for all to anon, authenticated using (%s) with check (%3$s)',
    (
      -- Postgres would cut a longer name.
      select case when octet_length(relname) <= 53 then relname::text else left(relname, 10) || '_' || left(md5(relname), 8) end || '_edge_only'
        from pg_catalog.pg_class where oid = relation
    ),
    relation, condition
  );
end
$$;

create function airlock.open_table(relation regclass) returns void
language plpgsql set search_path = '' as $$
declare
  policy name;
begin
  perform airlock.restore_grants(relation);
  -- A team's own policy has another condition. The table may have been renamed since it was closed.
  for policy in
    select polname from pg_catalog.pg_policy
      where polrelid = relation and not polpermissive and polname like '%\_edge\_only' and exists (
        select from pg_catalog.pg_depend
          where classid = 'pg_catalog.pg_policy'::regclass and objid = pg_policy.oid and refclassid = 'pg_catalog.pg_proc'::regclass
            and refobjid in ('airlock.edge_ok()'::regprocedure, 'airlock.report_direct(regclass)'::regprocedure)
      )
  loop
    execute format('drop policy %I on %s', policy, relation);
  end loop;
end
$$;

-- The callers' rights on a table before narrow_grants(): [{"role", "privilege", "column", "grantable"}]. A column is
-- its number; null is the whole table.
create table airlock.earlier_grants (
  relation regclass primary key,
  grants json not null
);
alter table airlock.earlier_grants enable row level security;

-- Revokes the rights of anon and authenticated that the Worker's requests to this resource do not need. It grants no
-- new rights.
create function airlock.narrow_grants(relation regclass) returns void
language plpgsql set search_path = '' as $$
declare
  served airlock.resources;
  -- The column of a version stands in an expression.
  version text;
  statements text[];
  others text;
begin
  select * into served from airlock.resources as one where one.relation = narrow_grants.relation;
  if not found then
    raise invalid_parameter_value using message = format('%s is not a resource; call airlock.serve() first', relation);
  end if;
  perform airlock.restore_grants(relation);
  version := (regexp_match(served.version, 't\.("(?:[^"]|"")+"|\w+)'))[1];
  statements := array(
    select format(
        'grant %s (%s) on table %s to %s',
        privilege, string_agg(quote_ident(attname), ', ' order by attnum), relation, role
      )
      from pg_catalog.pg_attribute
        cross join (values
          ('authenticated', 'SELECT'), ('authenticated', 'INSERT'), ('authenticated', 'UPDATE'), ('anon', 'SELECT')
        ) as needed (role, privilege)
        cross join lateral (select served.fields[array_position(served.columns, attname::text)]) as declared (field)
      where attrelid = relation and attnum > 0 and not attisdropped
        and has_column_privilege(role, relation, attnum, privilege)
        and case privilege
          when 'INSERT' then field = any (served.writable) or attname = served.id and served.id_type = 'uuid'
            or attname = served.owner_column and served.set_owner or attname = served.under_column
          when 'UPDATE' then field = any (served.writable) or attname = served.deleted
            or attname = 'published_at' and served.publish is not null
          else (role = 'authenticated' or served.readers = 'app') and (
            field is not null or quote_ident(attname) = version
            or attname = any (array[
              served.id, served.owner_column, served.under_column, served.created, served.updated, served.deleted
            ])
            -- Policies read other tables with their caller's rights.
            or exists (
              select from pg_catalog.pg_depend
                where classid = 'pg_catalog.pg_policy'::regclass and refclassid = 'pg_catalog.pg_class'::regclass
                  and refobjid = relation and refobjsubid = attnum
            )
          ) or served.publish is not null and (
            field = any (served.publish) or quote_ident(attname) = version
            or attname = any (array[served.id, served.updated, 'published_at'])
          )
        end
      group by role, privilege
  ) || case when served.deleted is null and has_table_privilege('authenticated', relation, 'DELETE') then
    array[format('grant delete on table %s to authenticated', relation)]
  end;

  insert into airlock.earlier_grants
    select narrow_grants.relation, coalesce(json_agg(json_build_object(
        'role', role, 'privilege', privilege_type, 'column', attnum, 'grantable', is_grantable
      )), '[]')
      from (
        select held.*, null::smallint as attnum from pg_catalog.pg_class, aclexplode(relacl) as held where oid = relation
        union all
        select held.*, attnum from pg_catalog.pg_attribute, aclexplode(attacl) as held
          where attrelid = relation and attnum > 0 and not attisdropped
      ) as held
        cross join lateral (select case grantee when 0 then 'public' else pg_get_userbyid(grantee) end) as grantees (role)
      where role in ('public', 'anon', 'authenticated');
  execute format('revoke all on table %s from public, anon, authenticated', relation);
  for place in 1 .. coalesce(cardinality(statements), 0) loop
    execute statements[place];
  end loop;

  if (select mode from airlock.edge_settings) = 'off' then
    raise warning 'edge-only mode is off: requests past the Worker are answered as far as the grants on % go', relation;
  end if;
  select string_agg(distinct polrelid::regclass::text, ', ') into others
    from pg_catalog.pg_depend join pg_catalog.pg_policy on pg_policy.oid = objid
    where classid = 'pg_catalog.pg_policy'::regclass and refclassid = 'pg_catalog.pg_class'::regclass
      and refobjid = relation and polrelid <> relation;
  if others is not null then
    raise warning 'policies of % read %, so direct calls of these tables get fewer rows or none', others, relation;
  end if;
  select string_agg(pg_proc.oid::regprocedure::text, ', ' order by pg_proc.oid::regprocedure::text) into others
    from pg_catalog.pg_proc
    where pronamespace::regnamespace::text !~ '^(pg_|information_schema$|airlock$|auth$|storage$|realtime$|extensions$)'
      and proname not like 'airlock\_%' and not prosecdef
      and strpos(prosrc, (select relname from pg_catalog.pg_class where oid = relation)) > 0
      and not exists (
        select from pg_catalog.pg_depend
          where classid = 'pg_catalog.pg_proc'::regclass and objid = pg_proc.oid and deptype = 'e'
      );
  if others is not null then
    raise warning '% may use % with the rights of the caller, who has fewer now', others, relation;
  end if;
end
$$;

-- Undoes narrow_grants().
create function airlock.restore_grants(relation regclass) returns void
language plpgsql set search_path = '' as $$
declare
  earlier json;
  held json;
  attribute name;
begin
  delete from airlock.earlier_grants as one where one.relation = restore_grants.relation returning grants into earlier;
  if not found then
    return;
  end if;
  execute format('revoke all on table %s from public, anon, authenticated', relation);
  for held in select json_array_elements(earlier) loop
    attribute := (
      select attname from pg_catalog.pg_attribute
        where attrelid = relation and attnum = (held ->> 'column')::smallint and not attisdropped
    );
    -- Grants on a dropped column are gone, too.
    if held ->> 'column' is null or attribute is not null then
      execute format(
        'grant %s %s on table %s to %s %s',
        held ->> 'privilege', '(' || quote_ident(attribute) || ')', relation, held ->> 'role',
        case when (held ->> 'grantable')::boolean then 'with grant option' end
      );
    end if;
  end loop;
end
$$;


-- Scheduled jobs, which bypass Row Level Security. Each use is recorded.

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

-- The condition that no foreign key without an action refers to row t of this table. Such keys are required refs, and
-- keys of tables that are no resources.
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
    -- A row's reference to itself does not keep it.
    case when key.conrelid = relation then 'and other.id <> t.id' end
  ), ' '), '')
  from pg_catalog.pg_constraint as key
  where key.contype = 'f' and key.confrelid = relation and key.confdeltype in ('a', 'r') and key.conparentid = 0
$$;

-- Deletes rows of a resource that were deleted softly at `due` or before. A required ref keeps its target; a nullable
-- one becomes null.
create function airlock.purge_rows(served airlock.resources, due timestamptz, at_most integer) returns integer
language plpgsql set search_path = '' as $$
declare
  deleted integer;
begin
  -- Triggers of the project's own find names as they do in other statements.
  perform set_config('search_path', served.search_path, true);
  -- An array, because Postgres may evaluate a subquery with a limit more than once. The next batch takes the rows that
  -- are locked now.
  execute format(
    'delete from %1$s where id = any (array(
      select t.id from %1$s as t where t.deleted_at > ''-infinity'' and t.deleted_at <= $1 %2$s
        order by t.deleted_at limit $2 for update of t skip locked
    ))',
    served.relation, airlock.unreferenced(served.relation)
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
      -- Only tables of new-resource have this trigger. In other tables another app may have marked rows as deleted:
      -- these stay.
      for resource in
        select * from airlock.resources where exists (
          select from pg_catalog.pg_trigger where tgrelid = relation and tgfoid = 'airlock.touch_update'::regproc
        ) order by name
      loop
        exit when deleted >= at_most;
        deleted := deleted + airlock.purge_rows(resource, due, at_most - deleted);
      end loop;
    -- After 24 hours a key has expired, see use_key().
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
    public.airlock_list(text, uuid, text, text, text, integer, text, json, boolean, text),
    public.airlock_read(text, uuid, text, text),
    public.airlock_create(text, uuid, json, text, text),
    public.airlock_put(text, uuid, text, json, text, bigint),
    public.airlock_change(text, uuid, text, text, json, bigint),
    public.airlock_call(text, json),
    public.airlock_published(text, text),
    public.airlock_run_job(text, uuid, integer, integer)
  from public, anon, authenticated, service_role;

-- Checks and triggers of tables call these, for every writer.
grant execute
  on function airlock.wire_time(timestamptz), airlock.is_trimmed(text), airlock.are_texts(text[], integer, integer),
    airlock.are_items(anyarray, integer)
  to anon, authenticated, service_role;
-- Reading and check_reference() call it, for every caller.
grant execute on function airlock.is_live(airlock.resources) to anon, authenticated, service_role;
-- Policies call these, and PostgREST calls check_edge() for every role where it is the pre-request.
grant execute
  on function airlock.edge_ok(), airlock.edge_proof_ok(), airlock.report_direct(regclass), airlock.org_is_live(uuid)
  to anon, authenticated;
grant execute on function airlock.check_edge() to anon, authenticated, service_role;

-- Reading, of rows of a user and of rows that apps read without one.
grant execute
  on function
    public.airlock_list(text, uuid, text, text, text, integer, text, json, boolean, text),
    public.airlock_read(text, uuid, text, text),
    airlock.cursor(json),
    airlock.read_cursor(text, text, text, text, boolean),
    airlock.place_of(airlock.resources, uuid, text, text),
    airlock.find_resource(text, uuid),
    airlock.type_of(regclass, text),
    airlock.place(airlock.resources, uuid),
    airlock.is_row(airlock.resources, uuid),
    airlock.passes(airlock.resources, json),
    airlock.beyond(airlock.resources, text, text, boolean),
    airlock.wire_with(airlock.resources, uuid, text),
    airlock.wire_of(regclass, text[], text[]),
    airlock.version_of(regclass, text),
    airlock.row_of(airlock.resources, uuid, text, text)
  to anon, authenticated;
-- For users alone: rows of organisations and under parents, and writing.
grant execute
  on function
    public.airlock_create(text, uuid, json, text, text),
    public.airlock_put(text, uuid, text, json, text, bigint),
    public.airlock_change(text, uuid, text, text, json, bigint),
    public.airlock_call(text, json),
    airlock.call_of(text, json),
    airlock.run(text, json, text),
    airlock.require_member(uuid),
    airlock.require_role(uuid, text),
    airlock.refuse_copy(),
    airlock.claim(),
    airlock.use_key(text, text, text, text),
    airlock.keep_target(text, text),
    airlock.require_parent(text, text),
    airlock.columns_of(airlock.resources, json, text, boolean),
    airlock.draft_of(airlock.resources, json),
    airlock.still_member(uuid),
    airlock.insert_row(airlock.resources, uuid, text, json),
    airlock.update_row(airlock.resources, uuid, text, text, json),
    airlock.state_of(airlock.resources, uuid),
    airlock.lock_row(airlock.resources, uuid, text),
    airlock.delete_row(airlock.resources, uuid, text, bigint),
    airlock.outcome(text, json)
  to authenticated;
grant execute
  on function public.airlock_ready(integer, boolean, text[]), public.airlock_published(text, text), airlock.is_published(text, text)
  to anon;
grant execute on function public.airlock_run_job(text, uuid, integer, integer), airlock.run_job(text, uuid, integer, integer)
  to service_role;
