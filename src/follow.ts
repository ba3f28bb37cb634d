// Follows names, or a file of live addresses: hangs up on the connections to addresses that have left.
//
// Two loops run side by side, so that a resolver that does not answer delays no cut: one asks for the live addresses, the
// other looks for connections to what has left. Runs of hangUp() that take their time run beside both.

import { sleep } from "../ffi/sleep.ts";
import { DEFAULT_LINGER_MS } from "./act/hang_up_options.ts";
import { Departures } from "./follow/departures.ts";
import { Endings } from "./follow/endings.ts";
import { EventQueue, type FollowEvent } from "./follow/events.ts";
import { checkFollow, FOLLOW_DEFAULTS, type FollowOptions, passedOn } from "./follow/follow_options.ts";
import { LiveFile } from "./follow/live_file.ts";
import { Lookups } from "./follow/lookups.ts";
import { findAccepting } from "./follow/probe.ts";
import { Search } from "./follow/search.ts";
import type { Look, Source } from "./follow/source.ts";
import { Steering } from "./follow/steering.ts";
import { covers, elsewhere, selectionOf, type Target } from "./follow/target.ts";
import { warningOnce } from "./follow/warnings.ts";
import { forgetPastWork, liveBefore, pastWork, recordLive, whyUnfinished } from "./front/journal.ts";
import { MODE } from "./front/shared.ts";
import { hangUpOnDeparted } from "./hang_up.ts";
import { isTransient } from "./linux/transient.ts";
import { UnsupportedError, UsageError } from "./model/errors.ts";
import { countOutcomes, type HangUpReport } from "./report/report.ts";
import type { OneOrMore, Selection } from "./select/selection.ts";

export type { FollowEvent } from "./follow/events.ts";

/** Milliseconds between two looks for connections to addresses that have left. */
const LOOK_MS = 1000;
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
  readonly #events = new EventQueue();
  /** Ends the pause before the next look for connections. */
  #hurry = new AbortController();
  readonly #runs = new Map<Target, AbortController>();
  readonly #search: Search;
  #isWaiting = false;
  #problems: ReadonlyMap<string, string> = new Map();
  #trouble: string | null = null;
  readonly #warnOnce: (texts: readonly string[]) => void;
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
    this.#warnOnce = warningOnce(options.onWarning ?? (() => {}));
    this.#search = new Search(options.destroy ?? false, this.#warnOnce);
    // The first look is made now, so that what is wrong with the selection, or missing on this host, is an error at once.
    const tried = selectionOf(selection, { addresses: [NOBODY[version ?? 4]] });
    this.#warnOnce(this.#steering?.tryOut(tried) ?? []);
    this.#search.tryOut(tried);
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
    const loops = [this.#watchAddresses(), this.#watchConnections()];
    const end = Promise.all(loops.map((loop) => this.#guard(loop))).then(() => this.#events.end());
    try {
      yield* this.#events.read();
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
    const isFirst = this.#departures.live.length === 0;
    const { added, returned, left } = this.#departures.note(answer, at);
    const { live } = this.#departures;
    if (added.length > 0) recordLive(added);
    if (isFirst && live.length > 0) this.#events.push({ event: "started", live });
    else if (added.length > returned.length) {
      this.#events.push({ event: "changed", live, added, missing: this.#departures.missing });
    }
    if (returned.length > 0) this.#events.push({ event: "returned", addresses: returned });
    if (left.length > 0) this.#events.push({ event: "left", addresses: left, live });
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
    const all = this.#options.elsewhere ? elsewhere(this.#departures, this.#selection) : null;
    const target = all ?? (left.length === 0 ? null : { addresses: left });
    try {
      const to = this.#steering?.update(
        target && selectionOf(this.#selection, target),
        live.filter((one) => stayed.includes(one)),
      );
      if (!to) return;
      const addresses = all === null ? left : null;
      this.#events.push({ event: "connects", op: this.#options.refuse ? "refuse" : "redirect", addresses, to });
    } catch (error) {
      if (!isExpected(error)) throw error;
      this.#warnOnce([`Connects to what has left are let through: ${error.message}`]);
    }
  }

  #noteProblems(problems: ReadonlyMap<string, string>): void {
    for (const name of this.#problems.keys()) {
      // Trouble with one family of a name is part of trouble with the name.
      const isPart = [...problems.keys()].some((other) => name.startsWith(`${other} (`));
      if (!problems.has(name) && !isPart) this.#events.push({ event: "resolves-again", name });
    }
    for (const [name, reason] of problems) {
      if (!this.#problems.has(name)) this.#events.push({ event: "cannot-resolve", name, reason });
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
      await this.#endings?.look();
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
      if (this.#trouble !== null) this.#events.push({ event: "looks-again" });
      this.#trouble = null;
      return result;
    } catch (error) {
      if (!isExpected(error)) throw error;
      if (this.#trouble === null) this.#events.push({ event: "cannot-look", reason: error.message });
      this.#trouble = error.message;
    }
  }

  /** Returns what is to be cut now; null when nothing is. */
  async #nextTarget(): Promise<Target | null> {
    const target = this.#idleTarget();
    if (target === null && this.#runs.size === 0) this.#search.forget();
    if (target === null) return null;
    const found = this.#search.find(selectionOf(this.#selection, target));
    if (found.length === 0) {
      this.#isWaiting = false;
      return null;
    }
    if (this.#readyPort === null) return target;
    const { live } = this.#departures;
    const accepting = await findAccepting(live, this.#readyPort, this.#stop.signal);
    if (this.#stop.signal.aborted) return null;
    if (accepting === null) {
      if (!this.#isWaiting) this.#events.push({ event: "waiting", live, port: this.#readyPort, matched: found.length });
      this.#isWaiting = true;
      return null;
    }
    this.#isWaiting = false;
    // An address may have returned meanwhile.
    return JSON.stringify(this.#idleTarget()) === JSON.stringify(target) ? target : null;
  }

  /** Returns all that has left and that no run is cutting; null when there is nothing. */
  #idleTarget(): Target | null {
    const { left } = this.#departures;
    const running = [...this.#runs.keys()];
    if (this.#options.elsewhere && !running.some((target) => "stayed" in target)) {
      const all = elsewhere(this.#departures, this.#selection);
      if (all !== null) return all;
    }
    const addresses = left.filter((address) => !running.some((target) => covers(target, address)));
    return addresses.length === 0 ? null : { addresses };
  }

  async #run(target: Target): Promise<void> {
    const run = new AbortController();
    this.#runs.set(target, run);
    try {
      if (this.#stop.signal.aborted) return;
      const { onWarning } = this.#options;
      await this.#tolerate(async () => {
        const report = await hangUpOnDeparted(selectionOf(this.#selection, target), {
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
    this.#endings?.add(report.results);
    const results = this.#search.newsIn(report.results);
    this.#warnOnce([...report.unanswered, ...report.incomplete]);
    if (report.error === null && results.every(({ outcome }) => outcome === "already-gone")) return;
    const counts = countOutcomes(results, ["hungUp", "destroyed"]);
    for (const name of ["matched", "hungUp", "destroyed", "failed"] as const) this.#totals[name] += counts[name];
    const addresses = "addresses" in target ? target.addresses : null;
    this.#events.push({ event: "cut", addresses, report: { ...report, ...counts, recovered: 0, results } });
  }

  close(): void {
    this.#source.close();
    this.#steering?.close();
    this.#search.close();
  }
}

/** Tells whether an error may pass, or can be ended by people. */
function isExpected(error: unknown): error is Error {
  return isTransient(error) || error instanceof UsageError || error instanceof UnsupportedError;
}
