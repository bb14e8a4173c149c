// The bindings of Cloudflare that the peers use.

/** A rate limiting binding. */
interface RateLimit {
  limit(options: { key: string }): Promise<{ success: boolean }>;
}

/** A Durable Object binding. */
interface ObjectNamespace {
  getByName(name: string): { fetch(url: string, init?: RequestInit): Promise<Response> };
}

interface SqlStorage {
  exec(query: string, ...bindings: (string | number)[]): { toArray(): Record<string, unknown>[] };
}

interface ObjectState {
  storage: { sql: SqlStorage; getAlarm(): Promise<number | null>; setAlarm(time: number): Promise<void> };
}

declare module "cloudflare:workers" {
  export abstract class DurableObject {
    constructor(state: ObjectState, env: unknown);
    protected ctx: ObjectState;
  }
}
