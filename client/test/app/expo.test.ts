// Expo's entry below jest-expo, whose mock of expo-crypto digests nothing: Node.js does it here.

import { createHmac } from "node:crypto";

import { focusManager, onlineManager } from "@tanstack/react-query";
import Constants from "expo-constants";
import * as Network from "expo-network";
import { AppState } from "react-native";
import { createAirlock, createId } from "react-native-airlock";
import { expoOptions, followPhone, hmac, random } from "react-native-airlock/expo";
import { createStubServer } from "react-native-airlock/testing";

jest.mock("expo-crypto", () => ({
  ...jest.requireActual("expo-crypto"),
  digest: async (algorithm: string, data: Uint8Array<ArrayBuffer>) => crypto.subtle.digest(algorithm, data),
}));

const SECRET = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8";
const extra = (keys: object) => ({ extra: { airlock: { url: "https://api.example.com", keys } } });

test("hmac is HMAC-SHA256 for keys of any length", async () => {
  for (const length of [0, 32, 64, 65, 200]) {
    const [key, message] = [random(length), random(100)];
    const expected = createHmac("sha256", key).update(message).digest("hex");
    expect(Buffer.from(await hmac(key, message)).toString("hex")).toBe(expected);
  }
});

test("expoOptions takes the key of the platform, else the default", () => {
  const [ios, other] = [
    { appId: "rn-ios", secret: SECRET },
    { appId: "rn", secret: SECRET },
  ];
  expect(expoOptions(extra({ ios, default: other }))).toEqual({ url: "https://api.example.com", ...ios, random });
  expect(expoOptions(extra({ android: ios, default: other })).appId).toBe("rn");
  createAirlock({ ...expoOptions(extra({ ios })), getToken: async () => null });
  expect(createId(random)).not.toBe(createId(random));
});

test("expoOptions names missing settings", () => {
  for (const config of [
    Constants.expoConfig,
    null,
    {},
    extra({}),
    extra({ android: { appId: "a", secret: SECRET } }),
  ]) {
    expect(() => expoOptions(config)).toThrow(/EXPO_PUBLIC_AIRLOCK_URL, _APP_ID or _SECRET was not set/);
  }
});

test("followPhone takes jest-expo's own mock of expo-network", async () => {
  followPhone({ focusManager, onlineManager });
  const stop = onlineManager.subscribe(() => {});
  await new Promise(setImmediate);
  expect(onlineManager.isOnline()).toBe(true);
  stop();
});

test("followPhone tells TanStack Query about the app's state and the network", async () => {
  const listeners: Record<string, (value: any) => void> = {};
  jest
    .spyOn(AppState, "addEventListener")
    .mockImplementation((_type, listener) => ((listeners.app = listener), { remove() {} }));
  jest
    .spyOn(Network, "addNetworkStateListener")
    .mockImplementation((listener) => ((listeners.network = listener), { remove() {} }));
  jest.spyOn(Network, "getNetworkStateAsync").mockResolvedValue({ isConnected: false });
  followPhone({ focusManager, onlineManager });
  const stop = [focusManager.subscribe(() => {}), onlineManager.subscribe(() => {})];
  await new Promise(setImmediate);
  listeners.app!("background");
  expect([focusManager.isFocused(), onlineManager.isOnline()]).toEqual([false, false]);
  listeners.app!("active");
  listeners.network!({ isConnected: true });
  expect([focusManager.isFocused(), onlineManager.isOnline()]).toEqual([true, true]);
  for (const end of stop) end();
});

test("the stub server takes the place of the global fetch", async () => {
  const server = createStubServer();
  jest.spyOn(globalThis, "fetch").mockImplementation(server.fetch);
  const airlock = createAirlock({ ...server.options, fetch: undefined });
  expect((await airlock.notes.create({ title: "Milk" })).version).toBe(1);
});
