// A stack for end-to-end tests: the built Worker on workerd, and the embedded Supabase with real Postgres. The real
// supabase-js signs two users in, and the app's own client signs requests.

import { randomBytes } from "node:crypto";
import { rm } from "node:fs/promises";
import { after } from "node:test";

import { createClient } from "@supabase/supabase-js";

import { type Airlock, type Answer, createAirlock, type RequestOptions } from "../../client/src/index.ts";
import type { Declaration } from "../../client/test/generated.ts";
import type { Vars } from "../../tools/stack/vars.ts";
import { startWorker, type Worker, type WorkerOptions } from "../../tools/stack/worker.ts";
import { preparedFolder } from "../../tools/supabase/prepared.ts";
import { baseline, notesDeclaration, notesMigration } from "../support/notes.ts";
import { type Supabase, startSupabase } from "../support/supabase.ts";

export const APP = { appId: "rn-test", secret: randomBytes(32).toString("base64url") };
/** For HS256 tokens that a test makes itself. */
export const JWT_SECRET = randomBytes(32).toString("base64url");
export const PUBLISHABLE_KEY = `sb_publishable_${randomBytes(16).toString("base64url")}`;
export const SECRET_KEY = `sb_secret_${randomBytes(24).toString("base64url")}`;
const PASSWORD = "airlock-dev-password";

export interface User {
  token: string;
  id: string;
}

/** A Worker and its log lines. */
export type LoggedWorker = Worker & { logs: string[] };

export interface Stack {
  url: string;
  supabase: Supabase;
  worker: LoggedWorker;
  alice: User;
  bob: User;
  /** The REST API itself, without the Worker, with this user's token; as anon without one. */
  direct(user: User | null, path: string, init?: RequestInit): Promise<Response>;
  /** Runs a query as the database's owner and returns its rows. */
  sql: Supabase["sql"];
  stop(): Promise<void>;
}

/** The variables of a Worker in front of `supabaseUrl`. Its deadlines are far away, so that slow machines pass. */
export function workerVars(supabaseUrl: string, overrides: Vars = {}): Vars {
  return {
    SUPABASE_URL: supabaseUrl,
    SUPABASE_PUBLISHABLE_KEY: PUBLISHABLE_KEY,
    SUPABASE_SECRET_KEY: SECRET_KEY,
    UPSTREAM_TIMEOUT_MS: "60000",
    JWKS_TIMEOUT_MS: "60000",
    STORE_TIMEOUT_MS: "60000",
    SUPABASE_JWT_ISSUER: "-",
    SUPABASE_JWT_SECRET: JWT_SECRET,
    APP_GUARD: appGuard({ [APP.appId]: { mode: "enforce", keys: [{ id: "test", secret: APP.secret }] } }),
    ...overrides,
  };
}

interface GuardedApp {
  mode?: "off" | "report" | "enforce";
  attest?: unknown;
  keys?: readonly { id: string; secret: string; retired?: boolean; message?: string; attest?: unknown }[];
}

/** `APP_GUARD` for these apps. */
export function appGuard(apps: Record<string, GuardedApp>, defaultMode?: GuardedApp["mode"]): string {
  return JSON.stringify({ ...(defaultMode && { default: defaultMode }), apps });
}

/** A Worker alone, on a free port, in front of the Supabase that `vars` names. Its limits are high unless given. */
export async function startWorkerAlone(
  vars: Vars,
  {
    limits,
    ...options
  }: Pick<WorkerOptions, "declaration" | "inspector" | "standIns" | "wasm" | "without"> & {
    limits?: WorkerOptions["limits"];
  } = {},
): Promise<LoggedWorker> {
  const logs: string[] = [];
  const worker = await startWorker({
    port: 0,
    vars,
    limits: limits ?? { ip: 100_000, user: 100_000 },
    log: ({ message }) => logs.push(message),
    declaration: notesDeclaration,
    ...options,
  });
  return { ...worker, logs };
}

/** Runs such a Worker while `work` takes. */
export async function withWorker<T>(
  vars: Vars,
  options: Parameters<typeof startWorkerAlone>[1],
  work: (worker: LoggedWorker) => Promise<T>,
): Promise<T> {
  const worker = await startWorkerAlone(vars, options);
  try {
    return await work(worker);
  } finally {
    await worker.stop();
  }
}

/** With `declaration` (JSON) the Worker serves these resources, and the database has the project's own migrations. */
export async function startStack(
  overrides: Vars = {},
  { declaration }: Pick<WorkerOptions, "declaration"> = {},
): Promise<Stack> {
  const migrations = declaration === undefined ? { baseline } : {};
  const dataDir = await preparedFolder("airlock-e2e-", migrations);
  const keys = { jwtSecret: JWT_SECRET, publishableKey: PUBLISHABLE_KEY, secretKey: SECRET_KEY };
  const supabase = await startSupabase({ port: 0, dataDir, ...keys, ...migrations });
  if (declaration === undefined) await supabase.sql(await notesMigration());
  const worker = await startWorkerAlone(
    workerVars(supabase.url, overrides),
    declaration === undefined ? {} : { declaration },
  );
  const [alice, bob] = [await signIn(supabase.url, "alice"), await signIn(supabase.url, "bob")];
  return {
    url: worker.url,
    supabase,
    worker,
    alice,
    bob,
    sql: supabase.sql,
    direct: directTo(supabase.url),
    async stop() {
      await worker.stop();
      await supabase.stop();
      await rm(dataDir, { recursive: true, force: true });
    },
  };
}

/** Requests to the REST API itself, as in `Stack`. */
export function directTo(supabaseUrl: string): Stack["direct"] {
  return (user, path, init = {}) =>
    fetch(`${supabaseUrl}/rest/v1${path}`, {
      ...init,
      headers: {
        apikey: PUBLISHABLE_KEY,
        ...(user && { authorization: `Bearer ${user.token}` }),
        "content-type": "application/json",
        ...(init.headers as Record<string, string>),
      },
    });
}

/**
 * A client of the test app; without a token it has no user. Its timeout is far away, so that slow machines pass.
 */
export function app(url: string, token?: string): Airlock<Declaration> {
  return createAirlock<Declaration>({ url, ...APP, getToken: async () => token ?? null, timeoutMs: 600_000 });
}

/** One user's requests, with an object as their JSON. */
export function caller(url: string, token?: string) {
  const client = app(url, token);
  return (method: string, target: string, json?: unknown, options: RequestOptions = {}): Promise<Answer> =>
    client.request(method, target, { ...(json !== undefined && { body: JSON.stringify(json) }), ...options });
}

export type Caller = ReturnType<typeof caller>;

/** Starts a stack that stops after the tests of the file. With it, the requests of its users and of nobody. */
export async function stackOfFile() {
  const stack = await startStack();
  after(() => stack.stop());
  const { url, alice, bob } = stack;
  return { stack, alice: caller(url, alice.token), bob: caller(url, bob.token), anybody: caller(url) };
}

export async function signIn(supabaseUrl: string, name: string): Promise<User> {
  const supabase = createClient(supabaseUrl, PUBLISHABLE_KEY, {
    auth: { persistSession: false, autoRefreshToken: false },
  });
  const { data, error } = await supabase.auth.signInWithPassword({ email: `${name}@example.com`, password: PASSWORD });
  if (error) throw error;
  return { token: data.session.access_token, id: data.user.id };
}
