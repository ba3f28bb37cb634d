// What happens while a name is followed, from the loops that see it to the one who reads.

import type { HangUpReport } from "../report/report.ts";

/** What happens while a name is followed. Addresses are in canonical text. */
export type FollowEvent =
  /** The first answer. */
  | { readonly event: "started"; readonly live: readonly string[] }
  /** Addresses have come that were not there before. `missing` are those that leave if they do not come back. */
  | {
    readonly event: "changed";
    readonly live: readonly string[];
    readonly added: readonly string[];
    readonly missing: readonly string[];
  }
  /** Addresses have left; `live` are those that stay. */
  | { readonly event: "left"; readonly addresses: readonly string[]; readonly live: readonly string[] }
  /** Addresses that had left are live again. */
  | { readonly event: "returned"; readonly addresses: readonly string[] }
  /**
   * Connects to what has left are refused from now on, or go `to` live addresses. `addresses` is null for all that are
   * elsewhere.
   */
  | {
    readonly event: "connects";
    readonly op: "refuse" | "redirect";
    readonly addresses: readonly string[] | null;
    readonly to: readonly string[];
  }
  /** No live address accepts a connection, as `ready` asks for, so that `matched` connections have to wait. */
  | { readonly event: "waiting"; readonly live: readonly string[]; readonly port: number; readonly matched: number }
  /** Connections were hung up on, or could not be. `addresses` is null for those that are elsewhere. */
  | { readonly event: "cut"; readonly addresses: readonly string[] | null; readonly report: HangUpReport }
  /** A name, or the file, does not tell the live addresses. Nothing changes until it does. */
  | { readonly event: "cannot-resolve"; readonly name: string; readonly reason: string }
  /** They are told again. */
  | { readonly event: "resolves-again"; readonly name: string }
  /** Connections cannot be looked for, or not be hung up on at all. It is tried again. */
  | { readonly event: "cannot-look"; readonly reason: string }
  /** It works again. */
  | { readonly event: "looks-again" }
  /** The end, with totals. */
  | {
    readonly event: "ended";
    readonly left: number;
    readonly returned: number;
    readonly matched: number;
    readonly hungUp: number;
    readonly destroyed: number;
    readonly failed: number;
    readonly connects: number;
    readonly elapsedMs: number;
  };

/** Events that several loops push, for one reader. */
export class EventQueue {
  readonly #events: FollowEvent[] = [];
  #isOpen = true;
  /** Ends the reader's wait. */
  #deliver = () => {};

  push(event: FollowEvent): void {
    this.#events.push(event);
    this.#deliver();
  }

  /** Ends the reader's loop, once all events are read. */
  end(): void {
    this.#isOpen = false;
    this.#deliver();
  }

  async *read(): AsyncGenerator<FollowEvent, void> {
    while (this.#isOpen || this.#events.length > 0) {
      const delivered = new Promise<void>((resolve) => this.#deliver = resolve);
      yield* this.#events.splice(0);
      if (this.#isOpen && this.#events.length === 0) await delivered;
    }
  }
}
