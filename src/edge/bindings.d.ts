// What wasm-bindgen makes of the crate, as far as worker.js uses it.
declare module "airlock:bindings" {
  export function fetch(request: Request, env: unknown, context: unknown): Promise<Response>;
  export function scheduled(event: unknown, env: unknown, context: unknown): Promise<unknown>;
  export class Replay {
    constructor(state: unknown, env: unknown);
    fetch(request: Request): Promise<Response>;
    alarm(): Promise<Response>;
  }
  export function __worker_init_state(): { instanceId: number };
  export function __wbg_reset_state(): void;
}

/** exchange.js, as the bindings have it: not a second time. */
declare module "airlock:exchange" {
  export function onTrap(reset: () => void): void;
}

/** <https://developers.cloudflare.com/workers/runtime-apis/streams/readablestreambyobreader/> */
interface ReadableStreamBYOBReader {
  readAtLeast<T extends ArrayBufferView>(bytes: number, view: T): Promise<ReadableStreamReadResult<T>>;
}
