-- Two demo users for development. `npm run dev` makes them; for `supabase start`, run this file with psql.
-- Running it again changes nothing. Never run it against a project that is reachable by others: the password is public.
-- It is not supabase/seed.sql, because hosted Supabase runs that in every preview branch.

insert into auth.users (
  instance_id, id, aud, role, email, encrypted_password, email_confirmed_at,
  raw_app_meta_data, raw_user_meta_data, created_at, updated_at,
  -- Supabase Auth fails to read a user whose tokens are null.
  confirmation_token, recovery_token, email_change, email_change_token_new
)
select
  '00000000-0000-0000-0000-000000000000', demo.id, 'authenticated', 'authenticated', demo.email,
  extensions.crypt('airlock-dev-password', extensions.gen_salt('bf')), now(),
  '{"provider": "email", "providers": ["email"]}', '{}', now(), now(),
  '', '', '', ''
from (
  values
    ('a11ce000-0000-4000-8000-000000000000'::uuid, 'alice@example.com'),
    ('b0b00000-0000-4000-8000-000000000000'::uuid, 'bob@example.com')
) as demo (id, email)
where not exists (select from auth.users where users.email = demo.email);

insert into auth.identities (
  id, provider, provider_id, user_id, identity_data, last_sign_in_at, created_at, updated_at
)
select
  gen_random_uuid(), 'email', users.id::text, users.id,
  jsonb_build_object('sub', users.id, 'email', users.email, 'email_verified', true),
  now(), now(), now()
from auth.users
where users.email in ('alice@example.com', 'bob@example.com')
on conflict (provider_id, provider) do nothing;
