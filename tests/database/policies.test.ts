// supabase/tests/*.sql on the project's resources and on those of the tests.

import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";

import type { Supabase } from "../../tools/supabase.ts";
import { everything } from "../resources/everything.ts";
import { freshSupabase } from "./support.ts";

const FOLDER = fileURLToPath(new URL("../../supabase/tests/", import.meta.url));

let supabase: Supabase;
before(async () => {
  supabase = await freshSupabase();
  await supabase.sql((await everything()).sql);
});
after(() => supabase?.stop());

/** A file's text, with the files that `\ir`, psql's command, includes. */
const textOf = (file: string): string =>
  readFileSync(FOLDER + file, "utf8").replaceAll(/^\\ir (.+)$/gm, (_, included) => textOf(included));

for (const file of readdirSync(FOLDER).filter((name) => name.endsWith(".sql"))) {
  test(`supabase/tests/${file} passes`, async (context) => {
    const rows = await supabase.sql(textOf(file)).catch(async (error) => {
      await supabase.sql("rollback");
      throw error;
    });
    const report = rows.flatMap((row) => Object.values(row).map(String));

    const results = report.filter((line) => /^(not )?ok /.test(line));
    for (const result of results) {
      const description = result.split("\n", 1)[0]?.replace(/^(not )?ok \d+ - /, "");
      await context.test(description, () => assert.match(result, /^ok /));
    }
    assert.ok(report.includes(`1..${results.length}`), report.at(-1));
  });
}
