/** The used part of the code that wasm-bindgen generates from the crate. */
declare module "airlock:bindings" {
  type Module = import("./exchange.js").Module;
  export const start: Module["start"];
  export const fetch: Module["fetch"];
  export const scheduled: Module["scheduled"];
  export const wake: Module["wake"];
  export const inspect: (declaration: string) => string;
  export const __wbg_reset_state: Module["__wbg_reset_state"];
}

/** The copy of exchange.js that the bindings import, so that there is one. */
declare module "airlock:exchange" {
  export * from "./exchange.js";
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
