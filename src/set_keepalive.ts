// Sets keepalive on open connections: in rounds, until no new connection is found or, when watching, until it is
// aborted.

import { isUnresponsive } from "../ffi/progress.ts";
import { explainNoOwner, explainNotReached, retriesOwner, setOutcome, skipSubflow } from "./act/outcomes.ts";
import { Turns } from "./act/turns.ts";
import type { WatchAttachment } from "./attach/watch_attachment.ts";
import { ENDED, refusalText, withDuplicate } from "./socket/with_duplicate.ts";
import {
  type Connection,
  type Direction,
  handleOf,
  identityOf,
  type KeepaliveSettings,
  type RefusedOption,
} from "./model/connection.ts";
import {
  type KeepaliveChange,
  type KeepaliveOutcome,
  type KeepaliveResult,
  type Outcome,
  resultOf,
  type Target,
  targetOf,
} from "./model/result.ts";
import { PidfdCache } from "./socket/duplicate.ts";
import { pastWork, recordChange, recordFound, unanswered, whyUnfinished } from "./front/journal.ts";
import { MODE } from "./front/shared.ts";
import { type Change, change, plannedSettings, sameSettings } from "./socket/keepalive_change.ts";
import {
  ATTACHED_EVERY_MS,
  DEFAULT_EVERY_MS,
  type SetKeepaliveOptions,
  validateKeepaliveOptions,
  validateWatchOptions,
  type WatchKeepaliveOptions,
} from "./keepalive/set_options.ts";
import type { SocketPhase } from "./keepalive/socket_options.ts";
import { type DesiredKeepalive, KEEPALIVE_FIELDS, type KeepaliveValues, resolveValues } from "./keepalive/values.ts";
import { CLOSING, stateMask } from "./model/tcp_states.ts";
import { countOutcomes, errorForReport, PhaseTimer, type Report } from "./report/report.ts";
import { Resolver } from "./resolve/resolver.ts";
import { changeInPass, type Passed, worthPass } from "./resolve/keepalive_pass.ts";
import { Finder, MAX_ROUNDS } from "./resolve/finder.ts";
import { compileWithListeners } from "./select/listeners.ts";
import { DUMPS_BEFORE_GONE } from "./select/selector.ts";
import type { CompiledSelection } from "./select/compile_selection.ts";
import type { Selection } from "./select/selection.ts";
import { TransientErrors } from "./report/transient_errors.ts";
import { isTransientErrno } from "./linux/transient.ts";

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

/**
 * Sets keepalive on the selected connections from outside the programs that hold them, and reads it back. The caller
 * must be the same user as the owner, or have CAP_SYS_PTRACE. A connection that has the values already is not touched.
 * (Where the net_cls or net_prio controllers of cgroups v1 are in use, the kernel tags a duplicated socket as this
 * process's.)
 *
 * The event loop is blocked while sockets are listed and while it is read who holds them, twice at least: for some 0.4 s
 * with 10,000 connections. In between it has its turn every 0.1 s.
 *
 * @example Notice within 30 seconds when a database is gone
 * ```ts
 * import { setKeepalive } from "@tcphup/tcphup";
 *
 * const values = { idleS: 20, intervalS: 5, count: 2 };
 * const report = await setKeepalive({ dst: "192.0.2.10", dport: 5432 }, { values });
 * for (const { before, after } of report.results) console.log(before, after);
 * ```
 *
 * @returns The outcome of each connection. A connection on which keepalive could not be set is not an error.
 * @throws {UsageError} When an option is wrong, a value is out of the kernel's range, or options contradict each other.
 * When the selection is empty, malformed, or names something that is not there.
 * @throws {UnsupportedError} When the kernel cannot list sockets.
 * @throws {SyscallError} When a system call fails before anything was touched. A later failure is the report's `error`.
 * @throws {LibcUnavailableError} When libc cannot be loaded.
 */
export async function setKeepalive(selection: Selection, options: SetKeepaliveOptions = {}): Promise<KeepaliveReport> {
  validateKeepaliveOptions(options);
  return await setCompiled(compileWithListeners(selection, options.listeners ?? false), options);
}

/** Sets keepalive as `setKeepalive` does, on the connections of one direction alone when one is given. */
export async function setCompiled(
  selection: CompiledSelection,
  options: SetKeepaliveOptions,
  direction?: Direction,
): Promise<KeepaliveReport> {
  const setter = new Setter(selection, options, { direction });
  try {
    return await setter.once();
  } finally {
    setter.close();
  }
}

/** Returns the report of a run that leaves all open connections alone. */
export function reportNone(selection: CompiledSelection, options: SetKeepaliveOptions): KeepaliveReport {
  const setter = new Setter(selection, options);
  try {
    return setter.none();
  } finally {
    setter.close();
  }
}

/**
 * Sets keepalive on the selected connections and on those that are opened later, until `signal` is aborted or the caller
 * leaves the loop. A new connection may be without keepalive for up to `everyMs`; with `attach`, not at all where that can
 * be done. Each connection is set once by a round: changes by its application stay.
 *
 * The loop ends when `signal` is aborted, at the latest with the connection that is being set. Leaving the loop (`break`,
 * `return`, an exception) ends the watch too. Either way all that was opened is closed.
 *
 * Each round blocks the event loop while it lists sockets: for some 30 ms with 10,000. Where there are new connections, it
 * also blocks it while it reads who holds them.
 *
 * @example Set keepalive on all connections to a network, as they are opened
 * ```ts
 * import { watchKeepalive } from "@tcphup/tcphup";
 *
 * for await (const { connection, outcome } of watchKeepalive({ dst: "10.0.0.0/8" }, { onlyMissing: true })) {
 *   console.log(`${connection.dst.address}:${connection.dst.port}: ${outcome}`);
 * }
 * ```
 *
 * @returns Each connection on which keepalive was set, or could not be set, as that happens.
 * @throws {UsageError} At once, as `setKeepalive`. When the selection names a process, namespace, cgroup or container that
 * is not there, from the iteration.
 * @throws {UnsupportedError} From the iteration, when the kernel cannot list sockets.
 * @throws {SyscallError} From the iteration, when a system call fails in a way that does not pass.
 * @throws {LibcUnavailableError} When libc cannot be loaded.
 */
export function watchKeepalive(
  selection: Selection,
  options: WatchKeepaliveOptions = {},
): AsyncGenerator<KeepaliveResult, void> {
  validateWatchOptions(options);
  const compiled = compileWithListeners(selection, options.listeners ?? false);
  const attach = async () => {
    if (!options.attach || options.dryRun) return "not asked for";
    const { attachForWatch } = await import("./attach/watch_attachment.ts");
    return attachForWatch(selection, compiled, desiredKeepalive(options), options.onEnd !== undefined);
  };
  return watch(new Setter(compiled, options, { isWatching: true }), attach, options.onEnd);
}

async function* watch(
  setter: Setter,
  attach: () => Promise<WatchAttachment | string>,
  onEnd: WatchKeepaliveOptions["onEnd"],
): AsyncGenerator<KeepaliveResult, void> {
  let attached: WatchAttachment | string = "";
  try {
    // Before the first list, so that nothing is missed between the two.
    attached = await attach();
    yield* setter.forever(attached);
  } finally {
    try {
      if (typeof attached !== "string") onEnd?.(attached.program.counters());
    } finally {
      if (typeof attached !== "string") attached.program.close();
      setter.close();
    }
  }
}

/** The outcomes that watchKeepalive() does not yield: nothing was changed, and nothing had to be. */
const NOT_YIELDED: readonly Outcome[] = ["unchanged", "skipped", "already-gone"];

/** A connection whose keepalive is to be set. */
interface KeepaliveTarget extends Target<KeepaliveOutcome> {
  change: KeepaliveChange;
  /** Whether it was made after the first list of a watch. */
  isNew?: boolean;
}

const NO_CHANGE: KeepaliveChange = { before: null, after: null, refused: [] };

/** One run, or one watch, over the connections of a selection. */
class Setter {
  readonly #options: WatchKeepaliveOptions;
  /** The direction of the connections to set; undefined for both. */
  readonly #direction: Direction | undefined;
  readonly #desired: DesiredKeepalive;
  readonly #finder: Finder;
  readonly #resolver = new Resolver();
  readonly #pidfds: PidfdCache;
  readonly #timer = new PhaseTimer();
  readonly #previous = pastWork<KeepaliveTarget>();
  /** `true` for a watch: connections that are not yet accepted are left for a later round. */
  readonly #isWatching: boolean;
  /** The connections that are done, by identity, each with the last round that saw it. */
  readonly #done = new Map<string, number>();
  /** The connections that waited to be accepted when a watch began, by identity. */
  readonly #notAcceptedAtStart = new Set<string>();
  /** The connections whose owners have to be looked up again, by identity. */
  readonly #retryOwners = new Map<string, KeepaliveTarget>();
  /** What the last pass has done. */
  #passed: ReadonlyMap<Connection, Passed> = new Map();
  readonly #turns: Turns;
  #rounds = 0;
  readonly #transientErrors: TransientErrors;

  constructor(
    selection: CompiledSelection,
    options: WatchKeepaliveOptions,
    { isWatching = false, direction }: { isWatching?: boolean; direction?: Direction } = {},
  ) {
    this.#options = options;
    this.#direction = direction;
    this.#isWatching = isWatching;
    this.#transientErrors = new TransientErrors(options.onWarning);
    this.#turns = new Turns({ signal: options.signal });
    if (this.#previous.mode === MODE.interrupted) this.#turns.stop();
    this.#desired = desiredKeepalive(options);
    this.#finder = new Finder(selection);
    this.#pidfds = new PidfdCache((connection) => this.#finder.selector.stateOf(connection));
  }

  none(): KeepaliveReport {
    return this.#report([], null, []);
  }

  async once(): Promise<KeepaliveReport> {
    const { targets: before, mode } = this.#previous;
    const known = new Map(before.map((target) => [identityOf(target.connection), target]));
    for (const identity of known.keys()) this.#done.set(identity, Infinity);
    let error = whyUnfinished();
    let incomplete: string[] = [];
    try {
      for (let round = 1; round <= MAX_ROUNDS && mode === MODE.work; round++) {
        const found = this.#nextRound();
        if (found.length === 0) break;
        for (const target of found) known.set(identityOf(target.connection), target);
        if (!this.#options.dryRun) recordFound(found);
        await this.#timer.timeAsync("act", () => this.#setAll(found));
        if (this.#options.dryRun || this.#interrupted) break;
      }
    } catch (thrown) {
      error = errorForReport(thrown, known.values());
    }
    try {
      incomplete = this.#finder.incomplete;
    } catch (thrown) {
      error ??= errorForReport(thrown, known.values());
    }
    for (const target of known.values()) if (target.result === null) this.#explainUnset(target, error);
    return this.#report([...known.values()].map(keepaliveResultOf), error, incomplete);
  }

  #explainUnset(target: KeepaliveTarget, error: string | null): void {
    const isReached = !this.#interrupted && error === null && !isUnresponsive(handleOf(target.connection));
    if (isReached) explainNoOwner(target, this.#resolver.unreadable);
    else explainNotReached(target, this.#interrupted ? null : error);
  }

  /** @param attached The program that sets new connections, or why there is none. */
  async *forever(attached: WatchAttachment | string): AsyncGenerator<KeepaliveResult, void> {
    const isAttached = typeof attached !== "string";
    const reachesAll = isAttached && attached.reachesAll;
    const { everyMs = reachesAll ? ATTACHED_EVERY_MS : DEFAULT_EVERY_MS, onRound, onStart } = this.#options;
    onStart?.({ notAttached: isAttached ? null : attached, everyMs });
    for (let next = 0; await this.#turns.until(next);) {
      const start = performance.now();
      const found = this.#tolerate(() => this.#nextRound()) ?? [];
      // A retried connection whose values are as wanted may have been set by an attempt that failed at reading them back.
      const retried = new Set(found.filter(({ result, trouble }) => result === null && trouble !== null));
      this.#tolerate(() => this.#pass(found));
      for (const target of found) {
        if (!await this.#turns.until(0)) return;
        this.#tolerate(() => this.#set(target));
        if (isAttached && this.#wasSetAsMade(target)) {
          target.change = { ...target.change, before: null };
          setOutcome(target, "keepalive-set", "attached", "as it was made");
        }
        if (target.result === null || (!retried.has(target) && NOT_YIELDED.includes(target.result.outcome))) continue;
        yield keepaliveResultOf(target);
      }
      const incomplete = this.#tolerate(() => this.#finder.incomplete);
      this.#transientErrors.endAttempt();
      if (incomplete) onRound?.(incomplete);
      // The pause is as long as the work, so that a flood of new connections takes at most half of a processor.
      const end = performance.now();
      next = end + Math.max(everyMs, end - start);
    }
  }

  /** Tells whether a connection has the values, and an attached program was there to set them as it was made. */
  #wasSetAsMade({ connection, result, isNew = false, change: { after } }: KeepaliveTarget): boolean {
    if (!isNew || result?.outcome !== "unchanged" || after === null) return false;
    if (connection.protocol !== "tcp" || connection.state === "LISTEN") return false;
    return sameSettings(after, plannedSettings(after, this.#desired, phaseOf(connection)));
  }

  /** Returns the result of `work`; undefined after a transient error. */
  #tolerate<T>(work: () => T): T | undefined {
    try {
      return work();
    } catch (error) {
      this.#transientErrors.tolerate(error);
    }
  }

  /** Returns the connections to set in this round: new ones, and those whose owners had to be looked up again. */
  #nextRound(): KeepaliveTarget[] {
    const found = this.#timer.time("select", () => this.#select());
    if (found.length === 0) return found;
    const options = { exhaustive: this.#options.dryRun, known: this.#finder.owners };
    const held = found.filter(({ result }) => result === null);
    this.#timer.time("resolve", () => this.#resolver.resolve(held, options));
    // A process id may be another process's by now.
    this.#pidfds.close();
    return found;
  }

  #select(): KeepaliveTarget[] {
    const round = this.#rounds + 1;
    const missing = new Map(this.#retryOwners);
    const isDone = (identity: string) => {
      if (!this.#done.has(identity)) return false;
      this.#done.set(identity, round);
      return true;
    };
    const listed = this.#directed(round === 1 ? this.#finder.find() : this.#finder.findNew(isDone));
    this.#rounds = round;
    const found: KeepaliveTarget[] = [];
    for (const connection of listed) {
      const identity = identityOf(connection);
      missing.delete(identity);
      if (isDone(identity)) continue;
      if (this.#isWatching && mayBeAccepted(connection)) {
        if (round === 1) this.#notAcceptedAtStart.add(identity);
        continue;
      }
      const isNew = round > 1 && !this.#notAcceptedAtStart.delete(identity);
      const retried = this.#retryOwners.get(identity);
      if (retried) found.push(Object.assign(retried, { connection, owners: [] }));
      else found.push({ ...targetOf(connection), change: NO_CHANGE, isNew });
    }
    this.#forgetGone();
    for (const [identity, target] of missing) {
      this.#retryOwners.delete(identity);
      setOutcome(target, "already-gone", "gone", ENDED);
      found.push(target);
    }
    return found;
  }

  /** Returns the connections of the wanted direction. */
  #directed(connections: Connection[]): Connection[] {
    const direction = this.#direction;
    if (direction === undefined || connections.length === 0) return connections;
    const isListening = this.#finder.selector.listening();
    const isWanted = ({ netns, src }: Connection) => isListening(netns, src.port) === (direction === "accepted");
    return connections.filter(isWanted);
  }

  /** Forgets the connections that are gone. */
  #forgetGone(): void {
    for (const [identity, round] of this.#done) {
      if (round <= this.#rounds - DUMPS_BEFORE_GONE) this.#done.delete(identity);
    }
  }

  /** Sets keepalive on many connections at once, where that can be done and pays. */
  #pass(targets: readonly KeepaliveTarget[]): void {
    const open = targets.filter(({ result, connection }) => result === null && !isAbandoned(connection));
    const { selector } = this.#finder;
    this.#passed = changeInPass(worthPass(open), this.#desired, phaseOf, selector, this.#options.dryRun ?? false);
    // Most have the same change, which is recorded once.
    const groups = new Map<string, KeepaliveTarget[]>();
    for (const target of open) {
      const passed = this.#passed.get(target.connection);
      if (passed === undefined || !("change" in passed)) continue;
      noteChange(target, passed.change);
      const key = JSON.stringify(target.change);
      const group = groups.get(key);
      if (group === undefined) groups.set(key, [target]);
      else group.push(target);
    }
    for (const group of groups.values()) {
      recordChange(group, { change: group[0]!.change });
      for (const target of group) this.#set(target);
    }
  }

  async #setAll(targets: readonly KeepaliveTarget[]): Promise<void> {
    if (await this.#turns.until(0)) this.#pass(targets);
    for (const target of targets) {
      if (target.result !== null) continue;
      if (await this.#turns.until(0)) this.#set(target);
      else explainNotReached(target, null);
    }
  }

  /** Sets keepalive on a connection. Leaves it without a result when its owners have to be looked up again. */
  #set(target: KeepaliveTarget): void {
    if (target.result !== null) return;
    target.trouble = null;
    this.#attempt(target);
    const identity = identityOf(target.connection);
    if (target.result === null) this.#retryOwner(identity, target);
    else this.#setDone(identity);
  }

  #attempt(target: KeepaliveTarget): void {
    const { connection } = target;
    if (connection.subflowOf !== undefined) return skipSubflow(target, connection.subflowOf);
    if (isAbandoned(connection)) {
      return setOutcome(target, "already-gone", "closing", `closed by its application: in ${connection.state}`);
    }
    const passed = this.#passed.get(connection);
    if (passed !== undefined && "change" in passed) return this.#setChangeOutcome(target, passed.change);
    if (passed !== undefined) target.change = { before: passed.before, after: null, refused: [] };
    const used = withDuplicate(this.#pidfds, target, ({ descriptor }) => {
      return change(descriptor, this.#desired, phaseOf(connection), this.#options.dryRun);
    });
    if (used === null) return;
    if ("value" in used) {
      noteChange(target, used.value);
      recordChange([target], { change: target.change });
      return this.#setChangeOutcome(target, used.value);
    }
    if (used.transient) return this.#putOff(target, refusalText(used));
    setOutcome(target, used.outcome, used.reason, refusalText(used));
  }

  /** Leaves the connection for another attempt. */
  #putOff(target: KeepaliveTarget, trouble: string): void {
    target.trouble = trouble;
    this.#transientErrors.note(trouble);
  }

  #setChangeOutcome(target: KeepaliveTarget, { after, refused, unmet, keptByApplication }: Change): void {
    const refusal = refused.length > 0 ? refusedText(refused) : null;
    const reason = refusal === null ? null : "refused";
    if (keptByApplication) setOutcome(target, "unchanged", "kept", "its application has keepalive on");
    else if (unmet.length > 0 && this.#isWatching && refused.some(({ error }) => isTransientErrno(error))) {
      this.#putOff(target, refusal!);
    } else if (unmet.length > 0) {
      setOutcome(target, "failed", reason ?? "no-effect", `${refusal ?? NO_EFFECT}: ${stateText(after, unmet)}`);
    } else if (sameSettings(target.change.before!, after)) setOutcome(target, "unchanged", reason, refusal);
    else if (this.#options.dryRun) setOutcome(target, "would-set-keepalive", null);
    else setOutcome(target, "keepalive-set", reason, refusal);
  }

  /** Has the owners of a connection looked up again, unless the attempts are used up. */
  #retryOwner(identity: string, target: KeepaliveTarget): void {
    const mayPass = this.#isWatching && target.trouble !== null;
    if (retriesOwner(target, mayPass, this.#resolver.unreadable)) this.#retryOwners.set(identity, target);
    else this.#setDone(identity);
  }

  #setDone(identity: string): void {
    this.#retryOwners.delete(identity);
    this.#done.set(identity, this.#rounds);
  }

  get #interrupted(): boolean {
    return this.#turns.signal.aborted;
  }

  #report(results: KeepaliveResult[], error: string | null, incomplete: string[]): KeepaliveReport {
    const { values } = this.#desired;
    return {
      schema: 1,
      command: "keepalive",
      dryRun: this.#options.dryRun ?? false,
      values: values === "off" ? null : values,
      ...countOutcomes(results, ["keepaliveSet", "unchanged"]),
      interrupted: this.#interrupted,
      error,
      unreadableProcesses: this.#resolver.unreadable,
      unanswered: unanswered(),
      incomplete,
      elapsedMs: this.#timer.elapsedMs,
      phasesMs: this.#timer.phases,
      results,
    };
  }

  close(): void {
    this.#pidfds.close();
    this.#finder.close();
  }
}

function noteChange(target: KeepaliveTarget, { before, after, refused }: Change): void {
  // An earlier attempt may have set some of the values.
  target.change = { before: target.change.before ?? before, after, refused };
}

function keepaliveResultOf(target: KeepaliveTarget): KeepaliveResult {
  return { ...resultOf(target), ...target.change };
}

/** Returns the keepalive that checked options ask for. */
export function desiredKeepalive({ values, off, onlyMissing }: SetKeepaliveOptions): DesiredKeepalive {
  return off ? { values: "off" } : { values: resolveValues(values).values, onlyMissing };
}

function phaseOf({ state }: Connection): SocketPhase {
  return state === "LISTEN" ? "listen" : state === "SYN-SENT" ? "connect" : "established";
}

function isClosing({ state }: Connection): boolean {
  return (stateMask(state) & CLOSING) !== 0;
}

/** Tells whether the application has closed the connection. */
function isAbandoned(connection: Connection): boolean {
  return connection.inode === 0 && isClosing(connection);
}

/** Tells whether the application may yet accept the connection. */
function mayBeAccepted(connection: Connection): boolean {
  return connection.inode === 0 && !isClosing(connection);
}

function refusedText(refused: readonly RefusedOption[]): string {
  return `the kernel refused ${refused.map(({ option, error }) => `${option} (${error})`).join(", ")}`;
}

const NO_EFFECT = "the kernel took what it did not set";

/** Words the settings of a socket that are not as wanted: `keepalive is on, idle 7200 seconds`. */
function stateText(after: KeepaliveSettings, unmet: Change["unmet"]): string {
  const values = unmet.filter((name) => name !== "enabled").map((name) => {
    const { label, unit } = KEEPALIVE_FIELDS[name];
    return `${label} ${after[name]} ${unit}`;
  });
  return [`keepalive is ${after.enabled ? "on" : "off"}`, ...values].join(", ");
}
