// Tries the rows that anon and a second user reach over REST, when every table has rows of the first user. Each table
// is tried verb by verb, each function with the ids of those rows.
//
// The writes are real. So this is for a database that was made for it; of any other one, see looks.ts.

import { argumentsFor, type Signature } from "./arguments.ts";
import { usableSchemas, withPublished } from "./audit.ts";
import { type Accepted, type Finding, ofExtension, type Sql } from "./finding.ts";
import {
  another,
  namesOwner,
  type Row,
  readTables,
  restore,
  rowsOnlyIn,
  type State,
  seed,
  state,
  type Table,
} from "./rows.ts";

export const VERBS = ["select", "insert", "upsert", "update", "delete", "call"] as const;
export type Verb = (typeof VERBS)[number];

/** How a table or a function answered one caller. */
export interface Tried {
  object: string;
  as: string;
  verb: Verb;
  /** `reached` must not happen. */
  outcome: "denied" | "nothing" | "own row" | "open on purpose" | "reached" | "not tried";
  /** The requests and their answers, in short. */
  how: string;
  requests: number;
}

/** A caller of the REST API. */
export interface Caller {
  name: string;
  role: "anon" | "authenticated";
  id?: string;
  token?: string;
}

export interface Rest {
  /** The project's URL. */
  url: string;
  publishableKey: string;
}

export interface Reply {
  status: number;
  code: string;
  body: string;
  rows: unknown[];
  /** How many rows there are in all, by Content-Range. */
  total: number;
}

export async function ask(
  { url, publishableKey }: Rest,
  { token }: Caller,
  schema: string,
  method: string,
  path: string,
  json?: unknown,
  prefer = "return=minimal",
): Promise<Reply> {
  const response = await fetch(`${url}/rest/v1/${path}`, {
    method,
    headers: {
      apikey: publishableKey,
      prefer,
      "accept-profile": schema,
      "content-profile": schema,
      ...(token && { authorization: `Bearer ${token}` }),
      ...(json !== undefined && { "content-type": "application/json" }),
    },
    body: json === undefined ? null : JSON.stringify(json),
    signal: AbortSignal.timeout(30_000),
  });
  const body = await response.text();
  const parsed = parse(body);
  return {
    status: response.status,
    code: String((parsed as { code?: unknown } | undefined)?.code ?? ""),
    body,
    rows: Array.isArray(parsed) ? parsed : [],
    total: Number(/\/(\d+)$/.exec(response.headers.get("content-range") ?? "")?.[1] ?? 0),
  };
}

function parse(body: string): unknown {
  try {
    return JSON.parse(body);
  } catch {
    return undefined;
  }
}

/**
 * Refused by Postgres: a privilege is missing, a policy refuses, or a view takes no writes. Nothing else counts: a refused
 * token or an unknown table shows nothing about the policies.
 */
export const denied = ({ code }: Reply) => code === "42501" || code === "55000";

/** Whether Postgres decided the request, even if only by a constraint. */
export const answered = ({ status, code }: Reply) => status < 300 || /^(?!PGRST)[0-9A-Z]{5}$/.test(code);

/** The data that all tries share. */
interface Fixture {
  sql: Sql;
  rest: Rest;
  /** The tables of the schemas that REST exposes, and those of others that functions reach. */
  tables: Table[];
  /** The first user's. */
  rows: Map<string, Row[]>;
  before: State;
  owner: string;
  accepted: Accepted[];
}

/** Tries everything and restores the tables. `only` is the name of one table, or of one function: `public.f()`. */
export async function tryAll(
  sql: Sql,
  rest: Rest,
  schemas: string[],
  owner: string,
  callers: Caller[],
  accepted: Accepted[],
  only?: string,
): Promise<Tried[]> {
  const tables = await tablesWithin(sql, schemas);
  const found = await state(sql, tables);
  const rows = await seed(sql, tables, owner);
  // The other users have rows of their own, memberships too: a policy may let in everybody who has some.
  for (const { id } of callers) if (id) await seed(sql, tables, id);
  const meant = await withPublished(sql, accepted);
  const fixture: Fixture = { sql, rest, tables, rows, owner, accepted: meant, before: await state(sql, tables) };
  const tried: Tried[] = [];
  for (const table of tables.filter(({ name, schema }) => schemas.includes(schema) && (!only || name === only))) {
    for (const caller of callers) tried.push(...(await tryTable(fixture, table, caller)));
  }
  tried.push(...(await tryFunctions(fixture, schemas, callers, only)));
  await restore(sql, tables, found);
  return tried;
}

/** The tables with rows of users in schemas that REST does not expose, and the tables that such rows refer to. */
async function tablesWithin(sql: Sql, schemas: string[]): Promise<Table[]> {
  const hidden = (await usableSchemas(sql)).filter((schema) => !schemas.includes(schema));
  const all = await readTables(sql, [...schemas, ...hidden]);
  const ofUsers = (table: Table) => table.columns.some((column) => namesOwner(table, column));
  const referred = new Set(all.filter(ofUsers).flatMap(({ references }) => references.map(({ table }) => table)));
  return all.filter(
    (table) => schemas.includes(table.schema) || (!table.isView && (ofUsers(table) || referred.has(table.name))),
  );
}

async function tryTable(fixture: Fixture, table: Table, caller: Caller): Promise<Tried[]> {
  const seeded = fixture.rows.get(table.name) ?? [];
  const one = { object: table.name, as: caller.name };
  const tried = [await trySelect(fixture, table, caller)];
  if (!table.isView && seeded.length === 0) {
    const how = "no row of the first user's could be made";
    return [
      ...tried,
      ...VERBS.filter((verb) => verb !== "select" && verb !== "call").map(
        (verb): Tried => ({ ...one, verb, outcome: "not tried", how, requests: 0 }),
      ),
    ];
  }
  const column = table.columns[0]?.name ?? "";
  const rows = seeded.length > 0 ? seeded : [{ [column]: null }];
  const granted = (privilege: string) => table.granted[`${caller.role} ${privilege}`] ?? [];
  const pick = (row: Row, names: string[]) =>
    Object.fromEntries(Object.entries(row).filter(([name]) => names.includes(name)));
  const writable = table.columns.filter(({ generated }) => !generated).map(({ name }) => name);
  const theirs = table.columns.filter((column) => namesOwner(table, column)).map(({ name }) => name);
  const fresh = (row: Row) =>
    Object.fromEntries(
      Object.entries(row).map(([name, value]) => {
        const column = table.columns.find((one) => one.name === name);
        const refers = table.references.some((one) => one.column === name) || theirs.includes(name);
        return [name, column?.unique && !refers ? another(value) : value];
      }),
    );
  const asCaller = (row: Row) => ({
    ...row,
    ...Object.fromEntries(caller.id ? theirs.map((name) => [name, caller.id]) : []),
  });
  const whole = (row: Row) => pick(row, writable);
  const changed = (row: Row, names: string[]) =>
    Object.fromEntries(names.filter((name) => name in row).map((name) => [name, another(row[name])]));
  const filter = (row: Row) => table.key.map((name) => `${name}=eq.${encodeURIComponent(String(row[name]))}`).join("&");
  const to = encodeURIComponent(table.relname);
  // One row by its key, and all at once.
  const targets = rows.flatMap((row) => (table.key.length > 0 ? [`${to}?${filter(row)}`] : [])).concat(to);

  const inserts = rows.flatMap((row) => [
    whole(fresh(row)),
    whole(asCaller(fresh(row))),
    pick(fresh(row), granted("INSERT")),
    pick(asCaller(fresh(row)), granted("INSERT")),
  ]);
  // Each changes a value: an upsert of an equal row would go unnoticed.
  const altered = (row: Row) => ({
    ...row,
    ...changed(
      row,
      writable.filter(
        (name) =>
          !table.key.includes(name) &&
          !table.references.some(({ column }) => column === name) &&
          !theirs.includes(name),
      ),
    ),
  });
  const upserts = rows.flatMap((row) => [
    whole(altered(row)),
    whole(asCaller(row)),
    pick(altered(row), [...granted("INSERT"), ...table.key]),
  ]);
  const updates = rows.flatMap((row) => [
    changed(row, granted("UPDATE")),
    ...granted("UPDATE").map((name) => changed(row, [name])),
    pick(asCaller(row), theirs),
    whole(asCaller(row)),
  ]);
  const bodies = (list: Row[]) => [
    ...new Map(
      list.filter((body) => Object.keys(body).length > 0).map((body) => [JSON.stringify(body), body]),
    ).values(),
  ];
  tried.push(
    await write(
      fixture,
      table,
      caller,
      "insert",
      bodies(inserts).map((json) => ({ method: "POST", path: to, json })),
    ),
    await write(
      fixture,
      table,
      caller,
      "upsert",
      bodies(upserts).map((json) => ({
        method: "POST",
        path: to,
        json,
        prefer: "return=minimal, resolution=merge-duplicates",
      })),
    ),
    await write(
      fixture,
      table,
      caller,
      "update",
      targets.flatMap((path) => bodies(updates).map((json) => ({ method: "PATCH", path, json }))),
    ),
    await write(
      fixture,
      table,
      caller,
      "delete",
      targets.map((path) => ({ method: "DELETE", path })),
    ),
  );
  return tried;
}

/** Whether an accepted policy lets a role read other users' rows of a table. */
export const openOnPurpose = (accepted: Accepted[], { policies }: Table, role: Caller["role"]) =>
  accepted.some(({ rule, object }) => rule === "policy-true" && policies[role]?.includes(object));

async function trySelect({ rest, accepted, ...fixture }: Fixture, table: Table, caller: Caller): Promise<Tried> {
  const granted = table.granted[`${caller.role} SELECT`] ?? [];
  const replies = await Promise.all(
    ["*", ...(granted.length > 0 ? [granted.map(encodeURIComponent).join(",")] : [])].map((columns) =>
      ask(
        rest,
        caller,
        table.schema,
        "GET",
        `${encodeURIComponent(table.relname)}?select=${columns}`,
        undefined,
        "count=exact",
      ),
    ),
  );
  const lost = replies.find((reply) => !answered(reply));
  if (lost)
    return {
      object: table.name,
      as: caller.name,
      verb: "select",
      outcome: "not tried",
      how: `GET: ${lost.status} ${lost.code}`,
      requests: replies.length,
    };
  // A second user may see rows of their own.
  const seen = ({ rows, total }: Reply) =>
    caller.role === "anon"
      ? Math.max(rows.length, total)
      : rows.filter((row) => isFirsts(fixture, table.name, row as Row)).length;
  const most = Math.max(...replies.map(seen));
  const outcome =
    most > 0
      ? openOnPurpose(accepted, table, caller.role)
        ? "open on purpose"
        : "reached"
      : replies.every(denied)
        ? "denied"
        : "nothing";
  const how = `GET of all columns and of those that are granted: ${replies.map(({ status }) => status).join(", ")}; ${most} rows`;
  return { object: table.name, as: caller.name, verb: "select", outcome, how, requests: replies.length };
}

interface Sent {
  method: string;
  path: string;
  json?: unknown;
  prefer?: string;
}

/** Sends writes one after another and compares all tables after each. */
async function write(
  fixture: Fixture,
  table: Pick<Table, "schema" | "name">,
  caller: Caller,
  verb: Verb,
  requests: Sent[],
): Promise<Tried> {
  const statuses: string[] = [];
  let outcome: Tried["outcome"] = "denied";
  const reached: string[] = [];
  let unheard: string | undefined;
  const open = verb === "call" ? await openIds(fixture, caller) : new Set<string>();
  const lookAfter = async ({ method, path, json }: Sent, { status, body }: Reply) => {
    const now = await state(fixture.sql, fixture.tables);
    const [gone, gained] = [rowsOnlyIn(fixture.before, now), rowsOnlyIn(now, fixture.before)];
    const lost = gone.filter(
      ({ table, row }) => caller.role === "anon" || isFirsts(fixture, table, JSON.parse(row) as Row),
    );
    const foreign = gained.filter(
      ({ table, row }) => caller.role === "anon" || refersToOwner(fixture, table, row, caller.role),
    );
    const shown = verb === "call" && status < 300 ? ids(fixture).filter((id) => body.includes(id)) : [];
    if (shown.length > 0 && outcome !== "own row") outcome = "open on purpose";
    const hidden = shown.filter((id) => !open.has(id));
    if (lost.length > 0 || foreign.length > 0 || hidden.length > 0)
      reached.push(`${method} ${path}${json === undefined ? "" : ` ${JSON.stringify(json)}`}: ${status}`);
    else if (gained.length > 0) outcome = "own row";
    if (gone.length > 0 || gained.length > 0) await restore(fixture.sql, fixture.tables, fixture.before);
  };
  for (const [at, sent] of requests.entries()) {
    const reply = await ask(fixture.rest, caller, table.schema, sent.method, sent.path, sent.json, sent.prefer);
    statuses.push(`${reply.status}${reply.code && ` ${reply.code}`}`);
    if (!answered(reply)) unheard ??= `${sent.method}: ${reply.status} ${reply.code}`;
    if (!denied(reply) && outcome === "denied") outcome = "nothing";
    // Denied requests are rolled back, so one comparison is enough for them.
    if (!denied(reply) || at === requests.length - 1) await lookAfter(sent, reply);
  }
  if (unheard && reached.length === 0)
    return { object: table.name, as: caller.name, verb, outcome: "not tried", how: unheard, requests: requests.length };
  const counts = [...new Set(statuses)]
    .map((status) => `${statuses.filter((one) => one === status).length} × ${status}`)
    .join(", ");
  return {
    object: table.name,
    as: caller.name,
    verb,
    outcome: reached.length > 0 ? "reached" : outcome,
    how: reached[0] ?? counts,
    requests: requests.length,
  };
}

/** Whether a row, or the columns that are shown of it, is one that the first user has. */
function isFirsts(
  { tables, rows, owner }: Pick<Fixture, "tables" | "rows" | "owner">,
  name: string,
  row: Row,
): boolean {
  const table = tables.find((one) => one.name === name);
  if (table?.columns.some((column) => namesOwner(table, column) && row[column.name] === owner)) return true;
  const seeded = rows.get(name) ?? [];
  const by =
    table && table.key.length > 0 && table.key.every((key) => key in row)
      ? table.key
      : Object.keys(row).filter((column) => typeof row[column] !== "object");
  // A view has no seeded rows: those of the first user are recognized by their values.
  const all = table?.isView ? [...rows.values()].flat() : seeded;
  const shared = by.filter((column) => all.some((one) => column in one));
  return shared.length > 0 && all.some((one) => shared.every((column) => String(one[column]) === String(row[column])));
}

/** Whether a new row is in the first user's name, or belongs to one of that user's rows. */
function refersToOwner(
  { tables, rows, owner, accepted }: Fixture,
  name: string,
  text: string,
  role: Caller["role"],
): boolean {
  const table = tables.find((one) => one.name === name);
  const row = JSON.parse(text) as Row;
  if (!table) return false;
  if (table.columns.some((column) => namesOwner(table, column) && row[column.name] === owner)) return true;
  return table.references.some(({ column, table: target, target: key }) => {
    const referred = tables.find((one) => one.name === target);
    const open = referred && openOnPurpose(accepted, referred, role);
    return !open && row[column] !== null && rows.get(target)?.some((one) => one[key] === row[column]);
  });
}

/** An answer that contains one of these shows a row of the first user: that user's id, and the keys of the rows. */
function ids({ tables, rows, owner }: Fixture): string[] {
  const keys = tables.flatMap(({ name, key }) =>
    (rows.get(name) ?? []).flatMap((row) => key.map((column) => row[column])),
  );
  return [
    ...new Set([owner, ...keys.filter((value): value is string => typeof value === "string" && UUID.test(value))]),
  ];
}

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/** Keys of rows that this caller may read. */
async function openIds({ rest, tables, accepted }: Fixture, caller: Caller): Promise<Set<string>> {
  const open = new Set<string>();
  for (const table of tables.filter((table) => openOnPurpose(accepted, table, caller.role))) {
    const reply = await ask(
      rest,
      caller,
      table.schema,
      "GET",
      `${encodeURIComponent(table.relname)}?select=${table.key.map(encodeURIComponent).join(",")}`,
    );
    for (const row of reply.rows) for (const value of Object.values(row as Row)) open.add(String(value));
  }
  return open;
}

/** Every function that REST offers, with the ids of the first user's rows. */
async function tryFunctions(fixture: Fixture, schemas: string[], callers: Caller[], only?: string): Promise<Tried[]> {
  const functions = (await fixture.sql(
    `select n.nspname as schema, proname as name, coalesce((
         select jsonb_agg(jsonb_build_object('name', proargnames[place], 'type', format_type(type, null)) order by place)
         from unnest(proargtypes) with ordinality as argument (type, place)
       ), '[]') as arguments
     from pg_proc p join pg_namespace n on n.oid = pronamespace
     where n.nspname = any ($1::text[]) and prokind = 'f' and prorettype not in ('trigger'::regtype, 'event_trigger'::regtype)
       and not ${ofExtension("'pg_proc'::regclass", "p.oid", "proowner")} order by 1, 2`,
    [schemas],
  )) as unknown as Signature[];
  const resources = await registered(fixture.sql);
  const tried: Tried[] = [];
  for (const signature of functions) {
    const called = `${signature.schema}.${signature.name}()`;
    if (only && only !== called) continue;
    const calls = argumentsFor(signature, fixture, resources).map(
      (json): Sent => ({ method: "POST", path: `rpc/${signature.name}`, json }),
    );
    for (const caller of callers)
      tried.push(await write(fixture, { schema: signature.schema, name: called }, caller, "call", calls));
  }
  return tried;
}

/** The resources of Airlock's registry, with their fields; none in a database without it. */
async function registered(sql: Sql): Promise<Map<string, { table: string; fields: string[] }>> {
  const [registry] = await sql("select to_regclass('airlock.resources') as name");
  if (!registry?.name) return new Map();
  const rows = await sql(
    `select name, nspname || '.' || relname as table, to_jsonb(fields) as fields
     from airlock.resources join pg_class c on c.oid = relation join pg_namespace n on n.oid = relnamespace`,
  );
  return new Map(
    rows.map(({ name, table, fields }) => [String(name), { table: String(table), fields: fields as string[] }]),
  );
}

const WHY: Record<Verb, string> = {
  select: "Rows of one user were shown to another, although the policies seem right.",
  insert: "A caller made a row in another user's name, or among that user's rows.",
  upsert: "An insert that changes what is there already reached another user's row.",
  update: "A caller changed a row of another user's.",
  delete: "A caller deleted a row of another user's.",
  call: "A function did for a caller what its tables do not let them do.",
};

/** The findings of the tries. */
export function findingsOf(tried: Tried[]): Finding[] {
  return tried.flatMap(({ object, as, verb, outcome, how }): Finding[] => {
    if (outcome !== "reached") return [];
    const mend = `-- Correct the policies and grants of ${object}: a row of each user's is for that user alone. The rules above may say which.`;
    return [{ rule: `tried-${verb}`, level: "finding", object, what: `as ${as}: ${how}`, why: WHY[verb], mend }];
  });
}

/** Findings for tables that could not be tried, on a database that was made for the tries. */
export function notTried(tried: Tried[]): Finding[] {
  const why =
    "What is not tried is not shown: the table takes no row that was made up for it, or the API does not answer for it.";
  const first = tried.filter(
    ({ outcome, object }, at) =>
      outcome === "not tried" && tried.findIndex((one) => one.outcome === "not tried" && one.object === object) === at,
  );
  return first.map(({ object, how }) => ({
    rule: "not-tried",
    level: "finding",
    object,
    what: how,
    why,
    mend: "-- Add a value that the table takes to candidates() in tools/evidence/rows.ts, or see why the API does not know it.",
  }));
}
