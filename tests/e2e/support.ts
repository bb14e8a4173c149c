// A stack for end-to-end tests: the built Worker on workerd, the embedded Supabase with real Postgres,
// two users signed in by the real supabase-js, and the app's own client to sign requests.

import { randomBytes } from "node:crypto";
import { readdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";

import { createClient } from "@supabase/supabase-js";

import { createAirlock, type Airlock, type Answer, type RequestOptions } from "../../client/src/index.ts";
import { startWorker, type Worker, type WorkerOptions } from "../../tools/stack/worker.ts";
import type { Vars } from "../../tools/stack/vars.ts";
import { startSupabase, type Supabase } from "../../tools/supabase.ts";
import { preparedFolder } from "../../tools/supabase/prepared.ts";

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

/** A Worker and what it has logged, line by line. */
export type LoggedWorker = Worker & { logs: string[] };

export interface Stack {
  url: string;
  supabase: Supabase;
  worker: LoggedWorker;
  alice: User;
  bob: User;
  /** The REST API itself, without the Worker, with this user's token; as anon without one. */
  direct(user: User | null, path: string, init?: RequestInit): Promise<Response>;
  /** The rows that a query of the database's owner gives. */
  sql: Supabase["sql"];
  stop(): Promise<void>;
}

/** The variables of a Worker in front of `supabaseUrl`, which is patient: a slow machine is no fault of Supabase's. */
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
  keys?: { id: string; secret: string }[];
}

/** `APP_GUARD` for these apps. */
export function appGuard(apps: Record<string, GuardedApp>, defaultMode?: GuardedApp["mode"]): string {
  return JSON.stringify({ ...(defaultMode && { default: defaultMode }), apps });
}

/** A Worker alone, on a free port, in front of whatever `vars` names. Without limits it has room for everything. */
export async function startWorkerAlone(
  vars: Vars,
  { limits, ...options }: Pick<WorkerOptions, "dataDir" | "standIns" | "wasm" | "without"> & { limits?: WorkerOptions["limits"] } = {},
): Promise<LoggedWorker> {
  const logs: string[] = [];
  const worker = await startWorker({
    port: 0,
    vars,
    limits: limits ?? { ip: 100_000, user: 100_000 },
    log: ({ message }) => logs.push(message),
    ...options,
  });
  return { ...worker, logs };
}

/** Has such a Worker for as long as `work` takes. */
export async function withWorker<T>(vars: Vars, options: Parameters<typeof startWorkerAlone>[1], work: (worker: LoggedWorker) => Promise<T>): Promise<T> {
  const worker = await startWorkerAlone(vars, options);
  try {
    return await work(worker);
  } finally {
    await worker.stop();
  }
}

/** Overwrites what the objects of this class have stored under a Worker's data folder, so that they fail. */
export async function damage(dataDir: string, className: string): Promise<void> {
  const files = (await readdir(dataDir, { recursive: true })).filter((name) => /[0-9a-f]{64}\.sqlite(-wal)?$/.test(name) && name.includes(className));
  if (files.length === 0) throw new Error(`${className} has stored nothing`);
  for (const name of files) await writeFile(join(dataDir, name), randomBytes(65_536));
}

export async function startStack(overrides: Vars = {}): Promise<Stack> {
  const dataDir = await preparedFolder("airlock-e2e-");
  const supabase = await startSupabase({ port: 0, dataDir, jwtSecret: JWT_SECRET, publishableKey: PUBLISHABLE_KEY, secretKey: SECRET_KEY });
  const worker = await startWorkerAlone(workerVars(supabase.url, overrides));
  const [alice, bob] = [await signIn(supabase.url, "alice"), await signIn(supabase.url, "bob")];
  return {
    url: worker.url,
    supabase,
    worker,
    alice,
    bob,
    sql: supabase.sql,
    direct: (user, path, init = {}) =>
      fetch(`${supabase.url}/rest/v1${path}`, {
        ...init,
        headers: {
          apikey: PUBLISHABLE_KEY,
          ...(user && { authorization: `Bearer ${user.token}` }),
          "content-type": "application/json",
          ...(init.headers as Record<string, string>),
        },
      }),
    async stop() {
      await worker.stop();
      await supabase.stop();
      await rm(dataDir, { recursive: true, force: true });
    },
  };
}

/** A client of the test app; without a token it is signed in as nobody. */
export function app(url: string, token?: string): Airlock {
  return createAirlock({ url, ...APP, getToken: async () => token ?? null });
}

/** One user's requests, with an object as their JSON. */
export function caller(url: string, token?: string) {
  const client = app(url, token);
  return (method: string, target: string, json?: unknown, options: RequestOptions = {}): Promise<Answer> =>
    client.request(method, target, { ...(json !== undefined && { body: JSON.stringify(json) }), ...options });
}

export async function signIn(supabaseUrl: string, name: string): Promise<User> {
  const supabase = createClient(supabaseUrl, PUBLISHABLE_KEY, { auth: { persistSession: false, autoRefreshToken: false } });
  const { data, error } = await supabase.auth.signInWithPassword({ email: `${name}@example.com`, password: PASSWORD });
  if (error) throw error;
  return { token: data.session.access_token, id: data.user.id };
}
