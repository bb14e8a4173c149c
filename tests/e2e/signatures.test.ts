// Project Wycheproof's vectors, through the lines that verify signatures in the shipped Worker: on workerd, whose
// Web Crypto they are for, and on Node.js. The native verifier runs the same ones (src/token/vectors.rs).

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

// The file has `verify` for itself: it is exported here, and nothing else is changed.
const exchange = `${readFileSync(join(root, "src/edge/exchange.js"), "utf8")}\nexport { verify };\n`;

/** Which vectors are good, as a module of its own: it is run in both places. */
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

test("workerd accepts every good signature and refuses every other, as the native verifier does", async (context) => {
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

test("so does Node.js", async () => {
  const load = (source: string) => import(`data:text/javascript,${encodeURIComponent(source)}`);
  const [{ verify }, node] = await Promise.all([load(exchange), load(judge)]);
  assertJudged(await node.judge(verify, vectors));
});
