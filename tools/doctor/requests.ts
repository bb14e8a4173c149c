// Checks of a running Worker and its Supabase project, by requests.

import { signRequest } from "../../client/src/index.ts";
import { type Declaration, type Field, isRequired } from "../declaration.ts";
import type { Vars } from "../stack/vars.ts";
import { type Finding, fault, well } from "./finding.ts";

export interface Deployment {
  url: string;
  /** Variables and secrets, as far as they are known. */
  vars: Vars;
  declaration: Declaration;
  /** A user's access token, for the requests that need one. */
  token?: string | undefined;
  /** The version that GET /health should name; absent for a development server. */
  version?: string | undefined;
}

interface Reply {
  status: number;
  headers: Headers;
  body: any;
  /** The code of a problem or of PostgREST, or the status. */
  code: string;
}

const TIMEOUT_MS = 15_000;
/** How far a clock may be off. App Guard allows 300 seconds. */
const SKEW_MAX_S = 30;
const DEMO = { email: "alice@example.com", password: "airlock-dev-password" };

async function ask(url: string, init: RequestInit = {}): Promise<Reply> {
  const response = await fetch(url, { redirect: "manual", signal: AbortSignal.timeout(TIMEOUT_MS), ...init });
  const text = await response.text();
  const body = (() => {
    try {
      return JSON.parse(text);
    } catch {
      return text;
    }
  })();
  return { status: response.status, headers: response.headers, body, code: String(body?.code ?? response.status) };
}

/** All findings, in an order in which the first fault explains those after it. */
export async function examine(deployment: Deployment): Promise<Finding[]> {
  const { url, vars } = deployment;
  const health = await ask(`${url}/health`).catch((error: Error) => error);
  if (health instanceof Error)
    return [
      fault(
        "the Worker",
        `nothing answers at ${url}`,
        "Compare --url with the routes in wrangler.toml; on this machine, start `npm run dev`.",
      ),
    ];
  const project = vars.SUPABASE_URL ? await ofProject(deployment, vars.SUPABASE_URL.replace(/\/$/, "")) : [];
  return [
    ofHealth(health),
    ofClock("the Worker's clock", health),
    ...(await ofVersion(deployment, health)),
    ...(await ofPath(url)),
    ...project,
    await ofReady(url),
    ...(await ofUser(deployment)),
  ];
}

function ofHealth({ status, code }: Reply): Finding {
  if (status === 200) return well("GET /health", "the Worker is configured");
  return fault(
    "GET /health",
    `${status} ${code}`,
    code === "misconfigured"
      ? "Its log names the value: `npx wrangler tail --env <environment> --search misconfigured`."
      : "Compare --url with the routes in wrangler.toml.",
  );
}

async function ofReady(url: string): Promise<Finding> {
  const { status, code } = await ask(`${url}/ready`);
  if (status === 200) return well("GET /ready", "Supabase is ready");
  return fault(
    "GET /ready",
    `${status} ${code}`,
    "The `reason` in its log line says why, and so do the faults above. It asks again after 15 seconds.",
  );
}

function ofClock(what: string, { headers }: Reply): Finding {
  const date = headers.get("date");
  if (date === null) return well(what, "unknown");
  const off = Math.round((Date.parse(date) - Date.now()) / 1000);
  if (Math.abs(off) <= SKEW_MAX_S) return well(what, "agrees with this machine's");
  return fault(
    what,
    `${Math.abs(off)} seconds ${off > 0 ? "ahead of" : "behind"} this machine's`,
    "Set this machine's clock by NTP; a clock of Cloudflare or Supabase is seldom wrong.",
  );
}

async function ofVersion({ version }: Deployment, { headers }: Reply): Promise<Finding[]> {
  const found = headers.get("x-airlock-version") ?? "none";
  if (version === undefined) return [];
  if (found === version) return [well("version", found)];
  return [
    fault(
      "version",
      `${found} is deployed, and this is ${version}`,
      "Deploy this commit with `npm run deploy`, or check out the deployed one.",
    ),
  ];
}

async function ofPath(url: string): Promise<Finding[]> {
  const { status } = await ask(`${url}//health`);
  if (status !== 200) return [well("paths", "arrive as they were sent")];
  return [
    fault(
      "paths",
      "//health arrives as /health",
      "Turn off URL normalization for this host name: Rules > URL Normalization.",
    ),
  ];
}

async function ofProject({ vars, declaration, token }: Deployment, project: string): Promise<Finding[]> {
  const apikey = vars.SUPABASE_PUBLISHABLE_KEY ?? "";
  const call = (path: string, init: RequestInit = {}) =>
    ask(`${project}${path}`, {
      ...init,
      headers: { apikey, "content-type": "application/json", ...(init.headers as Record<string, string>) },
    });
  const keySet = await call("/auth/v1/.well-known/jwks.json").catch((error: Error) => error);
  if (keySet instanceof Error)
    return [
      fault(
        "SUPABASE_URL",
        `nothing answers at ${project}`,
        "Compare it with Project Settings > API. A paused project can be restored on its page.",
      ),
    ];
  const functions = (declaration.functions ?? []).map(({ name }) => `functions/${name}`);
  const resources = [...declaration.resources.map(({ name }) => name), ...functions];
  const ready = await call("/rest/v1/rpc/airlock_ready", {
    method: "POST",
    body: JSON.stringify({ schema_version: 1, organizations: declaration.organizations, resources }),
  });
  const refused = ready.status === 401 && !/^(PGRST|PT|[0-9A-Z]{5}$)/.test(ready.code);
  const exposed = await call("/rest/v1/claims?select=nonce&limit=1", { headers: { "accept-profile": "airlock" } });
  const demo = await call("/auth/v1/token?grant_type=password", { method: "POST", body: JSON.stringify(DEMO) });
  const isLocal =
    ["127.0.0.1", "localhost", "[::1]"].includes(new URL(project).hostname) && vars.SUPABASE_JWT_ISSUER === "-";
  return [
    ofClock("Supabase's clock", ready),
    ofKeySet(keySet, vars.SUPABASE_JWT_SECRET !== undefined),
    refused
      ? fault(
          "publishable key",
          `the project answers ${ready.status}`,
          "Set SUPABASE_PUBLISHABLE_KEY to a key of this project: Project Settings > API Keys.",
        )
      : well("publishable key", "the project accepts it"),
    ...(refused ? [] : [ofMigrations(ready)]),
    exposed.code === "PGRST106" || refused
      ? well("schema airlock", "is not exposed")
      : fault(
          "schema airlock",
          `a request for it is answered with ${exposed.status}`,
          "Remove airlock from Integrations > Data API > Settings > Exposed schemas.",
        ),
    demo.status === 200 && !isLocal
      ? fault(
          "demo users",
          `${DEMO.email} can sign in with a public password`,
          "Delete alice@example.com and bob@example.com: Authentication > Users.",
        )
      : well("demo users", isLocal ? "are for this machine" : "there are none"),
    ...(token === undefined ? [] : [ofIssuer(token, vars, project)]),
  ];
}

function ofKeySet({ status, body }: Reply, hasSecret: boolean): Finding {
  const keys: Record<string, unknown>[] = status === 200 && Array.isArray(body?.keys) ? body.keys : [];
  const usable = keys.filter((key) => key.kty === "RSA" || (key.kty === "EC" && key.crv === "P-256"));
  if (usable.length > 0) return well("key set", `${usable.length} usable ${usable.length === 1 ? "key" : "keys"}`);
  if (status !== 200)
    return fault(
      "key set",
      `its URL answers ${status}`,
      "Compare SUPABASE_URL, and look whether the project is paused.",
    );
  if (hasSecret) return well("key set", "empty: tokens are signed with SUPABASE_JWT_SECRET");
  return fault(
    "key set",
    "it has no usable key, so the project signs with its legacy HS256 secret",
    "Move to asymmetric signing keys: Project Settings > JWT Keys.",
  );
}

function ofMigrations({ status, body, code }: Reply): Finding {
  const mend = "Apply them: `npx supabase db push --remote`, then `npx supabase migration list --remote`.";
  if (status === 200 && body === true)
    return well("migrations", "the database has what the Worker and its resources need");
  if (status === 200)
    return fault(
      "migrations",
      "a resource of airlock.toml or a part of the core is missing, or a resource's table has become a partition",
      mend,
    );
  if (code === "PT403") return well("migrations", "edge-only mode keeps the answer back; GET /ready has it");
  return fault(
    "migrations",
    `airlock_ready answers ${status} ${code}`,
    code === "PGRST202" ? mend : "Look it up in docs/operations/incidents.md.",
  );
}

function ofIssuer(token: string, vars: Vars, project: string): Finding {
  const expected = vars.SUPABASE_JWT_ISSUER || `${project}/auth/v1`;
  const { iss } = JSON.parse(Buffer.from(token.split(".")[1] ?? "", "base64url").toString() || "{}") as {
    iss?: string;
  };
  if (expected === "-" || iss === expected)
    return well("issuer", expected === "-" ? "not checked on this machine" : expected);
  return fault(
    "issuer",
    `tokens have iss ${iss}, and the Worker expects ${expected}`,
    "Set SUPABASE_JWT_ISSUER to it, or compare SUPABASE_URL.",
  );
}

/** One signed read, one write and its replay, and whether both sides agree on edge-only mode. */
async function ofUser({ url, vars, declaration, token }: Deployment): Promise<Finding[]> {
  const guard = JSON.parse(vars.APP_GUARD || "{}") as {
    apps?: Record<string, { keys?: { id: string; secret: string; retired?: boolean }[] }>;
  };
  const apps = Object.entries(guard.apps ?? {}).flatMap(([appId, { keys = [] }]) =>
    keys.filter((key) => !key.retired).map(({ secret }) => ({ appId, secret })),
  );
  const [app] = apps;
  if (!app || token === undefined)
    return [
      well(
        "signed requests",
        `not tried: there is no ${app ? "user (AIRLOCK_EMAIL and AIRLOCK_PASSWORD)" : "app key (--secrets-file)"}`,
      ),
    ];
  const headers = (method: string, target: string, body: string | null) => ({
    ...signRequest({ ...app, method, target, token, body }),
    authorization: `Bearer ${token}`,
    ...(body !== null && { "content-type": "application/json" }),
  });
  const signed = (method: string, target: string) =>
    ask(`${url}${target}`, { method, headers: headers(method, target, null) });

  const me = await signed("GET", "/v1/me");
  if (me.code === "attestation_missing")
    return [
      well("signed requests", `signed by ${app.appId}; more needs an attestation, which an installation alone has`),
    ];
  if (me.status !== 200) {
    const mend: Record<string, string> = {
      app_guard_rejected:
        "The Worker has another APP_GUARD: upload this one with `npx wrangler secret bulk FILE --env <environment>`.",
      clock_skew: "Set this machine's clock by NTP.",
      token_invalid: "Compare SUPABASE_URL, the issuer and the signing keys.",
    };
    return [fault("GET /v1/me", `${me.status} ${me.code}`, mend[me.code] ?? "Its log line says why.")];
  }
  const findings = [well("GET /v1/me", `signed by ${app.appId}`)];
  const resource = declaration.resources.find(
    ({ owner, under, fields, routes }) =>
      owner !== "org" &&
      !under &&
      (["create", "read", "delete"] as const).every((verb) => routes.includes(verb)) &&
      fields.every((field) => !isRequired(field) || field.kind !== "ref"),
  );
  if (!resource) return [...findings, well("a write", "not tried: no resource takes rows of a user alone")];

  const target = `/v1/${resource.name}`;
  const body = JSON.stringify(
    Object.fromEntries(resource.fields.filter(isRequired).map((field) => [field.name, exampleValue(field)])),
  );
  const request = { method: "POST", headers: headers("POST", target, body), body };
  const made = await ask(`${url}${target}`, request);
  if (made.status !== 201)
    return [
      ...findings,
      fault(
        `POST ${target}`,
        `${made.status} ${made.code}`,
        "Its log line has the database's code. `npm run dev` shows whether the migrations suit the declaration.",
      ),
    ];
  try {
    const replay = await ask(`${url}${target}`, request);
    findings.push(
      replay.code === "request_replayed"
        ? well(`POST ${target}`, "a row was made, and a copy of the request was refused")
        : fault(
            `POST ${target}`,
            `a copy of the signed request is answered with ${replay.status} ${replay.code}`,
            "The table must be made by `npm run new-resource`: its functions claim the nonce.",
          ),
    );
    const row = `${target}/${made.body.id}`;
    const through = await signed("GET", row);
    const apikey = vars.SUPABASE_PUBLISHABLE_KEY ?? "";
    const { table, id } = resource;
    const [relation, column] = [table.name, id.column].map(encodeURIComponent);
    const past = await ask(
      `${vars.SUPABASE_URL?.replace(/\/$/, "")}/rest/v1/${relation}?select=${column}&${column}=eq.${made.body.id}`,
      { headers: { apikey, authorization: `Bearer ${token}`, "accept-profile": table.schema } },
    ).catch(() => undefined);
    findings.push(ofEdge(through, past?.status === 200 && past.body?.length > 0, Boolean(vars.EDGE_PROOF_SECRET)));
  } finally {
    await signed("DELETE", `${target}/${made.body.id}`);
  }
  return findings;
}

function ofEdge(through: Reply, isOpen: boolean, hasSecret: boolean): Finding {
  if (through.status !== 200)
    return fault(
      "edge-only mode",
      `the row that was made is answered with ${through.status}`,
      "Compare EDGE_PROOF_SECRET with airlock.edge_settings: docs/operations/edge-only.md.",
    );
  if (isOpen && hasSecret)
    return fault(
      "edge-only mode",
      "the Worker sends proofs, and the database does not ask for them",
      "Set mode = 'enforce' in airlock.edge_settings, or remove EDGE_PROOF_SECRET: docs/operations/edge-only.md.",
    );
  return well("edge-only mode", isOpen ? "off on both sides" : "on at both sides");
}

/** A value that the field accepts. */
function exampleValue(field: Field): unknown {
  switch (field.kind) {
    case "text":
    case "verbatim":
      return "doctor".padEnd(field.min, ".").slice(0, field.max);
    case "integer":
    case "number":
      return field.min;
    case "decimal":
      return "0";
    case "boolean":
      return false;
    case "uuid":
      return crypto.randomUUID();
    case "date":
      return "2026-01-01";
    case "time":
      return "00:00:00";
    case "timestamp":
      return "2026-01-01T00:00:00Z";
    case "one_of":
      return field.values[0];
    case "texts":
    case "integers":
    case "uuids":
      return [];
    case "json":
      return {};
    case "ref":
      return null;
  }
}
