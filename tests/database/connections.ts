// Many connections to one database on a real Postgres server, for requests that race.

import pg from "pg";

import { startPostgres } from "../../tools/setup/postgres.ts";

export interface Connections {
  /** The connection of the database's owner. */
  owner: pg.Client;
  clients: pg.Client[];
  connect(): Promise<pg.Client>;
  /** Makes a user, and returns the id. */
  account(): Promise<string>;
  stop(): Promise<void>;
}

/** Starts a server whose database has all migrations and then this SQL, and opens `count` connections. */
export async function startConnections(sql: string, count: number, settings: string[] = []): Promise<Connections> {
  const postgres = await startPostgres([`max_connections=${count + 10}`, ...settings]);
  await postgres.create("airlock");
  const connect = async () => {
    const client = new pg.Client({ connectionString: postgres.url("airlock") });
    await client.connect();
    return client;
  };
  const owner = await connect();
  await owner.query(sql);
  const clients: pg.Client[] = [];
  for (let n = 0; n < count; n++) clients.push(await connect());
  return {
    owner,
    clients,
    connect,
    account: async () => (await owner.query("insert into auth.users default values returning id")).rows[0].id,
    async stop() {
      for (const client of [owner, ...clients]) await client.end();
      await postgres.stop();
    },
  };
}
