// A Supabase for the audit alone: the migrations of this folder on an empty database, removed afterwards.

import { randomBytes } from "node:crypto";
import { rm } from "node:fs/promises";

import { createClient } from "@supabase/supabase-js";
import type { MigrationOptions } from "../supabase/database.ts";
import { preparedFolder } from "../supabase/prepared.ts";
import { type Supabase, startSupabase } from "../supabase.ts";
import type { Caller, Rest } from "./tries.ts";

export interface Embedded {
  supabase: Supabase;
  rest: Rest;
  stop(): Promise<void>;
}

export async function startEmbedded(migrations: MigrationOptions = {}): Promise<Embedded> {
  const dataDir = await preparedFolder("airlock-evidence-", migrations);
  const publishableKey = `sb_publishable_${randomBytes(16).toString("base64url")}`;
  const supabase = await startSupabase({
    port: 0,
    dataDir,
    publishableKey,
    jwtSecret: randomBytes(32).toString("base64url"),
    ...migrations,
  });
  return {
    supabase,
    rest: { url: supabase.url, publishableKey },
    async stop() {
      await supabase.stop();
      await rm(dataDir, { recursive: true, force: true });
    },
  };
}

/** Signs in where `rest` leads. */
export async function signIn(
  { url, publishableKey }: Rest,
  email: string,
  password: string,
): Promise<Caller & { id: string }> {
  const client = createClient(url, publishableKey, { auth: { persistSession: false, autoRefreshToken: false } });
  const { data, error } = await client.auth.signInWithPassword({ email, password });
  if (error) throw new Error(`${email} can't sign in at ${url}: ${error.message}`);
  return { name: email, role: "authenticated", id: data.user.id, token: data.session.access_token };
}
