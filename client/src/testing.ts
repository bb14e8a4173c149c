/**
 * An Airlock in memory, for the tests of an app: rows of any resource, versions, keys, problems, and a network that fails.
 *
 * It knows no declaration: it checks no fields, searches nothing, and looks at no signature. Test those against
 * `npm run dev`.
 */

import type { ProblemCode } from "./error.ts";
import type { AirlockOptions } from "./transport.ts";

/** A row as the server answers it. */
export interface StoredRow {
  id: string;
  version: number;
  created_at: string;
  updated_at: string;
  deleted_at: string | null;
  [field: string]: unknown;
}

export interface StubServer {
  /** Options of a client for this server, of a user who is signed in. `random` is good for tests alone. */
  options: AirlockOptions;
  /**
   * As the option `fetch`, in place of the global one, or in a handler of msw:
   * `http.all("https://api.example.com/*", ({ request }) => server.fetch(request))`.
   */
  fetch(input: string | URL | Request, init?: RequestInit): Promise<Response>;
  /** The rows of a place, such as "notes" or `orgs/${id}/notes`, oldest first. Change them as another device would. */
  rows(place: string): StoredRow[];
  /** Answers the next request with this problem. Several are answered in order. */
  failNext(status: number, code: ProblemCode, members?: Record<string, unknown>): void;
  /** Without a network, fetch rejects as the platform's does. */
  online: boolean;
}

export function createStubServer(): StubServer {
  const places = new Map<string, StoredRow[]>();
  const keys = new Map<string, { draft: string; row: StoredRow }>();
  const failures: Response[] = [];
  let made = 0;

  const server: StubServer = {
    options: {
      url: "https://api.example.com",
      appId: "test",
      secret: "A".repeat(43),
      getToken: async () => "a.b.c",
      fetch: (url, init) => server.fetch(url, init),
      random: (bytes) => new Uint8Array(bytes).map(() => Math.floor(Math.random() * 256)),
    },
    online: true,
    async fetch(input, init) {
      const request = new Request(input, init);
      const body = await request.text();
      if (!server.online) throw new TypeError("Network request failed");
      return failures.shift() ?? answer(request, body);
    },
    rows(place) {
      const rows = places.get(place) ?? [];
      places.set(place, rows);
      return rows;
    },
    failNext: (status, code, members) => void failures.push(problem(status, code, members)),
  };

  function answer({ method, url, headers }: Request, body: string): Response {
    const { pathname, searchParams } = new URL(url);
    const [, place, id, action] =
      /^\/v1\/((?:orgs\/[0-9a-f-]{36}\/)?[a-z][a-z0-9_]*)(?:\/([0-9a-f-]{36})(?:\/(restore|publish|unpublish))?)?$/.exec(
        pathname,
      ) ?? [];
    if (place === undefined) return problem(404, "not_found");
    if (!headers.has("Authorization")) return problem(401, "token_missing");
    const rows = server.rows(place);
    if (id === undefined)
      return method === "GET" ? list(rows, searchParams) : create(place, body, headers.get("Idempotency-Key"));

    const row = rows.find((each) => each.id === id);
    const ifMatch = headers.get("If-Match");
    if (method === "PUT" && ifMatch === null) {
      if (row === undefined) return insert(place, id, JSON.parse(body));
      if (row.deleted_at !== null) return problem(409, "conflict");
      if (headers.has("If-None-Match")) return problem(412, "version_mismatch", { current: row });
    }
    const deletedToo = action === "restore" || method === "DELETE";
    if (row === undefined || (row.deleted_at !== null && !deletedToo)) return problem(404, "not_found");
    if (method === "GET")
      return headers.get("If-None-Match") === tag(row) ? new Response(null, { status: 304 }) : one(row);
    const changes =
      method === "DELETE"
        ? { deleted_at: now() }
        : action === "restore"
          ? { deleted_at: null }
          : action
            ? {}
            : JSON.parse(body);
    const done = deletedToo && (row.deleted_at === null) === (changes.deleted_at === null);
    if (!done && ifMatch !== null && ifMatch !== "*" && ifMatch !== tag(row))
      return problem(412, "version_mismatch", { current: row });
    if (!done) Object.assign(row, changes, { version: row.version + 1, updated_at: now() });
    return method === "DELETE" ? new Response(null, { status: 204 }) : one(row);
  }

  function list(rows: StoredRow[], parameters: URLSearchParams): Response {
    const deleted = parameters.get("state") === "deleted";
    const [limit, from] = [Number(parameters.get("limit") ?? 20), Number(parameters.get("cursor") ?? 0)];
    const all = rows.filter((row) => (row.deleted_at !== null) === deleted).reverse();
    return json(200, {
      data: all.slice(from, from + limit),
      next_cursor: from + limit < all.length ? String(from + limit) : null,
    });
  }

  function create(place: string, draft: string, key: string | null): Response {
    const known = key === null ? undefined : keys.get(key);
    if (known) {
      if (known.draft !== place + draft) return problem(422, "idempotency_key_reused");
      return known.row.deleted_at === null ? one(known.row, 201) : problem(409, "conflict");
    }
    const response = insert(place, `00000000-0000-4000-8000-${String(++made).padStart(12, "0")}`, JSON.parse(draft));
    if (key !== null) keys.set(key, { draft: place + draft, row: server.rows(place).at(-1)! });
    return response;
  }

  function insert(place: string, id: string, fields: object): Response {
    const row = { id, ...fields, version: 1, created_at: now(), updated_at: now(), deleted_at: null };
    server.rows(place).push(row);
    return one(row, 201);
  }

  return server;
}

const now = () => new Date().toISOString().replace("Z", "000Z");
const tag = ({ version }: StoredRow) => `"${version}"`;

function one(row: StoredRow, status = 200): Response {
  return json(status, row, { ETag: tag(row) });
}

function json(status: number, body: unknown, headers: Record<string, string> = {}): Response {
  return new Response(JSON.stringify(body), { status, headers: { "Content-Type": "application/json", ...headers } });
}

function problem(status: number, code: ProblemCode, members: Record<string, unknown> = {}): Response {
  const retryable =
    status >= 500 || status === 429 || /^(clock_skew|token_expired|attestation_(missing|expired))$/.test(code);
  const type = `urn:airlock:problem:${code}`;
  const body = { type, title: code, status, code, detail: code, request_id: "stub", retryable, ...members };
  return json(status, body, { "Content-Type": "application/problem+json" });
}
