// `--watch`: a list again and again, until the program is interrupted. That is how it is meant to end.

import { host } from "../../ffi/deno.ts";
import { sleep } from "../sleep.ts";
import { onInterrupt } from "./interrupt.ts";
import { Screen } from "./screen.ts";

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

/** Shows the lines that `look` returns on the terminal, anew every so often and when its size changes. */
export async function watch(interval_ms: number, look: () => readonly string[]): Promise<void> {
  let lines: readonly string[] = [];
  const screen = new Screen();
  const restore = host.onSignal("SIGWINCH", () => screen.show(lines));
  try {
    await repeat(interval_ms, () => screen.show(lines = look()));
  } finally {
    restore();
    screen.close();
  }
}
