// npm run request -- METHOD PATH [JSON]: one signed request to the development server.
//
//     npm run request -- POST /v1/notes '{"title":"hello"}'
//     npm run request -- GET /v1/notes --as bob          as alice by default; --no-token as nobody
//     npm run request -- PATCH /v1/notes/<id> '{"body":"x"}' --header 'If-Match: "1"'
//     npm run request -- GET /v1/me --attest expired          with AIRLOCK_ATTEST=enforce npm run dev
//
// With AIRLOCK_UPSTREAM there are no demo users: AIRLOCK_EMAIL and AIRLOCK_PASSWORD name one of that project.

import { parseArgs } from "node:util";

import { createClient } from "@supabase/supabase-js";

import { AirlockNetworkError, createAirlock } from "../client/src/index.ts";
import { Failure, refuseKept, wrongUsage } from "./setup/shell.ts";
import { devApp, devVars, overrides, places, required } from "./stack/vars.ts";
import { kinds, TOKEN } from "./supabase/app-check.ts";

const ATTEST = ["none", ...kinds];
const USAGE = `npm run request -- METHOD PATH [JSON] [--as alice|bob] [--no-token] [--header 'Name: value']... [--attest ${ATTEST.join("|")}]`;

const { method, target, body, as, header, attest } = parse();
const { port, supabasePort } = places();
const upstream = process.env.AIRLOCK_UPSTREAM;
const vars = await devVars();
const changes = await overrides();
const airlock = createAirlock({
  url: `http://127.0.0.1:${port}`,
  ...devApp({ ...vars, ...changes }),
  getToken: async () => null,
});
const headers = {
  ...Object.fromEntries(header),
  ...(attest !== "none" && { "X-Firebase-AppCheck": await attestation(attest) }),
};
// npm keeps a --no-token that has no -- in front of it, without a trace.
console.error(`airlock: ${method} ${target} as ${as ?? "nobody"}`);
const response = await airlock
  .request(method, target, { token: as ? await signIn(as) : null, headers, ...(body !== undefined && { body }) })
  .catch((error: unknown) => {
    throw error instanceof AirlockNetworkError
      ? new Failure(nothingAt(`http://127.0.0.1:${port}`, "AIRLOCK_PORT"))
      : error;
  });

console.log(`HTTP ${response.status}`);
for (const [name, value] of response.headers) console.log(`${name}: ${value}`);
console.log();
console.log(pretty(response.body));

function parse() {
  const fail = (why: string): never => {
    throw new Failure(`${why}\n${USAGE}`);
  };
  refuseKept("request", "header", "attest");
  const parsed = (() => {
    try {
      return parseArgs({
        allowPositionals: true,
        options: {
          as: { type: "string", default: "alice" },
          "no-token": { type: "boolean", default: false },
          header: { type: "string", multiple: true, default: [] },
          attest: { type: "string", default: "none" },
        },
      });
    } catch (error) {
      throw wrongUsage(error, USAGE);
    }
  })();
  const [given, target, body, ...rest] = parsed.positionals;
  const method = given?.toUpperCase();
  if (!method || !target?.startsWith("/") || rest.length > 0)
    return fail("A request is a METHOD and a PATH that begins with /, and JSON where it has a body.");
  // Without the --, npm passes on "bob" of "--as bob".
  const unexpected =
    body !== undefined &&
    (["GET", "HEAD"].includes(method)
      ? `${method} has no body.`
      : ["alice", "bob"].includes(body) && `${body} is not JSON.`);
  if (unexpected) return fail(`${unexpected} (Is the -- after "npm run request" missing?)`);
  const as = parsed.values["no-token"] ? undefined : parsed.values.as.replace(/@example\.com$/, "");
  if (as !== undefined && !["alice", "bob"].includes(as)) return fail("The demo users are alice and bob.");
  const header = parsed.values.header.map((line): [string, string] => {
    const [, name = "", value = ""] =
      /^([\w-]+):\s*(.*)$/.exec(line) ?? fail(`--header takes 'Name: value', not '${line}'.`);
    if (/^(authorization|x-app-.*)$/i.test(name)) return fail(`${name} is what this command makes itself.`);
    return [name, value];
  });
  const { attest } = parsed.values;
  if (!ATTEST.includes(attest)) return fail(`--attest is one of ${ATTEST.join(", ")}.`);
  return { method, target, body, as, header, attest };
}

function nothingAt(url: string, variable: string): string {
  return `Nothing answers at ${url}. Is \`npm run dev\` running? (${variable} sets another port.)`;
}

/** A token of the development server's stand-in for App Check. */
async function attestation(kind: string): Promise<string> {
  const url = `http://127.0.0.1:${supabasePort}`;
  const answer = await fetch(`${url}${TOKEN}?kind=${kind}`).catch(() => {
    throw new Failure(nothingAt(url, "SUPABASE_PORT"));
  });
  return ((await answer.json()) as { token: string }).token;
}

async function signIn(user: string): Promise<string> {
  const url = upstream || `http://127.0.0.1:${supabasePort}`;
  const { SUPABASE_PUBLISHABLE_KEY } = required(upstream ? { ...vars, ...changes } : vars, "SUPABASE_PUBLISHABLE_KEY");
  const email = process.env.AIRLOCK_EMAIL || `${user}@example.com`;
  const supabase = createClient(url, SUPABASE_PUBLISHABLE_KEY, {
    auth: { persistSession: false, autoRefreshToken: false },
  });
  const { data, error } = await supabase.auth.signInWithPassword({
    email,
    password: process.env.AIRLOCK_PASSWORD || "airlock-dev-password",
  });
  if (error?.name === "AuthRetryableFetchError")
    throw new Failure(nothingAt(url, upstream ? "AIRLOCK_UPSTREAM" : "SUPABASE_PORT"));
  if (error) throw new Failure(`${email} can't sign in at ${url}: ${error.message}.`);
  return data.session.access_token;
}

function pretty(body: string): string {
  try {
    return JSON.stringify(JSON.parse(body), null, 2);
  } catch {
    return body;
  }
}
