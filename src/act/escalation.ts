// Escalation for connections that do not go after a hang-up: abort them after a time, and report those that linger.

import type { Disconnector } from "./disconnect.ts";
import type { HangUpOptions } from "./hang_up_options.ts";
import { adviceFor, setOutcome } from "./outcomes.ts";
import { byIdentity, type Connection, identityOf } from "../model/connection.ts";
import { type Outcome, type Target, update } from "../model/result.ts";
import type { ConnectionTable } from "./connection_table.ts";
import type { Resolver } from "../resolve/resolver.ts";
import { DUMPS_BEFORE_GONE, type Selector } from "../select/selector.ts";
import type { State } from "../model/tcp_states.ts";
import { sleep } from "../../ffi/sleep.ts";
import type { Turns } from "./turns.ts";

type EscalationOptions = Pick<HangUpOptions, "destroyAfterMs" | "waitMs">;

/** The pause between two looks at which connections are gone. It doubles from `first` up to `max`. */
const POLL_MS = { first: 10, max: 250 };

/** The states in which the peer has not acknowledged the FIN. */
const UNACKNOWLEDGED: readonly State[] = ["FIN-WAIT-1", "CLOSING", "LAST-ACK"];

/** The outcomes of connections that should go. */
const MAY_LINGER: readonly (Outcome | undefined)[] = ["hung-up", "already-gone", "destroyed"];

/** The tools that an escalation needs. */
export interface EscalationStages {
  readonly disconnector: Disconnector;
  readonly selector: Selector;
  readonly resolver: Resolver;
  readonly turns: Turns;
}

interface Pending {
  readonly deadline: number;
  /** The number of dumps in a row that lacked the connection. */
  missed: number;
}

/** Aborts connections that do not go in time, and reports those that linger. */
export class Escalation {
  readonly #stages: EscalationStages;
  readonly #options: EscalationOptions;
  /** The connections to abort unless they go, ordered by their deadlines. */
  readonly #pending = new Map<Target, Pending>();
  #pollMs = POLL_MS.first;
  #nextLook = 0;
  /** The loop over the pending connections, while there are any. */
  #running: Promise<void> | undefined;

  constructor(stages: EscalationStages, options: EscalationOptions) {
    this.#stages = stages;
    this.#options = options;
  }

  /** Adds a connection that was acted on just now, whether that succeeded or not. */
  add(target: Target): void {
    const { destroyAfterMs } = this.#options;
    if (destroyAfterMs === undefined || target.result?.outcome === "skipped") return;
    const now = performance.now();
    if (this.#pending.size === 0) {
      this.#pollMs = POLL_MS.first;
      this.#nextLook = now + this.#pollMs;
    }
    this.#pending.set(target, { deadline: now + destroyAfterMs, missed: 0 });
    this.#running ??= this.#run();
  }

  /** Resolves when no connection is pending, or the run has stopped. */
  async finish(): Promise<void> {
    await this.#running;
  }

  /** Sees to the pending connections until there are none. */
  async #run(): Promise<void> {
    const { turns } = this.#stages;
    try {
      while (this.#pending.size > 0 && await turns.until(this.#turn)) await turns.attempt(this, () => this.#step());
    } catch (error) {
      turns.stop({ error });
    }
    this.#running = undefined;
  }

  /** The time of the next step, on the clock of performance.now(). */
  get #turn(): number {
    const [first] = this.#pending.values();
    return Math.min(first?.deadline ?? Infinity, this.#nextLook);
  }

  /** Forgets connections that have gone, and aborts those whose deadline has passed. */
  #step(): void {
    const present = this.#present(this.#pending.keys());
    const now = performance.now();
    const overdue: Target[] = [];
    for (const [target, pending] of this.#pending) {
      const row = present.get(identityOf(target.connection));
      if (row === undefined) {
        if (++pending.missed < DUMPS_BEFORE_GONE) continue;
        if (isUnacknowledged(target)) this.#stages.disconnector.restoreEndOfFile(target);
      } else {
        pending.missed = 0;
        update(target, row);
        if (pending.deadline > now) continue;
        overdue.push(target);
      }
      this.#pending.delete(target);
    }
    this.#destroy(overdue);
    this.#nextLook = now + this.#pollMs;
    this.#pollMs = Math.min(2 * this.#pollMs, POLL_MS.max);
  }

  /**
   * Aborts connections. No duplicate of them was kept open since they were hung up on, because epoll(7) watches a
   * descriptor until its last duplicate is closed. The application would still be notified of a connection that it has
   * closed, under a descriptor number that may be another connection's by then.
   */
  #destroy(targets: readonly Target[]): void {
    const { disconnector, selector, resolver } = this.#stages;
    const abort = (target: Target) => disconnector.destroy(target, selector.diagOf(target.connection));
    const ownersLost = targets.filter(abort);
    if (ownersLost.length === 0) return;
    resolver.resolve(ownersLost);
    ownersLost.forEach(abort);
  }

  /**
   * Waits up to `waitMs` until the connections are gone, and gives those that are not the outcome `lingering`.
   *
   * @returns The number of connections that are gone, skipped ones not counted; null without `waitMs`.
   */
  async waitAndReportLingering(connections: ConnectionTable): Promise<number | null> {
    const { waitMs } = this.#options;
    if (waitMs === undefined) return null;
    const touched = [...connections.values()].filter(({ result }) => result?.outcome !== "skipped");
    const evicted = connections.total - connections.size - (connections.evicted.get("skipped") ?? 0);
    const remaining = await this.#waitUntilGone(touched, waitMs);
    for (const target of remaining) {
      if (!MAY_LINGER.includes(target.result?.outcome)) continue;
      const message = `still there after ${waitMs / 1000} s, in ${target.connection.state}`;
      setOutcome(target, "lingering", "timeout", message + adviceFor(target.connection));
    }
    return touched.length + evicted - remaining.size;
  }

  /** Waits for `ms` milliseconds at most. Returns the connections that are still there. */
  async #waitUntilGone(targets: readonly Target[], ms: number): Promise<Set<Target>> {
    const deadline = performance.now() + ms;
    const { signal } = this.#stages.turns;
    const unacknowledged = new Set<Target>();
    for (let pollMs = POLL_MS.first;; pollMs = Math.min(2 * pollMs, POLL_MS.max)) {
      const remaining = this.#remaining(targets);
      for (const target of remaining) if (isUnacknowledged(target)) unacknowledged.add(target);
      await this.#restoreEndOfFile(unacknowledged, remaining);
      const remainingMs = deadline - performance.now();
      const isOver = remainingMs <= 0 || signal.aborted;
      if (remaining.size === 0 || isOver) {
        for (const target of this.#remaining(targets)) remaining.add(target);
        if (remaining.size === 0 || isOver) return remaining;
      }
      await sleep(Math.min(pollMs, remainingMs), signal);
    }
  }

  /** Has applications read end-of-file from those that have gone, and removes these from `targets`. */
  async #restoreEndOfFile(targets: Set<Target>, remaining: ReadonlySet<Target>): Promise<void> {
    const { disconnector, turns } = this.#stages;
    for (const target of targets) {
      if (remaining.has(target)) continue;
      if (!await turns.until(0)) return;
      if (disconnector.restoreEndOfFile(target)) targets.delete(target);
    }
  }

  #remaining(targets: readonly Target[]): Set<Target> {
    const present = this.#present(targets);
    const remaining = new Set<Target>();
    for (const target of targets) {
      const row = present.get(identityOf(target.connection));
      if (row === undefined) continue;
      update(target, row);
      remaining.add(target);
    }
    return remaining;
  }

  #present(targets: Iterable<Target>): Map<string, Connection> {
    return byIdentity(this.#stages.selector.remaining([...targets].map(({ connection }) => connection)));
  }
}

function isUnacknowledged({ connection }: Target): boolean {
  return UNACKNOWLEDGED.includes(connection.state);
}
