// Reports for tests that need no kernel.

import type { Connection, Outcome } from "../../src/model/connection.ts";
import { countOutcomes, type HangUpReport } from "../../src/report/report.ts";
import { sampleConnection } from "./sample.ts";

/** Connections with these outcomes, in their order; an error stands behind a colon: `denied: needs CAP_SYS_PTRACE`. */
export function sampleOutcomes(...outcomes: string[]): Connection[] {
  return outcomes.map((text) => {
    const [outcome, error = null] = text.split(": ", 2);
    return sampleConnection({ outcome: outcome as Outcome, error });
  });
}

/** The report of a run that ended with these connections, except for what is said. */
export function sampleReport(connections: Connection[], given: Partial<HangUpReport> = {}): HangUpReport {
  return {
    schema: 1,
    command: "hup",
    dryRun: false,
    ...countOutcomes(connections, ["hungUp", "destroyed"]),
    gone: null,
    refused: null,
    maxReached: false,
    interrupted: false,
    error: null,
    unreadableProcesses: 0,
    unanswered: [],
    incomplete: [],
    elapsedMs: 12,
    phasesMs: { select: 3, resolve: 4, act: 5, wait: 0 },
    leftOut: 0,
    connections,
    ...given,
  };
}
