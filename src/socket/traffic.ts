// Decides whether a connection is idle, from its queues and from the time of the last data.

/** The traffic of a connection. */
export interface Traffic {
  /** Bytes received and not yet read. */
  readonly rqueue: number;
  /** Bytes written and not yet acknowledged, sent or not. */
  readonly wqueue: number;
  /** Milliseconds since data was last sent or received; null where the kernel does not say. */
  readonly idleMs: number | null;
}

/**
 * Returns why the connection is not idle; null when both queues are empty and no data was carried for `idleMs`. The
 * protocol of the application is unknown: a connection whose client waits longer than that for an answer looks idle too.
 */
export function explainBusy({ rqueue, wqueue, idleMs: quietMs }: Traffic, idleMs: number): string | null {
  if (rqueue > 0) return "data waits to be read";
  if (wqueue > 0) return "data is under way to the peer";
  if (quietMs === null) return "this kernel does not say when it last carried data";
  return quietMs < idleMs ? `it carried data less than ${idleMs} ms before` : null;
}

/**
 * Returns the milliseconds after which the connection can be idle at the soonest; 0 when it is idle. Data in a queue counts
 * as carried now, since no timestamp shows when a program empties the queue.
 */
export function msUntilIdle({ rqueue, wqueue, idleMs: quietMs }: Traffic, idleMs: number): number {
  if (rqueue > 0 || wqueue > 0 || quietMs === null) return idleMs;
  return Math.max(0, idleMs - quietMs);
}

/** Whether a connection that was idle before has carried data since. A FIN of ours does not count. */
export function hasCarriedData(before: Traffic, after: Traffic): boolean {
  // A FIN takes one byte's place in the queue.
  return after.rqueue > 0 || after.wqueue > 1 || (after.idleMs ?? 0) < (before.idleMs ?? 0);
}
