// The question of `--interactive`.

import { host } from "../../../ffi/deno.ts";
import { formatDuration } from "../../model/duration.ts";
import type { Summary } from "../../report/summary.ts";
import { UsageError } from "../../model/errors.ts";
import { terminalSize } from "../output/screen.ts";
import { summaryLines } from "../output/summary.ts";
import { ask } from "../output/terminal.ts";

/** The lines that the question takes: a blank one and its own. */
const QUESTION_LINES = 2;

/** @throws {UsageError} When standard input or standard error is no terminal. */
export function checkTerminal(): void {
  if (host.isTerminal(0) && host.isTerminal(2)) return;
  throw new UsageError(
    "Option --interactive needs a terminal on standard input and standard error: leave it out, or guard against too " +
      "many with --max N",
  );
}

/**
 * Shows a summary of the connections and asks whether to act on them. Returns `true` for the answer y or yes.
 *
 * @param act The verb of the question, such as "Hang up on".
 * @param forMs The time of --for, within which new connections are acted on too.
 */
export function confirm(summary: Summary, act: string, forMs = 0): boolean {
  const { count } = summary.total;
  const these = count === 1 ? "this connection" : `these ${count} connections`;
  const later = forMs === 0 ? "" : `, and on what appears within ${formatDuration(forMs)}`;
  const lines = summaryLines(summary, terminalSize().rows - QUESTION_LINES);
  ask([...lines, ""], `${act} ${these}${later}? [y/N] `);
  return /^\s*y(es)?\s*$/i.test(host.readLine() ?? "");
}
