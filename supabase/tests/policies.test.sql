-- Run by `npm test` and by `supabase test db`. Two users and anon, first as they are, then with the
-- grants and triggers out of the way, so that each line of defence is seen to hold alone.
begin;
create extension if not exists pgtap with schema extensions;
select plan(24);

insert into auth.users (id, email) values
  ('00000000-0000-4000-8000-00000000000a', 'a@policies.test'),
  ('00000000-0000-4000-8000-00000000000b', 'b@policies.test');
insert into public.notes (id, user_id, title) values
  ('10000000-0000-4000-8000-00000000000a', '00000000-0000-4000-8000-00000000000a', 'of A'),
  ('10000000-0000-4000-8000-00000000000b', '00000000-0000-4000-8000-00000000000b', 'of B');


-- User B

set local role authenticated;
set local request.jwt.claims = '{"role": "authenticated", "sub": "00000000-0000-4000-8000-00000000000b"}';

select results_eq(
  'select title from public.notes', array['of B'],
  'a user sees only their own notes'
);
select is_empty(
  $$ update public.notes set title = 'taken' where id = '10000000-0000-4000-8000-00000000000a' returning id $$,
  'a user cannot change the note of another'
);
select is_empty(
  $$ update public.notes set deleted_at = now() where id = '10000000-0000-4000-8000-00000000000a' returning id $$,
  'a user cannot soft delete the note of another'
);
select lives_ok(
  $$ update public.notes set body = 'all of mine' $$,
  'an update without a filter is possible'
);
select throws_ok(
  $$ insert into public.notes (title, user_id) values ('x', '00000000-0000-4000-8000-00000000000a') $$, '42501', null,
  'a user cannot name the owner of a new note'
);
select throws_ok(
  $$ update public.notes set user_id = '00000000-0000-4000-8000-00000000000a' $$, '42501', null,
  'a user cannot give a note away'
);
select throws_ok(
  $$ insert into public.notes (id, title) values ('10000000-0000-4000-8000-00000000000a', 'x')
     on conflict (id) do update set title = excluded.title $$,
  '42501', null,
  'an upsert cannot reach the note of another'
);
select throws_ok(
  $$ delete from public.notes $$, '42501', null,
  'a user cannot delete in SQL'
);
select throws_ok(
  $$ truncate public.notes $$, '42501', null,
  'a user cannot truncate'
);
select lives_ok(
  $$ insert into public.notes (title) values ('new') $$,
  'a user can add a note'
);
select is(
  (select user_id from public.notes where title = 'new'), '00000000-0000-4000-8000-00000000000b',
  'a new note belongs to its author'
);
select isnt_empty(
  $$ update public.notes set deleted_at = now() where title = 'new' returning id $$,
  'a user can soft delete a note and still see it'
);
select isnt_empty(
  $$ update public.notes set deleted_at = null where title = 'new' returning id $$,
  'a user can restore a note'
);


-- A caller without a user, and no caller

set local request.jwt.claims = '{"role": "authenticated"}';
select is_empty(
  'select id from public.notes',
  'a token without a subject sees nothing'
);
select throws_ok(
  $$ insert into public.notes (title) values ('x') $$, '42501', null,
  'a token without a subject adds nothing'
);

set local role anon;
set local request.jwt.claims = '{"role": "anon"}';
select is_empty('select id from public.notes', 'anon sees no note that is not published');
select throws_ok('select id, user_id from public.notes', '42501', null, 'anon cannot read whose a note is');
select throws_ok($$ insert into public.notes (title) values ('x') $$, '42501', null, 'anon cannot add');
select throws_ok($$ update public.notes set title = 'x' $$, '42501', null, 'anon cannot change');

reset role;
select results_eq(
  $$ select title, body, version from public.notes where id = '10000000-0000-4000-8000-00000000000a' $$,
  $$ values ('of A', '', 1) $$,
  'the note of A is as A left it'
);


-- The policies alone, with every grant given and no trigger to correct a row

grant all on public.notes to anon, authenticated;
alter table public.notes disable trigger user;
set local role authenticated;
set local request.jwt.claims = '{"role": "authenticated", "sub": "00000000-0000-4000-8000-00000000000b"}';

select throws_ok(
  $$ insert into public.notes (title, user_id) values ('x', '00000000-0000-4000-8000-00000000000a') $$,
  '42501', 'new row violates row-level security policy for table "notes"',
  'the policy for INSERT refuses another owner'
);
select throws_ok(
  $$ update public.notes set user_id = '00000000-0000-4000-8000-00000000000a' $$,
  '42501', 'new row violates row-level security policy for table "notes"',
  'the policy for UPDATE refuses another owner'
);
select is_empty(
  'delete from public.notes returning id',
  'without a policy for it, DELETE finds no row'
);

set local role anon;
set local request.jwt.claims = '{"role": "anon"}';
select is_empty('select id from public.notes', 'the policy for anon alone shows no note that is not published');

reset role;
select * from finish();
rollback;
