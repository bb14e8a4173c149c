// Project Wycheproof's vectors through the shipped Worker's `verify`, on workerd and on Node.js. The native verifier runs
// the same vectors (src/auth/vectors.rs).

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { before, test } from "node:test";

import { convertV4MiniflareOptions, Log, LogLevel, Miniflare } from "miniflare";

import { root, run } from "../../tools/setup/shell.ts";

interface Vector {
  name: string;
  jwk: string;
  message: string;
  signature: string;
  good: boolean;
}

// The file does not export `verify`; this copy does, and changes nothing else.
const exchange = `${readFileSync(join(root, "src/worker/exchange.js"), "utf8")}\nexport { verify };\n`;

/** A module that says which vectors are good. It runs in both places. */
const judge = `
const bytes = (base64) => Uint8Array.from(atob(base64), (c) => c.charCodeAt(0));
export async function judge(verify, vectors) {
  const outcomes = [];
  for (const { jwk, message, signature } of vectors) {
    outcomes.push(await verify(jwk, bytes(message), bytes(signature)).catch(String));
  }
  return outcomes;
}
`;

let vectors: Vector[];

before(async () => {
  const args = ["run", "--locked", "--quiet", "--example", "signatures"];
  vectors = JSON.parse(await run("cargo", args, { stdio: ["ignore", "pipe", 2] }));
  assert.deepEqual([vectors.filter(({ good }) => good).length, vectors.length], [197, 1038]);
});

function assertJudged(outcomes: unknown[]): void {
  assert.equal(outcomes.length, vectors.length);
  for (const [place, { name, good }] of vectors.entries()) assert.equal(outcomes[place], good, name);
}

test("workerd judges every signature as the native verifier does", async (context) => {
  const miniflare = new Miniflare(
    convertV4MiniflareOptions({
      host: "127.0.0.1",
      port: 0,
      cf: false,
      log: new Log(LogLevel.ERROR),
      compatibilityDate: "2026-01-01",
      modules: [
        {
          type: "ESModule",
          path: "worker.js",
          contents: `
import { verify } from "./exchange.js";
import { judge } from "./judge.js";
export default { fetch: async (request) => Response.json(await judge(verify, await request.json())) };`,
        },
        { type: "ESModule", path: "exchange.js", contents: exchange },
        { type: "ESModule", path: "judge.js", contents: judge },
      ],
    }),
  );
  try {
    const response = await miniflare.dispatchFetch("http://127.0.0.1/", { method: "POST", body: JSON.stringify(vectors) });
    assertJudged((await response.json()) as unknown[]);
    context.diagnostic(`counted: ${vectors.length} of the same signatures by Web Crypto in workerd`);
  } finally {
    await miniflare.dispose();
  }
});

test("Node.js judges every signature likewise", async () => {
  const load = (source: string) => import(`data:text/javascript,${encodeURIComponent(source)}`);
  const [{ verify }, node] = await Promise.all([load(exchange), load(judge)]);
  assertJudged(await node.judge(verify, vectors));
});
