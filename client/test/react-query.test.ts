// TanStack Query over the built Worker: pages, mutations, retries.

import assert from "node:assert/strict";
import { test } from "node:test";

import {
  focusManager,
  InfiniteQueryObserver,
  MutationObserver,
  onlineManager,
  QueryClient,
} from "@tanstack/react-query";
import { app, stackOfFile } from "../../tests/e2e/support.ts";
import { AirlockNetworkError, AirlockProblem, createId } from "../src/index.ts";
import { followAppState, followNetwork, publishOptions, retry, retryDelay, rowOptions } from "../src/react-query.ts";
import { airlockWith, ID, json, note, problem, tokenOf } from "./stub.ts";

const { stack } = await stackOfFile();

test("pages, rows and mutations work, and a mutation refetches shown rows", async (t) => {
  const client = new QueryClient();
  t.after(() => client.clear());
  const { notes: rows } = app(stack.url, stack.alice.token);
  const notes = { ...rowOptions(rows, ["notes", stack.alice.id]), ...publishOptions(rows, ["notes", stack.alice.id]) };
  const run = <V, R>(
    options: { mutationFn?: (variables: V, context: never) => Promise<R> },
    variables: V,
  ): Promise<R> => new MutationObserver<R, Error, V>(client, options as never).mutate(variables);

  const shown = new InfiniteQueryObserver(client, notes.list({ limit: 2 }));
  t.after(shown.subscribe(() => {}));
  const idempotencyKey = createId();
  const created = await run(notes.create(), { draft: { title: "one" }, idempotencyKey });
  assert.equal((await run(notes.create(), { draft: { title: "one" }, idempotencyKey })).id, created.id);
  for (const title of ["two", "three"])
    await run(notes.put(), { id: createId(), draft: { title }, ifNoneMatch: "*" as const });
  await shown.fetchNextPage();
  const titles = () => shown.getCurrentResult().data?.pages.flatMap(({ data }) => data.map(({ title }) => title));
  assert.deepEqual(titles(), ["three", "two", "one"]);
  assert.equal(shown.getCurrentResult().hasNextPage, false);

  const changed = await run(notes.patch(), { id: created.id, changes: { title: "uno" }, ifMatch: created.version });
  assert.deepEqual(titles(), ["three", "two", "uno"]);
  assert.deepEqual(await client.fetchQuery(notes.get(created.id)), changed);
  await assert.rejects(
    run(notes.patch(), { id: created.id, changes: { title: "due" }, ifMatch: created.version }),
    AirlockProblem,
  );
  const published = await run(notes.publish(), { id: created.id });
  assert.equal(published.title, "uno", "the type of a row has its fields");
  await run(notes.unpublish(), { id: created.id });
  await run(notes.remove(), { id: created.id });
  assert.deepEqual(titles(), ["three", "two"]);
  await run(notes.restore(), { id: created.id });
  await shown.fetchNextPage();
  assert.deepEqual(titles(), ["three", "two", "uno"]);
});

test("retryable errors are tried again under the same key, after retryAfter", async (t) => {
  const client = new QueryClient();
  t.after(() => client.clear());
  const { airlock, sent } = airlockWith([
    problem(503, "upstream_unavailable", { retryable: true }, { "Retry-After": "0" }),
    new Response(JSON.stringify(note()), { status: 201 }),
    problem(404, "not_found"),
    json(200, note()),
  ]);
  const notes = rowOptions(airlock.notes, ["notes", null]);
  const create = new MutationObserver(client, notes.create());
  await create.mutate({ draft: { title: "a" }, idempotencyKey: createId() });
  assert.equal(sent[0]!.headers.get("Idempotency-Key"), sent[1]!.headers.get("Idempotency-Key"));
  await assert.rejects(client.fetchQuery({ ...notes.get(ID), retry }), AirlockProblem);
  assert.equal(sent.length, 3);
});

test("a mutation of one user is not sent again with the token of the next", async (t) => {
  const client = new QueryClient();
  t.after(() => client.clear());
  let user = "alice";
  const { airlock, sent } = airlockWith(
    [problem(503, "upstream_unavailable", { retryable: true }, { "Retry-After": "0" })],
    { getToken: async () => tokenOf(user) },
  );
  const notes = rowOptions(airlock.notes, ["notes", "alice"]);
  const publish = publishOptions(airlock.notes, ["notes", "alice"]);
  const observer = new MutationObserver(client, notes.create());
  const create = observer.mutate({ draft: { title: "a" }, idempotencyKey: createId() });
  while (sent.length === 0) await new Promise(setImmediate);
  // As an app does when its user signs out: TanStack Query does not stop what waits for a retry.
  client.clear();
  user = "bob";
  // A hook that stays on the screen gives its options to a mutation that waits, unless their key is another one.
  observer.setOptions(rowOptions(airlock.notes, ["notes", "bob"]).create());
  await assert.rejects(create, { code: "user_changed" });

  // Without a network from the start.
  onlineManager.setOnline(false);
  const paused = [
    new MutationObserver(client, notes.put()).mutate({ id: ID, draft: { title: "a" } }),
    new MutationObserver(client, notes.patch()).mutate({ id: ID, changes: { title: "a" } }),
    new MutationObserver(client, notes.remove()).mutate({ id: ID }),
    new MutationObserver(client, notes.restore()).mutate({ id: ID }),
    new MutationObserver(client, publish.publish()).mutate({ id: ID }),
    new MutationObserver(client, publish.unpublish()).mutate({ id: ID }),
  ];
  await new Promise(setImmediate);
  onlineManager.setOnline(true);
  void client.resumePausedMutations();
  for (const one of paused) await assert.rejects(one, { code: "user_changed" });
  await assert.rejects(client.fetchQuery({ ...notes.get(ID), retry }), { code: "user_changed" });
  await assert.rejects(client.fetchInfiniteQuery({ ...notes.list(), retry }), { code: "user_changed" });
  assert.equal(sent.length, 1);
});

test("retries follow retryable and retryAfter", () => {
  const lost = new AirlockNetworkError();
  assert.deepEqual(
    [retry(0, lost), retry(4, lost), retry(5, lost), retry(0, new TypeError())],
    [true, true, false, false],
  );
  assert.deepEqual(
    [0, 1, 4, 9].map((failures) => retryDelay(failures, lost)),
    [1000, 2000, 16_000, 30_000],
  );
  assert.equal(retryDelay(3, Object.assign(new Error(), { retryAfter: 12 })), 12_000);
});

test("online and focus follow the phone", async () => {
  const listeners: Record<string, (value: any) => void> = {};
  const subscribe = (name: string) => (listener: (value: any) => void) => {
    listeners[name] = listener;
    return { remove() {} };
  };
  followAppState({ addEventListener: (_type, listener) => subscribe("app")(listener) });
  const isConnected = false;
  followNetwork({ getNetworkStateAsync: async () => ({ isConnected }), addNetworkStateListener: subscribe("network") });
  const stop = [focusManager.subscribe(() => {}), onlineManager.subscribe(() => {})];
  listeners.app!("background");
  listeners.network!({ isConnected: false });
  assert.deepEqual([focusManager.isFocused(), onlineManager.isOnline()], [false, false]);
  listeners.app!("active");
  listeners.network!({});
  assert.deepEqual([focusManager.isFocused(), onlineManager.isOnline()], [true, true]);
  await new Promise(setImmediate);
  assert.equal(onlineManager.isOnline(), true, "a change is newer than the state at the start");
  for (const end of stop) end();

  // As in an app that is started without a network.
  const again = onlineManager.subscribe(() => {});
  await new Promise(setImmediate);
  assert.equal(onlineManager.isOnline(), false);
  listeners.network!({ isConnected: true });
  again();

  followNetwork({
    getNetworkStateAsync: () => Promise.reject(new Error("not supported")),
    addNetworkStateListener: subscribe("network"),
  });
  onlineManager.subscribe(() => {})();
  await new Promise(setImmediate);
  assert.equal(onlineManager.isOnline(), true);
});
