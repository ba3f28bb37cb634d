// Text on standard output and standard error: colors, and escaped control characters in foreign names.

import { host } from "../../../ffi/deno.ts";
import { UsageError } from "../../model/errors.ts";

/** The SGR codes of colors, by meaning. */
const COLORS = { good: 32, bad: 31, odd: 33, faint: 2 } as const;

/** The meaning of a color. */
export type Tone = keyof typeof COLORS;

/**
 * Returns the mark of a color in a text: a lone surrogate, which decoded text never contains. forStream() turns it into an
 * escape sequence, since only there the stream is known.
 */
function colorMark(color: number): string {
  return String.fromCharCode(0xdc00 + color);
}

/** Colors a text, for terminals on which color is allowed. */
export function style(tone: Tone, text: string): string {
  return colorMark(COLORS[tone]) + text + colorMark(0);
}

/** Tells whether a stream is a terminal with escape sequences: TERM is set and not `dumb`. */
export function supportsEscapes(stream: 1 | 2): boolean {
  return host.isTerminal(stream) && !["", "dumb"].includes(host.terminalType);
}

/** The values of --color. `auto` colors on a terminal with escape sequences unless NO_COLOR is set. */
export const COLOR_CHOICES: readonly string[] = ["auto", "always", "never"];
let choice = "auto";
const isColoredStream: Partial<Record<1 | 2, boolean>> = {};

/**
 * Applies the value of --color.
 *
 * @throws {UsageError} For an unknown value.
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

/** Prepares a line for a stream: escapes control characters, and turns color marks into escape sequences or nothing. */
export function forStream(line: string, stream: 1 | 2): string {
  const escaped = escapeControls(line);
  if (!/[\udc00-\udc7f]/u.test(escaped)) return escaped;
  isColoredStream[stream] ??= isColored(stream);
  if (!isColoredStream[stream]) return escaped.replace(/[\udc00-\udc7f]/gu, "");
  return escaped.replace(/[\udc00-\udc7f]/gu, (mark) => `\x1b[${mark.charCodeAt(0) - 0xdc00}m`);
}

/**
 * Escapes characters that could drive a terminal or reorder its text, as `\xNN` or `\uNNNN`: control characters, line
 * separators, and bidirectional marks.
 */
export function escapeControls(text: string): string {
  // deno-lint-ignore no-control-regex
  return text.replace(/[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/g, (character) => {
    const code = character.charCodeAt(0);
    return code < 256 ? `\\x${code.toString(16).padStart(2, "0")}` : `\\u${code.toString(16).padStart(4, "0")}`;
  });
}

/** The length of one write. Longer ones save no time, and would hold a long list in memory twice. */
const CHUNK_LENGTH = 64 * 1024;

/**
 * Writes pieces of text to standard output. Foreign names in them have to be escaped already.
 *
 * @returns `false` when the reader has gone away (`| head`), which is no error.
 */
export function write(pieces: Iterable<string>): boolean {
  let chunk = "";
  for (const piece of pieces) {
    chunk += piece;
    if (chunk.length < CHUNK_LENGTH) continue;
    if (!host.write(1, chunk)) return false;
    chunk = "";
  }
  return chunk === "" || host.write(1, chunk);
}

/** Writes lines to standard output. Returns `false` when the reader has gone away. */
export function print(lines: Iterable<string>): boolean {
  return write(terminated(lines, 1));
}

function* terminated(lines: Iterable<string>, stream: 1 | 2): Generator<string> {
  for (const line of lines) yield forStream(line, stream) + "\n";
}

/** Writes a line to standard error. */
export function warn(line: string): void {
  warnLines([line]);
}

/** The longest line on standard error, in UTF-16 code units. */
const MAX_LINE_LENGTH = 1000;

/** Writes several lines to standard error under one prefix. */
export function warnLines(lines: readonly string[]): void {
  host.write(2, `tcphup: ${[...terminated(lines.map(shorten), 2)].join("")}`);
}

/** Shortens a line by its middle: a quoted input may be megabytes long, and the end says what would be right. */
export function shorten(line: string): string {
  if (line.length <= MAX_LINE_LENGTH) return line;
  const half = MAX_LINE_LENGTH / 2;
  // Half of a surrogate pair would be taken for a color mark.
  const head = line.slice(0, half - 1).replace(/[\ud800-\udbff]$/, "");
  const tail = line.slice(-half + 2).replace(/^[\udc00-\udfff]/, "");
  return `${head} … ${tail}`;
}

/** Writes lines and a question to standard error, and leaves the cursor behind the question. */
export function ask(lines: readonly string[], question: string): void {
  host.write(2, [...terminated(lines, 2)].join("") + question);
}
