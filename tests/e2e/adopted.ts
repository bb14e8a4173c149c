// What holds for every table that was there before Airlock, whatever its columns are: a user sees through the Worker what its
// policies show, and reaches no other row.

import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";

import { identifier } from "../../tools/evidence/finding.ts";
import { isRequired, type Resource } from "../../tools/declaration.ts";
import { taken } from "../resources/values.ts";
import { assertOk, assertProblem, withoutId } from "./http.ts";
import type { caller, Stack, User } from "./support.ts";

type Row = Record<string, unknown>;
type Request = [verb: Resource["routes"][number], method: string, body?: unknown];
type Database = Pick<Stack, "sql" | "direct">;

export interface Caller {
  user: User;
  call: ReturnType<typeof caller>;
}

/** Whether a section names the columns of a table of its own. */
export const isAdopted = (section: unknown) => typeof (section as { owner?: unknown }).owner === "object";

/** Proves it for a resource, with the rows that are there and one that `first` makes if the database lets it. */
export async function assertApart(resource: Resource, { sql, direct }: Database, first: Caller, second: Caller): Promise<void> {
  const { under } = resource;
  if (under) {
    // As rows of each parent that there is.
    const parents = await sql(`select distinct ${identifier(under.column)}::text as id from ${identifier(resource.table.schema)}.${identifier(resource.table.name)}`);
    for (const parent of parents) await assertApartIn(resource, { sql, direct }, first, second, `/v1/${under.resource}/${parent["id"]}/${resource.name}`, { [under.column]: String(parent["id"]) });
    return;
  }
  await assertApartIn(resource, { sql, direct }, first, second, `/v1/${resource.name}`, {});
}

/** The same for the rows below one path, which have these values in these columns. */
async function assertApartIn(resource: Resource, { sql, direct }: Database, first: Caller, second: Caller, path: string, values: Record<string, string>): Promise<void> {
  const { name, table, id, routes, scope, owner_column: owner } = resource;
  const relation = `${identifier(table.schema)}.${identifier(table.name)}`;
  if (id.kind === "owner") {
    for (const { user, call } of [first, second]) {
      const answer = await call("GET", `${path}/me`);
      const rows = await sql(`select 1 from ${relation} where ${identifier(id.column)} = $1`, [user.id]);
      if (rows.length === 0) assertProblem(answer, "not_found");
      else assert.equal((assertOk(answer, 200) as Row)["id"], user.id);
      for (const other of [first, second]) assertProblem(await call("GET", `${path}/${other.user.id}`), "not_found");
    }
    return;
  }

  const draft = resource.fields.filter(isRequired).map((field): [string, unknown] => [field.name, field.kind === "ref" ? randomUUID() : taken(field)[0]?.sent]);
  // A table whose rows need others of their own keeps the rows that it has.
  if (routes.includes("create")) assert.ok([201, 403, 404, 409, 422].includes((await first.call("POST", path, Object.fromEntries(draft))).status), name);
  const all = (await sql(`select ${identifier(id.column)}::text as id, to_jsonb(t)::text as row from ${relation} as t order by 1`)) as { id: string; row: string }[];
  const writable = resource.fields.find((field) => !field.read_only && field.kind !== "ref");
  const missing = id.kind === "uuid" ? randomUUID() : "9007199254740991";
  for (const { user, call } of [first, second]) {
    const equal = (column: string, value: string) => `"${column}"=eq.${value}`.replace(/"/g, "%22");
    const query = [`select=${encodeURIComponent(`id:"${id.column}"`)}`, ...(scope === "owner" && owner.column !== null ? [equal(owner.column, user.id)] : []), ...Object.entries(values).map((pair) => equal(...pair))];
    const past = await direct(user, `/${encodeURIComponent(table.name)}?${query.join("&")}`, { headers: { "accept-profile": table.schema } });
    const shown = new Set(((await past.json()) as Row[]).map((row) => String(row["id"])));
    if (routes.includes("list")) {
      const listed: string[] = [];
      for (let cursor: string | null = ""; cursor !== null; ) {
        const answered = await call("GET", `${path}?limit=100${cursor && `&cursor=${cursor}`}`);
        // A caller to whom the parent does not exist finds no row of it.
        if (resource.under && answered.status === 404) {
          shown.clear();
          break;
        }
        const page = assertOk(answered, 200) as { data: Row[]; next_cursor: string | null };
        listed.push(...page.data.map((row) => String(row["id"])));
        cursor = page.next_cursor;
      }
      assert.deepEqual(listed.sort(), [...shown].sort(), `${name}: the list is what the policies show`);
    }
    const requests: Request[] = [["read", "GET"], ["delete", "DELETE"]];
    if (writable) requests.push(["patch", "PATCH", { [writable.name]: taken(writable)[0]?.sent }]);
    for (const { id: other } of all.filter((row) => !shown.has(row.id))) {
      for (const [verb, method, body] of requests.filter(([verb]) => routes.includes(verb))) {
        assert.equal(withoutId(await call(method, `${path}/${other}`, body)), withoutId(await call(method, `${path}/${missing}`, body)), `${name}: ${verb}`);
      }
    }
  }
  assert.deepEqual(await sql(`select ${identifier(id.column)}::text as id, to_jsonb(t)::text as row from ${relation} as t order by 1`), all, `${name}: no row has changed`);
}
