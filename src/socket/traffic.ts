// Whether a connection carries anything, from what the kernel says of its queues and of when data last went.

/** What is under way on a connection. */
export interface Traffic {
  /** Bytes received and not yet read. */
  readonly rqueue: number;
  /** Bytes written and not yet acknowledged, sent or not. */
  readonly wqueue: number;
  /** Milliseconds since data last went, either way; null where the kernel does not say. */
  readonly idle_ms: number | null;
}

/**
 * Why the connection is not idle, null when it is: both queues are empty and no data went for `idle_ms`. What two programs
 * say to each other cannot be seen from here: while one waits for an answer for longer than that, both are as quiet as
 * if nothing had been asked.
 */
export function explainBusy({ rqueue, wqueue, idle_ms: quiet_ms }: Traffic, idle_ms: number): string | null {
  if (rqueue > 0) return "data waits to be read";
  if (wqueue > 0) return "data is under way to the peer";
  if (quiet_ms === null) return "this kernel does not say when it last carried data";
  return quiet_ms < idle_ms ? `it carried data less than ${idle_ms} ms before` : null;
}

/**
 * In how many milliseconds the connection can be idle at the soonest; 0 when it is. What empties a queue, a program that
 * reads a request, say, leaves no other trace, so a queue counts as data that goes now.
 */
export function msUntilIdle({ rqueue, wqueue, idle_ms: quiet_ms }: Traffic, idle_ms: number): number {
  if (rqueue > 0 || wqueue > 0 || quiet_ms === null) return idle_ms;
  return Math.max(0, idle_ms - quiet_ms);
}

/** Whether data went between two looks at a connection that was idle at the first. A FIN of ours does not count. */
export function hasCarriedData(before: Traffic, after: Traffic): boolean {
  // A FIN takes one byte's place in the queue.
  return after.rqueue > 0 || after.wqueue > 1 || (after.idle_ms ?? 0) < (before.idle_ms ?? 0);
}
