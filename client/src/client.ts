/**
 * The client: builds requests, and turns answers into rows or errors.
 *
 * It answers a call whose request was carried out although its answer was lost (`request_replayed`). transport.ts
 * repairs the other faults of a phone. All other errors are the app's to handle, by `retryable`.
 */

import type {
  Airlock,
  CallOptions,
  CreateOptions,
  GetOptions,
  IncludeOption,
  ListOptions,
  Orgs,
  ResourceClient,
  Version,
} from "./calls.ts";
import type { AnyDeclaration, LooseDeclaration, PublishedRowOf, RowOf } from "./declaration.ts";
import { query, toJson } from "./encode.ts";
import { parseJson, problemFrom } from "./error.ts";
import { type Declaration, ids as ownIds } from "./generated.ts";
import { checkedId, checkedName, createId, type IdKind, type ResourceIds } from "./id.ts";
import type { Invitation, Member, Org } from "./org.ts";
import { fieldsOf, type Page } from "./row.ts";
import { type AirlockOptions, bytesOf, createTransport, type Sender } from "./transport.ts";

/**
 * A client for one user of one app. In an app's own repository: `createAirlock<Declaration>({ ..., ids })`, both from the
 * file that `npm run generate -- --out FILE` wrote; {@link LooseDeclaration} without one.
 *
 * @throws TypeError when an option is invalid
 */
export function createAirlock<D extends AnyDeclaration = Declaration>(options: ClientOptions): Airlock<D> {
  const transport = createTransport(options);
  const declared = new Map<string, ResourceIds>(Object.entries(options.ids ?? ownIds));
  const idsOf = (name: string) => {
    const ids = declared.get(name) ?? "uuid";
    return typeof ids === "string" ? { id: ids, fields: [] } : ids;
  };

  /** The JSON of a good answer; `undefined` for one without content. */
  function call<T>(method: string, target: string, options: Call = {}): Promise<T> {
    return transport.call(options.signal, (signal) => answered<T>(method, target, options, signal));
  }

  async function answered<T>(method: string, target: string, options: Call, signal: AbortSignal): Promise<T> {
    const { json, repeatable, good, sender = { user: options.user } } = options;
    const body = json === undefined ? undefined : bytesOf(toJson(json));
    const answer = await transport.send(
      { method, target, headers: conditionHeaders(options), body, repeatable, sender },
      signal,
    );
    if (goodStatuses(method, options).includes(answer.status)) {
      if (answer.status === 204 || answer.status === 304) return undefined as T;
      const value = parseJson(answer.body);
      if (typeof value === "object" && value !== null) return value as T;
    }
    const problem = problemFrom(answer);
    // The answer of a function cannot be read again.
    const readable = good === undefined && method !== "GET";
    if (problem.code === "request_replayed" && !repeatable && readable) {
      // A network layer sent the request twice. The change is made and must not be made a second time.
      if (method === "DELETE") return undefined as T;
      return answered<T>("GET", target.replace(/\/(restore|publish|unpublish)$/, ""), { sender }, signal);
    }
    throw problem;
  }

  /** The calls for the rows below one path, whose ids are of this kind. */
  function rowsAt<T>(place: () => string, kind?: IdKind) {
    const one = (id: string) => `${place()}/${checkedId(id, kind)}`;
    const rows = {
      async list({
        signal,
        user,
        sender,
        filters,
        ...parameters
      }: AnyListOptions & { cursor?: string | null; sender?: Sender } = {}): Promise<Page<T>> {
        return call("GET", place() + query({ ...parameters, ...filters }), { signal, user, sender });
      },

      async *all(options?: AnyListOptions) {
        let cursor: string | null = null;
        const sender = { user: options?.user };
        do {
          const page: Page<T> = await rows.list({ ...options, cursor, sender });
          for (const row of page.data) yield row;
          cursor = page.next_cursor;
        } while (cursor !== null);
      },

      async create<New = T>(json: unknown, options?: CreateOptions): Promise<New> {
        const { idempotencyKey = createId(transport.random) } = options ?? {};
        if (!/^[\w-]{8,64}$/.test(idempotencyKey))
          throw new TypeError("idempotencyKey must be 8 to 64 of A-Z a-z 0-9 _ -");
        return call("POST", place(), { ...options, idempotencyKey, json, repeatable: true });
      },
      // As if it were both; it is `undefined` with `ifNoneMatch` alone.
      get: async (id: string, options?: AnyGetOptions) =>
        call<T & undefined>("GET", one(id) + query({ include: options?.include }), options),
      put: async (id: string, json: unknown, options?: Call) => call<T>("PUT", one(id), { ...options, json }),
      patch: async (id: string, json: unknown, options?: Call) => call<T>("PATCH", one(id), { ...options, json }),
      remove: async (id: string, options?: Call) => call<void>("DELETE", one(id), options),
      act: (action: string) => async (id: string, options?: Call) => call<T>("POST", `${one(id)}/${action}`, options),
    };
    return rows;
  }

  /** Every resource, below `/v1`, below an organisation or below a row of another. */
  function resourceAt(parent: () => string, name: string): ResourceClient<Loose> {
    const { id, fields } = idsOf(name);
    const { act, ...rows } = rowsAt<LooseRow>(() => `${parent()}/${checkedName(name)}`, id);
    return {
      ...rows,
      create: async (draft, options) => rows.create(fieldsOf(draft, fields), options),
      put: async (id, draft, options) => rows.put(id, fieldsOf(draft, fields), options),
      patch: async (id, changes, options) => rows.patch(id, fieldsOf(changes, fields), options),
      restore: act("restore"),
      publish: act("publish"),
      unpublish: act("unpublish"),
    };
  }

  const organizations = rowsAt<Org>(() => "/v1/orgs");
  const org = (id: string) => `/v1/orgs/${checkedId(id)}`;
  const orgs: Orgs = {
    ...organizations,
    create: (name, options) => organizations.create({ name }, options),
    // The token is its key: the server answers the member who used it.
    join: (token, options) => call("POST", "/v1/orgs/join", { ...options, json: { token }, repeatable: true }),
    rename: (id, name, options) => organizations.patch(id, { name }, options),
    members(id) {
      const members = rowsAt<Member>(() => `${org(id)}/members`);
      return { ...members, setRole: (userId, role, options) => members.patch(userId, { role }, options) };
    },
    invitations(id) {
      const invitations = rowsAt<Invitation>(() => `${org(id)}/invitations`);
      return { ...invitations, create: (role, options) => invitations.create({ role }, options) };
    },
  };

  const below = (parent: () => string) => ({ resource: (name: string) => resourceAt(parent, name) });
  const { resource } = below(() => "/v1");
  const airlock: Airlock<LooseDeclaration> = {
    me: (options) => call("GET", "/v1/me", options),
    resource,
    notes: resource("notes"),
    published: async (name: string, id: string, options?: GetOptions) =>
      rowsAt<PublishedRowOf<Loose>>(() => `/v1/public/${checkedName(name)}`, idsOf(name).id).get(id, options),
    orgs,
    org: (id) => below(() => org(id)),
    call: async (name, json, options) =>
      call("POST", `/v1/functions/${checkedName(name)}`, { ...options, json, good: [200, 204] }),
    under: (parent, id) => below(() => `/v1/${checkedName(parent)}/${checkedId(id, idsOf(parent).id)}`),

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
  ids?: Record<string, ResourceIds>;
}

type Loose = LooseDeclaration["resources"][string];
type LooseRow = RowOf<Loose>;
type AnyListOptions = ListOptions<Loose>;
type AnyGetOptions = GetOptions & IncludeOption<Loose>;

interface Call extends CallOptions {
  idempotencyKey?: string;
  ifMatch?: Version;
  ifNoneMatch?: Version | undefined;
  json?: unknown;
  /** The statuses of success of a function, which are not those of the method. */
  good?: number[];
  /** Whether it may be sent once more after `request_replayed`. */
  repeatable?: boolean;
  sender?: Sender | undefined;
}

/** Any other status is a problem, even a 2xx: a captive portal's 200 deletes no row. */
function goodStatuses(method: string, { good, idempotencyKey, ifNoneMatch }: Call): number[] {
  if (good !== undefined) return good;
  if (method === "DELETE") return [204];
  if (method === "PUT") return [200, 201];
  if (method === "GET" && ifNoneMatch !== undefined) return [200, 304];
  return [idempotencyKey === undefined ? 200 : 201];
}

function conditionHeaders({ idempotencyKey, ifMatch, ifNoneMatch }: Call): Record<string, string> {
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
