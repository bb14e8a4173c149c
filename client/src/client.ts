/**
 * The client: signs, sends, and turns answers into rows or errors.
 *
 * It corrects a wrong clock and refreshes an expired token, once each per call. It answers a call whose request was
 * carried out although its answer was lost (`request_replayed`). All other errors are the app's to handle, by `retryable`.
 */

import { utf8ToBytes } from "@noble/hashes/utils.js";
import type {
  AnyDeclaration,
  AnyResource,
  DraftOf,
  LooseDeclaration,
  OrgResourceName,
  PatchOf,
  PublishedName,
  PublishedRowOf,
  RowOf,
  UserResourceName,
} from "./declaration.ts";
import { AirlockNetworkError, parseJson, problemFrom } from "./error.ts";
import type { Declaration } from "./generated.ts";
import type { Invitation, Member, NewInvitation, Org, Role } from "./org.ts";
import { fieldsOf, type Page, withEtag } from "./row.ts";
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

/** The client of a declaration; of the project's own unless given. */
export type Airlock<D extends AnyDeclaration = Declaration> = AirlockCalls<D> &
  (D["organizations"] extends true ? OrgCalls<D> : unknown) &
  ("notes" extends UserResourceName<D> ? NotesCalls<D> : unknown);

export interface AirlockCalls<D extends AnyDeclaration> {
  /** Who the token says the user is. */
  me(options?: CallOptions): Promise<Me>;
  /** The user's own rows of a resource. */
  resource<Name extends UserResourceName<D>>(name: Name): ResourceClient<D["resources"][Name]>;
  /** A published row, which takes no user. */
  published<Name extends PublishedName<D>>(
    name: Name,
    id: string,
    options?: CallOptions,
  ): Promise<PublishedRowOf<D["resources"][Name]>>;
  /** `undefined` when it still has the tag `ifNoneMatch`. */
  published<Name extends PublishedName<D>>(
    name: Name,
    id: string,
    options: GetOptions,
  ): Promise<PublishedRowOf<D["resources"][Name]> | undefined>;
  /**
   * Sends one request, signed, and returns any answer. No second try, no problem
   * thrown: for tools and tests.
   *
   * @param target path and query, already percent-encoded
   * @throws AirlockNetworkError when there is no answer
   * @throws TypeError when `target` is no path
   */
  request(method: string, target: string, options?: RequestOptions): Promise<Answer>;
}

export interface OrgCalls<D extends AnyDeclaration> {
  orgs: Orgs;
  /** What belongs to one organisation. */
  org(id: string): {
    /** The organisation's rows of a resource. */
    resource<Name extends OrgResourceName<D>>(name: Name): ResourceClient<D["resources"][Name]>;
  };
}

export interface NotesCalls<D extends AnyDeclaration> {
  /** `resource("notes")`. */
  notes: ResourceClient<D["resources"]["notes"] & AnyResource>;
}

/** A list, newest first. */
export interface List<T, Options extends PageOptions = PageOptions> {
  /** One page. */
  list(options?: Options & { cursor?: string | null }): Promise<Page<T>>;
  /** All of it, page by page as it is iterated. `limit` is the size of a page. */
  all(options?: Options): AsyncGenerator<T, void, undefined>;
}

/** The calls for the rows of one resource. */
export type ResourceClient<R extends AnyResource> = RowCalls<R> &
  ([R["publish"]] extends [never] ? unknown : PublishCalls<R>);

/** All of them throw {@link AirlockError}; an `ifMatch` that no longer holds is `version_mismatch`. */
export interface RowCalls<R extends AnyResource> extends List<RowOf<R>, ListOptions<R>> {
  /**
   * The database makes the id. With an `idempotencyKey`, kept with the edit, a retry of the same draft makes no second
   * row for 24 hours; without one it may.
   */
  create(draft: DraftOf<R>, options?: CreateOptions): Promise<RowOf<R>>;
  get(id: string, options?: CallOptions): Promise<RowOf<R>>;
  /** `undefined` when the row still has the tag `ifNoneMatch`. */
  get(id: string, options: GetOptions): Promise<RowOf<R> | undefined>;
  /**
   * Creates or replaces the row under a UUID of your making (lower case). Repeating it makes no
   * second row. `ifNoneMatch: "*"` only creates, `ifMatch` only replaces.
   */
  put(id: string, draft: DraftOf<R>, options?: MatchOptions & { ifNoneMatch?: "*" }): Promise<RowOf<R>>;
  /** Changes the given fields. */
  patch(id: string, changes: PatchOf<R>, options?: MatchOptions): Promise<RowOf<R>>;
  /** Soft delete; a second time is fine too. */
  remove(id: string, options?: MatchOptions): Promise<void>;
  /** Undoes {@link remove}. */
  restore(id: string, options?: MatchOptions): Promise<RowOf<R>>;
}

/** Of a resource whose rows can be published. */
export interface PublishCalls<R extends AnyResource> {
  /** Lets every user of the app read the row. A second time is fine too. */
  publish(id: string, options?: MatchOptions): Promise<RowOf<R>>;
  /** Undoes {@link publish}; the row may be shown for a minute more. */
  unpublish(id: string, options?: MatchOptions): Promise<RowOf<R>>;
}

/** The user's organisations. What a role does not allow is `forbidden`. */
export interface Orgs extends List<Org> {
  /** Makes the user its owner. */
  create(name: string, options?: CreateOptions): Promise<Org>;
  /** Accepts an invitation. The same token again gives the organisation again. */
  join(token: string, options?: CallOptions): Promise<Org>;
  get(id: string, options?: CallOptions): Promise<Org>;
  /** `undefined` when the organisation still has the tag `ifNoneMatch`. */
  get(id: string, options: GetOptions): Promise<Org | undefined>;
  rename(id: string, name: string, options?: MatchOptions): Promise<Org>;
  /** For all its members, and with its rows. This client cannot undo it. */
  remove(id: string, options?: MatchOptions): Promise<void>;
  members(id: string): Members;
  invitations(id: string): Invitations;
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
  /** With the same `idempotencyKey` again: the same invitation with a new token; the earlier token ends. */
  create(role: Role, options?: CreateOptions): Promise<NewInvitation>;
  /** Takes it back. */
  remove(id: string, options?: CallOptions): Promise<void>;
}

export interface CallOptions {
  /** Ends the call early, for a timeout say. What `fetch` then throws is passed on unchanged. */
  signal?: AbortSignal;
}

export interface CreateOptions extends CallOptions {
  /** 8 to 64 of `A-Z a-z 0-9 _ -`, such as a UUID. One key is for one draft. */
  idempotencyKey?: string;
}

export interface GetOptions extends CallOptions {
  /** Only if it has another tag than this one, its `etag` when it was last read. */
  ifNoneMatch: string | undefined;
}

export interface MatchOptions extends CallOptions {
  /** Only if it still has this tag (`row.etag`), or `*`: if it exists. */
  ifMatch?: string;
}

export interface PageOptions extends CallOptions {
  /** Rows per page, 1-100, by default 20. */
  limit?: number;
}

export type ListOptions<R extends AnyResource> = PageOptions & {
  /** By default the live ones. */
  state?: "active" | "deleted" | ([R["publish"]] extends [never] ? never : "published");
} & (R["searchable"] extends true
    ? {
        /** Only rows with these words, as in a web search: 1 to 200 characters. */
        q?: string;
      }
    : unknown);

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
 * A client for one user of one app. In an app's own repository: `createAirlock<Declaration>`, with the file that
 * `npm run generate -- --out FILE` wrote; {@link LooseDeclaration} without one.
 *
 * @throws TypeError when `url`, `appId` or `secret` cannot be right
 */
export function createAirlock<D extends AnyDeclaration = Declaration>(options: AirlockOptions): Airlock<D> {
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
    { expect, json, signal, replayed, ...conditions }: Call,
  ): Promise<T> {
    const body = json === undefined ? undefined : utf8ToBytes(JSON.stringify(json));
    const headers = conditionHeaders(conditions);
    let token = await getToken(false);
    let clockCorrected = false;
    let tokenRefreshed = false;
    let sentAgain = false;
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
      // A network layer sent the request twice. The change is made and must not be made a second time.
      if (problem.code === "request_replayed" && replayed !== undefined) {
        if (replayed === "done") return undefined as T;
        if (replayed !== "again") return call<T>("GET", replayed.get, { expect: [200], signal });
        if (!sentAgain) {
          sentAgain = true;
          continue;
        }
      }
      throw problem;
    }
  }

  /** A POST with an Idempotency-Key may be sent again: the server makes no second row. */
  function again({ idempotencyKey }: CreateOptions = {}): Pick<Call, "replayed"> {
    return idempotencyKey === undefined ? {} : { replayed: "again" };
  }

  /** A DELETE. */
  function removeAt(one: (id: string) => string) {
    return (id: string, options?: MatchOptions): Promise<void> =>
      call("DELETE", one(id), { ...options, expect: [204], replayed: "done" });
  }

  /** A row that has a version, with its tag. */
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

  function listAt<T>(place: string, finish: (row: T) => T): List<T, AnyListOptions> {
    const self: List<T, AnyListOptions> = {
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

  /** Every resource, below `/v1` or below an organisation. */
  function resourceAt(place: string): ResourceClient<Loose> {
    const one = (id: string) => `${place}/${encode(id)}`;
    const action = (name: string) => (id: string, options?: MatchOptions) =>
      callForOne<LooseRow>("POST", `${one(id)}/${name}`, { ...options, expect: [200], replayed: { get: one(id) } });
    return {
      ...listAt<LooseRow>(place, withEtag),

      create: (draft, options) =>
        callForOne("POST", place, { ...options, ...again(options), expect: [201], json: fieldsOf(draft) }),

      get: getAt<LooseRow>(one),

      put: (id, draft, options) =>
        callForOne("PUT", one(id), { ...options, expect: [200, 201], json: fieldsOf(draft), replayed: { get: one(id) } }),

      patch: (id, changes, options) =>
        callForOne("PATCH", one(id), { ...options, expect: [200], json: fieldsOf(changes), replayed: { get: one(id) } }),

      remove: removeAt(one),
      restore: action("restore"),
      publish: action("publish"),
      unpublish: action("unpublish"),
    };
  }

  function membersAt(place: string): Members {
    const one = (userId: string) => `${place}/${encode(userId)}`;
    return {
      ...listAt<Member>(place, withEtag),
      get: getAt<Member>(one),
      setRole: (userId, role, options) =>
        callForOne("PATCH", one(userId), { ...options, expect: [200], json: { role }, replayed: { get: one(userId) } }),
      remove: removeAt(one),
    };
  }

  function invitationsAt(place: string): Invitations {
    return {
      ...listAt<Invitation>(place, (invitation) => invitation),
      create: (role, options) =>
        call("POST", place, { ...options, ...again(options), expect: [201], json: { role } }),
      remove: removeAt((id) => `${place}/${encode(id)}`),
    };
  }

  const org = (id: string) => `/v1/orgs/${encode(id)}`;
  const orgs: Orgs = {
    ...listAt<Org>("/v1/orgs", withEtag),
    create: (name, options) =>
      callForOne("POST", "/v1/orgs", { ...options, ...again(options), expect: [201], json: { name } }),
    join: (token, options) =>
      callForOne("POST", "/v1/orgs/join", { ...options, expect: [200], json: { token }, replayed: "again" }),
    get: getAt<Org>(org),
    rename: (id, name, options) =>
      callForOne("PATCH", org(id), { ...options, expect: [200], json: { name }, replayed: { get: org(id) } }),
    remove: removeAt(org),
    members: (id) => membersAt(`${org(id)}/members`),
    invitations: (id) => invitationsAt(`${org(id)}/invitations`),
  };

  const resource = (name: string) => resourceAt(`/v1/${encode(name)}`);
  const airlock: Airlock<LooseDeclaration> = {
    me: (options) => call("GET", "/v1/me", { ...options, expect: [200] }),
    resource,
    notes: resource("notes"),
    published: (name: string, id: string, options: Partial<GetOptions> = {}) =>
      getAt<PublishedRowOf<Loose>>((row) => `/v1/public/${encode(name)}/${encode(row)}`)(id, options as CallOptions),
    orgs,
    org: (id) => ({ resource: (name) => resourceAt(`${org(id)}/${encode(name)}`) }),
    request,
  };
  // Types alone differ: the same code serves every declaration.
  return airlock as unknown as Airlock<D>;
}

type Loose = LooseDeclaration["resources"][string];
type LooseRow = RowOf<Loose>;
type AnyListOptions = ListOptions<Loose>;

interface Conditions {
  idempotencyKey?: string;
  ifMatch?: string;
  ifNoneMatch?: string;
}

interface Call extends Conditions, CallOptions {
  /** Any other status is a problem, even a 2xx: a captive portal's 200 deletes no row. */
  expect: number[];
  json?: unknown;
  /**
   * How to answer the call when its request was carried out and the answer was lost: "done" without a row, "again" by
   * sending it once more, or with a GET of this target. Absent: with the problem.
   */
  replayed?: "done" | "again" | { get: string };
}

function conditionHeaders({ idempotencyKey, ifMatch, ifNoneMatch }: Conditions): Record<string, string> {
  return {
    ...(idempotencyKey !== undefined && { "Idempotency-Key": idempotencyKey }),
    ...(ifMatch !== undefined && { "If-Match": ifMatch }),
    ...(ifNoneMatch !== undefined && { "If-None-Match": ifNoneMatch }),
  };
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
