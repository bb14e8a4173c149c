// @ts-check
// The entry point of the Worker: the `fetch` and `scheduled` events.

import { fetch as answer, scheduled as runJobs, __wbg_reset_state } from "airlock:bindings";
import declaration from "airlock:declaration";
import { broken, enter, install } from "airlock:exchange";

install(declaration, __wbg_reset_state);

export default {
  /** @type {(...event: Parameters<typeof answer>) => Response | Promise<Response>} */
  fetch(request, env, context) {
    try {
      return enter(answer, request, env, context);
    } catch (error) {
      return broken(request, error);
    }
  },

  /** @type {(event: unknown, env: unknown, context: unknown) => Promise<void>} */
  async scheduled(event, env, context) {
    const { status } = await enter(runJobs, event, env, context);
    // The platform then records the event as failed.
    if (status !== 204) throw new Error("A scheduled job failed: see its log line.");
  },
};
