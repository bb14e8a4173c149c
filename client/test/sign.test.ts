// The signer against the vectors of App Guard and against Node.js' own HMAC.

import assert from "node:assert/strict";
import { createHmac, randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { decodeBase64url } from "../src/bytes.ts";
import { canonicalString, createNonce, type SignInput, signRequest } from "../src/index.ts";
import { hmacSha256 } from "../src/sign.ts";
import { SECRET } from "./stub.ts";
import { requestOf, type Vector } from "./vector.ts";

const vectorFile = new URL("../../tests/vectors/app-guard.json", import.meta.url);
const vectors: Vector[] = JSON.parse(readFileSync(vectorFile, "utf8"));

for (const vector of vectors) {
  test(`vector: ${vector.name}`, () => {
    const request = requestOf(vector);
    assert.equal(canonicalString(request), vector.canonical);
    assert.deepEqual(signRequest({ ...request, secret: vector.secret }), {
      "X-App-Id": vector.app_id,
      "X-App-Timestamp": String(vector.timestamp),
      "X-App-Nonce": vector.nonce,
      "X-App-Signature": vector.signature,
    });
  });
}

const full = {
  appId: "rn-ios",
  secret: SECRET,
  timestamp: 1795348800,
  nonce: "Zm9vYmFyYmF6cXV4MTIzNA",
  method: "POST",
  target: "/v1/notes?limit=20",
  token: "header.payload.signature",
  body: '{"title":"Café ☕"}',
  idempotencyKey: "order-0001",
  ifMatch: '"3"',
  ifNoneMatch: '"4"',
} satisfies SignInput;

const signatureOf = (input: SignInput) => signRequest(input)["X-App-Signature"];

test("any changed character of any input changes the signature", () => {
  const signatures = new Set([signatureOf(full)]);
  let expected = 1;
  for (const [name, value] of Object.entries(full)) {
    const text = String(value);
    for (let at = 0; at < text.length; at++) {
      // The last character of the secret has spare bits: only some characters may stand there.
      const other = name === "secret" && at === text.length - 1 ? "4" : text[at] === "A" ? "B" : "A";
      const changed = text.slice(0, at) + other + text.slice(at + 1);
      signatures.add(signatureOf({ ...full, [name]: changed }));
      expected += 1;
    }
  }
  assert.equal(signatures.size, expected);
});

test("an absent input is another signature than any present one", () => {
  const names = ["token", "body", "idempotencyKey", "ifMatch", "ifNoneMatch"] as const;
  const signatures = names.map((name) => signatureOf({ ...full, [name]: undefined }));
  assert.equal(new Set([signatureOf(full), ...signatures]).size, names.length + 1);
});

test("a value moved to the next line is another signature", () => {
  const none = { ...full, idempotencyKey: null, ifMatch: null, ifNoneMatch: null };
  const moved = (["idempotencyKey", "ifMatch", "ifNoneMatch"] as const).map((name) =>
    signatureOf({ ...none, [name]: '"3"' }),
  );
  assert.equal(new Set(moved).size, 3);
});

test("no body and an empty body are the same bytes", () => {
  assert.equal(signatureOf({ ...full, body: null }), signatureOf({ ...full, body: "" }));
  assert.equal(signatureOf({ ...full, body: null }), signatureOf({ ...full, body: new Uint8Array() }));
});

test("a string body is its UTF-8 bytes; the method is signed in upper case", () => {
  const bytes = new Uint8Array(Buffer.from(full.body, "utf8"));
  assert.equal(signatureOf({ ...full, body: bytes, method: "post" }), signatureOf(full));
});

test("a nonce and a timestamp are made when absent", () => {
  const { nonce: _, timestamp: __, ...rest } = full;
  const headers = signRequest(rest);
  assert.match(headers["X-App-Nonce"], /^[0-9a-f]{32}$/);
  assert.ok(Math.abs(Number(headers["X-App-Timestamp"]) - Date.now() / 1000) < 5);
});

test("nonces differ, and have 16 bytes", () => {
  const nonces = Array.from({ length: 1000 }, createNonce);
  assert.equal(new Set(nonces).size, 1000);
  for (const nonce of nonces) assert.match(nonce, /^[0-9a-f]{32}$/);
});

test("without a random source the error names the package to install", () => {
  const crypto = Object.getOwnPropertyDescriptor(globalThis, "crypto")!;
  Object.defineProperty(globalThis, "crypto", { value: undefined, configurable: true });
  try {
    assert.throws(createNonce, /react-native-get-random-values/);
  } finally {
    Object.defineProperty(globalThis, "crypto", crypto);
  }
});

test("HMAC agrees with Node's for every length of key and message", () => {
  for (let length = 0; length < 200; length++) {
    const [key, message] = [randomBytes(length), randomBytes(199 - length)];
    const expected = createHmac("sha256", key).update(message).digest();
    assert.deepEqual(Buffer.from(hmacSha256(new Uint8Array(key), new Uint8Array(message))), expected);
  }
});

test("base64url agrees with Node's for every length", () => {
  for (let length = 0; length < 100; length++) {
    const bytes = crypto.getRandomValues(new Uint8Array(length));
    const text = Buffer.from(bytes).toString("base64url");
    assert.deepEqual(decodeBase64url(text), bytes);
  }
});

test("an unusable secret is refused without being repeated", () => {
  const unusable = {
    padded: `${SECRET}=`,
    "plain base64": `+/${SECRET.slice(2)}`,
    "with a space": `${SECRET.slice(0, 20)} ${SECRET.slice(20)}`,
    "with a line feed": `${SECRET}\n`,
    "not ASCII": `é${SECRET.slice(1)}`,
    "with non-zero spare bits": `${SECRET.slice(0, -1)}9`,
    "of an impossible length": `${SECRET}AA`,
    "of 31 bytes": Buffer.alloc(31, 7).toString("base64url"),
    empty: "",
  };
  for (const [name, secret] of Object.entries(unusable)) {
    assert.throws(
      () => signRequest({ ...full, secret }),
      (error: Error) =>
        error instanceof TypeError &&
        error.message.includes("app secret") &&
        (secret === "" || !error.message.includes(secret.slice(0, 12))),
      name,
    );
  }
});
