// The report of a command as one document. Its keys are stable: `schema` changes with them.

import type { Connection, Outcome } from "../model/connection.ts";

/** The reason given for connections that an interrupted command did not reach. */
export const INTERRUPTED = "interrupted before it was touched";

/** The report of what `hangUp` did to each selected connection. */
export interface HangUpReport {
  /** The version of this document's keys. */
  readonly schema: 1;
  /** The command that made this document. */
  readonly command: string;
  /** `true` when nothing was to be touched. */
  readonly dryRun: boolean;
  /** Number of selected connections: the sum of the counts that follow. */
  matched: number;
  /** Number of connections that were hung up on and did not linger. */
  hungUp: number;
  /** Number of connections that were aborted. */
  destroyed: number;
  /** Number of connections that had ended, or were ending, by themselves. */
  alreadyGone: number;
  /** Number of connections that were protected, or left alone on request. */
  skipped: number;
  /**
   * Number of connections without an owner, denied, unsupported, lingering or failed. Each tells its outcome and
   * reason.
   */
  failed: number;
  /** In a dry run: number of connections that would have been hung up on or destroyed. */
  wouldAct?: number;
  /** Number of connections, skipped ones not counted, that were gone in the end; null when that was not asked for. */
  gone: number | null;
  /** The reason why a guard refused the run, so that every connection was skipped; null when none did. */
  refused: string | null;
  /** `true` when more connections appeared than `max` allows. The surplus was skipped. */
  maxReached: boolean;
  /** `true` when a signal, or the caller, ended the run early. */
  interrupted: boolean;
  /** The error that ended the run early, after something had been done already; null when there was none. */
  error: string | null;
  /** Number of processes whose descriptors this user may not read. */
  unreadableProcesses: number;
  /** The processes that were left out because they are blocked in the kernel. */
  unanswered: string[];
  /**
   * The reasons why connections may have been missed: each names a namespace or process that this user may not read.
   */
  incomplete: string[];
  /** Duration of the run in milliseconds. */
  elapsedMs: number;
  /** Duration of each phase in milliseconds. */
  phasesMs: Phases;
  /**
   * Number of connections that are counted above but not in `connections`: a long run keeps only the last that have
   * gone.
   */
  leftOut: number;
  /** The connections, each with its outcome. */
  connections: Connection[];
}

/** Milliseconds spent in each phase of a run. */
export interface Phases {
  /** Listing sockets. */
  select: number;
  /** Finding the owners in /proc. */
  resolve: number;
  /** Hanging up, or setting keepalive. */
  act: number;
  /** Waiting: between cuts, and until the connections are gone. */
  wait: number;
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
  & { matched: number; wouldAct?: number }
  & Record<Exclude<CommonCount, "wouldAct"> | Own, number>;

/**
 * Counts the outcomes of connections. Every connection has exactly one outcome, so the counts add up to `matched`.
 *
 * @param own The names of the counts that only this command's report has.
 * @param evicted Numbers of further connections, by outcome.
 */
export function countOutcomes<Own extends Count>(
  connections: readonly Pick<Connection, "outcome">[],
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
  for (const { outcome } of connections) add(outcome ?? "failed", 1);
  for (const [outcome, count] of evicted) add(outcome, count);
  return { matched, ...counts } as Counts<Own>;
}

/** The outcomes of connections that were touched, or may have been. */
const TOUCHED: readonly (Outcome | null)[] = ["hung-up", "destroyed", "lingering", "keepalive-set", "failed"];

/**
 * Returns the message of an error for the report, so that the record of what was done before the error survives.
 *
 * @throws {unknown} The error itself, as long as nothing was touched.
 */
export function errorForReport(error: unknown, connections: Iterable<Connection>): string {
  for (const { outcome } of connections) if (TOUCHED.includes(outcome)) return (error as Error).message;
  throw error;
}

/** Measures the durations of a run's phases. */
export class PhaseTimer {
  readonly phases: Phases = { select: 0, resolve: 0, act: 0, wait: 0 };
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
