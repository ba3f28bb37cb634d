// Text for a person: columns, colours, and names of other processes made harmless.

import { host } from "../../ffi/deno.ts";

/** Colours by what they say. */
const COLOURS = { good: 32, bad: 31, odd: 33, faint: 2 } as const;

/** A colour's meaning. */
export type Tone = keyof typeof COLOURS;

let colourful: boolean | undefined;

/** Puts text in colour where standard output is a terminal that may have it. */
export function paint(tone: Tone, text: string): string {
  colourful ??= host.isTerminal(1) && !host.noColor;
  return colourful ? `\x1b[${COLOURS[tone]}m${text}\x1b[0m` : text;
}

/** Writes control characters, which could drive the terminal, as `\xNN`. */
export function escapeControls(text: string): string {
  // deno-lint-ignore no-control-regex
  return text.replace(/[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]/g, (character) => {
    const code = character.codePointAt(0)!;
    return code < 256 ? `\\x${code.toString(16).padStart(2, "0")}` : `\\u${code.toString(16)}`;
  });
}

/** Characters that take two places on a terminal: East Asian ones, and pictures. */
const WIDE =
  /[\u1100-\u115f\u2e80-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6]|\p{Emoji_Presentation}/u;
/** Characters that take none. */
const COMBINING = /\p{Mn}|\p{Me}|\p{Cf}/u;

function placesOf(character: string): number {
  return COMBINING.test(character) ? 0 : WIDE.test(character) ? 2 : 1;
}

/** How many places a text takes on a terminal. */
export function displayWidth(text: string): number {
  if (/^[ -~]*$/.test(text)) return text.length;
  let width = 0;
  for (const character of text) width += placesOf(character);
  return width;
}

/** As much of a text, from its beginning, as fits into `width` places. */
export function cut(text: string, width: number): string {
  if (displayWidth(text) <= width) return text;
  let room = width - 1;
  let kept = "";
  for (const character of text) {
    room -= placesOf(character);
    if (room < 0) break;
    kept += character;
  }
  return `${kept}…`;
}

/** How many rows are laid out together: a long table is not held in memory as text. */
const BLOCK = 1000;

/**
 * Rows in columns, each as wide as its widest cell so far (they are laid out a thousand at a time); the last one is not
 * padded.
 */
export function* columns(header: readonly string[], rows: Iterable<readonly string[]>): Generator<string> {
  const widths: number[] = header.map(() => 0);
  let block: (readonly string[])[] = [];
  let taken: number[] = [];
  const take = (row: readonly string[]) => {
    for (let i = 0; i < row.length - 1; i++) {
      const width = displayWidth(row[i]);
      if (width > widths[i]) widths[i] = width;
      taken.push(width);
    }
    block.push(row);
  };
  take(header);
  for (const row of rows) {
    take(row);
    if (block.length < BLOCK) continue;
    yield* lay(block, taken, widths);
    block = [];
    taken = [];
  }
  yield* lay(block, taken, widths);
}

/** @param taken How many places each cell takes, those in the last column left out. */
function* lay(
  rows: readonly (readonly string[])[],
  taken: readonly number[],
  widths: readonly number[],
): Generator<string> {
  let cell = 0;
  for (const row of rows) {
    let line = "";
    for (let i = 0; i < row.length - 1; i++) line += row[i] + " ".repeat(widths[i] - taken[cell++] + 2);
    yield (line + row[row.length - 1]).trimEnd();
  }
}

/** How much to write at once: enough to make a call cheap, not so much that a long list fills the memory twice. */
const CHUNK = 64 * 1024;

/**
 * Writes pieces of text to standard output.
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

/** Writes lines to standard output; as `write`. */
export function print(lines: Iterable<string>): boolean {
  return write(ended(lines));
}

function* ended(lines: Iterable<string>): Generator<string> {
  for (const line of lines) yield line + "\n";
}

/** One line to standard error. */
export function complain(message: string): void {
  host.write(2, `tcphup: ${message}\n`);
}
