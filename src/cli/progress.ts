// A line on the terminal that says how far it has got, while that takes time.

import { host } from "../../ffi/deno.ts";
import type { Progress } from "../hang_up.ts";
import { formatDuration } from "../keepalive/duration.ts";
import { terminalSize } from "./screen.ts";
import { cut } from "./terminal.ts";

const CLEAR_LINE = "\r\x1b[K";

/** What is over sooner needs no line. */
const SHOWN_AFTER_MS = 500;
const SHOWN_EVERY_MS = 200;

/** The line, on standard error, where that is a terminal that may have more than plain text. */
export class ProgressLine {
  readonly #possible = host.isTerminal(2) && !host.noColor;
  #next_ms = SHOWN_AFTER_MS;
  #shown = false;

  /** Shows how far it has got, unless it did so just now. */
  show({ matched, waiting, elapsed_ms }: Progress): void {
    if (!this.#possible || elapsed_ms < this.#next_ms) return;
    this.#next_ms = elapsed_ms + SHOWN_EVERY_MS;
    this.#shown = true;
    const text = `${matched - waiting} of ${matched} connections done, ${waiting} waiting, ${
      formatDuration(elapsed_ms)
    }`;
    host.write(2, CLEAR_LINE + cut(text, terminalSize().columns - 1));
  }

  /** Takes the line away. */
  clear(): void {
    if (this.#shown) host.write(2, CLEAR_LINE);
    this.#shown = false;
  }
}
