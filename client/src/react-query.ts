/** TanStack Query for the rows of an Airlock: keys, options of queries and mutations, online and focus. */

import {
  focusManager,
  infiniteQueryOptions,
  type MutationFunctionContext,
  mutationOptions,
  onlineManager,
  queryOptions,
} from "@tanstack/react-query";
import type { ListOptions, MatchOptions, RowCalls, Version } from "./calls.ts";
import type { AnyResource, DraftOf, PatchOf } from "./declaration.ts";
import { type AppStateLike, type NetworkLike, tellFocus, tellNetwork } from "./managers.ts";

export type { AppStateLike, NetworkLike } from "./managers.ts";

/** Whether TanStack Query tries again: up to five times, and only `retryable` errors. */
export function retry(failures: number, error: Error & { retryable?: boolean }): boolean {
  return error.retryable === true && failures < 5;
}

/** Milliseconds until it does: the server's `Retry-After`, else a delay that doubles, at most 30 seconds. */
export function retryDelay(failures: number, error: Error & { retryAfter?: number | null }): number {
  return (error.retryAfter ?? Math.min(2 ** failures, 30)) * 1000;
}

/**
 * What distinguishes rows from all others: a name, the id of the user (`null`: they are read without a user), and more
 * as needed. Nothing is sent with the token of another user: a mutation that waits for a retry or for a network would
 * otherwise become the next user's.
 */
export type RowsKey = readonly [name: string, user: string | null, ...more: unknown[]];

/** The id of a mutation's row. */
export interface RowChange<Id = string> {
  id: Id;
  ifMatch?: Version;
}

/**
 * Options for the rows of one resource: `useInfiniteQuery(notes.list({ q }))`, `useQuery(notes.get(id))`,
 * `useMutation(notes.patch())`. A mutation that is over refetches all queries below `key`.
 *
 * @param key such as `["notes", userId]`
 */
export function rowOptions<R extends AnyResource>(rows: RowCalls<R>, key: RowsKey) {
  const mutation = mutationsOf(key);
  const user = userOf(key);
  return {
    key,
    list: (options: Omit<ListOptions<R>, "signal" | "user"> = {} as ListOptions<R>) =>
      infiniteQueryOptions({
        queryKey: [...key, "list", options] as const,
        queryFn: ({ pageParam, signal }) =>
          rows.list({ ...(options as ListOptions<R>), cursor: pageParam, signal, user }),
        initialPageParam: null as string | null,
        getNextPageParam: (page) => page.next_cursor,
        retry,
        retryDelay,
      }),
    get: (id: R["id"]) =>
      queryOptions({
        queryKey: [...key, "row", id] as const,
        queryFn: ({ signal }) => rows.get(id, { signal, user }),
        retry,
        retryDelay,
      }),
    /** The key stays the same in each retry, so that there is one row. Make it with `createId`. */
    create: () =>
      mutation(({ draft, idempotencyKey }: { draft: DraftOf<R>; idempotencyKey: string }) =>
        rows.create(draft, { idempotencyKey, user }),
      ),
    put: () =>
      mutation(({ id, draft, ...match }: RowChange<R["id"]> & { draft: DraftOf<R>; ifNoneMatch?: "*" }) =>
        rows.put(id, draft, { ...match, user }),
      ),
    patch: () =>
      mutation(({ id, changes, ...match }: RowChange<R["id"]> & { changes: PatchOf<R> }) =>
        rows.patch(id, changes, { ...match, user }),
      ),
    remove: () => mutation(({ id, ...match }: RowChange<R["id"]>) => rows.remove(id, { ...match, user })),
    restore: () => mutation(({ id, ...match }: RowChange<R["id"]>) => rows.restore(id, { ...match, user })),
  };
}

/** The calls that publish. Of `PublishCalls<R>`, TypeScript could not infer R. */
type Publishing<Id, Row> = Record<"publish" | "unpublish", (id: Id, options?: MatchOptions) => Promise<Row>>;

/** Options of the mutations that publish. */
export function publishOptions<Id, Row>(rows: Publishing<Id, Row>, key: RowsKey) {
  const mutation = mutationsOf(key);
  const user = userOf(key);
  return {
    publish: () => mutation(({ id, ...match }: RowChange<Id>) => rows.publish(id, { ...match, user })),
    unpublish: () => mutation(({ id, ...match }: RowChange<Id>) => rows.unpublish(id, { ...match, user })),
  };
}

const userOf = ([, user]: RowsKey) => user ?? undefined;

function mutationsOf(key: RowsKey) {
  return <Variables, Result>(mutationFn: (variables: Variables) => Promise<Result>) =>
    mutationOptions({
      // Options with another key leave a mutation that waits as it is. Those of the next user would send it as theirs.
      mutationKey: key,
      mutationFn,
      retry,
      retryDelay,
      onSettled: (
        _data: unknown,
        _error: unknown,
        _variables: Variables,
        _result: unknown,
        context: MutationFunctionContext,
      ) => context.client.invalidateQueries({ queryKey: key }),
    });
}

/** Refetches stale queries when the app comes to the foreground: `followAppState(AppState)`, once. */
export const followAppState = (appState: AppStateLike): void => tellFocus(focusManager, appState);

/** Pauses queries and mutations without a network: `followNetwork(Network)`, once, with the module `expo-network`. */
export const followNetwork = (network: NetworkLike): void => tellNetwork(onlineManager, network);
