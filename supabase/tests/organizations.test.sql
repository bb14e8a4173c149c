-- Organisations, with grants and triggers in place. roles.test.sql tests the policies by themselves.
begin;
create extension if not exists pgtap with schema extensions;
\ir include/versioned.psql
select plan(151);

-- As the owner of the tables, who has no auth.uid(). People: 1 and 5 own organisation a, 2 edits, 3 views, 4 is in none,
-- 6 owns organisation b.
create function pg_temp.person(number integer) returns uuid language sql as $$
  select format('00000000-0000-4000-8000-00000000000%s', number)::uuid
$$;
create function pg_temp.org(letter text) returns uuid language sql as $$
  select format('%s0000000-0000-4000-8000-000000000000', letter)::uuid
$$;
create function pg_temp.digest(token text) returns text language sql as $$
  select encode(sha256(convert_to(token, 'UTF8')), 'hex')
$$;
insert into auth.users (id, email)
  select pg_temp.person(number), format('%s@organizations.test', number) from generate_series(1, 8) as number;
insert into airlock.organizations (id, name) values (pg_temp.org('a'), 'own'), (pg_temp.org('b'), 'other');
insert into airlock.members (org_id, user_id, role) values
  (pg_temp.org('a'), pg_temp.person(1), 'owner'),
  (pg_temp.org('a'), pg_temp.person(2), 'editor'),
  (pg_temp.org('a'), pg_temp.person(3), 'viewer'),
  (pg_temp.org('a'), pg_temp.person(5), 'owner'),
  (pg_temp.org('b'), pg_temp.person(5), 'viewer'),
  (pg_temp.org('b'), pg_temp.person(6), 'owner');

-- A resource of organisations, as the generator makes it.
create table public.papers (
  id uuid not null default gen_random_uuid() primary key,
  user_id uuid references auth.users (id) on delete set null,
  org_id uuid not null references airlock.organizations (id) on delete cascade,
  title text not null,
  like versioned including defaults,
  published_at timestamptz
);
create trigger airlock_touch_insert before insert on public.papers for each row execute function airlock.touch_insert();
create trigger airlock_touch_update before update on public.papers for each row execute function airlock.touch_update();
create trigger airlock_role after insert or update on public.papers for each row execute function airlock.require_editor();
alter table public.papers enable row level security;
create policy papers_select on public.papers for select to authenticated
  using (org_id = any (array(select id from airlock.org_ids('viewer') as id)));
create policy papers_update on public.papers for update to authenticated
  using (org_id = any (array(select id from airlock.org_ids('editor') as id)));
create policy papers_select_published on public.papers for select to anon
  using (published_at is not null and airlock.org_is_live(org_id));
grant select, update (title) on public.papers to authenticated;
grant select on public.papers to anon;
select airlock.serve('papers', 'public.papers', 'org', array['title'], publish => array['title']);

insert into public.papers (id, org_id, user_id, title) values
  ('a1000000-0000-4000-8000-000000000000', pg_temp.org('a'), pg_temp.person(5), 'own'),
  ('b1000000-0000-4000-8000-000000000000', pg_temp.org('b'), pg_temp.person(6), 'other');

-- The answer of this call to this person: its JSON, or SQLSTATE and message of the error.
create function pg_temp.asked(who integer, call text, headers text default '{}') returns text language plpgsql as $$
declare
  answer text;
begin
  perform set_config('request.jwt.claims', json_build_object('role', 'authenticated', 'sub', pg_temp.person(who))::text, true);
  perform set_config('request.headers', headers, true);
  set local role authenticated;
  execute 'select ' || call into answer;
  reset role;
  perform set_config('request.jwt.claims', '', true), set_config('request.headers', '', true);
  return answer;
exception when others then
  return sqlstate || ' ' || sqlerrm;
end
$$;
-- The outcome alone, or the error.
create function pg_temp.outcome(who integer, call text, headers text default '{}') returns text language plpgsql as $$
declare
  answer constant text := pg_temp.asked(who, call, headers);
begin
  return case when answer like '{%' then answer::json ->> 'outcome' else answer end;
end
$$;
-- The same, and then it is undone.
create function pg_temp.tried(who integer, call text, headers text default '{}') returns text language plpgsql as $$
declare
  outcome text;
begin
  outcome := pg_temp.outcome(who, call, headers);
  raise sqlstate 'UNDO0';
exception when sqlstate 'UNDO0' then
  return outcome;
end
$$;
\ir include/rows_of.psql
create function pg_temp.rows_of(who integer, statement text) returns text language sql as $$
  select pg_temp.rows_of(pg_temp.person(who)::text, statement)
$$;
create function pg_temp.org_version() returns integer language sql volatile as $$
  select version from airlock.organizations where id = pg_temp.org('a')
$$;


-- Creating

select is(pg_temp.rows_of(1, 'select from airlock.members'), '4', 'the policy of members does not call itself');
select is(
  pg_temp.asked(4, $$ public.airlock_org_create('new') #>> '{row,name}' $$), 'new', 'a signed-in user creates an organisation'
);
select is(
  pg_temp.asked(4, $$ public.airlock_orgs(null, 20) #>> '{data,0,role}' $$), 'owner', 'the creator is its owner'
);
select is(
  pg_temp.asked(4, $$ public.airlock_orgs(null, 20) #>> '{data,0,version}' $$), '1', 'a new organisation has version 1'
);
select is(
  left(pg_temp.tried(4, format('public.airlock_org_create(%L)', name)), 5), '23514', format('no organisation is called %L', left(name, 9))
) from unnest(array['', ' x', E'x\u00a0', repeat('x', 201)]) as name;
select is(pg_temp.rows_of(4, $$ insert into airlock.organizations (name) values ('x') $$), '42501', 'no organisation starts without an owner');
select is(
  pg_temp.tried(4, $$ public.airlock_org_create('x', 'key-0001', repeat('0', 64)) $$), 'created', 'a new key creates an organisation'
);
create temporary table keyed as
  select pg_temp.asked(4, $$ public.airlock_org_create('keyed', 'key-0001', repeat('0', 64)) #>> '{row,id}' $$)::uuid as id;
select is(
  pg_temp.asked(4, $$ public.airlock_org_create('keyed', 'key-0001', repeat('0', 64)) #>> '{row,id}' $$), id::text,
  'a known key answers the organisation that it created'
) from keyed;
select is(
  pg_temp.outcome(4, $$ public.airlock_org_create('else', 'key-0001', repeat('1', 64)) $$), 'reused', 'a key is refused for other fields'
);
select is(
  pg_temp.outcome(4, format($$ public.airlock_invite(%L, 'viewer', repeat('0', 64), 'key-0001', repeat('0', 64)) $$, id)), 'reused',
  'a key of one path is refused for another path'
) from keyed;
select is(
  pg_temp.outcome(6, $$ public.airlock_org_create('mine', 'key-0001', repeat('0', 64)) $$), 'created', 'a key is for one user'
);
select is(pg_temp.outcome(4, format($$ public.airlock_org_change(%L, 'delete', null, null) $$, id)), 'done', 'an owner deletes the keyed organisation') from keyed;
select is(
  pg_temp.outcome(4, $$ public.airlock_org_create('keyed', 'key-0001', repeat('0', 64)) $$), 'deleted',
  'a key of a deleted organisation creates no other'
);
set local role authenticated;
set local request.jwt.claims = '{"role": "authenticated"}';
select throws_ok($$ select public.airlock_org_create('x') $$, '23502', null, 'a token without a subject creates nothing');
select is(
  public.airlock_orgs(null, 20)::text, '{"data":[],"next_cursor":null}', 'a token without a subject is a member of nothing'
);
reset role;
set local role anon;
select throws_ok($$ select public.airlock_org_create('x') $$, '42501', null, 'anon creates nothing');
reset role;


-- Changing

select is(pg_temp.tried(who, call), expected, name) from (values
  (1, $$ public.airlock_org_change(pg_temp.org('a'), 'rename', 'x', null) $$, 'done', 'an owner renames'),
  (1, $$ public.airlock_org_change(pg_temp.org('a'), 'rename', 'x', pg_temp.org_version()) $$, 'done', 'an owner renames this version'),
  (1, $$ public.airlock_org_change(pg_temp.org('a'), 'rename', 'x', 99) $$, 'mismatch', 'an owner does not rename another version'),
  (2, $$ public.airlock_org_change(pg_temp.org('a'), 'rename', 'x', null) $$, 'forbidden', 'an editor does not rename'),
  (4, $$ public.airlock_org_change(pg_temp.org('a'), 'rename', 'x', null) $$, 'missing', 'an outsider finds nothing to rename'),
  (4, $$ public.airlock_org_change(pg_temp.org('c'), 'rename', 'x', null) $$, 'missing', 'nobody renames what does not exist'),
  (1, $$ public.airlock_org_change(pg_temp.org('a'), 'delete', null, null) $$, 'done', 'an owner deletes'),
  (3, $$ public.airlock_org_change(pg_temp.org('a'), 'delete', null, null) $$, 'forbidden', 'a viewer does not delete'),
  (1, $$ public.airlock_member_change(pg_temp.org('a'), pg_temp.person(3), 'set_role', 'editor', 1) $$, 'done', 'an owner sets a role'),
  (1, $$ public.airlock_member_change(pg_temp.org('a'), pg_temp.person(3), 'set_role', 'editor', 2) $$, 'mismatch', 'an owner sets no role of another version'),
  (2, $$ public.airlock_member_change(pg_temp.org('a'), pg_temp.person(2), 'set_role', 'owner', null) $$, 'forbidden', 'an editor does not become an owner'),
  (1, $$ public.airlock_member_change(pg_temp.org('a'), pg_temp.person(4), 'set_role', 'editor', null) $$, 'missing', 'an outsider gets no role'),
  (4, $$ public.airlock_member_change(pg_temp.org('a'), pg_temp.person(3), 'set_role', 'editor', null) $$, 'missing', 'an outsider finds no members'),
  (1, $$ public.airlock_member_change(pg_temp.org('a'), pg_temp.person(3), 'remove', null, null) $$, 'done', 'an owner removes a member'),
  (2, $$ public.airlock_member_change(pg_temp.org('a'), pg_temp.person(3), 'remove', null, null) $$, 'forbidden', 'an editor removes nobody else'),
  (3, $$ public.airlock_member_change(pg_temp.org('a'), pg_temp.person(3), 'remove', null, null) $$, 'done', 'a viewer leaves'),
  (5, $$ public.airlock_member_change(pg_temp.org('a'), pg_temp.person(5), 'remove', null, null) $$, 'done', 'one of two owners leaves'),
  (5, $$ public.airlock_member_change(pg_temp.org('a'), pg_temp.person(5), 'set_role', 'viewer', null) $$, 'done', 'one of two owners steps down'),
  (6, $$ public.airlock_member_change(pg_temp.org('b'), pg_temp.person(6), 'remove', null, null) $$, 'PT409 airlock_last_owner', 'the last owner does not leave'),
  (6, $$ public.airlock_member_change(pg_temp.org('b'), pg_temp.person(6), 'set_role', 'viewer', null) $$, 'PT409 airlock_last_owner', 'the last owner does not step down'),
  (6, $$ public.airlock_member_change(pg_temp.org('b'), pg_temp.person(6), 'set_role', 'owner', null) $$, 'done', 'the last owner stays one')
) as changes (who, call, expected, name);
select is(pg_temp.rows_of(1, $$ delete from airlock.members where role = 'owner' $$), '42501', 'not all owners are removed at once');
select is(pg_temp.rows_of(1, $$ update airlock.members set role = 'editor' $$), '42501', 'not all owners are demoted at once');


-- Copies of a request: one nonce, different request ids

create function pg_temp.copy(request integer, nonce text) returns text language sql as $$
  select json_build_object('x-airlock-claim', format('v1.300.00000000-0000-4000-8000-00000000000%s.rn-ios:%s', request, rpad(nonce, 22, 'A')))::text
$$;
select is(pg_temp.outcome(1, $$ public.airlock_org_change(pg_temp.org('a'), 'rename', 'own', 99) $$, pg_temp.copy(1, 'a')), 'mismatch', 'a refused request is answered as such');
select is(pg_temp.outcome(1, $$ public.airlock_org_change(pg_temp.org('a'), 'rename', 'own', null) $$, pg_temp.copy(2, 'a')), 'done', 'its nonce is free for a copy');
select is(
  pg_temp.outcome(1, $$ public.airlock_org_change(pg_temp.org('a'), 'rename', 'own', 99) $$, pg_temp.copy(3, 'a')),
  'PT409 airlock_request_replayed', 'a copy of a done request is request_replayed with any condition'
);
select is(
  pg_temp.outcome(8, $$ public.airlock_org_create('copied') $$, pg_temp.copy(request, 'b')), expected, format('copy %s of a creation: %s', request, left(expected, 5))
) from (values (1, 'created'), (2, 'PT409 airlock_request_replayed')) as copies (request, expected);
insert into airlock.members (org_id, user_id, role) values (pg_temp.org('b'), pg_temp.person(8), 'viewer');
select is(
  pg_temp.outcome(8, $$ public.airlock_member_change(pg_temp.org('b'), pg_temp.person(8), 'remove', null, null) $$, pg_temp.copy(request, 'c')),
  expected, format('copy %s of a departure: %s', request, left(expected, 5))
) from (values (1, 'done'), (2, 'PT409 airlock_request_replayed')) as copies (request, expected);
select is(
  pg_temp.outcome(6, $$ public.airlock_org_create('mine', 'key-0001', repeat('0', 64)) $$, pg_temp.copy(request, 'd')), 'created',
  format('copy %s of a request with a known key changes nothing', request)
) from generate_series(1, 2) as request;
select is(
  pg_temp.tried(1, $$ public.airlock_org_change(pg_temp.org('a'), 'rename', 'x', null) $$, '{"x-airlock-claim": "v1"}'),
  'PT400 airlock_malformed_claim', 'a malformed claim is refused'
);


-- Reading

select is(pg_temp.asked(4, $$ public.airlock_members(pg_temp.org('a'), null, 20) $$), 'PT404 airlock_not_found', 'an outsider lists no members');
select is(
  pg_temp.asked(3, $$ json_array_length(public.airlock_members(pg_temp.org('a'), null, 20) -> 'data') $$), '4', 'a viewer lists all members'
);
select is(
  pg_temp.asked(3, $$ public.airlock_members(pg_temp.org('a'), null, 4) ->> 'next_cursor' $$), null, 'a full last page has no cursor'
);
select is(
  pg_temp.asked(3, $$ public.airlock_members(pg_temp.org('a'), null, 1) #>> '{next_cursor}' $$),
  (select airlock.cursor(json_build_array('airlock.member_rows', created_at, user_id)) from airlock.members where org_id = pg_temp.org('a') order by created_at desc, user_id desc limit 1),
  'a page that is not the last has the cursor after its last row'
);
select is(
  pg_temp.asked(3, $$ json_array_length(public.airlock_members(
    pg_temp.org('a'), airlock.cursor(json_build_array('airlock.member_rows', now(), pg_temp.person(5))), 20
  ) -> 'data') $$), '3',
  'a page starts after its cursor'
);
select is(left(pg_temp.asked(3, format('public.airlock_orgs(null, %s)', size)), 5), '22023', format('no page has %s rows', size))
  from unnest(array['0', '101', 'null']) as size;
select is(pg_temp.asked(4, $$ public.airlock_org(pg_temp.org('a')) $$), null, 'an outsider reads no organisation');
select is(pg_temp.asked(4, $$ public.airlock_member(pg_temp.org('a'), pg_temp.person(1)) $$), null, 'an outsider reads no member');
select is(
  pg_temp.asked(2, $$ public.airlock_invitations(pg_temp.org('a'), null, 20) $$),
  '42501 row-level security: the caller does not have this role in the organisation', 'an editor lists no invitations'
);
select is(pg_temp.asked(4, $$ public.airlock_invitations(pg_temp.org('a'), null, 20) $$), 'PT404 airlock_not_found', 'an outsider lists no invitations');


-- Embedded rows: of users, and of organisations, whose editors see them

create table public.jottings (id uuid primary key, user_id uuid not null, paper uuid not null);
create table public.remarks (id uuid primary key, user_id uuid not null, org_id uuid, paper uuid not null);
alter table public.jottings enable row level security;
alter table public.remarks enable row level security;
create policy jottings_select on public.jottings for select to authenticated using ((select auth.uid()) = user_id);
create policy remarks_select on public.remarks for select to authenticated using (
  case when org_id is null then (select auth.uid()) = user_id else org_id = any (array(select id from airlock.org_ids('editor') as id)) end
);
grant select on public.jottings, public.remarks to authenticated;
do $$
begin
  perform airlock.serve(
    name, format('public.%I', name)::regclass, owner, array['paper'], version => null, created => null, updated => null, deleted => null
  ) from (values ('jottings', 'user'), ('remarks', 'both')) as made (name, owner);
end
$$;
insert into public.jottings
  select pg_temp.person(number), pg_temp.person(number), 'a1000000-0000-4000-8000-000000000000' from generate_series(2, 5) as number;
insert into public.remarks
  select id, user_id, null, paper from public.jottings
  union all
  select pg_temp.org(letter), pg_temp.person(5), pg_temp.org(letter), 'a1000000-0000-4000-8000-000000000000' from unnest(array['a', 'b']) as letter;
create function pg_temp.embedded(who integer, call text) returns text language sql as $$
  select pg_temp.asked(who, format(call, '[
    {"name": "jottings", "resource": "jottings", "many": true, "field": "paper", "fields": ["id"]},
    {"name": "remarks", "resource": "remarks", "many": true, "field": "paper", "fields": ["id"]}
  ]'))
$$;
select is(pg_temp.embedded(who, call), expected, name) from (values
  (
    3, $$ public.airlock_read('papers', pg_temp.org('a'), 'a1000000-0000-4000-8000-000000000000', %L) ->> 'included' $$,
    '{"jottings":{"data":[],"more":false},"remarks":{"data":[],"more":false}}', 'a viewer reads no embedded row that a policy hides'
  ),
  (
    2, $$ public.airlock_read('papers', pg_temp.org('a'), 'a1000000-0000-4000-8000-000000000000', %L) ->> 'included' $$,
    format('{"jottings":{"data":[],"more":false},"remarks":{"data":[{"id":"%s"}],"more":false}}', pg_temp.org('a')),
    'an editor reads embedded rows of this organisation, and none of users'
  ),
  (
    2, $$ public.airlock_list('papers', pg_temp.org('a'), 'active', null, null, 20, included => %L) #>> '{data,0,included,remarks,data}' $$,
    format('[{"id":"%s"}]', pg_temp.org('a')), 'a list embeds the same rows'
  ),
  (
    4, $$ public.airlock_read('papers', pg_temp.org('a'), 'a1000000-0000-4000-8000-000000000000', %L) ->> 'included' $$,
    'PT404 airlock_not_found', 'an outsider reads no embedded row'
  )
) as embedding (who, call, expected, name);
select is(
  pg_temp.asked(4, format(
    $$ public.airlock_read('jottings', null, %L, '[{"name": "paper", "resource": "papers", "many": false, "field": "paper", "fields": ["title"]}]') ->> 'included' $$,
    pg_temp.person(4)
  )),
  '{"paper":null}', 'a row of a user embeds no row of an organisation of others'
);
delete from airlock.resources where name in ('jottings', 'remarks');
drop table public.jottings, public.remarks;


-- Invitations: 4 is invited by 1

create function pg_temp.invite(token text, more text default '') returns text language sql as $$
  select format('public.airlock_invite(pg_temp.org(%L), %L, pg_temp.digest(%L)%s)', 'a', 'editor', token, more)
$$;
select is(pg_temp.outcome(1, pg_temp.invite(token)), 'created', 'an owner invites') from unnest(array['expired', 'spare', 'token']) as token;
select is(left(pg_temp.tried(2, pg_temp.invite('x')), 5), '42501', 'an editor does not invite');
select is(pg_temp.tried(4, pg_temp.invite('x')), 'PT404 airlock_not_found', 'an outsider does not invite');
select is(pg_temp.rows_of(1, 'select token_digest from airlock.invitations'), '42501', 'no caller reads the digest of a token');
select is(
  pg_temp.rows_of(1, $$ insert into airlock.invitations (org_id, role, token_digest, expires_at)
    values (pg_temp.org('a'), 'editor', repeat('0', 64), 'infinity') $$),
  '42501', 'no caller chooses when an invitation ends'
);
select is(
  left(pg_temp.tried(1, $$ public.airlock_invite(pg_temp.org('a'), 'editor', 'token') $$), 5), '23514', 'a token itself is not stored'
);
select ok(
  (select max(expires_at) = now() + interval '7 days' from airlock.invitations), 'an invitation is valid for seven days'
);
select is(pg_temp.tried(3, $$ public.airlock_join('token') $$), 'PT409 airlock_already_member', 'a member does not use up an invitation');
update airlock.invitations set expires_at = now() where token_digest = pg_temp.digest('expired');
select is(pg_temp.tried(4, format('public.airlock_join(%L)', token)), 'missing', format('nobody joins by %s', name)) from (values
  ('expired', 'an expired token'), ('unknown', 'an unknown token'), ('', 'an empty token'), (null, 'no token'),
  (pg_temp.digest('token'), 'the digest of a token')
) as refused (token, name);

select is(
  pg_temp.outcome(1, pg_temp.invite('first', $$, 'key-0002', repeat('0', 64)$$)), 'created', 'an owner invites under a key'
);
select is(
  pg_temp.asked(1, pg_temp.invite('second', $$, 'key-0002', repeat('0', 64)$$) || $$ #>> '{row,id}' $$),
  (select id::text from airlock.invitations where token_digest = pg_temp.digest('first')),
  'the same key answers the same invitation'
);
select is(pg_temp.tried(4, $$ public.airlock_join('first') $$), 'missing', 'the earlier token of a key ends');
select is(pg_temp.tried(4, $$ public.airlock_join('second') $$), 'done', 'the later token of a key is valid');
select is(
  pg_temp.outcome(1, pg_temp.invite('third', $$, 'key-0002', repeat('1', 64)$$)), 'reused', 'another invitation needs another key'
);
select is(
  pg_temp.outcome(1, format('public.airlock_invitation_revoke(pg_temp.org(%L), %L)', 'a', id)), 'done', 'an owner revokes an invitation'
) from airlock.invitations where token_digest = pg_temp.digest('second');
select is(
  pg_temp.outcome(1, pg_temp.invite('third', $$, 'key-0002', repeat('0', 64)$$)), 'deleted', 'a key of a revoked invitation makes no other'
);
select is(pg_temp.tried(4, $$ public.airlock_join('second') $$), 'missing', 'a revoked token joins no caller');
select is(
  pg_temp.outcome(2, 'public.airlock_invitation_revoke(pg_temp.org(''a''), gen_random_uuid())'), 'forbidden', 'an editor revokes nothing'
);
select is(
  pg_temp.outcome(1, 'public.airlock_invitation_revoke(pg_temp.org(''a''), gen_random_uuid())'), 'missing', 'an unknown invitation cannot be revoked'
);
select is(
  pg_temp.outcome(4, 'public.airlock_invitation_revoke(pg_temp.org(''a''), gen_random_uuid())'), 'missing', 'an outsider revokes nothing'
);

create temporary table before as select pg_temp.org_version() as version;
select is(pg_temp.outcome(4, $$ public.airlock_join('token') $$), 'done', 'an invited user joins');
select is(pg_temp.org_version(), version + 1, 'a new member is a change of the organisation') from before;
select is(
  pg_temp.asked(4, $$ public.airlock_org(pg_temp.org('a')) ->> 'role' $$), 'editor', 'a new member has the role of the invitation'
);
select is(pg_temp.tried(6, $$ public.airlock_join('token') $$), 'missing', 'a token is valid once');
select is(pg_temp.outcome(4, $$ public.airlock_join('token') $$), 'done', 'the same member may use it again');
select is(pg_temp.org_version(), version + 1, 'using it again changes nothing') from before;
select is(
  pg_temp.outcome(1, pg_temp.invite('more', $$, 'key-0003', repeat('0', 64)$$)), 'created', 'an owner invites a third time'
);
select is(pg_temp.outcome(7, $$ public.airlock_join('more') $$), 'done', 'another user joins');
select is(
  pg_temp.outcome(1, pg_temp.invite('again', $$, 'key-0003', repeat('0', 64)$$)), 'deleted', 'a key of an accepted invitation makes no other'
);
update airlock.members set role = 'editor' where user_id = pg_temp.person(1);
select is(pg_temp.tried(6, $$ public.airlock_join('spare') $$), 'missing', 'an invitation by a former owner is not valid');
update airlock.members set role = 'owner' where user_id = pg_temp.person(1);
select is(pg_temp.tried(6, $$ public.airlock_join('spare') $$), 'done', 'an invitation by an owner is valid');


-- Rows of an organisation: 4 is an editor now

insert into public.papers (id, org_id, user_id, title)
  values ('a2000000-0000-4000-8000-000000000000', pg_temp.org('a'), pg_temp.person(4), 'by the new editor');
select is(
  pg_temp.outcome(1, $$ public.airlock_member_change(pg_temp.org('a'), pg_temp.person(4), 'remove', null, null) $$), 'done',
  'an owner removes the new editor'
);
select is(pg_temp.rows_of(4, 'select id from public.papers'), '0', 'a removed member sees no row, not even their own');
select is(pg_temp.rows_of(4, $$ update public.papers set title = 'x' $$), '0', 'a removed member changes no row');
select is(pg_temp.outcome(4, $$ public.airlock_join('token') $$), 'missing', 'a removed member does not return by the used token');
update public.papers set org_id = pg_temp.org('b'), user_id = pg_temp.person(6) where id = 'a1000000-0000-4000-8000-000000000000';
select results_eq(
  $$ select org_id, user_id from public.papers where id = 'a1000000-0000-4000-8000-000000000000' $$,
  $$ values (pg_temp.org('a'), pg_temp.person(5)) $$, 'a row stays in its organisation and its author''s'
);
update airlock.members set role = 'editor' where user_id = pg_temp.person(3);
select results_eq(
  $$ select role, version, updated_at from airlock.members where user_id = pg_temp.person(3) $$,
  $$ values ('editor', 2, now()) $$, 'a change of a role counts up the version'
);
select is(pg_temp.rows_of(1, format('update airlock.members set %I = default', attname)), '42501', format('an owner does not write %s of a member', attname))
  from pg_attribute where attrelid = 'airlock.members'::regclass and attnum > 0 and attname <> 'role';
select is(pg_temp.rows_of(1, format('update airlock.organizations set %I = default', attname)), '42501', format('an owner does not write %s of an organisation', attname))
  from pg_attribute where attrelid = 'airlock.organizations'::regclass and attnum > 0 and attname not in ('name', 'deleted_at');


-- Deleted

select is(
  pg_temp.outcome(1, $$ public.airlock_org_change(pg_temp.org('a'), 'delete', null, pg_temp.org_version()) $$), 'done', 'an owner deletes the organisation'
);
select is(pg_temp.rows_of(1, statement), '0', format('in a deleted organisation even an owner sees no %s', name)) from (values
  ('select from airlock.organizations', 'name'), ('select from airlock.members', 'member'),
  ('select id from airlock.invitations', 'invitation'), ('select from public.papers', 'row'),
  ('update airlock.organizations set deleted_at = null', 'way back')
) as hidden (statement, name);
select is(pg_temp.outcome(6, $$ public.airlock_join('spare') $$), 'missing', 'a deleted organisation cannot be joined');
select is(pg_temp.outcome(7, $$ public.airlock_join('more') $$), 'missing', 'a member does not join a deleted organisation again');
insert into airlock.members (org_id, user_id, role) values (pg_temp.org('a'), pg_temp.person(6), 'viewer');
select ok(not live, 'nobody is added to a deleted organisation as a live member') from airlock.members
  where org_id = pg_temp.org('a') and user_id = pg_temp.person(6);
update airlock.organizations set deleted_at = null where id = pg_temp.org('a');
select is(pg_temp.rows_of(6, 'select from airlock.organizations'), '3', 'the database''s owner may restore an organisation');


-- Deleted accounts

select lives_ok($$ delete from auth.users where id = pg_temp.person(5) $$, 'the account of one of two owners can be deleted');
select results_eq(
  $$ select deleted_at, (select user_id from public.papers where title = 'own') from airlock.organizations where id = pg_temp.org('a') $$,
  $$ values (null::timestamptz, null::uuid) $$, 'the organisation and its rows outlive an owner''s account'
);
update public.papers set published_at = now() where title = 'own';
select lives_ok($$ delete from auth.users where id = pg_temp.person(1) $$, 'the account of the last owner can be deleted');
select results_eq(
  $$ select deleted_at, (select count(*) from airlock.members where org_id = id and live) from airlock.organizations where id = pg_temp.org('a') $$,
  $$ values (now(), 0::bigint) $$, 'the organisation is deleted with its last owner'
);
set local role anon;
select is_empty('select id from public.papers', 'rows of a deleted organisation are not published');
reset role;


-- Edge-only mode: every call here is without a proof

update airlock.edge_settings set mode = 'enforce', secret = repeat('x', 32);
select is(pg_temp.tried(6, call), expected, format('in edge-only mode nobody %s', name)) from (values
  ($$ public.airlock_org_create('x') $$, 'PT403 airlock_edge_only', 'creates an organisation'),
  ($$ public.airlock_org_change(pg_temp.org('b'), 'rename', 'x', null) $$, 'PT403 airlock_edge_only', 'renames'),
  ($$ public.airlock_member_change(pg_temp.org('b'), pg_temp.person(6), 'set_role', 'owner', null) $$, 'PT403 airlock_edge_only', 'sets a role'),
  ($$ public.airlock_invite(pg_temp.org('b'), 'viewer', repeat('0', 64)) $$, 'PT403 airlock_edge_only', 'invites'),
  ($$ public.airlock_invitation_revoke(pg_temp.org('b'), gen_random_uuid()) $$, 'PT403 airlock_edge_only', 'revokes'),
  ($$ public.airlock_join('x') $$, 'PT403 airlock_edge_only', 'joins'),
  ($$ public.airlock_org(pg_temp.org('b')) $$, null, 'reads an organisation'),
  ($$ public.airlock_member(pg_temp.org('b'), pg_temp.person(6)) $$, null, 'reads a member'),
  ($$ public.airlock_members(pg_temp.org('b'), null, 20) #>> '{data,0}' $$, null, 'lists a member')
) as closed (call, expected, name);
update airlock.edge_settings set mode = 'off';


-- Purged

update airlock.organizations set deleted_at = now() where id = pg_temp.org('b');
create temporary table purged as
  select airlock.purge_organizations(now() - interval '1 second', 100) as early, 0 as rows, 0 as rest;
update purged set rows = airlock.purge_organizations(now(), 1);
select results_eq('select early, rows from purged', $$ values (0, 1) $$, 'a batch of one row deletes one row');
update purged set rest = airlock.purge_organizations(now(), 100);
select is_empty(
  $$
    select from public.papers where org_id is not null
    union all select from airlock.members where org_id in (pg_temp.org('a'), pg_temp.org('b'))
    union all select from airlock.organizations where deleted_at is not null
  $$,
  'a purged organisation leaves nothing'
);

-- Rows with a required ref to other rows of the organisation, and a user's own row with one.
create table public.targets (
  id uuid not null default gen_random_uuid() primary key, user_id uuid, org_id uuid references airlock.organizations (id) on delete cascade,
  version integer not null default 1, created_at timestamptz not null default now(), updated_at timestamptz, deleted_at timestamptz
);
create table public.zz_sources (like public.targets including all);
alter table public.zz_sources add column target uuid not null references public.targets (id) deferrable initially deferred;
alter table public.targets enable row level security;
alter table public.zz_sources enable row level security;
select airlock.serve('targets', 'public.targets', 'both', array[]::text[]), airlock.serve('zz_sources', 'public.zz_sources', 'both', array['target']);
insert into airlock.organizations (id, name, deleted_at) values (pg_temp.org('d'), 'd', now()), (pg_temp.org('e'), 'e', now());
insert into public.targets (org_id) select pg_temp.org(letter) from unnest(array['d', 'd', 'e']) as letter;
insert into public.zz_sources (org_id, target) select nullif(org_id, pg_temp.org('e')), id from public.targets;
select is(airlock.purge_organizations(now(), 100), 5, 'rows that refer to others are deleted before them');
set constraints all immediate;
select results_eq('select name from airlock.organizations where deleted_at is not null', array['e'], 'the target of a user''s required ref keeps its organisation');
delete from public.zz_sources;
select is(airlock.purge_organizations(now(), 100), 2, 'and no longer than that row');

select * from finish();
rollback;
