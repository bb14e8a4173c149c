// What `npm run new-table` makes holds as it stands: its own test passes, and an audit finds nothing.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, before, test } from "node:test";

import { audit, readAccepted } from "../../tools/evidence/audit.ts";
import { type Embedded, signIn, startEmbedded } from "../../tools/evidence/embedded.ts";
import { findingsOf, notTried, tryAll } from "../../tools/evidence/tries.ts";

const template = (name: string) => readFileSync(new URL(`../../supabase/templates/${name}`, import.meta.url), "utf8").replaceAll("TABLE", "things");

let embedded: Embedded;
before(async () => {
  embedded = await startEmbedded();
  // Before the first REST request, which is when the API learns what there is.
  await embedded.supabase.sql(template("migration.sql"));
});
after(() => embedded?.stop());

test("a new table's policy test passes", async () => {
  const rows = await embedded.supabase.sql(template("policies.test.sql"));
  const report = rows.flatMap((row) => Object.values(row).map(String)).filter((line) => /^(not ok|ok|1\.\.)/.test(line));
  const planned = report.find((line) => line.startsWith("1.."));
  assert.deepEqual(report.filter((line) => line.startsWith("not ok")), []);
  assert.equal(planned, `1..${report.length - 1}`);
});

test("a new table has no finding, by its catalogue and by trying, and bob makes rows of his own", async () => {
  const { supabase, rest } = embedded;
  const accepted = await readAccepted("supabase/evidence.json");
  await supabase.sql("begin");
  const { findings, notes } = await audit(supabase.sql, ["public"], accepted);
  await supabase.sql("rollback");
  assert.deepEqual([findings, notes.filter(({ object }) => object.includes("things"))], [[], []]);

  const [alice, bob] = [await signIn(rest, "alice@example.com", "airlock-dev-password"), await signIn(rest, "bob@example.com", "airlock-dev-password")];
  const tried = await tryAll(supabase.sql, rest, ["public"], alice.id, [{ name: "anon", role: "anon" }, bob], accepted, "public.things");
  assert.deepEqual([...findingsOf(tried), ...notTried(tried)], []);
  assert.deepEqual(
    tried.filter(({ as }) => as === bob.name).map(({ verb, outcome }) => `${verb}: ${outcome}`),
    ["select: nothing", "insert: own row", "upsert: denied", "update: nothing", "delete: denied"],
  );
});
