interface Config {
  extra?: Record<string, any> | undefined;
  ios?: { infoPlist?: Record<string, any> | undefined } | undefined;
}

declare function withAirlock<C extends Config>(
  config: C,
  props?: {
    /** Whether http is allowed, to the host of EXPO_PUBLIC_AIRLOCK_URL. Default: in EAS, the profile "development"; else not with NODE_ENV=production. */
    development?: boolean;
    // biome-ignore lint/suspicious/noConfusingVoidType: Expo's ConfigPlugin<void> has it.
  } | void,
): C;

export = withAirlock;
