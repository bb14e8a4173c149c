// Requests of users that race on a real Postgres server, each one transaction, as PostgREST makes it.

import { randomBytes, randomUUID } from "node:crypto";
import { readFile } from "node:fs/promises";

import type pg from "pg";

import { type Connections, startConnections } from "./connections.ts";

export const COPIES = 200;
export const CONNECTIONS = 40;

/** A server with the tables of tests/resources/<name>.sql. */
export async function startTables(name: string): Promise<Connections> {
  const sql = await readFile(new URL(`../resources/${name}.sql`, import.meta.url), "utf8");
  return startConnections(sql, CONNECTIONS, ["jit=off"]);
}

/** A function of the API, without the prefix of its name, and its arguments. */
export type Call = [name: string, args: Record<string, unknown>];

/** What a function answers, or the error that it raises. */
export interface Answer<Row> {
  outcome?: string;
  row?: Row;
  code?: string;
  message?: string;
}

export const newNonce = () => randomBytes(16).toString("base64url");
/** X-Airlock-Claim of a new request with this nonce. */
export const claimOf = (nonce: string) => `v1.360.${randomUUID()}.rn-dev:${nonce}`;
export const replayed = ({ code, message }: Answer<unknown>) =>
  code === "PT409" && message === "airlock_request_replayed";

/** Begins the transaction of a request of this user. */
export async function begin(
  client: pg.Client,
  user: string,
  claim?: string,
  isolation = "read committed",
): Promise<void> {
  await client.query(`begin isolation level ${isolation}`);
  const headers = JSON.stringify(claim === undefined ? {} : { "x-airlock-claim": claim });
  const claims = JSON.stringify({ role: "authenticated", sub: user });
  await client.query(
    "select set_config('role', 'authenticated', true), set_config('request.jwt.claims', $1, true), set_config('request.headers', $2, true)",
    [claims, headers],
  );
}

export async function call<Row>(client: pg.Client, [name, args]: Call): Promise<Answer<Row>> {
  const values = Object.values(args).map((value) =>
    value !== null && typeof value === "object" ? JSON.stringify(value) : value,
  );
  const named = Object.keys(args)
    .map((argument, place) => `${argument} => $${place + 1}`)
    .join(", ");
  return orError(
    async () => (await client.query(`select public.airlock_${name}(${named}) as answer`, values)).rows[0].answer,
  );
}

export async function end<Row>(client: pg.Client, answer: Answer<Row>): Promise<Answer<Row>> {
  return orError(async () => {
    await client.query(answer.code === undefined ? "commit" : "rollback");
    return answer;
  });
}

/** One request: its transaction from beginning to end. */
export async function send<Row>(client: pg.Client, user: string, request: Call, claim?: string): Promise<Answer<Row>> {
  await begin(client, user, claim);
  return end(client, await call<Row>(client, request));
}

/** The answers to `count` requests, on all connections at once. */
export async function copies<Row>(
  clients: pg.Client[],
  one: (client: pg.Client) => Promise<Answer<Row>>,
  count = COPIES,
): Promise<Answer<Row>[]> {
  let left = count;
  const answers = clients.map(async (client) => {
    const own: Answer<Row>[] = [];
    while (left-- > 0) own.push(await one(client));
    return own;
  });
  return (await Promise.all(answers)).flat();
}

async function orError<Row>(work: () => Promise<Answer<Row>>): Promise<Answer<Row>> {
  try {
    return await work();
  } catch (error) {
    const { code, message } = error as pg.DatabaseError;
    if (code === undefined) throw error;
    return { code, message };
  }
}
