// Access tokens as Supabase Auth issues them, one more whenever one is asked for.

import { createHmac, generateKeyPairSync, randomBytes, randomUUID, sign, type KeyObject } from "node:crypto";

export type Alg = "HS256" | "ES256" | "RS256";

export const JWT_SECRET = randomBytes(48).toString("base64url");

const ec = generateKeyPairSync("ec", { namedCurve: "P-256" });
const rsa = generateKeyPairSync("rsa", { modulusLength: 2048 });

const jwk = (key: KeyObject, alg: Alg) => ({ ...key.export({ format: "jwk" }), kid: kidOf(alg), alg, use: "sig", key_ops: ["verify"] });

/** What the project publishes. */
export const PUBLIC_KEYS = [jwk(ec.publicKey, "ES256"), jwk(rsa.publicKey, "RS256")];

const SUB = randomUUID();

/** A token that nobody has seen before, of a user who is signed in for `seconds` more. */
export function newToken(alg: Alg, issuer: string, seconds = 3600): string {
  const now = Math.floor(Date.now() / 1000);
  const header = { alg, ...(alg !== "HS256" && { kid: kidOf(alg) }), typ: "JWT" };
  const payload = {
    iss: issuer,
    sub: SUB,
    aud: "authenticated",
    exp: now + seconds,
    iat: now - 5,
    email: "user@example.com",
    phone: "",
    app_metadata: { provider: "email", providers: ["email"] },
    user_metadata: { email: "user@example.com", email_verified: true, phone_verified: false, sub: SUB },
    role: "authenticated",
    aal: "aal1",
    amr: [{ method: "password", timestamp: now - 5 }],
    session_id: randomUUID(),
    is_anonymous: false,
  };
  const encode = (part: unknown) => Buffer.from(JSON.stringify(part)).toString("base64url");
  const input = `${encode(header)}.${encode(payload)}`;
  return `${input}.${signature(alg, input).toString("base64url")}`;
}

/** The same token with a signature that is none, of the right form. */
export function forged(token: string): string {
  const at = token.lastIndexOf(".") + 10;
  return token.slice(0, at) + (token[at] === "A" ? "B" : "A") + token.slice(at + 1);
}

function kidOf(alg: Alg): string {
  return `bench-${alg.toLowerCase()}`;
}

function signature(alg: Alg, input: string): Buffer {
  if (alg === "HS256") return createHmac("sha256", JWT_SECRET).update(input).digest();
  const key = alg === "ES256" ? ec.privateKey : rsa.privateKey;
  return sign("sha256", Buffer.from(input), { key, dsaEncoding: "ieee-p1363" });
}
