// The last room of the pipeline: what was done, as one document. Its keys are stable: `schema` changes with them.

import type { Connection, Outcome } from "../model/connection.ts";

/** Why what was left when the command was told to end has been skipped. */
export const INTERRUPTED = "interrupted before it was touched";

/** What a command did to the connections that it selected. */
export interface Report {
  /** The version of this document's keys. */
  readonly schema: 1;
  /** Tells the documents of the commands apart. */
  readonly command: string;
  /** Whether nothing was to be touched. */
  readonly dry_run: boolean;
  /** How many connections were selected: the sum of the counts that follow. */
  matched: number;
  /** How many were hung up on, and did not linger. */
  hung_up: number;
  /** How many were aborted. */
  destroyed: number;
  /** How many had ended, or were ending, by themselves. */
  already_gone: number;
  /** How many were protected, or left alone on request. */
  skipped: number;
  /** No owner, denied, unsupported, lingering or failed: each connection says which, and why. */
  failed: number;
  /** In a dry run: what would have been hung up or destroyed. */
  would_act?: number;
  /** How many, those skipped apart, were gone when it looked for the last time; null when that was not asked for. */
  gone: number | null;
  /** Why a guard refused, so that every connection was skipped and nothing touched; null when none did. */
  refused: string | null;
  /** Whether more connections appeared than the guard allowed. Those beyond were skipped. */
  max_reached: boolean;
  /** Whether a signal, or the caller, ended it early. */
  interrupted: boolean;
  /** What broke when something was done already, so that it ended early; null when nothing did. */
  error: string | null;
  /** How many processes this user may not look into. */
  unreadable_processes: number;
  /** Processes that did not answer, blocked in the kernel, and so were left out. */
  unanswered: string[];
  /** Why connections may have been missed: namespaces or processes that the selection is about and that may not be seen. */
  unseen: string[];
  /** Milliseconds from beginning to end. */
  elapsed_ms: number;
  /** How much of that was spent on what. */
  phases_ms: Phases;
  /** How many are counted above, but are not among `connections`: of those that are gone, a long run keeps the last. */
  left_out: number;
  /** What became of each. */
  connections: Connection[];
}

/** Milliseconds spent in each room of the pipeline. */
export interface Phases {
  /** Asking the kernel which sockets there are. */
  select: number;
  /** Looking in /proc for who holds them. */
  resolve: number;
  /** Hanging up. */
  act: number;
  /** Waiting until they are gone. */
  wait: number;
}

/** What there may be a count of in any report. */
type CommonCount = "already_gone" | "skipped" | "failed" | "would_act";
type Count = CommonCount | "hung_up" | "destroyed" | "keepalive_set" | "unchanged";

const COUNTS: Record<Outcome, Count> = {
  "hung-up": "hung_up",
  "destroyed": "destroyed",
  "would-hang-up": "would_act",
  "would-destroy": "would_act",
  "keepalive-set": "keepalive_set",
  "would-set-keepalive": "would_act",
  "unchanged": "unchanged",
  "already-gone": "already_gone",
  "skipped": "skipped",
  "no-owner": "failed",
  "denied": "failed",
  "unsupported": "failed",
  "lingering": "failed",
  "failed": "failed",
};

/** Counts of outcomes, those of a command's own among them. */
export type Counts<Own extends Count> =
  & { matched: number; would_act?: number }
  & Record<Exclude<CommonCount, "would_act"> | Own, number>;

/**
 * Counts outcomes. Every connection has exactly one, so the counts add up to `matched`.
 *
 * @param own The counts that the command's report has besides those that every report has.
 * @param evicted How many others there were, of each outcome.
 */
export function countOutcomes<Own extends Count>(
  connections: readonly Connection[],
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
  for (const name of [...own, "already_gone", "skipped", "failed"] as const) counts[name] = 0;
  for (const { outcome } of connections) add(outcome ?? "failed", 1);
  for (const [outcome, count] of evicted) add(outcome, count);
  return { matched, ...counts } as Counts<Own>;
}

/** The outcomes of what was touched, or may have been. */
const TOUCHED: readonly (Outcome | null)[] = ["hung-up", "destroyed", "lingering", "keepalive-set", "failed"];

/**
 * What broke, for the report of what was done by then.
 *
 * @throws {unknown} The error itself, while nothing was done: then it is the caller's.
 */
export function errorForReport(error: unknown, connections: Iterable<Connection>): string {
  for (const { outcome } of connections) if (TOUCHED.includes(outcome)) return (error as Error).message;
  throw error;
}

/** Measures how long the phases of a run take. */
export class PhaseTimer {
  readonly phases: Phases = { select: 0, resolve: 0, act: 0, wait: 0 };
  readonly #start = performance.now();

  /** Runs `work` and adds its time to a phase. */
  time<T>(phase: keyof Phases, work: () => T): T {
    const start = performance.now();
    try {
      return work();
    } finally {
      this.phases[phase] += performance.now() - start;
    }
  }

  /** The same for work that waits. */
  async timeAsync<T>(phase: keyof Phases, work: () => Promise<T>): Promise<T> {
    const start = performance.now();
    try {
      return await work();
    } finally {
      this.phases[phase] += performance.now() - start;
    }
  }

  get elapsed_ms(): number {
    return Math.round(performance.now() - this.#start);
  }
}
