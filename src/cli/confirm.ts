// `--interactive`: what would be hit, and a question.

import { host } from "../../ffi/deno.ts";
import type { Summary } from "../summarise.ts";
import { UsageError } from "../usage_error.ts";
import { terminalSize } from "./screen.ts";
import { summaryLines } from "./summary.ts";
import { ask } from "./terminal.ts";

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

/** Shows a summary of the connections and asks whether to `act`: "Hang up on", say. */
export function confirm(summary: Summary, act: string): boolean {
  const { count } = summary.total;
  const lines = summaryLines(summary, terminalSize().rows - QUESTION_LINES);
  ask([...lines, ""], `${act} ${count === 1 ? "this connection" : `these ${count} connections`}? [y/N] `);
  return /^\s*y(es)?\s*$/i.test(host.readLine() ?? "");
}
