// Text for a person: columns, colors, and names of other processes made harmless.

import { host } from "../../../ffi/deno.ts";
import { UsageError } from "../../model/errors.ts";

/** Colours by what they say. */
const COLORS = { good: 32, bad: 31, odd: 33, faint: 2 } as const;

/** A color's meaning. */
export type Tone = keyof typeof COLORS;

/**
 * The mark of a color in a text: a lone surrogate, which no text that was decoded from bytes has in it. It becomes an
 * escape sequence where the text leaves, and only there is known which stream that is.
 */
function mark(color: number): string {
  return String.fromCharCode(0xdc00 + color);
}

/** Puts text in color where it is written to a terminal that may have it. */
export function style(tone: Tone, text: string): string {
  return mark(COLORS[tone]) + text + mark(0);
}

/** Whether a stream is a terminal that knows escape sequences: TERM is not `dumb`, nor unset. */
export function supportsEscapes(stream: 1 | 2): boolean {
  return host.isTerminal(stream) && !["", "dumb"].includes(host.terminalType);
}

/** When text is in color: `auto` is on a terminal that may have it. */
export const COLOR_CHOICES: readonly string[] = ["auto", "always", "never"];
let choice = "auto";
const isColoredStream: Partial<Record<1 | 2, boolean>> = {};

/**
 * Takes the value of --color.
 *
 * @throws {UsageError} When it is none.
 */
export function chooseColor(text = "auto"): void {
  if (!COLOR_CHOICES.includes(text)) {
    throw new UsageError(`Unknown value "${text}" for --color: expected auto, always or never`);
  }
  choice = text;
}

function isColored(stream: 1 | 2): boolean {
  return choice === "always" || (choice === "auto" && !host.noColor && supportsEscapes(stream));
}

/** A line of text as it may be written to a stream, whoever chose the names in it. */
export function forStream(line: string, stream: 1 | 2): string {
  return escapeControls(line).replace(/[\udc00-\udc7f]/gu, (mark) => {
    isColoredStream[stream] ??= isColored(stream);
    return isColoredStream[stream] ? `\x1b[${mark.charCodeAt(0) - 0xdc00}m` : "";
  });
}

/**
 * Writes out what could drive the terminal or turn its text around, as `\xNN` or `\uNNNN`: control characters, separators
 * of lines, and the marks of bidirectional text.
 */
export function escapeControls(text: string): string {
  // deno-lint-ignore no-control-regex
  return text.replace(/[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/g, (character) => {
    const code = character.charCodeAt(0);
    return code < 256 ? `\\x${code.toString(16).padStart(2, "0")}` : `\\u${code.toString(16).padStart(4, "0")}`;
  });
}

/** How much to write at once: enough to make a call cheap, not so much that a long list fills the memory twice. */
const CHUNK = 64 * 1024;

/**
 * Writes pieces of text, in which nothing is foreign or all that is has been escaped, to standard output.
 *
 * @returns `false` when the reader has gone away (`| head`), which is no error.
 */
export function write(pieces: Iterable<string>): boolean {
  let chunk = "";
  for (const piece of pieces) {
    chunk += piece;
    if (chunk.length < CHUNK) continue;
    if (!host.write(1, chunk)) return false;
    chunk = "";
  }
  return chunk === "" || host.write(1, chunk);
}

/** Writes lines to standard output; returns as `write`. */
export function print(lines: Iterable<string>): boolean {
  return write(terminated(lines, 1));
}

function* terminated(lines: Iterable<string>, stream: 1 | 2): Generator<string> {
  for (const line of lines) yield forStream(line, stream) + "\n";
}

/** One line to standard error. */
export function warn(line: string): void {
  warnLines([line]);
}

/** The longest line of a complaint, in UTF-16 units. */
const MAX_LINE_LENGTH = 1000;

/** Several lines to standard error that belong together. */
export function warnLines(lines: readonly string[]): void {
  host.write(2, `tcphup: ${[...terminated(lines.map(shorten), 2)].join("")}`);
}

/** Leaves out the middle: what a message quotes may be megabytes, and it ends with what would be right. */
export function shorten(line: string): string {
  if (line.length <= MAX_LINE_LENGTH) return line;
  const half = MAX_LINE_LENGTH / 2;
  // Half of a character would be taken for the mark of a color.
  const head = line.slice(0, half - 1).replace(/[\ud800-\udbff]$/, "");
  const tail = line.slice(-half + 2).replace(/^[\udc00-\udfff]/, "");
  return `${head} … ${tail}`;
}

/** Shows lines to a person who is asked something, and leaves the cursor behind the question. */
export function ask(lines: readonly string[], question: string): void {
  host.write(2, [...terminated(lines, 2)].join("") + question);
}
