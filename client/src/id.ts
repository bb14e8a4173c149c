/** Ids and names in paths, and random bytes to make ids of. */

import { encodeHex } from "./bytes.ts";

/** That many bytes from a cryptographically secure source. */
export type Random = (bytes: number) => Uint8Array;

/**
 * Bytes of the platform's `crypto`.
 *
 * @throws Error when there is none
 */
export const platformRandom: Random = (bytes) => {
  // Absent in Hermes, although the DOM types have it.
  const crypto: Crypto | undefined = globalThis.crypto;
  if (typeof crypto?.getRandomValues !== "function") {
    throw new Error(
      "crypto.getRandomValues is missing. Pass `random`, such as getRandomBytes of expo-crypto, or import " +
        "react-native-get-random-values first in index.js.",
    );
  }
  return crypto.getRandomValues(new Uint8Array(bytes));
};

/** A new random UUID, lower case. React Native has no `crypto.randomUUID`. */
export function createId(random: Random = platformRandom): string {
  const bytes = random(16);
  bytes[6] = (bytes[6]! & 0x0f) | 0x40;
  bytes[8] = (bytes[8]! & 0x3f) | 0x80;
  return encodeHex(bytes).replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
}

/** The kind of a resource's ids: a UUID, a number, or `"me"` where the row is the user's only one. */
export type IdKind = "uuid" | "bigint" | "owner";

/** The kind of a resource's ids, and its fields with a name that Airlock sets in other tables, such as `updated_at`. */
export type ResourceIds = IdKind | { readonly id: IdKind; readonly fields: readonly string[] };

const KINDS: Record<IdKind, [good: (id: unknown) => boolean, words: string]> = {
  uuid: [(id) => /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(id as string), "a lower-case UUID"],
  bigint: [(id) => Number.isSafeInteger(id) && (id as number) > 0, "a whole number above 0"],
  owner: [(id) => id === "me", '"me"'],
};

/**
 * The id, for a path.
 *
 * @throws TypeError unless it is of this kind: a 404 would look like a row that is gone
 */
export function checkedId(id: string | number, kind: IdKind = "uuid"): string {
  const [good, words] = KINDS[kind];
  if (!good(id)) throw new TypeError(`An id is ${words}, not ${JSON.stringify(id)}.`);
  return String(id);
}

/**
 * The name of a resource, for a path.
 *
 * @throws TypeError when no resource can have it
 */
export function checkedName(name: string): string {
  if (!/^[a-z][a-z0-9_]{0,39}$/.test(name)) throw new TypeError(`No resource is called ${JSON.stringify(name)}.`);
  return name;
}
