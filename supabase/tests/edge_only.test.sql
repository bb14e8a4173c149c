-- Edge-only mode: valid proofs, and how long they are valid.
begin;
create extension if not exists pgtap with schema extensions;
\ir include/own.psql
select plan(56);


-- Settings, which only the owner may read and change

select col_default_is('airlock', 'edge_settings', 'mode', 'off', 'the mode is off until an operator turns it on');
select is((select count(*) from airlock.edge_settings), 1::bigint, 'there is one row of settings');
update airlock.edge_settings set mode = 'off', secret = null, next_secret = null;
select throws_ok(
  format('update airlock.edge_settings set %s', change), '23514', null,
  'settings cannot be: ' || why
) from (values
  ('enforced without a secret', $$ mode = 'enforce' $$),
  ('reported without a secret', $$ mode = 'report' $$),
  ('of another mode', $$ mode = 'on' $$),
  ('a second row', $$ id = false $$),
  ('a secret of 31 characters', $$ secret = repeat('k', 31) $$),
  ('a secret with a space', $$ secret = repeat('k', 32) || ' ' $$),
  ('a secret with a line feed', $$ secret = repeat('k', 32) || E'\n' $$),
  ('a secret outside ASCII', $$ secret = repeat('é', 32) $$),
  ('a next secret of 31 characters', $$ next_secret = repeat('k', 31) $$)
) as cases (why, change);

select is_empty(
  $$
    select relname from pg_class
    where relnamespace = 'public'::regnamespace and relkind in ('r', 'p') and not exists (
      select from pg_policies
      where schemaname = 'public' and tablename = relname and policyname = relname || '_edge_only'
        and permissive = 'RESTRICTIVE' and cmd = 'ALL' and roles = array['anon', 'authenticated']::name[]
        and qual = '( SELECT airlock.edge_ok() AS edge_ok)' and with_check = qual
    )
  $$,
  'every exposed table requires a proof in edge-only mode'
);


-- Proofs. The settings of a request are those that PostgREST makes.

create function pg_temp.proof(
  secret text, age integer, sub text default '', method text default 'GET', path text default '/notes'
)
returns text
language sql
as $$
  select 'v1.' || seconds || '.' || encode(
    extensions.hmac(concat(E'v1\n', seconds, E'\n', sub, E'\n', method, E'\n', path), secret, 'sha256'), 'hex'
  ) from (select floor(extract(epoch from now()))::bigint - age) as time (seconds)
$$;

create function pg_temp.ok(header text, claims text default '{"role": "anon"}', method text default 'GET', path text default '/notes')
returns boolean
language plpgsql
as $$
begin
  perform
    set_config('request.headers', json_build_object('accept', '*/*', 'x-edge-proof', header)::text, true),
    set_config('request.jwt.claims', claims, true),
    set_config('request.method', method, true),
    set_config('request.path', path, true);
  return airlock.edge_ok();
end
$$;

create temporary table as_a as
  select 'a0000000-0000-4000-8000-00000000000a' as sub,
    '{"role": "authenticated", "sub": "A0000000-0000-4000-8000-00000000000A"}' as claims,
    repeat('1', 32) as one, repeat('2', 32) as two, repeat('3', 32) as three;

select ok(pg_temp.ok(null), 'off, no proof is needed');
select ok(pg_temp.ok('x'), 'off, a proof is not checked');

update airlock.edge_settings set mode = 'enforce', secret = one from as_a;
select ok(
  pg_temp.ok(pg_temp.proof(one, 0, sub), claims),
  'a proof is good for its user, however the id is spelled'
) from as_a;
select ok(
  pg_temp.ok(pg_temp.proof(one, 0)),
  'a proof without a user is good for a request without a user'
) from as_a;
select ok(
  pg_temp.ok(pg_temp.proof(one, 60, sub), claims),
  'a proof is good for 60 seconds'
) from as_a;
select ok(
  not pg_temp.ok(pg_temp.proof(one, 61, sub), claims),
  'a proof is not good for 61 seconds'
) from as_a;
select ok(
  pg_temp.ok(pg_temp.proof(one, -5, sub), claims),
  'a proof may be 5 seconds ahead'
) from as_a;
select ok(
  not pg_temp.ok(pg_temp.proof(one, -6, sub), claims),
  'a proof may not be 6 seconds ahead'
) from as_a;
select ok(
  not pg_temp.ok(pg_temp.proof(one, 0, sub), '{"role": "authenticated", "sub": "b0000000-0000-4000-8000-00000000000b"}'),
  'a proof is not good for another user'
) from as_a;
select ok(
  not pg_temp.ok(pg_temp.proof(one, 0, sub)),
  'a user''s proof is not good without a user'
) from as_a;
select ok(
  not pg_temp.ok(pg_temp.proof(one, 0), claims),
  'a proof without a user is not good for a user'
) from as_a;
select ok(
  not pg_temp.ok(pg_temp.proof(one, 0), method => 'HEAD'),
  'a proof is not good for another method'
) from as_a;
select ok(
  not pg_temp.ok(pg_temp.proof(one, 0), path => '/organizations'),
  'a proof is not good for another path'
) from as_a;
select ok(
  not pg_temp.ok(pg_temp.proof(one, 0), path => '/notes/'),
  'a proof is not good for a path that is spelled otherwise'
) from as_a;
select ok(
  not pg_temp.ok(pg_temp.proof(two, 0)),
  'a proof of another secret is not good'
) from as_a;

select ok(not pg_temp.ok(header), 'no proof: ' || why)
from as_a, lateral (select pg_temp.proof(one, 0) as good) as made, lateral (values
  ('absent', null),
  ('empty', ''),
  ('no parts', good || '.'),
  ('another version', replace(good, 'v1.', 'v2.')),
  ('upper case', upper(good)),
  ('upper-case hex', 'v1' || upper(substring(good from 3))),
  ('a digit short', left(good, -1)),
  ('a digit more', good || '0'),
  ('a space before', ' ' || good),
  ('a line feed after', good || E'\n'),
  ('two, joined', good || ', ' || good),
  ('a time with a zero before', replace(good, 'v1.', 'v1.0')),
  ('a negative time', replace(good, 'v1.', 'v1.-')),
  ('a time with a fraction', regexp_replace(good, '^v1\.(\d+)', 'v1.\1.0')),
  ('a time beyond all numbers', 'v1.' || repeat('9', 12) || '.' || right(good, 64)),
  ('the time of another', regexp_replace(good, '^v1\.\d+', 'v1.' || floor(extract(epoch from now()))::bigint - 1)),
  ('all zeros', left(good, -64) || repeat('0', 64))
) as cases (why, header);

-- As the Worker makes them: tests/vectors/edge-proof.json.
select is(
  encode(extensions.hmac(
    E'v1\n1795348800\na11ce000-0000-4000-8000-000000000001\nGET\n/notes', 'airlock-edge-proof-vector-secret', 'sha256'
  ), 'hex'),
  '3a1554b4ac7f33310f5cc81be4826f9294bcac52f2f44b47037d1dbb85eeaea8',
  'a proof is the vector''s'
);


-- Two secrets

update airlock.edge_settings set next_secret = two from as_a;
select ok(
  pg_temp.ok(pg_temp.proof(one, 0)) and pg_temp.ok(pg_temp.proof(two, 0)) and not pg_temp.ok(pg_temp.proof(three, 0)),
  'while there are two secrets, each is good'
) from as_a;
update airlock.edge_settings set secret = next_secret, next_secret = null;
select ok(
  not pg_temp.ok(pg_temp.proof(one, 0)) and pg_temp.ok(pg_temp.proof(two, 0)),
  'a removed secret is not good'
) from as_a;


-- Rows. Realtime asks the policies with a user's claims, but without a request.

insert into auth.users (id, email) values ('a0000000-0000-4000-8000-00000000000a', 'a@edge-only.test');
insert into public.things (user_id, label) values ('a0000000-0000-4000-8000-00000000000a', 'of A');
select set_config('request.headers', '', true), set_config('request.method', '', true), set_config('request.path', '', true);
select set_config('request.jwt.claims', claims, true) from as_a;
set local role authenticated;
select is_empty('select id from public.things', 'without a request no row is visible');
select is_empty($$ update public.things set label = 'x' returning id $$, 'without a request no row can be changed');
select throws_ok(
  $$ insert into public.things (label) values ('x') $$,
  '42501', 'new row violates row-level security policy "things_edge_only" for table "things"',
  'without a request no row can be added'
);
reset role;
update airlock.edge_settings set mode = 'report';
set local role authenticated;
select results_eq('select label from public.things', array['of A'], 'report lets all of it pass');
reset role;
update airlock.edge_settings set mode = 'enforce';
set local role authenticated;
select throws_ok(
  $$ select public.airlock_create('things', null, '{"label": "x"}', 'key-0000', repeat('0', 64)) $$, 'PT403', null,
  'a function with its owner''s rights asks for a proof too'
);
reset role;
delete from airlock.edge_settings;
set local role authenticated;
select is_empty('select id from public.things', 'without settings every request is refused');
select throws_ok(
  $$ select public.airlock_create('things', null, '{"label": "x"}', 'key-0000', repeat('0', 64)) $$, 'PT403', null,
  'without settings no function passes'
);
reset role;
insert into airlock.edge_settings default values;
set local role authenticated;
select isnt_empty('select id from public.things', 'off again, everything passes');
reset role;
truncate airlock.edge_settings;
set local role authenticated;
select is_empty('select id from public.things', 'with deleted settings every request is refused, even if the mode was off');

reset role;
select * from finish();
rollback;
