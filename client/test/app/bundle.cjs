// node bundle.cjs ENTRY OUT EXPORTS: one file by Metro with Expo's configuration. EXPORTS: whether package.json's `exports` count.

const { createRequire } = require("node:module");
const { getDefaultConfig } = require("expo/metro-config");

const [, , entry, out, packageExports] = process.argv;
const expo = createRequire(require.resolve("expo/package.json"));
const { runBuild } = expo("@expo/metro/metro");

const config = getDefaultConfig(__dirname);
config.watchFolders = [__dirname];
config.resolver.unstable_enablePackageExports = packageExports === "true";
// The entry needs nothing of React Native, so its modules are left out.
config.serializer.getModulesRunBeforeMainModule = () => [];
config.serializer.getPolyfills = () => [];
config.reporter = { update() {} };
config.maxWorkers = 1;
runBuild(config, { entry, out, platform: "android", dev: false, minify: false }).catch((error) => {
  console.error(error);
  process.exitCode = 1;
});
