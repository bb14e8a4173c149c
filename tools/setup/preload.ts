// Loaded before every task by run.mjs.

import { Failure, wrongUsage } from "./shell.ts";

// A failure that is explained needs no stack trace.
process.on("uncaughtException", (error: NodeJS.ErrnoException) => {
  const failure = error.code?.startsWith("ERR_PARSE_ARGS_") ? wrongUsage(error, "--help shows the options.") : error;
  console.error(failure instanceof Failure ? `airlock: ${failure.message}` : failure);
  process.exit(1);
});

// run.mjs is at the other end of the IPC channel: when it closes, run.mjs has been killed. The task ends
// as it does on SIGTERM, within the same ten seconds, and ends all processes that it has started.
process.once("disconnect", () => {
  const killGroup = () => process.kill(-process.pid, "SIGKILL");
  if (process.listenerCount("SIGTERM") === 0) killGroup();
  process.once("exit", killGroup);
  setTimeout(killGroup, 10_000).unref();
  process.kill(process.pid, "SIGTERM");
});
process.channel?.unref();
