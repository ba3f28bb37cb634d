// The queue of connections to cut. It keeps their order, the pacing and, where asked for, waits for idle connections.

import { SLICE_MS } from "../../ffi/sleep.ts";
import { type CutOptions, DEFAULT_DEADLINE_MS } from "./cut_options.ts";
import type { Disconnector } from "./disconnect.ts";
import { setOutcome } from "./outcomes.ts";
import type { Escalation } from "./escalation.ts";
import { type Connection, identityOf } from "../model/connection.ts";
import type { Target } from "../model/result.ts";
import { ENDED } from "../socket/with_duplicate.ts";
import { msUntilIdle } from "../socket/traffic.ts";
import { idleTime } from "../linux/netlink/tcp_info.ts";
import { PacingSchedule } from "./pacing.ts";
import type { PhaseTimer } from "../report/report.ts";
import { DUMPS_BEFORE_GONE, type Selector } from "../select/selector.ts";
import type { Turns } from "./turns.ts";

/** The stages and tools that a cut needs. */
export interface CutStages {
  readonly disconnector: Disconnector;
  readonly selector: Selector;
  readonly escalation: Escalation;
  readonly timer: PhaseTimer;
  readonly turns: Turns;
}

/**
 * Bounds of the pause between two dumps that look for idle connections. A pause lasts `factor` times as long as a dump.
 */
const POLL = { minMs: 5, maxMs: 1000, factor: 5 };

/** A connection that waits for its cut. */
interface QueueEntry {
  readonly target: Target;
  /** The time at which waiting for an idle moment ends. */
  readonly deadline: number;
  /** The earliest time at which the connection can be idle. */
  idleAt: number;
  /** The number of dumps in a row that lacked the connection. */
  missed: number;
  /** `false` once the entry was removed from the queue. */
  isWaiting: boolean;
}

/** Cuts the queued connections, one after another. */
export class CutQueue {
  readonly #stages: CutStages;
  readonly #options: CutOptions;
  /** The entries in the order in which they were added. Removed entries stay in it for a while. */
  #queue: QueueEntry[] = [];
  /** Index of the first entry that waits. */
  #head = 0;
  #size = 0;
  /** The connections that none of their owners holds any more. */
  readonly #ownersLost: Target[] = [];
  /** The entries that were idle at the last look, in reverse order. */
  #idle: QueueEntry[] = [];
  #nextLook = 0;
  #schedule: PacingSchedule | null = null;

  constructor(stages: CutStages, options: CutOptions) {
    this.#stages = stages;
    this.#options = options;
  }

  /** The number of connections that wait. */
  get size(): number {
    return this.#size;
  }

  /** Adds connections whose owners are known. */
  add(targets: readonly Target[]): void {
    if (targets.length === 0) return;
    const now = performance.now();
    const { pacing, whenIdle } = this.#options;
    if (pacing) this.#schedule ??= new PacingSchedule(pacing, targets.length, now);
    const gapMs = this.#schedule?.gapMs ?? 0;
    const deadlineMs = whenIdle?.deadlineMs ?? DEFAULT_DEADLINE_MS;
    this.#queue = this.#queue.slice(this.#head);
    this.#head = 0;
    for (const target of targets) {
      const turn = now + this.#size++ * gapMs;
      // Without `whenIdle` nobody asks for the times, and 0 takes no memory of its own.
      const deadline = whenIdle === undefined ? 0 : turn + deadlineMs;
      this.#queue.push({ target, deadline, idleAt: whenIdle === undefined ? 0 : now, missed: 0, isWaiting: true });
    }
    this.#nextLook = now;
  }

  /**
   * Cuts connections, each when its turn comes, until none waits any more or the next turn comes after `until`.
   *
   * @returns Those that none of their owners holds any more.
   */
  async cut(until: number): Promise<Target[]> {
    const { timer, turns } = this.#stages;
    while (this.#turn < until && await timer.timeAsync("wait", () => turns.until(this.#turn))) {
      await turns.attempt(this, () => this.#step());
    }
    return this.#ownersLost.splice(0);
  }

  /** The time of the next turn, on the clock of performance.now(); Infinity when no connection waits. */
  get #turn(): number {
    if (this.#size === 0) return Infinity;
    const turn = this.#schedule?.due ?? 0;
    if (this.#options.whenIdle === undefined || this.#idle.length > 0) return turn;
    return Math.min(this.#nextLook, Math.max(turn, this.#first.deadline));
  }

  /** The entry that has waited longest. */
  get #first(): QueueEntry {
    return this.#queue[this.#head]!;
  }

  /** Cuts the connections that are due, for `SLICE_MS` at most, and looks which of the others are idle. */
  #step(): void {
    const { timer } = this.#stages;
    const { whenIdle } = this.#options;
    timer.time("act", () => this.#cutDue());
    if (whenIdle === undefined || this.#size === 0 || this.#idle.length > 0) return;
    if (this.#nextLook <= performance.now()) timer.time("select", () => this.#look(whenIdle.idleMs));
  }

  #cutDue(): void {
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
    if (this.#options.whenIdle === undefined || first.deadline <= now) return first;
    let next = this.#idle.pop();
    while (next !== undefined && !next.isWaiting) next = this.#idle.pop();
    return next;
  }

  #cut(entry: QueueEntry, now: number): void {
    const { target } = entry;
    const done = this.#options.destroy ? this.#destroy(target) : this.#hangUp(entry, now);
    if (!done) return;
    this.#drop(entry);
    const outcome = target.result?.outcome;
    if (outcome === undefined) this.#ownersLost.push(target);
    else this.#stages.escalation.add(target);
    if (outcome === "hung-up" || outcome === "destroyed") this.#schedule?.advance(now);
  }

  #destroy(target: Target): true {
    const { disconnector, selector } = this.#stages;
    disconnector.destroy(target, selector.diagOf(target.connection));
    return true;
  }

  /** Returns `true` when the entry is done with, `false` when it keeps waiting. */
  #hangUp(entry: QueueEntry, now: number): boolean {
    const { target, deadline } = entry;
    const { whenIdle } = this.#options;
    const overdue = deadline <= now;
    const idleMs = overdue && !whenIdle?.leaveBusy ? undefined : whenIdle?.idleMs;
    const result = this.#stages.disconnector.hangUp(target, idleMs);
    if (typeof result !== "object") return true;
    if (overdue) setOutcome(target, "skipped", "busy", `busy until the deadline: ${result.busy}`);
    return overdue;
  }

  #drop(entry: QueueEntry): void {
    entry.isWaiting = false;
    this.#size--;
    while (this.#queue[this.#head]?.isWaiting === false) this.#head++;
  }

  /** Finds the idle connections. One dump serves for all that wait. */
  #look(idleMs: number): void {
    const start = performance.now();
    const queued = this.#queue.map(({ target }) => target.connection);
    const present = new Map(this.#stages.selector.remaining(queued).map((now) => [identityOf(now), now]));
    const now = performance.now();
    this.#queue = this.#queue.filter(({ isWaiting }) => isWaiting);
    this.#head = 0;
    for (const entry of this.#queue) {
      this.#update(entry, present.get(identityOf(entry.target.connection)), idleMs, now);
    }
    const waiting = this.#queue.filter(({ isWaiting }) => isWaiting);
    this.#idle = waiting.filter(({ idleAt }) => idleAt <= now).reverse();
    const soonest = waiting.reduce((least, { idleAt }) => Math.min(least, idleAt), now + POLL.maxMs);
    this.#nextLook = Math.max(soonest, now + POLL.minMs, now + POLL.factor * (now - start));
  }

  #update(entry: QueueEntry, present: Connection | undefined, idleMs: number, now: number): void {
    if (present === undefined) {
      if (++entry.missed < DUMPS_BEFORE_GONE) return;
      setOutcome(entry.target, "already-gone", "gone", ENDED);
      return this.#drop(entry);
    }
    entry.missed = 0;
    const { rqueue, wqueue, tcpInfo } = present;
    // Where the dump lacks tcp_info, each connection is asked through its duplicate.
    const unknown = this.#stages.selector.hidesInfo ? Infinity : null;
    const waitMs = msUntilIdle({ rqueue, wqueue, idleMs: tcpInfo ? idleTime(tcpInfo) : unknown }, idleMs);
    // An earlier finding stays valid: data in a queue that has emptied since counts as sent at that time.
    entry.idleAt = Math.max(entry.idleAt, now + waitMs);
  }
}
