// The last line of a report: what was done to how many connections, and why not to the others.

import type { Outcome, Result } from "../../model/result.ts";
import { counted } from "../../model/wording.ts";
import type { HangUpReport } from "../../report/report.ts";
import { isEndedAttempt } from "./connections.ts";

/** The outcomes that need no reason. */
const SUCCESSES: readonly Outcome[] = [
  "hung-up",
  "destroyed",
  "would-hang-up",
  "would-destroy",
  "keepalive-set",
  "would-set-keepalive",
  "unchanged",
];

/** The number of reasons that are named for one outcome. */
const MAX_SHOWN_REASONS = 3;

/** Sums a report up in one line: "hung up on 10 of 11 connections; 1 denied: pid 812 (postgres): needs …". */
export function reportLine(report: HangUpReport): string {
  const { matched, skipped, gone, refused, recovered, error, results } = report;
  if (matched === 0) return report.interrupted ? "interrupted: no connections matched" : "no connections match";
  if (refused !== null) return `nothing touched: ${refused}`;
  const others = results.filter((result) => !isLeftAttempt(result));
  const left = results.length - others.length;
  const parts = left === matched ? [] : [doneText({ ...report, matched: matched - left, results: others })];
  parts.push(...outcomeReasons(others));
  if (left > 0) parts.push(`${counted(left, "connect attempt")} left to ${left === 1 ? "its" : "their"} next SYN`);
  if (recovered > 0) parts.push(`${counted(recovered, "new one")} left alone`);
  const acted = matched - skipped;
  if (gone !== null && acted > 0) parts.push(gone === acted ? "all gone" : `${gone} of ${acted} gone`);
  const line = [...parts, ...endText(error)].join("; ");
  return report.interrupted ? `interrupted: ${line}` : line;
}

/** Says why a command ended early; empty when it did not. */
export function endText(error: string | null): string[] {
  return error === null ? [] : [`ended early: ${error}`];
}

function doneText({ matched, hungUp, destroyed, dryRun, wouldAct = 0, results }: HangUpReport): string {
  if (dryRun) return `would act on ${ofAll(wouldAct, matched)}`;
  if (destroyed === 0) {
    const attempts = results.filter(isEndedAttempt).length;
    const cut = `hung up on ${ofAll(hungUp - attempts, matched - attempts)}`;
    if (attempts === 0) return cut;
    const ended = `ended ${counted(attempts, "connect attempt")}`;
    return attempts === matched ? ended : `${cut}, ${ended}`;
  }
  return `${hungUp > 0 ? `hung up on ${hungUp} and ` : ""}destroyed ${ofAll(destroyed, matched)}`;
}

/** Writes a part of a number: `3 of 4 connections`. */
export function ofAll(count: number, all: number, noun = "connection"): string {
  return count === all ? counted(all, noun) : `${count} of ${counted(all, noun)}`;
}

/** Counts the connections of each outcome that is no success, with the commonest reasons. */
export function outcomeReasons(results: readonly Result[]): string[] {
  const others = results.filter(({ outcome }) => !SUCCESSES.includes(outcome));
  return [...Map.groupBy(others, ({ outcome }) => outcome)].map(([outcome, group]) => {
    const byMessage = Map.groupBy(group, ({ message }) => message ?? "");
    const common = [...byMessage].sort(([, a], [, b]) => b.length - a.length);
    const shown = common.slice(0, MAX_SHOWN_REASONS).map(([message, { length }]) =>
      message + (common.length > 1 && length > 1 ? ` (${length})` : "")
    );
    const more = common.length > MAX_SHOWN_REASONS ? `, and ${common.length - MAX_SHOWN_REASONS} other reasons` : "";
    return `${group.length} ${outcome.replaceAll("-", " ")}: ${shown.join(", ")}${more}`;
  });
}

/** Tells whether it is an attempt to connect that was left to its next SYN. */
function isLeftAttempt({ outcome, reason }: Result): boolean {
  return outcome === "skipped" && reason === "connecting";
}

/** Adds to the messages of a report the flag without which a connection was skipped. */
export function nameFlags(report: HangUpReport): HangUpReport {
  if (!report.results.some(({ reason }) => reason === "session")) return report;
  const results = report.results.map((result) =>
    result.reason === "session" ? { ...result, message: `${result.message}; --include-session takes it too` } : result
  );
  return { ...report, results };
}

/** Drops the connections that an interrupt left untouched: the summary counts them. */
export function withoutInterrupted<R extends Result>(results: readonly R[]): readonly R[] {
  return results.filter(({ reason }) => reason !== "interrupted");
}
