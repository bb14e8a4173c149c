/**
 * The client: signs, sends, and turns answers into notes or errors.
 *
 * It mends by itself what only it can: a wrong clock and an expired token, once each per call.
 * Everything else is the app's to decide, by `retryable`.
 */

import { utf8ToBytes } from "@noble/hashes/utils.js";
import { AirlockNetworkError, parseJson, problemFrom } from "./error.ts";
import {
  type Note,
  type NoteChanges,
  type NoteDraft,
  type Page,
  type PublishedNote,
  withEtag,
} from "./note.ts";
import type { Invitation, Member, NewInvitation, Org, Role } from "./org.ts";
import { decodeSecret, signRequest } from "./sign.ts";

export interface AirlockOptions {
  /** Origin of the Airlock, without a path: `https://api.example.com`. */
  url: string;
  /** 1-64 of `A-Z a-z 0-9 . _ -`. */
  appId: string;
  /** The app's key: base64url, at least 32 bytes. */
  secret: string;
  /**
   * The user's Supabase access token; `null` or `undefined` when signed out. Asked before every
   * call, and once more with `refresh: true` when the server finds the token expired.
   */
  getToken: (options: { refresh: boolean }) => Promise<string | null | undefined>;
  /** Default: the global one. */
  fetch?: (url: string, init: RequestInit) => Promise<Response>;
  /** Milliseconds since 1970. Default: `Date.now`. */
  now?: () => number;
}

export interface Airlock {
  /** Who the token says the user is. */
  me(options?: CallOptions): Promise<Me>;
  /** The user's own. */
  notes: Notes;
  orgs: Orgs;
  /** A published note, which takes no user. */
  published(id: string, options?: CallOptions): Promise<PublishedNote>;
  /** `undefined` when it still has the tag `ifNoneMatch`. */
  published(id: string, options: GetOptions): Promise<PublishedNote | undefined>;
  /**
   * Sends one request, signed, and returns whatever the answer is. No second try, no problem
   * thrown: for tools and tests.
   *
   * @param target path and query, already percent-encoded
   * @throws AirlockNetworkError when there is no answer
   * @throws TypeError when `target` is no path
   */
  request(method: string, target: string, options?: RequestOptions): Promise<Answer>;
}

/** A list, newest first. */
export interface List<T, Options extends PageOptions = PageOptions> {
  /** One page. */
  list(options?: Options & { cursor?: string | null }): Promise<Page<T>>;
  /** All of it, page by page as it is iterated. `limit` is the size of a page. */
  all(options?: Options): AsyncGenerator<T, void, undefined>;
}

/** All of them throw {@link AirlockError}; an `ifMatch` that no longer holds is `version_mismatch`. */
export interface Notes extends List<Note, ListOptions> {
  /**
   * The database makes the id. With an `idempotencyKey`, kept with the edit, a retry of the same draft makes no second
   * note for 24 hours; without one it may.
   */
  create(draft: NoteDraft, options?: CreateOptions): Promise<Note>;
  get(id: string, options?: CallOptions): Promise<Note>;
  /** `undefined` when the note still has the tag `ifNoneMatch`. */
  get(id: string, options: GetOptions): Promise<Note | undefined>;
  /**
   * Creates or replaces the note under a UUID of your making (lower case). Repeating it makes no
   * second note. `ifNoneMatch: "*"` only creates, `ifMatch` only replaces.
   */
  put(id: string, draft: NoteDraft, options?: MatchOptions & { ifNoneMatch?: "*" }): Promise<Note>;
  /** Changes the given fields. */
  patch(id: string, changes: NoteChanges, options?: MatchOptions): Promise<Note>;
  /** Soft delete; a second time is fine too. */
  remove(id: string, options?: MatchOptions): Promise<void>;
  /** Undoes {@link remove}. */
  restore(id: string, options?: MatchOptions): Promise<Note>;
  /** Lets everybody read it. A second time is fine too. */
  publish(id: string, options?: MatchOptions): Promise<Note>;
  /** Undoes {@link publish}; the note may be shown for a minute more. */
  unpublish(id: string, options?: MatchOptions): Promise<Note>;
}

/** The user's organisations. What a role does not allow is `forbidden`. */
export interface Orgs extends List<Org> {
  /** Makes the user its owner. */
  create(name: string, options?: CallOptions): Promise<Org>;
  /** Accepts an invitation. */
  join(token: string, options?: CallOptions): Promise<Org>;
  get(id: string, options?: CallOptions): Promise<Org>;
  /** `undefined` when the organisation still has the tag `ifNoneMatch`. */
  get(id: string, options: GetOptions): Promise<Org | undefined>;
  rename(id: string, name: string, options?: MatchOptions): Promise<Org>;
  /** For all its members, and with its notes. This client cannot undo it. */
  remove(id: string, options?: MatchOptions): Promise<void>;
  members(id: string): Members;
  invitations(id: string): Invitations;
  notes(id: string): Notes;
}

/** Of one organisation. Whatever leaves it without an owner is a `conflict`. */
export interface Members extends List<Member> {
  get(userId: string, options?: CallOptions): Promise<Member>;
  /** `undefined` when the member still has the tag `ifNoneMatch`. */
  get(userId: string, options: GetOptions): Promise<Member | undefined>;
  setRole(userId: string, role: Role, options?: MatchOptions): Promise<Member>;
  /** With the user's own id: leaves. */
  remove(userId: string, options?: CallOptions): Promise<void>;
}

/** Of one organisation, for its owners. */
export interface Invitations extends List<Invitation> {
  create(role: Role, options?: CallOptions): Promise<NewInvitation>;
  /** Takes it back. */
  remove(id: string, options?: CallOptions): Promise<void>;
}

export interface CallOptions {
  /** Ends the call early, for a timeout say. What `fetch` then throws is passed on unchanged. */
  signal?: AbortSignal;
}

export interface CreateOptions extends CallOptions {
  /** 8 to 64 of `A-Z a-z 0-9 _ -`, a UUID for example; of one draft. */
  idempotencyKey?: string;
}

export interface GetOptions extends CallOptions {
  /** Only if it has another tag than this one, its `etag` when it was last read. */
  ifNoneMatch: string | undefined;
}

export interface MatchOptions extends CallOptions {
  /** Only if it still has this tag (`note.etag`), or `*`: if it exists. */
  ifMatch?: string;
}

export interface PageOptions extends CallOptions {
  /** Rows per page, 1-100, by default 20. */
  limit?: number;
}

export interface ListOptions extends PageOptions {
  /** Only notes with these words, as in a web search: 1 to 200 characters. */
  q?: string;
  /** By default the live ones. */
  state?: "active" | "deleted" | "published";
}

export interface Me {
  /** UUID of the user. */
  sub: string;
  email: string | null;
  session_id: string | null;
  /** Authenticator assurance level. */
  aal: string | null;
  is_anonymous: boolean;
  /** When the token expires: Unix seconds. */
  exp: number;
  /** The app whose signature was verified. */
  app_id: string | null;
}

export interface RequestOptions extends CallOptions {
  /** Sent byte for byte; as `application/json` unless `headers` says otherwise. */
  body?: string | Uint8Array;
  /** `Idempotency-Key`, `If-Match` and `If-None-Match` are signed. These win over the client's own. */
  headers?: Record<string, string>;
  /** Default: what `getToken` gives. `null`: none. */
  token?: string | null;
  /** Default: a fresh one. */
  nonce?: string;
  /** Unix seconds. Default: the client's clock, as corrected so far. */
  timestamp?: number | string;
}

/** An answer, whatever its status. */
export interface Answer {
  status: number;
  headers: Headers;
  /** As text; `""` when there is none. */
  body: string;
}

/**
 * A client for one user of one app.
 *
 * @throws TypeError when `url`, `appId` or `secret` cannot be right
 */
export function createAirlock(options: AirlockOptions): Airlock {
  const { appId, secret, fetch = globalThis.fetch, now = Date.now } = options;
  const origin = parseOrigin(options.url);
  if (!/^[A-Za-z0-9._-]{1,64}$/.test(appId)) {
    throw new TypeError("appId must be 1 to 64 of A-Z a-z 0-9 . _ -");
  }
  decodeSecret(secret);

  let clockOffset = 0;
  const clock = () => Math.floor(now() / 1000);
  const getToken = async (refresh: boolean) => (await options.getToken({ refresh })) ?? null;

  async function request(
    method: string,
    target: string,
    given: RequestOptions = {},
  ): Promise<Answer> {
    const verb = method.toUpperCase();
    // Anything else would be part of the host, and get the token.
    if (!target.startsWith("/")) throw new TypeError("target must begin with /");
    const body = typeof given.body === "string" ? utf8ToBytes(given.body) : given.body;
    const token = given.token === undefined ? await getToken(false) : given.token;
    // Checked here because fetch would refuse it with a message that quotes it.
    if (token !== null && !/^[\x21-\x7e]+$/.test(token)) {
      throw new TypeError("The token has characters that a header cannot carry, or none at all.");
    }

    const headers = new Headers(given.headers);
    const own = {
      ...signRequest({
        appId,
        secret,
        nonce: given.nonce,
        timestamp: given.timestamp ?? clock() + clockOffset,
        method: verb,
        target,
        token,
        body,
        idempotencyKey: headers.get("Idempotency-Key"),
        ifMatch: headers.get("If-Match"),
        ifNoneMatch: headers.get("If-None-Match"),
      }),
      ...(token !== null && { Authorization: `Bearer ${token}` }),
      ...(body !== undefined && { "Content-Type": "application/json" }),
    };
    for (const [name, value] of Object.entries(own)) {
      if (!headers.has(name)) headers.set(name, value);
    }

    const { signal } = given;
    try {
      // No `cache` option: React Native answers it with a query parameter that nobody signed.
      // The token is for this origin alone, and the Worker never redirects. React Native does not support
      // `manual` and follows all the same: there, only `https` keeps others from answering with a redirect.
      const response = await fetch(origin + target, {
        method: verb,
        headers,
        body: body as BodyInit | undefined,
        signal,
        redirect: "manual",
      });
      return { status: response.status, headers: response.headers, body: await response.text() };
    } catch (error) {
      throw signal?.aborted ? error : new AirlockNetworkError(error);
    }
  }

  /** The JSON of an answer with one of the expected statuses; `undefined` for one without content. */
  async function call<T>(
    method: string,
    target: string,
    { expect, json, signal, ...conditions }: Call,
  ): Promise<T> {
    const body = json === undefined ? undefined : utf8ToBytes(JSON.stringify(json));
    const headers = conditionHeaders(conditions);
    let token = await getToken(false);
    let clockCorrected = false;
    let tokenRefreshed = false;
    for (;;) {
      const answer = await request(method, target, { body, headers, token, signal });
      if (expect.includes(answer.status)) {
        if (answer.status === 204 || answer.status === 304) return undefined as T;
        const value = parseJson(answer.body);
        if (typeof value === "object" && value !== null) return value as T;
      }
      const problem = problemFrom(answer);
      if (problem.code === "clock_skew" && problem.server_time !== null && !clockCorrected) {
        clockCorrected = true;
        clockOffset = problem.server_time - clock();
        continue;
      }
      if (problem.code === "token_expired" && !tokenRefreshed) {
        tokenRefreshed = true;
        const fresh = await getToken(true);
        if (fresh !== null && fresh !== token) {
          token = fresh;
          continue;
        }
      }
      throw problem;
    }
  }

  /** What has a version, with its tag. */
  async function callForOne<T extends { version: number }>(
    method: string,
    target: string,
    options: Call,
  ): Promise<T & { etag: string }> {
    return withEtag(await call<T>(method, target, options));
  }

  function getAt<T extends { version: number }>(one: (id: string) => string) {
    function get(id: string, options?: CallOptions): Promise<T>;
    function get(id: string, options: GetOptions): Promise<T | undefined>;
    async function get(id: string, options: Partial<GetOptions> = {}): Promise<T | undefined> {
      const expect = options.ifNoneMatch === undefined ? [200] : [200, 304];
      const row = await call<T | undefined>("GET", one(id), { ...options, expect });
      return row && withEtag(row);
    }
    return get;
  }

  function listAt<T>(place: string, finish: (row: T) => T): List<T, ListOptions> {
    const self: List<T, ListOptions> = {
      async list({ limit, cursor, q, state, signal } = {}) {
        const target = `${place}${query({ limit, cursor, q, state })}`;
        const page = await call<Page<T>>("GET", target, { expect: [200], signal });
        return { ...page, data: page.data.map(finish) };
      },

      async *all(options) {
        let cursor: string | null = null;
        do {
          const page: Page<T> = await self.list({ ...options, cursor });
          for (const row of page.data) yield row;
          cursor = page.next_cursor;
        } while (cursor !== null);
      },
    };
    return self;
  }

  function notesAt(place: string): Notes {
    const one = (id: string) => `${place}/${encode(id)}`;
    return {
      ...listAt<Note>(place, withEtag),

      create: (draft, options) =>
        callForOne("POST", place, { ...options, expect: [201], json: content(draft) }),

      get: getAt<Note>(one),

      put: (id, draft, options) =>
        callForOne("PUT", one(id), { ...options, expect: [200, 201], json: content(draft) }),

      patch: (id, changes, options) =>
        callForOne("PATCH", one(id), { ...options, expect: [200], json: content(changes) }),

      remove: (id, options) => call("DELETE", one(id), { ...options, expect: [204] }),

      restore: (id, options) =>
        callForOne("POST", `${one(id)}/restore`, { ...options, expect: [200] }),

      publish: (id, options) =>
        callForOne("POST", `${one(id)}/publish`, { ...options, expect: [200] }),

      unpublish: (id, options) =>
        callForOne("POST", `${one(id)}/unpublish`, { ...options, expect: [200] }),
    };
  }

  function membersAt(place: string): Members {
    const one = (userId: string) => `${place}/${encode(userId)}`;
    return {
      ...listAt<Member>(place, withEtag),
      get: getAt<Member>(one),
      setRole: (userId, role, options) =>
        callForOne("PATCH", one(userId), { ...options, expect: [200], json: { role } }),
      remove: (userId, options) => call("DELETE", one(userId), { ...options, expect: [204] }),
    };
  }

  function invitationsAt(place: string): Invitations {
    return {
      ...listAt<Invitation>(place, (invitation) => invitation),
      create: (role, options) => call("POST", place, { ...options, expect: [201], json: { role } }),
      remove: (id, options) =>
        call("DELETE", `${place}/${encode(id)}`, { ...options, expect: [204] }),
    };
  }

  const org = (id: string) => `/v1/orgs/${encode(id)}`;
  const orgs: Orgs = {
    ...listAt<Org>("/v1/orgs", withEtag),
    create: (name, options) =>
      callForOne("POST", "/v1/orgs", { ...options, expect: [201], json: { name } }),
    join: (token, options) =>
      callForOne("POST", "/v1/orgs/join", { ...options, expect: [200], json: { token } }),
    get: getAt<Org>(org),
    rename: (id, name, options) =>
      callForOne("PATCH", org(id), { ...options, expect: [200], json: { name } }),
    remove: (id, options) => call("DELETE", org(id), { ...options, expect: [204] }),
    members: (id) => membersAt(`${org(id)}/members`),
    invitations: (id) => invitationsAt(`${org(id)}/invitations`),
    notes: (id) => notesAt(`${org(id)}/notes`),
  };

  return {
    me: (options) => call("GET", "/v1/me", { ...options, expect: [200] }),
    notes: notesAt("/v1/notes"),
    orgs,
    published: getAt<PublishedNote>((id) => `/v1/public/notes/${encode(id)}`),
    request,
  };
}

interface Conditions {
  idempotencyKey?: string;
  ifMatch?: string;
  ifNoneMatch?: string;
}

interface Call extends Conditions, CallOptions {
  /** Any other status is a problem, also a good one: a captive portal's 200 deletes no note. */
  expect: number[];
  json?: unknown;
}

function conditionHeaders({ idempotencyKey, ifMatch, ifNoneMatch }: Conditions): Record<string, string> {
  return {
    ...(idempotencyKey !== undefined && { "Idempotency-Key": idempotencyKey }),
    ...(ifMatch !== undefined && { "If-Match": ifMatch }),
    ...(ifNoneMatch !== undefined && { "If-None-Match": ifNoneMatch }),
  };
}

/** Only what a request may hold, so that a whole Note can be passed: the server refuses the rest. */
function content({ title, body }: NoteChanges): NoteChanges {
  return { title, body };
}

function query(parameters: Record<string, string | number | null | undefined>): string {
  const pairs = Object.entries(parameters).flatMap(([name, value]) =>
    value == null ? [] : [`${encode(name)}=${encode(String(value))}`],
  );
  return pairs.length === 0 ? "" : `?${pairs.join("&")}`;
}

/** Percent-encodes all but RFC 3986's unreserved characters; `encodeURIComponent` leaves five more. */
function encode(text: string): string {
  return encodeURIComponent(text).replace(
    /[!'()*]/g,
    (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`,
  );
}

/** By hand, since a `URL` would quietly mend what was meant otherwise. */
function parseOrigin(url: string): string {
  const match = /^(https?:\/\/[^\s/?#@\\]+)\/?$/.exec(url);
  if (!match?.[1]) throw new TypeError("url must be an origin, such as https://api.example.com");
  return match[1];
}
