// The same as the plans of tests/database/existing.test.ts, with a million rows.

import { readFile } from "node:fs/promises";
import { after, before, test } from "node:test";

import { type Connections, startConnections } from "../database/connections.ts";
import { assertRanges } from "../support/plans.ts";

let server: Connections;
before(async () => {
  const settings = ["shared_buffers=256MB", "max_wal_size=4GB", "synchronous_commit=off", "jit=off"];
  server = await startConnections(
    await readFile(new URL("../resources/existing.sql", import.meta.url), "utf8"),
    0,
    settings,
  );
});
after(() => server?.stop());

test("of a million rows a page of any sort and filter is a range of its index", async () => {
  await assertRanges(server.owner, await server.account(), await server.account(), 1_000_000);
});
