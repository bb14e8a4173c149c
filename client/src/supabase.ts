/** The access token of a supabase-js client. */

import { AirlockNetworkError } from "./error.ts";

/** The part of a supabase-js client that is used. */
export interface SupabaseAuth {
  auth: {
    getSession(): Promise<SessionResponse>;
    refreshSession(): Promise<SessionResponse>;
    onAuthStateChange(callback: (event: any, session: Session | null) => void): unknown;
  };
}

interface Session {
  access_token: string;
}

interface SessionResponse {
  data: { session: Session | null };
  error: { name: string; status?: number | undefined } | null;
}

/**
 * A `getToken` that follows a supabase-js client.
 *
 * It keeps the token until the server calls it expired or the user changes: `getSession` judges a token by the phone's
 * clock, and would refresh it for every call when that clock is fast. It returns `null` when no user is signed in, and
 * throws an AirlockNetworkError when that is unknown for now.
 */
export function supabaseToken({ auth }: SupabaseAuth): (options: { refresh: boolean }) => Promise<string | null> {
  let session: Session | null = null;
  auth.onAuthStateChange((_event, current) => {
    session = current;
  });
  return async ({ refresh }) => {
    if (session !== null && !refresh) return session.access_token;
    const { data, error } = await (refresh ? auth.refreshSession() : auth.getSession());
    if (error !== null && !signedOut(error)) throw new AirlockNetworkError(error, "Supabase Auth cannot be reached.");
    return data.session?.access_token ?? null;
  };
}

/** Whether Auth has refused the session, or there is none. Anything else may be better later. */
function signedOut({ name, status = 0 }: NonNullable<SessionResponse["error"]>): boolean {
  return name === "AuthSessionMissingError" || (status >= 400 && status < 500 && ![408, 409, 429].includes(status));
}
