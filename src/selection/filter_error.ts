// What the reader of a filter says when it cannot go on.

import { UsageError } from "../usage_error.ts";

/** How much of a filter is shown around the words that are wrong, on either side of where they start. */
const SHOWN = 60;

/**
 * A filter that is not one. The message has three lines: what is wrong, the filter, and carets below the words that
 * are.
 */
export class FilterError extends UsageError {
  /** The filter as it was given. */
  readonly text: string;
  /** Where in `text` the words that are wrong start, in UTF-16 units; its length where something is missing. */
  readonly offset: number;
  /** How long they are, at least 1. */
  readonly length: number;

  constructor(problem: string, text: string, offset: number, length: number) {
    // A tab or a line break takes another width in the terminal than a caret line could follow.
    const [from, to] = [Math.max(0, offset - SHOWN), offset + SHOWN];
    const before = from > 0 ? "…" : "";
    const part = text.slice(from, to).replaceAll(/\s/g, " ");
    const carets = "^".repeat(Math.max(1, Math.min(length, to - offset)));
    super(
      `${problem.replaceAll(/\s/g, " ")}\n  ${before}${part}${to < text.length ? "…" : ""}\n` +
        `  ${" ".repeat(before.length + offset - from)}${carets}`,
    );
    this.text = text;
    this.offset = offset;
    this.length = Math.max(1, length);
  }
}
