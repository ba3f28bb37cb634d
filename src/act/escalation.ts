// Escalation for connections that do not go after a hang-up: abort them after a time, and report those that linger.

import { adviceFor, type Disconnector, setOutcome } from "./disconnect.ts";
import { type Connection, identityOf } from "../model/connection.ts";
import type { ConnectionTable } from "./connection_table.ts";
import type { Resolver } from "../resolve/resolver.ts";
import { DUMPS_BEFORE_GONE, type Selector } from "../select/selector.ts";
import { sleep } from "../../ffi/sleep.ts";

/** Options for connections that do not go. */
export interface EscalationOptions {
  /** Milliseconds after which a connection that was hung up on, or has no owner, is aborted. */
  readonly destroyAfterMs?: number;
  /** Milliseconds to wait in the end until all connections are gone. */
  readonly waitMs?: number;
  readonly signal?: AbortSignal;
}

/** The pause between two looks at which connections are gone. It doubles from `first` up to `max`. */
const POLL_MS = { first: 10, max: 250 };

/** The tools that an escalation needs. */
export interface EscalationStages {
  readonly disconnector: Disconnector;
  readonly selector: Selector;
  readonly resolver: Resolver;
}

interface Pending {
  readonly deadline: number;
  /** The number of dumps in a row that lacked the connection. */
  missed: number;
}

/** Aborts connections that do not go in time, and reports those that linger. */
export class Escalation {
  readonly #disconnector: Disconnector;
  readonly #selector: Selector;
  readonly #resolver: Resolver;
  readonly #options: EscalationOptions;
  /** The connections to abort unless they go, ordered by their deadlines. */
  readonly #pending = new Map<Connection, Pending>();
  #pollMs = POLL_MS.first;
  #nextLook = 0;

  constructor({ disconnector, selector, resolver }: EscalationStages, options: EscalationOptions) {
    this.#disconnector = disconnector;
    this.#selector = selector;
    this.#resolver = resolver;
    this.#options = options;
  }

  /** Adds a connection that was acted on just now, whether that succeeded or not. */
  add(connection: Connection): void {
    const { destroyAfterMs } = this.#options;
    if (destroyAfterMs === undefined || connection.outcome === "skipped") return;
    const now = performance.now();
    if (this.#pending.size === 0) {
      this.#pollMs = POLL_MS.first;
      this.#nextLook = now + this.#pollMs;
    }
    this.#pending.set(connection, { deadline: now + destroyAfterMs, missed: 0 });
  }

  /** The time of the next work, on the clock of performance.now(); Infinity when no connection is pending. */
  get due(): number {
    for (const { deadline } of this.#pending.values()) return Math.min(deadline, this.#nextLook);
    return Infinity;
  }

  /** Forgets connections that have gone, and aborts those whose deadline has passed. */
  run(): void {
    const present = this.#present(this.#pending.keys());
    const now = performance.now();
    const overdue: Connection[] = [];
    for (const [connection, pending] of this.#pending) {
      const row = present.get(identityOf(connection));
      if (row === undefined) {
        if (++pending.missed < DUMPS_BEFORE_GONE) continue;
      } else {
        pending.missed = 0;
        connection.state = row.state;
        connection.inode = row.inode;
        if (pending.deadline > now) continue;
        overdue.push(connection);
      }
      this.#pending.delete(connection);
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
  #destroy(connections: readonly Connection[]): void {
    const abort = (connection: Connection) => this.#disconnector.destroy(connection, this.#selector.diagOf(connection));
    const ownersLost = connections.filter(abort);
    if (ownersLost.length === 0) return;
    this.#resolver.resolve(ownersLost);
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
    const skipped = [...connections.values()].filter(({ outcome }) => outcome === "skipped").length;
    const touched = connections.total - skipped - (connections.evicted.get("skipped") ?? 0);
    const remaining = await this.#waitUntilGone(connections, waitMs);
    for (const connection of remaining) {
      const { outcome, state } = connection;
      if (outcome === "hung-up" || outcome === "already-gone" || outcome === "destroyed") {
        const reason = `still there after ${waitMs / 1000} s, in ${state}`;
        setOutcome(connection, "lingering", reason + adviceFor(connection));
      }
    }
    return touched - remaining.size;
  }

  /** Waits for `ms` milliseconds at most. Returns the connections that are still there. */
  async #waitUntilGone(connections: ReadonlyMap<string, Connection>, ms: number): Promise<Set<Connection>> {
    const deadline = performance.now() + ms;
    for (let pollMs = POLL_MS.first;; pollMs = Math.min(2 * pollMs, POLL_MS.max)) {
      const remaining = this.#remaining(connections);
      const remainingMs = deadline - performance.now();
      const isOver = remainingMs <= 0 || this.#options.signal?.aborted === true;
      if (remaining.size === 0 || isOver) {
        for (const connection of this.#remaining(connections)) remaining.add(connection);
        if (remaining.size === 0 || isOver) return remaining;
      }
      await sleep(Math.min(pollMs, remainingMs), this.#options.signal);
    }
  }

  #remaining(connections: ReadonlyMap<string, Connection>): Set<Connection> {
    const remaining = new Set<Connection>();
    for (const [identity, { state, inode }] of this.#present(connections.values())) {
      const connection = connections.get(identity);
      if (connection === undefined || connection.outcome === "skipped") continue;
      connection.state = state;
      connection.inode = inode;
      remaining.add(connection);
    }
    return remaining;
  }

  #present(connections: Iterable<Connection>): Map<string, Connection> {
    return new Map(this.#selector.remaining(connections).map((connection) => [identityOf(connection), connection]));
  }
}
