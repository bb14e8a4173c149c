-- things: rows of users or of organisations. The limits are those of airlock.toml.
--
-- Row Level Security decides which rows exist for a caller. Grants, CHECKs and triggers decide what may be written,
-- because a caller can talk to PostgREST without the Worker.

create table public.things (
  id uuid not null default gen_random_uuid() primary key,
  -- The author. Null: the account is deleted; a row of an organisation stays.
  user_id uuid default auth.uid() references auth.users (id) on delete set null,
  -- Null: the author's own row.
  org_id uuid references airlock.organizations (id) on delete cascade,
  label text not null,
  memo text not null default '',
  remark text,
  rank bigint,
  score double precision not null default 0.5,
  done boolean not null default false,
  token uuid,
  due date not null default '2026-01-31',
  starts timestamptz,
  color text not null default 'red',
  tags text[] not null default array[]::text[],
  extra json not null default '{}',
  price numeric(10, 2) not null default '0.50',
  opens time,
  ranks bigint[] not null default array[]::bigint[],
  links uuid[],
  parent uuid,
  version integer not null default 1,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  deleted_at timestamptz,
  published_at timestamptz,
  airlock_search tsvector not null
    generated always as (to_tsvector('simple'::regconfig, normalize(label || ' ' || memo || ' ' || coalesce(remark, '')))) stored,

  constraint things_label_length check (char_length(label) between 1 and 50),
  constraint things_label_trimmed check (airlock.is_trimmed(label)),
  constraint things_memo_length check (char_length(memo) <= 500),
  constraint things_remark_length check (char_length(remark) <= 80),
  constraint things_remark_trimmed check (airlock.is_trimmed(remark)),
  constraint things_rank_range check (rank between -10 and 1000),
  constraint things_score_range check (score between -1.5 and 1000000),
  constraint things_due_range check (due between '0001-01-01' and '9999-12-31'),
  constraint things_starts_range check (starts >= '0001-01-01 00:00:00+00' and starts < '10000-01-01 00:00:00+00'),
  constraint things_color_values check (color in ('red', 'green', 'light blue')),
  constraint things_tags_items check (airlock.are_texts(tags, 5, 20)),
  constraint things_extra_object check (json_typeof(extra) = 'object'),
  constraint things_extra_size check (octet_length(extra::text) <= 2000),
  constraint things_extra_depth check (not jsonb_path_exists(extra::jsonb, 'strict $.**{32 to last} ? (@.type() == "object" || @.type() == "array")')),
  constraint things_extra_numbers check (not jsonb_path_exists(extra::jsonb, 'strict $.** ? (@.type() == "number" && (@ > 1.797693134862315807e308 || @ < -1.797693134862315807e308))')),
  constraint things_price_number check (price <> 'NaN'),
  constraint things_opens_range check (opens < '24:00:00'),
  constraint things_ranks_items check (airlock.are_items(ranks, 5) and -10 <= all (ranks) and 1000 >= all (ranks)),
  constraint things_links_items check (airlock.are_items(links, 5)),
  constraint things_parent_fkey foreign key (parent) references public.things (id) on delete set null,
  constraint things_version_positive check (version >= 1),
  constraint things_updated_at_order check (updated_at >= created_at)
);

-- For the foreign keys.
create index things_user_idx on public.things (user_id);
create index things_org_idx on public.things (org_id) where org_id is not null;
create index things_parent_idx on public.things (parent) where parent is not null;

-- A page is one index range, however many rows are in other lists.
create index things_active_idx on public.things (user_id, created_at desc, id desc)
  where org_id is null and deleted_at is null;
create index things_deleted_idx on public.things (user_id, created_at desc, id desc)
  where org_id is null and deleted_at is not null;
create index things_published_idx on public.things (user_id, created_at desc, id desc)
  where org_id is null and deleted_at is null and published_at is not null;
create index things_orgactive_idx on public.things (org_id, created_at desc, id desc)
  where org_id is not null and deleted_at is null;
create index things_orgdeleted_idx on public.things (org_id, created_at desc, id desc)
  where org_id is not null and deleted_at is not null;
create index things_orgpublished_idx on public.things (org_id, created_at desc, id desc)
  where org_id is not null and deleted_at is null and published_at is not null;

-- For the purge, whose queries repeat the condition. Lists of deleted rows do not: for them the planner would choose this
-- index, and read the deleted rows of all users.
create index things_due_idx on public.things (deleted_at) where deleted_at > '-infinity';

-- PostgREST shows any caller how many rows the planner expects, of the rows of all users. So the planner gets no statistics
-- of values.
alter table public.things
  alter column label set statistics 0,
  alter column memo set statistics 0,
  alter column remark set statistics 0,
  alter column rank set statistics 0,
  alter column score set statistics 0,
  alter column done set statistics 0,
  alter column token set statistics 0,
  alter column due set statistics 0,
  alter column starts set statistics 0,
  alter column color set statistics 0,
  alter column tags set statistics 0,
  alter column extra set statistics 0,
  alter column price set statistics 0,
  alter column opens set statistics 0,
  alter column ranks set statistics 0,
  alter column links set statistics 0,
  alter column parent set statistics 0,
  alter column airlock_search set statistics 0;


-- Triggers

-- Columns that callers read and never choose. Triggers run in the order of their names: these come first.
create trigger airlock_touch_insert before insert on public.things
  for each row execute function airlock.touch_insert();
create trigger airlock_touch_update before update on public.things
  for each row execute function airlock.touch_update();

-- An author's own rows go with the account.
create trigger airlock_ownerless after update of user_id on public.things
  for each statement execute function airlock.delete_ownerless();

-- Asked once more after a write that had to wait: its caller may have lost the role meanwhile.
create trigger airlock_role after insert or update on public.things
  for each row when (new.org_id is not null) execute function airlock.require_editor();

-- parent is a live row of things that the caller sees, for a row of an organisation one of the same organisation.
create trigger reference_parent_insert before insert on public.things
  for each row when (new.parent is not null)
  execute function airlock.check_reference('parent', 'public.things', 'true');
create trigger reference_parent_update before update of parent on public.things
  for each row when (new.parent is not null and new.parent is distinct from old.parent)
  execute function airlock.check_reference('parent', 'public.things', 'true');


-- Row Level Security

alter table public.things enable row level security;
-- The table's owner too, unless that role has BYPASSRLS, as hosted Supabase's postgres has.
alter table public.things force row level security;

-- auth.uid() in a subquery is evaluated once a statement, not once a row. "deleted_at is null" belongs in the queries: in
-- this policy it would refuse a soft delete, because a changed row must still be visible.
-- One policy with a CASE, not two, which Postgres would combine with OR. For a query that names its user the planner then
-- expects almost no row, and reads and sorts all rows of that user for a page of 20.
create policy things_select on public.things
  for select to authenticated
  using (
    case
      when org_id is null then (select auth.uid()) = user_id
      else org_id = any (array(select id from airlock.org_ids('viewer') as id))
    end
  );

create policy things_insert on public.things
  for insert to authenticated
  with check (
    (select auth.uid()) = user_id and (org_id is null or org_id = any (array(select id from airlock.org_ids('editor') as id)))
  );

create policy things_update on public.things
  for update to authenticated
  using (
    case
      when org_id is null then (select auth.uid()) = user_id
      else org_id = any (array(select id from airlock.org_ids('editor') as id))
    end
  )
  with check (
    case
      when org_id is null then (select auth.uid()) = user_id
      else org_id = any (array(select id from airlock.org_ids('editor') as id))
    end
  );

-- For anon alone: in the lists of signed-in users are their own rows. Published rows are public: through PostgREST anon can
-- list all of them.
create policy things_select_published on public.things
  for select to anon
  using (published_at is not null and deleted_at is null and (org_id is null or airlock.org_is_live(org_id)));

-- No policy and no grant for DELETE: to delete is to write deleted_at.


-- Grants

-- Column by column, so that a new column is closed until it is granted. The revoke is for projects whose default privileges
-- grant everything.
revoke all on table public.things from public, anon, authenticated, service_role;
grant
  select (
    id, user_id, org_id, label, memo, remark, rank, score, done, token, due, starts, color, tags, extra,
    price, opens, ranks, links, parent, version, created_at, updated_at, deleted_at, published_at,
    airlock_search
  ),
  insert (
    id, org_id, label, memo, remark, rank, score, done, token, due, starts, color, tags, extra, price,
    opens, ranks, links, parent
  ),
  update (
    label, memo, remark, rank, score, done, token, due, starts, color, tags, extra, price, opens, ranks,
    links, parent, deleted_at, published_at
  )
  on table public.things to authenticated;
-- Neither the owner nor the time of creation is granted.
grant select (id, label, rank, starts, color, tags, extra, price, version, updated_at, published_at) on table public.things to anon;


-- For the functions that the Worker calls.
select airlock.serve(
  'things', 'public.things', 'both',
  array['label', 'memo', 'remark', 'rank', 'score', 'done', 'token', 'due', 'starts', 'color', 'tags', 'extra', 'price', 'opens', 'ranks', 'links', 'parent'],
  publish => array['label', 'rank', 'starts', 'color', 'tags', 'extra', 'price'],
  searchable => true
);


-- In edge-only mode the rows are for requests through the Worker.
select airlock.close_table('public.things');


-- records: rows of organisations. The limits are those of airlock.toml.
--
-- Row Level Security decides which rows exist for a caller. Grants, CHECKs and triggers decide what may be written,
-- because a caller can talk to PostgREST without the Worker.

create table public.records (
  id uuid not null default gen_random_uuid() primary key,
  -- The author. Null: the account is deleted; the row stays with the organisation.
  user_id uuid default auth.uid() references auth.users (id) on delete set null,
  org_id uuid not null references airlock.organizations (id) on delete cascade,
  name text not null,
  text text not null,
  "position" bigint not null,
  "precision" double precision not null,
  "exists" boolean not null,
  uuid uuid not null,
  day date not null,
  "time" timestamptz not null,
  type text not null,
  "values" text[] not null,
  "format" json not null,
  "decimal" numeric(38, 10) not null,
  "interval" time not null,
  ranks bigint[] not null,
  uuids uuid[] not null,
  thing uuid not null,
  next_record uuid,
  version integer not null default 1,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  deleted_at timestamptz,

  constraint records_name_length check (char_length(name) between 1 and 200),
  constraint records_name_trimmed check (airlock.is_trimmed(name)),
  constraint records_text_length check (char_length(text) between 1 and 20000),
  constraint records_position_range check ("position" between 0 and 9007199254740991),
  constraint records_precision_range check ("precision" between -1e+308 and 1e+308),
  constraint records_day_range check (day between '0001-01-01' and '9999-12-31'),
  constraint records_time_range check ("time" >= '0001-01-01 00:00:00+00' and "time" < '10000-01-01 00:00:00+00'),
  constraint records_type_values check (type in ('a', 'b')),
  constraint records_values_items check (airlock.are_texts("values", 3, 1000)),
  constraint records_format_object check (json_typeof("format") = 'object'),
  constraint records_format_size check (octet_length("format"::text) <= 100),
  constraint records_format_depth check (not jsonb_path_exists("format"::jsonb, 'strict $.**{32 to last} ? (@.type() == "object" || @.type() == "array")')),
  constraint records_format_numbers check (not jsonb_path_exists("format"::jsonb, 'strict $.** ? (@.type() == "number" && (@ > 1.797693134862315807e308 || @ < -1.797693134862315807e308))')),
  constraint records_decimal_number check ("decimal" <> 'NaN'),
  constraint records_interval_range check ("interval" < '24:00:00'),
  constraint records_ranks_items check (airlock.are_items(ranks, 3) and 0 <= all (ranks) and 9007199254740991 >= all (ranks)),
  constraint records_uuids_items check (airlock.are_items(uuids, 3)),
  constraint records_thing_fkey foreign key (thing) references public.things (id) deferrable initially deferred,
  constraint records_next_record_fkey foreign key (next_record) references public.records (id) on delete set null,
  constraint records_version_positive check (version >= 1),
  constraint records_updated_at_order check (updated_at >= created_at)
);

-- For the foreign keys.
create index records_user_idx on public.records (user_id);
create index records_org_idx on public.records (org_id);
create index records_thing_idx on public.records (thing);
create index records_next_record_67812028_idx on public.records (next_record) where next_record is not null;

-- A page is one index range, however many rows are in other lists.
create index records_orgactive_idx on public.records (org_id, created_at desc, id desc)
  where deleted_at is null;
create index records_orgdeleted_idx on public.records (org_id, created_at desc, id desc)
  where deleted_at is not null;

-- For the purge, whose queries repeat the condition. Lists of deleted rows do not: for them the planner would choose this
-- index, and read the deleted rows of all users.
create index records_due_idx on public.records (deleted_at) where deleted_at > '-infinity';

-- PostgREST shows any caller how many rows the planner expects, of the rows of all users. So the planner gets no statistics
-- of values.
alter table public.records
  alter column name set statistics 0,
  alter column text set statistics 0,
  alter column "position" set statistics 0,
  alter column "precision" set statistics 0,
  alter column "exists" set statistics 0,
  alter column uuid set statistics 0,
  alter column day set statistics 0,
  alter column "time" set statistics 0,
  alter column type set statistics 0,
  alter column "values" set statistics 0,
  alter column "format" set statistics 0,
  alter column "decimal" set statistics 0,
  alter column "interval" set statistics 0,
  alter column ranks set statistics 0,
  alter column uuids set statistics 0,
  alter column thing set statistics 0,
  alter column next_record set statistics 0;


-- Triggers

-- Columns that callers read and never choose. Triggers run in the order of their names: these come first.
create trigger airlock_touch_insert before insert on public.records
  for each row execute function airlock.touch_insert();
create trigger airlock_touch_update before update on public.records
  for each row execute function airlock.touch_update();

-- Asked once more after a write that had to wait: its caller may have lost the role meanwhile.
create trigger airlock_role after insert or update on public.records
  for each row execute function airlock.require_editor();

-- thing is a live row of things that the caller sees, for a row of an organisation one of the same organisation.
create trigger reference_thing_insert before insert on public.records
  for each row when (new.thing is not null)
  execute function airlock.check_reference('thing', 'public.things', 'true');
create trigger reference_thing_update before update of thing on public.records
  for each row when (new.thing is not null and new.thing is distinct from old.thing)
  execute function airlock.check_reference('thing', 'public.things', 'true');

-- next_record is a live row of records that the caller sees, for a row of an organisation one of the same organisation.
create trigger reference_next_record_insert before insert on public.records
  for each row when (new.next_record is not null)
  execute function airlock.check_reference('next_record', 'public.records', 'true');
create trigger reference_next_record_update before update of next_record on public.records
  for each row when (new.next_record is not null and new.next_record is distinct from old.next_record)
  execute function airlock.check_reference('next_record', 'public.records', 'true');


-- Row Level Security

alter table public.records enable row level security;
-- The table's owner too, unless that role has BYPASSRLS, as hosted Supabase's postgres has.
alter table public.records force row level security;

-- auth.uid() in a subquery is evaluated once a statement, not once a row. "deleted_at is null" belongs in the queries: in
-- this policy it would refuse a soft delete, because a changed row must still be visible.
create policy records_select on public.records
  for select to authenticated
  using (
    org_id = any (array(select id from airlock.org_ids('viewer') as id))
  );

create policy records_insert on public.records
  for insert to authenticated
  with check (
    (select auth.uid()) = user_id and org_id = any (array(select id from airlock.org_ids('editor') as id))
  );

create policy records_update on public.records
  for update to authenticated
  using (
    org_id = any (array(select id from airlock.org_ids('editor') as id))
  )
  with check (
    org_id = any (array(select id from airlock.org_ids('editor') as id))
  );

-- No policy and no grant for DELETE: to delete is to write deleted_at.


-- Grants

-- Column by column, so that a new column is closed until it is granted. The revoke is for projects whose default privileges
-- grant everything.
revoke all on table public.records from public, anon, authenticated, service_role;
grant
  select (
    id, user_id, org_id, name, text, "position", "precision", "exists", uuid, day, "time", type,
    "values", "format", "decimal", "interval", ranks, uuids, thing, next_record, version, created_at,
    updated_at, deleted_at
  ),
  insert (
    id, org_id, name, text, "position", "precision", "exists", uuid, day, "time", type, "values",
    "format", "decimal", "interval", ranks, uuids, thing, next_record
  ),
  update (
    name, text, "position", "precision", "exists", uuid, day, "time", type, "values", "format",
    "decimal", "interval", ranks, uuids, thing, next_record, deleted_at
  )
  on table public.records to authenticated;


-- For the functions that the Worker calls.
select airlock.serve(
  'records', 'public.records', 'org',
  array['name', 'text', 'position', 'precision', 'exists', 'uuid', 'day', 'time', 'type', 'values', 'format', 'decimal', 'interval', 'ranks', 'uuids', 'thing', 'next_record'],
  publish => null,
  searchable => false
);


-- In edge-only mode the rows are for requests through the Worker.
select airlock.close_table('public.records');


-- errands: rows of users. The limits are those of airlock.toml.
--
-- Row Level Security decides which rows exist for a caller. Grants, CHECKs and triggers decide what may be written,
-- because a caller can talk to PostgREST without the Worker.

create table public.errands (
  id uuid not null default gen_random_uuid() primary key,
  user_id uuid not null default auth.uid() references auth.users (id) on delete cascade,
  title text not null,
  thing uuid not null,
  other_thing uuid,
  after uuid,
  version integer not null default 1,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  deleted_at timestamptz,
  published_at timestamptz,

  constraint errands_title_length check (char_length(title) between 1 and 200),
  constraint errands_title_trimmed check (airlock.is_trimmed(title)),
  constraint errands_thing_fkey foreign key (thing) references public.things (id) deferrable initially deferred,
  constraint errands_other_thing_fkey foreign key (other_thing) references public.things (id) on delete set null,
  constraint errands_after_fkey foreign key (after) references public.errands (id) on delete set null,
  constraint errands_version_positive check (version >= 1),
  constraint errands_updated_at_order check (updated_at >= created_at)
);

-- For the foreign keys.
create index errands_user_idx on public.errands (user_id);
create index errands_thing_idx on public.errands (thing);
create index errands_other_thing_82893798_idx on public.errands (other_thing) where other_thing is not null;
create index errands_after_idx on public.errands (after) where after is not null;

-- A page is one index range, however many rows are in other lists.
create index errands_active_idx on public.errands (user_id, created_at desc, id desc)
  where deleted_at is null;
create index errands_deleted_idx on public.errands (user_id, created_at desc, id desc)
  where deleted_at is not null;
create index errands_published_idx on public.errands (user_id, created_at desc, id desc)
  where deleted_at is null and published_at is not null;

-- For the purge, whose queries repeat the condition. Lists of deleted rows do not: for them the planner would choose this
-- index, and read the deleted rows of all users.
create index errands_due_idx on public.errands (deleted_at) where deleted_at > '-infinity';

-- PostgREST shows any caller how many rows the planner expects, of the rows of all users. So the planner gets no statistics
-- of values.
alter table public.errands
  alter column title set statistics 0,
  alter column thing set statistics 0,
  alter column other_thing set statistics 0,
  alter column after set statistics 0;


-- Triggers

-- Columns that callers read and never choose. Triggers run in the order of their names: these come first.
create trigger airlock_touch_insert before insert on public.errands
  for each row execute function airlock.touch_insert();
create trigger airlock_touch_update before update on public.errands
  for each row execute function airlock.touch_update();

-- thing is a live row of things that the caller sees.
create trigger reference_thing_insert before insert on public.errands
  for each row when (new.thing is not null)
  execute function airlock.check_reference('thing', 'public.things', 'false');
create trigger reference_thing_update before update of thing on public.errands
  for each row when (new.thing is not null and new.thing is distinct from old.thing)
  execute function airlock.check_reference('thing', 'public.things', 'false');

-- other_thing is a live row of things that the caller sees.
create trigger reference_other_thing_insert before insert on public.errands
  for each row when (new.other_thing is not null)
  execute function airlock.check_reference('other_thing', 'public.things', 'false');
create trigger reference_other_thing_update before update of other_thing on public.errands
  for each row when (new.other_thing is not null and new.other_thing is distinct from old.other_thing)
  execute function airlock.check_reference('other_thing', 'public.things', 'false');

-- after is a live row of errands that the caller sees.
create trigger reference_after_insert before insert on public.errands
  for each row when (new.after is not null)
  execute function airlock.check_reference('after', 'public.errands', 'false');
create trigger reference_after_update before update of after on public.errands
  for each row when (new.after is not null and new.after is distinct from old.after)
  execute function airlock.check_reference('after', 'public.errands', 'false');


-- Row Level Security

alter table public.errands enable row level security;
-- The table's owner too, unless that role has BYPASSRLS, as hosted Supabase's postgres has.
alter table public.errands force row level security;

-- auth.uid() in a subquery is evaluated once a statement, not once a row. "deleted_at is null" belongs in the queries: in
-- this policy it would refuse a soft delete, because a changed row must still be visible.
create policy errands_select on public.errands
  for select to authenticated
  using (
    (select auth.uid()) = user_id
  );

create policy errands_insert on public.errands
  for insert to authenticated
  with check (
    (select auth.uid()) = user_id
  );

create policy errands_update on public.errands
  for update to authenticated
  using (
    (select auth.uid()) = user_id
  )
  with check (
    (select auth.uid()) = user_id
  );

-- For anon alone: in the lists of signed-in users are their own rows. Published rows are public: through PostgREST anon can
-- list all of them.
create policy errands_select_published on public.errands
  for select to anon
  using (published_at is not null and deleted_at is null);

-- No policy and no grant for DELETE: to delete is to write deleted_at.


-- Grants

-- Column by column, so that a new column is closed until it is granted. The revoke is for projects whose default privileges
-- grant everything.
revoke all on table public.errands from public, anon, authenticated, service_role;
grant
  select (
    id, user_id, title, thing, other_thing, after, version, created_at, updated_at, deleted_at,
    published_at
  ),
  insert (id, title, thing, other_thing, after),
  update (title, thing, other_thing, after, deleted_at, published_at)
  on table public.errands to authenticated;
-- Neither the owner nor the time of creation is granted.
grant select (id, title, version, updated_at, published_at) on table public.errands to anon;


-- For the functions that the Worker calls.
select airlock.serve(
  'errands', 'public.errands', 'user',
  array['title', 'thing', 'other_thing', 'after'],
  publish => array['title'],
  searchable => false
);


-- In edge-only mode the rows are for requests through the Worker.
select airlock.close_table('public.errands');


-- steps: rows of users. The limits are those of airlock.toml.
--
-- Row Level Security decides which rows exist for a caller. Grants, CHECKs and triggers decide what may be written,
-- because a caller can talk to PostgREST without the Worker.

create table public.steps (
  id uuid not null default gen_random_uuid() primary key,
  user_id uuid not null default auth.uid() references auth.users (id) on delete cascade,
  errand uuid not null,
  label text not null,
  rank bigint,
  done boolean not null default false,
  thing uuid,
  version integer not null default 1,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  deleted_at timestamptz,
  airlock_search tsvector not null
    generated always as (to_tsvector('simple'::regconfig, normalize(label))) stored,

  constraint steps_errand_fkey foreign key (errand) references public.errands (id) deferrable initially deferred,
  constraint steps_label_length check (char_length(label) between 1 and 50),
  constraint steps_label_trimmed check (airlock.is_trimmed(label)),
  constraint steps_rank_range check (rank between 0 and 1000),
  constraint steps_thing_fkey foreign key (thing) references public.things (id) on delete set null,
  constraint steps_version_positive check (version >= 1),
  constraint steps_updated_at_order check (updated_at >= created_at)
);

-- For the foreign keys.
create index steps_user_idx on public.steps (user_id);
create index steps_errand_idx on public.steps (errand);
create index steps_thing_idx on public.steps (thing) where thing is not null;

-- A page is one index range, however many rows are in other lists.
create index steps_active_idx on public.steps (errand, user_id, created_at desc, id desc)
  where deleted_at is null;
create index steps_deleted_idx on public.steps (errand, user_id, created_at desc, id desc)
  where deleted_at is not null;

-- For the purge, whose queries repeat the condition. Lists of deleted rows do not: for them the planner would choose this
-- index, and read the deleted rows of all users.
create index steps_due_idx on public.steps (deleted_at) where deleted_at > '-infinity';

-- PostgREST shows any caller how many rows the planner expects, of the rows of all users. So the planner gets no statistics
-- of values.
alter table public.steps
  alter column label set statistics 0,
  alter column rank set statistics 0,
  alter column done set statistics 0,
  alter column thing set statistics 0,
  alter column airlock_search set statistics 0;


-- Triggers

-- Columns that callers read and never choose. Triggers run in the order of their names: these come first.
create trigger airlock_touch_insert before insert on public.steps
  for each row execute function airlock.touch_insert();
create trigger airlock_touch_update before update on public.steps
  for each row execute function airlock.touch_update();

-- errand is a live row of errands that the caller sees.
create trigger reference_errand_insert before insert on public.steps
  for each row when (new.errand is not null)
  execute function airlock.check_reference('errand', 'public.errands', 'false');
create trigger reference_errand_update before update of errand on public.steps
  for each row when (new.errand is not null and new.errand is distinct from old.errand)
  execute function airlock.check_reference('errand', 'public.errands', 'false');

-- thing is a live row of things that the caller sees.
create trigger reference_thing_insert before insert on public.steps
  for each row when (new.thing is not null)
  execute function airlock.check_reference('thing', 'public.things', 'false');
create trigger reference_thing_update before update of thing on public.steps
  for each row when (new.thing is not null and new.thing is distinct from old.thing)
  execute function airlock.check_reference('thing', 'public.things', 'false');


-- Row Level Security

alter table public.steps enable row level security;
-- The table's owner too, unless that role has BYPASSRLS, as hosted Supabase's postgres has.
alter table public.steps force row level security;

-- auth.uid() in a subquery is evaluated once a statement, not once a row. "deleted_at is null" belongs in the queries: in
-- this policy it would refuse a soft delete, because a changed row must still be visible.
create policy steps_select on public.steps
  for select to authenticated
  using (
    (select auth.uid()) = user_id
  );

create policy steps_insert on public.steps
  for insert to authenticated
  with check (
    (select auth.uid()) = user_id
  );

create policy steps_update on public.steps
  for update to authenticated
  using (
    (select auth.uid()) = user_id
  )
  with check (
    (select auth.uid()) = user_id
  );

-- No policy and no grant for DELETE: to delete is to write deleted_at.


-- Grants

-- Column by column, so that a new column is closed until it is granted. The revoke is for projects whose default privileges
-- grant everything.
revoke all on table public.steps from public, anon, authenticated, service_role;
grant
  select (
    id, user_id, errand, label, rank, done, thing, version, created_at, updated_at, deleted_at,
    airlock_search
  ),
  insert (id, errand, label, rank, done, thing),
  update (label, rank, done, thing, deleted_at)
  on table public.steps to authenticated;


-- For the functions that the Worker calls.
select airlock.serve(
  'steps', 'public.steps', 'user',
  array['label', 'rank', 'done', 'thing'],
  publish => null,
  searchable => true,
  under => 'errands.errand', scope => 'owner'
);


-- In edge-only mode the rows are for requests through the Worker.
select airlock.close_table('public.steps');
