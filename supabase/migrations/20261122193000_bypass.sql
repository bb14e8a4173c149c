-- Scheduled jobs, past Row Level Security: which there are, what each may delete, and a record of every use.

-- Without a policy and without a grant: it is for the database's own admin to read.
create table private.bypass_audit (
  id bigint generated always as identity primary key,
  at timestamptz not null default now(),
  label text not null,
  -- Of all jobs that one event of the schedule began. The Worker's log lines have it as well.
  run uuid not null,
  after_days integer not null,
  -- Deleted, in this batch.
  rows integer not null,

  constraint bypass_audit_label_form check (label ~ '^job:[a-z0-9-]{1,64}$'),
  constraint bypass_audit_rows_counted check (rows >= 0)
);

alter table private.bypass_audit enable row level security;
alter table private.bypass_audit force row level security;

-- What is due begins an index range, however much is not.
create index notes_due_idx on public.notes (deleted_at) where deleted_at is not null;
create index organizations_due_idx on public.organizations (deleted_at) where deleted_at is not null;
create index organization_invitations_due_idx on public.organization_invitations (expires_at);


-- One batch of a job and the record of it, in one transaction: there is neither without the other. The label
-- says what is done, so none can be done under the label of another. Returns how many rows are gone.
create function private.run_job(job_label text, job_run uuid, after_days integer, at_most integer) returns integer
language plpgsql
security definer
set search_path = ''
as $$
declare
  due constant timestamptz := now() - make_interval(days => after_days);
  -- In the first of two statements.
  before integer := 0;
  deleted integer;
begin
  -- A secret key in the wrong hands still empties no bin of today, and nothing in one go.
  if (after_days between 1 and 3650 and at_most between 1 and 1000) is not true then
    raise exception 'a job takes 1 to 3650 days and 1 to 1000 rows' using errcode = '22023';
  end if;
  -- An array, because Postgres may evaluate a subquery with a limit more than once. A row that somebody is
  -- changing is left to the next batch.
  case job_label
    when 'job:purge-deleted-notes' then
      delete from public.notes where id = any (array(
        select id from public.notes where deleted_at <= due
          order by deleted_at limit at_most for update skip locked
      ));
    -- As long as create_note_once() has a key count.
    when 'job:purge-expired-idempotency-keys' then
      delete from public.idempotency_keys where ctid = any (array(
        select ctid from public.idempotency_keys where created_at <= now() - interval '24 hours'
          order by created_at limit at_most for update skip locked
      ));
    -- Its notes first, or a batch with one organisation in it could be of any size.
    when 'job:purge-deleted-organizations' then
      delete from public.notes where id = any (array(
        select notes.id from public.notes join public.organizations as orgs on orgs.id = notes.org_id
          where orgs.deleted_at <= due limit at_most for update of notes skip locked
      ));
      get diagnostics before = row_count;
      delete from public.organizations where id = any (array(
        select orgs.id from public.organizations as orgs
          where orgs.deleted_at <= due and not exists (select from public.notes where notes.org_id = orgs.id)
          order by orgs.deleted_at limit at_most - before for update skip locked
      ));
    -- Accepted or not: it is good for nothing any more.
    when 'job:purge-expired-invitations' then
      delete from public.organization_invitations where id = any (array(
        select id from public.organization_invitations where expires_at <= now()
          order by expires_at limit at_most for update skip locked
      ));
    else
      raise exception 'there is no such job' using errcode = '22023';
  end case;
  get diagnostics deleted = row_count;
  deleted := before + deleted;
  insert into private.bypass_audit (label, run, after_days, rows) values (job_label, job_run, after_days, deleted);
  return deleted;
end
$$;

-- PostgREST's way to it. Of no rights of its own: whoever may not execute the other gets nowhere by this one.
create function public.run_job(job_label text, job_run uuid, after_days integer, at_most integer) returns integer
language sql
security invoker
set search_path = ''
begin atomic
  select private.run_job(job_label, job_run, after_days, at_most);
end;


-- The only thing that service_role may do here.
create function private.grants_bypass_audit() returns void
language sql
set search_path = ''
as $$
  revoke all on table private.bypass_audit from public, anon, authenticated, service_role;
  revoke all on function public.run_job(text, uuid, integer, integer) from public, anon, authenticated, service_role;
  grant execute on function public.run_job(text, uuid, integer, integer) to service_role;
  grant execute on function private.run_job(text, uuid, integer, integer) to service_role;
$$;

select private.apply_grants();
