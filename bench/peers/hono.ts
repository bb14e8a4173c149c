// The peer: list, create and read as a team would write them with Hono, jose, valibot and supabase-js.
// The same checks in the same order as Airlock, the same answers, the same log line.

/// <reference lib="esnext.typedarrays" />

import { DurableObject } from "cloudflare:workers";
import { createClient, type PostgrestError } from "@supabase/supabase-js";
import { type Context, Hono } from "hono";
import { bodyLimit } from "hono/body-limit";
import { createMiddleware } from "hono/factory";
import { createRemoteJWKSet, errors, type JWTVerifyGetKey, jwtVerify } from "jose";
import * as v from "valibot";

interface Env {
  SUPABASE_URL: string;
  SUPABASE_PUBLISHABLE_KEY: string;
  SUPABASE_JWT_ISSUER?: string;
  SUPABASE_JWT_SECRET?: string;
  APP_GUARD: string;
  LIMIT_IP: RateLimit;
  LIMIT_USER: RateLimit;
  /** Absent: no replay protection. */
  REPLAY?: ObjectNamespace;
}

interface Variables {
  requestId: string;
  body: Uint8Array<ArrayBuffer>;
  code: ProblemCode;
  guard: string;
  guardKey: string;
  appId: string;
  token: string;
  userId: string;
  upstreamMs: number;
}

type AppEnv = { Bindings: Env; Variables: Partial<Variables> & Pick<Variables, "requestId"> };
type Ctx = Context<AppEnv>;

// Problems

const INVALID = 'Bearer realm="airlock", error="invalid_token"';
const PROBLEMS = {
  malformed_json: { status: 400, title: "The body is not JSON" },
  app_guard_rejected: { status: 401, title: "The app's signature was not accepted", challenge: "AppGuard" },
  clock_skew: { status: 401, title: "The device's clock is off", retryable: true, challenge: "AppGuard" },
  token_missing: { status: 401, title: "No access token", challenge: 'Bearer realm="airlock"' },
  token_expired: {
    status: 401,
    title: "The access token has expired",
    retryable: true,
    challenge: `${INVALID}, error_description="expired"`,
  },
  token_invalid: { status: 401, title: "The access token was not accepted", challenge: INVALID },
  forbidden: { status: 403, title: "Not allowed for this user" },
  not_found: { status: 404, title: "Not found" },
  request_replayed: { status: 409, title: "This signed request was carried out before" },
  payload_too_large: { status: 413, title: "The body is too large" },
  unsupported_media_type: { status: 415, title: "The body's media type is not supported" },
  validation_failed: { status: 422, title: "The request is not valid" },
  rate_limited: { status: 429, title: "Too many requests", retryable: true, retryAfter: 60 },
  internal: { status: 500, title: "Internal error", retryable: true },
  upstream_invalid: { status: 502, title: "The database gave an unusable answer", retryable: true },
  dependency_unavailable: { status: 503, title: "The service can't decide right now", retryable: true, retryAfter: 5 },
  upstream_unavailable: { status: 503, title: "The database is not available", retryable: true, retryAfter: 5 },
} as const;

type ProblemCode = keyof typeof PROBLEMS;
type ProblemRow = { status: 400; title: string; retryable?: boolean; challenge?: string; retryAfter?: number };

function problem(c: Ctx, code: ProblemCode, detail: string, extra: Record<string, unknown> = {}): Response {
  const { status, title, retryable = false, challenge, retryAfter } = PROBLEMS[code] as ProblemRow;
  c.set("code", code);
  if (challenge) c.header("www-authenticate", challenge);
  if (retryAfter) c.header("retry-after", String(retryAfter));
  const body = {
    type: `urn:airlock:problem:${code}`,
    title,
    status,
    code,
    detail,
    request_id: c.var.requestId,
    retryable,
    ...extra,
  };
  return c.body(JSON.stringify(body), status, { "content-type": "application/problem+json" });
}

// Settings, once per isolate

interface AppKey {
  id: string;
  key: CryptoKey;
}

interface Settings {
  apps: Map<string, AppKey[]>;
  issuer: string | undefined;
  verificationKey: JWTVerifyGetKey;
}

const utf8 = new TextEncoder();
const hmacKey = (bytes: Uint8Array<ArrayBuffer>) =>
  crypto.subtle.importKey("raw", bytes, { name: "HMAC", hash: "SHA-256" }, false, ["sign", "verify"]);

let settings: Promise<Settings> | undefined;

async function readSettings(env: Env): Promise<Settings> {
  const guard: { apps: Record<string, { keys: { id: string; secret: string }[] }> } = JSON.parse(env.APP_GUARD);
  const apps = new Map<string, AppKey[]>();
  for (const [app, { keys }] of Object.entries(guard.apps)) {
    const secret = (text: string) => hmacKey(Uint8Array.fromBase64(text, { alphabet: "base64url" }));
    apps.set(app, await Promise.all(keys.map(async ({ id, secret: text }) => ({ id, key: await secret(text) }))));
  }
  const legacy = env.SUPABASE_JWT_SECRET ? await hmacKey(utf8.encode(env.SUPABASE_JWT_SECRET)) : undefined;
  const published = createRemoteJWKSet(new URL(`${env.SUPABASE_URL}/auth/v1/.well-known/jwks.json`), {
    timeoutDuration: 3000,
  });
  const issuer = env.SUPABASE_JWT_ISSUER ?? `${env.SUPABASE_URL}/auth/v1`;
  return {
    apps,
    issuer: issuer === "-" ? undefined : issuer,
    verificationKey: (header, token) => (header.alg === "HS256" && legacy ? legacy : published(header, token)),
  };
}

// Middleware, in order

/** Request id, headers that every response has, and the log line. */
const trace = createMiddleware<AppEnv>(async (c, next) => {
  const began = Date.now();
  const requestId = crypto.randomUUID();
  c.set("requestId", requestId);
  c.header("x-request-id", requestId);
  c.header("x-content-type-options", "nosniff");
  c.header("cache-control", "no-store");
  await next();
  const { code, guard, guardKey, appId, userId, upstreamMs } = c.var;
  console.log(
    JSON.stringify({
      event: "request",
      request_id: requestId,
      method: c.req.method,
      route: c.req.path === "/v1/notes" ? `${c.req.method} /v1/notes` : "GET /v1/notes/{id}",
      status: c.res.status,
      code: code ?? null,
      guard: guard ?? null,
      guard_key: guardKey ?? null,
      app_id: appId ?? null,
      user_id: userId ?? null,
      duration_ms: Date.now() - began,
      upstream_ms: upstreamMs ?? null,
    }),
  );
});

const limitIp = createMiddleware<AppEnv>(async (c, next) => {
  const { success } = await c.env.LIMIT_IP.limit({ key: c.req.header("cf-connecting-ip") ?? "unknown" });
  return success ? next() : problem(c, "rate_limited", "Too many requests from this address.");
});

const limitBody = bodyLimit({
  maxSize: 256 * 1024,
  onError: (c) => problem(c as Ctx, "payload_too_large", "A request body is at most 256 KiB (262144 bytes)."),
});

const APP_ID = /^[A-Za-z0-9._-]{1,64}$/;
const TIMESTAMP = /^[1-9][0-9]{0,10}$/;
const NONCE = /^[A-Za-z0-9_-]{22,64}$/;
const SIGNATURES = /^v1=[0-9a-f]{64}( v1=[0-9a-f]{64}){0,3}$/;
const SHA256_OF_NOTHING = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
const WINDOW_SECONDS = 300;

async function sha256Hex(bytes: Uint8Array<ArrayBuffer>): Promise<string> {
  if (bytes.length === 0) return SHA256_OF_NOTHING;
  return new Uint8Array(await crypto.subtle.digest("SHA-256", bytes)).toHex();
}

const appGuard = createMiddleware<AppEnv>(async (c, next) => {
  const refused = () =>
    problem(c, "app_guard_rejected", "Sign the request as App Guard v1 describes, with a live key of this app.");
  const body = c.req.raw.body ? new Uint8Array(await c.req.arrayBuffer()) : new Uint8Array();
  const appId = c.req.header("x-app-id") ?? "";
  const timestamp = c.req.header("x-app-timestamp") ?? "";
  const nonce = c.req.header("x-app-nonce") ?? "";
  const signatures = c.req.header("x-app-signature") ?? "";
  c.set("guard", "incomplete");
  if (!APP_ID.test(appId) || !TIMESTAMP.test(timestamp) || !NONCE.test(nonce) || !SIGNATURES.test(signatures))
    return refused();

  const token = /^Bearer (.+)$/i.exec(c.req.header("authorization") ?? "")?.[1];
  const { url } = c.req.raw;
  const [tokenHash, bodyHash] = await Promise.all([token ? sha256Hex(utf8.encode(token)) : "-", sha256Hex(body)]);
  const canonical = utf8.encode(
    [
      "v1",
      appId,
      timestamp,
      nonce,
      c.req.method,
      url.slice(url.indexOf("/", 8)),
      tokenHash,
      bodyHash,
      c.req.header("idempotency-key") ?? "-",
      c.req.header("if-match") ?? "-",
      c.req.header("if-none-match") ?? "-",
    ].join("\n"),
  );
  const { apps } = await (settings ??= readSettings(c.env));
  let matched: string | undefined;
  for (const { id, key } of apps.get(appId) ?? []) {
    for (const signature of signatures.split(" ")) {
      // In constant time, unlike a comparison of texts.
      if (await crypto.subtle.verify("HMAC", key, Uint8Array.fromHex(signature.slice(3)), canonical)) matched = id;
    }
  }
  c.set("guard", "bad_signature");
  if (matched === undefined) return refused();
  const now = Math.floor(Date.now() / 1000);
  if (Math.abs(Number(timestamp) - now) > WINDOW_SECONDS) {
    c.set("guard", "skewed");
    return problem(c, "clock_skew", "The signature is good but its timestamp is more than 300 seconds off.", {
      server_time: now,
    });
  }
  c.set("guard", "verified");
  c.set("guardKey", matched);
  c.set("appId", appId);
  c.set("body", body);
  if (token) c.set("token", token);
  return next();
});

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;

const userToken = createMiddleware<AppEnv>(async (c, next) => {
  const { token } = c.var;
  const invalid = () =>
    problem(c, "token_invalid", "Send a valid Supabase access token of a signed-in user of this project.");
  if (!token) return problem(c, "token_missing", "Send the user's Supabase access token as Authorization: Bearer.");
  const { issuer, verificationKey } = await (settings ??= readSettings(c.env));
  try {
    const { payload } = await jwtVerify(token, verificationKey, {
      algorithms: ["HS256", "ES256", "RS256"],
      audience: "authenticated",
      requiredClaims: ["exp", "sub"],
      clockTolerance: 30,
      ...(issuer && { issuer }),
    });
    if (payload.role !== "authenticated" || !UUID.test(payload.sub ?? "")) return invalid();
    c.set("userId", payload.sub!);
  } catch (error) {
    if (error instanceof errors.JWTExpired)
      return problem(c, "token_expired", "Refresh the session and send the new token.");
    if (error instanceof errors.JWKSTimeout)
      return problem(c, "dependency_unavailable", "The key set can't be fetched.");
    return invalid();
  }
  return next();
});

const limitUser = createMiddleware<AppEnv>(async (c, next) => {
  const { success } = await c.env.LIMIT_USER.limit({ key: c.var.userId! });
  return success ? next() : problem(c, "rate_limited", "Too many requests of this user.");
});

/** A nonce is good for one write. */
async function claimNonce(c: Ctx): Promise<boolean> {
  if (!c.env.REPLAY) return true;
  const nonce = c.req.header("x-app-nonce")!;
  const keepUntil = Number(c.req.header("x-app-timestamp")) + 360;
  const shard = c.env.REPLAY.getByName(`shard-${nonce.charCodeAt(0) % 32}`);
  const { status } = await shard.fetch(`https://replay/${keepUntil}/${c.var.appId}:${nonce}`, { method: "POST" });
  return status === 200;
}

// Validation

const scalars = (max: number) => (text: string) => text.length <= max || [...text].length <= max;
const plain = v.pipe(
  v.string("type"),
  v.check((text) => !text.includes("\0"), "characters"),
);

const NoteDraft = v.strictObject({
  title: v.pipe(
    plain,
    v.transform((title) => title.replace(/^\p{White_Space}+|\p{White_Space}+$/gu, "")),
    v.minLength(1, "length"),
    v.check(scalars(200), "length"),
  ),
  body: v.optional(v.pipe(plain, v.check(scalars(20_000), "length")), ""),
});

/** The last note's place in the order of the list. */
const Cursor = v.pipe(
  v.string(),
  v.transform((cursor) => cursor.split("_")),
  v.strictTuple([v.pipe(v.string(), v.isoTimestamp()), v.pipe(v.string(), v.regex(UUID))]),
);

const ListQuery = v.strictObject({
  limit: v.optional(v.pipe(v.string(), v.regex(/^[1-9][0-9]{0,2}$/), v.transform(Number), v.maxValue(100)), "20"),
  cursor: v.optional(Cursor),
  state: v.optional(v.picklist(["active", "deleted"]), "active"),
});

function invalid(c: Ctx, place: "pointer" | "parameter", issues: readonly v.BaseIssue<unknown>[]): Response {
  const flaws = issues.map(({ path, type, message, expected }) => {
    const name = path?.map(({ key }) => String(key)).join("/") ?? "";
    const shape = expected === "never" ? "unknown" : path ? "required" : "type";
    const code = type === "strict_object" ? shape : place === "pointer" ? message : "value";
    return { [place]: place === "pointer" && name ? `/${name}` : name, code, message };
  });
  return problem(c, "validation_failed", "See errors: each names the place and what is wrong there.", {
    errors: flaws,
  });
}

// Notes

interface Note {
  id: string;
  title: string;
  body: string;
  version: number;
  created_at: string;
  updated_at: string;
  deleted_at: string | null;
}

const COLUMNS = "id,title,body,version,created_at,updated_at,deleted_at";
const UTC = /^(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d:\d\d)(?:\.(\d{1,6}))?(?:\+00(?::00)?|Z)$/;

/** RFC 3339, UTC, `Z`, six fraction digits. */
function wireTime(text: string): string {
  const parts = UTC.exec(text);
  if (!parts) throw new Error("not a time in UTC");
  return `${parts[1]}T${parts[2]}.${(parts[3] ?? "").padEnd(6, "0")}Z`;
}

const wireForm = (row: Note): Note => ({
  id: row.id,
  title: row.title,
  body: row.body,
  version: row.version,
  created_at: wireTime(row.created_at),
  updated_at: wireTime(row.updated_at),
  deleted_at: row.deleted_at && wireTime(row.deleted_at),
});

/** Supabase as this user. */
function database(c: Ctx) {
  const { token } = c.var;
  return createClient(c.env.SUPABASE_URL, c.env.SUPABASE_PUBLISHABLE_KEY, {
    auth: { persistSession: false, autoRefreshToken: false, detectSessionInUrl: false },
    global: { headers: { authorization: `Bearer ${token}` } },
  });
}

/** The result of a query, whose time is on the log line. */
async function timed<T>(c: Ctx, query: PromiseLike<T>): Promise<T> {
  const began = Date.now();
  const result = await query;
  c.set("upstreamMs", Date.now() - began);
  return result;
}

function upstreamProblem(c: Ctx, { code }: PostgrestError, status: number): Response {
  if (code === "42501") return problem(c, "forbidden", "The database's policies do not allow this for this user.");
  if (status === 401)
    return problem(c, "token_invalid", "Send a valid Supabase access token of a signed-in user of this project.");
  if (status === 0 || status === 429 || status >= 503)
    return problem(c, "upstream_unavailable", "The database can't serve this now.");
  return problem(c, "upstream_invalid", "The database's answer made no sense.");
}

const app = new Hono<AppEnv>();
app.use(trace);
app.use("/v1/*", limitIp, limitBody, appGuard, userToken, limitUser);

app.get("/v1/notes", async (c) => {
  const queries = Object.entries(c.req.queries());
  const query = v.safeParse(
    ListQuery,
    Object.fromEntries(queries.map(([name, values]) => [name, values.length === 1 ? values[0] : values])),
  );
  if (!query.success) return invalid(c, "parameter", query.issues);
  const { limit, cursor, state } = query.output;

  let select = database(c).from("notes").select(COLUMNS).eq("user_id", c.var.userId!);
  select = state === "active" ? select.is("deleted_at", null) : select.not("deleted_at", "is", null);
  if (cursor) {
    const [time, id] = cursor;
    select = select.lte("created_at", time).or(`created_at.lt.${time},id.lt.${id}`);
  }
  const ordered = select.order("created_at", { ascending: false }).order("id", { ascending: false });
  const { data, error, status } = await timed(c, ordered.limit(limit + 1).overrideTypes<Note[], { merge: false }>());
  if (error) return upstreamProblem(c, error, status);
  const notes = data.slice(0, limit).map(wireForm);
  const last = notes.at(-1);
  return c.json({ data: notes, next_cursor: last && data.length > limit ? `${last.created_at}_${last.id}` : null });
});

app.post("/v1/notes", async (c) => {
  if (!/^application\/json(\s*;|$)/i.test(c.req.header("content-type") ?? "") || c.req.header("content-encoding")) {
    return problem(c, "unsupported_media_type", "Send application/json without a Content-Encoding.");
  }
  let json: unknown;
  try {
    json = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(c.var.body));
  } catch {
    return problem(c, "malformed_json", "The body must be one JSON text in UTF-8.");
  }
  const draft = v.safeParse(NoteDraft, json);
  if (!draft.success) return invalid(c, "pointer", draft.issues);
  if (!(await claimNonce(c))) return problem(c, "request_replayed", "Sign the request anew, with a new nonce.");

  const insert = database(c).from("notes").insert(draft.output).select(COLUMNS).single();
  const { data, error, status } = await timed(c, insert.overrideTypes<Note, { merge: false }>());
  if (error) return upstreamProblem(c, error, status);
  return c.json(wireForm(data), 201, { etag: `"${data.version}"`, location: `/v1/notes/${data.id}` });
});

app.get("/v1/notes/:id", async (c) => {
  const id = c.req.param("id");
  if (!UUID.test(id)) return problem(c, "not_found", "There is nothing at this path.");
  const select = database(c)
    .from("notes")
    .select(COLUMNS)
    .eq("user_id", c.var.userId!)
    .is("deleted_at", null)
    .eq("id", id)
    .maybeSingle();
  const { data, error, status } = await timed(c, select.overrideTypes<Note, { merge: false }>());
  if (error) return upstreamProblem(c, error, status);
  if (!data) return problem(c, "not_found", "This user has no such note.");
  const etag = `"${data.version}"`;
  const known = c.req
    .header("if-none-match")
    ?.split(",")
    .map((tag) => tag.trim().replace(/^W\//, ""));
  if (known?.includes(etag) || known?.includes("*")) return c.body(null, 304, { etag });
  return c.json(wireForm(data), 200, { etag });
});

app.notFound((c) => problem(c, "not_found", "There is nothing at this path."));
app.onError((error, c) => {
  console.error(error);
  return problem(c, "internal", "Something is wrong on our side; it has been logged.");
});

export default app;

/** One shard of the nonce store. */
export class Replay extends DurableObject {
  #sql: SqlStorage;
  #sweeping = false;

  constructor(state: ObjectState, env: unknown) {
    super(state, env);
    this.#sql = state.storage.sql;
    this.#sql.exec(
      "CREATE TABLE IF NOT EXISTS claims (key TEXT PRIMARY KEY, keep_until INTEGER NOT NULL) WITHOUT ROWID",
    );
  }

  async fetch(request: Request): Promise<Response> {
    const [, keepUntil = "", key = ""] = new URL(request.url).pathname.split("/");
    const claimed = this.#sql
      .exec(
        "INSERT INTO claims (key, keep_until) VALUES (?, ?) ON CONFLICT DO NOTHING RETURNING key",
        key,
        Number(keepUntil),
      )
      .toArray();
    if (!this.#sweeping) {
      this.#sweeping = true;
      if ((await this.ctx.storage.getAlarm()) === null) await this.ctx.storage.setAlarm(Number(keepUntil) * 1000);
    }
    return new Response(null, { status: claimed.length > 0 ? 200 : 409 });
  }

  async alarm(): Promise<void> {
    this.#sql.exec("DELETE FROM claims WHERE keep_until < ?", Math.floor(Date.now() / 1000));
    await this.ctx.storage.setAlarm(Date.now() + 60_000);
  }
}
