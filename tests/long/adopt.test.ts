// All schemas of the set through adopt: its decisions, and the files of the command.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { after, test } from "node:test";

import { query } from "../../tools/setup/postgres.ts";
import { makeProject } from "../adopt/project.ts";
import { ALL, testSchemas } from "../adopt/set.ts";
import { schemaOf, startServer } from "../adopt/support.ts";

testSchemas(ALL);

const [project, server] = await Promise.all([makeProject("adopt-long"), startServer()]);
after(async () => {
  await server.postgres.stop();
  await project.remove();
});

for (const name of ALL) {
  test(`${name}: the migration runs, and the database fits the sections`, async () => {
    await project.reset("");
    const url = await server.create(`checked_${name}`, await schemaOf(name));
    const { code, output } = await project.command("adopt", ["--db-url", url]);
    assert.equal(code, /: stopped$/m.test(output) ? 1 : 0, output);
    assert.doesNotMatch(output, /cannot say it/);
    const [file = ""] = await project.adopted();
    await query(server.postgres.url(`checked_${name}`), await readFile(join(project.migrations, file), "utf8"));
    const checked = await project.command("check", ["--db-url", url]);
    assert.equal(checked.code, 0, checked.output);
    const again = await project.command("adopt", ["--db-url", url]);
    assert.match(again.output, /^Nothing is new, and nothing was written\.$/m);
  });
}
