// Being asked to end: SIGINT, which is ^C, and SIGTERM.

import { host } from "../../../ffi/deno.ts";
import { noteSignal } from "../../front/journal.ts";

/** Calls `listener` when the program is asked to end, until the returned function is called. */
export function onInterrupt(listener: () => void): () => void {
  const hear = () => {
    noteSignal();
    listener();
  };
  const restorers = [host.onSignal("SIGINT", hear), host.onSignal("SIGTERM", hear)];
  return () => restorers.forEach((restore) => restore());
}
