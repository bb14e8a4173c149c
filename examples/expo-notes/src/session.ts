import type { Session } from "@supabase/supabase-js";
import { useSyncExternalStore } from "react";

import { supabase } from "./airlock";

/** `undefined` until it is known whether a user is signed in. */
let session: Session | null | undefined;
const screens = new Set<() => void>();
// At the start, beside the one of Airlock's client: on a phone whose clock is fast, a later one refreshes the token again.
supabase.auth.onAuthStateChange((_event, current) => {
  session = current;
  for (const update of screens) update();
});

function follow(update: () => void) {
  screens.add(update);
  return () => void screens.delete(update);
}

const read = () => session;
export const useSession = () => useSyncExternalStore(follow, read, read);

/** The id of the user, for screens that need one. */
export const useUserId = () => useSession()?.user.id ?? "";
