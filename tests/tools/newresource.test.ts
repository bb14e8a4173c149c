// npm run new-resource and new-field: the files that they write, and the command lines that they refuse with a sentence.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { promisify } from "node:util";

import { planField, planResource } from "../../tools/resource/plan.ts";
import { Failure } from "../../tools/setup/shell.ts";
import { copyProject } from "../support/project.ts";

const NOTES = `[resources.notes]
owner = "both"
[resources.notes.fields]
title = "text(1..200)"

# The comment of lists.
[resources.lists]
owner = "user"
[resources.lists.fields]
label = "text(1..50)"
`;

test("new-resource appends a section that reads as it was written", async () => {
  const fields = [
    "label:text(1..50)",
    "color:one_of(red,green,'light blue')=light blue",
    "done:boolean=false",
    "due:date?",
    "rank: integer(0..1000) ?",
    "memo:verbatim(0..500)=",
    "motto:text(0..20)=it's",
    "day:date=2026-01-31",
    'labels:texts(3,10)=["a"]',
    'extra:json(100)={"a": "="}',
    "quoted:text(0..9)='x'",
    "odd:one_of('a=b','c:d')='a=b'",
    "parent:ref(notes)?",
    "score:number(-1.5..1.5)=-0.5",
  ];
  const { toml, migration, name } = await planResource(NOTES, [
    "tags",
    ...fields,
    "--owner",
    "both",
    "--search",
    "label, memo",
  ]);
  assert.equal(name, "tags");
  assert.ok(migration.startsWith("-- tags: "));
  assert.equal(
    toml,
    `${NOTES}
[resources.tags]
owner = "both"
search = ["label", "memo"]
[resources.tags.fields]
label = "text(1..50)"
color = "one_of(red,green,'light blue') = 'light blue'"
done = "boolean = false"
due = "date?"
rank = "integer(0..1000) ?"
memo = "verbatim(0..500) = ''"
motto = "text(0..20) = 'it''s'"
day = "date = '2026-01-31'"
labels = "texts(3,10) = [\\"a\\"]"
extra = "json(100) = {\\"a\\": \\"=\\"}"
quoted = "text(0..9) = 'x'"
odd = "one_of('a=b','c:d') = 'a=b'"
parent = "ref(notes)?"
score = "number(-1.5..1.5) = -0.5"
`,
  );
});

test("new-resource begins an empty declaration", async () => {
  const { toml } = await planResource("", ["tags", "label:text(1..50)", "--owner", "user"]);
  assert.equal(toml, `[resources.tags]\nowner = "user"\n[resources.tags.fields]\nlabel = "text(1..50)"\n`);
});

test("new-resource makes a table of rows that have a parent", async () => {
  const { lines, migration } = await planResource(NOTES, [
    "items",
    "label:text(1..50)",
    "--owner",
    "user",
    "--under",
    "lists.list_id",
  ]);
  assert.equal(
    lines,
    `[resources.items]\nowner = "user"\nunder = "lists.list_id"\n[resources.items.fields]\nlabel = "text(1..50)"`,
  );
  assert.match(migration, /^ {2}list_id uuid not null,$/m);
  assert.match(migration, /^ {2}insert \(id, list_id, label\),$/m);
  assert.match(migration, /^ {2}update \(label, deleted_at\)$/m);
  assert.match(migration, /^ {2}under => 'lists.list_id', scope => 'owner'$/m);
});

test("new-field adds a line at the end of the resource's fields", async () => {
  const { toml, name, migration } = await planField(NOTES, ["notes", "color:one_of(a,b)=a"]);
  assert.equal(toml, NOTES.replace(`(1..200)"\n`, `(1..200)"\ncolor = "one_of(a,b) = 'a'"\n`));
  assert.equal(name, "notes_color");
  assert.match(migration, /^ {2}add column color text not null default 'a',$/m);
  assert.equal((await planField(NOTES.trimEnd(), ["lists", "due:date?"])).toml, `${NOTES}due = "date?"`);
});

const OWNER = ["--owner", "user"];
const REFUSED: [string[], RegExp][] = [
  [[], /needs a name/],
  [["tags"], /at least one field/],
  [["label:text(1..50)", "tags", ...OWNER], /comes before the fields/],
  [["tags; drop table x", "label:text(1..50)", ...OWNER], /not a name/],
  [["tags", "label:text(1..50)"], /Add --owner/],
  [["tags", "label:text(1..50)", "--owner", "me"], /owner: must be "user", "org" or "both"/],
  [["tags", "label:text(1..50)", "--owner"], /--owner.*missing/],
  [["tags", "label:text(1..50)", "--owner", "--search", "label"], /--owner.*ambiguous/],
  [["tags", "label:text(1..50)", "--owner", "user", "--owner", "org"], /--owner is given twice/],
  [["tags", "label:text(1..50)", "--colour", "red", ...OWNER], /--colour'\.\n/],
  [["tags", "label:text(1..50)", "--help"], /--help'\.\nnpm run new-resource/],
  [["notes", "label:text(1..50)", ...OWNER], /already/],
  [
    ["tags", "label:text(1..50)", "--under", "notes", ...OWNER],
    /--under notes is not a resource, a dot and a new column/,
  ],
  [["tags", "label:text(1..50)", "--under", "things.x", ...OWNER], /there is no resource things/],
  [["tags", "label:text(1..50)", "--under", "tags.x", ...OWNER], /in a circle/],
  [["tags", "label:text(1..50)", "--under", "notes.x", "--under", "notes.y", ...OWNER], /--under is given twice/],
  [["my-tags", "label:text(1..50)", ...OWNER], /my-tags/],
  [["Tags", "label:text(1..50)", ...OWNER], /Tags/],
  [["1tags", "label:text(1..50)", ...OWNER], /1tags/],
  [["t".repeat(41), "label:text(1..50)", ...OWNER], /40/],
  [["select", "label:text(1..50)", ...OWNER], /reserved word/],
  [["me", "label:text(1..50)", ...OWNER], /me is reserved/],
  [["orgs", "label:text(1..50)", ...OWNER], /orgs is reserved/],
  [["public", "label:text(1..50)", ...OWNER], /public is reserved/],
  [["airlock_x", "label:text(1..50)", ...OWNER], /airlock_x is reserved/],
  [["tags", "label", ...OWNER], /NAME:KIND/],
  [["tags", "label:", ...OWNER], /label/],
  [["tags", ":text(1..50)", ...OWNER], /NAME:KIND/],
  [["tags", "a b:text(1..50)", ...OWNER], /NAME:KIND/],
  [["tags", "Label:text(1..50)", ...OWNER], /Label/],
  [["tags", "user:text(1..50)", ...OWNER], /reserved word/],
  [["tags", "id:uuid", ...OWNER], /column of every table/],
  [["tags", "version:integer(1..2)", ...OWNER], /version/],
  [["tags", "xmin:integer(1..2)", ...OWNER], /xmin/],
  [["tags", "label:text(1..50)", "label:text(1..60)", ...OWNER], /label is given twice/],
  [["tags", "label:string(1..50)", ...OWNER], /string/],
  [["tags", "label:text", ...OWNER], /label/],
  [["tags", "label:text(50..1)", ...OWNER], /label/],
  [["tags", "label:text(1..50", ...OWNER], /label/],
  [["tags", "label:varchar(50)", ...OWNER], /the kinds are text, /],
  [["tags", "label:text(50)", ...OWNER], /both limits/],
  [["tags", "label:text(1,50)", ...OWNER], /both limits/],
  [["tags", "label=text(1..50)", ...OWNER], /NAME:KIND/],
  [["tags", "label:text(1..50), color:date", ...OWNER], /after the kind write/],
  [["tags", "label:text(1..5)=longer", ...OWNER], /1 to 5 characters/],
  [["tags", "label:text(1..5)='a", ...OWNER], /label/],
  [["tags", "done:boolean?=false", ...OWNER], /choose between \? and a default/],
  [["tags", "done:boolean=default", ...OWNER], /done: needs a value after =/],
  [["tags", "rank:integer(0..9007199254740992)", ...OWNER], /rank/],
  [["tags", "rank:integer", ...OWNER], /both limits/],
  [["tags", "rank:integer(0..1.5)", ...OWNER], /whole/],
  [["tags", "rank:integer(0..9)=10", ...OWNER], /from 0 to 9/],
  [["tags", "rank:integer(0..9)=ten", ...OWNER], /default ten/],
  [["tags", "score:number(5..1)", ...OWNER], /lower one first/],
  [["tags", "done:boolean(1)", ...OWNER], /write boolean/],
  [["tags", "device:uuid=5", ...OWNER], /UUID/],
  [["tags", "color:one_of()", ...OWNER], /color/],
  [["tags", "color:one_of(light blue)", ...OWNER], /single quotes/],
  [["tags", "labels:texts(5)", ...OWNER], /items and a length/],
  [["tags", "labels:texts(2,5)=[1]", ...OWNER], /labels/],
  [["tags", "extra:json", ...OWNER], /size in bytes/],
  [["tags", "extra:json(100)=[]", ...OWNER], /an object/],
  [["tags", "color:one_of(red,red)", ...OWNER], /color/],
  [["tags", "color:one_of(red,green)=blue", ...OWNER], /color/],
  [["tags", "label:text(1..50)=", ...OWNER], /label/],
  [["tags", "due:date=2026-02-30", ...OWNER], /due/],
  [["tags", "due:date?=2026-02-28", ...OWNER], /due/],
  [["tags", "done:boolean=yes", ...OWNER], /done/],
  [["tags", "list:ref(things)", ...OWNER], /things/],
  [["tags", "parent:ref(tags)", ...OWNER], /tags/],
  [["tags", "list:ref(lists)", "--owner", "org"], /lists/],
  [["tags", "label:text(1..50)", "--search", "colour", ...OWNER], /colour/],
  [["tags", "done:boolean", "--search", "done", ...OWNER], /done is not a text/],
  [["tags", "label:text(1..50)", "--search", "label,label", ...OWNER], /label twice/],
  [["tags", "a:text(1..50)", "b:text(1..50)", "--search", "a", "--search", "b", ...OWNER], /--search a,b/],
  [["tags", "label:text(1..50)", "--search", ...OWNER], /--search/],
  [["tags", "label:text(1..50)", "--search", "", ...OWNER], /search/],
];
for (const [args, sentence] of REFUSED) {
  test(`new-resource refuses ${args.join(" ").slice(0, 50) || "an empty command line"}`, async () => {
    await assert.rejects(
      planResource(NOTES, args),
      (error) => error instanceof Failure && sentence.test(error.message) && /\w/.test(error.message),
    );
  });
}

test("new-resource says where the -- belongs that npm needs", async () => {
  // The variables that npm sets for `npm run new-resource tags "label:text(1..50)" --owner user`.
  process.env.npm_config_owner = "true";
  try {
    await assert.rejects(
      planResource(NOTES, ["tags", "label:text(1..50)", "user"]),
      /Write -- after "npm run new-resource"/,
    );
  } finally {
    delete process.env.npm_config_owner;
  }
});

const FIELDS_REFUSED: [string[], RegExp][] = [
  [[], /one resource and one field/],
  [["notes"], /one resource and one field/],
  [["notes", "a:date?", "b:date?"], /one resource and one field/],
  [["tags", "due:date?"], /tags/],
  [["notes", "due:date?", "--owner", "user"], /one resource and one field/],
  [["notes", "due:date"], /\? or a default/],
  [["notes", "title:date?"], /title already/],
  [["notes", "version:integer(1..2)?"], /column of every table/],
  [["notes", "due"], /NAME:KIND/],
  [["notes", "due:date=2026-02-30"], /due/],
  [["notes", "list:ref(things)?"], /things/],
];
for (const [args, sentence] of FIELDS_REFUSED) {
  test(`new-field refuses ${args.join(" ") || "an empty command line"}`, async () => {
    await assert.rejects(planField(NOTES, args), (error) => error instanceof Failure && sentence.test(error.message));
  });
}

test("an invalid airlock.toml is refused with its line and a remedy", async () => {
  const broken: [string, RegExp][] = [
    [`${NOTES}due = date\n`, /^Error: airlock\.toml, line 11: .*double quotes/],
    [`${NOTES}label = "date?"\n`, /^Error: airlock\.toml, line 11: .*remove this line/],
    [`${NOTES}[resources.notes]\n`, /^Error: airlock\.toml, line 11: .*remove this line/],
    [`${NOTES}due = "date?\n`, /^Error: airlock\.toml, line 11: \w/],
  ];
  for (const [toml, sentence] of broken) {
    await assert.rejects(planResource(toml, ["tags", "due:date?", ...OWNER]), sentence);
    await assert.rejects(planField(toml, ["notes", "due:date?"]), sentence);
  }
});

test("a declaration in another form is left to its author", async () => {
  const inline = `resources = { notes = { owner = "user", fields = { title = "text(1..9)" } } }\n`;
  await assert.rejects(planField(inline, ["notes", "due:date?"]), /\[resources\.notes\.fields\]/);
  await assert.rejects(planResource(inline, ["tags", "due:date?", ...OWNER]), Failure);
});

// The commands themselves, in a copy of the project whose checker is built.

let project: string;
before(async () => {
  project = await copyProject("new-resource");
  await writeFile(join(project, "airlock.toml"), "");
  // Without the project's own resources, whose names the tests may need.
  const migrations = join(project, "supabase", "migrations");
  for (const file of await readdir(migrations)) if (!/_airlock(_|\.)/.test(file)) await rm(join(migrations, file));
});
after(() => rm(project, { recursive: true, force: true }));

/** The output of a command; its exit code is 0 or 1. */
async function command(task: string, args: string[]): Promise<{ code: number; output: string }> {
  const node = [
    "--import",
    join(project, "tools", "setup", "preload.ts"),
    join(project, "tools", `${task}.ts`),
    ...args,
  ];
  return promisify(execFile)(process.execPath, node, { cwd: project }).then(
    ({ stdout }) => ({ code: 0, output: stdout }),
    ({ code, stderr }) => ({ code, output: stderr }),
  );
}

const written = async () =>
  [
    await readFile(join(project, "airlock.toml"), "utf8"),
    (await readdir(join(project, "supabase", "migrations"))).sort(),
  ] as const;

test("the commands write a section, a line and two migrations, in order", async () => {
  await mkdir(join(project, "supabase", "migrations"), { recursive: true });
  const [, before] = await written();
  const resource = await command("new-resource", ["tags", "label:text(1..50)", "--owner", "user"]);
  assert.equal(resource.code, 0, resource.output);
  assert.match(resource.output, /supabase\/migrations\/\d{14}_tags\.sql/);
  const field = await command("new-field", ["tags", "due:date?"]);
  assert.equal(field.code, 0, field.output);

  const [toml, after] = await written();
  assert.equal(
    toml,
    `[resources.tags]\nowner = "user"\n[resources.tags.fields]\nlabel = "text(1..50)"\ndue = "date?"\n`,
  );
  assert.deepEqual(after.slice(0, before.length), before);
  assert.deepEqual(
    after.slice(before.length).map((file) => file.slice(14)),
    ["_tags.sql", "_tags_due.sql"],
  );
});

test("input that the checker or Postgres refuses writes no file", async () => {
  const before = await written();
  const bad = await command("new-resource", ["lists", "label:text(5..1)", "--owner", "user"]);
  assert.deepEqual([bad.code, await written()], [1, before]);
  assert.match(bad.output, /^airlock: airlock\.toml: resources\.lists\.fields\.label: .*\n$/);

  // A table that the declaration does not know.
  await writeFile(join(project, "airlock.toml"), "");
  const taken = await command("new-resource", ["tags", "label:text(1..50)", "--owner", "user"]);
  assert.deepEqual([taken.code, await written()], [1, ["", before[1]]]);
  assert.match(
    taken.output,
    /^airlock: The relation public\.tags exists already; choose another name\. Nothing was written\.$/m,
  );
  for (const [name, relation] of [
    ["pg_class", "pg_catalog.pg_class"],
    ["claims", "airlock.claims"],
    ["organizations", "airlock.organizations"],
  ] as const) {
    const refused = await command("new-resource", [name, "label:text(1..50)", "--owner", "user"]);
    assert.deepEqual([refused.code, await written()], [1, ["", before[1]]]);
    assert.match(
      refused.output,
      new RegExp(`^airlock: The relation ${relation.replace(".", "\\.")} exists already; `, "m"),
    );
  }
});
