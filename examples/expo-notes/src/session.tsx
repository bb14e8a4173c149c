import type { Session } from "@supabase/supabase-js";
import { useQueryClient } from "@tanstack/react-query";
import { createContext, useContext, useEffect, useState, type ReactNode } from "react";

import { supabase } from "./airlock";

/** `undefined` until it is known whether somebody is signed in. */
const SessionContext = createContext<Session | null | undefined>(undefined);

export function SessionProvider({ children }: { children: ReactNode }) {
  const queryClient = useQueryClient();
  const [session, setSession] = useState<Session | null>();
  useEffect(() => {
    const { data } = supabase.auth.onAuthStateChange((event, current) => {
      // The next user of this phone must not see this one's notes.
      if (event === "SIGNED_OUT") queryClient.clear();
      setSession(current);
    });
    return () => data.subscription.unsubscribe();
  }, [queryClient]);
  return <SessionContext value={session}>{children}</SessionContext>;
}

export const useSession = () => useContext(SessionContext);

/** The id of the user, for screens that open only when somebody is signed in. */
export const useUserId = () => useSession()?.user.id ?? "";
