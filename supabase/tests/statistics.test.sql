-- Run by `npm test` and by `supabase test db`.
begin;
create extension if not exists pgtap with schema extensions;
select plan(4);

-- A role is one of three words, which is no secret.
select is_empty(
  $$
    select attrelid::regclass, attname from pg_attribute
      where attrelid in (select oid from pg_class where relnamespace = 'public'::regnamespace and relkind in ('r', 'p'))
        and attnum > 0 and not attisdropped
        and atttypid in ('text'::regtype, 'tsvector'::regtype)
        and attname <> 'role'
        and (has_column_privilege('anon', attrelid, attnum, 'SELECT') or has_column_privilege('authenticated', attrelid, attnum, 'SELECT'))
        and attstattarget is distinct from 0
  $$,
  'the planner learns nothing of a text that callers may ask for'
);

insert into auth.users (id, email) values
  ('00000000-0000-4000-8000-00000000000a', 'a@statistics.test');
insert into public.notes (user_id, title, body)
  select '00000000-0000-4000-8000-00000000000a', 'Merger with ' || n, 'secret' from generate_series(1, 200) as n;
analyze public.notes;
select is_empty(
  $$ select attname from pg_stats where schemaname = 'public' and tablename = 'notes' and attname in ('title', 'body', 'search') $$,
  'nor when it looks at the table'
);

set local role authenticated;
set local request.jwt.claims = '{"role": "authenticated", "sub": "00000000-0000-4000-8000-00000000000a"}';

select lives_ok(
  $$ insert into public.idempotency_keys (key, digest, note_id) values ('order-0001', repeat('0', 64), gen_random_uuid()) $$,
  'a caller may write a key'
);
select results_eq(
  $$ update public.idempotency_keys set created_at = 'infinity' returning created_at = now() $$, array[true],
  'a caller does not choose when the 24 hours of a key begin'
);

select * from finish();
rollback;
