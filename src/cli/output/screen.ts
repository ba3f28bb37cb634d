// A terminal that a list is shown on again and again: the alternate screen of xterm, which leaves what was there before
// as it was.

import { host } from "../../../ffi/deno.ts";
import { escapeControls } from "./terminal.ts";
import { truncate } from "./width.ts";

const ENTER = "\x1b[?1049h\x1b[?25l";
const LEAVE = "\x1b[?25h\x1b[?1049l";
const HOME = "\x1b[H";
const CLEAR_LINE = "\x1b[K";
const CLEAR_BELOW = "\x1b[J";

/** What a terminal has at least, when it does not say. */
const ASSUMED = { columns: 80, rows: 24 };

/** Width and height of the terminal, in characters. A serial line does not know them, and says 0. */
export function terminalSize(): { columns: number; rows: number } {
  const { columns, rows } = host.terminalSize() ?? ASSUMED;
  return { columns: columns || ASSUMED.columns, rows: rows || ASSUMED.rows };
}

/** The terminal on standard output, until `close`. */
export class Screen {
  constructor() {
    write(ENTER);
  }

  /**
   * Shows as much of the lines as fits, in place of what was shown before.
   *
   * @returns `false` when the terminal has gone.
   */
  show(lines: readonly string[]): boolean {
    const { columns, rows } = terminalSize();
    // Clearing after a line that fills the width would take its last character away.
    const visible = lines.slice(0, rows).map((line) => CLEAR_LINE + truncate(escapeControls(line), columns));
    const below = visible.length < rows ? `\n${CLEAR_BELOW}` : "";
    return write(HOME + visible.join("\n") + below);
  }

  /** Shows again what was there before. */
  close(): void {
    write(LEAVE);
  }
}

/** Returns `false` when the terminal has gone: until SIGHUP comes, it fails with EIO. */
function write(text: string): boolean {
  try {
    return host.write(1, text);
  } catch {
    return false;
  }
}
