-- What every table of rows that belong to users needs of triggers, once for all of them: `npm run new-table` makes
-- migrations that use these. The table has user_id, version, created_at, updated_at and deleted_at, as notes has.

create function private.owned_before_insert() returns trigger
language plpgsql
set search_path = ''
as $$
begin
  -- Without a caller (seed, restore) there is no auth.uid(), and the row names its owner.
  new.user_id := coalesce((select auth.uid()), new.user_id);
  new.version := 1;
  new.created_at := now();
  new.updated_at := now();
  new.deleted_at := null;
  return new;
end
$$;

create function private.owned_before_update() returns trigger
language plpgsql
set search_path = ''
as $$
begin
  new.id := old.id;
  new.user_id := old.user_id;
  new.created_at := old.created_at;
  new.version := old.version + 1;
  -- now() is when the transaction began, which may be before a change that it waited for.
  new.updated_at := greatest(now(), old.updated_at);
  if new.deleted_at is distinct from old.deleted_at and new.deleted_at is not null then
    new.deleted_at := now();
  end if;
  return new;
end
$$;

select private.apply_grants();
