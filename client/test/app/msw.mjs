// The README's handler, and a client with the global fetch.
import { http } from "msw";
import { setupServer } from "msw/node";
import { createAirlock } from "react-native-airlock";
import { createStubServer } from "react-native-airlock/testing";

const server = createStubServer();
const worker = setupServer(http.all("https://api.example.com/*", ({ request }) => server.fetch(request)));
worker.listen({ onUnhandledRequest: "error" });

const airlock = createAirlock({ ...server.options, fetch: undefined });
const note = await airlock.notes.create({ title: "Milk" });
const missing = await airlock.notes.get("7efe3d84-2d6a-4174-899e-8ffddea7a39a").catch(({ code }) => code);
console.log(note.title, note.version, missing);
worker.close();
