// Schemas of tenants: rows that name their tenant through a parent, rows that are not public, profiles that everybody
// has, and columns that members, a trigger or an expression writes.

import type { Case } from "./cases.ts";

const ME = "(select auth.uid())";
const USER = "user_id uuid not null default auth.uid() references auth.users on delete cascade";
const ID = "id uuid primary key default gen_random_uuid()";

/** A table with Row Level Security and indexes, whose columns its users may read. */
function table(name: string, columns: string, grants = ""): string {
  const names = columns.split(/, (?=[a-z_]+ (?:uuid|text|boolean|date|timestamptz)\b)/).map((one) => one.split(" ")[0]);
  const indexes = names
    .filter((one) => /_id$/.test(one ?? ""))
    .map((one) => `create index on public.${name} (${one});`);
  return `create table public.${name} (${columns}); ${indexes.join(" ")}
    alter table public.${name} enable row level security; grant select (${names.join(", ")})${grants} on public.${name} to authenticated;`;
}
let policies = 0;
const policy = (on: string, command: string, using: string, check = using) =>
  `create policy p${++policies} on public.${on} for ${command} to authenticated
    ${command === "insert" ? "" : `using (${using})`} ${command === "select" || command === "delete" ? "" : `with check (${check})`};`;
const rows = (on: string, using: string) =>
  `create policy read on public.${on} for select to authenticated using (${using});`;
const helper = (head: string, body: string) =>
  `create function private.${head} returns boolean language sql stable security definer set search_path = '' as $f$select exists (${body})$f$;
  revoke all on function private.${head.replace(/ default null/g, "")} from public; grant execute on function private.${head.replace(/ default null/g, "")} to authenticated;`;
const trigger = (name: string, when: string, body: string, rights = "security definer") =>
  `create function private.${name}() returns trigger language plpgsql ${rights} set search_path = '' as $t$${body}$t$;
  revoke all on function private.${name}() from public; create trigger ${name} ${when} for each row execute function private.${name}();`;

const ORGS = `create schema if not exists private; grant usage on schema private to authenticated;
  alter table auth.users add column if not exists raw_user_meta_data jsonb;
  ${table("orgs", `${ID}, name text, plan text not null default 'free'`)}
  ${table("members", `org_id uuid not null references public.orgs on delete cascade, ${USER}, role text not null default 'member', primary key (org_id, user_id)`)}
  ${helper("is_member(org uuid)", "select from public.members m where m.org_id = org and m.user_id = auth.uid()")}
  ${helper("is_admin(org uuid)", "select from public.members m where m.org_id = org and m.user_id = auth.uid() and m.role = 'admin'")}
  ${rows("orgs", "private.is_member(id)")} ${rows("members", "private.is_member(org_id)")}`;
const PROJECTS = `${ORGS} ${table("projects", `${ID}, org_id uuid not null references public.orgs on delete cascade, name text`)}
  ${rows("projects", "private.is_member(org_id)")}
  ${table("tasks", `${ID}, project_id uuid not null references public.projects on delete cascade, title text`)}`;
const INVOICES = `${table("invoices", `${ID}, org_id uuid not null references public.orgs on delete cascade, title text`)} ${rows("invoices", "private.is_admin(org_id)")}`;
const DOCS = (columns: string) =>
  `${ORGS} ${table("documents", `${ID}, org_id uuid references public.orgs, ${USER}, title text, ${columns}`)}`;
const PROFILES = (columns: string, grants = "") =>
  `${ORGS} ${table("profiles", `user_id uuid primary key references auth.users on delete cascade, name text, ${columns}`, grants)}
  ${rows("profiles", `user_id = ${ME}`)} ${table("reports", `${ID}, title text`)}`;
const SIGN_UP = (body: string) => trigger("sign_up", "after insert on auth.users", body);
const REPORTS = (asks: string) =>
  rows("reports", `exists (select from public.profiles p where p.user_id = ${ME} ${asks})`);

/** Two versions of a schema. */
const pair = (
  name: string,
  rule: string,
  object: string,
  schema: (text: string) => string,
  flawed: string,
  sound: string,
): Case => ({ name: `tenants: ${name}`, rule, object, flawed: schema(flawed), sound: schema(sound) });
const shown = (name: string, columns: string, flawed: string, sound: string): Case =>
  pair(
    `documents: ${name}`,
    "policy-true",
    "public.documents.read",
    (text) => `${DOCS(columns)} ${rows("documents", `user_id = ${ME} or ${text}`)}`,
    flawed,
    sound,
  );
const signUp = (name: string, flawed: string, sound: string): Case =>
  pair(
    `sign-up: ${name}`,
    "signup-metadata",
    "public.profiles.role",
    (text) => `${PROFILES("role text not null default 'user'")} ${SIGN_UP(text)} ${REPORTS("and p.role = 'admin'")}`,
    flawed,
    sound,
  );
const ended = (name: string, column: string, asks: string): Case =>
  pair(
    `shares: ${name}`,
    "membership-ended",
    "public.documents.read",
    (text) => `${DOCS("body text")}
      ${table("shares", `document_id uuid not null references public.documents on delete cascade, ${USER}, ${column}, primary key (document_id, user_id)`)}
      ${rows("shares", `user_id = ${ME}`)}
      ${rows("documents", `id in (select s.document_id from public.shares s where s.user_id = ${ME} ${text})`)}`,
    "",
    asks,
  );

/** A request to join, which an admin accepts. */
const requests = (grants: string, asks = "and r.status = 'accepted'") => `${ORGS}
  ${table("requests", `org_id uuid not null references public.orgs on delete cascade, ${USER}, status text not null default 'pending', primary key (org_id, user_id)`, grants)}
  ${rows("requests", `user_id = ${ME} or private.is_admin(org_id)`)}
  ${policy("requests", "insert", `user_id = ${ME}`)} ${policy("requests", "update", "private.is_admin(org_id)")}
  ${table("guides", `${ID}, org_id uuid not null references public.orgs on delete cascade, title text`)}
  ${rows("guides", `org_id in (select r.org_id from public.requests r where r.user_id = ${ME} ${asks})`)}`;

export const TENANTS: Case[] = [
  pair(
    "an admin of any, where the row names its tenant through a parent",
    "policy-any-tenant",
    "public.tasks.read",
    (text) =>
      `${PROJECTS} ${rows("tasks", `exists (select from public.members m ${text} m.user_id = ${ME} and m.role = 'admin')`)}`,
    "where",
    "join public.projects p on p.org_id = m.org_id where p.id = tasks.project_id and",
  ),
  pair(
    "the owner of any shop reads all orders",
    "policy-any-tenant",
    "public.orders.read",
    (
      text,
    ) => `${table("shops", `${ID}, owner_id uuid not null references auth.users`)} ${rows("shops", `owner_id = ${ME}`)}
      ${table("orders", `${ID}, shop_id uuid not null references public.shops, title text`)}
      ${rows("orders", `exists (select from public.shops s where s.owner_id = ${ME} ${text})`)}`,
    "",
    "and s.id = orders.shop_id",
  ),
  pair(
    "the coach of any team reads all athletes",
    "policy-any-tenant",
    "public.athletes.read",
    (text) => `${table("teams", `${ID}, name text`)}
      ${table("team_members", `team_id uuid not null references public.teams, ${USER}, role text not null, primary key (team_id, user_id)`)}
      ${rows("team_members", `user_id = ${ME}`)} ${rows("teams", `id in (select m.team_id from public.team_members m where m.user_id = ${ME})`)}
      create schema if not exists private; grant usage on schema private to authenticated;
      ${helper("coaches(athlete uuid)", `select from public.team_members c ${text} c.user_id = auth.uid() and c.role = 'coach'`)}
      ${table("athletes", "user_id uuid primary key references auth.users, injuries text")} ${rows("athletes", "private.coaches(user_id)")}`,
    "where",
    "join public.team_members a on a.team_id = c.team_id where a.user_id = athlete and",
  ),
  pair(
    "support of any tenant",
    "policy-any-tenant",
    "public.documents.read",
    (text) =>
      `${DOCS("body text")} ${rows("documents", `exists (select from public.members m where m.user_id = ${ME} and m.role = 'support' ${text})`)}`,
    "",
    "and m.org_id = documents.org_id",
  ),
  pair(
    "a profile with the default status",
    "policy-any-account",
    "public.reports.read",
    (text) =>
      `${PROFILES(`status text not null default '${text}'`)} ${SIGN_UP("begin insert into public.profiles (user_id) values (new.id); return new; end")}
      ${REPORTS("and p.status in ('active', 'trial')")}`,
    "active",
    "pending",
  ),
  pair(
    "a profile without a certain status",
    "policy-any-account",
    "public.reports.read",
    (text) =>
      `${PROFILES("status text not null default 'new'")} ${SIGN_UP("begin insert into public.profiles (user_id) values (new.id); return new; end")} ${REPORTS(text)}`,
    "and p.status <> 'banned'",
    "and p.status <> 'banned' and p.status = 'checked'",
  ),
  shown(
    "visibility in ('org', 'public')",
    "visibility text not null default 'org'",
    "visibility in ('org', 'public')",
    "visibility in ('public', 'published')",
  ),
  shown(
    "visibility <> 'private'",
    "visibility text not null default 'org'",
    "visibility <> 'private'",
    "visibility <> 'private' and private.is_member(org_id)",
  ),
  shown("published = false", "published boolean not null default false", "published = false", "published = true"),
  shown("a public token", "public_token uuid", "public_token is not null", `user_id = ${ME}`),
  shown(
    "shared with the team",
    "shared_with_team boolean not null default false",
    "shared_with_team",
    "shared_with_team and private.is_member(org_id)",
  ),
  pair(
    "a comment of a document that is shared with a team",
    "policy-true",
    "public.comments.read",
    (
      text,
    ) => `${DOCS("is_shared boolean not null default false, is_public boolean not null default false")} ${rows("documents", `user_id = ${ME}`)}
      ${table("comments", `${ID}, document_id uuid not null references public.documents, title text`)}
      ${helper("shown(document uuid)", `select from public.documents d where d.id = document and d.${text}`)} ${rows("comments", "private.shown(document_id)")}`,
    "is_shared",
    "is_public",
  ),
  pair(
    "its user deletes the profile of the sign-up and makes another",
    "trusted-column",
    "public.profiles.role",
    (text) =>
      `${PROFILES("role text not null default 'user'", `, insert (user_id, name${text})`)} grant delete on public.profiles to authenticated;
      ${policy("profiles", "insert", `user_id = ${ME}`)} ${policy("profiles", "delete", `user_id = ${ME}`)}
      ${SIGN_UP("begin insert into public.profiles (user_id) values (new.id); return new; end")} ${REPORTS("and p.role = 'admin'")}`,
    ", role",
    "",
  ),
  pair(
    "any member changes roles",
    "trusted-column",
    "public.members.role",
    (text) =>
      `${ORGS} ${INVOICES} grant update (role) on public.members to authenticated; ${policy("members", "update", `private.${text}(org_id)`)}`,
    "is_member",
    "is_admin",
  ),
  pair(
    "any member adds admins",
    "trusted-column",
    "public.members.role",
    (text) =>
      `${ORGS} ${INVOICES} grant insert (org_id, user_id${text}) on public.members to authenticated; ${policy("members", "insert", "private.is_member(org_id)")}`,
    ", role",
    "",
  ),
  pair(
    "admins change the plan of their organization",
    "trusted-column",
    "public.orgs.plan",
    (
      text,
    ) => `${ORGS} grant update (${text}) on public.orgs to authenticated; ${policy("orgs", "update", "private.is_admin(id)")} ${table("courses", `${ID}, title text`)}
      ${rows("courses", `exists (select from public.orgs o join public.members m on m.org_id = o.id where m.user_id = ${ME} and o.plan = 'pro')`)}`,
    "name, plan",
    "name",
  ),
  pair(
    "a generated column of a column that its user writes",
    "trusted-column",
    "public.profiles.tier",
    (text) =>
      `${PROFILES("tier text not null default 'free', is_pro boolean generated always as (tier = 'pro') stored", `, update (${text})`)}
      ${policy("profiles", "update", `user_id = ${ME}`)} ${REPORTS("and p.is_pro")}`,
    "name, tier",
    "name",
  ),
  signUp(
    "INSERT without a list of columns",
    "begin insert into public.profiles values (new.id, '', new.raw_user_meta_data ->> 'kind'); return new; end",
    "begin insert into public.profiles values (new.id, new.raw_user_meta_data ->> 'name', 'user'); return new; end",
  ),
  signUp(
    "a variable under IF",
    "declare chosen text := 'user'; begin if new.raw_user_meta_data ? 'staff' then chosen := 'admin'; end if; insert into public.profiles (user_id, role) values (new.id, chosen); return new; end",
    "declare chosen text := 'user'; begin if new.email = 'root@example.com' then chosen := 'admin'; end if; insert into public.profiles (user_id, role) values (new.id, chosen); return new; end",
  ),
  signUp(
    "a variable by SELECT INTO",
    "declare chosen text; begin select new.raw_user_meta_data ->> 'kind' into chosen; insert into public.profiles (user_id, role) values (new.id, chosen); return new; end",
    "declare chosen text; begin select 'user' into chosen; insert into public.profiles (user_id, role) values (new.id, chosen); return new; end",
  ),
  pair(
    "sign-up: a trigger of the table itself copies the metadata",
    "signup-metadata",
    "public.profiles.role",
    (text) =>
      `${PROFILES("role text not null default 'user'", ", insert (user_id, name)")} ${policy("profiles", "insert", `user_id = ${ME}`)}
      ${trigger("fill", "before insert on public.profiles", `begin new.role := ${text}; return new; end`)} ${REPORTS("and p.role = 'admin'")}`,
    "(select u.raw_user_meta_data ->> 'role' from auth.users u where u.id = new.user_id)",
    "'user'",
  ),
  ended("ends_on", "ends_on date", "and s.ends_on > current_date"),
  ended("revoked", "revoked boolean not null default false", "and not s.revoked"),
  pair(
    "a request to join that its maker accepts",
    "self-made-membership",
    "public.requests.join_request",
    (text) =>
      requests(text).replace(
        /create policy p\d+ on public.requests for insert/,
        "create policy join_request on public.requests for insert",
      ),
    ", insert (org_id, status), update (status)",
    ", insert (org_id), update (status)",
  ),
  pair(
    "a trigger after an update that only logs",
    "trusted-column",
    "public.profiles.role",
    (
      text,
    ) => `${PROFILES("role text not null default 'user'", ", update (name, role)")} ${policy("profiles", "update", `user_id = ${ME}`)}
      ${trigger("watch", "after update on public.profiles", `begin if new.role <> old.role then raise ${text} 'role'; end if; return null; end`, "")} ${REPORTS("and p.role = 'admin'")}`,
    "log",
    "exception",
  ),
  {
    name: "tenants: a restrictive policy for other rows",
    rule: "policy-true",
    object: "public.documents.read",
    flawed: `${DOCS("body text")} ${rows("documents", "true")} create policy members on public.documents as restrictive for select to authenticated using (user_id = ${ME} or org_id is null);`,
    sound: `${DOCS("body text")} ${rows("documents", "true")} create policy members on public.documents as restrictive for select to authenticated using (user_id = ${ME} or private.is_member(org_id));`,
  },
];

export const SOUND_TENANTS: [name: string, sql: string][] = [
  [
    "tenants: documents that are not private, and posts that are out",
    `${DOCS("is_private boolean not null default false")} ${rows("documents", `not is_private or user_id = ${ME}`)}
    ${table("posts", `${ID}, is_draft boolean not null default true, published_at timestamptz, ${USER}`)} ${rows("posts", "is_draft = false and published_at <= now()")}`,
  ],
  [
    "tenants: admins of the platform's own organization, and of none",
    `${PROJECTS} alter table public.members drop constraint members_pkey, add unique (org_id, user_id), alter org_id drop not null;
    ${rows(
      "tasks",
      `exists (select from public.members m where m.user_id = ${ME} and m.role = 'admin' and m.org_id = '00000000-0000-4000-8000-000000000001')
      or exists (select from public.members m where m.user_id = ${ME} and m.role = 'admin' and m.org_id is null)`,
    )}`,
  ],
  [
    "tenants: a purchase that the server marks as paid",
    `${ORGS} ${table("purchases", `${ID}, org_id uuid not null references public.orgs, ${USER}, state text not null default 'pending', note text`, ", insert (org_id, note), update (note)")}
    ${rows("purchases", `user_id = ${ME}`)} ${policy("purchases", "insert", `user_id = ${ME}`)} ${policy("purchases", "update", `user_id = ${ME}`)}
    ${table("guides", `${ID}, org_id uuid not null references public.orgs, title text`)}
    ${rows("guides", `org_id in (select p.org_id from public.purchases p where p.user_id = ${ME} and p.state = 'paid')`)}`,
  ],
];
