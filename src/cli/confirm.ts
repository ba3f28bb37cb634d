// `--interactive`: what would be hit, and a question.

import { host } from "../../ffi/deno.ts";
import type { Connection } from "../connection.ts";
import { Lister } from "../list.ts";
import type { Selection } from "../selection/selection.ts";
import { identityOf } from "../sockdiag/connection.ts";
import { summarise } from "../summarise.ts";
import { UsageError } from "../usage_error.ts";
import { terminalSize } from "./screen.ts";
import { summaryLines } from "./summary.ts";

/** What the question itself takes of the terminal's height. */
const QUESTION_LINES = 2;

/** @throws {UsageError} Where nobody could answer. */
export function checkTerminal(): void {
  if (host.isTerminal(0) && host.isTerminal(2)) return;
  throw new UsageError(
    "Option --interactive asks on a terminal, which standard input and standard error are not both: leave it out, or " +
      "guard against too many with --max N",
  );
}

/** Shows a summary of the connections and asks whether to `act`: "hang up on", say. */
export function confirm(connections: readonly Connection[], selection: Selection, act: string): boolean {
  const lines = summaryOf(connections, selection);
  const count = connections.length === 1 ? "this connection" : `these ${connections.length} connections`;
  host.write(2, `${lines.join("\n")}\n\n${act} ${count}? [y/N] `);
  return /^\s*y(es)?\s*$/i.test(host.readLine() ?? "");
}

/** What only a summary shows is looked up again: it costs time that without a question nobody would want to spend. */
function summaryOf(connections: readonly Connection[], selection: Selection): string[] {
  const chosen = new Set(connections.map(identityOf));
  const lister = new Lister(selection, { tcp_info: true, keepalive: true });
  try {
    const looked = lister.list().connections.filter((connection) => chosen.has(identityOf(connection)));
    return summaryLines(summarise(looked, lister.listening()), terminalSize().rows - QUESTION_LINES);
  } finally {
    lister.close();
  }
}
