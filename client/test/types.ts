/**
 * Code that the compiler accepts and refuses. Nothing here runs: types.test.ts compiles it, and so does `npm run
 * check`.
 */

import {
  type Airlock,
  type AirlockError,
  type AirlockOptions,
  AirlockProblem,
  createAirlock,
  type Draft,
  type LooseDeclaration,
  type NetworkErrorCode,
  type Patch,
  type ProblemCode,
  type PublishedRow,
  type Row,
} from "../src/index.ts";
import type { Declaration } from "./generated.ts";

/** Fails to compile unless both types are the same. */
type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;
function same<A, B>(_: Same<A, B>): void {}

declare const airlock: Airlock<Declaration>;
declare const options: AirlockOptions;
const id = "7efe3d84-2d6a-4174-899e-8ffddea7a39a";

export async function rowsHaveTheDeclaredFields(): Promise<void> {
  const thing = await airlock.resource("things").get(id);
  same<typeof thing, Row<"things", Declaration>>(true);
  same<typeof thing.label, string>(true);
  same<typeof thing.remark, string | null>(true);
  same<typeof thing.rank, number | null>(true);
  same<typeof thing.score, number>(true);
  same<typeof thing.done, boolean>(true);
  same<typeof thing.token, string | null>(true);
  same<typeof thing.due, string>(true);
  same<typeof thing.starts, string | null>(true);
  same<typeof thing.color, "red" | "green" | "light blue">(true);
  same<typeof thing.tags, string[]>(true);
  same<typeof thing.parent, string | null>(true);
  same<typeof thing.version, number>(true);
  same<typeof thing.deleted_at, string | null>(true);
  // @ts-expect-error a row has its version
  thing.etag;
  const extra = thing.extra.nested;
  if (typeof extra === "object" && extra !== null && !Array.isArray(extra)) extra.deeper = [1, "two", null];
  // @ts-expect-error no such field
  thing.lable;
  // @ts-expect-error only a published row has it
  thing.published_at;

  const page = await airlock.resource("errands").list();
  same<typeof page.data, Row<"errands", Declaration>[]>(true);
  for await (const { after } of airlock.resource("errands").all()) same<typeof after, string | null>(true);
  const maybe = await airlock.resource("errands").get(id, { ifNoneMatch: thing.version });
  same<typeof maybe, Row<"errands", Declaration> | undefined>(true);
}

export async function rowsBelowOthersAreReachedThroughThem(): Promise<void> {
  const step = await airlock.under("errands", id).resource("steps").create({ label: "a" });
  same<typeof step, Row<"steps", Declaration>>(true);
  // @ts-expect-error steps are below errands alone
  airlock.resource("steps");
  // @ts-expect-error nothing is below things
  airlock.under("things", id);
  // @ts-expect-error errands are not below themselves
  airlock.under("errands", id).resource("errands");
}

export async function rowsHaveWhatTheyAreAnsweredWith(): Promise<void> {
  const { included } = await airlock.resource("errands").get(id, { include: ["steps"] });
  same<
    typeof included,
    | {
        steps?: { data: { id: string; label: string }[]; more: boolean };
        thing?: { label: string; rank: number | null } | null;
      }
    | undefined
  >(true);
  // @ts-expect-error no such rows
  await airlock.resource("errands").list({ include: ["things"] });
  const ours = airlock.org(id);
  // @ts-expect-error records are answered alone
  await ours.resource("records").list({ include: ["thing"] });
}

interface WithFunctions {
  organizations: false;
  resources: {};
  functions: {
    create_team: { arguments: { name: string; seats: number }; optional: "seats" };
    nothing: { arguments: {}; optional: never };
  };
}
declare const calls: Airlock<WithFunctions>;

export async function functionsTakeTheirArguments(): Promise<void> {
  await calls.call("create_team", { name: "a" });
  await calls.call("create_team", { name: "a", seats: 1 });
  await calls.call("nothing", {});
  // @ts-expect-error name is required
  await calls.call("create_team", { seats: 1 });
  // @ts-expect-error a number
  await calls.call("create_team", { name: "a", seats: "1" });
  // @ts-expect-error no such function
  await calls.call("drop_team", {});
  // @ts-expect-error this declaration has no functions
  await airlock.call("create_team", {});
}

export async function draftsNeedTheRequiredFields(): Promise<void> {
  const things = airlock.resource("things");
  await things.create({ label: "a" });
  const all: Required<Draft<"things", Declaration>> = {
    ...{ label: "a", memo: "", remark: null, rank: null, score: 1, done: true, token: null, due: "2026-01-31" },
    ...{ starts: "2026-01-31T00:00:00Z", color: "light blue", tags: ["a"], extra: { a: [{ b: null }] }, parent: id },
    ...{ price: "1.50", opens: "09:30:00", ranks: [1], links: [id] },
  };
  await things.put(id, all, { ifNoneMatch: "*" });
  const row = await things.create(all, { idempotencyKey: "order-0001" });
  await things.put(id, row, { ifMatch: row.version });
  await things.put(id, { ...row, label: "b" });

  // @ts-expect-error label is required
  await things.create({ memo: "" });
  // @ts-expect-error label is required
  await things.put(id, {});
  // @ts-expect-error not null
  await things.create({ label: null });
  // @ts-expect-error not null, although it has a default
  await things.create({ label: "a", done: null });
  // @ts-expect-error none of the declared values
  await things.create({ label: "a", color: "blue" });
  // @ts-expect-error a number
  await things.create({ label: "a", rank: "1" });
  // @ts-expect-error a list of texts
  await things.create({ label: "a", tags: [1] });
  // @ts-expect-error a number in a string
  await things.create({ label: "a", price: 1.5 });
  // @ts-expect-error a list of numbers
  await things.create({ label: "a", ranks: ["1"] });
  // @ts-expect-error an object
  await things.create({ label: "a", extra: [] });
  // @ts-expect-error no JSON
  await things.create({ label: "a", extra: { now: new Date() } });
  // @ts-expect-error no such field
  await things.create({ label: "a", lable: "b" });
  // @ts-expect-error the database makes it
  await things.create({ label: "a", id });

  const records = airlock.org(id).resource("records");
  const record: Draft<"records", Declaration> = {
    ...{ name: "a", text: "b", position: 0, precision: 0.5, exists: true, uuid: id, day: "2026-01-31" },
    ...{ time: "2026-01-31T00:00:00Z", type: "a", values: [], format: {}, thing: id },
    ...{ decimal: "1", interval: "09:30:00", ranks: [], uuids: [id] },
  };
  await records.create(record);
  const { type, ...rest } = record;
  // @ts-expect-error type is required
  await records.create(rest);
  await records.create({ ...rest, type });
}

export async function patchesNeedNothing(): Promise<void> {
  const changes: Patch<"things", Declaration> = { remark: null };
  await airlock.resource("things").patch(id, changes, { ifMatch: "*" });
  await airlock.resource("things").patch(id, { label: "b", parent: null });
  // @ts-expect-error not null
  await airlock.resource("things").patch(id, { label: null });
  // @ts-expect-error no such field
  await airlock.resource("things").patch(id, { lable: "b" });
  // @ts-expect-error the database sets it
  await airlock.resource("things").patch(id, { version: 3 });
}

export async function onlyDeclaredCallsExist(): Promise<void> {
  // @ts-expect-error no such resource
  airlock.resource("thing");
  // @ts-expect-error rows of organisations alone
  airlock.resource("records");
  // @ts-expect-error rows of users alone
  airlock.org(id).resource("errands");
  airlock.org(id).resource("things");

  await airlock.resource("errands").publish(id, { ifMatch: "*" });
  await airlock.resource("errands").unpublish(id);
  // @ts-expect-error records cannot be published
  await airlock.org(id).resource("records").publish(id);
  // @ts-expect-error records cannot be published
  await airlock.published("records", id);
  const errand = await airlock.published("errands", id);
  same<typeof errand, PublishedRow<"errands", Declaration>>(true);
  same<typeof errand.published_at, string>(true);
  // @ts-expect-error a published errand shows its title alone
  errand.thing;
  // @ts-expect-error a published row has no created_at
  errand.created_at;
  const maybe = await airlock.published("things", id, { ifNoneMatch: errand.version });
  same<typeof maybe, PublishedRow<"things", Declaration> | undefined>(true);

  await airlock.resource("things").list({ q: "a", state: "published", limit: 5, cursor: null });
  // @ts-expect-error errands cannot be searched
  await airlock.resource("errands").list({ q: "a" });
  // @ts-expect-error records cannot be published
  await airlock.org(id).resource("records").list({ state: "published" });
  // @ts-expect-error no such state
  await airlock.resource("things").list({ state: "gone" });
}

export async function notesAreTheResource(): Promise<void> {
  const notes: ReturnType<typeof airlock.resource<"notes">> = airlock.notes;
  await notes.create({ title: "a" });
  // @ts-expect-error title is required
  await airlock.notes.create({ body: "a" });
}

interface Small {
  organizations: false;
  resources: {
    tags: { owner: "user"; id: string; searchable: false; fields: { label: string }; optional: never; publish: never };
  };
}

export async function whatIsNotDeclaredIsAbsent(): Promise<void> {
  const small = createAirlock<Small>(options);
  await small.resource("tags").create({ label: "a" });
  // @ts-expect-error notes are not declared
  small.notes;
  // @ts-expect-error no organisations
  small.orgs;
  // @ts-expect-error no organisations
  small.org(id);
  // @ts-expect-error nothing can be published
  await small.published("tags", id);
  // @ts-expect-error a declaration says whose the rows are
  createAirlock<{ organizations: false; resources: { tags: { fields: { label: string } } } }>(options);
}

interface Numbered {
  organizations: false;
  resources: {
    todos: { owner: "user"; id: number; searchable: false; fields: { task: string }; optional: never; publish: "task" };
    profiles: { owner: "user"; id: "me"; searchable: false; fields: { name: string }; optional: never; publish: never };
  };
}

export async function idsAreOfTheirKind(): Promise<void> {
  const numbered = createAirlock<Numbered>({ ...options, ids: { todos: "bigint", profiles: "owner" } });
  const todo = await numbered.resource("todos").get(12);
  same<typeof todo.id, number>(true);
  await numbered.published("todos", todo.id);
  // @ts-expect-error an id of todos is a number
  await numbered.resource("todos").get("12");
  const profile = await numbered.resource("profiles").get("me");
  same<typeof profile.id, string>(true);
  // @ts-expect-error the user's own profile is the only one
  await numbered.resource("profiles").get(profile.id);
  // @ts-expect-error no such kind
  createAirlock<Numbered>({ ...options, ids: { todos: "integer" } });
}

export async function withoutTypesEverythingIsLoose(): Promise<void> {
  const loose = createAirlock<LooseDeclaration>(options);
  const row = await loose.resource("anything").create({ label: "a", rank: 3 });
  row.label.toUpperCase();
  same<typeof row.version, number>(true);
  await loose.org(id).resource("anything").patch(id, { rank: 4 }, { ifMatch: row.version });
  await loose.resource("anything").publish(id);
  await loose.resource("anything").list({ q: "a", state: "published" });
  (await loose.published("anything", id)).label.toUpperCase();
  await loose.notes.list();
  await loose.orgs.list();
  // @ts-expect-error a version is a number in every row
  row.version.toUpperCase();
}

export function currentIsARow(error: unknown): Row<"things", Declaration> | null {
  if (!(error instanceof AirlockProblem)) return null;
  error.current?.version.toFixed();
  return error.current as Row<"things", Declaration>;
}

export function everyErrorHasACodeAndADelay(error: AirlockError): void {
  same<typeof error.code, ProblemCode | NetworkErrorCode | "user_changed">(true);
  same<typeof error.retryable, boolean>(true);
  same<typeof error.retryAfter, number | null>(true);
}
