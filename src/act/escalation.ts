// What comes after a connection was hung up on: it is aborted where it does not go, and looked for in the end.

import { type Disconnector, setOutcome, whatEnds } from "./disconnect.ts";
import { type Connection, identityOf } from "../model/connection.ts";
import type { ConnectionTable } from "./connection_table.ts";
import type { Resolver } from "../resolve/resolver.ts";
import type { Selector } from "../select/selector.ts";
import { sleep } from "../../ffi/sleep.ts";

/** What is to be done about connections that do not go. */
export interface EscalationOptions {
  /** Abort what is still there so long after it was hung up on, and what has no owner. */
  readonly destroy_after_ms?: number;
  /** In the end, wait up to so long until all are gone. */
  readonly wait_ms?: number;
  readonly signal?: AbortSignal;
}

/** How often to look whether connections are gone: at first, and at most. */
const POLL_MS = { first: 10, most: 250 };
/** A list of sockets that come and go may miss one, so it takes two to say that a connection is gone. */
const MISSED_OFTEN = 2;

/** What it works with. */
export interface EscalationStages {
  readonly disconnector: Disconnector;
  readonly selector: Selector;
  readonly resolver: Resolver;
}

interface Pending {
  readonly deadline: number;
  /** In how many lists in a row it was missing. */
  missed: number;
}

/** Sees to it that connections go. */
export class Escalation {
  readonly #disconnector: Disconnector;
  readonly #selector: Selector;
  readonly #resolver: Resolver;
  readonly #options: EscalationOptions;
  /** Those that are to be aborted unless they go, the first to be aborted first. */
  readonly #pending = new Map<Connection, Pending>();
  #poll_ms = POLL_MS.first;
  #nextLook = 0;

  constructor({ disconnector, selector, resolver }: EscalationStages, options: EscalationOptions) {
    this.#disconnector = disconnector;
    this.#selector = selector;
    this.#resolver = resolver;
    this.#options = options;
  }

  /** Takes a connection to which something was done just now, or could not be done. */
  add(connection: Connection): void {
    const { destroy_after_ms } = this.#options;
    if (destroy_after_ms === undefined || connection.outcome === "skipped") return;
    const now = performance.now();
    if (this.#pending.size === 0) {
      this.#poll_ms = POLL_MS.first;
      this.#nextLook = now + this.#poll_ms;
    }
    this.#pending.set(connection, { deadline: now + destroy_after_ms, missed: 0 });
  }

  /** When there is something to do next; Infinity when nothing is pending. */
  get due(): number {
    for (const { deadline } of this.#pending.values()) return Math.min(deadline, this.#nextLook);
    return Infinity;
  }

  /** Lets go of those that have gone, and aborts those whose time is over. */
  run(): void {
    const present = this.#present(this.#pending.keys());
    const now = performance.now();
    const overdue: Connection[] = [];
    for (const [connection, pending] of this.#pending) {
      const row = present.get(identityOf(connection));
      if (row === undefined) {
        if (++pending.missed < MISSED_OFTEN) continue;
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
    this.#nextLook = now + this.#poll_ms;
    this.#poll_ms = Math.min(2 * this.#poll_ms, POLL_MS.most);
  }

  /**
   * Aborts them. No duplicate was held since they were hung up on: epoll(7) watches a descriptor until the last duplicate of
   * it is closed, so an application would go on being told of the hang-up of what it has closed, by a number that is
   * another connection's by then.
   */
  #destroy(connections: readonly Connection[]): void {
    const abort = (connection: Connection) => this.#disconnector.destroy(connection, this.#selector.diagOf(connection));
    const passedOn = connections.filter(abort);
    if (passedOn.length === 0) return;
    this.#resolver.resolve(passedOn);
    passedOn.forEach(abort);
  }

  /**
   * Waits, if that was asked for, and reports those that are still there as lingering.
   *
   * @returns How many of the connections, those left alone apart, are gone; null when it was not asked for.
   */
  async waitAndReportLingering(connections: ConnectionTable): Promise<number | null> {
    const { wait_ms } = this.#options;
    if (wait_ms === undefined) return null;
    const skipped = [...connections.values()].filter(({ outcome }) => outcome === "skipped").length;
    const touched = connections.total - skipped - (connections.evicted.get("skipped") ?? 0);
    const left = await this.#waitUntilGone(connections, wait_ms);
    for (const connection of left) {
      const { outcome, state } = connection;
      if (outcome === "hung-up" || outcome === "already-gone" || outcome === "destroyed") {
        const there = `still there after ${wait_ms / 1000} s, in ${state}`;
        setOutcome(connection, "lingering", there + whatEnds(connection));
      }
    }
    return touched - left.size;
  }

  /** Returns those that are still there after `ms`. */
  async #waitUntilGone(connections: ReadonlyMap<string, Connection>, ms: number): Promise<Set<Connection>> {
    const deadline = performance.now() + ms;
    for (let poll_ms = POLL_MS.first;; poll_ms = Math.min(2 * poll_ms, POLL_MS.most)) {
      const left = this.#left(connections);
      const remaining_ms = deadline - performance.now();
      const over = remaining_ms <= 0 || this.#options.signal?.aborted === true;
      if (left.size === 0 || over) {
        for (const connection of this.#left(connections)) left.add(connection);
        if (left.size === 0 || over) return left;
      }
      await sleep(Math.min(poll_ms, remaining_ms), this.#options.signal);
    }
  }

  #left(connections: ReadonlyMap<string, Connection>): Set<Connection> {
    const left = new Set<Connection>();
    for (const [identity, { state, inode }] of this.#present(connections.values())) {
      const connection = connections.get(identity);
      if (connection === undefined || connection.outcome === "skipped") continue;
      connection.state = state;
      connection.inode = inode;
      left.add(connection);
    }
    return left;
  }

  #present(connections: Iterable<Connection>): Map<string, Connection> {
    return new Map(this.#selector.remaining(connections).map((connection) => [identityOf(connection), connection]));
  }
}
