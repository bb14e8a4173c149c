// npm run example, started as a person starts it.

import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";

import { devVars } from "../../tools/stack/vars.ts";
import { answers, end, freePort, killAll, npm, output } from "../support/commands.ts";

// The build has the URLs of the servers in it, and one is kept for each set of them.
const PORTS = { AIRLOCK_PORT: "28787", SUPABASE_PORT: "28788" };

let scratch: string;

before(async () => {
  scratch = await mkdtemp(join(tmpdir(), "airlock-example-"));
});
after(async () => {
  killAll();
  await rm(scratch, { recursive: true, force: true });
});

test("example serves the app and the server that it needs, and ends both", async () => {
  const examplePort = String(await freePort());
  const origin = `http://localhost:${examplePort}`;
  // As an older .dev.vars, which has no origins.
  const vars = join(scratch, "vars");
  await writeFile(vars, "CORS_ORIGINS=\n");
  const environment = {
    ...process.env,
    ...PORTS,
    EXAMPLE_PORT: examplePort,
    AIRLOCK_DATA: join(scratch, "data"),
    AIRLOCK_VARS: vars,
  };
  const example = npm(["run", "example"], environment);
  await output(example, new RegExp(`^example ready ${origin}$`, "m"));

  const page = await fetch(`${origin}/orgs`);
  assert.equal(page.headers.get("content-type"), "text/html;charset=utf-8");
  const scripts = [...(await page.text()).matchAll(/<script src="([^"]+)"/g)].map(([, path]) => path ?? "");
  const code = (await Promise.all(scripts.map(async (path) => (await fetch(origin + path)).text()))).join("\n");
  for (const port of Object.values(PORTS)) assert.ok(code.includes(`http://127.0.0.1:${port}`), port);
  const { SUPABASE_PUBLISHABLE_KEY = "" } = await devVars();
  assert.ok(code.includes(SUPABASE_PUBLISHABLE_KEY));
  const refused = await fetch(`http://127.0.0.1:${PORTS.AIRLOCK_PORT}/v1/me`, { headers: { origin } });
  assert.deepEqual([refused.status, refused.headers.get("access-control-allow-origin")], [401, origin]);

  // Another one finds the server, which does not know its origin.
  const second = npm(["run", "example"], { ...environment, EXAMPLE_PORT: String(await freePort()) });
  assert.notEqual(await end(second), 0);
  assert.match(
    second.output,
    /refuses pages of http:\/\/localhost:\d+\. Add CORS_ORIGINS=http:\/\/localhost:\d+ to \.dev\.vars/,
  );
  const third = npm(["run", "example"], environment);
  assert.notEqual(await end(third), 0);
  assert.match(third.output, new RegExp(`Port ${examplePort} is taken: .*EXAMPLE_PORT`));

  example.child.kill("SIGTERM");
  assert.equal(await end(example), 0, example.output);
  for (const port of [...Object.values(PORTS), examplePort]) assert.equal(await answers(port), false, port);
});
