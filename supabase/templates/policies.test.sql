-- Run by `npm test` and by `supabase test db`: TABLE as its owner, as another user, and as nobody.
begin;
create extension if not exists pgtap with schema extensions;
select plan(16);

insert into auth.users (id, email) values
  ('00000000-0000-4000-8000-00000000000a', 'a@TABLE.test'),
  ('00000000-0000-4000-8000-00000000000b', 'b@TABLE.test');
insert into public.TABLE (id, user_id, label) values
  ('10000000-0000-4000-8000-00000000000a', '00000000-0000-4000-8000-00000000000a', 'of A'),
  ('10000000-0000-4000-8000-00000000000b', '00000000-0000-4000-8000-00000000000b', 'of B');


-- The owner

set local role authenticated;
set local request.jwt.claims = '{"role": "authenticated", "sub": "00000000-0000-4000-8000-00000000000a"}';

select results_eq('select label from public.TABLE', array['of A'], 'a user sees only their own rows');
select lives_ok($$ insert into public.TABLE (label) values ('new') $$, 'a user can add a row');
select results_eq(
  $$ update public.TABLE set label = 'changed' where label = 'of A' returning version $$, array[2],
  'a change adds 1 to the version'
);
select lives_ok(
  $$ update public.TABLE set deleted_at = now() where label = 'new' returning id $$,
  'a user can soft delete a row'
);
select throws_ok($$ delete from public.TABLE $$, '42501', null, 'a user cannot delete in SQL');
select throws_ok(
  $$ insert into public.TABLE (label, user_id) values ('x', '00000000-0000-4000-8000-00000000000b') $$, '42501', null,
  'a user cannot name the owner of a new row'
);
select throws_ok(
  $$ update public.TABLE set user_id = '00000000-0000-4000-8000-00000000000b' $$, '42501', null,
  'a user cannot give a row away'
);
select throws_ok($$ update public.TABLE set version = 7 $$, '42501', null, 'a user cannot choose a version');


-- Another user

set local request.jwt.claims = '{"role": "authenticated", "sub": "00000000-0000-4000-8000-00000000000b"}';

select is_empty(
  $$ select 1 from public.TABLE where id = '10000000-0000-4000-8000-00000000000a' $$,
  'another user does not see it'
);
select is_empty(
  $$ update public.TABLE set label = 'taken' where id = '10000000-0000-4000-8000-00000000000a' returning id $$,
  'another user cannot change it'
);
select is_empty(
  $$ update public.TABLE set deleted_at = now() where id = '10000000-0000-4000-8000-00000000000a' returning id $$,
  'another user cannot soft delete it'
);
select throws_ok(
  $$ insert into public.TABLE (id, label) values ('10000000-0000-4000-8000-00000000000a', 'x') $$, '23505', null,
  'another user cannot take its id'
);


-- Nobody

set local role anon;
set local request.jwt.claims = '{"role": "anon"}';

select throws_ok('select 1 from public.TABLE', '42501', null, 'anon cannot read');
select throws_ok($$ insert into public.TABLE (label) values ('x') $$, '42501', null, 'anon cannot write');
select throws_ok($$ update public.TABLE set label = 'x' $$, '42501', null, 'anon cannot change');


-- As the owner of the database: nothing of A's was touched

reset role;
select results_eq(
  $$ select label from public.TABLE where id = '10000000-0000-4000-8000-00000000000a' $$, array['changed'],
  'what others tried has changed nothing'
);

select * from finish();
rollback;
