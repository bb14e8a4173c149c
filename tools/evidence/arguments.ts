// Arguments for the functions that REST exposes: values that could lead to the first user's rows.
//
// The names are those of the functions public.airlock_*. A function of the project that uses other names gets the ids of
// all rows for its uuids, and null for everything else.

import { randomBytes, randomUUID } from "node:crypto";

import { another, type Row, type Table } from "./rows.ts";

export interface Signature {
  schema: string;
  name: string;
  arguments: { name: string; type: string }[];
}

interface Rows {
  tables: Table[];
  rows: Map<string, Row[]>;
  owner: string;
}

type Resources = Map<string, { table: string; fields: string[] }>;

/** Most calls of one function by one caller. */
const MOST = 1000;

const WORDS: Record<string, unknown[]> = {
  action: ["patch", "delete", "restore", "publish", "unpublish", "rename", "set_role", "remove"],
  after_days: [1],
  at_most: [1000],
  job_label: [
    "job:purge-deleted-rows",
    "job:purge-expired-idempotency-keys",
    "job:purge-deleted-organizations",
    "job:purge-expired-invitations",
  ],
  member_role: ["owner"],
  mode: ["any", "create", "replace"],
  org_name: ["evidence"],
  page_size: [100],
  state: ["active", "deleted", "published"],
};

/** The calls to try: each combination of the values that the arguments may take, and one with null for all of them. */
export function argumentsFor({ arguments: named }: Signature, rows: Rows, resources: Resources): Row[] {
  const nothing = Object.fromEntries(named.map(({ name }) => [name, null]));
  let calls: Row[] = [nothing];
  for (const { name, type } of named) {
    calls = calls
      .flatMap((call) => valuesOf(name, type, call, rows, resources).map((value) => ({ ...call, [name]: value })))
      .slice(0, MOST);
  }
  return [nothing, ...calls.map((call) => ({ ...call, ...depending(call, rows, resources) }))];
}

function valuesOf(
  name: string,
  type: string,
  call: Row,
  { tables, rows, owner }: Rows,
  resources: Resources,
): unknown[] {
  const of = (table: string, column: string) => (rows.get(table) ?? []).map((row) => row[column] ?? null);
  const known: Record<string, () => unknown[]> = {
    after: () => [null],
    id: () => of(resources.get(String(call.resource))?.table ?? "", "id"),
    invitation: () => of("airlock.invitations", "id"),
    // The digest must not do as the token.
    invitation_token: () => of("airlock.invitations", "token_digest"),
    job_run: () => [randomUUID()],
    member: () => [owner],
    org: () => [null, ...of("airlock.organizations", "id")],
    request_key: () => [null, ...of("airlock.idempotency_keys", "key")],
    resource: () => [...resources.keys()],
    token_digest: () => [randomBytes(32).toString("hex")],
  };
  const values =
    WORDS[name] ??
    known[name]?.() ??
    (type === "uuid" ? tables.flatMap((table) => table.key.flatMap((key) => of(table.name, key))) : []);
  return values.length > 0 ? [...new Set(values)] : [null];
}

/** Arguments that follow from others: a draft for the resource, the digest of a key. */
function depending(call: Row, { rows }: Rows, resources: Resources): Row {
  const resource = resources.get(String(call.resource));
  const [row] = rows.get(resource?.table ?? "") ?? [];
  const draft = resource && row && Object.fromEntries(resource.fields.map((field) => [field, another(row[field])]));
  const key = (rows.get("airlock.idempotency_keys") ?? []).find(({ key }) => key === call.request_key);
  return {
    ...("draft" in call && draft && { draft }),
    ...("request_digest" in call && key && { request_digest: key.digest }),
  };
}
