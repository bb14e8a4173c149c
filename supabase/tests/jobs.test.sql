-- Run by `npm test` and by `supabase test db`. What scheduled jobs delete and what they leave, who may run them, and
-- the record of it.
begin;
create extension if not exists pgtap with schema extensions;
select plan(35);

insert into auth.users (id, email) values ('00000000-0000-4000-8000-00000000000a', 'a@jobs.test');

-- Triggers choose these times otherwise.
alter table public.notes disable trigger user;
alter table public.organizations disable trigger user;
create function pg_temp.ago(text) returns timestamptz language sql as 'select now() - $1::interval';

insert into public.organizations (id, name, created_at, updated_at, deleted_at) values
  ('20000000-0000-4000-8000-000000000000', 'live', pg_temp.ago('90 days'), now(), null),
  ('20000000-0000-4000-8000-000000000029', 'kept', pg_temp.ago('90 days'), now(), pg_temp.ago('30 days') + interval '1 second'),
  ('20000000-0000-4000-8000-000000000030', 'due', pg_temp.ago('90 days'), now(), pg_temp.ago('30 days'));
insert into public.organization_members (org_id, user_id, role)
  select id, '00000000-0000-4000-8000-00000000000a', 'owner' from public.organizations;
insert into public.notes (user_id, org_id, title, created_at, updated_at, deleted_at) values
  ('00000000-0000-4000-8000-00000000000a', null, 'old', pg_temp.ago('900 days'), pg_temp.ago('900 days'), null),
  ('00000000-0000-4000-8000-00000000000a', null, 'a day', pg_temp.ago('90 days'), now(), pg_temp.ago('1 day')),
  ('00000000-0000-4000-8000-00000000000a', null, 'kept', pg_temp.ago('90 days'), now(), pg_temp.ago('30 days') + interval '1 second'),
  ('00000000-0000-4000-8000-00000000000a', null, 'due', pg_temp.ago('90 days'), now(), pg_temp.ago('30 days')),
  ('00000000-0000-4000-8000-00000000000a', null, 'older', pg_temp.ago('90 days'), now(), pg_temp.ago('60 days')),
  ('00000000-0000-4000-8000-00000000000a', '20000000-0000-4000-8000-000000000000', 'of live', now(), now(), null),
  ('00000000-0000-4000-8000-00000000000a', '20000000-0000-4000-8000-000000000029', 'of kept', now(), now(), null),
  ('00000000-0000-4000-8000-00000000000a', '20000000-0000-4000-8000-000000000030', 'of due', now(), now(), null),
  ('00000000-0000-4000-8000-00000000000a', '20000000-0000-4000-8000-000000000030', 'of due too', now(), now(), null);
insert into public.idempotency_keys (user_id, key, digest, note_id, created_at)
  select '00000000-0000-4000-8000-00000000000a', key, repeat('0', 64), gen_random_uuid(), created_at
  from (values ('key-kept', pg_temp.ago('24 hours') + interval '1 second'), ('key-due-', pg_temp.ago('24 hours'))) as made (key, created_at);
insert into public.organization_invitations (org_id, role, token_digest, created_by, expires_at, accepted_at)
  select '20000000-0000-4000-8000-000000000000', role, encode(sha256(role::bytea), 'hex'), '00000000-0000-4000-8000-00000000000a', expires_at, accepted_at
  from (values
    ('viewer', now() + interval '1 second', null),
    ('editor', now(), null),
    ('owner', now(), now())
  ) as made (role, expires_at, accepted_at);


-- Who may

create function pg_temp.run(label text, days integer default 30, most integer default 1000) returns integer
language sql as $$ select public.run_job(label, '30000000-0000-4000-8000-000000000000', days, most) $$;

set local role anon;
select throws_ok($$ select pg_temp.run('job:purge-deleted-notes') $$, '42501', null, 'anon runs no job');
set local role authenticated;
set local request.jwt.claims = '{"role": "authenticated", "sub": "00000000-0000-4000-8000-00000000000a"}';
select throws_ok($$ select pg_temp.run('job:purge-deleted-notes') $$, '42501', null, 'a user runs no job');
set local role service_role;
select throws_ok(
  $$ select private.run_job('job:purge-deleted-notes', gen_random_uuid(), 30, 1000) $$, '42501', null,
  'not even service_role can name what is behind it'
);
select throws_ok($$ select from private.bypass_audit $$, '42501', null, 'nor read the record');
select throws_ok($$ select from public.notes $$, '42501', null, 'nor a note');
select throws_ok($$ delete from public.notes $$, '42501', null, 'nor delete one without a job');
select throws_ok($$ select from public.organization_invitations $$, '42501', null, 'nor read an invitation');


-- What is refused

select throws_ok($$ select pg_temp.run('job:purge-everything') $$, '22023', null, 'there is no other job');
select throws_ok($$ select pg_temp.run('purge-deleted-notes') $$, '22023', null, 'a label is whole');
select throws_ok($$ select pg_temp.run('') $$, '22023', null, 'a label is not empty');
select throws_ok($$ select pg_temp.run(null) $$, '22023', null, 'a label is there');
select throws_ok($$ select public.run_job('job:purge-deleted-notes', null, 30, 1000) $$, '23502', null, 'a run is named');
select throws_ok($$ select pg_temp.run('job:purge-deleted-notes', 0) $$, '22023', null, 'no bin is emptied of today');
select throws_ok($$ select pg_temp.run('job:purge-deleted-notes', -1) $$, '22023', null, 'nor of what is to come');
select throws_ok($$ select pg_temp.run('job:purge-deleted-notes', null) $$, '22023', null, 'days are given');
select throws_ok($$ select pg_temp.run('job:purge-deleted-notes', 3651) $$, '22023', null, 'ten years at most');
select throws_ok($$ select pg_temp.run('job:purge-deleted-notes', 30, 1001) $$, '22023', null, 'a batch is bounded');
select throws_ok($$ select pg_temp.run('job:purge-deleted-notes', 30, 0) $$, '22023', null, 'a batch is of something');
select throws_ok($$ select pg_temp.run('job:purge-deleted-notes', 30, null) $$, '22023', null, 'the bound is given');
reset role;
select is_empty('select from private.bypass_audit', 'what was refused has left no record');
select is((select count(*)::integer from public.notes), 9, 'and deleted nothing');


-- What is done

set local role service_role;
select is(pg_temp.run('job:purge-deleted-notes', 30, 1), 1, 'a batch has as many rows as it was given at most');
reset role;
select is_empty($$ select from public.notes where title = 'older' $$, 'the oldest goes first');
set local role service_role;
select is(pg_temp.run('job:purge-deleted-notes'), 1, 'a note goes 30 days after it was deleted');
select is(pg_temp.run('job:purge-deleted-notes'), 0, 'and once');
select is(pg_temp.run('job:purge-expired-idempotency-keys'), 1, 'an idempotency key goes after 24 hours');
select is(pg_temp.run('job:purge-deleted-organizations', 30, 1), 1, 'a deleted organisation goes in batches, too');
select is(pg_temp.run('job:purge-deleted-organizations'), 2, 'the rest of its notes, and then itself');
select is(pg_temp.run('job:purge-expired-invitations'), 2, 'an invitation goes when it has expired, accepted or not');
reset role;

select results_eq(
  'select title from public.notes order by title',
  array['a day', 'kept', 'of kept', 'of live', 'old'],
  'notes that are live, or were deleted a second too late, stay'
);
select results_eq('select name from public.organizations order by name', array['kept', 'live'], 'and such organisations');
select is((select count(*)::integer from public.organization_members), 2, 'with their members');
select results_eq('select key from public.idempotency_keys', array['key-kept'], 'and keys that count');
select results_eq('select role from public.organization_invitations', array['viewer'], 'and invitations that are good');

select results_eq(
  'select label, after_days, rows from private.bypass_audit order by id',
  $$ values
    ('job:purge-deleted-notes', 30, 1),
    ('job:purge-deleted-notes', 30, 1),
    ('job:purge-deleted-notes', 30, 0),
    ('job:purge-expired-idempotency-keys', 30, 1),
    ('job:purge-deleted-organizations', 30, 1),
    ('job:purge-deleted-organizations', 30, 2),
    ('job:purge-expired-invitations', 30, 2)
  $$,
  'each use is on record, with what it has deleted'
);

select * from finish();
rollback;
