-- Profiles: the id is the user's, everybody may read them, a trigger makes the row at sign-up, pictures are in a bucket.
create table profiles (
  id uuid primary key references auth.users,
  username text unique,
  full_name text,
  avatar_url text,
  website text,
  updated_at timestamptz,
  constraint username_length check (char_length(username) >= 3)
);
alter table profiles enable row level security;
create policy "everybody reads" on profiles for select using (true);
create policy "insert own" on profiles for insert with check ((select auth.uid()) = id);
create policy "update own" on profiles for update using ((select auth.uid()) = id);

alter table auth.users add column if not exists raw_user_meta_data jsonb;
create function public.add_profile() returns trigger language plpgsql security definer set search_path = '' as $body$
begin
  insert into public.profiles (id, full_name, avatar_url)
    values (new.id, new.raw_user_meta_data ->> 'full_name', new.raw_user_meta_data ->> 'avatar_url');
  return new;
end
$body$;
create trigger add_profile after insert on auth.users for each row execute function public.add_profile();

insert into storage.buckets (id, name) values ('avatars', 'avatars');
create policy "avatars are public" on storage.objects for select using (bucket_id = 'avatars');
create policy "add avatars" on storage.objects for insert with check (bucket_id = 'avatars');
create policy "change own avatars" on storage.objects for update using ((select auth.uid()) = owner) with check (bucket_id = 'avatars');
