// Everything that the roles of PostgREST may do in the schemas public and airlock, from the catalogue of a database that has
// all migrations. The difference of two such lists is the review of a migration.

import { rm } from "node:fs/promises";

import { openDatabase } from "./database.ts";
import { preparedFolder } from "./prepared.ts";

const HEADER = `\
# Everything that the roles anon, authenticated and service_role may do in the schemas public and airlock: schemas, tables and
# columns, functions, policies. Written by \`npm run generate\` from the migrations. Review its diff with each migration.
`;

/** The list, as text. */
export async function access(): Promise<string> {
  const folder = await preparedFolder("airlock-access-");
  try {
    const { connection, close } = await openDatabase(folder, false);
    try {
      // Without any schema in it, expressions name the schemas of all that they use.
      await connection.driver.exec("set search_path to ''");
      const { rows } = await connection.driver.query<{ lines: string }>(ACCESS);
      return `${HEADER}${rows.map(({ lines }) => `\n${lines}\n`).join("")}`;
    } finally {
      await close();
    }
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

// A right counts however a role got it: by name, through another role, or because everybody has it.
const ACCESS = `
  with roles as (
    select oid, rolname::text as name, rolbypassrls as bypasses from pg_catalog.pg_roles
    where rolname in ('anon', 'authenticated', 'service_role')
  ), schemas as (
    select oid, nspname::text as name from pg_catalog.pg_namespace where nspname in ('public', 'airlock')
  ), relations as (
    select relations.oid, relations.relkind as kind, format('%s.%s', schemas.name, pg_catalog.quote_ident(relname)) as name,
      case when relkind in ('v', 'm') then case when 'security_invoker=true' = any (reloptions) then 'view, rights of the reader' else 'view, rights of its owner' end
        when relkind = 'S' then 'sequence'
        when relforcerowsecurity and relrowsecurity then 'row security'
        when relrowsecurity then 'row security, not for the owner'
        else 'NO ROW SECURITY' end as security
    from pg_catalog.pg_class as relations join schemas on schemas.oid = relnamespace where relkind in ('r', 'p', 'v', 'm', 'f', 'S')
  ), whole as (
    select roles.name as role, relations.oid, relations.name, relations.security, verb from roles, relations,
      unnest(array['SELECT', 'INSERT', 'UPDATE', 'DELETE', 'TRUNCATE', 'REFERENCES', 'TRIGGER']) as verb
    where relations.kind <> 'S' and pg_catalog.has_table_privilege(roles.oid, relations.oid, verb)
  ), columns as (
    select roles.name as role, relations.name, relations.security, verb,
      string_agg(pg_catalog.quote_ident(attname), ', ' order by attname collate "C") as columns
    from roles, relations join pg_catalog.pg_attribute on attrelid = relations.oid and attnum > 0 and not attisdropped,
      unnest(array['SELECT', 'INSERT', 'UPDATE', 'REFERENCES']) as verbs(verb)
    where relations.kind <> 'S' and pg_catalog.has_column_privilege(roles.oid, relations.oid, attnum, verb)
      and not exists (select from whole where whole.role = roles.name and whole.oid = relations.oid and whole.verb = verbs.verb)
    group by roles.name, relations.name, relations.security, verb
  ), functions as (
    select functions.oid, format('%s.%s(%s)', schemas.name, pg_catalog.quote_ident(proname), pg_catalog.pg_get_function_identity_arguments(functions.oid)) as name,
      case when prosecdef then ' with the rights of its owner' else '' end as rights
    from pg_catalog.pg_proc as functions join schemas on schemas.oid = pronamespace
    where prorettype <> 'trigger'::regtype
  ), policies as (
    select format('%s.%s', schemaname, pg_catalog.quote_ident(tablename)) as relation, policyname::text as name, permissive, cmd, policies.roles, qual, with_check
    from pg_catalog.pg_policies as policies where schemaname in ('public', 'airlock')
  ), lines as (
    select 1 as section, role, line from (
      select name as role, 'is above row security' as line from roles where bypasses
      union all
      select roles.name, format('schema %s: %s', schemas.name, lower(verb)) from roles, schemas, unnest(array['CREATE', 'USAGE']) as verb
        where pg_catalog.has_schema_privilege(roles.oid, schemas.oid, verb)
    ) as whole
    union all
    select 2, role, format('table %s: %s (%s)', name, lower(verb), security) from whole
    union all
    select 2, role, format('table %s: %s of %s (%s)', name, lower(verb), columns, security) from columns
    union all
    select 2, roles.name, format('sequence %s: %s', relations.name, lower(verb)) from roles, relations, unnest(array['USAGE', 'SELECT', 'UPDATE']) as verb
      where relations.kind = 'S' and pg_catalog.has_sequence_privilege(roles.oid, relations.oid, verb)
    union all
    select 3, roles.name, format('function %s%s', functions.name, rights) from roles, functions
      where pg_catalog.has_function_privilege(roles.oid, functions.oid, 'EXECUTE')
    union all
    select 4, roles.name, format('policy %s %s: %s%s', relation, pg_catalog.quote_ident(policies.name), lower(cmd),
        case when permissive = 'PERMISSIVE' then '' else ', in addition to the others' end)
        || coalesce(E'\\n    using ' || indented(qual), '') || coalesce(E'\\n    with check ' || indented(with_check), '')
      from roles, policies where policies.roles && array[roles.name, 'public']::name[]
  )
  select role || E'\\n' || string_agg('  ' || line, E'\\n' order by section, line collate "C") as lines
  from lines group by role order by role
`.replace(/indented\((\w+)\)/g, String.raw`regexp_replace($1, '\n\s*', E'\n      ', 'g')`);
