// The queue of connections to cut. It keeps their order, the pacing and, where asked for, waits for idle connections.

import { SLICE_MS } from "../../ffi/sleep.ts";
import type { Disconnector } from "./disconnect.ts";
import type { HangUpOptions } from "./hang_up_options.ts";
import { setOutcome } from "./outcomes.ts";
import type { Escalation } from "./escalation.ts";
import { byIdentity, type Connection, identityOf } from "../model/connection.ts";
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

type CutOptions = Pick<HangUpOptions, "destroy" | "pacing" | "whenIdle">;

/** Default of `whenIdle.deadlineMs`. */
const DEFAULT_DEADLINE_MS = 30_000;

/**
 * Bounds of the pause between two dumps that look for idle connections. A pause lasts `factor` times as long as a dump.
 */
const POLL = { minMs: 5, maxMs: 1000, factor: 5 };

/** The wait of a connection for an idle moment. */
interface Wait {
  /** The time at which waiting ends. */
  readonly deadline: number;
  /** The earliest time at which the connection can be idle. */
  idleAt: number;
  /** The number of dumps in a row that lacked the connection. */
  missed: number;
}

/** Cuts the queued connections, one after another. */
export class CutQueue {
  readonly #stages: CutStages;
  readonly #options: CutOptions;
  /** The connections in the order in which they were added. Removed ones stay in it for a while. */
  #queue: readonly Target[] = [];
  /** Index of the first connection that waits. */
  #head = 0;
  #size = 0;
  /** The waits of the connections in the queue; empty without `whenIdle`. */
  readonly #waits = new Map<Target, Wait>();
  /** The connections that none of their owners holds any more. */
  readonly #ownersLost: Target[] = [];
  /** The connections that were idle at the last look, in reverse order. */
  #idle: Target[] = [];
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
    let waiting = this.#queue.slice(this.#head);
    if (whenIdle !== undefined) waiting = waiting.filter((target) => this.#waits.has(target));
    this.#queue = waiting.length === 0 ? targets : [...waiting, ...targets];
    this.#head = 0;
    for (const target of targets) {
      const turn = now + this.#size++ * gapMs;
      if (whenIdle) this.#waits.set(target, { deadline: turn + deadlineMs, idleAt: now, missed: 0 });
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
    return Math.min(this.#nextLook, Math.max(turn, this.#waits.get(this.#first)!.deadline));
  }

  /** The connection that has waited longest. */
  get #first(): Target {
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

  #next(now: number): Target | undefined {
    if (this.#size === 0 || now < (this.#schedule?.due ?? 0)) return undefined;
    const first = this.#first;
    if (this.#options.whenIdle === undefined || this.#waits.get(first)!.deadline <= now) return first;
    let next = this.#idle.pop();
    while (next !== undefined && !this.#waits.has(next)) next = this.#idle.pop();
    return next;
  }

  #cut(target: Target, now: number): void {
    const done = this.#options.destroy ? this.#destroy(target) : this.#hangUp(target, now);
    if (!done) return;
    this.#drop(target);
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

  /** Returns `true` when the connection is done with, `false` when it keeps waiting. */
  #hangUp(target: Target, now: number): boolean {
    const { whenIdle } = this.#options;
    const overdue = whenIdle === undefined || this.#waits.get(target)!.deadline <= now;
    const idleMs = overdue && !whenIdle?.leaveBusy ? undefined : whenIdle?.idleMs;
    const result = this.#stages.disconnector.hangUp(target, idleMs);
    if (typeof result !== "object") return true;
    if (overdue) setOutcome(target, "skipped", "busy", `busy until the deadline: ${result.busy}`);
    return overdue;
  }

  #drop(target: Target): void {
    this.#size--;
    // Without `whenIdle` it was the first one's turn.
    if (!this.#waits.delete(target)) this.#head++;
    else while (this.#head < this.#queue.length && !this.#waits.has(this.#first)) this.#head++;
  }

  /** Finds the idle connections. One dump serves for all that wait. */
  #look(idleMs: number): void {
    const start = performance.now();
    const queued = [...this.#waits.keys()].map(({ connection }) => connection);
    const present = byIdentity(this.#stages.selector.remaining(queued));
    const now = performance.now();
    for (const [target, wait] of this.#waits) {
      this.#update(target, wait, present.get(identityOf(target.connection)), idleMs, now);
    }
    const waiting = [...this.#waits];
    this.#idle = waiting.filter(([, { idleAt }]) => idleAt <= now).map(([target]) => target).reverse();
    const soonest = waiting.reduce((least, [, { idleAt }]) => Math.min(least, idleAt), now + POLL.maxMs);
    this.#nextLook = Math.max(soonest, now + POLL.minMs, now + POLL.factor * (now - start));
  }

  #update(target: Target, wait: Wait, present: Connection | undefined, idleMs: number, now: number): void {
    if (present === undefined) {
      if (++wait.missed < DUMPS_BEFORE_GONE) return;
      setOutcome(target, "already-gone", "gone", ENDED);
      return this.#drop(target);
    }
    wait.missed = 0;
    const { rqueue, wqueue, tcpInfo } = present;
    // Where the dump lacks tcp_info, each connection is asked through its duplicate.
    const unknown = this.#stages.selector.hidesInfo ? Infinity : null;
    const waitMs = msUntilIdle({ rqueue, wqueue, idleMs: tcpInfo ? idleTime(tcpInfo) : unknown }, idleMs);
    // An earlier finding stays valid: data in a queue that has emptied since counts as sent at that time.
    wait.idleAt = Math.max(wait.idleAt, now + waitMs);
  }
}
