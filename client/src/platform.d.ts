// The parts of the platform's modules that are used. Their own types would bring all of Expo into this repository;
// client/test/app.test.ts compiles with them.

declare module "expo-crypto" {
  export enum CryptoDigestAlgorithm {
    SHA256 = "SHA-256",
  }
  export function digest(algorithm: CryptoDigestAlgorithm, data: Uint8Array<ArrayBuffer>): Promise<ArrayBuffer>;
  export function getRandomBytes(byteCount: number): Uint8Array;
}

declare module "expo-network" {
  export interface NetworkState {
    isConnected?: boolean;
  }
  export function getNetworkStateAsync(): Promise<NetworkState>;
  export function addNetworkStateListener(listener: (event: NetworkState) => void): { remove(): void };
}

declare module "react-native" {
  export const AppState: { addEventListener(type: "change", listener: (state: string) => void): { remove(): void } };
  export const Platform: { OS: string };
}
