-- Events and their guests: a link table with two columns as its key, columns that a user may read and not write.
create table events (
  id uuid primary key default gen_random_uuid(),
  host_id uuid not null references auth.users,
  name text not null check (char_length(name) between 3 and 100),
  starts_at timestamptz not null,
  seats integer check (seats is null or seats between 1 and 5000),
  during tstzrange,
  featured boolean not null default false
);
create table rsvps (
  event_id uuid references events on delete cascade,
  user_id uuid references auth.users on delete cascade,
  answer text not null check (answer = 'yes' or answer = 'no' or answer = 'maybe'),
  primary key (event_id, user_id)
);
alter table events enable row level security;
alter table rsvps enable row level security;
create policy "own" on events for all to authenticated using (host_id = (select auth.uid())) with check (host_id = (select auth.uid()));
create policy "own" on rsvps for all to authenticated using (user_id = (select auth.uid())) with check (user_id = (select auth.uid()));
revoke insert, update on events from authenticated;
grant insert (id, host_id, name, starts_at, seats, during), update (name, starts_at, seats) on events to authenticated;
create index on events (host_id);
