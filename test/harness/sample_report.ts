// Reports for tests that need no kernel.

import type { HeldConnection } from "../../src/model/connection.ts";
import type { HangUpOutcome, HangUpResult, Outcome, Result } from "../../src/model/result.ts";
import { countOutcomes, type HangUpReport } from "../../src/report/report.ts";
import { type Sample, sampleListed } from "./sample.ts";

/** A connection with an outcome and a message. */
export function sampleResult<O extends Outcome>(
  outcome: O,
  message: string | null = null,
  given: Sample = {},
): HeldConnection & Result<O> {
  return { ...sampleListed(given), outcome, reason: null, message } as HeldConnection & Result<O>;
}

/** Connections with these outcomes, in their order; a message stands behind a colon: `denied: needs CAP_SYS_PTRACE`. */
export function sampleOutcomes(...outcomes: string[]): HangUpResult[] {
  return outcomes.map((text) => {
    const [outcome, message = null] = text.split(": ", 2);
    return sampleResult(outcome as HangUpOutcome, message);
  });
}

/** The report of a run that ended with these results, except for what is said. */
export function sampleReport(results: HangUpResult[], given: Partial<HangUpReport> = {}): HangUpReport {
  return {
    schema: 1,
    command: "hup",
    dryRun: false,
    ...countOutcomes(results, ["hungUp", "destroyed"]),
    gone: null,
    refused: null,
    recovered: 0,
    maxReached: false,
    diversion: null,
    interrupted: false,
    error: null,
    unreadableProcesses: 0,
    unanswered: [],
    incomplete: [],
    elapsedMs: 12,
    phasesMs: { select: 3, resolve: 4, act: 5, wait: 0 },
    leftOut: 0,
    results,
    ...given,
  };
}
