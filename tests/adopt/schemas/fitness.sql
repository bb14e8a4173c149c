-- A fitness tracker: keys are numbers under their own names, measurements and durations.
create table exercises (
  exercise_id bigint generated always as identity primary key,
  owner_id uuid not null default auth.uid() references auth.users,
  name text not null check (length(name) >= 2 and length(name) <= 60),
  muscle text check (muscle = any (array['chest', 'back', 'legs'])),
  is_custom boolean not null default true,
  unique (owner_id, name)
);
create table workouts (
  workout_id bigint generated always as identity primary key,
  owner_id uuid not null default auth.uid() references auth.users,
  started_at timestamptz not null default now(),
  ended_at timestamptz,
  felt smallint check (felt between 1 and 10),
  pause interval,
  check (ended_at > started_at)
);
create table sets (
  set_id bigint generated always as identity primary key,
  workout_id bigint not null references workouts on delete cascade,
  exercise_id bigint not null references exercises,
  reps integer not null check (reps > 0),
  weight_kg double precision check (weight_kg > 0 and weight_kg < 1000),
  volume double precision generated always as (reps * weight_kg) stored
);
alter table exercises enable row level security;
alter table workouts enable row level security;
alter table sets enable row level security;
create policy "own" on exercises for all to authenticated using (owner_id = (select auth.uid())) with check (owner_id = (select auth.uid()));
create policy "own" on workouts for all to authenticated using (owner_id = (select auth.uid())) with check (owner_id = (select auth.uid()));
create policy "of own workouts" on sets for all to authenticated
  using (exists (select 1 from workouts w where w.workout_id = sets.workout_id and w.owner_id = (select auth.uid())))
  with check (exists (select 1 from workouts w where w.workout_id = sets.workout_id and w.owner_id = (select auth.uid())));
create index on exercises (owner_id);
create index on workouts (owner_id, started_at);
create index on sets (workout_id);
