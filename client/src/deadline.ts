/** Ends a call when its time is up or its caller aborts, wherever it waits. */

import { AirlockNetworkError } from "./error.ts";

/** Runs `work` with a signal that ends together with the promise. `timeoutMs` is within setTimeout's range. */
export function within<T>(
  timeoutMs: number,
  caller: AbortSignal | null | undefined,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  return new Promise((resolve, reject) => {
    const controller = new AbortController();
    const end = (reason: unknown) => {
      reject(reason);
      controller.abort(reason);
    };
    // Older React Native has neither `reason` nor DOMException.
    const abort = () =>
      end(caller?.reason ?? Object.assign(new Error("The call was aborted."), { name: "AbortError" }));
    if (caller?.aborted) return abort();

    const timer = setTimeout(
      () => end(new AirlockNetworkError(undefined, `No answer from Airlock within ${timeoutMs} ms.`, "timeout")),
      timeoutMs,
    );
    caller?.addEventListener("abort", abort);
    const done = () => {
      clearTimeout(timer);
      caller?.removeEventListener("abort", abort);
    };
    controller.signal.addEventListener("abort", done);
    work(controller.signal).then(resolve, reject).then(done);
  });
}
