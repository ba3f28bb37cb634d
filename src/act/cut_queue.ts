// The connections that are to be cut: in which order, how fast, and each at a moment when it carries nothing, if asked.

import { type Disconnector, ENDED, setOutcome } from "./disconnect.ts";
import type { Escalation } from "./escalation.ts";
import { type Connection, identityOf } from "../model/connection.ts";
import { soonestIdle } from "../socket/traffic.ts";
import { idleTime } from "../linux/netlink/tcp_info.ts";
import { PacingSchedule, type Spacing } from "./pacing.ts";
import type { PhaseTimer } from "../report/report.ts";
import type { Selector } from "../select/selector.ts";

/** How to wait for idle moments. */
export interface WhenIdle {
  /**
   * For how long no data must have gone either way. A request that takes longer than that to be answered looks like a
   * pause between two: nothing of it shows on the connection.
   */
  readonly idle_ms: number;
  /** How long to wait for that, from when it is the connection's turn. Default 30 s. */
  readonly deadline_ms?: number;
  /** Leave what is still busy then; else it is cut as it is. */
  readonly leave_busy?: boolean;
}

export const DEFAULT_DEADLINE_MS = 30_000;

/** How to cut. */
export interface CutOptions {
  /** Abort instead of hanging up. */
  readonly destroy?: boolean;
  readonly spacing?: Spacing;
  readonly when_idle?: WhenIdle;
}

/** The stages that a cut goes through. */
export interface CutStages {
  readonly disconnector: Disconnector;
  readonly selector: Selector;
  readonly escalation: Escalation;
  readonly timer: PhaseTimer;
}

/** How long to work before the event loop gets to see whether a signal has come. */
const SLICE_MS = 100;
/** How long to wait from one list of what is busy to the next: at least, at most, and how many times as long as it took. */
const POLL = { least_ms: 5, most_ms: 1000, times: 5 };
/** A list of sockets that come and go may miss one, so it takes two to say that a connection is gone. */
const MISSED_OFTEN = 2;

/** A connection that waits for its cut. */
interface QueueEntry {
  readonly connection: Connection;
  /** From when on it is not waited for an idle moment any more. */
  readonly deadline: number;
  /** When it can be idle at the soonest. */
  idle_at: number;
  /** In how many lists in a row it was missing. */
  missed: number;
  /** Whether it still waits. */
  waits: boolean;
}

/** Cuts connections, one after another. */
export class CutQueue {
  /** Those that none of their owners holds any more, to be looked for again by whoever takes them from here. */
  readonly ownersLost: Connection[] = [];
  readonly #stages: CutStages;
  readonly #options: CutOptions;
  /** In the order in which they came, those that wait no longer included. */
  #queue: QueueEntry[] = [];
  /** Where those begin in it that still wait. */
  #head = 0;
  #size = 0;
  /** Those that were idle at the last look, the first last. */
  #idle: QueueEntry[] = [];
  #nextLook = 0;
  #schedule: PacingSchedule | null = null;

  constructor(stages: CutStages, options: CutOptions) {
    this.#stages = stages;
    this.#options = options;
  }

  /** How many wait. */
  get size(): number {
    return this.#size;
  }

  /** Takes connections whose owners are known. */
  add(connections: readonly Connection[]): void {
    if (connections.length === 0) return;
    const now = performance.now();
    const { spacing, when_idle } = this.#options;
    if (spacing) this.#schedule ??= new PacingSchedule(spacing, connections.length, now);
    const gap_ms = this.#schedule?.gap_ms ?? 0;
    const deadline_ms = when_idle?.deadline_ms ?? DEFAULT_DEADLINE_MS;
    this.#queue = this.#queue.slice(this.#head);
    this.#head = 0;
    for (const connection of connections) {
      const turn = now + this.#size++ * gap_ms;
      this.#queue.push({ connection, deadline: turn + deadline_ms, idle_at: now, missed: 0, waits: true });
    }
    this.#nextLook = now;
  }

  /** When there is something to do next; Infinity when nothing waits. */
  get due(): number {
    if (this.#size === 0) return Infinity;
    const turn = this.#schedule?.due ?? 0;
    if (this.#options.when_idle === undefined || this.#idle.length > 0) return turn;
    return Math.min(this.#nextLook, Math.max(turn, this.#first.deadline));
  }

  /** The one that has waited longest. */
  get #first(): QueueEntry {
    while (!this.#queue[this.#head].waits) this.#head++;
    return this.#queue[this.#head];
  }

  /** Does what is due, for a while at most. */
  run(): void {
    const { timer } = this.#stages;
    const { when_idle } = this.#options;
    timer.time("act", () => this.#cutThoseDue());
    if (when_idle === undefined || this.#size === 0 || this.#idle.length > 0) return;
    if (this.#nextLook <= performance.now()) timer.time("select", () => this.#look(when_idle.idle_ms));
  }

  #cutThoseDue(): void {
    const start = performance.now();
    for (let now = start; now < start + SLICE_MS; now = performance.now()) {
      const next = this.#next(now);
      if (next === undefined) return;
      this.#cut(next, now);
    }
  }

  #next(now: number): QueueEntry | undefined {
    if (this.#size === 0 || now < (this.#schedule?.due ?? 0)) return undefined;
    const first = this.#first;
    if (this.#options.when_idle === undefined || first.deadline <= now) return first;
    let next = this.#idle.pop();
    while (next !== undefined && !next.waits) next = this.#idle.pop();
    return next;
  }

  #cut(waiting: QueueEntry, now: number): void {
    const { connection } = waiting;
    const done = this.#options.destroy ? this.#destroy(connection) : this.#hangUp(waiting, now);
    if (!done) return;
    this.#drop(waiting);
    const { outcome } = connection;
    if (outcome === null) this.ownersLost.push(connection);
    else this.#stages.escalation.add(connection);
    if (outcome === "hung-up" || outcome === "destroyed") this.#schedule?.advance(now);
  }

  #destroy(connection: Connection): true {
    const { disconnector, selector } = this.#stages;
    disconnector.destroy(connection, selector.diagOf(connection));
    return true;
  }

  /** Returns whether it has not to wait any longer. */
  #hangUp(waiting: QueueEntry, now: number): boolean {
    const { connection, deadline } = waiting;
    const { when_idle } = this.#options;
    const overdue = deadline <= now;
    const idle_ms = overdue && !when_idle?.leave_busy ? undefined : when_idle?.idle_ms;
    const attempt = this.#stages.disconnector.hangUp(connection, idle_ms);
    if (typeof attempt !== "object") return true;
    if (overdue) setOutcome(connection, "skipped", `busy until the deadline: ${attempt.busy}`);
    return overdue;
  }

  #drop(waiting: QueueEntry): void {
    waiting.waits = false;
    this.#size--;
  }

  /** Looks at all that wait at once: one list of the kernel's, however many they are. */
  #look(idle_ms: number): void {
    const start = performance.now();
    const waited = this.#queue.map(({ connection }) => connection);
    const present = new Map(this.#stages.selector.remaining(waited).map((now) => [identityOf(now), now]));
    const now = performance.now();
    this.#queue = this.#queue.filter(({ waits }) => waits);
    this.#head = 0;
    for (const waiting of this.#queue) this.#update(waiting, present.get(identityOf(waiting.connection)), idle_ms, now);
    const waits = this.#queue.filter(({ waits }) => waits);
    this.#idle = waits.filter(({ idle_at }) => idle_at <= now).reverse();
    const soonest = waits.reduce((least, { idle_at }) => Math.min(least, idle_at), now + POLL.most_ms);
    this.#nextLook = Math.max(soonest, now + POLL.least_ms, now + POLL.times * (now - start));
  }

  #update(waiting: QueueEntry, present: Connection | undefined, idle_ms: number, now: number): void {
    if (present === undefined) {
      if (++waiting.missed < MISSED_OFTEN) return;
      setOutcome(waiting.connection, "already-gone", ENDED);
      return this.#drop(waiting);
    }
    waiting.missed = 0;
    const { rqueue, wqueue, tcp_info } = present;
    // Where no list tells, each has to be asked itself.
    const untold = this.#stages.selector.hidesInfo ? Infinity : null;
    const wait_ms = soonestIdle({ rqueue, wqueue, idle_ms: tcp_info ? idleTime(tcp_info) : untold }, idle_ms);
    // What was seen before holds too: a queue, since emptied, counts as data that went then.
    waiting.idle_at = Math.max(waiting.idle_at, now + wait_ms);
  }
}
