// Runs in the Hermes VM, which has neither crypto nor URL. React Native's additions to it come from its own packages.

import "./hermes-globals";
import {
  AirlockNetworkError,
  type AirlockOptions,
  AirlockProblem,
  canonicalString,
  createAirlock,
  createId,
  createSignedFetch,
  signRequest,
} from "react-native-airlock";

import vectors from "./app-guard.json";
import { requestOf } from "./vector";

declare function print(text: string): void;

async function main(): Promise<void> {
  const failed: string[] = [];
  const check = (name: string, good: boolean) => void (good || failed.push(name));
  check("no crypto, no URL", typeof crypto === "undefined" && typeof URL === "undefined");

  for (const vector of vectors) {
    const request = requestOf(vector);
    check(`canonical: ${vector.name}`, canonicalString(request) === vector.canonical);
    check(
      `signature: ${vector.name}`,
      signRequest({ ...request, secret: vector.secret })["X-App-Signature"] === vector.signature,
    );
  }

  const random = (bytes: number) => new Uint8Array(bytes).map(() => Math.floor(Math.random() * 256));
  check("createId", /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(createId(random)));

  // A call with each repair, and its errors.
  const id = createId(random);
  const problem = (code: string, members = {}) => ({ type: `urn:airlock:problem:${code}`, code, ...members });
  const answers: [number, object][] = [
    [401, problem("clock_skew", { server_time: 1_795_348_800 })],
    [401, problem("token_expired")],
    [409, problem("request_replayed")],
    [201, { id, version: 1 }],
    [412, problem("version_mismatch", { current: { version: 2 } })],
    [200, { data: [{ id }], next_cursor: "more" }],
    [200, { data: [{ id }], next_cursor: null }],
    [404, problem("not_found")],
    [422, problem("validation_failed")],
  ];
  const sent: Headers[] = [];
  const urls: string[] = [];
  const bodies: string[] = [];
  const options: AirlockOptions = {
    url: "https://api.example.com",
    appId: "rn-ios",
    secret: "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8",
    getToken: async ({ refresh }) => (refresh ? "new" : "old"),
    random,
    now: () => 1_000_000_000_000,
    fetch: async (url, { headers, body }) => {
      urls.push(url);
      bodies.push(String.fromCharCode(...((body ?? []) as Uint8Array)));
      sent.push(new Headers(headers));
      const [status, answer] = answers.shift()!;
      return new Response(JSON.stringify(answer), { status });
    },
  };
  const airlock = createAirlock(options);
  const note = await airlock.notes.create({ title: "Café ☕" });
  check("create", note.id === id && sent.length === 4);
  check("clock", sent[3]!.get("X-App-Timestamp") === "1795348800");
  check("token", sent[3]!.get("Authorization") === "Bearer new");
  check("key", sent[0]!.get("Idempotency-Key") === sent[3]!.get("Idempotency-Key"));
  const mismatch = await airlock.notes.patch(id, { title: "a" }, { ifMatch: 1 }).catch((error: unknown) => error);
  check("problem", mismatch instanceof AirlockProblem && mismatch.current?.version === 2);
  const listed: string[] = [];
  for await (const row of airlock.notes.all({ q: "it's \u{1F9F3}" })) listed.push(row.id);
  check(
    "all",
    listed.length === 2 &&
      urls[urls.length - 1] === "https://api.example.com/v1/notes?q=it%27s%20%F0%9F%A7%B3&cursor=more",
  );
  const half = await airlock.notes.list({ q: "caf\ud83d" }).catch((error: unknown) => error);
  check("half an emoji", half instanceof AirlockProblem && half.errors[0]?.parameter === "q");
  const response = await createSignedFetch(options)("/v1/notes?q=a\ud83d&x=\udc00");
  check(
    "signed fetch",
    response.status === 404 && urls[urls.length - 1] === "https://api.example.com/v1/notes?q=a%EF%BF%BD&x=%EF%BF%BD",
  );
  await airlock.notes.create({ title: "caf\ud83d" }).catch(() => {});
  check("half an emoji in a body", bodies[bodies.length - 1] === '{"title":"caf\\ud83d"}');
  const lost = await createAirlock({ ...options, fetch: () => Promise.reject(mismatch) })
    .me()
    .catch((error: unknown) => error);
  check("cause", lost instanceof AirlockNetworkError && lost.cause === mismatch);
  const controller = new AbortController();
  controller.abort();
  const aborted = await airlock.notes.list({ signal: controller.signal }).catch((error: Error) => error);
  check("abort", aborted instanceof Error && aborted.name === "AbortError");
  const dead = createAirlock({
    ...{ url: "https://api.example.com", appId: "a", secret: "A".repeat(43), random },
    getToken: () => new Promise(() => {}),
    timeoutMs: 10,
  });
  check("timeout", (await dead.me().catch((error: unknown) => error)) instanceof AirlockNetworkError);

  print(failed.length === 0 ? `good: ${vectors.length} vectors` : failed.join("\n"));
}

main().catch((error: Error) => print(String(error.stack)));
