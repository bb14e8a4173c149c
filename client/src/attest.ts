/**
 * Attestation tokens: when to ask for one, and when not. Apple, Google and the vendors limit how often an app may ask.
 *
 * A call never fails for the lack of one: it goes out without, and the server decides.
 */

import { payloadOf } from "./token.ts";

/**
 * The vendor's token; `null` when there is none. Asked once at a time, and with `refresh: true` when the server calls
 * the token missing or expired, at most once in 5 minutes.
 */
export type Attest = (options: { refresh: boolean }) => Promise<string | null>;

/**
 * An `attest` of Firebase App Check: `firebaseAttest(appCheck, getToken)`, with what `initializeAppCheck` returned and
 * `getToken` of `@react-native-firebase/app-check` or `firebase/app-check`.
 */
export function firebaseAttest<AppCheck>(
  appCheck: AppCheck,
  getToken: (appCheck: AppCheck, forceRefresh: boolean) => Promise<{ token: string }>,
): Attest;
/** With an instance that has `getToken` itself, as in React Native Firebase before version 26. */
export function firebaseAttest(appCheck: { getToken(forceRefresh: boolean): Promise<{ token: string }> }): Attest;
export function firebaseAttest(
  appCheck: any,
  getToken = (_: unknown, forceRefresh: boolean) => appCheck.getToken(forceRefresh),
): Attest {
  return async ({ refresh }) => (await getToken(appCheck, refresh)).token;
}

/** The longest wait for a token. */
const WAIT_MS = 5000;

/** Remembers tokens until a minute before they end, and failures for a minute. `clock` is in seconds. */
export function remembering(attest: Attest, clock: () => number): (refresh: boolean) => Promise<string | null> {
  let token: string | null = null;
  let until = -Infinity;
  let mayForce = -Infinity;
  let flight: Promise<string | null> | undefined;

  async function ask(refresh: boolean): Promise<string | null> {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const late = new Promise<null>((resolve) => (timer = setTimeout(resolve, WAIT_MS, null)));
    // In a function, for an `attest` that throws at once.
    const given = await Promise.race([(async () => attest({ refresh }))().catch(() => null), late]);
    clearTimeout(timer);
    // A native SDK resolves with a placeholder when it has none.
    token = /^([\w-]+\.){2}[\w-]+$/.exec(given ?? "")?.[0] ?? null;
    until = token === null ? clock() + 60 : payloadOf(token).exp - 60;
    return token;
  }

  return (refresh) => {
    const now = clock();
    if (flight === undefined) {
      if (refresh ? now < mayForce : now < until) return Promise.resolve(token);
      if (refresh) mayForce = now + 300;
      flight = ask(refresh).finally(() => (flight = undefined));
    }
    return flight;
  };
}
