// Schemas in the ways of real projects: starter kits, quickstarts, chats, billing, invitations, audit logs, Storage and
// Realtime. Each flawed one names the expected findings.

import { type Case, JWT } from "./cases.ts";

const STORAGE = `
create schema if not exists storage;
create table storage.buckets (id text primary key, name text not null, owner uuid, public boolean default false, created_at timestamptz default now());
create table storage.objects (id uuid primary key default gen_random_uuid(), bucket_id text references storage.buckets(id), name text, owner uuid, owner_id text, metadata jsonb, path_tokens text[] generated always as (string_to_array(name, '/')) stored);
create index on storage.objects (bucket_id);
create function storage.foldername(name text) returns text[] language plpgsql immutable as $$
declare _parts text[];
begin
  select string_to_array(name, '/') into _parts;
  return _parts[1 : array_length(_parts, 1) - 1];
end $$;
create function storage.filename(name text) returns text language plpgsql immutable as $$
declare _parts text[];
begin
  select string_to_array(name, '/') into _parts;
  return _parts[array_length(_parts, 1)];
end $$;
create function storage.extension(name text) returns text language plpgsql immutable as $$
declare _parts text[]; _filename text;
begin
  select string_to_array(name, '/') into _parts;
  select _parts[array_length(_parts, 1)] into _filename;
  return reverse(split_part(reverse(_filename), '.', 1));
end $$;
alter table storage.objects enable row level security; alter table storage.buckets enable row level security;
grant usage on schema storage to anon, authenticated, service_role;
grant all on storage.objects, storage.buckets to anon, authenticated, service_role;
`;
const REALTIME = `
create schema if not exists realtime;
create table realtime.messages (id uuid default gen_random_uuid(), topic text not null, extension text not null, payload jsonb, event text, private boolean default false, inserted_at timestamp not null default now(), primary key (id, inserted_at)) partition by range (inserted_at);
alter table realtime.messages enable row level security;
create function realtime.topic() returns text language sql stable as $$ select nullif(current_setting('realtime.topic', true), '')::text $$;
grant usage on schema realtime to anon, authenticated, service_role;
grant select, insert, update on realtime.messages to anon, authenticated, service_role;
`;
const META = `alter table auth.users add column if not exists raw_user_meta_data jsonb; alter table auth.users add column if not exists raw_app_meta_data jsonb;`;

const own = (t: string, col = "user_id") => `
create index on public.${t} (${col});
alter table public.${t} enable row level security;
create policy "Users read own ${t}" on public.${t} for select to authenticated using ((select auth.uid()) = ${col});`;
const P = `create schema if not exists private; grant usage on schema private to authenticated;`;
const DOCS = (using: string, more = "") => `
create table public.docs (id uuid primary key default gen_random_uuid(), user_id uuid not null references auth.users on delete cascade, org_id uuid, tags text[] not null default '{}', meta jsonb not null default '{}', title text, status text not null default 'draft', parent_id uuid${more});
create index on public.docs (user_id); create index on public.docs (org_id); create index on public.docs (parent_id);
alter table public.docs enable row level security;
create policy docs_read on public.docs for select to authenticated using (${using});
grant select (id, user_id, org_id, tags, meta, title, status, parent_id) on public.docs to authenticated;`;
const ORGS = `
create table public.orgs (id uuid primary key default gen_random_uuid(), name text not null, owner_id uuid not null references auth.users on delete cascade);
create index on public.orgs (owner_id);
create table public.org_members (org_id uuid not null references public.orgs on delete cascade, user_id uuid not null references auth.users on delete cascade, role text not null default 'member', primary key (org_id, user_id));
create index on public.org_members (user_id);
alter table public.orgs enable row level security; alter table public.org_members enable row level security;
create policy orgs_read on public.orgs for select to authenticated using (owner_id = (select auth.uid()));
create policy om_read on public.org_members for select to authenticated using (user_id = (select auth.uid()));
grant select (id, name, owner_id) on public.orgs to authenticated; grant select (org_id, user_id, role) on public.org_members to authenticated;`;
const U = "(select auth.uid())";
const fn = (head: string, body: string, lang = "sql") =>
  `create function ${head} language ${lang} stable security definer set search_path = '' as $fn$${body}$fn$; revoke all on function ${head.slice(0, head.indexOf(" returns"))} from public; grant execute on function ${head.slice(0, head.indexOf(" returns"))} to authenticated;`;

const REGIONS = (otherwise: string) => `
create table public.cases (id uuid primary key default gen_random_uuid(), region text not null, body text);
create index on public.cases (region);
alter table public.cases enable row level security;
create policy r on public.cases for select to authenticated using (region = coalesce((select auth.jwt() -> 'app_metadata' ->> 'region'), ${otherwise}));
grant select (id, region, body) on public.cases to authenticated;`;
const ROOMS = (also: string) => `
create table public.rooms (id uuid primary key default gen_random_uuid(), host_id uuid not null references auth.users on delete cascade);
create index on public.rooms (host_id);
create table public.guests (room_id uuid not null references public.rooms, user_id uuid not null default auth.uid() references auth.users, primary key (room_id, user_id));
create index on public.guests (user_id);
create table public.lines (id uuid primary key default gen_random_uuid(), room_id uuid not null references public.rooms, body text);
create index on public.lines (room_id);
alter table public.rooms enable row level security; alter table public.guests enable row level security; alter table public.lines enable row level security;
create policy r on public.rooms for select to authenticated using (host_id = ${U});
create policy r on public.guests for select to authenticated using (user_id = ${U});
create policy r on public.lines for select to authenticated using (room_id in (select g.room_id from public.guests g where g.user_id = ${U}));
create policy i on public.guests for insert to authenticated with check (user_id = ${U} and ${also});
grant select (id, host_id) on public.rooms to authenticated; grant select (room_id, user_id), insert (room_id) on public.guests to authenticated; grant select (id, room_id, body) on public.lines to authenticated;`;
const HELPED_ROOMS = (helper: string, also: string) => `${P}${ROOMS("false")}
alter table public.rooms add is_open boolean not null default false, add deleted_at timestamptz, add blocked uuid;
${fn("private.helps(room uuid) returns boolean", helper)}
alter policy i on public.guests with check (user_id = ${U} and ${also});`;
const RULED = (event: string, action: string, grant = `grant ${event} on public.inbox to authenticated;`) => `
create table public.ledger (user_id uuid, body text);
create table public.inbox (id uuid primary key default gen_random_uuid(), user_id uuid not null default auth.uid() references auth.users on delete cascade, body text);
create index on public.inbox (user_id);
alter table public.inbox enable row level security;
create policy a on public.inbox for select to authenticated using (user_id = ${U});
create policy b on public.inbox for insert to authenticated with check (user_id = ${U});
create policy c on public.inbox for update to authenticated using (user_id = ${U}) with check (user_id = ${U});
create policy d on public.inbox for delete to authenticated using (user_id = ${U});
grant select (id, user_id, body) on public.inbox to authenticated; ${grant.replace(/(insert|update) on/, "$1 (body) on")}
create rule r as on ${event} to public.inbox do ${action};`;
const RULES: [name: string, event: string, action: string][] = [
  ["deletes from another table", "insert", "instead delete from public.ledger where user_id <> new.user_id"],
  ["writes to another table", "insert", "also insert into public.ledger values (new.user_id, new.body)"],
  ["updates its own table", "delete", "instead update public.inbox set body = '' where id = old.id"],
  ["calls a query of another table", "update", "also select body from public.ledger where user_id = new.user_id"],
];
const FOLDERS = (first: string, next = "p.id = up.parent_id") => `${P}
create table public.folders (id uuid primary key default gen_random_uuid(), parent_id uuid references public.folders, user_id uuid not null default auth.uid() references auth.users on delete cascade, name text);
create index on public.folders (user_id); create index on public.folders (parent_id);
alter table public.folders enable row level security;
${fn("private.can_read(f uuid) returns boolean", `with recursive up as (select id, parent_id, user_id from public.folders ${first} union all select p.id, p.parent_id, p.user_id from public.folders p join up on ${next}) select exists (select from up where user_id = (select auth.uid()))`)}
create policy r on public.folders for select to authenticated using (private.can_read(id));
create policy i on public.folders for insert to authenticated with check (user_id = ${U});
grant select (id, parent_id, user_id, name), insert (name) on public.folders to authenticated;`;

const GUARDIANS = (using: string) => `
create table public.guardians (guardian_id uuid not null references auth.users, child_id uuid not null references auth.users, primary key (guardian_id, child_id));
create index on public.guardians (child_id);
create table public.grades (id uuid primary key default gen_random_uuid(), child_id uuid not null references auth.users, mark text);
create index on public.grades (child_id);
alter table public.guardians enable row level security; alter table public.grades enable row level security;
create policy r on public.guardians for select to authenticated using (${U} in (guardian_id, child_id));
create policy r on public.grades for select to authenticated using (${using});
grant select (guardian_id, child_id) on public.guardians to authenticated; grant select (id, child_id, mark) on public.grades to authenticated;`;

const FLAWED: [name: string, rule: string, object: string, flawed: string][] = [
  [
    "quickstart: anybody inserts todos",
    "policy-true",
    "public.todos.Individuals can create todos.",
    `
create table public.todos (id bigint generated always as identity primary key, user_id uuid not null references auth.users on delete cascade, task text check (char_length(task) > 3), is_complete boolean default false, inserted_at timestamptz default now());
${own("todos")}
create policy "Individuals can create todos." on public.todos for insert to authenticated with check (true);
grant select (id, user_id, task, is_complete), insert (user_id, task, is_complete) on public.todos to authenticated;`,
  ],
  [
    "quickstart: WITH CHECK true gives todos away",
    "policy-true",
    "public.todos.upd",
    `
create table public.todos (id bigint generated always as identity primary key, user_id uuid not null references auth.users on delete cascade, task text);
${own("todos")}
create policy upd on public.todos for update to authenticated using ((select auth.uid()) = user_id) with check (true);
grant select (id, user_id, task), update (user_id, task) on public.todos to authenticated;`,
  ],
  [
    "chat: moderators by user metadata",
    "user-metadata",
    "public.messages.Moderators delete",
    `
create table public.channels (id bigint generated always as identity primary key, slug text not null unique, created_by uuid not null references auth.users);
${own("channels", "created_by")}
create table public.messages (id bigint generated always as identity primary key, message text, user_id uuid not null references auth.users, channel_id bigint not null references public.channels on delete cascade);
create index on public.messages (channel_id);
${own("messages")}
create policy "Moderators delete" on public.messages for delete to authenticated using (coalesce((auth.jwt() -> 'user_metadata' ->> 'user_role'), '') = 'moderator');
grant select (id, message, user_id, channel_id), delete on public.messages to authenticated; grant select (id, slug, created_by) on public.channels to authenticated;`,
  ],
  [
    "accounts: everybody makes themselves a member",
    "self-made-membership",
    "public.accounts_memberships.join_own",
    `
create table public.accounts (id uuid primary key default gen_random_uuid(), name text not null);
create table public.accounts_memberships (account_id uuid not null references public.accounts on delete cascade, user_id uuid not null references auth.users on delete cascade, account_role text not null default 'member', primary key (account_id, user_id));
create index on public.accounts_memberships (user_id);
alter table public.accounts enable row level security; alter table public.accounts_memberships enable row level security;
create policy read_own on public.accounts_memberships for select to authenticated using (user_id = (select auth.uid()));
create policy join_own on public.accounts_memberships for insert to authenticated with check (user_id = (select auth.uid()));
create policy read_accounts on public.accounts for select to authenticated using (exists (select 1 from public.accounts_memberships m where m.account_id = accounts.id and m.user_id = (select auth.uid())));
create table public.projects (id uuid primary key default gen_random_uuid(), account_id uuid not null references public.accounts on delete cascade, name text);
create index on public.projects (account_id);
alter table public.projects enable row level security;
create policy member_reads on public.projects for select to authenticated using (exists (select 1 from public.accounts_memberships m where m.account_id = projects.account_id and m.user_id = (select auth.uid())));
grant select (account_id, user_id, account_role), insert (account_id, user_id, account_role) on public.accounts_memberships to authenticated;
grant select (id, name) on public.accounts to authenticated; grant select (id, account_id, name) on public.projects to authenticated;`,
  ],
  [
    "accounts: a helper compares a column with itself",
    "policy-compares-itself",
    "public.projects.member_reads",
    `
create schema if not exists private; grant usage on schema private to authenticated;
create table public.accounts (id uuid primary key default gen_random_uuid(), name text not null);
create table public.accounts_memberships (account_id uuid not null references public.accounts on delete cascade, user_id uuid not null references auth.users on delete cascade, account_role text not null default 'member', primary key (account_id, user_id));
create index on public.accounts_memberships (user_id);
alter table public.accounts enable row level security; alter table public.accounts_memberships enable row level security;
create policy read_own on public.accounts_memberships for select to authenticated using (user_id = (select auth.uid()));
create policy read_accounts on public.accounts for select to authenticated using (exists (select 1 from public.accounts_memberships m where m.account_id = accounts.id and m.user_id = (select auth.uid())));
create function private.has_role_on_account(account_id uuid, wanted text default null) returns boolean language sql stable security definer set search_path = '' as $$
  select exists (select 1 from public.accounts_memberships m where m.user_id = (select auth.uid()) and m.account_id = account_id and (m.account_role = wanted or wanted is null)) $$;
revoke all on function private.has_role_on_account(uuid, text) from public; grant execute on function private.has_role_on_account(uuid, text) to authenticated;
create table public.projects (id uuid primary key default gen_random_uuid(), account_id uuid not null references public.accounts on delete cascade, name text);
create index on public.projects (account_id);
alter table public.projects enable row level security;
create policy member_reads on public.projects for select to authenticated using ((select private.has_role_on_account(projects.account_id)));
grant select (account_id, user_id, account_role) on public.accounts_memberships to authenticated; grant select (id, name) on public.accounts to authenticated; grant select (id, account_id, name) on public.projects to authenticated;`,
  ],
  [
    "storage: avatars bucket upload into anyone's folder",
    "policy-true",
    "storage.objects.Avatar upload",
    `${STORAGE}
create policy "Avatar upload" on storage.objects for insert to authenticated with check (bucket_id = 'avatars');`,
  ],
  [
    "storage: the file's extension is the only condition",
    "policy-true",
    "storage.objects.JPG images",
    `${STORAGE}
create policy "JPG images" on storage.objects for select to public using (bucket_id = 'docs' and storage.extension(name) = 'jpg' and lower((storage.foldername(name))[1]) = 'private' and auth.role() = 'authenticated');`,
  ],
  [
    "storage: delete by a pattern of names",
    "policy-true",
    "storage.objects.delete",
    `${STORAGE}
create policy "own files" on storage.objects for select to authenticated using (bucket_id = 'u' and (storage.foldername(name))[1] = (select auth.uid())::text);
create policy "delete" on storage.objects for delete to authenticated using (bucket_id = 'u' and name like '%' || storage.filename(name));`,
  ],
  [
    "storage: everybody makes buckets",
    "policy-true",
    "storage.buckets.make buckets",
    `${STORAGE}
create policy "make buckets" on storage.buckets for insert to authenticated with check ((select auth.uid()) is not null);`,
  ],
  [
    "realtime: any topic of two extensions",
    "policy-true",
    "realtime.messages.authenticated can receive broadcasts",
    `${REALTIME}
create policy "authenticated can receive broadcasts" on realtime.messages for select to authenticated using (extension in ('broadcast', 'presence'));`,
  ],
  [
    "realtime: a member of any room listens to all",
    "policy-any-tenant",
    "realtime.messages.room members",
    `${REALTIME}
create table public.rooms_users (user_id uuid not null references auth.users, room_topic text not null, primary key (user_id, room_topic));
alter table public.rooms_users enable row level security;
create policy own on public.rooms_users for select to authenticated using (user_id = (select auth.uid()));
grant select (user_id, room_topic) on public.rooms_users to authenticated;
create policy "room members" on realtime.messages for select to authenticated using (exists (select 1 from public.rooms_users where user_id = (select auth.uid()) and extension = 'broadcast'));`,
  ],
  [
    "realtime: a published table without row level security",
    "rls-disabled",
    "public.chat_lines",
    `
create table public.chat_lines (id bigint generated always as identity primary key, room text, body text);
grant select (id, room, body) on public.chat_lines to authenticated;
alter publication supabase_realtime add table public.chat_lines;`,
  ],
  [
    "profiles: everybody reads addresses and phone numbers",
    "policy-true",
    "public.profiles.Public profiles are viewable by everyone.",
    `
create table public.profiles (id uuid primary key references auth.users on delete cascade, username text unique, email text, phone text, avatar_url text);
alter table public.profiles enable row level security;
create policy "Public profiles are viewable by everyone." on public.profiles for select using (true);
create policy "Users can update own profile." on public.profiles for update to authenticated using ((select auth.uid()) = id) with check ((select auth.uid()) = id);
grant select (id, username, email, phone, avatar_url) on public.profiles to anon, authenticated; grant update (username, avatar_url) on public.profiles to authenticated;`,
  ],
  [
    "profiles: credits that their user writes",
    "trusted-column",
    "public.profiles.credits",
    `
create table public.profiles (id uuid primary key references auth.users on delete cascade, full_name text, credits int not null default 0);
alter table public.profiles enable row level security;
create policy r on public.profiles for select to authenticated using ((select auth.uid()) = id);
create policy u on public.profiles for update to authenticated using ((select auth.uid()) = id) with check ((select auth.uid()) = id);
grant select (id, full_name, credits), update (full_name, credits) on public.profiles to authenticated;
create table public.generations (id uuid primary key default gen_random_uuid(), user_id uuid not null references auth.users, prompt text);
create index on public.generations (user_id);
alter table public.generations enable row level security;
create policy r on public.generations for select to authenticated using ((select auth.uid()) = user_id);
create policy i on public.generations for insert to authenticated with check ((select auth.uid()) = user_id and exists (select 1 from public.profiles p where p.id = (select auth.uid()) and p.credits > 0));
grant select (id, user_id, prompt), insert (user_id, prompt) on public.generations to authenticated;`,
  ],
  [
    "billing: a subscription that its user makes active",
    "trusted-column",
    "public.subscriptions.status",
    `
create table public.subscriptions (id text primary key, user_id uuid not null references auth.users, status text not null, price_id text);
create index on public.subscriptions (user_id);
alter table public.subscriptions enable row level security;
create policy own on public.subscriptions for all to authenticated using ((select auth.uid()) = user_id) with check ((select auth.uid()) = user_id);
grant select (id, user_id, status), insert (id, user_id, status, price_id) on public.subscriptions to authenticated;
create table public.premium_articles (id uuid primary key default gen_random_uuid(), body text);
alter table public.premium_articles enable row level security;
create policy subscribers on public.premium_articles for select to authenticated using (exists (select 1 from public.subscriptions s where s.user_id = (select auth.uid()) and s.status in ('active', 'trialing')));
grant select (id, body) on public.premium_articles to authenticated;`,
  ],
  [
    "invitations: everybody reads valid tokens",
    "policy-true",
    "public.invitations.valid invitations can be read",
    `
create table public.invitations (id bigint generated always as identity primary key, email text not null, account_id uuid not null, invite_token text not null default gen_random_uuid(), expires_at timestamptz not null default now() + interval '7 days');
create index on public.invitations (account_id);
alter table public.invitations enable row level security;
create policy "valid invitations can be read" on public.invitations for select to authenticated using (expires_at > now());
grant select (id, email, account_id, invite_token, expires_at) on public.invitations to authenticated;`,
  ],
  [
    "invitations: the address of user metadata",
    "user-metadata",
    "public.invitations.invited",
    `
create table public.invitations (id bigint generated always as identity primary key, email text not null, team_id uuid not null);
alter table public.invitations enable row level security;
create policy invited on public.invitations for select to authenticated using (email = (auth.jwt() -> 'user_metadata' ->> 'email'));
grant select (id, email, team_id) on public.invitations to authenticated;`,
  ],
  [
    "invitations: a definer function takes the member's id",
    "definer-exposed",
    "public.accept_invitation(team uuid, member uuid)",
    `
create table public.team_members (team_id uuid not null, user_id uuid not null references auth.users, primary key (team_id, user_id));
create index on public.team_members (user_id);
alter table public.team_members enable row level security;
create policy own on public.team_members for select to authenticated using (user_id = (select auth.uid()));
grant select (team_id, user_id) on public.team_members to authenticated;
create function public.accept_invitation(team uuid, member uuid) returns void language sql security definer set search_path = '' as $$ insert into public.team_members values (team, member) $$;
revoke all on function public.accept_invitation(uuid, uuid) from public; grant execute on function public.accept_invitation(uuid, uuid) to authenticated;`,
  ],
  [
    "audit log: without row level security",
    "rls-disabled",
    "audit.record_version",
    `
create schema if not exists audit; grant usage on schema audit to authenticated, anon;
create table audit.record_version (id bigint generated always as identity primary key, record jsonb, old_record jsonb, op text, ts timestamptz default now(), table_name name);
grant select on audit.record_version to authenticated;`,
  ],
  [
    "audit log: anybody names the actor",
    "policy-true",
    "public.audit_logs.write",
    `
create table public.audit_logs (id bigint generated always as identity primary key, actor_id uuid not null references auth.users, action text not null, at timestamptz not null default now());
${own("audit_logs", "actor_id")}
create policy write on public.audit_logs for insert to authenticated with check ((select auth.role()) = 'authenticated');
grant select (id, actor_id, action, at), insert (actor_id, action) on public.audit_logs to authenticated;`,
  ],
  [
    "chat: participants read their own table",
    "policy-recursion",
    "public.participants.see",
    `
create table public.participants (chat_id uuid not null, user_id uuid not null references auth.users, primary key (chat_id, user_id));
create index on public.participants (user_id);
alter table public.participants enable row level security;
create policy see on public.participants for select to authenticated using (chat_id in (select p.chat_id from public.participants p where p.user_id = (select auth.uid())));
grant select (chat_id, user_id) on public.participants to authenticated;`,
  ],
  [
    "chat: messages into any room",
    "tenant-unchecked",
    "public.messages.w",
    `
create table public.rooms (id uuid primary key default gen_random_uuid(), name text);
create table public.room_members (room_id uuid not null references public.rooms on delete cascade, user_id uuid not null references auth.users on delete cascade, primary key (room_id, user_id));
create index on public.room_members (user_id);
alter table public.rooms enable row level security; alter table public.room_members enable row level security;
create policy r on public.room_members for select to authenticated using (user_id = (select auth.uid()));
create policy r on public.rooms for select to authenticated using (id in (select room_id from public.room_members where user_id = (select auth.uid())));
create table public.messages (id uuid primary key default gen_random_uuid(), room_id uuid not null references public.rooms on delete cascade, user_id uuid not null references auth.users on delete cascade, body text);
create index on public.messages (room_id); create index on public.messages (user_id);
alter table public.messages enable row level security;
create policy r on public.messages for select to authenticated using (room_id in (select m.room_id from public.room_members m where m.user_id = (select auth.uid())));
create policy w on public.messages for insert to authenticated with check (user_id = (select auth.uid()));
create policy d on public.messages for update to authenticated using (user_id <> (select auth.uid())) with check (user_id = (select auth.uid()));
grant select (id, room_id, user_id, body), insert (room_id, user_id, body), update (body) on public.messages to authenticated; grant select (id, name) on public.rooms to authenticated; grant select (room_id, user_id) on public.room_members to authenticated;`,
  ],
  [
    "messages: OR without parentheses",
    "policy-true",
    "public.direct_messages.r",
    `
create table public.direct_messages (id uuid primary key default gen_random_uuid(), sender uuid not null references auth.users, recipient uuid not null references auth.users, body text, deleted boolean not null default false);
create index on public.direct_messages (sender); create index on public.direct_messages (recipient);
alter table public.direct_messages enable row level security;
create policy r on public.direct_messages for select to authenticated using (sender = (select auth.uid()) or recipient = (select auth.uid()) and not deleted or deleted = false);
grant select (id, sender, recipient, body) on public.direct_messages to authenticated;`,
  ],
  [
    "soft delete: rows that are not deleted",
    "policy-true",
    "public.documents.r",
    `
create table public.documents (id uuid primary key default gen_random_uuid(), owner_id uuid not null references auth.users, body text, deleted_at timestamptz);
create index on public.documents (owner_id);
alter table public.documents enable row level security;
create policy r on public.documents for select to authenticated using (deleted_at is null);
create policy u on public.documents for update to authenticated using (owner_id = (select auth.uid())) with check (owner_id = (select auth.uid()));
grant select (id, owner_id, body), update (body, deleted_at) on public.documents to authenticated;`,
  ],
  [
    "shop: a materialized view of all orders",
    "materialized-view",
    "public.order_totals",
    `
create table public.orders (id uuid primary key default gen_random_uuid(), user_id uuid not null references auth.users, total numeric);
${own("orders")}
grant select (id, user_id, total) on public.orders to authenticated;
create materialized view public.order_totals as select user_id, sum(total) as total from public.orders group by 1;
grant select on public.order_totals to authenticated;`,
  ],
  [
    "shop: a definer function below a wrapper",
    "definer-below",
    "internal.all_orders(whom uuid)",
    `
create schema if not exists internal; grant usage on schema internal to authenticated;
create table public.orders (id uuid primary key default gen_random_uuid(), user_id uuid not null references auth.users, total numeric);
${own("orders")}
grant select (id, user_id, total) on public.orders to authenticated;
create function internal.all_orders(whom uuid) returns setof public.orders language sql stable security definer set search_path = '' as $$ select * from public.orders where user_id = whom $$;
revoke all on function internal.all_orders(uuid) from public; grant execute on function internal.all_orders(uuid) to authenticated;
create function public.orders_of(whom uuid) returns setof public.orders language sql stable set search_path = '' as $$ select * from internal.all_orders(whom) $$;
revoke all on function public.orders_of(uuid) from public; grant execute on function public.orders_of(uuid) to authenticated;`,
  ],
  [
    "a view of a view of users in another schema",
    "view-definer",
    "api.people",
    `
create schema if not exists api; grant usage on schema api to anon, authenticated;
create schema if not exists internal; grant usage on schema internal to anon, authenticated;
create view internal.users as select id, email from auth.users;
create view api.people as select id, email from internal.users;
grant select on api.people to authenticated;`,
  ],
  [
    "partition child with own grants and no RLS",
    "rls-disabled",
    "public.measurements_2026",
    `
create table public.measurements (id uuid not null, user_id uuid not null, at date not null, v numeric, primary key (id, at)) partition by range (at);
create index on public.measurements (user_id);
alter table public.measurements enable row level security;
create policy own on public.measurements for select to authenticated using ((select auth.uid()) = user_id);
grant select (id, user_id, at, v) on public.measurements to authenticated;
create table public.measurements_2026 partition of public.measurements for values from ('2026-01-01') to ('2027-01-01');
grant select (id, user_id, at, v) on public.measurements_2026 to authenticated;`,
  ],
  [
    "inheritance: child readable by itself",
    "rls-disabled",
    "public.premium_cards",
    `
create table public.cards (id uuid primary key default gen_random_uuid(), user_id uuid not null, label text);
create index on public.cards (user_id);
alter table public.cards enable row level security;
create policy own on public.cards for select to authenticated using ((select auth.uid()) = user_id);
grant select (id, user_id, label) on public.cards to authenticated;
create table public.premium_cards (level int) inherits (public.cards);
alter table public.premium_cards add primary key (id);
grant select on public.premium_cards to authenticated, anon;`,
  ],
  [
    "plpgsql helper that returns true for all who are signed in",
    "policy-true",
    "public.reports.r",
    `
create schema if not exists private; grant usage on schema private to authenticated;
create function private.can_read(row_owner uuid) returns boolean language plpgsql stable security definer set search_path = '' as $$
begin
  if auth.uid() is null then
    return false;
  end if;
  return true;
end $$;
revoke all on function private.can_read(uuid) from public; grant execute on function private.can_read(uuid) to authenticated;
create table public.reports (id uuid primary key default gen_random_uuid(), owner_id uuid not null references auth.users, body text);
create index on public.reports (owner_id);
alter table public.reports enable row level security;
create policy r on public.reports for select to authenticated using (private.can_read(owner_id));
grant select (id, owner_id, body) on public.reports to authenticated;`,
  ],
  [
    "settings: the role authenticated writes",
    "policy-true",
    "public.settings.r",
    `
create table public.settings (id int primary key, value text);
alter table public.settings enable row level security;
create policy r on public.settings for all to authenticated using ((auth.jwt() ->> 'role') = 'authenticated') with check ((auth.jwt() ->> 'role') = 'authenticated');
grant select (id, value), update (value) on public.settings to authenticated;`,
  ],
  [
    "an IP allow-list from x-forwarded-for",
    "request-header",
    "public.internal_docs.r",
    `
create table public.internal_docs (id uuid primary key default gen_random_uuid(), body text);
alter table public.internal_docs enable row level security;
create policy r on public.internal_docs for select to anon, authenticated using (split_part(current_setting('request.headers', true)::json ->> 'x-forwarded-for', ',', 1) in ('203.0.113.7'));
grant select (id, body) on public.internal_docs to anon, authenticated;`,
  ],
  [
    "tenant from a custom header through a helper",
    "request-header",
    "public.invoices.t",
    `
create schema if not exists private; grant usage on schema private to authenticated;
create function private.current_tenant() returns uuid language sql stable set search_path = '' as $$ select nullif(current_setting('request.headers', true)::jsonb ->> 'x-tenant-id', '')::uuid $$;
revoke all on function private.current_tenant() from public; grant execute on function private.current_tenant() to authenticated;
create table public.invoices (id uuid primary key default gen_random_uuid(), tenant_id uuid not null, amount int);
create index on public.invoices (tenant_id);
alter table public.invoices enable row level security;
create policy t on public.invoices for select to authenticated using (tenant_id = (select private.current_tenant()));
grant select (id, tenant_id, amount) on public.invoices to authenticated;`,
  ],
  [
    "tenant in a session variable that rpc sets",
    "policy-true",
    "public.invoices.t",
    `
create table public.invoices (id uuid primary key default gen_random_uuid(), tenant_id text not null, amount int);
create index on public.invoices (tenant_id);
alter table public.invoices enable row level security;
create policy t on public.invoices for select to authenticated using (tenant_id = current_setting('app.tenant', true));
grant select (id, tenant_id, amount) on public.invoices to authenticated;
create function public.set_tenant(t text) returns void language sql set search_path = '' as $$ select set_config('app.tenant', t, true) $$;
grant execute on function public.set_tenant(text) to authenticated;`,
  ],
  [
    "a service key in a webhook trigger",
    "stored-secret",
    "public.orders.hook",
    `
create schema if not exists supabase_functions;
create function supabase_functions.http_request() returns trigger language plpgsql as $$ begin return new; end $$;
create table public.orders (id uuid primary key default gen_random_uuid(), user_id uuid not null references auth.users);
${own("orders")}
grant select (id, user_id) on public.orders to authenticated;
create trigger hook after insert on public.orders for each row execute function supabase_functions.http_request('https://x.supabase.co/functions/v1/n', 'POST', '{"Authorization":"Bearer ${JWT("service_role")}"}', '{}', '1000');`,
  ],
  [
    "default privileges open what comes",
    "default-privileges",
    "default privileges of postgres in public",
    `
alter default privileges in schema public grant all on tables to anon;`,
  ],
  [
    "quoted table with dots and capitals",
    "policy-true",
    "public.Order.Items.Enable read access for all users",
    `
create table public."Order.Items" ("Id" uuid primary key default gen_random_uuid(), "User Id" uuid not null references auth.users, "Qty" int);
create index on public."Order.Items" ("User Id");
alter table public."Order.Items" enable row level security;
create policy "Enable read access for all users" on public."Order.Items" for select using (true);
grant select ("Id", "User Id", "Qty") on public."Order.Items" to authenticated;`,
  ],
  [
    "quoted table whole grant",
    "trusted-column",
    "public.Team.Members.Role",
    `
create table public."Team.Members" ("Id" uuid primary key default gen_random_uuid(), "userId" uuid not null references auth.users, "Role" text not null default 'member');
create index on public."Team.Members" ("userId");
alter table public."Team.Members" enable row level security;
create policy r on public."Team.Members" for select to authenticated using ("userId" = (select auth.uid()));
create policy u on public."Team.Members" for update to authenticated using ("userId" = (select auth.uid())) with check ("userId" = (select auth.uid()));
grant select, update on public."Team.Members" to authenticated;
create table public."Docs" (id uuid primary key default gen_random_uuid(), body text);
alter table public."Docs" enable row level security;
create policy r on public."Docs" for select to authenticated using (exists (select from public."Team.Members" m where m."userId" = (select auth.uid()) and m."Role" = 'admin'));
grant select (id, body) on public."Docs" to authenticated;`,
  ],
  [
    "foreign table in public",
    "foreign-table",
    "public.remote_users",
    `
create foreign data wrapper fdw_x; create server srv foreign data wrapper fdw_x;
create foreign table public.remote_users (id int, email text) server srv;
grant select on public.remote_users to authenticated;`,
  ],
  [
    "event trigger calls a function that grants to anon",
    "definer-search-path",
    "public.auto_grant()",
    `
create function public.auto_grant() returns event_trigger language plpgsql security definer as $$
begin execute 'grant all on all tables in schema public to anon, authenticated'; end $$;
create event trigger on_create on ddl_command_end when tag in ('CREATE TABLE') execute function public.auto_grant();`,
  ],
  [
    "owner check compared by email that the user edits",
    "trusted-column",
    "public.profiles.email",
    `
create table public.profiles (id uuid primary key references auth.users on delete cascade, email text);
alter table public.profiles enable row level security;
create policy r on public.profiles for select to authenticated using (id = (select auth.uid()));
create policy u on public.profiles for update to authenticated using (id = (select auth.uid())) with check (id = (select auth.uid()));
grant select (id, email), update (email) on public.profiles to authenticated;
create table public.tickets (id uuid primary key default gen_random_uuid(), customer_email text not null, body text);
create index on public.tickets (customer_email);
alter table public.tickets enable row level security;
create policy r on public.tickets for select to authenticated using (customer_email = (select p.email from public.profiles p where p.id = (select auth.uid())));
grant select (id, customer_email, body) on public.tickets to authenticated;`,
  ],
  [
    "profiles: an array of teams that its user writes",
    "trusted-column",
    "public.profiles.team_ids",
    `
create table public.profiles (id uuid primary key references auth.users on delete cascade, team_ids uuid[] not null default '{}', name text);
alter table public.profiles enable row level security;
create policy r on public.profiles for select to authenticated using (id = (select auth.uid()));
create policy u on public.profiles for update to authenticated using (id = (select auth.uid())) with check (id = (select auth.uid()));
grant select (id, team_ids, name), update (team_ids, name) on public.profiles to authenticated;
create table public.boards (id uuid primary key default gen_random_uuid(), team_id uuid not null, title text);
create index on public.boards (team_id);
alter table public.boards enable row level security;
create policy r on public.boards for select to authenticated using (team_id = any (array(select unnest(p.team_ids) from public.profiles p where p.id = (select auth.uid()))));
grant select (id, team_id, title) on public.boards to authenticated;`,
  ],
  [
    "roles: a table that its user writes, by a helper",
    "trusted-column",
    "public.user_roles.role",
    `
create table public.user_roles (user_id uuid primary key references auth.users on delete cascade, role text not null);
alter table public.user_roles enable row level security;
create policy own on public.user_roles for all to authenticated using (user_id = (select auth.uid())) with check (user_id = (select auth.uid()));
grant select (user_id, role), insert (user_id, role), update (role) on public.user_roles to authenticated;
create schema if not exists private; grant usage on schema private to authenticated;
create function private.authorize(wanted text) returns boolean language plpgsql stable security definer set search_path = '' as $$
declare found_role text;
begin
  select ur.role into found_role from public.user_roles ur where ur.user_id = (select auth.uid());
  return found_role = wanted;
end $$;
revoke all on function private.authorize(text) from public; grant execute on function private.authorize(text) to authenticated;
create table public.secrets_table (id int primary key, body text);
alter table public.secrets_table enable row level security;
create policy admins on public.secrets_table for select to authenticated using ((select private.authorize('admin')));
grant select (id, body) on public.secrets_table to authenticated;`,
  ],
  [
    "a view with CHECK OPTION and its owner's rights",
    "view-definer",
    "public.my_docs",
    `
create table public.docs (id uuid primary key default gen_random_uuid(), user_id uuid not null references auth.users, body text);
${own("docs")}
grant select (id, user_id, body) on public.docs to authenticated;
create view public.my_docs as select id, user_id, body from public.docs where user_id is not null with check option;
grant select, insert, update, delete on public.my_docs to authenticated;`,
  ],
  [
    "an order of owners in place of equality",
    "policy-true",
    "public.files.r",
    `
create table public.files (id uuid primary key default gen_random_uuid(), owner text not null, name text);
create index on public.files (owner);
alter table public.files enable row level security;
create policy r on public.files for select to authenticated using (owner >= (select auth.uid())::text);
grant select (id, owner, name) on public.files to authenticated;`,
  ],
  [
    "billing: anybody's subscription is enough",
    "policy-compares-itself",
    "public.videos.r",
    `
create table public.subs (user_id uuid primary key references auth.users, active boolean not null);
alter table public.subs enable row level security;
create policy own on public.subs for select to authenticated using (user_id = (select auth.uid()));
grant select (user_id, active) on public.subs to authenticated;
create table public.videos (id uuid primary key default gen_random_uuid(), owner_id uuid not null references auth.users, url text);
create index on public.videos (owner_id);
alter table public.videos enable row level security;
create policy r on public.videos for select to authenticated using (exists (select 1 from public.subs s where s.user_id = s.user_id and s.active));
grant select (id, owner_id, url) on public.videos to authenticated;`,
  ],
  [
    "drafts: COALESCE opens rows without an owner",
    "policy-true",
    "public.drafts.r",
    `
create table public.drafts (id uuid primary key default gen_random_uuid(), user_id uuid references auth.users, body text);
create index on public.drafts (user_id);
alter table public.drafts enable row level security;
create policy r on public.drafts for select to anon, authenticated using (coalesce(user_id = (select auth.uid()), true));
grant select (id, user_id, body) on public.drafts to anon, authenticated;`,
  ],
  [
    "drafts: rows without an owner for anon",
    "policy-true",
    "public.drafts.r",
    `
create table public.drafts (id uuid primary key default gen_random_uuid(), user_id uuid references auth.users, body text);
create index on public.drafts (user_id);
alter table public.drafts enable row level security;
create policy r on public.drafts for select to anon, authenticated using (user_id is not distinct from (select auth.uid()) or user_id is null);
grant select (id, user_id, body) on public.drafts to anon, authenticated;`,
  ],
  [
    "case expression with an open else",
    "policy-true",
    "public.tasks.r",
    `
create table public.tasks (id uuid primary key default gen_random_uuid(), user_id uuid not null references auth.users, secret boolean not null default false);
create index on public.tasks (user_id);
alter table public.tasks enable row level security;
create policy r on public.tasks for select to authenticated using (case when secret then user_id = (select auth.uid()) else true end);
grant select (id, user_id, secret) on public.tasks to authenticated;`,
  ],
  [
    "a restrictive policy beside one that is true",
    "policy-true",
    "public.payouts.p",
    `
create table public.payouts (id uuid primary key default gen_random_uuid(), user_id uuid not null references auth.users, amount int);
create index on public.payouts (user_id);
alter table public.payouts enable row level security;
create policy p on public.payouts as permissive for select to authenticated using (true);
create policy mfa on public.payouts as restrictive for select to authenticated using ((select auth.jwt() ->> 'aal') = 'aal2');
grant select (id, user_id, amount) on public.payouts to authenticated;`,
  ],
  [
    "leads: all for every signed-in user",
    "policy-true",
    "public.leads.Enable all for authenticated",
    `
create table public.leads (id uuid primary key default gen_random_uuid(), email text);
alter table public.leads enable row level security;
create policy "Enable all for authenticated" on public.leads for all to public using (auth.uid() is not null);
grant select (id, email), update (email) on public.leads to authenticated;`,
  ],
  [
    "profiles: sign-up copies the organisation through a variable",
    "signup-metadata",
    "public.profiles.organization_id",
    `${META}
create table public.profiles (id uuid primary key references auth.users on delete cascade, organization_id uuid, name text);
alter table public.profiles enable row level security;
create policy r on public.profiles for select to authenticated using (id = (select auth.uid()));
grant select (id, organization_id, name) on public.profiles to authenticated;
create function public.handle_new_user() returns trigger language plpgsql security definer set search_path = '' as $$
declare org uuid;
begin
  org := (new.raw_user_meta_data ->> 'organization_id')::uuid;
  insert into public.profiles (id, organization_id, name) values (new.id, org, new.raw_user_meta_data ->> 'name');
  return new;
end $$;
revoke all on function public.handle_new_user() from public;
create trigger on_auth_user_created after insert on auth.users for each row execute function public.handle_new_user();
create table public.records (id uuid primary key default gen_random_uuid(), organization_id uuid not null, body text);
create index on public.records (organization_id);
alter table public.records enable row level security;
create policy r on public.records for select to authenticated using (organization_id = (select p.organization_id from public.profiles p where p.id = (select auth.uid())));
grant select (id, organization_id, body) on public.records to authenticated;`,
  ],
  [
    "jsonb containment of the caller's tags",
    "policy-true",
    "public.docs.docs_read",
    DOCS(`meta @> '{"shared": true}' or user_id = ${U}`),
  ],
  [
    "array overlap with constant",
    "policy-true",
    "public.docs.docs_read",
    DOCS(`tags && array['team'] or user_id = ${U}`),
  ],
  [
    "an outer join makes membership optional",
    "policy-true",
    "public.docs.docs_read",
    P +
      ORGS +
      fn(
        "private.sees(org uuid) returns boolean",
        "select exists (select from public.orgs o left join public.org_members m on m.org_id = o.id and m.user_id = auth.uid() where o.id = org)",
      ) +
      DOCS("private.sees(org_id)"),
  ],
  [
    "no membership is enough",
    "policy-true",
    "public.docs.docs_read",
    P +
      ORGS +
      fn(
        "private.sees(org uuid) returns boolean",
        "select (select count(*) from public.org_members m where m.org_id = org and m.user_id = auth.uid()) = 0",
      ) +
      DOCS("private.sees(org_id)"),
  ],
  [
    "no role is enough",
    "policy-true",
    "public.docs.docs_read",
    P +
      ORGS +
      fn(
        "private.sees(org uuid) returns boolean",
        "select (select m.role from public.org_members m where m.org_id = org and m.user_id = auth.uid()) is null or (select m.role from public.org_members m where m.org_id = org and m.user_id = auth.uid()) = 'x'",
      ) +
      DOCS("private.sees(org_id)"),
  ],
  [
    "not exists a ban",
    "policy-true",
    "public.docs.docs_read",
    `${ORGS}create table public.bans (user_id uuid primary key references auth.users on delete cascade); alter table public.bans enable row level security; create policy b on public.bans for select to authenticated using (user_id = ${U}); grant select (user_id) on public.bans to authenticated;` +
      DOCS(`not exists (select from public.bans b where b.user_id = ${U})`),
  ],
  [
    "a member of any organisation, in a join",
    "policy-any-tenant",
    "public.docs.docs_read",
    ORGS +
      DOCS(
        `id in (select d.parent_id from public.org_members m join public.orgs o on o.id = m.org_id cross join (select gen_random_uuid() as parent_id) d where m.user_id = ${U})`,
      ),
  ],
  [
    "a helper with an open arm of a UNION",
    "policy-true",
    "public.docs.docs_read",
    P +
      ORGS +
      fn(
        "private.visible_orgs() returns setof uuid",
        "select m.org_id from public.org_members m where m.user_id = auth.uid() union select o.id from public.orgs o where o.name <> ''",
      ) +
      DOCS("org_id in (select private.visible_orgs())"),
  ],
  [
    "cte without the caller",
    "rls-disabled",
    "public.org_members",
    ORGS +
      DOCS(
        `org_id in (with mine as (select m.org_id from public.org_members m where m.role = 'admin') select org_id from mine)`,
      ) +
      "alter table public.org_members disable row level security;",
  ],
  [
    "plpgsql: true after a loop",
    "policy-true",
    "public.docs.docs_read",
    P +
      ORGS +
      fn(
        "private.can_see(org uuid) returns boolean",
        "declare r record; begin for r in select * from public.org_members where org_id = org loop if r.user_id = auth.uid() then return true; end if; end loop; return true; end",
        "plpgsql",
      ) +
      DOCS("private.can_see(org_id)"),
  ],
  [
    "plpgsql: PERFORM and true",
    "policy-true",
    "public.docs.docs_read",
    P +
      ORGS +
      fn(
        "private.can_see(org uuid) returns boolean",
        "begin perform 1 from public.org_members where org_id = org and user_id = auth.uid(); return true; end",
        "plpgsql",
      ) +
      DOCS("private.can_see(org_id)"),
  ],
  [
    "plpgsql: a count of any memberships, with ELSE",
    "policy-any-tenant",
    "public.docs.docs_read",
    P +
      ORGS +
      fn(
        "private.can_see(org uuid) returns boolean",
        "declare n int; begin select count(*) into n from public.org_members m where m.user_id = auth.uid(); if n > 0 then return true; else return false; end if; end",
        "plpgsql",
      ) +
      DOCS("private.can_see(org_id)"),
  ],
  [
    "claims by current_setting with user_metadata",
    "user-metadata",
    "public.docs.docs_read",
    DOCS(`org_id::text = (select current_setting('request.jwt.claims', true)::jsonb #>> '{user_metadata,org_id}')`),
  ],
  [
    "raw_user_meta_data of auth.users in a helper",
    "user-metadata",
    "public.docs.docs_read",
    P +
      META +
      fn(
        "private.my_org() returns uuid",
        "select (u.raw_user_meta_data ->> 'org_id')::uuid from auth.users u where u.id = auth.uid()",
      ) +
      DOCS("org_id = (select private.my_org())"),
  ],
  ["current_user is authenticated", "policy-true", "public.docs.docs_read", DOCS(`current_user = 'authenticated'`)],
  ["the length of the caller's id", "policy-true", "public.docs.docs_read", DOCS(`length(${U}::text) = 36`)],
  [
    "storage: files without an owner",
    "policy-true",
    "storage.objects.up",
    STORAGE +
      `create policy up on storage.objects for insert to authenticated with check (bucket_id = 'files' and name like ${U}::text || '%' or bucket_id = 'files' and owner is null);`,
  ],
  [
    "storage: a private bucket for every signed-in user",
    "policy-true",
    "storage.objects.sel",
    STORAGE +
      `create policy sel on storage.objects for select to authenticated using (bucket_id = 'invoices' and auth.role() = 'authenticated');`,
  ],
  [
    "storage: a bucket of contracts",
    "policy-true",
    "storage.objects.sel",
    STORAGE + `create policy sel on storage.objects for select to authenticated using (bucket_id = 'contracts');`,
  ],
  [
    "storage: membership of any team",
    "policy-any-tenant",
    "storage.objects.sel",
    STORAGE +
      ORGS +
      `create policy sel on storage.objects for select to authenticated using (bucket_id = 'contracts' and exists (select from public.org_members m where m.user_id = ${U}));`,
  ],
  [
    "storage: folder compared with inner name",
    "policy-compares-itself",
    "storage.objects.sel",
    STORAGE +
      `create table public.folders (id uuid primary key default gen_random_uuid(), name text, user_id uuid not null references auth.users); create index on public.folders (user_id); alter table public.folders enable row level security; create policy f on public.folders for select to authenticated using (user_id = ${U}); grant select (id, name, user_id) on public.folders to authenticated;
create policy sel on storage.objects for select to authenticated using (bucket_id = 'files' and exists (select 1 from public.folders f where f.user_id = ${U} and (storage.foldername(name))[1] = f.name));`,
  ],
  [
    "realtime insert to any topic by prefix",
    "policy-true",
    "realtime.messages.s",
    REALTIME +
      `create policy s on realtime.messages for insert to authenticated with check ((select realtime.topic()) like 'room:%');`,
  ],
  [
    "realtime: anon may listen",
    "policy-true",
    "realtime.messages.s",
    REALTIME +
      `create policy s on realtime.messages for select to anon, authenticated using ((select realtime.topic()) <> '' and extension = 'presence');`,
  ],
  [
    "organisations: anybody names the owner",
    "policy-true",
    "public.orgs.o_ins",
    ORGS +
      `create policy o_ins on public.orgs for insert to authenticated with check (${U} is not null); grant insert (name, owner_id) on public.orgs to authenticated;`,
  ],
  [
    "members: an admin of any org adds members to all",
    "policy-any-tenant",
    "public.org_members.om_ins",
    P +
      ORGS +
      fn(
        "private.is_admin() returns boolean",
        "select exists (select from public.org_members m where m.user_id = auth.uid() and m.role = 'admin')",
      ) +
      `create policy om_ins on public.org_members for insert to authenticated with check ((select private.is_admin())); grant insert (org_id, user_id, role) on public.org_members to authenticated;`,
  ],
  [
    "members: update of the own role",
    "trusted-column",
    "public.org_members.role",
    ORGS +
      `create policy om_upd on public.org_members for update to authenticated using (user_id = ${U}) with check (user_id = ${U}); grant update (role) on public.org_members to authenticated;` +
      DOCS(
        `exists (select from public.org_members m where m.org_id = docs.org_id and m.user_id = ${U} and m.role in ('owner', 'admin'))`,
      ),
  ],
  [
    "invited members may name their role at joining",
    "self-made-membership",
    "public.org_members.om_ins",
    `${ORGS}create table public.invites (id uuid primary key default gen_random_uuid(), org_id uuid not null references public.orgs on delete cascade, email text not null); create index on public.invites (org_id); create index on public.invites (email); alter table public.invites enable row level security; create policy i on public.invites for select to authenticated using (email = (select auth.jwt() ->> 'email')); grant select (id, org_id, email) on public.invites to authenticated;
create policy om_ins on public.org_members for insert to authenticated with check (user_id = ${U} and exists (select from public.invites i where i.email = (select auth.jwt() ->> 'email'))); grant insert (org_id, user_id, role) on public.org_members to authenticated;` +
      DOCS(`exists (select from public.org_members m where m.org_id = docs.org_id and m.user_id = ${U})`),
  ],
  [
    "materialised view in a second exposed schema",
    "materialized-view",
    "api.totals",
    DOCS(`user_id = ${U}`) +
      `create schema api; grant usage on schema api to anon, authenticated; alter role authenticator set pgrst.db_schemas = 'public,api'; create materialized view api.totals as select user_id, count(*) from public.docs group by 1; grant select on api.totals to anon;`,
  ],
  [
    "three views deep, in three schemas",
    "view-definer",
    "s1.l1",
    DOCS(`user_id = ${U}`) +
      `create schema s1; create schema s2; grant usage on schema s1, s2 to authenticated; create view s1.l1 as select id, title from public.docs; create view s2.l2 with (security_invoker = true) as select * from s1.l1; grant select on s1.l1, s2.l2 to authenticated; create view public.l3 with (security_invoker = true) as select * from s2.l2; grant select on public.l3 to authenticated;`,
  ],
  [
    "a security barrier view is no invoker",
    "view-definer",
    "public.barrier",
    DOCS(`user_id = ${U}`) +
      `create view public.barrier with (security_barrier = true) as select id, title from public.docs where status = 'draft'; grant select on public.barrier to authenticated;`,
  ],
  [
    "a definer function that only asks for a session",
    "definer-exposed",
    "public.get_all_docs()",
    DOCS(`user_id = ${U}`) +
      fn(
        "public.get_all_docs() returns setof public.docs",
        "select d.* from public.docs d where auth.uid() is not null",
      ),
  ],
  [
    "a definer function in plpgsql by id",
    "definer-exposed",
    "public.get_doc(doc uuid)",
    DOCS(`user_id = ${U}`) +
      fn(
        "public.get_doc(doc uuid) returns setof public.docs",
        "begin if auth.uid() is null then raise exception 'no'; end if; return query select d.* from public.docs d where d.id = doc; end",
        "plpgsql",
      ),
  ],
  [
    "dynamic sql in a definer function",
    "definer-exposed",
    "public.run_query(q text)",
    fn(
      "public.run_query(q text) returns json",
      "declare r json; begin execute 'select json_agg(t) from (' || q || ') t' into r; return r; end",
      "plpgsql",
    ),
  ],
  [
    "procedure that is a definer",
    "definer-public",
    "public.wipe()",
    `create table public.t (id int primary key); alter table public.t enable row level security; create procedure public.wipe() language sql security definer set search_path = '' as $$ delete from public.t $$;`,
  ],
  [
    "shops: anon reads their API keys",
    "sensitive-column",
    "public.shops.api_key",
    `create table public.shops (id uuid primary key default gen_random_uuid(), is_public boolean not null default false, stripe_secret text, api_key text); alter table public.shops enable row level security; create policy s on public.shops for select to anon, authenticated using (is_public); grant select (id, is_public, api_key) on public.shops to anon, authenticated;`,
  ],
  [
    "truncate to authenticated",
    "grant-beyond-rows",
    "public.docs",
    DOCS(`user_id = ${U}`) + "grant truncate on public.docs to authenticated;",
  ],
  [
    "a view of all columns that clients update",
    "view-definer",
    "public.mine_v",
    DOCS(`user_id = ${U}`) +
      `create view public.mine_v as select * from public.docs; grant select, update on public.mine_v to authenticated;`,
  ],
  [
    "a secret key in a function without Vault",
    "stored-secret",
    "private.call_edge()",
    `${P}create function private.call_edge() returns void language plpgsql security definer set search_path = '' as $$ begin perform 'sb_secret_${"x".repeat(24)}'; end $$; revoke all on function private.call_edge() from public;`,
  ],
  [
    "a policy by IP through inet_client_addr",
    "policy-true",
    "public.docs.docs_read",
    DOCS(`inet_client_addr() << '10.0.0.0/8'::inet`),
  ],
  [
    "user id from request.headers in a helper of a helper",
    "request-header",
    "public.docs.docs_read",
    P +
      fn("private.h() returns text", "select current_setting('request.headers', true)::json ->> 'x-user-id'") +
      fn("private.me() returns uuid", "select private.h()::uuid") +
      DOCS("user_id = (select private.me())"),
  ],
  [
    "profiles: sign-up copies the role through a variable",
    "signup-metadata",
    "public.profiles.role",
    `${META}create table public.profiles (id uuid primary key references auth.users on delete cascade, role text not null default 'user', name text); alter table public.profiles enable row level security; create policy p on public.profiles for select to authenticated using (id = ${U}); grant select (id, role, name) on public.profiles to authenticated;
create function public.handle_new_user() returns trigger language plpgsql security definer set search_path = '' as $$
declare wanted text := new.raw_user_meta_data->>'role';
begin
  insert into public.profiles as p (id, name, role) values (new.id, new.raw_user_meta_data->>'name', coalesce(wanted, 'user')) on conflict (id) do update set role = excluded.role;
  return new;
end $$; revoke all on function public.handle_new_user() from public;
create trigger t after insert or update on auth.users for each row execute function public.handle_new_user();` +
      DOCS(`exists (select from public.profiles p where p.id = ${U} and p.role = 'admin')`),
  ],
  [
    "profiles: a change of the account copies the role",
    "signup-metadata",
    "public.profiles.role",
    `${META}create table public.profiles (id uuid primary key references auth.users on delete cascade, role text not null default 'user', name text); alter table public.profiles enable row level security; create policy p on public.profiles for select to authenticated using (id = ${U}); grant select (id, role, name) on public.profiles to authenticated;
create function public.sync_user() returns trigger language plpgsql security definer set search_path = '' as $$
begin
  update public.profiles set role = new.raw_user_meta_data->>'role', name = new.raw_user_meta_data->>'name' where id = new.id;
  return new;
end $$; revoke all on function public.sync_user() from public;
create trigger t after update on auth.users for each row execute function public.sync_user();` +
      DOCS(`exists (select from public.profiles p where p.id = ${U} and p.role = 'admin')`),
  ],
  [
    "a jsonb column of permissions that its user writes",
    "trusted-column",
    "public.profiles.settings",
    `create table public.profiles (id uuid primary key references auth.users on delete cascade, settings jsonb not null default '{}'); alter table public.profiles enable row level security; create policy p on public.profiles for select to authenticated using (id = ${U}); create policy u on public.profiles for update to authenticated using (id = ${U}) with check (id = ${U}); grant select (id, settings), update (settings) on public.profiles to authenticated;` +
      DOCS(`exists (select from public.profiles p where p.id = ${U} and p.settings ->> 'role' = 'admin')`),
  ],
  [
    "documents: anybody inserts below a parent",
    "policy-true",
    "public.docs.ins",
    DOCS(`user_id = ${U}`) +
      `create policy ins on public.docs for insert to authenticated with check (parent_id is not null); grant insert (user_id, parent_id, title) on public.docs to authenticated;`,
  ],
  [
    "delete policy by status",
    "policy-true",
    "public.docs.del",
    DOCS(`user_id = ${U}`) +
      `create policy del on public.docs for delete to authenticated using (status = 'archived'); grant delete on public.docs to authenticated;`,
  ],
  [
    "lists without editors are open",
    "policy-true",
    "public.lists.r",
    `create table public.lists (id uuid primary key default gen_random_uuid(), user_id uuid not null references auth.users, editor_ids uuid[] not null default '{}', title text); create index on public.lists (user_id); alter table public.lists enable row level security; create policy r on public.lists for select to authenticated using (user_id = ${U} or ${U} = any (editor_ids) or cardinality(editor_ids) = 0); grant select (id, user_id, editor_ids, title) on public.lists to authenticated;`,
  ],
  [
    "a quoted column that equals itself",
    "policy-true",
    "public.Docs.All.p.1",
    `create table public."Docs.All" ("Id" uuid primary key default gen_random_uuid(), "OwnerId" uuid not null references auth.users); create index on public."Docs.All" ("OwnerId"); alter table public."Docs.All" enable row level security; create policy "p.1" on public."Docs.All" for select to authenticated using ("OwnerId" = "OwnerId" and ${U} is not null); grant select ("Id", "OwnerId") on public."Docs.All" to authenticated;`,
  ],
  ["a filter that is left out without a claim", "policy-true", "public.cases.r", REGIONS("region")],
  ["guests of any room, if it is one", "self-made-membership", "public.guests.i", ROOMS("room_id is not null")],
  [
    "guests of any room that exists",
    "self-made-membership",
    "public.guests.i",
    HELPED_ROOMS("select exists (select from public.rooms r where r.id = room)", "private.helps(room_id)"),
  ],
  [
    "guests of any room that is not deleted, by a count",
    "self-made-membership",
    "public.guests.i",
    HELPED_ROOMS(
      "select count(*) > 0 from public.rooms r where r.id = room and r.deleted_at is null",
      "private.helps(room_id)",
    ),
  ],
  [
    "guests of any room without a block",
    "self-made-membership",
    "public.guests.i",
    HELPED_ROOMS(
      "select not exists (select from public.rooms r where r.id = room and r.blocked = auth.uid())",
      "private.helps(room_id)",
    ),
  ],
  [
    "guests of any room, in one branch",
    "self-made-membership",
    "public.guests.i",
    HELPED_ROOMS(
      `select exists (select from public.rooms r where r.id = room and r.host_id = ${U})`,
      "(private.helps(room_id) or user_id is not null)",
    ),
  ],
  ...RULES.map(([name, event, action]): [string, string, string, string] => [
    `a rule that ${name}`,
    "rule-definer",
    "public.inbox.r",
    RULED(event, action),
  ]),
  [
    "folders beside each other, by a recursion that does not follow",
    "policy-any-tenant",
    "public.folders.r",
    FOLDERS("where id = f", "p.parent_id is not null"),
  ],
  [
    "grades for the guardian of any child",
    "policy-any-tenant",
    "public.grades.r",
    GUARDIANS(`exists (select from public.guardians g where g.guardian_id = ${U})`),
  ],
  ["folders below any folder of the caller's", "policy-any-tenant", "public.folders.r", FOLDERS("")],
];

export const PROJECTS: Case[] = FLAWED.map(([name, rule, object, flawed]) => ({
  name: `project: ${name}`,
  rule,
  object,
  flawed,
}));

export const SOUND_PROJECTS: [name: string, sql: string][] = [
  ["cases of the region of a claim", REGIONS("'none'")],
  [
    "guests whom the host lets in",
    ROOMS(`exists (select from public.rooms r where r.id = room_id and r.host_id = ${U})`),
  ],
  [
    "guests whom the host lets in, by a helper",
    HELPED_ROOMS(
      `select exists (select from public.rooms r where r.id = room and r.host_id = ${U})`,
      "private.helps(room_id)",
    ),
  ],
  [
    "guests of rooms that are open",
    HELPED_ROOMS(
      "select exists (select from public.rooms r where r.id = room and r.is_open)",
      "private.helps(room_id)",
    ),
  ],
  ["a rule that refuses", RULED("update", "instead nothing")],
  ["a rule that notifies", RULED("insert", "also notify inbox")],
  [
    "a rule of a request that no client may send",
    RULED("delete", "also insert into public.ledger select old.user_id, old.body", ""),
  ],
  ["folders below a folder of the caller's", FOLDERS("where id = f")],
  [
    "grades for the child's guardian",
    GUARDIANS(`exists (select from public.guardians g where g.guardian_id = ${U} and g.child_id = grades.child_id)`),
  ],
  [
    "todo quickstart",
    `
create table public.todos (id bigint generated always as identity primary key, user_id uuid not null default auth.uid() references auth.users on delete cascade, task text check (char_length(task) > 3), is_complete boolean not null default false, inserted_at timestamptz not null default now());
create index on public.todos (user_id);
alter table public.todos enable row level security;
create policy "Individuals can view their own todos." on public.todos for select to authenticated using ((select auth.uid()) = user_id);
create policy "Individuals can create todos." on public.todos for insert to authenticated with check ((select auth.uid()) = user_id);
create policy "Individuals can update their own todos." on public.todos for update to authenticated using ((select auth.uid()) = user_id);
create policy "Individuals can delete their own todos." on public.todos for delete to authenticated using ((select auth.uid()) = user_id);
grant select (id, user_id, task, is_complete, inserted_at), insert (task, is_complete), update (task, is_complete), delete on public.todos to authenticated;`,
  ],
  [
    "profiles with public names and own updates, avatars in storage",
    `${META}${STORAGE}
create table public.profiles (id uuid primary key references auth.users on delete cascade, updated_at timestamptz, username text unique check (char_length(username) >= 3), avatar_url text, is_public boolean not null default false);
alter table public.profiles enable row level security;
create policy "Public profiles are viewable by everyone." on public.profiles for select using (is_public);
create policy "Own profile" on public.profiles for select to authenticated using ((select auth.uid()) = id);
create policy "Users can update own profile." on public.profiles for update to authenticated using ((select auth.uid()) = id) with check ((select auth.uid()) = id);
grant select (id, username, avatar_url) on public.profiles to anon; grant select (id, username, avatar_url, updated_at), update (username, avatar_url, is_public) on public.profiles to authenticated;
create function public.handle_new_user() returns trigger language plpgsql security definer set search_path = '' as $$
begin
  insert into public.profiles (id, username, avatar_url) values (new.id, new.raw_user_meta_data ->> 'user_name', new.raw_user_meta_data ->> 'avatar_url');
  return new;
end $$;
revoke all on function public.handle_new_user() from public, anon, authenticated;
create trigger on_auth_user_created after insert on auth.users for each row execute procedure public.handle_new_user();
create policy "Own avatar upload" on storage.objects for insert to authenticated with check (bucket_id = 'avatars' and (storage.foldername(name))[1] = (select auth.uid()::text));
create policy "Own avatar update" on storage.objects for update to authenticated using (bucket_id = 'avatars' and owner_id = (select auth.uid()::text)) with check (bucket_id = 'avatars' and (storage.foldername(name))[1] = (select auth.uid()::text));
create policy "Own avatar read" on storage.objects for select to authenticated using (bucket_id = 'avatars' and owner_id = (select auth.uid())::text);`,
  ],
  [
    "a chat with roles and permissions by a claim",
    `
create schema if not exists private; grant usage on schema private to authenticated;
create type public.app_permission as enum ('channels.delete', 'messages.delete');
create type public.app_role as enum ('admin', 'moderator');
create table public.user_roles (id bigint generated by default as identity primary key, user_id uuid not null references auth.users on delete cascade, role public.app_role not null, unique (user_id, role));
create table public.role_permissions (id bigint generated by default as identity primary key, role public.app_role not null, permission public.app_permission not null, unique (role, permission));
alter table public.user_roles enable row level security; alter table public.role_permissions enable row level security;
create policy own on public.user_roles for select to authenticated using (user_id = (select auth.uid()));
create policy known on public.role_permissions for select to authenticated using (role::text = (select auth.jwt() -> 'app_metadata' ->> 'user_role'));
grant select (id, user_id, role) on public.user_roles to authenticated; grant select (id, role, permission) on public.role_permissions to authenticated;
create function private.authorize(requested_permission public.app_permission) returns boolean language plpgsql stable security definer set search_path = '' as $$
declare bind_permissions int; user_role public.app_role;
begin
  select (auth.jwt() -> 'app_metadata' ->> 'user_role')::public.app_role into user_role;
  select count(*) into bind_permissions from public.role_permissions where role_permissions.permission = requested_permission and role_permissions.role = user_role;
  return bind_permissions > 0;
end $$;
revoke all on function private.authorize(public.app_permission) from public; grant execute on function private.authorize(public.app_permission) to authenticated;
create table public.messages (id bigint generated by default as identity primary key, message text, user_id uuid not null references auth.users on delete cascade);
create index on public.messages (user_id);
alter table public.messages enable row level security;
create policy own on public.messages for select to authenticated using (user_id = (select auth.uid()));
create policy del on public.messages for delete to authenticated using (user_id = (select auth.uid()) or (select private.authorize('messages.delete')));
grant select (id, message, user_id), delete on public.messages to authenticated;`,
  ],
  [
    "accounts and memberships by a helper",
    `
create schema if not exists private; grant usage on schema private to authenticated;
create table public.accounts (id uuid primary key default gen_random_uuid(), name text not null, primary_owner_user_id uuid not null references auth.users, is_personal_account boolean not null default false);
create index on public.accounts (primary_owner_user_id);
create table public.accounts_memberships (account_id uuid not null references public.accounts on delete cascade, user_id uuid not null references auth.users on delete cascade, account_role text not null default 'member' check (account_role in ('owner', 'member')), primary key (account_id, user_id));
create index on public.accounts_memberships (user_id);
alter table public.accounts enable row level security; alter table public.accounts_memberships enable row level security;
create function private.has_role_on_account(p_account_id uuid, p_role text default null) returns boolean language sql stable security definer set search_path = '' as $$
  select exists (select 1 from public.accounts_memberships m where m.user_id = (select auth.uid()) and m.account_id = p_account_id and (m.account_role = p_role or p_role is null)) $$;
revoke all on function private.has_role_on_account(uuid, text) from public; grant execute on function private.has_role_on_account(uuid, text) to authenticated;
create policy team on public.accounts_memberships for select to authenticated using (user_id = (select auth.uid()) or private.has_role_on_account(account_id));
create policy leave on public.accounts_memberships for delete to authenticated using (user_id = (select auth.uid()) or private.has_role_on_account(account_id, 'owner'));
create policy see on public.accounts for select to authenticated using (primary_owner_user_id = (select auth.uid()) or private.has_role_on_account(id));
create policy rename on public.accounts for update to authenticated using (private.has_role_on_account(id, 'owner')) with check (private.has_role_on_account(id, 'owner'));
create policy make on public.accounts for insert to authenticated with check (primary_owner_user_id = (select auth.uid()));
grant select (account_id, user_id, account_role), delete on public.accounts_memberships to authenticated;
grant select (id, name, primary_owner_user_id, is_personal_account), insert (name, primary_owner_user_id), update (name) on public.accounts to authenticated;
create function private.add_owner() returns trigger language plpgsql security definer set search_path = '' as $$
begin
  insert into public.accounts_memberships (account_id, user_id, account_role) values (new.id, new.primary_owner_user_id, 'owner');
  return new;
end $$;
revoke all on function private.add_owner() from public;
create trigger add_owner after insert on public.accounts for each row execute function private.add_owner();`,
  ],
  [
    "products for everybody, subscriptions for their users",
    `
create table public.products (id text primary key, active boolean, name text);
alter table public.products enable row level security;
create policy "Allow public read-only access." on public.products for select using (active);
create table public.customers (id uuid primary key references auth.users on delete cascade, stripe_customer_id text);
alter table public.customers enable row level security;
create table public.subscriptions (id text primary key, user_id uuid not null references auth.users on delete cascade, status text, product_id text references public.products);
create index on public.subscriptions (user_id); create index on public.subscriptions (product_id);
alter table public.subscriptions enable row level security;
create policy "Can only view own subs data." on public.subscriptions for select to authenticated using ((select auth.uid()) = user_id);
grant select (id, active, name) on public.products to anon, authenticated; grant select (id, user_id, status, product_id) on public.subscriptions to authenticated;`,
  ],
  [
    "premium content by own subscription that only the service role writes",
    `
create table public.subscriptions (id text primary key, user_id uuid not null unique references auth.users on delete cascade, status text);
alter table public.subscriptions enable row level security;
create policy own on public.subscriptions for select to authenticated using ((select auth.uid()) = user_id);
create table public.lessons (id uuid primary key default gen_random_uuid(), body text);
alter table public.lessons enable row level security;
create policy subscribers on public.lessons for select to authenticated using (exists (select 1 from public.subscriptions s where s.user_id = (select auth.uid()) and s.status in ('active', 'trialing')));
grant select (id, user_id, status) on public.subscriptions to authenticated; grant select (id, body) on public.lessons to authenticated;`,
  ],
  [
    "chat rooms with members through a definer set function",
    `
create schema if not exists private; grant usage on schema private to authenticated;
create table public.rooms (id uuid primary key default gen_random_uuid(), name text, created_by uuid not null default auth.uid() references auth.users);
create index on public.rooms (created_by);
create table public.room_members (room_id uuid not null references public.rooms on delete cascade, user_id uuid not null references auth.users on delete cascade, primary key (room_id, user_id));
create index on public.room_members (user_id);
create table public.messages (id uuid primary key default gen_random_uuid(), room_id uuid not null references public.rooms on delete cascade, sender_id uuid not null default auth.uid() references auth.users on delete cascade, body text);
create index on public.messages (room_id); create index on public.messages (sender_id);
alter table public.rooms enable row level security; alter table public.room_members enable row level security; alter table public.messages enable row level security;
create function private.my_rooms() returns setof uuid language sql stable security definer set search_path = '' as $$ select room_id from public.room_members where user_id = (select auth.uid()) $$;
revoke all on function private.my_rooms() from public; grant execute on function private.my_rooms() to authenticated;
create policy r on public.rooms for select to authenticated using (id in (select private.my_rooms()));
create policy r on public.room_members for select to authenticated using (room_id in (select private.my_rooms()));
create policy invite on public.room_members for insert to authenticated with check (exists (select 1 from public.rooms r where r.id = room_id and r.created_by = (select auth.uid())));
create policy r on public.messages for select to authenticated using (room_id in (select private.my_rooms()));
create policy w on public.messages for insert to authenticated with check (sender_id = (select auth.uid()) and room_id in (select private.my_rooms()));
grant select (id, name, created_by) on public.rooms to authenticated; grant select (room_id, user_id), insert (room_id, user_id) on public.room_members to authenticated; grant select (id, room_id, sender_id, body), insert (room_id, body) on public.messages to authenticated;`,
  ],
  [
    "realtime authorization by topic membership",
    `${REALTIME}
create table public.rooms_users (user_id uuid not null references auth.users on delete cascade, room_topic text not null, primary key (user_id, room_topic));
alter table public.rooms_users enable row level security;
create policy own on public.rooms_users for select to authenticated using (user_id = (select auth.uid()));
grant select (user_id, room_topic) on public.rooms_users to authenticated;
create policy "authenticated can read broadcast and presence state" on realtime.messages for select to authenticated using (exists (select 1 from public.rooms_users where user_id = (select auth.uid()) and room_topic = (select realtime.topic()) and realtime.messages.extension in ('broadcast', 'presence')));
create policy "authenticated can send" on realtime.messages for insert to authenticated with check (exists (select 1 from public.rooms_users ru where ru.user_id = (select auth.uid()) and ru.room_topic = (select realtime.topic())));`,
  ],
  [
    "realtime per user topic",
    `${REALTIME}
create policy "own channel" on realtime.messages for select to authenticated using ((select realtime.topic()) = 'user:' || (select auth.uid())::text);
create policy "own topic column" on realtime.messages for insert to authenticated with check (topic = 'user:' || (select auth.uid())::text);`,
  ],
  [
    "tenant in app_metadata",
    `
create table public.projects (id uuid primary key default gen_random_uuid(), tenant_id uuid not null, name text);
create index on public.projects (tenant_id);
alter table public.projects enable row level security;
create policy t on public.projects for all to authenticated using (tenant_id = (select (auth.jwt() -> 'app_metadata' ->> 'tenant_id')::uuid)) with check (tenant_id = (select (auth.jwt() -> 'app_metadata' ->> 'tenant_id')::uuid));
grant select (id, tenant_id, name), insert (tenant_id, name), update (name), delete on public.projects to authenticated;`,
  ],
  [
    "tenant in a custom claim that the token hook writes",
    `
create table public.projects (id uuid primary key default gen_random_uuid(), tenant_id text not null, name text);
create index on public.projects (tenant_id);
alter table public.projects enable row level security;
create policy t on public.projects for select to authenticated using (tenant_id = (select auth.jwt() ->> 'tenant_id'));
grant select (id, tenant_id, name) on public.projects to authenticated;
create table public.user_roles (user_id uuid primary key references auth.users on delete cascade, role text not null);
alter table public.user_roles enable row level security;
do $$ begin if to_regrole('supabase_auth_admin') is null then create role supabase_auth_admin; end if; end $$;
create policy "Auth admin reads" on public.user_roles for select to supabase_auth_admin using (true);
grant select on public.user_roles to supabase_auth_admin;
create function public.custom_access_token_hook(event jsonb) returns jsonb language plpgsql stable set search_path = '' as $$
declare claims jsonb; user_role text;
begin
  select role into user_role from public.user_roles where user_id = (event ->> 'user_id')::uuid;
  claims := event -> 'claims';
  claims := jsonb_set(claims, '{user_role}', coalesce(to_jsonb(user_role), 'null'));
  return jsonb_set(event, '{claims}', claims);
end $$;
revoke execute on function public.custom_access_token_hook(jsonb) from authenticated, anon, public;
grant execute on function public.custom_access_token_hook to supabase_auth_admin;`,
  ],
  [
    "invitations by verified email of the token",
    `
create table public.invitations (id bigint generated always as identity primary key, email text not null, team_id uuid not null, invited_by uuid not null references auth.users);
create index on public.invitations (invited_by); create index on public.invitations (email);
alter table public.invitations enable row level security;
create policy invited on public.invitations for select to authenticated using (email = (select auth.jwt() ->> 'email') or invited_by = (select auth.uid()));
grant select (id, email, team_id, invited_by) on public.invitations to authenticated;`,
  ],
  [
    "audit log by triggers, readable by the actor alone",
    `
create schema if not exists audit;
create table audit.record_version (id bigint generated always as identity primary key, record jsonb, op text, ts timestamptz not null default now());
create table public.accounts (id uuid primary key default gen_random_uuid(), user_id uuid not null references auth.users on delete cascade, name text);
create index on public.accounts (user_id);
alter table public.accounts enable row level security;
create policy own on public.accounts for select to authenticated using (user_id = (select auth.uid()));
create policy upd on public.accounts for update to authenticated using (user_id = (select auth.uid())) with check (user_id = (select auth.uid()));
grant select (id, user_id, name), update (name) on public.accounts to authenticated;
create function audit.insert_update_delete_trigger() returns trigger language plpgsql security definer set search_path = '' as $$
begin
  insert into audit.record_version (record, op) values (to_jsonb(new), tg_op);
  return coalesce(new, old);
end $$;
revoke all on function audit.insert_update_delete_trigger() from public;
create trigger audit_i_u_d after insert or update or delete on public.accounts for each row execute function audit.insert_update_delete_trigger();`,
  ],
  [
    "soft delete kept private by the owner",
    `
create table public.documents (id uuid primary key default gen_random_uuid(), owner_id uuid not null references auth.users, body text, deleted_at timestamptz);
create index on public.documents (owner_id) where deleted_at is null;
create index on public.documents (owner_id);
alter table public.documents enable row level security;
create policy r on public.documents for select to authenticated using (owner_id = (select auth.uid()) and deleted_at is null);
create policy u on public.documents for update to authenticated using (owner_id = (select auth.uid())) with check (owner_id = (select auth.uid()));
grant select (id, owner_id, body), update (body, deleted_at) on public.documents to authenticated;
create view public.live_documents with (security_invoker = true) as select id, body from public.documents where deleted_at is null;
grant select on public.live_documents to authenticated;`,
  ],
  [
    "blog with published posts and drafts",
    `
create table public.posts (id uuid primary key default gen_random_uuid(), author_id uuid not null references auth.users on delete cascade, title text not null, published boolean not null default false);
create index on public.posts (author_id);
alter table public.posts enable row level security;
create policy "published" on public.posts for select to anon, authenticated using (published);
create policy "authors read" on public.posts for select to authenticated using (author_id = (select auth.uid()));
create policy "authors write" on public.posts for insert to authenticated with check (author_id = (select auth.uid()));
create policy "authors update" on public.posts for update to authenticated using (author_id = (select auth.uid())) with check (author_id = (select auth.uid()));
grant select (id, author_id, title, published) on public.posts to anon, authenticated; grant insert (author_id, title), update (title, published) on public.posts to authenticated;
create table public.comments (id uuid primary key default gen_random_uuid(), post_id uuid not null references public.posts on delete cascade, author_id uuid not null references auth.users on delete cascade, body text not null);
create index on public.comments (post_id); create index on public.comments (author_id);
alter table public.comments enable row level security;
create policy "comments of published posts" on public.comments for select to anon, authenticated using (exists (select 1 from public.posts p where p.id = comments.post_id and p.published));
create policy "write" on public.comments for insert to authenticated with check (author_id = (select auth.uid()) and exists (select 1 from public.posts p where p.id = comments.post_id and p.published));
grant select (id, post_id, author_id, body) on public.comments to anon, authenticated; grant insert (post_id, author_id, body) on public.comments to authenticated;`,
  ],
  [
    "shared documents with an access list by rows",
    `
create schema if not exists private; grant usage on schema private to authenticated;
create table public.documents (id uuid primary key default gen_random_uuid(), owner_id uuid not null default auth.uid() references auth.users on delete cascade, title text);
create index on public.documents (owner_id);
create table public.document_shares (document_id uuid not null references public.documents on delete cascade, user_id uuid not null references auth.users on delete cascade, can_edit boolean not null default false, primary key (document_id, user_id));
create index on public.document_shares (user_id);
alter table public.documents enable row level security; alter table public.document_shares enable row level security;
create function private.owns_document(doc uuid) returns boolean language sql stable security definer set search_path = '' as $$ select exists (select from public.documents d where d.id = doc and d.owner_id = (select auth.uid())) $$;
revoke all on function private.owns_document(uuid) from public; grant execute on function private.owns_document(uuid) to authenticated;
create policy r on public.documents for select to authenticated using (owner_id = (select auth.uid()) or exists (select from public.document_shares s where s.document_id = documents.id and s.user_id = (select auth.uid())));
create policy u on public.documents for update to authenticated using (owner_id = (select auth.uid()) or exists (select from public.document_shares s where s.document_id = documents.id and s.user_id = (select auth.uid()) and s.can_edit));
create policy r on public.document_shares for select to authenticated using (user_id = (select auth.uid()) or private.owns_document(document_id));
create policy w on public.document_shares for insert to authenticated with check (private.owns_document(document_id));
create policy d on public.document_shares for delete to authenticated using (private.owns_document(document_id));
grant select (id, owner_id, title), update (title) on public.documents to authenticated; grant select (document_id, user_id, can_edit), insert (document_id, user_id, can_edit), delete on public.document_shares to authenticated;`,
  ],
  [
    "partitions of a secured parent with a default partition",
    `
create table public.readings (id uuid not null default gen_random_uuid(), user_id uuid not null references auth.users, at timestamptz not null, v numeric, primary key (id, at)) partition by range (at);
create index on public.readings (user_id);
alter table public.readings enable row level security;
create policy own on public.readings for select to authenticated using ((select auth.uid()) = user_id);
create policy ins on public.readings for insert to authenticated with check ((select auth.uid()) = user_id);
grant select (id, user_id, at, v), insert (user_id, at, v) on public.readings to authenticated;
create table public.readings_2026 partition of public.readings for values from ('2026-01-01') to ('2027-01-01');
create table public.readings_rest partition of public.readings default;`,
  ],
  [
    "definer rpc that pins the caller",
    `
create table public.votes (poll_id uuid not null, user_id uuid not null references auth.users on delete cascade, choice int not null, primary key (poll_id, user_id));
create index on public.votes (user_id);
alter table public.votes enable row level security;
create policy own on public.votes for select to authenticated using (user_id = (select auth.uid()));
grant select (poll_id, user_id, choice) on public.votes to authenticated;
create function public.vote(p_poll uuid, p_choice int) returns void language sql security invoker set search_path = '' as $$ select 1 $$;
revoke all on function public.vote(uuid, int) from public; grant execute on function public.vote(uuid, int) to authenticated;`,
  ],
  [
    "names with dots, capitals and spaces",
    `
create table public."Order.Items" ("Id" uuid primary key default gen_random_uuid(), "User Id" uuid not null references auth.users on delete cascade, "Qty" int);
create index on public."Order.Items" ("User Id");
alter table public."Order.Items" enable row level security;
create policy "Own ""items""" on public."Order.Items" for select to authenticated using ("User Id" = (select auth.uid()));
create policy "Own.insert" on public."Order.Items" for insert to authenticated with check ("User Id" = (select auth.uid()));
grant select ("Id", "User Id", "Qty"), insert ("User Id", "Qty") on public."Order.Items" to authenticated;`,
  ],
  [
    "lookup tables without owners, for all who are signed in",
    `
create table public.countries (id bigint generated by default as identity primary key, name text, iso2 text not null);
alter table public.countries enable row level security;
create policy "read" on public.countries for select to anon, authenticated using (true);
grant select (id, name, iso2) on public.countries to anon, authenticated;`,
  ],
  [
    "tables without grants: queues and caches of the server",
    `
create table public.jobs (id bigint generated always as identity primary key, payload jsonb);
create table public.webhook_events (id text primary key, body jsonb);
alter table public.jobs enable row level security; alter table public.webhook_events enable row level security;
revoke all on public.jobs, public.webhook_events from public, anon, authenticated;`,
  ],
  [
    "follows: own edges, the other side visible to both",
    `
create table public.follows (follower uuid not null references auth.users on delete cascade, followed uuid not null references auth.users on delete cascade, primary key (follower, followed), check (follower <> followed));
create index on public.follows (followed);
alter table public.follows enable row level security;
create policy r on public.follows for select to authenticated using ((select auth.uid()) in (follower, followed));
create policy w on public.follows for insert to authenticated with check (follower = (select auth.uid()));
create policy d on public.follows for delete to authenticated using (follower = (select auth.uid()));
grant select (follower, followed), insert (follower, followed), delete on public.follows to authenticated;`,
  ],
  [
    "storage paths by team membership",
    `${STORAGE}
create table public.team_members (team_id uuid not null, user_id uuid not null references auth.users on delete cascade, primary key (team_id, user_id));
create index on public.team_members (user_id);
alter table public.team_members enable row level security;
create policy own on public.team_members for select to authenticated using (user_id = (select auth.uid()));
grant select (team_id, user_id) on public.team_members to authenticated;
create policy "team files" on storage.objects for select to authenticated using (bucket_id = 'team' and (storage.foldername(name))[1] in (select m.team_id::text from public.team_members m where m.user_id = (select auth.uid())));
create policy "team upload" on storage.objects for insert to authenticated with check (bucket_id = 'team' and exists (select from public.team_members m where m.user_id = (select auth.uid()) and m.team_id::text = (storage.foldername(name))[1]));`,
  ],
  [
    "mfa restrictive beside own rows",
    `
create table public.vault_items (id uuid primary key default gen_random_uuid(), user_id uuid not null references auth.users on delete cascade, label text);
create index on public.vault_items (user_id);
alter table public.vault_items enable row level security;
create policy own on public.vault_items for select to authenticated using (user_id = (select auth.uid()));
create policy mfa on public.vault_items as restrictive for all to authenticated using ((select auth.jwt() ->> 'aal') = 'aal2');
grant select (id, user_id, label) on public.vault_items to authenticated;`,
  ],
  [
    "admins by a private table, with helper in plpgsql",
    `
create schema if not exists private; grant usage on schema private to authenticated;
create table private.admins (user_id uuid primary key references auth.users on delete cascade);
create function private.is_admin() returns boolean language plpgsql stable security definer set search_path = '' as $$
begin
  return exists (select 1 from private.admins a where a.user_id = auth.uid());
end $$;
revoke all on function private.is_admin() from public; grant execute on function private.is_admin() to authenticated;
create table public.reports (id uuid primary key default gen_random_uuid(), user_id uuid not null references auth.users on delete cascade, body text);
create index on public.reports (user_id);
alter table public.reports enable row level security;
create policy r on public.reports for select to authenticated using (user_id = (select auth.uid()) or (select private.is_admin()));
grant select (id, user_id, body) on public.reports to authenticated;`,
  ],
  [
    "updated_at trigger and moddatetime",
    `
create schema if not exists private;
create table public.notes_x (id uuid primary key default gen_random_uuid(), user_id uuid not null references auth.users on delete cascade, body text, updated_at timestamptz not null default now());
create index on public.notes_x (user_id);
alter table public.notes_x enable row level security;
create policy own on public.notes_x for all to authenticated using (user_id = (select auth.uid())) with check (user_id = (select auth.uid()));
grant select (id, user_id, body, updated_at), insert (user_id, body), update (body), delete on public.notes_x to authenticated;
create function public.set_updated_at() returns trigger language plpgsql set search_path = '' as $$ begin new.updated_at = now(); return new; end $$;
create trigger set_updated_at before update on public.notes_x for each row execute function public.set_updated_at();`,
  ],
  [
    "outer join that a condition needs",
    P +
      ORGS +
      fn(
        "private.sees(org uuid) returns boolean",
        "select exists (select from public.orgs o left join public.org_members m on m.org_id = o.id where o.id = org and (m.user_id = auth.uid() or o.owner_id = auth.uid()))",
      ) +
      DOCS("private.sees(org_id)"),
  ],
  [
    "outer join, and one condition",
    P +
      ORGS +
      fn(
        "private.sees(org uuid) returns boolean",
        "select exists (select from public.orgs o left join public.org_members m on m.org_id = o.id where o.id = org and m.user_id = auth.uid())",
      ) +
      DOCS("private.sees(org_id)"),
  ],
  [
    "if and else",
    P +
      ORGS +
      fn(
        "private.sees(org uuid) returns boolean",
        "begin if exists (select 1 from public.org_members m where m.org_id = org and m.user_id = auth.uid()) then return true; elsif exists (select 1 from public.orgs o where o.id = org and o.owner_id = auth.uid()) then return true; else return false; end if; end",
        "plpgsql",
      ) +
      DOCS("private.sees(org_id)"),
  ],
  [
    "not equal returns false",
    P +
      fn(
        "private.mine(owner uuid) returns boolean",
        "begin if auth.uid() <> owner then return false; end if; return true; end",
        "plpgsql",
      ) +
      DOCS("private.mine(user_id)"),
  ],
  [
    "not a member raises",
    P +
      ORGS +
      fn(
        "private.sees(org uuid) returns boolean",
        "begin if not exists (select 1 from public.org_members m where m.org_id = org and m.user_id = auth.uid()) then raise exception 'no'; end if; return true; end",
        "plpgsql",
      ) +
      DOCS("private.sees(org_id)"),
  ],

  [
    "jsonb roles of app_metadata",
    DOCS(`coalesce((select auth.jwt()) -> 'app_metadata' -> 'orgs', '[]'::jsonb) ? org_id::text or user_id = ${U}`),
  ],
  [
    "organisations by an invoker view",
    ORGS +
      `create view public.my_orgs with (security_invoker = true) as select org_id from public.org_members where user_id = ${U}; grant select on public.my_orgs to authenticated;` +
      DOCS("org_id in (select org_id from public.my_orgs)"),
  ],
  [
    "member list by a definer helper with array",
    P +
      ORGS +
      fn(
        "private.my_org_ids() returns uuid[]",
        "select coalesce(array_agg(m.org_id), '{}') from public.org_members m where m.user_id = auth.uid()",
      ) +
      DOCS("org_id = any ((select private.my_org_ids())::uuid[])"),
  ],
  [
    "plpgsql helper with role levels",
    P +
      ORGS +
      fn(
        "private.has_level(org uuid, wanted text) returns boolean",
        "declare found_role text; begin select m.role into found_role from public.org_members m where m.org_id = org and m.user_id = auth.uid(); if found_role is null then return false; end if; return case wanted when 'admin' then found_role in ('admin', 'owner') else true end; end",
        "plpgsql",
      ) +
      DOCS("private.has_level(org_id, 'member')"),
  ],
  [
    "union of own and shared ids",
    P +
      ORGS +
      fn(
        "private.my_ids() returns setof uuid",
        "select d.org_id from public.org_members d where d.user_id = auth.uid() union select o.id from public.orgs o where o.owner_id = auth.uid()",
      ) +
      DOCS("org_id in (select private.my_ids())"),
  ],
  [
    "owner through two parents",
    ORGS +
      DOCS(
        `exists (select from public.docs_parent p join public.orgs o on o.id = p.org_id where p.id = docs.parent_id and o.owner_id = ${U})`,
      ).replace(
        "create table public.docs ",
        "create table public.docs_parent (id uuid primary key, org_id uuid not null references public.orgs); create index on public.docs_parent (org_id); alter table public.docs_parent enable row level security; create policy x on public.docs_parent for select to authenticated using (org_id in (select o.id from public.orgs o where o.owner_id = (select auth.uid()))); grant select (id, org_id) on public.docs_parent to authenticated; create table public.docs ",
      ),
  ],
  [
    "invitation accepted: joins only the invited org",
    `${ORGS}create table public.invites (id uuid primary key default gen_random_uuid(), org_id uuid not null references public.orgs on delete cascade, email text not null, role text not null default 'member'); create index on public.invites (org_id); create index on public.invites (email); alter table public.invites enable row level security; create policy i on public.invites for select to authenticated using (email = (select auth.jwt() ->> 'email')); grant select (id, org_id, email, role) on public.invites to authenticated;
create policy om_ins on public.org_members for insert to authenticated with check (user_id = ${U} and exists (select from public.invites i where i.org_id = org_members.org_id and i.role = org_members.role and i.email = (select auth.jwt() ->> 'email'))); grant insert (org_id, user_id, role) on public.org_members to authenticated;` +
      DOCS(`exists (select from public.org_members m where m.org_id = docs.org_id and m.user_id = ${U})`),
  ],
  [
    "the org's owner adds members and roles",
    `${ORGS}create policy om_ins on public.org_members for insert to authenticated with check (exists (select from public.orgs o where o.id = org_members.org_id and o.owner_id = ${U})); create policy om_upd on public.org_members for update to authenticated using (exists (select from public.orgs o where o.id = org_members.org_id and o.owner_id = ${U})) with check (exists (select from public.orgs o where o.id = org_members.org_id and o.owner_id = ${U})); grant insert (org_id, user_id, role), update (role) on public.org_members to authenticated;` +
      DOCS(
        `exists (select from public.org_members m where m.org_id = docs.org_id and m.user_id = ${U} and m.role = 'admin')`,
      ),
  ],
  ["tree with a recursive cte under the owner", DOCS(`user_id = ${U} and not exists (select 1 where false)`)],
  [
    "storage: user's folder in a private bucket, all verbs",
    STORAGE +
      ["select", "delete"]
        .map(
          (v) =>
            `create policy "own ${v}" on storage.objects for ${v} to authenticated using (bucket_id = 'documents' and (storage.foldername(name))[1] = (select auth.uid())::text);`,
        )
        .join("") +
      `create policy "own insert" on storage.objects for insert to authenticated with check (bucket_id = 'documents' and owner_id = (select auth.uid())::text);`,
  ],
  [
    "storage: file of a row that its reader sees",
    STORAGE +
      DOCS(`user_id = ${U}`) +
      `create policy "attachments" on storage.objects for select to authenticated using (bucket_id = 'attachments' and exists (select 1 from public.docs d where d.id::text = (storage.foldername(objects.name))[1] and d.user_id = ${U}));`,
  ],
  [
    "definer rpc that reads the caller's rows",
    DOCS(`user_id = ${U}`) +
      fn("public.my_stats() returns bigint", "select count(*) from public.docs d where d.user_id = auth.uid()"),
  ],
  [
    "helpers of policies in public",
    ORGS +
      fn(
        "public.is_org_member(org uuid) returns boolean",
        "select exists (select 1 from public.org_members m where m.org_id = org and m.user_id = auth.uid())",
      ) +
      DOCS("public.is_org_member(org_id)"),
  ],
  [
    "plans and prices by number",
    `create table public.plans (id int primary key, name text not null, price_cents int not null, active boolean not null default true); create table public.plan_features (plan_id int not null references public.plans, feature text not null, primary key (plan_id, feature)); alter table public.plans enable row level security; alter table public.plan_features enable row level security; create policy r on public.plans for select to anon, authenticated using (active); create policy r on public.plan_features for select to anon, authenticated using (true); grant select on public.plans, public.plan_features to anon, authenticated;`,
  ],
  [
    "event trigger for RLS on new tables",
    `${P}create function private.rls_auto_enable() returns event_trigger language plpgsql security definer set search_path = 'pg_catalog' as $$ declare cmd record; begin for cmd in select * from pg_event_trigger_ddl_commands() where command_tag = 'CREATE TABLE' loop execute format('alter table if exists %s enable row level security', cmd.object_identity); end loop; end $$; revoke all on function private.rls_auto_enable() from public; create event trigger ensure_rls on ddl_command_end when tag in ('CREATE TABLE') execute function private.rls_auto_enable();`,
  ],
  [
    "reactions with composite key and pinned user",
    DOCS(`user_id = ${U}`) +
      `create table public.reactions (doc_id uuid not null references public.docs on delete cascade, user_id uuid not null references auth.users on delete cascade, emoji text not null, primary key (doc_id, user_id, emoji)); create index on public.reactions (user_id); alter table public.reactions enable row level security; create policy r on public.reactions for select to authenticated using (exists (select from public.docs d where d.id = reactions.doc_id)); create policy i on public.reactions for insert to authenticated with check (user_id = ${U} and exists (select from public.docs d where d.id = reactions.doc_id)); create policy d on public.reactions for delete to authenticated using (user_id = ${U}); grant select (doc_id, user_id, emoji), insert (doc_id, user_id, emoji), delete on public.reactions to authenticated;`,
  ],
  [
    "notifications that the server writes, marked read by the user",
    `create table public.notifications (id uuid primary key default gen_random_uuid(), user_id uuid not null references auth.users on delete cascade, payload jsonb, read_at timestamptz); create index on public.notifications (user_id); alter table public.notifications enable row level security; create policy r on public.notifications for select to authenticated using (user_id = ${U}); create policy u on public.notifications for update to authenticated using (user_id = ${U}) with check (user_id = ${U}); grant select (id, user_id, payload, read_at), update (read_at) on public.notifications to authenticated; alter publication supabase_realtime add table public.notifications;`,
  ],
  [
    "inherited table with own policies",
    `create table public.base (id uuid primary key default gen_random_uuid(), user_id uuid not null); create index on public.base (user_id); alter table public.base enable row level security; create policy b on public.base for select to authenticated using (user_id = ${U}); grant select (id, user_id) on public.base to authenticated; create table public.child (extra text, primary key (id)) inherits (public.base); create index on public.child (user_id); alter table public.child enable row level security; create policy b on public.child for select to authenticated using (user_id = ${U}); grant select (id, user_id, extra) on public.child to authenticated;`,
  ],
];
