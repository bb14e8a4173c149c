// npm run fuzz:api: schemathesis makes up requests from openapi.json and holds the answers against it, on the built
// Worker and real Postgres. tests/api/ says how requests are signed and what else is checked.
//
//     npm run fuzz:api                            what CI insists on
//     npm run fuzz:api -- --max-time 600 --seed 2 any option of `schemathesis run`

import { readFileSync, rmSync } from "node:fs";
import { mkdtemp, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { APP, caller, startStack } from "../tests/e2e/support.ts";
import { pythonTools } from "./setup/python.ts";
import { Failure, root, run } from "./setup/shell.ts";
import { build } from "./setup/worker.ts";

/** In seconds, of which the examples and the edges of each schema take half. */
const BUDGET = 80;
/** Always the same: a change is not to fail for what another one did. */
const SEED = 1;
/** In place of what tests/api/hooks.py puts there as it sends a request. */
const UNSIGNED = "signed-when-sent";

const bin = await pythonTools("tests/api/requirements.txt");
await build();
// A machine that is slow for once is not what this looks for.
const stack = await startStack({ UPSTREAM_TIMEOUT_MS: "60000", STORE_TIMEOUT_MS: "60000" });
const folder = await mkdtemp(join(tmpdir(), "airlock-fuzz-"));
process.on("exit", () => rmSync(folder, { recursive: true, force: true }));
for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => process.exit(1));

const users = join(folder, "users.json");
await writeFile(users, JSON.stringify({ auth: [credentials("alice"), credentials("bob")] }));
const cursors = await someCursors();
const args = ["--config-file", "tests/api/schemathesis.toml", "run", `${stack.url}/openapi.json`];
const outcome = await run(join(bin, "schemathesis"), [...args, "--max-time", `${BUDGET}`, "--seed", `${SEED}`, ...process.argv.slice(2)], {
  stdio: "inherit",
  env: {
    ...process.env,
    // Straight to the Worker, whatever proxy the machine has for the rest.
    NO_PROXY: "127.0.0.1",
    no_proxy: "127.0.0.1",
    PYTHONDONTWRITEBYTECODE: "1",
    AIRLOCK_FUZZ_USERS: users,
    AIRLOCK_FUZZ_SECRET: APP.secret,
    AIRLOCK_FUZZ_ALICE: stack.alice.token,
    AIRLOCK_FUZZ_BOB: stack.bob.token,
    AIRLOCK_FUZZ_CURSORS: cursors.join(" "),
  },
}).catch((error: unknown) => error);
await stack.stop();

const lines = stack.worker.logs.map((line) => JSON.parse(line) as { route?: string; status?: number; user_id?: string });
const answers = lines.flatMap(({ status, ...line }) => (status === undefined ? [] : [{ ...line, status }]));
const asBob = answers.filter(({ user_id }) => user_id === stack.bob.id).length;
const counts = new Map<number, number>();
for (const { status } of answers) counts.set(status, (counts.get(status) ?? 0) + 1);
const statuses = [...counts].sort().map(([status, count]) => `${count} × ${status}`);
console.log(`airlock: ${answers.length} requests, ${asBob} of them as bob: ${statuses.join(", ")}`);
if (outcome instanceof Error) throw outcome;

// Checks send requests as well, whose answers schemathesis does not hold against the document.
if (answers.some(({ status }) => status >= 500)) throw new Failure("The Worker has answered with a 5xx.");
// Refusals alone would show nothing.
const succeeded = new Set(answers.filter(({ status }) => status < 400).map(({ route }) => route));
const never = operations().filter((route) => !succeeded.has(route));
if (never.length > 0 || asBob === 0) throw new Failure(`This shows too little: ${never.join(", ") || "bob"} never had a success. Give it more time: --max-time.`);
process.exit();

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

/** Those of the document, as the log names them. */
function operations(): string[] {
  const { paths } = JSON.parse(readFileSync(join(root, "openapi.json"), "utf8")) as { paths: Record<string, object> };
  return Object.entries(paths).flatMap(([path, item]) =>
    Object.entries(item).flatMap(([method, { operationId }]) => (operationId ? [`${method.toUpperCase()} ${path}`] : [])),
  );
}

/** Places in alice's list. */
async function someCursors(): Promise<string[]> {
  const alice = caller(stack.url, stack.alice.token);
  for (const title of ["one", "two", "three"]) await alice("POST", "/v1/notes", { title });
  const pages = await Promise.all([1, 2].map((limit) => alice("GET", `/v1/notes?limit=${limit}`)));
  return pages.map(({ body }) => JSON.parse(body).next_cursor);
}
