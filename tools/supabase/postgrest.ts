// Replaces lite's behaviour where PostgREST differs: the caller of a request, the accepted bodies, the parts of a
// request that SQL can see, and the answers to refusals by Postgres.

import { AsyncLocalStorage } from "node:async_hooks";
import { createHmac, timingSafeEqual } from "node:crypto";
import { inspect } from "node:util";

import type { Results } from "@electric-sql/pglite";
import type { PgliteConnection } from "@supabase/lite/pglite";

import { literal } from "../resource/sql.ts";

type Claims = Record<string, unknown>;

interface Failure {
  code: string;
  message: string;
  detail?: string | undefined;
  hint?: string | undefined;
}

/** One REST request on its way through lite. */
interface Call {
  method: string;
  path: string;
  requestHeaders: Record<string, string>;
  claims: Claims;
  /** Milliseconds that each statement may take; 0 and undefined: no limit. */
  timeout?: number | undefined;
  failure?: Failure;
  /** The last JSON value that Postgres answered, in its own bytes. */
  json?: string;
}

/** The keys of a project. */
export interface Keys {
  publishableKey: string;
  secretKey?: string | undefined;
}

const LEEWAY_SECONDS = 30;
const NUL: Failure = {
  code: "22P05",
  message: "unsupported Unicode escape sequence",
  detail: "\\u0000 cannot be converted to text.",
};

const calls = new AsyncLocalStorage<Call>();

/** The claims of the request that is being answered, for lite's key resolver. */
export function caller(): Claims {
  return calls.getStore()?.claims ?? { role: "anon" };
}

/** Which of the project's keys this is, if any. */
export function typeOfKey(
  key: string | null,
  { publishableKey, secretKey }: Keys,
): "publishable" | "secret" | undefined {
  if (key === publishableKey) return "publishable";
  return secretKey && key === secretKey ? "secret" : undefined;
}

export async function rest(
  request: Request,
  { jwtSecret, ...keys }: Keys & { jwtSecret: string },
  fetch: (request: Request) => Promise<Response>,
): Promise<Response> {
  const apikey = request.headers.get("apikey");
  const call: Call = {
    method: request.method,
    path: new URL(request.url).pathname.replace("/rest/v1", ""),
    requestHeaders: Object.fromEntries(request.headers),
    // The token that hosted Supabase makes of a key without a token.
    claims: { role: typeOfKey(apikey, keys) === "secret" ? "service_role" : "anon" },
  };
  const token = /^Bearer(?:\s+(.*))?$/i
    .exec(request.headers.get("authorization") ?? "")
    ?.slice(1)
    .join("");
  if (token !== undefined && token !== apikey) {
    const claims = verify(token, jwtSecret);
    if (claims instanceof Response) return claims;
    call.claims = claims;
  }
  // lite's own check makes a malformed token anon and has no leeway. It sees none, and takes the
  // claims from its key resolver.
  request.headers.delete("authorization");

  const read = await readable(request, call);
  if (read instanceof Response) return read;
  const response = await calls.run(call, () => fetch(read));
  if (response.status === 200 && call.json !== undefined && call.path.startsWith("/rpc/"))
    return inOwnBytes(response, call.json);
  if (!call.failure || (response.status !== 500 && !/^2[123]/.test(call.failure.code))) return response;
  const { code, message, detail, hint } = call.failure;
  return refusal(statusOf(call.failure), code, message, detail, hint);
}

/**
 * The request as lite understands it, or PostgREST's refusal of its body. lite reads lone surrogates, invalid UTF-8 and
 * a byte order mark.
 */
async function readable(request: Request, { method, path }: Call): Promise<Request | Response> {
  const json = /^application\/json\b/i.test(request.headers.get("content-type") ?? "application/json");
  if (!json || !["POST", "PATCH", "PUT"].includes(method)) return request;
  const bytes = await request.arrayBuffer();
  const again = (body: BodyInit) => new Request(request.url, { method, headers: request.headers, body });
  if (bytes.byteLength === 0)
    return path.startsWith("/rpc/") ? again("{}") : refusal(400, "PGRST102", "Empty or invalid json");
  let rows: unknown;
  try {
    const text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
    rows = JSON.parse(text, (name: string, value: unknown) => {
      if (!name.isWellFormed() || (typeof value === "string" && !value.isWellFormed()))
        throw new SyntaxError("a lone surrogate");
      return value;
    });
  } catch {
    return refusal(400, "PGRST102", "Empty or invalid json");
  }
  // A value that is not a row counts as no rows.
  if (path.startsWith("/rpc/")) return again(bytes);
  if (typeof rows !== "object" || rows === null) rows = [];
  if (method === "PATCH" && Array.isArray(rows) && rows.every((row) => isEmpty(row))) return again("{}");
  return again(Array.isArray(rows) && rows.length === 0 ? "[]" : bytes);
}

function isEmpty(row: unknown): boolean {
  return typeof row === "object" && row !== null && !Array.isArray(row) && Object.keys(row).length === 0;
}

/** PostgREST hands a function's JSON on as it is; lite parses and serializes it. */
async function inOwnBytes(response: Response, json: string): Promise<Response> {
  const written = await response.text();
  const headers = new Headers(response.headers);
  headers.delete("content-length");
  return new Response(written === JSON.stringify(JSON.parse(json)) ? json : written, {
    status: response.status,
    headers,
  });
}

/** lite gives every error that it does not expect a 500 without its SQLSTATE, a CHECK's too. */
function statusOf({ code, message }: Failure): number {
  // PTxyz is status xyz, as PostgREST has it.
  const status = /^PT(\d{3})$/.exec(code)?.[1];
  if (status) return Number(status);
  if (code === "23503" || code === "23505") return 409;
  if (code === "21000") return message.endsWith("requires a WHERE clause") ? 400 : 500;
  if (code === "22023" && /^role.*does not exist$/s.test(message)) return 401;
  if (/^2[23]|^P0001$/.test(code)) return 400;
  return code.startsWith("53") ? 503 : 500;
}

function verify(token: string, secret: string): Claims | Response {
  if (token === "") return refusal(401, "PGRST301", "Empty JWT is sent in Authorization header");
  const parts = token.split(".");
  if (parts.length !== 3) {
    return refusal(401, "PGRST301", `Expected 3 parts in JWT; got ${parts.length}`);
  }
  const [header = "", payload = "", signature = ""] = parts;
  const expected = createHmac("sha256", secret).update(`${header}.${payload}`).digest();
  const given = Buffer.from(signature, "base64url");
  const genuine = given.length === expected.length && timingSafeEqual(given, expected);
  const claims = parse(payload);
  if (!genuine || !claims || parse(header)?.alg !== "HS256") {
    return refusal(401, "PGRST301", "No suitable key or wrong key type");
  }

  const now = Date.now() / 1000;
  const { exp, nbf, iat, role = "anon" } = claims;
  if (typeof exp === "number" && exp < now - LEEWAY_SECONDS) {
    return refusal(401, "PGRST303", "JWT expired");
  }
  if (typeof nbf === "number" && nbf > now + LEEWAY_SECONDS) {
    return refusal(401, "PGRST303", "JWT not yet valid");
  }
  if (typeof iat === "number" && iat > now + LEEWAY_SECONDS) {
    return refusal(401, "PGRST303", "JWT issued at future");
  }
  // lite would make it anon.
  if (role === "") return refusal(401, "22023", 'role "" does not exist');
  return { ...claims, role: typeof role === "string" ? role : JSON.stringify(role) };
}

function parse(part: string): Claims | undefined {
  try {
    const value: unknown = JSON.parse(Buffer.from(part, "base64url").toString());
    return typeof value === "object" && value !== null ? (value as Claims) : undefined;
  } catch {
    return undefined;
  }
}

function refusal(status: number, code: string, message: string, detail?: string, hint?: string) {
  return Response.json(
    { code, details: detail ?? null, hint: hint ?? null, message },
    { status, headers: status === 401 ? { "www-authenticate": "Bearer" } : {} },
  );
}

/** A setting of a role: `alter role ... set name = value`. */
interface Setting {
  name: string;
  value: string;
  milliseconds: number | null;
}

// PostgREST's own settings are those of its role, authenticator. A caller's role overrides them.
const SETTINGS = `
  select name, value, case
      when name <> 'statement_timeout' then null
      when value ~ '^\\d+$' then value::float8
      else extract(epoch from value::interval)::float8 * 1000
    end as milliseconds
  from pg_db_role_setting, unnest(setconfig) as setting,
    lateral (select split_part(setting, '=', 1) as name, substr(setting, strpos(setting, '=') + 1) as value) as parts
  where setrole in ('authenticator'::regrole, to_regrole(quote_ident($1)))
  order by setrole <> 'authenticator'::regrole`;

/** Prepares that query, and returns the names of the settings that a role may change. */
async function prepareSettings(postgres: PgliteConnection["driver"]): Promise<Set<string>> {
  await postgres.exec(`prepare airlock_settings (text) as ${SETTINGS}`);
  const [result] = await postgres.exec("select name from pg_settings where context = 'user'");
  return new Set(result?.rows.map(({ name }) => name));
}

/** Adds PostgREST's part inside the database to lite's connection. */
export function answerAsPostgrest(connection: PgliteConnection): void {
  const postgres = connection.driver;
  let changeable: Set<string> | undefined;

  // biome-ignore lint/complexity/useLiteralKeys: it is private.
  const applyClaims = connection["applyJwtSessionContext"].bind(connection);
  // biome-ignore lint/complexity/useLiteralKeys: it is private.
  connection["applyJwtSessionContext"] = async (transaction: unknown, ...rest: unknown[]) => {
    const call = calls.getStore();
    if (!call) return applyClaims(transaction, ...rest);
    changeable ??= await prepareSettings(postgres);
    const [settings] = await postgres.exec(`execute airlock_settings (${literal(String(call.claims.role))})`);
    const rows = settings?.rows as Setting[];
    // One statement for all: each one takes PGlite half a millisecond.
    await set([
      // PGlite's one user is a superuser, who could become any role.
      ["session_authorization", "authenticator"],
      ...rows.flatMap(({ name, value }): [string, string][] => (changeable?.has(name) ? [[name, value]] : [])),
      ["role", String(call.claims.role)],
      ["request.jwt.claims", JSON.stringify(call.claims)],
      // lite sets these for functions only, PostgREST for tables as well.
      ["request.method", call.method],
      ["request.path", call.path],
      ["request.headers", JSON.stringify(call.requestHeaders)],
      ["response.status", ""],
      ["response.headers", ""],
    ]);
    const preRequest = rows.find(({ name }) => name === "pgrst.db_pre_request");
    if (preRequest) await postgres.exec(`select ${preRequest.value}()`);
    call.timeout = rows.findLast(({ name }) => name === "statement_timeout")?.milliseconds ?? undefined;
  };
  // biome-ignore lint/complexity/useLiteralKeys: it is private.
  connection["applyRpcRequestGucs"] = async () => {};

  /** Settings of the transaction, which take effect in this order. */
  async function set(settings: [name: string, value: string][]): Promise<void> {
    const each = settings.map(([name, value]) => `set_config(${literal(name)}, ${literal(value)}, true)`);
    await postgres.exec(`select ${each.join(", ")}`);
  }

  const query: typeof postgres.query = postgres.query.bind(postgres);
  postgres.query = async <Row>(text: string, ...rest: [parameters?: unknown[], options?: object]) => {
    // In one message of the protocol, and not in six.
    if (/^(begin|commit|rollback|set local [\w ]+ = on)$/i.test(text)) {
      const [result] = await postgres.exec(text);
      return result as Results<Row>;
    }
    const timeout = calls.getStore()?.timeout;
    if (timeout === undefined) return query<Row>(text, ...rest);
    const began = performance.now();
    const result = await query<Row>(asPostgrest(text), ...rest);
    // Nothing can interrupt PGlite, so the statement ends first. Then it is rolled back.
    if (timeout > 0 && performance.now() - began > timeout)
      throw failure("57014", "canceling statement due to statement timeout");
    return result;
  };

  postgres.parsers[114] = (text) => {
    const call = calls.getStore();
    if (call) call.json = text;
    return JSON.parse(text);
  };

  // lite logs the returned error with a stack trace; one line without row contents is enough.
  connection.normalizeDbError = (error: unknown) => {
    const { code, message, detail, hint } = (error ?? {}) as Partial<Failure>;
    const call = calls.getStore();
    if (!call || typeof code !== "string") return error;
    // PostgREST hands the body on as JSON, and lite each text by itself.
    const nul = code === "22021" && message?.endsWith("0x00");
    call.failure = nul ? NUL : { code, message: message ?? "", detail, hint };
    const line = `supabase: ${call.method} ${call.path}: SQLSTATE ${code}`;
    return { ...call.failure, [inspect.custom]: () => line };
  };
}

/** A statement of lite's as PostgREST would write it. Fails as pg-safeupdate does, which hosted Supabase loads. */
function asPostgrest(text: string): string {
  const verb = /^(update|delete)\b(?!.* where )/s.exec(text.replaceAll(/"[^"]*"/g, '""'))?.[1];
  if (verb) throw failure("21000", `${verb.toUpperCase()} requires a WHERE clause`);
  // Rows of defaults.
  return text.replace(
    /^(insert into "[^"]*"(?:\."[^"]*")?) \(\) values (\(\)(?:, \(\))*)/,
    (_, into: string, rows: string) => {
      return `${into} select from generate_series(1, ${rows.split(",").length})`;
    },
  );
}

function failure(code: string, message: string): Error & Failure {
  return Object.assign(new Error(message), { code });
}
