// The exit codes, which playbooks rely on.

import type { Connection } from "../connection.ts";

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

/** What any command reports that acts on connections. */
export interface Result {
  readonly matched: number;
  readonly skipped: number;
  readonly failed: number;
  readonly interrupted: boolean;
  /** What broke when something was done already. */
  readonly error?: string | null;
  /** Whether more connections appeared than a guard allowed. */
  readonly max_reached?: boolean;
  /** Why connections may have been missed. */
  readonly unseen: readonly string[];
  readonly connections: readonly Connection[];
}

/** The exit code that says what became of the connections. */
export function exitCode(report: Result): number {
  const { matched, skipped, failed, connections, error = null, max_reached = false, unseen } = report;
  if (report.interrupted) return INTERRUPTED;
  if (failed > 0) {
    const unable = connections.filter(({ outcome }) => outcome === "denied" || outcome === "unsupported").length;
    return skipped + failed === matched && unable === failed ? UNABLE : FAILED;
  }
  if (error !== null || max_reached || unseen.length > 0) return FAILED;
  return matched > 0 && skipped === matched ? REFUSED : DONE;
}
