// The loop of `ls --watch`. An interrupt ends it.

import { host } from "../../../ffi/deno.ts";
import { sleep } from "../../../ffi/sleep.ts";
import { onInterrupt } from "./interrupt.ts";
import { Screen } from "../output/screen.ts";

/** Calls `look` at an interval until it returns `false`, which says that the reader has gone, or until an interrupt. */
export async function repeat(intervalMs: number, look: () => boolean): Promise<void> {
  const interrupt = new AbortController();
  const restore = onInterrupt(() => interrupt.abort());
  try {
    while (!interrupt.signal.aborted && look()) await sleep(intervalMs, interrupt.signal);
  } finally {
    restore();
  }
}

/** Renders the last listing as lines for the current size of the terminal. */
export type Frame = () => readonly string[];

/** Shows a new frame on the terminal at an interval, and draws it again when the terminal's size changes. */
export async function watch(intervalMs: number, look: () => Frame): Promise<void> {
  let frame: Frame = () => [];
  const screen = new Screen();
  const restore = host.onSignal("SIGWINCH", () => screen.show(frame()));
  try {
    await repeat(intervalMs, () => {
      frame = look();
      return screen.show(frame());
    });
  } finally {
    restore();
    screen.close();
  }
}
