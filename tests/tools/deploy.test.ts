// wrangler.toml and npm run deploy, without an account.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { after, test } from "node:test";

import { Ajv } from "ajv";
import { parse } from "smol-toml";

import { unset } from "../../tools/setup/deployment.ts";
import { loadWrangler } from "../../tools/setup/heavy.ts";
import { root } from "../../tools/setup/shell.ts";

interface Limiter {
  name: string;
  namespace_id: string;
}
interface Environment {
  name: string;
  workers_dev: boolean;
  preview_urls: boolean;
  vars: Record<string, string>;
  secrets: { required: string[] };
  ratelimits: Limiter[];
  routes?: { pattern: string; custom_domain?: boolean }[];
  placement?: { region?: string };
  limits?: { cpu_ms?: number };
  observability: unknown;
  triggers: unknown;
  assets: unknown;
}

const file = join(root, "wrangler.toml");
const source = parse(readFileSync(file, "utf8")) as { env: Record<string, unknown> };
const named = Object.keys(source.env);
const environment = (env: string): Environment =>
  loadWrangler().unstable_readConfig({ config: file, env }) as unknown as Environment;

const scratch = mkdtempSync(join(tmpdir(), "airlock-deploy-"));
after(() => rmSync(scratch, { recursive: true, force: true }));

test("wrangler.toml is valid by wrangler's own schema", () => {
  const schema = JSON.parse(readFileSync(join(root, "node_modules/wrangler/config-schema.json"), "utf8"));
  const validate = new Ajv({ strict: false, allErrors: true }).compile(schema);
  assert.ok(validate(source), JSON.stringify(validate.errors, null, 1));
  assert.ok(!validate({ ...source, compatability_date: "2026-10-01" }), "the schema refuses unknown keys");
});

test("staging and production share nothing with another deployment", () => {
  assert.deepEqual(named, ["staging", "production"]);
  const all = ["", ...named].map(environment);
  const names = all.map(({ name }) => name);
  assert.equal(new Set(names).size, names.length);
  const namespaces = all.flatMap(({ ratelimits }) => ratelimits.map(({ namespace_id }) => namespace_id));
  assert.equal(new Set(namespaces).size, 2 * all.length);
  const [first] = all;
  for (const { vars, secrets, ratelimits, observability, triggers, assets } of all) {
    assert.ok("SUPABASE_URL" in vars && "SUPABASE_PUBLISHABLE_KEY" in vars);
    assert.ok(secrets.required.includes("APP_GUARD"));
    assert.deepEqual(
      ratelimits.map(({ name }) => name),
      ["LIMIT_IP", "LIMIT_USER"],
    );
    assert.deepEqual(
      { observability, triggers, assets },
      { observability: first?.observability, triggers: first?.triggers, assets: first?.assets },
    );
  }
  for (const { workers_dev, preview_urls, routes, placement, limits } of named.map(environment)) {
    assert.deepEqual(
      [workers_dev, preview_urls, routes?.every(({ custom_domain }) => custom_domain)],
      [false, false, true],
    );
    assert.ok(placement?.region && limits?.cpu_ms);
  }
});

for (const env of ["", ...named]) {
  test(`a dry run of ${env || "the deployment without an environment"} builds and binds all`, async () => {
    const out = join(scratch, `out-${env}`);
    const { code, output } = await deploy("--dry-run", "--outdir", out, ...(env ? ["--env", env] : []));
    assert.equal(code, 0, output);
    assert.match(output, /\[custom build\] Running: node tools\/run\.mjs build/);
    for (const binding of ["LIMIT_IP", "LIMIT_USER", "ASSETS", "SUPABASE_URL", "SUPABASE_PUBLISHABLE_KEY"])
      assert.match(output, new RegExp(`env\\.${binding} `));
    assert.ok(existsSync(join(out, "index.js")), output);
    const missing = unset(environment(env));
    assert.equal(/airlock: warning: .*has no value for/.test(output), missing.length > 0, output);
  });
}

test("a deployment with an empty variable or a placeholder is refused", async () => {
  const config = join(scratch, "wrangler.toml");
  const toml = `name = "scratch"\nmain = "${join(root, "build/index.js")}"\ncompatibility_date = "2026-10-01"\n[env.live]\nroutes = [{ pattern = "api.example.com", custom_domain = true }]\n[env.live.vars]\nSUPABASE_URL = ""\nSUPABASE_PUBLISHABLE_KEY = "sb_publishable_x"\n`;
  writeFileSync(config, toml);
  for (const args of [
    ["--env", "live"],
    ["--env=live", "--upload-only"],
    ["-e", "live"],
  ]) {
    const { code, output } = await deploy("--config", config, ...args);
    assert.equal(code, 1, output);
    assert.match(
      output,
      /env\.live of wrangler\.toml has no value for SUPABASE_URL, routes \(api\.example\.com is a placeholder\)/,
    );
  }
});

test("a secrets file whose APP_GUARD the Worker would refuse is not uploaded", async () => {
  const secrets = join(scratch, ".dev.vars.staging");
  writeFileSync(secrets, `APP_GUARD='{"apps":{},}'\n`);
  const { code, output } = await deploy("--dry-run", "--env", "staging", "--secrets-file", secrets);
  assert.equal(code, 1, output);
  assert.match(output, /APP_GUARD has a comma in front of a closing bracket/);
});

test("the secrets of a file are uploaded as they are written", async () => {
  let uploaded = "";
  const cloudflare = createServer(async (request, response) => {
    const body = await text(request);
    if (request.method === "PUT") uploaded = body;
    // There is no such Worker yet.
    const isNew = request.url?.includes("/services/");
    const result = request.url?.endsWith("/secrets") ? [] : { deployments: [], subdomain: {} };
    response.writeHead(isNew ? 404 : 200, { "content-type": "application/json" });
    response.end(JSON.stringify({ success: !isNew, errors: isNew ? [{ code: 10090 }] : [], messages: [], result }));
  });
  await once(cloudflare.listen(0, "127.0.0.1"), "listening");
  const { port } = cloudflare.address() as AddressInfo;
  Object.assign(process.env, {
    CLOUDFLARE_API_BASE_URL: `http://127.0.0.1:${port}`,
    EDGE_PROOF_SECRET: "of the environment",
  });
  try {
    const config = join(scratch, "secrets.toml");
    writeFileSync(join(scratch, "worker.js"), "export default { fetch: () => new Response() };");
    const vars = `SUPABASE_URL = "https://x.supabase.co"\nSUPABASE_PUBLISHABLE_KEY = "sb_publishable_x"\n`;
    writeFileSync(
      config,
      `name = "scratch"\nmain = "worker.js"\ncompatibility_date = "2026-10-01"\nworkers_dev = false\n[vars]\n${vars}`,
    );
    const secrets = join(scratch, ".dev.vars.scratch");
    writeFileSync(secrets, `APP_GUARD='{"apps":{}}'\nEDGE_PROOF_SECRET='a$HOME\${PATH}b'\n`);
    const { output } = await deploy("--config", config, `--secrets-file=${secrets}`);
    const { bindings } = JSON.parse(/^\{"main_module".*$/m.exec(uploaded)?.[0] ?? assert.fail(output)) as {
      bindings: { name: string; type: string; text: string }[];
    };
    assert.deepEqual(
      bindings.flatMap(({ name, type, text }) => (type === "secret_text" ? [[name, text]] : [])),
      [
        ["APP_GUARD", '{"apps":{}}'],
        ["EDGE_PROOF_SECRET", "a$HOME${PATH}b"],
      ],
    );
    const path = /--secrets-file (\S+secrets\.json)/.exec(output)?.[1];
    assert.ok(path === undefined || !existsSync(path), "the copy is removed");
  } finally {
    delete process.env.CLOUDFLARE_API_BASE_URL;
    delete process.env.EDGE_PROOF_SECRET;
    cloudflare.close();
  }
});

test("a variable that is not in wrangler.toml may be a secret, but for the URL", () => {
  assert.deepEqual(unset({ vars: {} }), ["SUPABASE_URL"]);
  assert.deepEqual(unset({ vars: { SUPABASE_URL: "https://x.supabase.co", CORS_ORIGINS: "" } }), ["CORS_ORIGINS"]);
  assert.deepEqual(
    unset({
      vars: { SUPABASE_URL: "https://x.supabase.co" },
      routes: ["api.notexample.com/*", { pattern: "api.myapp.dev" }],
    }),
    [],
  );
});

test("a dry run whose option npm swallowed is not deployed", async () => {
  process.env.npm_config_dry_run = "true";
  const { code, output } = await deploy();
  delete process.env.npm_config_dry_run;
  assert.equal(code, 1);
  assert.match(output, /npm took --dry-run for an option of its own\. Write -- after "npm run deploy"\./);
});

function deploy(...args: string[]): Promise<{ code: number; output: string }> {
  return new Promise((resolve) => {
    execFile(
      process.execPath,
      ["tools/run.mjs", "deploy", ...args],
      { cwd: root, env: { ...process.env, CLOUDFLARE_API_TOKEN: "none", CLOUDFLARE_ACCOUNT_ID: "none" } },
      (error, stdout, stderr) => {
        resolve({ code: error ? Number(error.code ?? 1) : 0, output: stdout + stderr });
      },
    );
  });
}
