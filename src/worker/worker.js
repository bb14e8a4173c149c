// @ts-check
// The entry point of the Worker: the `fetch` and `scheduled` events.
//
// After a trap the instance of the WASM module is replaced at once. The bindings would replace it at their next call,
// but only after they have copied the arguments of that call into the old instance.

import { fetch as answer, scheduled as runJobs, __wbg_reset_state } from "airlock:bindings";
import declaration from "airlock:declaration";
import { install } from "airlock:exchange";

install(declaration, __wbg_reset_state);

/**
 * @template Event, Result
 * @param {(event: Event, env: unknown, context: unknown) => Result} call
 * @returns {typeof call}
 */
function guarded(call) {
  return (event, env, context) => {
    try {
      return call(event, env, context);
    } catch (error) {
      if (error instanceof WebAssembly.RuntimeError) __wbg_reset_state();
      throw error;
    }
  };
}

export default { fetch: guarded(answer), scheduled: guarded(runJobs) };
