// The embedded Supabase: @supabase/lite on PGlite (real Postgres with real Row Level Security), behind
// Supabase's REST and Auth APIs. Where lite differs from hosted Supabase, tools/supabase/ makes it answer
// as hosted Supabase does.
//
// It runs as its own process, because a slow query holds up everything else in the same one:
//
//     node tools/supabase.ts [--fresh]
//
// SUPABASE_PORT, AIRLOCK_DATA, SUPABASE_JWT_SECRET and SUPABASE_PUBLISHABLE_KEY must be set. Optional: AIRLOCK_HOST (the
// address to listen on), SUPABASE_SECRET_KEY, and EDGE_PROOF_SECRET, which enforces edge-only mode. It prints
// "supabase ready <url>", and ends on SIGTERM, on SIGINT, or with the process that forked it.

import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { buffer } from "node:stream/consumers";

import { App } from "@supabase/lite";

import { appCheck } from "./supabase/app-check.ts";
import { expose, preflight } from "./supabase/cors.ts";
import { type MigrationOptions, openDatabase, SetupError } from "./supabase/database.ts";
import { answerAsPostgrest, caller, rest, typeOfKey } from "./supabase/postgrest.ts";

export interface SupabaseOptions extends MigrationOptions {
  /** 0 for any free port. */
  port: number;
  /** The address to listen on; 127.0.0.1 if absent. */
  host?: string;
  dataDir: string;
  /** Signs and verifies user tokens (HS256). */
  jwtSecret: string;
  /** The `apikey` that is accepted. */
  publishableKey: string;
  /** With this `apikey` a caller without a token is service_role. */
  secretKey?: string | undefined;
  /** Start with an empty database. */
  fresh?: boolean;
}

export interface Supabase {
  url: string;
  /** Runs SQL as the owner of the database. Without parameters it may be several statements; all their rows are returned. */
  sql(text: string, parameters?: unknown[], onNotice?: (detail: string) => void): Promise<Record<string, unknown>[]>;
  /** Answers the requests in flight, then closes the database. */
  stop(): Promise<void>;
}

export async function startSupabase(options: SupabaseOptions): Promise<Supabase> {
  process.env.DO_NOT_TRACK = "1";

  // The port first: someone who starts it twice should not wait for a database to learn that.
  let answer = async (_request: Request) => problem(503, "The embedded Supabase is starting");
  const server = createServer((request, response) => {
    receive(request)
      .then((received) => answer(received))
      .catch((error: unknown) => {
        console.error("supabase:", error);
        return problem(500, "The embedded Supabase failed; its log says why");
      })
      .then((answered) => send(expose(answered), response));
  });
  // Longer than a client keeps a connection for reuse, or its next request meets a closed one.
  server.keepAliveTimeout = 120_000;
  await listen(server, options.port, options.host ?? "127.0.0.1");

  const { connection, close } = await openDatabase(options.dataDir, options.fresh ?? false, options).catch(
    (error: unknown) => {
      server.close();
      throw error;
    },
  );
  answerAsPostgrest(connection);
  const app = new App({
    connection,
    auth: { enabled: true, jwt_secret: options.jwtSecret, minimum_password_length: 8 },
    api: { schemas: ["public"], max_rows: 1000 },
    options: {
      server: {
        // On, it would make a request without a key service_role.
        admin: false,
        disableStudio: true,
        apiKeys: {
          resolver: async (key) => {
            const type = typeOfKey(key, options);
            return type ? { type, claims: caller() } : null;
          },
        },
      },
    },
  });

  // All requests share one connection, and lite does not reserve it for a transaction. One after another,
  // no request can run inside the transaction of another one.
  let last: Promise<unknown> = Promise.resolve();
  function inTurn<T>(work: () => Promise<T>): Promise<T> {
    const result = last.then(work);
    last = result.catch(() => undefined);
    return result;
  }
  const fetch = (request: Request) => inTurn(() => app.fetch(request));

  answer = async (request) => {
    const { pathname } = new URL(request.url);
    const allowed = preflight(request);
    if (allowed) return allowed;
    const attested = appCheck(request);
    if (attested) return attested;
    if (pathname.startsWith("/rest/v1/")) return rest(request, options, fetch);
    if (pathname.startsWith("/auth/v1/")) return fetch(request);
    return problem(404, "no Route matched with those values");
  };

  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    sql: (text, parameters, onNotice) =>
      inTurn(async () => {
        const results = parameters
          ? [await connection.driver.query(text, parameters, { onNotice: ({ detail }) => onNotice?.(detail ?? "") })]
          : await connection.driver.exec(text);
        return results.flatMap((result) => result.rows as Record<string, unknown>[]);
      }),
    async stop() {
      const closed = new Promise((resolve) => server.close(resolve));
      const patience = setTimeout(() => server.closeAllConnections(), 2000);
      await closed;
      clearTimeout(patience);
      await inTurn(close);
    },
  };
}

function listen(server: Server, port: number, host: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", (error: NodeJS.ErrnoException) => {
      const taken = `Port ${port} is taken: stop the program that uses it, or set SUPABASE_PORT to another one.`;
      reject(error.code === "EADDRINUSE" ? new SetupError(taken) : error);
    });
    server.listen(port, host, resolve);
  });
}

async function receive(request: IncomingMessage): Promise<Request> {
  const headers = new Headers();
  for (const [name, values] of Object.entries(request.headersDistinct)) {
    for (const value of values ?? []) headers.append(name, value);
  }
  // Read to the end before the request takes its turn, so a slow sender holds up no other request.
  const body = await buffer(request);
  return new Request(new URL(request.url ?? "/", "http://127.0.0.1"), {
    method: request.method ?? "GET",
    headers,
    body: body.length > 0 ? body : null,
  });
}

async function send(answer: Response, response: ServerResponse): Promise<void> {
  const body = Buffer.from(await answer.arrayBuffer());
  // Without it Node.js would send chunks; PostgREST sends the length.
  if (body.length > 0) response.setHeader("content-length", body.length);
  response.writeHead(answer.status, Object.fromEntries(answer.headers));
  response.end(body);
}

function problem(status: number, message: string): Response {
  return Response.json({ message }, { status });
}

async function main(): Promise<void> {
  const setting = (name: string) => {
    const value = process.env[name];
    if (!value) throw new SetupError(`The embedded Supabase needs ${name} in its environment.`);
    return value;
  };
  const supabase = await startSupabase({
    port: Number(setting("SUPABASE_PORT")),
    host: process.env.AIRLOCK_HOST || "127.0.0.1",
    dataDir: setting("AIRLOCK_DATA"),
    jwtSecret: setting("SUPABASE_JWT_SECRET"),
    publishableKey: setting("SUPABASE_PUBLISHABLE_KEY"),
    secretKey: process.env.SUPABASE_SECRET_KEY,
    fresh: process.argv.includes("--fresh"),
  });
  // A secret of another form is ignored here; the Worker reports it.
  await supabase.sql(
    `update airlock.edge_settings set mode = case when good is null then 'off' else 'enforce' end, secret = good, next_secret = null
     from substring($1::text from '^[!-~]{32,}$') as good`,
    [process.env.EDGE_PROOF_SECRET ?? ""],
  );
  let stopping: Promise<void> | undefined;
  const stop = () => (stopping ??= supabase.stop().then(() => process.exit()));
  for (const event of ["SIGTERM", "SIGINT", "disconnect"]) process.on(event, stop);
  console.log(`supabase ready ${supabase.url}`);
}

if (import.meta.main) {
  await main().catch((error: unknown) => {
    console.error(error instanceof SetupError ? error.message : error);
    process.exit(1);
  });
}
