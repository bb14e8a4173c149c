-- What the planner knows of a column, PostgREST tells everybody: with `Prefer: count=planned` it answers with the number of
-- rows that the planner expects, of all rows and not of the caller's. From such numbers others' texts can be guessed letter
-- by letter. So the planner is to know nothing of texts, and no statement of the Worker's needs it to: `q` reads its
-- user's notes one after another in any case. (What this leaves open is in docs/security.md.)
--
-- A column that was analysed before keeps what was found, unless its type is written anew, as for the notes here.
alter table public.notes drop column search;
alter table public.notes
  alter column title type text,
  alter column body type text;
alter table public.notes add column search tsvector not null
  generated always as (to_tsvector('simple'::regconfig, title || ' ' || body)) stored;

alter table public.notes
  alter column title set statistics 0,
  alter column body set statistics 0,
  alter column search set statistics 0;
alter table public.organizations alter column name set statistics 0;
alter table public.idempotency_keys
  alter column key set statistics 0,
  alter column digest set statistics 0,
  alter column note_id set statistics 0;


-- The 24 hours of a key begin when it is written, whoever writes it: create_note_once has its caller's rights, so its
-- caller has the right to write a time as well.
create function private.idempotency_keys_before_update() returns trigger
language plpgsql
set search_path = ''
as $$
begin
  if (select auth.uid()) is not null then
    new.created_at := now();
  end if;
  return new;
end
$$;

create trigger idempotency_keys_before_update before update on public.idempotency_keys
  for each row execute function private.idempotency_keys_before_update();


select private.apply_grants();
