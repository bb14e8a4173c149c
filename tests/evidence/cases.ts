// Schemas with one flaw each, most of them with a sound twin, and ordinary schemas without one.

export interface Case {
  name: string;
  flawed: string;
  rule: string;
  /** The object that the finding names. */
  object: string;
  /** The same schema, done right. */
  sound?: string;
}

const ME = "(select auth.uid())";
const names = (columns: string) => columns.split(/,(?![^(]*\))/).map((column) => column.trim().split(" ")[0] ?? "");

/** A table with row level security, an index for each id, and SELECT granted column by column. */
function table(name: string, columns: string, { grant = "select" }: { grant?: string } = {}): string {
  const own = names(columns);
  const [schema, relname] = name.includes(".") ? name.split(".") : ["public", name];
  const called = `"${schema}"."${relname}"`;
  return `
    create table ${called} (id uuid primary key default gen_random_uuid(), ${columns});
    ${own
      .filter((column) => /(_id|topic)$/.test(column))
      .map((column) => `create index on ${called} (${column});`)
      .join(" ")}
    alter table ${called} enable row level security;
    ${grant ? `grant ${grant} (id, ${own.join(", ")}) on ${called} to authenticated;` : ""}
  `;
}

const policy = (on: string, command: string, using: string, check?: string, to = "authenticated") => {
  const clauses =
    command === "insert"
      ? ` with check (${check ?? using})`
      : ` using (${using})${check ? ` with check (${check})` : command === "update" || command === "all" ? ` with check (${using})` : ""}`;
  return `create policy p_${command} on ${on} for ${command} to ${to}${clauses};`;
};

const helper = (
  name: string,
  returns: string,
  body: string,
  { language = "sql", definer = true }: { language?: string; definer?: boolean } = {},
) => {
  const called = /^[^(]*\./.test(name) ? name : `private.${name}`;
  return `
    create function ${called} returns ${returns} language ${language} stable ${definer ? "security definer" : ""} set search_path = '' as $body$${body}$body$;
    revoke all on function ${called} from public; grant execute on function ${called} to authenticated;
  `;
};

const SIGNED = `${ME} is not null`;
const OWNER = "user_id uuid not null references auth.users";
const DOCS = table(
  "docs",
  `${OWNER}, team_id uuid not null, status text, archived boolean not null default false, deleted_at timestamptz, title text`,
);
const MEMBERS = `create schema if not exists private; grant usage on schema private to authenticated;
  ${table("members", `team_id uuid not null, ${OWNER}, role text not null default 'member'`)} ${policy("public.members", "select", `${ME} = user_id`)}`;
const PROFILES =
  table(
    "profiles",
    `${OWNER} unique, role text not null default 'user', is_admin boolean not null default false, plan text not null default 'free', tenant_id uuid, display_name text`,
  ) + policy("public.profiles", "select", `${ME} = user_id`);
const SIGNUP = (columns: string, values: string) => `
  create schema if not exists private;
  alter table auth.users add column if not exists raw_user_meta_data jsonb;
  create function private.handle_new_user() returns trigger language plpgsql security definer set search_path = '' as $body$
  begin insert into public.profiles (${columns}) values (${values}); return new; end $body$;
  revoke all on function private.handle_new_user() from public;
  create trigger on_auth_user_created after insert on auth.users for each row execute function private.handle_new_user();
`;

const docs = (using: string) => DOCS + policy("public.docs", "select", using);
const withMembers = (using: string) => MEMBERS + docs(using);

/** Conditions that hold for anybody, of rows of the table docs. */
const OPEN: [name: string, condition: string][] = [
  ["the caller's id in an array with it", `${ME} = any (array[user_id, ${ME}])`],
  ["the caller's id where there is an owner", `(case when user_id is null then user_id else ${ME} end) = ${ME}`],
  ["true", "true"],
  ["one is one", "1 = 1"],
  ["any user", SIGNED],
  ["the role authenticated", "(select auth.role()) = 'authenticated'"],
  ["a claim that all tokens have", "((select auth.jwt()) ->> 'sub') is not null"],
  ["the audience", "((select auth.jwt()) ->> 'aud') = 'authenticated'"],
  ["an account that is not anonymous", "((select auth.jwt()) ->> 'is_anonymous')::boolean is false"],
  ["the caller's second factor", "((select auth.jwt()) ->> 'aal') = 'aal2'"],
  ["any user and a state of the row", `${SIGNED} and status = 'active'`],
  ["a state of the row", "status = 'active'"],
  ["rows that are not deleted", "deleted_at is null"],
  ["rows that are not archived", "not archived"],
  ["a branch for any user", `${ME} = user_id or ${SIGNED}`],
  ["a branch with a state", `${ME} = user_id or (${SIGNED} and status = 'active')`],
  ["inequality", `${ME} <> user_id`],
  ["a negated equality", `not (${ME} = user_id)`],
  ["distinct from", `user_id is distinct from ${ME}`],
  ["a column that is not null", "user_id is not null"],
  ["a column that equals itself", "user_id = user_id"],
  ["the caller equals themselves", `${ME} = ${ME}`],
  ["a case with an open branch", `case when status = 'draft' then ${ME} = user_id else true end`],
  ["an order of ids", `${ME} >= user_id`],
  ["a pattern that all ids have", `${ME}::text like '%-%'`],
  ["coalesce to true", `coalesce(${SIGNED}, true)`],
];

const COMMANDS: [command: string, condition: string][] = [
  ["update", `${SIGNED} and status = 'active'`],
  ["delete", SIGNED],
  ["insert", SIGNED],
  ["all", `${ME} = user_id or status = 'active'`],
  ["update", `${ME} <> user_id`],
  ["delete", "deleted_at is null"],
];

const BINDING: [name: string, using: string, sound: string][] = [
  [
    "IN",
    `${ME} in (select user_id from public.members where members.team_id = team_id)`,
    `${ME} in (select m.user_id from public.members m where m.team_id = docs.team_id)`,
  ],
  [
    "EXISTS",
    `exists (select from public.members m where m.team_id = team_id and m.user_id = ${ME})`,
    `exists (select from public.members m where m.team_id = docs.team_id and m.user_id = ${ME})`,
  ],
  [
    "EXISTS, the same alias twice",
    `exists (select from public.members m where m.team_id = m.team_id and m.user_id = ${ME})`,
    `team_id in (select m.team_id from public.members m where m.user_id = ${ME})`,
  ],
  [
    "EXISTS, the inner id",
    `exists (select from public.members m where m.team_id = m.id and m.user_id = ${ME})`,
    `team_id = any (array(select m.team_id from public.members m where m.user_id = ${ME}))`,
  ],
  [
    "a role beside it",
    `exists (select from public.members where team_id = team_id and user_id = ${ME} and role = 'admin')`,
    `exists (select from public.members m where m.team_id = docs.team_id and m.user_id = ${ME} and m.role = 'admin')`,
  ],
  [
    "a branch of it",
    `${ME} = user_id or exists (select from public.members m where m.team_id = team_id and m.user_id = ${ME})`,
    `${ME} = user_id or exists (select from public.members m where m.team_id = docs.team_id and m.user_id = ${ME})`,
  ],
  [
    "a count",
    `(select count(*) from public.members m where m.team_id = team_id and m.user_id = ${ME}) > 0`,
    `(select count(*) from public.members m where m.team_id = docs.team_id and m.user_id = ${ME}) > 0`,
  ],
];

const ANY_TENANT: [name: string, using: string, sound: string][] = [
  [
    "admin of any team",
    `exists (select from public.members m where m.user_id = ${ME} and m.role = 'admin')`,
    `exists (select from public.members m where m.user_id = ${ME} and m.role = 'admin' and m.team_id = docs.team_id)`,
  ],
  [
    "member of any team",
    `exists (select from public.members m where m.user_id = ${ME})`,
    `team_id in (select m.team_id from public.members m where m.user_id = ${ME})`,
  ],
  [
    "the caller among all members",
    `${ME} in (select m.user_id from public.members m)`,
    `${ME} in (select m.user_id from public.members m where m.team_id = docs.team_id)`,
  ],
  [
    "the role of any membership",
    `(select m.role from public.members m where m.user_id = ${ME} limit 1) = 'admin'`,
    `(select m.role from public.members m where m.user_id = ${ME} and m.team_id = docs.team_id limit 1) = 'admin'`,
  ],
  [
    "one of some roles in any team",
    `'owner' in (select m.role from public.members m where m.user_id = ${ME})`,
    `'owner' in (select m.role from public.members m where m.user_id = ${ME} and m.team_id = docs.team_id)`,
  ],
];

const HELPERS: [name: string, flawed: string, using: string, sound: string, soundUsing: string, rule: string][] = [
  [
    "a parameter with the name of a column",
    helper(
      "is_member(team_id uuid)",
      "boolean",
      "select exists (select from public.members where team_id = team_id and user_id = auth.uid())",
    ),
    "private.is_member(team_id)",
    helper(
      "is_member(team uuid)",
      "boolean",
      "select exists (select from public.members m where m.team_id = team and m.user_id = auth.uid())",
    ),
    "private.is_member(team_id)",
    "policy-compares-itself",
  ],
  [
    "a parameter that is not used",
    helper(
      "is_admin(team uuid)",
      "boolean",
      "select exists (select from public.members m where m.user_id = auth.uid() and m.role = 'admin')",
    ),
    "private.is_admin(team_id)",
    helper(
      "is_admin(team uuid)",
      "boolean",
      "select exists (select from public.members m where m.team_id = $1 and m.user_id = auth.uid() and m.role = 'admin')",
    ),
    "private.is_admin(team_id)",
    "policy-any-tenant",
  ],
  [
    "a set of all teams",
    helper("my_teams()", "setof uuid", "select m.team_id from public.members m"),
    "team_id in (select private.my_teams())",
    helper("my_teams()", "setof uuid", "select m.team_id from public.members m where m.user_id = auth.uid()"),
    "team_id in (select private.my_teams())",
    "policy-true",
  ],
  [
    "plpgsql that returns true",
    helper("may()", "boolean", "begin return auth.uid() is not null; end", { language: "plpgsql" }),
    "(select private.may())",
    helper("owns(owner uuid)", "boolean", "begin return owner = auth.uid(); end", { language: "plpgsql" }),
    "private.owns(user_id)",
    "policy-true",
  ],
  [
    "plpgsql with a branch for all",
    helper("may(owner uuid)", "boolean", "begin if auth.uid() is null then return false; end if; return true; end", {
      language: "plpgsql",
    }),
    "private.may(user_id)",
    helper(
      "may(owner uuid)",
      "boolean",
      "begin if auth.uid() is null then return false; end if; return owner = auth.uid(); end",
      { language: "plpgsql" },
    ),
    "private.may(user_id)",
    "policy-true",
  ],
  [
    "plpgsql with a variable",
    helper(
      "is_admin()",
      "boolean",
      "declare found_role text; begin select m.role into found_role from public.members m where m.user_id = auth.uid(); return found_role = 'admin'; end",
      { language: "plpgsql" },
    ),
    "(select private.is_admin())",
    helper(
      "is_admin(team uuid)",
      "boolean",
      "declare found_role text; begin select m.role into found_role from public.members m where m.user_id = auth.uid() and m.team_id = team; return found_role = 'admin'; end",
      { language: "plpgsql" },
    ),
    "private.is_admin(team_id)",
    "policy-any-tenant",
  ],
  [
    "a constant",
    helper("may(owner uuid)", "boolean", "select true"),
    "private.may(user_id)",
    helper("may(owner uuid)", "boolean", "select owner = auth.uid()"),
    "private.may(user_id)",
    "policy-true",
  ],
  [
    "a helper of a helper",
    helper("any_user()", "boolean", "select auth.uid() is not null") +
      helper("may(owner uuid)", "boolean", "select owner = auth.uid() or private.any_user()"),
    "private.may(user_id)",
    helper("same(owner uuid)", "boolean", "select owner = auth.uid()") +
      helper("may(owner uuid)", "boolean", "select private.same(owner)"),
    "private.may(user_id)",
    "policy-true",
  ],
  [
    "user metadata",
    helper("is_staff()", "boolean", "select (auth.jwt() -> 'user_metadata' ->> 'staff') = 'yes'"),
    "(select private.is_staff())",
    helper("is_staff()", "boolean", "select (auth.jwt() -> 'app_metadata' ->> 'staff') = 'yes'"),
    "(select private.is_staff())",
    "user-metadata",
  ],
  [
    "a request header",
    helper("device()", "text", "select current_setting('request.headers', true)::json ->> 'x-device'"),
    "status = (select private.device())",
    helper("subject()", "text", "select auth.jwt() ->> 'sub'"),
    "user_id::text = (select private.subject())",
    "request-header",
  ],
];

const ADMIN = (condition: string) =>
  docs(`${ME} = user_id or exists (select from public.profiles p where p.user_id = ${ME} and ${condition})`);
const OWN_UPDATE = policy("public.profiles", "update", `${ME} = user_id`);
const TRUSTED: [column: string, condition: string][] = [
  ["role", "p.role = 'admin'"],
  ["is_admin", "p.is_admin"],
  ["plan", "p.plan = 'pro'"],
  ["tenant_id", "p.tenant_id = docs.team_id"],
];

const JOIN =
  withMembers(`team_id in (select m.team_id from public.members m where m.user_id = ${ME})`) +
  table("teams", OWNER) +
  policy("public.teams", "select", `${ME} = user_id`);
export const JWT = (role: string) =>
  [{ alg: "HS256" }, { role }].map((part) => Buffer.from(JSON.stringify(part)).toString("base64url")).join(".") +
  `.${"x".repeat(43)}`;
const STORAGE = `
  create schema if not exists storage; create schema if not exists realtime;
  create table storage.objects (id uuid primary key default gen_random_uuid(), bucket_id text, name text, owner_id text);
  create table storage.buckets (id text primary key, name text, owner_id text, public boolean);
  create table realtime.messages (id uuid primary key default gen_random_uuid(), topic text, extension text, payload jsonb);
  create function storage.foldername(name text) returns text[] language sql immutable as $body$select string_to_array(name, '/')$body$;
  create function realtime.topic() returns text language sql stable as $body$select current_setting('realtime.topic', true)$body$;
  alter table storage.objects enable row level security; alter table storage.buckets enable row level security; alter table realtime.messages enable row level security;
  grant usage on schema storage, realtime to anon, authenticated;
  grant all on storage.objects, storage.buckets, realtime.messages to anon, authenticated;
`;
const FOLDER = `bucket_id = 'files' and (storage.foldername(name))[1] = ${ME}::text`;
const objects = (
  name: string,
  command: string,
  flawed: string,
  sound: string,
  on = "storage.objects",
  needs = "",
): Case => ({
  name: `${on}: ${name}`,
  flawed: STORAGE + needs + policy(on, command, flawed),
  rule: "policy-true",
  object: `${on}.p_${command}`,
  sound: STORAGE + needs + policy(on, command, sound),
});
const VIEW = docs(`${ME} = user_id`) + "create schema if not exists private;";
const FEED = `create table public.feed (id uuid primary key); grant select (id) on public.feed to authenticated;`;
const listOf = (where: string) =>
  `${helper("private.all_docs()", "setof public.docs", `select * from public.docs d${where}`)} ${helper("public.list_docs()", "setof public.docs", "select * from private.all_docs()", { definer: false })}`;

export const CASES: Case[] = [
  ...OPEN.map(
    ([name, condition]): Case => ({
      name: `open: ${name}`,
      flawed: docs(condition),
      rule: "policy-true",
      object: "public.docs.p_select",
      sound: docs(condition === "true" ? `${ME} = user_id` : `(${condition}) and ${ME} = user_id`),
    }),
  ),
  ...COMMANDS.map(
    ([command, condition]): Case => ({
      name: `open for ${command}: ${condition}`,
      flawed: docs(`${ME} = user_id`) + policy("public.docs", command, condition).replace("p_", "q_"),
      rule: "policy-true",
      object: `public.docs.q_${command}`,
    }),
  ),
  ...BINDING.map(
    ([name, using, sound]): Case => ({
      name: `unqualified: ${name}`,
      flawed: withMembers(using),
      rule: "policy-compares-itself",
      object: "public.docs.p_select",
      sound: withMembers(sound),
    }),
  ),
  ...["update", "delete", "insert"].map((command): Case => {
    const on = (inner: string) =>
      withMembers(`${ME} = user_id`) +
      policy(
        "public.docs",
        command,
        `exists (select from public.members m where m.team_id = ${inner} and m.user_id = ${ME})`,
      ).replace("p_", "q_");
    return {
      name: `unqualified: ${command}`,
      flawed: on("team_id"),
      rule: "policy-compares-itself",
      object: `public.docs.q_${command}`,
      ...(command !== "delete" && { sound: on("docs.team_id") }),
    };
  }),
  ...ANY_TENANT.map(
    ([name, using, sound]): Case => ({
      name,
      flawed: withMembers(using),
      rule: "policy-any-tenant",
      object: "public.docs.p_select",
      sound: withMembers(sound),
    }),
  ),
  ...HELPERS.map(
    ([name, flawed, using, sound, soundUsing, rule]): Case => ({
      name: `helper: ${name}`,
      flawed: MEMBERS + flawed + docs(using),
      rule,
      object: "public.docs.p_select",
      sound: MEMBERS + sound + docs(soundUsing),
    }),
  ),
  {
    name: "has a profile, which sign-up makes",
    flawed:
      PROFILES + SIGNUP("user_id", "new.id") + docs(`exists (select from public.profiles p where p.user_id = ${ME})`),
    rule: "policy-any-account",
    object: "public.docs.p_select",
    sound:
      PROFILES +
      SIGNUP("user_id", "new.id") +
      docs(`exists (select from public.profiles p where p.user_id = ${ME} and p.user_id = docs.user_id)`),
  },
  {
    name: "has a profile, which everybody can make",
    flawed:
      PROFILES +
      `grant insert (display_name, user_id) on public.profiles to authenticated; ${policy("public.profiles", "insert", `${ME} = user_id`)}` +
      docs(`${ME} in (select p.user_id from public.profiles p)`),
    rule: "policy-any-account",
    object: "public.docs.p_select",
    sound:
      table("staff", OWNER) +
      policy("public.staff", "select", `${ME} = user_id`) +
      docs(`${ME} in (select s.user_id from public.staff s)`),
  },
  ...[
    ["a header", "status = (select current_setting('request.headers', true)::json ->> 'x-key')"],
    ["a cookie", "status = (select current_setting('request.cookies', true)::json ->> 'session')"],
    ["the path", "status = (select current_setting('request.path', true))"],
  ].map(
    ([name, condition]): Case => ({
      name: `trusts ${name}`,
      flawed: docs(condition ?? ""),
      rule: "request-header",
      object: "public.docs.p_select",
      sound: docs(`user_id = ${ME}`),
    }),
  ),
  {
    name: "trusts user metadata",
    flawed: docs(`${ME} = user_id or ((select auth.jwt()) -> 'user_metadata' ->> 'role') = 'admin'`),
    rule: "user-metadata",
    object: "public.docs.p_select",
    sound: docs(`${ME} = user_id or ((select auth.jwt()) -> 'app_metadata' ->> 'role') = 'admin'`),
  },

  ...[
    [
      "jsonb_path_exists((select auth.jwt()), '$.sub')",
      `jsonb_path_exists((select auth.jwt()), '$.app_metadata.role ? (@ == "admin")')`,
    ],
    ["(select auth.jwt()) @? '$.session_id'", `(select auth.jwt()) @? '$.app_metadata ? (@.role == "admin")'`],
  ].map(
    ([claim = "", role = ""]): Case => ({
      name: `a claim that every user has: ${claim}`,
      flawed: docs(claim),
      rule: "policy-true",
      object: "public.docs.p_select",
      sound: docs(role),
    }),
  ),

  ...TRUSTED.map(
    ([column, condition]): Case => ({
      name: `its user updates ${column}`,
      flawed:
        PROFILES +
        `grant update (display_name, ${column}) on public.profiles to authenticated; ${OWN_UPDATE}` +
        ADMIN(condition),
      rule: "trusted-column",
      object: `public.profiles.${column}`,
      sound:
        PROFILES + `grant update (display_name) on public.profiles to authenticated; ${OWN_UPDATE}` + ADMIN(condition),
    }),
  ),
  ...TRUSTED.slice(0, 3).map(
    ([column, condition]): Case => ({
      name: `its user inserts ${column}`,
      flawed:
        PROFILES +
        `grant insert (display_name, ${column}) on public.profiles to authenticated; ${policy("public.profiles", "insert", `${ME} = user_id`)}` +
        ADMIN(condition),
      rule: "trusted-column",
      object: `public.profiles.${column}`,
      sound:
        PROFILES +
        `grant insert (display_name, ${column}) on public.profiles to authenticated; ${policy("public.profiles", "insert", `${ME} = user_id and role = 'user' and not is_admin and plan = 'free'`)}` +
        ADMIN(condition),
    }),
  ),
  {
    name: "its user updates a column that a helper trusts",
    flawed:
      PROFILES +
      MEMBERS +
      helper(
        "is_admin()",
        "boolean",
        "select exists (select from public.profiles p where p.user_id = auth.uid() and p.role = 'admin')",
      ) +
      `grant update (role) on public.profiles to authenticated; ${OWN_UPDATE}` +
      docs(`${ME} = user_id or (select private.is_admin())`),
    rule: "trusted-column",
    object: "public.profiles.role",
    sound:
      PROFILES +
      MEMBERS +
      helper(
        "is_admin()",
        "boolean",
        "select exists (select from public.profiles p where p.user_id = auth.uid() and p.role = 'admin')",
      ) +
      `grant update (role) on public.profiles to authenticated; ${policy("public.profiles", "update", `${ME} = user_id`, `${ME} = user_id and role = 'user'`)}` +
      docs(`${ME} = user_id or (select private.is_admin())`),
  },
  {
    name: "its user updates a column in a scalar sub-query",
    flawed:
      PROFILES +
      `grant update (role) on public.profiles to authenticated; ${OWN_UPDATE}` +
      docs(`(select p.role from public.profiles p where p.user_id = ${ME}) = 'admin'`),
    rule: "trusted-column",
    object: "public.profiles.role",
    sound:
      PROFILES +
      `grant update (role) on public.profiles to authenticated; ${OWN_UPDATE}
      create schema private; create function private.keep_role() returns trigger language plpgsql set search_path = '' as $body$begin if new.role is distinct from old.role then raise 'no'; end if; return new; end$body$; revoke all on function private.keep_role() from public;
      create trigger keep before update on public.profiles for each row execute function private.keep_role();` +
      docs(`(select p.role from public.profiles p where p.user_id = ${ME}) = 'admin'`),
  },
  ...[
    ["role", "new.raw_user_meta_data ->> 'role'", "p.role = 'admin'"],
    ["plan", "coalesce(new.raw_user_meta_data ->> 'plan', 'free')", "p.plan = 'pro'"],
    ["tenant_id", "(new.raw_user_meta_data ->> 'tenant')::uuid", "p.tenant_id = docs.team_id"],
    ["is_admin", "coalesce((new.raw_user_meta_data ->> 'admin')::boolean, false)", "p.is_admin"],
  ].map(
    ([column = "", value, condition = ""]): Case => ({
      name: `sign-up copies ${column}`,
      flawed: PROFILES + SIGNUP(`user_id, ${column}`, `new.id, ${value}`) + ADMIN(condition),
      rule: "signup-metadata",
      object: `public.profiles.${column}`,
      sound: PROFILES + SIGNUP("user_id, display_name", "new.id, new.raw_user_meta_data ->> 'name'") + ADMIN(condition),
    }),
  ),
  {
    name: "everybody joins any team",
    flawed:
      JOIN +
      `grant insert (team_id, user_id) on public.members to authenticated; ${policy("public.members", "insert", `${ME} = user_id`)}`,
    rule: "self-made-membership",
    object: "public.members.p_insert",
    sound:
      JOIN +
      `grant insert (team_id) on public.members to authenticated; ${policy("public.members", "insert", `${ME} = user_id and exists (select from public.teams t where t.id = members.team_id and t.user_id = ${ME})`)}`,
  },
  {
    name: "everybody becomes owner of any team",
    flawed:
      JOIN +
      `grant insert (team_id, role) on public.members to authenticated; ${policy("public.members", "insert", `${ME} = user_id and role = 'owner'`)}`,
    rule: "self-made-membership",
    object: "public.members.p_insert",
    sound:
      JOIN +
      `grant insert (team_id, role) on public.members to authenticated; ${policy("public.members", "insert", `${ME} = user_id and team_id in (select t.id from public.teams t where t.user_id = ${ME})`)}`,
  },
  {
    name: "a member moves into any team",
    flawed:
      JOIN +
      `grant update (team_id) on public.members to authenticated; ${policy("public.members", "update", `${ME} = user_id`)}`,
    rule: "trusted-column",
    object: "public.members.team_id",
    sound:
      JOIN +
      `grant update (role) on public.members to authenticated; ${policy("public.members", "update", `${ME} = user_id`)}`,
  },

  {
    name: "a view below a view",
    flawed:
      VIEW +
      "create view private.every as select d.id, d.title from public.docs d; grant select (id) on private.every to authenticated; create view public.shown with (security_invoker = true) as select e.id from private.every e; grant select on public.shown to authenticated;",
    rule: "view-definer",
    object: "private.every",
    sound:
      VIEW +
      "create view private.every with (security_invoker = true) as select d.id, d.title from public.docs d; grant select (id) on private.every to authenticated; create view public.shown with (security_invoker = true) as select e.id from private.every e; grant select on public.shown to authenticated;",
  },
  {
    name: "a view with its owner's rights",
    flawed:
      VIEW +
      "create view public.every as select d.id from public.docs d; grant select on public.every to authenticated",
    rule: "view-definer",
    object: "public.every",
    sound:
      VIEW +
      `create view public.mine as select d.id from public.docs d where d.user_id = ${ME}; grant select on public.mine to authenticated`,
  },
  {
    name: "a view that names the caller and reads all",
    flawed:
      VIEW +
      `create view public.every as select d.id from public.docs d where ${SIGNED}; grant select on public.every to authenticated`,
    rule: "view-definer",
    object: "public.every",
    sound:
      VIEW +
      "create view public.every with (security_invoker = on) as select d.id from public.docs d; grant select on public.every to authenticated",
  },
  {
    name: "a definer function below a wrapper",
    flawed: MEMBERS + VIEW + listOf(""),
    rule: "definer-below",
    object: "private.all_docs()",
    sound: MEMBERS + VIEW + listOf(" where d.user_id = auth.uid()"),
  },
  {
    name: "a definer function below a view",
    flawed:
      MEMBERS +
      VIEW +
      helper("private.all_docs()", "setof public.docs", "select * from public.docs") +
      "create view public.shown with (security_invoker = true) as select a.id from private.all_docs() a; grant select on public.shown to authenticated",
    rule: "definer-below",
    object: "private.all_docs()",
    sound:
      MEMBERS +
      VIEW +
      helper("private.all_docs()", "setof public.docs", "select * from public.docs d where d.user_id = auth.uid()") +
      "create view public.shown with (security_invoker = true) as select a.id from private.all_docs() a; grant select on public.shown to authenticated",
  },
  {
    name: "a definer function by an id that the caller names",
    flawed:
      MEMBERS +
      VIEW +
      helper(
        "private.docs_of(owner uuid)",
        "setof public.docs",
        "select * from public.docs d where d.user_id = owner",
      ) +
      helper("public.docs_of(owner uuid)", "setof public.docs", "select * from private.docs_of(owner)", {
        definer: false,
      }),
    rule: "definer-below",
    object: "private.docs_of(owner uuid)",
    sound:
      MEMBERS +
      VIEW +
      helper(
        "private.docs_of(owner uuid)",
        "setof public.docs",
        "select * from public.docs d where d.user_id = owner",
      ) +
      helper("public.my_docs()", "setof public.docs", "select * from private.docs_of(auth.uid())", { definer: false }),
  },
  {
    name: "a definer function in an exposed schema",
    flawed: VIEW + helper("public.every()", "setof public.docs", "select * from public.docs"),
    rule: "definer-exposed",
    object: "public.every()",
    sound: VIEW + helper("public.mine()", "setof public.docs", "select * from public.docs", { definer: false }),
  },
  {
    name: "a schema that PostgREST's settings expose",
    flawed:
      "create schema api; grant usage on schema api to anon, authenticated; alter role authenticator set pgrst.db_schemas = 'public, api'; create function api.ping() returns int language sql set search_path = '' as 'select 1';",
    rule: "function-anon",
    object: "api.ping()",
    sound:
      "create schema api; grant usage on schema api to anon, authenticated; alter role authenticator set pgrst.db_schemas = 'public, api'; create function api.ping() returns int language sql set search_path = '' as 'select 1'; revoke execute on function api.ping() from public;",
  },

  objects("anybody does anything", "all", "true", FOLDER),
  objects("anybody overwrites a bucket", "update", "bucket_id = 'files'", FOLDER),
  objects("anybody uploads to a bucket", "insert", "bucket_id = 'files'", FOLDER),
  objects("anybody deletes from a bucket", "delete", `bucket_id = 'files' and ${SIGNED}`, FOLDER),
  objects(
    "a folder that is not the caller's",
    "select",
    `(storage.foldername(name))[1] = 'private' and ${SIGNED}`,
    `owner_id = ${ME}::text`,
  ),
  objects(
    "another's folder",
    "select",
    `(storage.foldername(name))[1] <> ${ME}::text`,
    `(storage.foldername(name))[1] = ${ME}::text`,
  ),
  objects("anybody makes buckets", "insert", SIGNED, `owner_id = ${ME}::text`, "storage.buckets"),
  objects("anybody changes buckets", "update", "true", `owner_id = ${ME}::text`, "storage.buckets"),
  objects("any channel", "select", "true", `topic = 'user:' || ${ME}::text`, "realtime.messages"),
  objects(
    "any channel of an extension",
    "select",
    "extension in ('broadcast', 'presence')",
    `realtime.topic() = 'user:' || ${ME}::text`,
    "realtime.messages",
  ),
  objects(
    "sending to any channel",
    "insert",
    SIGNED,
    `exists (select from public.members m where m.user_id = ${ME} and m.team_id::text = realtime.topic())`,
    "realtime.messages",
    MEMBERS,
  ),
  {
    name: "storage.objects has no row level security",
    flawed: STORAGE + "alter table storage.objects disable row level security",
    rule: "rls-disabled",
    object: "storage.objects",
    sound: STORAGE,
  },
  {
    name: "Realtime publishes a table without row level security",
    flawed: FEED + "alter publication supabase_realtime add table public.feed",
    rule: "rls-disabled",
    object: "public.feed",
    sound: docs(`${ME} = user_id`) + "alter publication supabase_realtime add table public.docs",
  },

  ...[
    "create function private.call_api() returns text language sql as $body$select 'KEY'$body$; revoke all on function private.call_api() from public;|private.call_api()",
    "create function private.hook() returns trigger language plpgsql as $body$begin return new; end$body$; revoke all on function private.hook() from public; create trigger hook after insert on public.docs for each row execute function private.hook('https://example.com', 'KEY')|public.docs.hook",
    "alter table public.docs add token text default 'KEY'|public.docs.token",
  ].map((line): Case => {
    const [sql = "", object = ""] = line.split("|");
    return {
      name: `a service key in ${object}`,
      flawed: VIEW + sql.replace("KEY", JWT("service_role")),
      rule: "stored-secret",
      object,
      sound: VIEW + sql.replace("KEY", JWT("anon")),
    };
  }),
  {
    name: "a secret key in a function",
    flawed:
      VIEW +
      `create function private.call_api() returns text language sql as $body$select 'sb_secret_${"x".repeat(24)}'$body$; revoke all on function private.call_api() from public;`,
    rule: "stored-secret",
    object: "private.call_api()",
  },

  {
    name: "row level security is off",
    flawed: FEED,
    rule: "rls-disabled",
    object: "public.feed",
    sound: "create table public.feed (id uuid primary key)",
  },
  {
    name: "policies of a table whose row level security is off",
    flawed: `create table public.feed (id uuid primary key, user_id uuid not null); create index on public.feed (user_id); ${policy("public.feed", "select", `${ME} = user_id`)}`,
    rule: "rls-disabled",
    object: "public.feed",
  },
  {
    name: "row level security is off in a schema that is not exposed",
    flawed:
      "create schema inner_things; create table inner_things.feed (id uuid primary key); grant select on inner_things.feed to authenticated",
    rule: "rls-disabled",
    object: "inner_things.feed",
    sound: "create schema inner_things; create table inner_things.feed (id uuid primary key)",
  },
  {
    name: "a name with dots and capitals",
    flawed:
      'create table public."My.Notes" (id uuid primary key, user_id uuid); grant select on public."My.Notes" to authenticated',
    rule: "rls-disabled",
    object: "public.My.Notes",
  },
  {
    name: "a policy on a name with capitals",
    flawed:
      table("User Docs", OWNER) +
      `create policy "Any.One" on public."User Docs" for select to authenticated using (true);`,
    rule: "policy-true",
    object: "public.User Docs.Any.One",
    sound:
      table("User Docs", OWNER) +
      `create policy "Own.Rows" on public."User Docs" for select to authenticated using (${ME} = user_id);`,
  },
  {
    name: "anon reads a column that holds a secret",
    flawed:
      table("shops", "is_public boolean not null, access_token text", { grant: "" }) +
      `grant select (id, access_token) on public.shops to anon; ${policy("public.shops", "select", "is_public", undefined, "anon")}`,
    rule: "sensitive-column",
    object: "public.shops.access_token",
    sound:
      table("shops", "is_public boolean not null, access_token text", { grant: "" }) +
      `grant select (id) on public.shops to anon; ${policy("public.shops", "select", "is_public", undefined, "anon")}`,
  },
  {
    name: "tables to come are open to anon",
    flawed: "alter default privileges in schema public grant select on tables to anon",
    rule: "default-privileges",
    object: "default privileges of postgres in public",
    sound:
      "create role supabase_admin; alter default privileges for role supabase_admin in schema public grant all on tables to anon, authenticated",
  },
  {
    name: "tables to come in a schema that is not exposed",
    flawed: "create schema later; alter default privileges in schema later grant select on tables to authenticated",
    rule: "default-privileges",
    object: "default privileges of postgres in later",
  },
  {
    name: "a policy's helper may not be called",
    flawed:
      MEMBERS +
      helper("mine(owner uuid)", "boolean", "select owner = auth.uid()") +
      "revoke execute on function private.mine(uuid) from authenticated;" +
      docs("private.mine(user_id)"),
    rule: "policy-fails",
    object: "public.docs.p_select",
    sound: MEMBERS + helper("mine(owner uuid)", "boolean", "select owner = auth.uid()") + docs("private.mine(user_id)"),
  },
  {
    name: "a policy reads a table that its role may not read",
    flawed:
      table("members", `team_id uuid not null, ${OWNER}`, { grant: "" }) +
      policy("public.members", "select", `${ME} = user_id`) +
      docs(`team_id in (select m.team_id from public.members m where m.user_id = ${ME})`),
    rule: "policy-fails",
    object: "public.docs.p_select",
  },
  {
    name: "a helper resets its role",
    flawed:
      MEMBERS +
      helper("ok()", "boolean", "begin execute 'reset role'; return auth.uid() is not null; end", {
        language: "plpgsql",
        definer: false,
      }) +
      docs(`(select private.ok()) and ${ME} = user_id`),
    rule: "helper-escapes",
    object: "private.ok()",
  },
  {
    name: "a helper starts a program",
    flawed:
      MEMBERS +
      helper("ok()", "boolean", "begin copy (select 1) to program 'true'; return true; end", {
        language: "plpgsql",
        definer: false,
      }).replace("stable", "volatile") +
      docs(`(select private.ok()) and ${ME} = user_id`),
    rule: "helper-escapes",
    object: "private.ok()",
  },
  {
    name: "WITH CHECK gives the row away",
    flawed:
      docs(`${ME} = user_id`) +
      `grant update (team_id, user_id) on public.docs to authenticated; ${policy("public.docs", "update", `${ME} = user_id`, SIGNED)}`,
    rule: "policy-true",
    object: "public.docs.p_update",
    sound:
      docs(`${ME} = user_id`) +
      `grant update (title) on public.docs to authenticated; ${policy("public.docs", "update", `${ME} = user_id`, `${ME} = user_id and title <> ''`)}`,
  },
];

const CHAT = `${table("rooms", OWNER)} ${table("room_members", `room_id uuid not null references public.rooms, ${OWNER}`)} ${table("messages", `room_id uuid not null references public.rooms, ${OWNER}, body text`)}
  create schema private; grant usage on schema private to authenticated;
  ${helper("my_rooms()", "setof uuid", "select m.room_id from public.room_members m where m.user_id = auth.uid()")}`;
const own = (
  name: string,
  columns: string,
) => `${table(name, `${OWNER}, ${columns}`)} grant insert (${names(columns).join(", ")}), update (${names(columns).join(", ")}), delete on public.${name} to authenticated;
  ${["select", "insert", "update", "delete"].map((command) => policy(`public.${name}`, command, `${ME} = user_id`)).join(" ")}`;

/** Ordinary schemas: starter kits, quickstarts, several tenants, Storage, Realtime. */
export const ORDINARY: [name: string, sql: string][] = [
  ["todos", own("todos", "task text, is_complete boolean")],
  [
    "profiles, made at sign-up",
    PROFILES +
      SIGNUP("user_id", "new.id") +
      `grant update (display_name) on public.profiles to authenticated; ${OWN_UPDATE}`,
  ],
  [
    "profiles with a role that nobody writes",
    PROFILES +
      SIGNUP("user_id, display_name", "new.id, new.raw_user_meta_data ->> 'full_name'") +
      ADMIN("p.role = 'admin'"),
  ],
  [
    "profiles that everybody sees",
    table("people", `${OWNER}, username text, is_public boolean not null default false`) +
      policy("public.people", "select", `is_public or ${ME} = user_id`),
  ],
  [
    "teams and their documents",
    withMembers(`team_id in (select m.team_id from public.members m where m.user_id = ${ME})`),
  ],
  [
    "teams by a helper",
    MEMBERS +
      helper("my_teams()", "setof uuid", "select m.team_id from public.members m where m.user_id = auth.uid()") +
      docs("team_id in (select private.my_teams())"),
  ],
  [
    "teams by a helper that is asked for a role",
    MEMBERS +
      helper(
        "has_role(team uuid, at_least text)",
        "boolean",
        "select exists (select from public.members m where m.team_id = team and m.user_id = auth.uid() and m.role = at_least)",
      ) +
      docs("private.has_role(team_id, 'admin')"),
  ],
  ["teams by a claim", docs("team_id = ((select auth.jwt()) -> 'app_metadata' ->> 'team_id')::uuid")],
  [
    "teams by an array of a claim",
    docs("team_id::text in (select jsonb_array_elements_text((select auth.jwt()) -> 'app_metadata' -> 'teams'))"),
  ],
  [
    "roles by a claim of a hook",
    `create type public.app_permission as enum ('docs.delete'); ${table("role_permissions", "role text, permission public.app_permission", { grant: "" })} ${policy("public.role_permissions", "select", "false")} create schema private; grant usage on schema private to authenticated;
    ${helper("authorize(requested public.app_permission)", "boolean", "declare bound int; user_role text; begin select (auth.jwt() ->> 'user_role') into user_role; select count(*) into bound from public.role_permissions where role_permissions.permission = requested and role_permissions.role = user_role; return bound > 0; end", { language: "plpgsql" })}
    ${docs("(select private.authorize('docs.delete'))")}`,
  ],
  [
    "roles in a table of their own",
    table("user_roles", `${OWNER}, role text`) +
      policy("public.user_roles", "select", `${ME} = user_id`) +
      docs(
        `${ME} = user_id or exists (select from public.user_roles r where r.user_id = ${ME} and r.role = 'moderator')`,
      ),
  ],
  [
    "staff in a table of their own",
    table("staff", OWNER) +
      policy("public.staff", "select", `${ME} = user_id`) +
      docs(`${ME} = user_id or exists (select from public.staff s where s.user_id = ${ME})`),
  ],
  [
    "subscriptions that a webhook writes",
    table("subscriptions", `${OWNER}, status text`) +
      policy("public.subscriptions", "select", `${ME} = user_id`) +
      docs(`exists (select from public.subscriptions s where s.user_id = ${ME} and s.status = 'active')`),
  ],
  [
    "a chat",
    CHAT +
      policy("public.rooms", "select", "id in (select private.my_rooms())") +
      policy("public.room_members", "select", "room_id in (select private.my_rooms())") +
      policy("public.messages", "select", "room_id in (select private.my_rooms())") +
      `grant insert (room_id, body) on public.messages to authenticated; ${policy("public.messages", "insert", `${ME} = user_id and room_id in (select private.my_rooms())`)}`,
  ],
  [
    "messages between two",
    table("dms", "sender_id uuid not null, receiver_id uuid not null, body text") +
      `grant insert (receiver_id, body) on public.dms to authenticated; ${policy("public.dms", "select", `${ME} in (sender_id, receiver_id)`)} ${policy("public.dms", "insert", `${ME} = sender_id`)}`,
  ],
  [
    "rows that their parent shows",
    docs(`${ME} = user_id`) +
      table("comments", "doc_id uuid not null references public.docs, body text") +
      policy("public.comments", "select", "exists (select from public.docs d where d.id = comments.doc_id)"),
  ],
  [
    "rows of a parent",
    docs(`${ME} = user_id`) +
      table("comments", "doc_id uuid not null references public.docs, body text") +
      policy(
        "public.comments",
        "select",
        `exists (select from public.docs d where d.id = comments.doc_id and d.user_id = ${ME})`,
      ),
  ],
  [
    "posts that are published",
    table("posts", `${OWNER}, published boolean not null default false, title text`) +
      policy("public.posts", "select", `published or ${ME} = user_id`),
  ],
  [
    "posts that anon reads",
    table("posts", `${OWNER}, published boolean not null default false, title text`) +
      `grant select (id, title) on public.posts to anon; ${policy("public.posts", "select", "published", undefined, "anon")}`,
  ],
  [
    "shared by an array",
    table("lists", `${OWNER}, member_ids uuid[] not null default '{}'`) +
      policy("public.lists", "select", `${ME} = user_id or ${ME} = any (member_ids)`),
  ],
  [
    "shared by a table",
    docs(`${ME} = user_id`).replace("p_select", "own") +
      `${table("shares", `doc_id uuid not null, ${OWNER}`)} ${policy("public.shares", "select", `${ME} = user_id`)} ${policy("public.docs", "select", `id in (select s.doc_id from public.shares s where s.user_id = ${ME})`)}`,
  ],
  [
    "shared by address",
    table("invites", "email text not null, team_id uuid") +
      `create index on public.invites (email); ${policy("public.invites", "select", "email = (select auth.jwt() ->> 'email')")}`,
  ],
  [
    "files in the user's folder",
    STORAGE +
      ["select", "insert", "update", "delete"].map((command) => policy("storage.objects", command, FOLDER)).join(" "),
  ],
  [
    "avatars that everybody sees",
    STORAGE +
      policy("storage.objects", "select", "bucket_id = 'avatars'") +
      policy("storage.objects", "insert", `bucket_id = 'avatars' and owner_id = ${ME}::text`),
  ],
  [
    "files of a team",
    STORAGE +
      MEMBERS +
      policy(
        "storage.objects",
        "select",
        `bucket_id = 'teams' and (storage.foldername(name))[1] in (select m.team_id::text from public.members m where m.user_id = ${ME})`,
      ),
  ],
  [
    "channels of a room",
    STORAGE +
      MEMBERS +
      policy(
        "realtime.messages",
        "select",
        `extension = 'broadcast' and exists (select from public.members m where m.user_id = ${ME} and m.team_id::text = (select realtime.topic()))`,
      ),
  ],
  ["a published table", own("todos", "task text") + "alter publication supabase_realtime add table public.todos;"],
  [
    "partitions",
    `create table public.events (id uuid not null, ${OWNER}, at date not null, primary key (id, at)) partition by range (at); create index on public.events (user_id); alter table public.events enable row level security;
    ${policy("public.events", "select", `${ME} = user_id`)} grant select (id, user_id, at) on public.events to authenticated; create table public.events_1 partition of public.events for values from ('2026-11-01') to ('2026-12-01'); alter table public.events_1 enable row level security;`,
  ],
  [
    "tables without grants",
    "create table public.queue (id uuid primary key); create schema internal; create table internal.jobs (id uuid primary key);",
  ],
  [
    "a view of the caller's rows",
    docs(`${ME} = user_id`) +
      "create view public.titles with (security_invoker = true) as select d.id, d.title from public.docs d; grant select on public.titles to authenticated",
  ],
  [
    "a trigger function with its owner's rights",
    `${docs(`${ME} = user_id`)} create schema private; create function private.touch() returns trigger language plpgsql security definer set search_path = '' as $body$begin return new; end$body$; create trigger touch before update on public.docs for each row execute function private.touch();`,
  ],
  [
    "a check that pins the owner",
    MEMBERS +
      docs(`team_id in (select m.team_id from public.members m where m.user_id = ${ME})`) +
      `grant update (title) on public.docs to authenticated; ${policy("public.docs", "update", `team_id in (select m.team_id from public.members m where m.user_id = ${ME})`, `${ME} = user_id`)}`,
  ],
  [
    "Supabase's own default privileges",
    "create role supabase_admin; alter default privileges for role supabase_admin in schema public grant all on tables to anon, authenticated; alter default privileges for role supabase_admin in schema public grant all on functions to anon, authenticated",
  ],
  [
    "a closed table, and one whose direct calls are reported",
    `${own("todos", "task text")} ${own("plans", "name text")} select airlock.close_table('public.todos'), airlock.close_table('public.plans', 'report')`,
  ],
  [
    "the pre-request of edge-only mode",
    "create function public.edge_only() returns void language sql begin atomic select airlock.check_edge(); end; revoke execute on function public.edge_only() from public; grant execute on function public.edge_only() to anon, authenticated, service_role; alter role authenticator set pgrst.db_pre_request = 'public.edge_only'",
  ],
];
