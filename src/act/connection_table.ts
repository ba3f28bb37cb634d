// The table of selected connections. In a run that goes on for days, it evicts those that have gone and only counts
// them.

import { type Connection, identityOf } from "../model/connection.ts";
import type { HangUpOutcome, Target } from "../model/result.ts";
import { DUMPS_BEFORE_GONE } from "../select/selector.ts";

/** The number of connections kept of each outcome: the last ones. */
const KEPT_PER_OUTCOME = 1000;

/** A map of connections by their identity, in the order in which they were found. */
export class ConnectionTable extends Map<string, Target<HangUpOutcome>> {
  /** The numbers of evicted connections, by outcome. */
  readonly evicted = new Map<HangUpOutcome, number>();
  #evictFrom = 2 * KEPT_PER_OUTCOME;

  /** The number of connections, evicted ones included. */
  get total(): number {
    return [...this.evicted.values()].reduce((sum, count) => sum + count, this.size);
  }

  /**
   * Evicts connections that have gone. Since this takes dumps, it does nothing until enough connections were added.
   *
   * @param remaining Returns the given connections that the kernel still lists.
   */
  evictGone(remaining: (connections: Iterable<Connection>) => Connection[]): void {
    if (this.size < this.#evictFrom) return;
    const evictable = this.#evictable();
    for (let dump = 1; dump <= DUMPS_BEFORE_GONE; dump++) {
      const connections = [...evictable.values()].map(({ connection }) => connection);
      for (const connection of remaining(connections)) evictable.delete(identityOf(connection));
    }
    for (const [identity, { result }] of evictable) {
      const { outcome } = result!;
      this.delete(identity);
      this.evicted.set(outcome, (this.evicted.get(outcome) ?? 0) + 1);
    }
    this.#evictFrom = this.size + KEPT_PER_OUTCOME;
  }

  /** Returns the connections that have an outcome, except the last of each outcome. */
  #evictable(): Map<string, Target<HangUpOutcome>> {
    const evictable = new Map<string, Target<HangUpOutcome>>();
    const kept = new Map<HangUpOutcome, number>();
    for (const [identity, target] of [...this].reverse()) {
      if (target.result === null) continue;
      const { outcome } = target.result;
      const count = (kept.get(outcome) ?? 0) + 1;
      kept.set(outcome, count);
      if (count > KEPT_PER_OUTCOME) evictable.set(identity, target);
    }
    return evictable;
  }
}
