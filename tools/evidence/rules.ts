// Rules about tables, views, functions and grants, as queries over the catalogue. policies.ts has those about policies.

import { ofExtension, type Rule } from "./finding.ts";

export interface CatalogueRule extends Rule {
  /** Gives `object`, `what` and `mend` of each fault. */
  query: string;
}

/** The project's own schemas. Those that Supabase keeps itself are not for their users to mend. */
const OWN = `
  select oid, nspname from pg_namespace
  where nspname !~ '^pg_' and nspname <> all (array[
    'information_schema', 'auth', 'cron', 'extensions', 'graphql', 'graphql_public', 'net', 'pgbouncer', 'pgmq', 'pgsodium',
    'pgsodium_masks', 'realtime', '_realtime', 'storage', 'supabase_functions', 'supabase_migrations', 'vault'
  ])
`;

/**
 * Schemas whose objects a client's role may use. REST does not expose all of them, but a function that REST exposes
 * and that runs with its caller's rights reaches the tables in them.
 */
export const USABLE = `
  select own.oid, nspname from (${OWN}) as own
  where exists (select from pg_roles where rolname in ('anon', 'authenticated') and has_schema_privilege(pg_roles.oid, own.oid, 'USAGE'))
`;

const CLIENTS = "('anon', 'authenticated')";

/** The schemas that PostgREST is told to expose, by a setting in the database. The same setting of another role has no effect. */
export const EXPOSED = `
  select nspname from pg_namespace where nspname = any (array(
    select trim(both ' "' from part) from pg_db_role_setting, unnest(setconfig) setting, unnest(string_to_array(substr(setting, length('pgrst.db_schemas=') + 1), ',')) part
    where setting like 'pgrst.db\\_schemas=%' and (setrole = 0 or setrole = to_regrole('authenticator'))
  ))
`;

/**
 * Schemas with grants for clients that are not among $1. Of storage and realtime the tables with policies are audited.
 */
export const UNLOOKED = `
  with clients as (
    select oid from pg_roles where rolname in ${CLIENTS}
  ), others as (
    -- Without the thousands of functions of PostgreSQL itself.
    select oid from pg_namespace where nspname !~ '^pg_' and nspname <> 'information_schema' and nspname <> all ($1::text[])
  ), granted as (
    select relnamespace as namespace, 'relation' as kind, 'pg_class'::regclass as class, c.oid, relowner as owner from pg_class c
    where relnamespace in (select oid from others) and relkind in ('r', 'p', 'v', 'm', 'f') and exists (
      select from clients where has_schema_privilege(clients.oid, relnamespace, 'USAGE') and (
        has_any_column_privilege(clients.oid, c.oid, 'SELECT, INSERT, UPDATE') or has_table_privilege(clients.oid, c.oid, 'DELETE, TRUNCATE')
      )
    )
    union all
    select pronamespace, 'function', 'pg_proc'::regclass, p.oid, proowner from pg_proc p
    where pronamespace in (select oid from others) and prorettype not in ('trigger'::regtype, 'event_trigger'::regtype) and exists (
      select from clients where has_schema_privilege(clients.oid, pronamespace, 'USAGE') and has_function_privilege(clients.oid, p.oid, 'EXECUTE')
    )
  )
  select nspname as schema, format(
    'open to clients and not audited (relations: %s, functions: %s)',
    count(*) filter (where kind = 'relation'), count(*) filter (where kind = 'function')
  ) as what
  from granted join pg_namespace on pg_namespace.oid = namespace
  where granted.oid <> all (array_remove(array[
      to_regclass('storage.objects')::oid, to_regclass('storage.buckets'), to_regclass('realtime.messages')
    ], null))
    and not ${ofExtension("class", "granted.oid", "owner")}
  group by nspname order by 1
`;

const COMMON = `
  with exposed as (
    select oid, nspname from pg_namespace where nspname = any ($1::text[])
  ), own as (${OWN}), usable as (${USABLE}), api as (
    select oid, rolname from pg_roles where rolname in ('anon', 'authenticated')
    union all select 0, 'public'
  ), granted as (
    select oid from pg_class where exists (select from api, aclexplode(relacl) a where a.grantee = api.oid)
    union
    select attrelid from pg_attribute where not attisdropped and exists (select from api, aclexplode(attacl) a where a.grantee = api.oid)
  ), known as (
    select c.*, n.nspname, format('%s.%s', n.nspname, c.relname) as called, format('%I.%I', n.nspname, c.relname) as named,
      c.oid in (select oid from granted) as granted
    from pg_class c join pg_namespace n on n.oid = c.relnamespace
    where c.relkind in ('r', 'p', 'v', 'm', 'f') and not ${ofExtension("'pg_class'::regclass", "c.oid", "c.relowner")}
  ), relations as (
    select * from known where relnamespace in (select oid from exposed) or granted and relnamespace in (select oid from own)
  ), of_supabase as (
    -- Their grants are Supabase's, their policies are the project's.
    select * from known where called in ('storage.objects', 'storage.buckets', 'realtime.messages')
  ), pre_request as (
    select to_regproc(trim(substr(setting, length('pgrst.db_pre_request=') + 1)))::oid as oid
    from pg_db_role_setting, unnest(setconfig) setting
    where setting like 'pgrst.db\\_pre\\_request=%' and setrole = to_regrole('authenticator')
  ), functions as (
    select p.*, n.nspname, format('%s.%s(%s)', n.nspname, p.proname, pg_get_function_identity_arguments(p.oid)) as called,
      format('%I.%I(%s)', n.nspname, p.proname, pg_get_function_identity_arguments(p.oid)) as named
    from pg_proc p join own n on n.oid = p.pronamespace
    where p.prokind in ('f', 'p') and not ${ofExtension("'pg_proc'::regclass", "p.oid", "p.proowner")}
  ), table_grants as (
    select r.oid, r.called, r.named, r.relkind, api.rolname, upper(a.privilege_type) as privilege
    from relations r, aclexplode(coalesce(r.relacl, acldefault('r', r.relowner))) a join api on api.oid = a.grantee
  ), column_grants as (
    select r.oid, r.called, r.named, c.attname, api.rolname, upper(a.privilege_type) as privilege
    from relations r join pg_attribute c on c.attrelid = r.oid and c.attnum > 0 and not c.attisdropped,
      aclexplode(c.attacl) a join api on api.oid = a.grantee
  )
`;

function defaultPrivileges(owner: string): string {
  return `
    select format('default privileges of %s%s', owner.rolname, coalesce(' in ' || own.nspname, '')) as object,
      format('%s on new %s for %s', string_agg(upper(a.privilege_type), ', ' order by a.privilege_type), kind, api.rolname) as what,
      format('alter default privileges for role %I%s revoke all on %s from %s;', owner.rolname, coalesce(' in schema ' || quote_ident(own.nspname), ''), kind, api.rolname) as mend
    from pg_default_acl d join pg_roles owner on owner.oid = defaclrole left join own on own.oid = defaclnamespace
      cross join lateral (select case defaclobjtype when 'r' then 'tables' when 'S' then 'sequences' when 'f' then 'functions' end as kind) kinds
      cross join lateral aclexplode(defaclacl) a join api on api.oid = a.grantee
    where kind is not null and owner.rolname ${owner} and (defaclnamespace = 0 or own.oid is not null)
      -- Postgres itself grants functions to everybody by default; these entries add to that.
      and not (kind = 'functions' and api.oid = 0 and defaclnamespace = 0)
    group by owner.rolname, own.nspname, kind, api.rolname
  `;
}

export const RULES: CatalogueRule[] = [
  {
    id: "rls-disabled",
    level: "finding",
    why: "Without Row Level Security a grant on the table is a grant on every row: any user reads or changes the rows of all.",
    query: `
      select called as object, 'row level security is off' as what, format('alter table %s enable row level security;', named) as mend
      from (select * from relations union all select * from of_supabase) tables
      -- Without a grant no client reaches it, so it is listed only if it has policies.
      where relkind in ('r', 'p') and not relrowsecurity and (granted or exists (select from pg_policy where polrelid = tables.oid))
    `,
  },
  {
    id: "no-policy",
    level: "finding",
    why: "With Row Level Security and no policy no client reaches a row. A policy may have been lost, and a hasty fix is to turn RLS off. A policy `using (false)` shows that it is intended.",
    query: `
      select called as object, 'no policy admits a caller' as what, format(
        'create policy %I on %s for select to authenticated using (%s);', relname || '_select', named, coalesce((
          select format('(select auth.uid()) = %I', attname) from pg_attribute
          where attrelid = relations.oid and attname in ('user_id', 'owner_id') and atttypid = 'uuid'::regtype and not attisdropped
          limit 1
        ), 'false')
      ) as mend
      from relations
      where relrowsecurity and granted and not relispartition and not exists (select from pg_policy where polrelid = relations.oid and polpermissive)
    `,
  },
  {
    id: "rls-not-forced",
    level: "note",
    why: "The table's owner is an ordinary role, and policies do not hold for an owner unless they are forced.",
    query: `
      select called as object, format('its owner %s is not under its policies', rolname) as what,
        format('alter table %s force row level security;', named) as mend
      from relations join pg_roles on pg_roles.oid = relowner
      where relrowsecurity and not relforcerowsecurity and not rolsuper and not rolbypassrls
    `,
  },
  {
    id: "owner-is-client",
    level: "finding",
    why: "The owner of a table can turn its policies off, and a client can become this role.",
    query: `
      select called as object, format('%s owns it', rolname) as what, format('alter table %s owner to postgres;', named) as mend
      from relations join pg_roles on pg_roles.oid = relowner where rolname in ('anon', 'authenticated')
    `,
  },
  {
    id: "anon-grant",
    level: "finding",
    why: "Every user of the app has the publishable key, and with it the role anon. The rights of anon are public.",
    query: `
      select format('%s on %s', privilege, called) as object, format('granted to %s', rolname) as what,
        format('revoke %s on table %s from %s;', privilege, named, rolname) as mend
      from table_grants where rolname in ('anon', 'public') and not (privilege = 'SELECT' and oid = any ($2::text[]::oid[])) and privilege <> all (array['TRUNCATE', 'REFERENCES', 'TRIGGER', 'MAINTAIN'])
      union all
      select format('%s (%s) on %s', privilege, string_agg(attname, ', ' order by attname), called), format('granted to %s', rolname),
        format('revoke %s (%s) on table %s from %s;', privilege, string_agg(quote_ident(attname), ', ' order by attname), named, rolname)
      from column_grants where rolname in ('anon', 'public') and not (privilege = 'SELECT' and oid = any ($2::text[]::oid[])) group by called, named, rolname, privilege
    `,
  },
  {
    id: "grant-beyond-rows",
    level: "finding",
    why: "TRUNCATE bypasses every policy. REFERENCES and TRIGGER let a role attach its own objects to the table. The REST API needs none of them.",
    query: `
      select called as object, format('%s granted to %s', string_agg(privilege, ', ' order by privilege), rolname) as what,
        format('revoke %s on table %s from %s;', string_agg(privilege, ', ' order by privilege), named, rolname) as mend
      from table_grants where privilege in ('TRUNCATE', 'REFERENCES', 'TRIGGER', 'MAINTAIN') group by called, named, rolname
    `,
  },
  {
    id: "grant-whole-table",
    level: "finding",
    why: "A grant to write the whole table includes each column that is added later, and those that only the database should write: owners, versions, times.",
    query: `
      select called as object, format('%s on the whole table granted to %s', privilege, rolname) as what,
        format('revoke %s on table %s from %s;', privilege, named, rolname) || coalesce((
          select format(' grant %s (%s) on table %s to %s;', privilege, string_agg(quote_ident(attname), ', ' order by attnum), named, rolname) from pg_attribute
          where attrelid = table_grants.oid and attnum > 0 and not attisdropped and attgenerated = '' and attidentity <> 'a'
            and attname <> all (array['id', 'user_id', 'owner_id', 'created_by', 'created_at', 'updated_at', 'version'])
            and not exists (
              select from pg_constraint where conrelid = attrelid and contype = 'f' and attnum = any (conkey) and confrelid = to_regclass('auth.users')
            )
            -- Columns by which policies decide.
            and attrelid || '.' || attnum <> all ($3::text[])
          having count(*) > 0
        ), '') as mend
      from table_grants where rolname = 'authenticated' and privilege in ('INSERT', 'UPDATE') and relkind in ('r', 'p')
    `,
  },
  {
    id: "grant-whole-select",
    level: "note",
    why: "A column that is added later can be read at once. Grants by column keep it closed until you grant it.",
    query: `
      select called as object, format('SELECT on the whole table granted to %s', rolname) as what,
        format('revoke select on table %1$s from %2$s; grant select (%3$s) on table %1$s to %2$s;', named, rolname, (
          select string_agg(quote_ident(attname), ', ' order by attnum) from pg_attribute
          where attrelid = table_grants.oid and attnum > 0 and not attisdropped
        )) as mend
      from table_grants where rolname = 'authenticated' and privilege = 'SELECT' and relkind in ('r', 'p')
    `,
  },
  {
    id: "service-column",
    level: "finding",
    why: "The database sets the owner, the times and the version of a row. A client that may write them can forge them.",
    query: `
      select format('%s.%s', called, attname) as object, format('%s may %s it', rolname, privilege) as what,
        format('revoke %s (%I) on table %s from %s;', privilege, attname, named, rolname) as mend
      from column_grants
      where privilege in ('INSERT', 'UPDATE') and (
        attname in ('user_id', 'owner_id', 'created_by', 'created_at', 'updated_at', 'version')
        or exists (
          select from pg_attrdef d join pg_attribute a on a.attrelid = d.adrelid and a.attnum = d.adnum
          where d.adrelid = column_grants.oid and a.attname = column_grants.attname and pg_get_expr(d.adbin, d.adrelid) like '%auth.uid()%'
        )
      )
    `,
  },
  {
    id: "delete-beside-soft-delete",
    level: "finding",
    why: "The table marks deleted rows in deleted_at, so that they can be restored. A DELETE by REST is for good.",
    query: `
      with soft as (
        select * from relations where exists (select from pg_attribute where attrelid = relations.oid and attname = 'deleted_at' and not attisdropped)
      )
      select called as object, format('DELETE granted to %s', rolname) as what, format('revoke delete on table %s from %s;', named, rolname) as mend
      from table_grants where privilege = 'DELETE' and oid in (select oid from soft)
      union all
      select format('%s.%s', called, polname), 'a policy for DELETE', format('drop policy %I on %s;', polname, named)
      from soft join pg_policy on polrelid = soft.oid where polpermissive and polcmd = 'd'
    `,
  },
  {
    id: "definer-search-path",
    level: "finding",
    why: "The function runs with its owner's rights and finds its names by the caller's search_path: a caller who can make objects can replace the intended ones by their own.",
    query: `
      with paths as (
        select oid, (select substring(setting from '^search_path=(.*)$') from unnest(proconfig) setting where setting like 'search_path=%') as path
        from functions
      )
      select called as object,
        case when path is null then 'security definer without a search_path' else format('%s can make objects in its search_path %s', maker, path) end as what,
        format('alter %s %s set search_path = %L;', case prokind when 'p' then 'procedure' else 'function' end, named, '')
          || ' -- and write names inside it with their schema' as mend
      from functions join paths using (oid), lateral (
        select string_agg(distinct rolname, ', ') as maker
        from api, unnest(string_to_array(replace(replace(path, '"', ''), ' ', ''), ',')) part join pg_namespace on nspname = part
        where api.oid <> 0 and has_schema_privilege(api.oid, pg_namespace.oid, 'CREATE')
      ) makers
      where prosecdef and (path is null or maker is not null)
    `,
  },
  {
    id: "definer-public",
    level: "finding",
    why: "Postgres lets every role execute a new function. This one runs with its owner's rights, without policies.",
    query: `
      select called as object, format('security definer, and %s may execute it', string_agg(api.rolname, ' and ' order by api.rolname)) as what,
        format('revoke execute on %s %s from %s;', case prokind when 'p' then 'procedure' else 'function' end, named,
          string_agg(api.rolname, ', ' order by api.rolname)) || ' -- and grant it to the roles whose policies call it' as mend
      from functions, aclexplode(coalesce(proacl, acldefault('f', proowner))) a join api on api.oid = a.grantee
      -- A function that anon needs in a policy is safe from direct calls in a schema that REST does not expose.
      where prosecdef and (api.oid = 0 or api.rolname = 'anon' and pronamespace in (select oid from exposed))
        and prorettype <> all (array['trigger', 'event_trigger']::regtype[]) and functions.oid not in (select oid from pre_request where oid is not null)
      group by called, named, prokind
    `,
  },
  {
    id: "definer-exposed",
    level: "finding",
    why: "The REST API offers every function of an exposed schema as rpc. This one runs with its owner's rights: its own checks are the only ones. It belongs into a schema of its own.",
    query: `
      select called as object, 'security definer, and authenticated may call it by REST' as what,
        format('revoke execute on %s %s from authenticated;', case prokind when 'p' then 'procedure' else 'function' end, named) as mend
      from functions, aclexplode(coalesce(proacl, acldefault('f', proowner))) a join api on api.oid = a.grantee
      where prosecdef and api.rolname = 'authenticated' and pronamespace in (select oid from exposed) and functions.oid not in (select oid from pre_request where oid is not null)
        and prorettype <> all (array['trigger', 'event_trigger']::regtype[])
    `,
  },
  {
    id: "definer-superuser",
    level: "finding",
    why: "The function runs as a superuser, though the tables belong to a lesser role: a mistake in it reaches the whole cluster.",
    query: `
      select called as object, format('security definer, owned by the superuser %s', rolname) as what,
        format('alter %s %s owner to %I;', case prokind when 'p' then 'procedure' else 'function' end, named, (
          select pg_get_userbyid(relowner) from relations where relkind in ('r', 'p') and relnamespace in (select oid from exposed) group by relowner order by count(*) desc limit 1
        )) as mend
      from functions join pg_roles on pg_roles.oid = proowner
      where prosecdef and rolsuper and exists (select from relations where relkind in ('r', 'p') and relnamespace in (select oid from exposed)) and not exists (
        select from relations join pg_roles owner on owner.oid = relowner
        where relkind in ('r', 'p') and owner.rolsuper and relnamespace in (select oid from exposed)
      )
    `,
  },
  {
    id: "function-anon",
    level: "finding",
    why: "The REST API offers every function of an exposed schema as rpc, and this one to callers without a token.",
    query: `
      select called as object, format('%s may call it by REST', string_agg(api.rolname, ' and ' order by api.rolname)) as what,
        format('revoke execute on %s %s from %s;', case prokind when 'p' then 'procedure' else 'function' end, named,
          string_agg(api.rolname, ', ' order by api.rolname)) as mend
      from functions, aclexplode(coalesce(proacl, acldefault('f', proowner))) a join api on api.oid = a.grantee
      where not prosecdef and api.rolname in ('anon', 'public') and pronamespace in (select oid from exposed) and functions.oid not in (select oid from pre_request where oid is not null)
        and prorettype <> all (array['trigger', 'event_trigger']::regtype[])
      group by called, named, prokind
    `,
  },
  {
    id: "view-definer",
    level: "finding",
    why: "Without security_invoker a view reads with its owner's rights, without the policies of its tables.",
    query: `
      select called as object, 'a view without security_invoker' as what, format('alter view %s set (security_invoker = true);', named) as mend
      from relations
      where relkind = 'v' and granted and not exists (
        select from pg_options_to_table(reloptions) where option_name = 'security_invoker' and option_value in ('true', 'on', 'yes', '1')
      )
    `,
  },
  {
    id: "rule-definer",
    level: "finding",
    why: "The statements of a rewrite rule read and write with the rights of the table's owner, without policies. Of a view too, whatever its security_invoker.",
    query: `
      select format('%s.%s', called, rulename) as object,
        format('%s may %s; the rule then reads or writes with the rights of %s', string_agg(distinct rolname, ' and '), privilege, pg_get_userbyid(relowner)) as what,
        format('drop rule %I on %s;', rulename, named) || ' -- and let a trigger do it, or a policy refuse it' as mend
      from (
        select oid, rolname, privilege from table_grants union select oid, rolname, privilege from column_grants
      ) writers join relations using (oid) join pg_rewrite on ev_class = relations.oid
      where ev_type = case privilege when 'UPDATE' then '2' when 'INSERT' then '3' when 'DELETE' then '4' end and ev_enabled <> 'D'
        -- SELECT to DELETE, and not NOTHING or NOTIFY.
        and ev_action::text ~ '\\{QUERY :commandType [1-4] '
      group by called, named, rulename, privilege, relowner
    `,
  },
  {
    id: "view-of-users",
    level: "finding",
    why: "The view reads from the schema auth: addresses, password hashes and tokens of all users. Only Supabase Auth should read them.",
    query: `
      select called as object, format('reads auth.%s', string_agg(distinct source.relname, ', auth.')) as what,
        format('drop %s %s;', case relations.relkind when 'm' then 'materialized view' else 'view' end, named) as mend
      from relations join pg_rewrite on ev_class = relations.oid
        join pg_depend d on d.classid = 'pg_rewrite'::regclass and d.objid = pg_rewrite.oid and d.refclassid = 'pg_class'::regclass
        join pg_class source on source.oid = d.refobjid
      where relations.relkind in ('v', 'm') and source.relnamespace = (select oid from pg_namespace where nspname = 'auth')
      group by called, named, relations.relkind
    `,
  },
  {
    id: "materialized-view",
    level: "finding",
    why: "A materialized view has no policies, and its rows were read with its owner's rights.",
    query: `
      select called as object, format('a materialized view that %s may read', string_agg(distinct rolname, ' and ')) as what,
        format('revoke all on table %s from public, anon, authenticated;', named) as mend
      from (
        select oid, called, named, rolname from table_grants where privilege = 'SELECT'
        union select oid, called, named, rolname from column_grants where privilege = 'SELECT'
      ) readers
      where oid in (select oid from relations where relkind = 'm') group by called, named
    `,
  },
  {
    id: "foreign-table",
    level: "finding",
    why: "A foreign table has no policies: each reader reads all rows of the other server.",
    query: `
      select called as object, format('a foreign table that %s may use', string_agg(distinct rolname, ' and ')) as what,
        format('revoke all on table %s from public, anon, authenticated;', named) as mend
      from (select oid, called, named, rolname from table_grants union select oid, called, named, rolname from column_grants) users
      where oid in (select oid from relations where relkind = 'f') group by called, named
    `,
  },
  {
    id: "default-privileges",
    level: "finding",
    why: "Every object that this role makes next is open at once, before it has a policy.",
    query: defaultPrivileges("<> 'supabase_admin'"),
  },
  {
    id: "default-privileges-of-supabase",
    level: "note",
    why: "Supabase sets them for its own role, and no other role can change them. Its next objects are open.",
    query: defaultPrivileges("= 'supabase_admin'"),
  },
  {
    id: "schema-create",
    level: "finding",
    why: "A role that can make objects in an exposed schema can expose its own tables and functions.",
    query: `
      select exposed.nspname as object, format('%s may create objects in it', api.rolname) as what,
        format('revoke create on schema %I from %s;', exposed.nspname, api.rolname) as mend
      from exposed join pg_namespace using (oid), aclexplode(coalesce(nspacl, acldefault('n', nspowner))) a join api on api.oid = a.grantee
      where a.privilege_type = 'CREATE'
    `,
  },
  {
    id: "sequence-grant",
    level: "finding",
    why: "A sequence has no policies: a role that may read or set one can learn the number of rows, or make the next insert fail.",
    query: `
      select format('%s.%s', exposed.nspname, relname) as object, format('%s granted to %s', string_agg(upper(privilege_type), ', ' order by privilege_type), rolname) as what,
        format('revoke %s on sequence %I.%I from %s;', string_agg(privilege_type, ', ' order by privilege_type), exposed.nspname, relname, rolname) as mend
      from pg_class join exposed on exposed.oid = relnamespace, aclexplode(coalesce(relacl, acldefault('S', relowner))) a join api on api.oid = a.grantee
      -- To insert with a serial column takes USAGE.
      where relkind = 'S' and not (rolname = 'authenticated' and upper(privilege_type) = 'USAGE')
      group by exposed.nspname, relname, rolname
    `,
  },
  {
    id: "realtime",
    level: "finding",
    why: "Realtime sends the rows of a published table to the users that its policies admit; without Row Level Security, to every listener.",
    query: `
      select format('%s.%s', p.schemaname, p.tablename) as object, 'published to Realtime without row level security' as what,
        format('alter table %I.%I enable row level security;', p.schemaname, p.tablename) as mend
      from pg_publication_tables p join pg_namespace n on n.nspname = p.schemaname
        join pg_class c on c.relnamespace = n.oid and c.relname = p.tablename
      -- With a grant for clients this is rls-disabled.
      where p.pubname like 'supabase\\_realtime%' and not c.relrowsecurity and c.oid not in (select oid from relations where granted)
    `,
  },
  {
    id: "role-power",
    level: "finding",
    why: "A client can become this role, and with it gets the roles and rights of that role.",
    query: `
      select rolname as object, 'it bypasses row level security' as what, format('alter role %I nobypassrls nosuperuser;', rolname) as mend
      from pg_roles where rolname in ('anon', 'authenticated') and (rolbypassrls or rolsuper)
      union all
      select member.rolname, format('it is a member of %s', role.rolname), format('revoke %I from %I;', role.rolname, member.rolname)
      from pg_auth_members join pg_roles member on member.oid = member join pg_roles role on role.oid = roleid
      where member.rolname in ('anon', 'authenticated')
    `,
  },
  {
    id: "extension-exposed",
    level: "note",
    why: "The functions of an extension in an exposed schema are offered by REST, and its names mix with yours.",
    query: `
      select extname as object, format('installed in the exposed schema %s', nspname) as what, format('alter extension %I set schema extensions;', extname) as mend
      from pg_extension join exposed on exposed.oid = extnamespace
    `,
  },
  {
    id: "foreign-key-discloses",
    level: "note",
    why: "A foreign key is checked without policies. Its refusal tells a caller whether a row exists that they may not see.",
    query: `
      select format('%s.%s', called, conname) as object, format('authenticated chooses what it refers to in %s', confrelid::regclass) as what,
        '-- Let a trigger or a policy''s WITH CHECK refuse rows that the caller may not see, before the key is checked.' as mend
      from relations join pg_constraint on conrelid = relations.oid
      -- Whose row it is, is for service-column.
      where contype = 'f' and confrelid <> conrelid and confrelid <> to_regclass('auth.users') and to_regrole('authenticated') is not null and not exists (
        select from unnest(conkey) key where not has_column_privilege('authenticated', relations.oid, key, 'INSERT, UPDATE')
      )
    `,
  },
  {
    id: "foreign-key-not-indexed",
    level: "note",
    why: "Deleting a referred row reads the whole table, and so do joins.",
    query: `
      select format('%s.%s', called, conname) as object, 'no index begins with its columns' as what,
        format('create index on %s (%s);', named, (select string_agg(quote_ident(attname), ', ' order by place) from unnest(conkey) with ordinality k (key, place) join pg_attribute on attrelid = conrelid and attnum = key)) as mend
      from relations join pg_constraint on conrelid = relations.oid
      where contype = 'f' and not exists (
        select from pg_index where indrelid = conrelid and indisvalid and (indkey::int2[])[0:cardinality(conkey) - 1] @> conkey
      )
    `,
  },
  {
    id: "no-primary-key",
    level: "note",
    why: "Without a primary key neither REST nor Realtime can name a row.",
    query: `
      select called as object, 'a table without a primary key' as what, '-- alter table ... add primary key (...);' as mend
      from relations where relkind in ('r', 'p') and not relispartition and not exists (select from pg_index where indrelid = relations.oid and indisprimary)
    `,
  },
  {
    id: "many-policies",
    level: "note",
    why: "Permissive policies are joined by OR, and each one is evaluated for each row.",
    query: `
      select called as object, format('%s permissive policies of %s for %s', count(*), command, role.rolname) as what, '-- Join them in one policy, by OR.' as mend
      from relations join pg_policy on polrelid = relations.oid
        cross join (select rolname, oid from pg_roles where rolname in ${CLIENTS}) role
        cross join (values ('r', 'select'), ('a', 'insert'), ('w', 'update'), ('d', 'delete')) commands (code, command)
      where polpermissive and polcmd in (code::"char", '*') and (polroles && array[0::oid, role.oid])
      group by called, command, role.rolname having count(*) > 1
    `,
  },
  {
    id: "duplicate-index",
    level: "note",
    why: "Each index costs every write, and a second equal one has no use.",
    query: `
      select called as object, format('indexes %s are the same', string_agg(index.relname, ', ' order by index.relname)) as what,
        format('drop index %I.%I;', nspname, max(index.relname::text)) as mend
      from relations join pg_index i on indrelid = relations.oid join pg_class index on index.oid = indexrelid
      where not indisunique
      group by called, nspname, indkey::text, indclass::text, indoption::text, pg_get_expr(indpred, indrelid), pg_get_expr(indexprs, indrelid), index.relam having count(*) > 1
    `,
  },
  {
    id: "function-search-path",
    level: "note",
    why: "The function finds its names by the caller's search_path.",
    query: `
      select called as object, 'no search_path of its own' as what,
        format('alter %s %s set search_path = %L;', case prokind when 'p' then 'procedure' else 'function' end, named, '') || ' -- and write names inside it with their schema' as mend
      from functions
      where not prosecdef and pronamespace in (select oid from exposed) and prosqlbody is null
        and not exists (select from unnest(proconfig) setting where setting like 'search_path=%')
    `,
  },
  {
    id: "queue-exposed",
    level: "finding",
    why: "A message queue's table without Row Level Security is open to every role with a grant on it.",
    query: `
      select format('%s.%s', nspname, relname) as object, 'a queue of pgmq without row level security' as what, format('alter table %I.%I enable row level security;', nspname, relname) as mend
      from pg_class join pg_namespace n on n.oid = relnamespace
      where nspname = 'pgmq' and relkind in ('r', 'p') and relname ~ '^[qa]_' and not relrowsecurity
        and exists (select from pg_roles where rolname in ${CLIENTS} and has_schema_privilege(pg_roles.oid, n.oid, 'USAGE') and has_any_column_privilege(pg_roles.oid, pg_class.oid, 'SELECT, INSERT, UPDATE'))
    `,
  },
  {
    id: "unsupported-type",
    level: "note",
    why: "pg_upgrade refuses columns of this type.",
    query: `
      select format('%s.%s', called, attname) as object, format('of type %s', format_type(atttypid, null)) as what, '-- Store the name as text.' as mend
      from relations join pg_attribute on attrelid = relations.oid and attnum > 0 and not attisdropped
      where relkind in ('r', 'p') and atttypid = any (array['regcollation', 'regconfig', 'regdictionary', 'regnamespace', 'regoper', 'regoperator', 'regproc', 'regprocedure']::regtype[])
    `,
  },
  {
    id: "users-key-not-unique",
    level: "note",
    why: "auth.users has columns that Supabase may change. Refer only to its id.",
    query: `
      select format('%s.%s', called, conname) as object, 'refers to another column than id' as what, format('alter table %s drop constraint %I;', named, conname) as mend
      from relations join pg_constraint on conrelid = relations.oid
      where contype = 'f' and confrelid = to_regclass('auth.users') and confkey <> array(select attnum from pg_attribute where attrelid = confrelid and attname = 'id')
    `,
  },
  {
    id: "extension-outdated",
    level: "note",
    why: "A newer version of the extension is installed on the server.",
    query: `
      select e.extname as object, format('version %s; %s is there', extversion, default_version) as what, format('alter extension %I update;', e.extname) as mend
      from pg_extension e join pg_available_extensions on name = e.extname where extversion <> default_version
    `,
  },
  {
    id: "sensitive-column",
    level: "finding",
    why: "The name says that the value is a secret, and Row Level Security protects rows, not columns.",
    query: `
      select format('%s.%s', called, attname) as object, 'anon may read it' as what,
        format('revoke select on table %s from anon, public; revoke select (%I) on table %s from anon, public;', named, attname, named) as mend
      from relations join pg_attribute on attrelid = relations.oid and attnum > 0 and not attisdropped, pg_roles
      where rolname = 'anon' and has_column_privilege(pg_roles.oid, relations.oid, attnum, 'SELECT')
        and attname ~* '^(.*_)?(password|passwd|password_hash|secret|api_?key|private_?key|access_?token|refresh_?token|ssn|card_?number|cvv|iban|national_id|passport_?number)$'
    `,
  },
];

/**
 * All rules in one statement: `rule`, `object`, `what` and `mend` of each fault. $1 are the exposed schemas, $2 the relations with rows
 * that are public on purpose, $3 the columns (`oid.number`) that policies trust. */
export const CATALOGUE = `${COMMON} ${RULES.map(({ id, query }) => `select '${id}' as rule, object, what, mend from (${query}) "${id}"`).join(" union all ")} order by 1, 2, 3`;
