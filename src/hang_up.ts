// Hangs up on connections, in three stages that work over time. The discovery finds connections, the queue cuts them one
// by one, and the escalation handles those that do not go.

import { Disconnector } from "./act/disconnect.ts";
import { explainNotReached, setOutcome } from "./act/outcomes.ts";
import { NOT_FOR_MPTCP, whyOrphansMayStay } from "./act/sock_destroy.ts";
import type { Diversion } from "./attach/diversion.ts";
import { Escalation } from "./act/escalation.ts";
import { type Connection, type HeldConnection, identityOf } from "./model/connection.ts";
import { type HangUpOutcome, resultOf, type Target } from "./model/result.ts";
import { counted } from "./model/wording.ts";
import { CutQueue } from "./act/cut_queue.ts";
import { doubtfulWork, pastWork, unanswered, whyUnfinished } from "./front/journal.ts";
import { takeTime } from "./front/priority.ts";
import { MODE } from "./front/shared.ts";
import { extension, INET_DIAG_INFO } from "./linux/netlink/inet_diag.ts";
import { isClosing } from "./model/tcp_states.ts";
import { Discovery } from "./act/discovery.ts";
import { DEFAULT_LINGER_MS, type HangUpOptions, validateHangUpOptions } from "./act/hang_up_options.ts";
import { countOutcomes, errorForReport, type HangUpReport, PhaseTimer } from "./report/report.ts";
import { Resolver } from "./resolve/resolver.ts";
import { Finder } from "./resolve/finder.ts";
import { Selector } from "./select/selector.ts";
import { type CompiledSelection, compileSelection, connectionsOnly } from "./select/compile_selection.ts";
import type { Selection } from "./select/selection.ts";
import { Turns } from "./act/turns.ts";

/** Milliseconds by which a connection may outlast TCP_USER_TIMEOUT: the kernel's timers are late. */
const VERIFY_MARGIN_MS = 1000;

/**
 * Hangs up on the selected connections as if the applications that hold them had done so: each peer receives a FIN,
 * each application reads end-of-file. The caller must be the same user as the owner, or have CAP_SYS_PTRACE.
 *
 * The event loop is blocked while sockets are listed and while it is read who holds them, once at least and again for
 * each round of `repeat`: for some 0.4 s with 10,000 connections. The cuts let it have its turn every 0.1 s.
 *
 * The work is done in the calling process. A system call about a process that is blocked in the kernel may never
 * return. The command line therefore leaves the work to a child process, and goes on without a child that is stuck.
 *
 * @example Hang up on every connection to a database that has moved away
 * ```ts
 * import { hangUp } from "@tcphup/tcphup";
 *
 * const report = await hangUp({ dst: "192.0.2.10", dport: 5432 });
 * console.log(`${report.hungUp} of ${report.matched} connections hung up`);
 * ```
 *
 * @example Have a pool connect anew within a minute, one connection after another, each between two requests
 * ```ts
 * import { hangUp } from "@tcphup/tcphup";
 *
 * await hangUp({ dst: "192.0.2.10", dport: 443 }, {
 *   pacing: { overMs: 60_000 },
 *   whenIdle: { idleMs: 200, leaveBusy: true },
 * });
 * ```
 *
 * @returns The outcome of each connection. A connection that could not be hung up on is not an error.
 * @throws {UsageError} When an option is wrong, or options contradict each other. When the selection is empty, malformed,
 * or names something that is not there.
 * @throws {UnsupportedError} When the kernel cannot list sockets.
 * @throws {SyscallError} When a system call fails before anything was touched. A later failure is the report's `error`.
 * @throws {LibcUnavailableError} When libc cannot be loaded.
 */
export async function hangUp(selection: Selection, options: HangUpOptions = {}): Promise<HangUpReport> {
  validateHangUpOptions(options);
  const compiled = connectionsOnly(compileSelection(selection), options.destroy ?? false);
  if (!options.refuse && !options.redirect) return await runOnce(compiled, options);
  // Few commands need it, and loading it would cost each of them a millisecond.
  const { Diversion } = await import("./attach/diversion.ts");
  return await hangUpDiverted(compiled, options, new Diversion(selection, compiled, options));
}

/**
 * Hangs up on connections to peers that are known to be out. Attempts to connect are ended whatever their age, and what is
 * established meanwhile is not taken for recovered. The caller has checked the options.
 */
export async function hangUpOnDeparted(selection: Selection, options: HangUpOptions): Promise<HangUpReport> {
  const compiled = connectionsOnly(compileSelection(selection), options.destroy ?? false);
  return await runOnce(compiled, options, { areOut: true });
}

/** What a run is part of. */
interface Circumstances {
  readonly diversion?: Diversion;
  readonly areOut?: boolean;
}

async function runOnce(
  compiled: CompiledSelection,
  options: HangUpOptions,
  circumstances: Circumstances = {},
): Promise<HangUpReport> {
  const run = new HangUp(compiled, options, circumstances);
  try {
    return await run.start();
  } finally {
    run.close();
  }
}

/** Hangs up while connects are refused or redirected, waits for the end of that, and closes `diversion`. */
async function hangUpDiverted(
  compiled: CompiledSelection,
  options: HangUpOptions,
  diversion: Diversion,
): Promise<HangUpReport> {
  const { max, confirm, signal, onHungUp } = options;
  const complete = (report: HangUpReport) => ({
    ...report,
    incomplete: [...diversion.incomplete, ...report.incomplete],
    diversion: diversion.report(),
  });
  try {
    // What a guard has to pass first is not in force before.
    if (max === undefined && confirm === undefined) diversion.arm();
    const report = await runOnce(compiled, options, { diversion });
    if (report.refused !== null) {
      const untouched = complete(report);
      diversion.undo();
      return untouched;
    }
    if (!report.interrupted) diversion.arm();
    onHungUp?.(complete(report));
    if (!report.interrupted) await diversion.last(signal);
    return complete(report);
  } catch (error) {
    diversion.undo();
    throw error;
  } finally {
    diversion.close();
  }
}

/** One run: it has the stages made and work, and makes the report. */
class HangUp {
  readonly #options: HangUpOptions;
  readonly #timer = new PhaseTimer();
  readonly #finder: Finder;
  /** A selector that reads tcp_info too, for `whenIdle`; otherwise the finder's own. */
  readonly #infoSelector: Selector;
  readonly #resolver = new Resolver();
  readonly #disconnector: Disconnector;
  readonly #discovery: Discovery;
  readonly #cutQueue: CutQueue;
  readonly #escalation: Escalation;
  readonly #previous = pastWork<Target<HangUpOutcome>>();
  readonly #turns: Turns;
  #error = whyUnfinished();
  #hasWarned = false;

  constructor(selection: CompiledSelection, options: HangUpOptions, { diversion, areOut }: Circumstances) {
    const { dryRun, lingerMs = DEFAULT_LINGER_MS, finOnly, pacing, whenIdle, verify } = options;
    const { confirm, onWarning, repeat, signal } = options;
    const destroyAfterMs = dryRun ? undefined : options.destroyAfterMs;
    const waitMs = options.waitMs ?? (verify ? lingerMs + VERIFY_MARGIN_MS : undefined);
    this.#options = options;
    const [timer, resolver] = [this.#timer, this.#resolver];
    const finder = this.#finder = new Finder(selection);
    const { selector } = finder;
    // A dump with tcp_info takes the kernel longer, so only `whenIdle` asks for it.
    this.#infoSelector = whenIdle ? new Selector(selection, extension(INET_DIAG_INFO)) : selector;
    const lookUp = (connection: Connection) => selector.stateOf(connection);
    const disconnector = this.#disconnector = new Disconnector({ lingerMs, finOnly }, lookUp);
    const onPause = () => this.#reportProgress();
    const turns = this.#turns = new Turns({ signal, toleranceMs: repeat?.forMs, onPause, onWarning });
    const tools = { disconnector, resolver, turns };
    const escalation = this.#escalation = new Escalation({ ...tools, selector }, { destroyAfterMs, waitMs });
    const cutQueue = new CutQueue({ ...tools, selector: this.#infoSelector, escalation, timer }, options);
    this.#cutQueue = cutQueue;
    const confirmWithSummary = confirm && (async (found: readonly HeldConnection[]) => {
      const { summarizeInDetail } = await import("./list.ts");
      return confirm(found, () => summarizeInDetail(selection, found));
    });
    const beforeCuts = diversion && (() => diversion.arm());
    const endsAttempts = selection.namesAttempts || destroyAfterMs !== undefined;
    const given = { ...options, confirm: confirmWithSummary, beforeCuts, endsAttempts, areOut };
    const onlyFirstRound = pacing !== undefined || whenIdle !== undefined || confirm !== undefined;
    this.#discovery = new Discovery({ finder, resolver, cutQueue, escalation, timer }, given, onlyFirstRound);
  }

  /** Resumes the work of an earlier process that got stuck or was killed. */
  #resume(): void {
    for (const target of [...this.#previous.targets, ...this.#finishedByKilledProcess()]) {
      this.#discovery.connections.set(identityOf(target.connection), target);
      if (target.result !== null) this.#escalation.add(target);
    }
  }

  /** Returns the connections that the killed process was working on and that are closing or gone now. */
  #finishedByKilledProcess(): Target<HangUpOutcome>[] {
    const doubtful = doubtfulWork<Target<HangUpOutcome>>();
    if (doubtful.length === 0) return doubtful;
    const listed = this.#finder.selector.remaining(doubtful.map(({ connection }) => connection));
    const open = listed.filter((connection) => !isClosing(connection));
    const undone = new Set(open.map(identityOf));
    const done = doubtful.filter(({ connection }) => !undone.has(identityOf(connection)));
    for (const target of done) setOutcome(target, this.#options.destroy ? "destroyed" : "hung-up", null);
    return done;
  }

  async start(): Promise<HangUpReport> {
    const { connections } = this.#discovery;
    const { selector } = this.#finder;
    let gone: number | null = null;
    let incomplete: string[] = [];
    try {
      if (this.#error !== null || this.#interrupted) this.#turns.stop();
      this.#resume();
      await this.#work();
      this.#timer.time("select", () => {
        this.#disconnector.setOutcomeOfGoneMptcp(connections.values(), (some) => selector.remaining(some));
      });
      if (this.#isComplete) {
        gone = await this.#timer.timeAsync("wait", () => this.#escalation.waitAndReportLingering(connections));
      }
    } catch (error) {
      this.#error = errorForReport(error, connections.values());
    }
    try {
      incomplete = this.#finder.incomplete;
    } catch (error) {
      this.#error ??= errorForReport(error, connections.values());
    }
    for (const target of connections.values()) if (target.result === null) explainNotReached(target, this.#error);
    return this.#report(gone, incomplete);
  }

  /** Discovers connections and cuts them, round by round. The escalation has a loop of its own beside. */
  async #work(): Promise<void> {
    const [discovery, cutQueue, turns] = [this.#discovery, this.#cutQueue, this.#turns];
    try {
      const wait = (time: number) => this.#timer.timeAsync("wait", () => turns.until(time));
      for (let time = 0; time < Infinity && await wait(time); time = discovery.nextRound) {
        await turns.attempt(discovery, () => discovery.round());
        if (cutQueue.size > 0 && !this.#hasWarned) this.#warnOfOrphans();
        discovery.retryOwners(await cutQueue.cut(discovery.repeatAt));
      }
    } catch (error) {
      turns.stop({ error });
    }
    takeTime();
    await this.#timer.timeAsync("wait", () => this.#escalation.finish());
    turns.end();
  }

  /** Warns, before anything is touched, of connections that `destroyAfterMs` cannot abort. */
  #warnOfOrphans(): void {
    this.#hasWarned = true;
    const { destroyAfterMs, onWarning } = this.#options;
    const connections = [...this.#discovery.connections.values()].map(({ connection }) => connection);
    const [first] = connections;
    if (destroyAfterMs === undefined || first === undefined) return;
    const why = whyOrphansMayStay(this.#finder.selector.diagOf(first));
    const mptcp = connections.filter(({ protocol }) => protocol === "mptcp").length;
    if (why === null && mptcp === 0) return;
    const subject = why === null ? counted(mptcp, "MPTCP connection") : "connections";
    onWarning?.(`${subject} can be destroyed only while an application holds them: ${why ?? NOT_FOR_MPTCP}`);
  }

  #reportProgress(): void {
    const { total: matched } = this.#discovery.connections;
    this.#options.onProgress?.({ matched, waiting: this.#cutQueue.size, elapsedMs: this.#timer.elapsedMs });
  }

  get #interrupted(): boolean {
    return this.#previous.mode === MODE.interrupted || (this.#options.signal?.aborted ?? false);
  }

  /** `true` when all cuts were made, so that waiting for the connections to go makes sense. */
  get #isComplete(): boolean {
    return !this.#options.dryRun && !this.#interrupted && this.#error === null && this.#discovery.refused === null;
  }

  #report(gone: number | null, incomplete: string[]): HangUpReport {
    const table = this.#discovery.connections;
    const results = [...table.values()].map(resultOf);
    return {
      schema: 1,
      command: "hup",
      dryRun: this.#options.dryRun ?? false,
      ...countOutcomes(results, ["hungUp", "destroyed"], table.evicted),
      gone,
      refused: this.#discovery.refused,
      recovered: this.#discovery.recovered,
      maxReached: this.#discovery.maxReached,
      interrupted: this.#interrupted,
      error: this.#error,
      unreadableProcesses: this.#resolver.unreadable,
      unanswered: unanswered(),
      incomplete,
      elapsedMs: this.#timer.elapsedMs,
      phasesMs: this.#timer.phases,
      leftOut: table.total - table.size,
      diversion: null,
      results,
    };
  }

  close(): void {
    this.#disconnector.close();
    this.#finder.close();
    this.#infoSelector.close();
  }
}
