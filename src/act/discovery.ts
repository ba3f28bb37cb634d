// Discovery of the connections to cut, in rounds: list them, find their owners, apply the guards, queue them.

import { inCutOrder } from "./cut_order.ts";
import { isConnecting, isExcluded } from "./exclusions.ts";
import { explainNoOwner, retriesOwner, setOutcome } from "./outcomes.ts";
import type { Escalation } from "./escalation.ts";
import type { HangUpOptions } from "./hang_up_options.ts";
import { byIdentity, type Connection, type HeldConnection, identityOf } from "../model/connection.ts";
import { type HangUpOutcome, type Target, targetOf, update } from "../model/result.ts";
import { counted } from "../model/wording.ts";
import { ENDED } from "../socket/with_duplicate.ts";
import type { CutQueue } from "./cut_queue.ts";
import { foundBefore, recordFound, workedBeforeMs } from "../front/journal.ts";
import { ConnectionTable } from "./connection_table.ts";
import { CLOSING, isClosing } from "../model/tcp_states.ts";
import type { PhaseTimer } from "../report/report.ts";
import type { Resolver } from "../resolve/resolver.ts";
import { type Finder, MAX_ROUNDS } from "../resolve/finder.ts";
import { Session } from "../resolve/session.ts";

/** Default of `repeat.everyMs`: milliseconds from one round to the next. */
const DEFAULT_EVERY_MS = 500;

/** The time by which the kernel's times may be too long: they are counted in ticks, of up to 10 ms. */
const TICK_MS = 10;

/** Options that say which connections to cut, and for how long to look for them. */
export interface DiscoveryOptions
  extends Pick<HangUpOptions, "dryRun" | "destroy" | "finOnly" | "includeSession" | "max" | "repeat"> {
  /** Asks for consent, once and before anything is touched. */
  readonly confirm?: (connections: readonly HeldConnection[]) => boolean | Promise<boolean>;
  /** Called once, after the guards and before anything is cut. */
  readonly beforeCuts?: () => void;
  /** Ends attempts to connect of any age. */
  readonly endsAttempts?: boolean;
  /** The peers are known to be out: nothing that is established with them has recovered. */
  readonly areOut?: boolean;
}

/** The stages that a round goes through, and those that it hands connections to. */
export interface DiscoveryStages {
  readonly finder: Finder;
  readonly resolver: Resolver;
  readonly cutQueue: CutQueue;
  readonly escalation: Escalation;
  readonly timer: PhaseTimer;
}

/** Finds the connections to cut, and adds them to the queue. */
export class Discovery {
  /** The connections that were selected so far. */
  readonly connections = new ConnectionTable();
  /** The reason why a guard refused the run before anything was touched; null when none did. */
  refused: string | null = null;
  /** `true` when more than `max` connections appeared in the end. */
  maxReached = false;
  readonly #stages: DiscoveryStages;
  readonly #options: DiscoveryOptions;
  /** Leaves alone connections that were not there in the first round: they were made anew. */
  readonly #onlyFirstRound: boolean;
  /** The connections whose owners have to be looked up again. */
  readonly #retryOwners = new Set<Target>();
  /** The connections of the running round, until they are queued. */
  #current: readonly Target[] = [];
  /** Connections that were left alone because they are probably new. */
  readonly #recovered = new Set<string>();
  readonly #start = performance.now();
  #roundStart = 0;
  /** The parts that the first round has still to list; null when there are none. */
  #remainingParts: Iterator<Connection[], void> | null = null;
  #rounds = 0;
  #foundNew = false;
  #confirmed = false;
  /** Identities of the connections that an earlier process found before it got stuck; null when there was none. */
  readonly #foundBefore = foundBefore();
  /** The time at which the command began, maybe in an earlier process. */
  readonly #commandStart = this.#start - (this.#foundBefore === null ? 0 : workedBeforeMs());
  /** Takes no other connections than an earlier process has found. */
  readonly #onlyFoundBefore: boolean;

  /**
   * @param onlyFirstRound Leaves alone connections that appear after the first round, unless `repeat` asks for them. It is
   * `true` with `confirm`.
   */
  constructor(stages: DiscoveryStages, options: DiscoveryOptions, onlyFirstRound: boolean) {
    this.#stages = stages;
    this.#options = options;
    this.#onlyFirstRound = onlyFirstRound;
    this.#onlyFoundBefore = this.#foundBefore !== null && onlyFirstRound;
  }

  /** `true` when new connections are taken: they are asked for, or what connects anew is refused or goes elsewhere. */
  get #takesNew(): boolean {
    return this.#options.repeat !== undefined || this.#options.beforeCuts !== undefined;
  }

  /** The number of connections that were left alone because they are probably new. */
  get recovered(): number {
    return this.#recovered.size;
  }

  /** The time of the next round that `repeat` asks for, on the clock of performance.now(); Infinity for none. */
  get repeatAt(): number {
    const { repeat } = this.#options;
    if (repeat === undefined || this.#isSettled || this.maxReached) return Infinity;
    const time = this.#roundStart + (repeat.everyMs ?? DEFAULT_EVERY_MS);
    return time <= this.#start + repeat.forMs ? time : Infinity;
  }

  /** The time of the next round when all cuts that are due have been made; Infinity when it is not needed. */
  get nextRound(): number {
    if (this.repeatAt < Infinity || this.#isSettled) return this.repeatAt;
    const again = this.#remainingParts !== null || this.#retryOwners.size > 0 || (this.#foundNew && this.#acceptsNew);
    return again ? this.#roundStart : Infinity;
  }

  /** `true` when the first round is the only one. */
  get #isSettled(): boolean {
    return this.#options.dryRun === true || this.refused !== null;
  }

  get #acceptsNew(): boolean {
    if (this.maxReached) return false;
    if (this.#options.repeat) {
      return this.#rounds === 0 || performance.now() <= this.#start + this.#options.repeat.forMs;
    }
    return this.#rounds < (this.#onlyFirstRound ? 1 : MAX_ROUNDS);
  }

  /** Makes one round. Connections that are not queued because of an error are looked for again. */
  async round(): Promise<void> {
    try {
      await this.#discover();
    } catch (error) {
      for (const target of this.#current) if (target.result === null) this.#retryOwners.add(target);
      throw error;
    } finally {
      this.#current = [];
    }
  }

  async #discover(): Promise<void> {
    const { timer, finder, resolver, cutQueue, escalation } = this.#stages;
    const { selector } = finder;
    this.#roundStart = performance.now();
    const found = this.#current = timer.time("select", () => this.#select());
    if (this.refused !== null || found.length === 0) return;
    const { dryRun, destroy, finOnly, includeSession, endsAttempts, areOut } = this.#options;
    const session = includeSession ? null : new Session(() => selector.listening());
    const options = { exhaustive: dryRun, first: session?.carriers, known: finder.owners };
    timer.time("resolve", () => resolver.resolve(found, options));
    // Attempts to connect are ended whatever their age where no host that is well could answer them.
    const sparesConnecting = !(endsAttempts || areOut || destroy || this.#takesNew);
    const exclusions = { session, destroy, finOnly, sparesConnecting };
    const wanted = found.filter((target) => !isExcluded(target, exclusions));
    if (!await this.#isConfirmed(wanted)) return;
    this.#options.beforeCuts?.();
    if (!dryRun) recordFound(found);
    cutQueue.add(inCutOrder(wanted.filter((target) => this.#isReadyToCut(target))));
    this.#current = [];
    for (const target of found) if (target.result !== null) escalation.add(target);
    if (this.#options.repeat) {
      timer.time("select", () => this.connections.evictGone((some) => selector.remaining(some)));
    }
  }

  /** Returns the connections of this round: new ones, and those whose owners have to be looked up again. */
  #select(): Target[] {
    const { finder } = this.#stages;
    if (this.#remainingParts !== null) return this.#nextPart(this.#remainingParts);
    const [isFirst, acceptsNew] = [this.#rounds === 0, this.#acceptsNew];
    this.#rounds++;
    // A dump with tcp_info takes the kernel longer.
    const withInfo = acceptsNew && this.#sparesRecovered;
    if (isFirst && this.#canCutEarly) {
      return this.#nextPart(this.#remainingParts = finder.findInParts(undefined, withInfo));
    }
    // A connection that was hung up on is closing, so later rounds skip the closing states, unless they look for one that
    // its application may have closed meanwhile.
    const allStates = isFirst || this.#retryOwners.size > 0;
    const seen = finder.find(allStates ? undefined : ~CLOSING, withInfo);
    // A dump of many sockets that come and go may miss one, so a round that is the only one takes two dumps.
    const listed = isFirst && this.#onlyFirstRound ? seen.concat(finder.find()) : seen;
    const retried = this.#stillMatching(listed);
    const found = acceptsNew ? this.#addNew(isFirst ? listed : listed.filter((one) => !isClosing(one))) : [];
    this.#foundNew = found.length > 0;
    return [...this.#withinMax(found), ...retried];
  }

  /**
   * `true` when connections of one network namespace may be cut while the others are listed: no guard has to see them
   * all.
   */
  get #canCutEarly(): boolean {
    const { dryRun, max, repeat } = this.#options;
    const isPlain = !dryRun && !this.#onlyFirstRound && max === undefined && repeat === undefined;
    return isPlain && this.#stages.finder.selector.isInParts;
  }

  #nextPart(parts: Iterator<Connection[], void>): Target[] {
    const { value, done } = parts.next();
    if (done) this.#remainingParts = null;
    const found = this.#addNew(value ?? []);
    this.#foundNew ||= found.length > 0;
    return found;
  }

  /** Adds the connections that were not listed before to the table, and returns them. */
  #addNew(listed: readonly Connection[]): Target[] {
    const found: Target[] = [];
    const sparesRecovered = this.#sparesRecovered;
    for (const connection of listed) {
      const identity = identityOf(connection);
      if (this.connections.has(identity)) continue;
      const wasFound = this.#foundBefore?.has(identity) ?? false;
      if (this.#onlyFoundBefore && !wasFound) continue;
      if (sparesRecovered && !wasFound && !this.#isSilent(connection)) {
        this.#recovered.add(identity);
        continue;
      }
      const target = targetOf<HangUpOutcome>(connection);
      this.connections.set(identity, target);
      found.push(target);
    }
    return found;
  }

  /**
   * `true` when connections that were cut may have been replaced already. A dump may have missed some that were there before,
   * but what is new is spared.
   */
  get #sparesRecovered(): boolean {
    return !this.#takesNew && (this.#rounds > 1 || this.#foundBefore !== null);
  }

  /** Tells whether a connection is known to be older than the command: its peer was not heard since then. */
  #isSilent({ silentMs }: Connection): boolean {
    return typeof silentMs === "number" && silentMs >= performance.now() - this.#commandStart + TICK_MS;
  }

  #withinMax(found: Target[]): Target[] {
    const { max = Infinity } = this.#options;
    const surplus = this.connections.total - max;
    if (surplus <= 0) return found;
    if (found.length === this.connections.total) {
      const match = counted(found.length, "connection matches", "connections match");
      this.#refuse("max", `${match}, more than the ${max} allowed`);
      return [];
    }
    this.maxReached = true;
    const kept = found.slice(0, Math.max(0, found.length - surplus));
    for (const target of found.slice(kept.length)) {
      setOutcome(target, "skipped", "max", `appeared when the ${max} allowed were reached`);
    }
    return kept;
  }

  /** Returns the connections whose owners have to be looked up again and that still match, with their present state. */
  #stillMatching(listed: readonly Connection[]): Target[] {
    if (this.#retryOwners.size === 0) return [];
    const present = byIdentity(listed);
    const retried = [...this.#retryOwners].map(({ connection }) => connection);
    const remaining = byIdentity(this.#stages.finder.selector.remaining(retried));
    const matching: Target[] = [];
    for (const target of this.#retryOwners) {
      const identity = identityOf(target.connection);
      const now = present.get(identity);
      if (now === undefined) {
        if (remaining.has(identity)) setOutcome(target, "skipped", "not-selected", "no longer selected");
        else setOutcome(target, "already-gone", "gone", ENDED);
        continue;
      }
      if (!this.#takesNew && !this.#options.areOut && isConnecting(target.connection) && !isConnecting(now)) {
        setOutcome(target, "skipped", "recovered", "established meanwhile");
        continue;
      }
      // A connection that was accepted meanwhile has an inode now, and one in SYN-SENT may be established.
      update(target, now);
      matching.push(target);
    }
    this.#retryOwners.clear();
    return matching;
  }

  async #isConfirmed(found: readonly Target[]): Promise<boolean> {
    const { confirm, dryRun } = this.#options;
    if (confirm === undefined || dryRun || this.#confirmed || found.length === 0) return true;
    // An earlier process asked already about the connections that are taken now.
    if (this.#onlyFoundBefore) return true;
    this.#confirmed = await confirm(found);
    if (!this.#confirmed) this.#refuse("not-confirmed", "not confirmed");
    return this.#confirmed;
  }

  #refuse(reason: "max" | "not-confirmed", message: string): void {
    this.refused = message;
    for (const target of this.connections.values()) setOutcome(target, "skipped", reason, message);
  }

  /**
   * Returns `true` when the connection can be queued. Otherwise its owners are looked up again, or it has an outcome.
   */
  #isReadyToCut(target: Target): boolean {
    const { dryRun, destroy } = this.#options;
    const hasOwner = target.owners.length > 0;
    if (dryRun) {
      if (destroy) setOutcome(target, "would-destroy", null);
      else if (hasOwner) setOutcome(target, "would-hang-up", null);
      else explainNoOwner(target, this.#stages.resolver.unreadable);
    } else if (!hasOwner && !destroy) this.#retryOwner(target);
    return target.result === null && (hasOwner || destroy === true);
  }

  /** Has the owners of connections looked up again. */
  retryOwners(targets: readonly Target[]): void {
    for (const target of targets) {
      this.#retryOwner(target);
      if (target.result !== null) this.#stages.escalation.add(target);
    }
  }

  /** Has the owners of a connection looked up again, unless the attempts are used up. */
  #retryOwner(target: Target): void {
    // The connection may yet be accepted, or its owner may yet answer.
    const mayChange = (target.connection.inode === 0 || target.trouble !== null) && this.repeatAt < Infinity;
    if (retriesOwner(target, mayChange, this.#stages.resolver.unreadable)) this.#retryOwners.add(target);
  }
}
