// Keepalive for connections that are open already: select, resolve, set, and again until nothing new is found; or, when
// watching, for as long as it is wanted.

import { host } from "../ffi/deno.ts";
import { isUnresponsive } from "../ffi/progress.ts";
import { ENDED, explainNoOwner, ownerName, setOutcome } from "./act/disconnect.ts";
import { UNRESPONSIVE, withDuplicate } from "./socket/with_duplicate.ts";
import {
  type Connection,
  handleOf,
  identityOf,
  type KeepaliveSettings,
  type Outcome,
  type RefusedOption,
} from "./model/connection.ts";
import { PidfdCache } from "./socket/duplicate.ts";
import { pastWork, recordChange, recordFound, unanswered, whyUnfinished } from "./front/journal.ts";
import { MODE } from "./front/shared.ts";
import { type Change, change, type DesiredKeepalive, sameSettings } from "./socket/keepalive_change.ts";
import type { SocketPhase } from "./keepalive/socket_options.ts";
import { type GivenValues, KEEPALIVE_FIELDS, type KeepaliveValues, resolveValues } from "./keepalive/values.ts";
import { CLOSING, stateMask } from "./model/tcp_states.ts";
import { countOutcomes, errorForReport, INTERRUPTED, type Phases, PhaseTimer } from "./report/report.ts";
import { Resolver } from "./resolve/resolver.ts";
import { Finder } from "./resolve/finder.ts";
import { compileWithListeners } from "./select/listeners.ts";
import type { Selection } from "./select/criteria.ts";
import { sleep } from "../ffi/sleep.ts";
import { TransientErrors } from "./report/transient_errors.ts";
import { isTransientErrno, UsageError } from "./model/errors.ts";

/** What to set, and on what. */
export interface SetKeepaliveOptions {
  /**
   * What keepalive is to be. A value that is not given takes libkeepalive's default (idle 15 s, interval 15 s, count 9,
   * a user timeout to match); 0 leaves the one that the socket has.
   */
  values?: GivenValues;
  /** Turn SO_KEEPALIVE off instead, and leave everything else. */
  off?: boolean;
  /**
   * Never override what an application chose: a socket on which SO_KEEPALIVE is on is left as it is, whatever its
   * values, and of the others one that has a user timeout keeps that.
   */
  only_missing?: boolean;
  /**
   * Also set listening sockets, so that what they accept from then on has the values from its first moment. A listener
   * has no peer, so the selection must say `any` of the peer, and choose by this host's end or by processes.
   */
  listeners?: boolean;
  /** Find out what would be done, and touch nothing. */
  dry_run?: boolean;
  /** Stops between two connections. */
  signal?: AbortSignal;
}

/** How to go on looking. */
export interface WatchKeepaliveOptions extends SetKeepaliveOptions {
  /** How long to wait between two looks. Default 1000. */
  every_ms?: number;
  /** Called after each look, with why connections may have been missed. */
  on_look?: (unseen: readonly string[]) => void;
  /**
   * Called with a line for people when something fails that may succeed a moment later (a host short of memory or
   * descriptors), and when that has passed. It is tried again at the next look.
   */
  on_trouble?: (text: string) => void;
}

/** What became of the selected connections. */
export interface KeepaliveReport {
  /** The version of this document's keys. */
  readonly schema: 1;
  /** Tells the documents of the commands apart. */
  readonly command: "keepalive";
  /** Whether nothing was to be touched. */
  readonly dry_run: boolean;
  /** What was to be set, 0 standing for what each socket had; null when keepalive was to be turned off. */
  readonly values: KeepaliveValues | null;
  /** How many connections, and listeners, were selected: the sum of the counts that follow. */
  matched: number;
  /** On how many something was changed, and all of it reads back as wanted. */
  keepalive_set: number;
  /** How many had what was wanted, or were left to their application. */
  unchanged: number;
  /** How many had ended by themselves. */
  already_gone: number;
  /** How many were protected, or left alone on request. */
  skipped: number;
  /** No owner, denied, unsupported or failed: each connection says which, and why. */
  failed: number;
  /** In a dry run: on how many something would be changed. */
  would_act?: number;
  /** Whether the caller ended it early. */
  interrupted: boolean;
  /** What broke when something was done already, so that it ended early; null when nothing did. */
  error: string | null;
  /** How many processes this user may not look into. */
  unreadable_processes: number;
  /** Processes that did not answer, blocked in the kernel, and so were left out. */
  unanswered: string[];
  /** Why connections may have been missed: namespaces and processes that may not be looked into, each named. */
  unseen: string[];
  /** Milliseconds from beginning to end. */
  elapsed_ms: number;
  /** How much of that was spent on what. */
  phases_ms: Phases;
  /** Each has what it was set to `before` and `after`, and which options the kernel `refused`. */
  connections: Connection[];
}

/** How often to look again for connections that appeared meanwhile, at most. */
const MAX_ROUNDS = 5;
/** How often to look again for the holder of one connection. */
const MAX_OWNER_ATTEMPTS = 3;
/** How long to work before the event loop gets to see whether a signal has come. */
const SLICE_MS = 100;
/** How often to look when nothing else is said. */
export const DEFAULT_EVERY_MS = 1000;
/** A dump of many sockets may miss one, so it takes two to say that a connection is gone. */
const MISSED_OFTEN = 2;

/**
 * Sets keepalive on the selected connections from outside the programs that hold them, and reads it back. It needs to be
 * the same user as the owner, or CAP_SYS_PTRACE. A connection that has what is wanted is not touched. (Where the net_cls
 * or net_prio controllers of cgroups v1 are in use, the kernel tags a socket that is looked into as this process's.)
 *
 * @example Notice within 30 seconds when a database is gone
 * ```ts
 * import { setKeepalive } from "@tcphup/tcphup";
 *
 * const report = await setKeepalive({ dst: "192.0.2.10", dport: 5432 }, { values: { idle_s: 20, interval_s: 5, count: 2 } });
 * for (const { before, after } of report.connections) console.log(before, after);
 * ```
 *
 * @returns What became of each connection. One on which it could not be set is no error.
 * @throws {UsageError} When the selection is empty, malformed, or names something that is not there; when a value is out of
 * the kernel's range.
 * @throws {Unsupported} Where the kernel cannot list sockets.
 */
export async function setKeepalive(selection: Selection, options: SetKeepaliveOptions = {}): Promise<KeepaliveReport> {
  const setter = new Setter(selection, options);
  try {
    return await setter.once();
  } finally {
    setter.close();
  }
}

/**
 * Sets keepalive on the selected connections and on those that are opened later, until `signal` ends it. It looks for new
 * ones every so often, so a connection may live for that long without. Each is set once: what its application does to it
 * afterwards stays.
 *
 * @example Keep everything to a service supervised
 * ```ts
 * import { watchKeepalive } from "@tcphup/tcphup";
 *
 * for await (const { src, dst, outcome } of watchKeepalive({ dst: "10.0.0.0/8" }, { only_missing: true })) {
 *   console.log(`${src.address}:${src.port} to ${dst.address}:${dst.port}: ${outcome}`);
 * }
 * ```
 *
 * @returns Each connection on which keepalive was set, or could not be set, as that happens.
 * @throws As `setKeepalive`.
 */
export async function* watchKeepalive(
  selection: Selection,
  options: WatchKeepaliveOptions = {},
): AsyncGenerator<Connection, void> {
  const setter = new Setter(selection, options, true);
  try {
    yield* setter.forever();
  } finally {
    setter.close();
  }
}

/** Outcomes that nobody who watches waits for: nothing has changed, and nothing was to. */
const NO_NEWS: readonly (Outcome | null)[] = [null, "unchanged", "skipped", "already-gone"];

class Setter {
  readonly #options: WatchKeepaliveOptions;
  readonly #desired: DesiredKeepalive;
  readonly #finder: Finder;
  readonly #resolver = new Resolver();
  readonly #pidfds: PidfdCache;
  readonly #timer = new PhaseTimer();
  readonly #past = pastWork();
  /** Whether to leave what is not yet accepted for a later look. */
  readonly #isWatching: boolean;
  /** Those that are done with, by identity, and the look in which each was seen last. */
  readonly #done = new Map<string, number>();
  /** Those whose holder has to be looked for again, and how often it was. */
  readonly #retryOwners = new Map<string, { connection: Connection; ownerAttempts: number }>();
  #looks = 0;
  #sliceEnd = 0;
  readonly #transientErrors: TransientErrors;

  constructor(selection: Selection, options: WatchKeepaliveOptions, isWatching = false) {
    this.#options = options;
    this.#isWatching = isWatching;
    this.#transientErrors = new TransientErrors(options.on_trouble);
    this.#desired = desiredKeepalive(options);
    this.#finder = new Finder(compileWithListeners(selection, options.listeners ?? false));
    this.#pidfds = new PidfdCache((connection) => this.#finder.selector.stateOf(connection));
  }

  async once(): Promise<KeepaliveReport> {
    const { connections: before, mode } = this.#past;
    const known = new Map(before.map((connection) => [identityOf(connection), connection]));
    for (const identity of known.keys()) this.#done.set(identity, Infinity);
    let error = whyUnfinished();
    let unseen: string[] = [];
    try {
      for (let round = 1; round <= MAX_ROUNDS && mode === MODE.work; round++) {
        const found = this.#look();
        if (found.length === 0) break;
        for (const connection of found) known.set(identityOf(connection), connection);
        if (!this.#options.dry_run) recordFound(found);
        await this.#timer.timeAsync("act", () => this.#setAll(found));
        if (this.#options.dry_run || this.#interrupted) break;
      }
    } catch (thrown) {
      error = errorForReport(thrown, known.values());
    }
    try {
      unseen = this.#finder.incomplete;
    } catch (thrown) {
      error ??= errorForReport(thrown, known.values());
    }
    const connections = [...known.values()];
    for (const connection of connections) if (connection.outcome === null) this.#setRemainingOutcome(connection, error);
    return this.#report(connections, error, unseen);
  }

  #setRemainingOutcome(connection: Connection, error: string | null): void {
    if (isUnresponsive(handleOf(connection))) setOutcome(connection, "failed", `its owner ${UNRESPONSIVE}`);
    else if (this.#interrupted) setOutcome(connection, "skipped", INTERRUPTED);
    else if (error !== null) setOutcome(connection, "failed", `not reached: ${error}`);
    else explainNoOwner(connection, this.#resolver.unreadable);
  }

  async *forever(): AsyncGenerator<Connection, void> {
    const { every_ms = DEFAULT_EVERY_MS, on_look, signal } = this.#options;
    while (!this.#interrupted) {
      const start = performance.now();
      for (const connection of this.#tolerate(() => this.#look()) ?? []) {
        await this.#yieldToSignals();
        if (this.#interrupted) return;
        // What is as wanted now may have been set by an attempt that failed when it read that back.
        const isRetried = typeof this.#retryOwners.get(identityOf(connection))?.connection.error === "string";
        this.#tolerate(() => this.#set(connection));
        if (isRetried ? connection.outcome !== null : !NO_NEWS.includes(connection.outcome)) yield connection;
      }
      const unseen = this.#tolerate(() => this.#finder.incomplete);
      this.#transientErrors.endAttempt();
      if (unseen) on_look?.(unseen);
      // Whoever opens connections as fast as he can gets half of a processor's time at the most.
      await sleep(Math.max(every_ms, performance.now() - start), signal);
    }
  }

  /** What comes of some work; undefined where it failed and the next look may make that good. */
  #tolerate<T>(work: () => T): T | undefined {
    try {
      return work();
    } catch (error) {
      this.#transientErrors.tolerate(error);
    }
  }

  /** The connections that are to be set now: new ones, and those whose holder has to be looked for again. */
  #look(): Connection[] {
    const found = this.#timer.time("select", () => this.#select());
    if (found.length === 0) return found;
    const options = { exhaustive: this.#options.dry_run, known: this.#finder.owners };
    const held = found.filter(({ outcome }) => outcome === null);
    this.#timer.time("resolve", () => this.#resolver.resolve(held, options));
    // A number may be another process's by now.
    this.#pidfds.close();
    return found;
  }

  #select(): Connection[] {
    const look = this.#looks + 1;
    const sought = new Map(this.#retryOwners);
    const isDone = (identity: string) => {
      if (!this.#done.has(identity)) return false;
      this.#done.set(identity, look);
      return true;
    };
    const listed = look === 1 ? this.#finder.find() : this.#finder.findNew(isDone);
    this.#looks = look;
    const found = listed.filter((connection) => {
      const identity = identityOf(connection);
      sought.delete(identity);
      return !isDone(identity) && !(this.#isWatching && mayBeAccepted(connection));
    });
    this.#forget();
    for (const [identity, { connection }] of sought) {
      this.#retryOwners.delete(identity);
      setOutcome(connection, "already-gone", ENDED);
      found.push(connection);
    }
    return found;
  }

  /** Lets go of those that are gone. */
  #forget(): void {
    for (const [identity, look] of this.#done) {
      if (look <= this.#looks - MISSED_OFTEN) this.#done.delete(identity);
    }
  }

  async #setAll(connections: readonly Connection[]): Promise<void> {
    for (const connection of connections) {
      await this.#yieldToSignals();
      if (this.#interrupted && connection.outcome === null) setOutcome(connection, "skipped", INTERRUPTED);
      else this.#set(connection);
    }
  }

  /** Leaves the outcome null where the holder has to be looked for again. */
  #set(connection: Connection): void {
    if (connection.outcome !== null) return;
    connection.before = connection.after = null;
    connection.refused = [];
    this.#attempt(connection);
    const identity = identityOf(connection);
    if (connection.outcome === null) return this.#retryOwner(identity, connection);
    this.#retryOwners.delete(identity);
    this.#done.set(identity, this.#looks);
  }

  #attempt(connection: Connection): void {
    if (connection.subflow_of !== undefined) {
      const reason = `a subflow of the MPTCP connection to ${connection.subflow_of}, which was not selected`;
      return setOutcome(connection, "skipped", reason);
    }
    if (isAbandoned(connection)) {
      return setOutcome(connection, "already-gone", `closed by its application: in ${connection.state}`);
    }
    const result = withDuplicate(this.#pidfds, connection, (socket) => {
      return change(socket, this.#desired, phaseOf(connection), this.#options.dry_run);
    });
    if (result === null) return;
    if (result === "ended") return setOutcome(connection, "already-gone", ENDED);
    if ("value" in result) return this.#setChangeOutcome(connection, result.value);
    const { refusal, owner } = result;
    const reason = `${ownerName(owner)}: ${refusal.error}`;
    if (!refusal.transient) return setOutcome(connection, refusal.outcome, reason);
    this.#putOff(connection, reason);
  }

  /** Has the connection tried again. */
  #putOff(connection: Connection, reason: string): void {
    connection.error = reason;
    this.#transientErrors.note(reason);
  }

  #setChangeOutcome(connection: Connection, change: Change): void {
    const { after, refused, unmet, keptByApplication } = change;
    // An earlier attempt has perhaps set some of it.
    const before = this.#retryOwners.get(identityOf(connection))?.connection.before ?? change.before;
    Object.assign(connection, { before, after, refused });
    recordChange(connection, { before, after, refused });
    const refusal = refused.length > 0 ? refusedText(refused) : null;
    if (keptByApplication) setOutcome(connection, "unchanged", "its application has keepalive on");
    else if (unmet.length > 0 && this.#isWatching && refused.some(({ error }) => isTransientErrno(error))) {
      this.#putOff(connection, refusal!);
    } else if (unmet.length > 0) {
      setOutcome(connection, "failed", `${refusal ?? NO_EFFECT}: ${stateText(after, unmet)}`);
    } else if (sameSettings(before, after)) setOutcome(connection, "unchanged", refusal);
    else if (this.#options.dry_run) setOutcome(connection, "would-set-keepalive");
    else setOutcome(connection, "keepalive-set", refusal);
  }

  /** Has the holder looked for again, unless that was in vain often enough. */
  #retryOwner(identity: string, connection: Connection): void {
    const ownerAttempts = (this.#retryOwners.get(identity)?.ownerAttempts ?? 0) + 1;
    const mayPass = this.#isWatching && connection.error !== null;
    if (ownerAttempts < MAX_OWNER_ATTEMPTS || mayPass) {
      return void this.#retryOwners.set(identity, { connection, ownerAttempts });
    }
    this.#retryOwners.delete(identity);
    this.#done.set(identity, this.#looks);
    explainNoOwner(connection, this.#resolver.unreadable);
  }

  /** Lets the event loop deliver a signal now and then. */
  async #yieldToSignals(): Promise<void> {
    if (performance.now() < this.#sliceEnd) return;
    if (this.#sliceEnd !== 0) await host.yieldToEvents();
    this.#sliceEnd = performance.now() + SLICE_MS;
  }

  get #interrupted(): boolean {
    return this.#past.mode === MODE.interrupted || (this.#options.signal?.aborted ?? false);
  }

  #report(connections: Connection[], error: string | null, unseen: string[]): KeepaliveReport {
    const { values } = this.#desired;
    return {
      schema: 1,
      command: "keepalive",
      dry_run: this.#options.dry_run ?? false,
      values: values === "off" ? null : values,
      ...countOutcomes(connections, ["keepalive_set", "unchanged"]),
      interrupted: this.#interrupted,
      error,
      unreadable_processes: this.#resolver.unreadable,
      unanswered: unanswered(),
      unseen,
      elapsed_ms: this.#timer.elapsed_ms,
      phases_ms: this.#timer.phases,
      connections,
    };
  }

  close(): void {
    this.#pidfds.close();
    this.#finder.close();
  }
}

function desiredKeepalive({ values, off, only_missing }: SetKeepaliveOptions): DesiredKeepalive {
  if (!off) return { values: resolveValues(values).values, only_missing };
  if (values !== undefined) throw new UsageError("Keepalive cannot be turned off and given values at once");
  if (only_missing) throw new UsageError("Keepalive cannot be turned off only where it is missing");
  return { values: "off" };
}

function phaseOf({ state }: Connection): SocketPhase {
  return state === "LISTEN" ? "listen" : state === "SYN-SENT" ? "connect" : "established";
}

function isClosing({ state }: Connection): boolean {
  return (stateMask(state) & CLOSING) !== 0;
}

/** Whether no application holds the connection any more. */
function isAbandoned(connection: Connection): boolean {
  return connection.inode === 0 && isClosing(connection);
}

/** Whether no application holds the connection yet. */
function mayBeAccepted(connection: Connection): boolean {
  return connection.inode === 0 && !isClosing(connection);
}

function refusedText(refused: readonly RefusedOption[]): string {
  return `the kernel refused ${refused.map(({ option, error }) => `${option} (${error})`).join(", ")}`;
}

const NO_EFFECT = "the kernel took what it did not set";

/** Says what a socket is set to now where it is not as wanted: `keepalive is on, idle 7200 seconds`. */
function stateText(after: KeepaliveSettings, unmet: Change["unmet"]): string {
  const values = unmet.filter((name) => name !== "enabled").map((name) => {
    const { label, unit } = KEEPALIVE_FIELDS[name];
    return `${label} ${after[name]} ${unit}`;
  });
  return [`keepalive is ${after.enabled ? "on" : "off"}`, ...values].join(", ");
}
