// Schemas with one flaw each, and the rule that has to find it.

export interface Flaw {
  name: string;
  sql: string;
  rule: string;
  /** The object that the finding names. */
  object: string;
  /** Whether the rule is a note, which fails nothing. */
  note?: boolean;
  /** A finding that follows from it. */
  also?: string;
}

/** A table without another flaw. */
const TABLE = `
  create table public.things (
    id uuid primary key default gen_random_uuid(),
    user_id uuid not null default auth.uid() references auth.users (id) on delete cascade,
    other_id uuid,
    title text not null default '',
    deleted_at timestamptz
  );
  create index on public.things (user_id);
  alter table public.things enable row level security;
  alter table public.things force row level security;
  revoke all on public.things from public, anon, authenticated, service_role;
  grant select (id, user_id, other_id, title, deleted_at), insert (title), update (title, deleted_at) on public.things to authenticated;
`;
const OWN = "(select auth.uid()) = user_id";
const SELECT = `create policy things_select on public.things for select to authenticated using (${OWN});`;
const UPDATE = `create policy things_update on public.things for update to authenticated using (${OWN}) with check (${OWN});`;

const policy = (name: string, using: string, rule: string, object = "public.things.things_select"): Flaw => ({
  name,
  sql: `${TABLE} create policy things_select on public.things for select to authenticated using (${using});`,
  rule,
  object,
});
const onGood = (name: string, sql: string, rule: string, object: string, note = false): Flaw => ({
  name,
  sql: TABLE + SELECT + UPDATE + sql,
  rule,
  object,
  note,
});
const definer = (name: string, options = "") => `
  create function ${name}() returns int language sql security definer ${options} as 'select 1';
  revoke execute on function ${name}() from public;
`;

export const FLAWS: Flaw[] = [
  onGood(
    "row level security is off",
    "alter table public.notes disable row level security",
    "rls-disabled",
    "public.notes",
  ),
  onGood(
    "a partition has no row level security",
    `
    create table public.events (id uuid, user_id uuid, primary key (user_id, id)) partition by hash (user_id);
    alter table public.events enable row level security;
    create policy events_select on public.events for select to authenticated using (${OWN});
    create table public.events_0 partition of public.events for values with (modulus 1, remainder 0);
    grant select (id) on public.events_0 to authenticated;
  `,
    "rls-disabled",
    "public.events_0",
  ),
  onGood(
    "a resource's table becomes a partition",
    `
    select airlock.serve('things', 'public.things', 'user', array['title'], version => null, created => null, updated => null);
    create table public.all_things (like public.things) partition by list (title);
    alter table public.all_things enable row level security;
    alter table public.all_things force row level security;
    revoke all on public.all_things from public, anon, authenticated, service_role;
    alter table public.all_things attach partition public.things default;
  `,
    "resource-unfit",
    "public.things",
  ),
  { name: "a table has row level security and no policy", sql: TABLE, rule: "no-policy", object: "public.things" },
  {
    name: "a table has only a policy that takes away",
    sql: `${TABLE} create policy p on public.things as restrictive for all to authenticated using (${OWN});`,
    rule: "no-policy",
    object: "public.things",
  },
  onGood(
    "the owner is an ordinary role, and policies are not forced",
    "create role keeper; alter table public.things owner to keeper; alter table public.things no force row level security",
    "rls-not-forced",
    "public.things",
    true,
  ),
  onGood(
    "a client's role owns a table",
    "alter table public.things owner to authenticated; revoke all on public.things from authenticated",
    "owner-is-client",
    "public.things",
  ),

  onGood(
    "anon may read a column",
    "grant select (title) on public.things to anon",
    "anon-grant",
    "SELECT (title) on public.things",
  ),
  onGood("anon may insert", "grant insert on public.things to anon", "anon-grant", "INSERT on public.things"),
  onGood(
    "everybody may read",
    "grant select (id) on public.things to public",
    "anon-grant",
    "SELECT (id) on public.things",
  ),
  onGood(
    "a client may TRUNCATE",
    "grant truncate on public.notes to authenticated",
    "grant-beyond-rows",
    "public.notes",
  ),
  onGood(
    "anon may make triggers",
    "grant trigger, references on public.things to anon",
    "grant-beyond-rows",
    "public.things",
  ),
  onGood(
    "a client may insert into every column",
    "grant insert on public.things to authenticated",
    "grant-whole-table",
    "public.things",
  ),
  onGood(
    "a client may update every column",
    "grant update on public.things to authenticated",
    "grant-whole-table",
    "public.things",
  ),
  onGood(
    "a client may read every column",
    "grant select on public.things to authenticated",
    "grant-whole-select",
    "public.things",
    true,
  ),
  onGood(
    "a client may write whose row it is",
    "grant insert (user_id) on public.notes to authenticated",
    "service-column",
    "public.notes.user_id",
  ),
  onGood(
    "a client may write the version",
    "grant update (version) on public.notes to authenticated",
    "service-column",
    "public.notes.version",
  ),
  onGood(
    "a client may write a column that is theirs by default",
    "alter table public.things add author uuid default auth.uid(); grant update (author) on public.things to authenticated",
    "service-column",
    "public.things.author",
  ),
  onGood(
    "a client may delete for good",
    "grant delete on public.notes to authenticated",
    "delete-beside-soft-delete",
    "public.notes",
  ),
  onGood(
    "a policy lets delete for good",
    `create policy things_delete on public.things for delete to authenticated using (${OWN})`,
    "delete-beside-soft-delete",
    "public.things.things_delete",
  ),

  {
    name: "a policy names no role",
    sql: `${TABLE} create policy things_select on public.things for select using (${OWN});`,
    rule: "policy-for-everybody",
    object: "public.things.things_select",
  },
  policy("a policy is true", "true", "policy-true"),
  policy("a policy is true in other words", "1 = 1", "policy-true"),
  policy("a policy is true in one of its branches", `${OWN} or 2 > 1`, "policy-true"),
  policy("a policy asks for a role alone", "(select auth.role()) = 'authenticated'", "policy-true"),
  policy("a policy asks for any user", "(select auth.uid()) is not null", "policy-true"),
  policy("a policy asks for any user, by a claim", "((select auth.jwt()) ->> 'sub') is not null", "policy-true"),
  policy(
    "a policy asks for any user, by a helper's answer",
    "(select coalesce(auth.uid() is not null, false)) and true",
    "policy-true",
  ),
  onGood(
    "a policy compares by an operator that the database defines",
    `
    create function private.same(a uuid, b uuid) returns boolean language sql immutable set search_path = '' as 'select true';
    revoke execute on function private.same(uuid, uuid) from public; grant execute on function private.same(uuid, uuid) to authenticated;
    create operator private.= (leftarg = uuid, rightarg = uuid, function = private.same);
    alter policy things_select on public.things using (user_id operator(private.=) (select auth.uid()));
  `,
    "policy-true",
    "public.things.things_select",
  ),
  ...["left", "right", "full"].map((kind) => {
    const [notes, row] = ["public.notes n", "(values (things.id)) as row (id)"];
    const [one, other] = kind === "right" ? [notes, row] : [row, notes];
    return onGood(
      `a policy asks for the caller's rows by a ${kind} join that needs none`,
      `alter policy things_select on public.things using (exists (select from ${one} ${kind} join ${other} on n.id = row.id and n.user_id = (select auth.uid()) where row.id = things.id))`,
      "policy-true",
      "public.things.things_select",
    );
  }),
  policy("a policy asks what the row says and not whose it is", "deleted_at is null", "policy-true"),
  onGood(
    "a policy opens drafts to anon",
    "create policy things_anon on public.things for select to anon using (title <> '')",
    "policy-true",
    "public.things.things_anon",
  ),
  onGood(
    "a policy asks a helper that does not ask who calls it",
    `
    create function private.is_kept(id uuid) returns boolean language sql stable security definer set search_path = '' as 'select exists (select from public.notes n where n.id = $1)';
    revoke execute on function private.is_kept(uuid) from public; grant execute on function private.is_kept(uuid) to anon;
    create policy things_anon on public.things for select to anon using (private.is_kept(id));
  `,
    "policy-true",
    "public.things.things_anon",
  ),
  onGood(
    "a policy lets insert for others",
    "create policy things_insert on public.things for insert to authenticated with check (true)",
    "policy-true",
    "public.things.things_insert",
  ),
  {
    name: "a policy lets give a row away",
    sql: `${TABLE} ${SELECT} create policy things_update on public.things for update to authenticated using (${OWN}) with check (true);`,
    rule: "policy-true",
    object: "public.things.things_update",
  },
  {
    name: "WITH CHECK asks for less than USING",
    sql: `${TABLE} ${SELECT} create index on public.things (other_id); grant update (other_id) on public.things to authenticated;
    create policy things_update on public.things for update to authenticated using ((select auth.uid()) = other_id) with check (exists (select from public.notes n where n.id = things.id));`,
    rule: "check-looser",
    object: "public.things.things_update",
  },
  {
    name: "WITH CHECK asks for any user",
    sql: `${TABLE} ${SELECT} create policy things_update on public.things for update to authenticated using (${OWN}) with check ((select auth.uid()) is not null and char_length(title) > 0);`,
    rule: "policy-true",
    object: "public.things.things_update",
  },
  {
    name: "an update policy has no WITH CHECK",
    sql: `${TABLE} ${SELECT} create policy things_update on public.things for update to authenticated using (${OWN});`,
    rule: "update-without-check",
    object: "public.things.things_update",
    note: true,
  },

  policy("auth.uid() is called for each row", "auth.uid() = user_id", "call-per-row"),
  policy("a claim is read for each row", "(auth.jwt() ->> 'sub')::uuid = user_id", "call-per-row"),
  policy(
    "a setting is read for each row",
    "current_setting('request.jwt.claim.sub', true)::uuid = user_id",
    "call-per-row",
  ),
  policy(
    "auth.uid() is called for each row of a sub-select",
    `${OWN} and id in (select n.id from public.notes n where n.user_id = auth.uid())`,
    "call-per-row",
  ),
  policy("a helper is called for each row", `user_id = private.me()`, "call-per-row"),
  policy(
    "a compared column has no index",
    `(select auth.uid()) = other_id`,
    "column-not-indexed",
    "public.things.other_id",
  ),
  policy(
    "a compared column has an index of some rows alone",
    `(select auth.uid()) = other_id and deleted_at is null`,
    "column-not-indexed",
    "public.things.other_id",
  ),
  policy(
    "a column that is looked up has no index",
    `other_id in (select auth.uid())`,
    "column-not-indexed",
    "public.things.other_id",
  ),

  policy(
    "a policy reads its own table",
    `${OWN} and exists (select from public.things t where t.id <> things.id)`,
    "policy-recursion",
  ),
  {
    name: "two policies read each other's tables",
    sql: `${TABLE}
    create table public.parts (id uuid primary key, user_id uuid); grant select (id) on public.parts to authenticated;
    create policy things_select on public.things for select to authenticated using (id in (select p.id from public.parts p));
    alter table public.parts enable row level security;
    create policy parts_select on public.parts for select to authenticated using (id in (select t.id from public.things t));
  `,
    rule: "policy-recursion",
    object: "public.parts.parts_select",
  },
  {
    name: "a policy reads its own table through a view",
    sql: `${TABLE}
    create view public.all_things with (security_invoker = true) as select * from public.things; grant select on public.all_things to authenticated;
    create policy things_select on public.things for select to authenticated using (id in (select v.id from public.all_things v));
  `,
    rule: "policy-recursion",
    object: "public.things.things_select",
  },
  {
    name: "a policy reads its own table through a function",
    sql: `${TABLE}
    create function private.shared() returns setof uuid language plpgsql stable set search_path = '' as 'begin return query select id from public.things; end';
    grant execute on function private.shared() to authenticated; grant usage on schema private to authenticated;
    create policy things_select on public.things for select to authenticated using (id in (select private.shared()));
  `,
    rule: "policy-recursion",
    object: "public.things.things_select",
  },
  policy(
    "a policy trusts what the user writes about themselves",
    `${OWN} and ((select auth.jwt()) -> 'user_metadata' ->> 'staff') = 'yes'`,
    "user-metadata",
  ),
  {
    name: "a policy's helper trusts what the user writes about themselves",
    sql: `${TABLE}
    create function private.staff() returns boolean language sql stable security definer set search_path = '' as 'select exists (select from auth.users where id = auth.uid() and raw_user_meta_data ? ''staff'')';
    revoke execute on function private.staff() from public; grant execute on function private.staff() to authenticated;
    create policy things_select on public.things for select to authenticated using (${OWN} and (select private.staff()));
  `,
    rule: "user-metadata",
    object: "public.things.things_select",
  },

  onGood("a definer function has no search_path", definer("private.pick"), "definer-search-path", "private.pick()"),
  onGood(
    "a definer function's search_path has a schema that a client may fill",
    `create schema drawer; grant usage, create on schema drawer to authenticated; ${definer("private.pick", "set search_path = drawer, public")}`,
    "definer-search-path",
    "private.pick()",
  ),
  onGood(
    "everybody may execute a definer function",
    "create function private.pick() returns int language sql security definer set search_path = '' as 'select 1'",
    "definer-public",
    "private.pick()",
  ),
  onGood(
    "anon may call a definer function",
    `${definer("public.pick", "set search_path = ''")} grant execute on function public.pick() to anon`,
    "definer-public",
    "public.pick()",
  ),
  onGood(
    "a definer function is offered by REST",
    `${definer("public.pick", "set search_path = ''")} grant execute on function public.pick() to authenticated`,
    "definer-exposed",
    "public.pick()",
  ),
  onGood(
    "a superuser's definer function stands beside an ordinary role's tables",
    `
    create role keeper;
    do $$ declare one regclass; begin
      for one in select oid from pg_class where relnamespace = 'public'::regnamespace and relkind = 'r' loop
        execute format('alter table %s owner to keeper', one);
        execute format('alter table %s force row level security', one);
      end loop;
    end $$;
    ${definer("private.pick", "set search_path = ''")}
  `,
    "definer-superuser",
    "private.pick()",
  ),
  onGood(
    "anon may call a function",
    "create function public.pick() returns int language sql as 'select 1'",
    "function-anon",
    "public.pick()",
  ),

  onGood(
    "a definer function below a wrapper has a loop",
    `create function private.all_notes() returns setof uuid language plpgsql security definer set search_path = '' as $$declare one record; begin
      for one in select id from public.notes where user_id = auth.uid() loop return next one.id; end loop; end$$;
    revoke execute on function private.all_notes() from public; grant execute on function private.all_notes() to authenticated;
    create function public.my_notes() returns setof uuid language sql set search_path = '' as 'select private.all_notes()';
    revoke execute on function public.my_notes() from public; grant execute on function public.my_notes() to authenticated;`,
    "definer-unread",
    "private.all_notes()",
    true,
  ),
  onGood(
    "a view reads with its owner's rights",
    "create view public.all_notes as select id, title from public.notes; grant select on public.all_notes to authenticated",
    "view-definer",
    "public.all_notes",
  ),
  onGood(
    "a view says that it does not ask the policies",
    "create view public.all_notes with (security_invoker = off) as select id, title from public.notes; grant select on public.all_notes to authenticated",
    "view-definer",
    "public.all_notes",
  ),
  onGood(
    "a view shows the users",
    "create view public.people with (security_invoker = true) as select id, email from auth.users",
    "view-of-users",
    "public.people",
  ),
  onGood(
    "a client may read a materialized view",
    "create materialized view public.counts as select count(*) from public.notes; grant select on public.counts to authenticated",
    "materialized-view",
    "public.counts",
  ),
  onGood(
    "a client may read a foreign table",
    "create foreign data wrapper files; create server disk foreign data wrapper files; create foreign table public.lines (line text) server disk; grant select on public.lines to authenticated",
    "foreign-table",
    "public.lines",
  ),

  onGood(
    "tables to come are open to anon",
    "alter default privileges in schema public grant all on tables to anon",
    "default-privileges",
    "default privileges of postgres in public",
  ),
  onGood(
    "functions to come are open to anon",
    "alter default privileges in schema public grant execute on functions to anon",
    "default-privileges",
    "default privileges of postgres in public",
  ),
  onGood("a client may make tables", "grant create on schema public to authenticated", "schema-create", "public"),
  onGood(
    "anon may use a sequence",
    "create sequence public.numbers; grant usage on sequence public.numbers to anon",
    "sequence-grant",
    "public.numbers",
  ),
  onGood(
    "a client may set a sequence",
    "create sequence public.numbers; grant usage, update on sequence public.numbers to authenticated",
    "sequence-grant",
    "public.numbers",
  ),
  onGood(
    "Realtime has a table without row level security",
    "create schema feed; create table feed.ticks (id int primary key); alter publication supabase_realtime add table feed.ticks",
    "realtime",
    "feed.ticks",
  ),
  onGood("a client's role passes by every policy", "alter role authenticated bypassrls", "role-power", "authenticated"),
  {
    ...onGood(
      "a client's role is a member of another",
      "grant service_role to authenticated",
      "role-power",
      "authenticated",
    ),
    also: "definer-below",
  },
  onGood(
    "an extension is in an exposed schema",
    "create extension citext with schema public",
    "extension-exposed",
    "citext",
    true,
  ),
  onGood(
    "a foreign key tells what is there",
    "alter table public.things add foreign key (other_id) references public.notes; grant insert (other_id) on public.things to authenticated",
    "foreign-key-discloses",
    "public.things.things_other_id_fkey",
    true,
  ),
];

/** Sound objects that the flaws need. */
export const GROUND = `
  create schema private;
  create function private.me() returns uuid language sql stable set search_path = '' as 'select auth.uid()';
  revoke execute on function private.me() from public; grant execute on function private.me() to authenticated;
`;
