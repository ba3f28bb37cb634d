// The report of a command as one document. Its keys are stable: `schema` changes with them.

import type { KeepaliveValues } from "../keepalive/values.ts";
import type { DiversionReport } from "../model/diversion.ts";
import type { HangUpResult, KeepaliveResult, Outcome, Target } from "../model/result.ts";

/** The part that the reports of all commands have. */
export interface Report {
  /** The version of this document's keys. */
  readonly schema: 1;
  /** `true` when nothing was to be touched. */
  readonly dryRun: boolean;
  /** Number of selected connections: the sum of the counts that follow. */
  readonly matched: number;
  /** Number of connections that had ended, or were ending, by themselves. */
  readonly alreadyGone: number;
  /** Number of connections that were protected, left alone on request, or not reached in time. */
  readonly skipped: number;
  /**
   * Number of connections without an owner, denied, unsupported, lingering or failed. Each tells its outcome and
   * reason.
   */
  readonly failed: number;
  /** In a dry run: number of connections on which something would have been done. */
  readonly wouldAct?: number;
  /** `true` when a signal, or the caller, ended the run early. */
  readonly interrupted: boolean;
  /** The error that ended the run early, after something had been done already; null when there was none. */
  readonly error: string | null;
  /** Number of processes whose descriptors this user may not read. */
  readonly unreadableProcesses: number;
  /** The processes that were left out because they are blocked in the kernel. */
  readonly unanswered: readonly string[];
  /**
   * The reasons why connections may have been missed: each names a namespace or process that this user may not read.
   */
  readonly incomplete: readonly string[];
  /** Duration of the run in milliseconds. */
  readonly elapsedMs: number;
  /** Duration of each phase in milliseconds. */
  readonly phasesMs: Phases;
}

/** The report of what `hangUp` did to each selected connection. */
export interface HangUpReport extends Report {
  /** The command that made this document. */
  readonly command: "hup";
  /** Number of connections that were hung up on and did not linger. */
  readonly hungUp: number;
  /** Number of connections that were aborted. */
  readonly destroyed: number;
  /** Number of connections, skipped ones not counted, that were gone in the end; null when that was not asked for. */
  readonly gone: number | null;
  /** The reason why a guard refused the run, so that every connection was skipped; null when none did. */
  readonly refused: string | null;
  /** Number of connections, not counted above, that were found later and left alone, as they may be new. */
  readonly recovered: number;
  /** `true` when more connections appeared than `max` allows. The surplus was skipped. */
  readonly maxReached: boolean;
  /**
   * Number of connections that are counted above but not in `results`: a long run keeps only the last that have gone.
   */
  readonly leftOut: number;
  /** What was in force for connect(2); null without `refuse` and `redirect`. */
  readonly diversion: DiversionReport | null;
  /** The connections, each with its outcome. */
  readonly results: readonly HangUpResult[];
}

/** The report of what `setKeepalive` did to each selected connection. */
export interface KeepaliveReport extends Report {
  /** The command that made this document. */
  readonly command: "keepalive";
  /** The values to set, where 0 leaves the socket's own; null when keepalive was to be turned off. */
  readonly values: KeepaliveValues | null;
  /** Number of connections on which something was changed and everything reads back as wanted. */
  readonly keepaliveSet: number;
  /** Number of connections that had the values already, or keep those of their application. */
  readonly unchanged: number;
  /** The connections and listeners, each with its outcome and its settings `before` and `after`. */
  readonly results: readonly KeepaliveResult[];
}

/** Milliseconds spent in each phase of a run. */
export interface Phases {
  /** Listing sockets. */
  readonly select: number;
  /** Finding the owners in /proc. */
  readonly resolve: number;
  /** Hanging up, or setting keepalive. */
  readonly act: number;
  /** Waiting: between cuts, and until the connections are gone. */
  readonly wait: number;
}

/** The counts that any report may have. */
type CommonCount = "alreadyGone" | "skipped" | "failed" | "wouldAct";
type Count = CommonCount | "hungUp" | "destroyed" | "keepaliveSet" | "unchanged";

const COUNTS: Record<Outcome, Count> = {
  "hung-up": "hungUp",
  "destroyed": "destroyed",
  "would-hang-up": "wouldAct",
  "would-destroy": "wouldAct",
  "keepalive-set": "keepaliveSet",
  "would-set-keepalive": "wouldAct",
  "unchanged": "unchanged",
  "already-gone": "alreadyGone",
  "skipped": "skipped",
  "no-owner": "failed",
  "denied": "failed",
  "unsupported": "failed",
  "lingering": "failed",
  "failed": "failed",
};

/** Counts of outcomes, including those that only one command has. */
export type Counts<Own extends Count> =
  & { readonly matched: number; readonly wouldAct?: number }
  & Record<Exclude<CommonCount, "wouldAct"> | Own, number>;

/**
 * Counts outcomes. Every connection has exactly one, so the counts add up to `matched`.
 *
 * @param own The names of the counts that only this command's report has.
 * @param evicted Numbers of further connections, by outcome.
 */
export function countOutcomes<Own extends Count>(
  results: readonly { readonly outcome: Outcome }[],
  own: readonly Own[],
  evicted: ReadonlyMap<Outcome, number> = new Map(),
): Counts<Own> {
  const counts: Partial<Record<Count, number>> = {};
  let matched = 0;
  const add = (outcome: Outcome, more: number) => {
    const count = COUNTS[outcome];
    counts[count] = (counts[count] ?? 0) + more;
    matched += more;
  };
  for (const name of [...own, "alreadyGone", "skipped", "failed"] as const) counts[name] = 0;
  for (const { outcome } of results) add(outcome, 1);
  for (const [outcome, count] of evicted) add(outcome, count);
  return { matched, ...counts } as Counts<Own>;
}

/** The outcomes of connections that were touched, or may have been. */
const TOUCHED: readonly (Outcome | undefined)[] = ["hung-up", "destroyed", "lingering", "keepalive-set", "failed"];

/**
 * Returns the message of an error for the report, so that the record of what was done before the error survives.
 *
 * @throws {unknown} The error itself, as long as nothing was touched.
 */
export function errorForReport(error: unknown, targets: Iterable<Target>): string {
  for (const { result } of targets) if (TOUCHED.includes(result?.outcome)) return (error as Error).message;
  throw error;
}

/** Measures the durations of a run's phases. */
export class PhaseTimer {
  readonly phases = { select: 0, resolve: 0, act: 0, wait: 0 };
  readonly #start = performance.now();

  /** Runs `work` and adds its duration to a phase. */
  time<T>(phase: keyof Phases, work: () => T): T {
    const start = performance.now();
    try {
      return work();
    } finally {
      this.phases[phase] += performance.now() - start;
    }
  }

  /** Awaits `work` and adds its duration to a phase. */
  async timeAsync<T>(phase: keyof Phases, work: () => Promise<T>): Promise<T> {
    const start = performance.now();
    try {
      return await work();
    } finally {
      this.phases[phase] += performance.now() - start;
    }
  }

  get elapsedMs(): number {
    return Math.round(performance.now() - this.#start);
  }
}
