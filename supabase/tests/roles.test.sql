-- The rights of each role in its own organisation and in another, by the policies only, without grants and triggers.
begin;
create extension if not exists pgtap with schema extensions;
select plan(136);

-- As the owner of the tables, who has no auth.uid().
insert into auth.users (id, email) values
  ('00000000-0000-4000-8000-000000000001', 'owner@roles.test'),
  ('00000000-0000-4000-8000-000000000002', 'editor@roles.test'),
  ('00000000-0000-4000-8000-000000000003', 'viewer@roles.test'),
  ('00000000-0000-4000-8000-000000000004', 'outsider@roles.test'),
  ('00000000-0000-4000-8000-000000000005', 'mate@roles.test'),
  ('00000000-0000-4000-8000-000000000006', 'stranger@roles.test');
insert into airlock.organizations (id, name) values
  ('a0000000-0000-4000-8000-000000000000', 'own'),
  ('b0000000-0000-4000-8000-000000000000', 'other');
insert into airlock.members (org_id, user_id, role) values
  ('a0000000-0000-4000-8000-000000000000', '00000000-0000-4000-8000-000000000001', 'owner'),
  ('a0000000-0000-4000-8000-000000000000', '00000000-0000-4000-8000-000000000002', 'editor'),
  ('a0000000-0000-4000-8000-000000000000', '00000000-0000-4000-8000-000000000003', 'viewer'),
  ('a0000000-0000-4000-8000-000000000000', '00000000-0000-4000-8000-000000000005', 'owner'),
  ('b0000000-0000-4000-8000-000000000000', '00000000-0000-4000-8000-000000000005', 'viewer'),
  ('b0000000-0000-4000-8000-000000000000', '00000000-0000-4000-8000-000000000006', 'owner');
insert into airlock.invitations (org_id, role, created_by, token_digest) values
  ('a0000000-0000-4000-8000-000000000000', 'editor', '00000000-0000-4000-8000-000000000001', encode(sha256('own'), 'hex')),
  ('b0000000-0000-4000-8000-000000000000', 'editor', '00000000-0000-4000-8000-000000000006', encode(sha256('other'), 'hex'));

\ir include/rows_of.psql

create temporary table people (who text, id text);
insert into people values
  ('owner', '00000000-0000-4000-8000-000000000001'),
  ('editor', '00000000-0000-4000-8000-000000000002'),
  ('viewer', '00000000-0000-4000-8000-000000000003'),
  ('outsider', '00000000-0000-4000-8000-000000000004');

grant all on airlock.organizations, airlock.members, airlock.invitations to authenticated;
alter table airlock.organizations disable trigger user;
alter table airlock.members disable trigger user;

-- $org is the organisation, $away the other one, $me the caller.
create temporary table cases (name text, statement text, own text[], other text[]);
insert into cases values
  -- The owner, the editor, the viewer and the outsider: in the first organisation, and in the other one.
  ('read an organisation', $$ select from airlock.organizations where id = $org $$,
    '{1,1,1,0}', '{0,0,0,0}'),
  ('add an organisation', $$ insert into airlock.organizations (name) values ('x') $$,
    '{42501,42501,42501,42501}', '{42501,42501,42501,42501}'),
  ('change an organisation', $$ update airlock.organizations set name = 'x' where id = $org $$,
    '{1,0,0,0}', '{0,0,0,0}'),
  ('soft delete an organisation', $$ update airlock.organizations set deleted_at = now() where id = $org returning id $$,
    '{1,0,0,0}', '{0,0,0,0}'),
  ('delete an organisation', $$ delete from airlock.organizations where id = $org $$,
    '{0,0,0,0}', '{0,0,0,0}'),

  ('read its members', $$ select from airlock.members where org_id = $org $$,
    '{4,4,4,0}', '{0,0,0,0}'),
  ('add a member', $$ insert into airlock.members (org_id, user_id, role) values ($org, '00000000-0000-4000-8000-000000000004', 'viewer') $$,
    '{42501,42501,42501,42501}', '{42501,42501,42501,42501}'),
  ('change a role', $$ update airlock.members set role = 'editor' where org_id = $org and user_id = '00000000-0000-4000-8000-000000000005' $$,
    '{1,0,0,0}', '{0,0,0,0}'),
  ('become an owner', $$ update airlock.members set role = 'owner' where org_id = $org and user_id = $me $$,
    '{1,0,0,0}', '{0,0,0,0}'),
  ('move a member to the other organisation', $$ update airlock.members set org_id = $away where org_id = $org and user_id = $me $$,
    '{42501,0,0,0}', '{0,0,0,0}'),
  ('remove a member', $$ delete from airlock.members where org_id = $org and user_id = '00000000-0000-4000-8000-000000000005' $$,
    '{1,0,0,0}', '{0,0,0,0}'),
  ('leave', $$ delete from airlock.members where org_id = $org and user_id = $me $$,
    '{1,1,1,0}', '{0,0,0,0}'),

  ('read its invitations', $$ select from airlock.invitations where org_id = $org $$,
    '{1,0,0,0}', '{0,0,0,0}'),
  ('invite', $$ insert into airlock.invitations (org_id, role, token_digest) values ($org, 'viewer', repeat('0', 64)) $$,
    '{1,42501,42501,42501}', '{42501,42501,42501,42501}'),
  ('invite as another', $$ insert into airlock.invitations (org_id, role, token_digest, created_by) values ($org, 'viewer', repeat('0', 64), '00000000-0000-4000-8000-000000000005') $$,
    '{42501,42501,42501,42501}', '{42501,42501,42501,42501}'),
  -- Column grants leave them the token alone.
  ('change an invitation', $$ update airlock.invitations set role = 'owner' where org_id = $org $$,
    '{1,0,0,0}', '{0,0,0,0}'),
  ('revoke an invitation', $$ delete from airlock.invitations where org_id = $org $$,
    '{1,0,0,0}', '{0,0,0,0}');

select is(
  pg_temp.rows_of(
    people.id,
    replace(replace(replace(statement, '$org', quote_literal(org)), '$away', quote_literal(away)), '$me', quote_literal(people.id))
  ),
  expected,
  format('%s, %s organisation: %s', people.who, which, name)
)
from cases
cross join lateral (
  values
    ('own', own, 'a0000000-0000-4000-8000-000000000000', 'b0000000-0000-4000-8000-000000000000'),
    ('other', other, 'b0000000-0000-4000-8000-000000000000', 'a0000000-0000-4000-8000-000000000000')
) as places (which, outcomes, org, away)
cross join lateral unnest(array['owner', 'editor', 'viewer', 'outsider'], outcomes) as outcome (who, expected)
join people using (who);

select * from finish();
rollback;
