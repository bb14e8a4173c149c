// @ts-check
// The entry point of the Worker: the `fetch` and `scheduled` events.

import { __wbg_reset_state, fetch, scheduled, start, wake } from "airlock:bindings";
import declaration from "airlock:declaration";
import { entry } from "airlock:exchange";

export default entry(declaration, { start, fetch, scheduled, wake, __wbg_reset_state });
