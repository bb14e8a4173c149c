// Tests of the set of schemas. Each flaw is found with its object, and its SQL fixes it and opens nothing. Correct
// twins and ordinary schemas have no finding.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { type Audit, readAccepted } from "../../tools/evidence/audit.ts";
import * as cases from "./cases.ts";
import { PROJECTS, SOUND_PROJECTS } from "./projects.ts";
import { type Audited, key, newFaults, openForeign } from "./support.ts";
import { SOUND_TEAMS, TEAMS } from "./teams.ts";
import { SOUND_TENANTS, TENANTS } from "./tenants.ts";

const ACCEPTED = await readAccepted("supabase/evidence.json");

export const CASES = [...cases.CASES, ...PROJECTS, ...TEAMS, ...TENANTS];
export const ORDINARY = [...cases.ORDINARY, ...SOUND_PROJECTS, ...SOUND_TEAMS, ...SOUND_TENANTS];

/** Tests every `nth` schema, on a database that `open` opens. */
export function testSet(nth: number, open: () => Promise<Audited>, accepted = ACCEPTED): void {
  let audited: Audited;
  let good: Audit;
  before(async () => {
    audited = await open();
    good = await audited.undone(() => audited.audit(accepted));
  });
  after(() => audited.close());

  const apply = (sql: string) => audited.sql(`set local search_path = public, extensions; ${sql}`);
  const findings = async () =>
    newFaults(await audited.audit(accepted), good).filter(({ level }) => level === "finding");
  const found = (sql: string) => audited.undone(async () => (await apply(sql), findings()));

  test("at least 100 flawed and 30 ordinary schemas, each name once", () => {
    assert.ok(CASES.length >= 100 && ORDINARY.length >= 30, `${CASES.length} and ${ORDINARY.length}`);
    const names = [...CASES.map(({ name }) => name), ...ORDINARY.map(([name]) => name)];
    assert.equal(new Set(names).size, names.length);
  });

  for (const { name, flawed, rule, object, sound } of CASES.filter((_, at) => at % nth === 0)) {
    test(`flawed: ${name}`, () =>
      audited.undone(async () => {
        await apply(flawed);
        const faults = await findings();
        const meant = faults.filter((one) => one.rule === rule && one.object === object);
        assert.ok(meant.length > 0, `${rule}: ${object} is not among:\n${faults.map(key).join("\n")}`);
        const mends = meant.map(({ mend }) => mend).filter((mend) => !mend.startsWith("--"));
        if (mends.length === 0) return;
        for (const mend of mends) await audited.sql(mend);
        // Without the dropped policy no user may have access, or too few.
        const left = (await findings()).filter(
          (one) =>
            (one.rule === rule && one.object === object) ||
            (!["no-policy", "policy-fails"].includes(one.rule) && !faults.some((other) => key(other) === key(one))),
        );
        assert.deepEqual(left.map(key), []);
      }));
    if (sound !== undefined) test(`sound: ${name}`, async () => assert.deepEqual((await found(sound)).map(key), []));
  }
  const ordinary = ORDINARY.filter(([, sql]) => open !== openForeign || !sql.includes("airlock."));
  for (const [name, sql] of ordinary.filter((_, at) => at % nth === 0)) {
    test(`ordinary: ${name}`, async () => assert.deepEqual((await found(sql)).map(key), []));
  }
}
