// Hanging up: the stages of the pipeline, and what leads from one to the next.
//
// Three of them work over time: discovery looks for connections, the queue cuts them one by one, and the escalation deals with those
// that do not go. Each says when it has something to do next; whichever is first gets its turn.

import { host } from "../ffi/deno.ts";
import { isUnresponsive } from "../ffi/progress.ts";
import { Disconnector, NOT_FOR_MPTCP, setOutcome, whyOrphansMayStay } from "./act/disconnect.ts";
import { Escalation } from "./act/escalation.ts";
import { type Connection, handleOf, identityOf } from "./model/connection.ts";
import { CutQueue, type WhenIdle } from "./act/cut_queue.ts";
import { doubtfulWork, pastWork, unanswered, whyUnfinished } from "./front/journal.ts";
import { MODE } from "./front/shared.ts";
import { extension, INET_DIAG_INFO } from "./linux/netlink/inet_diag.ts";
import { CLOSING, stateMask } from "./model/tcp_states.ts";
import type { Spacing } from "./act/pacing.ts";
import { Discovery } from "./act/discovery.ts";
import { UNRESPONSIVE } from "./socket/with_duplicate.ts";
import { countOutcomes, errorForReport, INTERRUPTED, PhaseTimer, type Report } from "./report/report.ts";
import { Resolver } from "./resolve/resolver.ts";
import { Finder } from "./resolve/finder.ts";
import { Selector } from "./select/selector.ts";
import { type CompiledSelection, compileSelection, connectionsOnly, type Selection } from "./select/criteria.ts";
import { sleep } from "../ffi/sleep.ts";
import type { Summary } from "./report/summary.ts";
import { TransientErrors } from "./report/transient_errors.ts";

/** How to hang up. */
export interface HangUpOptions {
  /** Find out what would be done, and touch nothing. */
  dry_run?: boolean;
  /**
   * TCP_USER_TIMEOUT in milliseconds: how long data or a FIN that the peer does not acknowledge may keep the connection.
   * What a slow but living peer has not acknowledged by then is lost. 0 leaves the socket's own. Default 5000.
   */
  linger_ms?: number;
  /**
   * Shut down sending alone: the application can read until the peer has ended too. Nothing bounds that time: TCP_USER_TIMEOUT
   * counts only until the peer has acknowledged the FIN.
   */
  fin_only?: boolean;
  /** Wait up to so long for the connections to be gone, and report those that are not as `lingering`. */
  wait_ms?: number;
  /** The same for as long as TCP itself may take: a second more than `linger_ms`, where `wait_ms` says nothing else. */
  verify?: boolean;
  /** Abort with a RST instead of hanging up. */
  destroy?: boolean;
  /** Hang up and, of each connection, so long after that, abort what is still there or has no owner. */
  destroy_after_ms?: number;
  /**
   * Do not spare the operator's own session: what SSH_CONNECTION names, what an ancestor of this process has accepted, and
   * what those hold who serve its terminal, tmux's and screen's clients included.
   */
  include_session?: boolean;
  /** When more match, touch none of them; of those that appear later, take so many in all. */
  max?: number;
  /**
   * Asked once, before anything is touched, about the connections that would be cut; anything but true leaves them alone.
   * Connections that appear meanwhile were not confirmWithSummary about, and are left alone unless `repeat` says otherwise.
   * `summary` takes a infoSelector look at them, which costs time.
   */
  confirm?: (connections: readonly Connection[], summary: () => Summary) => boolean | Promise<boolean>;
  /**
   * Spread the cuts over time. Connections that appear meanwhile are those that were made anew, and are left alone unless
   * `repeat` says otherwise.
   */
  spacing?: Spacing;
  /** Hang up on each connection at a moment when it carries nothing. Like `spacing`, this leaves new ones alone. */
  when_idle?: WhenIdle;
  /** Go on hanging up on what appears for so long, looking so often (every 500 ms when nothing else is said). */
  repeat?: { readonly for_ms: number; readonly every_ms?: number };
  /** Called now and then while it takes time. */
  on_progress?: (progress: Progress) => void;
  /**
   * Called with a line for people. With `repeat`: when something fails that may succeed a moment later (a host short of
   * memory or descriptors), and when that has passed. It is tried again. With `destroy_after_ms`: before anything is touched,
   * when what the applications close meanwhile could not be aborted.
   */
  on_trouble?: (text: string) => void;
  /** Stops between two connections. */
  signal?: AbortSignal;
}

/** How far it has got. */
export interface Progress {
  /** How many connections were found. */
  readonly matched: number;
  /** How many of them wait to be cut. */
  readonly waiting: number;
  /** Milliseconds since it began. */
  readonly elapsed_ms: number;
}

/** tcp(7)'s TCP_USER_TIMEOUT for connections that were hung up on. */
export const DEFAULT_LINGER_MS = 5000;

/** How much longer than TCP_USER_TIMEOUT a connection may take to go: the timer that ends it may be late by so much. */
const VERIFY_MARGIN_MS = 1000;

/** How long to work before the event loop gets to see whether a signal has come. */
const SLICE_MS = 100;

/** How long nothing may be said of how far it has got. */
const LONGEST_SLEEP_MS = 1000;

/** How long to wait after a transient error before trying again. */
const RETRY_MS = 100;

/**
 * Hangs up on the selected connections, as if the applications that hold them had: their peers are sent a FIN and they
 * read end-of-file. It needs to be the same user as the owner, or CAP_SYS_PTRACE.
 *
 * It works in the process that calls it. A call about a process that is blocked in the kernel may then never return, whoever
 * waits; the command line has another process do it, and goes on without that.
 *
 * @example Hang up on every connection to a database that has moved away
 * ```ts
 * import { hangUp } from "@tcphup/tcphup";
 *
 * const report = await hangUp({ dst: "192.0.2.10", dport: 5432 });
 * console.log(`${report.hung_up} of ${report.matched} connections hung up`);
 * ```
 *
 * @example Have a pool connect anew within a minute, one connection after another, each between two requests
 * ```ts
 * import { hangUp } from "@tcphup/tcphup";
 *
 * await hangUp({ dst: "192.0.2.10", dport: 443 }, {
 *   spacing: { over_ms: 60_000 },
 *   when_idle: { idle_ms: 200, leave_busy: true },
 * });
 * ```
 *
 * @returns What became of each connection. One that could not be hung up on is no error.
 * @throws {UsageError} When the selection is empty, malformed, or names something that is not there.
 * @throws {Unsupported} Where the kernel cannot list sockets.
 */
export async function hangUp(selection: Selection, options: HangUpOptions = {}): Promise<Report> {
  const run = new HangUp(connectionsOnly(compileSelection(selection), options.destroy ?? false), options);
  try {
    return await run.start();
  } finally {
    run.close();
  }
}

/** A stage that works over time. */
interface Stage {
  /** When it has something to do next, as performance.now() has it; Infinity for never. */
  readonly due: number;
  run(): void | Promise<void>;
}

class HangUp {
  readonly #options: HangUpOptions;
  readonly #timer = new PhaseTimer();
  readonly #finder: Finder;
  /** What sees when data last went, where that is confirmWithSummary for. */
  readonly #infoSelector: Selector;
  readonly #resolver = new Resolver();
  readonly #disconnector: Disconnector;
  readonly #discovery: Discovery;
  readonly #cutQueue: CutQueue;
  readonly #escalation: Escalation;
  readonly #past = pastWork();
  /** When the event loop is to have its turn. */
  #sliceEnd = performance.now() + SLICE_MS;
  #error = whyUnfinished();
  #hasWarned = false;
  readonly #start = performance.now();

  constructor(selection: CompiledSelection, options: HangUpOptions) {
    const { dry_run, linger_ms = DEFAULT_LINGER_MS, fin_only, spacing, when_idle, verify, signal } = options;
    const destroy_after_ms = dry_run ? undefined : options.destroy_after_ms;
    const wait_ms = options.wait_ms ?? (verify ? linger_ms + VERIFY_MARGIN_MS : undefined);
    const timer = this.#timer;
    const finder = new Finder(selection);
    const { selector } = finder;
    // Seeing when data last went takes the kernel longer, so that is only asked for where it is looked at.
    const infoSelector = when_idle ? new Selector(selection, extension(INET_DIAG_INFO)) : selector;
    const disconnector = new Disconnector({ linger_ms, fin_only }, (connection) => selector.stateOf(connection));
    const escalation = new Escalation({ disconnector, selector, resolver: this.#resolver }, {
      destroy_after_ms,
      wait_ms,
      signal,
    });
    const cutQueue = new CutQueue({ disconnector, selector: infoSelector, escalation, timer }, options);
    const stages = { finder, resolver: this.#resolver, cutQueue, escalation, timer };
    const onlyFirstRound = spacing !== undefined || when_idle !== undefined || options.confirm !== undefined;
    this.#options = options;
    this.#finder = finder;
    this.#infoSelector = infoSelector;
    this.#disconnector = disconnector;
    const { confirm } = options;
    const confirmWithSummary = confirm && (async (found: readonly Connection[]) => {
      const { summarizeClosely } = await import("./list.ts");
      return confirm(found, () => summarizeClosely(selection, found));
    });
    this.#discovery = new Discovery(stages, { ...options, confirm: confirmWithSummary }, onlyFirstRound);
    this.#cutQueue = cutQueue;
    this.#escalation = escalation;
  }

  /** Goes on where a process before this one got stuck, or was killed. */
  #resume(): void {
    for (const connection of [...this.#past.connections, ...this.#finishedByKilledProcess()]) {
      this.#discovery.connections.set(identityOf(connection), connection);
      if (connection.outcome !== null) this.#escalation.add(connection);
    }
  }

  /** Those that it was at when it was killed, and that are closing or gone now. */
  #finishedByKilledProcess(): Connection[] {
    const doubtful = doubtfulWork();
    if (doubtful.length === 0) return doubtful;
    const open = this.#finder.selector.remaining(doubtful).filter(({ state }) => (stateMask(state) & CLOSING) === 0);
    const undone = new Set(open.map(identityOf));
    const done = doubtful.filter((connection) => !undone.has(identityOf(connection)));
    for (const connection of done) setOutcome(connection, this.#options.destroy ? "destroyed" : "hung-up");
    return done;
  }

  async start(): Promise<Report> {
    const { connections } = this.#discovery;
    const { selector } = this.#finder;
    let gone: number | null = null;
    try {
      this.#resume();
      if (this.#error === null) await this.#work();
      this.#timer.time("select", () => {
        this.#disconnector.setOutcomeOfGoneMptcp(connections.values(), (some) => selector.remaining(some));
      });
      if (this.#isComplete) {
        gone = await this.#timer.timeAsync("wait", () => this.#escalation.waitAndReportLingering(connections));
      }
    } catch (error) {
      this.#error = errorForReport(error, connections.values());
    }
    const unseen = this.#incomplete();
    this.#setRemainingOutcomes();
    return this.#report(gone, unseen);
  }

  /** Why connections may have been missed. What finds that out may fail, whatever has failed before. */
  #incomplete(): string[] {
    try {
      return this.#finder.incomplete;
    } catch (error) {
      this.#error ??= errorForReport(error, this.#discovery.connections.values());
      return [];
    }
  }

  /** Gives each stage its turn, until there is nothing left to do. */
  async #work(): Promise<void> {
    const stages: Stage[] = [this.#discovery, this.#cutQueue, this.#escalation];
    const errorsOf = new Map(stages.map((stage) => [stage, new TransientErrors(this.#options.on_trouble)]));
    for (;;) {
      const next = stages.reduce((first, stage) => stage.due < first.due ? stage : first);
      if (next.due === Infinity) return errorsOf.forEach((transientErrors) => transientErrors.rethrowLast());
      await this.#sleepUntil(next.due);
      if (this.#interrupted) return;
      // A timer may be early.
      if (next.due <= performance.now()) await this.#run(next, errorsOf.get(next)!);
    }
  }

  /** Gives a stage its turn. As long as that is repeated anyway, a transient error does not end it. */
  async #run(stage: Stage, transientErrors: TransientErrors): Promise<void> {
    if (stage === this.#cutQueue && !this.#hasWarned) this.#warnOfOrphans();
    try {
      await stage.run();
    } catch (error) {
      if (performance.now() > this.#start + (this.#options.repeat?.for_ms ?? 0)) throw error;
      transientErrors.tolerate(error);
      await sleep(RETRY_MS, this.#options.signal);
    }
    transientErrors.endAttempt();
  }

  /** Says what `destroy_after_ms` will not do, before anything is touched. */
  #warnOfOrphans(): void {
    this.#hasWarned = true;
    const { destroy_after_ms, on_trouble } = this.#options;
    if (destroy_after_ms === undefined) return;
    const connections = [...this.#discovery.connections.values()];
    const why = whyOrphansMayStay(this.#finder.selector.diagOf(connections[0]));
    const mptcp = connections.filter(({ protocol }) => protocol === "mptcp").length;
    if (why === null && mptcp === 0) return;
    const what = why === null ? `${mptcp} MPTCP connection${mptcp === 1 ? "" : "s"}` : "connections";
    on_trouble?.(`${what} can be destroyed only while an application holds them: ${why ?? NOT_FOR_MPTCP}`);
  }

  /** Waits until then, and at least now and then lets the event loop deliver a signal. */
  async #sleepUntil(due: number): Promise<void> {
    const wait_ms = Math.min(due - performance.now(), LONGEST_SLEEP_MS);
    if (wait_ms <= 0 && performance.now() < this.#sliceEnd) return;
    this.#reportProgress();
    await this.#timer.timeAsync(
      "wait",
      () => wait_ms > 0 ? sleep(wait_ms, this.#options.signal) : host.yieldToEvents(),
    );
    this.#sliceEnd = performance.now() + SLICE_MS;
  }

  #reportProgress(): void {
    const { total: matched } = this.#discovery.connections;
    this.#options.on_progress?.({ matched, waiting: this.#cutQueue.size, elapsed_ms: this.#timer.elapsed_ms });
  }

  get #interrupted(): boolean {
    return this.#past.mode === MODE.interrupted || (this.#options.signal?.aborted ?? false);
  }

  /** Whether everything was done, so that it makes sense to see what came of it. */
  get #isComplete(): boolean {
    return !this.#options.dry_run && !this.#interrupted && this.#error === null && this.#discovery.refused === null;
  }

  /** Gives an outcome to those that it did not come to. */
  #setRemainingOutcomes(): void {
    for (const connection of this.#discovery.connections.values()) {
      if (connection.outcome !== null) continue;
      if (isUnresponsive(handleOf(connection))) setOutcome(connection, "failed", `its owner ${UNRESPONSIVE}`);
      else if (this.#error === null) setOutcome(connection, "skipped", INTERRUPTED);
      else setOutcome(connection, "failed", `not reached: ${this.#error}`);
    }
  }

  #report(gone: number | null, unseen: string[]): Report {
    const table = this.#discovery.connections;
    const connections = [...table.values()];
    return {
      schema: 1,
      command: "hup",
      dry_run: this.#options.dry_run ?? false,
      ...countOutcomes(connections, ["hung_up", "destroyed"], table.evicted),
      gone,
      refused: this.#discovery.refused,
      max_reached: this.#discovery.maxReached,
      interrupted: this.#interrupted,
      error: this.#error,
      unreadable_processes: this.#resolver.unreadable,
      unanswered: unanswered(),
      unseen,
      elapsed_ms: this.#timer.elapsed_ms,
      phases_ms: this.#timer.phases,
      left_out: table.total - table.size,
      connections,
    };
  }

  close(): void {
    this.#disconnector.close();
    this.#finder.close();
    this.#infoSelector.close();
  }
}
