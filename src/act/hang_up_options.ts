// The options of hangUp(), and their checks. They are types of the library, so this file imports no stage: whoever
// type-checks a program that uses the library has every module checked that is imported here.

import type { HeldConnection } from "../model/connection.ts";
import {
  abortSignal,
  boolean,
  callback,
  checkOptions,
  type Checks,
  type Conflict,
  count,
  inRange,
  nested,
  oneOrMore,
  refuseConflicts,
  requireOptions,
  text,
  time,
} from "../model/options.ts";
import { about } from "../model/wording.ts";
import type { HangUpReport } from "../report/report.ts";
import type { Summary } from "../report/summary.ts";
import type { OneOrMore } from "../select/selection.ts";
import { parseEndpoint } from "../select/destination.ts";
import type { Pacing } from "./pacing.ts";

/** Options of `hangUp`. */
export interface HangUpOptions {
  /** Reports what would be done, and touches nothing. */
  dryRun?: boolean;
  /**
   * TCP_USER_TIMEOUT in milliseconds: the time for which unacknowledged data, or an unacknowledged FIN, may keep the
   * connection. Data that a slow but living peer has not acknowledged by then is lost. 0 leaves the socket's own
   * timeout. Default 5000, at most 24 days (an int of milliseconds, as for all times here).
   */
  lingerMs?: number;
  /**
   * Shuts down sending only, so that the application can read until the peer ends too. Nothing bounds that time:
   * TCP_USER_TIMEOUT counts only until the peer has acknowledged the FIN.
   */
  finOnly?: boolean;
  /** Waits so many milliseconds at most for the connections to go, and reports those that stay as `lingering`. */
  waitMs?: number;
  /** Sets `waitMs`, where it is not given, to the time that TCP itself may take: a second more than `lingerMs`. */
  verify?: boolean;
  /** Aborts with a RST instead of hanging up. */
  destroy?: boolean;
  /** Hangs up first, and so many milliseconds later aborts each connection that is still there or has no owner. */
  destroyAfterMs?: number;
  /**
   * Takes the operator's own session too. Otherwise three kinds of connections are spared: the one in SSH_CONNECTION,
   * those that an ancestor of this process accepted, and those of the processes that serve its terminal, including the
   * clients of tmux and screen.
   */
  includeSession?: boolean;
  /**
   * Touches nothing when more connections than these match at first. Of those that appear later, so many are taken in all.
   * 1 at least.
   */
  max?: number;
  /**
   * Asks for consent to cut the given connections, once and before anything is touched. Any answer but `true` leaves
   * them alone. Connections that appear meanwhile are left alone too, unless `repeat` says otherwise. Calling `summary`
   * looks closer at the connections, which costs time.
   */
  confirm?: (connections: readonly HeldConnection[], summary: () => Summary) => boolean | Promise<boolean>;
  /**
   * Spreads the cuts over time. Connections that appear meanwhile are replacements of those cut, and are left alone
   * unless `repeat` says otherwise.
   */
  pacing?: Pacing;
  /**
   * Hangs up on each connection while it is idle. Like with `pacing`, connections that appear meanwhile are left
   * alone.
   */
  whenIdle?: WhenIdle;
  /**
   * Hangs up on connections that appear within `forMs` milliseconds too, looking for them every `everyMs` milliseconds
   * (default 500, 50 at least). Without it, what is new is left alone, and counted as `recovered` where it is seen.
   */
  repeat?: { readonly forMs: number; readonly everyMs?: number };
  /**
   * Has connect(2) to what is selected fail at once, for `forMs` milliseconds, or until `signal` is aborted. It is in force
   * before anything is hung up on, so that no client connects again meanwhile.
   *
   * The selection may go by the peer's address and port, by users, network namespaces and control groups. Without `cgroup`
   * and `container` it concerns every program of the host. It takes cgroup v2, CAP_BPF and CAP_NET_ADMIN, and ends with this
   * process, however that ends.
   */
  refuse?: { readonly forMs?: number };
  /**
   * Has connect(2) to what is selected go elsewhere, as `refuse` refuses it: to an address, or an address and port such as
   * `10.0.0.6:5432` and `[2001:db8::6]:5432`. Where IPv4 and IPv6 addresses are selected, it takes one of each.
   */
  redirect?: { readonly to: OneOrMore<string>; readonly forMs?: number };
  /**
   * A name under which `refuse` or `redirect` stays in force beyond the end of this process, in a bpffs. The promise resolves
   * once the connections are hung up on.
   */
  pin?: string;
  /**
   * Receives the report once the connections are hung up on, while `refuse` or `redirect` is in force still. The promise
   * resolves with the same report later, which has the final counts.
   */
  onHungUp?: (report: HangUpReport) => void;
  /** Receives the progress, at least once a second while there is work to do. */
  onProgress?: (progress: Progress) => void;
  /**
   * Receives a line of text for people.
   * - With `repeat`: when an error occurs that may pass, such as a shortage of memory or descriptors, and when it has
   *   passed. The work is tried again meanwhile.
   * - With `destroyAfterMs`: before anything is touched, when connections that their applications close meanwhile
   *   could not be aborted.
   */
  onWarning?: (text: string) => void;
  /** Stops the run between two connections. The promise then resolves, with `interrupted` set in the report. */
  signal?: AbortSignal;
}

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

/** Progress of a run. */
export interface Progress {
  /** Number of connections found. */
  readonly matched: number;
  /** Number of connections that wait to be cut. */
  readonly waiting: number;
  /** Milliseconds since the run began. */
  readonly elapsedMs: number;
}

/** Default of `lingerMs`. */
export const DEFAULT_LINGER_MS = 5000;

/** The shortest `everyMs`. A dump of all sockets more often than this is a load of its own. */
const SHORTEST_EVERY_MS = 50;

/** Above this rate a timer cannot space the cuts. */
const MAX_PER_S = 10_000;

/** The check of each option. */
export const HANG_UP_CHECKS: Checks<HangUpOptions> = {
  dryRun: boolean,
  lingerMs: time(0, true),
  finOnly: boolean,
  waitMs: time(0),
  verify: boolean,
  destroy: boolean,
  destroyAfterMs: time(0),
  includeSession: boolean,
  max: count,
  confirm: callback,
  pacing: nested<{ perSecond?: number; overMs?: number; jitter?: number }>({
    perSecond: inRange({ minimum: 1 / 3600, maximum: MAX_PER_S, expected: `1/h to ${MAX_PER_S}/s` }),
    overMs: time(1),
    jitter: inRange({ minimum: 0, maximum: 1, expected: "0 to 1" }),
  }),
  whenIdle: nested<WhenIdle>({ idleMs: time(1), deadlineMs: time(0), leaveBusy: boolean }),
  repeat: nested<NonNullable<HangUpOptions["repeat"]>>({ forMs: time(1), everyMs: time(SHORTEST_EVERY_MS) }),
  refuse: nested<NonNullable<HangUpOptions["refuse"]>>({ forMs: time(1) }),
  redirect: nested<NonNullable<HangUpOptions["redirect"]>>({
    to: oneOrMore((option, value) => {
      text(option, value);
      about(option, value, () => parseEndpoint(value as string));
    }),
    forMs: time(1),
  }),
  pin: text,
  onHungUp: callback,
  onProgress: callback,
  onWarning: callback,
  signal: abortSignal,
};

const CONFLICTS: readonly Conflict[] = [
  ["refuse", "redirect", () => "a connect either fails or goes elsewhere"],
  ["pin", "refuse.forMs", () => "what is pinned stays until it is removed"],
  ["pin", "redirect.forMs", () => "what is pinned stays until it is removed"],
  ["destroy", "destroyAfterMs", () => "one acts at once, the other later"],
  ["destroy", "finOnly", () => "one sends a RST, the other a FIN"],
  ["destroy", "lingerMs", () => "what is destroyed does not linger"],
  ["destroy", "whenIdle", () => "destroying at once does not wait for a pause"],
  ["pacing.perSecond", "pacing.overMs", () => "one gives a rate, the other a time for all"],
  [
    "pacing.overMs",
    "repeat",
    ({ name }) => `how many connections will appear is not known in advance, so use ${name("pacing.perSecond")}`,
  ],
];

/** Options that need another one, or one of several. The innermost come first, so that they are named. */
const NEEDS: readonly (readonly [string, readonly string[]])[] = [
  ["pacing.jitter", ["pacing.perSecond", "pacing.overMs"]],
  ["pacing", ["pacing.perSecond", "pacing.overMs"]],
  ["whenIdle.deadlineMs", ["whenIdle.idleMs"]],
  ["whenIdle.leaveBusy", ["whenIdle.idleMs"]],
  ["whenIdle", ["whenIdle.idleMs"]],
  ["repeat.everyMs", ["repeat.forMs"]],
  ["repeat", ["repeat.forMs"]],
  ["redirect", ["redirect.to"]],
  ["pin", ["refuse", "redirect"]],
  ["refuse", ["refuse.forMs", "pin", "signal", "dryRun"]],
  ["redirect", ["redirect.forMs", "pin", "signal", "dryRun"]],
];

/**
 * Checks the options of hangUp().
 *
 * @throws {UsageError} For an unknown option, a wrong value, options that contradict each other, and an option without the
 * one that it needs.
 */
export function validateHangUpOptions(options: HangUpOptions): void {
  checkOptions(options, HANG_UP_CHECKS);
  refuseConflicts(options, CONFLICTS);
  requireOptions(options, NEEDS);
}
