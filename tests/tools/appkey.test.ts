// npm run app-key, and the faults in APP_GUARD that it refuses.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, beforeEach, test } from "node:test";
import { parseEnv } from "node:util";

import { root } from "../../tools/setup/shell.ts";
import { appGuardIn, parseAppGuard, withAppGuard } from "../../tools/stack/app-guard.ts";

const scratch = mkdtempSync(join(tmpdir(), "airlock-app-key-"));
after(() => rmSync(scratch, { recursive: true, force: true }));
const file = join(scratch, ".dev.vars.production");
beforeEach(() => rmSync(file, { force: true }));

const SECRET = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8";
const month = () => new Date().toISOString().slice(0, 7);

function appKey(...args: string[]): { code: number | null; output: string } {
  const task = ["--import", new URL("../../tools/setup/preload.ts", import.meta.url).href, "tools/app-key.ts"];
  const run = spawnSync(process.execPath, [...task, ...args, "--file", file], { cwd: root, encoding: "utf8" });
  return { code: run.status, output: run.stdout + run.stderr };
}

function done(...args: string[]): string {
  const { code, output } = appKey(...args);
  assert.equal(code, 0, output);
  return output;
}

const guard = () => appGuardIn(readFileSync(file, "utf8"));

test("a key is added, retired and removed", async () => {
  const first = done("add", "rn-ios");
  const secret = /secret {2}([A-Za-z0-9_-]{43})$/m.exec(first)?.[1];
  assert.deepEqual(await guard(), {
    default: "enforce",
    apps: { "rn-ios": { mode: "enforce", keys: [{ id: month(), secret }] } },
  });
  assert.match(first, new RegExp(`^All secrets .* npm run deploy -- --secrets-file ${file} --env production$`, "m"));
  assert.match(first, new RegExp(` npx wrangler secret bulk ${file} --env production$`, "m"));
  assert.match(first, new RegExp(`npx wrangler versions secret bulk ${file} --env production$`, "m"));
  assert.equal(statSync(file).mode & 0o777, 0o600);

  done("add", "rn-ios");
  done("add", "rn-android", "--id", "spring");
  assert.deepEqual(
    (await guard())?.apps["rn-ios"]?.keys.map(({ id }) => id),
    [month(), `${month()}-2`],
  );
  assert.notEqual((await guard())?.apps["rn-ios"]?.keys[1]?.secret, secret);

  done("retire", "rn-ios", month(), "--message", "It's time to update “Notes” for $HOME");
  assert.deepEqual((await guard())?.apps["rn-ios"]?.keys[0], {
    id: month(),
    secret,
    retired: true,
    message: "It's time to update “Notes” for $HOME",
  });

  const list = done("list");
  assert.match(
    list,
    new RegExp(
      `^rn-ios \\(enforce\\)\n {2}${month()} {2}retired: It's time to update “Notes” for \\$HOME\n {2}${month()}-2\nrn-android \\(enforce\\)\n {2}spring$`,
      "m",
    ),
  );
  assert.ok(!list.includes(String(secret)));

  done("remove", "rn-ios", month());
  assert.match(done("remove", "rn-ios", `${month()}-2`), /last key is removed, and the app with it/);
  assert.deepEqual(Object.keys((await guard())?.apps ?? {}), ["rn-android"]);
});

test("attestation stays as it is, and is listed", async () => {
  const attest = (mode: string) => ({
    mode,
    firebase: { project: "123456789012", app_ids: ["1:123456789012:ios:0a1b2c3d"] },
  });
  const key = { id: "one", secret: SECRET, attest: attest("enforce") };
  writeFileSync(
    file,
    `APP_GUARD='${JSON.stringify({ apps: { "rn-ios": { attest: attest("report"), keys: [key] } } })}'\n`,
  );
  done("add", "rn-ios", "--id", "two");
  assert.match(done("list"), /^rn-ios \(enforce, attest report\)\n {2}one {2}attest enforce\n {2}two$/m);
  const app = (await guard())?.apps["rn-ios"];
  assert.deepEqual([app?.attest, app?.keys[0]], [attest("report"), key]);
});

test("the other lines of the file stay as they are", async () => {
  const other = "# a comment with APP_GUARD=x\nSUPABASE_SECRET_KEY='sb_secret_$1'\n";
  writeFileSync(file, `${other}APP_GUARD='{"apps":{}}'\nEDGE_PROOF_SECRET=y\n`);
  done("add", "rn-ios");
  const text = readFileSync(file, "utf8");
  assert.ok(text.startsWith(`${other}APP_GUARD='{`) && text.endsWith("'\nEDGE_PROOF_SECRET=y\n"), text);
  assert.equal(parseEnv(text).EDGE_PROOF_SECRET, "y");
  assert.equal(await withAppGuard("A=1", { apps: {} }), `A=1\nAPP_GUARD='{"apps":{}}'\n`);
  const json = JSON.parse(await withAppGuard('{"A":"1"}', { apps: {} }));
  assert.deepEqual(json, { A: "1", APP_GUARD: '{"apps":{}}' });
});

test("a wrong command line is refused and changes nothing", () => {
  done("add", "rn-ios", "--id", "one");
  const before = readFileSync(file, "utf8");
  for (const [says, ...args] of [
    [/npm run app-key -- add APP/],
    [/npm run app-key -- add APP/, "rotate", "rn-ios"],
    [/incomplete/, "add"],
    [/incomplete/, "retire", "rn-ios"],
    [/--message goes with retire/, "add", "rn-ios", "--message", "x"],
    [/--id goes with add/, "remove", "rn-ios", "one", "--id", "one"],
    [/There is no app rn-web\. The apps: rn-ios\./, "retire", "rn-web", "one"],
    [/rn-ios has no key two\. Its keys: one\./, "remove", "rn-ios", "two"],
    [/rn-ios has a key one already/, "add", "rn-ios", "--id", "one"],
    [/APP_GUARD has an app id that is not 1 to 64 of/, "add", "rn ios"],
    [/APP_GUARD app rn-ios has a key whose id is not 1 to 64 of/, "add", "rn-ios", "--id", "é"],
    [/has \d+ bytes, and at most 5000 fit/, "retire", "rn-ios", "one", "--message", "x".repeat(5000)],
  ] as const) {
    const { code, output } = appKey(...args);
    assert.equal(code, 1, output);
    assert.match(output, says);
    assert.equal(readFileSync(file, "utf8"), before);
  }
  for (let n = 0; n < 7; n += 1) done("add", "rn-ios");
  assert.match(appKey("add", "rn-ios").output, /has more than 8 keys/);
});

test("typographic quotes, a byte order mark and a trailing comma are refused by name", async () => {
  const key = `{"id":"k","secret":"${SECRET}"}`;
  for (const [text, says] of [
    [`APP_GUARD='{“apps”:{}}'`, /APP_GUARD has the typographic quote “/],
    [`APP_GUARD=‘{"apps":{}}’`, /APP_GUARD is between typographic quotes/],
    [`\ufeffAPP_GUARD='{"apps":{}}'`, /The file begins with a byte order mark/],
    [`APP_GUARD='\ufeff{"apps":{}}'`, /APP_GUARD begins with a byte order mark/],
    [`APP_GUARD='{"apps":{},}'`, /APP_GUARD has a comma in front of a closing bracket/],
    [`APP_GUARD='{"apps":{"a":{"keys":[${key},]}}}'`, /APP_GUARD has a comma in front of a closing bracket/],
    [`APP_GUARD='{"apps":{}'`, /APP_GUARD is not JSON, or repeats a name/],
    [`APP_GUARD='{"apps":{"a":{"keys":[${key}]},"a":{"keys":[${key}]}}}'`, /APP_GUARD is not JSON, or repeats a name/],
    [`APP_GUARD='{"default":"on","apps":{}}'`, /APP_GUARD must look like/],
    [`APP_GUARD='{"apps":{"a":{"keys":[]}}}'`, /app a is enforced but has no key/],
    [`APP_GUARD='{"apps":{"a":{"keys":[${key},${key}]}}}'`, /app a has two keys of one id/],
    [`APP_GUARD='{"apps":{"a":{"keys":[${key}],"name":"x"}}}'`, /APP_GUARD must look like/],
    [
      `APP_GUARD='{"apps":{"a":{"keys":[{"id":"k","secret":"${SECRET.slice(1)}"}]}}}'`,
      /app a has a key whose secret is/,
    ],
    [`APP_GUARD='{"apps":{"a":{"keys":[{"id":"k","secret":"${SECRET}="}]}}}'`, /app a has a key whose secret is/],
    [`APP_GUARD='{}'`, /APP_GUARD must look like/],
    [`{"APP_GUARD":"{\\"apps\\":{},}"}`, /has a comma/],
    [`{"APP_GUARD":${SECRET}}`, /The file is no JSON object of texts/],
    ['{"APP_GUARD":{"apps":{}}}', /The file is no JSON object of texts/],
    ["EDGE_PROOF_SECRET='a\\$b'", /EDGE_PROOF_SECRET has \\\$/],
  ] as const) {
    await assert.rejects(appGuardIn(text), says, text);
    writeFileSync(file, text);
    const { code, output } = appKey("list");
    assert.equal(code, 1, output);
    assert.match(output, says);
    assert.ok(!output.includes(SECRET.slice(1)), "a secret is quoted");
  }
});

test("values that the Worker accepts are accepted", async () => {
  for (const text of [
    `{"apps":{}}`,
    ` { "default" : "report", "apps": {"web": {"mode":"off"}, "7": {"keys":[{"id":"a","secret":"${SECRET}"}]}, "\\u0061": {"mode":"report","keys":[]}}}\n`,
    `{"apps":{"a":{"keys":[{"id":"k","secret":"${SECRET}","retired":false,"message":null}]}}}`,
    `{"apps":{"a":{"keys":[{"id":"k","secret":"${SECRET}","message":"“Update”, please ,}"}]}}}`,
  ]) {
    assert.deepEqual(Object.keys((await parseAppGuard(text)).apps), Object.keys(JSON.parse(text).apps));
  }
});
