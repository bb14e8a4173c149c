/** For Expo: options from the config plugin, random bytes and HMAC of expo-crypto, and TanStack Query's managers. */

import { CryptoDigestAlgorithm, digest, getRandomBytes } from "expo-crypto";
import * as Network from "expo-network";
import { AppState, Platform } from "react-native";

import type { Random } from "./id.ts";
import { type FocusManagerLike, type OnlineManagerLike, tellFocus, tellNetwork } from "./managers.ts";
import type { AirlockOptions } from "./transport.ts";

export type { FocusManagerLike, OnlineManagerLike } from "./managers.ts";

/** The settings that the config plugin writes to `extra.airlock`. */
export interface AirlockExtra {
  url?: string;
  /** Keys by platform. `default` is for platforms without a key of their own. */
  keys?: Partial<Record<string, { appId: string; secret: string }>>;
}

/** Random bytes: the option `random`, and for `createId(random)`. */
export const random: Random = getRandomBytes;

/** HMAC-SHA256 with the platform's SHA-256: the option `hmac`. On the web it needs https or localhost. */
export async function hmac(key: Uint8Array, message: Uint8Array): Promise<Uint8Array> {
  const sha256 = async (...parts: Uint8Array[]) =>
    new Uint8Array(await digest(CryptoDigestAlgorithm.SHA256, new Uint8Array(parts.flatMap((part) => [...part]))));
  const block = new Uint8Array(64);
  block.set(key.length > 64 ? await sha256(key) : key);
  const padded = (pad: number) => block.map((byte) => byte ^ pad);
  return sha256(padded(0x5c), await sha256(padded(0x36), message));
}

/**
 * The options that the config plugin took from the environment of the build, and `random`:
 * `createAirlock({ ...expoOptions(Constants.expoConfig), getToken })`, with `Constants` of expo-constants.
 *
 * @throws Error when a variable was not set
 */
export function expoOptions(
  config: { extra?: Record<string, any> | undefined } | null,
): Pick<AirlockOptions, "url" | "appId" | "secret" | "random"> {
  const { url, keys = {} }: AirlockExtra = config?.extra?.airlock ?? {};
  const key = keys[Platform.OS] ?? keys.default;
  if (url === undefined || key === undefined) {
    throw new Error(
      'EXPO_PUBLIC_AIRLOCK_URL, _APP_ID or _SECRET was not set when the app was built, or "react-native-airlock" is ' +
        "not among the plugins of app.json.",
    );
  }
  return { url, ...key, random };
}

/**
 * Refetches stale queries when the app comes to the foreground, and pauses queries without a network. Once, with
 * TanStack Query's own: `followPhone({ focusManager, onlineManager })`.
 */
export function followPhone(managers: { focusManager: FocusManagerLike; onlineManager: OnlineManagerLike }): void {
  tellFocus(managers.focusManager, AppState);
  tellNetwork(managers.onlineManager, Network);
}
