// The line of --verbose on time and memory.

import { readFile } from "../../linux/proc/process.ts";
import type { Phases, Report } from "../../report/report.ts";
import { style, warn } from "./terminal.ts";

/** The part of a report with its times. */
type Timings = Pick<Report, "elapsed_ms" | "phases_ms" | "unreadable_processes">;

/** Prints the time of each phase, the unreadable processes and the peak of memory to standard error. */
export function printTimings({ elapsed_ms, phases_ms, unreadable_processes }: Timings): void {
  const phases = Object.entries(phases_ms) as [keyof Phases, number][];
  const spent = phases.map(([phase, ms]) => `${phase} ${ms.toFixed(0)}`).join(", ");
  const unread = unreadText(unreadable_processes);
  warn(style("faint", `${elapsed_ms} ms: ${spent}; ${unread}; ${peakMemory_kb()} kB of memory at the most`));
}

/** Says how many processes could not be looked into. */
export function unreadText(count: number): string {
  return `${count} process${count === 1 ? "" : "es"} could not be looked into`;
}

/** Returns the peak resident set size of this process in kB: VmHWM of proc(5). */
function peakMemory_kb(): number {
  return Number(/^VmHWM:\s*(\d+) kB$/m.exec(readFile("/proc/self/status") ?? "")?.[1]);
}
