// Attestation: the vendor's keys, and the verdicts on the apps' tokens in a log.

import { read } from "../setup/shell.ts";
import type { AppGuard, AppKey, Attest } from "../stack/app-guard.ts";
import type { Vars } from "../stack/vars.ts";
import { type Finding, fault, well } from "./finding.ts";

const GOOGLE = "https://firebaseappcheck.googleapis.com/v1/jwks";
const TIMEOUT_MS = 15_000;
/** The share of requests without a good token below which `enforce` is advised. */
const SHARE_MAX = 0.01;

interface Line {
  attest: string;
  app: string;
  key: string;
  user: string | null;
}

/** The lines of one key. */
interface Count {
  app: string;
  key: string;
  lines: number;
  verdicts: Map<string, number>;
  users: Set<string>;
  /** Users with a request without a good token. */
  without: Set<string>;
}

/** Whether App Check's key set has a key that a Worker can use; nothing is asked where no app uses it. */
export async function ofKeys(vars: Vars): Promise<Finding[]> {
  const used = policies(guardOf(vars)).some(({ attest }) => attest?.firebase && attest.mode !== "off");
  if (!used) return [];
  const url = vars.APP_CHECK_JWKS_URL || GOOGLE;
  const what = "App Check's key set";
  try {
    const { keys } = (await (await fetch(url, { signal: AbortSignal.timeout(TIMEOUT_MS) })).json()) as {
      keys: Record<string, string>[];
    };
    const good = keys.filter(
      ({ kty, alg = "RS256", use = "sig", kid }) => kty === "RSA" && alg === "RS256" && use === "sig" && kid,
    );
    if (good.length > 0) return [well(what, `${good.length} usable ${good.length === 1 ? "key" : "keys"} at ${url}`)];
    return [
      fault(what, `no usable key at ${url}`, "Apps in enforce get 503 until it has one. Set them to report meanwhile."),
    ];
  } catch (error) {
    return [
      fault(
        what,
        `${url} gives no key set: ${(error as Error).message}`,
        "See status.firebase.google.com, or whether this machine reaches it.",
      ),
    ];
  }
}

/** Verdicts of a log by app and key, with the next step for each app's newest key. */
export async function ofLog(file: string, vars: Vars): Promise<Finding[]> {
  const counts = new Map<string, Count>();
  for (const { attest, app, key, user } of linesOf(await read(file))) {
    const name = `${app} ${key}`;
    const count = counts.get(name) ?? { app, key, lines: 0, verdicts: new Map(), users: new Set(), without: new Set() };
    counts.set(name, count);
    count.lines += 1;
    count.verdicts.set(attest, (count.verdicts.get(attest) ?? 0) + 1);
    if (user === null) continue;
    count.users.add(user);
    if (attest !== "verified") count.without.add(user);
  }
  if (counts.size === 0)
    return [
      fault(
        "attestation",
        `${file} has no line with attest`,
        'Set attest to report in APP_GUARD, and log again: docs/operations/keys.md, "Attestation".',
      ),
    ];
  const all = policies(guardOf(vars));
  return [...counts].sort().map(([, { app, key, lines, verdicts, users, without }]) => {
    const share = 1 - (verdicts.get("verified") ?? 0) / lines;
    const found = `${[...verdicts].map(([verdict, count]) => `${count} ${verdict}`).join(", ")}; ${users.size} users, ${without.size} of them without a good token (${(share * 100).toFixed(1)} % of requests)`;
    const what = `attestation of ${app} with key ${key}`;
    const live = all.filter((one) => one.app === app && !one.key.retired);
    if (live.length > 0 && live.at(-1)?.key.id !== key) return well(what, `${found}; an older key`);
    if (live.at(-1)?.attest?.mode === "enforce") return well(what, `${found}; it is enforced`);
    const advice =
      share < SHARE_MAX
        ? "enforce it, if the log covers 7 days"
        : "stay in report: 1 % is the most that enforce should shut out";
    return well(what, `${found}; ${advice}`);
  });
}

/** Keys with what applies to each, in the order of APP_GUARD: new keys come last. */
export function policies({ apps }: AppGuard): { app: string; key: AppKey; attest: Attest | undefined }[] {
  return Object.entries(apps).flatMap(([app, { attest, keys }]) =>
    keys.map((key) => ({ app, key, attest: key.attest ?? attest })),
  );
}

function guardOf(vars: Vars): AppGuard {
  try {
    return JSON.parse(vars.APP_GUARD ?? "") as AppGuard;
  } catch {
    // Another finding reports invalid JSON.
    return { apps: {} };
  }
}

/** The request lines in a log: plain, or inside the JSON of `wrangler tail --format json` and log exports. */
function* linesOf(text: string): Generator<Line> {
  for (const line of text.split("\n")) yield* within(parsed(line.trim().replace(/,$/, "")));
}

function* within(value: unknown): Generator<Line> {
  if (typeof value === "string" && value.startsWith("{")) return yield* within(parsed(value));
  if (typeof value !== "object" || value === null) return;
  const { event, attest, app_id, guard_key, user_id } = value as Record<string, string | null>;
  if (event === "request") {
    if (attest && app_id && guard_key) yield { attest, app: app_id, key: guard_key, user: user_id ?? null };
    return;
  }
  for (const part of Object.values(value)) yield* within(part);
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
