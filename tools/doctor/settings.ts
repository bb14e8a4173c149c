// Checks without a request: wrangler.toml, the secrets and the declaration.

import { diagnose } from "../declaration.ts";
import { type DeploymentConfig, unset } from "../setup/deployment.ts";
import { Failure } from "../setup/shell.ts";
import { parseAppGuard } from "../stack/app-guard.ts";
import type { Vars } from "../stack/vars.ts";
import { type Finding, fault, well } from "./finding.ts";

/** The part of wrangler's configuration that is looked at; its own type is too wide to be checked. */
export interface Settings extends DeploymentConfig {
  workers_dev?: boolean;
  ratelimits?: { name: string; namespace_id: string }[];
  assets?: { binding?: string };
  secrets?: { required?: string[] };
  observability?: { redact_query_string?: boolean; logs?: { invocation_logs?: boolean } };
}

/** The environments of wrangler.toml by their names, `""` for the deployment without one. */
export type Environments = Record<string, Settings>;

const LIMITERS = ["LIMIT_IP", "LIMIT_USER"];

/** Bindings and logs of one environment. */
export function bindings(env: string, all: Environments): Finding[] {
  const settings = all[env];
  const where = env === "" ? "wrangler.toml" : `env.${env} of wrangler.toml`;
  if (!settings)
    return [
      fault(
        "environment",
        `wrangler.toml has no environment ${env}`,
        `Name one of: ${Object.keys(all).filter(Boolean).join(", ")}.`,
      ),
    ];
  const { ratelimits = [], assets, secrets, observability, routes = [], workers_dev } = settings;
  const findings: Finding[] = [];
  const unbound = [
    ...LIMITERS.filter((name) => !ratelimits.some((one) => one.name === name)),
    ...(assets?.binding === "ASSETS" ? [] : ["ASSETS"]),
  ];
  if (unbound.length > 0)
    findings.push(
      fault(
        "bindings",
        `${where} does not bind ${unbound.join(", ")}`,
        "An environment inherits no bindings: copy them from the top of wrangler.toml.",
      ),
    );
  const others = Object.entries(all).flatMap(([name, other]) =>
    name === env ? [] : (other.ratelimits ?? []).map((one) => one.namespace_id),
  );
  const ids = ratelimits.map((one) => one.namespace_id);
  const shared = ids.find((id, at) => others.includes(id) || ids.indexOf(id) !== at);
  if (shared !== undefined)
    findings.push(
      fault(
        "limiters",
        `namespace_id ${shared} of ${where} is used twice`,
        "Limiters with one namespace_id share their counters: give each its own number.",
      ),
    );
  if (!secrets?.required?.includes("APP_GUARD"))
    findings.push(
      fault(
        "required secrets",
        `${where} does not require APP_GUARD`,
        'Add [secrets] required = ["APP_GUARD"], so that a deployment without it is refused.',
      ),
    );
  if (observability?.redact_query_string !== true)
    findings.push(
      fault(
        "query strings",
        `${where} lets the platform log them`,
        "Set redact_query_string = true under [observability]: searches are people's words.",
      ),
    );
  if (observability?.logs?.invocation_logs !== false)
    findings.push(
      fault(
        "invocation logs",
        `${where} has them on`,
        "Set invocation_logs = false under [observability.logs]: they hold URLs and headers.",
      ),
    );
  if (workers_dev && routes.length > 0)
    findings.push(
      fault(
        "workers.dev",
        `${where} has a domain and workers_dev = true`,
        "Set workers_dev = false: the rules of your zone do not apply to workers.dev.",
      ),
    );
  return findings.length > 0
    ? findings
    : [well("wrangler.toml", `${where}: bindings, limiters and logs are as they should be`)];
}

/** The values of one deployment: variables, and the secrets of a file. */
export async function values(settings: Settings, secrets: Vars | undefined, declaration: string): Promise<Finding[]> {
  const findings: Finding[] = [];
  const missing = unset(settings);
  if (missing.length > 0)
    findings.push(
      fault(
        "variables",
        `no value for ${missing.join(", ")}`,
        "Fill it in: a Worker without it answers every request with 503.",
      ),
    );
  if (!secrets) return [...findings, well("secrets", "not looked at: name their file with --secrets-file")];
  const absent = (settings.secrets?.required ?? []).filter((name) => !secrets[name]);
  if (absent.length > 0)
    findings.push(
      fault(
        "secrets",
        `the file has no ${absent.join(", ")}`,
        "`npm run app-key` makes APP_GUARD. Upload the others with `npx wrangler secret put NAME --env <environment>`.",
      ),
    );
  // One thing at a time: the Worker's own error names the first that is missing.
  if (findings.length > 0) return findings;
  const keys = await appGuardOf(secrets.APP_GUARD ?? "");
  return keys.mend === undefined
    ? [keys, ...(await startOf({ ...textsOf(settings.vars), ...secrets }, declaration))]
    : [keys];
}

/** The Worker's log when it starts with these values. */
export async function startOf(vars: Vars, declaration: string, warnings = true): Promise<Finding[]> {
  const limiters = Object.fromEntries(LIMITERS.map((name) => [name, {}]));
  const notices = (await diagnose({ ...vars, ...limiters }, declaration)).filter(
    ({ event }) => warnings || event === "misconfigured",
  );
  if (notices.length === 0) return [well("configuration", "the Worker accepts it")];
  return notices.map(({ event, message }) =>
    event === "misconfigured"
      ? fault("configuration", message, "Set it right: docs/operations/configuration.md.")
      : fault("configuration", message, "Accept it for a migration alone."),
  );
}

async function appGuardOf(text: string): Promise<Finding> {
  try {
    const { apps } = await parseAppGuard(text);
    const names = Object.keys(apps);
    if (names.length === 0)
      return fault("app keys", "APP_GUARD has no app", "`npm run app-key -- add APP` makes the first key.");
    return well("app keys", `${names.join(", ")}: ${Buffer.byteLength(text)} bytes`);
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
    return fault("app keys", error.message, "Mend the value: `npm run app-key -- list` checks it.");
  }
}

function textsOf(vars: Record<string, unknown>): Vars {
  return Object.fromEntries(
    Object.entries(vars).filter((entry): entry is [string, string] => typeof entry[1] === "string"),
  );
}
