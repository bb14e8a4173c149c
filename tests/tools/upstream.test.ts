// npm run upstream: settings that the Worker accepts, for `supabase start` and for a hosted project.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { after, afterEach, test } from "node:test";
import { parseEnv } from "node:util";

import { root } from "../../tools/setup/shell.ts";
import { assertOk, assertProblem } from "../e2e/http.ts";
import { claims, json, jws, newKey, type Signer, type Stub, startStub } from "../e2e/stub.ts";
import { caller, withWorker, workerVars } from "../e2e/support.ts";

const scratch = mkdtempSync(join(tmpdir(), "airlock-upstream-"));
const stubs: Stub[] = [];
after(() => rmSync(scratch, { recursive: true, force: true }));
afterEach(() => Promise.all(stubs.splice(0).map((stub) => stub.stop())));

const file = join(scratch, ".dev.vars.upstream");
const SECRET = "super-secret-jwt-token-with-at-least-32-characters-long";
const signer = newKey("local");
const legacy: Signer = { alg: "HS256", key: SECRET, jwk: {} };

async function stubWith(keys: Signer[]): Promise<Stub> {
  const stub = await startStub();
  stubs.push(stub);
  stub.keys = json(200, { keys: keys.map(({ jwk }) => jwk) });
  return stub;
}

async function upstream(input: string, ...args: string[]): Promise<{ code: number; output: string }> {
  const task = ["--import", new URL("../../tools/setup/preload.ts", import.meta.url).href, "tools/upstream.ts"];
  const child = spawn(process.execPath, [...task, ...args, "--file", file], { cwd: root });
  const ended = new Promise<number>((resolve) => child.on("close", resolve));
  child.stdin.end(input);
  const [stdout, stderr, code] = await Promise.all([text(child.stdout), text(child.stderr), ended]);
  return { code, output: stdout + stderr };
}

/** The output of `supabase status -o env`. */
const status = (url: string, more = `PUBLISHABLE_KEY="sb_publishable_local"\nSECRET_KEY="sb_secret_local"\n`) =>
  `ANON_KEY="legacy.anon.key"\nAPI_URL="${url}"\nDB_URL="postgresql://postgres@127.0.0.1:54322/postgres"\nJWT_SECRET="${SECRET}"\nSERVICE_ROLE_KEY="legacy.service.key"\n${more}`;
const written = () => parseEnv(readFileSync(file, "utf8"));

for (const [name, keys, good, other] of [
  ["keys of its key set", [signer], signer, legacy],
  ["HS256", [], legacy, signer],
] as const) {
  test(`supabase start that signs with ${name}`, async () => {
    const { url } = await stubWith([...keys]);
    const { code, output } = await upstream(status(url));
    assert.equal(code, 0, output);
    assert.match(
      output,
      new RegExp(
        `signs tokens with ${name}\\. Then:\\n\\n {4}AIRLOCK_UPSTREAM=${url} AIRLOCK_VARS=${file} npm run dev$`,
        "m",
      ),
    );
    assert.deepEqual(written(), {
      SUPABASE_URL: url,
      SUPABASE_PUBLISHABLE_KEY: "sb_publishable_local",
      SUPABASE_SECRET_KEY: "sb_secret_local",
      SUPABASE_JWT_ISSUER: "",
      SUPABASE_JWT_SECRET: name === "HS256" ? SECRET : "",
    });
    assert.equal(statSync(file).mode & 0o777, 0o600);
    // Over the settings of the embedded one, as `npm run dev` does it.
    await withWorker({ ...workerVars(url), ...(written() as Record<string, string>) }, {}, async (worker) => {
      const iss = `${url}/auth/v1`;
      assertOk(await caller(worker.url, jws(good, claims({ iss })))("GET", "/v1/notes"), 200);
      for (const token of [jws(good, claims({ iss: `${url}/elsewhere` })), jws(other, claims({ iss }))])
        assertProblem(await caller(worker.url, token)("GET", "/v1/notes"), "token_invalid");
    });
  });
}

test("a hosted project, by its URL and key", async () => {
  const { url } = await stubWith([signer]);
  const { code, output } = await upstream("", "--url", `${url}/`, "--key", "sb_publishable_staging");
  assert.equal(code, 0, output);
  assert.deepEqual(written(), {
    SUPABASE_SECRET_KEY: "",
    SUPABASE_URL: url,
    SUPABASE_PUBLISHABLE_KEY: "sb_publishable_staging",
    SUPABASE_JWT_ISSUER: "",
    SUPABASE_JWT_SECRET: "",
  });
});

test("earlier versions of the CLI have only legacy keys", async () => {
  const { url } = await stubWith([]);
  const { code, output } = await upstream(status(url, ""));
  assert.equal(code, 0, output);
  assert.deepEqual(
    [written().SUPABASE_PUBLISHABLE_KEY, written().SUPABASE_SECRET_KEY],
    ["legacy.anon.key", "legacy.service.key"],
  );
});

test("invalid values are refused, and nothing is written", async () => {
  rmSync(file, { force: true });
  const { url } = await stubWith([]);
  for (const [input, args, sentence] of [
    ["", [], /The input has no API_URL and PUBLISHABLE_KEY or ANON_KEY/],
    ["", ["--url", url], /--url and --key come together\./],
    ["", ["--url", "here", "--key", "k"], /here is not a URL\./],
    [
      "",
      ["--url", `${url}/nowhere`, "--key", "k"],
      /\/nowhere\/auth\/v1\/\.well-known\/jwks\.json gives no key set: status 404\. Is Supabase running there\?/,
    ],
    ["", ["--url", url, "--key", "k"], /signs tokens with HS256: its key set is empty\. Move it to asymmetric keys, /],
  ] as const) {
    const { code, output } = await upstream(input, ...args);
    assert.equal(code, 1, output);
    assert.match(output, sentence);
  }
  assert.throws(() => statSync(file));
});
