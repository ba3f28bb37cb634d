// The signals that ask the program to end: SIGINT (^C) and SIGTERM.

import { host } from "../../../ffi/deno.ts";
import { noteSignal } from "../../front/journal.ts";

/** Calls `listener` on SIGINT and SIGTERM. The returned function restores the default action. */
export function onInterrupt(listener: () => void): () => void {
  const handle = () => {
    noteSignal();
    listener();
  };
  const restorers = [host.onSignal("SIGINT", handle), host.onSignal("SIGTERM", handle)];
  return () => restorers.forEach((restore) => restore());
}
