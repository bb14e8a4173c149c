// TanStack Query: the keys of the cache, and the retries.

import { MutationCache, QueryCache, QueryClient, useMutation, useQuery } from "@tanstack/react-query";
import { AirlockProblem } from "react-native-airlock";
import { publishOptions, retry, retryDelay, rowOptions } from "react-native-airlock/react-query";

import { airlock, supabase } from "./airlock";
import { useUserId } from "./session";

/** A token that the server refuses, and that cannot be refreshed, needs a new sign-in. */
const onError = (error: Error) => {
  if (error instanceof AirlockProblem && error.code.startsWith("token_")) void supabase.auth.signOut({ scope: "local" });
};

export const queryClient = new QueryClient({
  queryCache: new QueryCache({ onError }),
  mutationCache: new MutationCache({ onError }),
  defaultOptions: { queries: { retry, retryDelay }, mutations: { retry, retryDelay } },
});

// The next user of this phone must not see this one's notes.
supabase.auth.onAuthStateChange((event) => event === "SIGNED_OUT" && queryClient.clear());

/** The user's own notes, or those of an organisation. */
export function useNotes(org?: string) {
  const key = ["notes", useUserId(), org ?? "own"] as const;
  const rows = org ? airlock.org(org).resource("notes") : airlock.notes;
  return { ...rowOptions(rows, key), ...publishOptions(rows, key) };
}

/** The queries about organisations. */
export const useOrgQuery = <Result>(key: string[], queryFn: (context: { signal: AbortSignal }) => Promise<Result>) =>
  useQuery({ queryKey: ["orgs", useUserId(), ...key], queryFn });

/** A call that changes an organisation, for this user alone; all that is shown of organisations is read again. */
export function useOrgChange<Variables, Result>(change: (own: { user: string }, variables: Variables) => Promise<Result>) {
  const user = useUserId();
  const onSettled = () => queryClient.invalidateQueries({ queryKey: ["orgs"] });
  return useMutation({ mutationKey: ["orgs", user], mutationFn: (given: Variables) => change({ user }, given), onSettled });
}
