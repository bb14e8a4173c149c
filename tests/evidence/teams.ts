// Schemas of teams with documents: conditions that hold without the caller's rows, helpers in PL/pgSQL, invitations,
// friends, and triggers that guard a column or only seem to.

import { type Case, JWT } from "./cases.ts";

const ME = "(select auth.uid())";
const BASE = `
create schema if not exists private; grant usage on schema private to authenticated;
create table public.orgs (id uuid primary key default gen_random_uuid(), name text not null, owner_id uuid not null references auth.users on delete cascade);
create index on public.orgs (owner_id);
create table public.members (org_id uuid not null references public.orgs on delete cascade, user_id uuid not null references auth.users on delete cascade, role text not null default 'member', primary key (org_id, user_id));
create index on public.members (user_id);
create table public.profiles (user_id uuid primary key references auth.users on delete cascade, display_name text, is_admin boolean not null default false);
create table public.blocks (blocker_id uuid not null references auth.users, blocked_id uuid not null references auth.users, primary key (blocker_id, blocked_id));
create index on public.blocks (blocked_id);
create table public.docs (id uuid primary key default gen_random_uuid(), user_id uuid not null default auth.uid() references auth.users on delete cascade, org_id uuid references public.orgs, assigned_to uuid, title text, status text not null default 'draft', meta jsonb not null default '{}', tags text[] not null default '{}', allowed uuid[] not null default '{}', is_private boolean not null default false);
create index on public.docs (user_id); create index on public.docs (org_id); create index on public.docs (assigned_to);
alter table public.orgs enable row level security; alter table public.members enable row level security;
alter table public.profiles enable row level security; alter table public.docs enable row level security; alter table public.blocks enable row level security;
create policy r on public.orgs for select to authenticated using (owner_id = ${ME});
create policy r on public.members for select to authenticated using (user_id = ${ME});
create policy r on public.profiles for select to authenticated using (user_id = ${ME});
create policy r on public.blocks for select to authenticated using (blocker_id = ${ME} or blocked_id = ${ME});
grant select (blocker_id, blocked_id) on public.blocks to authenticated;
grant select (id, name, owner_id) on public.orgs to authenticated;
grant select (org_id, user_id, role) on public.members to authenticated;
grant select (user_id, display_name, is_admin) on public.profiles to authenticated;
grant select (id, user_id, org_id, assigned_to, title, status, meta, tags, allowed, is_private) on public.docs to authenticated;
`;
const docs = (using: string, to = "authenticated") =>
  `${BASE} create policy docs_r on public.docs for select to ${to} using (${using});`;
const OWN = docs(`user_id = ${ME}`);
const helper = (head: string, body: string, language = "sql") => {
  const name = head.slice(0, head.indexOf(" returns"));
  return `create function ${head} language ${language} stable security definer set search_path = '' as $fn$${body}$fn$;
    revoke all on function ${name} from public; grant execute on function ${name} to authenticated;`;
};
const MINE = "m.org_id = docs.org_id and m.user_id = (select auth.uid())";
const MEMBER = `exists (select from public.members m where ${MINE})`;
const COUNT = `(select count(*) from public.members m where ${MINE})`;
const ROLE = `(select m.role from public.members m where ${MINE})`;
const MY_ORGS = `array(select m.org_id from public.members m where m.user_id = ${ME})`;
const BLOCKED = `exists (select from public.blocks b where b.blocker_id = docs.user_id and b.blocked_id = ${ME})`;

/** A policy for docs. */
const rows = (name: string, flawed: string, sound?: string, rule = "policy-true", to?: string): Case => ({
  name: `teams: ${name}`,
  flawed: docs(flawed, to),
  rule,
  object: "public.docs.docs_r",
  ...(sound && { sound: docs(sound, to) }),
});
const of = (using: string, head: string, body: string, language = "sql") =>
  `${BASE} ${helper(head, body, language)} create policy docs_r on public.docs for select to authenticated using (${using});`;

const IS_BLOCKED =
  "select exists (select from public.blocks b where b.blocker_id = other and b.blocked_id = auth.uid())";
const IS_MEMBER = "select exists (select from public.members m where m.org_id = org and m.user_id = auth.uid())";
/** A helper that says whom its caller is blocked by. */
const blocked = (name: string, using: string): Case => ({
  name: `teams: blocked by nobody, as ${name}`,
  flawed: of(using, "private.is_blocked(other uuid) returns boolean", IS_BLOCKED),
  rule: "policy-true",
  object: "public.docs.docs_r",
  sound: of(
    `user_id = ${ME} and ${using.replaceAll("is_blocked(user_id)", "is_blocked(assigned_to)")}`,
    "private.is_blocked(other uuid) returns boolean",
    IS_BLOCKED,
  ),
});
const ROLES = (otherwise: string) =>
  `select coalesce((select m.role from public.members m where m.org_id = org and m.user_id = auth.uid()), '${otherwise}')`;
const role = (name: string, using: string, otherwise: string, sound: string, instead: string): Case => ({
  name: `teams: ${name}`,
  flawed: of(using, "private.role(org uuid) returns text", ROLES(otherwise)),
  rule: "policy-true",
  object: "public.docs.docs_r",
  sound: of(sound, "private.role(org uuid) returns text", ROLES(instead)),
});

const OF_ORG = "from public.members m where m.org_id = org and m.user_id = auth.uid()";
const OF_ANY = "from public.members m where m.user_id = auth.uid()";
/** A helper in PL/pgSQL. */
const code = (name: string, flawed: string, sound?: string, rule = "policy-true"): Case => {
  const whole = (body: string) => of("private.can(org_id)", "private.can(org uuid) returns boolean", body, "plpgsql");
  return {
    name: `teams: PL/pgSQL: ${name}`,
    flawed: whole(flawed),
    rule,
    object: rule === "helper-unread" ? "private.can(org uuid)" : "public.docs.docs_r",
    ...(sound && { sound: whole(sound) }),
  };
};

/** A trigger beside an UPDATE of the caller's own profile. */
const trigger = (name: string, flawed: string, sound: string, sounds = "before update", when = ""): Case => {
  const whole = (body: string, on = "before update", when = "") =>
    `${docs(`(select p.is_admin from public.profiles p where p.user_id = ${ME}) and status = 'final'`)}
    create policy u on public.profiles for update to authenticated using (user_id = ${ME}) with check (user_id = ${ME});
    grant update (display_name, is_admin) on public.profiles to authenticated;
    create table private.log (who uuid, admin boolean);
    create function private.t() returns trigger language plpgsql set search_path = '' as $t$begin ${body} return new; end$t$;
    create trigger t ${on} on public.profiles for each row ${when} execute function private.t();`;
  return {
    name: `teams: a trigger ${name}`,
    flawed: whole(flawed),
    rule: "trusted-column",
    object: "public.profiles.is_admin",
    sound: whole(sound, sounds, when),
  };
};
const KEEPS = "new.is_admin := old.is_admin;";
const REFUSES = "if new.is_admin is distinct from old.is_admin then raise exception 'no'; end if;";

const invited = (
  also: string,
) => `${docs(`exists (select from public.members m where ${MINE} and m.role in ('admin', 'owner'))`)}
  create table public.invitations (id uuid primary key default gen_random_uuid(), org_id uuid not null references public.orgs, email text not null, role text not null default 'member');
  create index on public.invitations (org_id); create index on public.invitations (email);
  alter table public.invitations enable row level security; grant select (id, org_id, email, role) on public.invitations to authenticated;
  create policy i on public.invitations for select to authenticated using (email = (select auth.jwt()) ->> 'email');
  create policy i on public.members for insert to authenticated with check (user_id = ${ME} and exists (
    select from public.invitations i where i.org_id = members.org_id and i.email = (select auth.jwt()) ->> 'email' ${also}));
  grant insert (org_id, user_id, role) on public.members to authenticated;`;

const FRIEND = `(f.requester_id = ${ME} and f.addressee_id = docs.user_id or f.addressee_id = ${ME} and f.requester_id = docs.user_id)`;
const friends = ({
  status = "pending",
  changes = "status",
  by = "addressee_id",
  where = `f.status = 'accepted' and ${FRIEND}`,
}) => `${BASE}
  create table public.friendships (id uuid primary key default gen_random_uuid(), requester_id uuid not null default auth.uid() references auth.users on delete cascade, addressee_id uuid not null references auth.users on delete cascade, status text not null default '${status}', unique (requester_id, addressee_id));
  create index on public.friendships (addressee_id); alter table public.friendships enable row level security;
  grant select (id, requester_id, addressee_id, status), insert (addressee_id), update (${changes}) on public.friendships to authenticated;
  create policy r on public.friendships for select to authenticated using (requester_id = ${ME} or addressee_id = ${ME});
  create policy i on public.friendships for insert to authenticated with check (requester_id = ${ME});
  create policy u on public.friendships for update to authenticated using (${by} = ${ME}) with check (${by} = ${ME});
  create policy docs_r on public.docs for select to authenticated using (user_id = ${ME} or exists (select from public.friendships f where ${where}));`;
const friendship = (name: string, flawed: Parameters<typeof friends>[0]): Case => ({
  name: `teams: friends: ${name}`,
  flawed: friends(flawed),
  rule: "self-made-membership",
  object: "public.friendships.i",
  sound: friends({}),
});

const definer = (name: string, argument: string, body: string, sound: string, language = "sql"): Case => {
  const whole = (text: string) =>
    `${OWN} ${helper(`public.find(${argument}) returns setof public.docs`, text, language)}`;
  return {
    name: `teams: a definer function ${name}`,
    flawed: whole(body),
    rule: "definer-exposed",
    object: `public.find(${argument})`,
    sound: whole(sound),
  };
};
const view = (name: string, flawed: string, sound: string): Case => {
  const whole = (where: string) =>
    `${OWN} create view public.found as select id, title from public.docs where ${where}; grant select on public.found to authenticated;`;
  return {
    name: `teams: a view with ${name}`,
    flawed: whole(flawed),
    rule: "view-definer",
    object: "public.found",
    sound: whole(sound),
  };
};

const ROLES_CLAIM = "((select auth.jwt()) -> 'app_metadata' -> 'roles')";
/** A view of docs. */
const shown = (name: string, flawed: string, sound: string, granted = "select"): Case => {
  const whole = (query: string) =>
    `${OWN} create view public.found ${query}; grant ${granted} on public.found to authenticated;`;
  return {
    name: `teams: a view: ${name}`,
    flawed: whole(flawed),
    rule: "view-definer",
    object: "public.found",
    sound: whole(sound),
  };
};
const VOTE = "(select m.role from public.members m where m.org_id = d.org_id and m.user_id = auth.uid())";
/** A definer function in a schema that REST does not offer, and the function that calls it. */
const below = (name: string, head: string, body: string, sound: string, values: string): Case => {
  const whole = (text: string) => `${OWN} ${helper(`private.${head} returns setof public.docs`, text)}
    create function public.found(p uuid) returns setof public.docs language sql stable set search_path = '' as $f$select * from private.find(${values})$f$;
    revoke all on function public.found from public; grant execute on function public.found to authenticated;`;
  return {
    name: `teams: a definer function below ${name}`,
    flawed: whole(body),
    rule: "definer-below",
    object: `private.${head}`,
    sound: whole(sound),
  };
};
/** The same with statements that the function runs before and after. */
const belowCode = (name: string, head: string, flawed: string, sound: string, language = "plpgsql"): Case => {
  const returns = head.slice(head.indexOf(" returns "));
  const whole = (text: string) => `${OWN} create table private.log (who uuid, at timestamptz default now());
    ${helper(`private.${head}`, text, language).replace(" stable ", " ")}
    create function public.found(p uuid)${returns} language sql set search_path = '' as $f$select ${returns.includes("setof") ? "* from " : ""}private.find(p)$f$;
    revoke all on function public.found from public; grant execute on function public.found to authenticated;`;
  return {
    name: `teams: a definer function below that ${name}`,
    flawed: whole(flawed),
    rule: "definer-below",
    object: `private.${head.slice(0, head.indexOf(" returns"))}`,
    sound: whole(sound),
  };
};
const SESSION = "if auth.uid() is null then raise exception 'not signed in'; end if;";
const UNLESS_MEMBER =
  "if not exists (select from public.members m where m.org_id = p and m.user_id = auth.uid()) then raise exception 'no'; end if;";
/** Members who are removed by a time. */
const removed = (also: string, more = "") =>
  `${of("private.can(org_id)", "private.can(org uuid) returns boolean", IS_MEMBER).replace(
    "create policy docs_r",
    `alter table public.members add removed_at timestamptz; grant select (removed_at) on public.members to authenticated; ${more} create policy docs_r`,
  )} create or replace function private.can(org uuid) returns boolean language sql stable security definer set search_path = '' as $$${IS_MEMBER.replace(/\)$/, ` ${also})`)}$$;`;
const MAY_LEAVE = (column: string) =>
  `create policy u on public.members for update to authenticated using (user_id = ${ME}) with check (user_id = ${ME}); grant update (${column}) on public.members to authenticated;`;
/** A table from which a definer trigger writes members. */
const copies = (check: string, body: string, granted = "insert (org_id)", sounds = "after insert") =>
  `${docs(`exists (select from public.members m where ${MINE} and m.role = 'admin')`)}
  create table public.requests (id uuid primary key default gen_random_uuid(), org_id uuid references public.orgs, user_id uuid not null default auth.uid() references auth.users on delete cascade, role text, status text not null default 'pending');
  create index on public.requests (user_id); create index on public.requests (org_id); alter table public.requests enable row level security;
  grant select (id, org_id, role, status), ${granted} on public.requests to authenticated;
  create policy r on public.requests for select to authenticated using (user_id = ${ME});
  create policy i on public.requests for insert to authenticated with check (user_id = ${ME} and ${check});
  create function private.t() returns trigger language plpgsql security definer set search_path = '' as $t$begin ${body} return new; end$t$;
  create trigger t ${sounds} on public.requests for each row execute function private.t();`;
const JOINS = "insert into public.members (org_id, user_id) values (new.org_id, new.user_id);";
const OF_OWNER = `exists (select from public.orgs o where o.id = requests.org_id and o.owner_id = ${ME})`;
/** A claim of a custom access token hook, by which a policy decides. */
const hook = (statement: string, granted = "update (display_name)") => `${BASE}
  alter table public.profiles add plan text; grant select (plan), ${granted} on public.profiles to authenticated;
  create policy u on public.profiles for update to authenticated using (user_id = ${ME}) with check (user_id = ${ME});
  create policy docs_r on public.docs for select to authenticated using ((select auth.jwt() ->> 'plan') = 'staff');
  create function public.custom_access_token_hook(event jsonb) returns jsonb language plpgsql stable set search_path = '' as $h$
  declare claims jsonb := event -> 'claims'; plan text;
  begin ${statement.replace(/from .*/, "$& where p.user_id = (event ->> 'user_id')::uuid")};
    if plan is not null then claims := jsonb_set(claims, '{plan}', to_jsonb(plan)); end if;
    return jsonb_set(event, '{claims}', claims); end$h$;
  revoke execute on function public.custom_access_token_hook from public;`;
const inAuth = (body: string) => helper("auth.org_id() returns uuid", body);
/** A wrapper that finds a definer function by its search_path. */
const byPath = (owner: string) => `${OWN}
  ${helper("private.docs_of(p_user uuid) returns setof public.docs", `select * from public.docs d where d.user_id = ${owner}`)}
  create function public.found(p_user uuid) returns setof public.docs language plpgsql set search_path = private, public as $f$begin return query select * from docs_of(p_user); end$f$;
  revoke all on function public.found from public; grant execute on function public.found to authenticated;`;

export const TEAMS: Case[] = [
  rows("roles that contain none", `${ROLES_CLAIM} @> '[]'`, `${ROLES_CLAIM} @> '["admin"]'`),
  rows("roles of which none is another", `${ROLES_CLAIM} <@ '["admin", "member"]'`, `${ROLES_CLAIM} ? 'admin'`),
  rows(
    "a setting before the caller",
    `user_id = coalesce((select nullif(current_setting('app.act_as', true), '')::uuid), ${ME})`,
    `user_id = coalesce(((select auth.jwt()) -> 'app_metadata' ->> 'act_as')::uuid, ${ME})`,
  ),
  rows(
    "a role for no member of a claim",
    `coalesce(${ROLES_CLAIM} ->> org_id::text, 'viewer') in ('viewer', 'admin')`,
    `${ROLES_CLAIM} ->> org_id::text in ('viewer', 'admin')`,
  ),
  rows(
    "a member of the row with a name of the caller's",
    `meta ->> ((select auth.jwt()) -> 'app_metadata' ->> 'key') = 'yes'`,
    `meta ->> 'owner' = ${ME}::text`,
  ),
  {
    name: "teams: the caller's role beside any organization",
    flawed: of(
      "private.can(org_id)",
      "private.can(org uuid) returns boolean",
      `select exists (select ${VOTE.replace("d.org_id", "o.id")} from public.orgs o where o.id = org)`,
    ),
    rule: "policy-true",
    object: "public.docs.docs_r",
    sound: of(
      "private.can(org_id)",
      "private.can(org uuid) returns boolean",
      `select exists (select ${VOTE.replace("d.org_id", "o.id")} from public.orgs o where o.id = org and o.owner_id = auth.uid())`,
    ),
  },
  {
    name: "teams: organizations of one depth",
    flawed: of(
      "private.can(org_id)",
      "private.can(org uuid) returns boolean",
      "select exists (select from public.orgs o join public.orgs mine on length(mine.name) = length(o.name) join public.members m on m.org_id = mine.id where o.id = org and m.user_id = auth.uid())",
    ),
    rule: "policy-any-tenant",
    object: "public.docs.docs_r",
    sound: of(
      "private.can(org_id)",
      "private.can(org uuid) returns boolean",
      "select exists (select from public.orgs o join public.orgs mine on o.name like mine.name || '.%' join public.members m on m.org_id = mine.id where o.id = org and m.user_id = auth.uid())",
    ),
  },
  code(
    "a row",
    `declare r record; begin select * into r ${OF_ANY}; return r.role = 'admin'; end`,
    `declare r record; begin select * into r ${OF_ORG}; return r.role = 'admin'; end`,
    "policy-any-tenant",
  ),
  code(
    "a row of a table's type",
    `declare r public.members; begin select * into r ${OF_ANY}; if r.role = 'admin' then return true; end if; return false; end`,
    `declare r public.members%rowtype; begin select * into r ${OF_ORG}; if r.role = 'admin' then return true; end if; return false; end`,
    "policy-any-tenant",
  ),
  code(
    "two variables",
    `declare r text; o uuid; begin select m.role, m.org_id into r, o ${OF_ANY}; return r = 'admin' and o is not null; end`,
    `declare r public.members.role%type; o uuid; begin select m.role, m.org_id into r, o ${OF_ANY}; return r = 'admin' and o = org; end`,
    "policy-any-tenant",
  ),
  shown(
    "the caller's role beside any row",
    `as select d.id, ${VOTE} as mine from public.docs d`,
    `as select d.id, ${VOTE} as mine from public.docs d where d.user_id = auth.uid()`,
  ),
  shown(
    "a value of any row",
    "as select d.id, (select max(p.display_name) from public.profiles p) as latest from public.docs d where d.user_id = auth.uid()",
    "as select d.id, (select max(o.name) from public.orgs o where o.id = d.org_id) as latest from public.docs d where d.user_id = auth.uid()",
  ),
  shown(
    "LATERAL of any rows",
    "as select d.id, p.display_name from public.docs d cross join lateral (select display_name from public.profiles limit 5) p where d.user_id = auth.uid()",
    "as select d.id, p.display_name from public.docs d cross join lateral (select display_name from public.profiles q where q.user_id = d.user_id limit 5) p where d.user_id = auth.uid()",
  ),
  shown(
    "a UNION with any rows",
    "as select id from public.docs where user_id = auth.uid() union all select id from public.docs where status = 'final'",
    "as select id from public.docs where user_id = auth.uid() union all select d.id from public.docs d join public.members m on m.org_id = d.org_id and m.user_id = auth.uid()",
  ),
  shown(
    "writes past the policies",
    "as select id, user_id, title from public.docs where user_id = auth.uid()",
    "with (security_invoker = true) as select id, user_id, title from public.docs where user_id = auth.uid()",
    "select, insert",
  ),
  definer(
    "with the caller's role beside any row",
    "p uuid",
    `select (d.id, d.user_id, d.org_id, d.assigned_to, ${VOTE}, d.status, d.meta, d.tags, d.allowed, d.is_private)::public.docs from public.docs d`,
    "select d.* from public.docs d join public.orgs o on o.id = d.org_id where d.user_id = auth.uid()",
  ),
  below(
    "one that passes an id",
    "find(p uuid)",
    "select * from public.docs where id = p and auth.uid() is not null",
    "select * from public.docs where id = p and user_id = auth.uid()",
    "p",
  ),
  below(
    "one that passes its caller in vain",
    "find(who uuid, p uuid)",
    "select * from public.docs where id = p",
    "select * from public.docs where id = p and user_id = who",
    "auth.uid(), p",
  ),
  {
    name: "teams: removed members",
    flawed: removed(""),
    rule: "membership-ended",
    object: "public.docs.docs_r",
    sound: removed("and m.removed_at is null"),
  },
  {
    name: "teams: removed members come back",
    flawed: removed("and m.removed_at is null", MAY_LEAVE("removed_at")),
    rule: "trusted-column",
    object: "public.members.removed_at",
    sound: removed("and m.removed_at is null"),
  },
  {
    name: "teams: a trigger adds members to any organization",
    flawed: copies("true", JOINS),
    rule: "self-made-membership",
    object: "public.requests.org_id",
    sound: copies(OF_OWNER, JOINS),
  },
  {
    name: "teams: a trigger gives the role that a row names",
    flawed: copies(OF_OWNER, "update public.members set role = new.role where user_id = new.user_id;", "insert (role)"),
    rule: "trusted-column",
    object: "public.requests.role",
    sound: copies(
      "role = 'member'",
      "update public.members set role = new.role where user_id = new.user_id;",
      "insert (role)",
    ),
  },
  rows(
    "a claim that is as null as the tenant",
    `org_id is not distinct from ((select auth.jwt()) -> 'app_metadata' ->> 'org_id')::uuid`,
    `user_id is not distinct from ${ME}`,
  ),
  rows("the greater of two ids", `greatest(user_id, ${ME}) = user_id`, `user_id = ${ME}`),
  rows("the lesser of two ids", `least(user_id, ${ME}) = ${ME}`),
  rows("a count in a list with 0", `${COUNT} in (0, 1)`, `${COUNT} in (1, 2)`),
  rows("a count of at least 0", `${COUNT} >= 0`, `${COUNT} >= 1`),
  rows("a count other than 1", `${COUNT} <> 1`, `${COUNT} <> 0`),
  rows("a count above -1", `${COUNT} > -1`, `0 < ${COUNT}`),
  rows("a count between 0 and 5", `${COUNT} between 0 and 5`, `${COUNT} between 1 and 5`),
  rows("a count that is not null", `${COUNT} is not null`, `${ROLE} is not null`),
  rows(
    "true for no membership",
    `coalesce((select true from public.members m where ${MINE}), true)`,
    `coalesce((select true from public.members m where ${MINE}), false)`,
  ),
  rows("a role for no membership", `coalesce(${ROLE}, 'viewer') <> 'banned'`, `${ROLE} <> 'banned'`),
  rows(
    "a role in a list for no membership",
    `coalesce(${ROLE}, 'viewer') in ('viewer', 'admin')`,
    `coalesce(${ROLE}, 'none') in ('owner', 'admin')`,
  ),
  rows("a role that is distinct", `${ROLE} is distinct from 'banned'`),
  rows("membership is not true", `(${MEMBER}) is not true`, `(${MEMBER}) is true`),
  rows("blocked = false", `(${BLOCKED}) = false`, `(${MEMBER}) = true`),
  rows("blocked is false", `(${BLOCKED}) is false`),
  rows("membership at least as true as a column", `(${MEMBER}) >= is_private`, `${MEMBER} and not is_private`),
  rows("arrays that contain the empty one", `allowed @> ${MY_ORGS}`, `allowed && ${MY_ORGS}`),
  rows("the empty array is contained", `${MY_ORGS} <@ allowed`, `${MY_ORGS} @> array[org_id]`),
  rows(
    "tags within the caller's roles",
    `tags <@ array(select m.role from public.members m where m.user_id = ${ME})`,
    `allowed @> array[${ME}]`,
  ),
  rows(
    "JSON that contains no attributes",
    `meta @> coalesce((select auth.jwt()) -> 'app_metadata' -> 'attributes', '{}')`,
    `meta @> jsonb_build_object('owner', ${ME})`,
  ),
  rows("all of no rows", `org_id = all (${MY_ORGS})`, `org_id = any (${MY_ORGS})`),
  rows("no row of the caller in an array", `array(select m.role from public.members m where ${MINE}) = '{}'`),
  rows("another array", `array(select m.role from public.members m where ${MINE}) <> array['banned']`),
  rows("other than all roles", `'banned' <> all (array(select m.role from public.members m where ${MINE}))`),
  rows(
    "an aggregate of the caller's memberships",
    `(select bool_or(m.user_id = ${ME}) from public.members m)`,
    `(select bool_or(m.user_id = ${ME}) from public.members m where m.org_id = docs.org_id)`,
    "policy-any-tenant",
  ),
  rows(
    "a pattern for no caller",
    `user_id::text like coalesce(${ME}::text, '%')`,
    `user_id::text like ${ME}::text`,
    "policy-true",
    "anon, authenticated",
  ),
  rows(
    "a prefix for no claim",
    `starts_with(title, coalesce((select auth.jwt()) -> 'app_metadata' ->> 'prefix', ''))`,
    `starts_with(title, ${ME}::text || '/')`,
  ),
  rows(
    "a pattern of concat()",
    `title like concat((select auth.jwt()) -> 'app_metadata' ->> 'prefix', '%')`,
    `title like ${ME}::text || '/%'`,
  ),
  rows("the first character of an id", `left(user_id::text, 1) = left(${ME}::text, 1)`),
  rows("the length of an id", `length(user_id::text) = length(${ME}::text)`),
  rows(
    "a provider that every account has",
    `(select auth.jwt()) -> 'app_metadata' ->> 'provider' = 'email'`,
    `(select auth.jwt()) -> 'app_metadata' ->> 'role' = 'admin'`,
  ),
  {
    name: "teams: a count of a helper",
    flawed: of("private.n(org_id) >= 0", "private.n(org uuid) returns bigint", `select count(*) ${OF_ORG}`),
    rule: "policy-true",
    object: "public.docs.docs_r",
    sound: of("private.n(org_id) >= 1", "private.n(org uuid) returns bigint", `select count(*) ${OF_ORG}`),
  },
  {
    name: "teams: no member by a helper",
    flawed: of("is_private <= private.is_member(org_id)", "private.is_member(org uuid) returns boolean", IS_MEMBER),
    rule: "policy-true",
    object: "public.docs.docs_r",
    sound: of(
      "coalesce(private.is_member(org_id), false) = true",
      "private.is_member(org uuid) returns boolean",
      IS_MEMBER,
    ),
  },
  blocked("= false", "private.is_blocked(user_id) = false"),
  blocked("is false", "private.is_blocked(user_id) is false"),
  blocked("is not true", "private.is_blocked(user_id) is not true"),
  blocked("<> true", "private.is_blocked(user_id) <> true"),
  blocked("a sub-select = false", "(select private.is_blocked(user_id)) = false"),
  blocked("coalesce = false", "coalesce(private.is_blocked(user_id), false) = false"),
  role(
    "a helper's role for others in the list",
    "private.role(org_id) in ('viewer', 'admin')",
    "viewer",
    "private.role(org_id) in ('viewer', 'admin')",
    "none",
  ),
  role(
    "a helper's role is another",
    "private.role(org_id) <> 'banned'",
    "none",
    "private.role(org_id) = 'admin'",
    "none",
  ),
  code(
    "an exception that lets in",
    `begin return exists (select ${OF_ORG}); exception when others then return true; end`,
    `begin return exists (select ${OF_ORG}); exception when others then return false; end`,
  ),
  code(
    "nothing found",
    `declare r text; begin select m.role into r ${OF_ORG}; if not found then return true; end if; return r = 'admin'; end`,
    `declare r text; begin select m.role into r ${OF_ORG}; if not found then return false; end if; return r = 'admin'; end`,
  ),
  code(
    "something found",
    `begin perform 1 ${OF_ANY}; return found; end`,
    `begin perform 1 ${OF_ORG}; return found; end`,
    "policy-any-tenant",
  ),
  code(
    "a role that is distinct",
    `declare r text; begin select m.role into r ${OF_ORG}; return r is distinct from 'banned'; end`,
    `declare r text; begin select m.role into r ${OF_ORG}; return r <> 'banned'; end`,
  ),
  code(
    "a text with escapes",
    `begin return exists (select ${OF_ANY} and m.role = E'admin'); end`,
    `begin return exists (select ${OF_ORG} and m.role <> E'it\\'s'); end`,
    "policy-any-tenant",
  ),
  code(
    "a text between dollars",
    `begin return exists (select ${OF_ANY} and m.role = $x$admin$x$); end`,
    `begin return exists (select ${OF_ORG} and m.role <> $x$it's$x$); end`,
    "policy-any-tenant",
  ),
  code(
    "a variable that a branch sets",
    `declare ok boolean := false; begin if auth.uid() is not null then ok := true; end if; return ok; end`,
    `declare ok boolean := false; begin if auth.uid() is not null then ok := exists (select ${OF_ORG}); end if; return ok; end`,
  ),
  code(
    "a count",
    `declare n int; begin select count(*) into n ${OF_ORG}; return n >= 0; end`,
    `declare n int; begin select count(*) into n ${OF_ORG}; return n > 0; end`,
  ),
  code(
    "a loop",
    `declare r record; begin for r in select * ${OF_ANY} loop return true; end loop; return false; end`,
    undefined,
    "helper-unread",
  ),
  code(
    "RETURNING",
    `declare n int; begin update public.profiles set display_name = 'x' where user_id = auth.uid() returning 1 into n; return n is not null; end`,
    undefined,
    "helper-unread",
  ),
  code(
    "a block in a block",
    `begin begin return exists (select ${OF_ORG}); exception when others then null; end; return true; end`,
    undefined,
    "helper-unread",
  ),
  code(
    "CASE as a statement",
    `declare r text; begin select m.role into r ${OF_ORG}; case r when 'x' then return false; else return true; end case; end`,
    undefined,
    "helper-unread",
  ),
  {
    name: "teams: a helper of two statements",
    flawed: of("private.ok(org_id)", "private.ok(org uuid) returns boolean", "select 1; select auth.uid() is not null"),
    rule: "helper-unread",
    object: "private.ok(org uuid)",
    sound: of(
      `user_id = ${ME} and private.ok(org_id)`,
      "private.ok(org uuid) returns boolean",
      "select 1; select auth.uid() is not null",
    ),
  },
  {
    name: "teams: user metadata in a helper of a helper",
    flawed: `${BASE} ${helper("private.meta() returns jsonb", "select auth.jwt() -> 'user_metadata'")} ${helper("private.is_admin() returns boolean", "select (private.meta() ->> 'admin')::boolean")}
      create policy docs_r on public.docs for select to authenticated using ((select private.is_admin()));`,
    rule: "user-metadata",
    object: "public.docs.docs_r",
  },
  trigger("that only fills a default", "new.is_admin := coalesce(new.is_admin, false);", KEEPS),
  trigger("that only fills null", "if new.is_admin is null then new.is_admin := false; end if;", REFUSES),
  trigger("that only logs", "raise log 'admin %', new.is_admin;", "raise exception 'no';", "before update of is_admin"),
  trigger(
    "that sets another column",
    "if new.is_admin then new.display_name := 'Admin'; end if;",
    "raise exception 'no';",
    "before update",
    "when (new.is_admin is distinct from old.is_admin)",
  ),
  trigger(
    "that only copies the value",
    "insert into private.log values (new.user_id, new.is_admin);",
    `if new.is_admin <> old.is_admin then ${KEEPS} end if;`,
  ),
  {
    name: "teams: an invited member chooses the role",
    flawed: invited(""),
    rule: "trusted-column",
    object: "public.members.role",
    sound: invited("and i.role = members.role"),
  },
  friendship("accepted from the start", { status: "accepted" }),
  friendship("the requester accepts", { by: "requester_id" }),
  friendship("the addressee names another requester", { changes: "status, requester_id" }),
  friendship("any status but one", { where: `f.status <> 'blocked' and ${FRIEND}` }),
  friendship("a status in one branch", {
    where: `f.status = 'accepted' and f.requester_id = ${ME} and f.addressee_id = docs.user_id or ${FRIEND}`,
  }),
  definer(
    "for the user of an argument, or the caller",
    "p uuid",
    "select * from public.docs where user_id = coalesce(p, auth.uid())",
    "select * from public.docs where user_id = auth.uid() and (p is null or id = p)",
  ),
  definer(
    "with a count of at least 0",
    "p uuid",
    "select d.* from public.docs d where (select count(*) from public.members m where m.org_id = d.org_id and m.user_id = auth.uid()) >= 0",
    "select d.* from public.docs d where (select count(*) from public.members m where m.org_id = d.org_id and m.user_id = auth.uid()) >= 1",
  ),
  definer(
    "that changes its caller",
    "p uuid",
    "begin perform set_config('request.jwt.claims', json_build_object('sub', p)::text, true); return query select * from public.docs where user_id = auth.uid(); end",
    "begin return query select * from public.docs where user_id = auth.uid(); end",
    "plpgsql",
  ),
  view("a count of at least 0", `${COUNT} >= 0`, `${COUNT} >= 1`),
  view("blocked = false", `(${BLOCKED}) = false`, "user_id = auth.uid()"),
  belowCode(
    "asks for a session and writes a log",
    "find(p uuid) returns setof public.docs",
    `begin ${SESSION} insert into private.log (who) values (auth.uid()); return query select * from public.docs d where d.org_id = p; end`,
    `begin ${UNLESS_MEMBER} insert into private.log (who) values (auth.uid()); return query select * from public.docs d where d.org_id = p; end`,
  ),
  belowCode(
    "changes a row by its id",
    "find(p uuid) returns void",
    `begin ${SESSION} update public.docs set status = 'final' where id = p; end`,
    `declare d public.docs; begin select * into d from public.docs where id = p; if d.user_id <> auth.uid() then raise exception 'no'; end if; update public.docs set status = 'final' where id = p; end`,
  ),
  belowCode(
    "counts in a variable",
    "find(p uuid) returns bigint",
    `declare n bigint; begin ${SESSION} select count(*) into n from public.docs d where d.user_id = p; return n; end`,
    `declare n bigint; begin if p <> auth.uid() and not exists (select from public.profiles s where s.user_id = auth.uid() and s.is_admin) then return null; end if; select count(*) into n from public.docs d where d.user_id = p; return n; end`,
  ),
  belowCode(
    "deletes after a log, in SQL",
    "find(p uuid) returns void",
    "insert into private.log (who) values (auth.uid()); delete from public.docs where id = p",
    "insert into private.log (who) values (auth.uid()); delete from public.docs where id = p and user_id = auth.uid()",
    "sql",
  ),
  {
    name: "teams: a token hook copies a column that its user writes",
    flawed: hook("select p.plan into plan from public.profiles p", "update (display_name, plan)"),
    rule: "trusted-column",
    object: "public.profiles.plan",
    sound: hook("select p.plan into plan from public.profiles p", "update (display_name)"),
  },
  {
    name: "teams: a token hook copies user metadata",
    flawed: hook("plan := claims -> 'user_metadata' ->> 'plan'"),
    rule: "user-metadata",
    object: "public.custom_access_token_hook(event jsonb)",
    sound: hook("plan := claims -> 'app_metadata' ->> 'plan'"),
  },
  {
    name: "teams: a definer function that its wrapper finds by the search_path",
    flawed: byPath("p_user"),
    rule: "definer-below",
    object: "private.docs_of(p_user uuid)",
    sound: byPath("auth.uid()"),
  },
  {
    name: "teams: a service key in the settings of a role",
    flawed: `alter role authenticator set app.api_key = '${JWT("service_role")}'`,
    rule: "stored-secret",
    object: "settings of role authenticator",
    sound: `alter role authenticator set app.api_key = '${JWT("anon")}'`,
  },
  {
    name: "teams: a service key as the default of an argument",
    flawed: `${OWN} create function private.notify(key text default '${JWT("service_role")}') returns text language sql as 'select key'; revoke all on function private.notify from public;`,
    rule: "stored-secret",
    object: "private.notify(key text)",
    sound: `${OWN} create function private.notify(key text default '${JWT("anon")}') returns text language sql as 'select key'; revoke all on function private.notify from public;`,
  },
  {
    name: "teams: a helper of the project in the schema auth",
    flawed: docs("org_id = (select auth.org_id())").replace(
      "create policy docs_r",
      `${inAuth("select o.id from public.orgs o limit 1")} create policy docs_r`,
    ),
    rule: "policy-true",
    object: "public.docs.docs_r",
    sound: docs("org_id = (select auth.org_id())").replace(
      "create policy docs_r",
      `${inAuth("select (auth.jwt() -> 'app_metadata' ->> 'org_id')::uuid")} create policy docs_r`,
    ),
  },
];

export const SOUND_TEAMS: [name: string, sql: string][] = [
  [
    "teams: a trigger adds members whose request is approved",
    copies("true", `if new.status = 'approved' then ${JOINS} end if;`),
  ],
  [
    "teams: a trigger makes the first member",
    `${docs(MEMBER)} create policy i on public.orgs for insert to authenticated with check (owner_id = ${ME}); grant insert (id, name) on public.orgs to authenticated;
    create function private.t() returns trigger language plpgsql security definer set search_path = '' as $t$begin insert into public.members (org_id, user_id) values (new.id, new.owner_id); return new; end$t$;
    create trigger t after insert on public.orgs for each row execute function private.t();`,
  ],
  [
    "teams: the owner of a row restores it",
    `${docs(
      `exists (select from public.orgs o where o.id = docs.org_id and o.owner_id = ${ME} and o.deleted_at is null)`,
    ).replace(
      "create policy docs_r",
      `alter table public.orgs add deleted_at timestamptz; grant select (deleted_at), update (deleted_at) on public.orgs to authenticated;
      create policy u on public.orgs for update to authenticated using (owner_id = ${ME}) with check (owner_id = ${ME}); create policy docs_r`,
    )}`,
  ],
  [
    "teams: the policy of the members says who was removed",
    docs(MEMBER).replace(
      "create policy docs_r",
      `alter table public.members add removed_at timestamptz; grant select (removed_at) on public.members to authenticated;
      alter policy r on public.members using (user_id = ${ME} and removed_at is null); create policy docs_r`,
    ),
  ],
  [
    "teams: a view of own rows with marks",
    `${OWN} create view public.found as select d.id, d.org_id in (select m.org_id from public.members m where m.user_id = auth.uid()) as mine, (select count(*) from public.members m where m.org_id = d.org_id) as size
    from public.docs d where d.user_id = auth.uid() and not exists (select from public.blocks b where b.blocker_id = d.assigned_to); grant select on public.found to authenticated;`,
  ],
  ["teams: friends", friends({})],
  [
    "teams: friends in one direction",
    friends({ where: `f.status = 'accepted' and f.requester_id = ${ME} and f.addressee_id = docs.user_id` }),
  ],
  [
    "teams: a loop in a helper beside the owner",
    of(
      `user_id = ${ME} and private.can(org_id)`,
      "private.can(org uuid) returns boolean",
      `declare r record; begin for r in select * ${OF_ANY} loop return true; end loop; return false; end`,
      "plpgsql",
    ),
  ],
  [
    "teams: own, assigned or of the team",
    docs(`case when status = 'draft' then user_id = ${ME} else ${MEMBER} or assigned_to = ${ME} end`),
  ],
  ["teams: members who are not blocked", docs(`${MEMBER} and not ${BLOCKED}`)],
  [
    "teams: an organization's owner becomes a member of any role",
    `${docs(`exists (select from public.members m where ${MINE} and m.role = 'admin')`)}
    create policy i on public.members for insert to authenticated with check (user_id = ${ME} and org_id in (select o.id from public.orgs o where o.owner_id = ${ME})); grant insert (org_id, user_id, role) on public.members to authenticated;`,
  ],
];
