// The version of the running kernel.

import { readFile } from "./process.ts";

/** Whether the kernel is at least of a version. Of an older one a distribution may have backported what is asked about. */
export function isLinux(major: number, minor: number): boolean {
  const [ofKernel = 0, andMinor = 0] = (readFile("/proc/sys/kernel/osrelease") ?? "").split(".").map(Number);
  return ofKernel > major || (ofKernel === major && andMinor >= minor);
}
