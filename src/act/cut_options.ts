// Options of the cuts. They are types of the library, so this file imports no stage: whoever type-checks a program that
// uses the library has every module checked that is imported here.

import type { Pacing } from "./pacing.ts";

/** Options of waiting until a connection is idle. */
export interface WhenIdle {
  /**
   * Milliseconds without data in either direction after which a connection counts as idle. A request whose answer takes
   * longer than that looks like an idle connection: nothing is sent meanwhile.
   */
  readonly idleMs: number;
  /** Milliseconds to wait for that, counted from the connection's turn. Default 30,000. */
  readonly deadlineMs?: number;
  /** Leaves a connection alone that is still busy at the deadline. Without this it is cut then. */
  readonly leaveBusy?: boolean;
}

/** Default of `deadlineMs`. */
export const DEFAULT_DEADLINE_MS = 30_000;

/** Options of the cuts. */
export interface CutOptions {
  /** Aborts the connections instead of hanging up. */
  readonly destroy?: boolean;
  readonly pacing?: Pacing;
  readonly whenIdle?: WhenIdle;
}
