// The exit codes, which playbooks rely on.

import type { Connection } from "../../model/connection.ts";
import type { Command } from "./flag.ts";

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

/** Exit codes, in order, and what each means. */
type Meanings = readonly (readonly [code: number, meaning: string])[];

const ACTING: Meanings = [
  [DONE, "done, or nothing matched"],
  [FAILED, "some failed, each is named"],
  [USAGE, "wrong usage, nothing touched"],
  [REFUSED, "a guard refused, nothing touched"],
  [UNABLE, "this host or user cannot do it at all"],
  [INTERRUPTED, "interrupted"],
];

const PRINTING: Meanings = [
  [DONE, "printed"],
  [FAILED, "failed, one line says why"],
  [USAGE, "wrong usage"],
];

/** What the exit codes of each command mean. */
export const EXIT_CODES: Record<Command, Meanings> = {
  hup: ACTING,
  ls: [
    [DONE, "listed, or nothing matched"],
    [FAILED, "something could not be seen, and is named"],
    [USAGE, "wrong usage"],
    [UNABLE, "this host or user cannot do it at all"],
    [INTERRUPTED, "interrupted"],
  ],
  keepalive: ACTING,
  run: [
    [DONE, "COMMAND's own status, as is every code not listed here"],
    [USAGE, "wrong usage, COMMAND was not started"],
    [UNABLE, "it cannot be done here, COMMAND was not started"],
    [126, "COMMAND is not executable"],
    [127, "COMMAND was not found"],
  ],
  plan: PRINTING,
  doctor: [
    [DONE, "connections can be hung up on"],
    [FAILED, "failed, one line says why"],
    [USAGE, "wrong usage"],
    [UNABLE, "connections cannot be hung up on"],
  ],
  completions: PRINTING,
};

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
