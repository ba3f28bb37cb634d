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
  readonly connections: readonly Connection[];
}

/** The exit code that says what became of the connections. */
export function exitCode({ matched, skipped, failed, interrupted, connections }: Result): number {
  if (interrupted) return INTERRUPTED;
  if (failed > 0) {
    const unable = connections.filter(({ outcome }) => outcome === "denied" || outcome === "unsupported").length;
    return skipped + failed === matched && unable === failed ? UNABLE : FAILED;
  }
  return matched > 0 && skipped === matched ? REFUSED : DONE;
}
