// Finds the connections to set keepalive on, in rounds, and has it set on them.

import { withOpen } from "../../ffi/closing.ts";
import { isUnresponsive } from "../../ffi/progress.ts";
import type { WatchAttachment } from "../attach/watch_attachment.ts";
import { pastWork, recordChange, recordFound, unanswered, whyUnfinished } from "../front/journal.ts";
import { MODE } from "../front/shared.ts";
import {
  ATTACHED_EVERY_MS,
  DEFAULT_EVERY_MS,
  desiredKeepalive,
  type SetKeepaliveOptions,
  type WatchKeepaliveOptions,
} from "../keepalive/set_options.ts";
import type { DesiredKeepalive } from "../keepalive/values.ts";
import { type Connection, type Direction, handleOf, identityOf } from "../model/connection.ts";
import { type KeepaliveOutcome, type KeepaliveResult, type Outcome, type Target, targetOf } from "../model/result.ts";
import { countOutcomes, errorForReport, type KeepaliveReport, PhaseTimer } from "../report/report.ts";
import { TransientErrors } from "../report/transient_errors.ts";
import { Finder, MAX_ROUNDS } from "../resolve/finder.ts";
import { Resolver } from "../resolve/resolver.ts";
import type { CompiledSelection } from "../select/compile_selection.ts";
import { DUMPS_BEFORE_GONE } from "../select/selector.ts";
import { ENDED } from "../socket/with_duplicate.ts";
import { mayBeAccepted } from "./exclusions.ts";
import { keepaliveResultOf, KeepaliveSetter, type KeepaliveTarget, NO_CHANGE } from "./keepalive_setter.ts";
import { explainNoOwner, explainNotReached, retriesOwner, setOutcome } from "./outcomes.ts";
import { Turns } from "./turns.ts";

/** Sets keepalive as `setKeepalive` does, on the connections of one direction alone when one is given. */
export async function setOnce(
  selection: CompiledSelection,
  options: SetKeepaliveOptions,
  direction?: Direction,
): Promise<KeepaliveReport> {
  const rounds = new KeepaliveRounds(selection, options, { direction });
  try {
    return await rounds.once();
  } finally {
    rounds.close();
  }
}

/** Returns the report of a run that leaves all open connections alone. */
export function reportNone(selection: CompiledSelection, options: SetKeepaliveOptions): KeepaliveReport {
  return withOpen(new KeepaliveRounds(selection, options), (rounds) => rounds.none());
}

/** The outcomes that watchKeepalive() does not yield: nothing was changed, and nothing had to be. */
const NOT_YIELDED: readonly Outcome[] = ["unchanged", "skipped", "already-gone"];

/** One run, or one watch, over the connections of a selection. */
export class KeepaliveRounds {
  readonly #options: WatchKeepaliveOptions;
  /** The direction of the connections to set; undefined for both. */
  readonly #direction: Direction | undefined;
  readonly #desired: DesiredKeepalive;
  readonly #finder: Finder;
  readonly #resolver = new Resolver();
  readonly #setter: KeepaliveSetter;
  readonly #timer = new PhaseTimer();
  readonly #previous = pastWork<Target<KeepaliveOutcome> & Partial<KeepaliveTarget>>();
  /** `true` for a watch: connections that are not yet accepted are left for a later round. */
  readonly #isWatching: boolean;
  /** The connections that are done, by identity, each with the last round that saw it. */
  readonly #done = new Map<string, number>();
  /** The connections that waited to be accepted when a watch began, by identity. */
  readonly #notAcceptedAtStart = new Set<string>();
  /** The connections whose owners have to be looked up again, by identity. */
  readonly #retryOwners = new Map<string, KeepaliveTarget>();
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
    const transientErrors = this.#transientErrors = new TransientErrors(options.onWarning);
    this.#turns = new Turns({ signal: options.signal });
    if (this.#previous.mode === MODE.interrupted) this.#turns.stop();
    this.#desired = desiredKeepalive(options);
    this.#finder = new Finder(selection);
    const { dryRun } = options;
    this.#setter = new KeepaliveSetter(this.#desired, this.#finder.selector, { dryRun, isWatching, transientErrors });
  }

  none(): KeepaliveReport {
    return this.#report([], null, []);
  }

  async once(): Promise<KeepaliveReport> {
    const { targets: before, mode } = this.#previous;
    const withChange = before.map((target): KeepaliveTarget => ({ ...target, change: target.change ?? NO_CHANGE }));
    const known = new Map(withChange.map((target) => [identityOf(target.connection), target]));
    for (const identity of known.keys()) this.#done.set(identity, Infinity);
    let error = whyUnfinished();
    let incomplete: string[] = [];
    try {
      for (let round = 1; round <= MAX_ROUNDS && mode === MODE.work; round++) {
        const found = this.#nextRound();
        if (found.length === 0) break;
        for (const target of found) known.set(identityOf(target.connection), target);
        if (!this.#options.dryRun) record(found);
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
        if (isAttached && this.#setter.wasSetAsMade(target)) {
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
    this.#setter.close();
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
    // The connections that are gone are forgotten.
    for (const [identity, seen] of this.#done) if (seen <= round - DUMPS_BEFORE_GONE) this.#done.delete(identity);
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

  async #setAll(targets: readonly KeepaliveTarget[]): Promise<void> {
    if (await this.#turns.until(0)) this.#pass(targets);
    for (const target of targets) {
      if (target.result !== null) continue;
      if (await this.#turns.until(0)) this.#set(target);
      else explainNotReached(target, null);
    }
  }

  #pass(targets: readonly KeepaliveTarget[]): void {
    for (const { connection } of this.#setter.pass(targets)) this.#setDone(identityOf(connection));
  }

  /** Sets keepalive on a connection. Leaves it without a result when its owners have to be looked up again. */
  #set(target: KeepaliveTarget): void {
    if (target.result !== null) return;
    this.#setter.set(target);
    const identity = identityOf(target.connection);
    if (target.result === null) this.#retryOwner(identity, target);
    else this.#setDone(identity);
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
    this.#setter.close();
    this.#finder.close();
  }
}

/** Records connections in the journal, with what earlier attempts have changed. */
function record(targets: readonly KeepaliveTarget[]): void {
  recordFound(targets);
  for (const target of targets) if (target.change !== NO_CHANGE) recordChange([target], { change: target.change });
}
