// Looking for connections, as often as it takes: select, resolve, keep to the guards, hand on what is to be cut.

import { isUnresponsive } from "../../ffi/progress.ts";
import { ENDED, explainNoOwner, hungUpBefore, setOutcome } from "./disconnect.ts";
import type { Escalation } from "./escalation.ts";
import { type Connection, handleOf, identityOf } from "../model/connection.ts";
import type { CutQueue } from "./cut_queue.ts";
import { foundBefore, recordFound } from "../front/journal.ts";
import { ConnectionTable } from "./connection_table.ts";
import { CLOSING, stateMask } from "../model/tcp_states.ts";
import type { PhaseTimer } from "../report/report.ts";
import type { Resolver } from "../resolve/resolver.ts";
import type { Finder } from "../resolve/finder.ts";
import { Session } from "../resolve/session.ts";

/** How often to look again for connections that appeared meanwhile, at most. */
const MAX_ROUNDS = 5;
/** How often to look again for the holder of one connection. */
const MAX_OWNER_ATTEMPTS = 3;
/** How often to look while new matches are hung up on for a time. */
export const DEFAULT_EVERY_MS = 500;

/** Which connections to hand on, and how long to look for them. */
export interface DiscoveryOptions {
  readonly dry_run?: boolean;
  readonly destroy?: boolean;
  readonly fin_only?: boolean;
  /** Do not spare the operator's own session. */
  readonly include_session?: boolean;
  /** Refuse when more match, before anything is touched; of those that appear later, take so many in all. */
  readonly max?: number;
  /** Asked once, before anything is touched. */
  readonly confirm?: (connections: readonly Connection[]) => boolean | Promise<boolean>;
  /** Go on taking what appears for so long, looking so often. */
  readonly repeat?: { readonly for_ms: number; readonly every_ms?: number };
}

/** The rooms that a pass goes through, and the one that it leads to. */
export interface DiscoveryStages {
  readonly finder: Finder;
  readonly resolver: Resolver;
  readonly cutQueue: CutQueue;
  readonly escalation: Escalation;
  readonly timer: PhaseTimer;
}

/** Finds what is to be cut. */
export class Discovery {
  /** The connections that were selected so far. */
  readonly connections = new ConnectionTable();
  /** Why a guard refused, before anything was touched. */
  refused: string | null = null;
  /** Whether there were more than `max` in the end. */
  maxReached = false;
  readonly #stages: DiscoveryStages;
  readonly #options: DiscoveryOptions;
  /** Whether what was not there at the first pass is left alone: it is what connected anew. */
  readonly #onlyFirstRound: boolean;
  /** Those whose holder has to be looked for again. */
  readonly #retryOwners = new Set<Connection>();
  /** How often it was looked for in vain. */
  readonly #ownerAttempts = new WeakMap<Connection, number>();
  /** Those of the look that goes on, until they are handed on. */
  #current: readonly Connection[] = [];
  readonly #start = performance.now();
  #roundStart = 0;
  /** What the first pass has still to find. */
  #remainingParts: Iterator<Connection[], void> | null = null;
  #rounds = 0;
  #foundNew = false;
  #confirmed = false;
  /** Those that there were when it began, where a process before this one got stuck and no others are to be taken. */
  readonly #foundBefore: ReadonlySet<string> | null;

  /** @param onlyFirstRound Leave alone what appears after the first pass, unless `repeat` asks for it. */
  constructor(stages: DiscoveryStages, options: DiscoveryOptions, onlyFirstRound: boolean) {
    this.#stages = stages;
    this.#options = options;
    this.#onlyFirstRound = onlyFirstRound;
    this.#foundBefore = onlyFirstRound || options.confirm !== undefined ? foundBefore() : null;
  }

  /** When to look next; Infinity for never again. */
  get due(): number {
    if (this.#rounds === 0) return this.#start;
    if (this.#options.dry_run || this.refused !== null) return Infinity;
    if (this.#remainingParts !== null) return this.#stages.cutQueue.size > 0 ? Infinity : this.#roundStart;
    if (this.#isRepeating) return this.#roundStart + (this.#options.repeat?.every_ms ?? DEFAULT_EVERY_MS);
    const { cutQueue } = this.#stages;
    if (cutQueue.size > 0) return Infinity;
    const again = this.#retryOwners.size > 0 || cutQueue.ownersLost.length > 0 || (this.#foundNew && this.#acceptsNew);
    return again ? this.#roundStart : Infinity;
  }

  /** Whether the time of `repeat` will not be over when the next look is due. */
  get #isRepeating(): boolean {
    const { repeat } = this.#options;
    if (repeat === undefined || this.maxReached) return false;
    return this.#roundStart + (repeat.every_ms ?? DEFAULT_EVERY_MS) <= this.#start + repeat.for_ms;
  }

  get #acceptsNew(): boolean {
    if (this.maxReached) return false;
    if (this.#options.repeat) {
      return this.#rounds === 0 || performance.now() <= this.#start + this.#options.repeat.for_ms;
    }
    return this.#rounds < (this.#onlyFirstRound ? 1 : MAX_ROUNDS);
  }

  /** Looks once. What is not handed on since something fails is looked for again. */
  async run(): Promise<void> {
    try {
      await this.#round();
    } catch (error) {
      for (const connection of this.#current) if (connection.outcome === null) this.#retryOwners.add(connection);
      throw error;
    } finally {
      this.#current = [];
    }
  }

  async #round(): Promise<void> {
    const { timer, finder, resolver, cutQueue, escalation } = this.#stages;
    const { selector } = finder;
    this.#roundStart = performance.now();
    for (const connection of cutQueue.ownersLost.splice(0)) {
      this.#retryOwner(connection);
      if (connection.outcome !== null) escalation.add(connection);
    }
    const found = this.#current = timer.time("select", () => this.#select());
    if (this.refused !== null || found.length === 0) return;
    const { dry_run, include_session } = this.#options;
    const session = include_session ? null : new Session(() => selector.listening());
    const options = { exhaustive: dry_run, first: session?.carriers, known: finder.owners };
    timer.time("resolve", () => resolver.resolve(found, options));
    const wanted = found.filter((connection) => !this.#isExcluded(connection, session));
    if (!await this.#isConfirmed(wanted)) return;
    if (!dry_run) recordFound(found);
    cutQueue.add(stuckUsersLast(wanted.filter((connection) => this.#isReadyToCut(connection))));
    this.#current = [];
    for (const connection of found) if (connection.outcome !== null) escalation.add(connection);
    if (this.#options.repeat) {
      timer.time("select", () => this.connections.evictGone((some) => selector.remaining(some)));
    }
  }

  /** The connections of this pass: those not seen before, and those whose holder has to be looked for again. */
  #select(): Connection[] {
    const { finder } = this.#stages;
    if (this.#remainingParts !== null) return this.#nextPart(this.#remainingParts);
    const [first, acceptsNew] = [this.#rounds === 0, this.#acceptsNew];
    this.#rounds++;
    if (first && this.#canCutEarly) return this.#nextPart(this.#remainingParts = finder.findInParts());
    // What was hung up on is closing now, so a later pass need not look at it.
    const seen = finder.find(first ? undefined : ~CLOSING);
    // A dump of many sockets that come and go may miss one, so the only look is two.
    const listed = first && this.#onlyFirstRound ? seen.concat(finder.find()) : seen;
    const there = this.#stillThere(listed);
    const found = acceptsNew ? this.#unknown(listed) : [];
    this.#foundNew = found.length > 0;
    return [...this.#withinMax(found), ...there];
  }

  /** Whether what is found in one network namespace can be cut while the others are listed: no guard wants to see it all. */
  get #canCutEarly(): boolean {
    const { dry_run, max, confirm, repeat } = this.#options;
    const isPlain = !dry_run && !this.#onlyFirstRound && max === undefined && confirm === undefined &&
      repeat === undefined;
    return isPlain && this.#stages.finder.selector.isInParts;
  }

  #nextPart(parts: Iterator<Connection[], void>): Connection[] {
    const { value, done } = parts.next();
    if (done) this.#remainingParts = null;
    const found = this.#unknown(value ?? []);
    this.#foundNew ||= found.length > 0;
    return found;
  }

  #unknown(listed: readonly Connection[]): Connection[] {
    const found: Connection[] = [];
    for (const connection of listed) {
      const identity = identityOf(connection);
      if (this.connections.has(identity) || this.#foundBefore?.has(identity) === false) continue;
      this.connections.set(identity, connection);
      found.push(connection);
    }
    return found;
  }

  #withinMax(found: Connection[]): Connection[] {
    const { max = Infinity } = this.#options;
    const surplus = this.connections.total - max;
    if (surplus <= 0) return found;
    if (found.length === this.connections.total) {
      const are = found.length === 1 ? "connection matches" : "connections match";
      this.#refuse(`${found.length} ${are}, more than the ${max} allowed`);
      return [];
    }
    this.maxReached = true;
    const kept = found.slice(0, Math.max(0, found.length - surplus));
    for (const connection of found.slice(kept.length)) {
      setOutcome(connection, "skipped", `appeared when the ${max} allowed were reached`);
    }
    return kept;
  }

  /** Those whose holder is sought, with what is known of them now. */
  #stillThere(listed: readonly Connection[]): Connection[] {
    if (this.#retryOwners.size === 0) return [];
    const byIdentity = (connections: readonly Connection[]) =>
      new Map(connections.map((connection) => [identityOf(connection), connection]));
    const present = byIdentity(listed);
    const remaining = byIdentity(this.#stages.finder.selector.remaining(this.#retryOwners));
    const there: Connection[] = [];
    for (const connection of this.#retryOwners) {
      const now = present.get(identityOf(connection));
      if (now === undefined) {
        if (remaining.has(identityOf(connection))) setOutcome(connection, "skipped", "no longer selected");
        else setOutcome(connection, "already-gone", ENDED);
        continue;
      }
      // One that has just been accepted has an inode now, and one that was being opened may be open.
      connection.inode = now.inode;
      connection.state = now.state;
      there.push(connection);
    }
    this.#retryOwners.clear();
    return there;
  }

  async #isConfirmed(found: readonly Connection[]): Promise<boolean> {
    const { confirm, dry_run } = this.#options;
    if (confirm === undefined || dry_run || this.#confirmed || found.length === 0) return true;
    // An earlier process has asked already, about those that are taken now.
    if (this.#foundBefore !== null) return true;
    this.#confirmed = await confirm(found);
    if (!this.#confirmed) this.#refuse("not confirmed");
    return this.#confirmed;
  }

  #refuse(reason: string): void {
    this.refused = reason;
    for (const connection of this.connections.values()) setOutcome(connection, "skipped", reason);
  }

  /** Whether the connection can be handed on; else its holder is sought again, or it has an outcome. */
  #isReadyToCut(connection: Connection): boolean {
    const { dry_run, destroy } = this.#options;
    const owned = connection.owners.length > 0;
    if (dry_run) {
      if (destroy) setOutcome(connection, "would-destroy");
      else if (owned) setOutcome(connection, "would-hang-up");
      else explainNoOwner(connection, this.#stages.resolver.unreadable);
    } else if (!owned && !destroy) this.#retryOwner(connection);
    return connection.outcome === null && (owned || destroy === true);
  }

  /** Whether the connection is not for us to touch, or needs nothing; it has an outcome then. */
  #isExcluded(connection: Connection, session: Session | null): boolean {
    const { destroy, fin_only } = this.#options;
    const part = session?.whyPart(connection) ?? null;
    if (part !== null) {
      setOutcome(connection, "skipped", `${part}; --include-session takes it too`);
    } else if (connection.subflow_of !== undefined) {
      const reason = `a subflow of the MPTCP connection to ${connection.subflow_of}, which was not selected`;
      setOutcome(connection, "skipped", reason);
    } else if (!destroy && isHungUp(connection, fin_only ?? false)) {
      setOutcome(connection, "already-gone", hungUpBefore(connection));
    }
    return connection.outcome !== null;
  }

  /** Has the holder of a connection looked for again, unless that was in vain often enough. */
  #retryOwner(connection: Connection): void {
    const attempts = (this.#ownerAttempts.get(connection) ?? 0) + 1;
    // It may yet be accepted, or asked.
    const mayYetBe = (connection.inode === 0 || connection.error !== null) && this.#isRepeating;
    if (attempts >= MAX_OWNER_ATTEMPTS && !mayYetBe) {
      return explainNoOwner(connection, this.#stages.resolver.unreadable);
    }
    this.#ownerAttempts.set(connection, attempts);
    this.#retryOwners.add(connection);
  }
}

/** Puts those last that belong to users of whom a connection's holder did not answer: the next one may not either. */
function stuckUsersLast(connections: readonly Connection[]): readonly Connection[] {
  const uids = new Set(connections.filter((one) => isUnresponsive(handleOf(one))).map(({ uid }) => uid));
  if (uids.size === 0) return connections;
  const [others, theirs] = [false, true].map((stuck) => connections.filter(({ uid }) => uids.has(uid) === stuck));
  return [...others, ...theirs];
}

/** Whether this end has sent its FIN already and, unless that is all that is wanted, reads no more. */
function isHungUp({ state, inode, shutdown }: Connection, fin_only: boolean): boolean {
  if ((stateMask(state) & CLOSING) === 0) return false;
  return inode === 0 || shutdown === 3 || (fin_only && (shutdown & 2) !== 0);
}
