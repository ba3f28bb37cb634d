// `tcphup ls`.

import { list } from "../list.ts";
import type { Arguments } from "./arguments.ts";
import { listTable } from "./connections.ts";
import { DONE } from "./exit_codes.ts";
import { selectionOf } from "./selection.ts";
import { complain, print } from "./terminal.ts";

/** Lists. Returns the exit code. */
export function ls(args: Arguments): number {
  const start = performance.now();
  const { connections, unreadable_processes } = list(selectionOf(args));
  const elapsed_ms = Math.round(performance.now() - start);
  if (args.has("quiet")) return DONE;
  if (args.has("json")) {
    const matched = connections.length;
    print([JSON.stringify({ schema: 1, command: "ls", matched, unreadable_processes, elapsed_ms, connections })]);
    return DONE;
  }
  print(listTable(connections, args.has("verbose")));
  if (unreadable_processes > 0 && connections.some(({ owners }) => owners.length === 0)) {
    complain(`${unreadable_processes} processes could not be looked into, so some owners are not shown`);
  }
  return DONE;
}
