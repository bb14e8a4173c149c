import { randomBytes } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { createClient, type SupabaseClient } from "@supabase/supabase-js";

import { startSupabase, type Supabase } from "../../tools/supabase.ts";

export const jwtSecret = randomBytes(32).toString("base64url");
export const publishableKey = "sb_publishable_for_these_tests";
export const secretKey = `sb_secret_${randomBytes(24).toString("base64url")}`;

export function temporaryFolder(): Promise<string> {
  return mkdtemp(join(tmpdir(), "airlock-database-"));
}

/** An embedded Supabase of its own, with an empty table of notes. */
export async function freshSupabase(): Promise<Supabase> {
  const dataDir = await temporaryFolder();
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
  const client = createClient(url, publishableKey, {
    auth: { persistSession: false, autoRefreshToken: false },
  });
  const { data, error } = await client.auth.signInWithPassword({
    email: `${name}@example.com`,
    password: "airlock-dev-password",
  });
  if (error) throw error;
  return { id: data.user.id, token: data.session.access_token, client };
}
