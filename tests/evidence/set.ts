// Tests of the set of schemas: each flaw is found with its object, sound twins and ordinary schemas are quiet.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { type Audit, readAccepted } from "../../tools/evidence/audit.ts";
import { CASES, ORDINARY } from "./cases.ts";
import { type Audited, beyond, key, openAudited } from "./support.ts";

/** Tests every `nth` schema. */
export async function testSet(nth: number): Promise<void> {
  const accepted = await readAccepted("supabase/evidence.json");
  let audited: Audited;
  let good: Audit;
  before(async () => {
    audited = await openAudited();
    good = await audited.undone(() => audited.look(accepted));
  });
  after(() => audited.close());

  const found = (sql: string) =>
    audited.undone(async () => {
      await audited.sql(`set local search_path = public, extensions; ${sql}`);
      return beyond(await audited.look(accepted), good).filter(({ level }) => level === "finding");
    });

  test("at least 100 flawed and 30 ordinary schemas, each name once", () => {
    assert.ok(CASES.length >= 100 && ORDINARY.length >= 30, `${CASES.length} and ${ORDINARY.length}`);
    const names = [...CASES.map(({ name }) => name), ...ORDINARY.map(([name]) => name)];
    assert.equal(new Set(names).size, names.length);
  });

  for (const { name, flawed, rule, object, sound } of CASES.filter((_, at) => at % nth === 0)) {
    test(`flawed: ${name}`, async () => {
      const faults = await found(flawed);
      assert.ok(faults.some((one) => one.rule === rule && one.object === object), `${rule}: ${object} is not among:\n${faults.map(key).join("\n")}`);
    });
    if (sound !== undefined) test(`sound: ${name}`, async () => assert.deepEqual((await found(sound)).map(key), []));
  }
  for (const [name, sql] of ORDINARY.filter((_, at) => at % nth === 0)) {
    test(`ordinary: ${name}`, async () => assert.deepEqual((await found(sql)).map(key), []));
  }
}
