// Being asked to end: SIGINT, which is ^C, and SIGTERM.

import { host } from "../../ffi/deno.ts";

/** Calls `listener` when the program is asked to end, until the returned function is called. */
export function onInterrupt(listener: () => void): () => void {
  const restorers = [host.onSignal("SIGINT", listener), host.onSignal("SIGTERM", listener)];
  return () => restorers.forEach((restore) => restore());
}
