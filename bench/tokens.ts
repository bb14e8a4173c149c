// Access tokens as Supabase Auth issues them.

import { createHmac, generateKeyPairSync, randomBytes, randomUUID, sign } from "node:crypto";

export type Alg = "HS256" | "ES256";

export const JWT_SECRET = randomBytes(48).toString("base64url");

const ec = generateKeyPairSync("ec", { namedCurve: "P-256" });
const KID = "bench-es256";

/** The project's published keys. */
export const PUBLIC_KEYS = [
  { ...ec.publicKey.export({ format: "jwk" }), kid: KID, alg: "ES256", use: "sig", key_ops: ["verify"] },
];

const SUB = randomUUID();

/** A new token of a user who is signed in for `seconds` more. */
export function newToken(alg: Alg, issuer: string, seconds = 3600): string {
  const now = Math.floor(Date.now() / 1000);
  const header = { alg, ...(alg !== "HS256" && { kid: KID }), typ: "JWT" };
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
  return signed(alg, header, payload);
}

/** A token of Approov that nobody has seen before, with the key that signs access tokens. */
export function newAttestation(): string {
  const exp = Math.floor(Date.now() / 1000) + 3600;
  return signed("ES256", { alg: "ES256", kid: KID, typ: "JWT" }, { exp, did: randomUUID() });
}

function signed(alg: Alg, header: unknown, payload: unknown): string {
  const encode = (part: unknown) => Buffer.from(JSON.stringify(part)).toString("base64url");
  const input = `${encode(header)}.${encode(payload)}`;
  return `${input}.${signature(alg, input).toString("base64url")}`;
}

/** The same token with a wrong signature of the right form. */
export function forged(token: string): string {
  const at = token.lastIndexOf(".") + 10;
  return token.slice(0, at) + (token[at] === "A" ? "B" : "A") + token.slice(at + 1);
}

function signature(alg: Alg, input: string): Buffer {
  if (alg === "HS256") return createHmac("sha256", JWT_SECRET).update(input).digest();
  return sign("sha256", Buffer.from(input), { key: ec.privateKey, dsaEncoding: "ieee-p1363" });
}
