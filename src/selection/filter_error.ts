// What the reader of a filter says when it cannot go on.

import { UsageError } from "../usage_error.ts";

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
    const line = text.replaceAll(/\s/g, " ");
    super(`${problem}\n  ${line}\n  ${" ".repeat(offset)}${"^".repeat(Math.max(1, length))}`);
    this.text = text;
    this.offset = offset;
    this.length = Math.max(1, length);
  }
}
