/** What wasm-bindgen generates from the crate, as far as it is used. */
declare module "airlock:bindings" {
  export function fetch(request: Request, env: unknown, context: unknown): Promise<Response>;
  export function scheduled(event: unknown, env: unknown, context: unknown): Promise<Response>;
  export function inspect(declaration: string): string;
  export function __wbg_reset_state(): void;
}

/** The copy of exchange.js that the bindings import, so that there is one. */
declare module "airlock:exchange" {
  export function broken(event: { method?: string }, error: unknown): Response;
  export function enter<A, B, C, T>(call: (a: A, b: B, c: C) => T, a: A, b: B, c: C): T;
  export function install(declaration: string, replaceInstance: () => void): void;
}

/** build/declaration.js. */
declare module "airlock:declaration" {
  const json: string;
  export default json;
}

/** <https://developers.cloudflare.com/workers/runtime-apis/streams/readablestreambyobreader/> */
interface ReadableStreamBYOBReader {
  readAtLeast<T extends ArrayBufferView>(bytes: number, view: T): Promise<ReadableStreamReadResult<T>>;
}
