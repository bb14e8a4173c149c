import { createHmac, randomBytes } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { createClient, type SupabaseClient } from "@supabase/supabase-js";
import { preparedFolder } from "../../tools/supabase/prepared.ts";
import { type Supabase, startSupabase } from "../support/supabase.ts";

export const jwtSecret = randomBytes(32).toString("base64url");
export const publishableKey = "sb_publishable_for_these_tests";
export const secretKey = `sb_secret_${randomBytes(24).toString("base64url")}`;

export function temporaryFolder(): Promise<string> {
  return mkdtemp(join(tmpdir(), "airlock-database-"));
}

/** An embedded Supabase of its own, with an empty table of notes. */
export async function freshSupabase(): Promise<Supabase> {
  const dataDir = await preparedFolder("airlock-database-");
  const supabase = await startSupabase({ port: 0, dataDir, jwtSecret, publishableKey, secretKey });
  return {
    ...supabase,
    async stop() {
      await supabase.stop();
      await rm(dataDir, { recursive: true });
    },
  };
}

export interface User {
  id: string;
  token: string;
  client: SupabaseClient;
}

export async function signIn(url: string, name: "alice" | "bob"): Promise<User> {
  const client = createClient(url, publishableKey, { auth: { persistSession: false, autoRefreshToken: false } });
  const { data, error } = await client.auth.signInWithPassword({
    email: `${name}@example.com`,
    password: "airlock-dev-password",
  });
  if (error) throw error;
  return { id: data.user.id, token: data.session.access_token, client };
}

/** A token of these claims, signed as Supabase Auth signs. */
export function sign(claims: object, header: object = { alg: "HS256", typ: "JWT" }): string {
  const part = (value: object) => Buffer.from(JSON.stringify(value)).toString("base64url");
  const signed = `${part(header)}.${part(claims)}`;
  const signature = createHmac("sha256", jwtSecret).update(signed).digest("base64url");
  return `${signed}.${signature}`;
}

export interface Sent {
  /** The user of the token; anon without one. */
  as?: { token: string };
  json?: unknown;
  prefer?: string;
  headers?: Record<string, string>;
}

export interface Answer<Row> {
  status: number;
  /** The code of a PostgREST error. */
  code?: string;
  rows: Row[];
}

/** One request to the REST API without the Worker, which answers with the rows that it has changed. */
export async function send<Row>(url: string, method: string, path: string, sent: Sent = {}): Promise<Answer<Row>> {
  const response = await fetch(`${url}/rest/v1${path}`, {
    method,
    headers: {
      apikey: publishableKey,
      prefer: ["return=representation", ...(sent.prefer ? [sent.prefer] : [])].join(", "),
      ...(sent.as ? { authorization: `Bearer ${sent.as.token}` } : {}),
      ...(sent.json === undefined ? {} : { "content-type": "application/json" }),
      ...sent.headers,
    },
    body: sent.json === undefined ? null : JSON.stringify(sent.json),
  });
  const text = await response.text();
  const body = text ? JSON.parse(text) : [];
  return Array.isArray(body)
    ? { status: response.status, rows: body }
    : { status: response.status, code: body.code, rows: [] };
}
