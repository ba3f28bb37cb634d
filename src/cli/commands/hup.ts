// The command `tcphup hup`, also `tcphup` without a command.

import { hangUp } from "../../hang_up.ts";
import { takeTime } from "../../front/priority.ts";
import type { DiversionReport } from "../../model/diversion.ts";
import type { HangUpReport } from "../../report/report.ts";
import type { Arguments } from "../flags/arguments.ts";
import { checkTerminal, confirm } from "./confirm.ts";
import { nameFlags, reportLine, withoutInterrupted } from "../output/report.ts";
import { outcomeTable } from "../output/tables.ts";
import { DONE, exitCode, FAILED } from "../flags/exit_codes.ts";
import { hangUpOptions } from "./hup_options.ts";
import { onInterrupt } from "./interrupt.ts";
import { jsonReport } from "../output/json.ts";
import { connectLines, connectsLine, diversionLine, groupsText } from "../output/pinned.ts";
import { ProgressLine } from "../output/progress.ts";
import { selectionOf } from "../flags/selection.ts";
import { printTimings } from "../output/timings.ts";
import { print, warn, write } from "../output/terminal.ts";

/** Hangs up on connections. Returns the exit code. */
export async function hup(args: Arguments): Promise<number> {
  const selection = selectionOf(args);
  const options = hangUpOptions(args);
  if (options.pacing || options.whenIdle || options.repeat) takeTime();
  const asks = args.has("interactive") && !options.dryRun;
  if (asks) checkTerminal();
  const progress = new ProgressLine();
  const interrupt = new AbortController();
  let restore: (() => void) | undefined;
  const catchInterrupts = () => restore ??= onInterrupt(() => interrupt.abort());
  // Before the question is answered, ^C ends the process: nothing was touched yet.
  if (!asks) catchInterrupts();
  if (!args.has("quiet")) progress.showSearch();
  try {
    const report = nameFlags(
      await hangUp(selection, {
        ...options,
        signal: interrupt.signal,
        onWarning: (text) => {
          progress.clear();
          warn(text);
        },
        onHungUp: (report) => {
          progress.clear();
          if (!args.has("json")) show(nameFlags(report), args);
        },
        onProgress: args.has("quiet") ? undefined : (state) => progress.show(state),
        confirm: asks
          ? (_, summary) => {
            const act = options.destroy ? "Destroy" : "Hang up on";
            const confirmed = progress.whileAsking(() => confirm(summary(), act, options.repeat?.forMs));
            if (confirmed) catchInterrupts();
            return confirmed;
          }
          : undefined,
      }),
    );
    progress.clear();
    const { diversion } = report;
    const wasShown = diversion !== null && report.refused === null && !args.has("json");
    if (!wasShown) show(report, args);
    return diversion === null ? exitCode(report) : endOf(diversion, report, args);
  } finally {
    progress.clear();
    restore?.();
  }
}

/** Says what came of refusing or redirecting connects. Returns the exit code. */
function endOf(diversion: DiversionReport, report: HangUpReport, args: Arguments): number {
  const isExpected = diversion.inForce || report.dryRun || report.interrupted || report.refused !== null;
  if (!isExpected) warn(`${groupsText(diversion.cgroups)} has gone, and what was in force there with it`);
  const ends = isExpected && diversion.pin === null && !report.dryRun && report.refused === null;
  if (ends && !args.has("json") && !args.has("quiet")) {
    print([connectsLine(diversion)]);
    if (args.has("verbose")) print(connectLines(diversion.connects));
  }
  const code = exitCode(report);
  return isExpected || code !== DONE ? code : FAILED;
}

function show(report: HangUpReport, args: Arguments): void {
  [...report.unanswered, ...report.incomplete].forEach(warn);
  const { results, ...head } = report;
  if (args.has("json")) return void write(jsonReport(head, results));
  if (args.has("quiet")) {
    if (exitCode(report) !== DONE) warn(reportLine(report));
    return;
  }
  const verbose = args.has("verbose");
  const shown = report.refused === null ? withoutInterrupted(results) : [];
  if (shown.length > 0) print(outcomeTable(shown, verbose));
  if (report.leftOut > 0) print([`and ${report.leftOut} before`]);
  print([reportLine(report)]);
  if (report.diversion !== null && report.refused === null && !report.interrupted) {
    print([diversionLine(report.diversion, report.dryRun)]);
  }
  if (verbose) printTimings(report);
}
