// A line on the terminal that says how far it has got, while that takes time.

import { host } from "../../../ffi/deno.ts";
import type { Progress } from "../../hang_up.ts";
import { formatDuration } from "../../model/duration.ts";
import { onPulse } from "../../linux/proc/pulse.ts";
import { terminalSize } from "./screen.ts";
import { supportsEscapes } from "./terminal.ts";
import { truncate } from "./width.ts";

const CLEAR_LINE = "\r\x1b[K";

/** What is over sooner needs no line. */
const SHOWN_AFTER_MS = 500;
const SHOWN_EVERY_MS = 200;
/** How long looking may take without a word. */
const LOOKING_SHOWN_AFTER_MS = 1000;

/** The line, on standard error, where that is a terminal that can take it away again. */
export class ProgressLine {
  readonly #possible = supportsEscapes(2);
  #next_ms = SHOWN_AFTER_MS;
  #shown = false;
  /** How long questions stood. */
  #asked_ms = 0;

  /** Shows how far it has got, unless it did so just now. */
  show({ matched, waiting, ...progress }: Progress): void {
    onPulse(null);
    const elapsed_ms = progress.elapsed_ms - this.#asked_ms;
    if (!this.#possible || elapsed_ms < this.#next_ms) return;
    this.#next_ms = elapsed_ms + SHOWN_EVERY_MS;
    this.#write(
      `${matched - waiting} of ${matched} connections done, ${waiting} waiting, ${formatDuration(elapsed_ms)}`,
    );
  }

  /** Shows, until `clear`, that something goes on while processes and namespaces are looked into for long. */
  watchLooking(): void {
    if (!this.#possible) return;
    const start = performance.now();
    let next_ms = LOOKING_SHOWN_AFTER_MS;
    onPulse(() => {
      const elapsed_ms = performance.now() - start;
      if (elapsed_ms < next_ms) return;
      next_ms = elapsed_ms + SHOWN_EVERY_MS;
      this.#write(`looking into processes and namespaces, ${Math.floor(elapsed_ms / 1000)} s`);
    });
  }

  /** Takes the line away while a question stands. That time does not count. */
  whileAsking<T>(ask: () => T): T {
    this.clear();
    const start = performance.now();
    try {
      return ask();
    } finally {
      this.#asked_ms += performance.now() - start;
    }
  }

  #write(text: string): void {
    this.#shown = true;
    host.write(2, CLEAR_LINE + truncate(text, terminalSize().columns - 1));
  }

  /** Takes the line away. */
  clear(): void {
    onPulse(null);
    if (this.#shown) host.write(2, CLEAR_LINE);
    this.#shown = false;
  }
}
