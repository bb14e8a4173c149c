// A stand-in for Firebase App Check in development: a key set, and tokens for every caller. Its key lives as long as
// the process.

import { generateKeyPairSync, type KeyObject, sign } from "node:crypto";

/** The project that the development server configures for `AIRLOCK_ATTEST`, and its app. */
export const projectNumber = "123456789012";
export const appId = `1:${projectNumber}:web:0a1b2c3d4e5f`;

/** Paths below the URL of the embedded Supabase. */
export const KEY_SET = "/app-check/v1/jwks";
export const TOKEN = "/app-check/v1/token";

/** Kinds of tokens; the last one is the placeholder that Firebase's libraries send when they have none. */
export const kinds = ["good", "expired", "wrong-app", "placeholder"] as const;
export type Kind = (typeof kinds)[number];

const KID = "development";
let pair: { publicKey: KeyObject; privateKey: KeyObject } | undefined;
const keys = () => (pair ??= generateKeyPairSync("rsa", { modulusLength: 2048 }));

/** The answer to a request for the key set or for a token (`?kind=`); `undefined` for any other. */
export function appCheck({ url }: Request): Response | undefined {
  const { pathname, searchParams } = new URL(url);
  if (pathname === KEY_SET) {
    return Response.json({
      keys: [{ ...keys().publicKey.export({ format: "jwk" }), kid: KID, alg: "RS256", use: "sig" }],
    });
  }
  if (pathname !== TOKEN) return undefined;
  const kind = searchParams.get("kind") ?? "good";
  const known = kinds.find((one) => one === kind);
  if (!known) return Response.json({ message: `kind is one of ${kinds.join(", ")}` }, { status: 400 });
  return Response.json({ token: tokenOf(known) });
}

function tokenOf(kind: Kind): string {
  if (kind === "placeholder") return "eyJlcnJvciI6IlVOS05PV05fRVJST1IifQ==";
  const iat = Math.floor(Date.now() / 1000) - (kind === "expired" ? 7200 : 0);
  const claims = {
    iss: `https://firebaseappcheck.googleapis.com/${projectNumber}`,
    aud: [`projects/${projectNumber}`, "projects/development"],
    sub: kind === "wrong-app" ? `1:${projectNumber}:web:ffffffffffff` : appId,
    iat,
    exp: iat + 3600,
  };
  const parts = [{ alg: "RS256", kid: KID, typ: "JWT" }, claims].map((part) =>
    Buffer.from(JSON.stringify(part)).toString("base64url"),
  );
  return [...parts, sign("sha256", Buffer.from(parts.join(".")), keys().privateKey).toString("base64url")].join(".");
}
