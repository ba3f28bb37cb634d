// `tcphup hup`, and `tcphup` without a command.

import { hangUp, type HangUpOptions } from "../hang_up.ts";
import { readFile } from "../owners/proc.ts";
import type { Phases, Report } from "../report.ts";
import { UsageError } from "../usage_error.ts";
import type { Arguments } from "./arguments.ts";
import { outcomeTable, summary } from "./connections.ts";
import { DONE, exitCode } from "./exit_codes.ts";
import { onInterrupt } from "./interrupt.ts";
import { selectionOf } from "./selection.ts";
import { complain, paint, print } from "./terminal.ts";

/** Hangs up. Returns the exit code. */
export async function hup(args: Arguments): Promise<number> {
  const selection = selectionOf(args);
  const options = optionsOf(args);
  const interrupt = new AbortController();
  const restore = onInterrupt(() => interrupt.abort());
  try {
    const report = await hangUp(selection, { ...options, signal: interrupt.signal });
    show(report, args);
    return exitCode(report);
  } finally {
    restore();
  }
}

function optionsOf(args: Arguments): HangUpOptions {
  if (args.has("destroy") && args.value("destroy-after") !== undefined) {
    throw new UsageError("Options --destroy and --destroy-after exclude each other: at once, or after a while");
  }
  return {
    dry_run: args.has("dry-run"),
    linger_ms: args.duration("linger", "ms"),
    wait_ms: args.duration("wait", "s"),
    destroy: args.has("destroy"),
    destroy_after_ms: args.duration("destroy-after", "s"),
    include_session: args.has("include-session"),
  };
}

function show(report: Report, args: Arguments): void {
  if (args.has("quiet")) {
    if (exitCode(report) !== DONE) complain(summary(report));
    return;
  }
  if (args.has("json")) return void print([JSON.stringify(report)]);
  const verbose = args.has("verbose");
  if (report.matched > 0) print(outcomeTable(report.connections, verbose));
  print([summary(report)]);
  if (verbose) complainOfTime(report);
}

function complainOfTime({ elapsed_ms, phases_ms, unreadable_processes }: Report): void {
  const phases = Object.entries(phases_ms) as [keyof Phases, number][];
  const spent = phases.map(([phase, ms]) => `${phase} ${ms.toFixed(0)}`).join(", ");
  const unread = `${unreadable_processes} processes could not be looked into`;
  complain(paint("faint", `${elapsed_ms} ms: ${spent}; ${unread}; ${peakMemory_kb()} kB of memory at the most`));
}

/** The most memory that this process has had at once: VmHWM of proc(5). */
function peakMemory_kb(): number {
  return Number(/^VmHWM:\s*(\d+) kB$/m.exec(readFile("/proc/self/status") ?? "")?.[1]);
}
