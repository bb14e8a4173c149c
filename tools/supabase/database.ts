// The embedded Supabase's data folder: one Postgres (PGlite), locked while it is open, brought up
// to date with supabase/migrations and demo_users.sql.

import { existsSync } from "node:fs";
import { mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { fileURLToPath } from "node:url";

import { PGlite } from "@electric-sql/pglite";
import { btree_gist } from "@electric-sql/pglite/contrib/btree_gist";
import { citext } from "@electric-sql/pglite/contrib/citext";
import { hstore } from "@electric-sql/pglite/contrib/hstore";
import { ltree } from "@electric-sql/pglite/contrib/ltree";
import { pg_trgm } from "@electric-sql/pglite/contrib/pg_trgm";
import { unaccent } from "@electric-sql/pglite/contrib/unaccent";
import { uuid_ossp } from "@electric-sql/pglite/contrib/uuid_ossp";
import { pgtap } from "@electric-sql/pglite/pgtap";
import { vector } from "@electric-sql/pglite/vector";
import { App } from "@supabase/lite";
import { createPgliteConnection, type PgliteConnection } from "@supabase/lite/pglite";

import { keep, tools } from "../setup/kept.ts";
import { project, run } from "../setup/shell.ts";
import { withMicroseconds } from "./clock.ts";
import { statements } from "./statements.ts";

const PGLITE = new URL("../package.json", import.meta.resolve("@electric-sql/pglite"));
const EMBEDDED_SQL = fileURLToPath(new URL("embedded.sql", import.meta.url));
const DEMO_USERS_SQL = fileURLToPath(new URL("demo_users.sql", import.meta.url));
const STORAGE_SQL = fileURLToPath(new URL("storage.sql", import.meta.url));

// PGlite decodes each value by itself, and would drop a U+FEFF at the start of a text.
globalThis.TextDecoder = class extends TextDecoder {
  constructor(...[label, options]: ConstructorParameters<typeof TextDecoder>) {
    super(label, { ignoreBOM: true, ...options });
  }
};

/** An error whose message names the remedy; it needs no stack trace. */
export class SetupError extends Error {}

/** Which migrations a database gets. All paths are absolute, and names are those of supabase/migrations. */
export interface MigrationOptions {
  /** Further ones, applied after the others. */
  migrations?: string[];
  /** Replaces the migrations of supabase/migrations. */
  baseline?: string[];
}

/** The files that `options` select, in the order in which they are applied. */
export async function migrationFiles({ migrations = [], baseline }: MigrationOptions = {}): Promise<string[]> {
  const folder = join(project, "supabase", "migrations");
  const own = async () => (await readdir(folder)).sort().map((name) => join(folder, name));
  return [...(baseline ?? (await own())), ...migrations].filter((file) => MIGRATION.test(basename(file)));
}

const MIGRATION = /^(\d{14})_(\w+)\.sql$/;
/** Extensions that a migration may create. Each takes time to load, so only those that are named are. */
const EXTENSIONS = { btree_gist, citext, hstore, ltree, pg_trgm, unaccent, "uuid-ossp": uuid_ossp, vector };
/** Extensions of hosted Supabase that no table needs, and that a dump of a project names all the same. */
const UNNEEDED = [
  "hypopg",
  "index_advisor",
  "pg_graphql",
  "pg_net",
  "pg_stat_statements",
  "pgsodium",
  "supabase_vault",
];
/** The function of the extension moddatetime, which PGlite lacks. */
const MODDATETIME = `create or replace function extensions.moddatetime() returns trigger language plpgsql set search_path = '' as
  $$ begin return jsonb_populate_record(new, jsonb_build_object(tg_argv[0], now())); end $$;`;
/** The settings of a session. PGlite has one, and a dump changes them. */
const SESSION = `
  reset all;
  -- PGlite sets no session user by name, and without one a transaction that changes it would not give it back.
  select set_config('session_authorization', session_user, false);
  set timezone to 'UTC';
  set search_path to "$user", public, extensions;
`;
/** The first migration of Airlock. */
const CORE = /^\d{14}_airlock\.sql$/;

/**
 * The grants of hosted Supabase on the tables of a project. Tables from before Airlock rely on them; Airlock's own
 * migrations make their own grants.
 */
export const granting = (verb: "grant" | "revoke") =>
  ["tables", "sequences"]
    .map(
      (what) =>
        `alter default privileges in schema public ${verb} all on ${what} ${verb === "grant" ? "to" : "from"} anon, authenticated, service_role;`,
    )
    .join(" ");

export interface Database {
  connection: PgliteConnection;
  close(): Promise<void>;
}

export async function openDatabase(dataDir: string, fresh: boolean, options: MigrationOptions = {}): Promise<Database> {
  const unlock = await lock(dataDir);
  try {
    const connection = await openCluster(dataDir, fresh, await migrationFiles(options));
    return {
      connection,
      async close() {
        await connection.close();
        await unlock();
      },
    };
  } catch (error) {
    await unlock();
    throw error;
  }
}

/** Two processes on one cluster destroy it, and PGlite does not check. */
async function lock(dataDir: string): Promise<() => Promise<void>> {
  const file = join(dataDir, "pglite.lock");
  await mkdir(dataDir, { recursive: true }).catch((error: Error) => {
    throw new SetupError(`The data folder ${dataDir} can't be created: ${error.message}`);
  });
  const owner = Number(await readFile(file, "utf8").catch(() => ""));
  // In a container every process may get the same id again: an own id was left by a crash.
  if (owner > 0 && owner !== process.pid && isRunning(owner)) {
    throw new SetupError(
      `The data folder ${dataDir} is in use by process ${owner}. Stop it, or choose another folder.` +
        ` If that process has nothing to do with Airlock, delete ${file}.`,
    );
  }
  await writeFile(file, String(process.pid));
  return () => rm(file, { force: true });
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}

async function openCluster(dataDir: string, fresh: boolean, migrations: string[]): Promise<PgliteConnection> {
  const cluster = join(dataDir, "pglite");
  const finished = join(dataDir, "pglite.ready");
  // A first start that was interrupted has acknowledged no write, so the cluster can go.
  if (fresh || !existsSync(finished)) {
    await rm(finished, { force: true });
    await rm(cluster, { recursive: true, force: true });
  }

  if (!existsSync(cluster)) await copyEmpty(cluster);

  const texts = await Promise.all(migrations.map((file) => readFile(file, "utf8")));
  const connection = await connect(cluster, texts.join("\n")).catch((error: Error) => {
    throw new SetupError(
      `The database in ${cluster} can't be opened (${error.message}). It is damaged or of another` +
        " version: start with --fresh to begin with an empty one.",
    );
  });
  try {
    await prepare(connection, migrations, texts.join("\n"));
  } catch (error) {
    await connection.close();
    throw error;
  }
  await writeFile(finished, "");
  return connection;
}

/** Makes a cluster without databases of ours. PGlite's initdb takes five seconds, so one cluster is kept and copied. */
async function copyEmpty(cluster: string): Promise<void> {
  const { version }: { version: string } = JSON.parse(await readFile(PGLITE, "utf8"));
  const empty = join(tools, `pglite-${version}`);
  if (!existsSync(empty)) {
    await keep(empty, async (folder) => {
      const connection = await createPgliteConnection({ url: folder });
      await connection.driver.waitReady;
      await connection.close();
    });
  }
  await run("cp", ["-R", empty, cluster]);
}

async function connect(cluster: string, migrations: string): Promise<PgliteConnection> {
  const named = Object.entries(EXTENSIONS).filter(([name]) =>
    new RegExp(`\\bcreate\\s+extension\\b[^;]*\\b${name}\\b`, "i").test(migrations),
  );
  const connection = await withMicroseconds(async () => {
    const made = await createPgliteConnection({
      url: cluster,
      pgliteOptions: {
        // Postgres clears them as it starts, which takes a quarter of that time for the 128 MB of its default.
        startParams: [...PGlite.defaultStartParams, "-c", "shared_buffers=16MB"],
        extensions: { pgtap, ...Object.fromEntries(named) },
        // As PostgREST writes them: 2026-11-22T12:15:40.76+00:00
        parsers: { 1184: (value) => `${value.replace(" ", "T")}:00` },
      },
    });
    await made.driver.waitReady;
    return made;
  });
  const { driver: postgres } = connection;
  // PGlite copies its parsers for each statement, and most are for arrays of the rows of the catalogue's tables.
  const arrays = await postgres.query<{ typarray: number }>("select typarray from pg_type where typtype = 'c'");
  for (const { typarray } of arrays.rows) delete postgres.parsers[typarray];
  // As if lite had set up its roles already: its way grants everything on every table to all.
  // biome-ignore lint/complexity/useLiteralKeys: it is private.
  connection["rlsState"] = "active";
  return connection;
}

async function prepare(connection: PgliteConnection, migrations: string[], texts: string): Promise<void> {
  const postgres = connection.driver;
  await new App({ connection, auth: { enabled: true } }).ensureSystemSchema();
  await postgres.exec(SESSION);
  await postgres.exec(await readFile(EMBEDDED_SQL, "utf8"));
  if (/\bmoddatetime\b/i.test(texts)) await postgres.exec(MODDATETIME);
  if (/\bstorage\s*\./i.test(texts)) await postgres.exec(await readFile(STORAGE_SQL, "utf8"));
  await migrate(connection, migrations);
  await postgres.exec(await readFile(DEMO_USERS_SQL, "utf8"));
}

/** The line in which this text fails with this error. */
async function failingLine(
  { driver: postgres }: Pick<PgliteConnection, "driver">,
  text: string,
  error: Error,
): Promise<number> {
  // PostgreSQL gives a position for syntax errors and unknown names, and none for an error at run time.
  const position = Number((error as { position?: string }).position);
  if (position > 0) return text.slice(0, position).split("\n").length;
  let line = 1;
  const undo = new Error();
  await postgres
    .transaction(async (transaction) => {
      for (const statement of statements(text)) {
        line = statement.line;
        await transaction.exec(statement.text);
      }
      throw undo;
    })
    .catch(() => undefined);
  return line;
}

/** A migration without the extensions that PGlite lacks; each line stays in its place. */
const runnable = (text: string) =>
  text.replace(/\bcreate\s+extension\s+(?:if\s+not\s+exists\s+)?"?(\w+)"?[^;]*;/gi, (statement, name: string) =>
    name === "moddatetime" || UNNEEDED.includes(name) ? statement.replace(/[^\n]/g, " ") : statement,
  );

/** Applies each migration once, in a transaction, and records it where the Supabase CLI does. */
async function migrate({ driver: postgres }: PgliteConnection, files: string[]): Promise<void> {
  const { rows } = await postgres.query<{ version: string; statements: string[] }>(
    "select version, statements from supabase_migrations.schema_migrations",
  );
  const applied = new Map(rows.map((row) => [row.version, row.statements.join("\n")]));

  const core = files.findIndex((file) => CORE.test(basename(file)));
  for (const [at, file] of files.entries()) {
    const [, version = "", name = ""] = MIGRATION.exec(basename(file)) ?? [];
    const text = await readFile(file, "utf8");
    if (core > 0 && (at === 0 || at === core)) await postgres.exec(granting(at === 0 ? "grant" : "revoke"));
    const before = applied.get(version);
    applied.delete(version);
    if (before === text) continue;
    if (before !== undefined) {
      throw new SetupError(
        `supabase/migrations/${basename(file)} was changed after this database applied it.` +
          " Start with --fresh, or put the change in a new migration.",
      );
    }
    const apply = postgres.transaction(async (transaction) => {
      await transaction.exec(runnable(text));
      await transaction.query(
        "insert into supabase_migrations.schema_migrations (version, name, statements) values ($1, $2, $3)",
        [version, name, [text]],
      );
    });
    await apply.catch(async (error: Error) => {
      await postgres.exec(SESSION);
      throw new SetupError(
        `supabase/migrations/${basename(file)}, line ${await failingLine({ driver: postgres }, runnable(text), error)}: ${error.message}`,
      );
    });
    await postgres.exec(SESSION);
  }

  if (applied.size > 0) {
    throw new SetupError(
      `This database has migrations that supabase/migrations lacks (${[...applied.keys()].join(", ")}).` +
        " Start with --fresh, or go back to the sources that it was made with.",
    );
  }
}
