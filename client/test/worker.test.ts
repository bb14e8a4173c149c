// The client against the built Worker, real Postgres and real supabase-js, over networks that misbehave.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";

import { createClient } from "@supabase/supabase-js";
import { build } from "esbuild";
import createApi from "openapi-fetch";
import { logOf } from "../../tests/e2e/http.ts";
import { APP, appGuard, PUBLISHABLE_KEY, type Stack, startStack } from "../../tests/e2e/support.ts";
import {
  type Airlock,
  AirlockNetworkError,
  type AirlockOptions,
  AirlockProblem,
  AirlockUpgradeRequired,
  createAirlock,
  createId,
  createSignedFetch,
  supabaseToken,
} from "../src/index.ts";
import type { Declaration } from "./generated.ts";

const RETIRED = { appId: "rn-old", secret: "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8" };
const PASSWORD = "airlock-dev-password";

let stack: Stack;

before(async () => {
  stack = await startStack({
    APP_GUARD: appGuard({
      [APP.appId]: { mode: "enforce", keys: [{ id: "test", secret: APP.secret }] },
      [RETIRED.appId]: {
        mode: "enforce",
        keys: [{ id: "old", secret: RETIRED.secret, retired: true, message: "Version 1 has ended." }],
      },
    }),
  });
});
after(() => stack?.stop());

function clientOf(options: Partial<AirlockOptions> = {}): Airlock<Declaration> {
  return createAirlock<Declaration>({ url: stack.url, ...APP, getToken: async () => stack.alice.token, ...options });
}

async function problemOf(promise: Promise<unknown>): Promise<AirlockProblem> {
  const error = await promise.then(
    () => assert.fail("nothing was thrown"),
    (error: unknown) => error,
  );
  assert.ok(error instanceof AirlockProblem, String(error));
  return error;
}

/**
 * Sends requests twice, one after the other, and returns the second answer, as okhttp may on a stale connection: every
 * request, or only the first with its content.
 */
function sendingTwice(which: "every" | "first" = "every") {
  /** Method, last part of the path that is a word, and status of each second answer. */
  const sent: string[] = [];
  const known = new Set<string>();
  const twice: AirlockOptions["fetch"] = async (url, init) => {
    const content = JSON.stringify([url, init.method, String(init.body)]);
    if (which === "every" || !known.has(content)) await (await fetch(url, init)).text();
    known.add(content);
    const answer = await fetch(url, init);
    const [word] = /[a-z]+$/.exec(new URL(url).pathname.replace(/\/[0-9a-f-]{36}/g, "")) ?? [];
    sent.push(`${init.method} ${word} ${answer.status}`);
    return answer;
  };
  return { fetch: twice, sent };
}

/** An HTTP cache below fetch, as in OkHttp and NSURLSession: it validates each GET that it has an answer for. */
function caching() {
  const cache = new Map<string, { tag: string; body: string; headers: Headers }>();
  let validated = 0;
  const cached: AirlockOptions["fetch"] = async (url, init) => {
    const headers = new Headers(init.headers);
    const known = init.method === "GET" && !headers.has("If-None-Match") ? cache.get(url) : undefined;
    if (known) headers.set("If-None-Match", known.tag);
    const answer = await fetch(url, { ...init, headers });
    if (known && answer.status === 304) {
      validated += 1;
      return new Response(known.body, { status: 200, headers: known.headers });
    }
    const tag = answer.headers.get("ETag");
    if (init.method !== "GET" || answer.status !== 200 || tag === null) return answer;
    const body = await answer.text();
    cache.set(url, { tag, body, headers: answer.headers });
    return new Response(body, answer);
  };
  return { fetch: cached, validated: () => validated };
}

test("each change is made once when every request is sent twice", async () => {
  const { fetch, sent } = sendingTwice();
  const airlock = clientOf({ fetch });
  const { notes, orgs } = airlock;

  const created = await notes.create({ title: "twice" });
  const changed = await notes.patch(created.id, { body: "b" }, { ifMatch: created.version });
  assert.equal(changed.version, 2);
  assert.equal((await notes.publish(created.id, { ifMatch: 2 })).version, 3);
  assert.equal((await notes.unpublish(created.id, { ifMatch: 3 })).version, 4);
  const put = await notes.put(createId(), { title: "put twice" }, { ifNoneMatch: "*" });
  assert.equal(put.version, 1);
  assert.equal(await notes.remove(created.id, { ifMatch: 4 }), undefined);
  assert.equal((await notes.restore(created.id, { ifMatch: 5 })).version, 6);

  const org = await orgs.create("Twice");
  assert.equal((await orgs.rename(org.id, "Once", { ifMatch: org.version })).name, "Once");
  // Each answer to its key has a new token, so a network that repeats every request loses them all.
  const once = clientOf({ fetch: sendingTwice("first").fetch });
  const invitation = await once.orgs.invitations(org.id).create("viewer");
  const bob = clientOf({ fetch, getToken: async () => stack.bob.token });
  assert.equal((await bob.orgs.join(invitation.token)).role, "viewer");
  assert.equal((await orgs.members(org.id).setRole(stack.bob.id, "editor")).role, "editor");
  const shared = await bob.org(org.id).resource("notes").create({ title: "shared twice" });
  await bob.orgs.members(org.id).remove(stack.bob.id);

  const rows = await stack.sql("select id from public.notes where title like '%twice'");
  assert.equal(rows.length, 3);
  assert.equal(shared.version, 1);
  const page = await orgs.list();
  assert.deepEqual(
    page.data.map(({ name }) => name),
    ["Once"],
  );
  assert.equal((await orgs.invitations(org.id).list()).data.length, 1);
  await orgs.remove(org.id);
  // Each kind of change met request_replayed.
  const changes = [
    "POST notes",
    "PUT notes",
    "PATCH notes",
    "DELETE notes",
    "POST publish",
    "POST unpublish",
    "POST restore",
  ];
  const ofOrgs = ["POST orgs", "PATCH orgs", "DELETE orgs", "POST join", "PATCH members", "DELETE members"];
  for (const change of [...changes, ...ofOrgs]) assert.ok(sent.includes(`${change} 409`), `${change}: ${sent}`);
});

test("a caching fetch that adds If-None-Match does not disturb a read", async () => {
  const { fetch, validated } = caching();
  const { notes } = clientOf({ fetch });
  const note = await notes.create({ title: "cached" });
  for (let round = 0; round < 3; round++) assert.deepEqual(await notes.get(note.id), note);
  assert.equal(validated(), 2);
  const changed = await notes.patch(note.id, { title: "changed" });
  assert.deepEqual(await notes.get(note.id), changed);
  assert.equal(await notes.get(note.id, { ifNoneMatch: changed.version }), undefined);
});

/**
 * A POST without a body gets one of a NUL byte, as by expo/fetch on Android, whose okhttp needs one for these methods.
 */
const addingNul: NonNullable<AirlockOptions["fetch"]> = (url, init) =>
  fetch(
    url,
    /^(POST|PUT|PATCH)$/.test(String(init.method)) && init.body === undefined
      ? { ...init, body: new Uint8Array([0]) }
      : init,
  );

test("a fetch may add a NUL byte to a change without a body", async () => {
  const { notes } = clientOf({ fetch: addingNul });
  const note = await notes.create({ title: "without a body" });
  assert.equal((await notes.publish(note.id)).version, 2);
  assert.equal((await notes.unpublish(note.id)).version, 3);
  await notes.remove(note.id);
  assert.equal((await notes.restore(note.id)).version, 5);
  const signedFetch = createSignedFetch({
    url: stack.url,
    ...APP,
    getToken: async () => stack.alice.token,
    fetch: addingNul,
  });
  assert.equal((await signedFetch(`/v1/notes/${note.id}/publish`, { method: "POST" })).status, 200);

  // The byte alone breaks a request, because it was not signed.
  const withoutBody: AirlockOptions["fetch"] = (url, { body: _, ...init }) => addingNul(url, init);
  assert.equal((await problemOf(clientOf({ fetch: withoutBody }).notes.unpublish(note.id))).code, "app_guard_rejected");
  await notes.remove(note.id);
});

test("React Native on Android, where a body needs a type, sends every call", async () => {
  // Its NetworkingModule: "Payload is set but no content-type header specified".
  const android: AirlockOptions["fetch"] = (url, init) => {
    if (init.body != null && !new Headers(init.headers).has("Content-Type"))
      throw new TypeError("Network request failed");
    return fetch(url, init);
  };
  const { notes } = clientOf({ fetch: android });
  const note = await notes.create({ title: "on Android" });
  await notes.publish(note.id);
  await notes.unpublish(note.id);
  await notes.patch(note.id, { body: "b" });
  await notes.remove(note.id);
  assert.equal((await notes.restore(note.id)).version, 6);
  await notes.remove(note.id);
});

test("a lost answer to create, an invitation or join is safe in a second call", async () => {
  let lost = false;
  const losing: AirlockOptions["fetch"] = async (url, init) => {
    const answer = await fetch(url, init);
    if (!lost) return answer;
    lost = false;
    throw new TypeError("Network request failed");
  };
  /** Loses the answer to a call and returns the answer to the second one with the same Idempotency-Key. */
  const calledTwice = async <T>(call: (options: { idempotencyKey: string }) => Promise<T>): Promise<T> => {
    const options = { idempotencyKey: createId() };
    lost = true;
    await assert.rejects(call(options), AirlockNetworkError);
    return call(options);
  };
  const idsOf = async (list: Promise<{ data: { id: string }[] }>) => (await list).data.map(({ id }) => id);

  const { notes, orgs } = clientOf({ fetch: losing });
  const note = await calledTwice((options) => notes.create({ title: "lost" }, options));
  assert.deepEqual((await notes.list({ q: "lost" })).data, [note]);

  const org = await calledTwice((options) => orgs.create("Lost", options));
  assert.deepEqual(await idsOf(orgs.list()), [org.id]);

  const invitations = orgs.invitations(org.id);
  const invitation = await calledTwice((options) => invitations.create("viewer", options));
  assert.deepEqual(await idsOf(invitations.list()), [invitation.id]);

  const bob = clientOf({ fetch: losing, getToken: async () => stack.bob.token });
  assert.equal((await calledTwice(() => bob.orgs.join(invitation.token))).role, "viewer");
  assert.deepEqual((await orgs.members(org.id).list()).data.map(({ role }) => role).sort(), ["owner", "viewer"]);
  await orgs.remove(org.id);
});

test("half a surrogate pair is a validation problem with a pointer", async () => {
  const { notes } = clientOf();
  const half = "caf\ud83d";
  const where = async (call: Promise<unknown>) => {
    const { code, errors } = await problemOf(call);
    return [code, errors[0]?.pointer ?? errors[0]?.parameter];
  };
  assert.deepEqual(await where(notes.create({ title: half })), ["validation_failed", "/title"]);
  assert.deepEqual(await where(notes.put(createId(), { title: "a", body: half })), ["validation_failed", "/body"]);
  assert.deepEqual(await where(notes.list({ q: half })), ["validation_failed", "q"]);
  assert.deepEqual(await where(notes.list({ cursor: half })), ["validation_failed", "cursor"]);
});

test("a clock with any error is corrected by one more request", async () => {
  for (const now of [() => -1, () => 0, () => 1e15, () => Date.now() + 3_600_000]) {
    let sent = 0;
    const counting: AirlockOptions["fetch"] = (url, init) => ((sent += 1), fetch(url, init));
    const airlock = clientOf({ now, fetch: counting });
    await airlock.me();
    await airlock.me();
    assert.equal(sent, 3);
  }
});

test("a retired key gives the operator's message", async () => {
  const error = await problemOf(clientOf(RETIRED).me());
  assert.ok(error instanceof AirlockUpgradeRequired);
  assert.deepEqual([error.message, error.status, error.retryable], ["Version 1 has ended.", 426, false]);
  const forger = clientOf({ ...RETIRED, secret: "A".repeat(43) });
  assert.equal((await problemOf(forger.me())).code, "app_guard_rejected");
});

/** The client as it will be in a later version. */
async function clientOfVersion(version: string): Promise<typeof import("../src/index.ts")> {
  const bundle = await build({
    entryPoints: [fileURLToPath(new URL("../src/index.ts", import.meta.url))],
    bundle: true,
    write: false,
    format: "esm",
    plugins: [
      {
        name: "version",
        setup: ({ onLoad }) =>
          onLoad({ filter: /version\.ts$/ }, async ({ path }) => {
            const source = await readFile(path, "utf8");
            const contents = source.replace(/(VERSION = )".*"/, `$1"${version}"`);
            assert.notEqual(contents, source);
            return { contents, loader: "ts" };
          }),
      },
    ],
  });
  return import(`data:text/javascript;base64,${Buffer.from(bundle.outputFiles[0]!.contents).toString("base64")}`);
}

test("the client warns of an older Worker, whose log names the client", async (context) => {
  const warn = context.mock.method(console, "warn", () => {});
  const later = await clientOfVersion("999.1.2");
  const airlock = later.createAirlock({ url: stack.url, ...APP, getToken: async () => stack.alice.token });
  assert.equal((await airlock.me()).sub, stack.alice.id);
  assert.equal(warn.mock.callCount(), 0);
  for (const path of ["/v2/new", "/v1/newer"]) assert.equal((await airlock.request("GET", path)).status, 404);
  const [warning, ...more] = warn.mock.calls.map((call) => String(call.arguments[0]));
  assert.deepEqual(more, []);
  assert.match(
    String(warning),
    /^http:\S+ is Airlock \d+\.\d+\.\d+, older than react-native-airlock 999\.1\.2: deploy a newer one\.$/,
  );
  // One of its own version.
  assert.equal((await clientOf().request("GET", "/v2/new")).status, 404);
  assert.equal(warn.mock.callCount(), 1);

  const answer = await airlock.request("GET", "/v1/me");
  assert.equal((await logOf(stack.worker, answer)).client, "react-native-airlock/999.1.2");
});

/**
 * supabase-js as in an app: its own storage, and every request for tokens is counted. Its clock is `fast` seconds fast.
 */
function supabaseApp({ reachable = () => true, fast = 0 }: { reachable?: () => boolean; fast?: number } = {}) {
  const stored = new Map<string, string>();
  let refreshes = 0;
  const storage = {
    getItem: (key: string) => stored.get(key) ?? null,
    setItem: (key: string, value: string) => void stored.set(key, value),
    removeItem: (key: string) => void stored.delete(key),
  };
  const start = () =>
    createClient(stack.supabase.url, PUBLISHABLE_KEY, {
      auth: { storage, persistSession: true, autoRefreshToken: false, detectSessionInUrl: false },
      global: {
        fetch: async (input, init) => {
          if (!reachable()) throw new TypeError("Network request failed");
          if (String(input).includes("grant_type=refresh_token")) refreshes += 1;
          const answer = await fetch(input, init);
          if (fast === 0 || !String(input).includes("/token?")) return answer;
          // For supabase-js, a token that ends an hour earlier is the same as a clock that is an hour fast.
          const session = (await answer.json()) as { expires_at: number };
          return Response.json({ ...session, expires_at: session.expires_at - fast }, { status: answer.status });
        },
      },
    });
  /** Sets when the stored session expires, by the phone's clock. */
  const expire = (expires_at: number) => {
    for (const [key, value] of stored) stored.set(key, JSON.stringify({ ...JSON.parse(value), expires_at }));
  };
  return { start, expire, stored, refreshes: () => refreshes };
}

const signIn = (supabase: ReturnType<ReturnType<typeof supabaseApp>["start"]>, name = "alice") =>
  supabase.auth.signInWithPassword({ email: `${name}@example.com`, password: PASSWORD });

test("a phone that is an hour fast does not refresh the token at every call", async () => {
  const phone = supabaseApp({ fast: 3_660 });
  const supabase = phone.start();
  const airlock = clientOf({ getToken: supabaseToken(supabase), now: () => Date.now() + 3_660_000 });
  await signIn(supabase);
  for (let call = 0; call < 40; call++) await airlock.me();
  assert.ok(phone.refreshes() <= 1, `${phone.refreshes()} refreshes`);

  await supabase.auth.getSession();
  await supabase.auth.getSession();
  assert.ok(phone.refreshes() >= 2, "supabase-js itself refreshes at every call");
});

test("supabaseToken follows the user: sign-in, sign-out, another user", async () => {
  const supabase = supabaseApp().start();
  const airlock = clientOf({ getToken: supabaseToken(supabase) });
  assert.equal((await problemOf(airlock.me())).code, "token_missing");
  await signIn(supabase);
  assert.equal((await airlock.me()).email, "alice@example.com");
  await signIn(supabase, "bob");
  assert.equal((await airlock.me()).email, "bob@example.com");
  await supabase.auth.signOut({ scope: "local" });
  assert.equal((await problemOf(airlock.me())).code, "token_missing");
});

test("an unreachable Auth does not sign anybody out", async () => {
  let reachable = true;
  const phone = supabaseApp({ reachable: () => reachable });
  await signIn(phone.start());
  phone.expire(Math.floor(Date.now() / 1000) - 60);

  reachable = false;
  const airlock = clientOf({ getToken: supabaseToken(phone.start()), timeoutMs: 3_000 });
  const error = await airlock.me().then(
    () => assert.fail("nothing was thrown"),
    (error: unknown) => error,
  );
  assert.ok(error instanceof AirlockNetworkError && error.retryable, String(error));
  assert.equal(phone.stored.size, 1);

  reachable = true;
  const later = clientOf({ getToken: supabaseToken(phone.start()) });
  assert.equal((await later.me()).email, "alice@example.com");
});

test("openapi-fetch works on a signed fetch", async () => {
  const fetch = createSignedFetch({ url: stack.url, ...APP, getToken: async () => stack.alice.token });
  const api = createApi<Paths>({ baseUrl: stack.url, fetch });
  const { data: note } = await api.POST("/v1/notes", { body: { title: "typed" } });
  assert.equal(note?.title, "typed");
  const found = await api.GET("/v1/notes", { params: { query: { q: "it's (typed)!" } } });
  assert.equal(found.response.status, 200, JSON.stringify(found.error));
  const { error, response } = await api.POST("/v1/notes", { body: { title: "" } });
  assert.deepEqual([response.status, (error as { code?: string } | undefined)?.code], [422, "validation_failed"]);
});

/** As openapi-typescript makes it of openapi.json, in short. */
interface Paths {
  "/v1/notes": {
    get: {
      parameters: { query: { q?: string } };
      responses: { 200: { content: { "application/json": { data: unknown[] } } } };
    };
    post: {
      requestBody: { content: { "application/json": { title: string } } };
      responses: {
        201: { content: { "application/json": { id: string; title: string } } };
        422: { content: { "application/problem+json": object } };
      };
    };
  };
}

test("a signed fetch returns any response, repaired", async () => {
  let wrong = true;
  const now = () => Date.now() + (wrong ? 3_600_000 : 0);
  const signedFetch = createSignedFetch({ url: stack.url, ...APP, getToken: async () => stack.alice.token, now });
  const created = await signedFetch(`${stack.url}/v1/notes`, { method: "post", body: '{"title":"fetched"}' });
  assert.equal(created.status, 201);
  const note = (await created.json()) as { id: string };
  assert.equal((await signedFetch(new URL(`${stack.url}/v1/notes/${note.id}#part`))).status, 200);
  const invalid = await signedFetch(
    new Request(`${stack.url}/v1/notes`, {
      method: "POST",
      body: "{}",
      headers: { "Content-Type": "application/json" },
    }),
  );
  assert.deepEqual([invalid.status, invalid.headers.get("Content-Type")], [422, "application/problem+json"]);
  const found = await signedFetch("/v1/notes?q=don't (fetched) é");
  assert.equal(found.status, 200);
  assert.equal((await signedFetch(`/v1/notes/${note.id}`, { headers: { "If-None-Match": '"1"' } })).status, 304);
  const removed = await signedFetch(`/v1/notes/${note.id}`, { method: "DELETE" });
  assert.deepEqual([removed.status, await removed.text()], [204, ""]);
  wrong = false;
  assert.equal((await signedFetch("/v1/me")).status, 200);
});
