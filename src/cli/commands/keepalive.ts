// The command `tcphup keepalive`.

import { unanswered } from "../../front/journal.ts";
import type { DestinationCount } from "../../model/destination_count.ts";
import { resolveValues } from "../../keepalive/values.ts";
import { keepaliveSysctls } from "../../socket/keepalive_read.ts";
import type { Selection } from "../../select/selection.ts";
import type { SetKeepaliveOptions, WatchKeepaliveOptions, WatchMeans } from "../../keepalive/set_options.ts";
import type { KeepaliveReport } from "../../report/report.ts";
import { setKeepalive, watchKeepalive } from "../../set_keepalive.ts";
import { type Arguments, refuseTogether, watchInterval } from "../flags/arguments.ts";
import { EventPrinter, isChanged, meansText } from "../output/keepalive_events.ts";
import { destinationLines } from "../output/pinned.ts";
import { keepaliveReportLine, keepaliveTable } from "../output/keepalive_report.ts";
import { withoutInterrupted } from "../output/report.ts";
import { DONE, exitCode } from "../flags/exit_codes.ts";
import { onInterrupt } from "./interrupt.ts";
import { jsonLines, jsonReport, rowsOf } from "../output/json.ts";
import { givenValues, noEffectWarnings } from "../flags/keepalive_values.ts";
import { ProgressLine } from "../output/progress.ts";
import { selectionOf } from "../flags/selection.ts";
import { UsageError } from "../../model/errors.ts";
import { printTimings } from "../output/timings.ts";
import { print, style, warn, write } from "../output/terminal.ts";

/** Sets keepalive, once or with --watch until an interrupt. Returns the exit code. */
export async function keepalive(args: Arguments): Promise<number> {
  checkConflicts(args);
  if (isAttaching(args)) return await attach(args);
  const everyMs = watchInterval(args, undefined);
  const selection = selectionOf(args);
  const options = optionsOf(args);
  const interrupt = new AbortController();
  const restore = onInterrupt(() => interrupt.abort());
  const progress = new ProgressLine();
  try {
    const { signal } = interrupt;
    if (everyMs !== null) return await watch(args, selection, { ...options, everyMs, signal });
    if (!args.has("quiet")) progress.showSearch();
    const report = await setKeepalive(selection, { ...options, signal });
    progress.clear();
    show(report, args);
    return exitCode(report);
  } finally {
    progress.clear();
    restore();
  }
}

/** Tells whether a program is to be attached: --pin means that as well. */
function isAttaching(args: Arguments): boolean {
  return args.has("attach") || args.given("pin");
}

/** Sets keepalive, also on new connections by an attached program until an interrupt. Returns the exit code. */
async function attach(args: Arguments): Promise<number> {
  return await (await import("./attach.ts")).attach(selectionOf(args), optionsOf(args), args, show);
}

function checkConflicts(args: Arguments): void {
  refuseTogether(args, "json", "json-lines", "one document, or an object a line");
  refuseTogether(args, "watch", "json", "--json-lines prints again and again");
  for (const name of ["attach", "pin"]) {
    refuseTogether(args, name, "watch", "what is attached needs no looking again");
    refuseTogether(args, name, "no-bpf", "it is done with BPF");
    refuseTogether(args, name, "defer-accept", "it is for listeners, and sets nothing as a connection is made");
  }
  refuseTogether(args, "listeners", "outgoing", "those that are accepted, or those that are not");
  for (const name of ["outgoing", "only-new"]) {
    if (args.has(name) && !isAttaching(args)) throw new UsageError(`Option --${name} needs --attach`);
  }
}

function optionsOf(args: Arguments): SetKeepaliveOptions {
  const off = args.has("off");
  const listeners = args.has("listeners");
  const given = givenValues(args);
  if (!off && !args.has("quiet")) {
    const { values, warnings } = resolveValues(given, {}, keepaliveSysctls()?.tcpKeepaliveTime);
    const unfelt = isAttaching(args) ? [] : noEffectWarnings(values, listeners);
    [...warnings, ...unfelt].forEach(warn);
  }
  return {
    values: given,
    off,
    listeners,
    onlyMissing: args.has("only-missing"),
    dryRun: args.has("dry-run"),
  };
}

/** @param more Further keys of the JSON document. */
function show(report: KeepaliveReport, args: Arguments, more: object = {}): void {
  const { results, ...head } = { ...report, ...more };
  [...report.unanswered, ...report.incomplete].forEach(warn);
  if (args.has("json")) {
    write(jsonReport(head, results));
  } else if (args.has("json-lines")) {
    write(jsonLines(rowsOf(results)));
  } else if (args.has("quiet")) {
    if (exitCode(report) !== DONE) warn(keepaliveReportLine(report));
  } else {
    const shown = withoutInterrupted(results);
    if (shown.length > 0) print(keepaliveTable(shown, args.has("verbose")));
    print([keepaliveReportLine(report)]);
  }
  if (args.has("verbose") && !args.has("quiet")) printTimings(report);
}

/** Sets keepalive on new connections until an interrupt, or until the reader of standard output goes. Neither is a failure. */
async function watch(args: Arguments, selection: Selection, options: WatchKeepaliveOptions): Promise<number> {
  let [looks, changes] = [0, 0];
  const [isQuiet, isVerbose, isText] = [args.has("quiet"), args.has("verbose"), !args.has("json-lines")];
  const printer = new EventPrinter({ quiet: isQuiet, json: !isText, verbose: isVerbose });
  for (const text of unanswered()) printer.warnOnce(text);
  const onRound = (incomplete: readonly string[]) => {
    looks++;
    for (const text of incomplete) printer.warnOnce(text);
    printer.printOmitted();
  };
  const onStart = (means: WatchMeans) => {
    if (!isQuiet && (means.notAttached === null || isVerbose)) warn(style("faint", meansText(means)));
  };
  let counters: readonly DestinationCount[] = [];
  const onEnd = (last: readonly DestinationCount[]) => counters = last;
  const isCounted = isVerbose && isText && !isQuiet;
  const callbacks = { onStart, onRound, onWarning: warn, ...isCounted ? { onEnd } : {} };
  for await (const result of watchKeepalive(selection, { ...options, attach: true, ...callbacks })) {
    if (isChanged(result)) changes++;
    if (!printer.print(result)) break;
  }
  printer.printOmitted(true);
  if (isVerbose) warn(style("faint", `looked ${looks} times, set keepalive on ${changes}`));
  if (isCounted) print(destinationLines(counters));
  return DONE;
}
