// Follows names, or a file of live addresses: hangs up on the connections to addresses that have left.
//
// Two loops run side by side, so that a resolver that does not answer delays no cut: one asks for the live addresses, the
// other looks for connections to what has left. Runs of hangUp() that take their time run beside both.

import { sleep } from "../ffi/sleep.ts";
import { DEFAULT_LINGER_MS } from "./act/hang_up_options.ts";
import { Departures } from "./follow/departures.ts";
import { Endings } from "./follow/endings.ts";
import { checkFollow, FOLLOW_DEFAULTS, type FollowOptions, passedOn } from "./follow/follow_options.ts";
import { LiveFile } from "./follow/live_file.ts";
import { Lookups } from "./follow/lookups.ts";
import { findAccepting } from "./follow/probe.ts";
import { Steering } from "./follow/steering.ts";
import type { Look, Source } from "./follow/source.ts";
import { forgetPastWork, liveBefore, pastWork, recordLive, whyUnfinished } from "./front/journal.ts";
import { MODE } from "./front/shared.ts";
import { hangUpOnDeparted } from "./hang_up.ts";
import { type Connection, identityOf } from "./model/connection.ts";
import type { HangUpOutcome } from "./model/result.ts";
import { isTransient } from "./linux/transient.ts";
import { UnsupportedError, UsageError } from "./model/errors.ts";
import { countOutcomes, type HangUpReport } from "./report/report.ts";
import { Finder } from "./resolve/finder.ts";
import { compileSelection, connectionsOnly } from "./select/compile_selection.ts";
import { listOf, type OneOrMore, type Selection } from "./select/selection.ts";
import { DUMPS_BEFORE_GONE } from "./select/selector.ts";

/** What happens while a name is followed. Addresses are in canonical text. */
export type FollowEvent =
  /** The first answer. */
  | { readonly event: "started"; readonly live: readonly string[] }
  /** Addresses have come that were not there before. `missing` are those that leave if they do not come back. */
  | {
    readonly event: "changed";
    readonly live: readonly string[];
    readonly added: readonly string[];
    readonly missing: readonly string[];
  }
  /** Addresses have left; `live` are those that stay. */
  | { readonly event: "left"; readonly addresses: readonly string[]; readonly live: readonly string[] }
  /** Addresses that had left are live again. */
  | { readonly event: "returned"; readonly addresses: readonly string[] }
  /**
   * Connects to what has left are refused from now on, or go `to` live addresses. `addresses` is null for all that are
   * elsewhere.
   */
  | {
    readonly event: "connects";
    readonly op: "refuse" | "redirect";
    readonly addresses: readonly string[] | null;
    readonly to: readonly string[];
  }
  /** No live address accepts a connection, as `ready` asks for, so that `matched` connections have to wait. */
  | { readonly event: "waiting"; readonly live: readonly string[]; readonly port: number; readonly matched: number }
  /** Connections were hung up on, or could not be. `addresses` is null for those that are elsewhere. */
  | { readonly event: "cut"; readonly addresses: readonly string[] | null; readonly report: HangUpReport }
  /** A name, or the file, does not tell the live addresses. Nothing changes until it does. */
  | { readonly event: "cannot-resolve"; readonly name: string; readonly reason: string }
  /** They are told again. */
  | { readonly event: "resolves-again"; readonly name: string }
  /** Connections cannot be looked for, or not be hung up on at all. It is tried again. */
  | { readonly event: "cannot-look"; readonly reason: string }
  /** It works again. */
  | { readonly event: "looks-again" }
  /** The end, with totals. */
  | {
    readonly event: "ended";
    readonly left: number;
    readonly returned: number;
    readonly matched: number;
    readonly hungUp: number;
    readonly destroyed: number;
    readonly failed: number;
    readonly connects: number;
    readonly elapsedMs: number;
  };

/** Milliseconds between two looks for connections to addresses that have left. */
const LOOK_MS = 1000;
/** Milliseconds after which a connection that could not be cut is tried again. */
const RETRY_MS = 10_000;
/** Addresses by which the selection is tried before there is one. They are no host's. */
const NOBODY = { 4: "0.0.0.0", 6: "::" } as const;

/**
 * Follows names: hangs up on the connections to addresses that have left the answers, and on those that are opened to them
 * later, until `signal` is aborted.
 *
 * An address has left when every answer for `afterMs` lacked it. Only an address that was in an answer can leave. Errors
 * and empty answers change nothing.
 *
 * @example Move a host's clients away from the primary of a database when its name moves
 * ```ts
 * import { followName } from "@tcphup/tcphup";
 *
 * for await (const event of followName("db.internal", { selection: { dport: 5432 } })) {
 *   if (event.event === "cut") console.log(`${event.report.hungUp} connections hung up`);
 * }
 * ```
 *
 * @param names Host names, resolved as this host resolves names. None with `liveFile`.
 * @throws {UsageError} When an option or the selection is wrong, before anything is touched.
 * @throws {UnsupportedError} When the kernel cannot list sockets.
 */
export async function* followName(
  names: OneOrMore<string>,
  options: FollowOptions = {},
): AsyncGenerator<FollowEvent, void> {
  const follower = new Follower(names, options);
  try {
    yield* follower.events();
  } finally {
    follower.close();
  }
}

/** What a run cuts: connections to some addresses, or all that are elsewhere than at some. */
type Target = { readonly addresses: readonly string[] } | {
  readonly stayed: readonly string[];
  readonly version?: 4 | 6;
};

function covers(target: Target, address: string): boolean {
  return "addresses" in target ? target.addresses.includes(address) : !target.stayed.includes(address);
}

/** A connection that a report has named. */
interface Known {
  /** The outcome and the reason that were reported. */
  readonly said: string;
  /** The time from which on it is tried again; Infinity for never. */
  readonly retryAt: number;
  /** The last look that saw it. */
  look: number;
}

class Follower {
  readonly #options: FollowOptions;
  readonly #selection: Selection;
  readonly #source: Source;
  readonly #everyMs: number;
  /** The port that `ready` tries; null without it. */
  readonly #readyPort: number | null;
  readonly #departures: Departures;
  /** Null where connects are let through. */
  readonly #steering: Steering | null;
  /** Null where no end-of-file is due, or nothing says when. */
  readonly #endings: Endings | null;
  readonly #stop = new AbortController();
  readonly #start = performance.now();
  readonly #events: FollowEvent[] = [];
  /** Ends the wait of `events`. */
  #deliver = () => {};
  /** Ends the pause before the next look for connections. */
  #hurry = new AbortController();
  readonly #runs = new Map<Target, AbortController>();
  readonly #known = new Map<string, Known>();
  #finder: { readonly key: string; readonly finder: Finder; looks: number } | null = null;
  #looks = 0;
  #hasStarted = false;
  #isWaiting = false;
  #problems: ReadonlyMap<string, string> = new Map();
  #trouble: string | null = null;
  readonly #warned = new Set<string>();
  readonly #errors: unknown[] = [];
  readonly #totals = { left: 0, returned: 0, matched: 0, hungUp: 0, destroyed: 0, failed: 0 };

  constructor(given: OneOrMore<string>, options: FollowOptions) {
    const { names, was, readyPort } = checkFollow(given, options);
    const { selection = {}, liveFile, afterMs = FOLLOW_DEFAULTS.afterMs } = options;
    const { everyMs = liveFile === undefined ? FOLLOW_DEFAULTS.everyMs : FOLLOW_DEFAULTS.everyFileMs } = options;
    this.#options = options;
    this.#readyPort = readyPort;
    this.#selection = selection;
    this.#everyMs = everyMs;
    this.#departures = new Departures({ afterMs, everyMs, was: [...was, ...liveBefore()] }, this.#start);
    const fate = options.refuse ? "refuse" : options.redirect ? "redirect" : null;
    this.#steering = fate && new Steering(fate);
    const { lingerMs = DEFAULT_LINGER_MS, finOnly } = options;
    this.#endings = finOnly || lingerMs === 0 ? null : new Endings(lingerMs);
    const { version } = selection;
    const families = version === undefined ? undefined : [version === 4 ? "ipv4" as const : "ipv6" as const];
    this.#source = liveFile === undefined ? new Lookups(names, everyMs, families) : new LiveFile(liveFile);
    this.#tryOut();
  }

  /** Looks for connections once, so that what is wrong with the selection, or missing on this host, is an error now. */
  #tryOut(): void {
    const nobody = { addresses: [NOBODY[this.#selection.version ?? 4]] };
    const finder = this.#makeFinder(nobody);
    try {
      this.#warnOnce(this.#steering?.tryOut(this.#selectionOf(nobody)) ?? []);
      finder.find();
      this.#warnOnce(finder.incomplete);
    } finally {
      finder.close();
    }
  }

  async *events(): AsyncGenerator<FollowEvent, void> {
    const { signal } = this.#options;
    const unfinished = whyUnfinished();
    if (unfinished !== null) throw new Error(unfinished);
    const wasInterrupted = pastWork().mode === MODE.interrupted;
    forgetPastWork();
    const stop = () => this.#abort();
    signal?.addEventListener("abort", stop);
    if (signal?.aborted || wasInterrupted) stop();
    let isRunning = true;
    const loops = [this.#watchAddresses(), this.#watchConnections()];
    const end = Promise.all(loops.map((loop) => this.#guard(loop))).then(() => {
      isRunning = false;
      this.#deliver();
    });
    try {
      while (isRunning || this.#events.length > 0) {
        const delivered = new Promise<void>((resolve) => this.#deliver = resolve);
        yield* this.#events.splice(0);
        if (isRunning && this.#events.length === 0) await delivered;
      }
      if (this.#errors.length > 0) throw this.#errors[0];
      yield {
        event: "ended",
        ...this.#totals,
        connects: this.#steering?.count ?? 0,
        elapsedMs: Math.round(performance.now() - this.#start),
      };
    } finally {
      signal?.removeEventListener("abort", stop);
      this.#abort();
      await end;
    }
  }

  #abort(): void {
    this.#stop.abort();
    this.#hurry.abort();
    for (const run of this.#runs.values()) run.abort();
  }

  /** Waits for work of its own. An error in it ends all the others. */
  async #guard(work: Promise<void>): Promise<void> {
    try {
      await work;
    } catch (error) {
      this.#errors.push(error);
      this.#abort();
    }
  }

  #push(event: FollowEvent): void {
    this.#events.push(event);
    this.#deliver();
  }

  /** Asks for the live addresses, again and again. */
  async #watchAddresses(): Promise<void> {
    const { signal } = this.#stop;
    // Looks are counted as of the times at which they are due. So a late timer does not make an address leave later.
    for (let due = performance.now(); !signal.aborted;) {
      const look = await this.#source.look(signal);
      if (signal.aborted) return;
      this.#note(look, due);
      due = Math.max(Math.min(due + this.#everyMs, this.#departures.dueAfter(due)), performance.now());
      await sleep(Math.max(0, due - performance.now()), signal);
    }
  }

  #note({ answer, problems }: Look, at: number): void {
    this.#noteProblems(problems);
    if (answer === null) return;
    const { added, returned, left } = this.#departures.note(answer, at);
    const { live } = this.#departures;
    if (added.length > 0) recordLive(added);
    const isNew = added.length > returned.length;
    if (!this.#hasStarted && live.length > 0) this.#push({ event: "started", live });
    else if (isNew) {
      this.#push({ event: "changed", live, added, missing: this.#departures.missing });
    }
    this.#hasStarted ||= live.length > 0;
    if (returned.length > 0) this.#push({ event: "returned", addresses: returned });
    if (left.length > 0) this.#push({ event: "left", addresses: left, live });
    if (!this.#options.dryRun) this.#steer();
    this.#totals.left += left.length;
    this.#totals.returned += returned.length;
    // What is live again is not to be cut any further.
    for (const [target, run] of this.#runs) if (added.some((address) => covers(target, address))) run.abort();
    if (left.length > 0) this.#hurry.abort();
  }

  /** Refuses or redirects connects to what has left, before any of it is cut. */
  #steer(): void {
    const { left, stayed, live } = this.#departures;
    const elsewhere = this.#options.elsewhere ? this.#elsewhere() : null;
    const target = elsewhere ?? (left.length === 0 ? null : { addresses: left });
    try {
      const to = this.#steering?.update(
        target && this.#selectionOf(target),
        live.filter((one) => stayed.includes(one)),
      );
      if (!to) return;
      const addresses = elsewhere === null ? left : null;
      this.#push({ event: "connects", op: this.#options.refuse ? "refuse" : "redirect", addresses, to });
    } catch (error) {
      if (!isExpected(error)) throw error;
      this.#warnOnce([`Connects to what has left are let through: ${error.message}`]);
    }
  }

  #noteProblems(problems: ReadonlyMap<string, string>): void {
    for (const name of this.#problems.keys()) {
      // Trouble with one family of a name is part of trouble with the name.
      const isPart = [...problems.keys()].some((other) => name.startsWith(`${other} (`));
      if (!problems.has(name) && !isPart) this.#push({ event: "resolves-again", name });
    }
    for (const [name, reason] of problems) {
      if (!this.#problems.has(name)) this.#push({ event: "cannot-resolve", name, reason });
    }
    this.#problems = problems;
  }

  /** Looks for connections to cut, again and again. The pause is as long as the look, so that it takes half of a processor. */
  async #watchConnections(): Promise<void> {
    const { signal } = this.#stop;
    const runs = new Set<Promise<void>>();
    while (!signal.aborted) {
      this.#hurry = new AbortController();
      const start = performance.now();
      this.#endings?.look();
      const target = await this.#tolerate(() => this.#nextTarget());
      if (target) {
        const run: Promise<void> = this.#guard(this.#run(target)).finally(() => runs.delete(run));
        runs.add(run);
      }
      await sleep(Math.max(LOOK_MS, performance.now() - start), this.#hurry.signal);
    }
    await Promise.all(runs);
  }

  /** Returns the result of `work`; undefined when it has failed with an error that people can end, and was said. */
  async #tolerate<T>(work: () => Promise<T>): Promise<T | undefined> {
    try {
      const result = await work();
      if (this.#trouble !== null) this.#push({ event: "looks-again" });
      this.#trouble = null;
      return result;
    } catch (error) {
      if (!isExpected(error)) throw error;
      if (this.#trouble === null) this.#push({ event: "cannot-look", reason: error.message });
      this.#trouble = error.message;
    }
  }

  /** Returns what is to be cut now; null when nothing is. */
  async #nextTarget(): Promise<Target | null> {
    const target = this.#idleTarget();
    if (target === null && this.#runs.size === 0) this.#known.clear();
    if (target === null) return null;
    const found = this.#find(target);
    if (found.length === 0) {
      this.#isWaiting = false;
      return null;
    }
    if (this.#readyPort === null) return target;
    const { live } = this.#departures;
    const accepting = await findAccepting(live, this.#readyPort, this.#stop.signal);
    if (this.#stop.signal.aborted) return null;
    if (accepting === null) {
      if (!this.#isWaiting) this.#push({ event: "waiting", live, port: this.#readyPort, matched: found.length });
      this.#isWaiting = true;
      return null;
    }
    this.#isWaiting = false;
    // An address may have returned meanwhile.
    return isSame(target, this.#idleTarget()) ? target : null;
  }

  /** Returns all that has left and that no run is cutting; null when there is nothing. */
  #idleTarget(): Target | null {
    const { left } = this.#departures;
    const running = [...this.#runs.keys()];
    if (this.#options.elsewhere && !running.some((target) => "stayed" in target)) {
      const elsewhere = this.#elsewhere();
      if (elsewhere !== null) return elsewhere;
    }
    const addresses = left.filter((address) => !running.some((target) => covers(target, address)));
    return addresses.length === 0 ? null : { addresses };
  }

  /** Returns all that is elsewhere; null when no family can be said to be settled. */
  #elsewhere(): Target | null {
    const { stayed, settled } = this.#departures;
    const { version } = this.#selection;
    if (settled.length === 2 || (settled.length === 1 && version !== undefined)) return { stayed };
    return settled.length === 1 ? { stayed, version: settled[0] === "ipv4" ? 4 : 6 } : null;
  }

  /** Returns the connections of a target that are new, or due to be tried again. */
  #find(target: Target): Connection[] {
    const key = JSON.stringify(target);
    if (this.#finder?.key !== key) {
      this.#finder?.finder.close();
      this.#finder = null;
      this.#finder = { key, finder: this.#makeFinder(target), looks: 0 };
    }
    const { finder } = this.#finder;
    const now = performance.now();
    const look = ++this.#looks;
    const isKnown = (identity: string) => {
      const known = this.#known.get(identity);
      if (known === undefined) return false;
      known.look = look;
      return now < known.retryAt;
    };
    const found = this.#finder.looks++ === 0 ? finder.find() : finder.findNew(isKnown);
    this.#warnOnce(finder.incomplete);
    const news = found.filter((connection) => !isKnown(identityOf(connection)));
    for (const [identity, known] of this.#known) {
      if (known.look <= look - DUMPS_BEFORE_GONE) this.#known.delete(identity);
    }
    return news;
  }

  #makeFinder(target: Target): Finder {
    const selection = compileSelection(this.#selectionOf(target));
    return new Finder(connectionsOnly(selection, this.#options.destroy ?? false));
  }

  #selectionOf(target: Target): Selection {
    const selection = this.#selection;
    if ("addresses" in target) return { ...selection, dst: target.addresses };
    const { not: excluded } = selection;
    const not = { ...excluded, dst: [...listOf(excluded?.dst), ...target.stayed] };
    return { ...selection, not, version: selection.version ?? target.version };
  }

  async #run(target: Target): Promise<void> {
    const run = new AbortController();
    this.#runs.set(target, run);
    try {
      if (this.#stop.signal.aborted) return;
      const { onWarning } = this.#options;
      await this.#tolerate(async () => {
        const report = await hangUpOnDeparted(this.#selectionOf(target), {
          ...passedOn(this.#options),
          onWarning,
          signal: run.signal,
        });
        this.#report(target, report);
      });
    } finally {
      this.#runs.delete(target);
    }
  }

  /** Reports a run, without the connections of which nothing has changed since an earlier report. */
  #report(target: Target, report: HangUpReport): void {
    const now = performance.now();
    this.#endings?.add(report.results);
    const results = report.results.filter(({ connection, outcome, reason, message }) => {
      // What a run has not reached, since an address has returned, stays unknown.
      if (reason === "interrupted") return false;
      const identity = identityOf(connection);
      const said = `${outcome} ${message}`;
      const isFinal = FINAL.includes(outcome);
      const before = this.#known.get(identity)?.said;
      // What an earlier run has cut may take a while to go.
      const isNew = before === undefined || (before !== said && outcome !== "already-gone");
      this.#known.set(identity, { said, retryAt: isFinal ? Infinity : now + RETRY_MS, look: this.#looks });
      return isNew;
    });
    this.#warnOnce([...report.unanswered, ...report.incomplete]);
    if (report.error === null && results.every(({ outcome }) => outcome === "already-gone")) return;
    const counts = countOutcomes(results, ["hungUp", "destroyed"]);
    for (const name of ["matched", "hungUp", "destroyed", "failed"] as const) this.#totals[name] += counts[name];
    const addresses = "addresses" in target ? target.addresses : null;
    this.#push({ event: "cut", addresses, report: { ...report, ...counts, recovered: 0, results } });
  }

  #warnOnce(texts: readonly string[]): void {
    for (const text of texts) {
      if (this.#warned.has(text)) continue;
      if (this.#warned.size >= MAX_WARNED) this.#warned.clear();
      this.#warned.add(text);
      this.#options.onWarning?.(text);
    }
  }

  close(): void {
    this.#source.close();
    this.#steering?.close();
    this.#finder?.finder.close();
  }
}

/** Tells whether an error may pass, or can be ended by people. */
function isExpected(error: unknown): error is Error {
  return isTransient(error) || error instanceof UsageError || error instanceof UnsupportedError;
}

/** The number of warnings that are remembered, to give each once. Processes choose names in them. */
const MAX_WARNED = 1000;

/** The outcomes of connections that are not tried again. */
const FINAL: readonly HangUpOutcome[] = ["hung-up", "destroyed", "would-hang-up", "would-destroy", "already-gone"];

function isSame(one: Target, other: Target | null): boolean {
  return JSON.stringify(one) === JSON.stringify(other);
}
