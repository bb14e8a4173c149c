// Rules of every table that was there before Airlock: through the Worker a user sees the rows that its policies show,
// and reaches no other row.

import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { isRequired, type Resource } from "../../tools/declaration.ts";
import { identifier } from "../../tools/evidence/finding.ts";
import { taken } from "../resources/values.ts";
import { assertOk, assertProblem, withoutId } from "./http.ts";
import { type Caller, caller, type Stack, type User } from "./support.ts";

type Row = Record<string, unknown>;
type Request = [verb: Resource["routes"][number], method: string, body?: unknown];
type Database = Pick<Stack, "sql" | "direct">;

interface Person {
  user: User;
  call: Caller;
}

/** Whether a section names the columns of a table of its own. */
export const isAdopted = (section: unknown) => typeof (section as { owner?: unknown }).owner === "object";

/** The rows of a table, as the database has them. */
function rowsOf({ sql }: Database, { table, id }: Resource): Promise<Row[]> {
  return sql(
    `select ${identifier(id.column)}::text as id, to_jsonb(t)::text as row from ${identifier(table.schema)}.${identifier(table.name)} as t order by 1`,
  );
}

/** The ids of the rows that PostgREST shows to a user, or without a user. */
async function shownTo({ direct }: Database, { table, id }: Resource, user: User | null, only = ""): Promise<string[]> {
  const target = `/${encodeURIComponent(table.name)}?select=${encodeURIComponent(`id:"${id.column}"`)}${only}`;
  const past = await direct(user, target, { headers: { "accept-profile": table.schema } });
  return ((await past.json()) as Row[]).map((row) => String(row.id)).sort();
}

/** The ids of all pages of a list. */
async function listed(call: Caller, path: string): Promise<string[]> {
  const ids: string[] = [];
  for (let cursor: string | null = ""; cursor !== null; ) {
    const page = assertOk(await call("GET", `${path}?limit=100${cursor && `&cursor=${cursor}`}`), 200) as {
      data: Row[];
      next_cursor: string | null;
    };
    ids.push(...page.data.map((row) => String(row.id)));
    cursor = page.next_cursor;
  }
  return ids.sort();
}

/** Asserts that all readers see the same rows, and that no user writes a row of another one. */
async function assertReadByAll(
  resource: Resource,
  database: Database,
  callers: Person[],
  nobody: Caller,
): Promise<void> {
  const { name, routes, read, owner_column: owner, fields } = resource;
  const path = `/v1/${name}`;
  const all = await rowsOf(database, resource);
  const shown = await shownTo(database, resource, read === "app" ? null : (callers[0]?.user ?? null));
  if (read === "user") assertProblem(await nobody("GET", path), "token_missing");
  const field = fields.find((one) => !one.read_only && one.kind !== "ref");
  const body = field && { [field.name]: taken(field)[0]?.sent };
  for (const call of [...callers.map(({ call }) => call), ...(read === "app" ? [nobody] : [])]) {
    assert.deepEqual(await listed(call, path), shown, `${name}: the list is what the policies show`);
    for (const id of shown.slice(0, 20))
      assert.equal(String((assertOk(await call("GET", `${path}/${id}`), 200) as Row).id), id);
    if (!routes.includes("create")) assertProblem(await call("POST", path, body), "method_not_allowed");
  }
  for (const { user, call } of callers) {
    for (const { id, row } of all.slice(0, 20)) {
      if (owner.column !== null && (JSON.parse(String(row)) as Row)[owner.column] === user.id) continue;
      for (const [verb, method] of [
        ["put", "PUT"],
        ["patch", "PATCH"],
        ["delete", "DELETE"],
      ] as const) {
        const { status } = await call(method, `${path}/${String(id)}`, method === "DELETE" ? undefined : body);
        assert.ok(
          routes.includes(verb) ? status === 403 || status === 404 : status === 405,
          `${name}: ${verb} ${status}`,
        );
      }
    }
  }
  assert.deepEqual(await rowsOf(database, resource), all, `${name}: no row has changed`);
}

/** Proves it for a resource, with the rows that are there and one that Alice makes if the database lets her. */
export async function assertApart(
  resource: Resource,
  stack: Database & Pick<Stack, "url" | "alice" | "bob">,
  alice: Caller,
  bob: Caller,
): Promise<void> {
  const { name, table, under } = resource;
  const first = { user: stack.alice, call: alice };
  const second = { user: stack.bob, call: bob };
  if (resource.read !== null) return assertReadByAll(resource, stack, [first, second], caller(stack.url));
  if (!under) return assertApartIn(resource, stack, first, second, `/v1/${name}`, {});
  const column = identifier(under.column);
  const parents = await stack.sql(
    `select distinct ${column}::text as id from ${identifier(table.schema)}.${identifier(table.name)}`,
  );
  for (const { id } of parents) {
    await assertApartIn(resource, stack, first, second, `/v1/${under.resource}/${String(id)}/${name}`, {
      [under.column]: String(id),
    });
  }
}

/** The same for the rows below one path, which have these values in these columns. */
async function assertApartIn(
  resource: Resource,
  database: Database,
  first: Person,
  second: Person,
  path: string,
  values: Record<string, string>,
): Promise<void> {
  const { name, table, id, routes, scope, owner_column: owner } = resource;
  if (id.kind === "owner") {
    const relation = `${identifier(table.schema)}.${identifier(table.name)}`;
    for (const { user, call } of [first, second]) {
      const answer = await call("GET", `${path}/me`);
      const rows = await database.sql(`select 1 from ${relation} where ${identifier(id.column)} = $1`, [user.id]);
      if (rows.length === 0) assertProblem(answer, "not_found");
      else assert.equal((assertOk(answer, 200) as Row).id, user.id);
      for (const other of [first, second]) assertProblem(await call("GET", `${path}/${other.user.id}`), "not_found");
    }
    return;
  }

  const draft = resource.fields
    .filter(isRequired)
    .map((field): [string, unknown] => [field.name, field.kind === "ref" ? randomUUID() : taken(field)[0]?.sent]);
  // A table whose rows need others of their own keeps the rows that it has.
  if (routes.includes("create"))
    assert.ok(
      [201, 403, 404, 409, 422].includes((await first.call("POST", path, Object.fromEntries(draft))).status),
      name,
    );
  const all = await rowsOf(database, resource);
  const writable = resource.fields.find((field) => !field.read_only && field.kind !== "ref");
  const missing = id.kind === "uuid" ? randomUUID() : "9007199254740991";
  for (const { user, call } of [first, second]) {
    const owned: [string, string][] = scope === "owner" && owner.column !== null ? [[owner.column, user.id]] : [];
    const only = [...owned, ...Object.entries(values)]
      .map(([column, value]) => `&%22${column}%22=eq.${value}`)
      .join("");
    let shown = await shownTo(database, resource, user, only);
    if (routes.includes("list")) {
      // A caller to whom the parent does not exist finds no row of it.
      if (resource.under && (await call("GET", path)).status === 404) shown = [];
      else assert.deepEqual(await listed(call, path), shown, `${name}: the list is what the policies show`);
    }
    const requests: Request[] = [
      ["read", "GET"],
      ["delete", "DELETE"],
    ];
    if (writable) requests.push(["patch", "PATCH", { [writable.name]: taken(writable)[0]?.sent }]);
    for (const { id: other } of all.filter((row) => !shown.includes(String(row.id)))) {
      for (const [verb, method, body] of requests.filter(([verb]) => routes.includes(verb))) {
        assert.equal(
          withoutId(await call(method, `${path}/${String(other)}`, body)),
          withoutId(await call(method, `${path}/${missing}`, body)),
          `${name}: ${verb}`,
        );
      }
    }
  }
  assert.deepEqual(await rowsOf(database, resource), all, `${name}: no row has changed`);
}
