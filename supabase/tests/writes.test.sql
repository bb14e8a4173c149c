-- Run by `npm test` and by `supabase test db`. What a row may contain, and what nobody chooses.
begin;
create extension if not exists pgtap with schema extensions;
select plan(95);

-- Back again with the rollback; a development database may have notes.
delete from public.notes;

insert into auth.users (id, email) values
  ('00000000-0000-4000-8000-00000000000a', 'a@writes.test'),
  ('00000000-0000-4000-8000-00000000000b', 'b@writes.test');


-- Triggers, as the owner of the table, for whom no grant stands in the way

insert into public.notes (id, user_id, title, version, created_at, updated_at, deleted_at) values
  ('10000000-0000-4000-8000-00000000000a', '00000000-0000-4000-8000-00000000000a', 'note', 99, '1999-01-01', '2999-01-01', '1999-01-01');
select results_eq(
  'select version, created_at, updated_at, deleted_at from public.notes',
  'values (1, now(), now(), null::timestamptz)',
  'a note starts at version 1, now, and alive, whatever was written'
);

update public.notes set
  id = '10000000-0000-4000-8000-00000000000b', user_id = '00000000-0000-4000-8000-00000000000b',
  version = 99, created_at = '1999-01-01', updated_at = '1999-01-01', title = 'changed';
select results_eq(
  'select id, user_id, version, created_at, updated_at, title from public.notes',
  $$ values (
    '10000000-0000-4000-8000-00000000000a'::uuid, '00000000-0000-4000-8000-00000000000a'::uuid,
    2, now(), now(), 'changed'
  ) $$,
  'an update adds 1 to the version and cannot move the rest'
);

update public.notes set deleted_at = '1999-01-01';
select results_eq(
  'select deleted_at, version from public.notes', 'values (now(), 3)',
  'a note is deleted now, whatever time was written'
);
update public.notes set deleted_at = null;
select results_eq(
  'select deleted_at, version from public.notes', 'values (null::timestamptz, 4)',
  'a restore is a change'
);

alter table public.notes disable trigger user;
update public.notes set created_at = now() + interval '1 hour', updated_at = now() + interval '1 hour';
alter table public.notes enable trigger user;
select lives_ok(
  $$ update public.notes set title = 'late' $$,
  'a transaction older than the last change does not set updated_at back'
);
select ok((select updated_at >= created_at from public.notes), 'updated_at is never before created_at');


-- Checks

create function pg_temp.insert_title(title text) returns text language sql as $$
  select format(
    'insert into public.notes (user_id, title) values (''00000000-0000-4000-8000-00000000000a'', %L)', title
  )
$$;

create temporary table white_space as
  select code_point from unnest(array[
    x'0009', x'000A', x'000B', x'000C', x'000D', x'0020', x'0085', x'00A0', x'1680',
    x'2000', x'2001', x'2002', x'2003', x'2004', x'2005', x'2006', x'2007', x'2008', x'2009', x'200A',
    x'2028', x'2029', x'202F', x'205F', x'3000'
  ]) as bits, lateral (select bits::int as code_point) as converted;

select throws_ok(
  pg_temp.insert_title(chr(code_point) || 'x'), '23514', null,
  'a title cannot begin with white space ' || to_hex(code_point)
) from white_space;
select throws_ok(
  pg_temp.insert_title('x' || chr(code_point)), '23514', null,
  'a title cannot end with white space ' || to_hex(code_point)
) from white_space;
select lives_ok(
  pg_temp.insert_title('x' || chr(code_point) || 'x'),
  'a title may contain white space ' || to_hex(code_point)
) from white_space;

-- Not White_Space in Unicode, whatever they look like: zero width space, byte order mark,
-- Mongolian vowel separator.
select lives_ok(
  pg_temp.insert_title(chr(code_point)), 'a title may be ' || to_hex(code_point)
) from unnest(array[x'200B'::int, x'FEFF'::int, x'180E'::int]) as code_point;

select throws_ok(pg_temp.insert_title(''), '23514', null, 'a title is not empty');
select lives_ok(pg_temp.insert_title(repeat('🙂', 200)), 'a title may have 200 characters outside the BMP');
select throws_ok(pg_temp.insert_title(repeat('🙂', 201)), '23514', null, 'a title has at most 200 characters');
select lives_ok(pg_temp.insert_title(repeat(U&'e\0301', 100)), 'a combining mark counts as a character');
select throws_ok(pg_temp.insert_title(repeat(U&'e\0301', 101)), '23514', null, 'and is counted beyond the limit');
select throws_ok(pg_temp.insert_title(null), '23502', null, 'a title is not null');

select lives_ok($$ update public.notes set body = repeat('🙂', 20000) $$, 'a body may have 20000 characters');
select throws_ok(
  $$ update public.notes set body = repeat('x', 20001) $$, '23514', null,
  'a body has at most 20000 characters'
);
select throws_ok($$ update public.notes set body = null $$, '23502', null, 'a body is not null');


-- Owners

delete from auth.users where id = '00000000-0000-4000-8000-00000000000a';
select is_empty('select id from public.notes', 'the notes of a user go with the user');
select throws_ok(
  pg_temp.insert_title('x'), '23503', null,
  'a note has an owner that exists'
);

select * from finish();
rollback;
