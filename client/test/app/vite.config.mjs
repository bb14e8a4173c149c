// One file with all packages in it, as for a browser.
export default {
  build: { outDir: "vite", target: "es2022", lib: { entry: "use.mjs", formats: ["es"], fileName: () => "use.mjs" } },
};
