// The upstreams of the workers: a process that costs next to nothing, or the embedded Supabase.

import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";

import { createClient } from "@supabase/supabase-js";

import { Failure, root } from "../tools/setup/shell.ts";
import { JWT_SECRET, PUBLIC_KEYS } from "./tokens.ts";
import { PUBLISHABLE_KEY } from "./workloads.ts";

/** The stand-in of upstream.ts. */
export async function startStatic() {
  const child = fork(join(root, "bench", "upstream.ts"), { execArgv: [] });
  child.send(PUBLIC_KEYS);
  const [port] = await once(child, "message");
  return { url: `http://127.0.0.1:${port}`, stop: () => child.disconnect() };
}

/** An empty database, and the token of a user who is signed in. */
export async function startDatabase(dataDir: string) {
  const child = fork(join(root, "tools", "supabase.ts"), {
    // Not this process's own: they make it the head of its process group.
    execArgv: [],
    stdio: ["ignore", "pipe", "inherit", "ipc"],
    env: {
      ...process.env,
      SUPABASE_PORT: "0",
      AIRLOCK_DATA: dataDir,
      SUPABASE_JWT_SECRET: JWT_SECRET,
      SUPABASE_PUBLISHABLE_KEY: PUBLISHABLE_KEY,
    },
  });
  const url = await ready(child);
  const supabase = createClient(url, PUBLISHABLE_KEY, { auth: { persistSession: false, autoRefreshToken: false } });
  const { data, error } = await supabase.auth.signInWithPassword({
    email: "alice@example.com",
    password: "airlock-dev-password",
  });
  if (error) throw error;
  const stop = async () => {
    child.disconnect();
    await once(child, "exit");
  };
  return { url, token: data.session.access_token, stop };
}

function ready(child: ChildProcess): Promise<string> {
  return new Promise((resolve, reject) => {
    let heard = "";
    child.stdout?.on("data", (data) => {
      const url = /^supabase ready (\S+)/m.exec((heard += String(data)))?.[1];
      if (url) resolve(url);
    });
    child.once("exit", () => reject(new Failure("The embedded Supabase did not start.")));
  });
}
