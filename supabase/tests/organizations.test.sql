-- Run by `npm test` and by `supabase test db`. What happens in organisations, with grants and triggers in place; for who
-- may do what with the policies alone see roles.test.sql.
begin;
create extension if not exists pgtap with schema extensions;
select plan(74);

-- As the owner of the tables, who has no auth.uid().
insert into auth.users (id, email) values
  ('00000000-0000-4000-8000-000000000001', 'owner@organizations.test'),
  ('00000000-0000-4000-8000-000000000002', 'editor@organizations.test'),
  ('00000000-0000-4000-8000-000000000003', 'viewer@organizations.test'),
  ('00000000-0000-4000-8000-000000000004', 'outsider@organizations.test'),
  ('00000000-0000-4000-8000-000000000005', 'mate@organizations.test'),
  ('00000000-0000-4000-8000-000000000006', 'stranger@organizations.test');
insert into public.organizations (id, name) values
  ('a0000000-0000-4000-8000-000000000000', 'own'),
  ('b0000000-0000-4000-8000-000000000000', 'other');
insert into public.organization_members (org_id, user_id, role) values
  ('a0000000-0000-4000-8000-000000000000', '00000000-0000-4000-8000-000000000001', 'owner'),
  ('a0000000-0000-4000-8000-000000000000', '00000000-0000-4000-8000-000000000002', 'editor'),
  ('a0000000-0000-4000-8000-000000000000', '00000000-0000-4000-8000-000000000003', 'viewer'),
  ('a0000000-0000-4000-8000-000000000000', '00000000-0000-4000-8000-000000000005', 'owner'),
  ('b0000000-0000-4000-8000-000000000000', '00000000-0000-4000-8000-000000000005', 'viewer'),
  ('b0000000-0000-4000-8000-000000000000', '00000000-0000-4000-8000-000000000006', 'owner');
insert into public.organization_invitations (org_id, role, created_by, token_digest) values
  ('a0000000-0000-4000-8000-000000000000', 'editor', '00000000-0000-4000-8000-000000000001', encode(sha256('own'), 'hex')),
  ('b0000000-0000-4000-8000-000000000000', 'editor', '00000000-0000-4000-8000-000000000006', encode(sha256('other'), 'hex'));
insert into public.notes (id, org_id, user_id, title) values
  ('a1000000-0000-4000-8000-000000000000', 'a0000000-0000-4000-8000-000000000000', '00000000-0000-4000-8000-000000000005', 'own'),
  ('b1000000-0000-4000-8000-000000000000', 'b0000000-0000-4000-8000-000000000000', '00000000-0000-4000-8000-000000000006', 'other');

-- What comes of a statement of this user's: how many rows, or the error. It is undone.
create function pg_temp.outcome(who text, statement text) returns text language plpgsql as $$
declare
  rows bigint;
begin
  perform set_config('request.jwt.claims', json_build_object('role', 'authenticated', 'sub', who)::text, true);
  set local role authenticated;
  execute statement;
  get diagnostics rows = row_count;
  raise sqlstate 'UNDO0';
exception
  when sqlstate 'UNDO0' then return rows::text;
  when others then return sqlstate;
end
$$;


-- Making one

select is(
  pg_temp.outcome('00000000-0000-4000-8000-000000000001', 'select from public.organization_members'), '4',
  'policies that ask who is a member do not ask themselves'
);

set local role authenticated;
set local request.jwt.claims = '{"role": "authenticated", "sub": "00000000-0000-4000-8000-000000000004"}';
select results_eq(
  $$ select name, version from public.create_organization('new') $$, $$ values ('new', 1) $$,
  'whoever is signed in makes an organisation'
);
select results_eq(
  'select name, role, version from public.my_organizations', $$ values ('new', 'owner', 1) $$,
  'whoever makes an organisation is its owner'
);
select throws_ok(
  format('select public.create_organization(%L)', name), '23514', null, format('no organisation is called %L', name)
) from unnest(array['', ' x', E'x\u00a0', repeat('x', 201)]) as name;
select throws_ok(
  $$ insert into public.organizations (name) values ('x') $$, '42501', null,
  'an organisation without an owner is not made'
);
set local request.jwt.claims = '{"role": "authenticated"}';
select throws_ok(
  $$ select public.create_organization('x') $$, '23502', null,
  'a token without a subject makes no organisation'
);
select is_empty(
  $$ select from public.my_organizations union all select from public.organizations $$,
  'a token without a subject is a member of nothing'
);
reset role;


-- The last owner

create temporary table last_owner (sub text, statement text, expected text, name text);
insert into last_owner values
  ('4', 'delete from public.organization_members where user_id = auth.uid()', 'PT409', 'the last owner cannot leave'),
  ('4', $$ update public.organization_members set role = 'viewer' where user_id = auth.uid() $$, 'PT409', 'the last owner cannot step down'),
  ('4', $$ update public.organization_members set role = 'owner' where user_id = auth.uid() $$, '1', 'the last owner can stay one'),
  ('1', 'delete from public.organization_members where user_id = auth.uid()', '1', 'one of two owners can leave'),
  ('1', $$ update public.organization_members set role = 'viewer' where user_id = auth.uid() $$, '1', 'one of two owners can step down'),
  ('1', $$ delete from public.organization_members where user_id = '00000000-0000-4000-8000-000000000005' $$, '1', 'one of two owners can be removed'),
  ('1', $$ delete from public.organization_members where role = 'owner' $$, '42501', 'all owners together cannot be removed'),
  ('1', $$ update public.organization_members set role = 'editor' $$, '42501', 'all owners together cannot be demoted');
select is(pg_temp.outcome('00000000-0000-4000-8000-00000000000' || sub, statement), expected, name) from last_owner;


-- Invitations: the outsider by the owner

set local role authenticated;
set local request.jwt.claims = '{"role": "authenticated", "sub": "00000000-0000-4000-8000-000000000001"}';
select isnt_empty(
  $$ insert into public.organization_invitations (org_id, role, token_digest)
     select 'a0000000-0000-4000-8000-000000000000', 'editor', encode(sha256(convert_to(token, 'UTF8')), 'hex')
     from unnest(array['token', 'expired', 'spare']) as token returning id $$,
  'an owner invites'
);
select throws_ok(
  'select token_digest from public.organization_invitations', '42501', null,
  'nobody reads the digest of a token'
);
select throws_ok(
  $$ insert into public.organization_invitations (org_id, role, token_digest, expires_at)
     values ('a0000000-0000-4000-8000-000000000000', 'editor', repeat('0', 64), 'infinity') $$, '42501', null,
  'nobody chooses when an invitation ends'
);
select throws_ok(
  $$ insert into public.organization_invitations (org_id, role, token_digest)
     values ('a0000000-0000-4000-8000-000000000000', 'editor', 'token') $$, '23514', null,
  'a token itself is not stored'
);
select throws_ok(
  $$ select public.accept_invitation('token') $$, 'PT409', 'already a member',
  'a member does not use up an invitation'
);
reset role;
select ok(
  (select max(expires_at) = now() + interval '7 days' from public.organization_invitations),
  'an invitation is good for seven days'
);
update public.organization_invitations set expires_at = now()
  where token_digest = encode(sha256('expired'), 'hex');

set local role authenticated;
set local request.jwt.claims = '{"role": "authenticated", "sub": "00000000-0000-4000-8000-000000000004"}';
select is_empty(
  format('select public.accept_invitation(%L)', token), format('%s is good for nothing', name)
) from (
  values
    ('expired', 'an expired token'), ('unknown', 'an unknown token'), ('', 'an empty token'), (null, 'no token'),
    (encode(sha256('token'), 'hex'), 'the digest of a token')
) as refused (token, name);
select results_eq(
  $$ select name, version from public.accept_invitation('token') $$, $$ values ('own', 6) $$,
  'a token is good for its organisation, of which it is a change'
);
select results_eq(
  $$ select role from public.my_organizations where name = 'own' $$, array['editor'],
  'whoever accepts an invitation has the role that it names'
);
set local request.jwt.claims = '{"role": "authenticated", "sub": "00000000-0000-4000-8000-000000000006"}';
select is_empty($$ select public.accept_invitation('token') $$, 'a token is good once');
set local request.jwt.claims = '{"role": "authenticated"}';
select throws_ok(
  $$ select public.accept_invitation('spare') $$, '23502', null,
  'a token without a subject accepts nothing'
);
reset role;
select results_eq(
  $$ select accepted_by, accepted_at from public.organization_invitations where token_digest = encode(sha256('token'), 'hex') $$,
  $$ values ('00000000-0000-4000-8000-000000000004'::uuid, now()) $$,
  'an invitation names who accepted it'
);

update public.organization_members set role = 'editor' where user_id = '00000000-0000-4000-8000-000000000001';
select is(
  pg_temp.outcome('00000000-0000-4000-8000-000000000006', $$ select public.accept_invitation('spare') $$), '0',
  'an invitation by an owner who is one no more is good for nothing'
);
update public.organization_members set role = 'owner' where user_id = '00000000-0000-4000-8000-000000000001';
select is(
  pg_temp.outcome('00000000-0000-4000-8000-000000000006', $$ select public.accept_invitation('spare') $$), '1',
  'an invitation by an owner is good'
);


-- Notes of an organisation: the outsider is an editor now

set local role authenticated;
set local request.jwt.claims = '{"role": "authenticated", "sub": "00000000-0000-4000-8000-000000000004"}';
select isnt_empty(
  $$ insert into public.notes (id, org_id, title)
     values ('a2000000-0000-4000-8000-000000000000', 'a0000000-0000-4000-8000-000000000000', 'by the outsider') returning id $$,
  'an editor adds a note to the organisation'
);
select throws_ok(
  $$ insert into public.notes (org_id, title) values ('b0000000-0000-4000-8000-000000000000', 'x') $$,
  '42501', 'new row violates row-level security policy for table "notes"',
  'a note cannot be added to another organisation'
);
select throws_ok(
  $$ insert into public.notes (org_id, title) values ('c0000000-0000-4000-8000-000000000000', 'x') $$,
  '42501', 'new row violates row-level security policy for table "notes"',
  'an organisation that there is not is told from none of another'
);
select throws_ok(
  'update public.notes set org_id = null', '42501', null,
  'nobody names another organisation for a note'
);
select results_eq(
  $$ select title, org_id from public.create_note_once('key-0001', repeat('0', 64), 'once', '', 'a0000000-0000-4000-8000-000000000000') $$,
  $$ values ('once', 'a0000000-0000-4000-8000-000000000000'::uuid) $$,
  'an idempotency key makes a note of an organisation'
);
select results_eq(
  $$ select title from public.create_note_once('key-0001', repeat('0', 64), 'once', '', 'a0000000-0000-4000-8000-000000000000') $$,
  array['once'],
  'an idempotency key finds the organisation''s note that it made'
);
select is_empty(
  format('select * from public.create_note_once(''key-0001'', repeat(''0'', 64), ''once'', '''', %L)', org),
  format('an idempotency key was used for something else than %s', name)
) from (
  values (null, 'a note of one''s own'), ('b0000000-0000-4000-8000-000000000000', 'a note of another organisation')
) as elsewhere (org, name);
set local request.jwt.claims = '{"role": "authenticated", "sub": "00000000-0000-4000-8000-000000000003"}';
select throws_ok(
  $$ select public.create_note_once('key-0001', repeat('0', 64), 'x', '', 'a0000000-0000-4000-8000-000000000000') $$, '42501', null,
  'an idempotency key makes no note of an organisation for a viewer'
);


-- Removed

set local request.jwt.claims = '{"role": "authenticated", "sub": "00000000-0000-4000-8000-000000000001"}';
select isnt_empty(
  $$ delete from public.organization_members where user_id = '00000000-0000-4000-8000-000000000004' and role = 'editor' returning user_id $$,
  'an owner removes a member'
);
set local request.jwt.claims = '{"role": "authenticated", "sub": "00000000-0000-4000-8000-000000000004"}';
select is_empty('select id from public.notes', 'whoever is removed sees no note of the organisation, not even their own');
select is_empty(
  $$ update public.notes set title = 'x' where id = 'a2000000-0000-4000-8000-000000000000' returning id $$,
  'whoever is removed changes no note of the organisation'
);
select is_empty(
  $$ select * from public.create_note_once('key-0001', repeat('0', 64), 'once', '', 'a0000000-0000-4000-8000-000000000000') $$,
  'whoever is removed finds no note by an idempotency key'
);
select results_eq(
  'select name from public.organizations', array['new'],
  'whoever is removed sees the organisation no more'
);

-- Left

set local request.jwt.claims = '{"role": "authenticated", "sub": "00000000-0000-4000-8000-000000000002"}';
select isnt_empty('select id from public.notes', 'a member sees the notes of the organisation');
select isnt_empty(
  'delete from public.organization_members where user_id = auth.uid() returning user_id',
  'a member leaves'
);
select is_empty('select id from public.notes', 'whoever has left sees no note of the organisation');
reset role;
-- Without a filter no policy for SELECT is asked.
select is(
  pg_temp.outcome('00000000-0000-4000-8000-000000000004', $$ update public.notes set title = 'x' $$), '0',
  'whoever is removed changes no note of the organisation by changing all of their own'
);


-- What does not change

update public.notes set org_id = 'b0000000-0000-4000-8000-000000000000', user_id = '00000000-0000-4000-8000-000000000006'
  where id = 'a1000000-0000-4000-8000-000000000000';
select results_eq(
  $$ select org_id, user_id from public.notes where id = 'a1000000-0000-4000-8000-000000000000' $$,
  $$ values ('a0000000-0000-4000-8000-000000000000'::uuid, '00000000-0000-4000-8000-000000000005'::uuid) $$,
  'a note stays in its organisation and its author''s'
);
update public.organization_members set
  org_id = 'b0000000-0000-4000-8000-000000000000', user_id = '00000000-0000-4000-8000-000000000002',
  version = 99, created_at = '1999-01-01', updated_at = '1999-01-01', role = 'editor'
  where user_id = '00000000-0000-4000-8000-000000000003';
select results_eq(
  $$ select org_id, role, version, created_at, updated_at from public.organization_members
     where user_id = '00000000-0000-4000-8000-000000000003' $$,
  $$ values ('a0000000-0000-4000-8000-000000000000'::uuid, 'editor', 2, now(), now()) $$,
  'a membership changes its role alone, and its version with it'
);
update public.organizations set
  id = 'c0000000-0000-4000-8000-000000000000', version = 99, created_at = '1999-01-01', updated_at = '1999-01-01', name = 'changed'
  where name = 'own';
select results_eq(
  $$ select id, version, created_at, updated_at from public.organizations where name = 'changed' $$,
  $$ values ('a0000000-0000-4000-8000-000000000000'::uuid, 12, now(), now()) $$,
  'every change of an organisation, its members'' as well, adds 1 to its version'
);


-- Deleted

set local role authenticated;
set local request.jwt.claims = '{"role": "authenticated", "sub": "00000000-0000-4000-8000-000000000001"}';
select isnt_empty(
  $$ update public.organizations set deleted_at = '1999-01-01' where name = 'changed' and deleted_at is null returning id $$,
  'an owner deletes an organisation and is still shown it'
);
select is_empty(statement, format('of a deleted organisation even an owner sees no %s', name)) from (
  values
    ('select from public.organizations', 'name'),
    ('select from public.my_organizations', 'role'),
    ('select from public.organization_members', 'member'),
    ('select id from public.organization_invitations', 'invitation'),
    ('select from public.notes', 'note'),
    ('update public.organizations set deleted_at = null returning id', 'way back')
) as hidden (statement, name);
set local request.jwt.claims = '{"role": "authenticated", "sub": "00000000-0000-4000-8000-000000000006"}';
select is_empty($$ select public.accept_invitation('spare') $$, 'a token of a deleted organisation is good for nothing');
reset role;
select ok(
  (select deleted_at = now() from public.organizations where name = 'changed'),
  'an organisation is deleted now, whatever time was written'
);

insert into public.organization_members (org_id, user_id, role)
  values ('a0000000-0000-4000-8000-000000000000', '00000000-0000-4000-8000-000000000006', 'viewer');
select is_empty(
  $$ select from public.organization_members where org_id = 'a0000000-0000-4000-8000-000000000000' and live $$,
  'nobody is a member of a deleted organisation, not who is added to it afterwards either'
);
-- Whoever runs the database may.
update public.organizations set deleted_at = null where name = 'changed';
select is_empty(
  $$ select from public.organization_members where org_id = 'a0000000-0000-4000-8000-000000000000' and not live $$,
  'an organisation that is brought back has all its members again'
);
set local role authenticated;
select isnt_empty($$ select from public.organizations where name = 'changed' $$, 'who see it again');
reset role;
update public.organizations set deleted_at = now() where name = 'changed';

select lives_ok(
  $$ delete from auth.users where id = '00000000-0000-4000-8000-000000000004' $$,
  'the account of a last owner can be deleted'
);
select is_empty(
  $$ select from public.organizations as orgs join public.organization_members as members on members.org_id = orgs.id where name = 'new' $$,
  'nobody is promoted in place of a last owner whose account is gone'
);
select isnt_empty($$ select from public.organizations where name = 'new' $$, 'an organisation outlives its last owner''s account');
select lives_ok(
  $$ delete from public.organizations where name = 'changed' $$,
  'an organisation can be purged, its owners with it'
);
select is_empty(
  $$
    select from public.notes where org_id = 'a0000000-0000-4000-8000-000000000000'
    union all select from public.organization_members where org_id = 'a0000000-0000-4000-8000-000000000000'
    union all select from public.organization_invitations where org_id = 'a0000000-0000-4000-8000-000000000000'
  $$,
  'a purged organisation leaves nothing'
);

select * from finish();
rollback;
