/**
 * The client: builds requests, and turns answers into rows or errors.
 *
 * It answers a call whose request was carried out although its answer was lost (`request_replayed`). transport.ts repairs
 * the rest of what a phone breaks. All other errors are the app's to handle, by `retryable`.
 */

import type {
  Airlock,
  CallOptions,
  GetOptions,
  Invitations,
  List,
  ListOptions,
  MatchOptions,
  Members,
  Orgs,
  ResourceClient,
  Version,
} from "./calls.ts";
import type { AnyDeclaration, LooseDeclaration, PublishedRowOf, RowOf } from "./declaration.ts";
import { query, toJson } from "./encode.ts";
import { parseJson, problemFrom } from "./error.ts";
import { ids as ownIds, type Declaration } from "./generated.ts";
import { checkedId, checkedName, createId, type IdKind } from "./id.ts";
import type { Invitation, Member, Org } from "./org.ts";
import { fieldsOf, type Page } from "./row.ts";
import { bytesOf, createTransport, type AirlockOptions } from "./transport.ts";

/**
 * A client for one user of one app. In an app's own repository: `createAirlock<Declaration>({ ..., ids })`, both from the
 * file that `npm run generate -- --out FILE` wrote; {@link LooseDeclaration} without one.
 *
 * @throws TypeError when an option cannot be right
 */
export function createAirlock<D extends AnyDeclaration = Declaration>(options: ClientOptions): Airlock<D> {
  const transport = createTransport(options);
  const kinds = new Map<string, IdKind>(Object.entries(options.ids ?? ownIds));

  /** The JSON of an answer with one of the expected statuses; `undefined` for one without content. */
  function call<T>(method: string, target: string, options: Call): Promise<T> {
    return transport.call(options.signal, (signal) => answered<T>(method, target, options, signal));
  }

  async function answered<T>(method: string, target: string, options: Call, signal: AbortSignal): Promise<T> {
    const { expect, json, replayed } = options;
    const answer = await transport.send(
      {
        method,
        target,
        headers: conditionHeaders(options),
        body: json === undefined ? undefined : bytesOf(toJson(json)),
        repeatable: replayed === "again",
      },
      signal,
    );
    if (expect.includes(answer.status)) {
      if (answer.status === 204 || answer.status === 304) return undefined as T;
      const value = parseJson(answer.body);
      if (typeof value === "object" && value !== null) return value as T;
    }
    const problem = problemFrom(answer);
    if (problem.code === "request_replayed") {
      // A network layer sent the request twice. The change is made and must not be made a second time.
      if (replayed === "done") return undefined as T;
      if (replayed === "read") {
        return answered<T>("GET", target.replace(/\/(restore|publish|unpublish)$/, ""), { expect: [200] }, signal);
      }
    }
    throw problem;
  }

  /** A POST that creates, and may be repeated under its key. */
  function createAt<T>(place: string, json: unknown, options: CreateCall = {}): Promise<T> {
    const { idempotencyKey = createId(transport.random) } = options;
    if (!/^[\w-]{8,64}$/.test(idempotencyKey)) throw new TypeError("idempotencyKey must be 8 to 64 of A-Z a-z 0-9 _ -");
    return call("POST", place, { ...options, idempotencyKey, expect: [201], json, replayed: "again" });
  }

  /** A DELETE. */
  function removeAt(one: Place) {
    return async (id: string, options?: MatchOptions): Promise<void> =>
      call("DELETE", one(id), { ...options, expect: [204], replayed: "done" });
  }

  function getAt<T>(one: Place) {
    function get(id: string, options?: CallOptions): Promise<T>;
    function get(id: string, options: GetOptions): Promise<T | undefined>;
    async function get(id: string, options: Partial<GetOptions> = {}): Promise<T | undefined> {
      return call("GET", one(id), { ...options, expect: options.ifNoneMatch === undefined ? [200] : [200, 304] });
    }
    return get;
  }

  function listAt<T>(place: () => string): List<T, AnyListOptions> {
    const self: List<T, AnyListOptions> = {
      async list({ limit, cursor, q, state, sort, count, filters, signal } = {}) {
        const parameters = query({ limit, cursor, q, state, sort, count, ...filters });
        return call("GET", `${place()}${parameters}`, { expect: [200], signal });
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
  function resourceAt(parent: () => string, name: string): ResourceClient<Loose> {
    const place = () => `${parent()}/${checkedName(name)}`;
    const one = (id: string) => `${place()}/${checkedId(id, kinds.get(name))}`;
    const action = (name: string) => async (id: string, options?: MatchOptions) =>
      call<LooseRow>("POST", `${one(id)}/${name}`, { ...options, expect: [200], replayed: "read" });
    return {
      ...listAt<LooseRow>(place),
      create: async (draft, options) => createAt(place(), fieldsOf(draft), options),
      get: getAt<LooseRow>(one),
      put: async (id, draft, options) =>
        call("PUT", one(id), { ...options, expect: [200, 201], json: fieldsOf(draft), replayed: "read" }),
      patch: async (id, changes, options) =>
        call("PATCH", one(id), { ...options, expect: [200], json: fieldsOf(changes), replayed: "read" }),
      remove: removeAt(one),
      restore: action("restore"),
      publish: action("publish"),
      unpublish: action("unpublish"),
    };
  }

  function membersAt(place: () => string): Members {
    const one = (userId: string) => `${place()}/${checkedId(userId)}`;
    return {
      ...listAt<Member>(place),
      get: getAt<Member>(one),
      setRole: async (userId, role, options) =>
        call("PATCH", one(userId), { ...options, expect: [200], json: { role }, replayed: "read" }),
      remove: removeAt(one),
    };
  }

  function invitationsAt(place: () => string): Invitations {
    return {
      ...listAt<Invitation>(place),
      create: async (role, options) => createAt(place(), { role }, options),
      remove: removeAt((id) => `${place()}/${checkedId(id)}`),
    };
  }

  const org = (id: string) => `/v1/orgs/${checkedId(id)}`;
  const orgs: Orgs = {
    ...listAt<Org>(() => "/v1/orgs"),
    create: async (name, options) => createAt("/v1/orgs", { name }, options),
    // The token is its key: the server answers the member who used it.
    join: (token, options) =>
      call("POST", "/v1/orgs/join", { ...options, expect: [200], json: { token }, replayed: "again" }),
    get: getAt<Org>(org),
    rename: async (id, name, options) =>
      call("PATCH", org(id), { ...options, expect: [200], json: { name }, replayed: "read" }),
    remove: removeAt(org),
    members: (id) => membersAt(() => `${org(id)}/members`),
    invitations: (id) => invitationsAt(() => `${org(id)}/invitations`),
  };

  const resource = (name: string) => resourceAt(() => "/v1", name);
  const airlock: Airlock<LooseDeclaration> = {
    me: (options) => call("GET", "/v1/me", { ...options, expect: [200] }),
    resource,
    notes: resource("notes"),
    published: (name: string, id: string, options: Partial<GetOptions> = {}) =>
      getAt<PublishedRowOf<Loose>>((row) => `/v1/public/${checkedName(name)}/${checkedId(row, kinds.get(name))}`)(id, options as CallOptions),
    orgs,
    org: (id) => ({ resource: (name) => resourceAt(() => org(id), name) }),

    async request(method, target, { body, signal, ...given } = {}) {
      // Anything else would be part of the host, and get the token.
      if (!target.startsWith("/")) throw new TypeError("target must begin with /");
      const request = { ...given, method: method.toUpperCase(), target, body: bytesOf(body) };
      return transport.call(signal, (ends) => transport.send(request, ends));
    },
  };
  // Types alone differ: the same code serves every declaration.
  return airlock as unknown as Airlock<D>;
}

export interface ClientOptions extends AirlockOptions {
  /** The kinds of the resources' ids: `ids` of the generated file. An id of any other resource is a UUID. */
  ids?: Record<string, IdKind>;
}

type Loose = LooseDeclaration["resources"][string];
type LooseRow = RowOf<Loose>;
type AnyListOptions = ListOptions<Loose>;
/** The path of one row. It throws a TypeError for what is no id. */
type Place = (id: string) => string;

interface Conditions {
  idempotencyKey?: string;
  ifMatch?: Version;
  ifNoneMatch?: Version;
}

type CreateCall = Pick<Conditions, "idempotencyKey"> & CallOptions;

interface Call extends Conditions, CallOptions {
  /** Any other status is a problem, even a 2xx: a captive portal's 200 deletes no row. */
  expect: number[];
  json?: unknown;
  /**
   * How to answer the call when its request was carried out and the answer was lost: "done" without a row, "again" by
   * sending it once more, "read" with a GET of the row. Absent: with the problem.
   */
  replayed?: "done" | "again" | "read";
}

function conditionHeaders({ idempotencyKey, ifMatch, ifNoneMatch }: Conditions): Record<string, string> {
  return {
    ...(idempotencyKey !== undefined && { "Idempotency-Key": idempotencyKey }),
    ...(ifMatch !== undefined && { "If-Match": tag(ifMatch) }),
    ...(ifNoneMatch !== undefined && { "If-None-Match": tag(ifNoneMatch) }),
  };
}

/** The entity tag of a version. */
function tag(version: Version): string {
  return /^(\*|(W\/)?".*)$/.test(String(version)) ? String(version) : `"${version}"`;
}
