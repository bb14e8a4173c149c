// Expo's config plugin: "plugins": ["react-native-airlock"] in app.json. It takes the Airlock's URL and the app's key
// from the environment of the build (EAS environment variables, or .env.local), for `expoOptions` of
// react-native-airlock/expo, and lets a development build reach an Airlock over http.

/** Variables end in one of these for a key of one platform: EXPO_PUBLIC_AIRLOCK_SECRET_IOS. */
const PLATFORMS = { default: "", ios: "_IOS", android: "_ANDROID", web: "_WEB" };

/** @type {import("./app.plugin.cjs")} */
module.exports = function withAirlock(config, { development = isDevelopment() } = {}) {
  const { EXPO_PUBLIC_AIRLOCK_URL: url, EAS_BUILD: inEas, EAS_BUILD_PLATFORM: platform } = process.env;
  const isHttp = /^http:/i.test(url ?? "");
  if (url && !/^https?:\/\/[^\s/?#@]+\/?$/i.test(url))
    throw new Error(`EXPO_PUBLIC_AIRLOCK_URL must be an origin, such as https://api.example.com, not ${url}`);

  let keys = Object.fromEntries(
    Object.entries(PLATFORMS).flatMap(([name, suffix]) => keyFrom(suffix).map((key) => [name, key])),
  );
  // An app must not carry the key of another platform.
  if (platform && Object.keys(keys).length > 1) keys = { default: keys[platform] ?? keys.default };

  // Not elsewhere: every command of Expo reads the configuration, also those that need no key.
  if (inEas === "true") {
    if (!url) throw new Error(missing("EXPO_PUBLIC_AIRLOCK_URL"));
    if (!(keys.default ?? keys[platform]))
      throw new Error(missing("EXPO_PUBLIC_AIRLOCK_APP_ID and EXPO_PUBLIC_AIRLOCK_SECRET"));
    if (isHttp && !development)
      throw new Error(`EXPO_PUBLIC_AIRLOCK_URL is ${url}: only development builds may use http.`);
  }

  config.extra = { ...config.extra, airlock: { ...(url && { url }), keys } };
  if (isHttp && development) allowHttp(config, new URL(url).hostname);
  return config;
};

/** The key of these variables, if they are set. */
function keyFrom(suffix) {
  const { [`EXPO_PUBLIC_AIRLOCK_APP_ID${suffix}`]: appId, [`EXPO_PUBLIC_AIRLOCK_SECRET${suffix}`]: secret } =
    process.env;
  if (!appId && !secret) return [];
  if (!appId) throw new Error(missing(`EXPO_PUBLIC_AIRLOCK_APP_ID${suffix}`));
  if (!secret) throw new Error(missing(`EXPO_PUBLIC_AIRLOCK_SECRET${suffix}`));
  if (!/^[A-Za-z0-9._-]{1,64}$/.test(appId))
    throw new Error(`EXPO_PUBLIC_AIRLOCK_APP_ID${suffix} must be 1 to 64 of A-Z a-z 0-9 . _ -.`);
  // 43 characters are 32 bytes. The message must not repeat the secret: logs of builds are kept.
  if (!/^[\w-]{43,}$/.test(secret))
    throw new Error(`EXPO_PUBLIC_AIRLOCK_SECRET${suffix} must be base64url without padding, at least 43 characters.`);
  return [{ appId, secret }];
}

const missing = (names) => `${names} must be set, as an EAS environment variable or in .env.local.`;

/** An EAS build by its profile; elsewhere by what Expo's commands say. */
function isDevelopment() {
  const { EAS_BUILD_PROFILE: profile, NODE_ENV } = process.env;
  return profile === undefined ? NODE_ENV !== "production" : profile === "development";
}

/** iOS alone needs it: debug builds for Android may use http to any host, by Expo's template, and others to none. */
function allowHttp(config, host) {
  const { NSAppTransportSecurity: before = {}, ...infoPlist } = config.ios?.infoPlist ?? {};
  const NSAppTransportSecurity = {
    // As in Expo's template, which this replaces.
    NSAllowsArbitraryLoads: false,
    NSAllowsLocalNetworking: true,
    ...before,
    NSExceptionDomains: { ...before.NSExceptionDomains, [host]: { NSExceptionAllowsInsecureHTTPLoads: true } },
  };
  config.ios = { ...config.ios, infoPlist: { ...infoPlist, NSAppTransportSecurity } };
}
