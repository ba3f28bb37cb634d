// Sees to it that applications read end-of-file from what was hung up on, also when its peer does not answer the FIN.

import { host } from "../../ffi/deno.ts";
import { SLICE_MS } from "../../ffi/sleep.ts";
import { mayEndInError, restoreEndOfFile } from "../act/end_of_file.ts";
import type { HangUpResult } from "../model/result.ts";
import { PidfdCache } from "../socket/duplicate.ts";

/** Milliseconds by which a connection may outlast TCP_USER_TIMEOUT, since the kernel's timers are late; and between looks. */
const MARGIN_MS = 1000;
/** The number of looks at a connection that has not ended. */
const LOOKS = 3;
/** The number of connections that are looked after at a time. */
const MOST = 10_000;

/** Connections that were hung up on and may not have ended yet. */
export class Endings {
  readonly #lingerMs: number;
  #pending: { readonly result: HangUpResult; readonly dueAt: number; readonly looks: number }[] = [];

  /** @param lingerMs The TCP_USER_TIMEOUT that they have. */
  constructor(lingerMs: number) {
    this.#lingerMs = lingerMs;
  }

  /** Adds those of the connections that were hung up on just now. */
  add(results: readonly HangUpResult[]): void {
    const dueAt = performance.now() + this.#lingerMs + MARGIN_MS;
    const added = results.filter(({ outcome, connection }) => outcome === "hung-up" && mayEndInError(connection));
    const room = Math.max(0, MOST - this.#pending.length);
    this.#pending.push(...added.slice(0, room).map((result) => ({ result, dueAt, looks: 0 })));
  }

  /** Looks at those that should have ended by now. */
  async look(): Promise<void> {
    const now = performance.now();
    const due = this.#pending.filter(({ dueAt }) => dueAt <= now);
    if (due.length === 0) return;
    this.#pending = this.#pending.filter(({ dueAt }) => dueAt > now);
    // A process that has the owner's number by now holds other sockets.
    const pidfds = new PidfdCache(() => null);
    try {
      let sliceEnd = now + SLICE_MS;
      for (const { result, looks } of due) {
        if (performance.now() > sliceEnd) {
          await host.yieldToEvents();
          sliceEnd = performance.now() + SLICE_MS;
        }
        const hasEnded = restoreEndOfFile(pidfds, result);
        if (!hasEnded && looks + 1 < LOOKS) this.#pending.push({ result, dueAt: now + MARGIN_MS, looks: looks + 1 });
      }
    } finally {
      pidfds.close();
    }
  }
}
