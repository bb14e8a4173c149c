// Tests of the set of schemas. The file beside each one has adopt's output and files, line by line. They are the same
// for the embedded database and for a server on which the reader may only connect.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { type Embedded, expectedOf, openEmbedded, outcome, type Server, schemaOf, startServer } from "./support.ts";

export const THREE = ["todos", "profiles", "teams"];
export const ALL = [
  ...THREE,
  "subscriptions",
  "chat",
  "blog",
  "orders",
  "fitness",
  "camel",
  "serial",
  "tenants",
  "events",
  "bookmarks",
  "odd",
];

export function testSchemas(names: string[]): void {
  let embedded: Embedded;
  let server: Server;
  before(async () => {
    [embedded, server] = await Promise.all([openEmbedded(), startServer()]);
  });
  after(async () => {
    await embedded.close();
    await server.postgres.stop();
  });

  for (const name of names) {
    test(`${name}: the outcome on the embedded database`, async () => {
      const found = outcome(await embedded.catalogueOf(await schemaOf(name)));
      assert.deepEqual(found.split("\n"), (await expectedOf(name)).trimEnd().split("\n"));
    });
    test(`${name}: the same on a server, with no right but CONNECT`, async () => {
      const catalogue = await server.catalogueOf(name, await schemaOf(name));
      // Such a reader may not look at rows, and reports that.
      const asked = catalogue.tables.flatMap(({ looks }) => looks.open);
      assert.equal(
        catalogue.tables.every(({ looks }) => Object.keys(looks.unfit).length === 0),
        true,
      );
      for (const table of catalogue.tables) table.looks.open = [];
      const found = outcome(catalogue);
      assert.deepEqual(found.split("\n"), (await expectedOf(name)).trimEnd().split("\n"));
      assert.equal(
        asked.length > 0,
        catalogue.tables.some(
          ({ kind, columns }) =>
            kind === "r" && columns.some(({ type }) => /^(int8|timestamptz?|date|numeric|float[48])$/.test(type.name)),
        ),
      );
    });
  }
}
