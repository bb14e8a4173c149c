/**
 * App Guard v1: the proof of which app sent a request.
 *
 * An HMAC-SHA256 over everything that gives the request its meaning. Change one byte of any of it,
 * and the signature is another.
 */

import { SHA256 } from "@stablelib/sha256";

import { decodeBase64url, encodeHex, encodeUtf8 } from "./bytes.ts";
import { platformRandom, type Random } from "./id.ts";

/** The parts of a request that the signature covers. */
export interface SignedFields {
  /** 1-64 of `A-Z a-z 0-9 . _ -`. */
  appId: string;
  /** Unix time in seconds. */
  timestamp: number | string;
  /** 22-64 of `A-Z a-z 0-9 _ -`, at least 128 random bits, never used twice. */
  nonce: string;
  method: string;
  /** Path and query exactly as sent, percent-encoded: `/v1/notes?limit=20`. */
  target: string;
  /** Bearer token, without the word `Bearer`. */
  token?: string | null;
  /** The exact bytes sent; a string stands for its UTF-8 bytes. */
  body?: string | Uint8Array | null;
  /** Value of the `Idempotency-Key` header. */
  idempotencyKey?: string | null;
  /** Value of the `If-Match` header. */
  ifMatch?: string | null;
  /** Value of the `If-None-Match` header. */
  ifNoneMatch?: string | null;
}

/** Input of {@link signRequest}: nonce and timestamp are made when absent. */
export type SignInput = Omit<SignedFields, "nonce" | "timestamp"> &
  Partial<Pick<SignedFields, "nonce" | "timestamp">> & {
    /** The app's key: base64url, at least 32 bytes. */
    secret: string;
  };

/** The headers to add to the request, beside those that were signed. */
export type SignatureHeaders = Record<"X-App-Id" | "X-App-Timestamp" | "X-App-Nonce" | "X-App-Signature", string>;

/**
 * Signs one request. Pure when `nonce` and `timestamp` are given; the values are signed as they
 * are, it is the server that judges them.
 *
 * @throws TypeError when the secret is unusable (the message does not repeat it)
 * @throws Error when a nonce is needed and there is no `crypto.getRandomValues`
 */
export function signRequest({ secret, ...fields }: SignInput): SignatureHeaders {
  const { nonce = createNonce(), timestamp = Math.floor(Date.now() / 1000) } = fields;
  const complete = { ...fields, nonce, timestamp };
  return signatureHeaders(complete, hmacSha256(decodeSecret(secret), canonicalBytes(complete)));
}

/** HMAC-SHA256 (RFC 2104). In five lines, since a package for it is larger than the rest of this file. */
export function hmacSha256(key: Uint8Array, message: Uint8Array): Uint8Array {
  const block = new Uint8Array(64);
  block.set(key.length > 64 ? sha256(key) : key);
  const keyed = (pad: number, data: Uint8Array) =>
    sha256(new Uint8Array([...block.map((byte) => byte ^ pad), ...data]));
  return keyed(0x5c, keyed(0x36, message));
}

/** The headers that carry this signature of these fields. */
export function signatureHeaders({ appId, timestamp, nonce }: SignedFields, signature: Uint8Array): SignatureHeaders {
  return {
    "X-App-Id": appId,
    "X-App-Timestamp": String(timestamp),
    "X-App-Nonce": nonce,
    "X-App-Signature": `v1=${encodeHex(signature)}`,
  };
}

/** The bytes that are signed. */
export function canonicalBytes(fields: SignedFields): Uint8Array {
  return encodeUtf8(canonicalString(fields));
}

/** The eleven lines that are signed, joined by `\n`. */
export function canonicalString(fields: SignedFields): string {
  return [
    "v1",
    fields.appId,
    String(fields.timestamp),
    fields.nonce,
    fields.method.toUpperCase(),
    fields.target,
    fields.token == null ? "-" : sha256Hex(fields.token),
    sha256Hex(fields.body ?? ""),
    fields.idempotencyKey ?? "-",
    fields.ifMatch ?? "-",
    fields.ifNoneMatch ?? "-",
  ].join("\n");
}

/**
 * A fresh nonce: 128 random bits as 32 hexadecimal digits.
 *
 * @throws Error when there is no `crypto.getRandomValues`
 */
export function createNonce(random: Random = platformRandom): string {
  return encodeHex(random(16));
}

/**
 * The bytes of an app's key.
 *
 * @throws TypeError unless it is unpadded base64url of at least 32 bytes
 */
export function decodeSecret(secret: string): Uint8Array {
  const key = decodeBase64url(secret);
  if (key === null) throw new TypeError("The app secret is not base64url without padding.");
  if (key.length < 32) {
    throw new TypeError(`The app secret has ${key.length} bytes, and needs 32.`);
  }
  return key;
}

const sha256 = (data: Uint8Array): Uint8Array => new SHA256().update(data).digest();

function sha256Hex(data: string | Uint8Array): string {
  return encodeHex(sha256(typeof data === "string" ? encodeUtf8(data) : data));
}
