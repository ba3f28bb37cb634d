// The progress line on the terminal, for commands that take long.

import { host } from "../../../ffi/deno.ts";
import type { Progress } from "../../act/hang_up_options.ts";
import { formatDuration } from "../../model/duration.ts";
import { onPulse } from "../../linux/proc/pulse.ts";
import { terminalSize } from "./screen.ts";
import { supportsEscapes } from "./terminal.ts";
import { truncate } from "./width.ts";

const CLEAR_LINE = "\r\x1b[K";

/** The time until progress is first shown. */
const SHOWN_AFTER_MS = 500;
/** The time between two updates of the line. */
const SHOWN_EVERY_MS = 200;
/** The time until a search through processes and namespaces is shown. */
const SEARCH_SHOWN_AFTER_MS = 1000;

/** The line on standard error, where that is a terminal that can clear it. */
export class ProgressLine {
  readonly #isPossible = supportsEscapes(2);
  #nextMs = SHOWN_AFTER_MS;
  #shown = false;
  /** The time that questions waited for an answer. */
  #askedMs = 0;

  /** Shows the progress, unless the line was updated just now. */
  show({ matched, waiting, ...progress }: Progress): void {
    onPulse(null);
    const elapsedMs = progress.elapsedMs - this.#askedMs;
    if (!this.#isPossible || elapsedMs < this.#nextMs) return;
    this.#nextMs = elapsedMs + SHOWN_EVERY_MS;
    this.#write(
      `${matched - waiting} of ${matched} connections done, ${waiting} waiting, ${formatDuration(elapsedMs)}`,
    );
  }

  /** Shows how long a search through processes and namespaces takes, from its first second until `clear`. */
  showSearch(): void {
    if (!this.#isPossible) return;
    const start = performance.now();
    let nextMs = SEARCH_SHOWN_AFTER_MS;
    onPulse(() => {
      const elapsedMs = performance.now() - start;
      if (elapsedMs < nextMs) return;
      nextMs = elapsedMs + SHOWN_EVERY_MS;
      this.#write(`looking into processes and namespaces, ${Math.floor(elapsedMs / 1000)} s`);
    });
  }

  /** Clears the line and asks a question. The time until the answer does not count as elapsed. */
  whileAsking<T>(ask: () => T): T {
    this.clear();
    const start = performance.now();
    try {
      return ask();
    } finally {
      this.#askedMs += performance.now() - start;
    }
  }

  #write(text: string): void {
    this.#shown = true;
    host.write(2, CLEAR_LINE + truncate(text, terminalSize().columns - 1));
  }

  /** Clears the line. */
  clear(): void {
    onPulse(null);
    if (this.#shown) host.write(2, CLEAR_LINE);
    this.#shown = false;
  }
}
