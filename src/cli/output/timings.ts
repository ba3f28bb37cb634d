// The line of --verbose on time and memory.

import { readFile } from "../../linux/proc/process.ts";
import { counted } from "../../model/wording.ts";
import type { Phases, Report } from "../../report/report.ts";
import { explainPass } from "../../resolve/keepalive_pass.ts";
import { explainWay } from "../../resolve/socket_files.ts";
import { style, warn } from "./terminal.ts";

/** Prints the time of each phase, the unreadable processes and the peak of memory to standard error. */
export function printTimings({ elapsedMs, phasesMs, unreadableProcesses }: Report): void {
  const phases = Object.entries(phasesMs) as [keyof Phases, number][];
  const spent = phases.map(([phase, ms]) => `${phase} ${ms.toFixed(0)}`).join(", ");
  const unread = unreadText(unreadableProcesses);
  const looked = [explainWay(), explainPass(), unread].filter((text) => text !== "").join("; ");
  warn(style("faint", `${elapsedMs} ms: ${spent}; ${looked}; ${peakMemory_kb()} kB of memory at the most`));
}

/** Says how many processes could not be looked into. */
export function unreadText(count: number): string {
  return `${counted(count, "process", "processes")} could not be looked into`;
}

/** Returns the peak resident set size of this process in kB: VmHWM of proc(5). */
function peakMemory_kb(): number {
  return Number(/^VmHWM:\s*(\d+) kB$/m.exec(readFile("/proc/self/status") ?? "")?.[1]);
}
