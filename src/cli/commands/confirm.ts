// `--interactive`: what would be hit, and a question.

import { host } from "../../../ffi/deno.ts";
import { formatDuration } from "../../model/duration.ts";
import type { Summary } from "../../report/summary.ts";
import { UsageError } from "../../model/errors.ts";
import { terminalSize } from "../output/screen.ts";
import { summaryLines } from "../output/summary.ts";
import { ask } from "../output/terminal.ts";

/** What the question itself takes of the terminal's height. */
const QUESTION_LINES = 2;

/** @throws {UsageError} Where nobody could answer. */
export function checkTerminal(): void {
  if (host.isTerminal(0) && host.isTerminal(2)) return;
  throw new UsageError(
    "Option --interactive needs a terminal on standard input and standard error: leave it out, or guard against too " +
      "many with --max N",
  );
}

/**
 * Shows a summary of the connections and asks whether to `act`: "Hang up on", say.
 *
 * @param for_ms For how long that is meant for new ones too.
 */
export function confirm(summary: Summary, act: string, for_ms = 0): boolean {
  const { count } = summary.total;
  const these = count === 1 ? "this connection" : `these ${count} connections`;
  const later = for_ms === 0 ? "" : `, and on what appears within ${formatDuration(for_ms)}`;
  const lines = summaryLines(summary, terminalSize().rows - QUESTION_LINES);
  ask([...lines, ""], `${act} ${these}${later}? [y/N] `);
  return /^\s*y(es)?\s*$/i.test(host.readLine() ?? "");
}
