// The connections that were selected so far. A run may go on for days: those that have gone are then counted, and no
// longer kept.

import { type Connection, identityOf, type Outcome } from "../model/connection.ts";

/** How many that have gone are kept of each outcome: the last ones. */
const KEPT_PER_OUTCOME = 1000;

/** Connections by their identity, in the order in which they were found. */
export class ConnectionTable extends Map<string, Connection> {
  /** How many are no longer kept, of each outcome. */
  readonly evicted = new Map<Outcome, number>();
  #evictFrom = 2 * KEPT_PER_OUTCOME;

  /** How many there were in all. */
  get total(): number {
    return this.size + sum(this.evicted.values());
  }

  /**
   * Lets go of connections that have gone, once in a while: it takes two lists of the kernel.
   *
   * @param remaining Finds those that are still there.
   */
  evictGone(remaining: (connections: Iterable<Connection>) => Connection[]): void {
    if (this.size < this.#evictFrom) return;
    const old = this.#evictable();
    // A list of sockets that come and go may miss one, so it takes two to say that a connection is gone.
    for (let list = 1; list <= 2; list++) {
      for (const connection of remaining(old.values())) old.delete(identityOf(connection));
    }
    for (const [identity, { outcome }] of old) {
      this.delete(identity);
      this.evicted.set(outcome!, (this.evicted.get(outcome!) ?? 0) + 1);
    }
    this.#evictFrom = this.size + KEPT_PER_OUTCOME;
  }

  /** Those that are settled, but the last of each outcome. */
  #evictable(): Map<string, Connection> {
    const old = new Map<string, Connection>();
    const kept = new Map<Outcome, number>();
    for (const [identity, connection] of [...this].reverse()) {
      const { outcome } = connection;
      if (outcome === null) continue;
      const count = (kept.get(outcome) ?? 0) + 1;
      kept.set(outcome, count);
      if (count > KEPT_PER_OUTCOME) old.set(identity, connection);
    }
    return old;
  }
}

function sum(numbers: Iterable<number>): number {
  return [...numbers].reduce((a, b) => a + b, 0);
}
