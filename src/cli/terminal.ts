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

/** Rows in columns, each as wide as its widest cell; the last one is not padded. */
export function columns(header: readonly string[], rows: readonly (readonly string[])[]): string[] {
  const widths = header.map((title) => title.length);
  for (const row of rows) {
    for (let i = 0; i < row.length - 1; i++) if (row[i].length > widths[i]) widths[i] = row[i].length;
  }
  const line = (row: readonly string[]) =>
    row.map((cell, i) => i === row.length - 1 ? cell : cell.padEnd(widths[i])).join("  ");
  return [line(header), ...rows.map(line)];
}

/** Lines to standard output. A reader that has gone away (`| head`) is not an error. */
export function print(lines: readonly string[]): void {
  if (lines.length > 0) host.write(1, lines.join("\n") + "\n");
}

/** One line to standard error. */
export function complain(message: string): void {
  host.write(2, `tcphup: ${message}\n`);
}
