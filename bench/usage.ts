// CPU time and memory of a process, from Linux's /proc. On other systems nothing is measured.

import { readdirSync, readFileSync } from "node:fs";

export const measurable = process.platform === "linux";

/** CPU nanoseconds of all threads of a process since it began. */
export function cpuNanos(pid: number): number {
  let sum = 0;
  for (const thread of readdirSync(`/proc/${pid}/task`)) {
    try {
      sum += Number(readFileSync(`/proc/${pid}/task/${thread}/schedstat`, "latin1").split(" ", 1)[0]);
    } catch {
      // It has just ended; workerd's threads, few and long-lived, do not while there are requests.
    }
  }
  return sum;
}

/** Bytes of memory that a process holds now. */
export function residentBytes(pid: number): number {
  const kilobytes = /^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, "latin1"))?.[1];
  return Number(kilobytes) * 1024;
}
