// `--watch`: a list again and again, until the program is interrupted. That is how it is meant to end.

import { host } from "../../../ffi/deno.ts";
import { sleep } from "../../../ffi/sleep.ts";
import { onInterrupt } from "./interrupt.ts";
import { Screen } from "../output/screen.ts";

/** Calls `look` every so often, until it returns `false` because nobody sees it, or until an interrupt. */
export async function repeat(interval_ms: number, look: () => boolean): Promise<void> {
  const interrupt = new AbortController();
  const restore = onInterrupt(() => interrupt.abort());
  try {
    while (!interrupt.signal.aborted && look()) await sleep(interval_ms, interrupt.signal);
  } finally {
    restore();
  }
}

/** What was seen, as lines for a terminal of the size that it has now. */
export type Frame = () => readonly string[];

/** Shows what `look` sees on the terminal: anew every so often, and drawn anew when the terminal's size changes. */
export async function watch(interval_ms: number, look: () => Frame): Promise<void> {
  let frame: Frame = () => [];
  const screen = new Screen();
  const restore = host.onSignal("SIGWINCH", () => screen.show(frame()));
  try {
    await repeat(interval_ms, () => {
      frame = look();
      return screen.show(frame());
    });
  } finally {
    restore();
    screen.close();
  }
}
