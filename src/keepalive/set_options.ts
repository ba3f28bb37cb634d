// The options of setKeepalive() and watchKeepalive(), and their checks.

import {
  abortSignal,
  boolean,
  callback,
  checkOptions,
  type Checks,
  type Conflict,
  refuseConflicts,
  SHORTEST_WATCH_MS,
  time,
} from "../model/options.ts";
import type { DestinationCount } from "../model/destination_count.ts";
import { checkValues, type DesiredKeepalive, type GivenValues, KEEPALIVE_NAMES, resolveValues } from "./values.ts";

/** Options of `setKeepalive`. */
export interface SetKeepaliveOptions {
  /**
   * The values to set. A value that is not given takes libkeepalive's default (idle 15 s, interval 15 s, count 9, a
   * user timeout to match). 0 leaves the socket's own value.
   */
  values?: GivenValues;
  /** Turns SO_KEEPALIVE off instead, and leaves everything else. */
  off?: boolean;
  /**
   * Keeps what an application chose. A socket with SO_KEEPALIVE on is left as it is, whatever its values. Any other
   * socket keeps the user timeout that it has.
   */
  onlyMissing?: boolean;
  /**
   * Sets listening sockets too, so that connections accepted later have the values from the start. A listener has no
   * peer, so the selection must give `any` as the peer, and choose by the local end or by processes.
   */
  listeners?: boolean;
  /** Reports what would be done, and touches nothing. */
  dryRun?: boolean;
  /** Stops the run between two connections. The promise then resolves, with `interrupted` set in the report. */
  signal?: AbortSignal;
}

/** Options of `watchKeepalive`. */
export interface WatchKeepaliveOptions extends SetKeepaliveOptions {
  /** Ends the iteration between two connections. */
  signal?: AbortSignal;
  /** Milliseconds between two rounds, 100 at least. Default 1000, or 10,000 where a program sets new connections. */
  everyMs?: number;
  /**
   * Has a BPF program set new connections as they are made, where the kernel can tell then all that the selection goes by,
   * and this user may attach a program to cgroup v2. It goes when the iteration ends, or this process. Rounds are for what
   * the program does not reach: MPTCP, listeners, what an application has set otherwise afterwards. Default false.
   */
  attach?: boolean;
  /** Receives, before the first round, how new connections are set. */
  onStart?: (means: WatchMeans) => void;
  /**
   * Receives, at the end, the numbers of connections that the program has set, by destination, the greatest first. It counts
   * only with this.
   */
  onEnd?: (counters: readonly DestinationCount[]) => void;
  /** Receives, after each round, the reasons why connections may have been missed. */
  onRound?: (incomplete: readonly string[]) => void;
  /**
   * Receives a line of text for people when an error occurs that may pass, such as a shortage of memory or descriptors,
   * and when it has passed. The next round tries again.
   */
  onWarning?: (text: string) => void;
}

/** How a watch sets new connections. */
export interface WatchMeans {
  /** Why no program sets them as they are made; null when one does. */
  readonly notAttached: string | null;
  /** Milliseconds between two rounds. */
  readonly everyMs: number;
}

/** Default of `everyMs`. */
export const DEFAULT_EVERY_MS = 1000;

/** Default of `everyMs` where a program sets new connections. */
export const ATTACHED_EVERY_MS = 10_000;

const CHECKS: Checks<SetKeepaliveOptions> = {
  values: checkValues,
  off: boolean,
  onlyMissing: boolean,
  listeners: boolean,
  dryRun: boolean,
  signal: abortSignal,
};

const WATCH_CHECKS: Checks<WatchKeepaliveOptions> = {
  ...CHECKS,
  everyMs: time(SHORTEST_WATCH_MS),
  attach: boolean,
  onStart: callback,
  onEnd: callback,
  onRound: callback,
  onWarning: callback,
};

const CONFLICTS: readonly Conflict[] = [
  // The innermost come first, so that they are named.
  ...KEEPALIVE_NAMES.map((name): Conflict => ["off", `values.${name}`, () => "what is off has no values"]),
  ["off", "values", () => "what is off has no values"],
  ["off", "onlyMissing", () => "nothing that is missing can be turned off"],
];

/**
 * Checks the options of setKeepalive().
 *
 * @throws {UsageError} For an unknown option, a wrong value, and options that contradict each other.
 */
export function validateKeepaliveOptions(options: SetKeepaliveOptions): void {
  checkOptions(options, CHECKS);
  refuseConflicts(options, CONFLICTS);
}

/** Checks the options of watchKeepalive(). @throws {UsageError} As `validateKeepaliveOptions`. */
export function validateWatchOptions(options: WatchKeepaliveOptions): void {
  checkOptions(options, WATCH_CHECKS);
  refuseConflicts(options, CONFLICTS);
}

/** Returns the keepalive that checked options ask for. */
export function desiredKeepalive({ values, off, onlyMissing }: SetKeepaliveOptions): DesiredKeepalive {
  return off ? { values: "off" } : { values: resolveValues(values).values, onlyMissing };
}
