// The commands that the documents of a deployment show exist, have the options shown, and reach what they are meant for.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { existsSync, globSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { promisify } from "node:util";

import { helpOf } from "../../tools/setup/help.mjs";
import { root } from "../../tools/setup/shell.ts";

/** Code blocks and inline code that begin with the name of a command, without comments and redirections. */
function commandsIn(text: string): string[] {
  const code: string[] = [];
  let prose = "";
  let fenced = false;
  for (const line of text.split("\n")) {
    if (/^\s*```/.test(line)) fenced = !fenced;
    else if (fenced || /^ {4,}(?:[A-Z_]+=\S+ )*(?:npx|npm|wrangler|supabase) /.test(line)) code.push(line.trim());
    else prose += `${line}\n`;
  }
  for (const paragraph of prose.split(/\n\s*\n/))
    code.push(...[...paragraph.matchAll(/`([^`]+)`/g)].map(([, inline = ""]) => inline.replace(/\s+/g, " ")));
  return code
    .flatMap((line) => line.replace(/ +# .*$/, "").split(/ (?:&&|\|) /))
    .map((command) => command.replace(/^(?:[A-Z_]+=\S+ )+/, "").replace(/ > \S+$/, ""))
    .filter((command) => /^(?:npx )?(?:npm|wrangler|supabase) /.test(command));
}

const documents = globSync(["README.md", "docs/adopting.md", "docs/operations/*.md"], { cwd: root });
const all = [...new Set(documents.flatMap((file) => commandsIn(readFileSync(join(root, file), "utf8"))))];

interface Command {
  line: string;
  /** Its words, without arguments: `secret put`. */
  words: string;
  options: string[];
}

/** The commands of one program. Those that somebody types begin with npx; without it, one is only named. */
function of(program: string): Command[] {
  return all.flatMap((line) => {
    const [, rest] = new RegExp(`^(?:npx )?${program} (.*)$`).exec(line) ?? [];
    if (rest === undefined) return [];
    const words = /^[a-z]+(?:[ :-][a-z]+)*(?= |$)/.exec(rest)?.[0] ?? "";
    return [{ line, words, options: rest.match(/(?<= )--?[a-z][a-z-]*/g) ?? [] }];
  });
}

/** Whether a help text names an option. */
const names = (help: string, option: string) => new RegExp(`(?<![\\w-])${option}(?![\\w-])`).test(help);

const helps = new Map<string, Promise<string>>();
function wranglerHelp(words: string): Promise<string> {
  const bin = join(root, "node_modules", "wrangler", "bin", "wrangler.js");
  const ask = async () =>
    (await promisify(execFile)(process.execPath, [bin, ...words.split(" "), "--help"], { cwd: root })).stdout;
  const help = helps.get(words) ?? ask();
  helps.set(words, help);
  return help;
}

test("each wrangler command exists, has its options, and names the environment", async () => {
  const commands = of("wrangler");
  assert.ok(commands.length > 10);
  for (const { line, words, options } of commands) {
    const help = await wranglerHelp(words);
    assert.match(help, new RegExp(`^wrangler ${words}(?: [<[]|$)`, "m"), line);
    for (const option of options) assert.ok(names(help, option), `${line}: ${option}`);
    // Without --env a command is about the deployment without an environment.
    if (line.startsWith("npx ") && words !== "login") assert.ok(options.includes("--env"), line);
  }
});

/**
 * Of the Supabase CLI, which is not installed: what `supabase <command> --help` of version 3.1 shows. A database command is
 * about the local database unless it has --remote.
 */
const SUPABASE: Record<string, string[]> = {
  "db dump": ["--remote", "--file"],
  "db push": ["--remote", "--include-all"],
  "db query": ["--remote", "--read-only"],
  "inspect db long-running-queries": ["--remote"],
  "inspect db outliers": ["--remote"],
  "inspect db role-stats": ["--remote"],
  link: ["--project-ref"],
  login: [],
  "migration list": ["--remote"],
  "projects list": [],
  start: [],
  status: ["-o"],
};

test("each supabase command exists, has its options, and reaches the hosted project", () => {
  const commands = of("supabase");
  assert.ok(commands.length > 10);
  for (const { line, words, options } of commands) {
    const known = SUPABASE[words];
    assert.ok(known, line);
    for (const option of options) assert.ok(known.includes(option), `${line}: ${option}`);
    if (known.includes("--remote")) assert.ok(options.includes("--remote"), line);
  }
});

test("each npm script exists and has its options", async () => {
  const { scripts } = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as {
    scripts: Record<string, string>;
  };
  const commands = of("npm run(?: -s)?");
  assert.ok(commands.length > 20);
  for (const { line, words, options } of commands) {
    // The package has more scripts than a clone.
    const task = scripts[words]?.split(" ").at(-1) ?? words;
    const file = join(root, "tools", `${task}.ts`);
    assert.ok(existsSync(file), line);
    // All options of deploy but one are wrangler's.
    const help = helpOf(file) + (task === "deploy" ? await wranglerHelp("deploy") : "");
    for (const option of options) assert.ok(names(help, option), `${line}: ${option}`);
  }
});
