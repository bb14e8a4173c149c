// What PostgREST does and lite does differently: who a request's caller is, which of its parts SQL
// can see, and how a refusal by Postgres is answered.

import { AsyncLocalStorage } from "node:async_hooks";
import { createHmac, timingSafeEqual } from "node:crypto";
import { inspect } from "node:util";

import type { PgliteConnection } from "@supabase/lite/pglite";

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
  failure?: Failure;
  /** The last JSON value that Postgres answered, in its own bytes. */
  json?: string;
}

/** The keys of a project. */
export interface Keys {
  publishableKey: string;
  secretKey?: string | undefined;
}

const ROLES = ["anon", "authenticated", "service_role"];
const LEEWAY_SECONDS = 30;

const calls = new AsyncLocalStorage<Call>();

/** The claims of the request that is being answered, for lite's key resolver. */
export function caller(): Claims {
  return calls.getStore()?.claims ?? { role: "anon" };
}

/** Which of the project's keys this is, if any. */
export function typeOfKey(key: string | null, { publishableKey, secretKey }: Keys): "publishable" | "secret" | undefined {
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
    // What hosted Supabase makes of a key that comes alone.
    claims: { role: typeOfKey(apikey, keys) === "secret" ? "service_role" : "anon" },
  };
  const token = /^Bearer +(.+)$/i.exec(request.headers.get("authorization") ?? "")?.[1];
  if (token !== undefined && token !== apikey) {
    const claims = verify(token, jwtSecret);
    if (claims instanceof Response) return claims;
    call.claims = claims;
  }
  // lite's own check makes a malformed token anon and has no leeway. It sees none, and takes the
  // claims from its key resolver.
  request.headers.delete("authorization");

  const response = await calls.run(call, () => fetch(request));
  if (response.status === 200 && call.json !== undefined && call.path.startsWith("/rpc/")) return inOwnBytes(response, call.json);
  if (response.status !== 500 || !call.failure) return response;
  const { code, message, detail, hint } = call.failure;
  return refusal(statusOf(code), code, message, detail, hint);
}

/** PostgREST hands a function's JSON on as it is; lite parses it and writes it anew. */
async function inOwnBytes(response: Response, json: string): Promise<Response> {
  const written = await response.text();
  const headers = new Headers(response.headers);
  headers.delete("content-length");
  return new Response(written === JSON.stringify(JSON.parse(json)) ? json : written, { status: response.status, headers });
}

/** lite gives every error that it does not expect a 500 without its SQLSTATE, a CHECK's too. */
function statusOf(sqlstate: string): number {
  // PTxyz is status xyz, as PostgREST has it.
  const status = /^PT(\d{3})$/.exec(sqlstate)?.[1];
  if (status) return Number(status);
  if (/^2[23]|^P0001$/.test(sqlstate)) return 400;
  return sqlstate.startsWith("53") ? 503 : 500;
}

function verify(token: string, secret: string): Claims | Response {
  const parts = token.split(".");
  if (parts.length !== 3) {
    return refusal(401, "PGRST301", `Expected 3 parts in JWT; got ${parts.length}`);
  }
  const [header = "", payload = "", signature = ""] = parts;
  const expected = createHmac("sha256", secret).update(`${header}.${payload}`).digest();
  const given = Buffer.from(signature, "base64url");
  const genuine = given.length === expected.length && timingSafeEqual(given, expected);
  const claims = parse(payload);
  if (!genuine || !claims || parse(header)?.["alg"] !== "HS256") {
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
  // PostgREST can become these roles only; PGlite's one user is a superuser, and could become any.
  if (typeof role !== "string" || !ROLES.includes(role)) {
    return refusal(401, "22023", `role "${String(role)}" does not exist`);
  }
  return { ...claims, role };
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

/** PostgREST calls this function before each request, as the request's role; lite calls none. */
async function preRequest({ driver: postgres }: PgliteConnection): Promise<void> {
  const { rows } = await postgres.query<{ name: string }>(
    `select substring(setting from '=(.*)') as name from pg_db_role_setting, unnest(setconfig) as setting
     where setrole = 'authenticator'::regrole and setting like 'pgrst.db_pre_request=%'`,
  );
  for (const { name } of rows) await postgres.exec(`select ${name}()`);
}

/** Adds PostgREST's part inside the database to lite's connection. */
export function answerAsPostgrest(connection: PgliteConnection): void {
  // lite sets request.headers, .method and .path for functions only, PostgREST for tables as well.
  const applyClaims = connection["applyJwtSessionContext"].bind(connection);
  connection["applyJwtSessionContext"] = async (transaction: unknown, ...rest: unknown[]) => {
    await applyClaims(transaction, ...rest);
    const call = calls.getStore();
    if (!call) return;
    await connection["applyRpcRequestGucs"](transaction, call);
    await preRequest(connection);
  };

  connection.driver.parsers[114] = (text) => {
    const call = calls.getStore();
    if (call) call.json = text;
    return JSON.parse(text);
  };

  // lite logs what this returns with a stack trace; one line without row contents is enough.
  connection.normalizeDbError = (error: unknown) => {
    const { code, message, detail, hint } = (error ?? {}) as Partial<Failure>;
    const call = calls.getStore();
    if (!call || typeof code !== "string") return error;
    call.failure = { code, message: message ?? "", detail, hint };
    const line = `supabase: ${call.method} ${call.path}: SQLSTATE ${code}`;
    return { ...call.failure, [inspect.custom]: () => line };
  };
}
