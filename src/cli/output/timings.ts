// Where the time went, and how much memory it took: --verbose.

import { readFile } from "../../linux/proc/process.ts";
import type { Phases, Report } from "../../report/report.ts";
import { style, warn } from "./terminal.ts";

/** What of a report says so. */
type Spent = Pick<Report, "elapsed_ms" | "phases_ms" | "unreadable_processes">;

/** Says it on standard error. */
export function printTimings({ elapsed_ms, phases_ms, unreadable_processes }: Spent): void {
  const phases = Object.entries(phases_ms) as [keyof Phases, number][];
  const spent = phases.map(([phase, ms]) => `${phase} ${ms.toFixed(0)}`).join(", ");
  const unread = unreadText(unreadable_processes);
  warn(style("faint", `${elapsed_ms} ms: ${spent}; ${unread}; ${peakMemory_kb()} kB of memory at the most`));
}

/** How many processes stayed closed. */
export function unreadText(count: number): string {
  return `${count} process${count === 1 ? "" : "es"} could not be looked into`;
}

/** The most memory that this process has had at once: VmHWM of proc(5). */
function peakMemory_kb(): number {
  return Number(/^VmHWM:\s*(\d+) kB$/m.exec(readFile("/proc/self/status") ?? "")?.[1]);
}
