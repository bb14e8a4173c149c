// Postgres' clock in WASM. PGlite gives it milliseconds, and timers that fire only between statements.

/** How far Node.js' two clocks may be apart, in milliseconds, before the time is set again, as after a sleep. */
const DRIFT_MAX = 50;

/** Runs `load`. Each WASM module that it instantiates gets a clock with microseconds. */
export async function withMicroseconds<T>(load: () => Promise<T>): Promise<T> {
  const { instantiate } = WebAssembly;
  const changed = (source: WebAssembly.Module, imports: WebAssembly.Imports = {}) =>
    instantiate(source, withClock(imports));
  WebAssembly.instantiate = changed as typeof instantiate;
  try {
    return await load();
  } finally {
    WebAssembly.instantiate = instantiate;
  }
}

function withClock(imports: WebAssembly.Imports): WebAssembly.Imports {
  const { env } = imports;
  if (!env) return imports;
  // A timer that is set would keep the process alive.
  const ours: WebAssembly.ModuleImports = { emscripten_date_now: now, _setitimer_js: () => 0 };
  const merged = new Proxy(env, { get: (target, name) => Reflect.get(name in ours ? ours : target, name) });
  return { ...imports, env: merged };
}

let offset = Infinity;

/** The time in milliseconds since 1970, with a fraction. */
function now(): number {
  const time = performance.now();
  if (Math.abs(Date.now() - offset - time) > DRIFT_MAX) offset = Date.now() - time;
  return offset + time;
}
