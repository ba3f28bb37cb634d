// The alternate screen of a terminal. What was on the terminal before is shown again when it is left.

import { host } from "../../../ffi/deno.ts";
import { escapeControls } from "./terminal.ts";
import { truncate } from "./width.ts";

const ENTER = "\x1b[?1049h\x1b[?25l";
const LEAVE = "\x1b[?25h\x1b[?1049l";
const HOME = "\x1b[H";
const CLEAR_LINE = "\x1b[K";
const CLEAR_BELOW = "\x1b[J";

/** The size of a terminal that does not know its own. */
const ASSUMED_SIZE = { columns: 80, rows: 24 };

/** Returns the width and height of the terminal in characters. A serial line reports 0 for both. */
export function terminalSize(): { columns: number; rows: number } {
  const { columns, rows } = host.terminalSize() ?? ASSUMED_SIZE;
  return { columns: columns || ASSUMED_SIZE.columns, rows: rows || ASSUMED_SIZE.rows };
}

/** The alternate screen of the terminal on standard output, until `close`. */
export class Screen {
  constructor() {
    write(ENTER);
  }

  /**
   * Replaces the content of the screen by as much of the lines as fits.
   *
   * @returns `false` when the terminal has gone.
   */
  show(lines: readonly string[]): boolean {
    const { columns, rows } = terminalSize();
    // Each line is cleared before it is written: clearing after a line of full width would erase its last character.
    const visible = lines.slice(0, rows).map((line) => CLEAR_LINE + truncate(escapeControls(line), columns));
    const below = visible.length < rows ? `\n${CLEAR_BELOW}` : "";
    return write(HOME + visible.join("\n") + below);
  }

  /** Leaves the alternate screen. */
  close(): void {
    write(LEAVE);
  }
}

/** Returns `false` when the terminal has gone: writing fails with EIO until SIGHUP arrives. */
function write(text: string): boolean {
  try {
    return host.write(1, text);
  } catch {
    return false;
  }
}
