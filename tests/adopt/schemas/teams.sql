-- Teams, their projects and tasks. Helper functions in a schema that is not exposed say who is a member.
create schema if not exists private;
grant usage on schema private to authenticated;
create type public.member_role as enum ('owner', 'admin', 'member');

create table public.teams (
  id uuid primary key default gen_random_uuid(),
  name text not null check (char_length(name) between 1 and 80),
  slug text unique not null,
  created_by uuid not null default auth.uid() references auth.users,
  created_at timestamptz not null default now()
);
create table public.team_members (
  team_id uuid not null references public.teams on delete cascade,
  user_id uuid not null references auth.users on delete cascade,
  role public.member_role not null default 'member',
  created_at timestamptz not null default now(),
  primary key (team_id, user_id)
);
create table public.projects (
  id uuid primary key default gen_random_uuid(),
  team_id uuid not null references public.teams on delete cascade,
  name text not null check (char_length(name) between 1 and 120),
  archived boolean not null default false,
  created_at timestamptz not null default now()
);
create table public.tasks (
  id bigint generated always as identity primary key,
  project_id uuid not null references public.projects on delete cascade,
  title text not null check (char_length(title) between 1 and 300),
  assignee uuid references auth.users on delete set null,
  due_date date,
  priority int not null default 3 check (priority between 1 and 5),
  tags text[] not null default '{}',
  metadata jsonb not null default '{}',
  done_at timestamptz,
  status text generated always as (case when done_at is null then 'open' else 'done' end) stored,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now()
);
create index on public.team_members (user_id);
create index on public.projects (team_id);
create index on public.tasks (project_id, due_date);
create index on public.tasks (assignee);

create function private.is_member(team uuid) returns boolean
language sql security definer stable set search_path = '' as $$
  select exists (select 1 from public.team_members m where m.team_id = team and m.user_id = (select auth.uid()))
$$;
create function private.project_team(project uuid) returns uuid
language sql security definer stable set search_path = '' as $$
  select team_id from public.projects where id = project
$$;
create function private.touch() returns trigger language plpgsql set search_path = '' as $$
begin new.updated_at := now(); return new; end $$;
create trigger touch before update on public.tasks for each row execute function private.touch();

alter table public.teams enable row level security;
alter table public.team_members enable row level security;
alter table public.projects enable row level security;
alter table public.tasks enable row level security;
create policy "members read" on public.teams for select to authenticated using (private.is_member(id) or created_by = (select auth.uid()));
create policy "anybody founds" on public.teams for insert to authenticated with check (created_by = (select auth.uid()));
create policy "members read" on public.team_members for select to authenticated using (private.is_member(team_id));
create policy "members read" on public.projects for select to authenticated using (private.is_member(team_id));
create policy "members insert" on public.projects for insert to authenticated with check (private.is_member(team_id));
create policy "members update" on public.projects for update to authenticated using (private.is_member(team_id));
create policy "members do all" on public.tasks for all to authenticated using (private.is_member(private.project_team(project_id))) with check (private.is_member(private.project_team(project_id)));

create view public.task_counts with (security_invoker = true) as
  select project_id, status, count(*) as n from public.tasks group by project_id, status;
create function public.create_team(name text, slug text) returns public.teams
language plpgsql security definer set search_path = '' as $$
declare t public.teams;
begin
  insert into public.teams (name, slug, created_by) values (create_team.name, create_team.slug, auth.uid()) returning * into t;
  insert into public.team_members (team_id, user_id, role) values (t.id, auth.uid(), 'owner');
  return t;
end $$;
