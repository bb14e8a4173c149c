// CPU time and memory of a process, from Linux's /proc.

import { execFileSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";

import { Failure } from "../tools/setup/shell.ts";

/** CPU nanoseconds of all threads of a process since it started. */
export function cpuNanos(pid: number): number {
  let sum = 0;
  for (const thread of readdirSync(`/proc/${pid}/task`)) {
    try {
      sum += Number(readFileSync(`/proc/${pid}/task/${thread}/schedstat`, "latin1").split(" ", 1)[0]);
    } catch {
      // This thread has just ended. The threads that serve requests live as long as the process.
    }
  }
  return sum;
}

/** Bytes of memory that a process holds now. */
export function residentBytes(pid: number): number {
  const kilobytes = /^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, "latin1"))?.[1];
  return Number(kilobytes) * 1024;
}

/**
 * Moves this process, and all that it starts from now on, to one CPU: the last one that it may use. A process that
 * moves between CPUs loses its caches at random. Returns false if the system has no `taskset`.
 */
export function useOneCpu(): boolean {
  if (process.platform !== "linux") throw new Failure("The bench reads CPU times from /proc, which only Linux has.");
  const allowed = /^Cpus_allowed_list:\s+(\S+)/m.exec(readFileSync("/proc/self/status", "latin1"))?.[1] ?? "0";
  const last = allowed.split(/[,-]/).at(-1) ?? "0";
  try {
    execFileSync("taskset", ["--all-tasks", "--cpu-list", "--pid", last, String(process.pid)], { stdio: "ignore" });
    return true;
  } catch {
    return false;
  }
}
