// npm run generate: the OpenAPI document of any declaration, and that the generated files are fresh.

import assert from "node:assert/strict";
import { join } from "node:path";
import { after, before, test } from "node:test";

import { Validator } from "@seriousme/openapi-schema-validator";
import type { Miniflare } from "miniflare";

import { check, checkedDeclaration, type Declaration } from "../../tools/declaration.ts";
import { openapi, projectDocument } from "../../tools/openapi/document.ts";
import { requireFresh } from "../../tools/setup/generated.ts";
import { loadMiniflare, loadWrangler } from "../../tools/setup/heavy.ts";
import { root } from "../../tools/setup/shell.ts";
import { outputs } from "../../tools/setup/worker.ts";
import { describe, type Part } from "../e2e/documented.ts";
import { assertProblem, send } from "../e2e/http.ts";
import { withWorker, workerVars } from "../e2e/support.ts";
import { everything } from "../resources/everything.ts";
import { members, refused, taken } from "../resources/values.ts";
import { notesDeclaration } from "../support/notes.ts";

const ID = "7efe3d84-2d6a-4174-899e-8ffddea7a39a";
/** Nobody listens there, and no request of these tests gets so far. */
const VARS = workerVars("http://127.0.0.1:9");

const FIELDS = { title: "text(1..9)" };
const DECLARATIONS: Record<string, () => Promise<Declaration>> = {
  "airlock.toml": () => checkedDeclaration(),
  "every kind and owner": () => everything(),
  "the notes of the tests": () => check(notesDeclaration),
  "tables that were there before": () =>
    checkedDeclaration(new URL("../resources/existing.toml", import.meta.url).pathname),
  "no resources": () => check("{}"),
  "no organisations": () =>
    check(
      JSON.stringify({
        organizations: false,
        resources: { notes: { owner: "user", publish: ["title"], fields: FIELDS } },
      }),
    ),
  "names that are alike": () =>
    check(
      JSON.stringify({
        resources: Object.fromEntries(
          ["a_b", "ab", "a_1", "a1", "org", "org_a_b", "member"].map((name) => [
            name,
            { owner: "both", publish: ["title"], fields: FIELDS },
          ]),
        ),
      }),
    ),
};

function visit(part: Part, seen: (part: Part) => void): void {
  if (typeof part !== "object" || part === null) return;
  seen(part);
  for (const child of Object.values(part)) visit(child, seen);
}

for (const [name, declaration] of Object.entries(DECLARATIONS)) {
  test(`the document is valid OpenAPI 3.1: ${name}`, async () => {
    const document = openapi(await declaration());
    const openapiValidator = new Validator();
    const { valid, errors } = await openapiValidator.validate(structuredClone(document));
    assert.ok(valid, JSON.stringify(errors));
    assert.equal(openapiValidator.version, "3.1");

    const references = new Set<string>();
    const operations: string[] = [];
    const { resolve, validator, assertValid } = describe(document);
    visit(document, (part) => {
      if (typeof part.$ref === "string") references.add(part.$ref);
      if (typeof part.operationId === "string") operations.push(part.operationId);
      if (part.schema === undefined) return;
      validator(part.schema);
      const examples = [
        ...Object.values<Part>(part.examples ?? {}).map((example) => resolve(example).value),
        ...("example" in part ? [part.example] : []),
      ];
      for (const example of examples.filter((value) => value !== undefined))
        assertValid(part.schema, example, name, { closed: typeof example === "object" });
    });
    for (const reference of references) assert.notEqual(resolve({ $ref: reference }), undefined, reference);
    for (const schema of Object.keys(document.components.schemas ?? {})) {
      assert.ok(references.has(`#/components/schemas/${schema}`), schema);
      validator({ $ref: `#/components/schemas/${schema}` });
    }
    assert.deepEqual(
      operations.filter((id, n) => operations.indexOf(id) < n),
      [],
    );
  });
}

/**
 * Values that JSON Schema cannot refuse: bytes and depth of objects, characters of their texts, and the year 0 of UTC.
 */
const isBeyondSchemas = (kind: string, code: string, sent: unknown) =>
  (kind === "json" && code !== "type") || sent === "0001-01-01T00:00:00+01:00";

test("each limit of each field is in the schemas", async () => {
  const declaration = await everything();
  const document = openapi(declaration);
  const { validator } = describe(document);
  for (const { name, fields, embed } of declaration.resources) {
    const stem = name.charAt(0).toUpperCase() + name.slice(1);
    const { Draft, Patch, Row } = Object.fromEntries(
      ["Draft", "Patch", "Row"].map((kind) => [kind, document.components.schemas?.[stem + kind]]),
    );
    assert.deepEqual(Object.keys(Row.properties), [...members(fields), ...(embed ? ["included"] : [])]);
    assert.deepEqual(
      Draft.required,
      fields.filter((field) => !field.nullable && field.default === undefined).map((field) => field.name),
    );
    for (const field of fields) {
      const place = `${name}.${field.name}`;
      const validate = validator(Patch.properties[field.name]);
      const isRow = validator(Row.properties[field.name]);
      for (const { sent, stored = sent } of taken(field)) {
        assert.ok(validate(sent), `${place}: ${JSON.stringify(sent).slice(0, 80)}`);
        if (field.kind !== "timestamp" || stored !== sent)
          assert.ok(isRow(stored), `${place}: ${JSON.stringify(stored).slice(0, 80)}`);
      }
      for (const { sent, code } of refused(field)) {
        assert.equal(
          validate(sent),
          isBeyondSchemas(field.kind, code, sent),
          `${place}: ${JSON.stringify(sent).slice(0, 80)}`,
        );
      }
      assert.equal(validate(null), field.nullable, place);
      if (field.kind === "json")
        assert.match(JSON.stringify(Patch.properties[field.name]), new RegExp(`At most ${field.bytes} bytes`));
      assert.deepEqual(Draft.properties[field.name].default, field.nullable ? null : field.default, place);
    }
  }
});

test("texts shorter than their limit after trimming are refused", async () => {
  const document = openapi(
    await check(JSON.stringify({ resources: { tags: { owner: "user", fields: { label: "text(3..5)" } } } })),
  );
  const validate = describe(document).validator(document.components.schemas?.TagsPatch.properties.label);
  for (const [text, good] of [
    ["abc", true],
    ["a c", true],
    [" abc\n", true],
    ["a  ", false],
    [" ab ", false],
    ["   ", false],
    ["a\0c", false],
  ] as const) {
    assert.equal(validate(text), good, JSON.stringify(text));
  }
});

test("without organisations no part of them is left", async () => {
  const document = openapi(await DECLARATIONS["no organisations"]!());
  assert.ok(Object.keys(document.paths).every((path) => !path.startsWith("/v1/orgs")));
  const { parameters, schemas } = document.components;
  assert.deepEqual(
    Object.keys({ ...parameters, ...schemas }).filter((name) => /Org|Member|Invitation|Role/.test(name)),
    [],
  );
});

test("the generated files are fresh", () => requireFresh());

const METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE"];

test("the document has exactly the routes of the Worker", async () => {
  const declared = JSON.stringify({
    resources: Object.fromEntries(
      ["user", "org", "both"].flatMap((owner) =>
        [true, false].map((publish) => [
          `${owner}_${publish}`,
          { owner, ...(publish && { publish: ["title"] }), fields: FIELDS },
        ]),
      ),
    ),
  });
  const { paths } = openapi(await check(declared));
  const ends = ["", "/{id}", ...["restore", "publish", "unpublish"].map((action) => `/{id}/${action}`)];
  const possible = Object.keys(JSON.parse(declared).resources).flatMap((name) =>
    ["/v1/", "/v1/orgs/{org_id}/", "/v1/public/"].flatMap((base) => ends.map((end) => base + name + end)),
  );
  await withWorker(VARS, { declaration: declared }, async ({ url }) => {
    for (const path of new Set([...possible, ...Object.keys(paths)])) {
      const answer = await send(url, "OPTIONS", path.replaceAll(/\{\w+\}/g, ID), { signed: null });
      const documented = METHODS.filter((method) => method.toLowerCase() in (paths[path] ?? {}));
      const allowed =
        answer.headers
          .get("allow")
          ?.split(", ")
          .filter((method) => method !== "HEAD") ?? [];
      assert.deepEqual([answer.status, allowed.sort()], [path in paths ? 405 : 404, documented.sort()], path);
    }
    assert.deepEqual(JSON.parse((await send(url, "GET", "/openapi.json", { signed: null })).body).paths, paths);
  });
});

test("without its asset the document is unavailable and all else works", async () => {
  await withWorker(VARS, { without: ["ASSETS"] }, async ({ url }) => {
    assertProblem(await send(url, "GET", "/openapi.json", { signed: null }), "dependency_unavailable");
    assert.equal((await send(url, "GET", "/health", { signed: null })).status, 200);
  });
});

// With Miniflare's own assets, as wrangler.toml describes them.

let platform: Miniflare;
let url: URL;
before(async () => {
  const { assets, compatibility_date }: Part = loadWrangler().unstable_readConfig({
    config: join(root, "wrangler.toml"),
  });
  const { convertV4MiniflareOptions, Miniflare } = loadMiniflare();
  platform = new Miniflare(
    convertV4MiniflareOptions({
      cf: false,
      port: 0,
      compatibilityDate: compatibility_date,
      modules: outputs.map((path) => ({
        type: path.endsWith(".wasm") ? ("CompiledWasm" as const) : ("ESModule" as const),
        path: join(root, path),
      })),
      modulesRoot: join(root, "build"),
      bindings: VARS,
      ratelimits: Object.fromEntries(
        ["IP", "USER"].map((name, n) => [
          `LIMIT_${name}`,
          { namespace_id: String(n), simple: { limit: 1000, period: 60 } },
        ]),
      ),
      assets: {
        directory: join(root, assets.directory),
        binding: assets.binding,
        run_worker_first: assets.run_worker_first,
        routerConfig: { has_user_worker: true },
        assetConfig: { html_handling: assets.html_handling, not_found_handling: assets.not_found_handling },
      },
    }),
  );
  url = await platform.ready;
});
after(() => platform?.dispose());

test("the Worker answers the requests for its asset", async () => {
  const get = (method: string, path: string) => send(url.origin, method, path, { signed: null });
  const document = await get("GET", "/openapi.json");
  assert.deepEqual(JSON.parse(document.body), projectDocument(await checkedDeclaration()));
  const head = await get("HEAD", "/openapi.json");
  assert.equal(head.body, "");
  for (const { status, headers } of [document, head]) {
    assert.equal(status, 200);
    assert.match(headers.get("x-request-id") ?? "", /^[0-9a-f-]{36}$/);
    assert.equal(headers.get("x-content-type-options"), "nosniff");
    assert.equal(headers.get("cache-control"), "public, max-age=300");
    assert.equal(headers.get("content-type"), "application/json");
    assert.equal(headers.get("etag"), null);
  }
  const post = await get("POST", "/openapi.json");
  assertProblem(post, "method_not_allowed");
  assert.equal(post.headers.get("allow"), "GET, HEAD");
  for (const path of ["/", "/openapi", "/openapi.json/", "/index.html", "/assets/openapi.json"])
    assertProblem(await get("GET", path), "not_found");
});
