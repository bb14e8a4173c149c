// The stub server for apps answers as the Worker does.

import assert from "node:assert/strict";
import { test } from "node:test";
import { app, startStack } from "../../tests/e2e/support.ts";
import { type Airlock, AirlockNetworkError, type AirlockProblem, createAirlock, createId } from "../src/index.ts";
import { createStubServer } from "../src/testing.ts";
import type { Declaration } from "./generated.ts";

/** Calls and their outcomes, without values that differ in each run. */
async function outcomes({ notes }: Airlock<Declaration>): Promise<unknown[]> {
  const seen: unknown[] = [];
  const ids = new Map<string, number>();
  const plain = (text: string) =>
    text
      .replace(/[0-9a-f]{8}-[0-9a-f-]{27}/g, (id) => `<${ids.get(id) ?? ids.set(id, ids.size).get(id)}>`)
      .replace(/\d{4}-\d\d-\d\dT[\d:.]{15}Z/g, "<time>");
  const see = async (call: Promise<unknown>): Promise<any> => {
    const outcome = await call.catch((error: AirlockProblem) => ({
      status: error.status,
      code: error.code,
      current: error.current,
      retryable: error.retryable,
    }));
    seen.push(outcome === undefined ? "nothing" : JSON.parse(plain(JSON.stringify(outcome))));
    return outcome;
  };
  const draft = { title: "a", body: "" };
  const options = { idempotencyKey: createId() };
  const { id } = await see(notes.create(draft, options));
  await see(notes.create(draft, options));
  await see(notes.create({ title: "b", body: "" }, options));
  await see(notes.get(id));
  await see(notes.get(id, { ifNoneMatch: 1 }));
  await see(notes.patch(id, { title: "c" }, { ifMatch: 1 }));
  await see(notes.patch(id, { title: "d" }, { ifMatch: 1 }));
  await see(notes.put(id, draft, { ifNoneMatch: "*" }));
  await see(notes.put(id, draft, { ifMatch: 2 }));
  await see(notes.put(createId(), draft, { ifMatch: 1 }));
  const other = createId();
  await see(notes.put(other, draft, { ifNoneMatch: "*" }));
  await see(notes.put(other, { title: "e", body: "f" }));
  await see(notes.list());
  await see(notes.remove(id, { ifMatch: 1 }));
  await see(notes.remove(id, { ifMatch: 3 }));
  await see(notes.remove(id));
  await see(notes.get(id));
  await see(notes.patch(id, { title: "g" }));
  await see(notes.put(id, draft));
  await see(notes.create(draft, options));
  await see(notes.list());
  await see(notes.list({ state: "deleted" }));
  await see(notes.restore(id));
  await see(notes.restore(id));
  await see(notes.get(createId()));
  await see(notes.remove(createId()));
  for await (const { title } of notes.all({ limit: 1 })) seen.push(title);
  return seen;
}

const stubbed = (server: ReturnType<typeof createStubServer>, token: string | null = "a.b.c") =>
  createAirlock<Declaration>({ ...server.options, getToken: async () => token });

test("the stub server answers as the Worker does", async () => {
  const stack = await startStack();
  try {
    assert.deepEqual(await outcomes(stubbed(createStubServer())), await outcomes(app(stack.url, stack.alice.token)));
  } finally {
    await stack.stop();
  }
});

test("the network and the server of a test can fail", async () => {
  const server = createStubServer();
  const airlock = stubbed(server);
  server.online = false;
  await assert.rejects(airlock.notes.list(), AirlockNetworkError);
  server.online = true;
  server.failNext(503, "upstream_unavailable");
  server.failNext(422, "validation_failed", {
    errors: [{ pointer: "/title", code: "length", message: "1 to 200 characters" }],
  });
  await assert.rejects(airlock.notes.list(), { code: "upstream_unavailable", retryable: true });
  await assert.rejects(
    airlock.notes.create({ title: "" }),
    (error: AirlockProblem) => error.errors[0]?.pointer === "/title",
  );
  await assert.rejects(stubbed(server, null).notes.list(), { code: "token_missing" });

  const note = await airlock.notes.create({ title: "a" });
  Object.assign(server.rows("notes")[0]!, { title: "changed elsewhere", version: 2 });
  const conflict = airlock.notes.patch(note.id, { title: "b" }, { ifMatch: note.version });
  await assert.rejects(conflict, (error: AirlockProblem) => error.current?.title === "changed elsewhere");
  assert.equal(
    (await server.fetch(new Request("https://api.example.com/v1/notes", { headers: { Authorization: "Bearer a" } })))
      .status,
    200,
  );
});
