// npm run evidence: checks that the database protects the rows of each user. It audits the catalogue, tries requests over
// REST as anon and as a second user, and looks for secrets in files.
//
//     npm run evidence                                  the migrations of this folder, on a database of its own
//     npm run evidence -- --db-url postgres://...       any database (or DATABASE_URL), in one read-only transaction
//         [--rest-url https://... --publishable-key sb_publishable_... [--user email:password --user email:password]]
//     [--schemas public,other] [--accepted FILE] [--json]
//     [--baseline FILE [--write-baseline]]    findings that are known; with the second one the file is written
//     [--secrets-file FILE]                   the secrets of a deployment: notes the apps that are not attested
//
// Ends with 0 when there is no finding beyond the baseline, 1 when there is one, 2 when something could not be read.

import { parseArgs } from "node:util";

import { unattested } from "./evidence/apps.ts";
import { type Audit, audit, exposedSchemas, readAccepted, withPublished } from "./evidence/audit.ts";
import { compare, writeBaseline } from "./evidence/baseline.ts";
import type { Accepted, Finding } from "./evidence/finding.ts";
import { hasRegistry, reading, whereTo } from "./evidence/foreign.ts";
import { look } from "./evidence/looks.ts";
import { breaks, leaks, ranked } from "./evidence/rank.ts";
import { type Report, readable } from "./evidence/report.ts";
import { readTables } from "./evidence/rows.ts";
import { type Caller, findingsOf, notTried, type Rest, type Tried, tryAll } from "./evidence/tries.ts";
import { built, findSecrets, history, isRepository, type Place, tree, type Unread } from "./secrets.ts";
import { printVisibly } from "./setup/output.ts";

const ANON: Caller = { name: "anon", role: "anon" };
const PASSWORD = "airlock-dev-password";

interface Options {
  schemas: string[];
  accepted: Accepted[];
  /** Whether the list of accepted findings was named, or is the project's own. */
  named: boolean;
  dbUrl: string | undefined;
  rest: Rest | undefined;
  users: [email: string, password: string][];
  baseline: string | undefined;
  writes: boolean;
  secretsFile: string | undefined;
  json: boolean;
}

type Looked = Audit & { database: string; tried: Tried[] };

async function options(): Promise<Options> {
  const { values } = parseArgs({
    options: {
      "db-url": { type: "string" },
      "rest-url": { type: "string" },
      "publishable-key": { type: "string" },
      user: { type: "string", multiple: true, default: [] },
      schemas: { type: "string", default: "public" },
      accepted: { type: "string" },
      baseline: { type: "string" },
      "write-baseline": { type: "boolean", default: false },
      "secrets-file": { type: "string" },
      json: { type: "boolean", default: false },
    },
  });
  const [url, publishableKey] = [values["rest-url"], values["publishable-key"]];
  const dbUrl = values["db-url"] ?? (process.env.DATABASE_URL || undefined);
  if ((url === undefined) !== (publishableKey === undefined))
    throw new Error("--rest-url and --publishable-key come together.");
  if (!dbUrl && url)
    throw new Error("--rest-url goes with --db-url: the database of the audit's own has a REST API already.");
  if (values.user.length > 0 && (!url || values.user.length !== 2))
    throw new Error(
      "--user goes with --rest-url, and is given twice: whose rows are there, and who should not see them.",
    );
  if (values["write-baseline"] && !values.baseline) throw new Error("--write-baseline goes with --baseline FILE.");
  const users = values.user.map((user): [string, string] => {
    const [, email, password] = /^([^:]+):(.+)$/s.exec(user) ?? [];
    if (!email || !password) throw new Error("--user takes email:password.");
    return [email, password];
  });
  return {
    schemas: values.schemas.split(","),
    accepted: await readAccepted(values.accepted ?? "supabase/evidence.json"),
    named: values.accepted !== undefined,
    dbUrl,
    rest: url && publishableKey ? { url: url.replace(/\/(rest\/v1\/?)?$/, ""), publishableKey } : undefined,
    users,
    baseline: values.baseline,
    writes: values["write-baseline"],
    secretsFile: values["secrets-file"],
    json: values.json,
  };
}

/** Makes a database for the audit, so that the tries may write. */
async function ofMigrations({ schemas, accepted }: Options): Promise<Looked> {
  const { signIn, startEmbedded } = await import("./evidence/embedded.ts");
  const { supabase, rest, stop } = await startEmbedded();
  try {
    const { sql } = supabase;
    await sql("begin");
    const found = await audit(sql, schemas, accepted);
    const exposed = await exposedSchemas(sql, schemas);
    await sql("rollback");
    const [alice, bob] = [
      await signIn(rest, "alice@example.com", PASSWORD),
      await signIn(rest, "bob@example.com", PASSWORD),
    ];
    const tried = await tryAll(sql, rest, exposed, alice.id, [ANON, bob], [...accepted, ...publicOnPurpose(found)]);
    return {
      ...found,
      findings: [...found.findings, ...findingsOf(tried), ...notTried(tried)],
      tried,
      database: "supabase/migrations on an empty database",
    };
  } finally {
    await stop();
  }
}

/** Policies that show rows to everybody because the rows say so. */
const publicOnPurpose = ({ notes }: Audit): Accepted[] =>
  notes.filter(({ rule }) => rule === "policy-public").map(({ object, why }) => ({ rule: "policy-true", object, why }));

async function signedIn(rest: Rest, users: Options["users"]) {
  const { signIn } = await import("./evidence/embedded.ts");
  return Promise.all(users.map(([email, password]) => signIn(rest, email, password)));
}

async function ofUrl(url: string, { schemas, accepted, named, rest, users }: Options): Promise<Looked> {
  const { tables, meant, ...found } = await reading(url, async (sql) => {
    // The project's own list is about the project's own core.
    const list = named || (await hasRegistry(sql)) ? accepted : [];
    const found = await audit(sql, schemas, list);
    return {
      ...found,
      tables: await readTables(sql, await exposedSchemas(sql, schemas)),
      meant: [...(await withPublished(sql, list)), ...publicOnPurpose(found)],
    };
  });
  const [first, second] = rest ? await signedIn(rest, users) : [];
  const tried = await look(rest, tables, first, second, meant);
  const whys = tried.flatMap(({ outcome, how, as }) => (outcome === "not tried" ? [`${how} (as ${as})`] : []));
  const left = [
    ...found.left,
    ...[...new Set(whys)].map((why) => `${whys.filter((one) => one === why).length} tries: ${why}`),
  ];
  return { ...found, findings: [...found.findings, ...findingsOf(tried)], tried, left, database: whereTo(url) };
}

type Scan = Pick<Report, "findings" | "checked" | "left" | "unread">;

/** Looks for secret keys in files, in the history and in the build. */
function secrets(): Scan {
  const sources: [string, (unread: Unread) => Place[]][] = [
    ["files", tree],
    ["objects of the history", history],
    ["built files", built],
  ];
  const scan: Scan = { findings: [], checked: {}, left: [], unread: [] };
  const why = "With it a reader bypasses every policy, or signs as another user. Committed text stays in every clone.";
  const mend =
    "-- Revoke the key where it was made, then take it out of the file; the history keeps it, which no longer matters.";
  for (const [name, places] of sources) {
    try {
      const found = places((what) => scan.unread.push(`${name}: ${what}`));
      scan.checked[name] = found.length;
      const none = places === history && !isRepository() ? "this folder is in no git repository" : "there are none";
      if (found.length === 0) scan.left.push(`${name}: ${none}`);
      for (const { name: object, text } of found) {
        for (const { kind, begins } of findSecrets(text))
          scan.findings.push({ rule: "secret", level: "finding", object, what: `${kind}: ${begins}`, why, mend });
      }
    } catch (error) {
      scan.unread.push(`${name}: ${(error as Error).message.split("\n")[0]}`);
    }
  }
  return scan;
}

async function main(): Promise<void> {
  const chosen = await options();
  // The embedded Supabase logs each request that it refuses; the report has them already.
  console.log = console.warn = console.error = () => undefined;
  const apps = chosen.secretsFile === undefined ? [] : await unattested(chosen.secretsFile);
  const looked = chosen.dbUrl ? await ofUrl(chosen.dbUrl, chosen) : await ofMigrations(chosen);
  const scan = secrets();
  const found: Finding[] = [...looked.findings, ...scan.findings];
  // An incomplete report fails, and is not written as a baseline.
  const incomplete = scan.unread.length > 0;
  if (chosen.baseline && chosen.writes && !incomplete) await writeBaseline(found, chosen.baseline);
  const { findings, ...baseline } =
    chosen.baseline && !(chosen.writes && incomplete) ? await compare(found, chosen.baseline) : { findings: found };
  const marked = (list: Finding[]) => ranked(list).map((one) => ({ ...one, leaks: leaks(one), breaks: breaks(one) }));
  const report: Report = {
    ...looked,
    findings: marked(findings),
    notes: marked([...looked.notes, ...apps]),
    ...("known" in baseline && { baseline }),
    checked: { ...looked.checked, ...scan.checked },
    left: [
      ...looked.left,
      ...scan.left,
      ...(chosen.secretsFile === undefined ? ["attestation of the apps: no --secrets-file"] : []),
    ],
    unread: scan.unread,
  };
  process.stdout.write(`${chosen.json ? JSON.stringify(report, null, 2) : readable(report)}\n`);
  process.exitCode = incomplete ? 2 : findings.length > 0 ? 1 : 0;
}

printVisibly();
await main().catch((error: unknown) => {
  process.stderr.write(`airlock: could not check: ${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 2;
});
