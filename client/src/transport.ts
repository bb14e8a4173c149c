/**
 * Signs requests, sends them, and repairs faults of a phone, once per cause and call.
 *
 * - `clock_skew`: corrects the clock, for this and all later requests.
 * - `token_expired`: refreshes the token.
 * - `attestation_missing`, `attestation_expired`: asks for another attestation token.
 * - `request_replayed`: a network layer sent the request twice. A POST that may be repeated is sent again.
 */

import { type Attest, remembering } from "./attest.ts";
import { encodeUtf8 } from "./bytes.ts";
import { within } from "./deadline.ts";
import { splitUrl } from "./encode.ts";
import { AirlockNetworkError, AirlockUserError, problemFrom } from "./error.ts";
import { platformRandom, type Random } from "./id.ts";
import { canonicalBytes, createNonce, decodeSecret, hmacSha256, signatureHeaders } from "./sign.ts";
import { payloadOf } from "./token.ts";
import { isOlder, VERSION } from "./version.ts";

export interface AirlockOptions {
  /** Origin of the Airlock, without a path: `https://api.example.com`. */
  url: string;
  /** 1-64 of `A-Z a-z 0-9 . _ -`. */
  appId: string;
  /** The app's key: base64url, at least 32 bytes. */
  secret: string;
  /**
   * The user's Supabase access token; `null` or `undefined` when signed out. Asked before every call, and once more with
   * `refresh: true` when the server finds the token expired. The call throws its errors. See `supabaseToken`.
   */
  getToken: (options: { refresh: boolean }) => Promise<string | null | undefined>;
  /**
   * A token that vouches for this installation of the app, such as `firebaseAttest(appCheck, getToken)`. Asked beside
   * the option `getToken`, for 5 seconds at most. An error counts as no token. (Approov's own layer adds its
   * header by itself.)
   */
  attest?: Attest;
  /** The header for that token. Default: `X-Firebase-AppCheck`. */
  attestHeader?: string;
  /** Default: the global one, looked up at each call. */
  fetch?: (url: string, init: RequestInit) => Promise<Response>;
  /** Milliseconds since 1970. Default: `Date.now`. */
  now?: () => number;
  /** The most milliseconds that a call takes, `getToken` included. Default: 30000. */
  timeoutMs?: number;
  /** Random bytes. Default: `crypto.getRandomValues`; in Expo, `getRandomBytes` of expo-crypto. */
  random?: Random;
  /** HMAC-SHA256. Default: in JavaScript. */
  hmac?: (key: Uint8Array, message: Uint8Array) => Uint8Array | Promise<Uint8Array>;
}

/** An answer of any status. */
export interface Answer {
  status: number;
  headers: Headers;
  /** The body as text; `""` when there is none. */
  body: string;
}

/** A request to sign. A given `token`, `nonce` or `timestamp` is sent as it is, and not repaired. */
export interface UnsignedRequest {
  method: string;
  /** Path and query, percent-encoded. */
  target: string;
  headers?: HeadersInit | undefined;
  body?: Uint8Array | undefined;
  token?: string | null | undefined;
  nonce?: string | undefined;
  timestamp?: number | string | undefined;
  /** Whether a POST without an Idempotency-Key may be repeated. */
  repeatable?: boolean | undefined;
  /** The user whose request it is. */
  user?: string | undefined;
  /** The same for all requests of one call. In place of `user`. */
  sender?: Sender | undefined;
}

/** The user whose token the requests of a call carry. The first token decides, where the caller names none. */
export interface Sender {
  user?: string | undefined;
}

export interface Transport {
  origin: string;
  random: Random;
  /** Runs a call, which ends when its time is up or `signal` is aborted. */
  call<T>(signal: AbortSignal | null | undefined, work: (signal: AbortSignal) => Promise<T>): Promise<T>;
  /**
   * @throws AirlockNetworkError when there is no answer
   * @throws AirlockUserError when the token is another user's
   * @throws TypeError for a method or a token that cannot be sent, and for a GET or HEAD with a body
   */
  send(request: UnsignedRequest, signal: AbortSignal): Promise<Answer>;
}

/** @throws TypeError when an option is invalid */
export function createTransport(options: AirlockOptions): Transport {
  const { appId, now = Date.now, timeoutMs = 30_000, random = platformRandom, hmac = hmacSha256 } = options;
  const { origin, rest } = splitUrl(options.url);
  if (!origin || !/^\/?$/.test(rest)) throw new TypeError("url must be an origin, such as https://api.example.com");
  if (!/^[A-Za-z0-9._-]{1,64}$/.test(appId)) throw new TypeError("appId must be 1 to 64 of A-Z a-z 0-9 . _ -");
  if (typeof options.getToken !== "function") throw new TypeError("getToken must be a function");
  // A timer of more than 31 bits ends at once.
  if (!(timeoutMs > 0 && timeoutMs < 2 ** 31)) throw new TypeError("timeoutMs must be between 0 and 2^31");
  const key = decodeSecret(options.secret);

  let clockOffset = 0;
  const clock = () => Math.floor(now() / 1000);
  /** Within the protocol's format: an answer says by how much an absurd clock is wrong. */
  const timestampNow = () => Math.min(Math.max(clock() + clockOffset, 1), 99_999_999_999);

  let refreshing: Promise<string | null> | undefined;
  const getToken = async (refresh: boolean) => (await options.getToken({ refresh })) ?? null;
  /** Calls that find the token expired at the same time share one refresh. */
  const refreshed = () =>
    (refreshing ??= getToken(true).finally(() => {
      refreshing = undefined;
    }));

  const attest = options.attest && remembering(options.attest, () => clock() + clockOffset);

  let warned = false;
  /** Problems have the Worker's version. A call that succeeds needs no newer one. */
  function warnOfOlder(worker: string | null) {
    if (warned || worker === null || !isOlder(worker)) return;
    warned = true;
    console.warn(`${origin} is Airlock ${worker}, older than react-native-airlock ${VERSION}: deploy a newer one.`);
  }

  /** One request, signed afresh. */
  async function sendOnce(
    request: UnsignedRequest,
    token: string | null,
    attested: string | null,
    signal: AbortSignal,
  ): Promise<Answer> {
    const { method, target } = request;
    // Explicit, since expo/fetch has sent one byte as the body of a POST without one.
    const body = request.body ?? (/^(POST|PUT|PATCH)$/.test(method) ? new Uint8Array() : undefined);
    const headers = new Headers(request.headers);
    const fields = {
      appId,
      nonce: request.nonce ?? createNonce(random),
      timestamp: request.timestamp ?? timestampNow(),
      method,
      target,
      token,
      body,
      idempotencyKey: headers.get("Idempotency-Key"),
      ifMatch: headers.get("If-Match"),
      ifNoneMatch: headers.get("If-None-Match"),
    };
    const own = {
      ...signatureHeaders(fields, await hmac(key, canonicalBytes(fields))),
      ...(token !== null && { Authorization: `Bearer ${token}` }),
      ...(attested !== null && { [options.attestHeader ?? "X-Firebase-AppCheck"]: attested }),
      // For an empty body too: React Native on Android sends no body without a type.
      ...(body !== undefined && { "Content-Type": "application/json" }),
      "X-Client-Info": `react-native-airlock/${VERSION}`,
    };
    for (const [name, value] of Object.entries(own)) {
      if (!headers.has(name)) headers.set(name, value);
    }
    if (signal.aborted) throw signal.reason;

    let answer: Answer;
    try {
      // No `cache` option: React Native would add a query parameter, which is not signed. The token is for this origin
      // alone, and the Worker never redirects. React Native does not support `manual` and follows all the same: there,
      // only `https` keeps others from answering with a redirect.
      const response = await (options.fetch ?? globalThis.fetch)(origin + target, {
        method,
        headers,
        body: body as BodyInit | undefined,
        signal,
        redirect: "manual",
        credentials: "omit",
      });
      answer = { status: response.status, headers: response.headers, body: await response.text() };
    } catch (error) {
      throw new AirlockNetworkError(error);
    }
    warnOfOlder(answer.headers.get("X-Airlock-Version"));
    // How a browser hides a redirect.
    if (answer.status === 0)
      throw new AirlockNetworkError(undefined, "This redirect is a proxy's or a captive portal's.");
    return answer;
  }

  async function send(request: UnsignedRequest, signal: AbortSignal): Promise<Answer> {
    // Checked here because what fetch throws would look like a broken connection.
    if (!/^[A-Z]+$/.test(request.method)) throw new TypeError(`No method is called ${JSON.stringify(request.method)}.`);
    if (request.body && /^(GET|HEAD)$/.test(request.method)) throw new TypeError("GET and HEAD have no body.");
    let [token, attested] = await Promise.all([
      request.token === undefined ? getToken(false) : request.token,
      attest?.(false) ?? null,
    ]);
    const repaired = new Set<string>();
    const sender: Sender = request.sender ?? { user: request.user };

    /** Whether the cause is removed, so that the request can be sent again. */
    async function repair(answer: Answer): Promise<boolean> {
      const { code, server_time } = problemFrom(answer);
      if (repaired.has(code)) return false;
      repaired.add(code);
      switch (code) {
        case "clock_skew":
          if (server_time === null || request.timestamp !== undefined) return false;
          clockOffset = server_time - clock();
          return true;
        case "token_expired": {
          const fresh = request.token === undefined ? await refreshed() : null;
          if (fresh === null || fresh === token) return false;
          token = fresh;
          return true;
        }
        case "attestation_missing":
        case "attestation_expired": {
          const fresh = (await attest?.(true)) ?? null;
          if (fresh === null || fresh === attested) return false;
          attested = fresh;
          return true;
        }
        case "request_replayed":
          if (request.method !== "POST" || request.nonce !== undefined) return false;
          return request.repeatable ?? new Headers(request.headers).has("Idempotency-Key");
        default:
          return false;
      }
    }

    for (;;) {
      // Checked here because fetch would refuse it with a message that quotes it.
      if (token !== null && !/^[\x21-\x7e]+$/.test(token)) {
        throw new TypeError("No header can carry this token.");
      }
      // Someone else may have signed in before a refresh, a later page or a retry. The write would become theirs.
      // Without a subject there is no token, or one that the server refuses.
      const { sub } = payloadOf(token);
      sender.user ??= sub;
      if (sub && sub !== sender.user) throw new AirlockUserError("Another user has signed in.");
      const answer = await sendOnce(request, token, attested, signal);
      if (!(answer.status === 401 || answer.status === 409) || !(await repair(answer))) return answer;
    }
  }

  return { origin, random, send, call: (signal, work) => within(timeoutMs, signal, work) };
}

/** The bytes of a body. */
export function bytesOf(body: string | Uint8Array | undefined): Uint8Array | undefined {
  return typeof body === "string" ? encodeUtf8(body) : body;
}
