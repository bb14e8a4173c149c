// The incidents of docs/operations/incidents.md: each one is caused here, and leaves the log line that the runbook names.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";

import { root } from "../../tools/setup/shell.ts";
import type { Vars } from "../../tools/stack/vars.ts";
import { until } from "../support/patience.ts";
import { type Sent, send } from "./http.ts";
import {
  bytes,
  claims,
  databaseError,
  functions,
  json,
  jws,
  legacy,
  newKey,
  ROW,
  type Stub,
  withStub,
} from "./stub.ts";
import { appGuard, withWorker, workerVars } from "./support.ts";

type Line = Record<string, unknown>;

/** The rows of the runbook: the incident, members of its line, and the first command. */
const runbook = new Map(
  [
    ...readFileSync(join(root, "docs", "operations", "incidents.md"), "utf8").matchAll(
      /^\| (.+?) \| `("event":.+?)` \| `(.+?)`.* \|$/gm,
    ),
  ].map(
    ([, incident = "", line = "", command = ""]) =>
      [incident, { line: JSON.parse(`{${line}}`) as Line, command }] as const,
  ),
);

const key = newKey("a");
const token = () => jws(key, claims());

interface Incident {
  vars?: Vars;
  /** Prepares the project; for an incident in the middle, `begin` sends a good request first. */
  prepare?(stub: Stub): void;
  /** Whether all was well for a while. */
  warm?: boolean;
  sent?: Sent;
  target?: string;
  limits?: { ip: number; user: number };
  /** Sends the event of the jobs in place of a request. */
  job?: boolean;
}

const OTHER_SECRET = "A".repeat(43);
const paused = (stub: Stub) => {
  stub.rest = json(540, {});
  stub.keys = json(540, {});
};
const INCIDENTS: Record<string, Incident> = {
  "An app signs with a wrong secret": { sent: { signed: { secret: OTHER_SECRET } } },
  "An app is unknown": { sent: { signed: { appId: "rn-old" } } },
  "`SUPABASE_URL` names no project": {
    vars: { SUPABASE_URL: "https://no-such-project.invalid", SUPABASE_JWT_ISSUER: "" },
    target: "/ready",
  },
  "The publishable key is another project's": {
    prepare: (stub) => void (stub.rest = json(401, { message: "Invalid API key" })),
  },
  "The project signs with HS256": { sent: { token: jws(legacy) } },
  "Tokens are another project's": { sent: { token: jws(newKey("b")) } },
  "The database refuses a token that the Worker verified": {
    prepare: (stub) => void (stub.rest = databaseError(401, "PGRST301", "No suitable key")),
  },
  "A migration is missing": { prepare: (stub) => void (stub.rest = databaseError(404, "PGRST202")) },
  "A grant is missing": {
    prepare: (stub) => void (stub.rest = databaseError(403, "42501", "permission denied for table notes")),
  },
  "The limit of a user is too low": { limits: { ip: 1000, user: 1 }, warm: true },
  "The limit of an address is reached": { limits: { ip: 1, user: 1000 }, sent: { signed: { secret: OTHER_SECRET } } },
  "The project is paused while the Worker runs": { warm: true, prepare: paused },
  "The project is paused before the Worker starts": { prepare: paused },
  "A key set that cannot be fetched": { prepare: (stub) => void (stub.keys = json(500, {})) },
  "The database is down": { prepare: (stub) => void (stub.rest = databaseError(503, "PGRST002")) },
  "The database is slow": {
    vars: { UPSTREAM_TIMEOUT_MS: "500" },
    prepare: (stub) => void (stub.rest = bytes([], { hang: true })),
  },
  "A statement takes too long": { prepare: (stub) => void (stub.rest = databaseError(500, "57014")) },
  "No connection to Supabase": { warm: true, prepare: (stub) => void (stub.rest = bytes([])) },
  "A secret is malformed": { vars: { APP_GUARD: appGuard({}).replace("{}", "{},") } },
  "The edge proof is refused": {
    prepare: (stub) => void (stub.rest = databaseError(403, "PT403", "airlock_edge_only")),
  },
  "A job fails": {
    job: true,
    prepare: (stub) => void (stub.rest = databaseError(403, "42501", "permission denied for function airlock_run_job")),
  },
};

/** Seen by tests/e2e/trap.test.ts, or only by the platform. */
const ELSEWHERE = ["The module traps, for example because memory ran out"];

for (const [name, incident] of Object.entries(INCIDENTS)) {
  test(name, { timeout: 60_000 }, () =>
    withStub(async (stub) => {
      const { line } = runbook.get(name) ?? assert.fail("docs/operations/incidents.md does not have it");
      stub.keys = json(200, { keys: [key.jwk] });
      const vars = workerVars(stub.url, { SUPABASE_JWT_SECRET: "", ...incident.vars });
      await withWorker(vars, incident.limits ? { limits: incident.limits } : {}, async (worker) => {
        const ask = () =>
          send(worker.url, "GET", incident.target ?? `/v1/notes/${ROW.id}`, { token: token(), ...incident.sent });
        stub.rest = functions();
        if (incident.warm) await ask();
        incident.prepare?.(stub);
        if (incident.job) await worker.scheduled();
        const has = () =>
          worker.logs
            .flatMap(parsed)
            .some((logged) => Object.entries(line).every(([member, value]) => logged[member] === value));
        // A limit is counted by the minute, and an address after its response.
        for (let n = 0; n < (incident.limits ? 20 : 1) && !has(); n++) if (!incident.job) await ask();
        await until(`${JSON.stringify(line)} in\n${worker.logs.join("\n")}`, has);
      });
    }),
  );
}

test("the runbook has no other incident, and its commands exist", () => {
  assert.deepEqual([...runbook.keys()].sort(), [...Object.keys(INCIDENTS), ...ELSEWHERE].sort());
  const { scripts } = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as {
    scripts: Record<string, string>;
  };
  for (const [incident, { command }] of runbook) {
    const script = /^npm run ([\w:-]+)/.exec(command)?.[1];
    assert.ok(
      script ? script in scripts : /^(npx (wrangler|supabase) |curl |grep )/.test(command),
      `${incident}: ${command}`,
    );
  }
});

function parsed(text: string): Line[] {
  try {
    return [JSON.parse(text) as Line];
  } catch {
    return [];
  }
}
