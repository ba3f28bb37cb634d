// The exit codes. Scripts and playbooks rely on them.

import type { Outcome, Reason } from "../../model/result.ts";
import type { HangUpReport, Report } from "../../report/report.ts";
import type { Command } from "./flag.ts";

/** Everything that matched was done, or nothing matched. */
export const DONE = 0;
/** Something failed, and is named. */
export const FAILED = 1;
/** Wrong usage; nothing was touched. */
export const USAGE = 2;
/** A guard refused; nothing was touched. */
export const REFUSED = 3;
/** This host or user cannot do it at all; nothing was touched. */
export const UNABLE = 4;
/** Ended early by a signal. */
export const INTERRUPTED = 130;

/** Exit codes with their meaning, in order. */
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

/** The exit codes of each command. */
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
  follow: [
    [DONE, "interrupted, which is how it ends"],
    [FAILED, "failed, one line says why"],
    [USAGE, "wrong usage, nothing touched"],
    [UNABLE, "this host or user cannot do it at all"],
  ],
  run: [
    [DONE, "COMMAND's own status, as is every code not listed here"],
    [USAGE, "wrong usage, COMMAND was not started"],
    [UNABLE, "it cannot be done here, COMMAND was not started"],
    [126, "COMMAND is not executable"],
    [127, "COMMAND was not found"],
  ],
  plan: PRINTING,
  unpin: [
    [DONE, "detached"],
    [FAILED, "failed, one line says why"],
    [USAGE, "wrong usage, or nothing of that name"],
    [UNABLE, "this host or user cannot do it at all"],
  ],
  doctor: [
    [DONE, "connections can be hung up on"],
    [FAILED, "failed, one line says why"],
    [USAGE, "wrong usage"],
    [UNABLE, "connections cannot be hung up on"],
  ],
  completions: [
    [DONE, "printed or installed"],
    [FAILED, "failed, one line says why"],
    [USAGE, "wrong usage"],
    [REFUSED, "a file of somebody else's is in the way, nothing written"],
  ],
};

/** The part of a report that decides the exit code. */
export type Result =
  & Pick<Report, "matched" | "skipped" | "failed" | "interrupted" | "incomplete">
  & Partial<Pick<HangUpReport, "error" | "maxReached">>
  & { readonly results: readonly { readonly outcome: Outcome; readonly reason?: Reason | null }[] };

/** The reasons to skip a connection that are no guard's: its client arrives without help, or it is not as selected any more. */
const NO_REFUSAL: readonly (Reason | null | undefined)[] = ["connecting", "recovered", "not-selected"];

/** Returns the exit code of a command that acts on connections. */
export function exitCode(report: Result): number {
  const { matched, skipped, failed, results, error = null, maxReached = false, incomplete } = report;
  if (report.interrupted) return INTERRUPTED;
  if (failed > 0) {
    const unable = results.filter(({ outcome }) => outcome === "denied" || outcome === "unsupported").length;
    return skipped + failed === matched && unable === failed ? UNABLE : FAILED;
  }
  if (error !== null || maxReached || incomplete.length > 0) return FAILED;
  const refused = results.filter(({ outcome, reason }) => outcome === "skipped" && !NO_REFUSAL.includes(reason)).length;
  return skipped === matched && refused > 0 ? REFUSED : DONE;
}
