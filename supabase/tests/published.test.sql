-- Run by `npm test` and by `supabase test db`. What anon reads, and who decides that.
begin;
create extension if not exists pgtap with schema extensions;
select plan(24);

-- Back again with the rollback; a development database may have notes.
delete from public.notes;

insert into auth.users (id, email) values
  ('00000000-0000-4000-8000-00000000000a', 'a@published.test'),
  ('00000000-0000-4000-8000-00000000000b', 'b@published.test');
insert into public.organizations (id, name) values ('a0000000-0000-4000-8000-000000000000', 'organisation');
insert into public.organization_members (org_id, user_id, role) values
  ('a0000000-0000-4000-8000-000000000000', '00000000-0000-4000-8000-00000000000a', 'editor'),
  ('a0000000-0000-4000-8000-000000000000', '00000000-0000-4000-8000-00000000000b', 'viewer');
insert into public.notes (user_id, org_id, title, published_at) values
  ('00000000-0000-4000-8000-00000000000a', null, 'draft', '1999-01-01'),
  ('00000000-0000-4000-8000-00000000000a', null, 'published', null),
  ('00000000-0000-4000-8000-00000000000a', null, 'deleted', null),
  ('00000000-0000-4000-8000-00000000000a', 'a0000000-0000-4000-8000-000000000000', 'of the organisation', null);

select is_empty('select from public.notes where published_at is not null', 'a new note is a draft, whatever was written');


-- Publishing

set local role authenticated;
set local request.jwt.claims = '{"role": "authenticated", "sub": "00000000-0000-4000-8000-00000000000b"}';
select is_empty(
  $$ update public.notes set published_at = now() returning id $$,
  'neither a viewer nor a stranger publishes a note'
);
set local request.jwt.claims = '{"role": "authenticated", "sub": "00000000-0000-4000-8000-00000000000a"}';
select results_eq(
  $$ update public.notes set published_at = '1999-01-01' where title <> 'draft' returning published_at, version $$,
  'select now(), 2 from generate_series(1, 3)',
  'authors and editors publish, now, whatever time was written'
);
update public.notes set deleted_at = now() where title = 'deleted';
reset role;
alter table public.notes disable trigger user;
update public.notes set published_at = now() - interval '1 hour' where title = 'published';
alter table public.notes enable trigger user;
update public.notes set published_at = now(), body = 'changed' where title = 'published';
select ok(
  (select published_at = now() - interval '1 hour' from public.notes where title = 'published'),
  'a note that is published stays published since then'
);


-- Anon

set local role anon;
set local request.jwt.claims = '{"role": "anon"}';
select results_eq(
  'select title, body, version from public.notes order by title',
  $$ values ('of the organisation', '', 2), ('published', 'changed', 3) $$,
  'anon reads published notes, and neither drafts nor deleted ones'
);
select throws_ok(
  format('select %I from public.notes', hidden), '42501', null, format('anon does not read %s', hidden)
) from unnest(array['user_id', 'org_id', 'created_at', 'deleted_at', 'search']) as hidden;
select throws_ok(
  $$ select id from public.notes where user_id = '00000000-0000-4000-8000-00000000000a' $$, '42501', null,
  'anon does not ask for the notes of an author'
);
select throws_ok(statement, '42501', null, format('anon does not %s', name)) from (
  values
    ($$ insert into public.notes (title) values ('x') $$, 'add a note'),
    ($$ update public.notes set title = 'x' $$, 'change a published note'),
    ('delete from public.notes', 'delete a published note'),
    ('select id from public.organizations', 'read organisations'),
    ('select user_id from public.organization_members', 'read members'),
    ('select id from public.organization_invitations', 'read invitations'),
    ($$ select public.create_organization('x') $$, 'make an organisation'),
    ($$ select public.accept_invitation('x') $$, 'accept an invitation')
) as refused (statement, name);


-- Signed in

set local role authenticated;
set local request.jwt.claims = '{"role": "authenticated", "sub": "00000000-0000-4000-8000-00000000000b"}';
select results_eq(
  'select title from public.notes', array['of the organisation'],
  'whoever is signed in does not see among their notes what others have published'
);


-- Withdrawn

set local request.jwt.claims = '{"role": "authenticated", "sub": "00000000-0000-4000-8000-00000000000a"}';
update public.notes set published_at = null where title = 'published';
set local role anon;
set local request.jwt.claims = '{"role": "anon"}';
select results_eq(
  'select title from public.notes', array['of the organisation'],
  'a note that was withdrawn is a draft again'
);
reset role;
update public.organizations set deleted_at = now();
set local role anon;
select is_empty('select title from public.notes', 'what a deleted organisation has published is hidden');


-- The policy alone, with every grant given

reset role;
grant all on public.notes to anon;
update public.notes set published_at = now() where title = 'published';
set local role anon;
select results_eq(
  'select title from public.notes', array['published'],
  'the policy for anon shows published notes alone, whatever is granted'
);
select is_empty(
  $$ update public.notes set title = 'x' returning id $$,
  'without a policy for it, anon changes nothing'
);

reset role;
select * from finish();
rollback;
