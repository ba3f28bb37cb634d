// The exit codes, which playbooks rely on.

import type { Report } from "../report.ts";

/** All that matched was done, or nothing matched. */
export const DONE = 0;
/** Some of it failed, each named. */
export const FAILED = 1;
/** Wrong usage; nothing was touched. */
export const USAGE = 2;
/** A guard refused; nothing was touched. */
export const REFUSED = 3;
/** This host or user cannot do it at all; nothing was touched. */
export const UNABLE = 4;
/** Ended early by a signal. */
export const INTERRUPTED = 130;

/** The exit code that says what became of the connections. */
export function exitCode(report: Report): number {
  const { matched, hung_up, destroyed, already_gone, would_act = 0, skipped, failed, connections } = report;
  if (report.interrupted) return INTERRUPTED;
  const acted = hung_up + destroyed + would_act;
  if (failed > 0) {
    const unable = connections.filter(({ outcome }) => outcome === "denied" || outcome === "unsupported").length;
    return acted + already_gone === 0 && unable === failed ? UNABLE : FAILED;
  }
  if (report.error !== null || report.max_reached || report.unseen.length > 0) return FAILED;
  return matched > 0 && skipped === matched ? REFUSED : DONE;
}
