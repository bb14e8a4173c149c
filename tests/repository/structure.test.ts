// The structure of the sources: imports run one way, and each platform name and secret is in one place.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { test } from "node:test";

/** The modules from the top. A module imports only modules that come after it. */
const ORDER = [
  "worker",
  "pipeline",
  "cors",
  "router",
  "handlers",
  "documents",
  "jobs",
  "config",
  "readiness",
  "limit",
  "log",
  "postgrest",
  "request",
  "conformance",
  "auth",
  "app_guard",
  "jwt",
  "resources",
  "error",
  "response",
  "json",
  "types",
  "platform",
];

const files = (...patterns: string[]) =>
  execFileSync("git", ["ls-files", "--cached", "--others", "--exclude-standard", ...patterns], { encoding: "utf8" })
    .trim()
    .split("\n")
    .filter((file) => existsSync(file));

/** The files of the crate without those for tests and fuzzing. */
const sources = files("src/*.rs", "src/**/*.rs").filter(
  (file) => !/\/tests(\/|\.rs$)|\/vectors\.rs$|fuzzing\.rs$/.test(file),
);

/** The text of a file without its comments and its test module. */
function code(file: string): string {
  const [text = ""] = readFileSync(file, "utf8").split(/^#\[cfg\(test\)\]\nmod tests \{$/m);
  return text.replaceAll(/^\s*\/\/.*$|\s\/\/ .*$/gm, "");
}

/** Modules and names that a file takes from `prefix`, such as `crate::`. */
function imported(file: string, prefix: string): string[] {
  const text = code(file);
  assert.doesNotMatch(text, /\bcrate::\{/, `${file}: import from one module at a time`);
  return [...text.matchAll(new RegExp(String.raw`\b${prefix}(\w+)`, "g"))].map(([, name = ""]) => name);
}

const moduleOf = (file: string) => /^src\/(\w+)/.exec(file)?.[1] ?? "";

test("imports between modules run one way", () => {
  const modules = new Set(sources.map(moduleOf));
  modules.delete("lib");
  assert.deepEqual([...modules].sort(), [...ORDER].sort(), "each module has its place in ORDER");
  assert.ok(imported("src/pipeline.rs", "crate::").includes("router"));
  for (const file of sources.filter((name) => name !== "src/lib.rs")) {
    const place = ORDER.indexOf(moduleOf(file));
    const upwards = imported(file, "crate::").filter((name) => ORDER.includes(name) && ORDER.indexOf(name) < place);
    assert.deepEqual(upwards, [], file);
  }
});

test("files of one module do not import each other in a circle", () => {
  const imports = new Map<string, string[]>();
  for (const file of sources) {
    const folder = file.slice(0, file.lastIndexOf("/"));
    const siblings = imported(file, "super::").map((name) => `${folder}/${name}.rs`);
    imports.set(
      file,
      siblings.filter((sibling) => sibling !== file && sources.includes(sibling)),
    );
  }
  const visit = (file: string, path: string[]): void => {
    assert.ok(!path.includes(file), [...path, file].join(" -> "));
    for (const next of imports.get(file) ?? []) visit(next, [...path, file]);
  };
  for (const file of sources) visit(file, []);
});

test("only src/worker names the platform's packages", () => {
  const naming = sources.filter((file) => /\b(?<!crate::)(worker|js_sys|web_sys|wasm_bindgen\w*)::/.test(code(file)));
  assert.deepEqual(
    naming.filter((file) => !file.startsWith("src/worker/")),
    [],
  );
  assert.ok(naming.length > 0);
});

test("the engine names no resource", () => {
  const naming = [...sources, ...files("src/**/*.js", "src/**/*.ts")].flatMap((file) =>
    code(file)
      .split("\n")
      .filter((line) => /\bnotes?\b/i.test(line))
      .map((line) => `${file}: ${line.trim()}`),
  );
  assert.deepEqual(naming, []);
});

test("only the jobs read the secret key", () => {
  const naming = (pattern: RegExp) => sources.filter((file) => pattern.test(code(file)));
  assert.deepEqual(
    naming(/SUPABASE_SECRET_KEY/).filter((file) => !file.startsWith("src/jobs/")),
    [],
  );
  const users = naming(/\bjobs::/).filter((file) => !file.startsWith("src/jobs/"));
  assert.deepEqual(users, ["src/pipeline.rs", "src/worker/mod.rs"]);
  // It learns whether the settings are good, and nothing else.
  assert.deepEqual(code("src/pipeline.rs").match(/\bjobs::\w+/g), ["jobs::check"]);
});

test("types that hold a secret, a token or a body derive no Debug", () => {
  for (const [file, names] of Object.entries({
    "src/config.rs": ["Config"],
    "src/app_guard/keys.rs": ["Apps", "App", "AppKeys"],
    "src/app_guard/mod.rs": ["Head", "GuardedRequest"],
    "src/auth/mod.rs": ["Token"],
    "src/jobs/secret_key.rs": ["ServiceRole"],
    "src/postgrest/edge_proof.rs": ["Signer"],
    "src/postgrest/mod.rs": ["Database"],
    "src/platform.rs": ["UpstreamRequest", "UpstreamResponse"],
  })) {
    const text = code(file);
    for (const name of names) {
      assert.match(text, new RegExp(`struct ${name}\\b`), `${name} in ${file}`);
      assert.doesNotMatch(
        text,
        new RegExp(`derive\\([^)]*\\bDebug\\b[^)]*\\)\\]\\n(#.*\\n)*(pub(\\(\\w+\\))? )?struct ${name}\\b`),
        `${name} in ${file}`,
      );
    }
  }
});

// Its time cannot be measured from outside: a request takes a thousand times longer and varies by more.
test("app signatures are compared only in constant time", () => {
  const text = code("src/app_guard/mod.rs");
  assert.match(text, /any \|= expected\.ct_eq\(signature\);/);
  assert.doesNotMatch(
    text,
    /\b(expected|signatures?|mac)\b(\[\w+\]|\.\w+\(\))? ?[!=]= |[!=]= ?&?(expected|signature|mac)\b/,
  );
});

test("every npm package is pinned to one version", () => {
  for (const file of ["package.json", "client/package.json", "examples/expo-notes/package.json"]) {
    const {
      dependencies = {},
      devDependencies = {},
      optionalDependencies = {},
    } = JSON.parse(readFileSync(file, "utf8"));
    for (const [name, version] of Object.entries({ ...dependencies, ...devDependencies, ...optionalDependencies })) {
      assert.match(String(version), /^\d+\.\d+\.\d+(-[\w.]+)?$|^file:\.\.\/\.\.\/client$/, `${name} in ${file}`);
    }
  }
});

test("crate, client and changelog have one version", () => {
  const [, crate] = /^version = "(.+)"$/m.exec(readFileSync("Cargo.toml", "utf8")) ?? [];
  const [, latest] = /^## (\S+)$/m.exec(readFileSync("CHANGELOG.md", "utf8")) ?? [];
  const { version } = JSON.parse(readFileSync("client/package.json", "utf8")) as { version: string };
  assert.deepEqual([crate, latest], [version, version]);
});

test("the lock files name no host", () => {
  for (const file of ["package-lock.json", "examples/expo-notes/package-lock.json"])
    assert.doesNotMatch(readFileSync(file, "utf8"), /"resolved": "http/);
  assert.doesNotMatch(readFileSync("tests/api/requirements.txt", "utf8"), /:\/\//);
});

test("wrangler.toml deploys the build, with only our log and no Durable Object", () => {
  const config = readFileSync("wrangler.toml", "utf8");
  assert.match(config, /^main = "build\/index.js"$/m);
  assert.match(config, /^\[observability\]\nenabled = true\n(#.*\n)*redact_query_string = true$/m);
  assert.match(config, /^\[observability\.issues\]\nenabled = true$/m);
  assert.match(config, /^\[observability\.logs\]\nenabled = true\ninvocation_logs = false$/m);
  assert.doesNotMatch(config, /durable_objects|\[\[migrations\]\]/);
});
