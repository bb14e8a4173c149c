-- Rows of tenants: the token names the tenant in app_metadata.
create table documents (
  id uuid primary key default gen_random_uuid(),
  tenant_id uuid not null default ((auth.jwt() -> 'app_metadata' ->> 'tenant_id')::uuid),
  title text not null,
  content json,
  version integer not null default 1,
  created_at timestamptz not null default now()
);
create function bump_version() returns trigger language plpgsql as $$
begin
  new.version := old.version + 1;
  return new;
end $$;
create trigger bump before update on documents for each row execute function bump_version();
create table settings (
  id uuid primary key default gen_random_uuid(),
  tenant_id uuid not null,
  theme text not null default 'light' check (theme in ('light', 'dark'))
);
alter table documents enable row level security;
alter table settings enable row level security;
create policy "tenant" on documents for all to authenticated
  using (tenant_id = ((select auth.jwt()) -> 'app_metadata' ->> 'tenant_id')::uuid)
  with check (tenant_id = ((select auth.jwt()) -> 'app_metadata' ->> 'tenant_id')::uuid);
create policy "tenant" on settings for select to authenticated
  using (tenant_id = ((select auth.jwt()) -> 'user_metadata' ->> 'tenant_id')::uuid);
