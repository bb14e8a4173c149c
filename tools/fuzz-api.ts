// npm run fuzz-api: schemathesis makes requests from openapi.json and checks the answers, on the built Worker and real
// Postgres. tests/api/ has the signing of requests and further checks.
//
//     npm run fuzz-api                            the run of CI
//     npm run fuzz-api -- --max-time 600          any option of `schemathesis run`

import { createHash, randomBytes, randomUUID } from "node:crypto";
import { readFileSync, rmSync } from "node:fs";
import { mkdtemp, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";

import { APP, caller, startStack } from "../tests/e2e/support.ts";
import { pythonTools } from "./setup/python.ts";
import { Failure, root, run } from "./setup/shell.ts";
import { build } from "./setup/worker.ts";

/**
 * The first run lasts this many seconds, of which the examples and the edges of each schema take more than half. While
 * an operation has had no success, another one follows that lasts twice as long: a slow machine gets to less.
 */
const BUDGET = { seconds: 80, runs: 4 };
/** Stands among the operations: he is to have tried something. */
const BOB = "bob";
/** These leave no line in the log when all is well. */
const PROBES = ["GET /health", "GET /ready"];
/** A placeholder, which tests/api/hooks.py replaces by a signature when it sends a request. */
const UNSIGNED = "signed-when-sent";

const bin = await pythonTools("tests/api/requirements.txt");
await build();
const stack = await startStack();
const folder = await mkdtemp(join(tmpdir(), "airlock-fuzz-"));
process.on("exit", () => rmSync(folder, { recursive: true, force: true }));
for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => process.exit(1));

const users = join(folder, "users.json");
await writeFile(users, JSON.stringify({ auth: [credentials("alice"), credentials("bob")] }));
const { orgs, published, members, tokens } = await someOrganisations();
const cursors = await someCursors(orgs[0] ?? "");
const args = ["--config-file", "tests/api/schemathesis.toml", "run", `${stack.url}/openapi.json`];
const env = {
  ...process.env,
  // Directly to the Worker, without the machine's proxy.
  NO_PROXY: "127.0.0.1",
  no_proxy: "127.0.0.1",
  PYTHONDONTWRITEBYTECODE: "1",
  AIRLOCK_FUZZ_USERS: users,
  AIRLOCK_FUZZ_SECRET: APP.secret,
  AIRLOCK_FUZZ_ALICE: stack.alice.token,
  AIRLOCK_FUZZ_BOB: stack.bob.token,
  AIRLOCK_FUZZ_CURSORS: JSON.stringify(cursors),
  AIRLOCK_FUZZ_ORGS: orgs.join(" "),
  AIRLOCK_FUZZ_PUBLISHED: published.join(" "),
  AIRLOCK_FUZZ_MEMBERS: members.join(" "),
  AIRLOCK_FUZZ_TOKENS: tokens.join(" "),
};
let never = [BOB, ...operations()];
try {
  // Refusals alone would show nothing.
  for (let seed = 1; seed <= BUDGET.runs && never.length > 0; seed++) {
    // Always the same seeds, so that a change does not fail because of an older fault.
    const limits = ["--max-time", `${BUDGET.seconds * 2 ** (seed - 1)}`, "--seed", `${seed}`];
    const outcome = await run(join(bin, "schemathesis"), [...args, ...limits, ...process.argv.slice(2)], {
      stdio: "inherit",
      env,
    }).catch((error: unknown) => error);
    const answers = seen();
    if (outcome instanceof Error) throw outcome;
    never = await look(answers, never);
  }
} finally {
  await stack.stop();
}
if (never.length > 0)
  throw new Failure(`This shows too little: ${never.join(", ")} never had a success. Give it more time: --max-time.`);
process.exit();

interface Seen {
  route?: string;
  status: number;
  user_id?: string;
}

/** The Worker's answers in a run, by its log. */
function seen(): Seen[] {
  const lines = stack.worker.logs
    .splice(0)
    .map((line) => JSON.parse(line) as { route?: string; status?: number; user_id?: string });
  const answers = lines.flatMap(({ status, ...line }) => (status === undefined ? [] : [{ ...line, status }]));
  const asBob = answers.filter(({ user_id }) => user_id === stack.bob.id).length;
  const counts = new Map<number, number>();
  for (const { status } of answers) counts.set(status, (counts.get(status) ?? 0) + 1);
  const statuses = [...counts].sort().map(([status, count]) => `${count} × ${status}`);
  console.log(`airlock: ${answers.length} requests, ${asBob} of them as bob: ${statuses.join(", ")}`);
  return answers;
}

/** Searches for forbidden answers, and returns the operations without a success. */
async function look(answers: Seen[], wanted: string[]): Promise<string[]> {
  // Checks send requests as well, whose answers schemathesis does not hold against the document.
  if (answers.some(({ status }) => status >= 500)) throw new Failure("The Worker has answered with a 5xx.");
  const bobs = await stack.sql("select org_id from airlock.members where user_id = $1", [stack.bob.id]);
  if (bobs.length > 0) throw new Failure("Bob has become a member of an organisation.");
  const succeeded = new Set(answers.filter(({ status }) => status < 400).map(({ route }) => route));
  if (answers.some(({ user_id }) => user_id === stack.bob.id)) succeeded.add(BOB);
  return wanted.filter((what) => !succeeded.has(what));
}

function credentials(name: "alice" | "bob") {
  const headers = {
    Authorization: `Bearer ${stack[name].token}`,
    "X-App-Id": APP.appId,
    "X-App-Timestamp": UNSIGNED,
    "X-App-Nonce": UNSIGNED,
    "X-App-Signature": UNSIGNED,
  };
  return { name, fixedHeaders: Object.entries(headers).map(([name, value]) => ({ name, value })) };
}

/** The others of the document, as the log names them. */
function operations(): string[] {
  const { paths } = JSON.parse(readFileSync(join(root, "openapi.json"), "utf8")) as { paths: Record<string, object> };
  const all = Object.entries(paths).flatMap(([path, item]) =>
    Object.entries(item).flatMap(([method, { operationId }]) =>
      operationId ? [`${method.toUpperCase()} ${path}`] : [],
    ),
  );
  return all.filter((operation) => !PROBES.includes(operation));
}

/** A cursor of each list of the user alice, by the last segment of its path. A cursor is of one list. */
async function someCursors(org: string): Promise<Record<string, string>> {
  const alice = caller(stack.url, stack.alice.token);
  for (const title of ["one", "two"]) await alice("POST", "/v1/notes", { title });
  await alice("POST", `/v1/orgs/${org}/invitations`, { role: "viewer" });
  const lists = ["/v1/notes", "/v1/orgs", `/v1/orgs/${org}/members`, `/v1/orgs/${org}/invitations`];
  const cursors = lists.map(async (list) => {
    const { next_cursor } = JSON.parse((await alice("GET", `${list}?limit=1`)).body);
    if (typeof next_cursor !== "string") throw new Failure(`${list} has only one page.`);
    return [basename(list), next_cursor] as const;
  });
  return Object.fromEntries(await Promise.all(cursors));
}

/**
 * Organisations of alice, and tokens with which she joins others. The note and the invitation of one have its id:
 * tests/api/hooks.py makes use of that.
 */
async function someOrganisations(): Promise<Record<"orgs" | "published" | "members" | "tokens", string[]>> {
  const ids = (count: number) => Array.from({ length: count }, () => randomUUID());
  const [orgs, hosts, people] = [ids(100), ids(30), ids(3)];
  const tokens = hosts.map(() => randomBytes(32).toString("base64url"));
  const digest = (text: string) => createHash("sha256").update(text).digest("hex");
  const rows = <T>(items: T[], row: (item: T, n: number) => string) =>
    items.map((item, n) => `(${row(item, n)})`).join(", ");
  const host = people[0]!;
  const published = orgs.slice(50);
  const members = [...people, stack.alice.id];
  await stack.sql(`
    insert into auth.users (id) values ${rows(people, (id) => `'${id}'`)};
    insert into airlock.organizations (id, name) values ${rows([...orgs, ...hosts], (id) => `'${id}', 'an organisation'`)};
    insert into airlock.members (org_id, user_id, role) values
      ${orgs.map((org) => rows(members, (id) => `'${org}', '${id}', '${id === stack.alice.id ? "owner" : "editor"}'`)).join(", ")},
      ${rows(hosts, (org) => `'${org}', '${host}', 'owner'`)};
    insert into airlock.invitations (id, org_id, role, created_by, token_digest) values
      ${rows(orgs, (id) => `'${id}', '${id}', 'viewer', '${stack.alice.id}', '${digest(id)}'`)},
      ${rows(hosts, (id, n) => `'${id}', '${id}', '${["owner", "editor", "viewer"][n % 3]}', '${host}', '${digest(tokens[n]!)}'`)};
    insert into public.notes (id, org_id, user_id, title) values ${rows(orgs, (id) => `'${id}', '${id}', '${stack.alice.id}', 'a note'`)};
    update public.notes set published_at = now() where id in (${published.map((id) => `'${id}'`).join(", ")});
  `);
  return { orgs, published, members, tokens };
}
